"""Warts of administrations, infusions and transfusions. None of them is a treatment that the protocol counts."""

from __future__ import annotations

from datetime import timedelta

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.fhir import ATC, PRODUCT, SNOMED, Resource, coding, concept, quantity
from mappings.trials.pgf_msc.demo.wart_files import TRANSFUSIONS, WARD
from mappings.trials.pgf_msc.demo.warts import Desk, Wart, wart

PRODUCT_CODE = {"medicationCodeableConcept": concept([coding(PRODUCT, "UC-MSC")], "脐带间充质干细胞注射液")}
PLATELETS = concept([coding(SNOMED, "12719002")], "输注单采血小板")
WARTS: list[Wart] = []


def _given(d: Desk, medication: Resource, status: str = "completed", dose: Resource | None = None) -> Resource:
    """Return an administration at this minute."""
    when = {"effectiveDateTime": fhir.stamp(d.at)}
    known = d.at + timedelta(hours=1)
    return fhir.administration(d.rid(), d.patient, medication, when, known, status=status, dose=dose)


def _drug(code: str, text: str) -> Resource:
    return {"medicationCodeableConcept": concept([coding(ATC, code)], text)}


@wart(WARTS, "infusions", "a UC-MSC infusion `on-hold` that never began")
def infusion_on_hold(d: Desk) -> None:
    d.take_arm("MSC")
    r = _given(d, PRODUCT_CODE, "on-hold")
    d.put(WARD, r)
    d.dropped("MedicationAdministration", "status-planned", r)


@wart(WARTS, "transfusions", "a platelet transfusion entered in error")
def transfusion_in_error(d: Desk) -> None:
    r = fhir.procedure(d.rid(), d.patient, PLATELETS, {"performedDateTime": fhir.stamp(d.at)}, d.at)
    r["status"] = "entered-in-error"
    d.put(TRANSFUSIONS, r)
    d.dropped("Procedure", "status-entered-in-error", r)


@wart(WARTS, "transfusions", "a platelet transfusion `not-done`")
def transfusion_not_done(d: Desk) -> None:
    r = fhir.procedure(d.rid(), d.patient, PLATELETS, {"performedDateTime": fhir.stamp(d.at)}, d.at)
    r |= {"status": "not-done", "statusReason": concept(text="供血不足")}
    d.put(TRANSFUSIONS, r)
    d.dropped("Procedure", "not-done", r)


@wart(WARTS, "drugs", "an antiviral `stopped`, without dose, rate or period")
def stopped_without_dose(d: Desk) -> None:
    r = _given(d, _drug("J05AB01", "阿昔洛韦片"), "stopped")
    d.put(WARD, r)
    d.dropped("MedicationAdministration", "not-done", r)
    d.issue(None, "stopped-without-dose", "CM")


@wart(WARTS, "drugs", "a contained Medication that mixes three substances and has a Chinese name only")
def contained_mixture(d: Desk) -> None:
    substances = ("氨基酸", "葡萄糖", "氯化钾")
    mixture = {
        "resourceType": "Medication",
        "id": "mix",
        "code": concept(text="肠外营养混合液"),
        "ingredient": [{"itemCodeableConcept": concept(text=s)} for s in substances],
    }
    r = _given(d, {"contained": [mixture], "medicationReference": {"reference": "#mix"}})
    r["dosage"] = {"text": "1500 mL，持续泵入"}
    d.put(WARD, r)
    d.used(r, "CM", CMTRT="肠外营养混合液", CMDECOD="", CMDOSE=None, CMDOSTXT="1500 mL，持续泵入")
    d.unmapped("MedicationAdministration", "", "肠外营养混合液", used="Y")


@wart(WARTS, "drugs", "a dose that is no number")
def dose_in_words(d: Desk) -> None:
    r = _given(d, _drug("J05AB01", "阿昔洛韦片"), dose={"value": "一片", "unit": "片"})
    d.put(WARD, r)
    d.used(r, "CM", CMDECOD="ACICLOVIR", CMDOSE=None)
    d.issue(r, "decimal-dropped", "CM")


@wart(WARTS, "drugs", "an infusion over the site's midnight that lies on one day in UTC")
def over_midnight(d: Desk) -> None:
    start = fhir.moment(d.at.date(), 23, 30)
    end = start + timedelta(hours=2)
    r = _given(d, _drug("J05AB06", "注射用更昔洛韦"), dose=quantity("250", "mg", "mg"))
    del r["effectiveDateTime"]
    r["effectivePeriod"] = {"start": fhir.stamp(start, "utc"), "end": fhir.stamp(end, "utc")}
    d.put(WARD, r)
    d.used(r, "CM", CMSTDTC=f"{start:%Y-%m-%dT%H:%M:%S}", CMENDTC=f"{end:%Y-%m-%dT%H:%M:%S}", CMDOSE=250.0)

"""Warts of reports, statements and doses: results that stand only inside a report, what is stated and not given, R5."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.fhir import ATC, LOINC, PRODUCT, Resource, coding, concept, number, quantity
from mappings.trials.pgf_msc.demo.wart_files import REPORTS, STATEMENTS, WARD
from mappings.trials.pgf_msc.demo.warts import Desk, Wart, wart

ACICLOVIR = {"medicationCodeableConcept": concept([coding(ATC, "J05AB01", "Aciclovir")], "阿昔洛韦片")}
ALBUMIN, GLUCOSE = "1751-7", "2345-7"
WARTS: list[Wart] = []


def _statement(d: Desk, medication: Resource, status: str, first: int, last: int) -> Resource:
    """Return a MedicationStatement over days counted from this one."""
    day = d.at.date()
    period = {"start": str(day + timedelta(first)), "end": str(day + timedelta(last))}
    meta = fhir.meta(d.at + timedelta(last + 1))
    head = {"resourceType": "MedicationStatement", "id": d.rid(), "meta": meta, "status": status}
    return {**head, **medication, "subject": fhir.reference(d.patient), "effectivePeriod": period}


def _report(d: Desk, results: list[Resource], **more: object) -> Resource:
    code = concept(text="生化全套")
    head = {"resourceType": "DiagnosticReport", "id": d.rid(), "meta": fhir.meta(d.at), **more, "status": "final"}
    return {**head, "code": code, "subject": fhir.reference(d.patient), "result": results}


def _given(d: Desk, medication: Resource, **more: Any) -> Resource:
    known = d.at + timedelta(hours=1)
    return fhir.administration(d.rid(), d.patient, medication, {"effectiveDateTime": fhir.stamp(d.at)}, known, **more)


# --- reports -----------------------------------------------------------------------------------------------------------


@wart(WARTS, "reports", "two results that stand nowhere but in `DiagnosticReport.contained`")
def results_in_a_report(d: Desk) -> None:
    inside = []
    for n, (loinc, text, unit) in enumerate(((ALBUMIN, "39.5", "g/L"), (GLUCOSE, "5.60", "mmol/L"))):
        one = d.result(loinc, {"valueQuantity": quantity(text, unit, unit)})
        one["id"] = f"r{n}"
        del one["meta"]
        inside.append(one)
    r = _report(d, [fhir.reference("#r0"), fhir.reference("#r1")], contained=inside)
    d.put(REPORTS, r)
    d.used(r, element="contained[0]", LBTESTCD="ALB", LBORRES="39.5")
    d.used(r, element="contained[1]", LBTESTCD="GLUC", LBORRES="5.60")


@wart(WARTS, "reports", "a cancelled result that a final report still names")
def cancelled_in_a_report(d: Desk) -> None:
    gone = d.result(GLUCOSE, {"valueQuantity": quantity("5.8", "mmol/L", "mmol/L")}, status="cancelled")
    r = _report(d, [fhir.reference(f"Observation/{gone['id']}")])
    d.put(REPORTS, gone, r)
    d.dropped("Observation", "status-cancelled", gone)
    d.dropped("DiagnosticReport", "no-own-results", r)


@wart(WARTS, "reports", "a report that names a contained result it does not contain")
def result_not_there(d: Desk) -> None:
    d.rejected(REPORTS, _report(d, [fhir.reference("#r9")]), "result-not-found", "result[0]")


@wart(WARTS, "reports", "the report is coded by the order, its result by the test: counted once, by the test")
def order_and_result(d: Desk) -> None:
    true = d.result(ALBUMIN, {"valueQuantity": quantity("38.6", "g/L", "g/L")})
    r = {**_report(d, [fhir.reference(f"Observation/{true['id']}")]), "code": concept([coding(LOINC, "24325-3")])}
    d.put(REPORTS, true, r)
    d.used(true, LBTESTCD="ALB", LBORRES="38.6")
    d.dropped("DiagnosticReport", "no-own-results", r)


# --- statements --------------------------------------------------------------------------------------------------------


@wart(WARTS, "statements", "an antiviral `stopped` at home: it had been taken")
def taken_at_home(d: Desk) -> None:
    r = _statement(d, {"medicationCodeableConcept": concept([coding(ATC, "J05AB11")], "伐昔洛韦片")}, "stopped", 0, 4)
    d.put(STATEMENTS, r)
    first, last = d.at.date(), d.at.date() + timedelta(4)
    d.used(r, "CM", CMTRT="伐昔洛韦片", CMCAT="ANTIVIRAL", CMSTDTC=str(first), CMENDTC=str(last))


@wart(WARTS, "statements", "the statuses `not-taken` and `intended`")
def never_taken(d: Desk) -> None:
    refused, planned = (_statement(d, ACICLOVIR, status, 0, 4) for status in ("not-taken", "intended"))
    d.put(STATEMENTS, refused, planned)
    d.dropped("MedicationStatement", "not-done", refused)
    d.dropped("MedicationStatement", "status-planned", planned)


@wart(WARTS, "statements", "what is stated was also given: the administration of that day outranks the statement")
def stated_and_given(d: Desk) -> None:
    ganciclovir = {"medicationCodeableConcept": concept([coding(ATC, "J05AB06")], "注射用更昔洛韦")}
    given = _given(d, ganciclovir, dose=quantity("250", "mg", "mg"))
    said = _statement(d, ganciclovir, "completed", -1, 1)
    d.put(WARD, given)
    d.put(STATEMENTS, said)
    d.used(given, "CM", CMTRT="注射用更昔洛韦", CMDOSE=250.0, CMSTDTC=f"{d.at:%Y-%m-%dT%H:%M:%S}")
    d.issue(given, "statement-outranked", "CM")
    d.dropped("MedicationStatement", "outranked-statement", said)


@wart(WARTS, "statements", "a statement that UC-MSC was taken proves no exposure")
def product_stated(d: Desk) -> None:
    d.take_arm("MSC")
    d.at -= timedelta(days=40)
    product = {"medicationCodeableConcept": concept([coding(PRODUCT, "UC-MSC")], "脐带间充质干细胞注射液")}
    d.rejected(STATEMENTS, _statement(d, product, "completed", 0, 0), "product-not-administered")


# --- doses and elements of other versions ------------------------------------------------------------------------------


@wart(WARTS, "drugs", "FHIR R5: `medication.concept`, and `occurencePeriod` with its one r")
def release_five(d: Desk) -> None:
    r = _given(d, {"medication": {"concept": ACICLOVIR["medicationCodeableConcept"]}}, dose=quantity("400", "mg", "mg"))
    end = d.at + timedelta(hours=1)
    r["occurencePeriod"] = {"start": r.pop("effectiveDateTime"), "end": fhir.stamp(end)}
    d.put(WARD, r)
    d.used(r, "CM", CMDECOD="ACICLOVIR", CMDOSE=400.0, CMENDTC=f"{end:%Y-%m-%dT%H:%M:%S}")


@wart(WARTS, "drugs", "`completed`, with a Period that has no end")
def end_not_told(d: Desk) -> None:
    r = _given(d, ACICLOVIR, dose=quantity("400", "mg", "mg"))
    r["effectivePeriod"] = {"start": r.pop("effectiveDateTime")}
    d.put(WARD, r)
    d.used(r, "CM", CMSTDTC=f"{d.at:%Y-%m-%dT%H:%M:%S}", CMENDTC="", CMENRTPT="")
    d.issue(r, "end-unknown", "CM")


@wart(WARTS, "drugs", "a dose with a comparator: `<400` mg")
def dose_with_a_comparator(d: Desk) -> None:
    r = _given(d, ACICLOVIR, dose=quantity("400", "mg", "mg", "<"))
    d.put(WARD, r)
    d.used(r, "CM", CMDOSE=None, CMDOSTXT="<400 mg")
    d.issue(r, "dose-not-single", "CM")


@wart(WARTS, "drugs", "no dose, but a rate over a period: 5 mg/h for two hours")
def rate_over_a_period(d: Desk) -> None:
    r = _given(d, ACICLOVIR)
    r["effectivePeriod"] = {"start": r.pop("effectiveDateTime"), "end": fhir.stamp(d.at + timedelta(hours=2))}
    r["dosage"] = {"rateQuantity": {"value": number("5"), "unit": "mg/h", "code": "mg/h"}}
    d.put(WARD, r)
    d.used(r, "CM", CMDOSE=10.0, CMDOSU="mg")


@wart(WARTS, "drugs", "a contained mixture without a code or name, of two antivirals")
def mixture_of_two(d: Desk) -> None:
    parts = [concept([coding(ATC, code)], text) for code, text in (("J05AB01", "阿昔洛韦"), ("J05AB06", "更昔洛韦"))]
    mixture = {"resourceType": "Medication", "id": "mix", "ingredient": [{"itemCodeableConcept": p} for p in parts]}
    r = _given(d, {"contained": [mixture], "medicationReference": {"reference": "#mix"}})
    d.put(WARD, r)
    for name in ("ACICLOVIR", "GANCICLOVIR"):
        d.used(r, "CM", among=2, CMDECOD=name)


@wart(WARTS, "drugs", "the Medication referred to never came in; the reference has a display")
def medication_by_display(d: Desk) -> None:
    r = _given(d, {"medicationReference": {"reference": "Medication/med-nowhere", "display": "阿昔洛韦片"}})
    d.put(WARD, r)
    d.used(r, "CM", CMTRT="阿昔洛韦片", CMDECOD="ACICLOVIR")
    d.issue(r, "named-by-display", "CM")


@wart(WARTS, "drugs", "the Medication referred to never came in, and nothing else names the drug")
def medication_unknown(d: Desk) -> None:
    r = _given(d, {"medicationReference": {"reference": "Medication/med-nowhere"}})
    d.rejected(WARD, r, "medication-not-found", "medication[x]")

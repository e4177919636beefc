"""Warts around a result: when it was taken, what its status says, and whose it is."""

from __future__ import annotations

from datetime import date, timedelta

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.fhir import Resource, encode, quantity
from mappings.trials.pgf_msc.demo.people import EXPORT, MRN_SYSTEM
from mappings.trials.pgf_msc.demo.wart_files import BASE, INTERFACE, LIS, POCT, REGISTRATION, TRANSACTION, uuid
from mappings.trials.pgf_msc.demo.warts import Desk, Wart, wart

LDH, GLUCOSE = "2532-0", "2345-7"
WARTS: list[Wart] = []


def _value(text: str) -> Resource:
    return {"valueQuantity": quantity(text, "U/L", "U/L")}


def _millimoles(text: str) -> Resource:
    return {"valueQuantity": quantity(text, "mmol/L", "mmol/L")}


# --- times -------------------------------------------------------------------------------------------------------------


def _timed(d: Desk, **when: object) -> Resource:
    """Return a result that is dated by other elements than effectiveDateTime."""
    r = d.result(LDH, _value("188"))
    del r["effectiveDateTime"], r["issued"]
    return {**r, **when}


@wart(WARTS, "times", "`2024-02-28T22:30:00Z`: half past six on the leap day at the site")
def leap_day(d: Desk) -> None:
    d.move(date(2024, 2, 29), 6, 30)
    r = {**d.result(LDH, _value("190")), "effectiveDateTime": "2024-02-28T22:30:00Z"}
    d.put(POCT, r)
    d.used(r, LBDTC="2024-02-29T06:30:00")


@wart(WARTS, "times", "`…T15:59:59Z` and `…T16:00:00Z`: the last second of a site day and the first of the next")
def midnight(d: Desk) -> None:
    day = d.at.date()
    for second, value, when in ((59, "191", f"{day}T23:59:59"), (60, "192", f"{day + timedelta(1)}T00:00:00")):
        utc = fhir.moment(day, 15, 59) + timedelta(seconds=second)
        r = {**d.result(LDH, _value(value), fhir.moment(day, 23) + timedelta(hours=3))}
        r["effectiveDateTime"] = f"{utc:%Y-%m-%dT%H:%M:%SZ}"
        d.put(POCT, r)
        d.used(r, LBDTC=when)


@wart(WARTS, "times", "a date without a day")
def partial_date(d: Desk) -> None:
    r = _timed(d, effectiveDateTime=f"{d.at:%Y-%m}")
    d.put(INTERFACE, r)
    d.used(r, LBDTC=f"{d.at:%Y-%m}", LBDY=None)


@wart(WARTS, "times", "`effectivePeriod`: a collection over a day")
def collected_over_a_day(d: Desk) -> None:
    start, end = d.at - timedelta(days=1), d.at
    r = _timed(d, effectivePeriod={"start": fhir.stamp(start), "end": fhir.stamp(end)})
    d.put(POCT, r)
    d.used(r, LBDTC=f"{start:%Y-%m-%dT%H:%M:%S}", LBENDTC=f"{end:%Y-%m-%dT%H:%M:%S}")


@wart(WARTS, "times", "`issued` is the only time")
def issued_only(d: Desk) -> None:
    r = _timed(d, issued=fhir.stamp(d.at))
    d.put(INTERFACE, r)
    d.used(r, LBDTC=f"{d.at:%Y-%m-%dT%H:%M:%S}")
    d.issue(r, "date-from-issued")


@wart(WARTS, "times", "30 February")
def no_such_day(d: Desk) -> None:
    r = _timed(d, effectiveDateTime=f"{d.at:%Y}-02-30")
    d.put(INTERFACE, r)
    d.used(r, LBDTC="")
    d.issue(r, "date-malformed")


@wart(WARTS, "times", "a result dated four days after it was last updated")
def ahead_of_its_update(d: Desk) -> None:
    r = d.result(LDH, _value("193"), d.at - timedelta(days=4))
    d.put(INTERFACE, r)
    d.used(r, LBDTC=f"{d.at:%Y-%m-%dT%H:%M:%S}")
    d.issue(r, "date-in-future")


# --- statuses and modifiers --------------------------------------------------------------------------------------------


@wart(WARTS, "statuses", "the status `final ` with a blank at its end")
def trailing_blank(d: Desk) -> None:
    r = d.result(GLUCOSE, _millimoles("5.1"), status="final ")
    d.put(INTERFACE, r)
    d.used(r, LBORRES="5.1")


@wart(WARTS, "statuses", "the status `done`, which FHIR does not know")
def status_of_its_own(d: Desk) -> None:
    d.rejected(INTERFACE, d.result(GLUCOSE, _millimoles("5.2"), status="done"), "no-status", "status")


@wart(WARTS, "statuses", "the status `unknown`")
def status_unknown(d: Desk) -> None:
    r = d.result(GLUCOSE, _millimoles("5.3"), status="unknown")
    d.put(INTERFACE, r)
    d.dropped("Observation", "status-unknown", r)


@wart(WARTS, "statuses", "a `modifierExtension`, which may turn the meaning round")
def modifier_extension(d: Desk) -> None:
    modifier = [{"url": "urn:oid:2.16.156.999999.8", "valueBoolean": True}]
    r = d.result(GLUCOSE, _millimoles("5.4"), modifierExtension=modifier)
    d.rejected(INTERFACE, r, "held-back-modifier", "modifierExtension")


@wart(WARTS, "statuses", "`implicitRules`")
def implicit_rules(d: Desk) -> None:
    r = d.result(GLUCOSE, _millimoles("5.5"), implicitRules=f"{BASE}/rules")
    d.rejected(INTERFACE, r, "held-back-modifier", "implicitRules")


@wart(WARTS, "statuses", "an extension that nobody knows, with Chinese text")
def unknown_extension(d: Desk) -> None:
    r = d.result(GLUCOSE, _millimoles("5.7"), extension=[{"url": "urn:oid:2.16.156.999999.9", "valueString": "床旁"}])
    d.put(LIS, r)
    d.used(r, LBORRES="5.7")


# --- whose it is -------------------------------------------------------------------------------------------------------


def _of(d: Desk, subject: Resource, text: str) -> Resource:
    return {**d.result(GLUCOSE, _millimoles(text)), "subject": subject}


@wart(WARTS, "references", "an absolute reference that names a version: `https://…/Patient/…/_history/2`")
def absolute_reference(d: Desk) -> None:
    r = _of(d, fhir.reference(f"{BASE}/{d.patient}/_history/2"), "6.1")
    d.put(POCT, r)
    d.used(r, LBORRES="6.1")


@wart(WARTS, "references", "the patient is named by his medical record number only (`identifier`)")
def identifier_only(d: Desk) -> None:
    r = _of(d, {"identifier": {"system": MRN_SYSTEM, "value": d.person.mrn}}, "6.2")
    d.put(INTERFACE, r)
    d.used(r, LBORRES="6.2")


@wart(WARTS, "references", "a conditional reference: `Patient?identifier=…`")
def conditional_reference(d: Desk) -> None:
    r = _of(d, fhir.reference(f"Patient?identifier={MRN_SYSTEM}|{d.person.mrn}"), "6.3")
    d.put(TRANSACTION, r)
    d.used(r, LBORRES="6.3")


@wart(WARTS, "references", "a medical record number that nobody has")
def nobody_s_number(d: Desk) -> None:
    r = _of(d, {"identifier": {"system": MRN_SYSTEM, "value": "MRN00000000"}}, "6.4")
    d.rejected(INTERFACE, r, "subject-unresolved", told=False)


@wart(WARTS, "references", "a dangling reference, to a Patient that never came in")
def dangling_reference(d: Desk) -> None:
    r = _of(d, fhir.reference("Patient/pt-nobody"), "6.5")
    d.put(INTERFACE, r)
    d.dropped("Observation", "not-a-subject", r)


@wart(WARTS, "references", "a patient who is only contained in the result")
def contained_patient(d: Desk) -> None:
    r = _of(d, fhir.reference("#p"), "6.6")
    r["contained"] = [{"resourceType": "Patient", "id": "p", "gender": "unknown"}]
    d.rejected(INTERFACE, r, "no-subject", told=False)


@wart(WARTS, "references", "`urn:uuid` references inside a transaction Bundle, beside a copy of the Patient")
def urn_reference(d: Desk) -> None:
    patient = fhir.patient(d.person, fhir.moment(d.person.last, 1))
    patient["meta"]["versionId"] = "0"
    entry = d.line(TRANSACTION, encode(patient), "Patient")
    r = _of(d, fhir.reference(uuid(entry)), "6.7")
    d.put(TRANSACTION, r)
    d.used(r, LBORRES="6.7")
    d.dropped("Patient", "superseded-version", count=1)


@wart(WARTS, "people", "`active` false without a link: the record is closed, the person is still the subject")
def inactive_patient(d: Desk) -> None:
    patient = fhir.patient(d.person, fhir.moment(d.person.last, 1))
    patient["active"] = False
    patient["meta"] = fhir.meta(fhir.moment(EXPORT, 5), 2)
    d.put(REGISTRATION, patient)
    sex = {"male": "M", "female": "F"}.get(d.person.gender, "U")
    d.used(patient, "DM", SUBJID=d.person.subjid, SEX=sex, version="2")
    d.dropped("Patient", "superseded-version", count=1)


@wart(WARTS, "people", "a chain of merges: the oldest record is replaced by one that is itself replaced")
def merged_twice(d: Desk) -> None:
    oldest, older = d.rid(), d.rid()
    for own, survivor, mrn in ((oldest, older, "OLD-1"), (older, d.person.pid, "OLD-2")):
        link = [{"other": fhir.reference(f"Patient/{survivor}"), "type": "replaced-by"}]
        record: Resource = {"resourceType": "Patient", "id": own, "meta": fhir.meta(d.at)}
        record |= {"identifier": [{"system": MRN_SYSTEM, "value": f"{mrn}{d.person.index:04d}"}], "active": False}
        d.put(
            REGISTRATION, {**record, "gender": d.person.gender, "birthDate": d.person.birth.isoformat(), "link": link}
        )
    r = _of(d, fhir.reference(f"Patient/{oldest}"), "6.8")
    d.put(POCT, r)
    d.used(r, LBORRES="6.8", USUBJID=f"PGFMSC-01-{d.person.subjid}")
    d.dropped("Patient", "not-needed", count=2)


@wart(WARTS, "people", "a result filed under the subject, of a Specimen that was taken from the donor")
def specimen_of_the_donor(d: Desk) -> None:
    tube = fhir.specimen(d.rid(), "Patient/pt-donor", ("119297000", "Blood specimen"), fhir.stamp(d.at), d.at)
    r = d.result(GLUCOSE, _millimoles("6.9"), specimen=fhir.reference(f"Specimen/{tube['id']}"))
    d.put(INTERFACE, tube, r)
    d.dropped("Observation", "about-somebody-else", r)
    d.dropped("Specimen", "not-a-subject", tube)


@wart(WARTS, "people", "the time of collection stands in the Specimen only")
def time_of_the_specimen(d: Desk) -> None:
    tube = fhir.specimen(d.rid(), d.patient, ("119364003", "Serum specimen"), fhir.stamp(d.at), d.at)
    r = _timed(d, specimen=fhir.reference(f"Specimen/{tube['id']}"))
    d.put(POCT, tube, r)
    d.used(r, LBDTC=f"{d.at:%Y-%m-%dT%H:%M:%S}", LBSPEC="SERUM")

"""Made-up people of the trial as plain facts, and the FHIR lines and the enrolment log that a hospital would send of them.

Days are study days of the randomisation: day 1 is RANDOMISED, day -1 the day before; there is no day 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from tests.lines import Json, line_of
from tests.own import ATC, LOINC, UCUM

RANDOMISED = date(2024, 3, 4)
CUT = "2025-06-30"
CRITERIA = {f"ie_INCL{i:02d}": "Y" for i in range(1, 7)} | {f"ie_EXCL{i:02d}": "N" for i in range(1, 9)}
LOG = {
    "patient": "",
    "subjid": "",
    "siteid": "01",
    "arm": "MSC",
    "consent_date": "2024-02-20",
    "randomisation_date": RANDOMISED.isoformat(),
    "withdrawal_date": "",
    "withdrawal_type": "",
    "withdrawal_reason": "",
    "pgf_date": "",
    **CRITERIA,
}
TESTS = {"ANC": ("26499-4", "10*9/L"), "PLT": ("777-3", "10*9/L"), "HGB": ("718-7", "g/L")}
DRUGS = {
    "g_csf": {"coding": [{"system": ATC, "code": "L03AA02"}], "text": "Filgrastim"},
    "rhtpo": {"text": "rhTPO"},
    "tpo_ra": {"coding": [{"system": ATC, "code": "B02BX05"}], "text": "Eltrombopag"},
    "platelets": {"coding": [{"system": ATC, "code": "B05AX02"}], "text": "Platelets"},
    "red_cells": {"coding": [{"system": ATC, "code": "B05AX01"}], "text": "Red cells"},
}
CODES = {
    "10*6/kg": "10^6/kg",
    "10*6": "10^6",
    "ug/kg": "ug/kg",
    "ug": "ug",
    "U/kg": "U/kg",
    "U": "U",
    "{tbl}": "片",
    "ug/kg/d": "ug/kg/day",
}


def at(day: int) -> date:
    """Return the date of a study day of the randomisation."""
    assert day, "there is no day 0"
    return RANDOMISED + timedelta(days=day - (day > 0))


def on(day: int) -> str:
    return at(day).isoformat()


@dataclass(frozen=True)
class Infusion:
    """An administration of the product. unit: 10*6/kg, or 10*6 in all; dose None: not recorded."""

    day: int
    dose: float | None = 1
    unit: str = "10*6/kg"
    status: str = "completed"
    reason: str = ""
    time: str = "T10:00:00+08:00"


@dataclass(frozen=True)
class Given:
    """A drug or blood product of a group of the trial, from a first to a last day; last None: of that day alone."""

    group: str
    first: int
    dose: float | None
    unit: str
    last: int | None = None


@dataclass(frozen=True)
class Event:
    """An adverse event with its dates as recorded, complete, partial or empty."""

    term: str
    start: str = ""
    end: str = ""


@dataclass
class Person:
    """One person. Everything that is not said did not happen; a visit on `seen` shows that the person was alive."""

    name: str
    log: dict[str, str] = field(default_factory=dict)
    born: str = "1980-02-29"
    transplant: date | None = date(2024, 1, 10)
    infusions: Sequence[Infusion] = ()
    weights: Sequence[tuple[int, float]] = ((-3, 60),)
    given: Sequence[Given] = ()
    counts: dict[str, dict[int, str]] = field(default_factory=dict)
    relapses: Sequence[str] = ()
    events: Sequence[Event] = ()
    died: str = ""
    seen: int | None = 100

    @property
    def arm(self) -> str:
        return self.log.get("arm", LOG["arm"])


def lines_of(p: Person) -> list[Json]:
    """Return the resources of a person."""
    mine = {"reference": f"Patient/{p.name}"}
    made: list[Json] = []

    def add(kind: str, **elements: object) -> str:
        name = f"{p.name}-{len(made)}"
        made.append({"resourceType": kind, "id": name, "subject": mine, **elements})
        return f"{kind}/{name}"

    def quantity(value: float | str, code: str) -> Json:
        return {"value": float(value), "unit": CODES.get(code, code), "system": UCUM, "code": code}

    def observed(code: str, when: str, value: float | str, unit: str) -> None:
        what = {"coding": [{"system": LOINC, "code": code}]}
        add("Observation", status="final", code=what, effectiveDateTime=when, valueQuantity=quantity(value, unit))

    if p.transplant is not None:
        graft = {"coding": [{"system": "http://snomed.info/sct", "code": "234336002"}], "text": "Allogeneic transplant"}
        add("Procedure", status="completed", code=graft, performedDateTime=p.transplant.isoformat())
    for day, kg in p.weights:
        observed("29463-7", on(day), kg, "kg")
    if p.seen is not None:
        observed("8867-4", on(p.seen), 80, "/min")
    for analyte, values in p.counts.items():
        code, unit = TESTS[analyte]
        for day, value in values.items():
            observed(code, on(day) + "T07:00:00+08:00", value, unit)
    for i in p.infusions:
        product = {"coding": [{"system": "urn:pgf-msc:product", "code": "UC-MSC"}]}
        more: Json = {} if i.dose is None else {"dosage": {"dose": quantity(i.dose, i.unit)}}
        more |= {"statusReason": [{"text": i.reason}]} if i.reason else {}
        add(
            "MedicationAdministration",
            status=i.status,
            medicationCodeableConcept=product,
            effectiveDateTime=on(i.day) + i.time,
            **more,
        )
    for g in p.given:
        when: Json = {"effectiveDateTime": on(g.first)}
        if g.last is not None:
            when = {"effectivePeriod": {"start": on(g.first), "end": on(g.last)}}
        dose: Json = {} if g.dose is None else {"dosage": {"dose": quantity(g.dose, g.unit)}}
        add(
            "MedicationAdministration",
            status="completed",
            medicationCodeableConcept=DRUGS[g.group],
            **when,
            **dose,
        )
    for dtc in p.relapses:
        code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C91.02"}], "text": "Relapse"}
        add("Condition", verificationStatus=CONFIRMED, code=code, onsetDateTime=dtc)
    for e in p.events:
        more = {"date": e.start} if e.start else {}
        if e.end:
            over = add("Condition", verificationStatus=CONFIRMED, code={"text": e.term}, abatementDateTime=e.end)
            more["resultingCondition"] = [{"reference": over}]
        add("AdverseEvent", actuality="actual", event={"text": e.term}, **more)
    person: Json = {"resourceType": "Patient", "id": p.name, "gender": "female", "birthDate": p.born}
    return [person | ({"deceasedDateTime": p.died} if p.died else {}), *made]


CONFIRMED = {"coding": [{"code": "confirmed"}]}


def write_clinic(folder: Path, people: Iterable[Person]) -> tuple[Path, Path]:
    """Write the FHIR files and the enrolment log; return the folder of the files and the log."""
    fhir, log = folder / "fhir", folder / "enrolment.csv"
    fhir.mkdir(parents=True)
    rows = [",".join(LOG)]
    with open(fhir / "people.ndjson", "wb") as f:
        for n, p in enumerate(people, 101):
            f.writelines(line_of(x) + b"\n" for x in lines_of(p))
            rows.append(",".join((LOG | {"patient": p.name, "subjid": str(n)} | p.log).values()))
    log.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return fhir, log

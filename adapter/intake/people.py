"""Patient, Consent, ResearchSubject -> rows. Names, addresses, telecom, photos and contacts are never read."""

from __future__ import annotations

from typing import Any

from adapter.intake.reading import NO_DATE, Reading, bare_codes
from adapter.intake.structs import Consent, Extension, Patient, ResearchSubject

Row = tuple[Any, ...]
RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
ETHNICITY = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity"


def patient_rows(r: Patient, read: Reading, head: Row) -> list[Row]:
    """Return the row of one Patient: gender, birth, death, race and ethnicity (us-core), replaced-by link."""
    birth = read.date(r.birthDate, "birthDate")
    died = read.date(r.deceasedDateTime, "deceasedDateTime") if r.deceasedDateTime is not None else NO_DATE
    if r.deceasedBoolean is False and r.deceasedDateTime is not None:
        read.notes.append("death-contradicted@deceasedBoolean")
    deceased = True if r.deceasedDateTime is not None else r.deceasedBoolean
    replaced = [read.referred(x.other, "Patient") for x in r.link or () if x.type == "replaced-by"]
    survivor = replaced[0] if replaced else None
    race, ethnicity = _omb(r.extension, RACE), _omb(r.extension, ETHNICITY)
    return [(*head, "", read.take_notes(), r.gender, *birth, deceased, *died, race, ethnicity, survivor)]


def _omb(extensions: list[Extension] | None, url: str) -> str | None:
    found = [
        part.valueCoding.code
        for e in extensions or ()
        if e.url == url
        for part in e.extension or ()
        if part.url == "ombCategory" and part.valueCoding is not None and part.valueCoding.code
    ]
    return "\n".join(sorted(found)) or None


def consent_rows(r: Consent, read: Reading, head: Row) -> list[Row]:
    """Return the row of one Consent: what it is about, and when it was given."""
    date = read.date(r.dateTime, "dateTime")
    return [(*head, "", read.take_notes(), bare_codes([r.scope]) if r.scope is not None else None, *date)]


def research_subject_rows(r: ResearchSubject, read: Reading, head: Row) -> list[Row]:
    """Return the row of one ResearchSubject: arm and period."""
    start = read.date(r.period.start, "period.start") if r.period else NO_DATE
    end = read.date(r.period.end, "period.end") if r.period else NO_DATE
    return [(*head, "", read.take_notes(), r.actualArm or r.assignedArm, *start, *end)]

"""Resources of one subject each, for builds that hold many cases: `@` stands for the subject's own id, ids begin with it."""

from __future__ import annotations

from typing import Any

from tests.lines import Json, changed, line_of

MINE = {"reference": "Patient/@"}
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
ATC = "http://www.whocc.no/atc"
PLATELETS = {"coding": [{"system": LOINC, "code": "777-3"}]}
COUNT = {"value": 20, "unit": "10*9/L", "system": UCUM, "code": "10*9/L"}
LAB: Json = {
    "resourceType": "Observation",
    "id": "@-1",
    "status": "final",
    "code": PLATELETS,
    "subject": MINE,
    "effectiveDateTime": "2024-01-05T08:00:00+08:00",
    "valueQuantity": COUNT,
}
DRUG: Json = {
    "resourceType": "MedicationAdministration",
    "id": "@-1",
    "status": "completed",
    "medicationCodeableConcept": {"coding": [{"system": ATC, "code": "L03AA02"}], "text": "G-CSF"},
    "subject": MINE,
    "effectiveDateTime": "2024-01-05",
}
DOSE = changed(
    DRUG,
    medicationCodeableConcept={"coding": [{"system": "urn:pgf-msc:product", "code": "UC-MSC"}]},
    effectiveDateTime="2024-01-02",  # the day of randomisation, so that study days stay as they are
    dosage={"dose": {"value": 1, "unit": "10*6/kg", "code": "10*6/kg"}},
)
DONE: Json = {
    "resourceType": "Procedure",
    "id": "@-1",
    "status": "completed",
    "code": {"coding": [{"system": "http://snomed.info/sct", "code": "49401003"}], "text": "Marrow aspirate"},
    "subject": MINE,
    "performedDateTime": "2024-01-05",
}
PERSON: Json = {"resourceType": "Patient", "id": "@", "gender": "female", "birthDate": "1980-02-29"}


def bundle(type_: str, *entries: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries), **more}


def of_subject(own: str, line: Any) -> bytes:
    """Return a line of the subject with this id."""
    return line_of(line).replace(b"@", own.encode())

"""Lines of NDJSON for tests of intake, and what intake makes of them. Patient/s is a subject, nobody else is."""

from __future__ import annotations

import io
import json
from datetime import date
from typing import Any

from adapter.identify import LOOK_UPS
from adapter.intake.dates import SiteClock
from adapter.intake.intake import intake
from adapter.intake.reading import LookUp, Reading
from adapter.intake.taken import Taken
from adapter.site import Keyer

Json = dict[str, Any]
KEYER = Keyer(bytes(range(32)))
SUBJECT, STRANGER = "Patient/s", "Patient/x"
LOINC = "http://loinc.org"
CLOCK = SiteClock("Asia/Shanghai")

OBSERVATION: Json = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"coding": [{"system": LOINC, "code": "777-3"}]},
    "subject": {"reference": SUBJECT},
    "effectiveDateTime": "2024-01-01T23:30:00Z",
    "valueQuantity": {"value": 20, "unit": "10^9/L", "system": "http://unitsofmeasure.org", "code": "10*9/L"},
}
ADMINISTRATION: Json = {
    "resourceType": "MedicationAdministration",
    "id": "a1",
    "status": "completed",
    "medicationCodeableConcept": {"coding": [{"system": "urn:p", "code": "MSC", "display": "间充质干细胞"}]},
    "subject": {"reference": SUBJECT},
    "effectiveDateTime": "2024-01-02",
}
PROCEDURE: Json = {
    "resourceType": "Procedure",
    "id": "p1",
    "status": "completed",
    "code": {"text": "血小板输注"},
    "subject": {"reference": SUBJECT},
    "performedDateTime": "2024-01-02",
}
STATEMENT: Json = {
    "resourceType": "MedicationStatement",
    "id": "t1",
    "status": "completed",
    "medicationCodeableConcept": {"text": "tacrolimus"},
    "subject": {"reference": SUBJECT},
    "effectivePeriod": {"start": "2024-01-02", "end": "2024-01-09"},
    "dateAsserted": "2024-01-10",
}
SUPPLY: Json = {
    "resourceType": "SupplyDelivery",
    "id": "d1",
    "status": "completed",
    "patient": {"reference": SUBJECT},
    "suppliedItem": {"quantity": {"value": 1, "unit": "U"}, "itemCodeableConcept": {"text": "apheresis platelets"}},
    "occurrenceDateTime": "2024-01-02",
}
DISPENSE: Json = {
    "resourceType": "BiologicallyDerivedProductDispense",
    "id": "b1",
    "status": "issued",
    "patient": {"reference": SUBJECT},
    "product": {"display": "apheresis platelets"},
    "whenHandedOver": "2024-01-02",
}
REPORT: Json = {
    "resourceType": "DiagnosticReport",
    "id": "r1",
    "status": "final",
    "code": {"coding": [{"system": LOINC, "code": "58410-2"}]},
    "subject": {"reference": SUBJECT},
    "effectiveDateTime": "2024-01-02",
    "contained": [{k: v for k, v in OBSERVATION.items() if k != "subject"}],
    "result": [{"reference": "#o1"}],
}
PATIENT: Json = {"resourceType": "Patient", "id": "s", "gender": "female", "birthDate": "1980-02-29"}
SPECIMEN: Json = {"resourceType": "Specimen", "id": "sp", "subject": {"reference": SUBJECT}}
CONSENT: Json = {
    "resourceType": "Consent",
    "id": "c1",
    "status": "active",
    "patient": {"reference": SUBJECT},
    "dateTime": "2024-01-02",
}
RESEARCH_SUBJECT: Json = {
    "resourceType": "ResearchSubject",
    "id": "r1",
    "status": "on-study",
    "individual": {"reference": SUBJECT},
}
CONDITION: Json = {
    "resourceType": "Condition",
    "id": "k1",
    "verificationStatus": {"coding": [{"code": "confirmed"}]},
    "code": {"text": "肺炎"},
    "subject": {"reference": SUBJECT},
    "onsetDateTime": "2024-01-02",
}
ADVERSE_EVENT: Json = {
    "resourceType": "AdverseEvent",
    "id": "e1",
    "actuality": "actual",
    "event": {"text": "发热"},
    "subject": {"reference": SUBJECT},
    "date": "2024-01-02",
}
ENCOUNTER: Json = {
    "resourceType": "Encounter",
    "id": "n1",
    "status": "finished",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    "subject": {"reference": SUBJECT},
    "period": {"start": "2024-01-02", "end": "2024-01-09"},
}
CLINICAL = (CONDITION, ADVERSE_EVENT, ENCOUNTER)
EVENTS = (ADMINISTRATION, STATEMENT, PROCEDURE, SUPPLY, DISPENSE)
ALL = (OBSERVATION, REPORT, *EVENTS, *CLINICAL, SPECIMEN, CONSENT, RESEARCH_SUBJECT)


def changed(resource: Json, **elements: Any) -> Json:
    """Return a copy with elements replaced; `...` takes an element away."""
    return {k: v for k, v in (resource | elements).items() if v is not ...}


def of_stranger(resource: Json) -> Json:
    """Return the same resource about a patient who is no subject."""
    other = dict(resource)
    for name in ("subject", "patient", "individual"):
        if name in other:
            other[name] = {"reference": STRANGER}
    if other["resourceType"] == "Patient":
        other["id"] = "x"
    return other


def line_of(resource: Any) -> bytes:
    if isinstance(resource, bytes):
        return resource
    if isinstance(resource, str):
        return resource.encode()
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def take(*resources: Any, look_ups: dict[str, LookUp] | None = None, lots: tuple[str, ...] = (), **more: Any) -> Taken:
    """Return what intake makes of these lines, the first of which stands at line 11, byte 700, of file 3."""
    data = b"".join(line_of(r) + b"\n" for r in resources)
    found = {KEYER.keyed(name): x for name, x in (look_ups or {}).items()}
    return intake(
        io.BytesIO(data), Reading(CLOCK, KEYER, {KEYER.keyed(SUBJECT): 0}, found, lots, **more), 16, 3, 11, 700
    )


def rows(taken: Taken, kind: str) -> list[Json]:
    found: list[Json] = taken.tables[kind].sort_by([("line", "ascending")]).to_pylist() if kind in taken.tables else []
    return found


def row(resource: Json, **more: Any) -> Json:
    """Return the only row of a resource."""
    taken = take(resource, **more)
    assert not taken.rejects, taken.rejects
    found = rows(taken, resource["resourceType"])
    assert len(found) == 1
    return found[0]


def picked(row: Json, *names: str) -> tuple[Any, ...]:
    return tuple(row[n] for n in names)


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def balanced(taken: Taken) -> None:
    """Check read = kept + dropped for every resource type; look-ups are neither."""
    # of a Specimen of somebody else only the keyed id is kept, in place of the patient too
    kept: dict[str, set[int]] = {
        k: {r["line"] for r in t.to_pylist() if k != "Specimen" or r["pat"] != r["rid"]}
        for k, t in taken.tables.items()
    }
    for kind in taken.read:
        dropped = sum(n for (k, _), n in taken.dropped.items() if k == kind)
        if kind not in LOOK_UPS:
            assert taken.read[kind] == len(kept.get(kind, ())) + dropped, kind
    assert {k for k, _ in taken.dropped} <= set(taken.read)
    assert len(taken.links) == sum(map(len, kept.values()))

"""Which resource types are read, how each is decoded, and which of its statuses FHIR knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from adapter.intake import (
    clinical,
    clinical_structs,
    event_structs,
    events,
    observation,
    people,
    reports,
    structs,
    supplies,
)
from adapter.intake.observation import ObservationRows
from adapter.intake.reading import Reading
from adapter.intake.rows import PlainRows, Rows

CONSENT_STATUSES = frozenset(["draft", "proposed", "active", "rejected", "inactive", "entered-in-error"])
RESEARCH_SUBJECT_STATUSES = frozenset(
    "candidate eligible follow-up ineligible not-registered off-study on-study on-study-intervention "
    "on-study-observation pending-on-study potential-candidate screening withdrawn "
    "draft active retired unknown".split()  # of R5, about the record
)
SPECIMEN_STATUSES = frozenset(["available", "unavailable", "unsatisfactory", "entered-in-error"])
FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Reader:
    """How one resource type is read. `struct`: the elements that are read.

    `statuses` is None where the type has no status, `strict` where FHIR demands one.
    """

    struct: type[msgspec.Struct]
    subject: Callable[[Any], bytes]
    rows: Callable[[Reading], Rows]
    statuses: frozenset[str] | None
    strict: bool = True
    decode: Callable[[bytes], Any] = field(init=False)
    has_status: bool = field(init=False)
    usual: frozenset[str | None] = field(init=False)

    def __post_init__(self) -> None:
        # set once, because they are asked for every line; usual: statuses that need no second look
        object.__setattr__(self, "decode", msgspec.json.Decoder(self.struct).decode)
        object.__setattr__(self, "has_status", self.statuses is not None)
        object.__setattr__(self, "usual", self.statuses if self.statuses is not None else frozenset([None]))


def _subject(r: Any) -> bytes:
    return bytes(r.subject)


def _itself(r: Any) -> bytes:
    """Return the reference to a Patient resource itself; empty where its id is no FHIR id."""
    return msgspec.json.encode({"reference": f"Patient/{r.id}"}) if r.id and FHIR_ID.fullmatch(r.id) else b""


def _plain(
    kind: str, rows: Callable[[Any, Reading, tuple[Any, ...]], list[tuple[Any, ...]]]
) -> Callable[[Reading], Rows]:
    return lambda _: PlainRows(kind, rows)


READERS: dict[str, Reader] = {
    "Observation": Reader(structs.Observation, _subject, ObservationRows, observation.STATUSES),
    "DiagnosticReport": Reader(reports.DiagnosticReport, _subject, reports.ReportRows, reports.STATUSES),
    "MedicationAdministration": Reader(
        event_structs.MedicationAdministration,
        _subject,
        _plain("MedicationAdministration", events.administration_rows),
        events.EVENT_STATUSES - {"preparation"},
    ),
    "MedicationStatement": Reader(
        event_structs.MedicationStatement,
        _subject,
        _plain("MedicationStatement", events.statement_rows),
        events.STATEMENT_STATUSES,
    ),
    "Procedure": Reader(
        event_structs.Procedure,
        _subject,
        _plain("Procedure", events.procedure_rows),
        events.EVENT_STATUSES,
    ),
    "SupplyDelivery": Reader(
        event_structs.SupplyDelivery,
        supplies.supply_subject,
        _plain("SupplyDelivery", supplies.supply_rows),
        supplies.SUPPLY_STATUSES,
        strict=False,
    ),
    "BiologicallyDerivedProductDispense": Reader(
        event_structs.BiologicallyDerivedProductDispense,
        lambda r: bytes(r.patient),
        _plain("BiologicallyDerivedProductDispense", supplies.dispense_rows),
        supplies.DISPENSE_STATUSES,
    ),
    "Specimen": Reader(
        structs.Specimen,
        _subject,
        _plain("Specimen", events.specimen_rows),
        SPECIMEN_STATUSES,
        strict=False,
    ),
    "Patient": Reader(
        structs.Patient,
        _itself,
        _plain("Patient", people.patient_rows),
        None,
    ),
    "Consent": Reader(
        structs.Consent,
        lambda r: bytes(r.patient),
        _plain("Consent", people.consent_rows),
        CONSENT_STATUSES,
    ),
    "ResearchSubject": Reader(
        structs.ResearchSubject,
        lambda r: bytes(r.individual or r.subject),
        _plain("ResearchSubject", people.research_subject_rows),
        RESEARCH_SUBJECT_STATUSES,
    ),
    # verificationStatus and actuality are no `status`; their reader looks after them
    "Condition": Reader(
        clinical_structs.Condition,
        _subject,
        _plain("Condition", clinical.condition_rows),
        None,
    ),
    "AdverseEvent": Reader(
        clinical_structs.AdverseEvent,
        _subject,
        _plain("AdverseEvent", clinical.adverse_event_rows),
        None,
    ),
    "Encounter": Reader(
        clinical_structs.Encounter,
        _subject,
        _plain("Encounter", clinical.encounter_rows),
        clinical.ENCOUNTER_STATUSES,
    ),
}

NO_INTAKE = frozenset(["MedicationRequest", "MedicationDispense"])
"""Resource types that are no proof that anything was taken (fhir-input point 16), whatever their status or intent."""

"""The columns of the intake tables: what is kept of each resource type, and which FHIR element each column holds.

A row is one fact: a resource, one component of an Observation, or a result that a DiagnosticReport contains. The first
columns are its provenance.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

KEYED = pa.binary(16)
TEXT = pa.string()
DAY = pa.int32()  # days since 1970-01-01 at the site
MICROS = pa.int64()  # microseconds since 1970-01-01T00:00 on the site's clock


class Column(NamedTuple):
    name: str
    type: pa.DataType
    fhir: str


PROVENANCE = (
    Column("pat", KEYED, "keyed id of the patient"),
    Column("rid", KEYED, "keyed id of the resource"),
    Column("sha", KEYED, "first 16 bytes of the SHA-256 of the resource's bytes"),
    Column("updated", MICROS, "meta.lastUpdated, in UTC"),
    Column("version", TEXT, "meta.versionId"),
    Column("file", pa.int32(), "number of the input file"),
    Column("line", pa.int64(), "line in that file, from 1"),
    Column("status", TEXT, "status"),
    Column("element", TEXT, "element inside the resource that the row stands for; empty for the resource itself"),
    Column("notes", TEXT, "reason codes of elements that were left out, with their paths"),
)


def dated(prefix: str, fhir: str) -> tuple[Column, ...]:
    """Return the three columns of one date: its SDTM text, its site day, its clock time (where it has one)."""
    return (
        Column(f"{prefix}dtc", TEXT, fhir),
        Column(f"{prefix}day", DAY, fhir),
        Column(f"{prefix}micros", MICROS, fhir),
    )


def happened(stem: str) -> tuple[Column, ...]:
    """Return the columns of when an event took place (adapter.intake.timing.When)."""
    return (
        *dated("", f"{stem}DateTime or {stem}Period.start"),
        *dated("end_", f"{stem}Period.end"),
        Column("open", pa.bool_(), f"{stem}Period has a start and no end"),
        Column("words", TEXT, f"{stem}[x] where it is no date: Timing, string, Age, Range"),
    )


def quantity(element: str) -> tuple[Column, ...]:
    return (
        Column("dose", TEXT, f"{element}.value"),
        Column("dose_unit", TEXT, f"{element}.code"),
        Column("dose_unit_text", TEXT, f"{element}.unit"),
    )


INGREDIENTS = Column("ingredients", TEXT, "of a mixture without a code: JSON of [codings, name] per ingredient")
DOSAGE = (
    *quantity("dosage.dose"),
    Column("rate", TEXT, "dosage.rateQuantity.value, or rateRatio.numerator.value"),
    Column("rate_unit", TEXT, "dosage.rateQuantity.code, else .unit; or of rateRatio.numerator"),
    Column("rate_per", TEXT, "dosage.rateRatio.denominator.value"),
    Column("rate_per_unit", TEXT, "dosage.rateRatio.denominator.code, else .unit"),
    Column("dose_text", TEXT, "dosage.text, and what is no single dose: several, a range, a rate alone"),
    Column("route", TEXT, "dosage.route.coding as system|code"),
    Column("route_text", TEXT, "dosage.route.text, else the first coding's display"),
)
"""The columns of adapter.intake.dosage.Dose."""

REASONS = (
    Column("status_reason", TEXT, "statusReason.text, else the first coding's display"),
    Column("indication", TEXT, "reasonCode.text, else the first coding's display"),
)

NOTE = (Column("note", TEXT, "note.text, where the trial lets texts out"), *dated("note_", "note.time"))


TABLES: dict[str, tuple[Column, ...]] = {
    "Observation": (
        *PROVENANCE,
        Column("code", TEXT, "code.coding as system|code, one per line"),
        Column("code_text", TEXT, "code.text, else the first coding's display"),
        Column("category", TEXT, "category.coding.code"),
        Column(
            "kind", TEXT, "which value[x]: quantity, string, concept, integer, boolean, range, text, other, or empty"
        ),
        Column("value", TEXT, "value[x]"),
        Column("value_code", TEXT, "valueCodeableConcept.coding as system|code"),
        Column("comparator", TEXT, "valueQuantity.comparator"),
        Column("unit_code", TEXT, "valueQuantity.code"),
        Column("unit_system", TEXT, "valueQuantity.system"),
        Column("unit_text", TEXT, "valueQuantity.unit"),
        Column("absent", TEXT, "dataAbsentReason.coding.code, else the data-absent-reason extension of value[x]"),
        *dated("", "effective[x]"),
        *dated("end_", "effectivePeriod.end"),
        Column("interpretation", TEXT, "interpretation.coding.code"),
        Column("low", TEXT, "referenceRange.low.value"),
        Column("high", TEXT, "referenceRange.high.value"),
        Column("low_unit", TEXT, "referenceRange.low.code, else .unit"),
        Column("high_unit", TEXT, "referenceRange.high.code, else .unit"),
        Column("range_text", TEXT, "referenceRange.text, else its limits as text"),
        Column(
            "ranges", TEXT, "referenceRange, where one of several may apply: their limits, population and age as JSON"
        ),
        Column("method", TEXT, "method.text, else its first display"),
        Column("specimen", KEYED, "keyed id of specimen"),
        Column("focus", pa.bool_(), "focus exists"),
        Column("members", pa.bool_(), "hasMember or component exists"),
    ),
    "MedicationAdministration": (
        *PROVENANCE,
        Column("code", TEXT, "medication[x].coding as system|code; of a mixture, those of its ingredients"),
        Column("code_text", TEXT, "medication[x].text, else the first coding's display"),
        Column("form", TEXT, "Medication.form.text, else its first display"),
        Column("lot", TEXT, "Medication.batch.lotNumber, else BiologicallyDerivedProduct.identifier"),
        Column("expires", TEXT, "Medication.batch.expirationDate"),
        INGREDIENTS,
        *happened("effective"),
        *DOSAGE,
        *REASONS,
    ),
    "MedicationStatement": (
        *PROVENANCE,
        Column("code", TEXT, "medication[x].coding as system|code; of a mixture, those of its ingredients"),
        Column("code_text", TEXT, "medication[x].text, else the first coding's display"),
        Column("form", TEXT, "Medication.form.text, else its first display"),
        INGREDIENTS,
        *happened("effective"),
        *dated("asserted_", "dateAsserted"),
        *DOSAGE,
        *REASONS,
    ),
    "Procedure": (
        *PROVENANCE,
        Column("code", TEXT, "code.coding as system|code"),
        Column("code_text", TEXT, "code.text, else the first coding's display"),
        *happened("performed"),
        *REASONS,
        Column("dose", TEXT, "extension.valueQuantity.value"),
        Column("dose_unit", TEXT, "extension.valueQuantity.code"),
        Column("dose_unit_text", TEXT, "extension.valueQuantity.unit"),
        Column("lot", TEXT, "used product, BiologicallyDerivedProduct.identifier"),
        Column("focus", pa.bool_(), "focus exists (R5)"),
    ),
    "SupplyDelivery": (
        *PROVENANCE,
        Column("code", TEXT, "suppliedItem.item[x].coding as system|code"),
        Column("code_text", TEXT, "suppliedItem.item[x].text, else the first coding's display"),
        Column("lot", TEXT, "suppliedItem.itemReference, its lot"),
        *happened("occurrence"),
        *quantity("suppliedItem.quantity"),
    ),
    "BiologicallyDerivedProductDispense": (
        *PROVENANCE,
        Column("code", TEXT, "product, its productCode.coding as system|code"),
        Column("code_text", TEXT, "product, its productCode.text, else the first coding's display"),
        Column("lot", TEXT, "product, its identifier"),
        *happened("whenHandedOver"),
        *quantity("quantity"),
    ),
    "Patient": (
        *PROVENANCE,
        Column("gender", TEXT, "gender"),
        *dated("birth_", "birthDate"),
        Column("deceased", pa.bool_(), "deceasedBoolean, or true where deceasedDateTime is given"),
        *dated("", "deceasedDateTime"),
        Column("race", TEXT, "extension(us-core-race).ombCategory codes"),
        Column("ethnicity", TEXT, "extension(us-core-ethnicity).ombCategory code"),
        Column("replaced_by", KEYED, "link.where(type = 'replaced-by').other"),
    ),
    "Specimen": (
        *PROVENANCE,
        Column("code", TEXT, "type.coding as system|code"),
        Column("code_text", TEXT, "type.text, else the first coding's display"),
        *dated("", "collection.collected[x]"),
    ),
    "Consent": (*PROVENANCE, Column("scope", TEXT, "scope.coding.code"), *dated("", "dateTime")),
    "ResearchSubject": (
        *PROVENANCE,
        Column("arm", TEXT, "actualArm, else assignedArm"),
        *dated("", "period.start"),
        *dated("end_", "period.end"),
    ),
}


CARRIED = {"DiagnosticReport": "Observation"}
"""Resource type that holds facts of another one in `contained`, and which: they are read as the other one's."""

TABLES["DiagnosticReport"] = (
    *TABLES["Observation"],
    Column("why", TEXT, "why a contained Observation, or of its own row the report, is not used; else empty"),
)

TABLES["Condition"] = (
    *PROVENANCE,  # status: verificationStatus
    Column("code", TEXT, "code.coding as system|code"),
    Column("code_text", TEXT, "code.text, else the first coding's display"),
    Column("category", TEXT, "category.coding.code"),
    Column("clinical", TEXT, "clinicalStatus.coding.code"),
    Column("severity", TEXT, "severity.coding as system|code"),
    Column("severity_text", TEXT, "severity.text, else the first coding's display"),
    *dated("", "onsetDateTime or onsetPeriod.start"),
    Column("words", TEXT, "onset[x] that is no date"),
    *dated("end_", "abatementDateTime or abatementPeriod.end"),
    Column("end_words", TEXT, "abatement[x] that is no date"),
    *dated("recorded_", "recordedDate"),
    Column("open", pa.bool_(), "clinicalStatus says that it goes on, and there is no abatement[x]"),
    Column("encounter", TEXT, "keyed id of encounter"),
    Column("evidence", TEXT, "keyed ids of evidence.detail; of a stage: of its assessments"),
    Column("stage", TEXT, "stage.summary.coding as system|code"),
    Column("stage_text", TEXT, "stage.summary.text, else the first coding's display"),
    Column("stage_type", TEXT, "stage.type.coding as system|code"),
    Column("stage_type_text", TEXT, "stage.type.text, else the first coding's display"),
    *NOTE,
)
TABLES["AdverseEvent"] = (
    *PROVENANCE,  # status: actuality, or an R5 status that forbids its use
    Column("code", TEXT, "event.coding as system|code"),
    Column("code_text", TEXT, "event.text, else the first coding's display"),
    Column("category", TEXT, "category.coding.code"),
    *dated("", "date; R5 occurrence[x]"),
    Column("words", TEXT, "occurrence[x] that is no date (R5)"),
    *dated("end_", "occurrencePeriod.end (R5)"),
    *dated("detected_", "detected"),
    *dated("recorded_", "recordedDate"),
    Column("seriousness", TEXT, "seriousness.coding as system|code"),
    Column("seriousness_text", TEXT, "seriousness.text, else the first coding's display"),
    Column("severity", TEXT, "severity.coding as system|code"),
    Column("severity_text", TEXT, "severity.text, else the first coding's display"),
    Column("outcome", TEXT, "outcome.coding as system|code"),
    Column("outcome_text", TEXT, "outcome.text, else the first coding's display"),
    Column("grade", TEXT, "the extension that the trial names (extensions.toxicity_grade)"),
    Column("conditions", TEXT, "keyed ids of resultingCondition"),
    Column("encounter", TEXT, "keyed id of encounter"),
    Column("suspect", TEXT, "keyed id of suspectEntity.instance"),
    Column("suspect_code", TEXT, "suspectEntity.instance, its code.coding as system|code"),
    Column("suspect_text", TEXT, "suspectEntity.instance, its code.text or display"),
    Column("causality", TEXT, "suspectEntity.causality.assessment.coding as system|code"),
    Column("causality_text", TEXT, "suspectEntity.causality.assessment.text, else the first coding's display"),
    *NOTE,
)
TABLES["Encounter"] = (
    *PROVENANCE,
    Column("code", TEXT, "class, type and serviceType as system|code; of a location: its physicalType"),
    Column("code_text", TEXT, "class, type and serviceType, their texts or displays; of a location: its display"),
    *dated("", "period.start, else the first time in statusHistory"),
    *dated("end_", "period.end, else the last time in statusHistory"),
    Column("open", pa.bool_(), "period has a start and no end"),
    Column("part_of", TEXT, "keyed id of partOf"),
    Column("indication", TEXT, "reasonCode.text, else the first coding's display"),
    Column(
        "reasons", TEXT, "keyed ids of reasonReference, and of diagnosis.condition that the patient was admitted for"
    ),
    Column("admitted_from", TEXT, "hospitalization.admitSource.text, else the first coding's display"),
    Column("discharged_to", TEXT, "hospitalization.dischargeDisposition.text, else the first coding's display"),
)

SUBSETTED = "SUBSETTED"
"""In column version: a part of a resource (meta.tag), which is older than every whole copy."""

PARTIAL = "subset-only@meta.tag"
"""The note of such rows."""

DELETION = "Deletion"
FURTHER: dict[str, tuple[Column, ...]] = {
    DELETION: (
        Column("pat", KEYED, "keyed id of the deleted resource; it says which bucket"),
        Column("rid", KEYED, "keyed id of the deleted resource"),
        Column("updated", MICROS, "when it was deleted, in UTC; empty where that is not told"),
        Column("file", pa.int32(), "number of the input file"),
        Column("line", pa.int64(), "0"),
    ),
}
"""What is stored beside resources: which of them the hospital has deleted since."""


def schema_of(resource_type: str) -> pa.Schema:
    return pa.schema([(c.name, c.type) for c in TABLES.get(resource_type) or FURTHER[resource_type]])

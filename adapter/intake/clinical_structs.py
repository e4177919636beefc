"""The FHIR elements of diagnoses, adverse events and stays that are read: R4, and beside them what R5 moved or renamed.

Which version a resource is written in shows in the elements it has. Arrays may hold null entries (fhir-input point 17).
"""

from __future__ import annotations

from msgspec import Raw, Struct

from adapter.intake.event_structs import CodeableReference, Concepts, NamedReference, Timing
from adapter.intake.structs import NONE, CodeableConcept, Coding, Extension, Period, Quantity, Range, Resource


class Annotation(Struct, gc=False):
    time: str | None = None
    text: str | None = None


class Stage(Struct, gc=False):
    """Condition.stage: a stage or grade of the disease, what kind of stage it is, and the assessments it rests on."""

    summary: CodeableConcept | None = None
    type: CodeableConcept | None = None
    assessment: list[NamedReference | None] | None = None


class Evidence(Struct, gc=False):
    """Condition.evidence: R4 `detail`, R5 `reference` (there it is a CodeableReference)."""

    detail: list[NamedReference | None] | None = None
    reference: NamedReference | None = None


class Condition(Resource, gc=False):
    """clinicalStatus and verificationStatus are modifiers; onset[x] and abatement[x] are dates in two of five types."""

    clinicalStatus: CodeableConcept | None = None
    verificationStatus: CodeableConcept | None = None
    category: Concepts | None = None
    severity: CodeableConcept | None = None
    code: CodeableConcept | None = None
    subject: Raw = NONE
    encounter: NamedReference | None = None
    onsetDateTime: str | None = None
    onsetPeriod: Period | None = None
    onsetAge: Quantity | None = None
    onsetRange: Range | None = None
    onsetString: str | None = None
    abatementDateTime: str | None = None
    abatementPeriod: Period | None = None
    abatementAge: Quantity | None = None
    abatementRange: Range | None = None
    abatementString: str | None = None
    recordedDate: str | None = None
    stage: list[Stage | None] | None = None
    evidence: list[Evidence | None] | None = None
    note: list[Annotation | None] | None = None


class Causality(Struct, gc=False):
    """R4 `assessment`, R5 `entityRelatedness`."""

    assessment: CodeableConcept | None = None
    entityRelatedness: CodeableConcept | None = None


class SuspectEntity(Struct, gc=False):
    """R4 has one `instance`, a reference; R5 a concept or a reference, and one causality instead of several."""

    instance: NamedReference | None = None
    instanceReference: NamedReference | None = None
    instanceCodeableConcept: CodeableConcept | None = None
    causality: Causality | list[Causality | None] | None = None


class GradeExtension(Extension, gc=False):
    """An extension that may hold a grade: as a code, a text or a number."""

    valueCode: str | None = None
    valueInteger: Raw = NONE
    valueDecimal: Raw = NONE


class AdverseEvent(Resource, gc=False):
    """R4 has no status and no end. R5: status, `code` for event, `occurrence[x]` for date, `resultingEffect`."""

    status: str | None = None
    actuality: str | None = None
    category: Concepts | None = None
    event: CodeableConcept | None = None
    code: CodeableConcept | None = None
    subject: Raw = NONE
    encounter: NamedReference | None = None
    date: str | None = None
    occurrenceDateTime: str | None = None
    occurrencePeriod: Period | None = None
    occurrenceTiming: Timing | None = None
    detected: str | None = None
    recordedDate: str | None = None
    resultingCondition: list[NamedReference | None] | None = None
    resultingEffect: list[NamedReference | None] | None = None
    seriousness: CodeableConcept | None = None
    severity: CodeableConcept | None = None
    outcome: CodeableConcept | Concepts | None = None
    suspectEntity: list[SuspectEntity | None] | None = None
    extension: list[GradeExtension | None] | None = None
    note: list[Annotation | None] | None = None


class ClassConcept(CodeableConcept, gc=False):
    """Encounter.class: a Coding in R4, CodeableConcepts in R5."""

    system: str | None = None
    code: str | None = None
    display: str | None = None

    def concept(self) -> CodeableConcept:
        if self.code is None and self.display is None:
            return CodeableConcept(self.coding, self.text)
        return CodeableConcept([Coding(self.system, self.code, self.display)])


class StatusHistory(Struct, gc=False):
    status: str | None = None
    period: Period | None = None


class Stay(Struct, gc=False):
    """Encounter.hospitalization; R5: admission."""

    admitSource: CodeableConcept | None = None
    dischargeDisposition: CodeableConcept | None = None


class Place(Struct, gc=False):
    """Encounter.location: where the patient was, and when. R4 `physicalType`, R5 `form`."""

    location: NamedReference | None = None
    physicalType: CodeableConcept | None = None
    form: CodeableConcept | None = None
    status: str | None = None
    period: Period | None = None


class Diagnosis(Struct, gc=False):
    """Encounter.diagnosis: R4 one reference and one use, R5 several of both."""

    condition: NamedReference | list[CodeableReference | None] | None = None
    use: CodeableConcept | Concepts | None = None


class Reason(Struct, gc=False):
    """R5 Encounter.reason."""

    value: list[CodeableReference | None] | None = None


class Encounter(Resource, gc=False, rename={"class_": "class"}):
    """R5: `actualPeriod`, `reason`, `admission`; class and serviceType are arrays there."""

    status: str | None = None
    statusHistory: list[StatusHistory | None] | None = None
    class_: ClassConcept | list[ClassConcept | None] | None = None
    type: Concepts | None = None
    serviceType: CodeableConcept | list[CodeableReference | None] | None = None
    subject: Raw = NONE
    partOf: NamedReference | None = None
    period: Period | None = None
    actualPeriod: Period | None = None
    reasonCode: Concepts | None = None
    reasonReference: list[NamedReference | None] | None = None
    reason: list[Reason | None] | None = None
    diagnosis: list[Diagnosis | None] | None = None
    hospitalization: Stay | None = None
    admission: Stay | None = None
    location: list[Place | None] | None = None

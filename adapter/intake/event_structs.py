"""The FHIR elements of treatments that are read: R4, and beside them what R4B and R5 moved or renamed.

Which version a resource is written in shows in the elements it has; none of them has two meanings in two versions.
Decimals are `Raw`, arrays may hold null entries (fhir-input point 17).
"""

from __future__ import annotations

from msgspec import Raw, Struct

from adapter.intake.structs import (
    NONE,
    Batch,
    CodeableConcept,
    Extension,
    Identifier,
    Period,
    Quantity,
    Range,
    Ratio,
    Reference,
    Resource,
)

Concepts = list[CodeableConcept | None]


class NamedReference(Reference, gc=False):
    display: str | None = None


class CodeableReference(Struct, gc=False):
    """R5: what R4 wrote as xCodeableConcept and xReference, or as xCode and xReference."""

    concept: CodeableConcept | None = None
    reference: NamedReference | None = None


class Repeat(Struct, gc=False):
    boundsPeriod: Period | None = None
    frequency: Raw = NONE
    period: Raw = NONE
    periodUnit: str | None = None


class Timing(Struct, gc=False):
    event: list[str | None] | None = None
    repeat: Repeat | None = None
    code: CodeableConcept | None = None


class DoseAndRate(Struct, gc=False):
    doseQuantity: Quantity | None = None
    doseRange: Range | None = None
    rateQuantity: Quantity | None = None
    rateRatio: Ratio | None = None
    rateRange: Range | None = None


class Dosage(Struct, gc=False):
    """MedicationAdministration.dosage (dose and rate in it) and the type Dosage (dose and rate in doseAndRate)."""

    text: str | None = None
    timing: Timing | None = None
    route: CodeableConcept | None = None
    dose: Quantity | None = None
    rateQuantity: Quantity | None = None
    rateRatio: Ratio | None = None
    doseAndRate: list[DoseAndRate | None] | None = None
    modifierExtension: Raw = NONE


class Treatment(Resource, gc=False, kw_only=True):
    """What MedicationAdministration and MedicationStatement share. R5: `medication`, `reason`."""

    contained: list[Raw] | None = None
    status: str | None = None
    statusReason: Concepts | None = None
    medicationCodeableConcept: CodeableConcept | None = None
    medicationReference: NamedReference | None = None
    medication: CodeableReference | None = None
    subject: Raw = NONE
    effectiveDateTime: str | None = None
    effectivePeriod: Period | None = None
    effectiveTiming: Timing | None = None
    reasonCode: Concepts | None = None
    reason: list[CodeableReference | None] | None = None
    # FHIR has one in an administration and several in a statement; servers send an array in either
    dosage: Dosage | list[Dosage | None] | None = None
    extension: list[Extension | None] | None = None


class MedicationAdministration(Treatment, gc=False):
    """R5 spells the time `occurence[x]`, with one r; later drafts `occurrence[x]`."""

    supportingInformation: list[Reference | None] | None = None
    occurenceDateTime: str | None = None
    occurencePeriod: Period | None = None
    occurenceTiming: Timing | None = None
    occurrenceDateTime: str | None = None
    occurrencePeriod: Period | None = None
    occurrenceTiming: Timing | None = None


class Adherence(Struct, gc=False):
    code: CodeableConcept | None = None


class MedicationStatement(Treatment, gc=False):
    """R5 says in `adherence` what R4 said in `status`."""

    dateAsserted: str | None = None
    adherence: Adherence | None = None


class Procedure(Resource, gc=False):
    """R5: `occurrence[x]`, `reason`, and `focus` where somebody else than the subject underwent it."""

    status: str | None = None
    statusReason: CodeableConcept | None = None
    code: CodeableConcept | None = None
    subject: Raw = NONE
    focus: Raw = NONE
    performedDateTime: str | None = None
    performedPeriod: Period | None = None
    performedString: str | None = None
    performedAge: Quantity | None = None
    performedRange: Range | None = None
    occurrenceDateTime: str | None = None
    occurrencePeriod: Period | None = None
    occurrenceString: str | None = None
    occurrenceAge: Quantity | None = None
    occurrenceRange: Range | None = None
    occurrenceTiming: Timing | None = None
    reasonCode: Concepts | None = None
    reason: list[CodeableReference | None] | None = None
    extension: list[Extension | None] | None = None


class SuppliedItem(Struct, gc=False):
    quantity: Quantity | None = None
    itemCodeableConcept: CodeableConcept | None = None
    itemReference: NamedReference | None = None
    modifierExtension: Raw = NONE


class SupplyDelivery(Resource, gc=False):
    """R5: several suppliedItems."""

    contained: list[Raw] | None = None
    status: str | None = None
    patient: Raw = NONE
    suppliedItem: SuppliedItem | list[SuppliedItem | None] | None = None
    occurrenceDateTime: str | None = None
    occurrencePeriod: Period | None = None
    occurrenceTiming: Timing | None = None


class BiologicallyDerivedProductDispense(Resource, gc=False):
    """R5 only."""

    contained: list[Raw] | None = None
    status: str | None = None
    patient: Raw = NONE
    product: NamedReference | None = None
    quantity: Quantity | None = None
    whenHandedOver: str | None = None


class AnyConcept(CodeableConcept, gc=False):
    """A CodeableConcept, or R5's CodeableReference in its place."""

    concept: CodeableConcept | None = None


class Ingredient(Struct, gc=False):
    """Medication.ingredient; R5: `item`."""

    itemCodeableConcept: CodeableConcept | None = None
    itemReference: NamedReference | None = None
    item: CodeableReference | None = None
    isActive: bool | None = None


class Thing(Resource, gc=False):
    """A contained Medication, Substance or BiologicallyDerivedProduct that its container refers to."""

    code: AnyConcept | None = None
    form: CodeableConcept | None = None
    doseForm: CodeableConcept | None = None
    batch: Batch | None = None
    ingredient: list[Ingredient | None] | None = None
    identifier: list[Identifier | None] | None = None
    productCode: CodeableConcept | None = None

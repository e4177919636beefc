"""The FHIR R4 elements that are read, as msgspec structs; everything else in a resource costs nothing.

Decimals are `Raw`, the text as the hospital wrote it. Elements that a reader needs are optional here even where FHIR
makes them mandatory: the reader says what is missing, with a reason.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

NONE = Raw(b"")  # a Raw field that is absent; msgspec has no optional Raw


class Coding(Struct, gc=False):
    system: str | None = None
    code: str | None = None
    display: str | None = None


class CodeableConcept(Struct, gc=False):
    coding: list[Coding] | None = None
    text: str | None = None
    extension: Raw = NONE


class Identifier(Struct, gc=False):
    system: str | None = None
    value: str | None = None


class Reference(Struct, gc=False):
    reference: str | None = None
    identifier: Identifier | None = None


class Quantity(Struct, gc=False):
    """`value_` is the sibling `_value`: extensions of the number, which say why it is absent."""

    value: Raw = NONE
    value_: Raw = field(default=NONE, name="_value")
    extension: Raw = NONE
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Range(Struct, gc=False):
    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Struct, gc=False):
    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Period(Struct, gc=False):
    start: str | None = None
    end: str | None = None


class Meta(Struct, gc=False):
    versionId: str | None = None
    lastUpdated: str | None = None
    tag: list[Coding] | None = None


class Extension(Struct, gc=False):
    url: str | None = None
    extension: list[Extension] | None = None
    valueCode: str | None = None
    valueCoding: Coding | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueString: str | None = None
    valueQuantity: Quantity | None = None
    valueReference: Reference | None = None


class Primitive(Struct, gc=False):
    """What a sibling such as `_valueString` holds: FHIR's place for the extensions of a primitive."""

    extension: list[Extension] | None = None


class Resource(Struct, gc=False, kw_only=True):
    """What every resource has. The modifiers are kept raw: only their presence matters."""

    resourceType: str | None = None
    id: str | None = None
    meta: Meta | None = None
    implicitRules: Raw = NONE
    modifierExtension: Raw = NONE


class ReferenceRange(Struct, gc=False):
    low: Quantity | None = None
    high: Quantity | None = None
    type: CodeableConcept | None = None
    appliesTo: list[CodeableConcept] | None = None
    age: Range | None = None
    text: str | None = None
    modifierExtension: Raw = NONE


class Value(Resource, gc=False, kw_only=True):
    """The value[x] of an Observation or of one of its components (a component is no resource, but has id and modifiers).

    A name with `_` behind it is the sibling `_name`: the extensions of a primitive, which say why it is absent.
    Elements that repeat byte for byte from one result to the next stay raw and are decoded once (adapter.intake.memo).
    The first elements stand in the order in which hospitals write them, those of the Observation alone among them: a
    decoder looks for each key behind the one before, and results are many.
    """

    status: str | None = None
    category: Raw = NONE
    code: Raw = NONE
    subject: Raw = NONE
    effectiveDateTime: str | None = None
    issued: str | None = None
    valueQuantity: Raw = NONE
    interpretation: Raw = NONE
    specimen: Raw = NONE
    referenceRange: Raw = NONE
    valueString: str | None = None
    valueString_: Raw = field(default=NONE, name="_valueString")
    valueCodeableConcept: Raw = NONE
    valueInteger: Raw = NONE
    valueInteger_: Raw = field(default=NONE, name="_valueInteger")
    valueBoolean: bool | None = None
    valueBoolean_: Raw = field(default=NONE, name="_valueBoolean")
    valueRange: Raw = NONE
    valueRatio: Raw = NONE
    valueSampledData: Raw = NONE
    valueAttachment: Raw = NONE
    valueReference: Raw = NONE
    valueTime: str | None = None
    valueTime_: Raw = field(default=NONE, name="_valueTime")
    valueDateTime: str | None = None
    valueDateTime_: Raw = field(default=NONE, name="_valueDateTime")
    valuePeriod: Raw = NONE
    dataAbsentReason: Raw = NONE


class Component(Value, gc=False):
    pass


class Observation(Value, gc=False, kw_only=True):
    focus: Raw = NONE
    effectiveDateTime_: Raw = field(default=NONE, name="_effectiveDateTime")
    effectivePeriod: Period | None = None
    effectiveInstant: str | None = None
    method: Raw = NONE
    component: list[Component | None] | None = None
    hasMember: Raw = NONE


class Batch(Struct, gc=False):
    lotNumber: str | None = None
    expirationDate: str | None = None


class Medication(Resource, gc=False):
    """R5 renamed form; the ingredients of a mixture are decoded where it has no code (adapter.intake.medication)."""

    contained: list[Raw] | None = None
    code: CodeableConcept | None = None
    form: CodeableConcept | None = None
    doseForm: CodeableConcept | None = None
    batch: Batch | None = None
    ingredient: Raw = NONE


class PatientLink(Struct, gc=False):
    other: Reference | None = None
    type: str | None = None


class Patient(Resource, gc=False):
    identifier: list[Identifier] | None = None
    active: bool | None = None
    gender: str | None = None
    birthDate: str | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: str | None = None
    link: list[PatientLink] | None = None
    extension: list[Extension] | None = None


class Collection(Struct, gc=False):
    collectedDateTime: str | None = None
    collectedPeriod: Period | None = None


class Specimen(Resource, gc=False):
    status: str | None = None
    type: CodeableConcept | None = None
    subject: Raw = NONE
    collection: Collection | None = None


class BiologicallyDerivedProduct(Resource, gc=False):
    identifier: list[Identifier] | None = None
    productCode: CodeableConcept | None = None
    status: str | None = None


class Consent(Resource, gc=False):
    status: str | None = None
    patient: Raw = NONE
    dateTime: str | None = None
    scope: CodeableConcept | None = None


class Progress(Struct, gc=False):
    subjectState: CodeableConcept | None = None


class ResearchSubject(Resource, gc=False):
    """R5 moved `individual` to `subject`, and what became of the person to `progress`; its status is of the record."""

    identifier: list[Identifier] | None = None
    status: str | None = None
    period: Period | None = None
    study: Reference | None = None
    individual: Raw = NONE
    subject: Raw = NONE
    progress: list[Progress] | None = None
    assignedArm: str | None = None
    actualArm: str | None = None


class Head(Struct, gc=False):
    """Only what tells a resource's type."""

    resourceType: str | None = None


class Attribution(Struct, gc=False):
    """What ties a resource that could not be decoded to a patient; used for rejects, never for data."""

    resourceType: str | None = None
    id: Raw = NONE
    subject: Reference | None = None
    patient: Reference | None = None
    individual: Reference | None = None


HEAD = msgspec.json.Decoder(Head)
ATTRIBUTION = msgspec.json.Decoder(Attribution)

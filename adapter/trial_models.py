"""What a trial is: study, arms, treatments, reference dates, enrolment log, product lots (protocol §1, §2, §10, §11).

Every model is frozen, strict and refuses unknown keys. Every field carries its meaning: docs/trial-definition.md, the
JSON Schema and the error messages are made from it. No trial's numbers or names stand here: what a trial decides has
no default.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema


class Part(BaseModel):
    """A frozen, strict piece of the trial definition; `key` names the field that identifies a row of a list."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    key: ClassVar[str] = ""

    @property
    def row_id(self) -> str:
        """The text that identifies this row in dotted setting names."""
        return str(getattr(self, self.key)) if self.key else ""


def about(meaning: str, default: Any = ..., **limits: Any) -> Any:
    """Return a pydantic field with its meaning; without a default the trial must say it."""
    return Field(default, description=meaning, **limits)


_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def _number(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


Number = Annotated[
    Decimal, BeforeValidator(_number), Field(allow_inf_nan=False), WithJsonSchema({"type": ["number", "string"]})
]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Days = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, StringConstraints(min_length=1)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Code8 = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{0,7}$")]
ArmCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9_-]{0,19}$")]
Label40 = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[ -~]+$")]
IsoDate = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Duration = Annotated[str, StringConstraints(pattern=r"^P(\d+[YMWD])+$")]
Words = tuple[Text, ...]
Anchor = Literal["consent", "randomisation", "reference_start", "transplant"]


# --- the study -------------------------------------------------------------------------------------------------------


class SampleSize(Part):
    """The sample size as the protocol states it, and what it comes out of."""

    sides_stated: Literal["one-sided", "two-sided"] = about("Sidedness the protocol states")
    alpha: Positive = about("Significance level")
    power: Positive = about("Power")
    rate_active: Positive = about("Expected rate in the experimental arm, 0 to 1")
    rate_reference: Positive = about("Expected rate in the reference arm, 0 to 1")
    evaluable_per_arm: Count = about("Evaluable subjects per arm")
    dropout_percent: NotNegative = about("Expected drop-out, percent")
    statement: Text = about("What the reviewer's guide says about the calculation")


class Study(Part):
    """The study's names and planned size."""

    id: Id = about("STUDYID")
    identifiers: Words = about("How ResearchStudy.identifier names the study, as system|value")
    title: Text = about("Title of the protocol")
    protocol: Text = about("Name or number of the protocol, as define.xml and TS print it")
    sponsor: Text = about("Sponsor or applicant, as TS SPONSOR prints it")
    design: Text = about("Design in one line")
    blinding: Literal["OPEN LABEL", "SINGLE BLIND", "DOUBLE BLIND"] = about("CDISC TBLIND")
    time_zone: Text = about("IANA name of the site's time zone; an instant with an offset is converted to it")
    planned_subjects: Count = about("Planned number of subjects (TS PLANSUB)")
    planned_per_arm: Count = about("Planned number of subjects per arm")
    ratio: Text = about("Randomisation ratio")
    centres: Count = about("Number of centres")
    sample_size: SampleSize = about("Sample size")


class Standards(Part):
    """Versions of the standards and terminology packages, as define.xml and TS print them."""

    sdtm: Text = about("SDTM model version (TS SDTMVER)")
    sdtmig: Text = about("SDTMIG version (TS SDTIGVER)")
    adamig: Text = about("ADaMIG version")
    define: Text = about("Define-XML version")
    sdtm_ct: IsoDate = about("Date of the SDTM terminology package")
    adam_ct: IsoDate = about("Date of the ADaM terminology package")
    define_ct: IsoDate = about("Date of the Define-XML terminology package")
    ctcae: Text = about("CTCAE version used for laboratory grades")


class Defaults(Part):
    """Values of DM where the source has none."""

    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = about("COUNTRY, ISO 3166-1 alpha-3")
    site: Text = about("SITEID where the log names none")
    race: str = about("RACE where the source has none; empty = UNKNOWN")
    ethnicity: str = about("ETHNIC where the source has none; empty = left empty")
    age_unit: Literal["YEARS", "MONTHS"] = about("AGEU")
    partial_birth_date: Literal["empty", "earliest", "latest", "middle"] = about(
        "AGE from a partial birth date: left empty, or computed from the first, last or middle possible day"
    )


class Log(Part):
    """The enrolment log: how its columns and values are spelled."""

    columns: dict[Id, Words] = about("Our column name → the spellings accepted in the log's heading")
    criterion_prefix: Text = about("A column with this prefix answers the criterion whose IETESTCD follows, Y/N")
    withdrawal_types: dict[Id, Words] = about("consent / treatment → spellings in the log")


class Extensions(Part):
    """FHIR extension URLs of this trial or site, for facts that R4 has no element for."""

    lot: Words = about("Lot of the product given, on MedicationAdministration", ())
    passage: Words = about("Passage of the cells, on BiologicallyDerivedProduct", ())
    toxicity_grade: Words = about("CTCAE grade, on AdverseEvent (AETOXGR)", ())


class Confidentiality(Part):
    """What of a person may be written (protocol §10)."""

    initials: bool = about("Write the uppercase initials to SUPPDM")
    comments: bool = about("Write notes of clinical records to CO; false: they never leave intake", False)
    initials_qnam: Code8 = about("QNAM of the initials, used only when they are written")


# --- treatment -------------------------------------------------------------------------------------------------------


class Medication(Part):
    """A group of CM records that the rules refer to: those of this CMCAT and, where substances are named, these."""

    label: Text = about("What it is, for texts")
    category: Text = about("CMCAT")
    substances: Words = about("CMDECOD values that belong to the group; none named = the whole category", ())
    stem: str = about("Begins the PARAMCD of its transfusion burden (3 characters at most); empty = none", "")
    units: Words = about("CMDOSU values that count as units of a transfusion", ("U",))


class StudyTreatment(Part):
    """Which records count as study treatment: first one = TRTSDT, last one ends the treatment."""

    dataset: Literal["EX", "CM"] = about("Dataset that holds them")
    product: Id | None = about("EX: the product of products.csv", None)
    medications: Words = about("CM: the medication groups", ())
    not_before: Anchor | None = about("Records that start before this day do not count; absent = all count", None)
    ongoing: Literal["ignore", "count_from_limit"] = about(
        "A course that began before the limit and runs on: not counted, or counted from the limit", "ignore"
    )


class PathStep(Part):
    """One element of an arm's path (a TA record)."""

    key: ClassVar[str] = "element"
    element: Id = about("ETCD")
    branch: str = about("TABRANCH", "")
    transition: str = about("TATRANS", "")


class Arm(Part):
    """An arm of the trial; its key is ARMCD."""

    label: Text = about("ARM")
    active: bool = about("True in the experimental arm, false in the reference arm")
    planned_subjects: Count = about("Planned number of subjects")
    spellings: Words = about("How the log and ResearchSubject spell this arm, beside its code", ())
    treatment: dict[Id, StudyTreatment] = about("Which records count as study treatment")
    path: tuple[PathStep, ...] = about("The elements a subject of this arm passes, in order (TA)")


class Element(Part):
    """A trial element; its key is ETCD. It starts at its anchor, never before the element ahead of it."""

    label: Label40 = about("ELEMENT")
    epoch: Text = about("EPOCH")
    starts: Anchor = about("The day the element counts from")
    after_days: Days = about("Days after that day on which the element starts", 0)
    start_rule: Text = about("TESTRL")
    end_rule: str = about("TEENRL", "")
    duration: Duration | None = about("TEDUR", None)


class Dosing(Part):
    """Planned dosing of a product; its key is the product's id."""

    dose: Positive = about("Dose of one administration")
    unit: Text = about("EXDOSU of that dose")
    per_kg: bool = about("The dose is per kilogram of body weight")
    total_unit: Text = about("ECDOSU of a dose given as a total")
    total_per_dose_unit: Positive = about("How many total units one dose unit × kg (or one dose unit) makes")
    planned_days: tuple[int, ...] = about("Planned study days; their number is the number of planned administrations")
    dose_tolerance_percent: NotNegative = about("Allowed deviation of the dose, percent of planned")
    day_tolerance: Days = about("Allowed deviation from the planned day, days")
    weight: Literal["nearest_before", "baseline"] = about("Body weight the dose is checked with")


class ConditioningDrug(Part):
    """One drug of a conditioning regimen; its key is CMDECOD."""

    alternatives: Words = about("Other CMDECOD values that satisfy the same line", ())
    dose: Positive | None = about("One dose; absent = the protocol gives none", None)
    unit: str = about("Unit of one dose", "")
    frequency: str = about("CDISC FREQ", "")
    days: Count | None = about("Number of days", None)
    optional: bool = about("Its absence is no departure from the regimen", False)


class Conditioning(Part):
    """A conditioning regimen, chosen by donor type."""

    label: Text = about("Name of the regimen")
    donor_types: Words = about("Spellings of the donor type in the log")
    drugs: dict[Text, ConditioningDrug] = about("The drugs of the regimen")


class GrowthFactor(Part):
    """The dose range of a supporting drug."""

    medication: Id = about("Medication group")
    low: Positive = about("Lowest dose")
    high: Positive = about("Highest dose")
    unit: Text = about("Unit of the range")
    route: Text = about("CDISC ROUTE")
    tolerance_percent: NotNegative = about("Allowed beyond either end, percent of that end")
    equal_units: tuple[str, ...] = about("CDISC UNITs in which this drug's doses mean the same as in `unit`", ())


class StepRule(Part):
    """A drug stepped by a daily count (protocol §1, the TPO-RA rule)."""

    medication: Id = about("Medication group")
    analyte: Id = about("Analyte that decides")
    unit: Text = about("Unit of the limits")
    start_dose: Positive = about("First dose")
    dose_unit: Text = about("Unit of the dose")
    frequency: Text = about("CDISC FREQ")
    up_below: Positive = about("Below this value …")
    up_after_days: Count = about("… for at least this many days: one level up")
    down_from: Positive = about("From this value (included) …")
    down_to: Positive = about("… to this value (included): one level down")
    stop_above: Positive = about("Above this value: stop")
    grace_days: Days = about("Days allowed between the count that asks for a step and the step")


# --- dates -----------------------------------------------------------------------------------------------------------


class ReferenceDates(Part):
    """What the reference dates are taken from, first that exists (protocol §2)."""

    rfstdtc: tuple[Literal["treatment", "randomisation", "consent"], ...] = about("RFSTDTC", min_length=1)
    rfendtc: tuple[Literal["last_contact", "study_end", "treatment_end"], ...] = about("RFENDTC: the latest of these")
    untimed_at_baseline: Literal["before", "after"] = about("A result without a time on the day of first treatment")
    future_tolerance_days: Days = about("A date this many days past the resource's own lastUpdated is still believed")
    withdrawal_of_consent_cuts: bool = about("The day consent is withdrawn is that subject's own data cut")


class Transplant(Part):
    """How infusions of a graft become transplants (protocol §2)."""

    category: Text = about("PRCAT of the infusion of a graft")
    boost_category: str = about("PRCAT of an infusion that the source itself calls a boost", "")
    index: Literal["last_before_randomisation", "first"] = about("Which transplant is the index transplant")
    window_days: Days = about("Graft infusions at most this many days apart are one transplant, day 0 is the first")
    requires_conditioning: bool = about("A later infusion without conditioning is a boost, not a second transplant")
    conditioning_days: Days = about("Conditioning within this many days before the infusion belongs to it")
    allogeneic_only: bool = about("Infusions marked autologous do not count")


# --- product lots ----------------------------------------------------------------------------------------------------


class LotReaction(Part):
    """Mixed lymphocyte reaction of the product lots (protocol §11)."""

    negative: Id = about("Condition: medium")
    autologous: Id = about("Condition: the donor's own cells, the comparison of the call")
    positive: Id = about("Condition: mitogen, the denominator of the proliferation index")
    allogeneic: Id = about("Condition: cells of another donor")
    product: Id = about("Condition: the product")
    ratios: Words = about("Product to PBMC ratios")
    alpha: Positive = about("Level of the one-sided Welch test of the index against autologous")
    minimum_values: Count = about("Values a side below which the call is not evaluable")
    responds: Text = about("Call when significantly above autologous")
    silent: Text = about("Call otherwise")
    not_evaluable: Text = about("Call when it cannot be made")
    cytokines: Words = about("Cytokines measured")
    cytokine_unit: Text = about("Their unit")
    platforms: Words = about("Platforms; values of different platforms are never pooled")
    days: tuple[int, ...] = about("Days of co-culture at which cytokines are measured")

"""What a trial computes: daily values, sustained runs, response, populations, primary analysis (protocol §3–§5)."""

from __future__ import annotations

from typing import ClassVar, Literal

from adapter.trial_models import (
    Code8,
    Count,
    Days,
    Id,
    NotNegative,
    Number,
    Part,
    Positive,
    Text,
    Words,
    about,
)

Comparator = Literal[">", ">="]
CountMode = Literal["days", "measurements"]
MissingDay = Literal["break", "bridge"]
Origin = Literal["randomisation", "reference_start", "transplant"]
Action = Literal["none", "censor", "compete"]


# --- daily values (§3) -----------------------------------------------------------------------------------------------


class DailyValue(Part):
    """How the results of one day become one value."""

    rule: Literal["min", "max", "last", "mean"] = about("Which result of the day is the analysis value")
    usable_status: Words = about("FHIR status values of a usable result")
    preliminary: bool = about("Use a preliminary result on a day without any usable one")


class Derivation(Part):
    """One way to compute an analyte: a count times the sum of percentages, divided by 100."""

    count: Text = about("LBTESTCD of the count")
    percents: Words = about("LBTESTCDs of the percentages that are added; all must be there")
    match: tuple[Literal["specimen", "instant"], ...] = about("The parents agree in any one of these", min_length=1)


class Analyte(Part):
    """A quantity that rules refer to."""

    label: Text = about("Name, for texts")
    testcd: Code8 = about("LBTESTCD")
    unit: Text = about("Standard unit, CDISC spelling")
    plausible_low: NotNegative = about("A value below it is physiologically impossible, in the standard unit")
    plausible_high: Positive = about("A value above it is physiologically impossible, in the standard unit")
    grams_per_mmol: Positive | None = about("Factor from mmol/L to g/L", None)
    derivations: tuple[Derivation, ...] = about("Used in this order where the analyte itself is not reported", ())


# --- sustained runs (§4) ---------------------------------------------------------------------------------------------


class Criterion(Part):
    """A sustained run: so many consecutive days with a value that meets the condition."""

    label: Text = about("What the criterion stands for")
    analyte: Id = about("Analyte")
    comparator: Comparator = about("Strict or inclusive")
    threshold: Number = about("Limit, in the unit")
    unit: Text = about("Unit of the limit; the analyte's standard unit")
    days: Count = about("Length of the run: days, or measurements where those are counted")
    breaker: Id | None = about("Medication group whose administration breaks the run on every day it touches", None)
    missing_day: MissingDay = about("A day without a value ends the run, or up to `bridge` of them are bridged")
    bridge: Days = about("Consecutive missing days that are bridged and count")
    count: CountMode = about("Length counts days, or days that have a value")
    max_gap_days: Count | None = about("measurements: largest difference between consecutive measured dates", None)
    look_back_days: Days = about("The run's first day lies at least this many days after the last breaker day")


class CriterionChange(Part):
    """What a preset changes in a criterion; what is absent stays."""

    comparator: Comparator | None = about("See criteria", None)
    threshold: Number | None = about("See criteria", None)
    days: Count | None = about("See criteria", None)
    breaker: Id | None = about("See criteria", None)
    missing_day: MissingDay | None = about("See criteria", None)
    bridge: Days | None = about("See criteria", None)
    count: CountMode | None = about("See criteria", None)
    max_gap_days: Count | None = about("See criteria", None)
    look_back_days: Days | None = about("See criteria", None)


class Preset(Part):
    """A named set of changes to the criteria."""

    label: Text = about("What the preset is")
    criteria: dict[Id, CriterionChange] = about("Criterion → what changes")


class Window(Part):
    """Where the search for a run begins; it ends at the data cut."""

    label: Text = about("What the window means")
    origin: Origin = about("Its first day")


class Sensitivity(Part):
    """A sensitivity analysis, each result under its own PARAMCD."""

    label: Text = about("What it shows")
    kind: Literal["preset", "exclude_at_baseline", "breaker"] = about(
        "Criteria of a preset; without subjects already at threshold at baseline; or one more breaker"
    )
    preset: Id | None = about("preset: its name", None)
    medication: Id | None = about("breaker: the medication group that breaks a run too", None)
    mandatory: bool = about("Always made")
    parameters: dict[Code8, Code8] = about("PARAMCD → PARAMCD of the sensitivity result", {})
    criteria: Words = about("Criteria it concerns")


# --- response (§5) ---------------------------------------------------------------------------------------------------


class Level(Part):
    """A response and the criterion whose run proves it."""

    key: ClassVar[str] = "value"
    value: Text = about("AVALC")
    criterion: Id = about("Criterion")


class ResponseParameter(Part):
    """A response parameter of ADRS: the first level that holds."""

    label: Text = about("PARAM")
    window: Id = about("Window")
    levels: tuple[Level, ...] = about("Tried in this order", min_length=1)
    otherwise: Text = about("AVALC where no level holds and the lineage was observed late, or the subject died")
    not_evaluable: Text = about("AVALC of everything else")
    responders: Words = about("AVALC values of a responder (CRIT1FL)")


class OverallLevel(Part):
    """An overall response and what it asks of each lineage."""

    key: ClassVar[str] = "value"
    value: Text = about("AVALC")
    needs: dict[Code8, Words] = about("PARAMCD → AVALC values that satisfy it")


class Overall(Part):
    """The overall response over several parameters."""

    label: Text = about("PARAM")
    supportive: bool = about("Not in the protocol")
    levels: tuple[OverallLevel, ...] = about("Tried in this order", min_length=1)
    otherwise: Text = about("AVALC where no level holds")
    not_evaluable: Text = about("AVALC where a lineage is not evaluable and none is a non-response")
    responders: Words = about("AVALC values of a responder")


class LateTransfusion(Part):
    """A sensitivity parameter that also asks for the absence of transfusions."""

    label: Text = about("PARAM")
    base: Code8 = about("The response parameter it starts from")
    medication: Id = about("Transfusions that count")
    from_day: Count | None = about("First study day looked at; absent = the first day of the run", None)
    to_day: Count = about("Last study day looked at")
    becomes: Text = about("AVALC where such a transfusion is found")


class Response(Part):
    """Response at the horizon."""

    horizon_days: Count = about("Only runs whose first day is at most this study day count")
    late_day: Count = about("A value on or after this study day makes a non-response evaluable")
    values: dict[Text, int] = about("AVALC → AVAL, the same in every response parameter")
    gap_flag_from: Count = about("RUNGAPFL looks at study days from here to the horizon")
    parameters: dict[Code8, ResponseParameter] = about("PARAMCD → parameter")
    overall: dict[Code8, Overall] = about("PARAMCD → overall parameter", {})
    sensitivity: dict[Code8, LateTransfusion] = about("PARAMCD → parameter", {})


class AfterTransplantParameter(Part):
    """Engraftment after transplant, at any time to the data cut."""

    label: Text = about("PARAM")
    criterion: Id = about("Criterion")


class AfterTransplant(Part):
    """Response parameters from the transplant."""

    window: Id = about("Window")
    late_day: Count = about("N needs a value on or after transplant + this many days, or death on or before that day")
    parameters: dict[Code8, AfterTransplantParameter] = about("PARAMCD → parameter")


class Population(Part):
    """A population flag of ADSL: every condition must hold."""

    label: Text = about("Name")
    needs: tuple[Literal["randomised", "treated", "eligible", "no_major_deviation", "all_doses"], ...] = about(
        "Conditions; all_doses asks only subjects of arms whose study treatment is a product"
    )
    arm: Literal["planned", "actual"] = about("Analysed as randomised or as treated")


class Characteristic(Part):
    """A variable of ADSL that the table of baseline characteristics describes."""

    variable: Code8 = about("Variable of ADSL")
    label: Text = about("Name in the table")
    numeric: bool = about("Described by mean and quartiles; false: by counts", False)
    unit: str = about("Unit, for the label", "")


class Analysis(Part):
    """The primary analysis."""

    population: Code8 = about("Population flag")
    primary: Words = about("PARAMCDs of the primary analysis")
    secondary: Words = about("PARAMCD=AVALC pairs reported as secondary")
    difference_interval: Literal["newcombe", "newcombe_continuity"] = about("Interval of the rate difference")
    confidence: Positive = about("Confidence level")
    test: Literal["fisher"] = about("Test")
    sides: tuple[Literal["two-sided", "one-sided"], ...] = about("p values reported; one-sided = active > reference")
    multiplicity: Literal["none", "holm"] = about("Adjustment over the primary parameters")
    not_evaluable_as: Literal["non_responder", "excluded"] = about("How a subject who is not evaluable counts")
    interim_excludes_unripe: bool = about(
        "Without a response, a subject whose horizon lies after the cut and who neither died nor left is left out"
    )
    delayed_entry_at: Literal["randomisation", "none"] = about(
        "When arms are compared on time from transplant, subjects enter the risk set here"
    )
    landmark_days: tuple[Count, ...] = about(
        "Days, as AVAL of ADTTE counts them, on which times to event are reported, up to the parameter's horizon"
    )
    characteristics: tuple[Characteristic, ...] = about("Baseline characteristics, in this order", ())

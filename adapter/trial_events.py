"""Time to event, safety, eligibility and deviations as a trial defines them (protocol §6–§8)."""

from __future__ import annotations

from typing import Literal

from adapter.trial_models import Code8, Count, Days, Id, NotNegative, Part, Positive, Text, Words, about
from adapter.trial_rules import Action, Origin

# --- time to event (§6) ----------------------------------------------------------------------------------------------


class EventSource(Part):
    """Records that show a clinical event, or grade one."""

    dataset: Literal["AE", "CE", "RS", "PR", "CM", "DM"] = about("Dataset")
    category: Text = about("--CAT")
    values: Words = about("RS: result values (RSSTRESC) that mean the event; else all records of the category", ())


class ClinicalEvent(Part):
    """A clinical event that parameters and rules refer to."""

    label: Text = about("EVNTDESC")
    sources: tuple[EventSource, ...] = about("Read in this order, one event per episode", min_length=1)
    kinds: Words = about("--SCAT values the event may be of, where a record has one; none named = any", ())
    grades: tuple[EventSource, ...] = about("Records that grade the event; their result is the grade", ())


class TimeToEvent(Part):
    """A parameter of ADTTE: the earliest of event and competing event decides, else it is censored."""

    label: Text = about("PARAM")
    criterion: Id | None = about("The event is the first day of this criterion's run …", None)
    window: Id | None = about("… in this window", None)
    events: Words = about("Or: the first of these clinical events; `death` is one", ())
    grades: Words = about("Only events of these grades; worsening to one of them is an event", ())
    origin: Origin = about("Day 1")
    competing: Words = about("Competing events: `death` or an intercurrent event", ())
    horizon_days: Count | None = about("Longer times become this many days, censored; absent = no horizon", None)
    censor_at: Literal["last_value", "last_alive"] = about(
        "Last day with a value of the analyte (at least the origin), or last known alive"
    )
    descriptive: bool = about("Follow-up before randomisation is immortal time: not compared between arms as it is")


class Intercurrent(Part):
    """Something after which the lineage is no longer the subject's answer to the treatment."""

    label: Text = about("CNSDTDSC, or EVNTDESC where it competes")
    kind: Literal["transplant", "procedure"] = about("A second transplant by the rules of [transplant], or a procedure")
    category: str = about("procedure: its PRCAT", "")
    actions: dict[Id, Action] = about("Window → what it does to engraftment parameters of that window")
    ends_response: bool = about("Runs starting on or after that day do not count for response")


class Censoring(Part):
    """Censoring and death dates."""

    undated_death_after_days: Count = about("A death without a date is dated last known alive + this many days")
    partial_death: Literal["first_possible_after_last_alive"] = about("How a partial death date is completed")
    event_wins_ties: bool = about("On one day, the event comes before the competing event")


# --- safety (§7) -----------------------------------------------------------------------------------------------------


class Emergence(Part):
    """Treatment-emergent adverse events."""

    months_after_last_treatment: Count = about("Calendar months after the last study treatment, clipped to month end")
    undated: bool = about("TRTEMFL = Y where there is no start date and no end before treatment")
    attributed_outside: Words = about("Events attributed to these alone lie outside the reporting period (a flag)")


class DoseLimiting(Part):
    """Dose-limiting toxicity."""

    grade: Count = about("Grade from which a related event is dose-limiting")
    repeated_grade: Count = about("Grade from which an immune event is, after repeated dosing")
    repeated_kinds: Words = about("Kinds of such events")
    repeated_terms: Words = about("Parts of a reported or coded term that tell such an event, case aside", ())
    repeated_from_dose: Count = about("Number of the administration after which it counts")


class Suspension(Part):
    """Signals that suspend the trial."""

    days: Count = about("Days after any administration of the product, both included")
    grade: Count = about("Grade from which a related toxicity is a signal")
    death: bool = about("Death is a signal")
    ventilation_category: str = about("PRCAT of mechanical ventilation, which is a signal; empty = none", "")
    ventilation_reasons: Words = about("Reasons of the procedure that make it one; no reason recorded = listed too", ())


class Toxicity(Part):
    """Laboratory toxicity grading."""

    graded: Words = about("LBTESTCDs graded, chemistry")
    expected: Words = about("LBTESTCDs graded too, flagged as expected, underlying disease")
    to_adverse_events: bool = about("A grade becomes an AE record; false = an AE candidate in a listing")
    candidate_grade: Count = about("Grade from which a worsening after first treatment is listed as an AE candidate")


class Safety(Part):
    """Safety rules."""

    emergence: Emergence = about("Treatment-emergent events")
    dose_limiting: DoseLimiting = about("Dose-limiting toxicity")
    suspension: Suspension = about("Suspension signals")
    related: Words = about("AEREL values that mean related to the product")
    groups: dict[Text, Words] = about("Group of events (CQ01NAM, CQ02NAM in this order) → AECAT and CECAT values", {})
    modification_grade: Count = about("Grade from which an event related to the product asks for a lower dose")
    reaction_hours: Count = about("Hours after an administration in which an infusion reaction is looked for")
    reaction_medications: Words = about("Medication groups that show a reaction")
    serious_criteria: Words = about("AE variables of the seriousness criteria")
    hospitalisation_is_serious: bool = about("Admission, its prolongation or surgery makes an event serious")
    planned_admissions: Words = about("Reasons for an admission that are planned and not serious")
    toxicity: Toxicity = about("Laboratory grades")
    relapse_stops_within_days: Count = about("Relapse within this many days after transplant ends the product")
    unlinked_conditions: Literal["candidate", "adverse_event"] = about(
        "A Condition linked to no AdverseEvent: a listed candidate, or an AE record"
    )
    missing_day: Literal["first"] = about("AE start date without a day (ADaM only)")
    missing_month: Literal["january"] = about("AE start date without a month (ADaM only)")
    not_before_treatment: bool = about("An imputed start is never before treatment where the known part allows it")


# --- eligibility and deviations (§8) ---------------------------------------------------------------------------------


class Eligibility(Part):
    """Limits of the criteria that the data can decide."""

    age_min: Count = about("Youngest age at consent, years")
    age_max: Count = about("Oldest age at consent, years")
    performance_above: NotNegative = about("The performance status must be above this")
    performance_testcd: Code8 = about("RSTESTCD of the performance status")
    survival_months: Count = about("Expected survival above this many months (from the log)")
    organ_grade: Count = about("CTCAE grade from which a hepatic or renal value is severe dysfunction")
    hepatic: Words = about("LBTESTCDs of the liver")
    renal: Words = about("LBTESTCDs of the kidney")
    severe_above: dict[Code8, Positive] = about(
        "LBTESTCD → multiple of the upper limit of normal above which a value is of that grade; others decide nothing",
        {},
    )
    window_days: Days = about("Values this many days before consent, up to randomisation, can decide")
    version: Text = about("Protocol version in force (TIVERS), unless the log names another")


DEVIATIONS: dict[str, tuple[str, ...]] = {
    "dose": ("dose", "low", "high", "unit"),
    "day": ("n", "day", "planned"),
    "number": ("n", "planned"),
    "wrong_arm": ("actual", "planned"),
    "g_csf": ("dose", "low", "high", "unit"),
    "rhtpo": ("dose", "low", "high", "unit"),
    "tpo_ra": ("reason",),
    "cbc": ("n",),
    "eligibility": ("criterion",),
    "after_relapse": (),
    "after_discontinuation": ("reason",),
}
"""The deviations that there are rules for, and the placeholders that their terms may have."""


class Deviation(Part):
    """A protocol deviation that is looked for."""

    term: Text = about("DVTERM, {n} and the like filled in")
    decod: Text = about("DVDECOD")
    category: Text = about("DVCAT")
    major: bool = about("Excludes from the per-protocol population")
    arms: Words = about("Arms it can happen in; none named = all", ())


class DailyPhase(Part):
    """The phase in which blood counts are due daily."""

    origin: Origin = about("First day")
    criteria: Words = about("It ends with the last of these criteria's run dates …")
    max_day: Count = about("… at most on this study day")
    entry_column: Id = about("Log column that says since when the subject had the condition under study")
    analytes: Words = about("Analytes due on each of its days")


class AnalysisVisits(Part):
    """How a date becomes an AVISIT; the targets are the visits that name one."""

    tie: Literal["earlier", "later"] = about("Which target wins at equal distance")
    boundary: Literal["midpoint"] = about("Windows meet at midpoints")
    in_daily_phase: Literal["study_week", "study_day"] = about("AVISIT inside the phase of daily counts")
    daily_analytes: Words = about("Analytes whose AVISIT in that phase is the study day")

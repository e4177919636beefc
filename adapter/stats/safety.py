"""The tables of safety (protocol §7, §10): adverse events by subject and event, serious ones apart; deviations (§8)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from adapter.stats.plan import Plan, subjects_of
from adapter.stats.rates import proportion
from adapter.stats.results import Condition, Table, columns_of
from adapter.stats.subjects import add_share

NOT_CODED = "(not coded)"
ADAE = ("USUBJID", "TRTEMFL", "AEBODSYS", "AEDECOD", "AETERM", "AESER", "AETOXGR", "AEREL", "AESDTH", "DLTFL")
ADCE = ("USUBJID", "TRTEMFL", "CETERM")
DV = ("USUBJID", "DVTERM", "DVMAJFL")
AE_GRADES = (1, 2, 3, 4, 5)
MISSING = "missing"
YES = ("Y",)
EMERGENT = Condition("TRTEMFL", YES)
EVENTS = {"DV": "deviations"}
SERIOUS = {
    "AESDTH": "death",
    "AESLIFE": "life-threatening",
    "AESHOSP": "hospitalisation",
    "AESDISAB": "disability",
    "AESMIE": "other medically important",
    "AESCONG": "congenital anomaly",
}
"""Variable of a criterion -> its name in the table."""

Flags: TypeAlias = "pd.Series[bool]"


@dataclass(frozen=True, slots=True)
class Names:
    """Variables of a table by class and term: `of` the class, `term`, `reported` where that is empty; words of its rows."""

    of: str
    term: str
    reported: str
    every: str
    below: str
    missing: str = NOT_CODED


CLASSES = Names("AEBODSYS", "AEDECOD", "AETERM", "Any event", "Any term")
CATEGORIES = Names("CECAT", "CEDECOD", "CETERM", "Any event", "Any term", "(no category)")
DEVIATIONS = Names("DVCAT", "DVDECOD", "DVTERM", "Any deviation", "", "(no category)")


def adverse_event_tables(adsl: pd.DataFrame, adae: pd.DataFrame, plan: Plan) -> list[Table]:
    """Return the tables of treatment-emergent adverse events: overview, by class and term (all, related, severe, serious,
    dose-limiting), by worst grade, and by term and worst grade.

    By treatment given (TRT01A) in the safety population; events of others are in none of them. Each subject counts once
    per row, with its worst grade; each record of ADAE is one event.
    """
    subjects = subjects_of(adsl, plan, plan.safety, "TRT01A")
    groups = sorted(c for c in adae.columns if re.fullmatch(r"CQ\d\dNAM", str(c)))
    more = [v for v in (*plan.serious_criteria, "UNRESFL") if v in adae.columns and v not in ADAE]
    ae = columns_of(adae, "ADAE", [*ADAE, *groups, *more])
    ae = ae.merge(subjects, on="USUBJID")
    ae = ae[ae["TRTEMFL"] == "Y"]
    size = plan.sizes(subjects)
    severe = Condition("AETOXGR", (str(plan.severe_grade),), "GE")
    return [
        _overview(ae, size, plan, groups, more),
        *(
            _by_term(name, title, ae, size, plan, condition)
            for name, title, condition in (
                ("ae-by-term", "Adverse events by class and term", None),
                ("ae-related", "Related adverse events by class and term", Condition("AEREL", plan.related, "IN")),
                ("ae-severe", f"Adverse events of grade {plan.severe_grade} or higher by class and term", severe),
                ("ae-serious", "Serious adverse events by class and term", Condition("AESER", YES)),
                ("ae-dose-limiting", "Dose-limiting toxicities by class and term", Condition("DLTFL", YES)),
            )
        ),
        _by_grade(ae, size, plan),
        _by_term_and_grade(ae, size, plan),
    ]


def clinical_event_table(adsl: pd.DataFrame, adce: pd.DataFrame, plan: Plan) -> Table:
    """Return the clinical events after treatment (infections, GVHD, graft failure, relapse ...) by category and term.

    As adverse events: by treatment given in the safety population, each subject once per row.
    """
    subjects = subjects_of(adsl, plan, plan.safety, "TRT01A")
    ce = columns_of(adce, "ADCE", ADCE, optional=("CECAT", "CEDECOD")).merge(subjects, on="USUBJID")
    ce = ce[ce["TRTEMFL"] == "Y"]
    table = _table(
        "clinical-events", "Clinical events by category and term", plan, plan.sizes(subjects), "ADCE", EMERGENT
    )
    _terms(table, ce, CATEGORIES, plan)
    return table


def deviation_table(adsl: pd.DataFrame, dv: pd.DataFrame, plan: Plan) -> Table:
    """Return the protocol deviations of the main population by planned arm: major ones, then by category and coded term.

    dv: DV of the tabulations with DVMAJFL of SUPPDV (ADaM has no dataset of them).
    """
    subjects = subjects_of(adsl, plan, plan.population)
    found = columns_of(dv, "DV", DV, optional=("DVCAT", "DVDECOD")).merge(subjects, on="USUBJID")
    title = f"Protocol deviations, {plan.label_of(plan.population)}"
    said = "Of the tabulation datasets DV and SUPPDV. Major deviations exclude from the per-protocol analysis."
    table = Table("deviations", title, plan.arms, "DV", plan.population, (said,), plan.sizes(subjects), headed=True)
    for label, own, condition in (
        ("Any", found, ""),
        ("Major", found[found["DVMAJFL"] == "Y"], "DVMAJFL = Y"),
    ):
        _counts(table, "Any deviation", label, condition, own)
    _classes(table, found, DEVIATIONS, "")
    return table


def _conditions(
    plan: Plan, groups: Sequence[str], more: Sequence[str], ae: pd.DataFrame
) -> Iterator[tuple[str, str, Flags]]:
    """Yield (label, selection, which events) of the rows of the overview."""
    related, serious, grade = ae["AEREL"].isin(plan.related), ae["AESER"] == "Y", _grade(ae)
    among = str(Condition("AEREL", plan.related, "IN"))
    yield "Any", "", ae["USUBJID"] != ""
    yield "Related to treatment", among, related
    yield "Serious", "AESER = Y", serious
    yield "Serious and related", f"AESER = Y, {among}", serious & related
    for criterion in plan.serious_criteria:
        if criterion in (*ADAE, *more):
            yield f"Serious: {SERIOUS.get(criterion, criterion)}", f"{criterion} = Y", ae[criterion] == "Y"
    yield f"Grade {plan.severe_grade} or higher", f"AETOXGR >= {plan.severe_grade}", grade >= plan.severe_grade
    yield "Grade not known", "AETOXGR missing", grade.isna()
    yield "Dose-limiting", "DLTFL = Y", ae["DLTFL"] == "Y"
    if "UNRESFL" in more:
        yield "Unresolved at last contact", "UNRESFL = Y", ae["UNRESFL"] == "Y"
    for column in groups:
        for name in sorted(set(ae[column]) - {""}):
            yield f"Group: {name}", f"{column} = {name}", ae[column] == name


def _grade(events: pd.DataFrame) -> pd.Series[float]:
    return pd.to_numeric(events["AETOXGR"], errors="coerce")


def _table(
    name: str,
    title: str,
    plan: Plan,
    size: dict[str, int],
    dataset: str,
    *conditions: Condition,
    footnotes: tuple[str, ...] = (),
) -> Table:
    title = f"{title}, {plan.label_of(plan.safety)}"
    said = (*footnotes, "By treatment given (TRT01A).")
    return Table(name, title, plan.arms, dataset, plan.safety, said, dict(size), conditions)


def _overview(ae: pd.DataFrame, size: dict[str, int], plan: Plan, groups: Sequence[str], more: Sequence[str]) -> Table:
    table = _table("ae-overview", "Treatment-emergent adverse events", plan, size, "ADAE", EMERGENT)
    for label, condition, holds in _conditions(plan, groups, more, ae):
        _counts(table, "overview", label, condition, ae[holds], plan.confidence)
    return table


def _counts(
    table: Table, section: str, label: str, selection: str, events: pd.DataFrame, confidence: float | None = None
) -> None:
    """Add subjects, their share (with an exact interval where a confidence is given) and events of each arm."""
    selection = ", ".join(filter(None, (*map(str, table.conditions), selection)))
    unit = EVENTS.get(table.dataset, "events")
    for arm in table.groups:
        n, mine = table.sizes[arm], events[events["ARM"] == arm]
        x, where = mine["USUBJID"].nunique(), (section, label, arm)
        table.add(where, "subjects", x, "subjects", selection=selection, subjects=n)
        if confidence is not None:
            share = proportion(x, n, confidence)
            table.add(where, "share", share, "proportion", selection=selection, subjects=n, confidence=confidence)
        else:
            add_share(table, where, x, n, selection)
        table.add(where, unit, len(mine), "events", selection=selection, subjects=n)


def _by_term(
    name: str, title: str, ae: pd.DataFrame, size: dict[str, int], plan: Plan, condition: Condition | None
) -> Table:
    more = () if condition is None else (condition,)
    table = _table(name, title, plan, size, "ADAE", EMERGENT, *more)
    if condition is not None and condition.comparator == "GE":
        ae = ae[_grade(ae) >= float(condition.values[0])]
    elif condition is not None:
        ae = ae[ae[condition.variable].isin(condition.values)]
    _terms(table, ae, CLASSES, plan)
    return table


def _terms(table: Table, events: pd.DataFrame, names: Names, plan: Plan) -> None:
    table.headed = True
    _counts(table, names.every, "Any", "", events, plan.confidence)
    _classes(table, events, names, names.below)


def _classes(table: Table, events: pd.DataFrame, names: Names, below: str) -> None:
    """Add classes, and terms below each, the most frequent (in subjects of both arms) first, then by name."""
    for name, place, own in _named(events, names.of, names.of, names.missing):
        if below:
            _counts(table, name, below, place, own)
        for term, selection, mine in _named(own, names.term, names.reported, NOT_CODED):
            _counts(table, name, term, f"{place}, {selection}", mine)


def _named(events: pd.DataFrame, column: str, instead: str, missing: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield (name, selection, records) of the values of a column; where it is empty, those of another one and `missing`."""
    found = {}
    for value, own in events[events[column] != ""].groupby(column):
        found[str(value)] = (f"{column} = {value}", own)
    empty = events[events[column] == ""]
    if instead == column:
        if len(empty):
            found[missing] = (f"{column} missing", empty)
    else:
        for value, own in empty.groupby(instead):
            found[f"{value} {missing}"] = (f"{column} missing, {instead} = {value}", own)
    for name in sorted(found, key=lambda n: (-found[n][1]["USUBJID"].nunique(), n)):
        yield name, *found[name]


def _worst(ae: pd.DataFrame) -> pd.DataFrame:
    """Return one record per subject with WORST, its highest grade; NaN where no event has one."""
    worst = _grade(ae).groupby(ae["USUBJID"]).max()
    return ae.drop_duplicates("USUBJID").assign(WORST=lambda e: e["USUBJID"].map(worst).astype("float64"))


def _by_grade(ae: pd.DataFrame, size: dict[str, int], plan: Plan) -> Table:
    """Return the subjects by their worst grade; a subject with no grade at all counts as missing. The rows add up to N."""
    table = _table("ae-worst-grade", "Subjects by worst grade of adverse events", plan, size, "ADAE", EMERGENT)
    one = _worst(ae)
    for label, text, mine in (
        *((f"Grade {g}", f"maximum of AETOXGR = {g}", one[one["WORST"] == g]) for g in AE_GRADES),
        (MISSING, "no AETOXGR", one[one["WORST"].isna()]),
        ("No event", "", None),
    ):
        for arm, n in size.items():
            x = int(((one if mine is None else mine)["ARM"] == arm).sum())
            where, x = ("worst grade", label, arm), n - x if mine is None else x
            selection = f"{EMERGENT}, {text}" if text else f"no record with {EMERGENT}"
            table.add(where, "subjects", x, "subjects", selection=selection, subjects=n)
            add_share(table, where, x, n, selection)
    return table


def _by_term_and_grade(ae: pd.DataFrame, size: dict[str, int], plan: Plan) -> Table:
    """Return the subjects with each term by the worst grade that it had; grades that nobody has are left out."""
    title = "Adverse events by class, term and worst grade"
    table = _table("ae-term-grade", title, plan, size, "ADAE", EMERGENT)
    table.headed = True
    for name, place, own in _named(ae, CLASSES.of, CLASSES.of, CLASSES.missing):
        for term, selection, mine in _named(own, CLASSES.term, CLASSES.reported, NOT_CODED):
            one = _worst(mine)
            for grade in (*AE_GRADES, None):
                with_it = one[one["WORST"].isna() if grade is None else one["WORST"] == grade]
                if not len(with_it):
                    continue
                text = f"maximum of AETOXGR = {grade}" if grade else "no AETOXGR"
                for arm, n in size.items():
                    x = int((with_it["ARM"] == arm).sum())
                    where, statistic = (name, term, arm), f"grade {grade}" if grade else "grade missing"
                    chosen = f"{EMERGENT}, {place}, {selection}, {text}"
                    table.add(where, statistic, x, "subjects", selection=chosen, subjects=n)
    return table

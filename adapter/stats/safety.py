"""The tables of safety (protocol §7, §10): adverse events by subject and event, serious ones apart, laboratory shifts."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from adapter.stats.plan import Plan, subjects_of
from adapter.stats.rates import proportion
from adapter.stats.results import Table, columns_of

NOT_CODED = "(not coded)"
ADAE = ("USUBJID", "TRTEMFL", "AEBODSYS", "AEDECOD", "AETERM", "AESER", "AETOXGR", "AEREL", "AESDTH", "DLTFL")
ADLB = ("USUBJID", "PARAMCD", "PARAM", "ONTRTFL", "BTOXGRL", "BTOXGRH", "ATOXGRL", "ATOXGRH")
GRADES = ("0", "1", "2", "3", "4")
MISSING = "missing"

Condition = Callable[[pd.DataFrame], "pd.Series[bool]"]


def adverse_event_tables(adsl: pd.DataFrame, adae: pd.DataFrame, plan: Plan) -> list[Table]:
    """Return the tables of treatment-emergent adverse events: overview, by class and term, serious ones, by worst grade.

    By treatment given (TRT01A) in the safety population; events of others are in none of them. Each subject counts once
    per row, with its worst grade; each record of ADAE is one event.
    """
    subjects = subjects_of(adsl, plan, plan.safety, "TRT01A")
    ae = columns_of(adae, "ADAE", ADAE)
    ae = ae.merge(subjects, on="USUBJID")
    ae = ae[ae["TRTEMFL"] == "Y"]
    size = {a: int((subjects["ARM"] == a).sum()) for a in plan.arms}
    serious = ae[ae["AESER"] == "Y"]
    return [
        _overview(ae, size, plan),
        _by_term("ae-by-term", "Adverse events by class and term", "TRTEMFL = Y", ae, size, plan),
        _by_term(
            "ae-serious", "Serious adverse events by class and term", "TRTEMFL = Y, AESER = Y", serious, size, plan
        ),
        _by_grade(ae, size, plan),
    ]


def _conditions(plan: Plan) -> dict[str, tuple[str, Condition]]:
    severe = plan.severe_grade
    related = f"AEREL in {', '.join(plan.related)}"
    return {
        "Any": ("", lambda e: e["USUBJID"] != ""),
        "Related to treatment": (related, lambda e: e["AEREL"].isin(plan.related)),
        "Serious": ("AESER = Y", lambda e: e["AESER"] == "Y"),
        "Serious and related": (
            f"AESER = Y, {related}",
            lambda e: (e["AESER"] == "Y") & e["AEREL"].isin(plan.related),
        ),
        f"Grade {severe} or higher": (f"AETOXGR >= {severe}", lambda e: _grade(e) >= severe),
        "Grade not known": ("AETOXGR missing", lambda e: _grade(e).isna()),
        "Death": ("AESDTH = Y", lambda e: e["AESDTH"] == "Y"),
        "Dose-limiting": ("DLTFL = Y", lambda e: e["DLTFL"] == "Y"),
    }


def _grade(events: pd.DataFrame) -> pd.Series[float]:
    return pd.to_numeric(events["AETOXGR"], errors="coerce")


def _table(name: str, title: str, plan: Plan, dataset: str = "ADAE", *footnotes: str) -> Table:
    label = plan.populations.get(plan.safety, plan.safety)
    return Table(name, f"{title}, {label}", plan.arms, dataset, plan.safety, footnotes)


def _overview(ae: pd.DataFrame, size: dict[str, int], plan: Plan) -> Table:
    table = _table("ae-overview", "Treatment-emergent adverse events", plan)
    for label, (condition, holds) in _conditions(plan).items():
        selection = f"TRTEMFL = Y, {condition}".rstrip(", ")
        _counts(table, "overview", label, selection, ae[holds(ae)], size, plan.confidence)
    return table


def _counts(
    table: Table,
    section: str,
    label: str,
    selection: str,
    events: pd.DataFrame,
    size: dict[str, int],
    confidence: float | None = None,
) -> None:
    """Add subjects, their share (with an exact interval where a confidence is given) and events of each arm."""
    for arm, n in size.items():
        mine = events[events["ARM"] == arm]
        x, where = mine["USUBJID"].nunique(), (section, label, arm)
        table.add(where, "subjects", x, "subjects", selection=selection, subjects=n)
        if confidence is not None:
            share = proportion(x, n, confidence)
            table.add(where, "share", share, "proportion", selection=selection, subjects=n, confidence=confidence)
        else:
            why = "" if n else "no subjects"
            value = x / n if n else None
            table.add(
                where,
                "share",
                value,
                "proportion",
                selection=selection,
                subjects=n,
                method="descriptive",
                why=why,
            )
        table.add(where, "events", len(mine), "events", selection=selection, subjects=n)


def _by_term(name: str, title: str, selection: str, ae: pd.DataFrame, size: dict[str, int], plan: Plan) -> Table:
    """Return classes, and terms below each, the most frequent (in subjects of both arms) first, then by name."""
    table = _table(name, title, plan)
    ae = ae.assign(
        AEBODSYS=ae["AEBODSYS"].where(ae["AEBODSYS"] != "", NOT_CODED),
        AEDECOD=ae["AEDECOD"].where(ae["AEDECOD"] != "", ae["AETERM"] + f" {NOT_CODED}"),
    )
    for body_system in _frequent(ae, "AEBODSYS"):
        own = ae[ae["AEBODSYS"] == body_system]
        place = f"{selection}, AEBODSYS = {body_system}"
        _counts(table, body_system, "Any term", place, own, size)
        for term in _frequent(own, "AEDECOD"):
            _counts(table, body_system, term, f"{place}, AEDECOD = {term}", own[own["AEDECOD"] == term], size)
    return table


def _frequent(ae: pd.DataFrame, column: str) -> list[str]:
    counts = ae.groupby(column)["USUBJID"].nunique()
    return sorted(counts.index, key=lambda name: (-int(counts[name]), name))


def _by_grade(ae: pd.DataFrame, size: dict[str, int], plan: Plan) -> Table:
    """Return the subjects by their worst grade; a subject with no grade at all counts as missing."""
    table = _table("ae-worst-grade", "Subjects by worst grade of adverse events", plan)
    worst = _grade(ae).groupby(ae["USUBJID"]).max()
    events = ae.drop_duplicates("USUBJID").assign(WORST=lambda e: e["USUBJID"].map(worst))
    for grade in (1, 2, 3, 4, 5, None):
        mine = events[events["WORST"].isna() if grade is None else events["WORST"] == grade]
        label, text = (MISSING, "no AETOXGR") if grade is None else (f"Grade {grade}", f"maximum of AETOXGR = {grade}")
        for arm, n in size.items():
            x = int((mine["ARM"] == arm).sum())
            table.add(
                ("worst grade", label, arm), "subjects", x, "subjects", selection=f"TRTEMFL = Y, {text}", subjects=n
            )
    return table


def shift_table(adsl: pd.DataFrame, adlb: pd.DataFrame, plan: Plan) -> Table:
    """Return the shifts of CTCAE grades: subjects by baseline grade and worst grade under treatment, by test and direction.

    ADLB: PARAMCD, PARAM, BTOXGRL, BTOXGRH, ATOXGRL, ATOXGRH, and ONTRTFL = Y for records after the start of treatment.
    Subjects without such a record of a test are not in its rows. Rows without any subject are left out.
    """
    table = _table(
        "lab-shift",
        "Shift of laboratory grades from baseline to worst under treatment",
        plan,
        "ADLB",
        "Grades by CTCAE; missing: the grade is not known.",
    )
    subjects = subjects_of(adsl, plan, plan.safety, "TRT01A")
    lb = columns_of(adlb, "ADLB", ADLB)
    lb = lb[lb["ONTRTFL"] == "Y"].merge(subjects, on="USUBJID")
    for testcd, own in lb.groupby("PARAMCD", sort=True):
        for letter, direction in (("L", "low"), ("H", "high")):
            if (own[f"ATOXGR{letter}"] != "").any():
                mark = ", expected, underlying disease" if testcd in plan.expected else ""
                _shifts(table, own, f"{own['PARAM'].iloc[0]}, {direction}{mark}", letter, plan)
    return table


def _shifts(table: Table, own: pd.DataFrame, label: str, letter: str, plan: Plan) -> None:
    testcd = str(own["PARAMCD"].iloc[0])
    one = own.groupby("USUBJID").agg(
        ARM=("ARM", "first"), base=(f"BTOXGR{letter}", "max"), worst=(f"ATOXGR{letter}", "max")
    )
    one = one.replace({"base": {"": MISSING}, "worst": {"": MISSING}})
    for base in (*GRADES, MISSING):
        for worst in (*GRADES, MISSING):
            here = one[(one["base"] == base) & (one["worst"] == worst)]
            if not len(here):
                continue
            for arm in plan.arms:
                n = int((one["ARM"] == arm).sum())
                table.add(
                    (testcd, label, arm),
                    f"{base} to {worst}",
                    int((here["ARM"] == arm).sum()),
                    "subjects",
                    selection=f"PARAMCD = {testcd}, ONTRTFL = Y, BTOXGR{letter} {base}, worst ATOXGR{letter} {worst}",
                    subjects=n,
                )

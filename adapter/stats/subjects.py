"""The tables that describe the subjects (protocol §10): who is in which population, and what they were at baseline."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from adapter.stats.estimates import NO_SUBJECTS
from adapter.stats.plan import Characteristic, Plan, subjects_of
from adapter.stats.results import Table, columns_of
from adapter.stats.times import Floats

MISSING = "missing"
EVERYBODY = "ALL"
QUARTILES = "Quartiles by linear interpolation; standard deviation with n - 1."
DISPOSITION = (
    Characteristic("EOTSTT", "Treatment"),
    Characteristic("DCTREAS", "Reason for the end of treatment"),
    Characteristic("EOSSTT", "Study"),
    Characteristic("DCSREAS", "Reason for leaving the study"),
    Characteristic("DTHFL", "Died"),
)
"""Variables of ADSL that say how treatment and study ended."""
DESCRIBED = ("mean", "standard deviation", "median", "first quartile", "third quartile", "minimum", "maximum")


def population_table(adsl: pd.DataFrame, plan: Plan) -> Table:
    """Return how many subjects are in each population, by planned arm (by treatment given in the safety population)."""
    said = f"By treatment given (TRT01A) in {plan.label_of(plan.safety)}, else by planned treatment (TRT01P)."
    table = Table("populations", "Populations", plan.arms, "ADSL", "", (said,))
    for flag, label in plan.populations.items():
        arm = "TRT01A" if flag == plan.safety else "TRT01P"
        s = subjects_of(adsl, plan, flag, arm)
        for name in plan.arms:
            n = int((s["ARM"] == name).sum())
            table.add((flag, label, name), "subjects", n, "subjects", selection=f"{flag} = Y, {arm}", subjects=n)
    return table


def baseline_table(adsl: pd.DataFrame, plan: Plan) -> Table:
    """Return the characteristics of the plan in its main population, by planned arm and in all.

    Numbers: count, mean, standard deviation (n - 1), quartiles (linear interpolation, as R's type 7), range, missing.
    Categories: count and share of the subjects of the arm; an empty value is a category, "missing".
    """
    return _of_subjects("baseline", "Baseline characteristics", adsl, plan, plan.characteristics, QUARTILES)


def disposition_table(adsl: pd.DataFrame, plan: Plan) -> Table:
    """Return what became of the subjects of the main population, by planned arm and in all: those of DISPOSITION in ADSL.

    A reason counts among all subjects of the arm; who has none (no discontinuation) is in no row of it.
    """
    there = tuple(c for c in DISPOSITION if c.variable in adsl.columns)
    return _of_subjects("disposition", "Disposition", adsl, plan, there, leave=("DCSREAS", "DCTREAS", "DTHFL"))


def _of_subjects(
    name: str,
    title: str,
    adsl: pd.DataFrame,
    plan: Plan,
    characteristics: Sequence[Characteristic],
    *footnotes: str,
    leave: Collection[str] = (),
) -> Table:
    """Return a table of ADSL. leave: variables of which an empty value is no category."""
    groups = (*plan.arms, EVERYBODY)
    title = f"{title}, {plan.label_of(plan.population)}"
    table = Table(name, title, groups, "ADSL", plan.population, footnotes)
    s = subjects_of(adsl, plan, plan.population)
    table.sizes = plan.sizes(s) | {EVERYBODY: len(s)}
    absent = [c.variable for c in characteristics if c.variable not in adsl.columns]
    if absent:
        table.footnotes += (f"ADSL has no {', '.join(absent)}: missing for everybody.",)
    for c in characteristics:
        values = s.merge(_values(adsl, c), on="USUBJID")
        members = {g: values.loc[(values["ARM"] == g) | (g == EVERYBODY), c.variable] for g in groups}
        if c.numeric:
            label = f"{c.label} ({c.unit})" if c.unit else c.label
            describe(table, c.variable, label, members, c.variable)
        else:
            _categories(table, c, members, c.variable in leave)
    return table


def _values(adsl: pd.DataFrame, c: Characteristic) -> pd.DataFrame:
    """Return USUBJID and the variable; a package leaves a permissible variable out where nobody has a value."""
    if not c.numeric:
        return columns_of(adsl, "ADSL", ["USUBJID"], optional=(c.variable,))
    there = adsl if c.variable in adsl.columns else adsl.assign(**{c.variable: float("nan")})
    return columns_of(there, "ADSL", ["USUBJID"], [c.variable])


def describe(
    table: Table,
    section: str,
    label: str,
    members: Mapping[str, pd.Series[float]],
    what: str,
    statistics: Sequence[str] = DESCRIBED,
) -> None:
    """Add statistics of a number to a table, by group (group -> a value or NaN per subject).

    what: the selection of the values, such as a variable; those that are missing are counted.
    """
    for group, values in members.items():
        x, where = np.asarray(values.dropna(), dtype=np.float64), (section, label, group)
        n = len(values)
        table.add(where, "subjects", len(x), "subjects", selection=f"{what} not missing", subjects=n)
        table.add(where, MISSING, n - len(x), "subjects", selection=f"{what} missing", subjects=n)
        for statistic in statistics:
            why = "no values" if not len(x) else "one value" if len(x) == 1 and statistic == DESCRIBED[1] else ""
            value = None if why else _described(x, statistic)
            table.add(
                where,
                statistic,
                value,
                "",
                selection=f"{what} not missing",
                method="descriptive",
                why=why,
                subjects=len(x),
            )


def _described(x: Floats, statistic: str) -> float:
    if statistic == "mean":
        return float(x.mean())
    if statistic == "standard deviation":
        return float(x.std(ddof=1))
    share = {"minimum": 0.0, "first quartile": 0.25, "median": 0.5, "third quartile": 0.75, "maximum": 1.0}
    return float(np.quantile(x, share[statistic]))


def _categories(table: Table, c: Characteristic, members: Mapping[str, pd.Series[str]], leave: bool) -> None:
    found = sorted({v for values in members.values() for v in values if v})
    if not leave and any((values == "").any() for values in members.values()):
        found.append("")
    for category in found:
        for group, values in members.items():
            x, n = int((values == category).sum()), len(values)
            where = (c.variable, f"{c.label}: {category or MISSING}", group)
            selection = f"{c.variable} = {category}" if category else f"{c.variable} missing"
            table.add(where, "subjects", x, "subjects", selection=selection, subjects=n)
            add_share(table, where, x, n, selection)


def add_share(table: Table, where: tuple[str, str, str], x: int, n: int, selection: str) -> None:
    """Add x / n without an interval."""
    why = "" if n else NO_SUBJECTS
    share = x / n if n else None
    table.add(where, "share", share, "proportion", selection=selection, subjects=n, method="descriptive", why=why)

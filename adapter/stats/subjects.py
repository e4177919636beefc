"""The tables that describe the subjects (protocol §10): who is in which population, and what they were at baseline."""

from __future__ import annotations

import numpy as np
import pandas as pd

from adapter.stats.plan import Characteristic, Plan, subjects_of
from adapter.stats.results import Table, columns_of
from adapter.stats.times import Floats

MISSING = "missing"
DESCRIBED = ("mean", "standard deviation", "median", "first quartile", "third quartile", "minimum", "maximum")


def population_table(adsl: pd.DataFrame, plan: Plan) -> Table:
    """Return how many subjects are in each population, by planned arm (by treatment given in the safety population)."""
    table = Table("populations", "Populations", plan.arms, "ADSL", "")
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
    everybody = "ALL"
    groups = (*plan.arms, everybody)
    label = plan.populations.get(plan.population, plan.population)
    table = Table("baseline", f"Baseline characteristics, {label}", groups, "ADSL", plan.population)
    s = subjects_of(adsl, plan, plan.population)
    for c in plan.characteristics:
        text, numeric = ([], [c.variable]) if c.numeric else ([c.variable], [])
        values = s.merge(columns_of(adsl, "ADSL", ["USUBJID", *text], numeric), on="USUBJID")
        members = {g: values.loc[(values["ARM"] == g) | (g == everybody), c.variable] for g in groups}
        if c.numeric:
            _numbers(table, c, members)
        else:
            _categories(table, c, members)
    return table


def _numbers(table: Table, c: Characteristic, members: dict[str, pd.Series[float]]) -> None:
    label = f"{c.label} ({c.unit})" if c.unit else c.label
    for group, values in members.items():
        x, where = np.asarray(values.dropna(), dtype=np.float64), (c.variable, label, group)
        n = len(values)
        table.add(where, "subjects", len(x), "subjects", selection=f"{c.variable} not missing", subjects=n)
        table.add(where, MISSING, n - len(x), "subjects", selection=f"{c.variable} missing", subjects=n)
        for statistic in DESCRIBED:
            why = "no values" if not len(x) else "one value" if len(x) == 1 and statistic == DESCRIBED[1] else ""
            value = None if why else _described(x, statistic)
            table.add(where, statistic, value, "", method="descriptive", why=why, subjects=len(x))


def _described(x: Floats, statistic: str) -> float:
    if statistic == "mean":
        return float(x.mean())
    if statistic == "standard deviation":
        return float(x.std(ddof=1))
    share = {"minimum": 0.0, "first quartile": 0.25, "median": 0.5, "third quartile": 0.75, "maximum": 1.0}
    return float(np.quantile(x, share[statistic]))


def _categories(table: Table, c: Characteristic, members: dict[str, pd.Series[str]]) -> None:
    found = sorted({v for values in members.values() for v in values if v})
    if any((values == "").any() for values in members.values()):
        found.append("")
    for category in found:
        for group, values in members.items():
            x, n, where = int((values == category).sum()), len(values), (c.variable, f"{c.label}: {category}", group)
            if not category:
                where = (c.variable, f"{c.label}: {MISSING}", group)
            selection = f"{c.variable} = {category}" if category else f"{c.variable} missing"
            table.add(where, "subjects", x, "subjects", selection=selection, subjects=n)
            share = x / n if n else None
            table.add(
                where,
                "share",
                share,
                "proportion",
                selection=selection,
                subjects=n,
                method="descriptive",
                why="" if n else "no subjects",
            )

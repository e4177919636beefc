"""The tables of treatment: doses of the trial products (ADEX) and the burden of transfusions (ADTB), described by arm."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from adapter.errors import InputError
from adapter.stats.plan import Plan, subjects_of
from adapter.stats.results import Table, columns_of
from adapter.stats.subjects import DESCRIBED, QUARTILES, describe

ADEX = ("USUBJID", "PARAMCD", "PARAM", "AVISIT", "AVISITN", "AVAL")
OBSERVED = "OBSDAYS"
ADTB = (*ADEX, OBSERVED)
BY_WEEK = ("mean", "standard deviation")


def exposure_table(adsl: pd.DataFrame, adex: pd.DataFrame, plan: Plan) -> Table:
    """Return the parameters of ADEX in the safety population by treatment given; those per administration by visit.

    An arm without any record has no column: it does not get the product.
    """
    subjects = subjects_of(adsl, plan, plan.safety, "TRT01A")
    records = _records(adex, "ADEX").merge(subjects, on="USUBJID")
    groups = tuple(a for a in plan.arms if (records["ARM"] == a).any())
    footnotes = [QUARTILES, "Counted are the subjects who have a record."]
    footnotes += [f"No administration of a trial product: {a}." for a in plan.arms if a not in groups]
    title = f"Exposure to the trial products, {plan.label_of(plan.safety)}"
    table = Table("exposure", title, groups, "ADEX", plan.safety, tuple(footnotes))
    table.sizes = {g: n for g, n in plan.sizes(subjects).items() if g in groups}
    for (paramcd, _, visit), own in records.groupby(["PARAMCD", "AVISITN", "AVISIT"], sort=True, dropna=False):
        label = ", ".join(filter(None, (str(own["PARAM"].iloc[0]), str(visit))))
        _describe(table, str(paramcd), label, own, f"PARAMCD = {paramcd}" + (f", AVISIT = {visit}" if visit else ""))
    return table


def transfusion_table(adsl: pd.DataFrame, adtb: pd.DataFrame, plan: Plan) -> Table:
    """Return the parameters of ADTB in the main population by planned arm: all weeks together, and means by week."""
    subjects = subjects_of(adsl, plan, plan.population)
    records = _records(adtb, "ADTB", OBSERVED).merge(subjects, on="USUBJID")
    footnotes = (
        "Over the days under observation; who died or left early has fewer of them, and none in later weeks.",
        "Missing: units of a transfusion are not known. Those who are left may differ from the others.",
        QUARTILES,
    )
    title = f"Transfusions from the start of treatment, {plan.label_of(plan.population)}"
    table = Table("transfusions", title, plan.arms, "ADTB", plan.population, footnotes)
    table.sizes = plan.sizes(subjects)
    whole = records[records["AVISITN"] == 0]
    days = whole.drop_duplicates("USUBJID").assign(AVAL=lambda f: f[OBSERVED])
    if len(days):
        _describe(table, OBSERVED, "Days under observation", days, f"AVISITN = 0, {OBSERVED}")
    for code, own in whole.groupby("PARAMCD", sort=True):
        _describe(table, str(code), f"{own['PARAM'].iloc[0]}, all weeks", own, f"PARAMCD = {code}, AVISITN = 0")
    weeks = records[records["AVISITN"] > 0]
    for (paramcd, number, visit), own in weeks.groupby(["PARAMCD", "AVISITN", "AVISIT"], sort=True):
        what = f"PARAMCD = {paramcd}, AVISITN = {number:g}"
        _describe(table, str(paramcd), f"{own['PARAM'].iloc[0]}, {visit}", own, what, BY_WEEK)
    return table


def _records(frame: pd.DataFrame, name: str, *more: str) -> pd.DataFrame:
    f = columns_of(frame, name, ["USUBJID", "PARAMCD", "PARAM", "AVISIT"], ["AVISITN", "AVAL", *more])
    twice = f[f.duplicated(["USUBJID", "PARAMCD", "AVISIT", "AVISITN"])]
    if len(twice):
        raise InputError(
            f"{name}: {twice['PARAMCD'].iloc[0]} stands twice for a subject and visit, expected one record each"
        )
    return f


def _describe(
    table: Table, section: str, label: str, own: pd.DataFrame, what: str, statistics: Sequence[str] = DESCRIBED
) -> None:
    members = {g: own.loc[own["ARM"] == g, "AVAL"] for g in table.groups}
    describe(table, section, label, members, what, statistics)

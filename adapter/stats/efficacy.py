"""The tables of response (protocol §5): rates of both arms, their difference, and Fisher's test."""

from __future__ import annotations

import pandas as pd

from adapter.errors import InputError
from adapter.stats.plan import Plan, Response, Role, subjects_of
from adapter.stats.rates import SIDES, difference, fisher, proportion
from adapter.stats.results import Table, columns_of

NOT_EVALUABLE = "NE"
IN_ANALYSIS = "ANL01FL"
"""Where ADRS has this flag, a subject without Y has no answer yet and is in no denominator (interim cut, A-12)."""

_TITLES = {"primary": "Primary endpoints", "secondary": "Secondary response", "sensitivity": "Sensitivity of response"}


def response_table(adsl: pd.DataFrame, adrs: pd.DataFrame, plan: Plan, role: Role, population: str = "") -> Table:
    """Return the responses of one role in a population (a flag of ADSL; empty: the plan's main one), by planned arm.

    A subject of the population without a record of a parameter counts like one that is not evaluable.
    """
    population = population or plan.population
    table = Table(
        f"response-{role}-{population.lower()}",
        f"{_TITLES[role]}, {plan.populations.get(population, population)}",
        (*plan.arms, plan.comparison),
        "ADRS",
        population,
        (
            "Not evaluable counts as no response."
            if plan.not_evaluable_as == "non_responder"
            else "Subjects who are not evaluable are left out.",
            "One-sided: the first arm has the higher rate.",
        ),
    )
    subjects = subjects_of(adsl, plan, population)
    needed = ["USUBJID", "PARAMCD", "AVALC", *([IN_ANALYSIS] if IN_ANALYSIS in adrs.columns else [])]
    records = columns_of(adrs, "ADRS", needed)
    for response in plan.responses:
        if response.role == role:
            _add(table, answers(subjects, records, response), response, plan)
    return table


def answers(subjects: pd.DataFrame, records: pd.DataFrame, response: Response) -> pd.DataFrame:
    """Return USUBJID, ARM, AVALC of the subjects who are in the analysis; AVALC is NE without a record."""
    own = records[records["PARAMCD"] == response.paramcd]
    if own["USUBJID"].duplicated().any():
        raise InputError(f"ADRS: {response.paramcd} stands twice for a subject, expected one record each")
    merged = subjects.merge(own, on="USUBJID", how="left")
    if IN_ANALYSIS in records.columns:
        merged = merged[(merged[IN_ANALYSIS] == "Y") | merged[IN_ANALYSIS].isna()]
    return merged.assign(AVALC=merged["AVALC"].fillna(NOT_EVALUABLE))[["USUBJID", "ARM", "AVALC"]]


def _add(table: Table, found: pd.DataFrame, response: Response, plan: Plan) -> None:
    yes = found["AVALC"].isin(response.responders)
    unknown = (found["AVALC"] == NOT_EVALUABLE) & ~yes
    counted = ~unknown if plan.not_evaluable_as == "excluded" else pd.Series(True, index=found.index)
    selection = f"PARAMCD = {response.paramcd}"
    responder = f"{selection}, AVALC in {', '.join(response.responders)}"
    name, section = response.label, response.paramcd
    counts: list[tuple[int, int]] = []
    for arm in plan.arms:
        mine = found["ARM"] == arm
        x, n, ne = int((mine & counted & yes).sum()), int((mine & counted).sum()), int((mine & unknown).sum())
        counts.append((x, n))
        where = (section, name, arm)
        table.add(where, "subjects", n, "subjects", selection=selection, subjects=n)
        table.add(where, "responders", x, "subjects", selection=responder, subjects=n)
        reason = f"{selection}, AVALC = {NOT_EVALUABLE}"
        table.add(where, "not evaluable", ne, "subjects", selection=reason, subjects=n)
        rate = proportion(x, n, plan.confidence)
        table.add(
            where, "response rate", rate, "proportion", selection=responder, subjects=n, confidence=plan.confidence
        )
    (x1, n1), (x2, n2) = counts
    where, n = (section, name, plan.comparison), n1 + n2
    gap = difference(x1, n1, x2, n2, plan.confidence)
    table.add(
        where, "difference of rates", gap, "difference", selection=responder, subjects=n, confidence=plan.confidence
    )
    for side in SIDES:
        table.add(where, f"p, {side}", fisher(x1, n1, x2, n2, side), "p", selection=responder, subjects=n)

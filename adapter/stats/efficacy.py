"""The tables of response (protocol §5): rates of both arms, their difference, and Fisher's test."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from adapter.errors import InputError
from adapter.stats.plan import Plan, Response, Role, subjects_of
from adapter.stats.rates import difference, fisher, holm, proportion
from adapter.stats.results import Table, columns_of, day_numbers

NOT_EVALUABLE = "NE"
IN_ANALYSIS = "ANL01FL"
"""Where ADRS has this flag, a subject without Y has no answer yet and is in no denominator (interim cut, A-12)."""

_TITLES = {
    "primary": "Primary endpoints",
    "secondary": "Secondary response",
    "sensitivity": "Sensitivity of response",
    "descriptive": "Response, descriptive",
}


def response_table(adsl: pd.DataFrame, adrs: pd.DataFrame, plan: Plan, role: Role, population: str = "") -> Table:
    """Return the responses of one role in a population (a flag of ADSL; empty: the plan's main one), by planned arm.

    A subject of the population without a record of a parameter counts like one that is not evaluable.
    """
    population = population or plan.population
    table = Table(
        f"response-{role}-{population.lower()}",
        f"{_TITLES[role]}, {plan.label_of(population)}",
        (*plan.arms, plan.comparison),
        "ADRS",
        population,
        (
            "Not evaluable counts as no response."
            if plan.not_evaluable_as == "non_responder"
            else "Subjects who are not evaluable are left out.",
            *(_compared(plan) if role != "descriptive" else ()),
        ),
    )
    subjects = subjects_of(adsl, plan, population)
    table.sizes = plan.sizes(subjects)
    waiting = on_their_way(adsl, plan.horizon_days) if plan.horizon_days and len(subjects) else frozenset()
    needed = ["USUBJID", "PARAMCD", "AVALC", *([IN_ANALYSIS] if IN_ANALYSIS in adrs.columns else [])]
    records = columns_of(adrs, "ADRS", needed)
    flag = f", {IN_ANALYSIS} = Y" if IN_ANALYSIS in records.columns else ""
    for response in plan.responses:
        if response.role == role:
            _add(table, answers(subjects, records, response, waiting), response, plan, flag)
    if role == "primary" and plan.multiplicity == "holm":
        _adjust(table, plan)
    return table


def _compared(plan: Plan) -> tuple[str, ...]:
    adjusted = "" if plan.multiplicity == "holm" else " P values are not adjusted for the number of parameters."
    way = f"Before study day {plan.horizon_days} only responders, and who died or left, are in the denominator."
    return (
        f"Difference: {plan.first} minus {plan.second}. One-sided: the first arm has the higher rate.{adjusted}",
        *((way,) if plan.horizon_days else ()),
    )


def on_their_way(adsl: pd.DataFrame, horizon: int) -> frozenset[str]:
    """Return the subjects (USUBJID) whose horizon, a study day, lies after their data cut, and who neither died nor left.

    ADSL: RFSTDT, DCUTDT, DTHFL, EOSSTT (ONGOING or empty: has not left).
    """
    s = columns_of(adsl, "ADSL", ["USUBJID"], optional=("DTHFL", "EOSSTT"))
    start, cut = (day_numbers(adsl, "ADSL", v).reset_index(drop=True) for v in ("RFSTDT", "DCUTDT"))
    waiting = (start + horizon - 1 > cut) & (s["DTHFL"] != "Y") & s["EOSSTT"].isin(["", "ONGOING"])
    return frozenset(s.loc[waiting, "USUBJID"])


def answers(
    subjects: pd.DataFrame, records: pd.DataFrame, response: Response, waiting: Collection[str] = ()
) -> pd.DataFrame:
    """Return USUBJID, ARM, AVALC of the subjects who are in the analysis; AVALC is NE without a record or an answer.

    waiting: subjects who are in the analysis only if they have responded.
    """
    own = records[records["PARAMCD"] == response.paramcd]
    if own["USUBJID"].duplicated().any():
        raise InputError(f"ADRS: {response.paramcd} stands twice for a subject, expected one record each")
    merged = subjects.merge(own, on="USUBJID", how="left")
    if IN_ANALYSIS in records.columns:
        merged = merged[(merged[IN_ANALYSIS] == "Y") | merged[IN_ANALYSIS].isna()]
    said = merged["AVALC"].fillna("")
    merged = merged.assign(AVALC=said.where(said != "", NOT_EVALUABLE))
    ripe = merged["AVALC"].isin(response.responders) | ~merged["USUBJID"].isin(list(waiting))
    return merged.loc[ripe, ["USUBJID", "ARM", "AVALC"]].reset_index(drop=True)


def _adjust(table: Table, plan: Plan) -> None:
    """Append Holm's adjustment of the p values of all parameters, on the first side that is reported."""
    name = f"p, {plan.sides[0]}"
    tests = [r for r in table.results if r.statistic == name]
    for r, p in zip(tests, holm([r.value for r in tests]), strict=True):
        table.add(
            (r.section, r.label, r.group),
            f"{name}, Holm over {len(tests)} parameters",
            p,
            "p",
            selection=r.selection,
            subjects=r.subjects,
            method=f"{r.method}, Holm",
            why=r.why,
        )


def _add(table: Table, found: pd.DataFrame, response: Response, plan: Plan, flag: str) -> None:
    yes = found["AVALC"].isin(response.responders)
    unknown = (found["AVALC"] == NOT_EVALUABLE) & ~yes
    counted = ~unknown if plan.not_evaluable_as == "excluded" else pd.Series(True, index=found.index)
    selection = f"PARAMCD = {response.paramcd}{flag}"
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
    if response.role == "descriptive":
        return
    (x1, n1), (x2, n2) = counts
    where, n = (section, name, plan.comparison), n1 + n2
    gap = difference(x1, n1, x2, n2, plan.confidence, plan.continuity)
    table.add(
        where, "difference of rates", gap, "difference", selection=responder, subjects=n, confidence=plan.confidence
    )
    for side in plan.sides:
        table.add(where, f"p, {side}", fisher(x1, n1, x2, n2, side), "p", selection=responder, subjects=n)

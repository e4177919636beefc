"""The tables of time to event (protocol §6): Kaplan-Meier or cumulative incidence, and the arms compared by hazards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.errors import InputError
from adapter.stats.gray import gray
from adapter.stats.hazards import cox, log_rank
from adapter.stats.incidence import cumulative_incidence, incidence_at
from adapter.stats.plan import Plan, TimeTo, subjects_of
from adapter.stats.results import Table, columns_of, day_numbers
from adapter.stats.survival import kaplan_meier, quantile, survival_at
from adapter.stats.times import Times, times_of

STATUS = {0: 1, 1: 0, 2: 2}
"""CNSR -> status of adapter.stats.times: 0 is the event, 1 censored, 2 the competing event."""
VARIANCES = {
    "aalen": "Aalen's (as R's cmprsk and SAS)",
    "jackknife": "infinitesimal jackknife (as R's survival)",
}
QUARTILES = (0.25, 0.5, 0.75)


def time_table(adsl: pd.DataFrame, adtte: pd.DataFrame, plan: Plan, population: str = "") -> Table:
    """Return the times to event of a population (a flag of ADSL; empty: the plan's main one), by planned arm.

    A subject without a record of a parameter is not in it (the number of subjects says so). For delayed entry ADSL has
    RANDDT and ADTTE STARTDT: a subject is at risk from the day of randomisation on, and one whose time ended before
    that day is left out and counted.
    """
    population = population or plan.population
    table = Table(
        f"time-to-event-{population.lower()}",
        f"Time to event, {plan.label_of(population)}",
        (*plan.arms, plan.comparison),
        "ADTTE",
        population,
        (
            "With competing events: cumulative incidence, never 1 - Kaplan-Meier, which would overstate it. "
            f"Variance: {VARIANCES[plan.variance]}.",
            "Survival: Kaplan-Meier, Greenwood's variance. All intervals on the log-log scale.",
            "Where a parameter starts before randomisation, subjects are at risk from the day of randomisation; hazards are "
            "then compared, because Gray's test is not defined.",
            f"Hazard ratio: {plan.first} to {plan.second}. P values are two-sided and not adjusted for the number of "
            "parameters.",
        ),
    )
    subjects = subjects_of(adsl, plan, population)
    table.sizes = plan.sizes(subjects)
    if any(t.delayed for t in plan.times) and len(subjects):
        subjects = subjects.merge(_dates(adsl, "ADSL", "RANDDT"), on="USUBJID")
    for parameter in plan.times:
        own = adtte[adtte["PARAMCD"] == parameter.paramcd] if "PARAMCD" in adtte.columns else adtte
        records = columns_of(own, "ADTTE", ["USUBJID", "PARAMCD"], ["AVAL", "CNSR"])
        if parameter.delayed and len(subjects):
            records = records.merge(_dates(own, "ADTTE", "STARTDT"), on="USUBJID")
        _add(table, subjects.merge(_checked(records, parameter), on="USUBJID"), parameter, plan)
    return table


def _checked(records: pd.DataFrame, parameter: TimeTo) -> pd.DataFrame:
    name = f"ADTTE: {parameter.paramcd}"
    if records["USUBJID"].duplicated().any():
        raise InputError(f"{name} stands twice for a subject, expected one record each")
    known = (0, 1, 2) if parameter.competing else (0, 1)
    odd = records.loc[~records["CNSR"].isin(known), "CNSR"]
    if len(odd):
        raise InputError(f"{name}: CNSR is {odd.iloc[0]:g}, expected {', '.join(map(str, known))}")
    if not (records["AVAL"] >= 0).all():
        raise InputError(f"{name}: AVAL is missing or negative, expected days")
    return records


def _dates(frame: pd.DataFrame, name: str, variable: str) -> pd.DataFrame:
    return pd.DataFrame({"USUBJID": frame["USUBJID"].astype("str"), variable: day_numbers(frame, name, variable)})


def times_in(found: pd.DataFrame, delayed: bool) -> tuple[Times, pd.DataFrame]:
    """Return the times of subjects (AVAL, CNSR; RANDDT, STARTDT), and their rows without those who were never at risk."""
    status = found["CNSR"].astype(int).map(STATUS).to_numpy()
    if not delayed or not len(found):
        return times_of(found["AVAL"], status), found
    entry = found["RANDDT"] - found["STARTDT"]
    if entry.isna().any():
        raise InputError("ADSL, ADTTE: RANDDT or STARTDT is missing for a subject, which delayed entry needs")
    return times_of(found["AVAL"], status, entry), found[(entry < found["AVAL"]).to_numpy()]


def _add(table: Table, found: pd.DataFrame, parameter: TimeTo, plan: Plan) -> None:
    section, name, selection = parameter.paramcd, parameter.label, f"PARAMCD = {parameter.paramcd}"
    for arm in plan.arms:
        times, _ = times_in(found[found["ARM"] == arm], parameter.delayed)
        where, n = (section, name, arm), len(times)
        counts = [("subjects", n, "", n), ("events", int((times.status == 1).sum()), ", CNSR = 0", n)]
        if parameter.competing:
            counts.append(("competing events", int((times.status == 2).sum()), ", CNSR = 2", n))
        counts.append(("censored", int((times.status == 0).sum()), ", CNSR = 1", n))
        if parameter.delayed:
            out = times.left_out
            counts.append(("left out: ended before randomisation", out, ", AVAL <= RANDDT - STARTDT", n + out))
        for statistic, count, condition, of in counts:
            table.add(where, statistic, count, "subjects", selection=f"{selection}{condition}", subjects=of)
        if parameter.competing:
            _incidence(table, where, times, parameter, plan)
        else:
            _survival(table, where, times, parameter, plan)
    if not parameter.compared:
        return
    times, rows = times_in(found, parameter.delayed)
    first = (rows["ARM"] == plan.first).to_numpy(dtype=bool)
    where, n = (section, name, plan.comparison), len(times)
    if parameter.competing:
        arms = rows["ARM"] if len(rows) else np.empty(0)
        table.add(where, "p, Gray", gray(times, arms), "p", selection=selection, subjects=n)
    kind = "cause-specific " if parameter.competing else ""
    table.add(where, f"p, {kind}log-rank", log_rank(times, first), "p", selection=selection, subjects=n)
    model = cox(times, first, plan.confidence)
    table.add(
        where,
        f"{kind}hazard ratio",
        model.ratio,
        "ratio",
        selection=selection,
        subjects=n,
        confidence=plan.confidence,
    )


def _survival(table: Table, where: tuple[str, str, str], times: Times, parameter: TimeTo, plan: Plan) -> None:
    curve = kaplan_meier(times)
    more: dict[str, Any] = {
        "selection": f"PARAMCD = {parameter.paramcd}",
        "subjects": len(times),
        "confidence": plan.confidence,
    }
    for day in parameter.days:
        table.add(
            where, f"free of the event on day {day}", survival_at(curve, day, plan.confidence), "proportion", **more
        )
    for p in QUARTILES:
        table.add(where, f"{p * 100:g} % had the event by", quantile(curve, p, plan.confidence), "days", **more)


def _incidence(table: Table, where: tuple[str, str, str], times: Times, parameter: TimeTo, plan: Plan) -> None:
    curve = cumulative_incidence(times)
    selection, n = f"PARAMCD = {parameter.paramcd}", len(times)
    for day in parameter.days:
        found = incidence_at(curve, day, plan.confidence, plan.variance)
        table.add(
            where,
            f"cumulative incidence on day {day}",
            found,
            "proportion",
            selection=selection,
            subjects=n,
            confidence=plan.confidence,
        )
    days = times.time[times.status == 1]
    for statistic, f in (("median", np.median), ("shortest", np.min), ("longest", np.max)):
        table.add(
            where,
            f"{statistic} time of those with the event",
            float(f(days)) if len(days) else None,
            "days",
            selection=f"{selection}, CNSR = 0",
            subjects=len(days),
            method="descriptive",
            why="" if len(days) else "no event",
        )

"""Deviations of conventional treatment, of procedures and of entry (protocol §8): dose ranges, step rules, counts, criteria."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from adapter.derive.deviations import outside, plain, stretches, told_outside
from adapter.derive.steps import Rule, steps_broken
from mappings.deviations.case import Case, Found, rows
from mappings.parts import text


def dose_range(factor: str) -> Callable[[Case, tuple[str, ...]], Iterator[Found]]:
    """Return the rule of one growth factor: a daily dose outside its range, from randomisation to the end of counting."""

    def rule(case: Case, arms: tuple[str, ...]) -> Iterator[Found]:
        g = case.trial.growth_factors.get(factor)
        if g is None:
            return
        days = _judged(case, case.given(g.medication, g.unit, g.equal_units), arms)
        low, high, tolerance = float(g.low), float(g.high), float(g.tolerance_percent)
        least, most = low * (1 - tolerance / 100), high * (1 + tolerance / 100)
        wrong = stretches(days[outside(days["amount"], low, high, tolerance).to_numpy()])
        for who, first, last, dose, seq in rows(wrong, "USUBJID", "first", "last", "amount", "seq"):
            told = {"dose": told_outside(dose, least, most), "low": plain(low), "high": plain(high), "unit": g.unit}
            yield Found(who, first, last, told, "CM", seq)

    return rule


def _judged(case: Case, days: pd.DataFrame, arms: tuple[str, ...]) -> pd.DataFrame:
    """Return the days from randomisation to the last study day of the phase of daily counts, at most."""
    s, phase = case.s, case.trial.daily_phase
    who = days["USUBJID"]
    mine = who.isin(case.of_arms(arms)) & (days["day"] >= who.map(s["rand"]))
    if phase is not None:
        mine &= days["day"] <= who.map(s["rfst"]) + phase.max_day - 1
    return days[mine.to_numpy()]


def steps(name: str) -> Callable[[Case, tuple[str, ...]], Iterator[Found]]:
    """Return the rule of one drug that is stepped by a count."""

    def rule(case: Case, arms: tuple[str, ...]) -> Iterator[Found]:
        r = case.trial.step_rules.get(name)
        if r is None or case.trial.analytes[r.analyte].unit != r.unit:
            return
        stated = Rule(
            float(r.start_dose),
            float(r.up_below),
            r.up_after_days,
            float(r.down_from),
            float(r.down_to),
            float(r.stop_above),
            r.grace_days,
        )
        given, values = case.tablets(r.medication, r.dose_unit), case.counts_by_subject(r.analyte)
        for who, mine in given[given["USUBJID"].isin(case.of_arms(arms)).to_numpy()].groupby("USUBJID", sort=True):
            since, start = case.fact(str(who), "rand"), case.fact(str(who), "rfst")
            if np.isnan(since):
                continue
            doses = dict(zip(mine["day"].astype(int), mine["amount"], strict=True))
            seq = dict(zip(mine["day"].astype(int), mine["seq"], strict=True))
            for broken in steps_broken(doses, values.get(str(who), {}), stated, int(since)):
                study = int(broken.day - start + (broken.day >= start))
                reason = f"{broken.reason}, study day {study}"
                yield Found(str(who), broken.day, broken.day, {"reason": reason}, "CM", seq[broken.day])

    return rule


def counts_missing(case: Case, arms: tuple[str, ...]) -> Iterator[Found]:
    """Days of the phase of daily counts without a value of one of its analytes; not after the last day that is known, and
    not the day of death, of which a part only was lived."""
    phase = case.trial.daily_phase
    if phase is None:
        return
    s = case.s
    known = text(case.inputs.subjects[phase.entry_column]).reindex(s.index) != ""
    end = case.phase_end.clip(upper=np.fmin(s["known_to"], s["death"] - 1))
    spans = (
        s.assign(last=end.where(known), place=np.arange(len(s))).loc[case.of_arms(arms)].reset_index(names="USUBJID")
    )
    values = []
    for analyte in phase.analytes:
        d = case.counts.of(analyte)
        values.append(set(zip(d.subject.tolist(), d.day.tolist(), strict=True)))
    for who, place, first, last in rows(spans, "USUBJID", "place", "rfst", "last"):
        if np.isnan(first) or np.isnan(last):
            continue
        days = range(int(first), int(last) + 1)
        missing = [d for d in days if not all((place, d) in v for v in values)]
        if missing:
            yield Found(who, float(missing[0]), float(missing[-1]), {"n": str(len(missing))})


def not_eligible(case: Case, arms: tuple[str, ...]) -> Iterator[Found]:
    """A randomised subject with a violated criterion in IE."""
    ie = case.made("IE")
    ie = ie[ie["USUBJID"].isin(case.of_arms(arms)).to_numpy()]
    for who, code, name, seq in rows(ie, "USUBJID", "IETESTCD", "IETEST", "IESEQ"):
        randomised = case.fact(who, "rand")
        yield Found(who, randomised, randomised, {"criterion": f"{code} {name}"}, "IE", seq)

"""Cumulative incidence with competing risks (Aalen-Johansen), with delayed entry, and its two variance conventions.

Two conventions are in use and differ in small samples, so the result names its own:
`aalen` (Aalen 1978; R's cmprsk): both causes as independent binomial increments, d(n - d) / (n - 1) events of ties;
`jackknife` (infinitesimal; R's survival): the sum of the squared influences of the subjects.
The interval is log-log of the incidence: F ** exp(-+ z se / (F log F)).

statsmodels' CumIncidenceRight has no delayed entry; without it, it gives the same estimates (tested).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapter.stats.estimates import NO_SUBJECTS, Estimate, normal_quantile
from adapter.stats.times import CENSORED, EVENT, Floats, Integers, Times

VARIANCES = ("aalen", "jackknife")


@dataclass(frozen=True, slots=True)
class Incidence:
    """A cumulative incidence curve: vectors over the days with an event of any cause, and what it is of.

    of_cause, of_any: events on each day. before: probability to be free of every event just before. incidence: on it.
    n: subjects; total: events of the cause; last: last day of follow-up; emptied: as in survival.Curve.
    """

    cause: int
    day: Floats
    at_risk: Integers
    of_cause: Integers
    of_any: Integers
    before: Floats
    incidence: Floats
    n: int
    total: int
    last: float
    emptied: float | None
    times: Times


def cumulative_incidence(times: Times, cause: int = EVENT) -> Incidence:
    """Return the cumulative incidence of one cause; all other causes compete with it."""
    if cause == CENSORED:
        raise ValueError("cause 0 is censoring, expected 1 or above")
    any_cause = times.status != CENSORED
    day, number = np.unique(times.time[any_cause], return_inverse=True)
    of_any = np.bincount(number, minlength=len(day))
    of_cause = np.bincount(number[times.status[any_cause] == cause], minlength=len(day))
    at_risk = times.at_risk(day)
    after = np.asarray(np.cumprod((at_risk - of_any) / at_risk), dtype=np.float64)
    before = np.concatenate([[1.0], after[:-1]]) if len(day) else after
    last = float(times.time.max()) if len(times) else 0.0
    gone = day[at_risk == of_any]
    emptied = float(gone[0]) if times.entry is not None and len(gone) and bool((times.time > gone[0]).any()) else None
    return Incidence(
        cause,
        day,
        at_risk,
        of_cause,
        of_any,
        before,
        np.cumsum(before * of_cause / at_risk),
        len(times),
        int(of_cause.sum()),
        last,
        emptied,
        times,
    )


def incidence_at(curve: Incidence, day: float, confidence: float = 0.95, variance: str = "aalen") -> Estimate:
    """Return the cumulative incidence on a day.

    After the last follow-up it is not known, unless nobody is free of every event by then: it can no longer change.
    """
    if variance not in VARIANCES:
        raise ValueError(f"variance {variance!r}: expected one of {', '.join(VARIANCES)}")
    method = f"Aalen-Johansen, {variance} variance, log-log interval"
    if curve.times.entry is not None:
        method += ", delayed entry"
    if not curve.n:
        return Estimate(None, method=method, why=NO_SUBJECTS)
    if curve.emptied is not None and day >= curve.emptied:
        why = f"everybody under observation on day {curve.emptied:g} had an event, before others came under observation"
        return Estimate(None, method=method, why=why)
    so_far = int(np.searchsorted(curve.day, day, side="right"))
    final = so_far == len(curve.day) > 0 and curve.at_risk[-1] == curve.of_any[-1]
    if day > curve.last and not final:
        return Estimate(None, method=method, why=f"follow-up ends on day {curve.last:g}")
    value = float(curve.incidence[so_far - 1]) if so_far else 0.0
    if value == 0:
        return Estimate(0.0, method=method, note="no event so far: no interval")
    spread = _aalen(curve, so_far) if variance == "aalen" else _jackknife(curve, so_far)
    se = float(np.sqrt(spread))
    if value >= 1 - 1e-12:
        return Estimate(1.0, se=se, method=method, note="all subjects had the event: no interval")
    width = normal_quantile(confidence) * se / (value * np.log(value))  # negative
    return Estimate(value, float(value ** np.exp(-width)), float(value ** np.exp(width)), se, method)


def _effects(curve: Incidence, so_far: int) -> tuple[Floats, Floats]:
    """Return how much an additional share of the risk set on each day changes the incidence at the end of `so_far` days.

    The first of the cause itself, the second of any other cause (what would have come after no longer can).
    """
    before, at_risk, of_any = curve.before[:so_far], curve.at_risk[:so_far], curve.of_any[:so_far]
    still = curve.incidence[so_far - 1] - curve.incidence[:so_far]
    left = at_risk - of_any
    lost = np.where(left > 0, still * at_risk / np.maximum(left, 1), 0.0)
    return before - lost, -lost


def _aalen(curve: Incidence, so_far: int) -> float:
    at_risk = curve.at_risk[:so_far].astype(np.float64)
    own, other = _effects(curve, so_far)
    total = 0.0
    for effect, events in ((own, curve.of_cause[:so_far]), (other, (curve.of_any - curve.of_cause)[:so_far])):
        ties = 1 - np.maximum(events - 1, 0) / np.maximum(at_risk - 1, 1)
        total += float((effect**2 * ties * events / at_risk**2).sum())
    return total


def _jackknife(curve: Incidence, so_far: int) -> float:
    """Return the sum over subjects of the squared influence: what each did on its day, less what was expected of it."""
    day, at_risk = curve.day[:so_far], curve.at_risk[:so_far]
    own, other = _effects(curve, so_far)
    times = curve.times
    expected = own * curve.of_cause[:so_far] / at_risk + other * (curve.of_any - curve.of_cause)[:so_far] / at_risk
    # sum of expected / at_risk over the days on which a subject was at risk, from sums over all days up to each one
    up_to = np.concatenate([[0.0], np.cumsum(expected / at_risk)])
    influence = -up_to[np.searchsorted(day, times.time, side="right")]
    if times.entry is not None:
        influence += up_to[np.searchsorted(day, times.entry, side="right")]
    place = np.searchsorted(day, times.time)
    had = (times.status != CENSORED) & (place < so_far)
    at = place[had]
    effect = np.where(times.status[had] == curve.cause, own[at], other[at])
    influence[had] += effect / at_risk[at]
    return float((influence**2).sum())

"""Kaplan-Meier estimates: the curve, its value on a day, and its quantiles, with log-log, log or plain intervals.

Conventions are those of R's survfit: Greenwood's variance; log-log intervals unless told otherwise (protocol §6); a
quantile is the first day on which the curve is at or below 1 - p, or, where the curve stays exactly there, the middle
of that stretch; its limits are found the same way on the limits of the curve (Brookmeyer and Crowley).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from statsmodels.duration.survfunc import SurvfuncRight

from adapter.stats.estimates import NO_SUBJECTS, Estimate, normal_quantile
from adapter.stats.times import EVENT, Floats, Integers, Times

TRANSFORMATIONS = ("log-log", "log", "plain")
SAME = 1e-10
"""Survival probabilities closer than this are equal: they are products of fractions and carry rounding errors."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A Kaplan-Meier curve: vectors over the days with an event (day, at_risk, events, survival, se), and what it is of.

    n: subjects. total: events. last: the last day of follow-up. emptied: the first day on which everybody at risk had
    the event although other subjects came under observation later (delayed entry); after it the curve means nothing.
    """

    day: Floats
    at_risk: Integers
    events: Integers
    survival: Floats
    se: Floats
    n: int
    total: int
    last: float
    emptied: float | None
    times: Times


def kaplan_meier(times: Times) -> Curve:
    """Return the Kaplan-Meier curve of the event; competing events count as censored."""
    event = times.status == EVENT
    n, total = len(times), int(event.sum())
    last = float(times.time.max()) if n else 0.0
    if not total:
        none, zero = np.empty(0), np.empty(0, dtype=np.int64)
        return Curve(none, zero, zero, none, none, n, 0, last, None, times)
    found = SurvfuncRight(times.time, event.astype(np.int64), entry=times.entry)
    day = np.asarray(found.surv_times, dtype=np.float64)
    at_risk = np.asarray(found.n_risk, dtype=np.int64)
    events = np.asarray(np.rint(found.n_events), dtype=np.int64)
    all_gone = day[at_risk == events]
    emptied = None
    if times.entry is not None and len(all_gone) and bool((times.time > all_gone[0]).any()):
        emptied = float(all_gone[0])
    survival = np.where(np.maximum.accumulate(at_risk == events), 0.0, found.surv_prob)
    se = np.asarray(found.surv_prob_se, dtype=np.float64)
    return Curve(day, at_risk, events, survival, se, n, total, last, emptied, times)


def survival_at(curve: Curve, day: float, confidence: float = 0.95, transformation: str = "log-log") -> Estimate:
    """Return the survival probability on a day, with Greenwood's standard error.

    After the last follow-up it is not known, unless the curve is 0 by then.
    """
    method = f"Kaplan-Meier, {transformation} interval"
    if not curve.n:
        return Estimate(None, method=method, why=NO_SUBJECTS)
    if curve.emptied is not None and day >= curve.emptied:
        return Estimate(None, method=method, why=_emptied(curve.emptied))
    i = int(np.searchsorted(curve.day, day, side="right")) - 1
    value = 1.0 if i < 0 else float(curve.survival[i])
    if day > curve.last and value > 0:
        return Estimate(None, method=method, why=f"follow-up ends on day {curve.last:g}")
    if i < 0:
        return Estimate(1.0, 1.0, 1.0, 0.0, method, note="no event so far: the interval has no width")
    if value == 0:
        return Estimate(0.0, method=method, note="no subject without the event is left: no interval")
    lower, upper = _limits(curve.survival[i : i + 1], curve.se[i : i + 1], confidence, transformation)
    return Estimate(value, float(lower[0]), float(upper[0]), float(curve.se[i]), method)


def quantile(curve: Curve, p: float, confidence: float = 0.95, transformation: str = "log-log") -> Estimate:
    """Return the day by which a share p of the subjects had the event (0.5: the median), in days."""
    if not 0 < p < 1:
        raise ValueError(f"share {p}: expected a number between 0 and 1")
    method = f"Kaplan-Meier, Brookmeyer-Crowley with {transformation} limits"
    if not curve.n:
        return Estimate(None, method=method, why=NO_SUBJECTS)
    if not curve.total:
        return Estimate(None, method=method, why="no event: all subjects are censored")
    if curve.emptied is not None:
        return Estimate(None, method=method, why=_emptied(curve.emptied))
    known = curve.survival > 0
    lower, upper = (np.full(len(curve.day), np.nan) for _ in range(2))
    lower[known], upper[known] = _limits(curve.survival[known], curve.se[known], confidence, transformation)
    value, low, high = (_crossing(curve.day, level, 1 - p) for level in (curve.survival, lower, upper))
    if value is None:
        why = f"the curve stays above {1 - p:g}: {curve.total} of {curve.n} subjects had the event"
        return Estimate(None, low, None, method=method, why=why)
    note = "" if high is not None else "the upper limit is not reached"
    return Estimate(value, low, high, method=method, note=note)


def _crossing(day: Floats, level: Floats, target: float) -> float | None:
    """Return the first day at or below the target; the middle of the stretch where the level stays exactly there."""
    reached = np.flatnonzero(level <= target + SAME)
    if not len(reached):
        return None
    first = int(reached[0])
    below = np.flatnonzero(level < target - SAME)
    if abs(level[first] - target) <= SAME and len(below):
        return float((day[first] + day[int(below[0])]) / 2)
    return float(day[first])


def _limits(survival: Floats, se: Floats, confidence: float, transformation: str) -> tuple[Floats, Floats]:
    """Return the limits of survival probabilities between 0 and 1, both excluded."""
    z = normal_quantile(confidence)
    if transformation == "plain":
        return np.maximum(survival - z * se, 0), np.minimum(survival + z * se, 1)
    if transformation == "log":
        width = z * se / survival
        return survival * np.exp(-width), np.minimum(survival * np.exp(width), 1)
    if transformation != "log-log":
        raise ValueError(f"interval {transformation!r}: expected one of {', '.join(TRANSFORMATIONS)}")
    width = z * se / (survival * np.log(survival))  # negative
    return survival ** np.exp(-width), survival ** np.exp(width)


def _emptied(day: float) -> str:
    return f"everybody under observation on day {day:g} had the event, before others came under observation"

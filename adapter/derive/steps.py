"""Drugs stepped by a count (protocol §1, the TPO-RA rule): where the doses given and the counts known contradict the rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from adapter.derive.deviations import plain


class Rule(NamedTuple):
    """The rule as the trial states it: levels are multiples of `start_dose`; limits are counts."""

    start_dose: float
    up_below: float
    up_after_days: int
    down_from: float
    down_to: float
    stop_above: float
    grace_days: int


class Broken(NamedTuple):
    """day: on which the rule was broken; reason: in words, {day} stands for the study day."""

    day: int
    reason: str


Counts = Mapping[int, tuple[float, float]]
"""Day -> (at least, at most): what the results of that day prove. A day without a result is not in it."""


def steps_broken(doses: Mapping[int, float], counts: Counts, rule: Rule, since: int) -> list[Broken]:
    """Return where one subject's doses break the rule, in order; only what doses and counts prove, from `since` on.

    doses: day -> dose of that day (NaN: given, not known how much). Days without a dose up to `grace_days` are no
    interruption. Not judged: the dose after an interruption, a stop, a step below the first level, and whatever days
    without a count leave open.
    """
    days = sorted(doses)
    found: list[Broken] = []
    levels = _levels(doses, days, rule.grace_days)
    for n, level in enumerate(levels):
        before = levels[n - 1] if n else None
        joined = before is not None and level.first - before.last <= rule.grace_days + 1
        if level.first >= since and not np.isnan(level.dose):
            if before is None and level.dose != rule.start_dose:
                found.append(Broken(level.first, f"begun with {plain(level.dose)}, not {plain(rule.start_dose)}"))
            elif before is not None and joined and not np.isnan(before.dose):
                found += _changed(before, level, counts, rule)
        found += _missed(level, levels[n + 1] if n + 1 < len(levels) else None, counts, rule, since)
    return sorted(set(found))


class Level(NamedTuple):
    """Days on which one dose was given."""

    first: int
    last: int
    dose: float


def _levels(doses: Mapping[int, float], days: list[int], grace: int) -> list[Level]:
    found: list[Level] = []
    for day in days:
        dose = doses[day]
        last = found[-1] if found else None
        same = last is not None and (last.dose == dose or (np.isnan(last.dose) and np.isnan(dose)))
        if last is not None and same and day - last.last <= grace + 1:
            found[-1] = last._replace(last=day)
        else:
            found.append(Level(day, day, dose))
    return found


def _changed(before: Level, level: Level, counts: Counts, rule: Rule) -> list[Broken]:
    """Return what is wrong with a change of dose: one that the known counts did not ask for, or of several levels."""
    old, new, day = before.dose, level.dose, level.first
    step = f"from {plain(old)} to {plain(new)}"
    found = []
    if new > old:
        ends = range(day - rule.grace_days, day + 1)
        contradicted = [_reaches(counts, t - rule.up_after_days + 1, t, rule.up_below) for t in ends]
        if all(c is not None for c in contradicted):
            why = f"a count of {plain(contradicted[-1] or 0)} in the {rule.up_after_days} days before"
            found.append(Broken(day, f"up {step} with {why}"))
        if new - old > rule.start_dose:
            found.append(Broken(day, f"up {step}, more than one level"))
    elif new < old:
        known = [counts[d] for d in range(before.first, day + 1) if d in counts]
        if known and all(most < rule.down_from for _, most in known):
            found.append(Broken(day, f"down {step} with no count of {plain(rule.down_from)} or more"))
    return found


def _reaches(counts: Counts, first: int, last: int, limit: float) -> float | None:
    """Return the highest count of these days that proves to reach the limit, None without one."""
    found = [counts[d][0] for d in range(first, last + 1) if d in counts and counts[d][0] >= limit]
    return max(found, default=None)


def _missed(level: Level, after: Level | None, counts: Counts, rule: Rule, since: int) -> list[Broken]:
    """Return the first day of this level on which a step that the counts asked for was due and was not made.

    A step is due when the days of grace after the count have passed, so while the level still goes on.
    """
    if np.isnan(level.dose):
        return []
    due: dict[str, int] = {}
    for day in range(max(level.first, since), level.last - rule.grace_days):
        least, most = counts.get(day, (-np.inf, np.inf))
        last = day + rule.grace_days + 1
        if least > rule.stop_above:
            due.setdefault(f"not stopped after a count of {plain(least)}", last)
            break
        if rule.down_from <= least and most <= rule.down_to and level.dose > rule.start_dose:
            due.setdefault(f"not down from {plain(level.dose)} after a count of {plain(least)}", last)
            break
        window = range(day - rule.up_after_days + 1, day + 1)
        if window[0] >= level.first and all(d in counts and counts[d][1] < rule.up_below for d in window):
            due.setdefault(
                f"not up from {plain(level.dose)} after {rule.up_after_days} days below {plain(rule.up_below)}", last
            )
            break
    return [Broken(day, reason) for reason, day in due.items()]

"""Sustained runs (protocol §4): one vectorised function for every criterion, over the daily values of many subjects at once.

A trial's criterion is arguments here: threshold, strictness, length, breakers, missing days, look-back, way of counting.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Runs(NamedTuple):
    """What was found for each subject (arrays of one length, the number of subjects).

    first: row of the daily values on which the run that meets the criterion begins, -1 where there is none; its day is
    the event date. reached: row on which its length is reached. under_way: already at threshold at the window start.
    """

    first: Integers
    reached: Integers
    under_way: Flags


def sustained_runs(
    subject: Integers,
    day: Integers,
    meets: Flags,
    breaker_subject: Integers,
    breaker_day: Integers,
    window_start: Floats,
    *,
    days: int,
    count: str,
    bridge: int,
    max_gap_days: int | None,
    look_back_days: int,
) -> Runs:
    """Return each subject's first run of at least `days` consecutive days that each meet the condition.

    subject, day, meets: one row per day with a value, sorted by subject and day; subjects are 0 … n-1. breaker_*: days
    that end a run with or without a value. window_start: first day that counts, NaN: there is no window. count: days |
    measurements. A run is cut to the days from the window start on. bridge: so many consecutive missing days inside a run
    are bridged and count (0: a missing day ends it). measurements: length counts rows, consecutive ones at most
    max_gap_days apart. look_back_days: a day counts only so many days after the last breaker day (that day itself is 0).
    Protocol §4, A-06, A-07, A-09.
    """
    n = len(window_start)
    none = np.full(n, -1, dtype=np.int64)
    if not len(day):
        return Runs(none, none.copy(), np.zeros(n, dtype=bool))
    every = [day] if not len(breaker_day) else [day, breaker_day]
    low, high = min(int(d.min()) for d in every), max(int(d.max()) for d in every)
    step = bridge + 1 if count == "days" else (max_gap_days or high - low + 1)
    # one number for subject and day; so far apart that no two subjects ever look like neighbours
    span = 2 * (high - low + 1) + max(step, look_back_days) + 1
    key = subject * span + (day - low)
    good, broken_at = _unbroken(key, meets, breaker_subject * span + (breaker_day - low), look_back_days)
    start = np.where(np.isnan(window_start), np.iinfo(np.int64).max // 2, window_start).astype(np.int64)
    under_way = _under_way(key, good, start, low, high, span)
    good &= day >= start[subject]
    goes_on = np.empty(len(key), dtype=bool)
    goes_on[0] = False
    np.logical_and(good[1:], good[:-1], out=goes_on[1:])
    goes_on[1:] &= np.diff(key) <= step
    if broken_at is not None:
        goes_on[1:] &= broken_at[1:] <= key[:-1]
    begins = np.flatnonzero(good & ~goes_on)
    if not len(begins):
        return Runs(none, none.copy(), under_way)
    return Runs(*_first_long_enough(subject, key, good, begins, days, count, n), under_way)


def _unbroken(key: Integers, meets: Flags, breakers: Integers, look_back_days: int) -> tuple[Flags, Integers | None]:
    """Return which rows can be part of a run, and for each row the last breaker at or before it (-1: none)."""
    if not len(breakers):
        return meets.copy(), None
    breakers = np.sort(breakers)
    at = np.searchsorted(key, breakers)  # first row at or after each breaker
    inside = at < len(key)
    last = np.full(len(key), np.iinfo(np.int64).min // 2)
    last[at[inside]] = breakers[inside]  # sorted: of several the latest stays
    np.maximum.accumulate(last, out=last)
    return meets & (key - last >= max(1, look_back_days)), last


def _under_way(key: Integers, good: Flags, start: Integers, low: int, high: int, span: int) -> Flags:
    """Return which subjects qualify both on the day their window starts and on the day before it."""
    inside = (start > low) & (start <= high)
    wanted = np.arange(len(start), dtype=np.int64) * span + np.where(inside, start - low, 0)
    found = inside.copy()
    for back in (0, 1):
        place = np.minimum(np.searchsorted(key, wanted - back), len(key) - 1)
        found &= (key[place] == wanted - back) & good[place]
    return found


def _first_long_enough(
    subject: Integers, key: Integers, good: Flags, begins: Integers, days: int, count: str, n: int
) -> tuple[Integers, Integers]:
    """Return the rows on which each subject's first run of that length begins and reaches it."""
    # rows of a run stand side by side, so that a run is told by where it begins
    run = np.zeros(len(key), dtype=np.int32)
    run[begins] = 1
    np.cumsum(run, out=run)
    here = begins[run - 1]
    length = (key - key[here] if count == "days" else np.arange(len(key)) - here) + 1
    long = np.flatnonzero(good & (run > 0) & (length >= days))
    of = subject[long]
    new = np.ones(len(long), dtype=bool)
    new[1:] = of[1:] != of[:-1]
    first, reached = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    reached[of[new]] = long[new]
    first[of[new]] = here[long[new]]
    return first, reached


def touched_days(subject: Integers, first: Floats, last: Floats) -> tuple[Integers, Integers]:
    """Return subject and day of every site day that spans touch, each once and sorted; a span without a day has none.

    A transfusion from 23:30 to 00:40 touches two days (protocol §4).
    """
    known = ~np.isnan(first)
    begin = first[known].astype(np.int64)
    length = np.where(np.isnan(last[known]), begin, last[known]).astype(np.int64) - begin + 1
    length = np.maximum(length, 1)
    offset = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
    who, when = np.repeat(subject[known], length), np.repeat(begin, length) + offset
    if not len(who):
        return who.astype(np.int64), when.astype(np.int64)
    order = np.lexsort((when, who))
    who, when = who[order], when[order]
    new = np.ones(len(who), dtype=bool)
    new[1:] = (who[1:] != who[:-1]) | (when[1:] != when[:-1])
    return who[new], when[new]


def run_method(criterion: Any, medication: str, look_back: bool = True) -> str:
    """Return in words what meets a criterion of the trial; medication: the label of its breaker, empty without one."""
    c = criterion
    what = "measurements" if c.count == "measurements" else "consecutive site days"
    text = f"First day of the first run of at least {c.days} {what}, each with a daily value of {c.analyte} "
    text += f"{c.comparator} {c.threshold} {c.unit}"
    if c.count == "measurements":
        text += f", consecutive measured days at most {c.max_gap_days} days apart" if c.max_gap_days else ""
    elif c.bridge:
        text += f"; up to {c.bridge} consecutive days without a value are bridged and count"
    else:
        text += "; a day without a value ends the run"
    if medication:
        text += f"; every site day touched by {in_sentence(medication)} ends it"
    if c.look_back_days and look_back:
        text += f", and the run begins at least {c.look_back_days} days after the last such day"
    return f"{text}. A run already under way when the window starts counts from the window start."


def in_sentence(label: str) -> str:
    """Return a label as it stands inside a sentence: `Death` is death, `CD34+ boost` and `G-CSF` stay as they are."""
    return label if label[1:2].isupper() or label[1:2] == "-" else label[:1].lower() + label[1:]

"""The daily value (protocol §3): what the results of one day prove together, and which of them is the day's record."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Series = pd.Series
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
RESULT = re.compile(r"(<=|>=|<|>)?(-?\d+(?:\.\d+)?)")


class Read(NamedTuple):
    """Standard results as numbers. value: the number without its comparator; at_least: the most that is proved (-inf for \
`<x`); open: strictly more than that (`>x`)."""

    value: Series[float]
    at_least: Series[float]
    open: Series[bool]


def read_results(text: Series[Any]) -> Read:
    """Return standard results (--STRESC) as numbers and what they prove; each distinct text is read once.

    `<x` and `<=x` prove nothing from below; `>x` proves more than x, `>=x` at least x (protocol §3). What is no number is
    NaN.
    """
    codes, unique = pd.factorize(text.astype("str").fillna(""))
    value, at_least, open_ = (np.full(len(unique) + 1, np.nan) for _ in range(3))
    for i, one in enumerate(unique):
        if (m := RESULT.fullmatch(one)) and one.isascii():
            value[i] = float(m[2])
            at_least[i] = -np.inf if m[1] in ("<", "<=") else value[i]
            open_[i] = m[1] == ">"
    made = (pd.Series(c[codes], index=text.index) for c in (value, at_least, open_))
    return Read(next(made), next(made), next(made) == 1)


class Daily(NamedTuple):
    """One row per subject and day with a value, sorted by both. at_least, open: what the day proves; value: the analysis
    value; record: position of the result that is the day's record (under `mean` the lowest one)."""

    subject: Integers
    day: Integers
    value: Floats
    at_least: Floats
    open: Flags
    record: Integers


def daily_values(
    subject: Integers, day: Integers, value: Floats, at_least: Floats, open_: Flags, order: Integers, rule: str
) -> Daily:
    """Return the value of each subject and day: by `rule` the lowest, the highest, the last or the mean of its results.

    All arrays have one row per result; order: the time order of results inside a day. Under `min` a day meets a condition
    only if every result of it proves that condition (A-04): what the day proves is the least of what its results prove,
    and of equal ones the closed bound. Under `mean` the bounds are averaged. Protocol §3.
    """
    keys: dict[str, tuple[Any, ...]] = {
        "min": (order, value, open_, at_least),
        "max": (order, -value, ~open_, -at_least),
        "last": (-order,),
        "mean": (order, value, open_, at_least),
    }
    lowest = int(day.min()) if len(day) else 0
    span = (int(day.max()) - lowest + 1) if len(day) else 1
    key = subject * span + (day - lowest)
    place = np.argsort(key, kind="stable")
    sorted_key = key[place]
    same = np.zeros(len(key), dtype=bool)
    same[1:] = sorted_key[1:] == sorted_key[:-1]
    tied = same.copy()
    tied[:-1] |= same[1:]
    if tied.any():  # only days with several results need to be ranked
        among = place[tied]
        ranked = np.lexsort((*(k[among] for k in keys[rule]), key[among]))
        place[tied] = among[ranked]
    first = place[~same]
    made = Daily(subject[first], day[first], value[first], at_least[first], open_[first], first)
    if rule != "mean" or not same.any():
        return made
    group = np.cumsum(~same) - 1
    size = np.bincount(group)
    mean, bound = (np.bincount(group, weights=c[place], minlength=len(size)) / size for c in (value, at_least))
    some_open = np.bincount(group, weights=open_[place].astype(float)) > 0
    return made._replace(value=mean, at_least=bound, open=some_open)


def meets(daily: Daily, comparator: str, threshold: float) -> Flags:
    """Return which days meet `value comparator threshold`: what the day proves reaches it.

    An open bound (`>x`) proves `> t` at x = t; a closed one proves only `>= t` there.
    """
    if comparator == ">=":
        return np.greater_equal(daily.at_least, threshold)
    return np.greater(daily.at_least, threshold) | (np.equal(daily.at_least, threshold) & daily.open)

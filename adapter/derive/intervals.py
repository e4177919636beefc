"""Events as spans of days, and which of them overlap. Vectors in, vectors out."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import EPOCH

Series = pd.Series


def first_days(dtc: Series[Any]) -> Series[float]:
    """Return the first day that SDTM dates may mean, in days since 1970-01-01: 2024-03 is 2024-03-01; NaN where empty."""
    return _days(dtc, _first)


def last_days(dtc: Series[Any]) -> Series[float]:
    """Return the last day that SDTM dates may mean: 2024-03 is 2024-03-31, a complete date includes its whole day."""
    return _days(dtc, _last)


def _first(text: str) -> date:
    return date.fromisoformat((text + "-01-01")[:10])


def _last(text: str) -> date:
    if len(text) >= 10:
        return date.fromisoformat(text[:10])
    year, month = int(text[:4]), int(text[5:7] or 12)
    return date(year, month, monthrange(year, month)[1])


def _days(dtc: Series[Any], day: Callable[[str], date]) -> Series[float]:
    codes, unique = pd.factorize(dtc.astype("str").fillna(""))
    numbers = [float((day(t) - EPOCH).days) if t else np.nan for t in unique]
    return pd.Series(np.array([*numbers, np.nan])[codes], index=dtc.index)


def spans(start: Series[Any], end: Series[Any], until: Series[Any]) -> pd.DataFrame:
    """Return columns first, last: the days that events cover, as far as they are known (fhir-input point 26).

    start, end: SDTM dates; until: where an event goes on, the last day it is known to. Without an end the start is all
    that is known, without a start the end; with neither both are NaN. A partial date covers what it may mean.
    """
    first, last = first_days(start), last_days(end)
    last = last.fillna(last_days(until))
    last = last.fillna(last_days(start))
    first = first.fillna(first_days(end))
    return pd.DataFrame({"first": first, "last": np.maximum(first, last)}, index=start.index)


def first_overlap(one: pd.DataFrame, other: pd.DataFrame) -> Series[int]:
    """Return for each row of `one` the position of the first row of `other` that overlaps it, -1 where none does.

    Both have the columns subject, key, first, last (days). Rows overlap where subject and key are equal and at least one
    day is in both spans.
    """
    left = one.assign(position=np.arange(len(one)))
    right = other.assign(found=np.arange(len(other)))
    pairs = left.merge(right, on=["subject", "key"], suffixes=("", "_other"))
    pairs = pairs[(pairs["first"] <= pairs["last_other"]) & (pairs["first_other"] <= pairs["last"])]
    place = np.full(len(one), -1)
    first = pairs.groupby("position")["found"].min()
    place[first.index.to_numpy(dtype=np.int64)] = first.to_numpy()
    return pd.Series(place, index=one.index, dtype="int64")

"""Events and treatment (protocol §7): treatment-emergent, before treatment, attributed to something else, dose-limiting."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import EPOCH
from adapter.derive.imputation import completed
from adapter.derive.intervals import last_days

Series = pd.Series


def months_later(day: Series[Any], months: int) -> Series[float]:
    """Return the same day of the month so many calendar months later, clipped to the month's end; NaN stays.

    2024-08-31 and six months are 2025-02-28. Day numbers from 1970-01-01.
    """
    codes, unique = pd.factorize(day.to_numpy(dtype=np.float64))
    found = []
    for number in unique.tolist():
        date = EPOCH + timedelta(days=int(number))
        year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
        later = date.replace(year, month + 1, min(date.day, monthrange(year, month + 1)[1]))
        found.append(float((later - EPOCH).days))
    return pd.Series(np.array([*found, np.nan])[codes], index=day.index)


def analysis_dates(start: Series[Any], end: Series[Any], first: Series[float]) -> pd.DataFrame:
    """Return columns start, start_flag, end: days of events. A start that is not known to the day becomes the first day it
    may mean, but not before `first` (NaN: no limit) where the known part allows it; an end is only taken where it is a
    complete date.

    start, end: SDTM dates. start_flag: D the day, M month and day were imputed (codelist DATEFL). Protocol §7: of a month
    that was over before `first` it is the 1st, not the last day.
    """
    over = last_days(start) < first
    made = completed(start, first.mask(over))
    complete = end.astype("str").fillna("").str.len() >= 10
    return pd.DataFrame({"start": made["day"], "start_flag": made["flag"], "end": last_days(end).where(complete)})


def emergent(
    day: Series[float], end: Series[Any], first: Series[float], last: Series[float], undated: bool
) -> Series[bool]:
    """Return which events began on or after first treatment and not after `last` (the end of the window).

    day: analysis start, NaN without any date; end: SDTM date; first, last: days, NaN without treatment: nothing is
    emergent. undated: an event without a start counts unless every day that its end may mean is before treatment.
    """
    dated = (day >= first) & (day <= last)
    ended_before = last_days(end) < first
    silent = day.isna() & first.notna() & last.notna() & ~ended_before
    return dated | (silent if undated else False)


def attributed_elsewhere(
    related: Series[Any], others: Series[Any], relations: Collection[str], outside: Collection[str]
) -> Series[bool]:
    """Return which events were judged related to something, and to nothing but drugs of the named names.

    related: judgement on the trial's products; others: `judgement: drug; judgement: drug` (AERELNST). relations: the
    judgements that mean related; outside: names of the drugs, upper case.
    """
    found = []
    for own, text in zip(related.tolist(), others.tolist(), strict=True):
        named = [part.partition(": ") for part in str(text or "").split("; ") if part]
        blamed = [drug.strip().upper() for judgement, _, drug in named if judgement in relations]
        found.append(own not in relations and bool(blamed) and all(d in outside for d in blamed))
    return pd.Series(found, index=related.index, dtype=bool)


def dose_limiting(
    grade: Series[float],
    related: Series[bool],
    immune: Series[bool],
    day: Series[float],
    repeated: Series[float],
    severe_grade: int,
    repeated_grade: int,
) -> Series[bool]:
    """Return which events limit the dose: related and of `severe_grade` or more; or immune, of `repeated_grade` or more,
    on or after the day `repeated` of the administration from which that counts (NaN: not given). Unknown is not."""
    severe = related & (grade >= severe_grade)
    return severe | (immune & (grade >= repeated_grade) & (day >= repeated))

"""Days and dates: study days, numbering of records, ages. Vectors in, vectors out."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

Series = pd.Series
EPOCH = date(1970, 1, 1)


def day_number(dtc: Series[Any]) -> Series[float]:
    """Return days since 1970-01-01 of SDTM dates, NaN for empty and partial ones; each distinct date once."""
    if not len(dtc):
        return pd.Series(dtype="float64", index=dtc.index)
    codes, unique = pd.factorize(dtc.astype("str").fillna("").str.slice(0, 10))
    days = [float((date.fromisoformat(t) - EPOCH).days) if len(t) == 10 else np.nan for t in unique]
    return pd.Series(np.array([*days, np.nan])[codes], index=dtc.index)


def day_text(day: float) -> str:
    """Return the ISO date of a day number, empty for NaN."""
    return "" if np.isnan(day) else (EPOCH + timedelta(days=int(day))).isoformat()


def day_texts(days: Series[Any]) -> Series[str]:
    """Return ISO dates of day numbers, empty where missing."""
    codes, unique = pd.factorize(days.to_numpy(dtype=np.float64))
    texts = np.array([*(day_text(float(d)) for d in unique), ""], dtype=object)
    return pd.Series(texts[codes], index=days.index, dtype="str")


def clock(instant: str) -> str:
    """Return the time of an ISO instant; a minute stands for its first second. Such texts compare as times."""
    return instant[11:] + ":00" if len(instant) == 16 else instant[11:]


def study_day(dtc: Series[Any], reference: Series[Any]) -> Series[float]:
    """{a0} minus {a1}, in days, plus 1 where {a0} is on or after {a1}; empty where either is not a complete date. \
There is no day 0.

    Protocol §2; SDTMIG 3.4 §4.4.4.
    """
    difference = day_number(dtc) - day_number(reference)
    return difference.where(difference < 0, difference + 1)


def sequence_number(usubjid: Series[Any]) -> Series[int]:
    """Number of the record within the subject, from 1, in the order of the dataset's keys.

    SDTMIG 3.4 §4.1.5. The frame must be sorted already.
    """
    return usubjid.groupby(usubjid.to_numpy()).cumcount() + 1


def age_in_years(birth: Series[Any], at: Series[Any], partial: str) -> Series[float]:
    """Complete years from the birth date to {a1}; a birth date without month or day is handled as `{partial}`.

    partial: empty (no age) | earliest | latest | middle: which possible day stands in (sdtm-conventions, DM).
    """
    ages = [_age(b, a, partial) for b, a in zip(birth.fillna(""), at.fillna(""), strict=True)]
    return pd.Series(ages, index=birth.index, dtype="float64")


def _age(birth: str, at: str, partial: str) -> float:
    if len(at) < 10 or len(birth) < 4:
        return np.nan
    if len(birth) < 10:
        if partial == "empty":
            return np.nan
        birth = _completed(birth, partial)
    b, a = date.fromisoformat(birth[:10]), date.fromisoformat(at[:10])
    years = a.year - b.year - ((a.month, a.day) < (b.month, b.day))
    return float(years) if years >= 0 else np.nan


def _completed(birth: str, partial: str) -> str:
    year, _, month = birth.partition("-")
    if partial == "earliest":
        return f"{year}-{month or '01'}-01"
    if partial == "middle":
        return f"{year}-{month}-15" if month else f"{year}-07-01"
    last = date(int(year) + (int(month or 12) == 12), int(month or 12) % 12 + 1, 1) - timedelta(days=1)
    return last.isoformat()

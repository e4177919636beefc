"""Eligibility: what the data can decide of an entry criterion, and what follows together with the log (protocol §8)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

Series = pd.Series
MET, VIOLATED = "met", "violated"


def by_age(age: Series[Any], low: int, high: int) -> Series[str]:
    """Return met or violated by the age at consent (years, NaN not known), both limits included."""
    found = np.select([age.isna(), age.between(low, high)], ["", MET], VIOLATED)
    return pd.Series(found, index=age.index, dtype="str")


def by_presence(value: Series[Any]) -> Series[str]:
    """Return met where there is a value; where there is none nothing is decided."""
    return pd.Series(np.where(value.notna() & (value != ""), MET, ""), index=value.index, dtype="str")


def answered(answer: Series[Any], inclusion: bool) -> Series[str]:
    """Return what an answer Y or N in the log says: an inclusion criterion wants Y, an exclusion criterion N."""
    wanted, other = ("Y", "N") if inclusion else ("N", "Y")
    return answer.map({wanted: MET, other: VIOLATED}).fillna("").astype("str")


def last_in_window(values: pd.DataFrame, first: Series[Any], last: Series[Any]) -> pd.DataFrame:
    """Return the rows of each subject's and test's last day inside the window (columns USUBJID, test, day, …).

    first, last: USUBJID -> day numbers, both included; NaN: no window.
    """
    low, high = values["USUBJID"].map(first).astype("float64"), values["USUBJID"].map(last).astype("float64")
    inside = values[(values["day"].notna() & (values["day"] >= low) & (values["day"] <= high)).to_numpy()]
    latest = inside.groupby(["USUBJID", "test"])["day"].transform("max")
    return inside[(inside["day"] == latest).to_numpy()]


def above_limit(value: Series[Any], limit: Series[Any], times: Series[Any]) -> Series[bool]:
    """Return which values prove to be above so many times the upper limit of normal.

    value: decimal text, a comparator in front (`>x` proves what x proves, `<x` nothing); limit: decimal text, empty where
    not known, which decides nothing; times: exact multiples.
    """
    found = [_above(v, u, t) for v, u, t in zip(value, limit, times, strict=True)]
    return pd.Series(found, index=value.index, dtype=bool)


def _above(value: str, limit: str, times: Decimal) -> bool:
    bare = value.removeprefix(">").removeprefix("=")
    if not _is_number(bare) or not _is_number(limit):
        return False
    bound = Decimal(limit) * times
    return Decimal(bare) > bound or (Decimal(bare) == bound and value.startswith(">") and not value.startswith(">="))


def _is_number(text: str) -> bool:
    return text.isascii() and text.replace(".", "", 1).isdecimal()

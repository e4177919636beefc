"""Dates that are not known to the day, completed for analysis, with the flag that says so (protocol §6, §7; ADaMIG 3.1.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.intervals import first_days, last_days

Series = pd.Series
SAS_EPOCH = 3653
"""Days from 1960-01-01, the day 0 of numeric dates in ADaM, to 1970-01-01."""
FLAGS = {4: "Y", 7: "M"}


def completed(dtc: Series[Any], not_before: Series[float]) -> pd.DataFrame:
    """Return columns day and flag: the first day that a date may mean and that is not before `not_before`.

    Where no such day exists, the last day that the date may mean. flag: empty for complete dates, D: the day was imputed,
    M: month and day. An empty date stays empty. not_before: day numbers, NaN for no limit.
    """
    text = dtc.astype("str").fillna("")
    first, last = first_days(text), last_days(text)
    size = text.str.len()
    earliest = np.fmax(first.to_numpy(), not_before.to_numpy(dtype=np.float64))
    day = pd.Series(np.minimum(earliest, last.to_numpy()), index=dtc.index)
    flag = np.select([size == 0, size >= 10, size == 7], ["", "", "D"], "M")
    return pd.DataFrame({"day": first.where(size >= 10, day), "flag": pd.Series(flag, index=dtc.index, dtype="str")})


def death_days(
    dtc: Series[Any], dead: Series[bool], last_alive: Series[float], undated_after: int, cut: Series[float]
) -> pd.DataFrame:
    """Return columns day and flag: of a death without a date `undated_after` days after the subject was last known \
alive, at most the data cut; of a partial date the first possible day after that; else the date as recorded.

    flag: Y the whole date, M month and day, D the day was imputed (codelist DATEFL). Protocol §6.
    """
    made = completed(dtc, last_alive + 1)
    silent = dead & (dtc.astype("str").fillna("") == "")
    made["day"] = made["day"].where(~silent, np.minimum(last_alive + undated_after, cut))
    made["day"] = made["day"].where(dead, np.nan)
    made["flag"] = made["flag"].where(~silent | made["day"].isna(), "Y").where(dead, "")
    return made


def sas_date(day: Series[Any]) -> Series[float]:
    """Return day numbers from 1970-01-01 as SAS dates."""
    return day.astype("float64") + SAS_EPOCH

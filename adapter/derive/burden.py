"""Transfusion burden: units, transfusions and transfusion-free days of periods of study days. Vectors in, vectors out."""

from __future__ import annotations

import numpy as np
import pandas as pd

COLUMNS = ("subject", "period", "days", "units", "transfusions", "free")


def periods_of(first: pd.Series[float], last: pd.Series[float], horizon: int, length: int) -> pd.DataFrame:
    """Return the periods that each subject was observed in: subject, period (0: all of them together), first, last (days).

    first: study day 1; last: the last day that is known; NaN: no period. Periods are of `length` study days up to study
    day `horizon`; the one in which the subject was last seen ends there.
    """
    rows = []
    for subject, start, known in zip(first.index, first.tolist(), last.tolist(), strict=True):
        end = min(start + horizon - 1, known)
        if not end >= start:  # also where either is NaN
            continue
        rows.append((subject, 0, start, end))
        for n, begin in enumerate(np.arange(start, end + 1, length).tolist(), 1):
            rows.append((subject, n, begin, min(begin + length - 1, end)))
    return pd.DataFrame(rows, columns=["subject", "period", "first", "last"])


def transfusion_burden(given: pd.DataFrame, periods: pd.DataFrame) -> pd.DataFrame:
    """Return the burden of each period: subject, period, days, units, transfusions, free.

    given: subject, first, last (days that a transfusion touches), units (NaN: not known), partial (its date is not known to
    the day: first to last are the days that it may have touched). A transfusion counts, with its units, in the period of
    its first day; a day that any transfusion touches is not free. units is NaN where the units of one of the period's
    transfusions are not known: never a sum that leaves one out. A partial one makes the free days of every period that it
    may touch NaN, and units and transfusions too, unless it can only be in that period.
    """
    pairs = periods.reset_index(names="row").merge(given, on="subject", suffixes=("", "_given"))
    began = pairs[((pairs["first_given"] >= pairs["first"]) & (pairs["first_given"] <= pairs["last"])).to_numpy()]
    number = began.groupby("row").size()
    units = began.groupby("row")["units"].agg(lambda u: u.sum(skipna=False))
    low, high = np.maximum(pairs["first_given"], pairs["first"]), np.minimum(pairs["last_given"], pairs["last"])
    touched: dict[int, set[int]] = {}
    for row, a, b in zip(pairs["row"].tolist(), low.tolist(), high.tolist(), strict=True):
        touched.setdefault(row, set()).update(range(int(a), int(b) + 1))
    made = periods[["subject", "period"]].copy()
    made["days"] = periods["last"] - periods["first"] + 1
    made["units"] = units.reindex(made.index).where(number.reindex(made.index).notna(), 0.0)
    made["transfusions"] = number.reindex(made.index).fillna(0.0)
    made["free"] = made["days"] - pd.Series({r: float(len(d)) for r, d in touched.items()}).reindex(made.index).fillna(
        0
    )
    touching = (pairs["first_given"] <= pairs["last"]) & (pairs["last_given"] >= pairs["first"])
    perhaps = (pairs["partial"].astype(bool) & touching).to_numpy()
    within = ((pairs["first_given"] >= pairs["first"]) & (pairs["last_given"] <= pairs["last"])).to_numpy()
    made.loc[made.index.isin(pairs.loc[perhaps, "row"]), "free"] = np.nan
    made.loc[made.index.isin(pairs.loc[perhaps & ~within, "row"]), ["units", "transfusions"]] = np.nan
    return made[list(COLUMNS)]

"""Transplants: which infusions of a graft are one transplant, and which transplant the trial is about (protocol §2)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

Series = pd.Series


def transplants(
    grafts: pd.DataFrame,
    conditioning: pd.DataFrame,
    window_days: int,
    requires_conditioning: bool,
    conditioning_days: int,
) -> pd.DataFrame:
    """Return the transplants: USUBJID, number (from 1), day (day 0), record (label of its first infusion).

    grafts: USUBJID, day (number, NaN where not known: left out), record, in a content order. conditioning: USUBJID, day.
    Infusions at most `window_days` after a transplant's first one belong to it (A-17). A later infusion is a transplant
    only where conditioning was given after the one before and at most `conditioning_days` before it, if that is asked
    for; else it is a boost. The first infusion is a transplant even where its conditioning is not in the data.
    """
    dated = grafts[grafts["day"].notna()].sort_values(["USUBJID", "day"], kind="stable")
    given = {u: np.sort(g["day"].to_numpy(dtype=np.float64)) for u, g in conditioning.groupby("USUBJID")}
    rows = []
    for usubjid, infusions in dated.groupby("USUBJID", sort=True):
        days = given.get(usubjid, np.empty(0))
        number, last = 0, -np.inf
        for day, record in zip(infusions["day"].tolist(), infusions["record"].tolist(), strict=True):
            if number and day <= last + window_days:
                continue
            prepared = bool(((days > last) & (days >= day - conditioning_days) & (days <= day)).any())
            if number and requires_conditioning and not prepared:
                continue
            number, last = number + 1, day
            rows.append((usubjid, number, day, record))
    return pd.DataFrame(rows, columns=["USUBJID", "number", "day", "record"])


def index_transplants(
    found: pd.DataFrame, limit: Series[Any], rule: Literal["last_before_randomisation", "first"]
) -> pd.DataFrame:
    """Return the index transplant of each subject that has one: day, record, indexed by USUBJID.

    limit: USUBJID -> last day on which it may lie (randomisation); NaN: none counts.
    """
    last = found["USUBJID"].map(limit).astype("float64")
    kept = found[(found["day"] <= last).to_numpy()]
    keep: Literal["first", "last"] = "first" if rule == "first" else "last"
    return kept.drop_duplicates("USUBJID", keep=keep).set_index("USUBJID")[["day", "record"]]

"""Subject elements (SE): which elements of a subject's path have begun, when, and where that contradicts the plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import clock, day_number, day_texts

Series = pd.Series


def planned_start(anchor: Series[Any], after_days: int) -> Series[str]:
    """Return when an element begins by its rule: at the anchor itself, or so many days after its day.

    anchor: dates or instants, empty where not known; a partial one begins nothing.
    """
    text = anchor.astype("str").fillna("")
    text = text.where(text.str.len() >= 10, "")
    return day_texts(day_number(text) + after_days) if after_days else text


def subject_elements(planned: pd.DataFrame, last_day: Series[Any], end: Series[Any]) -> pd.DataFrame:
    """Return the elements that have begun: `planned` with start, finish (texts) and moved, in the same order.

    planned: USUBJID, start (text, empty where not known), sorted by subject and order of the path. last_day: USUBJID ->
    last day on which the subject is known to take part; nothing begins after it. end: USUBJID -> end of participation
    (text), the finish of the last element; empty while it goes on. An element never begins before the one ahead of it:
    where its rule says so it begins with it and is `moved`; one without a time on that day begins with it too.
    Protocol §2; SDTMIG 3.4 §5.3.
    """
    p = planned.reset_index(drop=True)
    p["moved"] = False
    day, last = day_number(p["start"]), p["USUBJID"].map(last_day).astype("float64")
    p = p[(day.notna() & (day <= last)).to_numpy()].reset_index(drop=True)
    order = p.groupby("USUBJID", sort=False).cumcount()
    for k in range(1, int(order.max()) + 1 if len(p) else 0):
        at = np.flatnonzero(order == k)
        ahead, start = p["start"].iloc[at - 1].tolist(), p["start"].iloc[at].tolist()
        earlier = [_earlier(s, a) for a, s in zip(ahead, start, strict=True)]
        p.loc[at, "moved"] = earlier
        p.loc[at, "start"] = [
            a if sooner or (a[:10] == s[:10] and len(s) == 10) else s
            for a, s, sooner in zip(ahead, start, earlier, strict=True)
        ]
    following = p["start"].shift(-1).where(p["USUBJID"].shift(-1) == p["USUBJID"])
    p["finish"] = following.where(following.notna(), p["USUBJID"].map(end)).astype("str").fillna("")
    return p


def _earlier(one: str, other: str) -> bool:
    """Return whether an instant is before another one; on the same day only where both have a time."""
    if one[:10] == other[:10]:
        return len(one) > 10 and len(other) > 10 and clock(one) < clock(other)
    return one[:10] < other[:10]


def element_spans(planned: pd.DataFrame) -> pd.DataFrame:
    """Return from when to when the plan of each subject is in each epoch: USUBJID, EPOCH, first, until (day numbers).

    planned: USUBJID, EPOCH, start, sorted as for `subject_elements`. `until` is the day on which the next epoch begins,
    infinity where none is planned or its day is not known. Only what the rules say counts, not what took place.
    """
    p = planned.assign(day=day_number(planned["start"]).to_numpy())
    p = p[p["day"].notna()].drop_duplicates(["USUBJID", "EPOCH"]).reset_index(drop=True)
    same = p["USUBJID"].shift(-1) == p["USUBJID"]
    p["until"] = p["day"].shift(-1).where(same, np.inf).astype("float64")
    return p.rename(columns={"day": "first"})[["USUBJID", "EPOCH", "first", "until"]]

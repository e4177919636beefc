"""Time to event (protocol §6): which of event, competing event and censoring decides, and when. Days; NaN is "none"."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

Series = pd.Series
EVENT, CENSORED, COMPETING = 0, 1, 2
BY_EVENT, BY_COMPETING, BY_STOP, BY_LAST, BY_HORIZON = "event", "competing", "stop", "last", "horizon"


def decided(
    origin: Series[float],
    event: Series[float],
    competing: Series[float],
    stop: Series[float],
    last: Series[float],
    horizon: int | None,
    event_wins: bool,
) -> pd.DataFrame:
    """Return columns day, cnsr (0 event, 1 censored, 2 competing event) and by: what decided.

    The earlier of event and competing event; on one day the event if event_wins. stop: an intercurrent event that
    censors: events on or after it, and competing events after it, do not count. Without either the record is censored at
    the earlier of stop and last (the last day of which something is known), never before the origin. What lies before the
    origin is no event. Later than the horizon (days from the origin, that day included) is censored on its last day.
    """
    event = event.where((event >= origin) & ~(event >= stop))
    competing = competing.where((competing >= origin) & ~(competing > stop))
    first = event.notna() & ~(competing < event if event_wins else competing <= event)
    second = competing.notna() & ~first
    end = pd.concat([last, stop], axis=1).min(axis=1)
    stopped = ~first & ~second & (stop <= last) | (~first & ~second & last.isna() & stop.notna())
    day = event.where(first, competing.where(second, pd.concat([end, origin], axis=1).max(axis=1)))
    by = np.select([first, second, stopped], [BY_EVENT, BY_COMPETING, BY_STOP], BY_LAST)
    cnsr = np.select([first, second], [EVENT, COMPETING], CENSORED)
    made = pd.DataFrame({"day": day.where(origin.notna()), "cnsr": cnsr, "by": by}, index=origin.index)
    if horizon is not None:
        over = made["day"] - origin + 1 > horizon
        made["day"] = made["day"].where(~over, origin + horizon - 1)
        made["cnsr"] = made["cnsr"].where(~over, CENSORED)
        made["by"] = made["by"].where(~over, BY_HORIZON)
    return made


def first_onsets(events: pd.DataFrame, origin: Series[float]) -> pd.DataFrame:
    """Return each subject's first event on or after the origin: its rows of `events`, indexed by USUBJID.

    events: USUBJID, day, rank (order of the sources, then of the records), and what else is wanted. Earlier ones are
    prevalent and no event (protocol §6).
    """
    kept = events[events["day"].to_numpy() >= events["USUBJID"].map(origin).to_numpy(dtype=np.float64)]
    return kept.sort_values(["day", "rank"], kind="stable").drop_duplicates("USUBJID").set_index("USUBJID")


def worsenings(grades: pd.DataFrame, onsets: pd.DataFrame, wanted: Any) -> pd.DataFrame:
    """Return the assessments at which an episode first reaches one of the wanted grades, with the day that dates it.

    grades: USUBJID, day, grade, rank; onsets: USUBJID, day of every episode. An episode is dated by its onset where its
    first assessment already has such a grade, else by the assessment at which it had become worse. An assessment before
    any onset has an episode of its own. Protocol §6: worsening to one of the grades is an event.
    """
    g = grades[grades["day"].notna()].sort_values(["USUBJID", "day", "rank"], kind="stable")
    o = onsets[onsets["day"].notna()].sort_values("day", kind="stable")
    if len(g) and len(o):
        joined = pd.merge_asof(
            g.sort_values("day", kind="stable"),
            o[["USUBJID", "day"]].drop_duplicates().assign(onset=lambda f: f["day"]),
            on="day", by="USUBJID",
        )  # fmt: skip
        g = joined.sort_values(["USUBJID", "day", "rank"], kind="stable")
    else:
        g = g.assign(onset=np.nan)
    episode = g["onset"].fillna(-np.inf)
    before = g["grade"].isin(list(wanted)).groupby([g["USUBJID"], episode]).shift(1)
    reached = g["grade"].isin(list(wanted)) & ~before.fillna(False).astype(bool)
    at_once = reached & before.isna() & g["onset"].notna()
    return g.assign(day=g["onset"].where(at_once, g["day"]))[reached]

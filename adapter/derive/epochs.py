"""EPOCH of a record: the epoch of the subject's element (SE) in which its date lies. One rule for every domain."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.derive.days import clock, day_number
from adapter.derive.distinct import distinct_rows
from adapter.derive.results import at_or_before

Series = pd.Series
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

DAYS = 4_000_000
"""More days than the years 1 to 9999 have: subject × DAYS + day is one number that sorts as the pair does."""
EARLIEST = 800_000
"""Days before 1970-01-01 that are still positive when it is added."""
MILESTONE = "PROTOCOL MILESTONE"


def epoch(usubjid: Series[Any], dtc: Series[Any], elements: pd.DataFrame) -> Series[str]:
    """Epoch of the subject's last element ({a2}) that has begun at {a1}: by time where both have one, else by day, the \
day on which an element begins belonging to it; empty before the first element and where {a1} is not known to the day.

    elements: USUBJID, SESTDTC, EPOCH, sorted by USUBJID and time. sdtm-conventions, Timing and visits.
    """
    return _epochs(usubjid, dtc, elements, None, None)


def epoch_of_finding(
    usubjid: Series[Any], dtc: Series[Any], elements: pd.DataFrame, reference: Series[Any], untimed: str
) -> Series[str]:
    """Epoch of the subject's last element ({a2}) that has begun at {a1}: by time where both have one, else by day, the \
day on which an element begins belonging to it; but, as for the last observation before exposure, a result at or before \
{a3} lies before the element that begins there, and without a time on that day it counts as {untimed} the first \
treatment. Empty before the first element and where {a1} is not known to the day.

    elements: as for `epoch`; reference: RFSTDTC; untimed: before | after (A-26).
    """
    text, ref = dtc.astype("str").fillna(""), reference.astype("str").fillna("")
    return _epochs(usubjid, dtc, elements, ref, (text, untimed))


def epoch_of_disposition(
    usubjid: Series[Any], dtc: Series[Any], elements: pd.DataFrame, reference: Series[Any], category: Series[Any]
) -> Series[str]:
    """Epoch of the subject's last element ({a2}) that has begun at {a1}: by time where both have one, else by day, the \
day on which an element begins belonging to it; but a protocol milestone of the day of {a3} lies before the element \
that begins there. Empty before the first element and where {a1} is not known to the day.

    elements: as for `epoch`; reference: RFSTDTC; category: DSCAT.
    """
    text = dtc.astype("str").fillna("").where(category == MILESTONE, "")
    return _epochs(usubjid, dtc, elements, reference.astype("str").fillna(""), (text, "before"))


def subject_days(subjects: pd.Index[Any], usubjid: Series[Any], days: Series[float]) -> Integers:
    """Return one number for each (subject, day) that sorts as the pair does; -1 for unknown days and subjects."""
    code = subjects.get_indexer(pd.Index(usubjid))
    day = days.to_numpy(dtype=np.float64)
    known = (code >= 0) & ~np.isnan(day)
    made = np.full(len(code), -1, dtype=np.int64)
    made[known] = code[known] * DAYS + day[known].astype(np.int64) + EARLIEST
    return made


def _epochs(
    usubjid: Series[Any],
    dtc: Series[Any],
    elements: pd.DataFrame,
    reference: Series[str] | None,
    compared: tuple[Series[str], str] | None,
) -> Series[str]:
    """reference, compared: the reference start, the records' dates that are held against it, and what untimed means."""
    if not len(elements) or not len(dtc):
        return pd.Series("", index=dtc.index, dtype="str")
    columns = [usubjid, dtc.astype("str").fillna("")]
    if compared is not None:
        columns.append(compared[0])
    first, number = distinct_rows(columns)  # results come in panels: each time is looked up once
    subject, when = usubjid.iloc[first], columns[1].iloc[first]
    subjects = pd.Index(elements["USUBJID"].drop_duplicates())
    begins = subject_days(subjects, elements["USUBJID"], day_number(elements["SESTDTC"]))
    wanted = subject_days(subjects, subject, day_number(when))
    place = np.searchsorted(begins, wanted, side="right") - 1
    place[(wanted < 0) | (place < 0)] = -1
    on_the_day = np.flatnonzero((place >= 0) & (begins[np.maximum(place, 0)] == wanted))
    early: Flags = np.zeros(len(first), dtype=bool)
    starts: list[str] = []
    if compared is not None and reference is not None:
        starts = reference.iloc[first].tolist()
        early = at_or_before(compared[0].iloc[first], reference.iloc[first], compared[1])
    texts, times = elements["SESTDTC"].tolist(), when.tolist()
    for i in on_the_day.tolist():
        while place[i] >= 0 and begins[place[i]] == wanted[i]:
            start = texts[place[i]]
            if not (_later(start, times[i]) or (early[i] and start == starts[i])):
                break
            place[i] -= 1
    # the element before the subject's first one is another subject's
    place[(place >= 0) & (begins[np.maximum(place, 0)] // DAYS != wanted // DAYS)] = -1
    names = np.array([*elements["EPOCH"].tolist(), ""], dtype=object)
    return pd.Series(names[place[number]], index=dtc.index, dtype="str")


def _later(start: str, when: str) -> bool:
    """Return whether an element begins later on the day of `when`; where either has no time it does not."""
    return len(start) > 10 and len(when) > 10 and clock(start) > clock(when)

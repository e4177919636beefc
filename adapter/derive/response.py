"""Response (protocol §5): the first level whose run begins in time, evaluability, the overall response, sensitivities.

Days are numbers on one scale; NaN is "none". One row per subject.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Series = pd.Series
Flags = npt.NDArray[np.bool_]


def runs_in_time(first: Series[float], last_day: Series[float], ended: Series[float]) -> Series[float]:
    """Return the first days of runs that count: on or before `last_day` and before `ended` (an intercurrent event).

    NaN in last_day or ended is no limit. Protocol §5, A-10, A-13.
    """
    late = (first > last_day) | (first >= ended)
    return first.where(~late)


def lineage_response(
    levels: Sequence[tuple[str, Series[float]]], otherwise: str, not_evaluable: str, evaluable: Series[bool]
) -> pd.DataFrame:
    """Return columns avalc, day: the first level that holds and the first day of its run; else `otherwise` where the \
lineage could be evaluated, and `not_evaluable` where it could not, both without a day.

    levels: value -> first day of its run, in the order in which they are tried.
    """
    index = evaluable.index
    avalc = pd.Series(np.where(evaluable, otherwise, not_evaluable), index=index, dtype="str")
    day = pd.Series(np.nan, index=index)
    for value, first in reversed(levels):
        hit = first.notna()
        avalc, day = avalc.where(~hit, value), day.where(~hit, first)
    return pd.DataFrame({"avalc": avalc, "day": day})


def evaluable(last_value: Series[float], late_day: Series[float], death: Series[float], death_by: Series[float]) -> Any:
    """Return whether a response that was not seen is a non-response: a value on or after `late_day`, or death by then."""
    return (last_value >= late_day) | (death <= death_by)


def overall_response(
    lineages: Mapping[str, pd.DataFrame],
    levels: Sequence[tuple[str, Mapping[str, Collection[str]]]],
    otherwise: str,
    not_evaluable: str,
    not_evaluable_of: Mapping[str, str],
) -> pd.DataFrame:
    """Return columns avalc, day: the first level whose every lineage has one of its values, dated by the latest of them.

    Else not evaluable where a lineage is not and none is a non-response, otherwise `otherwise`. lineages: PARAMCD ->
    columns avalc, day, responder. not_evaluable_of: PARAMCD -> its value for not evaluable. Protocol §5, A-11.
    """
    frames = list(lineages.values())
    index = frames[0].index
    silent, refused = pd.Series(False, index=index), pd.Series(False, index=index)
    for code, f in lineages.items():
        silent |= f["avalc"] == not_evaluable_of[code]
        refused |= ~f["responder"] & (f["avalc"] != not_evaluable_of[code])
    avalc = pd.Series(np.where(silent & ~refused, not_evaluable, otherwise), index=index, dtype="str")
    day = pd.Series(np.nan, index=index)
    latest = pd.concat([f["day"] for f in frames], axis=1).max(axis=1)
    for value, needs in reversed(levels):
        hit = pd.Series(True, index=index)
        for code, values in needs.items():
            hit &= lineages[code]["avalc"].isin(list(values))
        avalc, day = avalc.where(~hit, value), day.where(~hit, latest)
    return pd.DataFrame({"avalc": avalc, "day": day})


def any_between(
    subject: npt.NDArray[np.int64],
    day: npt.NDArray[np.int64],
    first: npt.NDArray[np.float64],
    last: npt.NDArray[np.float64],
) -> Flags:
    """Return for each subject whether one of the days lies between first and last (both included; NaN: no).

    subject, day: sorted by both; subjects are 0 … n-1.
    """
    found = np.zeros(len(first), dtype=bool)
    known = ~np.isnan(first) & ~np.isnan(last)
    inside = (day >= np.nan_to_num(first, nan=np.inf)[subject]) & (day <= np.nan_to_num(last, nan=-np.inf)[subject])
    found[subject[inside]] = True
    return found & known


def gap_only(
    subject: npt.NDArray[np.int64],
    day: npt.NDArray[np.int64],
    meets: Flags,
    first: npt.NDArray[np.float64],
    last: npt.NDArray[np.float64],
) -> Flags:
    """Return for each subject whether every value between first and last meets the condition, but not every day has one.

    Protocol §5, RUNGAPFL: measured less than daily. Without any value there, it is not.
    """
    n = len(first)
    inside = (day >= np.nan_to_num(first, nan=np.inf)[subject]) & (day <= np.nan_to_num(last, nan=-np.inf)[subject])
    measured = np.bincount(subject[inside], minlength=n)
    met = np.bincount(subject[inside & meets], minlength=n)
    found: Flags = (measured > 0) & (met == measured) & (measured < np.nan_to_num(last - first + 1, nan=0))
    return found

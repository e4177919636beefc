"""Baseline and change from it (protocol §2, A-26): the last usable result at or before first treatment, per parameter."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.derive.distinct import distinct_rows
from adapter.derive.results import at_or_before

Series = pd.Series
DIGITS = 10
"""Differences of decimals are rounded to so many places, so that 4.1 - 3.9 is 0.2."""


class Baseline(NamedTuple):
    """flag: the baseline record; row: for each record the position of its baseline record, -1; after: is after baseline."""

    flag: npt.NDArray[np.bool_]
    row: npt.NDArray[np.int64]
    after: npt.NDArray[np.bool_]


def baseline(
    group: npt.NDArray[np.int64],
    dtc: Series[Any],
    order: npt.NDArray[np.int64],
    usable: npt.NDArray[np.bool_],
    reference: Series[Any],
    untimed: str,
) -> Baseline:
    """Return each record's baseline.

    group: number of subject and parameter. dtc: ISO times; order: their order inside a group. reference: RFSTDTC, one per
    record. untimed: before | after: a result without a time on the day of first treatment.
    """
    text, ref = dtc.astype("str").fillna(""), reference.astype("str").fillna("")
    first, number = distinct_rows([text, ref])
    at = at_or_before(text.iloc[first], ref.iloc[first], untimed)[number]
    place = np.flatnonzero(at & usable)
    place = place[np.lexsort((order[place], group[place]))]
    last = np.ones(len(place), dtype=bool)
    last[:-1] = group[place][1:] != group[place][:-1]
    chosen = place[last]
    flag = np.zeros(len(text), dtype=bool)
    flag[chosen] = True
    of = np.full(int(group.max()) + 1 if len(group) else 0, -1, dtype=np.int64)
    of[group[chosen]] = chosen
    known = (text.str.len() >= 10).to_numpy(dtype=bool) & (ref.str.len() >= 10).to_numpy(dtype=bool)
    return Baseline(flag, of[group], ~at & known)


def change(value: npt.NDArray[np.float64], base: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return value - base, as decimals would be subtracted."""
    return np.round(value - base, DIGITS)

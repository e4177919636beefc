"""Finds rows of two tables that have the same keys, whatever the keys' types."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from adapter.check.columns import Column, Ints, shared_codes
from adapter.check.operators_values import plain
from adapter.check.world import Skip

MAX_ROWS = 20_000_000
"""A join of more rows than this is refused: a rule from anywhere could multiply records without end."""


def join(left: Sequence[Column], right: Sequence[Column], keep: bool = False) -> tuple[Ints, Ints]:
    """Return the pairs of rows whose keys are the same, in the order of the left; missing keys match nothing.

    With `keep`, a left row without a partner stays once, with -1 at the right. Raises Skip for too many pairs.
    """
    a, b = _keys(left, right)
    order = np.argsort(b, kind="stable")
    ordered = b[order]
    first = np.searchsorted(ordered, a, side="left")
    count = np.searchsorted(ordered, a, side="right") - first
    count[a < 0] = 0
    alone = keep & (count == 0)
    times = np.where(alone, 1, count)
    total = int(times.sum())
    if total > MAX_ROWS:
        raise Skip(f"the match would make {total:,} rows, at most {MAX_ROWS:,} are made")
    rows = np.repeat(np.arange(len(a)), times)
    within = np.arange(total) - np.repeat(np.cumsum(times) - times, times)
    others = np.full(total, -1, dtype=np.int64)
    real = ~alone[rows]
    others[real] = order[(first[rows] + within)[real]]
    return rows, others


def _keys(left: Sequence[Column], right: Sequence[Column], missing_match: bool = False) -> tuple[Ints, Ints]:
    """Return one number per row of both sides that is the same where all keys are; -1 where one is missing.

    With `missing_match` a missing key is a key like others.
    """
    n, m = len(left[0]), len(right[0])
    ids, size = np.zeros(n + m, dtype=np.int64), 1
    missing = np.zeros(n + m, dtype=bool)
    for a, b in zip(left, right, strict=True):
        codes = _common(a, b)
        missing |= codes < 0
        codes = codes + 1
        width = int(codes.max(initial=0)) + 1
        if size * width > 2**62:
            ids = pd.factorize(ids)[0].astype(np.int64)
            size = int(ids.max(initial=0)) + 1
        ids = ids * width + codes
        size *= width
    if not missing_match:
        ids[missing] = -1
    return ids[:n], ids[n:]


def _common(a: Column, b: Column) -> Ints:
    """Return codes of two columns, one below the other, that are the same for the same cell; missing is -1."""
    if a.numbers is not None and b.numbers is not None:
        both = Column(numbers=np.concatenate([a.numbers, b.numbers]))
        return both.groups()
    x, y = shared_codes(a.as_text(), b.as_text(), plain if a.is_number or b.is_number else None)
    return np.concatenate([x, y])


def comparable(column: Column) -> Column:
    """Return cells as IDVARVAL writes them: text, and numbers without what makes 1 and 1.0 differ."""
    if column.is_number:
        return column.as_text()
    return column.changed(plain)


def first_of(left: Sequence[Column], right: Sequence[Column], missing_match: bool = False) -> tuple[Ints, Ints]:
    """Return (left rows that have a partner, the first partner of each)."""
    a, b = _keys(left, right, missing_match)
    values, first = np.unique(b, return_index=True)
    place = np.searchsorted(values, a)
    place[place == len(values)] = 0
    hit = (a >= 0) & (len(values) > 0) & (values[place] == a) if len(values) else np.zeros(len(a), dtype=bool)
    rows = np.flatnonzero(hit)
    return rows, first[place[rows]]

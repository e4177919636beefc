"""Operators that look at groups of records: uniqueness, one-to-one relations, consistency, repeated rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.check import patterns
from adapter.check.ask import Ask, operator
from adapter.check.columns import Bools, Column, Ints, grouped


def _cut(column: Column, regex: Any) -> Column:
    """Return a text column with what a pattern takes out of each value, where its first value matches it at all."""
    if not regex or column.is_number or column.lists or not len(column.distinct):
        return column
    used = [column.distinct[c] for c in pd.unique(column.coded) if c >= 0]
    if not used or not patterns.starts(str(regex))(used[0]):
        return column
    taken = patterns.part(str(regex))
    return column.changed(lambda v: taken(v) or v)


def sizes(ids: Ints) -> Ints:
    """Return for each row the number of rows of its group."""
    return np.bincount(ids)[ids] if len(ids) else ids


@operator("is_unique_set", complement="is_not_unique_set")
def is_unique_set(ask: Ask) -> Bools:
    """No other record has the same cells in target and comparators; comparators that are no columns do not count."""
    target = ask.target
    columns = [c for c in ask.present([ask.leaf.name, *_flat(ask.leaf.value)]) if not c.lists] or [target]
    ids = grouped([_cut(c, ask.option("regex")) for c in columns], ask.frame.rows)
    return sizes(ids) <= 1


def _flat(value: Any) -> list[Any]:
    return [v for v in value if v is not None] if isinstance(value, list) else [] if value is None else [value]


@operator("is_not_unique_relationship", complement="is_unique_relationship")
def is_not_unique_relationship(ask: Ask) -> Bools:
    """The target's value goes with several values of the comparator, or the comparator's with several of the target.

    A missing cell counts as one more value, but is itself no value that can be violated.
    """
    others = [ask.column(n) for n in _flat(ask.leaf.value)]
    rows = ask.frame.rows
    a, b = grouped([ask.target], rows), grouped(others, rows)
    known_a = ~ask.target.null
    known_b = np.ones(rows, dtype=bool)
    for c in others:
        known_b &= ~c.null
    return (known_a & _several(a, b)) | (known_b & _several(b, a))


def _several(key: Ints, value: Ints) -> Bools:
    """Return the rows whose key goes with more than one value."""
    if not len(key):
        return np.zeros(0, dtype=bool)
    pairs = pd.unique(key * (int(value.max()) + 1) + value)
    counts = np.bincount(pairs // (int(value.max()) + 1), minlength=int(key.max()) + 1)
    return counts[key] > 1


@operator("is_inconsistent_across_dataset")
def is_inconsistent_across_dataset(ask: Ask) -> Bools:
    """Within a group of records the target differs; of a group with a majority only the others are marked."""
    target = _first_group(ask.target, ask.option("regex"))
    rows = ask.frame.rows
    ids = grouped(ask.present(ask.leaf.value), rows)
    values = grouped([target], rows)
    if not rows:
        return np.zeros(0, dtype=bool)
    width = int(values.max()) + 1
    pairs, inverse = pd.factorize(ids * width + values)[::-1]
    pair_of_row = np.asarray(inverse, dtype=np.int64)
    counts = np.bincount(pair_of_row)
    groups = np.asarray(pairs, dtype=np.int64) // width
    most = np.zeros(int(ids.max()) + 1, dtype=np.int64)
    np.maximum.at(most, groups, counts)
    top = counts == most[groups]
    tops = np.bincount(groups[top], minlength=len(most))
    several = np.bincount(groups, minlength=len(most)) > 1
    marked: Bools = several[ids] & ((tops[ids] > 1) | ~top[pair_of_row])
    return marked


def _first_group(column: Column, regex: Any) -> Column:
    pattern = regex[0] if isinstance(regex, list) and regex else regex
    if not pattern:
        return column
    taken = patterns.part(str(pattern))
    return column.changed(lambda v: taken(v) or v)


def _repeated(ask: Ask) -> Bools:
    most = ask.leaf.value if isinstance(ask.leaf.value, int) else 1
    within = ask.option("within")
    columns = [ask.column(n) for n in _flat(within)]
    return sizes(grouped([*columns, ask.target], ask.frame.rows)) > most


@operator("present_on_multiple_rows_within")
def present_on_multiple_rows_within(ask: Ask) -> Bools:
    """The target's value stands in more records of its group than `value` says (1 if it says nothing)."""
    return _repeated(ask) & ~ask.target.null


@operator("not_present_on_multiple_rows_within")
def not_present_on_multiple_rows_within(ask: Ask) -> Bools:
    return ~_repeated(ask) & ~ask.target.null

"""Operators that look at the order of records: the next one, the last of a group, sorting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapter.check import patterns
from adapter.check.ask import Ask, Unfit, mapping_of, operator
from adapter.check.columns import Bools, Column, Ints, cells_of, grouped, number_of, same_as
from adapter.check.dates import dates_of
from adapter.check.operators_groups import _flat


def rank(column: Column, last: bool = True) -> NDArray[np.int64]:
    """Return a number per row that sorts as its cell does: numbers by value, texts by character; missing at an end."""
    if column.is_number:
        values = np.unique(column.as_numbers()[~column.null])
        places = np.searchsorted(values, column.as_numbers())
        places[column.null] = len(values) if last else -1
        return places.astype(np.int64)
    order = sorted(range(len(column.distinct)), key=lambda i: str(column.distinct[i]))
    of_code = np.empty(len(order) + 1, dtype=np.int64)
    of_code[order] = np.arange(len(order))
    of_code[-1] = len(order) if last else -1
    return of_code[column.coded]


def _sorted_within(ask: Ask, within: Any, by: Any) -> tuple[Ints, Ints]:
    """Return (rows sorted by group, then by the ordering columns, else as they stand; the group of each such row)."""
    ids = grouped([ask.column(n) for n in _flat(within)], ask.frame.rows)
    keys = [rank(ask.column(n)) for n in _flat(by)]
    rows = np.lexsort([*reversed(keys), ids]) if keys else np.argsort(ids, kind="stable")
    return rows, ids[rows]


def _has_next(groups: Ints) -> Bools:
    return np.append(groups[1:] == groups[:-1], False) if len(groups) else np.zeros(0, dtype=bool)


@operator("has_next_corresponding_record", complement="does_not_have_next_corresponding_record")
def has_next_corresponding_record(ask: Ask) -> Bools:
    """The target equals the comparator of the next record of its group; the last record has nothing to equal."""
    rows, groups = _sorted_within(ask, ask.option("within"), ask.option("ordering"))
    more = _has_next(groups)
    following = np.append(rows[1:], -1) if len(rows) else rows
    target, other = ask.target.take(rows), ask.column(ask.leaf.value).take(following)
    answer = ask.everywhere(True)
    answer[rows] = ~more | same_as(target, other) | (target.null & other.null)
    return answer


def _all_but_last(ask: Ask) -> Bools:
    rows, groups = _sorted_within(ask, ask.leaf.value, ask.option("ordering"))
    answer = ask.everywhere(False)
    answer[rows] = _has_next(groups)
    return answer


@operator("empty_within_except_last_row")
def empty_within_except_last_row(ask: Ask) -> Bools:
    return ask.target.null & _all_but_last(ask)


@operator("non_empty_within_except_last_row")
def non_empty_within_except_last_row(ask: Ask) -> Bools:
    return ~ask.target.null & _all_but_last(ask)


@operator("is_ordered_set", complement="is_not_ordered_set")
def is_ordered_set(ask: Ask) -> Bools:
    """Within each group the records stand in ascending order of the target; the answer is one for the dataset."""
    rows, groups = _sorted_within(ask, ask.leaf.value, None)
    places = rank(ask.target)[rows]
    return ask.everywhere(not bool(np.any((groups[1:] == groups[:-1]) & (places[1:] < places[:-1]))))


@operator("is_ordered_by", complement="is_not_ordered_by")
def is_ordered_by(ask: Ask) -> Bools:
    """The record holds what would stand in its place if the dataset were sorted by the target."""
    order = ask.option("order", "asc")
    if order not in ("asc", "dsc", "desc"):
        raise Unfit(f"order is {order!r}, expected asc or dsc")
    target = ask.target
    places = rank(target)
    wanted = np.sort(places)
    if order != "asc":
        filled = int((~target.null).sum())
        wanted = np.concatenate([wanted[:filled][::-1], wanted[filled:]])
    return np.asarray(places == wanted, dtype=bool) & ~target.null


@operator("target_is_sorted_by", complement="target_is_not_sorted_by")
def target_is_sorted_by(ask: Ask) -> Bools:
    """Sorted by target within its group, the records stand in the order of each comparator.

    A record is out of order if another stands in its place when sorted, or its neighbour is on the wrong side. Dates of
    different precision that overlap (2005-10 and 2005-10-08) have no order: all of them are out of it. Missing
    comparators belong where null_position says (last).
    """
    target = _taken(ask.target, ask.option("regex"))
    ids = grouped([ask.column(n) for n in _flat(ask.option("within"))], ask.frame.rows)
    answer = ask.everywhere(True)
    for entry in ask.leaf.value if isinstance(ask.leaf.value, list) else [ask.leaf.value]:
        setting = mapping_of(entry)
        column = ask.column(str(setting.get("name", "")))
        descending = str(setting.get("sort_order", "asc")).lower() == "desc"
        first = str(setting.get("null_position", "last")).lower() == "first"
        answer &= _in_order(ids, target, column, descending, first)
    return answer


def _taken(column: Column, regex: Any) -> Column:
    """Return what the first group of a pattern takes out of each text, as a number if all of it are numbers."""
    if not regex:
        return column
    text, take = column.as_text(), patterns.part(str(regex))
    parts: list[Any] = [take(v) for v in text.distinct]
    found = [number_of(p) for p in parts]
    if all(f == f or p is None for f, p in zip(found, parts, strict=True)):
        return Column(numbers=np.array([*found, np.nan])[text.coded])
    return cells_of([None if c < 0 else parts[c] for c in text.coded])


def _in_order(ids: Ints, target: Column, column: Column, descending: bool, first: bool) -> Bools:
    sign = -1 if descending else 1
    places = rank(column) * sign
    rows = np.lexsort([rank(target), ids])
    null, groups = column.null[rows], ids[rows]
    good = np.ones(len(rows), dtype=bool)
    good &= ~_misplaced_nulls(groups, null, first)
    overlap = _overlapping(ids, column)[rows]
    good &= ~overlap
    good[_shifted(groups, places[rows], rank(target)[rows], ~null & ~overlap)] = False
    good[_beside(groups, places[rows], ~null)] = False
    answer = np.ones(len(rows), dtype=bool)
    answer[rows] = good
    return answer


def _misplaced_nulls(groups: Ints, null: Bools, first: bool) -> Bools:
    """Return the missing comparators of groups that have one on the wrong side of a populated one."""
    if not len(groups):
        return null
    at = np.arange(len(groups))
    size = int(groups.max()) + 1
    filled_first, filled_last = np.full(size, len(at)), np.full(size, -1)
    np.minimum.at(filled_first, groups[~null], at[~null])
    np.maximum.at(filled_last, groups[~null], at[~null])
    wrong = null & ((at > filled_first[groups]) if first else (at < filled_last[groups]))
    bad = np.zeros(size, dtype=bool)
    bad[groups[wrong]] = True
    return null & bad[groups]


def _shifted(groups: Ints, places: Ints, targets: Ints, judged: Bools) -> Ints:
    """Return the rows whose target is another one when the group is sorted by the comparator instead."""
    rows = np.flatnonzero(judged)
    sorted_rows = rows[np.lexsort([places[rows], groups[rows]])]
    shifted: Ints = rows[targets[rows] != targets[sorted_rows]]
    return shifted


def _beside(groups: Ints, places: Ints, judged: Bools) -> Ints:
    """Return the rows that are smaller than the one before them or greater than the one after, in their group."""
    rows = np.flatnonzero(judged)
    g, p = groups[rows], places[rows]
    falls = (g[1:] == g[:-1]) & (p[1:] < p[:-1])
    bad = np.zeros(len(rows), dtype=bool)
    bad[1:] |= falls
    bad[:-1] |= falls
    return rows[bad]


def _overlapping(ids: Ints, column: Column) -> Bools:
    """Return the rows whose date overlaps another of its group that is more or less precise."""
    found = np.zeros(len(ids), dtype=bool)
    if column.is_number or not len(ids):
        return found
    dates = dates_of(column)
    precision = dates.precision[column.coded].astype(np.int64)
    levels = [p for p in np.unique(precision) if p >= 0]
    for i, coarse in enumerate(levels[:-1]):
        keys = dates.at[column.coded, coarse]
        known = precision >= coarse
        together = grouped([Column(numbers=np.where(known, keys, np.nan))], len(ids))
        cells = pd.factorize(ids * (int(together.max()) + 1) + together)[0]
        has_coarse = np.zeros(int(cells.max()) + 1, dtype=bool)
        has_fine = has_coarse.copy()
        has_coarse[cells[known & (precision == coarse)]] = True
        has_fine[cells[known & np.isin(precision, levels[i + 1 :])]] = True
        found |= known & has_coarse[cells] & has_fine[cells]
    return found

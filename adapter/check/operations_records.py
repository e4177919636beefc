"""Operations that look at records: distinct values, counts, extremes, study days, maps, splits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from adapter.check.columns import Column, Ints, constant, grouped
from adapter.check.dates import day_of
from adapter.check.frame import Frame
from adapter.check.keys import first_of
from adapter.check.operations import Task, operation, spread
from adapter.check.operators_groups import _cut
from adapter.check.operators_order import rank
from adapter.check.world import Skip


def _groups(task: Task, frame: Frame) -> tuple[Ints, list[Column], Ints]:
    """Return (group of each row, the groups' key columns, a row of each group)."""
    columns = [_cut(task.column(frame, n), None) for n in task.group]
    ids = grouped(columns, frame.rows)
    _, first = np.unique(ids, return_index=True)
    return ids, [c.take(first) for c in columns], first


@operation("distinct")
def distinct(task: Task) -> Any:
    """The values of a variable, each once: of all records, or of each group."""
    frame = task.filtered(task.source)
    column = task.column(frame, task.name)
    if task.option("value_is_reference"):
        column = _existing(task, frame, column)
    if not task.group:
        return _unique(column)
    ids, keys, _ = _groups(task, frame)
    kept = ~column.null
    pairs = pd.unique(ids[kept] * (int(column.groups().max(initial=0)) + 2) + column.groups()[kept])
    width = int(column.groups().max(initial=0)) + 2
    one_of = _one_of_each(column, width)
    lists: list[list[Any]] = [[] for _ in range(len(keys[0]) if keys else 0)]
    for p in pairs:
        lists[int(p) // width].append(column.cell(int(one_of[int(p) % width])))
    values = np.empty(len(lists), dtype=object)
    values[:] = [tuple(x) for x in lists]
    codes = np.arange(len(lists), dtype=np.int32)
    return spread(task, keys, Column(codes, values, lists=True))


def _one_of_each(column: Column, width: int) -> Ints:
    """Return for each group number of a column a row that has it."""
    found = np.zeros(width, dtype=np.int64)
    groups = column.groups()
    found[groups] = np.arange(len(groups))
    return found


def _unique(column: Column) -> list[Any]:
    if column.numbers is not None:
        present = column.numbers[~column.null]
        return [int(n) if n.is_integer() else n for n in pd.unique(present).tolist()]
    return [column.distinct[c] for c in pd.unique(column.coded) if c >= 0]


def _existing(task: Task, frame: Frame, column: Column) -> Column:
    """Return the names that are variables of the dataset which RDOMAIN of their record names; others are missing."""
    if "RDOMAIN" not in frame:
        return constant(None, frame.rows)
    package = task.world.package
    text, domain = column.as_text(), frame["RDOMAIN"].as_text()
    codes = text.coded.copy()
    for code in np.unique(domain.coded):
        whole = package.find(str(domain.distinct[code])) if code >= 0 else None
        there = set(package.frame_of(whole).names) if whole else set()
        absent = np.array([v not in there for v in text.distinct] + [True])
        codes[(domain.coded == code) & absent[text.coded]] = -1
    return Column(codes, text.values)


@operation("record_count")
def record_count(task: Task) -> Any:
    """The number of records (that the filter names): of all, or of each group."""
    source = task.source
    frame = task.filtered(source)
    if not task.group:
        return frame.rows
    regex = task.option("regex")
    names = [n for n in task.group if n in frame]
    if not names:
        raise Skip(f"{task.domain} has none of the variables to group by")
    columns = [_cut(frame[n], regex) for n in names]
    ids = grouped(columns, frame.rows)
    counts = np.bincount(ids)[ids] if frame.rows else ids
    if frame is task.frame:
        return Column(numbers=counts.astype(np.float64))
    _, first = np.unique(ids, return_index=True)
    return _counted(task, names, [c.take(first) for c in columns], counts[first], regex)


def _counted(task: Task, names: list[str], keys: list[Column], counts: Any, regex: Any) -> Column:
    aliases = [str(a) for a in task.option("group_aliases") or []]
    own = [task.expand(aliases[i] if i < len(aliases) else n) for i, n in enumerate(names)]
    held = [task.frame.get(n) for n in own]
    if any(c is None for c in held):
        raise Skip("the dataset has not all variables to group by")
    rows, groups = first_of([_cut(c, regex) for c in held if c is not None], keys, missing_match=True)
    cells = np.zeros(task.frame.rows)
    cells[rows] = counts[groups]
    return Column(numbers=cells)


def _extreme(task: Task, last: bool) -> Any:
    """Return the greatest or least cell of a variable: of all records, or of each group; missing ones do not count."""
    frame = task.filtered(task.source)
    column = task.column(frame, task.name)
    places = rank(column, last=not last)
    kept = np.flatnonzero(~column.null)
    order = kept[np.argsort(places[kept], kind="stable")]
    if last:
        order = order[::-1]
    if not task.group:
        return column.cell(int(order[0])) if len(order) else None
    ids, keys, _ = _groups(task, frame)
    best = np.full(len(keys[0]), -1, dtype=np.int64)
    best[ids[order[::-1]]] = order[::-1]
    return spread(task, keys, column.take(best))


@operation("max_date", "max")
def greatest(task: Task) -> Any:
    return _extreme(task, last=True)


@operation("min_date", "min")
def least(task: Task) -> Any:
    return _extreme(task, last=False)


@operation("mean")
def mean(task: Task) -> Any:
    frame = task.filtered(task.source)
    cells = task.column(frame, task.name).as_numbers()
    if not task.group:
        return float(np.nanmean(cells)) if (~np.isnan(cells)).any() else None
    ids, keys, _ = _groups(task, frame)
    known = ~np.isnan(cells)
    sums = np.bincount(ids[known], weights=cells[known], minlength=len(keys[0]))
    counts = np.bincount(ids[known], minlength=len(keys[0]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return spread(task, keys, Column(numbers=sums / counts))


@operation("dy")
def study_day(task: Task) -> Column:
    """The study day of a date: days since RFSTDTC of DM, from 1, and no day 0 (SDTMIG 3.4 §4.4.4)."""
    whole = task.world.package.find("DM")
    if whole is None:
        raise Skip("there is no dataset DM")
    dm = task.world.package.frame_of(whole)
    dates = task.column(task.frame, task.name).as_text()
    subject, reference = task.column(dm, "USUBJID"), task.column(dm, "RFSTDTC").as_text()
    rows, at = first_of([task.column(task.frame, "USUBJID")], [subject])
    start = np.full(task.frame.rows, np.nan)
    start[rows] = _days(reference)[at]
    delta = _days(dates) - start
    return Column(numbers=np.where(delta < 0, delta, delta + 1))


def _days(column: Column) -> Any:
    return np.array([*(day_of(str(v)) for v in column.distinct), np.nan])[column.coded]


@operation("map")
def mapped(task: Task) -> Any:
    """The output of the first line of a table whose cells the record has."""
    lines = task.option("map") or []
    answer = np.full(task.frame.rows, -1, dtype=np.int32)
    outputs = []
    for i, line in enumerate(lines):
        outputs.append(str(line.get("output", "")))
        fits = answer < 0
        for variable, value in line.items():
            if variable != "output":
                column = task.frame.get(task.expand(str(variable)))
                fits &= False if column is None else _is(column, value)
        answer[fits] = i
    return Column(answer, np.array(outputs, dtype=object))


def _is(column: Column, value: Any) -> Any:
    return column.as_text().per_value(lambda v: v == str(value), False)


@operation("split_by")
def split_by(task: Task) -> Column:
    """The parts of a text between delimiters, as a list."""
    text = task.column(task.frame, task.name).as_text()
    delimiter = str(task.option("delimiter") or ",")
    values = np.empty(len(text.distinct), dtype=object)
    values[:] = [tuple(str(v).split(delimiter)) for v in text.distinct]
    return Column(text.coded, values, lists=True)


@operation("minus")
def minus(task: Task) -> Any:
    """The elements of one list result that another does not have."""

    def elements(name: str) -> list[Any]:
        column = task.frame.get(name)
        return list(column.cell(0) or []) if column is not None and column.lists and len(column) else []

    taken = Counter(elements(str(task.option("subtract") or "")))
    return [e for e in elements(task.operation.name) if e not in taken]


@operation("variable_value_count")
def variable_value_count(task: Task) -> Any:
    """Pairs of a value and the number of records of all datasets that have it in the variable."""
    counts: Counter[Any] = Counter()
    for whole in dict.fromkeys(d.whole for d in task.world.package.datasets):
        part = task.world.package.parts_of(whole)[0]
        column = task.world.package.frame_of(whole).get(part.expand(task.operation.name))
        if column is not None:
            text = column.as_text()
            for code, n in zip(*np.unique(text.coded[text.coded >= 0], return_counts=True), strict=True):
                counts[str(text.distinct[code])] += int(n)
    return list(counts.items())

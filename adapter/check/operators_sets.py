"""Operators on membership: values in lists, and lists against lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from adapter.check.ask import Ask, operator, pairwise
from adapter.check.columns import Bools, Column, number_of


def _keys(column: Column) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Callable[[Any], int]]:
    """Return codes of a column's cells and what gives the code of a list's element (-2: none); numbers by value."""
    if column.is_number:
        codes, values = pd.factorize(column.as_numbers())
        index = {float(v): i for i, v in enumerate(values)}
        return codes.astype(np.int64), lambda e: index.get(_number(e), -2)
    texts = {str(v): i for i, v in enumerate(column.distinct)}
    numbers = {n: i for i, v in enumerate(column.distinct) if (n := number_of(v)) == n}

    def code(element: Any) -> int:
        if isinstance(element, (int, float)) and not isinstance(element, bool):
            return numbers.get(float(element), -2)
        return texts.get(str(element), -2)

    return column.coded.astype(np.int64), code


def _number(element: Any) -> float:
    return float(element) if isinstance(element, (int, float)) else number_of(element)


def member(target: Column, other: Any) -> Bools:
    """Return the rows whose target is among the comparator: a list, a column of lists, or a column's values.

    Where the target itself is a list, any of its elements will do. A missing target is in no list.
    """
    if target.lists:
        if isinstance(other, Column):
            lists = other if other.lists else None
            if lists is None:
                return pairwise(target, other, lambda t, o: o in t)
            return pairwise(target, lists, lambda t, o: bool(set(t) & set(o)))
        allowed = set(_listed(other))
        return target.per_value(lambda t: bool(set(t) & allowed), False)
    codes, code = _keys(target)
    if isinstance(other, Column) and other.lists:
        width = int(codes.max(initial=0)) + 1
        pairs = [i * width + c for i, elements in enumerate(other.distinct) for e in elements if (c := code(e)) >= 0]
        rows = other.coded.astype(np.int64) * width + codes
        return (codes >= 0) & (other.coded >= 0) & np.isin(rows, np.array(pairs, dtype=np.int64))
    if isinstance(other, Column):
        elements: Iterable[Any] = pd.unique(other.as_numbers()) if other.is_number else _used(other)
    else:
        elements = _listed(other)
    allowed_codes = np.array([c for c in map(code, elements) if c >= 0], dtype=np.int64)
    return (codes >= 0) & np.isin(codes, allowed_codes)


def _used(column: Column) -> list[Any]:
    return [column.distinct[c] for c in np.unique(column.coded) if c >= 0]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, set)) else [value]


@operator("is_contained_by", complement="is_not_contained_by")
def is_contained_by(ask: Ask) -> Bools:
    return member(ask.target, ask.other())


def _lowered(column: Column) -> Column:
    if column.lists:
        values = np.empty(len(column.distinct), dtype=object)
        values[:] = [tuple(str(e).lower() for e in v) for v in column.distinct]
        return Column(column.coded, values, lists=True)
    return column.changed(str.lower)


@operator("is_contained_by_case_insensitive", complement="is_not_contained_by_case_insensitive")
def is_contained_by_case_insensitive(ask: Ask) -> Bools:
    other = ask.other()
    lowered = _lowered(other) if isinstance(other, Column) else [str(o).lower() for o in _listed(other)]
    return member(_lowered(ask.target), lowered)


@operator("contains_all", complement="not_contains_all")
def contains_all(ask: Ask) -> Bools:
    """All values of the comparator are among the target: row by row for lists, else over the whole column."""
    target, value = ask.target, ask.leaf.value
    other = ask.frame.get(ask.expand(value)) if isinstance(value, str) else None
    if target.lists:
        if other is not None:
            return pairwise(target, other, lambda t, o: set(o if isinstance(o, tuple) else [o]) <= set(t))
        return target.per_value(lambda t: set(ask.names(value)) <= set(t), False)
    have = {str(v) for v in _used(target.as_text())}
    if other is not None and not other.lists:
        return ask.everywhere({str(v) for v in _used(other.as_text())} <= have)
    return ask.everywhere(set(ask.names(value)) <= have)


def _sets(ask: Ask, test: Callable[[int], bool]) -> Bools:
    """Ask of each row how many elements target and comparator share; what is no list is a list of one."""

    def shared(t: Any, o: Any) -> bool:
        return test(len(set(t if isinstance(t, tuple) else [t]) & set(o if isinstance(o, tuple) else [o])))

    other = ask.other()
    if isinstance(other, Column):
        return pairwise(ask.target, other, shared)
    target = ask.target if ask.target.lists else ask.target.as_text()
    return target.per_value(lambda t: shared(t, tuple(_listed(other))), False)


@operator("shares_at_least_one_element_with")
def shares_at_least_one_element_with(ask: Ask) -> Bools:
    return _sets(ask, lambda shared: shared > 0)


@operator("shares_exactly_one_element_with")
def shares_exactly_one_element_with(ask: Ask) -> Bools:
    return _sets(ask, lambda shared: shared == 1)


@operator("shares_no_elements_with")
def shares_no_elements_with(ask: Ask) -> Bools:
    return _sets(ask, lambda shared: shared == 0)


@operator("is_ordered_subset_of", complement="is_not_ordered_subset_of")
def is_ordered_subset_of(ask: Ask) -> Bools:
    """Every element of the target is in the comparator, in the same order."""

    def ordered(target: Any, other: Any) -> bool:
        places = {e: i for i, e in enumerate(other)}
        found = [places.get(e, -1) for e in target]
        return -1 not in found and found == sorted(found)

    return pairwise(ask.target, ask.column(ask.leaf.value), ordered)

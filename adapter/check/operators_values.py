"""Operators that compare values: equality, order of numbers, presence.

Equality as CDISC Open Rules means it: two missing cells are neither equal nor unequal; a missing and a populated cell
are unequal.
"""

from __future__ import annotations

import itertools
import operator as op
from collections.abc import Callable
from typing import Any

import numpy as np

from adapter.check.ask import Absent, Ask, operator, pairwise
from adapter.check.columns import Bools, Column, close, number_of, number_text, same_as


def plain(value: Any) -> str:
    """Return a text without the difference between 200 and 200.00, and without blanks around it."""
    if type(value) is str and value.isascii() and value.isdigit() and value[0] != "0" and len(value) < 15:
        return value
    n = number_of(value)
    return number_text(n) if n == n else str(value).strip()


def _fold(ask: Ask, lower: bool) -> Callable[[Any], Any] | None:
    loose = bool(ask.option("type_insensitive"))
    if lower:
        return lambda v: (plain(v) if loose else str(v)).lower()
    return plain if loose else None


def _rounded(column: Column) -> Column:
    if column.numbers is not None:
        return Column(numbers=np.round(column.numbers))
    return column.changed(lambda v: number_text(float(round(n))) if (n := number_of(v)) == n else v)


def _against(ask: Ask, target: Column, other: Column, fold: Callable[[Any], Any] | None) -> tuple[Bools, Bools]:
    if ask.option("round_values"):
        target, other = _rounded(target), _rounded(other)
    return same_as(target, other, fold), other.null


def _literal(ask: Ask, target: Column, value: Any, fold: Callable[[Any], Any] | None) -> Bools:
    if value is None or value == "":
        return ask.everywhere(False)
    if isinstance(value, bool):
        return target.as_text().per_value(lambda v: v == str(value), False)
    wanted = float(value) if isinstance(value, (int, float)) else number_of(value)
    if fold is None and (target.is_number or isinstance(value, (int, float))):
        if ask.option("round_values"):
            return np.asarray(np.round(target.as_numbers()) == round(wanted))
        return close(target.as_numbers(), wanted)
    change = fold or str
    sought = change(value)
    return target.as_text().per_value(lambda v: change(v) == sought, False)


def _referred(ask: Ask, target: Column, fold: Callable[[Any], Any] | None) -> tuple[Bools, Bools]:
    """Compare with the column that each row names (value_is_reference); a name that is no column is a missing cell."""
    names = ask.column(ask.leaf.value).as_text()
    equal, missing = ask.everywhere(False), ask.everywhere(True)
    for code, name in enumerate(names.distinct):
        rows = np.flatnonzero(names.coded == code)
        other = ask.frame.get(name)
        if other is not None and len(rows):
            part = other.take(rows)
            equal[rows], missing[rows] = _against(ask, target.take(rows), part, fold)
    return equal, missing


def _other(ask: Ask) -> Any:
    """Return the comparator; a variable that the dataset lacks counts as one without any value."""
    try:
        return ask.other()
    except Absent:
        return None


def _compare(ask: Ask, lower: bool) -> tuple[Bools, Bools]:
    """Return (rows that are equal, rows where both are missing)."""
    target, fold = ask.target, _fold(ask, lower)
    if ask.option("value_is_reference"):
        equal, missing = _referred(ask, target, fold)
    elif isinstance(other := _other(ask), Column):
        equal, missing = _against(ask, target, other, fold)
    elif isinstance(other, list):
        raise Absent("a list")
    else:
        equal, missing = _literal(ask, target, other, fold), ask.everywhere(other is None or other == "")
    return equal, target.null & missing


@operator("equal_to")
def equal_to(ask: Ask) -> Bools:
    return _compare(ask, lower=False)[0]


@operator("not_equal_to")
def not_equal_to(ask: Ask) -> Bools:
    equal, both_missing = _compare(ask, lower=False)
    return ~equal & ~both_missing


@operator("equal_to_case_insensitive")
def equal_to_case_insensitive(ask: Ask) -> Bools:
    return _compare(ask, lower=True)[0]


@operator("not_equal_to_case_insensitive")
def not_equal_to_case_insensitive(ask: Ask) -> Bools:
    equal, both_missing = _compare(ask, lower=True)
    return ~equal & ~both_missing


def _ordering(test: Callable[[Any, Any], Any]) -> Callable[[Ask], Bools]:
    """Return an operator that compares numbers; a text that is no number compares as nothing."""

    def compare(ask: Ask) -> Bools:
        other = ask.other()
        right = other.as_numbers() if isinstance(other, Column) else number_of(other)
        with np.errstate(invalid="ignore"):
            return np.broadcast_to(np.asarray(test(ask.target.as_numbers(), right), dtype=bool), ask.frame.rows).copy()

    return compare


for _name, _test in (
    ("less_than", op.lt),
    ("less_than_or_equal_to", op.le),
    ("greater_than", op.gt),
    ("greater_than_or_equal_to", op.ge),
):
    operator(_name)(_ordering(_test))


@operator("empty", complement="non_empty")
def empty(ask: Ask) -> Bools:
    return ask.target.null


def exists(ask: Ask) -> Bools:
    """Whether there is such a column (or, in a domain presence check, such a dataset)."""
    return ask.everywhere(ask.expand(ask.leaf.name) in ask.frame)


def not_exists(ask: Ask) -> Bools:
    return ~exists(ask)


operator("exists")(exists)
operator("not_exists")(not_exists)


@operator("inconsistent_enumerated_columns")
def inconsistent_enumerated_columns(ask: Ask) -> Bools:
    """TSVAL2 is populated and TSVAL1 is not, and so on."""
    stem = ask.expand(ask.leaf.name)
    numbered = {int(n[len(stem) :] or 0): n for n in ask.frame.names if n.startswith(stem) and _tail(n[len(stem) :])}
    found = [ask.frame[numbered[i]] for i in sorted(numbered)]
    gap = ask.everywhere(False)
    for before, after in itertools.pairwise(found):
        gap |= before.null & ~after.null
    return gap


def _tail(text: str) -> bool:
    return text == "" or (text.isascii() and text.isdigit())


@operator("has_different_values", complement="has_same_values")
def has_different_values(ask: Ask) -> Bools:
    column = ask.target
    return ask.everywhere(len(np.unique(column.groups())) > 1)


@operator("value_has_multiple_references", complement="value_does_not_have_multiple_references")
def value_has_multiple_references(ask: Ask) -> Bools:
    """The comparator holds pairs (value, count) for each row; true where the count of the target's value is above 1."""
    counts = ask.column(ask.leaf.value)
    return _counted(ask.target, counts)


def _counted(target: Column, counts: Column) -> Bools:
    return pairwise(target, counts, lambda value, pairs: dict(pairs).get(value, 0) > 1)

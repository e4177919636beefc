"""Operators on text: regular expressions, beginnings and ends, parts, containment, lengths, title case."""

from __future__ import annotations

import operator as op
from collections.abc import Callable
from typing import Any

import numpy as np

from adapter.check import patterns
from adapter.check.ask import Absent, Ask, Unfit, operator, pairwise
from adapter.check.columns import Bools, Column, constant, number_of, same_as
from adapter.check.operators_values import plain


def _pattern(ask: Ask) -> str:
    if not isinstance(ask.leaf.value, str):
        raise Unfit(f"{ask.leaf.operator} needs a regular expression")
    return ask.leaf.value


def _cut(ask: Ask) -> Callable[[str], str]:
    """Return what takes the first or last characters of a text that `prefix` or `suffix` asks for."""
    first, last = ask.option("prefix"), ask.option("suffix")
    wanted = last if ask.leaf.operator.removeprefix("not_").startswith("suffix") else first
    length = wanted or first or last
    if not isinstance(length, int) or length < 1:
        raise Unfit(f"{ask.leaf.operator} needs the number of characters")
    if ask.leaf.operator.removeprefix("not_").startswith("suffix"):
        return lambda text: text[-length:]
    return lambda text: text[:length]


def _part(ask: Ask) -> Column:
    return ask.target.changed(_cut(ask))


@operator("matches_regex")
def matches_regex(ask: Ask) -> Bools:
    """A match at the beginning; missing cells neither match nor fail to."""
    return ask.target.as_text().per_value(patterns.starts(_pattern(ask)), False)


@operator("not_matches_regex")
def not_matches_regex(ask: Ask) -> Bools:
    found = patterns.starts(_pattern(ask))
    return ask.target.as_text().per_value(lambda v: not found(v), False)


@operator("prefix_matches_regex", "suffix_matches_regex")
def part_matches_regex(ask: Ask) -> Bools:
    return _part(ask).per_value(patterns.holds(_pattern(ask)), False)


@operator("not_prefix_matches_regex", "not_suffix_matches_regex")
def not_part_matches_regex(ask: Ask) -> Bools:
    found = patterns.holds(_pattern(ask))
    return _part(ask).per_value(lambda v: not found(v), False)


@operator("prefix_equal_to", "suffix_equal_to", complement=("prefix_not_equal_to", "suffix_not_equal_to"))
def part_equal_to(ask: Ask) -> Bools:
    """`DOMAIN` as comparator means the domain of the dataset, also where the frame has no such column."""
    if ask.leaf.value == "DOMAIN" and "DOMAIN" not in ask.frame:
        return same_as(_part(ask), constant(ask.prefix, ask.frame.rows))
    other = ask.other()
    return same_as(_part(ask), other if isinstance(other, Column) else constant(other, ask.frame.rows))


@operator(
    "prefix_is_contained_by",
    "suffix_is_contained_by",
    complement=("prefix_is_not_contained_by", "suffix_is_not_contained_by"),
)
def part_is_contained_by(ask: Ask) -> Bools:
    from adapter.check.operators_sets import member

    return member(_part(ask), ask.other())


@operator("equals_string_part", complement="does_not_equal_string_part")
def equals_string_part(ask: Ask) -> Bools:
    """The target equals what a regular expression takes out of the comparator."""
    other = ask.other()
    column = other if isinstance(other, Column) else constant(other, ask.frame.rows)
    found = column.changed(patterns.part(str(ask.option("regex", ""))))
    return same_as(ask.target, found, plain if ask.option("type_insensitive") else None)


def _row_by_row(ask: Ask, test: Callable[[Any, Any], bool]) -> Bools:
    """Apply a test of (target, comparator) to each row; a literal is compared with every distinct value."""
    other = ask.other()
    if isinstance(other, Column):
        return pairwise(ask.target, other, test)
    target = ask.target if ask.target.lists else ask.target.as_text()
    sought = [str(o) for o in other] if isinstance(other, list) else [str(other)]
    return target.per_value(lambda v: any(test(v, s) for s in sought), False)


@operator("starts_with")
def starts_with(ask: Ask) -> Bools:
    return _row_by_row(ask, lambda value, part: str(value).startswith(part))


@operator("ends_with")
def ends_with(ask: Ask) -> Bools:
    return _row_by_row(ask, lambda value, part: str(value).endswith(part))


@operator("contains", complement="does_not_contain")
def contains(ask: Ask) -> Bools:
    """A text contains the value, or a list (result of an operation) has it as an element."""
    return _row_by_row(ask, lambda value, part: part in value)


@operator("contains_case_insensitive", complement="does_not_contain_case_insensitive")
def contains_case_insensitive(ask: Ask) -> Bools:
    def test(value: Any, part: Any) -> bool:
        if isinstance(value, tuple):
            return str(part).lower() in {str(v).lower() for v in value}
        return str(part).lower() in str(value).lower()

    return _row_by_row(ask, test)


def _lengths(column: Column) -> np.ndarray[Any, np.dtype[np.float64]]:
    text = column if column.lists else column.as_text()
    sizes = np.array([len(v) for v in text.distinct] + [np.nan], dtype=np.float64)
    return sizes[text.coded]


def _length(test: Callable[[Any, Any], Any]) -> Callable[[Ask], Bools]:
    """Return an operator on the number of characters; a comparator column of texts stands for their lengths."""

    def compare(ask: Ask) -> Bools:
        other = ask.other()
        if isinstance(other, Column):
            right: Any = other.as_numbers() if other.is_number else _lengths(other)
        else:
            right = number_of(other)
            if right != right:
                raise Absent(other)
        with np.errstate(invalid="ignore"):
            return np.asarray(test(_lengths(ask.target), right), dtype=bool)

    return compare


operator("longer_than", complement="shorter_than_or_equal_to")(_length(op.gt))
operator("longer_than_or_equal_to", complement="shorter_than")(_length(op.ge))
operator("has_equal_length", complement="has_not_equal_length")(_length(op.eq))


@operator("split_parts_have_equal_length", complement="split_parts_have_unequal_length")
def split_parts_have_equal_length(ask: Ask) -> Bools:
    separator = str(ask.option("separator", "/")) or "/"

    def test(value: str) -> bool:
        parts = value.split(separator)
        return len(parts) == 1 or (len(parts) == 2 and len(parts[0]) == len(parts[1]))

    return ask.target.as_text().per_value(test, True)


SMALL = frozenset("a an and as at but by en for if in of on or the to v via vs".split())


def title(value: str) -> bool:
    """Whether every word begins with a capital or no letter; articles and short prepositions inside may be small."""
    words = value.split()
    return all(w[:1].upper() == w[:1] or (i > 0 and w.lower() in SMALL and w == w.lower()) for i, w in enumerate(words))


@operator("is_title_case", complement="is_not_title_case")
def is_title_case(ask: Ask) -> Bools:
    return ask.target.as_text().per_value(title, True)

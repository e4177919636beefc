"""Every operator of the rule engine, one table row per case: the columns, the leaf, the rows that it marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from adapter.check.ask import Absent, Ask, Unfit
from adapter.check.columns import cells_of, constant
from adapter.check.dates import duration, moment
from adapter.check.frame import Frame
from adapter.check.operators import OPERATORS
from adapter.check.rule_model import Leaf

Columns = dict[str, Sequence[Any]]
N = None
X: Columns = {"A": ["x", "", "y", N], "B": ["x", "x", "", N]}
NUM: Columns = {"A": [1, 2.5, N, -1], "B": [2, 2.5, 1, N]}
DATES: Columns = {
    "A": ["2024-01-05", "2024-01", "", "2024-01-05T10:00"],
    "B": ["2024-01-06", "2024-01-03", "2024", "2024-01-05"],
}
LISTS: Columns = {"A": [["p", "q"], ["q"], ["z"], ["q", "p"]], "B": [["p", "q", "r"], ["z"], ["z", "p"], ["p", "q"]]}
GROUP: Columns = {"G": ["a", "a", "a", "b", "b"], "V": ["1", "1", "2", "1", ""], "O": [1, 2, 3, 2, 1]}

# columns, leaf (name, operator, value, options), rows that are true
CASES: list[tuple[Columns, tuple[Any, ...], list[int]]] = [
    (X, ("A", "equal_to", "x"), [0]),
    (X, ("A", "equal_to", "B"), [0]),
    (X, ("A", "not_equal_to", "x"), [1, 2, 3]),
    (X, ("A", "not_equal_to", "B"), [1, 2]),
    (X, ("A", "not_equal_to", "B", {"value_is_literal": True}), [0, 1, 2, 3]),
    (NUM, ("A", "equal_to", 2.5), [1]),
    (NUM, ("A", "equal_to", "2.50"), [1]),
    (NUM, ("A", "equal_to", "B"), [1]),
    (NUM, ("A", "equal_to", "B", {"round_values": True}), [1]),
    ({"A": ["200.00", "x"], "B": [200, 1]}, ("A", "equal_to", "B", {"type_insensitive": True}), [0]),
    ({"A": ["8.55"], "B": [8.549999999999999]}, ("A", "not_equal_to", "B", {"type_insensitive": True}), []),
    ({"A": ["1", "2", "3"], "R": ["P", "Q", "NONE"], "P": [1, 1, 1], "Q": ["x", "2", "x"]},
     ("A", "equal_to", "R", {"value_is_reference": True, "type_insensitive": True}), [0, 1]),
    ({"A": ["1", "2", "3"], "R": ["P", "Q", "NONE"], "P": [1, 1, 1], "Q": ["x", "2", "x"]},
     ("A", "not_equal_to", "R", {"value_is_reference": True, "type_insensitive": True}), [2]),
    ({"A": ["True", "False"]}, ("A", "equal_to", True), [0]),
    (X, ("A", "equal_to_case_insensitive", "X"), [0]),
    (X, ("A", "not_equal_to_case_insensitive", "X"), [1, 2, 3]),
    (X, ("A", "equal_to", "--NONE"), []),
    (X, ("A", "not_equal_to", "--NONE"), [0, 2]),
    (NUM, ("A", "less_than", 1), [3]),
    (NUM, ("A", "less_than_or_equal_to", "B"), [0, 1]),
    (NUM, ("A", "greater_than", 1), [1]),
    (NUM, ("A", "greater_than_or_equal_to", 1), [0, 1]),
    ({"A": ["10", "9", "x"]}, ("A", "greater_than", 9), [0]),
    (X, ("A", "empty"), [1, 3]),
    (X, ("A", "non_empty"), [0, 2]),
    (X, ("A", "exists"), [0, 1, 2, 3]),
    (X, ("C", "exists"), []),
    (X, ("C", "not_exists"), [0, 1, 2, 3]),
    ({"V": ["a", ""], "V1": ["", ""], "V2": ["b", "b"]}, ("V", "inconsistent_enumerated_columns"), [0, 1]),
    (X, ("A", "has_different_values"), [0, 1, 2, 3]),
    ({"A": ["s", "s"]}, ("A", "has_same_values"), [0, 1]),
    ({"A": ["s", "t"], "C": [[("s", 2), ("t", 1)]] * 2}, ("A", "value_has_multiple_references", "C"), [0]),
    ({"A": ["s", "t"], "C": [[("s", 2), ("t", 1)]] * 2}, ("A", "value_does_not_have_multiple_references", "C"), [1]),
    ({"A": ["AB1", "B", "", "xAB"]}, ("A", "matches_regex", "AB"), [0]),
    ({"A": ["AB1", "B", "", "xAB"]}, ("A", "not_matches_regex", "^A"), [1, 3]),
    ({"A": [1, 20, N]}, ("A", "matches_regex", r"^\d$"), [0]),
    ({"A": ["APX", "XAP", ""]}, ("A", "prefix_matches_regex", "(AP|ap)", {"prefix": 2}), [0]),
    ({"A": ["APX", "XAP", ""]}, ("A", "not_prefix_matches_regex", "(AP|ap)", {"prefix": 2}), [1]),
    ({"A": ["A12", "12A", ""]}, ("A", "suffix_matches_regex", r"\d\d", {"suffix": 2}), [0]),
    ({"A": ["A12", "12A", ""]}, ("A", "not_suffix_matches_regex", r"\d\d", {"suffix": 2}), [1]),
    ({"A": ["LBX", "LB1", "VS"]}, ("A", "prefix_equal_to", "LB", {"prefix": 2}), [0, 1]),
    ({"A": ["LBX", "LB1", "VS"]}, ("A", "prefix_not_equal_to", "DOMAIN", {"prefix": 2}), [2]),
    ({"A": ["FACM", "FALB"]}, ("A", "suffix_equal_to", "CM", {"suffix": 2}), [0]),
    ({"A": ["FACM", "FALB"]}, ("A", "suffix_not_equal_to", "CM", {"suffix": 2}), [1]),
    ({"A": ["QS1", "QS2", "LB1"]}, ("A", "prefix_is_contained_by", ["QS"], {"prefix": 2}), [0, 1]),
    ({"A": ["QS1", "QS2", "LB1"]}, ("A", "prefix_is_not_contained_by", ["QS"], {"prefix": 2}), [2]),
    ({"A": ["FACM", "FALB"]}, ("A", "suffix_is_contained_by", ["CM"], {"suffix": 2}), [0]),
    ({"A": ["FACM", "FALB"]}, ("A", "suffix_is_not_contained_by", ["CM"], {"suffix": 2}), [1]),
    ({"A": ["LB", "AE"], "N": ["SUPPLB"] * 2}, ("A", "equals_string_part", "N", {"regex": ".{4}(..).*"}), [0]),
    ({"A": ["LB", "AE"], "N": ["SUPPLB"] * 2}, ("A", "does_not_equal_string_part", "N", {"regex": ".{4}(..).*"}), [1]),
    ({"A": ["RACE1", "XRACE", ""]}, ("A", "starts_with", "RACE"), [0]),
    ({"A": ["AESEQ", "SEQAE", ""]}, ("A", "ends_with", "SEQ"), [0]),
    ({"A": ["-P1D", "P1D", ""]}, ("A", "contains", "-"), [0]),
    ({"A": ["-P1D", "P1D", ""]}, ("A", "does_not_contain", "-"), [1, 2]),
    (LISTS, ("A", "contains", "p"), [0, 3]),
    ({"A": ["Informed Consent", "x"]}, ("A", "contains_case_insensitive", "CONSENT"), [0]),
    ({"A": ["Informed Consent", "x"]}, ("A", "does_not_contain_case_insensitive", "CONSENT"), [1]),
    ({"A": ["abc", "ab", ""]}, ("A", "longer_than", 2), [0]),
    ({"A": ["abc", "ab", ""]}, ("A", "longer_than_or_equal_to", 2), [0, 1]),
    ({"A": ["abc", "ab", ""]}, ("A", "shorter_than", 3), [1, 2]),
    ({"A": ["abc", "ab", ""]}, ("A", "shorter_than_or_equal_to", 2), [1, 2]),
    ({"A": ["abc", "ab"], "B": ["xyz", "xyz"]}, ("A", "has_equal_length", "B"), [0]),
    ({"A": ["abc", "ab"], "B": ["xyz", "xyz"]}, ("A", "has_not_equal_length", "B"), [1]),
    ({"A": ["12/34", "1/23", "x", ""]}, ("A", "split_parts_have_equal_length"), [0, 2, 3]),
    ({"A": ["12/34", "1/23", "x", ""]}, ("A", "split_parts_have_unequal_length"), [1]),
    ({"A": ["Date of Birth", "date of birth"]}, ("A", "is_title_case"), [0]),
    ({"A": ["Date of Birth", "date of birth"]}, ("A", "is_not_title_case"), [1]),
    (DATES, ("A", "date_equal_to", "B"), []),
    (DATES, ("A", "date_equal_to", "B", {"date_component": "auto"}), [1, 3]),
    (DATES, ("A", "date_not_equal_to", "B"), [0, 1, 3]),
    (DATES, ("A", "date_less_than", "B"), [0]),
    (DATES, ("A", "date_less_than_or_equal_to", "B"), [0, 1, 3]),
    (DATES, ("A", "date_greater_than", "B"), []),
    (DATES, ("A", "date_greater_than_or_equal_to", "B"), [1, 3]),
    (DATES, ("A", "date_greater_than", "2023", {"date_component": "year"}), [0, 1, 3]),
    (DATES, ("A", "is_complete_date"), [0, 3]),
    (DATES, ("A", "is_incomplete_date"), [1, 2]),
    ({"A": ["2024-02-30", "2024-02", "2003---15", "--12-15", "05/01/2024", "2003-20", "2024-01-01/2024-01-02", ""]},
     ("A", "invalid_date"), [0, 4, 5, 7]),
    ({"A": ["P1D", "PT0.5H", "P1.5DT2H", "3 days", "-P1D", "PT", "P2W", ""]},
     ("A", "invalid_duration", N, {"negative": False}), [2, 3, 4, 5, 7]),
    ({"A": ["-P1D"]}, ("A", "invalid_duration", N, {"negative": True}), []),
    (X, ("A", "is_contained_by", ["x", "z"]), [0]),
    (X, ("A", "is_not_contained_by", ["x", "z"]), [1, 2, 3]),
    (NUM, ("A", "is_contained_by", [1, "2.5"]), [0, 1]),
    ({"A": ["p", "q"], "B": [["p"], ["p"]]}, ("A", "is_contained_by", "B"), [0]),
    ({"A": ["p", ""], "B": [["p"], N]}, ("A", "is_not_contained_by", "B"), [1]),
    (LISTS, ("A", "is_contained_by", "B"), [0, 2, 3]),
    ({"A": ["Yes", "NO", "no"]}, ("A", "is_contained_by_case_insensitive", ["no"]), [1, 2]),
    ({"A": ["Yes", "NO", "no"]}, ("A", "is_not_contained_by_case_insensitive", ["no"]), [0]),
    ({"A": ["p", "q"]}, ("A", "contains_all", ["p", "q"]), [0, 1]),
    ({"A": ["p", "q"]}, ("A", "not_contains_all", ["p", "r"]), [0, 1]),
    ({"A": ["p", "q"], "L": [["p", "r"]] * 2}, ("A", "not_contains_all", ["L"]), [0, 1]),
    (LISTS, ("A", "shares_at_least_one_element_with", "B"), [0, 2, 3]),
    (LISTS, ("A", "shares_exactly_one_element_with", "B"), [2]),
    (LISTS, ("A", "shares_no_elements_with", "B"), [1]),
    (LISTS, ("A", "is_ordered_subset_of", "B"), [0, 2]),
    (LISTS, ("A", "is_not_ordered_subset_of", "B"), [1, 3]),
    (GROUP, ("V", "is_unique_set", ["G"]), [2, 3, 4]),
    (GROUP, ("V", "is_not_unique_set", "G"), [0, 1]),
    (GROUP, ("V", "is_not_unique_set", ["G", "NOT_THERE"]), [0, 1]),
    ({"A": ["2024-01-05T08:00", "2024-01-05T09:00"]}, ("A", "is_not_unique_set", N, {"regex": r"^\d{4}-\d\d-\d\d"}), [0, 1]),
    ({"A": ["a", "a", "b", ""], "B": ["1", "2", "3", "3"]}, ("A", "is_not_unique_relationship", "B"), [0, 1, 2, 3]),
    ({"A": ["a", "a", "b"], "B": ["1", "1", "3"]}, ("A", "is_unique_relationship", "B"), [0, 1, 2]),
    ({"A": ["a", "a"], "B": ["1", ""]}, ("A", "is_not_unique_relationship", "B"), [0, 1]),
    (GROUP, ("V", "is_inconsistent_across_dataset", "G"), [2, 3, 4]),
    (GROUP, ("V", "present_on_multiple_rows_within", N, {"within": "G"}), [0, 1]),
    (GROUP, ("V", "not_present_on_multiple_rows_within", N, {"within": "G"}), [2, 3]),
    ({"A": ["1", "1", "1"], "G": ["g"] * 3}, ("A", "present_on_multiple_rows_within", 3, {"within": "G"}), []),
    (GROUP, ("V", "empty_within_except_last_row", "G", {"ordering": "O"}), [4]),
    (GROUP, ("V", "non_empty_within_except_last_row", "G", {"ordering": "O"}), [0, 1]),
    ({"S": ["b", "a", "c"], "E": ["c", "b", "z"], "G": ["g"] * 3, "O": [2, 1, 3]},
     ("E", "has_next_corresponding_record", "S", {"within": "G", "ordering": "O"}), [0, 1, 2]),
    ({"S": ["b", "a", "x"], "E": ["c", "b", "z"], "G": ["g"] * 3, "O": [2, 1, 3]},
     ("E", "does_not_have_next_corresponding_record", "S", {"within": "G", "ordering": "O"}), [0]),
    (GROUP, ("O", "is_ordered_set", "G"), []),
    (GROUP, ("O", "is_not_ordered_set", "G"), [0, 1, 2, 3, 4]),
    ({"A": [1, 3, 2]}, ("A", "is_ordered_by", N, {"order": "asc"}), [0]),
    ({"A": [3, 2, 1]}, ("A", "is_not_ordered_by", N, {"order": "dsc"}), []),
    ({"Q": [1, 2, 3], "D": ["2024-01-01", "2024-01-03", "2024-01-02"], "G": ["g"] * 3},
     ("Q", "target_is_not_sorted_by", [{"name": "D", "sort_order": "asc"}], {"within": "G"}), [1, 2]),
    ({"Q": [1, 2, 3], "D": ["2024-01-01", "2024-01", ""], "G": ["g"] * 3},
     ("Q", "target_is_not_sorted_by", [{"name": "D", "sort_order": "asc"}], {"within": "G"}), [0, 1]),
    ({"Q": [1, 2, 3], "D": ["", "2024-01-01", "2024-01-02"], "G": ["g"] * 3},
     ("Q", "target_is_not_sorted_by", [{"name": "D", "sort_order": "asc", "null_position": "last"}], {"within": "G"}), [0]),
    ({"Q": ["M2", "M10", "M1"], "D": ["2024-02", "2024-10", "2024-01"], "G": ["g"] * 3},
     ("Q", "target_is_sorted_by", [{"name": "D"}], {"within": "G", "regex": r".*?(\d+)$"}), [0, 1, 2]),
]  # fmt: skip


def ask(columns: Columns, leaf: tuple[Any, ...]) -> Ask:
    made = {name: cells_of(list(cells)) for name, cells in columns.items()}
    rows = len(next(iter(made.values())))
    name, operator, value, options = (*leaf, *(None, {})[len(leaf) - 2 :])
    frame = Frame(rows, made, np.arange(1, rows + 1), constant("XX", rows))
    return Ask(Leaf(name, operator, value, options), frame, prefix="LB")


@pytest.mark.parametrize(("columns", "leaf", "marked"), CASES, ids=[f"{i}-{c[1][1]}" for i, c in enumerate(CASES)])
def test_an_operator_marks_the_rows_it_means(columns: Columns, leaf: tuple[Any, ...], marked: list[int]) -> None:
    assert np.flatnonzero(OPERATORS[leaf[1]](ask(columns, leaf))).tolist() == marked


def test_every_operator_has_a_case() -> None:
    assert set(OPERATORS) == {leaf[1] for _, leaf, _ in CASES}


@pytest.mark.parametrize(
    "operator", sorted(set(OPERATORS) - {"exists", "not_exists", "inconsistent_enumerated_columns"})
)
def test_a_leaf_on_a_column_that_is_not_there_is_absent(operator: str) -> None:
    with pytest.raises((Absent, Unfit)):
        OPERATORS[operator](ask({"A": ["x"]}, ("NOT_THERE", operator, "A", {"prefix": 1, "suffix": 1, "within": "A"})))


def test_no_operator_needs_rows() -> None:
    for columns, leaf, _ in CASES:
        empty = ask({name: [] for name in columns}, leaf)
        assert OPERATORS[leaf[1]](empty).shape == (0,), leaf


@pytest.mark.parametrize(
    ("text", "precision"),
    [("2024", 0), ("2024-05", 1), ("2024-05-06", 2), ("2024-05-06T07", 3), ("2024-05-06T07:08:09.5", 6), ("2003---15", 0),
     ("2003-12-15T-:15", 2), ("2024-05-06/2024-05-07", 2), ("--12-15", -1)],
)  # fmt: skip
def test_a_date_knows_how_precise_it_is(text: str, precision: int) -> None:
    found = moment(text)
    assert found is not None
    assert found.precision == precision


def test_times_of_different_zones_are_compared_as_moments() -> None:
    a, b = moment("2024-05-06T12:00+02:00"), moment("2024-05-06T10:00Z")
    assert a is not None
    assert b is not None
    assert a.at(4) == b.at(4)


@pytest.mark.parametrize("text", ["P", "P1", "1D", "P1DT", "P1Y2", "P1H", "PT1D"])
def test_what_is_no_duration(text: str) -> None:
    assert not duration(text, negative=True)

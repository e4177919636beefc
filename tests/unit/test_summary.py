"""Summaries: what they say of a dataset, and that those of disjoint subjects merge in any order to that of all."""

from __future__ import annotations

import copy
import itertools
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.spec import ValueLevel
from adapter.summary import DatasetSummary, level_key, summarise

TYPES = {"USUBJID": "Char", "TESTCD": "Char", "TEST": "Char", "RES": "Char", "NUM": "Num"}
LEVELS = (ValueLevel("RES", "TESTCD"), ValueLevel("NUM", "TESTCD"))
PAIRS = (("TESTCD", "TEST"),)
TESTS = {"PLAT": "Platelets", "HGB": "Hemoglobin", "WBC": "Leukocytes"}


def frame(*rows: tuple[str, str, str, float | None]) -> pd.DataFrame:
    """Return a dataset of (subject, test, result text, number)."""
    made = pd.DataFrame(rows, columns=["USUBJID", "TESTCD", "RES", "NUM"])
    made.insert(2, "TEST", made["TESTCD"].map(TESTS))
    made["NUM"] = made["NUM"].astype("float64")
    return made.astype(dict.fromkeys(("USUBJID", "TESTCD", "TEST", "RES"), "str"))


def summary(data: pd.DataFrame) -> DatasetSummary:
    return summarise(data, TYPES, ["TESTCD", "TEST"], LEVELS, PAIRS)


def merged(parts: list[DatasetSummary]) -> DatasetSummary:
    total = DatasetSummary()
    for p in parts:
        total.add(copy.deepcopy(p))
    return total


def said(s: DatasetSummary) -> dict[str, object]:
    """Return what a summary says; nothing said of a variable and no entry for it are the same."""
    return {
        name: {k: v for k, v in value.items() if v not in ({}, set(), 0)} if isinstance(value, dict) else value
        for name, value in asdict(s).items()
    }


DATA = frame(
    ("S-1", "PLAT", "14", 14.0),
    ("S-1", "PLAT", "<5", None),
    ("S-1", "HGB", "4.10", 4.1),
    ("S-2", "PLAT", "", None),
    ("S-2", "HGB", "-0.25", -0.25),
    ("S-2", "WBC", "阴性", None),
)


def test_facts_of_a_dataset() -> None:
    s = summary(DATA)
    assert s.rows == 6
    assert s.subjects == {"S-1": 3, "S-2": 3}
    assert s.lengths == {"USUBJID": 3, "TESTCD": 4, "TEST": 10, "RES": 6}
    assert s.shortest == {"USUBJID": 3, "TESTCD": 3, "TEST": 9, "RES": 2}
    assert s.filled == {"USUBJID": 6, "TESTCD": 6, "TEST": 6, "RES": 5, "NUM": 3}
    assert s.terms == {"TESTCD": {"PLAT", "HGB", "WBC"}, "TEST": set(TESTS.values())}
    assert s.companions == {"TESTCD": TESTS}


@pytest.mark.parametrize(
    ("level", "test", "expected"),
    [
        # rows, bytes of the longest, numeric, integer, decimals, digits before the point
        ("RES by TESTCD", "PLAT", (2, 2, False, False, 0, 2)),
        ("RES by TESTCD", "HGB", (2, 5, True, False, 2, 1)),
        ("RES by TESTCD", "WBC", (1, 6, False, False, 0, 0)),
        ("NUM by TESTCD", "PLAT", (1, 2, True, True, 0, 2)),
        ("NUM by TESTCD", "HGB", (2, 5, True, False, 2, 1)),
    ],
)
def test_value_levels(level: str, test: str, expected: tuple[object, ...]) -> None:
    found = summary(DATA).levels[level][test]
    assert (found.rows, found.length, found.numeric, found.integer, found.decimals, found.digits) == expected


def test_a_test_without_values_has_no_level() -> None:
    assert set(summary(DATA).levels[level_key(LEVELS[1])]) == {"PLAT", "HGB"}


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1.0, 20.0, 300.0], (3, 3, True, 0, 3)),
        ([0.1, 100.0], (2, 3, False, 1, 3)),
        ([-1.5], (1, 4, False, 1, 1)),
        ([1e22], (1, 23, True, 0, 23)),
        ([1e-7], (1, 9, False, 7, 1)),
        ([float("nan")], (0, 0, True, 0, 0)),
    ],
)
def test_numbers_are_measured_without_exponents(numbers: list[float], expected: tuple[object, ...]) -> None:
    data = frame(*(("S-1", "PLAT", "", n) for n in numbers))
    found = summary(data).numbers["NUM"]
    assert (found.rows, found.length, found.integer, found.decimals, found.digits) == expected


def test_a_float_that_is_no_short_decimal_keeps_its_digits() -> None:
    s = summary(frame(("S-1", "PLAT", "", 0.1 + 0.2)))
    assert s.numbers["NUM"].decimals == 17


def test_an_empty_dataset_has_a_summary() -> None:
    s = summary(frame())
    assert (s.rows, s.subjects, s.terms["TESTCD"], s.companions["TESTCD"]) == (0, {}, set(), {})
    assert s.filled == dict.fromkeys(TYPES, 0)
    assert s.levels == {level_key(w): {} for w in LEVELS}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_summaries_of_subjects_merge_to_that_of_all(order: tuple[int, ...]) -> None:
    parts = [summary(DATA.iloc[:3]), summary(DATA.iloc[3:4]), summary(DATA.iloc[4:])]
    assert said(merged([parts[i] for i in order])) == said(summary(DATA))


rows = st.tuples(
    st.sampled_from(["S-1", "S-2", "S-3"]),
    st.sampled_from(sorted(TESTS)),
    st.sampled_from(["", "1", "10.25", "-3", "<5", "阴性", "0.000001"]),
    st.sampled_from([None, 0.0, 1.0, 10.25, -3.0, 1e-6, 123456789.0]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, max_size=12), st.integers(0, 12))
def test_any_cut_gives_the_same_summary(data: list[tuple[str, str, str, float | None]], cut: int) -> None:
    whole = frame(*data)
    one, two = summary(whole.iloc[:cut]), summary(whole.iloc[cut:])
    both = merged([one, two])
    assert said(both) == said(merged([two, one])) == said(summary(whole))


def test_two_names_of_one_test_merge_the_same_way_in_any_order() -> None:
    """A site's table may name a test differently; which decode define.xml shows must not hang on who came first."""
    one, two = frame(("S-1", "PLAT", "1", 1.0)), frame(("S-2", "PLAT", "1", 1.0))
    two["TEST"] = pd.Series(["Thrombocytes"], dtype="str")
    a, b = summary(one), summary(two)
    assert merged([a, b]).companions == merged([b, a]).companions


def test_merging_leaves_the_parts_as_they_were() -> None:
    a, b = summary(DATA.iloc[:3]), summary(DATA.iloc[3:])
    before = asdict(copy.deepcopy(b))
    total = DatasetSummary()
    total.add(a)
    total.add(b)
    total.add(summary(frame(("S-9", "PLAT", "1234567.5", 1234567.5))))
    assert asdict(b) == before


def test_numbers_of_one_column_are_the_shortest_decimals() -> None:
    values = np.array([0.1, 2.5, 1 / 3])
    found = summary(frame(*(("S-1", "PLAT", "", v) for v in values))).numbers["NUM"]
    assert found.decimals == max(len(repr(float(v)).partition(".")[2]) for v in values)

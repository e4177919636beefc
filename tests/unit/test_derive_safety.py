"""Safety: the window of treatment-emergent events, dose-limiting toxicity, attribution, transfusion burden."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

import numpy as np
import pandas as pd
import pytest

from adapter.derive.burden import periods_of, transfusion_burden
from adapter.derive.emergence import analysis_dates, attributed_elsewhere, dose_limiting, emergent, months_later

D0 = date(1970, 1, 1)


def day(text: str) -> float:
    return float((date.fromisoformat(text) - D0).days) if text else np.nan


def iso(number: float) -> str:
    return "" if np.isnan(number) else (D0 + timedelta(days=int(number))).isoformat()


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2024-01-15", 6, "2024-07-15"),
        ("2024-08-31", 6, "2025-02-28"),
        ("2023-08-31", 6, "2024-02-29"),
        ("2024-12-31", 6, "2025-06-30"),
        ("2024-03-31", 1, "2024-04-30"),
        ("", 6, ""),
    ],
)
def test_calendar_months(start: str, months: int, end: str) -> None:
    assert [iso(d) for d in months_later(pd.Series([day(start)]), months)] == [end]


FIRST, LAST = "2024-05-10", "2024-11-30"
WINDOW = [  # start, end, analysis start, flag, emergent
    ("2024-05-10", "", "2024-05-10", "", True),
    ("2024-05-09", "", "2024-05-09", "", False),
    ("2024-11-30", "", "2024-11-30", "", True),
    ("2024-12-01", "", "2024-12-01", "", False),
    ("2024-05", "", "2024-05-10", "D", True),  # the first day it may mean that is not before treatment
    ("2024-06", "", "2024-06-01", "D", True),
    ("2024-04", "", "2024-04-01", "D", False),  # the known part does not allow treatment or later: the 1st
    ("2024", "", "2024-05-10", "M", True),
    ("2023", "", "2023-01-01", "M", False),
    ("2025", "", "2025-01-01", "M", False),
    ("", "", "", "", True),
    ("", "2024-05-09", "", "", False),
    ("", "2024-04", "", "", False),
    ("", "2024-05", "", "", True),  # may have ended under treatment
]


@pytest.mark.parametrize(("start", "end", "expected", "flag", "is_emergent"), WINDOW)
def test_treatment_emergent(start: str, end: str, expected: str, flag: str, is_emergent: bool) -> None:
    first, last = pd.Series([day(FIRST)]), pd.Series([day(LAST)])
    made = analysis_dates(pd.Series([start]), pd.Series([end]), first)
    assert (iso(made["start"].iloc[0]), made["start_flag"].iloc[0]) == (expected, flag)
    assert emergent(made["start"], pd.Series([end]), first, last, True).tolist() == [is_emergent]


def test_undated_events_by_setting_and_nobody_treated() -> None:
    none = pd.Series([np.nan])
    one = pd.Series([day(FIRST)])
    assert emergent(none, pd.Series([""]), one, one, False).tolist() == [False]
    assert emergent(none, pd.Series([""]), none, none, True).tolist() == [False]
    assert emergent(one, pd.Series([""]), none, none, True).tolist() == [False]


@pytest.mark.parametrize(
    ("related", "others", "expected"),
    [
        ("NOT RELATED", "RELATED: Busulfan", True),
        ("", "RELATED: Busulfan; POSSIBLY RELATED: Cyclophosphamide", True),
        ("", "RELATED: Busulfan; RELATED: Filgrastim", False),
        ("", "RELATED: Busulfan; NOT RELATED: Filgrastim", True),
        ("POSSIBLY RELATED", "RELATED: Busulfan", False),
        ("", "NOT RELATED: Busulfan", False),
        ("", "", False),
    ],
)
def test_attributed_to_conditioning_alone(related: str, others: str, expected: bool) -> None:
    relations, outside = ("RELATED", "POSSIBLY RELATED"), {"BUSULFAN", "CYCLOPHOSPHAMIDE"}
    assert attributed_elsewhere(pd.Series([related]), pd.Series([others]), relations, outside).tolist() == [expected]


@pytest.mark.parametrize(
    ("grade", "related", "immune", "at", "repeated", "expected"),
    [
        (3, True, False, 5, 8, True),
        (4, True, False, None, None, True),
        (3, False, False, 9, 8, False),
        (2, True, False, 9, 8, False),
        (2, False, True, 8, 8, True),
        (2, False, True, 7, 8, False),  # before the second infusion
        (2, False, True, 9, None, False),  # there was no second one
        (2, False, True, None, 8, False),
        (1, False, True, 9, 8, False),
        (None, True, True, 9, 8, False),
    ],
)
def test_dose_limiting(
    grade: int | None, related: bool, immune: bool, at: int | None, repeated: int | None, expected: bool
) -> None:
    numbers = [pd.Series([x], dtype="float64") for x in (grade, at, repeated)]
    found = dose_limiting(numbers[0], pd.Series([related]), pd.Series([immune]), numbers[1], numbers[2], 3, 2)
    assert found.tolist() == [expected]


def test_burden_of_one_subject() -> None:
    first, last = pd.Series({"A": 100.0, "B": 100.0, "C": np.nan}), pd.Series({"A": 109.0, "B": 99.0, "C": 120.0})
    periods = periods_of(first, last, 56, 7)
    assert periods.to_numpy().tolist() == [["A", 0, 100, 109], ["A", 1, 100, 106], ["A", 2, 107, 109]]
    given = pd.DataFrame(
        [("A", 99.0, 100.0, 1.0), ("A", 102.0, 102.0, 2.0), ("A", 106.0, 107.0, 1.0), ("A", 109.0, 109.0, np.nan)],
        columns=["subject", "first", "last", "units"],
    ).assign(partial=False)
    found = transfusion_burden(given, periods)
    rows = found.astype(object).where(found.notna(), None).to_numpy().tolist()
    assert rows == [
        ["A", 0, 10.0, None, 3.0, 5.0],  # the one that began before study day 1 touches it, but is not counted
        ["A", 1, 7.0, 3.0, 2.0, 4.0],
        ["A", 2, 3.0, None, 1.0, 1.0],
    ]
    none = transfusion_burden(given.iloc[:0], periods)
    assert none[["units", "transfusions", "free"]].to_numpy().tolist() == [[0, 0, 10], [0, 0, 7], [0, 0, 3]]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        # all 14 days, days 1 to 7, days 8 to 14: units, transfusions, free days
        (101, 105, [[2, 1, None], [2, 1, None], [0, 0, 7]]),  # in the first week, on whichever day
        (105, 108, [[2, 1, None], [None, None, None], [None, None, None]]),  # in one of the two
        (95, 101, [[None, None, None], [None, None, None], [0, 0, 7]]),  # perhaps before treatment
        (90, 99, [[0, 0, 14], [0, 0, 7], [0, 0, 7]]),
    ],
)
def test_a_transfusion_whose_day_is_not_known(first: float, last: float, expected: list[list[float | None]]) -> None:
    periods = periods_of(pd.Series({"A": 100.0}), pd.Series({"A": 113.0}), 56, 7)
    given = pd.DataFrame({"subject": ["A"], "first": [first], "last": [last], "units": [2.0], "partial": [True]})
    found = transfusion_burden(given, periods)[["units", "transfusions", "free"]]
    assert found.astype(object).where(found.notna(), None).to_numpy().tolist() == expected


def test_burden_against_counting_day_by_day() -> None:
    rng = Random(3)
    for _ in range(60):
        start, last = 0, rng.randint(0, 70)
        begins = [rng.randint(-5, 70) for _ in range(rng.randint(0, 15))]
        given = pd.DataFrame(
            [("A", float(b), float(b + rng.randint(0, 1)), float(rng.randint(1, 3))) for b in begins],
            columns=["subject", "first", "last", "units"],
        ).astype({"first": "float64", "last": "float64", "units": "float64"})
        given["partial"] = False
        found = transfusion_burden(given, periods_of(pd.Series({"A": 0.0}), pd.Series({"A": float(last)}), 56, 7))
        rows = given.to_numpy().tolist()
        for _, period, days, units, number, free in found.to_numpy().tolist():
            mine = [d for d in range(start, min(last, 55) + 1) if period == 0 or d // 7 == period - 1]
            began = [r for r in rows if r[1] in mine]
            touched = {d for r in rows for d in (int(r[1]), int(r[2])) if d in mine}
            assert (days, units, number) == (len(mine), sum(r[3] for r in began), len(began))
            assert free == len(mine) - len(touched)

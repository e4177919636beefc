"""How participation and study treatment ended, and what the data decide of eligibility: cases worked out by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapter.derive.disposition import end_of_participation, end_of_treatment
from adapter.derive.eligibility import above_limit, answered, by_age, by_presence, last_in_window


def text(*values: Any) -> pd.Series[str]:
    return pd.Series(list(values), dtype="str")


ENDS = [
    # death, withdrawal, its kind -> end of participation
    ("", "", "", ""),
    ("2024-03-20T05:00", "", "", "2024-03-20T05:00"),
    ("", "2024-03-15", "consent", "2024-03-15"),
    ("", "2024-03-15", "", "2024-03-15"),
    ("", "2024-03-15", "treatment", ""),
    ("2024-03-20", "2024-03-15", "treatment", "2024-03-20"),
    ("2024-03-20", "2024-03-15", "", "2024-03-15"),
    ("2024-03-10", "2024-03-15", "", "2024-03-10"),
    ("2024-03-15T05:00", "2024-03-15", "", "2024-03-15"),
    ("2024-03", "2024-03-15", "", "2024-03-15"),
    ("2024-02", "2024-03-15", "", "2024-02"),
    ("2024", "", "", "2024"),
]


def test_end_of_participation() -> None:
    columns = [text(*(r[i] for r in ENDS)) for i in range(3)]
    assert end_of_participation(*columns).tolist() == [r[3] for r in ENDS]
    assert end_of_participation(text(None), text(None), text(None)).tolist() == [""]


def day(iso: str) -> float:
    return float((date.fromisoformat(iso) - date(1970, 1, 1)).days)


GOES_ON = {
    "completed": "", "period_end": day("2024-04-29"), "withdrawal": "", "withdrew": False, "kind": "", "dead": False,
    "death": "", "last_contact": "2024-03-10", "ended": False, "cut": day("2024-03-31"),
}  # fmt: skip
DONE = {"completed": "2024-03-26T10:00", "cut": day("2024-06-01")}
OVER = {"cut": day("2024-06-01")}
TREATMENT = {
    "under way at the cut": ({}, ""),
    "completed": (DONE, "COMPLETED"),
    "completed, then left the study": (DONE | {"withdrawal": "2024-05-01", "withdrew": True, "ended": True}, "COMPLETED"),
    "completed on the day of leaving": (DONE | {"withdrawal": "2024-03-26", "withdrew": True}, "COMPLETED"),
    "left before the last dose": (DONE | {"withdrawal": "2024-03-20", "withdrew": True}, "WITHDRAWAL"),
    "completed, then died": (DONE | {"dead": True, "death": "2024-03-27", "ended": True}, "COMPLETED"),
    "left within the period": ({"withdrawal": "2024-03-20", "withdrew": True, "ended": True}, "WITHDRAWAL"),
    "left after the period, not completed": (OVER | {"withdrawal": "2024-05-20", "withdrew": True, "ended": True}, "UNKNOWN"),
    "left the treatment, whenever": (OVER | {"withdrawal": "2024-05-20", "withdrew": True, "kind": "treatment"}, "WITHDRAWAL"),
    "left on a day nobody knows": ({"withdrew": True, "ended": True}, "WITHDRAWAL"),
    "died within the period": ({"dead": True, "death": "2024-03-20T05:00", "ended": True}, "DEATH"),
    "died after the period, not completed": (OVER | {"dead": True, "death": "2024-05-20", "ended": True}, "UNKNOWN"),
    "died on a day nobody knows, last seen within": ({"dead": True, "ended": True}, "DEATH"),
    "died on a day nobody knows, seen after": (OVER | {"dead": True, "ended": True, "last_contact": "2024-05-10"}, "UNKNOWN"),
    "left, then died": (
        {"withdrawal": "2024-03-15", "withdrew": True, "dead": True, "death": "2024-03-20", "ended": True}, "WITHDRAWAL"),
    "died, and the log has a later day": (
        {"withdrawal": "2024-03-25", "withdrew": True, "dead": True, "death": "2024-03-20", "ended": True}, "DEATH"),
    "the period is over": (OVER, "UNKNOWN"),
    "the last day of the period": ({"cut": day("2024-04-29")}, ""),
    "taking part has ended, and nothing says how": ({"ended": True}, "UNKNOWN"),
    "no period planned": ({"period_end": np.inf, "cut": day("2030-01-01")}, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", TREATMENT)
def test_end_of_treatment(case: str) -> None:
    change, expected = TREATMENT[case]
    assert end_of_treatment(pd.DataFrame([GOES_ON | change])).tolist() == [expected]


# --- eligibility (protocol §8) --------------------------------------------------------------------------------------


def test_age_limits_are_included_and_an_unknown_age_decides_nothing() -> None:
    found = by_age(pd.Series([17, 18, 60, 61, np.nan]), 18, 60)
    assert found.tolist() == ["violated", "met", "met", "violated", ""]


def test_presence_decides_absence_does_not() -> None:
    assert by_presence(text("2024-03-01", "", None)).tolist() == ["met", "", ""]


def test_answers_of_the_log() -> None:
    answers = text("Y", "N", "", None)
    assert answered(answers, inclusion=True).tolist() == ["met", "violated", "", ""]
    assert answered(answers, inclusion=False).tolist() == ["violated", "met", "", ""]


@pytest.mark.parametrize(
    ("value", "limit", "times", "above"),
    [
        ("201", "40", "5", True),
        ("200", "40", "5", False),
        ("200.0000000000000001", "40", "5", True),  # exact, no floating point
        (">200", "40", "5", True),
        (">=200", "40", "5", False),
        (">=201", "40", "5", True),
        (">199", "40", "5", False),
        ("<900", "40", "5", False),
        ("900", "", "5", False),
        ("HIGH", "40", "5", False),
        ("", "40", "5", False),
        ("900", "<40", "5", False),
        ("0.31", "0.1", "3", True),
        ("0.3", "0.1", "3", False),
    ],
)
def test_above_limit(value: str, limit: str, times: str, above: bool) -> None:
    assert above_limit(text(value), text(limit), pd.Series([Decimal(times)])).tolist() == [above]


def test_last_day_in_the_window_of_each_subject_and_test() -> None:
    values = pd.DataFrame(
        [
            ("A", "ALT", 9.0), ("A", "ALT", 10.0), ("A", "ALT", 15.0), ("A", "ALT", 15.0), ("A", "ALT", 21.0),
            ("A", "AST", 10.0), ("A", "AST", np.nan), ("B", "ALT", 15.0), ("C", "ALT", 15.0), ("D", "ALT", 15.0),
        ],
        columns=["USUBJID", "test", "day"],
    )  # fmt: skip
    first, last = pd.Series({"A": 10.0, "B": 16.0, "C": np.nan}), pd.Series({"A": 20.0, "B": 20.0, "C": 20.0})
    assert last_in_window(values, first, last).index.tolist() == [2, 3, 5]

"""Events as spans of days, and amounts from rates: tables by hand, then a naive loop."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import pandas as pd
import pytest

from adapter.derive.exposure import derived_dose_flag, first_treatments, rate_times_period
from adapter.derive.intervals import first_overlap, spans
from tests.lines import day

SPANS = [
    # start, end, known to go on until -> first day, last day
    ("2024-03-05", "2024-03-07", "", "2024-03-05", "2024-03-07"),
    ("2024-03-05T10:00:00", "2024-03-05T10:40:00", "", "2024-03-05", "2024-03-05"),
    ("2024-03-05", "", "", "2024-03-05", "2024-03-05"),
    ("2024-03-05", "", "2024-06-30", "2024-03-05", "2024-06-30"),
    ("2024-02", "", "", "2024-02-01", "2024-02-29"),  # a leap year
    ("2023", "", "", "2023-01-01", "2023-12-31"),
    ("2024-02", "2024-03", "", "2024-02-01", "2024-03-31"),
    ("", "2024-03", "", "2024-03-01", "2024-03-31"),  # nobody knows when it began
    ("2024-03-07", "2024-03-05", "", "2024-03-07", "2024-03-07"),  # an end before the start covers the start
    ("2024-03-05", "2024-03-07", "2024-06-30", "2024-03-05", "2024-03-07"),
    ("", "", "", None, None),
]


@pytest.mark.parametrize(("start", "end", "until", "first", "last"), SPANS)
def test_spans(start: str, end: str, until: str, first: str | None, last: str | None) -> None:
    found = spans(*(pd.Series([t], dtype="str") for t in (start, end, until))).iloc[0]
    expected = [None if t is None else float(day(t)) for t in (first, last)]
    assert [None if pd.isna(x) else x for x in found[["first", "last"]]] == expected


def frame(*rows: tuple[str, str, float | None, float | None]) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=["subject", "key", "first", "last"])
    return made.astype({"first": "float64", "last": "float64"})


def test_first_overlap() -> None:
    given = frame(("A", "x", 10, 12), ("A", "x", 5, 11), ("A", "y", 1, 99), ("B", "x", 1, 99), ("A", "x", None, None))
    stated = frame(
        ("A", "x", 11, 20),  # two overlap: the first of them
        ("A", "x", 12, 12),  # one common day is enough
        ("A", "x", 13, 20),
        ("A", "x", 4, 5),
        ("A", "z", 1, 99),
        ("C", "x", 1, 99),
        ("A", "x", None, None),  # a statement without any date overlaps nothing
    )
    stated.index = pd.Index([7, 3, 5, 1, 0, 2, 9])
    found = first_overlap(stated, given)
    assert list(found.index) == [7, 3, 5, 1, 0, 2, 9]
    assert list(found) == [0, 0, -1, 1, -1, -1, -1]


def test_first_overlap_of_nothing() -> None:
    assert list(first_overlap(frame(("A", "x", 1, 2)), frame())) == [-1]
    assert len(first_overlap(frame(), frame(("A", "x", 1, 2)))) == 0


def test_first_overlap_against_a_loop() -> None:
    rng = random.Random(7)
    for _ in range(30):
        one, other = (
            [
                (rng.choice("AB"), rng.choice("xy"), a, a + rng.randrange(4))
                for a in (rng.randrange(10) for _ in range(rng.randrange(6)))
            ]
            for _ in range(2)
        )
        expected = [
            next((i for i, (t, m, c, d) in enumerate(other) if (s, k) == (t, m) and a <= d and c <= b), -1)
            for s, k, a, b in one
        ]
        assert list(first_overlap(frame(*one), frame(*other))) == expected


# --- rate times period (fhir-input point 27) --------------------------------------------------------------------------

HOUR = 3_600_000_000
RATES: list[tuple[tuple[Any, ...], Any, Any, tuple[str, str]]] = [
    # rate, unit, per, per unit; start and end in hours -> amount, unit
    (("50", "mL/h", None, None), 10, 12, ("100", "mL")),
    (("50", "mL/h", None, None), 10, 10 + 40 / 60, ("33.33", "mL")),
    (("500", "mL", "8", "h"), 0, 4, ("250", "mL")),
    (("0.1", "ug/kg/min", None, None), 0, 24, ("144", "ug/kg")),
    (("2", "mg/d", None, None), 0, 6, ("0.5", "mg")),
    (("5", "ml/小时", None, None), 0, 2, ("10", "ml")),
    (("5", "mL/hour", None, None), 0, 2, ("10", "mL")),
    (("5", "mL/hours", None, None), 0, 2, ("10", "mL")),
    (("0.0000123456", "g/h", None, None), 0, 1, ("0.00001235", "g")),
    (("123456", "U/h", None, None), 0, 1, ("123500", "U")),
    (("1.0E3", "U/h", None, None), 0, 1, ("1000", "U")),
    (("50", "mL/h", None, None), 10, None, ("", "")),  # rate alone is no dose
    (("50", "mL/h", None, None), None, 12, ("", "")),
    (("50", "mL/h", None, None), 12, 10, ("", "")),
    (("50", "mL/h", None, None), 10, 10, ("", "")),
    (("0", "mL/h", None, None), 10, 12, ("", "")),
    (("50", "mL", None, None), 10, 12, ("", "")),  # per what?
    (("50", "h", None, None), 10, 12, ("", "")),
    (("50", "mL/kg", None, None), 10, 12, ("", "")),
    ((None, "mL/h", None, None), 10, 12, ("", "")),
    (("500", "mL", "0", "h"), 0, 4, ("", "")),
    (("500", "mL", None, "h"), 0, 4, ("", "")),
]


@pytest.mark.parametrize(("rate", "start", "end", "expected"), RATES)
def test_rate_times_period(rate: tuple[Any, ...], start: float | None, end: float | None, expected: Any) -> None:
    columns = ["rate", "rate_unit", "rate_per", "rate_per_unit", "micros", "end_micros"]
    times = [None if t is None else round(t * HOUR) for t in (start, end)]
    events = pd.DataFrame([[*rate, *times]], columns=columns).astype({"micros": "Float64", "end_micros": "Float64"})
    assert tuple(rate_times_period(events).iloc[0]) == expected
    assert list(derived_dose_flag(pd.Series([expected[0]]))) == ["Y" if expected[0] else ""]


def test_four_digits_against_decimal() -> None:
    rng = random.Random(9)
    four = Context(prec=4, rounding=ROUND_HALF_UP)
    for _ in range(200):
        rate, minutes = f"{rng.randrange(1, 10**6)}e{rng.randrange(-6, 3)}", rng.randrange(1, 600)
        exact = four.divide(Decimal(rate) * minutes, Decimal(60))
        row = [rate, "mL/h", None, None, 0, minutes * 60_000_000]
        events = pd.DataFrame([row], columns=["rate", "rate_unit", "rate_per", "rate_per_unit", "micros", "end_micros"])
        assert Decimal(rate_times_period(events)["amount"].iloc[0]) == exact


def test_a_stated_course_is_under_way_only_as_far_as_it_was_said() -> None:
    """A-03 counts a course under way at randomisation; one stated before it may have ended."""
    limit = pd.Series({"A": "2024-03-04"})
    for until, expected in (("", 1), ("2024-03-04", 1), ("2024-03-20", 1), ("2024-03-03", 0)):
        event = {"USUBJID": "A", "dtc": "2024-02-01", "end_dtc": None, "open": True, "record": 0, "until": until}
        found = first_treatments(pd.DataFrame([event]), limit, count_ongoing=True, limited=True)
        assert len(found) == expected

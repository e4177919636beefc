"""Days (protocol §2): study day without a day 0, day numbers, ages, numbering of records; tables, then naive loops."""

from __future__ import annotations

import calendar
import math
import random
from datetime import date, timedelta

import pandas as pd
import pytest

from adapter.derive.days import age_in_years, day_number, day_text, day_texts, sequence_number, study_day


def column(*texts: str | None) -> pd.Series[str]:
    return pd.Series(list(texts), dtype="str")


STUDY_DAYS = [
    # --DTC, RFSTDTC, --DY
    ("2024-03-02", "2024-03-02", 1),
    ("2024-03-01", "2024-03-02", -1),  # there is no day 0
    ("2024-03-03", "2024-03-02", 2),
    ("2024-02-29", "2024-03-01", -1),  # leap day
    ("2024-03-01", "2024-02-29", 2),
    ("2023-03-01", "2023-02-28", 2),
    ("2025-03-01", "2024-03-01", 366),
    ("2024-03-02T00:00:00", "2024-03-02T23:59:59", 1),  # days of the calendar, not spans of 24 hours
    ("2024-03-02T23:59", "2024-03-03T00:00", -1),
    ("2024-03", "2024-03-02", None),  # partial dates have no study day
    ("2024", "2024-03-02", None),
    ("2024-03-02", "2024-03", None),
    ("", "2024-03-02", None),
    ("2024-03-02", "", None),
    (None, "2024-03-02", None),
]


@pytest.mark.parametrize(("dtc", "reference", "expected"), STUDY_DAYS)
def test_study_day(dtc: str | None, reference: str, expected: int | None) -> None:
    found = study_day(column(dtc), column(reference)).iloc[0]
    assert math.isnan(found) if expected is None else found == expected


def test_study_day_keeps_index_and_order() -> None:
    index = pd.Index([7, 3, 5])
    dtc = pd.Series(["2024-03-05", "2024-03", "2024-03-01"], index=index, dtype="str")
    found = study_day(dtc, pd.Series(["2024-03-02"] * 3, index=index, dtype="str"))
    assert list(found.index) == [7, 3, 5]
    assert [None if math.isnan(x) else x for x in found] == [4, None, -1]


def test_study_day_against_a_count_on_the_calendar() -> None:
    rng = random.Random(20260101)
    for _ in range(60):
        start = date(2023, 12, 1) + timedelta(days=rng.randrange(200))
        wanted = date(2023, 12, 1) + timedelta(days=rng.randrange(200))
        # walk from one day to the other, as a person with a calendar would
        number, day = 1, start
        while day < wanted:
            day, number = day + timedelta(days=1), number + 1
        while day > wanted:
            day, number = day - timedelta(days=1), number - 1 if number != 1 else -1
        assert study_day(column(wanted.isoformat()), column(start.isoformat())).iloc[0] == number


DAY_NUMBERS = [
    ("1970-01-01", 0),
    ("1969-12-31", -1),
    ("1970-01-02T05:00:00", 1),
    ("2000-03-01", 11017),
    ("1970-01", None),
    ("", None),
    (None, None),
]


def test_day_number_and_back() -> None:
    found = day_number(column(*(d for d, _ in DAY_NUMBERS)))
    assert [None if math.isnan(x) else x for x in found] == [n for _, n in DAY_NUMBERS]
    assert list(day_texts(found)) == ["1970-01-01", "1969-12-31", "1970-01-02", "2000-03-01", "", "", ""]
    assert day_text(11017.0) == "2000-03-01"
    assert day_text(float("nan")) == ""


AGES = [
    # birth, consent, setting for partial birth dates, age
    ("1980-06-15", "2024-06-14", "empty", 43),
    ("1980-06-15", "2024-06-15", "empty", 44),
    ("1980-06-15", "2024-06-15T00:00:00", "empty", 44),
    ("2000-02-29", "2024-02-28", "empty", 23),
    ("2000-02-29", "2024-02-29", "empty", 24),
    ("2000-02-29", "2023-02-28", "empty", 22),  # in a common year the year is complete on 1 March
    ("2000-02-29", "2023-03-01", "empty", 23),
    ("2024-06-15", "2024-06-15", "empty", 0),
    ("1980-06", "2024-06-15", "empty", None),
    ("1980", "2024-06-15", "empty", None),
    ("1980-06", "2024-06-15", "earliest", 44),  # 1980-06-01
    ("1980-06", "2024-06-15", "latest", 43),  # 1980-06-30
    ("1980-06", "2024-06-15", "middle", 44),  # 1980-06-15
    ("1980-06", "2024-06-14", "middle", 43),
    ("1980", "2024-06-15", "earliest", 44),  # 1980-01-01
    ("1980", "2024-06-15", "latest", 43),  # 1980-12-31
    ("1980", "2024-06-30", "middle", 43),  # 1980-07-01
    ("1980", "2024-07-01", "middle", 44),
    ("1980-02", "2024-02-29", "latest", 44),  # 1980-02-29, a leap year
    ("1981-02", "2024-02-28", "latest", 43),
    ("1980-12", "2024-12-30", "latest", 43),
    ("", "2024-06-15", "earliest", None),
    ("1980-06-15", "", "earliest", None),
    ("1980-06-15", "2024-06", "earliest", None),  # the day of consent must be known
    ("2024-06-16", "2024-06-15", "empty", None),  # born after consent: no age
]


@pytest.mark.parametrize(("birth", "at", "partial", "expected"), AGES)
def test_age_in_years(birth: str, at: str, partial: str, expected: int | None) -> None:
    found = age_in_years(column(birth), column(at), partial).iloc[0]
    assert math.isnan(found) if expected is None else found == expected


def test_age_against_birthdays_counted_one_by_one() -> None:
    rng = random.Random(7)
    births = [date(1950, 1, 1) + timedelta(days=rng.randrange(24000)) for _ in range(150)] + [date(1984, 2, 29)] * 20
    days = [date(2023, 1, 1) + timedelta(days=rng.randrange(900)) for _ in births]
    found = age_in_years(column(*(b.isoformat() for b in births)), column(*(d.isoformat() for d in days)), "empty")
    for birth, day, age in zip(births, days, found, strict=True):
        birthdays = 0
        for year in range(birth.year + 1, day.year + 1):
            leap = birth.month == 2 and birth.day == 29 and not calendar.isleap(year)
            birthdays += (date(year, 3, 1) if leap else date(year, birth.month, birth.day)) <= day
        assert age == birthdays


def test_sequence_number_counts_within_the_subject() -> None:
    assert list(sequence_number(column("A", "A", "B", "A", "B"))) == [1, 2, 1, 3, 2]
    assert list(sequence_number(column())) == []

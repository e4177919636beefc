"""Sustained runs and daily values, on tables small enough to be checked by eye (protocol §3, §4)."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapter.derive.daily import daily_values, meets, read_results
from adapter.derive.runs import sustained_runs, touched_days

PLAIN: dict[str, Any] = {"days": 3, "count": "days", "bridge": 0, "max_gap_days": None, "look_back_days": 0}


def found(picture: str, breakers: str = "", start: int = 0, **settings: Any) -> tuple[int | None, bool]:
    """Return the first day of the run in a picture of one subject's days, and whether it was under way at `start`.

    One character a day: `+` meets the condition, `-` does not, `.` no value. breakers: `x` on the days that break.
    """
    days = np.array([i for i, c in enumerate(picture) if c != "."], dtype=np.int64)
    met = np.array([c == "+" for c in picture if c != "."], dtype=bool)
    broken = np.array([i for i, c in enumerate(breakers) if c == "x"], dtype=np.int64)
    zeros = np.zeros_like
    runs = sustained_runs(zeros(days), days, met, zeros(broken), broken, np.array([float(start)]), **PLAIN | settings)
    first = int(runs.first[0])
    return (None if first < 0 else int(days[first])), bool(runs.under_way[0])


@pytest.mark.parametrize(
    ("picture", "breakers", "settings", "expected"),
    [
        # length
        ("+++", "", {}, 0),
        ("++-+++", "", {}, 3),
        ("++-++-++", "", {}, None),
        ("-++++", "", {}, 1),
        ("+", "", {"days": 1}, 0),
        ("", "", {}, None),
        # a day without a value ends the run …
        ("++.+++", "", {}, 3),
        ("++.++.++", "", {}, None),
        # … unless it is bridged: it counts, but a run neither begins nor ends with it
        ("++.+", "", {"bridge": 1}, 0),
        ("+.+", "", {"bridge": 1}, 0),
        ("++.", "", {"bridge": 1}, None),
        ("++..+", "", {"bridge": 1}, None),
        ("++..+", "", {"bridge": 2}, 0),
        ("++.-+++", "", {"bridge": 2}, 4),
        # a breaker day ends the run, with or without a value, bridged or not
        ("+++", "  x", {}, None),
        ("++++++", "  x", {}, 3),
        ("++.+++", "  x", {"bridge": 1}, 3),
        ("++++", "x", {}, 1),
        ("+.+.+", " x", {"count": "measurements", "max_gap_days": 7}, None),
        ("+.+.+.+", " x", {"count": "measurements", "max_gap_days": 7}, 2),
        # measurements: days that have a value count, at most max_gap_days apart
        ("+.+..+", "", {"count": "measurements", "max_gap_days": 7}, 0),
        ("+.+...+", "", {"count": "measurements", "max_gap_days": 3}, None),
        ("+.+..+", "", {"count": "measurements", "max_gap_days": 3}, 0),
        ("+.+.-.+", "", {"count": "measurements", "max_gap_days": 7}, None),
        ("+" + "." * 99 + "+" + "." * 99 + "+", "", {"count": "measurements"}, 0),
        # look-back: a day counts only so many days after the last breaker (that day is 0)
        ("+++++++++++", "x", {"look_back_days": 7}, 7),
        ("+++++++++", "x", {"look_back_days": 7}, None),
        ("..+++", "x", {"look_back_days": 2}, 2),
        ("+++++++", "xx", {"look_back_days": 3}, 4),
    ],
)
def test_run(picture: str, breakers: str, settings: dict[str, Any], expected: int | None) -> None:
    assert found(picture, breakers, **settings)[0] == expected


def test_the_registry_s_worked_platelet_example() -> None:
    """First of 3 consecutive values >= 20 dated at least 7 days after the last platelet transfusion: day 7 qualifies."""
    registry = {"count": "measurements", "max_gap_days": 7, "look_back_days": 7}
    #                 0123456789012
    assert found("..+.+..+.+.+", "x", **registry)[0] == 7
    assert found("..+.+.+..+.+", "x", **registry)[0] is None, "day 6 is one too early, and two values follow"
    assert found("..+.+..+.+.+", "x         x", **registry)[0] is None, "a transfusion during the three"


@pytest.mark.parametrize(
    ("picture", "start", "expected"),
    [
        ("++++", 1, (1, True)),  # under way: it counts from the window start on, and is flagged
        ("-+++", 1, (1, False)),
        ("++-+++", 2, (3, False)),
        (".+++", 1, (1, False)),
        ("++++", 2, (None, True)),  # only two days are left inside the window
    ],
)
def test_a_run_is_cut_to_the_window_and_flagged(picture: str, start: int, expected: tuple[int | None, bool]) -> None:
    assert found(picture, start=start) == expected


def test_without_a_window_there_is_no_run() -> None:
    days = np.arange(5)
    runs = sustained_runs(days * 0, days, days >= 0, days[:0], days[:0], np.array([np.nan]), **PLAIN | {"days": 1})
    assert (runs.first[0], runs.under_way[0]) == (-1, False)


def test_subjects_do_not_touch_each_other() -> None:
    """The last days of one subject and the first of the next are no run, and neither breaks the other's."""
    subject = np.array([0, 0, 1, 1, 1, 2])
    day = np.array([8, 9, 10, 11, 12, 13])
    met = np.ones(6, dtype=bool)
    runs = sustained_runs(subject, day, met, np.array([0, 2]), np.array([10, 12]), np.zeros(4), **PLAIN)
    assert runs.first.tolist() == [-1, 2, -1, -1]
    assert runs.reached.tolist() == [-1, 4, -1, -1]


def naive(days: dict[int, bool], broken: set[int], start: int, s: dict[str, Any]) -> int | None:
    """Every possible first day, one day at a time."""
    for first in sorted(days):
        last, n = first - 1, 0
        for day in range(first, max(days) + 1):
            blocked = any(day - back in broken for back in range(max(1, s["look_back_days"])))
            if day in broken:
                break
            if day in days:
                limit = s["bridge"] + 1 if s["count"] == "days" else (s["max_gap_days"] or 10**9)
                if not days[day] or blocked or (n and day - last > limit):
                    break
                last, n = day, n + 1
            if first < start:
                break
            if (n if s["count"] == "measurements" else last - first + 1) >= s["days"]:
                return first
    return None


@pytest.mark.parametrize("count", ["days", "measurements"])
@pytest.mark.parametrize("bridge", [0, 1, 3])
@pytest.mark.parametrize("look_back", [0, 1, 7])
def test_random_subjects_agree_with_a_naive_search(count: str, bridge: int, look_back: int) -> None:
    """10,000 subjects in one call, each of them searched again day by day."""
    rng = random.Random(f"{count}{bridge}{look_back}")
    settings = {
        "days": 4,
        "count": count,
        "bridge": bridge,
        "max_gap_days": rng.choice([2, 4, None]),
        "look_back_days": look_back,
    }
    cohort = []
    for _ in range(10_000):
        days = {d: rng.random() < 0.85 for d in range(100, 118) if rng.random() < 0.85}
        cohort.append((days, {rng.randrange(95, 118) for _ in range(rng.choice([0, 0, 1, 2]))}, rng.randrange(98, 108)))
    rows = [(i, d, ok) for i, (days, _, _) in enumerate(cohort) for d, ok in sorted(days.items())]
    broken = [(i, d) for i, (_, x, _) in enumerate(cohort) for d in x]
    columns = [np.array(c) for c in zip(*rows, strict=True)]
    breaks = [np.array(c, dtype=np.int64) for c in zip(*broken, strict=True)]
    starts = np.array([float(s) for _, _, s in cohort])
    runs = sustained_runs(*columns, *breaks, starts, **settings)
    expected = [naive(days, x, s, settings) if days else None for days, x, s in cohort]
    assert [None if f < 0 else int(columns[1][f]) for f in runs.first] == expected
    assert 0.05 < np.mean([e is not None for e in expected]) < 0.99


def test_touched_days() -> None:
    """A transfusion over midnight touches two days; one without an end its first; one without a day none."""
    who, when = touched_days(np.array([1, 0, 0, 0]), np.array([5.0, 7, 7, np.nan]), np.array([6.0, np.nan, 8, 9]))
    assert list(zip(who.tolist(), when.tolist(), strict=True)) == [(0, 7), (0, 8), (1, 5), (1, 6)]


# --- the daily value ------------------------------------------------------------------------------------------------


def value_of(results: list[str], rule: str = "min") -> tuple[float, int]:
    """Return the value of one day and which of its results (in the order of their times) is the day's record."""
    read = read_results(pd.Series(results, dtype="str"))
    n = len(results)
    zeros = np.zeros(n, dtype=np.int64)
    made = daily_values(
        zeros, zeros, read.value.to_numpy(), read.at_least.to_numpy(), read.open.to_numpy(), np.arange(n), rule
    )
    assert len(made.day) == 1
    return float(made.value[0]), int(made.record[0])


@pytest.mark.parametrize(
    ("results", "rule", "expected"),
    [
        (["4"], "min", (4, 0)),
        (["4", "3", "5"], "min", (3, 1)),
        (["4", "3", "5"], "max", (5, 2)),
        (["4", "3", "5"], "last", (5, 2)),
        (["4", "3", "5"], "mean", (4, 1)),
        (["0.4", "<0.6"], "min", (0.6, 1)),  # it proves nothing from below, so it is the lowest
        (["20", ">20"], "min", (20, 0)),
        (["3", "3"], "min", (3, 0)),
    ],
)
def test_value_of_the_day(results: list[str], rule: str, expected: tuple[float, int]) -> None:
    assert value_of(results, rule) == expected


@pytest.mark.parametrize(
    ("results", "comparator", "threshold", "expected"),
    [
        # exactly at the threshold: > is strict, >= is not
        (["0.5"], ">", 0.5, False),
        (["0.51"], ">", 0.5, True),
        (["20"], ">=", 20, True),
        (["19.9"], ">=", 20, False),
        # comparators prove what they prove
        (["<0.6"], ">", 0.5, False),
        (["<=100"], ">=", 20, False),
        ([">0.5"], ">", 0.5, True),
        ([">0.4"], ">", 0.5, False),
        ([">=0.5"], ">", 0.5, False),
        ([">=0.5"], ">=", 0.5, True),
        ([">20"], ">=", 20, True),
        ([">=20"], ">=", 20, True),
        ([">19"], ">=", 20, False),
        # every result of the day proves it
        (["25", "18"], ">=", 20, False),
        (["25", "20"], ">=", 20, True),
        (["0.7", ">0.5"], ">", 0.5, True),
        (["0.7", ">=0.5"], ">", 0.5, False),
        ([">0.5", ">=0.5"], ">", 0.5, False),
        (["25", "<30"], ">=", 20, False),
    ],
)
def test_what_a_day_proves(results: list[str], comparator: str, threshold: float, expected: bool) -> None:
    read = read_results(pd.Series(results, dtype="str"))
    zeros = np.zeros(len(results), dtype=np.int64)
    order = np.arange(len(results))
    made = daily_values(
        zeros, zeros, read.value.to_numpy(), read.at_least.to_numpy(), read.open.to_numpy(), order, "min"
    )
    assert meets(made, comparator, threshold).tolist() == [expected]


def test_what_is_no_number_is_none() -> None:
    read = read_results(pd.Series(["positive", "", "10 - 20", "1e3", "<", "٣", "4.10"], dtype="str"))
    assert read.value.isna().tolist() == [True, True, True, True, True, True, False]

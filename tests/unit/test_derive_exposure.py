"""Exposure: dose per kg, weight before a dose, first treatments (protocol §1, §2, A-03); tables, then naive loops."""

from __future__ import annotations

import math
import random
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas as pd
import pytest

from adapter.derive.exposure import first_treatments, given_dose, weight_before

KG, TOTAL = "10^6/kg", "10^6 Therapeutic Cells"

DOSES = [
    # dose, its unit, total units per planned unit, weight, expected per kg
    ("1.0", KG, "1", "", 1.0),  # as recorded; no weight is needed
    ("0.97", KG, "1", "70", 0.97),
    ("1.005", KG, "1", "70", 1.005),  # as recorded means unrounded
    ("65", TOTAL, "1", "65", 1.0),
    ("65", TOTAL, "1", "65.0", 1.0),
    ("60", TOTAL, "1", "61.5", 0.98),  # 0.97560...
    ("1", TOTAL, "1", "8", 0.13),  # 0.125: half goes up, also where a double would go to even
    ("1.005", TOTAL, "1", "1", 1.01),  # 1.005 is below 1.005 as a double
    ("2.675", TOTAL, "1", "1", 2.68),
    ("0.0049", TOTAL, "1", "1", 0.0),
    ("65000", TOTAL, "1000", "65", 1.0),  # a total counted in thousandths
    ("65", TOTAL, "1", "", None),  # a total without a weight
    ("65", TOTAL, "1", "0", None),
    ("", TOTAL, "1", "65", None),  # no dose
    ("", KG, "1", "65", None),
]


@pytest.mark.parametrize(("dose", "unit", "per_unit", "weight", "expected"), DOSES)
def test_given_dose(dose: str, unit: str, per_unit: str, weight: str, expected: float | None) -> None:
    one = [pd.Series([x], dtype="str") for x in (dose, unit, KG, per_unit, weight)]
    found = given_dose(*one).iloc[0]
    assert math.isnan(found) if expected is None else found == expected


def test_given_dose_against_school_division() -> None:
    rng = random.Random(3)
    for _ in range(300):
        dose, weight = f"{rng.randrange(1, 20000) / 100}", f"{rng.randrange(400, 1200) / 10}"
        exact = (Decimal(dose) / Decimal(weight)).quantize(Decimal("0.01"), ROUND_HALF_UP)
        one = [pd.Series([x], dtype="str") for x in (dose, TOTAL, KG, "1", weight)]
        assert given_dose(*one).iloc[0] == float(exact)


# subject, time of the dose -> position of the weight below
WEIGHTS = [("A", 10.0, "70.0"), ("A", 20.0, "68.0"), ("A", 20.0, "67.5"), ("B", 5.0, "50"), ("A", None, "99")]
WEIGHTS_BEFORE = [
    ("A", 9.0, -1),  # only later weights
    ("A", 10.0, 0),  # on the day
    ("A", 19.0, 0),
    ("A", 20.0, 2),  # two at one time: the last one counts
    ("A", 500.0, 2),
    ("B", 20.0, 3),  # never another subject's
    ("C", 20.0, -1),
    ("A", None, -1),  # a dose without a date
]


def test_weight_before() -> None:
    weights = pd.DataFrame(WEIGHTS, columns=["s", "d", "kg"])
    doses = pd.DataFrame(WEIGHTS_BEFORE, columns=["s", "d", "expected"], index=[5, 3, 8, 1, 0, 2, 9, 4])
    found = weight_before(doses["s"], doses["d"], weights["s"], weights["d"], weights["kg"])
    assert list(found.index) == list(doses.index)
    assert list(found) == list(doses["expected"])


def test_weight_before_without_weights() -> None:
    doses = pd.DataFrame({"s": ["A"], "d": [1.0]})
    none = pd.DataFrame({"s": [], "d": [], "kg": []})
    assert list(weight_before(doses["s"], doses["d"], none["s"], none["d"], none["kg"])) == [-1]


def test_weight_before_against_a_loop() -> None:
    rng = random.Random(11)
    for _ in range(20):
        weights = [(rng.choice("AB"), rng.choice([None, rng.randrange(12)])) for _ in range(rng.randrange(9))]
        doses = [(rng.choice("ABC"), rng.choice([None, rng.randrange(12)])) for _ in range(6)]
        w, d = (pd.DataFrame(rows, columns=["s", "d"]).astype({"d": "float64"}) for rows in (weights, doses))
        w["kg"] = "70"
        found = weight_before(d["s"], d["d"], w["s"], w["d"], w["kg"])
        for (who, when), place in zip(doses, found, strict=True):
            best = -1
            for i, (owner, day) in enumerate(weights):
                fits = owner == who and when is not None and day is not None and day <= when
                if fits and (best < 0 or day >= weights[best][1]):
                    best = i
            assert place == best


R = "2024-03-10"  # the first day that counts
FIRST = [
    # what happens, events (dtc, end, open), count a course under way, first, last
    ("starts on the day", [("2024-03-10T08:00:00", None, False)], True, "2024-03-10T08:00:00", "2024-03-10T08:00:00"),
    ("starts later", [("2024-03-12", "2024-03-14", False)], True, "2024-03-12", "2024-03-14"),
    ("ended the day before", [("2024-03-01", "2024-03-09", False)], True, None, None),
    ("ends on the day: under way", [("2024-03-01", "2024-03-10", False)], True, R, "2024-03-10"),
    ("spans the day", [("2024-03-01", "2024-03-20", False)], True, R, "2024-03-20"),
    (
        "over midnight into the day",
        [("2024-03-09T23:30:00", "2024-03-10T00:40:00", False)],
        True,
        R,
        "2024-03-10T00:40:00",
    ),
    ("open: goes on", [("2024-03-01", None, True)], True, R, "2024-03-01"),
    ("one moment before", [("2024-03-09", None, False)], True, None, None),
    ("under way does not count", [("2024-03-01", "2024-03-20", False)], False, None, None),
    (
        "the earlier of two",
        [("2024-03-12", None, False), ("2024-03-11", None, False)],
        True,
        "2024-03-11",
        "2024-03-12",
    ),
    ("under way and later", [("2024-03-12", None, False), ("2024-03-01", "2024-03-10", False)], True, R, "2024-03-12"),
    ("partial start", [("2024-03", None, False)], True, None, None),
    ("no start", [(None, "2024-03-20", False)], True, None, None),
    ("ends in a later month", [("2024-03-01", "2024-04", False)], True, R, "2024-04"),
    ("ends somewhere in the month", [("2024-03-01", "2024-03", False)], True, None, None),
    ("nothing", [], True, None, None),
]


def events_of(rows: list[tuple[Any, ...]], who: str = "A") -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=["dtc", "end_dtc", "open"]).astype(
        {"dtc": "str", "end_dtc": "str", "open": "bool"}
    )
    return made.assign(USUBJID=pd.Series(who, index=made.index, dtype="str"), record=made.index)


@pytest.mark.parametrize(("case", "events", "ongoing", "first", "last"), FIRST, ids=[c[0] for c in FIRST])
def test_first_treatments_from_a_limit(case: str, events: Any, ongoing: bool, first: Any, last: Any) -> None:
    found = first_treatments(events_of(events), pd.Series({"A": R}), count_ongoing=ongoing, limited=True)
    if first is None:
        assert len(found) == 0
    else:
        assert (found.loc["A", "first"], found.loc["A", "last"]) == (first, last)


def test_first_treatments_without_limits_and_by_subject() -> None:
    events = pd.concat(
        [
            events_of([("2024-03-12", None, False), ("2024-03-01T10:00:00", "2024-03-01T10:30:00", False)], "A"),
            events_of([("2024-02-01", None, False)], "B"),
        ],
        ignore_index=True,
    ).assign(record=[10, 11, 12])
    found = first_treatments(events, pd.Series(dtype="str"), count_ongoing=False, limited=False)
    assert found.loc["A"].to_dict() == {
        "first": "2024-03-01T10:00:00",
        "record": 11,
        "last": "2024-03-12",
        "last_record": 10,
    }
    assert found.loc["B"].to_dict() == {
        "first": "2024-02-01",
        "record": 12,
        "last": "2024-02-01",
        "last_record": 12,
    }


def test_first_treatments_without_a_limit_for_the_subject() -> None:
    # not randomised: nothing is on or after randomisation
    events = events_of([("2024-03-12", None, False), ("2024-03-01", None, True)])
    for limits in (pd.Series({"A": ""}), pd.Series({"B": R})):
        assert len(first_treatments(events, limits, count_ongoing=True, limited=True)) == 0


def test_first_treatments_against_a_loop() -> None:
    rng = random.Random(5)
    days = [f"2024-03-{d:02d}" for d in range(1, 21)]
    for _ in range(40):
        rows = []
        for _ in range(rng.randrange(6)):
            start = rng.randrange(20)
            end = rng.choice([None, days[rng.randrange(start, 20)]])
            rows.append((days[start], end, end is None and rng.random() < 0.4))
        found = first_treatments(events_of(rows), pd.Series({"A": R}), count_ongoing=True, limited=True)
        counted = []
        for start, end, goes_on in rows:
            if start >= R:
                counted.append((start, end or start))
            elif goes_on or (end and end >= R):
                counted.append((R, end or start))
        assert len(found) == bool(counted)
        if counted:
            assert found.loc["A", "first"] == min(c[0] for c in counted)
            assert found.loc["A", "last"] == max(c[1] for c in counted)

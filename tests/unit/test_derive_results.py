"""Findings: numbers, range indicator, last observation before exposure (A-26), counts from percentages (§3)."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapter.derive.results import counts_from_percent, last_before_exposure, limit_number, number_of, range_indicator


def column(*texts: Any) -> pd.Series[str]:
    return pd.Series(list(texts), dtype="str")


NUMBERS = [
    ("4.10", 4.1),
    ("0", 0.0),
    ("-1.5", -1.5),
    ("1000", 1000.0),
    ("0.1", 0.1),
    ("123456789012345680", 1.2345678901234568e17),
    ("<0.5", None),  # a comparator proves only what it proves
    (">=20", None),
    ("POSITIVE", None),
    ("1:128", None),
    ("1.2.3", None),
    ("٣", None),  # a digit, but no ASCII number
    ("nan", None),
    ("inf", None),
    ("", None),
    (None, None),
]


def test_number_of() -> None:
    found = number_of(column(*(t for t, _ in NUMBERS)))
    assert [None if math.isnan(x) else x for x in found] == [n for _, n in NUMBERS]
    assert number_of(column()).empty


def test_number_of_is_the_nearest_double() -> None:
    rng = random.Random(2)
    texts = [f"{rng.randrange(10**6)}.{rng.randrange(10**9):09d}" for _ in range(500)]
    for text, number in zip(texts, number_of(column(*texts)), strict=True):
        near = (np.nextafter(number, -np.inf), number, np.nextafter(number, np.inf))
        assert number == min(near, key=lambda x: abs(Fraction(float(x)) - Fraction(text)))


def test_limit_number() -> None:
    found = limit_number(column("3.5", "", "<4"))
    assert found[0] == 3.5
    assert found[1:].isna().all()


N = float("nan")
INDICATORS = [
    # interpretation, value, low, high, LBNRIND
    (None, 5.0, 3.5, 9.5, "NORMAL"),
    ("", 3.5, 3.5, 9.5, "NORMAL"),  # on a limit is inside
    ("", 9.5, 3.5, 9.5, "NORMAL"),
    ("", 3.4, 3.5, 9.5, "LOW"),
    ("", 9.6, 3.5, 9.5, "HIGH"),
    ("", 5.0, 3.5, N, "NORMAL"),  # one limit
    ("", 3.0, 3.5, N, "LOW"),
    ("", 3.0, N, 9.5, "NORMAL"),
    ("", 10.0, N, 9.5, "HIGH"),
    ("", 5.0, N, N, ""),  # nothing to compare with
    ("", N, 3.5, 9.5, ""),  # a comparator or text has no number
    ("H", 5.0, 3.5, 9.5, "HIGH"),  # what the laboratory says outranks the comparison
    ("HH", 5.0, N, N, "HIGH"),
    ("HU", 5.0, N, N, "HIGH"),
    ("L", N, N, N, "LOW"),
    ("LL", 99.0, 3.5, 9.5, "LOW"),
    ("N", 99.0, 3.5, 9.5, "NORMAL"),
    ("A", 5.0, 3.5, 9.5, "ABNORMAL"),
    ("AA", 5.0, 3.5, 9.5, "ABNORMAL"),
    ("POS", 5.0, 3.5, 9.5, "NORMAL"),  # an interpretation of another kind says nothing of ranges
    ("H\nA", 5.0, 3.5, 9.5, "HIGH"),  # the first of two codes
]


def test_range_indicator() -> None:
    given, value, low, high, expected = zip(*INDICATORS, strict=True)
    numbers = [pd.Series(list(x), dtype="float64") for x in (value, low, high)]
    found = range_indicator(pd.Series(list(given), dtype="str"), *numbers)
    assert list(found) == list(expected)


REFERENCE = "2024-03-10T10:30:00"
LAST = [
    # name, RFSTDTC, untimed, results (--DTC, test, result), which are flagged
    ("the day before", REFERENCE, "before", [("2024-03-09", "A", "1"), ("2024-03-08T07:00:00", "A", "2")], [0]),
    (
        "untimed on the day counts as before",
        REFERENCE,
        "before",
        [("2024-03-09", "A", "1"), ("2024-03-10", "A", "2")],
        [1],
    ),
    (
        "untimed on the day, told to count after",
        REFERENCE,
        "after",
        [("2024-03-09", "A", "1"), ("2024-03-10", "A", "2")],
        [0],
    ),
    (
        "timed before on the day",
        REFERENCE,
        "before",
        [("2024-03-10", "A", "1"), ("2024-03-10T10:29:59", "A", "2")],
        [1],
    ),
    ("the very instant", REFERENCE, "before", [("2024-03-10T10:30:00", "A", "1")], [0]),
    ("a second later", REFERENCE, "before", [("2024-03-10T10:30:01", "A", "1")], []),
    ("the minute of the instant", REFERENCE, "before", [("2024-03-10T10:30", "A", "1")], [0]),
    ("a later minute", REFERENCE, "before", [("2024-03-10T10:31", "A", "1")], []),
    (
        "timed after, untimed stays",
        REFERENCE,
        "before",
        [("2024-03-10T11:00:00", "A", "1"), ("2024-03-10", "A", "2")],
        [1],
    ),
    (
        "treatment without a time",
        "2024-03-10",
        "before",
        [("2024-03-10T23:00:00", "A", "1"), ("2024-03-11", "A", "2")],
        [0],
    ),
    ("no result", REFERENCE, "before", [("2024-03-08", "A", "1"), ("2024-03-09", "A", "")], [0]),
    ("partial dates never", REFERENCE, "before", [("2024-02", "A", "1"), ("2024", "A", "2"), ("", "A", "3")], []),
    ("each test its own", REFERENCE, "before", [("2024-03-08", "A", "1"), ("2024-03-09", "B", "2")], [0, 1]),
    ("two at one instant: one flag", REFERENCE, "before", [("2024-03-09", "A", "1"), ("2024-03-09", "A", "2")], [1]),
    ("never treated, never randomised", "", "before", [("2024-03-09", "A", "1")], []),
]


@pytest.mark.parametrize(("name", "reference", "untimed", "results", "flagged"), LAST, ids=[c[0] for c in LAST])
def test_last_before_exposure(name: str, reference: str, untimed: str, results: Any, flagged: list[int]) -> None:
    dtc, test, result = (column(*x) for x in zip(*results, strict=True))
    subject, start = column(*["S"] * len(dtc)), column(*[reference] * len(dtc))
    found = last_before_exposure(subject, dtc, result, start, test, untimed=untimed)
    assert [i for i, flag in enumerate(found) if flag == "Y"] == flagged
    assert set(found) <= {"", "Y"}


def test_last_before_exposure_tells_specimen_method_and_subject_apart() -> None:
    rows = [
        ("S1", "2024-03-09", "BLOOD", "AUTOMATED COUNT"),
        ("S1", "2024-03-08", "BLOOD", "MANUAL COUNT"),
        ("S1", "2024-03-07", "VENOUS BLOOD", "AUTOMATED COUNT"),
        ("S1", "2024-03-06", "BLOOD", "AUTOMATED COUNT"),
        ("S2", "2024-03-05", "BLOOD", "AUTOMATED COUNT"),
        ("S2", "2024-03-05", None, "AUTOMATED COUNT"),
    ]
    subject, dtc, specimen, method = (column(*x) for x in zip(*rows, strict=True))
    one = column(*["x"] * len(rows))
    start = column(*[REFERENCE] * len(rows))
    found = last_before_exposure(subject, dtc, one, start, one, specimen, method, untimed="before")
    assert list(found) == ["Y", "Y", "Y", "", "Y", "Y"]


def test_last_before_exposure_against_a_loop() -> None:
    rng = random.Random(13)
    times = ["", "T05:00", "T10:30:00", "T10:30:01", "T18:00:00"]
    for untimed in ("before", "after"):
        for _ in range(25):
            rows = sorted(
                (
                    rng.choice("ST"),
                    rng.choice("AB"),
                    rng.choice(["2024-03", f"2024-03-{rng.randrange(8, 13):02d}{rng.choice(times)}"]),
                    rng.choice(["", "1", "2"]),
                )
                for _ in range(15)
            )
            subject, test, dtc, result = (column(*x) for x in zip(*rows, strict=True))
            found = last_before_exposure(subject, dtc, result, column(*[REFERENCE] * len(rows)), test, untimed=untimed)
            expected = [""] * len(rows)
            for who, which in itertools.product("ST", "AB"):
                best: tuple[str, int] | None = None
                for i, (s, t, when, value) in enumerate(rows):
                    if (s, t) != (who, which) or not value or len(when) < 10:
                        continue
                    if when[:10] == REFERENCE[:10]:
                        ok = untimed == "before" if len(when) == 10 else (when + ":00")[:19] <= REFERENCE
                    else:
                        ok = when[:10] < REFERENCE[:10]
                    if ok and (best is None or (when, i) > best):
                        best = (when, i)
                if best is not None:
                    expected[best[1]] = "Y"
            assert list(found) == expected


SEGS_BANDS, PERCENT = ("NEUTSGLE", "NEUTBLE"), ("NEUTLE",)
BOTH = ("specimen", "instant")
T1, T2 = "2024-03-09T06:10:00", "2024-03-09T16:00:00"
COUNTS = [
    # name, percentages, match, results (test, text, specimen or -1, instant), derived (position of the count -> text)
    ("neutrophils %, specimen", PERCENT, BOTH, [("WBC", "2.5", 1, T1), ("NEUTLE", "40", 1, T2)], {0: "1"}),
    ("neutrophils %, instant", PERCENT, BOTH, [("WBC", "2.5", -1, T1), ("NEUTLE", "40", -1, T1)], {0: "1"}),
    ("another instant", PERCENT, BOTH, [("WBC", "2.5", -1, T1), ("NEUTLE", "40", -1, T2)], {}),
    ("other specimen, same instant", PERCENT, BOTH, [("WBC", "2", 1, T1), ("NEUTLE", "40", 2, T1)], {0: "0.8"}),
    ("specimen only", PERCENT, ("specimen",), [("WBC", "2", 1, T1), ("NEUTLE", "40", 2, T1)], {}),
    ("instant only", PERCENT, ("instant",), [("WBC", "2", 1, T1), ("NEUTLE", "40", 1, T2)], {}),
    ("a day is no instant", PERCENT, BOTH, [("WBC", "2", -1, "2024-03-09"), ("NEUTLE", "40", -1, "2024-03-09")], {}),
    (
        "segs and bands",
        SEGS_BANDS,
        BOTH,
        [("WBC", "0.83", 1, T1), ("NEUTSGLE", "55.5", 1, T1), ("NEUTBLE", "3.1", 1, T1)],
        {0: "0.48638"},  # 0.83 × 58.6 %
    ),
    ("segs without bands", SEGS_BANDS, BOTH, [("WBC", "0.83", 1, T1), ("NEUTSGLE", "55.5", 1, T1)], {}),
    ("exact decimals", PERCENT, BOTH, [("WBC", "0.29", 1, T1), ("NEUTLE", "10.7", 1, T1)], {0: "0.03103"}),
    ("zero", PERCENT, BOTH, [("WBC", "0.00", 1, T1), ("NEUTLE", "10.7", 1, T1)], {0: "0"}),
    ("100 %", PERCENT, BOTH, [("WBC", "0.29", 1, T1), ("NEUTLE", "100.0", 1, T1)], {0: "0.29"}),
    ("over 100 %", PERCENT, BOTH, [("WBC", "0.29", 1, T1), ("NEUTLE", "100.1", 1, T1)], {}),
    (
        "over 100 % together",
        SEGS_BANDS,
        BOTH,
        [("WBC", "1", 1, T1), ("NEUTSGLE", "60", 1, T1), ("NEUTBLE", "41", 1, T1)],
        {},
    ),
    ("a comparator", PERCENT, BOTH, [("WBC", "<0.1", 1, T1), ("NEUTLE", "40", 1, T1)], {}),
    ("a text", PERCENT, BOTH, [("WBC", "0.1", 1, T1), ("NEUTLE", "PENDING", 1, T1)], {}),
    ("no result", PERCENT, BOTH, [("WBC", "0.1", 1, T1), ("NEUTLE", "", 1, T1)], {}),
    ("two WBC in one group", PERCENT, BOTH, [("WBC", "1", 1, T1), ("WBC", "2", 1, T1), ("NEUTLE", "40", 1, T1)], {}),
    ("two % in one group", PERCENT, BOTH, [("WBC", "1", 1, T1), ("NEUTLE", "30", 1, T1), ("NEUTLE", "40", 1, T1)], {}),
    ("reported there", PERCENT, BOTH, [("WBC", "1", 1, T1), ("NEUTLE", "40", 1, T1), ("NEUT", "0.4", 1, T1)], {}),
    ("reported with <", PERCENT, BOTH, [("WBC", "1", 1, T1), ("NEUTLE", "40", 1, T1), ("NEUT", "<0.5", 1, T1)], {}),
    (
        "reported elsewhere",
        PERCENT,
        BOTH,
        [("WBC", "1", 1, T1), ("NEUTLE", "40", 1, T1), ("NEUT", "9", 2, T2)],
        {0: "0.4"},
    ),
    ("no count", PERCENT, BOTH, [("NEUTLE", "40", 1, T1)], {}),
    ("nothing", PERCENT, BOTH, [], {}),
]


def derive(rows: Any, percents: tuple[str, ...], match: tuple[str, ...], subjects: Any = None) -> dict[int, str]:
    results = pd.DataFrame(rows, columns=["testcd", "text", "specimen", "instant"])
    results = results.astype({"testcd": "str", "text": "str", "specimen": "int64", "instant": "str"})
    results["subject"] = pd.Series(subjects or ["S"] * len(results), dtype="str")
    results["record"] = results.index
    made = counts_from_percent(results, "WBC", percents, match, "NEUT")
    for _, one in made.iterrows():
        assert [results["testcd"][p] for p in one["parents"]] == list(percents)
        assert all(results["subject"][p] == results["subject"][one["record"]] for p in one["parents"])
    return dict(zip(made["record"], made["text"], strict=True))


@pytest.mark.parametrize(("name", "percents", "match", "rows", "expected"), COUNTS, ids=[c[0] for c in COUNTS])
def test_counts_from_percent(name: str, percents: Any, match: Any, rows: Any, expected: dict[int, str]) -> None:
    assert derive(rows, percents, match) == expected


def test_counts_from_percent_never_mixes_subjects() -> None:
    rows = [("WBC", "2.5", -1, T1), ("NEUTLE", "40", -1, T1)]
    assert derive(rows, PERCENT, BOTH, ["S", "T"]) == {}


def test_reported_count_of_the_specimen_is_not_derived_by_its_instant() -> None:
    # the reported count stands on the same tube, its Observation carries another time
    rows = [("WBC", "1", 1, T1), ("NEUTLE", "40", 1, T1), ("NEUT", "0.4", 1, T2)]
    assert derive(rows, PERCENT, BOTH) == {}


def test_counts_from_percent_against_a_loop() -> None:
    rng = random.Random(17)
    for percents, how in itertools.product((SEGS_BANDS, PERCENT), ("specimen", "instant")):
        for _ in range(30):
            rows = [
                (
                    rng.choice(["WBC", *percents, "NEUT"]) if rng.random() < 0.9 else "PLAT",
                    rng.choice(["<1", f"{rng.randrange(1, 6000) / 100}"])
                    if rng.random() < 0.2
                    else f"{rng.randrange(70)}",
                    rng.choice([-1, 1, 2, 3]),
                    rng.choice(["2024-03-09", T1, T2, "2024-03-10T06:00"]),
                )
                for _ in range(9)
            ]
            subjects = [rng.choice("ST") for _ in rows]
            place = 2 if how == "specimen" else 3
            expected: dict[int, Fraction] = {}
            for group in {(s, r[place]) for s, r in zip(subjects, rows, strict=True)}:
                if group[1] == -1 or group[1] == "2024-03-09":
                    continue
                mine = [i for i, r in enumerate(rows) if (subjects[i], r[place]) == group]
                by_test = {t: [i for i in mine if rows[i][0] == t] for t in ("WBC", *percents, "NEUT")}
                parents = [by_test[t] for t in ("WBC", *percents)]
                if by_test["NEUT"] or any(len(p) != 1 for p in parents):
                    continue
                texts = [rows[p[0]][1] for p in parents]
                if any(t.startswith("<") for t in texts):
                    continue
                share = sum(Fraction(t) for t in texts[1:])
                if share <= 100:
                    expected[parents[0][0]] = Fraction(texts[0]) * share / 100
            found = derive(rows, percents, (how,), subjects)
            assert {i: Fraction(t) for i, t in found.items()} == expected

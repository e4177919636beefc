"""Transplants, elements, EPOCH, visits: what the rules of the protocol give for cases worked out by hand."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapter.derive.elements import element_spans, planned_start, subject_elements
from adapter.derive.epochs import DAYS, EARLIEST, epoch, epoch_of_disposition, epoch_of_finding
from adapter.derive.transplants import index_transplants, transplants
from adapter.derive.visits import out_of_order, planned_visits, subject_visits, visit_name, visit_number, visit_text


def text(*values: Any) -> pd.Series[str]:
    return pd.Series(list(values), dtype="str")


# --- transplants (protocol §2, A-17) --------------------------------------------------------------------------------

TRANSPLANTS = {
    # days of graft infusions, days of conditioning -> days 0 of the transplants
    "none": ([], [], []),
    "one, its conditioning not in the data": ([100], [], [100]),
    "bags within seven days are one, day 0 is the first": ([105, 100, 107], [95], [100]),
    "later without conditioning is a boost": ([100, 108], [95, 99], [100]),
    "conditioning before the first belongs to the first": ([100, 110], [95], [100]),
    "later with its own conditioning": ([100, 400], [95, 385], [100, 400]),
    "conditioning too long before": ([100, 400], [378], [100]),
    "conditioning on the day itself": ([100, 400], [400], [100, 400]),
    "a boost does not move the seven days": ([100, 108, 112, 400], [390], [100, 400]),
    "not known to the day": ([np.nan, 100], [], [100]),
}


@pytest.mark.parametrize("case", TRANSPLANTS)
def test_transplants(case: str) -> None:
    infusions, given, expected = TRANSPLANTS[case]
    grafts = pd.DataFrame({"USUBJID": "A", "day": np.array(infusions, dtype=float), "record": range(len(infusions))})
    conditioning = pd.DataFrame({"USUBJID": "A", "day": np.array(given, dtype=float)})
    found = transplants(grafts, conditioning, 7, True, 21)
    assert found["day"].tolist() == expected
    assert found["number"].tolist() == list(range(1, len(expected) + 1))
    assert [infusions[r] for r in found["record"]] == expected


def test_without_asking_for_conditioning_every_later_infusion_is_a_transplant() -> None:
    grafts = pd.DataFrame({"USUBJID": ["A", "A", "B"], "day": [100.0, 108.0, 5.0], "record": [0, 1, 2]})
    found = transplants(grafts, pd.DataFrame({"USUBJID": [], "day": []}), 7, False, 21)
    assert list(found[["USUBJID", "day"]].itertuples(index=False, name=None)) == [("A", 100), ("A", 108), ("B", 5)]


@pytest.mark.parametrize(
    ("rule", "limit", "day"),
    [
        ("last_before_randomisation", 500.0, 400),
        ("last_before_randomisation", 400.0, 400),
        ("last_before_randomisation", 399.0, 100),
        ("last_before_randomisation", 99.0, None),
        ("last_before_randomisation", np.nan, None),
        ("first", 500.0, 100),
    ],
)
def test_index_transplant(rule: Any, limit: float, day: int | None) -> None:
    found = pd.DataFrame({"USUBJID": "A", "number": [1, 2], "day": [100.0, 400.0], "record": [7, 9]})
    index = index_transplants(found, pd.Series({"A": limit}), rule)
    assert index["day"].tolist() == ([] if day is None else [day])


# --- elements (SDTMIG 3.4 §5.3) -------------------------------------------------------------------------------------


def test_planned_start() -> None:
    anchors = text("2024-03-05T10:00:00", "2024-03-05", "2024-03", "", None)
    assert planned_start(anchors, 0).tolist() == ["2024-03-05T10:00:00", "2024-03-05", "", "", ""]
    assert planned_start(anchors, 56).tolist() == ["2024-04-30", "2024-04-30", "", "", ""]


ELEMENTS = {
    # planned starts, last day, end -> (start, finish, moved)
    "as planned, goes on": (
        ["2024-03-01", "2024-03-05T10:00", "2024-04-30"], "2024-06-01", "",
        [("2024-03-01", "2024-03-05T10:00", False), ("2024-03-05T10:00", "2024-04-30", False),
         ("2024-04-30", "", False)],
    ),
    "left before the third": (
        ["2024-03-01", "2024-03-05", "2024-04-30"], "2024-04-29", "2024-04-29T08:00",
        [("2024-03-01", "2024-03-05", False), ("2024-03-05", "2024-04-29T08:00", False)],
    ),
    "on the last day it begins": (
        ["2024-03-01", "2024-03-05"], "2024-03-05", "2024-03-05",
        [("2024-03-01", "2024-03-05", False), ("2024-03-05", "2024-03-05", False)],
    ),
    "one whose day is not known is passed over": (
        ["", "2024-03-05", "", "2024-04-30"], "2024-06-01", "",
        [("2024-03-05", "2024-04-30", False), ("2024-04-30", "", False)],
    ),
    "never before the one ahead, nor before that one's new start": (
        ["2024-03-06", "2024-03-05T10:00", "2024-03-04"], "2024-06-01", "",
        [("2024-03-06", "2024-03-06", False), ("2024-03-06", "2024-03-06", True), ("2024-03-06", "", True)],
    ),
    "earlier on the same day": (
        ["2024-03-05T10:00", "2024-03-05T09:59:59"], "2024-06-01", "",
        [("2024-03-05T10:00", "2024-03-05T10:00", False), ("2024-03-05T10:00", "", True)],
    ),
    "on the same day, at no known time": (
        ["2024-03-05T10:00", "2024-03-05"], "2024-06-01", "",
        [("2024-03-05T10:00", "2024-03-05T10:00", False), ("2024-03-05T10:00", "", False)],
    ),
    "nothing known": (["", ""], "2024-06-01", "", []),
}  # fmt: skip


def day(iso: str) -> float:
    return float((date.fromisoformat(iso) - date(1970, 1, 1)).days)


@pytest.mark.parametrize("case", ELEMENTS)
def test_subject_elements(case: str) -> None:
    starts, last, end, expected = ELEMENTS[case]
    planned = pd.DataFrame({"USUBJID": "A", "start": text(*starts)})
    found = subject_elements(planned, pd.Series({"A": day(last)}), pd.Series({"A": end}))
    assert list(found[["start", "finish", "moved"]].itertuples(index=False, name=None)) == expected


def test_subjects_do_not_touch_each_other() -> None:
    planned = pd.DataFrame({"USUBJID": ["A", "B", "B"], "start": text("2024-03-01", "2024-02-01", "2024-02-05")})
    last = pd.Series({"A": day("2024-06-01"), "B": day("2024-06-01")})
    found = subject_elements(planned, last, pd.Series({"A": "", "B": "2024-06-01"}))
    assert found["finish"].tolist() == ["", "2024-02-05", "2024-06-01"]


def test_spans_of_the_plan() -> None:
    """Two elements of one epoch are one span; an epoch without a known day has none and ends nothing."""
    planned = pd.DataFrame(
        {
            "USUBJID": ["A"] * 5,
            "EPOCH": ["S", "T", "T", "F", "L"],
            "start": text("2024-03-01", "2024-03-05T10:00", "2024-03-20", "", "2025-01-10"),
        }
    )
    found = element_spans(planned)
    assert list(found[["EPOCH", "first", "until"]].itertuples(index=False, name=None)) == [
        ("S", day("2024-03-01"), day("2024-03-05")),
        ("T", day("2024-03-05"), day("2025-01-10")),
        ("L", day("2025-01-10"), np.inf),
    ]


# --- EPOCH ----------------------------------------------------------------------------------------------------------

SE = pd.DataFrame(
    {
        "USUBJID": ["A", "A", "A", "B", "B"],
        "SESTDTC": text("2024-03-01", "2024-03-05T10:00", "2024-04-30", "2024-03-04", "2024-03-04"),
        "EPOCH": ["SCREENING", "TREATMENT", "FOLLOW-UP", "SCREENING", "TREATMENT"],
    }
)
EPOCHS = [
    # subject, date, of an event, of a finding (untimed: before), of a finding (untimed: after)
    ("A", "2024-02-29T23:59:59", "", "", ""),
    ("A", "2024-03-01", "SCREENING", "SCREENING", "SCREENING"),
    ("A", "2024-03-01T00:00", "SCREENING", "SCREENING", "SCREENING"),
    ("A", "2024-03-05T09:59:59", "SCREENING", "SCREENING", "SCREENING"),
    ("A", "2024-03-05", "TREATMENT", "SCREENING", "TREATMENT"),
    ("A", "2024-03-05T10:00", "TREATMENT", "SCREENING", "SCREENING"),
    ("A", "2024-03-05T10:00:00", "TREATMENT", "SCREENING", "SCREENING"),
    ("A", "2024-03-05T10:00:01", "TREATMENT", "TREATMENT", "TREATMENT"),
    ("A", "2024-04-29T23:59", "TREATMENT", "TREATMENT", "TREATMENT"),
    ("A", "2024-04-30", "FOLLOW-UP", "FOLLOW-UP", "FOLLOW-UP"),
    ("A", "2030-01-01", "FOLLOW-UP", "FOLLOW-UP", "FOLLOW-UP"),
    ("A", "2024-04", "", "", ""),
    ("A", "", "", "", ""),
    ("B", "2024-03-03", "", "", ""),
    # both elements begin on this day, and the reference start has no time
    ("B", "2024-03-04", "TREATMENT", "", "TREATMENT"),
    ("B", "2024-03-05", "TREATMENT", "TREATMENT", "TREATMENT"),
    ("C", "2024-03-05", "", "", ""),
]
REFERENCE = {"A": "2024-03-05T10:00", "B": "2024-03-04", "C": ""}


def test_epoch() -> None:
    subjects, dates = text(*(r[0] for r in EPOCHS)), text(*(r[1] for r in EPOCHS))
    reference = subjects.map(REFERENCE)
    assert epoch(subjects, dates, SE).tolist() == [r[2] for r in EPOCHS]
    assert epoch_of_finding(subjects, dates, SE, reference, "before").tolist() == [r[3] for r in EPOCHS]
    assert epoch_of_finding(subjects, dates, SE, reference, "after").tolist() == [r[4] for r in EPOCHS]
    milestones = pd.Series("PROTOCOL MILESTONE", index=subjects.index)
    assert epoch_of_disposition(subjects, dates, SE, reference, milestones).tolist() == [r[3] for r in EPOCHS]
    events = pd.Series("DISPOSITION EVENT", index=subjects.index)
    assert epoch_of_disposition(subjects, dates, SE, reference, events).tolist() == [r[2] for r in EPOCHS]


def test_epoch_keeps_the_order_and_index_of_its_records() -> None:
    dates = text("2024-04-30", "2024-03-01", None)
    dates.index = pd.Index([7, 3, 5])
    found = epoch(pd.Series("A", index=dates.index), dates, SE)
    assert found.to_dict() == {7: "FOLLOW-UP", 3: "SCREENING", 5: ""}


@pytest.mark.parametrize("empty", [SE.iloc[:0], SE])
def test_epoch_of_nothing(empty: pd.DataFrame) -> None:
    assert epoch(text(), text(), empty).tolist() == []
    assert epoch(text("A"), text("1999-01-01"), empty.iloc[:0]).tolist() == [""]


def test_every_day_of_the_calendar_has_room() -> None:
    assert date.min.toordinal() - date(1970, 1, 1).toordinal() + EARLIEST > 0
    assert date.max.toordinal() - date(1970, 1, 1).toordinal() + EARLIEST < DAYS
    ends = text("0001-01-01", "9999-12-31")
    se = pd.DataFrame({"USUBJID": ["A", "B"], "SESTDTC": text("0001-01-01", "9999-12-31"), "EPOCH": ["X", "Y"]})
    assert epoch(text("A", "B"), ends, se).tolist() == ["X", "Y"]
    assert epoch(text("B", "A"), ends, se).tolist() == ["", "X"]


# --- visits ---------------------------------------------------------------------------------------------------------


def visit(number: int, anchor: str, target: int, before: int, after: int, epoch_: str, **more: Any) -> Any:
    known = {"VISITNUM": number, "anchor": anchor, "target_day": target, "days_before": before, "days_after": after}
    return SimpleNamespace(**known, epoch=epoch_, **({"ARMCD": None, "extent": "day"} | more))


PLAN = [
    visit(1, "consent", 0, 10, 10, "S", extent="window"),
    visit(2, "reference_start", 1, 0, 2, "T"),
    visit(3, "reference_start", 8, 2, 2, "T", ARMCD="X"),
    visit(10, "transplant", 30, 7, 7, "F"),
    visit(11, "transplant", 60, 7, 7, "F"),
]


def subjects(**more: Any) -> pd.DataFrame:
    columns = {"arm": "X", "consent": 100.0, "reference_start": 105.0, "transplant": 90.0, "last": 300.0}
    return pd.DataFrame(columns | {"ended": False, "cut": 300.0} | more, index=pd.Index(["A"], name="USUBJID"))


SPANS = pd.DataFrame(
    {"USUBJID": "A", "EPOCH": ["S", "T", "F"], "first": [100.0, 105.0, 130.0], "until": [105.0, 130.0, np.inf]}
)
PLANNED = {
    "as planned; a visit whose day is in another epoch is not": (
        {}, [(1, 100, 90, 104, True), (2, 105, 105, 107, True), (3, 112, 110, 114, True), (11, 150, 143, 157, True)]),
    "another arm": ({"arm": "Y"}, [(1, 100, 90, 104, True), (2, 105, 105, 107, True), (11, 150, 143, 157, True)]),
    "no transplant": ({"transplant": np.nan}, [(1, 100, 90, 104, True), (2, 105, 105, 107, True), (3, 112, 110, 114, True)]),
    "the window is open at the cut": (
        {"cut": 113.0, "last": 113.0},
        [(1, 100, 90, 104, True), (2, 105, 105, 107, True), (3, 112, 110, 114, False), (11, 150, 143, 157, False)]),
    "took part to the day of the visit": (
        {"last": 112.0, "ended": True},
        [(1, 100, 90, 104, True), (2, 105, 105, 107, True), (3, 112, 110, 114, True), (11, 150, 143, 157, False)]),
    "left before the day of the visit": (
        {"last": 111.0, "ended": True},
        [(1, 100, 90, 104, True), (2, 105, 105, 107, True), (3, 112, 110, 114, False), (11, 150, 143, 157, False)]),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANNED)
def test_planned_visits(case: str) -> None:
    more, expected = PLANNED[case]
    found = planned_visits(PLAN, subjects(**more), SPANS, {("X", 8)})
    columns = ["VISITNUM", "target", "first", "last", "due"]
    assert list(found[columns].itertuples(index=False, name=None)) == expected
    assert found["dosing"].tolist() == [n == 3 for n in found["VISITNUM"]]
    assert found["span"].tolist() == [n == 1 for n in found["VISITNUM"]]


def held(days: list[int], dosed: tuple[int, ...] = (), plan: pd.DataFrame | None = None) -> dict[float, Any]:
    planned = planned_visits(PLAN, subjects(), SPANS, {("X", 8)}) if plan is None else plan
    contacts = pd.DataFrame({"USUBJID": "A", "day": np.array(days, dtype=float), "dosed": [d in dosed for d in days]})
    found = subject_visits(planned, contacts)
    return {r.VISITNUM: (r.start, r.end) if r.start == r.start else None for r in found.itertuples()}


VISITS = {
    "every contact of the window": ([90, 100, 104], (), {1: (90, 104)}),
    "before the window": ([89, 100], (), {1: (100, 100)}),
    "the contact nearest to the day": ([111, 114], (), {3: (111, 111), 3.01: (114, 114)}),
    "of equal ones the earlier": ([113, 111], (), {3: (111, 111), 3.01: (113, 113)}),
    "the day of a dose first": ([112, 114], (114,), {3: (114, 114)}),
    "a dose changes nothing where none is due": ([105, 106], (106,), {2: (105, 105), 2.01: (106, 106)}),
    "numbered after the visit held before": (
        [105, 109, 110, 120, 150, 160], (), {2: (105, 105), 2.01: (109, 109), 3: (110, 110), 3.01: (120, 120),
                                             11: (150, 150), 11.01: (160, 160)}),
    "nothing before the first visit": ([95, 70, 120], (), {1: (95, 95), 1.01: (120, 120)}),
    "no contact": ([], (), {}),
}  # fmt: skip


@pytest.mark.parametrize("case", VISITS)
def test_visits_held(case: str) -> None:
    days, dosed, expected = VISITS[case]
    found = held(days, dosed)
    assert {n: v for n, v in found.items() if v} == expected
    assert {n for n, v in found.items() if v is None} == {1, 2, 3, 11} - set(expected)


@pytest.mark.parametrize(("count", "first", "last"), [(99, 11.01, 11.99), (100, 11.001, 11.1), (1000, 11.0001, 11.1)])
def test_many_unscheduled_visits_have_numbers_of_their_own(count: int, first: float, last: float) -> None:
    found = [n for n in held([150, *range(200, 200 + count)]) if n > 11]
    assert (len(found), min(found), max(found)) == (count, first, last)
    assert found == sorted(found), "in the order of their days"


@pytest.mark.parametrize(("number", "name"), [(3.01, "3.01"), (3.1, "3.1"), (12.001, "12.001"), (5.33, "5.33")])
def test_one_name_for_one_number(number: float, name: str) -> None:
    assert visit_text(number) == f"UNSCHEDULED {name}"


def test_a_day_in_two_windows_belongs_to_the_nearer_visit() -> None:
    plan = pd.DataFrame(
        {"USUBJID": "A", "VISITNUM": [6.0, 10.0], "target": [56.0, 60.0], "first": [50.0, 53.0], "last": [60.0, 67.0],
         "span": False, "due": True, "dosing": False}
    )  # fmt: skip
    assert held([57], plan=plan) == {6: (57, 57), 10: None}
    assert held([58], plan=plan) == {6: (58, 58), 10: None}
    assert held([59], plan=plan) == {6: None, 10: (59, 59)}


def test_order_of_visits() -> None:
    made = pd.DataFrame(
        {"USUBJID": ["A"] * 4 + ["B"] * 2, "VISITNUM": [1.0, 2.0, 2.01, 3.0, 1.0, 2.0], "planned": [1, 1, 0, 1, 1, 1],
         "start": [100.0, 105.0, 90.0, np.nan, 100.0, 95.0], "end": [104.0, 105.0, 90.0, np.nan, 102.0, 95.0]}
    ).astype({"planned": bool})  # fmt: skip
    assert out_of_order(made).dropna().to_dict() == {5: 1.0}


SV = pd.DataFrame(
    {
        "USUBJID": ["A", "A", "A", "A", "B"],
        "VISITNUM": [1.0, 2.0, 2.01, 3.0, 1.0],
        "VISIT": ["SCREENING", "DAY 1", "UNSCHEDULED 2.01", "DAY 8", "SCREENING"],
        "SVSTDTC": text("2024-03-01", "2024-03-05", "2024-03-07", "", "2024-03-05"),
        "SVENDTC": text("2024-03-06", "2024-03-05", "2024-03-07", "", "2024-03-05"),
    }
)


def test_visit_of_a_record() -> None:
    """Of two visits of one day the shorter one counts; a visit not held has no day."""
    cases = [
        ("A", "2024-02-29", None), ("A", "2024-03-01", 1.0), ("A", "2024-03-05T08:00", 2.0), ("A", "2024-03-06", 1.0),
        ("A", "2024-03-07T23:59:59", 2.01), ("A", "2024-03-08", None), ("A", "2024-03", None), ("A", "", None),
        ("B", "2024-03-05", 1.0), ("B", "2024-03-07", None), ("C", "2024-03-05", None),
    ]  # fmt: skip
    number = visit_number(text(*(c[0] for c in cases)), text(*(c[1] for c in cases)), SV)
    assert [None if n != n else n for n in number] == [c[2] for c in cases]
    names = dict(zip(SV["VISITNUM"], SV["VISIT"], strict=True))
    assert visit_name(number, SV).tolist() == [names.get(c[2], "") for c in cases]
    assert visit_number(text("A"), text("2024-03-01"), SV.iloc[:0]).isna().all()
    assert visit_name(pd.Series([np.nan]), SV.iloc[:0]).tolist() == [""]

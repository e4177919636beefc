"""Deviations: planned days, doses per day, the step rule; each case a literal, and an independent naive recomputation."""

from __future__ import annotations

from itertools import combinations, pairwise
from random import Random

import numpy as np
import pandas as pd
import pytest

from adapter.derive.deviations import dose_in, each_day, matched_days, outside, plain, stretches
from adapter.derive.steps import Rule, steps_broken

PLAN = (1, 8, 15, 22)


@pytest.mark.parametrize(
    ("days", "places"),
    [
        ((1, 8, 15, 22), (0, 1, 2, 3)),
        ((1, 8, 19, 22), (0, 1, 2, 3)),  # one late infusion does not move the next
        ((1, 15, 22), (0, 2, 3)),  # the second was skipped, the others are on their days
        ((1, 8, 22, 29), (0, 1, 2, 3)),  # postponed by a week: all four have their places
        ((1, 8, 15, 22, 29), (0, 1, 2, 3, -1)),  # one too many
        ((40,), (3,)),
        ((), ()),
    ],
)
def test_infusions_are_matched_to_planned_days(days: tuple[int, ...], places: tuple[int, ...]) -> None:
    assert matched_days(days, PLAN) == places


def test_matching_is_the_best_of_all_matchings() -> None:
    rng = Random(5)
    for _ in range(200):
        days = sorted(rng.sample(range(1, 45), rng.randint(1, 5)))
        found = matched_days(days, PLAN)
        n = min(len(days), len(PLAN))
        least = min(
            sum(abs(days[i] - PLAN[j]) for i, j in zip(a, b, strict=True))
            for a in combinations(range(len(days)), n)
            for b in combinations(range(len(PLAN)), n)
        )
        used = [(i, j) for i, j in enumerate(found) if j >= 0]
        assert len(used) == n
        assert sum(abs(days[i] - PLAN[j]) for i, j in used) == least
        assert [j for _, j in used] == sorted({j for _, j in used})


@pytest.mark.parametrize(
    ("dose", "unit", "weight", "wanted", "expected"),
    [
        (5.0, "ug/kg", None, "ug/kg/day", 5.0),
        (5.0, "ug/kg/day", None, "ug/kg/day", 5.0),
        (300.0, "ug", 60.0, "ug/kg/day", 5.0),
        (0.3, "mg", 60.0, "ug/kg/day", 5.0),
        (300.0, "ug", None, "ug/kg/day", None),  # no weight: not known
        (300.0, "U/kg", None, "U/kg/day", 300.0),
        (15000.0, "U", 50.0, "U/kg/day", 300.0),
        (1.0, "mL", 50.0, "ug/kg/day", None),  # a volume is no mass
        (5.0, "U/kg", None, "ug/kg/day", None),
        (None, "ug/kg", 50.0, "ug/kg/day", None),
        (2.0, "mg/kg", 50.0, "mg/day", 100.0),
    ],
)
def test_dose_in_the_unit_of_the_range(
    dose: float | None, unit: str, weight: float | None, wanted: str, expected: float | None
) -> None:
    one = dose_in(pd.Series([dose], dtype="float64"), pd.Series([unit]), pd.Series([weight], dtype="float64"), wanted)
    assert one.astype(object).where(one.notna(), None).tolist() == [expected]


def test_doses_of_a_day_add_up_and_an_unknown_one_makes_it_unknown() -> None:
    records = pd.DataFrame(
        [
            ("A", 10, 10, 3.0, False, 1.0),
            ("A", 10, 10, 4.0, False, 2.0),
            ("A", 11, 11, np.nan, False, 3.0),
            ("A", 11, 11, 4.0, False, 4.0),
            ("A", 12, 14, 2.0, True, 5.0),  # says what each day had
            ("B", 12, 13, 2.0, False, 1.0),  # does not
        ],
        columns=["USUBJID", "first", "last", "amount", "per_day", "seq"],
    )
    found = each_day(records)
    rows = [tuple(r) for r in found.astype(object).where(found.notna(), None).to_numpy().tolist()]
    assert rows == [
        ("A", 10.0, 7.0, 1.0),
        ("A", 11.0, None, 3.0),
        ("A", 12.0, 2.0, 5.0),
        ("A", 13.0, 2.0, 5.0),
        ("A", 14.0, 2.0, 5.0),
        ("B", 12.0, None, 1.0),
        ("B", 13.0, None, 1.0),
    ]
    wrong = found[outside(found["amount"], 5, 10, 0).to_numpy()]
    assert stretches(wrong).to_numpy().tolist() == [["A", 12.0, 14.0, 2.0, 5.0]]
    assert len(stretches(wrong.iloc[:0])) == 0


@pytest.mark.parametrize(
    ("amount", "low", "high", "tolerance", "is_outside"),
    [
        (0.9, 1, 1, 10, False),
        (0.89, 1, 1, 10, True),
        (1.1, 1, 1, 10, False),
        (1.11, 1, 1, 10, True),
        (5.0, 5, 10, 0, False),
        (4.99, 5, 10, 0, True),
        (330.0, 300, 300, 10, False),
        (None, 5, 10, 0, False),
    ],
)
def test_outside_a_range(amount: float | None, low: float, high: float, tolerance: float, is_outside: bool) -> None:
    assert outside(pd.Series([amount], dtype="float64"), low, high, tolerance).tolist() == [is_outside]


@pytest.mark.parametrize(("number", "text"), [(0.4, "0.4"), (1.0, "1"), (15.0, "15"), (4.958, "4.96"), (-0.001, "0")])
def test_plain_numbers(number: float, text: str) -> None:
    assert plain(number) == text


RULE = Rule(1.0, 50.0, 14, 200.0, 400.0, 400.0, 2)


def _course(*parts: tuple[int, int, float]) -> dict[int, float]:
    return {d: dose for first, last, dose in parts for d in range(first, last + 1)}


def _counts(*parts: tuple[int, int, float]) -> dict[int, tuple[float, float]]:
    return {d: (v, v) for first, last, v in parts for d in range(first, last + 1)}


NOT_UP = "not up from 1 after 14 days below 50"
CASES = [
    ("by the rule", _course((1, 14, 1), (15, 28, 2)), _counts((1, 30, 20)), []),
    ("begun with two", _course((1, 10, 2)), {}, [(1, "begun with 2, not 1")]),
    ("up too early", _course((1, 7, 1), (8, 20, 2)), _counts((-5, 3, 80), (4, 20, 20)), [
        (8, "up from 1 to 2 with a count of 80 in the 14 days before")]),
    ("up, nothing known of the count", _course((1, 7, 1), (8, 20, 2)), {}, []),
    ("up by two levels", _course((1, 14, 1), (15, 20, 3)), _counts((1, 20, 20)), [
        (15, "up from 1 to 3, more than one level")]),
    ("never up", _course((1, 20, 1)), _counts((1, 20, 20)), [(17, NOT_UP)]),
    ("up within the days of grace", _course((1, 16, 1), (17, 20, 2)), _counts((1, 20, 20)), []),
    ("a day without a count leaves it open", _course((1, 20, 1)), _counts((1, 9, 20), (11, 20, 20)), []),
    ("down as asked", _course((1, 14, 1), (15, 20, 2), (21, 25, 1)), _counts((1, 19, 20), (20, 20, 250)), []),
    ("not down", _course((1, 14, 1), (15, 25, 2)), _counts((1, 19, 20), (20, 20, 250)), [
        (23, "not down from 2 after a count of 250")]),
    ("down unasked", _course((1, 14, 1), (15, 20, 2), (21, 25, 1)), _counts((1, 25, 20)), [
        (21, "down from 2 to 1 with no count of 200 or more")]),
    ("not stopped", _course((1, 10, 1)), _counts((5, 5, 450)), [(8, "not stopped after a count of 450")]),
    ("stopped in time", _course((1, 7, 1)), _counts((5, 5, 450)), []),
    ("a dose that is not known", {d: float("nan") for d in range(1, 30)}, _counts((1, 30, 20)), []),
    ("a pause is no step", _course((1, 5, 1), (20, 25, 3)), _counts((1, 25, 100)), []),
]  # fmt: skip


@pytest.mark.parametrize(("doses", "counts", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_step_rule(
    doses: dict[int, float], counts: dict[int, tuple[float, float]], expected: list[tuple[int, str]]
) -> None:
    assert [tuple(b) for b in steps_broken(doses, counts, RULE, 1)] == expected


def test_what_was_begun_before_randomisation_is_not_judged_as_a_begin() -> None:
    assert steps_broken(_course((1, 10, 2)), {}, RULE, 5) == []


def naive_steps(doses: dict[int, float], counts: dict[int, tuple[float, float]], since: int) -> list[tuple[int, str]]:
    """The rule of protocol §1 and §5 with two days of grace, day by day: what doses and counts prove to be against it.

    An episode is a dose on days with gaps of at most two days; a longer gap is an interruption, after which the dose is
    not judged. Up and down are judged on the day of the change, a step that was missed when the grace has passed.
    """
    given = sorted(doses)
    episodes: list[list[int]] = []
    for day in given:
        last = episodes[-1][-1] if episodes else None
        if last is not None and day - last <= 3 and doses[last] == doses[day]:
            episodes[-1].append(day)
        else:
            episodes.append([day])
    found: set[tuple[int, str]] = set()
    if given and given[0] >= since and doses[given[0]] != 1:
        found.add((given[0], f"begun with {doses[given[0]]:g}, not 1"))
    for before, after in pairwise(episodes):
        day, old, new = after[0], doses[before[0]], doses[after[0]]
        if day < since or day - before[-1] > 3:
            continue
        if new > old:
            asked, highest = False, 0.0
            for until in (day - 2, day - 1, day):
                known = [counts[d][0] for d in range(until - 13, until + 1) if d in counts]
                high = [c for c in known if c >= 50]
                asked |= not high
                highest = max(high, default=0.0)
            if not asked:
                found.add((day, f"up from {old:g} to {new:g} with a count of {highest:g} in the 14 days before"))
            if new - old > 1:
                found.add((day, f"up from {old:g} to {new:g}, more than one level"))
        if new < old:
            known = [counts[d][1] for d in range(before[0], day + 1) if d in counts]
            if known and max(known) < 200:
                found.add((day, f"down from {old:g} to {new:g} with no count of 200 or more"))
    for episode in episodes:
        dose = doses[episode[0]]
        for day in range(max(episode[0], since), episode[-1] - 2):  # on day + 3 the dose still goes on
            least, most = counts.get(day, (float("-inf"), float("inf")))
            fortnight = [counts.get(d, (0.0, float("inf")))[1] for d in range(day - 13, day + 1)]
            reason = ""
            if least > 400:
                reason = f"not stopped after a count of {least:g}"
            elif least >= 200 and most <= 400 and dose > 1:
                reason = f"not down from {dose:g} after a count of {least:g}"
            elif day - 13 >= episode[0] and max(fortnight) < 50:
                reason = f"not up from {dose:g} after 14 days below 50"
            if reason:
                found.add((day + 3, reason))
                break
    return sorted(found)


def test_step_rule_of_random_courses_agrees_with_reading_it_day_by_day() -> None:
    rng = Random(8)
    seen: dict[str, int] = {}
    for _ in range(1500):
        doses: dict[int, float] = {}
        day = rng.randint(1, 4)
        dose = rng.choice([1.0, 1.0, 1.0, 2.0])
        for _ in range(rng.randint(1, 4)):
            for _ in range(rng.choice([3, 13, 14, 15, 16, 17, 25])):
                doses[day] = dose
                day += rng.choice([1] * 30 + [2, 3, 4])
            day += rng.choice([0, 0, 0, 2, 3])
            dose = max(1.0, dose + rng.choice([1, 1, 1, -1, 2]))
        level, counts = rng.choice([20.0, 20.0, 49.0, 80.0]), {}
        for d in range(-15, day + 3):
            if rng.random() < 0.03:
                level = rng.choice([20.0, 49.0, 50.0, 80.0, 199.0, 200.0, 300.0, 400.0, 401.0])
            if rng.random() < 0.98:
                counts[d] = (level, level) if rng.random() < 0.98 else (float("-inf"), level)
            if rng.random() < 0.01:
                counts[d] = (level, float("inf"))
        since = rng.choice([1, 1, 1, 8])
        expected = naive_steps(doses, counts, since)
        assert [tuple(b) for b in steps_broken(doses, counts, RULE, since)] == expected, (doses, counts, since)
        for _, reason in expected:
            seen[reason.split()[0] + reason.split()[1]] = seen.get(reason.split()[0] + reason.split()[1], 0) + 1
    assert {"begunwith", "upfrom", "downfrom", "notup", "notdown", "notstopped"} <= set(seen)

"""Data from which nothing can be said: the statistic is missing, the reason stands beside it, and nothing is divided by zero."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapter.stats.estimates import Estimate, PValue, normal_quantile
from adapter.stats.gray import gray
from adapter.stats.hazards import cox, log_rank
from adapter.stats.incidence import cumulative_incidence, incidence_at
from adapter.stats.rates import difference, fisher, holm, odds_ratio, proportion
from adapter.stats.survival import kaplan_meier, quantile, survival_at
from adapter.stats.times import times_of
from tests import naive_statistics as naive

pytestmark = pytest.mark.filterwarnings("error")

Result = Estimate | PValue
A_B = ["a"] * 4 + ["b"] * 4
FIRST = np.array([True] * 4 + [False] * 4)
SPREAD = [1, 2, 3, 4, 5, 6, 7, 8]


def missing(result: Result, reason: str) -> None:
    assert reason in result.why
    assert (result.value if isinstance(result, Estimate) else result.p) is None
    assert result.method


def hazards(time: list[int], status: list[int], first: Any = FIRST) -> list[Result]:
    t, f = times_of(time, status), np.asarray(first)
    model = cox(t, f)
    return [log_rank(t, f), model.ratio, model.log_ratio, model.wald, model.score, model.likelihood_ratio]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (proportion(0, 0), "no subjects"),
        (difference(0, 0, 3, 9), "no subjects in an arm"),
        (difference(3, 9, 0, 0), "no subjects in an arm"),
        (fisher(0, 0, 3, 9), "no subjects in an arm"),
        (odds_ratio(0, 0, 3, 9), "no subjects in an arm"),
        (odds_ratio(0, 9, 0, 7), "no responders in either arm"),
        (odds_ratio(9, 9, 7, 7), "all subjects of both arms are responders"),
        (odds_ratio(9, 9, 3, 7), "infinite"),
    ],
)
def test_rates(result: Result, reason: str) -> None:
    missing(result, reason)


@pytest.mark.parametrize(("x1", "x2", "note"), [(0, 0, "no responders in either arm"), (9, 7, "all subjects of both")])
def test_a_zero_margin_tests_nothing_and_says_so(x1: int, x2: int, note: str) -> None:
    for side in ("two-sided", "one-sided"):
        found = fisher(x1, 9, x2, 7, side)
        assert found.p == 1
        assert note in found.note


@pytest.mark.parametrize("counts", [(5, 4, 1, 2), (-1, 4, 1, 2), (1, 4, 3, 2)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int, int]) -> None:
    for f in (difference, fisher, odds_ratio):
        with pytest.raises(ValueError, match="expected a count"):
            f(*counts)


def test_newcombe_s_own_example() -> None:
    """Newcombe 1998 (Stat Med 17:873), contrast (a): 56 of 70 against 48 of 80, methods 10 and 11."""
    for continuity, low, high in ((False, 0.0524, 0.3339), (True, 0.0428, 0.3422)):
        found = difference(56, 70, 48, 80, continuity=continuity)
        assert (round(found.lower or 0, 4), round(found.upper or 0, 4)) == (low, high)
    # contrasts (e) and (g): no responders; 0 of 10 against 0 of 20, 0 of 10 against 0 of 10
    for counts, low, high in (((0, 10, 0, 20), -0.2005, 0.3445), ((0, 10, 0, 10), -0.3445, 0.3445)):
        found = difference(*counts, continuity=True)
        assert (round(found.lower or 0, 4), round(found.upper or 0, 4)) == (low, high)


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.01], [0.5, 0.02]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([0.02, None, 0.01], [0.04, None, 0.03]),
        ([], []),
    ],
)
def test_holm(p: list[float | None], adjusted: list[float | None]) -> None:
    assert holm(p) == [None if a is None else pytest.approx(a) for a in adjusted]


def test_no_subjects() -> None:
    none = times_of([], [])
    missing(survival_at(kaplan_meier(none), 28), "no subjects")
    missing(quantile(kaplan_meier(none), 0.5), "no subjects")
    missing(incidence_at(cumulative_incidence(none), 28), "no subjects")
    missing(gray(none, []), "no subjects")
    missing(gray(times_of(SPREAD, [1] * 8), ["a"] * 8), "no subjects in an arm")
    for r in hazards([], [], np.empty(0, dtype=bool)) + hazards(SPREAD, [1] * 8, [True] * 8):
        missing(r, "no subjects in an arm")


def test_all_censored() -> None:
    t = times_of(SPREAD, [0] * 8)
    curve = kaplan_meier(t)
    missing(quantile(curve, 0.5), "no event: all subjects are censored")
    missing(survival_at(curve, 9), "follow-up ends on day 8")
    alive = survival_at(curve, 8)
    assert (alive.value, alive.lower, alive.upper) == (1, 1, 1)
    assert "no width" in alive.note
    found = incidence_at(cumulative_incidence(t), 8)
    assert (found.value, found.lower, found.upper) == (0, None, None)
    assert "no interval" in found.note
    missing(incidence_at(cumulative_incidence(t), 9), "follow-up ends on day 8")
    missing(gray(t, A_B), "no event in any arm")
    for r in hazards(SPREAD, [0] * 8):
        missing(r, "no event in either arm")


def test_competing_events_only() -> None:
    t = times_of(SPREAD, [2] * 8)
    found = incidence_at(cumulative_incidence(t), 100)
    assert found.value == 0  # nobody is left who could have the event
    missing(gray(t, A_B), "no event in any arm")
    for r in hazards(SPREAD, [2] * 8):
        missing(r, "no event in either arm")


def test_everybody_has_the_event_on_one_day() -> None:
    t = times_of([5] * 8, [1] * 8)
    curve = kaplan_meier(t)
    dead = survival_at(curve, 5)
    assert (dead.value, dead.lower, dead.upper) == (0, None, None)
    assert dead.note
    assert survival_at(curve, 400).value == 0
    median = quantile(curve, 0.5)
    assert (median.value, median.lower, median.upper) == (5, None, None)
    every = incidence_at(cumulative_incidence(t), 5)
    assert (every.value, every.lower, every.upper) == (1, None, None)
    missing(gray(t, A_B), "no variance")
    for r in hazards([5] * 8, [1] * 8):
        missing(r, "all subjects at risk had the event on the same day")


def test_all_events_on_one_day_with_others_left_is_estimable() -> None:
    time, status = [5] * 8, [1, 1, 1, 0, 1, 0, 0, 0]
    for r in hazards(time, status):
        assert not r.why
    assert gray(times_of(time, status), A_B).p is not None


def test_one_arm_without_events() -> None:
    ratio, log_ratio, wald, score, gain = hazards(SPREAD, [1] * 4 + [0] * 4)[1:]
    for r in (ratio, log_ratio, wald, gain):
        missing(
            r, "no event in the second arm on a day on which both have subjects at risk: the ratio is 0 or infinite"
        )
    assert isinstance(score, PValue)
    assert score.p is not None  # the score test needs no maximum
    missing(hazards(SPREAD, [0] * 4 + [1] * 4)[0], "no event on a day on which both arms have subjects at risk")
    missing(hazards([9] * 4 + SPREAD[:4], [0] * 4 + [1] * 4)[1], "no event in the first arm")


def test_arms_that_follow_each_other_have_no_ratio() -> None:
    """All events of the first arm come before any of the second: the likelihood grows without end."""
    missing(hazards([1, 2, 3, 4, 5, 6, 7, 8], [1] * 8)[1], "no event in the second arm")


def test_one_subject_each() -> None:
    t = times_of([3, 5], [1, 1])
    first = np.array([True, False])
    assert log_rank(t, first).p is not None
    missing(cox(t, first).ratio, "no event in the second arm")
    gray(t, ["a", "b"])


def test_an_arm_that_nobody_is_left_in_adds_nothing_to_gray_s_variance() -> None:
    """Arm a is empty on the day of two events, and half of it was free of events: 2 x 0.5 - 1 is 0."""
    found = gray(times_of([0, 1, 0, 1], [2, 2, 0, 2]), list("abab"), 2)
    groups = [[(0, 2, -1), (0, 0, -1)], [(1, 2, -1), (1, 2, -1)]]
    score, covariance = (np.array(x)[..., :-1] for x in naive.gray(groups, 2))
    assert found.statistic == pytest.approx(float(score @ np.linalg.inv(covariance[:-1]) @ score))


def test_delayed_entry() -> None:
    t = times_of([5, 9, 3, 12, 14], [1, 1, 1, 1, 0], entry=[0, 9, 4, 10, 10])
    assert (len(t), t.left_out) == (3, 2)
    curve = kaplan_meier(t)
    reason = "under observation on day 5 had the event, before others came under observation"
    missing(survival_at(curve, 5), reason)
    missing(quantile(curve, 0.5), reason)
    assert survival_at(curve, 4).value == 1
    missing(incidence_at(cumulative_incidence(t), 13), "under observation on day 5")
    missing(gray(t, ["a", "b", "b"]), "not defined with delayed entry")
    missing(log_rank(t, np.array([True, False, False])), "no event on a day on which both arms")
    nobody = times_of([5], [1], entry=[5])
    assert nobody.left_out == 1
    missing(survival_at(kaplan_meier(nobody), 3), "no subjects")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: times_of([1, 2], [1]), "as many of each"),
        (lambda: times_of([1, float("nan")], [1, 0]), "missing or infinite"),
        (lambda: times_of([1, -1], [1, 0]), "expected days from 0"),
        (lambda: times_of([1, 2], [1, 0.5]), "competing event from 2"),
        (lambda: times_of([1, 2], [1, -1]), "competing event from 2"),
        (lambda: times_of([1, 2], [1, 0], [0]), "as many of each"),
        (lambda: times_of([[1, 2]], [[1, 0]]), "expected a vector"),
        (lambda: cumulative_incidence(times_of([1], [1]), 0), "censoring"),
        (lambda: incidence_at(cumulative_incidence(times_of([1], [1])), 1, variance="delta"), "aalen, jackknife"),
        (lambda: survival_at(kaplan_meier(times_of([1, 2], [1, 0])), 1, transformation="logit"), "log-log, log, plain"),
        (lambda: quantile(kaplan_meier(times_of([1], [1])), 0), "between 0 and 1"),
        (lambda: normal_quantile(95), "such as 0.95"),
        (lambda: proportion(1, 2, 95), "such as 0.95"),
        (lambda: log_rank(times_of([1, 2], [1, 0]), np.array([True])), "as many of each"),
        (lambda: gray(times_of([1, 2], [1, 0]), ["a"]), "as many of each"),
    ],
)
def test_broken_arguments_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_one_minus_kaplan_meier_overstates_what_competing_events_prevent() -> None:
    """The known trap: platelet recovery with deaths before it, in the made-up trial with R's numbers."""
    d = pd.read_csv(Path(__file__).parents[1] / "reference/ties400.csv")
    for arm, by_day_28 in (("MSC", 0.787096211557157), ("CTRL", 0.573407926198205)):
        one = d[d["arm"] == arm]
        t = times_of(one["cr_time"], one["cr_status"])
        right, dead = (incidence_at(cumulative_incidence(t, c), 28).value for c in (1, 2))
        naive = survival_at(kaplan_meier(t), 28).value
        assert right is not None
        assert dead is not None
        assert naive is not None
        assert right == pytest.approx(by_day_28, abs=1e-12)
        assert 1 - naive > right + 0.05
        free = times_of(one["cr_time"], np.minimum(one["cr_status"], 1))
        assert right + dead == pytest.approx(1 - survival_at(kaplan_meier(free), 28).value)  # type: ignore[operator]

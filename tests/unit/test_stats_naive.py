"""Each estimator against loops and fractions on small random data: ties everywhere, delayed entry, several arms."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from adapter.stats.estimates import normal_quantile
from adapter.stats.gray import gray
from adapter.stats.hazards import cox, log_rank
from adapter.stats.incidence import cumulative_incidence, incidence_at
from adapter.stats.rates import difference, fisher, proportion
from adapter.stats.survival import kaplan_meier, quantile, survival_at
from adapter.stats.times import Times, times_of
from tests import naive_statistics as naive
from tests.naive_statistics import Subject

pytestmark = pytest.mark.filterwarnings("error")

SEEDS = range(40)


def cohort(seed: int, delayed: bool = False, size: int = 14, last: int = 8) -> list[Subject]:
    """Some subjects on few days, so that most days have ties; entry -1 = from the start."""
    r = random.Random(seed)
    found = []
    for _ in range(r.randint(4, size)):
        time = r.randint(1, last)
        entry = r.randint(0, time - 1) if delayed and r.random() < 0.7 else -1
        found.append((time, r.choice((0, 1, 1, 2)), entry))
    return found


def times(subjects: list[Subject]) -> Times:
    t, s, e = (list(x) for x in zip(*subjects, strict=True))
    return times_of(t, s, e if any(x >= 0 for x in e) else None)


def two(seed: int, delayed: bool) -> tuple[list[Subject], list[Subject], Times, np.ndarray]:
    one, other = cohort(2 * seed + 1000, delayed), cohort(2 * seed + 1001, delayed)
    first = np.array([True] * len(one) + [False] * len(other))
    return one, other, times([*one, *other]), first


@pytest.mark.parametrize("delayed", [False, True])
def test_risk_sets(delayed: bool) -> None:
    for seed in SEEDS:
        subjects = cohort(seed, delayed)
        found = times(subjects).at_risk(np.arange(10.0))
        assert found.tolist() == [naive.at_risk(subjects, day) for day in range(10)]


@pytest.mark.parametrize("delayed", [False, True])
def test_kaplan_meier(delayed: bool) -> None:
    compared = 0
    for seed in SEEDS:
        subjects = cohort(seed, delayed)
        curve = kaplan_meier(times(subjects))
        for day in range(10):
            found = survival_at(curve, day)
            if found.value is None:
                assert day > curve.last or (curve.emptied is not None and day >= curve.emptied)
                continue
            assert found.value == pytest.approx(float(naive.survival(subjects, day)), abs=1e-12)
            if found.se is None or found.lower is None or found.upper is None:
                assert found.value == 0
                continue
            assert found.se == pytest.approx(naive.greenwood(subjects, day), abs=1e-12)
            if 0 < found.value < 1:
                # log(-log S) is where the interval is symmetric; its se is se / (S |log S|)
                ends = [math.log(-math.log(x)) for x in (found.lower, found.value, found.upper)]
                half = normal_quantile(0.95) * found.se / (found.value * -math.log(found.value))
                assert (ends[0] - ends[1], ends[1] - ends[2]) == pytest.approx((half, half), rel=1e-9)
                compared += 1
    assert compared > 100


@pytest.mark.parametrize("delayed", [False, True])
def test_quantiles(delayed: bool) -> None:
    flat = found_any = 0
    for seed in range(200):
        subjects = cohort(seed, delayed)
        curve = kaplan_meier(times(subjects))
        if curve.emptied is not None:
            assert "before others came" in quantile(curve, 0.5).why
            continue
        for p in (0.25, 0.5, 0.75):
            found, wanted = quantile(curve, p).value, naive.quantile(subjects, Fraction(p))
            assert found == wanted
            found_any += found is not None
            flat += any(naive.survival(subjects, d) == 1 - Fraction(p) for d in naive.days(subjects, 1))
    assert found_any > 100
    assert flat > 10  # the curve stays exactly on the level: the middle is taken


@pytest.mark.parametrize("delayed", [False, True])
def test_log_rank_and_cox(delayed: bool) -> None:
    compared = 0
    for seed in SEEDS:
        one, other, both, first = two(seed, delayed)
        test, model = log_rank(both, first), cox(both, first)
        if test.why:
            continue
        assert test.statistic == pytest.approx(naive.log_rank(one, other), rel=1e-9, abs=1e-12)
        level = [naive.efron(one, other, b) for b in (-1e-4, 0.0, 1e-4)]
        slope, bend = (level[2] - level[0]) / 2e-4, (level[2] - 2 * level[1] + level[0]) / 1e-8
        assert model.score.statistic == pytest.approx(-(slope**2) / bend, rel=1e-4, abs=1e-6)
        if model.log_ratio.value is None or model.log_ratio.se is None:
            assert "0 or infinite" in model.ratio.why
            end = 12 if naive.efron(one, other, 12) > naive.efron(one, other, -12) else -12
            assert naive.efron(one, other, end) > naive.efron(one, other, end * 0.9)
            continue
        beta = naive.peak(lambda b, one=one, other=other: naive.efron(one, other, b))  # type: ignore[misc]
        assert model.log_ratio.value == pytest.approx(beta, abs=1e-5)
        top = model.log_ratio.value
        near = [naive.efron(one, other, top + h) for h in (-1e-3, 0.0, 1e-3)]
        assert model.log_ratio.se == pytest.approx((-(near[2] - 2 * near[1] + near[0]) / 1e-6) ** -0.5, rel=1e-3)
        gain = 2 * (naive.efron(one, other, top) - naive.efron(one, other, 0))
        assert model.likelihood_ratio.statistic == pytest.approx(gain, abs=1e-9)
        assert model.wald.statistic == pytest.approx((top / model.log_ratio.se) ** 2)
        compared += 1
    assert compared > 20


@pytest.mark.parametrize("cause", [1, 2])
@pytest.mark.parametrize("delayed", [False, True])
def test_cumulative_incidence(delayed: bool, cause: int) -> None:
    compared = 0
    for seed in SEEDS:
        subjects = cohort(seed, delayed)
        curve = cumulative_incidence(times(subjects), cause)
        for day in range(10):
            aalen, jackknife = (incidence_at(curve, day, variance=v) for v in ("aalen", "jackknife"))
            if aalen.value is None:
                assert aalen.why == jackknife.why
                continue
            wanted = float(naive.incidence(subjects, day, cause))  # type: ignore[arg-type]
            assert aalen.value == jackknife.value == pytest.approx(wanted, abs=1e-12)
            if aalen.se is None or jackknife.se is None:
                assert wanted == 0
                continue
            assert aalen.se**2 == pytest.approx(naive.aalen_variance(subjects, day, cause), abs=1e-12)
            assert jackknife.se**2 == pytest.approx(naive.jackknife_variance(subjects, day, cause), abs=1e-12)
            compared += 1
    assert compared > 100


def test_cumulative_incidence_of_statsmodels() -> None:
    from statsmodels.duration.survfunc import CumIncidenceRight

    for seed in SEEDS:
        subjects = cohort(seed, size=40, last=20)
        t, s, _ = (np.array(x) for x in zip(*subjects, strict=True))
        if not {1, 2} <= set(s.tolist()):
            continue
        with np.errstate(divide="ignore", invalid="ignore"):  # its variance, where nobody is left
            theirs = CumIncidenceRight(t, s)
        for cause in (1, 2):
            curve = cumulative_incidence(times(subjects), cause)
            for day, value in zip(theirs.times, theirs.cinc[cause - 1], strict=True):
                assert incidence_at(curve, float(day)).value == pytest.approx(float(value), abs=1e-12)


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("cause", [1, 2])
def test_gray(arms: int, cause: int) -> None:
    compared = 0
    for seed in range(25):
        groups = [cohort(3000 + arms * seed + k, size=10) for k in range(arms)]
        both = [s for g in groups for s in g]
        label = [str(k) for k, g in enumerate(groups) for _ in g]
        found = gray(times(both), label, cause)
        if found.statistic is None:
            continue
        score, covariance = naive.gray(groups, cause)
        u, v = np.array(score[:-1]), np.array(covariance)[:-1, :-1]
        assert found.statistic == pytest.approx(float(u @ np.linalg.inv(v) @ u), rel=1e-7, abs=1e-10)
        assert found.df == arms - 1
        compared += 1
    assert compared > 15


def test_gray_does_not_depend_on_which_arm_comes_first() -> None:
    for seed in SEEDS:
        one, other, both, _ = two(seed, delayed=False)
        a = gray(both, ["a"] * len(one) + ["b"] * len(other))
        b = gray(both, ["b"] * len(one) + ["a"] * len(other))
        assert a.why == b.why
        assert a.statistic == pytest.approx(b.statistic, rel=1e-9)


def test_rates() -> None:
    z = normal_quantile(0.95)
    for seed in SEEDS:
        r = random.Random(seed)
        n1, n2 = r.randint(1, 15), r.randint(1, 15)
        x1, x2 = r.randint(0, n1), r.randint(0, n2)
        rate, gap = proportion(x1, n1), difference(x1, n1, x2, n2)
        assert rate.value == x1 / n1
        assert (rate.lower, rate.upper) == pytest.approx(naive.clopper_pearson(x1, n1, Fraction(95, 100)), abs=1e-10)
        assert gap.value == pytest.approx(x1 / n1 - x2 / n2)
        assert (gap.lower, gap.upper) == pytest.approx(naive.newcombe(x1, n1, x2, n2, z), abs=1e-10)
        found = fisher(x1, n1, x2, n2).p, fisher(x1, n1, x2, n2, "one-sided").p
        assert found == pytest.approx(naive.fisher(x1, n1, x2, n2), rel=1e-9)

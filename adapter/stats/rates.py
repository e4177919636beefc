"""Response rates of one arm and of two arms compared (protocol §5): Clopper-Pearson, Newcombe, Fisher, odds ratio.

Arguments are counts: x responders of n subjects; index 1 is the arm that is compared, 2 the one it is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from adapter.stats.estimates import NO_SUBJECTS, Estimate, PValue, normal_quantile

SIDES = {"two-sided": "two-sided", "one-sided": "greater"}
"""Side of Fisher's test -> its alternative: one-sided is "the first arm has the higher rate" (protocol A-01)."""


def proportion(x: int, n: int, confidence: float = 0.95) -> Estimate:
    """Return x / n with its exact Clopper-Pearson interval. Not estimable without subjects."""
    _check(x, n)
    method = "Clopper-Pearson"
    if n == 0:
        return Estimate(None, method=method, why=NO_SUBJECTS)
    normal_quantile(confidence)
    interval = stats.binomtest(x, n).proportion_ci(confidence, method="exact")
    return Estimate(x / n, float(interval.low), float(interval.high), method=method)


def difference(x1: int, n1: int, x2: int, n2: int, confidence: float = 0.95, continuity: bool = False) -> Estimate:
    """Return x1 / n1 - x2 / n2 with Newcombe's interval: Wilson limits, his method 10; 11 with continuity correction."""
    _check(x1, n1)
    _check(x2, n2)
    method = f"Newcombe, {'with' if continuity else 'no'} continuity correction"
    if not n1 or not n2:
        return Estimate(None, method=method, why=f"{NO_SUBJECTS} in an arm")
    z, p1, p2 = normal_quantile(confidence), x1 / n1, x2 / n2
    if continuity:
        (l1, u1), (l2, u2) = _corrected_wilson(x1, n1, z), _corrected_wilson(x2, n2, z)
        low, high = p1 - p2 - math.hypot(p1 - l1, u2 - p2), p1 - p2 + math.hypot(u1 - p1, p2 - l2)
    else:
        low, high = confint_proportions_2indep(x1, n1, x2, n2, method="newcomb", compare="diff", alpha=1 - confidence)
    return Estimate(p1 - p2, float(low), float(high), method=method)


def fisher(x1: int, n1: int, x2: int, n2: int, side: str = "two-sided") -> PValue:
    """Return Fisher's exact p value; side: a key of SIDES.

    Where all subjects respond, or none, one table only is possible: p is 1, and the note says that nothing was tested.
    """
    _check(x1, n1)
    _check(x2, n2)
    method = f"Fisher's exact test, {side}"
    if not n1 or not n2:
        return PValue(None, method=method, why=f"{NO_SUBJECTS} in an arm")
    p = stats.fisher_exact([[x1, n1 - x1], [x2, n2 - x2]], alternative=SIDES[side])[1]
    return PValue(min(float(p), 1.0), method=method, note=_margin(x1, n1, x2, n2))


def odds_ratio(x1: int, n1: int, x2: int, n2: int, confidence: float = 0.95) -> Estimate:
    """Return the conditional maximum likelihood odds ratio with its exact interval (as R's fisher.test).

    Not estimable with a zero margin, or where a zero cell makes it 0 or infinite; the finite limit then stays.
    """
    _check(x1, n1)
    _check(x2, n2)
    method = "conditional maximum likelihood, exact interval"
    if not n1 or not n2:
        return Estimate(None, method=method, why=f"{NO_SUBJECTS} in an arm")
    if why := _margin(x1, n1, x2, n2):
        return Estimate(None, method=method, why=why)
    found = stats.contingency.odds_ratio([[x1, n1 - x1], [x2, n2 - x2]], kind="conditional")
    interval = found.confidence_interval(confidence)
    value, low, high = float(found.statistic), float(interval.low), float(interval.high)
    if value == 0:
        return Estimate(0.0, 0.0, high, method=method, note="a cell is empty: the odds ratio is zero")
    if not math.isfinite(value):
        return Estimate(None, low, None, method=method, why="a cell is empty: the odds ratio is infinite")
    return Estimate(value, low, high, method=method)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Return p values adjusted for their number by Holm's step-down rule; one that is missing counts as a test, and stays."""
    adjusted: list[float | None] = [None] * len(p)
    least = 0.0
    known = sorted((value, i) for i, value in enumerate(p) if value is not None)
    for rank, (value, i) in enumerate(known):
        least = max(least, min(1.0, (len(p) - rank) * value))
        adjusted[i] = least
    return adjusted


def _corrected_wilson(x: int, n: int, z: float) -> tuple[float, float]:
    """Return Wilson's limits of x / n with continuity correction (Newcombe 1998, method 4 of his first paper)."""
    p, q, whole = x / n, (n - x) / n, 2 * (n + z * z)
    low = (2 * x + z * z - 1 - z * math.sqrt(z * z - 2 - 1 / n + 4 * p * (n * q + 1))) / whole if x else 0.0
    high = (2 * x + z * z + 1 + z * math.sqrt(z * z + 2 - 1 / n + 4 * p * (n * q - 1))) / whole if x < n else 1.0
    return max(low, 0.0), min(high, 1.0)


def _margin(x1: int, n1: int, x2: int, n2: int) -> str:
    if x1 + x2 == 0:
        return "no responders in either arm"
    return "all subjects of both arms are responders" if x1 + x2 == n1 + n2 else ""


def _check(x: int, n: int) -> None:
    if not 0 <= x <= n:
        raise ValueError(f"{x} of {n}: expected a count from 0 to the number of subjects")

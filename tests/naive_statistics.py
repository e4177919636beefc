"""The statistics of adapter.stats once more, as their textbooks write them: loops over subjects and exact fractions.

Subjects are tuples (time, status) or (time, status, entry); status 0 censored, 1 event, 2 competing event. Nothing of
adapter is used here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction as F

Subject = tuple[int, int, int]
"""time, status, entry (-1: from the start)"""


def at_risk(subjects: Sequence[Subject], day: int) -> int:
    return sum(1 for t, _, e in subjects if e < day <= t)


def events(subjects: Sequence[Subject], day: int, *causes: int) -> int:
    return sum(1 for t, s, _ in subjects if t == day and s in causes)


def days(subjects: Sequence[Subject], *causes: int) -> list[int]:
    return sorted({t for t, s, _ in subjects if s in causes})


def survival(subjects: Sequence[Subject], until: int) -> F:
    value = F(1)
    for day in days(subjects, 1):
        if day <= until:
            value *= 1 - F(events(subjects, day, 1), at_risk(subjects, day))
    return value


def greenwood(subjects: Sequence[Subject], until: int) -> float:
    total = F(0)
    for day in days(subjects, 1):
        if day <= until:
            d, n = events(subjects, day, 1), at_risk(subjects, day)
            total += F(d, n * (n - d))
    return float(survival(subjects, until)) * math.sqrt(total)


def quantile(subjects: Sequence[Subject], p: F) -> float | None:
    found = [d for d in days(subjects, 1) if survival(subjects, d) <= 1 - p]
    if not found:
        return None
    if survival(subjects, found[0]) == 1 - p:
        for d in found[1:]:
            if survival(subjects, d) < 1 - p:
                return (found[0] + d) / 2
    return found[0]


def log_rank(one: Sequence[Subject], other: Sequence[Subject]) -> float:
    both = [*one, *other]
    surplus, variance = F(0), F(0)
    for day in days(both, 1):
        n1, n, d = at_risk(one, day), at_risk(both, day), events(both, day, 1)
        surplus += events(one, day, 1) - F(d * n1, n)
        if n > 1:
            variance += F(d * n1 * (n - n1) * (n - d), n * n * (n - 1))
    return float(surplus**2 / variance)


def efron(one: Sequence[Subject], other: Sequence[Subject], beta: float) -> float:
    """Return the partial log likelihood of log hazard ratio beta, Efron's ties."""
    value = 0.0
    both = [*((s, 1) for s in one), *((s, 0) for s in other)]
    for day in days([s for s, _ in both], 1):
        risk = sum(math.exp(beta * x) for (t, _, e), x in both if e < day <= t)
        dying = [x for (t, s, _), x in both if t == day and s == 1]
        weight = sum(math.exp(beta * x) for x in dying)
        for k, x in enumerate(dying):
            value += beta * x - math.log(risk - weight * k / len(dying))
    return value


def peak(f: Callable[[float], float], low: float = -12, high: float = 12) -> float:
    """Return where a concave function is highest: bisection on the sign of a central difference."""
    for _ in range(80):
        middle, h = (low + high) / 2, 1e-5
        if f(middle + h) > f(middle - h):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def incidence(subjects: Sequence[Subject], until: int, cause: int, weights: Sequence[complex] | None = None) -> complex:
    """Return the Aalen-Johansen estimate; with weights of the subjects, of which the complex step needs complex ones."""
    w: Sequence[complex | F] = [F(1)] * len(subjects) if weights is None else weights
    free: complex | F = F(1) if weights is None else 1 + 0j
    value: complex | F = F(0) if weights is None else 0j
    for day in days(subjects, 1, 2):
        if day <= until:
            n = sum(x for x, (t, _, e) in zip(w, subjects, strict=True) if e < day <= t)
            own = sum(x for x, (t, s, _) in zip(w, subjects, strict=True) if t == day and s == cause)
            every = sum(x for x, (t, s, _) in zip(w, subjects, strict=True) if t == day and s > 0)
            value += free * own / n
            free *= 1 - every / n
    return value  # type: ignore[return-value]


def jackknife_variance(subjects: Sequence[Subject], until: int, cause: int) -> float:
    """Return the infinitesimal jackknife: each subject's weight is moved a little (the complex step has no rounding)."""
    total = 0.0
    for i in range(len(subjects)):
        weights = [1 + (1e-30j if i == k else 0j) for k in range(len(subjects))]
        total += (incidence(subjects, until, cause, weights).imag / 1e-30) ** 2
    return total


def aalen_variance(subjects: Sequence[Subject], until: int, cause: int) -> float:
    """Return Aalen's variance as three sums (the form of SAS's documentation), tied events as binomial."""
    total, before = F(0), F(1)
    end = incidence(subjects, until, cause)
    for day in days(subjects, 1, 2):
        if day > until:
            break
        n, d, d1 = at_risk(subjects, day), events(subjects, day, 1, 2), events(subjects, day, cause)
        still = F(end) - F(incidence(subjects, day, cause))  # type: ignore[arg-type]
        for count, direct in ((d1, before), (d - d1, F(0))):
            if count:
                spread = F(count * (n - count), (n - 1) * n * n) if count > 1 else F(1, n * n)
                lost = still * F(n, n - d) if still else F(0)
                total += (direct - lost) ** 2 * spread
        before *= 1 - F(d, n)
    return float(total)


def gray(groups: Sequence[Sequence[Subject]], cause: int) -> tuple[list[float], list[list[float]]]:
    """Return scores and covariances of Gray's test, each influence summed over all later days (no summation by parts)."""
    every = [s for g in groups for s in g]
    when = days(every, 1, 2)
    k_all = range(len(groups))
    free = [{-1: F(1)} for _ in groups]
    inc = [{-1: F(0)} for _ in groups]
    pooled, a, c, step = {-1: F(0)}, {}, {-1: [[F(0)] * len(groups) for _ in groups]}, {}
    score = [F(0)] * len(groups)
    for j, day in enumerate(when):
        y = [at_risk(g, day) for g in groups]
        d = [events(g, day, cause) for g in groups]
        both = [events(g, day, 1, 2) for g in groups]
        w = [F(y[k]) / free[k][j - 1] if y[k] else F(0) for k in k_all]
        r = [w[k] * (1 - inc[k][j - 1]) for k in k_all]
        step[j] = F(sum(d)) / sum(w)
        for i in k_all:
            score[i] += d[i] - r[i] * sum(d) / sum(r)
        a[j] = [[w[i] * ((i == k) - w[k] / sum(w)) for k in k_all] for i in k_all]
        c[j] = [[c[j - 1][i][k] + a[j][i][k] * step[j] / (1 - pooled[j - 1]) for k in k_all] for i in k_all]
        pooled[j] = pooled[j - 1] + step[j]
        for k in k_all:
            free[k][j] = free[k][j - 1] * (1 - F(both[k], y[k])) if y[k] else free[k][j - 1]
            inc[k][j] = inc[k][j - 1] + (free[k][j - 1] * F(d[k], y[k]) if y[k] else 0)
    end = len(when) - 1
    cov = [[F(0)] * len(groups) for _ in groups]
    for j, day in enumerate(when):
        w_all = sum(F(at_risk(g, day)) / free[k][j - 1] for k, g in enumerate(groups) if at_risk(g, day))
        n_d = events(every, day, cause)
        for k, g in enumerate(groups):
            n = at_risk(g, day)
            if not n:
                continue
            s = free[k][j - 1]
            own, other = [], []
            for i in k_all:
                ahead = sum((a[t][i][k] - c[t][i][k] + c[end][i][k]) * step[t] for t in range(j + 1, end + 1))
                lost = ahead / free[k][j] if free[k][j] else F(0)
                own.append(a[j][i][k] - c[j][i][k] + c[end][i][k] - lost)
                other.append(-lost)
            n2 = events(g, day, *({1, 2} - {cause}))
            tied = 1 - F(n_d - 1) / (w_all * s - 1) if n_d > 1 else F(1)
            tied2 = 1 - F(n2 - 1, n - 1) if n2 > 1 else F(1)
            v1, v2 = s * step[j] / n * tied, s * s * n2 / F(n * n) * tied2
            for i in k_all:
                for m in k_all:
                    cov[i][m] += own[i] * own[m] * v1 + other[i] * other[m] * v2
    return [float(x) for x in score], [[float(x) for x in row] for row in cov]


def tail(x: int, n: int, p: F) -> F:
    """Return the probability of x or more of n."""
    return F(sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(x, n + 1)))


def clopper_pearson(x: int, n: int, confidence: F) -> tuple[float, float]:
    half = (1 - confidence) / 2

    def bisect(low_enough: Callable[[F], bool]) -> float:
        low, high = F(0), F(1)
        for _ in range(44):
            middle = (low + high) / 2
            low, high = (middle, high) if low_enough(middle) else (low, middle)
        return float(low)

    lower = bisect(lambda p: tail(x, n, p) < half) if x else 0.0
    upper = bisect(lambda p: 1 - tail(x + 1, n, p) > half) if x < n else 1.0
    return lower, upper


def newcombe(x1: int, n1: int, x2: int, n2: int, z: float) -> tuple[float, float]:
    def wilson(x: int, n: int) -> tuple[float, float]:
        centre, width = 2 * x + z * z, z * math.sqrt(z * z + 4 * x * (n - x) / n)
        return (centre - width) / (2 * (n + z * z)), (centre + width) / (2 * (n + z * z))

    (l1, u1), (l2, u2), p1, p2 = wilson(x1, n1), wilson(x2, n2), x1 / n1, x2 / n2
    d = p1 - p2
    return d - math.hypot(p1 - l1, u2 - p2), d + math.hypot(u1 - p1, p2 - l2)


def fisher(x1: int, n1: int, x2: int, n2: int) -> tuple[float, float]:
    """Return the two-sided and the one-sided (first higher) p value."""
    k, every = x1 + x2, math.comb(n1 + n2, x1 + x2)
    possible = range(max(0, k - n2), min(k, n1) + 1)
    p = {i: F(math.comb(n1, i) * math.comb(n2, k - i), every) for i in possible}
    return float(sum(v for v in p.values() if v <= p[x1])), float(sum(v for i, v in p.items() if i >= x1))


def odds_mean(ratio: F, x1: int, n1: int, x2: int, n2: int) -> F:
    """Return the mean of x1 given both margins, under an odds ratio; the conditional MLE makes it x1."""
    k = x1 + x2
    possible = range(max(0, k - n2), min(k, n1) + 1)
    weights = [math.comb(n1, i) * math.comb(n2, k - i) * ratio**i for i in possible]
    return F(sum(i * w for i, w in zip(possible, weights, strict=True))) / sum(weights)

"""Gray's test: whether the cumulative incidence of a cause is the same in all arms (Gray 1988, rho = 0, no strata)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from adapter.stats.estimates import NO_SUBJECTS, PValue
from adapter.stats.times import CENSORED, EVENT, Floats, Times

METHOD = "Gray's test"


def gray(times: Times, arm: npt.ArrayLike, cause: int = EVENT) -> PValue:
    """Return Gray's test over two or more arms: chi-square with arms - 1 degrees of freedom.

    arm: one label per subject. The score of an arm compares its subdistribution hazard with that of all arms. Its
    variance follows the martingale representation of Gray's paper; ties as in R's cmprsk. Not defined with delayed
    entry, where cause-specific hazards are compared instead.
    """
    labels, of = np.unique(np.asarray(arm), return_inverse=True)
    if len(of) != len(times):
        raise ValueError(f"{len(times)} times and {len(of)} arms: expected as many of each")
    if times.entry is not None:
        return PValue(None, method=METHOD, why="not defined with delayed entry")
    if len(labels) < 2:
        return PValue(None, method=METHOD, why=f"{NO_SUBJECTS} in an arm")
    if not (times.status == cause).any():
        return PValue(None, method=METHOD, why="no event in any arm")
    score, variance = _score(times, of, len(labels), cause)
    free = len(labels) - 1
    score, variance = score[:free], variance[:free, :free]
    # the variance is of the size of the number of events; what is left of a true zero is a rounding error
    if float(np.linalg.eigvalsh(variance)[0]) <= 1e-12 * int((times.status == cause).sum()):
        why = "the score has no variance: no event on a day on which some of several arms were spared"
        return PValue(None, method=METHOD, why=why)
    statistic = float(score @ np.linalg.solve(variance, score))
    return PValue(float(stats.chi2.sf(statistic, free)), statistic, free, METHOD)


def _score(times: Times, of: npt.NDArray[np.intp], arms: int, cause: int) -> tuple[Floats, Floats]:
    """Return the scores of the arms and their covariances. Arrays are days x arms: y at risk, d events of the cause."""
    day = np.unique(times.time[times.status != CENSORED])
    y, d, other = (np.zeros((len(day), arms)) for _ in range(3))
    for k in range(arms):
        mine = times.of(of == k)
        y[:, k] = mine.at_risk(day)
        place = np.searchsorted(day, mine.time)
        for counts, chosen in ((d, mine.status == cause), (other, (mine.status != cause) & (mine.status != CENSORED))):
            counts[:, k] = np.bincount(place[chosen], minlength=len(day))
    here = y > 0
    many = np.where(here, y, 1.0)
    # free: of every event, on the day and just before it; incidence: of the cause, just before it
    free = np.cumprod(np.where(here, 1 - (d + other) / many, 1.0), axis=0)
    before = np.vstack([np.ones(arms), free[:-1]])
    safe = np.where(before > 0, before, 1.0)
    incidence = np.cumsum(np.where(here, before * d / many, 0.0), axis=0)
    incidence = np.vstack([np.zeros(arms), incidence[:-1]])
    weight = np.where(here, y / safe, 0.0)
    risk = weight * (1 - incidence)
    all_d, all_weight, all_risk = (x.sum(axis=1) for x in (d, weight, risk))
    score = (d - risk * np.divide(all_d, all_risk, out=np.zeros_like(all_d), where=all_risk > 0)[:, None]).sum(axis=0)

    # under the hypothesis: one incidence of all arms
    step = all_d / all_weight
    pooled = np.cumsum(step)
    pooled_before = pooled - step
    a = weight[:, :, None] * (np.eye(arms) - (weight / all_weight[:, None])[:, None, :])  # days x arm scored x arm
    rest = 1 - pooled_before
    c = np.cumsum(a * np.divide(step, rest, out=np.zeros_like(step), where=rest > 0)[:, None, None], axis=0)
    to_come = c[-1] - c
    later = np.where(free > 0, (1 - pooled)[:, None] / np.where(free > 0, free, 1.0), 0.0)
    own_effect = a + (1 - later)[:, None, :] * to_come
    other_effect = -later[:, None, :] * to_come
    expected = np.where(here, safe * step[:, None] / many, 0.0)
    own_spread = expected * _ties(all_d[:, None], all_weight[:, None] * safe, here)
    other_spread = np.where(free > 0, safe**2 * other / many**2 * _ties(other, many, here), 0.0)
    variance = np.einsum("tik,tjk,tk->ij", own_effect, own_effect, own_spread)
    variance += np.einsum("tik,tjk,tk->ij", other_effect, other_effect, other_spread)
    return score, variance


def _ties(events: Floats, at_risk: Floats, here: npt.NDArray[np.bool_]) -> Floats:
    """Return the factor by which tied events reduce a variance, 1 - (d - 1) / (n - 1); 1 where nobody is at risk."""
    tied = (events > 1) & here
    return np.asarray(1 - np.divide(events - 1, at_risk - 1, out=np.zeros(at_risk.shape), where=tied))

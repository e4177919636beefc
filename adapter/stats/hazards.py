"""Two arms compared by their hazards: log-rank test and Cox regression (Efron's ties), with delayed entry where given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import survdiff

from adapter.stats.estimates import NO_SUBJECTS, Estimate, PValue, normal_quantile
from adapter.stats.times import EVENT, Times

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HazardRatio:
    """A Cox model with the arm as its one covariate: ratio with Wald interval, log ratio with its se, three tests."""

    ratio: Estimate
    log_ratio: Estimate
    wald: PValue
    score: PValue
    likelihood_ratio: PValue


def log_rank(times: Times, first: Flags) -> PValue:
    """Return the log-rank test of two arms (chi-square, 1 degree of freedom); competing events count as censored.

    first: who is in the first arm; all others are in the second.
    """
    method = _name("log-rank test", times)
    if why := not_comparable(times, first):
        return PValue(None, method=method, why=why)
    event = (times.status == EVENT).astype(np.int64)
    statistic, p = survdiff(times.time, event, first.astype(np.int64), entry=times.entry)
    return PValue(float(p), float(statistic), 1, method)


def cox(times: Times, first: Flags, confidence: float = 0.95) -> HazardRatio:
    """Return the hazard ratio of the first arm against the second; Efron's handling of ties.

    The ratio is not estimable where the likelihood has no maximum: an arm never has the event while the other is at risk.
    """
    method = _name("Cox regression, Efron", times)
    if why := not_comparable(times, first):
        return _without_ratio(method, why, PValue(None, method=f"{method}, score test", why=why))
    model = _model(times, first)
    score = _score(model, f"{method}, score test")
    if why := _endless(times, first):
        return _without_ratio(method, why, score)
    beta = _maximum(model)
    se = float(1 / np.sqrt(-model.hessian(np.array([beta]))[0, 0]))
    width = normal_quantile(confidence) * se
    low, high = beta - width, beta + width
    name = f"{method}, Wald interval"
    gain = 2 * (float(model.loglike(np.array([beta]))) - float(model.loglike(np.zeros(1))))
    return HazardRatio(
        Estimate(float(np.exp(beta)), float(np.exp(low)), float(np.exp(high)), method=name),
        Estimate(beta, low, high, se, name),
        _chi_square((beta / se) ** 2, f"{method}, Wald test"),
        score,
        _chi_square(max(gain, 0.0), f"{method}, likelihood ratio test"),
    )


def not_comparable(times: Times, first: Flags) -> str:
    """Return why the hazards of two arms cannot be compared, empty where they can.

    A comparison needs an event on a day on which both arms have somebody at risk and somebody is spared.
    """
    if len(first) != len(times):
        raise ValueError(f"{len(times)} times and {len(first)} arms: expected as many of each")
    if not first.any() or first.all():
        return f"{NO_SUBJECTS} in an arm"
    days, events = np.unique(times.time[times.status == EVENT], return_counts=True)
    if not len(days):
        return "no event in either arm"
    one, other = times.of(first).at_risk(days), times.of(~first).at_risk(days)
    both = (one > 0) & (other > 0)
    if not both.any():
        return "no event on a day on which both arms have subjects at risk"
    return "" if (both & (events < one + other)).any() else "all subjects at risk had the event on the same day"


def _endless(times: Times, first: Flags) -> str:
    """Return why the likelihood grows without end, empty where it has a maximum."""
    days, of_first = times.time[times.status == EVENT], first[times.status == EVENT]
    both = (times.of(first).at_risk(days) > 0) & (times.of(~first).at_risk(days) > 0)
    for name, mine in (("first", of_first), ("second", ~of_first)):
        if not (mine & both).any():
            return (
                f"no event in the {name} arm on a day on which both have subjects at risk: the ratio is 0 or infinite"
            )
    return ""


def _without_ratio(method: str, why: str, score: PValue) -> HazardRatio:
    none = Estimate(None, method=f"{method}, Wald interval", why=why)
    wald, gain = (PValue(None, method=f"{method}, {n} test", why=why) for n in ("Wald", "likelihood ratio"))
    return HazardRatio(none, none, wald, score, gain)


def _model(times: Times, first: Flags) -> PHReg:
    """Return the model of one covariate. Only the order of days matters to it, so they are numbered.

    PHReg wants entries from 0, and would have a subject at risk on its day of entry. An entry therefore gets a number
    between that of its day and that of the next.
    """
    entry = times.entry if times.entry is not None else np.full(len(times), -np.inf)
    number = np.unique(np.concatenate([entry, times.time]), return_inverse=True)[1]
    enter, leave = 2 * number[: len(times)] + 1, 2 * number[len(times) :]
    event = (times.status == EVENT).astype(np.int64)
    return PHReg(leave.astype(np.float64), first[:, None].astype(np.float64), event, entry=enter, ties="efron")


def _maximum(model: PHReg) -> float:
    """Return where the log likelihood of one covariate, which is concave, has its maximum (Newton with halved steps)."""
    beta, level = 0.0, float(model.loglike(np.zeros(1)))
    for _ in range(100):
        at = np.array([beta])
        step = float(model.score(at)[0] / -model.hessian(at)[0, 0])
        for _ in range(60):
            reached = float(model.loglike(np.array([beta + step])))
            if reached >= level - 1e-12 * (1 + abs(level)):
                break
            step /= 2
        beta, level = beta + step, reached
        if abs(step) < 1e-13 * (1 + abs(beta)):
            break
    return beta


def _score(model: PHReg, method: str) -> PValue:
    at = np.zeros(1)
    u, information = float(model.score(at)[0]), float(-model.hessian(at)[0, 0])
    return _chi_square(u * u / information, method)


def _chi_square(statistic: float, method: str) -> PValue:
    return PValue(float(stats.chi2.sf(statistic, 1)), statistic, 1, method)


def _name(method: str, times: Times) -> str:
    return method if times.entry is None else f"{method}, delayed entry"

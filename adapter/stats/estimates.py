"""What a statistic is: a number with its interval and method, or the reason why it cannot be estimated."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats

NO_SUBJECTS = "no subjects"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A point estimate. value, lower, upper, se are None where they cannot be estimated; `why` then says why.

    note: what a reader must know although there is a value, such as an interval that cannot be estimated.
    """

    value: float | None
    lower: float | None = None
    upper: float | None = None
    se: float | None = None
    method: str = ""
    why: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class PValue:
    """The result of a test: p value, test statistic and degrees of freedom (None for exact tests); `why` as in Estimate."""

    p: float | None
    statistic: float | None = None
    df: int | None = None
    method: str = ""
    why: str = ""
    note: str = ""


def normal_quantile(confidence: float) -> float:
    """Return the standard normal quantile of a two-sided interval: 1.959964 for 0.95. Raises ValueError outside (0, 1)."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: expected a number between 0 and 1, such as 0.95")
    return float(stats.norm.ppf(0.5 + confidence / 2))

"""Analysis populations: which subjects a population flag of the trial holds (protocol §5, A-22)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

Series = pd.Series


def in_population(conditions: Mapping[str, Series[bool]], needs: Sequence[str]) -> Series[str]:
    """Return Y or N: whether every condition that the population needs holds."""
    held = pd.Series(True, index=next(iter(conditions.values())).index)
    for name in needs:
        held &= conditions[name]
    return held.map({True: "Y", False: "N"}).astype("str")


def dose_outside(dose: Series[float], planned: float, tolerance_percent: float) -> Series[bool]:
    """Return which doses lie outside planned ± tolerance, both ends included; an unknown dose does not (A-14)."""
    margin = planned * tolerance_percent / 100
    return (dose < planned - margin - 1e-9) | (dose > planned + margin + 1e-9)


def population_methods(trial: Any) -> dict[str, str]:
    """Return population flag -> in words what it holds."""
    words = {
        "randomised": "randomised",
        "treated": "any study treatment given",
        "eligible": "no violated eligibility criterion (IE)",
        "no_major_deviation": "no major protocol deviation",
        "all_doses": "in an arm with a trial product all its planned administrations",
    }
    return {code: "Y: " + ", ".join(words[n] for n in p.needs) + "; else N." for code, p in trial.populations.items()}

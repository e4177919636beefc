"""Analysis visits: study day or week while counts are due daily, else the nearest target after transplant (protocol §9)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
BEYOND = 1000
"""AVISITN of a target after transplant is this much more than its day, so that no study day has the same."""


def visit_windows(targets: Mapping[str, int], tie: str) -> list[tuple[str, int, int, int]]:
    """Return (visit, target, first day, last day) of the targets, days after transplant, in order.

    Windows meet at the midpoint between two targets, which belongs to the earlier one (tie: earlier) or to the later one.
    The first window begins on day 1; the last one ends as far after its target as it begins before it.
    """
    ordered = sorted(targets.items(), key=lambda t: t[1])
    made: list[tuple[str, int, int, int]] = []
    for i, (name, target) in enumerate(ordered):
        first = made[-1][3] + 1 if made else 1
        if i + 1 < len(ordered):
            between = target + ordered[i + 1][1]
            last = (between - 1) // 2 if tie == "later" else between // 2
        else:
            last = target + (target - first)
        made.append((name, target, first, last))
    return made


def analysis_visits(
    day: Floats,
    start: Floats,
    phase_end: Floats,
    transplant: Floats,
    by_day: npt.NDArray[np.bool_],
    windows: list[tuple[str, int, int, int]],
) -> tuple[npt.NDArray[np.object_], Floats]:
    """Return AVISIT and AVISITN of each result; empty and NaN outside every window.

    day, start (study day 1), phase_end (last day on which counts are due daily), transplant: day numbers, one per result.
    by_day: the visit in that phase is the study day, else the study week.
    """
    number = np.full(len(day), np.nan)
    kind = np.zeros(len(day), dtype=np.int64)
    after = day - transplant
    for _, target, first, last in windows:
        hit = (after >= first) & (after <= last)
        number[hit], kind[hit] = BEYOND + target, 1
    study_day = day - start + 1
    inside = (study_day >= 1) & (day <= phase_end)
    days, weeks = inside & by_day, inside & ~by_day
    number[days], kind[days] = study_day[days], 2
    number[weeks], kind[weeks] = np.ceil(study_day[weeks] / 7), 3
    names: dict[tuple[int, float], str] = {(1, float(BEYOND + t)): n for n, t, _, _ in windows}
    coded = kind * 100_000 + np.nan_to_num(number)
    unique, inverse = np.unique(coded, return_inverse=True)
    texts = []
    for value in unique.tolist():
        k, n = int(value // 100_000), value % 100_000
        texts.append({0: "", 1: names.get((1, n), ""), 2: f"Day {int(n)}", 3: f"Week {int(n)}"}[k])
    return np.array([*texts, ""], dtype=object)[inverse], number

"""The run finder over ten million daily values on one core, for each way of counting."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from adapter.derive.runs import sustained_runs

SUBJECT_DAYS = 100
WAYS: dict[str, dict[str, Any]] = {
    "consecutive days": {"count": "days", "bridge": 0, "max_gap_days": None, "look_back_days": 0},
    "bridged, look-back": {"count": "days", "bridge": 2, "max_gap_days": None, "look_back_days": 7},
    "measurements": {"count": "measurements", "bridge": 0, "max_gap_days": 7, "look_back_days": 0},
}


def run(values: int) -> dict[str, float]:
    """Return CPU seconds of each way, the best of three: `values` daily values, one in twenty days a breaker."""
    rng = np.random.default_rng(1)
    n = values // SUBJECT_DAYS
    subject = np.repeat(np.arange(n), SUBJECT_DAYS)
    day = np.tile(np.arange(19_000, 19_000 + SUBJECT_DAYS), n)
    met, broken = rng.random(len(day)) < 0.8, np.flatnonzero(rng.random(len(day)) < 0.05)
    starts = np.full(n, 19_005.0)
    found = {}
    for name, settings in WAYS.items():
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            sustained_runs(subject, day, met, subject[broken], day[broken], starts, days=7, **settings)
            best = min(best, time.process_time() - start)
        found[name] = best
    return found

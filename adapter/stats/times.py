"""Times to an event, checked: who was under observation from when to when, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

CENSORED, EVENT = 0, 1


@dataclass(frozen=True, slots=True)
class Times:
    """Vectors of equal length: time in days, status (0 censored, 1 event, 2 and above competing events), entry or None.

    A subject is at risk on day t where entry < t <= time. left_out: subjects that never were (entry >= time).
    """

    time: Floats
    status: Integers
    entry: Floats | None = None
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.time)

    def at_risk(self, days: Floats) -> Integers:
        """Return how many subjects are at risk on each of the days."""
        n = len(self.time) - np.searchsorted(np.sort(self.time), days, side="left")
        if self.entry is not None:
            n = n - (len(self.entry) - np.searchsorted(np.sort(self.entry), days, side="left"))
        return np.asarray(n, dtype=np.int64)

    def of(self, chosen: npt.NDArray[np.bool_]) -> Times:
        """Return the chosen subjects; nothing is left out of them."""
        return Times(self.time[chosen], self.status[chosen], None if self.entry is None else self.entry[chosen])


def times_of(time: npt.ArrayLike, status: npt.ArrayLike, entry: npt.ArrayLike | None = None) -> Times:
    """Return the times of the subjects that were under observation at all.

    time: days, finite, >= 0. status: see Times. entry: day after which a subject is under observation (delayed entry);
    a subject whose time is not after its entry was never at risk and is counted in left_out.
    Raises ValueError for other lengths, missing or negative numbers and broken statuses.
    """
    t = _numbers("time", time)
    s = _numbers("status", status)
    if len(s) != len(t):
        raise ValueError(f"{len(t)} times and {len(s)} statuses: expected as many of each")
    if (t < 0).any():
        raise ValueError(f"time {t.min():g}: expected days from 0")
    if (s < 0).any() or (s != np.floor(s)).any():
        raise ValueError("status: expected 0 (censored), 1 (event) or a competing event from 2")
    whole = s.astype(np.int64)
    if entry is None:
        return Times(t, whole)
    e = _numbers("entry", entry)
    if len(e) != len(t):
        raise ValueError(f"{len(t)} times and {len(e)} entries: expected as many of each")
    seen = e < t
    return Times(t[seen], whole[seen], e[seen], int((~seen).sum()))


def _numbers(name: str, values: npt.ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError(f"{name}: {found.ndim} dimensions, expected a vector")
    if not np.isfinite(found).all():
        raise ValueError(f"{name}: a value is missing or infinite, expected numbers only")
    return found

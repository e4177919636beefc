"""Disposition: when a subject's participation ended, and how study treatment and participation ended (DM, DS, SE)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import day_number

Series = pd.Series
TREATMENT_ONLY = "treatment"
"""Type of a withdrawal (enrolment log) after which the subject goes on taking part."""


def end_of_participation(death: Series[Any], withdrawal: Series[Any], kind: Series[Any]) -> Series[str]:
    """Date of death, or the day on which the subject left the study by the enrolment log, whichever is earlier; \
withdrawal from study treatment alone is none; empty while the subject takes part.

    death: DTHDTC; withdrawal: ISO day; kind: consent | treatment | empty. Of a partial date and a day inside it the day
    counts.
    """
    found = []
    for d, w, k in zip(_text(death), _text(withdrawal), _text(kind), strict=True):
        left = "" if k == TREATMENT_ONLY else w
        if d and left:
            same = min(len(d), len(left))
            found.append(left if left[:same] <= d[:same] else d)
        else:
            found.append(d or left)
    return pd.Series(found, index=death.index, dtype="str")


def end_of_treatment(s: pd.DataFrame) -> Series[str]:
    """Return how study treatment ended: COMPLETED, WITHDRAWAL, DEATH, UNKNOWN; empty while it goes on.

    s: completed (date or instant of completion, else empty), period_end (last day of the treatment period, inf where
    none is planned), withdrawal (ISO day or empty), withdrew (bool), kind, dead (bool), death (DTHDTC), last_contact
    (ISO day), ended (bool: participation has), cut (day number). Protocol §4.5, §7.3.3.

    A treatment that was completed first is completed, whatever followed. Else what came first ended it: leaving it by
    the log, or death; leaving the study or dying counts only within the treatment period. Where the period is over and
    nothing says why the treatment was not completed, that is unknown.
    """
    completed, left = day_number(_text(s["completed"])), day_number(_text(s["withdrawal"]))
    died, seen = day_number(_text(s["death"])), day_number(_text(s["last_contact"]))
    period = s["period_end"].astype("float64")
    from_treatment = (s["kind"] == TREATMENT_ONLY).astype(bool)
    # a withdrawal without a date can only be of the treatment that it is said to end
    leaving = s["withdrew"].astype(bool) & (from_treatment | ~(left > period))
    # of a death without a full date it is known that the subject lived until the last contact
    dying = s["dead"].astype(bool) & (died.fillna(seen) <= period)
    first = leaving & ~(dying & (died < left))
    done = completed.notna() & ~(leaving & (left < completed)) & ~(dying & (died < completed))
    over = s["ended"].astype(bool) | (s["cut"] > period)
    return pd.Series(
        np.select([done, first, dying, over], ["COMPLETED", "WITHDRAWAL", "DEATH", "UNKNOWN"], ""),
        index=s.index, dtype="str",
    )  # fmt: skip


def _text(column: Series[Any]) -> Series[str]:
    return column.astype("str").fillna("")

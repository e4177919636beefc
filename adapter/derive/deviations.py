"""Protocol deviations (protocol §8): planned days of infusions, doses per kg and day. Vectors in, vectors out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

Series = pd.Series
MASS = {"kg": 1e9, "g": 1e6, "mg": 1e3, "ug": 1.0, "ng": 1e-3}
"""Micrograms in each unit of mass; other units (U) are compared with themselves only."""
DIGITS = 9
"""Quotients are rounded to so many places before they are compared, so that 600/120 is 5."""


def matched_days(days: Sequence[float], planned: Sequence[int]) -> tuple[int, ...]:
    """Return for each infusion the position of its planned day, -1 for one too many.

    days: study days in order, one per infusion. Order is kept, no planned day is used twice, as many as possible have
    one, and the distances together are the least possible; among equals the earlier planned day. So a skipped infusion
    does not make those after it late.
    """

    @cache
    def best(i: int, j: int) -> tuple[int, float, tuple[int, ...]]:
        if i == len(days):
            return 0, 0.0, ()
        if j == len(planned):
            return len(days) - i, 0.0, (-1,) * (len(days) - i)
        one, other, too_many = best(i + 1, j + 1), best(i, j + 1), best(i + 1, j)
        return min(
            (one[0], one[1] + abs(days[i] - planned[j]), (j, *one[2])),
            other,
            (too_many[0] + 1, too_many[1], (-1, *too_many[2])),
        )

    return best(0, 0)[2]


def dose_in(
    dose: Series[Any], unit: Series[Any], weight: Series[Any], wanted: str, equal: Collection[str] = ()
) -> Series[float]:
    """Return doses in the unit of a range, such as ug/kg/day; NaN where dose, unit or a weight that is needed is unknown.

    unit: CDISC UNIT of each dose, a total or per kg; weight: kg. A dose per day is compared as what was given on a day.
    equal: units of this drug that mean the same as the range's.
    """
    amount = wanted.removesuffix("/day").removesuffix("/kg")
    bare = unit.astype("str").fillna("").str.removesuffix("/day")
    own = bare.str.removesuffix("/kg")
    known = {u: MASS[u] / MASS[amount] for u in MASS} if amount in MASS else {amount: 1.0}
    known |= dict.fromkeys(equal, 1.0)
    value = dose.astype("float64") * own.map(known).astype("float64")
    is_per_kg, should_be = bare.str.endswith("/kg"), wanted.removesuffix("/day").endswith("/kg")
    kg = weight.astype("float64")
    value = value.where(is_per_kg, value / kg) if should_be else value.where(~is_per_kg, value * kg)
    return value.round(DIGITS)


def each_day(records: pd.DataFrame) -> pd.DataFrame:
    """Return what was given on each day: USUBJID, day, amount (NaN: not known), seq (of the first record), in order.

    records: USUBJID, first, last (days), amount of the record, per_day (the amount is that of each of its days), seq. A
    record of several days that does not say what each day had makes those days unknown, never zero.
    """
    first, last = records["first"].to_numpy(dtype=np.int64), records["last"].to_numpy(dtype=np.int64)
    length = last - first + 1
    rows = np.repeat(np.arange(len(records)), length)
    day = first[rows] + np.arange(len(rows)) - np.repeat(np.cumsum(length) - length, length)
    told = (length == 1) | records["per_day"].to_numpy(dtype=bool)
    amount = np.where(told, records["amount"].to_numpy(dtype=np.float64), np.nan)[rows]
    found = pd.DataFrame(
        {"USUBJID": records["USUBJID"].to_numpy()[rows], "day": day.astype(np.float64), "amount": amount}
    )
    found["seq"] = records["seq"].to_numpy(dtype=np.float64)[rows]
    groups = found.groupby(["USUBJID", "day"], sort=True)
    made = groups.agg(amount=("amount", lambda a: a.sum(skipna=False)), seq=("seq", "min"))
    return made.reset_index()


def stretches(days: pd.DataFrame) -> pd.DataFrame:
    """Return runs of consecutive days of one subject with the same amount: USUBJID, first, last, amount, seq.

    days: as of `each_day`, only those of interest.
    """
    if not len(days):
        return pd.DataFrame({"USUBJID": [], "first": [], "last": [], "amount": [], "seq": []})
    d = days.sort_values(["USUBJID", "day"], kind="stable", ignore_index=True)
    same = (d["USUBJID"] == d["USUBJID"].shift()) & (d["day"] == d["day"].shift() + 1)
    same &= (d["amount"] - d["amount"].shift()).abs() < 10**-DIGITS
    groups = d.groupby((~same).cumsum())
    return groups.agg(
        USUBJID=("USUBJID", "first"), first=("day", "min"), last=("day", "max"), amount=("amount", "first"),
        seq=("seq", "first"),
    ).reset_index(drop=True)  # fmt: skip


def outside(amount: Series[float], low: float, high: float, tolerance_percent: float) -> Series[bool]:
    """Return which amounts lie outside a range, each end widened by a percentage of itself; unknown ones do not."""
    least, most = low * (1 - tolerance_percent / 100), high * (1 + tolerance_percent / 100)
    return (amount < round(least, DIGITS)) | (amount > round(most, DIGITS))


def plain(number: float, decimals: int = 2) -> str:
    """Return a number as it is written in a text: so many decimals at most, no zeros at its end."""
    text = f"{number:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def told_outside(number: float, low: float, high: float) -> str:
    """Return a number outside a range as a text with as many decimals as it takes to see that it is outside, two at least."""
    texts = [plain(number, n) for n in range(2, DIGITS + 1)]
    return next((t for t in texts if not round(low, DIGITS) <= float(t) <= round(high, DIGITS)), texts[-1])

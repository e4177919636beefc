"""Visits (SV): planned visits by their windows, held or not, unscheduled ones by date; and the visit of any record."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.derive.days import day_number
from adapter.derive.epochs import subject_days

Series = pd.Series
Integers = npt.NDArray[np.int64]
UNSCHEDULED = "UNSCHEDULED"
FEW, MANY = 99, 999
"""Unscheduled visits after one planned visit that have numbers with two decimals; with three decimals."""


def visit_number(usubjid: Series[Any], dtc: Series[Any], visits: pd.DataFrame) -> Series[float]:
    """Number of the subject's visit ({a2}) on whose days {a1} falls; empty outside every visit and where {a1} is not \
known to the day.

    visits: USUBJID, VISITNUM, SVSTDTC, SVENDTC, sorted by USUBJID. Of two visits of one day the shorter one counts, then
    the later one of the plan.
    """
    held = visits[(visits["SVSTDTC"] != "").to_numpy()]
    if not len(held):
        return pd.Series(np.nan, index=dtc.index)
    subjects = pd.Index(held["USUBJID"].drop_duplicates())
    begins = subject_days(subjects, held["USUBJID"], day_number(held["SVSTDTC"]))
    length = subject_days(subjects, held["USUBJID"], day_number(held["SVENDTC"])) - begins + 1
    number = held["VISITNUM"].to_numpy(dtype=np.float64)
    order = np.lexsort((-number, length))
    which = np.repeat(order, length[order])
    day = begins[which] + _counting(length[order])
    days, first = np.unique(day, return_index=True)  # the first of equal days: by the order above
    wanted = subject_days(subjects, usubjid, day_number(dtc))
    place = np.minimum(np.searchsorted(days, wanted), len(days) - 1)
    found = np.where(days[place] == wanted, number[which[first]][place], np.nan)
    return pd.Series(found, index=dtc.index)


def visit_name(number: Series[float], visits: pd.DataFrame) -> Series[str]:
    """Name of visit {a0}, as {a1} gives it; empty where there is none.

    visits: VISITNUM, VISIT. A number has one name, whichever subject it is of.
    """
    names = dict(zip(visits["VISITNUM"].tolist(), visits["VISIT"].tolist(), strict=True))
    codes, unique = pd.factorize(number.to_numpy(dtype=np.float64))
    texts = np.array([*(names.get(float(n), "") for n in unique), ""], dtype=object)
    return pd.Series(texts[codes], index=number.index, dtype="str")


def _counting(lengths: Integers) -> Integers:
    """Return 0 … n-1 for each length n, one after the other."""
    total = int(lengths.sum())
    before = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.arange(total, dtype=np.int64) - before


def planned_visits(
    visits: Sequence[Any], subjects: pd.DataFrame, spans: pd.DataFrame, dosing_days: Collection[tuple[str, int]]
) -> pd.DataFrame:
    """Return the visits that each subject's plan has: USUBJID, VISITNUM, target, first, last (days), span, due, dosing.

    visits: rows of visits.csv. subjects: index USUBJID; arm, consent, reference_start and transplant (day numbers, NaN
    where not known), last (last day of taking part), ended (bool: no day after it is to come), cut. spans: as of
    `element_spans`. dosing_days: (arm, study day) on which a product is due.

    A visit is planned where its day lies in the epoch it is planned in; one that spans its window ends when its epoch
    does. It is due where its day was reached, and its window has closed or taking part has ended. `dosing`: a dose is
    due on its day.
    """
    found = []
    for v in visits:
        mine = subjects if v.ARMCD is None else subjects[subjects["arm"] == v.ARMCD]
        # a study day is a number from 1; the other anchors count days after them
        target = mine[v.anchor] + v.target_day - (v.anchor == "reference_start" and v.target_day > 0)
        epoch = spans[spans["EPOCH"] == v.epoch].set_index("USUBJID")
        begins, until = epoch["first"].reindex(mine.index), epoch["until"].reindex(mine.index)
        inside = (begins <= target) & ((target < until) | (until <= begins))
        last = target + v.days_after
        whole_window = v.extent == "window"
        if whole_window:
            last = last.where(last < until, np.maximum(until - 1, target))
        due = (target <= mine["last"]) & (mine["ended"] | (last <= mine["cut"]))
        dosing = [(a, v.target_day) in dosing_days and v.anchor == "reference_start" for a in mine["arm"]]
        columns = {"VISITNUM": float(v.VISITNUM), "target": target, "first": target - v.days_before, "last": last}
        one = pd.DataFrame({**columns, "span": whole_window, "due": due, "dosing": dosing}, index=mine.index)
        found.append(one[inside.to_numpy()].rename_axis("USUBJID").reset_index())
    made: pd.DataFrame = pd.concat(found, ignore_index=True)
    return made.sort_values(["USUBJID", "VISITNUM"], kind="stable", ignore_index=True)


def subject_visits(planned: pd.DataFrame, contacts: pd.DataFrame) -> pd.DataFrame:
    """Return the visits of each subject: USUBJID, VISITNUM, planned (bool), start, end (day numbers; NaN: not held).

    planned: as of `planned_visits`. contacts: USUBJID, day, dosed (bool): each day on which the subject was seen, once.
    A planned visit of one day is held on the contact nearest to its day (of equal ones the earlier); where a dose is due
    at it, on a day with a dose first. A day in two windows belongs to the nearer visit. A visit that spans its window
    has every contact of it. Every other contact from the first visit on is an unscheduled visit, numbered after the
    planned one held before it: + .01, .02 … by date (.001 where there are more than 99).
    """
    subjects = pd.Index(sorted(set(planned["USUBJID"]) | set(contacts["USUBJID"])))
    c = contacts.sort_values(["USUBJID", "day"], kind="stable", ignore_index=True)
    days = subject_days(subjects, c["USUBJID"], c["day"])
    low = np.searchsorted(days, subject_days(subjects, planned["USUBJID"], planned["first"]))
    high = np.searchsorted(days, subject_days(subjects, planned["USUBJID"], planned["last"]), side="right")
    count = np.maximum(high - low, 0)
    which = np.repeat(np.arange(len(planned)), count)
    contact = np.repeat(low, count) + _counting(count)
    pair = planned.iloc[which].reset_index(drop=True)
    pair["day"] = c["day"].to_numpy(dtype=np.float64)[contact]
    pair["far"] = (pair["day"] - pair["target"]).abs()
    pair["undosed"] = ~(pair["dosing"].astype(bool) & c["dosed"].to_numpy(dtype=bool)[contact])
    spans = pair[pair["span"].astype(bool)].groupby(["USUBJID", "VISITNUM"], as_index=False)
    single = pair[~pair["span"].astype(bool)].sort_values(["USUBJID", "day", "far", "VISITNUM"], kind="stable")
    single = single.drop_duplicates(["USUBJID", "day"]).sort_values(["undosed", "far", "day"], kind="stable")
    single = single.drop_duplicates(["USUBJID", "VISITNUM"])
    columns = ["USUBJID", "VISITNUM", "start", "end"]
    held = pd.concat(
        [
            spans["day"].agg(start="min", end="max")[columns],
            single.assign(start=single["day"], end=single["day"])[columns],
        ]
    )
    made = planned[["USUBJID", "VISITNUM", "due"]].merge(held, how="left", on=["USUBJID", "VISITNUM"])
    made = made[made["due"].astype(bool) | made["start"].notna()].assign(planned=True)
    extra = _unscheduled(subjects, made[made["start"].notna()], c, days)
    whole = pd.concat([made, extra], ignore_index=True)[["USUBJID", "VISITNUM", "planned", "start", "end"]]
    return whole.sort_values(["USUBJID", "VISITNUM"], kind="stable", ignore_index=True)


def _unscheduled(subjects: pd.Index[Any], held: pd.DataFrame, contacts: pd.DataFrame, days: Integers) -> pd.DataFrame:
    """Return the contacts that are at no planned visit, as visits numbered after the one held before."""
    h = held.sort_values(["USUBJID", "start", "VISITNUM"], kind="stable")
    begins = subject_days(subjects, h["USUBJID"], h["start"])
    ends = subject_days(subjects, h["USUBJID"], h["end"])
    taken = np.zeros(len(contacts), dtype=bool)
    for begin, end in zip(np.searchsorted(days, begins), np.searchsorted(days, ends, side="right"), strict=True):
        taken[begin:end] = True
    before = np.searchsorted(begins, days, side="right") - 1
    same = before >= 0
    owner = h["USUBJID"].to_numpy(dtype=object)[np.maximum(before, 0)] if len(h) else np.empty(0, dtype=object)
    same &= owner == contacts["USUBJID"].to_numpy(dtype=object) if len(h) else False
    free = contacts[same & ~taken].assign(after=h["VISITNUM"].to_numpy()[before[same & ~taken]])
    group = free.groupby(["USUBJID", "after"])
    n, size = group.cumcount() + 1, group["day"].transform("size")
    digits = 2 + (size > FEW).astype(int) + (size > MANY).astype(int)
    numbers = [float(f"{a:.0f}.{i:0{d}d}") for a, i, d in zip(free["after"], n, digits, strict=True)]
    return pd.DataFrame(
        {"USUBJID": free["USUBJID"], "VISITNUM": numbers, "planned": False, "start": free["day"], "end": free["day"]}
    )


def visit_text(number: float) -> str:
    """Return the name of an unscheduled visit: one name for one number, with as few digits as it needs."""
    return f"{UNSCHEDULED} {np.format_float_positional(number, trim='-')}"


def out_of_order(visits: pd.DataFrame) -> Series[float]:
    """Return for each planned visit held the number of one ahead of it in the plan that ended after it began; NaN: none.

    visits: as of `subject_visits`.
    """
    held = visits[visits["planned"] & visits["start"].notna()].sort_values(["USUBJID", "VISITNUM"], kind="stable")
    latest = held.groupby("USUBJID")["end"].cummax().groupby(held["USUBJID"]).shift()
    late = held["start"] < latest
    found = pd.Series(np.nan, index=visits.index)
    for i in held.index[late]:
        same = held[(held["USUBJID"] == held.at[i, "USUBJID"]) & (held["VISITNUM"] < held.at[i, "VISITNUM"])]
        found[i] = float(same.loc[same["end"] > held.at[i, "start"], "VISITNUM"].iloc[0])
    return found

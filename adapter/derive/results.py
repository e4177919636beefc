"""Findings: standard results, reference range indicator, last observation before exposure, counts from percentages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.derive.distinct import distinct_rows

Series = pd.Series


def standard_text(converted: Series[Any]) -> Series[Any]:
    """Result in the standard unit of the test, by exact decimal arithmetic: unchanged where the units agree, shifted \
where the factor is a power of ten, else rounded half up to the decimals declared for the test; a comparator stays in \
front; text results as received or as their controlled term."""
    return converted


def number_of(text: Series[Any], counted: Series[Any] | None = None) -> Series[float]:
    """Number of {a0}; empty where it has a comparator or is text.

    counted: whether the result was reported as a number; the code of a concept is none, though it looks like one.
    """
    codes, unique = pd.factorize(text.astype("str").fillna(""))
    numbers = [_float(t) for t in unique]
    found = pd.Series(np.array([*numbers, np.nan])[codes], index=text.index)
    return found if counted is None else found.where(counted.astype(bool))


def _float(text: str) -> float:
    # float() of a decimal text is the nearest double; vectorised parsers are off by one unit in the last place
    return float(text) if text.lstrip("-").replace(".", "", 1).isdecimal() and text.isascii() else np.nan


def limit_number(text: Series[Any]) -> Series[float]:
    """Reference range limit in the standard unit of the test, converted exactly as the result is."""
    return number_of(text)


INDICATORS = {
    "H": "HIGH",
    "HH": "HIGH",
    "HU": "HIGH",
    "L": "LOW",
    "LL": "LOW",
    "LU": "LOW",
    "N": "NORMAL",
    "A": "ABNORMAL",
    "AA": "ABNORMAL",
}
"""HL7 v3 ObservationInterpretation -> NRIND (C78736)."""


def range_indicator(
    interpretation: Series[Any], value: Series[Any], low: Series[Any], high: Series[Any]
) -> Series[str]:
    """The laboratory's own interpretation where it gave one (H, HH to HIGH; L, LL to LOW; N to NORMAL; A to ABNORMAL), \
else {a1} compared with {a2} and {a3}; empty where neither is known."""
    codes, unique = pd.factorize(interpretation)
    given = np.array([*(INDICATORS.get(str(u).split("\n")[0], "") for u in unique), ""], dtype=object)[codes]
    some = (value.notna() & (low.notna() | high.notna())).to_numpy()
    compared = np.where(some, "NORMAL", "").astype(object)
    compared[some & (value < low).to_numpy()] = "LOW"
    compared[some & (value > high).to_numpy()] = "HIGH"
    return pd.Series(np.where(given == "", compared, given), index=value.index, dtype="str")


def last_before_exposure(
    usubjid: Series[Any],
    dtc: Series[Any],
    result: Series[Any],
    reference: Series[Any],
    *keys: Series[Any],
    untimed: str,
) -> Series[str]:
    """Y for the last record with a result at or before {a3}, per subject, test, specimen, location and method; a result \
without a time on that day counts as {untimed} the first treatment.

    usubjid, dtc (--DTC), result (--ORRES or --STRESC), reference (RFSTDTC), keys: what a test is told apart by. The frame
    must be sorted by the dataset's keys: of records at the same time the last one is flagged, so that there is never
    more than one per key (sdtm-conventions, A-26). untimed: before | after. Partial dates are never flagged.
    """
    text = dtc.astype("str").fillna("")
    first, number = distinct_rows([text, reference])  # results come in panels: each time is compared once
    at = at_or_before(text.iloc[first], reference.iloc[first].astype("str").fillna(""), untimed)
    before = at[number] & (result.astype("str").fillna("") != "").to_numpy()
    place = np.flatnonzero(before)
    candidates = pd.DataFrame({"subject": usubjid.iloc[place].to_numpy(), "when": text.iloc[place].to_numpy()})
    for i, k in enumerate(keys):
        candidates[f"key{i}"] = k.iloc[place].astype("str").fillna("").to_numpy()
    candidates["place"] = place
    # an untimed result of a day sorts before the timed ones of the same day: ISO text does that by itself
    candidates = candidates.sort_values(["when", "place"], kind="stable")
    chosen = candidates.drop_duplicates(["subject", *(f"key{i}" for i in range(len(keys)))], keep="last")["place"]
    flags = np.full(len(text), "", dtype=object)
    flags[chosen.to_numpy()] = "Y"
    return pd.Series(flags, index=dtc.index, dtype="str")


def at_or_before(text: Series[Any], ref: Series[Any], untimed: str) -> npt.NDArray[np.bool_]:
    """Return which ISO times are at or before the reference; what is not known to the day is not."""
    day, ref_day = text.str.slice(0, 10), ref.str.slice(0, 10)
    complete = (text.str.len() >= 10) & (ref.str.len() >= 10)
    timed = (text.str.len() > 10) & (ref.str.len() > 10)
    same_day = day == ref_day
    # ISO texts of one precision compare as times; a minute stands for its first second
    minute, ref_minute = text.str.slice(0, 16), ref.str.slice(0, 16)
    second, ref_second = (c.str.slice(16).replace("", ":00") for c in (text, ref))
    timely = (minute < ref_minute) | ((minute == ref_minute) & (second <= ref_second))
    at = complete & ((day < ref_day) | (same_day & timed & timely) | (same_day & ~timed & (untimed == "before")))
    return at.to_numpy(dtype=bool)


def counts_from_percent(
    results: pd.DataFrame, count: str, percents: tuple[str, ...], match: tuple[str, ...], reported: str
) -> pd.DataFrame:
    """Return count × sum of percentages / 100, exact, where the count itself was not reported.

    results: columns subject, testcd, text (decimal in standard unit), specimen (number, -1 none), instant (dtc), record
    (the frame's index too).
    match: specimen and/or instant, in this order of trust. A group with two values of one parent, or a comparator, gives
    nothing: what cannot be known is unknown. Protocol §3.
    Returns columns: record (of the count), text, parents (records of the percentages).
    """
    if not {count, *percents} <= set(results["testcd"].unique()):
        return pd.DataFrame({"record": [], "text": [], "parents": []})
    decimal = results["text"].str.replace(".", "", n=1, regex=False).str.isdecimal()
    made: dict[int, tuple[str, list[int]]] = {}
    groups = []
    reported_there: set[int] = (
        set()
    )  # counts of a specimen or instant, by either way of matching, that has a reported one
    for how in match:
        keyed = results[(results["specimen"] >= 0) if how == "specimen" else (results["instant"].str.len() > 10)]
        there = {t: keyed[keyed["testcd"] == t].set_index(["subject", how]) for t in (count, *percents, reported)}
        reported_there |= set(there[count].loc[there[count].index.isin(there[reported].index), "record"])
        groups.append(there)
    for there in groups:
        sure = {t: f[~f.index.duplicated(keep=False) & decimal[f["record"]].to_numpy()] for t, f in there.items()}
        both = sure[count].index
        for p in percents:
            both = both.intersection(sure[p].index)
        both = both.sort_values()
        parts = [sure[p].loc[both] for p in percents]
        counts = sure[count].loc[both]
        for i, (parent, text) in enumerate(zip(counts["record"], counts["text"], strict=True)):
            share = sum((Decimal(p["text"].iloc[i]) for p in parts), Decimal(0))
            if parent not in made and parent not in reported_there and share <= 100:
                value = Decimal(text) * share / 100
                made[parent] = (
                    format(value.normalize(), "f") if value else "0",
                    [int(p["record"].iloc[i]) for p in parts],
                )
    rows = [(record, text, parents) for record, (text, parents) in made.items()]
    return pd.DataFrame(rows, columns=["record", "text", "parents"])

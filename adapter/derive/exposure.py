"""Doses: what a given total is per kilogram, and the first and last treatment of each subject."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

Series = pd.Series


def weight_before(
    usubjid: Series[Any], at: Series[Any], weight_subject: Series[Any], weight_at: Series[Any], weight: Series[Any]
) -> Series[Any]:
    """Return the position of each record's body weight: the last one at or before it, -1 where there is none.

    at, weight_at: numbers on one clock (days or microseconds), NaN where not known. weight_*: the subjects' weights
    (kg), in a content order; the last of several at one time counts. Protocol §8.
    """
    weights = pd.DataFrame({"s": weight_subject.to_numpy(), "d": weight_at.to_numpy(dtype=np.float64)})
    weights["p"] = np.arange(len(weights))
    weights = weights[weights["d"].notna() & weight.notna().to_numpy()].sort_values(["d", "p"], kind="stable")
    wanted = pd.DataFrame({"s": usubjid.to_numpy(), "d": at.to_numpy(dtype=np.float64)})
    wanted["i"] = np.arange(len(wanted))
    known = wanted[wanted["d"].notna()].sort_values(["d", "i"], kind="stable")
    places = np.full(len(wanted), -1)
    if len(known) and len(weights):
        found = pd.merge_asof(known, weights, on="d", by="s", direction="backward")
        places[found["i"].to_numpy()] = found["p"].fillna(-1).to_numpy(dtype=np.int64)
    return pd.Series(places, index=usubjid.index)


def given_dose(
    dose: Series[Any], unit: Series[Any], planned_unit: Series[Any], per_unit: Series[Any], weight: Series[Any]
) -> Series[float]:
    """Dose per kilogram: as recorded where it was recorded per kilogram; else the total divided by the last body \
weight on or before the day (kg), rounded half up to two decimals; empty where no weight or no dose is known.

    dose, weight: exact decimal texts; per_unit: how many total units one planned unit per kg makes. Protocol §1, §8.
    """
    found = [
        float(d) if u == p and d else _per_kg(d, w, n)
        for d, u, p, n, w in zip(dose, unit, planned_unit, per_unit, weight, strict=True)
    ]
    return pd.Series(found, index=dose.index, dtype="float64")


def _per_kg(dose: str, weight: str, per_unit: str) -> float:
    if not dose or not weight or Fraction(weight) <= 0:
        return np.nan
    cents = Fraction(dose) / Fraction(per_unit) / Fraction(weight) * 100
    whole = (2 * cents.numerator + cents.denominator) // (2 * cents.denominator)
    return float(f"{whole // 100}.{whole % 100:02d}")


def first_treatments(events: pd.DataFrame, limits: Series[Any], count_ongoing: bool, limited: bool) -> pd.DataFrame:
    """Return first and last study treatment per subject: columns first, last (dtc), record, last_record (their labels).

    events: USUBJID, dtc, end_dtc, open (bool), record. limits: USUBJID -> first day that counts (ISO day, empty: none
    counts). count_ongoing: a course under way at the limit counts from the limit; limited: apply the limits at all.
    Protocol §2, A-03.
    """
    e = events[events["dtc"].fillna("").str.len() >= 10].copy()
    e["from"] = e["dtc"]
    if limited:
        limit = e["USUBJID"].map(limits).fillna("").astype("str")
        late = (limit != "") & (e["dtc"].str.slice(0, 10) >= limit)
        runs_on = e["open"].fillna(False).astype(bool) | (e["end_dtc"].fillna("").str.slice(0, 10) >= limit)
        under_way = (limit != "") & ~late & runs_on & count_ongoing
        e.loc[under_way, "from"] = limit[under_way]
        e = e[late | under_way]
    end = e["end_dtc"].fillna("")
    e["last"] = end.where(end != "", e["dtc"])
    e = e.sort_values(["USUBJID", "from", "record"], kind="stable")
    first = e.drop_duplicates("USUBJID").set_index("USUBJID")
    last = e.sort_values(["USUBJID", "last", "record"], kind="stable").drop_duplicates("USUBJID", keep="last")
    made = pd.DataFrame({"first": first["from"], "record": first["record"]})
    return made.join(last.set_index("USUBJID")[["last", "record"]].rename(columns={"record": "last_record"}))

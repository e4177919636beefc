"""Doses: what a given total is per kilogram, and the first and last treatment of each subject."""

from __future__ import annotations

from decimal import Decimal
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
weight on or before the day (kg), rounded half up to two decimals; empty where no weight or no dose is known. Where no \
dose was recorded, but a rate and both ends of the period, the dose is rate times period, to four significant digits.

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


SECONDS = {
    "s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600, "d": 86_400,
    "day": 86_400, "24h": 86_400, "wk": 604_800, "week": 604_800, "秒": 1, "分": 60, "分钟": 60, "小时": 3600, "天": 86_400,
}  # fmt: skip
"""What a rate is per, by its UCUM code or as it is written."""

DIGITS = 4


def rate_times_period(events: pd.DataFrame) -> pd.DataFrame:
    """Return columns amount (text) and unit: what a rate gave during a period; empty where either is not known.

    events: rate and rate_per are exact decimal texts. A rate is `rate_unit` itself (50 mL/h), or `rate` rate_units per
    `rate_per` rate_per_units (500 mL per 8 h). micros, end_micros: the period on one clock, missing without a time: two
    dates do not tell how long an infusion ran. The amount is rounded half up to four significant digits. fhir-input
    point 27.
    """
    texts = [events[c].astype("str").fillna("").tolist() for c in ("rate", "rate_unit", "rate_per", "rate_per_unit")]
    seconds = ((events["end_micros"].astype("float64") - events["micros"].astype("float64")) / 1_000_000).tolist()
    found = [_amount(*one) for one in zip(*texts, seconds, strict=True)]
    return pd.DataFrame(found, columns=["amount", "unit"], index=events.index).astype("str")


def _amount(rate: str, unit: str, per: str, per_unit: str, seconds: float) -> tuple[str, str]:
    what, time = unit, per_unit
    if not per_unit:
        what, _, time = unit.rpartition("/")
    each = SECONDS.get(time.strip().lower()) or SECONDS.get(time.strip().lower().removesuffix("s"))
    if not rate or not what or each is None or not seconds > 0 or (per_unit and Fraction(per or 0) <= 0):
        return "", ""
    amount = Fraction(rate) * Fraction(str(seconds)) / each / Fraction(per if per_unit else 1)
    return (_rounded(amount), what.strip()) if amount > 0 else ("", "")


def _rounded(amount: Fraction) -> str:
    """Return a positive number half up to DIGITS significant digits, without zeros at its end."""
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    places = DIGITS - 1 - exact.adjusted()
    scaled = amount * Fraction(10) ** places
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    text = f"{Decimal(whole).scaleb(-places):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def derived_dose_flag(amount: Series[Any]) -> Series[str]:
    """Y where no dose was recorded and the dose is computed as rate times the length of the period; else empty."""
    return (amount.astype("str").fillna("") != "").map({True: "Y", False: ""}).astype("str")


def first_treatments(events: pd.DataFrame, limits: Series[Any], count_ongoing: bool, limited: bool) -> pd.DataFrame:
    """Return first and last study treatment per subject: columns first, last (dtc), record, last_record (their labels).

    events: USUBJID, dtc, end_dtc, open (bool), record; `until`, where it has one, is the last day (ISO) on which an open
    course was known to go on, empty for the data cut. limits: USUBJID -> first day that counts (ISO day, empty: none
    counts). count_ongoing: a course under way at the limit counts from the limit; limited: apply the limits at all.
    Protocol §2, A-03.
    """
    e = events[events["dtc"].fillna("").str.len() >= 10].copy()
    e["from"] = e["dtc"]
    if limited:
        limit = e["USUBJID"].map(limits).fillna("").astype("str")
        late = (limit != "") & (e["dtc"].str.slice(0, 10) >= limit)
        known = e["until"].fillna("") if "until" in e else pd.Series("", index=e.index)
        goes_on = e["open"].fillna(False).astype(bool) & ((known == "") | (known.str.slice(0, 10) >= limit))
        runs_on = goes_on | (e["end_dtc"].fillna("").str.slice(0, 10) >= limit)
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

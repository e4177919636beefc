"""Deviations of the trial product (protocol §8, §7): dose, day, number, another arm's treatment, treatment after its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import day_number
from adapter.derive.deviations import matched_days, outside, plain, told_outside
from adapter.derive.intervals import first_days, last_days
from mappings.analysis.occurrences import occurrences
from mappings.deviations.case import Case, Found, rows
from mappings.parts import text
from mappings.sdtm.ds import COMPLETED, EVENT, TREATMENT

RELAPSE = "relapse"
"""The clinical event of the trial definition that ends treatment."""


def doses(case: Case, arms: tuple[str, ...]) -> Iterator[Found]:
    """An infusion whose dose is outside planned +- tolerance; a dose that is not known is none."""
    for product, plan in case.trial.dosing.items():
        given = _of(case, product, arms)
        low, high = (float(plan.dose) * (1 + k * float(plan.dose_tolerance_percent) / 100) for k in (-1, 1))
        wrong = outside(given["dose"], float(plan.dose), float(plan.dose), float(plan.dose_tolerance_percent))
        for who, day, dose, seq in rows(given[wrong.to_numpy()], "USUBJID", "day", "dose", "seq"):
            told = {"dose": told_outside(dose, low, high), "low": plain(low), "high": plain(high), "unit": plan.unit}
            yield Found(who, day, day, told, "EX", seq)


def infusion_days(case: Case, arms: tuple[str, ...]) -> Iterator[Found]:
    """An infusion more than the tolerance away from its planned study day, or one too many."""
    for product, plan in case.trial.dosing.items():
        given = _of(case, product, arms)
        given = given[given["day"].notna().to_numpy()]
        for who, mine in given.groupby("USUBJID", sort=True):
            start = case.fact(str(who), "rfst")
            if np.isnan(start):
                continue
            study = [int(d - start + (d >= start)) for d in mine["day"].tolist()]
            places = matched_days(study, plan.planned_days)
            of = rows(mine, "day", "seq")
            for n, (day, place, (at, seq)) in enumerate(zip(study, places, of, strict=True), 1):
                planned = plan.planned_days[place] if place >= 0 else None
                if planned is not None and abs(day - planned) <= plan.day_tolerance:
                    continue
                told = {"n": str(n), "day": str(day), "planned": "none" if planned is None else str(planned)}
                yield Found(str(who), at, at, told, "EX", seq)


def numbers(case: Case, arms: tuple[str, ...]) -> Iterator[Found]:
    """Fewer infusions than planned when all were due, with no reason until then: not each missing one recorded as not given
    for a reason, no end of treatment or of taking part, no death. What ended later is no reason for what had not been given."""
    for product, plan in case.trial.dosing.items():
        count = {str(u): int(n) for u, n in _of(case, product, arms).groupby("USUBJID").size().items()}
        name = case.trial.by_key("products")[product].name
        ec, ds, s = case.made("EC"), case.made("DS"), case.s
        refused = ec[((ec["ECTRT"] == name) & (ec["ECOCCUR"] == "N") & (text(ec["ECREASOC"]) != "")).to_numpy()]
        ended = ds[((ds["DSCAT"] == EVENT) & ~ds["DSDECOD"].isin(["", COMPLETED])).to_numpy()]
        due = s["rfst"] + max(plan.planned_days) - 1 + plan.day_tolerance
        # an end that is not known to the day, or not at all, may have been in time
        late = first_days(text(ended["DSSTDTC"])) > ended["USUBJID"].map(due).astype("float64")
        excused = set(ended.loc[~late, "USUBJID"])
        reasons = refused.assign(day=text(refused["ECSTDTC"]).str.slice(0, 10)).drop_duplicates(["USUBJID", "day"])
        of = {str(u): int(n) for u, n in reasons.groupby("USUBJID").size().items()}
        asked = (due <= s["known_to"]) & ~(s["death"] <= due) & ~s.index.isin(excused)
        open_ = {str(u): float(d) for u, d in due[asked].items()}
        for who in case.of_arms(arms or _arms_of(case, product)):
            n = count.get(who, 0)
            if who in open_ and n + of.get(who, 0) < len(plan.planned_days):
                yield Found(who, open_[who], open_[who], {"n": str(n), "planned": str(len(plan.planned_days))})


def wrong_arms(case: Case, arms: tuple[str, ...]) -> Iterator[Found]:
    """Treated as in another arm than planned, or outside every planned arm."""
    mine = case.s.loc[case.of_arms(arms)].reset_index(names="USUBJID")
    for who, planned, actual, unplanned, day in rows(mine, "USUBJID", "armcd", "actual", "unplanned", "trts"):
        if (actual and actual != planned) or unplanned:
            yield Found(who, day, day, {"actual": actual or unplanned, "planned": planned})


def after_relapse(case: Case, arms: tuple[str, ...]) -> Iterator[Found]:
    """An infusion on a day after a relapse that was within so many days of the transplant."""
    if RELAPSE not in case.trial.clinical_events:
        return
    events = occurrences(case.inputs, RELAPSE)
    day = last_days(events["dtc"])  # what may have been earlier or later is taken as late as it may mean
    since = day - events["USUBJID"].map(case.s["hsct"]).astype("float64")
    early = events[((since >= 0) & (since <= case.trial.safety.relapse_stops_within_days)).to_numpy()]
    first = day[early.index].groupby(early["USUBJID"]).min()
    for product in case.trial.dosing:
        given = _of(case, product, arms)
        late = given[(given["day"] > given["USUBJID"].map(first).astype("float64")).to_numpy()]
        for who, at, seq in rows(late, "USUBJID", "day", "seq"):
            yield Found(who, at, at, {}, "EX", seq)


def after_discontinuation(case: Case, arms: tuple[str, ...]) -> Iterator[Found]:
    """An infusion on a day after study treatment was discontinued."""
    ds = case.made("DS")
    ended = ds[((ds["DSCAT"] == EVENT) & (ds["DSSCAT"] == TREATMENT) & (ds["DSDECOD"] != COMPLETED)).to_numpy()]
    one = ended.drop_duplicates("USUBJID").set_index("USUBJID")
    day, reason = day_number(one["DSSTDTC"]), text(one["DSDECOD"]).where(text(one["DSDECOD"]) != "", one["DSTERM"])
    why = {str(u): str(r) for u, r in reason.items()}
    for product in case.trial.dosing:
        given = _of(case, product, arms)
        late = given[(given["day"] > given["USUBJID"].map(day).astype("float64")).to_numpy()]
        for who, at, seq in rows(late, "USUBJID", "day", "seq"):
            yield Found(who, at, at, {"reason": why[who]}, "EX", seq)


def _of(case: Case, product: str, arms: tuple[str, ...]) -> pd.DataFrame:
    given = case.infusions(product)
    return given[given["USUBJID"].isin(case.of_arms(arms)).to_numpy()]


def _arms_of(case: Case, product: str) -> tuple[str, ...]:
    """Return the arms whose study treatment a product is."""
    arms: dict[str, Any] = case.trial.arms
    return tuple(code for code, a in arms.items() if any(r.product == product for r in a.treatment.values()))

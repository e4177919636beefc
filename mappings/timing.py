"""Timing: EPOCH, visit and baseline flag as every domain declares them, and each subject's course that they rest on.

A domain whose SDTMIG 3.4 table has these variables takes them from here: `epoch_of`, `visit_of`, `last_before_of`, and
`study_day_of` of mappings.parts. SE, SV and DS take the course of each subject from here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import day_number
from adapter.derive.disposition import TREATMENT_ONLY
from adapter.derive.elements import planned_start
from adapter.derive.epochs import epoch, epoch_of_finding
from adapter.derive.results import last_before_exposure
from adapter.derive.transplants import index_transplants, transplants
from adapter.derive.visits import visit_name, visit_number
from adapter.spec import DERIVED, Inputs, Variable, call, ref, setting, whole
from mappings.parts import not_given, text

UNPLANNED = "UNPLAN"
EPOCH_TERMS = "C99079"
NY = "C66742"


def epoch_of(date: str, finding: bool = False) -> Variable:
    """Return EPOCH, by the element (SE) in which the variable `date` lies.

    finding: a result, which on the day of first treatment stands before it as --LOBXFL says.
    """
    source = call(epoch, "USUBJID", date, whole("SE"))
    if finding:
        untimed = setting("reference_dates.untimed_at_baseline")
        source = call(epoch_of_finding, "USUBJID", date, whole("SE"), ref("DM.RFSTDTC"), untimed=untimed)
    return Variable("EPOCH", "Epoch", "Char", source, DERIVED, "Perm", "Timing", codelist=EPOCH_TERMS)


def visit_of(date: str, core: Any = "Exp") -> tuple[Variable, Variable]:
    """Return VISITNUM and VISIT: the visit (SV) on whose days the variable `date` lies. core: of VISITNUM."""
    number = call(visit_number, "USUBJID", date, whole("SV"))
    return (
        Variable("VISITNUM", "Visit Number", "Num", number, DERIVED, core, "Timing"),
        Variable("VISIT", "Visit Name", "Char", call(visit_name, "VISITNUM", whole("SV")), DERIVED, "Perm", "Timing"),
    )


def last_before_of(domain: str, *keys: str, core: Any = "Exp") -> Variable:
    """Return --LOBXFL: the last result at or before first treatment. keys: what tells tests apart (--TESTCD, --SPEC …)."""
    source = call(
        last_before_exposure,
        "USUBJID",
        f"{domain}DTC",
        f"{domain}STRESC",
        ref("DM.RFSTDTC"),
        *keys,
        untimed=setting("reference_dates.untimed_at_baseline"),
    )
    label = "Last Observation Before Exposure Flag"
    return Variable(f"{domain}LOBXFL", label, "Char", source, DERIVED, core, "Record Qualifier", codelist=NY)


# --- the course of each subject --------------------------------------------------------------------------------------


def participation(inputs: Inputs) -> pd.DataFrame:
    """Return one row per subject, indexed by USUBJID: what DM says, and when taking part ended.

    arm: the arm whose path the subject went (the actual one, else the planned one; empty: not randomised). consent,
    randomisation, reference_start, transplant: dates (text, empty where not known). end: end of participation; ended:
    it has, on whichever day; last: the last day (number) of taking part that is known; cut: the data cut.
    """
    dm = inputs.records["DM"].frame.set_index("USUBJID", drop=False)
    s = dm.copy()
    s["arm"] = text(dm["actual"]).where(text(dm["actual"]) != "", text(dm["arm"])).where(text(dm["arm"]) != "", "")
    s["consent"], s["randomisation"] = text(dm["consent_date"]), text(dm["randomisation_date"])
    s["reference_start"] = text(dm["rfstdtc"])
    index = transplant_days(inputs)
    s["transplant"] = text(index["dtc"].reindex(dm.index))
    s["end"] = text(dm["rfpendtc"])
    failed = (text(dm["arm"]) == "") & (text(dm["screen_failure_reason"]) != "")
    undated = (text(dm["withdrawal_reason"]) != "") & (text(dm["withdrawal_date"]) == "")
    undated &= text(dm["withdrawal_type"]) != TREATMENT_ONLY
    s["ended"] = (s["end"] != "") | dm["deceased"].astype(bool) | failed | undated
    s["last"] = day_number(s["end"]).fillna(day_number(dm["last_contact"]))
    return s


def transplant_days(inputs: Inputs) -> pd.DataFrame:
    """Return each subject's index transplant: dtc, day, record (label in PR), indexed by USUBJID (protocol §2).

    A subject who was not randomised has the last one before the data cut.
    """
    rule = inputs.trial.transplant
    none = pd.DataFrame({"dtc": [], "day": [], "record": []}, index=pd.Index([], dtype="str"))
    if rule is None:
        return none
    pr, cm = inputs.records["PR"].frame, inputs.records["CM"].frame
    grafts = pr[(pr["cat"] == rule.category).to_numpy()]
    grafts = grafts.assign(record=grafts.index).sort_values(["USUBJID", "dtc"], kind="stable")
    drugs = {n for c in inputs.trial.conditioning.values() for d, x in c.drugs.items() for n in (d, *x.alternatives)}
    given = cm[cm["decod"].isin(drugs).to_numpy()]
    found = transplants(
        _days_of(grafts).assign(record=grafts["record"].to_numpy()),
        _days_of(given),
        rule.window_days,
        rule.requires_conditioning,
        rule.conditioning_days,
    )
    randomised = day_number(inputs.subjects["randomisation_date"])
    index = index_transplants(found, randomised.fillna(inputs.subjects["cut"].astype("float64")), rule.index)
    if not len(index):
        return none
    return index.assign(dtc=text(pr["dtc"].reindex(index["record"])).str.slice(0, 10).to_numpy())


def _days_of(events: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"USUBJID": events["USUBJID"].to_numpy(), "day": day_number(text(events["dtc"])).to_numpy()})


def planned_elements(inputs: Inputs, subjects: pd.DataFrame) -> pd.DataFrame:
    """Return the elements of each subject's path with their start by rule, sorted by subject and order.

    Columns: USUBJID, order, etcd, element, EPOCH, taetord, start (text, empty where not known), upd. subjects: as of
    `participation`. A subject who was not randomised has the elements that all arms begin with; one who was given a
    trial product outside every planned arm has the unplanned element after them.
    """
    trial = inputs.trial
    paths = {code: [step.element for step in arm.path] for code, arm in trial.arms.items()}
    common = []
    for steps in zip(*paths.values(), strict=False):
        if len(set(steps)) > 1:
            break
        common.append(steps[0])
    outside = text(subjects["actual_unplanned"]) != ""
    found = []
    for code in ("", *paths):
        mine = subjects[((subjects["arm"] == code) & ~outside).to_numpy()]
        found += _path(trial, mine, paths.get(code, common))
    unplanned = subjects[outside.to_numpy()]
    found += _path(trial, unplanned, common)
    found.append(
        pd.DataFrame(
            {
                "USUBJID": unplanned.index,
                "order": len(common) + 1,
                "etcd": UNPLANNED,
                "element": "",
                "EPOCH": "",
                "taetord": np.nan,
                "start": text(unplanned["rfxstdtc"]).to_numpy(),
                "upd": (text(unplanned["actual_unplanned"]) + " given outside every planned arm").to_numpy(),
            }
        )
    )
    made = pd.concat(found, ignore_index=True)
    return made.sort_values(["USUBJID", "order"], kind="stable", ignore_index=True)


def _path(trial: Any, subjects: pd.DataFrame, path: list[str]) -> list[pd.DataFrame]:
    made = []
    for order, code in enumerate(path, 1):
        element = trial.elements[code]
        columns = {"order": order, "etcd": code, "element": element.label, "EPOCH": element.epoch, "upd": ""}
        start = planned_start(subjects[element.starts], element.after_days)
        one = pd.DataFrame({"USUBJID": subjects.index, "start": start.to_numpy(), "taetord": float(order)})
        made.append(one.assign(**columns))
    return made


CONTACTS = ("Observation", "MedicationAdministration", "Procedure", "Encounter")
"""Resource types whose usable facts show that the subject was seen on their (first) day."""


def contacts(inputs: Inputs) -> pd.DataFrame:
    """Return the days on which each subject was seen: USUBJID, day, dosed (a trial product was given), each once.

    A result about somebody else, what was not given or not done, and an implausible future date show nothing. The days
    of consent and screening in the log are contacts.
    """
    parts = []
    for kind in (k for k in CONTACTS if k in inputs.facts):
        f = inputs.facts[kind].frame
        seen = f["day"].notna() & ~text(f["notes"]).str.contains("date-in-future", regex=False)
        if "focus" in f:
            seen &= ~f["focus"].fillna(False).astype(bool)
        if "dose" in f:
            seen &= not_given(f) == ""
        parts.append(f.loc[seen, ["USUBJID", "day"]].drop_duplicates())
    for column in ("consent_date", "screening_date"):
        day = day_number(text(inputs.subjects[column]))
        logged = day[day <= inputs.subjects["cut"]]
        parts.append(pd.DataFrame({"USUBJID": logged.index, "day": logged.to_numpy()}))
    found = pd.concat([p.astype({"day": "float64"}) for p in parts], ignore_index=True).drop_duplicates()
    ec = inputs.records["EC"].frame
    doses = ec.loc[(ec["occur"] == "Y") & ec["day"].notna(), ["USUBJID", "day"]].astype({"day": "float64"})
    return found.merge(doses.drop_duplicates().assign(dosed=True), how="left", on=["USUBJID", "day"]).assign(
        dosed=lambda f: f["dosed"].notna()
    )

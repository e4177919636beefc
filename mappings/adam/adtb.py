"""ADTB, Transfusion Burden Analysis Dataset: units, transfusions and transfusion-free days by study week and in all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.burden import periods_of, transfusion_burden
from adapter.derive.imputation import sas_date
from adapter.spec import (
    DERIVED,
    Dataset,
    Inputs,
    Records,
    ValueLevel,
    Variable,
    call,
    joined,
    setting,
    used_of,
)
from mappings.analysis.subjects import medication_days
from mappings.analysis.variables import (
    BDS,
    date_of,
    of_a_parameter,
    reason_of_missing,
)

NAME = "ADTB"
WEEK = 7
UNKNOWN, UNDATED = "UNITS NOT KNOWN", "DATE NOT KNOWN"
PARAMETERS = {
    "UNIT": "{label}, Units",
    "UNWK": "{label}, Units per Week",
    "TXN": "{label}, Number of Transfusions",
    "FREE": "{label}, Transfusion-Free Days",
    "FREEP": "{label}, Transfusion-Free Days (%)",
}
"""End of PARAMCD -> PARAM; PARAMCD begins with the stem of the medication group."""


def burden(inputs: Inputs) -> Records:
    """Return one record per randomised subject, group, parameter and study week up to the horizon, and in all."""
    s = inputs.records["ADSL"].frame
    mine = s[s["randomised"].to_numpy()]
    known = pd.Series(np.fmin(mine["alive"], mine["cut"]), index=mine.index)
    periods = periods_of(mine["rfst"], known, inputs.trial.response.horizon_days, WEEK)
    parts, used = [], []
    for name, group in inputs.trial.medications.items():
        if not group.stem:
            continue
        given = medication_days(inputs, name)
        cm = inputs.made["CM"].loc[given.index]
        given["units"] = cm["CMDOSE"].astype("float64").where(cm["CMDOSU"].isin(group.units))
        given = given.rename(columns={"USUBJID": "subject"})
        found = transfusion_burden(given, periods)
        found = found.assign(first=periods["first"], last=periods["last"])
        one = _records(found, group.stem, group.label)
        parts.append(one)
        used.append(_used(one, given))
    if not parts:
        return Records(pd.DataFrame(columns=[*COLUMNS, "USUBJID"]))
    f = pd.concat(parts, ignore_index=True).set_index("record", drop=False)
    return Records(f, used=joined(used))


COLUMNS = ("paramcd", "param", "aval", "why", "first", "last", "avisit", "period", "days")


def _records(found: pd.DataFrame, stem: str, label: str) -> pd.DataFrame:
    values = {
        "UNIT": found["units"],
        "UNWK": (WEEK * found["units"] / found["days"]).round(6),
        "TXN": found["transfusions"],
        "FREE": found["free"],
        "FREEP": (100 * found["free"] / found["days"]).round(6),
    }
    made = []
    for end, value in values.items():
        one = found.drop(columns=["units", "transfusions", "free"]).rename(columns={"subject": "USUBJID"})
        one["paramcd"], one["param"] = stem + end, PARAMETERS[end].format(label=label)
        undated = found["transfusions"].isna() | (found["free"].isna() & end.startswith("FREE"))
        one["aval"], one["why"] = value, np.where(value.isna(), np.where(undated, UNDATED, UNKNOWN), "")
        # a rate of a single week says what its number of units says
        made.append(one[one["period"] == 0] if end in ("UNWK", "FREEP") else one)
    f = pd.concat(made, ignore_index=True)
    f["period"] = f["period"].astype("float64")
    f["avisit"] = np.where(f["period"] == 0, "All weeks", "Week " + f["period"].astype(int).astype(str))
    f["record"] = f["USUBJID"] + "|" + f["paramcd"] + "|" + f["period"].astype(int).astype(str)
    return f


def _used(f: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    """Return the transfusions that touch each record's period."""
    seen = given.rename(columns={"subject": "USUBJID"})
    pairs = f[["record", "USUBJID", "first", "last"]].merge(seen, on="USUBJID", suffixes=("", "_given"))
    pairs = pairs[((pairs["first_given"] <= pairs["last"]) & (pairs["last_given"] >= pairs["first"])).to_numpy()]
    return used_of(pairs["record"], "AVAL", "CM", "CMSTDTC", pairs["CMSEQ"].to_numpy())


def burden_value(aval: pd.Series[Any], horizon: int) -> pd.Series[Any]:
    """By the end of PARAMCD, over the days of the record. UNIT: sum of the units (CM.CMDOSE) of the transfusions that began; \
UNWK: that sum divided by the days, times 7; TXN: transfusions that began; FREE: days that no transfusion touched; FREEP: \
those in percent of the days. Weeks are study weeks up to study day {horizon}; the last one ends when the subject was last \
known alive. Empty where the units of any of the transfusions are not known, and where the date of one that may be of \
those days is not known to the day."""
    return aval


def first_day(day: pd.Series[Any]) -> pd.Series[Any]:
    """First day of the study week; study day 1 for all weeks."""
    return sas_date(day)


def last_day(day: pd.Series[Any]) -> pd.Series[Any]:
    """Last day of the study week, at most the day on which the subject was last known alive, and the data cut."""
    return sas_date(day)


def week(avisit: pd.Series[Any]) -> pd.Series[Any]:
    """The study week, or all weeks together."""
    return avisit


def week_number(period: pd.Series[Any]) -> pd.Series[Any]:
    """Number of the study week; 0 for all weeks together."""
    return period


def observed_days(days: pd.Series[Any]) -> pd.Series[Any]:
    """Number of days from ASTDT to AENDT."""
    return days


DATASET = Dataset(
    name=NAME,
    label="Transfusion Burden Analysis Dataset",
    cls=BDS,
    structure="One record per subject per parameter per study week, and per subject and parameter for all weeks",
    keys=("STUDYID", "USUBJID", "PARAMCD", "AVISITN"),
    records=burden,
    needs=("ADSL",),
    purpose="Analysis",
    sequence="ASEQ",
    value_levels=(ValueLevel("AVAL", "PARAMCD"),),
    variables=(
        *of_a_parameter(),
        Variable(
            "AVAL",
            "Analysis Value",
            "Num",
            call(burden_value, "aval", horizon=setting("response.horizon_days")),
            DERIVED,
            "Cond",
        ),
        date_of("ASTDT", "Analysis Start Date", first_day, "first"),
        date_of("AENDT", "Analysis End Date", last_day, "last"),
        Variable("AVISIT", "Analysis Visit", "Char", call(week, "avisit"), DERIVED, "Cond"),
        Variable("AVISITN", "Analysis Visit (N)", "Num", call(week_number, "period"), DERIVED, "Perm"),
        Variable("OBSDAYS", "Number of Days Observed", "Num", call(observed_days, "days"), DERIVED),
        reason_of_missing(),
    ),
)

"""What occurrence datasets (ADAE, ADCE, ADCM) have in common: analysis dates, where they lie to treatment, and groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import day_number
from adapter.derive.emergence import analysis_dates, emergent, months_later
from adapter.derive.imputation import sas_date
from adapter.spec import DERIVED, Inputs, Variable, call, ref, setting
from mappings.analysis.variables import NY, date_of, relative_day
from mappings.parts import text

GROUPS = ("CQ01NAM", "CQ02NAM")
DATEFL = "C81223"
MONTHS = setting("safety.emergence.months_after_last_treatment")
FLAG = {True: "Y", False: ""}


def dated(f: pd.DataFrame, start: str, end: str, inputs: Inputs) -> pd.DataFrame:
    """Return f with the columns start_day, start_flag, end_day, emergent, before, after.

    f: records of a dataset with USUBJID; start, end: its date variables.
    """
    s, rule = inputs.records["ADSL"].frame, inputs.trial.safety
    who = f["USUBJID"]
    of = {c: who.map(s[c]).astype("float64") for c in ("rfst", "trts", "trte")}
    consent = who.map(day_number(s["rficdtc"])).astype("float64")
    limit = of["rfst"] if rule.not_before_treatment else pd.Series(np.nan, index=f.index)
    days = analysis_dates(text(f[start]), text(f[end]), limit)
    day = days["start"]
    # who was never treated has no event under treatment, whatever day stands in for the first one
    first = of["rfst"].where(of["trts"].notna())
    window = months_later(of["trte"], rule.emergence.months_after_last_treatment)
    found = emergent(day, text(f[end]), first, window, rule.emergence.undated)
    before = (day >= consent) & ~(day >= of["rfst"])
    return f.assign(
        start_day=day,
        start_flag=days["start_flag"],
        end_day=days["end"],
        emergent=found.map(FLAG).astype("str"),
        before=before.map(FLAG).astype("str"),
        after=(day > window).map(FLAG).astype("str"),
    )


def grouped(f: pd.DataFrame, category: str, inputs: Inputs) -> pd.DataFrame:
    """Return f with a column per group of events (group_1, group_2): its name where the category belongs to it."""
    groups = list(inputs.trial.safety.groups.items())
    for n in range(len(GROUPS)):
        name, categories = groups[n] if n < len(groups) else ("", ())
        f = f.assign(**{f"group_{n + 1}": np.where(f[category].isin(categories), name, "")})
    return f


def start_date(day: pd.Series[Any]) -> pd.Series[Any]:
    """Start of the event. Of a date that is not known to the day the first day it may mean, but not before the subject \
reference start date (ADSL.RFSTDT) where the known part allows it; ASTDTF says what was imputed."""
    return sas_date(day)


def start_flag(flag: pd.Series[Any]) -> pd.Series[Any]:
    """D: the day of ASTDT was imputed; M: month and day. Empty for a complete date, and where there is none."""
    return flag


def end_date(day: pd.Series[Any]) -> pd.Series[Any]:
    """End of the event where it is known to the day; it is never imputed."""
    return sas_date(day)


def emergent_flag(flag: pd.Series[Any], months: int) -> pd.Series[Any]:
    """Y: the event began on or after the first study treatment and at most {months} calendar months after the last one \
(ADSL.TRTEDT; the same day of the month, clipped to its end). Without any start date Y, unless it had ended before \
treatment. Empty otherwise, and for subjects without study treatment."""
    return flag


def pre_treatment_flag(flag: pd.Series[Any]) -> pd.Series[Any]:
    """Y: it began on or after consent and before the subject reference start date (ADSL.RFSTDT)."""
    return flag


def follow_up_flag(flag: pd.Series[Any], months: int) -> pd.Series[Any]:
    """Y: it began more than {months} calendar months after the last study treatment (ADSL.TRTEDT)."""
    return flag


def group_name(name: pd.Series[Any]) -> pd.Series[Any]:
    """Name of the group of events in the trial definition to which the category of the record belongs; else empty."""
    return name


def flag_of(name: str, label: str, function: Any, column: str, core: Any = "Cond", **more: Any) -> Variable:
    return Variable(name, label, "Char", call(function, column, **more), DERIVED, core, codelist=NY)


def date_variables() -> tuple[Variable, ...]:
    """Return ASTDT to AENDY."""
    start = ref("ADSL.RFSTDT")
    return (
        date_of("ASTDT", "Analysis Start Date", start_date, "start_day"),
        Variable(
            "ASTDTF",
            "Analysis Start Date Imputation Flag",
            "Char",
            call(start_flag, "start_flag"),
            DERIVED,
            "Cond",
            codelist=DATEFL,
        ),
        date_of("AENDT", "Analysis End Date", end_date, "end_day"),
        Variable("ASTDY", "Analysis Start Relative Day", "Num", call(relative_day, "ASTDT", start), DERIVED, "Cond"),
        Variable("AENDY", "Analysis End Relative Day", "Num", call(relative_day, "AENDT", start), DERIVED, "Perm"),
    )


def group_variables() -> tuple[Variable, ...]:
    return tuple(
        Variable(name, f"Customized Query {name[2:4]} Name", "Char", call(group_name, f"group_{n}"), DERIVED, "Cond")
        for n, name in enumerate(GROUPS, 1)
    )


def period_flags(*, treatment_emergent: bool = True) -> tuple[Variable, ...]:
    """Return TRTEMFL (events only), PREFL and FUPFL."""
    emergence = flag_of("TRTEMFL", "Treatment Emergent Analysis Flag", emergent_flag, "emergent", "Exp", months=MONTHS)
    return (
        *((emergence,) if treatment_emergent else ()),
        flag_of("PREFL", "Pre-treatment Flag", pre_treatment_flag, "before"),
        flag_of("FUPFL", "Follow-up Flag", follow_up_flag, "after", months=MONTHS),
    )

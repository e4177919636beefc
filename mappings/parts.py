"""Variables that stand in many domains the same way, and small pickers for records functions."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.derive.days import sequence_number, study_day
from adapter.spec import ASSIGNED, DERIVED, PROTOCOL, Variable, call, const, path, ref, setting

ONGOING = "ONGOING"


def identifiers(domain: str, sequence: bool = True) -> tuple[Variable, ...]:
    """Return STUDYID, DOMAIN, USUBJID and --SEQ (SDTMIG 3.4 §4.2)."""
    found = [
        Variable("STUDYID", "Study Identifier", "Char", setting("study.id"), PROTOCOL, "Req", "Identifier"),
        Variable("DOMAIN", "Domain Abbreviation", "Char", const(domain), ASSIGNED, "Req", "Identifier"),
        Variable(
            "USUBJID",
            "Unique Subject Identifier",
            "Char",
            path("USUBJID", "enrolment log: siteid, subjid"),
            ASSIGNED,
            "Req",
            "Identifier",
            comment="STUDYID, SITEID and SUBJID, joined by hyphens. The hospital's patient ids never leave the site.",
        ),
    ]
    if sequence:
        name = f"{domain}SEQ"
        source = call(sequence_number, "USUBJID")
        found.append(Variable(name, "Sequence Number", "Num", source, DERIVED, "Req", "Identifier"))
    return tuple(found)


def study_day_of(name: str, label: str, date: str) -> Variable:
    """Return a --DY variable: study day of another date variable, from RFSTDTC (protocol §2)."""
    return Variable(name, label, "Num", call(study_day, date, ref("DM.RFSTDTC")), DERIVED, "Perm", "Timing")


def text(column: pd.Series[Any]) -> pd.Series[str]:
    """Return a column as text without missing values."""
    return column.astype("str").fillna("")


def number(column: pd.Series[Any]) -> pd.Series[float]:
    """Return exact decimal texts as numbers (the nearest double)."""
    return column.map(lambda t: float(t) if isinstance(t, str) and t else float("nan")).astype("float64")


def reasons(rows: pd.Series[Any], why: str) -> pd.Series[str]:
    """Return rows (positions in a resource's facts) -> one reason, for Records.dropped."""
    return pd.Series(why, index=pd.Index(rows.to_numpy(dtype="int64")), dtype="str")

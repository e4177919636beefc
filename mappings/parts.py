"""Variables that stand in many domains the same way, and small pickers for records functions."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.derive.days import sequence_number, study_day
from adapter.spec import ASSIGNED, DERIVED, PROTOCOL, Variable, call, const, issues_of, path, ref, setting

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


def reasons(rows: pd.Series[Any], why: Any) -> pd.Series[str]:
    """Return rows (positions in a resource's facts) -> reason (one, or one each), for Records.dropped."""
    given = why.to_numpy() if isinstance(why, pd.Series) else why
    return pd.Series(given, index=pd.Index(rows.to_numpy(dtype="int64")), dtype="str")


def not_given(events: pd.DataFrame) -> pd.Series[str]:
    """Return why each administration or procedure was not given, empty where it was, wholly or in part.

    Stopped and on hold with a dose, a rate or an elapsed period are the part that was given; a dose of 0 is none
    (fhir-input point 1). events: status, dose, end_dtc, notes; rate where the resource has one.
    """
    dose = number(events["dose"])
    rate = events["rate"].notna() if "rate" in events else pd.Series(False, index=events.index)
    part = (dose > 0) | rate | events["end_dtc"].notna() | cut_off(events)
    why = pd.Series("", index=events.index, dtype="str")
    why[(events["status"] == "not-done") | ((events["status"] == "stopped") & ~part) | ((dose == 0) & ~rate)] = (
        "not-done"
    )
    why[(events["status"] == "on-hold") & ~part] = "status-planned"
    return why


def cut_off(events: pd.DataFrame) -> pd.Series[bool]:
    """Return whether an event's end was left empty because it lies after the data cut."""
    return text(events["notes"]).str.contains("end-after-cut@", regex=False)


def without_dose(events: pd.DataFrame, why: pd.Series[str], message: str, known: bool) -> pd.DataFrame:
    """Return the data issues of what was reported as begun, but shows no part that was given.

    known: the events are records (their index labels are the records' labels).
    """
    odd = events[(why == "not-done") & (events["status"] != "not-done")]
    return issues_of(odd.index if known else -1, odd["USUBJID"], "stopped-without-dose", message)


def open_end(events: pd.DataFrame) -> pd.Series[bool]:
    """Return whether an event was going on at the data cut: an open Period, or one that ends later."""
    return events["open"].fillna(False).astype(bool) | cut_off(events)


def ongoing(events: pd.DataFrame, cuts: pd.Series[str]) -> pd.DataFrame:
    """Return --ENRTPT and --ENTPT (columns enrtpt, entpt): ongoing at the subject's data cut, never "today".

    fhir-input point 26; SDTMIG 3.4 section 4.4.7. cuts: USUBJID -> cut date.
    """
    goes_on = open_end(events)
    cut = text(cuts.reindex(events["USUBJID"]).set_axis(events.index))
    return pd.DataFrame(
        {"enrtpt": goes_on.map({True: ONGOING, False: ""}).astype("str"), "entpt": cut.where(goes_on, "")}
    )

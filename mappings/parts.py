"""Variables that stand in many domains the same way, and small pickers for records functions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pandas as pd

from adapter.derive.days import sequence_number, study_day
from adapter.spec import ASSIGNED, COLLECTED, DERIVED, PROTOCOL, Variable, call, const, issues_of, path, ref, setting

ONGOING = "ONGOING"
STENRF = "C66728"


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


def study_day_of(name: str, label: str, date: str, core: Any = "Perm") -> Variable:
    """Return a --DY variable: study day of another date variable, from RFSTDTC (protocol §2)."""
    return Variable(name, label, "Num", call(study_day, date, ref("DM.RFSTDTC")), DERIVED, core, "Timing")


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
    (fhir-input point 1). events: status, dose, end_dtc, micros, end_micros, notes; rate where it has one. Two events
    that look alike are two: the second bag of a day, not the first one told twice (point 3 is about results).
    """
    dose = number(events["dose"])
    rate = events["rate"].notna() if "rate" in events else pd.Series(False, index=events.index)
    several = noted(events, "dose-not-single@")
    part = (dose > 0) | several | rate | _elapsed(events) | cut_off(events)
    why = pd.Series("", index=events.index, dtype="str")
    why[(events["status"] == "not-done") | ((events["status"] == "stopped") & ~part) | ((dose == 0) & ~rate)] = (
        "not-done"
    )
    why[(events["status"] == "on-hold") & ~part] = "status-planned"
    return why


def _elapsed(events: pd.DataFrame) -> pd.Series[bool]:
    """Return which events have a Period that took some time: one that ends at the instant it begins did not elapse."""
    at_once = events["end_micros"].notna() & (events["end_micros"] == events["micros"])
    return events["end_dtc"].notna() & ~at_once.fillna(False).astype(bool)


def of_others(procedures: pd.DataFrame) -> pd.Series[bool]:
    """Return which Procedures were performed on somebody else, such as a donor (Procedure.focus, R5)."""
    return procedures["focus"].fillna(False).astype(bool)


def cut_off(events: pd.DataFrame) -> pd.Series[bool]:
    """Return whether an event's end was left empty because it lies after the data cut."""
    return noted(events, "end-after-cut@")


def each_ingredient(events: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each ingredient of a mixture that has no code of its own; other rows as they are.

    Each has the mixture's times, but not its dose: how much of it was given is not told. Column mixture: its names.
    """
    mixed = events["ingredients"].notna()
    events = events.assign(mixture="")
    if not mixed.any():
        return events
    parts = events[mixed].copy()
    parts["mixture"] = parts["code_text"]
    parts["ingredient"] = parts["ingredients"].map(json.loads)
    parts = parts.explode("ingredient")
    parts["code"], parts["code_text"] = parts["ingredient"].str[0], parts["ingredient"].str[1]
    amount = (
        (text(parts["dose"]) + " " + _unit(parts)).str.strip().where(parts["dose"].notna(), text(parts["dose_text"]))
    )
    parts["dose_text"] = (amount + " of " + parts["mixture"]).where(amount != "", parts["mixture"])
    parts[["dose", "dose_unit", "dose_unit_text", "rate"]] = None
    return pd.concat([events[~mixed], parts.drop(columns="ingredient")], ignore_index=True)


def _unit(events: pd.DataFrame) -> pd.Series[str]:
    return text(events["dose_unit_text"]).where(text(events["dose_unit_text"]) != "", text(events["dose_unit"]))


def collected(
    name: str,
    label: str,
    column: str,
    core: Any,
    role: str,
    *fhir: str,
    codelist: str | None = None,
    comment: str | None = None,
) -> Variable:
    """Return a text variable that stands in a column of the records as the hospital gave it. fhir: where it came from."""
    source = path(column, *fhir)
    return Variable(name, label, "Char", source, COLLECTED, core, role, codelist=codelist, comment=comment)


def assigned(
    name: str,
    label: str,
    column: str,
    core: Any,
    role: str,
    *fhir: str,
    codelist: str | None = None,
    comment: str | None = None,
) -> Variable:
    """Return a text variable that stands in a column of the records as a table says it. fhir: what that was looked up for."""
    return replace(
        collected(name, label, column, core, role, *fhir, codelist=codelist, comment=comment), origin=ASSIGNED
    )


def end_point_of(domain: str, *fhir: str, comment: str | None = None) -> tuple[Variable, Variable]:
    """Return --ENRTPT and --ENTPT, as `ongoing` gives them (SDTMIG 3.4 section 4.4.7). comment: on --ENTPT."""
    cut = path("entpt", "data cut")
    return (
        collected(
            f"{domain}ENRTPT",
            "End Relative to Reference Time Point",
            "enrtpt",
            "Perm",
            "Timing",
            *fhir,
            codelist=STENRF,
        ),
        Variable(
            f"{domain}ENTPT", "End Reference Time Point", "Char", cut, COLLECTED, "Perm", "Timing", comment=comment
        ),
    )


def said_in_words(name: str, *fhir: str) -> Variable:
    """Return the supplemental qualifier with a time that is no date: `last spring`, an age, a schedule (point 25)."""
    return _words(name, "Time of Event as Reported in Words", "words", *fhir)


def end_in_words(name: str, *fhir: str) -> Variable:
    """Return the supplemental qualifier with an end that is no date."""
    return _words(name, "End of Event as Reported in Words", "end_words", *fhir)


def _words(name: str, label: str, column: str, *fhir: str) -> Variable:
    return Variable(name, label, "Char", path(column, *fhir), COLLECTED, supplemental=True)


def noted(events: pd.DataFrame, note: str) -> pd.Series[bool]:
    """Return which events intake or the data cut left this note on (`code@element`)."""
    return text(events["notes"]).str.contains(note, regex=False)


def without_dose(events: pd.DataFrame, why: pd.Series[str], message: str, known: bool) -> pd.DataFrame:
    """Return the data issues of what was reported as begun, but shows no part that was given.

    known: the events are records (their index labels are the records' labels).
    """
    odd = events[(why == "not-done") & (events["status"] != "not-done")]
    return issues_of(odd.index if known else -1, odd["USUBJID"], "stopped-without-dose", message)


OVER = ("completed", "stopped", "issued")
"""Statuses of what has ended: an open Period then means that nobody wrote the end down."""


def open_end(events: pd.DataFrame) -> pd.Series[bool]:
    """Return whether an event was going on at the data cut: an open Period of what is not over, or one that ends later.

    fhir-input point 26. events: open, status, notes.
    """
    return (events["open"].fillna(False).astype(bool) & ~events["status"].isin(OVER)) | cut_off(events)


def without_end(events: pd.DataFrame) -> pd.DataFrame:
    """Return the data issues of records that are over, but have an open Period (an infusion whose end is not known)."""
    lost = events["open"].fillna(False).astype(bool) & events["status"].isin(OVER) & ~cut_off(events)
    message = "it is over, but no end is given; the end was left empty"
    return issues_of(events.index[lost], events.loc[lost, "USUBJID"], "end-unknown", message)


def ongoing(events: pd.DataFrame, cuts: pd.Series[str]) -> pd.DataFrame:
    """Return --ENRTPT and --ENTPT (columns enrtpt, entpt): ongoing at the subject's data cut, never "today".

    fhir-input point 26; SDTMIG 3.4 section 4.4.7. cuts: USUBJID -> cut date. What somebody stated was going on on the day
    of the statement (`until`, where the event has one).
    """
    goes_on = open_end(events)
    cut = text(cuts.reindex(events["USUBJID"]).set_axis(events.index))
    if "until" in events:
        cut = cut.where(text(events["until"]) == "", text(events["until"]))
    return pd.DataFrame(
        {"enrtpt": goes_on.map({True: ONGOING, False: ""}).astype("str"), "entpt": cut.where(goes_on, "")}
    )

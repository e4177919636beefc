"""Variables that stand in several analysis datasets the same way: identifiers, treatment, populations, parameter, dates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from adapter.derive.days import sequence_number
from adapter.derive.imputation import sas_date
from adapter.spec import ASSIGNED, DERIVED, PREDECESSOR, PROTOCOL, Variable, call, path, ref, setting

DATE9 = "DATE9."
NY = "C66742"
BDS = "BASIC DATA STRUCTURE"
OCCDS = "OCCURRENCE DATA STRUCTURE"


def study() -> Variable:
    return Variable("STUDYID", "Study Identifier", "Char", setting("study.id"), PROTOCOL, "Req", "Identifier")


def subject() -> Variable:
    return Variable(
        "USUBJID", "Unique Subject Identifier", "Char", path("USUBJID", "DM.USUBJID"), PREDECESSOR, "Req", "Identifier"
    )


def copied(name: str, label: str, of: str, core: Any = "Perm", type_: Any = "Char", **more: Any) -> Variable:
    """Return a variable that is another dataset's, of the same subject (a Predecessor)."""
    return Variable(name, label, type_, ref(of), PREDECESSOR, core, **more)


def day_text_of(day: pd.Series[Any]) -> pd.Series[Any]:
    return sas_date(day)


def from_adsl(*, treatments: bool = True) -> tuple[Variable, ...]:
    """Return treatment and population flags of a record, as they are in ADSL."""
    found = (
        copied("TRTP", "Planned Treatment", "ADSL.TRT01P", "Cond"),
        copied("TRTPN", "Planned Treatment (N)", "ADSL.TRT01PN", type_="Num"),
        copied("TRTA", "Actual Treatment", "ADSL.TRT01A", "Cond"),
        copied("TRTAN", "Actual Treatment (N)", "ADSL.TRT01AN", type_="Num"),
    )
    flags = (
        copied("FASFL", "Full Analysis Set Population Flag", "ADSL.FASFL", "Cond", codelist=NY),
        copied("SAFFL", "Safety Population Flag", "ADSL.SAFFL", "Cond", codelist=NY),
        copied("ITTFL", "Intent-To-Treat Population Flag", "ADSL.ITTFL", "Cond", codelist=NY),
        copied("PPROTFL", "Per-Protocol Population Flag", "ADSL.PPROTFL", "Cond", codelist=NY),
    )
    return (*(found if treatments else ()), *flags)


def of_subject() -> tuple[Variable, ...]:
    """Return treatments, their dates and population flags of an occurrence (OCCDS), as they are in ADSL."""
    return (
        copied("TRT01P", "Planned Treatment for Period 01", "ADSL.TRT01P"),
        copied("TRT01A", "Actual Treatment for Period 01", "ADSL.TRT01A"),
        copied("TRTSDT", "Date of First Exposure to Treatment", "ADSL.TRTSDT", type_="Num", display=DATE9),
        copied("TRTEDT", "Date of Last Exposure to Treatment", "ADSL.TRTEDT", type_="Num", display=DATE9),
        *from_adsl(treatments=False),
    )


def sequence() -> Variable:
    source = call(sequence_number, "USUBJID")
    return Variable("ASEQ", "Analysis Sequence Number", "Num", source, DERIVED, "Perm", "Identifier")


def parameter(
    param: str = "param", code: str = "paramcd", source: str = "trial definition"
) -> tuple[Variable, Variable]:
    """Return PARAM and PARAMCD, which belong to each other one to one."""
    return (
        Variable("PARAM", "Parameter", "Char", path(param, source), ASSIGNED, "Req", "Topic"),
        Variable("PARAMCD", "Parameter Code", "Char", path(code, source), ASSIGNED, "Req", "Topic", codelist="PARAMCD"),
    )


def date_of(name: str, label: str, function: Any, column: str, core: Any = "Cond", **more: Any) -> Variable:
    """Return a numeric date: function(column) -> day number, as a SAS date shown as DATE9."""
    return Variable(name, label, "Num", call(function, column, **more), DERIVED, core, display=DATE9)


def relative_day(day: pd.Series[Any], start: pd.Series[Any]) -> pd.Series[float]:
    """Analysis date minus the subject reference start date (ADSL.RFSTDT), in days, plus 1 where it is on or after it; \
there is no day 0. Empty where either is empty."""
    difference = day - start
    return difference.where(difference < 0, difference + 1)


def kept(dataset: str, names: Mapping[str, str], **more: Any) -> tuple[Variable, ...]:
    """Return variables of an SDTM record that are kept as they are (Predecessor). names: name -> label.

    more: codelists: name -> codelist; numbers: names that are Num; req, exp, cond: names with that core (exp: they stand
    also where they have no value).
    """
    cores: dict[str, Any] = {n: c for c in ("Req", "Exp", "Cond") for n in more.get(c.lower(), ())}
    return tuple(
        Variable(
            name,
            label,
            "Num" if name in more.get("numbers", ()) or name.endswith("SEQ") else "Char",
            path(name, f"{dataset}.{name}"),
            PREDECESSOR,
            cores.get(name, "Perm"),
            codelist=more.get("codelists", {}).get(name),
        )
        for name, label in names.items()
    )


def of_a_parameter(source: str = "trial definition") -> tuple[Variable, ...]:
    """Return what a record of BDS begins with: identifiers, treatment and populations, parameter. source: of PARAMCD."""
    return (study(), subject(), sequence(), *from_adsl(), *parameter(source=source))


def of_an_occurrence(dataset: str) -> tuple[Variable, ...]:
    """Return what a record of OCCDS begins with: identifiers, the number of its SDTM record, what ADSL says of the subject."""
    return (study(), subject(), sequence(), *kept(dataset, {f"{dataset}SEQ": "Sequence Number"}), *of_subject())


def missing_reason(why: pd.Series[Any]) -> pd.Series[Any]:
    """What was missing where AVAL is empty."""
    return why


def reason_of_missing() -> Variable:
    return Variable("AVALREAS", "Reason Analysis Value Is Missing", "Char", call(missing_reason, "why"), DERIVED)

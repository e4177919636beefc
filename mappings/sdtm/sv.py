"""SV, Subject Visits: planned visits by their windows, held or not, and every other contact as an unscheduled one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import day_number, day_texts
from adapter.derive.elements import element_spans
from adapter.derive.visits import out_of_order, planned_visits, subject_visits, visit_text
from adapter.spec import ASSIGNED, DERIVED, Dataset, Inputs, Records, Variable, call, issues_of, joined, path
from mappings.parts import assigned, identifiers, study_day_of
from mappings.timing import NY, contacts, participation, planned_elements

DOMAIN = "SV"
DEFINED = "trial definition: visits.csv"
NO_CONTACT = "NO CONTACT WITHIN THE VISIT WINDOW"
WITNESSES = ("EC", "PR", "CM", "LB")
"""Datasets whose records show that a visit took place; the first record of its first day stands as its source."""


def visits(inputs: Inputs) -> Records:
    """Return one record per planned visit that was due, and per contact that was no planned visit."""
    trial, s = inputs.trial, participation(inputs)
    spans = element_spans(planned_elements(inputs, s))
    days = pd.DataFrame({a: day_number(s[a]) for a in ("consent", "reference_start", "transplant")})
    days["arm"], days["ended"], days["cut"] = s["arm"], s["ended"], s["cut"].astype("float64")
    days["last"] = s["last"].where(s["ended"], days["cut"])
    dosing = {
        (code, day)
        for code, arm in trial.arms.items()
        for rule in arm.treatment.values()
        if rule.product in trial.dosing
        for day in trial.dosing[rule.product].planned_days
    }
    planned = planned_visits(trial.visits, days, spans, dosing)
    made = subject_visits(planned, contacts(inputs))
    names = {float(v.VISITNUM): v.VISIT for v in trial.visits}
    study_days = {float(v.VISITNUM): float(v.target_day) for v in trial.visits if v.anchor == "reference_start"}
    made["number"] = made["VISITNUM"]
    made["visit"] = [names.get(n) or visit_text(n) for n in made["VISITNUM"]]
    made["visitdy"] = made["VISITNUM"].map(study_days).where(made["planned"]).astype("float64")
    made["presp"] = np.where(made["planned"], "Y", "")
    made["occur"] = np.where(made["planned"], np.where(made["start"].notna(), "Y", "N"), "")
    made["reason"] = np.where(made["occur"] == "N", NO_CONTACT, "")
    made["first"], made["last"] = day_texts(made["start"]), day_texts(made["end"])
    made = _with_sources(made, inputs)
    after = out_of_order(made)
    late = made.index[after.notna()]
    issues = [
        issues_of([i], [usubjid], "visit-out-of-order", f"{visit} was before {names[n]} had ended")
        for i, usubjid, visit, n in zip(late, made["USUBJID"][late], made["visit"][late], after[late], strict=True)
    ]
    return Records(made, issues=joined(issues))


def _with_sources(made: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Add resource and row: of the records of a visit's first day the first by dataset, time and place in the input."""
    parts = []
    for rank, name in enumerate(WITNESSES):
        f = inputs.records[name].frame
        f = f[f["day"].notna() & (f["row"] >= 0)]
        if len(f):
            parts.append(f[["USUBJID", "day", "dtc", "file", "line", "resource", "row"]].assign(rank=rank))
    made["resource"], made["row"] = "", -1
    if not parts:
        return made
    seen = pd.concat(parts, ignore_index=True).astype({"day": "float64"})
    wanted = made.loc[made["start"].notna(), ["USUBJID", "start"]].rename(columns={"start": "day"}).reset_index()
    seen = seen.merge(wanted, on=["USUBJID", "day"]).sort_values(["rank", "dtc", "file", "line"], kind="stable")
    seen = seen.drop_duplicates("index").set_index("index")
    made.loc[seen.index, "resource"], made.loc[seen.index, "row"] = seen["resource"], seen["row"]
    return made


def number_of_visit(visitnum: pd.Series[Any]) -> pd.Series[Any]:
    """A planned visit is the one whose window (trial definition) holds the contact; where several contacts do, it is \
held on the day of a dose that is due at it, else on the one nearest to its day, the earlier of equal ones; a visit that \
extends over its window has all of them. Every other day on which the subject was seen is an unscheduled visit, numbered \
after the planned visit held before it, in steps of 0.01 by date."""
    return visitnum


def name_of_visit(visit: pd.Series[Any]) -> pd.Series[Any]:
    """Name of the planned visit in TV; UNSCHEDULED and the number for an unscheduled one."""
    return visit


def first_contact(day: pd.Series[Any]) -> pd.Series[Any]:
    """First day of the visit on which a result, an administration or a procedure, or the consent or screening date of \
the enrolment log, shows that the subject was seen; empty where the visit was not held."""
    return day


def last_contact(day: pd.Series[Any]) -> pd.Series[Any]:
    """Last such day of the visit."""
    return day


def occurrence(occur: pd.Series[Any]) -> pd.Series[Any]:
    """Y where a planned visit was held; N where its day was reached, its window has closed or participation has ended, \
and no contact lies in it; empty for unscheduled visits."""
    return occur


def _derived(name: str, label: str, function: Any, column: str, core: Any, role: str, kind: Any = "Char") -> Variable:
    return Variable(name, label, kind, call(function, column), DERIVED, core, role)


DATASET = Dataset(
    name=DOMAIN,
    label="Subject Visits",
    cls="SPECIAL PURPOSE",
    structure="One record per actual or planned visit per subject",
    keys=("STUDYID", "USUBJID", "VISITNUM"),
    records=visits,
    needs=("DM", *WITNESSES),
    variables=(
        *identifiers(DOMAIN, sequence=False),
        _derived("VISITNUM", "Visit Number", number_of_visit, "number", "Req", "Topic", "Num"),
        _derived("VISIT", "Visit Name", name_of_visit, "visit", "Perm", "Synonym Qualifier"),
        assigned("SVPRESP", "Pre-specified", "presp", "Exp", "Variable Qualifier", DEFINED, codelist=NY),
        Variable(
            "SVOCCUR", "Occurrence", "Char", call(occurrence, "occur"), DERIVED, "Exp", "Record Qualifier", codelist=NY
        ),
        assigned(
            "SVREASOC",
            "Reason for Occur Value",
            "reason",
            "Perm",
            "Record Qualifier",
            comment="Why nobody knows: the hospital's data only show that there was no contact.",
        ),
        Variable("VISITDY", "Planned Study Day of Visit", "Num", path("visitdy", DEFINED), ASSIGNED, "Perm", "Timing"),
        _derived("SVSTDTC", "Start Date/Time of Observation", first_contact, "first", "Exp", "Timing"),
        _derived("SVENDTC", "End Date/Time of Observation", last_contact, "last", "Exp", "Timing"),
        study_day_of("SVSTDY", "Study Day of Start of Observation", "SVSTDTC"),
        study_day_of("SVENDY", "Study Day of End of Observation", "SVENDTC"),
    ),
)

"""ADTTE, Time to Event Analysis Dataset: engraftment, survival and clinical events, with competing events and censoring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.imputation import sas_date
from adapter.derive.time_to_event import BY_COMPETING, BY_EVENT, BY_HORIZON, BY_LAST, BY_STOP
from adapter.spec import (
    ASSIGNED,
    DERIVED,
    Dataset,
    Inputs,
    Records,
    ValueLevel,
    Variable,
    call,
    issues_of,
    joined,
    path,
    used_of,
)
from mappings.analysis.survival import SOURCE, Parameter, parameters, survival_methods
from mappings.analysis.variables import BDS, date_of, of_a_parameter

NAME = "ADTTE"
DESCRIPTIVE, COMPARED = "DESCRIPTIVE", "COMPARED BETWEEN ARMS"


def records(inputs: Inputs) -> Records:
    """Return one record per randomised subject and parameter whose origin is known."""
    s = inputs.records["ADSL"].frame
    mine = s["randomised"].to_numpy()
    found = list(parameters(inputs.shared["lineages"], s, inputs))
    f = pd.concat([p.frame for p in found])
    f["n"], f["randomised"] = np.repeat(np.arange(len(found)), len(s)), np.tile(mine, len(found))
    early = f[(f["too_early"] & f["randomised"]).to_numpy()].index.unique()
    kept = f[(f["randomised"] & f["start"].notna()).to_numpy()].reset_index(names="USUBJID")
    made = _described(kept, found).set_index("record", drop=False)
    used = []
    for p in found:
        if p.used is not None:
            some = p.used[p.used["record"].isin(p.frame.index[mine & p.frame["start"].notna().to_numpy()])]
            used.append(some.assign(record=some["record"] + f"|{p.code}"))
    one = made[(made["srcdom"] != "").to_numpy()]
    used.append(used_of(one.index, "ADT", *(one[c].to_numpy() for c in SOURCE)))
    used.append(used_of(made.index, "STARTDT", "ADSL", made["origin"].to_numpy()))
    who = s.index[s.index.isin(early)]
    return Records(made, issues=joined([issues_of(-1, who, "event-before-origin", BEFORE)]), used=joined(used))


BEFORE = "the death is dated before the day that a time-to-event parameter counts from; it was not taken as its event"


def _described(f: pd.DataFrame, found: Sequence[Parameter]) -> pd.DataFrame:
    """Return the records with names, values and, in words, what their date is. f: rows of the parameters' frames; n."""
    n, by, names = f["n"].to_numpy(), f["by"].to_numpy(dtype=object), {}
    for name in ("code", "label", "unseen", "last", "nothing"):
        names[name] = np.array([getattr(p, name) for p in found], dtype=object)[n]
    beyond = np.array([f"No event within {p.horizon} days" for p in found], dtype=object)[n]
    at_horizon = np.array([f"Day {p.horizon}" for p in found], dtype=object)[n]
    group = np.array([DESCRIPTIVE if p.descriptive else COMPARED for p in found], dtype=object)[n]
    of = [by == BY_EVENT, by == BY_COMPETING, by == BY_STOP, by == BY_HORIZON]
    event, competitor, stopper = (f[c].to_numpy(dtype=object) for c in ("event", "competitor", "stopper"))
    at_last = np.where(f["at_origin"].to_numpy(), names["nothing"], names["last"])
    return f.assign(
        record=f["USUBJID"] + "|" + names["code"],
        paramcd=names["code"],
        param=names["label"],
        paramn=n + 1.0,
        parcat=group,
        aval=f["day"] - f["start"] + 1,
        evntdesc=np.select(of, [event, competitor, stopper, beyond], names["unseen"]),
        cnsdtdsc=np.select(of, ["", competitor, stopper, at_horizon], at_last),
        adtf=f["flag"].where(~f["by"].isin([BY_STOP, BY_LAST, BY_HORIZON]), ""),
    )


def days_to_event(aval: pd.Series[Any]) -> pd.Series[Any]:
    """ADT minus STARTDT plus 1, in days; the method of each parameter is given by PARAMCD."""
    return aval


def censor(cnsr: pd.Series[Any]) -> pd.Series[Any]:
    """0: the event; 2: a competing event; 1: censored. The earliest of event and competing event decides, on the same \
day the event; only where there is neither, or both are later than the horizon of the parameter, it is censored."""
    return cnsr.astype("float64")


def event_description(text: pd.Series[Any]) -> pd.Series[Any]:
    """The event where CNSR = 0, the competing event where CNSR = 2, else the reason of censoring."""
    return text


def censor_description(text: pd.Series[Any]) -> pd.Series[Any]:
    """What the date is that was censored at, or the competing event; empty where CNSR = 0."""
    return text


def origin_date(start: pd.Series[Any]) -> pd.Series[Any]:
    """Day 1 of the parameter: ADSL.RFSTDT, ADSL.HSCTDT or ADSL.RANDDT, as the trial definition says (time_to_event)."""
    return sas_date(start)


def event_date(day: pd.Series[Any]) -> pd.Series[Any]:
    """Date of the event or competing event; of a censored record the last day on which the subject, or for engraftment \
a value of the lineage, is known; never before STARTDT nor after the horizon of the parameter."""
    return sas_date(day)


def imputation(flag: pd.Series[Any]) -> pd.Series[Any]:
    """D, M, Y: the day, the month and day, or the whole date of the event was completed; else empty."""
    return flag


def prevalent(flag: pd.Series[Any]) -> pd.Series[Any]:
    """Y where such an event began before STARTDT: it is prevalent and no event of this parameter."""
    return np.where(flag.astype(bool), "Y", "")  # type: ignore[return-value]


def source(value: pd.Series[Any]) -> pd.Series[Any]:
    """The record and variable that ADT is taken from."""
    return value


def _char(name: str, label: str, function: Any, column: str, **more: Any) -> Variable:
    return Variable(name, label, "Char", call(function, column), DERIVED, "Perm", **more)


DATASET = Dataset(
    name=NAME,
    label="Time to Event Analysis Dataset",
    cls=BDS,
    subclass="TIME-TO-EVENT",
    structure="One record per subject per parameter",
    keys=("STUDYID", "USUBJID", "PARAMCD"),
    records=records,
    needs=("ADSL", "ADLB"),
    purpose="Analysis",
    sequence="ASEQ",
    value_levels=(ValueLevel("AVAL", "PARAMCD", survival_methods),),
    variables=(
        *of_a_parameter(),
        Variable("PARAMN", "Parameter (N)", "Num", path("paramn", "trial definition"), ASSIGNED, "Perm"),
        Variable("PARCAT1", "Parameter Category 1", "Char", path("parcat", "trial definition"), ASSIGNED, "Perm"),
        Variable("AVAL", "Analysis Value", "Num", call(days_to_event, "aval"), DERIVED, "Cond"),
        date_of("STARTDT", "Time-to-Event Origin Date for Subject", origin_date, "start", "Perm"),
        date_of("ADT", "Analysis Date", event_date, "day"),
        _char("ADTF", "Analysis Date Imputation Flag", imputation, "adtf", codelist="C81223"),
        Variable("CNSR", "Censor", "Num", call(censor, "cnsr"), DERIVED, "Cond", codelist="CNSR"),
        _char("EVNTDESC", "Event or Censoring Description", event_description, "evntdesc"),
        _char("CNSDTDSC", "Censor Date Description", censor_description, "cnsdtdsc"),
        _char("PREVFL", "Prevalent at Origin Flag", prevalent, "prevalent", codelist="C66742"),
        _char("SRCDOM", "Source Data", source, "srcdom"),
        _char("SRCVAR", "Source Variable", source, "srcvar"),
        Variable("SRCSEQ", "Source Sequence Number", "Num", call(source, "srcseq"), DERIVED, "Perm"),
    ),
)

"""ADRS, Response Analysis Dataset: engraftment and response of each lineage, overall, and their sensitivity analyses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.imputation import sas_date
from adapter.spec import (
    ASSIGNED,
    DERIVED,
    Dataset,
    Inputs,
    Records,
    ValueLevel,
    Variable,
    call,
    const,
    issues_of,
    joined,
    path,
    ref,
)
from mappings.analysis.responses import response_methods, responses
from mappings.analysis.variables import BDS, NY, of_a_parameter, relative_day

NAME = "ADRS"


def records(inputs: Inputs) -> Records:
    """Return one record per randomised subject and parameter."""
    s = inputs.records["ADSL"].frame
    found = inputs.shared["lineages"]
    mine = s["randomised"].to_numpy()
    values = inputs.trial.response.values
    rows, used = [], []
    for n, r in enumerate(responses(found, s, inputs)):
        f = r.frame[mine].reset_index(names="USUBJID")
        f["record"] = f["USUBJID"] + f"|{r.code}"
        f["paramcd"], f["param"], f["paramn"] = r.code, r.label, float(n + 1)
        f["window"] = inputs.trial.windows[r.window].label
        f["aval"] = f["avalc"].map({k: float(v) for k, v in values.items()})
        f["crit"] = f"Responder: AVALC is {' or '.join(r.responders)}"
        rows.append(f)
        if r.used is not None:
            some = r.used[r.used["record"].isin(s.index[mine])]
            used.append(some.assign(record=some["record"] + f"|{r.code}"))
    made = pd.concat(rows, ignore_index=True).set_index("record", drop=False)
    made["responder"] = np.where(made["responder"].astype(bool), "Y", "N")
    made["under_way"] = made["under_way"].astype(bool)
    return Records(made, issues=joined(_issues(inputs)), used=joined(used))


PARTIAL = "a medication that breaks runs is not dated to the day; every day that it may mean breaks them"


def _issues(inputs: Inputs) -> list[pd.DataFrame]:
    found = inputs.shared["lineages"]
    issues = []
    for group in dict.fromkeys(c.breaker for c in inputs.trial.criteria.values() if c.breaker):
        given = found.given(group)
        odd = given[given["partial"].to_numpy(dtype=bool)].drop_duplicates("USUBJID")
        issues.append(issues_of(-1, odd["USUBJID"].to_numpy(), "analysis-date-partial", PARTIAL))
    return issues


def response(avalc: pd.Series[Any]) -> pd.Series[Any]:
    """Response of the parameter; the method of each is given by PARAMCD."""
    return avalc


def response_number(aval: pd.Series[Any]) -> pd.Series[Any]:
    """Number of AVALC in the trial definition, one to one inside each parameter."""
    return aval


def response_date(day: pd.Series[Any]) -> pd.Series[Any]:
    """First day of the run that proves the response; of the overall response the latest of its lineages'. Empty where \
there is no response."""
    return sas_date(day)


def responder(flag: pd.Series[Any]) -> pd.Series[Any]:
    """Y where CRIT1 holds, else N; not evaluable is N."""
    return flag


def gap(flag: pd.Series[Any]) -> pd.Series[Any]:
    """Y where the response is none, every value in the last week before the horizon meets the condition of the weakest \
level, and not every day of it has a value: measured less than daily."""
    return flag


def under_way(flag: pd.Series[Any]) -> pd.Series[Any]:
    """Y where the day on which the window starts and the day before it both meet the condition: already at threshold at \
baseline, of the overall response in any lineage."""
    return np.where(flag, "Y", "")  # type: ignore[return-value]


def not_under_way(flag: pd.Series[Any]) -> pd.Series[Any]:
    """Y where the subject was not already at threshold at baseline: the sensitivity analysis without those who were."""
    return np.where(flag, "", "Y")  # type: ignore[return-value]


def source_domain(seq: pd.Series[Any]) -> pd.Series[Any]:
    """LB where a run proves the response."""
    return np.where(seq.notna(), "LB", "")  # type: ignore[return-value]


def source_variable(seq: pd.Series[Any]) -> pd.Series[Any]:
    """LBDTC where a run proves the response."""
    return np.where(seq.notna(), "LBDTC", "")  # type: ignore[return-value]


def source_number(seq: pd.Series[Any]) -> pd.Series[Any]:
    """LBSEQ of the result of the first day of the run that proves the response."""
    return seq


def _flag(name: str, label: str, function: Any, column: str) -> Variable:
    return Variable(name, label, "Char", call(function, column), DERIVED, "Exp", codelist=NY)


DATASET = Dataset(
    name=NAME,
    label="Response Analysis Dataset",
    cls=BDS,
    structure="One record per subject per parameter",
    keys=("STUDYID", "USUBJID", "PARAMCD"),
    records=records,
    needs=("ADSL", "ADLB"),
    purpose="Analysis",
    sequence="ASEQ",
    value_levels=(ValueLevel("AVALC", "PARAMCD", response_methods), ValueLevel("AVAL", "PARAMCD")),
    variables=(
        *of_a_parameter(),
        Variable("PARAMN", "Parameter (N)", "Num", path("paramn", "trial definition"), ASSIGNED, "Perm"),
        Variable(
            "PARCAT1", "Parameter Category 1", "Char", path("window", "trial definition: windows"), ASSIGNED, "Perm"
        ),
        Variable("AVAL", "Analysis Value", "Num", call(response_number, "aval"), DERIVED, "Cond"),
        Variable("AVALC", "Analysis Value (C)", "Char", call(response, "avalc"), DERIVED, "Cond"),
        Variable("ADT", "Analysis Date", "Num", call(response_date, "day"), DERIVED, "Cond", display="DATE9."),
        Variable("ADY", "Analysis Relative Day", "Num", call(relative_day, "ADT", ref("ADSL.RFSTDT")), DERIVED, "Cond"),
        Variable(
            "CRIT1", "Analysis Criterion 1", "Char", path("crit", "trial definition: responders"), ASSIGNED, "Perm"
        ),
        _flag("CRIT1FL", "Criterion 1 Evaluation Result Flag", responder, "responder"),
        _flag("RUNGAPFL", "Values Meet Condition, Not Daily Flag", gap, "gap"),
        _flag("ATBLFL", "At Threshold at Baseline Flag", under_way, "under_way"),
        Variable("ANL01FL", "Analysis Flag 01", "Char", const("Y"), ASSIGNED, "Cond", codelist=NY),
        _flag("ANL02FL", "Analysis Flag 02", not_under_way, "under_way"),
        Variable("SRCDOM", "Source Data", "Char", call(source_domain, "seq"), DERIVED, "Perm"),
        Variable("SRCVAR", "Source Variable", "Char", call(source_variable, "seq"), DERIVED, "Perm"),
        Variable("SRCSEQ", "Source Sequence Number", "Num", call(source_number, "seq"), DERIVED, "Perm"),
    ),
)

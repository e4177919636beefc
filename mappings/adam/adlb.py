"""ADLB, Laboratory Results Analysis Dataset: every result as an analysis value, with baseline, windows and the day's record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.spec import (
    ASSIGNED,
    PREDECESSOR,
    Dataset,
    Inputs,
    Records,
    ValueLevel,
    Variable,
    const,
    issues_of,
    joined,
    path,
    setting,
    used_of,
)
from mappings.analysis.lineages import Counts, lineages
from mappings.analysis.measurements import (
    baseline_flag_variable,
    baseline_source,
    made,
    timing_variables,
    with_baseline,
    with_visits,
)
from mappings.analysis.readings import IMPOSSIBLE, readings
from mappings.analysis.toxicity import on_treatment, toxicity, toxicity_variables
from mappings.analysis.variables import BDS, NY, of_a_parameter

NAME, SOURCE = "ADLB", "LB"


def results(inputs: Inputs) -> Records:
    """Return one record per laboratory result, in the order of LB."""
    s = inputs.records["ADSL"].frame
    lb, f = readings(inputs.made[SOURCE], s, inputs)
    usable = ((f["why"] == "") & (f["aval"].notna() | (f["avalc"] != ""))).to_numpy()
    f = with_baseline(f, lb["LBDTC"], ["USUBJID", "paramcd"], usable, s, inputs)
    row = f["base_row"].to_numpy()
    f["bnrind"] = np.where(row >= 0, f["LBNRIND"].to_numpy(dtype=object)[np.maximum(row, 0)], "") if len(f) else ""
    counts = Counts(f, s, inputs)
    f["analysed"] = counts.chosen
    found = lineages(counts, s, inputs)
    daily = {inputs.trial.analytes[a].testcd for a in inputs.trial.analysis_visits.daily_analytes}
    f = with_visits(f, s, inputs, found, f["paramcd"].isin(daily).to_numpy())
    f["ontrt"] = on_treatment(f, s, inputs)
    f = f.join(toxicity(f, lb, inputs))
    base = baseline_source(f, SOURCE, "LBSTRESC")
    used = joined([used_of(f.index, "", SOURCE, "LBSTRESC", f["LBSEQ"].to_numpy()), base])
    bad = f.index[(f["why"] == IMPOSSIBLE).to_numpy()]
    issues = issues_of(bad, f.loc[bad, "USUBJID"], "value-implausible", IMPLAUSIBLE)
    inputs.shared["counts"], inputs.shared["lineages"] = counts, found
    return Records(f, issues=joined([issues]), used=used)


IMPLAUSIBLE = "outside the limits of the trial definition; kept in LB, not analysed"


def analysis_value(aval: pd.Series[Any]) -> pd.Series[Any]:
    """Result in the standard unit (LB.LBSTRESC) as a number; of a result with a comparator the number after it, the \
comparator stays in LB.LBORRES. Empty for text results."""
    return aval


def analysis_text(avalc: pd.Series[Any]) -> pd.Series[Any]:
    """Result in standard format (LB.LBSTRESC) where it is no number; empty where AVAL is filled."""
    return avalc


def baseline_value(base: pd.Series[Any]) -> pd.Series[Any]:
    """AVAL of the record of the subject and parameter with ABLFL = Y."""
    return base


def baseline_range(bnrind: pd.Series[Any]) -> pd.Series[Any]:
    """ANRIND of the record of the subject and parameter with ABLFL = Y."""
    return bnrind


def record_of_day(analysed: pd.Series[Any], rule: str) -> pd.Series[Any]:
    """Y for the record that is the parameter's value of its day ({rule} of the day's analysed results), one per subject, \
parameter and day; under mean the lowest one."""
    return analysed


def excluded(why: pd.Series[Any]) -> pd.Series[Any]:
    """Why the result is not analysed: its date is not complete, it is outside the physiologically possible limits of \
the trial definition, or it has not the standard unit of the analyte. Empty for results that are analysed."""
    return why


def _lb(name: str, label: str, type_: Any, of: str, core: Any = "Perm", codelist: str | None = None) -> Variable:
    return Variable(name, label, type_, path(of, f"LB.{of}"), PREDECESSOR, core, codelist=codelist)


DATASET = Dataset(
    name=NAME,
    label="Laboratory Results Analysis Dataset",
    cls=BDS,
    structure="One record per subject per parameter per laboratory result",
    keys=("STUDYID", "USUBJID", "PARAMCD", "ADT", "LBSEQ"),
    records=results,
    needs=("ADSL",),
    purpose="Analysis",
    sequence="ASEQ",
    value_levels=(ValueLevel("AVAL", "PARAMCD"), ValueLevel("AVALC", "PARAMCD")),
    variables=(
        *of_a_parameter("LB.LBTESTCD, LB.LBCAT, LB.LBSTRESU"),
        _lb("PARCAT1", "Parameter Category 1", "Char", "LBCAT"),
        made("AVAL", "Analysis Value", "Num", analysis_value, "aval"),
        made("AVALC", "Analysis Value (C)", "Char", analysis_text, "avalc"),
        made("BASE", "Baseline Value", "Num", baseline_value, "base"),
        *timing_variables("LB.LBDTC"),
        _lb("ANRIND", "Analysis Reference Range Indicator", "Char", "LBNRIND", codelist="C78736"),
        made("BNRIND", "Baseline Reference Range Indicator", "Char", baseline_range, "bnrind", codelist="C78736"),
        _lb("ANRLO", "Analysis Normal Range Lower Limit", "Num", "LBSTNRLO"),
        _lb("ANRHI", "Analysis Normal Range Upper Limit", "Num", "LBSTNRHI"),
        baseline_flag_variable(),
        made(
            "ANL01FL",
            "Analysis Flag 01",
            "Char",
            record_of_day,
            "analysed",
            rule=setting("daily_value.rule"),
            codelist=NY,
        ),
        *toxicity_variables(),
        made("EXCLREAS", "Reason Excluded from Analysis", "Char", excluded, "why", "Perm"),
        Variable("SRCDOM", "Source Data", "Char", const(SOURCE), ASSIGNED, "Perm"),
        _lb("LBSEQ", "Sequence Number", "Num", "LBSEQ", "Perm"),
    ),
)

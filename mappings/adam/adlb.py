"""ADLB, Laboratory Results Analysis Dataset: every result as an analysis value, with baseline, windows and the day's record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.baseline import baseline, change
from adapter.derive.distinct import distinct_rows
from adapter.derive.imputation import sas_date
from adapter.derive.windows import analysis_visits, visit_windows
from adapter.spec import (
    ASSIGNED,
    DERIVED,
    PREDECESSOR,
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
    setting,
    used_of,
)
from mappings.analysis.lineages import Counts, lineages, phase_ends
from mappings.analysis.readings import IMPOSSIBLE, readings
from mappings.analysis.toxicity import on_treatment, toxicity, toxicity_variables
from mappings.analysis.variables import BDS, NY, from_adsl, parameter, relative_day, sequence, study, subject

NAME, SOURCE = "ADLB", "LB"


def results(inputs: Inputs) -> Records:
    """Return one record per laboratory result, in the order of LB."""
    s = inputs.records["ADSL"].frame
    lb, f = readings(inputs.made[SOURCE], s, inputs)
    _baseline(f, lb, s, inputs)
    counts = Counts(f, s, inputs)
    f["analysed"] = counts.chosen
    found = lineages(counts, s, inputs)
    f["avisit"], f["avisitn"] = _visits(f, s, inputs, found)
    f["ontrt"] = on_treatment(f, s, inputs)
    f = f.join(toxicity(f, lb, inputs))
    used = joined([used_of(f.index, "", SOURCE, "LBSTRESC", f["LBSEQ"].to_numpy()), _base_of(f)])
    bad = f.index[(f["why"] == IMPOSSIBLE).to_numpy()]
    issues = issues_of(bad, f.loc[bad, "USUBJID"], "value-implausible", IMPLAUSIBLE)
    inputs.shared["counts"], inputs.shared["lineages"] = counts, found
    return Records(f, issues=joined([issues]), used=used)


IMPLAUSIBLE = "outside the limits of the trial definition; kept in LB, not analysed"


def _baseline(f: pd.DataFrame, lb: pd.DataFrame, s: pd.DataFrame, inputs: Inputs) -> None:
    """Add ablfl, base, bnrind, chg and base_row (position of the baseline record, -1)."""
    _, group = distinct_rows([f["USUBJID"], f["paramcd"]])
    usable = ((f["why"] == "") & (f["aval"].notna() | (f["avalc"] != ""))).to_numpy()
    reference = inputs.made["DM"].set_index("USUBJID")["RFSTDTC"]
    reference = pd.Series(reference.reindex(s.index).to_numpy()[f["subject"].to_numpy()], index=f.index)
    untimed = inputs.trial.reference_dates.untimed_at_baseline
    found = baseline(group, lb["LBDTC"], f["order"].to_numpy(), usable, reference, untimed)
    f["ablfl"] = np.where(found.flag, "Y", "")
    known = found.row >= 0
    aval, row = f["aval"].to_numpy(), np.maximum(found.row, 0)
    f["base"] = np.where(known, aval[row], np.nan) if len(f) else np.nan
    f["bnrind"] = np.where(known, f["LBNRIND"].to_numpy(dtype=object)[row], "") if len(f) else ""
    f["chg"] = np.where(found.after, change(aval, f["base"].to_numpy(dtype=np.float64)), np.nan)
    f["base_row"], f["after"] = found.row, found.after


def _base_of(f: pd.DataFrame) -> pd.DataFrame:
    """Return the baseline records as sources of BASE."""
    some = f.index[(f["base_row"] >= 0) & f["base"].notna()]
    seq = f["LBSEQ"].to_numpy()[f.loc[some, "base_row"].to_numpy()]
    return used_of(some, "BASE", SOURCE, "LBSTRESC", seq)


def _visits(f: pd.DataFrame, s: pd.DataFrame, inputs: Inputs, found: Any) -> tuple[Any, Any]:
    trial = inputs.trial
    rule, subject_ = trial.analysis_visits, f["subject"].to_numpy()
    daily = {trial.analytes[a].testcd for a in rule.daily_analytes}
    by_day = f["paramcd"].isin(daily).to_numpy() | (rule.in_daily_phase == "study_day")
    targets = {name: v.target_day for name, v in trial.analysis_visit_targets().items()}
    of = {c: s[c].to_numpy(dtype=np.float64)[subject_] for c in ("rfst", "hsct")}
    ends = phase_ends(found, s, trial).to_numpy(dtype=np.float64)[subject_]
    name, number = analysis_visits(
        f["day"].to_numpy(), of["rfst"], ends, of["hsct"], by_day, visit_windows(targets, rule.tie)
    )
    first = f["ablfl"].to_numpy() == "Y"
    return np.where(first, "Baseline", name), np.where(first, 0.0, number)


def analysis_value(aval: pd.Series[Any]) -> pd.Series[Any]:
    """Result in the standard unit (LB.LBSTRESC) as a number; of a result with a comparator the number after it, the \
comparator stays in LB.LBORRES. Empty for text results."""
    return aval


def analysis_text(avalc: pd.Series[Any]) -> pd.Series[Any]:
    """Result in standard format (LB.LBSTRESC) where it is no number; empty where AVAL is filled."""
    return avalc


def analysis_date(day: pd.Series[Any]) -> pd.Series[Any]:
    """Site day of LB.LBDTC; empty where it is not known to the day."""
    return sas_date(day)


def analysis_visit(avisit: pd.Series[Any], phase: int, tie: str) -> pd.Series[Any]:
    """Baseline for the baseline record. From study day 1 to the last of the lineages' run dates, at most study day \
{phase}: the study day for counts that are due daily, else the study week. Otherwise the target after transplant in whose \
window the day lies; windows meet at midpoints, a tie goes to the {tie} one. Empty outside every window."""
    return avisit


def visit_order(avisitn: pd.Series[Any]) -> pd.Series[Any]:
    """Number of AVISIT: 0 for baseline, the study day or week, 1000 plus the day after transplant of a target."""
    return avisitn


def baseline_flag(ablfl: pd.Series[Any], untimed: str) -> pd.Series[Any]:
    """Y for the last analysed result of the parameter at or before the first treatment (DM.RFSTDTC); a result without a \
time on that day counts as {untimed} it."""
    return ablfl


def baseline_value(base: pd.Series[Any]) -> pd.Series[Any]:
    """AVAL of the record of the subject and parameter with ABLFL = Y."""
    return base


def baseline_range(bnrind: pd.Series[Any]) -> pd.Series[Any]:
    """ANRIND of the record of the subject and parameter with ABLFL = Y."""
    return bnrind


def change_from_baseline(chg: pd.Series[Any]) -> pd.Series[Any]:
    """AVAL minus BASE, for results after first treatment; empty where either is empty."""
    return chg


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


def _made(name: str, label: str, type_: Any, function: Any, column: str, core: Any = "Cond", **more: Any) -> Variable:
    told = {k: more.pop(k) for k in ("codelist", "display") if k in more}
    return Variable(name, label, type_, call(function, column, **more), DERIVED, core, **told)


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
        study(),
        subject(),
        sequence(),
        *from_adsl(),
        *parameter(source="LB.LBTESTCD, LB.LBCAT, LB.LBSTRESU"),
        _lb("PARCAT1", "Parameter Category 1", "Char", "LBCAT"),
        _made("AVAL", "Analysis Value", "Num", analysis_value, "aval"),
        _made("AVALC", "Analysis Value (C)", "Char", analysis_text, "avalc"),
        _made("BASE", "Baseline Value", "Num", baseline_value, "base"),
        _made("CHG", "Change from Baseline", "Num", change_from_baseline, "chg", "Perm"),
        _made("ADT", "Analysis Date", "Num", analysis_date, "day", display="DATE9."),
        Variable("ADY", "Analysis Relative Day", "Num", call(relative_day, "ADT", ref("ADSL.RFSTDT")), DERIVED, "Cond"),
        _made(
            "AVISIT",
            "Analysis Visit",
            "Char",
            analysis_visit,
            "avisit",
            phase=setting("response.horizon_days"),
            tie=setting("analysis_visits.tie"),
        ),
        _made("AVISITN", "Analysis Visit (N)", "Num", visit_order, "avisitn", "Perm"),
        _lb("ANRIND", "Analysis Reference Range Indicator", "Char", "LBNRIND", codelist="C78736"),
        _made("BNRIND", "Baseline Reference Range Indicator", "Char", baseline_range, "bnrind", codelist="C78736"),
        _lb("ANRLO", "Analysis Normal Range Lower Limit", "Num", "LBSTNRLO"),
        _lb("ANRHI", "Analysis Normal Range Upper Limit", "Num", "LBSTNRHI"),
        _made(
            "ABLFL",
            "Baseline Record Flag",
            "Char",
            baseline_flag,
            "ablfl",
            untimed=setting("reference_dates.untimed_at_baseline"),
            codelist=NY,
        ),
        _made(
            "ANL01FL",
            "Analysis Flag 01",
            "Char",
            record_of_day,
            "analysed",
            rule=setting("daily_value.rule"),
            codelist=NY,
        ),
        *toxicity_variables(),
        _made("EXCLREAS", "Reason Excluded from Analysis", "Char", excluded, "why", "Perm"),
        Variable("SRCDOM", "Source Data", "Char", const(SOURCE), ASSIGNED, "Perm"),
        _lb("LBSEQ", "Sequence Number", "Num", "LBSEQ", "Perm"),
    ),
)

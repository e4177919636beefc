"""ADVS, Vital Signs Analysis Dataset: every measurement as an analysis value, with baseline, change and analysis visit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.baseline import baseline, change
from adapter.derive.days import day_number
from adapter.derive.distinct import distinct_rows
from adapter.derive.windows import analysis_visits, visit_windows
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
    joined,
    ref,
    setting,
    used_of,
)
from mappings.adam.adlb import (
    analysis_date,
    analysis_visit,
    baseline_flag,
    change_from_baseline,
    visit_order,
)
from mappings.analysis.lineages import phase_ends
from mappings.analysis.toxicity import on_treatment, on_treatment_flag
from mappings.analysis.variables import (
    BDS,
    DATE9,
    NY,
    from_adsl,
    kept,
    parameter,
    relative_day,
    sequence,
    study,
    subject,
)
from mappings.parts import text

NAME, SOURCE = "ADVS", "VS"


def measurements(inputs: Inputs) -> Records:
    """Return one record per measurement of VS that is a number in its standard unit, in the order of VS."""
    s = inputs.records["ADSL"].frame
    vs = inputs.made[SOURCE]
    vs = vs[vs["VSSTRESN"].notna().to_numpy()].reset_index(drop=True)
    f = vs[["USUBJID", "VSSEQ", "VSPOS", "VSLOC"]].copy()
    unit = text(vs["VSSTRESU"])
    f["paramcd"], f["aval"] = vs["VSTESTCD"], vs["VSSTRESN"]
    f["param"] = vs["VSTEST"].where(unit == "", vs["VSTEST"] + " (" + unit + ")")
    f["day"] = day_number(vs["VSDTC"])
    f["subject"] = s.index.get_indexer(pd.Index(f["USUBJID"])).astype(np.int64)
    moment, _ = pd.factorize(vs["VSDTC"], sort=True)
    order = moment.astype(np.int64) * (len(f) + 1) + np.arange(len(f))
    # where on the body and in which position is part of what is compared, as it is for VSLOBXFL
    _, group = distinct_rows([f["USUBJID"], f["paramcd"], text(f["VSPOS"]), text(f["VSLOC"])])
    reference = inputs.made["DM"].set_index("USUBJID")["RFSTDTC"].reindex(s.index).to_numpy()
    found = baseline(
        group,
        vs["VSDTC"],
        order,
        f["day"].notna().to_numpy(),
        pd.Series(reference[f["subject"].to_numpy()], index=f.index),
        inputs.trial.reference_dates.untimed_at_baseline,
    )
    known = found.row >= 0
    aval = f["aval"].to_numpy(dtype=np.float64)
    row = np.maximum(found.row, 0)
    f["ablfl"], f["after"] = np.where(found.flag, "Y", ""), found.after
    f["base"] = np.where(known, aval[row], np.nan) if len(f) else np.nan
    f["chg"] = np.where(found.after, change(aval, f["base"].to_numpy(dtype=np.float64)), np.nan)
    f["ontrt"] = on_treatment(f, s, inputs)
    f["avisit"], f["avisitn"] = _visits(f, s, inputs)
    some = f.index[known]
    base = used_of(some, "BASE", SOURCE, "VSSTRESN", f["VSSEQ"].to_numpy()[found.row[known]])
    return Records(f, used=joined([used_of(f.index, "", SOURCE, "VSSTRESN", f["VSSEQ"].to_numpy()), base]))


def _visits(f: pd.DataFrame, s: pd.DataFrame, inputs: Inputs) -> tuple[Any, Any]:
    trial, place = inputs.trial, f["subject"].to_numpy()
    rule = trial.analysis_visits
    targets = {name: v.target_day for name, v in trial.analysis_visit_targets().items()}
    ends = phase_ends(inputs.shared["lineages"], s, trial).to_numpy(dtype=np.float64)[place]
    start, transplant = (s[c].to_numpy(dtype=np.float64)[place] for c in ("rfst", "hsct"))
    by_day = np.full(len(f), rule.in_daily_phase == "study_day")
    windows = visit_windows(targets, rule.tie)
    name, number = analysis_visits(f["day"].to_numpy(), start, ends, transplant, by_day, windows)
    first = f["ablfl"].to_numpy() == "Y"
    return np.where(first, "Baseline", name), np.where(first, 0.0, number)


def measured_value(aval: pd.Series[Any]) -> pd.Series[Any]:
    """Result in the standard unit (VS.VSSTRESN)."""
    return aval


def baseline_measurement(base: pd.Series[Any]) -> pd.Series[Any]:
    """AVAL of the record of the subject and parameter, in the same position and place, with ABLFL = Y."""
    return base


def _made(name: str, label: str, type_: Any, function: Any, column: str, **more: Any) -> Variable:
    told = {k: more.pop(k) for k in ("codelist", "display", "core") if k in more}
    core = told.pop("core", "Cond")
    return Variable(name, label, type_, call(function, column, **more), DERIVED, core, **told)


UNTIMED = setting("reference_dates.untimed_at_baseline")
DATASET = Dataset(
    name=NAME,
    label="Vital Signs Analysis Dataset",
    cls=BDS,
    structure="One record per subject per parameter per measurement",
    keys=("STUDYID", "USUBJID", "PARAMCD", "ADT", "VSSEQ"),
    records=measurements,
    needs=("ADSL", "ADLB"),
    purpose="Analysis",
    sequence="ASEQ",
    value_levels=(ValueLevel("AVAL", "PARAMCD"),),
    variables=(
        study(),
        subject(),
        sequence(),
        *from_adsl(),
        *parameter(source="VS.VSTESTCD, VS.VSSTRESU"),
        _made("AVAL", "Analysis Value", "Num", measured_value, "aval"),
        _made("BASE", "Baseline Value", "Num", baseline_measurement, "base"),
        _made("CHG", "Change from Baseline", "Num", change_from_baseline, "chg", core="Perm"),
        _made("ADT", "Analysis Date", "Num", analysis_date, "day", display=DATE9),
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
        _made("AVISITN", "Analysis Visit (N)", "Num", visit_order, "avisitn", core="Perm"),
        _made("ABLFL", "Baseline Record Flag", "Char", baseline_flag, "ablfl", untimed=UNTIMED, codelist=NY),
        _made(
            "ONTRTFL",
            "On Treatment Record Flag",
            "Char",
            on_treatment_flag,
            "ontrt",
            months=setting("safety.emergence.months_after_last_treatment"),
            codelist=NY,
            core="Perm",
        ),
        *kept(SOURCE, {"VSPOS": "Vital Signs Position of Subject", "VSLOC": "Location of Vital Signs Measurement"}),
        Variable("SRCDOM", "Source Data", "Char", const(SOURCE), ASSIGNED, "Perm"),
        *kept(SOURCE, {"VSSEQ": "Sequence Number"}),
    ),
)

"""What findings in BDS (ADLB, ADVS) have in common: baseline, change, analysis visit, and the variables that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.derive.baseline import baseline, change
from adapter.derive.distinct import distinct_rows
from adapter.derive.imputation import sas_date
from adapter.derive.windows import analysis_visits, visit_windows
from adapter.spec import DERIVED, Inputs, Variable, call, ref, setting, used_of
from mappings.analysis.lineages import Lineages, phase_ends
from mappings.analysis.variables import NY, date_of, relative_day

UNTIMED = setting("reference_dates.untimed_at_baseline")


def order_in_time(dtc: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """Return numbers that sort records by their date and time, then by their place in the dataset."""
    moment, _ = pd.factorize(dtc, sort=True)
    return moment.astype(np.int64) * (len(dtc) + 1) + np.arange(len(dtc))


def with_baseline(
    f: pd.DataFrame,
    dtc: pd.Series[Any],
    by: Sequence[str],
    usable: npt.NDArray[np.bool_],
    s: pd.DataFrame,
    inputs: Inputs,
) -> pd.DataFrame:
    """Return f with ablfl, base, chg, after (first treatment) and base_row (position of the baseline record, -1).

    f: aval, order, subject (position in `s`). by: its columns within which there is one baseline. usable: records that may
    be it.
    """
    _, group = distinct_rows([f[c] for c in by])
    reference = inputs.made["DM"].set_index("USUBJID")["RFSTDTC"]
    reference = pd.Series(reference.reindex(s.index).to_numpy()[f["subject"].to_numpy()], index=f.index)
    untimed = inputs.trial.reference_dates.untimed_at_baseline
    found = baseline(group, dtc, f["order"].to_numpy(), usable, reference, untimed)
    known = found.row >= 0
    aval, row = f["aval"].to_numpy(dtype=np.float64), np.maximum(found.row, 0)
    base = np.where(known, aval[row], np.nan) if len(f) else np.empty(0)
    return f.assign(
        ablfl=np.where(found.flag, "Y", ""),
        base=base,
        chg=np.where(found.after, change(aval, base), np.nan),
        base_row=found.row,
        after=found.after,
    )


def baseline_source(f: pd.DataFrame, dataset: str, variable: str) -> pd.DataFrame:
    """Return the baseline records as sources of BASE."""
    some = f.index[(f["base_row"] >= 0) & f["base"].notna()]
    seq = f[f"{dataset}SEQ"].to_numpy()[f.loc[some, "base_row"].to_numpy()]
    return used_of(some, "BASE", dataset, variable, seq)


def with_visits(
    f: pd.DataFrame, s: pd.DataFrame, inputs: Inputs, found: Lineages, daily: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    """Return f with avisit and avisitn. daily: records whose analysis visit is the study day while counts are due daily."""
    trial, place = inputs.trial, f["subject"].to_numpy()
    rule = trial.analysis_visits
    by_day = daily | (rule.in_daily_phase == "study_day")
    targets = {name: v.target_day for name, v in trial.analysis_visit_targets().items()}
    ends = phase_ends(found, s, trial).to_numpy(dtype=np.float64)[place]
    start, transplant = (s[c].to_numpy(dtype=np.float64)[place] for c in ("rfst", "hsct"))
    windows = visit_windows(targets, rule.tie)
    name, number = analysis_visits(f["day"].to_numpy(), start, ends, transplant, by_day, windows)
    first = f["ablfl"].to_numpy() == "Y"
    return f.assign(avisit=np.where(first, "Baseline", name), avisitn=np.where(first, 0.0, number))


def analysis_date(day: pd.Series[Any], dtc: str) -> pd.Series[Any]:
    """Site day of {dtc}; empty where it is not known to the day."""
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


def change_from_baseline(chg: pd.Series[Any]) -> pd.Series[Any]:
    """AVAL minus BASE, for results after first treatment; empty where either is empty."""
    return chg


def made(name: str, label: str, type_: Any, function: Any, column: str, core: Any = "Cond", **more: Any) -> Variable:
    """Return a derived variable. more: settings of the function; codelist, display."""
    told = {k: more.pop(k) for k in ("codelist", "display") if k in more}
    return Variable(name, label, type_, call(function, column, **more), DERIVED, core, **told)


def timing_variables(dtc: str) -> tuple[Variable, ...]:
    """Return CHG to AVISITN. dtc: the date that ADT is read from, such as `LB.LBDTC`."""
    phase, tie = setting("response.horizon_days"), setting("analysis_visits.tie")
    return (
        made("CHG", "Change from Baseline", "Num", change_from_baseline, "chg", "Perm"),
        date_of("ADT", "Analysis Date", analysis_date, "day", dtc=dtc),
        Variable("ADY", "Analysis Relative Day", "Num", call(relative_day, "ADT", ref("ADSL.RFSTDT")), DERIVED, "Cond"),
        made("AVISIT", "Analysis Visit", "Char", analysis_visit, "avisit", phase=phase, tie=tie),
        made("AVISITN", "Analysis Visit (N)", "Num", visit_order, "avisitn", "Perm"),
    )


def baseline_flag_variable() -> Variable:
    return made("ABLFL", "Baseline Record Flag", "Char", baseline_flag, "ablfl", untimed=UNTIMED, codelist=NY)

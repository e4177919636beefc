"""ADEX, Exposure Analysis Dataset: each infusion per kg, in total, cumulative, and how much of the plan was given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import day_number
from adapter.derive.imputation import sas_date
from adapter.derive.results import number_of
from adapter.spec import (
    ASSIGNED,
    DERIVED,
    Dataset,
    Inputs,
    Records,
    ValueLevel,
    Variable,
    call,
    joined,
    path,
    ref,
    used_of,
)
from mappings.analysis.variables import (
    BDS,
    date_of,
    of_a_parameter,
    reason_of_missing,
    relative_day,
)
from mappings.parts import text

NAME, SOURCE = "ADEX", "EX"
EACH = {
    "DOSE": "Dose per Infusion ({unit})",
    "DOSETOT": "Total Dose per Infusion ({total})",
    "WEIGHT": "Body Weight for the Dose (kg)",
    "DOSEPCT": "Dose per Infusion, Percent of Planned (%)",
    "DOSECUM": "Cumulative Dose up to the Infusion ({unit})",
}
IN_ALL = {
    "NINF": "Number of Infusions",
    "TOTDOSE": "Cumulative Dose ({unit})",
    "ADHNUM": "Infusions Given, Percent of Planned (%)",
    "ADHDOSE": "Cumulative Dose, Percent of Planned (%)",
}
"""PARAMCD -> PARAM; {unit}, {total}: as the trial states them."""
NO_DOSE, NO_WEIGHT = "DOSE NOT KNOWN", "NO BODY WEIGHT BEFORE"
COLUMNS = ("USUBJID", "trt", "n", "day", "end", "seq", "paramcd", "aval", "why")


def exposures(inputs: Inputs) -> Records:
    """Return the records of every infusion, and those in all of every subject who was to have the product or had it."""
    parts = [_of_product(inputs, product) for product in inputs.trial.dosing]
    f = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*COLUMNS, "param", "order"])
    f = f.astype(dict.fromkeys(("n", "day", "end", "seq", "aval"), "float64"))
    f["avisit"] = np.where(f["n"].notna(), "Infusion " + f["n"].fillna(0).astype(int).astype(str), "")
    f["srcdom"] = np.where(f["seq"].notna(), SOURCE, "")
    one = f.index[f["seq"].notna()]
    used = [used_of(one, "", SOURCE, "EXDOSE", f.loc[one, "seq"].to_numpy())]
    cumulative = f[f["paramcd"].isin(["DOSECUM", *IN_ALL]).to_numpy()]
    doses = f[(f["paramcd"] == "DOSE").to_numpy()]
    of = cumulative.reset_index(names="record").merge(doses, on=["USUBJID", "trt"], suffixes=("", "_of"))
    of = of[(of["n"].isna() | (of["n_of"] <= of["n"])).to_numpy()]
    used.append(used_of(of["record"], "AVAL", SOURCE, "EXDOSE", of["seq_of"].to_numpy()))
    return Records(f, used=joined(used))


def _of_product(inputs: Inputs, product: str) -> pd.DataFrame:
    plan, name = inputs.trial.dosing[product], inputs.trial.by_key("products")[product].name
    each = _infusions(inputs, product, name)
    s = inputs.records["ADSL"].frame
    dm = inputs.made["DM"].set_index("USUBJID")
    arms = [c for c, a in inputs.trial.arms.items() if any(r.product == product for r in a.treatment.values())]
    due = s.index[(dm["ARMCD"].reindex(s.index).isin(arms) | s.index.isin(each["USUBJID"])).to_numpy()]
    in_all = _totals(each, due, plan)
    f = pd.concat([each, in_all.assign(trt=name)], ignore_index=True)
    names = {k: v.format(unit=plan.unit, total=plan.total_unit) for k, v in (EACH | IN_ALL).items()}
    f["param"] = f["paramcd"].map(names)
    return f


def _infusions(inputs: Inputs, product: str, name: str) -> pd.DataFrame:
    """Return the parameters of each infusion. What was collected stands in EC; EX has the dose per kg."""
    plan = inputs.trial.dosing[product]
    ex = inputs.made[SOURCE]
    ex = ex[(ex["EXTRT"] == name).to_numpy()]
    g = pd.DataFrame({"USUBJID": ex["USUBJID"], "seq": ex["EXSEQ"], "day": day_number(ex["EXSTDTC"])})
    g["end"] = day_number(ex["EXENDTC"])
    g["dose"] = ex["EXDOSE"].where(ex["EXDOSU"] == plan.unit).astype("float64")
    g = g.merge(_collected(inputs), how="left", on=["USUBJID", "seq"])
    g["order"] = g["day"].fillna(np.inf)
    g = g.sort_values(["USUBJID", "order", "seq"], kind="stable", ignore_index=True)
    g["n"] = g.groupby("USUBJID").cumcount() + 1.0
    per_kg = g["unit"] == plan.unit
    factor = float(plan.total_per_dose_unit)
    total = g["collected"].where(~per_kg, g["collected"] * g["weight"] * factor)
    values = {
        "DOSE": g["dose"],
        "DOSETOT": total.round(6),
        "WEIGHT": g["weight"],
        "DOSEPCT": (100 * g["dose"] / float(plan.dose)).round(6),
        "DOSECUM": g.groupby("USUBJID")["dose"].transform(lambda d: d.cumsum(skipna=True).where(d.notna().cummin())),
    }
    silent = g["collected"].isna()
    reasons = {
        "DOSE": np.where(silent, NO_DOSE, NO_WEIGHT),
        "DOSETOT": np.where(silent, NO_DOSE, NO_WEIGHT),
        "WEIGHT": np.full(len(g), NO_WEIGHT, dtype=object),
    }
    made = []
    for code, value in values.items():
        why = reasons.get(code, np.full(len(g), NO_DOSE, dtype=object))
        one = g[["USUBJID", "n", "day", "end", "seq"]].assign(paramcd=code, aval=value.round(6), trt=name)
        made.append(one.assign(why=np.where(value.isna(), why, "")))
    return pd.concat(made, ignore_index=True)


def _collected(inputs: Inputs) -> pd.DataFrame:
    """Return of each record of EX what was collected, and the weight nearest before: USUBJID, seq, collected, unit, weight."""
    e = inputs.records[SOURCE].frame
    if "weight" not in e:
        return pd.DataFrame({c: pd.Series(dtype="float64") for c in ("seq", "collected", "weight")}).assign(
            USUBJID=pd.Series(dtype="str"), unit=pd.Series(dtype="str")
        )
    found = pd.DataFrame({"USUBJID": e["USUBJID"], "seq": inputs.sequences[SOURCE].reindex(e.index).to_numpy()})
    found["collected"], found["unit"] = number_of(text(e["ecdose"])), text(e["ecdosu"])
    return found.assign(weight=number_of(text(e["weight"])))


def _totals(each: pd.DataFrame, due: pd.Index[Any], plan: Any) -> pd.DataFrame:
    """Return the parameters in all of the subjects; without an infusion the number and the dose are 0."""
    doses = each[(each["paramcd"] == "DOSE").to_numpy()]
    days = doses["day"].fillna(-doses["seq"])  # what was given on one day is one infusion
    number = days.groupby(doses["USUBJID"]).nunique().reindex(due).fillna(0.0)
    known = doses["aval"].notna().groupby(doses["USUBJID"]).all().reindex(due).fillna(True).astype(bool)
    total = doses["aval"].groupby(doses["USUBJID"]).sum().reindex(due).fillna(0.0).where(known)
    planned = len(plan.planned_days)
    values = {
        "NINF": number,
        "TOTDOSE": total,
        "ADHNUM": 100 * number / planned,
        "ADHDOSE": 100 * total / (planned * float(plan.dose)),
    }
    made = []
    for code, value in values.items():
        one = pd.DataFrame({"USUBJID": due, "paramcd": code, "aval": value.to_numpy(dtype=np.float64).round(6)})
        made.append(one.assign(n=np.nan, day=np.nan, end=np.nan, seq=np.nan, why=np.where(value.isna(), NO_DOSE, "")))
    return pd.concat(made, ignore_index=True)


def exposure_value(aval: pd.Series[Any]) -> pd.Series[Any]:
    """By PARAMCD: EX.EXDOSE; the total as collected, or the dose per kg times the weight; the last body weight at or \
before the infusion; EX.EXDOSE in percent of the planned dose; the sum of EX.EXDOSE up to the infusion. In all: days with \
an infusion; the sum of EX.EXDOSE; both in percent of what the trial plans. Empty, never 0, where a dose or a weight that \
is needed is not known; 0 without any infusion."""
    return aval


def infusion_visit(avisit: pd.Series[Any]) -> pd.Series[Any]:
    """The number of the infusion, in the order of time; empty for parameters of all infusions together."""
    return avisit


def infusion_number(n: pd.Series[Any]) -> pd.Series[Any]:
    """Number of the infusion within the subject and treatment, in the order of time."""
    return n


def start_day(day: pd.Series[Any]) -> pd.Series[Any]:
    """Site day of EX.EXSTDTC; empty where it is not known to the day."""
    return sas_date(day)


def end_day(end: pd.Series[Any]) -> pd.Series[Any]:
    """Site day of EX.EXENDTC; empty where it is not known to the day."""
    return sas_date(end)


DATASET = Dataset(
    name=NAME,
    label="Exposure Analysis Dataset",
    cls=BDS,
    structure="One record per subject per parameter per infusion, and per subject and parameter for all infusions",
    keys=("STUDYID", "USUBJID", "PARCAT1", "PARAMCD", "AVISITN", "SRCSEQ"),
    records=exposures,
    needs=("ADSL",),
    purpose="Analysis",
    sequence="ASEQ",
    value_levels=(ValueLevel("AVAL", "PARAMCD"),),
    variables=(
        *of_a_parameter(),
        Variable("PARCAT1", "Parameter Category 1", "Char", path("trt", "products.csv"), ASSIGNED, "Perm"),
        Variable("AVAL", "Analysis Value", "Num", call(exposure_value, "aval"), DERIVED, "Cond"),
        date_of("ASTDT", "Analysis Start Date", start_day, "day"),
        date_of("AENDT", "Analysis End Date", end_day, "end"),
        Variable(
            "ASTDY", "Analysis Start Relative Day", "Num", call(relative_day, "ASTDT", ref("ADSL.RFSTDT")), DERIVED
        ),
        Variable("AVISIT", "Analysis Visit", "Char", call(infusion_visit, "avisit"), DERIVED, "Cond"),
        Variable("AVISITN", "Analysis Visit (N)", "Num", call(infusion_number, "n"), DERIVED, "Perm"),
        reason_of_missing(),
        Variable("SRCDOM", "Source Data", "Char", path("srcdom", "EX"), ASSIGNED, "Perm"),
        Variable("SRCSEQ", "Source Sequence Number", "Num", path("seq", "EX.EXSEQ"), ASSIGNED, "Perm"),
    ),
)

"""Made-up subjects for tests of the analysis datasets: each a plain record, and the SDTM frames that they stand for.

Days are numbers on one scale (days since 1970-01-01). A result is (analyte, day, hour, text).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from adapter.evaluate import evaluate
from adapter.knowledge import load_knowledge
from adapter.records import Inputs
from adapter.registry import record_order, shipped
from adapter.trial import Trial, find_trials, load_trial

DAY0 = 19_800
TEST = {
    "ANC": ("NEUT", "Neutrophils", "10^9/L"),
    "PLT": ("PLAT", "Platelets", "10^9/L"),
    "HGB": ("HGB", "Hemoglobin", "g/L"),
}
CATEGORY = "HEMATOLOGY"
SAS = 3653


@dataclass
class Subject:
    """One subject as a hospital would know it. Everything that is not said did not happen."""

    name: str = "S1"
    arm: str = "MSC"
    randomised: int | None = DAY0
    treated: int | None = DAY0
    cut: int = DAY0 + 400
    seen: int | None = None
    results: list[tuple[str, int, int, str]] = field(default_factory=list)
    platelets: list[tuple[int, int]] = field(default_factory=list)
    red_cells: list[tuple[int, int]] = field(default_factory=list)
    g_csf: list[tuple[int, int]] = field(default_factory=list)
    grafts: list[int] = field(default_factory=lambda: [DAY0 - 40])
    conditioning: list[int] = field(default_factory=lambda: [DAY0 - 45])
    dli: list[int] = field(default_factory=list)
    boost: list[int] = field(default_factory=list)
    dead: bool = False
    death: str = ""
    events: list[tuple[str, str]] = field(default_factory=list)  # (CECAT, date as recorded)
    relapses_rs: list[str] = field(default_factory=list)
    grades: list[tuple[int, str]] = field(default_factory=list)

    @property
    def reference(self) -> int | None:
        return self.randomised if self.treated is None else self.treated

    @property
    def last_seen(self) -> int:
        if self.seen is not None:
            return self.seen
        days = [r[1] for r in self.results] + [
            d for s in (self.platelets, self.red_cells, self.g_csf) for d in sum(s, ())
        ]
        return max([*days, *self.grafts, *self.dli, *self.boost, self.randomised or DAY0 - 60])


def iso(day: int | None) -> str:
    return "" if day is None else (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def day_of(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


@cache
def trial_of(folder: str = "pgf_msc") -> Trial:
    return load_trial(find_trials()[folder])


@cache
def knowledge_of() -> Any:
    return load_knowledge(trial_of(), None)


def frames(subjects: Sequence[Subject], trial: Trial) -> dict[str, pd.DataFrame]:
    """Return the SDTM datasets of the subjects, with the variables that the analysis datasets read."""
    label = {code: arm.label for code, arm in trial.arms.items()}
    dm, ds, lb, cm, pr, ce, rs, ex = ([] for _ in range(8))
    for s in subjects:
        arm = s.arm if s.randomised is not None else ""
        actual = arm if s.treated is not None else ""
        product = s.arm == "MSC" and s.treated is not None
        dm.append(
            {"USUBJID": s.name, "SUBJID": s.name, "SITEID": "01", "ARMCD": arm, "ARM": label.get(arm, "")}
            | {"ACTARMCD": actual, "ACTARM": label.get(actual, ""), "RFSTDTC": iso(s.reference) if arm else ""}
            | {"RFXSTDTC": iso(s.treated) if product else "", "RFXENDTC": iso(s.treated) if product else ""}
            | {
                "RFICDTC": iso(DAY0 - 50),
                "DTHDTC": s.death,
                "DTHFL": "Y" if s.dead else "",
                "AGE": 40.0,
                "AGEU": "YEARS",
            }
            | {"SEX": "F", "RACE": "ASIAN", "RFENDTC": ""}
        )
        if arm:
            ds.append((s.name, 1.0, "RANDOMIZED", "RANDOMIZED", "PROTOCOL MILESTONE", "", iso(s.randomised)))
        for n, (analyte, day, hour, text) in enumerate(sorted(s.results, key=lambda r: (r[0], r[1], r[2])), 1):
            test, name, unit = TEST[analyte]
            lb.append((s.name, float(n), test, name, unit, text, f"{iso(day)}T{hour:02d}:00:00"))
        given = [("TRANSFUSION", "PLATELETS", *x) for x in s.platelets]
        given += [("TRANSFUSION", "RED BLOOD CELLS", *x) for x in s.red_cells] + [
            ("G-CSF", "FILGRASTIM", *x) for x in s.g_csf
        ]
        given += [("CONDITIONING", "BUSULFAN", d, d) for d in s.conditioning]
        cm += [(s.name, float(n), cat, decod, iso(a), iso(b), "", "") for n, (cat, decod, a, b) in enumerate(given, 1)]
        done = [("GRAFT INFUSION", d) for d in s.grafts] + [("DLI", d) for d in s.dli] + [("BOOST", d) for d in s.boost]
        pr += [(s.name, float(n), cat, iso(d)) for n, (cat, d) in enumerate(done, 1)]
        ce += [(s.name, float(n), cat, "", dtc) for n, (cat, dtc) in enumerate(s.events, 1)]
        judged = [("DISEASE RESPONSE", "RELAPSED DISEASE", dtc) for dtc in s.relapses_rs]
        judged += [("ACUTE GVHD SCALE", grade, iso(day)) for day, grade in s.grades]
        rs += [(s.name, float(n), cat, result, dtc) for n, (cat, result, dtc) in enumerate(judged, 1)]
        if product:
            ex += [(s.name, float(n), "UC-MSC", 1.0) for n in range(1, 5)]
    results = _frame(lb, "USUBJID LBSEQ LBTESTCD LBTEST LBSTRESU LBSTRESC LBDTC")
    numeric = ~results["LBSTRESC"].str.startswith(("<", ">"))
    results["LBSTRESN"] = pd.to_numeric(results["LBSTRESC"].where(numeric), errors="coerce")
    results = results.assign(LBCAT=CATEGORY, LBSTNRLO=np.nan, LBSTNRHI=np.nan, LBNRIND="")
    return {
        "DM": pd.DataFrame(dm),
        "DS": _frame(ds, "USUBJID DSSEQ DSDECOD DSTERM DSCAT DSSCAT DSSTDTC"),
        "LB": results,
        "CM": _frame(cm, "USUBJID CMSEQ CMCAT CMDECOD CMSTDTC CMENDTC CMENRTPT CMENTPT"),
        "PR": _frame(pr, "USUBJID PRSEQ PRCAT PRSTDTC"),
        "CE": _frame(ce, "USUBJID CESEQ CECAT CESCAT CESTDTC"),
        "RS": _frame(rs, "USUBJID RSSEQ RSCAT RSSTRESC RSDTC"),
        "AE": _frame([], "USUBJID AESEQ AECAT AESCAT AESTDTC"),
        "EX": _frame(ex, "USUBJID EXSEQ EXTRT EXDOSE"),
        "IE": _frame([], "USUBJID IESEQ"),
    }


def _frame(rows: Iterable[tuple[Any, ...]], names: str) -> pd.DataFrame:
    columns = names.split()
    made = pd.DataFrame(list(rows), columns=columns)
    number = [c for c in columns if c.endswith(("SEQ", "DOSE"))]
    return made.astype({c: "float64" if c in number else "str" for c in columns})


def analysed(
    subjects: Sequence[Subject], trial: Trial | None = None, **replaced: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return ADSL, ADLB, ADRS and ADTTE of the subjects, and `issues`. replaced: SDTM frames to use instead."""
    trial = trial or trial_of()
    made = frames(subjects, trial) | replaced
    names = [s.name for s in subjects]
    log = pd.DataFrame({"cut": [s.cut for s in subjects]}, index=pd.Index(names, dtype="str"))
    log["last_seen"] = [float(min(s.last_seen, s.cut)) for s in subjects]
    log["donor_type"], log["pgf_date"] = "", ""
    inputs = Inputs({}, log, trial, knowledge_of(), max(log["cut"]), made=dict(made))
    issues = []
    for d in record_order(tuple(d for d in shipped() if d.name in ("ADSL", "ADLB", "ADRS", "ADTTE"))):
        inputs.records[d.name] = d.records(inputs)
        inputs.made[d.name], _ = evaluate(d, inputs.records[d.name].frame, inputs.made, trial.setting)
        found = inputs.records[d.name].issues
        issues += [] if found is None else [found.assign(dataset=d.name)]
    told = pd.concat(issues) if issues else pd.DataFrame({"USUBJID": [], "code": []})
    return {n: inputs.made[n] for n in ("ADSL", "ADLB", "ADRS", "ADTTE")} | {"issues": told}


def by_parameter(frame: pd.DataFrame, *columns: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Return (USUBJID, PARAMCD) -> the values of some columns; dates as days since 1970-01-01, empty numbers as None."""
    made = frame[["USUBJID", "PARAMCD", *columns]].copy()
    for c in columns:
        if c.endswith("DT"):
            made[c] = made[c] - SAS
        if made[c].dtype == "float64":
            made[c] = made[c].astype(object).where(made[c].notna(), None)
    return {(r[0], r[1]): tuple(r[2:]) for r in made.itertuples(index=False)}


__all__ = ["DAY0", "Subject", "analysed", "by_parameter", "day_of", "frames", "iso", "trial_of"]

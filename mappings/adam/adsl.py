"""ADSL, Subject-Level Analysis Dataset: one record per subject, with populations, treatment, transplant and last contact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.baseline import baseline
from adapter.derive.daily import read_results
from adapter.derive.days import day_number
from adapter.derive.imputation import sas_date
from adapter.derive.populations import dose_outside, in_population
from adapter.spec import (
    COLLECTED,
    DERIVED,
    Dataset,
    Inputs,
    Records,
    Variable,
    call,
    issues_of,
    joined,
    path,
    setting,
    used_of,
)
from mappings.analysis.subjects import course, first_from, intercurrent
from mappings.analysis.variables import NY, copied, date_of, study, subject
from mappings.parts import text
from mappings.sdtm.ds import COMPLETED, EVENT, PARTICIPATION, TREATMENT

NAME = "ADSL"
FLAGS = {
    "FASFL": "Full Analysis Set Population Flag",
    "SAFFL": "Safety Population Flag",
    "ITTFL": "Intent-To-Treat Population Flag",
    "PPROTFL": "Per-Protocol Population Flag",
}
BASELINES = {"ANCBL": ("NEUT", "Baseline Neutrophil Count"), "PLTBL": ("PLAT", "Baseline Platelet Count")}
BASELINES |= {"HGBBL": ("HGB", "Baseline Hemoglobin")}
STATES = {True: "COMPLETED", False: "DISCONTINUED"}


def subjects(inputs: Inputs) -> Records:
    """Return one record per subject of DM."""
    s = course(inputs)
    dm = inputs.made["DM"].set_index("USUBJID")
    s["USUBJID"], s["rficdtc"] = s.index, dm["RFICDTC"]
    s["donor"] = text(inputs.subjects["donor_type"]).reindex(s.index)
    s["pgf"] = day_number(text(inputs.subjects["pgf_date"])).reindex(s.index)
    s["pgf"] = s["pgf"].where(s["pgf"] <= s["cut"])
    order = {a.label: float(i) for i, a in enumerate(inputs.trial.arms.values(), 1)}
    s["trtpn"], s["trtan"] = dm["ARM"].map(order), dm["ACTARM"].map(order)
    used = _dispositions(s, inputs)
    _populations(s, dm, inputs)
    used += [*_baselines(s, inputs), *_sources(s, dm)]
    if "DV" in inputs.made:
        major = inputs.made["DV"]
        major = major[(major["DVMAJFL"] == "Y").to_numpy()]
        used.append(used_of(major["USUBJID"], "PPROTFL", "DV", "DVTERM", major["DVSEQ"].to_numpy()))
    return Records(s, issues=joined(_issues(s, inputs)), used=joined(used))


def _dispositions(s: pd.DataFrame, inputs: Inputs) -> list[pd.DataFrame]:
    """Add how study treatment and participation ended; return the DS records that say so."""
    ds = inputs.made["DS"]
    used = []
    for kind, name in ((PARTICIPATION, "eos"), (TREATMENT, "eot")):
        one = ds[((ds["DSCAT"] == EVENT) & (ds["DSSCAT"] == kind)).to_numpy()]
        one = one.drop_duplicates("USUBJID").set_index("USUBJID").reindex(s.index)
        ended, done = one["DSSEQ"].notna(), one["DSDECOD"] == COMPLETED
        begun = s["randomised"] if kind == PARTICIPATION else s["treated"] & s["randomised"]
        s[f"{name}_state"] = done.map(STATES).where(ended, "ONGOING").where(begun, "").astype("str")
        s[f"{name}_day"] = day_number(one["DSSTDTC"]).where(begun)
        reason = text(one["DSDECOD"]).where(text(one["DSDECOD"]) != "", text(one["DSTERM"]))
        s[f"{name}_reason"] = reason.where(ended & ~done & begun, "")
        some = s.index[(ended & begun).to_numpy()]
        variables = ("EOSSTT", "EOSDT", "DCSREAS") if kind == PARTICIPATION else ("EOTSTT", "DCTREAS")
        used += [used_of(some, v, "DS", "DSDECOD", one.loc[some, "DSSEQ"].to_numpy()) for v in variables]
    return used


def _populations(s: pd.DataFrame, dm: pd.DataFrame, inputs: Inputs) -> None:
    """Add the population flags of the trial, and what they rest on."""
    trial, ex = inputs.trial, inputs.made["EX"]
    violated = set(inputs.made["IE"]["USUBJID"])
    wrong = (dm["ACTARMCD"] != "") & (dm["ACTARMCD"] != dm["ARMCD"])
    major = wrong.copy()
    complete = pd.Series(True, index=s.index)
    s["doses"] = ex.groupby("USUBJID").size().reindex(s.index).fillna(0.0).where(s["randomised"])
    for code, arm in trial.arms.items():
        for rule in (r for r in arm.treatment.values() if r.product in trial.dosing):
            plan = trial.dosing[rule.product]
            mine = ex[(ex["EXTRT"] == trial.by_key("products")[rule.product].name).to_numpy()]
            if "DV" not in inputs.made:
                out = dose_outside(mine["EXDOSE"], float(plan.dose), float(plan.dose_tolerance_percent))
                major |= pd.Series(s.index.isin(mine.loc[out, "USUBJID"]), index=s.index)
            given = mine.groupby("USUBJID").size().reindex(s.index).fillna(0)
            complete &= (dm["ARMCD"] != code) | (given >= len(plan.planned_days))
    if "DV" in inputs.made:
        dv = inputs.made["DV"]
        major |= pd.Series(s.index.isin(dv.loc[dv["DVMAJFL"] == "Y", "USUBJID"]), index=s.index)
    conditions = {
        "randomised": s["randomised"],
        "treated": s["treated"] & s["randomised"],
        "eligible": pd.Series(~s.index.isin(violated), index=s.index),
        "no_major_deviation": ~major,
        "all_doses": complete,
    }
    for flag in FLAGS:
        told = trial.populations.get(flag)
        s[flag.lower()] = in_population(conditions, told.needs) if told else ""


def _baselines(s: pd.DataFrame, inputs: Inputs) -> list[pd.DataFrame]:
    """Add the baseline of each count, and return the results they are."""
    lb = inputs.made["LB"]
    reference = inputs.made["DM"].set_index("USUBJID")["RFSTDTC"]
    used = []
    for name, (test, _) in BASELINES.items():
        s[name.lower()] = np.nan
        analyte = next((a for a in inputs.trial.analytes.values() if a.testcd == test), None)
        if analyte is None:
            continue
        mine = lb[((lb["LBTESTCD"] == test) & (lb["LBSTRESU"] == analyte.unit)).to_numpy()].reset_index(drop=True)
        value = read_results(mine["LBSTRESC"]).value
        usable = value.between(float(analyte.plausible_low), float(analyte.plausible_high)).to_numpy()
        moment, _ = pd.factorize(mine["LBDTC"], sort=True)
        found = baseline(
            s.index.get_indexer(pd.Index(mine["USUBJID"])).astype(np.int64),
            mine["LBDTC"],
            moment.astype(np.int64) * (len(mine) + 1) + np.arange(len(mine)),
            usable,
            mine["USUBJID"].map(reference),
            inputs.trial.reference_dates.untimed_at_baseline,
        )
        chosen = mine[found.flag].set_index("USUBJID")
        s[name.lower()] = value[found.flag].set_axis(chosen.index).reindex(s.index)
        used.append(used_of(chosen.index, name, "LB", "LBSTRESC", chosen["LBSEQ"].to_numpy()))
    return used


def _sources(s: pd.DataFrame, dm: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the records of DM, DS and PR that the dates come from."""
    found = []
    for variable, column, source in (
        ("RFSTDT", "rfst", "RFSTDTC"),
        ("TRTSDT", "trts", "RFSTDTC"),
        ("TRTEDT", "trte", "RFENDTC"),
        ("DTHDT", "death", "DTHDTC"),
        ("LSTALVDT", "alive", "RFENDTC"),
    ):
        if variable == "TRTEDT":
            some = s.index[(s["trte"].notna() & (dm["RFXENDTC"] != "")).to_numpy()]
            found.append(used_of(some, variable, "DM", "RFXENDTC"))
        else:
            found.append(used_of(s.index[s[column].notna().to_numpy()], variable, "DM", source))
    for variable, column, dataset, source in (
        ("RANDDT", "rand_seq", "DS", "DSSTDTC"),
        ("HSCTDT", "hsct_seq", "PR", "PRSTDTC"),
    ):
        some = s.index[s[column].notna().to_numpy()]
        found.append(used_of(some, variable, dataset, source, s.loc[some, column].to_numpy()))
    return found


IMPUTED = "the date of death is not known to the day; it was completed for analysis (DTHDTF)"
NO_TRANSPLANT = "no transplant on or before randomisation; what counts from it is not evaluable"
TRANSPLANT_AFTER = "a transplant after randomisation, and none before it"


def _issues(s: pd.DataFrame, inputs: Inputs) -> list[pd.DataFrame]:
    imputed = s.index[(s["deathf"] != "").to_numpy()]
    issues = [issues_of(imputed, imputed, "date-imputed", IMPUTED)]
    if inputs.trial.transplant is not None:
        none = s["randomised"] & s["hsct"].isna()
        issues.append(issues_of(s.index[none], s.index[none], "origin-unknown", NO_TRANSPLANT))
        for name, rule in inputs.trial.intercurrent.items():
            if rule.kind == "transplant":
                later = first_from(intercurrent(inputs, s, name), s["rand"])["day"].notna() & none
                issues.append(
                    issues_of(s.index[later], s.index[later], "transplant-after-randomisation", TRANSPLANT_AFTER)
                )
    return issues


def reference_start(rfst: pd.Series[Any]) -> pd.Series[Any]:
    """Day of DM.RFSTDTC: first study treatment, without any the randomisation date. Every rule of the protocol that says \
from TRTSDT counts from this day."""
    return sas_date(rfst)


def first_treatment(trts: pd.Series[Any]) -> pd.Series[Any]:
    """Day of DM.RFSTDTC where treatment of the planned arm was given; else of the first trial product (DM.RFXSTDTC); \
empty where none was given."""
    return sas_date(trts)


def last_treatment(trte: pd.Series[Any]) -> pd.Series[Any]:
    """Day of DM.RFXENDTC; in an arm whose treatment is conventional the last day of its medication groups in CM on or \
after the reference start, the data cut for a course that goes on."""
    return sas_date(trte)


def date_of_randomisation(rand: pd.Series[Any]) -> pd.Series[Any]:
    """Day of DS.DSSTDTC where DSDECOD is RANDOMIZED."""
    return sas_date(rand)


def date_of_transplant(hsct: pd.Series[Any], window: int) -> pd.Series[Any]:
    """Day of the index transplant (transplant day 0): the last allogeneic transplant on or before randomisation. Graft \
infusions (PR) at most {window} days apart are one transplant, whose day is the first; a later infusion without \
conditioning is a boost."""
    return sas_date(hsct)


def last_alive(alive: pd.Series[Any]) -> pd.Series[Any]:
    """Latest site date on which a result, an administration, a vital sign, an encounter or a procedure that is neither \
in error nor merely planned proves that the subject was seen or alive (its end where it is finished); never after death \
nor after the data cut. Without any, the last of consent and randomisation."""
    return sas_date(alive)


def date_of_death(death: pd.Series[Any], after: int) -> pd.Series[Any]:
    """Day of DM.DTHDTC. A partial date becomes the first day it may mean after the subject was last known alive; a death \
without a date is dated last known alive plus {after} day(s), at most the data cut (DTHDTF)."""
    return sas_date(death)


def death_flag(deathf: pd.Series[Any]) -> pd.Series[Any]:
    """D: the day of the date of death was imputed; M: month and day; Y: the whole date. Empty for a complete date."""
    return deathf


def data_cut(cut: pd.Series[Any]) -> pd.Series[Any]:
    """The data cut of the build, or the day on which the subject withdrew consent where that is earlier."""
    return sas_date(cut)


def consent_date(rficdtc: pd.Series[Any]) -> pd.Series[Any]:
    """Day of DM.RFICDTC."""
    return sas_date(day_number(rficdtc))


def end_date(day: pd.Series[Any]) -> pd.Series[Any]:
    """Day of the disposition event of study participation (DS.DSSTDTC)."""
    return sas_date(day)


def pgf_date(day: pd.Series[Any]) -> pd.Series[Any]:
    """Day since when the enrolment log says that the graft functions poorly; empty where it does not say."""
    return sas_date(day)


def status(state: pd.Series[Any]) -> pd.Series[Any]:
    """COMPLETED or DISCONTINUED by the disposition event (DS, DSCAT DISPOSITION EVENT) of study participation for EOSSTT, \
of study treatment for EOTSTT; ONGOING without one; empty where it had not begun."""
    return state


def reason(why: pd.Series[Any]) -> pd.Series[Any]:
    """DS.DSDECOD of the disposition event that is no completion; where it is empty DS.DSTERM."""
    return why


def treatment_number(number: pd.Series[Any]) -> pd.Series[Any]:
    """Number of the arm in the order of the trial definition."""
    return number


def number_of_doses(doses: pd.Series[Any]) -> pd.Series[Any]:
    """Number of records in EX; empty for subjects who were not randomised."""
    return doses


def baseline_count(value: pd.Series[Any], test: str, untimed: str) -> pd.Series[Any]:
    """Last usable result of LB.LBTESTCD = {test} at or before first treatment (DM.RFSTDTC), in the standard unit; a \
result without a time on that day counts as {untimed} it. Physiologically impossible results are left out."""
    return value


def population(flag: pd.Series[Any], needs: Any) -> pd.Series[Any]:
    """Y where every condition of the trial definition holds, else N. Conditions: {needs}. Randomised: ARMCD is filled. \
Treated: any study treatment. Eligible: no record in IE. No major deviation: not treated as in another arm, no record \
in DV that the trial definition calls major (DVMAJFL). All doses: in an arm with a trial product all its \
planned administrations."""
    return flag


def _flag(name: str) -> Variable:
    source = call(
        population, name.lower(), needs=setting(f"populations.{name}.needs", "the trial has no such population")
    )
    return Variable(name, FLAGS[name], "Char", source, DERIVED, "Cond", codelist=NY)


def _char(name: str, label: str, function: Any, column: str, codelist: str | None = None) -> Variable:
    return Variable(name, label, "Char", call(function, column), DERIVED, "Perm", codelist=codelist)


def _baseline(name: str) -> Variable:
    test, label = BASELINES[name]
    source = call(baseline_count, name.lower(), test=test, untimed=setting("reference_dates.untimed_at_baseline"))
    return Variable(name, label, "Num", source, DERIVED, "Perm")


DATASET = Dataset(
    name=NAME,
    label="Subject-Level Analysis Dataset",
    cls="SUBJECT LEVEL ANALYSIS DATASET",
    structure="One record per subject",
    keys=("STUDYID", "USUBJID"),
    records=subjects,
    purpose="Analysis",
    repeating=False,
    variables=(
        study(),
        subject(),
        copied("SUBJID", "Subject Identifier for the Study", "DM.SUBJID", "Req"),
        copied("SITEID", "Study Site Identifier", "DM.SITEID", "Req"),
        copied("AGE", "Age", "DM.AGE", "Req", "Num"),
        copied("AGEU", "Age Units", "DM.AGEU", "Req", codelist="C66781"),
        copied("SEX", "Sex", "DM.SEX", "Req", codelist="C66731"),
        copied("RACE", "Race", "DM.RACE", "Req", codelist="C74457"),
        *map(_flag, FLAGS),
        copied("ARM", "Description of Planned Arm", "DM.ARM", "Req"),
        copied("ACTARM", "Description of Actual Arm", "DM.ACTARM"),
        copied("TRT01P", "Planned Treatment for Period 01", "DM.ARM", "Req"),
        Variable(
            "TRT01PN", "Planned Treatment for Period 01 (N)", "Num", call(treatment_number, "trtpn"), DERIVED, "Perm"
        ),
        copied("TRT01A", "Actual Treatment for Period 01", "DM.ACTARM", "Cond"),
        Variable(
            "TRT01AN", "Actual Treatment for Period 01 (N)", "Num", call(treatment_number, "trtan"), DERIVED, "Perm"
        ),
        date_of("TRTSDT", "Date of First Exposure to Treatment", first_treatment, "trts"),
        date_of("TRTEDT", "Date of Last Exposure to Treatment", last_treatment, "trte"),
        date_of("RFSTDT", "Subject Reference Start Date", reference_start, "rfst"),
        date_of(
            "HSCTDT",
            "Date of Index Transplant",
            date_of_transplant,
            "hsct",
            window=setting("transplant.window_days", "0"),
        ),
        Variable("DONTYPE", "Donor Type", "Char", path("donor", "enrolment log: donor_type"), COLLECTED, "Perm"),
        date_of("PGFDT", "Date of Poor Graft Function", pgf_date, "pgf", "Perm"),
        Variable("NDOSES", "Number of Administrations", "Num", call(number_of_doses, "doses"), DERIVED, "Perm"),
        *map(_baseline, BASELINES),
        _char("EOSSTT", "End of Study Status", status, "eos_state", "C124296"),
        date_of("EOSDT", "End of Study Date", end_date, "eos_day", "Perm"),
        _char("DCSREAS", "Reason for Discontinuation from Study", reason, "eos_reason"),
        _char("EOTSTT", "End of Treatment Status", status, "eot_state", "C124296"),
        _char("DCTREAS", "Reason for Discontinuation of Treatment", reason, "eot_reason"),
        date_of("RFICDT", "Date of Informed Consent", consent_date, "rficdtc", "Perm"),
        date_of("RANDDT", "Date of Randomization", date_of_randomisation, "rand"),
        date_of("LSTALVDT", "Date Last Known Alive", last_alive, "alive", "Perm"),
        copied("DTHFL", "Subject Death Flag", "DM.DTHFL", codelist=NY),
        date_of(
            "DTHDT",
            "Date of Death",
            date_of_death,
            "death",
            "Perm",
            after=setting("censoring.undated_death_after_days"),
        ),
        _char("DTHDTF", "Date of Death Imputation Flag", death_flag, "deathf", "C81223"),
        date_of("DCUTDT", "Date of Data Cut", data_cut, "cut", "Perm"),
    ),
)

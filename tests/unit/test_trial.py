"""The trial definition: its facts against numbers typed from the protocol, and every way it can be wrong."""

from __future__ import annotations

import csv
import itertools
import json
import pickle
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from adapter import trial_events, trial_models, trial_rules, trial_tables
from adapter.errors import TrialError
from adapter.trial import Definition, Trial, find_trials, load_trial, resolve_trial
from adapter.trial_docs import trial_reference, trial_schema
from adapter.trial_models import Part

ROOT = Path(__file__).parents[2]
PGF = ROOT / "mappings/trials/pgf_msc"
MINI = ROOT / "tests/trials/mini"
RUN = dict.fromkeys(trial_tables.RUN_SOURCES, "")


@pytest.fixture(scope="module")
def trial() -> Trial:
    return load_trial(PGF)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    target.mkdir()
    for file in (*PGF.glob("*.csv"), PGF / "trial.toml"):
        shutil.copy(file, target)
    return target


def change(folder: Path, old: str, new: str, file: str = "trial.toml") -> None:
    text = (folder / file).read_text("utf-8")
    assert old in text, f"{old!r} is not in {file}: the test itself is out of date"
    (folder / file).write_text(text.replace(old, new, 1), "utf-8")


# --- facts, protocol § by § ------------------------------------------------------------------------------------------

STUDY_AND_TIME: dict[str, Any] = {
    "study.planned_subjects": 68,
    "study.planned_per_arm": 34,
    "study.sample_size.evaluable_per_arm": 31,
    "study.sample_size.dropout_percent": Decimal(10),
    "study.sample_size.sides_stated": "one-sided",
    "study.sample_size.alpha": Decimal("0.05"),
    "study.sample_size.power": Decimal("0.80"),
    "study.sample_size.rate_active": Decimal("0.76"),
    "study.sample_size.rate_reference": Decimal("0.38"),
    "study.centres": 1,
    "study.ratio": "1:1",
    "study.blinding": "OPEN LABEL",
    "study.time_zone": "Asia/Shanghai",
    "standards.sdtm_ct": "2025-03-28",
    "standards.adam_ct": "2026-03-27",
    "standards.sdtmig": "3.4",
    "standards.adamig": "1.3",
    "defaults.country": "CHN",
    "arms.MSC.active": True,
    "arms.CTRL.active": False,
    "arms.MSC.planned_subjects": 34,
    "arms.CTRL.planned_subjects": 34,
    "arms.MSC.treatment.infusion.dataset": "EX",
    "arms.MSC.treatment.infusion.product": "UC-MSC",
    "arms.CTRL.treatment.conventional.dataset": "CM",
    "arms.CTRL.treatment.conventional.medications": ("platelets", "red_cells", "g_csf", "rhtpo", "tpo_ra"),
    "arms.CTRL.treatment.conventional.not_before": "randomisation",
    "arms.CTRL.treatment.conventional.ongoing": "count_from_limit",
    "epochs": ("SCREENING", "TREATMENT", "FOLLOW-UP", "LONG-TERM FOLLOW-UP"),
    "products.UC-MSC.passage": 4,
    "products.UC-MSC.genetic_modification": "N",
    "products.UC-MSC.source": "Umbilical cord",
    "products.UC-MSC.system": "urn:pgf-msc:product",
    "products.UC-MSC.code": "UC-MSC",
    "products.UC-MSC.route": "INTRAVENOUS",
    "products.UC-MSC.dose_form": "INJECTION, SUSPENSION",
    "products.UC-MSC.schedule": "EVERY WEEK",
    "dosing.UC-MSC.dose": Decimal(1),
    "dosing.UC-MSC.unit": "10^6/kg",
    "dosing.UC-MSC.per_kg": True,
    "dosing.UC-MSC.total_unit": "10^6 Therapeutic Cells",
    "dosing.UC-MSC.planned_days": (1, 8, 15, 22),
    "dosing.UC-MSC.dose_tolerance_percent": Decimal(10),
    "dosing.UC-MSC.day_tolerance": 2,
    "dosing.UC-MSC.weight": "nearest_before",
    "growth_factors.g_csf.low": Decimal(5),
    "growth_factors.g_csf.high": Decimal(10),
    "growth_factors.g_csf.unit": "ug/kg/day",
    "growth_factors.g_csf.route": "SUBCUTANEOUS",
    "growth_factors.rhtpo.low": Decimal(300),
    "growth_factors.rhtpo.high": Decimal(300),
    "growth_factors.rhtpo.unit": "U/kg/day",
    "step_rules.tpo_ra.start_dose": Decimal(1),
    "step_rules.tpo_ra.dose_unit": "TABLET",
    "step_rules.tpo_ra.up_below": Decimal(50),
    "step_rules.tpo_ra.up_after_days": 14,
    "step_rules.tpo_ra.down_from": Decimal(200),
    "step_rules.tpo_ra.down_to": Decimal(400),
    "step_rules.tpo_ra.stop_above": Decimal(400),
    "reference_dates.rfstdtc": ("treatment", "randomisation"),
    "reference_dates.untimed_at_baseline": "before",
    "reference_dates.withdrawal_of_consent_cuts": True,
    "transplant.index": "last_before_randomisation",
    "transplant.window_days": 7,
    "transplant.requires_conditioning": True,
    "confidentiality.initials": False,
    "log.criterion_prefix": "ie_",
}

VALUES_AND_RESPONSE: dict[str, Any] = {
    "daily_value.rule": "min",
    "daily_value.preliminary": False,
    "daily_value.usable_status": ("final", "amended", "corrected"),
    "analytes.ANC.testcd": "NEUT",
    "analytes.ANC.unit": "10^9/L",
    "analytes.ANC.plausible_high": Decimal(500),
    "analytes.PLT.testcd": "PLAT",
    "analytes.HGB.testcd": "HGB",
    "analytes.HGB.unit": "g/L",
    "analytes.HGB.plausible_high": Decimal(300),
    "analytes.HGB.grams_per_mmol": Decimal("16.114"),
    "windows.treatment.origin": "reference_start",
    "windows.transplant.origin": "transplant",
    "presets.registry.criteria.NEUT.comparator": ">=",
    "presets.registry.criteria.NEUT.count": "measurements",
    "presets.registry.criteria.PLT20.days": 3,
    "presets.registry.criteria.PLT20.count": "measurements",
    "presets.registry.criteria.PLT20.look_back_days": 7,
    "sensitivity.measurements.mandatory": True,
    "sensitivity.no_g_csf.medication": "g_csf",
    "response.horizon_days": 56,
    "response.late_day": 50,
    "response.gap_flag_from": 50,
    "response.parameters.PLTRESP.levels.CR.criterion": "PLT50",
    "response.parameters.PLTRESP.levels.PR.criterion": "PLT20",
    "response.parameters.PLTRESP.otherwise": "NR",
    "response.parameters.PLTRESP.responders": ("CR", "PR"),
    "response.parameters.NEUT.levels.Y.criterion": "NEUT",
    "response.parameters.NEUT.otherwise": "N",
    "response.parameters.RBC.levels.Y.criterion": "RBC",
    "response.overall.OVRLRESP.supportive": True,
    "response.overall.OVRLRESP.levels.CR.needs": {"NEUT": ("Y",), "RBC": ("Y",), "PLTRESP": ("CR",)},
    "response.overall.OVRLRESP.levels.PR.needs": {"NEUT": ("Y",), "RBC": ("Y",), "PLTRESP": ("CR", "PR")},
    "response.sensitivity.PLTRESPS.from_day": 50,
    "response.sensitivity.PLTRESPS.to_day": 56,
    "response.sensitivity.PLTRESPS.medication": "platelets",
    "response.sensitivity.PLTRESPS.becomes": "NR",
    "response.sensitivity.RBCS.from_day": None,
    "response.sensitivity.RBCS.to_day": 56,
    "response.sensitivity.RBCS.medication": "red_cells",
    "after_transplant.window": "transplant",
    "after_transplant.late_day": 100,
    "after_transplant.parameters.NEUTH.criterion": "NEUT",
    "after_transplant.parameters.PLT20H.criterion": "PLT20",
    "after_transplant.parameters.RBCH.criterion": "RBC",
    "populations.ITTFL.needs": ("randomised",),
    "populations.FASFL.needs": ("randomised",),
    "populations.SAFFL.needs": ("treated",),
    "populations.SAFFL.arm": "actual",
    "populations.PPROTFL.needs": ("randomised", "eligible", "no_major_deviation", "all_doses"),
    "analysis.population": "FASFL",
    "analysis.primary": ("NEUT", "PLTRESP", "RBC"),
    "analysis.secondary": ("PLTRESP=CR",),
    "analysis.difference_interval": "newcombe",
    "analysis.confidence": Decimal("0.95"),
    "analysis.test": "fisher",
    "analysis.sides": ("two-sided", "one-sided"),
    "analysis.multiplicity": "none",
    "analysis.not_evaluable_as": "non_responder",
    "analysis.interim_excludes_unripe": True,
    "analysis.delayed_entry_at": "randomisation",
    "daily_phase.origin": "reference_start",
    "daily_phase.criteria": ("NEUT", "PLT20", "RBC"),
    "daily_phase.max_day": 56,
    "daily_phase.entry_column": "pgf_date",
    "analysis_visits.tie": "earlier",
    "lot_reaction.ratios": ("1:1", "2:1", "3:1"),
    "lot_reaction.alpha": Decimal("0.05"),
    "lot_reaction.minimum_values": 2,
    "lot_reaction.positive": "PHA",
    "lot_reaction.platforms": ("ELISA", "GYROLAB", "LUMINEX"),
    "lot_reaction.days": (1, 2, 3, 4),
    "lot_reaction.cytokine_unit": "pg/mL",
}

SAFETY: dict[str, Any] = {
    "intercurrent.dli.actions": {"treatment": "censor", "transplant": "censor"},
    "intercurrent.boost.actions": {"treatment": "censor", "transplant": "censor"},
    "intercurrent.second_transplant.actions": {"treatment": "censor", "transplant": "compete"},
    "intercurrent.second_transplant.kind": "transplant",
    "intercurrent.second_transplant.ends_response": True,
    "censoring.undated_death_after_days": 1,
    "censoring.event_wins_ties": True,
    "safety.emergence.months_after_last_treatment": 6,
    "safety.emergence.undated": True,
    "safety.dose_limiting.grade": 3,
    "safety.dose_limiting.repeated_grade": 2,
    "safety.dose_limiting.repeated_from_dose": 2,
    "safety.dose_limiting.repeated_kinds": ("AUTOIMMUNE", "ALLERGIC"),
    "safety.suspension.days": 14,
    "safety.suspension.grade": 4,
    "safety.suspension.death": True,
    "safety.suspension.ventilation_category": "VENTILATION",
    "safety.modification_grade": 3,
    "safety.reaction_hours": 24,
    "safety.reaction_medications": ("dexamethasone", "antihistamines"),
    "safety.relapse_stops_within_days": 12 * 7,
    "safety.unlinked_conditions": "candidate",
    "safety.toxicity.to_adverse_events": False,
    "eligibility.age_min": 18,
    "eligibility.age_max": 60,
    "eligibility.performance_above": Decimal(60),
    "eligibility.survival_months": 3,
    "eligibility.performance_testcd": "KPSS0101",
    "deviations.eligibility.major": True,
    "deviations.dose.arms": ("MSC",),
}

FACTS = {**STUDY_AND_TIME, **VALUES_AND_RESPONSE, **SAFETY}


@pytest.mark.parametrize("name", FACTS)
def test_fact(trial: Trial, name: str) -> None:
    found = trial.setting(name)
    assert (found, type(found)) == (FACTS[name], type(FACTS[name]))


@pytest.mark.parametrize(
    ("name", "analyte", "comparator", "threshold", "unit", "days", "breaker"),
    [
        ("NEUT", "ANC", ">", "0.5", "10^9/L", 3, None),
        ("PLT20", "PLT", ">=", "20", "10^9/L", 7, "platelets"),
        ("PLT50", "PLT", ">=", "50", "10^9/L", 7, "platelets"),
        ("RBC", "HGB", ">=", "70", "g/L", 7, "red_cells"),
    ],
)
def test_criteria_of_section_4(
    trial: Trial, name: str, analyte: str, comparator: str, threshold: str, unit: str, days: int, breaker: str | None
) -> None:
    c = trial.criteria[name]
    assert (c.analyte, c.comparator, c.threshold, c.unit) == (analyte, comparator, Decimal(threshold), unit)
    assert (c.days, c.breaker) == (days, breaker)
    assert (c.missing_day, c.bridge, c.count, c.look_back_days) == ("break", 0, "days", 0)


def test_registry_preset_changes_only_what_the_registry_does_otherwise(trial: Trial) -> None:
    plain, registry = trial.criteria_of(), trial.criteria_of("registry")
    assert registry["NEUT"].comparator == ">="
    assert (registry["NEUT"].threshold, registry["NEUT"].days) == (Decimal("0.5"), 3)
    assert (registry["PLT20"].threshold, registry["PLT20"].days) == (Decimal(20), 3)
    assert registry["PLT20"].breaker == "platelets"
    assert {k: registry[k] for k in ("PLT50", "RBC")} == {k: plain[k] for k in ("PLT50", "RBC")}
    assert plain == trial.criteria
    assert {c.count for c in trial.criteria_of("measurements").values()} == {"measurements"}
    with pytest.raises(TrialError, match="did you mean 'registry'"):
        trial.criteria_of("registri")


START, TRANSPLANT, RANDOMISED = "reference_start", "transplant", "randomisation"
BOTH, DEATH = ("death", "second_transplant"), ("death",)


@pytest.mark.parametrize(
    ("paramcd", "what", "origin", "competing", "horizon", "censored"),
    [
        ("TTNEUT", "NEUT", START, DEATH, None, "last_value"),
        ("TTPLT20", "PLT20", START, DEATH, None, "last_value"),
        ("TTPLT50", "PLT50", START, DEATH, None, "last_value"),
        ("TTRBC", "RBC", START, DEATH, None, "last_value"),
        ("TTNEUTH", "NEUT", TRANSPLANT, BOTH, None, "last_value"),
        ("TTPLT20H", "PLT20", TRANSPLANT, BOTH, None, "last_value"),
        ("TTRBCH", "RBC", TRANSPLANT, BOTH, None, "last_value"),
        ("OS", ("death",), RANDOMISED, (), 365, "last_alive"),
        ("DFS", ("relapse", "death"), RANDOMISED, (), 365, "last_alive"),
        ("TTREL", ("relapse",), TRANSPLANT, DEATH, 365, "last_alive"),
        ("TTAGVHD", ("acute_gvhd",), RANDOMISED, DEATH, 365, "last_alive"),
        ("TTAGVHD2", ("acute_gvhd",), RANDOMISED, DEATH, 365, "last_alive"),
        ("TTCGVHD", ("chronic_gvhd",), RANDOMISED, DEATH, 365, "last_alive"),
        ("TTINF", ("infection",), TRANSPLANT, DEATH, 365, "last_alive"),
        ("TTGF", ("graft_failure",), TRANSPLANT, DEATH, 365, "last_alive"),
    ],
)
def test_time_to_event_of_section_6(
    trial: Trial, paramcd: str, what: Any, origin: str, competing: Any, horizon: int | None, censored: str
) -> None:
    p = trial.time_to_event[paramcd]
    assert (p.criterion or p.events, p.origin, p.competing) == (what, origin, competing)
    assert (p.horizon_days, p.censor_at) == (horizon, censored)
    assert p.descriptive == (origin == TRANSPLANT)
    assert p.grades == (("II", "III", "IV") if paramcd == "TTAGVHD2" else ())
    assert len(trial.time_to_event) == 15


def test_relapse_is_read_from_its_event_first_then_from_the_assessment(trial: Trial) -> None:
    assert [s.dataset for s in trial.clinical_events["relapse"].sources] == ["CE", "RS"]


def test_anc_derivations_in_order(trial: Trial) -> None:
    found = [(d.count, d.percents, d.match) for d in trial.analytes["ANC"].derivations]
    same = ("specimen", "instant")
    assert found == [("WBC", ("NEUTSGLE", "NEUTBLE"), same), ("WBC", ("NEUTLE",), same)]


ATG = "ANTITHYMOCYTE IMMUNOGLOBULIN (RABBIT)"


@pytest.mark.parametrize(
    ("donor", "lines"),
    [
        (
            "haploidentical",
            {
                "SEMUSTINE": ("250", "mg/m2", "QD", 1),
                "CYTARABINE": ("4", "g/m2", "QD", 2),
                "BUSULFAN": ("0.8", "mg/kg", "Q6H", 2),
                "CYCLOPHOSPHAMIDE": ("1.8", "g/m2", "QD", 2),
                ATG: ("2.5", "mg/kg", "QD", 4),
            },
        ),
        (
            "matched_sibling",
            {
                "BUSULFAN": ("0.8", "mg/kg", "Q6H", 4),
                "CYCLOPHOSPHAMIDE": ("60", "mg/kg", "QD", 2),
                ATG: (None, "", "", None),
            },
        ),
        (
            "matched_unrelated",
            {
                "BUSULFAN": ("0.8", "mg/kg", "Q6H", 4),
                "CYCLOPHOSPHAMIDE": ("60", "mg/kg", "QD", 2),
                ATG: ("2.5", "mg/kg", "QD", 4),
            },
        ),
    ],
)
def test_conditioning(trial: Trial, donor: str, lines: dict[str, tuple[str | None, str, str, int | None]]) -> None:
    drugs = trial.conditioning[donor].drugs
    found = {n: (None if d.dose is None else str(d.dose), d.unit, d.frequency, d.days) for n, d in drugs.items()}
    assert found == lines
    optional = [n for n, d in drugs.items() if d.optional]
    assert optional == ([ATG] if donor == "matched_sibling" else [])
    if donor == "haploidentical":
        assert drugs["SEMUSTINE"].alternatives == ("LOMUSTINE",)


def test_analysis_visit_targets(trial: Trial) -> None:
    targets = trial.analysis_visit_targets().values()
    assert [v.target_day for v in targets] == [30, 60, 90, 135, 180, 270, 365]
    assert {v.anchor for v in targets} == {"transplant"}


def test_visits(trial: Trial) -> None:
    study_days = [v.target_day for v in trial.visits if v.anchor == "reference_start"]
    assert study_days == [1, 8, 15, 22, 56]
    baseline = set(trial.visits[0].procedures)
    assert baseline == {  # protocol section 6.1
        *("WEIGHT", "HEIGHT", "BSA", "VITAL_SIGNS", "CBC", "CHEMISTRY", "MARROW", "MRD", "SUBSETS", "IMAGING")
    }
    with_subsets = [v.target_day for v in trial.visits if "SUBSETS" in v.procedures and v.epoch == "FOLLOW-UP"]
    assert with_subsets == [30, 60, 90, 135, 180, 270, 365]  # months 1, 2, 3, 4.5, 6, 9, 12
    by_anchor = [v for v in trial.visits if v.anchor == "transplant"]
    for earlier, later in itertools.pairwise(by_anchor):
        assert earlier.target_day + earlier.days_after < later.target_day - later.days_before


@pytest.mark.parametrize(
    ("part", "procedure", "times", "days", "months"),
    [
        ("before", "CBC", 2, 7, ()),
        ("before", "CHEMISTRY", 1, 7, ()),
        ("before", "VITAL_SIGNS", 1, 1, ()),
        ("pgf", "CBC", 1, 1, ()),
        ("pgf", "CHEMISTRY", None, None, ()),
        ("month1", "CBC", 2, 7, ()),
        ("month2", "CBC", 1, 7, ()),
        ("month3", "CBC", 1, 14, ()),
        ("months1to3", "SUBSETS", None, None, ("1", "2", "3")),
        ("months4to12", "SUBSETS", None, None, ("4.5", "6", "9", "12")),
        ("later", "CBC", 1, 365, ()),
    ],
)
def test_schedule_of_section_9(
    trial: Trial, part: str, procedure: str, times: int | None, days: int | None, months: tuple[str, ...]
) -> None:
    row = trial.setting(f"schedule.{part}-{procedure}")
    assert (row.times, row.days, row.months) == (times, days, months)


def test_eligibility_criteria(trial: Trial) -> None:
    rows = trial.by_key("entry_criteria")
    assert [c for c in rows if rows[c].IECAT == "INCLUSION"] == [f"INCL{n:02}" for n in range(1, 7)]
    assert [c for c in rows if rows[c].IECAT == "EXCLUSION"] == [f"EXCL{n:02}" for n in range(1, 9)]
    rules = {c: r.rule for c, r in rows.items() if r.rule}
    assert rules == {
        "INCL01": "transplant",
        "INCL02": "age",
        "INCL03": "performance",
        "INCL04": "organ_function",
        "INCL06": "consent",
        "EXCL01": "organ_function",
    }


def test_every_decision_is_there_and_names_what_it_governs(trial: Trial) -> None:
    assert [d.number for d in trial.decisions] == [f"A-{n:02}" for n in range(1, 27)]
    assert all(d.settings and d.text.isascii() for d in trial.decisions)


def test_study_days_and_visits_agree_with_the_dosing(trial: Trial) -> None:
    days = {v.target_day for v in trial.visits if v.anchor == "reference_start"}
    assert set(trial.dosing["UC-MSC"].planned_days) <= days


# --- trial summary ---------------------------------------------------------------------------------------------------

REQUIRED = (
    "ACTSUB ADAPT ADDON AGEMAX AGEMIN COMPTRT CRMDUR CURTRT DCUTDESC DCUTDTC EXTTIND FCNTRY HLTSUBJI INDIC INTMODEL "
    "INTTYPE LENGTH NARMS NCOHORT OBJPRIM OBJSEC ONGOSIND OUTMSPRI OUTMSSEC PCLAS PDPSTIND PDSTIND PIPIND PLANSUB "
    "RANDOM RANDQT RDIND REGID SDTIGVER SDTMVER SENDTC SEXPOP SPONSOR SSTDTC STOPRULE STYPE TBLIND TCNTRL TDIGRP "
    "TINDTP TITLE TPHASE TRT TTYPE"
)


def test_required_summary_parameters(trial: Trial) -> None:
    assert set(REQUIRED.split()) <= {s.TSPARMCD for s in trial.summary}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("AGEMIN-1", "P18Y"),
        ("AGEMAX-1", "P60Y"),
        ("PLANSUB-1", "68"),
        ("DOSE-1", "1"),
        ("CRMDUR-1", "P7D"),
        ("SDTMVER-1", "2.0"),
        ("DCUTDTC-1", "2027-01-31"),
        ("TTYPE-2", "SAFETY"),
    ],
)
def test_summary_values(trial: Trial, row: str, text: str) -> None:
    assert trial.fill(trial.setting(f"summary.{row}.TSVAL"), {**RUN, "run.data_cut": "2027-01-31"}) == text


def test_summary_values_fit(trial: Trial) -> None:
    values = [trial.fill(s.TSVAL, RUN) for s in trial.summary]
    assert max(len(v.encode()) for v in values) <= 200
    assert all(v.isascii() and not set("{}@") & set(v) for v in values)


def terminology() -> dict[str, dict[str, str]]:
    path = ROOT / "../shared/reference/sdtm_ct_2025-03-28_terms.csv"
    if not path.is_file():
        pytest.skip("the reference terminology is not on this machine")
    lists: dict[str, dict[str, str]] = {}
    with path.open(encoding="utf-8") as f:
        for row in csv.DictReader(f):
            lists.setdefault(row["codelist_ccode"], {})[row["submission_value"]] = row["term_ccode"]
    return lists


RESPONSE_LISTS = {
    "DOSU": "C71620",
    "DOSFRM": "C66726",
    "DOSFRQ": "C71113",
    "ROUTE": "C66729",
    "INTMODEL": "C99076",
    "INTTYPE": "C99078",
    "SEXPOP": "C66732",
    "STYPE": "C99077",
    "TBLIND": "C66735",
    "TCNTRL": "C66785",
    "TINDTP": "C66736",
    "TTYPE": "C66739",
}


SPONSOR_PARAMETERS = {"MEDDRAV", "WHODRUGV"}
"""Trial summary parameters of the sponsor: the terminology has none for the version of a dictionary."""


def test_codes_are_those_of_the_terminology_package(trial: Trial) -> None:
    lists = terminology()
    short, long = lists["C66738"], {code: name for name, code in lists["C67152"].items()}
    assert not SPONSOR_PARAMETERS & set(short)
    for s in trial.summary:
        assert s.TSPARMCD in SPONSOR_PARAMETERS or long[short[s.TSPARMCD]] == s.TSPARM
        if s.TSVCDREF == "CDISC CT" and s.TSVALCD:
            assert lists[RESPONSE_LISTS.get(s.TSPARMCD, "C66742")][trial.fill(s.TSVAL, RUN)] == s.TSVALCD, s.id
    assert {d.DSDECOD for d in trial.dispositions} <= set(lists["C66727"])
    assert set(trial.epochs) <= set(lists["C99079"])
    assert {e.testcd for e in trial.analytes.values()} <= set(lists["C65047"])
    assert set(trial.safety.toxicity.graded + trial.safety.toxicity.expected) <= set(lists["C65047"])
    units = {f.unit for f in trial.growth_factors.values()} | {trial.dosing["UC-MSC"].total_unit}
    drugs = [d for c in trial.conditioning.values() for d in c.drugs.values()]
    assert units | {d.unit for d in drugs if d.unit} <= set(lists["C71620"])
    assert {d.frequency for d in drugs if d.frequency} <= set(lists["C71113"])
    assert trial.eligibility.performance_testcd in {v for terms in lists.values() for v in terms}


# --- loading ---------------------------------------------------------------------------------------------------------


def test_shipped_trials_are_found() -> None:
    assert list(find_trials()) == ["pgf_msc"]
    assert resolve_trial("pgf_msc").study.id == "PGFMSC"
    assert resolve_trial(str(MINI)).study.id == "MINI01"
    with pytest.raises(TrialError, match=r"unknown trial 'pgf-msc'.*did you mean 'pgf_msc'.*no such folder"):
        resolve_trial("pgf-msc")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Part):
        value = {n: getattr(value, n) for n in type(value).model_fields if n not in ("folder", "extra_files")}
    if isinstance(value, tuple) and value and isinstance(value[0], Part):
        value = {v.row_id or str(i): v for i, v in enumerate(value)}
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def test_the_two_trials_share_nothing_that_matters(trial: Trial) -> None:
    mini = load_trial(MINI)
    assert not set(mini.arms) & set(trial.arms)
    assert not {p.id for p in mini.products} & {p.id for p in trial.products}
    assert not set(mini.analytes) & set(trial.analytes)
    assert not set(mini.criteria) & set(trial.criteria)
    assert not {c.threshold for c in mini.criteria.values()} & {c.threshold for c in trial.criteria.values()}
    assert mini.study.time_zone != trial.study.time_zone
    assert mini.response.horizon_days != trial.response.horizon_days
    assert (mini.transplant, mini.lot_reaction, mini.after_transplant) == (None, None, None)
    assert [p.name for p in mini.extra_files] == ["drugs.csv"]


def test_numbers_are_kept_as_written() -> None:
    mini = load_trial(MINI)
    assert str(mini.criteria["RETIC"].threshold) == "60.0"
    assert str(mini.dosing["EXA"].dose) == "2.5"


def test_a_changed_threshold_changes_that_setting_alone(trial: Trial, copy: Path) -> None:
    change(copy, "threshold = 20\n", "threshold = 25.50\n")
    before, after = dict(leaves(trial)), dict(leaves(load_trial(copy)))
    assert set(before) == set(after)
    assert [k for k in before if before[k] != after[k]] == ["criteria.PLT20.threshold"]
    assert str(after["criteria.PLT20.threshold"]) == "25.50"


def test_a_trial_is_frozen_and_survives_pickling(trial: Trial) -> None:
    assert pickle.loads(pickle.dumps(trial)) == trial
    with pytest.raises(ValidationError):
        trial.criteria["NEUT"].days = 4


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("criteria.PLT2.threshold", "unknown name 'PLT2'.*did you mean 'PLT20'.*in criteria"),
        ("criteria.PLT20.treshold", "did you mean 'threshold'"),
        ("criterias", "did you mean 'criteria'"),
        ("visits.99", "unknown name '99'.*in visits"),
        ("study.id.x", "unknown name 'x'.*none"),
        ("", "unknown name ''"),
    ],
)
def test_a_wrong_setting_name(trial: Trial, name: str, told: str) -> None:
    with pytest.raises(TrialError, match=told):
        trial.setting(name)


# --- what is refused -------------------------------------------------------------------------------------------------

Edit = Callable[[Path], object]


def toml(old: str, new: str) -> Edit:
    return lambda folder: change(folder, old, new)


def table(file: str, old: str, new: str) -> Edit:
    return lambda folder: change(folder, old, new, file)


def added(file: str, line: str) -> Edit:
    return lambda folder: (folder / file).write_text((folder / file).read_text("utf-8") + line + "\n", "utf-8")


REFUSED: dict[str, tuple[Edit, str]] = {
    "unknown section": (toml("[censoring]", "[sensoring]"), r"sensoring: unknown key .*did you mean 'censoring'"),
    "unknown key": (toml('ratio = "1:1"', 'ration = "1:1"'), r"study\.ration: .*did you mean 'ratio'"),
    "unknown key in a named table": (
        toml("threshold = 20\n", "threshold = 20\ntreshold = 20\n"),
        r"criteria\.PLT20\.treshold: .*did you mean 'threshold'",
    ),
    "unknown key deep inside": (
        toml("alternatives = [", "alternative = ["),
        r"conditioning\.haploidentical\.drugs\.SEMUSTINE\.alternative: .*did you mean 'alternatives'",
    ),
    "unknown key in a list": (
        toml('"NEUTBLE"]\nmatch', '"NEUTBLE"]\nmach'),
        r"analytes\.ANC\.derivations\.0\.mach: .*did you mean 'match'",
    ),
    "unknown key in an optional section": (toml("window_days = 7 ", "windowdays = 7 "), r"transplant\.windowdays: unk"),
    "missing key": (toml("horizon_days = 56", ""), r"response\.horizon_days: nothing found"),
    "text for a number": (toml("days = 7\nbreaker", 'days = "7"\nbreaker'), r"PLT20\.days: found '7'; .*integer"),
    "truth for a number": (toml("threshold = 20\n", "threshold = true\n"), r"PLT20\.threshold: found True"),
    "word for a number": (toml("threshold = 20\n", 'threshold = "x"\n'), r"PLT20\.threshold: found 'x'"),
    "not a number": (toml("threshold = 20\n", "threshold = nan\n"), r"PLT20\.threshold: found Decimal\('NaN'\)"),
    "fraction for a count": (toml("horizon_days = 56", "horizon_days = 56.5"), r"horizon_days: found .*integer"),
    "negative": (toml("dose = 0.8", "dose = -0.8"), r"BUSULFAN\.dose: .*greater than 0"),
    "text for a list": (toml('primary = ["NEUT", "PLTRESP", "RBC"]', 'primary = "NEUT"'), r"analysis\.primary: found"),
    "another word": (toml('rule = "min"', 'rule = "minimum"'), r"daily_value\.rule: found 'minimum'; .*'min'"),
    "twice in TOML": (toml("[criteria.PLT50]", "[criteria.PLT20]"), r"not valid TOML"),
    "time zone": (toml("Asia/Shanghai", "Asia/Shanghigh"), r"study\.time_zone: found 'Asia/Shanghigh'"),
    "unknown product": (toml('product = "UC-MSC"', 'product = "UCMSC"'), r"unknown product 'UCMSC'.*'UC-MSC'"),
    "unknown arm": (toml('arms = ["MSC"]', 'arms = ["MCS"]'), r"deviations\.dose\.arms: unknown arm 'MCS'.*'MSC'"),
    "unknown element": (toml('element = "FU" }', 'element = "FUU" }'), r"arms\.MSC\.path: unknown element 'FUU'"),
    "unknown epoch": (toml('epoch = "SCREENING"', 'epoch = "SCREEN"'), r"elements\.SCRN\.epoch: unknown epoch"),
    "unknown analyte": (toml('analyte = "ANC"', 'analyte = "ANX"'), r"criteria\.NEUT\.analyte: unknown analyte 'ANX'"),
    "unknown breaker": (
        toml('breaker = "red_cells"', 'breaker = "rbc"'),
        r"criteria\.RBC\.breaker: unknown medication",
    ),
    "unknown criterion of a response": (
        toml('criterion = "PLT50" }', 'criterion = "PLT5" }'),
        r"PLTRESP\.levels: unknown criterion 'PLT5'",
    ),
    "unknown criterion of a time": (
        toml('criterion = "RBC"\nwindow = "transplant"', 'criterion = "HB"\nwindow = "transplant"'),
        r"time_to_event\.TTRBCH\.criterion: unknown criterion 'HB'",
    ),
    "unknown event": (toml('["relapse", "death"]', '["relaps", "death"]'), r"DFS\.events: unknown event 'relaps'"),
    "unknown competing event": (toml('"second_transplant"]', '"second"]'), r"unknown competing event 'second'"),
    "secondary of no value": (toml("PLTRESP=CR", "PLTRESP=CX"), r"secondary PLTRESP=CX: unknown response value 'CX'"),
    "procedure without category": (toml('category = "DLI"', 'category = ""'), r"intercurrent\.dli\.category: found ''"),
    "origin against window": (
        toml('window = "treatment"\norigin = "reference_start"', 'window = "treatment"\norigin = "randomisation"'),
        r"TTNEUT\.origin: found 'randomisation', but the window starts at 'reference_start'",
    ),
    "PARAMCD of nine characters": (toml("[time_to_event.TTNEUT]", "[time_to_event.TTNEUTROP]"), r"TTNEUTROP"),
    "PARAMCD used twice": (toml("[time_to_event.OS]", "[time_to_event.NEUTH]"), r"'NEUTH' is already used in after"),
    "result of a sensitivity used twice": (toml('NEUT = "NEUTG"', 'NEUT = "NEUTM"'), r"'NEUTM' is already used"),
    "unit of a criterion": (
        toml('threshold = 70\nunit = "g/L"', 'threshold = 7\nunit = "g/dL"'),
        r"RBC\.unit: .*'g/L'",
    ),
    "bridge without bridging": (toml("bridge = 0", "bridge = 2"), r"NEUT\.bridge: found 2, expected 0"),
    "bridging without bridge": (toml('missing_day = "break"', 'missing_day = "bridge"'), r"NEUT\.bridge: found 0"),
    "gap missing": (
        toml('count = "days"\nmax_gap_days = 7', 'count = "measurements"'),
        r"NEUT\.max_gap_days: nothing found",
    ),
    "a third group of events": (
        toml("[safety.groups]\n", '[safety.groups]\n"RELAPSES" = ["RELAPSE"]\n'),
        r"safety\.groups: expected at most 2 \(CQ01NAM, CQ02NAM\), found RELAPSES, ",
    ),
    "subjects that do not add up": (toml("planned_subjects = 68", "planned_subjects = 70"), r"arms add up to 68"),
    "no transplant": (
        lambda f: (f / "trial.toml").write_text(
            re.sub(r"\[transplant\].*?\n\n", "", (f / "trial.toml").read_text("utf-8"), flags=re.DOTALL), "utf-8"
        ),
        r"counts from the transplant, but there is no \[transplant\]",
    ),
    "two responses of one value": (toml("PR = 1, NR = 0", "PR = 2, NR = 0"), r"PR and CR have the same AVAL"),
    "arm spelled like the other": (toml('"CONTROL"', '"UC-MSC"'), r"'UC-MSC' already stands for arm MSC"),
    "unknown column": (
        table("visits.csv", "target_day", "targetday"),
        r"visits\.csv heading: unknown column 'targetday'",
    ),
    "column twice": (table("visits.csv", "AVISIT", "VISIT"), r"column 'VISIT' found 2 times"),
    "text in a number column": (table("visits.csv", "consent,0,28", "consent,zero,28"), r"record 2 target_day: found"),
    "unknown arm of a visit": (table("visits.csv", "DAY 8,,", "DAY 8,MSX,"), r"visits\.csv 3 ARMCD: unknown arm 'MSX'"),
    "visit number twice": (table("visits.csv", "\n3,DAY 8", "\n2,DAY 8"), r"VISITNUM '2' is already in record 3"),
    "visit name twice": (table("visits.csv", "DAY 15,,", "DAY 8,,"), r"'DAY 8' is already visit 3"),
    "row too short": (added("visits.csv", "99,X"), r"2 cells found, 13 columns expected"),
    "criterion code of nine characters": (table("criteria.csv", "INCL01", "INCLUDE01"), r"IETESTCD: found 'INCLUDE01'"),
    "criterion twice": (table("criteria.csv", "INCL02", "INCL01"), r"IETESTCD 'INCL01' is already in record 2"),
    "criterion of 201 characters": (table("criteria.csv", "Patient und", "x" * 141 + "Patient und"), r"IETEST: found"),
    "criterion of 201 bytes": (
        table("criteria.csv", "Patient undergoing", "血" * 66 + " Patient undergoing"),
        r"IETEST: 26\d bytes found, at most 200 fit",
    ),
    "log criterion with a rule": (table("criteria.csv", "1,log,,4.2", "1,log,age,4.2"), r"INCL05 rule: found 'age'"),
    "TSPARMCD of nine characters": (table("ts.csv", "ACTSUB", "ACTUALSUB"), r"TSPARMCD: found 'ACTUALSUB'"),
    "summary twice": (table("ts.csv", "CURTRT,2", "CURTRT,1"), r"'CURTRT-1' is already"),
    "summary without a value": (table("ts.csv", ",UNK,", ",,"), r"ts\.csv REGID-1: expected TSVAL or TSVALNF"),
    "summary of an unknown setting": (table("ts.csv", "@study.title", "@study.titel"), r"TITLE-1 TSVAL: .*'title'"),
    "summary of an unknown source": (table("ts.csv", "@run.data_cut", "@run.cut"), r"unknown source 'run\.cut'"),
    "decision on nothing": (table("decisions.csv", "daily_value.rule", "daily.rule"), r"A-04 settings: .*daily_value"),
    "reason twice": (added("dispositions.csv", "Completed,COMPLETED,completed"), r"'completed' in case only"),
    "product never recognised": (
        added("products.csv", "X,,,,X,INJECTION,ORAL,ONCE,QD,,,,"),
        r"products\.csv X: neither code nor text",
    ),
    "file missing": (lambda f: (f / "visits.csv").unlink(), r"found no visits\.csv"),
    "empty file": (lambda f: (f / "ts.csv").write_text("", "utf-8"), r"the file is empty"),
    "not UTF-8": (lambda f: (f / "ts.csv").write_bytes(b"TSPARMCD,\xd6\xd0\n"), r"not a CSV file"),
    "no folder": (lambda f: shutil.rmtree(f), r"found no trial\.toml"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(copy: Path, case: str) -> None:
    edit, told = REFUSED[case]
    edit(copy)
    with pytest.raises(TrialError) as caught:
        load_trial(copy)
    assert re.search(told, caught.value.message), caught.value.message
    assert str(copy) in caught.value.message
    assert pickle.loads(pickle.dumps(caught.value)).message == caught.value.message


def test_all_mistakes_are_told_at_once(copy: Path) -> None:
    change(copy, 'ratio = "1:1"', 'ratio = 1\nsponsr = "x"')
    change(copy, "horizon_days = 56", "horizon_days = 0")
    with pytest.raises(TrialError) as caught:
        load_trial(copy)
    assert [line.split(":")[0] for line in caught.value.message.splitlines()[1:]] == [
        "trial.toml study.ratio",
        "trial.toml study.sponsr",
        "trial.toml response.horizon_days",
    ]


# --- documentation ---------------------------------------------------------------------------------------------------


def parts() -> list[type[Part]]:
    modules = (trial_models, trial_rules, trial_events, trial_tables)
    found = {v for m in modules for v in vars(m).values() if isinstance(v, type) and issubclass(v, Part)}
    return sorted((found | {Definition, Trial}) - {Part}, key=lambda p: p.__name__)


@pytest.mark.parametrize("part", parts(), ids=lambda p: p.__name__)
def test_every_key_has_a_meaning(part: type[Part]) -> None:
    assert part.__doc__
    assert [n for n, f in part.model_fields.items() if not f.description] == []


def test_documentation_names_every_setting_of_both_trials(trial: Trial) -> None:
    text = trial_reference()
    for name in (
        "criteria.<id>.threshold",
        "arms.<id>.path.<element>.branch",
        "response.parameters.<id>.levels.<value>",
    ):
        assert f"`{name}" in text
    keys = re.findall(r"^\| `([^`]+)` \| (table)?", text, re.MULTILINE)
    patterns = [
        re.sub(r"<\w+>", "[^.]+", re.escape(k)).replace(r"\[\]", r"\.\d+") + (r"\..+" if t else "") for k, t in keys
    ]
    known = re.compile("|".join(patterns))
    for definition in (trial, load_trial(MINI)):
        toml_part = {n: getattr(definition, n) for n in Definition.model_fields}
        settings = [path for path, value in leaves(toml_part) if value not in (None, {}, ())]
        assert [path for path in settings if not known.fullmatch(path)] == []


def test_schema_is_in_step_and_holds_for_both_trials() -> None:
    text = (ROOT / "schemas/trial.schema.json").read_text("utf-8")
    assert text == trial_schema()
    validator = jsonschema.Draft202012Validator(json.loads(text))
    for folder in (PGF, MINI):
        definition = tomllib.loads((folder / "trial.toml").read_text("utf-8"))
        assert [e.message for e in validator.iter_errors(definition)] == []
        del definition["study"]["id"]
        assert [e.json_path for e in validator.iter_errors(definition)] == ["$.study"]


def test_every_deviation_of_the_trial_has_a_rule(trial: Trial) -> None:
    from adapter.trial_events import DEVIATIONS
    from mappings.sdtm.dv import RULES

    assert set(trial.deviations) <= set(RULES) == set(DEVIATIONS)

"""Every analysis declaration against the ADaMIG 1.3 table in schemas/, and what define.xml needs of it."""

from __future__ import annotations

import csv
import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

from adapter.define import predecessor_of
from adapter.evaluate import resolved_settings
from adapter.knowledge import load_knowledge
from adapter.registry import shipped
from adapter.spec import Call, Const, Dataset, Ref, Setting, Variable, Whole
from adapter.spec import Path as Source
from adapter.trial import find_trials, load_trial
from adapter.writers.define_model import Class, SubClass

ROOT = Path(__file__).parents[2]
TRIALS = [*find_trials().values(), ROOT / "tests/trials/mini"]
ADAM = [d for d in shipped() if d.purpose == "Analysis"]
SDTM = {d.name: d for d in shipped() if d.purpose == "Tabulation"}
VARIABLES = [pytest.param(d, v, id=f"{d.name}.{v.name}") for d in ADAM for v in d.variables]
STRUCTURES = {"ADSL": ("ADSL",), "ADTTE": ("BDS", "BDS for TTE")}
STRUCTURES |= dict.fromkeys(("ADLB", "ADRS", "ADVS", "ADEX", "ADTB"), ("BDS",))
STRUCTURES |= dict.fromkeys(("ADAE", "ADCE", "ADCM"), ("OCCDS",))
# Variables that ADaMIG does not name: the sponsor's, and SDTM variables that are kept.
OWN = {
    "ADSL": {"RFSTDT", "HSCTDT", "DONTYPE", "PGFDT", "NDOSES", "ANCBL", "PLTBL", "HGBBL", "DTHFL", "DCUTDT"},
    "ADLB": {"EXCLREAS", "LBSEQ", "TOXWHYL", "TOXWHYH", "TOXEXPFL"},
    "ADVS": {"VSSEQ", "VSPOS", "VSLOC"},
    "ADEX": {"AVALREAS"},
    "ADTB": {"AVALREAS", "OBSDAYS"},
    "ADAE": {"AEENRTPT", "AEOUT", "AESCONG", "AESDISAB", "AESDTH", "AESHOSP", "AESLIFE", "AESMIE", "AERELNST"}
    | {"DLTFL", "OUTREPFL", "UNRESFL"},
    "ADCE": {"CEENRTPT"},
    "ADCM": {"CMENRTPT", "CMDOSU"},
    "ADRS": {"RUNGAPFL", "ATBLFL"},
    "ADTTE": {"PREVFL"},
}
POPULATIONS = {"FASFL", "SAFFL", "ITTFL", "PPROTFL"}


def table() -> dict[tuple[str, str], dict[str, str]]:
    with open(ROOT / "schemas/adam_variables.csv", encoding="utf-8", newline="") as f:
        rows = [r for r in csv.DictReader(f) if r["product"] in ("adamig-1-3", "adam-tte-1-0", "adam-occds-1-1")]
    return {(r["structure"], r["name"]): r for r in rows}


TABLE = table()
PLACES = (("01", "xx"), ("01", "zz"), ("02", "zz"), ("1", "y"), ("2", "y"))


def row_of(dataset: str, name: str) -> dict[str, str] | None:
    """Return the row of the guide: TRT01P is TRTxxP, ANL02FL is ANLzzFL, CRIT1FL is CRITyFL."""
    names = [name, *(name.replace(n, x, 1) for n, x in PLACES if n in name)]
    if STRUCTURES[dataset] == ("OCCDS",) and name.startswith(dataset[2:]):  # AETERM is --TERM
        names.append(f"--{name[2:]}")
    for structure in STRUCTURES[dataset]:
        for n in names:
            if (structure, n) in TABLE:
                return TABLE[structure, n]
    return None


def test_these_datasets_are_declared() -> None:
    assert {d.name for d in ADAM} == set(STRUCTURES)


@pytest.mark.parametrize(("d", "v"), VARIABLES)
def test_variable_is_that_of_the_guide(d: Dataset, v: Variable) -> None:
    row = row_of(d.name, v.name)
    if row is None:
        populations = POPULATIONS if d.name != "ADSL" else set()
        of_subject = STRUCTURES[d.name] == ("OCCDS",) and isinstance(v.source, Ref) and v.source.dataset == "ADSL"
        if of_subject:
            assert v.label == {x.name: x for x in ADAM if x.name == "ADSL"}["ADSL"].variable(v.name).label
            return
        assert v.name in OWN[d.name] | populations, "a variable that the guide does not name"
        if v.name in populations:
            assert v.label == TABLE["ADSL", v.name]["label"]
        return
    label = row["label"]
    if row["name"].startswith("--"):  # the guide has no wording of its own: the record is that of SDTM
        known = {x.name: x.label for x in SDTM[d.name[2:]].variables}
        label = known.get(v.name, label.replace("--", d.name[2:]))
    for n, x in PLACES:
        if n in v.name and v.name.replace(n, x, 1) == row["name"]:
            label = re.sub(rf"\b{x}\b", n, label)
    assert (v.label, v.type) == (label, row["type"])
    if row["core"] == "Req":
        assert v.core == "Req"
    if re.fullmatch(r"C\d+", row["codelist_ccodes"]):
        assert v.codelist == row["codelist_ccodes"]


@pytest.mark.parametrize("d", ADAM, ids=lambda d: d.name)
def test_required_variables_are_all_declared(d: Dataset) -> None:
    names = {v.name.replace("01", "xx") for v in d.variables} | {v.name for v in d.variables}
    for structure in STRUCTURES[d.name]:
        for (s, name), row in TABLE.items():
            topic = "CMTRT" if d.name == "ADCM" else f"{d.name[2:]}TERM"
            own = topic if name in ("--TERM", "CMTRT") else name
            assert s != structure or row["core"] != "Req" or own in names, name


@pytest.mark.parametrize("d", ADAM, ids=lambda d: d.name)
def test_dataset_is_one_that_define_xml_knows(d: Dataset) -> None:
    assert d.cls in get_args(Class)
    assert d.subclass is None or d.subclass in get_args(SubClass)
    assert (d.subclass == "TIME-TO-EVENT") == (d.name == "ADTTE")
    assert set(d.keys) <= {v.name for v in d.variables}
    assert d.sequence == ("ASEQ" if d.name != "ADSL" else None)
    assert not d.supplemental, "analysis datasets have no supplemental qualifiers"


@pytest.mark.parametrize(("d", "v"), VARIABLES)
def test_origin_fits_the_source(d: Dataset, v: Variable) -> None:
    if v.origin.type == "Predecessor":
        dataset, _, name = predecessor_of(v).partition(".")
        known = {x.name: x for x in (*ADAM, *SDTM.values())}
        assert name in {x.name for x in known[dataset].variables}
    else:
        assert v.origin.source is not None
    if isinstance(v.source, Call):
        assert v.origin.type == "Derived"
        inspect.signature(v.source.function).bind(*v.source.arguments, **v.source.settings)
        assert all(isinstance(a, str | Ref | Whole) for a in v.source.arguments)
    if isinstance(v.source, Const | Setting):
        assert v.origin.type in ("Assigned", "Protocol")
    assert v.source is not None
    if isinstance(v.source, Source):
        assert v.source.fhir, "where the value comes from"


@pytest.mark.parametrize("trial", TRIALS, ids=lambda p: p.name)
def test_methods_are_sentences_with_the_trial_s_numbers(trial: Path) -> None:
    loaded = load_trial(trial)
    told = {}
    for d in ADAM:
        for v in d.variables:
            if isinstance(v.source, Call):
                told[f"{d.name}.{v.name}"] = v.source.method(resolved_settings(v.source, loaded.setting))
        for level in d.value_levels:
            if level.methods:
                told |= {f"{d.name}.{level.variable} {k}": t for k, t in level.methods(loaded).items()}
    for name, text in told.items():
        assert len(text) >= 10, name
        assert text.endswith("."), f"{name}: {text}"
        assert not re.search(r"[{}]|None|\('", text), f"{name}: {text}"
        assert not re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", text.replace("time_to_event", "")), f"{name}: {text}"
    used = {v.criterion for p in loaded.response.parameters.values() for v in p.levels}
    for c in (loaded.criteria[name] for name in used):
        wanted = f"{c.comparator} {c.threshold} {c.unit}"
        assert any(wanted in t for t in told.values()), wanted


@pytest.mark.parametrize("trial", TRIALS, ids=lambda p: p.name)
def test_every_codelist_exists(trial: Path) -> None:
    from adapter.deliver import with_trial_codelists

    loaded = load_trial(trial)
    known = with_trial_codelists(load_knowledge(loaded, None).terminology, loaded)
    assert [v.codelist for d in ADAM for v in d.variables if v.codelist and v.codelist not in known] == []


def test_another_threshold_is_another_method() -> None:
    """Changing a number of the trial changes the data and their documentation together."""
    loaded = load_trial(find_trials()["pgf_msc"])
    level = next(w for d in ADAM if d.name == "ADRS" for w in d.value_levels if w.methods)
    assert level.methods
    before = level.methods(loaded)["NEUT"]
    assert "ANC > 0.5 10^9/L" in before
    changed = loaded.criteria | {"NEUT": loaded.criteria["NEUT"].model_copy(update={"days": 5})}
    after = level.methods(loaded.model_copy(update={"criteria": changed}))["NEUT"]
    assert before.replace("at least 3 consecutive", "at least 5 consecutive") == after != before

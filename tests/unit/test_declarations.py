"""Every declaration against the SDTMIG 3.4 tables in schemas/, the codelists, and what define.xml needs of it."""

from __future__ import annotations

import csv
import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

from adapter.define import supplement_dataset
from adapter.evaluate import resolved_settings
from adapter.knowledge import load_knowledge
from adapter.registry import record_order, references, shipped
from adapter.spec import Call, Const, Dataset, Ref, Setting, Variable, Whole
from adapter.spec import Path as Source
from adapter.supplement import qnam
from adapter.trial import find_trials, load_trial
from adapter.writers.define_model import Class
from adapter.writers.define_model import OriginType as DefineOrigin

ROOT = Path(__file__).parents[2]
MINI = ROOT / "tests/trials/mini"
SDTM = [d for d in shipped() if d.purpose == "Tabulation"]
VARIABLES = [(d, v) for d in SDTM for v in d.variables]
MAIN = [(d, v) for d in SDTM for v in d.main]
NAMED = {"argvalues": [pytest.param(d, id=d.name) for d in SDTM], "argnames": "d"}

# Where our declaration differs from the table on purpose, and why.
CODELISTS = {
    # the table gives no codelist; the trial's arms are one (sdtm-conventions "DM")
    ("DM", "ARMCD"): ("", "ARMCD"),
    ("DM", "ACTARMCD"): ("", "ARMCD"),
    ("TA", "ARMCD"): ("", "ARMCD"),
    ("TV", "ARMCD"): ("", "ARMCD"),
    # results are numbers in most tests; C102580 holds only terms for text results
    ("LB", "LBSTRESC"): ("C102580", None),
    # RS holds disease responses and, here, one clinical classification, whose lists are not those of responses
    ("RS", "RSTESTCD"): ("C96782", "C96782 C100170"),
    ("RS", "RSTEST"): ("C96781", "C96781 C100169"),
    ("RS", "RSSTRESC"): ("C96785", "C96785 C182507"),
}


def table(name: str, *key: str) -> dict[tuple[str, ...], dict[str, str]]:
    with open(ROOT / "schemas" / name, encoding="utf-8", newline="") as f:
        return {tuple(r[k] for k in key): r for r in csv.DictReader(f)}


DATASETS = table("sdtmig_3-4_datasets.csv", "dataset")
TABLE = table("sdtmig_3-4_variables.csv", "dataset", "name")


# TSVAL1 ... TSVALn continue TSVAL (SDTMIG 3.4 §7.4.2, "TSVAL1-TSVALn"), COVAL1 ... COVALn COVAL (§5.1); the table has one
# row for all of them.
for n in range(1, 10):
    for dataset, stem, label in (("TS", "TSVAL", "Parameter Value"), ("CO", "COVAL", "Comment")):
        TABLE[dataset, f"{stem}{n}"] = TABLE[dataset, stem] | {
            "name": f"{stem}{n}", "label": f"{label} {n}", "core": "Perm",
            "order": f"{TABLE[dataset, stem]['order']}.{n}",
        }  # fmt: skip


def rows_of(dataset: str) -> list[dict[str, str]]:
    return sorted((r for (d, _), r in TABLE.items() if d == dataset), key=lambda r: float(r["order"]))


def named(pairs: list[tuple[Dataset, Variable]]) -> list[object]:
    return [pytest.param(d, v, id=f"{d.name}.{v.name}") for d, v in pairs]


def test_seven_domains_are_declared() -> None:
    assert {"DM", "EC", "EX", "CM", "PR", "LB", "TS"} <= {d.name for d in SDTM}


@pytest.mark.parametrize(**NAMED)
def test_dataset_is_that_of_the_guide(d: Dataset) -> None:
    row = DATASETS[(d.name,)]
    assert (d.label, d.cls, d.structure) == (row["label"], row["class"].upper().replace("-", " "), row["structure"])
    assert d.cls in get_args(Class)


@pytest.mark.parametrize(**NAMED)
def test_required_and_expected_variables_are_all_declared(d: Dataset) -> None:
    declared = {v.name for v in d.main}
    assert [r["name"] for r in rows_of(d.name) if r["core"] in ("Req", "Exp") and r["name"] not in declared] == []


@pytest.mark.parametrize(**NAMED)
def test_variables_stand_in_the_order_of_the_guide(d: Dataset) -> None:
    order = [r["name"] for r in rows_of(d.name)]
    declared = [v.name for v in d.main]
    assert declared == [n for n in order if n in declared]


@pytest.mark.parametrize(("d", "v"), named(MAIN))
def test_variable_is_that_of_the_guide(d: Dataset, v: Variable) -> None:
    row = TABLE[d.name, v.name]
    found = (v.label, v.type, v.core, v.role)
    assert found == (row["label"], row["type"], row["core"], row["role"])


@pytest.mark.parametrize(("d", "v"), named(MAIN))
def test_codelist_is_that_of_the_guide(d: Dataset, v: Variable) -> None:
    stated = TABLE[d.name, v.name]["codelist_ccodes"]
    expected = CODELISTS.get((d.name, v.name), (stated, stated or None))
    assert expected == (stated, v.codelist)


def test_supplemental_dataset_is_that_of_the_guide() -> None:
    rows = rows_of("SUPPQUAL")
    for d in SDTM:
        supp = supplement_dataset(d)
        found = [(v.name, v.label, v.type, v.core, v.role) for v in supp.main]
        assert found == [(r["name"], r["label"], r["type"], r["core"], r["role"]) for r in rows]
        assert (supp.cls, supp.structure) == ("RELATIONSHIP", DATASETS["SUPPQUAL",]["structure"])


@pytest.mark.parametrize(("d", "v"), named([(d, v) for d, v in VARIABLES if v.supplemental]))
def test_supplemental_variable_is_no_variable_of_the_domain(d: Dataset, v: Variable) -> None:
    """A standard variable never goes to SUPP-- (SDTMIG 3.4 §8.4.1)."""
    assert (d.name, v.name) not in TABLE


@pytest.mark.parametrize(**NAMED)
def test_no_two_long_texts_would_share_a_qnam(d: Dataset) -> None:
    """Text over 200 bytes goes on under a QNAM made of the variable's name: that name must lead back to one variable.

    Terms of a codelist are short; every other text may come from a hospital.
    """
    made = [qnam(v.name, n) for v in d.main if v.type == "Char" and not v.codelist for n in range(1, 10)]
    assert len(set(made)) == len(made)
    assert set(made) & {v.name for v in d.supplemental} == set()


@pytest.mark.parametrize("trial", [*find_trials().values(), MINI], ids=lambda p: p.name)
def test_every_codelist_exists(trial: Path) -> None:
    from adapter.deliver import with_trial_codelists

    loaded = load_trial(trial)
    known = with_trial_codelists(load_knowledge(loaded, None).terminology, loaded)
    both = [*VARIABLES, *((s, v) for s in map(supplement_dataset, SDTM) for v in s.main)]
    assert [f"{d.name}.{v.name} {v.codelist}" for d, v in both if v.codelist and v.codelist not in known] == []


@pytest.mark.parametrize("trial", [*find_trials().values(), MINI], ids=lambda p: p.name)
def test_every_method_has_a_text_and_every_setting_exists(trial: Path) -> None:
    setting = load_trial(trial).setting
    calls = [(d, v, v.source) for d, v in VARIABLES if isinstance(v.source, Call)]
    assert calls
    for d, v, source in calls:
        text = source.method(resolved_settings(source, setting))
        assert len(text) >= 20, f"{d.name}.{v.name}: {text!r} explains nothing"
        assert not re.search(r"[{}]", text), f"{d.name}.{v.name}: {text!r} has a name that was not filled in"
        assert text.endswith("."), f"{d.name}.{v.name}: {text!r} is no sentence"
    for d, v in VARIABLES:
        if isinstance(v.source, Setting):
            assert isinstance(setting(v.source.name), str), f"{d.name}.{v.name}"


def test_method_texts_name_no_column_of_our_own_tables() -> None:
    """define.xml is read without the program: a Method names variables or says what it means, never `birth_dtc`."""
    setting = load_trial(find_trials()["pgf_msc"]).setting
    bad = []
    for d, v in VARIABLES:
        if isinstance(v.source, Call):
            for word in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", v.source.method(resolved_settings(v.source, setting))):
                bad.append(f"{d.name}.{v.name}: {word}")
    assert bad == []


def test_every_ref_resolves_and_needs_are_datasets() -> None:
    declared = {(d.name, v.name) for d, v in VARIABLES}
    for d in SDTM:
        assert references(d) <= declared
        assert set(d.needs) <= {x.name for x in SDTM}
    order = [d.name for d in record_order(tuple(SDTM))]
    for d in SDTM:
        assert all(order.index(n) < order.index(d.name) for n in d.needs)


@pytest.mark.parametrize(("d", "v"), named([(d, v) for d, v in VARIABLES if isinstance(v.source, Call)]))
def test_call_takes_its_function_s_arguments(d: Dataset, v: Variable) -> None:
    assert isinstance(v.source, Call)
    inspect.signature(v.source.function).bind(*v.source.arguments, **v.source.settings)
    for a in v.source.arguments:
        assert isinstance(a, str | Ref | Whole)


@pytest.mark.parametrize(**NAMED)
def test_keys_identify_and_sequence_is_declared(d: Dataset) -> None:
    names = [v.name for v in d.main]
    assert d.keys[0] == "STUDYID"
    assert len(set(d.keys)) == len(d.keys)
    assert set(d.keys) <= set(names), "a key in SUPP-- cannot identify a record"
    if d.reference:
        assert "USUBJID" not in names
        return
    assert d.keys[1] == "USUBJID"
    sequence = f"{d.name}SEQ"
    assert d.sequence == (sequence if sequence in names else None)
    assert d.sequence not in d.keys, "--SEQ follows the keys; it is none of them"


@pytest.mark.parametrize(**NAMED)
def test_value_levels_are_told_apart_by_a_variable_of_the_dataset(d: Dataset) -> None:
    names = {v.name for v in d.main}
    assert {w.by for w in d.value_levels} | {w.variable for w in d.value_levels} <= names


@pytest.mark.parametrize(("d", "v"), named(VARIABLES))
def test_origin_fits_the_source(d: Dataset, v: Variable) -> None:
    """Derived <-> a Method; Collected has a FHIR path or log column (there is no CRF); no value <-> Not Available."""
    assert v.origin.type in get_args(DefineOrigin)
    if isinstance(v.source, Call):
        assert v.origin.type == "Derived"
    if v.origin.type == "Collected":
        assert isinstance(v.source, Source), "a collected value is read from somewhere"
        assert v.source.fhir, "a collected item carries a comment naming the FHIR path"
    if v.origin.type == "Protocol":
        assert isinstance(v.source, Setting | Source)
    if v.source is None:
        assert (v.origin.type, v.core) == ("Not Available", "Exp")
        assert v.comment, "why it has no value"
    else:
        assert v.origin.source is not None
    if isinstance(v.source, Const):
        assert v.origin.type == "Assigned"


@pytest.mark.parametrize(("d", "v"), named([(d, v) for d, v in VARIABLES if isinstance(v.source, Source)]))
def test_fhir_paths_name_a_resource_that_is_read(d: Dataset, v: Variable) -> None:
    assert isinstance(v.source, Source)
    read = {"Patient", "Observation", "MedicationAdministration", "Procedure"}
    read |= {"Medication", "BiologicallyDerivedProduct", "Specimen", "Consent"}
    read |= {"MedicationStatement", "SupplyDelivery", "BiologicallyDerivedProductDispense"}
    read |= {"Condition", "AdverseEvent", "Encounter"}
    other = ("enrolment log: ", "trial definition", "products.csv", "data cut")
    for p in v.source.fhir:
        assert p.startswith(other) or p.split(".")[0] in read, p

"""The generated pages of docs/ are what the declarations say now: `python -m adapter.docs docs` writes them again."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from adapter.docs import PAGES, coverage, dataset_reference, ig_coverage, main, reads, reason_reference
from adapter.errors import InputError
from adapter.reasons import REASONS
from adapter.registry import shipped
from adapter.spec import COLLECTED, Variable, path

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "../shared/reference/fhir_cdisc_ig_mapping.csv"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_in_step(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == PAGES[name](), "run: python -m adapter.docs docs"


def cells(page: str) -> list[list[str]]:
    """Return the rows of all tables of a page; a bar inside a cell is escaped."""
    lines = [x for x in page.splitlines() if x.startswith("| ")]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", x)[1:-1]] for x in lines]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_tables_are_whole(name: str) -> None:
    """Every row of a table has the cells of its heading, and no line break inside."""
    width = 0
    for line in PAGES[name]().splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        found = len(re.split(r"(?<!\\)\|", line))
        width = width or found
        assert found == width, line


def test_every_variable_has_one_row() -> None:
    page = dataset_reference()
    for d in shipped():
        part = page.split(f"\n## {d.name}\n")[1].split("\n## ")[0]
        rows = [r[0] for r in cells(part) if r[0] not in ("variable", "---")]
        assert rows == [v.name for v in (*d.main, *d.supplemental)]
        assert all(r[6] for r in cells(part)), "every variable says where it comes from"


def test_settings_stand_by_name_not_by_one_trial_s_value() -> None:
    assert "`reference_dates.untimed_at_baseline`" in dataset_reference()
    assert "`study.id`" in dataset_reference()
    assert "PGFMSC" not in dataset_reference()


def test_every_reason_is_listed_under_its_kind() -> None:
    page = reason_reference()
    for kind in ("drop", "reject", "issue"):
        part = page.split(f"\n## {kind}\n")[1].split("\n## ")[0]
        listed = {r[0].strip("`"): r[1] for r in cells(part) if r[0].startswith("`")}
        assert listed == {code: r.meaning for code, r in REASONS.items() if r.kind == kind}


def test_every_row_of_the_guide_is_answered() -> None:
    found = coverage()
    assert len(found) == 365
    assert {c.status for c in found} == {"executed", "corrected", "out of scope"}
    assert all(len(c.reason) >= 10 for c in found)
    assert Counter(c.row["domain"] for c in found) == {"CM": 143, "LAB": 100, "PR": 56, "LB": 49, "DM": 17}
    assert [int(c.row["row"]) for c in found] == list(range(1, 366))


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the guide's full table is not at hand")
def test_rows_are_those_of_the_guide() -> None:
    import csv

    with open(REFERENCE, encoding="utf-8", newline="") as f:
        guide = [r for r in csv.DictReader(f) if r["domain"] in ("CM", "LAB", "PR", "LB", "DM")]
    assert [(r["domain"], r["sdtm_variable"], r["fhir_path"]) for r in guide] == [
        (c.row["domain"], c.row["sdtm_variable"], c.row["fhir_path"]) for c in coverage()
    ]


@pytest.mark.parametrize(
    ("domain", "variable", "begins", "status", "says"),
    [
        ("CM", "CMDOSE", "MedicationAdministration.dosage.dose", "executed", "CMDOSE"),
        (
            "CM",
            "CMTRT",
            "MedicationAdministration.medication.medicationCodeableConcept",
            "corrected",
            "slip of the guide",
        ),
        ("CM", "CMTRT", "MedicationRequest.medication.", "out of scope", "a request never proves"),
        ("LB", "LBTESTCD", "Observation.code.coding.where(selected=true)", "corrected", "userSelected"),
        ("LB", "LBORNRLO", "Observation.referenceRange.low", "executed", "LBORNRLO"),
        ("PR", "PRSTDTC", "Procedure.performedPeriod.start", "executed", "PRSTDTC"),
        ("PR", "PRSTDTC", "Procedure.performedRange.low", "out of scope", "age"),
        ("DM", "BRTHDTC", "Patient.birthDate.substring(8,4)", "out of scope", "slip of the guide"),
        ("DM", "DMDTC", "Patient.meta.lastUpdated", "corrected", "screening date"),
        ("DM", "DM.SITEID", "ResearchSubject.where(subject=", "corrected", "individual"),
    ],
)
def test_known_rows(domain: str, variable: str, begins: str, status: str, says: str) -> None:
    found = [
        c
        for c in coverage()
        if c.row["domain"] == domain and c.row["sdtm_variable"] == variable and c.row["fhir_path"].startswith(begins)
    ]
    assert found
    assert {c.status for c in found} == {status}
    assert all(says in c.reason for c in found)


@pytest.mark.parametrize(
    ("ours", "theirs", "resource", "same"),
    [
        ("Observation.value[x]", "Observation.valueQuantity.value", "Observation", True),
        ("Observation.value[x]", "Observation.valueless", "Observation", False),
        ("Observation.referenceRange.low", "Observation.referenceRange.high", "Observation", False),
        ("Observation.code", "Observation.code.coding.where(system='http://loinc.org').code", "Observation", True),
        ("Patient.gender", "Observation.subject.resolve().gender", "Patient", True),
        ("Procedure.code", "Procedure.category | Procedure.code.text", "Procedure", True),
        ("Procedure.code", "MedicationRequest.code", "MedicationRequest", False),
    ],
)
def test_the_same_element_is_known_in_other_words(ours: str, theirs: str, resource: str, same: bool) -> None:
    v = Variable("X", "A label", "Char", path("x", ours), COLLECTED)
    assert reads(v, theirs, resource) is same


def test_nothing_is_executed_without_a_declaration() -> None:
    """A row is executed only where a variable of the built domains says so, or the table of reasons does."""
    names = {v.name for d in shipped() for v in d.variables}
    for c in coverage():
        if c.status == "executed" and ": Source: " in c.reason:
            assert c.reason.split(":")[0] in names


def test_the_module_writes_the_pages(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "adapter.docs", str(tmp_path)], check=True, cwd=ROOT)
    assert {p.name: p.read_text("utf-8") for p in tmp_path.iterdir()} == {n: page() for n, page in PAGES.items()}


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["no-such-folder"]])
def test_a_wrong_folder_is_refused(arguments: list[str]) -> None:
    with pytest.raises(InputError, match="expected one folder"):
        main(arguments)


def test_summary_of_the_coverage_counts_the_rows() -> None:
    rows = [r for r in cells(ig_coverage()) if r[0] in ("CM", "LAB", "PR", "LB", "DM") and len(r) == 4]
    assert sum(int(n) for r in rows for n in r[1:]) == 365

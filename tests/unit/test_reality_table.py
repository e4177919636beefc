"""docs/hospital-reality.md names what there is: every point and breakage once, reasons of the closed list, tests that exist."""

from __future__ import annotations

import ast
import csv
import re
from functools import lru_cache
from pathlib import Path

import pytest

from adapter.docs import hospital_reality
from adapter.reasons import REASONS

ROOT = Path(__file__).parents[2]
with open(ROOT / "schemas" / "hospital_reality.csv", encoding="utf-8", newline="") as f:
    ROWS = list(csv.DictReader(f))
PUBLISHED = (
    "fasten-onprem #441",
    "eCRNow #625",
    "FHIR-Converter #504",
    "eCRNow #392",
    "eCRNow #646",
    "eCRNow #577",
    "eCRNow #645",
    "eCRNow #688, fhir.cerner.com PR 169",
    "contained Medication mixtures",
    "mimic-omop #22",
    "bulk-data #69",
    "INTERPOLAR #919",
    "fts-next #1690",
    "mimic-fhir #105",
    "ucum #90, ucum #122",
    "vendor documentation",
)
each_row = pytest.mark.parametrize("row", [pytest.param(r, id=r["point"]) for r in ROWS])


@lru_cache
def functions_in(path: Path) -> set[str]:
    """Return the names of the test functions of a file."""
    return {
        n.name
        for n in ast.parse(path.read_text("utf-8")).body
        if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")
    }


def test_every_point_and_every_published_breakage_is_answered_once() -> None:
    assert [int(r["point"]) for r in ROWS if r["part"] == "point"] == list(range(1, 30))
    assert tuple(r["point"] for r in ROWS if r["part"] == "published") == PUBLISHED
    assert len(ROWS) == 29 + 16


@each_row
def test_no_cell_is_empty(row: dict[str, str]) -> None:
    assert all(v and v.strip() == v for v in row.values())
    assert len(row["met"]) > 10
    assert len(row["answer"]) > 10


@each_row
def test_reasons_are_of_the_closed_list(row: dict[str, str]) -> None:
    named = row["reasons"].split()
    assert named == ["-"] or set(named) <= set(REASONS)
    assert len(set(named)) == len(named)


@each_row
def test_the_tests_that_are_named_exist(row: dict[str, str]) -> None:
    for name in row["tests"].split():
        file, mark, test = name.partition("::")
        assert mark, name
        assert test in functions_in(ROOT / "tests" / file), f"{name} is not there"


@each_row
def test_each_has_a_test_of_its_own_from_end_to_end(row: dict[str, str]) -> None:
    own = [t for t in row["tests"].split() if t.startswith("e2e/test_hospital_reality.py::")]
    assert own
    if row["part"] == "point":
        assert f"::test_point_{int(row['point']):02d}_" in own[0]


def test_every_test_of_hospital_reality_is_in_the_table() -> None:
    named = {t.partition("::")[2] for r in ROWS for t in r["tests"].split()}
    there = functions_in(ROOT / "tests" / "e2e" / "test_hospital_reality.py")
    assert there - named == {"test_every_resource_is_accounted_for"}


def test_the_page_holds_every_row() -> None:
    page = hospital_reality()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "---" not in line and "| met |" not in line]
    assert len(rows) == len(ROWS)
    for line, row in zip(rows, ROWS, strict=True):
        cells = [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert cells[:3] == [row["point"], row["met"], row["answer"]]

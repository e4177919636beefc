"""Results inside reports, and events of several resource types, followed from the datasets back to their lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from adapter.result import Result
from tests.golden.cases import FOLDER, build_case

pytestmark = pytest.mark.usefixtures("tabulation_only")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return build_case("reports", tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module")
def statements(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return build_case("statements", tmp_path_factory.mktemp("statements"))


@pytest.fixture(scope="module")
def exposures(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return build_case("exposures", tmp_path_factory.mktemp("exposures"))


def of(result: Result, dataset: str, subject: str, date: str) -> list[dict[str, Any]]:
    """Return the records of a subject that start on a day."""
    frame = result.sdtm[dataset]
    rows = frame[(frame["USUBJID"].str[-3:] == subject) & frame[f"{dataset}STDTC"].str.startswith(date)]
    return rows.to_dict("records")


def issues(result: Result, dataset: str, seq: int, subject: str) -> set[str]:
    frame = result.issues
    mine = (frame["USUBJID"].str[-3:] == subject) & (frame["dataset"] == dataset) & (frame["seq"] == str(seq))
    return set(frame[mine]["code"])


# --- published breakages ----------------------------------------------------------------------------------------------


def test_not_done_is_never_turned_into_completed(exposures: Result) -> None:
    """eCRNow #688: a not-done administration, with the dose and the period that were planned, is no exposure."""
    (ec,) = of(exposures, "EC", "002", "2024-03-19")
    assert (ec["ECOCCUR"], ec["ECREASOC"], ec["ECDOSTXT"]) == ("N", "Fever", "")
    assert ec["ECDOSE"] != ec["ECDOSE"]
    assert of(exposures, "EX", "002", "2024-03-19") == []
    assert issues(exposures, "EC", int(ec["ECSEQ"]), "002") == set()


def test_not_done_that_is_shown_as_stopped_is_not_done_and_reported(exposures: Result) -> None:
    """fhir.cerner.com PR 169: `stopped` with a reason, and neither dose, rate nor period."""
    (ec,) = of(exposures, "EC", "002", "2024-03-26")
    assert (ec["ECOCCUR"], ec["ECREASOC"]) == ("N", "Refused")
    assert of(exposures, "EX", "002", "2024-03-26") == []
    assert issues(exposures, "EC", int(ec["ECSEQ"]), "002") == {"stopped-without-dose"}


def test_an_infusion_whose_end_is_unknown_has_no_end(exposures: Result) -> None:
    """mimic-omop #22: completed, with a Period that has no end; neither today, nor the start, nor ongoing."""
    (ec,) = of(exposures, "EC", "002", "2024-03-12")
    (ex,) = of(exposures, "EX", "002", "2024-03-12")
    assert (ec["ECENDTC"], ex["EXENDTC"]) == ("", "")
    assert issues(exposures, "EC", int(ec["ECSEQ"]), "002") == {"end-unknown"}


def test_events_that_look_alike_are_two(exposures: Result) -> None:
    """fhir-input point 3 is about results: the same instant, product and dose under two ids may be two bags."""
    assert len(of(exposures, "EC", "002", "2024-03-05")) == 2
    assert issues(exposures, "EC", 2, "002") == {"duplicate-key"}


# --- traces and accounts ----------------------------------------------------------------------------------------------


def trace(result: Result, dataset: str, variable: str) -> dict[tuple[str, int], tuple[str, str, int]]:
    """Return (subject, --SEQ) -> resource type, element, line of one variable."""
    table = pq.read_table(result.out / f"trace/{dataset}.parquet").to_pandas()
    table = table[table["VARIABLE"] == variable]
    columns = (table[c] for c in ("USUBJID", "SEQ", "RESOURCE", "ELEMENT", "LINE"))
    return {(u[-3:], int(s)): (r, e, int(n)) for u, s, r, e, n in zip(*columns, strict=True)}


def line(case: str, kind: str, number: int) -> Any:
    text = (FOLDER / case / "input" / f"{kind}.ndjson").read_text("utf-8").split("\n")[number - 1]
    return json.loads(text)


def test_a_contained_result_is_traced_into_its_report(reports: Result) -> None:
    found = trace(reports, "lb", "LBORRES")
    assert found["001", 1] == ("DiagnosticReport", "DiagnosticReport.contained[0].value[x]", 1)
    assert found["001", 2] == ("Observation", "Observation.value[x]", 1)
    assert found["003", 1] == ("DiagnosticReport", "DiagnosticReport.contained[1].value[x]", 11)
    assert found["003", 2] == ("DiagnosticReport", "DiagnosticReport.contained[0].component[0].value[x]", 11)
    for (subject, seq), (kind, element, number) in found.items():
        r = line("reports", kind, number)
        for step in element.split(".")[1:-1]:
            name, _, index = step.rstrip("]").partition("[")
            r = r[name][int(index)]
        lb = reports.sdtm["LB"]
        value = lb[(lb["USUBJID"].str[-3:] == subject) & (lb["LBSEQ"] == seq)]["LBORRES"].iloc[0]
        assert float(value) == r["valueQuantity"]["value"]


def test_a_reject_inside_a_report_says_where(reports: Result) -> None:
    found = {tuple(r) for r in reports.rejects[["line", "reason", "element"]].to_numpy().tolist()}
    assert found == {
        (7, "result-not-named", "contained[1]"),
        (11, "unit-unknown", "contained[2]"),
        (14, "held-back-modifier", "contained[0].modifierExtension"),
    }


def test_reports_are_accounted_for_once_each(reports: Result) -> None:
    counted = reports.counts["resources"]["DiagnosticReport"]
    assert counted["read"] == 14
    assert counted["used"] == 4  # lines 1, 6, 7 and 11: some of their results are in LB


def test_medications_are_traced_to_whatever_reported_them(statements: Result) -> None:
    found = trace(statements, "cm", "CMSTDTC")
    kinds = {
        ("001", 1): ("MedicationStatement", "MedicationStatement.effective[x]"),
        ("001", 4): ("MedicationAdministration", "MedicationAdministration.effective[x]"),
        ("001", 6): ("BiologicallyDerivedProductDispense", "BiologicallyDerivedProductDispense.whenHandedOver"),
        ("001", 7): ("SupplyDelivery", "SupplyDelivery.occurrence[x]"),
    }
    assert {k: found[k][:2] for k in kinds} == kinds
    doses = trace(statements, "cm", "CMDOSE")
    assert doses["002", 3][:2] == ("MedicationAdministration", "MedicationAdministration.dosage")


def test_no_hospital_id_is_in_the_package(statements: Result) -> None:
    """Ids of Medications and products are keyed in the store, too."""
    for path in sorted(Path(statements.out).rglob("*")):
        if path.is_file() and path.suffix in (".json", ".ndjson", ".csv"):
            words = set(path.read_text("utf-8").replace('"', " ").replace("/", " ").replace(",", " ").split())
            assert not words & {"med-a", "bag", "cells", "s13", "a9"}, path.name

"""build --strict: strict.csv tells what fhir.resources finds, by file and line; nothing else of the build changes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from adapter import build
from adapter.errors import InputError
from adapter.result import Result
from adapter.site import Keyer
from tests.conftest import EVERYTHING, KEY, Cohort, hashes, make_site
from tests.lines import ADMINISTRATION, OBSERVATION, PATIENT, changed, line_of, of_stranger

KEYER = Keyer(bytes.fromhex(KEY))
LOG = "patient,subjid,siteid,arm,consent_date,randomisation_date\ns,1,01,MSC,2024-01-01,2024-01-02\n"
GOOD = changed(OBSERVATION, id="good")
UNKNOWN = changed(OBSERVATION, id="unknown", WangXiaoming=1)
MALFORMED = changed(ADMINISTRATION, id="malformed", effectiveDateTime="2024-01-05T08:00")


def built(folder: Path, **more: Any) -> Result:
    fhir = folder / "fhir"
    fhir.mkdir()
    lines = [line_of(r) + b"\n" for r in (PATIENT, GOOD, of_stranger(UNKNOWN), UNKNOWN)]
    (fhir / "a.ndjson").write_bytes(b"".join(lines) + b"{broken\n\n" + line_of(MALFORMED))
    (fhir / "b.ndjson.gz").write_bytes(gzip.compress(line_of(GOOD) + b"\n" + line_of(changed(UNKNOWN, id="gz"))))
    entries = [{"resource": r} for r in (GOOD, changed(UNKNOWN, id="entry"))]
    (fhir / "c.json").write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    (folder / "log.csv").write_text(LOG)
    site = make_site(folder / "site")
    return build(fhir, out=folder / "out", enrolment=folder / "log.csv", site=site, strict=True, workers=1, **more)


def keyed(name: str) -> str:
    return KEYER.keyed(name).hex()


def test_findings_stand_by_file_and_line(tmp_path: Path) -> None:
    result = built(tmp_path)
    assert result.strict.values.tolist() == [
        ["fhir/a.ndjson", 4, "Observation", keyed("Observation/unknown"), "R4", "", "unknown-element"],
        [
            "fhir/a.ndjson",
            7,
            "MedicationAdministration",
            keyed("MedicationAdministration/malformed"),
            "R4",
            "effectiveDateTime",
            "malformed",
        ],
        ["fhir/b.ndjson.gz", 2, "Observation", keyed("Observation/gz"), "R4", "", "unknown-element"],
        ["fhir/c.json", 2, "Observation", keyed("Observation/entry"), "R4", "", "unknown-element"],
    ]
    counts = {"resources": 8, "findings": {"malformed": 1, "unknown-element": 3}}
    assert result.counts["strict"] == result.manifest["strict"] == counts
    assert "strict.csv" in {o["file"] for o in result.manifest["outputs"]}
    assert b"Wang" not in (result.out / "strict.csv").read_bytes()


def test_how_files_are_cut_changes_no_finding(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, cut = built(tmp_path / "a"), built(tmp_path / "b", range_bytes=200)
    assert (whole.out / "strict.csv").read_bytes() == (cut.out / "strict.csv").read_bytes()


def test_nothing_else_of_a_build_changes(demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    result = build(demo10.fhir, out=tmp_path / "out", enrolment=demo10.log, site=demo10.site, strict=True, workers=2)
    what = [x for x in EVERYTHING if x != "manifest.json"]
    assert hashes(result.out, what) == hashes(demo10_build.out, what)
    assert result.exit_code == demo10_build.exit_code
    without = {k: v for k, v in result.manifest.items() if k not in ("strict", "outputs")}
    assert without == {k: v for k, v in demo10_build.manifest.items() if k != "outputs"}
    assert {p.name for p in result.out.iterdir()} - {p.name for p in demo10_build.out.iterdir()} == {"strict.csv"}


def test_a_store_cannot_be_checked(demo10: Cohort, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    told = {"enrolment": demo10.log, "site": demo10.site, "workers": 1}
    build(demo10.fhir, out=out, store=store, **told)
    with pytest.raises(InputError, match="--strict expected the files"):
        build(store, out=tmp_path / "second", strict=True, **told)
    again = build(demo10.fhir, out=out, store=store, strict=True, overwrite=True, **told)
    assert len(again.strict), "what the store knows already is checked all the same"


def test_without_strict_there_is_nothing_to_read(demo10_build: Result) -> None:
    assert not (demo10_build.out / "strict.csv").exists()
    with pytest.raises(InputError, match="--strict"):
        _ = demo10_build.strict

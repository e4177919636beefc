"""The same hospital in other carriers gives the same datasets, byte for byte; published files of every shape run through."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from adapter import build
from adapter.errors import InputError
from adapter.reasons import REASONS
from adapter.result import Result
from tests.conftest import Cohort
from tests.conftest import lines_of as plain_lines

pytestmark = pytest.mark.usefixtures("tabulation_only")

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "fhir"
EXAMPLES = ("hl7-r4-examples", "au-fhir-test-data", "cibmtr-ig")


def lines_of(fhir: Path) -> dict[str, list[bytes]]:
    return {name.removesuffix(".ndjson"): [x + b"\n" for x in lines] for name, lines in plain_lines(fhir).items()}


def in_bundles(fhir: Path, out: Path) -> None:
    """One pretty Bundle per file. Decimals keep their text, because resources are pasted, not parsed."""
    for name, lines in lines_of(fhir).items():
        broken = [x for x in lines if not whole(x)]
        entries = b",\n".join(b' {\n  "resource": ' + x.strip() + b"}" for x in lines if x not in broken)
        (out / f"{name}.json").write_bytes(b'{"resourceType": "Bundle", "entry": [\n' + entries + b"\n]}\n")
        if broken:
            (out / f"{name}-rest.ndjson").write_bytes(b"".join(broken))


def whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def in_gzip(fhir: Path, out: Path) -> None:
    for name, lines in lines_of(fhir).items():
        half = len(lines) // 2
        packed = gzip.compress(b"".join(lines[:half])) + gzip.compress(b"".join(lines[half:]))
        (out / f"{name}.ndjson.gz").write_bytes(packed)


def mixed(fhir: Path, out: Path) -> None:
    """Patients as single files, Observations as GB18030, the rest as it was."""
    for name, lines in lines_of(fhir).items():
        if name == "Patient":
            for i, line in enumerate(lines):
                (out / f"patient-{i}.json").write_bytes(line)
        elif name == "Procedure":
            (out / f"{name}.ndjson").write_bytes(b"".join(lines).decode().encode("gb18030"))
        else:
            (out / f"{name}.ndjson").write_bytes(b"".join(lines))


def datasets(result: Result) -> dict[str, str]:
    manifest = json.loads((result.out / "manifest.json").read_text())
    return {o["file"]: o["sha256"] for o in manifest["outputs"] if o["file"].startswith("sdtm/")}


def read_counts(result: Result) -> dict[str, Any]:
    return {k: (v["read"], v["used"]) for k, v in result.counts["resources"].items()}


@pytest.mark.parametrize("carrier", [in_bundles, in_gzip, mixed], ids=lambda f: f.__name__)
def test_the_carrier_changes_nothing(carrier: Any, demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    (tmp_path / "fhir").mkdir()
    carrier(demo10.fhir, tmp_path / "fhir")
    result = build(tmp_path / "fhir", tmp_path / "out", enrolment=demo10.log, site=demo10.site, workers=1)
    assert datasets(result) == datasets(demo10_build)
    assert read_counts(result) == read_counts(demo10_build)


def test_a_truncated_bundle_costs_only_what_is_missing(demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    folder = tmp_path / "fhir"
    folder.mkdir()
    in_bundles(demo10.fhir, folder)
    path = max(folder.glob("*.json"), key=lambda p: p.stat().st_size)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    kept = path.read_bytes().count(b'"resource": ') - 1
    result = build(folder, tmp_path / "out", enrolment=demo10.log, site=demo10.site, workers=1)
    assert result.exit_code == 3
    rejects = [json.loads(x) for x in (result.out / "rejects.ndjson").read_text().splitlines()]
    (cut,) = [r for r in rejects if r["reason"] == "file-cut-short"]
    assert (cut["file"], cut["keyed_id"]) == (f"fhir/{path.name}", "")
    assert data[: cut["offset"]].count(b'"resource": ') == kept
    before, after = (sum(n for n, _ in read_counts(r).values()) for r in (demo10_build, result))
    assert before - after == data.count(b'"resource": ') - kept - 1  # the reject itself is counted as one
    assert after > 0


def test_equal_ids_on_two_servers_are_not_one_patient(demo10: Cohort, tmp_path: Path) -> None:
    (tmp_path / "fhir").mkdir()
    for server in ("a", "b"):
        entry = {"fullUrl": f"http://{server}/fhir/Patient/1", "resource": {"resourceType": "Patient", "id": "1"}}
        bundle = {"resourceType": "Bundle", "entry": [entry]}
        (tmp_path / "fhir" / f"{server}.json").write_text(json.dumps(bundle))
    with pytest.raises(InputError, match=r"1 patient ids .* \(http://a/fhir, http://b/fhir\)"):
        build(tmp_path / "fhir", tmp_path / "out", enrolment=demo10.log, site=demo10.site, workers=1)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not beside this folder")
@pytest.mark.parametrize("name", EXAMPLES)
def test_published_folders_run_to_the_end(name: str, tmp_path: Path) -> None:
    """Every patient of the folder is a subject; every resource that is not used has a reason of the closed list."""
    ids = set()
    for path in (SHARED / name).rglob("*.json"):
        text = path.read_bytes()
        if b'"Patient"' in text:
            found = json.loads(text)
            every = [found, *(e.get("resource", {}) for e in found.get("entry", ()) if isinstance(e, dict))]
            ids |= {r["id"] for r in every if r.get("resourceType") == "Patient" and "id" in r}
    assert ids
    log = tmp_path / "enrolment.csv"
    rows = [f"{pid},{i:03d},01,,2010-01-01" for i, pid in enumerate(sorted(ids), 1)]
    log.write_text("\n".join(["patient,subjid,siteid,arm,consent_date", *rows]) + "\n")
    result = build(SHARED / name, tmp_path / "out", enrolment=log, workers=1)
    for kind, counts in result.counts["resources"].items():
        assert counts["read"] == counts["used"] + sum(counts["dropped"].values()), kind
        assert set(counts["dropped"]) <= set(REASONS)

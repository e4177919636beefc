"""Whose a resource is, through the whole build: servers, identifiers, specimens of others; and what was deleted since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapter import build
from adapter.errors import InputError, SiteError
from adapter.result import Result
from tests.conftest import make_site, tabulated
from tests.lines import OBSERVATION, PATIENT, SPECIMEN, Json, changed, line_of

pytestmark = pytest.mark.usefixtures("tabulation_only")

LOG = "patient,subjid,siteid,arm,consent_date,randomisation_date\ns,1,01,MSC,2024-01-01,2024-01-02\n"
NOT_ANSWERED = "criterion-unknown"
"""The log answers no criterion of eligibility, and these few resources do not decide them."""
HERE, THERE = "https://here.example/fhir", "https://there.example/fhir"


def written(folder: Path, files: dict[str, list[Json]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, resources in files.items():
        (folder / name).write_bytes(b"".join(line_of(r) + b"\n" for r in resources))
    return folder


def built(folder: Path, files: dict[str, list[Json]], log: str = LOG, site_toml: str = "", **more: Any) -> Result:
    """Build some files; `store` in more keeps what is read, and a further call reads only what is new."""
    given = written(folder / "in", files)
    (folder / "log.csv").write_text(log)
    site = folder / "site"
    if not site.exists():
        make_site(site)
    (site / "site.toml").write_text(site_toml)
    return build(given, out=folder / "out", enrolment=folder / "log.csv", site=site, workers=1, overwrite=True, **more)


def results(result: Result) -> list[str]:
    return sorted(result.sdtm["LB"]["LBORRES"].tolist())


def dropped(result: Result, kind: str = "Observation") -> dict[str, int]:
    found: dict[str, int] = result.counts["resources"][kind]["dropped"]
    return found


def obs(own: str, value: int, **change: Any) -> Json:
    return changed(OBSERVATION, id=own, valueQuantity=OBSERVATION["valueQuantity"] | {"value": value}, **change)


def updated(day: str, version: str | None = None, **more: Any) -> Json:
    return {"lastUpdated": f"2024-{day}T00:00:00Z"} | ({"versionId": version} if version else {}) | more


def bundle(*entries: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": list(entries)} | more


def deletion(url: str, when: str | None = None) -> Json:
    at = {"response": {"lastModified": f"2024-{when}T00:00:00Z"}} if when else {}
    return {"request": {"method": "DELETE", "url": url}} | at


# --- deletions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        (deletion("Observation/a", "03-01"), ["2"]),
        pytest.param(deletion(f"{HERE}/Observation/a/_history/7", "03-01"), ["2"], marks=pytest.mark.long),
        pytest.param(deletion("Observation/a"), ["2"], marks=pytest.mark.long),  # without an instant it is final
        pytest.param(deletion("Observation/a", "02-01"), ["2"], marks=pytest.mark.long),  # at the same instant
        (deletion("Observation/a", "01-15"), ["1", "2"]),  # the copy is newer: it came back
        pytest.param(deletion("Observation/z", "03-01"), ["1", "2"], marks=pytest.mark.long),
        (deletion("Observation?identifier=a|1", "03-01"), ["1", "2"]),
    ],
)
def test_what_the_hospital_has_deleted_is_no_result(entry: Json, kept: list[str], tmp_path: Path) -> None:
    first = {"a.ndjson": [PATIENT, obs("a", 1, meta=updated("02-01")), obs("b", 2, effectiveDateTime="2024-02-02")]}
    one_go = built(tmp_path / "one", first | {"deleted.ndjson": [bundle(entry, type="transaction")]})
    assert results(one_go) == kept
    assert dropped(one_go).get("deleted-by-hospital", 0) == 2 - len(kept)
    told = "deletion-not-applied" if "?" in json.dumps(entry) else "deletion-entry"
    kind = "(none)" if "?" in json.dumps(entry) else "Observation"
    assert dropped(one_go, kind)[told] == 1
    # over two nights, the second with the deletion only
    store = tmp_path / "store"
    built(tmp_path / "two", first, store=store)
    later = written(tmp_path / "two" / "later", {"deleted.ndjson": [bundle(entry, type="transaction")]})
    second = build(
        later, out=tmp_path / "out", enrolment=tmp_path / "two" / "log.csv", site=tmp_path / "two" / "site", store=store,
        workers=1,
    )  # fmt: skip
    assert results(second) == kept


def test_a_deleted_patient_leaves_results_and_an_issue(tmp_path: Path) -> None:
    files = {"a.ndjson": [PATIENT, obs("a", 1), bundle(deletion("Patient/s"))]}
    result = built(tmp_path, files)
    assert results(result) == ["1"]
    assert "no-patient-resource" in result.issues["code"].tolist()


# --- parts of resources ------------------------------------------------------------------------------------------------

SUBSET = {"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]}


@pytest.mark.parametrize("whole", [updated("01-01", "1"), {"versionId": "1"}, {}])
def test_a_part_of_a_resource_never_replaces_a_whole_copy(whole: Json, tmp_path: Path) -> None:
    part = obs("a", 9, meta=updated("09-01", "9") | SUBSET)
    result = built(tmp_path, {"a.ndjson": [PATIENT, obs("a", 1, meta=whole), part]})
    assert results(result) == ["1"]
    assert dropped(result) == {"superseded-version": 1}
    assert tabulated(result).tolist() == [NOT_ANSWERED]


def test_a_part_of_a_resource_alone_is_used_and_told(tmp_path: Path) -> None:
    result = built(tmp_path, {"a.ndjson": [PATIENT, obs("a", 9, meta=SUBSET)]})
    assert results(result) == ["9"]
    assert sorted(tabulated(result)) == [NOT_ANSWERED, "subset-only"]


# --- specimens of others -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "kept"),
    [
        ("Patient/s", ["1", "2"]),
        ("Patient/old", ["1", "2"]),  # the subject's record before the merge
        ("Patient/donor", ["2"]),
        ("Patient/t", ["2"]),  # another subject
        ("Group/lot-7", ["2"]),
        ("Device/bioreactor", ["2"]),
    ],
)
@pytest.mark.parametrize("nights", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_result_is_of_whoever_the_specimen_is(of: str, kept: list[str], nights: int, tmp_path: Path) -> None:
    """fhir-input point 16: filed under the recipient, taken from the donor."""
    specimen = changed(SPECIMEN, subject={"reference": of})
    old = changed(PATIENT, id="old", link=[{"type": "replaced-by", "other": {"reference": "Patient/s"}}])
    people = [PATIENT, old, changed(PATIENT, id="t"), changed(PATIENT, id="donor"), specimen]
    taken = [
        obs("a", 1, specimen={"reference": "Specimen/sp"}),
        obs("b", 2, specimen={"reference": "Specimen/unknown"}),
    ]
    log = LOG + "t,2,01,CTRL,2024-01-01,2024-01-02\n"
    if nights == 1:
        result = built(tmp_path, {"a.ndjson": people + taken}, log=log)
    else:
        store = tmp_path / "store"
        built(tmp_path, {"a.ndjson": people}, log=log, store=store, cutoff="2024-02-01")
        (tmp_path / "in" / "a.ndjson").unlink()
        result = built(tmp_path, {"b.ndjson": taken}, log=log, store=store)
    assert results(result) == kept
    assert dropped(result).get("about-somebody-else", 0) == 2 - len(kept)


# --- servers -----------------------------------------------------------------------------------------------------------


def entry(base: str, resource: Json) -> Json:
    return {"fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}", "resource": resource}


def test_equal_ids_on_two_servers_are_two_patients(tmp_path: Path) -> None:
    """Undeclared, nobody can know which of the two is the subject; declared, the other is somebody else."""
    here = bundle(entry(HERE, PATIENT), entry(HERE, obs("a", 1)))
    there = bundle(entry(THERE, changed(PATIENT, gender="male")), entry(THERE, obs("a", 2)))
    with pytest.raises(InputError, match=r"more than one server \(https://here.example/fhir, https://there"):
        built(tmp_path / "a", {"here.json": [here], "there.json": [there]})
    result = built(tmp_path / "b", {"here.json": [here], "there.json": [there]}, site_toml=f'server.base = ["{HERE}/"]')
    assert results(result) == ["1"]
    assert result.sdtm["DM"]["SEX"].tolist() == ["F"]
    assert dropped(result) == {"another-server": 1}
    assert dropped(result, "Patient") == {"another-server": 1}


def test_references_to_two_servers_are_told_apart(tmp_path: Path) -> None:
    one, two = ({"reference": f"{base}/Patient/s"} for base in (HERE, THERE))
    files = {"a.ndjson": [PATIENT, obs("a", 1, subject=one), obs("b", 2, subject=two, effectiveDateTime="2024-01-05")]}
    with pytest.raises(InputError, match="stand under more than one server"):
        built(tmp_path / "a", files)
    result = built(tmp_path / "b", files, site_toml=f'[server]\nbase = ["{HERE}"]\n')
    assert results(result) == ["1"]
    assert dropped(result) == {"not-a-subject": 1}
    both = built(tmp_path / "c", files, site_toml=f'[server]\nbase = ["{HERE}", "{THERE}"]\n')
    assert results(both) == ["1", "2"]


def test_a_second_server_is_noticed_on_a_later_night(tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = {"a.ndjson": [PATIENT, obs("a", 1, subject={"reference": f"{HERE}/Patient/s"})]}
    built(tmp_path, first, store=store)
    later = {"b.ndjson": [obs("b", 2, subject={"reference": f"{THERE}/Patient/s"})]}
    with pytest.raises(InputError, match="stand under more than one server"):
        built(tmp_path, later, store=store)


def test_files_are_read_again_when_the_own_servers_change(tmp_path: Path) -> None:
    store = tmp_path / "store"
    two = {"reference": f"{THERE}/Patient/s"}
    files = {"a.ndjson": [PATIENT, obs("a", 1), obs("b", 2, subject=two, effectiveDateTime="2024-01-05")]}
    assert results(built(tmp_path, files, store=store)) == ["1", "2"]
    declared = f'server.base = ["{HERE}"]'
    assert results(built(tmp_path, files, store=store, site_toml=declared)) == ["1"]
    (tmp_path / "in" / "a.ndjson").unlink()
    with pytest.raises(InputError, match=r"own servers .* have changed since in/a\.ndjson had been read"):
        built(tmp_path, {"b.ndjson": [obs("c", 3)]}, store=store)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server.base = 'https://here'", "server.base is 'https://here'; expected a list of URLs"),
        ("server.base = ['here']", "expected a list of URLs"),
        ("server = 5", "server.base is None"),
        ("server.bases = []", "unknown bases; expected server.base only"),
        ("key = 'x'", "unknown key; expected server.base only"),
        ("base = [", "is no TOML"),
    ],
)
def test_a_broken_site_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SiteError, match=message):
        built(tmp_path, {"a.ndjson": [PATIENT]}, site_toml=text)


# --- identifiers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patient", ["s", "urn:mrn|1"])
def test_references_by_identifier_match_exactly_one_or_are_rejects(patient: str, tmp_path: Path) -> None:
    def bearing(resource: Json, *values: str) -> Json:
        return changed(resource, identifier=[{"system": "urn:mrn", "value": v} for v in values])

    def by(value: str) -> Json:
        return {"identifier": {"system": "urn:mrn", "value": value}}

    people = [bearing(PATIENT, "1", "12"), bearing(changed(PATIENT, id="x"), "2", "12")]
    taken = [
        obs("a", 1, subject=by("1")),
        obs("b", 2, subject={"reference": "Patient?identifier=urn:mrn|1"}, effectiveDateTime="2024-01-05"),
        obs("c", 3, subject=by("2")),
        obs("d", 4, subject=by("12")),
        obs("e", 5, subject=by("99")),
    ]
    log = LOG.replace("\ns,", f"\n{patient},")
    result = built(tmp_path, {"a.ndjson": people + taken}, log=log)
    assert results(result) == ["1", "2"]
    assert dropped(result) == {"not-a-subject": 1, "subject-unresolved": 2}
    lines = [json.loads(x) for x in (result.out / "rejects.ndjson").read_text().splitlines()]
    assert [(x["line"], x["reason"]) for x in lines] == [(6, "subject-unresolved"), (7, "subject-unresolved")]

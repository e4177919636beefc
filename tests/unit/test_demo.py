"""The demo hospital: same bytes, valid FHIR, believable courses, and answers that an independent reading confirms.

The files of warts are left out where the cohort is read; what they are and what must come of them is checked at the end
here and, with a build, in tests/e2e/test_demo_warts.py.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import InputError
from mappings.trials.pgf_msc.demo import KNOWN_ANSWERS, known_answers, write_cohort
from mappings.trials.pgf_msc.demo.fhir import encode, number, stamp
from tests.conftest import lines_of

REPO = Path(__file__).parents[2]
SITE = timezone(timedelta(hours=8))
NO_OFFSET = re.compile(r'("\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)"')
MSC_LOT = re.compile(r"UCMSC-\d{4}-P4")


def site_day(text: str) -> date:
    """The calendar day in Shanghai, by datetime's own time zones (the generator adds hours by hand)."""
    if "T" not in text:
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is None else moment.astimezone(SITE)).date()


@dataclass
class Read:
    """The written cohort, read back without the generator: resources by type, log, and who a Patient reference is."""

    folder: Path
    counts: dict[str, int]
    by_type: dict[str, list[dict[str, Any]]]
    bad: list[tuple[str, int, str]]
    log: list[dict[str, str]]
    subject_of: dict[str, str]  # Patient/<id> → subjid

    def of(self, resource: dict[str, Any]) -> str:
        holder = resource.get("subject") or resource.get("patient") or resource.get("individual") or {}
        return self.subject_of.get(holder.get("reference", ""), "")


def read(folder: Path, counts: dict[str, int], truth: dict[str, Any]) -> Read:
    by_type: dict[str, list[dict[str, Any]]] = defaultdict(list)
    skip = {(b["file"], b["line"]) for b in truth["bad_lines"] if b["reason"] != "truncated"}
    bad = []
    for path in plain_files(folder, truth):
        for n, line in enumerate(path.read_bytes().split(b"\n"), 1):
            if not line:
                continue
            try:
                resource = json.loads(line)
            except json.JSONDecodeError:
                bad.append((path.name, n, "not JSON"))
                continue
            assert resource["resourceType"] == re.split(r"[-.]", path.name)[0]
            if (path.name, n) in skip:
                bad.append((path.name, n, resource["id"]))
            else:
                by_type[resource["resourceType"]].append(resource)
    with (folder / "enrolment.csv").open(encoding="utf-8", newline="") as file:
        log = list(csv.DictReader(file))
    keys = {row["patient"]: row["subjid"] for row in log}
    subject_of = {}
    for p in by_type["Patient"]:
        names = [p["id"], *(f"{i['system']}|{i['value']}" for i in p["identifier"])]
        subject_of["Patient/" + p["id"]] = next((keys[n] for n in names if n in keys), "")
    for p in by_type["Patient"]:
        for link in p.get("link", []):
            if link["type"] == "replaced-by":
                subject_of["Patient/" + p["id"]] = subject_of[link["other"]["reference"]]
    return Read(folder, counts, dict(by_type), bad, log, subject_of)


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return known_answers()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, truth: dict[str, Any]) -> Read:
    folder = tmp_path_factory.mktemp("demo")
    return read(folder, write_cohort(folder), truth)


def plain_files(folder: Path, truth: dict[str, Any]) -> list[Path]:
    """The files without warts."""
    return [p for p in sorted((folder / "fhir").iterdir()) if p.name not in truth["wart_files"]]


def digest(folder: Path) -> str:
    out = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        out.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return out.hexdigest()


def test_same_arguments_same_bytes_in_another_process_with_other_hashes(tmp_path: Path) -> None:
    write_cohort(tmp_path / "a", 10, 7)
    code = "import sys, pathlib, mappings.trials.pgf_msc.demo as d; d.write_cohort(pathlib.Path(sys.argv[1]), 10, 7)"
    env = {**os.environ, "PYTHONHASHSEED": "4711", "LC_ALL": "C", "TZ": "America/Lima"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "b")], check=True, env=env, cwd=REPO)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    write_cohort(tmp_path / "c", 10, 8)
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


@pytest.mark.parametrize("subjects", [10, 13])
def test_small_cohorts_have_every_planted_case(tmp_path: Path, subjects: int) -> None:
    answers = known_answers(subjects, 3)
    assert set(answers) == set(KNOWN_ANSWERS)
    assert sum(answers["randomised"].values()) == subjects
    assert answers["randomised"]["MSC"] - answers["randomised"]["CTRL"] == subjects % 2
    small = read(tmp_path, write_cohort(tmp_path, subjects, 3), answers)
    assert len(small.log) == answers["log_rows"] == small.counts["log_rows"]
    assert_truth(small, answers)


def test_too_few_subjects_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 10"):
        write_cohort(tmp_path, 9)
    assert not any(tmp_path.iterdir())


def test_decimals_and_instants() -> None:
    assert encode({"value": number("4.10"), "text": '"ue'}) == '{"value":4.10,"text":"\\"ue"}'
    early = datetime(2024, 3, 1, 6, 30)
    assert stamp(early, "utc") == "2024-02-29T22:30:00Z"  # the leap day before
    assert stamp(early) == "2024-03-01T06:30:00+08:00"
    assert stamp(early, "none") == "2024-03-01T06:30:00"


def test_size_and_counts(cohort: Read) -> None:
    assert 25_000 <= cohort.counts["Observation"] <= 45_000
    assert cohort.counts["bytes"] < 60_000_000
    assert cohort.counts["bytes"] == sum(p.stat().st_size for p in cohort.folder.rglob("*") if p.is_file())
    assert len(list((cohort.folder / "fhir").glob("Observation-0*.ndjson"))) >= 3
    everything = sum(len(lines) for lines in lines_of(cohort.folder / "fhir").values())
    types = {k: v for k, v in cohort.counts.items() if k[0].isupper()}
    assert sum(types.values()) == everything
    assert not any("\ue000".encode() in p.read_bytes() for p in (cohort.folder / "fhir").iterdir())  # the number mark


def test_log_has_34_a_side_and_the_planned_others(cohort: Read, truth: dict[str, Any]) -> None:
    arms = Counter(row["arm"] for row in cohort.log)
    assert arms == {"MSC": 34, "CTRL": 34, "": 13}
    assert truth["randomised"] == {"MSC": 34, "CTRL": 34}
    assert sum(bool(row["screen_failure_reason"]) for row in cohort.log) == truth["screen_failures"] == 12
    assert [r["subjid"] for r in cohort.log if not r["arm"] and not r["screen_failure_reason"]] == [
        truth["not_assigned"]
    ]
    assert len({row["subjid"] for row in cohort.log}) == len(cohort.log) == truth["log_rows"] == 81
    assert any("|" in row["patient"] for row in cohort.log)
    outside = {p["id"] for p in cohort.by_type["Patient"] if not cohort.subject_of["Patient/" + p["id"]]}
    assert outside == set(truth["non_subjects"])
    assert 0.12 <= len(outside) / len(cohort.log) <= 0.18
    types = {r["subjid"]: (r["withdrawal_type"], r["withdrawal_date"]) for r in cohort.log if r["withdrawal_date"]}
    consent = {s: ("consent", d) for s, d in truth["withdrew_consent"].items()}
    assert types == consent | {s: ("treatment", d) for s, d in truth["withdrew_treatment"].items()}


def test_enrolled_are_18_to_60_and_kinds_of_patients_are_there(cohort: Read, truth: dict[str, Any]) -> None:
    people = {cohort.subject_of["Patient/" + p["id"]]: p for p in cohort.by_type["Patient"] if p["active"]}
    for row in cohort.log:
        born, signed = date.fromisoformat(people[row["subjid"]]["birthDate"]), date.fromisoformat(row["consent_date"])
        age = signed.year - born.year - ((signed.month, signed.day) < (born.month, born.day))
        assert (18 <= age <= 60) == (row["screen_failure_reason"] != "Age above 60 years"), row
    assert [s for s, p in people.items() if s and p["gender"] == "other"] == [truth["sex_unknown"]]
    assert people[truth["deceased_false"]]["deceasedBoolean"] is False
    dead = {s: p.get("deceasedDateTime") for s, p in people.items() if s and dies(p)}
    assert {s: str(site_day(d)) if d else None for s, d in dead.items()} == truth["deaths"]
    assert sum(d is None for d in truth["deaths"].values()) == 1
    (merged, ids), *_ = truth["merged"].items()
    assert cohort.subject_of["Patient/" + ids[0]] == cohort.subject_of["Patient/" + ids[1]] == merged
    hung = [r for r in cohort.by_type["Procedure"] if r["subject"]["reference"] == "Patient/" + ids[1]]
    assert hung  # the graft hangs on the replaced record


def dies(patient: dict[str, Any]) -> bool:
    return "deceasedDateTime" in patient or patient.get("deceasedBoolean") is True


def test_nobody_is_real(cohort: Read) -> None:
    cycle = {"甲乙丙丁戊己庚辛壬癸"[i % 10] + "子丑寅卯辰巳午未申酉戌亥"[i % 12] for i in range(60)}
    for p in cohort.by_type["Patient"]:
        assert p["name"][0]["given"][0] in cycle
        assert p["meta"]["security"][0]["code"] == "HTEST"
        assert all(t["value"].startswith("000-0000-") for t in p.get("telecom", []))
        assert all(a["city"] == "示例市" for a in p.get("address", []))
        assert all(i["value"][:3] in ("MRN", "OLD", "SYN") for i in p["identifier"])


def test_fhir_resources_accepts_a_sample_of_every_type(cohort: Read) -> None:
    from fhir.resources.R4B import get_fhir_model_class

    for name, resources in cohort.by_type.items():
        model = get_fhir_model_class(name)
        for resource in resources[:: max(1, len(resources) // 150)]:
            # instants without an offset are planted (third laboratory habit) and not legal FHIR: given one here
            model.model_validate_json(NO_OFFSET.sub(r'\1+08:00"', json.dumps(resource)))


def test_references_point_to_something(cohort: Read) -> None:
    there = {f"{name}/{r['id']}" for name, resources in cohort.by_type.items() for r in resources}
    for resources in cohort.by_type.values():
        for resource in resources:
            for target in re.findall(r'"reference": "([^"#]+)"', json.dumps(resource)):
                assert target in there


def infusion(resource: dict[str, Any]) -> bool:
    text = json.dumps(resource, ensure_ascii=False)
    return "UC-MSC" in text or "Medication/med-UCMSC" in text


def kind_of(resource: dict[str, Any]) -> str:
    """What a record is, by its own codes and words (protocol §2, fhir-input default codes)."""
    text = json.dumps(resource, ensure_ascii=False)
    if resource["resourceType"] == "MedicationAdministration" and infusion(resource):
        return "infusion"
    for kind, pattern in {
        "platelets": r'"12719002"|"B05AX02"',
        "red-cells": r'"116863004"|"71493000"|"B05AX01"',
        "graft": r'"23719005"|"234336002"',
        "treatment": r'"L03AA02"|血小板生成素|"B02BX0[458]"|泊帕',
        "conditioning": r'"L01A|"L01BC01"|"L04AA04"',
    }.items():
        if re.search(pattern, text):
            return kind
    return ""


def span(resource: dict[str, Any]) -> tuple[date, date]:
    when = resource.get("effectivePeriod") or resource.get("performedPeriod")
    if when:
        return site_day(when["start"]), site_day(when["end"])
    return (site_day(resource["effectiveDateTime"]),) * 2


def given(cohort: Read) -> dict[str, dict[str, list[tuple[date, date]]]]:
    out: dict[str, dict[str, list[tuple[date, date]]]] = defaultdict(lambda: defaultdict(list))
    seen = set()
    for resource in [*cohort.by_type["MedicationAdministration"], *cohort.by_type["Procedure"]]:
        if resource["id"] in seen or resource["status"] not in ("completed", "stopped"):
            continue
        seen.add(resource["id"])
        out[cohort.of(resource)][kind_of(resource)].append(span(resource))
    return out


def usable(cohort: Read, answers: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Usable Observations by subject, read by the rules of fhir-input alone."""
    newest: dict[str, dict[str, Any]] = {}
    for o in cohort.by_type["Observation"]:
        if int(o["meta"]["versionId"]) > int(newest.get(o["id"], {"meta": {"versionId": 0}})["meta"]["versionId"]):
            newest[o["id"]] = o
    out: dict[str, list[dict[str, Any]]] = defaultdict(list)
    results = set()
    for o in sorted(newest.values(), key=lambda o: o["id"]):
        key = (cohort.of(o), json.dumps([o["code"], o["effectiveDateTime"], {k: o[k] for k in o if k[:5] == "value"}]))
        valued = any(k.startswith("value") for k in o)
        # what the clinic writes down has answers of its own (tests/e2e/test_demo_clinical.py)
        clinic = re.search(r"-c\d{3}$", o["id"]) is not None
        mapped = o["code"]["coding"][0]["system"] == "http://loinc.org" and not clinic
        day = site_day(o["effectiveDateTime"])
        ended = answers["withdrew_consent"].get(key[0], "2030-01-01")
        right = o["status"] in ("final", "amended", "corrected") and "focus" not in o
        if right and valued and mapped and key not in results and str(day) <= ended:
            results.add(key)
            out[key[0]].append(o)
    return out


def assert_truth(cohort: Read, answers: dict[str, Any]) -> None:
    """Each subject's answer, worked out again from the files."""
    doses, results = given(cohort), usable(cohort, answers)
    for row in cohort.log:
        code, mine, told = row["subjid"], doses[row["subjid"]], answers["subjects"][row["subjid"]]
        end = date.fromisoformat(answers["withdrew_consent"].get(code, "2030-01-01"))
        first = None
        if row["arm"] == "MSC":
            first = min((a for a, _ in mine["infusion"]), default=None)
        elif row["arm"]:
            entry = date.fromisoformat(row["randomisation_date"])
            conventional = [*mine["platelets"], *mine["red-cells"], *mine["treatment"]]
            first = min((max(a, entry) for a, b in conventional if b >= entry), default=None)
        assert told == {
            "arm": row["arm"],
            "TRTSDT": str(first) if first else None,
            "RFSTDTC": str(first) if first else row["randomisation_date"] or None,
            "hsct": str(min(a for a, _ in mine["graft"])) if mine["graft"] else None,
            "infusions": len([a for a, _ in mine["infusion"] if a <= end]),
            "platelets": len([a for a, _ in mine["platelets"] if a <= end]),
            "red_cells": len([a for a, _ in mine["red-cells"] if a <= end]),
            "observations": len(results[code]),
        }, code


def test_answers_agree_with_an_independent_reading(cohort: Read, truth: dict[str, Any]) -> None:
    assert set(truth) == set(KNOWN_ANSWERS)
    assert_truth(cohort, truth)
    told = truth["subjects"]
    never = told[truth["never_treated"]]
    log = {row["subjid"]: row for row in cohort.log}
    assert never["TRTSDT"] is None
    assert never["RFSTDTC"] == log[truth["never_treated"]]["randomisation_date"]
    assert told[truth["course_under_way"]]["TRTSDT"] == log[truth["course_under_way"]]["randomisation_date"]
    ordered = [r for r in cohort.by_type["MedicationRequest"] if cohort.of(r) == truth["request_first"]]
    assert str(site_day(ordered[0]["authoredOn"])) < told[truth["request_first"]]["TRTSDT"]
    assert Counter(v["infusions"] for v in told.values() if v["arm"] == "MSC")[4] >= 24


def test_planted_faults_are_where_the_answers_say(cohort: Read, truth: dict[str, Any]) -> None:
    by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name in ("Observation", "MedicationAdministration"):
        for r in cohort.by_type[name]:
            by_id[r["id"]].append(r)
    statuses = {
        "entered_in_error_infusions": {"entered-in-error"},
        "not_done_infusions": {"not-done"},
        "stopped_infusions": {"stopped"},
        "entered_in_error_observations": {"entered-in-error"},
        "cancelled_observations": {"cancelled"},
        "preliminary_only": {"preliminary"},
        "preliminary_to_final": {"preliminary", "final"},
        "corrected": {"final", "corrected"},
        "replayed": {"final"},
    }
    for name, expected in statuses.items():
        assert truth[name], name
        for one in truth[name]:
            assert {r["status"] for r in by_id[one]} == expected, name
    for status in ("entered-in-error", "not-done", "stopped"):
        ids = {r["id"] for r in cohort.by_type["MedicationAdministration"] if r["status"] == status}
        assert ids == set(truth[status.replace("-", "_") + "_infusions"])
    assert all("statusReason" in by_id[i][0] and "dosage" not in by_id[i][0] for i in truth["not_done_infusions"])
    for one, value in truth["corrected"].items():
        values = {r["meta"]["versionId"]: r["valueQuantity"]["value"] for r in by_id[one]}
        assert values["2"] == float(value) != values["1"]
    lines = Counter(line for p in plain_files(cohort.folder, truth) for line in p.read_bytes().splitlines())
    assert sum(n - 1 for n in lines.values()) == truth["duplicate_lines"]
    truncated = [b for b in truth["bad_lines"] if b["reason"] == "truncated"]
    assert {(b["file"], b["line"]) for b in truth["bad_lines"]} == {(f, n) for f, n, _ in cohort.bad}
    assert [(f, n) for f, n, why in cohort.bad if why == "not JSON"] == [(b["file"], b["line"]) for b in truncated]
    assert not (cohort.folder / "fhir" / truncated[0]["file"]).read_bytes().endswith(b"\n")
    outside = {"Patient/" + p for p in truth["non_subjects"]}
    owned = [r for rs in cohort.by_type.values() for r in rs]
    owners = [r.get("subject", {}).get("reference") or f"{r['resourceType']}/{r['id']}" for r in owned]
    assert sum(o in outside for o in owners) == truth["non_subject_lines"]


def test_dates_are_consistent_and_nothing_follows_death(cohort: Read, truth: dict[str, Any]) -> None:
    doses = given(cohort)
    for row in cohort.log:
        mine, told = doses[row["subjid"]], truth["subjects"][row["subjid"]]
        order = [max((b for _, b in mine["conditioning"]), default=None), told["hsct"], row["pgf_date"]]
        order += [row["consent_date"], row["screening_date"], row["randomisation_date"], told["TRTSDT"]]
        dates = [str(d) for d in order if d]
        assert dates == sorted(dates), row
        assert not told["hsct"] or len({str(d) for d in order[:3]}) == 3  # strictly before one another
    last = {s: d for s, d in truth["deaths"].items() if d}
    checked = 0
    for name in set(cohort.by_type) - {"Patient", "Observation"}:
        for r in cohort.by_type[name]:
            died = last.get(cohort.of(r))
            if died:
                checked += 1
                facts = {k: v for k, v in r.items() if k not in ("meta", "issued", "contained", "identifier")}
                for text in re.findall(r'"(\d{4}-\d\d-\d\d[^"]*)"', json.dumps(facts)):
                    assert str(site_day(text)) < died, r
    for o in cohort.by_type["Observation"]:
        died = last.get(cohort.of(o))
        day = str(site_day(o["effectiveDateTime"]))
        told_of_death = o["code"]["coding"][0]["code"] == "69453-9"  # its cause is told on the day
        assert not died or (day == died if told_of_death else day < died)
    assert checked > 500
    cut = truth["data_cut"]
    assert all(str(b) <= cut for s, kinds in doses.items() if s for spans in kinds.values() for _, b in spans)


def in_si(o: dict[str, Any]) -> float:
    """Value in 10*9/L or g/L, by a table of the units the demo uses, written here by hand."""
    q = o["valueQuantity"]
    factor = {"/uL": 0.001, "g/dL": 10.0, "mmol/L": 16.114}.get(q["unit"], 1.0)
    return float(q["value"]) * factor


def test_courses_are_believable(cohort: Read, truth: dict[str, Any]) -> None:
    limits = {"777-3": (1, 260), "718-7": (44, 180), "59260-0": (44, 180), "751-8": (0, 12), "6690-2": (0.02, 25)}
    series: dict[str, dict[str, dict[date, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for subject, results in usable(cohort, truth).items():
        if not subject:
            continue
        for o in results:
            loinc = o["code"]["coding"][0]["code"]
            if loinc in limits and o["id"] not in truth["future"]:
                x = in_si(o)
                assert limits[loinc][0] <= x <= limits[loinc][1], o
                series[subject][loinc][site_day(o["effectiveDateTime"])].append(x)
    risen, entered = 0, 0
    for subject, told in truth["subjects"].items():
        anc = series[subject].get("751-8")
        if not anc or not told["RFSTDTC"]:
            continue
        start = date.fromisoformat(told["RFSTDTC"])
        before = [x for d, xs in anc.items() if timedelta(-3) <= d - start < timedelta(0) for x in xs]
        entered += bool(before) and max(before) < 0.5  # PGF at entry
        daily = [min(anc[d]) for k in range(40, 56) if (d := start + timedelta(k)) in anc]
        risen += len(daily) > 10 and min(daily) > 0.5
    assert entered >= 40
    assert 18 <= risen <= 40


def test_protocol_doses_and_lots(cohort: Read, truth: dict[str, Any]) -> None:
    off = {truth["safety"][t] for t in ("under-dose", "overdose")}
    infused = [r for r in cohort.by_type["MedicationAdministration"] if infusion(r) and r["status"] == "completed"]
    ways = Counter((r["dosage"]["dose"]["unit"], "medicationReference" in r, "contained" in r) for r in infused)
    assert {unit for unit, _, _ in ways} == {"10*6/kg", "10*6", "cells"}
    assert {("cells", True, True), ("10*6", True, False), ("10*6/kg", False, False)} <= set(ways)
    for r in infused:
        dose = r["dosage"]["dose"]
        per_kg = (0.8, 1.15) if cohort.of(r) in off else (0.97, 1.03)
        low, high = {"10*6/kg": per_kg, "10*6": (35, 105), "cells": (35e6, 105e6)}[dose["unit"]]
        assert low <= dose["value"] <= high
        assert MSC_LOT.search(json.dumps(r))
        start, end = (datetime.fromisoformat(r["effectivePeriod"][k]) for k in ("start", "end"))
        assert timedelta(minutes=30) <= end - start <= timedelta(minutes=50)
    kinds = Counter(kind_of(r) for r in cohort.by_type["MedicationAdministration"])
    assert min(kinds[k] for k in ("conditioning", "treatment", "platelets", "red-cells")) > 100
    named = [r.get("medicationCodeableConcept") for r in cohort.by_type["MedicationAdministration"]]
    assert any(c and "coding" not in c for c in named)  # Chinese text only
    bags = [r for r in cohort.by_type["Procedure"] if kind_of(r) in ("platelets", "red-cells")]
    assert any(len(set(span(r))) == 2 for r in bags)  # over midnight

"""fhir2cdisc signals on a package of the demo: what is planted is found, nothing else, each with its source records."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from adapter import build, cli
from adapter.progress import aligned
from adapter.result import Result
from adapter.signals import LABORATORY, signals_of
from tests.conftest import Cohort
from tests.e2e.test_second_trial import hospital, mini

REPO = Path(__file__).parents[2]
DEATH_WINDOW = 14
EVENT = "http://terminology.hl7.org/CodeSystem/adverse-event-"


class Asked(NamedTuple):
    code: int
    answer: dict[str, Any]

    def of(self, kind: str) -> set[tuple[str, ...]]:
        found = [s for s in self.answer["signals"] if s["kind"] == kind]
        return {(s["usubjid"], s["dataset"], s["date"][:10], s["what"], s["rule"], str(s["sure"])) for s in found}


def ask(out: Path, capsys: pytest.CaptureFixture[str]) -> Asked:
    code = cli.main(["signals", str(out), "--json"])
    return Asked(code, json.loads(capsys.readouterr().out))


class Planted(NamedTuple):
    out: Path
    subject: str
    doses: list[datetime]


@pytest.fixture(scope="module")
def planted(demo10: Cohort, demo10_build: Result, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """The demo with one more file: a subject who was ventilated and had a related event of grade 4 and dexamethasone."""
    folder = tmp_path_factory.mktemp("signals")
    shutil.copytree(demo10.fhir, folder / "fhir")
    ex, dm = demo10_build.sdtm["EX"], demo10_build.sdtm["DM"]
    alive = set(dm.loc[dm["DTHFL"] == "", "USUBJID"])
    subject = next(u for u, g in ex.groupby("USUBJID", sort=True) if len(g) == 4 and u in alive)
    doses = [datetime.fromisoformat(t) for t in ex.loc[ex["USUBJID"] == subject, "EXSTDTC"]]
    with open(demo10.log, encoding="utf-8-sig") as f:
        who = next(r["patient"] for r in csv.DictReader(f) if str(subject).endswith(f"-{r['subjid']}"))
    mine, later = {"reference": f"Patient/{who}"}, doses[3]

    def at(hours: float) -> str:
        return (later + timedelta(hours=hours)).isoformat() + "+08:00"

    def concept(system: str, code: str, text: str = "") -> dict[str, Any]:
        return {"coding": [{"system": system, "code": code}], "text": text}

    meta = {"lastUpdated": at(240)}
    related = concept(EVENT + "causality-assess", "Certain")
    suspect = {"display": "脐带间充质干细胞注射液"}
    suspected = {"instance": suspect, "causality": [{"assessment": related}]}
    resources: list[dict[str, Any]] = [
        {
            "resourceType": "Condition",
            "id": "pl-c",
            "subject": mine,
            "onsetDateTime": at(72),
            "code": {"text": "过敏性休克"},
            "severity": {"text": "CTCAE 4级"},
            "recordedDate": at(72),
            "abatementDateTime": at(120),
        },
        {
            "resourceType": "AdverseEvent",
            "id": "pl-a",
            "actuality": "actual",
            "subject": mine,
            "date": at(72),
            "event": {"text": "过敏性休克"},
            "resultingCondition": [{"reference": "Condition/pl-c"}],
            "outcome": concept(EVENT + "outcome", "resolved"),
            "suspectEntity": [suspected],
            "seriousness": concept(EVENT + "seriousness", "SeriousIsLifeThreatening"),
        },
        {
            "resourceType": "Procedure",
            "id": "pl-p",
            "status": "completed",
            "subject": mine,
            "code": concept("http://snomed.info/sct", "40617009", "机械通气"),
            "performedDateTime": at(80),
            "reasonCode": [{"text": "急性呼吸衰竭"}],
        },
        {
            "resourceType": "MedicationAdministration",
            "id": "pl-m",
            "status": "completed",
            "subject": mine,
            "medicationCodeableConcept": concept("http://www.whocc.no/atc", "H02AB02", "地塞米松"),
            "effectiveDateTime": at(3),
            "dosage": {"dose": {"value": 5, "unit": "mg"}},
        },
    ]
    lines = [json.dumps(r | {"meta": meta}, ensure_ascii=False) for r in resources]
    (folder / "fhir" / "planted.ndjson").write_text("\n".join(lines) + "\n", "utf-8")
    out = folder / "out"
    build(folder / "fhir", out=out, enrolment=demo10.log, site=demo10.site, workers=1)
    return Planted(out, str(subject), doses)


def deaths_by_hand(result: Result) -> set[str]:
    """Return who died at most a fortnight after a dose, from EX and DM alone, days counted one by one."""
    ex, dm = result.sdtm["EX"], result.sdtm["DM"]
    found = set()
    for r in dm[(dm["DTHFL"] == "Y") & (dm["DTHDTC"] != "")].itertuples():
        days = [
            datetime.fromisoformat(t[:10]) for t in ex.loc[ex["USUBJID"] == r.USUBJID, "EXSTDTC"].astype(str).tolist()
        ]
        died = datetime.fromisoformat(str(r.DTHDTC)[:10])
        if any(0 <= (died - d).days <= DEATH_WINDOW for d in days):
            found.add(str(r.USUBJID))
    return found


def test_of_the_demo_only_deaths_soon_after_a_dose_suspend(
    demo10_build: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ask(demo10_build.out, capsys)
    expected = deaths_by_hand(demo10_build)
    assert {s[0] for s in asked.of("SUSPENSION")} == expected
    assert {s[4] for s in asked.of("SUSPENSION")} <= {"death"}
    assert asked.answer["suspended"] == bool(expected)
    assert asked.code == (4 if expected else 0)
    assert asked.of("DOSE MODIFICATION") == set()
    assert asked.answer["not_looked_at"] == []


def test_what_is_planted_is_found_and_nothing_else(
    demo10_build: Result, planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = ask(demo10_build.out, capsys), ask(planted.out, capsys)
    assert after.code == 4
    who = planted.subject
    last = planted.doses[3]
    three, four = (f"{last + timedelta(hours=h):%Y-%m-%d}" for h in (72, 80))
    event = (who, "AE", three, "过敏性休克, grade 4, related", "grade 4 or higher", "True")
    assert after.of("SUSPENSION") - before.of("SUSPENSION") == {
        event,
        (who, "PR", four, "MECHANICAL VENTILATION for 急性呼吸衰竭", "ventilation", "True"),
    }
    assert after.of("DOSE MODIFICATION") == {(*event[:4], "grade 3 or higher", "True")}
    given = (who, "CM", f"{last + timedelta(hours=3):%Y-%m-%d}", "DEXAMETHASONE", "dexamethasone", "True")
    assert after.of("INFUSION REACTION") - before.of("INFUSION REACTION") == {given}
    assert after.of("UNRESOLVED EVENT") == before.of("UNRESOLVED EVENT")
    assert after.of("LABORATORY CANDIDATE") == before.of("LABORATORY CANDIDATE")


def test_each_finding_names_its_record_and_the_lines_behind_it(
    planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ask(planted.out, capsys).answer["signals"]
    shock = next(s for s in found if s["kind"] == "SUSPENSION" and s["dataset"] == "AE")
    trace = pd.read_parquet(planted.out / "trace/ae.parquet")
    mine = trace[(trace["USUBJID"] == planted.subject) & (trace["SEQ"] == shock["seq"])]
    own = [s for s in shock["sources"] if s["dataset"] == "AE"]
    assert {s["keyed_id"] for s in own} <= set(mine["KEYED_ID"])
    assert {(s["resource"], s["file"].split("/")[-1], s["line"]) for s in own} == {
        ("AdverseEvent", "planted.ndjson", 2),
        ("Condition", "planted.ndjson", 1),
    }
    assert shock["dose_seq"] == 4
    assert [s["resource"] for s in shock["sources"] if s["dataset"] == "EX"] == ["MedicationAdministration"]
    assert all(s["sources"] for s in found)


def test_infusion_reactions_of_the_demo_are_within_a_day(
    demo10_build: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo's fever comes on the afternoon of the second infusion."""
    ae, ex = demo10_build.sdtm["AE"], demo10_build.sdtm["EX"]
    expected = set()
    for r in ae[ae["AESTDTC"].str.len() > 10].itertuples():
        at = datetime.fromisoformat(str(r.AESTDTC))
        for d in ex[ex["USUBJID"] == r.USUBJID].itertuples():
            start, end = (datetime.fromisoformat(str(t)) for t in (d.EXSTDTC, d.EXENDTC or d.EXSTDTC))
            if start <= at <= end + timedelta(hours=24):
                expected.add((str(r.USUBJID), str(r.AESTDTC)[:10]))
    found = ask(demo10_build.out, capsys).of("INFUSION REACTION")
    assert expected
    assert {(s[0], s[2]) for s in found} == expected


def test_the_table_and_the_csv_say_the_same_as_the_json(planted: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(planted.out, capsys).answer["signals"]
    assert cli.main(["signals", str(planted.out), "--csv"]) == 4
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == sum(max(1, len(s["sources"])) for s in found)
    assert {(r["kind"], r["usubjid"], r["seq"]) for r in rows} == {
        (s["kind"], s["usubjid"], str(s["seq"] or "")) for s in found
    }
    assert cli.main(["signals", str(planted.out)]) == 4
    text = capsys.readouterr().out
    n = sum(s["kind"] == "SUSPENSION" for s in found)
    assert f"Suspension signals: {n}\n" in text
    assert "Dose-modification signals: 1\n" in text


def test_the_first_lines_name_whose_treatment_to_suspend(
    planted: Planted, demo10_build: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["signals", str(planted.out)])
    study, alarm, *_ = capsys.readouterr().out.splitlines()
    assert study.startswith("Study PGFMSC, data cut 20")
    whose = sorted({planted.subject} | deaths_by_hand(demo10_build))
    assert alarm == f"SUSPENSION SIGNAL: {', '.join(whose)}"


def test_a_line_tells_who_what_when_how_long_after_which_dose_and_from_which_line(
    planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["signals", str(planted.out)])
    lines = [
        re.sub(" {2,}", "  ", line) for line in capsys.readouterr().out.splitlines()
    ]  # columns are two blanks apart
    last = planted.doses[3]
    dose, three, four, given = (f"{last + timedelta(hours=h):%Y-%m-%dT%H:%M}" for h in (0, 72, 80, 3))
    days = {h: (last + timedelta(hours=h)).date() - last.date() for h in (72, 80)}
    shock = f"{planted.subject}  MSC  {three}  过敏性休克, grade 4, related  {days[72].days} d, EX 4 of {dose}  "
    shock = next(line for line in lines if shock in line and "grade 4 or higher" in line)
    assert shock.endswith("AdverseEvent fhir/planted.ndjson:2 and 1 more")
    ventilated = next(line for line in lines if "MECHANICAL VENTILATION for 急性呼吸衰竭" in line)
    assert four in ventilated
    assert f"{days[80].days} d, EX 4 of {dose}" in ventilated
    assert ventilated.endswith("Procedure fhir/planted.ndjson:3")
    drug = next(line for line in lines if "DEXAMETHASONE" in line)
    assert f"{given}  DEXAMETHASONE" in drug
    assert f"3.0 h, EX 4 of {dose}" in drug


def test_columns_line_up_on_a_terminal_where_chinese_takes_two_columns() -> None:
    rows = [("发热", "5.5 h"), ("Fever, grade 2", "6 d"), ("ｆ", "1 d")]
    assert aligned(rows) == ["发热            5.5 h", "Fever, grade 2  6 d", "ｆ              1 d"]


def test_each_table_states_the_rule_of_the_trial(planted: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["signals", str(planted.out)])
    told = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  Rule: ")]
    assert told == [
        "Rule: within 14 days after a dose: ventilation for respiratory failure or 呼吸衰竭, "
        "a related event of grade 4 or higher, death",
        "Rule: a related event of grade 3 or higher",
        "Rule: within 24 hours after a dose: an event, dexamethasone given, antihistamine given",
        "Rule: no end, and no outcome that ends it",
        "Rule: the worst grade (CTCAE 5.0) after first treatment, of at least 1 and above baseline",
    ]


@pytest.mark.parametrize("way", [(), ("--json",), ("--csv",)])
def test_no_name_or_number_of_a_patient_is_told(
    way: tuple[str, ...], demo10: Cohort, planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["signals", str(planted.out), *way])
    text = capsys.readouterr().out
    secrets = set()
    for path in demo10.fhir.glob("Patient-*.ndjson"):
        for line in path.read_text("utf-8").splitlines():
            r = json.loads(line)
            secrets |= {r["id"], r["birthDate"], *(n["text"] for n in r.get("name", ()))}
            secrets |= {i["value"] for i in r.get("identifier", ())}
    assert len(secrets) > 30
    assert [s for s in secrets if s in text] == []


def test_without_a_suspension_signal_the_exit_code_is_0(
    demo10: Cohort, demo10_build: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo without those who died soon after a dose: their lines of the log are taken away."""
    dead = {u[-3:] for u in deaths_by_hand(demo10_build)}
    with open(demo10.log, encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    with open(tmp_path / "log.csv", "w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(r for r in rows if r["subjid"] not in dead)
    few = tmp_path / "fhir"
    few.mkdir()
    for kind in ("Patient", "MedicationAdministration", "AdverseEvent", "Condition", "Procedure", "Medication"):
        for path in demo10.fhir.glob(f"{kind}*"):
            shutil.copy(path, few)
    build(few, out=tmp_path / "out", enrolment=tmp_path / "log.csv", site=demo10.site, workers=1)
    assert cli.main(["signals", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "No suspension signal."


def damaged(how: str, out: Path) -> str:
    """Damage a package in one way; return what the refusal must say."""
    ae, manifest = out / "sdtm/ae.xpt", out / "manifest.json"
    told = json.loads(manifest.read_bytes())
    if how == "a dataset is gone":
        ae.unlink()
        return "not as the build left it: sdtm/ae.xpt is missing"
    if how == "a dataset is half there":
        ae.write_bytes(ae.read_bytes()[:2000])
        return "not as the build left it: sdtm/ae.xpt is 2000 bytes long, not"
    if how == "its trace is gone":
        (out / "trace/ae.parquet").unlink()
        return "not as the build left it: trace/ae.parquet is missing"
    if how == "the manifest is cut":
        manifest.write_bytes(manifest.read_bytes()[:500])
        return "is no manifest of a build"
    if how == "the manifest lists nothing":
        manifest.write_text(json.dumps({"trial": told["trial"]}))
        return "is no manifest of a build"
    manifest.unlink()
    return "is no finished build: it has no manifest.json"


@pytest.mark.parametrize(
    "how",
    [
        "a dataset is gone",
        "a dataset is half there",
        "its trace is gone",
        "the manifest is cut",
        "the manifest lists nothing",
        "the manifest is gone",
    ],
)
def test_a_package_that_is_not_whole_is_refused_not_silent(
    how: str, demo10_build: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(demo10_build.out, out)
    told = damaged(how, out)
    assert cli.main(["signals", str(out)]) == 2
    answer = capsys.readouterr()
    assert told in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""


def test_analysis_datasets_are_not_needed(
    demo10_build: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package of tabulation datasets only has the same signals of events, procedures and deaths; so has one without ADAE."""
    out = tmp_path / "out"
    shutil.copytree(demo10_build.out, out)
    shutil.rmtree(out / "adam")
    manifest = json.loads((out / "manifest.json").read_bytes())
    manifest["outputs"] = [o for o in manifest["outputs"] if not o["file"].startswith("adam/")]
    manifest["records"] = {n: c for n, c in manifest["records"].items() if not n.startswith("AD")}
    (out / "manifest.json").write_text(json.dumps(manifest))
    bare, whole = ask(out, capsys), ask(demo10_build.out, capsys)
    assert bare.code == whole.code
    for kind in ("SUSPENSION", "DOSE MODIFICATION", "INFUSION REACTION", "UNRESOLVED EVENT"):
        assert bare.of(kind) == whole.of(kind)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other/out"
    shutil.copytree(demo10_build.out, other)
    (other / "adam/adae.xpt").unlink()
    assert ask(other, capsys).of("SUSPENSION") == whole.of("SUSPENSION")


def test_what_was_not_built_is_named_and_what_has_no_record_too(
    demo10_build: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(demo10_build.out, out)
    manifest = json.loads((out / "manifest.json").read_bytes())
    gone = ("sdtm/ae.xpt", "trace/ae.parquet", "sdtm/cm.xpt", "trace/cm.parquet")
    manifest["outputs"] = [o for o in manifest["outputs"] if o["file"] not in gone]
    manifest["records"]["AE"] = 0
    del manifest["records"]["CM"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    for name in gone:
        (out / name).unlink()
    asked = ask(out, capsys)
    assert asked.answer["not_looked_at"] == ["CM is not in the package: no drugs given against reactions"]
    assert asked.answer["no_records"] == ["AE has no records: no adverse events"]
    assert asked.of("UNRESOLVED EVENT") == set()
    assert asked.of("LABORATORY CANDIDATE")
    cli.main(["signals", str(out)])
    lines = capsys.readouterr().out.splitlines()
    assert "NOT LOOKED AT: CM is not in the package: no drugs given against reactions" in lines
    assert "AE has no records: no adverse events" in lines


def vienna(folder: Path, died: str = "", seen: bool = True) -> tuple[Path, Path]:
    """Build the hospital of the second trial, where Anna may die; return OUT and the trial.

    seen: with her results of 10 and 11 April, which show that she was alive.
    """
    place, trial = hospital(folder / "hospital"), mini(folder / "mini")
    patients = place / "fhir/Patient.ndjson"
    people = [json.loads(line) for line in patients.read_text("utf-8").splitlines()]
    people[0] |= {"deceasedDateTime": died} if died else {}
    patients.write_text("".join(json.dumps(r) + "\n" for r in people), "utf-8")
    results = place / "fhir/Observation.ndjson"
    kept = [
        line
        for line in results.read_text("utf-8").splitlines()
        if seen or '"effectiveDateTime": "2024-04-1' not in line
    ]
    results.write_text("".join(f"{line}\n" for line in kept), "utf-8")
    build(
        place / "fhir", out=folder / "out", enrolment=place / "log.csv", trial=trial, site=place / "site",
        cutoff="2024-05-31", workers=1,
    )  # fmt: skip
    return folder / "out", trial


def test_a_trial_without_events_says_what_there_was_no_record_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, trial = vienna(tmp_path)
    assert cli.main(["signals", str(out), "--trial", str(trial)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "Study MINI01, data cut 2024-05-31",
        "No suspension signal.",
        "AE has no records: no adverse events",
        "PR has no records: no procedures, such as ventilation",
    ]
    assert [line.strip() for line in lines if line.startswith("  Rule: ")] == [
        "Rule: within 7 days after a dose: a related event of grade 5 or higher, death",
        "Rule: a related event of grade 2 or higher",
        "Rule: within 6 hours after a dose: an event",
        "Rule: no end, and no outcome that ends it",
        "Rule: the worst grade (CTCAE 5.0) after first treatment, of at least 2 and above baseline",
    ]


@pytest.mark.parametrize(
    ("died", "seen", "code"),
    [
        ("2024-04-08", False, 4),  # seven days after the second dose, given at half past midnight of 1 April in Vienna
        pytest.param("2024-04-09", False, 0, marks=pytest.mark.long),
        ("2024-04-08T22:30:00Z", False, 0),  # the ninth in Vienna
        ("2024-04", False, 4),  # may have been within the seven days
        pytest.param("2024-04", True, 0, marks=pytest.mark.long),  # not before the eleventh
        pytest.param("2024-05", False, 0, marks=pytest.mark.long),
    ],
)
def test_the_second_trial_has_its_own_window_and_zone(
    died: str, seen: bool, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, trial = vienna(tmp_path, died, seen)
    assert cli.main(["signals", str(out), "--trial", str(trial), "--json"]) == code
    found = [s for s in json.loads(capsys.readouterr().out)["signals"] if s["kind"] == "SUSPENSION"]
    expected = [("MINI01-W1-101", "death", 2, 7 if len(died) == 10 else None, len(died) == 10)] if code else []
    assert [(s["usubjid"], s["rule"], s["dose_seq"], s["days_since_dose"], s["sure"]) for s in found] == expected
    assert cli.main(["signals", str(out), "--trial", str(trial)]) == code
    alarm = capsys.readouterr().out.splitlines()[1]
    open_ = "" if len(died) == 10 else " (?)"
    assert alarm == (f"SUSPENSION SIGNAL: MINI01-W1-101{open_}" if code else "No suspension signal.")


@pytest.mark.parametrize("command", ["signals", "analyse"])
def test_a_folder_that_is_no_package_is_refused(
    command: str, demo10_build: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, str(tmp_path)]) == 2
    assert "is no finished build: it has no manifest.json" in capsys.readouterr().err
    assert cli.main([command, str(tmp_path / "nowhere")]) == 2
    assert "is no finished build" in capsys.readouterr().err
    (tmp_path / "manifest.json").write_text("[]")
    assert cli.main([command, str(tmp_path)]) == 2
    assert "is no manifest of a build" in capsys.readouterr().err
    other = Path(__file__).parents[1] / "trials/mini"
    assert cli.main([command, str(demo10_build.out), "--trial", str(other)]) == 2
    assert "name its trial: --trial" in capsys.readouterr().err


def test_json_and_csv_at_once_are_refused(demo10_build: Result, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["signals", str(demo10_build.out), "--json", "--csv"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_scipy_is_loaded_by_analyse_alone(demo10_build: Result) -> None:
    code = (
        "import sys; from adapter import cli; "
        f"cli.main(['signals', {str(demo10_build.out)!r}, '--json']); "
        "sys.exit(int('scipy' in sys.modules or 'statsmodels' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=REPO).returncode == 0


def test_laboratory_candidates_are_the_grades_of_adlb(demo10_build: Result) -> None:
    """Signals grade LB themselves; per subject, parameter and direction it is the first worst record after first treatment
    whose grade in ADLB is above that of its baseline."""
    adlb = demo10_build.adam["ADLB"].sort_values(["USUBJID", "PARAMCD", "ADT", "LBSEQ"])
    start = demo10_build.adam["ADSL"].set_index("USUBJID")["RFSTDT"].to_dict()
    expected = set()
    for direction in "LH":
        worst: dict[tuple[str, str], tuple[int, int]] = {}
        for r in adlb.to_dict("records"):
            grade, base = r[f"ATOXGR{direction}"], r[f"BTOXGR{direction}"]
            after = pd.notna(r["CHG"]) or (r["ADT"] >= start[r["USUBJID"]] and r["ABLFL"] != "Y")
            if grade not in ("1", "2", "3", "4", "5") or not after or (base and int(grade) <= int(base)):
                continue
            key = (r["USUBJID"], r["PARAMCD"])
            if key not in worst or int(grade) > worst[key][0]:
                worst[key] = (int(grade), int(r["LBSEQ"]))
        expected |= {(who, direction, seq) for (who, _), (_, seq) in worst.items()}
    found = [s for s in signals_of(demo10_build.out, "pgf_msc").found if s.kind == LABORATORY]
    assert {(s.usubjid, "H" if " high, " in s.what else "L", s.seq) for s in found} == expected
    assert len(expected) > 5

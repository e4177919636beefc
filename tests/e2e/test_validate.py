"""`validate`, `rules` and `build --validate` as people meet them: exit codes, messages, reports, the demo package."""

from __future__ import annotations

import csv
import json
from importlib.resources import files
from pathlib import Path

import pytest

from adapter import build
from adapter.cli import main
from adapter.result import Result
from tests.conftest import Cohort
from tests.unit.test_check_readers import write_json, write_xpt
from tests.unit.test_check_rules import text_of

REPO = Path(__file__).parents[2]
SHARED = REPO / ".." / "shared" / "data"
EXPLAINED = REPO / "docs" / "demo-findings.csv"

needs_data = pytest.mark.skipif(not (SHARED / "cdisc").is_dir(), reason="the shared data are not beside this folder")


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    code = main([str(a) for a in args])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Two datasets; AE has three records."""
    folder = tmp_path / "package"
    folder.mkdir()
    write_xpt(folder / "ae.xpt")
    (folder / "dm.csv").write_text("STUDYID,DOMAIN,USUBJID\nS1,DM,S1-001\nS1,DM,S1-002\n")
    return folder


def rules(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "rule.yml").write_text(text.replace("X-1", name))
    return folder


CLEAN = text_of("{name: AETERM, operator: equal_to, value: NOTHING}", domains="AE")
HIT = text_of("{name: AETERM, operator: empty}", domains="AE")
BROKEN = text_of("{name: AETERM, operator: is_odd}", domains="AE")


@pytest.mark.parametrize(
    ("texts", "code"), [({"R1": CLEAN}, 0), ({"R1": CLEAN, "R2": HIT}, 1), ({"R1": CLEAN, "R2": BROKEN}, 1)]
)
def test_the_exit_code_tells_findings_and_failures(
    texts: dict[str, str], code: int, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, _ = run(capsys, "validate", package, "--rules", rules(tmp_path / "rules", **texts), "--only-rules")
    assert found == code
    assert "2 datasets, 5 records" in out


def test_all_reports_are_written(package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {o: tmp_path / f"r.{o}" for o in ("json", "html", "xlsx", "sarif")}
    options = [x for o, p in names.items() for x in (f"--{o}", p)]
    code, _, err = run(capsys, "validate", package, *options)
    assert code == 1  # TS and define.xml are missing
    assert all(p.stat().st_size > 1000 for p in names.values())
    assert all(str(p) in err for p in names.values())
    report = json.loads(names["json"].read_text("utf-8"))
    assert {i["core_id"] for i in report["Issue_Summary"]} >= {"F2C-0101", "F2C-0105"}
    again, out, _ = run(capsys, "validate", package, "--compare", names["json"])
    assert again == 1
    assert "0 only here, 0 only there" in out


BAD_ARGUMENTS = [
    (
        ["--standard", "sdtmig", "--standard-version", "9.9"],
        "unknown standard 'sdtmig 9.9'; known are: adamig 1.3, sdtmig 3.4",
    ),
    (["--standard", "send"], "unknown standard"),
    (["--ct", "sdtm_1999-01-01"], "unknown package of controlled terminology"),
    (["--rules", "nowhere"], "nowhere: no such folder of rules"),
    (["--only-rules"], "needs --rules"),
    (["--rule", "F2C-010"], "unknown rule 'F2C-010'"),
    (["--define", "nowhere.xml"], "nowhere.xml: no such file"),
    (["--compare", "nowhere.json"], "cannot read nowhere.json"),
    (["--json", "/nowhere/r.json"], "cannot write /nowhere/r.json"),
]


@pytest.mark.parametrize(("options", "message"), BAD_ARGUMENTS, ids=[" ".join(o) for o, _ in BAD_ARGUMENTS])
def test_bad_arguments_are_told(
    options: list[str], message: str, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "validate", package, *options)
    assert code == 2
    assert message in err


def test_a_folder_without_datasets_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "validate", tmp_path)
    assert code == 2
    assert "holds no dataset" in err


def test_an_unreadable_dataset_is_a_finding_and_the_others_are_checked(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(package / "lb.json")
    (package / "lb.json").write_text((package / "lb.json").read_text()[:-9])
    folder = rules(tmp_path / "rules", R1=CLEAN)
    code, out, _ = run(capsys, "validate", package, "--rules", folder, "--only-rules")
    assert code == 1
    assert "lb.json: is no Dataset-JSON" in out
    code, out, _ = run(capsys, "validate", package, "--rule", "F2C-0001")
    assert code == 1
    assert "F2C-0001" in out
    for name in ("ae.xpt", "dm.csv"):
        (package / name).unlink()
    assert run(capsys, "validate", package)[0] == 2  # nothing could be checked


def test_a_define_that_lies_is_found(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (package / "define.xml").write_text(
        '<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3"><Study><MetaDataVersion><ItemGroupDef OID="G" Name="AE"><ItemRef '
        'ItemOID="I" Mandatory="Yes"/><ItemRef ItemOID="NONE"/></ItemGroupDef><ItemGroupDef OID="H" Name="VS"/><ItemDef OID="I" '
        'Name="AETERM" DataType="integer"/></MetaDataVersion></Study></ODM>'
    )
    _, out, _ = run(capsys, "validate", package)
    assert {r for r in ("F2C-0301", "F2C-0302", "F2C-0303", "F2C-0306", "F2C-0310", "F2C-0311") if r in out} == {
        "F2C-0301", "F2C-0302", "F2C-0303", "F2C-0306", "F2C-0310", "F2C-0311"
    }  # fmt: skip


def test_a_dataset_without_subjects_is_found(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (package / "cm.csv").write_text("STUDYID,DOMAIN,CMSEQ,CMTRT\nS1,CM,1,ASPIRIN\n")
    _, out, _ = run(capsys, "validate", package, "--rule", "F2C-0506")
    assert "F2C-0506" in out


def test_rules_are_tested_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = REPO / "schemas" / "rules"
    code, out, _ = run(capsys, "rules", "test", own, "--rule", "F2C-0601")
    assert (code, out.strip()) == (0, "1 of 1 rules right, 2 of 2 cases right")
    folder = rules(tmp_path / "rules", R1=HIT)
    data = folder / "R1" / "negative" / "01"
    (data / "data").mkdir(parents=True)
    (data / "results").mkdir()
    (data / "data" / "ae.csv").write_text("DOMAIN,AETERM\nAE,\nAE,x\n")
    (data / "results" / "results.csv").write_text("Dataset,Record,Variable,Value\nAE,2,AETERM,\n")
    code, out, _ = run(capsys, "rules", "test", folder)
    assert code == 1
    assert "not found: AE record 2 AETERM" in out
    assert "found, and not expected: AE record 1 AETERM" in out
    code, out, _ = run(capsys, "rules", "list")
    assert code == 0
    assert "F2C-0101" in out
    assert "is_not_unique_relationship" in out
    code, out, _ = run(capsys, "rules", "list", rules(tmp_path / "more", R2=BROKEN))
    assert "unknown operator 'is_odd'" in out


@needs_data
@pytest.mark.parametrize("name", ["sdtm-xpt", "sdtm-json", "adam-json"])
def test_published_packages_are_validated_without_an_engine_error(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--rules", SHARED / "open-rules", "--json", tmp_path / "r.json"]
    code, _, _ = run(capsys, "validate", SHARED / "cdisc" / name, *options)
    assert code == 1
    report = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert [r for r in report["Rules_Report"] if r["status"] == "EXECUTION ERROR"] == []
    assert len(report["Rules_Report"]) > 330
    assert report["File_Problems"] == []


@pytest.fixture(scope="module")
def validated(demo10: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Result:
    out = tmp_path_factory.mktemp("validated") / "out"
    return build(demo10.fhir, out=out, enrolment=demo10.log, site=demo10.site, workers=1, validate=True)


def test_the_demo_package_has_no_error_and_every_other_finding_is_explained(validated: Result) -> None:
    report = json.loads((validated.out / "validation.json").read_text("utf-8"))
    assert {i["severity"] for i in report["Issue_Summary"]} <= {"warning", "notice"}
    assert [r for r in report["Rules_Report"] if r["status"] == "EXECUTION ERROR"] == []
    assert {(i["core_id"], i["dataset"]) for i in report["Issue_Summary"]} == explained(analysis=False)


def explained(analysis: bool) -> set[tuple[str, str]]:
    """Return rule and dataset of the findings that docs/demo-findings.csv explains, of tabulation or analysis datasets."""
    with open(EXPLAINED, encoding="utf-8", newline="") as f:
        rows = [(r["rule"], r["dataset"]) for r in csv.DictReader(f) if r["explanation"]]
    return {(rule, name) for rule, name in rows if name.startswith("AD") == analysis}


def test_the_demo_s_analysis_datasets_have_no_error_and_every_finding_is_explained(validated: Result) -> None:
    report = json.loads((validated.out / "validation-adam.json").read_text("utf-8"))
    assert {i["severity"] for i in report["Issue_Summary"]} == {"warning"}
    assert [r for r in report["Rules_Report"] if r["status"] == "EXECUTION ERROR"] == []
    assert {(i["core_id"], i["dataset"]) for i in report["Issue_Summary"]} == explained(analysis=True)


def test_a_build_that_finds_something_says_so(validated: Result) -> None:
    assert validated.exit_code == 5
    assert validated.counts["findings"]["reject"] == validated.counts["findings"]["error"] == 0
    assert validated.counts["findings"]["warning"] > 0
    assert str(validated.out / "sdtm") in (validated.out / "validation.html").read_text("utf-8")
    assert str(validated.out / "adam") in (validated.out / "validation-adam.html").read_text("utf-8")
    named = {o["file"] for o in validated.manifest["outputs"]}
    assert not [n for n in named if n.startswith("validation")]  # they tell the time, so no hash is promised


def test_a_build_without_the_option_is_not_validated(demo10_build: Result) -> None:
    assert not (demo10_build.out / "validation.json").exists()
    assert "findings" not in demo10_build.counts


def test_the_rules_ship() -> None:
    assert files("schemas").joinpath("rules", "F2C-0101", "rule.yml").is_file()

"""fhir2cdisc analyse on a package of the demo: tables against a count of our own, metadata against CDISC's schema."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import shutil
from collections import Counter
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import pyreadstat
import pytest
from lxml import etree, html

from adapter import build, cli
from adapter.result import Result
from tests import naive_statistics as naive
from tests.conftest import Cohort, hashes
from tests.define_checks import broken_references, unreferenced

MSC, CTRL = "UC-MSC + conventional PGF treatment", "Conventional PGF treatment"
SAS_TO_ISO = pd.Timestamp("1960-01-01")
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

ON_THEIR_WAY = ("RFSTDT", "DCUTDT", "DTHFL", "EOSSTT")
"""Variables of ADSL that say whose response is not known yet (A-12)."""
SPACES = {
    "odm": "http://www.cdisc.org/ns/odm/v1.3",
    "def": "http://www.cdisc.org/ns/def/v2.1",
    "arm": "http://www.cdisc.org/ns/arm/v1.0",
}


@pytest.fixture(scope="module")
def analysed(demo10_build: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("analysed") / "out"
    shutil.copytree(demo10_build.out, out)
    assert cli.main(["analyse", str(out)]) == 0
    return out


def results(out: Path) -> dict[tuple[str, str, str, str], dict[str, str]]:
    """Return (table, section, group, statistic) -> row of results.csv; labels are not part of the key."""
    with open(out / "analysis/results.csv", encoding="utf-8", newline="") as f:
        return {(r["table"], r["section"], r["group"], r["statistic"]): r for r in csv.DictReader(f)}


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    """Return a dataset as pyreadstat reads it, row by row."""
    frame, _ = pyreadstat.read_xport(out / "adam" / f"{name}.xpt")
    found: list[dict[str, Any]] = frame.to_dict("records")
    return found


def number(row: dict[str, str], what: str = "value") -> float:
    return float(row[what])


# --- the numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("population", ["FASFL", "PPROTFL"])
def test_primary_responses_by_hand(analysed: Path, population: str) -> None:
    told, table = results(analysed), f"response-primary-{population.lower()}"
    arm = {r["USUBJID"]: r["TRT01P"] for r in rows(analysed, "adsl") if r[population] == "Y"}
    for paramcd, responder in (("NEUT", {"Y"}), ("PLTRESP", {"CR", "PR"}), ("RBC", {"Y"})):
        mine = [r for r in rows(analysed, "adrs") if r["PARAMCD"] == paramcd and r["USUBJID"] in arm]
        mine = [r for r in mine if r["ANL01FL"] == "Y"]
        counts = {}
        for name in (MSC, CTRL):
            answers = [r["AVALC"] for r in mine if arm[r["USUBJID"]] == name]
            x, n = sum(a in responder for a in answers), len(answers)
            counts[name] = (x, n)
            assert number(told[table, paramcd, name, "subjects"]) == n
            assert number(told[table, paramcd, name, "responders"]) == x
            assert number(told[table, paramcd, name, "not evaluable"]) == answers.count("NE")
            rate = told[table, paramcd, name, "response rate"]
            assert number(rate) == pytest.approx(x / n)
            low, high = naive.clopper_pearson(x, n, Fraction(19, 20))
            assert (number(rate, "lower"), number(rate, "upper")) == pytest.approx((low, high), abs=1e-8)
        (x1, n1), (x2, n2) = counts[MSC], counts[CTRL]
        both = f"{MSC} vs {CTRL}"
        gap = told[table, paramcd, both, "difference of rates"]
        low, high = naive.newcombe(x1, n1, x2, n2, 1.959963984540054)
        assert (number(gap, "lower"), number(gap, "upper")) == pytest.approx((low, high), abs=1e-8)
        if 0 < x1 + x2 < n1 + n2:
            p = tuple(number(told[table, paramcd, both, f"p, {s}"]) for s in ("two-sided", "one-sided"))
            assert p == pytest.approx(naive.fisher(x1, n1, x2, n2), abs=1e-8)


def test_times_to_event_by_hand(analysed: Path) -> None:
    """Kaplan-Meier of survival, Aalen-Johansen of platelet recovery, and delayed entry, from ADSL and ADTTE alone."""
    told, table = results(analysed), "time-to-event-fasfl"
    subjects = {r["USUBJID"]: r for r in rows(analysed, "adsl") if r["FASFL"] == "Y"}
    seen = Counter[str]()
    for paramcd, delayed in (("OS", False), ("TTPLT20", False), ("TTNEUTH", True)):
        for name in (MSC, CTRL):
            group = []
            for r in rows(analysed, "adtte"):
                s = subjects.get(r["USUBJID"])
                if s and r["PARAMCD"] == paramcd and s["TRT01P"] == name:
                    entry = _days(s["RANDDT"]) - _days(r["STARTDT"]) if delayed else -1
                    status = {0: 1, 1: 0, 2: 2}[int(r["CNSR"])]
                    if not delayed or r["AVAL"] > entry:
                        group.append((int(r["AVAL"]), status, int(entry)))
            assert number(told[table, paramcd, name, "subjects"]) == len(group)
            assert number(told[table, paramcd, name, "events"]) == sum(s == 1 for _, s, _ in group)
            for day in (28, 56, 100, 180, 365):
                if paramcd == "OS":
                    row = told[table, paramcd, name, f"free of the event on day {day}"]
                    expected: float = float(naive.survival(group, day))
                else:
                    row = told[table, paramcd, name, f"cumulative incidence on day {day}"]
                    expected = naive.incidence(group, day, 1).real
                if row["value"]:
                    assert number(row) == pytest.approx(expected, abs=1e-8), (paramcd, name, day)
                    seen[paramcd] += 1
    assert all(seen[p] for p in ("OS", "TTPLT20", "TTNEUTH"))


def _days(value: Any) -> int:
    if isinstance(value, (int, float)):
        return int(value)
    return (pd.Timestamp(value) - SAS_TO_ISO).days


def test_populations_and_baseline_by_hand(analysed: Path) -> None:
    told = results(analysed)
    adsl = rows(analysed, "adsl")
    for flag in ("ITTFL", "FASFL", "SAFFL", "PPROTFL"):
        arm = "TRT01A" if flag == "SAFFL" else "TRT01P"
        for name in (MSC, CTRL):
            n = sum(r[flag] == "Y" and r[arm] == name for r in adsl)
            assert number(told["populations", flag, name, "subjects"]) == n
    for variable in ("AGE", "PLTBL"):
        values = [r[variable] for r in adsl if r["FASFL"] == "Y" and r["TRT01P"] == MSC and not math.isnan(r[variable])]
        assert number(told["baseline", variable, MSC, "mean"]) == pytest.approx(sum(values) / len(values))
        assert number(told["baseline", variable, MSC, "maximum"]) == max(values)


def test_sensitivity_analyses_that_the_protocol_makes_mandatory_are_there(analysed: Path) -> None:
    sections = {section for table, section, _, _ in results(analysed) if table == "response-sensitivity-fasfl"}
    assert sections == {
        *("PLTRESPS", "RBCS", "NEUTM", "RBCM", "PLTRESPM", "OVRLRSPM", "NEUTR", "PLTRESPR", "NEUTG"),
    }


def test_every_statistic_says_what_it_was_computed_from(analysed: Path) -> None:
    with open(analysed / "analysis/results.csv", encoding="utf-8", newline="") as f:
        found = list(csv.DictReader(f))
    assert len(found) > 500
    datasets = {p.stem.upper() for p in (analysed / "adam").glob("*.xpt")} | {"DV"}
    for r in found:
        assert r["dataset"] in datasets
        assert bool(r["value"]) != bool(r["why"])
        assert r["population"] or r["table"] == "populations"
    assert len({(r["table"], r["section"], r["label"], r["group"], r["statistic"]) for r in found}) == len(found)


def test_the_csv_of_a_table_and_the_page_show_the_rounded_numbers(analysed: Path) -> None:
    told = results(analysed)["response-primary-fasfl", "NEUT", MSC, "response rate"]
    shown = f"{number(told) * 100:.1f} % ({number(told, 'lower') * 100:.1f} to {number(told, 'upper') * 100:.1f})"
    with open(analysed / "analysis/response-primary-fasfl.csv", encoding="utf-8", newline="") as f:
        row = next(r for r in csv.DictReader(f) if (r["section"], r["statistic"]) == ("NEUT", "response rate"))
    assert row[f"{MSC} (N = {told['subjects']})"] == shown
    page = (analysed / "analysis/tables.html").read_text("utf-8")
    assert shown in page
    assert "<script" not in page
    assert "Data cut" in page or "data cut" in page


# --- the package -----------------------------------------------------------------------------------------------------


def test_tables_whose_dataset_is_missing_are_named_as_not_built(analysed: Path) -> None:
    page = (analysed / "analysis/tables.html").read_text("utf-8")
    there = {p.stem for p in (analysed / "adam").glob("*.xpt")}
    assert ("the package has no ADAE" in page) == ("adae" not in there)


def test_the_same_build_gives_the_same_bytes_and_an_earlier_analysis_is_not_replaced_unasked(
    demo10_build: Result, analysed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(demo10_build.out, out)
    what = ("analysis/*", "adam/*", "manifest.json", ".fhir2cdisc.json")
    assert cli.main(["analyse", str(out)]) == 0
    assert hashes(out, what) == hashes(analysed, what)
    capsys.readouterr()
    assert cli.main(["analyse", str(out)]) == 2
    assert "holds an earlier result; say --overwrite" in capsys.readouterr().err
    assert hashes(out, what) == hashes(analysed, what)
    assert cli.main(["analyse", str(out), "--overwrite"]) == 0
    assert hashes(out, what) == hashes(analysed, what)


def test_the_build_stays_as_it_was_and_the_manifest_tells_what_is_new(demo10_build: Result, analysed: Path) -> None:
    untouched = ("sdtm/*", "adam/*.xpt", "trace/*", "*.ndjson", "*.csv", "run.json")
    assert hashes(analysed, untouched) == hashes(demo10_build.out, untouched)
    manifest = json.loads((analysed / "manifest.json").read_bytes())
    told = {o["file"]: o["sha256"] for o in manifest["outputs"]}
    for name, sha in told.items():
        assert hashlib.sha256((analysed / name).read_bytes()).hexdigest() == sha, name
    before = {o["file"] for o in demo10_build.manifest["outputs"]}
    new = {p.relative_to(analysed).as_posix() for p in (analysed / "analysis").iterdir()}
    assert set(told) == before | new
    assert {k: v for k, v in manifest.items() if k != "outputs"} == {
        k: v for k, v in demo10_build.manifest.items() if k != "outputs"
    }


def test_a_new_build_takes_the_tables_of_the_old_one_away(demo10: Cohort, analysed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(analysed, out)
    build(demo10.fhir, out=out, enrolment=demo10.log, site=demo10.site, workers=1, overwrite=True)
    assert not list(out.glob("analysis/*"))
    assert b"arm:" not in (out / "adam/define.xml").read_bytes()


def test_files_of_somebody_else_stop_the_analysis(
    demo10_build: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(demo10_build.out, out)
    (out / "analysis").mkdir()
    (out / "analysis/tables.html").write_text("mine")
    assert cli.main(["analyse", str(out), "--overwrite"]) == 2
    assert "did not write, the first is analysis/tables.html" in capsys.readouterr().err
    assert (out / "analysis/tables.html").read_text() == "mine"


# --- Analysis Results Metadata ---------------------------------------------------------------------------------------


def document(out: Path) -> etree._ElementTree:
    return etree.parse(str(out / "adam/define.xml"))


def test_define_xml_is_valid_with_analysis_results_metadata(analysed: Path) -> None:
    """Against CDISC's ARM 1.0 schema for Define-XML 2.1, as odmlib ships it."""
    with resources.as_file(resources.files("odmlib") / "schemas") as folder:
        schema = etree.XMLSchema(etree.parse(str(folder / "arm/1.0-define2.1/arm1-0-0.xsd")))
    schema.validate(document(analysed))
    assert [e.message for e in schema.error_log] == []


def test_the_references_of_the_metadata_hold(analysed: Path) -> None:
    path = analysed / "adam/define.xml"
    assert (broken_references(path), unreferenced(path)) == ([], [])
    parameters = set(document(analysed).xpath("//arm:AnalysisResult/@ParameterOID", namespaces=SPACES))
    assert parameters == {f"IT.{d}.PARAMCD" for d in ("ADRS", "ADTTE", "ADLB", "ADEX", "ADTB")}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'ParameterOID="IT.ADRS.PARAMCD"',
            'ParameterOID="IT.ADRS.AVALC"',
            "@ParameterOID 'IT.ADRS.AVALC' is not defined",
        ),
        ('leafID="LF.ARM.baseline"', 'leafID="LF.ARM.other"', "@leafID 'LF.ARM.other' is not defined"),
        ("tables.html#baseline", "tables.html#other", "0 elements of that page have the id"),
        ("../analysis/tables.html#baseline", "../trace/tables.html", "is no file beside define.xml"),
        (
            'AnalysisDataset ItemGroupOID="IG.ADSL"',
            'AnalysisDataset ItemGroupOID="IG.ADXX"',
            "'IG.ADXX' is not defined",
        ),
    ],
)
def test_broken_references_of_results_are_found(
    analysed: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(analysed, out)
    path = out / "adam/define.xml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    assert message in "\n".join(broken_references(path))


def test_each_table_is_a_display_and_each_parameter_a_result(analysed: Path) -> None:
    whole = ("ae-", "clinical-events", "deviations")  # one result for a table of events
    told = {(t, "ALL" if t.startswith(whole) else section) for t, section, _, _ in results(analysed)}
    tree = document(analysed)
    shown = {str(oid) for oid in tree.xpath("//arm:AnalysisResult/@OID", namespaces=SPACES)}
    assert shown == {f"AR.{table}.{section}" for table, section in told}
    displays = tree.xpath("//arm:ResultDisplay/@OID", namespaces=SPACES)
    assert sorted(displays) == sorted({f"RD.{table}" for table, _ in told})


def test_a_result_names_its_records_variables_and_purpose(analysed: Path) -> None:
    tree = document(analysed)
    (one,) = tree.xpath("//arm:AnalysisResult[@OID='AR.response-primary-fasfl.PLTRESP']", namespaces=SPACES)
    assert (one.get("AnalysisPurpose"), one.get("AnalysisReason")) == (
        "PRIMARY OUTCOME MEASURE",
        "SPECIFIED IN PROTOCOL",
    )
    said = {}
    for d in one.iterfind(".//arm:AnalysisDataset", SPACES):
        (clause,) = d.xpath("def:WhereClauseRef/@WhereClauseOID", namespaces=SPACES)
        checks = [
            (str(c.get(f"{{{SPACES['def']}}}ItemOID")), c.get("Comparator"), c.findtext("odm:CheckValue", "", SPACES))
            for c in tree.iterfind(f".//def:WhereClauseDef[@OID='{clause}']/odm:RangeCheck", SPACES)
        ]
        said[d.get("ItemGroupOID")] = (checks, d.xpath("arm:AnalysisVariable/@ItemOID", namespaces=SPACES))
    assert said == {
        "IG.ADSL": ([("IT.ADSL.FASFL", "EQ", "Y")], [f"IT.ADSL.{v}" for v in ("TRT01P", *ON_THEIR_WAY)]),
        "IG.ADRS": ([("IT.ADRS.PARAMCD", "EQ", "PLTRESP")], ["IT.ADRS.AVALC", "IT.ADRS.ANL01FL"]),
    }
    text = one.findtext("arm:Documentation/odm:Description/odm:TranslatedText", "", SPACES)
    assert "Clopper-Pearson" in text
    assert "Newcombe" in text
    purposes = Counter(tree.xpath("//arm:AnalysisResult/@AnalysisPurpose", namespaces=SPACES))
    assert purposes["PRIMARY OUTCOME MEASURE"] == 3


def test_the_page_of_define_xml_shows_the_results(analysed: Path) -> None:
    page = html.fromstring((analysed / "adam/define.html").read_bytes())
    (row,) = page.xpath("//tr[@id='AR.response-primary-fasfl.PLTRESP']")
    cells = [" ".join(c.text_content().split()) for c in row.iterfind("td")]
    assert cells[1:3] == ["PRIMARY OUTCOME MEASURE", "SPECIFIED IN PROTOCOL"]
    assert cells[0].endswith("Full Analysis Set: Platelet response")
    assert "FASFL" in cells[3]
    assert "PLTRESP" in cells[3]
    assert cells[4] == ", ".join(("TRT01P", *ON_THEIR_WAY, "AVALC", "ANL01FL"))
    assert page.xpath("//h3[@id='RD.response-primary-fasfl']/following-sibling::p[1]/a/@href") == [
        "../analysis/tables.html#response-primary-fasfl"
    ]


# --- odd packages ----------------------------------------------------------------------------------------------------


def replaced(out: Path, name: str, frame: pd.DataFrame) -> None:
    """Replace a dataset of a package by a frame, as Dataset-JSON."""
    (out / "adam" / f"{name.lower()}.xpt").unlink()
    numeric = {c: frame[c].dtype == "float64" for c in frame}
    columns = [{"name": c, "label": c, "dataType": "double" if numeric[c] else "string"} for c in frame]
    cells = [[None if pd.isna(v) else v for v in row] for row in frame.astype(object).itertuples(index=False)]
    whole = {"columns": columns, "label": name, "records": len(cells), "rows": cells}
    path = out / "adam" / f"{name.lower()}.json"
    path.write_text(json.dumps(whole), "utf-8")
    journal = json.loads((out / ".fhir2cdisc.json").read_bytes())
    journal["files"].append(path.relative_to(out).as_posix())
    (out / ".fhir2cdisc.json").write_text(json.dumps(journal))


@pytest.fixture
def copy(demo10_build: Result, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    shutil.copytree(demo10_build.out, out)
    return out


def test_an_arm_without_subjects_is_not_estimable(demo10_build: Result, copy: Path) -> None:
    adsl = demo10_build.adam["ADSL"].copy()
    for flag in ("ITTFL", "FASFL", "SAFFL", "PPROTFL"):
        adsl.loc[(adsl["TRT01P"] == CTRL) | (adsl["TRT01A"] == CTRL), flag] = "N"
    replaced(copy, "ADSL", adsl)
    assert cli.main(["analyse", str(copy)]) == 0
    told = results(copy)
    rate = told["response-primary-fasfl", "NEUT", CTRL, "response rate"]
    assert (rate["value"], rate["why"]) == ("", "no subjects")
    assert told["response-primary-fasfl", "NEUT", f"{MSC} vs {CTRL}", "difference of rates"]["why"]
    assert told["time-to-event-fasfl", "OS", f"{MSC} vs {CTRL}", "hazard ratio"]["why"]
    assert "not estimable" in (copy / "analysis/tables.html").read_text("utf-8")


def test_no_event_at_all_is_not_estimable(demo10_build: Result, copy: Path) -> None:
    adtte = demo10_build.adam["ADTTE"].copy()
    adtte["CNSR"] = 1.0
    replaced(copy, "ADTTE", adtte)
    assert cli.main(["analyse", str(copy)]) == 0
    told = results(copy)
    assert told["time-to-event-fasfl", "OS", f"{MSC} vs {CTRL}", "hazard ratio"]["why"] == "no event in either arm"
    assert told["time-to-event-fasfl", "OS", MSC, "events"]["value"] == "0"


def test_a_parameter_nobody_has_is_not_built_instead_of_zero_percent(demo10_build: Result, copy: Path) -> None:
    adrs = demo10_build.adam["ADRS"]
    replaced(copy, "ADRS", adrs[adrs["PARAMCD"] != "RBC"].reset_index(drop=True))
    assert cli.main(["analyse", str(copy)]) == 0
    assert ("response-primary-fasfl", "RBC", MSC, "response rate") not in results(copy)
    page = (copy / "analysis/tables.html").read_text("utf-8")
    assert "Red-cell response: not built, ADRS has no record of RBC" in page


MISSING = {
    "ADAE": ("Adverse events", "ae-"),
    "ADTTE": ("Time to event", "time-to-event-"),
    "ADRS": ("Response", "response-"),
    "ADLB": ("Shift of laboratory grades", "lab-"),
    "ADEX": ("Exposure", "exposure"),
    "ADTB": ("Transfusions", "transfusions"),
    "ADCE": ("Clinical events", "clinical-"),
}


@pytest.mark.parametrize("names", [("ADAE", "ADTTE", "ADEX"), ("ADRS", "ADLB", "ADTB", "ADCE")])
def test_a_missing_dataset_is_named_and_the_others_are_analysed(
    analysed: Path, copy: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        (copy / f"adam/{name.lower()}.xpt").unlink()
    assert cli.main(["analyse", str(copy)]) == 0
    page = (copy / "analysis/tables.html").read_text("utf-8")
    for name in names:
        assert f"{MISSING[name][0]}: not built, the package has no {name}" in page
    gone = tuple(MISSING[n][1] for n in names)
    all_of_them = {p.name for p in (analysed / "analysis").iterdir()}
    assert {p.name for p in (copy / "analysis").iterdir()} == {n for n in all_of_them if not n.startswith(gone)}
    assert all(any(n.startswith(g) for n in all_of_them) for g in gone)


def test_a_dataset_without_a_record_gives_counts_of_nobody_or_a_remark(demo10_build: Result, copy: Path) -> None:
    for name in MISSING:
        replaced(copy, name, demo10_build.adam[name].iloc[:0])
    assert cli.main(["analyse", str(copy)]) == 0
    told = results(copy)
    for table, section in (("ae-overview", "overview"), ("clinical-events", "Any event")):
        assert [told[table, section, arm, "subjects"]["value"] for arm in (MSC, CTRL)] == ["0", "0"]
    page = (copy / "analysis/tables.html").read_text("utf-8")
    for name in ("ADRS", "ADTTE"):
        assert f"not built, {name} has no record of" in page


def test_nobody_at_all_is_not_estimable(demo10_build: Result, copy: Path) -> None:
    """Zero subjects: every count is 0, every estimate says no subjects."""
    adsl = demo10_build.adam["ADSL"].copy()
    for flag in ("ITTFL", "FASFL", "SAFFL", "PPROTFL"):
        adsl[flag] = "N"
    replaced(copy, "ADSL", adsl)
    assert cli.main(["analyse", str(copy)]) == 0
    with open(copy / "analysis/results.csv", encoding="utf-8", newline="") as f:
        found = list(csv.DictReader(f))
    assert {r["value"] for r in found if r["unit"] in ("subjects", "events")} == {"0"}
    assert all(r["why"] for r in found if r["unit"] not in ("subjects", "events"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda out: shutil.rmtree(out), "is no folder|does not exist|no finished build"),
        (lambda out: (out / "manifest.json").unlink(), "is no finished build"),
        (lambda out: (out / "manifest.json").write_text("{}"), "is no manifest of a build"),
        (lambda out: (out / "manifest.json").write_text('{"trial": "OTHER"}'), "is a package of study OTHER"),
        (lambda out: (out / "adam/adsl.xpt").write_bytes(b"no dataset"), "adsl.xpt"),
    ],
)
def test_a_folder_that_is_no_package_of_this_trial_is_refused(
    copy: Path, capsys: pytest.CaptureFixture[str], change: Any, message: str
) -> None:
    change(copy)
    assert cli.main(["analyse", str(copy)]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (copy / "analysis").exists()


def test_the_validator_finds_nothing_new_in_an_analysed_package(
    demo10_build: Result, analysed: Path, tmp_path: Path
) -> None:
    found = []
    for out in (demo10_build.out, analysed):
        report = tmp_path / f"{len(found)}.json"
        cli.main(["validate", str(out / "adam"), "--json", str(report)])
        details = json.loads(report.read_bytes())["Issue_Details"]
        found.append(sorted(json.dumps(d, sort_keys=True).replace(str(out), "") for d in details))
    assert found[0] == found[1]


def test_a_package_without_analysis_datasets_is_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (copy / "adam").glob("*.xpt"):
        path.unlink()
    assert cli.main(["analyse", str(copy)]) == 2
    assert "holds no dataset, expected ADSL: nobody to analyse" in capsys.readouterr().err
    shutil.rmtree(copy / "adam")
    assert cli.main(["analyse", str(copy)]) == 2
    assert not (copy / "analysis").exists()


def test_datasets_that_contradict_the_plan_are_refused_and_nothing_is_written(
    demo10_build: Result, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adsl = demo10_build.adam["ADSL"].copy()
    adsl.loc[adsl["FASFL"] == "Y", "TRT01P"] = "Something else"
    replaced(copy, "ADSL", adsl)
    assert cli.main(["analyse", str(copy)]) == 2
    assert "TRT01P is 'Something else'" in capsys.readouterr().err
    assert not (copy / "analysis").exists()
    assert not list(copy.glob(".fhir2cdisc-building-*"))
    (copy / "adam/define.xml").write_text("<ODM>")
    assert cli.main(["analyse", str(copy)]) == 2


def test_a_define_xml_that_is_none_is_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "adam/define.xml").write_text("<ODM>")
    assert cli.main(["analyse", str(copy)]) == 2
    assert "define.xml cannot be read" in capsys.readouterr().err

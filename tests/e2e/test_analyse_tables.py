"""Every analysis result and every cell of every table, from the dataset files once more (tests/recount.py)."""

from __future__ import annotations

import ast
import csv
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from lxml import etree, html

from adapter import build, cli
from adapter.result import Result
from mappings.trials.pgf_msc.demo import write_cohort
from tests import naive_statistics, recount
from tests.conftest import make_site

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

COUNTS = ("subjects", "events", "records")


@pytest.fixture(scope="module")
def ten(demo10_build: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ten") / "out"
    shutil.copytree(demo10_build.out, out)
    assert cli.main(["analyse", str(out)]) == 0
    return out


def built(folder: Path, subjects: int, formats: str, logged: int = 1000) -> Path:
    """Build and analyse a cohort. logged: rows of the enrolment log that are kept."""
    write_cohort(folder, subjects=subjects)
    log = folder / "enrolment.csv"
    log.write_text("".join(log.read_text("utf-8").splitlines(keepends=True)[: logged + 1]), "utf-8")
    if logged < subjects:  # or the build says that they take part and are not in the log
        for path in (folder / "fhir").glob("ResearchSubject*"):
            path.unlink()
    out = folder / "out"
    build(
        folder / "fhir",
        out=out,
        enrolment=log,
        site=make_site(folder / "site"),
        coding=folder / "coding",
        workers=1,
        format=formats,
    )
    assert cli.main(["analyse", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five subjects of a log as Dataset-JSON, with coded terms: hardly anything can be estimated."""
    return built(tmp_path_factory.mktemp("few"), 10, "dataset-json", logged=5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as it is shipped: 68 subjects."""
    return built(tmp_path_factory.mktemp("whole"), 68, "xpt")


COHORTS = ["ten", "few", pytest.param("whole", marks=pytest.mark.long)]


@pytest.fixture(params=COHORTS)
def out(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def told(out: Path) -> list[dict[str, str]]:
    with open(out / "analysis/results.csv", encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def test_every_result_is_what_the_records_give_and_none_is_missing(out: Path) -> None:
    wanted = recount.expected(out)
    found = {}
    for r in told(out):
        label = "" if r["dataset"] in ("ADRS", "ADTTE") else r["label"]
        key = (r["table"], r["section"], label, r["group"], r["statistic"])
        assert key not in found
        found[key] = tuple(float(r[c]) if r[c] else None for c in ("value", "lower", "upper"))
        assert bool(r["why"]) == (r["value"] == ""), key
    assert set(found) == set(wanted)
    for key, numbers in wanted.items():
        for a, b in zip(found[key], numbers, strict=True):
            if a is None or b is None:
                assert (a, b) == (None, None), (key, found[key], numbers)
            else:
                assert math.isclose(a, b, rel_tol=1e-8, abs_tol=1e-8), (key, found[key], numbers)


def test_the_denominators_are_the_subjects_of_the_heading_or_of_the_row(out: Path) -> None:
    """Safety by treatment given, everything else by planned treatment."""
    arm = {f: recount._arm(recount.rows(out, "adsl"), f, "TRT01A" if f == "SAFFL" else "TRT01P") for f in recount.FLAGS}
    whole = ("ae-", "deviations", "clinical-events", "disposition")
    for r in told(out):
        if r["table"].startswith(whole):
            n = sum(r["group"] in (a, "ALL") for a in arm[r["population"]].values())
            assert r["subjects"] == str(n)
        if r["unit"] == "subjects":
            assert int(r["value"]) <= int(r["subjects"])
        if r["unit"] == "proportion" and r["value"]:
            assert int(r["subjects"]) > 0


def test_one_minus_kaplan_meier_is_never_below_the_incidence_of_the_table(out: Path) -> None:
    """The known trap: deaths before recovery, taken as censoring, overstate recovery; visibly so in the whole demo."""
    adsl, adtte = recount.rows(out, "adsl"), recount.rows(out, "adtte")
    arm, above = recount._arm(adsl, "FASFL"), 0
    for r in told(out):
        if r["table"] != "time-to-event-fasfl" or r["section"] not in recount.COMPETING or not r["value"]:
            continue
        if not r["statistic"].startswith("cumulative incidence on day "):
            continue
        own = [t for t in adtte if t["PARAMCD"] == r["section"] and arm.get(t["USUBJID"]) == r["group"]]
        group = [(int(t["AVAL"]), int(t["CNSR"] == 0), -1) for t in own]
        wrong = 1 - float(naive_statistics.survival(group, int(r["statistic"].rpartition(" ")[2])))
        assert wrong >= float(r["value"]) - 1e-12
        above += wrong > float(r["value"]) + 0.01
    assert above > 0 or len(adsl) < 60


# --- what people read ------------------------------------------------------------------------------------------------


def shown(r: dict[str, str], of: bool = False) -> str:
    """Return the text of one result, by the rules of the page."""
    if not r["value"]:
        return "not estimable"

    def text(number: str) -> str:
        x = float(number)
        if r["unit"] in ("proportion", "difference"):
            return f"{100 * x:.1f} %".replace("-0.0 %", "0.0 %")
        if r["unit"] == "p":
            return f"{x:.4f}" if x >= 0.0001 else "<0.0001"
        if x == int(x):
            return str(int(x))
        return f"{x:.1f}" if r["unit"] == "days" else f"{x:.2f}"

    value = text(r["value"])
    if r["unit"] == "subjects" and (of or r["statistic"] != "subjects"):
        value = f"{value}/{r['subjects']}"
    if r["lower"] or r["upper"]:
        low, high = (text(r[c]).removesuffix(" %") if r[c] else "–" for c in ("lower", "upper"))
        value = f"{value} ({low} to {high})"
    return value


def cells(out: Path) -> dict[tuple[str, str, str, str, str], str]:
    """Return (table, section, label, row, group) -> text, from the analysis results."""
    by: dict[tuple[str, ...], dict[str, str]] = {
        (r["table"], r["section"], r["label"], r["group"], r["statistic"]): r for r in told(out)
    }
    found = {}
    for (table, section, label, group, statistic), r in by.items():
        key = (table, section, label, group)

        def beside(name: str, key: tuple[str, ...] = key) -> dict[str, str] | None:
            return by.get((*key, name))

        text, row = shown(r), statistic
        if statistic in ("share", "standard deviation", "first quartile", "third quartile", "maximum"):
            continue
        if statistic == "subjects" and (share := beside("share")):
            part = shown(share).replace(" (", "; ").removesuffix(")")
            text = f"{shown(r, of=True)} ({part})"
        elif statistic == "mean" and (sd := beside("standard deviation")):
            row = "mean (standard deviation)"
            text = f"{text} ({shown(sd)})" if r["value"] else text
        elif statistic == "median" and (q1 := beside("first quartile")) and (q3 := beside("third quartile")):
            row = "median (quartiles)"
            text = f"{text} ({shown(q1)} to {shown(q3)})" if r["value"] else text
        elif statistic == "minimum" and (most := beside("maximum")):
            row = "minimum to maximum"
            text = f"{text} to {shown(most)}" if r["value"] else text
        found[table, section, label, row, group] = text
    return found


def test_every_cell_of_the_csv_files(out: Path) -> None:
    wanted, found = cells(out), {}
    for path in sorted((out / "analysis").glob("*.csv")):
        if path.name == "results.csv":
            continue
        with open(path, encoding="utf-8", newline="") as f:
            for r in csv.DictReader(f):
                for column, text in r.items():
                    group = column.partition(" (N = ")[0]
                    if column not in ("section", "row", "statistic", "notes") and text:
                        found[path.stem, r["section"], r["row"], r["statistic"], group] = text
    assert found == wanted


def test_every_cell_of_the_page_with_headings_and_notes(out: Path) -> None:
    wanted = cells(out)
    reasons: dict[tuple[str, ...], set[str]] = {}
    for r in told(out):
        if r["why"] or r["note"]:
            reasons.setdefault((r["table"], r["section"], r["label"], r["group"]), set()).add(r["why"] or r["note"])
    found = {}
    page = html.fromstring((out / "analysis/tables.html").read_bytes())
    sections = {(r["table"], r["label"]): [] for r in told(out)}  # type: ignore[var-annotated]
    for r in told(out):
        if r["section"] not in sections[r["table"], r["label"]]:
            sections[r["table"], r["label"]].append(r["section"])
    for table in page.iter("table"):
        name = table.get("id")
        groups = [h.text or "" for h in table.xpath(".//thead//th")][2:]
        listed = [n.text_content() for n in table.getparent().xpath(".//ol/li")]
        section = label = ""
        headed = table.get("class") == "headed"
        for row in table.xpath(".//tbody/tr"):
            (head,) = row.findall("th") or [None]
            if row.get("class") == "section":
                section = head.text_content()
                continue
            if head is not None:
                label = head.text_content()
                if not headed:
                    section = sections[name, label].pop(0)
            statistic, *values = row.findall("td")
            for group, cell in zip(groups, values, strict=True):
                marks = [m for s in cell.findall("sup") for m in (s.text or "").split(", ")]
                text = cell.text or ""
                if not text:
                    continue
                found[name, section, label, statistic.text_content(), group] = text
                for mark in marks:
                    assert listed[int(mark) - 1] in reasons[name, section, label, group]
                assert bool(marks) or "not estimable" not in text
    assert found == wanted


def test_headings_tell_how_many_subjects_there_are(out: Path) -> None:
    adsl = recount.rows(out, "adsl")
    page = html.fromstring((out / "analysis/tables.html").read_bytes())
    seen = 0
    for table in page.iter("table"):
        first = next((r for r in told(out) if r["table"] == table.get("id")), None)
        if first is None or not first["population"]:
            continue
        arm = recount._arm(adsl, first["population"], "TRT01A" if first["population"] == "SAFFL" else "TRT01P")
        for h in table.xpath(".//thead//th")[2:]:
            if " vs " not in (h.text or ""):
                n = sum(h.text in (a, "ALL") for a in arm.values())
                assert h.text_content() == f"{h.text}(N = {n})"
                seen += 1
    assert seen > 20


def test_tables_without_a_record_say_none_instead_of_being_absent(few: Path) -> None:
    """Serious events of nobody: 0 of each arm, not an empty table."""
    rows = [r for r in told(few) if r["table"] == "ae-serious" and r["statistic"] == "subjects"]
    assert [r["value"] for r in rows if r["section"] == "Any event"]
    assert all(r["subjects"] != "0" for r in rows)


# --- metadata --------------------------------------------------------------------------------------------------------


def test_the_records_of_a_table_are_those_of_its_where_clauses(ten: Path) -> None:
    """Serious, related and severe events name their condition; related is one of several values."""
    tree = etree.parse(str(ten / "adam/define.xml"))
    spaces: dict[str, Any] = {
        "odm": "http://www.cdisc.org/ns/odm/v1.3",
        "def": "http://www.cdisc.org/ns/def/v2.1",
        "arm": "http://www.cdisc.org/ns/arm/v1.0",
    }
    said = {}
    for name in ("ae-serious", "ae-related", "ae-severe", "lab-shift"):
        (clause, *_) = tree.xpath(
            f"//arm:ResultDisplay[@OID='RD.{name}']//arm:AnalysisDataset[@ItemGroupOID!='IG.ADSL']"
            "/def:WhereClauseRef/@WhereClauseOID",
            namespaces=spaces,
        )
        said[name] = [
            (
                str(c.get(f"{{{spaces['def']}}}ItemOID")).rpartition(".")[2],
                c.get("Comparator"),
                [v.text for v in c.iterfind("odm:CheckValue", spaces)],
            )
            for c in tree.iterfind(f".//def:WhereClauseDef[@OID='{clause}']/odm:RangeCheck", spaces)
        ]
    emergent = ("TRTEMFL", "EQ", ["Y"])
    assert said["ae-serious"] == [emergent, ("AESER", "EQ", ["Y"])]
    assert said["ae-related"] == [emergent, ("AEREL", "IN", list(recount.RELATED))]
    assert said["ae-severe"] == [emergent, ("AETOXGR", "GE", ["3"])]
    assert said["lab-shift"][1] == ("ONTRTFL", "EQ", ["Y"])


def test_the_recount_uses_nothing_of_the_program() -> None:
    for module in (recount, naive_statistics):
        tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
        named = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
        named += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        assert not [n for n in named if n.split(".")[0] in ("adapter", "mappings")]

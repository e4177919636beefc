"""The reports of a validation: fields, caps with the true count, no formulas, no markup that runs, comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from adapter.check.engine import Checked, check
from adapter.check.readers import read_package
from adapter.check.rules import load_rules, rule_files
from adapter.check.world import World
from adapter.report.as_html import page
from adapter.report.as_sarif import sarif
from adapter.report.as_text import lines
from adapter.report.as_xlsx import write_xlsx
from adapter.report.compare import compare, read_report
from adapter.report.findings import by_severity, tables
from tests.unit.test_check_rules import text_of

FLOOD = 5000


def ran(folder: Path, limit: int = 1000, rows: str = "") -> Checked:
    """Check a dataset of FLOOD records with a rule that finds all, one that finds none, one that fails, one not run."""
    data, rules = folder / "data", folder / "rules"
    data.mkdir(parents=True)
    records = rows or "\n".join(f"S,AE,S-{i},1,=HYPERLINK(1)" for i in range(FLOOD))
    (data / "ae.csv").write_text(f"STUDYID,DOMAIN,USUBJID,AESEQ,AETERM\n{records}\n")
    texts = {
        "A-1": text_of("{name: AETERM, operator: non_empty}", outcome="[AETERM, AEDECOD]"),
        "A-2": text_of("{name: AETERM, operator: empty}"),
        "A-3": text_of("{name: AETERM, operator: prefix_equal_to, value: x}"),
        "A-4": text_of("{name: AETERM, operator: empty}", domains="DM"),
        "A-5": text_of("{name: AETERM, operator: is_emptyish}"),
    }
    for ident, text in texts.items():
        (rules / ident).mkdir(parents=True)
        (rules / ident / "rule.yml").write_text(text.replace("X-1", ident))
    return check(World(read_package(data)), *load_rules(rule_files(rules)), limit)


def test_the_report_has_the_fields_of_core(tmp_path: Path) -> None:
    found = tables(ran(tmp_path))
    assert {"Conformance_Details", "Dataset_Details", "Issue_Summary", "Issue_Details", "Rules_Report"} <= set(found)
    detail = found["Issue_Details"][0]
    assert detail["core_id"] == "A-1"
    assert (detail["dataset"], detail["USUBJID"], detail["row"], detail["SEQ"]) == ("AE", "S-0", 1, 1)
    assert (detail["variables"], detail["values"]) == (["AETERM", "AEDECOD"], ["=HYPERLINK(1)", "Not in dataset"])
    assert {r["core_id"]: r["status"] for r in found["Rules_Report"]} == {
        "A-1": "ISSUE REPORTED", "A-2": "SUCCESS", "A-3": "EXECUTION ERROR", "A-4": "SKIPPED", "A-5": "EXECUTION ERROR"
    }  # fmt: skip
    reasons = {r["core_id"]: r["reason"] for r in found["Rules_Report"]}
    assert "needs the number of characters" in reasons["A-3"]
    assert reasons["A-4"] == "no dataset in the rule's scope"
    assert "unknown operator 'is_emptyish'" in reasons["A-5"]
    assert json.loads(json.dumps(found)) == found


def test_a_flood_is_capped_and_counted(tmp_path: Path) -> None:
    checked = ran(tmp_path, limit=7)
    found = tables(checked)
    assert len(found["Issue_Details"]) == 7
    assert found["Issue_Summary"] == [
        {"dataset": "AE", "core_id": "A-1", "severity": "error", "message": "a message", "issues": FLOOD}
    ]
    assert by_severity(checked)["error"] == FLOOD
    assert f"{FLOOD:,}" in "\n".join(lines(checked))


def test_the_workbook_holds_no_formula_and_no_more_rows_than_a_sheet(tmp_path: Path) -> None:
    found = tables(ran(tmp_path, limit=25))
    found["Issue_Details"][3]["values"] = ["@SUM(A1)", "-1+1", "x" * 40_000, "\x01"]
    found["Issue_Details"][4]["message"] = "+cmd"
    write_xlsx(tmp_path / "r.xlsx", found, max_rows=11)
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    names = [n for n in book.sheetnames if n.startswith("Issue Details")]
    assert names == ["Issue Details", "Issue Details (2)", "Issue Details (3)"]
    assert [book[n].max_row for n in names] == [11, 11, 6]
    kinds = {c.data_type for sheet in book for row in sheet.iter_rows() for c in row}
    assert kinds <= {"s", "n", "inlineStr"}
    risky = [c for sheet in book for row in sheet.iter_rows() for c in row if str(c.value).startswith(("=", "+", "@"))]
    assert risky
    assert all(c.quotePrefix for c in risky)
    assert max(len(str(c.value)) for sheet in book for row in sheet.iter_rows() for c in row) <= 32_767


def test_no_cell_becomes_markup_of_the_page(tmp_path: Path) -> None:
    checked = ran(tmp_path, rows="S,AE,S-1,1,</script><script>alert(1)</script><!--")
    text = page(tables(checked), by_severity(checked))
    held = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert json.loads(held)["details"][0]["values"][0] == "</script><script>alert(1)</script><!--"
    assert text.count("<script") == 2
    assert "http://" not in text
    assert "https://" not in text


def test_sarif_names_rule_level_file_and_line(tmp_path: Path) -> None:
    log = sarif(ran(tmp_path, limit=2))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    first = run["results"][0]
    assert run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == first["ruleId"] == "A-1"
    assert first["level"] == "error"
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "ae.csv"},
        "region": {"startLine": 2},
    }
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 2
    assert run["invocations"][0]["executionSuccessful"] is False


def test_a_report_is_compared_with_another(tmp_path: Path) -> None:
    ours = tables(ran(tmp_path, limit=3))
    theirs: dict[str, Any] = json.loads(json.dumps(ours))
    for d in theirs["Issue_Details"]:
        d["dataset"] = "ae.csv"
        d["variables"] = list(reversed(d["variables"]))
    gone = theirs["Issue_Details"].pop()
    theirs["Issue_Details"].append({**gone, "row": 99})
    theirs["Rules_Report"] = [r for r in theirs["Rules_Report"] if r["core_id"] != "A-2"]
    (tmp_path / "core.json").write_text(json.dumps(theirs))
    found = compare(ours, read_report(tmp_path / "core.json"), "core.json")
    assert (found["same"], found["only_here"], found["only_there"]) == (2, 1, 1)
    by_rule = {r["core_id"]: r for r in found["rules"]}
    assert by_rule["A-1"]["first_only_here"] == [["AE", "3", "AEDECOD, AETERM"]]
    assert by_rule["A-2"]["status_there"] == "NOT GIVEN"


@pytest.mark.parametrize("text", ["[]", "{", '{"Issue_Details": 1}', "null"])
def test_what_is_no_report_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "core.json").write_text(text)
    from adapter.errors import InputError

    with pytest.raises(InputError, match=r"core\.json"):
        read_report(tmp_path / "core.json")

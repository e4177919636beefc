"""The findings of a validation as tables with the field names that users of CDISC CORE know; all reports are made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from adapter import __version__
from adapter.check.engine import FAILED, SKIPPED, Checked, RuleResult
from adapter.check.rule_model import Rule

Table = list[dict[str, Any]]
SEVERITIES = ("reject", "error", "warning", "notice")


def tables(checked: Checked, compared: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the whole report. What CORE has not (severity, reason, issues, problems) stands beside what it has."""
    found = {
        "Conformance_Details": _conformance(checked),
        "Dataset_Details": _datasets(checked),
        "Issue_Summary": _summary(checked),
        "Issue_Details": _details(checked),
        "Rules_Report": _rules(checked),
        "File_Problems": [
            {"file": p.file, "dataset": p.dataset, "variable": p.variable, "problem": p.code, "detail": p.detail}
            for p in checked.world.package.problems
        ],
    }
    if compared is not None:
        found["Comparison"] = dict(compared)
    return found


def _conformance(checked: Checked) -> dict[str, Any]:
    world = checked.world
    name, version = world.standard
    return {
        "CORE_Engine_Version": f"fhir2cdisc {__version__}, which is not CORE and reads its rules",
        "Report_Generation": datetime.now(UTC).isoformat(timespec="seconds"),
        "Total_Runtime": f"{checked.seconds:.2f} seconds",
        "Issue_Limit_Per_Rule": checked.limit,
        "Standard": name,
        "Version": f"V{version}",
        "CT_Version": world.ct,
        "Define_XML_Version": world.define.version if world.define else None,
        "Path": str(world.package.folder),
    }


def _datasets(checked: Checked) -> Table:
    return [
        {
            "filename": d.path.name,
            "dataset": d.name,
            "label": d.label,
            "path": str(d.path.parent),
            "modification_date": d.modified,
            "size_kb": d.size / 1000,
            "length": d.records,
        }
        for d in checked.world.package.datasets
    ]


def _summary(checked: Checked) -> Table:
    made = [
        {
            "dataset": _named(o.dataset, [i.dataset for i in o.issues]),
            "core_id": r.rule.id,
            "severity": r.rule.severity,
            "message": o.message or r.rule.message,
            "issues": o.count,
        }
        for r in checked.results
        for o in r.outcomes
        if o.count
    ]
    return sorted(made, key=lambda x: (x["dataset"], x["core_id"]))


def _named(dataset: str, found: list[str]) -> str:
    """Return the datasets that findings are about: of a split one its parts."""
    return ", ".join(dict.fromkeys(found)) or dataset


def _details(checked: Checked) -> Table:
    return [
        {
            "core_id": r.rule.id,
            "severity": r.rule.severity,
            "message": o.message or r.rule.message,
            "executability": r.rule.executability.lower(),
            "dataset": i.dataset,
            "USUBJID": i.usubjid or "",
            "row": "" if i.record is None else i.record,
            "SEQ": "" if i.seq is None else i.seq,
            "variables": list(i.values),
            "values": [_shown(v) for v in i.values.values()],
        }
        for r in checked.results
        for o in r.outcomes
        for i in o.issues
    ]


def _shown(value: Any) -> str | None:
    return None if value is None else str(value)


def _rules(checked: Checked) -> Table:
    made = [_rule(r) for r in checked.results]
    for u in checked.unusable:
        made.append(
            {
                "core_id": u.id, "version": "", "cdisc_rule_id": "", "fda_rule_id": "", "severity": "",
                "message": "", "status": FAILED if u.broken else SKIPPED,
                "reason": f"{u.file}: {u.reason}", "issues": 0,
            }
        )  # fmt: skip
    return sorted(made, key=lambda x: (x["core_id"], x["reason"]))


def _rule(r: RuleResult) -> dict[str, Any]:
    return {
        "core_id": r.rule.id,
        "version": r.rule.version,
        "cdisc_rule_id": _identifiers(r.rule, "CDISC"),
        "fda_rule_id": _identifiers(r.rule, "FDA"),
        "severity": r.rule.severity,
        "message": r.rule.message,
        "status": r.status,
        "reason": r.reason,
        "issues": r.count,
    }


def _identifiers(rule: Rule, organisation: str) -> str:
    return ", ".join(dict.fromkeys(i for o, _, _, i in rule.authorities if o == organisation and i))


def by_severity(checked: Checked) -> dict[str, int]:
    """Return the number of findings of each severity, whatever the limit kept."""
    counts: Counter[str] = Counter()
    for r in checked.results:
        counts[r.rule.severity] += r.count
    return {s: counts[s] for s in SEVERITIES}

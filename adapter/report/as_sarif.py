"""Writes the findings of a validation as SARIF 2.1.0, which code hosts and editors show beside the files."""

from __future__ import annotations

from typing import Any

from adapter import __version__
from adapter.check.engine import FAILED, Checked
from adapter.check.evaluate import Issue, Outcome
from adapter.check.rule_model import Rule

LEVELS = {"reject": "error", "error": "error", "warning": "warning", "notice": "note"}
_LINES = {"csv": 1, "ndjson": 1}
"""Formats with a record per line, and the lines before the first."""


def sarif(checked: Checked) -> dict[str, Any]:
    """Return the log. A finding names the dataset's file, the record and the variables; failed rules are notifications."""
    index = {r.rule.id: i for i, r in enumerate(checked.results)}
    files = {d.name: d for d in checked.world.package.datasets}

    def result(rule: Rule, o: Outcome, i: Issue) -> dict[str, Any]:
        variables = ", ".join(f"{k} = {'' if v is None else v}" for k, v in i.values.items())
        where = f"{i.dataset}{f', record {i.record}' if i.record else ''}"
        d = files.get(i.dataset)
        location: dict[str, Any] = {"logicalLocations": [{"name": where, "kind": "object"}]}
        if d is not None:
            physical: dict[str, Any] = {"artifactLocation": {"uri": d.path.name}}
            if d.format in _LINES and i.record:
                physical["region"] = {"startLine": i.record + _LINES[d.format]}
            location["physicalLocation"] = physical
        return {
            "ruleId": rule.id,
            "ruleIndex": index[rule.id],
            "level": LEVELS[rule.severity],
            "message": {"text": f"{o.message or rule.message} [{where}: {variables}]"},
            "locations": [location],
        }

    results = [result(r.rule, o, i) for r in checked.results for o in r.outcomes for i in o.issues]
    failed = [(r.rule.id, r.reason) for r in checked.results if r.status == FAILED]
    failed += [(u.id, f"{u.file}: {u.reason}") for u in checked.unusable if u.broken]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "fhir2cdisc",
                        "version": __version__,
                        "rules": [_rule(r.rule) for r in checked.results],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": not failed,
                        "toolExecutionNotifications": [
                            {"level": "error", "message": {"text": f"{ident}: {reason}"}} for ident, reason in failed
                        ],
                    }
                ],
                "results": results,
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.message or rule.id},
        "fullDescription": {"text": rule.description or rule.message or rule.id},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
    }

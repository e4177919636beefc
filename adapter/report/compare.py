"""Compares the findings of a run with a report of CDISC CORE: which are in both, and which in one only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from adapter.errors import InputError

Key = tuple[str, str, str]
"""Dataset, row ("" for none), variables."""


def read_report(path: Path) -> dict[str, Any]:
    """Return a JSON report of CORE, or of this program. Raises InputError for what is none."""
    try:
        found: Any = json.loads(path.read_bytes())
    except OSError as e:
        raise InputError(f"cannot read {path}: {e.strerror or e}") from e
    except (ValueError, RecursionError) as e:
        raise InputError(f"{path} is no JSON report: {e}") from e
    lists = ("Issue_Details", "Rules_Report")
    if not isinstance(found, dict) or not all(isinstance(found.get(str(k)), list) for k in lists):
        raise InputError(f"{path} is no report of CORE: it has no lists Issue_Details and Rules_Report")
    return found


def compare(ours: Mapping[str, Any], theirs: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the comparison: totals, and per rule how many findings are in both, only here, only there."""
    here, there = _keys(ours["Issue_Details"]), _keys(theirs["Issue_Details"])
    statuses = [_statuses(x["Rules_Report"]) for x in (ours, theirs)]
    rules = []
    for rule in sorted({*here, *there, *statuses[0], *statuses[1]}):
        a, b = here.get(rule, Counter()), there.get(rule, Counter())
        same = sum((a & b).values())
        rules.append(
            {
                "core_id": rule,
                "same": same,
                "only_here": sum(a.values()) - same,
                "only_there": sum(b.values()) - same,
                "status_here": statuses[0].get(rule, "NOT GIVEN"),
                "status_there": statuses[1].get(rule, "NOT GIVEN"),
                "first_only_here": [list(k) for k in sorted((a - b).elements())[:5]],
                "first_only_there": [list(k) for k in sorted((b - a).elements())[:5]],
            }
        )
    totals = {k: sum(int(str(r[k])) for r in rules) for k in ("same", "only_here", "only_there")}
    return {"report": name, **totals, "rules": rules}


def _keys(details: Iterable[Any]) -> dict[str, Counter[Key]]:
    found: dict[str, Counter[Key]] = {}
    for d in details:
        if isinstance(d, Mapping):
            variables = d.get("variables")
            named = ", ".join(sorted(map(str, variables))) if isinstance(variables, list) else str(variables or "")
            key = (_dataset(d.get("dataset")), _row(d.get("row")), named)
            found.setdefault(str(d.get("core_id")), Counter())[key] += 1
    return found


def _dataset(given: Any) -> str:
    """Return a dataset's name without the ending of its file, as either report may have it."""
    return str(given or "").upper().partition(".")[0]


def _row(given: Any) -> str:
    return "" if given in (None, "", "None") else str(given)


def _statuses(report: Iterable[Any]) -> dict[str, str]:
    return {str(r.get("core_id")): str(r.get("status", "")).upper() for r in report if isinstance(r, Mapping)}

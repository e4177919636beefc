"""What a person who writes rules sees: the cases that went wrong, and what of the format is supported."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from adapter.check.ask import OPERATORS
from adapter.check.cases import CaseResult, Finding
from adapter.check.frames import RULE_TYPES
from adapter.check.operations import OPERATIONS
from adapter.check.rule_model import Rule, Unusable
from adapter.progress import WIDTH, aligned

FEW = 6


def case_lines(rule: Rule | Unusable, results: Sequence[CaseResult], every: bool) -> list[str]:
    """Return what to say of one rule's cases: nothing where all are right, unless `every`."""
    if isinstance(rule, Unusable):
        return [f"{rule.id}: cannot be run: {rule.reason}"]
    shown = []
    for r in results:
        name = f"{rule.id} {r.kind}/{r.number}"
        if r.right:
            shown += [f"{name}: right"] if every else []
            continue
        shown.append(f"{name}: wrong{f' ({r.standard})' if r.standard else ''}")
        shown += [f"  {r.note}"] if r.note else []
        shown += [f"  not found: {_few(r.missing)}"] if r.missing else []
        shown += [f"  found, and not expected: {_few(r.extra)}"] if r.extra else []
        shown += [f"  {s}" for s in r.skipped[:FEW]]
    return shown


def _few(found: Sequence[Finding]) -> str:
    shown = "; ".join(f"{d}{f' record {r}' if r else ''} {v}" for d, r, v in found[:FEW])
    return shown + (f"; and {len(found) - FEW} more" if len(found) > FEW else "")


def closing(results: Iterable[tuple[Rule | Unusable, Sequence[CaseResult]]]) -> tuple[list[str], bool]:
    """Return (totals, whether all is right)."""
    rules = cases = right_rules = right_cases = 0
    for rule, found in results:
        rules += 1
        cases += len(found)
        right_cases += sum(r.right for r in found)
        right_rules += not isinstance(rule, Unusable) and all(r.right for r in found)
    return [f"{right_rules} of {rules} rules right, {right_cases} of {cases} cases right"], right_rules == rules


def rule_lines(rules: Sequence[Rule], unusable: Sequence[Unusable]) -> list[str]:
    """Return a table of rules, those that cannot be run with the reason, and what is supported."""
    rows = [("Rule", "severity", "type", "message")]
    rows += [(r.id, r.severity, r.rule_type, r.message) for r in rules]
    shown = [line[:WIDTH] for line in aligned(rows)]
    if unusable:
        shown += ["", "Cannot be run:"]
        for u in unusable:
            text = f"{u.id}: {u.reason} ({u.file})"
            shown += textwrap.wrap(text, WIDTH - 2, initial_indent="  ", subsequent_indent="    ")
    for name, found in (("Rule types", RULE_TYPES), ("Operators", OPERATORS), ("Operations", OPERATIONS)):
        shown += ["", f"{name}:"]
        shown += textwrap.wrap(", ".join(sorted(found)), WIDTH - 2, initial_indent="  ", subsequent_indent="  ")
    return shown

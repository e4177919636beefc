"""Runs the cases that come with rules: folders of data, and the findings a rule must have on them.

RULE/rule.yml
RULE/positive/01/data/*.csv    RULE/positive/01/results/results.csv
RULE/negative/01/data/*.csv    RULE/negative/01/results/results.csv    Dataset,Record,Variable,Value
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapter.check.evaluate import datasets_of, evaluate, evaluate_files
from adapter.check.frames import FILE_CHECK
from adapter.check.readers import read_package
from adapter.check.rule_model import Rule, Unusable
from adapter.check.rules import load_rule, rule_files
from adapter.check.text import decoded
from adapter.check.world import World
from adapter.errors import InputError

Finding = tuple[str, str, str]
"""Dataset, record ("" for none), variable."""
ALL = 10**9


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: right if `missing` and `extra` are empty; `note` says why it could not be judged."""

    rule: str
    kind: str
    number: str
    missing: tuple[Finding, ...] = ()
    extra: tuple[Finding, ...] = ()
    note: str = ""
    skipped: tuple[str, ...] = ()
    standard: str = ""

    @property
    def right(self) -> bool:
        return not self.note and not self.missing and not self.extra


def run_cases(folder: Path, only: frozenset[str] = frozenset()) -> Iterator[tuple[Rule | Unusable, list[CaseResult]]]:
    """Yield each rule of a folder that has cases, with their results; a rule that cannot be run has none."""
    for path in rule_files(folder):
        found = load_rule(path)
        if only and found.id not in only:
            continue
        cases = sorted(p for kind in ("positive", "negative") for p in path.parent.glob(f"{kind}/*") if p.is_dir())
        if cases:
            yield found, [] if isinstance(found, Unusable) else [run_case(found, c) for c in cases]


def run_case(rule: Rule, case: Path) -> CaseResult:
    """Return what became of one case."""
    kind, number = case.parent.name, case.name
    expected = case / "results" / "results.csv"
    try:
        package = read_package(case / "data", all_files=True)
        wanted = _expected(expected) if expected.is_file() else None
    except InputError as e:
        return CaseResult(rule.id, kind, number, note=str(e))
    settings = package.settings
    standard = f"{settings.get('PRODUCT', '')} {settings.get('VERSION', '').replace('-', '.')}".strip()
    found, skipped = findings(rule, World(package))
    note = ""
    if wanted is None:
        # without results, a positive case must be clean and a negative one must not
        note = (
            ""
            if bool(found) == (kind == "negative")
            else "no results.csv, and the rule " + ("finds something" if found else "finds nothing")
        )
        wanted = found
    return CaseResult(
        rule.id, kind, number, tuple(sorted(wanted - found)), tuple(sorted(found - wanted)), note, skipped, standard
    )


def findings(rule: Rule, world: World) -> tuple[set[Finding], tuple[str, ...]]:
    """Return all (dataset, record, variable) that a rule finds in a package, and why datasets were skipped."""
    found: set[Finding] = set()
    skipped = []
    outcomes = (
        [evaluate_files(rule, world, ALL)]
        if rule.rule_type == FILE_CHECK
        else [evaluate(rule, d, world, ALL) for d in datasets_of(rule, world)]
    )
    for outcome in outcomes:
        if outcome.reason:
            skipped.append(f"{outcome.dataset}: {outcome.status}: {outcome.reason}")
        for issue in outcome.issues:
            record = "" if issue.record is None or rule.sensitivity != "Record" else str(issue.record)
            found |= {(issue.dataset.upper(), record, name) for name in issue.values}
    return found, tuple(skipped)


def _expected(path: Path) -> set[Finding]:
    text, _ = decoded(path.read_bytes())
    table = list(csv.DictReader(io.StringIO(text)))
    for row in table:
        if row.get("Dataset") is None or row.get("Variable") is None:
            raise InputError(f"{path} has not the columns Dataset, Record, Variable, Value")
    return {(r["Dataset"].upper(), _record(r.get("Record") or ""), r["Variable"]) for r in table}


def _record(text: str) -> str:
    return text.strip().removesuffix(".0")

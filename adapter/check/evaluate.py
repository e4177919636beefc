"""Evaluates one rule on one dataset: scope, frame, joins, operations, the check tree, and the findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapter.check import operations_metadata, operations_records, operators  # noqa: F401 - they register
from adapter.check.ask import OPERATORS, Absent, Ask, Unfit
from adapter.check.columns import Bools, grouped
from adapter.check.dataset import Dataset
from adapter.check.frame import Frame
from adapter.check.frames import FILE_CHECK, STUDY, WHOLE_PACKAGE, frames_of, problems
from adapter.check.joins import matched
from adapter.check.operations import with_results
from adapter.check.rule_model import Check, Leaf, Rule, Scope
from adapter.check.world import Skip, World

NOT_THERE = "Not in dataset"
"""What a report shows for a variable that is no column."""
DEFAULT_LIMIT = 1000
FAULTS = (Unfit, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError)
"""What a rule that means nothing on these data can raise: one rule fails then, and the others run."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding. `record` counts from 1 in its dataset; None for a finding about a dataset or the package."""

    dataset: str
    record: int | None
    usubjid: str | None
    seq: int | None
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a rule on one dataset: SUCCESS, ISSUE REPORTED, SKIPPED or EXECUTION ERROR, and why.

    `count` is the true number of findings, of which `issues` holds at most as many as the limit allows.
    """

    dataset: str
    status: str
    reason: str = ""
    message: str = ""
    count: int = 0
    issues: tuple[Issue, ...] = field(default=())


def in_scope(rule: Rule, d: Dataset, world: World) -> str:
    """Return "" for a dataset that a rule is about, else why it is not."""
    if not _domain_in(rule.domains, d):
        return "outside the rule's domains"
    cls = world.library.class_of(d)
    classes = rule.classes
    about = {cls, "FINDINGS"} if cls == "FINDINGS ABOUT" else {cls}
    if classes.include and "ALL" not in classes.include and not about & set(classes.include):
        return "outside the rule's classes"
    if classes.exclude and cls and about & set(classes.exclude):
        return "outside the rule's classes"
    structures = rule.structures
    if structures.include or structures.exclude:
        found = world.library.structure_of(d)
        include = {s.upper() for s in structures.include}
        if (include and "ALL" not in include and found not in include) or found in {
            s.upper() for s in structures.exclude
        }:
            return "outside the rule's data structures"
    return ""


def _domain_in(scope: Scope, d: Dataset) -> bool:
    patterned = {"SUPP--", "SQ--", "AP--", "APFA--"}
    special = d.supplemental or d.associated
    names = {d.domain, d.name} - {""}
    included = not scope.include and not (scope.split and not d.split)
    if scope.include:
        listed = set(scope.include)
        included = bool(names & listed) or "ALL" in listed or (special and _patterns(listed & patterned, d))
    excluded = bool(scope.exclude) and (
        bool((names | {d.whole}) & set(scope.exclude))
        or "ALL" in scope.exclude
        or (special and _patterns(set(scope.exclude) & patterned, d))
    )
    if scope.split is True and d.split and not excluded:
        included = True
    if scope.split is False and d.split:
        excluded = True
    return included and not excluded


def _patterns(wanted: set[str], d: Dataset) -> bool:
    """Whether a dataset is one of SUPP-- (Supplemental Qualifiers, also named SQ--) or AP-- (associated persons)."""
    supplements = d.supplemental and bool(wanted & {"SUPP--", "SQ--"})
    return supplements or (d.associated and bool(wanted & {"AP--", "APFA--"}))


def evaluate(rule: Rule, d: Dataset, world: World, limit: int = DEFAULT_LIMIT) -> Outcome:
    """Return what a rule finds in a dataset that it is about (a split dataset: in all its parts)."""
    try:
        return _found(rule, d, world, limit)
    except Skip as e:
        return Outcome(d.name, "SKIPPED", str(e))
    except FAULTS as e:
        return Outcome(d.name, "EXECUTION ERROR", f"{type(e).__name__}: {e}")


def evaluate_files(rule: Rule, world: World, limit: int = DEFAULT_LIMIT) -> Outcome:
    """Return what a rule of type File Check finds in the package."""
    try:
        found = [_issues(rule, f, _holds(rule.check, f, str, _never, ""), None, limit) for f in problems(None, world)]
    except FAULTS as e:
        return Outcome("", "EXECUTION ERROR", f"{type(e).__name__}: {e}")
    return _outcome(rule, "", rule.message, [f for f in found if f[0]], limit)


def _never(name: str) -> bool:
    return False


def _found(rule: Rule, d: Dataset, world: World, limit: int) -> Outcome:
    found: list[tuple[int, list[Issue]]] = []
    rows = 0
    for frame in frames_of(rule.rule_type, d, world):
        if not frame.rows or _hopeless(rule, frame, d):
            rows += frame.rows
            continue
        frame = with_results(rule, matched(rule, frame, d, world), d, world)
        rows += frame.rows
        if frame.rows:
            mask = _holds(rule.check, frame, d.expand, _variables(rule, d, world), d.prefix)
            if mask.any():
                found.append(_issues(rule, frame, mask, d, limit - sum(len(some) for _, some in found)))
    message = d.expand(rule.message)
    if not rows:
        return Outcome(d.name, "SKIPPED", "the dataset is empty", message)
    return _outcome(rule, d.name, message, found, limit)


def _outcome(rule: Rule, name: str, message: str, found: list[tuple[int, list[Issue]]], limit: int) -> Outcome:
    count = sum(n for n, _ in found)
    if not count:
        return Outcome(name, "SUCCESS", "", message)
    issues = [i for _, some in found for i in some]
    if rule.sensitivity in ("Dataset", "Study") and rule.rule_type != FILE_CHECK:
        issues, count = issues[:1], 1
    issues.sort(key=lambda i: (i.dataset, i.record or 0))
    return Outcome(name, "ISSUE REPORTED", "", message, count, tuple(issues[:limit]))


def _variables(rule: Rule, d: Dataset, world: World) -> Callable[[str], bool]:
    """Return what tells a name of a variable of this domain, or of a joined one, from a text to compare with."""
    if rule.rule_type != "Record Data":
        return _never
    domains = {d.whole, d.suffix, *(m.name for m in rule.matches)} - {""}
    return lambda name: (
        any(name in world.library.names(x) for x in domains) or any(name.startswith(f"{m.name}.") for m in rule.matches)
    )


def _hopeless(rule: Rule, frame: Frame, d: Dataset) -> bool:
    """Whether a leaf that must hold cannot: its column is not there and nothing will bring it. Saves the joins."""
    if rule.matches or (not isinstance(rule.check, Leaf) and rule.check.kind != "all"):
        return False
    leaves = [rule.check] if isinstance(rule.check, Leaf) else [c for c in rule.check.checks if isinstance(c, Leaf)]
    return any(
        leaf.operator not in ("not_exists",) and not leaf.name.startswith("$") and d.expand(leaf.name) not in frame
        for leaf in leaves
    )


def _holds(
    check: Check, frame: Frame, expand: Callable[[str], str], known: Callable[[str], bool], prefix: str
) -> Bools:
    """Return the rows where a check holds."""
    if isinstance(check, Leaf):
        ask = Ask(check, frame, expand, known, prefix)
        try:
            return np.asarray(OPERATORS[check.operator](ask), dtype=bool)
        except Absent:
            return ask.everywhere(False)
    if check.kind == "not":
        return ~_holds(check.checks[0], frame, expand, known, prefix)
    answer = np.full(frame.rows, check.kind == "all", dtype=bool)
    for part in check.checks:
        held = _holds(part, frame, expand, known, prefix)
        answer = answer & held if check.kind == "all" else answer | held
        if answer.all() if check.kind == "any" else not answer.any():
            break
    return answer


def _shown(rule: Rule, frame: Frame, rows: Any, d: Dataset | None) -> list[str]:
    """Return the variables a finding shows: the rule's Output Variables, else those of its check.

    Of the latter a finding about a dataset shows those that there are, if any.

    A result that is a list of variables shows those that there are, too.
    """
    expand = d.expand if d else str
    given = rule.outputs or tuple(leaf.name for leaf in rule.leaves())
    names = list(dict.fromkeys(expand(n) for n in given))
    if not rule.outputs and rule.sensitivity == "Dataset":
        names = [n for n in names if n in frame] or names
    for name in list(names):
        column = frame.get(name)
        if column is not None and column.lists:
            used = np.unique(column.coded[rows])
            listed = dict.fromkeys(e for c in used if c >= 0 for e in column.distinct[c])
            names += [e for e in listed if isinstance(e, str) and e in frame and e not in names]
    return names


def _issues(rule: Rule, frame: Frame, mask: Bools, d: Dataset | None, limit: int) -> tuple[int, list[Issue]]:
    """Return (number of findings, the first of them): one per record, whatever a join made of it."""
    rows = np.flatnonzero(mask)
    names = _shown(rule, frame, rows[:limit], d)
    if rule.sensitivity in ("Dataset", "Study") and rule.rule_type != FILE_CHECK:
        return 1, [_issue(rule, frame, int(rows[0]), names, _sources(frame, rows), None)]
    keys = [frame.sources.groups()[rows], frame.records[rows]]
    if rule.sensitivity == "Group":
        columns = [frame[n].take(rows) for n in (d.expand(g) if d else g for g in rule.grouping) if n in frame]
        first = np.unique(grouped(columns, len(rows)), return_index=True)[1]
    else:
        order = np.lexsort([keys[1], keys[0]])
        new = np.ones(len(rows), dtype=bool)
        new[1:] = (keys[0][order][1:] != keys[0][order][:-1]) | (keys[1][order][1:] != keys[1][order][:-1])
        first = order[new]
    chosen = rows[np.sort(first)]
    cell = frame.sources.cell
    return len(chosen), [_issue(rule, frame, int(r), names, str(cell(int(r)) or ""), d) for r in chosen[:limit]]


def _sources(frame: Frame, rows: Any) -> str:
    used = np.unique(frame.sources.coded[rows])
    return ", ".join(sorted(str(frame.sources.distinct[c]) for c in used if c >= 0))


def _issue(rule: Rule, frame: Frame, row: int, names: list[str], source: str, d: Dataset | None) -> Issue:
    values = {n: frame[n].cell(row) if n in frame else NOT_THERE for n in names}
    if rule.rule_type in WHOLE_PACKAGE:
        return Issue(STUDY, None, None, None, values)
    if d is None:
        return Issue(source, None, None, None, values)
    subject = frame.get("USUBJID")
    number = frame.get(f"{d.domain}SEQ")
    seq = number.cell(row) if number is not None else None
    return Issue(
        dataset=source,
        record=int(frame.records[row]),
        usubjid=_text(subject.cell(row)) if subject is not None else None,
        seq=seq if isinstance(seq, int) else None,
        values=values,
    )


def _text(cell: Any) -> str | None:
    return None if cell is None else str(cell)


def datasets_of(rule: Rule, world: World) -> Iterator[Dataset]:
    """Return the datasets that a rule is run on, in order: of a split domain its first part stands for all."""
    done: set[str] = set()
    for d in world.package.datasets:
        if d.whole not in done and not in_scope(rule, d, world):
            done.add(d.whole)
            yield d

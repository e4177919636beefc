"""The closed list of reasons: every code the program writes is in it, and every code in it is written somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from adapter.intake.reading import Reject
from adapter.reasons import REASONS, kind_of

ROOT = Path(__file__).parents[2]
SOURCES = [
    p
    for folder in ("adapter", "mappings")
    for p in sorted((ROOT / folder).rglob("*.py"))
    if p.name != "reasons.py" and "demo" not in p.parts
]


def texts(node: ast.AST) -> list[str]:
    """Return the string constants under a node; of `code@where` notes the code."""
    found = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [t.partition("@")[0] for t in found]


def trees() -> list[tuple[Path, ast.Module]]:
    return [(p, ast.parse(p.read_text(encoding="utf-8"))) for p in SOURCES]


def called(tree: ast.AST, names: set[str]) -> list[ast.Call]:
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    return [c for c in calls if getattr(c.func, "id", getattr(c.func, "attr", "")) in names]


def test_every_reason_is_used() -> None:
    used = {t for _, tree in trees() for t in texts(tree)}
    assert set(REASONS) - used == set()


def test_every_reason_that_is_given_is_in_the_list() -> None:
    """Arguments named by what they are: Reject(code), drop(where, code), reasons(rows, code), issues_of(…, code, …)."""
    place = {"Reject": 0, "drop": 1, "reasons": 1, "issues_of": 2}
    unknown = []
    for path, tree in trees():
        for call in called(tree, set(place)):
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if len(call.args) > place[name] and isinstance(call.args[place[name]], ast.Constant):
                unknown += [(path.name, t) for t in texts(call.args[place[name]]) if t not in REASONS]
        notes = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)@', path.read_text(encoding="utf-8")))
        unknown += [(path.name, t) for t in notes if t not in REASONS]
    assert unknown == []


def test_a_reason_is_given_for_what_it_is_for() -> None:
    """A reader rejects with a reject; a record that is used gets an issue; a domain drops or rejects."""
    wrong = []
    for path, tree in trees():
        for call in called(tree, {"Reject"}):
            wrong += [(path.name, t) for t in texts(call.args[0]) if kind_of(t) != "reject"]
        for call in called(tree, {"issues_of"}):
            if isinstance(call.args[2], ast.Constant):
                wrong += [(path.name, t) for t in texts(call.args[2]) if kind_of(t) != "issue"]
        for call in called(tree, {"reasons"}):
            if isinstance(call.args[1], ast.Constant):
                wrong += [(path.name, t) for t in texts(call.args[1]) if kind_of(t) == "issue"]
    assert wrong == []


@pytest.mark.parametrize("code", sorted(REASONS))
def test_codes_and_meanings(code: str) -> None:
    reason = REASONS[code]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", code)
    assert kind_of(code) in ("drop", "reject", "issue")
    assert reason.meaning
    assert not reason.meaning.endswith(".")
    assert "\n" not in reason.meaning


def test_meanings_are_told_apart() -> None:
    meanings = [r.meaning for r in REASONS.values()]
    assert len(set(meanings)) == len(meanings)


def test_a_reject_carries_its_reason() -> None:
    reject = Reject("no-id", "id")
    assert (reject.reason, reject.where) == ("no-id", "id")

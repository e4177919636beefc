"""Our own rules: each has a severity, an authority, a positive and a negative case, and all cases are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.check.cases import CaseResult, run_case
from adapter.check.rule_model import Rule
from adapter.check.rules import load_rule
from adapter.check.yaml_safe import parse

FOLDER = Path(__file__).parents[2] / "schemas" / "rules"
RULES = sorted(p.parent for p in FOLDER.glob("*/rule.yml"))


def ids(folders: list[Path]) -> list[object]:
    return [pytest.param(f, id=f.name) for f in folders]


def test_the_rules_were_found() -> None:
    assert len(RULES) > 50


@pytest.mark.parametrize("folder", ids(RULES))
def test_a_rule_says_who_asks_for_it_and_how_bad_it_is(folder: Path) -> None:
    rule = load_rule(folder / "rule.yml")
    assert isinstance(rule, Rule), rule
    assert rule.id == folder.name
    assert rule.standards
    assert all(organisation and ident for organisation, _, _, ident in rule.authorities)
    assert "Severity" in parse((folder / "rule.yml").read_bytes())
    assert rule.message.endswith(".")
    assert len(rule.description) > len(rule.message) / 2


@pytest.mark.parametrize("folder", ids(RULES))
def test_a_rule_is_right_in_a_positive_and_a_negative_case(folder: Path) -> None:
    rule = load_rule(folder / "rule.yml")
    assert isinstance(rule, Rule)
    results: dict[str, list[CaseResult]] = {
        kind: [run_case(rule, c) for c in sorted((folder / kind).iterdir())] for kind in ("positive", "negative")
    }
    assert all(results.values())
    assert [r for found in results.values() for r in found if not r.right] == []
    for kind, some in (("positive", False), ("negative", True)):
        for case in (folder / kind).iterdir():
            expected = (case / "results" / "results.csv").read_text("utf-8").strip().splitlines()[1:]
            assert bool(expected) == some

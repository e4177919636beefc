"""The published CDISC Open Rules with their cases: right, or listed in open_rules_known.csv with the reason."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from adapter.check.cases import run_cases
from adapter.check.rule_model import Unusable
from adapter.check.rules import load_rules, rule_files

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
RULES = SHARED / "open-rules"
KNOWN = Path(__file__).with_name("open_rules_known.csv")

needs_rules = pytest.mark.skipif(not RULES.is_dir(), reason="the published rules are not beside this folder")


@needs_rules
def test_every_published_rule_can_be_run() -> None:
    rules, unusable = load_rules(rule_files(RULES))
    assert len(rules) == 330
    assert unusable == []


@needs_rules
def test_nine_of_ten_rules_are_right_in_all_cases_and_the_others_are_listed() -> None:
    with open(KNOWN, encoding="utf-8", newline="") as f:
        listed = {(r["rule"], r["case"]) for r in csv.DictReader(f) if r["case"]}
    wrong: set[tuple[str, str]] = set()
    rules = right = 0
    for rule, results in run_cases(RULES):
        assert not isinstance(rule, Unusable)
        rules += 1
        right += all(r.right for r in results)
        wrong |= {(rule.id, f"{r.kind}/{r.number}") for r in results if not r.right}
    assert wrong == listed  # a stale row is as wrong as a missing one
    assert rules >= 189
    assert right >= 0.97 * rules

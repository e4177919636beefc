"""The commands that check: `validate` a package, `rules test` and `rules list` for people who write rules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from adapter.commands import say

LIMIT = click.IntRange(min=1)
KEPT = 1000


@click.command(short_help="Check an SDTM or ADaM package.")
@click.argument("folder", metavar="DIR")
@click.option(
    "--rules", metavar="DIR", multiple=True, help="Further rules in CDISC Open Rules format; may be repeated."
)
@click.option("--only-rules", is_flag=True, help="Run the rules of --rules only, not this program's own.")
@click.option("--rule", metavar="ID", multiple=True, help="Run this rule only; may be repeated.")
@click.option("--standard", metavar="NAME", help="sdtmig or adamig.  [default: what the datasets look like]")
@click.option("--standard-version", metavar="V", help="3.4 of sdtmig, 1.3 of adamig.")
@click.option("--ct", metavar="PACKAGE", help="Controlled terminology, such as sdtm_2025-03-28.  [default: the newest]")
@click.option("--define", metavar="FILE", help="A define.xml other than the folder's.")
@click.option("--json", "json_file", metavar="FILE", help="Write the report as JSON, with CORE's field names.")
@click.option("--html", metavar="FILE", help="Write the report as one HTML page with filters.")
@click.option("--xlsx", metavar="FILE", help="Write the report as an Excel workbook.")
@click.option("--sarif", "sarif_file", metavar="FILE", help="Write the findings as SARIF 2.1.0.")
@click.option("--compare", "compare_with", metavar="FILE", help="Compare the findings with a JSON report of CORE.")
@click.option("--limit", metavar="N", type=LIMIT, default=KEPT, show_default=True, help="Findings kept per rule.")
@click.option("--workers", metavar="N", type=click.IntRange(min=1), help="Processes.  [default: all processors]")
def validate(
    folder: str,
    json_file: str | None,
    html: str | None,
    xlsx: str | None,
    sarif_file: str | None,
    standard: str | None,
    standard_version: str | None,
    **told: Any,
) -> int:
    """Check the datasets and define.xml of a folder: XPT, Dataset-JSON, NDJSON, Parquet or CSV, from any source.

    Exit code 0: no finding. 1: findings, or a file or rule that failed. 2: bad arguments, or nothing could be checked.
    """
    from adapter.progress import Shown
    from adapter.report.as_text import lines
    from adapter.validate import validate as run
    from adapter.validate import write_reports

    if standard and not standard_version:
        standard_version = {"sdtmig": "3.4", "adamig": "1.3"}.get(standard.lower())
    if standard_version and not standard:
        standard = "sdtmig"
    with Shown(sys.stderr) as progress:
        found = run(folder, standard=standard, standard_version=standard_version, progress=progress, **told)
    say(lines(found.checked, found.report.get("Comparison")))
    for path in write_reports(found, json_file, html, xlsx, sarif_file):
        click.echo(f"Report: {path}", err=True)
    return found.exit_code


@click.group(short_help="Rules for `validate`: test them, list what is supported.")
def rules() -> None:
    """Rules in the format of the CDISC Open Rules: run their cases, and see what of the format is supported."""


@rules.command("test", short_help="Run the cases that come with rules.")
@click.argument("folder", metavar="DIR")
@click.option("--rule", metavar="ID", multiple=True, help="Test this rule only; may be repeated.")
@click.option("--all", "every", is_flag=True, help="Show the cases that are right, too.")
def test_rules(folder: str, rule: tuple[str, ...], every: bool) -> int:
    """Run every case below the rules of a folder: RULE/positive/01/data and RULE/negative/01/data, with the findings
    expected in results/results.csv (Dataset, Record, Variable, Value).

    Exit code 0: every case is right. 1: some are not, or a rule cannot be run. 2: no rule is there.
    """
    from adapter.check.cases import run_cases
    from adapter.report.cases_text import case_lines, closing

    results = []
    for one in run_cases(Path(folder), frozenset(rule)):
        say(case_lines(*one, every))
        results.append(one)
    text, good = closing(results)
    say(text)
    return 0 if good else 1


@rules.command("list", short_help="List rules, and what is supported.")
@click.argument("folder", metavar="[DIR]", required=False)
def list_rules(folder: str | None) -> int:
    """List the rules of a folder (default: this program's own) with type and severity, and why one cannot be run.

    Then what of the format is supported: rule types, operators, operations.
    """
    from adapter.check.rules import load_rules, rule_files
    from adapter.report.cases_text import rule_lines
    from adapter.validate import our_rules

    say(rule_lines(*(load_rules(rule_files(Path(folder))) if folder else our_rules())))
    return 0

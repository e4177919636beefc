"""Commands that look and build nothing, and what all commands share: printing, and the option that names a trial."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

TRIAL = "pgf_msc"
TRIAL_OPTION = click.option(
    "--trial", metavar="NAME|DIR", default=TRIAL, show_default=True, help="Shipped trial, or a folder."
)


def say(lines: Iterable[str]) -> None:
    """Print to stdout. Where its reader has gone away (`| head`), the rest is not printed and the exit code stays."""
    try:
        for line in lines:
            click.echo(line)
    except BrokenPipeError:
        swallow(sys.stdout.fileno())


def swallow(handle: int) -> None:
    """Send what is still written to a stream nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, handle)
    os.close(nowhere)


@click.group(short_help="Check a hospital's codes and units.")
def codes() -> None:
    """A hospital's codes and units: what is mapped, and what is not."""


@codes.command(short_help="List codes and units that no table knows.")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--enrolment", metavar="FILE", help="Look at its subjects only (CSV).  [default: all patients]")
@TRIAL_OPTION
@click.option("--site", metavar="DIR", help="Folder with own code maps.  [default: site beside the log]")
@click.option("--out", metavar="DIR", help="Write codes.csv and units.csv to fill in here.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
def check(inputs: tuple[str, ...], out: str | None, as_json: bool, **told: Any) -> int:
    """List the codes and units in FHIR files that no table knows, the most frequent first. Nothing is built.

    Exit code 0: every code and unit is known. 3: some are not. 2: bad arguments or unreadable input.
    """
    from adapter.codes_check import check_codes
    from adapter.codes_report import answer, write_skeletons
    from adapter.progress import Shown

    with Shown(sys.stderr) as progress:
        found = check_codes(inputs, progress=progress, **told)
    say(answer(found, as_json))
    for path in write_skeletons(found, Path(out), told["site"], told["enrolment"]) if out else ():
        click.echo(f"To fill in: {path}", err=True)
    return 0 if found.complete else 3


@click.command(short_help="Show where a value of a dataset came from.")
@click.argument("out", metavar="OUT")
@click.argument("dataset", metavar="DATASET")
@click.argument("usubjid", metavar="USUBJID")
@click.argument("which", metavar="[PARAMCD|SEQ]", required=False)
@click.option("--site", metavar="DIR", help="Private folder of the site: its link files give the real resource ids.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole chain as JSON.")
def trace(out: str, dataset: str, usubjid: str, which: str | None, site: str | None, as_json: bool) -> int:
    """Show the chain of each value of a record: rule, SDTM records, FHIR resource, file and line.

    OUT is the folder of a build. A record is named by PARAMCD or by its number (ASEQ, --SEQ); without either all records of
    the subject are shown.

    Exit code 0: shown. 2: no such build, dataset, subject or record.
    """
    from adapter import trace_report
    from adapter.trace import trace as chain

    found = chain(out, dataset, usubjid, which, site)
    say([trace_report.as_json(found)] if as_json else trace_report.as_lines(found))
    return 0


@click.command(short_help="List the safety signals of a build.")
@click.argument("out", metavar="OUT")
@TRIAL_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print one row per finding and source line as CSV.")
def signals(out: str, trial: str, as_json: bool, as_csv: bool) -> int:
    """List suspension and dose-modification signals, infusion reactions, events unresolved at last contact, and laboratory
    results that may be adverse events, each with its source records.

    OUT is the folder of a build. A finding marked ? is open: a date, grade or relationship is not known.

    Exit code 0: listed. 4: there is a suspension signal. 2: no such build, or one of another trial.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    from adapter import signals_report
    from adapter.signals import signals_of

    found = signals_of(out, trial)
    if as_json or as_csv:
        say([signals_report.as_json(found) if as_json else signals_report.as_csv(found).removesuffix("\n")])
    else:
        say(signals_report.as_lines(found))
    return 4 if found.suspended else 0


@click.command(short_help="Write the protocol's tables of a build.")
@click.argument("out", metavar="OUT")
@TRIAL_OPTION
@click.option("--overwrite", is_flag=True, help="Replace an earlier analysis in the folder.")
def analyse(out: str, trial: str, overwrite: bool) -> int:
    """Write the primary, secondary and safety tables of a build to OUT/analysis, as HTML and CSV, with the analysis-results
    dataset (results.csv), and Analysis Results Metadata to OUT/adam/define.xml.

    A table whose dataset is not in the package is named as not built.

    Exit code 0: written. 2: no such build, no analysis datasets, or an earlier analysis without --overwrite.
    """
    from adapter.analyse import PAGE
    from adapter.analyse import analyse as run
    from adapter.progress import aligned

    done = run(out, trial, overwrite)
    rows = [("Table", "results", "not estimable", "")]
    rows += [(t.id, f"{len(t.results):,}", f"{sum(bool(r.why) for r in t.results):,}", t.title) for t in done.tables]
    say([f"Study {done.study}, data cut {done.data_cut}", "", *aligned(rows, {1, 2}), "", *done.not_built])
    say([f"Analysis: {done.folder / PAGE}"])
    return 0

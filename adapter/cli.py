"""The command fhir2cdisc: argument parsing, progress and exit codes; the work is done by adapter.run and its like.

Exit codes: 0 done; 3 done, but `build` rejected something, or `codes check` found what no table knows; 4 `signals` found
a suspension signal; 5 done, and `build --validate` found something; 2 bad arguments or input that cannot be read; 1 any
other failure, and findings of `validate` and `rules test`; 130 and 143 stopped by Ctrl-C or SIGTERM. Results go to stdout,
progress and errors to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path
from types import FrameType
from typing import Any

import click

from adapter import __version__
from adapter.commands import TRIAL, TRIAL_OPTION, analyse, codes, say, signals, swallow, trace
from adapter.errors import AdapterError, InputError, OutputError, unknown
from adapter.validate_commands import rules, validate
from adapter.writers.formats import SUFFIXES, chosen

PROGRAM = "fhir2cdisc"
STAGING = ".writing-"
STOPS = {int(signal.SIGINT): "Ctrl-C", int(signal.SIGTERM): "SIGTERM"}


class Stopped(BaseException):
    """A signal came. Not an Exception, so that it passes every handler but those that clean up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(args: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Known errors become one message on stderr, never a traceback."""
    # a title or path that this terminal's encoding lacks is shown escaped
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    before = {number: signal.signal(number, _stop) for number in STOPS}
    try:
        code = cli.main(None if args is None else list(args), prog_name=PROGRAM, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except AdapterError as e:
        _complain(e.message)
        return e.exit_code
    except click.exceptions.NoArgsIsHelpError as e:
        click.echo(e.format_message(), err=True)
        return 2
    except click.UsageError as e:
        path = e.ctx.command_path if e.ctx else PROGRAM
        _complain(f"{e.format_message()}\nTry '{path} --help'.")
        return 2
    except Stopped as e:
        _complain(f"stopped by {STOPS[e.number]}")
        return 128 + e.number
    except OSError as e:
        _complain(f"{e.filename}: {e.strerror}" if e.filename and e.strerror else str(e))
        return 1
    except ModuleNotFoundError as e:
        _complain(f"the Python package {e.name} is missing or broken; `{PROGRAM} doctor` lists what is needed")
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def _complain(message: str) -> None:
    try:
        click.echo(f"{PROGRAM}: {message}", err=True)
    except BrokenPipeError:
        swallow(sys.stderr.fileno())


def _formats(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        chosen(value)
    except InputError as e:
        raise click.BadParameter(e.message) from e
    return value


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """Hospital FHIR in, CDISC SDTM submission datasets with define.xml and proof out."""


@cli.command(short_help="Write a made-up hospital to try the program on.")
@click.option("--subjects", metavar="N", type=int, help="Randomised subjects.  [default: the trial's number]")
@click.option("--seed", metavar="S", type=int, help="Seed; the same seed gives the same bytes.")
@click.option("--trial", metavar="NAME", default=TRIAL, show_default=True, help="Shipped trial to make up data for.")
@click.option("--out", metavar="DIR", required=True, help="New or empty folder to write to.")
def demo(subjects: int | None, seed: int | None, trial: str, out: str) -> None:
    """Write a made-up hospital: FHIR files and the enrolment log of a trial."""
    write = _demo_of(trial)
    told = {k: v for k, v in (("subjects", subjects), ("seed", seed)) if v is not None}
    folder = Path(out)
    staging = _empty_folder(folder)
    try:
        counts = write(staging, **told)
        for path in sorted(staging.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    resources = sum(n for kind, n in counts.items() if kind[:1].isupper())
    log, fhir = folder / "enrolment.csv", folder / "fhir"
    say(
        [
            f"Wrote {counts['subjects']:,} randomised subjects of trial {trial}, {resources:,} FHIR resources:",
            f"  {fhir}  FHIR R4: NDJSON and Bundles",
            f"  {log}  the enrolment log",
            f"Next: {PROGRAM} build {shlex.quote(str(fhir))} --enrolment {shlex.quote(str(log))} --out out",
        ]
    )


def _demo_of(trial: str) -> Callable[..., dict[str, int]]:
    """Return write_cohort of the trial's demo package. Raises InputError where the trial ships none."""
    from adapter.trial import find_trials

    shipped = find_trials()
    if trial not in shipped:
        raise InputError(unknown("trial", trial, list(shipped)))
    name = f"mappings.trials.{trial}.demo"
    try:
        made: Callable[..., dict[str, int]] = importlib.import_module(name).write_cohort
    except ModuleNotFoundError as e:
        if not f"{name}.".startswith(f"{e.name}."):
            raise  # something that the demo itself imports
        raise InputError(f"trial {trial} ships no demo data (package {name} not found)") from e
    return made


def _empty_folder(folder: Path) -> Path:
    """Return a new staging folder inside an empty folder; refuse a folder with anything in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted(p for p in folder.iterdir() if not p.name.startswith(STAGING))
        if found:
            raise OutputError(f"{folder} is not empty, the first entry is {found[0].name}; nothing was written")
        for leftover in folder.iterdir():
            shutil.rmtree(leftover)
        staging = folder / f"{STAGING}{os.getpid()}"
        staging.mkdir()
    except OSError as e:
        raise OutputError(f"cannot write to {folder}: {e.strerror or e}") from e
    return staging


@cli.command(short_help="Build the SDTM package of FHIR input.")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--enrolment", metavar="FILE", help="Enrolment log (CSV).  [default: who ResearchSubject names]")
@TRIAL_OPTION
@click.option(
    "--site", metavar="DIR", help="Private folder: key, link file, own code maps.  [default: site beside the log]"
)
@click.option("--store", metavar="DIR", help="Keep what was read here, and read only new files next time.")
@click.option(
    "--coding", metavar="DIR", help="The sponsor's coding: meddra.csv, whodrug.csv, translations.csv, versions.csv."
)
@click.option("--cutoff", metavar="DATE", help="Data cut, YYYY-MM-DD.  [default: the last day in the data]")
@click.option("--timestamp", metavar="T", help="Time the outputs carry, YYYY-MM-DDThh:mm:ss.  [default: the data cut]")
@click.option(
    "--format",
    metavar="F,F,...",
    default="xpt",
    show_default=True,
    callback=_formats,
    help=f"One or more of {', '.join(SUFFIXES)}.",
)
@click.option("--workers", metavar="N", type=click.IntRange(min=1), help="Processes.  [default: all processors]")
@click.option("--strict", is_flag=True, help="Check the subjects' resources with fhir.resources: strict.csv.")
@click.option("--validate", is_flag=True, help="Run this program's rules over the package: validation*.json, .html.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier build in the output folder.")
@click.option("--out", metavar="DIR", required=True, help="Folder for the package; new, empty, or an earlier build.")
def build(inputs: tuple[str, ...], out: str, workers: int | None, **told: Any) -> int:
    """Build the SDTM and ADaM package of FHIR files, folders of them, or a store.

    Exit code 0: done. 3: done, but something could not be used (rejects.ndjson). 5: done, and --validate found something.
    2: bad arguments or unreadable input. 1: any other failure.
    """
    from adapter.progress import Shown, closing_table
    from adapter.run import build as run

    if workers != 1:
        _shield_workers()
    with Shown(sys.stderr) as progress:
        result = run(inputs, out, workers=workers, progress=progress, **told)
    rejected = _rejected(result.out)
    say(
        [*closing_table(result.counts, result.manifest["subjects"], result.out, rejected), "", f"Package: {result.out}"]
    )
    if result.counts["rejects"]:
        _complain(
            f"exit code {result.exit_code}: the package is complete, but {result.counts['rejects']:,} "
            f"resources could not be used; each is in {result.out / 'rejects.ndjson'} with its reason"
        )
    if found := ", ".join(f"{n:,} {s}" for s, n in result.counts.get("findings", {}).items() if n):
        _complain(f"exit code {result.exit_code}: validation found {found}; see validation*.html in {result.out}")
    return result.exit_code


def _shield_workers() -> None:
    """Start the server of worker processes deaf to Ctrl-C, so that only this process answers, with one line."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with suppress(OSError):  # who starts the workers meets it again, and says what it was doing
            forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def _rejected(out: Path) -> Counter[str]:
    with open(out / "rejects.ndjson", encoding="utf-8") as f:
        return Counter(str(json.loads(line)["reason"]) for line in f)


cli.add_command(codes)
cli.add_command(trace)
cli.add_command(signals)
cli.add_command(analyse)
cli.add_command(validate)
cli.add_command(rules)


@cli.command()
def domains() -> None:
    """List the datasets that are built, and what each is made from."""
    from adapter.progress import aligned
    from adapter.registry import shipped
    from adapter.spec import Dataset
    from adapter.spec import Path as Element

    def sources(d: Dataset) -> str:
        named = {f for v in d.variables if isinstance(v.source, Element) for f in v.source.fhir}
        kinds = {f.split(".")[0] if re.match(r"[A-Z]\w*\.", f) else f.split(":")[0] for f in named}
        return ", ".join(sorted(kinds, key=lambda k: (k[0].islower(), k)))

    rows = [("Dataset", "label", "variables", "made from")]
    for d in sorted(shipped(), key=lambda d: d.name):
        more = f" + {len(d.supplemental)}" if d.supplemental else ""
        rows.append((d.name, d.label, f"{len(d.main)}{more}", sources(d)))
    say([*aligned(rows), "", "n + m: m variables go to SUPP--. What every variable is made from: OUT/sdtm/define.xml."])


@cli.command()
def trials() -> None:
    """List the shipped trials, and say how to name one's own."""
    from adapter.progress import WIDTH, aligned
    from adapter.trial import find_trials, load_trial

    rows = [("Name", "study", "arms", "time zone")]
    titles: list[str] = []
    for name, folder in find_trials().items():
        trial = load_trial(folder)
        rows.append((name, trial.study.id, ", ".join(trial.arms), trial.study.time_zone))
        titles += ["", *textwrap.wrap(f"{name}: {trial.study.title}", WIDTH), f"  {folder}"]
    own = f"A trial of your own is a folder like these, named by its path: {PROGRAM} build ... --trial DIR"
    say([*aligned(rows), *titles, "", own])


@cli.command(short_help="Check whether this machine is fit.")
def doctor() -> int:
    """Check whether this machine is fit: packages, disk, memory, worker processes, time zones, a small build."""
    from adapter.doctor import check_machine
    from adapter.progress import aligned

    _shield_workers()
    checks = list(check_machine())
    rows = [("", "check", "found", "needed")]
    rows += [("ok" if c.ok else "FAIL", c.what, c.found, c.needed) for c in checks]
    bad = sum(not c.ok for c in checks)
    say([*aligned(rows), "", f"{bad} of {len(checks)} checks failed" if bad else "This machine is fit."])
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())

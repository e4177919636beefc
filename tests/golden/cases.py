"""Golden cases: tests/golden/<case>/{input/*.ndjson, enrolment.csv, expected/*.csv}, built and read as text tables.

An expected file begins with comment lines (`# ...`), then a CSV with the columns that matter for the case; other
variables are not looked at. Its rows are in the order of the dataset, so that keys and --SEQ are checked too. Where a
comment says "these among others", only rows whose first two cells stand in the file are looked at.

    <dataset>.csv   rows of the dataset (also suppdm.csv ..., and of the analysis datasets those that a case is about)
    rejects.csv     file, line, reason of every line of rejects.ndjson
    issues.csv      USUBJID, dataset, code of every line of data-issues.csv (of EVERYWHERE: where the case has their file)
    drops.csv       resource_type, reason, count of every resource that was not used, whatever the reason
    unmapped.csv    resource_type, code, text, used, count

A case may have `site/` (code maps of the site), `coding/` (the sponsor's coding), `options` (cutoff) and `trial.toml` (lines
that take the place of the shipped trial's, under its headings).
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd

from adapter import build
from adapter.result import Result
from adapter.trial import find_trials
from tests.conftest import WHOLE, datasets_of, make_site

FOLDER = Path(__file__).parent
ALWAYS = ("rejects", "issues", "drops", "unmapped")
"""Expected in every case: nothing falls away unseen."""
EVERYWHERE = frozenset(["DS", "DV", "SUPPDV", "IE", "SE", "SV", "TA", "TE", "TI", "TS", "TV"])
EVERYWHERE |= {"ADSL", "ADLB", "ADVS", "ADEX", "ADTB", "ADCM", "ADAE", "ADCE", "ADRS", "ADTTE"}
"""Made of the trial, the log and the course of each subject, whatever resources came in: a case that is about something
else need not look at them, nor at their data issues."""
AMONG = "these among others"


def cases() -> list[str]:
    return sorted(p.name for p in FOLDER.iterdir() if (p / "enrolment.csv").is_file())


def expected_files(case: str) -> list[str]:
    return sorted(p.stem for p in (FOLDER / case / "expected").glob("*.csv"))


def build_case(case: str, folder: Path) -> Result:
    """Build a case in one process into a new folder; the site has the tests' key and the case's own maps, if any."""
    here = FOLDER / case
    site = make_site(folder / "site")
    for own in sorted((here / "site").glob("*.csv")):
        (site / own.name).write_bytes(own.read_bytes())
    log, options = here / "enrolment.csv", dict(_options(here))
    coding = here / "coding" if (here / "coding").is_dir() else None
    analysed = any(name.startswith("ad") for name in expected_files(case))
    with datasets_of(*(WHOLE if analysed else ["mappings.sdtm"])):
        return build(
            here / "input", out=folder / "out", enrolment=log, site=site, cutoff=options.get("cutoff"), workers=1,
            trial=_trial(here, folder), coding=coding,
        )  # fmt: skip


def _trial(here: Path, folder: Path) -> str | Path:
    """Return the trial of a case: the shipped one, or that with lines of `trial.toml` of the case under their headings."""
    shipped = find_trials()["pgf_msc"]
    own = here / "trial.toml"
    if not own.exists():
        return "pgf_msc"
    shutil.copytree(shipped, folder / "trial", ignore=shutil.ignore_patterns("demo", "*.py", "__pycache__"))
    text = (folder / "trial/trial.toml").read_text(encoding="utf-8")
    heading = ""
    for line in own.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            heading = f"\n{line}\n"
            text += heading if heading not in text else ""
        elif "=" in line and not line.startswith("#"):
            key = line.partition(" ")[0]
            before, mark, section = text.partition(heading)
            here, end, after = section.partition("\n[")
            here = "".join(x for x in here.splitlines(keepends=True) if x.partition(" ")[0] != key)
            text = before + mark + f"{line}\n" + here + end + after
    (folder / "trial/trial.toml").write_text(text, encoding="utf-8")
    return folder / "trial"


def _options(here: Path) -> Iterator[tuple[str, str]]:
    """Yield the case's build options: a file `options` with `name = value` lines."""
    path = here / "options"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        name, _, value = line.partition("=")
        yield name.strip(), value.strip()


def read_expected(case: str, name: str) -> tuple[list[str], list[str], list[list[str]]]:
    """Return comment lines, columns and rows of an expected file."""
    lines = (FOLDER / case / "expected" / f"{name}.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    comments = [line for line in lines if line.startswith("#")]
    rows = list(csv.reader(io.StringIO("".join(lines[len(comments) :]), newline=""), strict=True))
    return comments, rows[0], rows[1:]


def write_expected(case: str, name: str, comments: list[str], columns: list[str], rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *rows])
    path = FOLDER / case / "expected" / f"{name}.csv"
    path.write_text("".join(comments) + text.getvalue(), encoding="utf-8")


def compared(result: Result, case: str, name: str) -> tuple[list[list[str]], list[list[str]]]:
    """Return the rows of an expected file, and what the build gave for it."""
    comments, columns, rows = read_expected(case, name)
    found = observed(result, name, columns, expected_files(case))
    if any(AMONG in line for line in comments):
        known = {tuple(r[:2]) for r in rows}
        found = [r for r in found if tuple(r[:2]) in known]
    return rows, found


def observed(result: Result, name: str, columns: list[str], looked_at: Collection[str] = ()) -> list[list[str]]:
    """Return the rows of one output of a build, the named columns only, as text. looked_at: the case's expected files."""
    if name == "rejects":
        frame = result.rejects if result.counts["rejects"] else pd.DataFrame(columns=columns)
    elif name == "issues":
        passed_over = EVERYWHERE - {n.upper() for n in looked_at}
        frame = result.issues[~result.issues["dataset"].isin(passed_over)]
    elif name == "unmapped":
        frame = result.unmapped
    elif name == "drops":
        rows = [
            (kind, reason, n)
            for kind, found in sorted(result.counts["resources"].items())
            for reason, n in sorted(found["dropped"].items())
        ]
        frame = pd.DataFrame(rows, columns=["resource_type", "reason", "count"])
    else:
        dataset = name.upper()
        # a dataset without a record is not written; a Perm variable without a value is not in it
        made = result.adam if dataset in result.adam else result.sdtm
        frame = made[dataset] if dataset in made else pd.DataFrame(columns=columns)
        frame = frame.reindex(columns=[*frame.columns, *(c for c in columns if c not in frame)])
    return [[_text(v) for v in row] for row in frame[columns].itertuples(index=False, name=None)]


def _text(value: object) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else repr(value)
    return str(value)

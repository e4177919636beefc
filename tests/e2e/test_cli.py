"""The command fhir2cdisc as people and cron meet it: help, exit codes, messages, progress, closing table."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import pytest

from adapter import cli, doctor
from adapter.doctor import Check, check_machine, numbers, packages
from adapter.errors import AdapterError
from adapter.progress import WIDTH, Shown, closing_table
from adapter.result import Result
from tests.conftest import Cohort, lines_of, make_site

REPO = Path(__file__).parents[2]
COMMANDS = {
    " ".join([name, *inner]): command
    for name, top in cli.cli.commands.items()
    for inner, command in ([([n], c) for n, c in top.commands.items()] if isinstance(top, click.Group) else [([], top)])
}
ENV = os.environ | {"PYTHONPATH": str(REPO), "TERM": "xterm", "COLUMNS": "100"}
HEADER = "patient,subjid,siteid,arm,consent_date,randomisation_date\n"
ROW = "p1,001,01,MSC,2024-01-01,2024-01-02\n"
PATIENT = '{"resourceType":"Patient","id":"p1","gender":"female","birthDate":"1980-05-01"}\n'


def run(*args: object, cwd: Path | None = None, entry: tuple[str, ...] = ("-m", "adapter.cli")) -> tuple[int, str, str]:
    """Run the command in a process of its own, without a terminal; return exit code, stdout, stderr."""
    command = [sys.executable, *entry, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENV, cwd=cwd, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def tiny(folder: Path, log: str = HEADER + ROW, lines: str = PATIENT) -> tuple[Path, Path]:
    """Write a hospital of one Patient and its log; return (input folder, log)."""
    make_site(folder / "site")
    (folder / "fhir").mkdir()
    (folder / "fhir" / "Patient.ndjson").write_text(lines, "utf-8")
    (folder / "log.csv").write_text(log, "utf-8")
    return folder / "fhir", folder / "log.csv"


# --- help and documentation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_for_every_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in shown
            assert parameter.help, f"{name} {parameter.opts[0]} says nothing about itself"
    assert shown.isascii()


def documented() -> dict[str, set[str]]:
    """Return command -> options, as the table in README lists them."""
    rows = re.findall(
        r"^\| `fhir2cdisc ?([a-z ]*[a-z]|)[^`]*` \| ([^|]*)\|", (REPO / "README.md").read_text("utf-8"), re.M
    )
    return {name: set(re.findall(r"`(--[a-z-]+)`", options)) for name, options in rows}


def test_the_readme_lists_every_command_and_option_and_no_other() -> None:
    real = {n: {p.opts[0] for p in c.params if isinstance(p, click.Option)} for n, c in COMMANDS.items()}
    top = {p.opts[0] for p in cli.cli.params if isinstance(p, click.Option)}
    assert documented() == {**real, "": top}


def test_build_has_the_options_that_the_python_api_has() -> None:
    import inspect

    from adapter import build

    python = set(inspect.signature(build).parameters) - {"progress", "executor", "range_bytes"}
    assert {p.name for p in COMMANDS["build"].params} == python


@pytest.mark.parametrize("entry", [("-m", "adapter.cli"), (str(REPO / "cli.py"),)], ids=["module", "cli.py"])
def test_both_ways_in_work_from_any_folder(entry: tuple[str, ...], tmp_path: Path) -> None:
    import adapter

    assert run("--version", cwd=tmp_path, entry=entry) == (0, f"fhir2cdisc {adapter.__version__}\n", "")


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "Commands:" in capsys.readouterr().err


# --- a whole run -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def piped(demo10: Cohort, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, str, Path]:
    """A build of the small demo without a terminal: exit code, stdout, stderr, OUT."""
    out = tmp_path_factory.mktemp("piped") / "out"
    arguments = ("--enrolment", demo10.log, "--site", demo10.site, "--workers", 2, "--out", out)
    return *run("build", demo10.fhir, *arguments), out


def test_rejects_give_exit_code_3_with_number_reasons_and_file(piped: tuple[int, str, str, Path]) -> None:
    code, shown, errors, out = piped
    lines = (out / "rejects.ndjson").read_text("utf-8").splitlines()
    assert code == 3
    assert lines
    last = errors.splitlines()[-1]
    assert last.startswith("fhir2cdisc: ")
    assert f"{len(lines)} resources" in last
    assert str(out / "rejects.ndjson") in last
    for reason in {json.loads(line)["reason"] for line in lines}:
        number = sum(json.loads(line)["reason"] == reason for line in lines)
        assert re.search(rf"^  {reason} +{number}  \w", shown, re.M)


def test_without_a_terminal_each_stage_is_one_plain_line(piped: tuple[int, str, str, Path]) -> None:
    _, shown, errors, _ = piped
    assert "\r" not in shown + errors
    assert "\x1b" not in shown + errors
    stages = errors.splitlines()[:-1]
    assert [s.split(":")[0] for s in stages] == [
        "Looking for patients",
        "Reading resources",
        "Sorting by subject",
        "Finding the data cut",
        "Mapping subjects",
        "Writing datasets",
    ]
    assert all(re.fullmatch(r"[\w ]+: (\d+) of \1, \d+\.\d s", s) for s in stages)


def table_of(shown: str) -> dict[str, tuple[int, int, int, dict[str, int]]]:
    """Parse the first block of the closing table: type -> read, used, dropped, reasons."""
    rows: dict[str, tuple[int, int, int, dict[str, int]]] = {}
    heading, *lines = shown.split("\n\n")[0].splitlines()
    because = heading.index("because")
    name = ""
    for line in lines:
        left, right = line[:because].split(), line[because:]
        if left:
            name = left[0]
            read, used, dropped = (int(n.replace(",", "")) for n in left[1:])
            rows[name] = (read, used, dropped, {})
        rows[name][3].update({r: int(n.replace(",", "")) for r, n in re.findall(r"([a-z-]+) ([\d,]+\d|\d)", right)})
    return rows


def test_the_closing_table_balances_and_counts_every_line_of_the_input(
    piped: tuple[int, str, str, Path], demo10: Cohort
) -> None:
    rows = table_of(piped[1])
    total = rows.pop("All")
    for name, (read, used, dropped, reasons) in rows.items():
        assert read == used + dropped, name
        assert dropped == sum(reasons.values()), name
    columns = zip(*(row[:3] for row in rows.values()), strict=True)
    assert total[:3] == tuple(map(sum, columns))
    lines = [line for found in lines_of(demo10.fhir).values() for line in found]
    types = Counter(re.findall(rb'"resourceType":"(\w+)"', line)[0].decode() for line in lines)
    types["Observation"] += types.pop("Bundle")  # the deletion of one
    assert {name: read for name, (read, *_) in rows.items()} == types
    assert total[0] == len(lines)


def test_the_closing_table_counts_the_records_that_were_written(piped: tuple[int, str, str, Path]) -> None:
    """A dataset that could have had records, and is listed in define.xml without data, has 0."""
    block = next(b for b in piped[1].split("\n\n") if b.startswith("Dataset"))
    shown = {w[0]: int(w[1].replace(",", "")) for w in (line.split() for line in block.splitlines()[1:])}
    sdtm = Result(piped[3], {}).sdtm
    define = (piped[3] / "sdtm/define.xml").read_text("utf-8")
    empty = re.findall(r'<ItemGroupDef [^>]*\bName="(\w+)"[^>]*\bdef:HasNoData="Yes"', define)
    assert empty
    adam = Result(piped[3], {}).adam
    assert shown == {name: len(d[name]) for d in (sdtm, adam) for name in d} | dict.fromkeys(empty, 0)


def test_the_closing_table_stays_within_100_columns_however_large_the_numbers() -> None:
    reasons = {f"reason-number-{n}-of-many": 10**9 - n for n in range(12)}
    resources = {"BiologicallyDerivedProduct": {"read": 3 * 10**10, "used": 10**10, "dropped": reasons}}
    counts: dict[str, Any] = {"resources": resources, "records": {"LB": 10**9, "SUPPLB": 2}, "data_cut": "2024-01-01"}
    counts |= {"rejects": 0, "issues": 7, "unmapped": 0, "passed_over": 3}
    lines = closing_table(counts, 5, Path("out"), {})
    assert max(map(len, lines)) <= WIDTH == 100
    assert all(any(reason in line and f"{n:,}" in line for line in lines) for reason, n in reasons.items())
    text = "\n".join(lines)
    assert "Supplemental Qualifiers for LB" in text
    assert re.search(r"Data issues +7  out/data-issues.csv", text)
    assert re.search(r"Files passed over +3 ", text)
    assert "rejects.ndjson" not in text  # an empty file is not worth naming
    assert not any(line != line.rstrip() for line in lines)


def test_a_clean_build_ends_with_0_and_twice_needs_overwrite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fhir, log = tiny(tmp_path)
    command = ["build", str(fhir), "--enrolment", str(log), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert cli.main(command) == 0
    shown = capsys.readouterr()
    assert "Rejected because" not in shown.out
    assert "exit code" not in shown.err
    before = snapshot(tmp_path / "out")
    assert cli.main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert snapshot(tmp_path / "out") == before
    assert cli.main([*command, "--overwrite"]) == 0
    after = snapshot(tmp_path / "out")
    before.pop("run.json"), after.pop("run.json")
    assert after == before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_options_reach_the_build(tmp_path: Path) -> None:
    fhir, log = tiny(tmp_path)
    (tmp_path / "site").rename(tmp_path / "elsewhere")
    trial = REPO / "mappings" / "trials" / "pgf_msc"
    options = {"enrolment": log, "site": tmp_path / "elsewhere", "store": tmp_path / "store", "trial": trial}
    texts = {"cutoff": "2024-03-05", "timestamp": "2024-04-06T07:08:09", "workers": "1", "format": "csv,xpt"}
    out = tmp_path / "out"
    named = [f"--{k}={v}" for k, v in {**options, **texts, "out": out}.items()]
    assert cli.main(["build", str(fhir), *named]) == 0
    request = json.loads((out / "run.json").read_bytes())["request"]
    assert {k: request[k] for k in options} == {k: str(v) for k, v in options.items()}
    assert (request["cutoff"], request["timestamp"], request["workers"]) == ("2024-03-05", "2024-04-06T07:08:09", 1)
    assert request["format"] == ["xpt", "csv"]
    assert (out / "sdtm" / "dm.csv").is_file()
    assert json.loads((out / "manifest.json").read_bytes())["data_cut"] == "2024-03-05"
    assert "2024-04-06T07:08:09" in (out / "sdtm" / "define.xml").read_text("utf-8")
    assert (tmp_path / "store" / "store.json").is_file()
    # the store is an input of its own
    assert cli.main(["build", str(tmp_path / "store"), *named[:2], "--workers=1", f"--out={tmp_path / 'again'}"]) == 0


# --- bad input -------------------------------------------------------------------------------------------------------

Spoil = Callable[[Path, Path, Path], list[str]]


def spoilt_log(text: str) -> Spoil:
    def spoil(folder: Path, fhir: Path, log: Path) -> list[str]:
        log.write_text(text, "utf-8")
        return []

    return spoil


def no_input(folder: Path, fhir: Path, log: Path) -> list[str]:
    shutil.rmtree(fhir)
    return []


def empty_folder(folder: Path, fhir: Path, log: Path) -> list[str]:
    (fhir / "Patient.ndjson").unlink()
    return []


def no_resource(folder: Path, fhir: Path, log: Path) -> list[str]:
    (fhir / "Patient.ndjson").rename(fhir / "Patient.txt")
    return []


def unknown_trial_key(folder: Path, fhir: Path, log: Path) -> list[str]:
    shutil.copytree(REPO / "mappings" / "trials" / "pgf_msc", folder / "trial", ignore=shutil.ignore_patterns("*.py"))
    text = (folder / "trial" / "trial.toml").read_text("utf-8")
    (folder / "trial" / "trial.toml").write_text(text.replace("[study]\n", "[study]\ncolour = 'red'\n"), "utf-8")
    return ["--trial", str(folder / "trial")]


def foreign_file(folder: Path, fhir: Path, log: Path) -> list[str]:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.docx").write_text("three years")
    return ["--overwrite"]


def out_is_a_file(folder: Path, fhir: Path, log: Path) -> list[str]:
    (folder / "out").write_text("a file")
    return []


def shared_key(folder: Path, fhir: Path, log: Path) -> list[str]:
    (folder / "site" / "key").chmod(0o644)
    return []


def other_key(folder: Path, fhir: Path, log: Path) -> list[str]:
    store = str(folder / "store")
    first = ["build", str(fhir), "--enrolment", str(log), "--workers", "1", "--store", store]
    assert cli.main([*first, "--out", str(folder / "first")]) == 0
    make_site(folder / "other", "c3" * 32)
    return ["--site", str(folder / "other"), "--store", store]


def given(*arguments: str) -> Spoil:
    return lambda folder, fhir, log: list(arguments)


BAD: dict[str, tuple[Spoil, int, str]] = {
    "input that does not exist": (no_input, 2, r"fhir does not exist"),
    "empty folder": (empty_folder, 2, r"no FHIR input found in .*fhir"),
    "no resource at all": (no_resource, 2, r"no FHIR input found.*Patient\.txt"),
    "log that does not exist": (given("--enrolment", "nowhere.csv"), 2, r"nowhere\.csv"),
    "empty log": (spoilt_log(""), 2, r"log\.csv"),
    "log without subjects": (spoilt_log(HEADER), 2, r"log\.csv"),
    "log with an unknown column": (spoilt_log(HEADER.replace("subjid", "subjd") + ROW), 2, r"unknown column 'subjd'"),
    "subject twice": (spoilt_log(HEADER + ROW + ROW.replace("p1", "p2")), 2, r"line 3: the subject stands in line 2"),
    "two rows for one patient": (
        spoilt_log(HEADER + ROW + ROW.replace(",001", ",002")),
        2,
        r"line 3: the patient stands in line 2",
    ),
    "unknown arm": (spoilt_log(HEADER + ROW.replace("MSC", "MCS")), 2, r"line 2: unknown arm; .*did you mean 'MSC'"),
    "date that is none": (
        spoilt_log(HEADER + ROW.replace("2024-01-01", "2024-02-30")),
        2,
        r"line 2: consent_date is no day",
    ),
    "unknown trial": (given("--trial", "pgf_mcs"), 2, r"unknown trial 'pgf_mcs'.*did you mean 'pgf_msc'"),
    "unknown trial key": (unknown_trial_key, 2, r"unknown key 'colour'"),
    "output folder with other files": (foreign_file, 2, r"thesis\.docx"),
    "output folder is a file": (out_is_a_file, 2, r"out"),
    "key that others can read": (shared_key, 2, r"0644.*chmod 600"),
    "store of another key": (other_key, 1, r"store"),
    "cut-off that is no day": (given("--cutoff", "2024-13-01"), 2, r"'2024-13-01' is no day"),
    "timestamp that is no time": (given("--timestamp", "noon"), 2, r"'noon' is no time"),
    "unknown format": (
        given("--format", "xpt,parqet"),
        2,
        r"unknown format 'parqet'; known are: xpt, dataset-json, ndjson, parquet, csv; did you mean 'parquet'",
    ),
    "no format": (given("--format", ""), 2, r"unknown format ''"),
    "no workers": (given("--workers", "0"), 2, r"--workers"),
    "unknown option": (given("--colour", "red"), 2, r"--colour"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_its_exit_code_and_a_clear_message(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, code, message = BAD[name]
    fhir, log = tiny(tmp_path)
    more = spoil(tmp_path, fhir, log)
    capsys.readouterr()
    kept = snapshot(tmp_path / "out") if (tmp_path / "out").is_dir() else {}
    command = ["build", str(fhir), "--enrolment", str(log), "--workers", "1", "--out", str(tmp_path / "out"), *more]
    assert cli.main(command) == code
    shown = capsys.readouterr()
    told = shown.err[shown.err.index("fhir2cdisc: ") :]
    assert re.search(message, told, re.S), told
    assert "Traceback" not in shown.err
    assert "Package:" not in shown.out
    assert (snapshot(tmp_path / "out") if (tmp_path / "out").is_dir() else {}) == kept


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fhir, log = tiny(tmp_path)
    (fhir / "Patient.ndjson").chmod(0)
    assert cli.main(["build", str(fhir), "--enrolment", str(log), "--out", str(tmp_path / "out")]) == 2
    assert "Patient.ndjson" in capsys.readouterr().err


def test_a_full_disk_is_one_message_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No file may grow beyond 64 KiB: the kernel's answer to the writer is an error, as on a full disk."""
    fhir, log = tiny(tmp_path)
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16));"
        "from adapter.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ("build", fhir, "--enrolment", log, "--workers", "1", "--out", tmp_path / "out")
    code, shown, errors = run(*arguments, entry=("-c", script))
    assert code == 1
    assert "Traceback" not in errors
    assert "fhir2cdisc: " in errors
    assert "File too large" in errors
    assert shown == ""
    assert snapshot(tmp_path / "out") == {}


def test_an_unread_error_of_ours_keeps_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AdapterError("the cause")

    monkeypatch.setattr("adapter.run.build", fail)
    assert cli.main(["build", "x", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "fhir2cdisc: the cause\n"


def test_a_missing_package_is_named() -> None:
    hidden = "import sys; sys.modules['pyarrow'] = None; from adapter.cli import main; sys.exit(main(sys.argv[1:]))"
    code, _, errors = run("build", "x", "--out", "y", entry=("-c", hidden))
    assert (code, errors.count("\n")) == (1, 1)
    assert "pyarrow" in errors
    assert "doctor" in errors


# --- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_build_says_one_line_and_leaves_nothing(
    number: signal.Signals, code: int, demo10: Cohort, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    log = ["--enrolment", str(demo10.log), "--site", str(demo10.site)]
    command = [
        sys.executable,
        "-m",
        "adapter.cli",
        "build",
        str(demo10.fhir),
        *log,
        "--workers",
        "2",
        "--out",
        str(out),
    ]
    with subprocess.Popen(
        command,
        env=ENV | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        # the whole group, as a terminal does: the workers must not answer with tracebacks of their own
        os.killpg(process.pid, number)
        shown, errors = process.communicate(timeout=60)
    assert first.startswith("Looking for patients")
    assert process.returncode == code
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("fhir2cdisc: stopped by ")
    assert shown == ""
    assert snapshot(out) == {}
    assert list(tmp_path.glob("fhir2cdisc-*")) == []


def test_a_reader_that_goes_away_does_not_stop_the_build(tmp_path: Path) -> None:
    fhir, log = tiny(tmp_path)
    out = tmp_path / "out"
    arguments = map(str, (fhir, "--enrolment", log, "--workers", "1", "--out", out))
    command = [sys.executable, "-m", "adapter.cli", "build", *arguments]
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(command, env=ENV, stdout=write, stderr=write) as process:
        os.close(write)
        process.wait(60)
    assert process.returncode == 0
    assert (out / "manifest.json").is_file()


# --- progress --------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def clock() -> Iterator[float]:
    n = 0.0
    while True:
        yield n
        n += 1.5


def test_progress_on_a_terminal_draws_one_bar_over_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "58")
    stream, seconds = Terminal(), clock()
    with Shown(stream, lambda: next(seconds)) as shown:
        for done in range(3):
            shown("map", done, 2)
    bars = ["[..........] 0/2", "[#####.....] 1/2", "[##########] 2/2"]
    name = "Mapping subjects".ljust(22)
    assert stream.getvalue() == "".join(f"\r{name}{bar}" for bar in bars) + "  1.5 s\n"


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([("map", 0, 2), ("map", 1, 2), ("map", 2, 2)], ["Mapping subjects: 2 of 2, 1.5 s"]),
        ([("seal", 0, 0)], []),
        ([("new stage", 0, 1), ("new stage", 1, 1)], ["new stage: 1 of 1, 1.5 s"]),
        (
            [("map", 0, 2), ("map", 1, 2), ("seal", 0, 1)],
            ["Mapping subjects: 1 of 2, 1.5 s", "Sorting by subject: 0 of 1, 1.5 s"],
        ),
    ],
    ids=["a stage", "nothing to do", "a stage without a name", "a stage that did not finish"],
)
def test_progress_elsewhere_is_one_line_per_stage(calls: list[tuple[str, int, int]], expected: list[str]) -> None:
    stream, seconds = io.StringIO(), clock()
    with Shown(stream, lambda: next(seconds)) as shown:
        for call in calls:
            shown(*call)
    assert stream.getvalue().splitlines() == expected


def test_an_error_begins_on_its_own_line_below_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with contextlib.suppress(AdapterError), Shown(stream) as shown:
        shown("map", 1, 2)
        raise AdapterError("x")
    assert stream.getvalue().endswith("1/2\n")


def test_a_real_terminal_gets_bars(tmp_path: Path) -> None:
    fhir, log = tiny(tmp_path)
    ours, theirs = pty.openpty()
    arguments = map(str, (fhir, "--enrolment", log, "--workers", "1", "--out", tmp_path / "out"))
    command = [sys.executable, "-m", "adapter.cli", "build", *arguments]
    with subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while True:
            ready, _, _ = select.select([ours], [], [], 60)
            try:
                piece = os.read(ours, 4096) if ready else b""
            except OSError:  # how Linux says that the other side of a terminal is closed
                piece = b""
            if not piece:
                break
            seen += piece
        process.communicate()
    os.close(ours)
    assert process.returncode == 0
    assert b"\rMapping subjects      [##############################] 1/1" in seen


# --- demo, domains, trials, doctor -----------------------------------------------------------------------------------


def test_demo_writes_what_the_trial_writes(tmp_path: Path, demo10: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "my demo"
    assert cli.main(["demo", "--subjects", "10", "--out", str(out)]) == 0
    made = snapshot(out)
    expected = snapshot(demo10.folder)
    assert made == {n: b for n, b in expected.items() if n != "site/key" and not n.startswith("site/link/")}
    assert {"site/observations.csv", "site/units.csv"} <= made.keys()
    shown = capsys.readouterr().out
    with open(out / "enrolment.csv", encoding="utf-8") as f:
        assert f"Wrote {sum(bool(row['arm']) for row in csv.DictReader(f))} randomised subjects" in shown
    assert f"Next: fhir2cdisc build '{out}/fhir' --enrolment '{out}/enrolment.csv' --out out" in shown


def test_demo_with_a_seed_differs(tmp_path: Path, demo10: Cohort) -> None:
    assert cli.main(["demo", "--subjects", "10", "--seed", "7", "--out", str(tmp_path / "a")]) == 0
    assert snapshot(tmp_path / "a")["enrolment.csv"] != demo10.log.read_bytes()


def test_demo_never_writes_where_something_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fhir").mkdir()
    (tmp_path / "fhir" / "Patient-001.ndjson").write_text("a real hospital's")
    before = snapshot(tmp_path)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trial", "pgf_mcs"], "unknown trial 'pgf_mcs'.*did you mean 'pgf_msc'"),
        (["--subjects", "3"], "3"),
        (["--subjects", "many"], "--subjects"),
    ],
)
def test_demo_refuses_what_it_cannot_make(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists() or snapshot(tmp_path / "out") == {}


def test_a_trial_without_a_demo_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("adapter.trial.find_trials", lambda: {"bare": tmp_path})
    assert cli.main(["demo", "--trial", "bare", "--out", str(tmp_path / "out")]) == 2
    assert "trial bare ships no demo data" in capsys.readouterr().err


def test_domains_lists_every_mapping_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["domains"]) == 0
    table = capsys.readouterr().out.split("\n\n")[0].splitlines()[1:]
    files = sorted(p.stem.upper() for p in (REPO / "mappings" / "sdtm").glob("*.py") if p.stem != "__init__")
    rows = {line.split()[0]: line for line in table}
    assert sorted(set(files) - set(rows)) == []
    assert re.search(r"Laboratory Test Results +\d+ +Observation", rows["LB"])
    assert re.search(r"MedicationAdministration.*Procedure", rows["CM"])
    assert "trial definition" in rows["TS"]


def test_trials_lists_the_shipped_trial_and_how_to_name_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trials"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^pgf_msc +PGFMSC +MSC, CTRL +Asia/Shanghai$", shown, re.M)
    assert "--trial DIR" in shown


def test_doctor_finds_this_machine_fit_and_leaves_nothing(tmp_path: Path) -> None:
    code, shown, errors = run("doctor", cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert "This machine is fit." in shown
    assert re.search(r"^ok  small build, trial pgf_msc +DM 3, LB 3 records", shown, re.M)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def few_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "pool", lambda: Check(True, "worker processes", "", ""))
    monkeypatch.setattr(doctor, "small_build", lambda name, trial: Check(True, "small build", "", ""))


def test_doctor_fails_where_something_is_missing(
    few_checks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert cli.main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"^FAIL  disk space in .*gone", shown, re.M)
    assert re.search(r"^FAIL  writing safely in .*gone", shown, re.M)
    assert "2 of " in shown


def test_doctor_compares_versions(few_checks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    has = {"one": "1.9", "two": "2.0.1", "three": "3.1rc1"}

    def version(name: str) -> str:
        if name not in has:
            raise metadata.PackageNotFoundError(name)
        return has[name]

    needs = ["one>=1.10", "two>=2.0", "three (>=3.1)", "four>=4", 'five>=5; extra == "test"']
    monkeypatch.setattr(metadata, "requires", lambda _: needs)
    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "metadata", lambda _: {"Requires-Python": ">=99.0"})
    assert {c.what: (c.ok, c.needed) for c in packages("any")} == {
        "Python": (False, ">= 99.0"),
        "one": (False, ">= 1.10"),
        "two": (True, ">= 2.0"),
        "three": (True, ">= 3.1"),
        "four": (False, ">= 4"),
    }
    assert [c.found for c in check_machine() if c.what == "small build"] == ["not tried"]


def test_doctor_knows_an_installation_from_a_clone() -> None:
    assert [c.ok for c in packages("no-such-distribution-here")] == [False]


@pytest.mark.parametrize(
    ("lower", "higher"), [("1.9", "1.10"), ("3", "3.0.1"), ("2025.1", "2026.6"), ("8.0rc1", "8.1")]
)
def test_versions_are_compared_as_numbers(lower: str, higher: str) -> None:
    assert numbers(lower) < numbers(higher)

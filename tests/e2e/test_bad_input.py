"""Bad input through the Python API: the documented class of error, what, expected and where; nothing lost or left."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter import build
from adapter.errors import (
    AdapterError,
    EnrolmentError,
    InputError,
    OutputError,
    RunError,
    SiteError,
    StoreError,
    TrialError,
)
from adapter.result import Result
from tests.conftest import EVERYTHING, Cohort, hashes, lines_of, make_site, write_lines

pytestmark = pytest.mark.usefixtures("tabulation_only")

ROOT = Path(__file__).parents[2]
HEADER = "patient,subjid,siteid,arm,consent_date,randomisation_date"
ROW = "p1,001,01,MSC,2024-01-01,2024-01-02"
LINE = b'{"resourceType":"Patient","id":"p1","gender":"female","birthDate":"1990-01-01"}'


class Case:
    """A small input that builds, of which a test spoils one thing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fhir = write_lines(folder / "fhir", {"Patient.ndjson": [LINE]})
        self.log = folder / "log.csv"
        self.log.write_text(f"{HEADER}\n{ROW}\n")
        self.site = make_site(folder / "site")
        self.out = folder / "out"

    def build(self, **changed: Any) -> Result:
        given = {"inputs": self.fhir, "out": self.out, "enrolment": self.log, "site": self.site, "workers": 1}
        return build(**{**given, **changed})

    def refused(self, error: type[AdapterError], *words: str, **changed: Any) -> str:
        """Build; expect exactly this error, each of the words (regular expressions) in it, and nothing left in OUT."""
        before = everything(self.out)
        with pytest.raises(AdapterError) as caught:
            self.build(**changed)
        assert type(caught.value) is error, repr(caught.value)
        for word in words:
            assert re.search(word, caught.value.message), f"{word!r} is not in: {caught.value.message}"
        assert everything(self.out) == before
        return caught.value.message


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_the_unspoilt_case_builds(case: Case) -> None:
    result = case.build()
    assert result.exit_code == 0
    assert list(result.sdtm["DM"]["SUBJID"]) == ["001"]


# --- input ------------------------------------------------------------------------------------------------------------


def test_an_input_that_does_not_exist(case: Case) -> None:
    case.refused(InputError, "nowhere", "does not exist", inputs=case.folder / "nowhere")


def test_an_input_with_a_name_too_long_to_exist(case: Case) -> None:
    case.refused(InputError, "x{50}", inputs=case.folder / ("x" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_input_that_may_not_be_read(case: Case) -> None:
    (case.fhir / "Patient.ndjson").chmod(0)
    case.refused(InputError, r"Patient\.ndjson", "Permission denied")


def test_a_dangling_link(case: Case) -> None:
    (case.fhir / "Observation.ndjson").symlink_to(case.folder / "unmounted")
    case.refused(InputError, r"cannot read .*Observation\.ndjson", "No such file")


def test_an_empty_folder(case: Case) -> None:
    (case.folder / "empty").mkdir()
    case.refused(InputError, "no FHIR input found in .*empty", r"expected .*\.ndjson", inputs=case.folder / "empty")


def test_a_folder_without_fhir(case: Case) -> None:
    case.refused(InputError, r"no FHIR input found.*site", r"the first is site/key", inputs=case.site)


def test_no_input_at_all(case: Case) -> None:
    case.refused(InputError, "no FHIR input found", inputs=[])


@pytest.mark.parametrize("content", [b"", b"\n\n\r\n\n", b"  \n\t\n"], ids=["empty", "blank lines", "white space"])
def test_files_without_any_resource(content: bytes, case: Case) -> None:
    (case.fhir / "Patient.ndjson").write_bytes(content)
    message = case.refused(InputError, "no(thing| resource)", "expected")
    assert "cut" not in message.split(";")[0], "that there is no date to make a data cut of is not what is wrong"


def test_a_file_that_grows_meanwhile(case: Case) -> None:
    def grow(stage: str, done: int, total: int) -> None:
        if stage == "intake" and done == 0:
            with open(case.fhir / "Patient.ndjson", "ab") as f:
                f.write(LINE + b"\n")

    case.refused(InputError, r"Patient\.ndjson has \d+ bytes now and had \d+", progress=grow)


def test_a_file_that_is_rewritten_meanwhile(case: Case) -> None:
    def rewrite(stage: str, done: int, total: int) -> None:
        if stage == "intake" and done == 0:
            os.utime(case.fhir / "Patient.ndjson", ns=(1, 1))

    case.refused(InputError, r"Patient\.ndjson changed while it was read", progress=rewrite)


def test_a_file_that_vanishes_meanwhile(case: Case) -> None:
    def remove(stage: str, done: int, total: int) -> None:
        if stage == "identify" and done == 0:
            (case.fhir / "Patient.ndjson").unlink()

    case.refused(RunError, r"Patient\.ndjson", "No such file", progress=remove)


# --- who is a subject -------------------------------------------------------------------------------------------------


def test_neither_log_nor_research_subject(case: Case) -> None:
    case.refused(EnrolmentError, "nobody is a subject", "--enrolment", "ResearchSubject", enrolment=None)


def test_neither_log_nor_site(case: Case) -> None:
    case.refused(InputError, "--site", enrolment=None, site=None)


LOGS = {
    "duplicate subject": (
        f"{HEADER}\n{ROW}\n{ROW.replace('p1', 'p2')}\n",
        ("line 3", "subject", "line 2", "expected one"),
    ),
    "two rows for one patient": (
        f"{HEADER}\n{ROW}\n{ROW.replace('001', '002')}\n",
        ("line 3", "patient", "line 2", "expected one"),
    ),
    "unknown arm": (f"{HEADER}\n{ROW.replace('MSC', 'PLACEBO')}\n", ("line 2", "arm", "MSC")),
    "unknown column": (f"{HEADER},consent_dat\n{ROW},x\n", ("consent_dat", "consent_date")),
    "missing column": ("patient,subjid\np1,001\n", ("siteid", "consent_date")),
    "two columns of one name": (f"{HEADER},arm\n{ROW},MSC\n", ("'arm'", "twice")),
    "no row": (f"{HEADER}\n", ("no subject", "expected one line per subject")),
    "empty": ("", (r"log\.csv", "expected")),
    "a row too short": (f"{HEADER}\np1,001\n", ("line 2", "2 cells|number of cells", "header")),
    "no day": (f"{HEADER}\n{ROW.replace('2024-01-01', '01/02/2024')}\n", ("line 2", "consent_date", "YYYY-MM-DD")),
    "an open quote": (f'{HEADER}\n"p1,001,01,MSC,2024-01-01,2024-01-02\n', ("line", "not CSV|CSV")),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_contradicts_itself(name: str, case: Case) -> None:
    text, words = LOGS[name]
    case.log.write_text(text)
    case.refused(EnrolmentError, r"log\.csv", *words)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16"])
def test_a_log_in_another_encoding(encoding: str, case: Case) -> None:
    case.log.write_bytes(f"{HEADER},withdrawal_reason\n{ROW},撤回知情同意\n".encode(encoding))
    case.refused(EnrolmentError, r"log\.csv", "UTF-8")


def test_a_log_that_does_not_exist(case: Case) -> None:
    case.refused(EnrolmentError, r"cannot read the enrolment log .*no\.csv", enrolment=case.folder / "no.csv")


def test_two_rows_that_are_one_person_by_a_link(case: Case) -> None:
    linked = b'{"resourceType":"Patient","id":"p2","link":[{"other":{"reference":"Patient/p1"},"type":"replaced-by"}]}'
    write_lines(case.folder / "more", {"Patient.ndjson": [linked]})
    case.log.write_text(f"{HEADER}\n{ROW}\n{ROW.replace('p1', 'p2').replace('001', '002')}\n")
    case.refused(EnrolmentError, "line 2", "line 3", "same person", inputs=[case.fhir, case.folder / "more"])


# --- trial, site, store -----------------------------------------------------------------------------------------------


def test_a_trial_definition_with_an_unknown_key(case: Case) -> None:
    trial = case.folder / "trial"
    shutil.copytree(ROOT / "mappings" / "trials" / "pgf_msc", trial, ignore=shutil.ignore_patterns("demo", "*.py*"))
    text = (trial / "trial.toml").read_text("utf-8")
    (trial / "trial.toml").write_text(text.replace("[study]\n", "[study]\ntime_zon = 'UTC'\n", 1), "utf-8")
    assert "time_zon = " in (trial / "trial.toml").read_text("utf-8")
    case.refused(TrialError, "unknown key 'time_zon'", "did you mean 'time_zone'", trial=trial)


def test_a_trial_that_is_not_there(case: Case) -> None:
    case.refused(TrialError, "unknown trial 'pgf_mcs'", "pgf_msc", trial="pgf_mcs")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read(mode: int, case: Case) -> None:
    (case.site / "key").chmod(mode)
    case.refused(SiteError, "site/key", f"mode 0{mode:o}", "expected 0600")


@pytest.mark.parametrize("text", ["", "short", "zz" * 32, "ab" * 31])
def test_a_key_that_is_none(text: str, case: Case) -> None:
    (case.site / "key").write_text(text)
    case.refused(SiteError, "site/key holds no key", "expected at least 64 hexadecimal digits")


def test_a_site_folder_that_cannot_be_made(case: Case) -> None:
    case.refused(SiteError, r"log\.csv", site=case.log / "site")


def test_a_store_that_is_none(case: Case) -> None:
    case.refused(StoreError, "is not empty and no store", store=case.fhir)


def test_a_store_that_is_a_file(case: Case) -> None:
    case.refused(StoreError, r"cannot make a store in .*log\.csv", store=case.log)


def test_two_stores(case: Case) -> None:
    case.build(store=case.folder / "store", out=case.folder / "out1")
    case.refused(InputError, "expected one store", inputs=case.folder / "store", store=case.folder / "other")


def test_no_day_for_the_cut(case: Case) -> None:
    case.refused(InputError, "--cutoff", "29.09.2025", "YYYY-MM-DD", cutoff="29.09.2025")


def test_no_time_for_the_timestamp(case: Case) -> None:
    case.refused(InputError, "--timestamp", "yesterday", timestamp="yesterday")


# --- OUT --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
def test_out_with_somebody_elses_file(overwrite: bool, case: Case) -> None:
    case.out.mkdir()
    (case.out / "thesis.docx").write_bytes(b"years")
    case.refused(OutputError, r"thesis\.docx", "nothing was deleted", overwrite=overwrite)


def test_out_with_a_finished_build(case: Case) -> None:
    case.build()
    case.refused(OutputError, "holds a finished build", "--overwrite")
    assert case.build(overwrite=True).exit_code == 0


def test_out_below_a_file(case: Case) -> None:
    with pytest.raises(OutputError, match="cannot use"):
        case.build(out=case.log / "out")


def test_a_failing_build_costs_nothing_of_the_earlier_one(case: Case) -> None:
    case.build()
    case.log.write_text(f"{HEADER}\n{ROW.replace('MSC', 'CTRL')}\n")
    (case.fhir / "R.ndjson").write_bytes(
        b'{"resourceType":"ResearchStudy","id":"s","identifier":[{"system":"urn:pgf-msc:study","value":"PGF-MSC"}]}\n'
        b'{"resourceType":"ResearchSubject","id":"r","status":"on-study","study":{"reference":"ResearchStudy/s"},'
        b'"individual":{"reference":"Patient/p1"},"actualArm":"MSC"}\n'
    )
    case.refused(EnrolmentError, "disagree", "MSC", "CTRL", overwrite=True)


# --- disk full --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1,300 KB, too small for a build of ten subjects; skipped where it may not be mounted."""
    where = tmp_path / "small"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1300k", "tmpfs", str(where)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("what", ["out", "store", "temporary files"])
def test_a_full_disk(
    what: str, workers: int, demo10: Cohort, case: Case, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RunError that names the path; an earlier build stays as it is; with room again, the same command works."""
    out = small_disk / "out" if what == "out" else case.out
    store = small_disk / "store" if what == "store" else None
    case.build(out=out)
    before = everything(out)
    if what == "temporary files":
        monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    fhir = demo10.fhir if what == "out" else write_lines(case.folder / "big", {"all.ndjson": many(demo10)})
    again = {"inputs": fhir, "out": out, "enrolment": demo10.log, "site": case.site, "overwrite": True, "store": store}
    with pytest.raises(RunError) as caught:
        build(**again, workers=workers)
    assert caught.value.exit_code == 1
    assert "No space left on device" in caught.value.message
    assert str(small_disk) in caught.value.message, caught.value.message
    assert everything(out) == before
    subprocess.run(["mount", "-o", "remount,size=90m", str(small_disk)], check=True)
    if workers == 1 and what == "out":
        assert build(**again, workers=1).counts["records"]["DM"] == 14


def many(demo10: Cohort) -> list[bytes]:
    """Return the cohort's lines with every Observation under many ids, so that the store is larger than the disk."""
    lines = [line for found in lines_of(demo10.fhir).values() for line in found]
    return lines + [
        line.replace(b'"id":"', b'"id":"%d-' % i, 1)
        for i in range(6)
        for line in lines
        if b'"Observation"' in line[:40]
    ]


def test_a_build_that_ran_out_of_disk_leaves_what_it_found(demo10: Cohort, demo10_build: Result, case: Case) -> None:
    """The same with a simulated full disk, for machines where nothing may be mounted: the last steps fail."""
    import errno

    import adapter.output as module

    shutil.copytree(demo10_build.out, case.out)
    before = hashes(case.out, [*EVERYTHING, "run.json", ".fhir2cdisc.json"])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_write", full)
        with pytest.raises(RunError, match=rf"{case.out}.*No space left on device"):
            case.build(overwrite=True)
    assert hashes(case.out, [*EVERYTHING, "run.json", ".fhir2cdisc.json"]) == before
    assert not list(case.out.glob(".fhir2cdisc-building-*"))

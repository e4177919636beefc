"""The folder OUT: foreign files are safe, a build takes its place whole, and a full disk costs nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import adapter.output as module
from adapter.errors import OutputError, RunError
from adapter.files import locked, whole_file, write_whole
from adapter.output import JOURNAL, MANIFEST, STAGING, OutputFolder

FIRST = {"manifest.json": "first", "sdtm/dm.xpt": "dm 1", "sdtm/old.xpt": "gone in the second", "rejects.ndjson": ""}
SECOND = {"manifest.json": "second", "sdtm/dm.xpt": "dm 2", "sdtm/new.xpt": "new", "trace/dm.parquet": "t"}


def stage(output: OutputFolder, files: dict[str, str]) -> OutputFolder:
    for name, text in files.items():
        output.path(name).write_text(text)
    return output


def deliver(folder: Path, files: dict[str, str], overwrite: bool = False) -> None:
    stage(OutputFolder(folder, overwrite), files).finish()


def content(folder: Path) -> dict[str, str]:
    """Return all files below a folder but the journal."""
    found = (p for p in folder.rglob("*") if p.is_file() and p.name != JOURNAL)
    return {p.relative_to(folder).as_posix(): p.read_text() for p in found}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "out"


def test_a_build_takes_its_place(out: Path) -> None:
    output = stage(OutputFolder(out, False), FIRST)
    assert [p.name for p in out.iterdir()] == [output.staging.name], "nothing under a final name before the end"
    output.finish()
    assert content(out) == FIRST
    assert set(json.loads((out / JOURNAL).read_text())["files"]) == set(FIRST)
    assert not list(out.glob(f"{STAGING}*"))


def test_what_a_killed_worker_left_half_written_is_no_part_of_the_build(out: Path) -> None:
    output = stage(OutputFolder(out, False), FIRST)
    with contextlib.suppress(Killed), whole_file(output.path("sdtm/lb.xpt")) as f:
        f.write(b"half")
        part = next(output.staging.rglob("*.part"))
        shutil.copy(part, part.with_name(".lb.xpt.killed.part"))
        raise Killed
    assert output.files() == sorted(FIRST)
    output.finish()
    assert content(out) == FIRST


def test_an_empty_folder_may_be_there(out: Path) -> None:
    (out / "sdtm").mkdir(parents=True)
    deliver(out, FIRST)
    assert content(out) == FIRST


def test_a_finished_build_is_not_replaced_unasked(out: Path) -> None:
    deliver(out, FIRST)
    with pytest.raises(OutputError, match=r"holds a finished build; name another folder or say --overwrite"):
        OutputFolder(out, False)
    assert content(out) == FIRST


def test_overwrite_replaces_our_files_and_removes_those_that_are_no_more(out: Path) -> None:
    deliver(out, FIRST)
    deliver(out, SECOND, overwrite=True)
    assert content(out) == SECOND
    assert set(json.loads((out / JOURNAL).read_text())["files"]) == set(SECOND)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("name", ["thesis.docx", "sdtm/mine.xpt", ".hidden", f"{STAGING}notes.txt", f"{STAGING}12x/a"])
def test_foreign_files_are_refused_and_kept(name: str, earlier: bool, overwrite: bool, out: Path) -> None:
    if earlier:
        deliver(out, FIRST)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("years of work")
    before = content(out)
    with pytest.raises(
        OutputError, match=r"holds 1 files this program did not write, the first is .*nothing was deleted"
    ):
        OutputFolder(out, overwrite)
    assert content(out) == before


def test_a_link_in_out_is_foreign_and_never_followed(out: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dm.xpt").write_text("mine")
    out.mkdir(parents=True)
    (out / "sdtm").symlink_to(tmp_path / "data")
    with pytest.raises(OutputError, match="the first is sdtm"):
        OutputFolder(out, True)
    assert (tmp_path / "data" / "dm.xpt").read_text() == "mine"


@pytest.mark.parametrize("journal", ["{", "[]", '{"files": 3}', "\udcff"])
def test_an_unreadable_journal_is_refused(journal: str, out: Path) -> None:
    deliver(out, FIRST)
    (out / JOURNAL).write_bytes(journal.encode("utf-8", "surrogateescape"))
    with pytest.raises(OutputError, match="cannot be read, so it is not known which files are ours"):
        OutputFolder(out, True)
    assert content(out) == FIRST


def test_a_journal_never_points_out_of_the_folder(out: Path, tmp_path: Path) -> None:
    deliver(out, FIRST)
    victim = tmp_path / "deep" / "victim"
    victim.write_text("mine")
    (out / JOURNAL).write_text(json.dumps({"files": [*FIRST, "../victim", str(victim)]}))
    deliver(out, SECOND, overwrite=True)
    assert victim.read_text() == "mine"


def test_a_file_that_comes_in_the_way_is_kept(out: Path) -> None:
    deliver(out, FIRST)
    output = stage(OutputFolder(out, True), SECOND)
    (out / "sdtm" / "new.xpt").write_text("somebody else's")
    with pytest.raises(OutputError, match=r"new\.xpt came into being during the build; nothing was replaced"):
        output.finish()
    output.abandon()
    assert content(out) == {**FIRST, "sdtm/new.xpt": "somebody else's"}


def test_an_abandoned_build_leaves_the_earlier_one(out: Path) -> None:
    deliver(out, FIRST)
    stage(OutputFolder(out, True), SECOND).abandon()
    assert content(out) == FIRST


def test_two_builds_at_once_are_refused(out: Path) -> None:
    first = stage(OutputFolder(out, False), FIRST)
    with pytest.raises(OutputError, match="another build is writing to"):
        OutputFolder(out, True)
    first.finish()
    assert content(out) == FIRST
    deliver(out, SECOND, overwrite=True)


class Killed(BaseException):
    """Stands for kill -9: nothing is caught, nothing is cleaned up."""


STEPS = 11  # journal, eight or fewer renames and removals, manifest, journal


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("earlier", [False, True])
def test_killed_at_any_step_and_run_again(earlier: bool, step: int, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every step that changes OUT: no half file, a manifest only beside all of its files, a rerun is right."""
    if earlier:
        deliver(out, FIRST)
    left = [step]

    def counted(real: object) -> object:
        def call(*args: object, **kwargs: object) -> object:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*args, **kwargs)  # type: ignore[operator]

        return call

    output = stage(OutputFolder(out, True), SECOND)
    with monkeypatch.context() as patched:
        patched.setattr(module.os, "replace", counted(os.replace))
        patched.setattr(Path, "unlink", counted(Path.unlink))
        try:
            output.finish()
        except Killed:
            output._unlock()  # the kernel does this for a dead process
    there = {n: t for n, t in content(out).items() if not n.startswith(STAGING)}
    for name, text in there.items():
        assert text in (FIRST.get(name), SECOND.get(name)), f"{name} is neither the old nor the new file"
    if MANIFEST in there:
        assert there in (FIRST if earlier else None, SECOND), "a folder with a manifest is whole"
    if MANIFEST not in there:
        deliver(out, SECOND)  # an interrupted build may be rerun without --overwrite
    else:
        deliver(out, SECOND, overwrite=True)
    assert content(out) == SECOND


def test_the_steps_reach_to_the_end(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table above covers every step: the count of renames and removals of an overwriting build is below STEPS."""
    deliver(out, FIRST)
    calls: list[str] = []
    real_replace, real_unlink = os.replace, Path.unlink
    output = stage(OutputFolder(out, True), SECOND)
    monkeypatch.setattr(module.os, "replace", lambda a, b: (calls.append(str(b)), real_replace(a, b)))
    monkeypatch.setattr(Path, "unlink", lambda p, **k: (calls.append(str(p)), real_unlink(p, **k)))
    output.finish()
    assert 6 < len(calls) < STEPS
    assert calls[-2].endswith(MANIFEST)


@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
def test_a_failing_file_system_is_a_run_error(call: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(out, FIRST)
    output = stage(OutputFolder(out, True), SECOND)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path if call == "mkdir" else module.os, call, fail)
        with pytest.raises(RunError, match=r"cannot put the build into .*out: No space left on device"):
            output.finish()
    output.abandon()
    assert content(out) == FIRST, "all space is taken before the earlier build is touched"


@pytest.mark.parametrize("kind", ["under a file", "device"])
def test_out_that_cannot_be_made(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    where = tmp_path / "file" / "out" if kind == "under a file" else Path("/dev/null")
    with pytest.raises(OutputError, match=r"cannot use .* for output"):
        OutputFolder(where, False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_out(out: Path) -> None:
    out.mkdir(parents=True)
    out.chmod(0o500)
    with pytest.raises(OutputError, match=r"cannot write to .*: Permission denied"):
        OutputFolder(out, False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KB; skipped where it may not be mounted."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(where)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield where
    subprocess.run(["umount", str(where)], check=True)


def test_a_mounted_read_only_out(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match="Read-only file system"):
        OutputFolder(small_disk / "out", False)


def test_a_really_full_disk_leaves_no_half_file(small_disk: Path) -> None:
    write_whole(small_disk / "a.json", b"whole")
    with pytest.raises(RunError, match=r"cannot write .*a\.json: No space left on device"):
        write_whole(small_disk / "a.json", bytes(500_000))
    assert [(p.name, p.read_bytes()) for p in small_disk.iterdir()] == [("a.json", b"whole")]


def test_a_whole_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"old", mode=0o600)
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a") as f:  # noqa: PT012
        f.write(b"new")
        raise ZeroDivisionError
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_locks_are_of_the_open_file(tmp_path: Path) -> None:
    import fcntl

    a, b = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    try:
        assert locked(a, fcntl.LOCK_SH)
        assert locked(b, fcntl.LOCK_SH)
        assert not locked(a, fcntl.LOCK_EX)
        os.close(b)
        assert locked(a, fcntl.LOCK_EX)
    finally:
        os.close(a)

"""kill -9 at any point: nothing half-written under a final name, the store readable, and a rerun gives the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from adapter.store.store import State, Store, StoreFacts
from tests.conftest import EVERYTHING, KEY, Cohort, hashes, lines_of, make_site, write_lines

ROOT = Path(__file__).parents[2]

DRIVER = '''
"""Build, and die by SIGKILL before the n-th change of OUT or the store (0: live); say how many changes there were."""
import os, signal, sys
from pathlib import Path

folder, store, workers, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
watched = tuple(os.fspath(folder / name) for name in ("out", "store"))
changes = 0

def hook(event, args):
    global changes
    if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
        return
    path = args[0] if event != "os.rename" else args[1]
    if not isinstance(path, (str, bytes, os.PathLike)) or not os.fsdecode(path).startswith(watched):
        return
    # opening for reading counts too: that is how files and folders are synced
    changes += 1
    if changes == last:
        os.kill(os.getpid(), signal.SIGKILL)

from adapter import build
sys.addaudithook(hook)
build(folder / "in", out=folder / "out", enrolment=folder / "log.csv", site=folder / "site",
      store=folder / "store" if store else None, workers=workers, overwrite=True, range_bytes=60_000)
print(changes)
'''


class Place(NamedTuple):
    """Small input (one Observation in forty), and what an undisturbed build makes of it: hashes, number of changes."""

    cohort: Cohort
    lines: dict[str, list[bytes]]
    expected: dict[str, str]
    changes: dict[str, int]


def prepared(folder: Path, cohort: Cohort, lines: dict[str, list[bytes]]) -> Path:
    write_lines(folder / "in", lines)
    (folder / "log.csv").write_bytes(cohort.log.read_bytes())
    make_site(folder / "site", KEY)
    return folder


def run(folder: Path, store: bool, workers: int = 1, last: int = 0) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", DRIVER, str(folder), "store" if store else "", str(workers), str(last)]
    environment = os.environ | {"TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def place(demo10: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Place:
    lines = {n: found[::40] if n.startswith("Obs") else found for n, found in lines_of(demo10.fhir).items()}
    expected: dict[str, str] = {}
    changes = {}
    for kind in ("", "store"):
        folder = prepared(tmp_path_factory.mktemp("undisturbed"), demo10, lines)
        done = run(folder, bool(kind))
        assert done.returncode == 0, done.stderr
        changes[kind] = int(done.stdout)
        found = hashes(folder / "out", EVERYTHING)
        assert expected in ({}, found), "with a store or without: the same bytes"
        expected = found
    assert len(expected) > 12
    assert changes["store"] > changes[""] > 60
    return Place(demo10, lines, expected, changes)


def check_after_kill(folder: Path, expected: dict[str, str], store: bool) -> None:
    """Nothing half-written under a final name; a manifest only beside everything else; the store can be read."""
    out = folder / "out"
    there = hashes(out, EVERYTHING)
    assert {n: h for n, h in there.items() if h != expected[n]} == {}, "a file under a final name is whole or absent"
    if (out / "manifest.json").exists():
        assert there == expected, "a folder with a manifest is whole"
        for one in json.loads((out / "manifest.json").read_bytes())["outputs"]:
            assert (out / one["file"]).stat().st_size == one["bytes"]
    if store and (folder / "store" / "store.json").exists():
        facts = StoreFacts(**json.loads((folder / "store" / "store.json").read_bytes()))
        opened = Store.open(folder / "store", facts)
        state = opened.state()
        assert state == State() or (state.number == 1 and state.inputs)
        assert all((opened.segments / s.name).is_file() for s in state.segments), "a commit lists what is there"


def killed_and_run_again(point: int, store: bool, place: Place, folder: Path) -> None:
    prepared(folder, place.cohort, place.lines)
    killed = run(folder, store, last=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    check_after_kill(folder, place.expected, store)
    again = run(folder, store)
    assert again.returncode == 0, again.stderr
    assert hashes(folder / "out", EVERYTHING) == place.expected
    left = sorted(p.name for p in (folder / "out").iterdir())
    assert left == sorted({n.partition("/")[0] for n in place.expected} | {".fhir2cdisc.json", "run.json"})
    assert not list((folder / "site").rglob(".part-*"))
    if store:
        assert not list((folder / "store").rglob("*.part"))


def points(kind: str, n: int, place: Place) -> list[int]:
    """Return n points spread over all changes, one chosen at random in each n-th of them."""
    chance, total = random.Random(f"{kind}-{n}"), place.changes[kind]
    return [chance.randint(total * i // n + 1, total * (i + 1) // n) for i in range(n)]


@pytest.mark.parametrize("i", [0, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["", "store"], ids=["without a store", "with a store"])
def test_kill_9_at_a_few_points(kind: str, i: int, place: Place, tmp_path: Path) -> None:
    killed_and_run_again(points(kind, 2, place)[i], bool(kind), place, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("i", range(20))
@pytest.mark.parametrize("kind", ["", "store"], ids=["without a store", "with a store"])
def test_kill_9_at_twenty_points(kind: str, i: int, place: Place, tmp_path: Path) -> None:
    killed_and_run_again(points(kind, 20, place)[i], bool(kind), place, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.7, 1.2, 2.0, 3.0])
def test_kill_9_of_a_driver_with_workers(seconds: float, place: Place, tmp_path: Path) -> None:
    """By the clock, from outside, while two workers do whatever they were doing."""
    prepared(tmp_path, place.cohort, place.lines)
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    argv = [sys.executable, "-c", DRIVER, str(tmp_path), "store", "2", "0"]
    with subprocess.Popen(argv, cwd=ROOT, env=environment) as driver:
        while not (tmp_path / "store" / "lock").exists() and driver.poll() is None:
            time.sleep(0.01)
        time.sleep(seconds)
        driver.kill()
    check_after_kill(tmp_path, place.expected, store=True)
    again = run(tmp_path, store=True, workers=2)
    assert again.returncode == 0, again.stderr
    assert hashes(tmp_path / "out", EVERYTHING) == place.expected

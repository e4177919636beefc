"""The same input gives the same bytes: any file order, any number of workers, any executor, even a murderous one."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapter import build
from adapter.executors import InlineExecutor
from adapter.result import Result
from adapter.writers.xpt import XptWriter
from tests.conftest import EVERYTHING, Cohort, hashes, lines_of, make_site, write_lines

TRIAL = Path(__file__).parents[2] / "mappings" / "trials" / "pgf_msc"
SMALL_RANGE = 120_000  # about fifty ranges


@pytest.fixture
def many_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several map tasks, though the cohort is small; the driver cuts the groups, so this reaches every executor."""
    monkeypatch.setattr("adapter.subject_tasks.GROUP_ROWS", 3500)


def test_the_build_has_all_that_is_compared(demo10_build: Result) -> None:
    found = hashes(demo10_build.out, EVERYTHING)
    assert {"sdtm/lb.xpt", "sdtm/dm.xpt", "sdtm/define.xml", "manifest.json", "trace/lb.parquet"} <= set(found)
    assert {"rejects.ndjson", "data-issues.csv", "unmapped.csv"} <= set(found)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_order_of_files_and_lines_does_not_matter(
    seed: int, demo10: Cohort, demo10_build: Result, tmp_path: Path
) -> None:
    shuffle = random.Random(seed)
    files = {}
    for lines in lines_of(demo10.fhir).values():
        shuffle.shuffle(lines)
        files[f"{shuffle.randrange(10**9):09d}.ndjson"] = lines
    result = build(
        write_lines(tmp_path / "in", files),
        out=tmp_path / "out",
        enrolment=demo10.log,
        site=demo10.site,
        workers=1,
        range_bytes=SMALL_RANGE + seed,
    )
    assert hashes(tmp_path / "out") == hashes(demo10_build.out)
    assert result.counts["resources"] == demo10_build.counts["resources"]


def test_all_types_mixed_in_one_file(demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    everything = [line for lines in lines_of(demo10.fhir).values() for line in lines]
    random.Random(3).shuffle(everything)
    folder = write_lines(tmp_path / "in", {"all.ndjson": everything})
    build(folder, out=tmp_path / "out", enrolment=demo10.log, site=demo10.site, workers=1)
    assert hashes(tmp_path / "out") == hashes(demo10_build.out)


@pytest.mark.parametrize("workers", [2, pytest.param(16, marks=pytest.mark.long)])
@pytest.mark.usefixtures("many_groups")
def test_number_of_workers_does_not_matter(workers: int, demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(demo10.fhir, out=out, enrolment=demo10.log, site=demo10.site, workers=workers, range_bytes=SMALL_RANGE)
    assert hashes(out, EVERYTHING) == hashes(demo10_build.out, EVERYTHING)


def test_another_key_changes_no_dataset(demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", "c3" * 32, tables=demo10.site)
    build(demo10.fhir, out=tmp_path / "out", enrolment=demo10.log, site=site, workers=1)
    assert hashes(tmp_path / "out") == hashes(demo10_build.out)
    traces = "trace/lb.parquet", "trace/cm.parquet"
    assert all(hashes(tmp_path / "out", [t]) != hashes(demo10_build.out, [t]) for t in traces), "trace ids are keyed"


def test_trace_datasets_and_rejects_are_equal_in_another_place(
    demo10: Cohort, demo10_build: Result, tmp_path: Path
) -> None:
    """Paths are outside the promise: the same files under the same folder name elsewhere give all the same bytes."""
    folder = write_lines(tmp_path / "elsewhere" / "fhir", {})
    for p in demo10.fhir.iterdir():
        (folder / p.name).write_bytes(p.read_bytes())
    build(folder, out=tmp_path / "out", enrolment=demo10.log, site=demo10.site, workers=1)
    assert hashes(tmp_path / "out", EVERYTHING) == hashes(demo10_build.out, EVERYTHING)


class Murderer(Executor):
    """Runs tasks in one thread, in random order, some of them twice, and now and then "loses its workers"."""

    def __init__(self, chance: random.Random, deaths: list[int]) -> None:
        self.chance = chance
        self.deaths = deaths
        self.todo: list[tuple[Future[Any], Callable[[], Any]]] = []
        self.changed = threading.Condition()
        self.broken = self.closed = False
        self.since = 0
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self.changed:
            if self.broken:
                raise BrokenProcessPool("a worker died")
            self.todo.append((future, lambda: fn(*args, **kwargs)))
            self.changed.notify()
        return future

    def _work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.todo or self.closed)
                if self.closed:
                    return
                # never a task that is alone: three deaths alone are the task's own fault, and it would be named
                if len(self.todo) > 1 and self.since > 4 and self.chance.random() < 0.15:
                    self.broken = True
                    self.deaths.append(len(self.todo))
                    for future, _ in self.todo:
                        future.set_exception(BrokenProcessPool("a worker died"))
                    return
                future, task = self.todo.pop(self.chance.randrange(len(self.todo)))
            self.since += 1
            try:
                results = [task() for _ in range(self.chance.choice([1, 1, 2]))]
            except Exception as e:  # noqa: BLE001 - an executor hands on whatever its task raises
                future.set_exception(e)
            else:
                future.set_result(self.chance.choice(results))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify()
        self.thread.join()


@pytest.mark.parametrize("seed", [pytest.param(s, marks=pytest.mark.long) for s in (11, 12)])
@pytest.mark.usefixtures("many_groups")
def test_an_executor_that_reorders_duplicates_and_kills(
    seed: int, demo10: Cohort, demo10_build: Result, tmp_path: Path
) -> None:
    chance, deaths = random.Random(seed), list[int]()
    build(
        demo10.fhir,
        out=tmp_path / "out",
        enrolment=demo10.log,
        site=demo10.site,
        workers=3,
        executor=lambda: Murderer(chance, deaths),
        range_bytes=SMALL_RANGE,
    )
    assert len(deaths) >= 3, "the executor was too kind to show anything"
    assert hashes(tmp_path / "out", EVERYTHING) == hashes(demo10_build.out, EVERYTHING)


def die_once(folder: str, fn: Callable[[Any], Any], task: Any) -> Any:
    """Run a task in a worker, after the first worker that was given this kind of task has died of it."""
    try:
        os.close(os.open(f"{folder}/{fn.__name__}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return fn(task)
    os._exit(9)


class Mortal(ProcessPoolExecutor):
    """A real pool that loses a worker once for each kind of task named in `kinds`."""

    def __init__(self, folder: Path, kinds: tuple[str, ...]) -> None:
        super().__init__(2, mp_context=get_context("forkserver"))
        self.folder, self.kinds = folder, kinds

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if fn.__name__ in self.kinds:
            return super().submit(die_once, str(self.folder), fn, *args, **kwargs)
        return super().submit(fn, *args, **kwargs)


@pytest.mark.usefixtures("many_groups")
def test_a_real_pool_that_loses_workers(demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    graves = tmp_path / "graves"
    graves.mkdir()
    kinds = ("intake_task", "map_task", "assemble_task")
    build(
        demo10.fhir,
        out=tmp_path / "out",
        enrolment=demo10.log,
        site=demo10.site,
        workers=2,
        executor=lambda: Mortal(graves, kinds),
        range_bytes=10 * SMALL_RANGE,
    )
    assert sorted(p.name for p in graves.iterdir()) == sorted(kinds)
    assert hashes(tmp_path / "out", EVERYTHING) == hashes(demo10_build.out, EVERYTHING)


def test_a_build_over_an_earlier_one_gives_the_same(demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    shutil.copytree(demo10_build.out, tmp_path / "out")
    build(demo10.fhir, out=tmp_path / "out", enrolment=demo10.log, site=demo10.site, workers=1, overwrite=True)
    assert hashes(tmp_path / "out", EVERYTHING) == hashes(demo10_build.out, EVERYTHING)


@pytest.mark.long
@pytest.mark.usefixtures("many_groups")
def test_small_pieces_give_the_same_bytes(demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    """In how many pieces the subjects are mapped shows nowhere, not even in how a Parquet file is laid out."""
    build(demo10.fhir, out=tmp_path / "out", enrolment=demo10.log, site=demo10.site, workers=1, range_bytes=SMALL_RANGE)
    assert hashes(tmp_path / "out", EVERYTHING) == hashes(demo10_build.out, EVERYTHING)


@pytest.mark.parametrize("end", [pytest.param(b"\n", marks=pytest.mark.long), b"\r\n"], ids=["LF", "CRLF"])
def test_ranges_smaller_than_any_line(end: bytes, demo10: Cohort, tmp_path: Path) -> None:
    """Ranges of 97 bytes: most own no line; the others must number it right, in trace, rejects and link files."""
    lines = [line for found in lines_of(demo10.fhir).values() for line in found]
    chosen = [*(line for line in lines if b'"resourceType":"Patient"' in line), *lines[::38]][:190]
    chosen[3:3] = [b"", b'{"resourceType":"Observation","id":"broken', b"", b'{"long":"' + b"z" * 5000 + b'"}']
    chosen += ['{"resourceType":"Basic","id":"\u2028\u0085"}'.encode()] * 6
    folder = write_lines(tmp_path / "in", {})
    (folder / "all.ndjson").write_bytes(end.join(chosen))  # the last line has no end
    results = [
        build(folder, out=tmp_path / f"out{size}", enrolment=demo10.log, site=demo10.site, workers=1, range_bytes=size)
        for size in (1 << 30, 97)
    ]
    whole, pieces = (hashes(r.out, EVERYTHING) for r in results)
    assert pieces == whole
    assert results[0].manifest["inputs"][0]["lines"] == len(chosen) == 200
    rejects = results[1].rejects.set_index("line")
    assert list(rejects.loc[[5, 7], "offset"]) == [len(end.join(chosen[:n])) + len(end) for n in (4, 6)]


class SecondThoughts(InlineExecutor):
    """Runs every writing task once more after its result was delivered, as Dask may, and that attempt dies half-way."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        if fn.__name__ == "assemble_task":
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(XptWriter, "write", _die)
                with contextlib.suppress(ZeroDivisionError):
                    fn(*args, **kwargs)
        return future


def _die(*_: object) -> None:
    raise ZeroDivisionError


def test_a_late_second_attempt_does_no_harm(demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(demo10.fhir, out=out, enrolment=demo10.log, site=demo10.site, workers=1, executor=SecondThoughts)
    assert hashes(out, EVERYTHING) == hashes(demo10_build.out, EVERYTHING)


@pytest.mark.long
def test_changed_files_are_noticed_by_a_process_that_lives_on(demo10: Cohort, tmp_path: Path) -> None:
    """In a notebook one process builds again and again; what it remembers must not outlive a build."""
    shutil.copytree(TRIAL, tmp_path / "trial", ignore=shutil.ignore_patterns("demo", "*.py*"))
    toml, key = tmp_path / "trial" / "trial.toml", make_site(tmp_path / "site") / "key"

    def again(name: str) -> Path:
        out = tmp_path / name
        build(demo10.fhir, out=out, enrolment=demo10.log, site=key.parent, trial=toml.parent, workers=1)
        return out

    first = again("first")
    text = toml.read_text("utf-8")
    toml.write_text(text.replace("preliminary = false", "preliminary = true"), "utf-8")
    assert toml.read_text("utf-8") != text
    second = again("second")
    lb = ["sdtm/lb.xpt"]
    assert hashes(second, lb) != hashes(first, lb), "three results of the demo hospital are preliminary for ever"
    key.write_text("c3" * 32 + "\n")
    third, trace = again("third"), ["trace/lb.parquet"]
    assert hashes(third) == hashes(second)
    assert hashes(third, trace) != hashes(second, trace)


def test_parquet_dictionaries_hold_the_values_and_nothing_else(demo10_build: Result) -> None:
    """pyarrow leaves memory as it was found behind a dictionary that names a value twice: it must not get into OUT."""
    for path in sorted(demo10_build.out.glob("trace/*.parquet")):
        raw, file = path.read_bytes(), pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            values = file.read_row_group(group)
            for i, name in enumerate(values.column_names):
                column = file.metadata.row_group(group).column(i)
                if column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page:
                    page = raw[column.dictionary_page_offset : column.data_page_offset]
                    known = {str(v).encode() for v in values.column(name).to_pylist() if v is not None}
                    if not known:  # of nothing there is no frame, only the header of the page
                        assert len(page) < 32, f"{path.name} {name} has bytes, but no value"
                        continue
                    assert set(_byte_arrays(page)) <= known, f"{path.name} {name} has bytes that are no value of it"


def _byte_arrays(page: bytes) -> list[bytes]:
    """Return the values of a PLAIN dictionary page (4 bytes of length, then the value), from its zstd frame."""
    frame = page[page.index(bytes.fromhex("28b52ffd")) :]
    data = pa.CompressedInputStream(io.BytesIO(frame), "zstd").read()
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found

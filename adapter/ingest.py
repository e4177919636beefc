"""The driver's first half: input files -> identities -> subjects -> a store with a new commit.

What is read again, and why, stands in adapter.store.stale.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from adapter.enrolment import Enrolled
from adapter.errors import InputError
from adapter.executors import TaskRunner
from adapter.files import locked
from adapter.identify import (
    Identities,
    Subject,
    log_key,
)
from adapter.intake.intake import bucket_of
from adapter.intake.tables import DELETION
from adapter.links import place_links, sweep_links
from adapter.site import Keyer
from adapter.sources.carriers import ranges_of
from adapter.sources.files import InputFile
from adapter.store.compact import compact_task, compact_tasks
from adapter.store.people import recall, remember
from adapter.store.segments import Segment, Spill, read_buckets
from adapter.store.stale import Now, to_read
from adapter.store.store import DEFAULT_BUCKETS, MOST_BUCKETS, InputEntry, State, Store
from adapter.subjects import borne, require_one_server, who_is_who
from adapter.tasks import (
    Context,
    HashTask,
    IdentifyTask,
    IntakeReceipt,
    IntakeTask,
    Range,
    SealTask,
    Setting,
    hash_task,
    identify_task,
    intake_task,
    seal_task,
    write_context,
)
from adapter.trial import Trial

BUCKET_BYTES = 20 << 20
BUCKETS_A_SEGMENT = 32
Progress = Callable[[str, int, int], None]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class Ingested:
    """What is in the store now, and who the subjects are."""

    subjects: list[Subject]
    state: State
    known: Identities


def buckets_for(size: int) -> int:
    """Return how many buckets a new store gets, so that one bucket of subjects fits a worker's memory."""
    return max(DEFAULT_BUCKETS, min(MOST_BUCKETS, -(-size // BUCKET_BYTES)))


class Ingest:
    """One intake run. `run` reads what is new or no longer right (see the module), and commits it."""

    def __init__(
        self, store: Store, setting: Setting, keyer: Keyer, trial: Trial, runner: TaskRunner, progress: Progress
    ) -> None:
        self.store = store
        self.setting = setting
        self.keyer = keyer
        self.trial = trial
        self.runner = runner
        self.progress = progress

    def run(self, files: Sequence[InputFile], log: list[Enrolled] | None, log_name: str, range_bytes: int) -> Ingested:
        """Bring the store up to date with `files` and `log`.

        Raises EnrolmentError (who_is_who), InputError (to_read; a file that changes meanwhile), StoreError.
        """
        with self.store.writing() as state, _links_of(Path(self.setting.site)):
            stamps = [_stamp(f) for f in files]
            hashes = dict(zip([f.label for f in files], self._hashes(files), strict=True))
            known, lines = self._identify(files, log, state, range_bytes)
            own = self.setting.own
            if not own:
                require_one_server(known.servers)
            now = Now.of(who_is_who(log, known, self.keyer, self.trial, log_name, own), known, own)
            todo = to_read(files, hashes, state, now)
            if todo:
                tasks, entries = self._plan(todo, hashes, lines, state, now, range_bytes)
                receipts = self._run("intake", intake_task, tasks)
                for f, stamp in zip(files, stamps, strict=True):
                    if _stamp(f) != stamp:
                        raise InputError(f"{f.path} changed while it was read; expected a file that nobody writes to")
                if not own:
                    for r in receipts:
                        known.refer(r.servers)
                    require_one_server(known.servers)
                self._commit(state, entries, receipts, now)
            else:
                _require_resources(state.inputs)
            self._compact(state)
            return Ingested(now.subjects, self._settled(state, now), known)

    def _hashes(self, files: Sequence[InputFile]) -> list[str]:
        return self.runner.run(hash_task, [HashTask(f.label, f.path) for f in files])

    def _identify(
        self, files: Sequence[InputFile], log: list[Enrolled] | None, state: State, range_bytes: int
    ) -> tuple[Identities, dict[str, list[int]]]:
        """Return the identities of all files and of the store, and the lines of each range of each file."""
        wanted = frozenset(log_key(row.patient, self.keyer, self.setting.own) for row in log or ())
        context = write_context(self.setting, "identify", Context([], {}, wanted=wanted))
        ranges = [
            Range(f.label, f.path, a, b, f.number) for f in files for a, b in ranges_of(f.path, f.size, range_bytes)
        ]
        tasks = [IdentifyTask(r.label, r, self.setting, context) for r in ranges]
        known = recall(state)
        lines: dict[str, list[int]] = {f.label: [] for f in files}
        for r, one in zip(ranges, self._run("identify", identify_task, tasks), strict=True):
            lines[r.label].append(one.lines)
            known.add(one)
        for rid, updated in self._deletions(state):
            known.delete(rid, updated)
        known.forget_deleted()
        return known, lines

    def _deletions(self, state: State) -> Iterator[tuple[bytes, int | None]]:
        """Yield what the hospital has deleted by what is in the store."""
        segments = [s for s in state.segments if s.resource_type == DELETION]
        table = read_buckets(self.store.segments, segments, set(range(self.setting.buckets)), ["rid", "updated"])
        if table is not None:
            yield from zip(table.column("rid").to_pylist(), table.column("updated").to_pylist(), strict=True)

    def _run(self, stage: str, function: Callable[[T], R], tasks: Sequence[T]) -> list[R]:
        done = 0
        self.progress(stage, 0, len(tasks))

        def told(_: R) -> None:
            nonlocal done
            done += 1
            self.progress(stage, done, len(tasks))

        return self.runner.run(function, tasks, told)

    def _plan(
        self,
        todo: Sequence[InputFile],
        hashes: dict[str, str],
        lines: dict[str, list[int]],
        state: State,
        now: Now,
        range_bytes: int,
    ) -> tuple[list[IntakeTask], dict[int, InputEntry]]:
        """Return the tasks that read some files, and an entry, still without counts, for each file by its number."""
        first_number = max((i.number for i in state.inputs), default=-1) + 1
        context = write_context(
            self.setting,
            "intake",
            Context(
                now.subjects,
                now.known.look_ups,
                self.trial.extensions.lot,
                self.trial.extensions.toxicity_grade,
                self.trial.confidentiality.comments,
                bearers=borne(now.known, now.subjects),
            ),
        )
        tasks, entries = [], {}
        for number, f in enumerate(todo, first_number):
            first = 1
            for (a, b), n in zip(ranges_of(f.path, f.size, range_bytes), lines[f.label], strict=True):
                tasks.append(IntakeTask(f.label, Range(f.label, f.path, a, b, number, first), self.setting, context))
                first += n
            entries[number] = InputEntry(
                number,
                f.label,
                hashes[f.label],
                f.size,
                first - 1,
                {},
                {},
                [],
                now.identities,
                now.look_ups,
                now.servers,
            )
        return tasks, entries

    def _commit(
        self, state: State, entries: dict[int, InputEntry], receipts: Sequence[IntakeReceipt], now: Now
    ) -> None:
        for r in receipts:
            _book(entries[r.number], r)
        _require_resources([*state.inputs, *entries.values()])
        place_links([(r.links, entries[r.number].sha256, r.start) for r in receipts if r.links])
        sealed = self._seal([s for r in receipts for s in r.spills], state.number + 1)
        again = {(e.label, e.sha256) for e in entries.values()}
        state.inputs = [i for i in state.inputs if (i.label, i.sha256) not in again] + list(entries.values())
        state.segments += sealed
        remember(state, now.known, now.subjects)
        state.identities[now.identities] = sorted(now.keys)
        used = {i.identities for i in state.inputs}
        state.identities = {k: v for k, v in state.identities.items() if k in used}
        self.store.commit(state)

    def _compact(self, state: State) -> None:
        """Merge the segments of types that are spread over too many; the old ones go when no build reads them."""
        live = [i.number for i in state.inputs]
        tasks = compact_tasks(state.segments, live, self.store.segments, state.number + 1, BUCKETS_A_SEGMENT)
        if tasks:
            merged = self.runner.run(compact_task, tasks)
            kinds = {t.label for t in tasks}
            kept = [s for s in state.segments if s.resource_type not in kinds]
            state.segments = kept + [s for s in merged if s is not None]
            self.store.commit(state)
            self.store.sweep(state)

    def _settled(self, state: State, now: Now) -> State:
        """Return the state, for this build, with rows of people who are no subjects any more counted as such."""
        before = {k for i in state.inputs for k in state.identities.get(i.identities, ())}
        gone = [bytes.fromhex(k) for k in sorted(before - now.keys)]
        if not gone:
            return state
        live = {i.number: replace(i, dropped=Counter(i.dropped)) for i in state.inputs}
        buckets = {bucket_of(k, self.setting.buckets) for k in gone}
        for kind in sorted({s.resource_type for s in state.segments}):
            segments = [s for s in state.segments if s.resource_type == kind]
            table = read_buckets(self.store.segments, segments, buckets, ["pat", "file", "line"])
            if table is not None:
                theirs = table.filter(pc.is_in(table.column("pat"), pa.array(gone, pa.binary(16))))
                copies = theirs.group_by(["file", "line"]).aggregate([])
                for file, n in Counter(copies.column("file").to_pylist()).items():
                    if file in live:
                        live[file].dropped[f"{kind} not-a-subject"] += n
        return replace(state, inputs=list(live.values()))

    def _seal(self, spills: Sequence[Spill], commit: int) -> list[Segment]:
        by_type: dict[str, list[Spill]] = {}
        for s in spills:
            by_type.setdefault(s.resource_type, []).append(s)
        tasks = []
        for kind, group in sorted(by_type.items()):
            for start in range(0, self.setting.buckets, BUCKETS_A_SEGMENT):
                buckets = tuple(range(start, min(start + BUCKETS_A_SEGMENT, self.setting.buckets)))
                name = f"{commit:06d}-{kind}-{start:03d}"
                tasks.append(SealTask(kind, tuple(group), buckets, str(self.store.segments), name))
        sealed = self._run("seal", seal_task, tasks)
        return [s for s in sealed if isinstance(s, Segment)]


def _book(entry: InputEntry, r: IntakeReceipt) -> None:
    for kind, n in r.read.items():
        entry.read[kind] = entry.read.get(kind, 0) + n
    for (kind, reason), n in r.dropped.items():
        key = f"{kind} {reason}"
        entry.dropped[key] = entry.dropped.get(key, 0) + n
    entry.rejects += [x._asdict() | {"rid": x.rid.hex() if x.rid else ""} for x in r.rejects]


def _require_resources(entries: Sequence[InputEntry]) -> None:
    """Raise InputError where the input holds nothing at all, not even something broken."""
    if not any(e.read or e.rejects for e in entries):
        names = ", ".join(e.label for e in entries[:3]) + (", …" if len(entries) > 3 else "")
        raise InputError(f"no resource in the input ({names or 'an empty store'}); expected FHIR resources, one a line")


@contextmanager
def _links_of(site: Path) -> Iterator[None]:
    """Sweep what killed runs left of the link files, unless another build writes there now."""
    handle = os.open(site, os.O_RDONLY)
    try:
        if locked(handle, fcntl.LOCK_EX):
            sweep_links(site)
        locked(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _stamp(f: InputFile) -> tuple[int, int]:
    """Return size and time of a file. Raises InputError where it is not there any more or has another size."""
    try:
        found = os.stat(Path(f.path))
    except OSError as e:
        raise InputError(f"cannot read {f.path}: {e.strerror}") from e
    if found.st_size != f.size:
        raise InputError(
            f"{f.path} has {found.st_size} bytes now and had {f.size}; expected a file that nobody writes to"
        )
    return found.st_size, found.st_mtime_ns

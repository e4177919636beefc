"""The driver's first half: input files -> identities -> subjects -> a store with a new commit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from adapter.enrolment import Enrolled
from adapter.errors import EnrolmentError
from adapter.executors import TaskRunner
from adapter.identify import (
    Identities,
    KnownPatient,
    Subject,
    disagreements,
    from_research_subjects,
    log_key,
    resolve_subjects,
)
from adapter.intake.reading import LookUp
from adapter.site import Keyer
from adapter.sources.files import InputFile, byte_ranges
from adapter.store.segments import Segment, Spill
from adapter.store.store import DEFAULT_BUCKETS, MOST_BUCKETS, InputEntry, State, Store
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


@dataclass(slots=True)
class Ingested:
    """What is in the store now, who the subjects are, and where the links of what was read stand."""

    subjects: list[Subject]
    state: State
    links: list[str] = field(default_factory=list)


def buckets_for(size: int) -> int:
    """Return how many buckets a new store gets, so that one bucket of subjects fits a worker's memory."""
    return max(DEFAULT_BUCKETS, min(MOST_BUCKETS, -(-size // BUCKET_BYTES)))


def who_is_who(
    log: list[Enrolled] | None, known: Identities, keyer: Keyer, trial: Trial, log_name: str
) -> list[Subject]:
    """Return the subjects of log and ResearchSubject. Raises EnrolmentError where there is neither, or they disagree."""
    study, arms = trial.study.id, trial.arm_spellings()
    if log is None:
        log = from_research_subjects(known, study, trial.defaults.site, arms)
        if not log:
            raise EnrolmentError(
                "nobody is a subject: no enrolment log was given (--enrolment FILE) and no ResearchSubject came in"
            )
        return resolve_subjects(log, known, keyer, study)
    subjects = resolve_subjects(log, known, keyer, study)
    against = disagreements(subjects, known, arms)
    if against:
        more = f" (and {len(against) - 1} more)" if len(against) > 1 else ""
        raise EnrolmentError(f"{log_name} and the FHIR data disagree: {against[0]}{more}")
    return subjects


class Ingest:
    """One intake run. `run` reads what is new, or was held back when its patients were no subjects yet, and commits it."""

    def __init__(
        self, store: Store, setting: Setting, keyer: Keyer, trial: Trial, runner: TaskRunner, progress: Progress
    ) -> None:
        self.store = store
        self.setting = setting
        self.keyer = keyer
        self.trial = trial
        self.runner = runner
        self.progress = progress

    def run(
        self, files: Sequence[InputFile], log: list[Enrolled] | None, log_name: str, range_bytes: int
    ) -> Ingested:
        with self.store.writing() as state:
            hashes = dict(zip([f.label for f in files], self._hashes(files), strict=True))
            known, lines = self._identify(files, log, state, range_bytes)
            subjects = who_is_who(log, known, self.keyer, self.trial, log_name)
            result = Ingested(subjects, state)
            fingerprint = _fingerprint(subjects)
            todo = _to_read(files, hashes, state, fingerprint)
            if todo:
                self._read(todo, hashes, lines, known, fingerprint, range_bytes, result)
            return result

    def _hashes(self, files: Sequence[InputFile]) -> list[str]:
        return self.runner.run(hash_task, [HashTask(f.label, f.path) for f in files])

    def _identify(
        self, files: Sequence[InputFile], log: list[Enrolled] | None, state: State, range_bytes: int
    ) -> tuple[Identities, dict[str, list[int]]]:
        """Return the identities of all files and of the store, and the lines of each range of each file."""
        wanted = frozenset(log_key(row.patient, self.keyer) for row in log or ())
        context = write_context(self.setting, "identify", Context([], {}, wanted=wanted))
        ranges = [Range(f.label, f.path, a, b, f.number) for f in files for a, b in byte_ranges(f.size, range_bytes)]
        tasks = [IdentifyTask(r.label, r, self.setting, context) for r in ranges]
        known = Identities()
        known.look_ups = {bytes.fromhex(k): LookUp(*v) for k, v in state.look_ups.items()}
        known.patients = [
            KnownPatient(bytes.fromhex(k), tuple(map(bytes.fromhex, i)), tuple((t, bytes.fromhex(o)) for t, o in links))
            for k, i, links in state.patients
        ]
        lines: dict[str, list[int]] = {f.label: [] for f in files}
        for r, one in zip(ranges, self._run("identify", identify_task, tasks), strict=True):
            lines[r.label].append(one.lines)
            known.add(one)
        return known, lines

    def _run(self, stage: str, function: Callable[..., object], tasks: Sequence[object]) -> list[object]:
        done = 0
        self.progress(stage, 0, len(tasks))

        def told(_: object) -> None:
            nonlocal done
            done += 1
            self.progress(stage, done, len(tasks))

        return self.runner.run(function, tasks, told)

    def _read(
        self,
        todo: Sequence[InputFile],
        hashes: dict[str, str],
        lines: dict[str, list[int]],
        known: Identities,
        fingerprint: str,
        range_bytes: int,
        result: Ingested,
    ) -> None:
        state = result.state
        first_number = max((i.number for i in state.inputs), default=-1) + 1
        context = write_context(self.setting, "intake", Context(result.subjects, known.look_ups))
        tasks, entries = [], {}
        for number, f in enumerate(todo, first_number):
            first = 1
            for (a, b), n in zip(byte_ranges(f.size, range_bytes), lines[f.label], strict=True):
                tasks.append(IntakeTask(f.label, Range(f.label, f.path, a, b, number, first), self.setting, context))
                first += n
            total = sum(lines[f.label])
            entries[number] = InputEntry(number, f.label, hashes[f.label], f.size, total, {}, {}, [], fingerprint)
        receipts: list[IntakeReceipt] = self._run("intake", intake_task, tasks)  # type: ignore[assignment]
        for r in receipts:
            _book(entries[r.number], r)
        sealed = self._seal([s for r in receipts for s in r.spills], state.number + 1)
        again = {(e.label, e.sha256) for e in entries.values()}
        state.inputs = [i for i in state.inputs if (i.label, i.sha256) not in again] + list(entries.values())
        state.segments += sealed
        state.look_ups = {
            k.hex(): [v.code, v.text, v.form, v.lot, v.expires] for k, v in sorted(known.look_ups.items())
        }
        state.patients = _of_subjects(known, result.subjects)
        self.store.commit(state)
        result.links = [r.links for r in receipts if r.links]

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


def _fingerprint(subjects: Sequence[Subject]) -> str:
    digest = hashlib.sha256()
    for key in sorted(k for s in subjects for k in s.identities):
        digest.update(key)
    return digest.hexdigest()


def _to_read(
    files: Sequence[InputFile], hashes: dict[str, str], state: State, fingerprint: str
) -> list[InputFile]:
    """Return the files that are new, or that held somebody's data back while other people were subjects."""
    have = {(i.label, i.sha256): i for i in state.inputs}
    todo = []
    for f in files:
        entry = have.get((f.label, hashes[f.label]))
        if entry is None or (entry.held_back and entry.identities != fingerprint):
            todo.append(f)
    return todo


def _of_subjects(known: Identities, subjects: Sequence[Subject]) -> list[list[object]]:
    """Return the patients of subjects for the store: later runs need their links and identifiers, and nobody else's."""
    mine = {k for s in subjects for k in s.identities}
    kept = {
        p.key.hex(): [p.key.hex(), sorted(i.hex() for i in p.identifiers), sorted([t, o.hex()] for t, o in p.links)]
        for p in known.patients
        if p.key in mine
    }
    return [kept[k] for k in sorted(kept)]

"""The store: segments made visible by commits.

    STORE/store.json            format, bucket count, key fingerprint, time zone
    STORE/segments/*.parquet    rows; a file counts only once a commit lists it
    STORE/commits/NNNNNN.json   the whole state after one intake run: inputs, segments, counts, rejects
    STORE/lock, STORE/readers   locks: one writer; segments are swept only where no build reads them

A commit is written under a temporary name, fsynced and renamed; readers read the newest commit only. So a run that is
killed at any point leaves the state before it, and its leftovers are swept by the next run.
"""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter.errors import StoreError
from adapter.files import fsync_folder, json_bytes, locked, write_whole
from adapter.store.segments import Segment

FORMAT = 2
DEFAULT_BUCKETS = 16
MOST_BUCKETS = 256


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What must stay the same for the life of a store."""

    buckets: int
    key: str
    zone: str
    format: int = FORMAT


@dataclass(slots=True)
class InputEntry:
    """One input file as it was read: `read` by resource type, `dropped` by 'type reason', `rejects` as JSON lines.

    identities, look_ups: fingerprints of who was a subject, and of the look-up resources known, when it was read.
    servers: the base URLs that were the hospital's own then, separated by blanks.
    """

    number: int
    label: str
    sha256: str
    size: int
    lines: int
    read: dict[str, int]
    dropped: dict[str, int]
    rejects: list[dict[str, Any]]
    identities: str = ""
    look_ups: str = ""
    servers: str = ""

    @property
    def held_back(self) -> int:
        """How many resources were dropped because their patient was no subject at the time."""
        return sum(n for key, n in self.dropped.items() if key.endswith(" not-a-subject"))


@dataclass(slots=True)
class State:
    """One commit: everything a reader needs. All ids in it are keyed, and nobody is in it who is no subject.

    look_ups, studies, patients, candidates, consents: who is who (adapter.store.people). identities: fingerprint ->
    keyed patient ids of the subjects of the time when inputs were read. servers: keyed patient id -> base URLs under
    which the subject was referred to.
    """

    number: int = 0
    inputs: list[InputEntry] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    look_ups: dict[str, list[str | None]] = field(default_factory=dict)
    studies: dict[str, list[str]] = field(default_factory=dict)
    patients: list[Any] = field(default_factory=list)
    candidates: list[Any] = field(default_factory=list)
    consents: list[Any] = field(default_factory=list)
    identities: dict[str, list[str]] = field(default_factory=dict)
    servers: dict[str, list[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        whole = {name: getattr(self, name) for name in State.__slots__}
        return whole | {
            "inputs": [{k: getattr(i, k) for k in InputEntry.__slots__} for i in self.inputs],
            "segments": [s.as_json() for s in self.segments],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> State:
        whole = {name: value[name] for name in cls.__slots__}
        whole["inputs"] = [InputEntry(**i) for i in whole["inputs"]]
        whole["segments"] = [Segment.from_json(s) for s in whole["segments"]]
        return cls(**whole)


class Store:
    """A store on disk. Open with `Store.open`; write inside `with store.writing():`.

    From then on, until the object goes away, no other run removes segments, so that they can be read in peace.
    """

    def __init__(self, folder: Path, facts: StoreFacts) -> None:
        self.folder = folder
        self.facts = facts
        self._readers: int | None = None

    @property
    def segments(self) -> Path:
        return self.folder / "segments"

    @property
    def commits(self) -> Path:
        return self.folder / "commits"

    @classmethod
    def open(cls, folder: Path, wanted: StoreFacts) -> Store:
        """Open a store, or make it. Raises StoreError where it belongs to another key or time zone, or is no store."""
        path = folder / "store.json"
        try:
            if not path.exists():
                _make(folder, path, wanted)
        except OSError as e:
            raise StoreError(f"cannot make a store in {folder}: {e.strerror or e}") from e
        facts = cls._facts(path)
        if facts.key != wanted.key:
            raise StoreError(f"{folder} was made with another key; expected the site folder it was made with")
        if facts.zone != wanted.zone:
            raise StoreError(f"{folder} holds site days of {facts.zone}; the trial's time zone is {wanted.zone}")
        return cls(folder, facts)

    @staticmethod
    def _facts(path: Path) -> StoreFacts:
        try:
            facts = StoreFacts(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as e:
            raise StoreError(f"{path} is no store description: {e}") from e
        if facts.format != FORMAT:
            raise StoreError(f"{path} has format {facts.format}; this version reads {FORMAT}")
        if not isinstance(facts.buckets, int) or not 1 <= facts.buckets <= MOST_BUCKETS:
            raise StoreError(f"{path} has {facts.buckets!r} buckets; expected 1 to {MOST_BUCKETS}")
        return facts

    def state(self) -> State:
        """Return the newest commit, or an empty state. Raises StoreError where the newest commit is damaged."""
        found = sorted(p for p in self.commits.glob("[0-9]*.json"))
        if not found:
            return State()
        try:
            return State.from_json(json.loads(found[-1].read_bytes()))
        except (OSError, ValueError, TypeError, KeyError) as e:
            raise StoreError(f"commit {found[-1]} is damaged: {type(e).__name__} {e}; expected a whole commit") from e

    @contextmanager
    def writing(self) -> Iterator[State]:
        """Lock the store for one intake run, sweep what killed runs left, and give the state to build on.

        Raises StoreError where another run holds the lock.
        """
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as e:
            raise StoreError(f"cannot write to the store {self.folder}: {e.strerror or e}") from e
        try:
            if not locked(lock, fcntl.LOCK_EX):
                raise StoreError(f"another run is writing to {self.folder}; wait for it to end")
            self._sweep_commits()
            state = self.state()
            self.sweep(state)
            yield state
        finally:
            os.close(lock)

    def sweep(self, state: State) -> None:
        """Remove segments that `state` does not list: of killed runs, or compacted. Not while another build reads."""
        if self._readers is None:
            self._readers = os.open(self.folder / "readers", os.O_RDWR | os.O_CREAT, 0o600)
            weakref.finalize(self, os.close, self._readers)
        if locked(self._readers, fcntl.LOCK_EX):
            listed = {s.name for s in state.segments}
            for path in self.segments.iterdir():
                if path.name not in listed:
                    path.unlink()
        locked(self._readers, fcntl.LOCK_SH)

    def _sweep_commits(self) -> None:
        for path in [*self.commits.glob(".*.part"), *self.folder.glob(".store.json.*.part")]:
            path.unlink(missing_ok=True)

    def commit(self, state: State) -> None:
        """Make `state` the newest commit. Its segments must be on disk already."""
        fsync_folder(self.segments)
        state.number += 1
        write_whole(self.commits / f"{state.number:06d}.json", json_bytes(state.as_json()))


def _make(folder: Path, path: Path, facts: StoreFacts) -> None:
    """Make an empty store. What a run that was killed here left may be there already; anything else may not."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = sorted(p.name for p in folder.iterdir() if not (p.name.startswith(".store.json.") and p.suffix == ".part"))
    if set(there) - {"segments", "commits"} or any(any((folder / n).iterdir()) for n in there):
        raise StoreError(f"{folder} is not empty and no store (store.json is missing)")
    os.chmod(folder, 0o700)
    for sub in ("segments", "commits"):
        (folder / sub).mkdir(exist_ok=True)
    write_whole(path, json_bytes({k: getattr(facts, k) for k in StoreFacts.__slots__}))

"""The store: segments made visible by commits.

    STORE/store.json            format, bucket count, key fingerprint, time zone, trial
    STORE/segments/*.parquet    rows; a file counts only once a commit lists it
    STORE/commits/NNNNNN.json   the whole state after one intake run: inputs, segments, counts, rejects

A commit is written under a temporary name, fsynced and renamed; readers read the newest commit only. So a run that is
killed at any point leaves the state before it, and its leftovers are swept by the next run.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter.errors import StoreError
from adapter.files import fsync_folder, json_bytes, write_whole
from adapter.store.segments import Segment

FORMAT = 1
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
    """One input file as it was read: `read` by resource type, `dropped` by 'type reason', `rejects` as JSON lines."""

    number: int
    label: str
    sha256: str
    size: int
    lines: int
    read: dict[str, int]
    dropped: dict[str, int]
    rejects: list[dict[str, Any]]
    identities: str = ""

    @property
    def held_back(self) -> int:
        """How many resources were dropped because their patient was no subject at the time."""
        return sum(n for key, n in self.dropped.items() if key.endswith(" not-a-subject"))


@dataclass(slots=True)
class State:
    """One commit: everything a reader needs."""

    number: int = 0
    inputs: list[InputEntry] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    look_ups: dict[str, list[str | None]] = field(default_factory=dict)
    patients: list[Any] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "inputs": [{k: getattr(i, k) for k in InputEntry.__slots__} for i in self.inputs],
            "segments": [s.as_json() for s in self.segments],
            "look_ups": self.look_ups,
            "patients": self.patients,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> State:
        return cls(
            value["number"],
            [InputEntry(**i) for i in value["inputs"]],
            [Segment.from_json(s) for s in value["segments"]],
            value["look_ups"],
            value["patients"],
        )


class Store:
    """A store on disk. Open with `Store.open`; write inside `with store.writing():`."""

    def __init__(self, folder: Path, facts: StoreFacts) -> None:
        self.folder = folder
        self.facts = facts

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
        if not path.exists():
            if folder.exists() and any(folder.iterdir()):
                raise StoreError(f"{folder} is not empty and no store (store.json is missing)")
            for sub in ("segments", "commits"):
                (folder / sub).mkdir(parents=True, exist_ok=True)
            os.chmod(folder, 0o700)
            write_whole(path, json_bytes({k: getattr(wanted, k) for k in StoreFacts.__slots__}))
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
        return facts

    def state(self) -> State:
        """Return the newest commit, or an empty state."""
        found = sorted(p for p in self.commits.glob("[0-9]*.json"))
        if not found:
            return State()
        try:
            return State.from_json(json.loads(found[-1].read_bytes()))
        except (OSError, ValueError, TypeError, KeyError) as e:
            raise StoreError(f"commit {found[-1]} cannot be read: {e}") from e

    @contextmanager
    def writing(self) -> Iterator[State]:
        """Lock the store for one intake run, sweep what killed runs left, and give the state to build on.

        Raises StoreError where another run holds the lock.
        """
        with open(self.folder / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as e:
                raise StoreError(f"another run is writing to {self.folder}; wait for it to end") from e
            state = self.state()
            listed = {s.name for s in state.segments}
            for path in self.segments.iterdir():
                if path.name not in listed:
                    path.unlink()
            yield state

    def commit(self, state: State) -> None:
        """Make `state` the newest commit. Its segments must be on disk already."""
        fsync_folder(self.segments)
        state.number += 1
        write_whole(self.commits / f"{state.number:06d}.json", json_bytes(state.as_json()))

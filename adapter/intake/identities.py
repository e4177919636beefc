"""What identification finds, in keyed form: patients and links, ResearchSubjects, Consents, studies, look-ups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from adapter.intake.reading import LookUp


@dataclass(slots=True)
class KnownPatient:
    """One Patient resource, in keyed form. `links` are (type, keyed id of the other)."""

    key: bytes
    identifiers: tuple[bytes, ...]
    links: tuple[tuple[str, bytes], ...]


class Version(NamedTuple):
    """Which copy of a resource this is; of one `rid` the greatest counts."""

    rid: bytes
    updated: int
    number: int
    sha: bytes


@dataclass(slots=True)
class Candidate:
    """A ResearchSubject: the second source of who is a subject. `study` is a keyed ResearchStudy or `system|value`."""

    version: Version
    patient: bytes
    subjid: str
    arm: str
    start: str
    status: str
    study: bytes | str


@dataclass(slots=True)
class ConsentDay:
    """A Consent to research and its site day; `given` is False where it shows no consent (draft, rejected, error)."""

    version: Version
    patient: bytes
    day: str
    given: bool


@dataclass(slots=True)
class Identities:
    """What one byte range, or all of them merged, tells about who is who. `studies`: keyed id -> its identifiers.

    servers: keyed patient id -> base URLs of the Bundle entries in which a Patient with this id stands.
    borne: `bearers.pair` of every identifier of every Patient. deleted: keyed id of a resource that the hospital deleted
    -> when (microseconds, UTC), None where it is not told and the deletion is final.
    """

    lines: int = 0
    patients: list[KnownPatient] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    consents: list[ConsentDay] = field(default_factory=list)
    studies: dict[bytes, frozenset[str]] = field(default_factory=dict)
    look_ups: dict[bytes, LookUp] = field(default_factory=dict)
    servers: dict[bytes, frozenset[str]] = field(default_factory=dict)
    borne: bytes = b""
    deleted: dict[bytes, int | None] = field(default_factory=dict)

    def add(self, other: Identities) -> None:
        self.lines += other.lines
        self.patients += other.patients
        self.candidates += other.candidates
        self.consents += other.consents
        for key, names in other.studies.items():
            self.studies[key] = self.studies.get(key, frozenset()) | names
        self.refer(other.servers)
        self.borne += other.borne
        for rid, instant in other.deleted.items():
            self.delete(rid, instant)
        for key, value in other.look_ups.items():
            # the same look-up twice: the fuller one, then the larger text, so that file order does not matter
            if key not in self.look_ups or _rank(value) > _rank(self.look_ups[key]):
                self.look_ups[key] = value

    def refer(self, servers: Mapping[bytes, frozenset[str]]) -> None:
        for key, bases in servers.items():
            self.servers[key] = self.servers.get(key, frozenset()) | bases

    def delete(self, rid: bytes, instant: int | None) -> None:
        before = self.deleted.get(rid, instant)
        self.deleted[rid] = None if instant is None or before is None else max(before, instant)

    def forget_deleted(self) -> None:
        """Leave out what the hospital has deleted: a copy that is newer than the deletion stays."""

        def there(v: Version) -> bool:
            if v.rid not in self.deleted:
                return True
            instant = self.deleted[v.rid]
            return instant is not None and v.updated > instant

        self.candidates = [c for c in self.candidates if there(c.version)]
        self.consents = [c for c in self.consents if there(c.version)]
        for rid in self.deleted.keys() & self.look_ups.keys():
            del self.look_ups[rid]


def _rank(x: LookUp) -> tuple[int, tuple[str, ...]]:
    parts = (x.code or "", x.text or "", x.form or "", x.lot or "", x.expires or "", x.ingredients or "")
    return sum(map(bool, parts)), parts

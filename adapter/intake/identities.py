"""What identification finds, in keyed form: patients and links, ResearchSubjects, Consents, studies, look-ups."""

from __future__ import annotations

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
    """

    lines: int = 0
    patients: list[KnownPatient] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    consents: list[ConsentDay] = field(default_factory=list)
    studies: dict[bytes, frozenset[str]] = field(default_factory=dict)
    look_ups: dict[bytes, LookUp] = field(default_factory=dict)
    servers: dict[bytes, frozenset[str]] = field(default_factory=dict)

    def add(self, other: Identities) -> None:
        self.lines += other.lines
        self.patients += other.patients
        self.candidates += other.candidates
        self.consents += other.consents
        for key, names in other.studies.items():
            self.studies[key] = self.studies.get(key, frozenset()) | names
        for key, bases in other.servers.items():
            self.servers[key] = self.servers.get(key, frozenset()) | bases
        for key, value in other.look_ups.items():
            # the same look-up twice: the fuller one, then the larger text, so that file order does not matter
            if key not in self.look_ups or _rank(value) > _rank(self.look_ups[key]):
                self.look_ups[key] = value


def _rank(x: LookUp) -> tuple[int, tuple[str, ...]]:
    parts = (x.code or "", x.text or "", x.form or "", x.lot or "", x.expires or "")
    return sum(map(bool, parts)), parts

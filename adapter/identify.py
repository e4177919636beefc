"""Step 1: who is who. Lines -> the patients that matter, their links and identifiers, and look-up resources.

Everything is keyed at once; no hospital identity leaves a worker. Only patients that the log names, that a
ResearchSubject names, or that are linked to another patient are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from adapter.enrolment import Enrolled
from adapter.errors import EnrolmentError
from adapter.intake.dates import SiteClock
from adapter.intake.events import medication_look_up, product_look_up
from adapter.intake.reading import LookUp, identity
from adapter.intake.structs import (
    HEAD,
    NONE,
    BiologicallyDerivedProduct,
    Consent,
    Medication,
    Patient,
    Reference,
    ResearchSubject,
)
from adapter.site import Keyer

DECODERS = {
    "Patient": msgspec.json.Decoder(Patient),
    "ResearchSubject": msgspec.json.Decoder(ResearchSubject),
    "Consent": msgspec.json.Decoder(Consent),
    "Medication": msgspec.json.Decoder(Medication),
    "BiologicallyDerivedProduct": msgspec.json.Decoder(BiologicallyDerivedProduct),
}
LOOK_UPS = ("Medication", "BiologicallyDerivedProduct")
_REFERENCE = msgspec.json.Decoder(Reference)
PREFIX = b'{"resourceType":"'


@dataclass(slots=True)
class KnownPatient:
    """One Patient resource, in keyed form. `links` are (type, keyed id of the other)."""

    key: bytes
    identifiers: tuple[bytes, ...]
    links: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class Candidate:
    """A ResearchSubject: the second source of who is a subject."""

    patient: bytes
    subjid: str
    arm: str
    start: str


@dataclass(slots=True)
class Identities:
    """What one byte range, or all of them merged, tells about who is who."""

    lines: int = 0
    patients: list[KnownPatient] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    consents: list[tuple[bytes, str]] = field(default_factory=list)
    look_ups: dict[bytes, LookUp] = field(default_factory=dict)

    def add(self, other: Identities) -> None:
        self.lines += other.lines
        self.patients += other.patients
        self.candidates += other.candidates
        self.consents += other.consents
        for key, value in other.look_ups.items():
            # the same look-up twice: the fuller one, then the larger text, so that file order does not matter
            if key not in self.look_ups or _rank(value) > _rank(self.look_ups[key]):
                self.look_ups[key] = value


def _rank(x: LookUp) -> tuple[int, tuple[str, ...]]:
    parts = (x.code or "", x.text or "", x.form or "", x.lot or "", x.expires or "")
    return sum(map(bool, parts)), parts


def resource_type(line: bytes) -> str | None:
    """Return the resourceType of a line, or None where it has none. Raises msgspec.DecodeError for broken JSON."""
    if line.startswith(PREFIX):
        end = line.find(b'"', 17, 100)
        if end > 0:
            return line[17:end].decode("ascii", "replace")
    return HEAD.decode(line).resourceType


def identify(lines: Iterable[bytes], keyer: Keyer, clock: SiteClock, wanted: frozenset[bytes]) -> Identities:
    """Return the identities in some lines. `wanted` are the keyed patients and identifiers of the enrolment log.

    Broken lines are passed over here: intake reports them.
    """
    found = Identities()
    for line in lines:
        found.lines += 1
        try:
            kind = resource_type(line)
            if kind in DECODERS:
                _take(DECODERS[kind].decode(line), keyer, clock, wanted, found)
        except msgspec.MsgspecError:
            continue
        except UnicodeDecodeError:
            continue
    return found


def _take(r: object, keyer: Keyer, clock: SiteClock, wanted: frozenset[bytes], found: Identities) -> None:
    if isinstance(r, Patient) and r.id:
        key = keyer.keyed(f"Patient/{r.id}")
        identifiers = tuple(keyer.keyed(f"{i.system or ''}|{i.value}") for i in r.identifier or () if i.value)
        links = tuple(
            (x.type, keyer.keyed(name))
            for x in r.link or ()
            if x.type in ("replaced-by", "replaces") and x.other and x.other.reference
            if (name := identity(x.other.reference, "Patient"))
        )
        if links or key in wanted or not wanted.isdisjoint(identifiers):
            found.patients.append(KnownPatient(key, identifiers, links))
    elif isinstance(r, Medication) and r.id:
        found.look_ups[keyer.keyed(f"Medication/{r.id}")] = medication_look_up(r)
    elif isinstance(r, BiologicallyDerivedProduct) and r.id:
        found.look_ups[keyer.keyed(f"BiologicallyDerivedProduct/{r.id}")] = product_look_up(r)
    elif isinstance(r, ResearchSubject):
        name = _patient(r.individual)
        if name and r.status not in ("entered-in-error", None):
            subjid = next((i.value for i in r.identifier or () if i.value), "")
            start = _day(clock, r.period.start) if r.period else ""
            found.candidates.append(Candidate(keyer.keyed(name), subjid, r.actualArm or r.assignedArm or "", start))
    elif isinstance(r, Consent) and r.dateTime and r.status == "active":
        name = _patient(r.patient)
        day = _day(clock, r.dateTime)
        if name and day:
            found.consents.append((keyer.keyed(name), day))


def _patient(subject: msgspec.Raw) -> str | None:
    reference = _REFERENCE.decode(subject).reference if subject != NONE else None
    return identity(reference, "Patient") if reference else None


def _day(clock: SiteClock, text: str | None) -> str:
    """Return the site day of a date, empty where it is not known to the day."""
    moment = clock.read(text) if text else None
    return moment.dtc[:10] if moment is not None and moment.day is not None else ""


@dataclass(slots=True)
class Subject:
    """One subject with all keyed patient ids that are this person; the first is the surviving record."""

    usubjid: str
    enrolled: Enrolled
    identities: tuple[bytes, ...]
    survivor: bytes


def log_key(patient: str, keyer: Keyer) -> bytes:
    """Return the keyed form of the log's `patient`: `system|value`, `Patient/id`, a bare id, or `keyed:` and hex."""
    if patient.startswith("keyed:"):
        return bytes.fromhex(patient[6:])
    if "|" in patient:
        return keyer.keyed(patient)
    return keyer.keyed(patient if patient.startswith("Patient/") else f"Patient/{patient}")


def resolve_subjects(log: Sequence[Enrolled], known: Identities, keyer: Keyer, study: str) -> list[Subject]:
    """Return the subjects in USUBJID order, each with every patient record that is this person.

    Patient.link replaced-by/replaces makes records one person, whichever file or build the link comes from.
    Raises EnrolmentError where two log lines turn out to be one person or an identifier names several.
    """
    group = _Groups()
    survivors: set[bytes] = set()
    replaced: set[bytes] = set()
    by_identifier: dict[bytes, set[bytes]] = {}
    for p in known.patients:
        group.find(p.key)
        for identifier in p.identifiers:
            by_identifier.setdefault(identifier, set()).add(p.key)
        for kind, other in p.links:
            group.join(p.key, other)
            replaced.add(p.key if kind == "replaced-by" else other)
            survivors.add(other if kind == "replaced-by" else p.key)
    members: dict[bytes, list[bytes]] = {}
    for key in group.all():
        members.setdefault(group.find(key), []).append(key)
    subjects: dict[bytes, Subject] = {}
    for row in log:
        key = log_key(row.patient, keyer)
        if "|" in row.patient:
            roots = {group.find(k) for k in by_identifier.get(key, ())}
            if len(roots) > 1:
                raise EnrolmentError(f"{row.source}: the identifier names {len(roots)} patients; expected exactly one")
            key = roots.pop() if roots else key
        root = group.find(key)
        if root in subjects:
            other = subjects[root].enrolled
            raise EnrolmentError(
                f"{row.source} and {other.source} are the same person by Patient.link or identifier; expected one line"
            )
        own = sorted(members.get(root, [key]))
        heads = [k for k in own if k in survivors and k not in replaced] or own
        subjects[root] = Subject(row.usubjid(study), row, tuple(own), heads[0])
    return sorted(subjects.values(), key=lambda s: s.usubjid)


class _Groups:
    """Union-find over keyed patient ids; the root is the smallest member, so that order does not matter."""

    def __init__(self) -> None:
        self._parent: dict[bytes, bytes] = {}

    def find(self, key: bytes) -> bytes:
        parent = self._parent.setdefault(key, key)
        while parent != self._parent[parent]:
            parent = self._parent[parent] = self._parent[self._parent[parent]]
        return parent

    def join(self, a: bytes, b: bytes) -> None:
        low, high = sorted((self.find(a), self.find(b)))
        self._parent[high] = low

    def all(self) -> Iterator[bytes]:
        return iter(sorted(self._parent))


def from_research_subjects(known: Identities, study: str, site: str, arms: dict[str, str]) -> list[Enrolled]:
    """Return log rows made from ResearchSubject and Consent, for a hospital that keeps no enrolment log.

    `arms` maps what ResearchSubject.actualArm may say (code or name) to the arm code. A candidate without an
    identifier for the trial has no subject code and cannot be a subject: EnrolmentError.
    """
    consent: dict[bytes, str] = {}
    for patient, day in sorted(known.consents):
        consent.setdefault(patient, day)
    rows = []
    for c in sorted(known.candidates, key=lambda c: c.subjid):
        if not c.subjid:
            raise EnrolmentError(f"a ResearchSubject of {study} has no identifier; expected the subject code in it")
        if c.arm and c.arm not in arms:
            raise EnrolmentError(f"ResearchSubject {c.subjid}: unknown arm {c.arm!r}; known are {sorted(arms)}")
        rows.append(
            Enrolled(
                patient=f"keyed:{c.patient.hex()}",
                subjid=c.subjid,
                siteid=site,
                arm=arms.get(c.arm, ""),
                consent_date=consent.get(c.patient, ""),
                randomisation_date=c.start if c.arm else "",
                source=f"ResearchSubject {c.subjid}",
            )
        )
    return rows


def disagreements(subjects: Sequence[Subject], known: Identities, arms: dict[str, str]) -> list[str]:
    """Return where ResearchSubject and Consent contradict the log (arm, consent day); empty when they agree."""
    owner = {key: s for s in subjects for key in s.identities}
    found = []
    for c in known.candidates:
        s = owner.get(c.patient)
        if s is not None and c.arm and arms.get(c.arm) != (s.enrolled.arm or None):
            found.append(
                f"{s.usubjid}: arm is {s.enrolled.arm or 'empty'} in the {s.enrolled.source}, "
                f"{arms.get(c.arm, c.arm)} in the ResearchSubject"
            )
    days: dict[str, set[str]] = {}
    for patient, day in known.consents:
        if patient in owner:
            days.setdefault(owner[patient].usubjid, set()).add(day)
    for s in subjects:
        seen = days.get(s.usubjid)
        if seen and s.enrolled.consent_date and s.enrolled.consent_date not in seen:
            found.append(
                f"{s.usubjid}: consent is {s.enrolled.consent_date} in the {s.enrolled.source}, "
                f"{', '.join(sorted(seen))} in Consent"
            )
    return sorted(found)

"""Step 1: who is who. Lines -> the patients that matter, their links and identifiers, and look-up resources.

Everything is keyed at once; no hospital identity leaves a worker. Only patients that the log names, that a
ResearchSubject names, or that are linked to another patient are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from adapter.enrolment import Enrolled
from adapter.enrolment import Subject as Subject
from adapter.errors import EnrolmentError
from adapter.intake.bearers import pair
from adapter.intake.dates import SiteClock, utc_micros
from adapter.intake.identities import Candidate, ConsentDay, Version
from adapter.intake.identities import Identities as Identities
from adapter.intake.identities import KnownPatient as KnownPatient
from adapter.intake.ladder import usable
from adapter.intake.medication import medication_look_up, product_look_up
from adapter.intake.reading import UNREADABLE, bare_codes
from adapter.intake.research import disagreements as disagreements
from adapter.intake.research import from_research_subjects as from_research_subjects
from adapter.intake.structs import (
    HEAD,
    NONE,
    BiologicallyDerivedProduct,
    Consent,
    Identifier,
    Medication,
    Patient,
    Reference,
    ResearchSubject,
    Resource,
)
from adapter.intake.tables import SUBSETTED
from adapter.references import identifier_text, identity
from adapter.site import Keyer


class ResearchStudy(Resource, gc=False):
    identifier: list[Identifier] | None = None


DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "Patient": msgspec.json.Decoder(Patient),
    "ResearchStudy": msgspec.json.Decoder(ResearchStudy),
    "ResearchSubject": msgspec.json.Decoder(ResearchSubject),
    "Consent": msgspec.json.Decoder(Consent),
    "Medication": msgspec.json.Decoder(Medication),
    "BiologicallyDerivedProduct": msgspec.json.Decoder(BiologicallyDerivedProduct),
}
LOOK_UPS = ("Medication", "BiologicallyDerivedProduct", "ResearchStudy")
_REFERENCE = msgspec.json.Decoder(Reference)
PREFIX = b'{"resourceType":"'

GIVEN_CONSENT = frozenset(["active", "inactive"])
"""Consent statuses that show that consent was given on its day; a withdrawn consent is inactive."""


def resource_type(line: bytes) -> str | None:
    """Return the resourceType of a line, or None where it has none. Raises msgspec.DecodeError for broken JSON.

    A name that no FHIR type can have is none: it would stand in the counts, and nobody knows what it says.
    """
    name: str | None = None
    if line.startswith(PREFIX):
        end = line.find(b'"', 17, 80)
        name = line[17:end].decode("ascii", "replace") if end > 0 else None
    if name is None or not name.isalpha():
        name = HEAD.decode(line).resourceType
    return name if name and len(name) <= 60 and name.isascii() and name.isalpha() else None


def identify(
    lines: Iterable[bytes],
    keyer: Keyer,
    clock: SiteClock,
    wanted: frozenset[bytes],
    own: frozenset[str] = frozenset(),
) -> Identities:
    """Return the identities in some lines. `wanted` are the keyed patients and identifiers of the enrolment log.

    own: the hospital's base URLs, if declared.

    Broken lines are passed over here: intake reports them.
    """
    found = Identities()
    passed = b"\0"  # how lines of the latest type without identities begin: most lines are such
    for line in lines:
        found.lines += 1
        if line.startswith(passed):
            continue
        try:
            kind = resource_type(line)
            if kind in DECODERS:
                r = usable(kind, Patient, line) if kind == "Patient" else DECODERS[kind].decode(line)
                _take(r, line, keyer, clock, wanted, own, found)
            elif kind and line.startswith(PREFIX):
                passed = PREFIX + kind.encode() + b'"'
        except UNREADABLE:
            continue
    return found


def _take(
    r: object,
    line: bytes,
    keyer: Keyer,
    clock: SiteClock,
    wanted: frozenset[bytes],
    own: frozenset[str],
    found: Identities,
) -> None:
    if isinstance(r, Patient) and r.id:
        key = keyer.keyed(f"Patient/{r.id}")
        texts = (identifier_text(i.system, i.value) for i in r.identifier or ())
        identifiers = tuple(keyer.keyed(t) for t in texts if t)
        found.borne += b"".join(pair(i, key) for i in identifiers)
        links = tuple(
            (x.type, keyer.keyed(name))
            for x in r.link or ()
            if x.type in ("replaced-by", "replaces") and x.other and x.other.reference
            if (name := identity(x.other.reference, "Patient", own))
        )
        if links or key in wanted or not wanted.isdisjoint(identifiers):
            found.patients.append(KnownPatient(key, identifiers, links))
    elif isinstance(r, Medication) and r.id:
        found.look_ups[keyer.keyed(f"Medication/{r.id}")] = medication_look_up(r, keyer.keyed, own)
    elif isinstance(r, BiologicallyDerivedProduct) and r.id:
        found.look_ups[keyer.keyed(f"BiologicallyDerivedProduct/{r.id}")] = product_look_up(r)
    elif isinstance(r, ResearchStudy) and r.id:
        names = frozenset(t for i in r.identifier or () if (t := identifier_text(i.system, i.value)))
        found.studies[keyer.keyed(f"ResearchStudy/{r.id}")] = names
    elif isinstance(r, ResearchSubject) and (patient := _patient(r.individual or r.subject, keyer, own)):
        subjid = next((i.value for i in r.identifier or () if i.value), "")
        start = _day(clock, r.period.start) if r.period else ""
        arm, study = r.actualArm or r.assignedArm or "", _study(r.study, keyer, own)
        found.candidates.append(Candidate(_version(r, line, keyer), patient, subjid, arm, start, state_of(r), study))
    elif isinstance(r, Consent) and _to_research(r) and (patient := _patient(r.patient, keyer, own)):
        given = r.status in GIVEN_CONSENT
        found.consents.append(ConsentDay(_version(r, line, keyer), patient, _day(clock, r.dateTime), given))


def state_of(r: ResearchSubject) -> str:
    """Return what became of the person: R4 status, R5 the last progress.subjectState."""
    states = [bare_codes([p.subjectState]) for p in r.progress or () if p.subjectState is not None]
    return ((states[-1] if states else r.status) or "").partition("\n")[0]


def _to_research(r: Consent) -> bool:
    # consents to treatment or to the hospital's privacy rules are many, and say nothing about the trial
    return r.scope is None or "research" in (bare_codes([r.scope]) or "").split("\n")


def _version(r: Resource, line: bytes, keyer: Keyer) -> Version:
    sha = sha256(line.rstrip()).digest()[:16]
    updated = utc_micros(r.meta.lastUpdated) if r.meta and r.meta.lastUpdated else None
    number = r.meta.versionId if r.meta and r.meta.versionId else ""
    rid = keyer.keyed(f"{r.resourceType}/{r.id}") if r.id else sha
    if r.meta and any(t.code == SUBSETTED for t in r.meta.tag or ()):
        return Version(rid, -2, -2, sha)
    known = -1 if updated is None else updated
    return Version(rid, known, int(number) if number.isdecimal() and len(number) < 19 else -1, sha)


def _patient(subject: msgspec.Raw, keyer: Keyer, own: frozenset[str]) -> bytes | None:
    """Return the keyed patient, or the keyed identifier where the reference has nothing else, None for neither."""
    reference = _REFERENCE.decode(subject) if subject != NONE else Reference()
    name = identity(reference.reference, "Patient", own) if reference.reference else None
    if name is None and reference.identifier is not None:
        name = identifier_text(reference.identifier.system, reference.identifier.value)
    return keyer.keyed(name) if name else None


def _study(reference: Reference | None, keyer: Keyer, own: frozenset[str]) -> bytes | str:
    if reference is not None and reference.reference and (name := identity(reference.reference, "ResearchStudy", own)):
        return keyer.keyed(name)
    i = reference.identifier if reference is not None else None
    return (identifier_text(i.system, i.value) or "") if i is not None else ""


def _day(clock: SiteClock, text: str | None) -> str:
    """Return the site day of a date, empty where it is not known to the day."""
    moment = clock.read(text) if text else None
    return moment.dtc[:10] if moment is not None and moment.day is not None else ""


def log_key(patient: str, keyer: Keyer, own: frozenset[str] = frozenset()) -> bytes:
    """Return the keyed form of the log's `patient`: `system|value`, a reference, a bare id, or `keyed:` and hex."""
    if patient.startswith("keyed:"):
        return bytes.fromhex(patient[6:])
    if "|" in patient:
        return keyer.keyed(patient)
    return keyer.keyed(identity(patient, "Patient", own) or f"Patient/{patient}")


def resolve_subjects(
    log: Sequence[Enrolled], known: Identities, keyer: Keyer, study: str, own: frozenset[str] = frozenset()
) -> list[Subject]:
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
        key = log_key(row.patient, keyer, own)
        if "|" in row.patient:
            roots = {group.find(k) for k in by_identifier.get(key, ())}
            if len(roots) > 1:
                raise EnrolmentError(f"{row.source}: the identifier names {len(roots)} patients; expected exactly one")
            key = roots.pop() if roots else key
        root = group.find(key)
        if root in subjects:
            first = subjects[root].enrolled
            raise EnrolmentError(
                f"{row.source} and {first.source} are the same person by Patient.link or identifier; expected one line"
            )
        records = sorted(members.get(root, [key]))
        heads = [k for k in records if k in survivors and k not in replaced] or records
        subjects[root] = Subject(row.usubjid(study), row, tuple(records), heads[0])
    return sorted(subjects.values(), key=lambda s: s.usubjid)


class _Groups:
    """Union-find over keyed patient ids; the root is the smallest member, so that order does not matter."""

    def __init__(self) -> None:
        self._parent: dict[bytes, bytes] = {}

    def find(self, key: bytes) -> bytes:
        self._parent.setdefault(key, key)
        while (above := self._parent[key]) != key:
            self._parent[key] = self._parent[above]  # a shorter way for the next time
            key = above
        return key

    def join(self, a: bytes, b: bytes) -> None:
        low, high = sorted((self.find(a), self.find(b)))
        self._parent[high] = low

    def all(self) -> Iterator[bytes]:
        return iter(sorted(self._parent))

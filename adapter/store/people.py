"""What a commit remembers of who is who, so that a later build that reads only new files knows it too.

Only subjects are remembered: of anybody else a store holds nothing, not even a keyed id. Look-ups and studies are no
people and are all remembered; so are the keyed ids of Specimens and of deleted resources, whoever's they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import astuple
from typing import Any, TypeVar

from adapter.identify import Subject
from adapter.intake.bearers import pair
from adapter.intake.identities import Candidate, ConsentDay, Identities, KnownPatient, Version
from adapter.intake.reading import LookUp
from adapter.store.store import State

_T = TypeVar("_T", Candidate, ConsentDay)


def recall(state: State) -> Identities:
    """Return the identities that a commit remembers."""
    known = Identities()
    known.look_ups = {bytes.fromhex(k): LookUp(*v) for k, v in state.look_ups.items()}
    known.studies = {bytes.fromhex(k): frozenset(names) for k, names in state.studies.items()}
    known.patients = [
        KnownPatient(bytes.fromhex(k), tuple(map(bytes.fromhex, i)), tuple((t, bytes.fromhex(o)) for t, o in links))
        for k, i, links in state.patients
    ]
    for version, patient, subjid, arm, start, status, study in state.candidates:
        whose = bytes.fromhex(study[6:]) if study.startswith("keyed:") else study
        known.candidates.append(Candidate(_version(version), bytes.fromhex(patient), subjid, arm, start, status, whose))
    known.servers = {bytes.fromhex(k): frozenset(bases) for k, bases in state.servers.items()}
    known.borne = b"".join(pair(i, p.key) for p in known.patients for i in p.identifiers)
    known.consents = [ConsentDay(_version(v), bytes.fromhex(p), day, given) for v, p, day, given in state.consents]
    return known


def remember(state: State, known: Identities, subjects: Iterable[Subject]) -> None:
    """Put into a state what later builds need of `known`: the look-ups, the studies, and what belongs to subjects."""
    mine = {k for s in subjects for k in s.identities}
    state.look_ups = {k.hex(): list(astuple(v)) for k, v in sorted(known.look_ups.items())}
    state.servers = {k.hex(): sorted(bases) for k, bases in sorted(known.servers.items()) if k in mine}
    state.studies = {k.hex(): sorted(names) for k, names in sorted(known.studies.items())}
    patients = {
        (p.key.hex(), tuple(sorted(i.hex() for i in p.identifiers)), tuple(sorted((t, o.hex()) for t, o in p.links)))
        for p in known.patients
        if p.key in mine
    }
    state.patients = [[key, list(i), [list(x) for x in links]] for key, i, links in sorted(patients)]
    state.candidates = [
        [_listed(c.version), c.patient.hex(), c.subjid, c.arm, c.start, c.status, _study(c.study)]
        for c in _once(known.candidates, mine)
    ]
    state.consents = [[_listed(c.version), c.patient.hex(), c.day, c.given] for c in _once(known.consents, mine)]


def people(subjects: Iterable[Subject]) -> tuple[str, frozenset[str]]:
    """Return a fingerprint of who the subjects are, and their keyed patient ids in hex."""
    keys = sorted(k.hex() for s in subjects for k in s.identities)
    return hashlib.sha256("\n".join(keys).encode()).hexdigest(), frozenset(keys)


def look_ups_fingerprint(look_ups: dict[bytes, LookUp]) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(look_ups.items()):
        digest.update(repr((key, astuple(value))).encode())
    return digest.hexdigest()


def _once(found: Iterable[_T], mine: set[bytes]) -> list[_T]:
    """Return one of equal copies, of subjects only, in the order of their versions."""
    kept = {c.version: c for c in found if c.patient in mine}
    return [kept[v] for v in sorted(kept)]


def _study(study: bytes | str) -> str:
    return f"keyed:{study.hex()}" if isinstance(study, bytes) else study


def _listed(v: Version) -> list[Any]:
    return [v.rid.hex(), v.updated, v.number, v.sha.hex()]


def _version(value: list[Any]) -> Version:
    rid, updated, number, sha = value
    return Version(bytes.fromhex(rid), updated, number, bytes.fromhex(sha))

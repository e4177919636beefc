"""Which inputs a build reads: what is new, and what the store holds but is no longer right.

A store remembers what was read, so a later build reads only what is new, and what is no longer right:

- a file that held data back is read again when somebody (or a record linked to somebody) has become a subject since;
- a file is read again when somebody in it is no subject any more;
- a file with administrations, statements or supplies is read again when Medications or products came in or changed since;
- every file is read again when the hospital has said anew which servers are its own.

A file that held data back and is not among the inputs when somebody became a subject is an InputError: whether it has
data of the new subject cannot be known, because nothing of non-subjects is kept. For the two other cases the store does
without the file: rows of people who are no subjects are counted as such; a Medication that came after its
administration was rejected (medication-not-found) stays a reject until the file is given again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adapter.errors import InputError
from adapter.identify import Subject
from adapter.intake.identities import Identities
from adapter.sources.files import InputFile
from adapter.store.people import look_ups_fingerprint, people
from adapter.store.store import State

LOOK_UP_USERS = (
    "MedicationAdministration",
    "MedicationStatement",
    "SupplyDelivery",
    "BiologicallyDerivedProductDispense",
    "AdverseEvent",
)
"""Resource types whose rows hold what a look-up said when they were read."""


@dataclass(frozen=True, slots=True)
class Now:
    """What the rows of this build stand on: subjects and their keyed patient ids, look-ups, fingerprints of both."""

    subjects: list[Subject]
    known: Identities
    identities: str
    keys: frozenset[str]
    look_ups: str
    servers: str = ""

    @classmethod
    def of(cls, subjects: list[Subject], known: Identities, own: Iterable[str] = ()) -> Now:
        fingerprint, keys = people(subjects)
        look_ups = look_ups_fingerprint(known.look_ups)
        return cls(subjects, known, fingerprint, keys, look_ups, " ".join(sorted(own)))


def to_read(files: Sequence[InputFile], hashes: dict[str, str], state: State, now: Now) -> list[InputFile]:
    """Return the files that are new or to be read again. Raises InputError where one of these is not among `files`."""
    read = {(i.label, i.sha256): i for i in state.inputs}
    given = set(hashes.values())
    missing, unread, new = [], list[str](), set[str]()
    again = set()
    for key, entry in read.items():
        before = frozenset(state.identities.get(entry.identities, ()))
        added, gone = now.keys - before, before - now.keys
        changed = entry.look_ups != now.look_ups and any(entry.read.get(kind) for kind in LOOK_UP_USERS)
        elsewhere = entry.servers != now.servers
        if (added and entry.held_back) or gone or changed or elsewhere:
            again.add(key)
        if elsewhere and entry.sha256 not in given:
            unread.append(entry.label)
        if added and entry.held_back and entry.sha256 not in given:
            missing.append(entry.label)
            new |= added
    if unread:
        raise InputError(
            f"the hospital's own servers (site.toml) have changed since {_some(sorted(unread))} had been read; expected these "
            "files among the inputs again, or a new store"
        )
    if missing:
        who = [s.usubjid for s in now.subjects if any(k.hex() in new for k in s.identities)]
        raise InputError(
            f"{_some(who)} became a subject, or known under a further patient record, after {_some(sorted(missing))} "
            "had been read, which held data of patients back who were no subjects then; expected these files among the "
            "inputs again (what was read is not read twice), or a new store"
        )
    return [f for f in files if (f.label, hashes[f.label]) not in read or (f.label, hashes[f.label]) in again]


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

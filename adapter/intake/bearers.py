"""Whose an identifier is: for references that name a patient by an identifier only (fhir-input point 20).

Every Patient's identifiers count, not only the subjects', because one that two people bear names nobody. Of people who
are no subjects only the first 8 bytes of keyed values are held, in memory, for the time of a build.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
HELD = 8
NO_PATIENT, UNRESOLVED = b"", b"?"


def pair(identifier: bytes, patient: bytes) -> bytes:
    """Return what is held of one identifier of one patient, from their keyed values."""
    return identifier[:HELD] + patient[:HELD]


@dataclass(frozen=True, slots=True)
class Bearers:
    """`of_subjects`: keyed identifier -> keyed patient id of the subject who alone bears it, empty where somebody else
    bears it too. `others`: sorted starts of the keyed identifiers of everybody else; True in `shared` where several bear it.
    """

    of_subjects: Mapping[bytes, bytes] = field(default_factory=dict)
    others: Words = field(default_factory=lambda: np.empty(0, np.uint64))
    shared: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))

    def find(self, identifier: bytes, subjects: Container[bytes]) -> bytes | None:
        """Return the subject who bears a keyed identifier, None where somebody else does, UNRESOLVED for nobody or several.

        An identifier by which the enrolment log names a subject is that subject's, also without a Patient resource.
        """
        if identifier in self.of_subjects:
            return self.of_subjects[identifier] or UNRESOLVED
        if identifier in subjects:
            return identifier
        start = int.from_bytes(identifier[:HELD], "big")
        place = int(np.searchsorted(self.others, np.uint64(start)))
        if place == len(self.others) or int(self.others[place]) != start or self.shared[place]:
            return UNRESOLVED
        return None


NOBODY = Bearers()


def bearers(pairs: bytes, of_subjects: Iterable[tuple[bytes, bytes, int]]) -> Bearers:
    """Return who bears what. pairs: `pair` of every identifier of every Patient, one behind the other.

    of_subjects: (keyed identifier, keyed patient id, subject number) of the subjects' Patients; records of one subject
    (merged patients) are one person.
    """
    own: dict[bytes, tuple[bytes, int]] = {}
    people: dict[int, int] = {}  # start of a patient's keyed id -> subject number
    several = set()
    for identifier, patient, number in of_subjects:
        people[int.from_bytes(patient[:HELD], "big")] = number
        known = own.setdefault(identifier, (patient, number))
        if known[1] != number:
            several.add(identifier)
        elif patient < known[0]:
            own[identifier] = patient, number
    words = np.frombuffer(pairs, dtype=">u8").reshape(-1, 2).astype(np.uint64)
    mine = np.isin(words[:, 1], np.array(list(people), dtype=np.uint64))
    rest = np.unique(words[~mine], axis=0)
    others, counts = np.unique(rest[:, 0], return_counts=True)
    taken = {int(w) for w in others[np.isin(others, [int.from_bytes(i[:HELD], "big") for i in own])]} if own else set()
    found = {
        i: b"" if i in several or int.from_bytes(i[:HELD], "big") in taken else patient
        for i, (patient, _) in own.items()
    }
    return Bearers(found, others, counts > 1)

"""What every reader needs while it turns resources into rows: site clock, keyed ids, look-ups, and small pickers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

from adapter.intake.bearers import NO_PATIENT, NOBODY, Bearers
from adapter.intake.dates import SiteClock
from adapter.intake.decimals import decimal_text, quoted_decimal
from adapter.intake.structs import NONE, CodeableConcept, Quantity, Reference
from adapter.intake.unprintable import one_line
from adapter.references import base_of, conditional_identifier, identifier_text, identity
from adapter.site import Keyer

Date = tuple[str | None, int | None, int | None]
NO_DATE: Date = (None, None, None)


class Reject(Exception):
    """Raised by a reader when a resource cannot be used; `reason` is one of adapter.reasons, `where` an element."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(reason, where)
        self.reason = reason
        self.where = where


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding can raise: not JSON or a wrong type, bytes that are no UTF-8, nesting too deep to follow."""


@dataclass(slots=True)
class LookUp:
    """What a Medication or BiologicallyDerivedProduct adds to the records that refer to it.

    ingredients: of a Medication without a code, JSON of [codings, name, keyed id in hex] per ingredient.
    """

    code: str | None = None
    text: str | None = None
    form: str | None = None
    lot: str | None = None
    expires: str | None = None
    ingredients: str | None = None


@dataclass(slots=True)
class Reading:
    """The reader's surroundings in one worker. `subjects` maps keyed patient ids to subject numbers.

    own: the hospital's base URLs, if declared. bearers: whose an identifier is, for references that name nothing else.
    lot_extensions, grade_extensions: URLs that the trial names. comments: it lets texts of notes out.
    servers: base URLs under which subjects were referred to, where the hospital has not said which are its own.
    notes: what was left out of the resource in hand; parts: (reason, path) of its components that cannot be used.
    """

    clock: SiteClock
    keyer: Keyer
    subjects: Mapping[bytes, int]
    look_ups: Mapping[bytes, LookUp]
    lot_extensions: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    bearers: Bearers = NOBODY
    servers: dict[bytes, set[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    parts: list[tuple[str, str]] = field(default_factory=list)
    memo: dict[str, Any] = field(default_factory=dict)
    owners: dict[bytes, bytes | None] = field(default_factory=dict)
    grade_extensions: tuple[str, ...] = ()
    comments: bool = False
    _keyed: dict[str, bytes] = field(default_factory=dict)
    _decimals: dict[bytes, str | None] = field(default_factory=dict)

    def keyed(self, text: str) -> bytes:
        """Return the keyed id of an identity; cached, because references repeat."""
        found = self._keyed.get(text)
        if found is None:
            if len(self._keyed) > 200_000:  # bounded: a worker lives for many ranges
                self._keyed.clear()
            found = self._keyed[text] = self.keyer.keyed(text)
        return found

    def referred(self, reference: Reference | None, resource_type: str = "") -> bytes | None:
        """Return the keyed id of what a reference points to, or None where it points nowhere we can follow."""
        if reference is None or reference.reference is None:
            return None
        name = identity(reference.reference, resource_type, self.own)
        return None if name is None else self.keyed(name)

    def owner(self, subject: Reference | None) -> bytes | None:
        """Return the keyed id of the patient that a resource is about (subject, patient, individual).

        NO_PATIENT: it names none; UNRESOLVED: by an identifier that nobody or several bear; None: somebody who is no
        subject. An identifier counts only where there is no literal reference (fhir-input point 10).
        """
        if subject is None:
            return NO_PATIENT
        text = subject.reference
        if text is not None:
            target = identity(text, "", self.own)
            if target is not None:
                patient = self.keyed(target)
                if patient not in self.subjects:
                    return None
                if not self.own and (base := base_of(text)):
                    self.servers.setdefault(patient, set()).add(base)
                return patient
        i = subject.identifier
        name = conditional_identifier(text, "Patient") if text is not None else None
        name = name or (identifier_text(i.system, i.value) if i is not None else None)
        return NO_PATIENT if name is None else self.bearers.find(self.keyed(name), self.subjects)

    def date(self, text: str | None, where: str) -> Date:
        """Return (SDTM text, site day, site clock) of a FHIR date; a malformed one is left out and noted."""
        if text is None:
            return NO_DATE
        moment = self.clock.read(text)
        if moment is None:
            self.notes.append(f"date-malformed@{where}")
            return NO_DATE
        return moment.dtc, moment.day, moment.micros

    def number(self, raw: Raw, where: str) -> str | None:
        """Return a secondary decimal's exact text; one sent as a string is used, a malformed one left out, both noted."""
        if raw == NONE or bytes(raw) == b"null":
            return None
        text = self.decimal(raw)
        if text is None:
            text = quoted_decimal(bytes(raw))
            self.notes.append(f"decimal-dropped@{where}" if text is None else f"decimal-as-string@{where}")
        return text

    def decimal(self, raw: Raw) -> str | None:
        """Return the exact text of a FHIR decimal, None where it is none; cached, because results repeat."""
        key = bytes(raw)
        try:
            return self._decimals[key]
        except KeyError:
            if len(self._decimals) > 200_000:
                self._decimals.clear()
            text = self._decimals[key] = decimal_text(key)
            return text

    def take_notes(self) -> str | None:
        if not self.notes:
            return None
        text = "\n".join(self.notes)
        self.notes.clear()
        return text


def codings(concept: CodeableConcept | None) -> str | None:
    """Return `system|code` of every coding, one per line."""
    if concept is None or not concept.coding:
        return None
    if len(concept.coding) == 1:  # the usual case, and this is the innermost loop
        only = concept.coding[0]
        return f"{only.system or ''}|{only.code}".replace("\n", " ") if only.code else None
    found = [f"{c.system or ''}|{c.code}".replace("\n", " ") for c in concept.coding if c is not None and c.code]
    return "\n".join(found) or None


def bare_codes(concepts: list[CodeableConcept] | None) -> str | None:
    """Return the codes without their systems, one per line: for small FHIR value sets."""
    if not concepts:
        return None
    if len(concepts) == 1 and concepts[0].coding is not None and len(concepts[0].coding) == 1:
        return concepts[0].coding[0].code
    found = [c.code for one in concepts if one.coding for c in one.coding if c.code]
    return "\n".join(found) or None


def text_of(concept: CodeableConcept | None) -> str | None:
    """Return the concept's text, else its first display, else its first code."""
    if concept is None:
        return None
    if concept.text and not concept.text.isspace():
        return one_line(concept.text)
    for c in concept.coding or ():
        if c.display:
            return one_line(c.display)
    for c in concept.coding or ():
        if c.code:
            return c.code
    return None


def unit_of(quantity: Quantity) -> str | None:
    return quantity.code or quantity.unit

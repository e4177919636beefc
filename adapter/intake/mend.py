"""Reading an element that does not decode: its parts one by one, so that only what is wrong is lost, and is told.

What the record has no meaning without is never left out: a wrong type there rejects the record. Elsewhere the smallest
datatype that is wrong as a whole is left out and noted as `element-dropped` with its path (fhir-input points 14, 17).
`null` is no value; in an array it is passed over and noted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

from adapter.intake.keys import TWICE, named, twice_in
from adapter.intake.reading import Reject
from adapter.intake.structs import Coding, Identifier, Period, Quantity, Range, Ratio, Reference

NULL = b"null"
WRONG = "element-wrong-type"
WHOLE: tuple[type[Struct], ...] = (Quantity, Range, Ratio, Period, Coding, Identifier, Reference)
"""Datatypes that are used whole or not at all: a value without its unit or a code without its system says another thing."""

_GONE = object()
_raws = msgspec.json.Decoder(list[Raw]).decode
_members = msgspec.json.Decoder(dict[str, Raw]).decode
Droppable = Callable[[str], bool]


class _Wrong(Exception):
    """Raised inside a datatype that is used whole; carries the path of what is wrong."""


def mended(raw: bytes, of: Any, where: str, droppable: Droppable, notes: list[str]) -> Any:
    """Return an element of type `of` (a struct, a list or a plain type) without the parts that have a wrong type.

    droppable: path without indices -> may it be left out. Raises Reject for a part that may not, DecodeError for what
    is no JSON. None where nothing is left.
    """
    found = _mended(raw, of, where, droppable, notes)
    return None if found is _GONE else found


def _mended(raw: bytes, of: Any, where: str, droppable: Droppable, notes: list[str]) -> Any:
    try:
        return msgspec.json.decode(raw, type=of)
    except msgspec.ValidationError:
        pass
    inner = _without_none(of)
    try:
        if get_origin(inner) is list:
            return _entries(raw, get_args(inner)[0], where, droppable, notes)
        if isinstance(inner, type) and issubclass(inner, Struct):
            try:
                return _struct(raw, inner, where, _never if inner in WHOLE else droppable, notes)
            except _Wrong as e:
                return _wrong(where, str(e), droppable, notes)
    except msgspec.ValidationError:  # no array or no object at all
        pass
    return _wrong(where, where, droppable, notes)


def _never(where: str) -> bool:
    raise _Wrong(where)


def _wrong(where: str, exactly: str, droppable: Droppable, notes: list[str]) -> Any:
    if droppable is _never:
        raise _Wrong(exactly)
    if not droppable(re.sub(r"\[[0-9]+\]", "", where)):
        raise Reject(WRONG, exactly)
    notes.append(f"element-dropped@{where}")
    return _GONE


def _entries(raw: bytes, of: Any, where: str, droppable: Droppable, notes: list[str]) -> list[Any]:
    kept = []
    for i, entry in enumerate(_raws(raw)):
        if bytes(entry) == NULL:
            notes.append(f"element-dropped@{where}[{i}]")
            continue
        found = _mended(bytes(entry), of, f"{where}[{i}]", droppable, notes)
        if found is not _GONE:
            kept.append(found)
    return kept


def _struct(raw: bytes, of: type[Struct], where: str, droppable: Droppable, notes: list[str]) -> Struct:
    given = _members(raw)
    values = {}
    for f in msgspec.structs.fields(of):
        if f.encode_name in given:
            path = f"{where}.{f.encode_name}".lstrip(".")
            found = _mended(bytes(given[f.encode_name]), f.type, path, droppable, notes)
            if found is not _GONE:
                values[f.name] = found
    return of(**values)


def _without_none(of: Any) -> Any:
    """Return the type of an optional element: `X | None` -> X."""
    if get_origin(of) is UnionType:
        return next(a for a in get_args(of) if a is not NoneType)
    return of


class Element:
    """Reads one element that is kept raw: decoded at once, else mended; keys that stand twice reject it.

    Made for elements that repeat, so that each distinct text is looked at once.
    """

    def __init__(self, of: Any, where: str, optional: bool = False) -> None:
        """where: path for rejects and notes; optional: a part of a wrong type is left out and noted."""
        self._of = of
        self._decode = msgspec.json.Decoder(of).decode
        self._where = where
        self._optional = optional

    def read(self, raw: bytes, notes: list[str]) -> Any:
        """Return the element, None where it is absent or null. Raises Reject, and DecodeError for broken JSON."""
        if not raw or raw == NULL:
            return None
        try:
            found = self._decode(raw)
        except msgspec.ValidationError:
            found = mended(raw, self._of, self._where, lambda _: self._optional, notes)
        twice = twice_in(raw)
        if twice is not None:
            raise Reject(TWICE, named(f"{self._where}.{twice}" if not twice.startswith("[") else self._where + twice))
        return found

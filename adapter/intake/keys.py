"""Keys that stand twice in one JSON object, and modifiers inside elements: what a decoder passes over without a word.

Every decoder takes the last of two keys. Which of them holds is not known, so a resource that says two things is rejected
(fhir-input point 14). A full token pass costs more than all the rest of intake together, so it is made

- once for each distinct text of an element that repeats (adapter.intake.mend.Element);
- for every line of a type other than Observation, and for every line that does not decode at once;
- for an Observation that names its value or its subject twice: `often_twice` finds the keys by a letter that is rare
  elsewhere. Of the other keys at the top level of a decodable Observation the last one counts; `--strict` looks at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from adapter.intake import clinical_structs, event_structs, structs
from adapter.intake.structs import Observation

TWICE = "element-twice"
MODIFIER = "held-back-modifier"
_MODIFIER_KEY = b'"modifierExtension"'
Struct = type[msgspec.Struct]


@lru_cache(maxsize=64)
def _read_of(struct: Struct) -> frozenset[str]:
    """Return the elements of a resource that are read."""
    return frozenset(f.encode_name for f in msgspec.structs.fields(struct))


class Held(msgspec.ValidationError):
    """A line that decodes, but must not be used; `reason` is one of adapter.reasons, `where` an element."""

    def __init__(self, reason: str, where: str) -> None:
        super().__init__(reason, where)
        self.reason = reason
        self.where = where


class _Twice(dict[str, Any]):
    """An object in which keys stand twice with different values; `all_values` has them all."""

    all_values: dict[str, list[Any]]


def _parsed(raw: bytes) -> tuple[Any, bool]:
    """Return the content of valid JSON (numbers as text) and whether a key stands twice with different values."""
    found = False

    def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        several: dict[str, list[Any]] = {}
        for key, value in pairs:
            several.setdefault(key, []).append(value)
        if all(v == values[0] for values in several.values() for v in values):
            return plain
        found = True
        twice = _Twice(plain)
        twice.all_values = several
        return twice

    # laxer than the decoder, which has read the line already: bad bytes of an element that is not read hurt nobody
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(
            text, object_pairs_hook=as_object, parse_int=str, parse_float=str, parse_constant=str, strict=False
        ), found
    except ValueError as e:
        raise msgspec.DecodeError("not JSON") from e


def _same_again(raw: bytes) -> bool:
    """Return whether JSON is written back byte for byte: then no key stands twice. Three times as fast as a token pass.

    False says nothing: numbers such as `4.10` and escaped characters are written in another way.
    """
    try:
        again = msgspec.json.encode(msgspec.json.decode(raw))
        return again == raw.rstrip() or again == msgspec.json.format(raw, indent=-1)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


def twice_in(raw: bytes) -> str | None:
    """Return the path of a key that stands twice in an element, with different values; None where none does."""
    if _same_again(raw):
        return None
    node, found = _parsed(raw)
    return next(_twice(node, "")) if found else None


def _twice(node: Any, where: str) -> Iterator[str]:
    if isinstance(node, list):
        for i, item in enumerate(node):
            yield from _twice(item, f"{where}[{i}]")
    elif isinstance(node, dict):
        if isinstance(node, _Twice):
            for key, values in node.all_values.items():
                if any(v != values[0] for v in values):
                    yield f"{where}.{key}".lstrip(".")
        for key, value in node.items():
            yield from _twice(value, f"{where}.{key}".lstrip("."))


def _modifiers(node: Any, where: str) -> Iterator[str]:
    if isinstance(node, list):
        for i, item in enumerate(node):
            yield from _modifiers(item, f"{where}[{i}]")
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "modifierExtension" and value:
                yield f"{where}.{key}"
            yield from _modifiers(value, f"{where}.{key}")


_NAMES = frozenset(
    name
    for module in (structs, event_structs, clinical_structs)
    for s in vars(module).values()
    if isinstance(s, type) and issubclass(s, msgspec.Struct)
    for name in s.__struct_encode_fields__
) | {"modifierExtension"}


def named(where: str) -> str:
    """Return a path up to the first key that is no element we know: what else a key says may be content."""
    kept: list[str] = []
    for step in where.split("."):
        if step.partition("[")[0] not in _NAMES:
            break
        kept.append(step)
    return ".".join(kept)


def held(struct: Struct, line: bytes) -> Held | None:
    """Return why a line that is valid JSON must not be used, None where it may.

    Looked at is what is read of the type (`struct`): keys that stand twice, and modifierExtension inside elements. That of the
    resource itself, of a component and of a referenceRange is seen where these are read.
    """
    if _MODIFIER_KEY not in line and _same_again(line):
        return None
    node, found = _parsed(line)
    read = _read_of(struct)
    if found:
        for where in _twice(node, ""):
            if where.partition(".")[0].partition("[")[0] in read:
                return Held(TWICE, named(where))
    if struct is not Observation and isinstance(node, dict) and _MODIFIER_KEY in line:
        # a report's contained results are looked at one by one where they are read
        for name in (read & node.keys()) - ({"contained"} if "result" in read else set()):
            for where in _modifiers(node[name], name):
                return Held(MODIFIER, named(where))
    return None


def require_single(struct: Struct, line: bytes, resource: Any) -> None:
    """Raise Held where a decoded line must not be used (see `held`); for an Observation, where two keys look doubled."""
    if struct is Observation:
        r: Observation = resource
        values = sum(c is not None and len(c.valueQuantity) > 0 for c in r.component or ()) + (len(r.valueQuantity) > 0)
        if line.count(b'"valueQuantity"') <= values and line.count(b'"subject"') <= 1:
            return
    found = held(struct, line)
    if found is not None:
        raise found


def values_of(line: bytes, key: str) -> list[Any]:
    """Return every value that a key has at the top level of a line."""
    node, _ = _parsed(line)
    return all_values(node, key) if isinstance(node, dict) else []


def all_values(node: dict[str, Any], key: str) -> list[Any]:
    """Return every value that a key has in an object of a parsed line."""
    if isinstance(node, _Twice):
        return node.all_values.get(key, [])
    return [node[key]] if key in node else []

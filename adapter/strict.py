"""`build --strict`: what fhir.resources, an independent validator, finds in the resources of subjects. Only told, never acted on.

A finding says where and what kind, never a value: fhir.resources' own messages may hold content, so they end here. R4 is
checked with the classes of R4B; what the two do not share, and what fhir.resources refuses though FHIR allows it, stands in
schemas/strict_known.csv and is not reported. A resource that fits R5 better is judged by R5.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib.resources import files
from io import StringIO
from typing import Any, NamedTuple

import msgspec

from adapter.identify import resource_type
from adapter.intake.reading import UNREADABLE, Reading
from adapter.intake.structs import ATTRIBUTION, Reference

KINDS = {
    "unknown-element": "an element that FHIR does not know there",
    "missing": "an element that FHIR demands is not there",
    "wrong-type": "another JSON type than FHIR gives the element",
    "malformed": "text that does not follow the grammar of its FHIR type",
    "out-of-range": "a number or a length outside the bounds of its FHIR type",
    "more-than-one": "more than one element of a choice, such as value[x], is filled",
    "unknown-resource-type": "a resource type that FHIR does not know",
    "too-deep": "nested too deep to be checked",
    "other": "refused by fhir.resources for a rule of its own",
}
"""The closed list of kinds of findings."""

_BY_TYPE = {
    "extra_forbidden": "unknown-element",
    "missing": "missing",
    "model_field_validation.missing": "missing",
    "json_invalid": "wrong-type",
    "model_validation_format": "wrong-type",
    "int_from_float": "wrong-type",
    "is_instance_of": "wrong-type",
    "string_pattern_mismatch": "malformed",
    "string_unicode": "malformed",
    "greater_than_equal": "out-of-range",
    "greater_than": "out-of-range",
    "less_than_equal": "out-of-range",
    "less_than": "out-of-range",
}
_BY_ENDING = {
    "_type": "wrong-type",
    "_parsing": "malformed",
    "_parsing_size": "out-of-range",
    "_too_long": "out-of-range",
    "_too_short": "out-of-range",
}
_BY_MESSAGE = {"is expected from this list": "more-than-one", "Expect any of": "missing", "spec regex": "malformed"}


class Finding(NamedTuple):
    """One finding. element: FHIR path inside the resource; of an element that FHIR does not know, where it stands."""

    line: int
    resource_type: str
    keyed_id: str
    fhir: str
    element: str
    kind: str


class Known(NamedTuple):
    """A difference that is no finding; an empty cell stands for any."""

    fhir: str
    resource_type: str
    element: str
    kind: str


def known_differences() -> frozenset[Known]:
    """Return the rows of schemas/strict_known.csv."""
    text = files("schemas").joinpath("strict_known.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(StringIO(text, newline=""))
    return frozenset(Known(r["fhir"], r["resource_type"], r["element"], r["kind"]) for r in rows)


class Checked:
    """What a check of some lines gives as it goes: how many lines there were, how many resources were checked."""

    def __init__(self) -> None:
        self.lines = 0
        self.resources = 0
        self.kinds: Counter[str] = Counter()


def check(lines: Iterable[bytes], read: Reading, known: frozenset[Known], checked: Checked) -> Iterator[Finding]:
    """Yield the findings of some lines, in order, numbered from 1. Lines that are no resource of a subject are passed over.

    What is broken as JSON is passed over too: it is a reject, with its reason.
    """
    for line in lines:
        checked.lines += 1
        try:
            kind = resource_type(line)
            a = ATTRIBUTION.decode(line)
        except UNREADABLE:
            continue
        own = _own_id(a.id)
        who = Reference(reference=f"Patient/{own}") if kind == "Patient" else a.subject or a.patient or a.individual
        if kind is None or read.owner(who) not in read.subjects:
            continue
        checked.resources += 1
        keyed = read.keyer.keyed(f"{kind}/{own}").hex() if own else ""
        fhir, found = judged(kind, line)
        for element, what in found:
            if not _is_known(known, fhir, kind, element, what):
                checked.kinds[what] += 1
                yield Finding(checked.lines, kind, keyed, fhir, element, what)


def judged(kind: str, line: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Return the FHIR version that a resource fits best, and its findings there: (element, kind), sorted."""
    try:
        resource = json.loads(line, parse_float=_decimal)
    except RecursionError:
        return "R4", [("", "too-deep")]
    except ValueError:  # msgspec reads past what it is not asked for; intake has the same view and its own reasons
        return "R4", [("", "malformed")]
    found = _findings("R4B", kind, resource)
    if strange := _strange(found):
        newer = _findings("R5", kind, resource)
        if _strange(newer) < strange:
            return "R5", sorted(set(newer))
    return "R4", sorted(set(found))


def _decimal(text: str) -> Decimal:
    """Return a number with its digits; one that no Decimal can hold is none."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _strange(found: list[tuple[str, str]]) -> int:
    """Return how many elements the version does not know: what tells R5 from R4 (that R5 demands less does not)."""
    return sum(kind in ("unknown-element", "unknown-resource-type") for _, kind in found)


def _findings(version: str, kind: str, resource: Any) -> list[tuple[str, str]]:
    from pydantic import ValidationError  # here, as is fhir.resources: only --strict pays for it

    model = _model(version, kind)
    if model is None:
        return [("", "unknown-resource-type")]
    try:
        model(resource)
    except ValidationError as e:
        # values are not asked for, so that none can get out
        errors = e.errors(include_url=False, include_input=False, include_context=False)
        return [(_path(x["loc"], x["type"]), kind_of(x["type"], x["msg"])) for x in errors]
    except RecursionError:
        return [("", "too-deep")]
    except KeyError:  # how fhir.resources meets a contained resource of a type that it does not know
        return [("contained", "unknown-resource-type")]
    except (TypeError, AttributeError, ArithmeticError, ValueError):  # its own slips on shapes that it does not expect
        return [("", "other")]
    return []


@lru_cache(maxsize=512)
def _model(version: str, kind: str) -> Callable[[Any], Any] | None:
    """Return the validating function of a resource type, None where the version has no such type."""
    if version == "R5":
        from fhir.resources import get_fhir_model_class
    else:
        from fhir.resources.R4B import get_fhir_model_class
    try:
        return get_fhir_model_class(kind).model_validate
    except (KeyError, ValueError, AttributeError, ModuleNotFoundError):
        return None


def kind_of(type_: str, message: str) -> str:
    """Return the kind of a finding for pydantic's error type, and for its message where the type says little."""
    found = _BY_TYPE.get(type_) or next((k for end, k in _BY_ENDING.items() if type_.endswith(end)), None)
    return found or next((k for part, k in _BY_MESSAGE.items() if part in message), "other")


def _path(place: Sequence[str | int], type_: str) -> str:
    """Return a place as a FHIR path. The name of an element that FHIR does not know is the hospital's, and stays out."""
    steps = [s for s in place if s != "root"]  # fhir.resources' own name for the whole of an element
    if type_ == "extra_forbidden":
        steps = steps[:-1]
    path = ""
    for s in steps:
        path += f"[{s}]" if isinstance(s, int) else f"{'.' if path else ''}{s}"
    return path


def _is_known(known: frozenset[Known], fhir: str, kind: str, element: str, what: str) -> bool:
    plain = "".join(part.partition("]")[2] if i else part for i, part in enumerate(element.split("[")))
    return any(
        Known(fhir, k, e, w) in known for k in (kind, "") for e in (plain, "") for w in (what, "") if k or e or w
    )


def _own_id(raw: msgspec.Raw) -> str:
    try:
        return str(msgspec.json.decode(raw, type=str)) if raw else ""
    except UNREADABLE:
        return ""

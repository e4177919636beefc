"""Observation.referenceRange: the normal range where there is one, all of them where several may apply (FHIR R4).

A range without a type is the normal one. Which of several applies depends on the subject's sex and age, which are not
known here: they are kept side by side for adapter.derive.ranges.
"""

from __future__ import annotations

from typing import Any

import msgspec

from adapter.intake.decimals import comparator
from adapter.intake.keys import MODIFIER
from adapter.intake.memo import Picked
from adapter.intake.mend import Element
from adapter.intake.reading import Reading, Reject, codings, text_of, unit_of
from adapter.intake.structs import Quantity, Range, ReferenceRange

NORMAL = "normal"
NO_RANGE: Picked = (None,) * 6
_ranges = Element(list[ReferenceRange], "referenceRange", optional=True)


def range_of(raw: bytes, read: Reading) -> Picked:
    """Return low, high, their units, the text, and the JSON of several ranges of which one may apply.

    A limit with a comparator (`<5`) is no limit that a number can be compared with: such a range is a text.
    """
    ranges: list[ReferenceRange] = _ranges.read(raw, read.notes) or []
    for i, r in enumerate(ranges):
        if len(r.modifierExtension) > 0:
            raise Reject(MODIFIER, f"referenceRange[{i}]")
    normal = [r for r in ranges if _is_normal(r)]
    if not normal:  # a therapeutic or treatment range says nothing about normal; it is kept as what it is
        texts = [f"{text_of(r.type)}: {t}" for r in ranges if (t := _text(r, _limits(r, read)))]
        return (*NO_RANGE[:4], "; ".join(texts) or None, None)
    found: dict[str, dict[str, Any]] = {}
    for r in normal:
        one = _one(r, read)
        found.setdefault(msgspec.json.encode(one).decode(), one)
    if len(found) == 1:
        one = next(iter(found.values()))
        return *one["limits"], one["text"], None
    texts = list(dict.fromkeys(_labelled(one) for one in found.values()))
    return (*NO_RANGE[:4], "; ".join(filter(None, texts)) or None, msgspec.json.encode(list(found.values())).decode())


def _is_normal(r: ReferenceRange) -> bool:
    if r.type is None:
        return True
    codes = [c.code for c in r.type.coding or () if c.code]
    return NORMAL in codes if codes else (r.type.text or NORMAL).strip().lower() == NORMAL


def _one(r: ReferenceRange, read: Reading) -> dict[str, Any]:
    """Return one range as plain data: limits, text, who and age it is for."""
    limits = _limits(r, read)
    who = [[*(codings(c) or "").split("\n"), text_of(c) or ""] for c in r.appliesTo or ()]
    return {"limits": limits, "text": _text(r, limits), "who": who, "age": _age(r.age, read)}


def _limits(r: ReferenceRange, read: Reading) -> tuple[str | None, ...]:
    low = high = low_unit = high_unit = None
    if not any(_compared(q) for q in (r.low, r.high)):
        if r.low is not None:
            low, low_unit = read.number(r.low.value, "referenceRange.low.value"), unit_of(r.low)
        if r.high is not None:
            high, high_unit = read.number(r.high.value, "referenceRange.high.value"), unit_of(r.high)
    return low, high, low_unit, high_unit


def _compared(q: Quantity | None) -> bool:
    return q is not None and q.comparator is not None and comparator(q.comparator) != ""


def _text(r: ReferenceRange, limits: tuple[str | None, ...]) -> str | None:
    """Return the range's text, else its limits as text."""
    if r.text and r.text.strip():
        return " ".join(r.text.split())
    parts = [
        (q.comparator or "") + bytes(q.value).decode("utf-8", "replace").strip('"') if q and len(q.value) else ""
        for q in (r.low, r.high)
    ]
    unit = next((q.unit or q.code for q in (r.low, r.high) if q and (q.unit or q.code)), None)
    low, high = parts
    if not low and not high:
        return None
    if any(limits[:2]) or (low and high):
        text = f"{low}-{high}" if low and high else f">={low}" if low else f"<={high}"
    else:
        text = low or high
    return f"{text} {unit}" if unit else text


def _age(age: Range | None, read: Reading) -> list[tuple[str | None, str | None]] | None:
    """Return [(low, unit), (high, unit)] of Range age, None where none is given."""
    if age is None:
        return None
    return [
        (read.number(q.value, "referenceRange.age"), unit_of(q)) if q is not None else (None, None)
        for q in (age.low, age.high)
    ]


def _labelled(one: dict[str, Any]) -> str:
    """Return a range's text with whom it is for."""
    if not one["text"]:
        return ""
    who = [names[-1] for names in one["who"]]
    if one["age"]:
        ends = [f"{n} {u or ''}".strip() if n else "" for n, u in one["age"]]
        who.append("age " + "-".join(ends))
    return f"{one['text']} ({', '.join(who)})" if who else str(one["text"])

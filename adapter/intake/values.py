"""value[x] of an Observation or a component: which kind it is, and its exact text (FHIR R4 Observation.value[x]).

Nothing is computed here. What a text says as a number is read where the test is known (derive.strings).
"""

from __future__ import annotations

from msgspec import Raw

from adapter.intake.decimals import comparator, quoted_decimal
from adapter.intake.memo import Picked
from adapter.intake.mend import NULL, Element
from adapter.intake.reading import Reading, Reject, codings, text_of, unit_of
from adapter.intake.structs import NONE, CodeableConcept, Extension, Period, Primitive, Quantity, Range, Ratio, Value
from adapter.intake.unprintable import one_line

DATA_ABSENT_REASON = "data-absent-reason"
NOT_EQUAL = "<>"
_concept = Element(CodeableConcept, "valueCodeableConcept")
_reason = Element(CodeableConcept, "dataAbsentReason")
_quantity = Element(Quantity, "valueQuantity")
_range = Element(Range, "valueRange")
_ratio = Element(Ratio, "valueRatio")
_period = Element(Period, "valuePeriod")
_sibling = Element(Primitive, "extension", optional=True)
_extensions = Element(list[Extension], "extension", optional=True)
NOT_READ = ("valueSampledData", "valueAttachment", "valueReference")
NOTHING: Picked = (None,) * 8


def there(raw: Raw) -> bool:
    """Return whether an element is given; `null` is no value."""
    return raw is not NONE and bytes(raw) not in (b"", NULL)


def only_quantity(v: Value) -> bool:
    """Return whether nothing but a valueQuantity can be there; asked for every result."""
    return (
        v.valueString is None
        and v.valueCodeableConcept is NONE
        and v.dataAbsentReason is NONE
        and v.valueInteger is NONE
        and v.valueBoolean is None
        and v.valueRange is NONE
        and v.valueRatio is NONE
        and v.valueDateTime is None
        and v.valueTime is None
        and v.valuePeriod is NONE
        and v.valueSampledData is NONE
        and v.valueAttachment is NONE
        and v.valueReference is NONE
    )


def absent_by(sibling: Raw, read: Reading) -> str | None:
    """Return the data-absent-reason of a primitive's sibling (`_valueString`), `unknown` where it has no word."""
    if not there(sibling):
        return None
    p: Primitive | None = _sibling.read(bytes(sibling), read.notes)
    return _reason_in(p.extension if p is not None else None)


def _absent_in(extension: Raw, read: Reading) -> str | None:
    """Return the data-absent-reason among an element's own extensions."""
    return _reason_in(_extensions.read(bytes(extension), read.notes)) if there(extension) else None


def _reason_in(extensions: list[Extension] | None) -> str | None:
    for e in extensions or ():
        if e.url is not None and e.url.rpartition("/")[2] == DATA_ABSENT_REASON:
            return e.valueCode or "unknown"
    return None


def quantity_value(raw: bytes, read: Reading) -> Picked:
    """Return the columns of a valueQuantity. `<>` (HL7 v2: not equal) bounds nothing: the result is a text then."""
    q: Quantity | None = _quantity.read(raw, read.notes)
    if q is None:
        return NOTHING
    if not there(q.value):
        absent = absent_by(q.value_, read) or _absent_in(q.extension, read)
        return None, None, None, None, q.code, q.system, q.unit, absent
    number = decimal_of(q.value, "valueQuantity.value", read)
    sign = comparator_of(q, "valueQuantity", read)
    if sign == NOT_EQUAL:
        return "text", with_unit(f"{NOT_EQUAL}{number}", q), *NOTHING[2:]
    return "quantity", number, None, sign, q.code, q.system, q.unit, None


def decimal_of(raw: Raw, where: str, read: Reading) -> str:
    """Return a decimal exactly as sent. One that was sent as a JSON string of the same grammar is used and noted."""
    number = read.decimal(raw)
    if number is None:
        number = quoted_decimal(bytes(raw))
        if number is None:
            raise Reject("decimal-malformed", where)
        read.notes.append(f"decimal-as-string@{where}")
    return number


def comparator_of(q: Quantity, where: str, read: Reading) -> str | None:
    """Return one of < <= > >=, None where there is none or it is `=`, or NOT_EQUAL. Raises Reject for any other."""
    given = (q.comparator or "").strip()
    if not given or given == NOT_EQUAL:
        return given or None
    sign = comparator(given)
    if sign is None:
        raise Reject("comparator-unknown", f"{where}.comparator")
    return sign or None


def with_unit(text: str, q: Quantity) -> str:
    unit = q.unit or q.code
    return f"{text} {unit}" if unit else text


def value_of(v: Value, quantity: bytes, read: Reading) -> Picked:
    """Return kind, value, value_code, comparator, unit code, system and text, and why the value is absent.

    A reason why the value is absent beside a value is noted; the value is used (FHIR R4 obs-6 forbids the two).
    """
    reason: CodeableConcept | None = _reason.read(bytes(v.dataAbsentReason), read.notes)
    absent = None
    if reason is not None:
        absent = next((c.code for c in reason.coding or () if c.code), None) or reason.text or "unknown"
    filled = {
        "quantity": bool(quantity) and quantity != NULL,
        "string": v.valueString is not None,
        "concept": there(v.valueCodeableConcept),
        "integer": there(v.valueInteger),
        "boolean": v.valueBoolean is not None,
        "range": there(v.valueRange),
        "ratio": there(v.valueRatio),
        "time": v.valueTime is not None,
        "datetime": v.valueDateTime is not None,
        "period": there(v.valuePeriod),
        "other": any(there(getattr(v, name)) for name in NOT_READ),
    }
    kinds = [k for k, is_there in filled.items() if is_there]
    if len(kinds) > 1:
        raise Reject("two-values", "value[x]")
    picked = _picked(kinds[0], v, quantity, read) if kinds else NOTHING
    if picked[0] is None:
        for sibling in (v.valueString_, v.valueInteger_, v.valueBoolean_, v.valueTime_, v.valueDateTime_):
            absent = absent or picked[7] or absent_by(sibling, read)
        return (*picked[:7], absent or picked[7])
    if absent is not None:
        read.notes.append("value-and-absent-reason@dataAbsentReason")
    return (*picked[:7], absent)


def _picked(kind: str, v: Value, quantity: bytes, read: Reading) -> Picked:
    """Return the columns of the one value[x] that is filled; kind None where it turns out to hold nothing."""
    if kind == "quantity":
        return quantity_value(quantity, read)
    if kind == "concept":
        concept: CodeableConcept = _concept.read(bytes(v.valueCodeableConcept), read.notes)
        text, code = text_of(concept), codings(concept)
        if text is None:
            return (*NOTHING[:7], _absent_in(concept.extension, read))
        return (kind, text, code, *NOTHING[3:])
    if kind == "range":
        return _range_value(_range.read(bytes(v.valueRange), read.notes), read)
    if kind == "ratio":
        return _ratio_value(_ratio.read(bytes(v.valueRatio), read.notes), read)
    text = None
    if kind == "string":
        text = one_line(v.valueString or "").strip()
    elif kind == "integer":
        text = decimal_of(v.valueInteger, "valueInteger", read)
    elif kind == "boolean":
        text = "true" if v.valueBoolean else "false"
    elif kind in ("time", "datetime"):
        text, kind = (v.valueTime or v.valueDateTime or "").strip(), "text"
    elif kind == "period":
        p: Period = _period.read(bytes(v.valuePeriod), read.notes)
        text, kind = f"{p.start or ''}/{p.end or ''}".strip("/") and f"{p.start or '..'}/{p.end or '..'}", "text"
    elif kind == "other":
        return kind, *NOTHING[1:]
    return (kind if text else None, text or None, *NOTHING[2:])


def _range_value(r: Range, read: Reading) -> Picked:
    """Return `low-high` with its unit; a Range that is open at one side is a number with a comparator (both inclusive)."""
    ends = [q for q in (r.low, r.high) if q is not None and there(q.value)]
    if not ends:
        return NOTHING
    if any(comparator_of(q, "valueRange", read) for q in ends):
        raise Reject("comparator-unknown", "valueRange")
    numbers = [decimal_of(q.value, "valueRange", read) for q in ends]
    unit = ends[0]
    if len(ends) == 1:
        sign = ">=" if unit is r.low else "<="
        return "quantity", numbers[0], None, sign, unit.code, unit.system, unit.unit, None
    if unit_of(ends[0]) != unit_of(ends[1]):
        return "text", " - ".join(with_unit(n, q) for n, q in zip(numbers, ends, strict=True)), *NOTHING[2:]
    between = " - " if any("-" in n for n in numbers) else "-"
    return "range", between.join(numbers), None, None, unit.code, unit.system, unit.unit, None


def _ratio_value(r: Ratio, read: Reading) -> Picked:
    """Return `numerator:denominator` as text, exactly as sent: a titre is `1:128`. Half a ratio says nothing: Reject."""
    parts = []
    for q, where in ((r.numerator, "valueRatio.numerator"), (r.denominator, "valueRatio.denominator")):
        if q is not None and there(q.value):
            number = decimal_of(q.value, f"{where}.value", read)
            parts.append(with_unit((comparator_of(q, where, read) or "") + number, q))
    if not parts:
        return NOTHING
    if len(parts) == 1:
        raise Reject("value-type-not-read", "valueRatio")
    return "text", ":".join(parts), *NOTHING[2:]

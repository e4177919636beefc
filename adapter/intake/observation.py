"""Observation -> rows: one for its value, one for each component."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from adapter.intake.memo import MOST_PICKED, Group, Picked, decoder
from adapter.intake.reading import NO_DATE, Reading, Reject, bare_codes, codings, text_of, unit_of
from adapter.intake.rows import as_array, instants
from adapter.intake.structs import (
    NONE,
    CodeableConcept,
    Observation,
    Period,
    Quantity,
    Reference,
    ReferenceRange,
    Value,
)
from adapter.intake.tables import PARTIAL, SUBSETTED, TABLES

STATUSES = frozenset(
    ["registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"]
)
_concept = decoder(CodeableConcept)
_concepts = decoder(list[CodeableConcept])
_quantity = decoder(Quantity)
_ranges = decoder(list[ReferenceRange])
_reference = decoder(Reference)
_COLUMNS = {c.name: c for c in TABLES["Observation"]}
_GROUPS = {
    "code": ("code", "code_text"),
    "category": ("category",),
    "value": ("kind", "value", "value_code", "comparator", "unit_code", "unit_system", "unit_text", "absent"),
    "time": ("dtc", "day", "micros", "end_dtc", "end_day", "end_micros"),
    "interpretation": ("interpretation",),
    "range": ("low", "high", "low_unit", "high_unit", "range_text"),
    "method": ("method",),
    "specimen": ("specimen",),
    "state": ("version", "status", "element", "focus", "members"),
}
_ALIKE = ("code", "category", "method", "interpretation", "range")
_ORDER = (*_ALIKE, "time", "specimen", "value", "state")
_joined = b"\0".join  # no JSON text holds a NUL
PIECE = 2048
OTHER_VALUES = ("valueRange", "valueRatio", "valueSampledData", "valueTime", "valueDateTime", "valuePeriod")


class Known:
    """What earlier Observations of a worker have shown: the picked columns of their elements, by the elements' bytes."""

    def __init__(self) -> None:
        self.groups = {name: Group(tuple(_COLUMNS[c] for c in columns)) for name, columns in _GROUPS.items()}
        self.alike: dict[bytes, int] = {}  # elements that mostly come together -> number of their numbers
        self.alike_numbers: list[tuple[int, ...]] = []

    def full(self) -> bool:
        return len(self.alike) > MOST_PICKED or any(len(g.ids) > MOST_PICKED for g in self.groups.values())


class ObservationRows:
    """Collects the rows of many Observations and gives them as one table."""

    def __init__(self, read: Reading) -> None:
        known = read.memo.get("Observation")
        if known is None or known.full():
            known = read.memo["Observation"] = Known()
        self.groups = known.groups
        self._alike, self._alike_numbers = known.alike, known.alike_numbers
        self._times, self._specimens, self._values, self._states = (
            self.groups[n] for n in ("time", "specimen", "value", "state")
        )
        self._known = (self._alike, self._times.ids, self._specimens.ids, self._values.ids, self._states.ids)
        self._own: tuple[list[Any], ...] = ([], [], [], [], [])  # pat, rid, sha, updated, line
        self._append = tuple(column.append for column in self._own)
        self._file = 0
        self._numbers: list[int] = []  # of each row: alike, time, specimen, value, state

    def add(self, r: Observation, read: Reading, head: tuple[Any, ...]) -> None:
        """Add the rows of the value and of every component (FHIR R4 Observation); `head` is their common provenance.

        Raises Reject (nothing is added then) and msgspec.ValidationError for an element of a wrong type.
        """
        # this runs once per result: known texts are looked up here, new ones are picked in the groups
        alike, times, specimens, values, states = self._known
        patient, rid, sha, updated, version, self._file, line, status = head
        like = alike.get(key := _joined((r.code, r.category, r.method, r.interpretation, r.referenceRange)))
        if like is None:
            like = self._new(key, r, r, "", read)
        time = times.get(r.effectiveDateTime) if r.effectiveDateTime is not None else None
        if time is None:
            time = self._time(self._times, r, read)
        specimen = specimens.get(raw := bytes(r.specimen))
        if specimen is None:
            specimen = self._specimens.pick(raw, _specimen, read)
        value = values.get(raw := bytes(r.valueQuantity))
        if value is None or not raw or not _only_quantity(r):
            value = self._value(r, raw, "", read)
        focus = r.focus is not NONE and len(r.focus) > 0
        members = r.component is not None or (r.hasMember is not NONE and len(r.hasMember) > 0)
        of_row = (version, status, "", focus, members)
        state = states.get(of_row)
        if state is None:
            state = self._states.put(of_row, of_row, PARTIAL if version == SUBSETTED else None)
        if r.component is None:
            self._numbers += (like, time, specimen, value, state)
            rows = 1
        else:
            numbers = [like, time, specimen, value, state]
            for i, c in enumerate(r.component):
                where = f"component[{i}]."
                if len(c.modifierExtension) > 0:
                    raise Reject("held-back-modifier", where[:-1])
                like = alike.get(key := _joined((c.code, r.category, r.method, c.interpretation, c.referenceRange)))
                if like is None:
                    like = self._new(key, c, r, where, read)
                of_row = (version, status, where[:-1], focus, False)
                state = states.get(of_row)
                if state is None:
                    state = self._states.put(of_row, of_row, PARTIAL if version == SUBSETTED else None)
                numbers += (like, time, specimen, self._value(c, bytes(c.valueQuantity), where, read), state)
            self._numbers += numbers
            rows = 1 + len(r.component)
        one, two, three, four, five = self._append
        for _ in range(rows):
            one(patient)
            two(rid)
            three(sha)
            four(updated)
            five(line)

    def _new(self, key: bytes, v: Value, r: Observation, where: str, read: Reading) -> int:
        """Return the number of these elements, met together for the first time."""
        code, category, method, interpretation, ranges = (self.groups[name] for name in _ALIKE)
        raw = bytes(v.code)
        if (named := code.ids.get(raw)) is None:
            named = code.put(raw, _code(raw, where))
        numbers = (
            named,
            category.pick(bytes(r.category), _bare, read),
            method.pick(bytes(r.method), _method, read),
            interpretation.pick(bytes(v.interpretation), _bare, read),
            ranges.pick(bytes(v.referenceRange), _range, read),
        )
        self._alike_numbers.append(numbers)
        number = self._alike[key] = len(self._alike)
        return number

    def _value(self, v: Value, quantity: bytes, where: str, read: Reading) -> int:
        group = self._values
        if quantity and _only_quantity(v):
            try:
                return group.pick(quantity, _quantity_value, read)
            except Reject as e:
                raise Reject(e.reason, where + e.where) from e
        picked = _value(v, quantity, where, read)
        found = group.ids.get(picked)
        return group.put(picked, picked) if found is None else found

    @staticmethod
    def _time(group: Group, r: Observation, read: Reading) -> int:
        key: str | tuple[str | None, ...]
        if r.effectiveDateTime is not None:
            key = r.effectiveDateTime
        elif r.effectivePeriod is not None:
            key = ("effectivePeriod", r.effectivePeriod.start, r.effectivePeriod.end)
        elif r.effectiveInstant is not None:
            key = ("effectiveInstant", r.effectiveInstant)
        else:
            key = ("issued", r.issued)
        number = group.ids.get(key)
        if number is None:
            named = ("effectiveDateTime", key) if isinstance(key, str) else key
            number = group.put(key, _dates(named, r.effectivePeriod, read), read.take_notes())
        return number

    def table(self) -> pa.Table | None:
        """Return all rows in the order they came, None where there are none."""
        patients, rids, shas, updated, lines = self._own
        rows = len(lines)
        if not rows:
            return None
        arrays: dict[str, Any] = {
            "pat": as_array(patients, _COLUMNS["pat"].type),
            "rid": as_array(rids, _COLUMNS["rid"].type),
            "sha": as_array(shas, _COLUMNS["sha"].type),
            # in pieces: one text that is no instant makes its whole piece slow
            "updated": pa.chunked_array([instants(updated[i : i + PIECE]) for i in range(0, rows, PIECE)]),
            "line": pa.array(lines, _COLUMNS["line"].type),
            "file": pa.repeat(pa.scalar(self._file, _COLUMNS["file"].type), rows),
        }
        found = np.array(self._numbers, np.int32).reshape(rows, len(self._known))
        numbers = np.hstack([np.array(self._alike_numbers, np.int32)[found[:, 0]], found[:, 1:]])
        notes: list[str | None] = [None] * rows
        for name, where in zip(_ORDER, numbers.T, strict=True):
            group = self.groups[name]
            arrays.update(zip(_GROUPS[name], group.take(where), strict=True))
            for row, text in group.notes(where):
                notes[row] = text if notes[row] is None else f"{notes[row]}\n{text}"
        arrays["notes"] = pa.array(notes, pa.string())
        return pa.table({name: arrays[name] for name in _COLUMNS})


def _only_quantity(v: Value) -> bool:
    return (
        v.valueString is None
        and not v.valueCodeableConcept
        and not v.dataAbsentReason
        and not v.valueInteger
        and v.valueBoolean is None
        and not v.valueRange
        and not v.valueRatio
        and not v.valueSampledData
        and not v.valueTime
        and not v.valueDateTime
        and not v.valuePeriod
    )


def _code(raw: bytes, where: str) -> Picked:
    concept = _concept(raw) if raw else None
    code, text = codings(concept), text_of(concept)
    if code is None and text is None:
        raise Reject("no-code", f"{where}code")
    return code, text


def _bare(raw: bytes, read: Reading) -> Picked:
    return (bare_codes(_concepts(raw)) if raw else None,)


def _method(raw: bytes, read: Reading) -> Picked:
    return (text_of(_concept(raw)) if raw else None,)


def _specimen(raw: bytes, read: Reading) -> Picked:
    return (read.referred(_reference(raw), "Specimen") if raw else None,)


def _dates(key: tuple[str | None, ...], period: Period | None, read: Reading) -> Picked:
    """Return start and end of effective[x]; `issued` dates the result only where nothing else does."""
    if key[0] == "effectivePeriod" and period is not None:
        start = read.date(period.start, "effectivePeriod.start")
        return *start, *read.date(period.end, "effectivePeriod.end")
    if key[0] == "issued" and key[1] is not None:
        read.notes.append("date-from-issued@issued")
    return *read.date(key[1], key[0] or ""), *NO_DATE


def _quantity_value(raw: bytes, read: Reading) -> Picked:
    q = _quantity(raw)
    number = None
    if len(q.value) > 0:
        number = read.decimal(q.value)
        if number is None:
            raise Reject("decimal-malformed", "valueQuantity.value")
    kind = "quantity" if number is not None else None
    return kind, number, None, q.comparator, q.code, q.system, q.unit, None


def _value(v: Value, quantity: bytes, where: str, read: Reading) -> Picked:
    """Return kind, value, value_code, comparator, unit code, system and text, and dataAbsentReason."""
    absent = None
    if len(v.dataAbsentReason) > 0:
        reason = _concept(bytes(v.dataAbsentReason))
        absent = next((c.code for c in reason.coding or () if c.code), None) or reason.text or "unknown"
    filled = {
        "quantity": bool(quantity),
        "string": v.valueString is not None,
        "concept": len(v.valueCodeableConcept) > 0,
        "integer": len(v.valueInteger) > 0,
        "boolean": v.valueBoolean is not None,
        "other": any(len(getattr(v, name)) for name in OTHER_VALUES),
    }
    kinds = [k for k, there in filled.items() if there]
    if len(kinds) > 1:
        raise Reject("two-values", f"{where}value[x]")
    kind = kinds[0] if kinds else None
    if kind == "quantity":
        return (*_quantity_value(quantity, read)[:7], absent)
    value = code = None
    if kind == "string":
        value = (v.valueString or "").strip()
    elif kind == "concept":
        concept = _concept(bytes(v.valueCodeableConcept))
        value, code = text_of(concept), codings(concept)
    elif kind == "integer":
        value = read.decimal(v.valueInteger)
        if value is None:
            raise Reject("decimal-malformed", f"{where}valueInteger")
    elif kind == "boolean":
        value = "true" if v.valueBoolean else "false"
    return kind, value, code, None, None, None, None, absent


def _range(raw: bytes, read: Reading) -> Picked:
    """Return low, high, their units and the text, where exactly one range is given.

    Several ranges differ by age, sex or meaning; which one applies is not known here, so none is taken.
    """
    ranges = _ranges(raw) if raw else []
    if len(ranges) != 1:
        return None, None, None, None, None
    one = ranges[0]
    low = high = low_unit = high_unit = None
    if one.low is not None:
        low, low_unit = read.number(one.low.value, "referenceRange.low.value"), unit_of(one.low)
    if one.high is not None:
        high, high_unit = read.number(one.high.value, "referenceRange.high.value"), unit_of(one.high)
    return low, high, low_unit, high_unit, one.text

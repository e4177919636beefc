"""Observation -> rows: one for its value, one for each component."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Raw

from adapter.intake.keys import MODIFIER
from adapter.intake.memo import MOST_PICKED, Group, Picked
from adapter.intake.mend import NULL, Element
from adapter.intake.ranges import range_of
from adapter.intake.reading import NO_DATE, Reading, Reject, bare_codes, codings, text_of
from adapter.intake.rows import as_array, instants
from adapter.intake.structs import NONE, CodeableConcept, Observation, Period, Reference, Value
from adapter.intake.tables import PARTIAL, SUBSETTED, TABLES
from adapter.intake.values import absent_by, only_quantity, quantity_value, value_of

STATUSES = frozenset(
    ["registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"]
)
_code_element = Element(CodeableConcept, "code")
_category_element = Element(list[CodeableConcept], "category", optional=True)
_interpretation_element = Element(list[CodeableConcept], "interpretation", optional=True)
_method_element = Element(CodeableConcept, "method", optional=True)
_specimen_element = Element(Reference, "specimen", optional=True)
_entries = msgspec.json.Decoder(list[Raw]).decode
_COLUMNS = {c.name: c for c in TABLES["Observation"]}
_GROUPS = {
    "code": ("code", "code_text"),
    "category": ("category",),
    "value": ("kind", "value", "value_code", "comparator", "unit_code", "unit_system", "unit_text", "absent"),
    "time": ("dtc", "day", "micros", "end_dtc", "end_day", "end_micros"),
    "interpretation": ("interpretation",),
    "range": ("low", "high", "low_unit", "high_unit", "range_text", "ranges"),
    "method": ("method",),
    "specimen": ("specimen",),
    "state": ("version", "status", "element", "focus", "members"),
}
_ALIKE = ("code", "category", "method", "interpretation", "range")
_ORDER = (*_ALIKE, "time", "specimen", "value", "state")
_joined = b"\0".join  # no JSON text holds a NUL
PIECE = 2048
UNDATED = "date-missing@effective[x]"


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

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._own[-1])

    def add(self, r: Observation, read: Reading, head: tuple[Any, ...]) -> list[tuple[str, str]] | None:
        """Add the rows of the value and of every component (FHIR R4 Observation); `head` is their common provenance.

        Returns (reason, path) of components that cannot be used; the others are results of their own and stay.
        Raises Reject where the resource cannot be used (nothing is added then) and msgspec.DecodeError for broken JSON.
        """
        # this runs once per result: known texts are looked up here, new ones are picked in the groups
        alike, times, specimens, values, states = self._known
        patient, rid, sha, updated, version, self._file, line, status = head
        like = alike.get(key := _joined((r.code, r.category, r.method, r.interpretation, r.referenceRange)))
        if like is None:
            like = self._new(key, r, r, read)
        time = times.get(r.effectiveDateTime) if r.effectiveDateTime is not None else None
        if time is None:
            time = self._time(self._times, r, read)
        specimen = specimens.get(raw := bytes(r.specimen))
        if specimen is None:
            specimen = self._specimens.pick(raw, _specimen, read)
        value = values.get(raw := bytes(r.valueQuantity))
        if value is None or not raw or not only_quantity(r):
            value = self._value(r, raw, read)
        focus = r.focus is not NONE and _some(r.focus)
        members = r.component is not None or (r.hasMember is not NONE and _some(r.hasMember))
        of_row = (version, status, "", focus, members)
        state = states.get(of_row)
        if state is None:
            state = self._state(of_row)
        parts = None
        if r.component is None:
            self._numbers += (like, time, specimen, value, state)
            rows = 1
        else:
            numbers = [like, time, specimen, value, state]
            for i, c in enumerate(r.component):
                if c is None:  # told by the ladder, which found a wrong type in it, or null
                    continue
                where = f"component[{i}]"
                if c.modifierExtension is not NONE and _some(c.modifierExtension):
                    raise Reject(MODIFIER, where)
                try:
                    like = alike.get(key := _joined((c.code, r.category, r.method, c.interpretation, c.referenceRange)))
                    if like is None:
                        like = self._new(key, c, r, read)
                    value = self._value(c, bytes(c.valueQuantity), read)
                except Reject as e:
                    read.notes.clear()
                    parts = [*(parts or ()), (e.reason, f"{where}.{e.where}")]
                    continue
                of_row = (version, status, where, focus, False)
                state = states.get(of_row)
                if state is None:
                    state = self._state(of_row)
                numbers += (like, time, specimen, value, state)
            self._numbers += numbers
            rows = len(numbers) // len(self._known)
        one, two, three, four, five = self._append
        for _ in range(rows):
            one(patient)
            two(rid)
            three(sha)
            four(updated)
            five(line)
        return parts

    def note(self, noted: str) -> None:
        """Note at every row of the resource added last what was left out of it; what of one component, at that one."""
        lines = self._own[-1]
        width = len(self._known)
        for i in range(len(lines) - 1, -1, -1):
            if lines[i] != lines[-1]:
                break
            of_row = self._states.row(self._numbers[i * width + width - 1])
            here = f"@{of_row[2]}."
            mine = [n for n in noted.split("\n") if "@component[" not in n or here in n]
            self._numbers[i * width + width - 1] = self._state(of_row, "\n".join(mine) or None)

    def _new(self, key: bytes, v: Value, r: Observation, read: Reading) -> int:
        """Return the number of these elements, met together for the first time."""
        code, category, method, interpretation, ranges = (self.groups[name] for name in _ALIKE)
        numbers = (
            code.pick(bytes(v.code), _code, read),
            category.pick(bytes(r.category), _category, read),
            method.pick(bytes(r.method), _method, read),
            interpretation.pick(bytes(v.interpretation), _interpretation, read),
            ranges.pick(bytes(v.referenceRange), range_of, read),
        )
        self._alike_numbers.append(numbers)
        number = self._alike[key] = len(self._alike)
        return number

    def _value(self, v: Value, quantity: bytes, read: Reading) -> int:
        group = self._values
        if quantity and only_quantity(v):
            return group.pick(quantity, quantity_value, read)
        picked = value_of(v, quantity, read)
        key = (picked, notes := read.take_notes())
        found = group.ids.get(key)
        return group.put(key, picked, notes) if found is None else found

    def _state(self, of_row: Picked, noted: str | None = None) -> int:
        """Return the number of a row's state; `noted`: what was left out of this very resource."""
        notes = "\n".join(n for n in (noted, PARTIAL if of_row[0] == SUBSETTED else None) if n) or None
        key = of_row if noted is None else (*of_row, noted)
        found = self._states.ids.get(key)
        return self._states.put(key, of_row, notes) if found is None else found

    @staticmethod
    def _time(group: Group, r: Observation, read: Reading) -> int:
        key: str | tuple[str | None, ...]
        noted = None
        if r.effectiveDateTime is not None:
            key = r.effectiveDateTime
        elif r.effectivePeriod is not None:
            key = ("effectivePeriod", r.effectivePeriod.start, r.effectivePeriod.end)
        elif r.effectiveInstant is not None:
            key = ("effectiveInstant", r.effectiveInstant)
        else:
            # where the hospital says that the time is not known, when it was issued does not tell it
            unknown = absent_by(r.effectiveDateTime_, read)
            noted = read.take_notes()  # part of the key: another result of that time has not left it out
            key = ("absent", None, noted) if unknown else ("issued", r.issued, noted)
        number = group.ids.get(key)
        if number is None:
            named = ("effectiveDateTime", key) if isinstance(key, str) else key
            picked = _dates(named, r.effectivePeriod, read)
            number = group.put(key, picked, "\n".join(n for n in (noted, read.take_notes()) if n) or None)
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


def _some(raw: Raw) -> bool:
    """Return whether an array has an entry; `null` and `[]` have none, anything else may mean something."""
    text = bytes(raw)
    return text != NULL and (not text.startswith(b"[") or len(_entries(text)) > 0)


def _code(raw: bytes, read: Reading) -> Picked:
    concept = _code_element.read(raw, read.notes)
    code, text = codings(concept), text_of(concept)
    if code is None and text is None:
        raise Reject("no-code", "code")
    return code, text


def _category(raw: bytes, read: Reading) -> Picked:
    return (bare_codes(_category_element.read(raw, read.notes)),)


def _interpretation(raw: bytes, read: Reading) -> Picked:
    return (bare_codes(_interpretation_element.read(raw, read.notes)),)


def _method(raw: bytes, read: Reading) -> Picked:
    return (text_of(_method_element.read(raw, read.notes)),)


def _specimen(raw: bytes, read: Reading) -> Picked:
    return (read.referred(_specimen_element.read(raw, read.notes), "Specimen"),)


def _dates(key: tuple[str | None, ...], period: Period | None, read: Reading) -> Picked:
    """Return start and end of effective[x]; `issued` dates the result only where nothing else does."""
    if key[0] == "effectivePeriod" and period is not None:
        if period.start is None and period.end is None:
            read.notes.append(UNDATED)
        start = read.date(period.start, "effectivePeriod.start")
        return *start, *read.date(period.end, "effectivePeriod.end")
    if key[1] is None:
        read.notes.append(UNDATED)
    elif key[0] == "issued":
        read.notes.append("date-from-issued@issued")
    return *read.date(key[1], key[0] or ""), *NO_DATE

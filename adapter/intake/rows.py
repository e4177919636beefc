"""How readers hand over rows: something with `add(resource, read, head)` and `table()`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from adapter.intake.reading import Reading
from adapter.intake.tables import KEYED, MICROS, PARTIAL, SUBSETTED, schema_of
from adapter.intake.unprintable import NOTED, PATTERN

BATCH = 2048
INSTANT = pa.timestamp("us", "UTC")
YEAR_ONE = -62_135_596_800_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instants(texts: Sequence[str | None]) -> pa.Array:
    """Return meta.lastUpdated of many resources as UTC microseconds; null where absent or no instant with an offset."""
    try:
        found = pa.array(texts, pa.string()).cast(INSTANT).cast(MICROS)
    except pa.ArrowInvalid:  # one of them is no plain instant: each on its own
        return pa.array([instant(t) for t in texts], MICROS)
    earliest = pc.min(found).as_py()
    if earliest is not None and earliest < YEAR_ONE:  # Arrow knows a year 0; alone or in company, it is no instant
        return pa.array([instant(t) for t in texts], MICROS)
    return found


def instant(text: str | None) -> int | None:
    """Return one meta.lastUpdated as UTC microseconds, None where it is absent or no instant with an offset."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    since = moment - _EPOCH
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds


def as_array(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Return a column; keyed ids without gaps are joined bytes, which is many times faster than one by one."""
    if type_ == KEYED and None not in values:
        return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(b"".join(values))])
    return pa.array(values, type_)


def _printable(arrays: list[pa.Array], schema: pa.Schema) -> list[pa.Array]:
    """Return the columns with a blank for each character that no dataset can hold; a note says so at the row."""
    found = None
    for i, f in enumerate(schema):
        if f.type == pa.string():
            bad = pc.fill_null(pc.match_substring_regex(arrays[i], PATTERN), False)
            if pc.any(bad).as_py():
                arrays[i] = pc.replace_substring_regex(arrays[i], PATTERN, " ")
                found = bad if found is None else pc.or_(found, bad)
    if found is not None:
        i = schema.get_field_index("notes")
        noted = pc.binary_join_element_wise(arrays[i], NOTED, "\n", null_handling="skip")
        arrays[i] = pc.if_else(found, noted, arrays[i])
    return arrays


class Rows(Protocol):
    def add(self, r: Any, read: Reading, head: tuple[Any, ...]) -> list[tuple[str, str]] | None: ...

    def note(self, noted: str) -> None: ...

    def table(self) -> pa.Table | None: ...


class PlainRows:
    """Rows of a resource type that is read element by element, without a memo."""

    def __init__(self, kind: str, rows: Callable[[Any, Reading, tuple[Any, ...]], list[tuple[Any, ...]]]) -> None:
        self._schema = schema_of(kind)
        self._make = rows
        self._notes = self._schema.get_field_index("notes")
        self._rows: list[tuple[Any, ...]] = []
        self._batches: list[pa.RecordBatch] = []

    def add(self, r: Any, read: Reading, head: tuple[Any, ...]) -> None:
        if head[4] == SUBSETTED:
            read.notes.append(PARTIAL)
        if len(self._rows) >= BATCH:
            self._flush()
        self._rows += self._make(r, read, head)

    def note(self, noted: str) -> None:
        """Note at the row added last what was left out of its resource."""
        row, i = self._rows[-1], self._notes
        self._rows[-1] = (*row[:i], f"{noted}\n{row[i]}" if row[i] else noted, *row[i + 1 :])

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True)
        arrays = [
            instants(c) if f.name == "updated" else as_array(c, f.type)
            for c, f in zip(columns, self._schema, strict=True)
        ]
        self._batches.append(pa.RecordBatch.from_arrays(_printable(arrays, self._schema), schema=self._schema))
        self._rows = []

    def table(self) -> pa.Table | None:
        """Return all rows in the order they came, None where there are none."""
        if self._rows:
            self._flush()
        return pa.Table.from_batches(self._batches, self._schema) if self._batches else None

"""How readers hand over rows: something with `add(resource, read, head)` and `table()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pyarrow as pa

from adapter.intake.reading import Reading
from adapter.intake.tables import schema_of

BATCH = 2048


class Rows(Protocol):
    def add(self, r: Any, read: Reading, head: tuple[Any, ...]) -> None: ...

    def table(self) -> pa.Table | None: ...


class PlainRows:
    """Rows of a resource type that is read element by element, without a memo."""

    def __init__(self, kind: str, rows: Callable[[Any, Reading, tuple[Any, ...]], list[tuple[Any, ...]]]) -> None:
        self._schema = schema_of(kind)
        self._make = rows
        self._rows: list[tuple[Any, ...]] = []
        self._batches: list[pa.RecordBatch] = []

    def add(self, r: Any, read: Reading, head: tuple[Any, ...]) -> None:
        self._rows += self._make(r, read, head)
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self._schema, strict=True)]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._rows = []

    def table(self) -> pa.Table | None:
        """Return all rows in the order they came, None where there are none."""
        if self._rows:
            self._flush()
        return pa.Table.from_batches(self._batches, self._schema) if self._batches else None

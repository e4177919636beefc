"""Writes Parquet, in a stream of Arrow tables: fixed row groups, plain types, no pandas metadata.

Char is a string that is never null (a missing text is the empty text, as in XPORT); Num is a nullable double, or a
nullable int64 where define.xml says integer. Names and labels of dataset and variables are in the metadata of schema and
fields. The bytes depend on the rows and on the version of pyarrow, which stands in the file (created_by).
"""

from __future__ import annotations

from types import TracebackType
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from adapter.writers.cells import numbers, texts
from adapter.writers.description import Column, Description

GROUP_ROWS = 65_536
"""Rows of a row group: of all but the last, however the rows came."""


def schema(d: Description) -> pa.Schema:
    """Return the Arrow schema of a dataset."""
    fields = [pa.field(c.name, _type(c), nullable=c.numeric, metadata={"label": c.label}) for c in d.columns]
    return pa.schema(fields, metadata={"name": d.name, "label": d.label})


def _type(c: Column) -> pa.DataType:
    if not c.numeric:
        return pa.string()
    return pa.int64() if c.whole else pa.float64()


class ParquetWriter:
    """Write one dataset to `file`, which stays the caller's to close."""

    def __init__(self, file: BinaryIO, d: Description) -> None:
        self._d, self._schema = d, schema(d)
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd", compression_level=3)
        self._held: list[pa.Table] = []
        self._holds, self._rows = 0, 0

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table; columns are found by name."""
        columns = []
        for c in self._d.columns:
            where, row = f"Parquet {self._d.name}.{c.name}", self._rows + 1
            columns.append(
                numbers(table, c.name, where, row, c.whole) if c.numeric else texts(table, c.name, where, row)
            )
        self._rows += table.num_rows
        self._held.append(pa.table(columns, schema=self._schema))
        self._holds += table.num_rows
        while self._holds >= GROUP_ROWS:
            held = pa.concat_tables(self._held)
            self._put(held.slice(0, GROUP_ROWS))
            self._held, self._holds = [held.slice(GROUP_ROWS)], self._holds - GROUP_ROWS

    def _put(self, table: pa.Table) -> None:
        # in one piece: where the pieces of a column end shows in the pages of the file
        self._writer.write_table(table.combine_chunks(), row_group_size=GROUP_ROWS)

    def close(self) -> None:
        """Write what is left, and the file's footer."""
        if self._holds:
            self._put(pa.concat_tables(self._held))
        self._writer.close()

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()

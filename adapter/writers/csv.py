"""Writes CSV as RFC 4180 has it, in a stream of Arrow tables: UTF-8 without byte order mark, lines ended by CR LF.

The first line names the variables. A cell is quoted where it holds a quote, a comma, CR or LF, and a quote in it is
doubled. Missing texts and numbers are empty. Nothing else is done to a cell: one that begins with `=`, `+`, `-` or `@`
is data, and stays as it is; a spreadsheet that opens the file may take it for a formula, so import it as text.
"""

from __future__ import annotations

from types import TracebackType
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from adapter.writers.cells import number_texts, numbers, texts, used_bytes
from adapter.writers.description import Description

LINE_END = "\r\n"
_PLAIN = bytes(b for b in range(256) if chr(b) not in '",\r\n')


class CsvWriter:
    """Write one dataset to `file`, which stays the caller's to close."""

    def __init__(self, file: BinaryIO, d: Description) -> None:
        self._file, self._d, self._rows = file, d, 0
        self._file.write((",".join(c.name for c in d.columns) + LINE_END).encode())

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table; columns are found by name."""
        if not table.num_rows:
            return
        columns = []
        for c in self._d.columns:
            where = f"CSV {self._d.name}.{c.name}"
            if c.numeric:
                found = numbers(table, c.name, where, self._rows + 1, c.whole)
                columns.append(number_texts(found).fill_null(""))
            else:
                columns.append(_quoted(texts(table, c.name, where, self._rows + 1), alone=len(self._d.columns) == 1))
        joined = pc.binary_join_element_wise(*columns, ",") if len(columns) > 1 else columns[0]
        self._file.write(used_bytes(pc.binary_join_element_wise(joined, pa.scalar(LINE_END), "")))
        self._rows += table.num_rows

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        pass


def _quoted(cells: pa.StringArray, alone: bool) -> pa.StringArray:
    """Return the cells, quoted where they must be. alone: the only column, where an empty cell would be an empty line."""
    if not alone and not used_bytes(cells).translate(None, _PLAIN):
        return cells
    whole = pc.binary_join_element_wise(pa.scalar('"'), pc.replace_substring(cells, '"', '""'), pa.scalar('"'), "")
    return pc.if_else(pc.match_substring_regex(cells, '[",\r\n]|^$' if alone else '[",\r\n]'), whole, cells)

"""The cells of a dataset as every format writes them: text without trailing blanks, exact numbers, missing ones null.

XPORT knows no trailing blanks, no difference between a missing and an empty text, no negative zero, no infinity and no
NUL. The other formats could hold some of these; what they carry would then depend on the format. So they get the cells
as XPORT holds them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapter.errors import WriteError


def texts(table: pa.Table, name: str, where: str, first_row: int) -> pa.StringArray:
    """Return a Char column: one array without nulls. `where` and `first_row` name the place in a WriteError."""
    cells = _one(table, name)
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        _require(pa.types.is_null(kind), where, kind, "text")
    if not pa.types.is_string(cells.type):
        cells = cells.cast(pa.string())
    cells = pc.ascii_rtrim(cells.fill_null(""), " ")
    if b"\0" in used_bytes(cells):
        row = first_row + pc.match_substring(cells, "\0").to_pylist().index(True)
        raise WriteError(
            f"{where}, row {row}: the value holds a NUL character; expected text without control character 0"
        )
    return cells


def numbers(table: pa.Table, name: str, where: str, first_row: int, whole: bool) -> pa.Array:
    """Return a Num column: one array of float64, or int64 where define.xml says that all are whole; null where missing."""
    column = _one(table, name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        _require(pa.types.is_null(column.type), where, column.type, "numbers")
    try:
        values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        endless = np.isinf(values)
        if endless.any():
            row = first_row + int(endless.argmax())
            raise WriteError(f"{where}, row {row}: the value is infinite; expected a number or a missing value")
        cells = pa.array(values + 0.0, from_pandas=True)  # + 0.0: no negative zero
        return cells.cast(pa.int64()) if whole else cells
    except pa.ArrowInvalid:
        expected = "integers, as define.xml says" if whole else "numbers that float64 holds exactly"
        raise WriteError(f"{where}, rows from {first_row}: a number does not fit; expected {expected}") from None


def number_texts(cells: pa.Array) -> pa.StringArray:
    """Return numbers as the shortest decimal texts that read back as the same float64; null stays null.

    12.5, 0.1, 3 (never 3.0), 1e-7, 1.5e+21: valid in JSON and in CSV. Integers have no exponent.
    """
    return cells.cast(pa.string())


def used_bytes(cells: pa.StringArray) -> bytes:
    """Return the UTF-8 bytes of all cells, one after the other."""
    _, offsets, data = cells.buffers()
    if not len(cells) or data is None:
        return b""
    ends = np.frombuffer(offsets, dtype=np.int32)[cells.offset : cells.offset + len(cells) + 1]
    return bytes(memoryview(data)[ends[0] : ends[-1]])


def _one(table: pa.Table, name: str) -> Any:
    column = table.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _require(holds: bool, where: str, found: object, expected: str) -> None:
    if not holds:
        raise WriteError(f"{where}: a column of type {found}; expected {expected}")

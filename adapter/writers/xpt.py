"""Write SAS XPORT version 5 transport files, the dataset format of submissions, in a stream of Arrow or pandas batches.

Layout: SAS TS-140, "The Record Layout of a Data Set in SAS Transport (XPORT) Format" (80-byte header records, one
140-byte NAMESTR per variable, then fixed-width observations). Rules for what may stand in one: SDTMIG 3.4 section 4.2
and sdtm-conventions.md "Structure": names and labels ASCII, values UTF-8, lengths in bytes.

Text: trailing spaces mean nothing in this format (a reader cannot tell them from the filling); leading ones are kept.
Null, "" and blanks are the same. Numbers: see ibm.py. The same rows give the same bytes, however they are batched.

The blank-row trap: version 5 has no row count, and the file is filled up with spaces to a multiple of 80 bytes. A
reader must therefore take all-blank rows at the end for filling (ReadStat does at every record length), and a blank
last row would vanish. `close` refuses it. A missing number is '.', so a record with a number in it is never blank in
practice; the check looks at the bytes themselves.
"""

from __future__ import annotations

import datetime
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from adapter.errors import WriteError
from adapter.writers.ibm import ibm_from_float

_BLOCK_BYTES = 1 << 22  # rows are laid out this many bytes at a time: bounds memory, and fits the processor's cache
_LINE = 80
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,7}")
_LABEL = re.compile(r"[ -~]{0,40}")
# A format's name never ends in a digit, so that what follows is its width: E8601DA10., $CHAR20., DATE9., 8.3
_FORMAT = re.compile(r"(\$?(?:[A-Z_](?:[A-Z0-9_]*[A-Z_])?)?)([0-9]{0,3})(?:\.([0-9]{0,2}))?")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class XptVariable:
    """One column: length in bytes (Char 1 to 200, Num always 8); format is a SAS format such as "8.3", or ""."""

    name: str
    label: str
    type: Literal["Char", "Num"]
    length: int
    format: str = ""


class XptWriter:
    """Write one dataset to `file`, which stays the caller's to close. Errors are WriteErrors, or the file's own.

    with open("lb.xpt", "wb") as f, XptWriter(f, "LB", "Laboratory Test Results", variables, timestamp) as w:
        w.write(batch)

    The header is written at once; `timestamp` is its creation and modification time, written as its own wall-clock
    fields. Rows in messages count from 1 over all batches. After an error the file is unfinished and useless: the
    writer then refuses further work, and leaving the `with` block by an exception does not finish the file.
    """

    def __init__(
        self, file: BinaryIO, name: str, label: str, variables: Sequence[XptVariable], timestamp: datetime.datetime
    ) -> None:
        self._file, self._name, self._variables = file, name, tuple(variables)
        self._rows, self._blank_tail = 0, False
        self._state: Literal["open", "closed", "broken"] = "open"
        _check_dataset(name, label, self._variables, timestamp)
        self._record = np.dtype([(v.name, ">u8" if v.type == "Num" else f"V{v.length}") for v in self._variables])
        self._block = max(1, _BLOCK_BYTES // self._record.itemsize)
        self._put(_headers(name, label, self._variables, timestamp))

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._rows

    def write(self, batch: pa.RecordBatch | pa.Table | pd.DataFrame) -> None:
        """Append rows. Columns are found by name; columns that are not variables of the dataset are not looked at.

        Char: string, large_string, a dictionary of these, or string_view. Num: float, integer. An all-null column of
        Arrow type null serves for both. Raises WriteError for a missing or doubled column, another type, text that is
        longer than its variable or holds a NUL, and numbers that ibm.py refuses or integers beyond 2^53. Text values
        never appear in a message, because they may identify a person.
        """
        self._begin()
        columns = [_column(batch, v, f"{self._name}.{v.name}") for v in self._variables]
        total = len(columns[0])
        records = np.empty(min(self._block, total), dtype=self._record)
        for start in range(0, total, self._block):
            part = records[: min(self._block, total - start)]
            for variable, column in zip(self._variables, columns, strict=True):
                where = f"{self._name}.{variable.name}"
                cells = _combined(column.slice(start, len(part)))
                fill = _char if variable.type == "Char" else _num
                part[variable.name] = fill(cells, variable, where, self._rows + 1)
            self._put(part.view(np.uint8).data)
            self._rows += len(part)
            self._blank_tail = not part[-1:].tobytes().strip(b" ")
        self._state = "open"

    def close(self) -> None:
        """Fill up to 80 bytes. A second call does nothing. Raises WriteError when the last row is all blanks."""
        if self._state == "closed":
            return
        self._begin()
        found = "all variables are blank in the last row, which a reader would take for padding"
        _require(not self._blank_tail, f"{self._name}, row {self._rows}", found, "a value in at least one variable")
        self._put(b" " * (-self._rows * self._record.itemsize % _LINE))
        self._state = "closed"

    def __enter__(self) -> XptWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()
        elif self._state == "open":
            self._state = "broken"

    def _begin(self) -> None:
        why = "is closed" if self._state == "closed" else "failed earlier, so its file is incomplete"
        _require(self._state == "open", self._name, f"the writer {why}", "an open writer")
        self._state = "broken"  # until the work is done: a half-written batch cannot be taken back

    def _put(self, data: bytes | memoryview) -> None:
        written = self._file.write(data)
        found = f"the file took {written} of {len(data)} bytes"
        _require(written == len(data), self._name, found, "a buffered file that takes all")


def _require(holds: bool, where: str, found: str, expected: str) -> None:
    if not holds:
        raise WriteError(f"XPT {where}: {found}; expected {expected}")


def _check_dataset(name: str, label: str, variables: Sequence[XptVariable], timestamp: datetime.datetime) -> None:
    good_name, good_label = "1 to 8 characters A-Z 0-9 _ with a letter first", "at most 40 printable ASCII characters"
    _require(_NAME.fullmatch(name) is not None, name, f"dataset name {name!r}", good_name)
    _require(_LABEL.fullmatch(label) is not None, name, f"label {label!r} of {len(label)} characters", good_label)
    # four digits in the NAMESTR header for the count, and two for the year, which readers take for 1960 to 2059
    _require(1 <= len(variables) <= 9999, name, f"{len(variables)} variables", "1 to 9999")
    _require(1960 <= timestamp.year <= 2059, name, f"timestamp {timestamp.isoformat()}", "a year from 1960 to 2059")
    seen: set[str] = set()
    for v in variables:
        where = f"{name}.{v.name}"
        _require(_NAME.fullmatch(v.name) is not None, where, f"variable name {v.name!r}", good_name)
        _require(v.name not in seen, where, "the variable is declared twice", "unique names")
        seen.add(v.name)
        _require(
            _LABEL.fullmatch(v.label) is not None, where, f"label {v.label!r} of {len(v.label)} characters", good_label
        )
        _require(v.type in ("Char", "Num"), where, f"type {v.type!r}", "Char or Num")
        least, most = (8, 8) if v.type == "Num" else (1, 200)
        _require(least <= v.length <= most, where, f"length {v.length} of a {v.type}", f"{least} to {most} bytes")
        _format(v, where)


def _format(v: XptVariable, where: str) -> tuple[str, int, int]:
    """Return name, width and decimals of a SAS format; ("", 0, 0) for none."""
    found = _FORMAT.fullmatch(v.format)
    text, width, decimals = ("", 0, 0) if found is None else (found[1], int(found[2] or 0), int(found[3] or 0))
    whole = not v.format or (len(text) <= 8 and (text.strip("$") or width))
    _require(found is not None and bool(whole), where, f"format {v.format!r}", "one such as 8.3, DATE9. or $CHAR20.")
    dollar = not v.format or text.startswith("$") == (v.type == "Char")
    _require(dollar, where, f"format {v.format!r} of a {v.type}", "$ before the format of a Char, and only there")
    return text, width, decimals


def _header(kind: str, numbers: str = "0" * 30) -> bytes:
    return f"HEADER RECORD*******{kind:<8}HEADER RECORD!!!!!!!{numbers}  ".encode("ascii")


def _headers(name: str, label: str, variables: Sequence[XptVariable], timestamp: datetime.datetime) -> bytes:
    """Return everything before the first observation; its length is a multiple of 80."""
    stamp = f"{timestamp:%d}{_MONTHS[timestamp.month - 1]}{timestamp:%y:%H:%M:%S}"
    # Version and system as in the example of TS-140, which writers other than SAS use: we are not SAS 9.4 on anything.
    system = f"{'6.06':<8}{'bsd4.2':<8}{'':24}{stamp}"
    ends = accumulate(v.length for v in variables)
    names = b"".join(
        _namestr(i, end - v.length, v, f"{name}.{v.name}")
        for i, (v, end) in enumerate(zip(variables, ends, strict=True), start=1)
    )
    lines = (
        _header("LIBRARY"),
        f"{'SAS':<8}{'SAS':<8}{'SASLIB':<8}{system}".encode("ascii"),
        f"{stamp:<80}".encode("ascii"),
        _header("MEMBER", f"{160:020d}{140:010d}"),
        _header("DSCRPTR"),
        f"{'SAS':<8}{name:<8}{'SASDATA':<8}{system}".encode("ascii"),
        f"{stamp}{'':16}{label:<40}{'':8}".encode("ascii"),
        _header("NAMESTR", f"{len(variables):010d}{0:020d}"),
        names + b" " * (-len(names) % _LINE),
        _header("OBS"),
    )
    return b"".join(lines)


def _namestr(number: int, offset: int, v: XptVariable, where: str) -> bytes:
    form, width, decimals = _format(v, where)
    names = (f"{v.name:<8}".encode("ascii"), f"{v.label:<40}".encode("ascii"), f"{form:<8}".encode("ascii"))
    kind = 1 if v.type == "Num" else 2
    # hash and justification 0, no informat: the file is for reading, not for entry
    return struct.pack(
        ">4H8s40s8s3H2x8s2HI52x", kind, 0, v.length, number, *names, width, decimals, 0, b" " * 8, 0, 0, offset
    )


def _column(batch: pa.RecordBatch | pa.Table | pd.DataFrame, v: XptVariable, where: str) -> Any:
    """Return the column as an Arrow array or chunked array of a type that `_char` or `_num` takes."""
    names = batch.columns.tolist() if isinstance(batch, pd.DataFrame) else batch.schema.names
    _require(names.count(v.name) == 1, where, f"{names.count(v.name)} columns of this name in the batch", "one")
    expected = "text (string, or a dictionary of string)" if v.type == "Char" else "numbers (float or integer)"
    try:
        column = pa.array(batch[v.name], from_pandas=True) if isinstance(batch, pd.DataFrame) else batch.column(v.name)
    except (pa.ArrowException, ValueError, TypeError):
        # `from None`, because the cause quotes the value
        raise WriteError(f"XPT {where}: a column of mixed types; expected {expected}") from None
    kind = column.type
    if v.type == "Char":
        text = kind.value_type if pa.types.is_dictionary(kind) else kind
        fits = pa.types.is_string(text) or pa.types.is_large_string(text) or pa.types.is_string_view(kind)
    else:
        fits = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    _require(fits or pa.types.is_null(kind), where, f"a column of type {kind}", expected)
    return column


def _combined(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _char(cells: Any, v: XptVariable, where: str, first_row: int) -> NDArray[np.void]:
    """Return the cells filled up with blanks, as voids of the variable's length."""
    if pa.types.is_null(cells.type):
        return _blanks(len(cells), v.length)
    if pa.types.is_dictionary(cells.type):
        if len(cells.dictionary) <= len(cells):
            entries = _padded(cells.dictionary, v.length)
            if not isinstance(entries, tuple):
                return _taken(entries, cells.indices, v.length)
        cells = cells.dictionary_decode()  # also when an entry is wrong: it is an error only in a row that uses it
    rows = _padded(cells, v.length)
    if isinstance(rows, tuple):
        at, found, expected = rows
        raise WriteError(f"XPT {where}, row {first_row + at}: {found}; expected {expected}")
    return rows


def _blanks(count: int, length: int) -> NDArray[np.void]:
    return np.full(count * length, ord(" "), dtype=np.uint8).view(f"V{length}")


def _taken(entries: NDArray[np.void], indices: Any, length: int) -> NDArray[np.void]:
    if indices.null_count:
        indices = pc.fill_null(indices.cast(pa.int64()), len(entries))
        entries = np.concatenate([entries, _blanks(1, length)])
    taken: NDArray[np.void] = entries.take(indices.to_numpy().astype(np.intp, copy=False))
    return taken


def _padded(cells: Any, length: int) -> NDArray[np.void] | tuple[int, str, str]:
    """Return texts as voids of `length` bytes, or of the first bad one: index, what was found, what was expected."""
    count = len(cells)
    if not count:
        return _blanks(0, length)
    if pa.types.is_string_view(cells.type):
        cells = cells.cast(pa.large_string())
    if cells.null_count:
        cells = pc.fill_null(cells, "")
    sizes = pc.binary_length(cells)
    if pc.max(sizes).as_py() > length:
        bytes_ = sizes.to_numpy()
        at = int((bytes_ > length).argmax())
        return at, f"the value has {bytes_[at]} bytes in UTF-8", f"at most {length}"
    # ascii_rpad counts bytes, not characters, so it serves for UTF-8 too; were that to change, the sum would tell
    filled = pc.ascii_rpad(cells, length, " ")
    if pc.sum(pc.binary_length(filled)).as_py() != count * length:
        return 0, "this version of pyarrow fills up by characters", "a version whose ascii_rpad counts bytes"
    data = np.frombuffer(filled.buffers()[2], dtype=np.uint8, count=count * length)
    if data.min() == 0:
        return int(data.argmin()) // length, "the value holds a NUL character", "text without control character 0"
    return data.view(f"V{length}")


def _num(cells: Any, v: XptVariable, where: str, first_row: int) -> NDArray[np.uint64]:
    try:
        values = cells.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        whole = pc.fill_null(cells, 0).to_numpy(zero_copy_only=False)
        at = int(((whole > 2**53) | (whole < -(2**53))).argmax())
        raise WriteError(
            f"XPT {where}, row {first_row + at}: integer {whole[at]} has no exact float64; expected at most 2^53"
        ) from None
    return ibm_from_float(values, what=f"XPT {where}", first_row=first_row)

"""Reads Dataset-JSON 1.1 and its NDJSON form of any origin for checking, a stretch of rows at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from adapter.check.columns import Column, number_of
from adapter.check.dataset import Variable
from adapter.check.read_xpt import Read, Told
from adapter.check.text import decoded
from adapter.errors import InputError

NUMERIC = ("integer", "float", "double", "decimal")
STRETCH = 20_000


class _Head(msgspec.Struct):
    """What both forms say of a dataset. Unknown attributes are let pass."""

    columns: list[dict[str, Any]]
    name: str = ""
    label: str = ""
    records: int | None = None
    rows: list[msgspec.Raw] = msgspec.field(default_factory=list)


def read_json(path: Path, told: Told) -> Read:
    """Return a Dataset-JSON file. Raises InputError for one that is none or was cut short."""
    raw = _utf8(path.read_bytes(), told)
    try:
        head = msgspec.json.decode(raw, type=_Head)
    except (msgspec.DecodeError, RecursionError) as e:
        raise InputError(f"{path} is no Dataset-JSON: {e}") from e
    return _read(head, head.rows, path, told)


def read_ndjson(path: Path, told: Told) -> Read:
    """Return a dataset in NDJSON form: a line of metadata, then a line per record."""
    first, _, rest = _utf8(path.read_bytes(), told).partition(b"\n")
    try:
        head = msgspec.json.decode(first, type=_Head)
    except (msgspec.DecodeError, RecursionError) as e:
        raise InputError(f"{path} is no Dataset-JSON in NDJSON form: {e}") from e
    return _read(head, (line for line in rest.split(b"\n") if line.strip()), path, told)


def _utf8(raw: bytes, told: Told) -> bytes:
    text, encoding = decoded(raw)
    if encoding == "utf-8":
        return raw.removeprefix(b"\xef\xbb\xbf")
    told("encoding", "", f"not UTF-8; read as {encoding}")
    return text.encode()


def _read(head: _Head, rows: Iterable[Any], path: Path, told: Told) -> Read:
    variables = tuple(_variable(c, path) for c in head.columns)
    names = [v.name for v in variables]
    if len(set(names)) != len(names):
        raise InputError(f"{path}: the variable {next(n for n in names if names.count(n) > 1)} stands twice")
    builders = [_Numbers() if v.type == "Num" else _Texts() for v in variables]
    count = 0
    try:
        for stretch in _stretches(rows):
            if any(not isinstance(r, list) or len(r) != len(variables) for r in stretch):
                raise InputError(f"{path}: a record after the {count:,}th has not {len(variables)} cells")
            for builder, cells in zip(builders, zip(*stretch, strict=True), strict=True):
                builder.add(cells)
            count += len(stretch)
    except (msgspec.DecodeError, RecursionError) as e:
        raise InputError(f"{path}: a record after the {count:,}th cannot be read: {e}") from e
    if head.records is not None and head.records != count:
        told("records", "", f"the file says {head.records:,} records and holds {count:,}")
    columns = {}
    for v, builder in zip(variables, builders, strict=True):
        columns[v.name] = builder.column()
        if builder.bad:
            told("not_numeric", v.name, f"declared a number; {builder.bad:,} cells are none")
    return head.name, head.label, variables, columns, count


def _stretches(rows: Iterable[Any]) -> Iterator[list[list[Any]]]:
    decode = msgspec.json.Decoder().decode
    remaining = iter(rows)
    while stretch := list(itertools.islice(remaining, STRETCH)):
        yield [decode(r) for r in stretch]


def _variable(given: dict[str, Any], path: Path) -> Variable:
    name, kind, length = given.get("name"), str(given.get("dataType", "")), given.get("length")
    if not isinstance(name, str) or not name:
        raise InputError(f"{path}: a column has no name")
    return Variable(
        name,
        str(given.get("label") or ""),
        "Num" if kind in NUMERIC else "Char",
        length if isinstance(length, int) else None,
        str(given.get("displayFormat") or ""),
    )


class _Texts:
    """Gathers the cells of a text variable: codes into distinct texts."""

    bad = 0

    def __init__(self) -> None:
        self._index: dict[Any, int] = {"": -1}
        self._codes: list[Any] = []

    def add(self, cells: Sequence[Any]) -> None:
        index = self._index
        found = [index.setdefault(c if type(c) is str else _text(c), len(index) - 1) for c in cells]
        self._codes.append(np.array(found, dtype=np.int32))

    def column(self) -> Column:
        values = np.empty(len(self._index) - 1, dtype=object)
        values[:] = list(self._index)[1:]
        return Column(np.concatenate(self._codes) if self._codes else np.zeros(0, dtype=np.int32), values)


def _text(cell: Any) -> str:
    return "" if cell is None else cell if isinstance(cell, str) else str(cell)


class _Numbers:
    """Gathers the cells of a numeric variable; of one with cells that are no numbers it makes a text column."""

    def __init__(self) -> None:
        self.bad = 0
        self._cells: list[Any] = []
        self._texts = _Texts()

    def add(self, cells: Sequence[Any]) -> None:
        made = [
            np.nan if c is None or c == "" else float(c) if type(c) in (int, float) else number_of(c) for c in cells
        ]
        found = np.array(made, dtype=np.float64)
        if np.isnan(found).any():
            self.bad += sum(c is not None and c != "" and m != m for c, m in zip(cells, made, strict=True))
        self._cells.append(found)
        self._texts.add(cells)

    def column(self) -> Column:
        if self.bad:
            return self._texts.column()
        return Column(numbers=np.concatenate(self._cells) if self._cells else np.zeros(0))

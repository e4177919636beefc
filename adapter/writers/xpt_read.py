"""Reads XPORT v5 files as this program writes them: UTF-8 text, IBM numbers, no row count (SAS TS-140)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adapter.errors import InputError
from adapter.writers.ibm import float_from_ibm

NAMESTR = struct.Struct(">hhhh8s40s8shhh2s8shhl52s")
OBSERVATIONS = b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!"
MEMBER = b"HEADER RECORD*******MEMBER  HEADER RECORD!!!!!!!"


@dataclass(frozen=True, slots=True)
class Place:
    """One variable of a file: XPORT type (1 number, 2 text), length and place in the record, and what is said of it."""

    kind: int
    length: int
    place: int
    name: str
    label: str
    format: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands in a file of one dataset: records of `width` bytes from `start`, `rows` of them."""

    name: str
    label: str
    variables: tuple[Place, ...]
    start: int
    width: int
    rows: int


def read_xpt(path: Path) -> tuple[pd.DataFrame, str, dict[str, str]]:
    """Return (frame, dataset label, variable labels). Missing characters are empty text, missing numbers NaN.

    Records of blanks at the end of the file are padding (TS-140): a dataset must not end in a record that is all blank.

    Raises InputError for a file that is no XPORT v5 file of one dataset, ends inside a record, or is not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise InputError(f"cannot read {path}: {e.strerror}") from e
    found = layout_of(raw, path)
    columns: dict[str, pd.Series[Any]] = {}
    for v in found.variables:
        cells = cells_of(raw, found, v)
        if v.kind == 1:
            columns[v.name] = pd.Series(numbers_of(cells))
        else:
            columns[v.name] = _texts(cells, v.length, f"{path}: {v.name}")
    return pd.DataFrame(columns), found.label, {v.name: v.label for v in found.variables}


def layout_of(raw: bytes | mmap, path: Path, encoding: str = "utf-8") -> Layout:
    """Return the layout of a file, whose header is text of an encoding. Raises InputError as read_xpt does."""
    start = raw.find(OBSERVATIONS)
    found = re.search(rb"NAMESTR HEADER RECORD!!!!!!!0{6}(\d{4})", raw[:2000])
    if raw[:48] != b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!" or start < 0 or found is None:
        raise InputError(f"{path} is no SAS XPORT version 5 file of one dataset")
    if raw.find(MEMBER, start) >= 0:
        raise InputError(f"{path} holds more than one dataset; expected one dataset per file")
    count, offset = int(found[1]), found.start() - 20 + 80
    if offset + 140 * count > start:
        raise InputError(f"{path}: {count} variables are announced, the header ends before them")
    variables = []
    for i in range(count):
        t = NAMESTR.unpack(raw[offset + 140 * i : offset + 140 * (i + 1)])
        shown = _text(t[6], path, encoding) + (f"{t[7]}." + (str(t[8]) if t[8] else "") if t[7] else "")
        variables.append(Place(t[0], t[2], t[14], _text(t[4], path, encoding), _text(t[5], path, encoding), shown))
    width = sum(v.length for v in variables)
    if any(v.kind not in (1, 2) or v.length < 1 or v.place < 0 or v.place + v.length > width for v in variables):
        raise InputError(f"{path}: a variable's type, length or place is none that XPORT v5 knows")
    size = len(raw) - start - 80
    rows, rest = divmod(size, width) if width else (0, 0)
    if raw[len(raw) - rest :].strip(b" ") if rest else False:
        raise InputError(f"{path} ends inside a record of {width} bytes; the file was cut short")
    member = raw.find(b"HEADER RECORD*******DSCRPTR HEADER RECORD!!!!!!!")
    name = _text(raw[member + 88 : member + 96], path, encoding)
    label = _text(raw[member + 160 + 32 : member + 160 + 72], path, encoding)
    return Layout(name, label, tuple(variables), start + 80, width, _filled(raw, start + 80, width, rows))


def _filled(raw: bytes | mmap, start: int, width: int, rows: int) -> int:
    """Return the number of records before the blank ones that fill the last 80-byte record up."""
    while rows and not raw[start + (rows - 1) * width : start + rows * width].strip(b" "):
        rows -= 1
    return rows


def cells_of(raw: bytes | mmap, layout: Layout, v: Place) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return a variable's cells: one row of bytes per record."""
    flat = np.frombuffer(raw, dtype=np.uint8, count=layout.rows * layout.width, offset=layout.start)
    return np.ascontiguousarray(flat.reshape(layout.rows, layout.width)[:, v.place : v.place + v.length])


def numbers_of(cells: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the numbers of a numeric variable's cells (IBM floats of 2 to 8 bytes)."""
    return float_from_ibm(_eight(cells))


def _texts(cells: np.ndarray[tuple[int, int], np.dtype[np.uint8]], length: int, where: object) -> pd.Series[str]:
    """Return the cells of a character variable without trailing blanks; each distinct text is decoded once."""
    codes, unique = pd.factorize(np.char.rstrip(cells.view(f"S{length}").ravel(), b" "))
    return pd.Series(np.array([_text(u, where) for u in unique], dtype=object)[codes], dtype="str")


def _text(raw: bytes, where: object, encoding: str = "utf-8") -> str:
    try:
        return raw.decode(encoding).rstrip(" ")
    except UnicodeDecodeError as e:
        raise InputError(f"{where} is not UTF-8 (byte {raw[e.start]:#04x}); expected ASCII or UTF-8") from e


def _eight(cells: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    if cells.shape[1] == 8:
        return cells
    return np.pad(cells, ((0, 0), (0, 8 - cells.shape[1])))

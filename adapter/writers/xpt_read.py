"""Reads XPORT v5 files as this program writes them: UTF-8 text, IBM numbers, no row count (SAS TS-140)."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adapter.errors import InputError
from adapter.writers.ibm import float_from_ibm

NAMESTR = struct.Struct(">hhhh8s40s8shhh2s8shhl52s")
OBSERVATIONS = b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!"


def read_xpt(path: Path) -> tuple[pd.DataFrame, str, dict[str, str]]:
    """Return (frame, dataset label, variable labels). Missing characters are empty text, missing numbers NaN.

    Records of blanks at the end of the file are padding (TS-140): a dataset must not end in a record that is all blank.

    Raises InputError for a file that is no XPORT v5 file of one dataset, ends inside a record, or is not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise InputError(f"cannot read {path}: {e.strerror}") from e
    start = raw.find(OBSERVATIONS)
    found = re.search(rb"NAMESTR HEADER RECORD!!!!!!!0{6}(\d{4})", raw[:2000])
    if not raw.startswith(b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!") or start < 0 or found is None:
        raise InputError(f"{path} is no SAS XPORT version 5 file of one dataset")
    count, offset = int(found[1]), found.start() - 20 + 80
    if offset + 140 * count > start:
        raise InputError(f"{path}: {count} variables are announced, the header ends before them")
    names = []
    for i in range(count):
        t = NAMESTR.unpack(raw[offset + 140 * i : offset + 140 * (i + 1)])
        names.append((t[0], t[2], t[14], _text(t[4], path), _text(t[5], path)))
    width = sum(length for _, length, _, _, _ in names)
    if any(
        kind not in (1, 2) or length < 1 or place < 0 or place + length > width for kind, length, place, _, _ in names
    ):
        raise InputError(f"{path}: a variable's type, length or place is none that XPORT v5 knows")
    body = raw[start + 80 :]
    rows, rest = divmod(len(body), width) if width else (0, 0)
    if body[len(body) - rest :].strip(b" "):
        raise InputError(f"{path} ends inside a record of {width} bytes; the file was cut short")
    matrix = np.frombuffer(body, dtype=np.uint8, count=rows * width).reshape(rows, width)
    filled = np.flatnonzero((matrix != 0x20).any(axis=1))
    rows = int(filled[-1]) + 1 if len(filled) else 0  # what follows is the padding of the last 80-byte record
    columns: dict[str, pd.Series[Any]] = {}
    for kind, length, place, name, _ in names:
        cells = np.ascontiguousarray(matrix[:rows, place : place + length])
        if kind == 1:
            columns[name] = pd.Series(float_from_ibm(_eight(cells)))
        else:
            columns[name] = _texts(cells, length, f"{path}: {name}")
    return pd.DataFrame(columns), _label(raw, path), {n: text for _, _, _, n, text in names}


def _texts(cells: np.ndarray[tuple[int, int], np.dtype[np.uint8]], length: int, where: object) -> pd.Series[str]:
    """Return the cells of a character variable without trailing blanks; each distinct text is decoded once."""
    codes, unique = pd.factorize(np.char.rstrip(cells.view(f"S{length}").ravel(), b" "))
    return pd.Series(np.array([_text(u, where) for u in unique], dtype=object)[codes], dtype="str")


def _text(raw: bytes, where: object) -> str:
    try:
        return raw.decode().rstrip(" ")
    except UnicodeDecodeError as e:
        raise InputError(f"{where} is not UTF-8 (byte {raw[e.start]:#04x}); expected ASCII or UTF-8") from e


def _label(raw: bytes, path: Path) -> str:
    """Return the dataset label: the last 40 + 8 bytes of the second member header record."""
    at = raw.find(b"HEADER RECORD*******DSCRPTR HEADER RECORD!!!!!!!")
    return _text(raw[at + 160 + 32 : at + 160 + 72], path)


def _eight(cells: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    if cells.shape[1] == 8:
        return cells
    return np.pad(cells, ((0, 0), (0, 8 - cells.shape[1])))

"""Reads XPORT v5 files as this program writes them: UTF-8 text, IBM numbers, no row count (SAS TS-140)."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pandas as pd

from adapter.errors import InputError
from adapter.writers.ibm import float_from_ibm

NAMESTR = struct.Struct(">hhhh8s40s8shhh2s8shhl52s")
OBSERVATIONS = b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!"


def read_xpt(path: Path) -> tuple[pd.DataFrame, str, dict[str, str]]:
    """Return (frame, dataset label, variable labels). Missing characters are empty text, missing numbers NaN.

    Raises InputError for a file that is no XPORT v5 file of one dataset.
    """
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise InputError(f"cannot read {path}: {e.strerror}") from e
    start = raw.find(OBSERVATIONS)
    found = re.search(rb"NAMESTR HEADER RECORD!!!!!!!0{6}(\d{4})", raw[:2000])
    if not raw.startswith(b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!") or start < 0 or found is None:
        raise InputError(f"{path} is no SAS XPORT version 5 file of one dataset")
    label = _label(raw)
    names, offset = [], found.start() - 20 + 80
    for i in range(int(found[1])):
        t = NAMESTR.unpack(raw[offset + 140 * i : offset + 140 * (i + 1)])
        names.append((t[0], t[2], t[14], t[4].decode().rstrip(), t[5].decode().rstrip()))
    width = sum(length for _, length, _, _, _ in names)
    body = raw[start + 80 :]
    rows = len(body) // width if width else 0
    matrix = np.frombuffer(body[: rows * width], dtype=np.uint8).reshape(rows, width)
    blank = (matrix == 0x20).all(axis=1)
    while rows and blank[rows - 1]:  # the padding of the last 80-byte record
        rows -= 1
    columns = {}
    for kind, length, place, name, _ in names:
        cells = np.ascontiguousarray(matrix[:rows, place : place + length])
        if kind == 1:
            columns[name] = pd.Series(float_from_ibm(_eight(cells)))
        else:
            texts = np.char.rstrip(cells.view(f"S{length}").ravel(), b" ")
            codes, unique = pd.factorize(texts)
            columns[name] = pd.Series(np.array([u.decode() for u in unique], dtype=object)[codes], dtype="str")
    return pd.DataFrame(columns), label, {n: text for _, _, _, n, text in names}


def _label(raw: bytes) -> str:
    """Return the dataset label: the last 40 + 8 bytes of the second member header record."""
    at = raw.find(b"HEADER RECORD*******DSCRPTR HEADER RECORD!!!!!!!")
    return raw[at + 160 + 32 : at + 160 + 72].decode().rstrip()


def _eight(cells: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    if cells.shape[1] == 8:
        return cells
    return np.pad(cells, ((0, 0), (0, 8 - cells.shape[1])))

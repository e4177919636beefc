"""Reads XPORT v5 files of any origin for checking: as codes and numbers, with lengths, and in UTF-8 or Windows-1252."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapter.check.columns import Column
from adapter.check.dataset import Variable
from adapter.check.text import decoded
from adapter.errors import InputError
from adapter.writers.xpt_read import Layout, Place, cells_of, layout_of, numbers_of

Told = Callable[[str, str, str], None]
"""Takes what is wrong: code, variable, detail."""
Read = tuple[str, str, tuple[Variable, ...], dict[str, Column], int]
"""Name and label of the dataset, variables, columns, number of records."""
_MIX = np.uint64(0x9E3779B97F4A7C15)


def read_xpt(path: Path, told: Told) -> Read:
    """Return an XPORT file. Raises InputError for one that is none, or was cut short."""
    with open(path, "rb") as f:
        if not path.stat().st_size:
            raise InputError(f"{path} is empty")
        with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            layout = _layout(raw, path, told)
            columns: dict[str, Column] = {}
            for v in layout.variables:
                if v.name in columns:
                    raise InputError(f"{path}: the variable {v.name} stands twice")
                columns[v.name] = _column(raw, layout, v, told)
            return layout.name, layout.label, tuple(_variable(v) for v in layout.variables), columns, layout.rows


def _layout(raw: Any, path: Path, told: Told) -> Layout:
    try:
        return layout_of(raw, path)
    except InputError as e:
        if "is not UTF-8" not in e.message:
            raise
        told("encoding", "", "the labels are not UTF-8; read as cp1252")
        return layout_of(raw, path, "latin-1")


def _variable(v: Place) -> Variable:
    return Variable(v.name, v.label, "Num" if v.kind == 1 else "Char", v.length, v.format)


def _column(raw: Any, layout: Layout, v: Place, told: Told) -> Column:
    cells = cells_of(raw, layout, v)
    if v.kind == 1:
        return Column(numbers=np.array(numbers_of(cells)))
    codes, firsts = distinct_rows(cells)
    values: list[str] = []
    encodings: dict[str, int] = {}
    for i in firsts:
        text, encoding = decoded(cells[i].tobytes().rstrip(b" \0"))
        values.append(text)
        encodings.setdefault(encoding, int(i) + 1)
    for encoding, record in encodings.items():
        if encoding != "utf-8":
            told("encoding", v.name, f"not UTF-8, first in record {record}; read as {encoding}")
    return coded(codes, values)


def coded(codes: NDArray[Any], values: list[str]) -> Column:
    """Return a text column of codes into values, "" being missing."""
    found = codes.astype(np.int32)
    for i, v in enumerate(values):
        if v == "":
            found[found == i] = -1
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return Column(found, array)


def distinct_rows(cells: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (code of each row of bytes, the first row of each code). Rows are the same if all their bytes are."""
    rows, length = cells.shape
    if not rows:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    padded = np.zeros((rows, -(-length // 8) * 8), dtype=np.uint8)
    padded[:, :length] = cells
    words = padded.view(np.uint64)
    mixed = words[:, 0].copy()
    with np.errstate(over="ignore"):
        for k in range(1, words.shape[1]):
            mixed = (mixed ^ (mixed >> np.uint64(29))) * _MIX + words[:, k] * np.uint64(2 * k + 1)
    codes, _ = pd.factorize(mixed)
    codes = codes.astype(np.int64)
    firsts = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
    firsts[codes[::-1]] = np.arange(rows)[::-1]
    if words.shape[1] > 1 and not np.array_equal(words, words[firsts[codes]]):
        # two texts with one hash: found by comparing, then told apart the slow way
        codes = pd.factorize(np.array([r.tobytes() for r in padded], dtype=object))[0].astype(np.int64)
        firsts = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
        firsts[codes[::-1]] = np.arange(rows)[::-1]
    return codes, firsts

"""Reads CSV datasets: with `_variables.csv`, `_datasets.csv` and `.env` beside them, or described by a define.xml."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adapter.check.columns import Column, number_of
from adapter.check.dataset import Variable
from adapter.check.text import decoded
from adapter.errors import InputError

NUMERIC = frozenset({"num", "number", "integer", "float", "decimal", "double"})
VARIABLES, DATASETS, SETTINGS = "_variables.csv", "_datasets.csv", ".env"
Raw = tuple[str, tuple[Variable, ...], dict[str, Column], int]
"""What a reader returns: label, variables, columns, records."""


@dataclass(frozen=True)
class Described:
    """What stands beside CSV files: labels of datasets, and variables of each, by the file's stem in lower case."""

    labels: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, Mapping[str, Variable]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


def described(folder: Path) -> Described:
    """Return what the files beside the datasets say. Raises InputError for one that cannot be read."""
    labels: dict[str, str] = {}
    variables: dict[str, dict[str, Variable]] = {}
    for row in _rows(folder / DATASETS):
        labels[Path(row.get("Filename") or "").stem.lower()] = row.get("Label") or ""
    for row in _rows(folder / VARIABLES):
        name = row.get("variable") or ""
        length = number_of(row.get("length") or "")
        variables.setdefault(Path(row.get("dataset") or "").stem.lower(), {})[name] = Variable(
            name,
            row.get("label") or "",
            "Num" if (row.get("type") or "").strip().lower() in NUMERIC else "Char",
            int(length) if length == length else None,
        )
    return Described(labels, variables, _settings(folder / SETTINGS))


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    try:
        text, _ = decoded(path.read_bytes())
        return list(csv.DictReader(io.StringIO(text)))
    except (OSError, csv.Error) as e:
        raise InputError(f"cannot read {path}: {e}") from e


def _settings(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.partition("=") for line in decoded(path.read_bytes())[0].splitlines())
    return {k.strip(): v.strip() for k, sign, v in lines if sign}


def read_csv(raw: bytes, path: Path, known: Mapping[str, Variable], kinds: Mapping[str, str]) -> Raw:
    """Return a CSV dataset. `known` are its described variables; `kinds` is Char or Num of others that the standard has.

    Columns that nothing describes are numbers if all their cells are. Raises InputError for what is no table.
    """
    text, _ = decoded(raw)
    try:
        frame = pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False, na_filter=False, header=None)
    except (ValueError, pd.errors.ParserError) as e:
        raise InputError(f"{path} is no CSV file: {' '.join(str(e).split())}") from e
    names = [str(n).strip() for n in frame.iloc[0]]
    if len(set(names)) != len(names):
        names = [n if n not in names[:i] else f"{n}.{i}" for i, n in enumerate(names)]
    body = frame.iloc[1:]
    variables, columns = [], {}
    for i, name in enumerate(names):
        column, numeric = _column(body.iloc[:, i], known.get(name), kinds.get(name))
        v = known.get(name)
        variables.append(Variable(name, v.label if v else "", "Num" if numeric else "Char", v.length if v else None))
        columns[name] = column
    return "", tuple(variables), columns, len(body)


def _column(cells: Any, known: Variable | None, kind: str | None) -> tuple[Column, bool]:
    codes, found = pd.factorize(cells.to_numpy(dtype=object))
    values = [str(v) for v in found]
    wanted = known.type if known else kind
    if wanted != "Char":
        parsed = np.array([number_of(v) if v != "" else np.nan for v in values] + [np.nan])
        clean = all(v == "" or p == p for v, p in zip(values, parsed, strict=False))
        if clean and (wanted == "Num" or any(values)):
            return Column(numbers=parsed[codes]), True
    blank = np.array([i for i, v in enumerate(values) if v == ""], dtype=np.int64)
    coded = codes.astype(np.int32)
    coded[np.isin(coded, blank)] = -1
    return Column(coded, np.array(values, dtype=object)), wanted == "Num"

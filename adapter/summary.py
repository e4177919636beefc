"""What assemble and define.xml must know of the data before a file is written: lengths, terms, value levels, counts.

Summaries of disjoint sets of subjects merge in any order to the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from adapter.spec import Dataset, ValueLevel


@dataclass(slots=True)
class Level:
    """One row of value-level metadata: what the values of one test (or QNAM) look like."""

    rows: int = 0
    length: int = 0
    numeric: bool = True
    integer: bool = True
    decimals: int = 0
    digits: int = 0

    def add(self, other: Level) -> None:
        self.rows += other.rows
        self.length = max(self.length, other.length)
        self.numeric &= other.numeric
        self.integer &= other.integer
        self.decimals = max(self.decimals, other.decimals)
        self.digits = max(self.digits, other.digits)


@dataclass(slots=True)
class DatasetSummary:
    """Facts of one dataset over some subjects. `subjects`: USUBJID -> number of records."""

    rows: int = 0
    subjects: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    shortest: dict[str, int] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)
    terms: dict[str, set[str]] = field(default_factory=dict)
    levels: dict[str, dict[str, Level]] = field(default_factory=dict)
    numbers: dict[str, Level] = field(default_factory=dict)
    companions: dict[str, dict[str, str]] = field(default_factory=dict)
    non_ascii: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, other: DatasetSummary) -> None:
        self.rows += other.rows
        for name, n in other.subjects.items():
            self.subjects[name] = self.subjects.get(name, 0) + n
        for name, n in other.lengths.items():
            self.lengths[name] = max(self.lengths.get(name, 0), n)
        for name, n in other.shortest.items():
            self.shortest[name] = min(self.shortest.get(name, n), n)
        for name, n in other.filled.items():
            self.filled[name] = self.filled.get(name, 0) + n
        for name, found in other.terms.items():
            self.terms[name] = self.terms.get(name, set()) | found
        for name, levels in other.levels.items():
            mine = self.levels.setdefault(name, {})
            for value, level in levels.items():
                mine.setdefault(value, Level()).add(level)
        for name, level in other.numbers.items():
            self.numbers.setdefault(name, Level()).add(level)
        for name, pairs in other.companions.items():
            mine_pairs = self.companions.setdefault(name, {})
            for value, decode in pairs.items():
                mine_pairs[value] = min(decode, mine_pairs.get(value, decode))
        for name, counts in other.non_ascii.items():
            mine_counts = self.non_ascii.setdefault(name, {})
            for value, n in counts.items():
                mine_counts[value] = mine_counts.get(value, 0) + n


def level_key(level: ValueLevel) -> str:
    return f"{level.variable} by {level.by}"


def companions_of(d: Dataset) -> list[tuple[str, str]]:
    """Return the short names of a dataset and what decodes them: LBTESTCD, LBTEST; TSPARMCD, TSPARM; ARMCD, ARM."""
    names = [v.name for v in d.main]
    return [(n, n[:-2]) for n in names if n.endswith("CD") and n[:-2] in names]


def summarise(
    frame: pd.DataFrame,
    types: dict[str, str],
    coded: Iterable[str],
    levels: Iterable[ValueLevel],
    companions: Iterable[tuple[str, str]] = (),
) -> DatasetSummary:
    """Return the summary of a dataset of some subjects.

    types: variable -> Char or Num; coded: variables with a codelist, whose used terms are kept; companions: pairs such
    as (LBTESTCD, LBTEST), whose value pairs become decodes.
    """
    s = DatasetSummary(rows=len(frame))
    if "USUBJID" in frame:
        counts = frame["USUBJID"].value_counts(sort=False)
        s.subjects = {str(k): int(v) for k, v in counts.items()}
    if len(frame):
        columns = {n: _numbers(frame[n]) if kind == "Num" else _texts(frame[n]) for n, kind in types.items()}
    else:
        columns = dict.fromkeys(types, _Column([], np.empty(0, dtype=np.int64)))
    for name, column in columns.items():
        s.filled[name] = sum(column.used.values())
        if types[name] == "Num":
            s.numbers[name] = _level(column.used)
            continue
        sizes = [len(t.encode()) for t in column.used]
        s.lengths[name] = max(sizes, default=0)
        if sizes:
            s.shortest[name] = min(sizes)
        foreign = {t: n for t, n in column.used.items() if not t.isascii()}
        if foreign:
            s.non_ascii[name] = foreign
    for name in coded:
        s.terms[name] = set(columns[name].used)
    for level in levels:
        s.levels[level_key(level)] = _levels(columns[level.variable], columns[level.by])
    for code, name in companions:
        # of two names the smaller stays
        found = sorted(((c, n) for c, n, _ in _pairs(columns[code], columns[name])), reverse=True)
        s.companions[code] = dict(found)
    return s


class _Column:
    """One variable: its distinct texts, for each row the number of its text, and `used`: filled text -> rows."""

    def __init__(self, texts: list[str], codes: npt.NDArray[np.int64]) -> None:
        self.texts = texts
        self.codes = codes
        counts = np.bincount(codes, minlength=len(texts)).tolist()
        self.used = {t: n for t, n in zip(texts, counts, strict=True) if t and n}


def _texts(values: pd.Series[str]) -> _Column:
    array = pa.array(values, pa.large_string(), from_pandas=True).fill_null("")
    coded = (array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array).dictionary_encode()
    return _Column(coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64))


def _numbers(values: pd.Series[float]) -> _Column:
    """Return numbers as texts with as few digits as they need, empty where missing."""
    codes, unique = pd.factorize(values.to_numpy())
    texts = [*(np.format_float_positional(u, trim="-") for u in unique), ""]
    return _Column(texts, np.where(codes < 0, len(unique), codes).astype(np.int64))


def _pairs(one: _Column, other: _Column) -> Iterator[tuple[str, str, int]]:
    """Yield each pair of texts that stands in a row, and in how many."""
    pairs, counts = np.unique(one.codes * len(other.texts) + other.codes, return_counts=True)
    for pair, n in zip(pairs.tolist(), counts.tolist(), strict=True):
        first, second = divmod(pair, len(other.texts))
        yield one.texts[first], other.texts[second], n


def _levels(values: _Column, by: _Column) -> dict[str, Level]:
    found: dict[str, Level] = {}
    for test, text, n in _pairs(by, values):
        if text:
            level = found.setdefault(test, Level())
            level.rows += n
            _widen(level, text)
    return dict(sorted(found.items()))


def _level(used: Mapping[str, int]) -> Level:
    made = Level(rows=sum(used.values()))
    for text in used:
        _widen(made, text)
    return made


def _widen(level: Level, text: str) -> None:
    """Let the level hold this value too."""
    level.length = max(level.length, len(text.encode()))
    whole, _, fraction = text.lstrip("-").partition(".")
    if not (whole + fraction).isdecimal() or not (whole + fraction).isascii():
        level.numeric = level.integer = False
        return
    level.integer &= not fraction
    level.decimals = max(level.decimals, len(fraction))
    level.digits = max(level.digits, len(whole))

"""What assemble and define.xml must know of the data before a file is written: lengths, terms, value levels, counts.

Summaries of disjoint sets of subjects merge in any order to the same result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from adapter.spec import ValueLevel


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
    texts: dict[str, pa.Array] = {}
    for name, kind in types.items():
        if kind == "Num":
            values = frame[name]
            s.filled[name] = int(values.notna().sum())
            s.numbers[name] = _level(_number_texts(values))
            continue
        array = pa.array(frame[name], pa.large_string(), from_pandas=True)
        sizes = pc.binary_length(array)
        s.lengths[name] = int(pc.max(sizes).as_py() or 0) if len(array) else 0
        some = sizes.filter(pc.greater(sizes, 0))
        s.filled[name] = len(some)
        if len(some):
            s.shortest[name] = int(pc.min(some).as_py())
        texts[name] = array
        ascii_only = pc.string_is_ascii(array)
        if not pc.all(ascii_only).as_py():
            found = array.filter(pc.invert(ascii_only)).value_counts()
            s.non_ascii[name] = {v["values"]: v["counts"] for v in found.to_pylist()}
    for name in coded:
        s.terms[name] = {t for t in texts[name].unique().to_pylist() if t}
    for level in levels:
        s.levels[level_key(level)] = _levels(frame, level, types)
    for code, name in companions:
        pairs = (
            frame[[code, name]].drop_duplicates().sort_values(name, ascending=False)
        )  # of two names the smaller stays
        s.companions[code] = dict(zip(pairs[code], pairs[name], strict=True))
    return s


def _levels(frame: pd.DataFrame, level: ValueLevel, types: dict[str, str]) -> dict[str, Level]:
    values = _number_texts(frame[level.variable]) if types[level.variable] == "Num" else frame[level.variable]
    texts, number = _encoded(values)
    tests, test = _encoded(frame[level.by])
    pairs, counts = np.unique(test * len(texts) + number, return_counts=True)  # each pair of test and value once
    found: dict[str, Level] = {}
    for pair, n in zip(pairs, counts, strict=True):
        by, text = tests[pair // len(texts)], texts[pair % len(texts)]
        if text:
            one = found.setdefault(by, Level())
            one.rows += int(n)
            _widen(one, text)
    return dict(sorted(found.items()))


def _encoded(values: pd.Series[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the distinct texts, and for each row the number of its text."""
    array = pa.array(values, pa.large_string(), from_pandas=True).fill_null("")
    coded = (array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array).dictionary_encode()
    return coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64)


def _number_texts(values: pd.Series[float]) -> pd.Series[str]:
    """Return numbers as text with as few digits as they need, empty where missing; each distinct number once."""
    codes, unique = pd.factorize(values.to_numpy())
    texts = np.array([*(np.format_float_positional(u, trim="-") for u in unique), ""], dtype=object)
    return pd.Series(texts[codes], index=values.index, dtype="str")


def _level(values: pd.Series[str]) -> Level:
    made = Level(rows=int((values != "").sum()))
    for text in values.unique():
        if text:
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

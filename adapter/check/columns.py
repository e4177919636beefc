"""Columns of cells as the rule engine sees them: codes into distinct values, so that work is done once per value.

A column is one of two kinds. Coded: `codes` (int32, one per row, -1 for missing) into `values`, an array of the distinct
texts (or of tuples, where an operation yields a list per row). Numbers: `numbers` (float64, NaN for missing). A dataset
of 300,000 records has few distinct texts per variable; a regular expression or a date is then looked at a few hundred
times and its answer handed out by code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Column:
    """One column, never changed after it is made. See the module's text for the two kinds."""

    __slots__ = ("_dates", "_null", "_numeric", "_text", "_whole", "codes", "lists", "numbers", "values")

    def __init__(
        self,
        codes: NDArray[np.int32] | None = None,
        values: NDArray[Any] | None = None,
        numbers: NDArray[np.float64] | None = None,
        lists: bool = False,
    ) -> None:
        self.codes, self.values, self.numbers, self.lists = codes, values, numbers, lists
        self._null: Bools | None = None
        self._text: Column | None = None
        self._numeric: NDArray[np.float64] | None = None
        self._dates: Any = None
        self._whole: bool | None = None

    def __len__(self) -> int:
        return len(self.numbers) if self.numbers is not None else len(self.coded)

    @property
    def is_number(self) -> bool:
        return self.numbers is not None

    @property
    def coded(self) -> NDArray[np.int32]:
        assert self.codes is not None
        return self.codes

    @property
    def distinct(self) -> NDArray[Any]:
        assert self.values is not None
        return self.values

    @property
    def null(self) -> Bools:
        """Rows whose cell is missing: no text, no number; an empty list is missing too."""
        if self._null is None:
            if self.numbers is not None:
                self._null = np.isnan(self.numbers)
            else:
                self._null = self.coded < 0
                if self.lists:
                    self._null |= ~self.per_value(len, False)
        return self._null

    def per_value(self, test: Callable[[Any], Any], missing: bool) -> Bools:
        """Return what `test` says of each row's value; it is asked once per distinct value. Coded columns only."""
        answers = np.empty(len(self.distinct) + 1, dtype=bool)
        answers[:-1] = [bool(test(v)) for v in self.distinct]
        answers[-1] = missing
        return answers[self.coded]  # -1 is the last

    def take(self, rows: Ints | None) -> Column:
        """Return the cells of some rows in their order; row -1 is a missing cell."""
        if rows is None:
            return self
        if self.numbers is not None:
            if not len(self.numbers):
                return Column(numbers=np.full(len(rows), np.nan))
            cells = self.numbers[rows]
            cells[rows < 0] = np.nan
            return Column(numbers=cells)
        if not len(self.coded):
            return Column(np.full(len(rows), -1, dtype=np.int32), self.values, lists=self.lists)
        codes = self.coded[rows]
        codes[rows < 0] = -1
        return Column(codes, self.values, lists=self.lists)

    def as_text(self) -> Column:
        """Return the cells as text: numbers without a trailing .0, lists as a list is shown."""
        if self._text is None:
            if self.numbers is not None:
                codes, values = pd.factorize(self.numbers)
                self._text = Column(codes.astype(np.int32), _number_texts(values))
            elif self.lists:
                shown = np.empty(len(self.distinct), dtype=object)
                shown[:] = [str(list(v)) for v in self.distinct]
                self._text = Column(self.coded, shown)
            else:
                self._text = self
        return self._text

    def as_numbers(self) -> NDArray[np.float64]:
        """Return the cells as numbers; NaN where a text is none."""
        if self.numbers is not None:
            return self.numbers
        if self._numeric is None:
            found = np.full(len(self.distinct) + 1, np.nan)
            if not self.lists:
                found[:-1] = _numbers_of(self.distinct)
            self._numeric = found[self.coded]
        return self._numeric

    @property
    def whole(self) -> bool:
        """Whether it is a column of whole numbers of a size that indexes can have."""
        if self._whole is None:
            known = np.zeros(0) if self.numbers is None else self.numbers[~self.null]
            fits = len(known) > 0 and float(np.abs(known).max()) < 2**31
            self._whole = fits and bool((known == np.floor(known)).all())
        return self._whole

    def cell(self, row: int) -> Any:
        """Return one cell: text, int or float, list, or None for missing."""
        if self.numbers is not None:
            n = float(self.numbers[row])
            return None if np.isnan(n) else int(n) if n.is_integer() and abs(n) < 2**53 else n
        code = int(self.coded[row])
        if code < 0:
            return None
        value = self.distinct[code]
        return list(value) if self.lists else value

    def changed(self, change: Callable[[str], str | None]) -> Column:
        """Return the cells as text, changed value by value; what becomes None or "" is missing."""
        text = self.as_text()
        codes, values = pd.factorize(np.array([change(str(v)) or None for v in text.distinct], dtype=object))
        return Column(np.append(codes, -1).astype(np.int32)[text.coded], np.asarray(values, dtype=object))

    def groups(self) -> Ints:
        """Return a number per row that is the same for the same cell; all missing cells share -1."""
        if self.numbers is None:
            return self.coded.astype(np.int64)
        if self.whole:  # the numbers themselves will do
            ids = np.where(self.null, 0, self.numbers).astype(np.int64)
            ids -= min(0, int(ids.min()))
            ids[self.null] = -1
            return ids
        return pd.factorize(self.numbers)[0].astype(np.int64)


def texts(cells: Iterable[Any]) -> Column:
    """Return a text column; None and "" are missing."""
    array = np.array([None if c is None or c == "" else str(c) for c in cells], dtype=object)
    codes, values = pd.factorize(array)
    return Column(codes.astype(np.int32), np.asarray(values, dtype=object))


def numbers(cells: Iterable[Any]) -> Column:
    """Return a column of numbers; None is missing."""
    return Column(numbers=np.array([np.nan if c is None else float(c) for c in cells], dtype=np.float64))


def cells_of(cells: Sequence[Any]) -> Column:
    """Return a column of mixed cells: numbers if all are numbers, lists if any is one, else texts."""
    present = [c for c in cells if c is not None]
    if present and any(isinstance(c, (list, tuple, set, frozenset)) for c in present):
        seen: dict[tuple[Any, ...], int] = {}
        codes = np.empty(len(cells), dtype=np.int32)
        for i, c in enumerate(cells):
            codes[i] = -1 if c is None else seen.setdefault(tuple(c), len(seen))
        values = np.empty(len(seen), dtype=object)
        values[:] = list(seen)
        return Column(codes, values, lists=True)
    if present and all(isinstance(c, (int, float)) and not isinstance(c, bool) for c in present):
        return numbers(cells)
    return texts(str(c) if isinstance(c, bool) else c for c in cells)


def constant(value: Any, rows: int) -> Column:
    """Return a column with the same cell in every row, which takes no memory per row."""
    if isinstance(value, (list, tuple, set, frozenset)):
        values = np.empty(1, dtype=object)
        values[0] = tuple(value)
        return Column(np.broadcast_to(np.int32(0), rows), values, lists=True)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Column(numbers=np.broadcast_to(np.float64(value), rows))
    if value is None or value == "":
        return Column(np.broadcast_to(np.int32(-1), rows), np.array([], dtype=object))
    return Column(np.broadcast_to(np.int32(0), rows), np.array([str(value)], dtype=object))


def stack(parts: Sequence[Column]) -> Column:
    """Return columns one below the other; numbers and texts together become text."""
    if len(parts) == 1:
        return parts[0]
    if all(p.is_number for p in parts):
        return Column(numbers=np.concatenate([p.as_numbers() for p in parts]))
    lists = all(p.lists for p in parts)
    plain = list(parts) if lists else [p.as_text() for p in parts]
    index: dict[Any, int] = {}
    codes = []
    for p in plain:
        new = np.array([index.setdefault(v, len(index)) for v in p.distinct] + [-1], dtype=np.int32)
        codes.append(new[p.coded])
    values = np.empty(len(index), dtype=object)
    values[:] = list(index)
    return Column(np.concatenate(codes), values, lists=lists)


def _number_texts(values: Any) -> NDArray[Any]:
    """Return distinct numbers as texts."""
    texts = np.empty(len(values), dtype=object)
    small = np.abs(values) < 1e15
    whole = small & (np.where(small, values, 0.5) == np.floor(np.where(small, values, 0.5)))
    texts[whole] = values[whole].astype(np.int64).astype(str).astype(object)
    for i in np.flatnonzero(~whole):
        texts[i] = number_text(values[i])
    return texts


def _numbers_of(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return distinct texts as numbers, NaN where one is none."""
    try:
        found: NDArray[np.float64] = values.astype(np.float64)
        if np.isfinite(found).all() and not any("_" in v for v in values):
            return found
    except (ValueError, TypeError):
        pass
    return np.array([number_of(v) for v in values], dtype=np.float64)


def number_text(value: float) -> str:
    """Return a number as CDISC writes one: 5 for 5.0, else its shortest form."""
    n = float(value)
    if n.is_integer() and abs(n) < 1e16:
        return str(int(n))
    # transport files of other programs lose the last bits: 8.549999999999999 was written for 8.55
    return repr(float(f"{n:.14g}"))


def number_of(text: Any) -> float:
    """Return the number that a text is, NaN if it is none. Words such as nan and inf are no numbers."""
    try:
        n = float(text)
    except (ValueError, TypeError):
        return float("nan")
    return n if np.isfinite(n) and "_" not in str(text) else float("nan")


def close(a: Any, b: Any) -> Bools:
    """Return where two numbers are the same but for the last bits, which transport files lose."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.abs(a - b) <= 1e-13 * np.maximum(np.abs(a), np.abs(b)))


def same_as(target: Column, other: Column, fold: Callable[[Any], Any] | None = None) -> Bools:
    """Return the rows where two columns of one frame hold the same cell, neither of them missing.

    Numbers are compared as numbers, also with a text that is one; `fold` is applied to every distinct text first.
    """
    present = ~target.null & ~other.null
    if fold is None and (target.is_number or other.is_number) and not (target.lists or other.lists):
        return present & close(target.as_numbers(), other.as_numbers())
    a, b = (c if c.lists else c.as_text() for c in (target, other))
    left, right = shared_codes(a, b, fold)
    return np.asarray(present & (left == right), dtype=bool)


def shared_codes(a: Column, b: Column, fold: Callable[[Any], Any] | None = None) -> tuple[Ints, Ints]:
    """Return codes of two coded columns into one common set of values; missing stays -1."""
    if a.values is b.values and fold is None:
        return a.coded.astype(np.int64), b.coded.astype(np.int64)
    index: dict[Any, int] = {}
    made = []
    for c in (a, b):
        folded = c.distinct if fold is None else [fold(v) for v in c.distinct]
        new = np.array([index.setdefault(v, len(index)) for v in folded] + [-1], dtype=np.int64)
        made.append(new[c.coded])
    return made[0], made[1]


def grouped(columns: Sequence[Column], rows: int) -> Ints:
    """Return a number per row, 0…, that is the same where all columns hold the same cells; missing equals missing."""
    ids, size = np.zeros(rows, dtype=np.int64), 1
    for c in columns:
        g = c.groups() + 1
        width = int(g.max(initial=0)) + 1
        if size * width > 2**62:
            ids = pd.factorize(ids)[0].astype(np.int64)
            size = int(ids.max(initial=0)) + 1
        ids = ids * width + g
        size *= width
    return pd.factorize(ids)[0].astype(np.int64)

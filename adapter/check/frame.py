"""A frame: the rows a rule is evaluated on, with columns fetched when asked for and the record each row stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from adapter.check.columns import Bools, Column, Ints, constant

Fetch = Callable[[], Column]


class Frame:
    """Rows of one dataset, or rows made for a rule type.

    `records` is the record number (from 1) of each row in its dataset, `sources` the name of that dataset. Columns are
    given as columns, or as functions that make one when a rule asks for it, so that a join costs what is looked at.
    """

    def __init__(self, rows: int, columns: Mapping[str, Column | Fetch], records: Ints, sources: Column) -> None:
        self.rows, self.records, self.sources = rows, records, sources
        self._columns: dict[str, Column | Fetch] = dict(columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> Column:
        found = self._columns[name]
        if not isinstance(found, Column):
            found = self._columns[name] = found()
        return found

    def get(self, name: object) -> Column | None:
        """Return a column, None if there is none of that name."""
        return self[name] if isinstance(name, str) and name in self._columns else None

    @property
    def names(self) -> list[str]:
        return list(self._columns)

    def with_columns(self, more: Mapping[str, Column | Fetch]) -> Frame:
        """Return a frame of the same rows with further columns; a name that is there already is replaced."""
        return Frame(self.rows, {**self._columns, **more}, self.records, self.sources)

    def take(self, rows: Ints) -> Frame:
        """Return some rows, in that order, each as often as it is named."""
        picked = {name: self._later(name, rows) for name in self._columns}
        return Frame(len(rows), picked, self.records[rows], self.sources.take(rows))

    def where(self, mask: Bools) -> Frame:
        """Return the rows that a mask marks."""
        return self.take(np.flatnonzero(mask))

    def _later(self, name: str, rows: Ints) -> Fetch:
        return lambda: self[name].take(rows)


def made(name: str, columns: Mapping[str, Column], rows: int) -> Frame:
    """Return a frame of rows that are no records of data but facts about a dataset, numbered from 1."""
    return Frame(rows, columns, np.arange(1, rows + 1, dtype=np.int64), constant(name, rows))


def named(frame: Frame, names: Iterable[Any]) -> list[Column]:
    """Return those of the named columns that there are."""
    return [frame[n] for n in names if n in frame]

"""One dataset of a package: what its file says of itself, and its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from adapter.check.columns import Column, constant, stack
from adapter.check.frame import Fetch, Frame

SUPPLEMENTAL = ("SUPP", "SQ")
"""How the names of Supplemental Qualifier datasets begin (SDTMIG 3.4 §8.4; SQ where the name would be too long)."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What a dataset file says of one variable. `length` is None where the format has none."""

    name: str
    label: str = ""
    type: Literal["Char", "Num"] = "Char"
    length: int | None = None
    format: str = ""


@dataclass(frozen=True)
class Dataset:
    """A dataset that was read. `name` is upper case; `records` its number of rows; `path` the file it came from."""

    name: str
    label: str
    path: Path
    size: int
    modified: str
    variables: tuple[Variable, ...]
    columns: Mapping[str, Column]
    records: int
    format: str = ""
    kept: dict[str, Frame] = field(default_factory=dict, repr=False, compare=False)

    def first(self, variable: str) -> str | None:
        """Return the cell of the first record as text; None where there is no such variable or record."""
        column = self.columns.get(variable)
        if column is None or not self.records:
            return None
        cell = column.as_text().cell(0)
        return str(cell) if cell is not None else ""

    @cached_property
    def domain(self) -> str:
        """DOMAIN of the first record, "" where there is none."""
        return self.first("DOMAIN") or ""

    @cached_property
    def supplemental(self) -> bool:
        return self.name.startswith(SUPPLEMENTAL)

    @cached_property
    def parent(self) -> str:
        """RDOMAIN of the first record of a Supplemental Qualifier dataset, else ""."""
        return (self.first("RDOMAIN") or "") if self.supplemental else ""

    @cached_property
    def associated(self) -> bool:
        """Whether it is about associated persons: it has APID, or qualifies a dataset that has (SDTMIG-AP)."""
        if self.supplemental:
            return len(self.parent) == 4 and self.parent.startswith("AP")
        return "APID" in self.columns

    @cached_property
    def suffix(self) -> str:
        """The domain that an associated-persons domain follows: FA of APFA."""
        return self.domain[2:] if self.associated and not self.supplemental and len(self.domain) >= 4 else ""

    @cached_property
    def prefix(self) -> str:
        """What `--` stands for in names of variables."""
        return self.suffix or self.domain

    @cached_property
    def whole(self) -> str:
        """The name of the dataset that this is a part of, where it is split: QS of QSPH."""
        if self.domain:
            return self.domain
        for start in SUPPLEMENTAL:
            if self.name.startswith(start) and self.parent:
                return start + self.parent
        return self.name

    @cached_property
    def split(self) -> bool:
        return self.name != self.whole

    def expand(self, name: str) -> str:
        """Return a name with `--` replaced by this dataset's prefix."""
        return name.replace("--", self.prefix)

    @cached_property
    def frame(self) -> Frame:
        """Its records."""
        records = np.arange(1, self.records + 1, dtype=np.int64)
        return Frame(self.records, self.columns, records, constant(self.name, self.records))


def joined(parts: Sequence[Dataset]) -> Frame:
    """Return the records of the parts of a split dataset, one below the other; columns that a part lacks are missing."""
    if len(parts) == 1:
        return parts[0].frame
    names = dict.fromkeys(n for p in parts for n in p.columns)

    def later(name: str) -> Fetch:
        return lambda: stack([p.columns[name] if name in p.columns else _blank(p, name, parts) for p in parts])

    rows = sum(p.records for p in parts)
    records = np.concatenate([np.arange(1, p.records + 1, dtype=np.int64) for p in parts])
    sources = stack([constant(p.name, p.records) for p in parts])
    return Frame(rows, {n: later(n) for n in names}, records, sources)


def _blank(part: Dataset, name: str, parts: Sequence[Dataset]) -> Column:
    numeric = all(p.columns[name].is_number for p in parts if name in p.columns)
    return constant(None, part.records) if not numeric else Column(numbers=np.full(part.records, np.nan))

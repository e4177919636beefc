"""A package to check: the datasets of a folder, its define.xml, and what was wrong while they were read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from adapter.check.dataset import Dataset, joined
from adapter.check.frame import Frame


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a file as such. `code` is what rules ask for; `dataset` is "" for a file that is none."""

    code: str
    file: str
    dataset: str
    detail: str
    variable: str = ""


@dataclass(frozen=True)
class Package:
    """What a run checks. `define` is the read define.xml (adapter.check.define.Definition) or None."""

    folder: Path
    datasets: tuple[Dataset, ...]
    problems: tuple[Problem, ...] = ()
    define: Any = None
    settings: dict[str, str] = field(default_factory=dict)
    joins: dict[str, Frame] = field(default_factory=dict, repr=False, compare=False)

    def parts_of(self, whole: str) -> list[Dataset]:
        """Return the datasets that together are one domain (more than one where it is split)."""
        return [d for d in self.datasets if d.whole == whole]

    def frame_of(self, whole: str) -> Frame:
        """Return all records of a domain."""
        if whole not in self.joins:
            self.joins[whole] = joined(self.parts_of(whole))
        return self.joins[whole]

    def find(self, name: str) -> str | None:
        """Return the whole-name of the dataset a rule calls `name`: a domain, a dataset or a split one; None if absent.

        A name like `SUPP--` finds the first that begins so.
        """
        for d in self.datasets:
            if name in (d.domain, d.whole, d.name):
                return d.whole
        if name.endswith("--"):
            return next((d.whole for d in self.datasets if d.whole.startswith(name[:-2])), None)
        return None

    @cached_property
    def domains(self) -> list[str]:
        """DOMAIN of each dataset, each once, in the order of the files."""
        return list(dict.fromkeys(d.domain for d in self.datasets))

    @cached_property
    def names(self) -> list[str]:
        return list(dict.fromkeys(d.name for d in self.datasets))


def ordered(datasets: Iterable[Dataset]) -> Sequence[Dataset]:
    """Return datasets by name."""
    return sorted(datasets, key=lambda d: d.name)

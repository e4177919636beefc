"""Operations of rules: named results ($id) that leaves refer to, from other records, metadata or the standard's tables.

An operation is a function that returns a Column for the frame's rows, or a plain value that is the same in every row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapter.check.columns import Column, constant
from adapter.check.dataset import SUPPLEMENTAL, Dataset
from adapter.check.frame import Frame
from adapter.check.rule_model import Operation, Rule
from adapter.check.world import Skip, World

OPERATIONS: dict[str, Callable[[Task], Any]] = {}


@dataclass(frozen=True)
class Task:
    """One operation to run: on the frame of a rule for a dataset."""

    operation: Operation
    frame: Frame
    dataset: Dataset
    world: World

    def option(self, name: str, default: Any = None) -> Any:
        return self.operation.options.get(name, default)

    @property
    def domain(self) -> str:
        """The domain the operation looks at: its own setting, else that of the dataset."""
        named = self.operation.domain
        if not named:
            return self.dataset.whole
        if named.startswith(("SUPP", "SQ")) and named.endswith("--") and self.dataset.parent:
            return named.replace("--", self.dataset.parent)
        return named

    @property
    def name(self) -> str:
        """The variable the operation looks at, `--` replaced by its domain's prefix."""
        return self.expand(self.operation.name)

    def expand(self, name: str) -> str:
        prefix = self.operation.domain if self.operation.domain else self.dataset.prefix
        return name.replace("--", prefix, 1) if name.startswith("--") else name

    @property
    def source(self) -> Frame:
        """The records to look at: those of the frame for the dataset's own domain, else those of the other dataset.

        Raises Skip where there is no such dataset.
        """
        wanted = self.domain
        # a dataset of relations has no DOMAIN of its own: one that a match brought is its parent's
        own = not wanted.startswith(SUPPLEMENTAL) and wanted not in ("RELREC", "RELSUB", "CO")
        if own and "DOMAIN" in self.frame and self.frame.rows and self.frame["DOMAIN"].as_text().cell(0) == wanted:
            return self.frame
        whole = self.world.package.find(wanted)
        if whole is None:
            raise Skip(f"there is no dataset {wanted}")
        return self.world.package.frame_of(whole)

    def column(self, frame: Frame, name: str) -> Column:
        """Return a column of a source. Raises Skip where it is none."""
        found = frame.get(name)
        if found is None:
            raise Skip(f"{self.domain} has no variable {name}")
        return found

    @property
    def group(self) -> list[str]:
        """The grouping variables; a `$result` that lists variables stands for those."""
        flat: list[str] = []
        given = self.option("group") or []
        for item in given if isinstance(given, list) else [given]:
            name = self.expand(str(item))
            column = self.frame.get(name)
            flat += list(column.cell(0) or []) if column is not None and column.lists and len(column) else [name]
        return list(dict.fromkeys(flat))

    def filtered(self, frame: Frame) -> Frame:
        """Return the records that the operation's filter names; a value ending in & means what begins so."""
        mask = np.ones(frame.rows, dtype=bool)
        for variable, value in (self.option("filter") or {}).items():
            column = self.column(frame, self.expand(str(variable)))
            mask &= _accepts(column, value)
        return frame if mask.all() else frame.where(mask)


def _accepts(column: Column, value: Any) -> Any:
    if isinstance(value, str) and value.endswith("&"):
        return column.as_text().per_value(lambda v: v.startswith(value[:-1]), False)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return column.as_numbers() == float(value)
    allowed = {str(v) for v in value} if isinstance(value, list) else {str(value)}
    return column.as_text().per_value(lambda v: v in allowed, False)


def operation(*names: str) -> Callable[[Callable[[Task], Any]], Callable[[Task], Any]]:
    """Register a function as the operation of these names."""

    def register(function: Callable[[Task], Any]) -> Callable[[Task], Any]:
        for name in names:
            OPERATIONS[name] = function
        return function

    return register


def with_results(rule: Rule, frame: Frame, d: Dataset, world: World) -> Frame:
    """Return the frame with a column per operation of the rule. Raises Skip where one has nothing to look at."""
    for op in rule.operations:
        made = OPERATIONS[op.operator](Task(op, frame, d, world))
        columns = (
            made if isinstance(made, dict) and made and all(isinstance(v, Column) for v in made.values()) else None
        )
        if columns is None:
            columns = {op.id: made if isinstance(made, Column) else constant(made, frame.rows)}
        frame = frame.with_columns(columns)
    return frame


def spread(task: Task, keys: Sequence[Column], values: Column, missing: Any = None) -> Column:
    """Return per row of the frame the value of its group; `keys` are the groups' own columns, one row per group.

    `missing` (a number) is what a row without a group gets, None for a missing cell.
    """
    from adapter.check.keys import first_of

    names = task.group
    aliases = [str(a) for a in task.option("group_aliases") or []]
    own = [task.expand(aliases[i] if i < len(aliases) else n) for i, n in enumerate(names)]
    held = [task.frame.get(n) for n in own]
    if any(c is None for c in held):
        raise Skip(f"the dataset has no variable {own[[c is None for c in held].index(True)]} to group by")
    rows, groups = first_of([c for c in held if c is not None], keys, missing_match=True)
    at = np.full(task.frame.rows, -1, dtype=np.int64)
    at[rows] = groups
    found = values.take(at)
    if missing is not None and found.is_number:
        cells = found.as_numbers().copy()
        cells[at < 0] = float(missing)
        return Column(numbers=cells)
    return found

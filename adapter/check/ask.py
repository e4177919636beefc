"""One leaf asked of one frame: the target column, what it is compared with, and the answers an operator gives.

An operator is a function of an `Ask` that returns a boolean per row. Operators register themselves by name; of most
there is a complement, which is true where the operator is false (missing targets included).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from adapter.check.columns import Bools, Column
from adapter.check.frame import Frame
from adapter.check.rule_model import Leaf

Operator = Callable[["Ask"], Bools]
OPERATORS: dict[str, Operator] = {}
OPTIONS = frozenset(
    "value_is_literal value_is_reference type_insensitive round_values prefix suffix within ordering order regex "
    "negative date_component separator".split()
)


class Absent(Exception):
    """A column that the leaf needs is not in the frame: the leaf is false."""


class Unfit(ValueError):
    """An operator cannot be used as the rule uses it; the message says why."""


@dataclass(frozen=True)
class Ask:
    """A leaf, a frame, and how names of the rule are to be read.

    `expand` replaces `--`; `is_variable` tells whether a name that is no column is nevertheless meant as one (a variable
    of the domain that the dataset lacks), so that it is not taken for a text to compare with.
    """

    leaf: Leaf
    frame: Frame
    expand: Callable[[str], str] = str
    is_variable: Callable[[str], bool] = field(default=lambda name: False)
    prefix: str = ""

    @property
    def target(self) -> Column:
        return self.column(self.leaf.name)

    def column(self, name: Any) -> Column:
        """Return a named column. Raises Absent."""
        found = self.frame.get(self.expand(name)) if isinstance(name, str) else None
        if found is None:
            raise Absent(name)
        return found

    def option(self, name: str, default: Any = None) -> Any:
        return self.leaf.options.get(name, default)

    def other(self) -> Any:
        """Return what the target is compared with: a Column, or a literal (text, number, bool, list).

        Raises Absent for a name that is meant as a column and is none.
        """
        value = self.leaf.value
        if not isinstance(value, str) or self.option("value_is_literal"):
            return value
        name = self.expand(value)
        if (found := self.frame.get(name)) is not None:
            return found
        target = self.frame.get(self.expand(self.leaf.name))
        of_names = target is not None and target.lists  # a list of names is compared with names
        if "--" in value or value.startswith("$") or (not of_names and self.is_variable(name)):
            raise Absent(name)
        return value

    def names(self, given: Any) -> list[str]:
        """Return the names in a value: one, a list, or a `$result` that holds a list of them; each once."""
        flat: list[str] = []
        for item in given if isinstance(given, (list, tuple)) else [given]:
            name = self.expand(str(item))
            column = self.frame.get(name)
            if column is not None and column.lists:
                flat += [str(n) for n in (column.cell(0) or [])] if len(column) else []
            elif item is not None:
                flat.append(name)
        return list(dict.fromkeys(flat))

    def present(self, given: Any) -> list[Column]:
        """Return the columns that there are of the names in a value."""
        return [self.frame[n] for n in self.names(given) if n in self.frame]

    def everywhere(self, answer: bool) -> Bools:
        return np.full(self.frame.rows, answer, dtype=bool)


def operator(*names: str, complement: str | Iterable[str] = ()) -> Callable[[Operator], Operator]:
    """Register an operator under its names, and its complement under its own."""

    def register(function: Operator) -> Operator:
        for name in names:
            OPERATORS[name] = function
        for name in [complement] if isinstance(complement, str) else complement:
            OPERATORS[name] = lambda ask: ~function(ask)
        return function

    return register


def pairwise(a: Column, b: Column, test: Callable[[Any, Any], bool]) -> Bools:
    """Return what `test` says of two columns' values row by row; each distinct pair is looked at once.

    Where one of them is missing the answer is no.
    """
    x, y = (c if c.lists else c.as_text() for c in (a, b))
    pairs = x.coded.astype(np.int64) * (len(y.distinct) + 1) + y.coded
    pairs[(x.coded < 0) | (y.coded < 0)] = -1
    ids, firsts = pd.factorize(pairs, use_na_sentinel=False)
    width = len(y.distinct) + 1
    answers = np.array([p >= 0 and bool(test(x.distinct[p // width], y.distinct[p % width])) for p in firsts], bool)
    return answers[ids] if len(ids) else np.zeros(0, dtype=bool)


def mapping_of(value: Any) -> Mapping[str, Any]:
    """Return a value that must be a mapping. Raises Unfit."""
    if not isinstance(value, Mapping):
        raise Unfit(f"expected a mapping, found {type(value).__name__}")
    return value

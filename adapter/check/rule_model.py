"""What a rule of the CDISC Open Rules format is, once read: scope, datasets, operations, the check tree, the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Sensitivity = Literal["Record", "Dataset", "Group", "Study"]
Severity = Literal["reject", "error", "warning", "notice"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison: a target column, an operator, what it is compared with and further settings of the operator."""

    name: str
    operator: str
    value: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Branch:
    """all / any / not of further checks; `not` has exactly one."""

    kind: Literal["all", "any", "not"]
    checks: tuple[Check, ...]


Check = Leaf | Branch


@dataclass(frozen=True, slots=True)
class Scope:
    """Which datasets a rule is about; empty means all. `split`: include_split_datasets of the rule, None if not said."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    split: bool | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """One of Match Datasets. A key is a name, or a pair of names (left, right)."""

    name: str
    keys: tuple[tuple[str, str], ...] = ()
    child: bool = False
    wildcard: str = "**"
    how: Literal["inner", "left"] = "inner"


@dataclass(frozen=True, slots=True)
class Operation:
    """A named result that leaves refer to as `$id`; `options` are the keys of the YAML but id, operator, name, domain."""

    id: str
    operator: str
    name: str = ""
    domain: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that can be run. `authorities` is organisation, standard, version and rule id per authority."""

    id: str
    rule_type: str
    sensitivity: Sensitivity
    check: Check
    message: str
    outputs: tuple[str, ...]
    classes: Scope
    domains: Scope
    structures: Scope = Scope()
    operations: tuple[Operation, ...] = ()
    matches: tuple[Match, ...] = ()
    grouping: tuple[str, ...] = ()
    description: str = ""
    executability: str = ""
    severity: Severity = "error"
    authorities: tuple[tuple[str, str, str, str], ...] = ()
    standards: tuple[tuple[str, str], ...] = ()
    file: str = ""
    version: str = "1"

    def leaves(self) -> Iterator[Leaf]:
        """Every leaf of the check, in the order of the file."""
        stack: list[Check] = [self.check]
        while stack:
            node = stack.pop(0)
            if isinstance(node, Leaf):
                yield node
            else:
                stack[:0] = node.checks


@dataclass(frozen=True, slots=True)
class Unusable:
    """A rule file that cannot be run, and why: its id is the file's folder where the file does not tell."""

    id: str
    file: str
    reason: str
    broken: bool = False
    """Whether the file itself is wrong (an error), not just beyond what this engine knows."""

"""What a domain is given (Inputs) and what it gives back (Records)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

ELSEWHERE = "_elsewhere"
"""Column of the parts: the variables of a record whose values came from another resource than its own."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The usable rows of one resource type of some subjects.

    frame: columns of adapter.intake.tables (without the keyed ones) and USUBJID, numbered 0 … n-1.
    keyed: rid, sha, specimen … of the same rows.
    """

    resource_type: str
    frame: pd.DataFrame
    keyed: pa.Table


@dataclass(slots=True)
class Inputs:
    """Everything that the records of a domain may come from.

    facts: resource type -> Facts. subjects: one row per subject (enrolment log), indexed by USUBJID.
    knowledge: code tables, units, terminology. cut: the data cut, a site day. built: datasets that this build makes.
    records: datasets made before, by the `needs` of the declaration. sequences: for a dataset that comes `last`, --SEQ of
    the records of all others: dataset -> (index label of its records -> --SEQ). made: for an analysis dataset, the
    finished datasets: dataset -> its variables, of these subjects. shared: what analysis datasets hand on to each other.
    """

    facts: Mapping[str, Facts]
    subjects: pd.DataFrame
    trial: Any
    knowledge: Any
    cut: int
    built: frozenset[str] = frozenset()
    records: dict[str, Records] = field(default_factory=dict)
    sequences: dict[str, pd.Series[Any]] = field(default_factory=dict)
    made: dict[str, pd.DataFrame] = field(default_factory=dict)
    shared: dict[Any, Any] = field(default_factory=dict)

    def frame(self, resource_type: str) -> pd.DataFrame:
        """Return a copy of the rows of one resource type, with `resource` and `row` for the trace."""
        facts = self.facts[resource_type]
        frame = facts.frame.copy(deep=False)
        frame["resource"] = pd.Series(resource_type, index=frame.index, dtype="str")
        frame["row"] = frame.index.to_numpy()
        return frame


@dataclass(slots=True)
class Records:
    """The records of one dataset before its variables are computed.

    frame: one row per record, with USUBJID, `resource` and `row` (position in Inputs.facts[resource], -1 = none).
    parents: further sources of a record: columns record (index label of frame), variable, resource, row; perhaps
    `original`, the source's text where the value is its translation, and `instead`, whether the value came from there
    and not from the record's own resource.
    related: records of other domains that a record belongs with: columns record, resource, row; those records are the
    ones that come from that row of that resource type (RELREC), of `dataset` only where one is named.
    dropped: resource type -> Series (row -> reason code) of rows looked at and not used.
    issues: columns record (index label or -1), USUBJID, code, message, and of one without a record perhaps resource and
    row: used, but a human should look.
    unmapped: columns kind, code, text, used (bool): codes no map knows.
    used: of an analysis dataset, the SDTM or ADaM records that a value was made from: columns record, variable (empty:
    of the record as a whole), dataset, source (variable), seq (--SEQ or ASEQ, NaN where the dataset has none).
    """

    frame: pd.DataFrame
    parents: pd.DataFrame | None = None
    dropped: dict[str, pd.Series[str]] = field(default_factory=dict)
    issues: pd.DataFrame | None = None
    unmapped: pd.DataFrame | None = None
    related: pd.DataFrame | None = None
    used: pd.DataFrame | None = None


def parents_of(record: Any, variable: str, resource: str, row: Any, instead: bool = False) -> pd.DataFrame:
    """Return rows for Records.parents; `record` and `row` are vectors of one length."""
    frame = pd.DataFrame({"record": record, "row": row})
    frame["variable"], frame["resource"], frame["instead"] = variable, resource, instead
    return frame


def related_to(record: Any, resource: str, row: Any, dataset: str = "") -> pd.DataFrame:
    """Return rows for Records.related; `record` and `row` are vectors of one length."""
    frame = pd.DataFrame({"record": record, "row": row})
    frame["resource"], frame["dataset"] = resource, dataset
    return frame


def used_of(record: Any, variable: Any, dataset: Any, source: Any, seq: Any = float("nan")) -> pd.DataFrame:
    """Return rows for Records.used; `record` is a vector, the others vectors of its length or one value."""
    frame = pd.DataFrame({"record": record})
    frame["variable"], frame["dataset"], frame["source"], frame["seq"] = variable, dataset, source, seq
    return frame


def issues_of(record: Any, usubjid: Any, code: str, message: Any, resource: str = "", row: Any = -1) -> pd.DataFrame:
    """Return rows for Records.issues with one code; one message, or one each.

    resource, row: what an issue without a record (-1) is about.
    """
    frame = pd.DataFrame({"record": record, "USUBJID": usubjid})
    frame["code"], frame["message"], frame["resource"], frame["row"] = code, message, resource, row
    return frame


def joined(parts: list[pd.DataFrame]) -> pd.DataFrame | None:
    kept = [p for p in parts if len(p)]
    return pd.concat(kept, ignore_index=True) if kept else None

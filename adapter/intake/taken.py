"""What one range of lines gives: tables, rejects, counts and links. A reject never holds content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa


class RejectLine(NamedTuple):
    """One line of rejects.ndjson: never content. `rid` only where the resource belongs to a subject."""

    file: int
    line: int
    offset: int | None
    reason: str
    where: str
    resource_type: str
    rid: bytes | None


@dataclass(slots=True)
class Links:
    """Who is whose, one entry per resource kept: keyed id, `Type/id`, keyed patient id. Columns, as they are written."""

    rids: list[bytes] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    patients: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rids)

    def __iter__(self) -> Iterator[tuple[bytes, str, bytes]]:
        return zip(self.rids, self.names, self.patients, strict=True)


@dataclass(slots=True)
class Taken:
    """What one range of lines gave. `tables` are sorted by bucket; `groups` has the rows of each bucket, in order."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    groups: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    rejects: list[RejectLine] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    links: Links = field(default_factory=Links)

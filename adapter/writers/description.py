"""What a dataset file says of itself: names, labels, types and OIDs of one dataset, taken from its define.xml.

One picture serves all formats, so that what a file carries cannot differ from what define.xml says of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from adapter.writers.define_model import DataType, Define, ItemGroup, Leaf

MOST_EXACT_DIGITS = 15
"""Integers of so many digits are the same as float64, as int64 and in every reader."""


@dataclass(frozen=True, slots=True)
class Column:
    """One variable: its ItemDef and ItemRef. `length` is None for dates, as in define.xml."""

    oid: str
    name: str
    label: str
    data_type: DataType
    length: int | None = None
    display_format: str | None = None
    key_sequence: int | None = None

    @property
    def numeric(self) -> bool:
        """Whether it is Num, not Char."""
        return self.data_type in ("integer", "float")

    @property
    def whole(self) -> bool:
        """Whether its numbers are integers that fit any integer type."""
        return self.data_type == "integer" and (self.length or 0) <= MOST_EXACT_DIGITS


@dataclass(frozen=True, slots=True)
class Description:
    """One dataset of a define.xml; `created` is the time embedded in all outputs, `records` the number of its rows."""

    oid: str
    name: str
    label: str
    columns: tuple[Column, ...]
    records: int
    created: datetime
    file_oid: str
    study_oid: str
    version_oid: str
    originator: str | None = None
    system: str | None = None
    system_version: str | None = None


def describe(define: Define, group: ItemGroup, records: int) -> Description:
    """Return the description of one dataset of a define.xml.

    The file OID names study, dataset and embedded time: the same for the same delivery, another for the next.
    """
    items = {i.oid: i for i in define.items}
    columns = []
    for ref in group.items:
        item = items[ref.item_oid]
        columns.append(
            Column(
                item.oid, item.name, item.label or "", item.data_type, item.length, item.display_format,
                ref.key_sequence,
            )
        )  # fmt: skip
    return Description(
        oid=group.oid,
        name=group.name,
        label=group.label,
        columns=tuple(columns),
        records=records,
        created=define.created,
        file_oid=f"{define.file_oid.removesuffix('.define')}.{define.created.isoformat(timespec='seconds')}.{group.name}",
        study_oid=define.study_oid,
        version_oid=define.mdv_oid,
        originator=define.originator,
        system=define.source_system,
        system_version=define.source_system_version,
    )


def pointing_to(define: Define, suffix: str) -> Define:
    """Return the document with every dataset's file (def:leaf, of which there is one) ending in `suffix`."""
    return replace(define, item_groups=tuple(_with_file(g, suffix) for g in define.item_groups))


def _with_file(group: ItemGroup, suffix: str) -> ItemGroup:
    if group.leaf is None:
        return group
    file = f"{group.name.lower()}{suffix}"
    return replace(group, leaf=Leaf(group.leaf.oid, file, file))

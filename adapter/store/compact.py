"""Compaction: after many intake runs, the segments of a resource type become one per bucket range again.

Rows of inputs that were read again since (their number is retired) are left out. Rows keep their file numbers and
lines, and readers order by content, so a build after a compaction has the same bytes as one before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from adapter.store.segments import Segment, read_buckets, write_segment

MOST_SEGMENTS = 30
"""Segments that one bucket may be spread over before its resource type is compacted."""


@dataclass(frozen=True, slots=True)
class CompactTask:
    """Merges some buckets of all segments of one resource type. `live`: input numbers whose rows stay."""

    label: str
    segments: tuple[Segment, ...]
    buckets: tuple[int, ...]
    live: frozenset[int]
    folder: str
    name: str


def overfull(segments: Iterable[Segment], most: int = MOST_SEGMENTS) -> dict[str, tuple[Segment, ...]]:
    """Return the segments of every resource type that has a bucket in more than `most` of them."""
    by_type: dict[str, list[Segment]] = {}
    for s in segments:
        by_type.setdefault(s.resource_type, []).append(s)
    spread = {kind: Counter(b for s in group for b in s.buckets) for kind, group in by_type.items()}
    return {kind: tuple(by_type[kind]) for kind, n in sorted(spread.items()) if max(n.values(), default=0) > most}


def compact_tasks(
    segments: Sequence[Segment], live: Iterable[int], folder: Path, commit: int, width: int, most: int = MOST_SEGMENTS
) -> list[CompactTask]:
    """Return the tasks that compact what is overfull, `width` neighbouring buckets in each."""
    tasks, kept = [], frozenset(live)
    for kind, group in overfull(segments, most).items():
        held = {b for s in group for b in s.buckets}
        for start in range(0, max(held) + 1, width):
            buckets = tuple(b for b in range(start, start + width) if b in held)
            if buckets:
                name = f"{commit:06d}-{kind}-{start:03d}"
                tasks.append(CompactTask(kind, group, buckets, kept, str(folder), name))
    return tasks


def compact_task(task: CompactTask) -> Segment | None:
    """Write the merged segment under a name of its own, one bucket in memory at a time; None where no row is left."""
    folder = Path(task.folder)
    live = pa.array(sorted(task.live), pa.int32())

    def tables() -> Iterator[tuple[int, pa.Table]]:
        for b in task.buckets:
            table = read_buckets(folder, task.segments, {b}, None)
            if table is not None:
                yield b, table.filter(pc.is_in(table.column("file"), live)).combine_chunks()

    return write_segment(task.label, tables(), folder / f"{task.name}-{uuid4().hex[:12]}.parquet")

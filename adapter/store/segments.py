"""Segments: one Parquet file per resource type, bucket range and intake run, with one row group per bucket.

While an intake run is under way, each task leaves its rows in a spill (Arrow IPC, one record batch per bucket). Sealing
merges the spills of all tasks bucket by bucket into the segment, so that a reader of one bucket reads one row group,
however many input files there were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adapter.errors import StoreError
from adapter.files import naming, whole_file
from adapter.intake.tables import schema_of
from adapter.sources.files import sha256_of

UNLIKE = ("pat", "rid", "sha", "line", "updated", "micros")
MOST_OPEN = 256
"""Spills open at a time; a process may usually have 1024 files."""


@dataclass(frozen=True, slots=True)
class Spill:
    """What one intake task left of one resource type: file and (bucket, rows) of its record batches, in order."""

    resource_type: str
    path: str
    groups: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed segment. `buckets` are the buckets of its row groups, in order, `sizes` their rows."""

    resource_type: str
    name: str
    sha256: str
    rows: int
    buckets: tuple[int, ...]
    sizes: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Segment:
        return cls(**{**value, "buckets": tuple(value["buckets"]), "sizes": tuple(value["sizes"])})


def write_spill(path: Path, resource_type: str, table: pa.Table, groups: Sequence[tuple[int, int]]) -> Spill:
    with naming(path), pa.OSFile(str(path), "wb") as f, pa.ipc.new_file(f, table.schema) as writer:
        start = 0
        for _, rows in groups:
            writer.write_table(table.slice(start, rows).combine_chunks())
            start += rows
    return Spill(resource_type, str(path), tuple(groups))


def seal(spills: Iterable[Spill], buckets: Iterable[int], path: Path) -> Segment | None:
    """Merge the given buckets of all spills into the segment at `path`; None where they hold no row.

    Rows keep the order of the spills inside a bucket; readers order by content, never by position.
    """
    held = tuple(spills)
    if not held:
        return None
    kind = held[0].resource_type
    with ExitStack() as stack:
        # many small ranges make more spills than a process may have open: then each is opened when it is read
        ready = [_open(s, stack) for s in held] if len(held) <= MOST_OPEN else None
        where = {(b, i): n for i, s in enumerate(held) for n, (b, _) in enumerate(s.groups)}

        def tables() -> Iterator[tuple[int, pa.Table]]:
            for b in buckets:
                batches = []
                for i, s in enumerate(held):
                    if (b, i) in where:
                        with ExitStack() as short:
                            reader = ready[i] if ready is not None else _open(s, short)
                            batches.append(reader.get_batch(where[b, i]))
                if batches:
                    yield b, pa.Table.from_batches(batches, schema_of(kind))

        return write_segment(kind, tables(), path)


def _open(spill: Spill, stack: ExitStack) -> pa.ipc.RecordBatchFileReader:
    return pa.ipc.open_file(stack.enter_context(pa.memory_map(spill.path)))


def write_segment(kind: str, tables: Iterable[tuple[int, pa.Table]], path: Path) -> Segment | None:
    """Write (bucket, rows) as a segment at `path`, a row group each; None, and no file, where there is no row."""
    written, sizes = [], []
    with (
        whole_file(path) as f,
        pq.ParquetWriter(
            f,
            schema_of(kind),
            compression="lz4",
            # ids, digests and places hardly repeat: a dictionary of them costs time and space
            use_dictionary=[c for c in schema_of(kind).names if c not in UNLIKE],
            write_statistics=False,
            write_page_checksum=True,
        ) as writer,
    ):
        for bucket, table in tables:
            if table.num_rows:
                writer.write_table(table, row_group_size=table.num_rows)
                written.append(bucket)
                sizes.append(table.num_rows)
    if not written:
        path.unlink()
        return None
    return Segment(kind, path.name, sha256_of(path), sum(sizes), tuple(written), tuple(sizes))


def read_buckets(
    folder: Path, segments: Iterable[Segment], buckets: set[int], columns: list[str] | None
) -> pa.Table | None:
    """Return the rows of some buckets from all segments of one resource type; None where there are none.

    Raises StoreError where a segment that a commit lists is missing or damaged.
    """
    found = []
    for s in segments:
        wanted = [i for i, b in enumerate(s.buckets) if b in buckets]
        if wanted:
            try:
                with pq.ParquetFile(
                    folder / s.name, memory_map=False, pre_buffer=False, page_checksum_verification=True
                ) as f:
                    there = None if columns is None else [c for c in columns if c in f.schema_arrow.names]
                    found.append(f.read_row_groups(wanted, columns=there, use_threads=False))
            except (OSError, pa.ArrowException) as e:
                raise StoreError(f"segment {s.name} of the store {folder.parent} cannot be read: {e}") from e
    return pa.concat_tables(found) if found else None

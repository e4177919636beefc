"""The latest version of every resource: one of all copies that came in, the same one in whatever order they came.

Order: meta.lastUpdated, then meta.versionId where it is a number, then the SHA-256 of the content. Identical copies
count once, at the first file and line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapter.intake.tables import SUBSETTED

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Latest:
    """`rows`: positions of the rows that stay, ascending. The counts are of resources, not rows.

    `ties`: positions (first row) of winners that a different copy equals in lastUpdated and versionId.
    """

    rows: Ints
    duplicate_copies: int
    superseded: int
    ties: Ints


def _words(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return a binary(16) column as two big-endian 64-bit numbers, so that NumPy can sort it."""
    whole = column.combine_chunks()
    raw = np.frombuffer(whole.buffers()[1], dtype=">u8")[whole.offset * 2 : (whole.offset + len(whole)) * 2]
    pair = raw.reshape(-1, 2).astype(np.uint64)
    return pair[:, 0], pair[:, 1]


def _version_ranks(column: pa.ChunkedArray) -> Ints:
    """Return numbers that sort as the versionIds do; -1 where one is no number, -2 for a part of a resource.

    Only digits make a number ("4e10" is the start of a hash), and of any length: float64 would confuse long ones.
    """
    encoded = column.combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    numbers = [int(v) if v.isascii() and v.isdigit() else -2 if v == SUBSETTED else -1 for v in texts]
    place = {v: i for i, v in enumerate(sorted({v for v in numbers if v >= 0}))}
    ranks: Ints = np.array([*(place.get(v, v) for v in numbers), -1], dtype=np.int64)
    found: Ints = ranks[encoded.indices.fill_null(len(numbers)).to_numpy()]
    return found


def latest_versions(table: pa.Table) -> Latest:
    """Return which rows of one resource type are the latest versions.

    table: columns rid, sha, updated, version, file and line; rows of one copy share all of them.
    """
    n = table.num_rows
    none = np.empty(0, dtype=np.int64)
    if n == 0:
        return Latest(none, 0, 0, none)
    rid_a, rid_b = _words(table.column("rid"))
    sha_a, sha_b = _words(table.column("sha"))
    updated = table.column("updated").fill_null(np.iinfo(np.int64).min).to_numpy()
    version = _version_ranks(table.column("version"))
    file = table.column("file").to_numpy().astype(np.int64)
    line = table.column("line").to_numpy()
    order = np.lexsort((-line, -file, sha_b, sha_a, version, updated, rid_b, rid_a))
    a, b = rid_a[order], rid_b[order]
    last = np.ones(n, dtype=bool)  # last row of its resource, in this order: a row of the winning copy
    last[:-1] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    group = np.concatenate(([0], np.cumsum(last)[:-1]))
    winner = order[last][group]  # for each row in order, a row of the winning copy
    same_copy = (file[order] == file[winner]) & (line[order] == line[winner])
    same_content = (sha_a[order] == sha_a[winner]) & (sha_b[order] == sha_b[winner])
    # rows of one copy are adjacent: a copy starts where resource, file or line changes
    starts = np.ones(n, dtype=bool)
    f, li = file[order], line[order]
    starts[1:] = last[:-1] | (f[1:] != f[:-1]) | (li[1:] != li[:-1])
    lost = starts & ~same_copy
    level = (updated[order] == updated[winner]) & (version[order] == version[winner])
    tied = np.unique(group[lost & ~same_content & level])
    return Latest(
        rows=np.sort(order[same_copy]),
        duplicate_copies=int((lost & same_content).sum()),
        superseded=int((lost & ~same_content).sum()),
        ties=order[last][tied],
    )

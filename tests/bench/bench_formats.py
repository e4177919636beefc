"""Rows per CPU second and bytes per row of every format, for a laboratory dataset of 25 columns, beside pandas and pyarrow.

    python -m tests.bench.bench_formats [ROWS]

Ours get Arrow tables of 16,384 rows as in a build; the others one frame or table, as anybody would write it. All write to
a file on disk; CPU time is user plus system time of this process, best of three.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from adapter.assemble import CHUNK_ROWS
from adapter.writers.csv import CsvWriter
from adapter.writers.dataset_json import DatasetJsonWriter
from adapter.writers.description import Column, Description
from adapter.writers.parquet import ParquetWriter
from tests.bench.bench_xpt import declarations, laboratory


class Speed(NamedTuple):
    """One way of writing: rows per CPU second, bytes per row, and how many times as fast as the way it is beside."""

    rate: float
    size: float
    ratio: float


def described(table: pa.Table) -> Description:
    columns = tuple(
        Column(f"IT.LB.{v.name}", v.name, v.label, "float" if v.type == "Num" else "text", v.length)
        for v in declarations(table)
    )
    return Description(
        "IG.LB", "LB", "Laboratory Test Results", columns, table.num_rows, datetime.datetime(2025, 6, 30), "F", "S", "M"
    )


def run(rows: int = 300_000) -> dict[str, Speed]:
    """Return the speed of each format, ours and the others'."""
    table = laboratory(rows)
    d = described(table)
    frame = table.to_pandas()
    chunks = [table.slice(i, CHUNK_ROWS) for i in range(0, rows, CHUNK_ROWS)]

    def ours(make: Callable[[Any, Description], Any]) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            with path.open("wb") as f, make(f, d) as w:
                for chunk in chunks:
                    w.write(chunk)

        return write

    def to_json(path: Path) -> None:
        frame.to_json(path, orient="values", double_precision=15)

    def to_csv(path: Path) -> None:
        frame.to_csv(path, index=False)

    def to_parquet(path: Path) -> None:
        pq.write_table(table, path, compression="zstd")

    ways: list[tuple[str, str, Callable[[Path], None]]] = [
        ("pandas to_json", "", to_json),
        ("dataset-json", "pandas to_json", ours(DatasetJsonWriter)),
        ("ndjson", "pandas to_json", ours(lambda f, d: DatasetJsonWriter(f, d, lines=True))),
        ("pandas to_csv", "", to_csv),
        ("csv", "pandas to_csv", ours(CsvWriter)),
        ("pyarrow write_csv", "pandas to_csv", lambda path: pyarrow.csv.write_csv(table, path)),
        ("pyarrow write_table", "", to_parquet),
        ("parquet", "pyarrow write_table", ours(ParquetWriter)),
    ]
    found: dict[str, Speed] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, beside, write in ways:
            path = Path(folder) / "lb"
            rate = rows / min(_seconds(write, path) for _ in range(3))
            found[name] = Speed(rate, path.stat().st_size / rows, rate / found[beside].rate if beside else 1.0)
    return found


def _seconds(write: Callable[[Path], None], path: Path) -> float:
    start = time.process_time()
    write(path)
    return time.process_time() - start


def lines(found: dict[str, Speed]) -> list[str]:
    return [f"  {n:24} {s.rate:12,.0f}   {s.size:6.0f} bytes a row   {s.ratio:5.1f} x" for n, s in found.items()]


if __name__ == "__main__":
    pa.set_cpu_count(1)
    print("\n".join(lines(run(*map(int, sys.argv[1:])))))

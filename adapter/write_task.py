"""The worker task that writes one dataset from its parts in one format, and its trace."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from adapter.assemble import TRACE_SCHEMA, expand_trace, extra_trace, in_order, xpt_variables
from adapter.define import supplement_dataset
from adapter.errors import RunError
from adapter.files import whole_file
from adapter.lineage import USED_SCHEMA, used_trace
from adapter.registry import shipped
from adapter.spec import Dataset
from adapter.summary import DatasetSummary
from adapter.tasks import Setting, context_of, single_threaded
from adapter.writers.csv import CsvWriter
from adapter.writers.dataset_json import DatasetJsonWriter
from adapter.writers.description import Description
from adapter.writers.parquet import ParquetWriter
from adapter.writers.xpt import XptWriter

TRACE_ROWS = 131_072


@dataclass(frozen=True, slots=True)
class AssembleTask:
    """Writes one dataset from its parts: `order` is (part, records) in USUBJID order.

    `path` is its file in `format`; `trace` the file of its trace, empty where another task writes it or there is none.
    """

    label: str
    dataset: str
    supplement: bool
    parts: tuple[str, ...]
    order: tuple[tuple[int, int], ...]
    extras: tuple[str, ...]
    extra_order: tuple[tuple[int, int], ...]
    setting: Setting
    context: str
    description: Description
    format: str
    path: str
    trace: str


class Writer(Protocol):
    """What the writers of all formats have in common."""

    def write(self, batch: pa.Table, /) -> None: ...


def assemble_task(task: AssembleTask) -> str:
    """Write one dataset in one format, and its trace where the task says so; returns its name."""
    single_threaded()
    context = context_of(task.context)
    declared = {d.name: d for d in shipped()}[task.dataset]
    d = supplement_dataset(declared) if task.supplement else declared
    s = (context.supplement_summaries if task.supplement else context.summaries)[task.dataset]
    try:
        _write(d, s, task)
    except OSError as e:
        raise RunError(f"cannot write {e.filename or task.path}: {e.strerror or e}") from e
    return d.name


def _write(d: Dataset, s: DatasetSummary, task: AssembleTask) -> None:
    with ExitStack() as stack:
        trace: pq.ParquetWriter | None = None
        if task.trace:
            file = stack.enter_context(whole_file(Path(task.trace)))
            # statistics only of what a reader looks up by: those of the ids alone cost a fifth of the writing
            schema = USED_SCHEMA if d.purpose == "Analysis" else TRACE_SCHEMA
            trace = stack.enter_context(
                pq.ParquetWriter(file, schema, compression="zstd", write_statistics=["USUBJID", "SEQ"])
            )
        f = stack.enter_context(whole_file(Path(task.path)))
        writer = stack.enter_context(_writer(d, s, task, f))
        for chunk in in_order(task.parts, task.order):
            writer.write(chunk)
            if trace is not None and d.purpose == "Tabulation":
                trace.write_table(expand_trace(d, s, chunk), row_group_size=TRACE_ROWS)
        if trace is not None:
            for chunk in in_order(task.extras, task.extra_order):
                rows = used_trace(chunk) if d.purpose == "Analysis" else extra_trace(d, chunk)
                trace.write_table(rows, row_group_size=TRACE_ROWS)


def _writer(d: Dataset, s: DatasetSummary, task: AssembleTask, f: BinaryIO) -> AbstractContextManager[Writer, Any]:
    told = task.description
    if task.format == "dataset-json":
        return DatasetJsonWriter(f, told)
    if task.format == "ndjson":
        return DatasetJsonWriter(f, told, lines=True)
    if task.format == "parquet":
        return ParquetWriter(f, told)
    if task.format == "csv":
        return CsvWriter(f, told)
    return XptWriter(f, d.name, d.label, xpt_variables(d, s), told.created)

"""The worker task that writes one dataset from its parts: the XPT file and its trace."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from adapter.assemble import TRACE_SCHEMA, expand_trace, extra_trace, in_order, xpt_variables
from adapter.define import supplement_dataset
from adapter.errors import RunError
from adapter.files import whole_file
from adapter.registry import shipped
from adapter.spec import Dataset
from adapter.summary import DatasetSummary
from adapter.tasks import Setting, context_of, single_threaded
from adapter.writers.xpt import XptWriter

TRACE_ROWS = 131_072


@dataclass(frozen=True, slots=True)
class AssembleTask:
    """Writes one dataset from its parts: `order` is (part, records) in USUBJID order."""

    label: str
    dataset: str
    supplement: bool
    parts: tuple[str, ...]
    order: tuple[tuple[int, int], ...]
    extras: tuple[str, ...]
    extra_order: tuple[tuple[int, int], ...]
    setting: Setting
    context: str
    xpt: str
    trace: str


def assemble_task(task: AssembleTask) -> str:
    """Write the XPT file and the trace of one dataset; returns its name."""
    single_threaded()
    context = context_of(task.context)
    declared = {d.name: d for d in shipped()}[task.dataset]
    d = supplement_dataset(declared) if task.supplement else declared
    s = (context.supplement_summaries if task.supplement else context.summaries)[task.dataset]
    try:
        _write_xpt(d, s, task, context.timestamp)
    except OSError as e:
        raise RunError(f"cannot write {e.filename or task.xpt}: {e.strerror or e}") from e
    return d.name


def _write_xpt(d: Dataset, s: DatasetSummary, task: AssembleTask, timestamp: datetime) -> None:
    with ExitStack() as stack:
        trace: pq.ParquetWriter | None = None
        if task.trace:
            file = stack.enter_context(whole_file(Path(task.trace)))
            # statistics only of what a reader looks up by: those of the ids alone cost a fifth of the writing
            trace = stack.enter_context(
                pq.ParquetWriter(file, TRACE_SCHEMA, compression="zstd", write_statistics=["USUBJID", "SEQ"])
            )
        f = stack.enter_context(whole_file(Path(task.xpt)))
        writer = stack.enter_context(XptWriter(f, d.name, d.label, xpt_variables(d, s), timestamp))
        for chunk in in_order(task.parts, task.order):
            writer.write(chunk)
            if trace is not None:
                trace.write_table(expand_trace(d, s, chunk), row_group_size=TRACE_ROWS)
        if trace is not None:
            for chunk in in_order(task.extras, task.extra_order):
                trace.write_table(extra_trace(d, chunk), row_group_size=TRACE_ROWS)

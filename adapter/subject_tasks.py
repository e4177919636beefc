"""What workers do for some subjects: survey their days, and map their stored rows to parts of the datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from adapter.accounts import Accounts
from adapter.assemble import write_part
from adapter.identify import Subject
from adapter.intake.intake import bucket_of
from adapter.intake.tables import DELETION
from adapter.map import map_subjects
from adapter.registry import shipped
from adapter.store.elsewhere import OWNERS
from adapter.store.segments import Segment, read_buckets
from adapter.summary import DatasetSummary
from adapter.tasks import Context, Setting, context_of, knowledge_of, own_name, single_threaded, trial_of
from adapter.usable import last_believable_day


@dataclass(frozen=True, slots=True)
class SubjectsTask:
    """Some subjects of a build, by their numbers in the context."""

    label: str
    subjects: tuple[int, ...]
    setting: Setting
    context: str


DAY_COLUMNS = ["pat", "rid", "sha", "updated", "version", "file", "line", "status", "element"]
DAY_COLUMNS += ["dtc", "day", "end_dtc", "end_day", "detected_dtc", "detected_day", "recorded_dtc", "recorded_day"]


def survey_task(task: SubjectsTask) -> int | None:
    """Return the last believable day of some subjects' usable facts: what the default data cut is made of."""
    single_threaded()
    context = context_of(task.context)
    subjects = [context.subjects[i] for i in task.subjects]
    tables = _stored(context, task.setting, subjects, DAY_COLUMNS)
    dates = trial_of(task.setting).reference_dates
    cuts = [context.subject_cuts[i] for i in task.subjects]
    preliminary = trial_of(task.setting).daily_value.preliminary
    return last_believable_day(tables, subjects, cuts, preliminary, dates.future_tolerance_days)


def _stored(
    context: Context, setting: Setting, subjects: Sequence[Subject], columns: list[str] | None
) -> dict[str, pa.Table]:
    buckets = {key[0] % setting.buckets for s in subjects for key in s.identities}
    everywhere = set(range(setting.buckets))
    by_type: dict[str, list[Segment]] = {}
    for s in context.segments:
        by_type.setdefault(s.resource_type, []).append(s)
    found = {}
    for kind, segments in by_type.items():
        where = everywhere if kind == DELETION else buckets
        table = read_buckets(Path(context.segment_folder), segments, where, columns)
        if table is not None:
            found[kind] = _live(table, context)
    return found


def _live(table: pa.Table, context: Context) -> pa.Table:
    """Return the rows of inputs that count: not of those that were read again since."""
    if not context.files:
        return table
    return table.filter(pc.is_in(table.column("file"), pa.array(sorted(context.files), pa.int32())))


@dataclass(slots=True)
class MapReceipt:
    """Paths of the parts by dataset: records, SUPP--, further sources; with the summaries and accounts."""

    parts: dict[str, str] = field(default_factory=dict)
    supplements: dict[str, str] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)
    extra_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    summaries: dict[str, DatasetSummary] = field(default_factory=dict)
    supplement_summaries: dict[str, DatasetSummary] = field(default_factory=dict)
    accounts: Accounts = field(default_factory=Accounts)


def map_task(task: SubjectsTask) -> MapReceipt:
    """Map some subjects; leave one part per dataset."""
    single_threaded()
    context = context_of(task.context)
    subjects = [context.subjects[i] for i in task.subjects]
    cuts = [context.subject_cuts[i] for i in task.subjects]
    trial = trial_of(task.setting)
    knowledge = knowledge_of(task.setting)
    tables = _stored(context, task.setting, subjects, None)
    if specimens := [s for s in context.segments if s.resource_type == "Specimen"]:
        everywhere = set(range(task.setting.buckets))
        owners = read_buckets(Path(context.segment_folder), specimens, everywhere, ["rid", "pat", "file"])
        if owners is not None:
            tables[OWNERS] = _live(owners, context)
    mapped = map_subjects(tables, subjects, cuts, trial, knowledge, context.cut, shipped())
    receipt = MapReceipt(accounts=mapped.accounts)
    for name, made in mapped.datasets.items():
        receipt.summaries[name] = made.summary
        receipt.supplement_summaries[name] = made.supplement_summary
        for table, paths in (
            (made.table, receipt.parts),
            (pa.Table.from_pandas(made.supplement, preserve_index=False), receipt.supplements),
            (made.extra, receipt.extras),
        ):
            if table.num_rows:
                path = own_name(task.setting.folder, f"part-{name}")
                write_part(path, _plain_strings(table))
                paths[name] = str(path)
        receipt.extra_counts[name] = _runs(made.extra.column("USUBJID").to_pylist())
    return receipt


def _runs(names: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for n in names:
        counts[n] = counts.get(n, 0) + 1
    return counts


def _plain_strings(table: pa.Table) -> pa.Table:
    fields = [pa.field(f.name, pa.string() if pa.types.is_large_string(f.type) else f.type) for f in table.schema]
    return table.cast(pa.schema(fields))


GROUP_ROWS = 120_000
"""Rows mapped at a time: enough that pandas' cost per call does not matter, few enough for a worker's memory."""


def subject_groups(
    subjects: Sequence[Subject], segments: Sequence[Segment], buckets: int
) -> list[tuple[str, tuple[int, ...]]]:
    """Return (label, subject numbers) of the map tasks: neighbouring buckets together, up to about GROUP_ROWS rows."""
    rows = Counter[int]()
    for segment in segments:
        rows.update(dict(zip(segment.buckets, segment.sizes, strict=True)))
    by_bucket: dict[int, list[int]] = {}
    for i, s in enumerate(subjects):
        by_bucket.setdefault(bucket_of(s.identities[0], buckets), []).append(i)
    groups: list[tuple[str, tuple[int, ...]]] = []
    held: list[int] = []
    size, first = 0, 0
    for b in range(buckets):
        if held and size + rows[b] > GROUP_ROWS:
            groups.append((f"buckets {first} to {b - 1}", tuple(held)))
            held, size, first = [], 0, b
        held += by_bucket.get(b, [])
        size += rows[b]
    if held:
        groups.append((f"buckets {first} to {buckets - 1}", tuple(held)))
    return groups

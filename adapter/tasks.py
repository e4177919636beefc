"""What workers do: thin wrappers that read files, call the pure steps, write files under names of their own, and return
receipts. A receipt says what was written; nothing counts until the driver has accepted it.
"""

from __future__ import annotations

import gc
import pickle
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from adapter.accounts import Accounts
from adapter.assemble import write_part
from adapter.identify import Identities, Subject, identify
from adapter.intake.dates import SiteClock
from adapter.intake.intake import intake
from adapter.intake.reading import LookUp, Reading
from adapter.intake.taken import RejectLine
from adapter.knowledge import Knowledge, load_knowledge
from adapter.links import write_links
from adapter.map import map_subjects
from adapter.reasons import kind_of
from adapter.registry import shipped
from adapter.site import Keyer, read_key
from adapter.sources.carriers import open_range
from adapter.sources.files import sha256_of
from adapter.store.segments import Segment, Spill, read_buckets, seal, write_spill
from adapter.summary import DatasetSummary
from adapter.trial import Trial, resolve_trial
from adapter.usable import last_believable_day


@dataclass(frozen=True, slots=True)
class Range:
    """A byte range of an input file."""

    label: str
    path: str
    start: int
    stop: int
    number: int = 0
    first_line: int = 1


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a worker finds what all tasks of a build share. The key itself never travels: workers read its file."""

    folder: str
    key: str
    zone: str
    trial: str
    site: str
    buckets: int = 16


@dataclass(slots=True)
class Context:
    """Written once per build by the driver; read once per worker."""

    subjects: list[Subject]
    look_ups: dict[bytes, LookUp]
    lot_extensions: tuple[str, ...] = ()
    wanted: frozenset[bytes] = frozenset()
    subject_cuts: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    segment_folder: str = ""
    files: frozenset[int] = frozenset()
    cut: int = 0
    summaries: dict[str, DatasetSummary] = field(default_factory=dict)
    supplement_summaries: dict[str, DatasetSummary] = field(default_factory=dict)
    timestamp: datetime = datetime(1970, 1, 1)


def write_context(setting: Setting, name: str, context: Context) -> str:
    """Write a context into the build's private temporary folder and return its path."""
    (path := Path(setting.folder) / name).write_bytes(pickle.dumps(context, protocol=5))
    return str(path)


@lru_cache(maxsize=2)
def context_of(path: str) -> Context:
    loaded: Context = pickle.loads(Path(path).read_bytes())
    return loaded


# The setting names the build's own temporary folder: a process that lives on, such as a notebook, reads key, trial and
# maps anew for every build, and sees what was changed in them.
@lru_cache(maxsize=1)
def _keyer(setting: Setting) -> Keyer:
    return read_key(Path(setting.key))


@lru_cache(maxsize=1)
def _trial(setting: Setting) -> Trial:
    return resolve_trial(setting.trial)


@lru_cache(maxsize=1)
def knowledge_of(setting: Setting) -> Knowledge:
    return load_knowledge(_trial(setting), Path(setting.site) if setting.site else None)


@lru_cache(maxsize=1)
def _clock(zone: str) -> SiteClock:
    return SiteClock(zone)


@lru_cache(maxsize=1)
def _reading(context: str, setting: Setting) -> Reading:
    """Return what readers need; kept between ranges, so that its caches stay warm."""
    loaded = context_of(context)
    subjects = {key: i for i, s in enumerate(loaded.subjects) for key in s.identities}
    return Reading(_clock(setting.zone), _keyer(setting), subjects, loaded.look_ups, loaded.lot_extensions)


def _own_name(folder: str, stem: str) -> Path:
    """Return a file name that no other attempt of the same task uses."""
    return Path(folder) / f"{stem}-{uuid.uuid4().hex}"


def single_threaded() -> None:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


@dataclass(frozen=True, slots=True)
class HashTask:
    label: str
    path: str


def hash_task(task: HashTask) -> str:
    return sha256_of(task.path)


@dataclass(frozen=True, slots=True)
class IdentifyTask:
    label: str
    range: Range
    setting: Setting
    context: str


def identify_task(task: IdentifyTask) -> Identities:
    lines = open_range(task.range.path, task.range.start, task.range.stop)
    wanted = context_of(task.context).wanted
    keyer = _keyer(task.setting)
    found = identify(lines, keyer, _clock(task.setting.zone), wanted)
    for own, base in lines.servers:
        key = keyer.keyed(f"Patient/{own}")
        found.servers[key] = found.servers.get(key, frozenset()) | {base}
    return found


@dataclass(frozen=True, slots=True)
class IntakeTask:
    label: str
    range: Range
    setting: Setting
    context: str


@dataclass(slots=True)
class IntakeReceipt:
    number: int
    start: int
    spills: list[Spill]
    rejects: list[RejectLine]
    read: Counter[str]
    dropped: Counter[tuple[str, str]]
    links: str


def intake_task(task: IntakeTask) -> IntakeReceipt:
    """Read one range; leave a spill per resource type and the links of its resources."""
    single_threaded()
    r = task.range
    lines = open_range(r.path, r.start, r.stop)
    context, read = context_of(task.context), _reading(task.context, task.setting)
    # millions of short-lived tuples: the cycle collector would walk them again and again and find nothing
    gc.disable()
    try:
        taken = intake(lines, read, task.setting.buckets, r.number, r.first_line, lines.offset or 0)
    finally:
        gc.enable()
    if lines.offset is None:
        taken.rejects = [x._replace(offset=None) for x in taken.rejects]
    for reason, offset in lines.lost:  # no resource, so no line; (none) stands for its type
        taken.read["(none)"] += 1
        taken.dropped["(none)", reason] += 1
        if kind_of(reason) == "reject":
            taken.rejects.append(RejectLine(r.number, 0, offset, reason, "", "", None))
    spills = []
    for kind, table in taken.tables.items():
        path = _own_name(task.setting.folder, f"spill-{kind}")
        spills.append(write_spill(path, kind, table, taken.groups[kind]))
    links = ""
    if taken.links:
        usubjid = {key: s.usubjid for s in context.subjects for key in s.identities}
        links = str(write_links(Path(task.setting.key).parent, taken.links, usubjid))
    return IntakeReceipt(r.number, r.start, spills, taken.rejects, taken.read, taken.dropped, links)


@dataclass(frozen=True, slots=True)
class SealTask:
    label: str
    spills: tuple[Spill, ...]
    buckets: tuple[int, ...]
    folder: str
    name: str


def seal_task(task: SealTask) -> Segment | None:
    single_threaded()
    return seal(task.spills, task.buckets, Path(task.folder) / f"{task.name}-{uuid.uuid4().hex[:12]}.parquet")


@dataclass(frozen=True, slots=True)
class SubjectsTask:
    """Some subjects of a build, by their numbers in the context."""

    label: str
    subjects: tuple[int, ...]
    setting: Setting
    context: str


DAY_COLUMNS = ["pat", "rid", "sha", "updated", "version", "file", "line", "status", "element"]
DAY_COLUMNS += ["dtc", "day", "end_dtc", "end_day"]


def survey_task(task: SubjectsTask) -> int | None:
    """Return the last believable day of some subjects' usable facts: what the default data cut is made of."""
    single_threaded()
    context = context_of(task.context)
    subjects = [context.subjects[i] for i in task.subjects]
    tables = _stored(context, task.setting, subjects, DAY_COLUMNS)
    dates = _trial(task.setting).reference_dates
    cuts = [context.subject_cuts[i] for i in task.subjects]
    preliminary = _trial(task.setting).daily_value.preliminary
    return last_believable_day(tables, subjects, cuts, preliminary, dates.future_tolerance_days)


def _stored(
    context: Context, setting: Setting, subjects: Sequence[Subject], columns: list[str] | None
) -> dict[str, pa.Table]:
    buckets = {key[0] % setting.buckets for s in subjects for key in s.identities}
    by_type: dict[str, list[Segment]] = {}
    for s in context.segments:
        by_type.setdefault(s.resource_type, []).append(s)
    found = {}
    for kind, segments in by_type.items():
        table = read_buckets(Path(context.segment_folder), segments, buckets, columns)
        if table is not None:
            if context.files:
                live = pa.array(sorted(context.files), pa.int32())
                table = table.filter(pc.is_in(table.column("file"), live))
            found[kind] = table
    return found


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
    trial = _trial(task.setting)
    knowledge = knowledge_of(task.setting)
    tables = _stored(context, task.setting, subjects, None)
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
                path = _own_name(task.setting.folder, f"part-{name}")
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

"""What workers do: thin wrappers that read files, call the pure steps, write files under names of their own, and return
receipts. A receipt says what was written; nothing counts until the driver has accepted it.
"""

from __future__ import annotations

import gc
import pickle
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from adapter.identify import Identities, Subject, identify
from adapter.intake.bearers import NOBODY, Bearers
from adapter.intake.dates import SiteClock, utc_micros
from adapter.intake.intake import by_bucket, intake
from adapter.intake.reading import LookUp, Reading
from adapter.intake.tables import DELETION
from adapter.intake.taken import RejectLine
from adapter.knowledge import Knowledge, load_knowledge
from adapter.links import write_links
from adapter.reasons import kind_of
from adapter.site import Keyer, read_key
from adapter.sources.carriers import open_range
from adapter.sources.files import sha256_of
from adapter.store.elsewhere import deletion_rows
from adapter.store.segments import Segment, Spill, seal, write_spill
from adapter.summary import DatasetSummary
from adapter.trial import Trial, resolve_trial


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
    own: frozenset[str] = frozenset()
    coding: str = ""


@dataclass(slots=True)
class Context:
    """Written once per build by the driver; read once per worker."""

    subjects: list[Subject]
    look_ups: dict[bytes, LookUp]
    lot_extensions: tuple[str, ...] = ()
    grade_extensions: tuple[str, ...] = ()
    comments: bool = False
    wanted: frozenset[bytes] = frozenset()
    bearers: Bearers = NOBODY
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
def trial_of(setting: Setting) -> Trial:
    return resolve_trial(setting.trial)


@lru_cache(maxsize=1)
def knowledge_of(setting: Setting) -> Knowledge:
    site, coding = (Path(p) if p else None for p in (setting.site, setting.coding))
    return load_knowledge(trial_of(setting), site, coding)


@lru_cache(maxsize=1)
def _clock(zone: str) -> SiteClock:
    return SiteClock(zone)


@lru_cache(maxsize=1)
def reading_of(context: str, setting: Setting) -> Reading:
    """Return what readers need; kept between ranges, so that its caches stay warm."""
    loaded = context_of(context)
    subjects = {key: i for i, s in enumerate(loaded.subjects) for key in s.identities}
    return Reading(
        _clock(setting.zone),
        _keyer(setting),
        subjects,
        loaded.look_ups,
        loaded.lot_extensions,
        setting.own,
        loaded.bearers,
        grade_extensions=loaded.grade_extensions,
        comments=loaded.comments,
    )


def own_name(folder: str, stem: str) -> Path:
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
    own = task.setting.own
    lines = open_range(task.range.path, task.range.start, task.range.stop, own)
    wanted = context_of(task.context).wanted
    keyer = _keyer(task.setting)
    found = identify(lines, keyer, _clock(task.setting.zone), wanted, own)
    for name, base in lines.told.servers:
        key = keyer.keyed(f"Patient/{name}")
        found.servers[key] = found.servers.get(key, frozenset()) | {base}
    for d in lines.told.deleted:
        found.delete(keyer.keyed(d.name), utc_micros(d.instant) if d.instant else None)
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
    servers: dict[bytes, frozenset[str]] = field(default_factory=dict)


def intake_task(task: IntakeTask) -> IntakeReceipt:
    """Read one range; leave a spill per resource type and the links of its resources."""
    single_threaded()
    r = task.range
    lines = open_range(r.path, r.start, r.stop, task.setting.own)
    context, read = context_of(task.context), reading_of(task.context, task.setting)
    # millions of short-lived tuples: the cycle collector would walk them again and again and find nothing
    gc.disable()
    try:
        taken = intake(lines, read, task.setting.buckets, r.number, r.first_line, lines.offset or 0)
    finally:
        gc.enable()
    if lines.offset is None:
        taken.rejects = [x._replace(offset=None) for x in taken.rejects]
    for reason, offset, kind in lines.told.lost:  # no resource that could have a line
        taken.read[kind] += 1
        taken.dropped[kind, reason] += 1
        if kind_of(reason) == "reject":
            taken.rejects.append(RejectLine(r.number, 0, offset, reason, "", "", None))
    if lines.told.deleted:
        gone = deletion_rows(lines.told.deleted, read.keyer, r.number)
        taken.tables[DELETION], taken.groups[DELETION] = by_bucket(gone, task.setting.buckets)
    spills = []
    for kind, table in taken.tables.items():
        path = own_name(task.setting.folder, f"spill-{kind}")
        spills.append(write_spill(path, kind, table, taken.groups[kind]))
    links = ""
    if taken.links:
        usubjid = {key: s.usubjid for s in context.subjects for key in s.identities}
        links = str(write_links(Path(task.setting.key).parent, taken.links, usubjid))
    servers = {patient: frozenset(bases) for patient, bases in read.servers.items()}
    return IntakeReceipt(r.number, r.start, spills, taken.rejects, taken.read, taken.dropped, links, servers)


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

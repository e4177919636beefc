"""What of a hospital's codes and units no table knows: reads the input as a build does, keeps counts only, builds nothing.

Bounded memory: pieces of PIECE lines, at most MOST_KEYS different codes. Nothing of a patient is kept: a text is shown
only where it was met with several patients or often, and values are never looked at.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from adapter.enrolment import read_enrolment
from adapter.identify import Identities, identify, log_key, resolve_subjects
from adapter.intake.dates import SiteClock
from adapter.intake.intake import intake
from adapter.intake.reading import Reading
from adapter.knowledge import load_knowledge
from adapter.reasons import kind_of
from adapter.site import Keyer, own_servers
from adapter.sources.carriers import open_range, ranges_of
from adapter.sources.files import RANGE_BYTES, InputFile, find_files
from adapter.statuses import STATUS
from adapter.subjects import borne
from adapter.trial import Trial, resolve_trial
from adapter.unmapped import Checked, Key, judged

PIECE = 20_000
MOST_KEYS = 200_000
Progress = Callable[[str, int, int], None]

COLUMNS: dict[str, tuple[str, ...]] = {
    "Observation": ("code", "code_text", "unit_code", "unit_system", "unit_text", "kind"),
    "MedicationAdministration": ("code", "code_text", "dose_unit", "dose_unit_text", "lot"),
    "Procedure": ("code", "code_text", "dose_unit", "dose_unit_text"),
    "Specimen": ("code", "code_text"),
}
"""What is counted of each resource type: columns of its intake table (adapter.intake.tables)."""
COUNTED_AS = {
    "DiagnosticReport": "Observation",
    "MedicationStatement": "MedicationAdministration",
    "SupplyDelivery": "MedicationAdministration",
    "BiologicallyDerivedProductDispense": "MedicationAdministration",
}
"""Resource types whose codes mean what those of another type mean."""


@dataclass(slots=True)
class Count:
    """How often something came, and with how many patients: one of them, or several."""

    records: int = 0
    patient: bytes = b""
    several: bool = False

    def add(self, patient: bytes, records: int) -> None:
        self.several |= bool(self.patient) and self.patient != patient
        self.patient, self.records = patient, self.records + records


@dataclass(slots=True)
class Seen:
    """What the input holds: counts by resource type and key, and what could not be counted."""

    counts: dict[str, dict[Key, Count]] = field(default_factory=dict)
    overflow: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    not_read: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, table: pa.Table) -> None:
        """Count the rows of an intake table by what names them, per patient."""
        table = _wanted(kind, table)
        if "why" in table.column_names:  # of a report the rows that are results
            table = table.filter(pc.is_null(table.column("why")))
        kind = COUNTED_AS.get(kind, kind)
        columns = list(COLUMNS[kind])
        for name in columns:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
        found = table.select([*columns, "pat"]).group_by([*columns, "pat"]).aggregate([([], "count_all")])
        of_kind = self.counts.setdefault(kind, {})
        rows = zip(*(found.column(c).to_pylist() for c in (*columns, "pat", "count_all")), strict=True)
        for *key, patient, n in rows:
            names = tuple(text or "" for text in key)
            count = of_kind.get(names)
            if count is None:
                if len(of_kind) >= MOST_KEYS:
                    self.overflow[kind] += n
                    continue
                count = of_kind[names] = Count()
            count.add(patient, n)


def _wanted(kind: str, table: pa.Table) -> pa.Table:
    """Return the rows that a build would look at: a usable status; no panel, nothing about somebody else."""
    unusable = list(STATUS.get(kind, {}))
    keep = pc.invert(pc.fill_null(pc.is_in(table.column("status"), pa.array(unusable, pa.string())), False))
    if kind == "Observation":
        silent = pc.and_(pc.is_null(table.column("kind")), pc.is_null(table.column("absent")))
        panel = pc.and_(silent, pc.fill_null(table.column("members"), False))
        elsewhere = pc.fill_null(table.column("focus"), False)
        keep = pc.and_(keep, pc.invert(pc.or_(panel, elsewhere)))
    return table.filter(keep)


class _Everyone(dict[bytes, int]):
    """Without an enrolment log every patient counts."""

    def __contains__(self, key: object) -> bool:
        return True


def check_codes(
    inputs: Sequence[str],
    trial: str,
    enrolment: str | None = None,
    site: str | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Checked:
    """Return what of the codes and units in files and folders is mapped and what is not.

    enrolment: only these subjects count; without it every patient does. site: the folder with the site's own maps
    (default: `site` beside the log). No key is made or read: ids are compared under a key of this run.
    Raises InputError for arguments and input that cannot be read.
    """
    found_trial = resolve_trial(trial)
    folder = site_folder(site, enrolment)
    knowledge = load_knowledge(found_trial, folder)
    files = find_files(inputs).files
    own = own_servers(folder) if folder is not None else frozenset()
    keyer, clock = Keyer(secrets.token_bytes(32)), SiteClock(found_trial.study.time_zone)
    read = _reading(files, enrolment, found_trial, keyer, clock, own, progress)
    seen = Seen()
    for lines in _ranges(files, own, "Reading codes", progress):
        every = iter(lines)
        while piece := list(islice(every, PIECE)):
            taken = intake(piece, read, 1, 0, 1, 0)
            for kind, table in taken.tables.items():
                if kind in COLUMNS or kind in COUNTED_AS:
                    seen.add(kind, table)
            for (kind, reason), n in taken.dropped.items():
                if reason == "type-not-read":
                    seen.not_read[kind] += n
            seen.rejected.update(x.resource_type or "(none)" for x in taken.rejects)
            read.servers.clear()
        seen.rejected.update(lost.resource_type for lost in lines.told.lost if kind_of(lost.reason) == "reject")
    counts = {kind: {key: (c.records, c.several) for key, c in of.items()} for kind, of in seen.counts.items()}
    found = judged(counts, knowledge, found_trial.products)
    found.subjects = None if enrolment is None else len(set(read.subjects.values()))
    found.overflow, found.rejected, found.not_read = dict(seen.overflow), dict(seen.rejected), dict(seen.not_read)
    return found


def site_folder(site: str | None, enrolment: str | None) -> Path | None:
    """Return the folder of the site's own maps: as told, else `site` beside the log, None where neither is given."""
    if site is not None:
        return Path(site)
    return Path(enrolment).absolute().parent / "site" if enrolment is not None else None


def _reading(
    files: Sequence[InputFile],
    enrolment: str | None,
    trial: Trial,
    keyer: Keyer,
    clock: SiteClock,
    own: frozenset[str],
    progress: Progress,
) -> Reading:
    """Return the surroundings of the readers: who counts, and what Medications and products are called."""
    spelled = trial.log
    log = (
        read_enrolment(
            Path(enrolment), trial.arm_spellings(), spelled.columns, spelled.withdrawal_types, spelled.criterion_prefix
        )
        if enrolment is not None
        else []
    )
    wanted = frozenset(log_key(row.patient, keyer, own) for row in log)
    known = Identities()
    for lines in _ranges(files, own, "identify", progress):
        known.add(identify(lines, keyer, clock, wanted, own))
    if enrolment is None:
        return Reading(clock, keyer, _Everyone(), known.look_ups, trial.extensions.lot, own)
    subjects = resolve_subjects(log, known, keyer, trial.study.id, own)
    number = {key: i for i, s in enumerate(subjects) for key in s.identities}
    return Reading(clock, keyer, number, known.look_ups, trial.extensions.lot, own, borne(known, subjects))


def _ranges(files: Sequence[InputFile], own: frozenset[str], stage: str, progress: Progress) -> Iterator[Any]:
    """Yield the lines of every range of every file."""
    ranges = [(f.path, a, b) for f in files for a, b in ranges_of(f.path, f.size, RANGE_BYTES)]
    progress(stage, 0, len(ranges))
    for done, (path, start, stop) in enumerate(ranges, 1):
        yield open_range(path, start, stop, own)
        progress(stage, done, len(ranges))

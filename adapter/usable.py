"""From stored rows to usable facts: latest version, status, data cut. What falls away is counted under its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from adapter.identify import Subject
from adapter.intake.tables import TABLES, schema_of
from adapter.records import Facts
from adapter.store.latest import latest_versions

KEYED = ("pat", "rid", "sha", "specimen", "replaced_by")
DAY_MICROS = 86_400_000_000
FARTHEST_ZONE = 14 * 3_600_000_000

_EVENT = {
    "entered-in-error": "status-entered-in-error",
    "unknown": "status-unknown",
    "preparation": "status-planned",
}
STATUS: dict[str, dict[str, str]] = {
    "Observation": {
        "entered-in-error": "status-entered-in-error",
        "cancelled": "status-cancelled",
        "unknown": "status-unknown",
        "registered": "status-not-final",
        "preliminary": "status-not-final",
    },
    "MedicationAdministration": _EVENT,
    "Procedure": _EVENT,
    "Specimen": {"entered-in-error": "status-entered-in-error"},
    "Consent": {"entered-in-error": "status-entered-in-error", "draft": "status-planned", "proposed": "status-planned"},
}
"""FHIR status -> why a resource with it is not used. Every other status may be used (fhir-input points 1 and 4)."""


NO_PROOF = frozenset(
    "entered-in-error cancelled unknown registered preparation not-done on-hold".split()
)
"""Statuses that do not show that the subject was there on the day."""

CLINICAL = ("Observation", "MedicationAdministration", "Procedure", "Patient", "Consent")
"""Resource types whose dates make the default data cut; a ResearchSubject's period may end in plans."""

PROOFS = frozenset({"Observation", "MedicationAdministration", "Procedure"})


@dataclass(slots=True)
class Usable:
    """Facts per resource type, and how many resources fell away, by (resource type, reason).

    latest: the last site day on which a usable fact is dated, of those that are believable; None without any.
    last_seen: USUBJID -> last site day that proves the subject was seen or alive (protocol §6).
    ties: keyed ids of resources whose latest version cannot be told from a different copy.
    """

    facts: dict[str, Facts] = field(default_factory=dict)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    latest: int | None = None
    ties: list[tuple[str, bytes]] = field(default_factory=list)
    last_seen: dict[str, int] = field(default_factory=dict)


def usable_facts(
    tables: Mapping[str, pa.Table],
    subjects: Sequence[Subject],
    subject_cuts: Sequence[int],
    cut: int,
    preliminary: bool,
    future_days: int,
) -> Usable:
    """Return the usable facts of some subjects.

    tables: stored rows by resource type, of these subjects and perhaps others, whose rows are left alone.
    subject_cuts: each subject's own last day (withdrawal of consent), a large number where there is none.
    preliminary: preliminary Observations may be used; future_days: how far past lastUpdated a date is believed.
    """
    number = {key: i for i, s in enumerate(subjects) for key in s.identities}
    names = np.array([s.usubjid for s in subjects], dtype=object)
    cuts = np.minimum(np.array(subject_cuts, dtype=np.int64), cut)
    found = Usable()
    for kind in TABLES:
        stored = tables.get(kind)
        table = _own_rows(stored if stored is not None else schema_of(kind).empty_table(), number)
        latest = latest_versions(table)
        found.dropped[kind, "duplicate-copy"] += latest.duplicate_copies
        found.dropped[kind, "superseded-version"] += latest.superseded
        rids = table.column("rid")
        found.ties += [(kind, rids[int(i)].as_py()) for i in latest.ties]
        table = table.take(pa.array(latest.rows))
        if kind in PROOFS:
            _see(kind, table, number, names, cuts, future_days, found)
        table = _by_status(kind, table, preliminary, found)
        owner = _owners(table, number)
        future = _in_future(table, future_days)
        table, owner, future = _by_cut(kind, table, owner, future, cuts, cut, found)
        _note(table, owner, future, cuts, names, kind, found)
    return found


def _own_rows(table: pa.Table, number: Mapping[bytes, int]) -> pa.Table:
    encoded = table.column("pat").combine_chunks().dictionary_encode()
    mine = np.array([key in number for key in encoded.dictionary.to_pylist()], dtype=bool)
    if mine.all():
        return table
    return table.filter(pa.array(mine[encoded.indices.to_numpy()]))


def _owners(table: pa.Table, number: Mapping[bytes, int]) -> npt.NDArray[np.int64]:
    encoded = table.column("pat").combine_chunks().dictionary_encode()
    return np.array([number[k] for k in encoded.dictionary.to_pylist()], dtype=np.int64)[encoded.indices.to_numpy()]


def _count(found: Usable, kind: str, reason: str, table: pa.Table, lost: npt.NDArray[np.bool_]) -> None:
    """Count the resources (not rows) that are lost: a component falls together with its Observation."""
    whole = lost & (np.asarray(pc.equal(table.column("element"), "").to_numpy(zero_copy_only=False), dtype=bool))
    n = int(whole.sum())
    if n:
        found.dropped[kind, reason] += n


def _see(
    kind: str,
    table: pa.Table,
    number: Mapping[bytes, int],
    names: npt.NDArray[np.object_],
    cuts: npt.NDArray[np.int64],
    future_days: int,
    found: Usable,
) -> None:
    """Keep each subject's last day of proof: the start, or the end of what is finished; preliminary results count too."""
    owner = _owners(table, number)
    proves = ~table.column("status").to_pandas().isin(NO_PROOF).to_numpy() & ~_in_future(table, future_days)
    for name in ("day", "end_day"):
        days = _days(table, name)
        kept = proves & ~np.isnan(days)
        if name == "end_day":
            kept &= table.column("status").to_pandas().isin(["completed", "final", "amended", "corrected"]).to_numpy()
        kept &= np.where(np.isnan(days), False, days <= cuts[owner])
        for i, day in pd.Series(days[kept]).groupby(owner[kept]).max().items():
            usubjid = names[int(i)]
            found.last_seen[usubjid] = max(found.last_seen.get(usubjid, int(day)), int(day))


def _by_status(kind: str, table: pa.Table, preliminary: bool, found: Usable) -> pa.Table:
    reasons = dict(STATUS.get(kind, {}))
    if preliminary:
        reasons.pop("preliminary", None)
    if not reasons or not table.num_rows:
        return table
    status = table.column("status").to_pandas().map(reasons)
    lost = status.notna().to_numpy()
    for reason in sorted(set(status.dropna())):
        _count(found, kind, reason, table, (status == reason).to_numpy())
    return table.filter(pa.array(~lost)) if lost.any() else table


def _days(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    values: npt.NDArray[np.float64] = table.column(name).to_pandas().to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _in_future(table: pa.Table, days: int) -> npt.NDArray[np.bool_]:
    """Return which rows are dated after their own meta.lastUpdated by more than `days`, whatever the time zone."""
    updated = table.column("updated").to_pandas().to_numpy(dtype=np.float64, na_value=np.nan)
    limit = np.floor((updated + FARTHEST_ZONE) / DAY_MICROS) + days
    return (_days(table, "day") > limit) | (_days(table, "end_day") > limit)


def _by_cut(
    kind: str,
    table: pa.Table,
    owner: npt.NDArray[np.int64],
    future: npt.NDArray[np.bool_],
    cuts: npt.NDArray[np.int64],
    cut: int,
    found: Usable,
) -> tuple[pa.Table, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    if kind == "Patient" or not table.num_rows:  # a patient has no date of his own; his death is cut below
        return table, owner, future
    start = _days(table, "day")
    first = np.where(np.isnan(start), _days(table, "end_day"), start)
    late = first > cuts[owner]
    if not late.any():
        return table, owner, future
    _count(found, kind, "after-data-cut", table, late & (first > cut))
    _count(found, kind, "after-withdrawal", table, late & (first <= cut))
    return table.filter(pa.array(~late)), owner[~late], future[~late]


def _note(
    table: pa.Table,
    owner: npt.NDArray[np.int64],
    future: npt.NDArray[np.bool_],
    cuts: npt.NDArray[np.int64],
    names: npt.NDArray[np.object_],
    kind: str,
    found: Usable,
) -> None:
    """Make the Facts; blank what lies after the cut inside a record that stays, and note it."""
    keyed = table.select([c for c in KEYED if c in table.column_names])
    frame = table.drop_columns(keyed.column_names).to_pandas()
    frame["USUBJID"] = pd.Series(names[owner], dtype="str") if len(owner) else pd.Series(dtype="str")
    first, last = _days(table, "day"), _days(table, "end_day")
    if kind == "Patient":
        late = first > cuts[owner]
        frame.loc[late, ["dtc", "day", "micros", "deceased"]] = None
        first = np.where(late, np.nan, first)
    ends_late = (last > cuts[owner]) & ~np.isnan(first)
    if ends_late.any():
        frame.loc[ends_late, ["end_dtc", "end_day", "end_micros"]] = None
        _add_note(frame, ends_late, "end-after-cut@end")
        last = np.where(ends_late, np.nan, last)
    _add_note(frame, future, "date-in-future@date")
    seen = np.concatenate([first[~future], last[~future]])
    seen = seen[~np.isnan(seen)]
    if len(seen):
        found.latest = max(found.latest if found.latest is not None else int(seen.max()), int(seen.max()))
    found.facts[kind] = Facts(kind, frame, keyed)


def _add_note(frame: pd.DataFrame, where: npt.NDArray[np.bool_], note: str) -> None:
    if where.any():
        before = frame.loc[where, "notes"].fillna("")
        frame.loc[where, "notes"] = (before + "\n" + note).str.lstrip("\n")


def last_believable_day(
    tables: Mapping[str, pa.Table],
    subjects: Sequence[Subject],
    subject_cuts: Sequence[int],
    preliminary: bool,
    future_days: int,
) -> int | None:
    """Return the last site day of any usable fact of some subjects, None without any (protocol §2, data cut).

    Facts after a subject's own cut and implausible future dates do not count. Reads few columns, so that finding the
    default cut costs little.
    """
    number = {key: i for i, s in enumerate(subjects) for key in s.identities}
    cuts = np.array(subject_cuts, dtype=np.int64)
    last: int | None = None
    for kind, stored in tables.items():
        if kind not in CLINICAL:
            continue
        table = _own_rows(stored, number)
        table = table.take(pa.array(latest_versions(table).rows))
        table = _by_status(kind, table, preliminary, Usable())
        kept = ~_in_future(table, future_days)
        own = cuts[_owners(table, number)]
        for name in ("day", "end_day"):
            days = _days(table, name)
            days = days[kept & ~np.isnan(days) & (np.nan_to_num(days) <= own)]
            if len(days):
                last = max(int(days.max()), last if last is not None else int(days.max()))
    return last

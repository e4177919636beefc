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
from adapter.intake.tables import CARRIED, DELETION, TABLES, schema_of
from adapter.records import Facts
from adapter.results_in_reports import Lost, merged, places_of, with_results
from adapter.statuses import CLINICAL, FINISHED, NO_PROOF, PROOFS, STATUS
from adapter.store.elsewhere import OWNERS, about_others, without_deleted
from adapter.store.latest import latest_versions

KEYED = ("pat", "rid", "sha", "specimen", "replaced_by")
DAY_MICROS = 86_400_000_000
FARTHEST_ZONE = 14 * 3_600_000_000


@dataclass(slots=True)
class Usable:
    """Facts per resource type, and how many resources fell away, by (resource type, reason).

    last_seen: USUBJID -> last site day that proves the subject was seen or alive (protocol §6).
    ties: keyed ids of resources whose latest version cannot be told from a different copy.
    lost: (file, line) of a report -> why the first of the results that it contains is not usable.
    """

    facts: dict[str, Facts] = field(default_factory=dict)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    ties: list[tuple[str, bytes]] = field(default_factory=list)
    last_seen: dict[str, int] = field(default_factory=dict)
    lost: Lost = field(default_factory=dict)


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
        table, found.dropped[kind, "deleted-by-hospital"] = without_deleted(table, tables.get(DELETION))
        latest = latest_versions(table)
        found.dropped[kind, "duplicate-copy"] += latest.duplicate_copies
        found.dropped[kind, "superseded-version"] += latest.superseded
        rids = table.column("rid")
        found.ties += [(kind, rids[int(i)].as_py()) for i in latest.ties]
        table = table if len(latest.rows) == table.num_rows else table.take(pa.array(latest.rows))
        table, others = with_results(table) if kind in CARRIED else (table, None)
        if "specimen" in table.column_names:
            table = about_others(table, tables.get(OWNERS), number)
        if kind in PROOFS:
            _see(kind, table, number, names, cuts, future_days, found)
        table = _by_status(kind, table, preliminary, found)
        owner = _owners(table, number)
        future = _in_future(table, future_days)
        table, owner, future = _by_cut(kind, table, owner, future, cuts, cut, found)
        _note(table, owner, future, cuts, cut, names, kind, found)
        if others is not None:
            aside, none = Usable(), np.zeros(others.num_rows, dtype=bool)
            _note(others, _owners(others, number), none, cuts, cut, names, kind, aside)
            merged(found.facts, kind, aside.facts[kind], found.lost)
    return found


def _own_rows(table: pa.Table, number: Mapping[bytes, int]) -> pa.Table:
    encoded = table.column("pat").combine_chunks().dictionary_encode()
    mine = np.array([key in number for key in encoded.dictionary.to_pylist()], dtype=bool)
    if mine.all():
        return table
    return table.filter(pa.array(mine[encoded.indices.to_numpy()]))


def _owners(table: pa.Table, number: Mapping[bytes, int]) -> npt.NDArray[np.int64]:
    encoded = table.column("pat").combine_chunks().dictionary_encode()
    owners = np.array([number[k] for k in encoded.dictionary.to_pylist()], dtype=np.int64)
    return owners[np.asarray(encoded.indices.to_numpy(), dtype=np.int64)]


def _count(found: Usable, kind: str, reason: str, table: pa.Table, lost: npt.NDArray[np.bool_]) -> None:
    """Count the resources (not rows) that are lost: a component falls together with its Observation."""
    whole = lost & (np.asarray(pc.equal(table.column("element"), "").to_numpy(zero_copy_only=False), dtype=bool))
    n = int(whole.sum())
    if n:
        found.dropped[kind, reason] += n
    if kind in CARRIED:  # the report itself is accounted for when it is known what is left of it
        for place in places_of(table, lost):
            found.lost.setdefault(place, reason)


def _see(
    kind: str,
    table: pa.Table,
    number: Mapping[bytes, int],
    names: npt.NDArray[np.object_],
    cuts: npt.NDArray[np.int64],
    future_days: int,
    found: Usable,
) -> None:
    """Keep each subject's last day of proof: the start, or the end of what is finished; also preliminary results."""
    owner = _owners(table, number)
    status = table.column("status").to_pandas()
    proves = ~status.isin(NO_PROOF).to_numpy() & ~_in_future(table, future_days)
    proves &= (status != "on-hold").to_numpy() | _some_given(table)
    if "focus" in table.column_names:  # a donor's or a lot's result says nothing about the patient
        proves &= ~np.asarray(table.column("focus").fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)
    finished = status.isin(FINISHED).to_numpy()
    for name, when in (("day", proves), ("end_day", proves & finished)):
        days = _days(table, name)
        kept = when & (np.nan_to_num(days, nan=np.inf) <= cuts[owner])
        last = np.full(len(names), -np.inf)
        np.maximum.at(last, owner[kept], days[kept])
        for i in np.flatnonzero(last > -np.inf).tolist():
            usubjid, day = str(names[i]), int(last[i])
            found.last_seen[usubjid] = max(found.last_seen.get(usubjid, day), day)


def _some_given(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which events have a dose, a rate or an elapsed period: a part of them took place (fhir-input point 1)."""
    some = np.zeros(table.num_rows, dtype=bool)
    for name in ("dose", "rate", "end_dtc"):
        if name in table.column_names:
            there = np.asarray(table.column(name).is_valid().to_numpy(zero_copy_only=False), dtype=bool)
            if (
                name == "end_dtc" and "end_micros" in table.column_names
            ):  # begun and ended at one instant: nothing elapsed
                at_once = pc.equal(table.column("micros"), table.column("end_micros")).fill_null(False)
                there = there & ~np.asarray(at_once.to_numpy(zero_copy_only=False), dtype=bool)
            some |= there
    return some


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


def _first_days(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """Return the days of a column; for a partial date the first day it may mean: `2030` is after a cut in 2024."""
    days = _days(table, name)
    text = name.removesuffix("day") + "dtc"
    if text not in table.column_names:
        return days
    partial = np.isnan(days) & np.asarray(table.column(text).is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    if partial.any():
        texts = table.column(text).filter(pa.array(partial)).to_pylist()
        days = days.copy()
        days[partial] = np.array([(t + "-01-01")[:10] for t in texts], dtype="datetime64[D]").astype(np.float64)
    return days


OTHERWISE = ("end_day", "detected_day", "recorded_day")
"""What dates a fact whose start is not told."""


def _told_first(table: pa.Table) -> npt.NDArray[np.float64]:
    """Return the day of each row's fact: its start, else its end, else when it was detected or recorded."""
    first = _first_days(table, "day")
    for name in OTHERWISE:
        if np.isnan(first).any():
            first = np.where(np.isnan(first), _first_days(table, name), first)
    return first


def _in_future(table: pa.Table, days: int) -> npt.NDArray[np.bool_]:
    """Return which rows are dated after their own meta.lastUpdated by more than `days`, whatever the time zone."""
    updated = table.column("updated").to_pandas().to_numpy(dtype=np.float64, na_value=np.nan)
    limit = np.floor((updated + FARTHEST_ZONE) / DAY_MICROS) + days
    future: npt.NDArray[np.bool_] = (_first_days(table, "day") > limit) | (_first_days(table, "end_day") > limit)
    return future


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
    first = _told_first(table)
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
    cut: int,
    names: npt.NDArray[np.object_],
    kind: str,
    found: Usable,
) -> None:
    """Make the Facts; blank what lies after the cut inside a record that stays, and note it."""
    keyed = table.select([c for c in KEYED if c in table.column_names])
    frame = table.drop_columns(keyed.column_names).to_pandas()
    frame["USUBJID"] = pd.Series(names[owner], dtype="str") if len(owner) else pd.Series(dtype="str")
    if kind == "Patient":
        death = _first_days(table, "day")
        late = death > cuts[owner]
        frame["deceased"] = frame["deceased"].astype(object)  # without a gap it comes as bool, which takes no None
        frame.loc[late, ["dtc", "day", "micros", "deceased"]] = None
        # what became of somebody who took consent back is not told, not even that something did
        _add_note(frame, late & (cuts[owner] == cut), "death-after-cut@deceasedDateTime")
        future = future & ~late
    else:
        late = _first_days(table, "end_day") > cuts[owner]
        if late.any():
            frame.loc[late, ["end_dtc", "end_day", "end_micros"]] = None
            if "open" in frame:  # on the day of the cut it went on, and nobody knew yet how it would end
                frame.loc[late, "open"] = True
                frame.loc[late & (frame["status"] == "stopped").to_numpy(), "status"] = "in-progress"
            _add_note(frame, late, "end-after-cut@end")
        for name in ("detected_", "recorded_"):
            unknown_yet = _first_days(table, f"{name}day") > cuts[owner]
            if unknown_yet.any():
                frame.loc[unknown_yet, [f"{name}dtc", f"{name}day", f"{name}micros"]] = None
    _add_note(frame, future, "date-in-future@date")
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

    Facts after a subject's own cut and implausible future dates do not count; a partial date counts with the first day
    it may mean, where the tables hold its text. Reads few columns, so that finding the default cut costs little.
    """
    number = {key: i for i, s in enumerate(subjects) for key in s.identities}
    cuts = np.array(subject_cuts, dtype=np.int64)
    last: int | None = None
    for kind, stored in tables.items():
        if kind not in CLINICAL:
            continue
        table, _ = without_deleted(_own_rows(stored, number), tables.get(DELETION))
        table = table.take(pa.array(latest_versions(table).rows))
        table = _by_status(kind, table, preliminary, Usable())
        kept = ~_in_future(table, future_days)
        own = cuts[_owners(table, number)]
        for days in (_told_first(table), _first_days(table, "end_day")):
            days = days[kept & (np.nan_to_num(days, nan=np.inf) <= own)]
            if len(days):
                last = max(int(days.max()), last if last is not None else int(days.max()))
    return last

"""Closing the accounts: every resource that was looked at is used, or dropped under one reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from adapter.reasons import REASONS, kind_of
from adapter.records import Facts, Records

WEAK = ("panel-without-value", "no-own-results", "not-needed")
"""Reasons that give way to that of another row of the same resource."""


class Issue(NamedTuple):
    """One line of data-issues.csv."""

    usubjid: str
    dataset: str
    seq: str
    rid: str
    code: str
    message: str


class Refused(NamedTuple):
    """One reject found while mapping: the resource came through intake, its content cannot be used."""

    file: int
    line: int
    resource_type: str
    rid: bytes
    reason: str
    where: str


@dataclass(slots=True)
class Accounts:
    """used: resource type -> resources; dropped: (resource type, reason) -> resources.

    unmapped: (kind, code, text, used) -> records or rows.
    """

    used: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    unmapped: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)

    def add(self, other: Accounts) -> None:
        self.used += other.used
        self.dropped += other.dropped
        self.refused += other.refused
        self.issues += other.issues
        self.unmapped += other.unmapped


def close(
    facts: Mapping[str, Facts], records: Mapping[str, Records], sequences: Mapping[str, pd.Series[Any]]
) -> Accounts:
    """Return the accounts of some subjects.

    sequences: dataset -> (index label of its records frame -> --SEQ), for the records that issues point to.
    """
    accounts = Accounts()
    carried: dict[str, list[_Part]] = {}
    for kind, f in facts.items():
        if not len(f.frame):
            continue
        used = np.zeros(len(f.frame), dtype=bool)
        reason = f.frame["why"].fillna("") if "why" in f.frame else pd.Series("", index=f.frame.index, dtype="str")
        for r in records.values():
            used[_rows_of(r.frame, kind)] = True
            if r.parents is not None:
                used[_rows_of(r.parents, kind)] = True
            if kind in r.dropped:
                given = r.dropped[kind]
                reason.loc[given.index] = reason.loc[given.index].where(reason.loc[given.index] != "", given)
        for carrier, part in _by_carrier(kind, _Part(f.frame, f.keyed.column("rid"), used, reason)):
            carried.setdefault(carrier, []).append(part)
    for carrier, parts in carried.items():
        _settle(carrier, _together(parts), accounts)
    for name, r in records.items():
        _issues(name, r, facts, sequences.get(name), accounts)
        if r.unmapped is not None:
            u = r.unmapped
            used = np.where(u["used"].to_numpy(dtype=bool), "Y", "N").tolist()
            accounts.unmapped.update(zip(u["kind"].tolist(), u["code"].tolist(), u["text"].tolist(), used, strict=True))
    return accounts


def _rows_of(frame: pd.DataFrame, kind: str) -> Any:
    if "resource" not in frame or not len(frame):
        return np.empty(0, dtype=np.int64)
    rows = frame.loc[frame["resource"] == kind, "row"].to_numpy(dtype=np.int64)
    return rows[rows >= 0]


class _Part(NamedTuple):
    """Rows of one resource type: their places, keyed ids, whether a domain used them, and why not."""

    frame: pd.DataFrame
    rids: pa.ChunkedArray
    used: npt.NDArray[np.bool_]
    reason: pd.Series[str]


def _by_carrier(kind: str, p: _Part) -> list[tuple[str, _Part]]:
    """Return rows by the resource type that they came in: a result may stand inside a report."""
    if "carrier" not in p.frame:
        return [(kind, p)]
    found = []
    for carrier in p.frame["carrier"].unique():
        mine = (p.frame["carrier"] == carrier).to_numpy(dtype=bool)
        part = _Part(p.frame[mine], p.rids.filter(pa.array(mine)), p.used[mine], p.reason[mine])
        found.append((str(carrier) or kind, part))
    return found


def _together(parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    places = pd.concat([p.frame[["file", "line", "element"]] for p in parts], ignore_index=True)
    rids = pa.chunked_array([c for p in parts for c in p.rids.chunks], parts[0].rids.type)
    used = np.concatenate([p.used for p in parts])
    return _Part(places, rids, used, pd.concat([p.reason for p in parts], ignore_index=True))


def _settle(kind: str, p: _Part, accounts: Accounts) -> None:
    """Count each resource once: used where any of its rows is, else under the reason of its first row that has one."""
    frame, reason = p.frame, p.reason
    resource = frame.groupby(["file", "line"], sort=False).ngroup().to_numpy()
    any_used = np.zeros(resource.max() + 1, dtype=bool)
    np.logical_or.at(any_used, resource, p.used)
    accounts.used[kind] += int(any_used.sum())
    rest = ~any_used[resource]
    if rest.any():
        left = pd.DataFrame({"resource": resource[rest], "reason": reason[rest].to_numpy()})
        left.loc[left["reason"] == "", "reason"] = "not-needed"
        # a group's own row says panel-without-value; where a component has a reason of its own, that one counts
        left["weak"] = left["reason"].isin(WEAK)
        first = left.sort_values(["resource", "weak"], kind="stable").drop_duplicates("resource")
        for code, n in first["reason"].value_counts(sort=False).items():
            accounts.dropped[kind, str(code)] += int(n)
    rejected = reason.isin([c for c in REASONS if kind_of(c) == "reject"]) & ~p.used
    for row in np.flatnonzero(rejected.to_numpy()).tolist():
        file, line, element = (frame[c].iloc[row] for c in ("file", "line", "element"))
        where = (int(file), int(line), kind, p.rids[row].as_py(), str(reason.iloc[row]), str(element))
        accounts.refused.append(Refused(*where))


def _issues(name: str, r: Records, facts: Mapping[str, Facts], seq: pd.Series[Any] | None, accounts: Accounts) -> None:
    """Add what the records function reported, and what intake noted on elements of the records' resources."""
    if r.issues is not None and len(r.issues):
        record = r.issues["record"].to_numpy()
        known = r.frame[r.frame.index.isin(record)]
        rids = dict(zip(known.index, _rids(known, facts), strict=True))
        own = _rids(r.issues, facts) if "row" in r.issues else [""] * len(record)
        columns = (r.issues[c].tolist() for c in ("USUBJID", "code", "message"))
        for label, number, own_rid, usubjid, code, message in zip(
            record, _numbers(seq, record), own, *columns, strict=True
        ):
            rid = rids.get(label, "") or own_rid
            accounts.issues.append(Issue(str(usubjid), name, number, rid, str(code), str(message)))
    if "notes" not in r.frame:
        return
    noted = r.frame[r.frame["notes"].notna() & (r.frame["notes"] != "")]
    columns = (noted[c].tolist() for c in ("USUBJID", "resource", "notes"))
    numbers, ids = _numbers(seq, noted.index.to_numpy()), _rids(noted, facts)
    for number, rid, usubjid, kind, notes in zip(numbers, ids, *columns, strict=True):
        for note in notes.split("\n"):
            code, _, where = note.partition("@")
            message = f"{REASONS[code].meaning} ({kind}.{where})"
            accounts.issues.append(Issue(str(usubjid), name, number, rid, code, message))


def _numbers(seq: pd.Series[Any] | None, labels: npt.NDArray[Any]) -> list[str]:
    """Return --SEQ of records as text, empty where a record has none."""
    if seq is None:
        return [""] * len(labels)
    return ["" if np.isnan(n) else str(int(n)) for n in seq.reindex(labels).to_numpy(dtype=np.float64)]


def _rids(frame: pd.DataFrame, facts: Mapping[str, Facts]) -> list[str]:
    """Return the keyed id, in hex, of the resource each record came from; empty where it came from none."""
    found = [""] * len(frame)
    if "row" not in frame:
        return found
    for i, (kind, row) in enumerate(zip(frame["resource"].tolist(), frame["row"].tolist(), strict=True)):
        if row >= 0:
            found[i] = facts[kind].keyed.column("rid")[int(row)].as_py().hex()
    return found

"""Joins records that RELREC relates (SDTMIG 3.4 §8.2): record to record by IDVARVAL, or dataset to dataset by IDVAR."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adapter.check.columns import Bools, Column, Ints, same_as, stack
from adapter.check.dataset import Dataset
from adapter.check.frame import Fetch, Frame
from adapter.check.keys import comparable, join
from adapter.check.rule_model import Match
from adapter.check.world import Skip, World

NEEDED = ("RDOMAIN", "IDVAR", "IDVARVAL", "RELID")
Pairs = tuple[Ints, Ints]


def with_related(match: Match, frame: Frame, d: Dataset, world: World) -> Frame:
    """Return the related records of a dataset, each with the columns of the one it is related to.

    They come as `RELREC.` and the variable's name, in which the other dataset's prefix is replaced by the match's
    wildcard (`**` unless it says another): RELREC.**TERM. Records without a relation do not come.
    """
    relrec = world.package.frame_of("RELREC")
    for name in NEEDED:
        if name not in relrec:
            raise Skip(f"RELREC has no {name}")
    found = list(_related(frame, relrec, d, world))
    rows = np.concatenate([r for r, _, _ in found]) if found else np.zeros(0, dtype=np.int64)
    given: dict[str, list[tuple[Frame, str, int, Ints]]] = {}
    start = 0
    for _, others, whole in found:
        other, prefix = world.package.frame_of(whole), world.package.parts_of(whole)[0].prefix
        for name in other.names:
            given.setdefault(_shown(name, prefix, match.wildcard, world), []).append((other, name, start, others))
        start += len(others)
    more: dict[str, Column | Fetch] = {shown: _collected(parts, len(rows)) for shown, parts in given.items()}
    return frame.take(rows).with_columns(more)


def _shown(name: str, prefix: str, wildcard: str, world: World) -> str:
    if prefix and name.startswith(prefix) and f"--{name[len(prefix) :]}" in world.library.wildcards:
        name = wildcard + name[len(prefix) :]
    return f"RELREC.{name}"


def _pairs(relrec: Frame, d: Dataset) -> Pairs:
    """Return pairs of rows of RELREC: one of this domain and another of the same relationship."""
    domain = relrec["RDOMAIN"].as_text()
    own = domain.per_value(lambda v: v == (d.domain or d.name), False)
    mine, others = np.flatnonzero(own), np.flatnonzero(~own & ~domain.null)
    keys = [relrec[k] for k in ("STUDYID", "RELID") if k in relrec]
    left, right = join([k.take(mine) for k in keys], [k.take(others) for k in keys])
    left, right = mine[left], others[right]
    subject = _texts(relrec, "USUBJID").coded
    same = subject[left] == subject[right]
    return left[same], right[same]


def _texts(frame: Frame, name: str) -> Column:
    if name in frame:
        return frame[name].as_text()
    return Column(np.full(frame.rows, -1, dtype=np.int32), np.array([], dtype=object))


def _related(frame: Frame, relrec: Frame, d: Dataset, world: World) -> Iterator[tuple[Ints, Ints, str]]:
    """Return pairs of records per kind of relation: the other domain, the two variables, with values, with a subject."""
    left, right = _pairs(relrec, d)
    domain, variable, value = (_texts(relrec, n) for n in ("RDOMAIN", "IDVAR", "IDVARVAL"))
    subject = _texts(relrec, "USUBJID")
    by_value = (value.coded[left] >= 0) & (value.coded[right] >= 0)
    kinds = np.stack(
        [domain.coded[right], variable.coded[left], variable.coded[right], by_value, subject.coded[left] >= 0], axis=1
    )
    for kind in np.unique(kinds, axis=0) if len(kinds) else ():
        other_domain, a, b, with_values, with_subject = (int(k) for k in kind)
        if min(other_domain, a, b) < 0:
            continue
        whole = world.package.find(str(domain.distinct[other_domain]))
        names = str(variable.distinct[a]), str(variable.distinct[b])
        if whole is None or names[0] not in frame or names[1] not in world.package.frame_of(whole):
            continue
        mine = np.all(kinds == kind, axis=1)
        pairs = left[mine], right[mine]
        other = world.package.frame_of(whole)
        how = _by_value if with_values else _by_variable
        rows, others = how(frame, other, relrec, pairs, names, bool(with_subject))
        yield rows, others, whole


def _by_value(
    frame: Frame, other: Frame, relrec: Frame, pairs: Pairs, names: tuple[str, str], with_subject: bool
) -> Pairs:
    """Relate the records whose variables hold the values of each pair of rows of RELREC."""
    sides = []
    for side, rows, name in ((frame, pairs[0], names[0]), (other, pairs[1], names[1])):
        wanted, held = [comparable(relrec["IDVARVAL"]).take(rows)], [comparable(side[name])]
        if with_subject and "USUBJID" in side:
            wanted.append(relrec["USUBJID"].take(rows))
            held.append(side["USUBJID"])
        sides.append(join(wanted, held))
    (pair_a, row_a), (pair_b, row_b) = sides
    a, b = join([Column(numbers=pair_a.astype(np.float64))], [Column(numbers=pair_b.astype(np.float64))])
    rows, others = row_a[a], row_b[b]
    same = _same_subject(frame, other, rows, others)
    return rows[same], others[same]


def _same_subject(frame: Frame, other: Frame, rows: Ints, others: Ints) -> Bools:
    if "USUBJID" not in frame or "USUBJID" not in other:
        return np.ones(len(rows), dtype=bool)
    return same_as(frame["USUBJID"].take(rows), other["USUBJID"].take(others))


def _by_variable(
    frame: Frame, other: Frame, relrec: Frame, pairs: Pairs, names: tuple[str, str], with_subject: bool
) -> Pairs:
    """Relate all records of two datasets that share the value of a variable each, subject by subject."""
    keys = [k for k in ("STUDYID", "USUBJID") if k in frame and k in other]
    left, right = [frame[k] for k in keys], [other[k] for k in keys]
    rows, others = join([*left, comparable(frame[names[0]])], [*right, comparable(other[names[1]])])
    if with_subject and "USUBJID" in frame:
        named = set(_cells(relrec["USUBJID"], pairs[0]))
        kept = frame["USUBJID"].as_text().per_value(lambda v: v in named, False)[rows]
        rows, others = rows[kept], others[kept]
    return rows, others


def _cells(column: Column, rows: Ints) -> list[str]:
    text = column.as_text()
    return [str(text.distinct[c]) for c in np.unique(text.coded[rows]) if c >= 0]


def _collected(given: list[tuple[Frame, str, int, Ints]], rows: int) -> Fetch:
    """Return what fetches one column that the related datasets give for their own stretch of rows."""

    def fetch() -> Column:
        columns = [f[name].take(others) for f, name, _, others in given]
        at = np.full(rows, -1, dtype=np.int64)
        done = 0
        for (_, _, start, _), column in zip(given, columns, strict=True):
            at[start : start + len(column)] = np.arange(done, done + len(column))
            done += len(column)
        return stack(columns).take(at)

    return fetch

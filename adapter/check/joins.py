"""Match Datasets: adds the columns of other datasets to the rows of one, by keys, by RELREC, or by IDVAR and IDVARVAL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from adapter.check.columns import Column, Ints, stack
from adapter.check.dataset import Dataset
from adapter.check.frame import Fetch, Frame
from adapter.check.keys import comparable, first_of, join
from adapter.check.relrec import with_related
from adapter.check.rule_model import Match, Rule
from adapter.check.supplemental import with_supplement
from adapter.check.world import Skip, World


def matched(rule: Rule, frame: Frame, d: Dataset, world: World) -> Frame:
    """Return the frame with the datasets of a rule joined to it.

    Raises Skip where a dataset to match with is not there, or a key is no column.
    """
    done: set[str] = set()
    for match in rule.matches:
        if match.child:
            frame = _with_parents(match, frame, d, world)
            continue
        name = _other_name(match, d)
        whole = world.package.find(name)
        if whole is None:
            raise Skip(f"there is no dataset {name} to match with")
        if whole in done or whole == d.whole:
            continue
        done.add(whole)
        if match.name == "RELREC":
            frame = with_related(match, frame, d, world)
        elif match.name.startswith(("SUPP", "SQ")):
            frame = with_supplement(frame, world.package.frame_of(whole), whole)
        else:
            frame = _by_keys(match, frame, world.package.frame_of(whole), d, whole, _qualified(rule, match.name))
    return frame


def _other_name(match: Match, d: Dataset) -> str:
    return f"SUPP{d.domain or d.name}" if match.name == "SUPP--" and not d.supplemental else match.name


def _qualified(rule: Rule, name: str) -> set[str]:
    """Return the variables that the rule names as `DATASET.VARIABLE`; they get no other name."""
    named = [n for leaf in rule.leaves() for n in (leaf.name, leaf.value) if isinstance(n, str)]
    return {n.removeprefix(f"{name}.") for n in [*named, *rule.outputs] if n.startswith(f"{name}.")}


def _by_keys(match: Match, left: Frame, right: Frame, d: Dataset, whole: str, qualified: set[str]) -> Frame:
    pairs = [(d.expand(a), b.replace("--", whole)) for a, b in match.keys]
    for a, b in pairs:
        if a not in left or b not in right:
            raise Skip(f"the key {a if a not in left else b} is no variable of {d.name if a not in left else whole}")
    if not pairs:
        raise Skip(f"Match Datasets names no keys for {match.name}")
    rows, others = join([left[a] for a, _ in pairs], [right[b] for _, b in pairs], keep=match.how == "left")
    return beside(left, right, rows, others, match.name, qualified)


def beside(left: Frame, right: Frame, rows: Ints, others: Ints, name: str, qualified: set[str]) -> Frame:
    """Return rows of one frame with rows of another at their side; -1 in `others` is no row.

    The other's columns come under their own names where the first frame has none of that name, else as `VAR.NAME`;
    those in `qualified` come as `NAME.VAR` only.
    """
    taken = left.take(rows)
    more: dict[str, Column | Fetch] = {}
    for n in right.names:
        shown = f"{name}.{n}" if n in qualified else n if n not in left else f"{n}.{name}"
        more[shown] = _taken(right, n, others)
    return taken.with_columns(more)


def _taken(frame: Frame, name: str, rows: Ints) -> Fetch:
    return lambda: frame[name].take(rows)


def _parents(match: Match, frame: Frame, d: Dataset, world: World) -> list[str]:
    """Return the datasets that hold the parents of this child's records, where the match is about this dataset."""
    if match.name[:4] in ("SUPP", "SQAP"):
        if not d.supplemental or match.name not in ("SUPP--", d.name, d.whole):
            return []
        return [p for p in [world.package.find(d.parent)] if p] if d.parent else []
    if match.name not in (d.domain, d.name) or "RDOMAIN" not in frame:
        return []
    text = frame["RDOMAIN"].as_text()
    named = [str(text.distinct[c]) for c in np.unique(text.coded) if c >= 0]
    return [w for w in dict.fromkeys(world.package.find(n) for n in named) if w is not None]


def _with_parents(match: Match, frame: Frame, d: Dataset, world: World) -> Frame:
    """Return the child's records with the columns of the parent record that IDVAR and IDVARVAL point at.

    A child whose parent is not found keeps its own columns, and has none of the parent's.
    """
    parents = {w: world.package.frame_of(w) for w in _parents(match, frame, d, world)}

    @cache
    def rows_of(whole: str) -> Ints:
        return _parent_rows(match, frame, parents[whole], _children(frame, d, whole, world))

    more: dict[str, Column | Fetch] = {}
    for name in dict.fromkeys(n for parent in parents.values() for n in parent.names):
        if name not in frame:
            more[name] = _merged(name, [(p, w) for w, p in parents.items() if name in p], rows_of, frame.rows)
    return frame.with_columns(more)


def _children(frame: Frame, d: Dataset, whole: str, world: World) -> Ints:
    """Return the child records whose RDOMAIN is this parent."""
    if d.supplemental or "RDOMAIN" not in frame:
        return np.arange(frame.rows)
    return np.flatnonzero(frame["RDOMAIN"].as_text().per_value(lambda v: world.package.find(v) == whole, False))


def _parent_rows(match: Match, frame: Frame, parent: Frame, rows: Ints) -> Ints:
    """Return for each child record the parent record it points at, -1 for none."""
    answer = np.full(frame.rows, -1, dtype=np.int64)
    keys = [k for k, _ in match.keys if k not in ("IDVAR", "IDVARVAL") and k in frame and k in parent]
    if "IDVAR" not in frame or "IDVARVAL" not in frame or not len(rows):
        return answer
    names = frame["IDVAR"].as_text()
    for code in np.unique(names.coded[rows]):
        mine = rows[names.coded[rows] == code]
        variable = str(names.distinct[code]) if code >= 0 else ""
        left, right = [frame[k].take(mine) for k in keys], [parent[k] for k in keys]
        if variable:
            if variable not in parent:
                continue
            if parent[variable].whole:
                left.append(Column(numbers=frame["IDVARVAL"].take(mine).as_numbers()))
                right.append(parent[variable])
            else:
                left.append(comparable(frame["IDVARVAL"]).take(mine))
                right.append(comparable(parent[variable]))
        if left:
            at, others = first_of(left, right)
            answer[mine[at]] = others
    return answer


def _merged(name: str, found: Sequence[tuple[Frame, str]], rows_of: Callable[[str], Ints], rows: int) -> Fetch:
    """Return what fetches a column that comes from several parents, each for its own children."""

    def fetch() -> Column:
        columns = [p[name] for p, _ in found]
        below = stack(columns)
        at = np.full(rows, -1, dtype=np.int64)
        start = 0
        for column, (_, whole) in zip(columns, found, strict=True):
            picked = rows_of(whole)
            at[picked >= 0] = start + picked[picked >= 0]
            start += len(column)
        return below.take(at)

    return fetch

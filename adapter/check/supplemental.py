"""Turns a Supplemental Qualifier dataset into columns of its parent, one per QNAM (SDTMIG 3.4 §8.4)."""

from __future__ import annotations

import numpy as np

from adapter.check.columns import Column, Ints
from adapter.check.frame import Frame
from adapter.check.keys import comparable, join
from adapter.check.world import Skip

KEYS = ("STUDYID", "USUBJID", "APID", "POOLID", "SPDEVID")
"""What parent and qualifier share besides IDVAR and IDVARVAL."""


def with_supplement(frame: Frame, supplement: Frame, name: str) -> Frame:
    """Return the parent's records with a column per QNAM, holding QVAL of the qualifier that points at the record.

    Of two qualifiers of one name for one record the first counts. Raises Skip where a variable that makes a
    Supplemental Qualifier dataset is missing.
    """
    for variable in ("QNAM", "QVAL", "IDVAR", "IDVARVAL"):
        if variable not in supplement:
            raise Skip(f"{name} has no {variable}")
    keys = [k for k in KEYS if k in frame and k in supplement]
    pointed = supplement["IDVAR"].as_text()
    names = supplement["QNAM"].as_text()
    values = supplement["QVAL"]
    at: dict[str, Ints] = {}
    for code in np.unique(pointed.coded):
        mine = np.flatnonzero(pointed.coded == code)
        left, right = [frame[k] for k in keys], [supplement[k].take(mine) for k in keys]
        if code >= 0:
            variable = str(pointed.distinct[code])
            if variable not in frame:
                continue
            left.append(comparable(frame[variable]))
            right.append(comparable(supplement["IDVARVAL"]).take(mine))
        if not left:
            continue
        rows, others = join(left, right)
        for qnam in np.unique(names.coded[mine]):
            if qnam < 0:
                continue
            of_name = names.coded[mine[others]] == qnam
            found = at.setdefault(str(names.distinct[qnam]), np.full(frame.rows, -1, dtype=np.int64))
            # from the end, so that the first one stays
            found[rows[of_name][::-1]] = mine[others[of_name]][::-1]
    made: dict[str, Column] = {q: values.take(found) for q, found in at.items() if q not in frame}
    every = [str(v) for v in names.distinct if v not in frame and v not in made]
    return frame.with_columns({**made, **{q: Column(numbers=None, codes=_none(frame), values=_empty()) for q in every}})


def _none(frame: Frame) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.full(frame.rows, -1, dtype=np.int32)


def _empty() -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    return np.array([], dtype=object)

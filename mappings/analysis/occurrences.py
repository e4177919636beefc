"""Clinical events as data: the records that the trial names as sources of an event, in whatever dataset they are (§6)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adapter.derive.imputation import completed
from adapter.derive.time_to_event import worsenings
from adapter.spec import Inputs
from mappings.parts import text


class Names(NamedTuple):
    """Variables of a dataset that say when an event began, of what kind it is, and how it was judged."""

    date: str
    kind: str = ""
    result: str = ""


DATASETS = {
    "CE": Names("CESTDTC", "CESCAT"),
    "AE": Names("AESTDTC", "AESCAT"),
    "PR": Names("PRSTDTC"),
    "CM": Names("CMSTDTC"),
    "RS": Names("RSDTC", "", "RSSTRESC"),
}
COLUMNS = ("USUBJID", "dtc", "rank", "dataset", "variable", "seq", "grade")


def occurrences(inputs: Inputs, name: str) -> pd.DataFrame:
    """Return the records of a clinical event: USUBJID, dtc, rank (source, then record), dataset, variable, seq, grade."""
    event = inputs.trial.clinical_events[name]
    return _records(inputs, event.sources, event.kinds)


def _records(inputs: Inputs, sources: Any, kinds: tuple[str, ...]) -> pd.DataFrame:
    parts = []
    for source in sources:
        f = inputs.made.get(source.dataset)
        if f is None or source.dataset not in DATASETS:
            continue
        v = DATASETS[source.dataset]
        mine = f[f"{source.dataset}CAT"] == source.category
        if source.values:
            mine &= f[v.result].isin(source.values)
        if kinds and v.kind and v.kind in f:
            mine &= f[v.kind].isin(["", *kinds])
        f = f[mine.to_numpy()]
        made = pd.DataFrame({"USUBJID": f["USUBJID"], "dtc": text(f[v.date]), "seq": f[f"{source.dataset}SEQ"]})
        made["dataset"], made["variable"] = source.dataset, v.date
        made["grade"] = f[v.result] if v.result else ""
        parts.append(made[(made["dtc"] != "").to_numpy()])
    if not parts:
        return pd.DataFrame({c: pd.Series(dtype="float64" if c in ("rank", "seq") else "str") for c in COLUMNS})
    both = pd.concat(parts, ignore_index=True)
    return both.assign(rank=np.arange(len(both), dtype=np.float64))


def onsets(inputs: Inputs, names: tuple[str, ...], grades: tuple[str, ...], origin: pd.Series[float]) -> pd.DataFrame:
    """Return the onsets of clinical events, with day and flag (how the date was completed), and label.

    A date that is not known to the day becomes the first day it may mean that is not before the origin. grades: only
    episodes that reach one of them, dated by when they did.
    """
    parts: list[pd.DataFrame] = []
    for name in names:
        event = inputs.trial.clinical_events[name]
        made = _dated(occurrences(inputs, name), origin)
        if grades:
            of = worsenings(_dated(_records(inputs, event.grades, ()), origin), made, grades)
            made = of[made.columns] if len(of) else made.iloc[:0]
        parts.append(made.assign(label=event.label, rank=made["rank"] + len(parts) * 1_000_000.0))
    return pd.concat(parts, ignore_index=True)


def _dated(records: pd.DataFrame, origin: pd.Series[float]) -> pd.DataFrame:
    days = completed(records["dtc"], records["USUBJID"].map(origin).astype("float64"))
    return records.assign(day=days["day"], flag=days["flag"])

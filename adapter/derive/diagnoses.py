"""Diagnoses: what kind of event a Condition is, by the code table of conditions; before or after a day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from adapter.derive.distinct import distinct_rows
from adapter.systems import canonical_code, canonical_system

Series = pd.Series
Row = Mapping[str, str]
COLUMNS = ("domain", "cat", "scat")


def diagnosed(table: Any, code: Series[Any], text: Series[Any]) -> pd.DataFrame:
    """Return domain, cat and scat of each Condition (index as `code`); empty where the table knows neither code nor text.

    table: columns system, code, to, cat, over, match … A code stands for itself or, with `to`, for a range of codes and
    all below them (`A00` to `B99`); the narrowest one counts. A text counts where no code is known, and where the kind
    that the code says stands in the text's `over`: it tells more of the same.
    """
    first, number = distinct_rows([code, text])
    ranges = [row for row in table if row["to"]]
    found = []
    for codings, name in zip(_texts(code.iloc[first]), _texts(text.iloc[first]), strict=True):
        row = _by_code(table, ranges, codings)
        said = (table.by_text(name) or table.match_text(name)) if name else None
        if row is None or (said is not None and row["cat"] in said["over"].split(";")):
            row = said
        found.append([row[c] if row is not None else "" for c in COLUMNS])
    frame = pd.DataFrame(found, columns=list(COLUMNS), dtype="str")
    return frame.iloc[number].set_axis(code.index)


def _by_code(table: Any, ranges: list[Row], codings: str) -> Row | None:
    pairs = [tuple(c.rsplit("|", 1)) for c in codings.split("\n") if c]
    exact: Row | None = table.find(pairs)
    if exact is not None and not exact["to"]:
        return exact
    for system, code in pairs:
        uri = canonical_system(system)
        wanted = canonical_code(uri, code)
        inside = [r for r in ranges if r["system"] == uri and r["code"] <= wanted and wanted[: len(r["to"])] <= r["to"]]
        if inside:
            return min(inside, key=lambda r: (-len(r["code"]), r["code"]))
    return exact


def _texts(values: Series[Any]) -> list[str]:
    texts: list[str] = values.astype("str").fillna("").tolist()
    return texts


def against(dtc: Series[Any], limit: Series[Any]) -> Series[str]:
    """Return `before` or `after` (the day itself included) for ISO dates against full days; empty where it is not certain.

    A partial date is before or after only where every day it may mean is.
    """
    found = [_against(d[:10], x[:10]) for d, x in zip(_texts(dtc), _texts(limit), strict=True)]
    return pd.Series(found, index=dtc.index, dtype="str")


def _against(day: str, limit: str) -> str:
    if not day or not limit:
        return ""
    known = limit[: len(day)]
    if day == known:
        return "after" if len(day) == len(limit) else ""
    return "before" if day < known else "after"


def later_than(dtc: Series[Any], limit: Series[Any]) -> Series[bool]:
    """Return which ISO dates are certainly later than a full day; a date on that day is not."""
    same = [d[:10] == x[:10] for d, x in zip(_texts(dtc), _texts(limit), strict=True)]
    return (against(dtc, limit) == "after") & ~pd.Series(same, index=dtc.index)

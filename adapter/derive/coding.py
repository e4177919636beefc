"""Code tables applied to columns: each distinct code or text is looked up once."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.derive.distinct import Integers, distinct_rows

Series = pd.Series


def coded(
    table: Any, code: Series[Any], text: Series[Any], names: bool = False, only: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Return the table's columns (or `only` these) for each record (index as `code`), and `known`: is it in the table.

    table: a code table (find, by_text, match_text, columns). code: `system|code`, one coding per line; the first coding
    known wins; where none is, the whole text may be one that the site has mapped (SITE/codes.csv). names: else the text is
    searched for the table's names (`match`). Unknown: empty, False.
    """
    columns = only or tuple(table.columns)
    if not len(code):
        none = pd.DataFrame(columns=list(columns), index=code.index, dtype="str")
        return none.assign(known=pd.Series(dtype=bool, index=code.index))
    first, number = distinct_rows([code, text])
    found = []
    for codings, name in zip(_texts(code, first), _texts(text, first), strict=True):
        row = table.find([tuple(c.rsplit("|", 1)) for c in codings.split("\n") if c])
        if row is None and name:
            row = table.by_text(name)
            if row is None and names:
                row = table.match_text(name)
        found.append(
            dict.fromkeys(table.columns, "") | {"known": False} if row is None else dict(row) | {"known": True}
        )
    frame = pd.DataFrame(found, columns=[*columns, "known"])
    for c in columns:
        frame[c] = frame[c].astype("str")
    frame["known"] = frame["known"].astype(bool)
    return frame.iloc[number].set_axis(code.index)


def unmapped(kind: str, code: Series[Any], text: Series[Any], used: bool) -> pd.DataFrame:
    """Return rows for the unmapped report: kind, code (all codings, blank-separated), text, used."""
    frame = pd.DataFrame(
        {"code": code.astype("str").fillna("").str.replace("\n", " "), "text": text.astype("str").fillna("")}
    )
    frame.insert(0, "kind", pd.Series(kind, index=frame.index, dtype="str"))
    frame["used"] = used
    return frame


def resolved_units(units: Any, code: Series[Any], system: Series[Any], text: Series[Any]) -> pd.DataFrame:
    """Return for each record `ucum` and `ct` of its unit (empty where unknown), `given`: whether one was written."""
    if not len(code):
        none = pd.DataFrame(columns=["ucum", "ct"], index=code.index, dtype="str")
        return none.assign(given=pd.Series(dtype=bool, index=code.index))
    columns = [code, system, text]
    first, number = distinct_rows(columns)
    found = []
    for one_code, one_system, one_text in zip(*(_texts(c, first) for c in columns), strict=True):
        unit = units.resolve(one_code or None, one_system or None, one_text or None)
        found.append((unit.ucum if unit else "", unit.ct if unit else "", bool(one_code or one_text)))
    made = pd.DataFrame(found, columns=["ucum", "ct", "given"]).astype({"ucum": "str", "ct": "str", "given": bool})
    return made.iloc[number].set_axis(code.index)


def _texts(values: Series[Any], rows: Integers) -> list[str]:
    """Return some rows of a column as texts, empty where missing."""
    texts: list[str] = values.iloc[rows].astype("str").fillna("").tolist()
    return texts

"""Code tables applied to columns: each distinct code or text is looked up once."""

from __future__ import annotations

from typing import Any

import pandas as pd

Series = pd.Series


def coded(
    table: Any, code: Series[Any], text: Series[Any], names: bool = False, only: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Return the table's columns (or `only` these) for each record (index as `code`), and `known`: is it in the table.

    table: a code table (find, match_text, columns). code: `system|code`, one coding per line; the first coding known
    wins. names: where no code is known, the text is searched for the table's names (`match`). Unknown: empty, False.
    """
    pairs = pd.DataFrame({"code": code.astype("str").fillna(""), "text": text.astype("str").fillna("")})
    number = pairs.groupby(["code", "text"], sort=False).ngroup()
    unique = pairs.drop_duplicates()
    found = []
    for codings, name in zip(unique["code"].tolist(), unique["text"].tolist(), strict=True):
        row = table.find([tuple(c.rsplit("|", 1)) for c in codings.split("\n") if c])
        if row is None and names and name:
            row = table.match_text(name)
        found.append(
            dict.fromkeys(table.columns, "") | {"known": False} if row is None else dict(row) | {"known": True}
        )
    columns = only or tuple(table.columns)
    frame = pd.DataFrame(found, columns=[*columns, "known"])
    for c in columns:
        frame[c] = frame[c].astype("str")
    frame["known"] = frame["known"].astype(bool)
    return frame.iloc[number.to_numpy()].set_axis(code.index)


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
    frame = pd.DataFrame({"code": code, "system": system, "text": text}).astype("str").fillna("")
    number = frame.groupby(["code", "system", "text"], sort=False).ngroup()
    found = []
    for one in frame.drop_duplicates().itertuples(index=False):
        unit = units.resolve(one.code or None, one.system or None, one.text or None)
        found.append((unit.ucum if unit else "", unit.ct if unit else "", bool(one.code or one.text)))
    made = pd.DataFrame(found, columns=["ucum", "ct", "given"]).astype({"ucum": "str", "ct": "str", "given": bool})
    return made.iloc[number.to_numpy()].set_axis(code.index)

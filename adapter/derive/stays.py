"""Stays: what kind of stay an Encounter is, by the code table of encounters."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.derive.distinct import distinct_rows

Series = pd.Series


def kinds_of_stay(table: Any, code: Series[Any], text: Series[Any]) -> Series[Any]:
    """Return the kind of stay (`decod`) of each Encounter, empty where it is no stay, missing where no code is known.

    table: columns system, code, decod, order, match. Class, type and place may each say something: the lowest order wins,
    so that an inpatient Encounter whose type is intensive care is one of intensive care. Texts count beside the codes.
    """
    first, number = distinct_rows([code, text])
    found: list[str | None] = []
    for codings, name in zip(_texts(code.iloc[first]), _texts(text.iloc[first]), strict=True):
        pairs = [tuple(c.rsplit("|", 1)) for c in codings.split("\n") if c]
        rows = [table.find([p]) for p in pairs]
        rows += [table.by_text(t) or table.match_text(t) for t in name.split("; ") if t]
        known = sorted((int(r["order"] or 9), r["decod"]) for r in rows if r is not None)
        found.append(known[0][1] if known else None)
    return pd.Series([found[i] for i in number], index=code.index, dtype=object)


def _texts(values: Series[Any]) -> list[str]:
    texts: list[str] = values.astype("str").fillna("").tolist()
    return texts

"""What was judged of an adverse event: severity, outcome, seriousness, relationship, by the code table of judgements."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pandas as pd

from adapter.derive.distinct import distinct_rows

Series = pd.Series
RELATED = (
    *("RELATED", "PROBABLY RELATED", "POSSIBLY RELATED", "CONDITIONAL"),
    *("NOT ASSESSABLE", "UNLIKELY RELATED", "NOT RELATED"),
)
"""Relationships, the closest first: of several products suspected, the closest one counts."""


def judged(table: Any, variables: tuple[str, ...], code: Series[Any], text: Series[Any]) -> pd.DataFrame:
    """Return a column per variable with its term, empty where nothing is said of it, and `known`: is any of it understood.

    table: columns system, code, variable, ct, match. Every coding counts; the text only where no code is known.
    """
    part = _part(table, variables)
    first, number = distinct_rows([code, text])
    found = []
    for codings, name in zip(*(_texts(c.iloc[first]) for c in (code, text)), strict=True):
        rows = [r for c in codings.split("\n") if c and (r := part.find([tuple(c.rsplit("|", 1))])) is not None]
        if not rows and name and (said := part.by_text(name) or part.match_text(name)) is not None:
            rows = [said]
        terms = {r["variable"]: r["ct"] for r in reversed(rows)}
        found.append([*(terms.get(v, "") for v in variables), bool(rows)])
    frame = pd.DataFrame(found, columns=[*variables, "known"]).astype(dict.fromkeys(variables, "str") | {"known": bool})
    return frame.iloc[number].set_axis(code.index)


def _part(table: Any, variables: tuple[str, ...]) -> Any:
    """Return the rows of a code table that are about some variables."""
    rows = {k: r for k, r in table.rows.items() if r["variable"] in variables}
    return replace(table, rows=MappingProxyType(rows), _names={})


def _texts(values: Series[Any]) -> list[str]:
    texts: list[str] = values.astype("str").fillna("").tolist()
    return texts


def closest(terms: list[str]) -> str:
    """Return the closest of some relationships, empty without any."""
    known = [t for t in terms if t]
    return min(known, key=lambda t: (RELATED.index(t) if t in RELATED else len(RELATED), t), default="")


CRITERIA = ("AESCONG", "AESDISAB", "AESDTH", "AESHOSP", "AESLIFE", "AESMIE", "AESINTV")


def serious(
    reported: Series[Any],
    aescong: Series[Any],
    aesdisab: Series[Any],
    aesdth: Series[Any],
    aeshosp: Series[Any],
    aeslife: Series[Any],
    aesmie: Series[Any],
    aesintv: Series[Any],
    hospitalisation: bool,
) -> Series[str]:
    """Y where the event was reported as serious, or any criterion of seriousness is met (an admission counts: \
{hospitalisation}); N where it was reported as not serious and none is met; empty where nothing was reported."""
    met = pd.Series(False, index=reported.index)
    for criterion in (aescong, aesdisab, aesdth, aeslife, aesmie, aesintv, *([aeshosp] if hospitalisation else [])):
        met |= (criterion == "Y").to_numpy()
    found = reported.astype("str").fillna("")
    return found.where(~met, "Y")

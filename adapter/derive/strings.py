"""Text: results taken apart into comparator, number and unit; names found in text; long text cut by bytes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

import pandas as pd

from adapter.derive.coding import resolved_units
from adapter.intake.decimals import numeric_strings


def numeric_parts(texts: pd.Series[Any]) -> pd.DataFrame:
    """Return columns comparator, number, rest (unit text) of each text; number is empty where it cannot be read."""
    return numeric_strings(texts).fillna("").astype("str")


def numbers_in_texts(texts: pd.Series[Any], units: Any, needs_unit: pd.Series[Any]) -> pd.DataFrame:
    """Return columns comparator, number, unit (as spelled) of texts that say one number; number empty for all others.

    What stands behind the number must be a unit, or else the text stays a text; where the test has a standard unit
    (needs_unit) it is a number in an unknown unit (fhir-input points 7 and 8). units: the unit table.
    """
    parts = numeric_parts(texts).rename(columns={"rest": "unit"})
    none = pd.Series("", index=texts.index, dtype="str")
    known = resolved_units(units, none, none, parts["unit"])["ucum"] != ""
    stays = (parts["unit"] != "") & ~known & ~needs_unit.astype(bool)
    parts.loc[stays, ["comparator", "number", "unit"]] = ""
    return parts


def first_place(names: Iterable[str], text: str) -> int:
    """Return where the first of some names begins in a text (folded), -1 where none stands there.

    Case, width and spacing are ignored. A Latin name must stand as whole words; Chinese has no word breaks.
    """
    wanted, found = _folded(text), []
    for name in filter(None, map(_folded, names)):
        head = r"(?<![a-z0-9])" if re.match("[a-z0-9]", name) else ""
        tail = r"(?![a-z0-9])" if re.search("[a-z0-9]$", name) else ""
        hit = re.search(head + re.escape(name) + tail, wanted)
        found += [hit.start()] if hit else []
    return min(found, default=-1)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def byte_pieces(text: str, size: int) -> list[str]:
    """Return the text cut into pieces of at most `size` UTF-8 bytes, never inside a character; at least one piece.

    A blank at a cut begins the next piece: XPT does not keep blanks at the end of a value.
    """
    pieces, piece, used = [], "", 0
    for character in text:
        width = len(character.encode())
        while used + width > size:
            kept = piece.rstrip(" ") or piece
            pieces.append(kept)
            piece = piece[len(kept) :]
            used = len(piece)
        piece, used = piece + character, used + width
    return [*pieces, piece]

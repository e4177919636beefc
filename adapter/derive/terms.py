"""Reported terms: their English translation and their coding in the sponsor's dictionaries; grades told in texts."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pandas as pd

from adapter.derive.distinct import distinct_rows

Series = pd.Series
LEVELS = ("llt", "llt_code", "pt", "pt_code", "hlt", "hlt_code", "hlgt", "hlgt_code", "soc", "soc_code")
DRUG = ("decod", "class", "class_code")
MEDDRA_SYSTEM = re.compile(r"meddra|mdrae?\b|2\.16\.840\.1\.113883\.6\.163", re.IGNORECASE)


def english(dictionaries: Any, text: Series[Any]) -> pd.DataFrame:
    """Return `text` in English where the sponsor translates it, and `original`: the text as it came, where it was changed."""
    codes, unique = pd.factorize(text.astype("str").fillna(""))
    said = [dictionaries.english(t) for t in unique]
    found = pd.DataFrame({"text": said, "original": [t if s != t else "" for t, s in zip(unique, said, strict=True)]})
    return found.astype("str").iloc[codes].set_axis(text.index)


def in_meddra(dictionaries: Any, text: Series[Any], original: Series[Any], code: Series[Any]) -> pd.DataFrame:
    """Return the MedDRA levels of terms (`llt` … `soc_code`) and `known`; empty where the sponsor has not coded them.

    The text as it came is looked up, then its translation, then the MedDRA codes among `code` (`system|code`, one per line).
    """
    first, number = distinct_rows([text, original, code])
    found = []
    for one, came, codings in zip(*(_texts(c.iloc[first]) for c in (text, original, code)), strict=True):
        row = dictionaries.term([t for t in (came, one) if t], _meddra_codes(codings))
        found.append([*((row[c] if row is not None else "") for c in LEVELS), row is not None])
    frame = pd.DataFrame(found, columns=[*LEVELS, "known"]).astype(dict.fromkeys(LEVELS, "str") | {"known": bool})
    return frame.iloc[number].set_axis(text.index)


def _meddra_codes(codings: str) -> list[str]:
    pairs = [c.rsplit("|", 1) for c in codings.split("\n") if c]
    return [code for system, code in pairs if MEDDRA_SYSTEM.search(system)]


def in_whodrug(dictionaries: Any, text: Series[Any], original: Series[Any]) -> pd.DataFrame:
    """Return decod, class and class_code of drugs in WHODrug, and `known`."""
    first, number = distinct_rows([text, original])
    found = []
    for one, came in zip(*(_texts(c.iloc[first]) for c in (text, original)), strict=True):
        row = dictionaries.drug([t for t in (came, one) if t])
        found.append([*((row[c] if row is not None else "") for c in DRUG), row is not None])
    frame = pd.DataFrame(found, columns=[*DRUG, "known"]).astype(dict.fromkeys(DRUG, "str") | {"known": bool})
    return frame.iloc[number].set_axis(text.index)


def _texts(values: Series[Any]) -> list[str]:
    texts: list[str] = values.astype("str").fillna("").tolist()
    return texts


ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5}
CHINESE = {"零": 0, "一": 1, "二": 2, "三": 3, "四": 4, "五": 5}
_NUMBER = re.compile(r"(?<![a-z0-9.])(?:(iv|v|i{1,3})|(\d+))[abcd]?(?![a-z0-9%]|\.\d)")
_IN_CHINESE = re.compile(r"([零一二三四五])(?=[度级期])")
_MARK = re.compile(r"(?<![a-z])(?:grade|gr\.?|g(?= ?\d)|stage|ctcae|toxicity)|[度级期]")


def grades(texts: Series[Any], marked: bool = True) -> Series[str]:
    """Return the grade that each text tells, as a number (`2`); empty where it tells none, or several.

    Roman, Arabic and Chinese numbers: `Grade II`, `G3`, `2级`, `三度`. marked: a number counts only where the text says
    that it is a grade, or is nothing but the number; `Severe` is no grade.
    """
    codes, unique = pd.factorize(texts.astype("str").fillna(""))
    found = [grade(t, marked) for t in unique]
    return pd.Series([*found, ""], dtype="str").iloc[codes].set_axis(texts.index)


def grade(text: str, marked: bool = True) -> str:
    """Return the grade that one text tells; empty where it tells none, or several."""
    folded = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    folded = re.sub(r"(?<![a-z])g(?=\d)", "g ", folded)
    folded = re.sub(r"(?<=[a-z])(?=[度级期])", " ", folded)
    hits = {str(ROMAN[roman]) if roman else str(int(number)) for roman, number in _NUMBER.findall(folded)}
    hits |= {str(CHINESE[c]) for c in _IN_CHINESE.findall(folded)}
    bare = re.fullmatch(r"\d+|iv|v|i{1,3}", folded) is not None
    if len(hits) != 1 or (marked and not bare and not _MARK.search(folded)):
        return ""
    return hits.pop()

"""Several reference ranges of one result: the one that applies to the subject, by sex and age (fhir-input point 24)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pandas as pd

Series = pd.Series
YEARS = {"a": 1.0, "mo": 12.0, "wk": 52.1775, "d": 365.25, "h": 8766.0}
"""UCUM unit of an age -> how many make a year (FHIR R4 Age); other spellings are not read."""
SPELLED = {
    "year": "a",
    "years": "a",
    "yr": "a",
    "y": "a",
    "岁": "a",
    "month": "mo",
    "months": "mo",
    "day": "d",
    "days": "d",
}
COLUMNS = ("low", "high", "low_unit", "high_unit")


def applicable(ranges: Series[Any], sex: Series[Any], age: Series[float], sexes: Mapping[str, str]) -> pd.DataFrame:
    """Return low, high, low_unit, high_unit and text of the one range that applies; missing where that is not known.

    ranges: the JSON of adapter.intake.ranges. sex: terms of codelist SEX. age: complete years on the day of the result.
    sexes: code or text of appliesTo -> SEX term. A range for everybody counts where no narrower one applies. Where one
    that may apply cannot be decided (a population the program does not know), none is taken.
    """
    found = [_chosen(str(r), str(s), a, sexes) for r, s, a in zip(ranges, sex, age, strict=True)]
    return pd.DataFrame(found, columns=[*COLUMNS, "text"], index=ranges.index, dtype=object)


def _chosen(text: str, sex: str, age: float, sexes: Mapping[str, str]) -> tuple[Any, ...]:
    narrow: list[dict[str, Any]] = []
    general: list[dict[str, Any]] = []
    for one in _loaded(text):
        answers = [_is_of(names, sex, sexes) for names in one["who"]]
        if one["age"]:
            answers.append(_in_age(one["age"], age))
        if False in answers:
            continue
        if None in answers:
            return (None,) * 5
        (narrow if answers else general).append(one)
    fits = narrow or general
    return (*fits[0]["limits"], fits[0]["text"]) if len(fits) == 1 else (None,) * 5


@lru_cache(maxsize=1000)
def _loaded(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)
    return found


def _is_of(names: list[str], sex: str, sexes: Mapping[str, str]) -> bool | None:
    """Return whether the subject belongs to a population, None where that is not known."""
    wanted = {sexes[k] for n in names if (k := n.rpartition("|")[2].casefold()) in sexes}
    known = set(sexes.values())
    return sex in wanted if len(wanted) == 1 and sex in known else None


def _in_age(ends: list[list[str | None]], age: float) -> bool | None:
    """Return whether an age in complete years is in a range; None where the year itself cannot tell."""
    if age != age:
        return None
    (low, low_unit), (high, high_unit) = ends
    answers = []
    for limit, unit, is_low in ((low, low_unit, True), (high, high_unit, False)):
        if limit is None:
            continue
        name = SPELLED.get((unit or "").lower(), unit or "")
        if name not in YEARS:
            return None
        years = float(limit) / YEARS[name]
        if is_low:
            answers.append(True if age >= years else None if age + 1 > years else False)
        elif name == "a" and years == int(years):  # to 64 years: until the day before the 65th birthday
            answers.append(age <= years)
        else:
            answers.append(False if age >= years else True if age + 1 <= years else None)
    return False if False in answers else None if None in answers else True

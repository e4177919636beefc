"""Several reference ranges: the one that applies, or none (fhir-input point 24)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapter.derive.ranges import applicable

SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}
MEN, WOMEN, PREGNANT = ["s|M", "men"], ["|female", "women"], ["s|77386006", "pregnant"]
Age = list[tuple[str | None, str | None]]


def one(name: str, *who: list[str], age: Age | None = None) -> dict[str, Any]:
    return {"limits": [name, None, "u", None], "text": name, "who": list(who), "age": age}


def years(low: str | None, high: str | None, unit: str = "a") -> Age:
    return [(low, unit if low else None), (high, unit if high else None)]


# ranges, sex, age in complete years -> which, by its name; "" is none
CASES: list[tuple[str, list[dict[str, Any]], str, float, str]] = [
    ("sex", [one("m", MEN), one("f", WOMEN)], "F", 40, "f"),
    ("sex unknown", [one("m", MEN), one("f", WOMEN)], "", 40, ""),
    ("sex unknown, one for all", [one("all"), one("f", WOMEN)], "", 40, ""),
    ("neither sex nor one for all", [one("m", MEN)], "F", 40, ""),
    ("narrower than for all", [one("all"), one("f", WOMEN)], "F", 40, "f"),
    ("for all where the narrower is another's", [one("all"), one("f", WOMEN)], "M", 40, "all"),
    ("two for all", [one("all"), one("everybody")], "M", 40, ""),
    ("unknown population", [one("all"), one("p", PREGNANT)], "F", 40, ""),
    ("unknown population of the other sex", [one("all"), one("p", MEN, PREGNANT)], "F", 40, "all"),
    ("unknown population of this sex", [one("all"), one("p", WOMEN, PREGNANT)], "F", 40, ""),
    ("a population of both", [one("all"), one("both", ["a|M", "b|F", "x"])], "F", 40, ""),
    ("age", [one("child", age=years(None, "17")), one("adult", age=years("18", None))], "F", 18, "adult"),
    ("the day before", [one("child", age=years(None, "17")), one("adult", age=years("18", None))], "F", 17, "child"),
    ("to 64 includes the 64th year", [one("a", age=years("18", "64")), one("b", age=years("65", None))], "F", 64, "a"),
    ("age unknown", [one("child", age=years(None, "17")), one("adult", age=years("18", None))], "F", np.nan, ""),
    ("months", [one("a", age=years("0", "24", "mo")), one("b", age=years("25", None, "mo"))], "F", 30, "b"),
    ("months within the year", [one("a", age=years("0", "30", "mo")), one("b")], "F", 2, ""),
    ("days", [one("a", age=years("0", "28", "d")), one("b", age=years("29", None, "d"))], "F", 30, "b"),
    ("spelled out", [one("a", age=years("0", "17", "岁")), one("b", age=years("18", None, "years"))], "F", 30, "b"),
    ("unknown unit", [one("a", age=years("0", "17", "moons")), one("b")], "F", 30, ""),
    ("no unit", [one("a", age=years("0", "17", "")), one("b")], "F", 30, ""),
    ("sex and age", [one("a", WOMEN, age=years("18", None)), one("b", WOMEN, age=years(None, "17"))], "F", 30, "a"),
]


@pytest.mark.parametrize(("name", "ranges", "sex", "age", "expected"), CASES, ids=[c[0] for c in CASES])
def test_applicable(name: str, ranges: list[dict[str, Any]], sex: str, age: float, expected: str) -> None:
    index = [7]
    texts = pd.Series([json.dumps(ranges)], index=index)
    found = applicable(texts, pd.Series([sex], index=index), pd.Series([age], index=index), SEXES)
    assert list(found.index) == index
    row = found.loc[7, ["low", "high", "low_unit", "high_unit", "text"]].tolist()
    assert row == ([expected, None, "u", None, expected] if expected else [None] * 5)


def test_nothing_to_choose_from() -> None:
    none = pd.Series([], dtype="object")
    assert applicable(none, none, none, SEXES).shape == (0, 5)

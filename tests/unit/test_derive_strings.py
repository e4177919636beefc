"""Text: names found in text, long text cut by bytes, numbers inside strings."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd
import pytest

from adapter.derive.strings import byte_pieces, first_place, numbers_in_texts, numeric_parts
from adapter.units import UnitTable

PLACES = [
    # names, text, where the first one begins
    (["uc-msc"], "UC-MSC", 0),
    (["UC-MSC"], "first dose of uc-msc", 14),
    (["UC-MSC"], "UC-MSC注射液", 0),
    (["UC-MSC"], "ＵＣ－ＭＳＣ", 0),  # full width
    (["UC-MSC"], "non-uc-msc2", -1),  # a Latin name stands as whole words
    (["umbilical cord cells"], "Umbilical   cord\tcells", 0),  # spacing
    (["间充质"], "脐带间充质干细胞", 2),  # Chinese has no word breaks
    (["b", "a"], "a b", 0),
    (["x", ""], "abc", -1),
    ([], "abc", -1),
]


@pytest.mark.parametrize(("names", "text", "expected"), PLACES)
def test_first_place(names: list[str], text: str, expected: int) -> None:
    assert first_place(names, text) == expected


PIECES = [
    # text, size, pieces; 血 has three bytes, é two, 𠮷 four
    ("", 4, [""]),
    ("abcd", 4, ["abcd"]),
    ("abcde", 4, ["abcd", "e"]),
    ("血血", 6, ["血血"]),
    ("血血", 5, ["血", "血"]),
    ("a血血", 4, ["a血", "血"]),
    ("abc血", 4, ["abc", "血"]),
    ("éé", 3, ["é", "é"]),
    ("a𠮷b", 4, ["a", "𠮷", "b"]),
    ("ab cd", 3, ["ab", " cd"]),  # XPT would lose the blank at the end
    ("ab  cd", 4, ["ab", "  cd"]),
    ("a   𠮷", 4, ["a", "   ", "𠮷"]),
]


@pytest.mark.parametrize(("text", "size", "expected"), PIECES)
def test_byte_pieces(text: str, size: int, expected: list[str]) -> None:
    found = byte_pieces(text, size)
    assert found == expected
    assert "".join(found) == text


def test_numeric_parts_has_no_missing_values() -> None:
    found = numeric_parts(
        pd.Series(["<0.5", "1.0E3", "＞1,000.0 10*9/L", "阴性", "<>5"], index=[4, 3, 2, 1, 0], dtype="str")
    )
    assert list(found.index) == [4, 3, 2, 1, 0]
    assert found.to_numpy().tolist() == [
        ["<", "0.5", ""],
        ["", "1.0E3", ""],
        [">", "1000.0", "10*9/L"],
        ["", "", "阴性"],
        ["", "", "<>5"],
    ]


IN_TEXTS = [
    # text, does the test have a standard unit, comparator, number, unit; no number: it stays a text
    ("0.9x10^9/L", True, "", "0.9", "x10^9/L"),
    ("<0.5", True, "<", "0.5", ""),
    ("5 haemolysed", True, "", "5", "haemolysed"),  # a number in an unknown unit
    ("5 haemolysed", False, "", "", ""),
    ("5 mg/L", False, "", "5", "mg/L"),
    ("1,234 mg/L", True, "", "", ""),
    ("negative", True, "", "", ""),
]


@pytest.mark.parametrize(("text", "needs", "comparator", "number", "unit"), IN_TEXTS)
def test_numbers_in_texts(text: str, needs: bool, comparator: str, number: str, unit: str) -> None:
    units = UnitTable.load(files("mappings.codes"))
    found = numbers_in_texts(pd.Series([text], index=[3], dtype="str"), units, pd.Series([needs], index=[3]))
    row = found.loc[3, ["comparator", "number", "unit"]].tolist()
    assert row[:2] == [comparator, number]
    assert not number or row[2] == unit

"""Decimal text is kept as sent, plain notation is exact, and strings are read as numbers or not at all."""

from __future__ import annotations

import json
import re
from decimal import Context, Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake.decimals import (
    MAX_DIGITS,
    comparator,
    decimal_reason,
    decimal_text,
    numeric_string,
    numeric_strings,
    plain,
    quoted_decimal,
    shifted,
)

EXACT = Context(prec=200)
# Every JSON number, built from its parts and not from the pattern under test.
PARTS = st.tuples(
    st.sampled_from(["", "-"]),
    st.integers(0, 10**20).map(str),
    st.one_of(st.just(""), st.text("0123456789", min_size=1, max_size=15).map(lambda d: "." + d)),
    st.one_of(
        st.just(""),
        st.tuples(st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 30).map(str)).map("".join),
    ),
)
NUMBERS = PARTS.map("".join)


@given(NUMBERS)
def test_json_numbers_are_kept_as_sent(text: str) -> None:
    assert decimal_text(text) == text
    assert decimal_text(text.encode()) == text
    assert decimal_reason(text) is None


@given(st.text('0123456789.+-eE "NaInfity_,', max_size=12))
def test_acceptance_agrees_with_the_json_parser(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        accepted = False
    else:
        # The parser strips blanks and knows NaN and Infinity, neither of which is a decimal.
        accepted = isinstance(value, int | float) and re.search(r"[ NI]", text) is None
    if accepted and abs(Decimal(text).adjusted()) > 12:
        return  # perhaps out of our bounds, tested below
    exponent = re.search(r"[eE]([+-]?\d+)$", text)
    if accepted and exponent and abs(int(exponent[1])) > 30:
        return
    assert (decimal_text(text) is not None) == accepted


@given(NUMBERS, st.integers(-12, 12))
def test_shift_is_exact_and_plain(text: str, power: int) -> None:
    out = shifted(text, power)
    assert re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", out)
    assert EXACT.create_decimal(out) == EXACT.scaleb(EXACT.create_decimal(text), power)
    assert not (out.startswith("-") and Decimal(out) == 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4.10", "4.10"), ("1.0E3", "1000"), ("1.25e1", "12.5"), ("1E-3", "0.001"), ("-0", "0"), ("-0.00", "0.00"),
        ("0E5", "0"), ("-1.50E-2", "-0.0150"), ("100", "100"), ("1.0e+0", "1.0"),
    ],
)  # fmt: skip
def test_plain(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "decimal-malformed"), ("NaN", "decimal-malformed"), ("Infinity", "decimal-malformed"),
        ("01", "decimal-malformed"), ("+1", "decimal-malformed"), (".5", "decimal-malformed"),
        ("5.", "decimal-malformed"), ("1 ", "decimal-malformed"), ("1\n", "decimal-malformed"),
        ("1_0", "decimal-malformed"), ("１", "decimal-malformed"), ("null", "decimal-malformed"),
        (b'"4.10"', "decimal-as-string"), ("1e31", "decimal-exponent"), ("1e-31", "decimal-exponent"),
        ("1" * (MAX_DIGITS + 1), "decimal-too-long"), ("1" * 1_000_000, "decimal-too-long"),
        ("0." + "1" * MAX_DIGITS, "decimal-too-long"), (b"\xff", "decimal-malformed"),
    ],
)  # fmt: skip
def test_refused_with_a_reason(raw: str | bytes, reason: str) -> None:
    assert decimal_text(raw) is None
    assert decimal_reason(raw) == reason


def test_bounds_are_inside() -> None:
    for text in ("1" * MAX_DIGITS, "1e30", "-1.5E-30"):
        assert decimal_text(text) == text


def test_quoted_numbers_can_be_read_on_request() -> None:
    assert quoted_decimal(b'"4.10"') == "4.10"
    assert quoted_decimal('"4.10 "') is None
    assert quoted_decimal("4.10") is None


def test_plain_refuses_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="expected a JSON number"):
        plain("abc")


READ = [
    ("<0.5", "<", "0.5", ""),
    ("＞1000", ">", "1000", ""),
    ("≥ 20", ">=", "20", ""),
    ("≦3.5", "<=", "3.5", ""),
    ("=< 7", "<=", "7", ""),
    ("=5", None, "5", ""),
    ("GT 45", ">", "45", ""),
    ("小于0.1", "<", "0.1", ""),
    ("大于或等于 5", ">=", "5", ""),
    ("<10 IntlUnit/mL", "<", "10", "IntlUnit/mL"),
    ("0.9 10*9/L", None, "0.9", "10*9/L"),
    ("0.9x10^9/L", None, "0.9", "x10^9/L"),
    ("1.2×10⁹/L", None, "1.2", "×10⁹/L"),
    ("１２．５　ｇ／Ｌ", None, "12.5", "g/L"),
    ("1,500.0/uL", None, "1500.0", "/uL"),
    ("1,234,567", None, "1234567", ""),
    ("2.1E3 copies/mL", None, "2.1E3", "copies/mL"),
    ("12个/L", None, "12", "个/L"),
    ("−3.5", None, "-3.5", ""),
    (".5%", None, "0.5", "%"),
    ("4.10", None, "4.10", ""),
    ("36.5 ℃", None, "36.5", "℃"),
]


@pytest.mark.parametrize(("text", "sign", "number", "rest"), READ)
def test_strings_that_are_numbers(text: str, sign: str | None, number: str, rest: str) -> None:
    assert numeric_string(text) == (sign, number, rest)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<", "<"), (" <= ", "<="), ("=<", "<="), ("＞", ">"), ("≥", ">="), ("gt", ">"), ("小于等于", "<="),
        ("=", ""), ("<>", None), ("ad", None), ("~", None), ("", None),
    ],
)  # fmt: skip
def test_comparators(text: str, expected: str | None) -> None:
    """Empty: it says nothing. None: it is no comparator of FHIR R4."""
    assert comparator(text) == expected


UNREAD = [
    "1,500", "<1,234 /uL", "12,345",
    "1,5", "0,500", "12,34", "10-20", "10 - 20", "10~20", "3+", "+5", "1:128", "120/80", "20 000", "5.", "<>5", "<<5",
    "5 to 10", "5至10", "5以上", "007", "2 x 9", "2024-03-01", "12:30", "GT45", "", ">", "positive", "1.2.3", "1e99",
    "阴性", "see note 5", "5±1",
]  # fmt: skip


@pytest.mark.parametrize("text", UNREAD)
def test_strings_that_are_not_guessed(text: str) -> None:
    assert numeric_string(text) == (None, None, text)


@pytest.mark.parametrize(
    ("text", "number"), [("1,5", "1.5"), ("1.500,25", "1500.25"), ("1.5", None), ("<0,5 g/l", "0.5")]
)
def test_decimal_comma_is_a_setting(text: str, number: str | None) -> None:
    assert numeric_string(text, ",").number == number


def test_a_point_as_declared_mark_makes_every_comma_a_thousand() -> None:
    assert numeric_string("1,500/uL", ".") == (None, "1500", "/uL")
    assert numeric_string("1,5", ".").number is None


@given(st.text(max_size=20))
def test_any_text_is_read_as_a_valid_number_or_not(text: str) -> None:
    read = numeric_string(text)
    if read.number is None:
        assert read == (None, None, text.strip())
    else:
        assert decimal_text(read.number) == read.number
        assert read.comparator in {None, "<", "<=", ">", ">="}


@given(st.sampled_from(["", "<", "<=", ">", ">="]), st.integers(0, 10**12), st.integers(0, 3))
def test_grouped_and_full_width_spellings_mean_the_same(sign: str, units: int, decimals: int) -> None:
    value = Decimal(units).scaleb(-decimals)
    wide = {c: c + 0xFEE0 for c in range(0x21, 0x7F)}
    plain_text = f"{sign}{value:f}"
    expected = (sign or None, f"{value:f}", "")
    for text in (plain_text, f"{sign} {value:,f}", plain_text.translate(wide)):
        assert numeric_string(text, ".") == expected
        if f"{value:,f}".count(",") != 1 or decimals:
            assert numeric_string(text) == expected


def test_column_reads_each_row_and_keeps_the_index() -> None:
    column = pd.Series(["<5", None, "x", "<5", "7 mg"], index=[9, 8, 7, 6, 5], dtype="str")
    out = numeric_strings(column)
    assert list(out.index) == [9, 8, 7, 6, 5]
    assert out.to_numpy().tolist() == [
        ["<", "5", ""],
        [None, None, None],
        [None, None, "x"],
        ["<", "5", ""],
        [None, "7", "mg"],
    ]


def test_empty_column() -> None:
    assert numeric_strings(pd.Series([], dtype="str")).shape == (0, 3)

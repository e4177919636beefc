"""Decimal text: the JSON number grammar of FHIR decimals, plain notation, and numbers inside strings.

A FHIR decimal must reach --ORRES as it was sent (`4.10`, `1.0E3`), so a number stays text until it is converted
(design, "Numbers are text until they are numbers"; FHIR R4 datatypes, decimal: precision is significant).
Accepted: a JSON number of at most MAX_DIGITS digits before the exponent and an exponent of at most MAX_EXPONENT
either way. Anything else is None here and has a reason code from `decimal_reason`; nothing is ever rounded or guessed.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import pandas as pd

MAX_DIGITS = 40
MAX_EXPONENT = 30

_JSON_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")

DecimalMark = Literal[".", ","]


def decimal_text(raw: bytes | str) -> str | None:
    """Return the text of a JSON number exactly as sent, or None if it is not one or is out of bounds (see module)."""
    text = _ascii(raw)
    return text if text is not None and _problem(text) is None else None


def decimal_reason(raw: bytes | str) -> str | None:
    """Return why `decimal_text` refuses this value, or None if it does not.

    decimal-as-string: a quoted value (hospital reality 14); decimal-too-long, decimal-exponent: out of bounds;
    decimal-malformed: everything else.
    """
    text = _ascii(raw)
    if text is None:
        return "decimal-malformed"
    return "decimal-as-string" if text.startswith('"') else _problem(text)


def quoted_decimal(raw: bytes | str) -> str | None:
    """Return the number inside a quoted JSON value such as `"4.10"` if it follows the same grammar, else None."""
    text = _ascii(raw)
    if text is None or len(text) < 3 or text[0] != '"' or text[-1] != '"':
        return None
    return decimal_text(text[1:-1])


def plain(text: str) -> str:
    """Return decimal text without exponent, leading zeros or a minus before zero: `1.0E3` → `1000`, `-0.0` → `0.0`.

    Digits are kept, also trailing zeros. Raises ValueError for anything that `decimal_text` refuses.
    """
    return shifted(text, 0)


def shifted(text: str, power: int) -> str:
    """Return decimal text × 10^power in plain notation, exactly and without losing digits: (`4.10`, 1) → `41.0`."""
    found = _JSON_NUMBER.fullmatch(text)
    if found is None or _problem(text) is not None:
        raise ValueError(f"{text!r} is no decimal; expected a JSON number")
    sign, whole, fraction, exponent = found.groups("")
    digits = whole + fraction
    point = len(whole) + power + int(exponent or 0)
    if point <= 0:
        digits, point = "0" * (1 - point) + digits, 1
    digits = digits.ljust(point, "0")
    whole, fraction = digits[:point].lstrip("0") or "0", digits[point:]
    negative = sign and digits.strip("0")
    return ("-" if negative else "") + whole + ("." + fraction if fraction else "")


def _ascii(raw: bytes | str) -> str | None:
    if isinstance(raw, str):
        return raw if raw.isascii() else None
    return bytes(raw).decode("ascii") if bytes(raw).isascii() else None


def _problem(text: str) -> str | None:
    # The length test comes first: int() of a megabyte of digits must never run.
    if len(text) > MAX_DIGITS + 10:
        return "decimal-too-long"
    found = _JSON_NUMBER.fullmatch(text)
    if found is None:
        return "decimal-malformed"
    _, whole, fraction, exponent = found.groups("")
    if len(whole) + len(fraction) > MAX_DIGITS:
        return "decimal-too-long"
    if exponent and abs(int(exponent)) > MAX_EXPONENT:
        return "decimal-exponent"
    return None


# --- numbers in strings ----------------------------------------------------------------------------------------------


class NumericString(NamedTuple):
    """A string read as a number. `number` None: not readable as one; then `rest` is the whole text, stripped."""

    comparator: str | None
    number: str | None
    rest: str


# Full-width ASCII (U+FF01-FF5E) and CJK relatives. NFKC is not used: it would turn the exponent of 10⁹ into 109.
_WIDE: dict[int, int] = {c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)}
_WIDE |= {ord(a): ord(b) for a, b in zip("\u3000\xa0\u2009\u202f\u2212\ufe63", "    --", strict=True)}
# As a text or an HL7 v2 interface writes them; `=` says nothing. `<>` (not equal) is none.
COMPARATORS = {
    "<": "<", ">": ">", "<=": "<=", "=<": "<=", ">=": ">=", "=>": ">=", "=": "", "==": "",
    "≤": "<=", "≦": "<=", "⩽": "<=", "≥": ">=", "≧": ">=", "⩾": ">=",
    "LT": "<", "GT": ">", "LE": "<=", "GE": ">=",
    "小于": "<", "大于": ">", "小于等于": "<=", "大于等于": ">=", "小于或等于": "<=", "大于或等于": ">=",
}  # fmt: skip
_COMPARATOR = re.compile(
    r"([<>]\s*=|=\s*[<>](?!=)|[<>](?![<>])|={1,2}|[≤≦⩽≥≧⩾]|[小大]于(?:或?等于)?|(?:LT|GT|LE|GE)(?=\s))\s*",
    re.IGNORECASE,
)
_EXPONENT = r"([eE][+-]?[0-9]+)?"
_NUMBER: dict[DecimalMark | None, re.Pattern[str]] = {
    None: re.compile(
        r"(-?)((?:0|[1-9][0-9]{0,2}(?:,[0-9]{3}){2,}|[1-9][0-9]{0,2},[0-9]{3}(?=\.[0-9])|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)"
        + _EXPONENT
    ),
    ".": re.compile(
        r"(-?)((?:0|[1-9][0-9]{0,2}(?:,[0-9]{3})+|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)" + _EXPONENT,
    ),
    ",": re.compile(
        r"(-?)((?:0|[1-9][0-9]{0,2}(?:\.[0-9]{3})+|[1-9][0-9]*)(?:,[0-9]+)?|,[0-9]+)" + _EXPONENT,
    ),
}
# What may follow the number: nothing, or something that begins like a unit. A second number, a sign (`3+`, `10-20`),
# a ratio (`1:128`, `120/80`) or a word that continues a range makes the whole string no number.
_REST = re.compile(
    r"(?:\s*(?:[xX×*·]\s*)?10(?:[*^][-+]?[0-9]|[⁰¹²³⁴-⁹⁻])|\s*/\s*[^\W\d_{\[]|\s*/\s*[{\[]|\s*[^\W\d_]|\s*[%‰°℃\[{])"
)
_NO_REST = re.compile(r"\s*(?:[xX]\s*[0-9]|(?:to|or|and|bis|plus|minus)\b|至|到|或|和|以上|以下|左右)", re.IGNORECASE)


def comparator(text: str) -> str | None:
    """Return a comparator as FHIR spells it (< <= > >=), empty for `=`, None for what is no comparator."""
    return COMPARATORS.get("".join(text.translate(_WIDE).split()).upper())


def numeric_string(text: str, decimal_mark: DecimalMark | None = None) -> NumericString:
    """Read a string such as `<0.5`, `＞1000`, `≥ 20 10*9/L`, `1,234,567`, `GT 45` into (comparator, number, rest).

    The comparator is one of < <= > >= or None (`=` says nothing). The number follows the grammar of `decimal_text`,
    thousands separators removed. `rest` is the text behind it, for the unit table; a caller that needs a unit must
    resolve all of it. A point is the decimal mark. One comma with three digits behind it (`1,234`) is a thousand in one
    country and a decimal in the next: unless the decimal mark is declared, it is not read, nor are `1,5` and `0,500`;
    `1,234,567` and `1,234.5` leave no doubt. `<>5`, `3+`, `10-20`, `1:128`, `20 000` and `5.` are never read (FHIR input,
    points 8 and 23).
    """
    wide = text.translate(_WIDE).strip()
    unread = NumericString(None, None, text.strip())
    start, sign_in_front = 0, None
    found = _COMPARATOR.match(wide)
    if found:
        sign_in_front = comparator(found[1]) or None
        start = found.end()
    number = _NUMBER[decimal_mark].match(wide, start)
    if number is None:
        return unread
    rest = wide[number.end() :]
    if rest.strip() and (not _REST.match(rest) or (_NO_REST.match(rest) and not _POWER.match(rest))):
        return unread
    sign, digits, exponent = number.groups("")
    separator, mark = (".", ",") if decimal_mark == "," else (",", ".")
    digits = digits.replace(separator, "").replace(mark, ".")
    value = decimal_text(sign + ("0" if digits.startswith(".") else "") + digits + exponent)
    return unread if value is None else NumericString(sign_in_front, value, rest.strip())


_POWER = re.compile(r"\s*[xX×*·]?\s*10[*^⁰¹²³⁴-⁹⁻]")


def numeric_strings(texts: pd.Series[str], decimal_mark: DecimalMark | None = None) -> pd.DataFrame:
    """Return columns comparator, number, rest (object, None where absent) for a column of strings, index kept.

    Each distinct string is read once.
    """
    codes, unique = pd.factorize(texts, use_na_sentinel=True)
    read = [tuple(numeric_string(str(t), decimal_mark)) for t in unique]
    table = pd.DataFrame([*read, (None, None, None)], columns=["comparator", "number", "rest"], dtype=object)
    table = table.where(table.notna(), None)
    # Code -1 (missing) takes the last row.
    return table.iloc[codes].set_axis(texts.index, axis=0)

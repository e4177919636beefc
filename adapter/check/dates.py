"""ISO 8601 dates as SDTM has them: how precise each is, and numbers that compare at any common precision.

SDTMIG 3.4 §4.4: parts may be missing on the right (2005-10) or replaced by a hyphen (2003---15, 2003-12-15T-:15).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np

from adapter.check.columns import Bools, Column

_TIME = r"(?:T(?P<H>[01][0-9]|2[0-3]|-)(?::(?P<M>[0-5][0-9]|-)(?::(?P<S>[0-5][0-9]|-)?(?:\.(?P<f>[0-9]+))?)?)?"
_ZONE = r"(?P<z>Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?)?"
_DATE = r"(?P<Y>-?[0-9]{4}|-)(?:--?(?P<m>0[1-9]|1[0-2]|-))?(?:--?(?P<d>0[1-9]|[12][0-9]|3[01]|-))?"
_ONE = re.compile(_DATE + _TIME + _ZONE)
_TIME_ONLY = re.compile(r"-{4,8}" + _TIME.removeprefix("(?:") + _ZONE.removesuffix(")?"))
PARTS = ("Y", "m", "d", "H", "M", "S", "f")
PRECISIONS = ("year", "month", "day", "hour", "minute", "second", "microsecond")
_DEFAULTS = (1970, 1, 1, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Moment:
    """One date: its parts as far as known, the offset of its zone in minutes, and its precision (-1: not even a year)."""

    parts: tuple[int | None, ...]
    offset: int
    precision: int

    def at(self, precision: int) -> float:
        """Return a number for the date cut to a precision (0 year … 6 microsecond), comparable with others so cut."""
        year, month, day, hour, minute, second, micro = (
            d if p is None or i > precision else p for i, (p, d) in enumerate(zip(self.parts, _DEFAULTS, strict=True))
        )
        try:
            days = date(year, month, day).toordinal()
        except ValueError:
            return float("nan")
        seconds = days * 86_400 + hour * 3_600 + minute * 60 + second + micro / 1e6
        return seconds - (self.offset * 60 if precision > 2 else 0)


def moment(text: str) -> Moment | None:
    """Return a date, or of an interval its beginning; None for what is no ISO 8601 date of SDTM."""
    first, slash, second = text.partition("/")
    match = _ONE.fullmatch(first)
    if match is None:
        match = None if slash else _TIME_ONLY.fullmatch(first)
        if match is None:
            return None
        found: dict[str, Any] = dict.fromkeys(PARTS) | match.groupdict()
    else:
        found = match.groupdict()
        if slash and _ONE.fullmatch(second) is None:
            return None
    parts = []
    for name in PARTS:
        cell = found[name]
        if name == "f" and cell:
            cell = (cell + "000000")[:6]
        parts.append(int(cell) if cell and cell != "-" else None)
    if parts[0] is not None and parts[0] < 1:
        return None
    uncertain = any(s in text for s in ("/", "--", "-:"))
    precision = next((i for i, p in enumerate(parts) if p is None), len(parts)) - 1
    made = Moment(tuple(parts), _offset(found["z"]), precision)
    if uncertain:
        return made
    known = [p for p in parts[:3] if p is not None]
    return made if known == parts[: len(known)] and (len(known) < 3 or made.at(2) == made.at(2)) else None


def _offset(zone: str | None) -> int:
    if not zone or zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


def complete(text: str) -> bool:
    """Whether the date portion is complete, down to the day (a time, if any, must be one)."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def day_of(text: str) -> float:
    """Return the day number of a complete date, NaN for others."""
    try:
        return float(datetime.fromisoformat(text).date().toordinal())
    except ValueError:
        return float("nan")


@dataclass(frozen=True, slots=True)
class Dates:
    """The dates of a column's distinct texts: precision (-1: none) and a number for every precision; last row: missing."""

    precision: np.ndarray[Any, np.dtype[np.int8]]
    at: np.ndarray[Any, np.dtype[np.float64]]


def dates_of(column: Column) -> Dates:
    """Return the dates of a text column's distinct values, once per column."""
    if column._dates is None:
        found = [moment(str(v)) for v in column.distinct]
        precision = np.array([-1 if m is None else m.precision for m in found] + [-1], dtype=np.int8)
        at = np.full((len(found) + 1, len(PARTS)), np.nan)
        for i, m in enumerate(found):
            if m is not None:  # beyond its own precision a date is never asked for
                at[i, : m.precision + 1] = [m.at(p) for p in range(m.precision + 1)]
        column._dates = Dates(precision, at)
    kept: Dates = column._dates
    return kept


_UNITS = r"(?:[0-9]+(?:[.,][0-9]*)?{})?"
_DURATION = re.compile(
    r"(?P<sign>-?)P(?!$)(?:(?P<W>[0-9]+(?:[.,][0-9]*)?W)|"
    + "".join(f"(?P<{g}>{_UNITS.format(u)}),?" for g, u in (("y", "Y"), ("mo", "M"), ("da", "D")))
    + r"(?P<T>T(?=[0-9])"
    + "".join(f"(?P<{g}>{_UNITS.format(u)}),?" for g, u in (("h", "H"), ("mi", "M"), ("s", "S")))
    + r")?)"
)


def duration(text: str, negative: bool) -> bool:
    """Whether a text is an ISO 8601 duration; only its smallest part may have decimals."""
    match = _DURATION.fullmatch(text)
    if match is None or (match["sign"] and not negative):
        return False
    given = [p for p in (match[g] for g in ("y", "mo", "da", "h", "mi", "s", "W")) if p]
    return bool(given) and not any("." in p or "," in p for p in given[:-1])


def compared(target: Column, other: Column, test: Any, component: str | None) -> Bools:
    """Return a comparison of two date columns row by row.

    Dates are compared at their common precision; as equal only with the same precision, unless `component` is "auto".
    Another component compares that part alone. What is no date compares as nothing.
    """
    a, b = target.as_text(), other.as_text()
    x, y = dates_of(a), dates_of(b)
    px, py = x.precision[a.coded], y.precision[b.coded]
    comparable = (px >= 0) & (py >= 0)
    if component in PRECISIONS:
        return comparable & _component(a, b, PRECISIONS.index(component), test)
    common = np.maximum(np.minimum(px, py), 0)
    with np.errstate(invalid="ignore"):
        answer = test(x.at[a.coded, common], y.at[b.coded, common])
    if component != "auto" and test is np.equal:
        answer = answer & (px == py)
    elif component != "auto" and test is np.not_equal:
        answer = answer | (px != py)
    return np.asarray(comparable & answer, dtype=bool)


def _component(a: Column, b: Column, part: int, test: Any) -> Bools:
    def cells(c: Column) -> Any:
        found = [(m.parts[part] if m else None) for m in (moment(str(v)) for v in c.distinct)]
        filled = [np.nan if p is None else float(p) for p in found]
        return np.array([*filled, np.nan])[c.coded]

    with np.errstate(invalid="ignore"):
        return np.asarray(test(cells(a), cells(b)), dtype=bool)

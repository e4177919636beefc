"""CSV files of codes as people save them: UTF-8 with or without a mark, or GB18030, with commas; errors by file and line."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from importlib.resources.abc import Traversable
from io import StringIO
from itertools import compress
from pathlib import Path

from adapter.errors import InputError, unknown

REMARKS = frozenset(["records", "share", "suggestion", "because", "usual_unit", "tests", "note"])
"""Columns for people: what `codes check` says beside a line to fill in, and notes. They are not read."""


def read_rows(
    file: Traversable | Path, key: tuple[str, ...], columns: Collection[str] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (`file:line`, row) of a table; cells without the blanks around them, rows without anything to read left out.

    columns: what the header may hold besides REMARKS; empty: anything. key: what it must hold.
    Raises InputError, naming file and line, for another encoding or separator, a column that is unknown, doubled or
    missing, and a row with too many or too few fields.
    """
    # StringIO splits at newlines only; str.splitlines would also cut at U+2028 inside a cell.
    reader = csv.reader(StringIO(_text(file), newline=""), strict=True)
    try:
        header = [c.strip() for c in next(reader, [])]
        _check_header(file, header, key, columns)
        read = [c and (c in columns or not columns or c not in REMARKS) for c in header]
        names = list(compress(header, read))
        for cells in reader:
            place = f"{file}:{reader.line_num}"
            if len(cells) != len(header):
                if not any(c.strip() for c in cells):
                    continue
                raise InputError(f"{place}: found {len(cells)} fields, expected {len(header)}: {', '.join(header)}")
            kept = [c.strip() for c in compress(cells, read)]
            if any(kept):
                yield place, dict(zip(names, kept, strict=True))
    except csv.Error as e:
        raise InputError(f"{file}:{reader.line_num}: not readable as CSV: {e}") from e


def _check_header(file: Traversable | Path, header: list[str], key: tuple[str, ...], columns: Collection[str]) -> None:
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            raise InputError(
                f"{file}:1: the columns are separated by {name}, expected commas; in a spreadsheet save as "
                '"CSV UTF-8 (comma delimited)"'
            )
    for c in header:
        # spreadsheets leave empty columns behind the last one
        if columns and c and c not in columns and c not in REMARKS:
            raise InputError(f"{file}:1: {unknown('column', c, list(columns))}")
    doubled = sorted({c for c in header if c and header.count(c) > 1})
    missing = [c for c in key if c not in header]
    if doubled or missing:
        raise InputError(f"{file}:1: columns doubled: {doubled}, missing: {missing}; expected at least {list(key)}")


def _text(file: Traversable | Path) -> str:
    data = file.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{file}: UTF-16, expected UTF-8 or GB18030; in a spreadsheet save as CSV UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        if _is_chinese(data):
            return data.decode("gb18030")
        raise InputError(
            f"{file}: neither UTF-8 (byte {e.start}) nor GB18030; in a spreadsheet save as CSV UTF-8"
        ) from e
    # a few Chinese characters may happen to be UTF-8 too, of letters that are met in no unit and no code (千 is ǧ)
    odd = re.findall("[^\\x00-\\x7f]", text)
    if (
        0 < len(odd) <= 8
        and all("\u0180" <= c < "\u0370" or "\u0460" <= c < "\u0800" for c in odd)
        and _is_chinese(data)
    ):
        return data.decode("gb18030")
    return text


def _is_chinese(data: bytes) -> bool:
    """Return whether bytes that are no UTF-8 are GB18030.

    Nearly all Latin-1 text is GB18030 too (`µg` is one Chinese character there). But characters in use (GB 2312) have no
    ASCII letter as second byte, and none stands alone between two Latin letters, as one made of `öß` would.
    """
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return False
    found: list[str] = re.findall(r"(?<![A-Za-z])[^\x00-\x7f]|[^\x00-\x7f](?![A-Za-z])", text)
    usual = sum(len(pair := c.encode("gb18030")) == 2 and pair[1] >= 0xA1 for c in found)
    return 2 * usual > sum(not c.isascii() for c in text)

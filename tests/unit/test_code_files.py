"""CSV files as people save them: encodings, separators, empty columns; what is wrong is told by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.code_files import read_rows
from adapter.errors import InputError

KEY, COLUMNS = ("system", "code"), ("system", "code", "display")
TEXT = "system,code,display\r\nlocal,1,血小板计数\r\n"
ROW = {"system": "local", "code": "1", "display": "血小板计数"}


def rows(path: Path, data: bytes) -> list[tuple[str, dict[str, str]]]:
    (path / "t.csv").write_bytes(data)
    return list(read_rows(path / "t.csv", KEY, COLUMNS))


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(), TEXT.encode("utf-8-sig"), TEXT.encode("gb18030"), TEXT.encode("gbk"),
        ("system,code,display,,\nlocal,1,血小板计数,,\n,,,,\n").encode(),  # what spreadsheets leave behind
        ('system,code,display,note\n"local", 1 ,血小板计数,"asked, twice"\n').encode(),
        ("\ufeffsystem , code,display,suggestion,records\nlocal,1,血小板计数,x,7\n").encode(),
    ],
    ids=["UTF-8", "with mark", "GB18030", "GBK", "empty columns", "quotes and notes", "skeleton"],
)  # fmt: skip
def test_every_way_to_save_it_reads_the_same(tmp_path: Path, data: bytes) -> None:
    ((place, row),) = rows(tmp_path, data)
    assert (place, {c: row[c] for c in COLUMNS}) == (f"{tmp_path / 't.csv'}:2", ROW)
    assert set(row) == set(COLUMNS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"system;code;display\nlocal;1;x\n", r"t\.csv:1: .*semicolons, expected commas.*CSV UTF-8"),
        (b"system\tcode\tdisplay\n", r"t\.csv:1: .*tabs, expected commas"),
        (TEXT.encode("utf-16"), r"t\.csv: UTF-16, expected"),
        # in GB18030 the micro sign and the g would be one Chinese character
        ("system,code,display\nlocal,1,µg/L\n".encode("cp1252"), r"t\.csv: neither UTF-8 \(byte 28\) nor GB18030"),
        ("system,code,display\nlocal,1,Größe\n".encode("latin-1"), r"t\.csv: neither UTF-8"),
        (b"system,code,dispaly\n", r"t\.csv:1: unknown column 'dispaly'.*did you mean 'display'"),
        (b"system,display\n", r"t\.csv:1: .*missing: \['code'\]"),
        (b"system,code,code\n", r"t\.csv:1: columns doubled: \['code'\]"),
        (b"system,code,display\n\nlocal,1\n", r"t\.csv:3: found 2 fields, expected 3"),
        (b'system,code,display\nlocal,1,"x\n', r"t\.csv:\d: not readable as CSV"),
    ],
    ids=["semicolons", "tabs", "UTF-16", "cp1252", "Latin-1", "column", "missing", "doubled", "fields", "quote"],
)  # fmt: skip
def test_what_is_wrong_is_told(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows(tmp_path, data)


@pytest.mark.parametrize("text", ["千/ul血", "µg/L", "β2-MG", "Größe", "мкг/л"])
def test_short_texts_that_are_valid_in_both_encodings(tmp_path: Path, text: str) -> None:
    for encoding in ("utf-8", *(["gb18030"] if text.startswith("千") else [])):
        ((_, row),) = rows(tmp_path, f"system,code,display\nlocal,1,{text}\n".encode(encoding))
        assert row["display"] == text


def test_a_line_separator_inside_a_cell_ends_no_line(tmp_path: Path) -> None:
    (found,) = rows(tmp_path, "system,code,display\nlocal,1,a\u2028b\n".encode())
    assert found[1]["display"] == "a\u2028b"

"""XPORT v5 writer: bytes parsed by hand, cells read back by pyreadstat and pandas, refusals, real CDISC files."""

from __future__ import annotations

import datetime
import io
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyreadstat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import WriteError
from adapter.writers.ibm import float_from_ibm
from adapter.writers.xpt import XptVariable, XptWriter

STAMP = datetime.datetime(2025, 3, 7, 4, 5, 6)
REAL = Path(__file__).parents[2] / "../shared/data/cdisc/sdtm-xpt"
HEADER = b"HEADER RECORD*******%-8sHEADER RECORD!!!!!!!%s  "
ZEROS = b"0" * 30


def char(name: str, length: int, label: str = "", form: str = "") -> XptVariable:
    return XptVariable(name, label, "Char", length, form)


def num(name: str, label: str = "", form: str = "") -> XptVariable:
    return XptVariable(name, label, "Num", 8, form)


def written(variables: list[XptVariable], *batches: Any, name: str = "XX", label: str = "") -> bytes:
    file = io.BytesIO()
    with XptWriter(file, name, label, variables, STAMP) as writer:
        for batch in batches:
            writer.write(batch)
    return file.getvalue()


def read(data: bytes, folder: Path) -> tuple[pd.DataFrame, Any]:
    path = folder / "x.xpt"
    path.write_bytes(data)
    frame, meta = pyreadstat.read_xport(path)
    return frame, meta


def observations(data: bytes) -> bytes:
    marker = HEADER % (b"OBS", ZEROS)
    return data[data.index(marker) + 80 :]


# --- the bytes -------------------------------------------------------------------------------------------------------


def test_header_records_and_namestrs_by_hand() -> None:
    variables = [char("USUBJID", 11, "Unique Subject Identifier", "$11."), num("AGE", "Age", "8.2"), char("SEX", 1)]
    data = written(
        variables,
        pa.table({"SEX": ["F", "M"], "AGE": [61.5, None], "USUBJID": ["S-1", "S-2"]}),
        name="DM",
        label="Demographics",
    )
    lines = [data[i : i + 80] for i in range(0, len(data), 80)]
    stamp = b"07MAR25:04:05:06"
    assert len(data) % 80 == 0
    assert lines[:8] == [
        HEADER % (b"LIBRARY", ZEROS),
        b"SAS     SAS     SASLIB  6.06    bsd4.2  " + b" " * 24 + stamp,
        stamp + b" " * 64,
        HEADER % (b"MEMBER", b"000000000000000001600000000140"),
        HEADER % (b"DSCRPTR", ZEROS),
        b"SAS     DM      SASDATA 6.06    bsd4.2  " + b" " * 24 + stamp,
        stamp + b" " * 16 + b"Demographics".ljust(40) + b" " * 8,
        HEADER % (b"NAMESTR", b"000000000300000000000000000000"),
    ]
    # offsets in a NAMESTR as TS-140 lists them, one field at a time
    expected = [
        (2, 11, 1, b"USUBJID ", b"Unique Subject Identifier", b"$       ", 11, 0, 0),
        (1, 8, 2, b"AGE     ", b"Age", b"        ", 8, 2, 11),
        (2, 1, 3, b"SEX     ", b"", b"        ", 0, 0, 19),
    ]
    for i, (kind, length, number, name, label, form, width, decimals, position) in enumerate(expected):
        n = data[640 + 140 * i :][:140]
        assert struct.unpack(">HHHH", n[:8]) == (kind, 0, length, number)
        assert (n[8:16], n[16:56], n[56:64]) == (name, label.ljust(40), form)
        assert struct.unpack(">HHH", n[64:70]) == (width, decimals, 0)
        assert (n[70:72], n[72:80], n[80:84]) == (b"\0\0", b" " * 8, b"\0" * 4)
        assert struct.unpack(">I", n[84:88]) == (position,)
        assert n[88:] == b"\0" * 52
    assert data[640 + 420 : 640 + 480] == b" " * 60
    assert data[1120:1200] == HEADER % (b"OBS", ZEROS)
    rows = b"S-1        " + bytes.fromhex("423D800000000000") + b"F" + b"S-2        " + b".\0\0\0\0\0\0\0" + b"M"
    assert data[1200:] == rows.ljust(80)


@pytest.mark.parametrize("month", range(1, 13))
def test_months_are_english(month: int) -> None:
    file = io.BytesIO()
    XptWriter(file, "XX", "", [char("A", 1)], datetime.datetime(1999, month, 28, 23, 59, 58)).close()
    english = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"[3 * month - 3 : 3 * month]
    assert file.getvalue()[160:176].decode() == f"28{english}99:23:59:58"


# --- read back by an independent reader ------------------------------------------------------------------------------

TEXTS = [
    "plain",
    "",
    None,
    "  leading kept",
    "trailing   ",
    "中文：植入功能不良",
    "é≤×10⁹/L",
    "x" * 200,
    "汉" * 66 + "ab",
    "a b",
]
NUMBERS = [0.0, -1.0, 0.1, -1e-70, 5.5e-79, 7.1e75, -7.1e75, None, 2.0**53, 123456.789]


def test_cells_labels_and_formats_read_back(tmp_path: Path) -> None:
    variables = [
        char("TXT", 200, "Text with 40 characters, the most allow."),
        num("NUMB", "A Number", "8.3"),
        char("FL", 1, "Flag", "$CHAR1."),
        num("INTG", "An Integer", "BEST12."),
    ]
    integers = [1, -2, None, 2**53, -(2**53), 0, 7, 8, 9, 10]
    table = pa.table({"TXT": TEXTS, "NUMB": NUMBERS, "FL": ["Y"] * 10, "INTG": integers})
    frame, meta = read(written(variables, table, name="LB", label="Laboratory Test Results"), tmp_path)
    assert frame["TXT"].tolist() == [(t or "").rstrip(" ") for t in TEXTS]
    assert [None if np.isnan(x) else x for x in frame["NUMB"]] == NUMBERS
    assert [None if np.isnan(x) else int(x) for x in frame["INTG"]] == integers
    assert frame["FL"].tolist() == ["Y"] * 10
    assert (meta.table_name, meta.file_label) == ("LB", "Laboratory Test Results")
    assert meta.column_labels == [v.label for v in variables]
    assert list(meta.original_variable_types.values()) == [None, "8.3", "$CHAR1", "BEST12"]
    assert meta.variable_storage_width == {"TXT": 200, "NUMB": 8, "FL": 1, "INTG": 8}


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 4, 5, 141, 300])
def test_any_number_of_columns_and_few_rows(count: int, rows: int, tmp_path: Path) -> None:
    variables = [char(f"C{i}", 1 + i % 7) if i % 2 else num(f"N{i}") for i in range(count)]
    columns = {v.name: ["3"] * rows if v.type == "Char" else [3.5] * rows for v in variables}
    table = pa.table({v.name: pa.array(columns[v.name], pa.string() if v.type == "Char" else None) for v in variables})
    data = written(variables, table)
    frame, _ = read(data, tmp_path)
    assert len(data) % 80 == 0
    assert frame.columns.tolist() == [v.name for v in variables]
    assert len(frame) == rows
    for v in variables:
        assert frame[v.name].tolist() == columns[v.name]


def test_pandas_reads_it_too(tmp_path: Path) -> None:
    variables = [char("TXT", 200), num("NUMB")]
    path = tmp_path / "x.xpt"
    path.write_bytes(written(variables, pa.table({"TXT": TEXTS, "NUMB": NUMBERS})))
    frame = pd.read_sas(path, format="xport", encoding="utf-8")
    assert frame["TXT"].fillna("").tolist() == [(t or "").rstrip(" ") for t in TEXTS]
    # not the first: pandas reads the IBM zero, eight zero bytes, as 5.4e-79
    assert [None if np.isnan(x) else x for x in frame["NUMB"][1:]] == NUMBERS[1:]


cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(cells | st.none(), cells, st.none() | st.floats(-1e9, 1e9).map(lambda x: round(x, 3)))),
    cuts=st.lists(st.integers(0, 30), max_size=3),
    kind=st.sampled_from([pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]),
)
def test_observations_are_the_plain_concatenation_however_batched(
    rows: list[tuple[str | None, str, float | None]], cuts: list[int], kind: pa.DataType
) -> None:
    variables = [char("A", 24), num("N"), char("B", 25)]
    a, b, n = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    if pa.types.is_dictionary(kind):
        texts = [pa.array(x, pa.string()).dictionary_encode() for x in (a, b)]
    else:
        texts = [pa.array(x, pa.string()).cast(kind) for x in (a, b)]
    table = pa.table({"A": texts[0], "B": texts[1], "N": pa.array(n, pa.float64())})
    expected = b"".join(
        (x or "").encode().ljust(24) + (b".".ljust(8, b"\0") if z is None else z_bytes(z)) + y.encode().ljust(25)
        for x, y, z in zip(a, b, n, strict=True)
    )
    whole = written(variables, table)
    assert observations(whole) == expected + b" " * (-len(expected) % 80)
    edges = [0, *sorted(min(c, len(rows)) for c in cuts), len(rows)]
    parts = [table.slice(i, j - i) for i, j in pairwise(edges)]
    assert written(variables, *parts) == whole
    assert written(variables, *[r for p in parts for r in p.to_batches()]) == whole
    assert written(variables, pa.concat_tables(parts)) == whole


def z_bytes(value: float) -> bytes:
    """IBM double of a small number: 56 bits of the fraction below the first power of 16 above it."""
    power, magnitude = 64, abs(value)
    while magnitude >= 1:
        magnitude, power = magnitude / 16, power + 1
    while 0 < magnitude < 1 / 16:
        magnitude, power = magnitude * 16, power - 1
    return (
        bytes(8)
        if not value
        else bytes([power | (128 if value < 0 else 0)]) + int(magnitude * 2**56).to_bytes(7, "big")
    )


def test_blocks_inside_one_batch_do_not_change_the_bytes() -> None:
    rows = 3 * (1 << 22) // 208 + 17  # three blocks and a bit
    table = pa.table({"T": [f"{i:06d}" for i in range(rows)], "N": np.arange(rows, dtype=np.float64)})
    data = observations(written([char("T", 200), num("N")], table))
    grid = np.frombuffer(data, dtype=np.uint8, count=rows * 208).reshape(rows, 208)
    assert grid[:, :200].tobytes().decode().split() == [f"{i:06d}" for i in range(rows)]
    assert (float_from_ibm(grid[:, 200:]) == np.arange(rows)).all()
    assert set(data[rows * 208 :]) <= {32}
    assert len(data) - rows * 208 < 80


FRAMES: list[tuple[str, Callable[[], pd.Series]]] = [
    ("str", lambda: pd.Series(["a", None, "中"], dtype="str")),
    ("object", lambda: pd.Series(["a", None, "中"], dtype=object)),
    ("nan in object", lambda: pd.Series(["a", np.nan, "中"], dtype=object)),
    ("category", lambda: pd.Series(["a", None, "中"], dtype="category")),
    ("arrow", lambda: pd.Series(["a", None, "中"], dtype=pd.ArrowDtype(pa.string()))),
]


@pytest.mark.parametrize(("kind", "make"), FRAMES, ids=[k for k, _ in FRAMES])
def test_pandas_frames_of_every_text_type_and_any_index(kind: str, make: Callable[[], pd.Series]) -> None:
    frame = pd.DataFrame({"N": [1.5, np.nan, 2], "T": make(), "EXTRA": [object()] * 3})
    frame.index = pd.Index([9, 9, 1])
    expected = pa.table({"T": ["a", "", "中"], "N": [1.5, None, 2.0]})
    variables = [char("T", 3), num("N")]
    assert written(variables, frame) == written(variables, expected)


@pytest.mark.parametrize("dtype", ["int8", "uint64", "Int64", "float32", "Float64", "int64[pyarrow]"])
def test_pandas_numbers_of_every_type(dtype: str) -> None:
    frame = pd.DataFrame({"N": pd.Series([1, 2, 100], dtype=dtype)})
    assert written([num("N")], frame) == written([num("N")], pa.table({"N": [1.0, 2.0, 100.0]}))


def test_null_columns_dictionaries_with_unused_or_null_entries_and_slices() -> None:
    variables = [char("A", 3), char("B", 2), num("N")]
    entries = pa.array(["x", "much too long", None, "中", "nul\0"])
    a = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, None, 0], pa.int8()), entries)
    table = pa.table({"A": a, "B": pa.nulls(6), "N": pa.nulls(6)})
    sliced = pa.concat_tables([table.slice(0, 1), table.slice(2)])
    missing = b"  .\0\0\0\0\0\0\0"
    body = b"x  " + missing + b"   " + missing + "中".encode() + missing + b"   " + missing + b"x  " + missing
    assert observations(written(variables, sliced)) == body.ljust(80)
    assert observations(written(variables, table.slice(2, 0))) == b""
    wide = pa.DictionaryArray.from_arrays(
        pa.array([0, None] * 200, pa.int8()), pa.array(["q"] + [f"{i}" for i in range(100)])
    )
    assert observations(written([char("A", 3)], pa.table({"A": wide}).slice(0, 399)))[:9] == b"q     q  "


def test_chunks_with_dictionaries_of_their_own() -> None:
    chunks = [pa.array(x, pa.string()).dictionary_encode() for x in (["a", "b"], [None, "c", "b"], ["a"])]
    table = pa.table({"A": pa.chunked_array(chunks)})
    assert observations(written([char("A", 1)], table)) == b"ab cba".ljust(80)


def test_text_under_a_null_never_leaks() -> None:
    hidden = pa.Array.from_buffers(
        pa.string(), 2, [pa.py_buffer(b"\x02"), pa.py_buffer(struct.pack("<3i", 0, 6, 7)), pa.py_buffer(b"secretx")]
    )
    assert observations(written([char("A", 1)], pa.table({"A": hidden}))) == b" x".ljust(80)


# --- the blank-row trap ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 8, 40, 79, 80, 81, 100, 200])
def test_pyreadstat_drops_blank_rows_at_the_end_and_we_refuse_them(length: int, tmp_path: Path) -> None:
    texts = ["a", "", "b", "", ""]
    honest = written([char("A", length)], pa.table({"A": texts[:3]}))
    assert read(honest, tmp_path)[0]["A"].tolist() == ["a", "", "b"]  # a blank row in between is no danger
    trap = honest.rstrip(b" ").ljust(len(honest[: -len(observations(honest))]) + 5 * length)
    trap += b" " * (-len(trap) % 80)
    assert len(read(trap, tmp_path)[0]) == 3  # five rows went in
    with pytest.raises(WriteError, match="XPT XX, row 5: all variables are blank in the last row"):
        written([char("A", length)], pa.table({"A": texts}))


@pytest.mark.parametrize("texts", [[""], ["", ""], [None], ["   "]])
def test_a_file_of_blank_rows_only_is_refused(texts: list[str | None]) -> None:
    file = io.BytesIO()
    writer = XptWriter(file, "XX", "", [char("A", 3)], STAMP)
    writer.write(pa.table({"A": pa.array(texts, pa.string())}))
    size = len(file.getvalue())
    for _ in range(2):  # and stays refused
        with pytest.raises(WriteError, match="XX"):
            writer.close()
    assert len(file.getvalue()) == size


def test_a_blank_row_at_the_end_of_a_batch_is_fine_when_more_follow(tmp_path: Path) -> None:
    batches = [pa.table({"A": pa.array(x, pa.string())}) for x in (["a", ""], [None], ["b"])]
    assert read(written([char("A", 2)], *batches), tmp_path)[0]["A"].tolist() == ["a", "", "", "b"]
    with pytest.raises(WriteError, match="row 3"):
        written([char("A", 2)], *batches[:2], batches[0].slice(0, 0))


def test_a_missing_number_marks_the_row(tmp_path: Path) -> None:
    table = pa.table({"A": ["a", ""], "N": [None, None]}).cast(pa.schema({"A": pa.string(), "N": pa.float64()}))
    assert len(read(written([char("A", 2), num("N")], table), tmp_path)[0]) == 2


def test_the_one_number_whose_bytes_are_blanks_is_seen(tmp_path: Path) -> None:
    blank = float_from_ibm(np.full((1, 8), 32, dtype=np.uint8))
    assert len(read(written([num("N")], pa.table({"N": [*blank, 1.0]})), tmp_path)[0]) == 2
    with pytest.raises(WriteError, match="row 2"):
        written([num("N")], pa.table({"N": [1.0, *blank]}))


@pytest.mark.parametrize("length", [1, 3, 7, 16, 39, 41, 79])
def test_filling_is_never_read_as_rows(length: int, tmp_path: Path) -> None:
    for rows in range(1, 12):
        frame, _ = read(written([char("A", length)], pa.table({"A": ["x"] * rows})), tmp_path)
        assert frame["A"].tolist() == ["x"] * rows


# --- refusals --------------------------------------------------------------------------------------------------------

GOOD = [char("USUBJID", 5, "Subject"), num("AGE", "Age")]
DECLARATIONS: list[tuple[str, str, list[XptVariable], str]] = [
    ("TOOLONGNM", "", GOOD, "dataset name 'TOOLONGNM'"),
    ("lb", "", GOOD, "dataset name 'lb'"),
    ("1LB", "", GOOD, "dataset name '1LB'"),
    ("", "", GOOD, "dataset name ''"),
    ("LB\n", "", GOOD, "dataset name"),
    ("LB", "x" * 41, GOOD, "XPT LB: label"),
    ("LB", "naïve", GOOD, "XPT LB: label"),
    ("LB", "tab\t", GOOD, "XPT LB: label"),
    ("LB", "", [], "XPT LB: 0 variables"),
    ("LB", "", [*GOOD, num("AGE")], "XPT LB.AGE: the variable is declared twice"),
    ("LB", "", [num("VARIABLES")], "XPT LB.VARIABLES: variable name"),
    ("LB", "", [num("_A")], "XPT LB._A: variable name"),
    ("LB", "", [num("年")], "XPT LB.年: variable name"),
    ("LB", "", [num("A", "x" * 41)], "XPT LB.A: label .* of 41 characters"),
    ("LB", "", [num("A", "≤ 5")], "XPT LB.A: label"),
    ("LB", "", [char("A", 0)], "XPT LB.A: length 0 of a Char; expected 1 to 200"),
    ("LB", "", [char("A", 201)], "XPT LB.A: length 201 of a Char"),
    ("LB", "", [XptVariable("A", "", "Num", 4)], "XPT LB.A: length 4 of a Num; expected 8"),
    ("LB", "", [XptVariable("A", "", "Date", 8)], "XPT LB.A: type 'Date'"),  # type: ignore[arg-type]
    ("LB", "", [num("A", "", "8.3.1")], "XPT LB.A: format '8.3.1'"),
    ("LB", "", [num("A", "", ".")], "XPT LB.A: format"),
    ("LB", "", [num("A", "", "TOOLONGFMT8.")], "XPT LB.A: format"),
    ("LB", "", [num("A", "", "$8.")], "XPT LB.A: format '\\$8.' of a Num"),
    ("LB", "", [char("A", 8, "", "8.")], "XPT LB.A: format '8.' of a Char"),
]


@pytest.mark.parametrize(("name", "label", "variables", "message"), DECLARATIONS)
def test_wrong_declarations(name: str, label: str, variables: list[XptVariable], message: str) -> None:
    file = io.BytesIO()
    with pytest.raises(WriteError, match=message):
        XptWriter(file, name, label, variables, STAMP)
    assert file.getvalue() == b""


@pytest.mark.parametrize("year", [1959, 2060])
def test_years_that_two_digits_cannot_tell(year: int) -> None:
    with pytest.raises(WriteError, match=f"XPT LB: timestamp {year}"):
        XptWriter(io.BytesIO(), "LB", "", GOOD, datetime.datetime(year, 1, 1))


@pytest.mark.parametrize(
    ("form", "name", "width", "decimals"),
    [
        ("DATE9.", "DATE", 9, 0),
        ("E8601DA10.", "E8601DA", 10, 0),
        ("12.", "", 12, 0),
        ("BEST", "BEST", 0, 0),
        ("F8.4", "F", 8, 4),
    ],
)
def test_formats_are_taken_apart(form: str, name: str, width: int, decimals: int) -> None:
    namestr = written([num("A", "", form)])[640:780]
    assert struct.unpack(">8sHH", namestr[56:68]) == (name.encode().ljust(8), width, decimals)


IDS = ["S-1", "S-2", "S-3"]
AGES = [1, 2, 3]
BATCHES: list[tuple[str, Any, str]] = [
    ("missing column", pa.table({"AGE": AGES}), "XPT DM.USUBJID: 0 columns"),
    ("doubled column", pa.table([IDS, AGES, AGES], names=["USUBJID", "AGE", "AGE"]), "XPT DM.AGE: 2 columns"),
    (
        "number as text",
        pa.table({"USUBJID": AGES, "AGE": AGES}),
        "XPT DM.USUBJID: a column of type int64; expected text",
    ),
    (
        "text as number",
        pa.table({"USUBJID": IDS, "AGE": ["1"] * 3}),
        "XPT DM.AGE: a column of type string; expected num",
    ),
    ("bool", pa.table({"USUBJID": IDS, "AGE": [True] * 3}), "XPT DM.AGE: a column of type bool"),
    ("binary", pa.table({"USUBJID": [b"x"] * 3, "AGE": AGES}), "XPT DM.USUBJID: a column of type binary"),
    (
        "dictionary of views",
        pa.table({"USUBJID": pa.DictionaryArray.from_arrays([0] * 3, pa.array(["x"], pa.string_view())), "AGE": AGES}),
        "XPT DM.USUBJID: a column of type dictionary<values=string_view",
    ),
    ("mixed", pd.DataFrame({"USUBJID": ["SECRET", 1, 2], "AGE": AGES}), "XPT DM.USUBJID: a column of mixed types"),
    ("surrogate", pd.DataFrame({"USUBJID": pd.Series(["\ud800"] * 3, dtype=object), "AGE": AGES}), "XPT DM.USUBJID"),
    (
        "too long",
        pa.table({"USUBJID": ["S-1", "SECRET", "x"], "AGE": AGES}),
        "XPT DM.USUBJID, row 5: the value has 6 bytes",
    ),
    ("the first", pa.table({"USUBJID": ["", "SECRET", "SECRETS"], "AGE": AGES}), "XPT DM.USUBJID, row 5: .* 6 bytes"),
    (
        "in bytes",
        pa.table({"USUBJID": ["S-1", "x", "中文"], "AGE": AGES}),
        "XPT DM.USUBJID, row 6: .* 6 bytes .* at most 5",
    ),
    ("trailing blanks", pa.table({"USUBJID": ["SECRET", "", ""], "AGE": AGES}), "XPT DM.USUBJID, row 4: .* 6 bytes"),
    ("nul", pa.table({"USUBJID": ["S-1", "x", "a\0b"], "AGE": AGES}), "XPT DM.USUBJID, row 6: the value holds a NUL"),
    ("only nul", pa.table({"USUBJID": ["\0", "x", ""], "AGE": AGES}), "XPT DM.USUBJID, row 4: the value holds a NUL"),
    (
        "dictionary",
        pa.table({"USUBJID": pa.array(["x", "x", "SECRET"]).dictionary_encode(), "AGE": AGES}),
        "XPT DM.USUBJID, row 6: the value has 6 bytes",
    ),
    ("huge", pa.table({"USUBJID": IDS, "AGE": [1.0, 1e80, 1.0]}), r"XPT DM.AGE, row 5: 1e\+80 "),
    ("infinite", pa.table({"USUBJID": IDS, "AGE": [1.0, None, -np.inf]}), "XPT DM.AGE, row 6: -inf"),
    ("integer", pa.table({"USUBJID": IDS, "AGE": [None, 1, 2**53 + 1]}), "XPT DM.AGE, row 6: integer 9007199254740993"),
    ("unsigned", pa.table({"USUBJID": IDS, "AGE": pa.array([0, 2**63, 1], pa.uint64())}), "XPT DM.AGE, row 5: integer"),
]


@pytest.mark.parametrize(("batch", "message"), [b[1:] for b in BATCHES], ids=[b[0] for b in BATCHES])
def test_wrong_batches_name_place_but_never_the_text(batch: Any, message: str) -> None:
    file = io.BytesIO()
    writer = XptWriter(file, "DM", "", GOOD, STAMP)
    writer.write(pa.table({"USUBJID": IDS, "AGE": AGES}))
    with pytest.raises(WriteError, match=message) as caught:
        writer.write(batch)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert writer.rows == 3
    for again in (writer.close, lambda: writer.write(batch)):
        with pytest.raises(WriteError, match="XPT DM: the writer failed earlier"):
            again()


# --- life of a writer ------------------------------------------------------------------------------------------------


def test_rows_close_and_context() -> None:
    file = io.BytesIO()
    with XptWriter(file, "DM", "", GOOD, STAMP) as writer:
        assert writer.rows == 0
        writer.write(pa.record_batch({"USUBJID": IDS, "AGE": AGES}))
        writer.write(pa.table({"USUBJID": IDS, "AGE": AGES}))
        assert writer.rows == 6
    size = len(file.getvalue())
    writer.close()
    assert len(file.getvalue()) == size
    assert not file.closed
    with pytest.raises(WriteError, match="XPT DM: the writer is closed"):
        writer.write(pa.table({"USUBJID": IDS, "AGE": AGES}))


def test_leaving_by_an_exception_does_not_finish_the_file() -> None:
    file = io.BytesIO()
    writer = XptWriter(file, "DM", "", GOOD, STAMP)

    def fail() -> None:
        with writer:
            writer.write(pa.table({"USUBJID": IDS, "AGE": AGES}))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(file.getvalue()) % 80 == 39  # three rows of 13 bytes, not filled up
    with pytest.raises(WriteError):
        writer.close()


def test_a_file_that_takes_only_part_is_noticed() -> None:
    class Half(io.RawIOBase):
        def write(self, data: Any) -> int:
            return len(data) // 2

    # seven header lines and that of NAMESTR, two NAMESTRs (280 filled up to 320), the line of OBS
    with pytest.raises(WriteError, match="XPT DM: the file took 520 of 1040 bytes"):
        XptWriter(Half(), "DM", "", GOOD, STAMP)  # type: ignore[arg-type]


# --- real files ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL.is_dir(), reason="the CDISC sample files are not here")
@pytest.mark.parametrize("name", ["dm", "ae", "lb", "ts", "suppdm", "relrec", "ex", "qsph"])
def test_real_sdtm_files_survive(name: str, tmp_path: Path) -> None:
    """Equal cells, and equal bytes in NAMESTR and observations: the originals were written by SAS 9.4."""
    path = REAL / f"{name}.xpt"
    frame, meta = pyreadstat.read_xport(path)
    variables = [
        XptVariable(
            n,
            meta.column_names_to_labels[n] or "",
            "Char" if meta.readstat_variable_types[n] == "string" else "Num",
            meta.variable_storage_width[n],
            f"{meta.original_variable_types[n]}." if meta.original_variable_types[n] else "",
        )
        for n in meta.column_names
    ]
    data = written(variables, frame, name=meta.table_name or "", label=meta.file_label or "")
    again, same = read(data, tmp_path)
    pd.testing.assert_frame_equal(again, frame)
    assert same.column_names_to_labels == meta.column_names_to_labels
    assert (same.table_name, same.file_label) == (meta.table_name, meta.file_label)
    assert data[560:] == path.read_bytes()[560:]

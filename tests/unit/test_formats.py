"""The writers of Dataset-JSON, NDJSON, Parquet and CSV: bytes written by hand, cells read back by readers not ours.

One table with every oddity goes through all five writers; each file is read by somebody else's reader, and all give the
same cells.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import InputError, WriteError
from adapter.writers import define_model as m
from adapter.writers.cells import number_texts, numbers
from adapter.writers.csv import CsvWriter
from adapter.writers.dataset_json import DatasetJsonWriter, check_metadata, metadata
from adapter.writers.description import Column, Description, describe, pointing_to
from adapter.writers.formats import SUFFIXES, chosen, dataset_files
from adapter.writers.parquet import GROUP_ROWS, ParquetWriter
from adapter.writers.xpt import XptVariable, XptWriter

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
SHARED = ROOT / "../shared/data/cdisc/dataset-json-schema"
STAMP = datetime.datetime(2025, 3, 7, 4, 5, 6)
LINE_ENDS = "\u0085\u2028\u2029"

COLUMNS = (
    Column("IT.LB.USUBJID", "USUBJID", "Unique Subject Identifier", "text", 8, key_sequence=1),
    Column("IT.LB.LBSEQ", "LBSEQ", "Sequence Number", "integer", 2),
    Column("IT.LB.LBORRES", "LBORRES", "Result or Finding in Original Units", "text", 200),
    Column("IT.LB.LBSTRESN", "LBSTRESN", "Numeric Result/Finding in Standard Units", "float", 30, "8.3"),
    Column("IT.LB.LBDTC", "LBDTC", "Date/Time of Specimen Collection", "partialDatetime"),
)


def description(columns: tuple[Column, ...] = COLUMNS, records: int = 0) -> Description:
    return Description(
        oid="IG.LB", name="LB", label="Laboratory Test Results", columns=columns, records=records, created=STAMP,
        file_oid="X.SDTM.2025-03-07T04:05:06.LB", study_oid="STDY.X", version_oid="MDV.X", originator="申办者 & Co.",
        system="fhir2cdisc", system_version="0.1.0",
    )  # fmt: skip


# What went in, and the cell that every format must hold. XPORT has no null text and no blanks at the end.
TEXTS = [
    ("plain", "plain"),
    ("", ""),
    (None, ""),
    ("  leading kept", "  leading kept"),
    ("trailing   ", "trailing"),
    ("中文：植入功能不良", "中文：植入功能不良"),
    ("é≤×10⁹/L 🩸", "é≤×10⁹/L 🩸"),
    ('he said "no", twice', 'he said "no", twice'),
    ('"', '"'),
    ('""quoted""', '""quoted""'),
    ("a,b;c\td", "a,b;c\td"),
    ("C:\\new\\u0041", "C:\\new\\u0041"),
    ("line\nline", "line\nline"),
    ("cr\r\nlf\rcr", "cr\r\nlf\rcr"),
    (f"ends{LINE_ENDS}inside", f"ends{LINE_ENDS}inside"),
    ("\x01\x0b\x0c\x1b\x1c\x1f\x7f", "\x01\x0b\x0c\x1b\x1c\x1f\x7f"),
    ("=1+1", "=1+1"),
    ("@SUM(A1)", "@SUM(A1)"),
    ("-5", "-5"),
    ("NA", "NA"),
    ("null", "null"),
    ("4.10", "4.10"),
    ("<0.5", "<0.5"),
    ("</script>", "</script>"),
    ("汉" * 66 + "ab", "汉" * 66 + "ab"),
    ("2024-05", "2024-05"),
]
NUMBERS: list[float | None] = [
    0.1, None, -0.0, 0.30000000000000004, 123456789.123456789, 1e21, 1e-7, 5.5e-79, 7.1e75, -12.5, 3.0, 1 / 3, 100.0,
    2.0**53, 1e15, 1234567890123456.0, 0.00001, 33.333333333333336, None, -1.0, 1e16, 4.1, 0.0, 72057594037927945.0, 2.5,
    9.999999999999999e22,
]  # fmt: skip


def table() -> pa.Table:
    count = len(TEXTS)
    assert len(NUMBERS) == count
    return pa.table(
        {
            "LBDTC": ["2024-05-31T08:15:00", "", *["2024-05"] * (count - 2)],
            "LBSTRESN": pa.array(NUMBERS, pa.float64()),
            "USUBJID": [f"S-{i:03d}" for i in range(count)],
            "LBORRES": pa.array([t for t, _ in TEXTS], pa.string()),
            "_rid": [b"x"] * count,
            "LBSEQ": np.arange(1, count + 1, dtype=np.float64),
        }
    )


def expected() -> list[list[Any]]:
    """Return the rows of `table()` as every format holds them; the number -0.0 is 0."""
    found = []
    for i, ((_, text), n) in enumerate(zip(TEXTS, NUMBERS, strict=True)):
        dtc = "2024-05-31T08:15:00" if i == 0 else "" if i == 1 else "2024-05"
        found.append([f"S-{i:03d}", float(i + 1), text, n if n is None else n + 0.0, dtc])
    return found


def written(make: Callable[[Any, Description], Any], d: Description, *batches: pa.Table) -> bytes:
    file = io.BytesIO()
    with make(file, replace(d, records=sum(b.num_rows for b in batches))) as w:
        for b in batches:
            w.write(b)
    return file.getvalue()


def ndjson(file: Any, d: Description) -> DatasetJsonWriter:
    return DatasetJsonWriter(file, d, lines=True)


MAKERS: dict[str, Callable[[Any, Description], Any]] = {
    "dataset-json": DatasetJsonWriter, "ndjson": ndjson, "parquet": ParquetWriter, "csv": CsvWriter,
}  # fmt: skip

# --- one table, five formats, readers that are not ours --------------------------------------------------------------


def by_json(data: bytes, path: Path) -> list[list[Any]]:
    return [list(r) for r in json.loads(data)["rows"]]


def by_json_lines(data: bytes, path: Path) -> list[list[Any]]:
    return [json.loads(line) for line in data.split(b"\n")[1:-1]]


def by_any_splitlines(data: bytes, path: Path) -> list[list[Any]]:
    """Python's splitlines cuts at nine characters, JSON's grammar allows three of them inside a text."""
    return [json.loads(line) for line in data.decode().splitlines()[1:]]


def by_csv(data: bytes, path: Path) -> list[list[Any]]:
    header, *rows = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    assert header == [c.name for c in COLUMNS]
    return [[u, float(seq), text, float(n) if n else None, dtc] for u, seq, text, n, dtc in rows]


def by_pandas_csv(data: bytes, path: Path) -> list[list[Any]]:
    frame = pd.read_csv(io.BytesIO(data), dtype="str", keep_default_na=False, encoding="utf-8")
    return [[u, float(seq), text, float(n) if n else None, dtc] for u, seq, text, n, dtc in frame.to_numpy().tolist()]


def by_pyarrow(data: bytes, path: Path) -> list[list[Any]]:
    columns = pq.read_table(io.BytesIO(data)).to_pydict()
    return [list(r) for r in zip(*columns.values(), strict=True)]


def by_duckdb(data: bytes, path: Path) -> list[list[Any]]:
    duckdb = pytest.importorskip("duckdb")
    path.write_bytes(data)
    return [list(r) for r in duckdb.sql(f"select * from read_parquet('{path}')").fetchall()]


READERS = [
    ("dataset-json", by_json), ("ndjson", by_json_lines), ("ndjson", by_any_splitlines), ("csv", by_csv),
    ("csv", by_pandas_csv), ("parquet", by_pyarrow), ("parquet", by_duckdb),
]  # fmt: skip


@pytest.mark.parametrize(("form", "read"), READERS, ids=[f"{f} {r.__name__}" for f, r in READERS])
def test_every_cell_comes_back(form: str, read: Callable[[bytes, Path], list[list[Any]]], tmp_path: Path) -> None:
    data = written(MAKERS[form], description(), table())
    assert read(data, tmp_path / "x.parquet") == expected()


def test_xport_holds_the_same_cells(tmp_path: Path) -> None:
    """The table that the other tests expect is what ReadStat reads from the transport file."""
    lengths = {"USUBJID": 8, "LBORRES": 200, "LBDTC": 19}
    variables = [
        XptVariable(c.name, c.label, "Num" if c.numeric else "Char", 8 if c.numeric else lengths[c.name])
        for c in COLUMNS
    ]
    with (tmp_path / "lb.xpt").open("wb") as f, XptWriter(f, "LB", "", variables, STAMP) as w:
        w.write(table())
    frame, _ = pyreadstat.read_xport(str(tmp_path / "lb.xpt"))
    found = [
        [None if isinstance(x, float) and np.isnan(x) else x for x in r] for r in frame.to_numpy(dtype=object).tolist()
    ]
    assert found == expected()


# --- the bytes -------------------------------------------------------------------------------------------------------

HEAD = (
    '{"datasetJSONCreationDateTime":"2025-03-07T04:05:06","datasetJSONVersion":"1.1.0",'
    '"fileOID":"X.SDTM.2025-03-07T04:05:06.LB","originator":"申办者 & Co.",'
    '"sourceSystem":{"name":"fhir2cdisc","version":"0.1.0"},"studyOID":"STDY.X","metaDataVersionOID":"MDV.X",'
    '"metaDataRef":"define.xml","itemGroupOID":"IG.LB","records":2,"name":"LB","label":"Laboratory Test Results",'
    '"columns":['
    '{"itemOID":"IT.LB.USUBJID","name":"USUBJID","label":"Unique Subject Identifier","dataType":"string","length":8,'
    '"keySequence":1},'
    '{"itemOID":"IT.LB.LBSEQ","name":"LBSEQ","label":"Sequence Number","dataType":"integer","length":2},'
    '{"itemOID":"IT.LB.LBORRES","name":"LBORRES","label":"Result or Finding in Original Units","dataType":"string",'
    '"length":200},'
    '{"itemOID":"IT.LB.LBSTRESN","name":"LBSTRESN","label":"Numeric Result/Finding in Standard Units",'
    '"dataType":"float","length":30,"displayFormat":"8.3"},'
    '{"itemOID":"IT.LB.LBDTC","name":"LBDTC","label":"Date/Time of Specimen Collection","dataType":"string"}]'
)
TWO = pa.table(
    {
        "USUBJID": ["S-1", "S-2"],
        "LBSEQ": [1.0, 2.0],
        "LBORRES": ['"<\u2028中,\n', None],
        "LBSTRESN": pa.array([None, 4.1]),
        "LBDTC": ["2024-05", None],
    }
)


def test_dataset_json_by_hand() -> None:
    rows = '["S-1",1,"\\"<\\u2028中,\\n",null,"2024-05"],\n["S-2",2,"",4.1,""]'
    assert written(DatasetJsonWriter, description(), TWO).decode() == f'{HEAD},"rows":[\n{rows}\n]}}\n'


def test_ndjson_by_hand() -> None:
    rows = '["S-1",1,"\\"<\\u2028中,\\n",null,"2024-05"]\n["S-2",2,"",4.1,""]\n'
    assert written(ndjson, description(), TWO).decode() == f"{HEAD}}}\n{rows}"


def test_csv_by_hand() -> None:
    assert written(CsvWriter, description(), TWO).decode() == (
        'USUBJID,LBSEQ,LBORRES,LBSTRESN,LBDTC\r\nS-1,1,"""<\u2028中,\n",,2024-05\r\nS-2,2,,4.1,\r\n'
    )


def test_a_single_empty_cell_is_no_empty_line_in_csv() -> None:
    alone = description((COLUMNS[2],))
    data = written(CsvWriter, alone, pa.table({"LBORRES": ["x", "", "="]}))
    assert data == b'LBORRES\r\nx\r\n""\r\n=\r\n'


NUMBER_TEXTS = [
    (4.10, "4.1"), (3.0, "3"), (-12.5, "-12.5"), (0.30000000000000004, "0.30000000000000004"), (-0.0, "0"),
    (1e-7, "1e-7"), (0.00001, "0.00001"), (1e21, "1e+21"), (5e-324, "5e-324"), (123456789.123, "123456789.123"),
    (1.7976931348623157e308, "1.7976931348623157e+308"), (100000.0, "100000"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "text"), NUMBER_TEXTS)
def test_numbers_are_their_shortest_text(number: float, text: str) -> None:
    cells = numbers(pa.table({"N": [number]}), "N", "X", 1, whole=False)
    assert number_texts(cells).to_pylist() == [text]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_any_number_reads_back_as_itself(values: list[float]) -> None:
    cells = numbers(pa.table({"N": pa.array(values, pa.float64())}), "N", "X", 1, whole=False)
    texts = number_texts(cells).to_pylist()
    assert [json.loads(t) for t in texts] == values
    # Python's repr has as few digits as can be
    assert [digits(t) for t in texts] == [digits(repr(v)) for v in values]


def digits(number: str) -> str:
    """Return the digits that matter: without sign, point, exponent and zeros at the ends."""
    return number.lstrip("-").partition("e")[0].replace(".", "").strip("0")


@pytest.mark.parametrize("values", [[1, None, 2**53], [0.0, None, -(2.0**53)]])
def test_whole_numbers_have_no_point_and_no_exponent(values: list[float | None]) -> None:
    texts = number_texts(numbers(pa.table({"N": values}), "N", "X", 1, whole=True)).to_pylist()
    assert texts == [None if v is None else str(int(v)) for v in values]


@pytest.mark.parametrize("form", MAKERS)
def test_columns_of_any_arrow_type(form: str) -> None:
    plain = table()
    odd = pa.table(
        {
            "USUBJID": plain["USUBJID"].dictionary_encode(),
            "LBSEQ": plain["LBSEQ"].cast(pa.int16()),
            "LBORRES": plain["LBORRES"].cast(pa.large_string()),
            "LBSTRESN": plain["LBSTRESN"],
            "LBDTC": plain["LBDTC"].cast(pa.string_view()),
        }
    )
    assert written(MAKERS[form], description(), odd) == written(MAKERS[form], description(), plain)


@pytest.mark.parametrize("form", MAKERS)
def test_columns_without_any_value(form: str) -> None:
    nothing = pa.table({"USUBJID": ["S"], "LBSEQ": pa.nulls(1), "LBORRES": pa.nulls(1), "LBSTRESN": pa.nulls(1)})
    data = written(MAKERS[form], description(), nothing.append_column("LBDTC", pa.nulls(1)))
    reader = dict(READERS)[form] if form != "parquet" else by_pyarrow
    if form != "csv":
        assert reader(data, Path()) == [["S", None, "", None, ""]]
    else:
        assert data.decode().splitlines()[1] == "S,,,,"


@pytest.mark.parametrize("form", MAKERS)
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, len(TEXTS)), max_size=4))
def test_bytes_do_not_depend_on_how_the_rows_come(form: str, cuts: list[int]) -> None:
    whole = table()
    edges = [0, *sorted(cuts), whole.num_rows]
    parts = [whole.slice(i, j - i) for i, j in pairwise(edges)]
    expected_bytes = written(MAKERS[form], description(), whole)
    assert written(MAKERS[form], description(), *parts) == expected_bytes
    assert written(MAKERS[form], description(), pa.concat_tables(parts)) == expected_bytes


@pytest.mark.parametrize("form", MAKERS)
def test_a_dataset_without_records_is_whole(form: str, tmp_path: Path) -> None:
    data = written(MAKERS[form], description(), table().slice(0, 0))
    assert data == written(MAKERS[form], description())
    if form == "csv":
        assert data == b"USUBJID,LBSEQ,LBORRES,LBSTRESN,LBDTC\r\n"
    elif form == "parquet":
        found = pq.read_table(io.BytesIO(data))
        assert (found.num_rows, found.column_names) == (0, [c.name for c in COLUMNS])
    else:
        head = json.loads(data)
        assert (head["records"], head.get("rows", [])) == (0, [])


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", MAKERS)
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LBORRES", "nul\0", r"LB\.LBORRES, row 2: .*NUL"),
        ("LBSTRESN", float("inf"), r"LB\.LBSTRESN, row 2: .*infinite"),
        ("LBSTRESN", float("-inf"), r"LB\.LBSTRESN, row 2: .*infinite"),
        ("LBSEQ", 1.5, r"LB\.LBSEQ, rows from 2: .*integers"),
        ("LBSEQ", 2**53 + 1, r"LB\.LBSEQ, rows from 2: a number does not fit"),
        ("LBSTRESN", "4.1", r"LB\.LBSTRESN: a column of type string; expected numbers"),
        ("LBORRES", 4.1, r"LB\.LBORRES: a column of type double; expected text"),
    ],
)
def test_what_xport_cannot_hold_no_format_holds(form: str, name: str, value: Any, says: str) -> None:
    good = TWO.slice(0, 1)
    bad = good.set_column(good.column_names.index(name), name, pa.array([value]))
    with pytest.raises(WriteError, match=says) as e:
        written(MAKERS[form], description(), good, bad)
    assert "nul\\0" not in str(e.value)


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("told", [1, 3])
def test_the_number_of_rows_must_be_the_announced_one(told: int, lines: bool) -> None:
    writer = DatasetJsonWriter(io.BytesIO(), description(records=told), lines)
    writer.write(TWO)
    with pytest.raises(WriteError, match=f"{told} records are announced, 2 were written"):
        writer.close()


@pytest.mark.parametrize("form", MAKERS)
def test_an_error_of_the_caller_stays_the_error(form: str) -> None:
    with pytest.raises(ZeroDivisionError), MAKERS[form](io.BytesIO(), description(records=9)):
        raise ZeroDivisionError


# --- Parquet ---------------------------------------------------------------------------------------------------------


def test_parquet_has_plain_types_labels_and_no_pandas() -> None:
    file = pq.ParquetFile(io.BytesIO(written(ParquetWriter, description(), table())))
    found = file.schema_arrow
    assert [(f.name, str(f.type), f.nullable) for f in found] == [
        ("USUBJID", "string", False),
        ("LBSEQ", "int64", True),
        ("LBORRES", "string", False),
        ("LBSTRESN", "double", True),
        ("LBDTC", "string", False),
    ]
    assert [f.metadata for f in found] == [{b"label": c.label.encode()} for c in COLUMNS]
    assert found.metadata == {b"name": b"LB", b"label": b"Laboratory Test Results"}
    assert set(file.metadata.metadata) == {b"name", b"label", b"ARROW:schema"}
    assert file.metadata.created_by == f"parquet-cpp-arrow version {pa.__version__}"


def test_integers_that_no_float_holds_exactly_stay_doubles() -> None:
    wide = description((Column("IT.X.N", "N", "N", "integer", 16),))
    data = written(ParquetWriter, wide, pa.table({"N": [1e300]}))
    assert pq.read_table(io.BytesIO(data)).to_pydict() == {"N": [1e300]}


def test_row_groups_have_one_size_however_the_rows_come() -> None:
    rows = 2 * GROUP_ROWS + 5
    one = description((COLUMNS[0], COLUMNS[1]))
    one = replace(one, columns=(one.columns[0], replace(one.columns[1], length=6)))
    whole = pa.table({"USUBJID": [f"S{i % 70_001}" for i in range(rows)], "LBSEQ": np.arange(rows, dtype=np.float64)})
    data = written(ParquetWriter, one, whole)
    found = pq.ParquetFile(io.BytesIO(data))
    assert [found.metadata.row_group(i).num_rows for i in range(found.num_row_groups)] == [GROUP_ROWS, GROUP_ROWS, 5]
    steps = [whole.slice(i, 16_384) for i in range(0, rows, 16_384)]
    assert written(ParquetWriter, one, *steps) == data
    assert written(ParquetWriter, one, whole.slice(0, 70_000), whole.slice(70_000)) == data


# --- metadata --------------------------------------------------------------------------------------------------------

# Define-XML DataType -> Dataset-JSON dataType, as in CDISC's own example study (define.xml beside the .json files)
DATA_TYPES = [
    ("text", "string"), ("integer", "integer"), ("float", "float"), ("date", "date"), ("datetime", "datetime"),
    ("time", "time"), ("partialDate", "string"), ("partialDatetime", "string"), ("partialTime", "string"),
    ("incompleteDatetime", "string"), ("durationDatetime", "string"), ("intervalDatetime", "string"),
]  # fmt: skip


@pytest.mark.parametrize(("define", "dataset_json"), DATA_TYPES)
def test_data_types(define: m.DataType, dataset_json: str) -> None:
    column = metadata(description((Column("IT.A", "A", "A", define),)))["columns"][0]
    assert column == {"itemOID": "IT.A", "name": "A", "label": "A", "dataType": dataset_json}
    assert Column("IT.A", "A", "A", define).numeric == (define in ("integer", "float"))


def define() -> m.Define:
    items = (
        m.Item("IT.TS.TSSEQ", "TSSEQ", "integer", "Sequence Number", 2, origin_type="Assigned"),
        m.Item("IT.TS.TSVAL", "TSVAL", "text", "Parameter Value", 120, origin_type="Assigned"),
        m.Item("IT.TS.TSVAL.AGEMAX", "TSVAL", "text", length=4),
    )
    refs = (m.ItemRef("IT.TS.TSSEQ", key_sequence=2), m.ItemRef("IT.TS.TSVAL"))
    leaf = m.Leaf("LF.ts", "ts.xpt", "ts.xpt")
    full = m.ItemGroup("IG.TS", "TS", "TS", "Trial Summary", "One record", "TRIAL DESIGN", "STD.IG", refs, leaf)
    empty = m.ItemGroup("IG.EX", "EX", "EX", "Exposure", "One record", "INTERVENTIONS", "STD.IG", refs)
    return m.Define(
        "X.SDTM.define", "STDY.X", "X", "about X", "X-01", "MDV.X", "X, SDTM", STAMP, (full, empty), items, (),
        originator="Sponsor", source_system="fhir2cdisc", source_system_version="0.1.0",
    )  # fmt: skip


def test_a_description_is_the_define_xml_of_the_dataset() -> None:
    d = define()
    assert describe(d, d.item_groups[0], 7) == Description(
        oid="IG.TS",
        name="TS",
        label="Trial Summary",
        columns=(
            Column("IT.TS.TSSEQ", "TSSEQ", "Sequence Number", "integer", 2, None, 2),
            Column("IT.TS.TSVAL", "TSVAL", "Parameter Value", "text", 120, None, None),
        ),
        records=7,
        created=STAMP,
        file_oid="X.SDTM.2025-03-07T04:05:06.TS",
        study_oid="STDY.X",
        version_oid="MDV.X",
        originator="Sponsor",
        system="fhir2cdisc",
        system_version="0.1.0",
    )


def test_define_xml_points_to_one_file_of_each_dataset_that_has_one() -> None:
    found = pointing_to(define(), ".json")
    assert [g.leaf for g in found.item_groups] == [m.Leaf("LF.ts", "ts.json", "ts.json"), None]


def test_files_are_valid_by_cdisc_s_schema() -> None:
    """The first line of the NDJSON form is the document without its rows, which the schema lets be left out."""
    schema = json.loads((SCHEMAS / "dataset-json-1.1.schema.json").read_text("utf-8"))
    jsonschema.Draft201909Validator.check_schema(schema)
    validator = jsonschema.Draft201909Validator(schema)
    whole = json.loads(written(DatasetJsonWriter, description(), table()))
    assert list(validator.iter_errors(whole)) == []
    head = json.loads(written(ndjson, description(), table()).split(b"\n")[0])
    assert list(validator.iter_errors(head)) == []
    assert {k: v for k, v in whole.items() if k != "rows"} == head


@pytest.mark.skipif(not SHARED.is_dir(), reason="CDISC's repository is not at hand")
def test_the_first_line_of_ndjson_is_valid_by_its_own_schema() -> None:
    """As published its references lead nowhere: the definitions stand inside DatasetMetadata, not beside it."""
    schema = json.loads((SHARED / "dataset-ndjson-schema.json").read_text("utf-16"))
    inside = schema["$defs"]["DatasetMetadata"]["properties"]
    schema["$defs"] |= inside["columns"]["items"] | {"SourceSystem": inside["sourceSystem"]["SourceSystem"]}
    head = json.loads(written(ndjson, description(), table()).split(b"\n")[0])
    validator = jsonschema.Draft201909Validator(schema)
    assert list(validator.iter_errors(head)) == []
    assert [e.json_path for e in validator.iter_errors(head | {"columns": [{"name": "A"}]})] == ["$.columns[0]"] * 3


def test_optional_metadata_that_is_unknown_is_left_out() -> None:
    d = replace(description(), originator=None, system=None)
    assert {"originator", "sourceSystem", "dbLastModifiedDateTime"} & set(metadata(d)) == set()
    check_metadata(d)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"records": -1}, r"LB: \$\.records -1"),
        ({"columns": (Column("IT.A", "A", "A", "text", 0),)}, r"LB: \$\.columns\[0\]\.length 0"),
        ({"created": datetime.datetime(25, 1, 1)}, r"LB: \$\.datasetJSONCreationDateTime '25-"),
    ],
)
def test_metadata_against_the_schema_is_refused(
    change: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = replace(description(), **change)
    if "created" in change:
        # isoformat always has four digits of a year, so a wrong text is made by hand
        monkeypatch.setattr(
            "adapter.writers.dataset_json.metadata", lambda d: metadata(d) | {"datasetJSONCreationDateTime": "25-1-1"}
        )
    with pytest.raises(WriteError, match=says):
        check_metadata(d)


@pytest.mark.skipif(not SHARED.is_dir(), reason="CDISC's repository is not at hand")
def test_the_shipped_schema_is_cdisc_s_own() -> None:
    ours = json.loads((SCHEMAS / "dataset-json-1.1.schema.json").read_text("utf-8"))
    assert ours == json.loads((SHARED / "dataset.schema.json").read_text("utf-8"))


# --- names of formats ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("xpt", ("xpt",)),
        ("csv,xpt", ("xpt", "csv")),
        ("parquet, ndjson ,dataset-json", ("dataset-json", "ndjson", "parquet")),
        ("csv,csv", ("csv",)),
        (["csv", "xpt"], ("xpt", "csv")),
        (("ndjson",), ("ndjson",)),
    ],
)
def test_formats_are_named_in_any_order(named: Any, expected: tuple[str, ...]) -> None:
    assert chosen(named) == expected


@pytest.mark.parametrize("named", ["", "xpt,", "XPT", "json", "xpt;csv", ["xpt,csv"], []])
def test_unknown_formats_are_refused(named: Any) -> None:
    with pytest.raises(InputError, match=r"unknown format .*known are: xpt, dataset-json|no format named"):
        chosen(named)


def test_the_preferred_file_of_a_dataset_is_found(tmp_path: Path) -> None:
    for name in ("lb.csv", "lb.json", "dm.parquet", "dm.csv", "suppcm.ndjson", "define.xml", "define.html", "x.txt"):
        (tmp_path / name).touch()
    found = dataset_files(tmp_path)
    assert {n: p.name for n, p in found.items()} == {"DM": "dm.parquet", "LB": "lb.json", "SUPPCM": "suppcm.ndjson"}
    assert list(found) == sorted(found)


def test_endings_are_those_of_the_standards() -> None:
    """Dataset-JSON 1.1: ".json" and ".ndjson"."""
    assert SUFFIXES == {
        "xpt": ".xpt", "dataset-json": ".json", "ndjson": ".ndjson", "parquet": ".parquet", "csv": ".csv",
    }  # fmt: skip
    assert all(re.fullmatch(r"\.[a-z]+", s) for s in SUFFIXES.values())

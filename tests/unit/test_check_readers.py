"""Reading packages for checking: every format gives the same columns, each file is opened once, odd files are told of."""

from __future__ import annotations

import builtins
import io
import json
import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapter.check.columns import Column
from adapter.check.engine import check, spill, unspilled
from adapter.check.read_xpt import distinct_rows
from adapter.check.readers import read_package
from adapter.check.world import World
from adapter.errors import InputError
from adapter.validate import our_rules
from adapter.writers.xpt import XptVariable, XptWriter

ROWS = [["S1", "S1-001", 1, "RASH", 4.5], ["S1", "S1-001", 2, "", None], ["S1", "S1-002", 1, "PAIN é", -0.1]]
NAMES = ["STUDYID", "USUBJID", "AESEQ", "AETERM", "AEDUR"]
NUMBERS = {"AESEQ", "AEDUR"}


def write_xpt(path: Path, rows: list[list[Any]] = ROWS, name: str = "AE") -> None:
    variables = [
        XptVariable(n, f"label of {n}", "Num" if n in NUMBERS else "Char", 8 if n in NUMBERS else 12) for n in NAMES
    ]
    frame = pd.DataFrame(rows, columns=NAMES).astype({n: "float64" if n in NUMBERS else "str" for n in NAMES})
    with open(path, "wb") as f, XptWriter(f, name, "Adverse Events", variables, datetime(2026, 1, 1)) as w:
        w.write(frame)


def head(rows: int) -> dict[str, Any]:
    columns = [
        {"itemOID": n, "name": n, "label": f"label of {n}", "dataType": "float" if n in NUMBERS else "string"}
        for n in NAMES
    ]
    return {"datasetJSONVersion": "1.1.0", "name": "AE", "label": "Adverse Events", "records": rows, "columns": columns}


def write_json(path: Path, rows: list[list[Any]] = ROWS) -> None:
    path.write_text(json.dumps({**head(len(rows)), "rows": rows}), "utf-8")


def write_ndjson(path: Path) -> None:
    path.write_text("\n".join(json.dumps(x, ensure_ascii=False) for x in (head(len(ROWS)), *ROWS)) + "\n", "utf-8")


def write_parquet(path: Path) -> None:
    columns = {n: [r[i] for r in ROWS] for i, n in enumerate(NAMES)}
    fields = [
        pa.field(n, pa.float64() if n in NUMBERS else pa.string(), metadata={"label": f"label of {n}"}) for n in NAMES
    ]
    schema = pa.schema(fields, metadata={"label": "Adverse Events"})
    pq.write_table(pa.table({n: pa.array(c, schema.field(n).type) for n, c in columns.items()}, schema=schema), path)


def write_csv(path: Path) -> None:
    text = ",".join(NAMES) + "\n" + "\n".join(",".join("" if c is None else str(c) for c in r) for r in ROWS) + "\n"
    path.write_text(text, "utf-8")
    described = [f"ae,{n},label of {n},{'Num' if n in NUMBERS else 'Char'},8" for n in NAMES]
    path.with_name("_variables.csv").write_text("dataset,variable,label,type,length\n" + "\n".join(described) + "\n")
    path.with_name("_datasets.csv").write_text("Filename,Label\nae,Adverse Events\n")


WRITERS = {
    ".xpt": write_xpt,
    ".json": write_json,
    ".ndjson": write_ndjson,
    ".parquet": write_parquet,
    ".csv": write_csv,
}


def cells(column: Column) -> list[Any]:
    return [column.cell(i) for i in range(len(column))]


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_gives_the_same_columns(suffix: str, tmp_path: Path) -> None:
    WRITERS[suffix](tmp_path / f"ae{suffix}")
    package = read_package(tmp_path)
    (d,) = package.datasets
    assert (d.name, d.label, d.records, package.problems) == ("AE", "Adverse Events", 3, ())
    assert [(v.name, v.label, v.type) for v in d.variables] == [
        (n, f"label of {n}", "Num" if n in NUMBERS else "Char") for n in NAMES
    ]
    for i, n in enumerate(NAMES):
        assert cells(d.columns[n]) == [None if r[i] == "" else r[i] for r in ROWS], n


def test_each_dataset_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ae", "cm", "lb"):
        write_xpt(tmp_path / f"{name}.xpt", name=name.upper())
    write_json(tmp_path / "dm.json")
    opened: Counter[str] = Counter()
    real, real_io, real_os = builtins.open, io.open, os.open

    def counted(how: Any) -> Any:
        def opens(path: Any, *args: Any, **more: Any) -> Any:
            if isinstance(path, (str, os.PathLike)) and Path(path).suffix in WRITERS and Path(path).parent == tmp_path:
                opened[Path(path).name] += 1
            return how(path, *args, **more)

        return opens

    monkeypatch.setattr(builtins, "open", counted(real))
    monkeypatch.setattr(io, "open", counted(real_io))
    monkeypatch.setattr(os, "open", counted(real_os))
    checked = check(World(read_package(tmp_path)), our_rules()[0])
    assert len(checked.results) > 50
    assert opened == {"ae.xpt": 1, "cm.xpt": 1, "lb.xpt": 1, "dm.json": 1}


def problems(folder: Path) -> list[tuple[str, str]]:
    return [(p.code, p.file) for p in read_package(folder).problems]


def test_a_file_cut_short_is_a_problem_and_the_others_are_read(tmp_path: Path) -> None:
    write_json(tmp_path / "cm.json", [["S1", "S1-001", 1, "x", 1]])
    write_xpt(tmp_path / "ae.xpt", ROWS * 10)
    raw = (tmp_path / "ae.xpt").read_bytes()
    (tmp_path / "ae.xpt").write_bytes(raw[: len(raw) - 130])
    write_json(tmp_path / "lb.json")
    (tmp_path / "lb.json").write_text((tmp_path / "lb.json").read_text()[:-20])
    (tmp_path / "vs.ndjson").write_text('{"columns": [], "name": "VS"\n')
    (tmp_path / "eg.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "empty.xpt").write_bytes(b"")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    package = read_package(tmp_path)
    assert {p.file for p in package.problems if p.code == "unreadable"} == {
        "ae.xpt", "lb.json", "vs.ndjson", "eg.parquet", "empty.xpt", "deep.json"
    }  # fmt: skip
    assert [d.path.name for d in package.datasets] == ["cm.json"]


def test_two_datasets_in_one_transport_file_are_refused(tmp_path: Path) -> None:
    write_xpt(tmp_path / "ae.xpt")
    raw = (tmp_path / "ae.xpt").read_bytes()
    (tmp_path / "ae.xpt").write_bytes(raw + raw[240:])
    (problem,) = read_package(tmp_path).problems
    assert "more than one dataset" in problem.detail


def test_windows_text_is_read_and_told(tmp_path: Path) -> None:
    write_xpt(tmp_path / "ae.xpt")
    raw = (tmp_path / "ae.xpt").read_bytes()
    (tmp_path / "ae.xpt").write_bytes(raw.replace("PAIN é ".encode(), b"PAIN \xe9  "))
    package = read_package(tmp_path)
    assert cells(package.datasets[0].columns["AETERM"]) == ["RASH", None, "PAIN é"]
    (problem,) = package.problems
    assert (problem.code, problem.variable) == ("encoding", "AETERM")
    assert "record 3" in problem.detail


def test_a_dataset_that_stands_twice_is_read_once(tmp_path: Path) -> None:
    write_xpt(tmp_path / "ae.xpt")
    write_json(tmp_path / "other.json")  # says that it is AE
    package = read_package(tmp_path)
    assert [d.path.name for d in package.datasets] == ["ae.xpt"]
    assert ("duplicate", "other.json") in [(p.code, p.file) for p in package.problems]


def test_of_a_dataset_in_several_formats_the_preferred_one_is_read(tmp_path: Path) -> None:
    write_xpt(tmp_path / "ae.xpt")
    write_json(tmp_path / "ae.json")
    package = read_package(tmp_path)
    assert [d.path.name for d in package.datasets] == ["ae.xpt"]
    assert package.problems == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not XML", "is not XML"),
        ("<a/>", "is no Define-XML"),
        ('<!DOCTYPE ODM SYSTEM "http://nowhere.invalid/x.dtd"><ODM><Study><MetaDataVersion/></Study></ODM>', "document type"),
        ('<!DOCTYPE ODM [<!ENTITY x SYSTEM "file:///etc/hostname">]><ODM><MetaDataVersion>&x;</MetaDataVersion></ODM>', "type"),
        ("<ODM>" + "<a>" * 3000, "is not XML"),
    ],
)  # fmt: skip
def test_a_define_that_is_none_is_a_problem(text: str, why: str, tmp_path: Path) -> None:
    write_xpt(tmp_path / "ae.xpt")
    (tmp_path / "define.xml").write_text(text)
    package = read_package(tmp_path)
    assert package.define is None
    assert [(p.code, p.file) for p in package.problems] == [("define_unreadable", "define.xml")]
    assert why in package.problems[0].detail
    assert len(package.datasets) == 1


def test_a_define_may_be_of_either_version(tmp_path: Path) -> None:
    for version in ("2.0", "2.1"):
        text = (
            f'<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:def="http://www.cdisc.org/ns/def/v{version}"><Study>'
            f'<MetaDataVersion def:DefineVersion="{version}.0"><ItemGroupDef Name="AE" Domain="AE"><ItemRef ItemOID="I" '
            'KeySequence="1" Mandatory="Yes"/></ItemGroupDef><ItemDef OID="I" Name="AETERM" DataType="text" Length="20">'
            "<Description><TranslatedText>Term</TranslatedText></Description></ItemDef></MetaDataVersion></Study></ODM>"
        )
        (tmp_path / "define.xml").write_text(text)
        write_xpt(tmp_path / "ae.xpt")
        define = read_package(tmp_path).define
        group = define.group("AE")
        assert (define.version, group.keys, group.items[0].label, group.items[0].length) == (
            f"{version}.0",
            ("AETERM",),
            "Term",
            20,
        )


def test_a_folder_without_datasets_says_where_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "sdtm").mkdir()
    write_xpt(tmp_path / "sdtm" / "ae.xpt")
    with pytest.raises(InputError, match=r"did you mean .*sdtm"):
        read_package(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_package(tmp_path / "none")


def test_texts_with_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([list(b"a" * 16), list(b"b" * 16), list(b"a" * 16)], dtype=np.uint8)
    monkeypatch.setattr("adapter.check.read_xpt._MIX", np.uint64(0))  # forgets all but the last word
    same_end = rows.copy()
    same_end[1, 8:] = same_end[0, 8:]
    codes, firsts = distinct_rows(same_end)
    assert codes.tolist() == [0, 1, 0]
    assert firsts.tolist() == [0, 1]


def test_workers_see_the_same_package(tmp_path: Path) -> None:
    write_xpt(tmp_path / "ae.xpt")
    world = World(read_package(tmp_path))
    (tmp_path / "spill").mkdir()
    spill(world, tmp_path / "spill")
    other = unspilled(str(tmp_path / "spill"))
    assert other.package.datasets[0].records == 3
    assert cells(other.package.datasets[0].columns["AETERM"]) == cells(world.package.datasets[0].columns["AETERM"])


def test_numbers_in_a_text_and_texts_in_a_number(tmp_path: Path) -> None:
    write_json(tmp_path / "ae.json", [["S1", 7, "one", "RASH", "1.5"], ["S1", "S1-001", 2, None, None]])
    package = read_package(tmp_path)
    d = package.datasets[0]
    assert cells(d.columns["USUBJID"]) == ["7", "S1-001"]
    assert cells(d.columns["AESEQ"]) == ["one", "2"]
    assert cells(d.columns["AEDUR"]) == [1.5, None]
    assert problems(tmp_path) == [("not_numeric", "ae.json")]

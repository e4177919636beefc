"""Reading datasets back: every format gives the same frame and labels; a broken file is refused in plain words."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from adapter.errors import InputError
from adapter.result import Datasets
from adapter.writers.csv import CsvWriter
from adapter.writers.dataset_json import DatasetJsonWriter
from adapter.writers.description import Column, Description
from adapter.writers.parquet import ParquetWriter
from adapter.writers.read import read_dataset
from adapter.writers.xpt import XptVariable, XptWriter

CDISC = Path(__file__).parents[2] / "../shared/data/cdisc"
COLUMNS = (
    Column("IT.CM.USUBJID", "USUBJID", "Unique Subject Identifier", "text", 9, key_sequence=1),
    Column("IT.CM.CMTRT", "CMTRT", "Reported Name of Drug, Med, or Therapy", "text", 40),
    Column("IT.CM.CMDOSE", "CMDOSE", "Dose per Administration", "float", 20),
    Column("IT.CM.CMSTDY", "CMSTDY", "Study Day of Start of Medication", "integer", 3),
)
LABEL = "Concomitant/Prior Medications"
DEFINE = """<?xml version="1.0" encoding="UTF-8"?>
<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3"><Study><MetaDataVersion>
<ItemGroupDef OID="IG.CM" Name="CM"><Description><TranslatedText>Concomitant/Prior Medications</TranslatedText></Description>
<ItemRef ItemOID="IT.CM.USUBJID"/><ItemRef ItemOID="IT.CM.CMTRT"/><ItemRef ItemOID="IT.CM.CMDOSE"/>
<ItemRef ItemOID="IT.CM.CMSTDY"/></ItemGroupDef>
<ItemDef OID="IT.CM.USUBJID" Name="USUBJID" DataType="text"><Description><TranslatedText>Unique Subject Identifier
</TranslatedText></Description></ItemDef>
<ItemDef OID="IT.CM.CMTRT" Name="CMTRT" DataType="text"><Description>
<TranslatedText>Reported Name of Drug, Med, or Therapy</TranslatedText></Description></ItemDef>
<ItemDef OID="IT.CM.CMDOSE" Name="CMDOSE" DataType="float"><Description>
<TranslatedText>Dose per Administration</TranslatedText></Description></ItemDef>
<ItemDef OID="IT.CM.CMSTDY" Name="CMSTDY" DataType="integer"><Description>
<TranslatedText>Study Day of Start of Medication</TranslatedText></Description></ItemDef>
</MetaDataVersion></Study></ODM>
""".replace("Identifier\n<", "Identifier<")
FRAME = pd.DataFrame(
    {
        "USUBJID": pd.Series(["S-001", "S-001", "S-002", "S-003"], dtype="str"),
        "CMTRT": pd.Series(["白消安, 注射液", "", 'NA "x"\r\n', " led"], dtype="str"),
        "CMDOSE": [0.1, np.nan, -1234567.875, 1 / 3],
        "CMSTDY": [1.0, np.nan, -12.0, 100.0],
    }
)


def write(folder: Path, suffix: str, frame: pd.DataFrame = FRAME) -> Path:
    """Write CM in the format of an ending, with a define.xml beside it; return its file."""
    d = Description(
        "IG.CM", "CM", LABEL, COLUMNS, len(frame), datetime(2025, 9, 29), "X.CM", "STDY.X", "MDV.X", "S", "p", "1"
    )
    path = folder / f"cm{suffix}"
    (folder / "define.xml").write_text(DEFINE, "utf-8")
    xpt = [XptVariable(c.name, c.label, "Num" if c.numeric else "Char", 8 if c.numeric else 40) for c in COLUMNS]
    with path.open("wb") as f:
        writers = {
            ".xpt": lambda: XptWriter(f, "CM", LABEL, xpt, d.created),
            ".json": lambda: DatasetJsonWriter(f, d),
            ".ndjson": lambda: DatasetJsonWriter(f, d, lines=True),
            ".parquet": lambda: ParquetWriter(f, d),
            ".csv": lambda: CsvWriter(f, d),
        }
        with writers[suffix]() as w:
            w.write(pa.Table.from_pandas(frame, preserve_index=False))
    return path


SUFFIXES = (".xpt", ".json", ".ndjson", ".parquet", ".csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rows", [4, 1, 0])
def test_frame_and_labels_come_back(suffix: str, rows: int, tmp_path: Path) -> None:
    frame, label, labels = read_dataset(write(tmp_path, suffix, FRAME.iloc[:rows]))
    pd.testing.assert_frame_equal(frame, FRAME.iloc[:rows], check_exact=True, check_index_type=False)
    assert [str(t) for t in frame.dtypes] == ["str", "str", "float64", "float64"]
    assert label == LABEL
    assert labels == {c.name: c.label for c in COLUMNS}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_of_any_format_is_a_mapping_of_frames(suffix: str, tmp_path: Path) -> None:
    write(tmp_path, suffix)
    found = Datasets(tmp_path)
    assert list(found) == ["CM"]
    assert found["CM"]["CMDOSE"].tolist()[3] == 1 / 3
    assert found["CM"].attrs == {"label": LABEL, "labels": {c.name: c.label for c in COLUMNS}}
    with pytest.raises(KeyError, match="unknown dataset 'CMM'"):
        found["CMM"]


Change = Callable[[bytes], bytes]
BROKEN: list[tuple[str, Change, str]] = [
    (".json", lambda raw: raw[:-10], "is no Dataset-JSON"),
    (".json", lambda raw: raw.replace("白".encode(), "白".encode("gb18030")), "is no Dataset-JSON"),
    (".json", lambda raw: b"[]", "is no Dataset-JSON"),
    (".json", lambda raw: b'{"columns": 1}', "is no Dataset-JSON"),
    (".json", lambda raw: raw.replace(b'"records":4', b'"records":5'), "expected 5 rows of 4 cells"),
    (".json", lambda raw: raw.replace(b',100]', b"]"), "expected 4 rows of 4 cells"),
    (".ndjson", lambda raw: b"", "is no Dataset-JSON in NDJSON form"),
    (".ndjson", lambda raw: raw[:-10], "is no Dataset-JSON in NDJSON form"),
    (".ndjson", lambda raw: b"\n".join(raw.split(b"\n")[:-2]), "expected 4 rows of 4 cells"),
    (".ndjson", lambda raw: raw.replace(b'"label":"Con', b'"lable":"Con'), "'label' is missing"),
    (".parquet", lambda raw: raw[:-10], "is no Parquet file"),
    (".parquet", lambda raw: b"", "is no Parquet file"),
    (".csv", lambda raw: raw.replace(b"CMDOSE", b"CMDOZE"), "other columns than define.xml"),
    (".csv", lambda raw: raw.replace("白".encode(), "白".encode("gb18030")), "no CSV file in UTF-8"),
    (".csv", lambda raw: b"", "no CSV file in UTF-8"),
    (".csv", lambda raw: raw.replace(b",0.1,", b",O.1,"), "CMDOSE holds what is no number"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "change", "says"), BROKEN)
def test_a_broken_file_is_refused(suffix: str, change: Change, says: str, tmp_path: Path) -> None:
    path = write(tmp_path, suffix)
    before = path.read_bytes()
    path.write_bytes(change(before))
    assert path.read_bytes() != before
    with pytest.raises(InputError, match=says) as e:
        read_dataset(path)
    assert "cm." in str(e.value)
    assert "白" not in str(e.value)


def test_csv_needs_its_define_xml(tmp_path: Path) -> None:
    path = write(tmp_path, ".csv")
    (tmp_path / "define.xml").write_text(DEFINE.replace('Name="CM"', 'Name="PR"'), "utf-8")
    with pytest.raises(InputError, match="describes no dataset CM"):
        read_dataset(path)
    (tmp_path / "define.xml").unlink()
    with pytest.raises(InputError, match=r"cm\.csv needs .*define\.xml"):
        read_dataset(path)


def test_files_of_other_kinds_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown ending of a dataset file '\.sas7bdat'; known are: \.xpt"):
        read_dataset(tmp_path / "lb.sas7bdat")
    for suffix in SUFFIXES:
        with pytest.raises(InputError, match=r"cannot read .*lb|needs .*define\.xml"):
            read_dataset(tmp_path / f"lb{suffix}")


# --- CDISC's example study: the same datasets as XPT and as Dataset-JSON ---------------------------------------------

STUDY = sorted(p.stem for p in (CDISC / "sdtm-json").glob("*.json")) if CDISC.is_dir() else []


@pytest.mark.skipif(not STUDY, reason="CDISC's example study is not at hand")
def test_cdisc_s_own_dataset_json_reads_as_its_transport_files() -> None:
    """The datasets of the Metadata Submission Guidelines' study that are there in both formats, every cell."""
    compared = 0
    for name in STUDY:
        xpt = CDISC / "sdtm-xpt" / f"{name}.xpt"
        if not xpt.is_file():
            assert name == "ft"
            continue
        (ours, _, labels), (theirs, _, their_labels) = (
            read_dataset(CDISC / "sdtm-json" / f"{name}.json"),
            read_dataset(xpt),
        )
        assert list(ours) == list(theirs), name
        for v in ours:
            if ours[v].dtype == "float64":
                # the last bit differs in 400 numbers of LB: 8.55 is 8.549999999999999 in the transport file
                np.testing.assert_allclose(ours[v].to_numpy(), theirs[v].to_numpy(), rtol=1e-15, err_msg=f"{name}.{v}")
            else:
                assert ours[v].str.rstrip(" ").tolist() == theirs[v].tolist(), f"{name}.{v}"
        assert len(labels) == len(their_labels)
        compared += 1
    assert compared == 27


@pytest.mark.skipif(not STUDY, reason="CDISC's example study is not at hand")
def test_other_languages_and_types_of_cdisc_s_examples_are_read() -> None:
    frame, label, _ = read_dataset(CDISC / "i18n" / "ae.json")
    told = json.loads((CDISC / "i18n" / "ae.json").read_bytes())
    assert (len(frame), label) == (told["records"], told["label"])
    # ADaM: dates are ISO 8601 texts, null where missing
    frame, _, _ = read_dataset(CDISC / "adam-json" / "adae.json")
    assert frame["ASTDT"].str.fullmatch(r"(\d{4}-\d{2}-\d{2})?").all()
    assert str(frame["AESEQ"].dtype) == "float64"

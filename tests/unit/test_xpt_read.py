"""The reader of our XPT files: what comes back is what went in, and a file that is none is refused in plain words."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from adapter.errors import InputError
from adapter.writers.xpt import XptVariable, XptWriter
from adapter.writers.xpt_read import read_xpt

WHEN = datetime.datetime(2025, 9, 29)
VARIABLES = (
    XptVariable("USUBJID", "Unique Subject Identifier", "Char", 9),
    XptVariable("CMTRT", "Reported Name of Drug, Med, or Therapy", "Char", 30),
    XptVariable("CMDOSE", "Dose per Administration", "Num", 8),
)
FRAME = pd.DataFrame(
    {
        "USUBJID": ["S-001", "S-001", "S-002"],
        "CMTRT": ["白消安注射液", "", " led by a blank"],
        "CMDOSE": [0.1, np.nan, -1234567.875],
    }
).astype({"USUBJID": "str", "CMTRT": "str"})


def written(path: Path, frame: pd.DataFrame = FRAME, variables: tuple[XptVariable, ...] = VARIABLES) -> Path:
    with open(path, "wb") as f, XptWriter(f, "CM", "Concomitant/Prior Medications", variables, WHEN) as w:
        if len(frame):
            w.write(frame)
    return path


def test_frame_and_labels_come_back(tmp_path: Path) -> None:
    frame, label, labels = read_xpt(written(tmp_path / "cm.xpt"))
    pd.testing.assert_frame_equal(frame, FRAME, check_exact=True)
    assert label == "Concomitant/Prior Medications"
    assert labels == {v.name: v.label for v in VARIABLES}


def test_pyreadstat_reads_the_same(tmp_path: Path) -> None:
    path = written(tmp_path / "cm.xpt")
    theirs, meta = pyreadstat.read_xport(str(path))
    ours, label, labels = read_xpt(path)
    assert theirs.to_numpy(dtype=object).tolist()[0] == ours.to_numpy(dtype=object).tolist()[0]
    assert (meta.file_label, meta.column_names_to_labels) == (label, labels)


@pytest.mark.parametrize("rows", range(12))
def test_every_filling_of_the_last_line(tmp_path: Path, rows: int) -> None:
    """47-byte records fill the last 80-byte line to another point each time; no record is lost and none made up."""
    frame = pd.concat([FRAME] * 4, ignore_index=True).iloc[:rows]
    found, _, _ = read_xpt(written(tmp_path / "cm.xpt", frame))
    assert len(found) == rows
    assert list(found) == list(FRAME)
    assert found["USUBJID"].tolist() == frame["USUBJID"].tolist()


def test_two_byte_records_do_not_swallow_a_blank_in_the_middle(tmp_path: Path) -> None:
    one = (XptVariable("A", "A", "Char", 2),)
    frame = pd.DataFrame({"A": ["x", "", "y"]}, dtype="str")
    assert read_xpt(written(tmp_path / "a.xpt", frame, one))[0]["A"].tolist() == ["x", "", "y"]


def test_short_numbers_of_other_writers_are_read(tmp_path: Path) -> None:
    """SAS may store numbers in 3 to 8 bytes: the IBM double cut at the right (TS-140)."""
    path = written(tmp_path / "cm.xpt", FRAME[["CMDOSE"]].iloc[[2]], VARIABLES[2:])
    raw = bytearray(path.read_bytes())
    at = raw.index(b"NAMESTR HEADER RECORD!!!!!!!") - 20 + 80
    raw[at + 4 : at + 6] = (5).to_bytes(2, "big")
    body = raw.index(b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!") + 80
    raw[body + 5 : body + 8] = b"   "
    path.write_bytes(bytes(raw))
    assert read_xpt(path)[0]["CMDOSE"].tolist() == [-1234567.875]


CUT = b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: b"", "no SAS XPORT version 5"),
        (lambda raw: b"PK\x03\x04" + raw[4:], "no SAS XPORT version 5"),
        (lambda raw: raw[:400], "no SAS XPORT version 5"),
        (lambda raw: raw.replace(b"LIBRARY HEADER", b"LIBV8   HEADER"), "no SAS XPORT version 5"),
        (lambda raw: raw.replace(b"0000000003", b"0000000099"), "99 variables are announced"),
        (lambda raw: raw[: raw.index(CUT) + 80 + 60], "ends inside a record of 47 bytes"),
        (lambda raw: raw.replace("白".encode(), "白".encode("gb18030") + b" "), "CMTRT is not UTF-8"),
        (lambda raw: raw.replace(b"Reported", b"R\xe9ported"[:8]), "not UTF-8"),
    ],
    ids=["empty", "zip", "cut header", "version 8", "too few variables", "cut record", "other encoding", "label"],
)
def test_a_broken_file_is_refused(tmp_path: Path, change: object, says: str) -> None:
    path = written(tmp_path / "cm.xpt")
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(InputError, match=says) as e:
        read_xpt(path)
    assert "cm.xpt" in str(e.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*lb\.xpt"):
        read_xpt(tmp_path / "lb.xpt")

"""The enrolment log: every column, every error with its line, and no word of a patient in any message."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.enrolment import OPTIONAL, REQUIRED, Enrolled, read_enrolment
from adapter.errors import EnrolmentError
from adapter.trial import load_trial, resolve_trial

ARMS = {"MSC": "MSC", "UC-MSC": "MSC", "试验组": "MSC", "CTRL": "CTRL"}
SECRET = "MRN83000005"
HEADER = "patient,subjid,siteid,arm,consent_date,randomisation_date"
ROW = f"{SECRET},001,01,MSC,2024-01-01,2024-01-02"


def log(tmp_path: Path, *lines: str, raw: bytes | None = None) -> Path:
    path = tmp_path / "enrolment.csv"
    path.write_bytes(raw if raw is not None else "\n".join(lines).encode() + b"\n")
    return path


def read(path: Path, **more: Any) -> list[Enrolled]:
    return read_enrolment(path, ARMS, **more)


def test_every_column(tmp_path: Path) -> None:
    cells = {
        "patient": "urn:oid:1.2|MRN-1", "subjid": "001", "siteid": "01", "arm": "UC-MSC", "consent_date": "2024-01-01",
        "screening_date": "2024-01-02", "randomisation_date": "2024-01-03", "donor_type": "matched, sibling",
        "screen_failure_reason": 'said "no"', "withdrawal_date": "2024-02-29", "withdrawal_reason": "搬家",
        "withdrawal_type": "consent", "pgf_date": "2023-12-31", "ie_INCL02": "Y", "ie_EXCL01": "N", "ie_EXCL02": "",
    }  # fmt: skip
    text = io.StringIO()
    csv.writer(text).writerows([cells.keys(), cells.values()])
    (one,) = read(log(tmp_path, raw=text.getvalue().encode()))
    assert set(REQUIRED) | set(OPTIONAL) == {c for c in cells if not c.startswith("ie_")}
    expected = {c: v for c, v in cells.items() if not c.startswith("ie_")} | {"arm": "MSC"}
    assert {c: getattr(one, c) for c in expected} == expected
    assert one.criteria == {"INCL02": "Y", "EXCL01": "N", "EXCL02": ""}
    assert (one.source, one.usubjid("STUDY")) == ("enrolment log, line 2", "STUDY-01-001")


SHAPES = {
    "plain": f"{HEADER}\n{ROW}\n".encode(),
    "no final newline": f"{HEADER}\n{ROW}".encode(),
    "byte order mark": b"\xef\xbb\xbf" + f"{HEADER}\n{ROW}\n".encode(),
    "CRLF": f"{HEADER}\r\n{ROW}\r\n".encode(),
    "quotes and blanks": f'"patient" , subjid,siteid,arm,consent_date,randomisation_date\n{ROW}\n'.replace(
        SECRET, f'" {SECRET} "'
    )
    .replace('"patient" ', '"patient"')
    .encode(),
    "blank lines": f"\n{HEADER}\n\n,,,,,\n  \n{ROW}\n\n".encode(),
    "another order of columns": f"arm,{HEADER.replace(',arm', '')}\nMSC,{ROW.replace(',MSC', '')}\n".encode(),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_the_file(tmp_path: Path, name: str) -> None:
    (one,) = read(log(tmp_path, raw=SHAPES[name]))
    assert (one.patient, one.subjid, one.arm, one.randomisation_date) == (SECRET, "001", "MSC", "2024-01-02")


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = log(tmp_path, "", HEADER, "", ROW, 'x,002,01,"CT\nRL",2024-01-01,2024-01-02')
    with pytest.raises(EnrolmentError, match=r"line 6: unknown arm"):
        read(path)


@pytest.mark.parametrize("arm", list(ARMS))
def test_arm_spellings(tmp_path: Path, arm: str) -> None:
    assert read(log(tmp_path, HEADER, ROW.replace("MSC", arm)))[0].arm == ARMS[arm]


def test_order_of_subjects(tmp_path: Path) -> None:
    rows = [f"p{i},{s},{site},,2024-01-01," for i, (s, site) in enumerate([("2", "02"), ("10", "01"), ("2", "01")])]
    assert [(r.siteid, r.subjid) for r in read(log(tmp_path, HEADER, *rows))] == [
        ("01", "10"),
        ("01", "2"),
        ("02", "2"),
    ]


def test_the_spellings_of_a_trial(tmp_path: Path) -> None:
    trial = load_trial(Path(__file__).parents[1] / "trials" / "mini")
    spelling, arm = next(iter(trial.arm_spellings().items()))
    path = log(
        tmp_path,
        "Patient,Screening-Nr,siteid,Gruppe,Einwilligung,randomisation_date,withdrawal_type,withdrawal_date",
        f"x,S1,01,{spelling},2024-01-01,2024-01-02,Einwilligung,2024-02-01",
    )
    (one,) = read_enrolment(path, trial.arm_spellings(), trial.log.columns, trial.log.withdrawal_types)
    assert (one.patient, one.subjid, one.arm, one.consent_date) == ("x", "S1", arm, "2024-01-01")
    assert one.withdrawal_type == "consent"


def test_the_shipped_trial_reads_its_own_names(tmp_path: Path) -> None:
    trial = resolve_trial("pgf_msc")
    path = log(tmp_path, HEADER.replace("randomis", "randomiz"), ROW)
    assert read_enrolment(path, trial.arm_spellings(), trial.log.columns)[0].randomisation_date == "2024-01-02"


def test_another_prefix_for_criteria(tmp_path: Path) -> None:
    path = log(tmp_path, f"{HEADER},krit_A1", f"{ROW},Y")
    assert read(path, criterion_prefix="krit_")[0].criteria == {"A1": "Y"}
    with pytest.raises(EnrolmentError, match="unknown column 'krit_A1'"):
        read(path)


# --- errors ----------------------------------------------------------------------------------------------------------

TWO = ROW.replace(SECRET, "other").replace("001", "002")
ERRORS: dict[str, tuple[list[str], str]] = {
    "empty file": ([""], "is empty: expected a header with patient, subjid, siteid, arm, consent_date"),
    "header only": ([HEADER], "has no subject"),
    "only blank rows": ([HEADER, ",,,,,"], "has no subject"),
    "no header": ([ROW, TWO], "the first line names no column"),
    "semicolons": ([HEADER.replace(",", ";"), ROW.replace(",", ";")], "expected a comma-separated header"),
    "unknown column": ([HEADER + ",doner_type", ROW + ","], "unknown column 'doner_type'.*did you mean 'donor_type'"),
    "nameless column": ([HEADER + ",", ROW + ","], "unknown column ''"),
    "column twice": ([HEADER + ",arm", ROW + ",MSC"], "column 'arm' stands twice"),
    "missing columns": (["patient,subjid,arm", f"{SECRET},1,"], r"columns \['siteid', 'consent_date'\] are missing"),
    "too few cells": ([HEADER, ROW.rpartition(",")[0]], "line 2: 5 cells; the header has 6 columns"),
    "too many cells": ([HEADER, ROW, ROW + ",x"], "line 3: 7 cells; the header has 6 columns"),
    "broken quotes": ([HEADER, f'"{SECRET}" x,001,01,,2024-01-01,'], "line 2: not CSV"),
    "quotes never closed": ([HEADER, f'"{SECRET},001'], "line 2: not CSV"),
    "broken header": ([f'"patient" x,{HEADER}', ROW], "line 1: not CSV"),
    "no patient": ([HEADER, ROW.replace(SECRET, " ")], "line 2: patient is empty"),
    "no subject": ([HEADER, ROW.replace("001", "")], "line 2: subjid is empty"),
    "no site": ([HEADER, ROW.replace("001,01", "001,")], "line 2: siteid is empty"),
    "subject with a blank": ([HEADER, ROW.replace("001", "0 01")], "line 2: siteid and subjid must be ASCII"),
    "subject in Chinese": ([HEADER, ROW.replace("001", "一")], "line 2: siteid and subjid must be ASCII"),
    "keyed patient": ([HEADER, ROW.replace(SECRET, "keyed:zz")], "line 2: patient is a keyed id"),
    "same subject": ([HEADER, ROW, "", TWO.replace("002", "001")], "line 4: the subject stands in line 2 already"),
    "same patient": ([HEADER, ROW, TWO.replace("other", SECRET)], "line 3: the patient stands in line 2 already"),
    "same USUBJID": ([HEADER, ROW.replace("001,01", "1-2,01"), TWO.replace("002,01", "2,01-1")], "line 3: the subject"),
    "unknown arm": ([HEADER, ROW.replace("MSC", "MCS")], "line 2: unknown arm; known are: MSC,.*did you mean 'MSC'"),
    "arm without a date": ([HEADER, ROW.replace("2024-01-02", "")], "line 2: arm and randomisation_date must both"),
    "date without an arm": ([HEADER, ROW.replace("MSC", "")], "line 2: arm and randomisation_date must both"),
    "date of another form": ([HEADER, ROW.replace("2024-01-01", "1.1.2024")], r"consent_date is no day \(9.9.9999\)"),
    "no such day": ([HEADER, ROW.replace("2024-01-01", "2023-02-29")], "line 2: consent_date is no day"),
    "partial date": ([HEADER, ROW.replace("2024-01-01", "2024-01")], "line 2: consent_date is no day"),
    "date and time": ([HEADER, ROW.replace("2024-01-02", "2024-01-02T08:00")], "line 2: randomisation_date is no day"),
    "withdrawal type": ([HEADER + ",withdrawal_type", ROW + ",consnt"], "line 2: unknown withdrawal_type; .*'consent'"),
    "criterion": ([HEADER + ",ie_INCL01", ROW + ",yes"], "line 2: ie_INCL01 is neither Y nor N nor empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(tmp_path: Path, name: str) -> None:
    lines, message = ERRORS[name]
    with pytest.raises(EnrolmentError, match=message) as e:
        read(log(tmp_path, *lines))
    assert str(tmp_path / "enrolment.csv") in e.value.message
    assert SECRET not in e.value.message
    assert e.value.exit_code == 2


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            f"{HEADER}\n{ROW.replace('MSC', '试验组')}\n".encode("gb18030"),
            r"not UTF-8 \(byte \d+; GB18030\?\); save it as",
        ),
        (f"{HEADER}\n{ROW}\n".encode("utf-16"), "is UTF-16; save it as 'CSV UTF-8'"),
        (f"{HEADER}\n{ROW}\n".encode("utf-16-be"), "the first line names no column"),
        (b"\xff\xd8\xff\xe0", "not UTF-8"),
        (b"", "is empty"),
    ],
)
def test_an_encoding_is_never_guessed(tmp_path: Path, raw: bytes, message: str) -> None:
    with pytest.raises(EnrolmentError, match=message):
        read(log(tmp_path, raw=raw))


def test_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError, match="cannot read the enrolment log"):
        read(tmp_path / "none.csv")
    with pytest.raises(EnrolmentError, match="cannot read the enrolment log"):
        read(tmp_path)


@pytest.mark.parametrize("column", range(1, 6))
def test_a_patient_id_in_the_wrong_column_is_not_shown(tmp_path: Path, column: int) -> None:
    """Two columns swapped by the person who made the file: the message names the line, never the cell."""
    cells = ROW.split(",")
    cells[0], cells[column] = cells[column], cells[0]
    cells[1] += " "
    with pytest.raises(EnrolmentError, match="line 2") as e:
        read(log(tmp_path, HEADER + ",withdrawal_type,ie_INCL01", ",".join([*cells, SECRET, SECRET])))
    assert SECRET not in e.value.message


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(st.text(max_size=6) | st.sampled_from(["MSC", "2024-01-01", "Y", '"', "\r"]), max_size=8), max_size=5
    )
)
def test_any_text_is_a_log_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_text("\n".join([HEADER, *(",".join(c) for c in cells)]), encoding="utf-8", errors="surrogatepass")
    rows: list[Enrolled] = []
    with suppress(EnrolmentError):
        rows = read(path)
        assert rows
    assert all(r.patient and r.subjid and r.siteid for r in rows)

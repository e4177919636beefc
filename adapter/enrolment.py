"""The enrolment log: who is a subject, in which arm, and the dates the hospital's records do not know.

Columns: fhir-input "Who is a subject". One row per subject; a contradiction is an error that names both lines, because
every dataset stands on this file.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from adapter.errors import EnrolmentError, unknown

REQUIRED = ("patient", "subjid", "siteid", "arm", "consent_date")
OPTIONAL = (
    "screening_date",
    "randomisation_date",
    "donor_type",
    "screen_failure_reason",
    "withdrawal_date",
    "withdrawal_reason",
    "withdrawal_type",
    "pgf_date",
)
DATES = ("consent_date", "screening_date", "randomisation_date", "withdrawal_date", "pgf_date")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One subject of the log (or of a ResearchSubject). Dates are ISO days at the site, empty where not given."""

    patient: str
    subjid: str
    siteid: str
    arm: str = ""
    consent_date: str = ""
    screening_date: str = ""
    randomisation_date: str = ""
    donor_type: str = ""
    screen_failure_reason: str = ""
    withdrawal_date: str = ""
    withdrawal_reason: str = ""
    withdrawal_type: str = ""
    pgf_date: str = ""
    criteria: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    def usubjid(self, study: str) -> str:
        return f"{study}-{self.siteid}-{self.subjid}"


def read_enrolment(
    path: Path, arms: Mapping[str, str], spellings: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> list[Enrolled]:
    """Return the rows of the log in USUBJID order.

    arms: every spelling of an arm -> its code. spellings: our column name -> how the log may spell it.

    Raises EnrolmentError for a missing or unknown column, a subject or patient given twice, an unknown arm, a date that
    is no day, a randomisation without an arm or the reverse; the message gives the line.
    """
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise EnrolmentError(f"cannot read the enrolment log {path}: {e.strerror}") from e
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise EnrolmentError(f"{path} is not UTF-8 (byte {e.start}); save it as 'CSV UTF-8'") from e
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    ours = {other: name for name, others in spellings.items() for other in others}
    columns = [ours.get(c.strip(), c.strip()) for c in reader.fieldnames or []]
    _check_columns(path, columns)
    reader.fieldnames = columns
    rows: list[Enrolled] = []
    seen: dict[tuple[str, str], int] = {}
    try:
        for row in reader:
            one = _row(path, reader.line_num, row, arms)
            if one is None:
                continue
            for kind, value in (("subject", f"{one.siteid}-{one.subjid}"), ("patient", one.patient)):
                if (kind, value) in seen:
                    # the hospital's patient id stays out of the message: messages are mailed around
                    shown = f" {value}" if kind == "subject" else ""
                    raise EnrolmentError(
                        f"{path} line {reader.line_num}: {kind}{shown} stands in line {seen[kind, value]} already; "
                        f"expected one line per {kind}"
                    )
                seen[kind, value] = reader.line_num
            rows.append(one)
    except csv.Error as e:
        raise EnrolmentError(f"{path} line {reader.line_num}: not CSV: {e}") from e
    if not rows:
        raise EnrolmentError(f"{path} has no subject: expected one line per subject below the header")
    return sorted(rows, key=lambda r: (r.siteid, r.subjid))


def _check_columns(path: Path, columns: list[str]) -> None:
    known = [*REQUIRED, *OPTIONAL]
    for c in columns:
        if c not in known and not re.fullmatch(r"ie_[A-Za-z0-9]+", c):
            raise EnrolmentError(f"{path}: {unknown('column', c, [*known, 'ie_<code>'])}")
        if columns.count(c) > 1:
            raise EnrolmentError(f"{path}: column {c!r} stands twice in the header")
    missing = [c for c in REQUIRED if c not in columns]
    if missing:
        raise EnrolmentError(f"{path}: columns {missing} are missing; found {columns}")


def _row(path: Path, line: int, row: dict[str, str], arms: Mapping[str, str]) -> Enrolled | None:
    where = f"{path} line {line}"
    if None in row or None in row.values():
        raise EnrolmentError(f"{where}: the number of cells differs from the header's")
    cells = {k: v.strip() for k, v in row.items()}
    if not any(cells.values()):
        return None
    for name in ("patient", "subjid", "siteid"):
        if not cells[name]:
            raise EnrolmentError(f"{where}: {name} is empty")
    if not re.fullmatch(r"[\x21-\x7e]{1,40}", cells["siteid"] + cells["subjid"]):
        raise EnrolmentError(f"{where}: siteid and subjid must be ASCII without blanks, as USUBJID is made of them")
    if cells["arm"] and cells["arm"] not in arms:
        raise EnrolmentError(f"{where}: {unknown('arm', cells['arm'], sorted(arms))}; empty = not randomised")
    for name in DATES:
        if cells.get(name) and not _is_day(cells[name]):
            raise EnrolmentError(f"{where}: {name} {cells[name]!r} is no day; expected YYYY-MM-DD")
    if bool(cells["arm"]) != bool(cells.get("randomisation_date")):
        raise EnrolmentError(f"{where}: arm and randomisation_date must both be given or both be empty")
    if cells.get("withdrawal_type", "") not in ("", "consent", "treatment"):
        raise EnrolmentError(f"{where}: {unknown('withdrawal_type', cells['withdrawal_type'], ['consent', 'treatment'])}")
    cells["arm"] = arms.get(cells["arm"], "")
    criteria = {k[3:]: v for k, v in cells.items() if k.startswith("ie_")}
    for code, answer in criteria.items():
        if answer not in ("", "Y", "N"):
            raise EnrolmentError(f"{where}: ie_{code} is {answer!r}; expected Y, N or empty")
    named = {k: v for k, v in cells.items() if not k.startswith("ie_")}
    return Enrolled(**named, criteria=criteria, source=f"enrolment log, line {line}")


def _is_day(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True

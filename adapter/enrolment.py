"""The enrolment log: who is a subject, in which arm, and the dates the hospital's records do not know.

Columns: fhir-input "Who is a subject". One row per subject; a contradiction is an error that names both lines, because
every dataset stands on this file. For the same reason its encoding is never guessed: UTF-8, with or without a mark.
Messages give lines and columns, never the text of a cell: with a column shifted, any cell may hold a patient id.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
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
WITHDRAWAL_TYPES = ("consent", "treatment")
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

    def __reduce__(self) -> tuple[type[Enrolled], tuple[object, ...]]:
        # thousands travel to the workers; the dataclass's own way asks for its fields anew for each of them
        return Enrolled, tuple(getattr(self, name) for name in self.__slots__)

    def usubjid(self, study: str) -> str:
        return f"{study}-{self.siteid}-{self.subjid}"


@dataclass(slots=True)
class Subject:
    """One subject with all keyed patient ids that are this person; the first is the surviving record."""

    usubjid: str
    enrolled: Enrolled
    identities: tuple[bytes, ...]
    survivor: bytes


def read_enrolment(
    path: Path,
    arms: Mapping[str, str],
    spellings: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    withdrawal_types: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    criterion_prefix: str = "ie_",
) -> list[Enrolled]:
    """Return the rows of the log in USUBJID order.

    arms: every spelling of an arm -> its code. spellings: our column name -> how the log may spell it.
    withdrawal_types: `consent` and `treatment` -> further spellings. criterion_prefix: how columns that answer a
    criterion (Y, N) begin.

    Raises EnrolmentError for a missing or unknown column, a subject or patient given twice, an unknown arm, a date that
    is no day, a randomisation without an arm or the reverse; the message gives the line.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    columns: list[str] = []
    rows: list[Enrolled] = []
    seen: dict[tuple[str, str], int] = {}
    withdrawals = {
        text: code for code in WITHDRAWAL_TYPES for text in ("", code, *withdrawal_types.get(code, ())) if text
    }
    log = _Log(path, arms, withdrawals, criterion_prefix)
    try:
        for cells in reader:
            if not any(c.strip() for c in cells):
                continue
            if not columns:
                columns = _columns(path, cells, spellings, criterion_prefix)
                continue
            if len(cells) != len(columns):
                raise EnrolmentError(
                    f"{path} line {reader.line_num}: {len(cells)} cells; the header has {len(columns)} columns"
                )
            one = log.row(reader.line_num, dict(zip(columns, (c.strip() for c in cells), strict=True)))
            for kind, value in (("subject", f"{one.siteid}-{one.subjid}"), ("patient", one.patient)):
                if (kind, value) in seen:
                    raise EnrolmentError(
                        f"{path} line {reader.line_num}: the {kind} stands in line {seen[kind, value]} already; "
                        f"expected one line per {kind}"
                    )
                seen[kind, value] = reader.line_num
            rows.append(one)
    except csv.Error as e:
        raise EnrolmentError(f"{path} line {reader.line_num}: not CSV: {e}") from e
    if not columns:
        raise EnrolmentError(f"{path} is empty: expected a header with {', '.join(REQUIRED)}")
    if not rows:
        raise EnrolmentError(f"{path} has no subject: expected one line per subject below the header")
    return sorted(rows, key=lambda r: (r.siteid, r.subjid))


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise EnrolmentError(f"cannot read the enrolment log {path}: {e.strerror}") from e
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        found = "UTF-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else f"not UTF-8 (byte {e.start}; GB18030?)"
        raise EnrolmentError(f"{path} is {found}; save it as 'CSV UTF-8'") from e


def _columns(path: Path, header: list[str], spellings: Mapping[str, tuple[str, ...]], prefix: str) -> list[str]:
    """Return our names of the header's columns."""
    ours = {other: name for name, others in spellings.items() for other in others}
    columns = [ours.get(c.strip(), c.strip()) for c in header]
    if not set(columns) & set(REQUIRED):
        # perhaps the first line is a patient's: nothing of it is shown
        raise EnrolmentError(
            f"{path}: the first line names no column; expected a comma-separated header with {REQUIRED}"
        )
    known = [*REQUIRED, *OPTIONAL]
    for c in columns:
        if c not in known and not re.fullmatch(rf"{re.escape(prefix)}[A-Za-z0-9]+", c):
            raise EnrolmentError(f"{path}: {unknown('column', c, [*known, f'{prefix}<code>'])}")
        if columns.count(c) > 1:
            raise EnrolmentError(f"{path}: column {c!r} stands twice in the header")
    missing = [c for c in REQUIRED if c not in columns]
    if missing:
        raise EnrolmentError(f"{path}: columns {missing} are missing; found {columns}")
    return columns


@dataclass(frozen=True, slots=True)
class _Log:
    """How the lines of one log are checked."""

    path: Path
    arms: Mapping[str, str]
    withdrawals: Mapping[str, str]
    prefix: str

    def row(self, line: int, cells: dict[str, str]) -> Enrolled:
        where = f"{self.path} line {line}"
        for name in ("patient", "subjid", "siteid"):
            if not cells[name]:
                raise EnrolmentError(f"{where}: {name} is empty")
        if cells["patient"].startswith("keyed:"):
            raise EnrolmentError(f"{where}: patient is a keyed id; expected a Patient id or system|value")
        if not re.fullmatch(r"[\x21-\x7e]{1,40}", cells["siteid"] + cells["subjid"]):
            raise EnrolmentError(f"{where}: siteid and subjid must be ASCII without blanks, as USUBJID is made of them")
        for name in DATES:
            if cells.get(name) and not _is_day(cells[name]):
                raise EnrolmentError(f"{where}: {name} is no day ({_shape(cells[name])}); expected YYYY-MM-DD")
        cells["arm"] = _one_of(where, "arm", cells["arm"], self.arms)
        if bool(cells["arm"]) != bool(cells.get("randomisation_date")):
            raise EnrolmentError(f"{where}: arm and randomisation_date must both be given or both be empty")
        if "withdrawal_type" in cells:
            cells["withdrawal_type"] = _one_of(where, "withdrawal_type", cells["withdrawal_type"], self.withdrawals)
        criteria = {k[len(self.prefix) :]: v for k, v in cells.items() if k.startswith(self.prefix)}
        for code, answer in criteria.items():
            if answer not in ("", "Y", "N"):
                raise EnrolmentError(f"{where}: {self.prefix}{code} is neither Y nor N nor empty")
        named = {k: v for k, v in cells.items() if not k.startswith(self.prefix)}
        return Enrolled(**named, criteria=criteria, source=f"enrolment log, line {line}")


def _one_of(where: str, name: str, text: str, known: Mapping[str, str]) -> str:
    """Return the code of a spelling, empty for an empty cell."""
    if text and text not in known:
        near = get_close_matches(text, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise EnrolmentError(f"{where}: unknown {name}; known are: {', '.join(known)}, or empty{hint}")
    return known.get(text, "")


def _shape(text: str) -> str:
    """Return what a text looks like, without what it says: digits as 9, letters as a."""
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text))[:20]


def _is_day(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True

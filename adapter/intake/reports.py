"""DiagnosticReport -> rows: the results that stand nowhere but inside it (fhir-input point 5).

An Observation in `contained` that `result` names (or that a named panel has as a member) is a result like any other: its
own code, status and value count, never the report's. What `result` names elsewhere is read where it stands. A report that
was cancelled or entered in error does not bring its results back.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Raw

from adapter.intake.observation import STATUSES as RESULT_STATUSES
from adapter.intake.observation import ObservationRows
from adapter.intake.reading import UNREADABLE, Reading, Reject
from adapter.intake.rows import PlainRows
from adapter.intake.structs import NONE, Head, Observation, Period, Reference, Resource
from adapter.intake.tables import PROVENANCE, TABLES, schema_of
from adapter.intake.timing import times_of

STATUSES = frozenset(
    "registered partial preliminary modified final amended corrected appended cancelled entered-in-error unknown".split()
)
"""R4, and `modified` of R5."""

TAKES_BACK = {
    "cancelled": "status-cancelled",
    "entered-in-error": "status-entered-in-error",
    "unknown": "status-unknown",
}
NO_OWN = "no-own-results"
KIND = "DiagnosticReport"


class DiagnosticReport(Resource, gc=False):
    contained: list[Raw] | None = None
    status: str | None = None
    subject: Raw = NONE
    effectiveDateTime: str | None = None
    effectivePeriod: Period | None = None
    issued: str | None = None
    specimen: list[Raw] | None = None
    result: list[Reference | None] | None = None


_HEAD = msgspec.json.Decoder(Head)
_OBSERVATION = msgspec.json.Decoder(Observation)
_REFERENCE = msgspec.json.Decoder(Reference)
_REFERENCES = msgspec.json.Decoder(list[Reference | None])
_TIMES = times_of(Observation, "effective")
_NO_RESULT = (None,) * (len(TABLES[KIND]) - len(PROVENANCE) - 1)


class ReportRows:
    """Collects a row for each report and the rows of its contained results, and gives them as one table."""

    def __init__(self, read: Reading) -> None:
        self._results = ObservationRows(read)
        self._elements: list[str] = []  # of each row in _results: which contained resource it is of
        self._own = PlainRows(KIND, _own_row)

    def note(self, noted: str) -> None:
        self._own.note(noted)

    def add(self, r: DiagnosticReport, read: Reading, head: tuple[Any, ...]) -> None:
        """Add the rows of one report. A contained result that cannot be used costs only itself: its row says why."""
        self._own.add(("", TAKES_BACK.get(head[-1], NO_OWN)), read, head)
        if head[-1] in TAKES_BACK:
            return
        there: dict[int, Observation] = {}
        broken = False
        for i, raw in enumerate(r.contained or ()):
            try:
                if _HEAD.decode(raw).resourceType == "Observation":
                    there[i] = _OBSERVATION.decode(raw)
            except UNREADABLE:
                broken = True
                self._own.add((f"contained[{i}]", "element-wrong-type"), read, head)
        wanted, missing = _named(r, there)
        for where in missing if not broken else ():  # it may be the one that cannot be read
            self._own.add((where, "result-not-found"), read, head)
        mine = read.owner(_REFERENCE.decode(r.subject))
        for i, result in there.items():
            where = f"contained[{i}]"
            if i not in wanted:
                self._own.add((where, "result-not-named"), read, head)
                continue
            try:
                _check(result)
                if not _same_subject(result, r, mine, read):
                    self._own.add((f"{where}.subject", "about-somebody-else"), read, head)
                    continue
                _complete(result, r)
                before = len(self._results)
                lost = self._results.add(result, read, (*head[:-1], result.status))
                self._elements += [where] * (len(self._results) - before)
                for reason, place in lost or ():  # components that cannot be used
                    self._own.add((f"{where}.{place}", reason), read, head)
            except Reject as e:
                read.notes.clear()
                self._own.add((f"{where}.{e.where}" if e.where else where, e.reason), read, head)
            except UNREADABLE:
                read.notes.clear()
                self._own.add((where, "element-wrong-type"), read, head)

    def table(self) -> pa.Table | None:
        """Return all rows, None where there are none; those of contained results have the columns of Observation."""
        own, results = self._own.table(), self._results.table()
        if results is None:
            return own
        inside = results.column("element").to_pylist()
        elements = [f"{a}.{b}" if b else a for a, b in zip(self._elements, inside, strict=True)]
        at = results.column_names.index("element")
        results = results.set_column(at, "element", pa.array(elements, pa.string()))
        results = results.append_column("why", pa.nulls(results.num_rows, pa.string()))
        parts = [results.cast(schema_of(KIND)), *([own] if own is not None else [])]
        return pa.concat_tables(parts)


def _own_row(said: tuple[str, str], read: Reading, head: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return a row without a result: the report's own, or one that says why a contained result is not used."""
    element, why = said
    return [(*head, element, read.take_notes(), *_NO_RESULT, why)]


def _named(r: DiagnosticReport, there: dict[int, Observation]) -> tuple[set[int], list[str]]:
    """Return which contained Observations `result` names, itself or through a panel's hasMember; and which are missing."""
    places = {o.id: i for i, o in there.items() if o.id}
    missing, found = [], set[int]()
    waiting = [(f"result[{i}]", x) for i, x in enumerate(r.result or ())]
    while waiting:
        where, reference = waiting.pop()
        if reference is None or reference.reference is None or not reference.reference.startswith("#"):
            continue  # a resource of its own, which is read where it stands
        place = places.get(reference.reference[1:])
        if place is None:
            missing.append(where)
        elif place not in found:
            found.add(place)
            members = there[place].hasMember
            if len(members) > 0:
                try:
                    waiting += [(f"contained[{place}].hasMember[{i}]", m) for i, m in _members(members)]
                except UNREADABLE:
                    missing.append(f"contained[{place}].hasMember")
    return found, sorted(missing)


def _members(raw: Raw) -> list[tuple[int, Reference | None]]:
    return list(enumerate(_REFERENCES.decode(raw) or ()))


def _check(result: Observation) -> None:
    """Check a contained result as a resource of its own would be. Raises Reject where it may not be used."""
    if result.modifierExtension:
        raise Reject("held-back-modifier", "modifierExtension")
    if result.implicitRules:
        raise Reject("held-back-modifier", "implicitRules")
    result.status = (result.status or "").strip()
    if result.status not in RESULT_STATUSES:
        raise Reject("no-status", "status")


def _same_subject(result: Observation, r: DiagnosticReport, mine: bytes | None, read: Reading) -> bool:
    """Return whether a result is about the report's subject, as it is where it names nobody."""
    if not result.subject or bytes(result.subject) == bytes(r.subject):
        return True
    theirs = read.owner(_REFERENCE.decode(result.subject))
    if theirs is not None and theirs not in read.subjects:  # empty, or an identifier that leads nowhere
        raise Reject("subject-unresolved" if theirs else "no-subject", "subject")
    return theirs is not None and mine is not None and read.subjects[theirs] == read.subjects[mine]


def _complete(result: Observation, r: DiagnosticReport) -> None:
    """Add what the report says of date and specimen, where the result itself does not."""
    if not any(_TIMES.get(result)):
        result.effectiveDateTime, result.effectivePeriod = r.effectiveDateTime, r.effectivePeriod
        result.issued = result.issued or r.issued
    if not result.specimen and r.specimen is not None and len(r.specimen) == 1:
        result.specimen = r.specimen[0]

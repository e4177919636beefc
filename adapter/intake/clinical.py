"""Condition, AdverseEvent, Encounter -> rows.

A resource gives one row for itself, and further rows for what repeats inside it: stages of a Condition, suspects of an
AdverseEvent, places of an Encounter, and notes where the trial lets texts out. Such a row has its `element` and the dates
of its resource. The row of the resource itself is the last one: what was left out of it is noted there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from adapter.intake.clinical_structs import (
    AdverseEvent,
    Annotation,
    Condition,
    Encounter,
    GradeExtension,
    SuspectEntity,
)
from adapter.intake.event_structs import Concepts, NamedReference
from adapter.intake.reading import NO_DATE, Date, Reading, Reject, bare_codes, codings, text_of
from adapter.intake.structs import NONE, CodeableConcept, Period
from adapter.intake.tables import PROVENANCE, TABLES
from adapter.intake.timing import times_of, when

Row = tuple[Any, ...]
VERIFICATION = frozenset(["unconfirmed", "provisional", "differential", "confirmed", "refuted", "entered-in-error"])
CLINICAL = frozenset(["active", "recurrence", "relapse", "inactive", "remission", "resolved"])
GOES_ON = frozenset(["active", "recurrence", "relapse"])
ACTUAL, POTENTIAL = "actual", "potential"
EVENT_STATUSES = frozenset(["in-progress", "completed", "entered-in-error", "unknown"])
"""R5 AdverseEvent.status; R4 has none."""

ENCOUNTER_STATUSES = frozenset(
    "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown "
    "on-hold discharged completed discontinued".split()
)
"""R4, then R5."""

ONSET = times_of(Condition, "onset")
ABATEMENT = times_of(Condition, "abatement")
OCCURRED = times_of(AdverseEvent, "date", "occurrence")
ADMITTED_FOR = {"AD", "CC"}
"""diagnosis-role: admission diagnosis and chief complaint; others are found or treated during a stay."""

PRESENT = ("arrived", "triaged", "in-progress", "onleave")
"""Encounter statuses in which the patient is there."""


def _columns(kind: str) -> tuple[str, ...]:
    return tuple(c.name for c in TABLES[kind][len(PROVENANCE) :])


_CONDITION, _ADVERSE_EVENT, _ENCOUNTER = map(_columns, ("Condition", "AdverseEvent", "Encounter"))


def _dates(prefix: str, date: Date) -> dict[str, Any]:
    return dict(zip((f"{prefix}dtc", f"{prefix}day", f"{prefix}micros"), date, strict=True))


def _row(names: Sequence[str], head: Row, element: str, notes: str | None, values: dict[str, Any]) -> Row:
    return (*head, element, notes, *(values.get(n) for n in names))


def condition_rows(r: Condition, read: Reading, head: Row) -> list[Row]:
    """Return the rows of one Condition. Column `status` holds verificationStatus; where it is absent, nothing is in doubt.

    onset[x] and abatement[x] give dates only as dateTime or Period: the onset its start, the abatement its end. A voided
    Condition has no clinicalStatus (eCRNow issue 577); it is told by its verificationStatus.
    """
    verified = _code_of(r.verificationStatus, VERIFICATION)
    if r.verificationStatus is not None and verified is None:
        raise Reject("no-status", "verificationStatus")
    clinical = _code_of(r.clinicalStatus, CLINICAL)
    if r.clinicalStatus is not None and clinical is None:
        read.notes.append("clinical-status-unknown@clinicalStatus")
    if codings(r.code) is None and text_of(r.code) is None and verified != "entered-in-error":
        raise Reject("no-code", "code")
    onset = when(r, ONSET, read)
    end, end_words = _abatement(r, read)
    if onset.start[1] is not None and end[1] is not None and end[1] < onset.start[1]:
        read.notes.append("end-before-start@abatement[x]")
    dates = (
        _dates("", onset.start) | _dates("end_", end) | _dates("recorded_", read.date(r.recordedDate, "recordedDate"))
    )
    own = {
        "code": codings(r.code),
        "code_text": text_of(r.code),
        "category": bare_codes([c for c in r.category or () if c is not None]),
        "clinical": clinical,
        "severity": codings(r.severity),
        "severity_text": text_of(r.severity),
        "words": onset.words,
        "end_words": end_words,
        "open": clinical in GOES_ON and end == NO_DATE and end_words is None,
        "encounter": _keys([r.encounter], read),
        "evidence": _keys(
            [x for e in r.evidence or () if e is not None for x in (*(e.detail or ()), e.reference)], read
        ),
    }
    head = (*head[:-1], verified)
    notes = read.take_notes()
    made = _notes(r.note, _CONDITION, head, dates, read)
    for i, s in enumerate(r.stage or ()):
        if s is not None:
            stage = {
                "stage": codings(s.summary),
                "stage_text": text_of(s.summary),
                "stage_type": codings(s.type),
                "stage_type_text": text_of(s.type),
                "evidence": _keys(s.assessment or (), read),
            }
            made.append(_row(_CONDITION, head, f"stage[{i}]", None, dates | stage))
    return [*made, _row(_CONDITION, head, "", notes, dates | own)]


def _abatement(r: Condition, read: Reading) -> tuple[Date, str | None]:
    """Return the end of a Condition, and the words of one that is no date. A Period has ended by its end."""
    found = when(r, ABATEMENT, read)
    return (found.end if found.end != NO_DATE else found.start), found.words


def adverse_event_rows(r: AdverseEvent, read: Reading, head: Row) -> list[Row]:
    """Return the rows of one AdverseEvent. Column `status` holds actuality, or why R5's status forbids to use it.

    severity is kept as it is: a grade stands only in an extension that the trial names (extensions.toxicity_grade).
    """
    status = r.status.strip() if r.status is not None else None
    if status is not None and status not in EVENT_STATUSES:
        raise Reject("no-status", "status")
    actuality = r.actuality.strip() if r.actuality is not None else None
    if actuality not in (None, ACTUAL, POTENTIAL):
        raise Reject("no-status", "actuality")
    if actuality is None:
        read.notes.append("actuality-unknown@actuality")
    event = r.event or r.code
    if codings(event) is None and text_of(event) is None and status != "entered-in-error":
        raise Reject("no-code", "event")
    time = when(r, OCCURRED, read)
    dates = _dates("", time.start) | _dates("end_", time.end) | _dates("detected_", read.date(r.detected, "detected"))
    dates |= _dates("recorded_", read.date(r.recordedDate, "recordedDate"))
    outcome = r.outcome if isinstance(r.outcome, list) else [r.outcome]
    own = {
        "code": codings(event),
        "code_text": text_of(event),
        "category": bare_codes([c for c in r.category or () if c is not None]),
        "words": time.words,
        "seriousness": codings(r.seriousness),
        "seriousness_text": text_of(r.seriousness),
        "severity": codings(r.severity),
        "severity_text": text_of(r.severity),
        "outcome": "\n".join(filter(None, map(codings, outcome))) or None,
        "outcome_text": next(filter(None, map(text_of, outcome)), None),
        "grade": _grade(r.extension, read),
        "conditions": _keys([*(r.resultingCondition or ()), *(r.resultingEffect or ())], read),
        "encounter": _keys([r.encounter], read),
    }
    withdrawn = status in ("entered-in-error", "unknown")
    head = (*head[:-1], status if withdrawn else actuality)
    notes = read.take_notes()
    made = _notes(r.note, _ADVERSE_EVENT, head, dates, read)
    for i, s in enumerate(r.suspectEntity or ()):
        if s is not None:
            made.append(_row(_ADVERSE_EVENT, head, f"suspectEntity[{i}]", None, dates | _suspect(s, read)))
    return [*made, _row(_ADVERSE_EVENT, head, "", notes, dates | own)]


def _suspect(s: SuspectEntity, read: Reading) -> dict[str, Any]:
    """Return what is suspected, and how it is judged; of a Medication that came in, also its code."""
    reference = s.instance or s.instanceReference
    looked = read.look_ups.get(read.referred(reference) or b"")
    named = reference.display if reference is not None else None
    text = text_of(s.instanceCodeableConcept) or (looked.text if looked is not None else None) or named
    causes = s.causality if isinstance(s.causality, list) else [s.causality]
    judged = [c.assessment or c.entityRelatedness for c in causes if c is not None]
    return {
        "suspect": _keys([reference], read),
        "suspect_code": codings(s.instanceCodeableConcept) or (looked.code if looked is not None else None),
        "suspect_text": text,
        "causality": "\n".join(filter(None, map(codings, judged))) or None,
        "causality_text": next(filter(None, map(text_of, judged)), None),
    }


def _grade(extensions: Sequence[GradeExtension | None] | None, read: Reading) -> str | None:
    """Return the grade as an extension holds it that the trial names; None without one."""
    for e in extensions or ():
        if e is None or e.url not in read.grade_extensions:
            continue
        for raw in (e.valueInteger, e.valueDecimal, e.valueQuantity.value if e.valueQuantity else NONE):
            if raw != NONE:
                return read.number(raw, "extension.value[x]")
        coded = e.valueCoding.code or e.valueCoding.display if e.valueCoding is not None else None
        return e.valueCode or e.valueString or coded or text_of(e.valueCodeableConcept)
    return None


def encounter_rows(r: Encounter, read: Reading, head: Row) -> list[Row]:
    """Return the rows of one Encounter: the stay or visit, and the places in it that have a time of their own.

    An Encounter without a period is dated by its statusHistory: from the first status in which the patient was there.
    """
    classes = r.class_ if isinstance(r.class_, list) else [r.class_]
    kinds = [c.concept() for c in classes if c is not None] + [c for c in r.type or () if c is not None]
    service = (
        [x.concept for x in r.serviceType if x is not None] if isinstance(r.serviceType, list) else [r.serviceType]
    )
    kinds += [c for c in service if c is not None]
    period = r.period or r.actualPeriod
    start, end, on = _stay(period, r, read)
    dates = _dates("", start) | _dates("end_", end)
    stay = r.hospitalization or r.admission
    reasons = [*(r.reasonCode or ()), *(v.concept for x in r.reason or () if x for v in x.value or () if v is not None)]
    own = {
        "code": "\n".join(filter(None, map(codings, kinds))) or None,
        "code_text": "; ".join(dict.fromkeys(filter(None, map(text_of, kinds)))) or None,
        "open": on,
        "part_of": _keys([r.partOf], read),
        "indication": next(filter(None, map(text_of, reasons)), None),
        "reasons": _keys(_why(r), read),
        "admitted_from": text_of(stay.admitSource) if stay is not None else None,
        "discharged_to": text_of(stay.dischargeDisposition) if stay is not None else None,
    }
    notes = read.take_notes()
    made = []
    for i, p in enumerate(r.location or ()):
        if p is None or p.period is None or p.status in ("planned", "reserved"):
            continue
        started, ended = _period(p.period, f"location[{i}].period", read)
        name = text_of(p.physicalType) or text_of(p.form)
        texts = [p.location.display if p.location is not None else None, name]
        place = {
            "code": codings(p.physicalType or p.form),
            "code_text": "; ".join(filter(None, texts)) or None,
            "open": p.period.start is not None and p.period.end is None,
        }
        dated = _dates("", started) | _dates("end_", ended)
        made.append(_row(_ENCOUNTER, head, f"location[{i}]", read.take_notes(), dated | place))
    return [*made, _row(_ENCOUNTER, head, "", notes, dates | own)]


def _stay(period: Period | None, r: Encounter, read: Reading) -> tuple[Date, Date, bool]:
    """Return start and end of an Encounter, and whether it goes on."""
    if period is not None and (period.start is not None or period.end is not None):
        return *_period(period, "period", read), period.start is not None and period.end is None
    there = [h.period for h in r.statusHistory or () if h is not None and h.status in PRESENT and h.period is not None]
    starts = [p.start for p in there if p.start is not None]
    if not starts:
        return NO_DATE, NO_DATE, False
    read.notes.append("date-from-history@statusHistory")
    start = min(
        (read.date(t, "statusHistory.period.start") for t in starts), key=lambda d: d[1] if d[1] is not None else 0
    )
    over = r.status in ("finished", "discharged", "completed")
    ends = [read.date(p.end, "statusHistory.period.end") for p in there]
    whole = over and all(d[1] is not None for d in ends)
    return start, max(ends, key=lambda d: (d[1] or 0, d[2] or 0)) if whole else NO_DATE, not over


def _period(period: Period, where: str, read: Reading) -> tuple[Date, Date]:
    start, end = read.date(period.start, f"{where}.start"), read.date(period.end, f"{where}.end")
    if start[1] is not None and end[1] is not None and end[1] < start[1]:
        read.notes.append(f"end-before-start@{where}")
    return start, end


def _why(r: Encounter) -> Iterator[NamedReference | None]:
    """Yield the records that an Encounter names as its reason; of its diagnoses those that the patient was admitted for."""
    yield from r.reasonReference or ()
    for x in r.reason or ():
        yield from (v.reference for v in (x.value or ()) if v is not None) if x is not None else ()
    for d in r.diagnosis or ():
        if d is None or not ADMITTED_FOR & _codes_in(d.use):
            continue
        if isinstance(d.condition, list):
            yield from (c.reference for c in d.condition if c is not None)
        else:
            yield d.condition


def _codes_in(concepts: CodeableConcept | Concepts | None) -> set[str]:
    listed = concepts if isinstance(concepts, list) else [concepts]
    return {x.code for c in listed if c is not None for x in c.coding or () if x is not None and x.code}


def _notes(
    notes: Sequence[Annotation | None] | None, names: Sequence[str], head: Row, dates: dict[str, Any], read: Reading
) -> list[Row]:
    """Return a row per note, where the trial lets texts out (confidentiality.comments); else notes are not read."""
    made = []
    for i, n in enumerate(notes or () if read.comments else ()):
        if n is not None and n.text and not n.text.isspace():
            said = {"note": n.text} | _dates("note_", read.date(n.time, "note.time"))
            made.append(_row(names, head, f"note[{i}]", read.take_notes(), dates | said))
    return made


def _code_of(concept: CodeableConcept | None, known: frozenset[str]) -> str | None:
    """Return the first coding that is one of FHIR's own codes."""
    for c in (concept.coding or ()) if concept is not None else ():
        if c is not None and c.code is not None and c.code.strip() in known:
            return c.code.strip()
    return None


def _keys(references: Iterable[NamedReference | None], read: Reading) -> str | None:
    """Return the keyed ids, in hex, of what references name, one per line; those that name nothing known are left out."""
    found = (read.referred(r) for r in references)
    return "\n".join(dict.fromkeys(k.hex() for k in found if k is not None)) or None


__all__ = ["adverse_event_rows", "condition_rows", "encounter_rows"]

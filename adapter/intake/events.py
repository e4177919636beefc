"""MedicationAdministration, MedicationStatement, Procedure, Specimen -> rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapter.intake.dosage import dose_of
from adapter.intake.event_structs import (
    CodeableReference,
    MedicationAdministration,
    MedicationStatement,
    NamedReference,
    Procedure,
    Treatment,
)
from adapter.intake.medication import concept_of, drug_of, lot_in
from adapter.intake.reading import NO_DATE, Date, LookUp, Reading, Reject, text_of
from adapter.intake.structs import CodeableConcept, Quantity, Reference, Specimen
from adapter.intake.timing import times_of, when

Row = tuple[Any, ...]
EVENT_STATUSES = frozenset(
    ["preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error", "unknown"]
)
STATEMENT_STATUSES = frozenset(
    "active completed entered-in-error intended stopped on-hold unknown not-taken recorded draft".split()
)
"""R4, then R5: `recorded` and `draft`, with MedicationStatement.adherence."""

ADHERENCE = {
    "taking": "active",
    "taking-as-directed": "active",
    "taking-not-as-directed": "active",
    "not-taking": "not-taken",
    "on-hold": "on-hold",
    "on-hold-as-directed": "on-hold",
    "on-hold-not-as-directed": "on-hold",
    "stopped": "stopped",
    "stopped-as-directed": "stopped",
    "stopped-not-as-directed": "stopped",
    "unknown": "unknown",
}
"""R5 medication-statement-adherence -> the status that R4 has for it; what was stopped or is on hold had been taken."""

ADMINISTERED = times_of(MedicationAdministration, "effective", "occurence", "occurrence")
STATED = times_of(MedicationStatement, "effective")
PERFORMED = times_of(Procedure, "performed", "occurrence")


def administration_rows(r: MedicationAdministration, read: Reading, head: Row) -> list[Row]:
    """Return the row of one MedicationAdministration: what, when, how much, how, from which lot."""
    concept, reference, where = _medication(r)
    product = _product(r.supportingInformation, read)
    drug = drug_of(concept, reference, r.contained, where, read, product)
    lot = drug.lot or product.lot or lot_in(r.extension, read)
    time, dose = when(r, ADMINISTERED, read), dose_of(r.dosage, read)
    columns = (drug.code, drug.text, drug.form, lot, drug.expires, drug.ingredients)
    why = (_first_text(r.statusReason), _indication(r.reasonCode, r.reason))
    return [(*head, "", read.take_notes(), *columns, *time.columns(), *dose, *why)]


def _product(references: Sequence[Reference | None] | None, read: Reading) -> LookUp:
    """Return the first product with a lot among supportingInformation; R4 has no other place for it."""
    for reference in references or ():
        product = read.look_ups.get(read.referred(reference) or b"")
        if product is not None and product.lot is not None:
            return product
    return LookUp()


def statement_rows(r: MedicationStatement, read: Reading, head: Row) -> list[Row]:
    """Return the row of one MedicationStatement: what somebody says is, was or will be taken, and when it was said."""
    concept, reference, where = _medication(r)
    drug = drug_of(concept, reference, r.contained, where, read)
    time, dose = when(r, STATED, read), dose_of(r.dosage, read)
    asserted = read.date(r.dateAsserted, "dateAsserted")
    columns = (drug.code, drug.text, drug.form, drug.ingredients, *time.columns(), *asserted, *dose)
    why = (_first_text(r.statusReason), _indication(r.reasonCode, r.reason))
    return [(*head[:-1], _taken(r, head[-1]), "", read.take_notes(), *columns, *why)]


def _medication(r: Treatment) -> tuple[CodeableConcept | None, NamedReference | None, str]:
    """Return concept and reference of what was given, in R4 (medicationX) or R5 (medication), and the element's name."""
    both = r.medication
    concept = r.medicationCodeableConcept or (both.concept if both else None)
    reference = r.medicationReference or (both.reference if both else None)
    return concept, reference, "medication" if both else "medication[x]"


def _taken(r: MedicationStatement, status: str | None) -> str | None:
    """Return the status of R4; a recorded statement of R5 without adherence says, as any statement does, that it is taken."""
    concept = r.adherence.code if r.adherence is not None else None
    if status != "recorded" or concept is None:
        return status
    for c in concept.coding or ():
        if c is not None and c.code in ADHERENCE:
            return ADHERENCE[c.code]
    return "unknown"


def _first_text(concepts: Sequence[CodeableConcept | None] | None) -> str | None:
    for c in concepts or ():
        text = text_of(c)
        if text:
            return text
    return None


def _indication(
    concepts: Sequence[CodeableConcept | None] | None, reasons: Sequence[CodeableReference | None] | None
) -> str | None:
    """Return the first reason that is a concept: reasonCode, in R5 reason.

    FHIR's own codes for it (`Given as Ordered`, `Emergency`) say why it was given then, not for what.
    """
    told = [*(concepts or ()), *(x.concept for x in reasons or () if x is not None)]
    return _first_text([c for c in told if c is not None and not _of_ordering(c)])


def _of_ordering(c: CodeableConcept) -> bool:
    return bool(c.coding) and all(x is not None and (x.system or "").endswith(NO_INDICATION) for x in c.coding or ())


NO_INDICATION = "/reason-medication-given"


def procedure_rows(r: Procedure, read: Reading, head: Row) -> list[Row]:
    """Return the row of one Procedure. FHIR has no amount; one valueQuantity extension is taken as given."""
    code, text = concept_of(r.code)
    if code is None and text is None:
        raise Reject("no-code", "code")
    time = when(r, PERFORMED, read)
    amounts: list[Quantity] = [
        e.valueQuantity for e in r.extension or () if e is not None and e.valueQuantity is not None
    ]
    dose = dose_unit = dose_unit_text = None
    if len(amounts) == 1:
        dose = read.number(amounts[0].value, "extension.valueQuantity.value")
        dose_unit, dose_unit_text = amounts[0].code, amounts[0].unit
    why = (text_of(r.statusReason), _indication(r.reasonCode, r.reason))
    columns = (code, text, *time.columns(), *why, dose, dose_unit, dose_unit_text, lot_in(r.extension, read))
    return [(*head, "", read.take_notes(), *columns, len(r.focus) > 0 and bytes(r.focus) != b"null")]


def specimen_rows(r: Specimen, read: Reading, head: Row) -> list[Row]:
    """Return the row of one Specimen: its type and when it was taken."""
    collected: Date = NO_DATE
    if r.collection is not None:
        c = r.collection
        text = c.collectedDateTime or (c.collectedPeriod.start if c.collectedPeriod else None)
        collected = read.date(text, "collection.collected[x]")
    code, name = concept_of(r.type)
    return [(*head, "", read.take_notes(), code, name, *collected)]

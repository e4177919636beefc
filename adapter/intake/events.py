"""MedicationAdministration, Procedure, Specimen -> rows."""

from __future__ import annotations

from typing import Any

import msgspec

from adapter.intake.reading import (
    NO_DATE,
    Date,
    LookUp,
    Reading,
    Reject,
    codings,
    text_of,
    unit_of,
)
from adapter.intake.structs import (
    BiologicallyDerivedProduct,
    Extension,
    Head,
    Medication,
    MedicationAdministration,
    Period,
    Procedure,
    Quantity,
    Specimen,
)

Row = tuple[Any, ...]
EVENT_STATUSES = frozenset(
    ["preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error", "unknown"]
)
_HEAD = msgspec.json.Decoder(Head)
_MEDICATION = msgspec.json.Decoder(Medication)
_NOTHING = LookUp()


def medication_look_up(r: Medication) -> LookUp:
    batch = r.batch
    return LookUp(
        codings(r.code),
        text_of(r.code),
        text_of(r.form),
        batch.lotNumber if batch else None,
        batch.expirationDate if batch else None,
    )


def product_look_up(r: BiologicallyDerivedProduct) -> LookUp:
    lot = next((i.value for i in r.identifier or () if i.value), None)
    return LookUp(codings(r.productCode), text_of(r.productCode), None, lot, None)


def administration_rows(r: MedicationAdministration, read: Reading, head: Row) -> list[Row]:
    """Return the row of one MedicationAdministration (FHIR R4): what, when, how much, how, from which lot."""
    drug = _drug(r, read)
    code, text = drug.code, drug.text
    if r.medicationCodeableConcept is not None:
        code, text = codings(r.medicationCodeableConcept), text_of(r.medicationCodeableConcept)
    if code is None and text is None:
        raise Reject("no-code", "medication[x]")
    start, end = _performed(r.effectiveDateTime, r.effectivePeriod, "effective", read)
    d = r.dosage
    dose = dose_unit = dose_unit_text = rate = rate_unit = dose_text = route = route_text = None
    if d is not None:
        if d.dose is not None:
            dose = read.number(d.dose.value, "dosage.dose.value")
            dose_unit, dose_unit_text = d.dose.code, d.dose.unit
        if d.rateQuantity is not None:
            rate, rate_unit = read.number(d.rateQuantity.value, "dosage.rateQuantity.value"), unit_of(d.rateQuantity)
        dose_text, route, route_text = d.text, codings(d.route), text_of(d.route)
    reason = text_of(r.statusReason[0]) if r.statusReason else None
    indication = text_of(r.reasonCode[0]) if r.reasonCode else None
    columns: Row = (code, text, drug.form, drug.lot or _lot(r.extension, read), drug.expires, *start, *end)
    columns += (
        _open(r.effectivePeriod),
        dose,
        dose_unit,
        dose_unit_text,
        rate,
        rate_unit,
        dose_text,
        route,
        route_text,
        reason,
        indication,
    )
    return [(*head, "", read.take_notes(), *columns)]


def _drug(r: MedicationAdministration, read: Reading) -> LookUp:
    """Return code, form and lot from the Medication (contained or not) and from supporting products."""
    found = LookUp()
    if r.medicationReference is not None and r.medicationReference.reference is not None:
        name = r.medicationReference.reference
        if name.startswith("#"):
            found = _contained(r, name[1:])
        else:
            found = read.look_ups.get(read.referred(r.medicationReference) or b"", _NOTHING)
    if found.lot is None:
        for reference in r.supportingInformation or ():
            product = read.look_ups.get(read.referred(reference) or b"")
            if product is not None and product.lot is not None:
                return LookUp(found.code or product.code, found.text or product.text, found.form, product.lot)
    return found


def _contained(r: MedicationAdministration, wanted: str) -> LookUp:
    for raw in r.contained or ():
        try:
            if _HEAD.decode(raw).resourceType == "Medication":
                medication = _MEDICATION.decode(raw)
                if medication.id == wanted:
                    return medication_look_up(medication)
        except msgspec.ValidationError as e:
            raise Reject("element-wrong-type", "contained") from e
    return _NOTHING


def _lot(extensions: list[Extension] | None, read: Reading) -> str | None:
    for e in extensions or ():
        if e.url in read.lot_extensions and e.valueString:
            return e.valueString
    return None


def procedure_rows(r: Procedure, read: Reading, head: Row) -> list[Row]:
    """Return the row of one Procedure (FHIR R4). R4 has no amount; one valueQuantity extension is taken as given."""
    code, text = codings(r.code), text_of(r.code)
    if code is None and text is None:
        raise Reject("no-code", "code")
    start, end = _performed(r.performedDateTime, r.performedPeriod, "performed", read)
    amounts: list[Quantity] = [e.valueQuantity for e in r.extension or () if e.valueQuantity is not None]
    dose = dose_unit = dose_unit_text = None
    if len(amounts) == 1:
        dose = read.number(amounts[0].value, "extension.valueQuantity.value")
        dose_unit, dose_unit_text = amounts[0].code, amounts[0].unit
    indication = text_of(r.reasonCode[0]) if r.reasonCode else None
    columns: Row = (code, text, *start, *end, _open(r.performedPeriod), text_of(r.statusReason), indication)
    columns += (dose, dose_unit, dose_unit_text)
    return [(*head, "", read.take_notes(), *columns, _lot(r.extension, read))]


def specimen_rows(r: Specimen, read: Reading, head: Row) -> list[Row]:
    """Return the row of one Specimen: its type and when it was taken."""
    collected: Date = NO_DATE
    if r.collection is not None:
        c = r.collection
        text = c.collectedDateTime or (c.collectedPeriod.start if c.collectedPeriod else None)
        collected = read.date(text, "collection.collected[x]")
    return [(*head, "", read.take_notes(), codings(r.type), text_of(r.type), *collected)]


def _open(period: Period | None) -> bool:
    """Return whether an event goes on: FHIR Period with a start and no end."""
    return period is not None and period.start is not None and period.end is None


def _performed(moment: str | None, period: Period | None, where: str, read: Reading) -> tuple[Date, Date]:
    """Return start and end of an event; a moment is a start without an end."""
    if moment is not None:
        return read.date(moment, f"{where}DateTime"), NO_DATE
    if period is None:
        return NO_DATE, NO_DATE
    start, end = read.date(period.start, f"{where}Period.start"), read.date(period.end, f"{where}Period.end")
    if start[1] is not None and end[1] is not None and end[1] < start[1]:
        read.notes.append(f"end-before-start@{where}Period")
    return start, end

"""SupplyDelivery and BiologicallyDerivedProductDispense -> rows: how blood banks report what they gave out for a patient.

Whether an item is a blood product, and so a transfusion, is for the code tables to say (mappings/sdtm/cm.py).
"""

from __future__ import annotations

from typing import Any

from adapter.intake.event_structs import BiologicallyDerivedProductDispense, SuppliedItem, SupplyDelivery
from adapter.intake.medication import Drug, drug_of
from adapter.intake.reading import Reading, Reject
from adapter.intake.structs import Quantity
from adapter.intake.timing import NEVER, When, times_of, when

Row = tuple[Any, ...]
SUPPLY_STATUSES = frozenset(["in-progress", "completed", "abandoned", "entered-in-error"])
DISPENSE_STATUSES = frozenset(
    "preparation in-progress allocated issued unfulfilled returned entered-in-error unknown".split()
)
WARD_STOCK = b'{"reference":"SupplyDelivery/none"}'
"""The subject of a delivery that is for no patient: somebody who is no subject of any trial."""

_SUPPLIED = times_of(SupplyDelivery, "occurrence")


def supply_subject(r: SupplyDelivery) -> bytes:
    return bytes(r.patient) or WARD_STOCK


def supply_rows(r: SupplyDelivery, read: Reading, head: Row) -> list[Row]:
    """Return a row for every suppliedItem (R4 has one, R5 several); one that is not named has neither code nor text.

    The status is optional in R4: where it is absent, nobody knows whether the item was delivered.
    """
    head = (*head[:-1], head[-1] or "unknown")
    time = when(r, _SUPPLIED, read)
    given = r.suppliedItem if isinstance(r.suppliedItem, list) else [r.suppliedItem]
    items = [i for i in given if i is not None] or [SuppliedItem()]
    rows = []
    for n, item in enumerate(items):
        where = f"suppliedItem[{n}]" if n else ""
        if item.modifierExtension:
            raise Reject("held-back-modifier", where or "suppliedItem")
        try:
            drug = drug_of(item.itemCodeableConcept, item.itemReference, r.contained, "suppliedItem.item[x]", read)
        except Reject as e:
            if e.reason not in ("no-code", "medication-not-found"):
                raise
            drug = Drug()
        rows.append((*head, where, read.take_notes(), *_columns(drug, time, item.quantity, read)))
    return rows


def dispense_rows(r: BiologicallyDerivedProductDispense, read: Reading, head: Row) -> list[Row]:
    """Return the row of one BiologicallyDerivedProductDispense (R5): the product, and when it was handed over."""
    drug = drug_of(None, r.product, r.contained, "product", read)
    time = When(read.date(r.whenHandedOver, "whenHandedOver")) if r.whenHandedOver else NEVER
    return [(*head, "", read.take_notes(), *_columns(drug, time, r.quantity, read))]


def _columns(drug: Drug, time: When, quantity: Quantity | None, read: Reading) -> Row:
    dose = unit = unit_text = None
    if quantity is not None:
        dose = read.number(quantity.value, "quantity.value")
        unit, unit_text = quantity.code, quantity.unit
    return (drug.code, drug.text, drug.lot, *time.columns(), dose, unit, unit_text)

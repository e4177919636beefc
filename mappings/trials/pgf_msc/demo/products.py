"""The UC-MSC product: its lots, and three ways a record names the lot (R4 has none on MedicationAdministration)."""

from __future__ import annotations

from datetime import date

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.fhir import PRODUCT, Resource, coding, concept
from mappings.trials.pgf_msc.demo.people import START, Person, days


def lot_of(day: date) -> str:
    """Return the lot of the month before: a product is released, then used within six months."""
    month = max(day - days(30), START - days(60))
    return f"UCMSC-{month.year % 100:02d}{month.month:02d}-P4"


def lot_expiry(lot: str) -> str:
    year, month = 2000 + int(lot[6:8]), int(lot[8:10]) + 6
    return f"{year + (month - 1) // 12}-{(month - 1) % 12 + 1:02d}-28"


def medication(lot: str) -> Resource:
    """Return the Medication of a lot (Medication.batch is where R4 has lot and expiry)."""
    return {
        "resourceType": "Medication",
        "id": f"med-{lot}",
        "code": concept(
            [coding(PRODUCT, "UC-MSC", "Umbilical cord mesenchymal stromal cells")], "脐带间充质干细胞注射液"
        ),
        "batch": {"lotNumber": lot, "expirationDate": lot_expiry(lot)},
    }


def product(lot: str) -> Resource:
    """Return the BiologicallyDerivedProduct of a lot."""
    return {
        "resourceType": "BiologicallyDerivedProduct",
        "id": f"bdp-{lot}",
        "identifier": [{"system": "urn:pgf-msc:lot", "value": lot}],
        "productCategory": "cells",
        "productCode": concept([coding(PRODUCT, "UC-MSC")]),
        "status": "available",
    }


def product_of(person: Person, day: date) -> Resource:
    """Return how a record names the product: reference to a Medication, a contained one, or code plus lot product."""
    lot = lot_of(day)
    way = person.index % 3
    if way == 1:
        return {"contained": [{**medication(lot), "id": "product"}], "medicationReference": {"reference": "#product"}}
    if way == 2:
        code = concept([coding(PRODUCT, "UC-MSC")], "UC-MSC")
        return {
            "medicationCodeableConcept": code,
            "supportingInformation": [fhir.reference(f"BiologicallyDerivedProduct/bdp-{lot}")],
        }
    return {"medicationReference": fhir.reference(f"Medication/med-{lot}")}

"""Intake of MedicationAdministration, Procedure and Specimen: every picked column, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.intake.events import EVENT_STATUSES
from adapter.intake.reading import LookUp, identity
from adapter.intake.rows import instant, instants
from adapter.intake.tables import TABLES
from tests.lines import ADMINISTRATION, PROCEDURE, SPECIMEN, Json, changed, day, picked, row, rows, take

HL7 = "http://terminology.hl7.org/CodeSystem"
MSC = {"coding": [{"system": "urn:p", "code": "MSC", "display": "间充质干细胞"}]}


def test_every_column_of_an_administration() -> None:
    found = row(
        changed(
            ADMINISTRATION,
            effectiveDateTime=...,
            effectivePeriod={"start": "2024-01-01T16:30:00Z", "end": "2024-01-02T01:15:00+08:00"},
            status="stopped",
            statusReason=[{"coding": [{"code": "x", "display": "Fever"}]}, {"text": "second"}],
            reasonCode=[{"text": "移植后造血功能不良"}],
            dosage={
                "text": "1e6/kg",
                "route": {"coding": [{"system": "http://snomed.info/sct", "code": "47625008", "display": "IV"}]},
                "dose": {"value": 1.00, "unit": "10^6/kg", "code": "10*6/kg"},
                "rateQuantity": {"value": 50, "unit": "mL/h"},
            },
        )
    )
    expected: Json = {
        "status": "stopped", "element": "", "notes": None,
        "code": "urn:p|MSC", "code_text": "间充质干细胞", "form": None, "lot": None, "expires": None, "ingredients": None,
        "dtc": "2024-01-02T00:30:00", "day": day("2024-01-02"),
        "micros": (day("2024-01-02") * 86_400 + 1800) * 1_000_000,
        "end_dtc": "2024-01-02T01:15:00", "end_day": day("2024-01-02"),
        "end_micros": (day("2024-01-02") * 86_400 + 4500) * 1_000_000,
        "open": False, "words": None,
        "dose": "1.0", "dose_unit": "10*6/kg", "dose_unit_text": "10^6/kg", "rate": "50",
        "rate_unit": "mL/h", "rate_per": None, "rate_per_unit": None,
        "dose_text": "1e6/kg", "route": "http://snomed.info/sct|47625008", "route_text": "IV",
        "status_reason": "Fever", "indication": "移植后造血功能不良",
    }  # fmt: skip
    provenance = {"pat", "rid", "sha", "updated", "version", "file", "line"}
    assert {k: v for k, v in found.items() if k not in provenance} == expected
    assert set(expected) | provenance == {c.name for c in TABLES["MedicationAdministration"]}


@pytest.mark.parametrize(
    ("period", "times", "goes_on", "notes"),
    [
        ({"start": "2024-01-02"}, ("2024-01-02", None), True, None),
        ({"start": "2024-01-02", "end": "2024-01-02"}, ("2024-01-02", "2024-01-02"), False, None),
        ({"end": "2024-01-02"}, (None, "2024-01-02"), False, None),
        ({}, (None, None), False, None),
        (
            {"start": "2024-01-03", "end": "2024-01-02"},
            ("2024-01-03", "2024-01-02"),
            False,
            "end-before-start@{}Period",
        ),
        ({"start": "3.1.2024"}, (None, None), True, "date-malformed@{}Period.start"),
    ],
)
@pytest.mark.parametrize(("event", "element"), [(ADMINISTRATION, "effective"), (PROCEDURE, "performed")])
def test_periods(event: Json, element: str, period: Json, times: Any, goes_on: bool, notes: str | None) -> None:
    found = row(changed(event, **{f"{element}DateTime": ..., f"{element}Period": period}))
    assert picked(found, "dtc", "end_dtc") == times
    assert found["open"] is goes_on
    assert found["notes"] == (notes.format(element) if notes else None)


def test_an_event_without_any_date_has_none() -> None:
    for event in (changed(ADMINISTRATION, effectiveDateTime=...), changed(PROCEDURE, performedDateTime=...)):
        assert picked(row(event), "dtc", "day", "micros", "end_dtc", "open", "notes") == (
            None,
            None,
            None,
            None,
            False,
            None,
        )


@pytest.mark.parametrize("status", sorted(EVENT_STATUSES))
def test_statuses(status: str) -> None:
    """FHIR R4: `preparation` is a status of Procedure, not of MedicationAdministration."""
    assert row(changed(PROCEDURE, status=status))["status"] == status
    taken = take(changed(ADMINISTRATION, status=status))
    assert [r.reason for r in taken.rejects] == (["no-status"] if status == "preparation" else [])


@pytest.mark.parametrize(
    ("dose", "columns", "notes"),
    [
        ({"value": 4.10, "unit": "mg"}, ("4.1", None, "mg"), None),
        ({"value": "5", "code": "mg"}, ("5", "mg", None), "decimal-as-string@dosage.dose.value"),
        ({"value": "five", "code": "mg"}, (None, "mg", None), "decimal-dropped@dosage.dose.value"),
        ({"unit": "mg"}, (None, None, "mg"), None),
        ({"value": 1e3}, ("1000.0", None, None), None),
    ],
)
def test_doses(dose: Json, columns: tuple[str | None, ...], notes: str | None) -> None:
    found = row(changed(ADMINISTRATION, dosage={"dose": dose}))
    assert (picked(found, "dose", "dose_unit", "dose_unit_text"), found["notes"]) == (columns, notes)


BATCH = {"lotNumber": "L-1", "expirationDate": "2025-01-01"}
LOTS: dict[str, tuple[Json, tuple[str | None, ...]]] = {
    "contained": (
        {
            "medicationCodeableConcept": ...,
            "contained": [
                {"resourceType": "Organization", "id": "m"},
                {"resourceType": "Medication", "id": "other", "code": {"text": "not this"}},
                {"resourceType": "Medication", "id": "m", "code": MSC, "form": {"text": "悬液"}, "batch": BATCH},
            ],
            "medicationReference": {"reference": "#m"},
        },
        ("urn:p|MSC", "间充质干细胞", "悬液", "L-1", "2025-01-01"),
    ),
    "look-up": (
        {"medicationCodeableConcept": ..., "medicationReference": {"reference": "Medication/m/_history/2"}},
        ("urn:p|X", "x", "susp", "L-2", "2026"),
    ),
    "look-up by address": (
        {"medicationCodeableConcept": ..., "medicationReference": {"reference": "http://h/fhir/Medication/m"}},
        ("urn:p|X", "x", "susp", "L-2", "2026"),
    ),
    "concept before look-up": (
        {"medicationReference": {"reference": "Medication/m"}},
        ("urn:p|MSC", "间充质干细胞", "susp", "L-2", "2026"),
    ),
    "dangling, with a concept": (
        {"medicationReference": {"reference": "Medication/none"}},
        ("urn:p|MSC", "间充质干细胞", None, None, None),
    ),
    "supporting product": (
        {"supportingInformation": [{"reference": "Observation/1"}, {"reference": "BiologicallyDerivedProduct/b"}]},
        ("urn:p|MSC", "间充质干细胞", None, "LOT-B", None),
    ),
    "extension": (
        {"extension": [{"url": "urn:other", "valueString": "no"}, {"url": "urn:lot", "valueString": "L-E"}]},
        ("urn:p|MSC", "间充质干细胞", None, "L-E", None),
    ),
}


@pytest.mark.parametrize("name", LOTS)
def test_drug_form_and_lot(name: str) -> None:
    change, expected = LOTS[name]
    look_ups = {
        "Medication/m": LookUp("urn:p|X", "x", "susp", "L-2", "2026"),
        "BiologicallyDerivedProduct/b": LookUp("urn:p|B", "cells", None, "LOT-B", None),
    }
    found = row(changed(ADMINISTRATION, **change), look_ups=look_ups, lots=("urn:lot",))
    assert picked(found, "code", "code_text", "form", "lot", "expires") == expected


GONE = "medication-not-found"


@pytest.mark.parametrize(
    ("medication", "reason"),
    [
        ({"medicationReference": {"reference": "Medication/none"}}, GONE),
        ({"contained": [], "medicationReference": {"reference": "#m"}}, GONE),
        ({"medication": {"reference": {"reference": "Medication/none"}}}, GONE),  # R5
        (
            {"contained": [{"resourceType": "Medication", "id": "m"}], "medicationReference": {"reference": "#m"}},
            "no-code",
        ),
        ({"medicationReference": {}}, "no-code"),
        (
            {"medicationCodeableConcept": {"coding": [{"system": f"{HL7}/data-absent-reason", "code": "unknown"}]}},
            "no-code",
        ),
        ({}, "no-code"),
    ],
)
def test_an_administration_of_nobody_knows_what(medication: Json, reason: str) -> None:
    taken = take(changed(ADMINISTRATION, **({"medicationCodeableConcept": ...} | medication)))
    where = "medication" if "medication" in medication else "medication[x]"
    assert [(r.reason, r.where) for r in taken.rejects] == [(reason, where)]


def test_a_broken_contained_resource() -> None:
    contained = [{"resourceType": "Medication", "id": 5}]
    taken = take(changed(ADMINISTRATION, contained=contained, medicationReference={"reference": "#m"}))
    assert [(r.reason, r.where) for r in taken.rejects] == [("element-wrong-type", "contained")]


def test_every_column_of_a_procedure() -> None:
    found = row(
        changed(
            PROCEDURE,
            code={"coding": [{"system": "http://snomed.info/sct", "code": "12719002"}], "text": "血小板输注"},
            statusReason={"text": "x"},
            reasonCode=[{"coding": [{"code": "D69"}]}],
            extension=[
                {"url": "urn:amount", "valueQuantity": {"value": 1.50, "unit": "U", "code": "[U]"}},
                {"url": "urn:lot", "valueString": "P-7"},
            ],
        ),
        lots=("urn:lot",),
    )
    names = ("code", "code_text", "dtc", "status_reason", "indication", "dose", "dose_unit", "dose_unit_text", "lot")
    assert picked(found, *names) == (
        "http://snomed.info/sct|12719002", "血小板输注", "2024-01-02", "x", "D69", "1.5", "[U]", "U", "P-7",
    )  # fmt: skip


def test_two_amounts_of_a_procedure_are_none() -> None:
    amounts = [{"url": u, "valueQuantity": {"value": 1}} for u in ("a", "b")]
    assert row(changed(PROCEDURE, extension=amounts))["dose"] is None


@pytest.mark.parametrize(
    ("collection", "dtc"),
    [
        ({"collectedDateTime": "2024-01-01T16:00:00Z"}, "2024-01-02T00:00:00"),
        ({"collectedPeriod": {"start": "2024-01-02", "end": "2024-01-03"}}, "2024-01-02"),
        ({}, None),
    ],
)
def test_specimens(collection: Json, dtc: str | None) -> None:
    found = row(changed(SPECIMEN, collection=collection, type={"text": "骨髓"}))
    assert picked(found, "dtc", "code", "code_text", "status") == (dtc, None, "骨髓", None)


def test_a_plain_batch_is_written_whole() -> None:
    found = rows(take(*(changed(PROCEDURE, id=f"p{i}", code={"text": str(i)}) for i in range(4100))), "Procedure")
    assert [r["code_text"] for r in found] == [str(i) for i in range(4100)]


# --- references and instants -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "resource_type", "expected"),
    [
        ("Patient/1", "", "Patient/1"),
        ("Patient/1", "Patient", "Patient/1"),
        ("Group/1", "Patient", None),
        ("Patient/1/_history/3", "Patient", "Patient/1"),
        ("http://h/fhir/Patient/1/_history/3", "Patient", "Patient/1"),
        ("http://h/fhir/Group/1", "Patient", None),
        ("urn:uuid:1-2", "Patient", "urn:uuid:1-2"),
        ("urn:oid:1.2", "", "urn:oid:1.2"),
        ("#p", "", None),
        ("Patient/1#p", "", None),
        ("Patient?identifier=a|b", "", None),
        ("Patient/?_id=1", "", None),
        ("1", "", None),
        ("Patient/", "", None),
        ("/1", "", None),
        ("Patient/1/", "", None),
        ("http://h", "", None),
        ("", "", None),
    ],
)
def test_identities(reference: str, resource_type: str, expected: str | None) -> None:
    assert identity(reference, resource_type) == expected


INSTANTS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["2024-01-01", "0001-01-01", "9999-12-31", "0000-01-01", "2024-02-30", "20240101", "2024", "x"]),
    st.sampled_from(["T", " ", "t", ""]),
    st.sampled_from(["00:00:00", "23:59:60", "24:00:00", "00:00", "07:08:09.1", "07:08:09.1234567", "00", ""]),
    st.sampled_from(["Z", "z", "+08:00", "-14:00", "+0800", "+08", "+24:00", ""]),
)


@settings(max_examples=300)
@given(st.lists(st.none() | INSTANTS, max_size=4))
def test_a_last_updated_does_not_depend_on_its_neighbours(texts: list[str | None]) -> None:
    together = instants(tuple(texts)).to_pylist()
    assert together == [instants((t,)).to_pylist()[0] for t in texts]
    assert together == [instant(t) for t in texts]


def test_instants_by_hand() -> None:
    assert instant("1970-01-02T00:00:00.25+08:00") == 16 * 3600 * 1_000_000 + 250_000
    assert instant("1969-12-31T23:59:59Z") == -1_000_000
    assert instant("2024-01-01T00:00:00") is None  # without an offset it is no instant

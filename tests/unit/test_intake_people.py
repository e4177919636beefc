"""Intake of Patient, Consent and ResearchSubject: what is picked, and that names and addresses are not."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.intake.people import ETHNICITY, RACE
from adapter.intake.tables import TABLES
from tests.lines import CONSENT, KEYER, PATIENT, RESEARCH_SUBJECT, Json, changed, day, picked, row, take


def omb(url: str, *codes: str) -> Json:
    parts = [{"url": "ombCategory", "valueCoding": {"system": "urn:oid:2.16", "code": c}} for c in codes]
    return {"url": url, "extension": [*parts, {"url": "text", "valueString": "Zhang's own words"}]}


def test_every_column_of_a_patient() -> None:
    found = row(
        changed(
            PATIENT,
            deceasedDateTime="2024-03-01T16:00:00Z",
            extension=[
                omb(RACE, "2106-3", "2028-9"),
                omb(ETHNICITY, "2186-5"),
                {"url": "urn:other", "valueString": "x"},
            ],
            link=[
                {"other": {"reference": "Patient/c"}, "type": "seealso"},
                {"other": {"reference": "Patient/b"}, "type": "replaced-by"},
            ],
        )
    )
    expected: Json = {
        "status": None, "element": "", "notes": None, "gender": "female",
        "birth_dtc": "1980-02-29", "birth_day": day("1980-02-29"), "birth_micros": None, "deceased": True,
        "dtc": "2024-03-02T00:00:00", "day": day("2024-03-02"), "micros": day("2024-03-02") * 86_400 * 1_000_000,
        "race": "2028-9\n2106-3", "ethnicity": "2186-5", "replaced_by": KEYER.keyed("Patient/b"),
    }  # fmt: skip
    provenance = {"pat", "rid", "sha", "updated", "version", "file", "line"}
    assert {k: v for k, v in found.items() if k not in provenance} == expected
    assert set(expected) | provenance == {c.name for c in TABLES["Patient"]}
    assert found["pat"] == found["rid"] == KEYER.keyed("Patient/s")


DEATHS: list[tuple[Json, tuple[Any, ...]]] = [
    ({}, (None, None, None)),
    ({"deceasedBoolean": False}, (False, None, None)),
    ({"deceasedBoolean": True}, (True, None, None)),
    ({"deceasedDateTime": "2024"}, (True, "2024", None)),
    ({"deceasedDateTime": "yesterday"}, (True, None, "date-malformed@deceasedDateTime")),
    ({"_deceasedDateTime": {"extension": []}}, (None, None, None)),
]


@pytest.mark.parametrize(("change", "expected"), DEATHS)
def test_deaths(change: Json, expected: tuple[Any, ...]) -> None:
    assert picked(row(changed(PATIENT, **change)), "deceased", "dtc", "notes") == expected


@pytest.mark.parametrize(
    ("birth", "expected"),
    [
        ("1980", ("1980", None, None)),
        ("1980-02", ("1980-02", None, None)),
        ("1980-02-30", (None, None, "date-malformed@birthDate")),
        (..., (None, None, None)),
    ],
)
def test_births(birth: Any, expected: tuple[Any, ...]) -> None:
    found = row(changed(PATIENT, birthDate=birth, _birthDate={"extension": [{"url": "data-absent-reason"}]}))
    assert picked(found, "birth_dtc", "birth_day", "notes") == expected


@pytest.mark.parametrize(
    "extension",
    [
        [{"url": RACE}],
        [{"url": RACE, "extension": [{"url": "ombCategory"}]}],
        [{"url": RACE, "extension": [{"url": "ombCategory", "valueCoding": {"display": "Asian"}}]}],
        [{"url": RACE, "extension": [{"url": "text", "valueString": "Asian"}]}],
        [],
    ],
)
def test_a_race_without_a_code_is_none(extension: list[Json]) -> None:
    assert row(changed(PATIENT, extension=extension))["race"] is None


def test_names_addresses_and_numbers_are_never_kept() -> None:
    secret = {
        "name": [{"family": "张", "given": ["三", None], "_given": [None, {"id": "x"}]}],
        "telecom": [{"value": "13800138000"}],
        "address": [{"text": "重庆市"}],
        "identifier": [{"system": "urn:mrn", "value": "MRN-123"}],
        "photo": [{"data": "QUJD"}],
        "contact": [{"name": {"text": "李四"}}],
    }
    taken = take(changed(PATIENT, **secret))
    kept = repr((taken.tables["Patient"].to_pylist(), taken.rejects, taken.read, taken.links))
    assert not any(word in kept for word in ("张", "三", "13800138000", "重庆", "MRN-123", "QUJD", "李四"))


def test_a_patient_without_an_id_is_nobody() -> None:
    taken = take(changed(PATIENT, id=...))
    assert not taken.tables
    assert all(r.rid is None for r in taken.rejects)


def test_consents() -> None:
    assert picked(row(CONSENT), "dtc", "day", "status") == ("2024-01-02", day("2024-01-02"), "active")
    assert row(changed(CONSENT, status="inactive", dateTime=...))["dtc"] is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"assignedArm": "MSC"}, ("MSC", None, None)),
        ({"assignedArm": "MSC", "actualArm": "CTRL"}, ("CTRL", None, None)),
        ({"period": {"start": "2024-01-02"}}, (None, "2024-01-02", None)),
        ({"period": {"start": "2024-01-02", "end": "2024-02"}}, (None, "2024-01-02", "2024-02")),
    ],
)
def test_research_subjects(change: Json, expected: tuple[str | None, ...]) -> None:
    assert picked(row(changed(RESEARCH_SUBJECT, **change)), "arm", "dtc", "end_dtc") == expected

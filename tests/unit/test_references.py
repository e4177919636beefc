"""References: which resource a literal, conditional or identifier-only reference names (fhir-input points 10 and 20)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from adapter.identify import identify
from adapter.intake.bearers import UNRESOLVED, Bearers, bearers, pair
from adapter.intake.intake import intake
from adapter.intake.reading import Reading
from adapter.references import base_of, conditional_identifier, identifier_text, identity
from tests.lines import CLOCK, KEYER, OBSERVATION, SUBJECT

HERE = frozenset(["https://here.example/fhir"])


@pytest.mark.parametrize(
    ("reference", "name", "declared"),
    [
        ("Patient/1", "Patient/1", "Patient/1"),
        ("Patient/1/_history/3", "Patient/1", "Patient/1"),
        ("https://here.example/fhir/Patient/1", "Patient/1", "Patient/1"),
        ("https://HERE.example/fhir//Patient/1/_history/2", "Patient/1", "Patient/1"),
        ("https://there.example/fhir/Patient/1", "Patient/1", "https://there.example/fhir/Patient/1"),
        ("https://there.example/fhir/Patient/1/_history/9", "Patient/1", "https://there.example/fhir/Patient/1"),
        (
            "https://here.example/FHIR/Patient/1",
            "Patient/1",
            "https://here.example/FHIR/Patient/1",
        ),  # paths have a case
        ("urn:uuid:0c3151bd", "urn:uuid:0c3151bd", "urn:uuid:0c3151bd"),
        ("#p", None, None),
        ("Patient?identifier=a|b", None, None),
        ("Patient/", None, None),
        ("1", None, None),
        ("", None, None),
    ],
)
def test_identity(reference: str, name: str | None, declared: str | None) -> None:
    assert identity(reference) == name
    assert identity(reference, own=HERE) == declared


def test_identity_of_one_type_only() -> None:
    assert identity("Group/1", "Patient") is None
    assert identity("https://there.example/Group/1", "Patient", HERE) is None


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://Here.Example/fhir/Patient/1", "https://here.example/fhir"),
        ("http://a:8080/x/Patient/1/_history/2", "http://a:8080/x"),
        ("Patient/1", ""),
        ("urn:uuid:1", ""),
        ("http://Patient/1", ""),
    ],
)
def test_base_of(url: str, base: str) -> None:
    assert base_of(url) == base


@pytest.mark.parametrize(
    ("reference", "identifier"),
    [
        ("Patient?identifier=urn:mrn|1", "urn:mrn|1"),
        ("Patient?identifier=http%3A%2F%2Fh%2Fmrn%7C1", "http://h/mrn|1"),
        ("https://here.example/fhir/Patient?identifier=urn:mrn|1", "urn:mrn|1"),
        ("Patient?identifier=|1", "|1"),
        ("Patient?identifier=1", None),
        ("Patient?identifier=urn:mrn|", None),
        ("Patient?identifier=a|1&identifier=b|2", None),
        ("Patient?identifier=a|1&name=Zhang", None),
        ("Practitioner?identifier=a|1", None),
        ("Patient/1", None),
    ],
)
def test_conditional(reference: str, identifier: str | None) -> None:
    assert conditional_identifier(reference, "Patient") == identifier


def test_an_identifier_without_a_value_names_nobody() -> None:
    assert [identifier_text("urn:mrn", v) for v in (None, "", " ")] == [None] * 3
    assert identifier_text(" urn:mrn ", " 1 ") == "urn:mrn|1"


def keyed(text: str) -> bytes:
    return KEYER.keyed(text)


def patient(own: str, *values: str) -> bytes:
    found = {"resourceType": "Patient", "id": own, "identifier": [{"system": "urn:mrn", "value": v} for v in values]}
    return json.dumps(found).encode() + b"\n"


def known_bearers() -> Bearers:
    """Subject s (two records, s and old) bears 1, 2 and 3; x bears 3 and 4; y and z bear 5."""
    people = {"s": ("1", "2", "3"), "old": ("1",), "x": ("3", "4"), "y": ("5",), "z": ("5",)}
    lines = [patient(own, *values) for own, values in people.items()]
    found = identify(lines, KEYER, CLOCK, frozenset([keyed(SUBJECT), keyed("Patient/old")]))
    number = {keyed(SUBJECT): 0, keyed("Patient/old"): 0}
    mine = [(i, p.key, number[p.key]) for p in found.patients for i in p.identifiers]
    return bearers(found.borne, mine)


@pytest.mark.parametrize(
    ("value", "whose"),
    [
        ("1", "s"),
        ("2", "s"),
        ("3", "several"),  # the subject and somebody else
        ("4", "another"),
        ("5", "several"),
        ("6", "nobody"),
    ],
)
def test_whose_an_identifier_is(value: str, whose: str) -> None:
    subjects = {keyed(SUBJECT): 0, keyed("Patient/old"): 0}
    found = known_bearers().find(keyed(f"urn:mrn|{value}"), subjects)
    if whose == "s":
        assert found in subjects
    else:
        assert found == {"several": UNRESOLVED, "nobody": UNRESOLVED, "another": None}[whose]


def test_an_identifier_of_two_subjects_names_neither() -> None:
    i, a, b = keyed("urn:mrn|1"), keyed("Patient/a"), keyed("Patient/b")
    found = bearers(pair(i, a) + pair(i, b), [(i, a, 0), (i, b, 1)])
    assert found.find(i, {a: 0, b: 1}) == UNRESOLVED


def test_the_log_may_name_a_subject_whose_patient_resource_never_comes() -> None:
    i = keyed("urn:mrn|9")
    assert known_bearers().find(i, {i: 0}) == i


@pytest.mark.parametrize(
    ("subject", "outcome"),
    [
        ({"identifier": {"system": "urn:mrn", "value": "1"}}, "kept"),
        ({"identifier": {"system": "urn:mrn", "value": "4"}}, "not-a-subject"),
        ({"identifier": {"system": "urn:mrn", "value": "3"}}, "subject-unresolved"),
        ({"identifier": {"system": "urn:mrn", "value": "6"}}, "subject-unresolved"),
        ({"identifier": {"system": "urn:other", "value": "1"}}, "subject-unresolved"),
        ({"reference": "Patient?identifier=urn:mrn|2"}, "kept"),
        ({"reference": "Patient?identifier=urn:mrn|5"}, "subject-unresolved"),
        # a literal reference outranks the identifier beside it
        ({"reference": "Patient/x", "identifier": {"system": "urn:mrn", "value": "1"}}, "not-a-subject"),
        ({"reference": SUBJECT, "identifier": {"system": "urn:mrn", "value": "4"}}, "kept"),
        # of a contained patient only the identifier beside the reference can be followed
        ({"reference": "#p", "identifier": {"system": "urn:mrn", "value": "1"}}, "kept"),
    ],
)
def test_identifier_only_references(subject: dict[str, Any], outcome: str) -> None:
    read = Reading(CLOCK, KEYER, {keyed(SUBJECT): 0, keyed("Patient/old"): 0}, {}, bearers=known_bearers())
    line = json.dumps(OBSERVATION | {"subject": subject}).encode() + b"\n"
    taken = intake([line], read, 16, 0, 1, 0)
    assert [r for _, r in taken.dropped] == ([] if outcome == "kept" else [outcome])
    assert [(r.reason, r.rid) for r in taken.rejects] == ([(outcome, None)] if outcome == "subject-unresolved" else [])


def test_a_patient_of_another_server_is_another_patient_where_the_own_is_declared() -> None:
    read = Reading(CLOCK, KEYER, {keyed(SUBJECT): 0}, {})
    here = {"reference": f"https://here.example/fhir/{SUBJECT}"}
    there = {"reference": f"https://there.example/fhir/{SUBJECT}"}
    lines = [json.dumps(OBSERVATION | {"id": i, "subject": s}).encode() + b"\n" for i, s in (("a", here), ("b", there))]
    intake(lines, read, 16, 0, 1, 0)
    assert read.servers == {keyed(SUBJECT): {"https://here.example/fhir", "https://there.example/fhir"}}
    declared = replace(read, own=HERE, servers={}, owners={})
    taken = intake(lines, declared, 16, 0, 1, 0)
    assert taken.dropped == {("Observation", "not-a-subject"): 1}
    assert declared.servers == {}

"""--strict: what fhir.resources finds is told by place and kind, without a value; what R4 and R4B do not share is not told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapter.intake.reading import Reading
from adapter.strict import KINDS, Checked, check, judged, kind_of, known_differences
from tests.lines import (
    ADMINISTRATION,
    CLOCK,
    KEYER,
    OBSERVATION,
    PATIENT,
    SUBJECT,
    changed,
    line_of,
    of_stranger,
)

EXAMPLES = Path(__file__).parents[2] / ".." / "shared" / "data" / "fhir" / "hl7-r4-examples"
READ = Reading(CLOCK, KEYER, {KEYER.keyed(SUBJECT): 0}, {})
LAB = changed(OBSERVATION, valueQuantity={"value": 20, "unit": "10*9/L"})
DEEP = line_of(LAB)[:-1] + b',"extension":' + 300 * b'[{"url":"urn:a","extension":' + b"[]" + 300 * b"}]" + b"}"


def found(*lines: Any) -> list[tuple[Any, ...]]:
    return [tuple(f) for f in check(map(line_of, lines), READ, known_differences(), Checked())]


@pytest.mark.parametrize(
    ("resource", "element", "kind"),
    [
        (changed(LAB, secret=1), "", "unknown-element"),
        (changed(LAB, component=[{"code": {"text": "a"}, "secret": 1}]), "component[0]", "unknown-element"),
        (changed(LAB, code=...), "code", "missing"),
        (changed(LAB, status=...), "status", "missing"),
        (changed(LAB, component=[{"valueString": "a"}]), "component[0].code", "missing"),
        (changed(LAB, valueQuantity=..., valueString=5), "valueString", "wrong-type"),
        (changed(LAB, subject={"reference": SUBJECT}, category={"text": "a"}), "category", "wrong-type"),
        (changed(LAB, effectiveDateTime="2024-01-01T08:00"), "effectiveDateTime", "malformed"),
        (changed(LAB, effectiveDateTime="2024-02-30"), "effectiveDateTime", "malformed"),
        (changed(LAB, status="final "), "status", "malformed"),
        (changed(LAB, valueQuantity={"value": "20,5"}), "valueQuantity.value", "malformed"),
        (changed(PATIENT, telecom=[{"rank": 0}]), "telecom[0].rank", "out-of-range"),
        (changed(LAB, valueString="20"), "", "more-than-one"),
        (changed(LAB, contained=[{"resourceType": "Secret"}]), "contained", "unknown-resource-type"),
        (changed(LAB, contained=[{"resourceType": "Medication", "status": " a"}]), "contained[0].status", "malformed"),
        (changed(LAB, resourceType="Secret"), "", "unknown-resource-type"),
    ],
)
def test_a_finding_tells_place_and_kind(resource: Any, element: str, kind: str) -> None:
    keyed = KEYER.keyed(f"{resource['resourceType']}/{resource['id']}").hex()
    assert found(LAB, resource) == [(2, resource["resourceType"], keyed, "R4", element, kind)]


@pytest.mark.parametrize("number", [b"-1e99999999999999999999", b"9" * 5000])
def test_a_number_that_nobody_can_hold_ends_no_check(number: bytes) -> None:
    line = line_of(LAB).replace(b'"value":20', b'"value":' + number)
    assert number in line
    assert {f[5] for f in found(line)} <= {"malformed"}


def test_what_the_validator_trips_over_is_told() -> None:
    """fhir.resources reads a text as JSON where an object is due, and takes its null for one."""
    assert [f[4:] for f in found(changed(PATIENT, _birthDate="null"))] == [("", "other")]


def test_what_is_nested_too_deep_is_told() -> None:
    assert [f[3:] for f in found(DEEP)] == [("R4", "", "too-deep")]


@pytest.mark.parametrize(
    "resource",
    [
        LAB,
        PATIENT,
        changed(LAB, valueQuantity={"value": 1.5e3}),
        changed(
            LAB, effectiveDateTime=..., _effectiveDateTime={"extension": [{"url": "urn:a", "valueCode": "unknown"}]}
        ),
        changed(PATIENT, name=[{"given": [None, "B"], "_given": [{"id": "x"}, None]}]),
        changed(LAB, contained=[{"resourceType": "Medication", "id": "m"}]),
    ],
)
def test_what_fhir_allows_is_no_finding(resource: Any) -> None:
    assert found(resource) == []


def test_only_resources_of_subjects_are_checked() -> None:
    bad = changed(LAB, secret=1)
    checked = Checked()
    lines = [of_stranger(bad), changed(bad, subject=...), {"resourceType": "Medication", "secret": 1}, b"{", b"", bad]
    assert [f.line for f in check(map(line_of, lines), READ, known_differences(), checked)] == [6]
    assert (checked.lines, checked.resources, checked.kinds) == (6, 1, {"unknown-element": 1})


def test_types_that_no_domain_reads_are_checked_too() -> None:
    encounter = {"resourceType": "Encounter", "id": "e", "status": "finished", "subject": {"reference": SUBJECT}}
    assert [f[4:] for f in found(encounter)] == [("class", "missing")]


def test_a_resource_of_r5_is_judged_by_r5() -> None:
    newer = changed(
        ADMINISTRATION,
        medicationCodeableConcept=...,
        effectiveDateTime=...,
        medication={"concept": {"text": "a"}},
        occurenceDateTime="2024-01-02",
    )
    assert found(newer) == []
    assert [f[3:] for f in found(changed(newer, occurenceDateTime="yesterday"))] == [
        ("R5", "occurenceDateTime", "malformed")
    ]


def test_r4_stays_r4_where_only_texts_are_wrong() -> None:
    """Two bad dates in an element that R5 names otherwise: not one unknown element of R5."""
    bad = changed(ADMINISTRATION, effectiveDateTime=..., effectivePeriod={"start": "a", "end": "b"})
    assert [f[3:] for f in found(bad)] == [
        ("R4", "effectivePeriod.end", "malformed"),
        ("R4", "effectivePeriod.start", "malformed"),
    ]


@pytest.mark.parametrize("kind", ["Evidence", "MedicinalProduct", "SubstanceProtein"])
def test_what_r4b_made_anew_is_not_told(kind: str) -> None:
    only_r4 = {"resourceType": kind, "id": "a", "subject": {"reference": SUBJECT}, "ofR4": True}
    assert judged(kind, line_of(only_r4))[1]
    assert found(only_r4) == []


def test_known_differences_are_told_with_their_kind_or_place() -> None:
    for row in known_differences():
        assert row.fhir in ("R4", "R5")
        assert row.kind in KINDS or not row.kind
        assert row.resource_type or row.element or row.kind, "a row of nothing would hide everything"


def test_no_finding_holds_a_value() -> None:
    """Neither values nor names of elements, which are the hospital's too where FHIR does not know them."""
    told = json.dumps(
        found(
            changed(LAB, WangXiaoming="WangXiaoming"),
            changed(LAB, effectiveDateTime="WangXiaoming"),
            changed(LAB, code="WangXiaoming"),
            changed(LAB, valueQuantity={"WangXiaoming": 1}),
            changed(LAB, contained=[{"resourceType": "WangXiaoming"}]),
            changed(LAB, id="WangXiaoming", status=5),
        )
    )
    assert "Wang" not in told
    assert len(json.loads(told)) == 6


@pytest.mark.parametrize(
    ("type_", "message", "kind"),
    [
        ("value_error", "a rule that nobody knows", "other"),
        ("string_too_long", "", "out-of-range"),
        ("datetime_from_date_parsing", "", "malformed"),
        ("bool_parsing", "", "malformed"),
        ("dict_type", "", "wrong-type"),
    ],
)
def test_every_error_has_a_kind(type_: str, message: str, kind: str) -> None:
    assert kind_of(type_, message) == kind
    assert kind in KINDS


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the published examples are not beside this folder")
def test_the_published_examples_have_no_findings() -> None:
    checked = 0
    for path in sorted(EXAMPLES.glob("*.json")):
        kind = json.loads(path.read_bytes()).get("resourceType")
        if kind is None:  # the list of the examples
            continue
        fhir, findings = judged(kind, path.read_bytes())
        told = [f for f in findings if not [k for k in known_differences() if k.resource_type == kind]]
        assert (fhir, told) == ("R4", []), path.name
        checked += 1
    assert checked > 100

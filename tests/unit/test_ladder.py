"""The decoding ladder: what is left out, what is rejected, and keys that stand twice. The line numbers begin at 11."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lines import (
    ADMINISTRATION,
    CONSENT,
    KEYER,
    OBSERVATION,
    PATIENT,
    PROCEDURE,
    RESEARCH_SUBJECT,
    SPECIMEN,
    Json,
    balanced,
    changed,
    line_of,
    of_stranger,
    picked,
    rows,
    take,
)

# --- what the record can do without ----------------------------------------------------------------------------------

DROPPED: dict[str, tuple[Json, dict[str, Any], set[str]]] = {
    "category is a string": (
        changed(OBSERVATION, category="laboratory"),
        {"value": "20", "category": None},
        {"element-dropped@category"},
    ),
    "one of two categories": (
        changed(OBSERVATION, category=[5, {"coding": [{"code": "laboratory"}]}]),
        {"category": "laboratory"},
        {"element-dropped@category[0]"},
    ),
    "null among the codings": (
        changed(OBSERVATION, code={"coding": [None, {"system": "http://loinc.org", "code": "777-3"}]}),
        {"code": "http://loinc.org|777-3"},
        {"element-dropped@code.coding[0]"},
    ),
    "null among interpretations": (
        changed(OBSERVATION, interpretation=[None, {"coding": [{"code": "L"}]}]),
        {"interpretation": "L"},
        {"element-dropped@interpretation[0]"},
    ),
    "limit with a unit of a wrong type": (
        changed(OBSERVATION, referenceRange=[{"low": {"value": 1, "unit": 5}, "high": {"value": 2}}]),
        {"low": None, "high": "2", "value": "20"},
        {"element-dropped@referenceRange[0].low"},
    ),
    "ranges are an object": (
        changed(OBSERVATION, referenceRange={"text": "1-2"}),
        {"range_text": None, "value": "20"},
        {"element-dropped@referenceRange"},
    ),
    "limit as a string": (
        changed(OBSERVATION, referenceRange=[{"low": {"value": "1.50"}, "high": {"value": "two"}}]),
        {"low": "1.50", "high": None},
        {"decimal-as-string@referenceRange.low.value", "decimal-dropped@referenceRange.high.value"},
    ),
    "method and specimen": (
        changed(OBSERVATION, method="manual", specimen="Specimen/1"),
        {"method": None, "specimen": None, "value": "20"},
        {"element-dropped@method", "element-dropped@specimen"},
    ),
    "meta is a string": (changed(OBSERVATION, meta="1"), {"version": None}, {"element-dropped@meta"}),
    "version is a number": (
        changed(OBSERVATION, meta={"versionId": 5, "lastUpdated": "2024-01-02T00:00:00Z"}),
        {"version": None, "updated": 1_704_153_600_000_000},
        {"element-dropped@meta.versionId"},
    ),
    "issued is a number": (changed(OBSERVATION, issued=5), {"dtc": "2024-01-02T07:30:00"}, {"element-dropped@issued"}),
    "route and reason of an administration": (
        changed(
            ADMINISTRATION,
            dosage={"dose": {"value": 5, "code": "mg"}, "route": "iv", "text": 5},
            reasonCode=[{"text": "x", "coding": "y"}],
        ),
        {"dose": "5", "route": None, "dose_text": None, "indication": "x"},
        {"element-dropped@dosage.route", "element-dropped@dosage.text", "element-dropped@reasonCode[0].coding"},
    ),
    "extension of a procedure": (
        changed(PROCEDURE, extension=[{"url": "u", "valueQuantity": {"value": 2, "unit": 5}}, {"url": 5}]),
        {"dose": None, "code_text": "血小板输注"},
        {"element-dropped@extension[0].valueQuantity", "element-dropped@extension[1].url"},
    ),
    "birth date is a number": (
        changed(PATIENT, birthDate=19800229),
        {"gender": "female", "birth_dtc": None},
        {"element-dropped@birthDate"},
    ),
    "an identifier is used whole or not at all": (
        changed(PATIENT, identifier=[{"system": 5, "value": "1"}]),
        {"gender": "female"},
        {"element-dropped@identifier[0]"},
    ),
}


@pytest.mark.parametrize("name", DROPPED)
def test_what_a_record_can_do_without_is_left_out_and_noted(name: str) -> None:
    """Once more in another resource: what was read from memory has its note, what came between has none."""
    resource, columns, notes = DROPPED[name]
    plain = {r["resourceType"]: r for r in (OBSERVATION, ADMINISTRATION, PROCEDURE, PATIENT)}[resource["resourceType"]]
    taken = take(resource, plain, resource)
    assert not taken.rejects
    first, other, again = rows(taken, resource["resourceType"])
    for found in (first, again):
        assert {c: found[c] for c in columns} == columns
        assert set(found["notes"].split("\n")) == notes
    assert other["notes"] is None
    balanced(taken)


@pytest.mark.parametrize("name", DROPPED)
def test_of_a_stranger_nothing_is_noted(name: str) -> None:
    resource = DROPPED[name][0]
    taken = take(of_stranger(resource), OBSERVATION)
    assert taken.dropped == {(resource["resourceType"], "not-a-subject"): 1}
    assert not taken.rejects
    assert rows(taken, "Observation")[0]["notes"] is None


def test_what_was_left_out_of_a_resource_without_a_patient_stays_with_it() -> None:
    taken = take(changed(OBSERVATION, subject=..., meta="x"), OBSERVATION)
    assert [r.reason for r in taken.rejects] == ["no-subject"]
    assert rows(taken, "Observation")[0]["notes"] is None


def test_a_note_of_one_component_stands_at_that_component() -> None:
    part = {"code": {"text": "SYS"}, "valueQuantity": {"value": 120}}
    both = [part | {"id": 5}, part]
    taken = take(changed(OBSERVATION, meta="x", component=both))
    assert [(r.reason, r.where) for r in taken.rejects] == [("element-wrong-type", "component[0].id")]
    found = [picked(r, "element", "notes") for r in rows(taken, "Observation")]
    assert found == [("", "element-dropped@meta"), ("component[1]", "element-dropped@meta")]


@pytest.mark.parametrize("subject", [None, ..., {"reference": None}])
def test_null_is_no_subject(subject: Any) -> None:
    taken = take(changed(OBSERVATION, subject=subject))
    assert [(r.reason, r.rid) for r in taken.rejects] == [("no-subject", None)]


@pytest.mark.parametrize("subject", ["Patient/s", [{"reference": "Patient/s"}], {"reference": 5}, 5])
def test_a_subject_that_cannot_be_read_is_nobody_s(subject: Any) -> None:
    taken = take(changed(OBSERVATION, subject=subject))
    assert [(r.reason, r.where, r.rid) for r in taken.rejects] == [("element-wrong-type", "subject", None)]
    balanced(taken)


@pytest.mark.parametrize("empty", [None, [], ""])
@pytest.mark.parametrize("name", ["modifierExtension", "implicitRules"])
def test_a_modifier_that_says_nothing_holds_nothing_back(name: str, empty: Any) -> None:
    assert len(rows(take(changed(OBSERVATION, **{name: empty})), "Observation")) == 1


@pytest.mark.parametrize(("name", "columns"), [("focus", (False, False)), ("hasMember", (False, False))])
@pytest.mark.parametrize("empty", [[], None])
def test_an_empty_array_has_no_entry(name: str, columns: tuple[bool, bool], empty: Any) -> None:
    (found,) = rows(take(changed(OBSERVATION, **{name: empty})), "Observation")
    assert picked(found, "focus", "members") == columns


# --- modifiers inside ------------------------------------------------------------------------------------------------

MODIFIER = [{"url": "urn:x", "valueBoolean": True}]
MODIFIED: dict[str, tuple[Json, str]] = {
    "dosage": (
        changed(ADMINISTRATION, dosage={"text": "x", "modifierExtension": MODIFIER}),
        "dosage.modifierExtension",
    ),
    "batch of a contained drug": (
        changed(
            ADMINISTRATION,
            contained=[{"resourceType": "Medication", "id": "m", "batch": {"modifierExtension": MODIFIER}}],
        ),
        "contained[0].batch.modifierExtension",
    ),
    "link": (
        changed(
            PATIENT,
            link=[{"type": "seealso", "other": {"reference": "Patient/b"}, "modifierExtension": MODIFIER}],
        ),
        "link[0].modifierExtension",
    ),
    "collection": (
        changed(SPECIMEN, collection={"modifierExtension": MODIFIER}),
        "collection.modifierExtension",
    ),
    "reference range": (
        changed(OBSERVATION, referenceRange=[{"text": "1-2", "modifierExtension": MODIFIER}]),
        "referenceRange[0]",
    ),
    "component": (
        changed(OBSERVATION, component=[{"code": {"text": "x"}, "modifierExtension": MODIFIER}]),
        "component[0]",
    ),
}


@pytest.mark.parametrize("name", MODIFIED)
def test_a_modifier_inside_what_is_read_holds_the_resource_back(name: str) -> None:
    resource, where = MODIFIED[name]
    kind = resource["resourceType"]
    taken = take(resource)
    rid = KEYER.keyed(f"{kind}/{resource['id']}")
    assert [(r.reason, r.where, r.rid) for r in taken.rejects] == [("held-back-modifier", where, rid)]
    assert not taken.tables
    balanced(taken)
    assert not take(of_stranger(resource)).rejects


def test_a_modifier_inside_what_is_not_read_changes_nothing_that_is_read() -> None:
    taken = take(changed(PATIENT, contact=[{"modifierExtension": MODIFIER}]))
    assert len(rows(taken, "Patient")) == 1


# --- keys that stand twice -------------------------------------------------------------------------------------------


def twice(resource: Json, old: str, new: str) -> bytes:
    """Return a line in which the text `old` is followed by a comma and `new`."""
    text = json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
    assert text.count(old) == 1
    return text.replace(old, f"{old},{new}").encode()


TWICE: dict[str, tuple[bytes, str, str]] = {
    "value": (
        twice(OBSERVATION, '"id":"o1"', '"valueQuantity":{"value":2}'),
        "Observation/o1",
        "valueQuantity",
    ),
    "number": (twice(OBSERVATION, '"value":20', '"value":2'), "Observation/o1", "valueQuantity.value"),
    "unit": (twice(OBSERVATION, '"unit":"10^9/L"', '"unit":"10^6/L"'), "Observation/o1", "valueQuantity.unit"),
    "code": (twice(OBSERVATION, '"code":"777-3"', '"code":"6690-2"'), "Observation/o1", "code.coding[0].code"),
    "limit": (
        twice(changed(OBSERVATION, referenceRange=[{"low": {"value": 7}}]), '"value":7', '"value":8'),
        "Observation/o1",
        "referenceRange[0].low.value",
    ),
    "value of a component": (
        twice(
            changed(OBSERVATION, component=[{"code": {"text": "x"}, "valueQuantity": {"value": 7}}]),
            '"valueQuantity":{"value":7}',
            '"valueQuantity":{"value":8}',
        ),
        "Observation/o1",
        "component[0].valueQuantity",
    ),
    "status of an administration": (
        twice(ADMINISTRATION, '"status":"completed"', '"status":"not-done"'),
        "MedicationAdministration/a1",
        "status",
    ),
    "dose": (
        twice(changed(ADMINISTRATION, dosage={"dose": {"value": 5}}), '"value":5', '"value":50'),
        "MedicationAdministration/a1",
        "dosage.dose.value",
    ),
    "date of a procedure": (
        twice(PROCEDURE, '"performedDateTime":"2024-01-02"', '"performedDateTime":"2024-01-03"'),
        "Procedure/p1",
        "performedDateTime",
    ),
    "birth date": (
        twice(PATIENT, '"birthDate":"1980-02-29"', '"birthDate":"1981-02-28"'),
        "Patient/s",
        "birthDate",
    ),
    "consent": (twice(CONSENT, '"dateTime":"2024-01-02"', '"dateTime":"2024-01-03"'), "Consent/c1", "dateTime"),
}


@pytest.mark.parametrize("name", TWICE)
def test_a_key_that_says_two_things_rejects_the_resource(name: str) -> None:
    line, own, where = TWICE[name]
    taken = take(line, changed(OBSERVATION, id="o2"))
    found = [(r.reason, r.where, r.line, r.rid) for r in taken.rejects]
    assert found == [("element-twice", where, 11, KEYER.keyed(own))]
    assert [r["line"] for r in rows(taken, "Observation")] == [12]
    assert sum(taken.dropped.values()) == 1
    balanced(taken)


@pytest.mark.parametrize("name", TWICE)
def test_a_key_that_says_the_same_twice_says_one_thing(name: str) -> None:
    line, _, where = TWICE[name]
    key = where.rpartition(".")[2]
    node = json.loads(line)
    text = json.dumps(node, ensure_ascii=False, separators=(",", ":"))
    inner = node
    for step in where.replace("[0]", ".0").split("."):
        last, inner = inner, inner[int(step) if step.isdigit() else step]
    pair = f'"{key}":{json.dumps(inner, ensure_ascii=False, separators=(",", ":"))}'
    assert last
    assert pair in text
    taken = take(text.replace(pair, f"{pair},{pair}", 1).encode())
    assert not taken.rejects
    assert len(taken.links) == 1


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ("Patient/s", "Patient/x", ("element-twice", None)),
        ("Patient/x", "Patient/s", ("element-twice", None)),
        ("Patient/x", "Patient/y", None),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_resource_of_two_patients_is_nobody_s(
    first: str, second: str, result: tuple[str, None] | None, inside: bool
) -> None:
    """Told where one of the two is a subject, and without a keyed id: it may be the other's."""
    old = f'"reference":"{first}"' if inside else f'"subject":{{"reference":"{first}"}}'
    line = twice(changed(PROCEDURE, subject={"reference": first}), old, old.replace(first, second))
    taken = take(line)
    assert [(r.reason, r.rid) for r in taken.rejects] == ([result] if result else [])
    assert taken.dropped == {("Procedure", result[0] if result else "not-a-subject"): 1}
    observed = twice(changed(OBSERVATION, subject={"reference": first}), old, old.replace(first, second))
    taken = take(observed)
    assert [(r.reason, r.rid) for r in taken.rejects] == ([result] if result else [])
    balanced(taken)


def test_an_id_that_stands_twice_gives_no_keyed_id() -> None:
    taken = take(twice(PROCEDURE, '"id":"p1"', '"id":"p2"'))
    assert [(r.reason, r.where, r.rid) for r in taken.rejects] == [("element-twice", "id", None)]


def test_a_key_that_is_not_read_may_stand_twice() -> None:
    line = twice(changed(PROCEDURE, note=[{"text": "a"}]), '"note":[{"text":"a"}]', '"note":[{"text":"b"}]')
    assert len(rows(take(line), "Procedure")) == 1
    observed = twice(changed(OBSERVATION, note=[{"text": "Q j Q j"}]), '"id":"o1"', '"note":[{"text":"b"}]')
    assert len(rows(take(observed), "Observation")) == 1


def test_of_other_keys_of_an_observation_the_last_counts() -> None:
    """Known and measured (adapter.intake.keys): looking at every key of every result costs more than all of intake."""
    line = line_of(OBSERVATION)[:-1] + b',"status":"entered-in-error"}'
    assert rows(take(line), "Observation")[0]["status"] == "entered-in-error"


def test_quantities_in_extensions_and_components_are_no_doubles() -> None:
    part = {"code": {"text": "x"}, "valueQuantity": {"value": 1}}
    whole = changed(
        OBSERVATION,
        component=[part, part],
        extension=[{"url": "u", "valueQuantity": {"value": 2}}],
        note=[{"text": "Qj"}],
    )
    taken = take(whole)
    assert not taken.rejects
    assert len(rows(taken, "Observation")) == 3


def test_bad_bytes_and_deep_nesting_in_what_is_not_read_hurt_nobody() -> None:
    deep = b"[" * 400 + b"]" * 400
    for resource in (PROCEDURE, OBSERVATION):
        line = line_of(changed(resource, note="#")).replace(b'"#"', b'{"text":"\xff Qj","subject":1,"x":' + deep + b"}")
        taken = take(line)
        assert not taken.rejects
        assert len(taken.links) == 1


# --- characters that no dataset can hold -----------------------------------------------------------------------------


def test_control_characters_become_blanks_and_are_told() -> None:
    taken = take(
        changed(PROCEDURE, code={"text": "a\x00b\x1fc\n\uffff"}, reasonCode=[{"text": "x\ty"}]),
        PROCEDURE,
        changed(OBSERVATION, code={"text": "a\x00b"}),
    )
    first, other = rows(taken, "Procedure")
    assert picked(first, "code_text", "indication", "notes") == ("a b c  ", "x y", "control-character@string")
    assert other["notes"] is None
    (result,) = rows(taken, "Observation")
    assert picked(result, "code_text", "notes") == ("a b", "control-character@string")


def test_numbers_of_any_size_in_what_is_not_read() -> None:
    line = line_of(changed(PROCEDURE, note="#")).replace(b'"#"', b'{"x":' + b"9" * 5000 + b',"y":1e999,"z":-0}')
    assert len(rows(take(line), "Procedure")) == 1


def test_a_key_that_is_no_element_is_not_named() -> None:
    """A key that stands twice may be anything, also a name."""
    line = line_of(changed(ADMINISTRATION, dosage={"text": "x"})).replace(b'"text":"x"', b'"Zhang":1,"Zhang":2')
    taken = take(line)
    assert [(r.reason, r.where) for r in taken.rejects] == [("element-twice", "dosage")]


def test_a_research_subject_of_r5_with_a_broken_subject() -> None:
    """Found by the fuzz: `subject` took the place of `individual`."""
    r5 = changed(RESEARCH_SUBJECT, individual=..., subject={"reference": {"valueInteger": "final "}})
    taken = take(r5)
    assert [(r.reason, r.where) for r in taken.rejects] == [("element-wrong-type", "subject")]

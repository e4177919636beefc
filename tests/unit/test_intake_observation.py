"""Intake of Observations, and of lines as such: what is picked, what is rejected and how, who leaves no trace."""

from __future__ import annotations

import copy
import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.reasons import REASONS
from tests.lines import (
    ADMINISTRATION,
    ALL,
    CONSENT,
    KEYER,
    LOINC,
    OBSERVATION,
    PATIENT,
    PROCEDURE,
    SPECIMEN,
    STRANGER,
    SUBJECT,
    Json,
    balanced,
    changed,
    day,
    line_of,
    of_stranger,
    picked,
    row,
    rows,
    take,
)

UCUM = "http://unitsofmeasure.org"


def obs(**elements: Any) -> Json:
    return changed(OBSERVATION, **elements)


def test_provenance() -> None:
    meta = {"versionId": "7", "lastUpdated": "2024-01-02T01:00:00.5+08:00"}
    line = line_of(obs(meta=meta))
    taken = take(obs(id="before"), line)
    (_, found) = rows(taken, "Observation")
    # 2024-01-01T17:00:00.5Z
    updated = (day("2024-01-01") * 86_400 + 17 * 3600) * 1_000_000 + 500_000
    assert picked(found, "pat", "rid", "updated", "version", "file", "line", "status", "element", "notes") == (
        KEYER.keyed("Patient/s"), KEYER.keyed("Observation/o1"), updated, "7", 3, 12, "final", "", None,
    )  # fmt: skip
    assert len(found["sha"]) == 16
    assert list(taken.links) == [
        (KEYER.keyed("Observation/before"), "Observation/before", KEYER.keyed(SUBJECT)),
        (KEYER.keyed("Observation/o1"), "Observation/o1", KEYER.keyed(SUBJECT)),
    ]
    assert taken.read == {"Observation": 2}
    assert not taken.dropped


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_has_one_fingerprint_however_it_ends(end: bytes) -> None:
    (found,) = rows(take(line_of(OBSERVATION) + end.rstrip(b"\n")), "Observation")
    assert found["sha"] == rows(take(OBSERVATION), "Observation")[0]["sha"]
    assert found["sha"] != sha256(b"").digest()[:16]


# --- the columns -----------------------------------------------------------------------------------------------------

TIMES: dict[str, tuple[Json, tuple[Any, ...]]] = {
    "instant moves the day": ({}, ("2024-01-02T07:30:00", day("2024-01-02"), None, None, None)),
    "offset of the site": (
        {"effectiveDateTime": "2024-02-29T00:00:00+08:00"},
        ("2024-02-29T00:00:00", day("2024-02-29"), None, None, None),
    ),
    "without offset: site time": (
        {"effectiveDateTime": "2024-02-29T23:59"},
        ("2024-02-29T23:59", day("2024-02-29"), None, None, None),
    ),
    "date": ({"effectiveDateTime": "2024-02-29"}, ("2024-02-29", day("2024-02-29"), None, None, None)),
    "month": ({"effectiveDateTime": "2024-02"}, ("2024-02", None, None, None, None)),
    "year": ({"effectiveDateTime": "2024"}, ("2024", None, None, None, None)),
    "period": (
        {"effectiveDateTime": ..., "effectivePeriod": {"start": "2024-01-01T16:00:00Z", "end": "2024-01-03"}},
        ("2024-01-02T00:00:00", day("2024-01-02"), "2024-01-03", day("2024-01-03"), None),
    ),
    "instant element": (
        {"effectiveDateTime": ..., "effectiveInstant": "2024-01-01T16:00:00.123Z"},
        ("2024-01-02T00:00:00", day("2024-01-02"), None, None, None),
    ),
    "only issued": (
        {"effectiveDateTime": ..., "issued": "2024-01-01T16:00:00Z"},
        ("2024-01-02T00:00:00", day("2024-01-02"), None, None, "date-from-issued@issued"),
    ),
    "issued never replaces a date": (
        {"effectiveDateTime": "2024", "issued": "2024-05-01T16:00:00Z"},
        ("2024", None, None, None, None),
    ),
    "no such day": (
        {"effectiveDateTime": "2023-02-29", "issued": "2024-05-01T16:00:00Z"},
        (None, None, None, None, "date-malformed@effectiveDateTime"),
    ),
    "malformed end": (
        {"effectiveDateTime": ..., "effectivePeriod": {"start": "2024-01-02", "end": "soon"}},
        ("2024-01-02", day("2024-01-02"), None, None, "date-malformed@effectivePeriod.end"),
    ),
    "absent by extension": (
        {"effectiveDateTime": ..., "_effectiveDateTime": {"extension": [{"url": "data-absent-reason"}]}},
        (None, None, None, None, None),
    ),
    "timing is no date": ({"effectiveDateTime": ..., "effectiveTiming": {"event": ["2024-01-02"]}}, (None,) * 5),
}


@pytest.mark.parametrize("name", TIMES)
def test_times(name: str) -> None:
    change, expected = TIMES[name]
    assert picked(row(obs(**change)), "dtc", "day", "end_dtc", "end_day", "notes") == expected


VALUE = ("kind", "value", "value_code", "comparator", "unit_code", "unit_system", "unit_text", "absent")
NOTHING = (None,) * 8
VALUES: dict[str, tuple[Json, tuple[Any, ...]]] = {
    "none": ({}, NOTHING),
    "string": ({"valueString": " <10 IU/mL "}, ("string", "<10 IU/mL", *NOTHING[2:])),
    "full width": ({"valueString": "＞1000"}, ("string", "＞1000", *NOTHING[2:])),
    "line separators inside a string": (
        {"valueString": "a\u2028b\u0085c"},
        ("string", "a\u2028b\u0085c", *NOTHING[2:]),
    ),
    "concept": (
        {"valueCodeableConcept": {"coding": [{"system": "s", "code": "1"}, {"code": "2"}], "text": "阳性"}},
        ("concept", "阳性", "s|1\n|2", *NOTHING[3:]),
    ),
    "concept, text only": (
        {"valueCodeableConcept": {"text": "GT 45"}},
        ("concept", "GT 45", *NOTHING[2:]),
    ),
    "concept, display": (
        {"valueCodeableConcept": {"coding": [{"code": "1", "display": "Positive"}]}},
        ("concept", "Positive", "|1", *NOTHING[3:]),
    ),
    "integer": ({"valueInteger": 3}, ("integer", "3", *NOTHING[2:])),
    "boolean": ({"valueBoolean": False}, ("boolean", "false", *NOTHING[2:])),
    "range": ({"valueRange": {"low": {"value": 1}}}, ("other", *NOTHING[1:])),
    "ratio": ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}, ("other", *NOTHING[1:])),
    "absent": (
        {"dataAbsentReason": {"coding": [{"system": "x", "code": "not-performed"}]}},
        (*NOTHING[:7], "not-performed"),
    ),
    "absent by text": ({"dataAbsentReason": {"text": "haemolysed"}}, (*NOTHING[:7], "haemolysed")),
    "absent without a word": ({"dataAbsentReason": {}}, (*NOTHING[:7], "unknown")),
    "quantity without value": (
        {"valueQuantity": {"unit": "g/L", "_value": {"extension": [{"url": "data-absent-reason"}]}}},
        (None, None, None, None, None, None, "g/L", None),
    ),
    "quantity and absent": (
        {"valueQuantity": {"value": 1.0, "code": "%"}, "dataAbsentReason": {"text": "error"}},
        ("quantity", "1.0", None, None, "%", None, None, "error"),
    ),
    "comparator": (
        {"valueQuantity": {"value": 0.5, "comparator": "<", "unit": "个/L"}},
        ("quantity", "0.5", None, "<", None, None, "个/L", None),
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    change, expected = VALUES[name]
    assert picked(row(obs(valueQuantity=...) | change), *VALUE) == expected


@pytest.mark.parametrize("kind", ["valueSampledData", "valueTime", "valueDateTime", "valuePeriod"])
def test_a_value_of_a_type_that_is_not_read_is_no_missing_value(kind: str) -> None:
    value = {"valueSampledData": {"period": 1}, "valuePeriod": {"start": "2024"}}.get(kind, "2024-01-01")
    assert row(obs(valueQuantity=..., **{kind: value}))["kind"] == "other"


@pytest.mark.parametrize("number", ["4.10", "0", "-0.0", "1.0E3", "1e-7", "100.000", "1" * 40, "0." + "1" * 39])
def test_decimals_keep_every_digit(number: str) -> None:
    line = line_of(obs(valueQuantity={"value": "#"})).replace(b'"#"', number.encode())
    (found,) = rows(take(line), "Observation")
    assert found["value"] == number


def test_what_else_is_picked() -> None:
    found = row(
        obs(
            code={
                "coding": [
                    {"system": LOINC, "code": "777-3", "display": "Platelets"},
                    {"system": "urn:lis", "code": "PLT"},
                ],
                "text": "血小板计数",
            },
            category=[{"coding": [{"system": "c", "code": "laboratory"}]}, {"coding": [{"code": "x"}]}],
            interpretation=[{"coding": [{"code": "L"}]}],
            referenceRange=[
                {"low": {"value": 125, "unit": "10^9/L"}, "high": {"value": 350.0, "code": "10*9/L"}, "text": "t"}
            ],
            method={"coding": [{"code": "m", "display": "Impedance"}]},
            specimen={"reference": "Specimen/sp"},
            hasMember=[{"reference": "Observation/o2"}],
            focus=[{"reference": "Patient/donor"}],
        )
    )
    names = ("code", "code_text", "category", "interpretation", "low", "high", "low_unit", "high_unit", "range_text")
    assert picked(found, *names) == (
        f"{LOINC}|777-3\nurn:lis|PLT", "血小板计数", "laboratory\nx", "L", "125", "350.0", "10^9/L", "10*9/L", "t",
    )  # fmt: skip
    assert picked(found, "method", "specimen", "focus", "members") == (
        "Impedance",
        KEYER.keyed("Specimen/sp"),
        True,
        True,
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ({"text": "ANC"}, (None, "ANC")),
        ({"text": "  ", "coding": [{"code": "1"}]}, ("|1", "1")),
        ({"coding": [{"system": "s"}, {"system": "s", "code": "2", "display": "two"}]}, ("s|2", "two")),
    ],
)
def test_codes(code: Json, expected: tuple[str | None, str]) -> None:
    assert picked(row(obs(code=code)), "code", "code_text") == expected


@pytest.mark.parametrize(
    ("ranges", "expected", "notes"),
    [
        ([], (None, None, None), None),
        ([{"text": "阴性"}], (None, None, "阴性"), None),
        ([{"low": {"value": 1}}, {"high": {"value": 2}}], (None, None, None), None),  # which one applies is not known
        (
            [{"low": {"value": "1.5"}, "high": {"value": 2}}],
            (None, "2", None),
            "decimal-dropped@referenceRange.low.value",
        ),
    ],
)
def test_ranges(ranges: list[Json], expected: tuple[str | None, ...], notes: str | None) -> None:
    found = row(obs(referenceRange=ranges))
    assert (picked(found, "low", "high", "range_text"), found["notes"]) == (expected, notes)


def test_notes_stand_at_every_row_whose_element_says_the_same() -> None:
    """The second occurrence is read from memory: its note must not be lost, nor wander to another row."""
    bad = {"referenceRange": [{"high": {"value": "x"}}], "effectiveDateTime": "2024-13-01"}
    taken = take(obs(id="1"), obs(id="2", **bad), obs(id="3"), obs(id="4", **bad), ADMINISTRATION)
    notes = [r["notes"] for r in rows(taken, "Observation")]
    both = {"date-malformed@effectiveDateTime", "decimal-dropped@referenceRange.high.value"}
    assert [set(n.split("\n")) if n else set() for n in notes] == [set(), both, set(), both]
    assert rows(taken, "MedicationAdministration")[0]["notes"] is None


# --- panels ----------------------------------------------------------------------------------------------------------

PART = {"code": {"text": "SYS"}, "valueQuantity": {"value": 120, "unit": "mmHg"}}


def test_a_panel_gives_a_row_for_itself_and_one_for_each_component() -> None:
    absent = {"code": {"text": "DIA"}, "dataAbsentReason": {"text": "not measured"}}
    taken = take(obs(valueQuantity=..., component=[PART, absent]))
    found = rows(taken, "Observation")
    names = ("element", "kind", "value", "absent", "code_text", "members", "dtc", "line")
    assert [picked(r, *names) for r in found] == [
        ("", None, None, None, "777-3", True, "2024-01-02T07:30:00", 11),
        ("component[0]", "quantity", "120", None, "SYS", False, "2024-01-02T07:30:00", 11),
        ("component[1]", None, None, "not measured", "DIA", False, "2024-01-02T07:30:00", 11),
    ]
    assert len({r["rid"] for r in found}) == len({r["sha"] for r in found}) == 1
    assert taken.read == {"Observation": 1}
    assert len(taken.links) == 1


@pytest.mark.parametrize(
    ("part", "reason", "where"),
    [
        ({"valueString": "x"}, "no-code", "component[1].code"),
        (PART | {"modifierExtension": [{"url": "u"}]}, "held-back-modifier", "component[1]"),
        (PART | {"valueString": "x"}, "two-values", "component[1].value[x]"),
        (
            {"code": {"text": "x"}, "valueQuantity": {"value": "1"}},
            "decimal-malformed",
            "component[1].valueQuantity.value",
        ),
    ],
)
def test_a_bad_component_takes_the_whole_panel_with_it(part: Json, reason: str, where: str) -> None:
    taken = take(obs(component=[PART, part]))
    assert not taken.tables
    assert not taken.links
    assert [(r.reason, r.where) for r in taken.rejects] == [(reason, where)]
    balanced(taken)


# --- rejects ---------------------------------------------------------------------------------------------------------

WRONG = "element-wrong-type"
REJECTS: dict[str, tuple[Json, str, str]] = {
    "no id": (obs(id=...), "no-id", "id"),
    "empty id": (obs(id=""), "no-id", "id"),
    "no status": (obs(status=...), "no-status", "status"),
    "unknown status": (obs(status="finished"), "no-status", "status"),
    "status in capitals": (obs(status="FINAL"), "no-status", "status"),
    "modifier": (
        obs(modifierExtension=[{"url": "u", "valueBoolean": True}]),
        "held-back-modifier",
        "modifierExtension",
    ),
    "implicit rules": (obs(implicitRules="http://rules"), "held-back-modifier", "implicitRules"),
    "no code": (obs(code=...), "no-code", "code"),
    "empty code": (obs(code={"coding": [{"display": ""}]}), "no-code", "code"),
    "two values": (obs(valueString="x"), "two-values", "value[x]"),
    "number as string": (obs(valueQuantity={"value": "4.1"}), "decimal-malformed", "valueQuantity.value"),
    "true as number": (obs(valueQuantity={"value": True}), "decimal-malformed", "valueQuantity.value"),
    "41 digits": (obs(valueQuantity={"value": int("1" * 41)}), "decimal-malformed", "valueQuantity.value"),
    "integer as string": (obs(valueQuantity=..., valueInteger="4"), "decimal-malformed", "valueInteger"),
    "status is a number": (obs(status=5), WRONG, "status"),
    "value is an array": (obs(valueQuantity=[1]), WRONG, ""),
    "string is a number": (obs(valueQuantity=..., valueString=5), WRONG, "valueString"),
    "code is a string": (obs(code="777-3"), WRONG, ""),
    "null in an array": (obs(code={"coding": [None]}), WRONG, "coding[0]"),
    "date is a number": (obs(effectiveDateTime=20240101), WRONG, "effectiveDateTime"),
    "component is an object": (obs(component={}), WRONG, "component"),
    "meta is a string": (obs(meta="x"), WRONG, "meta"),
    "administration without drug": (changed(ADMINISTRATION, medicationCodeableConcept=...), "no-code", "medication[x]"),
    "administration planned": (changed(ADMINISTRATION, status="preparation"), "no-status", "status"),
    "procedure without code": (changed(PROCEDURE, code={}), "no-code", "code"),
    "specimen with a strange status": (changed(SPECIMEN, status="final"), "no-status", "status"),
    "consent without status": (changed(CONSENT, status=...), "no-status", "status"),
    "patient with a modifier": (changed(PATIENT, modifierExtension=[{}]), "held-back-modifier", "modifierExtension"),
    "patient with a wrong type": (changed(PATIENT, birthDate=19800229), WRONG, "birthDate"),
}


@pytest.mark.parametrize("name", REJECTS)
def test_one_reject_with_its_place_and_no_content(name: str) -> None:
    resource, reason, where = REJECTS[name]
    kind = resource["resourceType"]
    first = line_of(changed(SPECIMEN, id="fine"))
    taken = take(first, resource, changed(SPECIMEN, id="fine too"))
    (reject,) = taken.rejects
    assert (reject.file, reject.line, reject.offset) == (3, 12, 700 + len(first) + 1)
    assert (reject.reason, reject.resource_type) == (reason, kind)
    assert reject.where == where if where else len(reject.where) < 60
    known = KEYER.keyed(f"{kind}/{resource['id']}") if resource.get("id") else None
    assert reject.rid == known
    assert taken.dropped == {(kind, reason): 1}
    assert [r["id"] for r in ({"id": i.split("/")[1]} for _, i, _ in taken.links)] == ["fine", "fine too"]
    balanced(taken)


@pytest.mark.parametrize("name", REJECTS)
def test_the_same_about_a_stranger_leaves_a_count_and_nothing_else(name: str) -> None:
    resource, _, _ = REJECTS[name]
    taken = take(of_stranger(resource))
    kept = [] if resource["resourceType"] != "Specimen" or not resource.get("id") else ["Specimen"]  # its keyed id only
    assert (taken.rejects, list(taken.tables), list(taken.links)) == ([], kept, [])
    assert taken.dropped == {(resource["resourceType"], "not-a-subject"): 1}
    balanced(taken)


def test_a_wrong_type_in_the_id_of_a_strangers_resource_leaves_no_trace() -> None:
    taken = take(of_stranger(obs(id=5)))
    assert (taken.rejects, taken.dropped) == ([], {("Observation", "not-a-subject"): 1})


@pytest.mark.parametrize("resource", ALL, ids=[r["resourceType"] for r in ALL])
def test_strangers_leave_a_count_and_nothing_else(resource: Json) -> None:
    taken = take(of_stranger(resource), of_stranger(PATIENT))
    if resource["resourceType"] == "Specimen":  # of which only the keyed id is kept: results of it are nobody's here
        only = taken.tables.pop("Specimen").to_pylist()[0]
        rid = KEYER.keyed(f"Specimen/{resource['id']}")
        assert {k for k, v in only.items() if v} == {"pat", "rid", "sha", "file", "line"}
        assert (only["pat"], only["rid"], only["sha"]) == (rid, rid, bytes(16))
        taken.groups.clear()
    assert (taken.rejects, taken.tables, taken.groups, list(taken.links)) == ([], {}, {}, [])
    assert taken.dropped == {(resource["resourceType"], "not-a-subject"): 1, ("Patient", "not-a-subject"): 1}
    assert taken.read == {resource["resourceType"]: 1, "Patient": 1}


@pytest.mark.parametrize("blank", ["final ", " final", "final\t"])
def test_a_blank_around_a_status_is_no_other_status(blank: str) -> None:
    assert row(obs(status=blank))["status"] == "final"


SECRET = "Zhang"
BROKEN: dict[str, tuple[bytes, str]] = {
    "truncated": (line_of(obs(valueString=SECRET))[:-20], "json-broken"),
    "garbage behind": (line_of(obs(id=SECRET)) + b"x", "json-broken"),
    "two objects": (line_of(obs(id=SECRET)) * 2, "json-broken"),
    "text": (SECRET.encode(), "json-broken"),
    "NaN": (line_of(obs(id=SECRET)).replace(b'"value":20', b'"value":NaN'), "json-broken"),
    "lone surrogate": (line_of(obs(id=SECRET)).replace(b"final", b"\\ud800"), "json-broken"),
    "no UTF-8 in id": (line_of(obs(id=SECRET)).replace(b"Zhang", b"Zhang\xff"), "json-broken"),
    "no UTF-8 in code": (line_of(obs(id=SECRET)).replace(b"777-3", b"\xff"), "json-broken"),
    "GB18030": (
        json.dumps(obs(id=SECRET, code={"text": "血小板"}), ensure_ascii=False).encode("gb18030"),
        "json-broken",
    ),
    "UTF-16": (json.dumps(obs(id=SECRET)).encode("utf-16"), "json-broken"),
    "deep nesting": (line_of(obs(id=SECRET))[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json-broken"),
    "deep nesting of a type not read": (b'{"id":"Zhang","x":' + b"[" * 100_000, "json-broken"),
    "array": (json.dumps([SECRET]).encode(), "json-broken"),
    "string": (json.dumps(SECRET).encode(), "json-broken"),
    "null": (b"null", "json-broken"),
    "type missing": (line_of(obs(resourceType=..., id=SECRET)), "no-resource-type"),
    "type null": (line_of(obs(resourceType=None, id=SECRET)), "no-resource-type"),
    "type empty": (line_of(obs(resourceType="", id=SECRET)), "no-resource-type"),
    "type is a sentence": (line_of(obs(resourceType="Zhang was here")), "no-resource-type"),
    "type is a number": (line_of(obs(resourceType=5, id=SECRET)), "element-wrong-type"),
    "type is an array": (line_of(obs(resourceType=[SECRET])), "element-wrong-type"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_line_that_cannot_be_read_is_told_by_its_place_only(name: str) -> None:
    line, reason = BROKEN[name]
    taken = take(OBSERVATION, line, obs(id="o2"))
    (reject,) = taken.rejects
    assert (reject.file, reject.line, reject.reason, reject.rid) == (3, 12, reason, None)
    assert SECRET not in repr((taken.rejects, taken.read, taken.dropped))
    assert len(rows(taken, "Observation")) == 2
    balanced(taken)


def test_empty_lines_are_no_lines() -> None:
    taken = take(b"", OBSERVATION, b"  ", b"\t\r", b"\r", obs(id="o2"))
    assert taken.read == {"Observation": 2}
    assert [r["line"] for r in rows(taken, "Observation")] == [12, 16]
    assert not taken.rejects


def test_a_truncated_last_line_does_not_hurt_those_before() -> None:
    taken = take(OBSERVATION, line_of(obs(id="o2"))[:50])
    assert len(rows(taken, "Observation")) == 1
    assert [r.reason for r in taken.rejects] == ["json-broken"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"resourceType":"Encounter","id":"e","subject":{"reference":"Patient/s"}}',
        b'{ "id": "e", "resourceType": "Encounter" }',
        b'{"resourceType":"Enc\\u006funter","id":"e"}',
        b'{"resourceType":"Unheard","id":"e"}',
    ],
)
def test_types_that_no_domain_reads_are_counted(line: bytes) -> None:
    taken = take(line)
    ((kind, reason),) = taken.dropped
    assert kind in ("Encounter", "Unheard")
    assert reason == "type-not-read"
    assert not taken.rejects


def test_look_ups_are_read_and_are_no_loss() -> None:
    taken = take({"resourceType": "Medication", "id": "m"}, {"resourceType": "BiologicallyDerivedProduct", "id": "b"})
    assert (taken.read, taken.dropped) == ({"Medication": 1, "BiologicallyDerivedProduct": 1}, {})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"resourceType":"Medication","id":"m","code":{"text":"Zh', "json-broken"),
        (b'{"resourceType":"Medication","id":"m","code":"Zhang"}', "element-wrong-type"),
        (b'{"resourceType":"BiologicallyDerivedProduct","id":"b","identifier":{}}', "element-wrong-type"),
    ],
)
def test_a_broken_look_up_is_reported_by_its_place(line: bytes, reason: str) -> None:
    """Identification passes over it, so a lot number would be lost without a word."""
    taken = take(OBSERVATION, line)
    assert [(r.line, r.reason, r.rid) for r in taken.rejects] == [(12, reason, None)]
    assert [n for (kind, r), n in taken.dropped.items() if r == reason] == [1]
    assert "Zh" not in repr(taken.rejects)


def test_copies_all_stay_for_the_step_that_knows_them_all() -> None:
    taken = take(OBSERVATION, OBSERVATION, obs(status="corrected"))
    assert [r["line"] for r in rows(taken, "Observation")] == [11, 12, 13]
    assert len({r["sha"] for r in rows(taken, "Observation")}) == 2


def test_of_an_element_given_twice_the_last_one_counts() -> None:
    line = line_of(OBSERVATION)[:-1] + b',"status":"entered-in-error"}'
    assert rows(take(line), "Observation")[0]["status"] == "entered-in-error"


# --- whose it is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "result"),
    [
        ({"reference": "Patient/s"}, "kept"),
        ({"reference": "Patient/s/_history/3"}, "kept"),
        ({"reference": "http://server/fhir/Patient/s"}, "kept"),
        ({"reference": "https://server:8080/a/b/Patient/s/_history/1", "display": "Zhang"}, "kept"),
        ({"reference": "Patient/x"}, "not-a-subject"),
        ({"reference": "Patient/S"}, "not-a-subject"),
        ({"reference": "Group/s"}, "not-a-subject"),
        ({"reference": "http://server/fhir/Device/s"}, "not-a-subject"),
        ({"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}, "not-a-subject"),
        ({}, "no-subject"),
        ({"display": "Zhang"}, "no-subject"),
        ({"identifier": {"system": "urn:mrn", "value": "1"}}, "subject-unresolved"),
        # references that name nobody one can look up: told apart from patients who are no subjects
        ({"reference": ""}, "no-subject"),
        ({"reference": "s"}, "no-subject"),
        ({"reference": "#p"}, "no-subject"),
        ({"reference": "Patient?identifier=urn:mrn|1"}, "subject-unresolved"),
        ({"reference": "Patient?identifier=1"}, "no-subject"),  # of any system: names nobody for certain
        ({"reference": "Patient?name=Zhang"}, "no-subject"),
        ({"reference": "Patient/"}, "no-subject"),
    ],
)
def test_references(subject: Json, result: str) -> None:
    taken = take(obs(subject=subject))
    assert len(rows(taken, "Observation")) == (result == "kept")
    assert [r for _, r in taken.dropped] == ([] if result == "kept" else [result])
    assert [(r.reason, r.rid) for r in taken.rejects] == (
        [(result, None)] if result in ("no-subject", "subject-unresolved") else []
    )
    balanced(taken)


def test_nobodys_resource_names_nobody() -> None:
    taken = take(obs(subject=...))
    assert [(r.reason, r.rid, r.where) for r in taken.rejects] == [("no-subject", None, "")]


def test_an_id_cannot_smuggle_in_another_patient() -> None:
    taken = take(changed(PATIENT, id='x","reference":"Patient/s'))
    assert not taken.tables
    assert not taken.links


def test_the_number_of_rows_in_a_batch_does_not_matter() -> None:
    """More rows than are held at once, panels among them: every row keeps its own values."""
    lines = [obs(id=f"o{i}", valueQuantity={"value": i}, component=[PART] if i % 3 == 0 else ...) for i in range(5000)]
    found = rows(take(*lines), "Observation")
    values = [int(r["value"]) for r in found if r["element"] == ""]
    assert values == list(range(5000))
    assert sum(r["element"] == "component[0]" for r in found) == 1667
    assert all(r["rid"] == KEYER.keyed(f"Observation/o{r['line'] - 11}") for r in found[:50])


# --- anything goes in ------------------------------------------------------------------------------------------------

RICH = (
    obs(
        meta={"versionId": "1", "lastUpdated": "2024-01-02T00:00:00Z"},
        component=[PART],
        referenceRange=[{"low": {"value": 1}, "high": {"value": 2}}],
        interpretation=[{"coding": [{"code": "L"}]}],
        specimen={"reference": "Specimen/sp"},
    ),
    changed(
        ADMINISTRATION,
        dosage={"dose": {"value": 1, "unit": "mg"}, "route": {"text": "iv"}, "rateQuantity": {"value": 2}},
        contained=[{"resourceType": "Medication", "id": "m", "code": {"text": "x"}, "batch": {"lotNumber": "L"}}],
        medicationReference={"reference": "#m"},
        statusReason=[{"text": "x"}],
    ),
    changed(PROCEDURE, extension=[{"url": "u", "valueQuantity": {"value": 1}}], performedPeriod={"start": "2024"}),
    changed(
        PATIENT, deceasedDateTime="2024-01-01", link=[{"other": {"reference": "Patient/b"}, "type": "replaced-by"}]
    ),
    changed(SPECIMEN, collection={"collectedDateTime": "2024-01-01"}),
    *ALL,
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.just([]), st.just({}), st.just([None]),
    st.sampled_from(["2024-02-30", "\ud800", "9" * 60, 10**400, [[[]]], {"reference": "Patient/s"}, "0000-01-01"]),
)  # fmt: skip


def _places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [p for k, v in inner for p in ((*at, k), *_places(v, (*at, k)))]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    resource = json.loads(json.dumps(draw(st.sampled_from(RICH))))
    if draw(st.booleans()):
        resource = of_stranger(resource)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(_places(resource) or [("id",)]))
        node = resource
        for step in place[:-1]:
            node = node[step]
        if draw(st.integers(0, 4)) == 0:
            del node[place[-1]]
        else:
            node[place[-1]] = copy.deepcopy(draw(SCALARS))
    line = json.dumps(resource, separators=(",", ":") if draw(st.booleans()) else None).encode()
    if draw(st.integers(0, 3)) == 0:  # and damage on the wire
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.binary(max_size=3)).replace(b"\n", b"") + line[at + draw(st.integers(0, 3)) :]
    return line


@settings(max_examples=400, deadline=None)
@given(st.lists(mutated(), min_size=1, max_size=5))
def test_nothing_raises_and_the_counts_balance(lines: list[bytes]) -> None:
    taken = take(*lines)
    balanced(taken)
    assert sum(taken.read.values()) == sum(bool(line.strip()) for line in lines)
    assert {r for _, r in taken.dropped} <= set(REASONS)
    assert all(REASONS[r.reason].kind == "reject" and r.reason in {d for _, d in taken.dropped} for r in taken.rejects)
    rejected = sum(n for (_, reason), n in taken.dropped.items() if REASONS[reason].kind == "reject")
    assert rejected == len(taken.rejects)
    for kind in taken.tables:
        for r in rows(taken, kind):
            assert r["pat"] == KEYER.keyed(SUBJECT) or (kind == "Specimen" and r["pat"] == r["rid"])
    for _, name, patient in taken.links:
        assert patient == KEYER.keyed(SUBJECT)
        assert name != STRANGER


@pytest.mark.parametrize("more", [[], [{"system": "urn:b", "code": "2"}]])
def test_a_line_feed_in_a_code_makes_no_second_code(more: list[Json]) -> None:
    code = {"coding": [{"system": "urn:a\n", "code": "1\n2"}, *more]}
    assert row(changed(OBSERVATION, code=code))["code"].split("\n") == ["urn:a |1 2", *["urn:b|2" for _ in more]]

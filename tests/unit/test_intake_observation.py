"""Intake of Observations, and of lines as such: what is picked, what is rejected and how, who leaves no trace."""

from __future__ import annotations

import copy
import json
import re
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

WRONG = "element-wrong-type"
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

HL7 = "http://hl7.org/fhir/StructureDefinition/"
UNDATED = "date-missing@effective[x]"
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
        (None, None, None, None, UNDATED),
    ),
    "absent by extension: no date of issue instead": (
        {
            "effectiveDateTime": ...,
            "_effectiveDateTime": {"extension": [{"url": f"{HL7}data-absent-reason", "valueCode": "unknown"}]},
            "issued": "2024-01-01T16:00:00Z",
        },
        (None, None, None, None, UNDATED),
    ),
    "another extension beside no date": (
        {
            "effectiveDateTime": ...,
            "_effectiveDateTime": {"extension": [{"url": "x"}]},
            "issued": "2024-01-01T16:00:00Z",
        },
        ("2024-01-02T00:00:00", day("2024-01-02"), None, None, "date-from-issued@issued"),
    ),
    "an extension beside a date": (
        {"effectiveDateTime": "2024-01-02", "_effectiveDateTime": {"extension": [{"url": "data-absent-reason"}]}},
        ("2024-01-02", day("2024-01-02"), None, None, None),
    ),
    "null": (
        {"effectiveDateTime": None, "issued": "2024-01-01T16:00:00Z"},
        ("2024-01-02T00:00:00", day("2024-01-02"), None, None, "date-from-issued@issued"),
    ),
    "nothing": ({"effectiveDateTime": ...}, (None, None, None, None, UNDATED)),
    "empty period": ({"effectiveDateTime": ..., "effectivePeriod": {}}, (None, None, None, None, UNDATED)),
    "timing is no date": (
        {"effectiveDateTime": ..., "effectiveTiming": {"event": ["2024-01-02"]}},
        (None, None, None, None, UNDATED),
    ),
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
    "titre": (
        {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}},
        ("text", "1:128", *NOTHING[2:]),
    ),
    "ratio with comparator, digits and units": (
        {
            "valueRatio": {
                "numerator": {"value": "#4.10", "comparator": "<", "unit": "mg"},
                "denominator": {"value": 1, "code": "mmol"},
            }
        },
        ("text", "<4.10 mg:1 mmol", *NOTHING[2:]),
    ),
    "ratio of nothing": ({"valueRatio": {}}, NOTHING),
    "range": (
        {"valueRange": {"low": {"value": 3, "unit": "/HPF"}, "high": {"value": "#5.0", "unit": "/HPF"}}},
        ("range", "3-5.0", None, None, None, None, "/HPF", None),
    ),
    "range below zero": (
        {"valueRange": {"low": {"value": -3}, "high": {"value": -1}}},
        ("range", "-3 - -1", *NOTHING[2:]),
    ),
    "range of two units": (
        {"valueRange": {"low": {"value": 900, "unit": "mg"}, "high": {"value": 1, "unit": "g"}}},
        ("text", "900 mg - 1 g", *NOTHING[2:]),
    ),
    "range without an end": (
        {"valueRange": {"low": {"value": 1, "unit": "mg", "code": "mg", "system": "u"}}},
        ("quantity", "1", None, ">=", "mg", "u", "mg", None),
    ),
    "range without a start": ({"valueRange": {"high": {"value": 1}}}, ("quantity", "1", None, "<=", *NOTHING[4:])),
    "range of nothing": ({"valueRange": {}}, NOTHING),
    "time": ({"valueTime": "08:30:00"}, ("text", "08:30:00", *NOTHING[2:])),
    "date stays as it was sent": (
        {"valueDateTime": "2024-01-01T23:30:00Z"},
        ("text", "2024-01-01T23:30:00Z", *NOTHING[2:]),
    ),
    "period": (
        {"valuePeriod": {"start": "2024-01-01", "end": "2024-01-03"}},
        ("text", "2024-01-01/2024-01-03", *NOTHING[2:]),
    ),
    "open period": ({"valuePeriod": {"start": "2024-01-01"}}, ("text", "2024-01-01/..", *NOTHING[2:])),
    "empty string": ({"valueString": " "}, NOTHING),
    "null": ({"valueString": None, "valueQuantity": None, "valueInteger": None, "valueCodeableConcept": None}, NOTHING),
    "line breaks inside a string": ({"valueString": "neg\r\nweak\tpos\n"}, ("string", "neg weak pos", *NOTHING[2:])),
    "concept without a word": ({"valueCodeableConcept": {"coding": [{"system": "s"}]}}, NOTHING),
    "absent": (
        {"dataAbsentReason": {"coding": [{"system": "x", "code": "not-performed"}]}},
        (*NOTHING[:7], "not-performed"),
    ),
    "absent by text": ({"dataAbsentReason": {"text": "haemolysed"}}, (*NOTHING[:7], "haemolysed")),
    "absent without a word": ({"dataAbsentReason": {}}, (*NOTHING[:7], "unknown")),
    "quantity without value": (
        {"valueQuantity": {"unit": "g/L", "_value": {"extension": [{"url": "data-absent-reason"}]}}},
        (None, None, None, None, None, None, "g/L", "unknown"),
    ),
    "quantity absent by extension": (
        {"valueQuantity": {"extension": [{"url": f"{HL7}data-absent-reason", "valueCode": "masked"}]}},
        (*NOTHING[:7], "masked"),
    ),
    "quantity with a null": ({"valueQuantity": {"value": None, "unit": "g/L"}}, (*NOTHING[:6], "g/L", None)),
    "string absent by extension": (
        {"_valueString": {"extension": [{"url": f"{HL7}data-absent-reason", "valueCode": "not-performed"}]}},
        (*NOTHING[:7], "not-performed"),
    ),
    "concept absent by extension": (
        {"valueCodeableConcept": {"extension": [{"url": f"{HL7}data-absent-reason", "valueCode": "error"}]}},
        (*NOTHING[:7], "error"),
    ),
    "boolean absent by extension": (
        {"_valueBoolean": {"extension": [{"url": f"{HL7}data-absent-reason", "valueCode": "asked-unknown"}]}},
        (*NOTHING[:7], "asked-unknown"),
    ),
    "the resource's own reason first": (
        {
            "_valueString": {"extension": [{"url": f"{HL7}data-absent-reason", "valueCode": "unknown"}]},
            "dataAbsentReason": {"coding": [{"code": "error"}]},
        },
        (*NOTHING[:7], "error"),
    ),
    "comparator": (
        {"valueQuantity": {"value": 0.5, "comparator": "<", "unit": "个/L"}},
        ("quantity", "0.5", None, "<", None, None, "个/L", None),
    ),
    "comparator of HL7 v2 that says nothing": (
        {"valueQuantity": {"value": 5, "comparator": "="}},
        ("quantity", "5", *NOTHING[2:]),
    ),
    "comparator of HL7 v2 that bounds nothing": (
        {"valueQuantity": {"value": 5, "comparator": "<>", "unit": "mg/L"}},
        ("text", "<>5 mg/L", *NOTHING[2:]),
    ),
    "comparator in full width": (
        {"valueQuantity": {"value": 5, "comparator": "≥"}},
        ("quantity", "5", None, ">=", *NOTHING[4:]),
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    change, expected = VALUES[name]
    line = re.sub(
        rb'"#([0-9.]+)"', rb"\1", line_of(obs(valueQuantity=...) | change)
    )  # "#5.0" stands for the number 5.0
    (found,) = rows(take(line), "Observation")
    assert picked(found, *VALUE) == expected
    assert found["notes"] is None


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"valueQuantity": {"value": "4.10", "unit": "g/L"}}, "decimal-as-string@valueQuantity.value"),
        ({"valueInteger": "4"}, "decimal-as-string@valueInteger"),
        (
            {"valueQuantity": {"value": 4.1}, "dataAbsentReason": {"text": "error"}},
            "value-and-absent-reason@dataAbsentReason",
        ),
        ({"valueString": "a\x00b\x1bc"}, "control-character@string"),
        (
            {"valueCodeableConcept": {"coding": [None, {"code": "1"}], "text": "x"}},
            "element-dropped@valueCodeableConcept.coding[0]",
        ),
    ],
)
def test_a_value_that_is_used_and_wants_a_look(change: Json, note: str) -> None:
    taken = take(obs(valueQuantity=...) | change, obs(id="o2"), obs(id="o3", valueQuantity=...) | change)
    first, other, again = rows(taken, "Observation")
    assert (first["notes"], other["notes"], again["notes"]) == (note, None, note)
    assert picked(first, *VALUE) == picked(again, *VALUE)
    expected = {"valueQuantity": ("4.10", "4.1"), "valueInteger": ("4",), "valueString": ("a b c",)}
    assert first["value"] in expected.get(next(iter(change)), ("x",))


@pytest.mark.parametrize("kind", ["valueSampledData", "valueAttachment", "valueReference"])
def test_a_value_of_a_type_that_is_not_read_is_no_missing_value(kind: str) -> None:
    assert row(obs(valueQuantity=..., **{kind: {"period": 1}}))["kind"] == "other"


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


BAD_PARTS: dict[str, tuple[Any, str, str]] = {
    "no code": ({"valueString": "x"}, "no-code", "component[1].code"),
    "two values": (PART | {"valueString": "x"}, "two-values", "component[1].value[x]"),
    "no decimal": (
        {"code": {"text": "x"}, "valueQuantity": {"value": "many"}},
        "decimal-malformed",
        "component[1].valueQuantity.value",
    ),
    "comparator": (
        {"code": {"text": "x"}, "valueQuantity": {"value": 1, "comparator": "ad"}},
        "comparator-unknown",
        "component[1].valueQuantity.comparator",
    ),
    "quantity is a number": ({"code": {"text": "x"}, "valueQuantity": 5}, WRONG, "component[1].valueQuantity"),
    "unit is a number": (
        {"code": {"text": "x"}, "valueQuantity": {"value": 5, "unit": 5}},
        WRONG,
        "component[1].valueQuantity.unit",
    ),
    "string is a number": ({"code": {"text": "x"}, "valueString": 5}, WRONG, "component[1].valueString"),
    "code is a string": ({"code": "x", "valueString": "5"}, WRONG, "component[1].code"),
    "no object": (5, WRONG, "component[1]"),
}


@pytest.mark.parametrize("name", BAD_PARTS)
def test_a_bad_component_is_one_reject_and_the_others_stay(name: str) -> None:
    part, reason, where = BAD_PARTS[name]
    taken = take(obs(valueQuantity=..., component=[PART, part, PART]), obs(id="o2"))
    assert [(r.reason, r.where, r.line, r.rid) for r in taken.rejects] == [
        (reason, where, 11, KEYER.keyed("Observation/o1"))
    ]
    found = [picked(r, "line", "element", "kind", "value", "notes") for r in rows(taken, "Observation")]
    assert found == [
        (11, "", None, None, None),
        (11, "component[0]", "quantity", "120", None),
        (11, "component[2]", "quantity", "120", None),
        (12, "", "quantity", "20", None),
    ]
    assert not taken.dropped
    balanced(taken)


@pytest.mark.parametrize("name", BAD_PARTS)
def test_a_bad_component_of_a_stranger_leaves_no_trace(name: str) -> None:
    taken = take(of_stranger(obs(component=[PART, BAD_PARTS[name][0]])), OBSERVATION)
    assert not taken.rejects
    assert taken.dropped == {("Observation", "not-a-subject"): 1}
    assert rows(taken, "Observation")[0]["notes"] is None


def test_a_null_among_the_components_is_noted_and_the_others_keep_their_places() -> None:
    taken = take(obs(component=[None, PART]))
    found = [picked(r, "element", "value", "notes") for r in rows(taken, "Observation")]
    assert not taken.rejects
    assert found == [("", "20", None), ("component[1]", "120", None)]


def test_a_modifier_in_a_component_holds_the_whole_back() -> None:
    """FHIR: a modifier extension changes the element it stands in and may change what contains it."""
    taken = take(obs(component=[PART, PART | {"modifierExtension": [{"url": "u"}]}]))
    assert [(r.reason, r.where) for r in taken.rejects] == [("held-back-modifier", "component[1]")]
    assert not taken.tables
    balanced(taken)


# --- rejects ---------------------------------------------------------------------------------------------------------

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
    "string as number": (obs(valueQuantity={"value": "<4.1"}), "decimal-malformed", "valueQuantity.value"),
    "exponent": (obs(valueQuantity={"value": 1e31}), "decimal-malformed", "valueQuantity.value"),
    "true as number": (obs(valueQuantity={"value": True}), "decimal-malformed", "valueQuantity.value"),
    "41 digits": (obs(valueQuantity={"value": int("1" * 41)}), "decimal-malformed", "valueQuantity.value"),
    "integer as text": (obs(valueQuantity=..., valueInteger="four"), "decimal-malformed", "valueInteger"),
    "comparator of R5": (
        obs(valueQuantity={"value": 4, "comparator": "ad"}),
        "comparator-unknown",
        "valueQuantity.comparator",
    ),
    "half a ratio": (
        obs(valueQuantity=..., valueRatio={"numerator": {"value": 1}}),
        "value-type-not-read",
        "valueRatio",
    ),
    "modifier in a range": (
        obs(referenceRange=[{"text": "x"}, {"text": "y", "modifierExtension": [{"url": "u"}]}]),
        "held-back-modifier",
        "referenceRange[1]",
    ),
    "reason is a word": (obs(valueQuantity=..., dataAbsentReason="unknown"), WRONG, "dataAbsentReason"),
    "status is a number": (obs(status=5), WRONG, "status"),
    "value is an array": (obs(valueQuantity=[1]), WRONG, "valueQuantity"),
    "value is a number": (obs(valueQuantity=4), WRONG, "valueQuantity"),
    "unit is a number": (obs(valueQuantity={"value": 4, "unit": 5}), WRONG, "valueQuantity.unit"),
    "string is a number": (obs(valueQuantity=..., valueString=5), WRONG, "valueString"),
    "code is a string": (obs(code="777-3"), WRONG, "code"),
    "code without a system": (obs(code={"coding": [{"system": 5, "code": "1"}]}), WRONG, "code.coding[0].system"),
    "date is a number": (obs(effectiveDateTime=20240101), WRONG, "effectiveDateTime"),
    "component is an object": (obs(component={}), WRONG, "component"),
    "administration without drug": (changed(ADMINISTRATION, medicationCodeableConcept=...), "no-code", "medication[x]"),
    "administration planned": (changed(ADMINISTRATION, status="preparation"), "no-status", "status"),
    "procedure without code": (changed(PROCEDURE, code={}), "no-code", "code"),
    "specimen with a strange status": (changed(SPECIMEN, status="final"), "no-status", "status"),
    "consent without status": (changed(CONSENT, status=...), "no-status", "status"),
    "patient with a modifier": (changed(PATIENT, modifierExtension=[{}]), "held-back-modifier", "modifierExtension"),
    "patient who is dead, or not": (changed(PATIENT, deceasedBoolean="yes"), WRONG, "deceasedBoolean"),
    "dose of a wrong type": (
        changed(ADMINISTRATION, dosage={"dose": {"value": 5, "unit": 7}}),
        WRONG,
        "dosage.dose.unit",
    ),
    "specimen of a wrong type": (changed(SPECIMEN, type="blood"), WRONG, "type"),
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
    assert reject.where == where
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
    "BOM in the middle of a file": (b"\xef\xbb\xbf" + line_of(obs(id=SECRET)), "json-broken"),
    "two objects with a comma": (line_of(obs(id=SECRET)) + b"," + line_of(obs(id=SECRET)), "json-broken"),
    "wrong type, then broken": (line_of(obs(status=5, id=SECRET))[:-1], "json-broken"),
    "empty object": (b"{}", "no-resource-type"),
    "NUL": (line_of(obs(id=SECRET)).replace(b"final", b"fin\x00al"), "json-broken"),
}
OWNED = {"no UTF-8 in code", "GB18030"}
"""Of these all is readable that says whose the resource is."""


@pytest.mark.parametrize("name", BROKEN)
def test_a_line_that_cannot_be_read_is_told_by_its_place_only(name: str) -> None:
    line, reason = BROKEN[name]
    taken = take(OBSERVATION, line, obs(id="o2"))
    (reject,) = taken.rejects
    rid = KEYER.keyed(f"Observation/{SECRET}") if name in OWNED else None
    assert (reject.file, reject.line, reject.reason, reject.rid) == (3, 12, reason, rid)
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
        b'{"resourceType":"Appointment","id":"e","subject":{"reference":"Patient/s"}}',
        b'{ "id": "e", "resourceType": "Appointment" }',
        b'{"resourceType":"App\\u006fintment","id":"e"}',
        b'{"resourceType":"Unheard","id":"e"}',
    ],
)
def test_types_that_no_domain_reads_are_counted(line: bytes) -> None:
    taken = take(line)
    ((kind, reason),) = taken.dropped
    assert kind in ("Appointment", "Unheard")
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
    assert all(REASONS[r.reason].kind == "reject" for r in taken.rejects)
    rejected = sum(n for (_, reason), n in taken.dropped.items() if REASONS[reason].kind == "reject")
    kept = {line for kind in taken.tables for line in taken.tables[kind].column("line").to_pylist()}
    # a component that cannot be used is a reject; its resource is kept
    assert rejected == len([r for r in taken.rejects if r.line not in kept])
    assert all(r.where.startswith("component[") for r in taken.rejects if r.line in kept)
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

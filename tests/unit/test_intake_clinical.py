"""Intake of Condition, AdverseEvent and Encounter: every picked column, statuses, times that are no dates, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.intake.reading import LookUp
from adapter.intake.tables import PROVENANCE, TABLES
from tests.lines import ADVERSE_EVENT, CONDITION, ENCOUNTER, KEYER, SUBJECT, Json, changed, day, picked, row, rows, take

OWN = {c.name for c in PROVENANCE}
HL7 = "http://terminology.hl7.org/CodeSystem/"


def hexed(name: str) -> str:
    return KEYER.keyed(name).hex()


def concept(*codes: str, text: str | None = None) -> Json:
    found: Json = (
        {"coding": [{"system": s, "code": c} for s, _, c in (x.rpartition("|") for x in codes)]} if codes else {}
    )
    return found | ({"text": text} if text else {})


def filled(found: Json) -> Json:
    """Return the columns with a value, without provenance."""
    return {k: v for k, v in found.items() if k not in OWN and v is not None}


def by_element(kind: str, *resources: Json, **more: Any) -> dict[str, Json]:
    return {r["element"]: r for r in rows(take(*resources, **more), kind)}


def test_every_column_of_a_condition() -> None:
    found = by_element(
        "Condition",
        changed(
            CONDITION,
            clinicalStatus=concept(f"{HL7}condition-clinical|relapse"),
            category=[concept("urn:c|problem-list-item"), None],
            severity=concept("urn:s|24484000", text="Severe"),
            code=concept("urn:icd|C92.0", text="AML"),
            encounter={"reference": "Encounter/n1"},
            onsetDateTime=...,
            onsetPeriod={"start": "2024-01-01T16:30:00Z", "end": "2024-01-03"},
            abatementDateTime="2024-02",
            recordedDate="2024-01-05T08:00:00+08:00",
            stage=[{"summary": concept("urn:g|2", text="II度"), "type": concept("urn:t|SKIN"),
                    "assessment": [{"reference": "Observation/o1"}]}, None],
            evidence=[{"detail": [{"reference": "Observation/o2"}, {"display": "nobody"}]},
                      {"reference": {"reference": "Observation/o3"}}],
            note=[{"text": "never read", "time": "2024-01-06"}],
        ),
    )  # fmt: skip
    dates = {
        "dtc": "2024-01-02T00:30:00", "day": day("2024-01-02"), "micros": (day("2024-01-02") * 86_400 + 1800) * 1_000_000,
        "end_dtc": "2024-02", "recorded_dtc": "2024-01-05T08:00:00", "recorded_day": day("2024-01-05"),
        "recorded_micros": (day("2024-01-05") * 86_400 + 8 * 3600) * 1_000_000,
    }  # fmt: skip
    assert set(found) == {"", "stage[0]"}
    assert found[""]["status"] == "confirmed"
    assert filled(found[""]) == dates | {
        "code": "urn:icd|C92.0", "code_text": "AML", "category": "problem-list-item", "clinical": "relapse",
        "severity": "urn:s|24484000", "severity_text": "Severe", "open": False, "encounter": hexed("Encounter/n1"),
        "evidence": f"{hexed('Observation/o2')}\n{hexed('Observation/o3')}",
    }  # fmt: skip
    assert filled(found["stage[0]"]) == dates | {
        "stage": "urn:g|2", "stage_text": "II度", "stage_type": "urn:t|SKIN", "stage_type_text": "SKIN",
        "evidence": hexed("Observation/o1"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("onset", "words"),
    [
        ({"onsetAge": {"value": 52, "unit": "years"}}, "at age 52 years"),
        ({"onsetString": " around April "}, "around April"),
        ({"onsetRange": {"low": {"value": 40, "unit": "a"}, "high": {"value": 50, "unit": "a"}}}, "at age 40-50 a"),
        ({}, None),
    ],
)
def test_an_onset_that_is_no_date_gives_none(onset: Json, words: str | None) -> None:
    found = row(changed(CONDITION, onsetDateTime=..., **onset))
    assert picked(found, "dtc", "day", "micros") == (None, None, None)
    assert found["words"] == words


@pytest.mark.parametrize(
    ("end", "expected", "words"),
    [
        ({"abatementDateTime": "2024-03-01"}, "2024-03-01", None),
        ({"abatementPeriod": {"start": "2024-02-01", "end": "2024-02-05"}}, "2024-02-05", None),
        ({"abatementPeriod": {"start": "2024-02-01"}}, "2024-02-01", None),
        ({"abatementAge": {"value": 54, "unit": "years"}}, None, "at age 54 years"),
        ({"abatementString": "last month"}, None, "last month"),
    ],
)
def test_an_abatement_ends_with_a_date_or_its_period(end: Json, expected: str | None, words: str | None) -> None:
    found = row(changed(CONDITION, clinicalStatus=concept("|resolved"), **end))
    assert picked(found, "end_dtc", "end_words", "open") == (expected, words, False)


@pytest.mark.parametrize(
    ("clinical", "kept", "goes_on", "notes"),
    [
        ("active", "active", True, None),
        ("recurrence", "recurrence", True, None),
        ("remission", "remission", False, None),
        ("resolved ", "resolved", False, None),
        ("better", None, False, "clinical-status-unknown@clinicalStatus"),
    ],
)
def test_clinical_status(clinical: str, kept: str | None, goes_on: bool, notes: str | None) -> None:
    found = row(changed(CONDITION, clinicalStatus=concept(f"{HL7}condition-clinical|{clinical}")))
    assert picked(found, "clinical", "open", "notes") == (kept, goes_on, notes)


def test_a_voided_condition_has_neither_clinical_status_nor_code() -> None:
    """eCRNow issue 577: entered in error, so without clinicalStatus (con-5); it must not be taken for anything else."""
    voided = changed(CONDITION, code=..., verificationStatus=concept(f"{HL7}condition-ver-status|entered-in-error"))
    assert picked(row(voided), "status", "clinical", "code") == ("entered-in-error", None, None)


@pytest.mark.parametrize(
    ("resource", "reason", "where"),
    [
        (changed(CONDITION, code=...), "no-code", "code"),
        (changed(CONDITION, verificationStatus=concept("urn:x|maybe")), "no-status", "verificationStatus"),
        (changed(CONDITION, modifierExtension=[{"url": "x"}]), "held-back-modifier", "modifierExtension"),
        (changed(CONDITION, onsetString="in spring"), "two-values", "onset[x]"),
        (changed(CONDITION, subject=...), "no-subject", ""),
        (changed(ADVERSE_EVENT, event=...), "no-code", "event"),
        (changed(ADVERSE_EVENT, actuality="hoped-for"), "no-status", "actuality"),
        (changed(ADVERSE_EVENT, status="done"), "no-status", "status"),
        (changed(ENCOUNTER, status="bogus"), "no-status", "status"),
        (changed(ENCOUNTER, status=...), "no-status", "status"),
        (changed(ENCOUNTER, implicitRules="urn:x"), "held-back-modifier", "implicitRules"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_its_element(resource: Json, reason: str, where: str) -> None:
    taken = take(resource)
    assert [(r.reason, r.where) for r in taken.rejects if r.reason != "no-subject"] == (
        [(reason, where)] if reason != "no-subject" else []
    )
    assert taken.dropped[resource["resourceType"], reason] == 1
    assert not taken.tables.get(resource["resourceType"])


def test_every_column_of_an_adverse_event() -> None:
    look_ups = {"Medication/m1": LookUp("urn:p|UC-MSC", "UC-MSC")}
    found = by_element(
        "AdverseEvent",
        changed(
            ADVERSE_EVENT,
            event=concept("urn:s|386661006", text="发热"),
            category=[concept("urn:c|medication-mishap")],
            date="2024-01-01T16:30:00Z",
            detected="2024-01-03",
            recordedDate="2024-01-04",
            seriousness=concept("urn:q|SeriousResultsInDeath", "urn:q|SeriousIsLifeThreatening"),
            severity=concept("urn:v|severe"),
            outcome=concept("urn:o|fatal"),
            resultingCondition=[{"reference": "Condition/k1"}, None, {"reference": "Condition/k2"}],
            encounter={"reference": "Encounter/n1"},
            extension=[{"url": "urn:other", "valueInteger": 9}, {"url": "urn:grade", "valueInteger": 3}],
            suspectEntity=[
                {"instance": {"reference": "Medication/m1"}, "causality": [{"assessment": concept("urn:r|Possible")}]},
                {"instance": {"display": "Busulfan"}},
                {
                    "instanceCodeableConcept": concept(text="Ara-C"),
                    "causality": {"entityRelatedness": concept(text="no")},
                },
            ],
        ),
        look_ups=look_ups,
        grade_extensions=("urn:grade",),
    )
    main = found[""]
    assert main["status"] == "actual"
    assert {k: v for k, v in filled(main).items() if not k.endswith(("day", "micros"))} == {
        "code": "urn:s|386661006", "code_text": "发热", "category": "medication-mishap", "dtc": "2024-01-02T00:30:00",
        "detected_dtc": "2024-01-03", "recorded_dtc": "2024-01-04",
        "seriousness": "urn:q|SeriousResultsInDeath\nurn:q|SeriousIsLifeThreatening",
        "seriousness_text": "SeriousResultsInDeath", "severity": "urn:v|severe", "severity_text": "severe",
        "outcome": "urn:o|fatal", "outcome_text": "fatal", "grade": "3",
        "conditions": f"{hexed('Condition/k1')}\n{hexed('Condition/k2')}", "encounter": hexed("Encounter/n1"),
    }  # fmt: skip
    suspects = [found[f"suspectEntity[{i}]"] for i in range(3)]
    columns = ("suspect", "suspect_code", "suspect_text", "causality", "causality_text")
    assert [picked(s, *columns) for s in suspects] == [
        (hexed("Medication/m1"), "urn:p|UC-MSC", "UC-MSC", "urn:r|Possible", "Possible"),
        (None, None, "Busulfan", None, None),
        (None, None, "Ara-C", None, "no"),
    ]


@pytest.mark.parametrize(
    ("changes", "status", "notes"),
    [
        ({}, "actual", None),
        ({"actuality": "potential"}, "potential", None),
        ({"actuality": "actual "}, "actual", None),
        ({"actuality": ...}, None, "actuality-unknown@actuality"),
        ({"status": "completed"}, "actual", None),  # R5
        ({"status": "entered-in-error", "event": ...}, "entered-in-error", None),
        ({"status": "unknown"}, "unknown", None),
    ],
)
def test_actuality_and_the_status_of_r5(changes: Json, status: str | None, notes: str | None) -> None:
    assert picked(row(changed(ADVERSE_EVENT, **changes)), "status", "notes") == (status, notes)


@pytest.mark.parametrize(
    ("value", "grade"),
    [
        ({"valueInteger": 3}, "3"),
        ({"valueDecimal": 2.0}, "2.0"),
        ({"valueString": "Grade 4"}, "Grade 4"),
        ({"valueCode": "5"}, "5"),
        ({"valueCoding": {"code": "2"}}, "2"),
        ({"valueCodeableConcept": {"text": "3级"}}, "3级"),
        ({"valueQuantity": {"value": 1}}, "1"),
        ({}, None),
    ],
)
def test_a_grade_stands_only_in_an_extension_that_the_trial_names(value: Json, grade: str | None) -> None:
    event = changed(ADVERSE_EVENT, extension=[{"url": "urn:grade"} | value])
    assert row(event, grade_extensions=("urn:grade",))["grade"] == grade
    assert row(event)["grade"] is None


def test_an_adverse_event_of_r5() -> None:
    found = row(
        changed(
            ADVERSE_EVENT,
            event=..., date=..., code=concept(text="Mucositis"), status="completed",
            occurrencePeriod={"start": "2024-01-05", "end": "2024-01-08"}, outcome=[concept("urn:o|resolved"), None],
            resultingEffect=[{"reference": "Condition/k9"}],
        )
    )  # fmt: skip
    columns = ("code_text", "dtc", "end_dtc", "outcome", "conditions")
    assert picked(found, *columns) == ("Mucositis", "2024-01-05", "2024-01-08", "urn:o|resolved", hexed("Condition/k9"))


def test_every_column_of_an_encounter() -> None:
    found = by_element(
        "Encounter",
        changed(
            ENCOUNTER,
            type=[concept(text="骨髓移植科住院")],
            serviceType=concept("urn:st|57"),
            period={"start": "2024-01-01T16:30:00Z", "end": "2024-01-09"},
            partOf={"reference": "Encounter/n0"},
            reasonCode=[concept(text="发热")],
            reasonReference=[{"reference": "Condition/k1"}],
            diagnosis=[
                {"condition": {"reference": "Condition/k2"}, "use": concept("|AD")},
                {"condition": {"reference": "Condition/k3"}, "use": concept("|CM")},
                {"condition": {"reference": "Condition/k4"}},
            ],
            hospitalization={"admitSource": concept(text="急诊"), "dischargeDisposition": concept("|home")},
            location=[
                {
                    "location": {"display": "ICU 2"},
                    "physicalType": concept("urn:l|ro"),
                    "period": {"start": "2024-01-03"},
                },
                {"location": {"display": "planned"}, "status": "planned", "period": {"start": "2024-01-04"}},
                {"location": {"display": "no time of its own"}},
            ],
        ),
    )
    assert set(found) == {"", "location[0]"}
    assert {k: v for k, v in filled(found[""]).items() if not k.endswith(("day", "micros"))} == {
        "code": f"{HL7}v3-ActCode|IMP\nurn:st|57", "code_text": "IMP; 骨髓移植科住院; 57", "dtc": "2024-01-02T00:30:00",
        "end_dtc": "2024-01-09", "open": False, "part_of": hexed("Encounter/n0"), "indication": "发热",
        "reasons": f"{hexed('Condition/k1')}\n{hexed('Condition/k2')}", "admitted_from": "急诊", "discharged_to": "home",
    }  # fmt: skip
    assert picked(found["location[0]"], "code", "code_text", "dtc", "end_dtc", "open") == (
        "urn:l|ro", "ICU 2; ro", "2024-01-03", None, True,
    )  # fmt: skip


HISTORY = [
    {"status": "planned", "period": {"start": "2023-12-01"}},
    {"status": "arrived", "period": {"start": "2024-01-02T08:00:00+08:00", "end": "2024-01-02T09:00:00+08:00"}},
    {"status": "in-progress", "period": {"start": "2024-01-02T09:00:00+08:00", "end": "2024-01-05"}},
]


@pytest.mark.parametrize(
    ("changes", "dates", "goes_on", "notes"),
    [
        ({"statusHistory": HISTORY}, ("2024-01-02", "2024-01-09"), False, None),
        ({"period": ..., "statusHistory": HISTORY}, ("2024-01-02T08:00:00", "2024-01-05"), False,
         "date-from-history@statusHistory"),
        ({"period": ..., "status": "in-progress", "statusHistory": HISTORY}, ("2024-01-02T08:00:00", None), True,
         "date-from-history@statusHistory"),
        ({"period": ..., "statusHistory": HISTORY[:1]}, (None, None), False, None),
        ({"period": ..., "actualPeriod": {"start": "2024-01-04"}}, ("2024-01-04", None), True, None),  # R5
        ({"period": {"start": "2024-01-04", "end": "2024-01-03"}}, ("2024-01-04", "2024-01-03"), False,
         "end-before-start@period"),
        ({"period": ...}, (None, None), False, None),
    ],
)  # fmt: skip
def test_when_a_stay_was(changes: Json, dates: tuple[Any, Any], goes_on: bool, notes: str | None) -> None:
    """statusHistory dates a stay only where there is no period; its planned times never do."""
    found = row(changed(ENCOUNTER, **changes))
    assert picked(found, "dtc", "end_dtc") == dates
    assert picked(found, "open", "notes") == (goes_on, notes)


def test_an_encounter_of_r5() -> None:
    found = row(
        {
            "resourceType": "Encounter", "id": "n5", "status": "discharged", "subject": {"reference": SUBJECT},
            "class": [concept(f"{HL7}v3-ActCode|ACUTE"), None], "serviceType": [{"concept": concept(text="血液科")}],
            "actualPeriod": {"start": "2024-01-02", "end": "2024-01-03"},
            "reason": [{"value": [{"reference": {"reference": "Condition/k1"}}, {"concept": concept(text="Fever")}]}],
            "diagnosis": [{"condition": [{"reference": {"reference": "Condition/k2"}}], "use": [concept("|CC")]}],
            "admission": {"dischargeDisposition": concept(text="Home")},
        }
    )  # fmt: skip
    columns = ("code", "code_text", "dtc", "end_dtc", "indication", "reasons", "discharged_to")
    assert picked(found, *columns) == (
        f"{HL7}v3-ActCode|ACUTE", "ACUTE; 血液科", "2024-01-02", "2024-01-03", "Fever",
        f"{hexed('Condition/k1')}\n{hexed('Condition/k2')}", "Home",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["Condition", "AdverseEvent"])
def test_notes_are_read_only_where_the_trial_lets_texts_out(kind: str) -> None:
    resource = changed(
        CONDITION if kind == "Condition" else ADVERSE_EVENT,
        note=[{"text": "Secret", "time": "2024-01-06"}, {"text": " "}, {"text": "Second"}],
    )
    assert set(by_element(kind, resource)) == {""}
    found = by_element(kind, resource, comments=True)
    assert {k: (r["note"], r["note_dtc"]) for k, r in found.items() if k} == {
        "note[0]": ("Secret", "2024-01-06"),
        "note[2]": ("Second", None),
    }
    silent = take(resource).tables[kind].to_pylist()
    assert "Secret" not in str(silent)


@pytest.mark.parametrize("kind", ["Condition", "AdverseEvent", "Encounter"])
def test_a_row_inside_a_resource_has_its_dates(kind: str) -> None:
    """What is cut at the data cut is cut together: a stage never outlives its Condition."""
    inner = {
        "Condition": {"stage": [{"summary": concept(text="II")}], "recordedDate": "2024-01-05"},
        "AdverseEvent": {"suspectEntity": [{"instance": {"display": "x"}}], "detected": "2024-01-05"},
        "Encounter": {},
    }[kind]
    base = {"Condition": CONDITION, "AdverseEvent": ADVERSE_EVENT, "Encounter": ENCOUNTER}[kind]
    found = by_element(kind, changed(base, **inner))
    dates = [c.name for c in TABLES[kind] if c.name.endswith(("dtc", "day")) and not c.name.startswith("note")]
    assert len({picked(r, *dates) for r in found.values()}) == 1

"""What was given and how much: references, mixtures, doses, rates, times in words; R4 and R5 spellings side by side."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.intake.event_structs import MedicationAdministration, MedicationStatement, Procedure, SupplyDelivery
from adapter.intake.medication import medication_look_up
from adapter.intake.reading import LookUp
from adapter.intake.structs import CodeableConcept, Coding, Medication
from adapter.intake.timing import times_of
from tests.lines import ADMINISTRATION, KEYER, PROCEDURE, STATEMENT, Json, changed, line_of, picked, row, rows, take

SCT = "http://snomed.info/sct"
HL7 = "http://terminology.hl7.org/CodeSystem"


def concept(code: str, text: str) -> Json:
    return {"coding": [{"system": SCT, "code": code}], "text": text}


def medication(**elements: Any) -> Json:
    """Return changes that give an administration this contained Medication."""
    held = {"resourceType": "Medication", "id": "m", **elements}
    return {"medicationCodeableConcept": ..., "contained": [held], "medicationReference": {"reference": "#m"}}


def adherent(code: str, status: str = "recorded") -> Json:
    return {"status": status, "adherence": {"code": {"coding": [{"code": code}]}}}


# --- R5 (fhir-input: the version is told by the elements) -------------------------------------------------------------

NAME = {"medicationCodeableConcept": ..., "medication": {"concept": concept("1", "drug")}}
TIME = {"effectiveDateTime": ...}
SAME = [
    # R4, R5: one fact
    (ADMINISTRATION, {"medicationCodeableConcept": concept("1", "drug")}, NAME),
    (ADMINISTRATION, {}, TIME | {"occurenceDateTime": "2024-01-02"}),
    (ADMINISTRATION, {}, TIME | {"occurrenceDateTime": "2024-01-02"}),  # as later drafts spell it
    (
        ADMINISTRATION,
        TIME | {"effectivePeriod": {"start": "2024-01-02"}},
        TIME | {"occurencePeriod": {"start": "2024-01-02"}},
    ),
    (
        ADMINISTRATION,
        {"reasonCode": [{"text": "PGF"}]},
        {"reason": [{"reference": {"reference": "Condition/1"}}, {"concept": {"text": "PGF"}}]},
    ),
    (STATEMENT, {"medicationCodeableConcept": concept("1", "drug")}, NAME),
    (STATEMENT, {"status": "active"}, adherent("taking-as-directed")),
    (STATEMENT, {"status": "stopped"}, adherent("stopped")),
    (STATEMENT, {"status": "on-hold"}, adherent("on-hold-as-directed")),
    (STATEMENT, {"status": "not-taken"}, adherent("not-taking")),
    (STATEMENT, {"status": "unknown"}, {"status": "recorded", "adherence": {"code": {"text": "?"}}}),
    (STATEMENT, {"status": "entered-in-error"}, adherent("taking", "entered-in-error")),
    (PROCEDURE, {}, {"performedDateTime": ..., "occurrenceDateTime": "2024-01-02"}),
    (
        PROCEDURE,
        {"performedDateTime": ..., "performedPeriod": {"start": "2024-01-02", "end": "2024-01-03"}},
        {"performedDateTime": ..., "occurrencePeriod": {"start": "2024-01-02", "end": "2024-01-03"}},
    ),
    (PROCEDURE, {"reasonCode": [{"text": "PGF"}]}, {"reason": [{"concept": {"text": "PGF"}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "r4", "r5"), SAME)
def test_what_r5_moved_is_read_as_in_r4(resource: Json, r4: Json, r5: Json) -> None:
    one, two = row(changed(resource, **r4)), row(changed(resource, **r5))
    one.pop("sha"), two.pop("sha")
    assert one == two
    assert one["dtc"] == "2024-01-02"


def test_two_versions_of_one_time_must_agree() -> None:
    row(changed(ADMINISTRATION, occurenceDateTime="2024-01-02"))
    taken = take(changed(ADMINISTRATION, occurenceDateTime="2024-01-03"))
    assert [(r.reason, r.where) for r in taken.rejects] == [("two-values", "occurence[x]")]
    taken = take(changed(PROCEDURE, performedPeriod={"start": "2024-01-02"}))
    assert [(r.reason, r.where) for r in taken.rejects] == [("two-values", "performed[x]")]


def test_a_medication_of_r5_has_doseform_and_items() -> None:
    parts = [{"item": {"concept": concept("7", "tacrolimus")}}]
    found = row(changed(ADMINISTRATION, **medication(doseForm={"text": "capsule"}, ingredient=parts)))
    assert picked(found, "code", "code_text", "form") == (f"{SCT}|7", "tacrolimus", "capsule")


def test_every_time_of_both_versions_is_known() -> None:
    dated = ("DateTime", "Period", "Timing")
    given = times_of(MedicationAdministration, "effective", "occurence", "occurrence").names
    assert set(given) == {f"{stem}{kind}" for stem in ("effective", "occurence", "occurrence") for kind in dated}
    assert set(times_of(MedicationStatement, "effective").names) == {f"effective{kind}" for kind in dated}
    both = {f"{s}{k}" for s in ("performed", "occurrence") for k in ("DateTime", "Period", "String", "Age", "Range")}
    assert set(times_of(Procedure, "performed", "occurrence").names) == both | {"occurrenceTiming"}
    assert set(times_of(SupplyDelivery, "occurrence").names) == {f"occurrence{kind}" for kind in dated}


# --- a time that is no date (fhir-input point 25) ---------------------------------------------------------------------

A40, A45 = {"value": 40, "code": "a"}, {"value": 45, "code": "a"}
WORDS = [
    (PROCEDURE, "performed", "String", " last spring ", "last spring"),
    (PROCEDURE, "performed", "String", "2024-01-02", "2024-01-02"),  # a string is no dateTime, whatever it looks like
    (PROCEDURE, "performed", "Age", {"value": 40, "unit": "years", "code": "a"}, "at age 40 years"),
    (PROCEDURE, "performed", "Age", {"value": 40, "comparator": "<", "code": "a"}, "at age <40 a"),
    (PROCEDURE, "performed", "Range", {"low": A40, "high": A45}, "at age 40-45 a"),
    (PROCEDURE, "performed", "Range", {"low": {"value": 18, "code": "mo"}, "high": A40}, "at age 18 mo-40 a"),
    (PROCEDURE, "performed", "Range", {"high": A45}, "at age <=45 a"),
    (PROCEDURE, "occurrence", "Timing", {"event": ["2024-01-02", None, "2024-01-05"]}, "2024-01-02, 2024-01-05"),
    (ADMINISTRATION, "effective", "Timing", {"code": {"text": "每周一次"}}, "每周一次"),
    (
        ADMINISTRATION,
        "occurence",
        "Timing",
        {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d", "boundsPeriod": {"start": "2024-01-02"}}},
        "2 per 1 d; 2024-01-02/",
    ),
    (STATEMENT, "effective", "Timing", {"repeat": {"period": 7, "periodUnit": "d"}}, "1 per 7 d"),
    (STATEMENT, "effective", "Timing", {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "stem", "kind", "value", "words"), WORDS)
def test_a_time_that_is_no_date_stays_in_words(
    resource: Json, stem: str, kind: str, value: Any, words: str | None
) -> None:
    dates = {"effectiveDateTime": ..., "effectivePeriod": ..., "performedDateTime": ...}
    found = row(changed(resource, **dates, **{f"{stem}{kind}": value}))
    assert picked(found, "dtc", "day", "end_dtc", "open", "notes") == (None, None, None, False, None)
    assert found["words"] == words


@pytest.mark.parametrize(
    ("start", "end", "wrong"),
    [
        ("2024-01-02T10:00:00+08:00", "2024-01-02", False),  # an end without a time includes its day (point 26)
        ("2024-01-02", "2024-01-02T00:10:00+08:00", False),
        ("2024-01-02T10:00:00+08:00", "2024-01-02T09:00:00+08:00", True),
        ("2024-01-02T10:00:00+08:00", "2024-01-02T10:00:00+08:00", False),
        ("2024-01-02T23:00:00-08:00", "2024-01-03T15:30:00+08:00", False),
        ("2024-01-03", "2024-01-02T23:00:00+08:00", True),
    ],
)
def test_an_end_before_its_start(start: str, end: str, wrong: bool) -> None:
    found = row(changed(ADMINISTRATION, effectiveDateTime=..., effectivePeriod={"start": start, "end": end}))
    assert found["notes"] == ("end-before-start@effectivePeriod" if wrong else None)


# --- mixtures and references ------------------------------------------------------------------------------------------

GLUCOSE, FILGRASTIM = concept("g", "5 % glucose"), concept("f", "filgrastim")
BOTH = (f"{SCT}|g\n{SCT}|f", "5 % glucose + filgrastim", f'[["{SCT}|g", "5 % glucose"], ["{SCT}|f", "filgrastim"]]')
MIXTURES: dict[str, tuple[Json, tuple[str | None, ...]]] = {
    "two": ({"ingredient": [{"itemCodeableConcept": GLUCOSE}, {"itemCodeableConcept": FILGRASTIM}]}, BOTH),
    "its own code counts": (
        {"code": concept("x", "mix"), "ingredient": [{"itemCodeableConcept": GLUCOSE}]},
        (f"{SCT}|x", "mix", None),
    ),
    "one is the drug": ({"ingredient": [{"itemCodeableConcept": FILGRASTIM}]}, (f"{SCT}|f", "filgrastim", None)),
    "the carrier does not act": (
        {"ingredient": [{"itemCodeableConcept": GLUCOSE, "isActive": False}, {"itemCodeableConcept": FILGRASTIM}]},
        (f"{SCT}|f", "filgrastim", None),
    ),
    "none acts": ({"ingredient": [{"itemCodeableConcept": GLUCOSE, "isActive": False}]}, (f"{SCT}|g", "5 % glucose", None)),
    "by reference": (
        {"ingredient": [{"itemReference": {"reference": "Medication/g"}}, {"itemCodeableConcept": FILGRASTIM}]},
        BOTH,
    ),
    "by display": (
        {
            "ingredient": [
                {"itemReference": {"reference": "Medication/0", "display": "water"}},
                {"itemCodeableConcept": FILGRASTIM},
            ]
        },
        (f"{SCT}|f", "water + filgrastim", f'[[null, "water"], ["{SCT}|f", "filgrastim"]]'),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXTURES)
def test_contained_medication_mixtures(name: str) -> None:
    """A published breakage: the Medication has no code, only ingredients."""
    held, expected = MIXTURES[name]
    found = row(
        changed(ADMINISTRATION, **medication(**held)), look_ups={"Medication/g": LookUp(f"{SCT}|g", "5 % glucose")}
    )
    assert picked(found, "code", "code_text", "ingredients", "notes") == (*expected, None)


def test_an_ingredient_that_nobody_names_is_told() -> None:
    parts = [{"strength": {}}, {"itemCodeableConcept": FILGRASTIM}, None]
    found = row(changed(ADMINISTRATION, **medication(ingredient=parts)))
    assert picked(found, "code_text", "notes") == ("filgrastim", "ingredient-unknown@medication[x]")


def test_an_ingredient_among_the_contained_resources() -> None:
    held = medication(ingredient=[{"itemReference": {"reference": "#s"}}])
    held["contained"].append({"resourceType": "Substance", "id": "s", "code": FILGRASTIM})
    assert row(changed(ADMINISTRATION, **held))["code_text"] == "filgrastim"
    held["contained"][1]["code"] = {"concept": FILGRASTIM}  # R5
    assert row(changed(ADMINISTRATION, **held))["code_text"] == "filgrastim"


def test_a_mixture_elsewhere() -> None:
    """Ingredients of a Medication resource are found when its administration is read; ids are keyed at once."""
    import msgspec

    other = line_of({"itemReference": {"reference": "Medication/g"}}), line_of({"itemCodeableConcept": FILGRASTIM})
    made = medication_look_up(Medication(ingredient=msgspec.Raw(b"[" + b",".join(other) + b"]")), KEYER.keyed)
    assert (made.code, made.text) == (None, None)
    assert made.ingredients is not None
    assert "Medication/g" not in made.ingredients
    look_ups = {"Medication/mix": made, "Medication/g": LookUp(f"{SCT}|g", "5 % glucose")}
    there = changed(ADMINISTRATION, medicationCodeableConcept=..., medicationReference={"reference": "Medication/mix"})
    assert picked(row(there, look_ups=look_ups), "code", "code_text", "ingredients") == BOTH


def test_a_medication_whose_modifier_may_change_it_says_nothing() -> None:
    import msgspec

    code = CodeableConcept([Coding(SCT, "f")])
    assert medication_look_up(Medication(code=code, modifierExtension=msgspec.Raw(b"[{}]"))) == LookUp()
    taken = take(changed(ADMINISTRATION, **medication(code=FILGRASTIM, modifierExtension=[{"url": "urn:x"}])))
    assert [(r.reason, r.where) for r in taken.rejects] == [("held-back-modifier", "contained[0].modifierExtension")]


def test_a_dangling_reference_still_names_the_drug_by_its_display() -> None:
    named = {"reference": "Medication/none", "display": "他克莫司胶囊"}
    found = row(changed(ADMINISTRATION, medicationCodeableConcept=..., medicationReference=named))
    assert picked(found, "code", "code_text", "notes") == (None, "他克莫司胶囊", "named-by-display@medication[x]")
    only = row(changed(ADMINISTRATION, medicationCodeableConcept=..., medicationReference={"display": "只有名称"}))
    assert picked(only, "code_text", "notes") == ("只有名称", None)  # nothing is missing: it never was referred to


def test_medication_only_by_text() -> None:
    found = row(changed(ADMINISTRATION, medicationCodeableConcept={"text": "升白针"}))
    assert picked(found, "code", "code_text") == (None, "升白针")


@pytest.mark.parametrize("system", ["data-absent-reason", "v3-NullFlavor"])
def test_a_coding_that_says_why_there_is_none_is_no_code(system: str) -> None:
    why = {"system": f"{HL7}/{system}", "code": "unknown", "display": "Unknown"}
    said = row(changed(ADMINISTRATION, medicationCodeableConcept={"coding": [why], "text": "升白针"}))
    assert picked(said, "code", "code_text") == (None, "升白针")
    taken = take(changed(PROCEDURE, code={"coding": [why]}))
    assert [(r.reason, r.where) for r in taken.rejects] == [("no-code", "code")]


# --- doses and rates (fhir-input points 12 and 27) --------------------------------------------------------------------

MG5, MG10 = {"value": 5, "unit": "mg"}, {"value": 10, "unit": "mg"}
SPLIT = "dose-not-single@dosage"
DOSES: list[tuple[Any, tuple[str | None, ...], str | None]] = [
    # dosage -> dose, its unit as written, text; note
    ({"dose": MG5}, ("5", "mg", None), None),
    ([{"dose": MG5}], ("5", "mg", None), None),  # an array, as some servers send it
    ([None, {"dose": MG5, "text": "早"}], ("5", "mg", "早"), None),
    ([{"dose": MG5}, {"dose": MG10}], (None, None, "5 mg; 10 mg"), SPLIT),
    ([{"dose": MG5, "text": "8:00"}, {"dose": MG5, "text": "20:00"}], (None, None, "8:00; 20:00; 5 mg; 5 mg"), SPLIT),
    ({"dose": {"value": 5, "comparator": "<", "unit": "mg"}}, (None, None, "<5 mg"), SPLIT),
    ({"dose": {"value": 300, "unit": "U/kg"}}, ("300", "U/kg", None), None),
    ({"doseAndRate": [{"doseQuantity": MG5}]}, ("5", "mg", None), None),
    ({"doseAndRate": [{"doseRange": {"low": MG5, "high": MG10}}]}, (None, None, "5-10 mg"), None),
    ({"doseAndRate": [{"doseRange": {"low": MG5}}], "text": "as told"}, (None, None, "as told; >=5 mg"), None),
    ({"doseAndRate": [{"doseQuantity": MG5}, {"doseQuantity": MG10}]}, (None, None, "5 mg; 10 mg"), SPLIT),
    ({"rateQuantity": {"value": 50, "unit": "mL/h"}}, (None, None, "50 mL/h"), None),
    (
        {"rateRatio": {"numerator": {"value": 500, "unit": "mL"}, "denominator": {"value": 8, "unit": "h"}}},
        (None, None, "500 mL / 8 h"),
        None,
    ),
    ({"doseAndRate": [{"rateRange": {"low": MG5, "high": MG10}}]}, (None, None, "5-10 mg"), None),
    ({"text": "bolus", "rateQuantity": {"value": 50, "unit": "mL/h"}}, (None, None, "bolus"), None),
    ([], (None, None, None), None),
    ({}, (None, None, None), None),
]  # fmt: skip


@pytest.mark.parametrize(("dosage", "columns", "note"), DOSES)
@pytest.mark.parametrize("resource", [ADMINISTRATION, STATEMENT], ids=["administration", "statement"])
def test_dosages(resource: Json, dosage: Any, columns: tuple[str | None, ...], note: str | None) -> None:
    found = row(changed(resource, dosage=dosage))
    assert picked(found, "dose", "dose_unit_text", "dose_text") == columns
    assert found["notes"] == note


RATES: list[tuple[Json | list[Json], tuple[str | None, ...]]] = [
    ({"rateQuantity": {"value": 50.0, "code": "mL/h", "unit": "ml/小时"}}, ("50.0", "mL/h", None, None)),
    (
        {"rateRatio": {"numerator": {"value": 500, "unit": "mL"}, "denominator": {"value": 8, "code": "h"}}},
        ("500", "mL", "8", "h"),
    ),
    ({"rateRatio": {"numerator": {"value": 500, "unit": "mL"}}}, (None, None, None, None)),
    ([{"rateQuantity": {"value": 50, "unit": "mL/h"}}, {"rateQuantity": {"value": 80, "unit": "mL/h"}}], (None,) * 4),
    ({"doseAndRate": [{"rateQuantity": {"value": 50, "unit": "mL/h"}}]}, ("50", "mL/h", None, None)),
]


@pytest.mark.parametrize(("dosage", "columns"), RATES)
def test_rates(dosage: Any, columns: tuple[str | None, ...]) -> None:
    assert (
        picked(row(changed(ADMINISTRATION, dosage=dosage)), "rate", "rate_unit", "rate_per", "rate_per_unit") == columns
    )


def test_a_modifier_in_the_dosage_holds_the_record_back() -> None:
    taken = take(changed(ADMINISTRATION, dosage={"dose": MG5, "modifierExtension": [{"url": "urn:x"}]}))
    assert [(r.reason, r.where) for r in taken.rejects] == [("held-back-modifier", "dosage.modifierExtension")]


# --- statements and procedures ----------------------------------------------------------------------------------------


def test_a_statement_has_the_day_it_was_said() -> None:
    found = row(changed(STATEMENT, reasonCode=[None, {"text": "GVHD"}], statusReason=[{"text": "x"}]))
    names = ("status", "code_text", "dtc", "end_dtc", "open", "asserted_dtc", "indication", "status_reason")
    assert picked(found, *names) == (
        "completed", "tacrolimus", "2024-01-02", "2024-01-09", False, "2024-01-10", "GVHD", "x",
    )  # fmt: skip


def test_a_status_with_a_trailing_space() -> None:
    """Vendor documentation: `completed ` is completed."""
    for resource in (ADMINISTRATION, PROCEDURE, STATEMENT):
        assert row(changed(resource, status="completed "))["status"] == "completed"


def test_a_procedure_with_a_focus_is_somebody_else_s() -> None:
    assert row(PROCEDURE)["focus"] is False
    assert row(changed(PROCEDURE, focus={"reference": "RelatedPerson/donor"}))["focus"] is True


@pytest.mark.parametrize("kind", ["MedicationRequest", "MedicationDispense"])
@pytest.mark.parametrize("more", [{}, {"doNotPerform": True}, {"intent": "plan"}, {"status": "entered-in-error"}])
def test_a_request_or_a_dispense_proves_no_intake(kind: str, more: Json) -> None:
    taken = take({"resourceType": kind, "id": "1", "status": "completed", "subject": {"reference": "Patient/s"}} | more)
    assert dict(taken.dropped) == {(kind, "no-proof-of-intake"): 1}
    assert (taken.tables, taken.rejects) == ({}, [])


def test_null_entries_in_arrays() -> None:
    """fhir-input point 17."""
    nulls = {
        "statusReason": [None],
        "reasonCode": [None],
        "supportingInformation": [None],
        "extension": [None],
        "dosage": [None],
    }
    assert rows(take(changed(ADMINISTRATION, **nulls)), "MedicationAdministration")[0]["indication"] is None

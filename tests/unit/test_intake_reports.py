"""DiagnosticReport: results only inside `contained` (fhir-input point 5); blood products that a blood bank gave out."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.intake.reading import LookUp
from adapter.usable import usable_facts
from tests.lines import (
    DISPENSE,
    LOINC,
    OBSERVATION,
    REPORT,
    STRANGER,
    SUPPLY,
    Json,
    balanced,
    changed,
    picked,
    row,
    rows,
    take,
)
from tests.unit.test_usable import ME, NEVER, day

PLATELETS = changed(OBSERVATION, subject=...)
OWN = "no-own-results"


def report(*contained: Json, result: list[Any] | None = None, **elements: Any) -> Json:
    """Return a report with these contained resources; `result` names them all unless it is given."""
    named = result if result is not None else [{"reference": f"#{c['id']}"} for c in contained]
    return changed(REPORT, contained=list(contained), result=named, **elements)


def inside(resource: Json, **more: Any) -> tuple[list[Json], dict[str, str]]:
    """Return the rows of a report's results, and element -> why of its other rows."""
    found = rows(take(resource, **more), "DiagnosticReport")
    return [r for r in found if r["why"] is None], {r["element"]: r["why"] for r in found if r["why"] is not None}


def test_a_contained_result_is_a_result() -> None:
    taken = take(REPORT)
    balanced(taken)
    assert (taken.dropped, taken.rejects, list(taken.tables)) == ({}, [], ["DiagnosticReport"])
    (result,), rest = inside(REPORT)
    assert rest == {"": OWN}
    plain = row(OBSERVATION)
    differs = {k for k in plain if plain[k] != result[k]}
    assert differs == {"rid", "sha", "element"}  # the report's id and content; all else as if it stood alone
    assert result["element"] == "contained[0]"


def test_order_loinc_is_not_result_loinc() -> None:
    """eCRNow #645: the report's code is what was ordered; the result has its own."""
    (result,), _ = inside(REPORT)
    assert result["code"] == f"{LOINC}|777-3"
    assert REPORT["code"]["coding"][0]["code"] != "777-3"


def test_a_result_that_stands_elsewhere_is_read_there_and_counted_once() -> None:
    """fhir-input point 23: DiagnosticReport.result by reference brings nothing of its own."""
    taken = take(OBSERVATION, changed(REPORT, contained=..., result=[{"reference": "Observation/o1"}]))
    assert len(rows(taken, "Observation")) == 1
    assert inside(changed(REPORT, contained=..., result=[{"reference": "Observation/o1"}])) == ([], {"": OWN})
    assert inside(changed(REPORT, contained=..., result=...)) == ([], {"": OWN})


def test_components_and_members_of_contained_panels() -> None:
    part = {"code": {"text": "x"}, "valueInteger": 1}
    panel = changed(
        PLATELETS,
        id="p",
        valueQuantity=...,
        component=[part, part],
        hasMember=[{"reference": "#o1"}, {"reference": "Observation/9"}],
    )
    found, rest = inside(report(PLATELETS, panel, result=[{"reference": "#p"}]))
    elements = [r["element"] for r in found]
    assert sorted(elements) == [
        "contained[0]",
        "contained[1]",
        "contained[1].component[0]",
        "contained[1].component[1]",
    ]
    assert rest == {"": OWN}


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "unknown"])
def test_a_report_that_was_taken_back_does_not_bring_its_results_back(status: str) -> None:
    reason = {"cancelled": "status-cancelled", "unknown": "status-unknown"}.get(status, "status-entered-in-error")
    assert inside(changed(REPORT, status=status)) == ([], {"": reason})


@pytest.mark.parametrize(
    "status", ["registered", "partial", "preliminary", "modified", "amended", "appended", "final "]
)
def test_the_status_of_the_result_counts(status: str) -> None:
    (result,), _ = inside(changed(REPORT, status=status))
    assert result["status"] == "final"


def usable(*resources: Json, cut: str = "2030-01-01", preliminary: bool = False) -> Any:
    return usable_facts(take(*resources).tables, [ME], [NEVER], day(cut), preliminary, 1)


LOST = {
    "cancelled": "status-cancelled",
    "entered-in-error": "status-entered-in-error",
    "unknown": "status-unknown",
    "registered": "status-not-final",
    "preliminary": "status-not-final",
}


@pytest.mark.parametrize("status", sorted(LOST))
def test_cancelled_results_never_come_back_through_a_report(status: str) -> None:
    """eCRNow #646, for results that the report contains and for those it refers to."""
    found = usable(report(changed(PLATELETS, status=status)))
    assert len(found.facts["Observation"].frame) == 0
    (own,) = found.facts["DiagnosticReport"].frame.to_dict("records")
    assert own["why"] == LOST[status]
    elsewhere = changed(REPORT, contained=..., result=[{"reference": "Observation/o1"}])
    assert len(usable(elsewhere, changed(OBSERVATION, status=status)).facts["Observation"].frame) == 0


def test_results_of_reports_are_facts_of_observation() -> None:
    found = usable(OBSERVATION, report(PLATELETS, changed(PLATELETS, id="o2", status="cancelled")))
    facts = found.facts["Observation"]
    assert facts.frame[["carrier", "element"]].to_numpy().tolist() == [["", ""], ["DiagnosticReport", "contained[0]"]]
    assert facts.keyed.num_rows == 2
    (own,) = found.facts["DiagnosticReport"].frame.to_dict("records")
    assert own["why"] == OWN  # one of its results is left: the accounts count it as used
    assert {k: n for k, n in found.dropped.items() if n} == {}


def test_without_reports_nothing_is_added_to_facts() -> None:
    assert "carrier" not in usable(OBSERVATION).facts["Observation"].frame


def test_a_result_after_the_cut_and_the_report_with_it() -> None:
    found = usable(REPORT, cut="2023-12-31")
    assert len(found.facts["Observation"].frame) == 0
    assert found.facts["DiagnosticReport"].frame["why"].tolist() == ["after-data-cut"]


def test_a_contained_result_proves_that_the_subject_was_there() -> None:
    assert usable(REPORT).last_seen == {"T-01-1": day("2024-01-02")}
    assert usable(changed(REPORT, status="cancelled")).last_seen == {}


def test_the_latest_version_of_a_report_counts() -> None:
    """A report corrected to one without results does not leave the old ones behind."""
    first = changed(REPORT, meta={"lastUpdated": "2024-02-01T00:00:00Z"})
    second = changed(REPORT, meta={"lastUpdated": "2024-02-02T00:00:00Z"}, status="entered-in-error")
    found = usable(second, first)
    assert len(found.facts["Observation"].frame) == 0
    assert found.dropped["DiagnosticReport", "superseded-version"] == 1
    assert len(usable(first, first).facts["Observation"].frame) == 1


DATES: list[tuple[Json, Json, tuple[str | None, ...]]] = [
    # of the result, of the report -> start, end
    ({"effectiveDateTime": "2024-01-05"}, {"effectiveDateTime": "2024-01-06"}, ("2024-01-05", None)),
    ({}, {"effectiveDateTime": "2024-01-06"}, ("2024-01-06", None)),
    ({}, {"effectivePeriod": {"start": "2024-01-06", "end": "2024-01-07"}}, ("2024-01-06", "2024-01-07")),
    ({"issued": "2024-01-08T00:00:00Z"}, {"effectiveDateTime": "2024-01-06"}, ("2024-01-06", None)),
    ({"issued": "2024-01-08T00:00:00Z"}, {"issued": "2024-01-09T00:00:00Z"}, ("2024-01-08T08:00:00", None)),
    ({}, {"issued": "2024-01-09T00:00:00Z"}, ("2024-01-09T08:00:00", None)),
    ({}, {}, (None, None)),
]


@pytest.mark.parametrize(("own", "of_report", "expected"), DATES)
def test_a_result_without_a_date_has_that_of_its_report(own: Json, of_report: Json, expected: Any) -> None:
    bare = changed(PLATELETS, effectiveDateTime=...)
    (result,), _ = inside(report(bare | own, **({"effectiveDateTime": ...} | of_report)))
    assert picked(result, "dtc", "end_dtc") == expected


def test_the_only_specimen_of_a_report_is_its_results() -> None:
    there = {"reference": "Specimen/sp"}
    alone = row(changed(OBSERVATION, specimen=there))["specimen"]
    (result,), _ = inside(report(PLATELETS, specimen=[there]))
    assert result["specimen"] == alone
    (result,), _ = inside(report(PLATELETS, specimen=[there, {"reference": "Specimen/two"}]))
    assert result["specimen"] is None
    (result,), _ = inside(report(changed(PLATELETS, specimen=there), specimen=[{"reference": "Specimen/two"}]))
    assert result["specimen"] == alone


REFUSED: list[tuple[Json, dict[str, str]]] = [
    (report(changed(PLATELETS, subject={"reference": STRANGER})), {"contained[0].subject": "about-somebody-else"}),
    (report(changed(PLATELETS, subject={"display": "he"})), {"contained[0].subject": "no-subject"}),
    (report(changed(PLATELETS, status=...)), {"contained[0].status": "no-status"}),
    (report(changed(PLATELETS, status="done")), {"contained[0].status": "no-status"}),
    (report(changed(PLATELETS, valueString="x")), {"contained[0].value[x]": "two-values"}),
    (report(changed(PLATELETS, code=...)), {"contained[0].code": "no-code"}),
    (report(changed(PLATELETS, status=5)), {"contained[0]": "element-wrong-type"}),
    (report(changed(PLATELETS, valueQuantity="5")), {"contained[0].valueQuantity": "element-wrong-type"}),
    (report(changed(PLATELETS, modifierExtension=[{"url": "urn:x"}])), {"contained[0].modifierExtension": "held-back-modifier"}),
    (report(changed(PLATELETS, implicitRules="urn:x")), {"contained[0].implicitRules": "held-back-modifier"}),
    (report(PLATELETS, result=[]), {"contained[0]": "result-not-named"}),
    (changed(REPORT, contained=[]), {"result[0]": "result-not-found"}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "why"), REFUSED)
def test_a_contained_result_that_cannot_be_used_costs_only_itself(resource: Json, why: dict[str, str]) -> None:
    found, rest = inside(resource)
    assert (found, rest) == ([], {"": OWN} | why)
    good = changed(PLATELETS, id="good")
    more = changed(
        resource, contained=[*resource["contained"], good], result=[*resource["result"], {"reference": "#good"}]
    )
    found, rest = inside(more)
    assert [r["element"] for r in found] == [f"contained[{len(resource['contained'])}]"]
    assert rest == {"": OWN} | why


def test_other_contained_resources_are_no_results() -> None:
    found, rest = inside(report({"resourceType": "Organization", "id": "o"}, PLATELETS, result=[{"reference": "#o1"}]))
    assert ([r["element"] for r in found], rest) == (["contained[1]"], {"": OWN})


# --- blood products ---------------------------------------------------------------------------------------------------


def test_a_delivered_blood_product() -> None:
    names = ("code_text", "dtc", "dose", "dose_unit_text", "status", "element")
    assert picked(row(SUPPLY), *names) == ("apheresis platelets", "2024-01-02", "1", "U", "completed", "")
    two = {"itemCodeableConcept": {"text": "plasma"}, "quantity": {"value": 200, "code": "mL"}}
    both = changed(SUPPLY, suppliedItem=[SUPPLY["suppliedItem"], None, two])  # R5
    found = rows(take(both), "SupplyDelivery")
    assert [picked(r, "code_text", "dose", "element") for r in found] == [
        ("apheresis platelets", "1", ""),
        ("plasma", "200", "suppliedItem[1]"),
    ]


def test_an_item_that_nobody_names_is_still_counted() -> None:
    for item in (..., {}, {"itemReference": {"reference": "Device/1"}}):
        assert picked(row(changed(SUPPLY, suppliedItem=item)), "code", "code_text") == (None, None)


def test_ward_stock_is_nobody_s() -> None:
    assert dict(take(changed(SUPPLY, patient=...)).dropped) == {("SupplyDelivery", "not-a-subject"): 1}
    taken = take(changed(SUPPLY, patient={"display": "Mr. Belpit"}))  # an HL7 example
    assert [r.reason for r in taken.rejects] == ["no-subject"]


def test_a_dispensed_blood_product() -> None:
    bag = {"BiologicallyDerivedProduct/b": LookUp("urn:isbt|E0", "platelets, apheresis", None, "W1", None)}
    there = changed(
        DISPENSE, product={"reference": "BiologicallyDerivedProduct/b"}, quantity={"value": 1, "unit": "bag"}
    )
    names = ("code", "code_text", "lot", "dtc", "dose", "dose_unit_text")
    assert picked(row(there, look_ups=bag), *names) == (
        "urn:isbt|E0", "platelets, apheresis", "W1", "2024-01-02", "1", "bag",
    )  # fmt: skip
    assert [(r.reason, r.where) for r in take(there).rejects] == [("medication-not-found", "product")]
    held = {
        "resourceType": "BiologicallyDerivedProduct",
        "id": "b",
        "productCode": {"text": "RBC"},
        "identifier": [{"value": "W2"}],
    }
    inner = changed(DISPENSE, product={"reference": "#b"}, contained=[held], whenHandedOver=...)
    assert picked(row(inner), "code_text", "lot", "dtc") == ("RBC", "W2", None)

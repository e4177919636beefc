"""From stored rows to usable facts: status, withdrawal, data cut, future dates, and the last day somebody was seen."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from adapter.enrolment import Enrolled
from adapter.identify import Subject
from adapter.intake.events import EVENT_STATUSES, STATEMENT_STATUSES
from adapter.intake.observation import STATUSES
from adapter.intake.supplies import DISPENSE_STATUSES, SUPPLY_STATUSES
from adapter.usable import Usable, last_believable_day, usable_facts
from tests.lines import (
    ADMINISTRATION,
    CONSENT,
    DISPENSE,
    KEYER,
    OBSERVATION,
    PATIENT,
    PROCEDURE,
    RESEARCH_SUBJECT,
    SPECIMEN,
    STATEMENT,
    SUPPLY,
    Json,
    changed,
    day,
    take,
)

NEVER = 2_000_000_000
ME = Subject("T-01-1", Enrolled("s", "1", "01"), (KEYER.keyed("Patient/s"),), KEYER.keyed("Patient/s"))


def usable(*resources: Json, own: str = "", cut: str = "2030-01-01", preliminary: bool = False) -> Usable:
    own_cut = day(own) if own else NEVER
    return usable_facts(take(*resources).tables, [ME], [own_cut], day(cut), preliminary, 1)


def last(*resources: Json, own: str = "", preliminary: bool = False) -> int | None:
    return last_believable_day(take(*resources).tables, [ME], [day(own) if own else NEVER], preliminary, 1)


def frame(found: Usable, kind: str) -> list[Json]:
    rows: list[Json] = found.facts[kind].frame.to_dict("records")
    return [{k: None if v != v else v for k, v in r.items()} for r in rows]


def lost(found: Usable) -> dict[tuple[str, str], int]:
    return {k: n for k, n in found.dropped.items() if n}


# --- status ----------------------------------------------------------------------------------------------------------

ERROR, UNKNOWN, PLANNED = "status-entered-in-error", "status-unknown", "status-planned"
CANCELLED, NOT_FINAL = "status-cancelled", "status-not-final"
STATUS: list[tuple[Json, str, str]] = [
    *((OBSERVATION, s, "") for s in ("final", "amended", "corrected")),
    (OBSERVATION, "preliminary", NOT_FINAL),
    (OBSERVATION, "registered", NOT_FINAL),
    (OBSERVATION, "cancelled", CANCELLED),
    (OBSERVATION, "entered-in-error", ERROR),
    (OBSERVATION, "unknown", UNKNOWN),
    # the part given of what was stopped or held is a record; what was not done is one of EC: the domains decide
    *((ADMINISTRATION, s, "") for s in ("completed", "in-progress", "stopped", "on-hold", "not-done")),
    (ADMINISTRATION, "entered-in-error", ERROR),
    (ADMINISTRATION, "unknown", UNKNOWN),
    *((PROCEDURE, s, "") for s in ("completed", "in-progress", "stopped", "on-hold", "not-done")),
    (PROCEDURE, "preparation", PLANNED),
    (PROCEDURE, "entered-in-error", ERROR),
    (PROCEDURE, "unknown", UNKNOWN),
    # fhir-input points 1 and 16: stopped means taken, not-taken and intended mean not
    *((STATEMENT, s, "") for s in ("active", "completed", "stopped", "on-hold", "recorded")),
    (STATEMENT, "intended", PLANNED),
    (STATEMENT, "draft", PLANNED),
    (STATEMENT, "not-taken", "not-done"),
    (STATEMENT, "entered-in-error", ERROR),
    (STATEMENT, "unknown", UNKNOWN),
    (SUPPLY, "completed", ""),
    (SUPPLY, "in-progress", PLANNED),
    (SUPPLY, "abandoned", CANCELLED),
    (SUPPLY, "entered-in-error", ERROR),
    (DISPENSE, "issued", ""),
    *((DISPENSE, s, PLANNED) for s in ("preparation", "in-progress", "allocated")),
    *((DISPENSE, s, CANCELLED) for s in ("unfulfilled", "returned")),
    (DISPENSE, "entered-in-error", ERROR),
    (DISPENSE, "unknown", UNKNOWN),
    *((SPECIMEN, s, "") for s in ("available", "unavailable", "unsatisfactory")),
    (SPECIMEN, "entered-in-error", ERROR),
    (CONSENT, "active", ""),
    (CONSENT, "inactive", ""),
    (CONSENT, "draft", PLANNED),
    (CONSENT, "proposed", PLANNED),
    (CONSENT, "entered-in-error", ERROR),
]


@pytest.mark.parametrize(
    ("resource", "status", "reason"), STATUS, ids=[f"{r['resourceType']} {s}" for r, s, _ in STATUS]
)
def test_statuses(resource: Json, status: str, reason: str) -> None:
    found = usable(changed(resource, status=status))
    kind = resource["resourceType"]
    assert lost(found) == ({(kind, reason): 1} if reason else {})
    assert len(found.facts[kind].frame) == (not reason)


def test_every_status_was_tried() -> None:
    assert {s for r, s, _ in STATUS if r is OBSERVATION} == STATUSES
    assert {s for r, s, _ in STATUS if r is STATEMENT} == STATEMENT_STATUSES
    assert {s for r, s, _ in STATUS if r is SUPPLY} == SUPPLY_STATUSES
    assert {s for r, s, _ in STATUS if r is DISPENSE} == DISPENSE_STATUSES
    assert {s for r, s, _ in STATUS if r is PROCEDURE} == EVENT_STATUSES


def test_a_delivery_without_a_status_may_never_have_come() -> None:
    """SupplyDelivery.status is optional in FHIR."""
    assert lost(usable(changed(SUPPLY, status=...))) == {("SupplyDelivery", UNKNOWN): 1}


def test_preliminary_results_where_the_trial_allows_them() -> None:
    found = usable(changed(OBSERVATION, status="preliminary"), preliminary=True)
    assert lost(found) == {}
    assert len(found.facts["Observation"].frame) == 1
    assert lost(usable(changed(OBSERVATION, status="registered"), preliminary=True)) == {("Observation", NOT_FINAL): 1}


def test_a_panel_falls_as_one_resource() -> None:
    part = {"code": {"text": "x"}, "valueInteger": 1}
    found = usable(changed(OBSERVATION, status="cancelled", component=[part, part]))
    assert lost(found) == {("Observation", CANCELLED): 1}
    assert len(found.facts["Observation"].frame) == 0


def test_only_the_latest_version_is_looked_at() -> None:
    """preliminary → final → entered-in-error: the last word counts, and every other copy is counted."""
    chain = [
        changed(OBSERVATION, status=s, meta={"lastUpdated": f"2024-01-0{i}T00:00:00Z"})
        for i, s in enumerate(["preliminary", "final", "entered-in-error"], 2)
    ]
    found = usable(chain[2], chain[0], chain[1], chain[1])
    assert lost(found) == {("Observation", "superseded-version"): 3, ("Observation", ERROR): 1}
    found = usable(chain[1], chain[0], chain[1])
    assert lost(found) == {("Observation", "superseded-version"): 1, ("Observation", "duplicate-copy"): 1}


def test_every_fact_has_its_subject_and_its_keyed_columns() -> None:
    found = usable(OBSERVATION, PATIENT, ADMINISTRATION)
    for kind in ("Observation", "Patient", "MedicationAdministration"):
        assert found.facts[kind].frame["USUBJID"].tolist() == ["T-01-1"]
        assert found.facts[kind].keyed.num_rows == 1
        assert not {"pat", "rid", "sha"} & set(found.facts[kind].frame.columns)
    assert set(found.facts) == {
        "Observation", "MedicationAdministration", "Procedure", "Patient", "Specimen", "Consent", "ResearchSubject",
        "MedicationStatement", "SupplyDelivery", "BiologicallyDerivedProductDispense", "DiagnosticReport",
        "Condition", "AdverseEvent", "Encounter",
    }  # fmt: skip
    assert len(found.facts["Procedure"].frame) == 0


def test_rows_of_people_who_are_not_asked_for_are_left_alone() -> None:
    tables = take(OBSERVATION).tables
    other = Subject("T-01-2", Enrolled("t", "2", "01"), (KEYER.keyed("Patient/t"),), KEYER.keyed("Patient/t"))
    found = usable_facts(tables, [other], [NEVER], day("2030-01-01"), False, 1)
    assert len(found.facts["Observation"].frame) == 0
    assert (lost(found), found.last_seen) == ({}, {})
    assert last_believable_day(tables, [other], [NEVER], False, 1) is None


# --- the cuts --------------------------------------------------------------------------------------------------------

CUTS: list[tuple[Json, str, str]] = [
    # OBSERVATION is at 2024-01-02T07:30 of the site
    ({}, "2024-01-02", ""),
    ({}, "2024-01-01", "late"),
    ({"effectiveDateTime": "2024-01-02T23:59:59+08:00"}, "2024-01-02", ""),
    ({"effectiveDateTime": "2024-01-02T16:00:00Z"}, "2024-01-02", "late"),
    ({"effectiveDateTime": ...}, "1999-01-01", ""),
    ({"effectiveDateTime": "2024"}, "2024-05-01", ""),
    ({"effectiveDateTime": "2024-05"}, "2024-05-01", ""),
    ({"effectiveDateTime": "2024-05"}, "2024-04-30", "late"),
    ({"effectiveDateTime": "2025"}, "2024-12-31", "late"),
    ({"effectiveDateTime": ..., "effectivePeriod": {"end": "2024-01-03"}}, "2024-01-02", "late"),
    ({"effectiveDateTime": ..., "effectivePeriod": {"end": "2024-01-03"}}, "2024-01-03", ""),
    ({"effectiveDateTime": ..., "issued": "2024-01-02T16:00:00Z"}, "2024-01-02", "late"),
]


@pytest.mark.parametrize(("change", "cut", "late"), CUTS)
def test_nothing_dated_after_the_cut_stays(change: Json, cut: str, late: str) -> None:
    o = changed(OBSERVATION, **change)
    assert lost(usable(o, cut=cut)) == ({("Observation", "after-data-cut"): 1} if late else {})
    assert lost(usable(o, own=cut)) == ({("Observation", "after-withdrawal"): 1} if late else {})
    assert len(usable(o, cut=cut).facts["Observation"].frame) == (not late)


def test_the_data_cut_comes_before_the_withdrawal_in_the_counts() -> None:
    found = usable(
        OBSERVATION, changed(OBSERVATION, id="o2", effectiveDateTime="2024-03-01"), own="2024-01-01", cut="2024-02-01"
    )
    assert lost(found) == {("Observation", "after-withdrawal"): 1, ("Observation", "after-data-cut"): 1}


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        (changed(ADMINISTRATION, effectiveDateTime="2024-06-01"), "MedicationAdministration"),
        (changed(PROCEDURE, performedDateTime="2024-06-01"), "Procedure"),
        (changed(SPECIMEN, collection={"collectedDateTime": "2024-06-01"}), "Specimen"),
        (changed(CONSENT, dateTime="2024-06-01"), "Consent"),
        (changed(RESEARCH_SUBJECT, period={"start": "2024-06-01"}), "ResearchSubject"),
    ],
)
def test_every_type_is_cut(resource: Json, kind: str) -> None:
    assert lost(usable(resource, cut="2024-05-31")) == {(kind, "after-data-cut"): 1}
    assert lost(usable(resource, cut="2024-06-01")) == {}


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        ("2024-01-01", "2024-01-31", "2024-01-31"),
        ("2024-01-01", "2024-02-01", None),
        ("2024-01-01", "2024-01-31T16:00:00Z", None),
        ("2024-01-01", "2024-02", None),
        ("2024-01-01", "2024-01", "2024-01"),
        ("2024-01", "2025", None),
    ],
)
@pytest.mark.parametrize("status", ["completed", "stopped"])
def test_an_end_after_the_cut_is_not_known_yet(start: str, end: str, kept: str | None, status: str) -> None:
    event = changed(ADMINISTRATION, status=status, effectiveDateTime=..., effectivePeriod={"start": start, "end": end})
    (row,) = frame(usable(event, cut="2024-01-31"), "MedicationAdministration")
    assert (row["dtc"], row["end_dtc"]) == (start, kept)
    if kept is None:
        assert (row["end_day"], row["end_micros"]) == (None, None)
        assert row["open"] is True  # it went on at the cut
        assert row["notes"] == "end-after-cut@end"
        assert row["status"] == ("completed" if status == "completed" else "in-progress")
    else:
        assert (row["open"], row["notes"], row["status"]) == (False, None, status)


def test_notes_are_added_to_those_there_are() -> None:
    event = changed(
        ADMINISTRATION,
        effectiveDateTime=...,
        effectivePeriod={"start": "2024-01-01", "end": "2024-02-01"},
        dosage={"dose": {"value": "x"}},
    )
    (row,) = frame(usable(event, cut="2024-01-31"), "MedicationAdministration")
    assert row["notes"] == "decimal-dropped@dosage.dose.value\nend-after-cut@end"


DEATHS: list[tuple[str, str, Any]] = [
    ("2024-01-02", "2024-01-02", True),
    ("2024-01-03", "2024-01-02", None),
    ("2024-02", "2024-01-31", None),
    ("2024", "2024-01-31", True),
]


@pytest.mark.parametrize(("died", "cut", "deceased"), DEATHS)
def test_a_death_after_the_cut_has_not_happened(died: str, cut: str, deceased: Any) -> None:
    p = changed(PATIENT, deceasedDateTime=died)
    for told, found in ((True, usable(p, cut=cut)), (False, usable(p, own=cut))):
        (row,) = frame(found, "Patient")
        assert lost(found) == {}
        assert row["deceased"] is deceased
        assert row["dtc"] == (died if deceased else None)
        assert row["birth_dtc"] == "1980-02-29"
        # after a withdrawal of consent not even the fact that something came later is told
        assert row["notes"] == ("death-after-cut@deceasedDateTime" if told and not deceased else None)


def test_a_birth_is_never_cut() -> None:
    (row,) = frame(usable(PATIENT, cut="1970-01-01"), "Patient")
    assert row["birth_dtc"] == "1980-02-29"


# --- future dates ----------------------------------------------------------------------------------------------------

FUTURE: list[tuple[str, str, bool]] = [
    ("2024-01-02", "2024-01-02T00:00:00Z", False),
    ("2024-01-03", "2024-01-02T00:00:00Z", False),
    ("2024-01-04", "2024-01-02T00:00:00Z", True),
    # the date line: 10:30 UTC is the 3rd already in the farthest zone, so the 4th is a day later and the 5th two
    ("2024-01-04", "2024-01-02T10:30:00Z", False),
    ("2024-01-05", "2024-01-02T10:30:00Z", True),
    ("2024-01-04", "2024-01-02T09:59:59Z", True),
    ("2025", "2024-01-02T00:00:00Z", True),
    ("2024", "2024-06-01T00:00:00Z", False),
    ("2099-01-01", "", False),  # without lastUpdated nothing is known
    ("2099-01-01", "2024-01-02T00:00:00", False),  # nor with one that is no instant
]


@pytest.mark.parametrize(("date", "updated", "future"), FUTURE)
def test_dates_in_the_future(date: str, updated: str, future: bool) -> None:
    meta = {"lastUpdated": updated} if updated else {}
    o = changed(OBSERVATION, effectiveDateTime=date, meta=meta)
    found = usable(o, cut="2100-01-01")
    (row,) = frame(found, "Observation")
    assert row["dtc"] == date  # it stays, and a human looks
    assert row["notes"] == ("date-in-future@date" if future else None)
    whole = len(date) == 10
    assert found.last_seen == ({} if future or not whole else {"T-01-1": day(date)})
    assert last(o) == (None if future else day((date + "-01-01")[:10]))


def test_an_end_in_the_future() -> None:
    p = changed(
        PROCEDURE,
        meta={"lastUpdated": "2024-01-02T00:00:00Z"},
        performedDateTime=...,
        performedPeriod={"start": "2024-01-02", "end": "2034-01-02"},
    )
    found = usable(p, cut="2100-01-01")
    assert frame(found, "Procedure")[0]["notes"] == "date-in-future@date"
    assert (found.last_seen, last(p)) == ({}, None)


# --- last seen -------------------------------------------------------------------------------------------------------

START, END = "2024-01-02", "2024-01-09"
EVENT = {"effectiveDateTime": ..., "effectivePeriod": {"start": START, "end": END}}
AT = "2024-01-02T14:30:00+08:00"
MOMENT = {"effectiveDateTime": ..., "effectivePeriod": {"start": AT, "end": AT}}
SEEN: dict[str, tuple[Json, str | None]] = {
    "a result": (OBSERVATION, START),
    "a preliminary result": (changed(OBSERVATION, status="preliminary"), START),
    "a registered result": (changed(OBSERVATION, status="registered"), None),
    "a cancelled result": (changed(OBSERVATION, status="cancelled"), None),
    "a result in error": (changed(OBSERVATION, status="entered-in-error"), None),
    "a result of a donor": (changed(OBSERVATION, focus=[{"reference": "Patient/d"}]), None),
    "a finished result over days": (changed(OBSERVATION, **EVENT), END),
    "a finished administration": (changed(ADMINISTRATION, **EVENT), END),
    "one under way": (changed(ADMINISTRATION, status="in-progress", **EVENT), START),
    "one stopped": (changed(ADMINISTRATION, status="stopped", **EVENT), START),
    "one not done": (changed(ADMINISTRATION, status="not-done"), None),
    "one on hold": (changed(ADMINISTRATION, status="on-hold"), None),
    "one on hold from its start": (
        changed(ADMINISTRATION, status="on-hold", **MOMENT),
        None,
    ),
    "one on hold, a part given": (changed(ADMINISTRATION, status="on-hold", dosage={"dose": {"value": 1}}), START),
    "a procedure": (PROCEDURE, START),
    "a planned procedure": (changed(PROCEDURE, status="preparation"), None),
    "a procedure of unknown status": (changed(PROCEDURE, status="unknown"), None),
    "a partial date": (changed(PROCEDURE, performedDateTime="2024-01"), None),
    "what somebody states": (changed(STATEMENT, status="active"), None),
    "what a blood bank gave out": (SUPPLY, None),
    "what a blood bank dispensed": (DISPENSE, None),
    "a procedure on a donor": (changed(PROCEDURE, focus={"reference": "RelatedPerson/d"}), None),
    "a death": (changed(PATIENT, deceasedDateTime=START), None),
    "a consent": (CONSENT, None),
    "a specimen": (changed(SPECIMEN, collection={"collectedDateTime": START}), None),
    "a plan": (changed(RESEARCH_SUBJECT, period={"start": START, "end": "2030-01-01"}), None),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_proves_that_somebody_was_seen(name: str) -> None:
    resource, expected = SEEN[name]
    assert usable(resource).last_seen == ({"T-01-1": day(expected)} if expected else {})


def test_last_seen_is_the_last_of_all_and_never_after_the_cut() -> None:
    many = [changed(OBSERVATION, id=f"o{i}", effectiveDateTime=f"2024-01-{i:02d}") for i in (3, 9, 5)]
    assert usable(*many, PROCEDURE).last_seen == {"T-01-1": day("2024-01-09")}
    assert usable(*many, cut="2024-01-08").last_seen == {"T-01-1": day("2024-01-05")}
    assert usable(*many, own="2024-01-05").last_seen == {"T-01-1": day("2024-01-05")}
    over = changed(ADMINISTRATION, **EVENT)
    assert usable(over, cut="2024-01-08").last_seen == {"T-01-1": day(START)}


# --- the default cut -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([], None),
        ([OBSERVATION, changed(PROCEDURE, performedDateTime="2024-01-05")], "2024-01-05"),
        ([changed(ADMINISTRATION, **EVENT)], END),
        ([changed(PATIENT, deceasedDateTime="2024-03-01"), OBSERVATION], "2024-03-01"),
        ([PATIENT], None),  # a birth is no clinical fact
        ([CONSENT], "2024-01-02"),
        ([changed(OBSERVATION, status="preliminary")], None),
        ([changed(OBSERVATION, status="entered-in-error")], None),
        ([changed(OBSERVATION, effectiveDateTime=..., issued="2024-01-05T00:00:00Z")], "2024-01-05"),
        (
            [changed(OBSERVATION, issued="2024-05-05T00:00:00Z", meta={"lastUpdated": "2024-06-01T00:00:00Z"})],
            "2024-01-02",
        ),
        ([changed(RESEARCH_SUBJECT, period={"start": "2024-01-01", "end": "2034-01-01"})], None),
        ([changed(SPECIMEN, collection={"collectedDateTime": "2034-01-01"})], None),
        ([OBSERVATION, changed(PROCEDURE, performedDateTime="2024-05")], "2024-05-01"),
    ],
)
def test_the_default_data_cut(resources: list[Json], expected: str | None) -> None:
    assert last(*resources) == (day(expected) if expected else None)


def test_what_came_after_a_withdrawal_moves_no_cut() -> None:
    later = changed(PROCEDURE, performedDateTime="2024-05-01")
    assert last(OBSERVATION, later, own="2024-02-01") == day("2024-01-02")
    assert last(later, own="2024-02-01") is None


def test_a_preliminary_result_makes_a_cut_where_the_trial_uses_it() -> None:
    assert last(changed(OBSERVATION, status="preliminary"), preliminary=True) == day("2024-01-02")


def test_the_survey_reads_few_columns() -> None:
    tables = take(OBSERVATION, changed(ADMINISTRATION, **EVENT)).tables
    few = ["pat", "rid", "sha", "updated", "version", "file", "line", "status", "element", "day", "end_day"]
    narrow = {k: t.select([c for c in few if c in t.column_names]) for k, t in tables.items()}
    assert last_believable_day(narrow, [ME], [NEVER], False, 1) == day(END)


def test_several_people_at_once_each_with_a_cut_of_their_own() -> None:
    other = Subject("T-01-2", Enrolled("t", "2", "01"), (KEYER.keyed("Patient/t"),), KEYER.keyed("Patient/t"))
    tables = take(OBSERVATION, changed(OBSERVATION, id="o2", effectiveDateTime="2024-03-01")).tables
    both = {
        k: pa.concat_tables(
            [t, t.set_column(0, t.schema.field(0), pa.array(other.identities * t.num_rows, pa.binary(16)))]
        )
        for k, t in tables.items()
    }
    twin = both["Observation"]
    rid = twin.column("rid").to_pylist()
    rid[2:] = [KEYER.keyed(f"other {i}") for i in range(2)]
    both["Observation"] = twin.set_column(1, twin.schema.field(1), pa.array(rid, pa.binary(16)))
    found = usable_facts(both, [ME, other], [day("2024-02-01"), NEVER], day("2024-03-01"), False, 1)
    kept = found.facts["Observation"].frame.groupby("USUBJID")["dtc"].apply(sorted).to_dict()
    assert kept == {"T-01-1": ["2024-01-02T07:30:00"], "T-01-2": ["2024-01-02T07:30:00", "2024-03-01"]}
    assert found.last_seen == {"T-01-1": day("2024-01-02"), "T-01-2": day("2024-03-01")}
    assert lost(found) == {("Observation", "after-withdrawal"): 1}

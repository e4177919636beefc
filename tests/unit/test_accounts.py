"""The accounts: every resource is used or dropped under one reason, and every issue points to its record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.accounts import Accounts, Issue, Refused, close
from adapter.reasons import REASONS
from adapter.records import Facts, Records, issues_of, parents_of


def rid(row: int) -> bytes:
    return row.to_bytes(16, "big")


def facts(*places: tuple[int, int, str], kind: str = "Observation", notes: dict[int, str] | None = None) -> Facts:
    """Return facts whose rows stand at these (file, line, element)."""
    frame = pd.DataFrame(places, columns=["file", "line", "element"])
    frame["USUBJID"] = pd.Series(["S"] * len(frame), dtype="str")
    frame["notes"] = pd.Series([(notes or {}).get(i) for i in range(len(frame))], dtype=object)
    return Facts(kind, frame, pa.table({"rid": pa.array([rid(i) for i in range(len(frame))], pa.binary(16))}))


def records(f: Facts | None, *rows: int, dropped: dict[int, str] | None = None, **more: Any) -> Records:
    """Return records made of these rows of some facts; -1: a record without a source."""
    frame = pd.DataFrame({"row": rows, "resource": f.resource_type if f else ""})
    frame["USUBJID"] = "S"
    if f is not None:
        frame["notes"] = [f.frame["notes"].iloc[r] if r >= 0 else None for r in rows]
    lost = pd.Series(list((dropped or {}).values()), index=list(dropped or {}), dtype="str")
    return Records(frame, dropped={f.resource_type: lost} if f else {}, **more)


THREE = facts((0, 1, ""), (0, 2, ""), (1, 1, ""))


def test_used_dropped_and_not_needed() -> None:
    found = close({"Observation": THREE}, {"LB": records(THREE, 0, dropped={1: "unmapped-code"})}, {})
    assert found.used == {"Observation": 1}
    assert found.dropped == {("Observation", "unmapped-code"): 1, ("Observation", "not-needed"): 1}
    assert (found.refused, found.issues) == ([], [])


def test_a_resource_that_two_datasets_use_is_used_once() -> None:
    found = close({"Observation": THREE}, {"EC": records(THREE, 0, 0), "EX": records(THREE, 0, 1)}, {})
    assert found.used == {"Observation": 2}


def test_what_one_dataset_drops_and_another_uses_is_used() -> None:
    both = {"EX": records(THREE, dropped={0: "not-done"}), "EC": records(THREE, 0)}
    assert close({"Observation": THREE}, both, {}).used == {"Observation": 1}
    assert close({"Observation": THREE}, both, {}).dropped == {("Observation", "not-needed"): 2}


def test_the_first_dataset_that_gives_a_reason_names_it() -> None:
    both = {"CM": records(THREE, dropped={0: "not-done"}), "PR": records(THREE, dropped={0: "status-planned"})}
    assert close({"Observation": THREE}, both, {}).dropped["Observation", "not-done"] == 1


def test_a_further_source_counts_as_used() -> None:
    parents = parents_of([0], "RFSTDTC", "Observation", np.array([2]))
    assert close({"Observation": THREE}, {"DM": records(None, -1, parents=parents)}, {}).used == {"Observation": 1}


PANEL = facts((0, 1, ""), (0, 1, "component[0]"), (0, 1, "component[1]"), (0, 2, ""))


@pytest.mark.parametrize(
    ("used", "dropped", "expected"),
    [
        # one component is enough
        ([1], {0: "panel-without-value", 2: "no-result"}, (1, {"not-needed": 1})),
        ([1, 2], {0: "panel-without-value"}, (1, {"not-needed": 1})),
        # the reason of a component says more than that of the panel
        (
            [],
            {0: "panel-without-value", 1: "unmapped-code", 2: "no-result"},
            (0, {"unmapped-code": 1, "not-needed": 1}),
        ),
        ([], {0: "panel-without-value"}, (0, {"panel-without-value": 1, "not-needed": 1})),
        ([], {}, (0, {"not-needed": 2})),
        ([0], {1: "unmapped-code", 3: "no-result"}, (1, {"no-result": 1})),
    ],
)
def test_panels_count_as_one_resource(used: list[int], dropped: dict[int, str], expected: tuple[int, Any]) -> None:
    found = close({"Observation": PANEL}, {"LB": records(PANEL, *used, dropped=dropped)}, {})
    assert found.used["Observation"] == expected[0]
    assert {reason: n for (_, reason), n in found.dropped.items()} == expected[1]


def test_a_component_that_is_refused_is_told_though_its_panel_is_used() -> None:
    made = records(PANEL, 1, dropped={0: "panel-without-value", 2: "unit-unknown"})
    found = close({"Observation": PANEL}, {"LB": made}, {})
    assert found.used == {"Observation": 1}
    assert ("Observation", "unit-unknown") not in found.dropped
    assert found.refused == [Refused(0, 1, "Observation", rid(2), "unit-unknown", "component[1]")]


def test_a_drop_is_no_reject() -> None:
    found = close({"Observation": THREE}, {"LB": records(THREE, dropped={0: "unit-unknown", 1: "unmapped-code"})}, {})
    assert [(r.reason, r.file, r.line, r.where) for r in found.refused] == [("unit-unknown", 0, 1, "")]


def test_a_refused_row_that_another_dataset_uses_is_not_refused() -> None:
    both = {"LB": records(THREE, dropped={0: "unit-unknown"}), "PR": records(THREE, 0)}
    assert close({"Observation": THREE}, both, {}).refused == []


def test_facts_without_rows_have_no_accounts() -> None:
    assert close({"Observation": facts()}, {"LB": records(None)}, {}) == Accounts()


# --- issues ----------------------------------------------------------------------------------------------------------


def test_notes_become_issues_with_the_number_of_their_record() -> None:
    f = facts((0, 1, ""), (0, 2, ""), notes={1: "date-malformed@effectiveDateTime\nend-after-cut@end"})
    sequence = pd.Series([7.0, 3.0], index=[0, 1])  # label of the record -> --SEQ, in whatever order
    found = close({"Observation": f}, {"LB": records(f, 0, 1)}, {"LB": sequence})
    assert found.issues == [
        Issue("S", "LB", "3", rid(1).hex(), code, f"{REASONS[code].meaning} (Observation.{where})")
        for code, where in (("date-malformed", "effectiveDateTime"), ("end-after-cut", "end"))
    ]


def test_notes_of_what_is_not_used_are_no_issues() -> None:
    f = facts((0, 1, ""), notes={0: "date-malformed@x"})
    assert close({"Observation": f}, {"LB": records(f, dropped={0: "unmapped-code"})}, {}).issues == []


def test_issues_of_a_records_function() -> None:
    made = records(THREE, 2, 0, -1)
    made.frame.index = pd.Index([10, 11, 12])
    made.issues = pd.concat(
        [
            issues_of([11, 12], ["S", "S"], "dose-unit-unknown", "why"),
            issues_of([-1], ["T"], "no-patient-resource", "none"),
        ]
    )
    found = close({"Observation": THREE}, {"EC": made}, {"EC": pd.Series([1.0, 2.0, 3.0], index=[12, 11, 10])})
    assert found.issues == [
        Issue("S", "EC", "2", rid(0).hex(), "dose-unit-unknown", "why"),
        Issue("S", "EC", "1", "", "dose-unit-unknown", "why"),
        Issue("T", "EC", "", "", "no-patient-resource", "none"),
    ]


def test_a_dataset_without_a_sequence_has_issues_all_the_same() -> None:
    made = records(THREE, 0, issues=issues_of([0], ["S"], "age-unknown", "why"))
    expected = [Issue("S", "DM", "", rid(0).hex(), "age-unknown", "why")]
    for sequences in ({}, {"DM": pd.Series(dtype=float)}):
        assert close({"Observation": THREE}, {"DM": made}, sequences).issues == expected


def test_no_issues_is_no_error() -> None:
    made = records(THREE, 0, issues=issues_of([], [], "age-unknown", "why"))
    assert close({"Observation": THREE}, {"DM": made}, {}).issues == []


def test_unmapped_codes_are_counted() -> None:
    frame = pd.DataFrame(
        {"kind": "Observation", "code": ["a|1", "a|1", ""], "text": ["x", "x", "y"], "used": [True, True, False]}
    )
    found = close({}, {"LB": records(None, unmapped=frame), "CM": records(None, unmapped=frame[:1])}, {})
    assert found.unmapped == {("Observation", "a|1", "x", "Y"): 3, ("Observation", "", "y", "N"): 1}


# --- any frames ------------------------------------------------------------------------------------------------------

CODES = st.sampled_from(["unmapped-code", "unit-unknown", "panel-without-value", "not-done", "no-result"])
DATASETS = ("LB", "CM", "EC")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Facts, dict[str, Records]]:
    lines = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=6, unique=True))
    places = [
        (file, line, f"component[{i}]" if i >= 0 else "")
        for file, line in lines
        for i in range(-1, draw(st.integers(0, 3)))
    ]
    f = facts(*draw(st.permutations(places)))
    some = st.lists(st.integers(0, len(places) - 1), max_size=5)
    made = {}
    for name in DATASETS:
        used = draw(some)
        dropped = {r: draw(CODES) for r in draw(some) if r not in used}
        made[name] = records(f, *used, dropped=dropped)
    return f, made


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_the_accounts_always_balance(world: tuple[Facts, dict[str, Records]]) -> None:
    f, made = world
    found = close({"Observation": f}, made, {})
    places = list(zip(f.frame["file"], f.frame["line"], strict=True))
    taken = {places[r] for m in made.values() for r in m.frame["row"]}
    assert found.used["Observation"] == len(taken)
    assert found.used["Observation"] + sum(found.dropped.values()) == len(set(places))
    assert {code for _, code in found.dropped} <= set(REASONS)
    assert all(n > 0 for n in found.dropped.values())
    used_rows = {r for m in made.values() for r in m.frame["row"]}
    first: dict[int, str] = {}
    for m in made.values():
        for r, code in m.dropped.get("Observation", pd.Series(dtype=str)).items():
            first.setdefault(int(str(r)), code)
    refused = {r for r, code in first.items() if code == "unit-unknown" and r not in used_rows}
    assert {x.rid for x in found.refused} == {rid(r) for r in refused}
    assert len(found.refused) == len(refused)


def test_accounts_add_up() -> None:
    one = close({"Observation": THREE}, {"LB": records(THREE, 0, dropped={1: "unit-unknown"})}, {})
    two = Accounts()
    two.add(one)
    two.add(one)
    assert two.used == {"Observation": 2}
    assert two.dropped == {("Observation", "unit-unknown"): 2, ("Observation", "not-needed"): 2}
    assert len(two.refused) == 2

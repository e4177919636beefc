"""Every rule and edge of protocol §4 to §6 on one subject each: what is known of the subject, and what must come out.

Days are study days (1 = first treatment); hand-made, not copied from what the program says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from tests.analysis import DAY0, Subject, analysed, by_parameter, frames, iso, trial_of

Expected = tuple[Any, ...]


def at(day: int) -> int:
    """Return the day number of a study day."""
    return DAY0 + day - (1 if day > 0 else 0)


def counts(analyte: str, days: Mapping[int, Any] | range, value: Any = None) -> list[tuple[str, int, int, str]]:
    """Return results by study day: one value for a range of days, or a value (or several) for each."""
    if isinstance(days, range):
        return [(analyte, at(d), 6, str(value)) for d in days if d]
    found = []
    for day, given in days.items():
        for n, one in enumerate(given if isinstance(given, list) else [given]):
            found.append((analyte, at(day), 6 + 6 * n, str(one)))
    return found


def of(**more: Any) -> Subject:
    """Return a subject whose counts are low on every day to study day 60 unless told otherwise."""
    spans = {k: [(at(a), at(b)) for a, b in more.pop(k)] for k in ("platelets", "red_cells", "g_csf") if k in more}
    return Subject(**spans, **more)


LOW = {"ANC": "0.2", "PLT": "10", "HGB": "60"}


def with_runs(low_to: int = 60, **runs: Any) -> list[tuple[str, int, int, str]]:
    """Return low counts on every day to `low_to`, but for the analytes and days of `runs` (analyte -> {day: value})."""
    found = []
    for analyte, low in LOW.items():
        days: dict[int, Any] = dict.fromkeys((d for d in range(-3, low_to + 1) if d), low)
        days |= runs.get(analyte, {})
        found += counts(analyte, {d: v for d, v in days.items() if v is not None})
    return found


def days(first: int, last: int, value: Any) -> dict[int, Any]:
    return {d: value for d in range(first, last + 1) if d}


RESPONSES: dict[str, tuple[Subject, dict[str, Expected]]] = {
    # --- §4, §5: thresholds, lengths, horizon -------------------------------------------------------------------
    "neutrophils exactly at the threshold do not meet > 0.5": (
        of(results=with_runs(ANC=days(10, 30, "0.5"))),
        {"NEUT": ("N", None), "NEUTR": ("Y", 10)},  # the registry asks for >= 0.5
    ),
    "neutrophils above it on three days": (of(results=with_runs(ANC=days(10, 12, "0.51"))), {"NEUT": ("Y", 10)}),
    "two days, then a gap, then one": (
        of(results=with_runs(ANC=days(10, 11, "0.6") | {12: None, 13: "0.6"})),
        {"NEUT": ("N", None), "NEUTM": ("Y", 10)},
    ),
    "platelets exactly at the threshold meet >= 20": (
        of(results=with_runs(PLT=days(20, 26, "20"))),
        {"PLTRESP": ("PR", 20), "PLTRESPR": ("PR", 20)},
    ),
    "six days are not seven": (of(results=with_runs(PLT=days(20, 25, "90"))), {"PLTRESP": ("NR", None)}),
    "complete response is dated by its own run": (
        of(results=with_runs(PLT=days(12, 30, "30") | days(20, 26, "50"))),
        {"PLTRESP": ("CR", 20)},
    ),
    "a second value of the day below the threshold": (
        of(results=with_runs(PLT=days(20, 26, "30") | {23: ["30", "15"]})),
        {"PLTRESP": ("NR", None)},
    ),
    "a second value of the day that proves it too": (
        of(results=with_runs(PLT=days(20, 26, "30") | {23: ["30", "20"]})),
        {"PLTRESP": ("PR", 20)},
    ),
    "a value that is only known to be below 0.6": (
        of(results=with_runs(ANC=days(10, 11, "0.7") | {12: "<0.6"})),
        {"NEUT": ("N", None)},
    ),
    "a value that is known to be above 0.5": (
        of(results=with_runs(ANC=days(10, 11, "0.7") | {12: ">0.5"})),
        {"NEUT": ("Y", 10)},
    ),
    "a physiologically impossible value is no value": (
        of(results=with_runs(PLT=days(20, 26, "30") | {23: "5001"})),
        {"PLTRESP": ("NR", None), "PLTRESPM": ("NR", None)},
    ),
    "a run starting on day 56 counts": (of(results=with_runs(80, PLT=days(56, 62, "30"))), {"PLTRESP": ("PR", 56)}),
    "a run starting on day 57 does not": (of(results=with_runs(80, PLT=days(57, 70, "30"))), {"PLTRESP": ("NR", None)}),
    "haemoglobin of 70 for seven days": (of(results=with_runs(HGB=days(30, 36, "70"))), {"RBC": ("Y", 30)}),
    "haemoglobin of 69.9 is below": (
        of(results=with_runs(HGB=days(30, 36, "70") | {33: "69.9"})),
        {"RBC": ("N", None)},
    ),
    "overall response is dated by the latest lineage": (
        of(results=with_runs(ANC=days(10, 60, "1"), PLT=days(20, 60, "60"), HGB=days(15, 60, "90"))),
        {"OVRLRESP": ("CR", 20), "NEUT": ("Y", 10), "RBC": ("Y", 15), "PLTRESP": ("CR", 20)},
    ),
    "overall partial response": (
        of(results=with_runs(ANC=days(10, 60, "1"), PLT=days(20, 60, "30"), HGB=days(25, 60, "90"))),
        {"OVRLRESP": ("PR", 25)},
    ),
    "one lineage without response": (
        of(results=with_runs(ANC=days(10, 60, "1"), PLT=days(20, 60, "60"))),
        {"OVRLRESP": ("NR", None)},
    ),
    # --- transfusions -------------------------------------------------------------------------------------------
    "the other product's transfusion is no breaker": (
        of(results=with_runs(PLT=days(20, 26, "30")), red_cells=[(23, 23)]),
        {"PLTRESP": ("PR", 20), "RBC": ("N", None)},
    ),
    "its own transfusion is": (
        of(results=with_runs(PLT=days(20, 26, "30")), platelets=[(23, 23)]),
        {"PLTRESP": ("NR", None)},
    ),
    "the run begins anew the day after a transfusion": (
        of(results=with_runs(PLT=days(22, 30, "30")), platelets=[(23, 23)]),
        {"PLTRESP": ("PR", 24), "PLTRESPR": ("NR", None)},
    ),
    "a transfusion over midnight takes both days": (
        of(results=with_runs(PLT=days(20, 30, "30")), platelets=[(22, 23)]),
        {"PLTRESP": ("PR", 24)},
    ),
    "the registry looks back seven days: day 7 qualifies": (
        of(results=with_runs(PLT=days(22, 32, "30")), platelets=[(23, 23)]),
        {"PLTRESP": ("PR", 24), "PLTRESPR": ("PR", 30)},
    ),
    "a late platelet transfusion is no response in the sensitivity analysis": (
        of(results=with_runs(PLT=days(20, 60, "30")), platelets=[(50, 50)]),
        {"PLTRESP": ("PR", 20), "PLTRESPS": ("NR", None)},
    ),
    "one on day 49 is early enough": (
        of(results=with_runs(PLT=days(20, 60, "30")), platelets=[(49, 49)]),
        {"PLTRESP": ("PR", 20), "PLTRESPS": ("PR", 20)},
    ),
    "one on day 57 is late enough": (
        of(results=with_runs(PLT=days(20, 60, "30")), platelets=[(57, 57)]),
        {"PLTRESPS": ("PR", 20)},
    ),
    "red cells after the run, before day 56": (
        of(results=with_runs(HGB=days(20, 60, "90")), red_cells=[(56, 56)]),
        {"RBC": ("Y", 20), "RBCS": ("N", None)},
    ),
    "red cells before the run": (
        of(results=with_runs(HGB=days(20, 60, "90")), red_cells=[(19, 19)]),
        {"RBC": ("Y", 20), "RBCS": ("Y", 20)},
    ),
    "G-CSF is no breaker, but in the sensitivity analysis": (
        of(results=with_runs(ANC=days(10, 12, "1") | days(20, 22, "1")), g_csf=[(5, 11)]),
        {"NEUT": ("Y", 10), "NEUTG": ("Y", 20)},
    ),
    # --- at threshold at baseline -------------------------------------------------------------------------------
    "a run already under way counts from the window start": (
        of(results=with_runs(PLT=days(-3, 10, "30"))),
        {"PLTRESP": ("PR", 1), "NEUT": ("N", None)},
    ),
    "too short inside the window": (of(results=with_runs(PLT=days(-10, 6, "30"))), {"PLTRESP": ("NR", None)}),
    # --- evaluability -------------------------------------------------------------------------------------------
    "a value on day 50 is enough": (of(results=with_runs(50)), {"PLTRESP": ("NR", None), "NEUT": ("N", None)}),
    "the last value on day 49 is not": (of(results=with_runs(49)), {"PLTRESP": ("NE", None), "OVRLRESP": ("NE", None)}),
    "death before the horizon": (
        of(results=with_runs(30), dead=True, death=iso(at(40))),
        {"PLTRESP": ("NR", None), "NEUT": ("N", None), "RBC": ("N", None), "OVRLRESP": ("NR", None)},
    ),
    "death on day 56": (of(results=with_runs(30), dead=True, death=iso(at(56))), {"PLTRESP": ("NR", None)}),
    "death on day 57": (of(results=with_runs(30), dead=True, death=iso(at(57))), {"PLTRESP": ("NE", None)}),
    "loss before the horizon": (of(results=with_runs(30)), {"PLTRESP": ("NE", None)}),
    "still attending but unmeasured": (
        of(results=[r for r in with_runs(70) if r[0] != "PLT" or r[1] < at(30)]),
        {"PLTRESP": ("NE", None), "NEUT": ("N", None), "OVRLRESP": ("NR", None)},
    ),
    "death after response": (
        of(results=with_runs(30, PLT=days(10, 16, "30")), dead=True, death=iso(at(40))),
        {"PLTRESP": ("PR", 10)},
    ),
    "consent withdrawn on day 20": (
        of(results=with_runs(20, ANC=days(5, 7, "1")), cut=at(20)),
        {"NEUT": ("Y", 5), "PLTRESP": ("NE", None), "OVRLRESP": ("NE", None)},
    ),
    "an interim cut on day 30": (of(results=with_runs(30), cut=at(30)), {"PLTRESP": ("NE", None)}),
    "no count at all": (of(results=[]), {"NEUT": ("NE", None), "PLTRESP": ("NE", None), "NEUTH": ("NE", None)}),
    "never treated: from randomisation": (
        of(treated=None, results=with_runs(ANC=days(10, 12, "1"))),
        {"NEUT": ("Y", 10)},
    ),
    "never treated in the other arm": (
        of(arm="CTRL", treated=None, results=with_runs(ANC=days(10, 12, "1"))),
        {"NEUT": ("Y", 10)},
    ),
    # --- intercurrent events ------------------------------------------------------------------------------------
    "a run that begins before donor lymphocytes": (
        of(results=with_runs(ANC=days(10, 12, "1")), dli=[at(11)]),
        {"NEUT": ("Y", 10)},
    ),
    "a run that begins on the day of donor lymphocytes": (
        of(results=with_runs(61, ANC=days(10, 12, "1")), dli=[at(10)]),
        {"NEUT": ("N", None), "NEUTH": ("N", None)},
    ),
    "a run after a boost": (of(results=with_runs(ANC=days(20, 22, "1")), boost=[at(15)]), {"NEUT": ("N", None)}),
    "a boost before treatment does not count": (
        of(results=with_runs(61, ANC=days(20, 22, "1")), boost=[at(-3)]),
        {"NEUT": ("Y", 20), "NEUTH": ("N", None)},  # but it came after the transplant
    ),
    "a run after a second transplant": (
        of(results=with_runs(61, ANC=days(40, 42, "1")), grafts=[at(-40), at(30)], conditioning=[at(-45), at(25)]),
        {"NEUT": ("N", None), "NEUTH": ("N", None)},
    ),
    # --- after transplant (day 0 is 40 days before treatment: HSCT + 100 is study day 61) -----------------------
    "engraftment before treatment counts from transplant": (
        of(results=with_runs(ANC=days(-20, -18, "1"))),
        {"NEUTH": ("Y", -20), "NEUT": ("N", None)},
    ),
    "none, with a value on day 100 after transplant": (of(results=with_runs(61)), {"PLT20H": ("N", None)}),
    "none, the last value on day 99": (of(results=with_runs(60)), {"PLT20H": ("NE", None)}),
    "none, and death on day 100": (
        of(results=with_runs(30), dead=True, death=iso(at(61))),
        {"PLT20H": ("N", None), "RBCH": ("N", None)},
    ),
    "no transplant": (
        of(results=with_runs(70, ANC=days(10, 12, "1")), grafts=[], conditioning=[]),
        {"NEUTH": ("NE", None), "NEUT": ("Y", 10)},
    ),
    "a transplant after randomisation only": (
        of(results=with_runs(70, ANC=days(40, 42, "1")), grafts=[at(20)], conditioning=[at(15)]),
        {"NEUTH": ("NE", None), "NEUT": ("N", None)},
    ),
}  # fmt: skip


def test_responses() -> None:
    subjects, expected = [], {}
    for n, (name, (s, answers)) in enumerate(RESPONSES.items()):
        s.name = f"R{n:03d}"
        subjects.append(s)
        expected[s.name] = (name, answers)
    made = by_parameter(analysed(subjects)["ADRS"], "AVALC", "ADT")
    wrong = []
    for usubjid, (name, answers) in expected.items():
        for code, (avalc, day) in answers.items():
            answer = (avalc, None if day is None else float(at(day)))
            if made[usubjid, code] != answer:
                wrong.append((name, code, made[usubjid, code], answer))
    assert wrong == []


TIMES: dict[str, tuple[Subject, dict[str, tuple[int, int]]]] = {
    # AVAL and CNSR; randomisation and first treatment are study day 1, the transplant is 40 days before
    "the run's first day": (of(results=with_runs(ANC=days(10, 12, "1"))), {"TTNEUT": (10, 0), "TTNEUTH": (50, 0)}),
    "a run on day 1": (of(results=with_runs(ANC=days(1, 3, "1"))), {"TTNEUT": (1, 0)}),
    "no run: censored at the last value of its analyte": (of(results=with_runs(60)), {"TTPLT20": (60, 1), "TTPLT20H": (100, 1)}),
    "no value after the origin: censored at the origin": (of(results=with_runs(-1)), {"TTPLT20": (1, 1)}),
    "a run after day 365 has no horizon": (
        of(results=with_runs(60) + counts("ANC", range(400, 403), "1"), cut=at(500)),
        {"TTNEUT": (400, 0)},
    ),
    "death without engraftment": (
        of(results=with_runs(30), dead=True, death=iso(at(40))),
        {"TTNEUT": (40, 2), "OS": (40, 0), "DFS": (40, 0), "TTREL": (80, 2), "TTINF": (80, 2), "TTCGVHD": (40, 2)},
    ),
    "engraftment on the day of death": (
        of(results=with_runs(30, ANC=days(30, 33, "1")), dead=True, death=iso(at(30))),
        {"TTNEUT": (30, 0)},
    ),
    "death long after the last value": (
        of(results=with_runs(30), dead=True, death=iso(at(200))),
        {"TTNEUT": (200, 2), "OS": (200, 0)},
    ),
    "relapse, then death": (
        of(results=with_runs(30), events=[("RELAPSE", iso(at(25)))], dead=True, death=iso(at(40))),
        {"DFS": (25, 0), "TTREL": (65, 0), "OS": (40, 0)},
    ),
    "relapse on the day of death": (
        of(results=with_runs(30), events=[("RELAPSE", iso(at(40)))], dead=True, death=iso(at(40))),
        {"DFS": (40, 0), "TTREL": (80, 0)},
    ),
    "relapse as assessed, earlier than as an event": (
        of(results=with_runs(60), events=[("RELAPSE", iso(at(25)))], relapses_rs=[iso(at(20))]),
        {"DFS": (20, 0), "TTREL": (60, 0)},
    ),
    "alive: censored when last known alive": (
        of(results=with_runs(30), seen=at(100)),
        {"OS": (100, 1), "DFS": (100, 1), "TTREL": (140, 1), "TTNEUT": (30, 1)},
    ),
    "death on day 365": (of(results=with_runs(30), dead=True, death=iso(at(365)), cut=at(500)), {"OS": (365, 0)}),
    "death beyond a year": (
        of(results=with_runs(30), dead=True, death=iso(at(366)), cut=at(500)),
        {"OS": (365, 1), "TTNEUT": (366, 2)},
    ),
    "seen beyond a year": (of(results=with_runs(30), seen=at(400), cut=at(500)), {"OS": (365, 1), "TTREL": (365, 1)}),
    "a year from transplant is over sooner": (
        of(results=with_runs(30), seen=at(400), events=[("INFECTION", iso(at(326)))], cut=at(500)),
        {"TTINF": (365, 1)},
    ),
    "an infection on the last day of that year": (
        of(results=with_runs(30), seen=at(400), events=[("INFECTION", iso(at(325)))], cut=at(500)),
        {"TTINF": (365, 0)},
    ),
    "an onset before the origin is prevalent": (
        of(results=with_runs(30), events=[("CHRONIC GVHD", iso(at(-5))), ("INFECTION", iso(at(-5)))]),
        {"TTCGVHD": (30, 1), "TTINF": (36, 0)},
    ),
    "an onset on the day of randomisation": (
        of(results=with_runs(30), events=[("ACUTE GVHD", iso(at(1)))]),
        {"TTAGVHD": (1, 0), "TTAGVHD2": (30, 1)},
    ),
    "graded II at once: dated by its onset": (
        of(results=with_runs(30), events=[("ACUTE GVHD", iso(at(10)))], grades=[(at(12), "II")]),
        {"TTAGVHD": (10, 0), "TTAGVHD2": (10, 0)},
    ),
    "worsening to grade III": (
        of(results=with_runs(30), events=[("ACUTE GVHD", iso(at(10)))], grades=[(at(10), "I"), (at(20), "III")]),
        {"TTAGVHD2": (20, 0)},
    ),
    "prevalent, and worse after the origin": (
        of(results=with_runs(30), events=[("ACUTE GVHD", iso(at(-10)))], grades=[(at(-9), "I"), (at(20), "II")]),
        {"TTAGVHD": (30, 1), "TTAGVHD2": (20, 0)},
    ),
    "grade II before the origin and after it": (
        of(results=with_runs(30), events=[("ACUTE GVHD", iso(at(-10)))], grades=[(at(-9), "II"), (at(20), "III")]),
        {"TTAGVHD2": (30, 1)},
    ),
    "donor lymphocytes censor": (
        of(results=with_runs(60, ANC=days(20, 22, "1")), dli=[at(15)]),
        {"TTNEUT": (15, 1), "TTNEUTH": (55, 1), "TTPLT20": (15, 1)},
    ),
    "donor lymphocytes on the first day of the run": (
        of(results=with_runs(60, ANC=days(20, 22, "1")), dli=[at(20)]),
        {"TTNEUT": (20, 1)},
    ),
    "death after donor lymphocytes is no competing event": (
        of(results=with_runs(30), dli=[at(15)], dead=True, death=iso(at(40))),
        {"TTNEUT": (15, 1), "OS": (40, 0)},
    ),
    "death on their day is": (
        of(results=with_runs(15), dli=[at(15)], dead=True, death=iso(at(15))),
        {"TTNEUT": (15, 2)},
    ),
    "the last value lies before them": (of(results=with_runs(10), dli=[at(15)]), {"TTNEUT": (10, 1)}),
    "a boost censors both": (of(results=with_runs(60), boost=[at(15)]), {"TTNEUT": (15, 1), "TTNEUTH": (55, 1)}),
    "a second transplant censors the one and competes in the other": (
        of(results=with_runs(60), grafts=[at(-40), at(30)], conditioning=[at(-45), at(25)]),
        {"TTNEUT": (30, 1), "TTNEUTH": (70, 2), "TTREL": (100, 1)},
    ),
    "a graft without conditioning is a boost": (
        of(results=with_runs(60), grafts=[at(-40), at(30)]),
        {"TTNEUT": (30, 1), "TTNEUTH": (70, 1)},
    ),
    "two graft infusions on consecutive days are one transplant": (
        of(results=with_runs(60, ANC=days(10, 12, "1")), grafts=[at(-40), at(-39)]),
        {"TTNEUTH": (50, 0), "TTNEUT": (10, 0)},
    ),
    "a death without a date: the day after last known alive": (
        of(results=with_runs(30), dead=True),
        {"OS": (31, 0), "TTNEUT": (31, 2)},
    ),
    "a partial date of death: the first possible day after it": (
        of(results=with_runs(30), dead=True, death=iso(at(30))[:7]),
        {"OS": (31, 0)},
    ),
    "never treated": (of(treated=None, results=with_runs(ANC=days(10, 12, "1"))), {"TTNEUT": (10, 0), "OS": (60, 1)}),
}  # fmt: skip


def test_times_to_event() -> None:
    subjects, expected = [], {}
    for n, (name, (s, answers)) in enumerate(TIMES.items()):
        s.name = f"T{n:03d}"
        subjects.append(s)
        expected[s.name] = (name, answers)
    made = by_parameter(analysed(subjects)["ADTTE"], "AVAL", "CNSR")
    wrong = [
        (name, code, made[usubjid, code], answer)
        for usubjid, (name, answers) in expected.items()
        for code, answer in answers.items()
        if made[usubjid, code] != answer
    ]
    assert wrong == []


# --- what stands beside a response or a time ------------------------------------------------------------------------


def one(s: Subject, dataset: str, code: str, *columns: str, **replaced: pd.DataFrame) -> tuple[Any, ...]:
    made = analysed([s], **replaced)[dataset]
    row = made[made["PARAMCD"] == code].iloc[0]
    return tuple(row[c] for c in columns)


@pytest.mark.parametrize(
    ("results", "code", "expected"),
    [
        # values on 50, 53 and 56 all meet the condition, but there is none in between
        (with_runs(49) + counts("PLT", {50: "30", 53: "30", 56: "25"}), "PLTRESP", ("NR", "Y")),
        (with_runs(49) + counts("PLT", {50: "30", 53: "19", 56: "25"}), "PLTRESP", ("NR", "")),
        (with_runs(49) + counts("PLT", {57: "30"}), "PLTRESP", ("NR", "")),
        (with_runs(49) + counts("ANC", {50: "1", 52: "1", 54: "1"}), "NEUT", ("N", "Y")),
        (with_runs(49) + counts("PLT", dict.fromkeys(range(50, 57), "30")), "PLTRESP", ("PR", "")),
        # the condition of the weakest level is looked at
        (with_runs(49) + counts("PLT", {50: "60", 53: "21", 56: "55"}), "PLTRESP", ("NR", "Y")),
    ],
)
def test_measured_less_than_daily(results: Any, code: str, expected: tuple[str, str]) -> None:
    assert one(of(results=results), "ADRS", code, "AVALC", "RUNGAPFL") == expected


def test_at_threshold_at_baseline_per_lineage() -> None:
    made = analysed([of(results=with_runs(PLT=days(-3, 10, "30")))])["ADRS"].set_index("PARAMCD")
    assert made["ATBLFL"].to_dict() == made["ANL02FL"].map({"": "Y", "Y": ""}).to_dict()
    flagged = set(made.index[made["ATBLFL"] == "Y"])
    assert {"PLTRESP", "PLTRESPS", "OVRLRESP"} <= flagged
    assert not {"NEUT", "RBC", "RBCS", "NEUTG"} & flagged
    made = analysed([of(results=with_runs(PLT={-1: "30", 1: "30"}))])["ADRS"].set_index("PARAMCD")
    assert made.loc["PLTRESP", "ATBLFL"] == "Y"
    made = analysed([of(results=with_runs(PLT={1: "30"}))])["ADRS"].set_index("PARAMCD")
    assert made.loc["PLTRESP", "ATBLFL"] == ""


def test_numbers_and_responders() -> None:
    s = [
        of(name="A", results=with_runs(PLT=days(20, 26, "50"))),
        of(name="B", results=with_runs(PLT=days(20, 26, "20"))),
    ]
    s += [of(name="C", results=with_runs(60)), of(name="D", results=with_runs(40))]
    made = by_parameter(analysed(s)["ADRS"], "AVALC", "AVAL", "CRIT1FL", "CRIT1")
    told = "Responder: AVALC is CR or PR"
    assert [made[x, "PLTRESP"] for x in "ABCD"] == [
        ("CR", 2, "Y", told),
        ("PR", 1, "Y", told),
        ("NR", 0, "N", told),
        ("NE", 9, "N", told),
    ]
    assert made["C", "NEUT"] == ("N", 0, "N", "Responder: AVALC is Y")


def test_every_parameter_of_the_trial_is_there_once_for_everyone_randomised() -> None:
    made = analysed([of(name="A", results=with_runs(60)), of(name="B", randomised=None, results=with_runs(60))])
    expected = {"NEUT", "RBC", "PLTRESP", "OVRLRESP", "PLTRESPS", "RBCS", "NEUTH", "PLT20H", "RBCH"}
    expected |= {"NEUTM", "RBCM", "PLTRESPM", "OVRLRSPM", "NEUTR", "PLTRESPR", "NEUTG"}
    assert sorted(made["ADRS"]["PARAMCD"]) == sorted(expected)
    assert set(made["ADRS"]["USUBJID"]) == set(made["ADTTE"]["USUBJID"]) == {"A"}
    times = {"TTNEUT", "TTPLT20", "TTPLT50", "TTRBC", "TTNEUTH", "TTPLT20H", "TTRBCH", "OS", "DFS", "TTREL", "TTAGVHD"}
    times |= {"TTAGVHD2", "TTCGVHD", "TTINF", "TTGF", "TTNEUTR", "TTPLT20R"}
    assert sorted(made["ADTTE"]["PARAMCD"]) == sorted(times)


def test_a_label_belongs_to_one_parameter() -> None:
    made = analysed([of(results=with_runs(60))])
    for name in ("ADRS", "ADTTE", "ADLB"):
        pairs = made[name][["PARAMCD", "PARAM"]].drop_duplicates()
        assert pairs["PARAM"].is_unique
        assert pairs["PARAMCD"].is_unique
        assert (pairs["PARAMCD"].str.len() <= 8).all()


SOURCES = ("EVNTDESC", "CNSDTDSC", "SRCDOM", "SRCVAR", "SRCSEQ", "ADTF")


@pytest.mark.parametrize(
    ("s", "code", "expected"),
    [
        (
            of(results=counts("ANC", range(1, 13), "1")),
            "TTNEUT",
            ("Neutrophil engraftment", "", "LB", "LBDTC", 1.0, ""),
        ),
        (
            of(results=counts("ANC", range(1, 13), "0.1")),
            "TTNEUT",
            ("No event up to last value", "Last absolute neutrophil count", "LB", "LBDTC", 12.0, ""),
        ),
        (
            of(results=[]),
            "TTNEUT",
            ("No event up to last value", "Origin: no absolute neutrophil count on or after it", "ADSL", "RFSTDT", None, ""),
        ),
        (of(dead=True, death=iso(at(9))), "TTNEUT", ("Death", "Death", "DM", "DTHDTC", None, "")),
        (of(dead=True, seen=at(3)), "OS", ("Death", "", "DM", "DTHDTC", None, "Y")),
        (of(dead=True, seen=at(3), death=iso(at(9))[:4]), "OS", ("Death", "", "DM", "DTHDTC", None, "M")),
        (of(seen=at(30)), "OS", ("No event up to last contact", "Last known alive", "ADSL", "LSTALVDT", None, "")),
        (of(seen=at(390)), "OS", ("No event within 365 days", "Day 365", "ADSL", "RANDDT", None, "")),
        (
            of(seen=at(30), events=[("INFECTION", iso(at(-20))), ("RELAPSE", iso(at(7)))]),
            "DFS",
            ("Relapse", "", "CE", "CESTDTC", 2.0, ""),
        ),
        (of(seen=at(30), relapses_rs=[iso(at(7))]), "DFS", ("Relapse", "", "RS", "RSDTC", 1.0, "")),
        (
            of(results=counts("ANC", range(1, 13), "0.1"), dli=[at(5)]),
            "TTNEUT",
            ("Donor lymphocyte infusion", "Donor lymphocyte infusion", "PR", "PRSTDTC", 2.0, ""),
        ),
        (
            of(grafts=[at(-40), at(30)], conditioning=[at(-45), at(25)]),
            "TTNEUTH",
            ("Second transplant", "Second transplant", "PR", "PRSTDTC", 2.0, ""),
        ),
    ],
)  # fmt: skip
def test_what_decided_and_where_it_stands(s: Subject, code: str, expected: Expected) -> None:
    found = one(s, "ADTTE", code, *SOURCES)
    assert tuple(None if pd.isna(x) else x for x in found) == expected


def test_prevalent_events_are_flagged() -> None:
    s = of(seen=at(30), events=[("CHRONIC GVHD", iso(at(-5)))])
    assert one(s, "ADTTE", "TTCGVHD", "PREVFL", "CNSR") == ("Y", 1.0)
    assert one(s, "ADTTE", "TTAGVHD", "PREVFL", "CNSR") == ("", 1.0)


def test_a_partial_onset_is_completed_and_flagged() -> None:
    """2024-03-19 is study day 1: `2024-03` may mean that day or a later one of the month, and is taken as the first."""
    assert iso(at(1)) == "2024-03-18"
    s = of(seen=at(60), events=[("INFECTION", "2024-04"), ("CHRONIC GVHD", "2024-03")])
    assert one(s, "ADTTE", "TTCGVHD", "AVAL", "CNSR", "ADTF") == (1.0, 0.0, "D")
    assert one(s, "ADTTE", "TTINF", "AVAL", "CNSR", "ADTF") == (40 + 15.0, 0.0, "D")


# --- bad input: the stated outcome, never an exception --------------------------------------------------------------


def codes(s: Subject, **replaced: pd.DataFrame) -> set[str]:
    found = analysed([s], **replaced)["issues"]
    return set(found.loc[found["USUBJID"] == s.name, "code"])


def test_issues_of_bad_input() -> None:
    assert codes(of(results=with_runs(60))) == set()
    assert codes(of(results=with_runs(60), randomised=None)) == set()
    assert codes(of(grafts=[], conditioning=[])) == {"origin-unknown"}
    assert codes(of(grafts=[at(20)], conditioning=[at(15)])) == {"origin-unknown", "transplant-after-randomisation"}
    assert codes(of(dead=True)) == {"date-imputed"}
    assert codes(of(dead=True, death=iso(at(9))[:7])) == {"date-imputed"}
    assert codes(of(dead=True, death=iso(at(-3)))) == {"event-before-origin"}
    assert codes(of(results=counts("PLT", {3: "5001"}))) == {"value-implausible"}


def test_a_death_before_the_origin_is_no_event() -> None:
    s = of(dead=True, death=iso(at(-3)), seen=at(-3))
    assert one(s, "ADTTE", "OS", "AVAL", "CNSR") == (1.0, 1.0)


def test_a_parameter_without_an_origin_has_no_record() -> None:
    made = analysed([of(grafts=[], conditioning=[], results=with_runs(60))])
    assert "TTNEUTH" not in set(made["ADTTE"]["PARAMCD"])
    assert "TTNEUT" in set(made["ADTTE"]["PARAMCD"])


def test_a_transfusion_that_is_not_dated_to_the_day_breaks_every_day_it_may_mean() -> None:
    s = of(results=with_runs(PLT=days(1, 60, "30")))
    cm = frames([s], trial_of())["CM"]
    row = pd.DataFrame(
        [
            dict(cm.iloc[0])
            | {"CMCAT": "TRANSFUSION", "CMDECOD": "PLATELETS", "CMSEQ": 9.0, "CMSTDTC": "2024-04", "CMENDTC": ""}
        ]
    )
    cm = pd.concat([cm, row], ignore_index=True)
    made = analysed([s], CM=cm)
    assert by_parameter(made["ADRS"], "AVALC", "ADT")["S1", "PLTRESP"] == ("PR", float(at(1)))
    assert set(made["issues"]["code"]) == {"analysis-date-partial"}
    s.results = with_runs(PLT=days(14, 60, "30"))  # 31 March; April is not known, so the run begins on 1 May
    assert by_parameter(analysed([s], CM=cm)["ADRS"], "AVALC", "ADT")["S1", "PLTRESP"] == ("PR", float(at(45)))


def test_a_result_in_another_unit_or_without_a_day_is_not_analysed() -> None:
    s = of(results=counts("PLT", range(20, 27), "30"))
    lb = frames([s], trial_of())["LB"]
    assert by_parameter(analysed([s], LB=lb)["ADRS"], "AVALC")["S1", "PLTRESP"] == ("PR",)
    odd = lb.assign(LBSTRESU=lb["LBSTRESU"].where(lb["LBSEQ"] != 4, ""))
    made = analysed([s], LB=odd)
    assert by_parameter(made["ADRS"], "AVALC")["S1", "PLTRESP"] == ("NE",)
    assert made["ADLB"]["EXCLREAS"].value_counts().to_dict() == {"": 6, "NO STANDARD UNIT": 1}
    odd = lb.assign(LBDTC=lb["LBDTC"].where(lb["LBSEQ"] != 4, "2024-04"))
    made = analysed([s], LB=odd)
    assert by_parameter(made["ADRS"], "AVALC")["S1", "PLTRESP"] == ("NE",)
    assert set(made["ADLB"]["EXCLREAS"]) == {"", "DATE NOT COMPLETE"}

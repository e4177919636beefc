"""Safety signals (protocol §7.3): each rule on hand-made records, edges of the windows, and what is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapter.derive.signals import (
    FOUND,
    bounds,
    find_deaths,
    find_laboratory,
    find_modifications,
    find_reactions,
    find_severe_toxicity,
    find_unresolved,
    find_ventilation,
)
from adapter.derive.toxicity import Rule

RELATED = ("RELATED", "POSSIBLY RELATED")
DOSES = pd.DataFrame(
    {
        "USUBJID": ["S1", "S1"],
        "EXSEQ": [1.0, 2.0],
        "EXSTDTC": ["2024-03-01T10:00:00", "2024-03-08T10:00:00"],
        "EXENDTC": ["2024-03-01T10:40:00", "2024-03-08T10:40:00"],
    }
)
AE = {
    "AETERM": "Fever",
    "AEDECOD": "",
    "AEREL": "RELATED",
    "AETOXGR": "4",
    "AEOUT": "",
    "AESLIFE": "",
    "AESDTH": "",
    "AESTDTC": "2024-03-09",
    "AEENDTC": "",
    "AEENRTPT": "",
}
PR = {"PRTRT": "通气", "PRDECOD": "MECHANICAL VENTILATION", "PRCAT": "VENTILATION", "PRINDC": "", "PRSTDTC": ""}
CM = {"CMTRT": "地塞米松", "CMDECOD": "DEXAMETHASONE", "CMCAT": "CORTICOSTEROID", "CMSTDTC": ""}


def records(name: str, plain: dict[str, str], *rows: dict[str, str]) -> pd.DataFrame:
    """Return records of subject S1 (unless told) that differ from the plain one as told, numbered from 1."""
    made = pd.DataFrame([{"USUBJID": "S1"} | plain | r for r in rows], columns=["USUBJID", *plain])
    return made.astype("str").assign(**{f"{name}SEQ": np.arange(1.0, len(rows) + 1)})


def told(found: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [
        (int(r.SEQ), bool(r.SURE), None if np.isnan(r.DOSESEQ) else int(r.DOSESEQ))
        for r in found.itertuples(index=False)
    ]


def test_bounds_are_what_a_date_may_mean() -> None:
    early, late = bounds(pd.Series(["1970-01-02T06:30:00", "1970-01-02T06:30", "1970-01-02", "1970-01", "", "1970"]))
    assert early.tolist() == [30.5, 30.5, 24, 0, -np.inf, 0]
    assert [round(x, 2) for x in late] == [30.5, 30.5, 48, 31 * 24, np.inf, 365 * 24]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [(1, True, 2)]),
        ({"AESTDTC": "2024-03-22"}, [(1, True, 2)]),  # day 14 after the second dose counts
        ({"AESTDTC": "2024-03-22T23:59:59"}, [(1, True, 2)]),
        ({"AESTDTC": "2024-03-23"}, []),
        ({"AESTDTC": "2024-02-29"}, []),  # before any dose
        ({"AESTDTC": "2024-03-01T09:59:00"}, []),  # the same day, before it
        ({"AESTDTC": "2024-03-01T10:00:00"}, [(1, True, 1)]),
        ({"AESTDTC": "2024-03-01"}, [(1, False, 1)]),  # may be before or after
        ({"AESTDTC": "2024-03-08"}, [(1, True, 1)]),  # in any case after the first dose
        ({"AESTDTC": "2024-03"}, [(1, False, 2)]),
        ({"AESTDTC": "2024-04"}, []),
        ({"AESTDTC": ""}, [(1, False, 2)]),
        ({"AETOXGR": "5"}, [(1, True, 2)]),
        ({"AETOXGR": "3"}, []),
        ({"AETOXGR": ""}, []),
        ({"AETOXGR": "", "AESLIFE": "Y"}, [(1, False, 2)]),
        ({"AETOXGR": "", "AESDTH": "Y"}, [(1, False, 2)]),
        ({"AETOXGR": "3", "AESLIFE": "Y"}, []),  # the grade is known
        ({"AEREL": "POSSIBLY RELATED"}, [(1, True, 2)]),
        ({"AEREL": "NOT RELATED"}, []),
        ({"AEREL": "NOT ASSESSABLE"}, []),
        ({"AEREL": ""}, [(1, False, 2)]),
        ({"USUBJID": "S2"}, []),  # never dosed
    ],
)
def test_severe_toxicity(changed: dict[str, str], expected: list[tuple[Any, ...]]) -> None:
    found = find_severe_toxicity(records("AE", AE, changed), DOSES, RELATED, 4, 14)
    assert told(found) == expected
    assert list(found.columns) == list(FOUND)
    assert all((r.REMARK == "") == r.SURE for r in found.itertuples())


def test_a_finding_that_is_not_sure_says_what_is_not_known() -> None:
    ae = records("AE", AE, {"AEREL": "", "AETOXGR": "", "AESLIFE": "Y", "AESTDTC": ""})
    (remark,) = find_severe_toxicity(ae, DOSES, RELATED, 4, 14)["REMARK"]
    assert remark == (
        "the date does not show that it is within the time; no relationship recorded; "
        "no grade, but life-threatening or fatal"
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"PRINDC": "Acute respiratory failure"}, [(1, True, 2)]),
        ({"PRINDC": "急性呼吸衰竭"}, [(1, True, 2)]),
        ({"PRINDC": "surgery"}, []),
        ({"PRINDC": ""}, [(1, False, 2)]),
        ({"PRINDC": "Respiratory failure", "PRCAT": "IMAGING"}, []),
        ({"PRINDC": "Respiratory failure", "PRSTDTC": "2024-03-23T00:00:00"}, []),
    ],
)
def test_ventilation(changed: dict[str, str], expected: list[tuple[Any, ...]]) -> None:
    pr = records("PR", PR | {"PRSTDTC": "2024-03-15T08:00:00"}, changed)
    assert told(find_ventilation(pr, DOSES, "VENTILATION", ("respiratory failure", "呼吸衰竭"), 14)) == expected


def test_a_trial_without_a_category_of_ventilation_has_no_such_signal() -> None:
    pr = records("PR", PR | {"PRCAT": "", "PRSTDTC": "2024-03-09"}, {})
    assert not len(find_ventilation(pr, DOSES, "", (), 14))


@pytest.mark.parametrize(
    ("flag", "dtc", "alive", "expected"),
    [
        ("Y", "2024-03-22", "2024-03-20", [(True, 2.0)]),
        ("Y", "2024-03-23", "2024-03-20", []),
        ("Y", "2024-03", "2024-03-15", [(False, 2.0)]),
        ("Y", "2024-03", "2024-03-25", []),  # seen alive after the fortnight
        ("Y", "", "2024-03-15", [(False, 2.0)]),
        ("Y", "", "2024-06-01", []),
        ("", "", "2024-03-09", []),
    ],
)
def test_deaths(flag: str, dtc: str, alive: str, expected: list[tuple[bool, float]]) -> None:
    dm = pd.DataFrame({"USUBJID": ["S1"], "DTHFL": [flag], "DTHDTC": [dtc], "LASTALIVE": [alive]})
    found = find_deaths(dm, DOSES, 14)
    assert list(zip(found["SURE"], found["DOSESEQ"], strict=True)) == expected
    assert found["SEQ"].isna().all()


def test_modifications_have_no_window_and_need_a_known_relationship() -> None:
    rows = [{"AETOXGR": "3", "AESTDTC": "2025-01-01"}, {"AETOXGR": "2"}, {"AETOXGR": "3", "AEREL": ""}]
    rows.append({"AETOXGR": "3", "USUBJID": "S2"})
    found = find_modifications(records("AE", AE, *rows), DOSES, RELATED, 3)
    assert told(found) == [(1, True, 2), (4, True, None)]
    assert found["REMARK"].tolist() == ["", "no dose before it"]


@pytest.mark.parametrize(
    ("dtc", "expected"),
    [
        ("2024-03-01T10:00:00", [(1, True, 1)]),
        ("2024-03-02T10:40:00", [(1, True, 1)]),  # 24 h after its end
        ("2024-03-02T10:40:01", []),
        ("2024-03-01T09:30:00", []),  # given before: premedication
        ("2024-03-01", [(1, False, 1)]),
        ("2024-03-02", [(1, False, 1)]),
        ("2024-03-03", []),
    ],
)
def test_drugs_that_show_a_reaction(dtc: str, expected: list[tuple[Any, ...]]) -> None:
    cm = records("CM", CM, {"CMSTDTC": dtc}, {"CMSTDTC": dtc, "CMDECOD": "PREDNISOLONE"})
    found = find_reactions(records("AE", AE), cm, DOSES, {"dexamethasone": ("CORTICOSTEROID", ("DEXAMETHASONE",))}, 24)
    assert told(found) == expected


def test_events_within_hours_are_reactions_whatever_their_grade() -> None:
    rows = [{"AESTDTC": "2024-03-08T15:00:00", "AETOXGR": "", "AEREL": ""}, {"AESTDTC": "2024-03-10"}]
    found = find_reactions(records("AE", AE, *rows), records("CM", CM), DOSES, {}, 24)
    assert told(found) == [(1, True, 2)]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [(1, False, None)]),
        ({"AEOUT": "UNKNOWN"}, [(1, False, None)]),
        ({"AEOUT": "NOT RECOVERED/NOT RESOLVED"}, [(1, True, None)]),
        ({"AEOUT": "RECOVERING/RESOLVING"}, [(1, True, None)]),
        ({"AEENRTPT": "ONGOING"}, [(1, True, None)]),
        ({"AEENRTPT": "BEFORE"}, []),
        ({"AEENDTC": "2024-03"}, []),
        ({"AEOUT": "FATAL"}, []),
        ({"AEOUT": "RECOVERED/RESOLVED"}, []),
        ({"AEOUT": "RECOVERED/RESOLVED WITH SEQUELAE"}, []),
    ],
)
def test_unresolved_events(changed: dict[str, str], expected: list[tuple[Any, ...]]) -> None:
    assert told(find_unresolved(records("AE", AE, changed))) == expected


RULES = (
    Rule("K", "L", 1, "", "<", 1, "LLN", ""),
    Rule("K", "L", 3, "", "<", 3.0, "VALUE", "mmol/L"),
    Rule("K", "H", 1, "", ">", 1, "ULN", ""),
    Rule("K", "H", 2, "", ">", 5.5, "VALUE", "mmol/L"),
    Rule("PLAT", "L", 1, "", "<", 1, "LLN", ""),
)


def results(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Return LB of S1, first treated on 2024-03-01 at 10: (date, result, LBLOBXFL) of potassium, limits 3.5 to 5.0."""
    made = pd.DataFrame(rows, columns=["LBDTC", "LBSTRESC", "LBLOBXFL"]).astype("str")
    number = pd.to_numeric(made["LBSTRESC"], errors="coerce")
    return made.assign(
        USUBJID="S1",
        LBTESTCD="K",
        LBTEST="Potassium",
        LBSTRESU="mmol/L",
        LBSPEC="SERUM",
        LBSEQ=np.arange(1.0, len(rows) + 1),
        LBSTRESN=number,
        LBSTNRLO=3.5,
        LBSTNRHI=5.0,
        RFSTDTC="2024-03-01T10:00:00",
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("2024-03-05", "2.9", "")], [(1, "low, grade 3: 2.9", "baseline grade not known")]),
        ([("2024-02-28", "2.9", "Y")], []),  # before first treatment
        ([("2024-03-01T09:00:00", "2.9", "")], []),
        ([("2024-02-28", "3.2", "Y"), ("2024-03-05", "3.3", "")], []),  # no worse than before
        ([("2024-02-28", "3.2", "Y"), ("2024-03-05", "2.8", "")], [(2, "low, grade 3: 2.8", "baseline grade 1")]),
        (
            [
                ("2024-02-28", "4.0", "Y"),
                ("2024-03-05", "3.4", ""),
                ("2024-03-06", "2.8", ""),
                ("2024-03-07", "2.5", ""),
            ],
            [(3, "low, grade 3: 2.8", "baseline grade 0")],  # the first with the worst grade
        ),
        (
            [("2024-02-28", "4.0", "Y"), ("2024-03-05", "5.2", ""), ("2024-03-06", "3.4", "")],
            [(3, "low, grade 1: 3.4", "baseline grade 0"), (2, "high, grade 1: 5.2", "baseline grade 0")],
        ),
        ([("2024-03-05", "<3.0", "")], [(1, "low, grade 3: <3.0", "baseline grade not known")]),
        ([("2024-03-05", ">3.0", "")], []),
        ([("2024-03", "2.9", "")], []),  # it is not known whether before or after
    ],
)
def test_laboratory_candidates(rows: list[tuple[str, str, str]], expected: list[tuple[int, str, str]]) -> None:
    found = find_laboratory(results(*rows), RULES, {"graded": ["K"], "expected": ["PLAT"]}, 1, "before")
    assert [
        (int(r.SEQ), r.WHAT.removeprefix("Potassium ").removesuffix(" mmol/L"), r.REMARK) for r in found.itertuples()
    ] == expected


def test_laboratory_candidates_of_the_underlying_disease_are_marked_and_urine_is_not_blood() -> None:
    lb = results(("2024-03-05", "3.4", ""), ("2024-03-05", "2.0", ""))
    lb.loc[0, "LBTESTCD"], lb.loc[1, "LBSPEC"] = "PLAT", "URINE"
    found = find_laboratory(lb, RULES, {"graded": ["K"], "expected": ["PLAT"]}, 1, "before")
    assert list(zip(found["SEQ"], found["RULE"], strict=True)) == [(1.0, "expected")]


def test_the_grade_from_which_candidates_are_listed_is_the_trial_s() -> None:
    lb = results(("2024-03-05", "3.4", ""))
    assert not len(find_laboratory(lb, RULES, {"graded": ["K"]}, 2, "before"))
    assert not len(find_laboratory(lb.iloc[:0], RULES, {"graded": ["K"]}, 1, "before"))

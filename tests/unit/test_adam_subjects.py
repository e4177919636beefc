"""ADSL of hand-made subjects: populations, treatment, transplant, death and last contact (protocol §2, §5, §6)."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from adapter.derive.imputation import completed, death_days
from adapter.derive.windows import visit_windows
from tests.analysis import DAY0, SAS, Subject, analysed, frames, iso, trial_of

FLAGS = ["ITTFL", "FASFL", "SAFFL", "PPROTFL"]


def adsl(s: Subject, **replaced: pd.DataFrame) -> pd.Series[Any]:
    return analysed([s], **replaced)["ADSL"].iloc[0]


def with_(name: str, s: Subject, **changes: Any) -> dict[str, pd.DataFrame]:
    return {name: frames([s], trial_of())[name].assign(**changes)}


@pytest.mark.parametrize(
    ("s", "replaced", "expected"),
    [
        (Subject(), {}, "YYYY"),
        (Subject(arm="CTRL"), {}, "YYYY"),
        (Subject(randomised=None, treated=None), {}, "NNNN"),
        (Subject(treated=None), {}, "YYNN"),  # none of four infusions
        (Subject(arm="CTRL", treated=None), {}, "YYNY"),
        (Subject(), with_("EX", Subject(), EXDOSE=[1.0, 1.1, 0.9, 1.0]), "YYYY"),  # ±10 %, both ends included
        (Subject(), with_("EX", Subject(), EXDOSE=[1.0, 1.11, 1.0, 1.0]), "YYYN"),
        (Subject(), {"EX": frames([Subject()], trial_of())["EX"].iloc[:3]}, "YYYN"),
        (Subject(), {"IE": pd.DataFrame({"USUBJID": ["S1"], "IESEQ": [1.0]})}, "YYYN"),
        (Subject(), with_("DM", Subject(), ACTARMCD="CTRL", ACTARM="Conventional PGF treatment"), "YYYN"),
    ],
)
def test_populations(s: Subject, replaced: dict[str, pd.DataFrame], expected: str) -> None:
    assert "".join(adsl(s, **replaced)[FLAGS]) == expected


@pytest.mark.parametrize(
    ("grafts", "conditioning", "expected"),
    [
        ([-40], [-45], -40),
        ([-40, -39], [-45], -40),  # consecutive days: one transplant, day 0 is the first
        ([-40, -33], [-45], -40),  # seven days apart is still one
        ([-400, -40], [-405, -45], -40),  # the last one before randomisation
        ([-400, -40], [-405], -400),  # without conditioning the later one is a boost
        ([-40, 20], [-45, 15], -40),
        ([20], [15], None),
        ([], [], None),
        ([0], [-5], 0),  # on the day of randomisation
    ],
)
def test_index_transplant(grafts: list[int], conditioning: list[int], expected: int | None) -> None:
    s = Subject(grafts=[DAY0 + d for d in grafts], conditioning=[DAY0 + d for d in conditioning])
    found = adsl(s)["HSCTDT"]
    assert (None if pd.isna(found) else found - SAS - DAY0) == expected


def test_conventional_treatment_ends_with_its_last_medication() -> None:
    s = Subject(arm="CTRL", platelets=[(DAY0, DAY0), (DAY0 + 9, DAY0 + 10)], g_csf=[(DAY0 - 3, DAY0 - 1)], red_cells=[])
    found = adsl(s)
    assert [found[v] - SAS - DAY0 for v in ("TRTSDT", "TRTEDT", "RFSTDT")] == [0, 10, 0]


@pytest.mark.parametrize(
    ("dtc", "dead", "alive", "cut", "expected"),
    [
        ("2024-03-05", True, "2024-03-01", "2024-12-31", ("2024-03-05", "")),
        ("2024-03", True, "2024-02-10", "2024-12-31", ("2024-03-01", "D")),
        ("2024-03", True, "2024-03-10", "2024-12-31", ("2024-03-11", "D")),
        ("2024", True, "2024-03-10", "2024-12-31", ("2024-03-11", "M")),
        ("2024-03", True, "2024-04-02", "2024-12-31", ("2024-03-31", "D")),  # it contradicts the last contact
        ("", True, "2024-03-10", "2024-12-31", ("2024-03-11", "Y")),
        ("", True, "2024-12-31", "2024-12-31", ("2024-12-31", "Y")),  # nothing is dated after the cut
        ("", False, "2024-03-10", "2024-12-31", ("", "")),
    ],
)
def test_death_days(dtc: str, dead: bool, alive: str, cut: str, expected: tuple[str, str]) -> None:
    from adapter.derive.days import day_number

    days = [day_number(pd.Series([x])) for x in (alive, cut)]
    made = death_days(pd.Series([dtc]), pd.Series([dead]), days[0], 1, days[1]).iloc[0]
    assert (iso(None if pd.isna(made["day"]) else int(made["day"])), made["flag"]) == expected


def test_dates_are_completed_not_before_a_limit() -> None:
    texts = pd.Series(["2024-03-05", "2024-03", "2024-03", "2024", "", "2023"])
    limits = pd.Series([None, None, 19_800.0, 19_800.0, 19_800.0, 19_800.0], dtype="float64")
    made = completed(texts, limits)
    assert [iso(None if pd.isna(d) else int(d)) for d in made["day"]] == [
        "2024-03-05", "2024-03-01", iso(19_800), iso(19_800), "", "2023-12-31",
    ]  # fmt: skip
    assert made["flag"].tolist() == ["", "D", "D", "M", "", "M"]


def test_last_known_alive_is_never_after_death_nor_the_cut() -> None:
    assert adsl(Subject(seen=DAY0 + 30))["LSTALVDT"] - SAS == DAY0 + 30
    assert adsl(Subject(seen=DAY0 + 30, cut=DAY0 + 20))["LSTALVDT"] - SAS == DAY0 + 20
    assert adsl(Subject(seen=DAY0 + 30, dead=True, death=iso(DAY0 + 25)))["LSTALVDT"] - SAS == DAY0 + 25


def test_baseline_counts_are_the_last_before_treatment() -> None:
    results = [
        ("PLT", DAY0 - 2, 6, "30"),
        ("PLT", DAY0, 6, "12"),
        ("PLT", DAY0 + 1, 6, "90"),
        ("ANC", DAY0 - 1, 6, "501"),
    ]
    found = adsl(Subject(results=[*results, ("HGB", DAY0 - 3, 6, "<70")]))
    # first treatment has no time here, so a timed result of its day cannot be shown to come after it
    assert found["PLTBL"] == 12
    assert pd.isna(found["ANCBL"]), "an impossible value is none"
    assert found["HGBBL"] == 70


def test_windows_meet_at_midpoints() -> None:
    targets = {"M1": 30, "M2": 60, "M3": 91}
    assert visit_windows(targets, "earlier") == [("M1", 30, 1, 45), ("M2", 60, 46, 75), ("M3", 91, 76, 106)]
    assert visit_windows(targets, "later") == [("M1", 30, 1, 44), ("M2", 60, 45, 75), ("M3", 91, 76, 106)]

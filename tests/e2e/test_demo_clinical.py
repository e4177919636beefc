"""The clinical course of the demo's subjects: what was planned (`known_answers`) against the datasets, record by record.

GVHD with its organs and grades, relapses, infections, graft failures, adverse events, readmissions, Karnofsky, deaths.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from adapter import build
from adapter.result import Result
from mappings.trials.pgf_msc.demo import known_answers, write_cohort
from tests.conftest import make_site

SUBJECTS, SEED = 24, 20260101
SEVERITY = {"轻度": "MILD", "中度": "MODERATE", "重度": "SEVERE"}


class Built(NamedTuple):
    result: Result
    told: dict[str, dict[str, Any]]
    out: Path

    def of(self, name: str, subject: str) -> pd.DataFrame:
        frame = self.result.sdtm[name]
        return frame[frame["USUBJID"] == f"PGFMSC-01-{subject}"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("clinical")
    write_cohort(folder, subjects=SUBJECTS, seed=SEED)
    site = make_site(folder / "site")
    result = build(
        folder / "fhir",
        out=folder / "out",
        enrolment=folder / "enrolment.csv",
        site=site,
        coding=folder / "coding",
        workers=1,
    )
    return Built(result, known_answers(SUBJECTS, SEED)["clinical"], folder / "out")


def test_the_plan_has_everything_that_an_endpoint_reads(demo: Built) -> None:
    kinds = Counter(kind for t in demo.told.values() for kind, _ in t["events"])
    assert set(kinds) == {"ACUTE GVHD", "CHRONIC GVHD", "RELAPSE", "GRAFT FAILURE", "INFECTION"}
    events = [e for t in demo.told.values() for e in t["adverse_events"]]
    assert {grade for _, grade, *_ in events} == {"1", "2", "3"}
    assert any(back for *_, back in events)
    assert sum(bool(t["cause_of_death"]) for t in demo.told.values()) >= 2


def test_events_of_interest(demo: Built) -> None:
    for code, told in demo.told.items():
        ce = demo.of("CE", code)
        assert sorted([k, d[:10]] for k, d in zip(ce["CECAT"], ce["CESTDTC"], strict=True)) == told["events"], code


def test_an_acute_episode_has_its_organs_and_its_grade_related_to_it(demo: Built) -> None:
    related = demo.result.sdtm["RELREC"]
    seen = 0
    for code, told in demo.told.items():
        organs = (
            demo.of("FA", code).set_index("FALOC")["FASTRESC"] if len(demo.of("FA", code)) else pd.Series(dtype=str)
        )
        assert [organs.get(o, "") for o in ("SKIN", "LIVER", "GASTROINTESTINAL TRACT")][: len(told["organs"])] == told[
            "organs"
        ]
        assert len(organs) == len(told["organs"])
        rs = demo.of("RS", code)
        grade = rs[(rs["RSTESTCD"] == "GVHDGRD") & (rs["RSCAT"] == "ACUTE GVHD SCALE")]
        assert list(grade["RSSTRESC"]) == ([told["acute_grade"]] if told["acute_grade"] else [])
        if not told["organs"]:
            continue
        ce = demo.of("CE", code)
        event = ce.loc[ce["CECAT"] == "ACUTE GVHD", "CESEQ"].iloc[0]
        mine = related[related["USUBJID"] == f"PGFMSC-01-{code}"]
        group = mine.loc[(mine["RDOMAIN"] == "CE") & (mine["IDVARVAL"] == str(int(event))), "RELID"].iloc[0]
        members = Counter(mine.loc[mine["RELID"] == group, "RDOMAIN"])
        assert members == {"CE": 1, "FA": 3, "RS": 1}
        there = set(mine.loc[(mine["RELID"] == group) & (mine["RDOMAIN"] == "FA"), "IDVARVAL"])
        assert there == {str(int(n)) for n in demo.of("FA", code)["FASEQ"]}
        seen += 1
    assert seen >= 3


def test_a_chronic_episode_states_its_severity(demo: Built) -> None:
    for code, told in demo.told.items():
        rs = demo.of("RS", code)
        found = rs.loc[rs["RSCAT"] == "CHRONIC GVHD SCALE", "RSSTRESC"]
        assert list(found) == ([SEVERITY[told["chronic_grade"]]] if told["chronic_grade"] else [])


def test_relapses_are_assessed_on_their_day(demo: Built) -> None:
    for code, told in demo.told.items():
        rs = demo.of("RS", code)
        days = rs.loc[rs["RSSTRESC"] == "RELAPSED DISEASE", "RSDTC"].str[:10]
        assert list(days) == [day for kind, day in told["events"] if kind == "RELAPSE"]


def test_adverse_events_with_grade_seriousness_and_readmission(demo: Built) -> None:
    for code, told in demo.told.items():
        ae = demo.of("AE", code)
        graded = ae[ae["AETOXGR"] != ""]
        rows = zip(graded["AESTDTC"].str[:10], graded["AETOXGR"], graded["AESER"], graded["AESHOSP"], strict=True)
        assert sorted(map(list, rows)) == told["adverse_events"], code
        back = [day for day, *_, hosp in told["adverse_events"] if hosp]
        ho = demo.of("HO", code)
        assert set(back) <= set(ho["HOSTDTC"].str[:10])


def test_karnofsky_and_vital_signs_of_the_visits(demo: Built) -> None:
    for code, told in demo.told.items():
        rs = demo.of("RS", code)
        scores = rs[rs["RSTESTCD"] == "KPSS0101"]
        found = {(d[:10], s) for d, s in zip(scores["RSDTC"], scores["RSSTRESC"], strict=True)}
        assert {(d, s) for d, s in told["karnofsky"]} <= found
        vs = demo.of("VS", code)
        for test in ("TEMP", "HR", "RESP", "SYSBP", "DIABP", "OXYSAT"):
            # other facts of the ward stand in files of warts; none is one of these
            days = sorted(vs.loc[vs["VSTESTCD"] == test, "VSDTC"].str[:10])
            assert days == told["visits_with_vital_signs"], (code, test)


def test_causes_of_death_are_told_and_translated(demo: Built) -> None:
    english = {"重症肺炎": "Severe pneumonia", "疾病复发": "Relapse of the disease"}
    told = {code: english[t["cause_of_death"]] for code, t in demo.told.items() if t["cause_of_death"]}
    dd = demo.result.sdtm["DD"]
    assert dict(zip(dd["USUBJID"].str[-3:], dd["DDSTRESC"], strict=True)) == told


def test_with_the_sponsors_terms_no_term_is_chinese(demo: Built) -> None:
    for name, column in (
        ("AE", "AETERM"),
        ("AE", "AERELNST"),
        ("CE", "CETERM"),
        ("MH", "MHTERM"),
        ("DD", "DDORRES"),
        ("PR", "PRTRT"),
    ):
        assert demo.result.sdtm[name][column].map(str.isascii).all(), name

"""What the demo plants of deviations and of safety: everything there is in DV, in ADAE's DLTFL and in the signals, no more.

The truth comes from the plan of the demo (`known_answers`). 34 subjects are the smallest cohort that has everything.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapter import build, cli
from adapter.result import Result
from mappings.trials.pgf_msc.demo import known_answers, write_cohort
from mappings.trials.pgf_msc.demo.safety import PLANTED
from tests.analysis import Subject, day_of, iso, trial_of
from tests.conftest import make_site
from tests.naive_protocol import Naive

SUBJECTS = 34
COUNTS = "BLOOD COUNT MISSING"
MAJOR = {"stopped-infusion", "overdose", "under-dose"}
MINOR = {"late-infusion", "g-csf-dose", "tpo-ra-step"}
SUSPENDING = {"ventilated": "PR", "severe-toxicity": "AE", "death-after-infusion": "DM"}
ANALYTES = {"NEUT": "ANC", "PLAT": "PLT", "HGB": "HGB"}


class Demo(NamedTuple):
    result: Result
    truth: dict[str, Any]

    def who(self, trait: str) -> str:
        return str(self.truth["safety"][trait])


@pytest.fixture(
    scope="module",
    params=[
        (SUBJECTS, 1),
        pytest.param((SUBJECTS, 2), marks=pytest.mark.long),
        pytest.param((SUBJECTS, 3), marks=pytest.mark.long),
        pytest.param((68, 20260101), marks=pytest.mark.long),
    ],
    ids=lambda p: f"{p[0]}-{p[1]}",
)
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    subjects, seed = request.param
    folder: Path = tmp_path_factory.mktemp(f"safety{subjects}-{seed}")
    write_cohort(folder, subjects=subjects, seed=seed)
    site = make_site(folder / "site")
    result = build(folder / "fhir", out=folder / "out", enrolment=folder / "enrolment.csv", site=site, workers=1)
    return Demo(result, known_answers(subjects, seed))


def test_everything_is_planted_and_its_truth_is_told(demo: Demo) -> None:
    """The answers hold a line for every trait; the rest of what they list is checked against a build below."""
    assert set(demo.truth["safety"]) == set(PLANTED)
    deviating = Counter(code for code, *_ in demo.truth["deviations"])
    assert deviating == Counter(demo.who(t) for t in MAJOR | MINOR)
    suspending = {(code, dataset) for kind, code, dataset, *_ in demo.truth["signals"] if kind == "SUSPENSION"}
    assert {(demo.who(t), dataset) for t, dataset in SUSPENDING.items()} <= suspending
    assert {code for code, *_ in demo.truth["dose_limiting"]} == {
        demo.who("dose-limiting"),
        demo.who("severe-toxicity"),
    }


def test_dv_is_what_was_planted_and_the_days_without_a_count(demo: Demo) -> None:
    dv = demo.result.sdtm["DV"]
    other = dv[dv["DVDECOD"] != COUNTS]
    found = zip(other["USUBJID"].str[-3:], other["DVTERM"], other["DVSTDTC"], other["DVENDTC"], strict=True)
    assert sorted(found) == [(who, term, day, day) for who, term, day in demo.truth["deviations"]]


def test_the_terms_carry_the_numbers(demo: Demo) -> None:
    dv = demo.result.sdtm["DV"]
    dv = dv[dv["DVDECOD"] != COUNTS]
    terms = dict(zip(dv["USUBJID"].str[-3:], dv["DVTERM"], strict=True))
    assert {t: terms[demo.who(t)] for t in MAJOR | MINOR} == {
        "stopped-infusion": "UC-MSC dose 0.4 outside 0.9 to 1.1 10^6/kg",
        "overdose": "UC-MSC dose 1.15 outside 0.9 to 1.1 10^6/kg",
        "under-dose": "UC-MSC dose 0.8 outside 0.9 to 1.1 10^6/kg",
        "late-infusion": "UC-MSC infusion 3 on study day 19, planned day 15",
        "g-csf-dose": "G-CSF dose 15 outside 5 to 10 ug/kg/day",
        "tpo-ra-step": "TPO-RA not stepped as the platelet count asks: begun with 2, not 1, study day 8",
    }


def test_days_without_a_blood_count(demo: Demo) -> None:
    """The planned days without a count that lie in the PGF phase, whose end is worked out from LB and CM once more."""
    dv = demo.result.sdtm["DV"]
    missing = dv[dv["DVDECOD"] == COUNTS]
    found = zip(missing["USUBJID"].str[-3:], missing["DVTERM"], missing["DVSTDTC"], missing["DVENDTC"], strict=True)
    expected = []
    for code, days in demo.truth["days_without_counts"].items():
        gaps = [d for d in days if d <= phase_end(demo, code)]
        if gaps:
            term = f"No complete blood count on {len(gaps)} day(s) of the PGF phase"
            expected.append((code, term, gaps[0], gaps[-1]))
    assert expected
    assert sorted(found) == sorted(expected)


def phase_end(demo: Demo, code: str) -> str:
    """A-23, by the slow reading of the protocol: the last of the three lineages' run dates, at most study day 56."""
    usubjid = f"PGFMSC-01-{code}"
    lb, cm = (f[f["USUBJID"] == usubjid] for f in (demo.result.sdtm["LB"], demo.result.sdtm["CM"]))
    start = day_of(demo.truth["subjects"][code]["RFSTDTC"])
    s = Subject(usubjid, demo.truth["subjects"][code]["arm"], start, start)
    rows = lb[lb["LBTESTCD"].isin(list(ANALYTES)) & (lb["LBSTRESC"] != "") & (lb["LBDTC"].str.len() >= 13)]
    s.results = [
        (ANALYTES[test], day_of(at[:10]), int(at[11:13]), text)
        for test, at, text in zip(rows["LBTESTCD"], rows["LBDTC"], rows["LBSTRESC"], strict=True)
    ]
    bags = cm[cm["CMCAT"] == "TRANSFUSION"]
    for name, first, last in zip(bags["CMDECOD"], bags["CMSTDTC"], bags["CMENDTC"], strict=True):
        spans = s.platelets if name == "PLATELETS" else s.red_cells
        spans.append((day_of(first[:10]), day_of((last or first)[:10])))
    naive, trial = Naive(s, trial_of()), trial_of()
    runs = [naive.run(trial.criteria[c], "reference_start")[0] for c in ("NEUT", "PLT20", "RBC")]
    known = [r for r in runs if r is not None]
    return iso(min(max(known), start + 55) if len(known) == len(runs) else start + 55)


def test_major_deviations_leave_the_per_protocol_set(demo: Demo) -> None:
    """Per protocol: no major deviation, and all doses of the arm; the minor ones planted have all four infusions."""
    adsl = demo.result.adam["ADSL"].set_index("USUBJID")["PPROTFL"]
    flags = {u[-3:]: flag for u, flag in adsl.items()}
    assert {t: flags[demo.who(t)] for t in MAJOR | MINOR} == dict.fromkeys(MAJOR, "N") | dict.fromkeys(MINOR, "Y")
    dv = demo.result.sdtm["DV"]
    assert {u[-3:] for u in dv.loc[dv["DVCAT"] == "STUDY TREATMENT", "USUBJID"]} == {
        demo.who(t) for t in MAJOR | {"late-infusion"}
    }


def test_dose_limiting_toxicities(demo: Demo) -> None:
    adae = demo.result.adam["ADAE"]
    mine = adae[adae["DLTFL"] == "Y"]
    found = zip(mine["USUBJID"].str[-3:], mine["AESTDTC"].str[:10], mine["AETOXGR"], mine["TRTEMFL"], strict=True)
    assert sorted(found) == [(*told, "Y") for told in demo.truth["dose_limiting"]]
    assert sorted(mine["AEREL"]) == ["PROBABLY RELATED", "RELATED"]


def test_signals(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    """All kinds but laboratory candidates, with the infusion each follows; and the exit code that pages someone."""
    assert cli.main(["signals", str(demo.result.out), "--json"]) == 4
    answer = json.loads(capsys.readouterr().out)
    found = [
        [s["kind"], s["usubjid"][-3:], s["dataset"], s["date"][:10], str(s["dose_seq"] or ""), "" if s["sure"] else "?"]
        for s in answer["signals"]
        if s["kind"] != "LABORATORY CANDIDATE"
    ]
    assert sorted(found) == demo.truth["signals"]
    assert answer["suspended"]
    kinds = Counter(kind for kind, *_ in found)
    assert kinds["DOSE MODIFICATION"] == len(demo.truth["dose_limiting"]) == 2


def test_what_is_grave_but_not_of_the_product_is_no_toxicity_of_it(
    demo: Demo, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ventilated subject's respiratory failure is of grade 4 and not related: the ventilation alone suspends."""
    who = f"PGFMSC-01-{demo.who('ventilated')}"
    ae = demo.result.sdtm["AE"]
    assert (ae.loc[ae["USUBJID"] == who, "AETOXGR"] == "4").any()
    cli.main(["signals", str(demo.result.out), "--json"])
    mine = [s for s in json.loads(capsys.readouterr().out)["signals"] if s["usubjid"] == who]
    assert [(s["dataset"], s["rule"]) for s in mine if s["kind"] in ("SUSPENSION", "DOSE MODIFICATION")] == [
        ("PR", "ventilation")
    ]


def test_a_subject_is_never_infused_on_the_day_of_death(demo: Demo) -> None:
    """The window of fourteen days is met to the day: the planted death lies at its end."""
    who = demo.who("death-after-infusion")
    ex = demo.result.sdtm["EX"]
    last = date.fromisoformat(ex.loc[ex["USUBJID"].str.endswith(f"-{who}"), "EXSTDTC"].max()[:10])
    assert (date.fromisoformat(demo.truth["deaths"][who]) - last).days == 14

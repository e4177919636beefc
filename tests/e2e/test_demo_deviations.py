"""Deviations and the dose-limiting toxicity planted in the made-up hospital: each found, nothing else flagged."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from adapter import build
from adapter.result import Result
from mappings.trials.pgf_msc.demo import known_answers, write_cohort
from tests.conftest import make_site

SUBJECTS = 30
TERMS = {
    "stopped-infusion": "UC-MSC dose 0.4 outside 0.9 to 1.1 10^6/kg",
    "overdose": "UC-MSC dose 1.15 outside 0.9 to 1.1 10^6/kg",
    "under-dose": "UC-MSC dose 0.8 outside 0.9 to 1.1 10^6/kg",
    "late-infusion": "UC-MSC infusion 3 on study day 19, planned day 15",
    "g-csf-dose": "G-CSF dose 15 outside 5 to 10 ug/kg/day",
    "tpo-ra-step": "TPO-RA not stepped as the platelet count asks: begun with 2, not 1, study day 8",
}
MAJOR = {"stopped-infusion", "overdose", "under-dose"}
COUNTS = "BLOOD COUNT MISSING"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("deviations")
    write_cohort(folder, subjects=SUBJECTS)
    site = make_site(folder / "site")
    return build(folder / "fhir", out=folder / "out", enrolment=folder / "enrolment.csv", site=site, workers=1)


def test_each_planted_deviation_is_found_and_nothing_else(built: Result) -> None:
    planted = known_answers(SUBJECTS)["deviations"]
    assert set(TERMS) | {"dose-limiting"} == set(planted)
    dv = built.sdtm["DV"]
    dv = dv[dv["DVDECOD"] != COUNTS]
    found = {(u[-3:], term) for u, term in zip(dv["USUBJID"], dv["DVTERM"], strict=True)}
    assert found == {(planted[name], term) for name, term in TERMS.items()}
    assert len(dv) == len(TERMS)


def test_major_deviations_leave_the_per_protocol_set(built: Result) -> None:
    planted = known_answers(SUBJECTS)["deviations"]
    adsl = built.adam["ADSL"].set_index("USUBJID")["PPROTFL"]
    flags = {u[-3:]: flag for u, flag in adsl.items()}
    assert {name: flags[planted[name]] for name in TERMS} == {n: "N" if n in MAJOR else "Y" for n in TERMS}


def test_days_without_a_blood_count(built: Result) -> None:
    """Recomputed from LB alone: days from first treatment on which one of the three counts has no result."""
    dv, lb, dm = (built.sdtm[n] for n in ("DV", "LB", "DM"))
    lb = lb[lb["LBTESTCD"].isin(["NEUT", "PLAT", "HGB"]) & (lb["LBSTRESC"] != "")]
    have = set(zip(lb["USUBJID"], lb["LBTESTCD"], lb["LBDTC"].str[:10], strict=True))
    missing = dv[dv["DVDECOD"] == COUNTS]
    assert len(missing)
    start = dm.set_index("USUBJID")["RFSTDTC"].str[:10]
    for who, term, first, last in zip(
        missing["USUBJID"], missing["DVTERM"], missing["DVSTDTC"], missing["DVENDTC"], strict=True
    ):
        days = _days(start[who], last)
        gaps = [d for d in days if not all((who, test, d) in have for test in ("NEUT", "PLAT", "HGB"))]
        assert (gaps[0], gaps[-1]) == (first, last)
        assert term == f"No complete blood count on {len(gaps)} day(s) of the PGF phase"


def _days(first: str, last: str) -> list[str]:
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1)]


def test_the_planted_toxicity_limits_the_dose_and_no_other_event_does(built: Result) -> None:
    adae = built.adam["ADAE"]
    limiting = adae[adae["DLTFL"] == "Y"]
    assert [u[-3:] for u in limiting["USUBJID"]] == [known_answers(SUBJECTS)["deviations"]["dose-limiting"]]
    assert limiting[["AETOXGR", "AEREL", "TRTEMFL"]].to_numpy().tolist() == [["3", "PROBABLY RELATED", "Y"]]

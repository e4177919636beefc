"""Every rule of deviations (protocol §8, §7.3.3): what breaks it is found with its numbers, what is just inside is not.

Each case is one person of one build. Expected terms and study days are written by hand from the protocol.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapter import build
from adapter.result import Result
from adapter.trial import find_trials, load_trial
from tests.clinic import CUT, Given, Infusion, Person, on, write_clinic
from tests.conftest import make_site

MAJOR = {
    "DOSE OUTSIDE PROTOCOL RANGE",
    "FEWER INFUSIONS THAN PLANNED",
    "TREATMENT OF ANOTHER ARM",
    "ELIGIBILITY CRITERION NOT MET",
    "TREATED AFTER RELAPSE",
    "TREATED AFTER DISCONTINUATION",
}
DOSE, DAY, NUMBER, ARM, G_CSF, RHTPO, TPO_RA, CBC, ENTRY, RELAPSED, STOPPED = (
    "DOSE OUTSIDE PROTOCOL RANGE",
    "INFUSION OUTSIDE PLANNED DAY",
    "FEWER INFUSIONS THAN PLANNED",
    "TREATMENT OF ANOTHER ARM",
    "G-CSF DOSE OUTSIDE PROTOCOL RANGE",
    "RHTPO DOSE OUTSIDE PROTOCOL RANGE",
    "TPO-RA STEP RULE NOT FOLLOWED",
    "BLOOD COUNT MISSING",
    "ELIGIBILITY CRITERION NOT MET",
    "TREATED AFTER RELAPSE",
    "TREATED AFTER DISCONTINUATION",
)
PLAN = (1, 8, 15, 22)


class Found(NamedTuple):
    """A deviation. first, last: study days of the randomisation, which are those of the subject unless the case says so."""

    decod: str
    term: str
    first: int
    last: int


class Case(NamedTuple):
    what: str
    facts: dict[str, Any]
    found: tuple[Found, ...] = ()
    per_protocol: str = "Y"


CASES: list[Case] = []


def case(what: str, *found: Found, pp: str = "Y", **facts: Any) -> None:
    if facts.get("log", {}).get("arm", "MSC") == "MSC":
        facts.setdefault("infusions", doses())
    CASES.append(Case(what, facts, found, pp))


def doses(days: tuple[int, ...] = PLAN, **of: Any) -> list[Infusion]:
    """Return infusions on these days, each of 1 x 10^6/kg but for `of` (d8=..., the dose of that day)."""
    return [of.get(f"d{d}", Infusion(d)) for d in days]


def total(day: int, cells: float) -> Infusion:
    return Infusion(day, cells, "10*6")


def found(decod: str, term: str, first: int, last: int | None = None) -> Found:
    return Found(decod, term, first, first if last is None else last)


CTRL = {"arm": "CTRL"}
STARTED = Given("red_cells", 1, 2, "U")
"""First conventional treatment on the day of randomisation, so that study days count from there in CTRL too."""


def outside_dose(dose: str, day: int) -> Found:
    return found(DOSE, f"UC-MSC dose {dose} outside 0.9 to 1.1 10^6/kg", day)


# --- dose: 10 % around 1 x 10^6/kg, weight nearest before; 60 kg unless said ------------------------------------------
case("four infusions as planned")
case("54 over 60 kg is 0.9, the lower limit", infusions=doses(d8=total(8, 54)))
case("66 over 60 kg is 1.1, the upper limit", infusions=doses(d8=total(8, 66)))
case("53.7 over 60 kg is 0.895", outside_dose("0.895", 8), infusions=doses(d8=total(8, 53.7)), pp="N")
case("66.2 over 60 kg is 1.1033", outside_dose("1.103", 8), infusions=doses(d8=total(8, 66.2)), pp="N")
case("recorded per kg", outside_dose("0.89", 22), infusions=doses(d22=Infusion(22, 0.89)), pp="N")
case(
    "50 kg on the day before, 60 kg on the day after: 60 over 50",
    outside_dose("1.2", 15),
    infusions=doses(d15=total(15, 60)),
    weights=((-3, 60), (14, 50), (16, 60)),
    pp="N",
)
case("a total without any weight is not known", infusions=doses(d8=total(8, 200)), weights=())
case("a dose that was not recorded is not known", infusions=doses(d8=Infusion(8, None)))
case(
    "two bags of one day are one infusion",
    infusions=[*doses((1,)), Infusion(8, 0.5), Infusion(8, 0.5, time="T15:00:00+08:00"), *doses((15, 22))],
)

# --- day: two days around the planned one -----------------------------------------------------------------------------
case("two days late and two days early", infusions=doses((1, 10, 13, 22)))
case(
    "three days late",
    found(DAY, "UC-MSC infusion 2 on study day 11, planned day 8", 11),
    infusions=doses((1, 11, 15, 22)),
)
case(
    "three days early",
    found(DAY, "UC-MSC infusion 4 on study day 19, planned day 22", 19),
    infusions=doses((1, 8, 15, 19)),
)
case(
    "one infusion too many",
    found(DAY, "UC-MSC infusion 5 on study day 29, planned day none", 29),
    infusions=doses((*PLAN, 29)),
)

# --- number: all due by study day 24 ----------------------------------------------------------------------------------
THREE = found(NUMBER, "3 of 4 UC-MSC infusions given, no reason recorded", 24)
case("three infusions, no reason", THREE, infusions=doses((1, 8, 15)), pp="N")
case(
    "none at all, no reason",
    found(NUMBER, "0 of 4 UC-MSC infusions given, no reason recorded", 24),
    infusions=[],
    pp="N",
)
case(
    "the fourth not done, with a reason",
    infusions=doses(d22=Infusion(22, None, status="not-done", reason="Fever")),
    pp="N",
)
case(
    "the third not done, with a reason, and nothing said of the fourth",
    found(NUMBER, "2 of 4 UC-MSC infusions given, no reason recorded", 24),
    infusions=doses((1, 8, 15), d15=Infusion(15, None, status="not-done", reason="Fever")),
    pp="N",
)
case("the fourth not done, without one", THREE, infusions=doses(d22=Infusion(22, None, status="not-done")), pp="N")
case("last seen on day 23: the fourth could still be given", infusions=doses((1, 8, 15)), seen=23, pp="N")
case("last seen on day 24: it was due", THREE, infusions=doses((1, 8, 15)), seen=24, pp="N")
case("died on day 24", infusions=doses((1, 8, 15)), seen=20, died=on(24), pp="N")
case("died on day 90, long after it was due", THREE, infusions=doses((1, 8, 15)), seen=80, died=on(90), pp="N")


def left(day: int, kind: str, reason: str) -> dict[str, str]:
    return {"withdrawal_date": on(day), "withdrawal_type": kind, "withdrawal_reason": reason}


case("treatment ended on day 16", infusions=doses((1, 8, 15)), log=left(16, "treatment", "adverse event"), pp="N")
case("left the study on day 20", infusions=doses((1, 8, 15)), log=left(20, "", "lost to follow-up"), pp="N")
case("left the study on day 90", THREE, infusions=doses((1, 8, 15)), log=left(90, "", "lost to follow-up"), pp="N")

# --- another arm ------------------------------------------------------------------------------------------------------
case(
    "an infusion in the control arm",
    found(ARM, "Treated as MSC, randomised to CTRL", 3),
    log=CTRL,
    infusions=[Infusion(3)],
    pp="N",
)
case(
    "one that was not done in the control arm",
    log=CTRL,
    given=[STARTED],
    infusions=[Infusion(3, None, status="not-done")],
)

# --- growth factors ---------------------------------------------------------------------------------------------------


def g_csf(dose: str, first: int, last: int | None = None) -> Found:
    return found(G_CSF, f"G-CSF dose {dose} outside 5 to 10 ug/kg/day", first, last)


case("both ends of the range", log=CTRL, given=[STARTED, Given("g_csf", 2, 5, "ug/kg"), Given("g_csf", 3, 10, "ug/kg")])
case("300 ug for 60 kg", given=[Given("g_csf", 2, 300, "ug")])
case("299 ug for 60 kg", g_csf("4.98", 2), given=[Given("g_csf", 2, 299, "ug")])
case(
    "299.9 ug for 60 kg is told with the digits that show it", g_csf("4.998", 2), given=[Given("g_csf", 2, 299.9, "ug")]
)
case("a volume is no dose", given=[Given("g_csf", 2, 1, "mL")])
case("no weight", given=[Given("g_csf", 2, 900, "ug")], weights=())
case("two doses of a day add up", g_csf("11", 5), given=[Given("g_csf", 5, 5, "ug/kg"), Given("g_csf", 5, 6, "ug/kg")])
case(
    "two days of 12 and one of 11",
    g_csf("12", 5, 6),
    g_csf("11", 7),
    given=[Given("g_csf", d, n, "ug/kg") for d, n in ((5, 12), (6, 12), (7, 11))],
)
case("before randomisation", given=[Given("g_csf", -1, 15, "ug/kg")])
case("on the day of randomisation", g_csf("15", 1), given=[Given("g_csf", 1, 15, "ug/kg")])
case("on study day 56", g_csf("15", 56), given=[Given("g_csf", 56, 15, "ug/kg")])
case("on study day 57", given=[Given("g_csf", 57, 15, "ug/kg")])


def rhtpo(dose: str, first: int, last: int | None = None) -> Found:
    return found(RHTPO, f"rhTPO dose {dose} outside 300 to 300 U/kg/day", first, last)


case("270 and 330 U/kg", given=[Given("rhtpo", 2, 270, "U/kg"), Given("rhtpo", 3, 330, "U/kg")])
case("15000 U for 50 kg", given=[Given("rhtpo", 2, 15000, "U")], weights=((-3, 50),))
case("15000 U for 60 kg", rhtpo("250", 2), given=[Given("rhtpo", 2, 15000, "U")])
case("12000 IU for 60 kg", rhtpo("200", 2), given=[Given("rhtpo", 2, 12000, "[iU]")])
case("269 U/kg", rhtpo("269", 2), given=[Given("rhtpo", 2, 269, "U/kg")])
case("331 U/kg", rhtpo("331", 2), given=[Given("rhtpo", 2, 331, "U/kg")])

# --- TPO-RA: one tablet, up after 14 days below 50, down at 200 to 400, stop above 400; two days of grace --------------


def tablets(*parts: tuple[int, int, float]) -> list[Given]:
    return [Given("tpo_ra", first, n, "{tbl}", last) for first, last, n in parts]


def step(reason: str, day: int) -> Found:
    return found(TPO_RA, f"TPO-RA not stepped as the platelet count asks: {reason}, study day {day}", day)


def platelets(*parts: tuple[int, int, float]) -> dict[str, dict[int, str]]:
    return {"PLT": {d: str(v) for first, last, v in parts for d in range(first, last + 1)}}


case("stepped up after 14 days below 50", given=tablets((2, 15, 1), (16, 29, 2)), counts=platelets((2, 29, 49)))
case("begun with two", step("begun with 2, not 1", 2), given=tablets((2, 8, 2)))
case(
    "49 for 14 days, up on the second day of grace",
    given=tablets((2, 17, 1), (18, 20, 2)),
    counts=platelets((2, 20, 49)),
)
case(
    "49 for 14 days, never up",
    step("not up from 1 after 14 days below 50", 18),
    given=tablets((2, 20, 1)),
    counts=platelets((2, 20, 49)),
)
case("50 on one of the days", given=tablets((2, 17, 1)), counts=platelets((2, 8, 49), (9, 9, 50), (10, 17, 49)))
case("down at 200", given=tablets((2, 15, 1), (16, 18, 2), (19, 22, 1)), counts=platelets((2, 17, 49), (18, 18, 200)))
case(
    "not down at 200",
    step("not down from 2 after a count of 200", 21),
    given=tablets((2, 15, 1), (16, 22, 2)),
    counts=platelets((2, 17, 49), (18, 18, 200)),
)
case("400 is not above 400", given=tablets((2, 12, 1)), counts=platelets((5, 5, 400)))
case("stopped after 401", given=tablets((2, 7, 1)), counts=platelets((5, 5, 401)))
case(
    "not stopped after 401",
    step("not stopped after a count of 401", 8),
    given=tablets((2, 12, 1)),
    counts=platelets((5, 5, 401)),
)

# --- blood counts: daily from first treatment to the last lineage's recovery, at most to day 56 -----------------------
LOW = {"ANC": "0.2", "PLT": "10", "HGB": "60"}
PGF = {"pgf_date": "2024-02-15"}


def counted(last: int, without: tuple[tuple[str, int], ...] = (), recovered: int = 99) -> dict[str, dict[int, str]]:
    high = {"ANC": "2.0", "PLT": "60", "HGB": "90"}
    return {
        a: {d: (high if d >= recovered else LOW)[a] for d in range(1, last + 1) if (a, d) not in without} for a in LOW
    }


def gaps(n: int, first: int, last: int | None = None) -> Found:
    return found(CBC, f"No complete blood count on {n} day(s) of the PGF phase", first, last)


case("counted daily to day 56", log=PGF, counts=counted(56))
case("no platelets on day 10", gaps(1, 10), log=PGF, counts=counted(56, (("PLT", 10),)))
case(
    "day 1, day 20 and day 56 without one of them",
    gaps(3, 1, 56),
    log=PGF,
    counts=counted(56, (("HGB", 1), ("ANC", 20), ("PLT", 56))),
)
case("platelets begin to recover on day 20, the last of the three", log=PGF, counts=counted(26, (), 20))
case("seen to day 30, counted to day 29", gaps(1, 30), log=PGF, counts=counted(29), seen=30)
case("nothing says that there was poor graft function", counts=counted(3))

# --- entry ------------------------------------------------------------------------------------------------------------
case("aged 60 at consent", born="1963-02-21")
case(
    "aged 61 at consent",
    found(ENTRY, "Enrolled although not eligible: INCL02 Either sex, age at least 18 and at most 60 years", 1),
    born="1963-02-20",
    log={"ie_INCL02": "N"},
    pp="N",
)
case(
    "in another trial",
    found(ENTRY, "Enrolled although not eligible: EXCL07 Currently participating in another clinical trial", 1),
    log={"ie_EXCL07": "Y"},
    pp="N",
)
case("nobody answered whether in another trial", log={"ie_EXCL07": ""})


# --- relapse within 84 days of the transplant; treatment that was ended -----------------------------------------------
def relapsed(day: int) -> Found:
    return found(RELAPSED, "UC-MSC infusion after relapse within 12 weeks of transplant", day)


# 2023-12-19 and 84 days are 2024-03-12, study day 9
case(
    "relapse on day 84 after transplant",
    relapsed(15),
    relapsed(22),
    transplant=date(2023, 12, 19),
    relapses=["2024-03-12"],
    pp="N",
)
case("relapse on day 85 after transplant", transplant=date(2023, 12, 18), relapses=["2024-03-12"])
case("relapse on the day of the third infusion", relapsed(22), relapses=[on(15)], pp="N")
case("relapse on the day of the last one", relapses=[on(22)])
case("relapse in a month of which the day is not known may be after all of them", relapses=["2024-03"])


def stopped(day: int, reason: str = "ADVERSE EVENT") -> Found:
    return found(STOPPED, f"Study treatment after discontinuation: {reason}", day)


case("ended on day 10", stopped(15), stopped(22), log=left(10, "treatment", "adverse event"), pp="N")
case(
    "ended on the day of the last infusion",
    infusions=doses((1, 8, 15)),
    log=left(15, "treatment", "adverse event"),
    pp="N",
)
case(
    "ended by the investigator on day 21",
    stopped(22, "PHYSICIAN DECISION"),
    log=left(21, "treatment", "研究者决定"),
    pp="N",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("deviations")
    people = [Person(f"p{n}", **c.facts) for n, c in enumerate(CASES)]
    fhir, log = write_clinic(folder, people)
    return build(fhir, out=folder / "out", enrolment=log, site=make_site(folder / "site"), cutoff=CUT, workers=1)


def test_each_deviation_is_found_with_its_numbers_and_what_is_inside_is_none(built: Result) -> None:
    wrong = []
    by_subject: dict[str, list[tuple[str, ...]]] = {}
    for r in built.sdtm["DV"].itertuples():
        by_subject.setdefault(str(r.USUBJID), []).append((r.DVDECOD, r.DVTERM, r.DVSTDTC, r.DVENDTC))
    for n, c in enumerate(CASES, 101):
        expected = sorted((f.decod, f.term, on(f.first), on(f.last)) for f in c.found)
        got = sorted(by_subject.get(f"PGFMSC-01-{n}", []))
        if got != expected:
            wrong.append((c.what, got, expected))
    assert wrong == []


def test_major_deviations_and_missing_infusions_leave_the_per_protocol_set(built: Result) -> None:
    adsl = built.adam["ADSL"].set_index("USUBJID")["PPROTFL"]
    wrong = [c.what for n, c in enumerate(CASES, 101) if adsl[f"PGFMSC-01-{n}"] != c.per_protocol]
    assert wrong == []


def test_which_deviations_are_major_stands_beside_them(built: Result) -> None:
    dv, supp = built.sdtm["DV"], built.sdtm["SUPPDV"]
    flags = {(u, v): q for u, v, q in zip(supp["USUBJID"], supp["IDVARVAL"], supp["QVAL"], strict=True)}
    told = {(r.DVDECOD, flags[str(r.USUBJID), str(int(r.DVSEQ))]) for r in dv.itertuples()}
    assert told == {(d, "Y" if d in MAJOR else "N") for d in dv["DVDECOD"]}


def test_every_rule_of_the_trial_has_a_case_that_breaks_it_and_one_that_does_not() -> None:
    trial = load_trial(find_trials()["pgf_msc"])
    broken = Counter(f.decod for c in CASES for f in c.found)
    assert set(broken) == {d.decod for d in trial.deviations.values()}
    assert {d.decod for d in trial.deviations.values() if d.major} == MAJOR
    assert sum(not c.found for c in CASES) > len(broken)


NOBODY: dict[str, tuple[list[Person], set[str]]] = {
    # the last day that is known of them is that of the randomisation: nothing was due yet
    "nothing but the log": (
        [Person("a", transplant=None, weights=(), seen=None), Person("b", log=CTRL, seen=None)],
        set(),
    ),
    "infusions of nobody who is randomised, and no weight": (
        [Person("a", log={"arm": "", "randomisation_date": ""}, infusions=doses(), weights=())],
        set(),
    ),
    "nobody in the arm of the product, one without treatment": (
        [Person("a", log=CTRL | PGF, given=[STARTED], counts=counted(5)), Person("b", log=CTRL)],
        {"No complete blood count on 51 day(s) of the PGF phase"},
    ),
    "nobody in the control arm, a relapse without a transplant": (
        [Person("a", infusions=doses(), transplant=None, relapses=["2024-03-12"])],
        set(),
    ),
    "no infusion, a relapse, drugs without doses": (
        [
            Person("a", weights=(), given=[Given(g, 2, None, "") for g in ("g_csf", "rhtpo", "tpo_ra", "platelets")]),
            Person("b", relapses=["2024-03-12"], log=PGF, counts=counted(56)),
        ],
        {"0 of 4 UC-MSC infusions given, no reason recorded"},
    ),
}


@pytest.mark.parametrize("name", NOBODY)
def test_what_is_not_there_breaks_no_rule_and_no_build(name: str, tmp_path: Path) -> None:
    people, expected = NOBODY[name]
    fhir, log = write_clinic(tmp_path, people)
    r = build(fhir, out=tmp_path / "out", enrolment=log, site=make_site(tmp_path / "site"), cutoff=CUT, workers=1)
    found_ = set(r.sdtm["DV"]["DVTERM"]) if "DV" in r.sdtm else set()
    assert found_ == expected

"""The tables recomputed from made-up datasets with loops over records; empty arms, odd data, CSV and HTML."""

from __future__ import annotations

import csv
import io
import random
import statistics
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from adapter.analysis_plan import plan_of
from adapter.errors import InputError, TrialError
from adapter.stats.analysis import not_built, tables_of
from adapter.stats.cells import formatted
from adapter.stats.efficacy import response_table
from adapter.stats.estimates import normal_quantile
from adapter.stats.event_times import time_table
from adapter.stats.html import page
from adapter.stats.plan import Characteristic, Plan, Response, TimeTo
from adapter.stats.results import COLUMNS, Result, Table, results_csv
from adapter.stats.safety import adverse_event_tables, clinical_event_table, deviation_table
from adapter.stats.shifts import shift_table
from adapter.stats.subjects import baseline_table, population_table
from adapter.stats.table_csv import table_csv
from adapter.trial import find_trials, load_trial
from tests import naive_statistics as naive

pytestmark = pytest.mark.filterwarnings("error")

NEW, OLD = "New cells", "Usual care"
PLAN = Plan(
    first=NEW,
    second=OLD,
    populations={"FASFL": "full analysis set", "PPROTFL": "per protocol", "SAFFL": "safety"},
    population="FASFL",
    safety="SAFFL",
    supportive=("PPROTFL",),
    responses=(
        Response("ANC", "Neutrophils", ("Y",)),
        Response("PLTRESP", "Platelets, CR or PR", ("CR", "PR")),
        Response("PLTRESP", "Platelets, CR", ("CR",), "secondary"),
    ),
    times=(
        TimeTo("OS", "Overall survival", days=(60, 180, 365)),
        TimeTo("TTANC", "Time to neutrophils", competing=True, days=(28, 56)),
        TimeTo("TTANCH", "From transplant", competing=True, delayed=True, days=(60, 100)),
    ),
    characteristics=(
        Characteristic("AGE", "Age", numeric=True, unit="years"),
        Characteristic("SEX", "Sex"),
        Characteristic("DONOR", "Donor <type>"),
    ),
    related=("RELATED", "POSSIBLY RELATED"),
    serious_criteria=("AESDTH", "AESLIFE"),
    expected=("PLAT",),
)
DAY0 = date(2024, 1, 1)


class Study:
    """Made-up datasets as lists of dicts, so that tests can loop over them."""

    def __init__(self, seed: int, size: int = 30) -> None:
        r = random.Random(seed)
        self.adsl: list[dict[str, Any]] = []
        self.adrs: list[dict[str, Any]] = []
        self.adtte: list[dict[str, Any]] = []
        self.adae: list[dict[str, Any]] = []
        self.adlb: list[dict[str, Any]] = []
        for i in range(size):
            arm, treated = r.choice((NEW, OLD)), r.random() < 0.9
            subject = f"S-{i:03d}"
            randomised = DAY0 + timedelta(days=r.randint(10, 40))
            self.adsl.append(
                {
                    "USUBJID": subject,
                    "TRT01P": arm,
                    "TRT01A": (NEW if r.random() < 0.1 else arm) if treated else "",
                    "FASFL": "Y" if r.random() < 0.95 else "N",
                    "PPROTFL": r.choice("YYN"),
                    "SAFFL": "Y" if treated else "N",
                    "AGE": r.choice((None, *range(18, 61))),
                    "SEX": r.choice("MF"),
                    "DONOR": r.choice(("HAPLO", "SIBLING & co", "")),
                    "RANDDT": pd.Timestamp(randomised),
                }
            )
            for paramcd, values in (("ANC", ("Y", "Y", "N", "NE")), ("PLTRESP", ("CR", "PR", "NR", "NE"))):
                if r.random() < 0.93:
                    self.adrs.append({"USUBJID": subject, "PARAMCD": paramcd, "AVALC": r.choice(values)})
            self.adtte += [
                {
                    "USUBJID": subject,
                    "PARAMCD": p,
                    "AVAL": r.randint(1, last),
                    "CNSR": r.choice(codes),
                    "STARTDT": start,
                }
                for p, last, codes, start in (
                    ("OS", 365, (0, 1), pd.Timestamp(randomised)),
                    ("TTANC", 60, (0, 0, 1, 2), pd.Timestamp(randomised)),
                    ("TTANCH", 110, (0, 0, 1, 2), pd.Timestamp(DAY0)),
                )
            ]
            for _ in range(r.randint(0, 4)):
                term = r.choice((("Infections", "Sepsis"), ("Infections", "Pneumonia"), ("Skin", "Rash"), ("", "")))
                self.adae.append(
                    {
                        "USUBJID": subject,
                        "TRTEMFL": r.choice("YYYN"),
                        "AEBODSYS": term[0],
                        "AEDECOD": term[1],
                        "AETERM": term[1] or "hot",
                        "AESER": r.choice("YNN"),
                        "AETOXGR": r.choice(("1", "2", "3", "4", "5", "")),
                        "AEREL": r.choice(("RELATED", "POSSIBLY RELATED", "NOT RELATED", "")),
                        "AESDTH": r.choice(("Y", "N", "")),
                        "DLTFL": r.choice(("Y", "", "")),
                    }
                )
            for paramcd, param in (("K", "Potassium (mmol/L)"), ("PLAT", "Platelets (10^9/L)")):
                base_low, base_high = r.choice("0012"), r.choice(("0", "1", ""))
                for _ in range(r.randint(0, 3)):
                    self.adlb.append(
                        {
                            "USUBJID": subject,
                            "PARAMCD": paramcd,
                            "PARAM": param,
                            "ONTRTFL": r.choice("YYN"),
                            "BTOXGRL": base_low,
                            "BTOXGRH": "" if paramcd == "PLAT" else base_high,
                            "ATOXGRL": r.choice(("0", "1", "3", "4", "")),
                            "ATOXGRH": "" if paramcd == "PLAT" else r.choice("0123"),
                        }
                    )

    def frames(self) -> dict[str, pd.DataFrame]:
        return {n: pd.DataFrame(getattr(self, n)) for n in ("adsl", "adrs", "adtte", "adae", "adlb")}

    def members(self, flag: str, arm: str, column: str = "TRT01P") -> list[dict[str, Any]]:
        return [s for s in self.adsl if s[flag] == "Y" and s[column] == arm]


STUDIES = [Study(s) for s in range(4)]


def cells(*tables: Table) -> dict[tuple[str, str, str, str], Result]:
    found = {}
    for table in tables:
        for r in table.results:
            assert (r.section, r.label, r.group, r.statistic) not in found
            assert (r.value is None) == bool(r.why)
            found[r.section, r.label, r.group, r.statistic] = r
    return found


def test_populations_count_subjects() -> None:
    for study in STUDIES:
        found = cells(population_table(study.frames()["adsl"], PLAN))
        for flag, label in PLAN.populations.items():
            for arm in PLAN.arms:
                members = study.members(flag, arm, "TRT01A" if flag == "SAFFL" else "TRT01P")
                assert found[flag, label, arm, "subjects"].value == len(members)


def test_baseline_characteristics() -> None:
    for study in STUDIES:
        found = cells(baseline_table(study.frames()["adsl"], PLAN))
        for arm in (*PLAN.arms, "ALL"):
            members = [s for s in study.adsl if s["FASFL"] == "Y" and arm in (s["TRT01P"], "ALL")]
            ages = sorted(s["AGE"] for s in members if s["AGE"] is not None)
            q1, q2, q3 = statistics.quantiles(ages, n=4, method="inclusive")
            wanted = {"subjects": len(ages), "missing": len(members) - len(ages), "mean": sum(ages) / len(ages)}
            wanted |= {"standard deviation": statistics.stdev(ages), "minimum": ages[0], "maximum": ages[-1]}
            wanted |= {"first quartile": q1, "median": q2, "third quartile": q3}
            for statistic, value in wanted.items():
                assert found["AGE", "Age (years)", arm, statistic].value == pytest.approx(value)
            for label, category in (("HAPLO", "HAPLO"), ("SIBLING & co", "SIBLING & co"), ("missing", "")):
                n = sum(s["DONOR"] == category for s in members)
                assert found["DONOR", f"Donor <type>: {label}", arm, "subjects"].value == n
                share = found["DONOR", f"Donor <type>: {label}", arm, "share"].value
                assert share == pytest.approx(n / len(members))


@pytest.mark.parametrize("population", ["FASFL", "PPROTFL"])
@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_responses(role: Any, population: str) -> None:
    z = normal_quantile(0.95)
    for study in STUDIES:
        f = study.frames()
        found = cells(response_table(f["adsl"], f["adrs"], PLAN, role, population))
        assert len(found) == (2 if role == "primary" else 1) * 11
        for response in (r for r in PLAN.responses if r.role == role):
            counts = []
            for arm in PLAN.arms:
                key = (response.paramcd, response.label, arm)
                said = {r["USUBJID"]: r["AVALC"] for r in study.adrs if r["PARAMCD"] == response.paramcd}
                answers = [said.get(s["USUBJID"], "NE") for s in study.members(population, arm)]
                x, n = sum(a in response.responders for a in answers), len(answers)
                assert found[*key, "subjects"].value == n
                assert found[*key, "responders"].value == x
                assert found[*key, "not evaluable"].value == answers.count("NE")
                rate = found[*key, "response rate"]
                assert rate.value == x / n
                assert (rate.lower, rate.upper) == pytest.approx(
                    naive.clopper_pearson(x, n, Fraction(19, 20)), abs=1e-9
                )
                assert rate.selection == f"PARAMCD = {response.paramcd}, AVALC in {', '.join(response.responders)}"
                assert (rate.population, rate.dataset, rate.subjects) == (population, "ADRS", n)
                assert (rate.confidence, rate.method) == (0.95, "Clopper-Pearson")
                counts += [x, n]
            key = (response.paramcd, response.label, PLAN.comparison)
            gap = found[*key, "difference of rates"]
            assert (gap.lower, gap.upper) == pytest.approx(naive.newcombe(*counts, z), abs=1e-9)  # type: ignore[call-arg]
            two, greater = naive.fisher(*counts)
            assert found[*key, "p, two-sided"].value == pytest.approx(two)
            assert found[*key, "p, one-sided"].value == pytest.approx(greater)
            assert found[*key, "p, one-sided"].confidence is None


def test_not_evaluable_may_be_left_out() -> None:
    plan = Plan(NEW, OLD, {"FASFL": "all"}, "FASFL", "SAFFL", PLAN.responses, not_evaluable_as="excluded")
    for study in STUDIES:
        f = study.frames()
        found = cells(response_table(f["adsl"], f["adrs"], plan, "primary"))
        said = {r["USUBJID"]: r["AVALC"] for r in study.adrs if r["PARAMCD"] == "ANC"}
        for arm in PLAN.arms:
            answers = [a for s in study.members("FASFL", arm) if (a := said.get(s["USUBJID"], "NE")) != "NE"]
            rate = found["ANC", "Neutrophils", arm, "response rate"]
            assert (rate.value, rate.subjects) == (answers.count("Y") / len(answers), len(answers))


def test_at_an_interim_cut_who_has_no_answer_yet_is_in_no_denominator() -> None:
    adsl = pd.DataFrame({"USUBJID": list("abcd"), "TRT01P": [NEW, NEW, NEW, OLD], "FASFL": "Y"})
    adrs = pd.DataFrame(
        {"USUBJID": list("abd"), "PARAMCD": "ANC", "AVALC": ["Y", "NE", "N"], "ANL01FL": ["Y", "", "Y"]}
    )
    found = cells(response_table(adsl, adrs, PLAN, "primary"))
    rate = found["ANC", "Neutrophils", NEW, "response rate"]
    assert (rate.value, rate.subjects) == (0.5, 2)  # a, and c who has no record; b is on the way
    assert found["ANC", "Neutrophils", NEW, "not evaluable"].value == 1


@pytest.mark.parametrize("numbers", [False, True])
def test_at_an_interim_cut_only_responders_count_before_their_horizon(numbers: bool) -> None:
    """Day 56 of a subject who started on 1 March is 25 April."""
    start, cut = pd.Timestamp("2024-03-01"), pd.Timestamp("2024-04-24")
    rows = [
        ("a", cut, "N", "ONGOING", "Y"),  # responded before
        ("b", cut, "N", "ONGOING", "NE"),  # on the way
        ("c", cut, "Y", "DISCONTINUED", "N"),  # died
        ("d", cut, "N", "DISCONTINUED", "NE"),  # left
        ("e", cut + pd.Timedelta(days=1), "", "", "N"),  # day 56 is the day of the cut
        ("f", cut, "", "", None),  # on the way, no record
    ]
    adsl = pd.DataFrame([r[:4] for r in rows], columns=["USUBJID", "DCUTDT", "DTHFL", "EOSSTT"])
    adsl = adsl.assign(RFSTDT=start, TRT01P=NEW, FASFL="Y")
    if numbers:
        for c in ("RFSTDT", "DCUTDT"):
            adsl[c] = (adsl[c] - pd.Timestamp("1960-01-01")).dt.days
    said = [(r[0], r[4]) for r in rows if r[4]]
    adrs = pd.DataFrame([(u, "ANC", v) for u, v in said], columns=["USUBJID", "PARAMCD", "AVALC"])
    for horizon, wanted in ((56, (1, 4)), (0, (1, 6)), (55, (1, 6))):
        found = cells(response_table(adsl, adrs, replace(PLAN, horizon_days=horizon), "primary"))
        rate = found["ANC", "Neutrophils", NEW, "response rate"]
        assert (rate.value, rate.subjects) == (wanted[0] / wanted[1], wanted[1])


def test_settings_of_the_primary_analysis() -> None:
    plan = replace(PLAN, sides=("one-sided",), continuity=True, multiplicity="holm", confidence=0.9)
    f = STUDIES[0].frames()
    found = cells(response_table(f["adsl"], f["adrs"], plan, "primary"))
    plain = cells(response_table(f["adsl"], f["adrs"], PLAN, "primary"))
    keys = [("ANC", "Neutrophils", PLAN.comparison), ("PLTRESP", "Platelets, CR or PR", PLAN.comparison)]
    p = [plain[*k, "p, one-sided"].value or 0 for k in keys]
    for k, own in zip(keys, p, strict=True):
        assert (*k, "p, two-sided") not in found
        assert found[*k, "p, one-sided"].value == own
        wanted = min(1, 2 * own) if own == min(p) else max(own, min(1, 2 * min(p)))
        assert found[*k, "p, one-sided, Holm over 2 parameters"].value == pytest.approx(wanted)
        gap = found[*k, "difference of rates"]
        assert gap.method == "Newcombe, with continuity correction"
        assert gap.confidence == 0.9
    assert not any("Holm" in k[3] for k in cells(response_table(f["adsl"], f["adrs"], plan, "secondary")))


def naive_subjects(study: Study, paramcd: str, arm: str, delayed: bool) -> tuple[list[naive.Subject], int]:
    """Return the subjects of an arm as the naive statistics take them, and how many were never at risk."""
    found, out = [], 0
    for s in study.members("FASFL", arm):
        for r in study.adtte:
            if r["USUBJID"] == s["USUBJID"] and r["PARAMCD"] == paramcd:
                entry = -1
                if delayed:
                    entry = (s["RANDDT"] - r["STARTDT"]).days  # AVAL of the day before randomisation
                if entry >= r["AVAL"]:
                    out += 1
                    continue
                found.append((r["AVAL"], {0: 1, 1: 0, 2: 2}[r["CNSR"]], entry))
    return found, out


def test_survival_times() -> None:
    for study in STUDIES:
        f = study.frames()
        found = cells(time_table(f["adsl"], f["adtte"], PLAN))
        arms = [naive_subjects(study, "OS", arm, delayed=False)[0] for arm in PLAN.arms]
        for arm, subjects in zip(PLAN.arms, arms, strict=True):
            key = ("OS", "Overall survival", arm)
            assert found[*key, "subjects"].value == len(subjects)
            assert found[*key, "events"].value == sum(s == 1 for _, s, _ in subjects)
            assert found[*key, "censored"].value == sum(s == 0 for _, s, _ in subjects)
            assert (*key, "competing events") not in found
            for day in (60, 180):
                r = found[*key, f"free of the event on day {day}"]
                assert r.value == pytest.approx(float(naive.survival(subjects, day)))
            assert found[*key, "50 % had the event by"].value == naive.quantile(subjects, Fraction(1, 2))
        key = ("OS", "Overall survival", PLAN.comparison)
        assert (*key, "p, Gray") not in found
        beta = naive.peak(lambda b, arms=arms: naive.efron(*arms, b))  # type: ignore[misc]
        ratio = found[*key, "hazard ratio"]
        assert ratio.value == pytest.approx(2.718281828459045**beta, rel=1e-4)
        assert ratio.lower is not None
        assert ratio.upper is not None
        assert ratio.lower < ratio.value < ratio.upper
        assert ratio.subjects == sum(map(len, arms))


@pytest.mark.parametrize(("paramcd", "label"), [("TTANC", "Time to neutrophils"), ("TTANCH", "From transplant")])
def test_times_with_competing_events(paramcd: str, label: str) -> None:
    left_out = 0
    for study in STUDIES:
        f = study.frames()
        table = time_table(f["adsl"], f["adtte"], PLAN)
        found = cells(table)
        delayed = paramcd == "TTANCH"
        both = [naive_subjects(study, paramcd, arm, delayed) for arm in PLAN.arms]
        for arm, (subjects, out) in zip(PLAN.arms, both, strict=True):
            key = (paramcd, label, arm)
            counts = Counter(s for _, s, _ in subjects)
            assert found[*key, "subjects"].value == len(subjects)
            assert found[*key, "events"].value == counts[1]
            assert found[*key, "competing events"].value == counts[2]
            assert found[*key, "censored"].value == counts[0]
            if delayed:
                assert found[*key, "left out: ended before randomisation"].value == out
                left_out += out
            days = sorted(t for t, s, _ in subjects if s == 1)
            assert found[*key, "median time of those with the event"].value == statistics.median(days)
            assert found[*key, "longest time of those with the event"].value == days[-1]
            for day in (60, 100) if delayed else (28, 56):
                r = found[*key, f"cumulative incidence on day {day}"]
                if r.value is None:
                    assert "follow-up ends" in r.why or "came under observation" in r.why
                    continue
                assert r.value == pytest.approx(float(naive.incidence(subjects, day, 1)))  # type: ignore[arg-type]
                assert "aalen variance" in r.method
                assert ("delayed entry" in r.method) == delayed
        key = (paramcd, label, PLAN.comparison)
        one, other = both[0][0], both[1][0]
        p = found[*key, "p, cause-specific log-rank"]
        chi2 = naive.log_rank(one, other)
        assert p.value == pytest.approx(2 * (1 - statistics.NormalDist().cdf(chi2**0.5)), abs=1e-9)
        grays = found[*key, "p, Gray"]
        if delayed:
            assert grays.why == "not defined with delayed entry"
        else:
            (u, _), ((v, _), _) = naive.gray([sorted(one), sorted(other)], 1)
            assert grays.value == pytest.approx(2 * (1 - statistics.NormalDist().cdf(abs(u) / v**0.5)), abs=1e-9)
    assert not delayed or left_out > 0


@pytest.mark.parametrize("kind", ["SAS numbers", "date objects", "texts"])
def test_dates_may_be_of_any_kind(kind: str) -> None:
    f = STUDIES[0].frames()
    others = {"adsl": f["adsl"].copy(), "adtte": f["adtte"].copy()}
    for name, column in (("adsl", "RANDDT"), ("adtte", "STARTDT")):
        days = f[name][column]
        others[name][column] = {
            "SAS numbers": (days - pd.Timestamp("1960-01-01")).dt.days.astype(float),
            "date objects": days.dt.date,
            "texts": days.dt.strftime("%Y-%m-%d"),
        }[kind]
    plain = time_table(f["adsl"], f["adtte"], PLAN)
    assert time_table(others["adsl"], others["adtte"], PLAN).results == plain.results


def test_an_empty_answer_is_no_answer() -> None:
    adsl = pd.DataFrame({"USUBJID": list("abcd"), "TRT01P": [NEW, NEW, NEW, OLD], "FASFL": "Y"})
    adrs = pd.DataFrame({"USUBJID": list("abcd"), "PARAMCD": "ANC", "AVALC": ["Y", "", None, "N"]})
    found = cells(response_table(adsl, adrs, PLAN, "primary"))
    assert found["ANC", "Neutrophils", NEW, "not evaluable"].value == 2
    assert found["ANC", "Neutrophils", OLD, "not evaluable"].value == 0


def test_adverse_events() -> None:
    for study in STUDIES:
        f = study.frames()
        tables = {t.id: t for t in adverse_event_tables(f["adsl"], f["adae"], PLAN)}
        terms, serious, worst = (tables[n] for n in ("ae-by-term", "ae-serious", "ae-worst-grade"))
        found = cells(tables["ae-overview"])
        conditions: dict[str, Any] = {
            "Any": lambda e: True,
            "Related to treatment": lambda e: e["AEREL"] in PLAN.related,
            "Serious": lambda e: e["AESER"] == "Y",
            "Serious and related": lambda e: e["AESER"] == "Y" and e["AEREL"] in PLAN.related,
            "Grade 3 or higher": lambda e: e["AETOXGR"] in ("3", "4", "5"),
            "Grade not known": lambda e: e["AETOXGR"] == "",
            "Serious: death": lambda e: e["AESDTH"] == "Y",
            "Dose-limiting": lambda e: e["DLTFL"] == "Y",
        }
        for arm in PLAN.arms:
            members = {s["USUBJID"] for s in study.members("SAFFL", arm, "TRT01A")}
            events = [e for e in study.adae if e["USUBJID"] in members and e["TRTEMFL"] == "Y"]
            for label, holds in conditions.items():
                mine = [e for e in events if holds(e)]
                subjects = {e["USUBJID"] for e in mine}
                assert found["overview", label, arm, "events"].value == len(mine)
                assert found["overview", label, arm, "subjects"].value == len(subjects)
                share = found["overview", label, arm, "share"]
                assert share.value == pytest.approx(len(subjects) / len(members))
                assert share.subjects == len(members)
            for table, chosen in ((terms, events), (serious, [e for e in events if e["AESER"] == "Y"])):
                rows = {(r.section, r.label): r for r in table.results if r.group == arm and r.statistic == "subjects"}
                for body_system, term in (
                    ("Infections", "Sepsis"),
                    ("Skin", "Rash"),
                    ("(not coded)", "hot (not coded)"),
                ):
                    wanted = {e["USUBJID"] for e in chosen if e["AETERM"] == term.split(" ")[0]}
                    r = rows.get((body_system, term))
                    assert (r.value if r else 0) == len(wanted)
                infected = {e["USUBJID"] for e in chosen if e["AEBODSYS"] == "Infections"}
                assert rows["Infections", "Any term"].value == len(infected)
            grades: dict[str, list[int]] = {}
            for e in events:
                grades.setdefault(e["USUBJID"], []).extend([int(e["AETOXGR"])] if e["AETOXGR"] else [])
            tally = Counter(max(g) if g else None for g in grades.values())
            got = {r.label: r.value for r in worst.results if r.group == arm and r.statistic == "subjects"}
            none = {"No event": len(members) - len(grades)}
            assert got == {f"Grade {g}": tally[g] for g in range(1, 6)} | {"missing": tally[None]} | none
            assert sum(got.values()) == len(members)  # type: ignore[arg-type]


def test_terms_come_with_the_most_frequent_first() -> None:
    f = STUDIES[0].frames()
    table = next(t for t in adverse_event_tables(f["adsl"], f["adae"], PLAN) if t.id == "ae-by-term")
    totals: dict[str, float] = {}
    for r in table.results:
        if r.label == "Any term" and r.statistic == "subjects":
            totals[r.section] = totals.get(r.section, 0) + (r.value or 0)
    assert list(totals.values()) == sorted(totals.values(), reverse=True)
    assert len(totals) == 3


def test_laboratory_shifts() -> None:
    for study in STUDIES:
        f = study.frames()
        table = shift_table(f["adsl"], f["adlb"], PLAN)
        found = cells(table)
        for paramcd, letter, label in (
            ("K", "L", "Potassium (mmol/L), low"),
            ("K", "H", "Potassium (mmol/L), high"),
            ("PLAT", "L", "Platelets (10^9/L), low, expected, underlying disease"),
        ):
            for arm in PLAN.arms:
                shifts: Counter[str] = Counter()
                for s in study.members("SAFFL", arm, "TRT01A"):
                    records = [
                        r
                        for r in study.adlb
                        if (r["USUBJID"], r["PARAMCD"], r["ONTRTFL"]) == (s["USUBJID"], paramcd, "Y")
                    ]
                    if records:
                        known = [r[f"ATOXGR{letter}"] for r in records if r[f"ATOXGR{letter}"]]
                        base = records[0][f"BTOXGR{letter}"] or "missing"
                        shifts[f"{base} to {max(known) if known else 'missing'}"] += 1
                got = {
                    r.statistic: r.value
                    for r in table.results
                    if (r.section, r.label, r.group) == (paramcd, label, arm)
                }
                assert {k: v for k, v in got.items() if v} == dict(shifts)
                assert all(found[paramcd, label, arm, k].subjects == sum(shifts.values()) for k in got)
        assert not any(r.section == "PLAT" and ", high" in r.label for r in table.results)


EVERY_ONE_IN_ONE_ARM = pd.DataFrame(
    {
        "USUBJID": list("abc"),
        "TRT01P": NEW,
        "TRT01A": NEW,
        "FASFL": "Y",
        "PPROTFL": "N",
        "SAFFL": "Y",
        "AGE": [30.0, None, None],
        "SEX": "M",
        "DONOR": "",
        "RANDDT": pd.Timestamp(DAY0),
    }
)


def all_tables(frames: dict[str, pd.DataFrame], population: str = "FASFL") -> list[Table]:
    adsl = frames["adsl"]
    return [
        population_table(adsl, PLAN),
        baseline_table(adsl, PLAN),
        response_table(adsl, frames["adrs"], PLAN, "primary", population),
        response_table(adsl, frames["adrs"], PLAN, "secondary", population),
        time_table(adsl, frames["adtte"], PLAN, population),
        *adverse_event_tables(adsl, frames["adae"], PLAN),
        shift_table(adsl, frames["adlb"], PLAN),
    ]


@pytest.mark.parametrize("population", ["FASFL", "PPROTFL"])
def test_an_arm_or_a_population_without_subjects_is_not_estimable(population: str) -> None:
    frames = {n: f.iloc[:0] for n, f in STUDIES[0].frames().items()} | {"adsl": EVERY_ONE_IN_ONE_ARM}
    frames["adrs"] = pd.DataFrame({"USUBJID": list("abc"), "PARAMCD": "ANC", "AVALC": "Y"})
    tables = all_tables(frames, population)
    found = cells(*(t for t in tables if not t.headed))
    assert found["ANC", "Neutrophils", OLD, "response rate"].why == "no subjects"
    assert found["ANC", "Neutrophils", PLAN.comparison, "difference of rates"].why == "no subjects in an arm"
    assert found["OS", "Overall survival", PLAN.comparison, "hazard ratio"].why == "no subjects in an arm"
    assert found["overview", "Any", OLD, "share"].why == "no subjects"
    assert found["AGE", "Age (years)", NEW, "standard deviation"].why == "one value"
    assert found["AGE", "Age (years)", OLD, "mean"].why == "no values"
    text = page("Tables", tables)
    assert "not estimable" in text
    assert "nan" not in results_csv(tables).lower()
    assert "nan" not in text.lower()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("adsl", {"TRT01P": "Other"}, "expected New cells or Usual care"),
        ("adsl", {"FASFL": "yes"}, "FASFL is 'yes', expected Y, N or nothing"),
        ("adsl", {"USUBJID": "S-000"}, "29 subjects stand twice"),
        ("adsl", {"FASFL": None}, None),
        ("adsl", {"AGE": "old"}, "ADSL: AGE holds text"),
        ("adrs", {"USUBJID": "S-000"}, "ADRS: ANC stands twice"),
        ("adtte", {"CNSR": 3}, "ADTTE: OS: CNSR is 3, expected 0, 1"),
        ("adtte", {"CNSR": None}, "ADTTE: OS: CNSR is nan, expected 0, 1"),
        ("adtte", {"AVAL": -1}, "ADTTE: OS: AVAL is missing or negative"),
        ("adtte", {"AVAL": None}, "ADTTE: OS: AVAL is missing or negative"),
        ("adtte", {"STARTDT": pd.NaT}, "RANDDT or STARTDT is missing"),
    ],
)
def test_odd_datasets_are_refused(name: str, change: dict[str, Any], message: str | None) -> None:
    frames = STUDIES[0].frames()
    frames[name] = frames[name].assign(**change)
    if message is None:
        assert all_tables(frames)
        return
    with pytest.raises(InputError) as e:
        all_tables(frames)
    assert message in str(e.value)


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("adsl", "FASFL", "ADSL: unknown variable 'FASFL'"),
        ("adrs", "AVALC", "ADRS: unknown variable 'AVALC'"),
        ("adtte", "PARAMCD", "ADTTE: unknown variable 'PARAMCD'"),
        ("adtte", "STARTDT", "ADTTE: unknown variable 'STARTDT'"),
        ("adae", "AESER", "ADAE: unknown variable 'AESER'"),
        ("adlb", "ONTRTFL", "ADLB: unknown variable 'ONTRTFL'"),
    ],
)
def test_missing_variables_are_named(name: str, column: str, message: str) -> None:
    frames = STUDIES[0].frames()
    frames[name] = frames[name].drop(columns=column)
    with pytest.raises(InputError) as e:
        all_tables(frames)
    assert message in str(e.value)


def test_results_as_csv_read_back_exactly() -> None:
    tables = all_tables(STUDIES[1].frames())
    rows = list(csv.DictReader(io.StringIO(results_csv(tables))))
    results = [r for t in tables for r in t.results]
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(results)
    for row, r in zip(rows, results, strict=True):
        for number in ("value", "lower", "upper", "confidence", "subjects"):
            wanted = getattr(r, number)
            assert (float(row[number]) if row[number] else None) == wanted
        assert row["table"] == r.table
        assert row["dataset"] in ("ADSL", "ADRS", "ADTTE", "ADAE", "ADLB")
        assert bool(row["why"]) == (row["value"] == "")
    assert results_csv(all_tables(STUDIES[1].frames())) == results_csv(tables)


class Reader(HTMLParser):
    """The tables of a page: id -> rows of texts; and the names of all elements and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.names: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(a for a, _ in attrs)}
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "table":
            self.tables[str(dict(attrs)["id"])] = []
        elif tag == "tr":
            next(reversed(self.tables.values())).append([])
        elif tag in ("td", "th"):
            next(reversed(self.tables.values()))[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            next(reversed(self.tables.values()))[-1][-1] += data


def test_html_is_well_formed_self_contained_and_escaped() -> None:
    tables = all_tables(STUDIES[2].frames())
    text = page("Study <1> & more", tables)
    read = Reader(text)
    assert read.open == []
    assert not read.names & {"script", "link", "img", "src", "iframe", "onclick"}
    assert "http" not in text
    assert "Study &lt;1&gt; &amp; more" in text
    assert list(read.tables) == [t.id for t in tables]
    assert any("Donor <type>: SIBLING & co" in row for row in read.tables["baseline"])
    for table in tables:
        head, *rows = read.tables[table.id]
        assert head[:2] == ["Parameter", "Statistic"]
        assert [h.partition("(N = ")[0] for h in head[2:]] == list(table.groups)
        assert {len(r) for r in rows} <= {1, len(table.groups) + 1, len(table.groups) + 2}
        for r in table.results:
            assert r.statistic in " ".join(r[-len(table.groups) - 1] for r in rows if len(r) > 1) or r.statistic in (
                *("share", "standard deviation", "first quartile", "third quartile", "maximum"),
            )
        for r in table.results:
            if r.value is None:
                assert "not estimable" in " ".join(" ".join(x) for x in rows)
    assert page("Study <1> & more", all_tables(STUDIES[2].frames())) == text


def test_an_empty_table_says_so() -> None:
    assert "Nothing to show." in page("T", [Table("t", "Nothing", ("a",), "ADAE", "SAFFL")])


def test_descriptive_parameters_are_not_compared() -> None:
    plan = replace(
        PLAN,
        responses=(Response("ANC", "Neutrophils", ("Y",), "descriptive"),),
        times=tuple(replace(t, compared=False) for t in PLAN.times),
    )
    f = STUDIES[0].frames()
    tables = [response_table(f["adsl"], f["adrs"], plan, "descriptive"), time_table(f["adsl"], f["adtte"], plan)]
    assert {r.group for t in tables for r in t.results} == set(PLAN.arms)


def test_all_tables_of_the_datasets_that_are_there() -> None:
    frames = {k.upper(): v for k, v in STUDIES[0].frames().items()}
    names = [t.id for t in tables_of(frames, PLAN)]
    assert names == [
        *("populations", "disposition", "baseline"),
        *("response-primary-fasfl", "response-secondary-fasfl", "response-primary-pprotfl"),
        *("time-to-event-fasfl", "time-to-event-pprotfl", "ae-overview", "ae-by-term", "ae-related", "ae-severe"),
        *("ae-serious", "ae-dose-limiting", "ae-worst-grade", "ae-term-grade", "lab-shift"),
    ]
    assert [t.id for t in tables_of({"ADSL": frames["ADSL"]}, PLAN)] == ["populations", "disposition", "baseline"]
    with pytest.raises(InputError, match="no ADSL among ADAE: nobody to analyse"):
        tables_of({"ADAE": frames["ADAE"]}, PLAN)


def test_what_cannot_be_built_is_named_with_its_reason() -> None:
    frames = {k.upper(): v for k, v in STUDIES[0].frames().items()}
    assert set(not_built(frames)) == {"ADEX", "ADTB", "ADCE", "DV"}
    lacking = frames | {"ADAE": frames["ADAE"].drop(columns=["DLTFL", "AEREL"])}
    del lacking["ADTTE"]
    assert list(not_built(lacking).values()) == [
        "Time to event: not built, the package has no ADTTE",
        "Exposure: not built, the package has no ADEX",
        "Transfusions: not built, the package has no ADTB",
        "Adverse events: not built, ADAE has no AEREL, DLTFL",
        "Clinical events: not built, the package has no ADCE",
        "Protocol deviations: not built, the package has no DV",
    ]


def test_a_table_as_csv_has_the_cells_of_the_page_and_its_notes() -> None:
    table = Table("t", "T", ("a", "b"), "ADAE", "SAFFL", sizes={"a": 8, "b": 0})
    for group, x, n in (("a", 2, 8), ("b", 0, 0)):
        where, why = ("s", 'row, "quoted"', group), "" if n else "no subjects"
        table.add(where, "subjects", x, "subjects", subjects=n)
        table.add(where, "share", x / n if n else None, "proportion", subjects=n, why=why)
        table.add(where, "p, Gray", None if n else 0.5, "p", why="" if not n else "no event")
    assert table_csv(table) == (
        "section,row,statistic,a (N = 8),b (N = 0),notes\n"
        's,"row, ""quoted""",subjects,2/8 (25.0 %),0/0 (not estimable),b: no subjects\n'
        's,"row, ""quoted""","p, Gray",not estimable,0.5000,a: no event\n'
    )


def test_events_and_deviations_without_codes_stand_under_their_own_words() -> None:
    adsl = STUDIES[0].frames()["adsl"]
    someone = next(s["USUBJID"] for s in STUDIES[0].adsl if s["SAFFL"] == "Y" == s["FASFL"])
    ce = pd.DataFrame({"USUBJID": [someone], "TRTEMFL": "Y", "CETERM": "Sepsis"})
    rows = {(r.section, r.label) for r in clinical_event_table(adsl, ce, PLAN).results}
    assert rows == {("Any event", "Any"), ("(no category)", "Any term"), ("(no category)", "Sepsis (not coded)")}
    dv = pd.DataFrame({"USUBJID": [someone], "DVTERM": "Wrong day", "DVMAJFL": "Y"})
    table = deviation_table(adsl, dv, PLAN)
    rows = {(r.section, r.label) for r in table.results}
    assert rows == {
        *{("Any deviation", "Any"), ("Any deviation", "Major")},
        ("(no category)", "Wrong day (not coded)"),
    }
    assert sum(r.value or 0 for r in table.results if r.label == "Major" and r.statistic == "deviations") == 1


def test_a_variable_of_adsl_that_the_package_leaves_out_is_missing_for_everybody() -> None:
    """Permissible variables without any value are not in a package: nobody died, nobody has a baseline count."""
    adsl = STUDIES[0].frames()["adsl"].drop(columns=["AGE", "SEX"])
    table = baseline_table(adsl, PLAN)
    found = cells(table)
    n = found["AGE", "Age (years)", "ALL", "missing"].value
    assert n == found["SEX", "Sex: missing", "ALL", "subjects"].value == len(study_members())
    assert "ADSL has no AGE, SEX: missing for everybody." in table.footnotes
    times = adsl.assign(RFSTDT=DAY0, DCUTDT=DAY0 + timedelta(days=3))  # no DTHFL, no EOSSTT
    rate = cells(response_table(times, STUDIES[0].frames()["adrs"], replace(PLAN, horizon_days=56), "primary"))[
        "ANC", "Neutrophils", NEW, "response rate"
    ]
    assert rate.value == 1  # nobody reached the horizon: responders only


def study_members() -> list[dict[str, Any]]:
    return [s for s in STUDIES[0].adsl if s["FASFL"] == "Y"]


def test_the_plan_of_the_shipped_trial() -> None:
    plan = plan_of(load_trial(find_trials()["pgf_msc"]))
    assert plan.comparison == "UC-MSC + conventional PGF treatment vs Conventional PGF treatment"
    assert (plan.population, plan.safety, plan.supportive) == ("FASFL", "SAFFL", ("PPROTFL",))
    assert [(r.paramcd, r.responders) for r in plan.responses if r.role == "primary"] == [
        ("NEUT", ("Y",)),
        ("PLTRESP", ("CR", "PR")),
        ("RBC", ("Y",)),
    ]
    assert [(r.paramcd, r.responders) for r in plan.responses if r.role == "secondary"] == [
        ("PLTRESP", ("CR",)),
        ("OVRLRESP", ("CR", "PR")),
    ]
    assert [(r.paramcd, r.responders) for r in plan.responses if r.role == "sensitivity"] == [
        ("PLTRESPS", ("CR", "PR")),
        ("RBCS", ("Y",)),
        ("NEUTM", ("Y",)),
        ("RBCM", ("Y",)),
        ("PLTRESPM", ("CR", "PR")),
        ("OVRLRSPM", ("CR", "PR")),
        ("NEUTR", ("Y",)),
        ("PLTRESPR", ("CR", "PR")),
        ("NEUTG", ("Y",)),
    ]
    assert {r.paramcd for r in plan.responses if r.role == "descriptive"} == {"NEUTH", "PLT20H", "RBCH"}
    times = {t.paramcd: t for t in plan.times}
    assert {"TTNEUTR", "TTPLT20R"} < set(times)
    assert times["TTNEUTR"].days == (28, 56, 100, 180, 365)
    assert {p for p, t in times.items() if t.delayed} == {"TTNEUTH", "TTPLT20H", "TTRBCH", "TTREL", "TTINF", "TTGF"}
    assert {p for p, t in times.items() if not t.competing} == {"OS", "DFS"}
    assert all(t.compared for t in plan.times)
    assert (plan.sides, plan.continuity, plan.multiplicity) == (("two-sided", "one-sided"), False, "none")
    assert (plan.confidence, plan.not_evaluable_as, plan.horizon_days) == (0.95, "non_responder", 56)
    assert "PLAT" in plan.expected


def test_a_trial_with_other_arms_has_no_plan() -> None:
    trial = load_trial(find_trials()["pgf_msc"])
    arms = {code: arm.model_copy(update={"active": True}) for code, arm in trial.arms.items()}
    with pytest.raises(TrialError, match="2 active and 0 reference arms"):
        plan_of(trial.model_copy(update={"arms": arms}))


@pytest.mark.parametrize(
    ("value", "low", "high", "unit", "text"),
    [
        (26 / 34, 0.588292, 0.892538, "proportion", "76.5 % (58.8 to 89.3)"),
        (-0.0004, None, None, "difference", "0.0 %"),
        (0.00004, None, None, "p", "<0.0001"),
        (0.00294, None, None, "p", "0.0029"),
        (1.0, None, None, "p", "1.0000"),
        (169.0, 100.0, None, "days", "169 (100 to –)"),
        (122.5, None, 193.0, "days", "122.5 (– to 193)"),
        (1.21778, 0.58444, 2.53744, "ratio", "1.22 (0.58 to 2.54)"),
        (34.0, None, None, "subjects", "34"),
        (23.0, None, None, "subjects", "23/34"),
        (None, 353.0, None, "days", "not estimable"),
    ],
)
def test_numbers_as_people_read_them(
    value: float | None, low: float | None, high: float | None, unit: str, text: str
) -> None:
    of = 34 if "/" in text else None
    result = Result("t", "", "", "", "", value, unit, low, high, None, "", "", "", "", of, "" if value else "x", "")
    assert formatted(result) == text


def test_a_result_needs_a_number_or_a_reason() -> None:
    table = Table("t", "T", ("a",), "ADSL", "")
    for value, why in ((None, ""), (1.0, "because")):
        with pytest.raises(ValueError, match="expected one of the two"):
            table.add(("s", "l", "a"), "x", value, "subjects", why=why)
    with pytest.raises(ValueError, match="unknown unit 'pct'"):
        table.add(("s", "l", "a"), "x", 1, "pct")

"""Random people through a whole build: exposure, transfusion burden, emergent events and deviations as computed naively.

What is expected is computed from the facts of each person by tests.naive_course, in plain loops written from the protocol.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from adapter import build
from adapter.result import Result
from tests.clinic import CUT, RANDOMISED, Event, Given, Infusion, Person, at, on, write_clinic
from tests.conftest import make_site
from tests.naive_course import Course

PEOPLE = 160
SAS_EPOCH = date(1960, 1, 1)


def person(rng: random.Random, number: int) -> Person:
    """Return a person with some of everything that a rule looks at, often at the edge of it."""
    p = Person(f"p{number}", {"arm": rng.choice(["MSC", "MSC", "CTRL"])})
    p.seen = rng.choice([15, 23, 24, 30, 55, 56, 57, 100])
    p.weights = [(d, rng.choice([48, 50, 59.5, 60, 62.5, 71])) for d in (-3, 5, 14) if rng.random() < 0.6]
    p.transplant = date(2024, 3, 12) - timedelta(days=rng.choice([30, 83, 84, 85, 90]))
    if p.arm == "MSC":
        p.infusions = infusions(rng)
    if rng.random() < 0.15:
        p.relapses = [on(rng.choice([-2, 8, 9, 9, 9, 15, 22]))]
    if rng.random() < 0.15:
        kind = rng.choice(["treatment", ""])
        p.log |= {"withdrawal_date": on(rng.choice([8, 12, 15, 24, 25, 40])), "withdrawal_type": kind}
        p.log["withdrawal_reason"] = "adverse event"
    elif rng.random() < 0.15:
        p.seen = rng.choice([10, 20])
        p.died = on(max([24, *(i.day for i in p.infusions)]) + rng.choice([0, 1, 60]))
    p.given = [*given(rng), *blood(rng)]
    if rng.random() < 0.3:
        p.log["pgf_date"] = "2024-02-15"
        p.counts = counts(rng)
    p.events = [Event(f"Event {n}", *dates(rng)) for n in range(rng.choice([1, 3, 5]))]
    return p


def infusions(rng: random.Random) -> list[Infusion]:
    found = []
    shift = rng.choice([0, 0, 1, 4])
    for planned in (1, 8, 15, 22, 29)[: rng.choice([0, 3, 4, 4, 4, 4, 5])]:
        day = planned + shift + (rng.choice([-3, -2, 0, 0, 0, 2, 3]) if planned > 1 else 0)
        dose, unit = rng.choice(
            [(1, "10*6/kg")] * 3
            + [(0.9, "10*6/kg"), (0.89, "10*6/kg"), (54, "10*6"), (66.1, "10*6"), (60, "10*6"), (None, "")]
        )
        kind = rng.random()
        if kind < 0.05:
            found.append(Infusion(day, None, status="not-done", reason=rng.choice(["", "Fever"])))
        elif kind < 0.1:
            found += [Infusion(day, 0.5), Infusion(day, rng.choice([0.4, 0.39, 0.7]), time="T16:00:00+08:00")]
        else:
            found.append(Infusion(day, dose, unit))
    return found


def given(rng: random.Random) -> list[Given]:
    found = []
    for _ in range(rng.choice([0, 1, 3])):
        first = rng.choice([-4, -1, 1, 2, 9, 9, 30, 55, 56, 57])
        dose, unit = rng.choice(
            [(5, "ug/kg"), (10, "ug/kg"), (10.01, "ug/kg"), (4.9, "ug/kg"), (300, "ug"), (250, "ug"), (None, "")]
        )
        found.append(Given("g_csf", first, dose, unit))
        if rng.random() < 0.3:
            found.append(
                Given("g_csf", first, rng.choice([5, 6, 12]), "ug/kg/d", max(first, 0) + rng.choice([1, 3, 40]))
            )
    for _ in range(rng.choice([0, 1, 2])):
        first = rng.choice([-1, 1, 3, 20, 56])
        dose, unit = rng.choice([(300, "U/kg"), (270, "U/kg"), (331, "U/kg"), (15000, "U"), (None, "")])
        found.append(Given("rhtpo", first, dose, unit, rng.choice([None, None, max(first, 0) + 2])))
    return found


def blood(rng: random.Random) -> list[Given]:
    found = []
    for group in ("platelets", "red_cells"):
        for _ in range(rng.choice([0, 1, 3, 6])):
            first = rng.choice([-2, -1, *range(1, 60)])
            dose, unit = rng.choice([(1, "U"), (2, "U"), (1.5, "U"), (1, "U"), (2, "U"), (200, "mL"), (None, "")])
            last = rng.choice([None, None, None, at(first) + timedelta(days=1)])
            found.append(Given(group, first, dose, unit, last and (last - RANDOMISED).days + (last >= RANDOMISED)))
    return found


def counts(rng: random.Random) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    low, high = {"ANC": "0.5", "PLT": "19", "HGB": "69"}, {"ANC": "0.51", "PLT": "20", "HGB": "70"}
    last = rng.choice([20, 40, 56, 60])
    for a in low:
        up, kept = rng.choice([1, 12, 30, 54, 70]), rng.choice([1.0, 1.0, 0.97])
        found[a] = {d: (high if d >= up else low)[a] for d in range(1, last + 1) if rng.random() < kept}
    return found


def dates(rng: random.Random) -> tuple[str, str]:
    """Return start and end as recorded: complete, to the month or the year, or empty; often near the ends of the window."""
    start = on(rng.choice([-30, -14, -13, -1, 1, 2, 20, 180, 185, 186, 190, 205, 206, 207, 215, 230, 240]))
    cut = rng.choice([10, 10, 10, 7, 4, 0])
    end = rng.choice(["", "", on(-1), on(1), on(30), "2024-02", "2024-03"]) if cut == 0 else ""
    return start[:cut], end


class Built(NamedTuple):
    people: list[Person]
    result: Result

    def name(self, n: int) -> str:
        return f"PGFMSC-01-{101 + n}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder: Path = tmp_path_factory.mktemp("naive")
    rng = random.Random(11)
    people = [person(rng, n) for n in range(PEOPLE)]
    fhir, log = write_clinic(folder, people)
    site = make_site(folder / "site")
    return Built(people, build(fhir, out=folder / "out", enrolment=log, site=site, cutoff=CUT, workers=1))


def rows_of(frame: pd.DataFrame, *columns: str) -> dict[str, list[tuple[object, ...]]]:
    """Return USUBJID -> rows of some columns; empty numbers as None."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for who, *values in frame[["USUBJID", *columns]].itertuples(index=False, name=None):
        found.setdefault(str(who), []).append(tuple(None if v != v else v for v in values))
    return found


def number(x: Fraction | None) -> float | None:
    return None if x is None else round(float(x), 6)


def test_deviations(built: Built) -> None:
    found = rows_of(built.result.sdtm["DV"], "DVDECOD", "DVTERM", "DVSTDTC", "DVENDTC")
    wrong, seen = [], set()
    for n, p in enumerate(built.people):
        expected, got = sorted(Course(p).deviations()), sorted(found.get(built.name(n), []))
        seen |= {d[0] for d in expected}
        if got != expected:
            wrong.append((p, [x for x in got if x not in expected], [x for x in expected if x not in got]))
    assert wrong[:3] == []
    assert len(seen) == 8


@pytest.mark.parametrize(("group", "stem"), [("platelets", "PLT"), ("red_cells", "RBC")])
def test_transfusion_burden(built: Built, group: str, stem: str) -> None:
    frame = built.result.adam["ADTB"]
    found = rows_of(frame[frame["PARAMCD"].str.startswith(stem)], "PARAMCD", "AVISITN", "AVAL")
    wrong = []
    for n, p in enumerate(built.people):
        expected = {(stem + code, week): number(x) for (code, week), x in Course(p).burden(group).items()}
        got = {(code, week): v for code, week, v in found[built.name(n)]}
        if got != expected:
            wrong.append(
                (p, {k: (got.get(k), expected.get(k)) for k in got | expected if got.get(k) != expected.get(k)})
            )
    assert wrong[:3] == []


def test_exposure(built: Built) -> None:
    found = rows_of(built.result.adam["ADEX"], "PARAMCD", "AVISITN", "AVAL")
    wrong = []
    for n, p in enumerate(built.people):
        expected = {k: number(x) for k, x in Course(p).exposure().items()} if p.arm == "MSC" else {}
        got = {(str(c), int(i or 0)): v for c, i, v in found.get(built.name(n), [])}
        if got != expected:
            wrong.append((p, got, expected))
    assert wrong[:3] == []


def test_treatment_emergent_events(built: Built) -> None:
    found = rows_of(built.result.adam["ADAE"], "AETERM", "TRTEMFL", "PREFL", "ASTDT")
    wrong, seen = [], set()
    for n, p in enumerate(built.people):
        course = Course(p)
        expected = {e.term: course.emergent(e.start, e.end) for e in p.events}
        got = {}
        for term, emergent, before, day in found[built.name(n)]:
            iso = "" if day is None else (SAS_EPOCH + timedelta(days=int(day))).isoformat()
            got[str(term)] = (emergent, before, iso)
        seen |= {(len(e.start), expected[e.term][:2]) for e in p.events}
        if got != expected:
            wrong.append((p, got, expected))
    assert wrong[:3] == []
    assert {(10, ("Y", "")), (10, ("", "Y")), (10, ("", "")), (7, ("Y", "")), (0, ("Y", "")), (0, ("", ""))} <= seen

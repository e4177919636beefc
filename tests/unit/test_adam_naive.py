"""The analysis datasets of random subjects against the protocol computed once more, one subject and one day at a time."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from adapter.trial import Trial
from tests.analysis import DAY0, Subject, analysed, by_parameter, iso, trial_of
from tests.naive_protocol import Naive

LEVELS = {
    "ANC": [0.2, 0.4, 0.5, 0.51, 0.6, 1.2, 3.0],
    "PLT": [8, 15, 19, 20, 21, 35, 49, 50, 60, 90],
    "HGB": [55, 65, 69.9, 70, 71, 82, 95],
}
EVENTS = ("RELAPSE", "ACUTE GVHD", "ACUTE GVHD", "CHRONIC GVHD", "INFECTION", "GRAFT FAILURE")
OTHER = {">": ">=", ">=": ">"}
BAD = {"ANC": "501", "PLT": "5001", "HGB": "301"}


def random_subject(rng: random.Random, number: int) -> Subject:
    """Return a subject with everything that a rule looks at: dense counts that rise, transfusions, and mishaps."""
    s = Subject(f"S{number:05d}", rng.choice(["MSC", "CTRL"]))
    if rng.random() < 0.03:
        s.randomised = s.treated = None
    else:
        s.treated = None if rng.random() < 0.1 else DAY0 + rng.choice([0, 0, 1, 3])
    s.grafts, s.conditioning = [DAY0 - rng.randint(20, 80)], []
    s.conditioning = [s.grafts[0] - 5]
    kind = rng.random()
    if kind < 0.1:
        s.grafts.append(s.grafts[0] + rng.choice([1, 7, 8]))
    elif kind < 0.15:
        s.grafts = []
    elif kind < 0.22:
        again = DAY0 + rng.randint(-10, 60)
        s.grafts.append(again)
        s.conditioning += [again - rng.choice([6, 21, 22])]
    elif kind < 0.25:
        s.grafts = [DAY0 + rng.randint(5, 30)]
    stop = DAY0 + rng.choice([20, 45, 56, 57, 70, 110])
    for analyte, levels in LEVELS.items():
        up, density, floor = rng.randint(-5, 75), rng.choice([0.4, 0.8, 0.95, 1.0]), rng.choice([2, 2, len(levels) - 3])
        for day in range(DAY0 - rng.choice([1, 3, 10]), stop):
            if rng.random() > density:
                continue
            strong = day - DAY0 >= up
            for _ in range(1 if rng.random() < 0.92 else 2):
                among = levels[floor:] if strong and rng.random() < 0.97 else levels[:4] if not strong else levels
                text = f"{rng.choice(among):g}"
                sign = rng.choice(["<", "<=", ">", ">="]) if rng.random() < 0.02 else ""
                text = BAD[analyte] if rng.random() < 0.003 else sign + text
                s.results.append((analyte, day, rng.randint(0, 23), text))
    s.results = [r for i, r in enumerate(s.results) if r[:3] not in {x[:3] for x in s.results[max(0, i - 3) : i]}]
    for spans in (s.platelets, s.red_cells, s.g_csf):
        for _ in range(rng.choice([0, 0, 1, 2, 4])):
            first = DAY0 + rng.randint(-12, 60)
            spans.append((first, first + (rng.random() < 0.2)))
    if rng.random() < 0.1:
        s.dli = [DAY0 + rng.randint(-5, 70)]
    if rng.random() < 0.1:
        s.boost = [DAY0 + rng.randint(-5, 70)]
    s.events = [(c, date_text(rng)) for c in EVENTS if rng.random() < 0.2]
    s.relapses_rs = [iso(DAY0 + rng.randint(-30, 300))] if rng.random() < 0.1 else []
    s.grades = [
        (DAY0 + rng.randint(-20, 90), rng.choice(["I", "II", "III", "0"])) for _ in range(rng.choice([0, 0, 1, 3]))
    ]
    s.grades = list({d: (d, g) for d, g in s.grades}.values())
    _ending(rng, s, stop)
    return s


def date_text(rng: random.Random) -> str:
    day = iso(DAY0 + rng.randint(-60, 400))
    return day if rng.random() < 0.9 else day[: rng.choice([4, 7])]


def _ending(rng: random.Random, s: Subject, stop: int) -> None:
    """Let the subject die, leave, or be seen on; nothing is dated after death or the cut."""
    kind = rng.random()
    last = max([r[1] for r in s.results], default=DAY0)
    if kind < 0.25:
        s.dead, death = True, last + rng.randint(0, 90)
        s.death = rng.choice([iso(death), iso(death), iso(death)[:7], iso(death)[:4], ""])
        s.seen = last
    else:
        s.seen = last + rng.choice([0, 10, 200, 500])
    s.cut = max(s.seen + 1, DAY0 + 1, last + 95) if rng.random() < 0.7 else max(last, s.seen) + 1
    if s.dead and len(s.death) == 10:
        s.cut = max(s.cut, last + 95)
    days = [r[1] for r in s.results]
    s.cut = max(
        [s.cut, *days, *(b for x in (s.platelets, s.red_cells, s.g_csf) for _, b in x), *s.grafts, *s.dli, *s.boost]
    )


def varied(trial: Trial, name: str) -> Trial:
    """Return the trial with one setting changed."""
    criteria = dict(trial.criteria)

    def each(**changes: Any) -> dict[str, Any]:
        return {"criteria": {k: c.model_copy(update=changes) for k, c in criteria.items()}}

    changes: dict[str, dict[str, Any]] = {
        "as it is": {},
        "highest of the day": {"daily_value": trial.daily_value.model_copy(update={"rule": "max"})},
        "last of the day": {"daily_value": trial.daily_value.model_copy(update={"rule": "last"})},
        "mean of the day": {"daily_value": trial.daily_value.model_copy(update={"rule": "mean"})},
        "bridge 1": each(missing_day="bridge", bridge=1),
        "bridge 3": each(missing_day="bridge", bridge=3),
        "measurements, gap 2": each(count="measurements", max_gap_days=2),
        "look back 7": each(look_back_days=7),
        "look back 3, bridge 2": each(look_back_days=3, missing_day="bridge", bridge=2),
        "other thresholds": {
            "criteria": {
                k: c.model_copy(
                    update={
                        "comparator": OTHER[c.comparator],
                        "threshold": c.threshold + Decimal("0.01"),
                        "days": c.days - 1,
                    }
                )
                for k, c in criteria.items()
            }
        },
        "horizon 42": {
            "response": trial.response.model_copy(update={"horizon_days": 42, "late_day": 36, "gap_flag_from": 36})
        },
    }
    return trial.model_copy(update=changes[name])


SETTINGS = (
    "as it is",
    "highest of the day",
    "last of the day",
    "mean of the day",
    "bridge 1",
    "bridge 3",
    "measurements, gap 2",
    "look back 7",
    "look back 3, bridge 2",
    "other thresholds",
    "horizon 42",
)


@pytest.mark.parametrize("subjects", [60, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", SETTINGS)
def test_random_subjects_agree_with_the_protocol_computed_naively(name: str, subjects: int) -> None:
    trial = varied(trial_of(), name)
    rng = random.Random(f"{name}{subjects}")
    cohort = [random_subject(rng, n) for n in range(subjects)]
    made = analysed(cohort, trial)
    responses = by_parameter(made["ADRS"], "AVALC", "ADT")
    times = by_parameter(made["ADTTE"], "AVAL", "CNSR")
    flags = by_parameter(made["ADRS"], "RUNGAPFL", "ATBLFL")
    wrong = []
    counted = 0
    made_for: dict[str, set[str]] = {}
    for who, code in (*responses, *times):
        made_for.setdefault(who, set()).add(code)
    for s in cohort:
        one = Naive(s, trial)
        if s.randomised is None:
            assert s.name not in made_for
            continue
        for code, (avalc, adt) in one.responses().items():
            counted += 1
            if responses.get((s.name, code)) != (avalc, adt):
                wrong.append((s.name, code, responses.get((s.name, code)), (avalc, adt)))
        for code in trial.response.parameters:
            _, _, gap, under_way = one.response(code, trial.criteria, {})
            if flags[s.name, code] != (gap, "Y" if under_way else ""):
                wrong.append((s.name, code, "flags", flags[s.name, code], (gap, under_way)))
        expected = one.times()
        assert {c for c in made_for[s.name] if (s.name, c) in times} == set(expected)
        for code, answer in expected.items():
            if times[s.name, code] != answer:
                wrong.append((s.name, code, times[s.name, code], answer))
    assert wrong[:10] == []
    assert counted > 10 * subjects
    seen = {v[0] for v in responses.values()}
    assert {"Y", "N", "NE", "CR", "PR", "NR"} <= seen
    assert {v[1] for v in times.values()} == {0, 1, 2}

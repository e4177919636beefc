"""Tiny random data through every statistic: a number within its bounds or a reason, never a warning, never NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.stats.cells import rows_of
from adapter.stats.efficacy import response_table
from adapter.stats.estimates import Estimate, PValue
from adapter.stats.event_times import time_table
from adapter.stats.gray import gray
from adapter.stats.hazards import cox, log_rank
from adapter.stats.html import page
from adapter.stats.incidence import cumulative_incidence, incidence_at
from adapter.stats.plan import Plan, Response, TimeTo
from adapter.stats.rates import SIDES, difference, fisher, odds_ratio, proportion
from adapter.stats.results import Table, results_csv
from adapter.stats.safety import adverse_event_tables
from adapter.stats.subjects import describe
from adapter.stats.survival import TRANSFORMATIONS, kaplan_meier, quantile, survival_at
from adapter.stats.times import times_of

pytestmark = pytest.mark.filterwarnings("error")

few = settings(max_examples=60, deadline=None, derandomize=True)
Subject = tuple[int, int, int, bool]
subjects = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(-1, 3), st.booleans()), min_size=0, max_size=9
)
counts = st.integers(0, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def sound(found: Estimate | PValue, low: float, high: float) -> None:
    """A number from low to high within its interval and no reason; or a reason and no number."""
    value = found.value if isinstance(found, Estimate) else found.p
    assert found.method
    assert (value is None) == bool(found.why)
    if isinstance(found, PValue):
        numbers = [value, found.statistic]
        ends: list[float | None] = []
    else:
        ends = [found.lower, found.upper]
        numbers = [value, found.se, *ends]
    assert all(x is None or math.isfinite(x) for x in numbers)
    if value is not None:
        assert low - 1e-9 <= value <= high + 1e-9
        if len(ends) == 2 and ends[0] is not None:
            assert ends[0] <= value + 1e-9
        if len(ends) == 2 and ends[1] is not None:
            assert ends[1] >= value - 1e-9


@few
@given(counts, counts)
def test_rates(one: tuple[int, int], other: tuple[int, int]) -> None:
    sound(proportion(*one), 0, 1)
    for continuity in (False, True):
        sound(difference(*one, *other, continuity=continuity), -1, 1)
    for side in SIDES:
        sound(fisher(*one, *other, side), 0, 1)
    ratio = odds_ratio(*one, *other)
    assert (ratio.value is None) == bool(ratio.why)
    for x in (ratio.value, ratio.lower, ratio.upper):
        assert x is None or (math.isfinite(x) and x >= 0)


@few
@given(subjects, st.booleans())
def test_times(found: list[Subject], delayed: bool) -> None:
    t, status, entry, arm = ([s[i] for s in found] for i in range(4))
    times = times_of(t, status, entry if delayed else None)
    assert len(times) + times.left_out == len(found)
    first = np.array([a for x, e, a in zip(t, entry, arm, strict=True) if not delayed or e < x], dtype=bool)
    curve = kaplan_meier(times)
    for day in range(6):
        for transformation in TRANSFORMATIONS:
            sound(survival_at(curve, day, transformation=transformation), 0, 1)
        parts = [cumulative_incidence(times, cause) for cause in (1, 2)]
        for part in parts:
            for variance in ("aalen", "jackknife"):
                sound(incidence_at(part, day, variance=variance), 0, 1)
        values = [incidence_at(part, day).value for part in parts]
        if None not in values:
            assert sum(v for v in values if v is not None) <= 1 + 1e-12
    for p in (0.25, 0.5, 0.75):
        sound(quantile(curve, p), 0, 4)
    for cause in (1, 2):
        sound(gray(times, first, cause), 0, 1)
    sound(log_rank(times, first), 0, 1)
    model = cox(times, first)
    sound(model.ratio, 0, math.inf)
    for test in (model.wald, model.score, model.likelihood_ratio):
        sound(test, 0, 1)


@few
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6))))
def test_descriptions(values: list[float | None]) -> None:
    table = Table("t", "T", ("a",), "ADSL", "FASFL")
    describe(table, "X", "X", {"a": pd.Series(values, dtype="float64")}, "X")
    assert all((r.value is None) == bool(r.why) for r in table.results)
    assert all(r.value is None or math.isfinite(r.value) for r in table.results)
    assert "nan" not in page("T", [table]).lower()


PLAN = Plan(
    "A",
    "B",
    {"FASFL": "all"},
    "FASFL",
    "FASFL",
    responses=(Response("R", "Response", ("Y",)),),
    times=(
        TimeTo("T", "Time", True, False, (2, 4)),
        TimeTo("S", "Survival", days=(2,)),
        TimeTo("D", "Late", True, True, (3,)),
    ),
    related=("RELATED",),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(subjects, st.data())
def test_tables(found: list[Subject], data: st.DataObject) -> None:
    """Any arms, answers and events: all tables are made, each cell has text, no number is NaN or infinite."""
    names = [f"S{i}" for i in range(len(found))]
    arms = ["A" if s[3] else "B" for s in found]
    adsl = frame(USUBJID=names, TRT01P=arms, TRT01A=arms, FASFL=["Y"] * len(found), RANDDT=[float(s[2]) for s in found])
    said = [data.draw(st.sampled_from(("Y", "N", "NE", ""))) for _ in found]
    adrs = frame(USUBJID=names, PARAMCD=["R"] * len(found), AVALC=said)
    adtte = pd.concat(
        frame(
            USUBJID=names,
            PARAMCD=[p] * len(found),
            AVAL=[float(s[0]) for s in found],
            CNSR=[float({0: 1, 1: 0, 2: 2 if p != "S" else 1}[s[1]]) for s in found],
            STARTDT=[0.0] * len(found),
        )
        for p in "TSD"
    )
    grades = [str(s[0]) if s[0] else "" for s in found]
    blank = {c: [""] * len(found) for c in ("AEBODSYS", "AEDECOD", "AESDTH", "DLTFL")}
    flags = ["Y" if s[1] else "N" for s in found]
    adae = frame(
        USUBJID=names, TRTEMFL=flags, AETERM=["x"] * len(found), AESER=flags, AETOXGR=grades, AEREL=said, **blank
    )
    tables = [
        response_table(adsl, adrs, PLAN, "primary"),
        time_table(adsl, adtte, PLAN),
        *adverse_event_tables(adsl, adae, PLAN),
    ]
    for table in tables:
        assert all(r.texts and all(r.texts.values()) for r in rows_of(table))
    text = results_csv(tables).lower()
    assert "nan" not in text
    assert ",inf" not in text


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {k: pd.Series(v, dtype=object if v and isinstance(v[0], str) else None) for k, v in columns.items()}
    )

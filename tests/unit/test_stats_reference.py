"""Every number of tests/reference, which R computed, to 1e-8: ties, all intervals, both variance conventions."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adapter.stats.gray import gray
from adapter.stats.hazards import cox, log_rank
from adapter.stats.incidence import cumulative_incidence, incidence_at
from adapter.stats.rates import difference, fisher, odds_ratio, proportion
from adapter.stats.survival import kaplan_meier, quantile, survival_at
from adapter.stats.times import Times, times_of
from tests.naive_statistics import odds_mean

REFERENCE = Path(__file__).parents[1] / "reference"
TRIALS = ("trial68", "ties400")

pytestmark = pytest.mark.filterwarnings("error")


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / name, dtype={"id": str, "arm": str, "stratum": str})


def death(d: pd.DataFrame, arm: str = "ALL") -> Times:
    d = d if arm == "ALL" else d[d["arm"] == arm]
    return times_of(d["os_time"], d["os_status"])


def competing(d: pd.DataFrame, arm: str = "ALL") -> Times:
    d = d if arm == "ALL" else d[d["arm"] == arm]
    return times_of(d["cr_time"], d["cr_status"])


def same(found: float | None, wanted: float) -> None:
    """Compare with a number of R; NA there is None here."""
    if math.isnan(wanted):
        assert found is None
    else:
        assert found == pytest.approx(wanted, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("trial", TRIALS)
def test_kaplan_meier_on_days_with_three_kinds_of_interval(trial: str) -> None:
    d, wanted = table(f"{trial}.csv"), table(f"{trial}_km.csv")
    assert len(wanted) == 45
    for r in wanted.itertuples():
        times = death(d, r.stratum)
        found = survival_at(kaplan_meier(times), r.time, transformation=r.conf_type)
        for a, b in ((found.value, r.surv), (found.se, r.se), (found.lower, r.lcl), (found.upper, r.ucl)):
            same(a, b)
        assert times.at_risk(np.array([float(r.time)]))[0] == r.n_risk


@pytest.mark.parametrize("trial", TRIALS)
def test_quantiles_with_intervals(trial: str) -> None:
    d, wanted = table(f"{trial}.csv"), table(f"{trial}_km_quantiles.csv")
    assert len(wanted) == 6
    for r in wanted.itertuples():
        found = quantile(kaplan_meier(death(d, r.stratum)), r.p)
        same(found.value, r.t)
        same(found.lower, r.lcl)
        same(found.upper, r.ucl)
        assert bool(found.why) == math.isnan(r.t)


@pytest.mark.parametrize("trial", TRIALS)
def test_log_rank_and_cox(trial: str) -> None:
    d, (wanted,) = table(f"{trial}.csv"), table(f"{trial}_logrank_cox.csv").itertuples()
    msc = (d["arm"] == "MSC").to_numpy()
    test, model = log_rank(death(d), msc), cox(death(d), msc)
    for a, b in (
        (test.statistic, wanted.chisq),
        (test.p, wanted.p),
        (model.ratio.value, wanted.hr),
        (model.ratio.lower, wanted.hr_lcl),
        (model.ratio.upper, wanted.hr_ucl),
        (model.log_ratio.value, wanted.coef),
        (model.log_ratio.se, wanted.se),
    ):
        same(a, b)


@pytest.mark.parametrize("trial", TRIALS)
def test_cumulative_incidence_with_the_variance_of_aalen(trial: str) -> None:
    """cmprsk gives nothing after the last day of an arm; we do where the curve can no longer change."""
    d, wanted = table(f"{trial}.csv"), table(f"{trial}_cif.csv")
    assert len(wanted) == 20
    for r in wanted.itertuples():
        times = competing(d, r.arm)
        found = incidence_at(cumulative_incidence(times, int(r.cause)), r.time)
        if math.isnan(r.est):
            nobody_left = (times.status[times.time == times.time.max()] > 0).all()
            assert r.time > times.time.max()
            assert (found.value is not None) == nobody_left
            continue
        for a, b in ((found.value, r.est), (found.lower, r.lcl_loglog), (found.upper, r.ucl_loglog)):
            same(a, b)
        assert found.se is not None
        same(found.se**2, r.var_aalen_cmprsk)
        assert "aalen variance" in found.method


@pytest.mark.parametrize("trial", TRIALS)
def test_cumulative_incidence_with_the_jackknife_variance(trial: str) -> None:
    """R carries the last value on (extend=TRUE); we say that follow-up has ended, and have the same value on that day."""
    d, wanted = table(f"{trial}.csv"), table(f"{trial}_aj_survival.csv")
    assert len(wanted) == 10
    for r in wanted.itertuples():
        for cause, value, se in ((1, r.ev1, r.se_ev1), (2, r.ev2, r.se_ev2)):
            curve = cumulative_incidence(competing(d, r.arm), cause)
            found = incidence_at(curve, r.time, variance="jackknife")
            if found.why:
                assert found.why == f"follow-up ends on day {curve.last:g}"
                found = incidence_at(curve, curve.last, variance="jackknife")
            same(found.value, value)
            same(found.se, se)
            assert "jackknife variance" in found.method


@pytest.mark.parametrize("trial", TRIALS)
def test_gray(trial: str) -> None:
    d, wanted = table(f"{trial}.csv"), table(f"{trial}_gray.csv")
    assert len(wanted) == 2
    for r in wanted.itertuples():
        found = gray(competing(d), d["arm"], int(r.cause))
        same(found.statistic, r.stat)
        assert found.p == pytest.approx(r.pv, rel=1e-8)
        assert found.df == r.df


def test_rates() -> None:
    wanted = table("rates.csv")
    assert len(wanted) == 13
    for r in wanted.itertuples():
        counts = (r.x_msc, r.n_msc, r.x_ctrl, r.n_ctrl)
        rate, gap = proportion(r.x_msc, r.n_msc), difference(*counts)
        for a, b in (
            (rate.lower, r.cp_msc_l),
            (rate.upper, r.cp_msc_u),
            (gap.value, r.diff),
            (gap.lower, r.newcombe_l),
            (gap.upper, r.newcombe_u),
        ):
            same(a, b)
        assert fisher(*counts).p == pytest.approx(r.fisher_two, rel=1e-8)
        assert fisher(*counts, "one-sided").p == pytest.approx(r.fisher_greater, rel=1e-8)


def test_odds_ratios_solve_their_equation_where_r_stops_early() -> None:
    """fisher.test stops its search at 1.2e-4 (of the ratio, or of its inverse): its figures hold to that, ours exactly."""
    for r in table("rates.csv").itertuples():
        counts = (r.x_msc, r.n_msc, r.x_ctrl, r.n_ctrl)
        found = odds_ratio(*counts)
        if r.x_msc + r.x_ctrl in (0, r.n_msc + r.n_ctrl):
            assert found.value is None
            assert found.why
        elif math.isinf(r.or_cmle):
            assert found.value is None
            assert "infinite" in found.why
        elif r.or_cmle == 0:
            assert found.value == 0
        else:
            assert found.value is not None
            low, high = (Fraction(found.value) * Fraction(x) / 10**9 for x in (10**9 - 1, 10**9 + 1))
            assert odds_mean(low, *counts) < r.x_msc < odds_mean(high, *counts)
            distance = abs(found.value - r.or_cmle) if found.value < 1 else abs(1 / found.value - 1 / r.or_cmle)
            assert distance < 1.3e-4


def test_every_file_and_column_of_the_reference_is_compared() -> None:
    """Keys say of what; all other columns are figures, each of which a test above names. R's or_cmle holds to 1.3e-4."""
    source = Path(__file__).read_text("utf-8")
    files = {p.name: set(table(p.name).columns) for p in REFERENCE.glob("*.csv")}
    assert set(files) == {"rates.csv"} | {
        f"{trial}{part}.csv"
        for trial in TRIALS
        for part in ("", "_km", "_km_quantiles", "_logrank_cox", "_cif", "_aj_survival", "_gray")
    }
    for name, columns in files.items():
        if name.removesuffix(".csv") not in TRIALS:
            assert {c for c in columns if f"r.{c}" not in source and f"wanted.{c}" not in source} == set()


def test_the_reference_is_what_the_founders_of_the_figures_gave() -> None:
    shared = Path(__file__).parents[3] / "shared/reference/survival"
    if not shared.is_dir():
        pytest.skip("the shared figures are not on this machine")
    for path in sorted(shared.glob("*.csv")):
        assert (REFERENCE / path.name).read_bytes() == path.read_bytes(), path.name

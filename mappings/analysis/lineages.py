"""The lineages of a build: daily values of each analyte, days that break runs, and the runs of every criterion and window."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.derive.daily import Daily, daily_values, meets
from adapter.derive.runs import Runs, sustained_runs, touched_days
from adapter.spec import Inputs
from mappings.analysis.subjects import ORIGINS, medication_days

Integers = npt.NDArray[np.int64]


class Counts:
    """Daily values of every parameter, and per analyte; days are numbers, subjects positions in the course `s`.

    chosen: for each result Y where it is the record of its day.
    """

    def __init__(self, f: pd.DataFrame, s: pd.DataFrame, inputs: Inputs) -> None:
        self.f, self.s, self.inputs = f, s, inputs
        usable = ((f["why"] == "") & f["aval"].notna() & (f["subject"] >= 0)).to_numpy()
        self.place = np.flatnonzero(usable)
        parameter, names = pd.factorize(f["paramcd"].to_numpy()[self.place])
        self.number = {str(n): i for i, n in enumerate(names)}
        kinds = max(1, len(names))
        columns = (f[c].to_numpy()[self.place] for c in ("subject", "day", "aval", "at_least", "open", "order"))
        subject, day, value, at_least, open_, order = columns
        # parameter first, so that each analyte's days stand together
        unit = parameter.astype(np.int64) * len(s) + subject
        made = daily_values(
            unit, day.astype(np.int64), value, at_least, open_.astype(bool), order, inputs.trial.daily_value.rule
        )
        self.ends = np.searchsorted(made.subject, np.arange(kinds + 1) * max(1, len(s)))
        self.all = made

    @cached_property
    def chosen(self) -> npt.NDArray[np.object_]:
        flags = np.full(len(self.f), "", dtype=object)
        flags[self.place[self.all.record]] = "Y"
        return flags

    def of(self, analyte: str) -> Daily:
        """Return the daily values of an analyte; record is the position in ADLB's records."""
        number = self.number.get(self.inputs.trial.analytes[analyte].testcd)
        part = slice(0, 0) if number is None else slice(self.ends[number], self.ends[number + 1])
        d = self.all
        subject = d.subject[part] - (number or 0) * len(self.s)
        return Daily(subject, d.day[part], d.value[part], d.at_least[part], d.open[part], self.place[d.record[part]])

    def last_day(self, analyte: str) -> tuple[pd.Series[float], Integers]:
        """Return each subject's last day with a value, NaN without any, and its row of the daily values (-1)."""
        d = self.of(analyte)
        row = np.full(len(self.s), -1, dtype=np.int64)
        row[d.subject] = np.arange(len(d.day))  # sorted by day: the last one stays
        day = np.where(row >= 0, d.day[np.maximum(row, 0)] if len(d.day) else 0, np.nan)
        return pd.Series(day, index=self.s.index, dtype="float64"), row


class Lineages:
    """Runs by criterion and window, found once each."""

    def __init__(self, counts: Counts, s: pd.DataFrame, inputs: Inputs) -> None:
        self.counts, self.s, self.inputs = counts, s, inputs
        self.known: dict[tuple[Any, ...], Runs] = {}
        self.groups: dict[str, pd.DataFrame] = {}

    def given(self, group: str) -> pd.DataFrame:
        """Return the records of a medication group, with the subject's position."""
        if group not in self.groups:
            m = medication_days(self.inputs, group)
            self.groups[group] = m.assign(subject=self.s.index.get_indexer(pd.Index(m["USUBJID"])).astype(np.int64))
        return self.groups[group]

    def days(self, groups: tuple[str, ...]) -> tuple[Integers, Integers]:
        """Return subject and day of every day that one of these medication groups touches."""
        parts = [self.given(g) for g in groups]
        if not parts:
            none = np.empty(0, dtype=np.int64)
            return none, none
        both = pd.concat(parts)
        return touched_days(both["subject"].to_numpy(), both["first"].to_numpy(), both["last"].to_numpy())

    def runs(self, criterion: Any, origin: str, extra: tuple[str, ...] = ()) -> Runs:
        """Return the runs of a criterion in the window from an origin; extra: further groups that break it."""
        groups = tuple(g for g in (criterion.breaker, *extra) if g)
        key = (criterion.model_dump_json(), origin, groups)
        if key not in self.known:
            d = self.counts.of(criterion.analyte)
            c = criterion
            self.known[key] = sustained_runs(
                d.subject,
                d.day,
                meets(d, c.comparator, float(c.threshold)),
                *self.days(groups),
                self.s[ORIGINS[origin]].to_numpy(dtype=np.float64),
                days=c.days,
                count=c.count,
                bridge=c.bridge,
                max_gap_days=c.max_gap_days,
                look_back_days=c.look_back_days,
            )
        return self.known[key]

    def first_days(self, criterion: Any, origin: str, extra: tuple[str, ...] = ()) -> pd.Series[float]:
        """Return the first day of each subject's run, NaN without one."""
        found, d = self.runs(criterion, origin, extra), self.counts.of(criterion.analyte)
        day = np.where(found.first >= 0, d.day[np.maximum(found.first, 0)] if len(d.day) else 0, np.nan)
        return pd.Series(day, index=self.s.index, dtype="float64")

    def results_of(self, criterion: Any, origin: str, extra: tuple[str, ...] = ()) -> tuple[Integers, Integers]:
        """Return subject and LBSEQ of the results that each run rests on: from its first day until its length is reached."""
        found, d = self.runs(criterion, origin, extra), self.counts.of(criterion.analyte)
        who = np.flatnonzero(found.first >= 0)
        length = found.reached[who] - found.first[who] + 1
        rows = np.repeat(found.first[who] - np.cumsum(length) + length, length) + np.arange(int(length.sum()))
        seq = self.counts.f["LBSEQ"].to_numpy()[d.record[rows]] if len(rows) else np.empty(0)
        return np.repeat(who, length), seq.astype(np.int64)


def lineages(counts: Counts, s: pd.DataFrame, inputs: Inputs) -> Lineages:
    return Lineages(counts, s, inputs)


def phase_ends(found: Lineages, s: pd.DataFrame, trial: Any) -> pd.Series[float]:
    """Return the last day on which counts are due daily: the last of the lineages' run dates, at most `max_day` (A-23).

    Without a run of every lineage it is that last day. NaN without such a phase.
    """
    rule = trial.daily_phase
    if rule is None:
        return pd.Series(np.nan, index=s.index)
    limit = s[ORIGINS[rule.origin]] + rule.max_day - 1
    first = [found.first_days(trial.criteria[c], rule.origin) for c in rule.criteria]
    latest = pd.concat(first, axis=1).max(axis=1, skipna=False)
    ends: pd.Series[float] = latest.where(latest <= limit, limit).astype("float64")
    return ends

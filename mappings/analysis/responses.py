"""The response parameters of a trial, each computed from its lineage's runs, and in words for define.xml (protocol §5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adapter.derive.daily import meets
from adapter.derive.response import (
    any_between,
    evaluable,
    gap_only,
    lineage_response,
    overall_response,
    runs_in_time,
)
from adapter.derive.runs import in_sentence, run_method
from adapter.spec import Inputs, joined, used_of
from mappings.analysis.lineages import Lineages
from mappings.analysis.subjects import ORIGINS, first_from, intercurrent

Extra = tuple[str, ...]


class Way(NamedTuple):
    """One way to read the criteria: as they are, as a preset changes them, or with a further breaker for some of them."""

    label: str
    criteria: Mapping[str, Any]
    extra: Mapping[str, Extra]
    codes: Mapping[str, str]  # PARAMCD -> PARAMCD under this way; empty: all parameters under their own


class Response(NamedTuple):
    """One parameter: frame has avalc, day, gap, under_way, responder, seq (LBSEQ of the run's first day) by subject."""

    code: str
    label: str
    window: str
    responders: tuple[str, ...]
    frame: pd.DataFrame
    used: pd.DataFrame | None


def ways(trial: Any) -> Iterator[Way]:
    """Return the way of the protocol, then those of the sensitivity analyses that have results of their own."""
    yield Way("", trial.criteria, {}, {})
    for s in trial.sensitivity.values():
        if s.parameters:
            criteria = trial.criteria_of(s.preset) if s.kind == "preset" else trial.criteria
            extra = dict.fromkeys(s.criteria, (s.medication,)) if s.kind == "breaker" else {}
            yield Way(s.label, criteria, extra, s.parameters)


def responses(found: Lineages, s: pd.DataFrame, inputs: Inputs) -> list[Response]:
    """Return every response parameter of the trial, for every subject of the course."""
    made: list[Response] = []
    for way in ways(inputs.trial):
        of = _Responses(found, s, inputs, way)
        base = {code: of.lineage(code) for code in inputs.trial.response.parameters}
        mine = [base[code] for code in of.wanted(base)]
        mine += [of.overall(code, base) for code in of.wanted(inputs.trial.response.overall)]
        if not way.codes:
            mine += [of.late_transfusion(code, base) for code in inputs.trial.response.sensitivity]
        after = inputs.trial.after_transplant
        mine += [of.after_transplant(code) for code in of.wanted(after.parameters if after else {})]
        made += [_named(r, way) for r in mine]
    return made


def _named(r: Response, way: Way) -> Response:
    """Return a result under the name that it has when the criteria are read this way."""
    return r._replace(code=way.codes[r.code], label=f"{r.label} ({way.label})") if way.codes else r


class _Responses:
    def __init__(self, found: Lineages, s: pd.DataFrame, inputs: Inputs, way: Way) -> None:
        self.found, self.s, self.inputs, self.way = found, s, inputs, way
        self.trial = inputs.trial

    def wanted(self, known: Mapping[str, Any]) -> list[str]:
        return [c for c in known if not self.way.codes or c in self.way.codes]

    def lineage(self, code: str) -> Response:
        """Return a response at the horizon: the first level whose run begins by then."""
        rule, p = self.trial.response, self.trial.response.parameters[code]
        origin = self.trial.windows[p.window].origin
        start = self.s[ORIGINS[origin]]
        horizon = start + rule.horizon_days - 1
        levels = [(v.value, v.criterion) for v in p.levels]
        frame, used = self._levels(
            levels, p.otherwise, p.not_evaluable, origin, horizon, start + rule.late_day - 1, horizon
        )
        d, weakest = self.found.counts.of(self.way.criteria[levels[0][1]].analyte), self.way.criteria[levels[-1][1]]
        met = meets(d, weakest.comparator, float(weakest.threshold))
        first, last = (start + n - 1 for n in (rule.gap_flag_from, rule.horizon_days))
        gap = gap_only(d.subject, d.day, met, first.to_numpy(np.float64), last.to_numpy(np.float64))
        frame["gap"] = np.where(gap & (frame["avalc"] == p.otherwise), "Y", "")
        frame["responder"] = frame["avalc"].isin(p.responders)
        return Response(code, p.label, p.window, p.responders, frame, used)

    def after_transplant(self, code: str) -> Response:
        """Return engraftment after transplant: a run anywhere to the data cut."""
        rule = self.trial.after_transplant
        p, origin = rule.parameters[code], self.trial.windows[rule.window].origin
        late = self.s[ORIGINS[origin]] + rule.late_day
        never = pd.Series(np.inf, index=self.s.index)
        frame, used = self._levels([("Y", p.criterion)], "N", "NE", origin, never, late, late)
        frame["gap"], frame["responder"] = "", frame["avalc"] == "Y"
        return Response(code, p.label, rule.window, ("Y",), frame, used)

    def _levels(
        self,
        levels: list[tuple[str, str]],
        otherwise: str,
        not_evaluable: str,
        origin: str,
        by: pd.Series[float],
        late: pd.Series[float],
        death_by: pd.Series[float],
    ) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        s, criteria, counts = self.s, self.way.criteria, self.found.counts
        ended = self.ended(origin)
        analyte = criteria[levels[0][1]].analyte
        last, last_row = counts.last_day(analyte)
        of = {c: (criteria[c], origin, self.way.extra.get(c, ())) for _, c in levels}
        first = {c: runs_in_time(self.found.first_days(*of[c]), by, ended) for _, c in levels}
        could = evaluable(last, late, s["death"], death_by)
        frame = lineage_response([(v, first[c]) for v, c in levels], otherwise, not_evaluable, could)
        under_way = np.zeros(len(s), dtype=bool)
        used, frame["seq"] = [], np.nan
        taken = np.zeros(len(s), dtype=bool)
        for value, c in levels:
            under_way |= self.found.runs(*of[c]).under_way
            mine = ((frame["avalc"] == value) & first[c].notna()).to_numpy() & ~taken
            taken |= mine
            who, seq = self.found.results_of(*of[c])
            keep = mine[who]
            used.append(used_of(s.index[who[keep]], "", "LB", "LBSTRESC", seq[keep]))
            begins = pd.Series(seq[keep], index=s.index[who[keep]], dtype="float64").groupby(level=0).first()
            frame["seq"] = frame["seq"].fillna(begins.reindex(s.index))
        # what shows that a response could have been seen: the last value, or the death
        place = (
            counts.of(analyte).record[np.maximum(last_row, 0)]
            if last.notna().any()
            else np.zeros(len(s), dtype=np.int64)
        )
        rest = ~taken & last.notna().to_numpy()
        seqs = counts.f["LBSEQ"].to_numpy()[place[rest]] if rest.any() else np.empty(0)
        used.append(used_of(s.index[rest], "AVALC", "LB", "LBDTC", seqs))
        dead = s.index[~taken & s["death"].notna().to_numpy()]
        used.append(used_of(dead, "AVALC", "DM", "DTHDTC"))
        frame["under_way"] = under_way
        return frame, joined(used)

    def ended(self, origin: str) -> pd.Series[float]:
        """Return the first day of an intercurrent event that ends the response, NaN without one."""
        start = self.s[ORIGINS[origin]]
        names = [name for name, rule in self.trial.intercurrent.items() if rule.ends_response]
        events = [intercurrent(self.inputs, self.s, name) for name in names]
        found = [first_from(e, start)["day"] for e in events if len(e)]
        return pd.concat(found, axis=1).min(axis=1) if found else pd.Series(np.nan, index=self.s.index)

    def overall(self, code: str, base: Mapping[str, Response]) -> Response:
        o = self.trial.response.overall[code]
        names = dict.fromkeys(n for level in o.levels for n in level.needs)
        parts = {n: base[n].frame for n in names}
        not_evaluable = {n: self.trial.response.parameters[n].not_evaluable for n in names}
        levels = [(v.value, v.needs) for v in o.levels]
        frame = overall_response(parts, levels, o.otherwise, o.not_evaluable, not_evaluable)
        frame["gap"], frame["seq"] = "", np.nan
        frame["under_way"] = np.logical_or.reduce([f["under_way"].to_numpy() for f in parts.values()])
        frame["responder"] = frame["avalc"].isin(o.responders)
        window = self.trial.response.parameters[next(iter(names))].window
        used = joined([u for n in names if (u := base[n].used) is not None])
        return Response(code, o.label, window, o.responders, frame, used)

    def late_transfusion(self, code: str, base: Mapping[str, Response]) -> Response:
        """Return a sensitivity parameter that a transfusion in its days makes a non-response."""
        rule = self.trial.response.sensitivity[code]
        b = base[rule.base]
        start = self.s[ORIGINS[self.trial.windows[b.window].origin]]
        to = start + rule.to_day - 1
        first = start + rule.from_day - 1 if rule.from_day else b.frame["day"]
        who, when = self.found.days((rule.medication,))
        hit = any_between(who, when, first.to_numpy(np.float64), to.to_numpy(np.float64))
        frame = b.frame.copy()
        frame["avalc"] = frame["avalc"].where(~hit, rule.becomes)
        frame["day"], frame["seq"] = frame["day"].where(~hit), frame["seq"].where(~hit)
        frame["responder"], frame["gap"] = frame["avalc"].isin(b.responders), frame["gap"].where(~hit, "")
        given = self.found.given(rule.medication)
        of = given["subject"].to_numpy()
        inside = (
            hit[of]
            & (given["last"].to_numpy() >= first.to_numpy()[of])
            & (given["first"].to_numpy() <= to.to_numpy()[of])
        )
        why = used_of(self.s.index[of[inside]], "AVALC", "CM", "CMSTDTC", given["CMSEQ"].to_numpy()[inside])
        return b._replace(
            code=code, label=rule.label, frame=frame, used=joined([p for p in (b.used, why) if p is not None])
        )


# --- in words --------------------------------------------------------------------------------------------------------


def response_methods(trial: Any) -> dict[str, str]:
    """Return PARAMCD -> how its AVALC is made, with the trial's numbers."""
    told: dict[str, str] = {}
    r = trial.response
    for way in ways(trial):

        def run(criterion: str, way: Way = way) -> str:
            c = way.criteria[criterion]
            groups = [g for g in (c.breaker, *way.extra.get(criterion, ())) if g]
            return run_method(c, " or ".join(trial.medications[g].label for g in groups))

        of = {c: way.codes.get(c, c) for c in (*r.parameters, *r.overall) if not way.codes or c in way.codes}
        for code, name in of.items():
            if code in r.overall:
                o = r.overall[code]
                levels = "; ".join(
                    f"{v.value} where " + ", ".join(f"{of.get(n, n)} is {' or '.join(w)}" for n, w in v.needs.items())
                    for v in o.levels
                )
                told[name] = (
                    f"The first that holds: {levels}; {o.not_evaluable} where a lineage is not evaluable and none is a "
                    f"non-response; else {o.otherwise}. ADT is the latest of the lineages' dates."
                )
                continue
            p = r.parameters[code]
            levels = " ".join(f"{v.value}: {run(v.criterion)}" for v in p.levels)
            told[name] = (
                f"The first that holds. {levels} Only runs that begin by study day {r.horizon_days}, and before an "
                f"intercurrent event, count. {p.otherwise}: none, and a value on or after study day {r.late_day}, or death "
                f"by study day {r.horizon_days}. {p.not_evaluable}: everything else."
            )
    for code, t in r.sensitivity.items():
        since = f"study day {t.from_day}" if t.from_day else "the first day of the run"
        what = in_sentence(trial.medications[t.medication].label)
        told[code] = f"{t.base}, but {t.becomes} where a {what} falls on a day from {since} to study day {t.to_day}."
    after = trial.after_transplant
    for code, a in after.parameters.items() if after else ():
        c = trial.criteria[a.criterion]
        label = trial.medications[c.breaker].label if c.breaker else ""
        told[code] = (
            f"Y: {run_method(c, label)} Searched from the day of the index transplant to the data cut. N: none, and a value "
            f"on or after the {after.late_day}th day after transplant, or death by then. NE: everything else."
        )
    return told

"""The protocol once more, written from its text: one subject, one day at a time, no NumPy, nothing of the program's own code.

Deliberately slow and plain. The trial definition gives the numbers; what is done with them follows protocol.md §3 to §6.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

from tests.analysis import Subject, day_of, iso


@cache
def parsed(text: str) -> tuple[str, Decimal]:
    for sign in ("<=", ">=", "<", ">"):
        if text.startswith(sign):
            return sign, Decimal(text[len(sign) :])
    return "", Decimal(text)


def proves(text: str, comparator: str, t: Decimal) -> bool:
    """§3: what one result proves."""
    sign, x = parsed(text)
    if sign in ("<", "<="):
        return False
    if comparator == ">=" or sign == ">":
        return x >= t
    return x > t


def day_meets(texts: list[str], rule: str, comparator: str, t: Decimal) -> bool:
    """§3: whether a day meets a condition; texts in the order of their times."""
    if rule == "min":
        return all(proves(x, comparator, t) for x in texts)
    if rule == "max":
        return any(proves(x, comparator, t) for x in texts)
    if rule == "last":
        return proves(texts[-1], comparator, t)
    signs = [parsed(x)[0] for x in texts]
    if any(s in ("<", "<=") for s in signs):
        return False
    mean = sum((parsed(x)[1] for x in texts), Decimal(0)) / len(texts)
    return mean > t or (mean == t and (comparator == ">=" or ">" in signs))


class Naive:
    """What the protocol says of one subject."""

    def __init__(self, s: Subject, trial: Any) -> None:
        self.s, self.trial = s, trial
        self.by_day: dict[str, dict[int, list[str]]] = {}
        for analyte, day, _hour, text in sorted(s.results, key=lambda r: (r[0], r[1], r[2])):
            a = trial.analytes[analyte]
            if a.plausible_low <= parsed(text)[1] <= a.plausible_high:
                self.by_day.setdefault(analyte, {}).setdefault(day, []).append(text)
        self.transplants, self.boosts = self._grafts()
        before = [d for d in self.transplants if s.randomised is not None and d <= s.randomised]
        self.hsct = before[-1] if before else None
        self.death, self.alive = self._death()
        self.origin = {"randomisation": s.randomised, "transplant": self.hsct}
        self.origin["reference_start"] = s.reference if s.randomised is not None else None

    # §2
    def _grafts(self) -> tuple[list[int], list[int]]:
        rule = self.trial.transplant
        found: list[int] = []
        boosts: list[int] = []
        for day in sorted(self.s.grafts):
            if not found:
                found.append(day)
            elif day - found[-1] <= rule.window_days:
                continue
            elif any(found[-1] < c <= day and day - c <= rule.conditioning_days for c in self.s.conditioning):
                found.append(day)
            else:
                boosts.append(day)
        return found, boosts

    # §6, last paragraph
    def _death(self) -> tuple[int | None, int]:
        s = self.s
        alive = min(s.last_seen, s.cut)
        if not s.dead:
            return None, alive
        if not s.death:
            died = min(alive + self.trial.censoring.undated_death_after_days, s.cut)
        elif len(s.death) == 10:
            died = day_of(s.death)
        else:
            days = [d for d in range(alive - 800, alive + 1600) if iso(d).startswith(s.death)]
            after = [d for d in days if d > alive]
            died = after[0] if after else days[-1]
        return died, min(alive, died)

    def breakers(self, group: str | None) -> set[int]:
        spans = {"platelets": self.s.platelets, "red_cells": self.s.red_cells, "g_csf": self.s.g_csf}
        return {d for a, b in spans[group] for d in range(a, b + 1)} if group else set()

    # §4
    def run(self, c: Any, origin: str, extra: tuple[str, ...] = ()) -> tuple[int | None, bool]:
        """Return the first day of the run that meets the criterion, and whether it was under way at the start."""
        start = self.origin[origin]
        if start is None:
            return None, False
        values = self.by_day.get(c.analyte, {})
        broken = self.breakers(c.breaker).union(*(self.breakers(g) for g in extra))

        @cache
        def qualifies(day: int) -> bool:
            if day not in values or day in broken:
                return False
            if any(day - back in broken for back in range(1, c.look_back_days)):
                return False
            return day_meets(values[day], self.trial.daily_value.rule, c.comparator, c.threshold)

        under_way = qualifies(start) and qualifies(start - 1)
        for first in sorted(values):
            if first >= start and qualifies(first) and self._length(first, values, broken, qualifies, c) >= c.days:
                return first, under_way
        return None, under_way

    def _length(self, first: int, values: dict[int, Any], broken: set[int], qualifies: Any, c: Any) -> int:
        last, day, measured, missing = first, first, 1, 0
        while True:
            day += 1
            if day in broken:
                break
            if day in values:
                if not qualifies(day):
                    break
                last, missing, measured = day, 0, measured + 1
            else:
                missing += 1
                if c.count == "days" and missing > c.bridge:
                    break
                if c.count == "measurements" and day - last >= c.max_gap_days:
                    break
            if max(measured, last - first + 1 if c.count == "days" else 0) >= c.days and c.count == "measurements":
                break
            if c.count == "days" and last - first + 1 >= c.days:
                break
        return measured if c.count == "measurements" else last - first + 1

    def intercurrent(self, name: str, start: int) -> int | None:
        rule = self.trial.intercurrent[name]
        if rule.kind == "transplant":
            after = self.hsct if self.hsct is not None else self.s.randomised
            days = [d for d in self.transplants if after is not None and d > after]
        else:
            days = self.s.dli if rule.category == "DLI" else [*self.s.boost, *self.boosts]
        later = [d for d in days if d >= start]
        return min(later) if later else None

    def ended(self, start: int | None) -> float:
        found = [self.intercurrent(n, start) for n in self.trial.intercurrent] if start is not None else []
        return min((d for d in found if d is not None), default=float("inf"))

    # §5
    def response(
        self, code: str, criteria: Any, extra: dict[str, tuple[str, ...]]
    ) -> tuple[str, int | None, str, bool]:
        """Return AVALC, ADT, RUNGAPFL and whether already at threshold at baseline."""
        r, p = self.trial.response, self.trial.response.parameters[code]
        origin = self.trial.windows[p.window].origin
        start = self.origin[origin]
        found = {v.criterion: self.run(criteria[v.criterion], origin, extra.get(v.criterion, ())) for v in p.levels}
        under_way = any(u for _, u in found.values())
        if start is None:
            return p.not_evaluable, None, "", under_way
        horizon = start + r.horizon_days - 1
        for v in p.levels:
            first = found[v.criterion][0]
            if first is not None and first <= horizon and first < self.ended(start):
                return v.value, first, "", under_way
        weakest = criteria[p.levels[-1].criterion]
        values = self.by_day.get(weakest.analyte, {})
        if any(d >= start + r.late_day - 1 for d in values) or (self.death is not None and self.death <= horizon):
            late = [d for d in values if start + r.gap_flag_from - 1 <= d <= horizon]
            rule = self.trial.daily_value.rule
            gap = late and all(day_meets(values[d], rule, weakest.comparator, weakest.threshold) for d in late)
            gap = gap and len(late) < r.horizon_days - r.gap_flag_from + 1
            return p.otherwise, None, "Y" if gap else "", under_way
        return p.not_evaluable, None, "", under_way

    def overall(self, parts: dict[str, tuple[str, int | None, str, bool]]) -> tuple[str, int | None]:
        neut, rbc, plt = parts["NEUT"], parts["RBC"], parts["PLTRESP"]
        both = neut[0] == "Y" and rbc[0] == "Y"
        days = [p[1] for p in (neut, rbc, plt) if p[1] is not None]
        if both and plt[0] == "CR":
            return "CR", max(days)
        if both and plt[0] == "PR":
            return "PR", max(days)
        said = {neut[0], rbc[0], plt[0]}
        if "NE" in said and not said & {"N", "NR"}:
            return "NE", None
        return "NR", None

    def responses(self) -> dict[str, tuple[str, int | None]]:
        """Return PARAMCD -> AVALC, ADT of every response parameter."""
        t, made = self.trial, {}
        base = {c: self.response(c, t.criteria, {}) for c in t.response.parameters}
        made |= {c: v[:2] for c, v in base.items()}
        made["OVRLRESP"] = self.overall(base)
        start = self.origin["reference_start"]
        plt, rbc = made["PLTRESP"], made["RBC"]
        rule = t.response.sensitivity["PLTRESPS"]
        days = self.breakers("platelets")
        late = start is not None and any(start + rule.from_day - 1 <= d <= start + rule.to_day - 1 for d in days)
        made["PLTRESPS"] = ("NR", None) if late else plt
        to = t.response.sensitivity["RBCS"].to_day
        again = (
            rbc[1] is not None
            and start is not None
            and any(rbc[1] <= d <= start + to - 1 for d in self.breakers("red_cells"))
        )
        made["RBCS"] = ("N", None) if again else rbc
        for code, p in t.after_transplant.parameters.items():
            made[code] = self.after_transplant(p)
        for s in t.sensitivity.values():
            criteria = t.criteria_of(s.preset) if s.preset else t.criteria
            extra = dict.fromkeys(s.criteria, (s.medication,)) if s.kind == "breaker" else {}
            parts = {c: self.response(c, criteria, extra) for c in t.response.parameters} if s.parameters else {}
            for of, code in s.parameters.items():
                if of in parts:
                    made[code] = parts[of][:2]
                elif of == "OVRLRESP":
                    made[code] = self.overall(parts)
        return made

    def after_transplant(self, p: Any) -> tuple[str, int | None]:
        if self.hsct is None:
            return "NE", None
        c = self.trial.criteria[p.criterion]
        first, _ = self.run(c, "transplant")
        if first is not None and first < self.ended(self.hsct):
            return "Y", first
        late = self.hsct + self.trial.after_transplant.late_day
        values = self.by_day.get(c.analyte, {})
        if any(d >= late for d in values) or (self.death is not None and self.death <= late):
            return "N", None
        return "NE", None

    # §6
    def times(self) -> dict[str, tuple[int, int]]:
        """Return PARAMCD -> AVAL, CNSR of every time-to-event parameter whose origin is known."""
        made = {}
        for code, p in self.trial.time_to_event.items():
            if self.origin[p.origin] is not None:
                made[code] = self.time(p, self.trial.criteria)
        for s in self.trial.sensitivity.values():
            for of, code in s.parameters.items():
                p = self.trial.time_to_event.get(of)
                if p is not None and self.origin[p.origin] is not None:
                    made[code] = self.time(p, self.trial.criteria_of(s.preset) if s.preset else self.trial.criteria)
        return made

    def time(self, p: Any, criteria: Any) -> tuple[int, int]:
        start = self.origin[p.origin]
        assert start is not None
        stop = None
        rivals: list[int] = []
        if "death" in p.competing and self.death is not None and self.death >= start:
            rivals.append(self.death)
        if p.criterion:
            c = criteria[p.criterion]
            event, _ = self.run(c, p.origin)
            for name, rule in self.trial.intercurrent.items():
                day = self.intercurrent(name, start)
                if day is None:
                    continue
                if rule.actions[p.window] == "compete":
                    rivals.append(day)
                elif rule.actions[p.window] == "censor":
                    stop = day if stop is None else min(stop, day)
            known = [d for d in self.by_day.get(c.analyte, {}) if d >= start]
            last = max(known) if known else start
        else:
            event = self.first_event(p, start)
            last = max(self.alive, start)
        if stop is not None:
            event = None if event is None or event >= stop else event
            rivals = [d for d in rivals if d <= stop]
            last = min(last, stop)
        rival = min(rivals) if rivals else None
        if event is not None and (rival is None or event <= rival):
            day, cnsr = event, 0
        elif rival is not None:
            day, cnsr = rival, 2
        else:
            day, cnsr = last, 1
        aval = day - start + 1
        if p.horizon_days and aval > p.horizon_days:
            return p.horizon_days, 1
        return aval, cnsr

    def first_event(self, p: Any, start: int) -> int | None:
        days: list[int] = []
        if "death" in p.events and self.death is not None and self.death >= start:
            days.append(self.death)
        if "relapse" in p.events:
            days += [d for d in (self.onset(t, start) for c, t in self.s.events if c == "RELAPSE") if d >= start]
            days += [day_of(t) for t in self.s.relapses_rs if day_of(t) >= start]
        kinds = {"acute_gvhd": "ACUTE GVHD", "chronic_gvhd": "CHRONIC GVHD", "infection": "INFECTION"}
        kinds["graft_failure"] = "GRAFT FAILURE"
        for name in p.events:
            if name in kinds and not p.grades:
                days += [d for d in (self.onset(t, start) for c, t in self.s.events if c == kinds[name]) if d >= start]
        if p.grades:
            days += [d for d in self.worse(p.grades, start) if d >= start]
        return min(days) if days else None

    def onset(self, text: str, start: int) -> int:
        """Return the first day that a date may mean and that is not before the origin, else the last one it may mean."""
        if len(text) == 10:
            return day_of(text)
        days = [d for d in range(start - 800, start + 800) if iso(d).startswith(text)]
        after = [d for d in days if d >= start]
        return after[0] if after else days[-1]

    def worse(self, grades: tuple[str, ...], start: int) -> list[int]:
        onsets = sorted({self.onset(t, start) for c, t in self.s.events if c == "ACUTE GVHD"})
        found: list[int] = []
        before: dict[int | None, bool] = {}
        for day, grade in sorted(self.s.grades, key=lambda g: g[0]):
            episode = max((o for o in onsets if o <= day), default=None)
            if grade in grades and not before.get(episode, False):
                found.append(episode if episode not in before and episode is not None else day)
            before[episode] = grade in grades
        return found

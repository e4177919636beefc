"""Protocol §7 and §8 once more, written from their text, one person and one day at a time; nothing of the program's own code.

Reads the facts of tests.clinic, not datasets: exposure, transfusion burden, treatment-emergent events, deviations. Deliberately
slow and plain. The rule of TPO-RA steps, entry criteria and treatment of another arm are not here (tests/e2e/test_deviations.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from itertools import combinations

from tests.clinic import CUT, LOG, RANDOMISED, Given, Infusion, Person, at

ONE = timedelta(days=1)
CONVENTIONAL = ("platelets", "red_cells", "g_csf", "rhtpo", "tpo_ra")
Deviation = tuple[str, str, str, str]
"""DVDECOD, DVTERM, DVSTDTC, DVENDTC."""


def exact(number: float) -> Fraction:
    return Fraction(str(number))


def two_decimals(x: Fraction) -> Fraction:
    """Half up, as EX.EXDOSE."""
    return Fraction(int(x * 100 + Fraction(1, 2)), 100)


def days_of(text: str) -> list[date]:
    """Return every day that a date may mean."""
    if len(text) == 10:
        return [date.fromisoformat(text)]
    first = date.fromisoformat((text + "-01-01")[:10])
    return [d for d in (first + n * ONE for n in range(366)) if d.isoformat().startswith(text)]


def months_on(day: date, months: int) -> date:
    year, month = day.year + (day.month - 1 + months) // 12, (day.month - 1 + months) % 12 + 1
    for of_month in range(day.day, 0, -1):
        try:
            return date(year, month, of_month)
        except ValueError:
            continue
    raise AssertionError(day)


def written(x: Fraction, low: Fraction, high: Fraction) -> str:
    """Return a number outside a range with two decimals, or as many as show that it is outside."""
    for places in range(2, 10):
        text = f"{float(x):.{places}f}".rstrip("0").rstrip(".")
        if not low <= Fraction(text) <= high:
            return text
    raise AssertionError(x)


class Course:
    """What the protocol says of one person."""

    def __init__(self, p: Person) -> None:
        self.p = p
        self.infused = sorted((i for i in p.infusions if i.status == "completed"), key=lambda i: (at(i.day), i.time))
        self.days = sorted({at(i.day) for i in self.infused})
        self.died = date.fromisoformat(p.died) if p.died else None
        self.first, self.last = self._treatment()
        self.ref = self.first or RANDOMISED
        self.known = self._known()

    # §2
    def _treatment(self) -> tuple[date | None, date | None]:
        if self.p.arm == "MSC":
            return (self.days[0], self.days[-1]) if self.days else (None, None)
        began: list[date] = []
        for g in self.p.given:
            first, last = self.span(g)
            if g.group in CONVENTIONAL and last >= RANDOMISED:
                began.append(max(first, RANDOMISED))
        if not began:
            return None, None
        ends = [self.span(g)[1] for g in self.p.given if g.group in CONVENTIONAL]
        return min(began), max(e for e in ends if e >= min(began))

    def span(self, g: Given) -> tuple[date, date]:
        return at(g.first), at(g.first if g.last is None else g.last)

    def _known(self) -> date:
        p = self.p
        seen = [at(d) for d, _ in p.weights] + [at(d) for v in p.counts.values() for d in v] + self.days
        seen += [self.span(g)[1] for g in p.given] + ([p.transplant] if p.transplant else [])
        seen += [at(p.seen)] if p.seen is not None else []
        alive = min(max(seen), date.fromisoformat(CUT))
        return alive if self.died is None else min(alive, self.died)

    def weight(self, day: date) -> Fraction | None:
        """The weight nearest before, that day's included."""
        before = [(at(d), kg) for d, kg in self.p.weights if at(d) <= day]
        return exact(max(before)[1]) if before else None

    def per_kg(self, i: Infusion) -> Fraction | None:
        if i.dose is None:
            return None
        if i.unit == "10*6/kg":
            return exact(i.dose)
        kg = self.weight(at(i.day))
        return exact(i.dose) / kg if kg else None

    # --- §7
    def emergent(self, start: str, end: str) -> tuple[str, str, str]:
        """Return TRTEMFL, PREFL and the analysis start (ISO) of an event."""
        consent = date.fromisoformat(LOG["consent_date"])
        if not start:
            over = bool(end) and all(d < self.ref for d in days_of(end))
            return "Y" if self.first and not over else "", "", ""
        may = days_of(start)
        day = self.ref if self.ref in may else may[0]
        before = "Y" if consent <= day < self.ref else ""
        if self.first is None or self.last is None:
            return "", before, day.isoformat()
        return "Y" if self.first <= day <= months_on(self.last, 6) else "", before, day.isoformat()

    def burden(self, group: str) -> dict[tuple[str, int], Fraction | None]:
        """Return (end of PARAMCD, week; 0: all) -> value."""
        end = min(self.ref + 55 * ONE, self.known)
        made: dict[tuple[str, int], Fraction | None] = {}
        observed = [self.ref + n * ONE for n in range((end - self.ref).days + 1)]
        mine = [g for g in self.p.given if g.group == group]
        for week in range((len(observed) + 6) // 7 + 1):
            days = observed if week == 0 else observed[7 * week - 7 : 7 * week]
            if not days:
                continue
            began = [g for g in mine if at(g.first) in days]
            known = all(g.dose is not None and g.unit == "U" for g in began)
            units = sum((exact(g.dose or 0) for g in began), Fraction(0)) if known else None
            free = [d for d in days if not any(self.span(g)[0] <= d <= self.span(g)[1] for g in mine)]
            made |= {("UNIT", week): units, ("TXN", week): Fraction(len(began)), ("FREE", week): Fraction(len(free))}
            if week == 0:
                made["UNWK", 0] = None if units is None else units * 7 / len(days)
                made["FREEP", 0] = Fraction(100 * len(free), len(days))
        return made

    def exposure(self) -> dict[tuple[str, int], Fraction | None]:
        """Return (PARAMCD, number of the infusion; 0: all) -> value."""
        made: dict[tuple[str, int], Fraction | None] = {}
        total: Fraction | None = Fraction(0)
        for n, i in enumerate(self.infused, 1):
            dose = self.per_kg(i)
            if dose is not None and i.unit != "10*6/kg":
                dose = two_decimals(dose)
            total = None if dose is None or total is None else total + dose
            made |= {("DOSE", n): dose, ("DOSECUM", n): total, ("WEIGHT", n): self.weight(at(i.day))}
            made["DOSEPCT", n] = None if dose is None else 100 * dose
            kg, given = self.weight(at(i.day)), None if i.dose is None else exact(i.dose)
            if i.unit == "10*6/kg":
                given = None if given is None or kg is None else given * kg
            made["DOSETOT", n] = given
        made |= {("NINF", 0): Fraction(len(self.days)), ("ADHNUM", 0): Fraction(100 * len(self.days), 4)}
        return made | {("TOTDOSE", 0): total, ("ADHDOSE", 0): None if total is None else 100 * total / 4}

    # --- §8
    def deviations(self) -> Iterator[Deviation]:
        if self.p.arm == "MSC":
            yield from self.doses()
            yield from self.planned_days()
            yield from self.number()
            yield from self.after_relapse()
        yield from self.after_the_end()
        yield from self.factors("g_csf", "G-CSF", Fraction(5), Fraction(10), Fraction(0), "ug")
        yield from self.factors("rhtpo", "rhTPO", Fraction(300), Fraction(300), Fraction(1, 10), "U")
        yield from self.counts()

    def doses(self) -> Iterator[Deviation]:
        for day in self.days:
            parts = [self.per_kg(i) for i in self.infused if at(i.day) == day]
            known = [x for x in parts if x is not None]
            dose = sum(known, Fraction(0))
            if len(known) == len(parts) and not Fraction(9, 10) <= dose <= Fraction(11, 10):
                text = written(dose, Fraction(9, 10), Fraction(11, 10))
                yield self.told("DOSE OUTSIDE PROTOCOL RANGE", f"UC-MSC dose {text} outside 0.9 to 1.1 10^6/kg", day)

    def planned_days(self) -> Iterator[Deviation]:
        study = [(d - self.ref).days + 1 for d in self.days]
        n = min(len(study), 4)
        ways = [
            (sum(abs(study[i] - (1, 8, 15, 22)[j]) for i, j in zip(a, b, strict=True)), b, a)
            for a in combinations(range(len(study)), n)
            for b in combinations(range(4), n)
        ]
        _, places, of = min(ways)
        planned = {i: (1, 8, 15, 22)[j] for i, j in zip(of, places, strict=True)}
        for i, day in enumerate(study):
            if i not in planned or abs(day - planned[i]) > 2:
                term = f"UC-MSC infusion {i + 1} on study day {day}, planned day {planned.get(i, 'none')}"
                yield self.told("INFUSION OUTSIDE PLANNED DAY", term, self.days[i])

    def number(self) -> Iterator[Deviation]:
        due = self.ref + (22 - 1 + 2) * ONE
        refused = {i.day for i in self.p.infusions if i.status == "not-done" and i.reason}
        reason = len(self.days) + len(refused) >= 4
        reason |= self.died is not None and self.died <= due
        reason |= bool(self.left) and date.fromisoformat(self.left) <= due
        if len(self.days) < 4 and self.known >= due and not reason:
            term = f"{len(self.days)} of 4 UC-MSC infusions given, no reason recorded"
            yield self.told("FEWER INFUSIONS THAN PLANNED", term, due)

    @property
    def left(self) -> str:
        return self.p.log.get("withdrawal_date", "")

    def after_relapse(self) -> Iterator[Deviation]:
        if self.p.transplant is None:
            return
        found = [date.fromisoformat(r) for r in self.p.relapses]
        found = [r for r in found if 0 <= (r - self.p.transplant).days <= 84]
        for day in self.days:
            if found and day > min(found):
                yield self.told(
                    "TREATED AFTER RELAPSE", "UC-MSC infusion after relapse within 12 weeks of transplant", day
                )

    def after_the_end(self) -> Iterator[Deviation]:
        for day in self.days:
            if self.left and day > date.fromisoformat(self.left):
                yield self.told(
                    "TREATED AFTER DISCONTINUATION", "Study treatment after discontinuation: ADVERSE EVENT", day
                )

    def factors(
        self, group: str, name: str, low: Fraction, high: Fraction, tolerance: Fraction, unit: str
    ) -> Iterator[Deviation]:
        least, most = low * (1 - tolerance), high * (1 + tolerance)
        wrong: list[tuple[date, date, Fraction]] = []
        day = RANDOMISED
        while day <= self.ref + 55 * ONE:
            mine = [g for g in self.p.given if g.group == group and self.span(g)[0] <= day <= self.span(g)[1]]
            amounts = [self.amount(g, unit) for g in mine]
            known = [a for a in amounts if a is not None]
            dose = sum(known, Fraction(0))
            if mine and len(known) == len(amounts) and not least <= dose <= most:
                if wrong and wrong[-1][1] == day - ONE and wrong[-1][2] == dose:
                    wrong[-1] = (wrong[-1][0], day, dose)
                else:
                    wrong.append((day, day, dose))
            day += ONE
        for first, last, dose in wrong:
            term = f"{name} dose {written(dose, least, most)} outside {low} to {high} {unit}/kg/day"
            yield self.told(f"{name.upper()} DOSE OUTSIDE PROTOCOL RANGE", term, first, last)

    def amount(self, g: Given, unit: str) -> Fraction | None:
        """What one day of a record had, per kg; a course that does not say what a day had is not known."""
        first, last = self.span(g)
        if g.dose is None or (last > first and not g.unit.endswith("/d")):
            return None
        bare = g.unit.removesuffix("/d")
        if bare == f"{unit}/kg":
            return exact(g.dose)
        kg = self.weight(first)
        return exact(g.dose) / kg if bare == unit and kg else None

    def counts(self) -> Iterator[Deviation]:
        if not self.p.log.get("pgf_date"):
            return
        recovered = [self.run("ANC", 3, ()), self.run("PLT", 7, ("platelets",)), self.run("HGB", 7, ("red_cells",))]
        end = self.ref + 55 * ONE
        dates = [d for d in recovered if d is not None]
        if len(dates) == 3:
            end = min(end, max(dates))
        end = min(end, self.known)
        days = [self.ref + n * ONE for n in range((end - self.ref).days + 1)]
        days = [d for d in days if d != self.died]
        have = {a: {at(d) for d in self.p.counts.get(a, {})} for a in ("ANC", "PLT", "HGB")}
        missing = [d for d in days if not all(d in have[a] for a in have)]
        if missing:
            term = f"No complete blood count on {len(missing)} day(s) of the PGF phase"
            yield self.told("BLOOD COUNT MISSING", term, missing[0], missing[-1])

    def run(self, analyte: str, length: int, breakers: tuple[str, ...]) -> date | None:
        """Return the first day of the first run of this many days that meet the criterion, from treatment on (§4)."""
        values = {at(d): exact(float(v)) for d, v in self.p.counts.get(analyte, {}).items()}
        broken = [self.span(g) for g in self.p.given if g.group in breakers]

        def meets(day: date) -> bool:
            if day not in values or any(a <= day <= b for a, b in broken):
                return False
            return {"ANC": values[day] > Fraction(1, 2), "PLT": values[day] >= 20, "HGB": values[day] >= 70}[analyte]

        for first in sorted(values):
            if first >= self.ref and all(meets(first + n * ONE) for n in range(length)):
                return first
        return None

    def told(self, decod: str, term: str, first: date, last: date | None = None) -> Deviation:
        return decod, term, first.isoformat(), (last or first).isoformat()

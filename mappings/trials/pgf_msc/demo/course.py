"""The clinical course: true blood counts of every day, and the days on which blood products are given.

Three lineages: neutrophils (10*9/L), haemoglobin (g/L), platelets (10*9/L). Each stays at its base during poor graft
function and rises from its own recovery day (study day, drawn by arm: protocol §8 expects 76 % against 38 %) to a
plateau. Plain arithmetic only, so that no C library can change a digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random

from mappings.trials.pgf_msc.demo.people import Person, days, draw, noise, stream

RESPONSE = {"MSC": 0.76, "CTRL": 0.38}
HORIZON = 56  # study days, protocol §5


@dataclass(frozen=True, slots=True)
class Lineage:
    """One cell line: `recovery` is the study day from which values hold above the threshold, None for never."""

    base: float
    onset: float  # the value on the recovery day
    plateau: float
    spread: float  # relative noise
    recovery: int | None

    def level(self, day: int, rng: Random) -> float:
        """Return the value of a study day, transfusions not counted."""
        wobble = max(-2.0, min(2.0, noise(rng)))
        if self.recovery is None or day < self.recovery:
            return self.base * (1 + self.spread * 1.5 * wobble)
        since = day - self.recovery
        rise = self.onset + (self.plateau - self.onset) * since / (since + 9)
        return rise * (1 + self.spread * wobble)


@dataclass(frozen=True, slots=True)
class Blood:
    """True morning values by day as (WBC, ANC, haemoglobin, platelets), and the days of transfusion."""

    values: dict[date, tuple[float, float, float, float]]
    platelets: tuple[date, ...]
    red_cells: tuple[date, ...]
    recovery: dict[str, int | None]


def lineages(person: Person, seed: int) -> dict[str, Lineage]:
    """Return the planned ANC, HGB and PLT lines of a person; who dies early or is no subject never recovers."""
    rng = stream(seed, person.index, "response")
    responder = rng.random() < RESPONSE.get(person.arm, 0.0)
    first = 6 + draw(rng, 20) if person.arm == "MSC" else 12 + draw(rng, 26)
    later = 62 + draw(rng, 60) if rng.random() < 0.6 else None
    doomed = person.role != "subject" or "early-death" in person.traits

    def recovery(partial: float) -> int | None:
        own = first + draw(rng, 9)
        kept = responder or rng.random() < partial
        return None if doomed else own if kept else later

    partial_platelets = rng.random() < 0.35
    return {
        "ANC": Lineage(0.12 + rng.random() * 0.2, 0.66, 1.6 + rng.random() * 2.2, 0.07, recovery(0.35)),
        "HGB": Lineage(62 + rng.random() * 4, 73.5, 92 + rng.random() * 38, 0.012, recovery(0.2)),
        "PLT": Lineage(
            7 + rng.random() * 6,
            25.0,
            34 + rng.random() * 10 if partial_platelets else 75 + rng.random() * 110,
            0.06,
            recovery(0.15),
        ),
    }


def blood(person: Person, seed: int) -> Blood:
    """Return every day's true values from nine days before transplant to the last day, and the transfusions.

    Transfusions follow the counts (platelets below 14, haemoglobin below 68, with a pause between two), are never
    given between the day before randomisation and the first treatment, nor on the last day.
    """
    lines = lineages(person, seed)
    rng = stream(seed, person.index, "blood")
    secondary = rng.random() < 0.4  # first engrafted, then lost: secondary poor graft function
    hsct = person.hsct or person.last - days(60)
    pgf = person.pgf or hsct + days(20)
    values: dict[date, tuple[float, float, float, float]] = {}
    platelets: list[date] = []
    red_cells: list[date] = []
    boost_plt = boost_hgb = 0.0
    day = hsct - days(9)
    while day <= person.last:
        after = (day - hsct).days
        study_day = (day - person.origin).days + 1
        boost_plt *= 0.5
        boost_hgb *= 0.8
        natural = {name: line.level(min(study_day, 0) if day < pgf else study_day, rng) for name, line in lines.items()}
        early = _before_pgf(after, (pgf - hsct).days, secondary) if day < pgf else 0.0
        anc = max(0.02, natural["ANC"] + early * 1.9)
        hgb = max(45.0, natural["HGB"] + early * 26 + boost_hgb)
        plt = max(2.0, natural["PLT"] + early * 90 + boost_plt)
        fraction = 0.42 + 0.25 * rng.random()
        values[day] = (anc / fraction, anc, hgb, plt)
        forced = person.arm == "CTRL" and person.index % 4 == 1 and day == person.start
        if forced or (
            _allowed(person, day, after) and plt < 14 and _pause(platelets, day) >= (9 if study_day > 60 else 3)
        ):
            platelets.append(day)
            boost_plt += 30 + 14 * rng.random()
        if _allowed(person, day, after) and hgb < 68 and _pause(red_cells, day) >= (14 if study_day > 60 else 5):
            red_cells.append(day)
            boost_hgb += 10 + 5 * rng.random()
        day += days(1)
    return Blood(values, tuple(platelets), tuple(red_cells), {name: line.recovery for name, line in lines.items()})


def _before_pgf(after: int, pgf: int, secondary: bool) -> float:
    """Return 0 … 1: how much of normal marrow there is `after` days from transplant, before poor graft function."""
    if after < 0:
        return min(1.0, -after / 9)
    if not secondary or after < 12:
        return 0.0
    return max(0.0, min((after - 11) / 6, (pgf - after) / 8, 0.8))


def _allowed(person: Person, day: date, after: int) -> bool:
    if after < 3 or day >= person.last:
        return False
    if person.randomisation is None or day < person.randomisation - days(1):
        return True
    if person.start is None:
        return False
    # in CTRL the first treatment is drawn elsewhere: no transfusion may come before it
    return day > person.start


def _pause(given: list[date], day: date) -> int:
    return (day - given[-1]).days if given else 99

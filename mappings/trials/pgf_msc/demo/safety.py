"""What the rules of deviations and of safety must find in the demo, taken from what was planted, never from a build.

`PLANTED` says what is planted; the answers give every record that follows from it, and from the rest of the plan: fever on
the day of an infusion, a death within a fortnight of one, an event that nobody closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from mappings.trials.pgf_msc.demo.entry import Entry
from mappings.trials.pgf_msc.demo.fhir import Resource, text_of
from mappings.trials.pgf_msc.demo.people import Person, days
from mappings.trials.pgf_msc.demo.story import story

PLANTED = {  # trait: what the hospital did, and what must come of it
    "stopped-infusion": ("infusion 2 stopped at 0.40·10^6 cells/kg", "DV: dose"),
    "overdose": ("infusion 2 of 1.15·10^6 cells/kg", "DV: dose"),
    "under-dose": ("infusion 2 of 0.80·10^6 cells/kg", "DV: dose"),
    "late-infusion": ("infusion 3 four days late", "DV: day"),
    "g-csf-dose": ("one day of G-CSF at 15 μg/kg", "DV: G-CSF dose"),
    "tpo-ra-step": ("a TPO-RA begun with two tablets", "DV: TPO-RA step"),
    "dose-limiting": ("a related event of grade 3, two days after infusion 2", "ADAE: DLTFL; dose-modification signal"),
    "ventilated": (
        "ventilation for respiratory failure, six days after infusion 4; the failure itself is of grade 4 and not related",
        "suspension signal",
    ),
    "severe-toxicity": (
        "a related event of grade 4, three days after infusion 4; dexamethasone three hours after infusion 2",
        "suspension signal; dose-modification signal; ADAE: DLTFL; infusion reaction",
    ),
    "death-after-infusion": ("death fourteen days after infusion 4", "suspension signal"),
}
SUSPENSION, MODIFICATION = "SUSPENSION", "DOSE MODIFICATION"
REACTION, UNRESOLVED = "INFUSION REACTION", "UNRESOLVED EVENT"
RELATED = ("Possible", "Probably-Likely", "Certain")
_SITE = timedelta(hours=8)
_COUNTS = (("751-8", "770-8"), ("718-7", "59260-0"), ("777-3",))  # neutrophils, haemoglobin, platelets


def safety_answers(people: Sequence[Person], entries: Sequence[Entry], seed: int) -> dict[str, Any]:
    """Return the answers about randomised subjects under the names that KNOWN_ANSWERS explains. entries: the whole plan."""
    mine: dict[str, list[Entry]] = {p.subjid: [] for p in people}
    for e in entries:
        if e.person and e.person.subjid in mine and e.first and e.first <= e.person.cut:
            mine[e.person.subjid].append(e)
    found = [(p, mine[p.subjid]) for p in people]
    signals = [s for p, own in found for s in _signals(p, own, seed)]
    limits = [
        [p.subjid, e.day.isoformat(), str(e.grade)]
        for p in people
        if p.arm == "MSC"
        for e in story(p, seed).events
        if e.grade >= 3 and e.related in RELATED and e.day <= p.cut
    ]
    return {
        "safety": {t: p.subjid for p in people for t in p.traits if t in PLANTED},
        "deviations": sorted(d for p, own in found for d in _deviations(p, own)),
        "days_without_counts": {p.subjid: _uncounted(p, own) for p, own in found},
        "dose_limiting": sorted(limits),
        "signals": sorted(signals),
    }


def _deviations(p: Person, entries: Sequence[Entry]) -> Iterator[list[str]]:
    """Yield subject code, DVTERM and day of what is planted."""
    given = sorted((e for e in entries if e.kind == "infusion" and e.first), key=_first)
    if p.start is None:
        return
    if set(p.traits) & {"stopped-infusion", "overdose", "under-dose"}:
        dose = _rounded(_per_kg(given[1], entries, 10**6))
        yield [p.subjid, f"UC-MSC dose {dose} outside 0.9 to 1.1 10^6/kg", _first(given[1]).isoformat()]
    if "late-infusion" in p.traits:
        day = (_first(given[2]) - p.start).days + 1
        yield [p.subjid, f"UC-MSC infusion 3 on study day {day}, planned day 15", _first(given[2]).isoformat()]
    if "g-csf-dose" in p.traits:
        wrong = p.start + days(3)
        one = next(e for e in entries if e.kind == "treatment" and e.first == wrong and _unit(e) in ("ug", "ug/kg"))
        dose = _rounded(_per_kg(one, entries, 1))
        yield [p.subjid, f"G-CSF dose {dose} outside 5 to 10 ug/kg/day", wrong.isoformat()]
    if "tpo-ra-step" in p.traits:
        why = "TPO-RA not stepped as the platelet count asks: begun with 2, not 1, study day 8"
        yield [p.subjid, why, (p.start + days(7)).isoformat()]


def _signals(p: Person, entries: Sequence[Entry], seed: int) -> Iterator[list[str]]:
    """Yield kind, subject code, dataset, day, number of the infusion before it, `?` where it is open.

    Infusion reactions and unresolved events are those of the hospital's resources, the rest those of the story.
    """
    given = sorted((e for e in entries if e.kind == "infusion" and e.first), key=_first)

    def signal(kind: str, dataset: str, day: date, after: int | None = None, sure: bool = True) -> list[str]:
        return [kind, p.subjid, dataset, day.isoformat(), str(after or ""), "" if sure else "?"]

    def before(day: date) -> int:
        return sum(_first(e) <= day for e in given)

    told = story(p, seed)
    if p.death and given and p.death <= p.cut and (p.death - _first(given[-1])).days <= 14:
        yield signal(SUSPENSION, "DM", p.death, len(given))
    if told.ventilation and given:
        yield signal(SUSPENSION, "PR", told.ventilation[0], before(told.ventilation[0]))
    for event in told.events if p.arm == "MSC" else ():
        if event.related in RELATED and event.grade >= 3 and event.day <= p.cut:
            yield signal(MODIFICATION, "AE", event.day, before(event.day))
            last = _first(given[before(event.day) - 1])
            if event.grade >= 4 and (event.day - last).days <= 14:
                yield signal(SUSPENSION, "AE", event.day, before(event.day))
    for e in entries:
        r = e.resource
        reaction = r["resourceType"] == "AdverseEvent" or (_is_dexamethasone(r) and e.kind == "fact")
        if reaction:
            at = _instant(str(r.get("date") or r.get("effectiveDateTime")))
            for n, one in enumerate(given, 1):
                span = one.resource["effectivePeriod"]
                if _instant(span["start"]) <= at <= _instant(span["end"]) + timedelta(hours=24):
                    yield signal(REACTION, "AE" if r["resourceType"] == "AdverseEvent" else "CM", _first(e), n)
        if r["resourceType"] == "AdverseEvent":
            outcome = r.get("outcome", {}).get("coding", [{}])[0].get("code", "")
            if outcome in ("", "ongoing"):
                yield signal(UNRESOLVED, "AE", _first(e), sure=bool(outcome))


def _uncounted(p: Person, entries: Sequence[Entry]) -> list[str]:
    """Return the days of the eight weeks from the reference date on that lack one of the three counts, in life and care."""
    known = {code: {_first(e) for e in entries if e.kind == "observation" and _loinc(e.resource) == code}
             for codes in _COUNTS for code in codes}  # fmt: skip
    last = min(max(e.last or _first(e) for e in entries if e.kind != "none"), p.cut, p.origin + days(55))
    if p.death:
        last = min(last, p.death - days(1))
    span = [p.origin + days(n) for n in range((last - p.origin).days + 1)]
    return [d.isoformat() for d in span if not all(any(d in known[c] for c in codes) for codes in _COUNTS)]


def _per_kg(e: Entry, entries: Sequence[Entry], unit: int) -> Fraction:
    """Return a dose per kg, in 10^6 cells or in μg: as it was written, or by the weight nearest before."""
    amount = Fraction(text_of(e.resource["dosage"]["dose"]["value"]))
    if _unit(e).endswith("/kg"):
        return amount
    weights = sorted((o for o in entries if o.kind == "observation" and _loinc(o.resource) == "29463-7"), key=_first)
    weight = [o for o in weights if _first(o) <= _first(e)][-1].resource["valueQuantity"]["value"]
    return amount / (unit if _unit(e) == "{cells}" else 1) / Fraction(text_of(weight))


def _rounded(number: Fraction) -> str:
    exact = Decimal(number.numerator) / Decimal(number.denominator)
    return str(exact.quantize(Decimal("0.01"), ROUND_HALF_UP)).rstrip("0").rstrip(".")


def _unit(e: Entry) -> str:
    return str(e.resource.get("dosage", {}).get("dose", {}).get("code", ""))


def _loinc(r: Resource) -> str:
    return str(r["code"]["coding"][0]["code"])


def _is_dexamethasone(r: Resource) -> bool:
    return "H02AB02" in str(r.get("medicationCodeableConcept", ""))


def _first(e: Entry) -> date:
    assert e.first is not None
    return e.first


def _instant(text: str) -> datetime:
    """Return a moment of the hospital in site time, from any of its spellings."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=None) + (_SITE if text.endswith("Z") else timedelta())

"""Observations of one person: blood counts, chemistry, coagulation, viral load, weight, height and Karnofsky.

Each person belongs to one of seven laboratory habits (units, spelling of instants, neutrophils absolute or in percent,
Chinese or English names, specimens), because a real cohort comes from several analysers and interfaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.course import Blood
from mappings.trials.pgf_msc.demo.entry import Entry
from mappings.trials.pgf_msc.demo.fhir import Resource
from mappings.trials.pgf_msc.demo.people import Person, days, draw, noise, stream

BLOOD = ("119297000", "Blood specimen")
SERUM = ("119364003", "Serum specimen")
GRAMS_PER_MMOL = 16.114  # haemoglobin, Fe monomer, protocol A-05


@dataclass(frozen=True, slots=True)
class Habit:
    """How a laboratory writes: count unit (text, UCUM code, per 10*9/L, decimals), haemoglobin, language, zone."""

    unit: str
    code: str | None
    zone: str = "offset"
    percent: bool = False
    haemoglobin: str = "g/L"
    chinese: bool = False
    specimens: bool = False
    conventional: bool = False  # mg/dL
    caps: bool = False  # reports very low counts as `<`


HABITS = (
    Habit("10*9/L", "10*9/L", specimens=True, caps=True),
    Habit("x10^9/L", None, zone="utc", percent=True, specimens=True, chinese=True),
    Habit("10*3/uL", "10*3/uL", haemoglobin="g/dL", conventional=True),
    Habit("K/uL", None, zone="none", haemoglobin="g/dL", conventional=True),
    Habit("10^9/L", None, chinese=True),
    Habit("×10⁹/L", None, zone="utc", chinese=True, percent=True),
    Habit("10*9/L", "10*9/L", chinese=True, caps=True),
)
_NAMES = {  # LOINC: English, Chinese, the hospital's own code
    "6690-2": ("Leukocytes [#/volume] in Blood by Automated count", "白细胞计数", "WBC"),
    "751-8": ("Neutrophils [#/volume] in Blood by Automated count", "中性粒细胞绝对值", "NEUT#"),
    "770-8": ("Neutrophils/100 leukocytes in Blood by Automated count", "中性粒细胞百分比", "NEUT%"),
    "718-7": ("Hemoglobin [Mass/volume] in Blood", "血红蛋白", "HGB"),
    "59260-0": ("Hemoglobin [Moles/volume] in Blood", "血红蛋白（摩尔浓度）", "HGB-M"),
    "777-3": ("Platelets [#/volume] in Blood by Automated count", "血小板计数", "PLT"),
    "1742-6": ("Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "丙氨酸氨基转移酶", "ALT"),
    "1920-8": (
        "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma",
        "天冬氨酸氨基转移酶",
        "AST",
    ),
    "2160-0": ("Creatinine [Mass/volume] in Serum or Plasma", "肌酐", "CREA"),
    "1975-2": ("Bilirubin.total [Mass/volume] in Serum or Plasma", "总胆红素", "TBIL"),
    "1988-5": ("C reactive protein [Mass/volume] in Serum or Plasma", "C反应蛋白", "CRP"),
    "5902-2": ("Prothrombin time (PT)", "凝血酶原时间", "PT"),
    "14979-9": ("aPTT in Platelet poor plasma by Coagulation assay", "活化部分凝血活酶时间", "APTT"),
    "3255-7": ("Fibrinogen [Mass/volume] in Platelet poor plasma by Coagulation assay", "纤维蛋白原", "FIB"),
    "30247-1": (
        "Cytomegalovirus DNA [#/volume] (viral load) in Specimen by NAA with probe detection",
        "巨细胞病毒DNA",
        "CMV",
    ),
}
_VITALS = {
    "29463-7": ("Body weight", "kg", "kg"),
    "8302-2": ("Body height", "cm", "cm"),
    "89243-0": ("Karnofsky Performance Status score", "{score}", "{score}"),
}


def habit_of(person: Person) -> Habit:
    return HABITS[person.index % len(HABITS)]


def record_of(person: Person, day: date) -> str:
    """Return the Patient a fact of that day hangs on: the replaced record up to a week after transplant."""
    early = person.old_pid and person.hsct and day <= person.hsct + days(7)
    return f"Patient/{person.old_pid if early else person.pid}"


class Laboratory:
    """Writes one person's Observations; numbers them in the order they are made."""

    def __init__(self, person: Person, seed: int) -> None:
        self.person = person
        self.habit = habit_of(person)
        self.rng = stream(seed, person.index, "laboratory")
        self.serial = 0

    def result(self, loinc: str, at: datetime, value: Resource, text: str, low: str, high: str, **more: Any) -> Entry:
        """Return one laboratory result; `low`, `high` are the reference range in the unit of the value ("" if none)."""
        english, chinese, local = _NAMES[loinc]
        names = [fhir.coding(fhir.LOINC, loinc, None if self.habit.chinese else english)]
        if self.habit.chinese:
            names.append(fhir.coding(fhir.LOCAL_LAB, local, chinese))
        known = at + timedelta(hours=2, minutes=15)
        if low or high:
            like = value.get("valueQuantity", {})
            unit = {k: like[k] for k in ("unit", "system", "code") if k in like}
            limits = {"low": low, "high": high}
            more["referenceRange"] = [{k: {"value": fhir.number(v), **unit} for k, v in limits.items() if v}]
            x = float(text)
            flag = "L" if low and x < float(low) else "H" if high and x > float(high) else "N"
            more["interpretation"] = fhir.interpretation(flag)
        if self.habit.chinese or self.serial % 2 == 0:
            more["performer"] = [fhir.reference(fhir.LABORATORY)]
        return self._add(fhir.concept(names, chinese if self.habit.chinese else None), at, value, known, more)

    def _add(self, code: Resource, at: datetime, value: Resource, known: datetime, more: dict[str, Any]) -> Entry:
        self.serial += 1
        oid = f"obs-{self.person.index:04d}-{self.serial:05d}"
        subject = record_of(self.person, at.date())
        when = fhir.stamp(at, self.habit.zone)
        resource = fhir.observation(oid, subject, code, when, value, known, **more)
        return Entry(resource, self.person, at.date(), at.date(), "observation")

    def draw_tube(self, at: datetime, kind: tuple[str, str]) -> tuple[list[Entry], dict[str, Any]]:
        """Return the Specimen (in habits that have them) and the elements that point to it."""
        if not self.habit.specimens:
            return [], {}
        sid = f"spec-{self.person.index:04d}-{self.serial:05d}"
        known = at + timedelta(minutes=20)
        tube = fhir.specimen(sid, record_of(self.person, at.date()), kind, fhir.stamp(at, self.habit.zone), known)
        return [Entry(tube, self.person)], {"specimen": fhir.reference(f"Specimen/{sid}")}

    def count(
        self, loinc: str, at: datetime, x: float, limits: tuple[float, float], places: int, more: Resource
    ) -> Entry:
        """Return a cell count in the habit's unit; below the cap of the analyser as a comparator."""
        unit, code, scale = self.habit.unit, self.habit.code, 1
        if self.habit.unit == "K/uL" and loinc == "751-8":
            unit, code, scale = "/uL", "/uL", 1000
        text = f"{x:.{places}f}"
        cap = {"751-8": "0.10", "777-3": "5"}.get(loinc)
        comparator = None
        if self.habit.caps and cap and float(text) < float(cap):
            text, comparator = cap, "<"
        if scale == 1000:
            text = str(int(float(text) * 1000 + 0.5))
        low, high = (f"{v * scale:.0f}" if scale > 1 or not places else f"{v:.{places}f}" for v in limits)
        return self.result(
            loinc, at, {"valueQuantity": fhir.quantity(text, unit, code, comparator)}, text, low, high, **more
        )

    def blood_count(self, at: datetime, counts: tuple[float, float, float, float]) -> Iterator[Entry]:
        """Yield WBC, neutrophils, haemoglobin and platelets of one tube."""
        wbc, anc, hgb, plt = counts
        tubes, more = self.draw_tube(at, BLOOD)
        yield from tubes
        yield self.count("6690-2", at, wbc, (3.5, 9.5), 2, dict(more))
        if self.habit.percent:
            text = f"{100 * anc / wbc:.1f}"
            yield self.result(
                "770-8", at, {"valueQuantity": fhir.quantity(text, "%", "%")}, text, "40.0", "75.0", **more
            )
        else:
            yield self.count("751-8", at, anc, (1.8, 6.3), 2, dict(more))
        yield self._haemoglobin(at, hgb, more)
        yield self.count("777-3", at, plt, (125, 350), 0, dict(more))

    def _haemoglobin(self, at: datetime, hgb: float, more: dict[str, Any]) -> Entry:
        male = self.person.gender == "male"
        low, high = (130.0, 175.0) if male else (115.0, 150.0)
        loinc, unit, divisor, places = "718-7", "g/L", 1.0, 0
        if self.habit.haemoglobin == "g/dL":
            unit, divisor, places = "g/dL", 10.0, 1
        if moles(self.person):
            loinc, unit, divisor, places = "59260-0", "mmol/L", GRAMS_PER_MMOL, 2
        text, floor, roof = (f"{v / divisor:.{places}f}" for v in (hgb, low, high))
        return self.result(loinc, at, {"valueQuantity": fhir.quantity(text, unit, unit)}, text, floor, roof, **more)

    def quantity(
        self, loinc: str, at: datetime, text: str, unit: str, low: str, high: str, more: dict[str, Any]
    ) -> Entry:
        value = {"valueQuantity": fhir.quantity(text, unit, unit)}
        return self.result(loinc, at, value, text, low, high, **more)

    def chemistry(self, at: datetime) -> Iterator[Entry]:
        """Yield ALT, AST, creatinine, bilirubin, CRP and CMV DNA (the last two often below their limit)."""
        rng = self.rng
        tubes, more = self.draw_tube(at, SERUM)
        yield from tubes
        strain = 2.5 if rng.random() < 0.08 else 1.0
        yield self.quantity("1742-6", at, f"{strain * (32 + 7 * noise(rng)) + 8:.0f}", "U/L", "9", "50", more)
        yield self.quantity("1920-8", at, f"{strain * (26 + 6 * noise(rng)) + 6:.0f}", "U/L", "15", "40", more)
        creatinine, bilirubin = 68 + 11 * noise(rng), strain * (11 + 2.6 * noise(rng))
        if self.habit.conventional:
            yield self.quantity("2160-0", at, f"{creatinine / 88.42:.2f}", "mg/dL", "0.64", "1.26", more)
            yield self.quantity("1975-2", at, f"{bilirubin / 17.1:.2f}", "mg/dL", "", "1.52", more)
        else:
            yield self.quantity("2160-0", at, f"{creatinine:.1f}", "umol/L", "57.0", "111.0", more)
            yield self.quantity("1975-2", at, f"{bilirubin:.1f}", "umol/L", "", "26.0", more)
        yield self._limited("1988-5", at, "mg/L", "0.5", f"{0.6 + 14 * rng.random():.1f}", rng, more)
        yield self._limited("30247-1", at, "{copies}/mL", "500", f"{600 + draw(rng, 9000)}", rng, {})

    def _limited(
        self, loinc: str, at: datetime, unit: str, limit: str, text: str, rng: Random, more: dict[str, Any]
    ) -> Entry:
        """Return a result that is often below its limit, then as Quantity.comparator or as text such as `<0.5`."""
        way = draw(rng, 5)
        if way < 2:
            value: Resource = {"valueQuantity": fhir.quantity(limit, unit, unit, "<")}
        elif way == 2:
            shown = unit.strip("{").replace("}", "")
            # on the first of a month the analyser's interface is restarted and forgets the unit
            forgotten = loinc == "1988-5" and at.day == 1
            value = {"valueString": f"<{limit}" if forgotten else f"<{limit} {shown}"}
        else:
            value = {"valueQuantity": fhir.quantity(text, unit, unit)}
        return self.result(loinc, at, value, text, "", "", **more)

    def coagulation(self, at: datetime) -> Iterator[Entry]:
        rng = self.rng
        yield self.quantity("5902-2", at, f"{12.1 + 0.8 * noise(rng):.1f}", "s", "9.4", "12.5", {})
        yield self.quantity("14979-9", at, f"{31 + 3 * noise(rng):.1f}", "s", "25.1", "36.5", {})
        yield self.quantity("3255-7", at, f"{2.9 + 0.4 * noise(rng):.2f}", "g/L", "2.00", "4.00", {})

    def vital(self, loinc: str, at: datetime, text: str) -> Entry:
        display, unit, code = _VITALS[loinc]
        category = "vital-signs" if unit != "{score}" else "survey"
        names = fhir.concept([fhir.coding(fhir.LOINC, loinc, display)])
        value: Resource = {"valueQuantity": fhir.quantity(text, unit, code)}
        if unit == "{score}":
            value = {"valueInteger": fhir.number(text)}
        return self._add(names, at, value, at + timedelta(minutes=10), {"category": category})


def moles(person: Person) -> bool:
    """True for the one randomised person whose laboratory reports haemoglobin in mmol/L."""
    return person.index == 4


def weight_on(person: Person, day: date) -> str:
    """Return the body weight of a day in kg, one decimal: a slow loss after transplant."""
    since = max(0, (day - person.hsct).days) if person.hsct else 0
    return f"{person.weight * (1 - min(since, 90) / 1500):.1f}"


def count_days(person: Person, known: Blood, rng: Random) -> list[date]:
    """Return the days with a blood count: twice a week, daily from PGF to study day 59, weekly, then every 4 weeks."""
    hsct = person.hsct or person.last - days(60)
    out = []
    for day in known.values:
        after = (day - hsct).days
        if person.pgf and day >= person.pgf and (day - person.origin).days <= 58:
            wanted = rng.random() >= 0.012  # a forgotten morning now and then
        elif person.pgf and day > person.pgf:
            wanted = after % (7 if after < 120 else 28) == 0
        else:
            wanted = after == -8 or (after > 0 and after % 7 in (0, 3))
        if wanted:
            out.append(day)
    return out


def observations(person: Person, known: Blood, seed: int) -> Iterator[Entry]:
    """Yield all Observations (and Specimens) of one person, in order of time within each panel."""
    lab = Laboratory(person, seed)
    rng = stream(seed, person.index, "visits")
    if person.hsct is None:  # an outpatient: three counts
        for back in (40, 20, 0):
            yield from lab.blood_count(fhir.moment(person.last - days(back), 9), (5.6, 3.2, 128.0, 210.0))
        return
    for n, day in enumerate(count_days(person, known, rng)):
        at = fhir.moment(day, 6, 10 + draw(rng, 45))
        counts = known.values[day]
        yield from lab.blood_count(at, counts)
        if rng.random() < 0.03 and person.pgf and day >= person.pgf:  # once more in the afternoon
            wbc, anc, hgb, plt = counts
            yield from lab.blood_count(
                fhir.moment(day, 16, draw(rng, 50)), (wbc * 1.04, anc * 1.03, hgb * 1.01, plt + 1)
            )
        after = (day - person.hsct).days
        if (person.pgf and n % 7 == 3) or after % 28 == 0:
            yield from lab.chemistry(at)
            yield lab.vital("29463-7", fhir.moment(day, 8), weight_on(person, day))
        if person.pgf and n % 14 == 3:
            yield from lab.coagulation(at)
    yield lab.vital("8302-2", fhir.moment(person.hsct - days(8), 9), str(person.height))
    if person.screening and person.screening <= person.last:
        score = 60 if person.failure == 2 else 70 + 10 * draw(rng, 3)
        yield lab.vital("89243-0", fhir.moment(person.screening, 10), str(score))

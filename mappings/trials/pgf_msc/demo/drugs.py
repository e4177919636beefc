"""What a person was given: conditioning, graft, UC-MSC, conventional treatment, transfusions, prophylaxis.

The first conventional treatment of a CTRL subject falls exactly on `person.start` (protocol §2, A-03), in four ways
by index: G-CSF, platelets, rhTPO or TPO-RA; nothing that counts is given between the day before randomisation and it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.course import Blood
from mappings.trials.pgf_msc.demo.entry import Entry
from mappings.trials.pgf_msc.demo.fhir import ATC, SNOMED, Resource, coding, concept, number, quantity
from mappings.trials.pgf_msc.demo.labs import habit_of, record_of, weight_on
from mappings.trials.pgf_msc.demo.people import Person, days, draw, stream
from mappings.trials.pgf_msc.demo.products import product_of

IV, SC, ORAL = ("47625008", "Intravenous route"), ("34206005", "Subcutaneous route"), ("26643006", "Oral route")
DAY_OF_CONDITIONING = {  # donor type: (drug, days from transplant, doses a day), protocol §6.3.1
    "haploidentical": (
        ("MECCNU", (-10,), 1),
        ("ARAC", (-9, -8), 1),
        ("BU", (-7, -6), 4),
        ("CYM2", (-5, -4), 1),
        ("ATG", (-5, -4, -3, -2), 1),
    ),
    "matched sibling": (("BU", (-7, -6, -5, -4), 4), ("CYKG", (-3, -2), 1)),
    "matched unrelated": (("BU", (-7, -6, -5, -4), 4), ("CYKG", (-3, -2), 1), ("ATG", (-4, -3, -2, -1), 1)),
}
_DRUGS = {  # drug: (ATC or None, English, Chinese, dose, unit, route)
    "MECCNU": ("L01AD03", "Semustine", "司莫司汀胶囊", "250", "mg/m2", ORAL),
    "ARAC": ("L01BC01", "Cytarabine", "注射用阿糖胞苷", "4", "g/m2", IV),
    "BU": ("L01AB01", "Busulfan", "白消安注射液", "0.8", "mg/kg", IV),
    "CYM2": ("L01AA01", "Cyclophosphamide", "注射用环磷酰胺", "1.8", "g/m2", IV),
    "CYKG": ("L01AA01", "Cyclophosphamide", "注射用环磷酰胺", "60", "mg/kg", IV),
    "ATG": ("L04AA04", "Antithymocyte immunoglobulin (rabbit)", "兔抗人胸腺细胞免疫球蛋白", "2.5", "mg/kg", IV),
    "GCSF": ("L03AA02", "Filgrastim", "重组人粒细胞刺激因子注射液", "5", "ug/kg", SC),
    "RHTPO": (None, "Recombinant human thrombopoietin", "重组人血小板生成素注射液", "300", "[iU]/kg", SC),
    "EPAG": ("B02BX05", "Eltrombopag", "艾曲泊帕乙醇胺片", "1", "{tbl}", ORAL),
    "AVA": ("B02BX08", "Avatrombopag", "马来酸阿伐曲泊帕片", "1", "{tbl}", ORAL),
    "HPAG": (None, "Hetrombopag", "海曲泊帕乙醇胺片", "1", "{tbl}", ORAL),
    "CSA": ("L04AD01", "Ciclosporin", "环孢素软胶囊", "100", "mg", ORAL),
    "TAC": ("L04AD02", "Tacrolimus", "他克莫司胶囊", "1", "mg", ORAL),
    "ACV": ("J05AB01", "Aciclovir", "阿昔洛韦片", "400", "mg", ORAL),
    "GCV": ("J05AB06", "Ganciclovir", "注射用更昔洛韦", "250", "mg", IV),
    "DEX": ("H02AB02", "Dexamethasone", "地塞米松磷酸钠注射液", "5", "mg", IV),
}
LOW = 49.5  # platelets below it are written as less than 50
_BAGS = {  # kind: (ATC, SNOMED codes of the procedure, Chinese text, volume mL, units)
    "platelets": ("B05AX02", ("12719002",), "输注单采血小板", "250", "1"),
    "red-cells": ("B05AX01", ("116863004", "71493000"), "输注悬浮红细胞", "400", "2"),
}


class Ward:
    """Writes one person's administrations and procedures; numbers them in the order they are made."""

    def __init__(self, person: Person, seed: int) -> None:
        self.person = person
        self.zone = habit_of(person).zone
        self.rng = stream(seed, person.index, "ward")
        self.serial = 0

    def _id(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}-{self.person.index:04d}-{self.serial:04d}"

    def drug(self, name: str) -> Resource:
        """Return the drug as this hospital writes it: ATC and English, ATC and Chinese, or Chinese text only."""
        atc, english, chinese, *_ = _DRUGS[name]
        way = self.person.index % 3
        if atc is None or (name == "EPAG" and way == 0):
            codes = [coding(fhir.FORMULARY, name, chinese)] if way == 1 else []
            return {"medicationCodeableConcept": concept(codes, chinese)}
        text = english if way == 2 else chinese
        return {"medicationCodeableConcept": concept([coding(ATC, atc, english)], text)}

    def give(self, name: str, at: datetime, kind: str = "fact", dose: str | None = None) -> Entry:
        """Return one dose at an instant; the daily total instead of a dose per kg for every fourth person."""
        _, _, _, usual, unit, route = _DRUGS[name]
        text = dose or usual
        if kind == "treatment" and unit.endswith("/kg") and self.person.index % 4 == 2:
            text, unit = f"{float(text) * float(weight_on(self.person, at.date())):.0f}", unit.removesuffix("/kg")
        effective = {"effectiveDateTime": fhir.stamp(at, self.zone)}
        return self._administration(self.drug(name), effective, at, at, kind, dose=_ucum(text, unit), route=route)

    def course(self, name: str, first: date, last: date, kind: str = "fact", dose: str | None = None) -> Entry:
        """Return a course of whole days (date-only Period; its end includes its day)."""
        _, _, _, usual, unit, route = _DRUGS[name]
        effective = {"effectivePeriod": {"start": first.isoformat(), "end": last.isoformat()}}
        begin, end = fhir.moment(first, 0), fhir.moment(last, 20)
        return self._administration(
            self.drug(name), effective, begin, end, kind, dose=_ucum(dose or usual, unit), route=route
        )

    def period(self, start: datetime, end: datetime) -> Resource:
        return {"effectivePeriod": {"start": fhir.stamp(start, self.zone), "end": fhir.stamp(end, self.zone)}}

    def _administration(
        self, medication: Resource, effective: Resource, start: datetime, end: datetime, kind: str, **more: Any
    ) -> Entry:
        subject = record_of(self.person, start.date())
        known = end + timedelta(hours=1)
        resource = fhir.administration(self._id("ma"), subject, medication, effective, known, **more)
        return Entry(resource, self.person, start.date(), end.date(), kind)

    def transfusion(self, kind: str, day: date) -> Entry:
        """Return one blood product, as Procedure or MedicationAdministration; every sixth bag runs over midnight."""
        atc, snomed, text, volume, units = _BAGS[kind]
        start = fhir.moment(day, 23, 30) if self.serial % 6 == 5 else fhir.moment(day, 14, draw(self.rng, 60))
        end = start + timedelta(minutes=70)
        if self.person.index % 2 == 0:
            subject = record_of(self.person, day)
            code = concept([coding(SNOMED, snomed[self.serial % len(snomed)])], text)
            performed = {"performedPeriod": self.period(start, end)["effectivePeriod"]}
            known = end + timedelta(hours=1)
            resource = fhir.procedure(
                self._id("proc"), subject, code, performed, known, note=[{"text": f"{text} {units} U"}]
            )
            return Entry(resource, self.person, start.date(), end.date(), kind)
        medication = {"medicationCodeableConcept": concept([coding(ATC, atc)], text)}
        dose = quantity(volume, "mL", "mL") if self.serial % 2 else quantity(units, "U", None)
        return self._administration(medication, self.period(start, end), start, end, kind, dose=dose, route=IV)

    def graft(self, day: date, boost: bool = False) -> Entry:
        code = ("234336002", "Hemopoietic stem cell transplant") if self.person.index % 2 else ("23719005", "骨髓移植")
        start = fhir.moment(day, 10 if boost else 15)
        performed = {"performedPeriod": self.period(start, start + timedelta(hours=2))["effectivePeriod"]}
        known = start + timedelta(hours=5)
        subject = record_of(self.person, day)
        resource = fhir.procedure(self._id("proc"), subject, concept([coding(SNOMED, *code)]), performed, known)
        return Entry(resource, self.person, day, day, "fact")

    def infusion(self, day: date, kind: str, status: str, share: str, **more: Any) -> Entry:
        """Return one UC-MSC infusion; `share` is the dose in 10*6/kg ("" for none), written in one of three ways."""
        start = fhir.moment(day, 10, draw(self.rng, 50))
        end = start + timedelta(minutes=12 if status == "stopped" else 35 + draw(self.rng, 11))
        dose = None
        if share and self.person.index % 3 == 0:
            total = f"{float(share) * float(weight_on(self.person, day)):.1f}"
            dose = quantity(total, "10*6", "10*6")
        elif share and self.person.index % 3 == 1 and self.person.index % 2:
            total = f"{int(float(share) * float(weight_on(self.person, day)) * 10 + 0.5)}00000"
            dose = quantity(total, "cells", "{cells}")
        elif share:
            dose = quantity(share, "10*6/kg", "10*6/kg")
        if dose:
            more = {"dose": dose, "route": IV, **more}
        medication = product_of(self.person, day)
        return self._administration(medication, self.period(start, end), start, end, kind, status=status, **more)


def _ucum(text: str, unit: str) -> Resource:
    shown = {"{tbl}": "片", "[iU]/kg": "U/kg", "[iU]": "U", "ug/kg": "μg/kg"}.get(unit, unit)
    return {"value": number(text), "unit": shown, "system": fhir.UCUM, "code": unit}


def infusions(ward: Ward) -> Iterator[Entry]:
    """Yield the UC-MSC records of a MSC subject: weekly, four times, and what went otherwise."""
    person = ward.person
    if person.arm != "MSC" or person.start is None:
        return
    for n in range(4):
        day = person.start + days(7 * n + (4 if n == 2 and "late-infusion" in person.traits else 0))
        if day > person.last - days(1) or (person.withdrawal and day > person.withdrawal):
            refused = "withdrew-treatment" in person.traits and n == 2
            if not refused:
                continue
        share = f"{(1.15 if n == 1 and 'overdose' in person.traits else 0.97 + draw(ward.rng, 7) / 100):.2f}"
        share = "0.80" if n == 1 and "under-dose" in person.traits else share
        if "withdrew-treatment" in person.traits and n >= 2:
            if n == 2:
                yield ward.infusion(day, "none", "not-done", "", statusReason=[concept(text="受试者拒绝")])
            continue
        if "not-done" in person.traits and n == 2:
            yield ward.infusion(day, "none", "not-done", "", statusReason=[concept(text="发热，暂停输注")])
        elif "stopped-infusion" in person.traits and n == 1:
            reason = [concept(text="输注反应")]
            yield ward.infusion(day, "infusion", "stopped", "0.40", statusReason=reason)
        else:
            if person.index % 4 == 1:
                yield ward.give("DEX", fhir.moment(day, 9, 15))
            yield ward.infusion(day, "infusion", "completed", share)
            if "severe-toxicity" in person.traits and n == 1:
                yield ward.give("DEX", fhir.moment(day, 13, 40))  # what the infusion did; not what is given before it
    if "infusion-in-error" in person.traits:
        yield ward.infusion(person.start + days(3), "none", "entered-in-error", "1.00")


def treatments(person: Person, known: Blood, seed: int) -> Iterator[Entry]:
    """Yield everything a person was given, one kind after another."""
    ward = Ward(person, seed)
    if person.hsct is None or "no-data" in person.traits:
        return
    hsct, last = person.hsct, person.last
    for name, offsets, times in DAY_OF_CONDITIONING[person.donor]:
        for offset in offsets:
            for n in range(times):
                yield ward.give(name, fhir.moment(hsct + days(offset), 2 + 6 * n if times > 1 else 9))
    yield ward.graft(hsct)
    if person.index % 5 == 2:
        yield ward.graft(hsct + days(1), boost=True)  # a second bag of the same transplant
    yield from infusions(ward)
    for day in known.platelets:
        yield ward.transfusion("platelets", day)
    for day in known.red_cells:
        yield ward.transfusion("red-cells", day)
    yield from _conventional(ward, ward.rng, known)
    suppressant = "CSA" if person.index % 2 else "TAC"
    for week in range(-1, 90, 14):
        first = hsct + days(week)
        if first + days(13) <= last:
            yield ward.course(suppressant, first, first + days(13))
    if hsct + days(27) <= last:
        yield ward.course("ACV", hsct + days(1), hsct + days(27))
    if person.index % 6 == 1 and person.origin + days(20) <= last:
        yield ward.course("GCV", person.origin + days(8), person.origin + days(20))


def _conventional(ward: Ward, rng: Random, known: Blood) -> Iterator[Entry]:
    """Yield G-CSF, rhTPO and TPO-RA: some before randomisation, then from the first treatment day on."""
    person = ward.person
    kinds = {0: "GCSF", 1: "bag", 2: "RHTPO", 3: "TPO-RA"}
    lead = kinds[person.index % 4] if person.arm == "CTRL" else "GCSF"
    if person.pgf:
        stop = person.randomisation - days(2) if person.randomisation else person.last - days(1)
        for n in range(4):
            if person.pgf + days(n) <= min(stop, person.last - days(1)):
                yield ward.give("GCSF", fhir.moment(person.pgf + days(n), 7, 20), "treatment", "6")
    if person.start is None:
        return
    under_way = "course-under-way" in person.traits
    begins = {
        "GCSF": person.start + days(0 if lead == "GCSF" and not under_way else 1),
        "RHTPO": person.start + days(0 if lead == "RHTPO" and not under_way else 2),
        "TPO-RA": person.start + days(0 if lead == "TPO-RA" else 7),
    }
    for n in range(8 + draw(rng, 7)):
        if begins["GCSF"] + days(n) < person.last:
            dose = "8" if n > 7 else "6" if person.index % 4 == 2 else None  # 6: a rounded total stays above 5
            dose = "15" if n == 3 and "g-csf-dose" in person.traits else dose
            yield ward.give("GCSF", fhir.moment(begins["GCSF"] + days(n), 7, 20), "treatment", dose)
    for n in range(14):
        if begins["RHTPO"] + days(n) < person.last and (lead == "RHTPO" or person.index % 3):
            yield ward.give("RHTPO", fhir.moment(begins["RHTPO"] + days(n), 7, 30), "treatment")
    if under_way:
        yield ward.course("EPAG", person.start - days(4), person.start + days(9), "treatment")
    elif lead == "TPO-RA" or person.index % 2 or "tpo-ra-step" in person.traits:
        drug = ("EPAG", "AVA", "HPAG")[person.index % 3]
        tablets = 2 if "tpo-ra-step" in person.traits else 1
        for step in range(3):  # two weeks each; one tablet more after two weeks of low platelets (protocol §5)
            first = begins["TPO-RA"] + days(14 * step)
            if first + days(13) < person.last:
                tablets += step > 0 and all(known.values[first - days(k)][3] < LOW for k in range(1, 15))
                yield ward.course(drug, first, first + days(13), "treatment", str(tablets))

"""What ward and clinic write down: vital signs, performance, GVHD with its organs, relapse, infections, adverse events.

What is written is the plan of module story, which also says what a build must find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.entry import Entry
from mappings.trials.pgf_msc.demo.fhir import ICD10CM, LOINC, SNOMED, Resource, coding, concept, moment, reference
from mappings.trials.pgf_msc.demo.labs import habit_of, record_of
from mappings.trials.pgf_msc.demo.people import EXPORT, Person, draw, noise, stream
from mappings.trials.pgf_msc.demo.products import lot_of
from mappings.trials.pgf_msc.demo.story import ROMAN, Event, Story, story

OBSERVATION = "urn:pgf-msc:observation"
_EVENT = "http://terminology.hl7.org/CodeSystem/adverse-event-"
_CAUSE_OF_DEATH = "69453-9"
_ORGANS = (("AGVHD-SKIN", "皮肤分期"), ("AGVHD-LIVER", "肝脏分期"), ("AGVHD-GUT", "肠道分期"))
_VITALS = {  # LOINC: name, unit, UCUM code
    "8310-5": ("体温", "℃", "Cel"),
    "8867-4": ("心率", "次/分", "/min"),
    "9279-1": ("呼吸", "次/分", "/min"),
    "8480-6": ("收缩压", "mmHg", "mm[Hg]"),
    "8462-4": ("舒张压", "mmHg", "mm[Hg]"),
    "59408-5": ("血氧饱和度", "%", "%"),
}
PRESSURE = "85354-9"


class Clinic:
    """Writes the resources of one person's story; numbers them in the order they are made."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.zone = habit_of(person).zone
        self.serial = 0

    def _id(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}-{self.person.index:04d}-c{self.serial:03d}"

    def assessment(self, at: datetime, code: Resource, value: Resource, category: str, **more: Any) -> Entry:
        """Return an Observation that is no laboratory result."""
        subject, known = record_of(self.person, at.date()), at + timedelta(minutes=20)
        when = fhir.stamp(at, self.zone)
        made = fhir.observation(self._id("obs"), subject, code, when, value, known, category=category, **more)
        return Entry(made, self.person, at.date(), at.date(), "fact")

    def vital(self, loinc: str, at: datetime, text: str) -> Entry:
        name, unit, code = _VITALS[loinc]
        return self.assessment(
            at, _loinc(loinc, name), {"valueQuantity": fhir.quantity(text, unit, code)}, "vital-signs"
        )

    def pressure(self, at: datetime, systolic: int, diastolic: int) -> Entry:
        """Return a blood pressure: one Observation with two components."""
        parts = [
            {"code": _loinc(k, _VITALS[k][0]), "valueQuantity": fhir.quantity(str(v), "mmHg", "mm[Hg]")}
            for k, v in (("8480-6", systolic), ("8462-4", diastolic))
        ]
        return self.assessment(at, _loinc(PRESSURE, "血压"), {}, "vital-signs", component=parts)

    def local(self, code: str, name: str, at: datetime, text: str) -> Entry:
        return self.assessment(at, concept([coding(OBSERVATION, code)], name), {"valueString": text}, "exam")

    def condition(
        self, icd: str, name: str, onset: date, end: date | None = None, evidence: Sequence[Entry] = (), **more: Any
    ) -> Entry:
        """Return a Condition, with the Observations it rests on."""
        subject, known = record_of(self.person, onset), moment(onset, 16)
        made = fhir.condition(
            self._id("cond"),
            subject,
            concept([coding(ICD10CM, icd)], name),
            onset,
            known,
            "resolved" if end else "active",
        )
        made |= {"abatementDateTime": end.isoformat(), "meta": fhir.meta(moment(end, 16), 2)} if end else {}
        made |= {"evidence": [{"detail": [reference(_name(e)) for e in evidence]}]} if evidence else {}
        return Entry(made | more, self.person, onset, end or onset, "fact")

    def adverse_event(self, event: Event) -> Iterator[Entry]:
        """Yield the Condition that resulted, which has grade and end, the event, and the stay in hospital it led to."""
        person, at = self.person, moment(event.day, 17)
        grade = concept(text=f"CTCAE {event.grade}级")
        resulted = self.condition(event.icd, event.name, event.day, event.end, severity=grade)
        yield resulted
        suspect = reference(f"Medication/med-{lot_of(event.day)}") | {"display": "脐带间充质干细胞注射液"}
        if person.arm != "MSC":
            suspect = {"display": "重组人血小板生成素注射液"}
        cause = {
            "assessment": concept(
                [coding("http://terminology.hl7.org/CodeSystem/adverse-event-causality-assess", event.related)]
            )
        }
        grave = concept([coding(_EVENT + "seriousness", event.serious or "Non-serious")])
        resource: Resource = {
            "resourceType": "AdverseEvent",
            "id": self._id("ae"),
            "meta": fhir.meta(at + timedelta(hours=6)),
            "actuality": "actual",
            "event": concept([coding(ICD10CM, event.icd)], event.name),
            "subject": reference(record_of(person, event.day)),
            "date": fhir.stamp(at),
            "recordedDate": fhir.stamp(at + timedelta(hours=5)),
            "resultingCondition": [reference(_name(resulted))],
            "seriousness": grave,
            "severity": concept(
                [coding(_EVENT + "severity", ("mild", "moderate", "severe", "severe")[event.grade - 1])]
            ),
            "outcome": concept([coding(_EVENT + "outcome", event.outcome)]),
            "suspectEntity": [{"instance": suspect, "causality": [cause]}],
        }
        yield Entry(resource, person, event.day, event.end or event.day, "fact")
        if event.because:
            leaves = event.end or person.last
            stay = fhir.encounter(
                self._id("enc"),
                record_of(person, event.day),
                moment(event.day, 20),
                moment(leaves, 9),
                moment(leaves, 13),
            )
            yield Entry(stay | {"reasonReference": [reference(_name(resulted))]}, person, event.day, leaves, "fact")

    def ventilation(self, first: date, last: date) -> Entry:
        """Return a mechanical ventilation for respiratory failure."""
        start, end = moment(first, 21, 10), moment(last, 9, 30)
        performed = {"performedPeriod": {"start": fhir.stamp(start, self.zone), "end": fhir.stamp(end, self.zone)}}
        made = fhir.procedure(
            self._id("proc"),
            record_of(self.person, first),
            concept([coding(SNOMED, "40617009", "Artificial respiration")], "机械通气"),
            performed,
            end + timedelta(hours=1),
            reasonCode=[concept(text="急性呼吸衰竭")],
        )
        return Entry(made, self.person, first, last, "fact")


def _loinc(code: str, name: str) -> Resource:
    return concept([coding(LOINC, code)], name)


def _name(entry: Entry) -> str:
    return f"{entry.resource['resourceType']}/{entry.resource['id']}"


def clinic(person: Person, seed: int) -> Iterator[Entry]:
    """Yield everything of a person's story."""
    told = story(person, seed)
    rng = stream(seed, person.index, "vital signs")
    c = Clinic(person)
    for visit in told.visits:
        at = moment(visit, 7, 30)
        yield c.vital("8310-5", at, f"{36.6 + 0.3 * noise(rng):.1f}")
        yield c.vital("8867-4", at, f"{82 + 9 * noise(rng):.0f}")
        yield c.vital("9279-1", at, f"{17 + noise(rng):.0f}")
        yield c.vital("59408-5", at, f"{97 + draw(rng, 3)}")
        yield c.pressure(at, int(118 + 9 * noise(rng)), int(74 + 6 * noise(rng)))
    for visit, score in told.scores:
        points = {"valueInteger": fhir.number(str(score))}
        yield c.assessment(moment(visit, 9), _loinc("89243-0", "KPS评分"), points, "survey")
    for day in told.remissions:
        yield c.local("DISEASE-STATUS", "疾病状态", moment(day, 11), "完全缓解")
    yield from _gvhd(c, told)
    if told.relapse:
        # the diagnosis itself stands in module events; this is the assessment of that day
        yield c.local("DISEASE-STATUS", "疾病状态", moment(told.relapse, 11), "复发")
    for onset, end, icd, name in told.infections:
        yield c.condition(icd, name, onset, end)
    if told.graft_failure:
        yield c.condition("T86.02", "继发性移植物功能丧失", told.graft_failure)
    for event in told.events:
        yield from c.adverse_event(event)
    if told.ventilation:
        yield c.ventilation(*told.ventilation)
    if told.cause and person.death and person.death <= EXPORT:
        cause = {"valueCodeableConcept": concept(text=told.cause)}
        yield c.assessment(moment(person.death, 12), _loinc(_CAUSE_OF_DEATH, "死亡原因"), cause, "exam")


def _gvhd(c: Clinic, told: Story) -> Iterator[Entry]:
    """Yield the episodes: of an acute one the organs and the overall grade as Observations that the Condition names."""
    if told.acute:
        onset, stages = told.acute
        at = moment(onset, 10)
        seen = [c.local(code, name, at, str(n)) for (code, name), n in zip(_ORGANS, stages, strict=False)]
        seen.append(c.local("AGVHD-GRADE", "急性GVHD总体分度", at, f"{ROMAN[stages[3]]}度"))
        yield from seen
        yield c.condition("D89.810", "急性移植物抗宿主病", onset, evidence=seen)
    if told.chronic:
        onset, severity = told.chronic
        yield c.condition("D89.811", "慢性移植物抗宿主病", onset, stage=[{"summary": concept(text=severity)}])

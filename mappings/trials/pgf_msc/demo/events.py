"""Everything about a person that is neither a laboratory result nor a drug: registration, stays, diagnoses, events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.entry import Entry
from mappings.trials.pgf_msc.demo.fhir import ATC, ICD10CM, Resource, coding, concept, moment, reference
from mappings.trials.pgf_msc.demo.labs import record_of
from mappings.trials.pgf_msc.demo.people import EXPORT, Person, days, draw, stream
from mappings.trials.pgf_msc.demo.products import lot_of, medication, product

_DISEASES = (  # ICD-10-CM, text, malignant
    ("C92.00", "急性髓系白血病", True),
    ("C91.00", "急性淋巴细胞白血病", True),
    ("D46.9", "骨髓增生异常综合征", True),
    ("D61.9", "再生障碍性贫血", False),
)


def registration(person: Person) -> Iterator[Entry]:
    """Yield Patient (two if merged), Consent, ResearchSubject; every second screen failure has no ResearchSubject."""
    known = moment(EXPORT, 1)
    # a death is a fact of the person, dated or not; a patient record alone proves no contact
    yield Entry(fhir.patient(person, known), person, person.death, person.death, "fact" if person.death else "none")
    if person.old_pid:
        yield Entry(fhir.replaced_patient(person, known), person)
    if person.consent:
        signed = moment(person.consent, 17)
        yield Entry(fhir.consent(person, person.consent, signed), person, person.consent, person.consent, "fact")
        if person.role != "failure" or person.index % 2:
            enrolled = moment(person.randomisation or person.consent, 18)
            yield Entry(fhir.research_subject(person, enrolled), person)


def stays(person: Person) -> Iterator[Entry]:
    """Yield the stay for transplantation and, for who has PGF, the stay for its treatment."""
    if person.hsct is None or "no-data" in person.traits:
        return
    spans = [(person.hsct - days(12), min(person.hsct + days(24), person.last))]
    if person.pgf:
        spans.append((person.pgf - days(1), min(person.origin + days(30), person.last)))
    for n, (start, end) in enumerate(spans, 1):
        leaves = moment(end, 10)
        stay = fhir.encounter(
            f"enc-{person.index:04d}-{n}",
            record_of(person, start),
            moment(start, 9),
            leaves,
            leaves + timedelta(hours=4),
        )
        yield Entry(stay, person, start, end, "fact")


class Diagnoses(NamedTuple):
    """The underlying disease, and the days of what may follow (None: it does not)."""

    code: str
    text: str
    malignant: bool
    found: date
    acute: date | None = None
    chronic: date | None = None
    infection: date | None = None
    relapse: date | None = None


def diagnosed(person: Person, seed: int) -> Diagnoses | None:
    """Return what a transplanted person has; by index acute and chronic GVHD, CMV infection, relapse of a subject."""
    if person.hsct is None or "no-data" in person.traits:
        return None
    rng = stream(seed, person.index, "events")
    code, text, malignant = _DISEASES[draw(rng, 4)]
    found = person.hsct - days(200 + draw(rng, 400))
    acute = chronic = infection = relapse = None
    if person.role == "subject":
        if person.index % 5 == 0:
            acute = person.origin + days(9 + draw(rng, 50))
        if person.index % 8 in (3, 6):
            chronic = person.hsct + days(130 + draw(rng, 90))
        if person.index % 6 == 1:
            infection = person.origin + days(7)
        if person.index % 11 == 7 and malignant:
            relapse = person.hsct + days(110 + draw(rng, 140))
    later = (d if d is not None and d <= person.last else None for d in (acute, chronic, infection, relapse))
    return Diagnoses(code, text, malignant, found, *later)


def diagnoses(person: Person, seed: int) -> Iterator[Entry]:
    """Yield the underlying disease (before consent), CMV infection and relapse; GVHD is written by module clinic."""
    d = diagnosed(person, seed)
    if d is None or person.hsct is None:
        return
    planned: list[tuple[str, str, date, date | None, str]] = [
        (d.code, d.text, d.found, person.hsct - days(14), "active")
    ]
    if d.infection:
        planned.append(("B25.9", "巨细胞病毒感染", d.infection, None, "resolved"))
    if d.relapse:
        planned.append((d.code, d.text + "复发", d.relapse, None, "relapse"))
    for n, (icd, name, onset, recorded, clinical) in enumerate(planned, 1):
        written = recorded or onset
        if written > person.last:
            continue
        known = moment(written, 15)
        subject = record_of(person, written)
        made = fhir.condition(
            f"cond-{person.index:04d}-{n}", subject, concept([coding(ICD10CM, icd)], name), onset, known, clinical
        )
        yield Entry(made, person, onset, written, "fact")


def adverse_events(person: Person, seed: int) -> Iterator[Entry]:
    """Yield one adverse event for every third treated subject: fever after an infusion in MSC, a rash in CTRL."""
    if person.start is None or person.index % 3:
        return
    rng = stream(seed, person.index, "adverse events")
    msc = person.arm == "MSC"
    day = person.start + days(7 if msc else 4 + draw(rng, 20))
    if day >= person.last:
        return
    at = moment(day, 15, draw(rng, 60))
    resource: Resource = {
        "resourceType": "AdverseEvent",
        "id": f"ae-{person.index:04d}",
        "meta": fhir.meta(at + timedelta(hours=6)),
        "actuality": "actual",
        "event": concept(text="发热" if msc else "皮疹"),
        "subject": reference(record_of(person, day)),
        "date": fhir.stamp(at),
        "recordedDate": fhir.stamp(at + timedelta(hours=5)),
        "seriousness": concept(
            [coding("http://terminology.hl7.org/CodeSystem/adverse-event-seriousness", "non-serious")]
        ),
        "severity": concept([coding("http://terminology.hl7.org/CodeSystem/adverse-event-severity", "mild")]),
    }
    yield Entry(resource, person, day, day, "fact")


def requests(person: Person) -> Iterator[Entry]:
    """Yield an order of TPO-RA on the day of randomisation, two days before anything is given: it proves no intake."""
    if "request-first" not in person.traits or person.randomisation is None:
        return
    at = moment(person.randomisation, 11)
    resource: Resource = {
        "resourceType": "MedicationRequest",
        "id": f"mr-{person.index:04d}",
        "meta": fhir.meta(at),
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": concept([coding(ATC, "B02BX05", "Eltrombopag")], "艾曲泊帕乙醇胺片"),
        "subject": reference(f"Patient/{person.pid}"),
        "authoredOn": fhir.stamp(at),
    }
    yield Entry(resource, person)


def surroundings(people: tuple[Person, ...]) -> Iterator[Entry]:
    """Yield what belongs to nobody: hospital, laboratory, study, and a Medication and a product per UC-MSC lot used."""
    known = moment(date(2023, 1, 3), 9)
    for oid, name in (("org-hospital", "示例医院"), ("org-lab", "示例医院检验科")):
        yield Entry({"resourceType": "Organization", "id": oid, "meta": fhir.meta(known), "name": name}, None)
    study = {
        "resourceType": "ResearchStudy",
        "id": fhir.STUDY.split("/")[1],
        "meta": fhir.meta(known),
        "identifier": [{"system": "urn:pgf-msc:study", "value": "PGF-MSC"}],
        "title": "UC-MSC for poor graft function after allogeneic HSCT (demonstration data)",
        "status": "active",
        "arm": [{"name": "MSC"}, {"name": "CTRL"}],
    }
    yield Entry(study, None)
    lots = {lot_of(p.start + days(k)) for p in people if p.arm == "MSC" and p.start for k in range(33)}
    for lot in sorted(lots):
        made = {"meta": fhir.meta(known)}
        yield Entry({**medication(lot), **made}, None)
        yield Entry({**product(lot), **made}, None)

"""Builders of FHIR R4 resources as plain dicts, instants in three spellings, and exact decimal text in JSON.

A decimal is carried as marked text (`number("4.10")`) and written by `encode` without quotes and without a digit
changed; floats never enter a resource.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from mappings.trials.pgf_msc.demo.people import MRN_SYSTEM, NATIONAL_ID_SYSTEM, Person

Resource = dict[str, Any]

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
ATC = "http://www.whocc.no/atc"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
PRODUCT = "urn:pgf-msc:product"
FORMULARY = "urn:oid:2.16.156.999999.3"  # the hospital's own drug list
LOCAL_LAB = "urn:oid:2.16.156.999999.4"  # the hospital's own test list
_TERM = "http://terminology.hl7.org/CodeSystem/"
STUDY = "ResearchStudy/study-pgf-msc"
LABORATORY = "Organization/org-lab"

_MARK = "\ue000"  # private use: occurs in no text of ours
_MARKED = re.compile(f'"{_MARK}([^"]*)"')
_SITE = timedelta(hours=8)  # Asia/Shanghai, no summer time since 1991


def number(text: str) -> str:
    """Mark text as a JSON number, to be written digit by digit (`4.10` stays `4.10`)."""
    return _MARK + text


def text_of(marked: str) -> str:
    """Return the digits of a marked number."""
    return marked.removeprefix(_MARK)


def encode(resource: Resource) -> str:
    """Return one NDJSON line without its newline."""
    return _MARKED.sub(r"\1", json.dumps(resource, ensure_ascii=False, separators=(",", ":")))


def stamp(moment: datetime, zone: str = "offset") -> str:
    """Return a site-time instant: `offset` +08:00, `utc` as Z (so that the day may differ), `none` without offset."""
    if zone == "utc":
        return (moment - _SITE).strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + ("+08:00" if zone == "offset" else "")


def moment(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute)


def meta(known: datetime, version: int = 1) -> Resource:
    return {"versionId": str(version), "lastUpdated": stamp(known)}


def coding(system: str, code: str, display: str | None = None) -> Resource:
    return {"system": system, "code": code, **({"display": display} if display else {})}


def concept(codings: Sequence[Resource] = (), text: str | None = None) -> Resource:
    return {**({"coding": list(codings)} if codings else {}), **({"text": text} if text else {})}


def reference(target: str) -> Resource:
    return {"reference": target}


def quantity(text: str, unit: str, code: str | None, comparator: str | None = None) -> Resource:
    """Return a Quantity; `code` None leaves out system and code, as many laboratories do."""
    out: Resource = {"value": number(text)}
    if comparator:
        out["comparator"] = comparator
    out["unit"] = unit
    return {**out, "system": UCUM, "code": code} if code else out


def patient(person: Person, known: datetime) -> Resource:
    """Return the Patient: fake name, identifiers, telecom and address (all must stay behind at intake)."""
    out: Resource = {
        "resourceType": "Patient",
        "id": person.pid,
        "meta": {**meta(known), "security": [coding(_TERM + "v3-ActReason", "HTEST", "test health data")]},
        "identifier": [
            {"system": MRN_SYSTEM, "value": person.mrn},
            {"system": NATIONAL_ID_SYSTEM, "value": f"SYN-ID-{person.index:06d}"},
        ],
        "active": True,
        "name": [{"use": "official", "text": person.family + person.given, "family": person.family}],
    }
    out["name"][0]["given"] = [person.given]
    if person.index % 2 == 0:
        out["telecom"] = [{"system": "phone", "value": f"000-0000-{person.index:04d}", "use": "mobile"}]
    if person.index % 3 == 0:
        street = f"示例路{person.index}号"
        out["address"] = [{"line": [street], "city": "示例市", "country": "CN", "text": f"示例市{street}"}]
    out["gender"] = person.gender
    out["birthDate"] = person.birth.isoformat()
    if "death-undated" in person.traits:
        out["deceasedBoolean"] = True
    elif "deceased-false" in person.traits:
        out["deceasedBoolean"] = False
    elif person.death:
        timed = person.index % 2 == 0
        out["deceasedDateTime"] = stamp(moment(person.death, 3, 20)) if timed else person.death.isoformat()
    if person.old_pid:
        out["link"] = [{"other": reference(f"Patient/{person.old_pid}"), "type": "replaces"}]
    return out


def replaced_patient(person: Person, known: datetime) -> Resource:
    """Return the merged, inactive record that points to its survivor."""
    full = patient(person, known)
    kept = {k: full[k] for k in ("resourceType", "meta", "name", "gender", "birthDate")}
    link = [{"other": reference(f"Patient/{person.pid}"), "type": "replaced-by"}]
    identifier = [{"system": MRN_SYSTEM, "value": f"OLD{person.index:08d}"}]
    return {**kept, "id": person.old_pid, "identifier": identifier, "active": False, "link": link}


def observation(
    oid: str,
    subject: str,
    code: Resource,
    when: str,
    value: Resource,
    known: datetime,
    *,
    category: str = "laboratory",
    status: str = "final",
    **more: Any,
) -> Resource:
    """Return an Observation; `value` holds value[x] or dataAbsentReason, `more` further elements (None: left out)."""
    return {
        "resourceType": "Observation",
        "id": oid,
        "meta": meta(known),
        "status": status,
        "category": [concept([coding(_TERM + "observation-category", category)])],
        "code": code,
        "subject": reference(subject),
        "effectiveDateTime": when,
        "issued": stamp(known),
        **value,
        **{k: v for k, v in more.items() if v is not None},
    }


def interpretation(flag: str) -> list[Resource]:
    return [concept([coding(_TERM + "v3-ObservationInterpretation", flag)])]


def absent(reason: str) -> Resource:
    return {"dataAbsentReason": concept([coding(_TERM + "data-absent-reason", reason)])}


def specimen(sid: str, subject: str, kind: tuple[str, str], collected: str, known: datetime) -> Resource:
    return {
        "resourceType": "Specimen",
        "id": sid,
        "meta": meta(known),
        "status": "available",
        "type": concept([coding(SNOMED, *kind)]),
        "subject": reference(subject),
        "collection": {"collectedDateTime": collected},
    }


def administration(
    mid: str,
    subject: str,
    medication: Resource,
    effective: Resource,
    known: datetime,
    *,
    status: str = "completed",
    dose: Resource | None = None,
    route: tuple[str, str] | None = None,
    **more: Any,
) -> Resource:
    """Return a MedicationAdministration; `medication` holds medication[x], contained and supportingInformation."""
    dosage: Resource = {}
    if route:
        dosage["route"] = concept([coding(SNOMED, *route)])
    if dose:
        dosage["dose"] = dose
    return {
        "resourceType": "MedicationAdministration",
        "id": mid,
        "meta": meta(known),
        **({"contained": medication["contained"]} if "contained" in medication else {}),
        "status": status,
        **{k: v for k, v in medication.items() if k != "contained"},
        "subject": reference(subject),
        **effective,
        **more,
        **({"dosage": dosage} if dosage else {}),
    }


def procedure(pid: str, subject: str, code: Resource, performed: Resource, known: datetime, **more: Any) -> Resource:
    return {
        "resourceType": "Procedure",
        "id": pid,
        "meta": meta(known),
        "status": "completed",
        "code": code,
        "subject": reference(subject),
        **performed,
        **more,
    }


def condition(cid: str, subject: str, code: Resource, onset: date, known: datetime, clinical: str) -> Resource:
    return {
        "resourceType": "Condition",
        "id": cid,
        "meta": meta(known),
        "clinicalStatus": concept([coding(_TERM + "condition-clinical", clinical)]),
        "verificationStatus": concept([coding(_TERM + "condition-ver-status", "confirmed")]),
        "code": code,
        "subject": reference(subject),
        "onsetDateTime": onset.isoformat(),
        "recordedDate": stamp(known),
    }


def consent(person: Person, day: date, known: datetime) -> Resource:
    return {
        "resourceType": "Consent",
        "id": f"consent-{person.index:04d}",
        "meta": meta(known),
        "status": "inactive" if "withdrew-consent" in person.traits else "active",
        "scope": concept([coding(_TERM + "consentscope", "research")]),
        "category": [concept([coding(LOINC, "57016-8", "Privacy policy acknowledgment Document")])],
        "patient": reference(f"Patient/{person.pid}"),
        "dateTime": day.isoformat(),
        "policyRule": concept(text="Informed consent of the PGF-MSC trial"),
    }


def research_subject(person: Person, known: datetime) -> Resource:
    status = {"failure": "ineligible", "unassigned": "screening"}.get(person.role, "on-study")
    if person.withdrawal:
        status = "withdrawn" if "withdrew-consent" in person.traits else "off-study"
    out: Resource = {
        "resourceType": "ResearchSubject",
        "id": f"rs-{person.index:04d}",
        "meta": meta(known),
        "status": status,
        "study": reference(STUDY),
        "individual": reference(f"Patient/{person.pid}"),
    }
    if person.randomisation:
        out["period"] = {"start": person.randomisation.isoformat()}
        out["assignedArm"] = person.arm
    if person.consent:
        out["consent"] = reference(f"Consent/consent-{person.index:04d}")
    return out


def encounter(eid: str, subject: str, start: datetime, end: datetime, known: datetime) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": eid,
        "meta": meta(known),
        "status": "finished",
        "class": coding(_TERM + "v3-ActCode", "IMP", "inpatient encounter"),
        "subject": reference(subject),
        "period": {"start": stamp(start), "end": stamp(end)},
    }

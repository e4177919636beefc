"""ResearchSubject and Consent: the second source of who is a subject, and where it contradicts the enrolment log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from adapter.enrolment import Enrolled, Subject
from adapter.errors import EnrolmentError
from adapter.intake.bearers import HELD
from adapter.intake.identities import Candidate, ConsentDay, Identities

NO_SUBJECT = frozenset(["entered-in-error", "candidate", "potential-candidate", "not-registered"])
"""ResearchSubject statuses of people who were only looked at; without consent their data may not be read."""

ON_STUDY = ("on-study", "on-study-intervention", "on-study-observation")
TOOK_PART = frozenset([*ON_STUDY, "follow-up", "off-study", "withdrawn"])
"""ResearchSubject statuses of people whom the log must name."""

_T = TypeVar("_T", Candidate, ConsentDay)


def _latest(found: Iterable[_T]) -> list[_T]:
    """Return one of all copies and versions of each resource, in the order of their keyed ids."""
    latest: dict[bytes, _T] = {}
    for one in found:
        known = latest.get(one.version.rid)
        if known is None or one.version > known.version:
            latest[one.version.rid] = one
    return [latest[rid] for rid in sorted(latest)]


def _of_study(known: Identities, identifiers: Sequence[str]) -> list[Candidate]:
    """Return the ResearchSubjects whose study has one of these identifiers; without identifiers, of any study."""
    wanted = frozenset(identifiers)

    def ours(study: bytes | str) -> bool:
        names = known.studies.get(study, frozenset()) if isinstance(study, bytes) else frozenset([study])
        return not wanted.isdisjoint(names)

    return [c for c in _latest(known.candidates) if c.status not in NO_SUBJECT and (not wanted or ours(c.study))]


def from_research_subjects(
    known: Identities, study: str, site: str, arms: Mapping[str, str], identifiers: Sequence[str] = ()
) -> list[Enrolled]:
    """Return log rows made from ResearchSubject and Consent, for a hospital that keeps no enrolment log.

    `arms` maps what ResearchSubject.actualArm may say (code or name) to the arm code; `identifiers` are those of the
    study (`system|value`), because a hospital runs several. A candidate without an identifier for the trial has no
    subject code and cannot be a subject: EnrolmentError.
    """
    consent: dict[bytes, str] = {}
    for patient, day in sorted((c.patient, c.day) for c in _latest(known.consents) if c.given and c.day):
        consent.setdefault(patient, day)
    borne = {known.borne[i : i + HELD] for i in range(0, len(known.borne), 2 * HELD)}
    rows = []
    for c in sorted(_of_study(known, identifiers), key=lambda c: (c.subjid, c.version)):
        if not c.subjid:
            raise EnrolmentError(f"a ResearchSubject of {study} has no identifier; expected the subject code in it")
        if c.patient[:HELD] in borne:
            raise EnrolmentError(
                f"ResearchSubject {c.subjid} names its patient by an identifier only; expected a reference to a Patient, "
                "or an enrolment log"
            )
        if c.arm and c.arm not in arms:
            raise EnrolmentError(f"ResearchSubject {c.subjid}: unknown arm {c.arm!r}; known are {sorted(arms)}")
        rows.append(
            Enrolled(
                patient=f"keyed:{c.patient.hex()}",
                subjid=c.subjid,
                siteid=site,
                arm=arms.get(c.arm, ""),
                consent_date=consent.get(c.patient, ""),
                randomisation_date=c.start if c.arm else "",
                source=f"ResearchSubject {c.subjid}",
            )
        )
    for one, other in pairwise(rows):
        if one.subjid == other.subjid:
            raise EnrolmentError(f"two ResearchSubjects are both {one.subjid}; expected one for each subject")
    return rows


def disagreements(
    subjects: Sequence[Subject], known: Identities, arms: Mapping[str, str], identifiers: Sequence[str] = ()
) -> list[str]:
    """Return where ResearchSubject and Consent contradict the log (arm, consent day); empty when they agree.

    With the study's `identifiers`, also how many people took part who are not in the log.
    """
    owner = {key: s for s in subjects for key in s.identities}
    # a ResearchSubject or Consent may name its patient by an identifier only
    owner |= {i: owner[p.key] for p in known.patients if p.key in owner for i in p.identifiers}
    found = []
    missing = set()
    for c in _of_study(known, identifiers):
        s = owner.get(c.patient)
        if s is None:
            if identifiers and c.status in TOOK_PART:
                missing.add(c.patient)
        elif c.arm and arms.get(c.arm) != (s.enrolled.arm or None):
            found.append(
                f"{s.usubjid}: arm is {s.enrolled.arm or 'empty'} in the {s.enrolled.source}, "
                f"{arms.get(c.arm, c.arm)} in the ResearchSubject"
            )
    if missing:
        found.append(f"patients who take part by their ResearchSubject and are not in the log: {len(missing)}")
    days: dict[str, set[str]] = {}
    for consent in _latest(known.consents):
        if consent.given and consent.day and consent.patient in owner:
            days.setdefault(owner[consent.patient].usubjid, set()).add(consent.day)
    for s in subjects:
        seen = days.get(s.usubjid)
        if seen and s.enrolled.consent_date and s.enrolled.consent_date not in seen:
            found.append(
                f"{s.usubjid}: consent is {s.enrolled.consent_date} in the {s.enrolled.source}, "
                f"{', '.join(sorted(seen))} in Consent"
            )
    return sorted(found)

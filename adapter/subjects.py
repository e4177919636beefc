"""Who the subjects of a build are: by log and ResearchSubject, of one server, and whose an identifier is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapter.enrolment import Enrolled
from adapter.errors import EnrolmentError, InputError
from adapter.identify import Identities, Subject, disagreements, from_research_subjects, resolve_subjects
from adapter.intake.bearers import Bearers, bearers
from adapter.site import SITE_FILE, Keyer
from adapter.trial import Trial


def who_is_who(
    log: list[Enrolled] | None,
    known: Identities,
    keyer: Keyer,
    trial: Trial,
    log_name: str,
    own: frozenset[str] = frozenset(),
) -> list[Subject]:
    """Return the subjects of log and ResearchSubject. Raises EnrolmentError for neither, and where they disagree."""
    study, arms, names = trial.study.id, trial.arm_spellings(), trial.study.identifiers
    if log is None:
        log = from_research_subjects(known, study, trial.defaults.site, arms, names)
        if not log:
            raise EnrolmentError(
                "nobody is a subject: no enrolment log was given (--enrolment FILE) and no ResearchSubject came in"
            )
        return resolve_subjects(log, known, keyer, study)
    subjects = resolve_subjects(log, known, keyer, study, own)
    against = disagreements(subjects, known, arms, names)
    if against:
        more = f" (and {len(against) - 1} more)" if len(against) > 1 else ""
        raise EnrolmentError(f"{log_name} and the FHIR data disagree: {against[0]}{more}")
    return subjects


def require_one_server(servers: Mapping[bytes, frozenset[str]]) -> None:
    """Raise InputError where one patient id stands under the base URLs of several servers: who that is, is not known."""
    several = [bases for bases in servers.values() if len(bases) > 1]
    if several:
        raise InputError(
            f"{len(several)} patient ids stand under more than one server ({', '.join(sorted(several[0]))}); ids of "
            "different servers are different patients; expected the data of one server, or its base URLs in "
            f"{SITE_FILE} of the site folder: server.base = [...]"
        )


def borne(known: Identities, subjects: Sequence[Subject]) -> Bearers:
    """Return whose an identifier is, for references that name a patient by nothing else."""
    number = {key: n for n, s in enumerate(subjects) for key in s.identities}
    mine = [(i, p.key, number[p.key]) for p in known.patients if p.key in number for i in p.identifiers]
    return bearers(known.borne, mine)

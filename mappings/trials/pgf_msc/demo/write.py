"""Plans the demo hospital and writes it: FHIR files, the enrolment log, the site's code tables; and states the truth.

`write_cohort` and `known_answers` start from the same plan; the answers are taken from what was planned, never by
reading FHIR back, so that a test of a whole build compares two independent ways.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from mappings.trials.pgf_msc.demo.clinic import clinic
from mappings.trials.pgf_msc.demo.course import blood
from mappings.trials.pgf_msc.demo.drugs import treatments
from mappings.trials.pgf_msc.demo.entry import Entry
from mappings.trials.pgf_msc.demo.events import adverse_events, diagnoses, registration, requests, stays, surroundings
from mappings.trials.pgf_msc.demo.fhir import encode
from mappings.trials.pgf_msc.demo.labs import observations
from mappings.trials.pgf_msc.demo.people import EXPORT, FAILURES, Person, cohort
from mappings.trials.pgf_msc.demo.planted import COPIED, WARTS, Planted, plant
from mappings.trials.pgf_msc.demo.safety import safety_answers
from mappings.trials.pgf_msc.demo.story import clinical_answers, coding_tables
from mappings.trials.pgf_msc.demo.wart_files import carried
from mappings.trials.pgf_msc.demo.wart_results import SITE_TABLES
from mappings.trials.pgf_msc.demo.warts import Warts, make_warts

LOG_COLUMNS = (
    "patient",
    "subjid",
    "siteid",
    "arm",
    "consent_date",
    "screening_date",
    "randomisation_date",
    "donor_type",
    "screen_failure_reason",
    "withdrawal_date",
    "withdrawal_reason",
    "withdrawal_type",
    "pgf_date",
    "ie_INCL02",
    "ie_INCL03",
    "ie_EXCL01",
    "ie_EXCL06",
)
SITE = "01"
CHUNKS = 3
GIVEN = ("platelets", "red-cells", "treatment")  # conventional treatment that starts CTRL (protocol §2)


@dataclass(frozen=True, slots=True)
class Plan:
    """People, their true entries (first versions replaced by `plant`), the planted faults, and the warts."""

    people: tuple[Person, ...]
    entries: list[Entry]
    planted: Planted
    warts: Warts

    @property
    def logged(self) -> list[Person]:
        return sorted((p for p in self.people if p.subjid), key=lambda p: p.subjid)


def plan(subjects: int, seed: int) -> Plan:
    """Return the whole hospital for a number of randomised subjects and a seed."""
    people = cohort(subjects, seed)
    entries = list(surroundings(people))
    for person in people:
        entries += registration(person)
        entries += stays(person)
        entries += diagnoses(person, seed)
        entries += requests(person)
        entries += adverse_events(person, seed)
        entries += clinic(person, seed)
        if "no-data" not in person.traits:
            known = blood(person, seed)
            entries += treatments(person, known, seed)
            entries += observations(person, known, seed)
    return Plan(people, entries, plant(entries), make_warts(people, WARTS))


def files_of(hospital: Plan) -> dict[str, list[str]]:
    """Return the lines of each NDJSON file without warts by name; the last line of the last Observation file is cut short.

    Observations go into three files by time of export and a fourth with new versions, copies and the cut line; other
    types with copies get a second file. The two broken lines that can be parsed stand in Observation-002.
    """
    by_type: dict[str, list[str]] = {}
    for entry in [*hospital.entries, *hospital.planted.extra]:
        by_type.setdefault(entry.resource["resourceType"], []).append(encode(entry.resource))
    files: dict[str, list[str]] = {}
    for name in sorted(by_type):
        lines = by_type[name]
        if name == "Observation":
            size = (len(lines) + CHUNKS - 1) // CHUNKS
            for n in range(CHUNKS):
                files[f"Observation-{n + 1:03d}.ndjson"] = lines[n * size : (n + 1) * size]
        else:
            files[f"{name}-001.ndjson" if name in COPIED else f"{name}.ndjson"] = lines
        if name in COPIED:
            step = len(lines) // COPIED[name]
            last = f"{name}-{CHUNKS + 1 if name == 'Observation' else 2:03d}.ndjson"
            files[last] = [lines[step * k + step // 2] for k in range(COPIED[name])]
    last = f"Observation-{CHUNKS + 1:03d}.ndjson"
    files[last] = [encode(e.resource) for e in hospital.planted.later] + files[last]
    for entry, reason in hospital.planted.bad:
        line = encode(entry.resource)
        if reason == "truncated":
            files[last].append(line[: len(line) * 3 // 5])
        else:
            middle = files["Observation-002.ndjson"]
            middle.insert(len(middle) // (2 if reason == "unit" else 3), line)
    return files


def write_cohort(out: Path, subjects: int = 68, seed: int = 20260101) -> dict[str, int]:
    """Write OUT/fhir, OUT/enrolment.csv, the tables of OUT/site and OUT/coding; return counts: subjects, by type, bytes.

    Same arguments give the same bytes. Existing files of the same names are replaced. The site's key is not made here.
    InputError below 10 subjects.
    """
    hospital = plan(subjects, seed)
    folder = out / "fhir"
    folder.mkdir(parents=True, exist_ok=True)
    written = {"subjects": subjects, "log_rows": len(hospital.logged), "patients": len(hospital.people)}
    total = 0
    for name, lines in files_of(hospital).items():
        cut = name == f"Observation-{CHUNKS + 1:03d}.ndjson"
        data = ("\n".join(lines) + ("" if cut else "\n")).encode()
        (folder / name).write_bytes(data)
        kind = name.split("-")[0].removesuffix(".ndjson")
        written[kind] = written.get(kind, 0) + len(lines)
        total += len(data)
    for name, file in hospital.warts.files.items():
        data = carried(name, file)
        (folder / name).write_bytes(data)
        for kind in filter(None, file.kinds):
            written[kind] = written.get(kind, 0) + 1
        total += len(data)
    site = out / "site"
    site.mkdir(mode=0o700, exist_ok=True)
    for name, text in SITE_TABLES.items():
        (site / name).write_bytes(text.encode())
        total += len(text.encode())
    (out / "coding").mkdir(exist_ok=True)
    for name, text in coding_tables().items():
        (out / "coding" / name).write_bytes(text.encode())
        total += len(text.encode())
    log = enrolment(hospital.logged).encode()
    (out / "enrolment.csv").write_bytes(log)
    written["bytes"] = total + len(log)
    return written


def enrolment(people: Iterable[Person]) -> str:
    """Return the enrolment log as CSV text (columns of fhir-input "Who is a subject")."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(LOG_COLUMNS)
    for p in people:
        reason, violated = FAILURES[p.failure] if p.failure is not None else ("", None)
        answers = {"INCL02": "Y", "INCL03": "Y", "EXCL01": "N", "EXCL06": "N", **dict([violated] if violated else [])}
        consent = "withdrew-consent" in p.traits
        left = ("Withdrawal of consent" if consent else "Withdrawal by subject") if p.withdrawal else ""
        dates = [d.isoformat() if d else "" for d in (p.consent, p.screening, p.randomisation)]
        withdrawal = (
            [p.withdrawal.isoformat(), left, "consent" if consent else "treatment"] if p.withdrawal else [""] * 3
        )
        pgf = p.pgf.isoformat() if p.pgf else ""
        rows.writerow([p.log_key, p.subjid, SITE, p.arm, *dates, p.donor, reason, *withdrawal, pgf, *answers.values()])
    return text.getvalue()


def known_answers(subjects: int = 68, seed: int = 20260101) -> dict[str, Any]:
    """Return the truth about `write_cohort(…, subjects, seed)`; the names are explained in KNOWN_ANSWERS."""
    hospital = plan(subjects, seed)
    randomised = [p for p in hospital.logged if p.role == "subject"]
    outside = [p for p in hospital.people if not p.subjid]

    def who(trait: str) -> str:
        return next(p.subjid for p in randomised if trait in p.traits)

    def infusions(status: str) -> list[str]:
        return [
            e.resource["id"]
            for e in hospital.entries
            if e.resource.get("status") == status and e.resource["resourceType"] == "MedicationAdministration"
        ]

    files = files_of(hospital)
    merged = next(p for p in randomised if p.old_pid)
    everything = [*hospital.entries, *hospital.planted.later]
    return {
        "log_rows": len(hospital.logged),
        "randomised": {arm: sum(p.arm == arm for p in randomised) for arm in ("MSC", "CTRL")},
        "screen_failures": sum(p.role == "failure" for p in hospital.people),
        "not_assigned": next(p.subjid for p in hospital.people if p.role == "unassigned"),
        "never_treated": who("never-treated"),
        "withdrew_consent": _withdrawn(randomised, "withdrew-consent"),
        "withdrew_treatment": _withdrawn(randomised, "withdrew-treatment"),
        "course_under_way": who("course-under-way"),
        "request_first": who("request-first"),
        "deaths": {
            p.subjid: p.death.isoformat() if p.death else None
            for p in randomised
            if p.death or "death-undated" in p.traits
        },
        "deceased_false": who("deceased-false"),
        "merged": {merged.subjid: [merged.pid, merged.old_pid]},
        "sex_unknown": who("sex-other"),
        "non_subjects": [p.pid for p in outside],
        "non_subject_lines": _lines_of(hospital, files, {p.index for p in outside}),
        "entered_in_error_infusions": infusions("entered-in-error"),
        "not_done_infusions": infusions("not-done"),
        "stopped_infusions": infusions("stopped"),
        **safety_answers(randomised, everything, seed),
        **hospital.planted.answers,
        "duplicate_lines": sum(COPIED.values()),
        "warts": hospital.warts.answers,
        "wart_files": sorted(hospital.warts.files),
        "bad_lines": _bad_lines(hospital, files),
        "data_cut": _cut(hospital.logged, everything).isoformat(),
        "subjects": _per_subject(hospital.logged, everything),
        "clinical": {p.subjid: clinical_answers(p, seed) for p in hospital.logged},
    }


def _withdrawn(people: list[Person], trait: str) -> dict[str, str]:
    return {p.subjid: p.withdrawal.isoformat() for p in people if trait in p.traits and p.withdrawal}


def _lines_of(hospital: Plan, files: dict[str, list[str]], indexes: set[int]) -> int:
    """Count the lines of some people, the copied ones included."""
    whose = {encode(e.resource): e.person.index for e in hospital.entries if e.person}
    return sum(whose.get(line) in indexes for lines in files.values() for line in lines)


def _bad_lines(hospital: Plan, files: dict[str, list[str]]) -> list[dict[str, Any]]:
    bad = {}
    for entry, reason in hospital.planted.bad:
        line = encode(entry.resource)
        bad[line[: len(line) * 3 // 5] if reason == "truncated" else line] = (entry.resource["id"], reason)
    return [
        {"file": name, "line": n, "id": bad[line][0], "reason": bad[line][1]}
        for name, lines in files.items()
        for n, line in enumerate(lines, 1)
        if line in bad
    ]


def _cut(people: list[Person], entries: list[Entry]) -> date:
    """Return the latest site date of the log and of any usable fact, each person's own cut respected."""
    latest = max(d for p in people for d in (p.consent, p.screening, p.randomisation, p.withdrawal) if d)
    for e in entries:
        if e.kind != "none" and e.person and e.person.subjid and e.last and e.last <= min(e.person.cut, EXPORT):
            latest = max(latest, e.last)
    return latest


def _per_subject(people: list[Person], entries: list[Entry]) -> dict[str, dict[str, Any]]:
    mine: dict[str, list[Entry]] = {p.subjid: [] for p in people}
    for e in entries:
        if e.person and e.person.subjid and e.kind != "none" and e.first and e.first <= e.person.cut:
            mine[e.person.subjid].append(e)
    return {p.subjid: _answers(p, mine[p.subjid]) for p in people}


def _answers(p: Person, entries: list[Entry]) -> dict[str, Any]:
    """Return one subject's truth; TRTSDT by protocol §2 from what was given, RFSTDTC = TRTSDT else randomisation."""
    first: date | None = None
    if p.arm == "MSC":
        first = min((e.first for e in entries if e.kind == "infusion" and e.first), default=None)
    elif p.arm and p.randomisation:
        given = [e for e in entries if e.kind in GIVEN and e.first and e.last and e.last >= p.randomisation]
        first = min((max(e.first, p.randomisation) for e in given if e.first), default=None)
    reference = first or p.randomisation
    return {
        "arm": p.arm,
        "TRTSDT": first.isoformat() if first else None,
        "RFSTDTC": reference.isoformat() if reference else None,
        "hsct": p.hsct.isoformat() if p.hsct and "no-data" not in p.traits else None,
        "infusions": sum(e.kind == "infusion" for e in entries),
        "platelets": sum(e.kind == "platelets" for e in entries),
        "red_cells": sum(e.kind == "red-cells" for e in entries),
        "observations": sum(e.kind == "observation" for e in entries),
    }

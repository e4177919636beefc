"""The faults of a real export, planted where we know them, so that a build can be compared with the truth.

Each fault is written into an invented record beside the true ones, or is a new version or a copy of a true one; no true
fact is lost by it. `KNOWN_ANSWERS` says for each name of `write.known_answers` what was planted and what is right.
`WARTS` are all that stand in files of their own, each with its answer (module warts).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mappings.trials.pgf_msc.demo import (
    fhir,
    wart_carriers,
    wart_events,
    wart_ladder,
    wart_records,
    wart_results,
    wart_statements,
)
from mappings.trials.pgf_msc.demo.entry import Entry
from mappings.trials.pgf_msc.demo.fhir import LOCAL_LAB, Resource, coding, concept, number
from mappings.trials.pgf_msc.demo.people import days

KNOWN_ANSWERS = {
    "log_rows": "rows of enrolment.csv: randomised, screen failures, one not assigned",
    "randomised": "number of subjects by arm",
    "screen_failures": "log rows with a screen failure reason and no arm; every third has no clinical data",
    "not_assigned": "subject code of the one who consented and is not yet randomised (ARMNRS NOT ASSIGNED)",
    "never_treated": "CTRL subject, no treatment on or after randomisation: TRTSDT empty, RFSTDTC = randomisation",
    "withdrew_consent": "subject code → date; the hospital's later data must be cut",
    "withdrew_treatment": "subject code → date; nothing is cut; third infusion is not-done, the fourth never planned",
    "course_under_way": "CTRL subject whose TPO-RA course spans randomisation: RFSTDTC = randomisation date (A-03)",
    "request_first": "CTRL subject with a MedicationRequest on randomisation day; treatment starts two days later",
    "deaths": "subject code → date of death, None where only deceasedBoolean true is known",
    "deceased_false": "subject code of who has deceasedBoolean false: no death",
    "merged": "subject code → [surviving Patient id, replaced Patient id]; the early history hangs on the replaced one",
    "sex_unknown": "subject code of who has gender `other`: SEX U",
    "non_subjects": "Patient ids that are in no log; their data is dropped and counted, never a reject",
    "non_subject_lines": "NDJSON lines that belong to them",
    "entered_in_error_infusions": "MedicationAdministration ids with status entered-in-error: no EC, no EX record",
    "not_done_infusions": "ids with status not-done and a reason: EC only",
    "stopped_infusions": "ids with status stopped, part dose and period: EC and EX",
    "safety": "what was planted of the rules of protocol §7 and §8 (module safety): name → subject code, where the cohort is \
large enough to have it; 34 subjects have all",
    "deviations": "[subject code, DVTERM, day]: all there is in DV but days without a blood count",
    "days_without_counts": "subject code → days of the eight weeks from RFSTDTC on without a complete blood count; those of \
the PGF phase are a deviation",
    "dose_limiting": "[subject code, day, grade]: the events with DLTFL Y",
    "signals": "[kind, subject code, dataset, day, infusion before it, `?` where open]: all that `fhir2cdisc signals` lists \
but laboratory candidates",
    "entered_in_error_observations": "Observation ids (a haemoglobin of 250 g/L nobody had): excluded",
    "cancelled_observations": "Observation ids without value, status cancelled: excluded",
    "preliminary_only": "Observation ids never finalised: not usable",
    "preliminary_to_final": "Observation ids, version 1 preliminary and 2 final in different files: one usable result",
    "corrected": "Observation id → value of the corrected version 2, which wins over version 1 (final)",
    "replayed": "Observation id → id of the true one: same subject, code, instant, value and specimen under a new id",
    "no_value": "Observation ids with dataAbsentReason only",
    "future": "Observation ids dated 2052: a data issue, proof of nothing, outside the cut",
    "unmapped": "Observation ids with a local code nobody has mapped: to unmapped.csv",
    "donor": "Observation ids with `focus` (the donor): never LB of the subject",
    "duplicate_lines": "lines that repeat another line byte for byte in a second file",
    "bad_lines": "file, line (from 1), id, reason: unit (unconvertible), value (no number), truncated (line cut)",
    "warts": "name → answers (module warts): every record, reject, issue, drop and unmapped code of the files in wart_files",
    "wart_files": "names of the files that hold warts; what is told above of lines leaves them out",
    "data_cut": "latest site date of a usable fact of a subject, withdrawn consent respected",
    "subjects": "subject code → arm, TRTSDT, RFSTDTC, hsct, infusions, platelets, red_cells, observations of the laboratory",
    "clinical": "subject code → GVHD, relapse, infections, graft failure, adverse events, Karnofsky, cause of death, to the cut",
}
_MODULES = (wart_carriers, wart_results, wart_records, wart_events, wart_statements, wart_ladder)
WARTS = tuple(wart for module in _MODULES for wart in module.WARTS)
COPIED = {"Observation": 40, "MedicationAdministration": 10, "Procedure": 5, "Patient": 2}
_PLATELETS, _HAEMOGLOBIN = ("777-3",), ("718-7", "59260-0")
_SPARED = ("withdrew-consent", "never-treated", "early-death", "merged", "death-undated")  # host no fault


@dataclass(slots=True)
class Planted:
    """What was planted: extra lines of the main export, later versions, broken lines, and the answers."""

    extra: list[Entry] = field(default_factory=list)
    later: list[Entry] = field(default_factory=list)
    bad: list[tuple[Entry, str]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)


def plant(entries: list[Entry]) -> Planted:
    """Choose hosts among the usable Observations, replace first versions in `entries`, and return what was planted."""
    planted = Planted()
    hosts = _Hosts(entries)
    for name, times, codes, change in _FAULTS:
        ids = []
        for n in range(times):
            resource = copy.deepcopy(entries[hosts.take(codes)].resource)
            resource["id"] = f"obs-{name.replace('_', '-')}-{n + 1}"
            change(resource)
            ids.append(resource["id"])
            planted.extra.append(Entry(resource, hosts.person))
        planted.answers[name] = ids
    for reason, codes, change in _BROKEN:
        resource = copy.deepcopy(entries[hosts.take(codes)].resource)
        resource["id"] = f"obs-bad-{reason}"
        change(resource)
        planted.bad.append((Entry(resource, hosts.person), reason))
    _versions(entries, hosts, planted)
    replayed = {}
    for n in range(3):
        true = entries[hosts.take(_PLATELETS)].resource
        replay = {**copy.deepcopy(true), "id": f"obs-replayed-{n + 1}"}
        planted.extra.append(Entry(replay, hosts.person))
        replayed[replay["id"]] = true["id"]
    planted.answers["replayed"] = replayed
    return planted


def _versions(entries: list[Entry], hosts: _Hosts, planted: Planted) -> None:
    """Turn ten true results into chains: five preliminary → final, five final → corrected with another value."""
    finals, corrected = [], {}
    for n in range(10):
        at = hosts.take(_PLATELETS)
        true = entries[at]
        second = copy.deepcopy(true.resource)
        second["meta"]["versionId"] = "2"
        second["meta"]["lastUpdated"] = _next_day(second["meta"]["lastUpdated"])
        first = copy.deepcopy(true.resource)
        if n < 5:
            first["status"] = "preliminary"
            finals.append(first["id"])
        else:
            second["status"] = "corrected"
            better = str(int(fhir.text_of(second["valueQuantity"]["value"])) + 7)
            second["valueQuantity"]["value"] = number(better)
            corrected[first["id"]] = better
        entries[at] = replace(true, resource=first, kind="none")
        planted.later.append(replace(true, resource=second))
    planted.answers["preliminary_to_final"] = finals
    planted.answers["corrected"] = corrected


class _Hosts:
    """Hands out usable Observations, one subject after another, never the same twice, all around treatment start."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.by_person: dict[int, list[int]] = {}
        for at, entry in enumerate(entries):
            person = entry.person
            if entry.kind != "observation" or person is None or person.role != "subject" or entry.first is None:
                continue
            if any(t in _SPARED for t in person.traits) or not 3 <= (entry.first - person.origin).days <= 50:
                continue
            value = entry.resource.get("valueQuantity", {})
            if value and "comparator" not in value:
                self.by_person.setdefault(person.index, []).append(at)
        self.people = sorted(self.by_person)
        self.turn = 0
        self.used: set[int] = set()
        self.person = entries[self.by_person[self.people[0]][0]].person

    def take(self, codes: tuple[str, ...]) -> int:
        """Return the index of the next unused Observation with one of the LOINC codes."""
        mine = self.by_person[self.people[self.turn % len(self.people)]]
        start = 17 * (self.turn // len(self.people) + 1)
        self.turn += 1
        order = mine[start % len(mine) :] + mine[: start % len(mine)]
        at = next(i for i in order if i not in self.used and _loinc(self.entries[i].resource) in codes)
        self.used.add(at)
        self.person = self.entries[at].person
        return at


def _loinc(resource: Resource) -> str:
    return str(resource["code"]["coding"][0]["code"])


def _next_day(instant: str) -> str:
    moment = datetime.fromisoformat(instant).replace(tzinfo=None) + days(1)
    return fhir.stamp(moment)


def _later_in_day(resource: Resource) -> None:
    """Move to a time of day no true result has, so that the record is no replay of its model."""
    old = resource["effectiveDateTime"]
    resource["effectiveDateTime"] = old[:17] + "41" + old[19:]


def _entered_in_error(resource: Resource) -> None:
    resource["status"] = "entered-in-error"
    unit = resource["valueQuantity"]["unit"]
    resource["valueQuantity"]["value"] = number({"g/L": "250", "g/dL": "25.0"}.get(unit, "15.51"))


def _without_value(resource: Resource) -> None:
    for name in ("valueQuantity", "interpretation", "referenceRange"):
        resource.pop(name, None)
    _later_in_day(resource)


def _cancelled(resource: Resource) -> None:
    _without_value(resource)
    resource["status"] = "cancelled"


def _no_value(resource: Resource) -> None:
    _without_value(resource)
    resource.update(fhir.absent("error"))


def _preliminary(resource: Resource) -> None:
    _later_in_day(resource)
    resource["status"] = "preliminary"


def _future(resource: Resource) -> None:
    resource["effectiveDateTime"] = "2052" + resource["effectiveDateTime"][4:]


def _unmapped(resource: Resource) -> None:
    _without_value(resource)
    resource["code"] = concept([coding(LOCAL_LAB, "ZZ-731", "院内自建项目")], "院内自建项目")
    resource["valueString"] = "阴性"


def _donor(resource: Resource) -> None:
    _later_in_day(resource)
    resource["focus"] = [{"display": "供者"}]


def _unit(resource: Resource) -> None:
    _later_in_day(resource)
    text = resource["valueQuantity"]["value"]
    resource["valueQuantity"] = {"value": text, "unit": "furlong"}
    resource.pop("referenceRange", None)


def _value(resource: Resource) -> None:
    _later_in_day(resource)
    resource["valueQuantity"]["value"] = "见备注"


_FAULTS: tuple[tuple[str, int, tuple[str, ...], Callable[[Resource], None]], ...] = (
    ("entered_in_error_observations", 1, _HAEMOGLOBIN, _entered_in_error),
    ("cancelled_observations", 2, _PLATELETS, _cancelled),
    ("preliminary_only", 3, _PLATELETS, _preliminary),
    ("no_value", 2, _PLATELETS, _no_value),
    ("future", 1, _HAEMOGLOBIN, _future),
    ("unmapped", 6, _PLATELETS, _unmapped),
    ("donor", 1, _PLATELETS, _donor),
)
_BROKEN: tuple[tuple[str, tuple[str, ...], Callable[[Resource], None]], ...] = (
    ("unit", _PLATELETS, _unit),
    ("value", _PLATELETS, _value),
    ("truncated", _PLATELETS, _later_in_day),
)

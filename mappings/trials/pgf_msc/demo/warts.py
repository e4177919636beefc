"""What a wart is: an oddity met in real exports, planted in a file of its own, with the answer a right build must give.

No random number places a wart, none stands in a file of the clean cohort, and none is a blood count, a transfusion or a
treatment that an endpoint reads: the clean truth stays what it is, of the few subjects who host them too. The ids of
resources that a wart makes begin with `wart-`. All warts are declared in wart_carriers, wart_results, wart_records,
wart_events, wart_statements and wart_ladder, each once, with its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.fhir import LOINC, Resource, encode
from mappings.trials.pgf_msc.demo.people import Person, days

PREFIX = "wart-"
MOST_HOSTS = 12
_SPARED = ("withdrew-consent", "never-treated", "early-death", "merged", "death-undated")  # host no wart

Value = str | float | None


@dataclass(frozen=True, slots=True)
class Used:
    """The resource (its element, where one is named) is exactly one record of the dataset, with these values.

    values: variable -> text, number, or None for empty; version: the version that counts, where several came in;
    twin: either this resource or the other one is the record, never both; among: it is so many records, one is this.
    """

    dataset: str
    resource: str
    values: dict[str, Value]
    element: str = ""
    version: str = ""
    twin: str = ""
    among: int = 1


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many resources of a type are counted under a reason; those in `gone` leave nothing in any dataset."""

    kind: str
    reason: str
    count: int = 1
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """One line of rejects.ndjson: file, line (from 1; number of the entry in a Bundle), and the resource if it is told."""

    kind: str
    reason: str
    file: str
    line: int
    resource: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Issue:
    """One line of data-issues.csv: about the record of a resource, or about a subject where no record came of it.

    dataset: empty where the line is about no dataset; resource: empty where no keyed id stands in the line.
    """

    dataset: str
    code: str
    resource: str
    subjid: str


@dataclass(frozen=True, slots=True)
class Unmapped:
    """One line of unmapped.csv."""

    kind: str
    code: str
    text: str
    count: int
    used: str


Answer = Used | Dropped | Rejected | Issue | Unmapped


class Wart(NamedTuple):
    """A wart as it is declared: name, topic, what the hospital sends, and how it is made and answered."""

    name: str
    topic: str
    what: str
    make: Callable[[Desk], None]


def wart(into: list[Wart], topic: str, what: str) -> Callable[[Callable[[Desk], None]], Callable[[Desk], None]]:
    """Declare a wart: its name is that of the function, which writes its resources and says what must come of them."""

    def declare(make: Callable[[Desk], None]) -> Callable[[Desk], None]:
        into.append(Wart(make.__name__.replace("_", "-"), topic, what, make))
        return make

    return declare


@dataclass(slots=True)
class WartFile:
    """A file of warts: its lines, or the resources (or `DELETE Type/id`) of a Bundle's entries; and the type of each."""

    lines: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Warts:
    """All warts of a cohort: files by name, answers by the name of the wart."""

    files: dict[str, WartFile] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=dict)


class Desk:
    """Where one wart is made: a subject, free minutes on a day of his, and what is written down there."""

    def __init__(self, name: str, hosts: list[Person], turn: int, warts: Warts) -> None:
        """`turn`: number of the wart; each takes the next host, on day 3, 5, 7 … from the first treatment."""
        self.hosts, self.person = hosts, hosts[turn % len(hosts)]
        self.at = fhir.moment(self.person.origin + days(3 + 2 * (turn // len(hosts))), 11, 5)
        self.warts = warts
        self._name, self._serial = name, 0
        self._answers = warts.answers.setdefault(name, [])

    @property
    def patient(self) -> str:
        return f"Patient/{self.person.pid}"

    def move(self, day: date, hour: int, minute: int) -> None:
        """Take another minute, and the first subject who was in the hospital's care on that day."""
        self.at = fhir.moment(day, hour, minute)
        self.person = next(p for p in self.hosts if p.hsct and p.hsct < day < p.last)

    def take_sex(self) -> None:
        """Take the first subject who is a woman or a man."""
        self.person = next(p for p in self.hosts if p.gender in ("female", "male"))

    def take_arm(self, arm: str) -> None:
        """Take the first subject of an arm."""
        self.person = next(p for p in self.hosts if p.arm == arm)
        self.at = fhir.moment(self.person.origin + days(4), 11, 5)

    def rid(self) -> str:
        """Return the next id: `wart-NAME`, then `wart-NAME-2`, …"""
        self._serial += 1
        return f"{PREFIX}{self._name}" + (f"-{self._serial}" if self._serial > 1 else "")

    def result(self, code: str | Resource, value: Resource, known: datetime | None = None, **more: Any) -> Resource:
        """Return a laboratory result of this subject at this minute; `code` is a LOINC code or a CodeableConcept."""
        concept = fhir.concept([fhir.coding(LOINC, code)]) if isinstance(code, str) else code
        known = known or self.at + timedelta(hours=2)
        return fhir.observation(self.rid(), self.patient, concept, fhir.stamp(self.at), value, known, **more)

    def put(self, file: str, *resources: Resource) -> None:
        """Write resources into a file."""
        for r in resources:
            self.line(file, encode(r), r["resourceType"])

    def line(self, file: str, line: str, kind: str) -> int:
        """Write a line as it is; return its number in the file."""
        there = self.warts.files.setdefault(file, WartFile())
        there.lines.append(line)
        there.kinds.append(kind)
        return len(there.lines)

    def used(
        self,
        resource: Resource,
        dataset: str = "LB",
        element: str = "",
        version: str = "",
        twin: Resource | None = None,
        among: int = 1,
        **values: Value,
    ) -> None:
        other = identity(twin) if twin else ""
        self._answers.append(Used(dataset, identity(resource), values, element, version, other, among))

    def dropped(self, kind: str, reason: str, *gone: Resource, count: int = 0) -> None:
        self._answers.append(Dropped(kind, reason, count or len(gone), tuple(identity(r) for r in gone)))

    def rejected(
        self, file: str, resource: Resource, reason: str, where: str = "", told: bool = True, line: str = ""
    ) -> None:
        """Write a resource that is rejected (as `line` spells it), and its answer.

        told: whose it is is certain, so its keyed id stands in the reject.
        """
        n = self.line(file, line or encode(resource), resource["resourceType"])
        name = identity(resource) if told and "id" in resource else ""
        self._answers.append(Rejected(resource["resourceType"], reason, file, n, name, where))

    def broken(self, file: str, line: str, reason: str, kind: str = "Observation") -> None:
        """Write a line that nobody can read, and its answer."""
        self._answers.append(Rejected(kind, reason, file, self.line(file, line, kind)))

    def issue(self, resource: Resource | None, code: str, dataset: str = "LB") -> None:
        name = identity(resource) if resource else ""
        self._answers.append(Issue(dataset, code, name, self.person.subjid if dataset else ""))

    def unmapped(self, kind: str, code: str, text: str, count: int = 1, used: str = "N") -> None:
        self._answers.append(Unmapped(kind, code, text, count, used))


def identity(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def make_warts(people: tuple[Person, ...], declared: Sequence[Wart]) -> Warts:
    """Make all warts in the order they are declared, each on the next subject who may host one."""
    hosts = [p for p in people if p.role == "subject" and not any(t in _SPARED for t in p.traits)][:MOST_HOSTS]
    warts = Warts()
    for turn, one in enumerate(declared):
        one.make(Desk(one.name, hosts, turn, warts))
    return warts

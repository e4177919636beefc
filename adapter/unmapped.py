"""Judges counted codes and units by the tables: what is mapped, what is not, how often, and what it may mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapter.codes import Row
from adapter.derive.strings import first_place
from adapter.knowledge import Knowledge
from adapter.site_codes import IGNORED, LOT, TABLES
from adapter.suggest import NOTHING, Names, fits_unit, observation_names, table_names, unit_names

Key = tuple[str, ...]
Counts = Mapping[Key, tuple[int, bool]]
"""What names a record (columns of adapter.codes_check.COLUMNS) -> records, and whether several patients have it."""

OFTEN = 10
"""A text is shown when several patients have it or at least this many records: what is written once may name somebody."""
LONGEST = 120
MOST_SUGGESTED = 500
NUMBERS = ("quantity", "integer")
_DOMAIN = {"Observation": "", "MedicationAdministration": "CM", "Procedure": "PR", "Specimen": ""}


@dataclass(frozen=True, slots=True)
class UnknownCode:
    """A code, or a text without one, that no table knows. share: of all records of its resource type."""

    resource: str
    system: str
    code: str
    display: str
    records: int
    share: float
    usual_unit: str
    suggestion: str
    because: str


@dataclass(frozen=True, slots=True)
class UnknownUnit:
    """A unit that no table knows (`unit-unknown`), or that is none of the test (`unit-not-convertible`)."""

    spelling: str
    reason: str
    tests: str
    records: int
    suggestion: str
    because: str


@dataclass(slots=True)
class Resource:
    """What came of one resource type: records, those with a known code, and these by what becomes of them (domain)."""

    records: int = 0
    mapped: int = 0
    ignored: int = 0
    by_domain: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Checked:
    """The answer. hidden: records whose text is not shown; unitless: numbers without a unit where the test needs one."""

    resources: dict[str, Resource] = field(default_factory=dict)
    codes: list[UnknownCode] = field(default_factory=list)
    units: list[UnknownUnit] = field(default_factory=list)
    hidden: int = 0
    unitless: int = 0
    subjects: int | None = None
    overflow: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    not_read: dict[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every code and every unit is known."""
        return not (self.codes or self.units or self.hidden or self.overflow)


@dataclass(slots=True)
class _Group:
    """Records of one unknown code or text."""

    records: int = 0
    several: bool = False
    texts: Counter[str] = field(default_factory=Counter)
    often: set[str] = field(default_factory=set)  # texts that several patients have
    units: Counter[str] = field(default_factory=Counter)


def judged(counts: Mapping[str, Counts], knowledge: Knowledge, products: tuple[Any, ...]) -> Checked:
    """Return what the tables say of counted codes and units. products: the trial's."""
    found = Checked()
    units = _Units(knowledge)
    for kind in (k for k in TABLES if k in counts):
        groups: dict[tuple[str, str, str], _Group] = {}
        total = found.resources[kind] = Resource()
        for key, (records, several) in counts[kind].items():
            code, text = key[:2]
            if not code and not text:  # a Specimen without a type: nothing is said that could be known
                continue
            total.records += records
            row = _row(kind, code, text, key, knowledge, products)
            if row is not None:
                ignored = row.get("domain") == IGNORED
                total.mapped, total.ignored = total.mapped + records, total.ignored + records * ignored
                total.by_domain[row.get("domain", _DOMAIN[kind])] += records
            else:
                g = groups.setdefault(_first(code, text), _Group())
                g.records, g.several = g.records + records, g.several or several
                g.texts[text] += records
                g.often |= {text} if several else set()
                if kind == "Observation":
                    g.units[key[4] or key[2]] += records
            units.add(kind, key, row, records, several)
        found.codes += _codes(kind, groups, total.records, knowledge, found)
    found.codes.sort(key=lambda c: (-c.records, c.resource, c.system, c.code, c.display))
    found.units, found.unitless, hidden = units.result()
    found.hidden += hidden
    return found


def _row(
    kind: str, code: str, text: str, key: Key, knowledge: Knowledge, products: tuple[Any, ...]
) -> Mapping[str, str] | None:
    """Return what a build would know of a record, None where it knows nothing."""
    table = knowledge.codes[TABLES[kind]]
    codings = _codings(code)
    row = table.find(codings) or (table.by_text(text) if text else None)
    if row is None and text and kind != "Observation":
        row = table.match_text(text)
    if row is None and kind == "MedicationAdministration":
        own = knowledge.codes["products"]
        known = own.find(codings) or own.by_text(text) or own.get(LOT, key[-1])
        if known is not None or any((p.system, p.code) in codings or first_place(p.text, text) >= 0 for p in products):
            return {"domain": "EX"}
    return row


def _codings(code: str) -> list[tuple[str, str]]:
    return [(s, c) for s, _, c in (line.rpartition("|") for line in code.split("\n") if line)]


def _first(code: str, text: str) -> tuple[str, str, str]:
    """Return (system, code, "") of the first coding, or ("", "", text) of a record without any."""
    codings = _codings(code)
    return (*codings[0], "") if codings else ("", "", text)


def _shown(text: str, often: bool, records: int) -> str:
    """Return a text that may be shown, else an empty one."""
    one_line = " ".join(text.split())
    return one_line if (often or records >= OFTEN) and len(one_line) <= LONGEST else ""


def _codes(
    kind: str, groups: Mapping[tuple[str, str, str], _Group], total: int, knowledge: Knowledge, found: Checked
) -> list[UnknownCode]:
    names = _names(kind, knowledge)
    made = []
    order = sorted(groups.items(), key=lambda one: -one[1].records)
    for place, ((system, code, _), g) in enumerate(order):
        shown = [s for t, n in g.texts.most_common() if (s := _shown(t, t in g.often, n)) and t != code]
        display = shown[0] if shown else ""
        if (not code and not display) or len(code) > LONGEST:
            found.hidden += g.records
            continue
        usual = next((u for u, n in g.units.most_common() if u and _shown(u, g.several, n)), "")
        suggestion = NOTHING
        if place < MOST_SUGGESTED:
            unit = knowledge.units.resolve(None, None, usual) if usual else None
            fits = fits_unit(knowledge.units, unit.ucum if unit else "") if kind == "Observation" else _any
            suggestion = names.nearest([t for t in (display, code) if t], fits)
        made.append(UnknownCode(kind, system, code, display, g.records, g.records / total, usual, *suggestion))
    return made


def _any(row: Row | None) -> bool:
    return True


def _names(kind: str, knowledge: Knowledge) -> Names:
    if kind == "Observation":
        return observation_names(knowledge.codes["observations"], knowledge.codes["names"])
    column = {"MedicationAdministration": "cmdecod", "Procedure": "decod", "Specimen": "ct"}[kind]
    return table_names(knowledge.codes[TABLES[kind]], column)


class _Units:
    """Collects units that no table knows, and units that a test cannot have."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._units = knowledge.units
        self._found: dict[tuple[str, str, str], int] = {}  # (reason, spelling, test where it matters) -> records
        self._several: set[str] = set()
        self._tests: dict[str, Counter[str]] = {}
        self._unitless = 0

    def add(self, kind: str, key: Key, row: Mapping[str, str] | None, records: int, several: bool) -> None:
        if kind == "Observation":
            if row is None or key[5] not in NUMBERS or row["result_type"] == "text" or not row["standard_ucum"]:
                return
            code, system, text, test = key[2], key[3], key[4], row["testcd"]
        elif kind in ("MedicationAdministration", "Procedure"):
            code, system, text, test = key[2], "", key[3], "(dose)"
        else:
            return
        unit = self._units.resolve(code or None, system or None, text or None)
        spelling = text or code
        if unit is None and not spelling:
            self._unitless += (
                records if kind == "Observation" and row is not None and row["standard_ucum"] != "1" else 0
            )
        elif unit is None:
            self._note("unit-unknown", spelling, "", test, records, several)
        elif kind == "Observation" and not fits_unit(self._units, unit.ucum)(row):
            self._note("unit-not-convertible", spelling, test, test, records, several)

    def _note(self, reason: str, spelling: str, of: str, test: str, records: int, several: bool) -> None:
        key = (reason, spelling, of)
        self._found[key] = self._found.get(key, 0) + records
        self._several |= {spelling} if several else set()
        self._tests.setdefault(reason + spelling + of, Counter())[test] += records

    def result(self) -> tuple[list[UnknownUnit], int, int]:
        """Return the units, the most frequent first, how many numbers have none, and how many records are not shown."""
        nearest = unit_names(self._units)
        made: list[UnknownUnit] = []
        hidden = 0
        for (reason, spelling, of), records in sorted(self._found.items(), key=lambda one: (-one[1], one[0])):
            if not _shown(spelling, spelling in self._several, records):
                hidden += records
                continue
            tests = " ".join(t for t, _ in self._tests[reason + spelling + of].most_common(5))
            suggestion = nearest(spelling) if reason == "unit-unknown" and len(made) < MOST_SUGGESTED else NOTHING
            made.append(UnknownUnit(spelling, reason, tests, records, *suggestion))
        return made, self._unitless, hidden

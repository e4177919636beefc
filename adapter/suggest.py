"""What an unknown code or unit may mean: the nearest name in the tables. A suggestion is for a human, never for data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from adapter.codes import CodeTable, Row, folded
from adapter.systems import LOINC
from adapter.units import UnitTable, look_alike

ALIKE = 0.75
"""How alike two names must be, 0 to 1 (difflib.SequenceMatcher.ratio)."""

NOTHING = ("", "")
Suggestion = tuple[str, str]
"""(what to write into the file, why); both empty where nothing is near."""


class Names:
    """The names under which the rows of a table are known, and what a data manager would write to mean that row."""

    def __init__(self, named: Iterable[tuple[str, str, Row | None]]) -> None:
        """Take (name, what to write, row); of equal names the first counts."""
        self._known: dict[str, tuple[str, Row | None]] = {}
        for name, target, row in named:
            self._known.setdefault(_plain(name), (target, row))
        self._known.pop("", None)

    def nearest(self, texts: Iterable[str], fits: Callable[[Row | None], bool]) -> Suggestion:
        """Return the suggestion for the first of some texts: the same name, else the most similar one; `fits` says no to a
        row that cannot be meant."""
        every = [t for text in texts for t in _parts(text)]
        for text in every:
            found = self._known.get(text)
            if found is not None and fits(found[1]):
                return found[0], "same name"
        for text in every:
            for name in get_close_matches(text, self._known, n=5, cutoff=ALIKE) if len(text) > 3 else ():
                target, row = self._known[name]
                if fits(row):
                    return target, f"like {name!r}"
        return NOTHING


def _plain(text: str) -> str:
    """Return a name as names are compared: folded, without the marks that laboratories put around it."""
    return folded(text).strip(" *★▲↑↓:：")


def _parts(text: str) -> list[str]:
    """Return a text, the same without what stands in brackets, and what stands there: `血小板计数(PLT)` is also both."""
    whole = _plain(text)
    inside = re.findall(r"[(\[]([^()\[\]]+)[)\]]", whole)
    outside = _plain(re.sub(r"[(\[][^()\[\]]*[)\]]", " ", whole))
    return list(dict.fromkeys(t for t in (whole, outside, *map(_plain, inside)) if t))


def observation_names(observations: CodeTable, names: CodeTable) -> Names:
    """Return the names of tests: names.csv first, then displays and --TEST of the observations table."""

    def named() -> Iterable[tuple[str, str, Row | None]]:
        for row in names:
            target = observations.get(row["system"], row["code"])
            for name in row["names"].split("|"):
                yield name, f"{row['system']}|{row['code']}", target
        shipped = [row for row in observations if row["system"] == LOINC]
        for row in shipped:
            yield row["display"], f"{row['system']}|{row['code']}", row
        for row in shipped:
            yield row["test"], f"{row['system']}|{row['code']}", row
            yield row["testcd"], f"{row['system']}|{row['code']}", row

    return Names(named())


def table_names(table: CodeTable, column: str) -> Names:
    """Return the names of drugs, procedures or specimens; what is written is the standard name of `column`."""

    def named() -> Iterable[tuple[str, str, Row | None]]:
        for row in table:
            for name in (*row.get("match", "").split("|"), row.get("name", ""), row.get("display", ""), row[column]):
                yield name, row[column], row

    return Names(named())


def fits_unit(units: UnitTable, ucum: str) -> Callable[[Row | None], bool]:
    """Return whether results in a unit can be results of a test; everything fits where the unit is not known."""

    def fits(row: Row | None) -> bool:
        if row is None or not ucum or not row["standard_ucum"]:
            return True
        if row["standard_ucum"] == "1":
            return units.conversion(ucum, "1") is not None
        return (
            units.conversion(ucum, row["standard_ucum"], row["molar_mass"] or None, row["charge"] or None) is not None
        )

    return fits


def unit_names(units: UnitTable) -> Callable[[str], Suggestion]:
    """Return a function that suggests the unit which an unknown spelling may mean."""
    known = {look_alike(s): s for s in reversed(units.spellings())}
    without_case: dict[str, set[str]] = {}
    for name, spelling in known.items():
        unit = units.resolve(spelling)
        without_case.setdefault(name.lower(), set()).add(unit.ucum if unit else spelling)

    def nearest(text: str) -> Suggestion:
        name = look_alike(text)
        same = without_case.get(name.lower(), set())
        if len(same) == 1:
            return next(iter(same)), "the same in another case"
        near = get_close_matches(name, known, n=1, cutoff=ALIKE)
        unit = units.resolve(known[near[0]]) if near else None
        return (unit.ucum, f"like {known[near[0]]!r}") if unit is not None else NOTHING

    return nearest

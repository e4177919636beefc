"""The cells of a table as people read them: rounded, with denominators, statistics that belong together in one cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from adapter.stats.results import Result, Table

NOT_ESTIMABLE = "not estimable"
TOGETHER = {
    ("subjects", "share"): "subjects",
    ("mean", "standard deviation"): "mean (standard deviation)",
    ("median", "first quartile", "third quartile"): "median (quartiles)",
    ("minimum", "maximum"): "minimum to maximum",
}
"""Statistics that share a row where they follow each other -> what the row is called."""


@dataclass(slots=True)
class Row:
    """A row of a table: the text of each group's cell, and what to know of it (reasons, notes)."""

    section: str
    label: str
    statistic: str
    texts: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)


def heading(table: Table, group: str) -> str:
    """Return the heading of a column: `Arm (N = 34)`."""
    return f"{group} (N = {table.sizes[group]})" if group in table.sizes else group


def rows_of(table: Table) -> list[Row]:
    """Return the rows of a table. Each has the cells of all groups that have a result there."""
    blocks: dict[tuple[str, str], dict[str, dict[str, Result]]] = {}
    for r in table.results:
        blocks.setdefault((r.section, r.label), {}).setdefault(r.statistic, {})[r.group] = r
    made = []
    for (section, label), statistics in blocks.items():
        for names, title in _rows(list(statistics)):
            row = Row(section, label, title)
            for group in table.groups:
                found = [statistics[n][group] for n in names if group in statistics[n]]
                if found:
                    row.texts[group] = _text(found)
                    row.notes[group] = list(dict.fromkeys(t for r in found if (t := r.why or r.note)))
            made.append(row)
    return made


def _rows(statistics: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (statistics of the row, its title)."""
    i = 0
    while i < len(statistics):
        for names, title in TOGETHER.items():
            if tuple(statistics[i : i + len(names)]) == names:
                yield names, title
                i += len(names)
                break
        else:
            yield (statistics[i],), statistics[i]
            i += 1


def _text(found: Sequence[Result]) -> str:
    first, *others = found
    if not others:
        return formatted(first)
    rest = [formatted(r) for r in others]
    if first.statistic == "minimum":
        return f"{formatted(first)} to {rest[0]}" if first.value is not None else formatted(first)
    if all(r.value is None for r in found):
        return NOT_ESTIMABLE
    if others[0].unit == "proportion":
        rest = [rest[0].replace(" (", "; ").removesuffix(")")]
    return f"{formatted(first, of=others[0].unit == 'proportion')} ({' to '.join(rest)})"


def formatted(result: Result, of: bool = False) -> str:
    """Return a result as people read it: `76.5 % (58.8 to 89.3)`, `<0.0001`, `169 (100 to –)`, `not estimable`.

    A count of subjects names its denominator (`23/34`), but for those that are one (unless `of`).
    """
    if result.value is None:
        return NOT_ESTIMABLE
    value = _rounded(result.value, result.unit)
    if result.unit == "subjects" and result.subjects is not None and (of or result.statistic != "subjects"):
        value += f"/{result.subjects}"
    if result.lower is None and result.upper is None:
        return value
    low, high = (
        _rounded(x, result.unit).removesuffix(" %") if x is not None else "–" for x in (result.lower, result.upper)
    )
    return f"{value} ({low} to {high})"


def _rounded(value: float, unit: str) -> str:
    if unit in ("proportion", "difference"):
        return f"{_fixed(value * 100, 1)} %"
    if unit == "p":
        return "<0.0001" if value < 0.0001 else _fixed(value, 4)
    if unit in ("subjects", "events", "records") or value == int(value):
        return f"{value:.0f}"
    return _fixed(value, 1 if unit == "days" else 2)


def _fixed(value: float, digits: int) -> str:
    """Return a rounded number, never `-0.0`."""
    return f"{round(value, digits) + 0.0:.{digits}f}"

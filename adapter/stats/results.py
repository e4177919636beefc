"""Analysis results: one row per statistic, saying what it is, of whom, and what it was computed from."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from io import StringIO
from typing import Any, Literal

import pandas as pd

from adapter.errors import InputError, unknown
from adapter.stats.estimates import Estimate, PValue

UNITS = ("subjects", "events", "records", "proportion", "days", "ratio", "p", "chi-square", "difference", "")
"""Unit of a value; empty: that of the variable. A proportion is a number from 0 to 1, a difference one from -1 to 1."""


@dataclass(frozen=True, slots=True)
class Result:
    """One statistic. value, lower, upper are None where it is not estimable (`why`); numbers are not rounded.

    section, label: the parameter or variable and the row of the table. group: an arm, or the arms compared.
    dataset, population, selection: what it was computed from, as in Analysis Results Metadata; subjects: of how many.
    """

    table: str
    section: str
    label: str
    group: str
    statistic: str
    value: float | None
    unit: str
    lower: float | None
    upper: float | None
    confidence: float | None
    method: str
    dataset: str
    population: str
    selection: str
    subjects: int | None
    why: str
    note: str


COLUMNS = tuple(f.name for f in fields(Result))


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on the records of a dataset, with the comparators of Define-XML."""

    variable: str
    values: tuple[str, ...]
    comparator: Literal["EQ", "IN", "GE"] = "EQ"

    def __str__(self) -> str:
        return f"{self.variable} {COMPARED[self.comparator]} {', '.join(self.values)}"


COMPARED = {"EQ": "=", "IN": "in", "GE": ">="}


@dataclass(slots=True)
class Table:
    """A table: its results in the order of its rows, and the groups in the order of its columns.

    sizes: group -> subjects of the population in it (N of the heading). conditions: what all its records of
    `dataset` fulfil. headed: a section stands above its rows, as a class above its terms.
    """

    id: str
    title: str
    groups: tuple[str, ...]
    dataset: str
    population: str
    footnotes: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    headed: bool = False
    results: list[Result] = field(default_factory=list)

    def add(
        self,
        where: tuple[str, str, str],
        statistic: str,
        found: Estimate | PValue | float | None,
        unit: str,
        *,
        selection: str = "",
        subjects: int | None = None,
        confidence: float | None = None,
        method: str = "",
        why: str = "",
    ) -> None:
        """Append a result. where: section, label, group. A missing number needs a reason; a reason needs no number."""
        lower = upper = None
        note = ""
        if isinstance(found, Estimate):
            value, lower, upper, method = found.value, found.lower, found.upper, found.method
            why, note = found.why, found.note
        elif isinstance(found, PValue):
            value, method, why, note = found.p, found.method, found.why, found.note
            confidence = None
        else:
            value = None if found is None else float(found)
        if unit not in UNITS:
            raise ValueError(f"{self.id}: {unknown('unit', unit, list(UNITS))}")
        if (value is None) != bool(why):
            raise ValueError(f"{self.id} {where} {statistic}: value {value}, reason {why!r}; expected one of the two")
        if lower is None and upper is None:
            confidence = None
        self.results.append(
            Result(
                self.id,
                *where,
                statistic,
                value,
                unit,
                lower,
                upper,
                confidence,
                method,
                self.dataset,
                self.population,
                selection,
                subjects,
                why,
                note,
            )
        )


def results_csv(tables: Iterable[Table]) -> str:
    """Return the analysis-results dataset: all results of all tables as CSV (RFC 4180, LF), numbers to full precision."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for table in tables:
        for r in table.results:
            writer.writerow([_cell(getattr(r, c)) for c in COLUMNS])
    return out.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def columns_of(
    frame: pd.DataFrame, name: str, needed: Sequence[str], numeric: Sequence[str] = (), optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Return some columns of a dataset; text without missing values, `numeric` ones as float with NaN.

    optional: texts that a package leaves out where no record has one; they are then empty.

    Raises InputError for a column that is not there, naming the dataset, or one that holds no numbers.
    """
    for column in (*needed, *numeric):
        if column not in frame.columns:
            raise InputError(f"{name}: {unknown('variable', column, [str(c) for c in frame.columns])}")
    out: dict[str, pd.Series[Any]] = {}
    for c in needed:
        out[c] = frame[c].astype(object).where(frame[c].notna(), "").astype("str")
    for c in optional:
        there = (
            frame[c].astype(object).where(frame[c].notna(), "") if c in frame.columns else pd.Series("", frame.index)
        )
        out[c] = there.astype("str")
    for c in numeric:
        try:
            out[c] = pd.to_numeric(frame[c]).astype("float64")
        except (ValueError, TypeError):
            raise InputError(f"{name}: {c} holds text, expected numbers") from None
    return pd.DataFrame(out, index=frame.index).reset_index(drop=True)


def day_numbers(frame: pd.DataFrame, name: str, variable: str) -> pd.Series[float]:
    """Return a date variable as days, NaN where missing; numbers (SAS or R dates) stay what they are.

    Raises InputError where the dataset does not have it.
    """
    if variable not in frame.columns:
        raise InputError(f"{name}: {unknown('variable', variable, [str(c) for c in frame.columns])}")
    dates: pd.Series[Any] = frame[variable]
    if not pd.api.types.is_numeric_dtype(dates):
        dates = (pd.to_datetime(dates) - pd.Timestamp(0)) / pd.Timedelta(days=1)
    return dates.astype("float64")

"""Which data each table was made from, as Analysis Results Metadata says it: from the tables and the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile

from adapter.stats.exposure import OBSERVED
from adapter.stats.plan import Plan
from adapter.stats.results import Result, Table
from adapter.writers.results_metadata import AnalysisDataset, AnalysisResult, Display, Purpose, Where

BY_PARAMETER = ("ADRS", "ADTTE", "ADLB", "ADEX", "ADTB")
"""Datasets whose tables have a part per PARAMCD (Result.section)."""
TABULATIONS = ("DV",)
"""Datasets that the define.xml of the analysis datasets does not define."""
VARIABLES = {
    "ADRS": ("AVALC", "ANL01FL"),
    "ADTTE": ("AVAL", "CNSR", "STARTDT"),
    "ADEX": ("AVAL", "AVISIT"),
    "ADTB": ("AVAL", "AVISITN"),
    "ADAE": ("AEBODSYS", "AEDECOD", "AESER", "AETOXGR", "AEREL", "AESDTH", "DLTFL"),
    "ADCE": ("CECAT", "CEDECOD"),
    "ADLB": ("BTOXGRL", "BTOXGRH", "ATOXGRL", "ATOXGRH"),
}
ON_THEIR_WAY = ("RFSTDT", "DCUTDT", "DTHFL", "EOSSTT")
"""Variables of ADSL that say whose response is not known yet (efficacy.on_their_way)."""
PRIMARY: Purpose = "PRIMARY OUTCOME MEASURE"
SECONDARY: Purpose = "SECONDARY OUTCOME MEASURE"
EXPLORATORY: Purpose = "EXPLORATORY OUTCOME MEASURE"


def displays(tables: Iterable[Table], plan: Plan) -> tuple[Display, ...]:
    """Return the display of every table that has results."""
    return tuple(Display(t.id, t.title, tuple(_results(t, plan))) for t in tables if t.results)


def _results(table: Table, plan: Plan) -> Iterator[AnalysisResult]:
    """Yield one analysis result per parameter, or per variable of ADSL; one for a table of events."""
    parts: dict[str, list[Result]] = {}
    for r in table.results:
        by_section = table.dataset in (*BY_PARAMETER, "ADSL")
        parts.setdefault(r.section if by_section else "", []).append(r)
    for section, found in parts.items():
        name = _common(list(dict.fromkeys(r.label for r in found))) or section
        yield AnalysisResult(
            section or "ALL",
            f"{table.title}: {name}" if section else table.title,
            _purpose(table, section, plan),
            tuple(_datasets(table, section, plan)),
            _documentation(table, found),
            table.dataset if table.dataset in BY_PARAMETER and section != OBSERVED else "",
        )


def _common(labels: list[str]) -> str:
    """Return what the labels of a part begin with, whole words before a comma or colon: `Sex` of `Sex: F`, `Sex: M`."""
    if len(labels) == 1:
        return labels[0]
    same = "".join(c[0] for c in takewhile(lambda c: len(set(c)) == 1, zip(*labels, strict=False)))
    return same[: max(same.rfind(", "), same.rfind(": "), 0)]


def _datasets(table: Table, section: str, plan: Plan) -> Iterator[AnalysisDataset]:
    arm = "TRT01A" if plan.safety in (table.population, section) else "TRT01P"
    population = table.population or section
    where = (Where(population, ("Y",)),) if population in plan.populations else ()
    own: tuple[str, ...] = (section,) if table.dataset == "ADSL" and section not in plan.populations else ()
    if table.dataset == "ADRS" and plan.horizon_days:
        own = ON_THEIR_WAY
    if table.dataset == "ADTTE" and any(t.delayed and t.paramcd == section for t in plan.times):
        own = ("RANDDT",)
    yield AnalysisDataset("ADSL", where, (arm, *own))
    if table.dataset not in ("ADSL", *TABULATIONS):
        chosen = (Where("PARAMCD", (section,)),) if table.dataset in BY_PARAMETER and section != OBSERVED else ()
        conditions = (*chosen, *(Where(c.variable, c.values, c.comparator) for c in table.conditions))
        variables = (OBSERVED,) if section == OBSERVED else VARIABLES[table.dataset]
        yield AnalysisDataset(table.dataset, conditions, variables)


def _purpose(table: Table, section: str, plan: Plan) -> Purpose:
    """The primary endpoints in the main population are primary; secondary ones, and times to event that are compared, \
secondary; everything else supports them."""
    if table.population != plan.population:
        return EXPLORATORY
    if table.dataset == "ADRS":
        roles = {r.role for r in plan.responses if r.paramcd == section and f"-{r.role}-" in table.id}
        return PRIMARY if "primary" in roles else SECONDARY if "secondary" in roles else EXPLORATORY
    compared = {t.paramcd for t in plan.times if t.compared}
    return SECONDARY if table.dataset == "ADTTE" and section in compared else EXPLORATORY


def _documentation(table: Table, found: list[Result]) -> str:
    """Return the methods, the records that each statistic counts, and the footnotes of the table, in words."""
    methods = sorted({r.method for r in found if r.method})
    selected = list(dict.fromkeys(r.selection for r in found if r.selection))
    said = [f"Methods: {'; '.join(methods)}." if methods else "Counts."]
    if len(selected) <= 4:
        said += [f"Records: {s}." for s in selected]
    return " ".join([*said, *table.footnotes])

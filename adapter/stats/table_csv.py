"""A table as CSV, cell for cell as people read it; the unrounded numbers stand in the analysis-results dataset."""

from __future__ import annotations

import csv
from io import StringIO

from adapter.stats.html import formatted
from adapter.stats.results import Result, Table


def table_csv(table: Table) -> str:
    """Return a table as CSV (RFC 4180, LF): section, row and statistic, a column per group, and what to know of a cell."""
    rows: dict[tuple[str, str, str], dict[str, Result]] = {}
    for r in table.results:
        rows.setdefault((r.section, r.label, r.statistic), {})[r.group] = r
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("section", "row", "statistic", *table.groups, "notes"))
    for key, cells in rows.items():
        shown = [formatted(cells[g]) if g in cells else "" for g in table.groups]
        notes = [f"{g}: {cells[g].why or cells[g].note}" for g in table.groups if g in cells]
        writer.writerow((*key, *shown, "; ".join(n for n in notes if not n.endswith(": "))))
    return out.getvalue()

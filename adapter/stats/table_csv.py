"""A table as CSV, cell for cell as people read it; the unrounded numbers stand in the analysis-results dataset."""

from __future__ import annotations

import csv
from io import StringIO

from adapter.stats.cells import heading, rows_of
from adapter.stats.results import Table


def table_csv(table: Table) -> str:
    """Return a table as CSV (RFC 4180, LF): section, row and statistic, a column per group, and what to know of a cell."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("section", "row", "statistic", *(heading(table, g) for g in table.groups), "notes"))
    for row in rows_of(table):
        shown = [row.texts.get(g, "") for g in table.groups]
        notes = [f"{g}: {', '.join(row.notes[g])}" for g in table.groups if row.notes.get(g)]
        writer.writerow((row.section, row.label, row.statistic, *shown, "; ".join(notes)))
    return out.getvalue()

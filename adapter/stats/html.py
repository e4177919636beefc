"""Tables as plain HTML: one self-contained page, no script, nothing to load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from html import escape

from adapter.stats.cells import Row, heading, rows_of
from adapter.stats.results import Table

_STYLE = """
body { font: 14px/1.4 sans-serif; margin: 2em; color: #111; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0 0 .3em; }
caption { text-align: left; font-weight: bold; padding: .3em 0; }
th, td { padding: .15em .8em; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #111; vertical-align: bottom; }
thead th.group { text-align: right; max-width: 15em; }
tbody th { font-weight: normal; max-width: 24em; }
tr.first > * { border-top: 1px solid #bbb; }
tr.section th { font-weight: bold; border-top: 1px solid #111; padding-top: .5em; }
.headed tr:not(.section) th { padding-left: 2em; }
td { text-align: right; white-space: nowrap; }
td.statistic { text-align: left; color: #444; }
sup { line-height: 0; }
.notes { font-size: 12px; margin: 0 0 2.5em; max-width: 70em; }
.notes p, .notes ol { margin: .2em 0; }
@media print { section { break-before: page; } }
""".strip()


def page(title: str, tables: Iterable[Table], remarks: Iterable[str] = ()) -> str:
    """Return an HTML page with the tables, a list of them and remarks first. Everything that comes from data is escaped."""
    shown = list(tables)
    links = "\n".join(f'<li><a href="#{escape(t.id)}">{escape(t.title)}</a></li>' for t in shown)
    said = "".join(f"<p>{escape(r)}</p>\n" for r in remarks)
    body = "\n".join(_table(t) for t in shown)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n<ul>\n{links}\n</ul>\n"
        "<p>N: subjects of the population in an arm. A count of subjects stands before the number that it is counted in.</p>\n"
        f"{said}{body}\n</body>\n</html>\n"
    )


def _table(table: Table) -> str:
    """Return one table: a row per label and statistic, a column per group, and its notes below."""
    notes: dict[str, int] = {}
    head = "".join(f'<th class="group" scope="col">{_heading(table, g)}</th>' for g in table.groups)
    kind = ' class="headed"' if table.headed else ""
    out = [
        f'<section class="wide"><table id="{escape(table.id)}"{kind}>',
        f"<caption>{escape(table.title)}</caption>",
        f'<thead><tr><th scope="col">Parameter</th><th scope="col">Statistic</th>{head}</tr></thead>',
        "<tbody>",
    ]
    rows = rows_of(table)
    heights = Counter((r.section, r.label) for r in rows)
    before: Row | None = None
    for row in rows:
        if table.headed and (before is None or before.section != row.section):
            wide = len(table.groups) + 2
            out.append(f'<tr class="section"><th colspan="{wide}" scope="rowgroup">{escape(row.section)}</th></tr>')
        name = (row.section, row.label)
        first = before is None or (before.section, before.label) != name
        height = f' rowspan="{heights[name]}"' if heights[name] > 1 else ""
        label = f'<th{height} scope="rowgroup">{escape(row.label)}</th>' if first else ""
        shown = "".join(f"<td>{_shown(row, g, notes)}</td>" for g in table.groups)
        opening = '<tr class="first">' if first else "<tr>"
        out.append(f'{opening}{label}<td class="statistic">{escape(row.statistic)}</td>{shown}</tr>')
        before = row
    if not rows:
        out.append(f'<tr><td colspan="{len(table.groups) + 2}">Nothing to show.</td></tr>')
    out.append("</tbody></table>")
    numbered = "".join(f"<li>{escape(text)}</li>" for text in notes)
    plain = "".join(f"<p>{escape(text)}</p>" for text in (_source(table), *table.footnotes))
    listed = f"<ol>{numbered}</ol>" if numbered else ""
    return "\n".join([*out, f'<div class="notes">{listed}{plain}</div></section>'])


def _heading(table: Table, group: str) -> str:
    text = escape(heading(table, group))
    return text.replace(" (N = ", "<br>(N = ") if group in table.sizes else text


def _source(table: Table) -> str:
    methods = sorted({r.method for r in table.results if r.method and r.method != "descriptive"})
    levels = sorted({r.confidence for r in table.results if r.confidence is not None})
    datasets = table.dataset if table.dataset == "ADSL" else f"ADSL, {table.dataset}"
    where = [f"{table.population} = Y"] if table.population else []
    where += map(str, table.conditions)
    text = f"Source: {'; '.join((datasets, *where))}."
    if levels:
        text += f" Intervals: {', '.join(f'{x * 100:g} %' for x in levels)}."
    return text + (f" Methods: {'; '.join(methods)}." if methods else "")


def _shown(row: Row, group: str, notes: dict[str, int]) -> str:
    marks = ", ".join(str(notes.setdefault(text, len(notes) + 1)) for text in row.notes.get(group, ()))
    return escape(row.texts.get(group, "")) + (f"<sup>{marks}</sup>" if marks else "")

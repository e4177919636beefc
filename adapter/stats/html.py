"""Tables as plain HTML: one self-contained page, no script, nothing to load; and the rounded numbers that people read."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from adapter.stats.results import Result, Table

NOT_ESTIMABLE = "not estimable"

_STYLE = """
body { font: 14px/1.4 sans-serif; margin: 2em; color: #111; }
table { border-collapse: collapse; margin: 0 0 .3em; }
caption { text-align: left; font-weight: bold; padding: .3em 0; }
th, td { border-bottom: 1px solid #bbb; padding: .2em .8em; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #111; }
td { text-align: right; }
.notes { font-size: 12px; margin: 0 0 2.5em; padding-left: 1.5em; }
""".strip()


def page(title: str, tables: Iterable[Table], remarks: Iterable[str] = ()) -> str:
    """Return an HTML page with the tables, a list of them and remarks first. Everything that comes from data is escaped."""
    shown = list(tables)
    links = "\n".join(f'<li><a href="#{escape(t.id)}">{escape(t.title)}</a></li>' for t in shown)
    said = "".join(f"<p>{escape(r)}</p>\n" for r in remarks)
    body = "\n".join(_table(t) for t in shown)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n<ul>\n{links}\n</ul>\n{said}{body}\n"
        "</body>\n</html>\n"
    )


def _table(table: Table) -> str:
    """Return one table: a row per label and statistic, a column per group, and its notes below."""
    rows: dict[tuple[str, str, str], dict[str, Result]] = {}
    for r in table.results:
        rows.setdefault((r.section, r.label, r.statistic), {})[r.group] = r
    notes: dict[str, int] = {}
    head = "".join(f'<th scope="col">{escape(g)}</th>' for g in table.groups)
    out = [
        f'<table id="{escape(table.id)}">',
        f"<caption>{escape(table.title)}</caption>",
        f'<thead><tr><th scope="col">Parameter</th><th scope="col">Statistic</th>{head}</tr></thead>',
        "<tbody>",
    ]
    before = ("", "")
    for (section, label, statistic), cells in rows.items():
        name = label if (section, label) != before else ""
        before = (section, label)
        row = "".join(f"<td>{_shown(cells.get(g), notes)}</td>" for g in table.groups)
        out.append(f'<tr><th scope="row">{escape(name)}</th><td>{escape(statistic)}</td>{row}</tr>')
    if not rows:
        out.append(f'<tr><td colspan="{len(table.groups) + 2}">Nothing to show.</td></tr>')
    out.append("</tbody></table>")
    numbered = "".join(f"<li>{escape(text)}</li>" for text in notes)
    plain = "".join(f"<p>{escape(text)}</p>" for text in (_source(table), *table.footnotes))
    return "\n".join([*out, f'<div class="notes"><ol>{numbered}</ol>{plain}</div>'])


def _source(table: Table) -> str:
    methods = sorted({r.method for r in table.results if r.method and r.method != "descriptive"})
    levels = sorted({r.confidence for r in table.results if r.confidence is not None})
    text = f"Source: {table.dataset}" + (f", {table.population} = Y" if table.population else "") + "."
    if levels:
        text += f" Intervals: {', '.join(f'{x * 100:g} %' for x in levels)}."
    return text + (f" Methods: {'; '.join(methods)}." if methods else "")


def _shown(result: Result | None, notes: dict[str, int]) -> str:
    if result is None:
        return ""
    mark = ""
    if text := result.why or result.note:
        mark = f"<sup>{notes.setdefault(text, len(notes) + 1)}</sup>"
    return escape(formatted(result)) + mark


def formatted(result: Result) -> str:
    """Return a result as people read it: `76.5 % (58.8 to 89.3)`, `<0.0001`, `169 (100 to –)`, `not estimable`."""
    if result.value is None:
        return NOT_ESTIMABLE
    value = _rounded(result.value, result.unit)
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

"""The answer of `fhir2cdisc signals`: a table for people, JSON for programs, CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import datetime

from adapter.progress import aligned
from adapter.signals import KINDS, LABORATORY, SUSPENSION, UNRESOLVED, Signal, Signals, Source

TITLES = {
    "SUSPENSION": "Suspension signals",
    "DOSE MODIFICATION": "Dose-modification signals",
    "INFUSION REACTION": "Infusion reactions",
    "UNRESOLVED EVENT": "Events unresolved at last contact",
    "LABORATORY CANDIDATE": "Laboratory results that may be adverse events",
}
OPEN = "?"
COLUMNS = (*(f.name for f in fields(Signal) if f.name != "sources"), *(f"source_{f.name}" for f in fields(Source)))


def as_json(found: Signals) -> str:
    told = {"study": found.study, "data_cut": found.data_cut, "suspended": found.suspended, "rules": found.rules}
    told |= {"not_looked_at": found.missing, "no_records": found.empty}
    return json.dumps(
        told | {"signals": [asdict(s) for s in found.found]},
        ensure_ascii=False,
        indent=1,
    )


def as_csv(found: Signals) -> str:
    """Return one row per finding and source line (RFC 4180, LF); a finding without a source line has one row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for s in found.found:
        told = asdict(s)
        lines = told.pop("sources") or [dict.fromkeys((f.name for f in fields(Source)), "")]
        for line in lines:
            writer.writerow([_cell(x) for x in (*told.values(), *line.values())])
    return out.getvalue()


def _cell(value: object) -> str:
    return "" if value is None else "NY"[value] if isinstance(value, bool) else str(value)


def as_lines(found: Signals) -> Iterator[str]:
    """Yield the lines for people: what is to be done first, then a table per kind.

    Results that the underlying disease explains are counted only.
    """
    yield f"Study {found.study}, data cut {found.data_cut}"
    sure = {s.usubjid: False for s in found.found if s.kind == SUSPENSION}
    sure |= {s.usubjid: True for s in found.found if s.kind == SUSPENSION and s.sure}
    who = [u if sure[u] else f"{u} ({OPEN})" for u in sorted(sure)]
    yield f"SUSPENSION SIGNAL: {', '.join(who)}" if who else "No suspension signal."
    yield from (f"NOT LOOKED AT: {text}" for text in found.missing)
    yield from found.empty
    for kind in KINDS:
        mine = [s for s in found.found if s.kind == kind]
        shown = [s for s in mine if not s.expected]
        yield ""
        yield f"{TITLES[kind]}: {len(shown) or 'none'}"
        yield f"  Rule: {found.rules[kind]}"
        if shown:
            yield from (f"  {line}" for line in aligned(_table(kind, shown)))
            yield from _remarks(shown)
        if len(mine) > len(shown):
            yield f"  and {len(mine) - len(shown)} expected of the underlying disease (--json and --csv list them)"
    if any(not s.expected for s in found.found):
        yield ""
        yield "Source: resource type, file and line. The resource's own id: fhir2cdisc trace OUT DATASET SUBJECT SEQ --site DIR"


def _table(kind: str, shown: list[Signal]) -> list[tuple[str, ...]]:
    """Return heading and rows, without the columns that say nothing of this kind."""
    heading = ("", "subject", "arm", "date", "what", "after the dose", "found as", "record", "source")
    undosed = kind in (UNRESOLVED, LABORATORY)
    kept = [n for n in range(len(heading)) if not (undosed and heading[n] in ("after the dose", "found as"))]
    return [tuple(row[n] for n in kept) for row in (heading, *map(_row, shown))]


def _row(s: Signal) -> tuple[str, ...]:
    record = f"{s.dataset} {s.seq}" if s.seq is not None else s.dataset
    own = [x for x in s.sources if (x.dataset, x.seq) == (s.dataset, s.seq)]
    source = f"{own[0].resource} {own[0].file}:{own[0].line}" if own else ""
    source += f" and {len(own) - 1} more" if len(own) > 1 else ""
    return ("" if s.sure else OPEN, s.usubjid, s.arm, s.date[:16], s.what, _since(s), s.rule, record, source)


def _since(s: Signal) -> str:
    """Return the time since the dose: hours up to two days where both times are known, else days."""
    if s.dose_seq is None:
        return ""
    dose = f"EX {s.dose_seq} of {s.dose_date[:16]}"
    if len(s.date) >= 16 and len(s.dose_date) >= 16:
        hours = (datetime.fromisoformat(s.date[:16]) - datetime.fromisoformat(s.dose_date[:16])).total_seconds() / 3600
        if hours < 48:
            return f"{hours:.1f} h, {dose}"
    return dose if s.days_since_dose is None else f"{s.days_since_dose} d, {dose}"


def _remarks(shown: list[Signal]) -> Iterator[str]:
    """Yield what leaves the findings marked ? open, each remark once."""
    for text in dict.fromkeys(s.remark for s in shown if not s.sure and s.remark):
        yield f"  {OPEN} {text}"

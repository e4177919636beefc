"""The answer of `fhir2cdisc signals`: a table for people, JSON for programs, CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, fields

from adapter.progress import aligned
from adapter.signals import KINDS, Signal, Signals, Source

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
    told = {"study": found.study, "data_cut": found.data_cut, "suspended": found.suspended}
    return json.dumps(
        told | {"not_looked_at": found.missing, "signals": [asdict(s) for s in found.found]},
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
    """Yield the lines for people: a table per kind. Results that the underlying disease explains are counted only."""
    yield f"Study {found.study}, data cut {found.data_cut}"
    for kind in KINDS:
        mine = [s for s in found.found if s.kind == kind]
        shown = [s for s in mine if not s.expected]
        yield ""
        yield f"{TITLES[kind]}: {len(shown) or 'none'}"
        if shown:
            rows: list[tuple[str, ...]] = [
                ("", "subject", "arm", "record", "date", "what", "after dose", "rule", "source")
            ]
            rows += [_row(s) for s in shown]
            yield from (f"  {line}" for line in aligned(rows))
            yield from _remarks(shown)
        if len(mine) > len(shown):
            yield f"  and {len(mine) - len(shown)} expected of the underlying disease (--json and --csv list them)"
    for text in found.missing:
        yield ""
        yield text


def _row(s: Signal) -> tuple[str, ...]:
    record = f"{s.dataset} {s.seq}" if s.seq is not None else s.dataset
    dose = f"EX {s.dose_seq}, {s.dose_date[:16]}" if s.dose_seq is not None else ""
    own = [x for x in s.sources if (x.dataset, x.seq) == (s.dataset, s.seq)]
    source = f"{own[0].resource} {own[0].keyed_id}" if own else ""
    return ("" if s.sure else OPEN, s.usubjid, s.arm, record, s.date[:16], s.what, dose, s.rule, source)


def _remarks(shown: list[Signal]) -> Iterator[str]:
    """Yield what leaves the findings marked ? open, each remark once."""
    for text in dict.fromkeys(s.remark for s in shown if not s.sure and s.remark):
        yield f"  {OPEN} {text}"

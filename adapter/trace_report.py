"""The answer of `fhir2cdisc trace`: the chain of each value as an indented text for the terminal, or as JSON."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Iterator, Sequence

from adapter.trace import Line, Traced, Used

WIDTH = 110
MOST_LINES = 8
"""Records of one dataset that are shown for a value on the terminal; JSON has them all."""


def as_json(found: Sequence[Traced]) -> str:
    return json.dumps([dataclasses.asdict(t) for t in found], ensure_ascii=False, indent=2)


def as_lines(found: Sequence[Traced]) -> Iterator[str]:
    """Yield the lines of the terminal: record, its values with their rules, the records used, file and line of each."""
    for n, t in enumerate(found):
        if n:
            yield ""
        yield " ".join(filter(None, (t.dataset, t.usubjid, t.key)))
        for v in t.values:
            yield f"  {v.variable} = {v.value}" + (f"   ({v.label})" if v.label else "")
            yield from textwrap.wrap(v.rule, WIDTH, initial_indent="      ", subsequent_indent="      ")
            yield from (f"      read from {_place(line)}" for line in v.lines)
            yield from _records(v.used, "      ")
        if t.used:
            yield "  Made from:"
            yield from _records(t.used, "    ")


def _records(used: Sequence[Used], indent: str) -> Iterator[str]:
    for u in used[:MOST_LINES]:
        name = f"{u.dataset} {u.seq}" if u.seq is not None else u.dataset
        told = ", ".join(f"{k} {v}" for k, v in u.values.items())
        yield f"{indent}from {name} {u.variable}" + (f": {told}" if told else "")
        yield from (f"{indent}  {_place(line)}" for line in u.lines)
        yield from _records(u.used, f"{indent}  ")
    if len(used) > MOST_LINES:
        yield f"{indent}and {len(used) - MOST_LINES} more records (--json shows all)"


def _place(line: Line) -> str:
    who = line.resource_id or f"{line.resource} {line.keyed_id}"
    version = f", version {line.version}" if line.version else ""
    return f"{who}{version}, {line.element or line.resource}, {line.file} line {line.line}"

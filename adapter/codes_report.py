"""What `codes check` shows and writes: a table for people, JSON for programs, and CSV files to fill in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapter.code_files import read_rows
from adapter.codes_check import site_folder
from adapter.errors import OutputError
from adapter.files import write_whole
from adapter.progress import aligned
from adapter.registry import shipped
from adapter.site_codes import COLUMNS, FILE, IGNORED
from adapter.unmapped import Checked, Resource

UNITS_FILE = "units.csv"
SHOWN = 20
CODE_COLUMNS = (*COLUMNS, "suggestion", "because", "records", "share", "usual_unit", "note")
UNIT_COLUMNS = ("spelling", "ucum", "ct", "suggestion", "because", "records", "tests", "note")
"""The first columns are read by a build, the others only say what to fill in (adapter.code_files.REMARKS)."""

_LEFT_OUT = {
    "Observation": "results left out",
    "MedicationAdministration": "kept under their own name",
    "Procedure": "kept under their own name",
    "Specimen": "type left to the code of the result",
}


def answer(found: Checked, as_json: bool) -> list[str]:
    """Return the lines to print: for people, or the whole answer as JSON."""
    if as_json:
        return [json.dumps(json_of(found), indent=1, ensure_ascii=False)]
    return lines_of(found, [d.name for d in shipped()])


def lines_of(found: Checked, built: Iterable[str]) -> list[str]:
    """Return the lines for people. built: the datasets that a build makes; results of other domains wait for theirs."""
    rows = [("Resource", "records", "mapped", "", "where they go", "not mapped")]
    for kind, r in found.resources.items():
        share = f"{100 * r.mapped / r.records:.1f} %" if r.records else ""
        rows.append((kind, f"{r.records:,}", f"{r.mapped:,}", share, _domains(r, set(built)), _LEFT_OUT[kind]))
    lines = aligned(rows, right={1, 2, 3}) if found.resources else ["Nothing that has such codes was read."]
    if any("*" in row[4] for row in rows):
        lines.append("* this version does not build the domain yet; its results are counted as domain-not-built")
    if found.codes:
        table = [("Resource", "code", "display", "records", "suggestion")]
        for c in found.codes[:SHOWN]:
            name = f"{c.system}|{c.code}" if c.system else c.code or "(text)"
            table.append((c.resource, name[:60], c.display[:30], f"{c.records:,}", _said(c.suggestion, c.because)))
        lines += ["", f"Codes that no table knows ({_first(found.codes)}):", *aligned(table, right={3})]
    if found.units:
        table = [("Unit", "records", "tests", "reason", "suggestion")]
        for u in found.units[:SHOWN]:
            table.append((u.spelling[:30], f"{u.records:,}", u.tests[:30], u.reason, _said(u.suggestion, u.because)))
        lines += ["", f"Units that cannot be used ({_first(found.units)}):", *aligned(table, right={1})]
    return [*lines, "", *_remarks(found)]


def _said(suggestion: str, because: str) -> str:
    return f"{suggestion} ({because})" if suggestion else ""


def _first(found: list[Any]) -> str:
    return f"the first {SHOWN} of {len(found):,}" if len(found) > SHOWN else f"{len(found):,}"


def _domains(r: Resource, built: set[str]) -> str:
    known = {d: f"{d} {n:,}" + ("" if d in built else "*") for d, n in r.by_domain.most_common() if d}
    if IGNORED in known:
        known[IGNORED] = f"{r.ignored:,} ignored"
    return ", ".join(known.values())


def _remarks(found: Checked) -> list[str]:
    lines = []
    if found.unitless:
        lines.append(f"{found.unitless:,} numbers have no unit where the test needs one (unit-missing).")
    if found.hidden:
        lines.append(f"{found.hidden:,} records are named by a text of one patient only; such texts are not shown.")
    if found.rejected:
        lines.append(
            f"{sum(found.rejected.values()):,} resources could not be read; a build says why (rejects.ndjson)."
        )
    if found.overflow:
        lines.append(f"{sum(found.overflow.values()):,} records were not looked at: too many different codes.")
    if found.complete:
        lines.append("Every code and every unit is known.")
    return lines


def json_of(found: Checked) -> dict[str, Any]:
    """Return the answer for programs: the same facts, complete."""
    return {
        "complete": found.complete,
        "subjects": found.subjects,
        "resources": {
            kind: {
                "records": r.records, "mapped": r.mapped, "ignored": r.ignored,
                "share": round(r.mapped / r.records, 4) if r.records else None, "domains": dict(r.by_domain),
            }
            for kind, r in found.resources.items()
        },
        "codes": [asdict(c) | {"share": round(c.share, 4)} for c in found.codes],
        "units": [asdict(u) for u in found.units],
        "hidden": found.hidden,
        "unitless": found.unitless,
        "rejected": found.rejected,
        "not_looked_at": found.overflow,
        "not_read": found.not_read,
    }  # fmt: skip


def write_skeletons(
    found: Checked, folder: Path, site_named: str | None = None, enrolment: str | None = None
) -> list[Path]:
    """Write codes.csv and units.csv to fill in, and return what was written; a file without a line is not made.

    What the site has filled in already stands first, as it is there, so that the new file can take the place of the old.
    Raises OutputError where a file of this name exists already.
    """
    site = site_folder(site_named, enrolment)
    codes = [
        (
            c.resource,
            c.system,
            c.code,
            c.display,
            "",
            c.suggestion,
            c.because,
            str(c.records),
            f"{c.share:.4f}",
            c.usual_unit,
            "",
        )
        for c in found.codes
    ]
    units = [
        (u.spelling, "", "", u.suggestion, u.because, str(u.records), u.tests, "")
        for u in found.units
        if u.reason == "unit-unknown"
    ]
    written = []
    for name, columns, rows, key, must in (
        (FILE, CODE_COLUMNS, codes, ("map_to",), "map_to"),
        (UNITS_FILE, UNIT_COLUMNS, units, ("spelling", "ucum"), "ucum"),
    ):
        if rows:
            before = _filled_in(site, name, columns, key, must)
            written.append(_write(folder / name, columns, [*before, *rows]))
    return written


def _filled_in(
    site: Path | None, name: str, columns: tuple[str, ...], key: tuple[str, ...], must: str
) -> list[tuple[str, ...]]:
    file = site / name if site is not None else None
    if file is None or not file.is_file():
        return []
    rows: Iterable[Mapping[str, str]] = (row for _, row in read_rows(file, key, columns))
    return [tuple(row.get(c, "") for c in columns) for row in rows if row.get(must)]


def _write(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    if path.exists():
        raise OutputError(f"{path} exists already, and somebody may have filled it in; expected another folder")
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([columns, *rows])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.getvalue().encode("utf-8-sig"))  # the mark tells spreadsheets that it is UTF-8
    except OSError as e:
        raise OutputError(f"cannot write {path}: {e.strerror or e}") from e
    return path

"""Writes a validation report as an Excel workbook: every cell is text or a number, never a formula or a link."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter

MAX_ROWS = 1_048_576
"""Rows of a sheet of Excel."""
MAX_TEXT = 32_767
"""Characters of a cell of Excel."""
_RISKY = ("=", "+", "-", "@", "\t", "\r", "|", "%")
SHEETS = {
    "Dataset_Details": "Dataset Details",
    "Issue_Summary": "Issue Summary",
    "Issue_Details": "Issue Details",
    "Rules_Report": "Rules Report",
    "File_Problems": "File Problems",
}


def write_xlsx(path: Path, report: Mapping[str, Any], max_rows: int = MAX_ROWS) -> None:
    """Write a report; a table longer than a sheet goes on in further sheets."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "in_memory": False,
    }
    with xlsxwriter.Workbook(str(path), options) as book:
        bold = book.add_format({"bold": True})
        # shown with the mark that makes Excel take it for text, also after it was edited or saved as CSV
        quoted = book.add_format({"quote_prefix": True})
        details = [{"detail": k, "value": v} for k, v in report["Conformance_Details"].items()]
        for name, rows in (("Conformance Details", details), *((SHEETS[k], report[k]) for k in SHEETS)):
            for number, part in enumerate(_parts(rows, max_rows - 1), 1):
                sheet = book.add_worksheet(name if number == 1 else f"{name} ({number})")
                sheet.freeze_panes(1, 0)
                columns = list(rows[0]) if rows else ["nothing"]
                for c, column in enumerate(columns):
                    sheet.write_string(0, c, column, bold)
                for r, row in enumerate(part, 1):
                    for c, column in enumerate(columns):
                        _write(sheet, r, c, row.get(column), quoted)


def _parts(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    yield rows[:size]
    for start in range(size, len(rows), size):
        yield rows[start : start + size]


def _write(sheet: Any, row: int, column: int, value: Any, quoted: Any) -> None:
    if value is None or value == "":
        return
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        sheet.write_number(row, column, value)
        return
    text = ", ".join("" if v is None else str(v) for v in value) if isinstance(value, list) else str(value)
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    sheet.write_string(row, column, text, quoted if text.startswith(_RISKY) else None)

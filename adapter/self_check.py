"""`build --validate`: runs this program's own rules over the package that is about to take its place."""

from __future__ import annotations

import json
from collections import Counter

from adapter.check.engine import Progress
from adapter.output import OutputFolder
from adapter.report.as_html import page
from adapter.report.findings import by_severity
from adapter.validate import validate

REPORTS = {"sdtm": "validation", "adam": "validation-adam"}
"""Folder of a build -> name of the report on it."""


def check_built(output: OutputFolder, workers: int, progress: Progress) -> dict[str, int]:
    """Write a report (JSON, HTML) on each folder of datasets; return the number of findings of each severity in all.

    They tell of the datasets where they will be, and of the time, so they are outside the promise of equal bytes.
    """
    found: Counter[str] = Counter()
    for folder, name in REPORTS.items():
        if (output.staging / folder).is_dir():
            for severity, n in _check(output, folder, name, workers, progress).items():
                found[severity] += n
    return dict(found)


def _check(output: OutputFolder, folder: str, name: str, workers: int, progress: Progress) -> dict[str, int]:
    found = validate(output.staging / folder, workers=workers, progress=progress)
    final = str(output.folder / folder)
    found.report["Conformance_Details"]["Path"] = final
    for d in found.report["Dataset_Details"]:
        d["path"] = final
    text = json.dumps(found.report, ensure_ascii=False, indent=1, default=str) + "\n"
    output.path(f"{name}.json").write_text(text, encoding="utf-8")
    counts = by_severity(found.checked)
    output.path(f"{name}.html").write_text(page(found.report, counts), encoding="utf-8")
    counts["error"] += sum(r["status"] == "EXECUTION ERROR" for r in found.report["Rules_Report"])
    return counts

"""`build --validate`: runs this program's own rules over the package that is about to take its place."""

from __future__ import annotations

import json

from adapter.check.engine import Progress
from adapter.output import OutputFolder
from adapter.report.as_html import page
from adapter.report.findings import by_severity
from adapter.validate import validate

FOLDER = "sdtm"


def check_built(output: OutputFolder, workers: int, progress: Progress) -> dict[str, int]:
    """Write validation.json and validation.html into the build; return the number of findings of each severity.

    They tell of the datasets where they will be, and of the time, so they are outside the promise of equal bytes.
    """
    found = validate(output.staging / FOLDER, workers=workers, progress=progress)
    final = str(output.folder / FOLDER)
    found.report["Conformance_Details"]["Path"] = final
    for d in found.report["Dataset_Details"]:
        d["path"] = final
    text = json.dumps(found.report, ensure_ascii=False, indent=1, default=str) + "\n"
    output.path("validation.json").write_text(text, encoding="utf-8")
    counts = by_severity(found.checked)
    output.path("validation.html").write_text(page(found.report, counts), encoding="utf-8")
    counts["error"] += sum(r["status"] == "EXECUTION ERROR" for r in found.report["Rules_Report"])
    return counts

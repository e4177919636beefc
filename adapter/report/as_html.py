"""Writes a validation report as one HTML page that needs nothing else: filters by severity, status, dataset and words."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

MOST = 20_000
"""Findings that the page holds at most; the JSON report has all that the limit kept."""


def page(report: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    """Return the page. The data stand in it as JSON that no browser runs; nothing is fetched."""
    details = report["Issue_Details"]
    data = {
        "conformance": report["Conformance_Details"],
        "severity": dict(counts),
        "datasets": report["Dataset_Details"],
        "summary": report["Issue_Summary"],
        "details": details[:MOST],
        "left_out": max(0, len(details) - MOST),
        "rules": report["Rules_Report"],
        "problems": report["File_Problems"],
        "comparison": report.get("Comparison"),
    }
    template = files("adapter").joinpath("report/page.html").read_text(encoding="utf-8")
    # inside a script element only </ and <!-- could end or change it
    held = json.dumps(data, ensure_ascii=False, default=str).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    title = html.escape(f"Validation of {report['Conformance_Details']['Path']}")
    return template.replace("{{title}}", title).replace("{{data}}", held.replace("\u2029", "\\u2029"))

"""What a person sees of a validation on the terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Any

from adapter.check.engine import FAILED, REPORTED, SKIPPED, SUCCESS, Checked
from adapter.progress import WIDTH, aligned
from adapter.report.findings import SEVERITIES, by_severity

MOST = 40


def lines(checked: Checked, compared: Mapping[str, Any] | None = None) -> list[str]:
    """Return the summary: files, rules with findings (worst first), rules that failed or were not run, totals."""
    package = checked.world.package
    records = sum(d.records for d in package.datasets)
    name, version = checked.world.standard
    shown = [f"{len(package.datasets)} datasets, {records:,} records, {name} {version}, in {checked.seconds:.1f} s"]
    for p in package.problems:
        shown += _wrapped(f"{p.file}{f', {p.variable}' if p.variable else ''}: {p.detail}")
    shown += ["", *_findings(checked), *_not_run(checked)]
    if compared is not None:
        shown += ["", *_compared(compared)]
    counts, found = checked.counts(), by_severity(checked)
    total = ", ".join(f"{n:,} {s}" for s, n in found.items() if n) or "no finding"
    shown += [
        "",
        f"Findings: {total}",
        f"Rules: {counts[SUCCESS]} found nothing, {counts[REPORTED]} found something, {counts[SKIPPED]} were not run, "
        f"{counts[FAILED]} failed",
    ]
    return shown


def _findings(checked: Checked) -> list[str]:
    rank = {s: i for i, s in enumerate(SEVERITIES)}
    hits = sorted((r for r in checked.results if r.count), key=lambda r: (rank[r.rule.severity], -r.count, r.rule.id))
    if not hits:
        return ["No rule found anything."]
    rows = [("Rule", "severity", "found", "in", "message")]
    for r in hits[:MOST]:
        where = ", ".join(dict.fromkeys(i.dataset for o in r.outcomes for i in o.issues))
        message = next((o.message for o in r.outcomes if o.count), "") or r.rule.message
        rows.append(
            (r.rule.id, r.rule.severity, f"{r.count:,}", textwrap.shorten(where, 22, placeholder=" …"), message)
        )
    more = [f"… and {len(hits) - MOST} more rules with findings"] if len(hits) > MOST else []
    return [*(line[:WIDTH] for line in aligned(rows)), *more]


def _not_run(checked: Checked) -> list[str]:
    failed = [(r.rule.id, r.reason) for r in checked.results if r.status == FAILED]
    failed += [(u.id, f"{u.file}: {u.reason}") for u in checked.unusable if u.broken]
    shown = []
    if failed:
        shown += ["", "Failed:"]
        for ident, reason in failed[:MOST]:
            shown += _wrapped(f"{ident}: {reason}")
    beyond = [(u.id, u.reason) for u in checked.unusable if not u.broken]
    if beyond:
        shown += ["", "Not supported:"]
        for ident, reason in beyond[:MOST]:
            shown += _wrapped(f"{ident}: {reason}")
    reasons = Counter(_kind(r.reason) for r in checked.results if r.status == SKIPPED)
    if reasons:
        shown += ["", "Not run:"]
        shown += [f"  {n:4} rules: {reason}" for reason, n in reasons.most_common()]
    return shown


def _kind(reason: str) -> str:
    """Return the reason without the dataset in front, of the first dataset."""
    first = reason.split("; ")[0]
    return first.partition(": ")[2] or first


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - 2, initial_indent="  ", subsequent_indent="    ")


def _compared(compared: Mapping[str, Any]) -> list[str]:
    shown = [
        f"Compared with {compared['report']}: {compared['same']:,} findings in both, {compared['only_here']:,} only "
        f"here, {compared['only_there']:,} only there"
    ]
    rows = [("Rule", "both", "only here", "only there", "status here", "status there")]
    different = [
        r for r in compared["rules"] if r["only_here"] or r["only_there"] or r["status_here"] != r["status_there"]
    ]
    for r in different[:MOST]:
        rows.append(
            (
                r["core_id"],
                str(r["same"]),
                str(r["only_here"]),
                str(r["only_there"]),
                r["status_here"],
                r["status_there"],
            )
        )
    return [*shown, *aligned(rows)] if different else shown

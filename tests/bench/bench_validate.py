"""How long `validate` takes on a package of 22 datasets, how much memory, and how each rule grows with ten times the rows.

    python -m tests.bench.bench_validate [RECORDS]

The published rules are used where they lie beside this folder (../shared/data/open-rules), else this program's own alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from adapter.check.engine import run_rule
from adapter.check.readers import read_package
from adapter.check.world import World
from adapter.validate import chosen_rules
from tests.bench.sdtm_package import write_package

RULES = Path(__file__).parents[2] / ".." / "shared" / "data" / "open-rules"
NOISE = 0.25
"""Seconds of CPU with ten times the rows below which a rule's ratio says nothing."""


def folders() -> list[str]:
    return [str(RULES)] if RULES.is_dir() else []


def whole(package: Path, workers: int) -> tuple[float, float, float]:
    """Run the command; return wall seconds, CPU seconds, peak PSS in MB of all its processes."""
    from tests.bench.__main__ import pss_of_tree

    options = [x for f in folders() for x in ("--rules", f)]
    command = [sys.executable, "-m", "adapter.cli", "validate", str(package), *options, "--workers", str(workers)]
    before, start, peak = os.times(), time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, pss_of_tree(process.pid))
        time.sleep(0.05)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - start, cpu, peak / 1024


def per_rule(package: Path) -> dict[str, float]:
    """Return CPU seconds per rule, one process, columns shared between rules as in a run."""
    rules, _ = chosen_rules(folders(), only=False)
    world = World(read_package(package))
    found = {}
    for rule in rules:
        start = time.process_time()
        run_rule(rule, world, 1000)
        found[rule.id] = time.process_time() - start
    return found


def run(records: int = 300_000) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="fhir2cdisc-bench-") as work:
        small, large = Path(work) / "small", Path(work) / "large"
        counts = write_package(small, records)
        write_package(large, 10 * records)
        rules, _ = chosen_rules(folders(), only=False)
        yield f"  {len(rules)} rules, {len(counts)} datasets, {sum(counts.values()):,} records"
        for workers in (1, 2):
            wall, cpu, peak = whole(small, workers)
            yield f"  {workers} workers: {wall:6.1f} s, peak {peak:,.0f} MB" + (
                f", {cpu:.1f} s CPU" if workers == 1 else ""
            )
        once, tenfold = per_rule(small), per_rule(large)
        ratio = sum(tenfold.values()) / sum(once.values())
        yield f"  ten times the rows: {ratio:.1f} x the CPU time of all rules ({sum(tenfold.values()):.1f} s)"
        slow = sorted((tenfold[k] / max(once[k], 1e-4), k) for k in tenfold if tenfold[k] >= NOISE)
        yield "  steepest: " + ", ".join(f"{k} {r:.1f} x" for r, k in reversed(slow[-3:]))


if __name__ == "__main__":
    for line in run(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000):
        sys.stdout.write(line + "\n")

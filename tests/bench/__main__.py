"""`make bench`: how fast and how large, in one run on one machine, as ratios. No assertion: a machine is not a test.

    python -m tests.bench [--quick]

Rates are per CPU second of one core (the process is pinned to it). Memory is the sum of PSS over the process tree.
"""

from __future__ import annotations

import gc
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.volume import shuffled, write_volume

BUILD = (
    "import sys, time\n"
    "t = time.process_time()\n"
    "from adapter import build\n"
    "source, out, workers = sys.argv[1:4]\n"
    "build(source + '/fhir', out, enrolment=source + '/enrolment.csv', workers=int(workers), overwrite=True)\n"
)


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def cpu_rate(n: int, run: Callable[[], object], repeat: int = 3) -> float:
    """Return n per CPU second, the best of some runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return n / best


def parse_rates(source: Path) -> dict[str, float]:
    """Return Observations per CPU second of fhir.resources, of json and pick, and of our intake."""
    from fhir.resources.R4B.observation import Observation

    from adapter.intake.dates import SiteClock
    from adapter.intake.intake import intake
    from adapter.intake.keys import held
    from adapter.intake.reading import Reading
    from adapter.intake.structs import Observation as Read
    from adapter.site import Keyer
    from adapter.sources.files import RANGE_BYTES

    with open(source / "fhir" / "Observation.ndjson", "rb") as f:
        data = f.read(96 << 20).rpartition(b"\n")[0]
    lines = data.split(b"\n")
    few, some = lines[:2_000], lines[:20_000]
    keyer = Keyer(b"b" * 32)
    subjects = {keyer.keyed(f"Patient/p{i:06d}"): i for i in range(2_000)}
    read = Reading(SiteClock("Asia/Shanghai"), keyer, subjects, {})
    pieces = []
    start = 0
    while start < len(data):
        end = data.find(b"\n", min(start + RANGE_BYTES, len(data)))
        end = len(data) if end < 0 else end + 1
        pieces.append(data[start:end])
        start = end

    def ours() -> None:
        gc.disable()  # as the worker's task does
        for piece in pieces:
            taken = intake(io.BytesIO(piece), read, 16, 0, 1, 0)
            assert not taken.rejects
        gc.enable()

    def picked() -> None:
        for line in some:
            r = json.loads(line)
            (r["id"], r["subject"]["reference"], r["code"]["coding"][0]["code"], r["effectiveDateTime"])
            (r["valueQuantity"]["value"], r["valueQuantity"]["unit"], r["referenceRange"][0]["low"]["value"])

    return {
        "fhir.resources, parse": cpu_rate(len(few), lambda: [Observation.model_validate_json(x) for x in few]),
        "json and pick": cpu_rate(len(some), picked),
        "our intake": cpu_rate(len(lines), ours),
        # what a look at every key of every line would cost beside that (adapter.intake.keys)
        "keys that stand twice": cpu_rate(len(some), lambda: [held(Read, x) for x in some]),
    }


def pss_of_tree(root: int) -> int:
    """Return the summed PSS of a process and its descendants, in kB."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
    tree, more = {root}, True
    while more:
        found = {p for p, parent in parents.items() if parent in tree} - tree
        tree |= found
        more = bool(found)
    total = 0
    for pid in tree:
        try:
            for line in (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return total


def build(source: Path, out: Path, workers: int, core: int | None = None) -> dict[str, float]:
    """Run a build in a process of its own; return CPU seconds, wall seconds, peak PSS in MB, and the stages' seconds."""
    shutil.rmtree(out, ignore_errors=True)
    before = os.times()
    start = time.monotonic()
    pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(source), str(out), str(workers)], preexec_fn=pin)
    peak = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.1):
            peak = max(peak, pss_of_tree(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    over.set()
    watcher.join()
    if code:
        raise SystemExit(f"the build of {source} ended with {code}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    seconds: dict[str, float] = json.loads((out / "run.json").read_text())["seconds"]
    return {
        "cpu": cpu,
        "wall": time.monotonic() - start,
        "pss": peak / 1024,
        **{f"  {k}": v for k, v in seconds.items()},
    }


def main(quick: bool) -> None:
    small, large = (20_000, 100_000) if quick else (200_000, 1_000_000)
    core = min(os.sched_getaffinity(0))
    work = Path(tempfile.mkdtemp(prefix="fhir2cdisc-bench-"))
    try:
        say(f"volume: {small:,} Observations of 2,000 patients")
        source = write_volume(small, work / "small")
        everywhere = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})
        rates = parse_rates(source)
        base = rates["fhir.resources, parse"]
        say("\nObservations per CPU second, one core")
        for name, rate in rates.items():
            say(f"  {name:24} {rate:12,.0f}   {rate / base:6.1f} x fhir.resources")
        from tests.bench.bench_xpt import run as xpt

        say("\nXPT rows of 25 columns per CPU second, one core")
        for name, rate in xpt(100_000 if quick else 300_000).items():
            say(f"  {name:24} {rate:12,.1f}")
        from tests.bench.bench_formats import lines
        from tests.bench.bench_formats import run as formats

        say("\nrows of 25 columns per CPU second, one core; x: as fast as pandas or pyarrow")
        for line in lines(formats(100_000 if quick else 300_000)):
            say(line)
        os.sched_setaffinity(0, everywhere)
        from tests.bench.bench_validate import run as validate

        say("\nvalidate")
        for line in validate(30_000 if quick else 300_000):
            say(line)
        say("\nwhole build, one worker on one core")
        for name, folder in (("in order", source), ("shuffled", shuffled(source, work / "shuffled"))):
            found = min((build(folder, work / "out", 1, core) for _ in range(3)), key=lambda f: f["cpu"])
            say(
                f"  {name:10} {small / found['cpu']:10,.0f} per CPU second; {found['cpu']:.1f} s CPU, {found['pss']:,.0f} MB"
            )
            for stage, seconds in found.items():
                if stage.startswith("  "):
                    say(f"  {stage:12} {seconds:8.2f} s")
        say("\nwhole build, two workers")
        two = build(source, work / "out", 2)
        say(f"  {small:>9,}: {two['wall']:6.1f} s, peak {two['pss']:,.0f} MB")
        shutil.rmtree(work / "shuffled")
        big = build(write_volume(large, work / "large"), work / "out", 2)
        say(
            f"  {large:>9,}: {big['wall']:6.1f} s, peak {big['pss']:,.0f} MB, {big['pss'] / two['pss']:.2f} x the smaller"
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main("--quick" in sys.argv)

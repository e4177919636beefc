"""Is this machine fit? Python, packages, disk, memory, worker processes, time zones, a build of three made-up patients.

This module imports only what has no dependencies, so that it can say what is missing.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapter.errors import AdapterError
from adapter.executors import process_pool
from adapter.files import write_whole

if TYPE_CHECKING:
    from adapter.trial import Trial

DISTRIBUTION = "fhir2cdisc"
LEAST_DISK = 1 << 30
LEAST_MEMORY = 1 << 30
POOL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, what was found, what is needed."""

    ok: bool
    what: str
    found: str
    needed: str


def check_machine() -> Iterator[Check]:
    """Yield the checks in the order in which they are worth mending. Changes nothing outside a temporary folder."""
    packaged = list(packages(DISTRIBUTION))
    yield from packaged
    yield from machine()
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as e:
        yield Check(False, "temporary folder", e.strerror or str(e), "one that can be written; see TMPDIR")
        return
    yield disk(folder)
    yield durable(folder)
    yield pool()
    if not all(c.ok for c in packaged):
        yield Check(False, "small build", "not tried", "the packages above")
        return
    from adapter.trial import find_trials, load_trial

    trials = {name: load_trial(path) for name, path in find_trials().items()}
    yield from (time_zone(t.study.time_zone) for t in trials.values())
    yield from (small_build(name, t) for name, t in trials.items())


def packages(distribution: str) -> Iterator[Check]:
    """Compare Python and the run-time packages with what the installed distribution asks for."""
    try:
        about = metadata.metadata(distribution)
        needs = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        yield Check(False, distribution, "not installed", "pip install -c constraints.txt -e .")
        return
    python = (about["Requires-Python"] or "").removeprefix(">=")
    version = platform.python_version()
    yield Check(numbers(version) >= numbers(python), "Python", version, f">= {python}")
    for need in needs:
        if "extra ==" in need:
            continue
        match = re.match(r"([\w.-]+)\s*(?:\(?>=\s*([\w.]+))?", need)
        name, least = (match[1], match[2] or "0") if match else (need, "0")
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Check(False, name, "not installed", f">= {least}")
            continue
        yield Check(numbers(found) >= numbers(least), name, found, f">= {least}")


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: 3.1.0rc1 -> (3, 1, 0)."""
    return tuple(int(n) for n in re.findall(r"\d+", re.match(r"[\d.]*", version)[0]))  # type: ignore[index]


def disk(folder: Path) -> Check:
    """Is there room for temporary files? A build needs about as much as its input is large."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as e:
        return Check(False, f"disk space in {folder}", str(e.strerror), _size(LEAST_DISK))
    return Check(
        free >= LEAST_DISK, f"disk space in {folder}", _size(free), f"{_size(LEAST_DISK)}, or the input's size"
    )


def machine() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Check(True, "processors", str(cores), "1; each more is used")
    memory = _memory()
    yield Check(memory >= LEAST_MEMORY, "memory", _size(memory), f"{_size(LEAST_MEMORY)}; about 0.75 GiB a worker")


def _memory() -> int:
    """Return the machine's memory in bytes, or the container's limit where there is one."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        if limit.is_file() and (text := limit.read_text().strip()).isdecimal():
            total = min(total, int(text))
    return total


def durable(folder: Path) -> Check:
    """Can files be written in the temporary folder, forced to disk and renamed?"""
    what, needed = f"writing safely in {folder}", "write, fsync, rename"
    try:
        with tempfile.TemporaryDirectory(prefix="fhir2cdisc-doctor-", dir=folder) as made:
            path = Path(made) / "file"
            write_whole(path, b"fit")
            fit = path.read_bytes() == b"fit"
    except (OSError, AdapterError) as e:
        return Check(False, what, str(e), needed)
    return Check(fit, what, "works" if fit else "other bytes came back", needed)


def pool() -> Check:
    """Do worker processes start and answer?"""
    what, needed = "worker processes", "start and answer"
    try:
        with process_pool(2) as executor:
            answers = {executor.submit(os.getpid).result(POOL_SECONDS) for _ in range(2)}
    except (OSError, BrokenExecutor, Late) as e:
        return Check(False, what, str(e) or type(e).__name__, needed)
    return Check(os.getpid() not in answers, what, "work", needed)


def time_zone(name: str) -> Check:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as e:
        return Check(False, "time zone data", str(e), name)
    return Check(True, "time zone data", name, name)


def small_build(name: str, trial: Trial) -> Check:
    """Build three made-up patients with one result each: every one must be in DM, and every result in LB."""
    what, needed = f"small build, trial {name}", "DM 3, LB 3 records"
    from adapter.run import build

    try:
        with tempfile.TemporaryDirectory(prefix="fhir2cdisc-doctor-") as made:
            folder = Path(made)
            write_three_patients(folder, trial)
            result = build(folder / "fhir", folder / "out", folder / "enrolment.csv", trial=trial.folder, workers=1)
            records = {d: len(result.sdtm[d]) for d in ("DM", "LB")}
    except (OSError, AdapterError, KeyError) as e:
        return Check(False, what, str(e), needed)
    found = ", ".join(f"{d} {n}" for d, n in records.items())
    return Check(records == {"DM": 3, "LB": 3}, what, f"{found} records", needed)


def write_three_patients(folder: Path, trial: Trial) -> None:
    """Write FOLDER/fhir and FOLDER/enrolment.csv: three people with a result each, of the code table's first test."""
    from adapter.knowledge import load_knowledge

    table = load_knowledge(trial, None).codes["observations"]
    test = next(r for r in table if r["domain"] == "LB" and r["result_type"] == "numeric" and r["standard_ucum"])
    arm = next(iter(trial.arms))
    (folder / "fhir").mkdir()
    people, results, log = [], [], ["patient,subjid,siteid,arm,consent_date,randomisation_date"]
    for n in "123":
        people.append({"resourceType": "Patient", "id": n, "gender": "female", "birthDate": "1980-01-01"})
        quantity = {"value": int(n), "system": "http://unitsofmeasure.org", "code": test["standard_ucum"]}
        results.append(
            {"resourceType": "Observation", "id": n, "status": "final", "subject": {"reference": f"Patient/{n}"}}
            | {"code": {"coding": [{"system": test["system"], "code": test["code"]}]}}
            | {"effectiveDateTime": "2024-01-02", "valueQuantity": quantity}
        )
        log.append(f"{n},{n},01,{arm},2024-01-01,2024-01-02")
    for name, lines in (("Patient", people), ("Observation", results)):
        (folder / "fhir" / f"{name}.ndjson").write_text("".join(json.dumps(one) + "\n" for one in lines), "utf-8")
    (folder / "enrolment.csv").write_text("\n".join(log) + "\n", "utf-8")


def _size(n: int) -> str:
    return f"{n / (1 << 30):.1f} GiB"

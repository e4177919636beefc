"""`build --strict` over files: a task per byte range writes its findings; the driver joins them to OUT/strict.csv.

All files that the build is given are checked, whether the store knows them already or not: the store holds rows, and what
is checked is what the hospital sent.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapter.errors import InputError
from adapter.ingest import Ingest, Ingested
from adapter.output import OutputFolder
from adapter.sources.carriers import open_range, ranges_of
from adapter.sources.files import InputFile
from adapter.strict import Checked, check, known_differences
from adapter.subjects import borne
from adapter.tasks import Context, Range, Setting, own_name, reading_of, write_context

FILE = "strict.csv"
COLUMNS = ("file", "line", "resource_type", "keyed_id", "fhir", "element", "kind")


@dataclass(frozen=True, slots=True)
class StrictTask:
    label: str
    range: Range
    setting: Setting
    context: str


@dataclass(slots=True)
class StrictReceipt:
    """Where the findings of a range are (lines numbered within it), and what was checked."""

    path: str
    lines: int
    resources: int
    kinds: Counter[str]


def strict_task(task: StrictTask) -> StrictReceipt:
    """Check the resources of one range; leave its findings as CSV."""
    r = task.range
    path = own_name(task.setting.folder, "strict")
    checked = Checked()
    with open(path, "w", encoding="utf-8", newline="") as f:
        lines = open_range(r.path, r.start, r.stop, task.setting.own)
        csv.writer(f).writerows(check(lines, reading_of(task.context, task.setting), known_differences(), checked))
    return StrictReceipt(str(path), checked.lines, checked.resources, checked.kinds)


def check_files(
    ingest: Ingest, ingested: Ingested, files: Sequence[InputFile], range_bytes: int, output: OutputFolder
) -> dict[str, Any]:
    """Check all resources of subjects in some files, write strict.csv, and return the counts for the manifest.

    Counts: resources checked, and findings by kind. The findings stand by file and line, then by element. Raises InputError
    where a store alone is given.
    """
    if not files:
        raise InputError("a store holds no FHIR resources; with --strict expected the files themselves as INPUT")
    setting = ingest.setting
    bearers = borne(ingested.known, ingested.subjects)
    context = write_context(setting, "strict", Context(ingested.subjects, {}, bearers=bearers))
    ranges = [Range(f.label, f.path, a, b) for f in files for a, b in ranges_of(f.path, f.size, range_bytes)]
    tasks = [StrictTask(r.label, r, setting, context) for r in ranges]
    done = Counter[str]()
    ingest.progress("strict", 0, len(tasks))

    def told(_: StrictReceipt) -> None:
        done["n"] += 1
        ingest.progress("strict", done["n"], len(tasks))

    receipts = ingest.runner.run(strict_task, tasks, told)
    kinds, resources = Counter[str](), 0
    with open(output.path(FILE), "w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(COLUMNS)
        label, first = "", 0
        for r, receipt in zip(ranges, receipts, strict=True):
            if r.label != label:
                label, first = r.label, 0
            with open(receipt.path, encoding="utf-8", newline="") as part:
                for line, *rest in csv.reader(part):
                    writer.writerow((label, first + int(line), *rest))
            first += receipt.lines
            kinds += receipt.kinds
            resources += receipt.resources
    return {"strict": {"resources": resources, "findings": dict(sorted(kinds.items()))}}

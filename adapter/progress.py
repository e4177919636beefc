"""What a person sees of a build: a bar per stage on a terminal, a line per stage anywhere else, and the closing table.

with Shown(sys.stderr) as progress:
    result = build(..., progress=progress)
"""

from __future__ import annotations

import os
import shutil
import textwrap
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO
from unicodedata import east_asian_width

from adapter.reasons import REASONS

BAR = 30
STAGES = {
    "identify": "Looking for patients",
    "intake": "Reading resources",
    "seal": "Sorting by subject",
    "strict": "Checking strictly",
    "survey": "Finding the data cut",
    "map": "Mapping subjects",
    "assemble": "Writing datasets",
    "check": "Checking rules",
}
"""What a stage is called in front of people; a stage that is not named here is shown by its own name."""


def is_terminal(stream: TextIO) -> bool:
    """Return whether a bar can be drawn over itself on this stream."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


class Shown:
    """Shows calls (stage, done, total) on a stream. A stage ends when all of it is done, or when the next one begins.

    clock: seconds, injected so that tests need not wait.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._drawn = is_terminal(stream)
        self._broken = False
        self._stage = ""
        self._done, self._total, self._began = 0, 0, 0.0

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._stage and kind is None:
            self._end()
        elif self._stage and self._drawn:
            self._write("\n")  # an error message begins on its own line, and the bar shows how far the stage came

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            if self._stage:
                self._end()
            self._stage, self._began = stage, self._clock()
        self._done, self._total = done, total
        if not total:
            self._stage = ""  # nothing to do, nothing to say
        elif done >= total:
            self._end()
        elif self._drawn:
            self._write(f"\r{_bar(stage, done, total)}")

    def _end(self) -> None:
        seconds = self._clock() - self._began
        name = STAGES.get(self._stage, self._stage)
        if self._drawn:
            self._write(f"\r{_bar(self._stage, self._done, self._total)}  {seconds:.1f} s\n")
        else:
            self._write(f"{name}: {self._done} of {self._total}, {seconds:.1f} s\n")
        self._stage = ""

    def _write(self, text: str) -> None:
        if self._broken:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            self._broken = True  # nobody looks any more; that is no reason to stop a build


def _bar(stage: str, done: int, total: int) -> str:
    """Return the bar of a stage, shorter where the terminal is narrow."""
    name = STAGES.get(stage, stage)
    width = max(0, min(BAR, shutil.get_terminal_size().columns - 48))
    filled = width if done >= total else width * done // total
    return f"{name:<22}[{'#' * filled}{'.' * (width - filled)}] {done}/{total}"


WIDTH = 100
NARROWEST = 40


def closing_table(counts: Mapping[str, Any], subjects: int, out: Path, rejected: Mapping[str, int]) -> list[str]:
    """Return the lines that close a build: what was read, used and dropped by reason, what was made, what needs a look.

    counts: `Result.counts`; subjects: how many; rejected: reason -> number of lines in rejects.ndjson. At most 100
    columns, unless a file name alone is longer.
    """
    lines = _resource_lines(counts["resources"])
    lines += ["", *_record_lines(counts["records"])]
    rows = [("Data cut", str(counts["data_cut"]), ""), ("Subjects", f"{subjects:,}", "")]
    for name, key, file in (
        ("Rejects", "rejects", "rejects.ndjson"),
        ("Data issues", "issues", "data-issues.csv"),
        ("Unmapped", "unmapped", "unmapped.csv"),
    ):
        rows.append((name, f"{counts[key]:,}", str(out / file) if counts[key] else ""))
    if "strict" in counts:
        n = sum(counts["strict"]["findings"].values())
        rows.append(("Strict findings", f"{n:,}", str(out / "strict.csv") if n else ""))
    if counts["passed_over"]:
        rows.append(("Files passed over", f"{counts['passed_over']:,}", f"listed in {out / 'manifest.json'}"))
    lines += ["", *aligned(rows, right={1})]
    if rejected:
        most = sorted(rejected.items(), key=lambda r: (-r[1], r[0]))
        told = [(f"  {reason}", f"{n:,}", REASONS[reason].meaning) for reason, n in most]
        lines += ["", "Rejected because", *aligned(told, right={1})]
    return lines


def _resource_lines(resources: Mapping[str, Any]) -> list[str]:
    """Return read, used and dropped of each resource type, the reasons wrapped beside it, and the totals."""
    rows: list[tuple[str, ...]] = [("Resource", "read", "used", "dropped")]
    reasons = ["because"]
    total = [0, 0, 0]
    for kind, c in resources.items():
        dropped = sorted(c["dropped"].items(), key=lambda r: (-r[1], r[0]))
        numbers = [c["read"], c["used"], sum(n for _, n in dropped)]
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        rows.append((kind, *(f"{n:,}" for n in numbers)))
        # a reason and its number stay on one line
        reasons.append(", ".join(f"{reason}\0{n:,}" for reason, n in dropped))
    rows.append(("All", *(f"{n:,}" for n in total)))
    reasons.append("")
    table = aligned(rows, right={1, 2, 3})
    width = max(map(len, table))
    # beside the numbers, or below them where they leave no room
    start = width + 2 if WIDTH - width - 2 >= NARROWEST else 4
    lines = []
    for left, right in zip(table, reasons, strict=True):
        parts = textwrap.wrap(right, WIDTH - start, break_on_hyphens=False, break_long_words=False)
        if start > width and parts:
            left = f"{left:<{width}}  {parts.pop(0)}"
        lines += [left, *(" " * start + p for p in parts)]
    return [line.replace("\0", " ").rstrip() for line in lines]


def _record_lines(records: Mapping[str, int]) -> list[str]:
    from adapter.registry import shipped  # here, so that `doctor` can print where pandas is missing

    labels = {d.name: d.label for d in shipped()}
    rows = [("Dataset", "records", "")]
    for name, n in records.items():
        parent = name.removeprefix("SUPP")
        label = labels.get(name, f"Supplemental Qualifiers for {parent}" if parent in labels else "")
        rows.append((name, f"{n:,}", label))
    return aligned(rows, right={1})


def aligned(rows: Sequence[tuple[str, ...]], right: Collection[int] = ()) -> list[str]:
    """Return rows as lines of columns, two blanks apart, those in `right` flush right."""
    widths = [max(map(shown_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        blanks = [" " * (w - shown_width(c)) for c, w in zip(row, widths, strict=True)]
        cells = [b + c if i in right else c + b for i, (c, b) in enumerate(zip(row, blanks, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def shown_width(text: str) -> int:
    """Return the columns that a text takes on a terminal: Chinese characters and full-width forms take two."""
    return len(text) if text.isascii() else sum(1 + (east_asian_width(c) in "WF") for c in text)

"""Input folders and files on disk, and the lines of a byte range of one of them.

NDJSON is split on byte 0x0A only (U+2028 and U+0085 live inside JSON strings). A range owns the lines that *start* in
it, so every line belongs to exactly one range, however the file is cut and however long a line is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapter.errors import InputError

SUFFIXES = (".ndjson", ".jsonl", ".json")
"""What is read; each of them also with `.gz` behind it."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
RANGE_BYTES = 24 << 20


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read. `number` is its place in the sorted list of labels: the file id of trace and rejects."""

    number: int
    label: str
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """What the INPUT arguments hold: files to read, and files of carriers that are not read (label, reason)."""

    files: tuple[InputFile, ...]
    passed_over: tuple[tuple[str, str], ...]


def find_files(inputs: Sequence[str | os.PathLike[str]]) -> Found:
    """Return the files of all INPUT arguments, sorted by label, so that the order of arguments changes nothing.

    Raises InputError for a path that does not exist or cannot be listed, and where there is no file to read at all.
    """
    seen: dict[str, Path] = {}
    passed: list[tuple[str, str]] = []
    for given in inputs:
        root = Path(given)
        for path, why in _walk(root):
            label = path.name if path == root else f"{root.resolve().name}/{path.relative_to(root).as_posix()}"
            # a file name in another encoding than UTF-8 must not break the reports that name it
            label = os.fsencode(label).decode("utf-8", "backslashreplace")
            if why:
                passed.append((label, why))
                continue
            if label in seen and seen[label].resolve() != path.resolve():
                raise InputError(f"two inputs are both named {label}: {seen[label]} and {path}; rename one folder")
            seen[label] = path
    files = []
    for number, (label, path) in enumerate(sorted(seen.items())):
        try:
            size = path.stat().st_size
            with open(path, "rb"):
                pass
        except OSError as e:
            raise InputError(f"cannot read {path}: {e.strerror}") from e
        files.append(InputFile(number, label, str(path.resolve()), size))
    if not files:
        looked = ", ".join(str(p) for p in inputs) or "nothing"
        raise InputError(
            f"no FHIR input found in {looked}: expected files ending in {', '.join(SUFFIXES)} (or these with .gz)"
            + (f"; passed over {len(passed)} other files, the first is {passed[0][0]}" if passed else "")
        )
    return Found(tuple(files), tuple(sorted(passed)))


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield every file, with the reason why it is not read, if it is not. Hidden files only where their name says FHIR."""
    try:
        if not root.exists():
            raise InputError(f"input {root} does not exist")
        single = root.is_file()
    except OSError as e:
        raise InputError(f"cannot read input {str(root)[:200]}: {e.strerror}") from e
    if single:
        yield root, _not_read(root)
        return

    def refuse(e: OSError) -> None:
        raise InputError(f"cannot list {e.filename}: {e.strerror}")

    for folder, folders, names in os.walk(root, onerror=refuse):
        here = Path(folder)
        for name in sorted(folders):
            if (here / name).is_symlink():
                yield here / name, "link to a folder"
            elif name.startswith("."):
                yield here / name, "hidden folder"
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield here / name, _not_read(here / name)
            elif _read_by_name(name):
                yield here / name, "hidden file"


def _read_by_name(name: str) -> bool:
    return Path(name.lower().removesuffix(".gz")).suffix in SUFFIXES


def _not_read(path: Path) -> str:
    """Return why a file is not read, empty where it is."""
    if not _read_by_name(path.name):
        return "neither NDJSON nor JSON"
    # opening a pipe would wait for ever; a dangling link is let through, to be refused as unreadable
    return "no regular file" if path.exists() and not path.is_file() else ""


def byte_ranges(size: int, step: int = RANGE_BYTES) -> list[tuple[int, int]]:
    """Return the half-open ranges that cut `size` bytes into pieces of `step`."""
    return [(a, min(a + step, size)) for a in range(0, size, step)]


def read_range(path: str, start: int, stop: int) -> tuple[int, bytes]:
    """Return (offset of the first line, bytes of all lines that start in [start, stop)), the last one whole."""
    with open(path, "rb", buffering=1 << 20) as f:
        first = start
        if start:
            f.seek(start - 1)
            first = start - 1 + len(f.readline())
        elif f.read(3) == BYTE_ORDER_MARK:  # it is no part of the first line
            first = 3
        if start and first >= stop:
            return first, b""
        # where the last line ends is found first, so that the range is read in one piece and never copied
        f.seek(stop - 1)
        end = stop - 1 + len(f.readline())
        f.seek(first)
        return first, f.read(end - first)


def split_lines(data: bytes) -> list[bytes]:
    """Return the lines without their 0x0A (a CR before it is JSON white space and stays)."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file in hex, read in pieces."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()

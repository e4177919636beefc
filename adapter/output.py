"""The folder OUT: what this program may write and replace there, and how a finished build takes its place.

Everything is written to OUT/.fhir2cdisc-building-… first. When all of it is there, a journal names the files, each is
renamed into place, and manifest.json comes last: a folder with a manifest is whole. Nothing that the program did not
write is ever deleted or replaced. A folder serves one build at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from pathlib import Path

from adapter.errors import InputError, OutputError, RunError
from adapter.files import PART, fsync_folder, json_bytes, locked

MANIFEST = "manifest.json"
JOURNAL = ".fhir2cdisc.json"
STAGING = ".fhir2cdisc-building-"
_STAGING_FOLDER = re.compile(re.escape(STAGING) + r"\d+")
_WHILE, _AFTER = ".journal-while", ".journal-after"


class OutputFolder:
    """OUT of one build. `staging` takes the files; `finish` puts them in place, `abandon` leaves OUT as it was.

    Raises OutputError where OUT cannot be used: foreign files, a finished build without `overwrite`, another build at
    work, not writable.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        self.folder = folder
        self.kept: set[str] = set()  # files of the earlier build that stay although they are not staged
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock: int | None = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() or p.is_symlink())
        except OSError as e:
            raise OutputError(f"cannot use {folder} for output: {e.strerror or e}") from e
        try:
            self.old = self._check(found, overwrite)
            for leftover in self._leftovers():
                shutil.rmtree(leftover)
            self.staging = folder / f"{STAGING}{os.getpid()}"
            self.staging.mkdir()
        except OSError as e:
            self._unlock()
            raise OutputError(f"cannot write to {folder}: {e.strerror or e}") from e
        except OutputError:
            self._unlock()
            raise

    def _check(self, found: list[str], overwrite: bool) -> list[str]:
        """Return the files of an earlier build; refuse where OUT may not be written to."""
        if self._lock is not None and not locked(self._lock, fcntl.LOCK_EX):
            raise OutputError(f"another build is writing to {self.folder}; wait for it to end or name another folder")
        ours = self._journal()
        leftovers = tuple(f"{p.name}/" for p in self._leftovers())
        foreign = [n for n in found if n not in ours and n != JOURNAL and not n.startswith(leftovers)]
        if foreign:
            raise OutputError(
                f"{self.folder} holds {len(foreign)} files this program did not write, the first is {foreign[0]}; "
                "expected an empty folder or one of an earlier build; nothing was deleted"
            )
        if MANIFEST in found and not overwrite:
            raise OutputError(f"{self.folder} holds a finished build; name another folder or say --overwrite")
        return [n for n in found if n in ours]

    def _leftovers(self) -> list[Path]:
        """Return the staging folders of builds that were killed."""
        return [p for p in self.folder.iterdir() if _STAGING_FOLDER.fullmatch(p.name) and p.is_dir()]

    def _journal(self) -> set[str]:
        path = self.folder / JOURNAL
        if not path.is_file():
            return set()
        try:
            names = {str(n) for n in json.loads(path.read_bytes())["files"]}
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise OutputError(f"{path} cannot be read, so it is not known which files are ours: {e}") from e
        # a journal from elsewhere must never point out of OUT
        return {n for n in names if not Path(n).is_absolute() and ".." not in Path(n).parts}

    def path(self, name: str) -> Path:
        """Return where to write a file of the build, by its name relative to OUT."""
        path = self.staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def files(self) -> list[str]:
        """Return the names of all staged files, without what killed workers left half-written."""
        found = (p for p in self.staging.rglob("*") if p.is_file() and p.suffix != PART)
        return sorted(p.relative_to(self.staging).as_posix() for p in found)

    def finish(self, last: str = MANIFEST) -> None:
        """Put every staged file in its place, remove files of the earlier build that are no more, the manifest last.

        All space that is needed is taken before the earlier build is touched. Raises OutputError where somebody else's
        file has come in the way meanwhile, RunError where the file system fails.
        """
        try:
            names = self.files()
            for name in names:
                if name not in self.old and os.path.lexists(self.folder / name):
                    raise OutputError(f"{self.folder / name} came into being during the build; nothing was replaced")
                _sync(self.staging / name)
            for journal, files in ((_WHILE, {*names, *self.old}), (_AFTER, {*names, *self.kept})):
                _write(self.staging / journal, json_bytes({"files": sorted(files)}))
            folders = {self.folder, *((self.folder / n).parent for n in names)}
            for one in folders:
                one.mkdir(parents=True, exist_ok=True)
            self._replace(names, last, folders)
            shutil.rmtree(self.staging)
        except OSError as e:
            raise RunError(f"cannot put the build into {self.folder}: {e.strerror or e}") from e
        self._unlock()

    def _replace(self, names: list[str], last: str, folders: set[Path]) -> None:
        os.replace(self.staging / _WHILE, self.folder / JOURNAL)
        if last in self.old:
            (self.folder / last).unlink()
        fsync_folder(self.folder)
        for name in [n for n in names if n != last]:
            os.replace(self.staging / name, self.folder / name)
        for name in sorted(set(self.old) - set(names) - self.kept - {last}):
            (self.folder / name).unlink(missing_ok=True)
        for one in folders:
            fsync_folder(one)
        os.replace(self.staging / last, self.folder / last)
        os.replace(self.staging / _AFTER, self.folder / JOURNAL)
        fsync_folder(self.folder)

    def abandon(self) -> None:
        """Remove what was staged; files of an earlier build stay as they are."""
        shutil.rmtree(self.staging, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Addition(OutputFolder):
    """A folder `part` of files that is added to a finished build, which stays as it is but for the files staged again.

    Raises InputError where the folder holds no finished build, OutputError where it cannot be used, or has the part
    already and `overwrite` is not said.
    """

    def __init__(self, folder: Path, part: str, overwrite: bool) -> None:
        if not (folder / MANIFEST).is_file():
            raise InputError(f"{folder} is no finished build: it has no {MANIFEST}")
        super().__init__(folder, overwrite=True)
        self.part = part
        self.kept = {n for n in self.old if not self.part_of(n)}
        if len(self.kept) < len(self.old) and not overwrite:
            self.abandon()
            raise OutputError(f"{folder / part} holds an earlier result; say --overwrite to replace it")

    def part_of(self, name: str) -> bool:
        """Whether a file, by its name relative to OUT, belongs to the part."""
        return name.startswith(f"{self.part}/")


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The folder OUT: what this program may write and replace there, and how a finished build takes its place.

Everything is written to OUT/.building-… first. When all of it is there, a journal names the files, each is renamed into
place, and manifest.json comes last: a folder with a manifest is whole. Nothing that the program did not write is ever
deleted or replaced.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from adapter.errors import OutputError, RunError
from adapter.files import fsync_folder, json_bytes, write_whole

MANIFEST = "manifest.json"
JOURNAL = ".fhir2cdisc.json"
STAGING = ".building-"


class OutputFolder:
    """OUT of one build. `staging` takes the files; `finish` puts them in place."""

    def __init__(self, folder: Path, overwrite: bool) -> None:
        self.folder = folder
        self.old: list[str] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() or p.is_symlink())
        except OSError as e:
            raise OutputError(f"cannot use {folder} for output: {e.strerror or e}") from e
        ours = self._journal()
        foreign = [n for n in found if n not in ours and n != JOURNAL and not n.startswith(STAGING)]
        complete = MANIFEST in found and MANIFEST in ours
        if foreign:
            raise OutputError(
                f"{folder} holds files this program did not write, the first is {foreign[0]}; "
                "expected an empty folder or one of an earlier build; nothing was deleted"
            )
        if complete and not overwrite:
            raise OutputError(f"{folder} holds a finished build; name another folder or say --overwrite")
        self.old = [n for n in found if n in ours]
        for leftover in folder.glob(f"{STAGING}*"):
            shutil.rmtree(leftover)
        self.staging = folder / f"{STAGING}{os.getpid()}"
        try:
            self.staging.mkdir()
        except OSError as e:
            raise OutputError(f"cannot write to {folder}: {e.strerror or e}") from e

    def _journal(self) -> set[str]:
        path = self.folder / JOURNAL
        if not path.is_file():
            return set()
        try:
            names = json.loads(path.read_bytes())["files"]
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise OutputError(f"{path} cannot be read, so it is not known which files are ours: {e}") from e
        return {str(n) for n in names}

    def path(self, name: str) -> Path:
        """Return where to write a file of the build, by its name relative to OUT."""
        path = self.staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def finish(self, last: str = MANIFEST) -> None:
        """Put every staged file in its place, remove files of the earlier build that are no more, the manifest last."""
        try:
            names = sorted(p.relative_to(self.staging).as_posix() for p in self.staging.rglob("*") if p.is_file())
            write_whole(self.folder / JOURNAL, json_bytes({"files": sorted({*names, *self.old})}))
            if last in self.old:
                (self.folder / last).unlink()
            for name in [n for n in names if n != last] + [last]:
                target = self.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _sync(self.staging / name)
                os.replace(self.staging / name, target)
            for name in set(self.old) - set(names):
                (self.folder / name).unlink(missing_ok=True)
            write_whole(self.folder / JOURNAL, json_bytes({"files": names}))
            shutil.rmtree(self.staging)
            fsync_folder(self.folder)
        except OSError as e:
            raise RunError(f"cannot put the build into {self.folder}: {e.strerror or e}") from e

    def abandon(self) -> None:
        """Remove what was staged; files of an earlier build stay as they are."""
        shutil.rmtree(self.staging, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

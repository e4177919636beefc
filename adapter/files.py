"""Writing files so that a name never stands for half a file: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from adapter.errors import RunError

PART = ".part"
"""How the name of a file ends that is being written, or was when its writer was killed."""


def fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def locked(handle: int, kind: int) -> bool:
    """Lock an open file or folder (LOCK_EX or LOCK_SH) without waiting; False where somebody else holds it.

    A file system that cannot lock counts as locked: a build there must not fail for it.
    """
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as e:
        if e.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF):
            raise
    return True


@contextmanager
def whole_file(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Give a binary file that takes its name `path` only when the block ends well; else nothing is left behind.

    Raises RunError with path and cause where the disk is full or the folder cannot be written.
    """
    # not the process id: two attempts of one task may run in one process, or on two machines with one disk
    temporary = path.with_name(f".{path.name}.{uuid4().hex}{PART}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
        fsync_folder(path.parent)
    except OSError as e:
        temporary.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {e.strerror or e}") from e
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Give an OSError of the block the name of the file it was about: writing to a full disk names none."""
    try:
        yield
    except OSError as e:
        if e.filename is not None:
            raise
        raise OSError(e.errno, e.strerror or str(e), os.fspath(path)) from e


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    with whole_file(path, mode) as f:
        f.write(data)


def json_bytes(value: Any) -> bytes:
    """Return JSON that is the same for the same value: sorted keys, UTF-8, final newline."""
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()

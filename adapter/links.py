"""The link files: keyed id -> real resource id and USUBJID. They stay in the site's private folder.

    SITE/link/<first 16 digits of the input file's SHA-256>-<byte offset>.parquet     mode 0600, folder 0700

One file per input file and byte range, named by content: reading the same file again replaces its links, so that the
folder grows with the hospital's data and not with the number of builds.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from adapter.assemble import hex_texts
from adapter.errors import RunError, SiteError
from adapter.intake.rows import as_array
from adapter.intake.tables import KEYED
from adapter.intake.taken import Links
from adapter.site import refuse_if_shared

FOLDER = "link"
SCHEMA = pa.schema([("keyed_id", pa.string()), ("resource", pa.string()), ("USUBJID", pa.string())])


def write_links(site: Path, links: Links, usubjid: Mapping[bytes, str]) -> Path:
    """Write the links of one byte range under a name of its own; `place_links` makes them count.

    usubjid: keyed patient id -> USUBJID.
    """
    owners = as_array(links.patients, KEYED).dictionary_encode()
    subjects = pa.array([usubjid[k] for k in owners.dictionary.to_pylist()], pa.string())
    columns = [
        hex_texts(as_array(links.rids, KEYED)),
        pa.array(links.names, pa.string()),
        subjects.take(owners.indices),
    ]
    folder = site / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f".part-{uuid.uuid4().hex}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as f:
        # ids are random digits: a dictionary of them, or hard compression, costs time and saves nothing
        pq.write_table(
            pa.table(columns, schema=SCHEMA),
            f,
            compression="lz4",
            use_dictionary=["USUBJID"],
            write_statistics=False,
        )
    return path


def place_links(parts: Sequence[tuple[str, str, int]]) -> None:
    """Give written links their names: (path, SHA-256 of the input file, byte offset of the range)."""
    for path, sha256, offset in parts:
        try:
            os.replace(path, Path(path).with_name(f"{sha256[:16]}-{offset:012d}.parquet"))
        except OSError as e:
            raise RunError(f"cannot place the link file {path}: {e.strerror}") from e


def sweep_links(site: Path) -> None:
    """Remove what killed runs left."""
    for path in (site / FOLDER).glob(".part-*"):
        path.unlink(missing_ok=True)


def read_links(site: Path) -> Iterator[pa.Table]:
    """Yield the link tables of a site. Raises SiteError where the folder is missing or can be read by others."""
    folder = site / FOLDER
    if not folder.is_dir():
        raise SiteError(f"{folder} does not exist; it is made by the first build with this site folder")
    for path in sorted(folder.glob("*.parquet")):
        refuse_if_shared(path)
        yield pq.read_table(path)

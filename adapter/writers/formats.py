"""The file formats of datasets: their names, the ends of their file names, and which of several define.xml points to.

`SUFFIXES` stands in order of preference. Define-XML 2.1 gives a dataset one def:leaf, so one file: where several formats
are written it is the first of them in this order, the transport file of submissions first, whatever order they were
asked in. The other files hold the same cells under the same name, and are found by their ending.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from adapter.errors import InputError, unknown

SUFFIXES = {"xpt": ".xpt", "dataset-json": ".json", "ndjson": ".ndjson", "parquet": ".parquet", "csv": ".csv"}


def chosen(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return the formats that are named (`"xpt,csv"`, or one each), in order of preference, each once.

    Raises InputError for an unknown name, and where none is named.
    """
    told = [n.strip() for n in (names.split(",") if isinstance(names, str) else names)]
    for name in told:
        if name not in SUFFIXES:
            raise InputError(unknown("format", name, list(SUFFIXES)))
    if not told:
        raise InputError(f"no format named; expected one or more of {', '.join(SUFFIXES)}")
    return tuple(n for n in SUFFIXES if n in told)


def dataset_files(folder: Path) -> dict[str, Path]:
    """Return dataset name -> file of a folder, sorted by name; of several formats of a dataset the preferred one."""
    found: dict[str, Path] = {}
    for suffix in SUFFIXES.values():
        for path in folder.glob(f"*{suffix}"):
            found.setdefault(path.stem.upper(), path)
    return {name: found[name] for name in sorted(found)}

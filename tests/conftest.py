"""Shared fixtures: a small cohort of the demo hospital and its build. Read only: a test that writes makes a copy."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import pandas as pd
import pytest

from adapter import build, registry
from adapter.result import Result
from mappings.trials.pgf_msc.demo import write_cohort

KEY = "5a" * 32
"""The key of all sites made by tests: one key, so that keyed ids are the same in every build."""


class Cohort(NamedTuple):
    """Paths of a cohort: its folder, the FHIR files, the enrolment log, the site's private folder with KEY in it."""

    folder: Path
    fhir: Path
    log: Path
    site: Path


def make_site(folder: Path, key: str = KEY, tables: Path | None = None) -> Path:
    """Make a site folder with a known key, and the code tables of another site (`tables`); return it."""
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    for table in sorted(tables.glob("*.csv")) if tables else ():
        shutil.copy(table, folder)
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(key + "\n")
    return folder


def write_lines(folder: Path, files: Mapping[str, Iterable[bytes]]) -> Path:
    """Write NDJSON files (name -> lines without line ends) into a new folder; return it."""
    folder.mkdir(parents=True)
    for name, lines in files.items():
        (folder / name).write_bytes(b"".join(line + b"\n" for line in lines))
    return folder


def lines_of(fhir: Path) -> dict[str, list[bytes]]:
    """Return the lines of every file of a folder as NDJSON files (name -> lines); no empty lines.

    The carriers' ways are gone: UTF-8, `urn:uuid` references resolved, a deletion as a line with a Bundle of its own.
    """
    return {f"{p.name.partition('.')[0]}.ndjson": [x for x in carried_by(p) if x] for p in sorted(fhir.iterdir())}


class _Bundle(msgspec.Struct):
    entry: list[dict[str, msgspec.Raw]]


def carried_by(path: Path) -> list[bytes]:
    """Return the lines of one file of the demo; of a Bundle its resources, at the place of their entries."""
    data = path.read_bytes()
    if path.suffix == ".json":
        found = msgspec.json.decode(data, type=_Bundle).entry
        lines = [bytes(e.get("resource", b"")) or _deleting(bytes(e["request"])) for e in found]
        for e, line in zip(found, lines, strict=True):
            r = json.loads(line)
            url = bytes(e.get("fullUrl", b'""')).strip(b'"')
            if url.startswith(b"urn:"):
                lines = [x.replace(url, f"{r['resourceType']}/{r['id']}".encode()) for x in lines]
        return lines
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if "gb18030" in path.name:
        data = data.decode("gb18030").encode()
    lines = [x.rstrip(b"\r") for x in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    return lines if lines[-1] else lines[:-1]


def _deleting(request: bytes) -> bytes:
    return b'{"resourceType":"Bundle","type":"history","entry":[{"request":' + request + b"}]}"


WHOLE = registry.PACKAGES
DATASETS = ("sdtm/*.xpt", "sdtm/define.xml", "adam/*.xpt", "adam/define.xml")
EVERYTHING = (*DATASETS, "manifest.json", "trace/*.parquet", "rejects.ndjson", "data-issues.csv", "unmapped.csv")


def hashes(out: Path, what: Iterable[str] = DATASETS) -> dict[str, str]:
    """Return the SHA-256 of the files of a build by name: what must be equal for equal data, or for equal files."""
    found = sorted(p for pattern in what for p in out.glob(pattern))
    return {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


@pytest.fixture(scope="session")
def demo10(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Ten randomised subjects, four more in the log, three patients who are in no trial (half a second; per worker)."""
    folder = tmp_path_factory.mktemp("demo10")
    write_cohort(folder, subjects=10)
    return Cohort(folder, folder / "fhir", folder / "enrolment.csv", make_site(folder / "site"))


@pytest.fixture(scope="session")
def demo10_build(demo10: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The build of demo10 with one worker; its OUT is read only (two seconds; per worker)."""
    out = tmp_path_factory.mktemp("demo10-build") / "out"
    with datasets_of(*WHOLE):  # also where the first to ask is a module that makes tabulation datasets only
        return build(demo10.fhir, out=out, enrolment=demo10.log, site=demo10.site, workers=1)


@contextmanager
def datasets_of(*packages: str) -> Iterator[None]:
    """Let the builds of this process make the datasets of some mapping packages only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "PACKAGES", packages)
        registry.shipped.cache_clear()
        yield
    registry.shipped.cache_clear()


@pytest.fixture(scope="module")
def tabulation_only() -> Iterator[None]:
    """Builds with one worker make SDTM only: half the time, where what is tested is decided before the analysis."""
    with datasets_of("mappings.sdtm"):
        yield


def tabulated(result: Result) -> pd.Series[str]:
    """Return the codes of the data issues of tabulation datasets; those of analysis datasets have tests of their own."""
    issues = result.issues
    return issues.loc[~issues["dataset"].astype("str").str.startswith("AD"), "code"]

"""The published packages of controlled terminology, as they ship in schemas/ct: codelists, and their terms with C-codes.

schemas/ct.csv names the package of each standard (SDTM, ADaM) that builds state in define.xml.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from functools import lru_cache
from importlib.resources import files

from adapter.errors import InputError, unknown

Row = dict[str, str]


class Terms:
    """One package: codelists by C-code and by submission value; values: codelist C-code -> value -> C-code of the term.

    only: submission values of the codelists that are wanted; empty: all.
    """

    def __init__(self, package: str, only: Collection[str] = ()) -> None:
        self.package = package
        found = [r for r in csv.DictReader(_lines(f"{package}_codelists")) if not only or r["submission_value"] in only]
        self.codelists: dict[str, Row] = {r["codelist_ccode"]: r for r in found}
        self._by_name = {r["submission_value"]: r["codelist_ccode"] for r in found}
        self.values: dict[str, dict[str, str]] = {ccode: {} for ccode in self.codelists}
        rows = csv.reader(_lines(f"{package}_terms"))
        next(rows)
        for codelist, ccode, value in rows:
            if codelist in self.values:
                self.values[codelist][value] = ccode

    def code(self, name: str) -> str | None:
        """Return the C-code of a codelist named by C-code or submission value; None if there is none."""
        return name if name in self.codelists else self._by_name.get(name)

    def extensible(self, ccode: str) -> bool:
        return self.codelists[ccode]["extensible"] == "Y"


def _lines(name: str) -> io.StringIO:
    text = files("schemas").joinpath("ct", f"{name}.csv").read_text(encoding="utf-8")
    return io.StringIO(text, newline="")


def in_use() -> dict[str, str]:
    """Return the package that builds use, by standard: `SDTM` -> `sdtm_2025-03-28`."""
    rows = csv.DictReader(io.StringIO(files("schemas").joinpath("ct.csv").read_text(encoding="utf-8"), newline=""))
    return {r["publishing_set"]: f"{r['publishing_set'].lower()}_{r['date']}" for r in rows}


def packages() -> Iterator[str]:
    """Return the names of the packages of controlled terminology that ship: standard and date."""
    for entry in sorted(p.name for p in files("schemas").joinpath("ct").iterdir()):
        if entry.endswith("_terms.csv"):
            yield entry.removesuffix("_terms.csv")


@lru_cache(maxsize=4)
def terms(package: str) -> Terms:
    """Return a package of controlled terminology, named as `sdtm_2025-03-28` or `sdtmct-2025-03-28`.

    Raises InputError for one that does not ship.
    """
    asked = package.strip().lower().replace("ct-", "_").replace(" ct ", "_")
    known = list(packages())
    if asked not in known:
        raise InputError(unknown("package of controlled terminology", package, known))
    return Terms(asked)

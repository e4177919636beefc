"""Code tables: strict CSV files that say what a hospital's codes, units and names mean, merged shipped → trial → site.

A table is the file `NAME.csv` in each of several folders (packaged or on disk). The first folder that has it fixes the
columns; later files may leave columns out but not add any. A later row replaces the earlier row of the same key and the
replacement is listed in `overrides` (FHIR input, point 6: site concept maps). Keys are (system, code) unless told
otherwise; code systems are compared in one canonical spelling (`canonical_system`).

Two columns have a meaning here. `like` (a site's concept map): `system|code` or a bare --TESTCD of another row, whose
values fill the blank cells of this one. `match`: names separated by `|`, for text without a code (`match_text`).
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from io import StringIO
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from adapter.errors import InputError, unknown

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ATC = "http://www.whocc.no/atc"
CPT = "http://www.ama-assn.org/go/cpt"
UCUM = "http://unitsofmeasure.org"
# Not a FHIR system: rows that are found by name only.
NAME = "name"

# HL7 object identifiers and other spellings met for the same code systems.
_ALIASES = {
    "2.16.840.1.113883.6.1": LOINC,
    "2.16.840.1.113883.6.96": SNOMED,
    "2.16.840.1.113883.6.73": ATC,
    "2.16.840.1.113883.6.12": CPT,
    "2.16.840.1.113883.6.8": UCUM,
    "http://fhir.de/CodeSystem/bfarm/atc": ATC,
    "http://fhir.de/CodeSystem/dimdi/atc": ATC,
    "http://www.whocc.no/atcddd": ATC,
}

Row = Mapping[str, str]
Key = tuple[str, ...]


def canonical_system(uri: str) -> str:
    """Return one spelling of a code system: no blanks or trailing slash, http for https, OIDs as their URI."""
    text = uri.strip().rstrip("/")
    bare = text.lower().removeprefix("urn:oid:")
    if bare in _ALIASES:
        return _ALIASES[bare]
    # SNOMED CT editions and versions are path parts of the same system.
    if re.match(r"https?://snomed\.info/(x?sct)(/|$)", text):
        return SNOMED
    http = "http://" + text.removeprefix("https://") if text.startswith("https://") else text
    known = {LOINC, ATC, CPT, UCUM}
    return _ALIASES.get(http, http if http in known else text)


@dataclass(frozen=True, slots=True)
class Override:
    """A row of a later file that replaced an earlier one: key, and both places as `file:line`."""

    key: Key
    earlier: str
    later: str


@dataclass(frozen=True, slots=True)
class CodeTable:
    """The merged rows of one table, in file order (a replaced row keeps its first place). Every value is text."""

    name: str
    key: Key
    columns: tuple[str, ...]
    rows: Mapping[Key, Row]
    overrides: tuple[Override, ...] = ()
    _names: dict[str, tuple[Key, ...]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows.values())

    def get(self, *key: str) -> Row | None:
        """Return the row of this key, or None. The first part is a code system where the table has one."""
        if self.key[0] == "system":
            key = (canonical_system(key[0]), *(part.strip() for part in key[1:]))
        return self.rows.get(key)

    def find(self, codings: Iterable[tuple[str, str]]) -> Row | None:
        """Return the row of the first (system, code) that the table knows, in the order given, or None."""
        return next((row for s, c in codings if (row := self.get(s, c)) is not None), None)

    def match_text(self, text: str) -> Row | None:
        """Return the row that has the longest `match` name found in the text, or None; ties go to the earlier row.

        Case, width and spacing are ignored. A Latin name must stand as whole words; Chinese has no word breaks.
        """
        if not self._names:
            self._index_names()
        wanted = _folded(text)
        best: tuple[int, Key] | None = None
        for name, keys in self._names.items():
            if (best is None or len(name) > best[0]) and _occurs(name, wanted):
                best = len(name), keys[0]
        return None if best is None else self.rows[best[1]]

    def _index_names(self) -> None:
        for key, row in self.rows.items():
            for name in filter(None, map(_folded, row.get("match", "").split("|"))):
                self._names[name] = (*self._names.get(name, ()), key)

    def frame(self) -> pd.DataFrame:
        """Return the rows as a frame of text columns, for merges."""
        return pd.DataFrame([dict(r) for r in self.rows.values()], columns=list(self.columns), dtype="str")


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def _occurs(name: str, text: str) -> bool:
    if name not in text:
        return False
    head = r"(?<![a-z0-9])" if re.match("[a-z0-9]", name) else ""
    tail = r"(?![a-z0-9])" if re.search("[a-z0-9]$", name) else ""
    return re.search(head + re.escape(name) + tail, text) is not None


def load_codes(name: str, *folders: Traversable | Path, key: Key = ("system", "code")) -> CodeTable:
    """Return table NAME merged from NAME.csv of the folders, later ones winning; folders without the file are skipped.

    Raises InputError, naming file and line, when no folder has it, a column is unknown or doubled, a key column is
    missing, a row has too many or too few fields, a key is empty or stands twice in one file, or `like` leads nowhere.
    """
    columns: tuple[str, ...] = ()
    rows: dict[Key, dict[str, str]] = {}
    places: dict[Key, str] = {}
    overrides: list[Override] = []
    for folder in folders:
        file = folder.joinpath(f"{name}.csv")
        if not file.is_file():
            continue
        seen: set[Key] = set()
        for place, row in _read(file, columns, key):
            columns = columns or tuple(row)
            k = tuple(row[c] for c in key)
            if "system" in key:
                row["system"] = canonical_system(row["system"])
                k = tuple(row[c] for c in key)
            if not all(k):
                raise InputError(f"{place}: {' and '.join(key)} must not be empty, found {k}")
            if k in seen:
                raise InputError(f"{place}: {'|'.join(k)} stands twice in this file, expected once")
            seen.add(k)
            if k in rows:
                overrides.append(Override(k, places[k], place))
            places[k] = place
            rows[k] = {c: row.get(c, "") for c in columns}
    if not columns:
        where = ", ".join(str(f) for f in folders) or "no folder"
        raise InputError(f"code table {name}.csv not found or empty; looked in {where}")
    if "like" in columns:
        _fill_likes(rows, places)
    return CodeTable(name, key, columns, MappingProxyType(rows), tuple(overrides))


def _read(file: Traversable | Path, columns: tuple[str, ...], key: Key) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise InputError(f"{file}: not UTF-8 at byte {e.start}; expected a UTF-8 CSV file") from e
    # StringIO splits at newlines only; str.splitlines would also cut at U+2028 inside a cell.
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        for c in header:
            if columns and c not in columns:
                raise InputError(f"{file}:1: {unknown('column', c, list(columns))}")
        doubled = sorted({c for c in header if header.count(c) > 1})
        missing = [c for c in key if c not in header]
        if doubled or missing:
            raise InputError(f"{file}:1: columns doubled: {doubled}, missing: {missing}; expected at least {list(key)}")
        for cells in reader:
            place = f"{file}:{reader.line_num}"
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise InputError(f"{place}: found {len(cells)} fields, expected {len(header)}: {', '.join(header)}")
            yield place, dict(zip(header, map(str.strip, cells), strict=True))
    except csv.Error as e:
        raise InputError(f"{file}:{reader.line_num}: not readable as CSV: {e}") from e


def _fill_likes(rows: dict[Key, dict[str, str]], places: Mapping[Key, str]) -> None:
    by_test: dict[str, Key] = {}
    for k, row in rows.items():
        if row.get("testcd") and not row["like"]:
            by_test.setdefault(row["testcd"], k)
    for k, row in rows.items():
        like = row["like"]
        if not like:
            continue
        system, bar, code = like.rpartition("|")
        target = rows.get((canonical_system(system), code) if bar else by_test.get(like, ()))
        if target is None or target["like"]:
            raise InputError(
                f"{places[k]}: like {like!r} names no row; expected system|code or a --TESTCD of a row without like"
            )
        # A bare --TESTCD says nothing about specimen, method or LOINC of the local test.
        skip = set() if bar else {"loinc", "specimen", "method"}
        row.update({c: v for c, v in target.items() if not row[c] and c not in skip})

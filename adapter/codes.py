"""Code tables: strict CSV files that say what a hospital's codes, units and names mean, merged shipped → trial → site.

A table is the file `NAME.csv` in each of several folders (packaged or on disk). The first folder that has it fixes the
columns; later files may leave columns out but not add any. A later row replaces the earlier row of the same key and the
replacement is listed in `overrides` (FHIR input, point 6: site concept maps). Keys are (system, code) unless told
otherwise; systems and codes are compared in one canonical spelling (adapter.systems).

Two columns have a meaning here. `like` (a site's concept map): `system|code` or a bare --TESTCD of another row, whose
values fill the blank cells of this one. `match`: names separated by `|`, for text without a code (`match_text`).
The simple map of a hospital, SITE/codes.csv, is read in adapter.site_codes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from adapter.code_files import read_rows
from adapter.errors import InputError
from adapter.systems import ATC as ATC
from adapter.systems import CPT as CPT
from adapter.systems import LOINC as LOINC
from adapter.systems import SNOMED as SNOMED
from adapter.systems import UCUM as UCUM
from adapter.systems import canonical_code
from adapter.systems import canonical_system as canonical_system

# Not a FHIR system: rows that are found by name only.
NAME = "name"

Row = Mapping[str, str]
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """A row of a later file that replaced an earlier one: key, and both places as `file:line`."""

    key: Key
    earlier: str
    later: str


@dataclass(frozen=True, slots=True)
class CodeTable:
    """The merged rows of one table, in file order (a replaced row keeps its first place). Every value is text.

    texts: folded whole texts of a hospital -> row. places: `file:line` of each row. own: rows of a trial or a site.
    """

    name: str
    key: Key
    columns: tuple[str, ...]
    rows: Mapping[Key, Row]
    overrides: tuple[Override, ...] = ()
    texts: Mapping[str, Row] = field(default_factory=dict)
    places: Mapping[Key, str] = field(default_factory=dict)
    own: frozenset[Key] = frozenset()
    _names: dict[str, tuple[Key, ...]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows.values())

    def get(self, *key: str) -> Row | None:
        """Return the row of this key, or None. The first part is a code system where the table has one."""
        return self.rows.get(_canonical(key) if self.key[0] == "system" else key)

    def find(self, codings: Iterable[tuple[str, str]]) -> Row | None:
        """Return the row of the first (system, code) that the table knows, in the order given, or None."""
        return next((row for s, c in codings if (row := self.get(s, c)) is not None), None)

    def by_text(self, text: str) -> Row | None:
        """Return the row that a hospital gave for this whole text (SITE/codes.csv), or None; case, width, blanks aside."""
        return self.texts.get(folded(text)) if self.texts else None

    def with_rows(self, rows: Mapping[Key, Row], texts: Mapping[str, Row], places: Mapping[Key, str]) -> CodeTable:
        """Return the table with a hospital's rows and whole texts added; a row replaces the one of the same key."""
        more = tuple(Override(k, self.places.get(k, ""), places[k]) for k in rows if k in self.rows)
        return replace(
            self,
            rows=MappingProxyType({**self.rows, **rows}),
            overrides=self.overrides + more,
            texts=MappingProxyType({**self.texts, **texts}),
            places=MappingProxyType({**self.places, **places}),
            own=self.own | rows.keys(),
            _names={},
        )

    def match_text(self, text: str) -> Row | None:
        """Return the row that has the longest `match` name found in the text, or None; ties go to the earlier row.

        Case, width and spacing are ignored. A Latin name must stand as whole words; Chinese has no word breaks.
        """
        if not self._names:
            self._index_names()
        wanted = folded(text)
        best: tuple[int, Key] | None = None
        for name, keys in self._names.items():
            if (best is None or len(name) > best[0]) and _occurs(name, wanted):
                best = len(name), keys[0]
        return None if best is None else self.rows[best[1]]

    def _index_names(self) -> None:
        for key, row in self.rows.items():
            for name in filter(None, map(folded, row.get("match", "").split("|"))):
                self._names[name] = (*self._names.get(name, ()), key)

    def frame(self) -> pd.DataFrame:
        """Return the rows as a frame of text columns, for merges."""
        return pd.DataFrame([dict(r) for r in self.rows.values()], columns=list(self.columns), dtype="str")


def folded(text: str) -> str:
    """Return a text as texts are compared: width, case and spacing do not matter."""
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
    own: set[Key] = set()
    for folder in folders:
        file = folder.joinpath(f"{name}.csv")
        if not file.is_file():
            continue
        first = not columns
        seen: set[Key] = set()
        for place, row in read_rows(file, key, columns):
            columns = columns or tuple(row)
            k = tuple(row[c] for c in key)
            if not all(k):
                raise InputError(f"{place}: {' and '.join(key)} must not be empty, found {k}")
            if "system" in key:
                k = _canonical(k)
                row.update(zip(key, k, strict=True))
            if k in seen:
                raise InputError(f"{place}: {'|'.join(k)} stands twice in this file, expected once")
            seen.add(k)
            if k in rows:
                overrides.append(Override(k, places[k], place))
            if not first:
                own.add(k)
            places[k] = place
            rows[k] = {c: row.get(c, "") for c in columns}
    if not columns:
        where = ", ".join(str(f) for f in folders) or "no folder"
        raise InputError(f"code table {name}.csv not found or empty; looked in {where}")
    if "like" in columns:
        _fill_likes(rows, places)
    return CodeTable(
        name, key, columns, MappingProxyType(rows), tuple(overrides), {}, MappingProxyType(places), frozenset(own)
    )


def _canonical(key: Key) -> Key:
    system = canonical_system(key[0])
    return (system, canonical_code(system, key[1]), *key[2:])


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
        target = rows.get(_canonical((system, code)) if bar else by_test.get(like, ()))
        if target is None or target["like"]:
            raise InputError(
                f"{places[k]}: like {like!r} names no row; expected system|code or a --TESTCD of a row without like"
            )
        # A bare --TESTCD says nothing about specimen, method or LOINC of the local test.
        skip = set() if bar else {"loinc", "specimen", "method"}
        row.update({c: v for c, v in target.items() if not row[c] and c not in skip})

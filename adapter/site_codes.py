"""SITE/codes.csv and SITE/products.csv: what a hospital's own codes and texts mean, filled in by a data manager.

codes.csv: `system,code,display,map_to`. `map_to` is a code of a shipped table (LOINC, ATC, SNOMED CT …), `system|code`, a
--TESTCD (also as `LB.PLAT`), a CMDECOD, PRDECOD or specimen type, or `ignore`; a row where it is empty is not filled in
yet. A row with a code means that code (of that system; of none where the system is empty). A row without a code means
results with that text (code.text, else the display) that no table knows by a code (fhir-input point 6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from adapter.code_files import read_rows
from adapter.codes import NAME, CodeTable, Key, Row, folded
from adapter.errors import InputError, unknown
from adapter.systems import LOINC, canonical_code, canonical_system, is_loinc

FILE = "codes.csv"
COLUMNS = ("resource", "system", "code", "display", "map_to")
PRODUCT_COLUMNS = ("product", "system", "code", "text", "lot", "passage")
IGNORE = "ignore"
IGNORED = "IGNORE"
"""`domain` of an Observation that the site does not want: dropped as code-ignored, and no more listed as unmapped."""

TABLES = {
    "Observation": "observations",
    "MedicationAdministration": "drugs",
    "Procedure": "procedures",
    "Specimen": "specimens",
}
"""Resource type -> the table that says what its codes mean."""

# The column whose value names a row where no code does, and what such a name says nothing about.
_NAMED_BY = {
    "observations": ("testcd", ("loinc", "specimen", "method")),
    "drugs": ("cmdecod", ()),
    "procedures": ("decod", ()),
    "specimens": ("ct", ()),
}
# `ignore` changes no data where unknown codes stay in the data: a procedure stays in PR.
_IGNORED_ROW = {"observations": {"domain": IGNORED}, "procedures": {"domain": "PR"}}


class _Target(NamedTuple):
    table: str
    row: Row


def with_site_codes(tables: Mapping[str, CodeTable], site: Path) -> dict[str, CodeTable]:
    """Return the tables with the rows of SITE/codes.csv added; the same tables where there is no such file.

    Raises InputError, by file and line, for a row that names nothing, or something that stands in several tables, for one
    that stands twice, and for `ignore` of a code that a table knows.
    """
    file = site / FILE
    if not file.is_file():
        return dict(tables)
    find = _Finder(tables)
    rows: dict[str, dict[Key, Row]] = {name: {} for name in _NAMED_BY}
    texts: dict[str, dict[str, Row]] = {name: {} for name in _NAMED_BY}
    places: dict[str, dict[Key, str]] = {name: {} for name in _NAMED_BY}
    seen: dict[tuple[str, ...], str] = {}
    for place, raw in read_rows(file, ("map_to",), COLUMNS):
        given = dict.fromkeys(COLUMNS, "") | raw
        wanted = given["map_to"]
        if not wanted:
            continue
        system = canonical_system(given["system"])
        code = canonical_code(system, given["code"])
        _check(place, given, system, code)
        for target in find.targets(place, given["resource"], wanted, system, code):
            what = (target.table, system, code) if code else (target.table, folded(given["display"]))
            if what in seen:
                raise InputError(f"{place}: {'|'.join(what[1:])} stands in {seen[what]} already, expected once")
            seen[what] = place
            row = dict(target.row) | {"system": system, "code": code}
            if "display" in row:
                row["display"] = given["display"] or row["display"]
            if code:
                rows[target.table][system, code] = row
                places[target.table][system, code] = place
            else:
                texts[target.table][folded(given["display"])] = row
    return {
        name: t.with_rows(rows[name], texts[name], places[name]) if name in _NAMED_BY else t
        for name, t in tables.items()
    }


def _check(place: str, given: Row, system: str, code: str) -> None:
    if not code and not given["display"]:
        raise InputError(f"{place}: found neither a code nor a display; expected one of them")
    if not code and system:
        raise InputError(f"{place}: found a system without a code; a row for a text has neither")
    if system == LOINC and not is_loinc(code):
        raise InputError(f"{place}: code {_not_loinc(given['code'])}")
    if given["resource"] and given["resource"] not in TABLES:
        raise InputError(f"{place}: {unknown('resource', given['resource'], list(TABLES))}")


def _not_loinc(text: str) -> str:
    return (
        f"{text!r} is no LOINC code, expected digits, a hyphen and the check digit (a spreadsheet may have made a date of "
        "it: format the column as text)"
    )


class _Finder:
    """Finds what `map_to` names in the tables."""

    def __init__(self, tables: Mapping[str, CodeTable]) -> None:
        self.tables = {name: tables[name] for name in _NAMED_BY if name in tables}
        self._by_code: dict[str, dict[str, Row]] = {}
        self._by_name: dict[str, dict[str, Row]] = {}
        for name, table in self.tables.items():
            column, silent = _NAMED_BY[name]
            codes = self._by_code[name] = {}
            names = self._by_name[name] = {}
            for row in table:
                if row["system"] != NAME:
                    codes.setdefault(row["code"], row)
                bare = dict(row) | dict.fromkeys(silent, "")
                names.setdefault(row[column].upper(), bare)
                if name == "observations":
                    names.setdefault(f"{row['domain']}.{row['testcd']}".upper(), bare)

    def targets(self, place: str, resource: str, wanted: str, system: str, code: str) -> list[_Target]:
        """Return the row that `map_to` names; for `ignore` one of each table that the row may be meant for."""
        within = [TABLES[resource]] if resource else list(self.tables)
        if wanted.lower() == IGNORE:
            return list(self._ignored(place, within, system, code))
        found = [_Target(name, row) for name in within if (row := self._row(name, wanted)) is not None]
        if len(found) > 1:
            kinds = ", ".join(kind for kind, name in TABLES.items() if name in {t.table for t in found})
            raise InputError(
                f"{place}: {wanted!r} stands in several tables; expected the column resource to say: {kinds}"
            )
        if not found:
            if any(c.isdigit() for c in wanted) and wanted.count("-") == 1 and not is_loinc(wanted.rpartition("|")[2]):
                raise InputError(f"{place}: map_to {_not_loinc(wanted)}")
            known = [n for name in within for n in (*self._by_name[name], *self._by_code[name])]
            raise InputError(
                f"{place}: map_to {unknown('code', wanted, known)}; expected a LOINC, ATC or SNOMED CT code of the "
                f"shipped tables, a --TESTCD, a standard drug name, or {IGNORE}"
            )
        return found

    def _row(self, name: str, wanted: str) -> Row | None:
        system, bar, code = wanted.rpartition("|")
        if bar:
            return self.tables[name].get(system, code)
        return self._by_code[name].get(wanted.strip().upper()) or self._by_name[name].get(
            " ".join(wanted.upper().split())
        )

    def _ignored(self, place: str, within: Iterable[str], system: str, code: str) -> Iterable[_Target]:
        for name in within:
            table = self.tables[name]
            known = table.get(system, code) if code else None
            if known is not None:
                raise InputError(
                    f"{place}: {system}|{code} is known ({_NAMED_BY[name][0]} {known[_NAMED_BY[name][0]]}) and cannot be "
                    "ignored; expected a code that no table knows"
                )
            yield _Target(name, dict.fromkeys(table.columns, "") | _IGNORED_ROW.get(name, {}))


def site_products(site: Path | None, products: Mapping[str, object]) -> CodeTable:
    """Return SITE/products.csv: codes, texts and lots of a hospital -> a product of the trial; empty without the file.

    products: the trial's, by id. Every row has `product` and one of code (with its system), text and lot; `passage` is
    that of a lot. Keys: ("lot", number) or (system, code).
    """
    file = site / "products.csv" if site is not None else None
    rows: dict[Key, Row] = {}
    texts: dict[str, Row] = {}
    places: dict[Key, str] = {}
    if file is not None and file.is_file():
        for place, raw in read_rows(file, ("product",), PRODUCT_COLUMNS):
            given = dict.fromkeys(PRODUCT_COLUMNS, "") | raw
            if given["product"] not in products:
                raise InputError(f"{place}: {unknown('product', given['product'], list(products))}")
            if given["passage"] and not given["passage"].isdecimal():
                raise InputError(f"{place}: passage {given['passage']!r}, expected a whole number")
            if not (given["code"] or given["text"] or given["lot"]):
                raise InputError(f"{place}: found neither code, text nor lot; expected what the product is known by")
            system = canonical_system(given["system"])
            keys: list[Key] = [(system, canonical_code(system, given["code"]))] if given["code"] else []
            keys += [(LOT, given["lot"])] if given["lot"] else []
            twice = [k for k in keys if k in rows] or [(t,) for t in [folded(given["text"])] if t and t in texts]
            if twice:
                raise InputError(f"{place}: {'|'.join(twice[0])} stands twice in this file, expected once")
            rows |= dict.fromkeys(keys, given)
            places |= dict.fromkeys(keys, place)
            if given["text"]:
                texts[folded(given["text"])] = given
    return CodeTable("products", ("system", "code"), PRODUCT_COLUMNS, rows, (), texts, places, frozenset(rows))


LOT = "lot"
"""In place of a code system: the code is a lot number."""

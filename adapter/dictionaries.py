"""The sponsor's coding: CSV files of `build --coding DIR`. MedDRA and WHODrug are licensed, so none of them ships.

    versions.csv       dictionary, version: `MedDRA,28.0` and `WHODrug,GLOBALB3 Mar 2025`; needed for each that is used
    meddra.csv         verbatim, llt, llt_code, pt, pt_code, hlt, hlt_code, hlgt, hlgt_code, soc, soc_code
    whodrug.csv        verbatim, decod, class, class_code
    translations.csv   term, english
    ctcae.csv          term: the terms of the CTCAE version in use

Each file may be left out. A verbatim is the whole text of the hospital, or its translation; case, width and spacing do
not matter. `soc` is the primary system organ class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapter.code_files import read_rows
from adapter.codes import folded
from adapter.errors import InputError

MEDDRA, WHODRUG = "MedDRA", "WHODrug"
MEDDRA_LEVELS = ("llt", "llt_code", "pt", "pt_code", "hlt", "hlt_code", "hlgt", "hlgt_code", "soc", "soc_code")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "meddra": ("verbatim", *MEDDRA_LEVELS),
    "whodrug": ("verbatim", "decod", "class", "class_code"),
    "translations": ("term", "english"),
    "ctcae": ("term",),
    "versions": ("dictionary", "version"),
}
_USES = {"meddra": MEDDRA, "whodrug": WHODRUG}
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dictionaries:
    """Coding of terms by folded verbatim. `versions`: dictionary -> version. Empty without --coding."""

    meddra: Mapping[str, Row] = field(default_factory=dict)
    whodrug: Mapping[str, Row] = field(default_factory=dict)
    translations: Mapping[str, str] = field(default_factory=dict)
    ctcae: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=dict)
    _by_code: Mapping[str, Row] = field(default_factory=dict, repr=False)

    def english(self, text: str) -> str:
        """Return the translation of a text, the text itself where there is none."""
        return self.translations.get(folded(text), text) if self.translations else text

    def term(self, texts: Iterable[str], codes: Iterable[str] = ()) -> Row | None:
        """Return the MedDRA coding of the first text that is coded, else of the first MedDRA code; None without one."""
        found = next((row for t in texts if (row := self.meddra.get(folded(t))) is not None), None)
        return found or next((row for c in codes if (row := self._by_code.get(c)) is not None), None)

    def drug(self, texts: Iterable[str]) -> Row | None:
        """Return the WHODrug coding of the first text that is coded, None without one."""
        return next((row for t in texts if (row := self.whodrug.get(folded(t))) is not None), None)


def load_dictionaries(folder: Path | None) -> Dictionaries:
    """Return the coding in a folder; nothing without one.

    Raises InputError, naming file and line, for a folder without any of the files, a column that is unknown or missing,
    a verbatim that stands twice, a code that is no number, or a dictionary without its version.
    """
    if folder is None:
        return Dictionaries()
    if not folder.is_dir():
        raise InputError(
            f"--coding {folder}: no such folder; expected one with meddra.csv, translations.csv or the like"
        )
    found = {name: _rows(folder, name) for name in _COLUMNS if (folder / f"{name}.csv").is_file()}
    if not found.keys() - {"versions"}:
        raise InputError(
            f"--coding {folder}: found none of {', '.join(f'{n}.csv' for n in _COLUMNS if n != 'versions')}"
        )
    versions = {r["dictionary"]: r["version"] for r in found.get("versions", {}).values()}
    for name, dictionary in _USES.items():
        if name in found and not versions.get(dictionary):
            raise InputError(
                f"{folder / 'versions.csv'}: found no version of {dictionary}, which {name}.csv is coded in"
            )
    meddra = found.get("meddra", {})
    by_code = {r[c]: r for r in reversed(list(meddra.values())) for c in ("pt_code", "llt_code") if r[c]}
    return Dictionaries(
        meddra,
        found.get("whodrug", {}),
        {k: r["english"] for k, r in found.get("translations", {}).items()},
        frozenset(found.get("ctcae", {})),
        versions,
        by_code,
    )


def _rows(folder: Path, name: str) -> dict[str, Row]:
    columns = _COLUMNS[name]
    rows: dict[str, Row] = {}
    for place, raw in read_rows(folder / f"{name}.csv", columns[:1], columns):
        row = dict.fromkeys(columns, "") | raw
        key = row["dictionary"] if name == "versions" else folded(row[columns[0]])
        if not key:
            raise InputError(f"{place}: {columns[0]} is empty")
        if key in rows:
            raise InputError(f"{place}: {row[columns[0]]!r} stands twice in this file, expected once")
        for c in columns:
            if name == "meddra" and c.endswith("_code") and row[c] and not row[c].isdecimal():
                raise InputError(f"{place}: {c} {row[c]!r} is no MedDRA code; expected a whole number")
        if name == "meddra" and not (row["llt"] or row["pt"]):
            raise InputError(f"{place}: {row['verbatim']!r} has neither llt nor pt")
        rows[key] = row
    return rows

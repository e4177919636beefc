"""CDISC controlled terminology: codelists with their NCI C-codes, and codelists of a trial or sponsor added to them.

Read from `terminology.csv` (columns package, codelist_ccode, codelist, codelist_name, extensible, term, ccode, decode),
a subset of the packages named in schemas/ct.csv. C-codes go to define.xml (Alias nci:ExtCodeID), `extensible` decides
whether a value outside the list may carry def:ExtendedValue (Define-XML 2.1 §5.3.12).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from adapter.codes import Row, load_codes
from adapter.errors import DeclarationError, InputError, unknown


@dataclass(frozen=True, slots=True)
class Term:
    """One permitted value. `ccode` is empty for sponsor terms; `decode` is the text to show beside the value."""

    value: str
    ccode: str
    decode: str
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Codelist:
    """A codelist. `ccode` and `package` are empty for a codelist of the trial; `name` is its short name (`NY`)."""

    ccode: str
    name: str
    title: str
    extensible: bool
    terms: Mapping[str, Term]
    package: str = ""

    def extended(self, values: Mapping[str, str]) -> Codelist:
        """Return this codelist with sponsor terms (value → decode) added; values already in it are left as they are.

        Raises DeclarationError if the codelist is not extensible and a value is new.
        """
        new = {v: Term(v, "", d or v, extended=bool(self.ccode)) for v, d in values.items() if v not in self.terms}
        if new and not self.extensible:
            raise DeclarationError(
                f"codelist {self.name} ({self.ccode}) is not extensible; found new terms {sorted(new)}"
            )
        terms = MappingProxyType({**self.terms, **new})
        return Codelist(self.ccode, self.name, self.title, self.extensible, terms, self.package)


@dataclass(frozen=True, slots=True)
class Terminology:
    """All codelists known to a run, by C-code and by short name."""

    codelists: tuple[Codelist, ...]
    _index: dict[str, Codelist] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for c in self.codelists:
            for name in filter(None, (c.ccode, c.name)):
                if name in self._index:
                    raise DeclarationError(f"codelist {name!r} is defined twice")
                self._index[name] = c

    @classmethod
    def load(cls, *folders: Traversable | Path) -> Terminology:
        """Return the codelists of terminology.csv in these folders; a later folder adds codelists or extends them.

        In a later file, rows of an earlier CDISC codelist are sponsor terms: they have no C-code and are marked
        extended. Raises InputError for a broken file or a new term in a codelist that is not extensible.
        """
        table = load_codes("terminology", *folders, key=("codelist", "term"))
        rows: dict[str, list[Row]] = {}
        for row in table:
            rows.setdefault(row["codelist"], []).append(row)
        return cls(tuple(_codelist(group) for group in rows.values()))

    def codelist(self, name: str) -> Codelist:
        """Return a codelist by C-code (`C66742`) or short name (`NY`). Raises DeclarationError if there is none.

        Several names, blank-separated, are one list of all their terms: a variable may be bound to several (DSDECOD).
        """
        found = self._index.get(name)
        if found is None and " " in name:
            return _together([self.codelist(n) for n in name.split()])
        if found is None:
            raise DeclarationError(unknown("codelist", name, sorted(self._index)))
        return found

    def __contains__(self, name: str) -> bool:
        return all(n in self._index for n in name.split())

    def is_term(self, name: str, value: str) -> bool:
        """Return whether the value is in the codelist, exactly as spelled."""
        return value in self.codelist(name).terms

    def missing(self, name: str, values: Iterable[str]) -> list[str]:
        """Return the distinct values that are not in the codelist, sorted."""
        terms = self.codelist(name).terms
        return sorted({v for v in values if v not in terms})

    def adding(self, *codelists: Codelist) -> Terminology:
        """Return a terminology with these codelists added; one of the same name replaces the earlier one."""
        names = {c.name for c in codelists}
        return Terminology((*(c for c in self.codelists if c.name not in names), *codelists))


def _together(parts: list[Codelist]) -> Codelist:
    """Return the terms of several codelists as one, which is no codelist of a standard though its terms are."""
    terms = {t.value: t for c in reversed(parts) for t in c.terms.values()}
    names, titles = " ".join(c.name for c in parts), ", ".join(c.title for c in parts)
    return Codelist("", names, titles, any(c.extensible for c in parts), MappingProxyType(terms))


def _codelist(rows: list[Row]) -> Codelist:
    first = rows[0]
    terms: dict[str, Term] = {}
    for row in rows:
        sponsor = bool(first["codelist_ccode"]) and not row["ccode"]
        if sponsor and first["extensible"] != "Y":
            raise InputError(f"terminology.csv: codelist {first['codelist']} is not extensible, found {row['term']!r}")
        terms[row["term"]] = Term(row["term"], row["ccode"], row["decode"] or row["term"], extended=sponsor)
    return Codelist(
        first["codelist_ccode"], first["codelist"], first["codelist_name"], first["extensible"] == "Y",
        MappingProxyType(terms), first["package"],
    )  # fmt: skip

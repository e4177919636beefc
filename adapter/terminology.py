"""CDISC controlled terminology: codelists with their NCI C-codes, and codelists of a trial or sponsor added to them.

`codelists.csv` names the codelists that builds use (package, codelist, and `names`: the codelist that has the names of its
codes); their terms and C-codes are those of the packages in schemas/ct. `terminology.csv` (package, codelist_ccode, codelist,
codelist_name, extensible, term, ccode, decode) holds what those do not say: texts to show, and whole codelists of elsewhere.
C-codes go to define.xml (Alias nci:ExtCodeID), `extensible` decides whether a value outside the list may carry
def:ExtendedValue (Define-XML 2.1 §5.3.12).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from adapter.codes import CodeTable, Row, load_codes
from adapter.ct_packages import Terms, in_use
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
        """Return the codelists named in codelists.csv and those of terminology.csv in these folders, later ones adding.

        In terminology.csv, a term that a CDISC codelist does not have is a sponsor term: it has no C-code and is marked
        extended. Raises InputError for a broken file or a new term in a codelist that is not extensible.
        """
        lists = load_codes("codelists", *folders, key=("codelist",))
        used = [p for p in in_use() if any(row["package"] == p for row in lists)]
        found = {c.name: c for package in used for c in _published(package, lists)}
        missing = [row["codelist"] for row in lists if row["codelist"] not in found]
        if missing:
            raise InputError(f"codelists.csv: no package in use has {', '.join(missing)}")
        rows: dict[str, list[Row]] = {}
        for row in load_codes("terminology", *folders, key=("codelist", "term")):
            rows.setdefault(row["codelist"], []).append(row)
        for name, group in rows.items():
            found[name] = _codelist(group, found.get(name))
        return cls(tuple(found.values()))

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


def _published(package: str, lists: CodeTable) -> list[Codelist]:
    """Return the codelists that are taken from a package, their terms in order; `decode` is the name of the same C-code."""
    wanted = {row["codelist"]: row["names"] for row in lists if row["package"] == package}
    table = Terms(in_use()[package], {*wanted, *filter(None, wanted.values())})
    made = []
    for name, names in wanted.items():
        if (ccode := table.code(name)) is None or (names and table.code(names) is None):
            continue
        decodes = {c: v for v, c in table.values[str(table.code(names))].items()} if names else {}
        terms = {v: Term(v, c, decodes.get(c, v)) for v, c in sorted(table.values[ccode].items())}
        title, extensible = table.codelists[ccode]["name"], table.extensible(ccode)
        made.append(Codelist(ccode, name, title, extensible, MappingProxyType(terms), package))
    return made


def _codelist(rows: list[Row], known: Codelist | None) -> Codelist:
    """Return a codelist with the rows of terminology.csv: `known` with other texts and more terms, or a new one."""
    first = rows[0]
    base = known or Codelist(
        first["codelist_ccode"], first["codelist"], first["codelist_name"], first["extensible"] == "Y", {},
        first["package"],
    )  # fmt: skip
    terms = dict(base.terms)
    for row in rows:
        value, decode = row["term"], row["decode"] or row["term"]
        if value in terms:
            terms[value] = replace(terms[value], decode=decode)
            continue
        sponsor = bool(base.ccode) and not row["ccode"]
        if sponsor and not base.extensible:
            raise InputError(f"terminology.csv: codelist {base.name} is not extensible, found {value!r}")
        terms[value] = Term(value, row["ccode"], decode, extended=sponsor)
    return replace(base, terms=MappingProxyType(terms))

"""The frozen declarations that mapping modules are written in: Dataset, Variable, Origin, and the four sources.

A variable is declared once. From that one declaration come its values, its XPT attributes, its ItemDef, Origin,
Method and Comment in define.xml, its trace and its row in the generated docs table.

    Variable("LBORRES", "Result or Finding in Original Units", "Char", source=path("value", "Observation.value[x]"))
    Variable("DOMAIN", "Domain Abbreviation", "Char", source=const("LB"))
    Variable("RFSTDTC", ..., source=ref("DM.RFSTDTC"))
    Variable("LBDY", ..., source=call(study_day, "LBDTC", ref("DM.RFSTDTC")))

`call` documents itself: the first paragraph of the function's docstring, with the keyword arguments filled in, is the
text of the define.xml Method. Keyword arguments are settings of the trial (`setting("analytes.ANC.unit")`), so that
changing a threshold changes the data and its documentation together.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapter.errors import DeclarationError
from adapter.records import Inputs, Records, issues_of, joined, parents_of, related_to, used_of

__all__ = [
    "ASSIGNED",
    "COLLECTED",
    "DERIVED",
    "LABORATORY",
    "NOT_AVAILABLE",
    "PREDECESSOR",
    "PROTOCOL",
    "Call",
    "Const",
    "Dataset",
    "Inputs",
    "Origin",
    "Path",
    "Records",
    "Ref",
    "Setting",
    "Source",
    "ValueLevel",
    "Variable",
    "Whole",
    "call",
    "const",
    "issues_of",
    "joined",
    "parents_of",
    "path",
    "ref",
    "related_to",
    "setting",
    "used_of",
    "whole",
]

Type = Literal["Char", "Num"]
Core = Literal["Req", "Exp", "Perm", "Cond"]
OriginType = Literal["Collected", "Derived", "Assigned", "Protocol", "Predecessor", "Not Available", "Other"]
OriginSource = Literal["Investigator", "Sponsor", "Subject", "Vendor"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from, in the terms of Define-XML 2.1 (codelists ORIGINT C170449 and ORIGINS C170450)."""

    type: OriginType
    source: OriginSource | None = None


COLLECTED = Origin("Collected", "Investigator")
LABORATORY = Origin("Collected", "Vendor")
DERIVED = Origin("Derived", "Sponsor")
ASSIGNED = Origin("Assigned", "Sponsor")
PROTOCOL = Origin("Protocol", "Sponsor")
PREDECESSOR = Origin("Predecessor")
NOT_AVAILABLE = Origin("Not Available")


@dataclass(frozen=True, slots=True)
class Path:
    """A column of the records frame, and the FHIR elements it was read from (one per resource type)."""

    column: str
    fhir: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Const:
    """A literal, the same in every record."""

    value: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A variable of another dataset with one record per subject, joined on USUBJID."""

    dataset: str
    variable: str


@dataclass(frozen=True, slots=True)
class Whole:
    """All variables of another dataset, of the same subjects: what a function of several of its records is given."""

    dataset: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of the trial definition, by its dotted name. missing: what stands for it in a trial without it."""

    name: str
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A pure function of vectors (columns, other variables, refs), of whole datasets and of settings; returns one vector.

    The vector is as long as the records of the dataset it is declared in.
    """

    function: Callable[..., Any]
    arguments: tuple[str | Ref | Whole, ...]
    settings: Mapping[str, Any]

    def method(self, resolved: Mapping[str, Any]) -> str:
        """Return the Method text: the docstring's first paragraph with `{name}` replaced by the setting's value."""
        text = " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())
        if not text:
            raise DeclarationError(f"{self.function.__qualname__} has no docstring, so its Method has no text")
        told = {k: _in_words(v) if isinstance(v, tuple) else v for k, v in resolved.items()}
        names = {**{f"a{i}": _name(a) for i, a in enumerate(self.arguments)}, **told}
        try:
            return text.format(**names)
        except KeyError as e:
            raise DeclarationError(
                f"{self.function.__qualname__}: docstring names {{{e.args[0]}}}, known are {sorted(names)}"
            ) from e


Source = Path | Const | Ref | Call | Setting


def _in_words(names: tuple[Any, ...]) -> str:
    return ", ".join(str(n).replace("_", " ") for n in names)


def _name(argument: str | Ref | Whole) -> str:
    if isinstance(argument, Whole):
        return argument.dataset
    return argument if isinstance(argument, str) else f"{argument.dataset}.{argument.variable}"


def path(column: str, *fhir: str) -> Path:
    """Return the source 'this column of the records frame', documented by the FHIR elements it holds."""
    return Path(column, fhir)


def const(value: str) -> Const:
    return Const(value)


def ref(name: str) -> Ref:
    """Return the source 'that variable of that dataset', written `DM.RFSTDTC`."""
    dataset, _, variable = name.partition(".")
    if not variable:
        raise DeclarationError(f"ref({name!r}): expected DATASET.VARIABLE")
    return Ref(dataset, variable)


def whole(dataset: str) -> Whole:
    """Return the argument 'the records of that dataset' of a call: its frame of variables, sorted by its keys."""
    return Whole(dataset)


def setting(name: str, missing: str | None = None) -> Setting:
    return Setting(name, missing)


def call(function: Callable[..., Any], *arguments: str | Ref | Whole, **settings: Any) -> Call:
    return Call(function, arguments, settings)


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a dataset. `length` is needed only where the data do not decide it (XPT lengths are as needed).

    `supplemental` moves the value to SUPP-- (its QNAM is the variable's name, its QLABEL the label).
    `codelist` is the NCI C-code of a CDISC codelist, or the name of a trial codelist.
    `display` is a Define-XML DisplayFormat for numbers, such as "8.3".
    """

    name: str
    label: str
    type: Type
    source: Source | None
    origin: Origin
    core: Core = "Perm"
    role: str = ""
    codelist: str | None = None
    length: int | None = None
    display: str | None = None
    dictionary: str | None = None
    comment: str | None = None
    supplemental: bool = False

    def __post_init__(self) -> None:
        where = f"variable {self.name}"
        if not re.fullmatch(r"[A-Z][A-Z0-9]{0,7}", self.name):
            raise DeclarationError(f"{where}: a name has 1 to 8 characters A-Z 0-9 and starts with a letter")
        if not 0 < len(self.label) <= 40 or not self.label.isascii():
            raise DeclarationError(f"{where}: label {self.label!r} must be ASCII, 1 to 40 characters")
        if self.origin.type == "Derived" and not isinstance(self.source, Call | Ref):
            raise DeclarationError(f"{where}: a Derived variable needs call(...) or ref(...), so that it has a Method")


@dataclass(frozen=True, slots=True)
class ValueLevel:
    """Value-level metadata of one variable: one row per value of `by` (LBTESTCD, QNAM, TSPARMCD …) found in the data.

    Type, length and significant digits of each row are measured while the data are made; unit and codelist come from
    the code tables. methods: the trial definition -> value of `by` -> the Method text of that row, where each has its
    own (ADaM parameters); a value that it does not name has the Method of the variable.
    """

    variable: str
    by: str
    methods: Callable[[Any], Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset, as declared by one file in mappings/sdtm or mappings/adam (its `DATASET`).

    records: (Inputs) -> Records. Chooses the source rows; one row per future record.
    needs: datasets whose *records* must exist before this one's (DM needs EX and CM for RFSTDTC).
    last: its records point to records of others by their --SEQ (RELREC, CO), so it is made after all of them.
    purpose: an Analysis dataset (ADaM) is made after all tabulation datasets, and reads those (Inputs.made).
    keys: variables that identify a record and give its sort order; --SEQ follows that order inside a subject.
    """

    name: str
    label: str
    cls: str
    structure: str
    keys: tuple[str, ...]
    variables: tuple[Variable, ...]
    records: Callable[..., Any]
    needs: tuple[str, ...] = ()
    value_levels: tuple[ValueLevel, ...] = ()
    reference: bool = False
    repeating: bool = True
    purpose: Literal["Tabulation", "Analysis"] = "Tabulation"
    sequence: str | None = None
    comment: str | None = None
    last: bool = False
    subclass: str | None = None
    _index: dict[str, Variable] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for v in self.variables:
            if v.name in self._index:
                raise DeclarationError(f"{self.name}: variable {v.name} is declared twice")
            self._index[v.name] = v
        missing = [k for k in (*self.keys, *(w.variable for w in self.value_levels)) if k not in self._index]
        if missing:
            raise DeclarationError(f"{self.name}: keys or value levels name undeclared variables {missing}")

    def variable(self, name: str) -> Variable:
        return self._index[name]

    @property
    def main(self) -> tuple[Variable, ...]:
        """The variables of the dataset itself, in order (those moved to SUPP-- left out)."""
        return tuple(v for v in self.variables if not v.supplemental)

    @property
    def supplemental(self) -> tuple[Variable, ...]:
        return tuple(v for v in self.variables if v.supplemental)

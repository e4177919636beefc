"""From declarations and summaries to the Define-XML document: what is declared, as far as it is present in the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, get_args

from adapter.define_lists import code_list, external_list
from adapter.errors import DeclarationError
from adapter.evaluate import resolved_settings
from adapter.spec import ASSIGNED, Call, Core, Dataset, Path, Ref, ValueLevel, Variable, path
from adapter.summary import DatasetSummary, Level, level_key
from adapter.supplement import qnam
from adapter.terminology import Terminology
from adapter.trial import Trial
from adapter.writers import define_model as m
from adapter.writers.define_model import oid

# name, label, core, role, codelist (SDTMIG 3.4 §8.4; QORIG takes the terms of Define-XML's own package)
SUPP_VARIABLES: tuple[tuple[str, str, Core, str, str | None], ...] = (
    ("STUDYID", "Study Identifier", "Req", "Identifier", None),
    ("RDOMAIN", "Related Domain Abbreviation", "Req", "Identifier", "C66734"),
    ("USUBJID", "Unique Subject Identifier", "Req", "Identifier", None),
    ("IDVAR", "Identifying Variable", "Exp", "Identifier", None),
    ("IDVARVAL", "Identifying Variable Value", "Exp", "Identifier", None),
    ("QNAM", "Qualifier Variable Name", "Req", "Topic", None),
    ("QLABEL", "Qualifier Variable Label", "Req", "Synonym Qualifier", None),
    ("QVAL", "Data Value", "Req", "Result Qualifier", None),
    ("QORIG", "Origin", "Req", "Record Qualifier", "C170449"),
    ("QEVAL", "Evaluator", "Exp", "Record Qualifier", "C78735"),
)
SUPP_KEYS = ("STUDYID", "RDOMAIN", "USUBJID", "IDVAR", "IDVARVAL", "QNAM")
IG = "STD.IG"


def present(d: Dataset, summary: DatasetSummary) -> tuple[Variable, ...]:
    """Return the variables that the dataset carries: a permissible one without a value is left out (SDTMIG §4.1.1)."""
    return tuple(v for v in d.main if v.core not in ("Perm", "Cond") or summary.filled.get(v.name))


def supplement_dataset(d: Dataset) -> Dataset:
    """Return the declaration of SUPP-- of a dataset (SDTMIG 3.4 §8.4)."""
    return Dataset(
        name=f"SUPP{d.name}",
        label=f"Supplemental Qualifiers for {d.name}",
        cls="RELATIONSHIP",
        structure="One record per supplemental qualifier per related parent domain record(s)",
        keys=SUPP_KEYS,
        variables=tuple(
            Variable(name, label, "Char", path(name), ASSIGNED, core, role, codelist=codelist)
            for name, label, core, role, codelist in SUPP_VARIABLES
        ),
        records=d.records,
        value_levels=(ValueLevel("QVAL", "QNAM"),),
    )


def qualified(parent: Dataset, name: str) -> Variable:
    """Return the variable of the parent that a QNAM stands for: a supplemental one, or one whose text ran over."""
    numbers = [int(name[-k:]) for k in (1, 2) if name[-k:].isdecimal()]
    exact = [v for v in parent.variables if v.name == name]
    longer = [v for v in parent.variables if v.type == "Char" and name in (qnam(v.name, n) for n in numbers)]
    if not exact and not longer:
        raise DeclarationError(f"SUPP{parent.name}: QNAM {name!r} is no variable of {parent.name}, nor the rest of one")
    return (exact or longer)[0]


class DefineBuilder:
    """Collects definitions while it walks the datasets; every definition is made once and only where it is used."""

    def __init__(
        self, trial: Trial, terminology: Terminology, versions: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.trial = trial
        self.terminology = terminology
        self.versions = versions
        self.items: dict[str, m.Item] = {}
        self.methods: dict[str, m.Method] = {}
        self.comments: dict[str, m.Comment] = {}
        self.value_lists: list[m.ValueList] = []
        self.where: dict[str, m.WhereClause] = {}
        self.terms: dict[str, dict[str, str]] = {}
        self.numeric: set[str] = set()
        self.external: dict[str, m.CodeList] = {}

    def comment(self, key: str, text: str) -> str:
        self.comments.setdefault(key, m.Comment(key, text))
        return key

    def group(self, d: Dataset, s: DatasetSummary, parent: Dataset | None = None) -> m.ItemGroup:
        """Return the ItemGroupDef of one dataset and collect everything it refers to. parent: of SUPP--, its domain."""
        variables = present(d, s)
        names = {v.name for v in variables}
        keys = {k: i for i, k in enumerate([k for k in d.keys if k in names], 1)}
        levels = {w.variable: w for w in d.value_levels if w.variable in names and _told_apart(s, w)}
        refs = []
        for v in variables:
            method = self._method(d, v)
            self._item(d, v, s, levels.get(v.name), parent)
            refs.append(
                m.ItemRef(
                    oid("IT", d.name, v.name),
                    # an uncoded AETERM leaves AEDECOD blank: the coding is the sponsor's, and nothing is invented
                    mandatory=v.core == "Req" and s.filled.get(v.name, 0) == s.rows,
                    key_sequence=keys.get(v.name),
                    method_oid=method,
                    role=(v.role or None) if d.purpose == "Tabulation" else None,
                    has_no_data=not s.filled.get(v.name),
                )
            )
        empty = s.rows == 0
        note = d.comment or ("No record in this delivery." if empty else None)
        if d.cls not in get_args(m.Class):
            raise DeclarationError(f"{d.name}: class {d.cls!r} is not one of {get_args(m.Class)}")
        leaf = m.Leaf(oid("LF", d.name.lower()), f"{d.name.lower()}.xpt", f"{d.name.lower()}.xpt")
        return m.ItemGroup(
            oid=oid("IG", d.name),
            name=d.name,
            domain=parent.name if parent else d.name,
            domain_description=parent.label if parent else None,
            label=d.label,
            structure=d.structure,
            cls=d.cls,  # type: ignore[arg-type]
            subclass=d.subclass,  # type: ignore[arg-type]
            standard_oid=IG,
            items=tuple(refs),
            leaf=None if empty else leaf,
            purpose=d.purpose,
            repeating=d.repeating,
            is_reference=d.reference,
            has_no_data=empty,
            comment_oid=self.comment(oid("COM", d.name), note) if note else None,
        )

    def _method(self, d: Dataset, v: Variable) -> str | None:
        if not isinstance(v.source, Call):
            return None
        key = oid("MT", d.name, v.name)
        text = v.source.method(resolved_settings(v.source, self.trial.setting))
        self.methods[key] = m.Method(key, f"Algorithm for {d.name}.{v.name}", text)
        return key

    def _item(
        self, d: Dataset, v: Variable, s: DatasetSummary, level: ValueLevel | None, parent: Dataset | None
    ) -> None:
        key = oid("IT", d.name, v.name)
        text = comment_of(v)
        comment = self.comment(oid("COM", d.name, v.name), text) if text else None
        codelist = self._codelist(v, s, d)
        value_list = self._values(d, v, s, level, parent) if level is not None else None
        # the values of SUPP-- come from many variables: each value level has its own origin
        origin = None if level is not None and parent is not None else v.origin
        copied = predecessor_of(v) if origin is not None and origin.type == "Predecessor" else None
        self.items[key] = m.Item(
            key,
            v.name,
            **_shape(v, s),
            label=v.label,
            display_format=v.display,
            codelist_oid=codelist,
            value_list_oid=value_list,
            origin_type=origin.type if origin else None,
            origin_source=origin.source if origin else None,
            origin_description=copied,
            comment_oid=comment,
        )

    def _codelist(self, v: Variable, s: DatasetSummary, d: Dataset) -> str | None:
        if v.dictionary:
            return self._external(v.dictionary, v.type, d) if s.filled.get(v.name) else None
        if not v.codelist or not s.terms.get(v.name):
            return None
        known = self.terminology.codelist(v.codelist)
        decodes = s.companions.get(v.name, {})
        mine = self.terms.setdefault(known.ccode or known.name, {})
        if v.type == "Num":
            self.numeric.add(known.ccode or known.name)
        for term in sorted(s.terms[v.name]):
            mine.setdefault(term, "")
            if decodes.get(term):
                mine[term] = decodes[term]
        return oid("CL", *known.name.split())

    def _external(self, name: str, type_: str, d: Dataset) -> str:
        """Return the OID of the codelist that stands for a dictionary; its codes (Num) have one of their own."""
        key, made, text = external_list(name, type_, self.versions, d.name)
        note = self.comment(oid("COM", "CL", name), text) if text else None
        self.external[key] = replace(made, comment_oid=note)
        return key

    def _values(self, d: Dataset, v: Variable, s: DatasetSummary, level: ValueLevel, parent: Dataset | None) -> str:
        refs = []
        texts = level.methods(self.trial) if level.methods else {}
        for value, found in _told_apart(s, level):
            item, where = oid("IT", d.name, v.name, value), oid("WC", d.name, level.by, value)
            check = m.Check(oid("IT", d.name, level.by), "EQ", (value,))
            self.where.setdefault(where, m.WhereClause(where, (check,)))
            kind = "integer" if found.integer else "float" if found.numeric else "text"
            owner, of = (parent, qualified(parent, value)) if parent else (d, v)
            text = comment_of(of) if parent else ""
            self.items[item] = m.Item(
                item,
                value if parent else v.name,
                kind,  # type: ignore[arg-type]
                label=s.companions[level.by][value] if parent else None,
                length=_level_length(found),
                significant_digits=found.decimals if kind == "float" else None,
                origin_type=of.origin.type,
                origin_source=of.origin.source,
                comment_oid=self.comment(oid("COM", owner.name, of.name), text) if text else None,
            )
            method = self._method(owner, of)
            if value in texts:
                method = oid("MT", d.name, v.name, value)
                self.methods[method] = m.Method(method, f"Algorithm for {d.name}.{v.name}, {value}", texts[value])
            refs.append(m.ItemRef(item, method_oid=method, where_clause_oids=(where,)))
        key = oid("VL", d.name, v.name)
        self.value_lists.append(m.ValueList(key, tuple(refs)))
        return key

    def code_lists(self) -> tuple[m.CodeList, ...]:
        """Return the codelists with the terms that the data use."""
        made = []
        for name, used in sorted(self.terms.items()):
            c = self.terminology.codelist(name)
            made.append(code_list(c, used, "integer" if name in self.numeric else "text"))
        return (*made, *(self.external[k] for k in sorted(self.external)))


def _told_apart(s: DatasetSummary, level: ValueLevel) -> list[tuple[str, Level]]:
    """Return the rows of a value level, sorted; records whose `by` is empty are described by the variable itself."""
    return sorted((value, found) for value, found in s.levels.get(level_key(level), {}).items() if value)


def _level_length(found: Level) -> int:
    if found.integer or not found.numeric:
        return max(1, found.length)
    return max(1, found.length, found.digits + found.decimals + 1)  # the longest text may have a sign


def _shape(v: Variable, s: DatasetSummary) -> dict[str, Any]:
    """Return data_type, length and significant_digits of a variable, measured in the data."""
    if v.type == "Num":
        found = s.numbers.get(v.name) or Level()
        if found.rows == 0 or found.integer:
            return {"data_type": "integer", "length": max(1, found.length, v.length or 1)}
        return {"data_type": "float", "length": _level_length(found), "significant_digits": found.decimals}
    longest, shortest = s.lengths.get(v.name, 0), s.shortest.get(v.name, 0)
    if v.name.endswith("DTC"):
        if longest <= 10:
            return {"data_type": "date" if shortest in (0, 10) else "partialDate"}
        # cut at the right only, never a gap in the middle: partial, not incomplete (Define-XML 2.1 §4.3.1)
        return {"data_type": "datetime" if shortest >= 19 else "partialDatetime"}
    return {"data_type": "text", "length": max(1, v.length or longest)}


def predecessor_of(v: Variable) -> str:
    """Return the variable that another one is copied from: ADSL.TRT01P."""
    if isinstance(v.source, Ref):
        return f"{v.source.dataset}.{v.source.variable}"
    if isinstance(v.source, Path) and v.source.fhir:
        return v.source.fhir[0]
    raise DeclarationError(f"variable {v.name}: a Predecessor is ref(...) or path(column, 'DATASET.VARIABLE')")


def comment_of(v: Variable) -> str:
    """Return the comment of a variable: its FHIR path where it was collected (there is no CRF), then its own words."""
    parts = []
    if isinstance(v.source, Path) and v.source.fhir and v.origin.type != "Predecessor":
        parts.append(f"Source: {'; '.join(v.source.fhir)}.")
    if v.comment:
        parts.append(v.comment)
    return " ".join(parts)

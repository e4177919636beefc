"""Finds what is wrong inside a `Define` before it is written: texts, OIDs, references and the rules of Define-XML 2.1.

The XSD sees no OID reference and few of the conditions of the specification, and a user has no XSD at hand, so these
are checked here, every time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_args

from adapter.writers import define_model as m

# XML 1.0 §2.2: all other characters cannot be in a document, escaped or not
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BLANK_ALLOWED = {"values"}  # a where clause may ask for an empty value
_SIZED = ("text", "integer", "float")
_LEGAL: tuple[tuple[type, str, tuple[str, ...]], ...] = (
    (m.Define, "context", get_args(m.Context)),
    (m.Standard, "name", get_args(m.StandardName)),
    (m.Standard, "type", get_args(m.StandardType)),
    (m.Standard, "publishing_set", get_args(m.PublishingSet)),
    (m.ItemGroup, "cls", get_args(m.Class)),
    (m.ItemGroup, "subclass", get_args(m.SubClass)),
    (m.ItemGroup, "purpose", get_args(m.Purpose)),
    (m.Item, "data_type", get_args(m.DataType)),
    (m.Item, "origin_type", get_args(m.OriginType)),
    (m.Item, "origin_source", get_args(m.OriginSource)),
    (m.Check, "comparator", get_args(m.Comparator)),
    (m.CodeList, "data_type", get_args(m.CodeDataType)),
    (m.Method, "type", get_args(m.MethodType)),
)


def check(define: m.Define) -> list[str]:
    """Return one line per fault, each beginning with the OID it is about; empty when the document holds together."""
    names = {item.oid: item.name for item in define.items}
    found = [
        *_texts(define, define.study_oid),
        *_identifiers(define),
        *_references(define),
        *(p for s in define.standards for p in _standard(s)),
        *(p for group in define.item_groups for p in _item_group(group, names)),
        *(p for value_list in define.value_lists for p in _value_list(value_list)),
        *(p for item in define.items for p in _item(item)),
        *(p for clause in define.where_clauses for p in _where_clause(clause)),
        *(p for code_list in define.code_lists for p in _code_list(code_list)),
        *_used_as_variables(define),
    ]
    return list(dict.fromkeys(found))


def _texts(node: Any, owner: str) -> Iterator[str]:
    """Walk every field: no character that XML cannot hold, no blank text, no value outside its controlled list."""
    owner = getattr(node, "oid", owner)
    for f in fields(node):
        value = getattr(node, f.name)
        for part in value if isinstance(value, tuple) else (value,):
            if is_dataclass(part):
                yield from _texts(part, owner)
            elif isinstance(part, str):
                bad = _ILLEGAL.search(part)
                if bad:
                    yield f"{owner}: {f.name} has the character U+{ord(bad[0]):04X}, which XML cannot hold: {part!r}"
                elif not part.strip() and f.name not in _BLANK_ALLOWED:
                    yield f"{owner}: {f.name} is blank"
    for cls, name, legal in _LEGAL:
        if isinstance(node, cls) and getattr(node, name) not in (None, *legal):
            yield f"{owner}: {name} {getattr(node, name)!r} is not one of {', '.join(legal)}"


def _leaves(define: m.Define) -> list[m.Leaf]:
    return [*define.crfs, *define.documents, *(g.leaf for g in define.item_groups if g.leaf)]


def _identifiers(define: m.Define) -> Iterator[str]:
    named: tuple[Any, ...] = (
        *define.standards, *define.value_lists, *define.where_clauses, *define.item_groups, *define.items,
        *define.code_lists, *define.methods, *define.comments, *_leaves(define),
    )  # fmt: skip
    for oid in _repeated([define.study_oid, define.mdv_oid, *(n.oid for n in named)]):
        yield f"{oid}: this OID is defined more than once"
    for name in _repeated(g.name for g in define.item_groups):
        yield f"{define.mdv_oid}: two datasets have the name {name!r}"
    for href in _repeated(leaf.href for leaf in _leaves(define)):
        yield f"{define.mdv_oid}: two leaves have the file {href!r}"
    for leaf in _leaves(define):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", leaf.oid):
            yield f"{leaf.oid}: the ID of a leaf must be an XML name of letters, digits, '_', '-' and '.'"
        if not re.fullmatch(r"(?!/)[A-Za-z0-9_./-]+", leaf.href):
            yield f"{leaf.oid}: href {leaf.href!r} must be a path relative to define.xml, of letters, digits and '_./-'"


def _references(define: m.Define) -> Iterator[str]:
    """Every reference resolves, to the right kind of thing."""
    known = {
        "CommentOID": {c.oid for c in define.comments},
        "StandardOID": {s.oid for s in define.standards},
        "ItemOID": {i.oid for i in define.items},
        "MethodOID": {x.oid for x in define.methods},
        "WhereClauseOID": {w.oid for w in define.where_clauses},
        "CodeListOID": {c.oid for c in define.code_lists},
        "ValueListOID": {v.oid for v in define.value_lists},
        "leafID": {leaf.oid for leaf in (*define.crfs, *define.documents)},
    }
    for owner, attribute, target in _targets(define):
        if target is not None and target not in known[attribute]:
            yield f"{owner}: {attribute} {target!r} is not defined"


def _targets(define: m.Define) -> Iterator[tuple[str, str, str | None]]:
    yield define.mdv_oid, "CommentOID", define.comment_oid
    of_standard: tuple[m.ItemGroup | m.CodeList, ...] = (*define.item_groups, *define.code_lists)
    for x in of_standard:
        yield x.oid, "StandardOID", x.standard_oid
    commented: tuple[m.Standard | m.ItemGroup | m.CodeList | m.Item | m.WhereClause, ...]
    commented = (*define.standards, *of_standard, *define.items, *define.where_clauses)
    for y in commented:
        yield y.oid, "CommentOID", y.comment_oid
    parents: tuple[m.ItemGroup | m.ValueList, ...] = (*define.item_groups, *define.value_lists)
    for parent in parents:
        for ref in parent.items:
            yield parent.oid, "ItemOID", ref.item_oid
            yield parent.oid, "MethodOID", ref.method_oid
            for clause_oid in ref.where_clause_oids:
                yield parent.oid, "WhereClauseOID", clause_oid
    for item in define.items:
        yield item.oid, "CodeListOID", item.codelist_oid
        yield item.oid, "ValueListOID", item.value_list_oid
    for clause in define.where_clauses:
        for c in clause.checks:
            yield clause.oid, "ItemOID", c.item_oid
    documented: tuple[m.Method | m.Comment, ...] = (*define.methods, *define.comments)
    for z in documented:
        for document in z.documents:
            yield z.oid, "leafID", document.leaf_oid


def _standard(s: m.Standard) -> Iterator[str]:
    if (s.type == "CT") != (s.publishing_set is not None):
        yield f"{s.oid}: a standard of type CT, and no other, has a publishing set; found {s.type}, {s.publishing_set}"


def _item_group(group: m.ItemGroup, names: dict[str, str]) -> Iterator[str]:
    yield from _item_refs(group.oid, group.items)
    for name in _repeated(names[ref.item_oid] for ref in group.items if ref.item_oid in names):
        yield f"{group.oid}: two variables have the name {name!r}"
    for ref in group.items:
        if ref.where_clause_oids:
            yield f"{group.oid}: {ref.item_oid} has a where clause, which belongs in a value list"
    if not group.has_no_data and group.leaf is None:
        yield f"{group.oid}: no leaf; only a dataset that has no data may have none"
    if group.has_no_data and group.comment_oid is None:
        yield f"{group.oid}: a dataset that has no data needs a comment saying why"


def _item_refs(owner: str, refs: tuple[m.ItemRef, ...]) -> Iterator[str]:
    if not refs:
        yield f"{owner}: has no item"
    for item_oid in _repeated(ref.item_oid for ref in refs):
        yield f"{owner}: refers to {item_oid} more than once"
    keys = sorted(ref.key_sequence for ref in refs if ref.key_sequence is not None)
    if keys != list(range(1, len(keys) + 1)):
        yield f"{owner}: key sequence is {keys}, expected 1, 2, 3 … without gap or repetition"


def _value_list(value_list: m.ValueList) -> Iterator[str]:
    yield from _item_refs(value_list.oid, value_list.items)
    for ref in value_list.items:
        if not ref.where_clause_oids:
            yield f"{value_list.oid}: {ref.item_oid} has no where clause"


def _item(item: m.Item) -> Iterator[str]:
    if (item.data_type in _SIZED) != (item.length is not None) or (item.length is not None and item.length < 1):
        yield f"{item.oid}: Length {item.length}; expected 1 or more for {', '.join(_SIZED)}, none for others"
    digits = item.significant_digits
    if (item.data_type == "float") != (digits is not None) or (digits is not None and digits < 0):
        yield f"{item.oid}: SignificantDigits {digits}; expected 0 or more for float, none for others"
    if item.origin_type is None and (item.origin_source or item.origin_description):
        yield f"{item.oid}: an origin source or description without an origin type"
    if item.origin_type == "Predecessor" and item.origin_description is None:
        yield f"{item.oid}: a Predecessor needs an origin description naming the variable it was copied from"


def _where_clause(clause: m.WhereClause) -> Iterator[str]:
    if not clause.checks:
        yield f"{clause.oid}: has no check"
    for c in clause.checks:
        if not c.values or (len(c.values) > 1 and c.comparator not in ("IN", "NOTIN")):
            yield f"{clause.oid}: {c.comparator} with {len(c.values)} values; expected 1, or more with IN and NOTIN"


def _code_list(code_list: m.CodeList) -> Iterator[str]:
    terms = code_list.terms
    if bool(terms) == (code_list.external is not None):
        yield f"{code_list.oid}: expected terms or an external dictionary, found {'both' if terms else 'neither'}"
    for value in _repeated(term.value for term in terms):
        yield f"{code_list.oid}: {value!r} is there more than once"
    ranked = sum(term.rank is not None for term in terms)
    if ranked not in (0, len(terms)):
        yield f"{code_list.oid}: {ranked} of {len(terms)} terms have a rank; expected all or none"
    if code_list.standard_oid is not None and terms and code_list.ccode is None:
        yield f"{code_list.oid}: a codelist of a standard needs its C-code"
    for term in terms:
        if term.extended and (term.ccode is not None or code_list.standard_oid is None):
            yield f"{code_list.oid}: {term.value!r} is marked extended, but has a C-code or is in no standard list"
        if not term.extended and term.ccode is None and code_list.standard_oid is not None:
            yield f"{code_list.oid}: {term.value!r} of a standard list needs its C-code, or to be marked extended"


def _used_as_variables(define: m.Define) -> Iterator[str]:
    """A variable needs a label and an origin; the origin may be given by all of its value levels instead."""
    items = {item.oid: item for item in define.items}
    levels = {v.oid: [items.get(ref.item_oid) for ref in v.items] for v in define.value_lists}
    for item in (items[ref.item_oid] for group in define.item_groups for ref in group.items if ref.item_oid in items):
        if item.label is None:
            yield f"{item.oid}: a variable needs a label"
        below = levels.get(item.value_list_oid or "", [])
        if item.origin_type is None and not (below and all(level and level.origin_type for level in below)):
            yield f"{item.oid}: a variable needs an origin, itself or in all of its value levels"


def _repeated(values: Iterable[Hashable]) -> list[Any]:
    return [value for value, n in Counter(values).items() if n > 1]

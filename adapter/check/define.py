"""Reads Define-XML 2.0 and 2.1 for checking: what it says of datasets, variables, codelists and value-level metadata.

The document is untrusted: no network, no entities, no DTD. Elements are found by their local names, so that both versions
are read by the same code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxml import etree

from adapter.errors import InputError

MAX_BYTES = 200 << 20


@dataclass(frozen=True, slots=True)
class CodeList:
    """A codelist: its NCI code ("" if none), coded values, their NCI codes and decodes; `extended` are sponsor terms."""

    oid: str
    name: str
    ccode: str
    values: tuple[str, ...]
    codes: tuple[str, ...]
    decodes: tuple[str, ...]
    extended: frozenset[str] = frozenset()
    external: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A variable of a dataset (ItemRef with its ItemDef), or a value-level item with the clauses that select its rows."""

    name: str
    label: str
    data_type: str
    length: int | None
    order: int
    mandatory: str
    role: str
    key: int | None
    origin: str
    origin_source: str
    display_format: str
    codelist: CodeList | None
    has_comment: bool
    has_method: bool
    has_no_data: str
    where: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    values: tuple[Item, ...] = ()
    dangling: tuple[str, ...] = ()
    """OIDs that are referred to and not defined."""


@dataclass(frozen=True, slots=True)
class Group:
    """A dataset of the document."""

    oid: str
    name: str
    domain: str
    label: str
    cls: str
    structure: str
    location: str
    purpose: str
    repeating: str
    non_standard: str
    has_no_data: str
    items: tuple[Item, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key variables in the order of KeySequence."""
        return tuple(i.name for i in sorted((i for i in self.items if i.key is not None), key=lambda i: i.key or 0))

    @property
    def ordered(self) -> tuple[str, ...]:
        return tuple(i.name for i in sorted(self.items, key=lambda i: i.order))


@dataclass(frozen=True)
class Definition:
    """A whole document."""

    path: Path
    version: str
    study: str
    standards: tuple[tuple[str, str, str], ...]
    """Name, version and type ("IG", "CT") of each standard."""
    groups: tuple[Group, ...]
    codelists: tuple[CodeList, ...] = ()
    unused: tuple[str, ...] = ()
    faults: tuple[str, ...] = field(default=())

    def group(self, name: str) -> Group | None:
        return next((g for g in self.groups if g.name == name), None)

    @property
    def ct_packages(self) -> tuple[str, ...]:
        return tuple(f"{n} {v}".strip() for n, v, t in self.standards if t == "CT")


def read_define(path: Path) -> Definition:
    """Return a define.xml. Raises InputError for one that is no Define-XML 2 or cannot be read."""
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise InputError(f"cannot read {path}: {e.strerror or e}") from e
    return parse_define(raw, path)


def parse_define(raw: bytes, path: Path) -> Definition:
    """Return the document of some bytes; `path` is named in errors."""
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: {len(raw):,} bytes, at most {MAX_BYTES:,} are read")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError) as e:
        raise InputError(f"{path} is not XML: {e}") from e
    info: Any = root.getroottree().docinfo
    if info.doctype:
        raise InputError(f"{path} has a document type declaration, which is not read")
    version = next(iter(_all(root, "MetaDataVersion")), None)
    if etree.QName(root).localname != "ODM" or version is None:
        raise InputError(f"{path} is no Define-XML: the root is {etree.QName(root).localname}")
    return _Reader(root, version, path).read()


def _all(parent: Any, name: str) -> Iterator[Any]:
    return (e for e in parent.iter() if isinstance(e.tag, str) and etree.QName(e).localname == name)


def _kids(parent: Any, name: str) -> Iterator[Any]:
    return (e for e in parent if isinstance(e.tag, str) and etree.QName(e).localname == name)


def _get(element: Any, name: str, default: str = "") -> str:
    """Return an attribute by its local name."""
    for key, value in element.attrib.items():
        if etree.QName(key).localname == name:
            return str(value)
    return default


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _text(element: Any) -> str:
    found = next(_all(element, "TranslatedText"), None)
    return "".join(found.itertext()).strip() if found is not None else ""


def _described(element: Any) -> str:
    return next((_text(d) for d in _kids(element, "Description")), "")


class _Reader:
    def __init__(self, root: Any, version: Any, path: Path) -> None:
        self.root, self.mdv, self.path = root, version, path
        self.items = {_get(e, "OID"): e for e in _kids(version, "ItemDef")}
        self.lists = {_get(e, "OID"): e for e in _kids(version, "ValueListDef")}
        self.clauses = {_get(e, "OID"): e for e in _kids(version, "WhereClauseDef")}
        self.codelists = {_get(e, "OID"): _codelist(e) for e in _kids(version, "CodeList")}
        self.methods = {_get(e, "OID") for e in _kids(version, "MethodDef")}
        self.comments = {_get(e, "OID") for e in _kids(version, "CommentDef")}

    def read(self) -> Definition:
        groups = tuple(self._group(e) for e in _kids(self.mdv, "ItemGroupDef"))
        study = next((("".join(e.itertext())).strip() for e in _all(self.root, "StudyName")), "")
        standards = tuple((_get(e, "Name"), _get(e, "Version"), _get(e, "Type")) for e in _all(self.mdv, "Standard"))
        if not standards and _get(self.mdv, "StandardName"):
            standards = ((_get(self.mdv, "StandardName"), _get(self.mdv, "StandardVersion"), "IG"),)
        used = {_get(r, "ItemOID") for r in _all(self.mdv, "ItemRef")}
        return Definition(
            path=self.path,
            version=_get(self.mdv, "DefineVersion"),
            study=study,
            standards=standards,
            groups=groups,
            codelists=tuple(self.codelists.values()),
            unused=tuple(sorted(set(self.items) - used)),
        )

    def _group(self, e: Any) -> Group:
        cls = _get(e, "Class") or next((_get(c, "Name") for c in _kids(e, "Class")), "")
        leaf = next(_kids(e, "leaf"), None)
        return Group(
            oid=_get(e, "OID"),
            name=_get(e, "Name"),
            domain=_get(e, "Domain"),
            label=_described(e) or _get(e, "Label"),
            cls=cls,
            structure=_get(e, "Structure"),
            location=_get(leaf, "href") if leaf is not None else "",
            purpose=_get(e, "Purpose"),
            repeating=_get(e, "Repeating"),
            non_standard=_get(e, "IsNonStandard"),
            has_no_data=_get(e, "HasNoData"),
            items=tuple(i for n, r in enumerate(_kids(e, "ItemRef")) if (i := self._item(r, n)) is not None),
        )

    def _item(self, ref: Any, index: int, depth: int = 0) -> Item | None:
        oid = _get(ref, "ItemOID")
        e = self.items.get(oid)
        if e is None:
            return _nothing(oid, index)
        dangling = []
        codelist = None
        for r in _kids(e, "CodeListRef"):
            codelist = self.codelists.get(_get(r, "CodeListOID"))
            if codelist is None:
                dangling.append(_get(r, "CodeListOID"))
        origin = next(_kids(e, "Origin"), None)
        method, comment = _get(ref, "MethodOID"), _get(e, "CommentOID")
        if method and method not in self.methods:
            dangling.append(method)
        if comment and comment not in self.comments:
            dangling.append(comment)
        return Item(
            name=_get(e, "Name"),
            label=_described(e) or _get(e, "Label"),
            data_type=_get(e, "DataType"),
            length=_whole(_get(e, "Length")),
            order=_whole(_get(ref, "OrderNumber")) or index + 1,
            mandatory=_get(ref, "Mandatory"),
            role=_get(ref, "Role"),
            key=_whole(_get(ref, "KeySequence")),
            origin=_get(origin, "Type") if origin is not None else _get(e, "Origin"),
            origin_source=_get(origin, "Source") if origin is not None else "",
            display_format=_get(e, "DisplayFormat"),
            codelist=codelist,
            has_comment=bool(comment),
            has_method=bool(method),
            has_no_data=_get(ref, "HasNoData"),
            where=self._where(ref),
            values=self._values(e, depth, dangling),
            dangling=tuple(dangling),
        )

    def _values(self, e: Any, depth: int, dangling: list[str]) -> tuple[Item, ...]:
        found: list[Item] = []
        for r in _kids(e, "ValueListRef"):
            values = self.lists.get(_get(r, "ValueListOID"))
            if values is None:
                dangling.append(_get(r, "ValueListOID"))
            elif depth == 0:
                made = (self._item(ref, n, 1) for n, ref in enumerate(_kids(values, "ItemRef")))
                found += [i for i in made if i is not None]
        return tuple(found)

    def _where(self, ref: Any) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        checks = []
        for r in _kids(ref, "WhereClauseRef"):
            clause = self.clauses.get(_get(r, "WhereClauseOID"))
            for check in _kids(clause, "RangeCheck") if clause is not None else ():
                item = self.items.get(_get(check, "ItemOID"))
                values = tuple("".join(v.itertext()).strip() for v in _kids(check, "CheckValue"))
                checks.append((_get(item, "Name") if item is not None else "", _get(check, "Comparator"), values))
        return tuple(checks)


def _nothing(oid: str, index: int) -> Item:
    return Item(
        "", "", "", None, index + 1, "", "", None, "", "", "", None, False, False, "", dangling=(oid,)
    )  # fmt: skip


def _codelist(e: Any) -> CodeList:
    entries = [
        x for x in e if isinstance(x.tag, str) and etree.QName(x).localname in ("CodeListItem", "EnumeratedItem")
    ]
    external = next(_kids(e, "ExternalCodeList"), None)
    return CodeList(
        oid=_get(e, "OID"),
        name=_get(e, "Name"),
        ccode=next((_get(a, "Name") for a in _kids(e, "Alias") if _get(a, "Context") == "nci:ExtCodeID"), ""),
        values=tuple(_get(x, "CodedValue") for x in entries),
        codes=tuple(_get(a, "Name") for x in entries for a in _kids(x, "Alias")),
        decodes=tuple(_text(x) for x in entries),
        extended=frozenset(_get(x, "CodedValue") for x in entries if _get(x, "ExtendedValue") == "Yes"),
        external=_get(external, "Dictionary") if external is not None else "",
    )

"""Checks any test can run on a produced define.xml: schema, broken references, things nobody refers to.

Independent of the writer: they know of XML attributes whose name ends in OID, and nothing of `adapter`.
Each takes the path of a define.xml and returns one line per fault.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from importlib import resources
from pathlib import Path

from lxml import etree, html

_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_LEAF_REFERENCES = ("leafID", "ArchiveLocationID")
# definition -> the elements whose reference counts as use (None: any element)
_MUST_BE_USED: dict[str, set[str] | None] = {
    "MethodDef": None,
    "CommentDef": None,
    "CodeList": None,
    "ValueListDef": None,
    "WhereClauseDef": None,
    "ItemDef": {"ItemRef"},  # a where clause about a variable of no dataset is no use
}


def xsd_errors(path: Path) -> list[str]:
    """Validate against CDISC's define2-1-0.xsd, as shipped in the odmlib wheel; no network."""
    schema = _schema()
    schema.validate(_parse(path))
    return [f"line {e.line}: {e.message}" for e in schema.error_log]


def broken_references(path: Path) -> list[str]:
    """Follow every reference by OID, every leaf ID and every href.

    `StemOID="x"` must name an element `Stem` or `StemDef` with OID="x" (so `RoleCodeListOID` a CodeList); `ParameterOID` of
    Analysis Results Metadata the ItemDef of a PARAMCD. Files lie in the folder of define.xml or below; those of results
    beside that folder, in `../analysis`. What stands behind # must be the id of one element of that page.
    """
    tree = _parse(path)
    elements = list(tree.iter(etree.Element))
    oids = Counter((_kind(e), e.get("OID")) for e in elements if "OID" in e.attrib)
    leaves = Counter(e.get("ID") for e in elements if _local(e.tag) == "leaf")
    found = [f"{kind} {oid} is defined {n} times" for (kind, oid), n in oids.items() if n > 1]
    found += [f"leaf {leaf} is defined {n} times" for leaf, n in leaves.items() if n > 1]
    kinds = {kind for kind, _ in oids}
    parameters = {e.get("OID"): e.get("Name") for e in elements if _local(e.tag) == "ItemDef"}
    for e, name, value in _references(elements):
        if name in _LEAF_REFERENCES:
            resolved = value in leaves
        elif name == "ParameterOID":
            resolved = ("Item", value) in oids and parameters.get(value) == "PARAMCD"
        else:
            stem = name.removesuffix("OID")
            resolved = any(stem.endswith(kind) and (kind, value) in oids for kind in kinds)
        if not resolved:
            found.append(f"line {e.sourceline}: {_local(e.tag)}/@{name} {value!r} is not defined")
    for href in _hrefs(tree, elements):
        name, _, anchor = href.partition("#")
        target = (path.parent / name).resolve()
        beside = name.startswith("../analysis/") and target.is_relative_to(path.parent.parent.resolve() / "analysis")
        if not (beside or target.is_relative_to(path.parent.resolve())) or not target.is_file():
            found.append(f"href {href!r} is no file beside {path.name}")
        elif anchor and _ids(target)[anchor] != 1:
            found.append(f"href {href!r}: {_ids(target)[anchor]} elements of that page have the id")
    return found


def unreferenced(path: Path) -> list[str]:
    """List methods, comments, codelists, value lists, where clauses and variables that nothing refers to."""
    elements = list(_parse(path).iter(etree.Element))
    users: dict[tuple[str, str], set[str]] = defaultdict(set)
    for e, name, value in _references(elements):
        users[name, value].add(_local(e.tag))
    found = []
    for e in elements:
        tag = _local(e.tag)
        if tag in _MUST_BE_USED:
            by = users.get((f"{_kind(e)}OID", str(e.get("OID"))), set())
            if not by & (_MUST_BE_USED[tag] or by):
                found.append(f"line {e.sourceline}: {tag} {e.get('OID')} is never referred to")
    return found


@cache
def _schema() -> etree.XMLSchema:
    with resources.as_file(resources.files("odmlib") / "schemas") as folder:
        return etree.XMLSchema(_parse(folder / "define/2.1/define2-1-0.xsd"))


def _ids(page: Path) -> Counter[str]:
    return Counter(str(e.get("id")) for e in html.parse(str(page)).iter() if e.get("id"))


def _parse(path: Path) -> etree._ElementTree:
    return etree.parse(str(path), etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))


def _local(name: object) -> str:
    return etree.QName(str(name)).localname


def _kind(e: etree._Element) -> str:
    return _local(e.tag).removesuffix("Def")


def _references(elements: list[etree._Element]) -> list[tuple[etree._Element, str, str]]:
    """Return (element, attribute, value) of every attribute that refers to something by OID or leaf ID."""
    return [
        (e, name, str(value))
        for e in elements
        for name, value in ((_local(a), v) for a, v in e.attrib.items())
        if name in _LEAF_REFERENCES or (name.endswith("OID") and name not in ("OID", "FileOID", "PriorFileOID"))
    ]


def _hrefs(tree: etree._ElementTree, elements: list[etree._Element]) -> list[str]:
    """Return the href of every leaf and of every stylesheet instruction before the root."""
    sheets = [str(p.get("href")) for p in tree.xpath("/processing-instruction('xml-stylesheet')")]
    return sheets + [e.attrib[_XLINK_HREF] for e in elements if _XLINK_HREF in e.attrib]

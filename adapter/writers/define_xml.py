"""Writes a `Define` as Define-XML 2.1 (ODM 1.3.2 with the def 2.1 extension), after checking that it holds together.

The order of elements is that of CDISC's define2-1-0.xsd. The bytes depend on the `Define` alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import resources

from lxml import etree

from adapter.errors import WriteError
from adapter.writers import define_model as m
from adapter.writers.define_check import check

STYLESHEET = "define2-1.xsl"
_ODM = "http://www.cdisc.org/ns/odm/v1.3"
_SPACES = {None: _ODM, "def": "http://www.cdisc.org/ns/def/v2.1", "xlink": "http://www.w3.org/1999/xlink"}
_QUALIFY = {**_SPACES, "xml": "http://www.w3.org/XML/1998/namespace"}
_SHOWN = 20


def stylesheet() -> bytes:
    """Return the XSLT 1.0 stylesheet that define.xml points to; it belongs beside it under the name `STYLESHEET`."""
    return resources.files("adapter.writers").joinpath(STYLESHEET).read_bytes()


def define_xml(define: m.Define) -> bytes:
    """Return the document in UTF-8, with its stylesheet instruction. WriteError lists what `check` finds."""
    problems = check(define)
    if problems:
        more = [f"… and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise WriteError("\n  ".join([f"define.xml of {define.study_oid!r}:", *problems[:_SHOWN], *more]))
    root = etree.Element(f"{{{_ODM}}}ODM", nsmap=_SPACES)  # type: ignore[arg-type]  # the stubs lack the None prefix
    _set(
        root,
        {
            "ODMVersion": "1.3.2",
            "FileOID": define.file_oid,
            "FileType": "Snapshot",
            "CreationDateTime": define.created.isoformat(timespec="seconds"),
            "Originator": define.originator,
            "SourceSystem": define.source_system,
            "SourceSystemVersion": define.source_system_version,
            "def:Context": define.context,
        },
    )
    root.addprevious(etree.ProcessingInstruction("xml-stylesheet", f'type="text/xsl" href="{STYLESHEET}"'))
    study = _add(root, "Study", {"OID": define.study_oid})
    names = _add(study, "GlobalVariables")
    _add(names, "StudyName", text=define.study_name)
    _add(names, "StudyDescription", text=define.study_description)
    _add(names, "ProtocolName", text=define.protocol_name)
    _version(study, define)
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True, pretty_print=True)


def _version(study: etree._Element, define: m.Define) -> None:
    mdv = _add(
        study,
        "MetaDataVersion",
        {
            "OID": define.mdv_oid,
            "Name": define.mdv_name,
            "Description": define.mdv_description,
            "def:DefineVersion": "2.1.0",
            "def:CommentOID": define.comment_oid,
        },
    )
    if define.standards:
        standards = _add(mdv, "def:Standards")
        for s in define.standards:
            _standard(standards, s)
    for tag, leaves in (("def:AnnotatedCRF", define.crfs), ("def:SupplementalDoc", define.documents)):
        if leaves:
            _documents(_add(mdv, tag), (m.DocumentRef(leaf.oid) for leaf in leaves))
    for value_list in define.value_lists:
        _item_refs(_add(mdv, "def:ValueListDef", {"OID": value_list.oid}), value_list.items)
    for clause in define.where_clauses:
        _where_clause(mdv, clause)
    for group in define.item_groups:
        _item_group(mdv, group)
    for item in define.items:
        _item(mdv, item)
    for code_list in define.code_lists:
        _code_list(mdv, code_list)
    for method in define.methods:
        e = _add(mdv, "MethodDef", {"OID": method.oid, "Name": method.name, "Type": method.type})
        _translated(e, "Description", method.text)
        for x in method.expressions:
            _add(e, "FormalExpression", {"Context": x.context}, x.text)
        _documents(e, method.documents)
    for comment in define.comments:
        e = _add(mdv, "def:CommentDef", {"OID": comment.oid})
        _translated(e, "Description", comment.text)
        _documents(e, comment.documents)
    for leaf in (*define.crfs, *define.documents):
        _leaf(mdv, leaf)


def _standard(parent: etree._Element, s: m.Standard) -> None:
    _add(
        parent,
        "def:Standard",
        {
            "OID": s.oid,
            "Name": s.name,
            "Type": s.type,
            "PublishingSet": s.publishing_set,
            "Version": s.version,
            "Status": s.status,
            "def:CommentOID": s.comment_oid,
        },
    )


def _where_clause(parent: etree._Element, clause: m.WhereClause) -> None:
    e = _add(parent, "def:WhereClauseDef", {"OID": clause.oid, "def:CommentOID": clause.comment_oid})
    for c in clause.checks:
        r = _add(e, "RangeCheck", {"Comparator": c.comparator, "SoftHard": "Soft", "def:ItemOID": c.item_oid})
        for value in c.values:
            _add(r, "CheckValue", text=value)


def _item_group(parent: etree._Element, group: m.ItemGroup) -> None:
    e = _add(
        parent,
        "ItemGroupDef",
        {
            "OID": group.oid,
            "Name": group.name,
            "Domain": group.domain,
            "Repeating": _yes_no(group.repeating),
            "IsReferenceData": _yes_no(group.is_reference),
            "SASDatasetName": _sas_name(group.name),
            "Purpose": group.purpose,
            "def:Structure": group.structure,
            "def:ArchiveLocationID": group.leaf.oid if group.leaf else None,
            "def:StandardOID": group.standard_oid,
            "def:IsNonStandard": _yes(group.standard_oid is None),
            "def:HasNoData": _yes(group.has_no_data),
            "def:CommentOID": group.comment_oid,
        },
    )
    _translated(e, "Description", group.label)
    _item_refs(e, group.items)
    if group.domain_description is not None:
        _add(e, "Alias", {"Context": "DomainDescription", "Name": group.domain_description})
    c = _add(e, "def:Class", {"Name": group.cls})
    if group.subclass:
        _add(c, "def:SubClass", {"Name": group.subclass})
    if group.leaf:
        _leaf(e, group.leaf)


def _item_refs(parent: etree._Element, refs: Iterable[m.ItemRef]) -> None:
    for order, ref in enumerate(refs, start=1):
        e = _add(
            parent,
            "ItemRef",
            {
                "ItemOID": ref.item_oid,
                "OrderNumber": str(order),
                "Mandatory": _yes_no(ref.mandatory),
                "KeySequence": _number(ref.key_sequence),
                "MethodOID": ref.method_oid,
                "Role": ref.role,
                "def:IsNonStandard": _yes(ref.is_non_standard),
                "def:HasNoData": _yes(ref.has_no_data),
            },
        )
        for clause in ref.where_clause_oids:
            _add(e, "def:WhereClauseRef", {"WhereClauseOID": clause})


def _item(parent: etree._Element, item: m.Item) -> None:
    e = _add(
        parent,
        "ItemDef",
        {
            "OID": item.oid,
            "Name": item.name,
            "DataType": item.data_type,
            "Length": _number(item.length),
            "SignificantDigits": _number(item.significant_digits),
            "SASFieldName": _sas_name(item.name),
            "def:DisplayFormat": item.display_format,
            "def:CommentOID": item.comment_oid,
        },
    )
    if item.label is not None:
        _translated(e, "Description", item.label)
    if item.codelist_oid:
        _add(e, "CodeListRef", {"CodeListOID": item.codelist_oid})
    if item.origin_type:
        o = _add(e, "def:Origin", {"Type": item.origin_type, "Source": item.origin_source})
        if item.origin_description is not None:
            _translated(o, "Description", item.origin_description)
    if item.value_list_oid:
        _add(e, "def:ValueListRef", {"ValueListOID": item.value_list_oid})


def _code_list(parent: etree._Element, code_list: m.CodeList) -> None:
    e = _add(
        parent,
        "CodeList",
        {
            "OID": code_list.oid,
            "Name": code_list.name,
            "DataType": code_list.data_type,
            "def:StandardOID": code_list.standard_oid,
            "def:IsNonStandard": _yes(code_list.standard_oid is None),
            "def:CommentOID": code_list.comment_oid,
        },
    )
    decoded = all(term.decode is not None for term in code_list.terms)
    for order, term in enumerate(code_list.terms, start=1):
        attributes = {
            "CodedValue": term.value,
            "Rank": _number(term.rank),
            "OrderNumber": str(order),
            "def:ExtendedValue": _yes(term.extended),
        }
        t = _add(e, "CodeListItem" if decoded else "EnumeratedItem", attributes)
        if decoded and term.decode is not None:
            _translated(t, "Decode", term.decode)
        _nci(t, term.ccode)
        if not decoded and term.decode is not None:
            _translated(t, "Description", term.decode)  # an EnumeratedItem has no Decode; its text is not to be lost
    if code_list.external:
        x = code_list.external
        attributes = {"Dictionary": x.dictionary, "Version": x.version, "ref": x.ref, "href": x.href}
        _add(e, "ExternalCodeList", attributes)
    _nci(e, code_list.ccode)


def _documents(parent: etree._Element, references: Iterable[m.DocumentRef]) -> None:
    for reference in references:
        e = _add(parent, "def:DocumentRef", {"leafID": reference.leaf_oid})
        if reference.pages is not None:
            _add(e, "def:PDFPageRef", {"PageRefs": reference.pages, "Type": "PhysicalRef"})


def _leaf(parent: etree._Element, leaf: m.Leaf) -> None:
    e = _add(parent, "def:leaf", {"ID": leaf.oid, "xlink:href": leaf.href})
    _add(e, "def:title", text=leaf.title)


def _nci(parent: etree._Element, ccode: str | None) -> None:
    if ccode is not None:
        _add(parent, "Alias", {"Context": "nci:ExtCodeID", "Name": ccode})


def _translated(parent: etree._Element, tag: str, text: str) -> None:
    _add(_add(parent, tag), "TranslatedText", {"xml:lang": "en"}, text)


def _add(
    parent: etree._Element, tag: str, attributes: Mapping[str, str | None] | None = None, text: str | None = None
) -> etree._Element:
    """Append a child; names may have a prefix of `_QUALIFY` (none: ODM for elements, no namespace for attributes)."""
    prefix, _, local = tag.rpartition(":")
    e = etree.SubElement(parent, f"{{{_QUALIFY[prefix or None]}}}{local}")
    _set(e, attributes or {})
    e.text = text
    return e


def _set(e: etree._Element, attributes: Mapping[str, str | None]) -> None:
    for name, value in attributes.items():
        if value is not None:
            prefix, _, local = name.rpartition(":")
            e.set(f"{{{_QUALIFY[prefix]}}}{local}" if prefix else local, value)


def _yes(flag: bool) -> str | None:
    return "Yes" if flag else None


def _yes_no(flag: bool) -> str:
    return "Yes" if flag else "No"


def _number(n: int | None) -> str | None:
    return None if n is None else str(n)


def _sas_name(name: str) -> str | None:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,7}", name) else None


def define_html(document: bytes) -> bytes:
    """Return the page that the stylesheet makes of a define.xml: browsers no longer apply one to a file on disk."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    transform = etree.XSLT(etree.fromstring(stylesheet(), parser))
    return bytes(transform(etree.fromstring(document, parser)))

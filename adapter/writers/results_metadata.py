"""Analysis Results Metadata 1.0 for Define-XML 2.1: adds to a define.xml which results were made from which data.

The element names and their order are those of CDISC's arm1-0-0.xsd (odmlib's variant for Define-XML 2.1). What an earlier
call has added is taken out first, so that the bytes depend on the document of the build and the displays alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from adapter.errors import InputError, unknown
from adapter.writers.define_model import Comparator

_ODM, _DEF = "http://www.cdisc.org/ns/odm/v1.3", "http://www.cdisc.org/ns/def/v2.1"
_ARM, _XLINK = "http://www.cdisc.org/ns/arm/v1.0", "http://www.w3.org/1999/xlink"
_XML = "http://www.w3.org/XML/1998/namespace"

Purpose = Literal["PRIMARY OUTCOME MEASURE", "SECONDARY OUTCOME MEASURE", "EXPLORATORY OUTCOME MEASURE"]
Reason = Literal["SPECIFIED IN PROTOCOL", "SPECIFIED IN SAP", "DATA DRIVEN", "REQUESTED BY REGULATORY AGENCY"]


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on the records of a dataset: variable, comparator, values (several with IN)."""

    variable: str
    values: tuple[str, ...]
    comparator: Comparator = "EQ"


@dataclass(frozen=True, slots=True)
class AnalysisDataset:
    """A dataset that was analysed: its records (all conditions hold), and the variables that the result is about."""

    name: str
    where: tuple[Where, ...] = ()
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """One result of a display. parameter: dataset whose PARAMCD names the parameter; documentation: methods in words."""

    key: str
    description: str
    purpose: Purpose
    datasets: tuple[AnalysisDataset, ...]
    documentation: str
    parameter: str = ""
    reason: Reason = "SPECIFIED IN PROTOCOL"


@dataclass(frozen=True, slots=True)
class Display:
    """A table: a name and title, and what stands in it."""

    name: str
    title: str
    results: tuple[AnalysisResult, ...]


def with_results(document: bytes, displays: Sequence[Display], href: str, title: str, code: tuple[str, str]) -> bytes:
    """Return a define.xml with Analysis Results Metadata.

    href, title: the page that shows the displays, relative to define.xml, each at the anchor of its name. code: the
    language and the command that made them. A variable that the document does not define is left out; a dataset that it
    does not define is an InputError.
    """
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=True)
        old = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as e:
        raise InputError(f"define.xml cannot be read: {e}") from e
    spaces = {**old.nsmap, "arm": _ARM}
    root = etree.Element(old.tag, nsmap=spaces)
    for name, value in old.attrib.items():
        root.set(name, value)
    for before in reversed(list(old.itersiblings(preceding=True))):
        if isinstance(before, etree._ProcessingInstruction):
            root.addprevious(etree.ProcessingInstruction(before.target, before.text or ""))
    root.extend(list(old))
    version = root.find(f"{{{_ODM}}}Study/{{{_ODM}}}MetaDataVersion")
    if version is None:
        raise InputError("define.xml has no MetaDataVersion")
    _clean(version)
    _Added(version, href, title, code).write(displays)
    etree.cleanup_namespaces(root, keep_ns_prefixes=["arm", "def", "xlink"])
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True, pretty_print=True)


def _clean(version: etree._Element) -> None:
    """Take out what an earlier call has added."""
    own = re.compile(r"(WC|COM|LF)\.ARM\..*")
    for e in list(version):
        added = etree.QName(e).namespace == _ARM or own.fullmatch(e.get("OID") or e.get("ID") or "")
        if added:
            version.remove(e)


class _Added:
    """What is added to one MetaDataVersion."""

    def __init__(self, version: etree._Element, href: str, title: str, code: tuple[str, str]) -> None:
        self.version, self.href, self.title, self.code = version, href, title, code
        named = {e.get("OID"): e.get("Name") for e in version.iterfind(f"{{{_ODM}}}ItemDef")}
        self.groups: dict[str, str] = {}
        self.items: dict[str, dict[str, str]] = {}
        for g in version.iterfind(f"{{{_ODM}}}ItemGroupDef"):
            refs = [str(r.get("ItemOID")) for r in g.iterfind(f"{{{_ODM}}}ItemRef")]
            self.groups[str(g.get("Name"))] = str(g.get("OID"))
            self.items[str(g.get("Name"))] = {str(named.get(r)): r for r in refs}
        self.clauses: dict[str, etree._Element] = {}

    def write(self, displays: Sequence[Display]) -> None:
        made = etree.Element(f"{{{_ARM}}}AnalysisResultDisplays")
        for d in displays:
            display = _add(made, _ARM, "ResultDisplay", {"OID": f"RD.{_safe(d.name)}", "Name": d.title})
            _text(display, d.title)
            _add(display, _DEF, "DocumentRef", {"leafID": f"LF.ARM.{_safe(d.name)}"})
            for r in d.results:
                self._result(display, d, r)
        first = self.version.find(f"{{{_ODM}}}ItemGroupDef")
        start = len(self.version) if first is None else self.version.index(first)
        for n, clause in enumerate(self.clauses.values()):
            self.version.insert(start + n, clause)
        leaf = self.version.find(f"{{{_DEF}}}leaf")
        comment = etree.Element(f"{{{_DEF}}}CommentDef", {"OID": "COM.ARM.JOIN"})
        _text(comment, "The datasets are joined by USUBJID.")
        self.version.insert(len(self.version) if leaf is None else self.version.index(leaf), comment)
        for d in displays:
            place: dict[str, str] = {"ID": f"LF.ARM.{_safe(d.name)}", f"{{{_XLINK}}}href": f"{self.href}#{d.name}"}
            _add(_add(self.version, _DEF, "leaf", place), _DEF, "title", {}).text = f"{self.title}: {d.title}"
        self.version.append(made)

    def _result(self, display: etree._Element, d: Display, r: AnalysisResult) -> None:
        attributes = {"OID": f"AR.{_safe(d.name)}.{_safe(r.key)}"}
        if r.parameter:
            attributes["ParameterOID"] = self._item(r.parameter, "PARAMCD") or ""
        attributes |= {"AnalysisReason": r.reason, "AnalysisPurpose": r.purpose}
        e = _add(display, _ARM, "AnalysisResult", {k: v for k, v in attributes.items() if v})
        _text(e, r.description)
        joined = {f"{{{_DEF}}}CommentOID": "COM.ARM.JOIN"} if len(r.datasets) > 1 else {}
        datasets = _add(e, _ARM, "AnalysisDatasets", joined)
        for used in r.datasets:
            if used.name not in self.groups:
                raise InputError(f"define.xml: {unknown('dataset', used.name, list(self.groups))}")
            one = _add(datasets, _ARM, "AnalysisDataset", {"ItemGroupOID": self.groups[used.name]})
            if used.where:
                _add(one, _DEF, "WhereClauseRef", {"WhereClauseOID": self._clause(used)})
            for v in used.variables:
                if oid := self._item(used.name, v):
                    _add(one, _ARM, "AnalysisVariable", {"ItemOID": oid})
        if r.documentation:
            _text(_add(e, _ARM, "Documentation", {}), r.documentation)
        code = _add(e, _ARM, "ProgrammingCode", {"Context": self.code[0]})
        _add(code, _ARM, "Code", {}).text = self.code[1]

    def _item(self, dataset: str, variable: str) -> str | None:
        return self.items.get(dataset, {}).get(variable)

    def _clause(self, used: AnalysisDataset) -> str:
        """Return the OID of the where clause of a dataset, which is written once."""
        parts = (used.name, *(x for w in used.where for x in (w.variable, w.comparator, *w.values)))
        oid = "WC.ARM." + ".".join(map(_safe, parts))
        if oid not in self.clauses:
            made = etree.Element(f"{{{_DEF}}}WhereClauseDef", {"OID": oid})
            for w in used.where:
                item = self._item(used.name, w.variable)
                if item is None:
                    raise InputError(f"define.xml: {unknown('variable', w.variable, list(self.items[used.name]))}")
                attributes = {"Comparator": w.comparator, "SoftHard": "Soft", f"{{{_DEF}}}ItemOID": item}
                check = _add(made, _ODM, "RangeCheck", attributes)
                for value in w.values:
                    _add(check, _ODM, "CheckValue", {}).text = value
            self.clauses[oid] = made
        return oid


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]|_(?=x)", lambda x: f"_x{ord(x[0]):04X}_", text)


def _text(parent: etree._Element, text: str) -> None:
    made = _add(_add(parent, _ODM, "Description", {}), _ODM, "TranslatedText", {f"{{{_XML}}}lang": "en"})
    made.text = text


def _add(parent: etree._Element, space: str, tag: str, attributes: Mapping[str, str]) -> etree._Element:
    e = etree.SubElement(parent, f"{{{space}}}{tag}")
    for name, value in attributes.items():
        e.set(name, value)
    return e


__all__ = ["AnalysisDataset", "AnalysisResult", "Display", "Where", "with_results"]

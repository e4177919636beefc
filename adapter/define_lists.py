"""The codelists of define.xml: the terms that the data use, and the dictionaries that are not listed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from adapter.errors import DeclarationError, unknown
from adapter.terminology import Codelist
from adapter.writers import define_model as m
from adapter.writers.define_model import oid

SDTM_CT, ADAM_CT, DEFINE_CT = "STD.CT.SDTM", "STD.CT.ADAM", "STD.CT.DEFINE"
PACKAGES = {"DEFINE-XML": DEFINE_CT, "ADaM": ADAM_CT}
# Dictionaries that variables name -> how define.xml names them, and what there is to say of the version
EXTERNAL: dict[str, tuple[m.External, str | None]] = {
    "ISO 3166": (m.External("ISO 3166-1 alpha-3", "2020"), None),
    "LOINC": (
        m.External("LOINC", "not stated"),
        "Codes as the hospital sent them, or as the code tables of the adapter and the site map its local codes. "
        "Neither states the LOINC release.",
    ),
    "MedDRA": (m.External("MedDRA", "not stated"), "Coded by the sponsor, who holds the licence."),
    "WHODrug": (m.External("WHODrug", "not stated"), "Coded by the sponsor, who holds the licence."),
}


def external_list(
    name: str, type_: str, versions: Mapping[str, str], dataset: str
) -> tuple[str, m.CodeList, str | None]:
    """Return OID, codelist and comment of a dictionary. Its codes (Num) have a list of their own.

    versions: dictionary -> version, where the sponsor's coding says it.
    """
    if name not in EXTERNAL:
        raise DeclarationError(f"{dataset}: {unknown('dictionary', name, sorted(EXTERNAL))}")
    external, text = EXTERNAL[name]
    external = replace(external, version=versions.get(name, external.version))
    if type_ == "Char":
        key = oid("CL", name)
        return key, m.CodeList(key, external.dictionary, "text", None, external=external), text
    key = oid("CL", name, "CODE")
    return key, m.CodeList(key, f"{external.dictionary} codes", "integer", None, external=external), text


def code_list(c: Codelist, used: Mapping[str, str], kind: m.CodeDataType = "text") -> m.CodeList:
    """Return a codelist with the terms that the data use; those that are not CDISC's are marked as extensions."""
    terms = []
    for value in sorted(used, key=lambda u: (len(u), u) if kind == "integer" else (0, u)):
        term = c.terms.get(value)
        # a value outside a CDISC list is an extension; where the list may not be extended, it is a reported issue too
        extended = bool(c.ccode) and (term is None or not term.ccode)
        decode = used[value] or (term.decode if term is not None and term.decode != value else None)
        terms.append(m.Term(value, decode, term.ccode if term is not None and term.ccode else None, extended))
    complete = all(t.decode for t in terms)
    final = terms if complete else [m.Term(t.value, None, t.ccode, t.extended) for t in terms]
    standard = PACKAGES.get(c.package, SDTM_CT) if c.ccode else None
    return m.CodeList(oid("CL", *c.name.split()), c.title, kind, standard, c.ccode or None, tuple(final))

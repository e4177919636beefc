"""What a define.xml of ours says of its variables, read back: for whoever shows a value with its rule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lxml import etree

DATE9 = "DATE9."
_DEF = {"o": "http://www.cdisc.org/ns/odm/v1.3", "d": "http://www.cdisc.org/ns/def/v2.1"}


@dataclass(frozen=True, slots=True)
class Defined:
    """What a define.xml says, by OID: methods, comments, what a variable is copied from, and which are dates."""

    methods: dict[str, str]
    comments: dict[str, str]
    copied: dict[str, str]
    dates: set[str]


def read_define(path: Path) -> Defined:
    """Return what a define.xml says of its variables."""
    root = etree.parse(path)

    def texts(elements: str, of: str = "") -> dict[str, str]:
        found = {}
        for e in root.iterfind(f".//{elements}", _DEF):
            text = e.find(f"{of}//o:TranslatedText" if of else ".//o:TranslatedText", _DEF)
            if text is not None:
                found[str(e.get("OID"))] = str(text.text or "")
        return found

    dates = {
        str(e.get("OID"))
        for e in root.iterfind(".//o:ItemDef", _DEF)
        if e.get(f"{{{_DEF['d']}}}DisplayFormat") == DATE9
    }
    copied = texts("o:ItemDef", "d:Origin[@Type='Predecessor']")
    return Defined(texts("o:MethodDef"), texts("d:CommentDef"), copied, dates)

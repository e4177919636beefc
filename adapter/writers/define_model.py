"""A plain picture of one Define-XML 2.1 document: frozen records, and `oid` to name them.

Nothing here knows how datasets are declared, or XML. `define_xml` writes a `Define` exactly as it is given: what has
an order (variables, terms, value levels) is a tuple and its OrderNumber is its place in it. Section numbers (§) are
those of the Define-XML 2.1 specification.

    Define ─┬─ standards, crfs, documents            Standard, Leaf
            ├─ item_groups ─ items                   ItemGroup, ItemRef      (refer to Item by OID)
            ├─ items, value_lists, where_clauses     Item, ValueList ─ ItemRef, WhereClause ─ Check
            └─ code_lists, methods, comments         CodeList ─ Term | External, Method, Comment
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Context = Literal["Submission", "Other"]
StandardType = Literal["IG", "CT"]
PublishingSet = Literal["SDTM", "ADaM", "CDASH", "SEND", "DEFINE-XML"]
StandardName = Literal[
    "ADaMIG", "ADaMIG-MD", "BIMO", "CDISC/NCI", "SDTMIG", "SDTMIG-AP", "SDTMIG-MD",
    "SENDIG", "SENDIG-AR", "SENDIG-DART", "SENDIG-GENETOX",
]  # fmt: skip
Class = Literal[
    "ADAM OTHER", "BASIC DATA STRUCTURE", "DEVICE LEVEL ANALYSIS DATASET", "EVENTS", "FINDINGS", "FINDINGS ABOUT",
    "INTERVENTIONS", "MEDICAL DEVICE BASIC DATA STRUCTURE", "MEDICAL DEVICE OCCURRENCE DATA STRUCTURE",
    "OCCURRENCE DATA STRUCTURE", "REFERENCE DATA STRUCTURE", "RELATIONSHIP", "SPECIAL PURPOSE", "STUDY REFERENCE",
    "SUBJECT LEVEL ANALYSIS DATASET", "TRIAL DESIGN",
]  # fmt: skip
SubClass = Literal[
    "ADVERSE EVENT", "MEDICAL DEVICE TIME-TO-EVENT", "NON-COMPARTMENTAL ANALYSIS",
    "POPULATION PHARMACOKINETIC ANALYSIS", "TIME-TO-EVENT",
]  # fmt: skip
DataType = Literal[
    "text", "integer", "float", "datetime", "date", "time", "partialDate", "partialTime", "partialDatetime",
    "incompleteDatetime", "durationDatetime", "intervalDatetime",
]  # fmt: skip
CodeDataType = Literal["text", "integer", "float"]
OriginType = Literal["Collected", "Derived", "Assigned", "Protocol", "Predecessor", "Not Available", "Other"]
OriginSource = Literal["Investigator", "Sponsor", "Subject", "Vendor"]
Comparator = Literal["LT", "LE", "GT", "GE", "EQ", "NE", "IN", "NOTIN"]
MethodType = Literal["Computation", "Imputation"]
Purpose = Literal["Tabulation", "Analysis"]
OidKind = Literal["STDY", "MDV", "STD", "IG", "IT", "VL", "WC", "CL", "MT", "COM", "LF"]


def oid(kind: OidKind, *parts: str) -> str:
    """Return `KIND.PART.PART…` in the convention of the CDISC examples, e.g. `oid("IT", "LB", "LBTESTCD")`.

    Kinds: STDY study, MDV metadata version, STD standard, IG dataset, IT variable, VL value list, WC where clause,
    CL codelist, MT method, COM comment, LF file. Every character of a part that is not an ASCII letter, digit, `_`
    or `-` becomes `_xHHHH_` (as in ISO 9075-14), so that the result is an XML ID and an HTML anchor, and two
    different names never become the same OID. Raises ValueError for no part or an empty one.
    """
    if not parts or not all(parts):
        raise ValueError(f"oid({kind!r}, …): expected one or more non-empty parts, found {parts!r}")
    return ".".join((kind, *(re.sub(r"[^A-Za-z0-9_-]|_(?=x)", lambda m: f"_x{ord(m[0]):04X}_", p) for p in parts)))


@dataclass(frozen=True, slots=True)
class Leaf:
    """A file beside define.xml (§ def:leaf). `href` is relative to it, with `/`; `oid` must be an XML name."""

    oid: str
    href: str
    title: str


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """A pointer into one of the documents (§ def:DocumentRef); `pages` are PDF page numbers, separated by spaces."""

    leaf_oid: str
    pages: str | None = None


@dataclass(frozen=True, slots=True)
class Standard:
    """One row of def:Standards: an implementation guide, or a package of terminology (`version` is then its date)."""

    oid: str
    name: StandardName
    type: StandardType
    version: str
    status: str = "Final"
    publishing_set: PublishingSet | None = None
    comment_oid: str | None = None


@dataclass(frozen=True, slots=True)
class ItemRef:
    """The use of an Item in a dataset (no `where_clause_oids`) or in a value list (one or more; they are ORed).

    `key_sequence` 1, 2, … gives the natural key. `method_oid` says how this use is derived.
    """

    item_oid: str
    mandatory: bool = False
    key_sequence: int | None = None
    method_oid: str | None = None
    role: str | None = None
    where_clause_oids: tuple[str, ...] = ()
    is_non_standard: bool = False
    has_no_data: bool = False


@dataclass(frozen=True, slots=True)
class ItemGroup:
    """One dataset (§ ItemGroupDef). `standard_oid=None` is written as def:IsNonStandard="Yes".

    `leaf` is its file; only a dataset with `has_no_data` may have none, and that one needs a comment saying why.
    `domain_description` is the label of the parent domain, for SUPP-- and split datasets.
    """

    oid: str
    name: str
    domain: str
    label: str
    structure: str
    cls: Class
    standard_oid: str | None
    items: tuple[ItemRef, ...]
    leaf: Leaf | None = None
    purpose: Purpose = "Tabulation"
    subclass: SubClass | None = None
    repeating: bool = True
    is_reference: bool = False
    has_no_data: bool = False
    comment_oid: str | None = None
    domain_description: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One variable, or one value level of it (§ ItemDef).

    `length` (characters) is needed for text, integer and float and must be absent otherwise; `significant_digits`
    (digits after the point) is needed for float and must be absent otherwise. `origin_description` names the source
    of a Predecessor, such as `DM.SEX`. What a value level leaves out is inherited from its variable; only a value
    level may leave out the label, or have no origin.
    """

    oid: str
    name: str
    data_type: DataType
    label: str | None = None
    length: int | None = None
    significant_digits: int | None = None
    display_format: str | None = None
    codelist_oid: str | None = None
    value_list_oid: str | None = None
    origin_type: OriginType | None = None
    origin_source: OriginSource | None = None
    origin_description: str | None = None
    comment_oid: str | None = None


@dataclass(frozen=True, slots=True)
class ValueList:
    """The value levels of one variable (§ def:ValueListDef); every ItemRef has its where clauses."""

    oid: str
    items: tuple[ItemRef, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of a where clause; several values only with IN and NOTIN."""

    item_oid: str
    comparator: Comparator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WhereClause:
    """A condition on records (§ def:WhereClauseDef); its checks are ANDed. A join needs a comment."""

    oid: str
    checks: tuple[Check, ...]
    comment_oid: str | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """One value of a codelist. `extended`: added by the sponsor to a CDISC list, so it has no C-code."""

    value: str
    decode: str | None = None
    ccode: str | None = None
    extended: bool = False
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class External:
    """A dictionary that is not listed here (§ ExternalCodeList), such as MedDRA and its version."""

    dictionary: str
    version: str
    ref: str | None = None
    href: str | None = None


@dataclass(frozen=True, slots=True)
class CodeList:
    """The values a variable may have (§ CodeList): either `terms` or `external`.

    `standard_oid=None` is written as def:IsNonStandard="Yes". A list of a standard has its NCI C-code.
    """

    oid: str
    name: str
    data_type: CodeDataType
    standard_oid: str | None
    ccode: str | None = None
    terms: tuple[Term, ...] = ()
    external: External | None = None
    comment_oid: str | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """The same method for a machine (§ FormalExpression); `context` names the language."""

    context: str
    text: str


@dataclass(frozen=True, slots=True)
class Method:
    """How a derived value is made (§ MethodDef), in words a reviewer can follow."""

    oid: str
    name: str
    text: str
    type: MethodType = "Computation"
    expressions: tuple[Expression, ...] = ()
    documents: tuple[DocumentRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Comment:
    """A remark that others refer to (§ def:CommentDef)."""

    oid: str
    text: str
    documents: tuple[DocumentRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Define:
    """The whole document. `created` is written to the second, with its offset when it has one.

    `crfs` are annotated CRFs, `documents` the reviewer's guides and the like; methods and comments may point into
    both. Files of datasets are in the datasets.
    """

    file_oid: str
    study_oid: str
    study_name: str
    study_description: str
    protocol_name: str
    mdv_oid: str
    mdv_name: str
    created: datetime
    item_groups: tuple[ItemGroup, ...]
    items: tuple[Item, ...]
    standards: tuple[Standard, ...]
    mdv_description: str | None = None
    context: Context = "Submission"
    originator: str | None = None
    source_system: str | None = None
    source_system_version: str | None = None
    comment_oid: str | None = None
    value_lists: tuple[ValueList, ...] = ()
    where_clauses: tuple[WhereClause, ...] = ()
    code_lists: tuple[CodeList, ...] = ()
    methods: tuple[Method, ...] = ()
    comments: tuple[Comment, ...] = ()
    crfs: tuple[Leaf, ...] = ()
    documents: tuple[Leaf, ...] = ()

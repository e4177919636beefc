"""Warts of single laboratory results: how values, units and codes are written down, and how panels are put together.

A row of ROWS is one wart: what is sent and what must come out stand side by side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.fhir import LOCAL_LAB, LOINC, Resource, absent, coding, concept, number, quantity
from mappings.trials.pgf_msc.demo.wart_files import INTERFACE, LIS, POCT
from mappings.trials.pgf_msc.demo.warts import Desk, Wart, wart

ALBUMIN, BILIRUBIN, EOSINOPHILS, FERRITIN, GLUCOSE, LDH, LYMPHOCYTES, MONOCYTES, POTASSIUM, PROCALCITONIN, SODIUM = (
    "1751-7 1968-7 711-2 2276-4 2345-7 2532-0 731-0 742-7 2823-3 33959-8 2951-2".split()
)
ELECTROLYTES, LIVER = "24326-1", "24325-3"  # panels

SITE_TABLES = {
    "codes.csv": """\
system,code,display,map_to
urn:oid:2.16.156.999999.4,LYM-S,淋巴细胞绝对值（手工）,http://loinc.org|732-8
,,谷氨酰转肽酶（干化学）,GGT
urn:oid:2.16.156.999999.4,LOOKS,标本外观,ignore
""",
    "observations.csv": """\
system,code,display,domain,testcd,test,cat,specimen,result_type
urn:oid:2.16.156.999999.4,U-KET,尿酮体,LB,KETONES,Ketones,URINALYSIS,URINE,text
urn:oid:2.16.156.999999.4,ANA-T,抗核抗体滴度,LB,ANA,Antinuclear Antibodies,SEROLOGY,SERUM,text
""",
    "units.csv": """\
spelling,ucum,ct,note
十亿/升,10*9/L,10^9/L,the manual count's own unit
""",
}
"""The hospital's own code tables, SITE/*.csv (docs/site-maps.md): what its laboratory's codes and units mean."""


class Row(NamedTuple):
    """One result that becomes one LB record with the values of `expected`."""

    name: str
    topic: str
    what: str
    file: str
    code: str | Resource
    value: Resource
    expected: dict[str, Any]


def _number(text: str, unit: str, code: str | None = None) -> Resource:
    return {"valueQuantity": quantity(text, unit, code)}


def _local(code: str, text: str, *more: Resource) -> Resource:
    return concept([coding(LOCAL_LAB, code, text), *more], text)


ROWS = (
    Row(
        "full-width-comparator",
        "values",
        "`valueString` `＜0.05 ng/mL`: the comparator is a full-width character",
        LIS,
        PROCALCITONIN,
        {"valueString": "＜0.05 ng/mL"},
        {"LBORRES": "<0.05", "LBORRESU": "ug/L", "LBSTRESC": "<0.05", "LBSTRESN": None, "LBSTRESU": "ug/L"},
    ),
    Row(
        "full-width-digits",
        "values",
        "`valueString` `１３８　mmol/L`: digits and blank are full-width",
        LIS,
        SODIUM,
        {"valueString": "１３８　mmol/L"},
        {"LBORRES": "138", "LBORRESU": "mmol/L", "LBSTRESN": 138.0},
    ),
    Row(
        "glued-unit",
        "values",
        "`valueString` `0.9x10^9/L`: the unit is glued to the number",
        POCT,
        LYMPHOCYTES,
        {"valueString": "0.9x10^9/L"},
        {"LBORRES": "0.9", "LBORRESU": "10^9/L", "LBSTRESN": 0.9},
    ),
    Row(
        "thousands-separator",
        "values",
        "`valueString` `1,250.5 ng/mL`",
        POCT,
        FERRITIN,
        {"valueString": "1,250.5 ng/mL"},
        {"LBORRES": "1250.5", "LBORRESU": "ug/L", "LBSTRESN": 1250.5},
    ),
    Row(
        "greater-in-letters",
        "values",
        "`valueString` `GT 2000 ng/mL`",
        POCT,
        FERRITIN,
        {"valueString": "GT 2000 ng/mL"},
        {"LBORRES": ">2000", "LBSTRESC": ">2000", "LBSTRESN": None},
    ),
    Row(
        "exponent",
        "values",
        "the JSON number `1.0E1`",
        POCT,
        BILIRUBIN,
        _number("1.0E1", "umol/L", "umol/L"),
        {"LBORRES": "1.0E1", "LBSTRESC": "10", "LBSTRESN": 10.0},
    ),
    Row(
        "trailing-zero",
        "values",
        "the JSON number `4.10`",
        POCT,
        POTASSIUM,
        _number("4.10", "mmol/L", "mmol/L"),
        {"LBORRES": "4.10", "LBSTRESC": "4.10", "LBSTRESN": 4.1},
    ),
    Row(
        "cells-per-litre",
        "units",
        "30000000 `个/L`, the unit as text only",
        LIS,
        EOSINOPHILS,
        _number("30000000", "个/L"),
        {"LBORRES": "30000000", "LBORRESU": "/L", "LBSTRESN": 0.03, "LBSTRESU": "10^9/L"},
    ),
    Row(
        "kelvin",
        "units",
        "`K/uL` as a UCUM code, where it says kelvin",
        POCT,
        LYMPHOCYTES,
        _number("1.1", "K/uL", "K/uL"),
        {"LBORRES": "1.1", "LBORRESU": "10^9/L", "LBSTRESN": 1.1},
    ),
    Row(
        "annotated-unit",
        "units",
        "the UCUM code `{cells}/uL`",
        POCT,
        MONOCYTES,
        _number("350", "{cells}/uL", "{cells}/uL"),
        {"LBORRES": "350", "LBSTRESN": 0.35, "LBSTRESU": "10^9/L"},
    ),
    Row(
        "small-letters",
        "units",
        "albumin 3.9 `g/dl`",
        POCT,
        ALBUMIN,
        _number("3.9", "g/dl"),
        {"LBORRES": "3.9", "LBORRESU": "g/dL", "LBSTRESN": 39.0, "LBSTRESU": "g/L"},
    ),
    Row(
        "chinese-display",
        "codes",
        "a LOINC code with Chinese display and text",
        LIS,
        concept([coding(LOINC, POTASSIUM, "钾")], "血清钾"),
        _number("4.3", "mmol/L", "mmol/L"),
        {"LBTESTCD": "K", "LBTEST": "Potassium", "LBLOINC": POTASSIUM, "LBORRES": "4.3"},
    ),
    Row(
        "site-map-to-loinc",
        "codes",
        "a local code without LOINC that the site's `codes.csv` maps, in a unit of the site's `units.csv`",
        LIS,
        _local("LYM-S", "淋巴细胞绝对值（手工）"),
        _number("0.85", "十亿/升"),
        {"LBTESTCD": "LYM", "LBLOINC": "732-8", "LBORRES": "0.85", "LBORRESU": "10^9/L", "LBSTRESN": 0.85},
    ),
    Row(
        "site-map-by-text",
        "codes",
        "no code at all: the site's `codes.csv` maps the Chinese text, in other widths",
        LIS,
        concept(text="谷氨酰转肽酶(干化学)"),
        _number("28", "U/L", "U/L"),
        {"LBTESTCD": "GGT", "LBLOINC": "", "LBORRES": "28", "LBSTRESN": 28.0},
    ),
    Row(
        "site-map-of-a-text",
        "codes",
        "a local test of its own in the site's `observations.csv`; the result is Chinese text",
        LIS,
        _local("U-KET", "尿酮体"),
        {"valueString": "阴性（－）"},
        {"LBTESTCD": "KETONES", "LBSPEC": "URINE", "LBORRES": "阴性（－）", "LBSTRESC": "阴性（－）", "LBSTRESN": None},
    ),
    Row(
        "oid-of-loinc",
        "codes",
        "LOINC named by its OID, behind a local code that nobody mapped",
        POCT,
        _local("NA-7", "Natrium", coding("urn:oid:2.16.840.1.113883.6.1", SODIUM)),
        _number("139", "mmol/L", "mmol/L"),
        {"LBTESTCD": "SODIUM", "LBORRES": "139"},
    ),
)
WARTS: list[Wart] = []


def _made(row: Row) -> Wart:
    def make(d: Desk) -> None:
        r = d.result(row.code, row.value)
        d.put(row.file, r)
        d.used(r, **row.expected)

    return Wart(row.name, row.topic, row.what, make)


WARTS += [_made(row) for row in ROWS]


@wart(WARTS, "codes", "a local code that the site's `codes.csv` ignores: nobody needs the look of a specimen")
def ignored_code(d: Desk) -> None:
    r = d.result(_local("LOOKS", "标本外观"), {"valueString": "轻度溶血"})
    d.put(LIS, r)
    d.dropped("Observation", "code-ignored", r)


@wart(WARTS, "codes", "a Chinese text alone says what was measured; two such results")
def text_without_code(d: Desk) -> None:
    made = [d.result(concept(text="结核感染T细胞检测"), {"valueString": "阴性"}) for _ in range(2)]
    d.put(LIS, *made)
    d.dropped("Observation", "unmapped-code", *made)
    d.unmapped("Observation", "", "结核感染T细胞检测", count=2)


@wart(WARTS, "values", "`valueQuantity` and `valueString` in one result")
def two_values(d: Desk) -> None:
    value = {**_number("5.6", "mmol/L", "mmol/L"), "valueString": "5.9"}
    d.rejected(INTERFACE, d.result(GLUCOSE, value), "two-values", "value[x]")


@wart(WARTS, "values", "neither a value nor a reason why there is none")
def no_value(d: Desk) -> None:
    r = d.result(GLUCOSE, {})
    d.put(INTERFACE, r)
    d.dropped("Observation", "no-result", r)


@wart(WARTS, "units", "lymphocytes in `mmol/L`")
def wrong_dimension(d: Desk) -> None:
    d.rejected(INTERFACE, d.result(LYMPHOCYTES, _number("0.9", "mmol/L", "mmol/L")), "unit-not-convertible")


@wart(WARTS, "units", "a number without any unit, where the test needs one")
def no_unit(d: Desk) -> None:
    r = d.result(LDH, {"valueQuantity": {"value": number("201")}})
    d.put(POCT, r)
    d.used(r, LBORRES="201", LBORRESU="", LBSTRESC="", LBSTRESN=None)
    d.issue(r, "unit-missing")


@wart(WARTS, "panels", "a panel of three components; the third is missing, for a reason of its own")
def components(d: Desk) -> None:
    parts: list[Resource] = [
        {"code": concept([coding(LOINC, SODIUM)]), **_number("141", "mmol/L", "mmol/L")},
        {"code": concept([coding(LOINC, POTASSIUM)]), **_number("3.90", "mmol/L", "mmol/L")},
        {"code": concept([coding(LOINC, GLUCOSE)]), **absent("not-performed")},
    ]
    r = d.result(ELECTROLYTES, {}, component=parts)
    d.put(POCT, r)
    d.used(r, element="component[0]", LBTESTCD="SODIUM", LBORRES="141")
    d.used(r, element="component[1]", LBTESTCD="K", LBORRES="3.90")
    missing: dict[str, Any] = {"LBORRES": "", "LBSTAT": "NOT DONE", "LBREASND": "not-performed"}
    d.used(r, element="component[2]", LBTESTCD="GLUC", **missing)


@wart(WARTS, "panels", "a panel that only names its members (`hasMember`)")
def members(d: Desk) -> None:
    member = d.result(ALBUMIN, _number("37.2", "g/L", "g/L"))
    panel = d.result(LIVER, {}, hasMember=[fhir.reference(f"Observation/{member['id']}")])
    d.put(POCT, panel, member)
    d.used(member, LBTESTCD="ALB", LBORRES="37.2")
    d.dropped("Observation", "panel-without-value", panel)

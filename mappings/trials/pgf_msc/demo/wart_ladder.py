"""Warts of elements: numbers as strings, keys that stand twice, values of unusual kinds, ranges, wrong types, no dates."""

from __future__ import annotations

from mappings.trials.pgf_msc.demo.fhir import LOCAL_LAB, Resource, absent, coding, concept, encode, number, quantity
from mappings.trials.pgf_msc.demo.wart_files import INTERFACE, LIS, POCT
from mappings.trials.pgf_msc.demo.warts import Desk, Wart, wart

ALBUMIN, FERRITIN, POTASSIUM, SODIUM, UREA = "1751-7", "2276-4", "2823-3", "2951-2", "22664-7"
WARTS: list[Wart] = []


def _millimoles(text: str) -> Resource:
    return {"valueQuantity": quantity(text, "mmol/L", "mmol/L")}


@wart(WARTS, "elements", 'the number as a JSON string: `"value":"4.10"`')
def number_as_string(d: Desk) -> None:
    r = d.result(POTASSIUM, {"valueQuantity": {"value": "4.10", "unit": "mmol/L"}})
    d.put(INTERFACE, r)
    d.used(r, LBORRES="4.10", LBSTRESN=4.1)
    d.issue(r, "decimal-as-string")


@wart(WARTS, "elements", "`valueQuantity` stands twice in one line, with different numbers")
def key_twice(d: Desk) -> None:
    r = d.result(POTASSIUM, _millimoles("4.2"))
    line = encode(r)
    again = line.replace('"valueQuantity":', '"valueQuantity":{"value":6.2,"unit":"mmol/L"},"valueQuantity":', 1)
    d.rejected(INTERFACE, r, "element-twice", "valueQuantity", line=again)


@wart(WARTS, "elements", "`category` is a text instead of a list of concepts")
def wrong_type(d: Desk) -> None:
    r = {**d.result(POTASSIUM, _millimoles("4.3")), "category": "检验"}
    d.put(LIS, r)
    d.used(r, LBORRES="4.3")
    d.issue(r, "element-dropped")


@wart(WARTS, "values", "`GT 45` as the text of a `valueCodeableConcept`")
def greater_in_a_concept(d: Desk) -> None:
    r = d.result(UREA, {"valueCodeableConcept": concept(text="GT 45 mmol/L")})
    d.put(INTERFACE, r)
    d.used(r, LBORRES=">45", LBSTRESC=">45", LBSTRESN=None)


@wart(WARTS, "values", "the comparator `<>` of HL7 version 2, which bounds nothing")
def not_equal(d: Desk) -> None:
    value = quantity("5.0", "mmol/L", "mmol/L", "<>")
    r = d.result(POTASSIUM, {"valueQuantity": value})
    d.put(INTERFACE, r)
    d.used(r, LBORRES="<>5.0 mmol/L", LBSTRESN=None)
    d.issue(r, "number-not-read")


@wart(WARTS, "values", "the comparator `~`, which nobody knows")
def comparator_of_its_own(d: Desk) -> None:
    value = quantity("5.1", "mmol/L", "mmol/L", "~")
    d.rejected(
        INTERFACE, d.result(POTASSIUM, {"valueQuantity": value}), "comparator-unknown", "valueQuantity.comparator"
    )


@wart(WARTS, "values", "`12,500 ng/mL`: twelve and a half, or twelve thousand five hundred")
def comma_of_two_meanings(d: Desk) -> None:
    r = d.result(FERRITIN, {"valueString": "12,500 ng/mL"})
    d.put(POCT, r)
    d.used(r, LBORRES="12,500 ng/mL", LBSTRESN=None)
    d.issue(r, "number-not-read")


@wart(WARTS, "values", "a titre as `valueRatio` 1:128, by a local code that the site's `observations.csv` maps")
def titre(d: Desk) -> None:
    ratio = {"numerator": {"value": number("1")}, "denominator": {"value": number("128")}}
    r = d.result(concept([coding(LOCAL_LAB, "ANA-T", "抗核抗体滴度")], "抗核抗体滴度"), {"valueRatio": ratio})
    d.put(LIS, r)
    d.used(r, LBTESTCD="ANA", LBORRES="1:128", LBSTRESC="1:128", LBSTRESN=None)


@wart(WARTS, "values", "a `valueRange` of 135–140 mmol/L")
def range_of_values(d: Desk) -> None:
    ends = {"low": quantity("135", "mmol/L", "mmol/L"), "high": quantity("140", "mmol/L", "mmol/L")}
    r = d.result(SODIUM, {"valueRange": ends})
    d.put(POCT, r)
    d.used(r, LBORRES="135-140", LBORRESU="mmol/L", LBSTRESC="135-140", LBSTRESN=None)


@wart(WARTS, "values", "a value beside a `dataAbsentReason`")
def value_and_reason(d: Desk) -> None:
    r = d.result(POTASSIUM, {**_millimoles("4.4"), **absent("error")})
    d.put(POCT, r)
    d.used(r, LBORRES="4.4", LBSTAT="")
    d.issue(r, "value-and-absent-reason")


@wart(WARTS, "ranges", "two reference ranges, one for women and one for men")
def range_by_sex(d: Desk) -> None:
    d.take_sex()
    ranges: list[Resource] = [
        {"low": quantity(low, "g/L", "g/L"), "high": quantity("55", "g/L", "g/L"), "appliesTo": [concept(text=who)]}
        for low, who in (("38", "female"), ("41", "male"))
    ]
    r = d.result(ALBUMIN, {"valueQuantity": quantity("40", "g/L", "g/L")}, referenceRange=ranges)
    d.put(POCT, r)
    female = d.person.gender == "female"
    d.used(r, LBORNRLO="38" if female else "41", LBNRIND="NORMAL" if female else "LOW")


@wart(WARTS, "ranges", "limits in a unit that no table knows")
def range_in_an_unknown_unit(d: Desk) -> None:
    limits = {"low": quantity("35", "克每升", None), "high": quantity("55", "克每升", None)}
    r = d.result(ALBUMIN, {"valueQuantity": quantity("41", "g/L", "g/L")}, referenceRange=[limits])
    d.put(LIS, r)
    d.used(r, LBORRES="41", LBORNRLO="", LBSTNRLO=None)
    d.issue(r, "range-unit-unknown")


@wart(WARTS, "times", "no date; `_effectiveDateTime` says why")
def date_withheld(d: Desk) -> None:
    url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    r = d.result(POTASSIUM, _millimoles("4.5"))
    del r["effectiveDateTime"], r["issued"]
    r["_effectiveDateTime"] = {"extension": [{"url": url, "valueCode": "masked"}]}
    d.put(POCT, r)
    d.used(r, LBORRES="4.5", LBDTC="", LBDY=None)
    d.issue(r, "date-missing")

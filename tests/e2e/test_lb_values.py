"""What becomes of a result: hand-written tables from value[x], referenceRange, status and effective[x] to LB.

One build of all cases; a result is found again by its keyed id. Sources: fhir-input points 7, 8, 9, 14, 17, 22, 23, 24.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd
import pytest

from adapter import build
from adapter.result import Result
from adapter.site import Keyer
from tests.conftest import KEY, make_site
from tests.lines import LOINC, OBSERVATION, Json, changed, line_of

UCUM = "http://unitsofmeasure.org"
HL7 = "http://hl7.org/fhir/StructureDefinition/"
LOG = (
    "patient,subjid,siteid,arm,consent_date,randomisation_date\n"
    "s,1,01,MSC,2024-01-01,2024-01-02\nu,2,01,MSC,2024-01-01,2024-01-02\n"
)
WOMAN = {"resourceType": "Patient", "id": "s", "gender": "female", "birthDate": "1980-02-29"}
UNKNOWN = {"resourceType": "Patient", "id": "u"}
# ANY and FREE are laboratory tests of the site without a standard unit: any kind of result, and numbers; TXT takes texts
SITE = (
    "system,code,display,domain,testcd,test,cat,specimen,result_type\n"
    "urn:t,ANY,any,LB,ANY,Any,SEROLOGY,SERUM,either\nurn:t,FREE,free,LB,FREE,Free,SEROLOGY,SERUM,numeric\n"
    "urn:t,TXT,text,LB,TXT,Text,SEROLOGY,SERUM,text\n"
)
CODES = {"PLAT": "777-3", "WBC": "6690-2", "HGB": "718-7", "CRP": "1988-5", "GLUC": "2345-7"}


def code(test: str) -> Json:
    found = {"system": LOINC, "code": CODES[test]} if test in CODES else {"system": "urn:t", "code": test}
    return {"coding": [found]}


def result(test: str, **elements: Any) -> Json:
    return changed(OBSERVATION, code=code(test), valueQuantity=...) | elements


def quantity(value: Any, ucum: str | None = "10*9/L", **more: Any) -> Json:
    """Return a Quantity; a value `#4.10` stands for the JSON number 4.10."""
    found = {"value": value, "code": ucum, "system": UCUM if ucum else None} | more
    return {k: v for k, v in found.items() if v is not None}


def absent(reason: str | None = "unknown") -> Json:
    return {"extension": [{"url": f"{HL7}data-absent-reason", "valueCode": reason}]}


class Case(NamedTuple):
    """An Observation, and what comes of it: rows of LB (ORRES|ORRESU|STRESC|STRESN|STRESU|STAT|REASND), issues, refusal."""

    resource: Json
    rows: tuple[str, ...]
    issues: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def plat(value: Json, row: str, *issues: str) -> Case:
    return Case(result("PLAT") | value, (row,), issues)


def text(test: str, value: str, row: str, *issues: str) -> Case:
    return Case(result(test, valueString=value), (row,), issues)


def refused(resource: Json, *reasons: str) -> Case:
    return Case(resource, (), (), reasons)


P = "10^9/L"
VALUES: dict[str, Case] = {
    # numbers
    "digits as they were sent": plat({"valueQuantity": quantity("#4.10")}, f"4.10|{P}|4.10|4.1|{P}||"),
    "exponent": plat({"valueQuantity": quantity("#1.0E3", "10*6/L")}, f"1.0E3|10^6/L|1.0|1.0|{P}||"),
    "less than": plat({"valueQuantity": quantity(5, comparator="<")}, f"<5|{P}|<5||{P}||"),
    "at least": plat({"valueQuantity": quantity(5, comparator=">=")}, f">=5|{P}|>=5||{P}||"),
    "equals (HL7 v2) says nothing": plat({"valueQuantity": quantity(5, comparator="=")}, f"5|{P}|5|5.0|{P}||"),
    "not equal (HL7 v2) is a text": plat(
        {"valueQuantity": quantity(5, comparator="<>", unit="10^9/L")}, f"<>5 {P}||<>5 {P}||||", "number-not-read"
    ),
    "comparator ad (R5)": refused(result("PLAT", valueQuantity=quantity(5, comparator="ad")), "comparator-unknown"),
    "number as a JSON string": plat(
        {"valueQuantity": quantity("4.10")}, f"4.10|{P}|4.10|4.1|{P}||", "decimal-as-string"
    ),
    "comparator in the number": refused(result("PLAT", valueQuantity=quantity("<4")), "decimal-malformed"),
    "exponent beyond reason": refused(result("PLAT", valueQuantity=quantity("#1E99")), "decimal-malformed"),
    "forty-one digits": refused(result("PLAT", valueQuantity=quantity("#" + "1" * 41)), "decimal-malformed"),
    "quantity is an array": refused(result("PLAT", valueQuantity=[quantity(1)]), "element-wrong-type"),
    "unit is a number": refused(result("PLAT", valueQuantity=quantity(1, unit=5)), "element-wrong-type"),
    "integer": Case(result("FREE", valueInteger=3), ("3||3|3.0|||",)),
    "boolean": Case(result("TXT", valueBoolean=True), ("true||true||||",)),
    "unit of no table, no standard unit": Case(
        result("FREE", valueQuantity=quantity(3, None, unit="foo")), ("3|foo|3|3.0|||",)
    ),
    "unit of no table": refused(result("PLAT", valueQuantity=quantity(3, None, unit="foo")), "unit-unknown"),
    "a bounded amount where the test has a text": Case(
        result("TXT", valueQuantity=quantity(5, "ng/mL", comparator=">")), (">5|ug/L|>5||||",)
    ),
    # numbers inside texts
    "valueString <10 IntlUnit/mL (fasten-onprem 441)": text("FREE", "<10 IntlUnit/mL", "<10|IU/mL|<10||||"),
    "concept GT 45 (eCRNow 625)": Case(result("FREE", valueCodeableConcept={"text": "GT 45"}), (">45||>45||||",)),
    "concept with a code is no number": Case(
        result("FREE", valueCodeableConcept={"coding": [{"system": "urn:a", "code": "10828004"}]}),
        ("10828004||10828004||||",),
    ),
    "concept with a code and digits": Case(
        result("PLAT", valueCodeableConcept={"coding": [{"system": "urn:a", "code": "1"}], "text": ">45"}),
        (">45||>45||||",),
        ("number-not-read",),
    ),
    "unit behind a blank": text("PLAT", "0.9 10*9/L", f"0.9|{P}|0.9|0.9|{P}||"),
    "unit with x": text("PLAT", "0.9x10^9/L", f"0.9|{P}|0.9|0.9|{P}||"),
    "unit with × and ⁹": text("PLAT", "0.9×10⁹/L", f"0.9|{P}|0.9|0.9|{P}||"),
    "full-width": text("CRP", "＞１０００　ｍｇ／Ｌ", ">1000|mg/L|>1000||mg/L||"),
    "小于": text("CRP", "小于0.5 mg/L", "<0.5|mg/L|<0.5||mg/L||"),
    "≥": text("CRP", "≥100mg/L", ">=100|mg/L|>=100||mg/L||"),
    "≤": text("CRP", "≤ 0.50 mg/L", "<=0.50|mg/L|<=0.50||mg/L||"),
    "no unit where one is needed": text("CRP", "<0.5", "<0.5||||||", "unit-missing"),
    "thousands, no doubt": text("WBC", "1,234,567 /uL", "1234567|10^6/L|1234.567|1234.567|10^9/L||"),
    "thousand and decimals": text("CRP", "1,234.5 mg/L", "1234.5|mg/L|1234.5|1234.5|mg/L||"),
    "a thousand or a decimal": text("CRP", "1,234 mg/L", "1,234 mg/L||1,234 mg/L||||", "number-not-read"),
    "decimal comma": text("CRP", "4,10 mg/L", "4,10 mg/L||4,10 mg/L||||", "number-not-read"),
    "range in a text": text("CRP", "5-10", "5-10||5-10||||", "number-not-read"),
    "words behind a number": refused(result("CRP", valueString="5 haemolysed"), "unit-unknown"),
    "words behind a number, no standard unit": text("ANY", "5 haemolysed", "5 haemolysed||5 haemolysed||||"),
    "titre in a text": text("ANY", "1:128", "1:128||1:128||||"),
    "comparator where the test has a text": text("TXT", ">1000", ">1000||>1000||||"),
    "words": text("PLAT", "标本溶血", "标本溶血||标本溶血||||"),
    "line break and blanks": text("TXT", " weakly\r\npositive ", "weakly positive||WEAKLY POSITIVE||||"),
    "control characters": text("TXT", "weak\x00ly\x1b", "weak ly||weak ly||||", "control-character"),
    # other types
    "titre": Case(
        result("ANY", valueRatio={"numerator": {"value": 1}, "denominator": {"value": 128}}), ("1:128||1:128||||",)
    ),
    "ratio, exact": Case(
        result("ANY", valueRatio={"numerator": {"value": "#4.10"}, "denominator": {"value": "#1.0"}}),
        ("4.10:1.0||4.10:1.0||||",),
    ),
    "ratio where the test has a number": plat(
        {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}},
        "1:128||1:128||||",
        "number-not-read",
    ),
    "half a ratio": refused(result("ANY", valueRatio={"denominator": {"value": 128}}), "value-type-not-read"),
    "range": plat({"valueRange": {"low": quantity(10), "high": quantity("#20.0")}}, f"10-20.0|{P}|10-20.0||{P}||"),
    "range in another unit": Case(
        result("HGB", valueRange={"low": quantity(9, "g/dL"), "high": quantity(10, "g/dL")}),
        ("9-10|g/dL|90-100||g/L||",),
    ),
    "range without a unit": plat(
        {"valueRange": {"low": {"value": 1}, "high": {"value": 2}}}, "1-2||1-2||||", "unit-missing"
    ),
    "range in no unit": refused(
        result("PLAT", valueRange={"low": {"value": 1, "unit": "foo"}, "high": {"value": 2, "unit": "foo"}}),
        "unit-unknown",
    ),
    "range below zero": Case(
        result("FREE", valueRange={"low": {"value": -3}, "high": {"value": -1}}), ("-3 - -1||-3 - -1||||",)
    ),
    "range without an end": plat({"valueRange": {"low": quantity(10)}}, f">=10|{P}|>=10||{P}||"),
    "time": Case(result("ANY", valueTime="08:30:00"), ("08:30:00||08:30:00||||",)),
    "instant, as sent": Case(
        result("ANY", valueDateTime="2024-01-01T23:30:00Z"), ("2024-01-01T23:30:00Z||2024-01-01T23:30:00Z||||",)
    ),
    "period": Case(result("ANY", valuePeriod={"start": "2024-01-01"}), ("2024-01-01/..||2024-01-01/..||||",)),
    "sampled data": refused(result("ANY", valueSampledData={"period": 1}), "value-type-not-read"),
    # no value
    "reason": plat({"dataAbsentReason": {"coding": [{"code": "error"}]}}, "|||||NOT DONE|error"),
    "reason of the string": plat({"_valueString": absent("not-performed")}, "|||||NOT DONE|not-performed"),
    "reason of the number": plat(
        {"valueQuantity": {"_value": absent("masked"), "unit": "10*9/L"}}, "|||||NOT DONE|masked"
    ),
    "reason of the quantity": plat({"valueQuantity": absent("unsupported")}, "|||||NOT DONE|unsupported"),
    "value and reason": plat(
        {"valueQuantity": quantity(7), "dataAbsentReason": {"text": "error"}},
        f"7|{P}|7|7.0|{P}||",
        "value-and-absent-reason",
    ),
    "nothing": refused(result("PLAT"), "no-result"),
    "unit alone": refused(result("PLAT", valueQuantity={"unit": "10*9/L"}), "no-result"),
    "result in the place of the unit": refused(result("PLAT", valueQuantity={"unit": "negative"}), "unit-unknown"),
    "null": refused(result("PLAT", valueQuantity=None, valueString=None), "no-result"),
    "two values": refused(result("PLAT", valueString="x", valueQuantity=quantity(1)), "two-values"),
    # components
    "components, each with its own reason": Case(
        result(
            "ANY",
            component=[
                {"code": code("PLAT"), "dataAbsentReason": {"coding": [{"code": "error"}]}},
                {"code": code("WBC"), "_valueString": absent("not-performed")},
                {"code": code("HGB"), "valueQuantity": {"_value": absent("masked")}},
            ],
        ),
        ("|||||NOT DONE|masked", "|||||NOT DONE|error", "|||||NOT DONE|not-performed"),
    ),
    "a component that is wrong costs itself only": Case(
        result(
            "ANY",
            component=[
                {"code": code("PLAT"), "valueQuantity": quantity(1)},
                {"code": code("WBC"), "valueQuantity": 5},
                {"code": code("HGB"), "valueQuantity": quantity("many")},
                {"code": code("CRP"), "valueString": "<5 mg/L"},
            ],
        ),
        ("<5|mg/L|<5||mg/L||", f"1|{P}|1|1.0|{P}||"),
        (),
        ("element-wrong-type", "decimal-malformed"),
    ),
    "value twice": refused(result("PLAT", valueQuantity={"value": 1, "#twice": 2}), "element-twice"),
}

RANGE = {"low": quantity(125), "high": quantity(350)}
FEMALE = {"coding": [{"system": "http://snomed.info/sct", "code": "248152002"}]}
MALE = {"coding": [{"system": "http://snomed.info/sct", "code": "248153007"}]}


def years(low: int | None = None, high: int | None = None, unit: str = "a") -> Json:
    ends = {"low": low, "high": high}
    return {k: {"value": v, "code": unit, "system": UCUM} for k, v in ends.items() if v is not None}


def of_type(name: str, **more: Any) -> Json:
    return {"type": {"coding": [{"code": name}]}} | more


class Ranged(NamedTuple):
    """A platelet count of 100 with ranges, and ORNRLO|ORNRHI|STNRLO|STNRHI|STNRC|NRIND."""

    ranges: Any
    row: str
    issues: tuple[str, ...] = ()
    subject: str = "s"
    unit: str | None = "10*9/L"


RANGES: dict[str, Ranged] = {
    "one": Ranged([RANGE], "125|350|125.0|350.0||LOW"),
    "one of type normal among others": Ranged(
        [of_type("treatment", low=quantity(10)), of_type("normal", **RANGE), of_type("critical", high=quantity(5))],
        "125|350|125.0|350.0||LOW",
    ),
    "therapeutic only is no normal range": Ranged([of_type("therapeutic", text="80-90")], "||||therapeutic: 80-90|"),
    "by sex": Ranged(
        [RANGE | {"appliesTo": [MALE]}, {"low": quantity(90), "high": quantity(300), "appliesTo": [FEMALE]}],
        "90|300|90.0|300.0||NORMAL",
    ),
    "by sex, not known": Ranged(
        [
            {"text": "125-350", "appliesTo": [{"text": "men"}]},
            {"text": "90-300", "appliesTo": [{"text": "women"}]},
        ],
        "||||125-350 (men); 90-300 (women)|",
    ),
    "by sex, of somebody whose sex is not known": Ranged(
        [
            RANGE | {"appliesTo": [MALE | {"text": "male"}]},
            {"low": quantity(90), "appliesTo": [FEMALE | {"text": "female"}]},
        ],
        "||||125-350 10*9/L (male); >=90 10*9/L (female)|",
        subject="u",
    ),
    "by age": Ranged(
        [RANGE | {"age": years(high=17)}, {"low": quantity(90), "age": years(18, 120)}],
        "90||90.0|||NORMAL",
    ),
    "by age in days": Ranged(
        [RANGE | {"age": years(0, 28, "d")}, {"low": quantity(90), "age": years(18)}],
        "90||90.0|||NORMAL",
    ),
    "by age, of somebody whose age is not known": Ranged(
        [{"text": "a", "age": years(high=17)}, {"text": "b", "age": years(18, 120)}],
        "||||a (age -17 a); b (age 18 a-120 a)|",
        subject="u",
    ),
    "the narrower one": Ranged([RANGE, {"low": quantity(90), "appliesTo": [FEMALE]}], "90||90.0|||NORMAL"),
    "the one for everybody": Ranged([RANGE, {"low": quantity(90), "appliesTo": [MALE]}], "125|350|125.0|350.0||LOW"),
    "another population": Ranged(
        [RANGE | {"text": "usual"}, {"text": "pregnant 90", "appliesTo": [{"text": "pregnant"}]}],
        "||||usual; pregnant 90 (pregnant)|",
    ),
    "two that differ": Ranged([RANGE, {"low": quantity(90)}], "||||125-350 10*9/L; >=90 10*9/L|"),
    "the same twice": Ranged([RANGE, RANGE], "125|350|125.0|350.0||LOW"),
    "text only": Ranged([{"text": "125-350"}], "||||125-350|"),
    "one side": Ranged([{"high": quantity(90)}], "|90||90.0||HIGH"),
    "a comparator is no limit": Ranged([{"high": quantity(90, comparator="<")}], "||||<90 10*9/L|"),
    "another unit than the value's": Ranged(
        [{"low": quantity(125000, "/uL"), "high": quantity(350000, "/uL")}], "||125.0|350.0||LOW"
    ),
    "no unit: that of the value": Ranged([{"low": {"value": 125}, "high": {"value": 350}}], "125|350|125.0|350.0||LOW"),
    "unknown unit": Ranged(
        [{"low": quantity(125, None, unit="foo"), "high": quantity(350, None, unit="foo")}],
        "||||125-350 foo|",
        ("range-unit-unknown",),
    ),
    "of a value without a unit": Ranged([RANGE], "||125.0|350.0||", ("unit-missing",), unit=None),
    "limit as a string": Ranged(
        [{"low": quantity("125"), "high": quantity(350)}], "125|350|125.0|350.0||LOW", ("decimal-as-string",)
    ),
    "limit that is none": Ranged(
        [{"low": quantity("x"), "high": quantity(350)}], "|350||350.0||NORMAL", ("decimal-dropped",)
    ),
    "no array": Ranged(RANGE, "|||||", ("element-dropped",)),
}


class Dated(NamedTuple):
    """Times, and DTC|ENDTC|DY. The first study treatment is unknown: RFSTDTC is the randomisation, 2024-01-02."""

    times: Json
    row: str
    issues: tuple[str, ...] = ()


DATES: dict[str, Dated] = {
    "Z is the next day at the site (fts-next 1690)": Dated(
        {"effectiveDateTime": "2024-01-01T23:30:00Z"}, "2024-01-02T07:30:00||1.0"
    ),
    "offset of the site": Dated({"effectiveDateTime": "2024-01-02T00:00:00+08:00"}, "2024-01-02T00:00:00||1.0"),
    "another offset": Dated({"effectiveDateTime": "2024-01-02T00:00:00+14:00"}, "2024-01-01T18:00:00||-1.0"),
    "no offset is site time": Dated({"effectiveDateTime": "2024-01-02T23:59"}, "2024-01-02T23:59||1.0"),
    "midnight": Dated({"effectiveDateTime": "2024-01-03T00:00:00"}, "2024-01-03T00:00:00||2.0"),
    "24:00 is no time": Dated({"effectiveDateTime": "2024-01-03T24:00:00"}, "||", ("date-malformed",)),
    "leap day": Dated({"effectiveDateTime": "2024-02-29"}, "2024-02-29||59.0"),
    "no leap day": Dated({"effectiveDateTime": "2023-02-29"}, "||", ("date-malformed",)),
    "month": Dated({"effectiveDateTime": "2024-02"}, "2024-02||"),
    "year": Dated({"effectiveDateTime": "2024"}, "2024||"),
    "period": Dated(
        {"effectivePeriod": {"start": "2024-01-02T16:00:00Z", "end": "2024-01-04"}},
        "2024-01-03T00:00:00|2024-01-04|2.0",
    ),
    "open period": Dated({"effectivePeriod": {"start": "2024-01-03"}}, "2024-01-03||2.0"),
    "instant": Dated({"effectiveInstant": "2024-01-02T16:00:00.123Z"}, "2024-01-03T00:00:00||2.0"),
    "issued only": Dated({"issued": "2024-01-02T16:00:00Z"}, "2024-01-03T00:00:00||2.0", ("date-from-issued",)),
    "absent by extension, though issued": Dated(
        {"_effectiveDateTime": absent(), "issued": "2024-01-02T16:00:00Z"}, "||", ("date-missing",)
    ),
    "nothing": Dated({}, "||", ("date-missing",)),
    "in the future": Dated(
        {"effectiveDateTime": "2024-03-01", "meta": {"lastUpdated": "2024-02-01T00:00:00Z"}},
        "2024-03-01||60.0",
        ("date-in-future",),
    ),
    "a day ahead is no future": Dated(
        {"effectiveDateTime": "2024-02-02", "meta": {"lastUpdated": "2024-02-01T00:00:00Z"}}, "2024-02-02||32.0"
    ),
}

STATUSES: dict[str, tuple[Any, str]] = {
    "trailing blank": ("final ", ""),
    "amended": ("amended", ""),
    "corrected": ("corrected", ""),
    "capitals": ("FINAL", "no-status"),
    "unheard": ("finished", "no-status"),
    "missing": (..., "no-status"),
    "null": (None, "no-status"),
    "a number": (5, "element-wrong-type"),
}


def lines() -> Iterator[bytes]:
    """Yield every case as a line; its id says which it is. Each has a minute of its own, so that none is a replay."""
    minute = 0

    def line(group: str, name: str, resource: Json, times: Json | None = None) -> bytes:
        nonlocal minute
        minute += 1
        when = {"effectiveDateTime": f"2024-01-10T{minute // 60:02d}:{minute % 60:02d}:00+08:00"}
        whole = changed(resource, id=own(group, name), effectiveDateTime=...) | (when if times is None else times)
        raw = re.sub(rb'"#([0-9.eE]+)"', rb"\1", line_of(whole))
        return raw.replace(b'"#twice"', b'"value"')

    for name, case in VALUES.items():
        yield line("v", name, case.resource)
    for name, r in RANGES.items():
        value = quantity(100, r.unit)
        who = {"reference": f"Patient/{r.subject}"}
        yield line("r", name, result("PLAT", valueQuantity=value, referenceRange=r.ranges, subject=who))
    for i, (name, dated) in enumerate(DATES.items()):
        yield line("d", name, result("PLAT", valueQuantity=quantity(1000 + i)), dated.times)
    for name, (status, _) in STATUSES.items():
        yield line("s", name, changed(result("PLAT", valueQuantity=quantity(1)), status=status))


def own(group: str, name: str) -> str:
    names: dict[str, Any] = {"v": VALUES, "r": RANGES, "d": DATES, "s": STATUSES}
    return f"{group}{list(names[group]).index(name)}"


class Built(NamedTuple):
    result: Result
    lb: pd.DataFrame
    issues: dict[str, list[str]]
    rejects: dict[str, list[str]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("values")
    (folder / "in").mkdir()
    (folder / "in" / "Patient.ndjson").write_bytes(line_of(WOMAN) + b"\n" + line_of(UNKNOWN) + b"\n")
    (folder / "in" / "Observation.ndjson").write_bytes(b"\n".join(lines()) + b"\n")
    (folder / "log.csv").write_text(LOG)
    site = make_site(folder / "site")
    (site / "observations.csv").write_text(SITE)
    made = build(
        folder / "in", out=folder / "out", enrolment=folder / "log.csv", site=site, cutoff="2024-12-31", workers=1
    )
    trace = pd.read_parquet(folder / "out" / "trace" / "lb.parquet")
    source = trace[trace["VARIABLE"] == "LBTESTCD"].set_index(["USUBJID", "SEQ"])
    lb = made.sdtm["LB"].set_index(["USUBJID", "LBSEQ"])
    lb = lb.astype(object).fillna("")
    lb["own"] = source["KEYED_ID"].reindex(lb.index)
    issues = made.issues.groupby("keyed_id")["code"].apply(list).to_dict()
    rejects = made.rejects.groupby("keyed_id")["reason"].apply(list).to_dict()
    return Built(made, lb, issues, rejects)


def rid(group: str, name: str) -> str:
    return Keyer(bytes.fromhex(KEY)).keyed(f"Observation/{own(group, name)}").hex()


def row_of(lb: pd.DataFrame, key: str, names: str) -> list[str]:
    found = lb[lb["own"] == key]
    return ["|".join(str(v) for v in row) for row in found[[f"LB{n}" for n in names.split()]].itertuples(index=False)]


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str, built: Built) -> None:
    case, key = VALUES[name], rid("v", name)
    assert row_of(built.lb, key, "ORRES ORRESU STRESC STRESN STRESU STAT REASND") == list(case.rows)
    assert sorted(set(built.issues.get(key, ()))) == sorted(case.issues)
    counted = ("no-result",)  # a drop is counted and not listed
    assert sorted(built.rejects.get(key, ())) == sorted(r for r in case.refused if r not in counted)


def test_what_has_no_result_is_counted(built: Built) -> None:
    dropped = built.result.counts["resources"]["Observation"]["dropped"]
    assert dropped["no-result"] == sum("no-result" in c.refused for c in VALUES.values())


@pytest.mark.parametrize("name", RANGES)
def test_reference_ranges(name: str, built: Built) -> None:
    case, key = RANGES[name], rid("r", name)
    assert row_of(built.lb, key, "ORNRLO ORNRHI STNRLO STNRHI STNRC NRIND") == [case.row]
    assert sorted(built.issues.get(key, ())) == sorted(case.issues)


@pytest.mark.parametrize("name", DATES)
def test_dates(name: str, built: Built) -> None:
    case, key = DATES[name], rid("d", name)
    assert row_of(built.lb, key, "DTC ENDTC DY") == [case.row]
    assert built.issues.get(key, []) == list(case.issues)


@pytest.mark.parametrize("name", STATUSES)
def test_statuses(name: str, built: Built) -> None:
    _, reason = STATUSES[name]
    key = rid("s", name)
    assert len(row_of(built.lb, key, "ORRES")) == (not reason)
    assert built.rejects.get(key, []) == ([reason] if reason else [])


def test_every_result_is_accounted_for(built: Built) -> None:
    found = built.result.counts["resources"]["Observation"]
    assert found["read"] == len(VALUES) + len(RANGES) + len(DATES) + len(STATUSES)
    assert found["read"] == found["used"] + sum(found["dropped"].values())
    assert built.result.exit_code == 3

"""Suggestions: the same name, the most similar one, and never a test that the unit rules out."""

from __future__ import annotations

from importlib import resources

import pytest

from adapter.codes import load_codes
from adapter.suggest import Names, fits_unit, observation_names, table_names, unit_names
from adapter.units import UnitTable

FOLDER = resources.files("mappings.codes")
OBSERVATIONS = load_codes("observations", FOLDER)
NAMES = observation_names(OBSERVATIONS, load_codes("names", FOLDER))
UNITS = UnitTable.load(FOLDER)


def suggested(*texts: str, unit: str = "") -> tuple[str, str]:
    found = UNITS.resolve(unit)
    target, because = NAMES.nearest(texts, fits_unit(UNITS, found.ucum if found else ""))
    row = OBSERVATIONS.find([tuple(target.rsplit("|", 1))]) if target else None  # type: ignore[list-item]
    return (row["testcd"] if row else "", because)


@pytest.mark.parametrize(
    ("text", "unit", "testcd"),
    [
        ("血小板计数", "10*9/L", "PLAT"), ("★血小板计数", "", "PLAT"), ("血小板计数(PLT)", "10*9/L", "PLAT"), ("PLT", "", "PLAT"),
        ("Ｐｌａｔｅｌｅｔ　ｃｏｕｎｔ", "", "PLAT"), ("中性粒细胞百分比", "%", "NEUTLE"), ("NEUT#", "10*9/L", "NEUT"),
        ("丙氨酸氨基转移酶", "U/L", "ALT"), ("活化部分凝血活酶时间", "s", "APTT"), ("巨细胞病毒DNA定量", "copies/mL", "CMVDNA"),
        ("便潜血", "", "OCCBLD"), ("体重", "kg", "WEIGHT"), ("卡氏评分", "", "KPSS0101"),
        ("Hemoglobin [Mass/volume] in Blood", "g/L", "HGB"), ("INR (international normalized ratio)", "", "INR"),
    ],
)  # fmt: skip
def test_the_same_name(text: str, unit: str, testcd: str) -> None:
    assert suggested(text, unit=unit) == (testcd, "same name")


@pytest.mark.parametrize(
    ("text", "unit", "testcd"),
    [("Platlet count", "", "PLAT"), ("Lactate dehydrogenas", "U/L", "LDH"), ("活化的部分凝血活酶时间", "s", "APTT")],
)
def test_a_similar_name_says_to_what(text: str, unit: str, testcd: str) -> None:
    found, because = suggested(text, unit=unit)
    assert found == testcd
    assert because.startswith("like ")


@pytest.mark.parametrize(
    ("text", "unit"),
    [("", ""), ("院内自建项目", ""), ("Tobacco smoking status NHIS", ""), ("zz", ""), ("血小板计数", "g/L")],
)
def test_nothing_is_near(text: str, unit: str) -> None:
    assert suggested(text, unit=unit) == ("", "")


def test_the_code_helps_where_the_text_does_not() -> None:
    assert suggested("院内自建项目", "WBC")[0] == "WBC"


def test_drugs_by_name() -> None:
    names = table_names(load_codes("drugs", FOLDER), "cmdecod")
    assert names.nearest(["Tacrolimuss"], lambda row: True) == ("TACROLIMUS", "like 'tacrolimus'")
    assert names.nearest(["xyzzy"], lambda row: True) == ("", "")


def test_without_names_nothing_is_suggested() -> None:
    assert Names([]).nearest(["PLT"], lambda row: True) == ("", "")


@pytest.mark.parametrize(
    ("text", "ucum"),
    [
        ("mMol/L", "mmol/L"),
        ("10^9 /Liter", "10*9/L"),
        ("x10^9/Ltr", "10*9/L"),
        ("Mg/dL", "mg/dL"),
        ("千单位每毫升", ""),
    ],
)
def test_units(text: str, ucum: str) -> None:
    assert unit_names(UNITS)(text)[0] == ucum

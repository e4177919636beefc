"""Units: look-alikes, exact factors (checked against ucumvert + pint), and standard results without float noise."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.codes import load_codes
from adapter.errors import InputError
from adapter.terminology import Terminology
from adapter.units import Unit, UnitTable, look_alike, rounded

FOLDER = resources.files("mappings.codes")
UNITS = UnitTable.load(FOLDER)
UCUM = "http://unitsofmeasure.org"


@pytest.mark.parametrize(
    ("spelling", "ucum", "ct"),
    [
        # counts, the units of the endpoints
        ("10*9/L", "10*9/L", "10^9/L"), ("x10^9/L", "10*9/L", "10^9/L"), ("×10⁹/L", "10*9/L", "10^9/L"),
        ("10^9/L", "10*9/L", "10^9/L"), ("10*9/l", "10*9/L", "10^9/L"), ("10E9/L", "10*9/L", "10^9/L"),
        ("10e9/L", "10*9/L", "10^9/L"), ("10**9/L", "10*9/L", "10^9/L"), ("*10^9/L", "10*9/L", "10^9/L"),
        ("X 10^9 / L", "10*9/L", "10^9/L"), ("10^9个/L", "10*9/L", "10^9/L"), ("E9/L", "10*9/L", "10^9/L"),
        ("G/L", "10*9/L", "10^9/L"), ("G/l", "10*9/L", "10^9/L"), ("Ｇ／Ｌ", "10*9/L", "10^9/L"),
        ("１０＾９／Ｌ", "10*9/L", "10^9/L"),
        ("K/uL", "10*3/uL", "10^9/L"), ("k/uL", "10*3/uL", "10^9/L"), ("K/μL", "10*3/uL", "10^9/L"),
        ("K/µL", "10*3/uL", "10^9/L"),
        ("10*3/uL", "10*3/uL", "10^9/L"), ("× 10³ / µl", "10*3/uL", "10^9/L"), ("Thousand/uL", "10*3/uL", "10^9/L"),
        ("Thou/mcL", "10*3/uL", "10^9/L"), ("x10E3/uL", "10*3/uL", "10^9/L"), ("10^3/mm3", "10*3/uL", "10^9/L"),
        ("/mm3", "/uL", "10^6/L"), ("/mm³", "/uL", "10^6/L"), ("/uL", "/uL", "10^6/L"), ("{cells}/uL", "/uL", "10^6/L"),
        ("cells/uL", "/uL", "10^6/L"), ("个/uL", "/uL", "10^6/L"), ("个/㎕", "/uL", "10^6/L"), ("/㎣", "/uL", "10^6/L"),
        ("个/L", "/L", ""), ("M/uL", "10*6/uL", "10^12/L"), ("T/L", "10*12/L", "10^12/L"), ("10¹²/L", "10*12/L", "10^12/L"),
        # masses and moles
        ("g/L", "g/L", "g/L"), ("g/l", "g/L", "g/L"), ("g/dl", "g/dL", "g/dL"), ("gm/dL", "g/dL", "g/dL"),
        ("g%", "g/dL", "g/dL"),
        ("mcg/mL", "ug/mL", "mg/L"), ("㎍/㎖", "ug/mL", "mg/L"), ("㎎/㎗", "mg/dL", "mg/dL"),
        ("umol/l", "umol/L", "umol/L"), ("μmol/L", "umol/L", "umol/L"), ("µmol/L", "umol/L", "umol/L"),
        ("mcmol/L", "umol/L", "umol/L"),
        ("mEq/L", "meq/L", "mEq/L"), ("mg/L FEU", "mg/L{FEU}", "mg/L FEU"), ("mg/g{creat}", "mg/g", "g/kg"),
        # activities; copies and international units are not each other
        ("U/L", "U/L", "U/L"), ("IU/L", "[IU]/L", "IU/L"), ("[iU]/mL", "[IU]/mL", "IU/mL"), ("[IU]/mL", "[IU]/mL", "IU/mL"),
        ("IU/mL", "[IU]/mL", "IU/mL"), ("IntlUnit/mL", "[IU]/mL", "IU/mL"), ("mIU/L", "m[IU]/L", "mIU/L"),
        ("mU/L", "mU/L", "mU/L"),
        ("copies/mL", "{copies}/mL", "copies/mL"), ("copies/uL", "{copies}/uL", "copies/uL"),
        ("拷贝/mL", "{copies}/mL", "copies/mL"),
        # the rest
        ("mmHg", "mm[Hg]", "mmHg"), ("mm Hg", "mm[Hg]", "mmHg"), ("sec", "s", "s"), ("秒", "s", "s"), ("％", "%", "%"),
        ("%", "%", "%"),
        ("℃", "Cel", "C"), ("/HPF", "/[HPF]", "/HPF"), ("pH", "[pH]", ""), ("片", "{tablet}", "TABLET"),
        ("次/分", "/min", "/min"),
        # doses: a drug in IU and in U is in one unit
        ("10^6 cells/kg", "10*6/kg", "10^6/kg"), ("ug/kg/d", "ug/kg/d", "ug/kg/day"), ("[iU]/kg", "U/kg", "U/kg"),
        ("[IU]/kg", "U/kg", "U/kg"), ("IU/kg", "U/kg", "U/kg"), ("U/kg", "U/kg", "U/kg"), ("IU/kg/d", "U/kg/d", "U/kg/day"),
        # all capitals, where nothing else can be meant (UCUM c/i, HL7 v2)
        ("MG/DL", "mg/dL", "mg/dL"), ("MMOL/L", "mmol/L", "mmol/L"), ("NG/ML", "ng/mL", "ug/L"), ("MMHG", "mm[Hg]", "mmHg"),
        ("FL", "fL", "fL"), ("SEC", "s", "s"), ("MG", "mg", "mg"), ("ML", "mL", "mL"),
    ],
)  # fmt: skip
def test_spellings(spelling: str, ucum: str, ct: str) -> None:
    assert UNITS.resolve(spelling) == Unit(ucum, ct)
    assert UNITS.resolve(None, None, f" {spelling} ") == Unit(ucum, ct)


@pytest.mark.parametrize(
    "spelling",
    [
        "", "x", "gL", "10/L", "g/L x", "10*9/", "fuzz",
        "109/L",  # 10⁹ that lost its superscript, or a number
        "M/L", "MU/L", "MIU/mL", "P/L",  # M is mega and milli
        "mG", "Mg", "Mg/dL", "mmol/K", "gr", "gr/dL",  # neither grams nor grains are guessed
        "K", "log", "ppm",
    ],
)  # fmt: skip
def test_unknown_units_are_not_guessed(spelling: str) -> None:
    assert UNITS.resolve(spelling, UCUM, spelling) is None


@pytest.mark.parametrize("spelling", ["{cells}/uL", "{Cells}/uL", "cells/uL", "cells/μL", "cells/mm3", "{WBC}/uL"])
def test_cells_per_microlitre_are_counts_ucum_90(spelling: str) -> None:
    """Published breakage: UCUM libraries refuse `cells/uL`."""
    found = UNITS.resolve(spelling, UCUM, spelling)
    assert found is not None
    assert UNITS.standard_result("850", found.ucum, "10*9/L", "2") == ("0.850", None)


@pytest.mark.parametrize(("spelling", "in_ml"), [("copies/uL", "12000"), ("{copies}/uL", "12000"), ("copies/mL", "12")])
def test_copies_are_no_international_units_ucum_122(spelling: str, in_ml: str) -> None:
    """Published breakage: `copies/uL` is refused, or its copies are taken for a plain number."""
    found = UNITS.resolve(spelling, UCUM, spelling)
    assert found is not None
    assert UNITS.standard_result("12", found.ucum, "{copies}/mL", "0") == (in_ml, None)
    assert UNITS.standard_result("12", found.ucum, "[IU]/mL", "0") == (None, "unit-not-convertible")
    assert UNITS.standard_result("12", found.ucum, "10*9/L", "0") == (None, "unit-not-convertible")


def test_case_is_never_folded() -> None:
    """`G/L` is 10^9/L, so that haemoglobin in grams sent as `G/L` cannot be converted, and is rejected, never a count."""
    assert UNITS.resolve("G/L") != UNITS.resolve("g/L")
    assert UNITS.conversion("10*9/L", "g/L") is None
    assert UNITS.resolve("MU") == Unit("10*6.U", "10^6 U")  # a million units of a dose, never a thousandth


@pytest.mark.parametrize(
    ("code", "system", "text", "ucum"),
    [
        ("mg/dL", UCUM, "g/L", "mg/dL"),  # the code wins over the text
        ("g/L", None, "mg/dL", "g/L"),  # a code without a system is read as UCUM
        ("g/L", "urn:oid:2.16.840.1.113883.6.8", None, "g/L"),
        ("g/L", "http://unitsofmeasure.org|2.1", None, "g/L"),
        ("x10^9/L", UCUM, "no unit", "10*9/L"),  # a look-alike in the code before the text
        ("nonsense", UCUM, "g/L", "g/L"),  # a code that is none: the text
        ("258797006", "http://snomed.info/sct", "g/L", "g/L"),  # a code of another system is not read
        ("g/L", "http://snomed.info/sct", None, None),
        (None, None, "×10⁹/L", "10*9/L"),
        ("", "", "g/L", "g/L"),
        ("nonsense", UCUM, "fuzz", None),
        (None, None, None, None),
    ],
)
def test_ladder(code: str | None, system: str | None, text: str | None, ucum: str | None) -> None:
    found = UNITS.resolve(code, system, text)
    assert (found.ucum if found else None) == ucum


def test_table_size_and_terms() -> None:
    table = load_codes("units", FOLDER, key=("spelling",))
    terms = Terminology.load(FOLDER)
    wrong = sorted({r["ct"] for r in table if r["ct"]} - set(terms.codelist("C71620").terms))
    assert wrong == []
    assert len(table) >= 120
    # Every UCUM code can be read as itself.
    assert [r["ucum"] for r in table if (u := UNITS.resolve(r["ucum"], UCUM)) is None or u.ucum != r["ucum"]] == []


def test_ct_unit_never_changes_the_number() -> None:
    """Two UCUM codes with one CT unit must be equal, because --ORRES is not converted."""
    by_ct: dict[str, set[str]] = {}
    for row in load_codes("units", FOLDER, key=("spelling",)):
        if row["ct"]:
            by_ct.setdefault(row["ct"], set()).add(row["ucum"])
    for ct, codes in by_ct.items():
        first, *others = sorted(codes)
        assert {c: UNITS.factor(c, first) for c in others} == dict.fromkeys(others, Fraction(1)), ct


@pytest.mark.parametrize(
    ("source", "target", "factor"),
    [
        ("g/dL", "g/L", "10"), ("10*3/uL", "10*9/L", "1"), ("/uL", "10*9/L", "1/1000"), ("10*6/uL", "10*12/L", "1"),
        ("mg/dL", "g/L", "1/100"), ("%", "L/L", "1/100"), ("ukat/L", "U/L", "60"), ("ug/mL", "mg/L", "1"),
        ("[lb_av]", "kg", "45359237/100000000"), ("[in_i]", "cm", "254/100"), ("ng/mL", "ug/L", "1"),
        ("{copies}/uL", "{copies}/mL", "1000"), ("g", "mg", "1000"), ("10*6", "{cells}", "1000000"),
        ("ug/kg/min", "mg/kg/d", "144/100"), ("[IU]", "U", "1"), ("10*4.[IU]", "10*4.U", "1"),
        ("mg/g", "ug/kg", "1000000"), ("pg/mL", "ng/L", "1"), ("[IU]/L", "U/L", "1"),
    ],
)  # fmt: skip
def test_factors_by_hand(source: str, target: str, factor: str) -> None:
    assert UNITS.factor(source, target) == Fraction(factor)
    assert UNITS.factor(target, source) == 1 / Fraction(factor)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("g/L", "10*9/L"), ("mmol/L", "g/L"), ("{copies}/mL", "[IU]/mL"), ("mg/L{FEU}", "ug/L{DDU}"), ("mg", "mg/kg"),
        ("log10([IU]/mL)", "[IU]/mL"), ("U", "mL"), ("zzz", "g/L"), ("meq/L", "mmol/L"), ("[degF]", "Cel"),
    ],
)  # fmt: skip
def test_no_factor_across_dimensions(source: str, target: str) -> None:
    assert UNITS.factor(source, target) is None


# What pint cannot judge: activity in IU against U (mappings/codes/README.md), and pH.
NOT_IN_PINT = {
    "[IU]",
    "10*3.[IU]",
    "10*4.[IU]",
    "10*6.[IU]",
    "[pH]",
    "[IU]/L",
    "m[IU]/mL",
    "m[IU]/L",
    "k[IU]/L",
    "[IU]/mL",
    "10*3.[IU]/mL",
}


def test_every_factor_agrees_with_ucumvert_and_pint() -> None:
    ucumvert = pytest.importorskip("ucumvert")
    registry = ucumvert.PintUcumRegistry()
    checked = 0
    for row in load_codes("factors", FOLDER, key=("from_ucum", "to_ucum")):
        if row["from_ucum"] in NOT_IN_PINT or row["offset"]:
            continue
        one, other = (registry.from_ucum(_braceless(row[c])) for c in ("from_ucum", "to_ucum"))
        expected = (1 * one).to(other).magnitude
        ours = Fraction(row["factor_numerator"]) / Fraction(row["factor_denominator"])
        assert float(ours) == pytest.approx(expected, rel=1e-9), row
        checked += 1
    assert checked >= 75


def _braceless(ucum: str) -> str:
    """Annotations carry no unit; a lone one is 1."""
    text = "".join(part.split("}")[-1] for part in ucum.split("{")) if "{" in ucum else ucum
    return "1" + text if text.startswith("/") or not text else text


def test_molar_and_charge() -> None:
    assert UNITS.conversion("mmol/L", "g/L", molar_mass="16114") == (Fraction("16.114"), 0)
    assert UNITS.conversion("mg/dL", "umol/L", molar_mass="113.12") == (
        Fraction(10_000_000) / 1000 / Fraction("113.12"),
        0,
    )
    assert UNITS.conversion("meq/L", "mmol/L", charge="2") == (Fraction(1, 2), 0)
    assert UNITS.conversion("meq/L", "mg/dL", molar_mass="40.078", charge="2") == (Fraction("40.078") / 20, 0)
    assert UNITS.conversion("mmol/L", "meq/L", charge="2") == (Fraction(2), 0)


RESULTS = [
    # value, ucum, standard, decimals, molar, charge, comparator → text, reason
    (("7.10", "g/dL", "g/L", "0", None, None, None), ("71.0", None)),
    (("12", "g/dL", "g/L", "0", None, None, None), ("120", None)),
    (("4.10", "10*9/L", "10*9/L", "1", None, None, None), ("4.10", None)),
    (("1.0E3", "10*9/L", "10*9/L", "1", None, None, None), ("1000", None)),
    (("850", "/uL", "10*9/L", "2", None, None, None), ("0.850", None)),
    (("<500", "/uL", "10*9/L", "2", None, None, None), ("<0.500", None)),
    (("0.5", "10*9/L", "10*9/L", "2", None, None, "<="), ("<=0.5", None)),
    (("5.0", "mmol/L", "g/L", "1", "16114", None, None), ("80.6", None)),
    (("1.0", "mg/dL", "umol/L", "0", "113.12", None, None), ("88", None)),
    (("1.0", "mg/dL", "umol/L", "1", "584.66", None, ">"), (">17.1", None)),
    (("100", "mg/dL", "mmol/L", "1", "180.156", None, None), ("5.6", None)),
    (("5", "meq/L", "mmol/L", "2", None, "2", None), ("2.50", None)),
    (("98.6", "[degF]", "Cel", "1", None, None, None), ("37.0", None)),
    (("-40", "[degF]", "Cel", "1", None, None, None), ("-40.0", None)),
    (("154", "[lb_av]", "kg", "1", None, None, None), ("69.9", None)),
    (("1.12", None, "1", "2", None, None, None), ("1.12", None)),
    (("80", None, None, "0", None, None, None), ("80", None)),
    (("4.1", None, "10*9/L", "2", None, None, None), (None, "unit-missing")),
    (("4.1", "g/L", "10*9/L", "2", None, None, None), (None, "unit-not-convertible")),
    (("4.1", "mmol/L", "g/L", "1", None, None, None), (None, "unit-not-convertible")),
    (("4.1", "[lb_av]", "kg", None, None, None, None), (None, "decimals-not-declared")),
    (("positive", "g/L", "g/L", "1", None, None, None), (None, "result-not-numeric")),
    ((None, "g/L", "g/L", "1", None, None, None), (None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("given_", "expected"), RESULTS)
def test_standard_results(given_: tuple[str | None, ...], expected: tuple[str | None, str | None]) -> None:
    assert UNITS.standard_result(*given_) == expected  # type: ignore[arg-type]


def test_vectorised_results_are_the_single_ones_in_order() -> None:
    rows = [r for r in RESULTS for _ in range(3)]
    random.Random(1).shuffle(rows)
    columns = [list(c) for c in zip(*(r[0] for r in rows), strict=True)]
    text, reason = UNITS.standard_results(*columns)  # type: ignore[arg-type]
    assert list(zip(text, reason, strict=True)) == [r[1] for r in rows]


def test_vectorised_takes_pandas_columns_and_integer_decimals() -> None:
    text, reason = UNITS.standard_results(
        pd.Series(["1", None, "3"], dtype="str"), pd.Series(["[lb_av]", "kg", None], dtype="str"),
        pd.Series(["kg"] * 3, dtype="str"), pd.Series([2, 2, 2]),
    )  # fmt: skip
    assert text.tolist() == ["0.45", None, None]
    assert reason.tolist() == [None, None, "unit-missing"]
    text, reason = UNITS.standard_results([], [], [], [])
    assert (text.shape, reason.shape) == ((0,), (0,))


def test_g_per_dl_never_prints_float_noise() -> None:
    values = [f"{i // 100}.{i % 100:02}" for i in range(3000)]
    text, reason = UNITS.standard_results(values, ["g/dL"] * 3000, ["g/L"] * 3000, ["0"] * 3000)
    assert text.tolist() == [f"{i // 10}.{i % 10}" for i in range(3000)]
    assert set(reason) == {None}
    floats = np.array([float(t) for t in text])
    assert (floats == np.arange(3000) / 10).all()


@given(st.decimals(-10_000, 10_000, places=6), st.integers(0, 5))
def test_rounding_is_half_up(value: Decimal, decimals: int) -> None:
    expected = f"{value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP):f}"
    assert rounded(Fraction(value), decimals) == (expected.lstrip("-") if Decimal(expected) == 0 else expected)


def test_look_alike_keeps_what_differs() -> None:
    assert look_alike("g/L") != look_alike("G/L")
    assert look_alike("mL") != look_alike("ML")
    assert look_alike("10^9/L") != look_alike("109/L")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("units", "spelling,ucum,ct\nabc,10*9/L,g/L\n", "has CT units"),
        ("units", "spelling,ucum,ct\n10^9 /L,g/L,g/L\n", "reads like a spelling of"),
        ("factors", "from_ucum,to_ucum,factor_numerator,factor_denominator\nabc,g/L,0,1\n", "positive decimal"),
        ("factors", "from_ucum,to_ucum,factor_numerator,factor_denominator\nabc,g/L,1/3,1\n", "expected a decimal"),
        ("factors", "from_ucum,to_ucum,factor_numerator,factor_denominator\nabc,mg/dL,1,1\n", "converted itself"),
    ],
)
def test_contradicting_site_tables_are_refused(tmp_path: Path, file: str, text: str, message: str) -> None:
    (tmp_path / f"{file}.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        UnitTable.load(FOLDER, tmp_path)


@pytest.mark.parametrize(
    ("row", "spelling", "unit"),
    [
        ("Giga-Zellen/L,10*9/L,10^9/L", "Giga-Zellen/L", Unit("10*9/L", "10^9/L")),
        ("Giga-Zellen/L,10*9/L,", "Giga-Zellen / l", Unit("10*9/L", "10^9/L")),  # CT is known with the unit
        (
            "十的九次方每升,x10^9/L,",
            "十的九次方每升",
            Unit("10*9/L", "10^9/L"),
        ),  # any known spelling may stand for the unit
        ("MU/L,m[IU]/L,", "MU/L", Unit("m[IU]/L", "mIU/L")),  # what nobody may guess, the site can say
        ("G/L,g/L,", "G/L", Unit("g/L", "g/L")),  # and it may mean grams
        ("Foo/L,{foo}/L,10^6/L", "Foo/L", Unit("{foo}/L", "10^6/L")),  # a unit of its own, with its CDISC unit
        ("later,,", "later", None),  # a line that nobody has filled in
    ],
)
def test_site_adds_a_spelling(tmp_path: Path, row: str, spelling: str, unit: Unit | None) -> None:
    (tmp_path / "units.csv").write_text(f"spelling,ucum,ct,records\n{row},7\n", encoding="utf-8")
    assert UnitTable.load(FOLDER, tmp_path).resolve(spelling) == unit


def test_a_unit_that_nobody_knows_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "units.csv").write_text("spelling,ucum\nGiga,10*9/L\nMega,megaL\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"units\.csv:3: unknown unit 'megaL'.*any spelling of it"):
        UnitTable.load(FOLDER, tmp_path)

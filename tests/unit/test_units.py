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
        ("10*9/L", "10*9/L", "10^9/L"), ("x10^9/L", "10*9/L", "10^9/L"), ("×10⁹/L", "10*9/L", "10^9/L"),
        ("10^9/L", "10*9/L", "10^9/L"), ("10*9/l", "10*9/L", "10^9/L"), ("G/L", "10*9/L", "10^9/L"),
        ("g/L", "g/L", "g/L"), ("g/l", "g/L", "g/L"), ("g/dl", "g/dL", "g/dL"), ("G/l", "10*9/L", "10^9/L"),
        ("K/uL", "10*3/uL", "10^9/L"), ("10*3/uL", "10*3/uL", "10^9/L"), ("× 10³ / µl", "10*3/uL", "10^9/L"),
        ("/mm3", "/uL", "10^6/L"), ("/uL", "/uL", "10^6/L"), ("{cells}/uL", "/uL", "10^6/L"),
        ("个/uL", "/uL", "10^6/L"),
        ("个/L", "/L", ""), ("10E9/L", "10*9/L", "10^9/L"), ("Ｇ／Ｌ", "10*9/L", "10^9/L"),
        ("M/uL", "10*6/uL", "10^12/L"), ("mcg/mL", "ug/mL", "mg/L"), ("umol/l", "umol/L", "umol/L"),
        ("[IU]/mL", "[IU]/mL", "IU/mL"), ("IntlUnit/mL", "[IU]/mL", "IU/mL"), ("copies/mL", "{copies}/mL", "copies/mL"),
        ("mmHg", "mm[Hg]", "mmHg"), ("IU/L", "[IU]/L", "IU/L"), ("U/L", "U/L", "U/L"), ("sec", "s", "s"),
        ("mg/L FEU", "mg/L{FEU}", "mg/L FEU"), ("10^6 cells/kg", "10*6/kg", "10^6/kg"),
        ("ug/kg/d", "ug/kg/d", "ug/kg/day"),
        ("℃", "Cel", "C"), ("片", "{tablet}", "TABLET"), ("%", "%", "%"),
    ],
)  # fmt: skip
def test_spellings(spelling: str, ucum: str, ct: str) -> None:
    assert UNITS.resolve(spelling) == Unit(ucum, ct)
    assert UNITS.resolve(None, None, f" {spelling} ") == Unit(ucum, ct)


@pytest.mark.parametrize("spelling", ["", "x", "MG/DL", "gL", "10/L", "M/L", "mG", "g/L x", "10*9/", "fuzz"])
def test_unknown_units_are_not_guessed(spelling: str) -> None:
    assert UNITS.resolve(spelling, UCUM, spelling) is None


def test_ladder() -> None:
    assert UNITS.resolve("mg/dL", UCUM, "g/L") == Unit("mg/dL", "mg/dL")  # the code wins over the text
    assert UNITS.resolve("258797006", "http://snomed.info/sct", "g/L") == Unit("g/L", "g/L")  # other system: text only
    assert UNITS.resolve("nonsense", UCUM, "g/L") == Unit("g/L", "g/L")
    assert UNITS.resolve("g/L", "urn:oid:2.16.840.1.113883.6.8", None) == Unit("g/L", "g/L")
    assert UNITS.resolve(None, None, None) is None


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
        ("ug/kg/min", "mg/kg/d", "144/100"), ("pg/mL", "ng/L", "1"), ("[IU]/L", "U/L", "1"),
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


# What pint cannot judge: activity in IU against U. The two are equal for enzymes only (mappings/codes/README.md).
NOT_IN_PINT = {"[IU]/L", "m[IU]/mL", "m[IU]/L", "k[IU]/L", "[IU]/mL", "10*3.[IU]/mL"}


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


def test_site_adds_a_spelling(tmp_path: Path) -> None:
    (tmp_path / "units.csv").write_text("spelling,ucum,ct\nGiga-Zellen/L,10*9/L,10^9/L\n", encoding="utf-8")
    assert UnitTable.load(FOLDER, tmp_path).resolve("Giga-Zellen/L") == Unit("10*9/L", "10^9/L")

"""Standard results of laboratory tests (protocol §3, sdtm-conventions LB): code table, units, arithmetic together."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files

import pytest

from adapter.codes import LOINC, CodeTable, load_codes
from adapter.units import UnitTable

RESULTS = [
    # LOINC, value as received, comparator, unit, LBSTRESC, reason
    ("6690-2", "4.10", None, "10*9/L", "4.10", None),  # digit for digit
    ("6690-2", "4.10", None, "10^9/L", "4.10", None),
    ("6690-2", "4.10", None, "×10⁹/L", "4.10", None),
    ("6690-2", "4.10", None, "K/uL", "4.10", None),
    ("6690-2", "4.10", None, "10*3/uL", "4.10", None),
    ("6690-2", "820", None, "/uL", "0.820", None),
    ("6690-2", "820", None, "/mm3", "0.820", None),
    ("6690-2", "1.0E3", None, "/uL", "1.0", None),
    ("6690-2", "1.0E3", None, "10*9/L", "1000", None),
    ("6690-2", "4100000000", None, "个/L", "4.100000000", None),
    ("751-8", "0.10", "<", "10*9/L", "<0.10", None),
    ("751-8", "100", "<", "/uL", "<0.100", None),
    ("777-3", "5", "<=", "G/L", "<=5", None),  # G/L is 10^9/L
    ("777-3", "5", None, "g/L", None, "unit-not-convertible"),  # g/L is grams
    ("777-3", "5", None, None, None, "unit-missing"),  # never a guess
    ("718-7", "9.1", None, "g/dL", "91", None),
    ("718-7", "10.15", None, "g/dL", "101.5", None),
    ("718-7", "91", None, "g/L", "91", None),
    ("718-7", "0.07", None, "kg/L", None, "unit-unknown"),
    ("59260-0", "5.03", None, "mmol/L", "81.1", None),  # × 16.114 = 81.05342
    ("59260-0", "4.30", None, "mmol/L", "69.3", None),  # 69.2902
    ("59260-0", "0.5", ">", "mmol/L", ">8.1", None),  # 8.057
    ("770-8", "40.5", None, "%", "40.5", None),
    ("6301-6", "1.10", None, None, "1.10", None),  # a ratio has no unit
    ("1988-5", "0.5", "<", None, None, "unit-missing"),
    ("1988-5", "0.05", None, "mg/dL", "0.5", None),
    ("2160-0", "1.00", None, "mg/dL", "88", None),  # 10 mg/L over 113.12 g/mol = 88.4; no decimals are declared
]


@pytest.fixture(scope="module")
def tables() -> tuple[CodeTable, UnitTable]:
    folder = files("mappings.codes")
    return load_codes("observations", folder), UnitTable.load(folder)


def standard(
    tables: tuple[CodeTable, UnitTable], loinc: str, value: str, comparator: str | None, unit: str | None
) -> tuple[str | None, str | None]:
    observations, units = tables
    row = observations.get(LOINC, loinc)
    assert row is not None
    resolved = units.resolve(None, None, unit)
    if unit and resolved is None:
        return None, "unit-unknown"
    ucum = resolved.ucum if resolved else None
    return units.standard_result(
        value, ucum, row["standard_ucum"], row["decimals"], row["molar_mass"] or None, row["charge"] or None, comparator
    )


@pytest.mark.parametrize(("loinc", "value", "comparator", "unit", "expected", "why"), RESULTS)
def test_standard_result(
    tables: tuple[CodeTable, UnitTable],
    loinc: str,
    value: str,
    comparator: str | None,
    unit: str | None,
    expected: str | None,
    why: str | None,
) -> None:
    assert standard(tables, loinc, value, comparator, unit) == (expected, why)


def test_haemoglobin_against_decimal_arithmetic(tables: tuple[CodeTable, UnitTable]) -> None:
    rng = random.Random(1)
    for _ in range(400):
        text = f"{rng.randrange(100, 1500) / 100:.2f}"
        moles = (Decimal(text) * Decimal("16.114")).quantize(Decimal("0.1"), ROUND_HALF_UP)
        assert standard(tables, "59260-0", text, None, "mmol/L") == (str(moles), None)
        grams, why = standard(tables, "718-7", text, None, "g/dL")
        assert why is None
        assert grams is not None
        assert Decimal(grams) == Decimal(text) * 10
        assert "E" not in grams

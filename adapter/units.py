"""Units and standard results: what a source unit means, exact factors between units, and --STRESC by exact arithmetic.

`units.csv` says which source spelling is which UCUM code and CDISC UNIT (C71620) value; `factors.csv` holds exact
factors to one base unit per dimension. Look-up is case-sensitive: `g/L` is grams, `G/L` is 10^9/L (sdtm-conventions,
LB); a spelling in another case is known only where the table lists it. Conversion works on decimal text and fractions,
never on floats, once per distinct input.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.codes import UCUM, CodeTable, canonical_system, load_codes
from adapter.derive.distinct import distinct_rows
from adapter.errors import InputError, unknown
from adapter.intake.decimals import decimal_text, plain, shifted

NOT_CONVERTIBLE = "unit-not-convertible"
UNIT_MISSING = "unit-missing"
NOT_NUMERIC = "result-not-numeric"
NO_DECIMALS = "decimals-not-declared"


class Unit(NamedTuple):
    """A resolved unit: its UCUM code, and its CDISC UNIT submission value (empty if CDISC has none)."""

    ucum: str
    ct: str


class Conversion(NamedTuple):
    """standard = (value + offset) × factor."""

    factor: Fraction
    offset: Fraction = Fraction(0)


class _ToBase(NamedTuple):
    base: str
    factor: Fraction
    offset: Fraction


# Dimensions that only the analyte can link: base units of amount, mass and charge, per litre and alone; g/kg and mg/mol
# are ratios to a second analyte (albumin to creatinine), whose molar mass it is then.
_MOLAR_BASES = {"mol/L": "g/L", "mol": "g", "mol/kg": "g/kg", "g/kg": "mg/mol"}
_CHARGE_BASES = {"eq/L": "mol/L", "eq": "mol"}

_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def look_alike(text: str) -> str:
    """Return the folded spelling under which look-alikes meet: `×10⁹/L`, `x10^9 / l`, `10E9/L` → `10*9/L`.

    Full-width and squared letters, both micro signs (also written u, mc), ways to write a power, blanks. Case is kept,
    except that litre may be written l after a prefix or a slash.
    """
    text = text.translate({c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)})
    text = re.sub("[\u3380-\u33df]", lambda m: unicodedata.normalize("NFKC", m[0]), text)
    text = "".join(text.split()).replace("µ", "u").replace("μ", "u").replace("℃", "Cel")
    text = re.sub(r"(10)([⁻⁰¹²³⁴-⁹]+)", lambda m: f"10*{m[2].translate(_SUPERSCRIPT)}", text)
    text = text.replace("²", "2").replace("³", "3").replace("·", ".")
    text = re.sub(r"^[xX×*](?=10)", "", text)
    text = re.sub(r"(?<![0-9])10(?:\*\*|\^|[eE])\+?(?=-?[0-9])", "10*", text)
    text = re.sub(r"(^|/)mc(?=[gLl]|mol|kat)", r"\1u", text)
    return re.sub(r"(^|/)([munpfdc]?)l(?![A-Za-z])", r"\1\2L", text)


class UnitTable:
    """Units and factors of units.csv and factors.csv. Nothing but its cache changes after construction."""

    def __init__(self, units: CodeTable, factors: CodeTable) -> None:
        """Raise InputError when two rows contradict each other or a factor is not a positive decimal fraction."""
        self._exact: dict[str, Unit] = {}
        self._folded: dict[str, Unit] = {}
        self._ucum: dict[str, Unit] = {}
        self._conversions: dict[tuple[str, str, str | None, str | None], Conversion | None] = {}
        converted = {row[c] for row in factors for c in ("from_ucum", "to_ucum")}
        for key, row in sorted(units.rows.items(), key=lambda one: one[0] in units.own):  # stable: own rows come last
            place = units.places.get(key, "units.csv")
            unit = Unit(row["ucum"], row["ct"])
            if key in units.own:
                if not unit.ucum:  # a line of the skeleton that nobody has filled in
                    continue
                unit = self._own_unit(unit, converted, place)
            first = self._ucum.setdefault(unit.ucum, unit)
            if first.ct != unit.ct:
                raise InputError(f"{place}: {unit.ucum!r} has CT units {first.ct!r} and {unit.ct!r}, expected one")
            self._exact[row["spelling"]] = unit
            self._fold(row["spelling"], unit, place)
        for ucum, unit in self._ucum.items():
            self._fold(ucum, unit, "units.csv")
        self._to_base: dict[str, _ToBase] = {}
        for row in factors:
            factor = _fraction(row, "factor_numerator") / _fraction(row, "factor_denominator")
            offset = _fraction(row, "offset") if row.get("offset") else Fraction(0)
            self._to_base[row["from_ucum"]] = _ToBase(row["to_ucum"], factor, offset)
            if row["to_ucum"] in self._to_base and self._to_base[row["to_ucum"]].base != row["to_ucum"]:
                raise InputError(f"factors.csv: {row['to_ucum']!r} is a base unit and is converted itself")

    def _own_unit(self, unit: Unit, converted: set[str], place: str) -> Unit:
        """Return the unit of a site's or trial's row: its `ucum` may be any spelling known by then, its `ct` empty."""
        known = self._known(unit.ucum)
        if known is not None:
            return known._replace(ct=unit.ct) if unit.ct else known
        if not unit.ct and unit.ucum not in converted:
            raise InputError(
                f"{place}: {unknown('unit', unit.ucum, list(self._ucum))}; expected a unit of the shipped table "
                "(any spelling of it), or one with its CDISC unit in the column ct"
            )
        return unit

    def _fold(self, spelling: str, unit: Unit, place: str) -> None:
        folded = look_alike(spelling)
        if self._folded.setdefault(folded, unit) != unit:
            other = self._folded[folded].ucum
            raise InputError(f"{place}: {spelling!r} is {unit.ucum!r}, but reads like a spelling of {other!r}")

    def _known(self, text: str) -> Unit | None:
        return self._exact.get(text) or self._ucum.get(text) or self._folded.get(look_alike(text))

    def spellings(self) -> list[str]:
        """Return every spelling that is known as it is written."""
        return [*self._exact, *self._ucum]

    @classmethod
    def load(cls, *folders: Traversable | Path) -> UnitTable:
        """Return the table merged from the units.csv and factors.csv of these folders, later ones winning."""
        return cls(
            load_codes("units", *folders, key=("spelling",)),
            load_codes("factors", *folders, key=("from_ucum", "to_ucum")),
        )

    def resolve(self, code: str | None, system: str | None = None, unit_text: str | None = None) -> Unit | None:
        """Return the unit of a Quantity (FHIR Quantity.code, .system, .unit), or None if nothing is recognised.

        Ladder (fhir-input point 7): the code, if its system is UCUM or not given; then the text; each first exactly as
        spelled, then as a look-alike; a site's spellings stand in the same table and win over the shipped ones. A code of
        another system is not read. Code and text both known but different: the code wins.
        """
        if code and system and canonical_system(system) != UCUM:
            code = None
        for text in filter(None, (code and code.strip(), unit_text and unit_text.strip())):
            found = self._known(text)
            if found is not None:
                return found
        return None

    def unit(self, ucum: str) -> Unit | None:
        """Return the unit of a UCUM code, or None."""
        return self._ucum.get(ucum)

    def factor(self, from_ucum: str, to_ucum: str) -> Fraction | None:
        """Return the exact factor from one unit to another of the same dimension, None if there is none.

        None too for scales with an offset (Fahrenheit): use `conversion`.
        """
        found = self.conversion(from_ucum, to_ucum)
        return found.factor if found is not None and found.offset == 0 else None

    def conversion(
        self, from_ucum: str, to_ucum: str, molar_mass: str | None = None, charge: str | None = None
    ) -> Conversion | None:
        """Return the exact conversion, or None. molar_mass (g/mol) links mol and g, charge links eq and mol."""
        key = (from_ucum, to_ucum, molar_mass, charge)
        if key not in self._conversions:
            self._conversions[key] = self._conversion(*key)
        return self._conversions[key]

    def _conversion(
        self, from_ucum: str, to_ucum: str, molar_mass: str | None, charge: str | None
    ) -> Conversion | None:
        if from_ucum == to_ucum:
            return Conversion(Fraction(1))
        source, target = self._base(from_ucum), self._base(to_ucum)
        if source.offset and target.offset:
            return None
        link = _link(source.base, target.base, molar_mass, charge)
        if link is None:
            return None
        if target.offset:  # out of a base scale into one with an offset: x/f - o = (x - o·f)/f
            return Conversion(source.factor * link / target.factor, -target.offset * target.factor / source.factor)
        return Conversion(source.factor * link / target.factor, source.offset)

    def _base(self, ucum: str) -> _ToBase:
        return self._to_base.get(ucum) or _ToBase(ucum, Fraction(1), Fraction(0))

    def standard_results(
        self,
        value: Sequence[str | None] | pd.Series[Any],
        ucum: Sequence[str | None] | pd.Series[Any],
        standard_ucum: Sequence[str | None] | pd.Series[Any],
        decimals: Sequence[Any] | pd.Series[Any],
        molar_mass: Sequence[str | None] | pd.Series[Any] | None = None,
        charge: Sequence[str | None] | pd.Series[Any] | None = None,
        comparator: Sequence[str | None] | pd.Series[Any] | None = None,
    ) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
        """Return --STRESC texts and reason codes, arrays of equal length with None where there is nothing to say.

        value: decimal text as received, missing, or with its comparator in front. ucum: the *resolved* source unit.
        A record without a standard unit (ratios, texts) keeps its number. Reasons: result-not-numeric, unit-missing,
        unit-not-convertible, decimals-not-declared. Each distinct combination is worked out once.
        """
        columns = [
            None if c is None else c.reset_index(drop=True) if isinstance(c, pd.Series) else pd.Series(c, dtype=object)
            for c in (value, ucum, standard_ucum, decimals, molar_mass, charge, comparator)
        ]
        first, number = distinct_rows([c for c in columns if c is not None])
        picked = [[None] * len(first) if c is None else c.iloc[first].tolist() for c in columns]
        table = np.empty((len(first), 2), dtype=object)
        for i, row in enumerate(zip(*picked, strict=True)):
            table[i] = self.standard_result(*map(_text, row))
        return table[number, 0], table[number, 1]

    def standard_result(
        self,
        value: str | None,
        ucum: str | None,
        standard_ucum: str | None,
        decimals: str | None,
        molar_mass: str | None = None,
        charge: str | None = None,
        comparator: str | None = None,
    ) -> tuple[str | None, str | None]:
        """Return (--STRESC, None), (None, reason), or (None, None) for a missing value; see `standard_results`."""
        if value is None:
            return None, None
        sign = re.match(r"[<>]=?", value)
        if sign:
            comparator, value = comparator or sign[0], value[sign.end() :].strip()
        if decimal_text(value) is None:
            return None, NOT_NUMERIC
        front = comparator or ""
        # Unit 1 is a plain number such as an INR, which hospitals send without a unit.
        if not standard_ucum or ucum == standard_ucum or (standard_ucum == "1" and not ucum):
            return front + plain(value), None
        if not ucum:
            return None, UNIT_MISSING
        found = self.conversion(ucum, standard_ucum, molar_mass, charge)
        if found is None:
            return None, NOT_CONVERTIBLE
        power = _power_of_ten(found.factor)
        if found.offset == 0 and power is not None:
            return front + shifted(value, power), None
        if decimals is None or not decimals.isdecimal():
            return None, NO_DECIMALS
        return front + rounded((Fraction(value) + found.offset) * found.factor, int(decimals)), None


def rounded(value: Fraction, decimals: int) -> str:
    """Return a fraction as decimal text with this many decimals, halves rounded away from zero; never `-0`."""
    scaled = abs(value) * 10**decimals
    units = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    digits = str(units).rjust(decimals + 1, "0")
    text = digits[: len(digits) - decimals] + ("." + digits[len(digits) - decimals :] if decimals else "")
    return "-" + text if value < 0 and units else text


def _power_of_ten(factor: Fraction) -> int | None:
    large = max(factor.numerator, factor.denominator)
    if min(factor.numerator, factor.denominator) != 1:
        return None
    zeros = len(str(large)) - 1
    if large != 10**zeros:
        return None
    return zeros if factor >= 1 else -zeros


def _link(source: str, target: str, molar_mass: str | None, charge: str | None) -> Fraction | None:
    """Return the factor between two base units: 1, or over the analyte's charge and molar mass, or None."""
    if source == target:
        return Fraction(1)
    for one, other, factor in ((source, target, 1), (target, source, -1)):
        link = Fraction(1)
        if one in _CHARGE_BASES and charge:
            one, link = _CHARGE_BASES[one], link / Fraction(charge)
        if one != other and one in _MOLAR_BASES and molar_mass:
            one, link = _MOLAR_BASES[one], link * Fraction(molar_mass)
        if one == other:
            return link**factor
    return None


def _fraction(row: Any, column: str) -> Fraction:
    where = f"factors.csv: {row['from_ucum']} to {row['to_ucum']}, {column}"
    if decimal_text(row[column]) is None:
        raise InputError(f"{where}: found {row[column]!r}, expected a decimal")
    number = Fraction(row[column])
    if number <= 0 and column != "offset":
        raise InputError(f"{where}: found {row[column]!r}, expected a positive decimal")
    return number


def _text(value: Any) -> str | None:
    if value is None or value is pd.NA or value != value or value == "":
        return None
    return str(int(value)) if isinstance(value, int | float | np.integer | np.floating) else str(value)

"""Results of findings: as received, in the standard unit of their test, and with their reference range."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.coding import resolved_units
from adapter.derive.strings import numbers_in_texts

TEXTS = ("orres", "orresu", "stresc", "stresu", "st_low", "st_high", "stnrc", "stat", "reasnd", "why")
FLAGS = ("counted", "unitless", "unread", "odd_limit")


def standardised(o: pd.DataFrame, units: Any, terms: Iterable[str]) -> pd.DataFrame:
    """Return results with orres, orresu, stresc, stresu, st_low, st_high, stnrc, stat, reasnd and `why`: a reason where \
a result cannot be converted.

    o: columns of Observation (adapter.intake.tables) and to_standard_unit, to_standard_ucum, to_decimals, to_molar_mass,
    to_charge, to_result_type of the test. terms: of --STRESC, which a text result is spelled like. low and high stay where
    they are in the unit of the result. Flags: counted (reported as a number), unitless (a number without a unit where the
    test needs one), unread (a text with digits where the test has a number), odd_limit (a limit in an unknown unit).
    """
    if not len(o):
        texts = pd.DataFrame(columns=list(TEXTS), index=o.index, dtype="str")
        return o.join([texts, pd.DataFrame(columns=list(FLAGS), index=o.index, dtype=bool)])
    o = o.copy()
    value, comparator, unit_text = text(o["value"]), text(o["comparator"]), text(o["unit_text"])
    is_text = o["to_result_type"] == "text"
    # a concept with a code says what the code says; without one its text is all there is
    says = ((o["kind"] == "string") | ((o["kind"] == "concept") & o["value_code"].isna())) & ~is_text
    if says.any():
        demands = (o.loc[says, "to_standard_ucum"] != "") & (o.loc[says, "to_result_type"] == "numeric")
        parts = numbers_in_texts(value[says], units, demands)
        parts = parts[parts["number"] != ""]
        value.loc[parts.index], comparator.loc[parts.index] = parts["number"], parts["comparator"]
        unit_text.loc[parts.index] = parts["unit"].where(parts["unit"] != "", unit_text.loc[parts.index])
        o["kind"] = o["kind"].astype(object)
        o.loc[parts.index, "kind"] = "quantity"
    unit = resolved_units(units, o["unit_code"], o["unit_system"], unit_text)
    counted = o["kind"].isin(["quantity", "integer"])
    o["counted"] = counted
    numeric = counted & ~is_text
    needs = numeric & (o["to_standard_ucum"] != "")
    source = unit["ucum"].where(unit["ucum"] != "", None)
    standard, why = _converted(value.where(numeric, None), source, o, units, comparator.where(comparator != "", None))
    o["why"] = why
    o.loc[needs & (unit["ucum"] == "") & unit["given"], "why"] = "unit-unknown"
    # a number without any unit stays as it was received; what it means in the standard unit is not known
    o["unitless"] = needs & (unit["ucum"] == "") & ~unit["given"] & (o["to_standard_ucum"] != "1")
    o.loc[o["unitless"], "why"] = ""
    o["orres"] = comparator.where(counted, "") + value
    between = (o["kind"] == "range").fillna(False).astype(bool)
    spelled = unit_text.where(unit_text != "", text(o["unit_code"]))
    o["orresu"] = unit["ct"].where(unit["ct"] != "", unit["ucum"]).where(unit["ucum"] != "", spelled)
    o["orresu"] = o["orresu"].where(counted | between, "")
    o["stresc"] = standard
    o.loc[~numeric, "stresc"] = as_terms(o.loc[~numeric, "orres"], terms)
    # viral loads and the like have no unit of their own: that of the source is the standard one
    own = (o["to_standard_unit"] == "") & (o["to_result_type"] == "either") & (unit["ucum"] != "")
    standard_unit = o["to_standard_unit"].where(~own, o["orresu"])
    o["stresu"] = standard_unit.where(numeric & ~o["unitless"], "")
    if (between & ~is_text).any():
        _standardise_ranges(o, between & ~is_text, value, source, unit["given"], units, standard_unit)
    _limits(o, numeric, unit["ucum"], units)
    o["unread"] = (
        o["kind"].isin(["string", "concept", "text"])
        & (o["to_result_type"] == "numeric")
        & (o["to_standard_ucum"] != "")
        & value.str.contains(r"\d", regex=True)
    )
    o["stat"] = np.where(o["kind"].isna(), "NOT DONE", "")
    o["reasnd"] = text(o["absent"]).where(o["kind"].isna(), "")
    return o


def _converted(
    value: pd.Series[str], source: pd.Series[str], o: pd.DataFrame, units: Any, comparator: pd.Series[str] | None = None
) -> tuple[pd.Series[str], pd.Series[str]]:
    """Return numbers in the standard unit of their test as text, and why there is none (empty where there is)."""
    found, why = units.standard_results(
        value,
        source,
        o["to_standard_ucum"],
        o["to_decimals"],
        o["to_molar_mass"].where(o["to_molar_mass"] != "", None),
        o["to_charge"].where(o["to_charge"] != "", None),
        comparator,
    )
    standard, reason = (pd.Series(c, index=o.index, dtype="object").fillna("").astype("str") for c in (found, why))
    return standard, reason


def _standardise_ranges(
    o: pd.DataFrame,
    where: pd.Series[bool],
    value: pd.Series[str],
    source: pd.Series[str],
    given: pd.Series[bool],
    units: Any,
    standard_unit: pd.Series[str],
) -> None:
    """Convert both ends of results that are a Range; one without a unit stays as it was received."""
    part = o[where]
    between = value[where].str.contains(" - ", regex=False).map({True: " - ", False: "-"})
    ends = [v.split(b) for v, b in zip(value[where], between, strict=True)]
    low, why = _converted(pd.Series([e[0] for e in ends], index=part.index), source[where], part, units)
    high, _ = _converted(pd.Series([e[1] for e in ends], index=part.index), source[where], part, units)
    known = source[where].notna() | part["to_standard_ucum"].isin(["", "1"])
    o.loc[part.index, "stresc"] = (low + between + high).where(known, value[where])
    o.loc[part.index, "stresu"] = standard_unit[where].where(known, "")
    o.loc[part.index, "unitless"] = ~known & ~given[where]
    o.loc[part.index, "why"] = why.where(known, "").mask(~known & given[where], "unit-unknown")


def _limits(o: pd.DataFrame, numeric: pd.Series[bool], unit: pd.Series[str], units: Any) -> None:
    """Add the limits in the standard unit. Those in another unit than the result's are left out of LBORNRLO, LBORNRHI.

    A limit without a unit has the result's; one in a unit that no table knows is left out, and its text kept.
    """
    none = pd.Series(None, index=o.index, dtype="object")
    odd, other = pd.Series(False, index=o.index), pd.Series(False, index=o.index)
    for side in ("low", "high"):
        limit = o[side].notna()
        spelled = text(o[f"{side}_unit"])
        own = resolved_units(units, spelled, none, spelled)["ucum"]
        unknown = limit & (own == "") & (spelled != "")
        source = own.where(own != "", unit).where(lambda u: u != "", None)
        o[f"st_{side}"], _ = _converted(text(o[side]).where(numeric & limit & ~unknown, None), source, o, units)
        odd |= unknown
        other |= limit & (own != "") & (own != unit)
    limits = (o["low"].notna() | o["high"].notna()) & ~((odd | other) & (o["st_low"] == "") & (o["st_high"] == ""))
    o["stnrc"] = text(o["range_text"]).where(~limits, "")
    o["odd_limit"] = odd & numeric
    for side in ("low", "high"):
        o[side] = text(o[side]).where(~(odd | other), "")


def as_terms(value: pd.Series[str], terms: Iterable[str]) -> pd.Series[str]:
    """Return text results as terms of a codelist where they are one but for case, else as received."""
    known = {t.upper(): t for t in terms}
    return value.map(lambda v: known.get(v.upper(), v)).astype("str")


def text(column: pd.Series[Any]) -> pd.Series[str]:
    """Return a column as text without missing values."""
    return column.astype("str").fillna("")

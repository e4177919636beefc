"""CTCAE grades of laboratory results (protocol §7): rules from a table, baseline clauses, unknown kept apart from grade 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.errors import InputError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

KEY = ("version", "testcd", "direction", "grade", "of")
"""What makes a row of the table: adapter.codes.load_codes reads toxicity.csv with this key."""
OF = ("VALUE", "ULN", "LLN", "ULN+", "BASE")
"""What a limit is: a value in `unit`, a multiple of a limit of normal or of the baseline, or a value above the ULN."""
BY_TREATMENT = "unknown"
"""Grade of a row whose condition CTCAE grades by what is done about it, so that a value alone has no grade."""
OPERATORS = (">", ">=", "<", "<=")

NO_VALUE, NO_LIMIT, NO_BASELINE = "no value", "no limit of normal", "no baseline"
OTHER_UNIT, COMPARATOR, TREATMENT = "another unit", "comparator", "graded by treatment"

# Values are compared as whole numbers of 1e-8: 1.5 x 1.1 is then 1.65, which it is not in binary fractions.
_SCALE = 1e8


@dataclass(frozen=True, slots=True)
class Rule:
    """A grade holds where value OPERATOR limit. baseline: only where it was normal, abnormal, or in both cases (empty)."""

    testcd: str
    direction: str
    grade: int | None
    baseline: str
    operator: str
    limit: float
    of: str
    unit: str


def rules_of(rows: Iterable[Mapping[str, str]], version: str) -> tuple[Rule, ...]:
    """Return the rules of one CTCAE version, as the table has them. Raises InputError for a row that means nothing."""
    found = []
    for r in rows:
        if r["version"] != version:
            continue
        place = f"toxicity.csv: {r['testcd']} {r['direction']} grade {r['grade']} of {r['of']}"
        _expect(place, "direction", r["direction"], ("L", "H"))
        _expect(place, "grade", r["grade"], ("1", "2", "3", "4", BY_TREATMENT))
        _expect(place, "baseline", r["baseline"], ("", "normal", "abnormal"))
        _expect(place, "operator", r["operator"], OPERATORS)
        _expect(place, "of", r["of"], OF)
        if (r["of"] in ("VALUE", "ULN+")) != bool(r["unit"]):
            raise InputError(f"{place}: unit {r['unit']!r}; expected one for VALUE and ULN+, none for multiples")
        if (r["operator"][0] == "<") != (r["direction"] == "L"):
            raise InputError(f"{place}: operator {r['operator']}, expected < or <= for L, > or >= for H")
        try:
            limit = float(r["limit"])
        except ValueError:
            raise InputError(f"{place}: limit {r['limit']!r}, expected a number") from None
        grade = None if r["grade"] == BY_TREATMENT else int(r["grade"])
        found.append(Rule(r["testcd"], r["direction"], grade, r["baseline"], r["operator"], limit, r["of"], r["unit"]))
    if not found:
        raise InputError(f"toxicity.csv has no rule of CTCAE version {version!r}")
    return tuple(found)


def compute_toxicity(records: pd.DataFrame, rules: Iterable[Rule]) -> pd.DataFrame:
    """Return the CTCAE grades of laboratory results: ATOXGRL, ATOXGRH ("0" to "4"), and why there is none: why_l, why_h.

    records: PARAMCD, AVAL, AVALU (unit), ANRLO, ANRHI (limits of normal of the record), BASE (value of the baseline
    record), BASEHI (that record's own upper limit of normal), BEFORE (at or before baseline, bool), and COMPARATOR
    ("", "<", "<=", ">=", ">" of the result). Numbers are float with NaN for missing.

    The highest grade counts whose condition holds. The baseline was abnormal where BASE > BASEHI. Records at or before
    baseline have no baseline to be compared with: they are graded as if it was normal, and limits that are multiples of
    the baseline do not apply to them. A grade is given only where it is known whatever the missing facts are: without a
    limit of normal, a baseline, the unit of the rule, or with a comparator that leaves it open, it stays empty, and the
    reason says what was missing. A test without a rule in a direction has neither grade nor reason.
    """
    out = {c: np.full(len(records), "", dtype=object) for c in ("ATOXGRL", "ATOXGRH", "why_l", "why_h")}
    by_test: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        by_test.setdefault((rule.testcd, rule.direction), []).append(rule)
    test = records["PARAMCD"].to_numpy(dtype=object)
    for (testcd, direction), own in by_test.items():
        where = np.flatnonzero(test == testcd)
        if len(where):
            grade, why = _graded(_Facts.of(records.iloc[where]), own)
            out[f"ATOXGR{direction}"][where] = grade
            out[f"why_{direction.lower()}"][where] = why
    return pd.DataFrame(out, index=records.index).astype("str")


def derive_baseline_grade(
    grade: pd.Series[str], subject: pd.Series[str], test: pd.Series[str], baseline: pd.Series[bool]
) -> pd.Series[str]:
    """Return, for each record, the grade of the baseline record of its subject and test (BTOXGRL, BTOXGRH); empty without.

    baseline: ABLFL is Y. Where a subject has several baseline records of a test, the first one counts.
    """
    key = pd.MultiIndex.from_arrays([subject, test])
    known = pd.Series(grade[baseline].to_numpy(dtype=object), index=key[baseline.to_numpy(dtype=bool)])
    known = known[~known.index.duplicated()]
    return pd.Series(known.reindex(key).to_numpy(), index=grade.index, dtype="str").fillna("")


def compute_shift(base: pd.Series[str], grade: pd.Series[str]) -> pd.Series[str]:
    """Return the shift from the baseline grade, `0 to 2`; empty where either is unknown."""
    return (base + " to " + grade).where((base != "") & (grade != ""), "")


@dataclass(frozen=True, slots=True)
class _Facts:
    """The records of one test: least and greatest value that a result may stand for, and what limits are made of."""

    least: Floats
    greatest: Floats
    known: Flags
    unit: npt.NDArray[np.object_]
    limits: Mapping[str, Floats]
    before: Flags
    normal: Flags
    abnormal: Flags

    @classmethod
    def of(cls, records: pd.DataFrame) -> _Facts:
        value, base, base_high = (_number(records[c]) for c in ("AVAL", "BASE", "BASEHI"))
        sign = records["COMPARATOR"].to_numpy(dtype=object)
        before = records["BEFORE"].to_numpy(dtype=bool)
        scaled = np.rint(value * _SCALE)
        odd = ~np.isin(sign, ["", *OPERATORS])
        least = np.select([odd | (sign == "<") | (sign == "<="), sign == ">"], [-np.inf, scaled + 0.5], scaled)
        greatest = np.select([odd | (sign == ">") | (sign == ">="), sign == "<"], [np.inf, scaled - 0.5], scaled)
        above = np.rint(base * _SCALE) > np.rint(base_high * _SCALE)
        stated = ~np.isnan(base) & ~np.isnan(base_high)
        limits = {"ULN": _number(records["ANRHI"]), "LLN": _number(records["ANRLO"]), "BASE": base}
        return cls(
            least,
            greatest,
            ~np.isnan(value),
            records["AVALU"].to_numpy(dtype=object),
            limits,
            before,
            before | (stated & ~above),
            ~before & stated & above,
        )


def _graded(facts: _Facts, rules: list[Rule]) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    n = len(facts.known)
    sure, open_to = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    why = np.full(n, "", dtype=object)
    for rule in sorted(rules, key=lambda r: r.grade or 5):
        holds, perhaps, reason = _tested(facts, rule)
        if rule.grade is None:  # whatever grade it would be
            perhaps, reason = holds | perhaps, np.where(holds, TREATMENT, reason)
            holds = np.zeros(n, dtype=bool)
        grade = rule.grade or 5
        sure[holds] = np.maximum(sure[holds], grade)
        more = perhaps & (grade > open_to)
        open_to[more], why[more] = grade, reason[more]
    why[open_to <= sure] = ""
    why[~facts.known] = NO_VALUE
    return np.where(why == "", sure.astype(str).astype(object), ""), why


def _tested(facts: _Facts, rule: Rule) -> tuple[Flags, Flags, npt.NDArray[np.object_]]:
    """Return where a rule holds, where it may hold, and what is missing there."""
    n = len(facts.known)
    if rule.of == "VALUE":
        limit = np.full(n, rule.limit)
    elif rule.of == "ULN+":
        limit = facts.limits["ULN"] + rule.limit
    else:
        limit = facts.limits[rule.of] * rule.limit
    limit = np.rint(limit * _SCALE)
    with np.errstate(invalid="ignore"):
        always = {">": facts.least > limit, ">=": facts.least >= limit, "<": facts.greatest < limit}.get(
            rule.operator, facts.greatest <= limit
        )
        never = {">": facts.greatest <= limit, ">=": facts.greatest < limit, "<": facts.least >= limit}.get(
            rule.operator, facts.least > limit
        )
    reason = np.full(n, COMPARATOR, dtype=object)
    unstated = np.isnan(limit)
    reason[unstated] = NO_BASELINE if rule.of == "BASE" else NO_LIMIT
    always, never = always & ~unstated, never & ~unstated
    if rule.unit:
        other = facts.unit != rule.unit
        always, never = always & ~other, never & ~other
        reason[other] = OTHER_UNIT
    if rule.baseline:
        is_so = facts.normal if rule.baseline == "normal" else facts.abnormal
        is_not = facts.abnormal if rule.baseline == "normal" else facts.normal
        reason[~is_so & ~is_not] = NO_BASELINE
        always, never = always & is_so, never | is_not
    if rule.of == "BASE":
        always, never = always & ~facts.before, never | facts.before
    return always & facts.known, ~always & ~never & facts.known, reason


def _number(column: pd.Series[Any]) -> Floats:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _expect(place: str, name: str, found: str, expected: tuple[str, ...]) -> None:
    if found not in expected:
        raise InputError(f"{place}: {name} {found!r}, expected one of {', '.join(map(repr, expected))}")

"""CTCAE grades of laboratory results in ADLB (protocol §7): low and high, of the baseline, the shift, and why there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.emergence import months_later
from adapter.derive.toxicity import compute_shift, compute_toxicity, derive_baseline_grade, rules_of
from adapter.spec import DERIVED, Inputs, Variable, call, setting
from mappings.analysis.variables import NY

DIRECTIONS = {"L": "Low", "H": "High"}


def on_treatment(f: pd.DataFrame, s: pd.DataFrame, inputs: Inputs) -> pd.Series[Any]:
    """Return Y for records after the first study treatment, up to the end of the time in which events are emergent."""
    end = months_later(s["trte"], inputs.trial.safety.emergence.months_after_last_treatment)
    place = f["subject"].to_numpy()
    first, last = s["trts"].to_numpy(dtype=np.float64)[place], end.to_numpy(dtype=np.float64)[place]
    day = f["day"].to_numpy(dtype=np.float64)
    found = f["after"].to_numpy(dtype=bool) & (day >= first) & (day <= last)
    return pd.Series(np.where(found, "Y", ""), index=f.index, dtype="str")


def toxicity(f: pd.DataFrame, lb: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Return the columns that `toxicity_variables` reads, one row per record of ADLB.

    f: paramcd, aval, base, base_row, after, ablfl, why, LBSTNRLO, LBSTNRHI; lb: the same records of LB. A result that is
    not analysed has no grade.
    """
    trial, table = inputs.trial, inputs.knowledge.codes["toxicity"]
    asked = trial.safety.toxicity
    tests = (*asked.graded, *asked.expected)
    made = pd.DataFrame("", index=f.index, columns=COLUMNS, dtype="str")
    mine = f["paramcd"].isin(tests).to_numpy() & (f["why"] == "").to_numpy() & f["aval"].notna().to_numpy()
    known = [r for r in table if r["version"] == trial.standards.ctcae and r["testcd"] in tests]
    if not known or not mine.any():
        return made
    high = f["LBSTNRHI"].to_numpy(dtype=np.float64)
    base_row = f["base_row"].to_numpy()
    base_high = np.where(base_row >= 0, high[np.maximum(base_row, 0)], np.nan)
    sign = lb["LBSTRESC"].str.extract(r"^(<=|>=|<|>)")[0].fillna("")
    facts = pd.DataFrame(
        {
            "PARAMCD": f["paramcd"],
            "AVAL": f["aval"],
            "AVALU": lb["LBSTRESU"].to_numpy(),
            "ANRLO": f["LBSTNRLO"],
            "ANRHI": f["LBSTNRHI"],
            "BASE": f["base"],
            "BASEHI": base_high,
            "BEFORE": ~f["after"].to_numpy(dtype=bool),
            "COMPARATOR": sign.to_numpy(),
        },
        index=f.index,
    )[mine]
    found = compute_toxicity(facts, rules_of(known, trial.standards.ctcae))
    at = found.index
    flag = f.loc[at, "ablfl"] == "Y"
    terms = {(r["testcd"], r["direction"]): r["term"] for r in known}
    for letter in DIRECTIONS:
        grade = found[f"ATOXGR{letter}"]
        base = derive_baseline_grade(grade, f.loc[at, "USUBJID"], f.loc[at, "paramcd"], flag)
        low = letter.lower()
        made.loc[at, f"grade_{low}"], made.loc[at, f"base_{low}"] = grade, base
        made.loc[at, f"shift_{low}"] = compute_shift(base, grade).where(f.loc[at, "after"].astype(bool), "")
        made.loc[at, f"why_{low}"] = found[f"why_{low}"].str.upper()
        described = f.loc[at, "paramcd"].map({t: name for (t, d), name in terms.items() if d == letter})
        made.loc[at, f"term_{low}"] = described.fillna("").astype("str")
    made.loc[at, "expected"] = f.loc[at, "paramcd"].isin(asked.expected).map({True: "Y", False: ""}).astype("str")
    return made


COLUMNS = [
    "expected",
    *(f"{name}_{d}" for name in ("grade", "base", "shift", "why", "term") for d in ("l", "h")),
]


def on_treatment_flag(flag: pd.Series[Any], months: int) -> pd.Series[Any]:
    """Y for results after the first study treatment and at most {months} calendar months after the last one (the same \
day, clipped to the end of the month); a result of the first day counts as ABLFL has it. Else empty."""
    return flag


def grade_low(grade: pd.Series[Any], version: str) -> pd.Series[Any]:
    """CTCAE {version} grade of a low value, 0 to 4, by the limits of the code table toxicity.csv for PARAMCD, applied to \
AVAL with the result's own limits of normal; empty where a limit, a unit, the baseline or a comparator leaves it open."""
    return grade


def grade_high(grade: pd.Series[Any], version: str) -> pd.Series[Any]:
    """CTCAE {version} grade of a high value, 0 to 4, by the limits of the code table toxicity.csv for PARAMCD, applied to \
AVAL with the result's own limits of normal; where the baseline was abnormal (above the upper limit of normal of that \
record) by the multiples of BASE. Results up to first treatment are graded as if it was normal. Empty where a limit, a \
unit, the baseline or a comparator leaves it open."""
    return grade


def baseline_grade(grade: pd.Series[Any]) -> pd.Series[Any]:
    """Grade in the same direction of the record of the subject and parameter with ABLFL = Y."""
    return grade


def shift(text: pd.Series[Any]) -> pd.Series[Any]:
    """Grade of the baseline and grade of the result, in one direction; for results after first treatment, empty where \
either is empty."""
    return text


def no_grade(why: pd.Series[Any]) -> pd.Series[Any]:
    """What was missing to give a grade in this direction; empty where there is one, or no limit for the test."""
    return why


def description(term: pd.Series[Any]) -> pd.Series[Any]:
    """The CTCAE term of the code table toxicity.csv whose grade it is."""
    return term


def expected_flag(flag: pd.Series[Any], tests: Any) -> pd.Series[Any]:
    """Y for tests that are expected to be abnormal by the underlying disease: {tests}."""
    return flag


def toxicity_variables() -> tuple[Variable, ...]:
    """Return ONTRTFL and the variables of the grades."""

    def text(name: str, label: str, function: Any, column: str, codelist: str | None = None, **more: Any) -> Variable:
        core: Any = (
            "Exp" if name == "ONTRTFL" or name.startswith(("ATOXGR", "BTOXGR")) else "Perm"
        )  # the tables read them
        return Variable(name, label, "Char", call(function, column, **more), DERIVED, core, codelist=codelist)

    months = setting("safety.emergence.months_after_last_treatment")
    version = setting("standards.ctcae")
    made = [text("ONTRTFL", "On Treatment Record Flag", on_treatment_flag, "ontrt", NY, months=months)]
    graded = {"L": grade_low, "H": grade_high}
    for n, (letter, word) in enumerate(DIRECTIONS.items(), 1):
        low = letter.lower()
        made += [
            text(f"ATOXDSC{letter}", f"Analysis Toxicity Description {word}", description, f"term_{low}"),
            text(
                f"ATOXGR{letter}",
                f"Analysis Toxicity Grade {word}",
                graded[letter],
                f"grade_{low}",
                version=version,
            ),
            text(f"BTOXGR{letter}", f"Baseline Toxicity Grade {word}", baseline_grade, f"base_{low}"),
            text(f"SHIFT{n}", f"Shift {n}", shift, f"shift_{low}"),
            text(f"TOXWHY{letter}", f"Reason for No Toxicity Grade {word}", no_grade, f"why_{low}"),
        ]
    tests = setting("safety.toxicity.expected")
    made.append(text("TOXEXPFL", "Expected by Underlying Disease Flag", expected_flag, "expected", NY, tests=tests))
    return tuple(made)

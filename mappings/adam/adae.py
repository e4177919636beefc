"""ADAE, Adverse Events Analysis Dataset: every record of AE with its place to treatment, groups and dose-limiting toxicity."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.derive.coding import coded
from adapter.derive.days import day_number
from adapter.derive.emergence import attributed_elsewhere, dose_limiting
from adapter.derive.results import number_of
from adapter.spec import ASSIGNED, DERIVED, Dataset, Inputs, Records, Variable, call, const, setting, used_of
from mappings.analysis.events import (
    FLAG,
    date_variables,
    dated,
    flag_of,
    group_variables,
    grouped,
    period_flags,
)
from mappings.analysis.variables import OCCDS, kept, of_an_occurrence
from mappings.parts import text

NAME, SOURCE = "ADAE", "AE"
KEPT = {
    "AETERM": "Reported Term for the Adverse Event",
    "AELLT": "Lowest Level Term",
    "AEDECOD": "Dictionary-Derived Term",
    "AEHLT": "High Level Term",
    "AEHLGT": "High Level Group Term",
    "AECAT": "Category for Adverse Event",
    "AEBODSYS": "Body System or Organ Class",
    "AESOC": "Primary System Organ Class",
    "AESEV": "Severity/Intensity",
    "AESER": "Serious Event",
    "AEREL": "Causality",
    "AERELNST": "Relationship to Non-Study Treatment",
    "AEOUT": "Outcome of Adverse Event",
    "AESCONG": "Congenital Anomaly or Birth Defect",
    "AESDISAB": "Persist or Signif Disability/Incapacity",
    "AESDTH": "Results in Death",
    "AESHOSP": "Requires or Prolongs Hospitalization",
    "AESLIFE": "Is Life Threatening",
    "AESMIE": "Other Medically Important Serious Event",
    "AETOXGR": "Standard Toxicity Grade",
    "AESTDTC": "Start Date/Time of Adverse Event",
    "AEENDTC": "End Date/Time of Adverse Event",
    "AEENRTPT": "End Relative to Reference Time Point",
}
READ = ("AEDECOD", "AEBODSYS", "AESER", "AEREL", "AESDTH", "AETOXGR")
"""Variables that the tables read: they stand also where nothing is in them."""
NY, OPEN = "C66742", ("NOT RECOVERED/NOT RESOLVED", "RECOVERING/RESOLVING")
CODELISTS = {"AESEV": "C66769", "AESER": NY, "AEOUT": "C66768", "AEENRTPT": "C66728"}
CODELISTS |= dict.fromkeys(("AESCONG", "AESDISAB", "AESDTH", "AESHOSP", "AESLIFE", "AESMIE"), NY)


def events(inputs: Inputs) -> Records:
    """Return one record per record of AE."""
    rule = inputs.trial.safety
    f = inputs.made[SOURCE].reset_index(drop=True)
    f = grouped(dated(f, "AESTDTC", "AEENDTC", inputs), "AECAT", inputs)
    f["grade"] = number_of(text(f["AETOXGR"]))
    related = f["AEREL"].isin(rule.related)
    others = text(f["AERELNST"])
    elsewhere = attributed_elsewhere(f["AEREL"], others, rule.related, _outside(others, inputs))
    f["elsewhere"] = elsewhere.map(FLAG).astype("str")
    limit = rule.dose_limiting
    nth = f["USUBJID"].map(_repeated(inputs))
    day = f["start_day"].where((f["start_flag"] == "") & ~_earlier(text(f["AESTDTC"]), text(nth)))
    found = dose_limiting(
        f["grade"],
        related,
        _immune(f, limit),
        day,
        day_number(nth),
        limit.grade,
        limit.repeated_grade,
    )
    f["limiting"] = found.map(FLAG).astype("str")
    f["open"] = (f["AEOUT"].isin(OPEN) | (f["AEENRTPT"] == "ONGOING")).map(FLAG).astype("str")
    return Records(f, used=used_of(f.index, "", SOURCE, "AETERM", f["AESEQ"].to_numpy()))


def _outside(others: pd.Series[str], inputs: Inputs) -> set[str]:
    """Return the drugs that AERELNST names (upper case) and that are outside the reporting period, as CM knows drugs."""
    named = {part.partition(": ")[2].strip() for told in set(others) for part in told.split("; ")}
    names = pd.Series(sorted(named - {""}), dtype="str")
    silent = pd.Series("", index=names.index, dtype="str")
    drugs = coded(inputs.knowledge.codes["drugs"], silent, names, names=True, only=("cmcat",))
    return set(names[drugs["cmcat"].isin(inputs.trial.safety.emergence.attributed_outside)].str.upper())


def _immune(f: pd.DataFrame, limit: Any) -> pd.Series[bool]:
    """Return which events are autoimmune or allergic: by their category, or by a part of their term."""
    found = f["AECAT"].isin(limit.repeated_kinds)
    for column in ("AETERM", "AEDECOD", "AELLT"):
        terms = text(f[column]).str.casefold()
        for part in limit.repeated_terms:
            found |= terms.str.contains(part.casefold(), regex=False)
    return found


def _repeated(inputs: Inputs) -> pd.Series[str]:
    """Return USUBJID -> start (SDTM date) of the administration of a trial product from which a repeated one counts."""
    ex, number = inputs.made["EX"], inputs.trial.safety.dose_limiting.repeated_from_dose
    starts = pd.DataFrame({"USUBJID": ex["USUBJID"], "dtc": text(ex["EXSTDTC"]), "day": day_number(ex["EXSTDTC"])})
    starts = starts.dropna().sort_values(["USUBJID", "dtc"], kind="stable").drop_duplicates(["USUBJID", "day"])
    nth = starts[(starts.groupby("USUBJID").cumcount() == number - 1).to_numpy()]
    found: pd.Series[str] = nth.set_index("USUBJID")["dtc"]
    return found


def _earlier(dtc: pd.Series[str], other: pd.Series[str]) -> pd.Series[bool]:
    """Return which instants of one day are before others; without a time of both that is not known."""
    timed = (dtc.str.len() > DATE) & (other.str.len() > DATE)
    return timed & (dtc.str.slice(0, DATE) == other.str.slice(0, DATE)) & (dtc < other)


DATE = len("2024-01-31")


def grade_number(grade: pd.Series[Any]) -> pd.Series[Any]:
    """AE.AETOXGR as a number."""
    return grade


def dose_limiting_flag(flag: pd.Series[Any], grade: int, repeated: int, dose: int) -> pd.Series[Any]:
    """Y: of grade {grade} or more and related to the trial product (AEREL); or of grade {repeated} or more, autoimmune or \
allergic (by AECAT or a part of the term, as the trial definition names them), after administration number {dose} of the \
product, or on its day where the times do not say otherwise. What is not known (grade, relation, day) never makes it Y."""
    return flag


def outside_flag(flag: pd.Series[Any], categories: Any) -> pd.Series[Any]:
    """Y: judged as related (AERELNST) to drugs of these categories and to nothing else: {categories}; outside the \
reporting period of the protocol, kept and flagged. The categories of drugs are those of the code table."""
    return flag


def unresolved_flag(flag: pd.Series[Any]) -> pd.Series[Any]:
    """Y: the outcome says that it goes on, or it was ongoing at the data cut (AEENRTPT)."""
    return flag


LIMIT = "safety.dose_limiting"
DATASET = Dataset(
    name=NAME,
    label="Adverse Events Analysis Dataset",
    cls=OCCDS,
    subclass="ADVERSE EVENT",
    structure="One record per subject per adverse event",
    keys=("STUDYID", "USUBJID", "AEDECOD", "AETERM", "ASTDT", "AESEQ"),
    records=events,
    needs=("ADSL",),
    purpose="Analysis",
    sequence="ASEQ",
    variables=(
        *of_an_occurrence(SOURCE),
        *kept(SOURCE, KEPT, req=("AETERM",), exp=READ, codelists=CODELISTS),
        Variable("AETOXGRN", "Standard Toxicity Grade (N)", "Num", call(grade_number, "grade"), DERIVED, "Perm"),
        *date_variables(),
        *period_flags(),
        *group_variables(),
        flag_of(
            "DLTFL",
            "Dose-Limiting Toxicity Flag",
            dose_limiting_flag,
            "limiting",
            "Exp",
            grade=setting(f"{LIMIT}.grade"),
            repeated=setting(f"{LIMIT}.repeated_grade"),
            dose=setting(f"{LIMIT}.repeated_from_dose"),
        ),
        flag_of(
            "OUTREPFL",
            "Outside of the Reporting Period Flag",
            outside_flag,
            "elsewhere",
            "Perm",
            categories=setting("safety.emergence.attributed_outside"),
        ),
        flag_of("UNRESFL", "Unresolved at Last Contact Flag", unresolved_flag, "open", "Perm"),
        Variable("SRCDOM", "Source Data", "Char", const(SOURCE), ASSIGNED, "Perm"),
    ),
)

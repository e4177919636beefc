"""DV, Protocol Deviations: what the data show to be otherwise than the protocol asks (protocol §8); unknown is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import day_texts
from adapter.spec import ASSIGNED, DERIVED, PROTOCOL, Dataset, Inputs, Records, Variable, call, joined, parents_of, path
from mappings.deviations.case import Case, Found
from mappings.deviations.course import counts_missing, dose_range, not_eligible, steps
from mappings.deviations.product import after_discontinuation, after_relapse, doses, infusion_days, numbers, wrong_arms
from mappings.parts import identifiers, study_day_of
from mappings.timing import NY, epoch_of

DOMAIN = "DV"
RULES: dict[str, Callable[[Case, tuple[str, ...]], Iterator[Found]]] = {
    "dose": doses,
    "day": infusion_days,
    "number": numbers,
    "wrong_arm": wrong_arms,
    "g_csf": dose_range("g_csf"),
    "rhtpo": dose_range("rhtpo"),
    "tpo_ra": steps("tpo_ra"),
    "cbc": counts_missing,
    "eligibility": not_eligible,
    "after_relapse": after_relapse,
    "after_discontinuation": after_discontinuation,
}
"""Deviation of the trial definition -> the rule that finds it."""
COLUMNS = ("USUBJID", "term", "decod", "cat", "major", "first", "last", "dataset", "seq")


def deviations(inputs: Inputs) -> Records:
    """Return one record per deviation of a randomised subject, of those that the trial definition looks for."""
    case = Case(inputs)
    rows = []
    for name, d in inputs.trial.deviations.items():
        for f in RULES[name](case, d.arms):
            term = d.term.format(**f.told)
            rows.append((f.usubjid, term, d.decod, d.category, d.major, f.first, f.last, f.dataset, f.seq))
    made = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"first": "float64", "last": "float64", "seq": "float64"})
    made = made.astype(dict.fromkeys(("USUBJID", "term", "decod", "cat", "dataset"), "str"))
    made["dtc"], made["end_dtc"] = day_texts(made["first"]), day_texts(made["last"])
    made["major"] = np.where(made["major"].astype(bool), "Y", "N")
    return Records(made, parents=joined(_sources(made, inputs)))


def _sources(made: pd.DataFrame, inputs: Inputs) -> list[pd.DataFrame]:
    """Return the resources of the records that show a deviation."""
    found = []
    for name in sorted(set(made["dataset"]) - {""}):
        mine = made[(made["dataset"] == name).to_numpy()]
        labels = inputs.sequences[name]
        frame = inputs.records[name].frame
        subject = frame["USUBJID"].reindex(labels.index).to_numpy(dtype=object)
        place = pd.Series(labels.index, index=pd.MultiIndex.from_arrays([subject, labels.to_numpy(dtype=np.float64)]))
        of = frame.loc[place.loc[list(zip(mine["USUBJID"], mine["seq"], strict=True))].to_numpy()]
        for kind in sorted(set(of["resource"].fillna("")) - {""}):
            own = (of["resource"] == kind).to_numpy()
            found.append(parents_of(mine.index[own], "DVTERM", kind, of["row"].to_numpy()[own]))
    return found


def deviation_term(term: pd.Series[Any]) -> pd.Series[Any]:
    """What was found, with its numbers, in the words of the trial definition: each of its rules is applied to the \
datasets; what is not known (a dose, a weight, a date, a count) is never a deviation."""
    return term


def major_flag(major: pd.Series[Any]) -> pd.Series[Any]:
    """Y where the trial definition says that a deviation of this kind excludes from the per-protocol population, else N."""
    return major


def deviation_start(dtc: pd.Series[Any]) -> pd.Series[Any]:
    """First day of the deviation: of the infusion, of the dose, of the first day without a count; of the last planned \
infusion where one is missing; of randomisation for a criterion of entry."""
    return dtc


def deviation_end(dtc: pd.Series[Any]) -> pd.Series[Any]:
    """Last day of the deviation; the first one where it is of a single day."""
    return dtc


def _char(name: str, label: str, source: Any, origin: Any, core: Any, role: str, **more: Any) -> Variable:
    return Variable(name, label, "Char", source, origin, core, role, **more)


TRIAL = "trial definition: deviations"

DATASET = Dataset(
    name=DOMAIN,
    label="Protocol Deviations",
    cls="EVENTS",
    structure="One record per protocol deviation per subject",
    keys=("STUDYID", "USUBJID", "DVDECOD", "DVTERM", "DVSTDTC"),
    records=deviations,
    sequence="DVSEQ",
    last=True,
    comment="Derived from the other datasets by the rules of the trial definition; the site's own log is not read.",
    variables=(
        *identifiers(DOMAIN),
        _char("DVTERM", "Protocol Deviation Term", call(deviation_term, "term"), DERIVED, "Req", "Topic"),
        _char("DVDECOD", "Protocol Deviation Coded Term", path("decod", TRIAL), PROTOCOL, "Perm", "Synonym Qualifier"),
        _char("DVCAT", "Category for Protocol Deviation", path("cat", TRIAL), ASSIGNED, "Perm", "Grouping Qualifier"),
        epoch_of("DVSTDTC"),
        _char("DVSTDTC", "Start Date/Time of Deviation", call(deviation_start, "dtc"), DERIVED, "Perm", "Timing"),
        _char("DVENDTC", "End Date/Time of Deviation", call(deviation_end, "end_dtc"), DERIVED, "Perm", "Timing"),
        study_day_of("DVSTDY", "Study Day of Start of Deviation Event", "DVSTDTC"),
        study_day_of("DVENDY", "Study Day of End of Deviation Event", "DVENDTC"),
        Variable(
            "DVMAJFL",
            "Major Protocol Deviation Flag",
            "Char",
            call(major_flag, "major"),
            DERIVED,
            codelist=NY,
            supplemental=True,
        ),
    ),
)

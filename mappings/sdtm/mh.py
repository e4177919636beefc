"""MH, Medical History: Conditions that began before consent."""

from __future__ import annotations

import pandas as pd

from adapter.spec import Dataset, Inputs, Records
from mappings.coding import decoded, level, originals, uncoded, with_terms
from mappings.conditions import RELAPSE, each_kind, ends, routed
from mappings.parts import collected, end_in_words, end_point_of, identifiers, said_in_words, study_day_of, text
from mappings.timing import epoch_of

DOMAIN = "MH"


def histories(inputs: Inputs) -> Records:
    """Return one record per Condition that is history, of acute on chronic GVHD one per kind.

    A malignancy that had relapsed before consent has a record of the disease, and one of the relapse where that has a date
    of its own.
    """
    c = routed(inputs)
    disease = c[c["mh"]].assign(cat=lambda f: f["disease"], start=lambda f: f["dtc"])
    early = c[c["early"]].assign(cat=RELAPSE)
    h = each_kind(pd.concat([disease, early], ignore_index=True))
    h = with_terms(h, inputs)
    h[["enrtpt", "entpt"]] = ends(h, inputs.subjects["cut_date"])
    for name in ("words", "end_words"):
        h[name] = text(h[name])
    return Records(h, originals(h, "MHTERM"), unmapped=uncoded(h))


DATASET = Dataset(
    name=DOMAIN,
    label="Medical History",
    cls="EVENTS",
    structure="One record per medical history event per subject",
    keys=("STUDYID", "USUBJID", "MHCAT", "MHTERM", "MHSTDTC", "MHENDTC"),
    records=histories,
    needs=("PR", "CM"),
    sequence="MHSEQ",
    variables=(
        *identifiers(DOMAIN),
        collected(
            "MHTERM",
            "Reported Term for the Medical History",
            "term",
            "Req",
            "Topic",
            "Condition.code",
            comment="In English where the sponsor translates it; the text as it came is in the trace.",
        ),
        decoded("MHDECOD", "Dictionary-Derived Term"),
        collected("MHCAT", "Category for Medical History", "cat", "Perm", "Grouping Qualifier", "Condition.code"),
        level("MHBODSYS", "Body System or Organ Class", "soc", "Perm", "Record Qualifier", dictionary=False),
        epoch_of("MHDTC"),
        collected(
            "MHDTC", "Date/Time of History Collection", "recorded_dtc", "Perm", "Timing", "Condition.recordedDate"
        ),
        collected(
            "MHSTDTC", "Start Date/Time of Medical History Event", "start", "Perm", "Timing", "Condition.onset[x]"
        ),
        collected(
            "MHENDTC", "End Date/Time of Medical History Event", "end_dtc", "Perm", "Timing", "Condition.abatement[x]"
        ),
        study_day_of("MHDY", "Study Day of History Collection", "MHDTC"),
        *end_point_of("MH", "Condition.clinicalStatus"),
        said_in_words("MHSTWORD", "Condition.onset[x]"),
        end_in_words("MHENWORD", "Condition.abatement[x]"),
    ),
)

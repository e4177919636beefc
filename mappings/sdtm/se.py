"""SE, Subject Elements: the elements each subject went through, one after the other (SDTMIG 3.4 §5.3)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.derive.elements import subject_elements
from adapter.spec import ASSIGNED, DERIVED, Dataset, Inputs, Records, Variable, call, issues_of, joined, path
from mappings.parts import assigned, identifiers, study_day_of
from mappings.timing import EPOCH_TERMS, UNPLANNED, participation, planned_elements

DOMAIN = "SE"
DEFINED = "trial definition: elements, arms"


def elements(inputs: Inputs) -> Records:
    """Return one record per element that a subject has begun, contiguous, in the order of the path."""
    s = participation(inputs)
    planned = planned_elements(inputs, s)
    # a screening that would begin and end at one instant, because an unplanned treatment began there, did not take place
    doubled = (planned["start"] == planned["start"].shift(-1)) & (planned["etcd"].shift(-1) == UNPLANNED)
    doubled &= planned["USUBJID"] == planned["USUBJID"].shift(-1)
    made = subject_elements(planned[~doubled], s["last"], s["end"])
    moved = made.index[made["moved"].astype(bool)]
    issues = issues_of(moved, made.loc[moved, "USUBJID"], "element-out-of-order", MOVED)
    return Records(made, issues=joined([issues]))


MOVED = "by its rule the element begins before the one ahead of it; it was begun together with it"


def element_start(start: pd.Series[Any]) -> pd.Series[Any]:
    """When the element begins by its rule in TE: at the informed consent, the subject reference start or the index \
transplant, or the number of days after it that the trial definition gives; never before the element ahead of it, and \
only where the subject is known to have taken part on that day."""
    return start


def element_end(finish: pd.Series[Any]) -> pd.Series[Any]:
    """Start of the next element; of the last one the end of participation, empty while the subject takes part."""
    return finish


DATASET = Dataset(
    name=DOMAIN,
    label="Subject Elements",
    cls="SPECIAL PURPOSE",
    structure="One record per actual Element per subject",
    keys=("STUDYID", "USUBJID", "SESTDTC", "TAETORD", "ETCD"),
    records=elements,
    needs=("DM", "PR", "CM"),
    sequence="SESEQ",
    variables=(
        *identifiers(DOMAIN),
        assigned("ETCD", "Element Code", "etcd", "Req", "Topic", DEFINED),
        assigned("ELEMENT", "Description of Element", "element", "Perm", "Synonym Qualifier", DEFINED),
        Variable(
            "TAETORD",
            "Planned Order of Element within Arm",
            "Num",
            path("taetord", DEFINED),
            ASSIGNED,
            "Perm",
            "Timing",
        ),
        assigned(
            "EPOCH",
            "Epoch",
            "EPOCH",
            "Perm",
            "Timing",
            DEFINED,
            codelist=EPOCH_TERMS,
            comment="Empty for an unplanned element, which belongs to no epoch of the plan.",
        ),
        Variable(
            "SESTDTC", "Start Date/Time of Element", "Char", call(element_start, "start"), DERIVED, "Req", "Timing"
        ),
        Variable("SEENDTC", "End Date/Time of Element", "Char", call(element_end, "finish"), DERIVED, "Exp", "Timing"),
        study_day_of("SESTDY", "Study Day of Start of Element", "SESTDTC"),
        study_day_of("SEENDY", "Study Day of End of Element", "SEENDTC"),
        assigned(
            "SEUPDES",
            "Description of Unplanned Element",
            "upd",
            "Perm",
            "Synonym Qualifier",
            "MedicationAdministration.medication[x]",
        ),
    ),
)

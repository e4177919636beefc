"""ADCM, Concomitant Medications Analysis Dataset: every drug and blood product with its group and its place to treatment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.spec import ASSIGNED, DERIVED, Dataset, Inputs, Records, Variable, call, const, used_of
from mappings.analysis.events import date_variables, dated, flag_of, period_flags
from mappings.analysis.subjects import medication_days
from mappings.analysis.variables import OCCDS, kept, of_an_occurrence

NAME, SOURCE = "ADCM", "CM"
KEPT = {
    "CMTRT": "Reported Name of Drug, Med, or Therapy",
    "CMDECOD": "Standardized Medication Name",
    "CMCAT": "Category for Medication",
    "CMINDC": "Indication",
    "CMCLAS": "Medication Class",
    "CMCLASCD": "Medication Class Code",
    "CMDOSE": "Dose per Administration",
    "CMDOSU": "Dose Units",
    "CMROUTE": "Route of Administration",
    "CMSTDTC": "Start Date/Time of Medication",
    "CMENDTC": "End Date/Time of Medication",
    "CMENRTPT": "End Relative to Reference Time Point",
}


def medications(inputs: Inputs) -> Records:
    """Return one record per record of CM."""
    f = inputs.made[SOURCE]
    group = pd.Series("", index=f.index, dtype="str")
    for name, rule in inputs.trial.medications.items():
        mine = medication_days(inputs, name).index
        group.loc[mine] = group.loc[mine].where(group.loc[mine] != "", rule.label)
    s = inputs.records["ADSL"].frame
    f = dated(f.assign(group=group), "CMSTDTC", "CMENDTC", inputs)
    first, last = (f["USUBJID"].map(s[c]).astype("float64") for c in ("trts", "trte"))
    goes_on = (f["CMENRTPT"] == "ONGOING").to_numpy()
    end = f["end_day"].where(f["end_day"].notna(), f["start_day"]).where(~goes_on, np.inf)
    f["ontrt"] = np.where((end >= first) & (f["start_day"] <= last), "Y", "")
    f = f.reset_index(drop=True)
    return Records(f, used=used_of(f.index, "", SOURCE, "CMTRT", f["CMSEQ"].to_numpy()))


def group_label(group: pd.Series[Any]) -> pd.Series[Any]:
    """Label of the medication group of the trial definition, by CMCAT and CMDECOD; empty outside every group, and without \
any date."""
    return group


def on_treatment_flag(flag: pd.Series[Any]) -> pd.Series[Any]:
    """Y: given on a day from the first to the last study treatment (ADSL.TRTSDT to TRTEDT): it began not after the last \
one, and had not ended before the first one. Without an end only its start is known; what goes on has no end."""
    return flag


DATASET = Dataset(
    name=NAME,
    label="Concomitant Medications Analysis Dataset",
    cls=OCCDS,
    structure="One record per subject per medication or blood product",
    keys=("STUDYID", "USUBJID", "CMCAT", "CMDECOD", "CMTRT", "ASTDT", "CMSEQ"),
    records=medications,
    needs=("ADSL",),
    purpose="Analysis",
    sequence="ASEQ",
    variables=(
        *of_an_occurrence(SOURCE),
        *kept(
            SOURCE,
            KEPT,
            req=("CMTRT",),
            cond=("CMDECOD",),
            numbers=("CMDOSE",),
            codelists={"CMDOSU": "C71620", "CMROUTE": "C66729", "CMENRTPT": "C66728"},
        ),
        Variable("ACAT1", "Analysis Category 1", "Char", call(group_label, "group"), DERIVED, "Perm"),
        *date_variables(),
        flag_of("ONTRTFL", "On Treatment Record Flag", on_treatment_flag, "ontrt"),
        *period_flags(treatment_emergent=False),
        Variable("SRCDOM", "Source Data", "Char", const(SOURCE), ASSIGNED, "Perm"),
    ),
)

"""TV, Trial Visits: the planned visits, as visits.csv of the trial lists them (SDTMIG 3.4 §7.3.1)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.spec import ASSIGNED, PROTOCOL, Dataset, Records, Variable, const, path, setting

DOMAIN = "TV"
DEFINED = "trial definition: visits.csv"


def trial_visits(trial: Any, run: dict[str, str]) -> Records:
    """Return one record per row of visits.csv. Only a day that counts from the reference start is a study day."""
    rows = [
        {
            "visitnum": float(v.VISITNUM),
            "visit": v.VISIT,
            "visitdy": float(v.target_day) if v.anchor == "reference_start" else None,
            "armcd": v.ARMCD or "",
            "arm": trial.arms[v.ARMCD].label if v.ARMCD else "",
            "start": v.TVSTRL,
            "end": v.TVENRL,
        }
        for v in trial.visits
    ]
    return Records(pd.DataFrame(rows))


def _char(name: str, label: str, column: str, core: Any, role: str, **more: Any) -> Variable:
    return Variable(name, label, "Char", path(column, DEFINED), PROTOCOL, core, role, **more)


DATASET = Dataset(
    name=DOMAIN,
    label="Trial Visits",
    cls="TRIAL DESIGN",
    structure="One record per planned Visit per Arm",
    keys=("STUDYID", "ARMCD", "VISITNUM"),
    records=trial_visits,
    reference=True,
    variables=(
        Variable("STUDYID", "Study Identifier", "Char", setting("study.id"), PROTOCOL, "Req", "Identifier"),
        Variable("DOMAIN", "Domain Abbreviation", "Char", const(DOMAIN), ASSIGNED, "Req", "Identifier"),
        Variable("VISITNUM", "Visit Number", "Num", path("visitnum", DEFINED), PROTOCOL, "Req", "Topic"),
        _char("VISIT", "Visit Name", "visit", "Req", "Synonym Qualifier"),
        Variable(
            "VISITDY",
            "Planned Study Day of Visit",
            "Num",
            path("visitdy", DEFINED),
            PROTOCOL,
            "Perm",
            "Timing",
            comment="Empty for a visit that is planned by days after consent or transplant.",
        ),
        _char(
            "ARMCD",
            "Planned Arm Code",
            "armcd",
            "Exp",
            "Record Qualifier",
            codelist="ARMCD",
            comment="Empty where the visit is planned alike in every arm.",
        ),
        _char("ARM", "Description of Planned Arm", "arm", "Perm", "Synonym Qualifier"),
        _char("TVSTRL", "Visit Start Rule", "start", "Req", "Rule"),
        _char("TVENRL", "Visit End Rule", "end", "Perm", "Rule"),
    ),
)

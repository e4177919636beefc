"""TI, Trial Inclusion/Exclusion Criteria: criteria.csv of the trial (SDTMIG 3.4 §7.4.1)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.spec import ASSIGNED, PROTOCOL, Dataset, Records, Variable, const, path, setting

DOMAIN = "TI"
DEFINED = "trial definition: criteria.csv"


def trial_criteria(trial: Any, run: dict[str, str]) -> Records:
    """Return one record per criterion, those of earlier protocol versions too."""
    rows = [{"testcd": c.IETESTCD, "test": c.IETEST, "cat": c.IECAT, "version": c.TIVERS} for c in trial.entry_criteria]
    return Records(pd.DataFrame(rows))


def _char(name: str, label: str, column: str, core: Any, role: str, codelist: str | None = None) -> Variable:
    return Variable(name, label, "Char", path(column, DEFINED), PROTOCOL, core, role, codelist=codelist)


DATASET = Dataset(
    name=DOMAIN,
    label="Trial Inclusion/Exclusion Criteria",
    cls="TRIAL DESIGN",
    structure="One record per I/E criterion",
    keys=("STUDYID", "IETESTCD", "TIVERS"),
    records=trial_criteria,
    reference=True,
    variables=(
        Variable("STUDYID", "Study Identifier", "Char", setting("study.id"), PROTOCOL, "Req", "Identifier"),
        Variable("DOMAIN", "Domain Abbreviation", "Char", const(DOMAIN), ASSIGNED, "Req", "Identifier"),
        _char("IETESTCD", "Incl/Excl Criterion Short Name", "testcd", "Req", "Topic"),
        _char("IETEST", "Inclusion/Exclusion Criterion", "test", "Req", "Synonym Qualifier"),
        _char("IECAT", "Inclusion/Exclusion Category", "cat", "Req", "Grouping Qualifier", "C66797"),
        _char("TIVERS", "Protocol Criteria Versions", "version", "Perm", "Record Qualifier"),
    ),
)

"""TE, Trial Elements: how each element begins and ends, as the trial definition plans it (SDTMIG 3.4 §7.2.2)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.spec import ASSIGNED, PROTOCOL, Dataset, Records, Variable, const, path, setting

DOMAIN = "TE"
DEFINED = "trial definition: elements"


def trial_elements(trial: Any, run: dict[str, str]) -> Records:
    """Return one record per element."""
    rows = [
        {"etcd": code, "element": e.label, "start": e.start_rule, "end": e.end_rule, "duration": e.duration or ""}
        for code, e in trial.elements.items()
    ]
    return Records(pd.DataFrame(rows))


def _char(name: str, label: str, column: str, core: Any, role: str) -> Variable:
    return Variable(name, label, "Char", path(column, DEFINED), PROTOCOL, core, role)


DATASET = Dataset(
    name=DOMAIN,
    label="Trial Elements",
    cls="TRIAL DESIGN",
    structure="One record per planned Element",
    keys=("STUDYID", "ETCD"),
    records=trial_elements,
    reference=True,
    variables=(
        Variable("STUDYID", "Study Identifier", "Char", setting("study.id"), PROTOCOL, "Req", "Identifier"),
        Variable("DOMAIN", "Domain Abbreviation", "Char", const(DOMAIN), ASSIGNED, "Req", "Identifier"),
        _char("ETCD", "Element Code", "etcd", "Req", "Topic"),
        _char("ELEMENT", "Description of Element", "element", "Req", "Synonym Qualifier"),
        _char("TESTRL", "Rule for Start of Element", "start", "Req", "Rule"),
        _char("TEENRL", "Rule for End of Element", "end", "Perm", "Rule"),
        _char("TEDUR", "Planned Duration of Element", "duration", "Perm", "Timing"),
    ),
)

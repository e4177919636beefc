"""TA, Trial Arms: the elements of each arm in order, as the trial definition plans them (SDTMIG 3.4 §7.2.1)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.spec import ASSIGNED, PROTOCOL, Dataset, Records, Variable, const, path, setting
from mappings.timing import EPOCH_TERMS

DOMAIN = "TA"
DEFINED = "trial definition: arms"


def trial_arms(trial: Any, run: dict[str, str]) -> Records:
    """Return one record per element of each arm's path."""
    rows = [
        {
            "armcd": code,
            "arm": arm.label,
            "taetord": float(order),
            "etcd": step.element,
            "element": trial.elements[step.element].label,
            "branch": step.branch,
            "transition": step.transition,
            "epoch": trial.elements[step.element].epoch,
        }
        for code, arm in trial.arms.items()
        for order, step in enumerate(arm.path, 1)
    ]
    return Records(pd.DataFrame(rows))


def _char(name: str, label: str, column: str, core: Any, role: str, codelist: str | None = None) -> Variable:
    return Variable(name, label, "Char", path(column, DEFINED), PROTOCOL, core, role, codelist=codelist)


DATASET = Dataset(
    name=DOMAIN,
    label="Trial Arms",
    cls="TRIAL DESIGN",
    structure="One record per planned Element per Arm",
    keys=("STUDYID", "ARMCD", "TAETORD"),
    records=trial_arms,
    reference=True,
    variables=(
        Variable("STUDYID", "Study Identifier", "Char", setting("study.id"), PROTOCOL, "Req", "Identifier"),
        Variable("DOMAIN", "Domain Abbreviation", "Char", const(DOMAIN), ASSIGNED, "Req", "Identifier"),
        _char("ARMCD", "Planned Arm Code", "armcd", "Req", "Topic", "ARMCD"),
        _char("ARM", "Description of Planned Arm", "arm", "Req", "Synonym Qualifier"),
        Variable(
            "TAETORD", "Planned Order of Element within Arm", "Num", path("taetord", DEFINED), PROTOCOL, "Req", "Timing"
        ),
        _char("ETCD", "Element Code", "etcd", "Req", "Record Qualifier"),
        _char("ELEMENT", "Description of Element", "element", "Perm", "Synonym Qualifier"),
        _char("TABRANCH", "Branch", "branch", "Exp", "Rule"),
        _char("TATRANS", "Transition Rule", "transition", "Exp", "Rule"),
        _char("EPOCH", "Epoch", "epoch", "Req", "Timing", EPOCH_TERMS),
    ),
)

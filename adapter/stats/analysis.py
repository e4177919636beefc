"""All tables of a plan from the datasets that are there, in the order in which a report shows them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from adapter.errors import InputError
from adapter.stats.efficacy import response_table
from adapter.stats.event_times import time_table
from adapter.stats.exposure import ADEX, ADTB, exposure_table, transfusion_table
from adapter.stats.plan import Plan, Role
from adapter.stats.results import Table
from adapter.stats.safety import ADAE, ADCE, DV, adverse_event_tables, clinical_event_table, deviation_table
from adapter.stats.shifts import ADLB, shift_table
from adapter.stats.subjects import baseline_table, disposition_table, population_table

ROLES: tuple[Role, ...] = ("primary", "secondary", "sensitivity", "descriptive")
MADE = {
    "ADRS": ("Response", ("PARAMCD",)),
    "ADTTE": ("Time to event", ("PARAMCD",)),
    "ADEX": ("Exposure", ADEX),
    "ADTB": ("Transfusions", ADTB),
    "ADAE": ("Adverse events", ADAE),
    "ADCE": ("Clinical events", ADCE),
    "ADLB": ("Shift of laboratory grades", ADLB),
    "DV": ("Protocol deviations", DV),
}
"""Dataset -> what is made of it, and the variables without which nothing is."""


def not_built(datasets: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Return, for each dataset that the tables want and that is not there or lacks a variable, what is not built and why."""
    found = {}
    for name, (title, needed) in MADE.items():
        if name not in datasets:
            found[name] = f"{title}: not built, the package has no {name}"
        elif lacking := [v for v in needed if v not in datasets[name].columns]:
            found[name] = f"{title}: not built, {name} has no {', '.join(lacking)}"
    return found


def tables_of(datasets: Mapping[str, pd.DataFrame], plan: Plan) -> list[Table]:
    """Return the tables of ADSL (which must be there) and of the other datasets of MADE where they are.

    DV is that of the tabulations with DVMAJFL of SUPPDV.

    The main population comes first; primary endpoints and times to event are repeated in the supportive populations.
    Raises InputError for datasets that contradict the plan or lack a variable.
    """
    if "ADSL" not in datasets:
        raise InputError(f"no ADSL among {', '.join(sorted(datasets)) or 'no datasets'}: nobody to analyse")
    adsl = datasets["ADSL"]
    found = [population_table(adsl, plan), disposition_table(adsl, plan), baseline_table(adsl, plan)]
    if "DV" in datasets:
        found.append(deviation_table(adsl, datasets["DV"], plan))
    if "ADEX" in datasets:
        found.append(exposure_table(adsl, datasets["ADEX"], plan))
    if "ADRS" in datasets:
        roles = [r for r in ROLES if any(x.role == r for x in plan.responses)]
        found += [response_table(adsl, datasets["ADRS"], plan, r) for r in roles]
        if "primary" in roles:
            found += [response_table(adsl, datasets["ADRS"], plan, "primary", p) for p in plan.supportive]
    if "ADTTE" in datasets:
        found += [time_table(adsl, datasets["ADTTE"], plan, p) for p in (plan.population, *plan.supportive)]
    if "ADTB" in datasets:
        found.append(transfusion_table(adsl, datasets["ADTB"], plan))
    if "ADAE" in datasets:
        found += adverse_event_tables(adsl, datasets["ADAE"], plan)
    if "ADCE" in datasets:
        found.append(clinical_event_table(adsl, datasets["ADCE"], plan))
    if "ADLB" in datasets:
        found.append(shift_table(adsl, datasets["ADLB"], plan))
    return found

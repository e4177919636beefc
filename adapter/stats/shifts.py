"""The shift table of laboratory grades (protocol §7.1): baseline against worst grade under treatment, by test and direction."""

from __future__ import annotations

import pandas as pd

from adapter.stats.plan import Plan, subjects_of
from adapter.stats.results import Condition, Table, columns_of

ADLB = ("USUBJID", "PARAMCD", "PARAM", "ONTRTFL", "BTOXGRL", "BTOXGRH", "ATOXGRL", "ATOXGRH")
GRADES = ("0", "1", "2", "3", "4")
MISSING = "missing"
ON_TREATMENT = Condition("ONTRTFL", ("Y",))


def shift_table(adsl: pd.DataFrame, adlb: pd.DataFrame, plan: Plan) -> Table:
    """Return the shifts of CTCAE grades: subjects by baseline grade and worst grade under treatment, by test and direction.

    ADLB: PARAMCD, PARAM, BTOXGRL, BTOXGRH, ATOXGRL, ATOXGRH, and ONTRTFL = Y for records after the start of treatment.
    Subjects without such a record of a test are not in its rows. Rows without any subject are left out.
    """
    subjects = subjects_of(adsl, plan, plan.safety, "TRT01A")
    table = Table(
        "lab-shift",
        f"Shift of laboratory grades from baseline to worst under treatment, {plan.label_of(plan.safety)}",
        plan.arms,
        "ADLB",
        plan.safety,
        (
            "Grades by CTCAE, baseline to worst; missing: the grade is not known. By treatment given (TRT01A).",
            "Denominators: subjects with a result under treatment of that test.",
        ),
        plan.sizes(subjects),
        (ON_TREATMENT,),
    )
    lb = columns_of(adlb, "ADLB", ADLB)
    lb = lb[lb["ONTRTFL"] == "Y"].merge(subjects, on="USUBJID")
    for testcd, own in lb.groupby("PARAMCD", sort=True):
        for letter, direction in (("L", "low"), ("H", "high")):
            if (own[f"ATOXGR{letter}"] != "").any():
                mark = ", expected, underlying disease" if testcd in plan.expected else ""
                _shifts(table, own, f"{own['PARAM'].iloc[0]}, {direction}{mark}", letter, plan)
    return table


def _shifts(table: Table, own: pd.DataFrame, label: str, letter: str, plan: Plan) -> None:
    testcd = str(own["PARAMCD"].iloc[0])
    one = own.groupby("USUBJID").agg(
        ARM=("ARM", "first"), base=(f"BTOXGR{letter}", "max"), worst=(f"ATOXGR{letter}", "max")
    )
    one = one.replace({"base": {"": MISSING}, "worst": {"": MISSING}})
    for base in (*GRADES, MISSING):
        for worst in (*GRADES, MISSING):
            here = one[(one["base"] == base) & (one["worst"] == worst)]
            if not len(here):
                continue
            for arm in plan.arms:
                n = int((one["ARM"] == arm).sum())
                table.add(
                    (testcd, label, arm),
                    f"{base} to {worst}",
                    int((here["ARM"] == arm).sum()),
                    "subjects",
                    selection=f"PARAMCD = {testcd}, ONTRTFL = Y, BTOXGR{letter} {base}, worst ATOXGR{letter} {worst}",
                    subjects=n,
                )

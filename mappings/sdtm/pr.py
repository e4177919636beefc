"""PR, Procedures: graft infusions, marrow aspirates, ventilation, imaging and every other procedure done."""

from __future__ import annotations

import pandas as pd

from adapter.derive.coding import coded, unmapped
from adapter.spec import COLLECTED, Dataset, Inputs, Records, Variable, joined, path
from mappings.parts import identifiers, reasons, study_day_of

DOMAIN = "PR"


def procedures(inputs: Inputs) -> Records:
    """Return one record per Procedure that was done and belongs to no other domain (transfusions are CM)."""
    p = inputs.frame("Procedure")
    meaning = coded(inputs.knowledge.codes["procedures"], p["code"], p["code_text"], names=True)
    p["decod"], p["cat"], p["known"] = meaning["decod"], meaning["cat"], meaning["known"].astype(bool)
    p = p[(meaning["domain"] == DOMAIN) | ~p["known"]].copy()
    not_done = p["status"] == "not-done"
    waiting = p["status"].isin(["on-hold", "stopped"]) & p["end_dtc"].isna()
    dropped = [reasons(p.loc[not_done, "row"], "not-done"), reasons(p.loc[waiting, "row"], "status-planned")]
    p = p[~not_done & ~waiting]
    missing = unmapped("Procedure", p.loc[~p["known"], "code"], p.loc[~p["known"], "code_text"], used=True)
    return Records(p, dropped={"Procedure": pd.concat(dropped)}, unmapped=joined([missing]))


def _char(name: str, label: str, column: str, core: str, role: str, fhir: str, codelist: str | None = None) -> Variable:
    return Variable(name, label, "Char", path(column, fhir), COLLECTED, core, role, codelist=codelist)  # type: ignore[arg-type]


DATASET = Dataset(
    name=DOMAIN,
    label="Procedures",
    cls="INTERVENTIONS",
    structure="One record per recorded procedure per occurrence per subject",
    keys=("STUDYID", "USUBJID", "PRDECOD", "PRTRT", "PRSTDTC", "PRENDTC"),
    records=procedures,
    sequence="PRSEQ",
    variables=(
        *identifiers(DOMAIN),
        _char("PRTRT", "Reported Name of Procedure", "code_text", "Req", "Topic", "Procedure.code"),
        _char("PRDECOD", "Standardized Procedure Name", "decod", "Perm", "Synonym Qualifier", "Procedure.code", "C101858"),
        _char("PRCAT", "Category", "cat", "Perm", "Grouping Qualifier", "Procedure.code"),
        _char("PRINDC", "Indication", "indication", "Perm", "Record Qualifier", "Procedure.reasonCode"),
        _char("PRSTDTC", "Start Date/Time of Procedure", "dtc", "Exp", "Timing", "Procedure.performed[x]"),
        _char("PRENDTC", "End Date/Time of Procedure", "end_dtc", "Perm", "Timing", "Procedure.performedPeriod.end"),
        study_day_of("PRSTDY", "Study Day of Start of Procedure", "PRSTDTC"),
        study_day_of("PRENDY", "Study Day of End of Procedure", "PRENDTC"),
    ),
)

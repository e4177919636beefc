"""ADCE, Clinical Events Analysis Dataset: GVHD, infections, graft failures and relapses, with their place to treatment."""

from __future__ import annotations

from adapter.spec import ASSIGNED, Dataset, Inputs, Records, Variable, const, used_of
from mappings.analysis.events import date_variables, dated, group_variables, grouped, period_flags
from mappings.analysis.variables import OCCDS, kept, of_an_occurrence

NAME, SOURCE = "ADCE", "CE"
KEPT = {
    "CETERM": "Reported Term for the Clinical Event",
    "CEDECOD": "Dictionary-Derived Term",
    "CECAT": "Category for the Clinical Event",
    "CESCAT": "Subcategory for the Clinical Event",
    "CEBODSYS": "Body System or Organ Class",
    "CESTDTC": "Start Date/Time of Clinical Event",
    "CEENDTC": "End Date/Time of Clinical Event",
    "CEENRTPT": "End Relative to Reference Time Point",
}


def events(inputs: Inputs) -> Records:
    """Return one record per record of CE."""
    f = inputs.made[SOURCE].reset_index(drop=True)
    f = grouped(dated(f, "CESTDTC", "CEENDTC", inputs), "CECAT", inputs)
    return Records(f, used=used_of(f.index, "", SOURCE, "CETERM", f["CESEQ"].to_numpy()))


DATASET = Dataset(
    name=NAME,
    label="Clinical Events Analysis Dataset",
    cls=OCCDS,
    structure="One record per subject per clinical event",
    keys=("STUDYID", "USUBJID", "CECAT", "CETERM", "ASTDT", "CESEQ"),
    records=events,
    needs=("ADSL",),
    purpose="Analysis",
    sequence="ASEQ",
    variables=(
        *of_an_occurrence(SOURCE),
        *kept(SOURCE, KEPT, req=("CETERM",), codelists={"CEENRTPT": "C66728"}),
        *date_variables(),
        *period_flags(),
        *group_variables(),
        Variable("SRCDOM", "Source Data", "Char", const(SOURCE), ASSIGNED, "Perm"),
    ),
)

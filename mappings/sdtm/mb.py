"""MB, Microbiology Specimen: viral loads and the detection of microorganisms in specimens."""

from __future__ import annotations

from typing import Any

from adapter.spec import ASSIGNED, COLLECTED, LABORATORY, Dataset, Inputs, Records, ValueLevel, Variable, path
from mappings.findings import result_variables, results
from mappings.parts import identifiers, study_day_of
from mappings.specimens import loinc_and_specimen_of
from mappings.timing import epoch_of, last_before_of, visit_of

DOMAIN = "MB"


def findings(inputs: Inputs) -> Records:
    """Return one record per finding. Copies and international units are assay-specific: a load stays in its own unit."""
    return results(inputs, DOMAIN, specimens=True)


def _of_code(name: str, label: str, column: str, core: Any, role: str, codelist: str | None = None) -> Variable:
    return Variable(name, label, "Char", path(column, "Observation.code"), ASSIGNED, core, role, codelist=codelist)


DATASET = Dataset(
    name=DOMAIN,
    label="Microbiology Specimen",
    cls="FINDINGS",
    structure="One record per microbiology specimen finding per time point per visit per subject",
    keys=("STUDYID", "USUBJID", "MBTESTCD", "MBTSTDTL", "MBSPEC", "MBDTC", "MBLOINC", "MBORRES"),
    records=findings,
    value_levels=tuple(ValueLevel(v, "MBTESTCD") for v in ("MBORRES", "MBSTRESC", "MBSTRESN")),
    sequence="MBSEQ",
    variables=(
        *identifiers(DOMAIN),
        _of_code(
            "MBTESTCD", "Microbiology Test or Finding Short Name", "to_testcd", "Req", "Topic", codelist="C120527"
        ),
        _of_code(
            "MBTEST", "Microbiology Test or Finding Name", "to_test", "Req", "Synonym Qualifier", codelist="C120528"
        ),
        _of_code(
            "MBTSTDTL",
            "Measurement, Test or Examination Detail",
            "to_detail",
            "Perm",
            "Variable Qualifier",
            codelist="C174225",
        ),
        _of_code("MBCAT", "Category", "to_cat", "Perm", "Grouping Qualifier"),
        *result_variables(DOMAIN, LABORATORY),
        *loinc_and_specimen_of(DOMAIN, "Specimen Material Type"),
        _of_code(
            "MBMETHOD", "Method of Test or Examination", "to_method", "Exp", "Record Qualifier", codelist="C85492"
        ),
        last_before_of(DOMAIN, "MBTESTCD", "MBTSTDTL", "MBSPEC", core="Perm"),
        *visit_of("MBDTC"),
        epoch_of("MBDTC", finding=True),
        Variable(
            "MBDTC",
            "Date/Time of Collection",
            "Char",
            path("dtc", "Observation.effective[x]", "Specimen.collection.collected[x]"),
            COLLECTED,
            "Exp",
            "Timing",
            comment="Site time; as precise as the source, never imputed.",
        ),
        study_day_of("MBDY", "Study Day of Visit/Collection/Exam", "MBDTC"),
    ),
)

"""MB, Microbiology Specimen: viral loads and the detection of microorganisms in specimens."""

from __future__ import annotations

from adapter.spec import LABORATORY, Dataset, Inputs, Records, ValueLevel
from mappings.findings import result_variables, results
from mappings.parts import assigned, collected, identifiers, study_day_of
from mappings.specimens import loinc_and_specimen_of
from mappings.timing import epoch_of, last_before_of, visit_of

DOMAIN = "MB"


def findings(inputs: Inputs) -> Records:
    """Return one record per finding. Copies and international units are assay-specific: a load stays in its own unit."""
    return results(inputs, DOMAIN, specimens=True)


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
        assigned(
            "MBTESTCD",
            "Microbiology Test or Finding Short Name",
            "to_testcd",
            "Req",
            "Topic",
            "Observation.code",
            codelist="C120527",
        ),
        assigned(
            "MBTEST",
            "Microbiology Test or Finding Name",
            "to_test",
            "Req",
            "Synonym Qualifier",
            "Observation.code",
            codelist="C120528",
        ),
        assigned(
            "MBTSTDTL",
            "Measurement, Test or Examination Detail",
            "to_detail",
            "Perm",
            "Variable Qualifier",
            "Observation.code",
            codelist="C174225",
        ),
        assigned("MBCAT", "Category", "to_cat", "Perm", "Grouping Qualifier", "Observation.code"),
        *result_variables(DOMAIN, LABORATORY),
        *loinc_and_specimen_of(DOMAIN, "Specimen Material Type"),
        assigned(
            "MBMETHOD",
            "Method of Test or Examination",
            "to_method",
            "Exp",
            "Record Qualifier",
            "Observation.code",
            codelist="C85492",
        ),
        last_before_of(DOMAIN, "MBTESTCD", "MBTSTDTL", "MBSPEC", core="Perm"),
        *visit_of("MBDTC"),
        epoch_of("MBDTC", finding=True),
        collected(
            "MBDTC",
            "Date/Time of Collection",
            "dtc",
            "Exp",
            "Timing",
            "Observation.effective[x]",
            "Specimen.collection.collected[x]",
            comment="Site time; as precise as the source, never imputed.",
        ),
        study_day_of("MBDY", "Study Day of Visit/Collection/Exam", "MBDTC"),
    ),
)

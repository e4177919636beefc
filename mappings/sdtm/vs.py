"""VS, Vital Signs: Observations whose code the observations table sends to VS; blood pressure by its components."""

from __future__ import annotations

from adapter.spec import Dataset, Inputs, Records, ValueLevel
from mappings.findings import loinc_of, result_variables, results
from mappings.parts import assigned, collected, identifiers, study_day_of
from mappings.timing import epoch_of, last_before_of, visit_of

DOMAIN = "VS"
RESULT_UNITS = "C66770"


def vital_signs(inputs: Inputs) -> Records:
    """Return one record per measurement: an Observation, or a component of one such as the systolic pressure."""
    return results(inputs, DOMAIN)


DATASET = Dataset(
    name=DOMAIN,
    label="Vital Signs",
    cls="FINDINGS",
    structure="One record per vital sign measurement per time point per visit per subject",
    keys=("STUDYID", "USUBJID", "VSTESTCD", "VSDTC", "VSPOS", "VSLOC", "VSORRES"),
    records=vital_signs,
    value_levels=tuple(ValueLevel(v, "VSTESTCD") for v in ("VSORRES", "VSSTRESC", "VSSTRESN")),
    sequence="VSSEQ",
    variables=(
        *identifiers(DOMAIN),
        assigned(
            "VSTESTCD",
            "Vital Signs Test Short Name",
            "to_testcd",
            "Req",
            "Topic",
            "Observation.code",
            codelist="C66741",
        ),
        assigned(
            "VSTEST",
            "Vital Signs Test Name",
            "to_test",
            "Req",
            "Synonym Qualifier",
            "Observation.code",
            codelist="C67153",
        ),
        collected(
            "VSPOS",
            "Vital Signs Position of Subject",
            "to_detail",
            "Perm",
            "Record Qualifier",
            "Observation.code",
            codelist="C71148",
        ),
        *result_variables(DOMAIN, units=RESULT_UNITS),
        collected(
            "VSLOC",
            "Location of Vital Signs Measurement",
            "to_specimen",
            "Perm",
            "Record Qualifier",
            "Observation.code",
            codelist="C74456",
        ),
        last_before_of(DOMAIN, "VSTESTCD", "VSLOC", "VSPOS"),
        *visit_of("VSDTC"),
        epoch_of("VSDTC", finding=True),
        collected(
            "VSDTC",
            "Date/Time of Measurements",
            "dtc",
            "Exp",
            "Timing",
            "Observation.effective[x]",
            comment="Site time; as precise as the source, never imputed.",
        ),
        study_day_of("VSDY", "Study Day of Vital Signs", "VSDTC"),
        loinc_of(DOMAIN),
    ),
)

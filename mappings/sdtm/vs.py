"""VS, Vital Signs: Observations whose code the observations table sends to VS; blood pressure by its components."""

from __future__ import annotations

from adapter.spec import ASSIGNED, COLLECTED, Dataset, Inputs, Records, ValueLevel, Variable, path
from mappings.findings import loinc_of, result_variables, results
from mappings.parts import identifiers, study_day_of
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
        Variable(
            "VSTESTCD",
            "Vital Signs Test Short Name",
            "Char",
            path("to_testcd", "Observation.code"),
            ASSIGNED,
            "Req",
            "Topic",
            codelist="C66741",
        ),
        Variable(
            "VSTEST",
            "Vital Signs Test Name",
            "Char",
            path("to_test", "Observation.code"),
            ASSIGNED,
            "Req",
            "Synonym Qualifier",
            codelist="C67153",
        ),
        Variable(
            "VSPOS",
            "Vital Signs Position of Subject",
            "Char",
            path("to_detail", "Observation.code"),
            COLLECTED,
            "Perm",
            "Record Qualifier",
            codelist="C71148",
        ),
        *result_variables(DOMAIN, units=RESULT_UNITS),
        Variable(
            "VSLOC",
            "Location of Vital Signs Measurement",
            "Char",
            path("to_specimen", "Observation.code"),
            COLLECTED,
            "Perm",
            "Record Qualifier",
            codelist="C74456",
        ),
        last_before_of(DOMAIN, "VSTESTCD", "VSLOC", "VSPOS"),
        *visit_of("VSDTC"),
        epoch_of("VSDTC", finding=True),
        Variable(
            "VSDTC",
            "Date/Time of Measurements",
            "Char",
            path("dtc", "Observation.effective[x]"),
            COLLECTED,
            "Exp",
            "Timing",
            comment="Site time; as precise as the source, never imputed.",
        ),
        study_day_of("VSDY", "Study Day of Vital Signs", "VSDTC"),
        loinc_of(DOMAIN),
    ),
)

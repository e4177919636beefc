"""FA, Findings About Events: stages of the organs in GVHD."""

from __future__ import annotations

import pandas as pd

from adapter.derive.terms import grade, grades
from adapter.spec import COLLECTED, Dataset, Inputs, Records, ValueLevel
from mappings.findings import result_variables, results
from mappings.links import stages
from mappings.parts import assigned, collected, identifiers, study_day_of, text
from mappings.timing import epoch_of, last_before_of, visit_of

DOMAIN = "FA"
STAGE = "DSSTAGE"


def findings(inputs: Inputs) -> Records:
    """Return one record per finding about an event: an Observation, or a stage of a Condition whose type says the organ."""
    made = results(inputs, DOMAIN)
    s = stages(inputs, inputs.records["CE"].frame)
    s = s[s["to_domain"] == DOMAIN]
    s = s.assign(orres=text(s["stage_text"]), value_code=s["stage"], dtc=s["recorded_dtc"], notes=None)
    o = pd.concat([made.frame, s], ignore_index=True)
    for column in (
        *("to_testcd", "to_test", "to_cat", "to_specimen", "to_detail", "orres", "orresu", "stresc", "stresu"),
        *("stat", "reasnd", "cat"),
    ):
        o[column] = text(o[column]) if column in o else ""
    o["obj"] = o["to_detail"].where(o["to_detail"] != "", o["cat"]).where(lambda t: t != "", o["to_cat"])
    staged = o["to_testcd"] == STAGE
    number = grades(o["orres"], marked=False)
    codes = text(o["value_code"]).str.split("|").str[-1]
    number = number.where(number != "", codes.map(lambda c: grade(c, marked=False)))
    o["stresc"] = number.where(staged & (number != ""), o["stresc"]).where(lambda t: t != "", o["orres"])
    return Records(o, None, made.dropped, made.issues)


DATASET = Dataset(
    name=DOMAIN,
    label="Findings About Events or Interventions",
    cls="FINDINGS ABOUT",
    structure="One record per finding, per object, per time point, per visit per subject",
    keys=("STUDYID", "USUBJID", "FAOBJ", "FATESTCD", "FALOC", "FADTC", "FAORRES"),
    records=findings,
    needs=("CE",),
    value_levels=tuple(ValueLevel(v, "FATESTCD") for v in ("FAORRES", "FASTRESC")),
    sequence="FASEQ",
    variables=(
        *identifiers(DOMAIN),
        assigned(
            "FATESTCD",
            "Findings About Test Short Name",
            "to_testcd",
            "Req",
            "Topic",
            "Observation.code",
            "Condition.stage.type",
            codelist="C101832",
        ),
        assigned(
            "FATEST",
            "Findings About Test Name",
            "to_test",
            "Req",
            "Synonym Qualifier",
            "Observation.code",
            "Condition.stage.type",
            codelist="C101833",
        ),
        assigned(
            "FAOBJ", "Object of the Observation", "obj", "Req", "Record Qualifier", "Observation.code", "Condition.code"
        ),
        assigned(
            "FACAT",
            "Category for Findings About",
            "to_cat",
            "Perm",
            "Grouping Qualifier",
            "Observation.code",
            "Condition.stage.type",
        ),
        *result_variables(DOMAIN, COLLECTED, "C71620", None, "Condition.stage.summary"),
        assigned(
            "FALOC",
            "Location of the Finding About",
            "to_specimen",
            "Perm",
            "Record Qualifier",
            "Observation.code",
            "Condition.stage.type",
            codelist="C74456",
        ),
        last_before_of(DOMAIN, "FATESTCD", "FAOBJ", "FALOC", core="Perm"),
        *visit_of("FADTC"),
        epoch_of("FADTC", finding=True),
        collected(
            "FADTC",
            "Date/Time of Collection",
            "dtc",
            "Exp",
            "Timing",
            "Observation.effective[x]",
            "Condition.recordedDate",
            comment="Of a stage that a Condition states, the day on which the Condition was recorded.",
        ),
        study_day_of("FADY", "Study Day of Collection", "FADTC"),
    ),
)

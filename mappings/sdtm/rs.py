"""RS, Disease Response and Clinical Classification: Karnofsky, disease assessments, overall grades of GVHD."""

from __future__ import annotations

import pandas as pd

from adapter.derive.judgements import judged
from adapter.derive.terms import grade, grades
from adapter.spec import COLLECTED, Dataset, Inputs, Records, ValueLevel, issues_of, joined, related_to
from mappings.findings import loinc_of, result_variables, results
from mappings.links import stages
from mappings.parts import assigned, collected, identifiers, study_day_of, text
from mappings.timing import epoch_of, last_before_of, visit_of

DOMAIN = "RS"
GRADE, GRADE_NAME = "GVHDGRD", "GVHD Overall Grade"
UNSPECIFIC = "GVHD SCALE"
RESPONSE = "DISEASE RESPONSE"


def responses(inputs: Inputs) -> Records:
    """Return one record per assessment (Observation), and per overall grade that a GVHD Condition states as its stage.

    A score that is no point of its scale stays as it was received and has no standard result.
    """
    made = results(inputs, DOMAIN)
    o = pd.concat([made.frame, _stated_grades(inputs)], ignore_index=True)
    for column in (
        "to_testcd",
        "to_test",
        "to_cat",
        "to_loinc",
        "orres",
        "orresu",
        "stresc",
        "stresu",
        "stat",
        "reasnd",
    ):
        o[column] = text(o[column])
    o["orresu"] = o["orresu"].where(o["orresu"] != "1", "")  # {score} is no unit
    response = o["to_cat"] == RESPONSE
    table = inputs.knowledge.codes["judgements"]
    said = judged(table, ("RSSTRESC",), text(o["value_code"]).where(response, ""), o["orres"].where(response, ""))
    o["stresc"] = said["RSSTRESC"].where(response & said["known"], o["stresc"])
    graded = o["to_testcd"] == GRADE
    o.loc[graded, "stresc"] = _graded(o[graded], inputs)
    off = _off_scale(o, inputs)
    o.loc[off, "stresc"] = ""
    why = "no point of the scale; the result as received stays"
    issues = [made.issues] if made.issues is not None else []
    issues.append(issues_of(o.index[off], o.loc[off, "USUBJID"].to_numpy(), "score-not-on-scale", why))
    return Records(o, None, made.dropped, joined(issues), None, _relapses(o, inputs))


RELAPSES = ("RELAPSED DISEASE", "MRD RELAPSE", "CLINICAL RELAPSE")


def _relapses(o: pd.DataFrame, inputs: Inputs) -> pd.DataFrame | None:
    """Return the relapse events (CE) that assessments of the same day belong with, where the event does not name them."""
    ce = inputs.records["CE"]
    events = ce.frame[ce.frame["cat"] == "RELAPSE"].assign(day=lambda f: f["start"].str.slice(0, 10))
    named = set() if ce.related is None else set(ce.related.loc[ce.related["resource"] == "Observation", "row"])
    found = o[o["stresc"].isin(RELAPSES) & ~((o["resource"] == "Observation") & o["row"].isin(named))]
    found = found.assign(day=text(found["dtc"]).str.slice(0, 10)).rename_axis("record").reset_index()
    both = found[found["day"].str.len() == 10][["record", "USUBJID", "day"]].merge(
        events[["USUBJID", "day", "row"]], on=["USUBJID", "day"]
    )
    return related_to(both["record"], "Condition", both["row"], "CE") if len(both) else None


def _stated_grades(inputs: Inputs) -> pd.DataFrame:
    """Return the stages of GVHD Conditions that are overall grades: of no kind of stage that belongs to another domain."""
    s = stages(inputs, inputs.records["CE"].frame)
    scales = {r["condition"]: r["scale"] for r in inputs.knowledge.codes["scales"]}
    s = s[(s["to_domain"] == DOMAIN) | ((s["to_domain"] == "") & s["cat"].isin(scales))].copy()
    plain = s["to_domain"] == ""
    s.loc[plain, "to_testcd"], s.loc[plain, "to_test"] = GRADE, GRADE_NAME
    s.loc[plain, "to_cat"] = s.loc[plain, "cat"].map(scales)
    return s.assign(orres=text(s["stage_text"]), value_code=s["stage"], dtc=s["recorded_dtc"], notes=None)


def _graded(o: pd.DataFrame, inputs: Inputs) -> pd.Series[str]:
    """Return grades in the terms of their scale (scales.csv): its grades from 0 up, or a word such as limited or severe."""
    codes = text(o["value_code"]).str.split("|").str[-1]
    number = grades(o["orres"], marked=False)
    number = number.where(number != "", codes.map(lambda c: grade(c, marked=False)))
    words = judged(inputs.knowledge.codes["judgements"], ("CGVHD",), pd.Series("", index=o.index), o["orres"])["CGVHD"]
    table = inputs.knowledge.codes["scales"]
    scale = {cat: table.get(cat) or table.get(UNSPECIFIC) for cat in o["to_cat"].unique()}
    named = {cat: dict(enumerate(row["grades"].split("|"))) for cat, row in scale.items() if row["grades"]}
    pairs = zip(o["to_cat"], number, strict=True)
    terms = [named[cat].get(int(n), "") if n and cat in named else n for cat, n in pairs]
    found = pd.Series(terms, index=o.index, dtype="str")
    first = o["to_cat"].map({cat: row["first"] for cat, row in scale.items()})
    return found.where(~((words != "") & ((number == "") | (first == "word"))), words)


def _off_scale(o: pd.DataFrame, inputs: Inputs) -> pd.Series[bool]:
    """Return which results of a test with a list of results (KPSS0101 -> KPSS0101STR) are none of it."""
    known = inputs.knowledge.terminology
    off = pd.Series(False, index=o.index)
    for test in o["to_testcd"].unique():
        if f"{test}STR" in known:
            terms = known.codelist(f"{test}STR").terms
            off |= (o["to_testcd"] == test) & (o["stresc"] != "") & ~o["stresc"].isin(terms)
    return off | ((o["to_testcd"] == GRADE) & (o["stresc"] == "") & (o["orres"] != ""))


VARIABLES = (
    *identifiers(DOMAIN),
    assigned(
        "RSTESTCD",
        "Assessment Short Name",
        "to_testcd",
        "Req",
        "Topic",
        "Observation.code",
        "Condition.stage.type",
        codelist="C96782 C100170",
    ),
    assigned(
        "RSTEST",
        "Assessment Name",
        "to_test",
        "Req",
        "Synonym Qualifier",
        "Observation.code",
        "Condition.stage.type",
        codelist="C96781 C100169",
    ),
    assigned(
        "RSCAT",
        "Category for Assessment",
        "to_cat",
        "Exp",
        "Grouping Qualifier",
        "Observation.code",
        "Condition.code",
        codelist="C124298 C118971",
    ),
    *result_variables(DOMAIN, COLLECTED, "C71620", "C96785 C182507", "Condition.stage.summary"),
    last_before_of(DOMAIN, "RSTESTCD", "RSCAT", core="Perm"),
    *visit_of("RSDTC"),
    epoch_of("RSDTC", finding=True),
    collected(
        "RSDTC",
        "Date/Time of Assessment",
        "dtc",
        "Exp",
        "Timing",
        "Observation.effective[x]",
        "Condition.recordedDate",
        comment="Of a grade that a Condition states as its stage, the day on which the Condition was recorded.",
    ),
    study_day_of("RSDY", "Study Day of Assessment", "RSDTC"),
    loinc_of(DOMAIN),
)

DATASET = Dataset(
    name=DOMAIN,
    label="Disease Response and Clin Classification",
    cls="FINDINGS",
    structure=(
        "One record per response assessment or clinical classification assessment per time point per visit per subject per "
        "assessor per medical evaluator"
    ),
    keys=("STUDYID", "USUBJID", "RSCAT", "RSTESTCD", "RSDTC", "RSORRES"),
    variables=VARIABLES,
    records=responses,
    needs=("CE",),
    value_levels=tuple(ValueLevel(v, "RSTESTCD") for v in ("RSORRES", "RSSTRESC")),
    sequence="RSSEQ",
)

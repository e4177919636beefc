"""IE, Inclusion/Exclusion Criteria Not Met: criteria that a subject violated, by the data or by the log (protocol §8)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.coding import coded
from adapter.derive.days import age_in_years, day_number
from adapter.derive.eligibility import MET, VIOLATED, above_limit, answered, by_age, by_presence, last_in_window
from adapter.derive.results import number_of
from adapter.spec import COLLECTED, PROTOCOL, Dataset, Inputs, Records, ValueLevel, Variable, issues_of, joined, path
from mappings.parts import identifiers, study_day_of, text
from mappings.timing import NY, epoch_of, participation, visit_of

DOMAIN = "IE"
INCLUSION = "INCLUSION"
DEFINED = "trial definition: criteria.csv"


def violations(inputs: Inputs) -> Records:
    """Return one record per criterion that a subject violated.

    Computed where the data decide, else by the enrolment log. A criterion of a randomised subject that neither decides
    is unknown, never taken as met: a data issue.
    """
    s = participation(inputs)
    rule = inputs.trial.eligibility
    found = {"age": _age(s, inputs), "transplant": by_presence(s["transplant"]), "consent": by_presence(s["consent"])}
    computed = {name: pd.DataFrame({"said": said, "label": -1}) for name, said in found.items()}
    computed["performance"], performance = _performance(s, inputs)
    computed["organ_function"], organs = _organs(s, inputs)
    sources = {"performance": performance, "organ_function": organs}
    rows: list[pd.DataFrame] = []
    against: list[tuple[str, str]] = []  # subject and criterion: met by the data, violated by the log
    unknown = pd.Series("", index=s.index)
    in_force = [c for c in inputs.trial.entry_criteria if rule.version == c.TIVERS]
    for c in in_force:
        log = answered(text(s.get(f"ie_{c.IETESTCD}", pd.Series("", index=s.index))), c.IECAT == INCLUSION)
        data = computed[c.rule] if c.rule else pd.DataFrame({"said": "", "label": -1}, index=s.index)
        said = data["said"].where(data["said"] != "", log)
        open_ = (said == "") & (text(s["randomisation"]) != "")
        unknown = unknown.where(~open_, unknown + " " + c.IETESTCD)
        one = _records(s[said == VIOLATED], c, data, sources.get(c.rule), s)
        differ = (data["said"] != "") & (log != "") & (data["said"] != log)
        one["contradicted"] = differ.reindex(one["USUBJID"]).to_numpy(dtype=bool)
        against += [(u, c.IETESTCD) for u in differ.index[differ & (said == MET)]]
        rows.append(one)
    made = pd.concat(rows, ignore_index=True)
    both = made.index[made["contradicted"].astype(bool)]
    issues = [issues_of(both, made.loc[both, "USUBJID"], "criterion-contradicted", CONTRADICTED)]
    who, why = [u for u, _ in against], [f"{code}: {CONTRADICTED}" for _, code in against]
    issues.append(issues_of(-1, who, "criterion-contradicted", why))
    open_ones = unknown[unknown != ""]
    issues.append(issues_of(-1, open_ones.index, "criterion-unknown", (f"{UNKNOWN}:" + open_ones).to_numpy()))
    return Records(made, issues=joined(issues))


CONTRADICTED = "the enrolment log answers the criterion otherwise than the data decide it; the data count"
UNKNOWN = "neither the data nor the enrolment log decide"


def _age(s: pd.DataFrame, inputs: Inputs) -> pd.Series[str]:
    age = age_in_years(s["birth_dtc"], s["consent"], inputs.trial.defaults.partial_birth_date)
    return by_age(age, inputs.trial.eligibility.age_min, inputs.trial.eligibility.age_max)


def _window(s: pd.DataFrame, inputs: Inputs) -> tuple[pd.Series[float], pd.Series[float]]:
    """Return the first and last day whose values can decide: up to randomisation, without one up to the last contact."""
    randomised = day_number(s["randomisation"])
    first = day_number(s["consent"]) - inputs.trial.eligibility.window_days
    return first, randomised.where(randomised.notna() | (s["arm"] != ""), s["last"])


def _performance(s: pd.DataFrame, inputs: Inputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what the last performance status says, and its Observations: violated at or below the limit.

    Above it nothing is decided, because the expected survival that the criterion also asks for is in no data.
    """
    rule = inputs.trial.eligibility
    o = inputs.frame("Observation")
    meaning = coded(inputs.knowledge.codes["observations"], o["code"], o["code_text"], only=("domain", "testcd"))
    o = o[(meaning["testcd"] == rule.performance_testcd) & (meaning["domain"] == "RS") & o["value"].notna()]
    o = o.assign(test=rule.performance_testcd, number=number_of(text(o["value"]))).sort_values(
        ["number", "dtc", "file", "line"], kind="stable"
    )
    last = last_in_window(o[o["number"].notna()], *_window(s, inputs)).drop_duplicates("USUBJID")
    bad = last[(last["number"] <= float(rule.performance_above)).to_numpy()]
    return _said(s, bad), bad


def _organs(s: pd.DataFrame, inputs: Inputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return whether the last liver and kidney values show severe dysfunction, and the results that do.

    Values below that decide nothing: they say nothing of the heart and of other organs.
    """
    rule = inputs.trial.eligibility
    lb = inputs.records["LB"].frame
    tests = {t: rule.severe_above[t] for t in (*rule.hepatic, *rule.renal) if t in rule.severe_above}
    lb = lb[lb["to_testcd"].isin(tests).to_numpy()].assign(test=lambda f: f["to_testcd"])
    last = last_in_window(lb, *_window(s, inputs))
    above = above_limit(text(last["stresc"]), text(last["st_high"]), last["test"].map(tests))
    bad = last[above.to_numpy()].sort_values(["test", "dtc", "file", "line"], kind="stable")
    return _said(s, bad.drop_duplicates("USUBJID")), bad.drop_duplicates("USUBJID")


def _said(s: pd.DataFrame, bad: pd.DataFrame) -> pd.DataFrame:
    label = pd.Series(bad.index.to_numpy(), index=bad["USUBJID"]).reindex(s.index)
    return pd.DataFrame({"said": np.where(label.notna(), VIOLATED, ""), "label": label.fillna(-1).astype("int64")})


def _records(
    violating: pd.DataFrame, c: Any, data: pd.DataFrame, source: pd.DataFrame | None, s: pd.DataFrame
) -> pd.DataFrame:
    """Return the records of one criterion; source: the results that decided it, else the Patient or the log did."""
    made = pd.DataFrame({"USUBJID": violating.index.to_numpy()})
    screened = text(violating["screening_date"]).where(text(violating["screening_date"]) != "", violating["consent"])
    made["dtc"], made["resource"], made["row"] = screened.to_numpy(), "", -1
    made["testcd"], made["test"], made["cat"] = c.IETESTCD, c.IETEST, c.IECAT
    made["orres"] = "N" if c.IECAT == INCLUSION else "Y"
    decided = (data["said"] == VIOLATED).reindex(made["USUBJID"]).to_numpy(dtype=bool)
    if source is None:
        # the age is the Patient's birth date; no other computed criterion can be violated by the data
        by_patient = decided & (violating["row"] >= 0).to_numpy()
        made["resource"] = np.where(by_patient, "Patient", "")
        made["row"] = np.where(by_patient, violating["row"].to_numpy(), -1)
    else:
        at = data["label"].reindex(made["USUBJID"]).to_numpy()[decided]
        for column in ("dtc", "resource", "row"):
            made.loc[decided, column] = source.loc[at, column].to_numpy()
    return made


def _char(name: str, label: str, column: str, core: Any, role: str, origin: Any, *where: str, **more: Any) -> Variable:
    return Variable(name, label, "Char", path(column, *where), origin, core, role, **more)


ANSWER = ("enrolment log: ie_<criterion>", "Patient.birthDate", "Observation.value[x]")

DATASET = Dataset(
    name=DOMAIN,
    label="Inclusion/Exclusion Criteria Not Met",
    cls="FINDINGS",
    structure="One record per inclusion/exclusion criterion not met per subject",
    keys=("STUDYID", "USUBJID", "IETESTCD"),
    records=violations,
    needs=("DM", "PR", "CM", "LB"),
    value_levels=(ValueLevel("IEORRES", "IETESTCD"),),
    sequence="IESEQ",
    variables=(
        *identifiers(DOMAIN),
        _char("IETESTCD", "Inclusion/Exclusion Criterion Short Name", "testcd", "Req", "Topic", PROTOCOL, DEFINED),
        _char("IETEST", "Inclusion/Exclusion Criterion", "test", "Req", "Synonym Qualifier", PROTOCOL, DEFINED),
        _char(
            "IECAT",
            "Inclusion/Exclusion Category",
            "cat",
            "Req",
            "Grouping Qualifier",
            PROTOCOL,
            DEFINED,
            codelist="C66797",
        ),
        _char(
            "IEORRES",
            "I/E Criterion Original Result",
            "orres",
            "Req",
            "Result Qualifier",
            COLLECTED,
            *ANSWER,
            codelist=NY,
            comment="Computed where the data decide: age at consent, the last performance status, the last liver and "
            "kidney values before randomisation; else the answer in the enrolment log.",
        ),
        _char(
            "IESTRESC",
            "I/E Criterion Result in Std Format",
            "orres",
            "Req",
            "Result Qualifier",
            COLLECTED,
            *ANSWER,
            codelist=NY,
        ),
        *visit_of("IEDTC", core="Perm"),
        epoch_of("IEDTC", finding=True),
        _char(
            "IEDTC",
            "Date/Time of Collection",
            "dtc",
            "Perm",
            "Timing",
            COLLECTED,
            "enrolment log: screening_date, consent_date",
            "Observation.effective[x]",
        ),
        study_day_of("IEDY", "Study Day of Collection", "IEDTC"),
    ),
)

"""DM, Demographics: one record per subject of the enrolment log, with the reference dates all else counts from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import age_in_years, day_number, day_texts, study_day
from adapter.derive.disposition import end_of_participation
from adapter.derive.exposure import first_treatments
from adapter.spec import (
    COLLECTED,
    DERIVED,
    PROTOCOL,
    Dataset,
    Inputs,
    Records,
    Variable,
    call,
    issues_of,
    joined,
    parents_of,
    path,
    setting,
)
from mappings.parts import assigned, collected, identifiers, text

DOMAIN = "DM"
LOG = "enrolment log: "


def subjects(inputs: Inputs) -> Records:
    """Return one record per subject: log, Patient, and the treatments that EX and CM hold.

    The Patient is the surviving record of a merge. RFSTDTC is the first study treatment of the subject's arm (trial:
    arms.*.treatment), else the randomisation date (protocol §2).
    """
    s = inputs.subjects.reset_index()
    s["row"] = _patient_rows(inputs, s)
    s["resource"] = "Patient"
    p = inputs.facts["Patient"].frame
    known = s["row"] >= 0
    picked = p.iloc[s.loc[known, "row"].to_numpy()]
    for column in ("gender", "birth_dtc", "deceased", "dtc", "day", "race", "ethnicity", "notes"):
        s[column] = pd.Series(picked[column].to_numpy(dtype=object), index=s.index[known]).reindex(s.index)
    s["deceased"] = s["deceased"].fillna(False).astype(bool)
    issues = [issues_of(s.index[~known], s.loc[~known, "USUBJID"], "no-patient-resource", NO_PATIENT)]
    undated = s["deceased"] & s["dtc"].isna()
    issues.append(issues_of(s.index[undated], s.loc[undated, "USUBJID"], "death-date-unknown", NO_DEATH_DATE))
    s["dthfl"] = np.where(s["deceased"], "Y", "")
    s["dthdtc"] = text(s["dtc"]).where(s["deceased"], "")
    _demographics(s, inputs)
    parents = _treatments(s, inputs, issues)
    _ends(s)
    no_age = known & age_in_years(s["birth_dtc"], s["consent_date"], inputs.trial.defaults.partial_birth_date).isna()
    issues.append(issues_of(s.index[no_age], s.loc[no_age, "USUBJID"], "age-unknown", NO_AGE))
    s["ageu"] = np.where(known & ~no_age, inputs.trial.defaults.age_unit, "")
    return Records(s, parents, issues=joined(issues))


NO_PATIENT = "the subject is in the log, but no Patient resource came in"
NO_DEATH_DATE = "the patient is dead; the date is not known"
NO_AGE = "age at consent cannot be computed: birth date or consent date is missing, partial or contradicts the other"
CONTACTS = ("consent_date", "screening_date", "randomisation_date", "withdrawal_date")
LIMITS = {"consent": "consent_date", "randomisation": "randomisation_date"}
"""arms.*.treatment.*.not_before -> the column of the log."""
MOST_RACES = 6
"""As many races as us-core-race can name (OMB's five and Other); each has its own RACEn."""


def _patient_rows(inputs: Inputs, s: pd.DataFrame) -> pd.Series[int]:
    """Return each subject's Patient row: the surviving record's, else another one (by content), -1 without any."""
    facts = inputs.facts["Patient"]
    survivors = dict(zip(s["USUBJID"], s["survivor"], strict=True))
    keyed = zip(facts.keyed.column("pat").to_pylist(), facts.keyed.column("sha").to_pylist(), strict=True)
    ranked = [
        (usubjid, key != survivors[usubjid], sha, row)
        for row, (usubjid, (key, sha)) in enumerate(zip(facts.frame["USUBJID"], keyed, strict=True))
    ]
    found: dict[str, int] = {}
    for usubjid, _, _, row in sorted(ranked):
        found.setdefault(usubjid, row)
    return s["USUBJID"].map(found).fillna(-1).astype("int64")


def _demographics(s: pd.DataFrame, inputs: Inputs) -> None:
    """Add sex, race and ethnic group as CDISC terms; several races are MULTIPLE, each in SUPPDM."""
    table = inputs.knowledge.codes["demographics"]
    terms = {(r["variable"], r["code"]): r["ct"] for r in table}
    s["sex"] = [terms.get(("SEX", g), "U") for g in text(s["gender"])]
    races = [sorted({terms[k] for c in t.split("\n") if (k := ("RACE", c)) in terms}) for t in text(s["race"])]
    default = inputs.trial.defaults.race or "UNKNOWN"
    s["race_ct"] = ["MULTIPLE" if len(r) > 1 else r[0] if r else default for r in races]
    for i in range(MOST_RACES):
        s[f"race{i + 1}"] = [r[i] if 1 < len(r) > i else "" for r in races]
    ethnic = [terms.get(("ETHNIC", t.split("\n")[0]), "") for t in text(s["ethnicity"])]
    s["ethnic"] = [e or inputs.trial.defaults.ethnicity for e in ethnic]


def _treatments(s: pd.DataFrame, inputs: Inputs, issues: list[pd.DataFrame]) -> pd.DataFrame | None:
    """Add rfstdtc, rfxstdtc, rfxendtc, actual arm and why an arm is empty; return the sources of the dates."""
    ex = _events(inputs, "EX")
    given = first_treatments(ex, pd.Series(dtype="str"), count_ongoing=False, limited=False)
    s["rfxstdtc"] = text(s["USUBJID"].map(given["first"]))
    s["rfxendtc"] = text(s["USUBJID"].map(given["last"]))
    parents = [
        _sources(inputs, "EX", s, given[record], variable)
        for variable, record in (("RFXSTDTC", "record"), ("RFXENDTC", "last_record"))
    ]
    received = {u: set(g) for u, g in ex.groupby("USUBJID")["product"]} if len(ex) else {}
    s["treated"], s["actual"] = "", ""
    started_by: dict[str, pd.DataFrame] = {}
    for code, arm in inputs.trial.arms.items():
        mine = s["arm"] == code
        for rule in arm.treatment.values():
            if rule.dataset == "EX":
                events = ex[ex["product"] == rule.product]
            else:
                events = _events(inputs, "CM", [inputs.trial.medications[m] for m in rule.medications])
            limited = rule.not_before is not None
            limits = s.set_index("USUBJID")[LIMITS[rule.not_before]] if limited else pd.Series(dtype="str")
            first = first_treatments(events, limits, rule.ongoing == "count_from_limit", limited)
            hit = mine & s["USUBJID"].isin(first.index)
            started = text(s["USUBJID"].map(first["first"]))
            better = hit & ((s["treated"] == "") | (started < s["treated"]))
            s.loc[better, "treated"] = started[better]
            s.loc[hit, "actual"] = code
            found = _sources(inputs, rule.dataset, s[better], first["record"], "RFSTDTC")
            for label, rows in found.groupby("record"):
                started_by[str(label)] = rows
    for code, arm in inputs.trial.arms.items():
        products = {r.product for r in arm.treatment.values() if r.dataset == "EX"}
        other = (
            (s["arm"] != "")
            & (s["arm"] != code)
            & s["USUBJID"].map(lambda u, p=products: bool(p & received.get(u, set())))
        )
        s.loc[other, "actual"] = code
        why = f"treated with the product of arm {code}"
        issues.append(issues_of(s.index[other], s.loc[other, "USUBJID"], "actual-arm-differs", why))
    unplanned = (s["actual"] == "") & s["USUBJID"].isin(list(received))
    s["actual_unplanned"] = text(s["USUBJID"].map({u: "; ".join(sorted(g)) for u, g in received.items()})).where(
        unplanned, ""
    )
    why = "treated with a trial product outside every planned arm"
    issues.append(issues_of(s.index[unplanned], s.loc[unplanned, "USUBJID"], "actual-arm-differs", why))
    sources = {"treatment": s["treated"], "randomisation": s["randomisation_date"], "consent": s["consent_date"]}
    s["rfstdtc"] = ""
    for name in inputs.trial.reference_dates.rfstdtc:
        s["rfstdtc"] = s["rfstdtc"].where((s["rfstdtc"] != "") | (s["arm"] == ""), sources[name])
    labels = {c: a.label for c, a in inputs.trial.arms.items()}
    s["arm_text"], s["actual_text"] = s["arm"].map(labels).fillna(""), s["actual"].map(labels).fillna("")
    failed = (s["arm"] == "") & (s["screen_failure_reason"] != "")
    s["armnrs"] = np.select(
        [unplanned, failed, s["arm"] == "", s["actual"] == ""],
        ["UNPLANNED TREATMENT", "SCREEN FAILURE", "NOT ASSIGNED", "ASSIGNED, NOT TREATED"],
        "",
    )
    return joined([*parents, *started_by.values()])


def _sources(inputs: Inputs, dataset: str, s: pd.DataFrame, records: pd.Series[Any], variable: str) -> pd.DataFrame:
    """Return where a date of some subjects comes from. records: USUBJID -> label of the record of EX or CM."""
    labels = s["USUBJID"].map(records).dropna()
    source = inputs.records[dataset].frame.loc[labels.to_numpy()]
    found = parents_of(labels.index, variable, "", source["row"].to_numpy())
    found["resource"] = source["resource"].to_numpy()
    return found


def _events(inputs: Inputs, dataset: str, groups: list[Any] | None = None) -> pd.DataFrame:
    """Return the records of EX or CM as treatment events; `groups` are medication groups of the trial."""
    frame = inputs.records[dataset].frame
    if groups is not None:
        wanted = pd.Series(False, index=frame.index)
        for g in groups:
            wanted |= (frame["cat"] == g.category) & (frame["decod"].isin(g.substances) if g.substances else True)
        frame = frame[wanted]
    events = frame[["USUBJID", "dtc", "end_dtc", "open"]].copy()
    events["product"], events["until"] = frame.get("product", ""), frame.get("until", "")
    events["record"] = frame.index
    return events


def _ends(s: pd.DataFrame) -> None:
    """Add last_contact (never after death), rfendtc (the same, of those randomised) and rfpendtc.

    The days of the log are contacts too: without any data RFENDTC is not before RFSTDTC.
    """
    log = pd.concat([day_number(s[c]) for c in CONTACTS], axis=1)
    log = log.where(log.le(s["cut"], axis=0))
    seen = day_texts(pd.concat([s["last_seen"], log], axis=1).max(axis=1))
    died = s["dthdtc"].str.slice(0, 10)
    full = died.str.len() == 10
    last = seen.where(~full | (seen <= died), died)
    s["last_contact"] = last.where(~full, died)
    s["rfendtc"] = s["last_contact"].where(s["rfstdtc"] != "", "")
    s["left"] = text(s["withdrawal_date"]).where(day_number(s["withdrawal_date"]) <= s["cut"], "")
    s["rfpendtc"] = end_of_participation(s["dthdtc"], s["left"], s["withdrawal_type"])


def _log(
    name: str, label: str, column: str, core: Any, role: str = "Record Qualifier", codelist: str | None = None
) -> Variable:
    return Variable(name, label, "Char", path(column, LOG + column), COLLECTED, core, role, codelist=codelist)


def reference_start(rfstdtc: pd.Series[Any]) -> pd.Series[Any]:
    """First study treatment of the subject's arm: for an arm with a trial product its first infusion; else the first \
conventional treatment given on or after randomisation, a course under way counting from the randomisation date; \
without any, the randomisation date; empty where the subject was not randomised."""
    return rfstdtc


def reference_end(rfendtc: pd.Series[Any]) -> pd.Series[Any]:
    """Last day on which a result, an administration or a procedure proves that the subject was seen or alive, never \
after the data cut; the day of death where the subject died."""
    return rfendtc


def first_exposure(rfxstdtc: pd.Series[Any]) -> pd.Series[Any]:
    """Start of the first EX record; empty in an arm whose treatment is conventional and lives in CM."""
    return rfxstdtc


def last_exposure(rfxendtc: pd.Series[Any]) -> pd.Series[Any]:
    """End of the last EX record (its start where no end is known)."""
    return rfxendtc


def actual_arm(actual: pd.Series[Any]) -> pd.Series[Any]:
    """Arm whose study treatment the subject received; empty where none was given."""
    return actual


def arm_null_reason(armnrs: pd.Series[Any]) -> pd.Series[Any]:
    """UNPLANNED TREATMENT where a trial product was given outside every planned arm, SCREEN FAILURE where the log \
gives a reason for it, NOT ASSIGNED where the subject was not randomised, ASSIGNED, NOT TREATED where no treatment of \
the arm was given."""
    return armnrs


def unplanned_arm(unplanned: pd.Series[Any]) -> pd.Series[Any]:
    """Trial products given to a subject outside every planned arm; empty otherwise."""
    return unplanned


def _derived(name: str, label: str, function: Any, column: str, core: Any = "Exp", **more: Any) -> Variable:
    return Variable(name, label, "Char", call(function, column), DERIVED, core, "Record Qualifier", **more)


DATASET = Dataset(
    name=DOMAIN,
    label="Demographics",
    cls="SPECIAL PURPOSE",
    structure="One record per subject",
    keys=("STUDYID", "USUBJID"),
    records=subjects,
    needs=("EX", "CM"),
    repeating=False,
    variables=(
        *identifiers(DOMAIN, sequence=False),
        assigned("SUBJID", "Subject Identifier for the Study", "subjid", "Req", "Topic", LOG + "subjid"),
        _derived("RFSTDTC", "Subject Reference Start Date/Time", reference_start, "rfstdtc"),
        _derived("RFENDTC", "Subject Reference End Date/Time", reference_end, "rfendtc"),
        _derived("RFXSTDTC", "Date/Time of First Study Treatment", first_exposure, "rfxstdtc"),
        _derived("RFXENDTC", "Date/Time of Last Study Treatment", last_exposure, "rfxendtc"),
        _log("RFICDTC", "Date/Time of Informed Consent", "consent_date", "Exp"),
        Variable(
            "RFPENDTC",
            "Date/Time of End of Participation",
            "Char",
            call(end_of_participation, "DTHDTC", "left", "withdrawal_type"),
            DERIVED,
            "Exp",
            "Record Qualifier",
        ),
        collected("DTHDTC", "Date/Time of Death", "dthdtc", "Exp", "Record Qualifier", "Patient.deceasedDateTime"),
        collected(
            "DTHFL", "Subject Death Flag", "dthfl", "Exp", "Record Qualifier", "Patient.deceased[x]", codelist="C66742"
        ),
        _log("SITEID", "Study Site Identifier", "siteid", "Req"),
        Variable(
            "AGE",
            "Age",
            "Num",
            call(age_in_years, "birth_dtc", "RFICDTC", partial=setting("defaults.partial_birth_date")),
            DERIVED,
            "Exp",
            "Record Qualifier",
        ),
        assigned("AGEU", "Age Units", "ageu", "Exp", "Variable Qualifier", "trial definition", codelist="C66781"),
        collected("SEX", "Sex", "sex", "Req", "Record Qualifier", "Patient.gender", codelist="C66731"),
        collected(
            "RACE",
            "Race",
            "race_ct",
            "Exp",
            "Record Qualifier",
            "Patient.extension(us-core-race)",
            codelist="C74457",
            comment="Where the hospital records none, the trial's default.",
        ),
        collected(
            "ETHNIC",
            "Ethnicity",
            "ethnic",
            "Perm",
            "Record Qualifier",
            "Patient.extension(us-core-ethnicity)",
            codelist="C66790",
        ),
        _log("ARMCD", "Planned Arm Code", "arm", "Exp", codelist="ARMCD"),
        assigned("ARM", "Description of Planned Arm", "arm_text", "Exp", "Synonym Qualifier", LOG + "arm"),
        _derived("ACTARMCD", "Actual Arm Code", actual_arm, "actual", codelist="ARMCD"),
        Variable(
            "ACTARM",
            "Description of Actual Arm",
            "Char",
            call(actual_arm, "actual_text"),
            DERIVED,
            "Exp",
            "Synonym Qualifier",
        ),
        _derived("ARMNRS", "Reason Arm and/or Actual Arm is Null", arm_null_reason, "armnrs", codelist="C142179"),
        _derived("ACTARMUD", "Description of Unplanned Actual Arm", unplanned_arm, "actual_unplanned"),
        Variable(
            "COUNTRY",
            "Country",
            "Char",
            setting("defaults.country"),
            PROTOCOL,
            "Req",
            "Record Qualifier",
            dictionary="ISO 3166",
        ),
        _log("DMDTC", "Date/Time of Collection", "screening_date", "Perm", "Timing"),
        Variable(
            "DMDY", "Study Day of Collection", "Num", call(study_day, "DMDTC", "RFSTDTC"), DERIVED, "Perm", "Timing"
        ),
        *(
            Variable(
                f"RACE{n}",
                f"Race {n}",
                "Char",
                path(f"race{n}", "Patient.extension(us-core-race)"),
                COLLECTED,
                supplemental=True,
            )
            for n in range(1, MOST_RACES + 1)
        ),
    ),
)

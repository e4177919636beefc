"""DS, Disposition: consent and randomisation, and how study treatment and study participation ended (protocol §4.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.coding import unmapped
from adapter.derive.days import day_number, day_text, day_texts
from adapter.derive.disposition import TREATMENT_ONLY, end_of_treatment
from adapter.derive.elements import element_spans
from adapter.derive.epochs import MILESTONE, epoch_of_disposition
from adapter.spec import DERIVED, Dataset, Inputs, Records, Variable, call, issues_of, joined, parents_of, ref, whole
from mappings.parts import assigned, collected, identifiers, study_day_of, text
from mappings.timing import EPOCH_TERMS, participation, planned_elements

DOMAIN = "DS"
EVENT, OTHER = "DISPOSITION EVENT", "OTHER EVENT"
TREATMENT, PARTICIPATION = "STUDY TREATMENT", "STUDY PARTICIPATION"
CONSENT, RANDOMIZED = "INFORMED CONSENT OBTAINED", "RANDOMIZED"
COMPLETED, DEATH, FAILED = "COMPLETED", "DEATH", "SCREEN FAILURE"
WITHDRAWN, NOT_TOLD = "WITHDRAWAL OF CONSENT", "REASON NOT RECORDED"
GIVEN = ("active", "inactive")
"""Statuses of a Consent that was given; a withdrawn one is inactive."""


def dispositions(inputs: Inputs) -> Records:
    """Return the milestones of each subject, and one disposition event each for treatment and for participation.

    There is no event for what goes on at the data cut, and none for what nobody knows the end of.
    """
    s = participation(inputs)
    s["reason"], s["term"], s["mapped"] = _reasons(s, inputs.trial)
    # a withdrawal that the log dates after the cut has not taken place yet
    s["withdrew"] = (s["reason"] != NOT_TOLD) | (s["left"] != "")
    s["withdrew"] &= (text(s["withdrawal_date"]) == "") | (s["left"] != "")
    # a death that the Patient resource tells is told once, by it
    s["withdrew"] &= ~(s["deceased"].astype(bool) & (s["term"] == DEATH))
    how = _treatment(s, inputs)
    rows = [
        _rows(s[s["consent"] != ""], CONSENT, CONSENT, MILESTONE, "", s["consent"]),
        _rows(s[s["randomisation"] != ""], RANDOMIZED, RANDOMIZED, MILESTONE, "", s["randomisation"]),
        _rows(s[how == COMPLETED], COMPLETED, COMPLETED, EVENT, TREATMENT, s["completed"]),
        _rows(s[how == "WITHDRAWAL"], s["reason"], s["term"], EVENT, TREATMENT, s["left"]),
        _rows(s[how == DEATH], DEATH, DEATH, EVENT, TREATMENT, text(s["dthdtc"]), dead=True),
        *_participation(s),
    ]
    made = pd.concat(rows, ignore_index=True)
    cut = made["USUBJID"].map(s["cut"]).astype("float64")  # of no records at all the type would be that of the names
    made = made[(day_number(made["dtc"]) <= cut) | (made["dtc"].str.len() < 10)]
    made["resource"], made["row"] = np.where(made["dead"], "Patient", ""), made["USUBJID"].map(s["row"])
    made["row"] = made["row"].where(made["dead"], -1).astype("int64")
    made, parents, issues = _consents(made.reset_index(drop=True), s, inputs)
    unknown = s[how == "UNKNOWN"]
    issues.append(issues_of(-1, unknown["USUBJID"].to_numpy(), "disposition-unknown", UNKNOWN))
    return Records(made, parents, issues=joined([*issues, *_contradictions(made, s)]), unmapped=_unmapped(made, s))


UNKNOWN = "study treatment ended before it was completed, and nothing says why; no disposition event"
AFTER_DEATH = "a result, administration or procedure is dated after the death"
LOG_ALONE = "the enrolment log says that the subject died, the Patient resource does not"
UNMAPPED = "the log's reason is in no row of dispositions.csv; DSDECOD is empty"


def _reasons(s: pd.DataFrame, trial: Any) -> tuple[pd.Series[str], pd.Series[str], pd.Series[bool]]:
    """Return the reason of leaving as the log gives it, its term of NCOMPLT (empty: unmapped), and whether it is mapped."""
    terms = {d.reason.strip().casefold(): d.DSDECOD for d in trial.dispositions}
    given = text(s["withdrawal_reason"]).str.strip()
    consent = text(s["withdrawal_type"]) == "consent"
    term = given.str.casefold().map(terms).astype("str")
    mapped = term.notna() | (given == "")
    reason = given.where(given != "", consent.map({True: WITHDRAWN, False: NOT_TOLD}).astype("str"))
    silent = consent.map({True: WITHDRAWN, False: ""}).astype("str")
    return reason.astype("str"), term.fillna("").where(given != "", silent).astype("str"), mapped


def _treatment(s: pd.DataFrame, inputs: Inputs) -> pd.Series[str]:
    """Add completed (when treatment was, text) and period_end; return how the treatment of those randomised ended."""
    trial = inputs.trial
    spans = element_spans(planned_elements(inputs, s))
    starts = {e.epoch for e in trial.elements.values() if e.starts == "reference_start" and not e.after_days}
    period = spans[spans["EPOCH"].isin(starts)].groupby("USUBJID")["until"].max() - 1
    s["period_end"] = period.reindex(s.index).fillna(np.inf)
    passed = (s["period_end"] < s["last"]) & (text(s["actual"]) != "")
    s["completed"] = day_texts(s["period_end"].where(passed))
    ec = inputs.records["EC"].frame
    doses = ec[(ec["occur"] == "Y") & ec["day"].notna()].sort_values(["USUBJID", "dtc"], kind="stable")
    for code, arm in trial.arms.items():
        products = sorted({r.product for r in arm.treatment.values() if r.product in trial.dosing})
        if not products:
            continue
        mine = s.index[s["arm"] == code]
        last = pd.DataFrame(index=mine)
        for product in products:
            given = doses[doses["product"] == product].groupby("USUBJID")
            enough = given["day"].nunique() >= len(trial.dosing[product].planned_days)
            last[product] = given["dtc"].last().where(enough).reindex(mine)
        s.loc[mine, "completed"] = last.max(axis=1, skipna=False).fillna("").astype("str").to_numpy()
    s["kind"], s["dead"], s["death"] = text(s["withdrawal_type"]), s["deceased"], text(s["dthdtc"])
    # who completed the study by the log may have left the treatment before
    leaving = s["withdrew"] & ((s["term"] != COMPLETED) | (s["kind"] == TREATMENT_ONLY))
    how = end_of_treatment(s.assign(withdrawal=s["left"], withdrew=leaving))
    return how.where(s["randomisation"] != "", "")


def _participation(s: pd.DataFrame) -> list[pd.DataFrame]:
    """Return how taking part ended: by leaving or death, what came first; a death after leaving is another event."""
    left = s["withdrew"].astype(bool) & (text(s["withdrawal_type"]) != TREATMENT_ONLY)
    dead = s["deceased"].astype(bool)
    failed = (text(s["arm"]) == "") & (text(s["screen_failure_reason"]) != "")
    died = text(s["dthdtc"])
    first = left & ~failed & ~(dead & (died != "") & (s["end"] == died))
    by_death = dead & ~first & ~failed
    return [
        _rows(s[failed], text(s["screen_failure_reason"]), FAILED, EVENT, PARTICIPATION, s["left"]),
        _rows(s[first], s["reason"], s["term"], EVENT, PARTICIPATION, s["left"]),
        _rows(s[by_death], DEATH, DEATH, EVENT, PARTICIPATION, died, dead=True),
        _rows(s[dead & (first | failed)], DEATH, DEATH, OTHER, "", died, dead=True),
    ]


def _rows(
    s: pd.DataFrame, term: Any, decod: Any, category: str, subcategory: str, dtc: pd.Series[str], dead: bool = False
) -> pd.DataFrame:
    """Return records of some subjects; term and decod are one text, or a text for each subject."""
    of = {k: v.reindex(s.index).to_numpy() if isinstance(v, pd.Series) else v for k, v in (("t", term), ("d", decod))}
    made = pd.DataFrame({"USUBJID": s.index, "dtc": text(dtc.reindex(s.index)).to_numpy()})
    return made.assign(dsterm=of["t"], decod=of["d"], cat=category, scat=subcategory, dead=dead)


def _consents(
    made: pd.DataFrame, s: pd.DataFrame, inputs: Inputs
) -> tuple[pd.DataFrame, pd.DataFrame | None, list[pd.DataFrame]]:
    """Add what Consent resources tell: the source of the log's consent, and a record of each later one.

    The log decides which consent was the first (DM.RFICDTC). One of another day is reported; an earlier one is no record.
    """
    c = inputs.frame("Consent")
    c = c[c["status"].isin(GIVEN) & c["dtc"].notna()]
    scopes = text(c["scope"]).str.split("\n")
    c = c[(scopes.map(lambda codes: codes == [""] or "research" in codes)).astype(bool)]
    c = c.sort_values(["USUBJID", "dtc", "file", "line"], kind="stable")
    c["at"] = text(c["dtc"]).str.slice(0, 10)
    logged = made[made["decod"] == CONSENT].drop_duplicates("USUBJID")
    label = c["USUBJID"].map(pd.Series(logged.index, index=logged["USUBJID"]))
    first = c["USUBJID"].map(s["consent"])
    same = (c["at"] == first) & label.notna()
    source = c[same].assign(label=label[same].astype("int64")).drop_duplicates("label")
    made.loc[source["label"], "resource"] = "Consent"
    made.loc[source["label"], "row"] = source["row"].to_numpy()
    copies = c[same & ~c.index.isin(source.index)]
    parents = [
        parents_of(label[copies.index].astype("int64").to_numpy(), "DSSTDTC", "Consent", copies["row"].to_numpy())
    ]
    issues = []
    for at, usubjid, where in zip(
        *(x[(c["at"] < first) & label.notna()] for x in (c["at"], c["USUBJID"], label)), strict=True
    ):
        issues.append(issues_of([int(where)], [usubjid], "consent-differs", f"another Consent to research is of {at}"))
    later = c[(c["at"] > first) | label.isna()].drop_duplicates(["USUBJID", "at"])
    more = _rows(s.loc[later["USUBJID"]], CONSENT, CONSENT, MILESTONE, "", s["consent"])
    more["dtc"], more["resource"], more["row"] = text(later["dtc"]).to_numpy(), "Consent", later["row"].to_numpy()
    made = pd.concat([made, more], ignore_index=True)
    new = made.index[-len(more) :] if len(more) else made.index[:0]
    issues.append(
        issues_of(new, made.loc[new, "USUBJID"], "consent-differs", "a Consent to research later than the log's")
    )
    return made, joined(parents), issues


def _contradictions(made: pd.DataFrame, s: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the issues of deaths: before the last result, or only in the log; and of reasons that no table knows."""
    death = made[(made["decod"] == DEATH) & made["dead"]].drop_duplicates("USUBJID")
    seen = death["USUBJID"].map(s["last_seen"]).map(day_text)
    length = death["dtc"].str.len().clip(upper=10)
    late = [bool(d) and bool(t) and t[:n] > d[:n] for d, t, n in zip(death["dtc"], seen, length, strict=True)]
    after = death[np.array(late, dtype=bool)]
    alone = made[(made["decod"] == DEATH) & ~made["dead"] & ~made["USUBJID"].map(s["deceased"]).astype(bool)]
    silent = made[(made["cat"] == EVENT) & (made["decod"] == "")]
    return [
        issues_of(after.index, after["USUBJID"], "death-before-last-fact", AFTER_DEATH),
        issues_of(alone.index, alone["USUBJID"], "death-only-in-log", LOG_ALONE),
        issues_of(silent.index, silent["USUBJID"], "disposition-unmapped", UNMAPPED),
    ]


def _unmapped(made: pd.DataFrame, s: pd.DataFrame) -> pd.DataFrame | None:
    silent = made[(made["cat"] == EVENT) & (made["decod"] == "") & (made["dsterm"] != NOT_TOLD)]
    one = silent.drop_duplicates("USUBJID")
    return unmapped("enrolment log", pd.Series("", index=one.index), one["dsterm"], used=True) if len(one) else None


LOG_REASON = "enrolment log: withdrawal_reason, screen_failure_reason"

DATASET = Dataset(
    name=DOMAIN,
    label="Disposition",
    cls="EVENTS",
    structure="One record per disposition status or protocol milestone per subject",
    keys=("STUDYID", "USUBJID", "DSSTDTC", "DSCAT", "DSSCAT", "DSDECOD", "DSTERM"),
    records=dispositions,
    needs=("DM", "EC", "PR", "CM"),
    sequence="DSSEQ",
    variables=(
        *identifiers(DOMAIN),
        collected(
            "DSTERM",
            "Reported Term for the Disposition Event",
            "dsterm",
            "Req",
            "Topic",
            LOG_REASON,
            "Patient.deceased[x]",
            "Consent.status",
        ),
        assigned(
            "DSDECOD",
            "Standardized Disposition Term",
            "decod",
            "Req",
            "Synonym Qualifier",
            "trial definition: dispositions.csv",
            codelist="C66727 C114118 C150811",
            comment="A reason of the log that dispositions.csv does not know leaves it empty, with a data issue.",
        ),
        assigned(
            "DSCAT",
            "Category for Disposition Event",
            "cat",
            "Exp",
            "Grouping Qualifier",
            codelist="C74558",
            comment="Consent and randomisation are milestones; a death after the end of participation is another event.",
        ),
        assigned(
            "DSSCAT",
            "Subcategory for Disposition Event",
            "scat",
            "Perm",
            "Grouping Qualifier",
            codelist="C170443",
            comment="A disposition event is of the study treatment or of the study participation.",
        ),
        Variable(
            "EPOCH",
            "Epoch",
            "Char",
            call(epoch_of_disposition, "USUBJID", "DSSTDTC", whole("SE"), ref("DM.RFSTDTC"), "DSCAT"),
            DERIVED,
            "Perm",
            "Timing",
            codelist=EPOCH_TERMS,
        ),
        collected(
            "DSSTDTC",
            "Start Date/Time of Disposition Event",
            "dtc",
            "Exp",
            "Timing",
            "enrolment log: consent_date, randomisation_date, withdrawal_date",
            "Patient.deceasedDateTime",
            "Consent.dateTime",
            comment="Completed study treatment: the last planned administration, in an arm without a trial product the "
            "last day of the treatment period.",
        ),
        study_day_of("DSSTDY", "Study Day of Start of Disposition Event", "DSSTDTC", core="Exp"),
    ),
)

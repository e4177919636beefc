"""DD, Death Details: the primary cause of death, where a record tells it."""

from __future__ import annotations

import pandas as pd

from adapter.derive.terms import english
from adapter.spec import Dataset, Inputs, Records, ValueLevel, issues_of, joined, related_to
from mappings.coding import originals
from mappings.findings import results
from mappings.parts import assigned, collected, identifiers, reasons, study_day_of, text

DOMAIN = "DD"
CAUSE, CAUSE_NAME = "PRCDTH", "Primary Cause of Death"


def causes(inputs: Inputs) -> Records:
    """Return the primary cause of death of each subject for whom one is told: by an Observation of it, else a fatal event.

    Of several fatal events the one that began last stands, and it is reported. A subject who is dead without any is reported.
    """
    told = results(inputs, DOMAIN)
    o = told.frame.assign(rank=0, stresc=lambda f: f["orres"], when=lambda f: text(f["dtc"]))
    o[["to_testcd", "to_test"]] = o[["to_testcd", "to_test"]].astype("str")
    ae = inputs.records["AE"].frame
    a = ae[ae["aesdth"] == "Y"].assign(rank=1, to_testcd=CAUSE, to_test=CAUSE_NAME, notes=None)
    a["orres"], a["when"] = a["term"], a["dtc"]
    a["stresc"] = a["pt"].where(a["pt"] != "", a["term"])
    a["dtc"] = a["recorded_dtc"].where(a["recorded_dtc"] != "", a["detected_dtc"])
    a["code_text"] = a["term"]
    found = pd.concat([o, a], ignore_index=True)
    primary = found[found["to_testcd"] == CAUSE].sort_values(["USUBJID", "rank", "when"], kind="stable")
    best = primary.groupby("USUBJID")["rank"].transform("min")
    primary = primary[primary["rank"] == best]
    kept = primary.drop_duplicates("USUBJID", keep="last")
    several = primary.loc[primary["USUBJID"].duplicated(keep="last"), "USUBJID"].unique()
    frame = pd.concat([kept, found[found["to_testcd"] != CAUSE]], ignore_index=True)
    said = english(inputs.knowledge.dictionaries, frame["orres"])
    told_here = frame["rank"] == 0
    frame["orres"], frame["original"] = said["text"], said["original"].where(told_here, "")
    frame["stresc"] = said["text"].where(told_here, frame["stresc"])
    odd = frame.index[(frame["to_testcd"] == CAUSE) & frame["USUBJID"].isin(several)]
    dm = inputs.records["DM"].frame
    dead = dm.loc[dm["deceased"].astype(bool), "USUBJID"]
    silent = dead[~dead.isin(frame["USUBJID"])]
    alive = frame.index[(frame["rank"] == 1) & ~frame["USUBJID"].isin(dead)]
    why = "dead, and neither an Observation nor a fatal event tells the cause"
    issues = [
        issues_of(
            odd, frame.loc[odd, "USUBJID"].to_numpy(), "cause-of-death-several", "the one that began last stands"
        ),
        issues_of(-1, silent.to_numpy(), "cause-of-death-unknown", why),
        issues_of(
            alive, frame.loc[alive, "USUBJID"].to_numpy(), "death-not-recorded", "the Patient is not said to be dead"
        ),
    ]
    fatal = frame[frame["rank"] == 1]
    related = related_to(fatal.index, "", fatal["row"]).assign(resource=fatal["resource"].to_numpy())
    outranked = o.loc[o["to_testcd"] == CAUSE, "row"]
    outranked = outranked[~outranked.isin(kept.loc[kept["rank"] == 0, "row"])]
    lost = {"Observation": pd.concat([told.dropped["Observation"], reasons(outranked, "outranked-cause")])}
    return Records(frame, originals(frame, "DDORRES"), lost, joined([*_own(told), *issues]), None, related)


def _own(told: Records) -> list[pd.DataFrame]:
    """Return the issues of the Observations; their labels are those of the first records only where nothing was left out."""
    return [] if told.issues is None else [told.issues.assign(record=-1)]


DATASET = Dataset(
    name=DOMAIN,
    label="Death Details",
    cls="FINDINGS",
    structure="One record per finding per subject",
    keys=("STUDYID", "USUBJID", "DDTESTCD", "DDDTC"),
    records=causes,
    needs=("AE", "DM"),
    value_levels=tuple(ValueLevel(v, "DDTESTCD") for v in ("DDORRES", "DDSTRESC")),
    sequence="DDSEQ",
    variables=(
        *identifiers(DOMAIN),
        assigned(
            "DDTESTCD",
            "Death Detail Assessment Short Name",
            "to_testcd",
            "Req",
            "Topic",
            "Observation.code",
            "AdverseEvent.outcome",
            codelist="C116108",
        ),
        assigned(
            "DDTEST",
            "Death Detail Assessment Name",
            "to_test",
            "Req",
            "Synonym Qualifier",
            "Observation.code",
            "AdverseEvent.outcome",
            codelist="C116107",
        ),
        collected(
            "DDORRES",
            "Result or Finding as Collected",
            "orres",
            "Exp",
            "Result Qualifier",
            "Observation.value[x]",
            "AdverseEvent.event",
        ),
        assigned(
            "DDSTRESC",
            "Character Result/Finding in Std Format",
            "stresc",
            "Exp",
            "Result Qualifier",
            "Observation.value[x]",
            "AdverseEvent.event",
            comment="Of a fatal event, its preferred term where it is coded.",
        ),
        collected(
            "DDDTC",
            "Date/Time of Collection",
            "dtc",
            "Exp",
            "Timing",
            "Observation.effective[x]",
            "AdverseEvent.recordedDate",
        ),
        study_day_of("DDDY", "Study Day of Collection", "DDDTC"),
    ),
)

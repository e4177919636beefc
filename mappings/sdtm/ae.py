"""AE, Adverse Events: AdverseEvents that took place, with what their resulting Conditions and the stays in hospital add."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.coding import unmapped
from adapter.derive.days import day_number
from adapter.derive.diagnoses import diagnosed
from adapter.derive.judgements import CRITERIA, closest, judged, serious
from adapter.derive.stays import kinds_of_stay
from adapter.derive.terms import english, grades
from adapter.spec import (
    COLLECTED,
    DERIVED,
    NOT_AVAILABLE,
    Dataset,
    Inputs,
    Records,
    Variable,
    call,
    issues_of,
    joined,
    parents_of,
    path,
    related_to,
    setting,
)
from mappings.coding import decoded, level, originals, uncoded, with_terms
from mappings.conditions import EVENT, routed
from mappings.links import ids_of, rows_named
from mappings.parts import identifiers, said_in_words, study_day_of, text
from mappings.sdtm.ec import product_of
from mappings.timing import epoch_of

DOMAIN = "AE"
OVER = ("RECOVERED/RESOLVED", "RECOVERED/RESOLVED WITH SEQUELAE", "FATAL")
GOES_ON = ("NOT RECOVERED/NOT RESOLVED", "RECOVERING/RESOLVING")
JUDGED = {"severity": ("AESEV",), "outcome": ("AEOUT",), "seriousness": ("AESER", *CRITERIA)}


def adverse_events(inputs: Inputs) -> Records:
    """Return one record per AdverseEvent that took place; where the trial says so, also per unlinked Condition.

    R4 has no end and no grade on an AdverseEvent: both come from the Conditions that resulted, a grade also from an
    extension that the trial names. Severity is no grade and never becomes one.
    """
    a = inputs.frame("AdverseEvent")
    a = a[a["element"] == ""]
    if inputs.trial.safety.unlinked_conditions == "adverse_event":
        c = routed(inputs)
        a = pd.concat([a, c[c["ae"]]])
    a = a.reset_index(drop=True)
    for name in (
        *("dtc", "end_dtc", "words", "end_words", "detected_dtc", "recorded_dtc", "grade", "clinical", "conditions"),
        *("severity", "severity_text", "outcome", "outcome_text", "seriousness", "seriousness_text", "encounter"),
    ):
        a[name] = text(a[name]) if name in a else ""
    own = a["resource"] == "Condition"  # such an event is its own Condition
    a.loc[own, "conditions"] = ids_of(inputs, "Condition", a.loc[own, "row"])
    a = with_terms(a, inputs)
    a["cat"] = _category(a, inputs)
    missing = [uncoded(a), *_judgements(a, inputs)]
    linked = _conditions(a, inputs)
    parents = [originals(a, "AETERM"), *_times(a, linked)]
    issues = _grades(a, linked, parents, inputs)
    related = [related_to(linked["record"], "Condition", linked["row"])]
    issues += _admissions(a, linked, parents, related, inputs)
    issues += _suspects(a, missing, inputs)
    issues += _checks(a, inputs)
    a[["enrtpt", "entpt"]] = _ends(a, linked, inputs.subjects["cut_date"])
    return Records(a, joined(parents), {}, joined(issues), joined(missing), joined(related))


def _category(a: pd.DataFrame, inputs: Inputs) -> pd.Series[str]:
    """Return AECAT: the kind of event of interest, by code or term, else by the system organ class it is coded to."""
    table = inputs.knowledge.codes["conditions"]
    named = diagnosed(table, a["code"], a["code_text"])
    by_class = diagnosed(table, pd.Series("", index=a.index), a["soc"])
    kinds = [d["cat"].where(d["domain"] == EVENT, "") for d in (named, by_class)]
    return kinds[0].where(kinds[0] != "", kinds[1]).str.split(";").str[0].astype("str")


def _judgements(a: pd.DataFrame, inputs: Inputs) -> list[pd.DataFrame]:
    """Add severity, outcome and the criteria of seriousness as CDISC terms; return the codes that no table knows."""
    missing = []
    for name, variables in JUDGED.items():
        found = judged(inputs.knowledge.codes["judgements"], variables, a[name], a[f"{name}_text"])
        for v in variables:
            a[v.lower()] = found[v]
        lost = ~found["known"] & ((a[name] != "") | (a[f"{name}_text"] != ""))
        if name == "severity":  # what a Condition gives as its grade is read as such, or reported
            lost &= (a["resource"] != "Condition") | (grades(a["severity_text"]) == "")
        for kind, g in a[lost].groupby("resource", sort=True):
            missing.append(unmapped(str(kind), g[name], g[f"{name}_text"], used=True))
    criteria = [c.lower() for c in CRITERIA]
    # a fatal outcome is a death, whether it was also ticked as a criterion or not
    a.loc[a["aeout"] == "FATAL", "aesdth"] = "Y"
    a["reported"] = a["aeser"].where(a["aeser"] != "", (a[criteria] == "Y").any(axis=1).map({True: "Y", False: ""}))
    return missing


def _conditions(a: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Return the Conditions that resulted from each event: record, row, and what they say."""
    named = rows_named(inputs, "Condition", a["conditions"], whole=True)
    facts = inputs.facts["Condition"].frame
    said = facts[["dtc", "end_dtc", "clinical", "open", "severity_text", "file", "line"]].iloc[named["row"].to_numpy()]
    found = pd.concat([named, said.reset_index(drop=True)], axis=1)
    for name in ("dtc", "end_dtc", "clinical", "severity_text"):
        found[name] = text(found[name])
    return found


def _times(a: pd.DataFrame, linked: pd.DataFrame) -> list[pd.DataFrame]:
    """Add start and end; return where they come from. An event has ended where all its Conditions have."""
    starts = linked[linked["dtc"] != ""].sort_values(["record", "dtc"], kind="stable").drop_duplicates("record")
    starts = starts[(a["dtc"].reindex(starts["record"]) == "").to_numpy()]
    a.loc[starts["record"], "dtc"] = starts["dtc"].to_numpy()
    over = linked[~linked["record"].isin(linked.loc[linked["end_dtc"] == "", "record"])]
    ends = over.sort_values(["record", "end_dtc"], kind="stable").drop_duplicates("record", keep="last")
    ends = ends[(a["end_dtc"].reindex(ends["record"]) == "").to_numpy()]
    a.loc[ends["record"], "end_dtc"] = ends["end_dtc"].to_numpy()
    return [
        parents_of(f["record"].to_numpy(), v, "Condition", f["row"].to_numpy(), instead=True)
        for f, v in ((starts, "AESTDTC"), (ends, "AEENDTC"))
    ]


def _grades(a: pd.DataFrame, linked: pd.DataFrame, parents: list[pd.DataFrame], inputs: Inputs) -> list[pd.DataFrame]:
    """Add the toxicity grade: of the extension, else of the severity or stage of a resulting Condition; never of severity.

    What is none of 1 to 5, or what several sources say differently, is left empty and reported.
    """
    facts = inputs.facts["Condition"].frame
    stages = facts.loc[text(facts["element"]).str.startswith("stage["), ["file", "line", "stage_text"]]
    said = linked[["record", "row", "file", "line", "severity_text"]].merge(stages, how="left", on=["file", "line"])
    told = pd.concat([said["severity_text"], text(said["stage_text"])])
    told = pd.DataFrame({"grade": grades(told)}, index=told.index).join(said[["record", "row"]])
    told = told[told["grade"] != ""].drop_duplicates(["record", "grade"])
    own = grades(a["grade"])
    told = told[(own.reindex(told["record"]) == "").to_numpy() & (a["grade"].reindex(told["record"]) == "").to_numpy()]
    several = told["record"][told["record"].duplicated(keep=False)].unique()
    used = told[~told["record"].isin(several)]
    a["toxgr"] = own
    a.loc[used["record"], "toxgr"] = used["grade"].to_numpy()
    parents.append(parents_of(used["record"].to_numpy(), "AETOXGR", "Condition", used["row"].to_numpy(), instead=True))
    wrong = ((a["toxgr"] != "") & ~a["toxgr"].isin(list("12345"))) | ((own == "") & (a["grade"] != ""))
    wrong |= a.index.isin(several)
    a.loc[wrong, "toxgr"] = ""
    unknown = (a["toxgr"] != "") & ~_is_ctcae(a, inputs)
    why = "it is none of 1 to 5, or several are given"
    return [
        issues_of(a.index[wrong], a.loc[wrong, "USUBJID"].to_numpy(), "grade-not-read", why),
        issues_of(
            a.index[unknown],
            a.loc[unknown, "USUBJID"].to_numpy(),
            "ctcae-term-unknown",
            "the term is not in ctcae.csv: what the grade stands for cannot be checked",
        ),
    ]


def _is_ctcae(a: pd.DataFrame, inputs: Inputs) -> pd.Series[bool]:
    """Return which terms the sponsor's list of CTCAE terms has; all where there is no list."""
    known = inputs.knowledge.dictionaries.ctcae
    terms = [a["term"], a["llt"], a["pt"]]
    found = pd.concat([t.str.casefold().str.strip().isin(known) for t in terms], axis=1).any(axis=1)
    return found | (not known)


def _admissions(
    a: pd.DataFrame, linked: pd.DataFrame, parents: list[pd.DataFrame], related: list[pd.DataFrame], inputs: Inputs
) -> list[pd.DataFrame]:
    """Set AESHOSP where a stay in hospital began because of the event, as the Encounter itself says; planned ones aside.

    A stay in which an event was merely written down is no evidence: where it began on or after the event, it is reported.
    """
    e = inputs.facts["Encounter"].frame
    stay = kinds_of_stay(inputs.knowledge.codes["encounters"], e["code"], e["code_text"]).fillna("") != ""
    reason = text(e["indication"]).str.casefold()
    planned = pd.Series(False, index=e.index)
    for p in inputs.trial.safety.planned_admissions:
        planned |= reason.str.contains(p.casefold(), regex=False)
    e = e[stay & ~planned & (e["element"] == "")]
    because = rows_named(inputs, "Condition", e["reasons"], whole=True).rename(columns={"record": "stay"})
    hits = linked[["record", "row"]].merge(because, on="row")
    start, begun = day_number(a["dtc"]), day_number(text(e["dtc"]))
    # a stay that had begun before cannot have been needed because of the event
    late = begun.reindex(hits["stay"]).to_numpy() >= start.reindex(hits["record"]).fillna(-np.inf).to_numpy()
    hits = hits[late].drop_duplicates(["record", "stay"])
    a.loc[hits["record"], "aeshosp"] = "Y"
    parents.append(parents_of(hits["record"].to_numpy(), "AESHOSP", "Encounter", hits["stay"].to_numpy()))
    related.append(related_to(hits["record"], "Encounter", hits["stay"]))
    within = rows_named(inputs, "Encounter", a["encounter"], whole=True)
    within = within[within["row"].isin(e.index)]
    after = begun.reindex(within["row"]).to_numpy() >= start.reindex(within["record"]).to_numpy()
    open_ = (a["aeshosp"].reindex(within["record"]) != "Y").to_numpy()
    doubt = within.loc[after & open_, "record"].drop_duplicates().to_numpy()
    why = "written down in a stay that began on or after it; the Encounter does not say why"
    return [issues_of(doubt, a.loc[doubt, "USUBJID"].to_numpy(), "hospitalisation-suspected", why)]


def _suspects(a: pd.DataFrame, missing: list[pd.DataFrame], inputs: Inputs) -> list[pd.DataFrame]:
    """Add the relationship to the trial's products (AEREL) and to other treatments (AERELNST), each as it was judged."""
    s = inputs.frame("AdverseEvent")
    s = s[text(s["element"]).str.startswith("suspectEntity[")].reset_index(drop=True)
    place = a.loc[a["resource"] == "AdverseEvent", ["file", "line"]].rename_axis("record").reset_index()
    s = s.merge(place, on=["file", "line"])
    for kind in GIVEN:
        given = rows_named(inputs, kind, s["suspect"], whole=True)
        facts = inputs.facts[kind].frame.iloc[given["row"].to_numpy()]
        for column, source in (("suspect_code", "code"), ("suspect_text", "code_text")):
            s.loc[given["record"], column] = facts[source].to_numpy()
    s["code"], s["code_text"], s["lot"] = s["suspect_code"], s["suspect_text"], None
    s["product"] = product_of(s, inputs.trial.products, inputs.knowledge.codes)
    found = judged(inputs.knowledge.codes["judgements"], ("AEREL",), s["causality"], s["causality_text"])
    s["rel"] = found["AEREL"]
    said = s["causality"].notna() | s["causality_text"].notna()
    lost = said & ~found["known"]
    missing.append(unmapped("AdverseEvent", s.loc[lost, "causality"], s.loc[lost, "causality_text"], used=True))
    named = english(inputs.knowledge.dictionaries, text(s["code_text"]))["text"]
    ours = s[s["product"] != ""].groupby("record")["rel"].agg(list)
    a["rel"] = text(ours.map(closest).reindex(a.index))
    other = s[(s["product"] == "") & (named != "") & (s["rel"] != "")]
    lines = (other["rel"] + ": " + named.loc[other.index]).groupby(other["record"]).agg("; ".join)
    a["relnst"] = text(lines.reindex(a.index))
    nobody = s.loc[said & (s["product"] == "") & (named == ""), "record"].drop_duplicates().to_numpy()
    why = "what is suspected did not come in and has no name; its relationship was left out"
    return [issues_of(nobody, a.loc[nobody, "USUBJID"].to_numpy(), "suspect-unresolved", why)]


GIVEN = ("MedicationAdministration", "MedicationStatement")
"""Resource types that a suspect may name instead of a Medication."""


def _checks(a: pd.DataFrame, inputs: Inputs) -> list[pd.DataFrame]:
    met = (a[[c.lower() for c in CRITERIA]] == "Y").any(axis=1)
    start, end = day_number(a["dtc"]), day_number(a["end_dtc"])
    noted = text(a["notes"]).str.contains("end-before-start", regex=False)
    checks = (
        ((a["reported"] == "Y") & ~met, "seriousness-criterion-unknown", "serious, without a criterion"),
        ((a["aeser"] == "N") & met, "seriousness-contradicted", "reported as not serious, but a criterion is met"),
        ((end < start) & ~noted, "end-before-start", "the Condition that resulted ended before the event"),
    )
    return [issues_of(a.index[w], a.loc[w, "USUBJID"].to_numpy(), code, why) for w, code, why in checks]


def _ends(a: pd.DataFrame, linked: pd.DataFrame, cuts: pd.Series[str]) -> pd.DataFrame:
    """Return --ENRTPT and --ENTPT: whether the event went on at the subject's data cut, where outcome or Condition says."""
    cut = text(cuts.reindex(a["USUBJID"])).set_axis(a.index)
    active = linked.loc[linked["open"].fillna(False).astype(bool), "record"].unique()
    goes_on = a["aeout"].isin(GOES_ON) | ((a["aeout"] == "") & a.index.isin(active))
    known = np.select([a["end_dtc"] != "", goes_on, a["aeout"].isin(OVER)], ["", "ONGOING", "BEFORE"], "")
    said = pd.Series(known, index=a.index, dtype="str")
    return pd.DataFrame({"enrtpt": said, "entpt": cut.where(said != "", "")})


def _char(
    name: str, label: str, column: str, core: Any, role: str, *fhir: str, codelist: str | None = None
) -> Variable:
    return Variable(name, label, "Char", path(column, *fhir), COLLECTED, core, role, codelist=codelist)


def _criterion(name: str, label: str, *more: str) -> Variable:
    fhir = ("AdverseEvent.seriousness", *more)
    return _char(name, label, name.lower(), "Perm", "Record Qualifier", *fhir, codelist="C66742")


VARIABLES = (
    *identifiers(DOMAIN),
    Variable(
        "AETERM",
        "Reported Term for the Adverse Event",
        "Char",
        path("term", "AdverseEvent.event", "Condition.code"),
        COLLECTED,
        "Req",
        "Topic",
        comment="In English where the sponsor translates it; the text as it came is in the trace.",
    ),
    level("AELLT", "Lowest Level Term", "llt", "Exp"),
    level("AELLTCD", "Lowest Level Term Code", "llt_code", "Exp"),
    decoded("AEDECOD", "Dictionary-Derived Term", "Req"),
    level("AEPTCD", "Preferred Term Code", "pt_code", "Exp"),
    level("AEHLT", "High Level Term", "hlt", "Exp"),
    level("AEHLTCD", "High Level Term Code", "hlt_code", "Exp"),
    level("AEHLGT", "High Level Group Term", "hlgt", "Exp"),
    level("AEHLGTCD", "High Level Group Term Code", "hlgt_code", "Exp"),
    _char(
        "AECAT",
        "Category for Adverse Event",
        "cat",
        "Perm",
        "Grouping Qualifier",
        "AdverseEvent.event",
        "Condition.code",
    ),
    level("AEBODSYS", "Body System or Organ Class", "soc", "Exp", "Record Qualifier", dictionary=False),
    level("AEBDSYCD", "Body System or Organ Class Code", "soc_code", "Exp"),
    level("AESOC", "Primary System Organ Class", "soc", "Exp"),
    level("AESOCCD", "Primary System Organ Class Code", "soc_code", "Exp"),
    _char(
        "AESEV",
        "Severity/Intensity",
        "aesev",
        "Perm",
        "Record Qualifier",
        "AdverseEvent.severity",
        "Condition.severity",
        codelist="C66769",
    ),
    Variable(
        "AESER",
        "Serious Event",
        "Char",
        call(
            serious,
            "reported",
            *CRITERIA,
            hospitalisation=setting("safety.hospitalisation_is_serious"),
        ),
        DERIVED,
        "Exp",
        "Record Qualifier",
        codelist="C66742",
    ),
    Variable(
        "AEACN",
        "Action Taken with Study Treatment",
        "Char",
        None,
        NOT_AVAILABLE,
        "Exp",
        "Record Qualifier",
        codelist="C66767",
        comment="FHIR R4 has no element for it.",
    ),
    _char("AEREL", "Causality", "rel", "Exp", "Record Qualifier", "AdverseEvent.suspectEntity.causality.assessment"),
    _char(
        "AERELNST",
        "Relationship to Non-Study Treatment",
        "relnst",
        "Perm",
        "Record Qualifier",
        "AdverseEvent.suspectEntity.causality.assessment",
    ),
    _char(
        "AEOUT",
        "Outcome of Adverse Event",
        "aeout",
        "Perm",
        "Record Qualifier",
        "AdverseEvent.outcome",
        codelist="C66768",
    ),
    _criterion("AESCONG", "Congenital Anomaly or Birth Defect"),
    _criterion("AESDISAB", "Persist or Signif Disability/Incapacity"),
    _criterion("AESDTH", "Results in Death", "AdverseEvent.outcome"),
    _criterion("AESHOSP", "Requires or Prolongs Hospitalization", "Encounter.reasonReference"),
    _criterion("AESLIFE", "Is Life Threatening"),
    _criterion("AESMIE", "Other Medically Important Serious Event"),
    _criterion("AESINTV", "Needs Intervention to Prevent Impairment"),
    _char(
        "AETOXGR",
        "Standard Toxicity Grade",
        "toxgr",
        "Perm",
        "Record Qualifier",
        "AdverseEvent.extension",
        "Condition.severity",
    ),
    epoch_of("AESTDTC"),
    _char(
        "AESTDTC",
        "Start Date/Time of Adverse Event",
        "dtc",
        "Exp",
        "Timing",
        "AdverseEvent.date",
        "Condition.onset[x]",
    ),
    _char(
        "AEENDTC",
        "End Date/Time of Adverse Event",
        "end_dtc",
        "Exp",
        "Timing",
        "Condition.abatement[x]",
    ),
    study_day_of("AESTDY", "Study Day of Start of Adverse Event", "AESTDTC"),
    study_day_of("AEENDY", "Study Day of End of Adverse Event", "AEENDTC"),
    _char(
        "AEENRTPT",
        "End Relative to Reference Time Point",
        "enrtpt",
        "Perm",
        "Timing",
        "AdverseEvent.outcome",
        "Condition.clinicalStatus",
        codelist="C66728",
    ),
    _char("AEENTPT", "End Reference Time Point", "entpt", "Perm", "Timing", "data cut"),
    Variable(
        "AEDETECT",
        "Date Event was Detected",
        "Char",
        path("detected_dtc", "AdverseEvent.detected"),
        COLLECTED,
        supplemental=True,
    ),
    Variable(
        "AERECORD",
        "Date Event was Recorded",
        "Char",
        path("recorded_dtc", "AdverseEvent.recordedDate", "Condition.recordedDate"),
        COLLECTED,
        supplemental=True,
    ),
    said_in_words("AESTWORD", "AdverseEvent.occurrence[x]", "Condition.onset[x]"),
)

DATASET = Dataset(
    name=DOMAIN,
    label="Adverse Events",
    cls="EVENTS",
    structure="One record per adverse event per subject",
    keys=("STUDYID", "USUBJID", "AEDECOD", "AETERM", "AESTDTC", "AEENDTC"),
    variables=VARIABLES,
    records=adverse_events,
    needs=("PR", "CM"),
    sequence="AESEQ",
)

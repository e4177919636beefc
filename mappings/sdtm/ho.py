"""HO, Healthcare Encounters: stays in hospital, and the stays in intensive care inside them."""

from __future__ import annotations

import pandas as pd

from adapter.derive.coding import unmapped
from adapter.derive.stays import kinds_of_stay
from adapter.derive.terms import english
from adapter.spec import COLLECTED, Dataset, Inputs, Records, Variable, issues_of, joined, path
from mappings.coding import originals
from mappings.links import ids_of
from mappings.parts import assigned, collected, end_point_of, identifiers, ongoing, reasons, study_day_of, text
from mappings.timing import epoch_of

DOMAIN = "HO"
STAY, INTENSIVE = "HOSPITAL STAY", "INTENSIVE CARE UNIT STAY"


def stays(inputs: Inputs) -> Records:
    """Return one record per stay in hospital, and one per stay in intensive care inside it (fhir-input point 28).

    An Encounter that is part of a stay is a record only where it, or a place in it, is intensive care; the wards in between
    are the stay. Visits are no stays. Planned and cancelled Encounters never get here.
    """
    e = inputs.frame("Encounter")
    e["decod"] = kinds_of_stay(inputs.knowledge.codes["encounters"], e["code"], e["code_text"])
    top = e[e["element"] == ""].copy()
    top["id"] = ids_of(inputs, "Encounter", top["row"])
    top["known"] = top["decod"].notna()
    top["decod"] = text(top["decod"])
    top["stay"] = _outermost(top)
    inside = top["stay"] != top["id"]
    kept = (top["decod"] == INTENSIVE) | ((top["decod"] == STAY) & ~inside)
    places = e[(e["element"] != "") & (e["decod"] == INTENSIVE)].merge(
        top[["file", "line", "stay", "decod"]], on=["file", "line"], suffixes=("", "_whole")
    )
    # the place says the same as the Encounter it is in
    places = places[(places["decod_whole"] == STAY).to_numpy()]
    frame = pd.concat([top[kept], places], ignore_index=True)
    frame["group"] = _groups(frame)
    said = english(inputs.knowledge.dictionaries, _terms(frame))
    frame["term"], frame["original"] = said["text"], said["original"]
    frame[["enrtpt", "entpt"]] = ongoing(frame.assign(status=""), inputs.subjects["cut_date"])
    for name in ("dtc", "end_dtc", "admitted_from", "discharged_to"):
        frame[name] = text(frame[name])
    part = ~kept & inside & top["stay"].isin(set(frame["stay"]))
    unknown = ~kept & ~part & ~top["known"]
    lost = pd.concat(
        [
            reasons(top.loc[part, "row"], "part-of-stay"),
            reasons(top.loc[unknown, "row"], "unmapped-code"),
            reasons(top.loc[~kept & ~part & ~unknown, "row"], "not-an-admission"),
        ]
    )
    missing = unmapped("Encounter", top.loc[unknown, "code"], top.loc[unknown, "code_text"], used=False)
    bare = frame.index[frame["dtc"] == ""]
    issues = issues_of(bare, frame.loc[bare, "USUBJID"].to_numpy(), "stay-without-start", "the stay has no start")
    return Records(frame, originals(frame, "HOTERM"), {"Encounter": lost}, joined([issues]), missing)


def _terms(e: pd.DataFrame) -> pd.Series[str]:
    """Return what each Encounter is called: its texts without those that are bare codes, else the kind of stay."""
    found = []
    for said, codes, kind in zip(text(e["code_text"]), text(e["code"]), e["decod"], strict=True):
        bare = {c.rpartition("|")[2] for c in codes.split("\n")}
        found.append("; ".join(t for t in said.split("; ") if t and t not in bare) or kind)
    return pd.Series(found, index=e.index, dtype="str")


def _outermost(e: pd.DataFrame) -> pd.Series[str]:
    """Return the id of the outermost hospital stay that each Encounter is part of; its own where there is none."""
    above = dict(zip(e["id"], text(e["part_of"]), strict=True))
    stay = dict(zip(e["id"], e["decod"] == STAY, strict=True))
    found = {}
    for one in e["id"]:
        best, at, seen = one, one, {one}
        while (at := above.get(at, "")) in stay and at not in seen:
            seen.add(at)
            best = at if stay[at] else best
        found[one] = best
    return e["id"].map(found).astype("str")


def _groups(e: pd.DataFrame) -> pd.Series[str]:
    """Return HOGRPID: the number of the stay, by its start, for stays that have others inside; else empty."""
    nested = e[e.duplicated(["USUBJID", "stay"], keep=False)]
    firsts = nested.groupby(["USUBJID", "stay"])["dtc"].min().reset_index().sort_values(["USUBJID", "dtc", "stay"])
    firsts["number"] = firsts.groupby("USUBJID").cumcount() + 1
    numbers = {(u, s): str(n) for u, s, n in zip(firsts["USUBJID"], firsts["stay"], firsts["number"], strict=True)}
    return pd.Series(
        [numbers.get(k, "") for k in zip(e["USUBJID"], e["stay"], strict=True)], index=e.index, dtype="str"
    )


DATASET = Dataset(
    name=DOMAIN,
    label="Healthcare Encounters",
    cls="EVENTS",
    structure="One record per healthcare encounter per subject",
    keys=("STUDYID", "USUBJID", "HOSTDTC", "HODECOD", "HOENDTC", "HOTERM"),
    records=stays,
    sequence="HOSEQ",
    variables=(
        *identifiers(DOMAIN),
        assigned(
            "HOGRPID",
            "Group ID",
            "group",
            "Perm",
            "Identifier",
            comment="The same number: a stay in hospital and the stays in intensive care inside it.",
        ),
        collected(
            "HOTERM",
            "Healthcare Encounter Term",
            "term",
            "Req",
            "Topic",
            "Encounter.class",
            "Encounter.type",
            "Encounter.location.location",
        ),
        collected(
            "HODECOD",
            "Dictionary-Derived Term",
            "decod",
            "Perm",
            "Synonym Qualifier",
            "Encounter.class",
            "Encounter.location.physicalType",
            codelist="C171444",
        ),
        epoch_of("HOSTDTC"),
        collected(
            "HOSTDTC",
            "Start Date/Time of Healthcare Encounter",
            "dtc",
            "Exp",
            "Timing",
            "Encounter.period.start",
            "Encounter.location.period.start",
        ),
        collected(
            "HOENDTC",
            "End Date/Time of Healthcare Encounter",
            "end_dtc",
            "Perm",
            "Timing",
            "Encounter.period.end",
            "Encounter.location.period.end",
        ),
        study_day_of("HOSTDY", "Study Day of Start of Encounter", "HOSTDTC"),
        study_day_of("HOENDY", "Study Day of End of Healthcare Encounter", "HOENDTC"),
        *end_point_of("HO", "Encounter.period.end", "Encounter.location.period.end"),
        Variable(
            "HOADMSRC",
            "Admit Source",
            "Char",
            path("admitted_from", "Encounter.hospitalization.admitSource"),
            COLLECTED,
            supplemental=True,
        ),
        Variable(
            "HODISPOS",
            "Discharge Disposition",
            "Char",
            path("discharged_to", "Encounter.hospitalization.dischargeDisposition"),
            COLLECTED,
            supplemental=True,
        ),
    ),
)

"""Where each Condition goes: history (MH), a clinical event (CE), or a candidate for an adverse event (sdtm-conventions).

The code table of conditions says what kind of event a diagnosis is; the dates say whether it is history.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from adapter.derive.diagnoses import against, diagnosed, later_than
from adapter.spec import Inputs, issues_of
from mappings.links import ids_of
from mappings.parts import text
from mappings.timing import transplant_days

EVENT, HISTORY, SOMEBODY_ELSE = "CE", "MH", "OTHER"
"""`domain` in the table of conditions; without one a diagnosis is no event of interest."""

RELAPSE, MALIGNANCY, UNSPECIFIC = "RELAPSE", "MALIGNANCY", "GVHD"
CAME_BACK = ("relapse", "recurrence")
"""Condition.clinicalStatus of a malignancy that has come back."""


def routed(inputs: Inputs) -> pd.DataFrame:
    """Return the confirmed Conditions with what becomes of each, as columns of bool.

    ce: a clinical event. mh: history; early: a relapse of before consent. ae: a candidate for an adverse event. linked:
    an AdverseEvent names it. other: it is about a relative. undated: a relapse that no date puts after the transplant.
    cat, scat: kind of event; disease: kind of diagnosis. start: of the event (of a relapse by its own rule), and from
    which date that is: origin, onset or recorded.

    A Condition that began before consent is history. After consent an event of interest is a clinical event, and every
    other one that no AdverseEvent names a candidate for one. Where the dates leave it open, an event of interest counts as
    after consent; a Condition that was recorded or had ended before consent began before it.
    """
    c = inputs.frame("Condition")
    c = c[c["element"] == ""].copy()
    table = inputs.knowledge.codes["conditions"]
    c[["domain", "cat", "scat"]] = diagnosed(table, c["code"], c["code_text"])
    for name in ("dtc", "end_dtc", "recorded_dtc"):
        c[name] = text(c[name])
    c["disease"] = c["cat"]
    back = (c["cat"] == MALIGNANCY) & c["clinical"].isin(CAME_BACK)
    c.loc[back, "cat"], c.loc[back, "domain"] = RELAPSE, EVENT
    relapse = c["cat"] == RELAPSE
    consent = text(inputs.subjects["consent_date"].reindex(c["USUBJID"])).set_axis(c.index)
    c["start"], c["origin"] = c["dtc"], "onset"
    began = _began(c, consent)
    c["linked"] = ids_of(inputs, "Condition", c["row"]).isin(_named_by_events(inputs))
    c["other"] = c["domain"] == SOMEBODY_ELSE
    # a relapse is dated by its own rule; that the disease itself began before consent is history all the same
    dated = _relapse_start(c[relapse], inputs)
    c.loc[relapse, ["start", "origin"]] = dated[["start", "origin"]]
    c["undated"] = relapse & (c["start"] == "")
    when = began.where(~relapse, against(c["start"], consent))
    event = (c["domain"] == EVENT) & ~c["other"] & ~c["undated"]
    c["ce"] = event & (when != "before")
    c["early"] = relapse & event & (when == "before")
    earlier = (c["domain"] == HISTORY) | (began == "before")
    same = c["early"] & (c["origin"] == "onset")
    c["mh"] = earlier & ~c["other"] & ~same & ~(c["linked"] & (c["domain"] != EVENT))
    c["ae"] = ~(c["other"] | c["mh"] | c["early"] | c["ce"] | c["linked"] | c["undated"])
    return c


def _began(c: pd.DataFrame, consent: pd.Series[str]) -> pd.Series[str]:
    """Return before or after consent, empty where it is not certain: by onset, else what was recorded or over before it."""
    began = against(c["dtc"], consent)
    for known_by in ("recorded_dtc", "end_dtc"):
        earlier = against(c[known_by], consent) == "before"
        began = began.where((began != "") | ~earlier, "before")
    return began


def _relapse_start(c: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Return start and origin of relapses: the onset if it is after the transplant, else recordedDate if that is.

    In hospitals onset is often that of the first diagnosis (fhir-input, last paragraph). Without a transplant in the data
    nothing is after it.
    """
    transplant = text(transplant_days(inputs)["dtc"].reindex(c["USUBJID"])).set_axis(c.index)
    onset, recorded = later_than(c["dtc"], transplant), later_than(c["recorded_dtc"], transplant)
    start = c["dtc"].where(onset, c["recorded_dtc"].where(recorded, ""))
    return pd.DataFrame({"start": start, "origin": np.where(onset, "onset", "recorded")}, index=c.index)


def _named_by_events(inputs: Inputs) -> frozenset[str]:
    named = inputs.facts["AdverseEvent"].frame["conditions"].dropna()
    return frozenset(h for t in named for h in t.split("\n"))


def each_kind(c: pd.DataFrame) -> pd.DataFrame:
    """Return one row per kind of event: acute on chronic GVHD is an event of either kind."""
    kinds = c.assign(cat=c["cat"].str.split(";")).explode("cat")
    return kinds.astype({"cat": "str"}).reset_index(drop=True)


def ends(c: pd.DataFrame, cuts: pd.Series[str]) -> pd.DataFrame:
    """Return --ENRTPT and --ENTPT of Conditions: whether one was going on at the subject's data cut, where that is known.

    `resolved` without a date ended before it; `active`, `relapse` and `recurrence` went on; `inactive` and `remission` do
    not say (SDTMIG 3.4 section 4.4.7). cuts: USUBJID -> cut date.
    """
    cut = text(cuts.reindex(c["USUBJID"])).set_axis(c.index)
    known = np.select(
        [c["end_dtc"] != "", c["open"].fillna(False).astype(bool), c["clinical"] == "resolved"],
        ["", "ONGOING", "BEFORE"],
        "",
    )
    said = pd.Series(known, index=c.index, dtype="str")
    return pd.DataFrame({"enrtpt": said, "entpt": cut.where(said != "", "")})


def candidates(c: pd.DataFrame) -> pd.DataFrame:
    """Return the data issues that list the candidates for adverse events."""
    left = c[c["ae"]]
    message = "a Condition after consent, or of unknown date, that no AdverseEvent names: " + text(left["code_text"])
    rows = left["row"].to_numpy()
    return issues_of(-1, left["USUBJID"].to_numpy(), "condition-not-reported", message.to_numpy(), "Condition", rows)


__all__ = ["candidates", "each_kind", "ends", "routed"]

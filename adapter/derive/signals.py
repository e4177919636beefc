"""Safety signals and listings (protocol §7): which records lie within a time after a dose, and what they show.

Each `find_*` reads SDTM frames of any number of subjects and returns one row per finding, with the columns FOUND:

RULE: which rule. SURE: false where an incomplete date, grade or relationship leaves it open, and REMARK says what.
DATASET, SEQ: the record (SEQ is NaN in DM); VARIABLES: what of it the finding rests on. DTC: its date as recorded.
DOSESEQ, DOSEDTC: EXSEQ and start of the dose it follows, NaN and empty where none matters. WHAT: the record in words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.derive.intervals import first_days, last_days
from adapter.derive.results import at_or_before
from adapter.derive.toxicity import Rule, compute_toxicity

Floats = npt.NDArray[np.float64]
Series = pd.Series

FOUND = ("RULE", "SURE", "USUBJID", "DATASET", "SEQ", "VARIABLES", "DTC", "WHAT", "DOSESEQ", "DOSEDTC", "REMARK")
OVER = ("RECOVERED/RESOLVED", "RECOVERED/RESOLVED WITH SEQUELAE", "FATAL")
"""Values of AEOUT after which an event is over (CDISC codelist OUT)."""
BLOOD = ("", "BLOOD", "WHOLE BLOOD", "SERUM", "PLASMA", "SERUM OR PLASMA", "VENOUS BLOOD", "ARTERIAL BLOOD")
"""Values of LBSPEC that the limits of CTCAE are made for; none recorded counts as blood, as in LB itself."""
DAY = 24.0
_COMPARED = re.compile(r"(<=|>=|<|>)\s*(\d+(?:\.\d+)?)")


def bounds(dtc: Series[Any]) -> tuple[Floats, Floats]:
    """Return the first and last moment that SDTM dates may mean, in hours since 1970-01-01.

    A date means any moment of its day, a minute its first second; an empty date -inf to inf.
    """
    text = dtc.astype("str").fillna("")
    first, last = first_days(text).to_numpy() * DAY, (last_days(text).to_numpy() + 1) * DAY - 1 / 3600
    clock = np.array([_hours(t) for t in text], dtype=np.float64)
    timed = ~np.isnan(clock)
    moment = first + np.where(timed, clock, 0.0)
    early, late = np.where(timed, moment, first), np.where(timed, moment, last)
    return np.where(np.isnan(early), -np.inf, early), np.where(np.isnan(late), np.inf, late)


def _hours(text: str) -> float:
    if len(text) < 16:
        return np.nan
    return int(text[11:13]) + int(text[14:16]) / 60 + (int(text[17:19]) / 3600 if len(text) >= 19 else 0)


def compute_after_dose(
    events: pd.DataFrame, doses: pd.DataFrame, *, days: int | None = None, hours: int | None = None
) -> pd.DataFrame:
    """Return the events that follow a dose, with SURE, DOSESEQ and DOSEDTC; index as in `events`.

    events: USUBJID, DTC, and where known EARLIEST (hours: the event is not before). doses: USUBJID, EXSEQ, EXSTDTC, EXENDTC.
    days: not before the start of the dose and not after its last day + days; hours: not after its end + hours. An event
    that only may lie there is not sure. Of several doses a sure one counts, then the last one before the event.
    """
    early, late = bounds(events["DTC"])
    if "EARLIEST" in events:
        early = np.fmax(early, events["EARLIEST"].to_numpy(dtype=np.float64))
    e = pd.DataFrame({"USUBJID": events["USUBJID"].to_numpy(), "early": early, "late": late, "event": events.index})
    start = bounds(doses["EXSTDTC"])
    ends = doses["EXENDTC"].where(doses["EXENDTC"] != "", doses["EXSTDTC"])
    until = [np.maximum(x, s) for x, s in zip(bounds(ends), start, strict=True)]
    if days is not None:  # up to the last second of that day
        until = [(np.floor(x / DAY) + days + 1) * DAY - 1 / 3600 for x in until]
    else:
        until = [x + (hours or 0) for x in until]
    d = pd.DataFrame({"USUBJID": doses["USUBJID"].to_numpy(), "DOSESEQ": doses["EXSEQ"].to_numpy()})
    d = d.assign(DOSEDTC=doses["EXSTDTC"].to_numpy(), s1=start[0], s2=start[1], u1=until[0], u2=until[1])
    p = e.merge(d, on="USUBJID")
    p = p[(p["late"] >= p["s1"]) & (p["early"] <= p["u2"])]
    p = p.assign(SURE=(p["early"] >= p["s2"]) & (p["late"] <= p["u1"]))
    p = p.sort_values(["event", "SURE", "s1"], ascending=[True, False, False], kind="stable").drop_duplicates("event")
    p = p.set_index("event")[["SURE", "DOSESEQ", "DOSEDTC"]]
    return events.loc[p.index].assign(SURE=p["SURE"], DOSESEQ=p["DOSESEQ"], DOSEDTC=p["DOSEDTC"])


def find_ventilation(
    pr: pd.DataFrame, doses: pd.DataFrame, category: str, reasons: Collection[str], days: int
) -> pd.DataFrame:
    """Return the procedures of a category (PRCAT) for one of some reasons (PRINDC, any part of it) soon after a dose.

    Where no reason is recorded the finding is not sure. Protocol §7.3.1.
    """
    why = pr["PRINDC"].str.casefold()
    named = why.map(lambda t: not reasons or any(r.casefold() in t for r in reasons)).astype(bool)
    mine = pr[(pr["PRCAT"] == category) & (category != "") & (named | (why == ""))]
    mine = compute_after_dose(mine.assign(DTC=mine["PRSTDTC"]), doses, days=days)
    silent = bool(reasons) & (mine["PRINDC"] == "")
    what = mine["PRDECOD"].where(mine["PRDECOD"] != "", mine["PRTRT"])
    what = (what + (" for " + mine["PRINDC"]).where(mine["PRINDC"] != "", "")).astype("str")
    remarks = _remarks(mine, [(silent, "no reason recorded")])
    return _found("ventilation", mine, "PR", "PRSEQ", ("PRTRT", "PRINDC", "PRSTDTC"), what, remarks, ~silent)


def find_severe_toxicity(
    ae: pd.DataFrame, doses: pd.DataFrame, related: Collection[str], grade: int, days: int
) -> pd.DataFrame:
    """Return the related events of at least a grade (AETOXGR) soon after a dose.

    Not sure: without a recorded relationship; without a grade but life-threatening or fatal. Protocol §7.3.1.
    """
    told = pd.to_numeric(ae["AETOXGR"], errors="coerce")
    grave = told.isna() & ((ae["AESLIFE"] == "Y") | (ae["AESDTH"] == "Y"))
    mine = ae[((told >= grade) | grave) & (ae["AEREL"].isin(list(related)) | (ae["AEREL"] == ""))]
    mine = compute_after_dose(mine.assign(DTC=mine["AESTDTC"]), doses, days=days)
    ungraded, unjudged = grave.reindex(mine.index).astype(bool), mine["AEREL"] == ""
    notes = [(unjudged, "no relationship recorded"), (ungraded, "no grade, but life-threatening or fatal")]
    variables = ("AETERM", "AETOXGR", "AEREL", "AESTDTC")
    return _found(
        f"grade {grade} or higher",
        mine,
        "AE",
        "AESEQ",
        variables,
        _event(mine),
        _remarks(mine, notes),
        ~ungraded & ~unjudged,
    )


def find_deaths(dm: pd.DataFrame, doses: pd.DataFrame, days: int) -> pd.DataFrame:
    """Return the deaths soon after a dose. LASTALIVE (a date, may be empty): a death of unknown date is not before it.

    Protocol §7.3.1.
    """
    dead = dm[dm["DTHFL"] == "Y"]
    alive = bounds(dead["LASTALIVE"])[0]
    dead = compute_after_dose(dead.assign(DTC=dead["DTHDTC"], EARLIEST=alive), doses, days=days)
    what = pd.Series("Death", index=dead.index)
    return _found("death", dead.assign(DMSEQ=np.nan), "DM", "DMSEQ", ("DTHFL", "DTHDTC"), what, _remarks(dead, []))


def find_modifications(ae: pd.DataFrame, doses: pd.DataFrame, related: Collection[str], grade: int) -> pd.DataFrame:
    """Return the related events of at least a grade (AETOXGR), whenever they began. Protocol §7.3.1."""
    told = pd.to_numeric(ae["AETOXGR"], errors="coerce")
    mine = ae[(told >= grade) & ae["AEREL"].isin(list(related))]
    mine = mine.assign(DTC=mine["AESTDTC"])
    after = compute_after_dose(mine, doses, days=100_000)
    mine = mine.assign(
        DOSESEQ=after["DOSESEQ"].reindex(mine.index), DOSEDTC=after["DOSEDTC"].reindex(mine.index).fillna("")
    )
    none = mine["DOSEDTC"] == ""
    notes = _remarks(mine.assign(SURE=True), [(none, "no dose before it")])
    variables = ("AETERM", "AETOXGR", "AEREL", "AESTDTC")
    return _found(f"grade {grade} or higher", mine.assign(SURE=True), "AE", "AESEQ", variables, _event(mine), notes)


def find_reactions(
    ae: pd.DataFrame,
    cm: pd.DataFrame,
    doses: pd.DataFrame,
    groups: Mapping[str, tuple[str, Collection[str]]],
    hours: int,
) -> pd.DataFrame:
    """Return the events, and the drugs of some groups that were begun, within hours after a dose. Protocol §7.3.2.

    groups: name -> CMCAT and the CMDECOD values (none named: all). A drug given before the dose is no reaction.
    """
    events = compute_after_dose(ae.assign(DTC=ae["AESTDTC"]), doses, hours=hours)
    found = [
        _found("event", events, "AE", "AESEQ", ("AETERM", "AESTDTC"), _event(events), _remarks(events, [])),
    ]
    for name, (category, substances) in groups.items():
        mine = cm[(cm["CMCAT"] == category) & (cm["CMDECOD"].isin(list(substances)) | (not substances))]
        mine = compute_after_dose(mine.assign(DTC=mine["CMSTDTC"]), doses, hours=hours)
        what = mine["CMDECOD"].where(mine["CMDECOD"] != "", mine["CMTRT"])
        found.append(_found(name, mine, "CM", "CMSEQ", ("CMTRT", "CMSTDTC"), what, _remarks(mine, [])))
    return pd.concat(found, ignore_index=True)


def find_unresolved(ae: pd.DataFrame) -> pd.DataFrame:
    """Return the events that have no end and no outcome that ends them, at last contact. Protocol §7.3.2.

    Not sure: no outcome is recorded, and it is not said to go on.
    """
    over = ae["AEOUT"].isin(OVER) | (ae["AEENDTC"] != "") | ae["AEENRTPT"].isin(["BEFORE", "COINCIDENT"])
    mine = ae[~over]
    goes_on = mine["AEENRTPT"].isin(["ONGOING", "AFTER"]) | mine["AEOUT"].isin(
        ["NOT RECOVERED/NOT RESOLVED", "RECOVERING/RESOLVING"]
    )
    mine = mine.assign(DTC=mine["AESTDTC"], SURE=goes_on, DOSESEQ=np.nan, DOSEDTC="")
    notes = mine["AEOUT"].where(mine["AEOUT"] != "", "no outcome recorded").astype("str")
    return _found("no end", mine, "AE", "AESEQ", ("AETERM", "AEOUT", "AESTDTC"), _event(mine), notes)


def find_laboratory(
    lb: pd.DataFrame, rules: Sequence[Rule], grades: Mapping[str, Collection[str]], grade: int, untimed: str
) -> pd.DataFrame:
    """Return, per subject, test and direction, the first record with the worst CTCAE grade after first treatment.

    Only where the grade is at least `grade` and above the grade at baseline. lb: LB with RFSTDTC of the subject. grades:
    `graded` and `expected` -> LBTESTCDs; RULE says which. untimed: as in adapter.derive.results.at_or_before. Protocol §7.
    """
    tests = {t: name for name in ("expected", "graded") for t in grades.get(name, ())}
    mine = lb[lb["LBTESTCD"].isin(list(tests)) & lb["LBSPEC"].isin(BLOOD)].copy()
    mine = mine[mine["LBSTRESC"] != ""].sort_values(["USUBJID", "LBTESTCD", "LBDTC", "LBSEQ"], kind="stable")
    before = at_or_before(mine["LBDTC"], mine["RFSTDTC"], untimed)
    base = mine[mine["LBLOBXFL"] == "Y"].drop_duplicates(["USUBJID", "LBTESTCD"], keep="last")
    key = pd.MultiIndex.from_frame(mine[["USUBJID", "LBTESTCD"]])
    of_base = base.set_index(["USUBJID", "LBTESTCD"])[["LBSTRESN", "LBSTNRHI"]].reindex(key)
    said = mine["LBSTRESC"].str.extract(_COMPARED)
    value = mine["LBSTRESN"].where(said[1].isna(), pd.to_numeric(said[1]))
    made = compute_toxicity(
        pd.DataFrame(
            {
                "PARAMCD": mine["LBTESTCD"],
                "AVAL": value,
                "AVALU": mine["LBSTRESU"],
                "ANRLO": mine["LBSTNRLO"],
                "ANRHI": mine["LBSTNRHI"],
                "BASE": of_base["LBSTRESN"].to_numpy(),
                "BASEHI": of_base["LBSTNRHI"].to_numpy(),
                "BEFORE": before,
                "COMPARATOR": said[0].fillna(""),
            },
            index=mine.index,
        ),
        rules,
    )
    complete = ((mine["LBDTC"].str.len() >= 10) & (mine["RFSTDTC"].str.len() >= 10)).to_numpy(dtype=bool)
    found = []
    for letter, direction in (("L", "low"), ("H", "high")):
        g = pd.to_numeric(made[f"ATOXGR{letter}"], errors="coerce")
        at_base = pd.Series(g.reindex(base.index).to_numpy(), index=base.set_index(["USUBJID", "LBTESTCD"]).index)
        started = pd.Series(at_base.reindex(key).to_numpy(), index=mine.index)
        worse = complete & ~before & (g >= grade) & ~(g <= started)
        own = mine[worse].assign(grade=g[worse], base=started[worse])
        own = own.sort_values(["USUBJID", "LBTESTCD", "grade"], ascending=[True, True, False], kind="stable")
        own = own.drop_duplicates(["USUBJID", "LBTESTCD"]).assign(DOSESEQ=np.nan, DOSEDTC="", SURE=True)
        own = own.assign(DTC=own["LBDTC"])
        what = (
            own["LBTEST"]
            + f" {direction}, grade "
            + own["grade"].map("{:.0f}".format).astype("str")
            + ": "
            + own["LBSTRESC"]
            + " "
            + own["LBSTRESU"]
        ).astype("str")
        text = own["base"].map(lambda b: "baseline grade not known" if np.isnan(b) else f"baseline grade {b:.0f}")
        variables = ("LBORRES", "LBSTRESC", "LBDTC")
        rule = own["LBTESTCD"].map(tests).astype("str")
        found.append(_found(rule, own, "LB", "LBSEQ", variables, what, text.astype("str")))
    return pd.concat(found, ignore_index=True)


def _event(ae: pd.DataFrame) -> Series[str]:
    """Return events in words: term, grade and relationship, what of them is recorded."""
    term = ae["AEDECOD"].where(ae["AEDECOD"] != "", ae["AETERM"])
    grade = (", grade " + ae["AETOXGR"]).where(ae["AETOXGR"] != "", "")
    return (term + grade + (", " + ae["AEREL"].str.lower()).where(ae["AEREL"] != "", "")).astype("str")


def _remarks(found: pd.DataFrame, notes: Sequence[tuple[Series[bool], str]]) -> Series[str]:
    """Return what leaves a finding open: its date where that is not sure, then each note that holds."""
    told = pd.Series("", index=found.index, dtype="str")
    vague = "the date does not show that it is within the time"
    for holds, note in ((~found["SURE"].astype(bool), vague), *notes):
        told = told.where(~holds, told + np.where(told == "", "", "; ") + note)
    return told


def _found(
    rule: str | Series[str],
    frame: pd.DataFrame,
    dataset: str,
    sequence: str,
    variables: tuple[str, ...],
    what: Series[str],
    remark: Series[str],
    sure: Series[bool] | None = None,
) -> pd.DataFrame:
    made = pd.DataFrame(
        {
            "RULE": rule,
            "SURE": frame["SURE"].astype(bool) & (True if sure is None else sure),
            "USUBJID": frame["USUBJID"],
            "DATASET": dataset,
            "SEQ": frame[sequence].astype("float64"),
            "VARIABLES": ",".join(variables),
            "DTC": frame["DTC"],
            "WHAT": what,
            "DOSESEQ": frame["DOSESEQ"].astype("float64"),
            "DOSEDTC": frame["DOSEDTC"],
            "REMARK": remark,
        },
        index=frame.index,
    )
    return made.sort_values(["USUBJID", "DTC", "SEQ"], kind="stable").reset_index(drop=True)[list(FOUND)]

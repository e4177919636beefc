"""The course of each subject that the analysis datasets count from: treatment, transplant, death, last known alive.

Days are numbers from 1970-01-01, NaN where there is none; everything is read from the finished SDTM datasets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import day_number
from adapter.derive.imputation import death_days
from adapter.derive.intervals import spans
from adapter.derive.transplants import index_transplants, transplants
from adapter.spec import Inputs
from mappings.parts import ONGOING, text
from mappings.sdtm.cm import TRANSFUSION
from mappings.sdtm.ds import RANDOMIZED

ORIGINS = {"randomisation": "rand", "reference_start": "rfst", "transplant": "hsct"}
"""Origin of the trial definition -> column of the course."""
ORIGIN_NAMES = {
    "randomisation": "date of randomisation",
    "reference_start": "first study treatment, or randomisation without any (RFSTDTC)",
    "transplant": "day of the index transplant",
}
PROCEDURES = "PR"
COURSE, DAYS = "course", "medication_days"
"""Names of what the datasets of one task share."""


def course(inputs: Inputs) -> pd.DataFrame:
    """Return one row per subject of DM, indexed by USUBJID.

    rand, rfst, trts, trte (first and last study treatment), hsct, death, alive (last known), cut: days. deathf: how the
    death was imputed. rand_seq (DS), hsct_seq (PR): where the dates stand. randomised, treated: bool. Made once.
    """
    if COURSE not in inputs.shared:
        inputs.shared[COURSE] = _course(inputs)
    found: pd.DataFrame = inputs.shared[COURSE]
    return found.copy()


def _course(inputs: Inputs) -> pd.DataFrame:
    dm = inputs.made["DM"].set_index("USUBJID", drop=False)
    s = pd.DataFrame(index=dm.index)
    s["randomised"] = dm["ARMCD"] != ""
    s["cut"] = inputs.subjects["cut"].reindex(dm.index).astype("float64")
    ds = inputs.made["DS"]
    logged = ds[ds["DSDECOD"] == RANDOMIZED].drop_duplicates("USUBJID").set_index("USUBJID")
    s["rand"] = day_number(logged["DSSTDTC"]).reindex(s.index)
    s["rand_seq"] = logged["DSSEQ"].reindex(s.index)
    s["rfst"] = day_number(dm["RFSTDTC"])
    _treatment(s, dm, inputs)
    found, boosts = _transplants(s, inputs)
    index = index_transplants(found, s["rand"].fillna(s["cut"]), inputs.trial.transplant.index) if len(found) else None
    pr = inputs.made[PROCEDURES]
    s["hsct"] = np.nan if index is None else index["day"].reindex(s.index)
    s["hsct_seq"] = (
        np.nan if index is None else pr["PRSEQ"].reindex(index["record"]).set_axis(index.index).reindex(s.index)
    )
    _death(s, dm, inputs)
    inputs.shared["transplants"], inputs.shared["boosts"] = found, boosts
    return s


def _treatment(s: pd.DataFrame, dm: pd.DataFrame, inputs: Inputs) -> None:
    """Add trts, trte, treated: first and last study treatment, of the arm's rule or any trial product that was given."""
    own = (dm["ACTARMCD"] != "") & (dm["ACTARMCD"] == dm["ARMCD"])
    exposed = day_number(dm["RFXSTDTC"])
    s["trts"] = s["rfst"].where(own, exposed)
    ends = [day_number(dm["RFXENDTC"]).fillna(exposed)]
    for code, arm in inputs.trial.arms.items():
        for rule in arm.treatment.values():
            for group in rule.medications:
                given = medication_days(inputs, group)
                given = given[given["USUBJID"].isin(s.index[(dm["ARMCD"] == code).to_numpy()])]
                since = given["USUBJID"].map(s["rfst"]).to_numpy(dtype=np.float64)
                given = given[given["last"].to_numpy(dtype=np.float64) >= since]
                ends.append(given.groupby("USUBJID")["last"].max().reindex(s.index).where(own))
    s["trte"] = pd.concat(ends, axis=1).max(axis=1).where(s["trts"].notna())
    s["treated"] = s["trts"].notna()


def medication_days(inputs: Inputs, group: str) -> pd.DataFrame:
    """Return the records of a medication group: USUBJID, CMSEQ, first, last (days), partial (not known to the day).

    A record covers its start to its end, while it goes on to its reference time point. A transfusion without an end
    covers the day of its start; a date that is not known to the day covers every day it may mean. Made once.
    """
    if (DAYS, group) not in inputs.shared:
        inputs.shared[DAYS, group] = _medication_days(inputs, group)
    found: pd.DataFrame = inputs.shared[DAYS, group]
    return found.copy()


def _medication_days(inputs: Inputs, group: str) -> pd.DataFrame:
    g = inputs.trial.medications[group]
    cm = inputs.made["CM"]
    mine = (cm["CMCAT"] == g.category) & (cm["CMDECOD"].isin(g.substances) if g.substances else True)
    cm = cm[mine.to_numpy()]
    until = cm["CMENTPT"].where((cm["CMENRTPT"] == ONGOING) & (g.category != TRANSFUSION), "")
    days = spans(cm["CMSTDTC"], cm["CMENDTC"], until)
    partial = (text(cm["CMSTDTC"]).str.len() < 10) | text(cm["CMENDTC"]).str.len().between(1, 9)
    return days.assign(USUBJID=cm["USUBJID"], CMSEQ=cm["CMSEQ"], partial=partial)[days["first"].notna().to_numpy()]


def _transplants(s: pd.DataFrame, inputs: Inputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return all transplants (USUBJID, number, day, record), and graft infusions later than one that are boosts."""
    rule = inputs.trial.transplant
    none = pd.DataFrame({"USUBJID": [], "number": [], "day": [], "record": []})
    if rule is None:
        return none, none
    pr, cm = inputs.made[PROCEDURES], inputs.made["CM"]
    grafts = pr[(pr["PRCAT"] == rule.category).to_numpy()].sort_values(["USUBJID", "PRSTDTC"], kind="stable")
    grafts = pd.DataFrame({"USUBJID": grafts["USUBJID"], "day": day_number(grafts["PRSTDTC"]), "record": grafts.index})
    drugs = {n for c in inputs.trial.conditioning.values() for d, x in c.drugs.items() for n in (d, *x.alternatives)}
    given = cm[cm["CMDECOD"].isin(drugs).to_numpy()]
    given = pd.DataFrame({"USUBJID": given["USUBJID"], "day": day_number(given["CMSTDTC"])})
    found = transplants(grafts, given, rule.window_days, rule.requires_conditioning, rule.conditioning_days)
    known = grafts[grafts["day"].notna()].merge(found[["USUBJID", "day"]], on="USUBJID", suffixes=("", "_of"))
    part = known[(known["day"] >= known["day_of"]) & (known["day"] <= known["day_of"] + rule.window_days)]
    return found, grafts[grafts["day"].notna() & ~grafts["record"].isin(part["record"])]


def _death(s: pd.DataFrame, dm: pd.DataFrame, inputs: Inputs) -> None:
    """Add death, deathf and alive: last known alive is never after death nor after the data cut (protocol §6)."""
    seen = inputs.subjects["last_seen"].reindex(s.index).astype("float64")
    log = pd.concat([day_number(dm["RFICDTC"]), s["rand"]], axis=1).max(axis=1)
    alive = pd.concat([seen.fillna(log), s["cut"]], axis=1).min(axis=1)
    rule = inputs.trial.censoring
    died = death_days(dm["DTHDTC"], dm["DTHFL"] == "Y", alive, rule.undated_death_after_days, s["cut"])
    s["death"], s["deathf"] = died["day"], died["flag"]
    s["alive"] = np.fmin(alive, s["death"])


def intercurrent(inputs: Inputs, s: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the days of one kind of intercurrent event: USUBJID, day, seq (PRSEQ), sorted by day.

    A second transplant is one after the index transplant, or after randomisation without one. Graft infusions that the
    rules call boosts are boosts, as are procedures that the source calls so.
    """
    if ("intercurrent", name) not in inputs.shared:
        inputs.shared["intercurrent", name] = _intercurrent(inputs, s, name)
    found: pd.DataFrame = inputs.shared["intercurrent", name]
    return found


def _intercurrent(inputs: Inputs, s: pd.DataFrame, name: str) -> pd.DataFrame:
    rule, pr = inputs.trial.intercurrent[name], inputs.made[PROCEDURES]
    if rule.kind == "transplant":
        found: pd.DataFrame = inputs.shared["transplants"]
        after = found["USUBJID"].map(s["hsct"].fillna(s["rand"])).astype("float64")
        later = found[(found["day"] > after).to_numpy()]
        made = pd.DataFrame({"USUBJID": later["USUBJID"], "day": later["day"], "record": later["record"]})
    else:
        mine = pr[(pr["PRCAT"] == rule.category).to_numpy()]
        made = pd.DataFrame({"USUBJID": mine["USUBJID"], "day": day_number(mine["PRSTDTC"]), "record": mine.index})
        grafts = inputs.trial.transplant
        if grafts is not None and rule.category == grafts.boost_category:
            made = pd.concat([made, inputs.shared["boosts"][["USUBJID", "day", "record"]]], ignore_index=True)
    made = made[made["day"].notna().to_numpy()]
    seq = pr["PRSEQ"].reindex(made["record"].to_numpy()).to_numpy()
    return made.assign(seq=seq).sort_values(["USUBJID", "day", "seq"], kind="stable", ignore_index=True)


def first_from(events: pd.DataFrame, start: pd.Series[Any]) -> pd.DataFrame:
    """Return each subject's first event on or after `start`: day and seq, indexed like start."""
    kept = events[(events["day"].to_numpy() >= events["USUBJID"].map(start).to_numpy(dtype=np.float64))]
    one = kept.drop_duplicates("USUBJID").set_index("USUBJID")[["day", "seq"]].astype("float64")
    return one.reindex(start.index)

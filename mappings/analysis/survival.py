"""The time-to-event parameters of a trial: events, competing events and censoring of each, and in words for define.xml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adapter.derive.runs import in_sentence, run_method
from adapter.derive.time_to_event import BY_COMPETING, BY_EVENT, BY_STOP, decided, first_onsets
from adapter.spec import Inputs, used_of
from mappings.analysis.lineages import Lineages
from mappings.analysis.occurrences import onsets
from mappings.analysis.responses import Way, ways
from mappings.analysis.subjects import ORIGIN_NAMES, ORIGINS, first_from, intercurrent

DEATH = "death"
DEATH_LABEL = "Death"
ORIGIN_DATES = {"randomisation": "RANDDT", "reference_start": "RFSTDT", "transplant": "HSCTDT"}
SOURCE = ("srcdom", "srcvar", "srcseq")


class Parameter(NamedTuple):
    """One parameter. frame: start, day, cnsr, by, event, competitor, stopper, flag, srcdom, srcvar, srcseq, prevalent,
    at_origin (nothing is known after the origin), too_early (a death before the origin), by subject.

    unseen, last, nothing: the reason of censoring, what its date is, and what it is where nothing is known.
    """

    code: str
    label: str
    horizon: int | None
    descriptive: bool
    unseen: str
    last: str
    nothing: str
    frame: pd.DataFrame
    used: pd.DataFrame | None


def parameters(found: Lineages, s: pd.DataFrame, inputs: Inputs) -> Iterator[Parameter]:
    """Return every time-to-event parameter of the trial, for every subject of the course."""
    for way in ways(inputs.trial):
        for code, p in inputs.trial.time_to_event.items():
            if not way.codes:
                yield _parameter(code, p.label, p, way, found, s, inputs)
            elif code in way.codes:
                yield _parameter(way.codes[code], f"{p.label} ({way.label})", p, way, found, s, inputs)


def _parameter(code: str, label: str, p: Any, way: Way, found: Lineages, s: pd.DataFrame, inputs: Inputs) -> Parameter:
    trial = inputs.trial
    start = s[ORIGINS[p.origin]]
    if p.criterion is not None:
        event, used = _run(p, way, found, s, trial)
        before = pd.Series(False, index=s.index)
    else:
        event, before = _clinical(p, s, start, inputs)
        used = None
    stop, competing = _others(p, s, start, inputs)
    last, source, words = _last(p, way, found, s, start, trial)
    wins = trial.censoring.event_wins_ties
    f = decided(start, event["day"], competing["day"], stop["day"], last, p.horizon_days, wins)
    f["start"], f["prevalent"], f["origin"] = start, before, ORIGIN_DATES[p.origin]
    f["event"], f["competitor"], f["stopper"] = event["label"], competing["label"], stop["label"]
    f["at_origin"] = (last < start) | last.isna()
    dying = DEATH in (*p.events, *p.competing)
    f["too_early"] = (s["death"] < start) & dying
    for name in (*SOURCE, "flag"):
        f[name] = source.get(name, "")
    for by, one in ((BY_EVENT, event), (BY_COMPETING, competing), (BY_STOP, stop)):
        hit = f["by"] == by
        for name in (*SOURCE, "flag"):
            f[name] = f[name].where(~hit, one[name])
    beyond = (f["by"] == "horizon") | ((f["by"] == "last") & f["at_origin"])
    for name, value in zip(SOURCE, ("ADSL", ORIGIN_DATES[p.origin], np.nan), strict=True):
        f[name] = f[name].where(~beyond, value)
    if used is not None:
        used = used[used["record"].isin(f.index[f["by"] == BY_EVENT])]
    return Parameter(code, label, p.horizon_days, p.descriptive, *words, f, used)


def _nothing(s: pd.DataFrame) -> pd.DataFrame:
    made = pd.DataFrame({"day": np.nan, "label": "", "flag": "", "srcdom": "", "srcvar": ""}, index=s.index)
    return made.assign(srcseq=np.nan)


def _run(p: Any, way: Way, found: Lineages, s: pd.DataFrame, trial: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the first days of the runs, and the results that they rest on."""
    of = (way.criteria[p.criterion], trial.windows[p.window].origin, way.extra.get(p.criterion, ()))
    who, seq = found.results_of(*of)
    first = pd.Series(seq, index=s.index[who], dtype="float64").groupby(level=0).first().reindex(s.index)
    event = _nothing(s).assign(day=found.first_days(*of), label=way.criteria[p.criterion].label)
    event["srcdom"], event["srcvar"], event["srcseq"] = "LB", "LBDTC", first
    return event, used_of(s.index[who], "", "LB", "LBSTRESC", seq)


def _clinical(p: Any, s: pd.DataFrame, start: pd.Series[float], inputs: Inputs) -> tuple[pd.DataFrame, pd.Series[bool]]:
    """Return the first of the events of a parameter, and who had one before the origin."""
    names = tuple(n for n in p.events if n != DEATH)
    event = _nothing(s)
    before = pd.Series(False, index=s.index)
    if names:
        found = onsets(inputs, names, p.grades, start)
        earlier = found["day"].to_numpy() < found["USUBJID"].map(start).to_numpy(dtype=np.float64)
        before = pd.Series(s.index.isin(found.loc[earlier, "USUBJID"]), index=s.index)
        one = first_onsets(found, start).reindex(s.index)
        for name, column in (("day", "day"), ("srcseq", "seq")):
            event[name] = one[column].astype("float64")
        for name, column in (("label", "label"), ("flag", "flag"), ("srcdom", "dataset"), ("srcvar", "variable")):
            event[name] = one[column].fillna("").astype("str")
    if DEATH in p.events:
        death = _death(s)
        # of one day the event that is named first in the trial definition
        first = (death["day"] < event["day"]) | event["day"].isna()
        if p.events[0] == DEATH:
            first |= death["day"] == event["day"]
        # a death before the origin decides nothing
        first &= death["day"] >= start
        event = event.where(~first, death)
    return event, before


def _death(s: pd.DataFrame) -> pd.DataFrame:
    made = _nothing(s).assign(day=s["death"], label=DEATH_LABEL, flag=s["deathf"])
    return made.assign(srcdom="DM", srcvar="DTHDTC")


def _others(p: Any, s: pd.DataFrame, start: pd.Series[float], inputs: Inputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what censors and what competes: the first of the intercurrent events with that action, and death."""
    found: dict[str, list[pd.DataFrame]] = {"censor": [], "compete": []}
    if DEATH in p.competing:
        found["compete"].append(_death(s).assign(day=lambda f: f["day"].where(f["day"] >= start)))
    for name, rule in inputs.trial.intercurrent.items():
        action = rule.actions.get(p.window, "none") if p.window else "none"
        if name in p.competing:
            action = "compete"
        if action in found:
            events = intercurrent(inputs, s, name)
            if not len(events):
                continue
            one = first_from(events, start)
            made = _nothing(s).assign(
                day=one["day"], label=rule.label, srcdom="PR", srcvar="PRSTDTC", srcseq=one["seq"]
            )
            found[action].append(made)
    return _earliest(found["censor"], s), _earliest(found["compete"], s)


def _earliest(parts: list[pd.DataFrame], s: pd.DataFrame) -> pd.DataFrame:
    made = parts[0] if parts else _nothing(s)
    for one in parts[1:]:
        first = one["day"].notna() & ~(made["day"] <= one["day"])
        made = made.where(~first, one)
    return made


def _last(
    p: Any, way: Way, found: Lineages, s: pd.DataFrame, start: pd.Series[float], trial: Any
) -> tuple[pd.Series[float], pd.DataFrame, tuple[str, str, str]]:
    """Return the last day of which something is known, where it stands, and in words why it ends there."""
    made = _nothing(s)
    if p.censor_at == "last_alive":
        made["srcdom"], made["srcvar"] = "ADSL", "LSTALVDT"
        return s["alive"], made, ("No event up to last contact", "Last known alive", "Origin: no contact after it")
    analyte = way.criteria[p.criterion].analyte
    day, row = found.counts.last_day(analyte)
    place = found.counts.of(analyte).record
    seq = found.counts.f["LBSEQ"].to_numpy()
    made["srcdom"], made["srcvar"] = "LB", "LBDTC"
    made["srcseq"] = np.where(row >= 0, seq[place[np.maximum(row, 0)]], np.nan) if len(place) else np.nan
    label = in_sentence(trial.analytes[analyte].label)
    return day, made, ("No event up to last value", f"Last {label}", f"Origin: no {label} on or after it")


# --- in words --------------------------------------------------------------------------------------------------------


def survival_methods(trial: Any) -> Mapping[str, str]:
    """Return PARAMCD -> how its AVAL is made, with the trial's numbers."""
    told = {}
    for way in ways(trial):
        for code, p in trial.time_to_event.items():
            if not way.codes or code in way.codes:
                told[way.codes.get(code, code)] = _method(p, way, trial)
    return told


def _method(p: Any, way: Way, trial: Any) -> str:
    names = {DEATH: in_sentence(DEATH_LABEL)} | {k: in_sentence(v.label) for k, v in trial.intercurrent.items()}
    names |= {k: in_sentence(v.label) for k, v in trial.clinical_events.items()}
    if p.criterion is not None:
        c = way.criteria[p.criterion]
        groups = [g for g in (c.breaker, *way.extra.get(p.criterion, ())) if g]
        event = run_method(c, " or ".join(trial.medications[g].label for g in groups))
    else:
        graded = f" that reaches grade {', '.join(p.grades)}" if p.grades else ""
        event = f"The first {' or '.join(names[e] for e in p.events)}{graded} on or after the origin."
    text = f"Event: {event} Origin (day 1): {ORIGIN_NAMES[p.origin]}."
    actions = {n: i.actions.get(p.window, "none") for n, i in trial.intercurrent.items()} if p.window else {}
    compete = dict.fromkeys((*p.competing, *(n for n, a in actions.items() if a == "compete")))
    if compete:
        text += f" Competing (CNSR 2): {', '.join(names[n] for n in compete)}."
    stops = [names[n] for n, a in actions.items() if a == "censor" and n not in compete]
    if stops:
        text += f" Censored on the day of {', '.join(stops)}."
    last = "last day with a value of the analyte" if p.censor_at == "last_value" else "date last known alive"
    text += f" Otherwise censored at the {last}, not before the origin."
    return text + (f" Later than day {p.horizon_days}: censored on that day." if p.horizon_days else "")

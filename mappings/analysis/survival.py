"""The time-to-event parameters of a trial: events, competing events and censoring of each, and in words for define.xml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.derive.runs import in_sentence, run_method
from adapter.derive.time_to_event import BY_COMPETING, BY_EVENT, BY_HORIZON, BY_LAST, BY_STOP, decided, first_onsets
from adapter.spec import Inputs, used_of
from mappings.analysis.lineages import Lineages
from mappings.analysis.occurrences import onsets
from mappings.analysis.responses import Way, ways
from mappings.analysis.subjects import ORIGIN_NAMES, ORIGINS, first_from, intercurrent

DEATH = "death"
DEATH_LABEL = "Death"
ORIGIN_DATES = {"randomisation": "RANDDT", "reference_start": "RFSTDT", "transplant": "HSCTDT"}
SOURCE = ("srcdom", "srcvar", "srcseq")
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]


class Dated(NamedTuple):
    """What may end the time of each subject, as arrays of the subjects: day (NaN: none), what it is, how its date was
    completed, and the record it stands in. Arrays and not a frame: there are a dozen of them for every parameter."""

    day: Floats
    label: Texts
    flag: Texts
    srcdom: Texts
    srcvar: Texts
    srcseq: Floats

    def where(self, here: Bools, other: Dated) -> Dated:
        """Return this, and the other where `here` is false."""
        return Dated(*(np.where(here, mine, its) for mine, its in zip(self, other, strict=True)))


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
        before = np.zeros(len(s), dtype=bool)
    else:
        event, before = _clinical(p, s, start, inputs)
        used = None
    stop, competing = _others(p, s, start, inputs)
    last, words = _last(p, way, found, s, trial)
    wins = trial.censoring.event_wins_ties
    at, rival, stopped, until = (pd.Series(x.day, index=s.index) for x in (event, competing, stop, last))
    f = decided(start, at, rival, stopped, until, p.horizon_days, wins)
    by = f["by"].to_numpy(dtype=object)
    at_origin = (last.day < start.to_numpy()) | np.isnan(last.day)
    source = last
    for who, one in ((BY_EVENT, event), (BY_COMPETING, competing), (BY_STOP, stop)):
        source = one.where(by == who, source)
    beyond = (by == BY_HORIZON) | ((by == BY_LAST) & at_origin)
    source = _dated(s, srcdom="ADSL", srcvar=ORIGIN_DATES[p.origin])._replace(flag=source.flag).where(beyond, source)
    told: dict[str, Any] = {
        "start": start, "prevalent": before, "origin": ORIGIN_DATES[p.origin],
        "event": event.label, "competitor": competing.label, "stopper": stop.label, "at_origin": at_origin,
        "too_early": (s["death"] < start).to_numpy() & (DEATH in (*p.events, *p.competing)),
        "flag": source.flag, "srcdom": source.srcdom, "srcvar": source.srcvar, "srcseq": source.srcseq,
    }  # fmt: skip
    f = pd.DataFrame({str(c): f[c] for c in f} | told, index=s.index)
    if used is not None:
        used = used[used["record"].isin(f.index[by == BY_EVENT])]
    return Parameter(code, label, p.horizon_days, p.descriptive, *words, f, used)


def _dated(s: pd.DataFrame, day: Any = np.nan, srcseq: Any = np.nan, **texts: Any) -> Dated:
    """Return what is dated so for every subject; what is not named is nothing."""
    days, numbers = (np.broadcast_to(np.asarray(x, dtype=np.float64), len(s)) for x in (day, srcseq))
    names = (texts.get(n, "") for n in ("label", "flag", "srcdom", "srcvar"))
    label, flag, srcdom, srcvar = (np.broadcast_to(np.asarray(x, dtype=object), len(s)) for x in names)
    return Dated(days, label, flag, srcdom, srcvar, numbers)


def _run(p: Any, way: Way, found: Lineages, s: pd.DataFrame, trial: Any) -> tuple[Dated, pd.DataFrame]:
    """Return the first days of the runs, and the results that they rest on."""
    of = (way.criteria[p.criterion], trial.windows[p.window].origin, way.extra.get(p.criterion, ()))
    who, seq = found.results_of(*of)
    first = pd.Series(seq, index=s.index[who], dtype="float64").groupby(level=0).first().reindex(s.index)
    label = way.criteria[p.criterion].label
    event = _dated(s, found.first_days(*of), first, label=label, srcdom="LB", srcvar="LBDTC")
    return event, used_of(s.index[who], "", "LB", "LBSTRESC", seq)


def _clinical(p: Any, s: pd.DataFrame, start: pd.Series[float], inputs: Inputs) -> tuple[Dated, Bools]:
    """Return the first of the events of a parameter, and who had one before the origin."""
    names = tuple(n for n in p.events if n != DEATH)
    event, before = _dated(s), np.zeros(len(s), dtype=bool)
    if names:
        found = onsets(inputs, names, p.grades, start)
        earlier = found["day"].to_numpy() < found["USUBJID"].map(start).to_numpy(dtype=np.float64)
        before = s.index.isin(found.loc[earlier, "USUBJID"])
        one = first_onsets(found, start).reindex(s.index)
        texts = {"label": "label", "flag": "flag", "srcdom": "dataset", "srcvar": "variable"}
        told = {name: one[column].fillna("").to_numpy(dtype=object) for name, column in texts.items()}
        event = _dated(s, one["day"], one["seq"], **told)
    if DEATH in p.events:
        death = _death(s)
        # of one day the event that is named first in the trial definition
        first = (death.day < event.day) | np.isnan(event.day)
        if p.events[0] == DEATH:
            first |= death.day == event.day
        # a death before the origin decides nothing
        event = death.where(first & (death.day >= start.to_numpy()), event)
    return event, before


def _death(s: pd.DataFrame) -> Dated:
    return _dated(s, s["death"], label=DEATH_LABEL, flag=s["deathf"], srcdom="DM", srcvar="DTHDTC")


def _others(p: Any, s: pd.DataFrame, start: pd.Series[float], inputs: Inputs) -> tuple[Dated, Dated]:
    """Return what censors and what competes: the first of the intercurrent events with that action, and death."""
    found: dict[str, list[Dated]] = {"censor": [], "compete": []}
    if DEATH in p.competing:
        death = _death(s)
        found["compete"].append(death._replace(day=np.where(death.day >= start.to_numpy(), death.day, np.nan)))
    for name, rule in inputs.trial.intercurrent.items():
        action = rule.actions.get(p.window, "none") if p.window else "none"
        if name in p.competing:
            action = "compete"
        if action in found:
            events = intercurrent(inputs, s, name)
            if not len(events):
                continue
            one = first_from(events, start)
            made = _dated(s, one["day"], one["seq"], label=rule.label, srcdom="PR", srcvar="PRSTDTC")
            found[action].append(made)
    return _earliest(found["censor"], s), _earliest(found["compete"], s)


def _earliest(parts: list[Dated], s: pd.DataFrame) -> Dated:
    made = parts[0] if parts else _dated(s)
    for one in parts[1:]:
        made = one.where(~np.isnan(one.day) & ~(made.day <= one.day), made)
    return made


def _last(p: Any, way: Way, found: Lineages, s: pd.DataFrame, trial: Any) -> tuple[Dated, tuple[str, str, str]]:
    """Return the last day of which something is known, where it stands, and in words why it ends there."""
    if p.censor_at == "last_alive":
        words = ("No event up to last contact", "Last known alive", "Origin: no contact after it")
        return _dated(s, s["alive"], srcdom="ADSL", srcvar="LSTALVDT"), words
    analyte = way.criteria[p.criterion].analyte
    day, row = found.counts.last_day(analyte)
    place = found.counts.of(analyte).record
    seq = found.counts.f["LBSEQ"].to_numpy()
    number = np.where(row >= 0, seq[place[np.maximum(row, 0)]], np.nan) if len(place) else np.nan
    label = in_sentence(trial.analytes[analyte].label)
    words = ("No event up to last value", f"Last {label}", f"Origin: no {label} on or after it")
    return _dated(s, day, number, srcdom="LB", srcvar="LBDTC"), words


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

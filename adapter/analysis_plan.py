"""The plan of the tables, from a trial definition: its arms, populations, parameters and settings of the analysis."""

from __future__ import annotations

from collections.abc import Iterator

from adapter.errors import TrialError
from adapter.stats.plan import Characteristic, Plan, Response, TimeTo
from adapter.trial import Trial
from adapter.trial_events import TimeToEvent
from adapter.trial_rules import Overall, ResponseParameter


def plan_of(trial: Trial) -> Plan:
    """Return the plan of a trial. TRT01P and TRT01A are taken to hold the labels of its arms, as DM.ARM does.

    Raises TrialError unless the trial has one active and one reference arm.
    """
    active = [a.label for a in trial.arms.values() if a.active]
    reference = [a.label for a in trial.arms.values() if not a.active]
    if len(active) != 1 or len(reference) != 1:
        raise TrialError(
            f"{trial.study.id}: {len(active)} active and {len(reference)} reference arms; the tables compare one with one"
        )
    a, populations = trial.analysis, trial.populations
    main = populations[a.population]
    as_treated = [flag for flag, p in populations.items() if p.arm == "actual"]
    return Plan(
        first=active[0],
        second=reference[0],
        populations={flag: p.label for flag, p in populations.items()},
        population=a.population,
        safety=as_treated[0] if as_treated else a.population,
        supportive=tuple(f for f, p in populations.items() if p.arm == "planned" and set(p.needs) > set(main.needs)),
        responses=tuple(_responses(trial)),
        times=tuple(_times(trial)),
        characteristics=tuple(Characteristic(c.variable, c.label, c.numeric, c.unit) for c in a.characteristics),
        confidence=float(a.confidence),
        not_evaluable_as=a.not_evaluable_as,
        related=trial.safety.related,
        serious_criteria=trial.safety.serious_criteria,
        expected=trial.safety.toxicity.expected,
        sides=a.sides,
        continuity=a.difference_interval == "newcombe_continuity",
        multiplicity=a.multiplicity,
        horizon_days=trial.response.horizon_days if a.interim_excludes_unripe else 0,
    )


def _responses(trial: Trial) -> Iterator[Response]:
    response, a = trial.response, trial.analysis
    known: dict[str, ResponseParameter | Overall] = {**response.parameters, **response.overall}
    for code in a.primary:
        yield Response(code, known[code].label, known[code].responders)
    for pair in a.secondary:
        code, _, value = pair.partition("=")
        yield Response(code, f"{known[code].label}: {value}", (value,), "secondary")
    for code, overall in response.overall.items():
        if code not in a.primary:
            yield Response(code, overall.label, overall.responders, "secondary")
    for code, late in response.sensitivity.items():
        yield Response(code, late.label, known[late.base].responders, "sensitivity")
    for s in trial.sensitivity.values():
        for base, code in s.parameters.items():
            if base in known:
                yield Response(code, f"{known[base].label}: {s.label}", known[base].responders, "sensitivity")
    for code, after in trial.after_transplant.parameters.items() if trial.after_transplant else ():
        yield Response(code, after.label, ("Y",), "descriptive")


def _times(trial: Trial) -> Iterator[TimeTo]:
    for code, t in trial.time_to_event.items():
        yield _time(trial, code, t.label, t)
    for s in trial.sensitivity.values():
        for base, code in s.parameters.items():
            if base in trial.time_to_event:
                t = trial.time_to_event[base]
                yield _time(trial, code, f"{t.label}: {s.label}", t)


def _time(trial: Trial, code: str, label: str, t: TimeToEvent) -> TimeTo:
    delayed = t.descriptive and trial.analysis.delayed_entry_at == "randomisation"
    return TimeTo(
        code,
        label,
        competing=bool(t.competing),
        delayed=delayed,
        days=tuple(d for d in trial.analysis.landmark_days if t.horizon_days is None or d <= t.horizon_days),
        compared=delayed or not t.descriptive,
    )

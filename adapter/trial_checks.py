"""Cross-checks of a trial definition: what one part names must exist in another. Returns findings, raises nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from string import Formatter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapter.errors import TrialError, unknown
from adapter.trial_events import DEVIATIONS
from adapter.trial_tables import RUN_SOURCES, sources

if TYPE_CHECKING:
    from adapter.trial import Trial

DEATH = "death"

EVENT_GROUPS = 2
"""Variables for groups of events in ADAE and ADCE; a third group would be dropped unseen."""


def _missing(where: str, what: str, found: Iterable[str | None], known: Iterable[str]) -> Iterator[str]:
    names = list(known)
    for name in found:
        if name is not None and name not in names:
            yield f"{where}: {unknown(what, name, names)}"


def check_trial(trial: Trial) -> list[str]:
    """Return every contradiction inside the definition, each as 'FILE KEY: found, expected'."""
    parts = (_study, _arms, _criteria, _origins, _response, _analysis, _time_to_event, _tables, _names)
    return [text for part in parts for text in part(trial)]


def _study(t: Trial) -> Iterator[str]:
    try:
        ZoneInfo(t.study.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        yield f"trial.toml study.time_zone: found {t.study.time_zone!r}, expected an IANA name such as 'Asia/Tokyo'"
    planned = sum(a.planned_subjects for a in t.arms.values())
    if planned != t.study.planned_subjects:
        yield f"trial.toml study.planned_subjects: found {t.study.planned_subjects}, but the arms add up to {planned}"
    if t.eligibility.age_min > t.eligibility.age_max:
        yield f"trial.toml eligibility.age_min: found {t.eligibility.age_min}, above age_max {t.eligibility.age_max}"


def _arms(t: Trial) -> Iterator[str]:
    epochs = set(t.epochs)
    for code, element in t.elements.items():
        if len(code) > 8:
            yield f"trial.toml elements.{code}: ETCD has {len(code)} characters, at most 8 fit"
        yield from _missing(f"trial.toml elements.{code}.epoch", "epoch", [element.epoch], t.epochs)
    spelled: dict[str, str] = {}
    for code, arm in t.arms.items():
        where = f"trial.toml arms.{code}"
        for text in (code, *arm.spellings):
            if spelled.setdefault(text, code) != code:
                yield f"{where}.spellings: {text!r} already stands for arm {spelled[text]}"
        yield from _missing(f"{where}.path", "element", [s.element for s in arm.path], t.elements)
        for name, use in arm.treatment.items():
            at = f"{where}.treatment.{name}"
            yield from _missing(f"{at}.product", "product", [use.product], t.by_key("products"))
            yield from _missing(f"{at}.medications", "medication", use.medications, t.medications)
            if (use.dataset == "EX") != (use.product is not None) or (use.dataset == "CM") != bool(use.medications):
                yield f"{at}: dataset {use.dataset} found; EX needs a product and no medications, CM the reverse"
            if use.not_before in ("reference_start", "transplant"):
                # RFSTDTC is made from the treatments, and transplants are found after it
                yield f"{at}.not_before: found {use.not_before!r}, expected 'consent' or 'randomisation'"
            if use.ongoing == "count_from_limit" and use.not_before is None:
                yield f"{at}.ongoing: 'count_from_limit' needs not_before"
    for visit in t.visits:
        where = f"visits.csv {visit.VISITNUM}"
        yield from _missing(f"{where} ARMCD", "arm", [visit.ARMCD], t.arms)
        yield from _missing(f"{where} epoch", "epoch", [visit.epoch], epochs)
    for name in t.dosing:
        yield from _missing("trial.toml dosing", "product", [name], t.by_key("products"))
    for name, factor in t.growth_factors.items():
        where = f"trial.toml growth_factors.{name}"
        yield from _missing(f"{where}.medication", "medication", [factor.medication], t.medications)
        if factor.low > factor.high:
            yield f"{where}.low: found {factor.low}, above high {factor.high}"
    for name, rule in t.step_rules.items():
        where = f"trial.toml step_rules.{name}"
        yield from _missing(f"{where}.medication", "medication", [rule.medication], t.medications)
        yield from _missing(f"{where}.analyte", "analyte", [rule.analyte], t.analytes)
        if not rule.up_below <= rule.down_from <= rule.down_to <= rule.stop_above:
            yield f"{where}: expected up_below <= down_from <= down_to <= stop_above"
    for name, deviation in t.deviations.items():
        yield from _missing("trial.toml deviations", "rule", [name], DEVIATIONS)
        told = [field for _, field, _, _ in Formatter().parse(deviation.term) if field is not None]
        yield from _missing(f"trial.toml deviations.{name}.term", "placeholder", told, DEVIATIONS.get(name, ()))
        yield from _missing(f"trial.toml deviations.{name}.arms", "arm", deviation.arms, t.arms)


def _criteria(t: Trial) -> Iterator[str]:
    for name, analyte in t.analytes.items():
        if analyte.plausible_low >= analyte.plausible_high:
            yield f"trial.toml analytes.{name}.plausible_low: found {analyte.plausible_low}, not below plausible_high"
    for preset, change in t.presets.items():
        yield from _missing(f"trial.toml presets.{preset}.criteria", "criterion", change.criteria, t.criteria)
    for kind in (None, *t.presets):
        for name, c in t.criteria_of(kind).items():
            where = f"trial.toml criteria.{name}" if kind is None else f"trial.toml presets.{kind}.criteria.{name}"
            yield from _missing(f"{where}.analyte", "analyte", [c.analyte], t.analytes)
            yield from _missing(f"{where}.breaker", "medication", [c.breaker], t.medications)
            if (c.missing_day == "bridge") != (c.bridge > 0):
                wanted = "1 or more" if c.missing_day == "bridge" else "0"
                yield f"{where}.bridge: found {c.bridge}, expected {wanted} with missing_day {c.missing_day!r}"
            if c.analyte in t.analytes and c.unit != t.analytes[c.analyte].unit:
                yield f"{where}.unit: found {c.unit!r}, expected {t.analytes[c.analyte].unit!r}, as of {c.analyte}"
            if c.count == "measurements" and c.max_gap_days is None:
                yield f"{where}.max_gap_days: nothing found; needed where count is 'measurements'"


def _origins(t: Trial) -> Iterator[str]:
    if t.transplant is not None:
        return
    used: dict[str, str] = {f"windows.{k}": w.origin for k, w in t.windows.items()}
    used |= {f"time_to_event.{k}": p.origin for k, p in t.time_to_event.items()}
    used |= {f"elements.{k}": e.starts for k, e in t.elements.items()}
    for name, origin in used.items():
        if origin == "transplant":
            yield f"trial.toml {name}: counts from the transplant, but there is no [transplant]"
    for visit in t.visits:
        if visit.anchor == "transplant":
            yield f"visits.csv {visit.VISITNUM} anchor: counts from the transplant, but there is no [transplant]"


def _response(t: Trial) -> Iterator[str]:
    r, after = t.response, t.after_transplant
    if not r.late_day <= r.horizon_days:
        yield f"trial.toml response.late_day: found {r.late_day}, after the horizon {r.horizon_days}"
    for code, p in r.parameters.items():
        where = f"trial.toml response.parameters.{code}"
        yield from _missing(f"{where}.window", "window", [p.window], t.windows)
        yield from _missing(f"{where}.levels", "criterion", [v.criterion for v in p.levels], t.criteria)
        words = [v.value for v in p.levels] + [p.otherwise, p.not_evaluable]
        yield from _missing(where, "response value", [*words, *p.responders], r.values)
        analytes = {t.criteria[v.criterion].analyte for v in p.levels if v.criterion in t.criteria}
        if len(analytes) > 1:
            yield f"{where}.levels: criteria of several analytes found {sorted(analytes)}, expected one lineage"
    for code, o in r.overall.items():
        where = f"trial.toml response.overall.{code}"
        yield from _missing(where, "parameter", chain.from_iterable(v.needs for v in o.levels), r.parameters)
        words = [v.value for v in o.levels] + [o.otherwise, o.not_evaluable]
        yield from _missing(where, "response value", [*words, *o.responders], r.values)
    for code, s in r.sensitivity.items():
        where = f"trial.toml response.sensitivity.{code}"
        yield from _missing(f"{where}.base", "parameter", [s.base], r.parameters)
        yield from _missing(f"{where}.medication", "medication", [s.medication], t.medications)
        yield from _missing(f"{where}.becomes", "response value", [s.becomes], r.values)
    for one, other in ((a, b) for i, a in enumerate(r.values) for b in list(r.values)[:i]):
        if r.values[one] == r.values[other] and any({one, other} <= _words(t, c) for c in r.parameters):
            yield f"trial.toml response.values: {one} and {other} have the same AVAL in one parameter"
    if after is not None:
        yield from _missing("trial.toml after_transplant.window", "window", [after.window], t.windows)
    for code, a in after.parameters.items() if after else ():
        yield from _missing(f"trial.toml after_transplant.parameters.{code}", "criterion", [a.criterion], t.criteria)


def _words(t: Trial, code: str) -> set[str]:
    p = t.response.parameters[code]
    return {v.value for v in p.levels} | {p.otherwise, p.not_evaluable}


def _analysis(t: Trial) -> Iterator[str]:
    a, known = t.analysis, {**t.response.parameters, **t.response.overall}
    yield from _missing("trial.toml analysis.population", "population", [a.population], t.populations)
    yield from _missing("trial.toml analysis.primary", "parameter", a.primary, known)
    for pair in a.secondary:
        code, _, value = pair.partition("=")
        yield from _missing("trial.toml analysis.secondary", "parameter", [code], known)
        yield from _missing(f"trial.toml analysis.secondary {pair}", "response value", [value], t.response.values)
    if (daily := t.daily_phase) is not None:
        yield from _missing("trial.toml daily_phase.criteria", "criterion", daily.criteria, t.criteria)
        yield from _missing("trial.toml daily_phase.analytes", "analyte", daily.analytes, t.analytes)
        yield from _missing("trial.toml daily_phase.entry_column", "log column", [daily.entry_column], t.log.columns)
    yield from _missing("trial.toml analysis_visits", "analyte", t.analysis_visits.daily_analytes, t.analytes)
    yield from _missing("trial.toml safety", "medication", t.safety.reaction_medications, t.medications)
    after = t.after_transplant.parameters if t.after_transplant else {}
    parameters = {*known, *t.time_to_event, *after}
    for name, s in t.sensitivity.items():
        where = f"trial.toml sensitivity.{name}"
        yield from _missing(f"{where}.preset", "preset", [s.preset], t.presets)
        yield from _missing(f"{where}.medication", "medication", [s.medication], t.medications)
        yield from _missing(f"{where}.criteria", "criterion", s.criteria, t.criteria)
        yield from _missing(f"{where}.parameters", "parameter", s.parameters, parameters)
        if (s.kind == "preset") != (s.preset is not None) or (s.kind == "breaker") != (s.medication is not None):
            yield f"{where}.kind: found {s.kind!r}; 'preset' needs preset, 'breaker' needs medication, and only these"


def _time_to_event(t: Trial) -> Iterator[str]:
    for code, p in t.time_to_event.items():
        where = f"trial.toml time_to_event.{code}"
        yield from _missing(f"{where}.criterion", "criterion", [p.criterion], t.criteria)
        yield from _missing(f"{where}.window", "window", [p.window], t.windows)
        yield from _missing(f"{where}.events", "event", p.events, [*t.clinical_events, DEATH])
        yield from _missing(f"{where}.competing", "competing event", p.competing, [DEATH, *t.intercurrent])
        if (p.criterion is None) == (not p.events) or (p.criterion is None) != (p.window is None):
            yield f"{where}: expected either criterion and window, or events"
        elif p.window in t.windows and t.windows[p.window].origin != p.origin:
            yield f"{where}.origin: found {p.origin!r}, but the window starts at {t.windows[p.window].origin!r}"
        if p.censor_at == "last_value" and p.criterion is None:
            yield f"{where}.censor_at: 'last_value' needs a criterion, whose analyte it is"
    for name, i in t.intercurrent.items():
        where = f"trial.toml intercurrent.{name}"
        yield from _missing(f"{where}.actions", "window", i.actions, t.windows)
        if (i.kind == "procedure") != bool(i.category):
            yield f"{where}.category: found {i.category!r}; kind 'procedure' needs one, 'transplant' none"


def _tables(t: Trial) -> Iterator[str]:
    visits: dict[str, int] = {}
    for visit in t.visits:
        if visit.VISIT in visits:
            yield f"visits.csv {visit.VISITNUM} VISIT: {visit.VISIT!r} is already visit {visits[visit.VISIT]}"
        visits[visit.VISIT] = visit.VISITNUM
    for row in t.entry_criteria:
        if len(row.IETEST.encode()) > 200:
            yield f"criteria.csv {row.IETESTCD} IETEST: {len(row.IETEST.encode())} bytes found, at most 200 fit"
        if (row.decided == "log") != (row.rule == ""):
            yield f"criteria.csv {row.IETESTCD} rule: found {row.rule!r} with decided {row.decided!r}"
    for p in t.products:
        if not p.code and not p.text:
            yield f"products.csv {p.id}: neither code nor text found, so the product can never be recognised"
        if bool(p.code) != bool(p.system):
            yield f"products.csv {p.id}: expected system and code together, found {p.system!r} and {p.code!r}"
    reasons: dict[str, str] = {}
    for d in t.dispositions:
        if (other := reasons.setdefault(d.reason.casefold(), d.reason)) != d.reason:
            yield f"dispositions.csv {d.reason}: differs from {other!r} in case only"
    names: dict[str, str] = {}
    for ts in t.summary:
        where = f"ts.csv {ts.id}"
        if names.setdefault(ts.TSPARMCD, ts.TSPARM) != ts.TSPARM:
            yield f"{where} TSPARM: found {ts.TSPARM!r}, expected {names[ts.TSPARMCD]!r}, as above"
        if not ts.TSVAL and not ts.TSVALNF:
            yield f"{where}: expected TSVAL or TSVALNF, found neither"
        for column, value in (("TSVAL", ts.TSVAL), ("TSVCDVER", ts.TSVCDVER)):
            for source in sources(value):
                if source.startswith("run."):
                    yield from _missing(f"{where} {column}", "source", [source], RUN_SOURCES)
                else:
                    yield from _setting(t, f"{where} {column}", source)
    for decision in t.decisions:
        for name in decision.settings:
            yield from _setting(t, f"decisions.csv {decision.number} settings", name)


def _setting(t: Trial, where: str, name: str) -> Iterator[str]:
    try:
        t.setting(name)
    except TrialError as e:
        yield f"{where}: {e.message}"


def _names(t: Trial) -> Iterator[str]:
    seen: dict[str, str] = {}
    groups: dict[str, Iterable[str]] = {
        "response.parameters": t.response.parameters,
        "response.overall": t.response.overall,
        "response.sensitivity": t.response.sensitivity,
        "after_transplant.parameters": t.after_transplant.parameters if t.after_transplant else (),
        "time_to_event": t.time_to_event,
        **{f"sensitivity.{k}.parameters": set(s.parameters.values()) for k, s in t.sensitivity.items()},
    }
    for group, codes in groups.items():
        for code in codes:
            if code in seen:
                yield f"trial.toml {group}: PARAMCD {code!r} is already used in {seen[code]}"
            seen[code] = group
    if len(t.safety.groups) > EVENT_GROUPS:
        found = ", ".join(t.safety.groups)
        yield f"trial.toml safety.groups: expected at most {EVENT_GROUPS} (CQ01NAM, CQ02NAM), found {found}"
    for name, s in t.sensitivity.items():
        if len(set(s.parameters.values())) != len(s.parameters):
            yield f"trial.toml sensitivity.{name}.parameters: two results under one PARAMCD"

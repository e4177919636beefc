"""All analysis results once more, from the dataset files: plain Python over records, scipy for distributions, nothing of adapter.

expected(rows) gives (table, section, label, group, statistic) -> (value, lower, upper), None where it is not estimable. What
the trial pgf_msc analyses is written here by hand, from the protocol; of responses and times the label is left empty.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyreadstat
from scipy import optimize, stats

from tests import naive_statistics as naive
from tests.naive_statistics import Subject

Record = dict[str, Any]
Key = tuple[str, str, str, str, str]
Number = tuple[float | None, float | None, float | None]

MSC, CTRL = "UC-MSC + conventional PGF treatment", "Conventional PGF treatment"
ARMS, BOTH = (MSC, CTRL), f"{MSC} vs {CTRL}"
Z = 1.959963984540054
YES, CR, CR_PR = {"Y"}, {"CR"}, {"CR", "PR"}
RESPONSES = {
    "primary": {"NEUT": YES, "PLTRESP": CR_PR, "RBC": YES},
    "secondary": {"PLTRESP": CR, "OVRLRESP": CR_PR},
    "sensitivity": {
        "PLTRESPS": CR_PR,
        "RBCS": YES,
        "NEUTM": YES,
        "RBCM": YES,
        "PLTRESPM": CR_PR,
        "OVRLRSPM": CR_PR,
        "NEUTR": YES,
        "PLTRESPR": CR_PR,
        "NEUTG": YES,
    },
    "descriptive": {"NEUTH": YES, "PLT20H": YES, "RBCH": YES},
}
DAYS = (28, 56, 100, 180, 365)
SURVIVAL = ("OS", "DFS")
COMPETING = ("TTNEUT", "TTPLT20", "TTPLT50", "TTRBC", "TTNEUTR", "TTPLT20R", "TTAGVHD", "TTAGVHD2", "TTCGVHD")
DELAYED = ("TTNEUTH", "TTPLT20H", "TTRBCH", "TTREL", "TTINF", "TTGF")
NUMBERS = {
    "AGE": "Age (years)",
    "ANCBL": "Neutrophils (10^9/L)",
    "PLTBL": "Platelets (10^9/L)",
    "HGBBL": "Haemoglobin (g/L)",
}
CATEGORIES = {"SEX": "Sex", "RACE": "Race", "DONTYPE": "Donor type"}
ENDS = {
    "EOTSTT": "Treatment",
    "DCTREAS": "Reason for the end of treatment",
    "EOSSTT": "Study",
    "DCSREAS": "Reason for leaving the study",
    "DTHFL": "Died",
}
FLAGS = {"ITTFL": "Intent-to-Treat", "FASFL": "Full Analysis Set", "SAFFL": "Safety", "PPROTFL": "Per-Protocol"}
RELATED = ("RELATED", "PROBABLY RELATED", "POSSIBLY RELATED")
SERIOUS = {
    "AESDTH": "death",
    "AESLIFE": "life-threatening",
    "AESHOSP": "hospitalisation",
    "AESDISAB": "disability",
    "AESMIE": "other medically important",
    "AESCONG": "congenital anomaly",
}
EXPECTED_LAB = ("NEUT", "PLAT", "HGB", "WBC", "LYM")


def rows(out: Path, name: str) -> list[Record]:
    """Return a dataset, XPT or Dataset-JSON, row by row: missing is None or "", dates are day numbers."""
    for folder in ("adam", "sdtm"):
        if (out / folder / f"{name}.xpt").is_file():
            frame, _ = pyreadstat.read_xport(out / folder / f"{name}.xpt")
            return [{k: _plain(v) for k, v in r.items()} for r in frame.to_dict("records")]
        if (out / folder / f"{name}.json").is_file():
            whole = json.loads((out / folder / f"{name}.json").read_bytes())
            columns = whole["columns"]
            return [
                {c["name"]: _typed(v, c) for c, v in zip(columns, row, strict=True)} for row in whole.get("rows", [])
            ]
    return []


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date().toordinal()
    if isinstance(value, date):
        return value.toordinal()
    return None if isinstance(value, float) and math.isnan(value) else value


def _typed(value: Any, column: dict[str, Any]) -> Any:
    if column["dataType"] in ("date", "datetime") and value:
        return date.fromisoformat(value[:10]).toordinal() if column.get("targetDataType") == "integer" else value
    if column["dataType"] in ("integer", "float", "double", "decimal"):
        return None if value is None else float(value)
    return "" if value is None else value


def expected(out: Path) -> dict[Key, Number]:
    made: dict[Key, Number] = {}
    for key, number in _everything({n: rows(out, n) for n in NAMES}):
        assert key not in made, key
        made[key] = number
    return made


NAMES = ("adsl", "adrs", "adtte", "adae", "adce", "adlb", "adex", "adtb", "dv", "suppdv")


def _everything(data: dict[str, list[Record]]) -> Iterator[tuple[Key, Number]]:
    yield from _subjects(data["adsl"])
    for role, parameters in RESPONSES.items():
        for flag in ("FASFL", "PPROTFL") if role == "primary" else ("FASFL",):
            table = f"response-{role}-{flag.lower()}"
            for paramcd, responders in parameters.items():
                yield from _response(table, paramcd, responders, data, flag, role != "descriptive")
    for flag in ("FASFL", "PPROTFL"):
        for paramcd in (*SURVIVAL, *COMPETING, *DELAYED):
            yield from _times(f"time-to-event-{flag.lower()}", paramcd, data, flag)
    if data["dv"]:
        yield from _deviations(data)
    if data["adex"]:
        yield from _exposure(data)
    if data["adtb"]:
        yield from _transfusions(data)
    if data["adae"]:
        yield from _adverse_events(data)
    if data["adce"]:
        yield from _clinical_events(data)
    yield from _shifts(data)


def _arm(adsl: list[Record], flag: str, variable: str = "TRT01P") -> dict[str, str]:
    return {r["USUBJID"]: r[variable] for r in adsl if r[flag] == "Y"}


def _one(value: float | None, low: float | None = None, high: float | None = None) -> Number:
    return value, low, high


def _subjects(adsl: list[Record]) -> Iterator[tuple[Key, Number]]:
    for flag, label in FLAGS.items():
        arm = _arm(adsl, flag, "TRT01A" if flag == "SAFFL" else "TRT01P")
        for name in ARMS:
            yield ("populations", flag, label, name, "subjects"), _one(sum(a == name for a in arm.values()))
    full = [r for r in adsl if r["FASFL"] == "Y"]
    for group in (*ARMS, "ALL"):
        mine = [r for r in full if group in (r["TRT01P"], "ALL")]
        for variable, label in NUMBERS.items():
            yield from _described(("baseline", variable, label, group), [r.get(variable) for r in mine])
        for table, labels, always in (("baseline", CATEGORIES, True), ("disposition", ENDS, False)):
            for variable, label in labels.items():
                if variable not in adsl[0]:
                    continue
                values = {r[variable] for r in full}
                for value in values if always or variable in ("EOTSTT", "EOSSTT") else values - {""}:
                    n = sum(r[variable] == value for r in mine)
                    where = (table, variable, f"{label}: {value or 'missing'}", group)
                    yield (*where, "subjects"), _one(n)
                    yield (*where, "share"), _one(n / len(mine) if mine else None)


def _described(
    where: tuple[str, str, str, str], values: Sequence[float | None], brief: bool = False
) -> Iterator[tuple[Key, Number]]:
    x = sorted(v for v in values if v is not None)
    yield (*where, "subjects"), _one(len(x))
    yield (*where, "missing"), _one(len(values) - len(x))
    yield (*where, "mean"), _one(math.fsum(x) / len(x) if x else None)
    yield (*where, "standard deviation"), _one(statistics.stdev(x) if len(x) > 1 else None)
    if brief:
        return
    for name, p in (("first quartile", 0.25), ("median", 0.5), ("third quartile", 0.75)):
        place = p * (len(x) - 1)
        low = int(place)
        value = x[low] + (place - low) * (x[min(low + 1, len(x) - 1)] - x[low]) if x else None
        yield (*where, name), _one(value)
    yield (*where, "minimum"), _one(x[0] if x else None)
    yield (*where, "maximum"), _one(x[-1] if x else None)


# --- response --------------------------------------------------------------------------------------------------------


def clopper_pearson(x: int, n: int) -> Number:
    if not n:
        return None, None, None
    low = float(stats.beta.ppf(0.025, x, n - x + 1)) if x else 0.0
    high = float(stats.beta.ppf(0.975, x + 1, n - x)) if x < n else 1.0
    return x / n, low, high


def _response(
    table: str, paramcd: str, responders: set[str], data: dict[str, list[Record]], flag: str, compared: bool
) -> Iterator[tuple[Key, Number]]:
    subjects = {r["USUBJID"]: r for r in data["adsl"] if r[flag] == "Y"}
    said = {r["USUBJID"]: r for r in data["adrs"] if r["PARAMCD"] == paramcd}
    counts = []
    for name in ARMS:
        x = n = ne = 0
        for u, s in subjects.items():
            record = said.get(u)
            if s["TRT01P"] != name or (record and record["ANL01FL"] != "Y"):
                continue
            answer = (record["AVALC"] if record else "") or "NE"
            gone = s.get("DTHFL") == "Y" or s["EOSSTT"] not in ("", "ONGOING")
            if answer not in responders and s["RFSTDT"] + 55 > s["DCUTDT"] and not gone:
                continue  # day 56 is not reached
            n, x, ne = n + 1, x + (answer in responders), ne + (answer == "NE")
        where = (table, paramcd, "", name)
        yield (*where, "subjects"), _one(n)
        yield (*where, "responders"), _one(x)
        yield (*where, "not evaluable"), _one(ne)
        yield (*where, "response rate"), clopper_pearson(x, n)
        counts.append((x, n))
    if not compared:
        return
    (x1, n1), (x2, n2) = counts
    where = (table, paramcd, "", BOTH)
    if not (n1 and n2):
        for name in ("difference of rates", "p, two-sided", "p, one-sided"):
            yield (*where, name), _one(None)
        return
    yield (*where, "difference of rates"), (x1 / n1 - x2 / n2, *naive.newcombe(x1, n1, x2, n2, Z))
    two, one = naive.fisher(x1, n1, x2, n2)
    yield (*where, "p, two-sided"), _one(two)
    yield (*where, "p, one-sided"), _one(one)


# --- time to event ---------------------------------------------------------------------------------------------------


def _times(table: str, paramcd: str, data: dict[str, list[Record]], flag: str) -> Iterator[tuple[Key, Number]]:
    delayed, competing = paramcd in DELAYED, paramcd not in SURVIVAL
    subjects = {r["USUBJID"]: r for r in data["adsl"] if r[flag] == "Y"}
    groups = []
    for name in ARMS:
        group: list[Subject] = []
        out = 0
        for r in data["adtte"]:
            s = subjects.get(r["USUBJID"])
            if not s or r["PARAMCD"] != paramcd or s["TRT01P"] != name:
                continue
            entry = int(s["RANDDT"] - r["STARTDT"]) if delayed else -1
            if r["AVAL"] <= entry:
                out += 1
                continue
            group.append((int(r["AVAL"]), {0: 1, 1: 0, 2: 2}[int(r["CNSR"])], entry))
        groups.append(group)
        where = (table, paramcd, "", name)
        yield (*where, "subjects"), _one(len(group))
        for what, status in (("events", 1), ("competing events", 2), ("censored", 0)):
            if competing or status != 2:
                yield (*where, what), _one(sum(s == status for _, s, _ in group))
        if delayed:
            yield (*where, "left out: ended before randomisation"), _one(out)
        for day in DAYS:
            if competing:
                yield (*where, f"cumulative incidence on day {day}"), incidence(group, day)
            else:
                yield (*where, f"free of the event on day {day}"), free_of(group, day)
        if competing:
            had = [t for t, s, _ in group if s == 1]
            for what, f in (("median", statistics.median), ("shortest", min), ("longest", max)):
                yield (*where, f"{what} time of those with the event"), _one(float(f(had)) if had else None)  # type: ignore[operator]
        else:
            for p in (0.25, 0.5, 0.75):
                yield (*where, f"{p * 100:g} % had the event by"), quantile(group, Fraction(p))
    where = (table, paramcd, "", BOTH)
    kind = "cause-specific " if competing else ""
    if competing:
        yield (*where, "p, Gray"), _one(None if delayed else gray(groups))
    test, ratio = hazards(groups[0], groups[1])
    yield (*where, f"p, {kind}log-rank"), _one(test)
    yield (*where, f"{kind}hazard ratio"), ratio


def _emptied(group: list[Subject], *causes: int) -> float:
    """Return the first day on which all at risk had an event although others entered later; infinite if there is none."""
    for day in naive.days(group, *causes):
        if naive.at_risk(group, day) == naive.events(group, day, *causes) and any(t > day for t, _, _ in group):
            return day
    return math.inf


def _log_log(value: float, se: float) -> tuple[float, float]:
    width = Z * se / (value * -math.log(value))
    return value ** math.exp(width), value ** math.exp(-width)


def free_of(group: list[Subject], day: int) -> Number:
    if not group or day >= _emptied(group, 1):
        return None, None, None
    value = float(naive.survival(group, day))
    if day > max(t for t, _, _ in group) and value > 0:
        return None, None, None
    if value == 1:
        return 1.0, 1.0, 1.0
    if value == 0:
        return 0.0, None, None
    return (value, *_log_log(value, naive.greenwood(group, day)))


def quantile(group: list[Subject], p: Fraction) -> Number:
    days = naive.days(group, 1)
    if not days or _emptied(group, 1) < math.inf:
        return None, None, None
    value = naive.quantile(group, p)
    limits = []
    for side in (1, 2):
        curve = [(d, free_of(group, d)[side]) for d in days]
        reached = [d for d, x in curve if x is not None and x <= float(1 - p) + 1e-10]
        limits.append(float(reached[0]) if reached else None)
    return value, limits[0], limits[1] if value is not None else None


def incidence(group: list[Subject], day: int) -> Number:
    if not group or day >= _emptied(group, 1, 2):
        return None, None, None
    days = naive.days(group, 1, 2)
    final = bool(days) and naive.at_risk(group, days[-1]) == naive.events(group, days[-1], 1, 2) and day >= days[-1]
    if day > max(t for t, _, _ in group) and not final:
        return None, None, None
    value = naive.incidence(group, day, 1).real
    if value == 0:
        return 0.0, None, None
    if value > 1 - 1e-12:
        return 1.0, None, None
    return (value, *_log_log(value, math.sqrt(naive.aalen_variance(group, day, 1))))


def gray(groups: list[list[Subject]]) -> float | None:
    if not all(groups) or not any(s == 1 for g in groups for _, s, _ in g):
        return None
    (score, _), ((variance, _), _) = naive.gray(groups, 1)
    if variance <= 1e-12:
        return None
    return float(stats.chi2.sf(score**2 / variance, 1))


def hazards(one: list[Subject], other: list[Subject]) -> tuple[float | None, Number]:
    """Return the log-rank p value and the hazard ratio of the first group, Efron's ties, by the root of the score."""
    both = [*((s, 1) for s in one), *((s, 0) for s in other)]
    together = [d for d in naive.days([*one, *other], 1) if naive.at_risk(one, d) and naive.at_risk(other, d)]
    spared = [d for d in together if naive.events([*one, *other], d, 1) < naive.at_risk([*one, *other], d)]
    if not spared:
        return None, (None, None, None)
    p = float(stats.chi2.sf(naive.log_rank(one, other), 1))
    if not all(any(naive.events(g, d, 1) for d in together) for g in (one, other)):
        return p, (None, None, None)

    def slope_and_bend(beta: float) -> tuple[float, float]:
        slope = bend = 0.0
        for day in naive.days([s for s, _ in both], 1):
            risk = [x for (t, _, e), x in both if e < day <= t]
            dying = [x for (t, s, _), x in both if t == day and s == 1]
            h = math.exp(beta)
            all0, all1 = sum(h if x else 1 for x in risk), sum(h for x in risk if x)
            own0, own1 = sum(h if x else 1 for x in dying), sum(h for x in dying if x)
            for k in range(len(dying)):
                mean = (all1 - k / len(dying) * own1) / (all0 - k / len(dying) * own0)
                slope, bend = slope + dying[k] - mean, bend + mean * (1 - mean)
        return slope, bend

    beta = float(optimize.brentq(lambda b: slope_and_bend(b)[0], -30, 30, xtol=1e-13))
    width = Z / math.sqrt(slope_and_bend(beta)[1])
    return p, (math.exp(beta), math.exp(beta - width), math.exp(beta + width))


# --- treatment and safety --------------------------------------------------------------------------------------------


def _exposure(data: dict[str, list[Record]]) -> Iterator[tuple[Key, Number]]:
    arm = _arm(data["adsl"], "SAFFL", "TRT01A")
    mine = [r for r in data["adex"] if r["USUBJID"] in arm]
    for name in {arm[r["USUBJID"]] for r in mine}:
        for paramcd, param, visit in {(r["PARAMCD"], r["PARAM"], r["AVISIT"]) for r in mine}:
            values = [
                r["AVAL"] for r in mine if arm[r["USUBJID"]] == name and (r["PARAMCD"], r["AVISIT"]) == (paramcd, visit)
            ]
            yield from _described(("exposure", paramcd, f"{param}, {visit}".removesuffix(", "), name), values)


def _transfusions(data: dict[str, list[Record]]) -> Iterator[tuple[Key, Number]]:
    arm = _arm(data["adsl"], "FASFL")
    mine = [r for r in data["adtb"] if r["USUBJID"] in arm]
    for name in ARMS:
        own = [r for r in mine if arm[r["USUBJID"]] == name]
        observed = {r["USUBJID"]: r["OBSDAYS"] for r in own if r["AVISITN"] == 0}
        yield from _described(("transfusions", "OBSDAYS", "Days under observation", name), list(observed.values()))
        for paramcd, param, week in {(r["PARAMCD"], r["PARAM"], r["AVISITN"]) for r in mine}:
            values = [r["AVAL"] for r in own if (r["PARAMCD"], r["AVISITN"]) == (paramcd, week)]
            label = f"{param}, Week {week:g}" if week else f"{param}, all weeks"
            yield from _described(("transfusions", paramcd, label, name), values, brief=week > 0)


def _counted(
    where: tuple[str, str, str],
    events: Iterable[Record],
    arm: dict[str, str],
    unit: str = "events",
    interval: bool = False,
) -> Iterator[tuple[Key, Number]]:
    found = list(events)
    for name in ARMS:
        own = [e["USUBJID"] for e in found if arm[e["USUBJID"]] == name]
        x, n = len(set(own)), sum(a == name for a in arm.values())
        rate = clopper_pearson(x, n)
        yield (*where, name, "subjects"), _one(x)
        yield (*where, name, "share"), rate if interval else _one(rate[0])
        yield (*where, name, unit), _one(len(own))


def _by_term(
    table: str, events: list[Record], arm: dict[str, str], names: tuple[str, str, str], missing: str
) -> Iterator[tuple[Key, Number]]:
    yield from _counted((table, "Any event", "Any"), events, arm, interval=True)
    of, term, reported = names
    for name in {e.get(of, "") for e in events}:
        own = [e for e in events if e.get(of, "") == name]
        yield from _counted((table, name or missing, "Any term"), own, arm)
        for t in {_term(e, term, reported) for e in own}:
            yield from _counted((table, name or missing, t), [e for e in own if _term(e, term, reported) == t], arm)


def _term(event: Record, term: str, reported: str) -> str:
    return event.get(term) or f"{event[reported]} (not coded)"


def _adverse_events(data: dict[str, list[Record]]) -> Iterator[tuple[Key, Number]]:
    arm = _arm(data["adsl"], "SAFFL", "TRT01A")
    ae = [e for e in data["adae"] if e["USUBJID"] in arm and e["TRTEMFL"] == "Y"]
    grade = {id(e): int(e["AETOXGR"]) if e["AETOXGR"] else None for e in ae}
    chosen: dict[str, Callable[[Record], bool]] = {
        "Any": lambda e: True,
        "Related to treatment": lambda e: e["AEREL"] in RELATED,
        "Serious": lambda e: e["AESER"] == "Y",
        "Serious and related": lambda e: e["AESER"] == "Y" and e["AEREL"] in RELATED,
        "Grade 3 or higher": lambda e: (grade[id(e)] or 0) >= 3,
        "Grade not known": lambda e: grade[id(e)] is None,
        "Dose-limiting": lambda e: e["DLTFL"] == "Y",
    }
    columns = set(data["adae"][0])
    for variable, word in SERIOUS.items():
        if variable in columns:
            chosen[f"Serious: {word}"] = lambda e, v=variable: e[v] == "Y"  # type: ignore[misc]
    if "UNRESFL" in columns:
        chosen["Unresolved at last contact"] = lambda e: e["UNRESFL"] == "Y"
    for column in columns & {"CQ01NAM", "CQ02NAM"}:
        for group in {e[column] for e in ae} - {""}:
            chosen[f"Group: {group}"] = lambda e, c=column, g=group: e[c] == g  # type: ignore[misc]
    for label, holds in chosen.items():
        yield from _counted(("ae-overview", "overview", label), filter(holds, ae), arm, interval=True)
    names = ("AEBODSYS", "AEDECOD", "AETERM")
    for table, label in (
        ("ae-by-term", "Any"),
        ("ae-related", "Related to treatment"),
        ("ae-severe", "Grade 3 or higher"),
        ("ae-serious", "Serious"),
        ("ae-dose-limiting", "Dose-limiting"),
    ):
        yield from _by_term(table, [e for e in ae if chosen[label](e)], arm, names, "(not coded)")
    for name in ARMS:
        n = sum(a == name for a in arm.values())
        worst = _worst([e for e in ae if arm[e["USUBJID"]] == name])
        labels = {**{f"Grade {g}": g for g in range(1, 6)}, "missing": 0}
        counts = {label: sum(w == g for w in worst.values()) for label, g in labels.items()}
        for label, x in (counts | {"No event": n - len(worst)}).items():
            yield ("ae-worst-grade", "worst grade", label, name, "subjects"), _one(x)
            yield ("ae-worst-grade", "worst grade", label, name, "share"), _one(x / n if n else None)
    for place in {(e["AEBODSYS"], _term(e, "AEDECOD", "AETERM")) for e in ae}:
        own = _worst([e for e in ae if (e["AEBODSYS"], _term(e, "AEDECOD", "AETERM")) == place])
        for g in set(own.values()):
            for name in ARMS:
                x = sum(w == g and arm[u] == name for u, w in own.items())
                where = ("ae-term-grade", place[0] or "(not coded)", place[1], name)
                yield (*where, f"grade {g or 'missing'}"), _one(x)


def _worst(events: list[Record]) -> dict[str, int]:
    """Return subject -> highest grade, 0 where none is known."""
    found: dict[str, int] = {}
    for e in events:
        found[e["USUBJID"]] = max(found.get(e["USUBJID"], 0), int(e["AETOXGR"] or 0))
    return found


def _clinical_events(data: dict[str, list[Record]]) -> Iterator[tuple[Key, Number]]:
    arm = _arm(data["adsl"], "SAFFL", "TRT01A")
    events = [e for e in data["adce"] if e["USUBJID"] in arm and e["TRTEMFL"] == "Y"]
    yield from _by_term("clinical-events", events, arm, ("CECAT", "CEDECOD", "CETERM"), "(no category)")


def _deviations(data: dict[str, list[Record]]) -> Iterator[tuple[Key, Number]]:
    arm = _arm(data["adsl"], "FASFL")
    major = {
        (r["USUBJID"], float(r["IDVARVAL"]))
        for r in data["suppdv"]
        if r["RDOMAIN"] == "DV" and r["QNAM"] == "DVMAJFL" and r["QVAL"] == "Y"
    }
    dv = [r for r in data["dv"] if r["USUBJID"] in arm]
    grave = [r for r in dv if (r["USUBJID"], r["DVSEQ"]) in major]
    for label, own in (("Any", dv), ("Major", grave)):
        yield from _counted(("deviations", "Any deviation", label), own, arm, "deviations")
    for place in {(r["DVCAT"], r["DVDECOD"]) for r in dv}:
        own = [r for r in dv if (r["DVCAT"], r["DVDECOD"]) == place]
        yield from _counted(("deviations", *place), own, arm, "deviations")


def _shifts(data: dict[str, list[Record]]) -> Iterator[tuple[Key, Number]]:
    arm = _arm(data["adsl"], "SAFFL", "TRT01A")
    lb = [r for r in data["adlb"] if r["USUBJID"] in arm and r["ONTRTFL"] == "Y"]
    for paramcd in {r["PARAMCD"] for r in lb}:
        own = [r for r in lb if r["PARAMCD"] == paramcd]
        for letter, direction in (("L", "low"), ("H", "high")):
            if not any(r[f"ATOXGR{letter}"] for r in own):
                continue
            shift: dict[str, tuple[str, str]] = {}
            for r in own:
                base, worst = shift.get(r["USUBJID"], ("", ""))
                shift[r["USUBJID"]] = max(base, r[f"BTOXGR{letter}"]), max(worst, r[f"ATOXGR{letter}"])
            label = f"{own[0]['PARAM']}, {direction}"
            label += ", expected, underlying disease" if paramcd in EXPECTED_LAB else ""
            for base, worst in set(shift.values()):
                for name in ARMS:
                    x = sum(s == (base, worst) and arm[u] == name for u, s in shift.items())
                    statistic = f"{base or 'missing'} to {worst or 'missing'}"
                    yield ("lab-shift", paramcd, label, name, statistic), _one(x)

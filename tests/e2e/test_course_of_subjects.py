"""SE, SV, EPOCH and VISITNUM of random subjects against a second way to find them: one subject, one day at a time.

The second way knows the protocol and visits.csv by hand, shares no code with the program, and works on Python dates.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from adapter import build
from adapter.result import Result
from tests.conftest import KEY, make_site
from tests.golden.cases import FOLDER, build_case

pytestmark = pytest.mark.usefixtures("tabulation_only")

CUT = date(2025, 3, 31)
META = {"versionId": "1", "lastUpdated": "2025-06-30T12:00:00+08:00"}
SPANS = ("SCREENING", "TREATMENT", "FOLLOW-UP", "LONG-TERM FOLLOW-UP")

# VISITNUM, VISIT, anchor, days after it, early, late, epoch
VISITS = [
    (1, "SCREENING", "consent", 0, 28, 28, 0),
    *((n, f"DAY {d}", "start", d - 1, early, late, 1) for n, d, early, late in
      ((2, 1, 0, 2), (3, 8, 2, 2), (4, 15, 2, 2), (5, 22, 2, 2), (6, 56, 6, 0))),
    *((n, f"MONTH {m}", "graft", d, 7, 7, 2) for n, m, d in
      ((10, "1", 30), (11, "2", 60), (12, "3", 90), (13, "4", 120), (14, "4.5", 135), (15, "5", 150), (16, "6", 180),
       (17, "7", 210), (18, "8", 240), (19, "9", 270), (20, "10", 300), (21, "11", 330), (22, "12", 365))),
    *((n, f"MONTH {m}", "graft", d, 30, 30, 3) for n, m, d in
      ((30, "18", 548), (31, "24", 730), (32, "36", 1095), (33, "48", 1460), (34, "60", 1825))),
]  # fmt: skip
DOSE_DAYS = (1, 8, 15, 22)


@dataclass
class Someone:
    """One random subject. Events are texts as --DTC has them; `graft` are days of graft infusions."""

    name: str
    arm: str
    consent: date
    randomised: date | None
    failed: bool
    left: date | None
    kind: str
    died: str
    doses: list[str] = field(default_factory=list)
    platelets: list[str] = field(default_factory=list)
    labs: list[str] = field(default_factory=list)
    grafts: list[date] = field(default_factory=list)


def days(n: int) -> timedelta:
    return timedelta(days=n)


def day_of(text: str) -> date | None:
    return date.fromisoformat(text[:10]) if len(text) >= 10 else None


def some_time(rng: Random, day: date) -> str:
    """A day, or an instant of it: few different ones, so that equal times occur."""
    return day.isoformat() + rng.choice(["", "", "T08:00:00", "T10:00:00", "T10:00:00", "T17:30:00"])


def someone(rng: Random, number: int) -> Someone:
    consent = date(2024, 1, 1) + days(rng.randrange(120))
    arm = rng.choice(["MSC", "MSC", "CTRL", "CTRL", ""])
    randomised = consent + days(rng.randrange(-1, 6)) if arm else None
    origin = (randomised or consent) + days(rng.randrange(4))
    s = Someone(f"{number:03d}", arm, consent, randomised, not arm and rng.random() < 0.6, None, "", "")
    s.grafts = [consent - days(rng.randrange(10, 160))] if rng.random() < 0.9 else []
    if s.grafts and rng.random() < 0.3:
        s.grafts.append(s.grafts[0] + days(rng.randrange(1, 10)))  # another bag, or days later a boost
    last = origin + days(rng.choice([5, 40, 56, 57, 100, 250, 400]))
    if (arm == "MSC" and rng.random() < 0.9) or (not arm and rng.random() < 0.15):
        planned = DOSE_DAYS[: rng.randrange(1, 5)]
        s.doses = [some_time(rng, origin + days(d - 1 + (rng.randrange(-3, 4) if d > 1 else 0))) for d in planned]
    if arm and rng.random() < 0.8:
        s.platelets = [some_time(rng, origin + days(rng.randrange(-3, 30))) for _ in range(rng.randrange(1, 4))]
    when = consent - days(40)
    while when <= last:
        if rng.random() < 0.5:
            s.labs.append(some_time(rng, when))
        when += days(rng.choice([1, 1, 2, 7]) if abs((when - origin).days) < 60 else rng.choice([3, 9, 30]))
    s.labs.append(rng.choice(["2024", "2024-04", some_time(rng, origin)]))
    end = rng.random()
    if end < 0.2:
        s.died = rng.choice([some_time(rng, last), some_time(rng, origin + days(rng.randrange(60))), "2024-12"])
    if 0.1 < end < 0.4 and arm:
        s.left, s.kind = origin + days(rng.randrange(90)), rng.choice(["", "consent", "treatment"])
    return s


# --- as FHIR --------------------------------------------------------------------------------------------------------


def resources(s: Someone) -> Iterator[dict[str, Any]]:
    own = {"meta": META, "status": "completed", "subject": {"reference": f"Patient/{s.name}"}}
    patient = {"resourceType": "Patient", "id": s.name, "meta": META, "gender": "female", "birthDate": "1980-01-01"}
    yield patient | ({"deceasedDateTime": fhir(s.died)} if s.died else {})
    for n, at in enumerate(s.labs):
        code = {"coding": [{"system": "http://loinc.org", "code": "777-3"}]}
        value = {"value": n + 1, "unit": "10*9/L", "system": "http://unitsofmeasure.org", "code": "10*9/L"}
        result = {"code": code, "effectiveDateTime": fhir(at), "valueQuantity": value}
        yield own | {"resourceType": "Observation", "id": f"{s.name}-l{n}", "status": "final"} | result
    for kind, code, found in (
        ("d", ("urn:pgf-msc:product", "UC-MSC"), s.doses),
        ("p", ("http://www.whocc.no/atc", "B05AX02"), s.platelets),
    ):
        for n, at in enumerate(found):
            drug = {"coding": [{"system": code[0], "code": code[1]}]}
            head = {"resourceType": "MedicationAdministration", "id": f"{s.name}-{kind}{n}"}
            yield own | head | {"medicationCodeableConcept": drug, "effectiveDateTime": fhir(at)}
    for n, day in enumerate(s.grafts):
        code = {"coding": [{"system": "http://snomed.info/sct", "code": "23719005"}]}
        head = {"resourceType": "Procedure", "id": f"{s.name}-g{n}"}
        yield own | head | {"code": code, "performedDateTime": day.isoformat()}


def fhir(text: str) -> str:
    return text + "+08:00" if len(text) > 10 else text


def log_line(s: Someone) -> str:
    reason = "Age above 60 years" if s.failed else ""
    left = s.left.isoformat() if s.left else ""
    return f"{s.name},{s.name},01,{s.arm},{s.consent},{s.randomised or ''},{reason},{left},{'x' * bool(left)},{s.kind}"


# --- the second way -------------------------------------------------------------------------------------------------


@dataclass
class Course:
    """What must come out for one subject: elements as (ETCD, start, end), visits by number, and the two look-ups."""

    start: str
    elements: list[tuple[str, str, str, str]]
    visits: dict[float, tuple[str, date, date] | None]

    def epoch(self, when: str, finding: bool) -> str:
        day, found = day_of(when), ""
        if day is None:
            return ""
        for _, name, begin, _ in self.elements:
            if day_of(begin) == day:
                both = len(begin) > 10 and len(when) > 10
                if both and begin > when:
                    break
                if finding and begin == self.start and (not both or when == begin):
                    break
            elif (day_of(begin) or day) > day:
                break
            found = name
        return found

    def visit(self, when: str) -> float | None:
        day = day_of(when)
        mine = [
            (last - first, -number)
            for number, held in self.visits.items()
            if held and day and held[1] <= day <= held[2]
            for first, last in [held[1:]]
        ]
        return -min(mine)[1] if mine else None


def course(s: Someone) -> Course:
    cut = min(CUT, s.left) if s.left and s.kind == "consent" else CUT
    inside = {k: [t for t in getattr(s, k) if (t + "-01-01")[:10] <= cut.isoformat()]
              for k in ("doses", "platelets", "labs")}  # fmt: skip
    grafts = [g for g in s.grafts if g <= cut]
    died = s.died if (s.died + "-01-01")[:10] <= cut.isoformat() else ""
    left = s.left if s.left and s.left <= cut and s.kind != "treatment" else None
    # reference start and path
    start = ""
    if s.randomised:
        given = inside["doses"] if s.arm == "MSC" else [
            t for t in inside["platelets"] if (day_of(t) or cut) >= s.randomised
        ]  # fmt: skip
        start = min(given, default=s.randomised.isoformat())
    index = max((g for g in grafts[:1] if g <= (s.randomised or cut)), default=None)
    days_seen = [d for k in inside for t in inside[k] if (d := day_of(t))] + grafts
    logged = [d for d in (s.consent, s.randomised, s.left) if d and d <= cut]
    last = day_of(died) or max(days_seen + logged)
    end = "" if not (died or left) else died
    if left and (not died or left.isoformat()[: min(10, len(died))] <= died[: min(10, len(died))]):
        end = left.isoformat()
    until = day_of(end) or last
    steps = [("SCRN", 0, s.consent.isoformat())]
    if s.arm:
        # treated with the product of the other arm: not drawn here
        first = day_of(start)
        assert first
        steps += [({"MSC": "MSC", "CTRL": "CONV"}[s.arm], 1, start), ("FU", 2, (first + days(56)).isoformat())]
        steps += [("LTFU", 3, (index + days(366)).isoformat())] if index else []
    elif inside["doses"]:
        steps.append(("UNPLAN", -1, min(inside["doses"])))
    begins = {
        epoch if epoch >= 0 else len(SPANS): day_of(b) for _, epoch, b in steps
    }  # an unplanned one ends screening
    if steps[-1][0] == "UNPLAN" and steps[0][2] == steps[1][2]:
        steps.pop(0)  # a screening of no length
    begun: list[tuple[str, str, str]] = []
    for code, epoch, begin in steps:
        day = day_of(begin)
        if day is None or day > until:
            continue
        if begun:
            ahead = begun[-1][2]
            if begin[:10] < ahead[:10] or (begin[:10] == ahead[:10] and (len(begin) == 10 or begin < ahead)):
                begin = ahead
        begun.append((code, SPANS[epoch] if epoch >= 0 else "", begin))
    ends = [b for _, _, b in begun[1:]] + [end]
    elements = [(*b, e) for b, e in zip(begun, ends, strict=True)]
    ended = bool(end or died or s.failed)
    contact = set(days_seen) | ({s.consent} if s.consent <= cut else set())
    dosed = {day_of(t) for t in inside["doses"]}
    visits = visits_of(s, contact, dosed, {"consent": s.consent, "start": day_of(start), "graft": index}, begins,
                       until if ended else cut, ended, cut)  # fmt: skip
    return Course(start, elements, visits)


def visits_of(
    s: Someone,
    contact: set[date],
    dosed: set[date | None],
    anchors: dict[str, date | None],
    begins: dict[int, date | None],
    last: date,
    ended: bool,
    cut: date,
) -> dict[float, tuple[str, date, date] | None]:
    windows = {}
    for number, name, anchor, after, early, late, epoch in VISITS:
        base, first = anchors[anchor], begins.get(epoch)
        later = [b for e, b in begins.items() if e > epoch and b]
        until = later[0] if later else date.max
        if base is None or first is None:
            continue
        target = base + days(after)
        if target < first or (target >= until > first):
            continue
        windows[number] = (name, target, target - days(early), target + days(late), until)
    found: dict[float, tuple[str, date, date] | None] = {}
    whole = windows[1]
    close = min(whole[3], max(whole[4] - days(1), whole[1])) if whole[4] != date.max else whole[3]
    screening = [d for d in contact if whole[2] <= d <= close]
    windows[1] = (*whole[:3], close, whole[4])
    if screening:
        found[1] = ("SCREENING", min(screening), max(screening))
    nearest: dict[int, list[date]] = {}
    for d in sorted(contact):
        near = [(abs((d - w[1]).days), n) for n, w in windows.items() if n != 1 and w[2] <= d <= w[3]]
        if near:
            nearest.setdefault(min(near)[1], []).append(d)
    for number, candidates in nearest.items():
        name, target = windows[number][:2]
        due = s.arm == "MSC" and name.startswith("DAY") and int(name[4:]) in DOSE_DAYS
        best = min(candidates, key=lambda d: (not (due and d in dosed), abs((d - target).days), d))
        found[number] = (name, best, best)
    held = dict(found)
    for number, (_, target, _, closes, _) in windows.items():
        if number not in held and target <= last and (ended or closes <= cut):
            found[number] = None
    counted: dict[float, int] = {}
    for d in sorted(contact):
        if any(v and v[1] <= d <= v[2] for v in held.values()):
            continue
        before = [(v[1], n) for n, v in held.items() if v and v[1] <= d]
        if before:
            after_ = max(before)[1]
            counted[after_] = counted.get(after_, 0) + 1
            number = float(f"{after_}.{counted[after_]:02d}")
            found[number] = (f"UNSCHEDULED {number:g}", d, d)
    assert all(n <= 99 for n in counted.values())
    return found


# --- the comparison -------------------------------------------------------------------------------------------------

COLUMNS = (
    "patient,subjid,siteid,arm,consent_date,randomisation_date,screen_failure_reason,withdrawal_date,"
    "withdrawal_reason,withdrawal_type"
)


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.long)])
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Someone], Result]:
    rng = Random(f"course {request.param}")
    people = [someone(rng, n) for n in range(1, 61)]
    folder = tmp_path_factory.mktemp("course")
    (folder / "in").mkdir()
    lines = [json.dumps(r) for s in people for r in resources(s)]
    (folder / "in/all.ndjson").write_text("\n".join(lines) + "\n")
    (folder / "log.csv").write_text("\n".join([COLUMNS, *map(log_line, people)]) + "\n")
    site = make_site(folder / "site")
    log = folder / "log.csv"
    made = build(folder / "in", out=folder / "out", enrolment=log, site=site, workers=1, cutoff=CUT.isoformat())
    return people, made


def test_elements(drawn: tuple[list[Someone], Result]) -> None:
    people, made = drawn
    se = made.sdtm["SE"]
    for s in people:
        mine = se[se["USUBJID"] == f"PGFMSC-01-{s.name}"]
        found = list(mine[["ETCD", "EPOCH", "SESTDTC", "SEENDTC"]].itertuples(index=False, name=None))
        assert found == course(s).elements, s


def test_visits(drawn: tuple[list[Someone], Result]) -> None:
    people, made = drawn
    sv = made.sdtm["SV"]
    for s in people:
        mine = sv[sv["USUBJID"] == f"PGFMSC-01-{s.name}"]
        expected = [
            (n, v[0] if v else next(x[1] for x in VISITS if x[0] == n), *(d.isoformat() if v else "" for d in v[1:]))
            if v else (n, next(x[1] for x in VISITS if x[0] == n), "", "")
            for n, v in sorted(course(s).visits.items())
        ]  # fmt: skip
        found = list(mine[["VISITNUM", "VISIT", "SVSTDTC", "SVENDTC"]].itertuples(index=False, name=None))
        assert found == expected, s
        planned = [n == int(n) for n in mine["VISITNUM"]]
        assert mine["SVPRESP"].tolist() == ["Y" if p else "" for p in planned]
        held = (mine["SVSTDTC"] != "").tolist()
        assert mine["SVOCCUR"].tolist() == [
            "" if not p else "Y" if h else "N" for p, h in zip(planned, held, strict=True)
        ]


@pytest.mark.parametrize(
    ("dataset", "date", "finding"),
    [("LB", "LBDTC", True), ("EC", "ECSTDTC", False), ("CM", "CMSTDTC", False), ("PR", "PRSTDTC", False)],
)
def test_epoch_and_visit_of_every_record(
    drawn: tuple[list[Someone], Result], dataset: str, date: str, finding: bool
) -> None:
    people, made = drawn
    frame = made.sdtm[dataset]
    courses = {f"PGFMSC-01-{s.name}": course(s) for s in people}
    assert len(frame) > 30
    wrong = []
    for r in frame.to_dict("records"):
        c, when = courses[r["USUBJID"]], r[date]
        if r.get("EPOCH", "") != c.epoch(when, finding):
            wrong.append((r["USUBJID"], when, "EPOCH", r.get("EPOCH"), c.epoch(when, finding)))
        if "VISITNUM" in frame:
            number = None if r["VISITNUM"] != r["VISITNUM"] else r["VISITNUM"]
            if number != c.visit(when):
                wrong.append((r["USUBJID"], when, "VISITNUM", number, c.visit(when)))
    assert wrong == []


def test_the_draw_has_every_kind(drawn: tuple[list[Someone], Result]) -> None:
    _, made = drawn
    assert {"SCRN", "MSC", "CONV", "FU", "LTFU", "UNPLAN"} <= set(made.sdtm["SE"]["ETCD"])
    assert set(made.sdtm["LB"]["EPOCH"]) == {"", *SPANS}
    assert {"Y", "N", ""} == set(made.sdtm["SV"]["SVOCCUR"])
    codes = set(made.issues["code"])
    assert {"element-out-of-order", "visit-out-of-order"} <= codes


# --- bad input ------------------------------------------------------------------------------------------------------

OF = {
    "consent-differs": {"Consent"},
    "death-before-last-fact": {"Patient"},
    "death-contradicted": {"Patient"},
    "visit-out-of-order": {"MedicationAdministration"},
    "element-out-of-order": {""},  # by the dates of the log
    "death-only-in-log": {""},
    "disposition-unmapped": {""},
    "criterion-unknown": {""},
}
"""Issue -> the resource types whose keyed ids it names; none where the enrolment log alone is the source."""


@pytest.mark.parametrize("case", ["ds", "sv", "se", "ie"])
def test_an_issue_names_subject_record_and_keyed_id(case: str, tmp_path: Path) -> None:
    """Each issue about a record points at one that is there; what a resource tells, it names by its keyed id."""
    made = build_case(case, tmp_path)
    ids = {}
    for path in (FOLDER / case / "input").glob("*.ndjson"):
        for line in path.read_text("utf-8").splitlines():
            r = json.loads(line)
            name = f"{r['resourceType']}/{r['id']}"
            ids[hmac.new(bytes.fromhex(KEY), name.encode(), hashlib.sha256).digest()[:16].hex()] = r
    found = made.issues[made.issues["USUBJID"] != ""].to_dict("records")
    assert found
    resources = {}
    for i in found:
        assert i["USUBJID"] in set(made.sdtm["DM"]["USUBJID"])
        if i["seq"]:
            frame = made.sdtm[i["dataset"]]
            numbers = frame.loc[frame["USUBJID"] == i["USUBJID"], f"{i['dataset']}SEQ"]
            assert float(i["seq"]) in set(numbers)
        resources.setdefault(i["code"], set()).add(ids[i["keyed_id"]]["resourceType"] if i["keyed_id"] else "")
    for code, kinds in OF.items():
        assert resources.get(code, kinds) == kinds, code

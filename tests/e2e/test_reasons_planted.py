"""One planted case for every reason: each is found exactly where it was planted, and nothing else changes.

A small clean hospital has one subject per reason: a Patient and a platelet count. It is built once as it is, and once
with all cases planted, each in a file named by its reason. A new reason needs a new line in tests/planted.py.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapter import build
from adapter.reasons import REASONS, kind_of
from adapter.result import Result
from adapter.site import Keyer
from tests.conftest import KEY, make_site, write_lines
from tests.lines import changed, line_of
from tests.own import LAB, PERSON, of_subject
from tests.planted import CODING, COLUMNS, CUT, GRAFT, LOG, PLANTS, SITE, Plant

OWN = tuple(p for p in PLANTS if not p.of)
# results on the days on which things are planted, so that these are days of contact anyway
HGB = {"coding": [{"system": "http://loinc.org", "code": "718-7"}]}
GRAMS = {"value": 90, "unit": "g/L", "code": "g/L"}
CLEAN = (
    changed(LAB, id="@-0", effectiveDateTime="2024-03-01T08:00:00+08:00"),
    *(changed(LAB, id=f"@-{d}", code=HGB, valueQuantity=GRAMS, effectiveDateTime=f"2024-01-{d}") for d in ("02", "05")),
)
# who was randomised had a transplant before it
HAD = changed(GRAFT, id="@-had", performedDateTime="2023-12-01", meta={"versionId": "1"})
BY_REASON = {p.reason: p for p in PLANTS}


class Planted(NamedTuple):
    """The hospital as it is, and with everything planted."""

    folder: Path
    clean: Result
    full: Result


def host(p: Plant) -> str:
    """Return the id of the plant's subject."""
    return p.of or p.reason


def own(p: Plant, line: Any) -> bytes:
    return of_subject(host(p), line)


def name_of(p: Plant) -> str:
    return p.file.replace("@", host(p))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("planted")
    counts = [own(p, x) for p in OWN for x in CLEAN]
    here = {p.reason: own(p, PERSON) for p in OWN}
    grafts = [own(p, HAD) for p in OWN if p.log.get("arm")]
    before = {"Patient.ndjson": list(here.values()), "Observation.ndjson": counts, "Procedure.ndjson": grafts}
    files = {name_of(p): [own(p, x) for x in p.lines] for p in OWN if p.lines}
    after = before | files | {"Patient.ndjson": [here[p.reason] for p in OWN if not p.no_patient]}
    site = make_site(folder / "site")
    for name, table in SITE.items():
        (site / name).write_text(table)
    coding = folder / "coding"
    coding.mkdir()
    for name, table in CODING.items():
        (coding / name).write_text(table)

    def built(name: str, content: dict[str, list[bytes]], told: bool) -> Result:
        fhir = write_lines(folder / name / "fhir", content)
        log = folder / name / "log.csv"
        given = [LOG | p.log | (p.told if told else {}) for p in OWN]
        rows = [(p.reason, str(i), "01", *g.values()) for i, (p, g) in enumerate(zip(OWN, given, strict=True), 101)]
        log.write_text("\n".join(map(",".join, [("patient", "subjid", "siteid", *COLUMNS), *rows])) + "\n")
        out = folder / name / "out"
        return build(fhir, out=out, enrolment=log, site=site, coding=coding, cutoff=CUT, workers=1)

    return Planted(folder, built("clean", before, False), built("full", after, True))


def usubjid(p: Plant) -> str:
    return f"PGFMSC-01-{101 + [q.reason for q in OWN].index(host(p))}"


def keyed(p: Plant) -> str:
    """Return the keyed id, in hex, that the report must tell."""
    if not p.keyed:
        return ""
    name = p.keyed
    if not isinstance(name, str):
        r = p.lines[-1] if p.lines else PERSON
        name = f"{r['resourceType']}/{r['id']}"
    return Keyer(bytes.fromhex(KEY)).keyed(name.replace("@", host(p))).hex()


def kind(p: Plant) -> str:
    return p.kind or str(p.lines[-1]["resourceType"])


def test_every_reason_has_a_case() -> None:
    assert sorted(REASONS) == sorted(BY_REASON), "a new reason needs a line in tests/planted.py"
    assert len(PLANTS) == len(BY_REASON)


def test_the_clean_hospital_is_clean(planted: Planted) -> None:
    r = planted.clean
    n = len(OWN)
    arms = sum(bool(p.log.get("arm")) for p in OWN)
    sizes = {"Patient": n, "Observation": len(CLEAN) * n, "Procedure": arms}
    assert r.counts["resources"] == {k: {"read": m, "used": m, "dropped": {}} for k, m in sizes.items()}
    assert (r.exit_code, len(r.rejects), len(r.issues), len(r.unmapped)) == (0, 0, 0, 0)
    assert (len(r.sdtm["DM"]), len(r.sdtm["LB"])) == (n, len(CLEAN) * n)
    assert not {"CM", "EC", "EX", "IE"} & set(r.sdtm)


def of_kind(which: str) -> Iterable[Any]:
    return [pytest.param(p, id=p.reason) for p in PLANTS if REASONS.get(p.reason) and kind_of(p.reason) == which]


def drops(p: Plant) -> Counter[tuple[str, str]]:
    """Return what a plant adds to the manifest's drops."""
    found = Counter(tuple(x.split()) for x in p.dropped)
    if kind_of(p.reason) != "issue":
        found[kind(p), p.reason] += 1
    return found  # type: ignore[return-value]


def dropped(r: Result) -> Counter[tuple[str, str]]:
    return Counter({(k, why): n for k, c in r.manifest["resources"].items() for why, n in c["dropped"].items()})


@pytest.mark.parametrize("p", [*of_kind("drop"), *of_kind("reject")])
def test_it_is_counted_under_its_reason(p: Plant, planted: Planted) -> None:
    expected = sum((drops(q) for q in PLANTS), Counter[tuple[str, str]]())
    assert drops(p) <= expected
    assert {k: n for k, n in dropped(planted.full).items() if k[1] == p.reason} == {
        k: n for k, n in expected.items() if k[1] == p.reason
    }


@pytest.mark.parametrize("p", of_kind("reject"))
def test_a_reject_tells_file_place_and_keyed_id_and_nothing_else(p: Plant, planted: Planted) -> None:
    found = [json.loads(x) for x in (planted.full.out / "rejects.ndjson").read_text("utf-8").splitlines()]
    found = [r for r in found if r["file"] == f"fhir/{name_of(p)}" or r["reason"] == p.reason]
    before = b"".join(own(p, x) + b"\n" for x in p.lines[:-1])
    place = (
        len(before)
        if p.offset is None
        else p.offset + line_of(p.lines[-1])[: p.offset].count(b"@") * (len(p.reason) - 1)
    )
    assert [r | {"offset": place if r["offset"] is not None else None} for r in found] == [
        {
            "file": f"fhir/{name_of(p)}",
            "line": len(p.lines) if p.line is None else p.line,
            "offset": found[0]["offset"] if found[0]["offset"] is None else place,
            "resource_type": "" if kind(p) == "(none)" else kind(p),
            "keyed_id": keyed(p),
            "reason": p.reason,
            "element": p.element,
            "message": REASONS[p.reason].meaning,
        }
    ]


@pytest.mark.parametrize("p", of_kind("drop"))
def test_a_drop_is_neither_reject_nor_issue(p: Plant, planted: Planted) -> None:
    r = planted.full
    assert not (r.rejects["file"] == f"fhir/{name_of(p)}").any()
    assert set(r.issues.loc[r.issues["USUBJID"] == usubjid(p), "code"]) == {
        q.reason for q in PLANTS if q.of == p.reason
    }


@pytest.mark.parametrize("p", of_kind("issue"))
def test_an_issue_tells_subject_record_and_keyed_id(p: Plant, planted: Planted) -> None:
    r = planted.full
    (found,) = r.issues[r.issues["code"] == p.reason].to_dict("records")
    assert found["USUBJID"] == (usubjid(p) if p.subject else "")
    assert found["dataset"] == p.dataset
    assert found["keyed_id"] == keyed(p)
    assert f"({p.element})" in found["message"] or not p.element
    if found["seq"]:
        analysis = p.dataset in r.adam
        frame = (r.adam if analysis else r.sdtm)[p.dataset]
        sequence = "ASEQ" if analysis else f"{p.dataset}SEQ"
        assert found["seq"] in {str(int(n)) for n in frame.loc[frame["USUBJID"] == usubjid(p), sequence]}
    assert not (r.rejects["file"] == f"fhir/{name_of(p)}").any()
    others = r.issues[(r.issues["USUBJID"] == usubjid(p)) & (r.issues["code"] != p.reason)]
    assert set(others["code"]) <= {q.reason for q in PLANTS if host(q) == host(p)}


def rows_of(r: Result, subject: str) -> Counter[tuple[str, ...]]:
    """Return the records of a subject as (dataset, values …), without --SEQ, which counts them."""
    found = Counter[tuple[str, ...]]()
    for name, frame in r.sdtm.items():
        if "USUBJID" in frame:
            mine = frame[frame["USUBJID"] == subject]
            mine = mine[[c for c in mine if c not in (f"{name}SEQ", "IDVARVAL")]]
            filled = mine.astype("str").replace("nan", "")
            found.update(
                (name, *(f"{c}={v}" for c, v in row.items() if isinstance(v, str) and v))
                for row in filled.to_dict("records")
            )
    return found


def difference(before: Counter[tuple[str, ...]], after: Counter[tuple[str, ...]]) -> str:
    """Return what datasets gained and lost, such as "DM+1-1 EC+1"."""
    gained, lost = (Counter(row[0] for row in c.elements()) for c in (after - before, before - after))
    return " ".join(
        name + (f"+{gained[name]}" if gained[name] else "") + (f"-{lost[name]}" if lost[name] else "")
        for name in sorted(gained | lost)
    )


@pytest.mark.parametrize("p", [pytest.param(p, id=p.reason) for p in OWN])
def test_nothing_else_of_the_subject_changes(p: Plant, planted: Planted) -> None:
    assert difference(rows_of(planted.clean, usubjid(p)), rows_of(planted.full, usubjid(p))) == p.records


def test_nothing_else_is_counted_or_reported(planted: Planted) -> None:
    r = planted.full
    read = Counter({k: c["read"] for k, c in planted.clean.manifest["resources"].items()})
    for p in OWN:
        read.update([json.loads(own(p, x))["resourceType"] for x in p.lines[:-1]])
        read["Patient"] -= p.no_patient
        read[kind(p) if p.lines else "Patient"] += bool(p.lines)
        read["Observation"] += p.reason == "file-cut-short"  # the whole entry before the break
    resources = r.manifest["resources"]
    assert {k: c["read"] for k, c in resources.items()} == read
    assert dropped(r) == sum((drops(p) for p in PLANTS), Counter())
    assert all(c["used"] == c["read"] - sum(c["dropped"].values()) for c in resources.values())
    assert sorted(r.rejects["reason"]) == sorted(x for x in REASONS if kind_of(x) == "reject")
    assert sorted(r.issues["code"]) == sorted(x for x in REASONS if kind_of(x) == "issue")
    assert r.unmapped.values.tolist() == [
        ["Observation", "urn:lab|ZZ", "Zz", "N", 1],
        ["enrolment log", "", "moved", "Y", 1],
    ]
    assert r.exit_code == 3
    assert r.sdtm["TS"].equals(planted.clean.sdtm["TS"])


def test_reports_hold_no_content(planted: Planted) -> None:
    """No id of the hospital, no value, no text of what was rejected."""
    text = (planted.full.out / "rejects.ndjson").read_text("utf-8")
    for row in map(json.loads, text.splitlines()):
        assert re.fullmatch(r"[0-9a-f]{32}|", row["keyed_id"])
        assert re.fullmatch(r"[A-Za-z.\[\]0-9]*", row["element"])
    ids = {json.loads(own(p, x)).get("id") for p in PLANTS for x in p.lines if not isinstance(x, bytes)}
    assert not [i for i in ids if i and f'"{i}"' in text]
    for content in ("furlong", "20,5", "NODEC", "urn:x"):
        assert content not in text

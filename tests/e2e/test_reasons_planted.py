"""One planted case for every reason: each is found exactly where it was planted, and nothing else changes.

A small clean hospital has one subject per reason: a Patient and a platelet count. It is built once as it is, and once
with all cases planted, each in a file named by its reason. A new reason needs a new `Plant` in PLANTS.
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
from tests.own import COUNT, DOSE, DRUG, LAB, MINE, PERSON, bundle, of_subject

# In what is planted `@` stands for the reason: its own subject is Patient/@, and its ids begin with @ (tests.own).
CUT, EARLIER, LATER = "2024-12-31", "2024-01-05", "2025-02-03"
COLUMNS = ("consent_date", "randomisation_date", "arm", "withdrawal_date", "withdrawal_type")
LOG = dict(zip(COLUMNS, ("2024-01-01", "2024-01-02", "MSC", "", ""), strict=True))

# The site's own settings, in both builds: its server, a test without decimals, a gender that is no term of the codelist.
SITE = {
    "site.toml": 'server.base = ["https://here/fhir"]\n',
    "observations.csv": "system,code,display,domain,testcd,test,cat,specimen,standard_unit,standard_ucum,molar_mass,result_type\n"
    "urn:lab,NODEC,Creatinine,LB,CREAT,Creatinine,CHEMISTRY,SERUM,umol/L,umol/L,113.12,numeric\n",
    "demographics.csv": "system,code,display,variable,ct\n"
    "http://hl7.org/fhir/administrative-gender,other,Other,SEX,OTHER\n",
}


class Plant(NamedTuple):
    """What is planted for a reason, and what it must do. The last line is the odd one; those before it are used."""

    reason: str
    lines: tuple[Any, ...]
    element: str = ""  # FHIR path in the reject, or in brackets in the issue's message
    records: str = ""  # what the subject's datasets gain and lose: "CM+1", "DM+1-1" (one row changed)
    dataset: str = ""  # of an issue
    keyed: bool | str = True  # whose keyed id is told: the odd resource's, nobody's, or `Type/id`
    subject: bool = True  # an issue names the subject
    line: int | None = None  # of a reject; default: the last
    offset: int | None = None  # of a reject of a file
    kind: str = ""  # resource type it is counted under; default: the odd line's
    dropped: tuple[str, ...] = ()  # what else is dropped, "Type reason"
    no_patient: bool = False  # the subject's own Patient does not come in
    file: str = "@.ndjson"
    log: tuple[tuple[str, str], ...] = ()


def plant(reason: str, *lines: Any, **expected: Any) -> Plant:
    return Plant(reason, lines, **expected)


def timed(**more: Any) -> Any:
    return changed(LAB, id="@-2", **more)


A_BUNDLE: dict[str, Any] = {"file": "@.json", "kind": "Observation"}


def deletion(url: str) -> Any:
    return {"request": {"method": "DELETE", "url": url}}


WITHDREW = (("withdrawal_date", "2024-06-01"), ("withdrawal_type", "consent"))
CUT_SHORT = b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":%s},{"resour' % line_of(LAB)

PLANTS = (
    # drops
    plant("not-a-subject", changed(LAB, subject={"reference": "Patient/somebody"})),
    plant("no-fhir-file", b'{"transactionTime":"2024-01-01"}', file="@.json", kind="(none)"),
    plant(
        "another-server",
        bundle("collection", {"fullUrl": "https://there/fhir/Observation/1", "resource": LAB}),
        **A_BUNDLE,
    ),
    plant("deletion-entry", bundle("history", deletion("Observation/@-9")), **A_BUNDLE),
    plant(
        "deleted-by-hospital",
        LAB,
        bundle("history", deletion("Observation/@-1")),
        kind="Observation",
        dropped=("Observation deletion-entry",),
    ),
    plant("type-not-read", {"resourceType": "NutritionOrder", "id": "@-1", "status": "active", "patient": MINE}),
    plant("duplicate-copy", LAB, LAB, records="LB+1"),
    plant("duplicate-result", LAB, timed(), records="LB+1"),
    plant(
        "superseded-version",
        changed(LAB, meta={"versionId": "2"}),
        changed(LAB, meta={"versionId": "1"}, valueQuantity=COUNT | {"value": 21}),
        records="LB+1",
    ),
    plant("status-entered-in-error", changed(LAB, status="entered-in-error")),
    plant("status-cancelled", changed(LAB, status="cancelled")),
    plant("status-unknown", changed(LAB, status="unknown")),
    plant("status-not-final", changed(LAB, status="preliminary")),
    plant("status-planned", changed(DOSE, status="on-hold", dosage=...)),
    plant("not-done", changed(DRUG, status="not-done")),
    plant("about-somebody-else", changed(LAB, focus=[{"reference": "Patient/donor"}])),
    plant("after-data-cut", changed(LAB, effectiveDateTime=LATER)),
    plant("after-withdrawal", changed(LAB, effectiveDateTime="2024-07-01"), log=WITHDREW),
    plant("unmapped-code", changed(LAB, code={"coding": [{"system": "urn:lab", "code": "ZZ"}], "text": "Zz"})),
    plant("domain-not-built", changed(LAB, code={"coding": [{"system": "http://loinc.org", "code": "89243-0"}]})),
    plant("panel-without-value", changed(LAB, valueQuantity=..., hasMember=[{"reference": "Observation/@-0"}])),
    plant("no-result", changed(LAB, valueQuantity=...)),
    plant("not-needed", {"resourceType": "Specimen", "id": "@-1", "subject": MINE}),
    # rejects
    plant(
        "file-cut-short",
        CUT_SHORT,
        records="LB+1",
        file="@.json",
        kind="(none)",
        line=0,
        offset=CUT_SHORT.rindex(b'{"'),
        keyed=False,
    ),
    plant(
        "deletion-not-applied",
        bundle("history", deletion("Observation?code=1")),
        file="@.json",
        kind="(none)",
        line=0,
        offset=0,
        keyed=False,
    ),
    plant("json-broken", line_of(LAB)[:-9], kind="Observation", keyed=False),
    plant("element-wrong-type", changed(LAB, status=["final"]), element="status"),
    plant("no-resource-type", {"id": "@-1", "status": "final"}, kind="(none)", keyed=False),
    plant("no-id", changed(LAB, id=...), element="id", keyed=False),
    plant("no-subject", changed(LAB, subject=...), keyed=False),
    plant("subject-unresolved", changed(LAB, subject={"identifier": {"system": "urn:mrn", "value": "9"}}), keyed=False),
    plant("no-status", changed(LAB, status="done"), element="status"),
    plant("held-back-modifier", changed(LAB, modifierExtension=[{"url": "urn:x"}]), element="modifierExtension"),
    plant("two-values", changed(LAB, valueString="20"), element="value[x]"),
    plant("decimal-malformed", changed(LAB, valueQuantity=COUNT | {"value": "20,5"}), element="valueQuantity.value"),
    plant("no-code", changed(LAB, code=...), element="code"),
    plant("value-type-not-read", changed(LAB, valueQuantity=..., valueSampledData={"origin": {"value": 0}})),
    plant(
        "decimals-not-declared",
        changed(
            LAB,
            code={"coding": [{"system": "urn:lab", "code": "NODEC"}]},
            valueQuantity={"value": 1, "unit": "mg/dL", "code": "mg/dL"},
        ),
    ),
    plant("unit-unknown", changed(LAB, valueQuantity={"value": 20, "unit": "furlong"})),
    plant("unit-not-convertible", changed(LAB, valueQuantity={"value": 20, "unit": "mmol/L", "code": "mmol/L"})),
    # issues
    plant("subset-only", changed(LAB, meta={"tag": [{"code": "SUBSETTED"}]}), dataset="LB", records="LB+1"),
    plant(
        "date-malformed",
        changed(LAB, effectiveDateTime="2024-13-05"),
        element="Observation.effectiveDateTime",
        dataset="LB",
        records="LB+1",
    ),
    plant(
        "date-in-future",
        changed(LAB, meta={"lastUpdated": "2024-01-01T00:00:00Z"}),
        element="Observation.date",
        dataset="LB",
        records="LB+1",
    ),
    plant(
        "date-from-issued",
        changed(LAB, effectiveDateTime=..., issued="2024-01-05T08:00:00Z"),
        element="Observation.issued",
        dataset="LB",
        records="LB+1",
    ),
    plant(
        "end-before-start",
        changed(DRUG, effectiveDateTime=..., effectivePeriod={"start": EARLIER, "end": "2024-01-04"}),
        element="MedicationAdministration.effectivePeriod",
        dataset="CM",
        records="CM+1",
    ),
    plant(
        "end-after-cut",
        changed(DRUG, effectiveDateTime=..., effectivePeriod={"start": EARLIER, "end": LATER}),
        element="MedicationAdministration.end",
        dataset="CM",
        records="CM+1",
    ),
    plant(
        "death-after-cut",
        changed(PERSON, deceasedDateTime=LATER),
        element="Patient.deceasedDateTime",
        dataset="DM",
        no_patient=True,
    ),
    plant(
        "dose-unit-unknown",
        changed(DOSE, dosage={"dose": {"value": 1, "unit": "furlong"}}),
        dataset="EC",
        records="DM+1-1 EC+1 EX+1",
    ),
    plant(
        "dose-weight-missing",
        changed(DOSE, dosage={"dose": {"value": 60, "unit": "10*6", "code": "10*6"}}),
        dataset="EX",
        records="DM+1-1 EC+1 EX+1",
    ),
    plant("stopped-without-dose", changed(DOSE, status="stopped", dosage=...), dataset="EC", records="EC+1"),
    plant(
        "decimal-dropped",
        changed(DRUG, dosage={"dose": {"value": "much", "unit": "mg"}}),
        element="MedicationAdministration.dosage.dose.value",
        dataset="CM",
        records="CM+1",
    ),
    plant(
        "version-tie",
        LAB,
        changed(LAB, valueQuantity=COUNT | {"value": 21}),
        subject=False,
        records="LB+1",
        dropped=("Observation superseded-version",),
    ),
    plant("death-date-unknown", changed(PERSON, deceasedBoolean=True), dataset="DM", records="DM+1-1", no_patient=True),
    plant("age-unknown", changed(PERSON, birthDate="1980"), dataset="DM", records="DM+1-1", no_patient=True),
    plant("no-patient-resource", dataset="DM", records="DM+1-1", no_patient=True, keyed=False),
    plant(
        "actual-arm-differs",
        DOSE,
        dataset="DM",
        records="DM+1-1 EC+1 EX+1",
        keyed="Patient/@",
        log=(("arm", "CTRL"),),
    ),
    plant(
        "not-in-codelist",
        changed(PERSON, gender="other"),
        dataset="DM",
        records="DM+1-1",
        no_patient=True,
        keyed=False,
        subject=False,
    ),
    plant("unit-missing", changed(LAB, valueQuantity={"value": 20}), dataset="LB", records="LB+1"),
    plant(
        "non-ascii",
        changed(
            DRUG,
            medicationCodeableConcept={
                "coding": [{"system": "http://www.whocc.no/atc", "code": "L03AA02"}],
                "text": "非格司亭",
            },
        ),
        dataset="CM",
        records="CM+1",
        keyed=False,
        subject=False,
    ),
    plant("duplicate-key", DRUG, changed(DRUG, id="@-2"), dataset="CM", records="CM+2", keyed=False),
)
BY_REASON = {p.reason: p for p in PLANTS}


class Planted(NamedTuple):
    """The hospital as it is, and with everything planted."""

    folder: Path
    clean: Result
    full: Result


def own(p: Plant, line: Any) -> bytes:
    return of_subject(p.reason, line)


def name_of(p: Plant) -> str:
    return p.file.replace("@", p.reason)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("planted")
    last = changed(LAB, id="@-0", effectiveDateTime="2024-03-01T08:00:00+08:00")
    counts = [own(p, last) for p in PLANTS]
    here = {p.reason: own(p, PERSON) for p in PLANTS}
    before = {"Patient.ndjson": list(here.values()), "Observation.ndjson": counts}
    files = {name_of(p): [own(p, x) for x in p.lines] for p in PLANTS if p.lines}
    after = before | files | {"Patient.ndjson": [here[p.reason] for p in PLANTS if not p.no_patient]}
    rows = [(p.reason, str(i), "01", *(LOG | dict(p.log)).values()) for i, p in enumerate(PLANTS, 101)]
    log = folder / "log.csv"
    log.write_text("\n".join(map(",".join, [("patient", "subjid", "siteid", *COLUMNS), *rows])) + "\n")
    site = make_site(folder / "site")
    for name, table in SITE.items():
        (site / name).write_text(table)

    def built(name: str, content: dict[str, list[bytes]]) -> Result:
        fhir = write_lines(folder / name / "fhir", content)
        return build(fhir, out=folder / name / "out", enrolment=log, site=site, cutoff=CUT, workers=1)

    return Planted(folder, built("clean", before), built("full", after))


def usubjid(p: Plant) -> str:
    return f"PGFMSC-01-{101 + PLANTS.index(p)}"


def keyed(p: Plant) -> str:
    """Return the keyed id, in hex, that the report must tell."""
    if not p.keyed:
        return ""
    r = p.lines[-1] if p.lines else PERSON
    name = p.keyed if isinstance(p.keyed, str) else f"{r['resourceType']}/{r['id']}"
    return Keyer(bytes.fromhex(KEY)).keyed(name.replace("@", p.reason)).hex()


def kind(p: Plant) -> str:
    return p.kind or str(p.lines[-1]["resourceType"])


def test_every_reason_has_a_case() -> None:
    assert sorted(REASONS) == sorted(BY_REASON), "a new reason needs a plant here; a reason that is gone needs none"
    assert len(PLANTS) == len(BY_REASON)


def test_the_clean_hospital_is_clean(planted: Planted) -> None:
    r = planted.clean
    n = len(PLANTS)
    whole = {"read": n, "used": n, "dropped": {}}
    assert r.counts["resources"] == {"Patient": whole, "Observation": whole}
    assert (r.exit_code, len(r.rejects), len(r.issues), len(r.unmapped)) == (0, 0, 0, 0)
    assert {name: len(frame) for name, frame in r.sdtm.items() if name != "TS"} == {"DM": n, "LB": n}


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
    assert not (r.issues["USUBJID"] == usubjid(p)).any()


@pytest.mark.parametrize("p", of_kind("issue"))
def test_an_issue_tells_subject_record_and_keyed_id(p: Plant, planted: Planted) -> None:
    r = planted.full
    (found,) = r.issues[r.issues["code"] == p.reason].to_dict("records")
    assert found["USUBJID"] == (usubjid(p) if p.subject else "")
    assert found["dataset"] == p.dataset
    assert found["keyed_id"] == keyed(p)
    assert f"({p.element})" in found["message"] or not p.element
    if found["seq"]:
        frame = r.sdtm[p.dataset]
        assert found["seq"] in {str(int(n)) for n in frame.loc[frame["USUBJID"] == usubjid(p), f"{p.dataset}SEQ"]}
    assert not (r.rejects["file"] == f"fhir/{name_of(p)}").any()
    others = r.issues[(r.issues["USUBJID"] == usubjid(p)) & (r.issues["code"] != p.reason)]
    assert others["code"].tolist() == []


def rows_of(r: Result, subject: str) -> Counter[tuple[str, ...]]:
    """Return the records of a subject as (dataset, values …), without --SEQ, which counts them."""
    found = Counter[tuple[str, ...]]()
    for name, frame in r.sdtm.items():
        if "USUBJID" in frame:
            mine = frame[frame["USUBJID"] == subject]
            mine = mine[[c for c in mine if c not in (f"{name}SEQ", "IDVARVAL")]]
            filled = mine.astype("str").replace("nan", "")
            found.update((name, *(f"{c}={v}" for c, v in row.items() if v)) for row in filled.to_dict("records"))
    return found


def difference(before: Counter[tuple[str, ...]], after: Counter[tuple[str, ...]]) -> str:
    """Return what datasets gained and lost, such as "DM+1-1 EC+1"."""
    gained, lost = (Counter(row[0] for row in c.elements()) for c in (after - before, before - after))
    return " ".join(
        name + (f"+{gained[name]}" if gained[name] else "") + (f"-{lost[name]}" if lost[name] else "")
        for name in sorted(gained | lost)
    )


@pytest.mark.parametrize("p", [pytest.param(p, id=p.reason) for p in PLANTS])
def test_nothing_else_of_the_subject_changes(p: Plant, planted: Planted) -> None:
    assert difference(rows_of(planted.clean, usubjid(p)), rows_of(planted.full, usubjid(p))) == p.records


def test_nothing_else_is_counted_or_reported(planted: Planted) -> None:
    r = planted.full
    read = Counter({k: c["read"] for k, c in planted.clean.manifest["resources"].items()})
    for p in PLANTS:
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
    assert r.unmapped.values.tolist() == [["Observation", "urn:lab|ZZ", "Zz", "N", 1]]
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

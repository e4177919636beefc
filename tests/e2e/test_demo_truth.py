"""The demo hospital, built and compared with the truth it was made from; and nothing of a patient's identity in OUT.

24 subjects by default, the shipped 68 as a long test. The truth comes from the plan of the demo (`known_answers`), from
what was planned but never from reading FHIR back; where lines are counted, they are counted here with `json` alone.
Records that come from warts are left out where records are compared (test_demo_warts does that); where all resources are
counted, the warts' own answers are added.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import re
import stat
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapter import build
from adapter.result import Result
from mappings.trials.pgf_msc.demo import known_answers, write_cohort
from mappings.trials.pgf_msc.demo.entry import Entry
from mappings.trials.pgf_msc.demo.fhir import text_of
from mappings.trials.pgf_msc.demo.people import Person
from mappings.trials.pgf_msc.demo.warts import Dropped, Issue, Rejected, Unmapped, Warts
from mappings.trials.pgf_msc.demo.write import plan
from tests.conftest import KEY, carried_by, make_site

SEED = 20260101
READ = (
    *("Patient", "Consent", "ResearchSubject", "Observation", "MedicationAdministration", "Procedure", "Specimen"),
    *("Condition", "AdverseEvent", "Encounter"),
)
REASON_OF = {"value": "decimal-malformed", "unit": "unit-unknown", "truncated": "json-broken"}
DOMAINS = ("DM", "EC", "EX", "CM", "PR", "LB", "AE", "CE", "MH", "HO", "VS", "RS")


class Demo(NamedTuple):
    folder: Path
    result: Result
    truth: dict[str, Any]
    entries: list[Entry]
    people: tuple[Person, ...]
    warts: Warts
    plain: dict[str, pd.DataFrame]

    def usubjid(self, subjid: str) -> str:
        return f"PGFMSC-01-{subjid}"

    def dataset(self, name: str) -> pd.DataFrame:
        """Return a dataset without the records of warts."""
        if name not in self.plain:
            frame = self.result.sdtm[name]
            if name not in ("DM", "TS"):
                ids = {keyed(f"{kind}/{rid}") for kind, rid in wart_ids(self.warts)}
                rows = traced(self, name)
                odd = rows.loc[rows["KEYED_ID"].isin(ids), ["USUBJID", "SEQ"]].itertuples(index=False, name=None)
                records = pd.MultiIndex.from_frame(frame[["USUBJID", f"{name}SEQ"]])
                frame = frame[~records.isin(list(odd))]
            self.plain[name] = frame
        return self.plain[name]

    def of(self, name: str, subjid: str) -> pd.DataFrame:
        """Return one subject's records of a dataset."""
        frame = self.dataset(name)
        return frame[frame["USUBJID"] == self.usubjid(subjid)]

    def usable(self) -> Iterator[tuple[str, Entry, str]]:
        """Yield (USUBJID, entry, LOINC) of every result that is true and dated before its subject's cut."""
        for e in self.entries:
            p = e.person
            if e.kind == "observation" and p is not None and p.subjid and e.first and e.first <= p.cut:
                yield self.usubjid(p.subjid), e, str(e.resource["code"]["coding"][0]["code"])


@pytest.fixture(scope="module", params=[24, pytest.param(68, marks=pytest.mark.long)])
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp(f"truth{request.param}")
    write_cohort(folder, subjects=request.param, seed=SEED)
    site = make_site(folder / "site")
    result = build(folder / "fhir", out=folder / "out", enrolment=folder / "enrolment.csv", site=site, workers=1)
    hospital = plan(request.param, SEED)
    entries = [*hospital.entries, *hospital.planted.later]
    return Demo(folder, result, known_answers(request.param, SEED), entries, hospital.people, hospital.warts, {})


@pytest.fixture(scope="module")
def domain_of() -> dict[str, str]:
    """LOINC -> SDTM domain, by the shipped code table."""
    with files("mappings.codes").joinpath("observations.csv").open(encoding="utf-8", newline="") as f:
        return {row["code"]: row["domain"] for row in csv.DictReader(f) if row["system"] == "http://loinc.org"}


def keyed(identity: str) -> str:
    return hmac.new(bytes.fromhex(KEY), identity.encode(), hashlib.sha256).digest()[:16].hex()


def traced(demo: Demo, name: str) -> pd.DataFrame:
    frame = pq.read_table(demo.folder / "out" / "trace" / f"{name.lower()}.parquet").to_pandas()
    return frame.astype({"KEYED_ID": "str", "VARIABLE": "str", "USUBJID": "str", "VERSION": "str"})


def dates_of(frame: pd.DataFrame) -> list[str]:
    return [c for c in frame if c.endswith("DTC")]


def per_subject(demo: Demo, frame: pd.DataFrame) -> dict[str, int]:
    counts = frame["USUBJID"].value_counts()
    return {code: int(counts.get(demo.usubjid(code), 0)) for code in demo.truth["subjects"]}


# ------------------------------------------------------------------------------------------------ who and when


def test_everyone_of_the_log_is_in_dm_once(demo: Demo) -> None:
    dm = demo.dataset("DM")
    assert list(dm["SUBJID"]) == sorted(demo.truth["subjects"])
    assert len(dm) == demo.truth["log_rows"]
    arms = dm["ARMCD"].value_counts()
    assert {a: arms[a] for a in ("MSC", "CTRL")} == demo.truth["randomised"]
    reasons = dm["ARMNRS"].value_counts()
    assert reasons["SCREEN FAILURE"] == demo.truth["screen_failures"]
    by_code = dm.set_index("SUBJID")
    assert by_code.loc[demo.truth["not_assigned"], "ARMNRS"] == "NOT ASSIGNED"
    assert by_code.loc[demo.truth["never_treated"], "ARMNRS"] == "ASSIGNED, NOT TREATED"
    assert set(reasons.index) == {"", "SCREEN FAILURE", "NOT ASSIGNED", "ASSIGNED, NOT TREATED"}


def test_reference_dates(demo: Demo) -> None:
    dm = demo.dataset("DM").set_index("SUBJID")
    expected = {code: t["RFSTDTC"] or "" for code, t in demo.truth["subjects"].items()}
    assert dm["RFSTDTC"].str.slice(0, 10).to_dict() == expected
    under_way = dm.loc[demo.truth["course_under_way"]]
    person = next(p for p in demo.people if p.subjid == demo.truth["course_under_way"])
    assert under_way["RFSTDTC"] == person.randomisation.isoformat()  # type: ignore[union-attr]
    treated = {code for code, t in demo.truth["subjects"].items() if t["TRTSDT"]}
    assert set(dm.index[dm["ACTARMCD"] != ""]) == treated
    assert all(dm.loc[code, "ACTARMCD"] == demo.truth["subjects"][code]["arm"] for code in treated)
    infused = {code for code, t in demo.truth["subjects"].items() if t["infusions"]}
    assert set(dm.index[dm["RFXSTDTC"] != ""]) == infused


def test_deaths_sex_and_merged_records(demo: Demo) -> None:
    dm = demo.dataset("DM").set_index("SUBJID")
    dead = dm[dm["DTHFL"] == "Y"]
    assert dead["DTHDTC"].str.slice(0, 10).to_dict() == {c: d or "" for c, d in demo.truth["deaths"].items()}
    assert set(dm["DTHFL"]) == {"", "Y"}
    assert dm.loc[demo.truth["deceased_false"], "DTHFL"] == ""
    assert dm.loc[demo.truth["sex_unknown"], "SEX"] == "U"
    assert (dm["SEX"] == "U").sum() == 1
    for p in demo.people:
        if p.subjid and p.consent:
            years = p.consent.year - p.birth.year - ((p.consent.month, p.consent.day) < (p.birth.month, p.birth.day))
            assert dm.loc[p.subjid, "AGE"] == years


def test_data_cut(demo: Demo) -> None:
    cut = demo.truth["data_cut"]
    assert demo.result.manifest["data_cut"] == cut
    for name in DOMAINS:
        frame = demo.dataset(name)
        for column in dates_of(frame):
            assert (frame[column].str.slice(0, 10) <= cut).all()
    ts = demo.dataset("TS").set_index("TSPARMCD")["TSVAL"]
    assert ts["DCUTDTC"] == cut
    assert ts["ACTSUB"] == str(sum(demo.truth["randomised"].values()))
    assert ts["SSTDTC"] == min(p.consent for p in demo.people if p.consent).isoformat()


def test_withdrawal_of_consent_cuts_the_subject_only(demo: Demo) -> None:
    for code, day in demo.truth["withdrew_consent"].items():
        for name in DOMAINS:
            mine = demo.of(name, code)
            for column in dates_of(mine):
                assert (mine[column].str.slice(0, 10) <= day).all()
        assert demo.dataset("DM").set_index("SUBJID").loc[code, "RFPENDTC"] == day
    for code, day in demo.truth["withdrew_treatment"].items():
        assert (demo.of("LB", code)["LBDTC"] > day).any()


# ------------------------------------------------------------------------------------------------ what was given


def test_infusions(demo: Demo) -> None:
    ec, ex = demo.dataset("EC"), demo.dataset("EX")
    infusions = {code: t["infusions"] for code, t in demo.truth["subjects"].items()}
    assert per_subject(demo, ex) == infusions
    assert per_subject(demo, ec[ec["ECOCCUR"] == "Y"]) == infusions
    missed = ec[ec["ECOCCUR"] == "N"]
    assert len(missed) == len(demo.truth["not_done_infusions"])
    assert (missed["ECREASOC"] != "").all()
    assert missed["ECDOSE"].isna().all()
    assert ex["EXDOSE"].between(0.39, 1.2).all()  # 0.40 stopped, 1.15 overdose; every total was divided by a weight
    assert set(ex["EXDOSU"]) == {"10^6/kg"}
    assert (ex["EXLOT"] != "").all()
    ids = set(traced(demo, "EC")["KEYED_ID"])
    for name, there in (("not_done", True), ("stopped", True), ("entered_in_error", False)):
        for one in demo.truth[f"{name}_infusions"]:
            assert (keyed(f"MedicationAdministration/{one}") in ids) == there
    given = set(traced(demo, "EX")["KEYED_ID"])
    assert not given & {keyed(f"MedicationAdministration/{i}") for i in demo.truth["not_done_infusions"]}


def test_doses_per_kg_are_those_that_were_planned(demo: Demo) -> None:
    ids = traced(demo, "EX").query("VARIABLE == 'EXTRT'")[["USUBJID", "SEQ", "KEYED_ID"]]
    ex = demo.dataset("EX").merge(ids, left_on=["USUBJID", "EXSEQ"], right_on=["USUBJID", "SEQ"])
    assert len(ex) == len(demo.dataset("EX"))
    by_id = {keyed(f"MedicationAdministration/{e.resource['id']}"): e for e in demo.entries if e.kind == "infusion"}
    weights: dict[str, list[tuple[str, Fraction]]] = {}
    for usubjid, e, loinc in demo.usable():
        if loinc == "29463-7":
            weights.setdefault(usubjid, []).append(
                (e.resource["effectiveDateTime"], Fraction(text_of(e.resource["valueQuantity"]["value"])))
            )
    days = {u: sorted((d, w) for d, w in found) for u, found in weights.items()}
    for _, row in ex.iterrows():
        dose = by_id[row["KEYED_ID"]].resource["dosage"]["dose"]
        amount = Fraction(text_of(dose["value"]))
        if dose["unit"] != "10*6/kg":
            total = amount / 1_000_000 if dose["unit"] == "cells" else amount
            # all weights are taken at 08:00, all infusions after 10:00; an instant in UTC is of the same day then
            before = [w for d, w in days[row["USUBJID"]] if d[:10] <= row["EXSTDTC"][:10]]
            amount = total / before[-1]
        assert abs(Fraction(row["EXDOSE"]) - amount) <= Fraction(1, 200)


@pytest.mark.parametrize(("product", "answer"), [("PLATELETS", "platelets"), ("RED BLOOD CELLS", "red_cells")])
def test_transfusions(demo: Demo, product: str, answer: str) -> None:
    cm = demo.dataset("CM")
    bags = cm[(cm["CMDECOD"] == product) & (cm["CMCAT"] == "TRANSFUSION")]
    assert per_subject(demo, bags) == {code: t[answer] for code, t in demo.truth["subjects"].items()}
    assert not demo.dataset("PR")["PRTRT"].str.contains("输注").any()
    days = {
        (demo.usubjid(e.person.subjid), e.first.isoformat(), e.last.isoformat())  # type: ignore[union-attr]
        for e in demo.entries
        if e.kind == answer.replace("_", "-") and e.person and e.person.subjid and e.first and e.first <= e.person.cut
    }
    found = set(zip(bags["USUBJID"], bags["CMSTDTC"].str[:10], bags["CMENDTC"].str[:10], strict=True))
    assert found == days  # also those over midnight
    assert any(first != last for _, first, last in days)


def test_a_request_proves_no_intake(demo: Demo) -> None:
    code = demo.truth["request_first"]
    cm = demo.of("CM", code)
    person = next(p for p in demo.people if p.subjid == code)
    on_the_day = cm[(cm["CMCAT"] == "TPO-RA") & (cm["CMSTDTC"].str[:10] == person.randomisation.isoformat())]  # type: ignore[union-attr]
    assert on_the_day.empty


def test_every_drug_is_known(demo: Demo) -> None:
    cm = demo.dataset("CM")
    assert (cm["CMDECOD"] != "").all()
    assert (cm["CMCAT"] != "").all()
    grafts = demo.dataset("PR").query("PRCAT == 'GRAFT INFUSION'")
    first = grafts.groupby("USUBJID")["PRSTDTC"].min().str[:10]
    expected = {demo.usubjid(c): t["hsct"] for c, t in demo.truth["subjects"].items() if t["hsct"]}
    assert first.to_dict() == expected


# ------------------------------------------------------------------------------------------------ what was measured


def test_laboratory_results(demo: Demo, domain_of: dict[str, str]) -> None:
    lb = demo.dataset("LB")
    measured = lb[(lb["LBDRVFL"] != "Y") & (lb["LBSTAT"] == "")]
    # interface replays are looked at below
    once = measured.drop_duplicates(["USUBJID", "LBTESTCD", "LBLOINC", "LBDTC", "LBORRES"])
    expected = Counter(usubjid for usubjid, _, loinc in demo.usable() if domain_of[loinc] == "LB")
    assert once["USUBJID"].value_counts().to_dict() == dict(expected)
    total = sum(t["observations"] for t in demo.truth["subjects"].values())
    assert sum(1 for _ in demo.usable()) == total  # the plan agrees with its own answers
    absent = lb[lb["LBSTAT"] == "NOT DONE"]
    assert len(absent) == len(demo.truth["no_value"])
    assert set(absent["LBREASND"]) == {"error"}
    assert set(absent["LBORRES"]) == {""}


def test_results_are_what_was_measured(demo: Demo, domain_of: dict[str, str]) -> None:
    found = Counter(zip(*(demo.dataset("LB")[c] for c in ("USUBJID", "LBLOINC", "LBORRES")), strict=True))
    expected = Counter[tuple[str, str, str]]()
    for usubjid, e, loinc in demo.usable():
        if domain_of[loinc] == "LB":
            r = e.resource
            if "valueQuantity" in r:
                text = r["valueQuantity"].get("comparator", "") + text_of(r["valueQuantity"]["value"])
            else:
                text = r["valueString"].split(" ")[0]
            expected[usubjid, loinc, text] += 1
    assert not expected - found


@pytest.mark.parametrize("name", ["VS", "RS"])
def test_vital_signs_and_performance_are_what_was_measured(demo: Demo, domain_of: dict[str, str], name: str) -> None:
    expected = Counter[tuple[str, str]]()
    for usubjid, e, loinc in demo.usable():
        if domain_of[loinc] == name:
            r = e.resource
            value = r["valueQuantity"]["value"] if "valueQuantity" in r else r["valueInteger"]
            expected[usubjid, text_of(value)] += 1
    frame = demo.dataset(name)
    trace = traced(demo, name)
    ours = {keyed(f"Observation/{e.resource['id']}") for _, e, _ in demo.usable()}  # not what the clinic writes down
    mine = trace[trace["KEYED_ID"].isin(ours)][["USUBJID", "SEQ"]].drop_duplicates()
    frame = frame.merge(mine, left_on=["USUBJID", f"{name}SEQ"], right_on=["USUBJID", "SEQ"])
    assert expected
    assert Counter(zip(frame["USUBJID"], frame[f"{name}ORRES"], strict=True)) == expected


def test_viral_loads(demo: Demo, domain_of: dict[str, str]) -> None:
    assert {domain_of[loinc] for _, _, loinc in demo.usable()} == {"LB", "MB", "RS", "VS"}
    expected = Counter(usubjid for usubjid, _, loinc in demo.usable() if domain_of[loinc] == "MB")
    mb = demo.dataset("MB")
    assert mb["USUBJID"].value_counts().to_dict() == dict(expected)
    assert set(mb["MBORRESU"]) == {"copies/mL"}
    assert (mb["MBSTRESU"] == mb["MBORRESU"]).all()
    dropped = demo.result.manifest["resources"]["Observation"]["dropped"]
    assert dropped.get("domain-not-built", 0) == of_warts(demo)["Observation", "domain-not-built"]


def test_derived_counts(demo: Demo) -> None:
    lb = demo.dataset("LB")
    derived = lb[lb["LBDRVFL"] == "Y"]
    pairs: dict[tuple[str, str], dict[str, Fraction]] = {}
    for usubjid, e, loinc in demo.usable():
        if loinc in ("6690-2", "770-8"):
            value = Fraction(text_of(e.resource["valueQuantity"]["value"]))
            pairs.setdefault((usubjid, e.resource["effectiveDateTime"]), {})[loinc] = value
    expected = Counter((u, p["6690-2"] * p["770-8"] / 100) for (u, _), p in pairs.items() if "770-8" in p)
    found = Counter((u, Fraction(text)) for u, text in zip(derived["USUBJID"], derived["LBSTRESC"], strict=True))
    assert found == expected
    assert sum(expected.values()) > 100
    assert set(derived["LBTESTCD"]) == {"NEUT"}
    assert set(derived["LBORRES"]) == {""}


def test_versions(demo: Demo) -> None:
    rows = traced(demo, "LB").query("VARIABLE == 'LBORRES'")
    lb = demo.dataset("LB").merge(rows, left_on=["USUBJID", "LBSEQ"], right_on=["USUBJID", "SEQ"]).set_index("KEYED_ID")
    for one, value in demo.truth["corrected"].items():
        record = lb.loc[[keyed(f"Observation/{one}")]]
        assert list(record["LBORRES"]) == [value]
        assert list(record["VERSION"]) == ["2"]
    for one in demo.truth["preliminary_to_final"]:
        assert list(lb.loc[[keyed(f"Observation/{one}")], "VERSION"]) == ["2"]


@pytest.mark.parametrize(
    "name",
    ["entered_in_error_observations", "cancelled_observations", "preliminary_only", "future", "unmapped", "donor"],
)
def test_what_may_not_be_used_is_not(demo: Demo, name: str) -> None:
    used = set(traced(demo, "LB")["KEYED_ID"])
    assert demo.truth[name]
    assert not used & {keyed(f"Observation/{one}") for one in demo.truth[name]}


def test_replayed_results_count_once(demo: Demo) -> None:
    """fhir-input point 3: the same subject, code, instant, value and specimen under another id is one result."""
    used = traced(demo, "LB").query("VARIABLE == 'LBORRES'")["KEYED_ID"]
    for replay, true in demo.truth["replayed"].items():
        both = {keyed(f"Observation/{replay}"), keyed(f"Observation/{true}")}
        assert used.isin(both).sum() == 1


# ------------------------------------------------------------------------------------------------ what was not used


def lines_of(demo: Demo, warts: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield (resource type, line); with the lines of warts or without."""
    for path in sorted((demo.folder / "fhir").iterdir()):
        if warts or path.name not in demo.truth["wart_files"]:
            for line in filter(None, carried_by(path)):
                yield re.findall(rb'"resourceType":"(\w+)"', line)[0].decode(), line


def wart_ids(warts: Warts) -> set[tuple[str, str]]:
    """Return (resource type, id) of all resources of warts that are no copies of what the clean files hold."""
    found = {
        (kind, rid)
        for file in warts.files.values()
        for kind, line in zip(file.kinds, file.lines, strict=True)
        for rid in re.findall(r'^.{0,60}"id":"(wart-[^"]+)"', line)
    }
    assert len(found) > 60
    return found


def answers(demo: Demo, kind: type) -> list[Any]:
    """Return the answers of one kind of all warts."""
    return [a for found in demo.truth["warts"].values() for a in found if isinstance(a, kind)]


def of_warts(demo: Demo) -> Counter[tuple[str, str]]:
    """Return how many resources of warts are not used, by (resource type, reason)."""
    counts = Counter[tuple[str, str]]()
    for one in answers(demo, Dropped):
        counts[one.kind, one.reason] += one.count
    return counts + Counter((one.kind, one.reason) for one in answers(demo, Rejected))


def owner(line: bytes) -> str:
    try:
        r = json.loads(line)
    except ValueError:
        return ""
    if r["resourceType"] == "Patient":
        return str(r["id"])
    subject = r.get("subject") or r.get("patient") or r.get("individual") or {}
    return str(subject.get("reference", "")).removeprefix("Patient/")


def test_non_subjects_and_copies(demo: Demo) -> None:
    outside = set(demo.truth["non_subjects"])
    seen: set[bytes] = set()
    strangers, copies, all_strangers = Counter[str](), Counter[str](), 0
    for kind, line in lines_of(demo):
        stranger = owner(line) in outside
        all_strangers += stranger
        if kind in READ:
            strangers[kind] += stranger
            copies[kind] += line in seen and not stranger
        seen.add(line)
    dropped = {k: r["dropped"] for k, r in demo.result.manifest["resources"].items()}
    odd = of_warts(demo)
    for k in READ:
        assert dropped[k].get("not-a-subject", 0) == strangers[k] + odd[k, "not-a-subject"]
        assert dropped[k].get("duplicate-copy", 0) == copies[k] + odd[k, "duplicate-copy"]
    assert all_strangers == demo.truth["non_subject_lines"]
    assert dropped["Patient"]["not-a-subject"] >= len(outside)
    both = {*demo.truth["preliminary_to_final"], *demo.truth["corrected"]}
    assert dropped["Observation"]["superseded-version"] == len(both) + odd["Observation", "superseded-version"]


# counted by lines or by dates in other tests
NOT_USED = ("MedicationRequest", "Organization")
ELSEWHERE = {
    "not-a-subject",
    "duplicate-copy",
    "superseded-version",
    "after-withdrawal",
    "domain-not-built",
    "not-needed",
}


def test_everything_else_is_dropped_for_the_reasons_that_were_planted(demo: Demo) -> None:
    """Per resource type and reason, exactly what the faults and the warts declare, and nothing else."""
    expected = of_warts(demo)
    for reason, name in (
        ("status-entered-in-error", "entered_in_error_observations"),
        ("status-cancelled", "cancelled_observations"),
        ("status-not-final", "preliminary_only"),
        ("after-data-cut", "future"),
        ("unmapped-code", "unmapped"),
        ("about-somebody-else", "donor"),
        ("duplicate-result", "replayed"),
    ):
        expected["Observation", reason] += len(demo.truth[name])
    for bad in demo.truth["bad_lines"]:
        expected["Observation", REASON_OF[bad["reason"]]] += 1
    expected["MedicationAdministration", "status-entered-in-error"] += len(demo.truth["entered_in_error_infusions"])
    resources = demo.result.manifest["resources"]
    for kind in NOT_USED:
        assert sum(resources[kind]["dropped"].values()) == sum(k == kind for k, _ in lines_of(demo))
    found = {
        (kind, reason): n
        for kind, counts in resources.items()
        for reason, n in counts["dropped"].items()
        if reason not in ELSEWHERE and kind not in NOT_USED
    }
    assert found == {k: n for k, n in expected.items() if k[1] not in ELSEWHERE}


def test_unmapped_codes(demo: Demo) -> None:
    found = demo.result.unmapped[["resource_type", "code", "text", "used", "count"]].itertuples(index=False, name=None)
    expected = [(a.kind, a.code, a.text, a.used, a.count) for a in answers(demo, Unmapped)]
    local = ("Observation", "urn:oid:2.16.156.999999.4|ZZ-731", "院内自建项目", "N", len(demo.truth["unmapped"]))
    terms = Counter[tuple[str, str, str]]()  # nobody has coded the terms of events: there is no --coding
    for kind, element in (("AdverseEvent", "event"), ("Condition", "code")):
        for _, r in of_subjects(demo, kind):
            if f"{kind}/{r['id']}" in resulted(demo):  # the event itself has the term
                continue
            codes = " ".join(f"{c['system']}|{c['code']}" for c in r[element].get("coding", ()))
            terms[kind, codes, r[element]["text"]] += 1
    expected += [(*term, "Y", n) for term, n in terms.items()]
    assert sorted(found) == sorted([*expected, local])


def test_rejects_are_the_bad_lines(demo: Demo) -> None:
    found = demo.result.rejects
    expected = [(f"fhir/{b['file']}", b["line"], REASON_OF[b["reason"]]) for b in demo.truth["bad_lines"]]
    expected += [(f"fhir/{a.file}", a.line, a.reason) for a in answers(demo, Rejected)]
    assert sorted(zip(found["file"], found["line"], found["reason"], strict=True)) == sorted(expected)
    assert demo.result.exit_code == 3


def test_data_issues(demo: Demo) -> None:
    issues = demo.result.issues
    counts = (Counter(issues["code"]) - Counter(a.code for a in answers(demo, Issue))).copy()
    counts.pop("non-ascii")
    undated = [c for c, day in demo.truth["deaths"].items() if day is None]
    # a number as text without its unit, where the code does not fix the unit
    bare = [
        1 for _, e, _ in demo.usable() if re.fullmatch(r"[<>]?[0-9.]+", str(e.resource.get("valueString", "no number")))
    ]
    assert counts.pop("death-date-unknown") == len(undated)
    assert counts.pop("date-imputed") == len(undated)  # in the analysis datasets
    assert counts.pop("unit-missing", 0) == len(bare)
    # courses that the subject's own cut goes through
    spans = [
        e
        for e in demo.entries
        if e.person
        and e.person.subjid
        and e.first
        and e.last
        and e.first <= e.person.cut < e.last
        and e.kind != "none"
        and e.resource["resourceType"] in ("MedicationAdministration", "Procedure", "Encounter")
    ]
    assert counts.pop("end-after-cut", 0) == len(spans)
    # the log answers four of the criteria; the data decide three more, and nobody the rest
    assert counts.pop("criterion-unknown") == sum(demo.truth["randomised"].values())
    assert counts.pop("disposition-unknown") == len(unfinished(demo))
    told = sum(bool(c["cause_of_death"]) for c in demo.truth["clinical"].values())
    assert counts.pop("cause-of-death-unknown") == len(demo.truth["deaths"]) - told
    assert counts == {}


def unfinished(demo: Demo) -> list[str]:
    """Who had less than the planned treatment, and neither left nor died within its eight weeks."""
    left = {**demo.truth["withdrew_consent"], **demo.truth["withdrew_treatment"]}
    found = []
    for code, s in demo.truth["subjects"].items():
        if not s["arm"] or code in left or (s["infusions"] >= 4 if s["arm"] == "MSC" else s["TRTSDT"]):
            continue
        died = demo.truth["deaths"].get(code)
        if died is None or date.fromisoformat(died) - date.fromisoformat(s["RFSTDTC"]) >= timedelta(days=56):
            found.append(code)
    return found


# ------------------------------------------------------------------------------------------------ events and stays

AFTER_CONSENT = {
    "急性移植物抗宿主病": "ACUTE GVHD",
    "慢性移植物抗宿主病": "CHRONIC GVHD",
    "巨细胞病毒感染": "INFECTION",
    "肺炎": "INFECTION",
    "带状疱疹": "INFECTION",
    "继发性移植物功能丧失": "GRAFT FAILURE",
}
"""What the plan gives to subjects from their treatment on, or from 130 days after the transplant on; a relapse likewise."""


def resulted(demo: Demo) -> set[str]:
    """Return the Conditions that resulted from adverse events: they are part of the event, no event of their own."""
    return {c["reference"] for _, r in of_subjects(demo, "AdverseEvent") for c in r.get("resultingCondition", ())}


def of_subjects(demo: Demo, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (USUBJID, resource) of a type that is dated by its subject's cut."""
    for e in demo.entries:
        r, p = e.resource, e.person
        if r["resourceType"] == kind and p is not None and p.subjid and e.first and e.first <= p.cut:
            yield demo.usubjid(p.subjid), r


def test_events_and_stays_are_in_their_domains(demo: Demo) -> None:
    """Each once, where sdtm-conventions sends it: the disease was there before consent, the rest began after it."""
    expected: dict[str, Counter[tuple[str, str, str]]] = {name: Counter() for name in ("AE", "CE", "MH", "HO")}
    for u, r in of_subjects(demo, "AdverseEvent"):
        expected["AE"][u, r["event"]["text"], r["date"][:10]] += 1
    for u, r in of_subjects(demo, "Condition"):
        if f"Condition/{r['id']}" in resulted(demo):
            continue
        term = r["code"]["text"]
        after = term in AFTER_CONSENT or term.endswith("复发")
        expected["CE" if after else "MH"][u, term, r["onsetDateTime"][:10]] += 1
    for u, r in of_subjects(demo, "Encounter"):
        expected["HO"][u, "inpatient encounter", r["period"]["start"][:10]] += 1
    for name, records in expected.items():
        frame = demo.dataset(name)
        columns = (frame["USUBJID"], frame[f"{name}TERM"], frame[f"{name}STDTC"].str.slice(0, 10))
        assert Counter(zip(*columns, strict=True)) == records, name
        assert records
    assert set(demo.dataset("HO")["HODECOD"]) == {"HOSPITAL STAY"}
    ce = demo.dataset("CE")
    assert ce["CECAT"].tolist() == [AFTER_CONSENT.get(t, "RELAPSE") for t in ce["CETERM"]]
    assert ce["CECAT"].nunique() > 2


# ------------------------------------------------------------------------------------------------ confidentiality (§10)


def everything_written(folder: Path) -> bytes:
    """Return the bytes of every file, and every text of every Parquet file decompressed."""
    parts = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        parts += [path.relative_to(folder).as_posix().encode(), path.read_bytes()]
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            parts.append(str(pq.read_schema(path)).encode())
            for column in table.columns:
                kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
                if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind):
                    parts += [str(v).encode() for v in column.cast(kind).unique().to_pylist() if v is not None]
    return b"\n".join(parts)


def test_no_identity_leaves_the_site(demo: Demo) -> None:
    written = everything_written(demo.folder / "out")
    words = set(re.findall(rb"[A-Za-z0-9][A-Za-z0-9._-]*", written))
    ids, secrets = set(), set()
    for _, line in lines_of(demo, warts=True):
        try:
            r = json.loads(line)
        except ValueError:
            continue
        ids |= {r["id"]} if "id" in r else set()
        if r["resourceType"] == "Patient":
            secrets |= {n["text"] for n in r.get("name", ())} | {
                g for n in r.get("name", ()) for g in n.get("given", ())
            }
            secrets |= {i["value"] for i in r["identifier"]} | {t["value"] for t in r.get("telecom", ())}
            secrets |= {a["text"] for a in r.get("address", ())} | {x for a in r.get("address", ()) for x in a["line"]}
            secrets.add(r["birthDate"])
        elif r["resourceType"] == "Organization":
            secrets.add(r["name"])
    assert len(ids) > 5000
    assert len(secrets) > 100
    assert not {i for i in ids if i.encode() in words}
    assert not {s for s in secrets if s.encode() in written}
    assert "示例".encode() not in written
    # the search finds what is there: keyed ids and texts of the hospital are in the same bytes
    assert keyed(f"Observation/{next(iter(demo.truth['corrected']))}").encode() in written
    assert "输注单采血小板".encode() in written


def test_the_link_stays_private(demo: Demo) -> None:
    site = demo.folder / "site"
    links = sorted(p for p in site.rglob("*.parquet"))
    assert links
    for path in [*links, site / "key"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in [site, *{p.parent for p in links}]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    text = pa.concat_tables([pq.read_table(p).select(["keyed_id", "resource", "USUBJID"]) for p in links]).to_pandas()
    merged = next(iter(demo.truth["merged"].items()))
    for pid in merged[1]:
        mine = text[text["resource"] == f"Patient/{pid}"]
        assert set(mine["USUBJID"]) == {demo.usubjid(merged[0])}
        assert set(mine["keyed_id"]) == {keyed(f"Patient/{pid}")}
    outside = {f"Patient/{p}" for p in demo.truth["non_subjects"]}
    assert not outside & set(text["resource"])
    assert not list((demo.folder / "out").rglob("link*"))


def test_dates_are_dates(demo: Demo) -> None:
    for name in DOMAINS:
        frame = demo.dataset(name)
        for column in dates_of(frame):
            for text in set(frame[column].str.slice(0, 10)) - {""}:
                date.fromisoformat(text)

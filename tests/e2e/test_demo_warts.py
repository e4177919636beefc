"""The warts of the demo, each compared with the answer it declares: records, drops, rejects, issues, unmapped codes.

Ten subjects by default (every wart has its place there), the shipped 68 as a long test. That nothing beside the declared
answers is dropped or reported is checked for a whole build in test_demo_truth.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow.parquet as pq
import pytest

from adapter import build
from adapter.reasons import REASONS
from adapter.result import Result
from mappings.trials.pgf_msc.demo import WARTS, known_answers, write_cohort
from mappings.trials.pgf_msc.demo.wart_page import page
from mappings.trials.pgf_msc.demo.warts import Dropped, Issue, Rejected, Unmapped, Used
from tests.conftest import KEY, Cohort, carried_by, make_site

TOPIC = {"LB": "LBTESTCD", "CM": "CMTRT", "EC": "ECTRT", "EX": "EXTRT", "PR": "PRTRT", "DM": "SEX"}
BY_NAME = {w.name: w for w in WARTS}


class Built(NamedTuple):
    fhir: Path
    result: Result
    truth: dict[str, Any]
    traces: dict[str, pd.DataFrame]


def traces(result: Result) -> dict[str, pd.DataFrame]:
    read = {
        p.stem.upper(): pq.read_table(p).to_pandas()
        for p in (result.out / "trace").glob("*.parquet")
        if not p.stem.startswith("ad")
    }
    text = dict.fromkeys(("KEYED_ID", "VARIABLE", "USUBJID", "VERSION", "ELEMENT"), "str")
    return {name: frame.astype(text) for name, frame in read.items()}


@pytest.fixture(scope="module", params=[10, pytest.param(68, marks=pytest.mark.long)])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    if request.param == 10:
        cohort: Cohort = request.getfixturevalue("demo10")
        result: Result = request.getfixturevalue("demo10_build")
        return Built(cohort.fhir, result, known_answers(10), traces(result))
    folder = tmp_path_factory.mktemp("warts")
    write_cohort(folder)
    site = make_site(folder / "site")
    result = build(folder / "fhir", out=folder / "out", enrolment=folder / "enrolment.csv", site=site, workers=1)
    return Built(folder / "fhir", result, known_answers(), traces(result))


def keyed(identity: str) -> str:
    return hmac.new(bytes.fromhex(KEY), identity.encode(), hashlib.sha256).digest()[:16].hex() if identity else ""


def sources(b: Built, dataset: str, identity: str, element: str = "") -> pd.DataFrame:
    """Return the trace rows of what makes a record one of this resource (of this component of it)."""
    rows = b.traces[dataset]
    mine = rows[(rows["KEYED_ID"] == keyed(identity)) & (rows["VARIABLE"] == TOPIC[dataset])]
    return mine[mine["ELEMENT"].str.contains(element, regex=False)] if element else mine


def check_used(a: Used, b: Built) -> None:
    rows = pd.concat([sources(b, a.dataset, name, a.element) for name in (a.resource, a.twin) if name])
    assert len(rows) == a.among, f"{a.dataset} has {len(rows)} records of {a.resource} {a.element}"
    frame = b.result.sdtm[a.dataset]
    found = []
    for source in rows.to_dict("records"):
        mine = frame["USUBJID"] == source["USUBJID"]
        record = frame[mine if a.dataset == "DM" else mine & (frame[f"{a.dataset}SEQ"] == source["SEQ"])].iloc[0]
        found.append({k: "" if pd.isna(record[k]) else record[k] for k in a.values})
    expected = {k: "" if v is None else v for k, v in a.values.items()}
    assert found.count(expected) == 1, found
    if a.version:
        assert set(rows["VERSION"]) == {a.version}


def check_dropped(a: Dropped, b: Built) -> None:
    # how many there are of each reason is counted over all warts in test_demo_truth
    assert b.result.manifest["resources"][a.kind]["dropped"][a.reason] >= a.count > 0
    assert REASONS[a.reason].kind == "drop"
    for name in a.gone:
        assert [d for d, rows in b.traces.items() if keyed(name) in set(rows["KEYED_ID"])] == []


def check_rejected(a: Rejected, b: Built) -> None:
    found = b.result.rejects
    here = found[(found["file"] == f"fhir/{a.file}") & (found["line"] == a.line)]
    columns = ["resource_type", "reason", "keyed_id", "element"]
    assert here[columns].fillna("").to_numpy().tolist() == [[a.kind, a.reason, keyed(a.resource), a.where]]
    assert REASONS[a.reason].kind == "reject"
    line = carried_by(b.fhir / a.file)[a.line - 1]
    if a.resource:
        assert f'"id":"{a.resource.partition("/")[2]}"'.encode() in line


def check_issue(a: Issue, b: Built) -> None:
    found = b.result.issues.fillna("")
    subject = f"PGFMSC-01-{a.subjid}" if a.subjid else ""
    wanted = {"dataset": a.dataset, "code": a.code, "keyed_id": keyed(a.resource), "USUBJID": subject}
    here = found[(found[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    assert len(here) == 1
    assert REASONS[a.code].kind == "issue"
    if a.dataset and a.resource:
        assert int(here["seq"].iloc[0]) == sources(b, a.dataset, a.resource)["SEQ"].iloc[0]


def check_unmapped(a: Unmapped, b: Built) -> None:
    found = b.result.unmapped.fillna("")
    row = found[(found["code"] == a.code) & (found["text"] == a.text)]
    assert row[["resource_type", "used", "count"]].to_numpy().tolist() == [[a.kind, a.used, a.count]]


CHECKS = {
    Used: check_used,
    Dropped: check_dropped,
    Rejected: check_rejected,
    Issue: check_issue,
    Unmapped: check_unmapped,
}


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_wart_has_the_answer_it_declares(name: str, built: Built) -> None:
    for answer in built.truth["warts"][name]:
        CHECKS[type(answer)](answer, built)


def test_warts_are_many_and_answered(built: Built) -> None:
    """Fifteen were asked for; the only wart without an answer is the empty file, of which nothing may come."""
    assert list(built.truth["warts"]) == [w.name for w in WARTS]
    assert len(BY_NAME) == len(WARTS) >= 50
    assert [name for name, found in built.truth["warts"].items() if not found] == ["empty-file"]
    assert (built.fhir / "Procedure-empty.ndjson").read_bytes() == b""
    assert "fhir/Procedure-empty.ndjson" in [i["label"] for i in built.result.manifest["inputs"]]
    assert built.truth["data_cut"] == built.result.manifest["data_cut"], "no wart moves the data cut"


def test_no_wart_is_what_an_endpoint_reads(built: Built) -> None:
    """Later work takes courses, transfusions and infusions of the demo for clean: warts leave them alone."""
    ids = {
        keyed(f"{kind}/{rid}")
        for file in built.truth["wart_files"]
        for line in carried_by(built.fhir / file)
        for kind, rid in re.findall(r'^\{"resourceType":"(\w+)","id":"(wart-[^"]+)"', line.decode())
    }
    used = {
        name: [
            frame[(frame["USUBJID"] == row["USUBJID"]) & (frame[f"{name}SEQ"] == row["SEQ"])].iloc[0]
            for row in rows[rows["KEYED_ID"].isin(ids) & (rows["VARIABLE"] == TOPIC[name])].to_dict("records")
        ]
        for name, rows in built.traces.items()
        if name in TOPIC and name != "DM" and len(frame := built.result.sdtm[name])
    }
    assert len(used["LB"]) > 40
    assert not {r["LBTESTCD"] for r in used["LB"]} & {"WBC", "NEUT", "NEUTLE", "NEUTSG", "NEUTSGLE", "PLAT", "HGB"}
    assert {r["CMCAT"] for r in used["CM"]} <= {"ANTIVIRAL", ""}
    assert {name for name, found in used.items() if found} == {"LB", "CM"}
    subjects = {r["USUBJID"] for found in used.values() for r in found}
    assert len(subjects) <= 12


def test_the_page_says_what_is_planted() -> None:
    text = (Path(__file__).parents[2] / "docs" / "demo.md").read_text("utf-8")
    assert text == page(), "run: make docs"
    assert sum(line.count("`") > 0 and line.startswith("| ") for line in text.splitlines()) >= len(WARTS)


def test_every_resource_of_a_wart_is_answered_for(built: Built) -> None:
    """A resource in a file of warts is named by an answer, unless it only serves another one (a Patient, a Specimen)."""
    named: set[object] = set()
    for found in built.truth["warts"].values():
        for a in found:
            named |= {getattr(a, "resource", ""), getattr(a, "twin", ""), *getattr(a, "gone", ())}
            named |= {(a.file, a.line)} if isinstance(a, Rejected) else set()
    silent = [
        f"{kind}/{rid}"
        for file in built.truth["wart_files"]
        for n, line in enumerate(carried_by(built.fhir / file), 1)
        for kind, rid in re.findall(r'^\{"resourceType":"(\w+)","id":"(wart-[^"]+)"', line.decode())
        if not {f"{kind}/{rid}", (file, n)} & named
    ]
    assert [w for w in silent if not w.startswith(("Patient/", "Specimen/"))] == []


def test_files_are_what_their_names_say(built: Built) -> None:
    interface = (built.fhir / "Observation-interface.ndjson").read_bytes()
    assert interface.startswith(b"\xef\xbb\xbf{")
    assert interface.count(b"\r\n") == interface.count(b"\n") > 15
    assert b"\r\n\r\n" in interface
    lis = (built.fhir / "Observation-lis-gb18030.ndjson").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        lis.decode()
    assert "血清钾" in lis.decode("gb18030")
    poct = (built.fhir / "Observation-poct.ndjson.gz").read_bytes()
    second = poct.index(b"\x1f\x8b\x08", 10)
    assert poct[10:second].rstrip()[-8:].count(b"\n") == 0, "the first member ends in the middle of a line"
    assert "\u2028".encode() in (built.fhir / "Observation-reexport.ndjson").read_bytes()
    pages = [set(carried_by(built.fhir / f"Bundle-search-page-{n}.json")) for n in (1, 2)]
    assert len(pages[0] & pages[1]) == 2, "the shared result, and the outcome"

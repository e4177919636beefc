"""Each golden case is built and compared with what was written by hand; the relations of its records; its bad input."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from adapter.reasons import REASONS
from adapter.result import Result
from adapter.site import Keyer
from tests.conftest import KEY
from tests.golden.cases import ALWAYS, EVERYWHERE, FOLDER, build_case, cases, compared, expected_files, read_expected

Built = Callable[[str], Result]


@pytest.fixture(scope="module")
def build_of(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Builds a case by name, once."""
    return cache(lambda case: build_case(case, tmp_path_factory.mktemp(case)))


@pytest.fixture(scope="module", params=cases())
def built(request: pytest.FixtureRequest, build_of: Built) -> tuple[str, Result]:
    return request.param, build_of(request.param)


def test_case(built: tuple[str, Result]) -> None:
    case, result = built
    wrong = []
    for name in expected_files(case):
        rows, found = compared(result, case, name)
        missing = [r for r in rows if r not in found]
        more = [r for r in found if r not in rows]
        if found != rows:
            wrong.append(f"{case}/{name}: expected, not found {missing}; found, not expected {more}")
            if not missing and not more:
                wrong[-1] = f"{case}/{name}: the order or the number of equal rows differs: {found}"
    assert not wrong, "\n".join(wrong)


def test_case_is_complete(built: tuple[str, Result]) -> None:
    case, result = built
    names = expected_files(case)
    assert set(ALWAYS) <= set(names)
    with open(FOLDER / case / "enrolment.csv", encoding="utf-8", newline="") as f:
        assert len(list(csv.DictReader(f))) >= 3
    assert sum(len(read_expected(case, n)[2]) for n in ("rejects", "drops")) > 0
    for name in ("rejects", "issues", "drops"):
        _, columns, rows = read_expected(case, name)
        at = columns.index("code" if name == "issues" else "reason")
        assert {r[at] for r in rows} <= set(REASONS)
    # a dataset that the build makes and the case does not look at would hide a record in the wrong domain
    made = {d.lower() for d, n in result.counts["records"].items() if n and d not in EVERYWHERE}
    assert made <= set(names)


def test_cases_are_there() -> None:
    assert set(cases()) >= {"dm", "ec_ex", "cm", "pr", "lb", "ts", "statements", "reports"}


def test_every_line_of_input_is_accounted_for(built: tuple[str, Result]) -> None:
    case, result = built
    lines = sum(
        sum(1 for line in path.read_bytes().split(b"\n") if line.strip())
        for path in Path(FOLDER / case / "input").glob("*.ndjson")
    )
    resources = result.counts["resources"].values()
    assert sum(r["read"] for r in resources) == lines
    assert all(r["read"] == r["used"] + sum(r["dropped"].values()) for r in resources)


# --- relations between records, and bad input ------------------------------------------------------------------------

OF_THE_CORE = (
    "ta_te_tv_ti", "ds", "se", "sv", "vs", "supp", "relrec", "co", "ae", "ce", "rs", "mh", "ho", "dd", "fa", "ie",
)  # fmt: skip


@pytest.mark.parametrize("case", OF_THE_CORE)
def test_each_domain_has_a_case_with_subjects_records_and_a_reject(case: str) -> None:
    """Its own dataset is looked at, and something that came in for it is rejected, not only counted."""
    assert case in cases()
    assert {n for n in case.split("_") if n != "supp"} <= set(expected_files(case))
    _, _, rows = read_expected(case, "rejects")
    assert len(rows) >= 1
    people = (FOLDER / case / "enrolment.csv").read_text("utf-8").splitlines()[1:]
    assert len(people) >= 3


RELATED = sorted(c for c in cases() if "relrec" in expected_files(c))


@pytest.mark.parametrize("case", RELATED)
def test_relations_resolve_both_ways(case: str, build_of: Built) -> None:
    """Every member is one record of its dataset, none stands alone, and the record it stands around is among them."""
    result = build_of(case)
    relrec = result.sdtm["RELREC"]
    for _, r in relrec.iterrows():
        frame = result.sdtm[r["RDOMAIN"]]
        hit = frame[
            (frame["USUBJID"] == r["USUBJID"]) & (frame[r["IDVAR"]].astype("int64").astype("str") == r["IDVARVAL"])
        ]
        assert len(hit) == 1, r.to_dict()
    of = relrec.groupby(["USUBJID", "RELID"])
    assert of.size().min() >= 2
    for (_, relid), part in of:
        assert (part["RDOMAIN"] + part["IDVARVAL"] == relid).sum() == 1


def test_a_gvhd_episode_leads_to_its_organs_and_grades_and_back(build_of: Built) -> None:
    """CE episode, FA organ stages, RS overall grade: followed by USUBJID and RELID from each end."""
    result = build_of("fa")
    relrec = result.sdtm["RELREC"]
    own = relrec[relrec["USUBJID"] == "PGFMSC-01-001"]

    def others(dataset: str, seq: int) -> pd.DataFrame:
        ids = own.loc[(own["RDOMAIN"] == dataset) & (own["IDVARVAL"] == str(seq)), "RELID"]
        found = own[own["RELID"].isin(ids)]
        return found[(found["RDOMAIN"] != dataset) | (found["IDVARVAL"] != str(seq))]

    def records(frame: pd.DataFrame, dataset: str) -> pd.DataFrame:
        seqs = frame.loc[frame["RDOMAIN"] == dataset, "IDVARVAL"].astype("float64")
        whole = result.sdtm[dataset]
        return whole[(whole["USUBJID"] == "PGFMSC-01-001") & whole[f"{dataset}SEQ"].isin(seqs)]

    from_episode = others("CE", 1)
    organs = records(from_episode, "FA")
    assert dict(zip(organs["FALOC"], organs["FASTRESC"], strict=True)) == {
        "GASTROINTESTINAL TRACT": "3", "LIVER": "1", "SKIN": "2",
    }  # fmt: skip
    assert set(records(from_episode, "RS")["RSSTRESC"]) == {"III"}
    for dataset, seq in (("FA", 3), ("RS", 2)):
        (event,) = records(others(dataset, seq), "CE").to_dict("records")
        assert (event["CECAT"], event["CESTDTC"], event["CEENDTC"]) == ("ACUTE GVHD", "2024-03-20", "2024-04-15")


class Bad(NamedTuple):
    """A bad input of a case: which issue tells it, of which record and resource, and how the record stands."""

    what: str
    case: str
    subject: str
    dataset: str
    seq: str
    code: str
    resource: str
    record: dict[str, object]


BAD = (
    Bad("unknown CTCAE term", "ae", "002", "AE", "3", "ctcae-term-unknown", "AdverseEvent/a6", {"AETOXGR": "3"}),
    Bad("grade 7", "ae", "002", "AE", "4", "grade-not-read", "AdverseEvent/a7", {"AETERM": "Vomiting", "AETOXGR": ""}),
    Bad(
        "end before start", "ae", "003", "AE", "5", "end-before-start", "AdverseEvent/a9",
        {"AESTDTC": "2024-05-10", "AEENDTC": "2024-05-02"},
    ),
    Bad(
        "death before the last result", "ds", "002", "DS", "4", "death-before-last-fact", "Patient/p2",
        {"DSDECOD": "DEATH", "DSSTDTC": "2024-07-01T05:00:00"},
    ),
    Bad(
        "deceasedBoolean false with a date", "ds", "010", "DM", "", "death-contradicted", "Patient/p10",
        {"DTHFL": "Y", "DTHDTC": "2024-03-11T04:00:00"},
    ),
    Bad("Karnofsky 75", "rs", "001", "RS", "3", "score-not-on-scale", "Observation/r3", {"RSORRES": "75", "RSSTRESC": ""}),
    Bad("grade V of GVHD", "fa", "003", "RS", "1", "score-not-on-scale", "Observation/o11", {"RSSTRESC": ""}),
    Bad(
        "a visit out of order", "sv", "004", "SV", "", "visit-out-of-order", "MedicationAdministration/m23",
        {"VISIT": "DAY 1", "SVSTDTC": "2024-03-05"},
    ),
    Bad(
        "two consents, one later", "ds", "001", "DS", "4", "consent-differs", "Consent/c2",
        {"DSDECOD": "INFORMED CONSENT OBTAINED", "DSSTDTC": "2024-04-10"},
    ),
    Bad(
        "two consents, one earlier", "ds", "001", "DS", "1", "consent-differs", "Consent/c7",
        {"DSDECOD": "INFORMED CONSENT OBTAINED", "DSSTDTC": "2024-03-01"},
    ),
)  # fmt: skip


@pytest.mark.parametrize("bad", [pytest.param(b, id=b.what) for b in BAD])
def test_bad_input_is_reported_and_the_record_stays(bad: Bad, build_of: Built) -> None:
    result = build_of(bad.case)
    subject = f"PGFMSC-01-{bad.subject}"
    keyed_id = Keyer(bytes.fromhex(KEY)).keyed(bad.resource).hex()
    found = result.issues
    (issue,) = found[(found["code"] == bad.code) & (found["keyed_id"] == keyed_id)].to_dict("records")
    assert (issue["USUBJID"], issue["dataset"], issue["seq"]) == (subject, bad.dataset, bad.seq)
    frame = result.sdtm[bad.dataset]
    mine = frame[frame["USUBJID"] == subject]
    if bad.seq:
        mine = mine[mine[f"{bad.dataset}SEQ"] == float(bad.seq)]
    elif "VISIT" in bad.record:  # SV has no --SEQ: the message names the visit
        mine = mine[mine["VISIT"] == bad.record["VISIT"]]
        assert str(bad.record["VISIT"]) in issue["message"]
    (record,) = mine.to_dict("records")
    assert {k: record[k] for k in bad.record} == bad.record
    name = bad.resource.partition("/")[0]
    rejected = result.rejects["keyed_id"] == keyed_id
    assert not rejected.any()
    assert Path(FOLDER / bad.case / "input" / f"{name}.ndjson").is_file()

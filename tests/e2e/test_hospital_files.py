"""What a hospital hands over, through the whole build: marks at the start of files, lots in extensions, loose dates."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from adapter import build
from adapter.result import Result
from tests.conftest import make_site, tabulated
from tests.lines import ADMINISTRATION, CONSENT, OBSERVATION, PATIENT, RESEARCH_SUBJECT, Json, changed, line_of

pytestmark = pytest.mark.usefixtures("tabulation_only")

LOG = "patient,subjid,siteid,arm,consent_date,randomisation_date\ns,1,01,MSC,2024-01-01,2024-01-02\n"
DOSE = changed(
    ADMINISTRATION,
    medicationCodeableConcept={"coding": [{"system": "urn:pgf-msc:product", "code": "UC-MSC"}]},
    dosage={"dose": {"value": 1, "unit": "10*6/kg", "code": "10*6/kg"}},
)
NOT_ANSWERED = "criterion-unknown"
"""The log answers no criterion of eligibility, and these few resources do not decide them."""
SHIPPED = Path(__file__).parents[2] / "mappings" / "trials" / "pgf_msc"


def built(folder: Path, *resources: Json, mark: bytes = b"", log: str | None = LOG, **more: Any) -> Result:
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "all.ndjson").write_bytes(mark + b"".join(line_of(r) + b"\n" for r in resources))
    if log is not None:
        (folder / "log.csv").write_text(log)
        more["enrolment"] = folder / "log.csv"
    return build(folder / "in", out=folder / "out", site=make_site(folder / "site"), workers=1, **more)


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    plain = built(tmp_path / "plain", PATIENT, OBSERVATION)
    marked = built(tmp_path / "marked", PATIENT, OBSERVATION, mark=b"\xef\xbb\xbf")
    assert marked.counts["resources"] == plain.counts["resources"]
    assert marked.counts["rejects"] == 0
    assert marked.sdtm["DM"]["SEX"].tolist() == ["F"]


def test_the_lot_stands_in_an_extension_that_the_trial_names(tmp_path: Path) -> None:
    trial = tmp_path / "trial"
    shutil.copytree(SHIPPED, trial, ignore=shutil.ignore_patterns("demo", "__pycache__"))
    text = (trial / "trial.toml").read_text("utf-8")
    assert "[extensions]" not in text
    (trial / "trial.toml").write_text(f'{text}\n[extensions]\nlot = ["urn:lot"]\n', "utf-8")
    given = changed(DOSE, extension=[{"url": "urn:lot", "valueString": "LOT-9"}])
    assert built(tmp_path / "a", PATIENT, given, trial=trial).sdtm["EC"]["ECLOT"].tolist() == ["LOT-9"]


def test_a_partial_date_counts_with_its_first_day_in_the_default_data_cut(tmp_path: Path) -> None:
    loose = changed(OBSERVATION, id="o2", effectiveDateTime="2024-05")
    result = built(tmp_path, PATIENT, OBSERVATION, loose)
    assert result.counts["data_cut"] == "2024-05-01"
    assert sorted(result.sdtm["LB"]["LBDTC"]) == ["2024-01-02T07:30:00", "2024-05"]


def test_an_infusion_stopped_after_the_cut_was_given_at_the_cut(tmp_path: Path) -> None:
    period = {"start": "2024-01-05", "end": "2024-02-05"}
    stopped = changed(DOSE, status="stopped", effectiveDateTime=..., dosage=..., effectivePeriod=period)
    result = built(tmp_path, PATIENT, stopped, cutoff="2024-01-31")
    assert result.sdtm["EC"][["ECOCCUR", "ECSTDTC", "ECENDTC"]].values.tolist() == [["Y", "2024-01-05", ""]]
    assert sorted(tabulated(result)) == [NOT_ANSWERED, "end-after-cut"]


def test_research_subjects_of_our_study_make_the_log(tmp_path: Path) -> None:
    ours = {"identifier": {"system": "urn:pgf-msc:study", "value": "PGF-MSC"}}
    theirs = {"identifier": {"system": "urn:pgf-msc:study", "value": "ANOTHER"}}
    mine = changed(
        RESEARCH_SUBJECT, identifier=[{"value": "001"}], study=ours, assignedArm="MSC", period={"start": "2024"}
    )
    other = changed(mine, id="r2", study=theirs, individual={"reference": "Patient/x"}, identifier=[{"value": "002"}])
    result = built(tmp_path, PATIENT, changed(PATIENT, id="x"), mine, mine, other, CONSENT, OBSERVATION, log=None)
    assert result.sdtm["DM"][["USUBJID", "ARMCD", "RFICDTC"]].values.tolist() == [
        ["PGFMSC-01-001", "MSC", "2024-01-02"]
    ]
    assert result.counts["resources"]["Patient"]["dropped"] == {"not-a-subject": 1}


def test_a_death_after_the_data_cut_is_left_out(tmp_path: Path) -> None:
    """The only patient of a group, dead after the cut: once the column of booleans took no gap and the build broke."""
    result = built(tmp_path, changed(PATIENT, deceasedDateTime="2024-06-01"), OBSERVATION, cutoff="2024-03-01")
    assert result.sdtm["DM"][["DTHFL", "DTHDTC"]].values.tolist() == [["", ""]]
    # randomised 60 days before the cut and never treated: no death, and no other reason that is known, ended the treatment
    assert sorted(tabulated(result)) == [NOT_ANSWERED, "death-after-cut", "disposition-unknown"]

"""EPOCH, VISITNUM, VISIT, --LOBXFL and --DY stand in every domain whose SDTMIG 3.4 table has them, made in one place."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from adapter.derive.days import study_day
from adapter.derive.epochs import epoch, epoch_of_disposition, epoch_of_finding
from adapter.derive.results import last_before_exposure
from adapter.derive.visits import visit_name, visit_number
from adapter.evaluate import evaluate
from adapter.registry import ordered, references, shipped
from adapter.spec import ASSIGNED, DERIVED, Call, Dataset, Records, Ref, Variable, Whole, call, path, whole

ROOT = Path(__file__).parents[2]
SUBJECT_LEVEL = [d for d in shipped() if d.purpose == "Tabulation" and not d.reference]
DEFINING = ("SE", "SV")
"""The domains that say what elements and visits there are: theirs are the values that the others look up."""


def guide() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with open(ROOT / "schemas/sdtmig_3-4_variables.csv", encoding="utf-8", newline="") as f:
        for r in csv.DictReader(f):
            found.setdefault(r["dataset"], set()).add(r["name"])
    return found


GUIDE = guide()
MADE_BY = {
    "EPOCH": {epoch, epoch_of_finding, epoch_of_disposition},
    "VISITNUM": {visit_number},
    "VISIT": {visit_name},
    "LOBXFL": {last_before_exposure},
}


@pytest.mark.parametrize("d", [pytest.param(d, id=d.name) for d in SUBJECT_LEVEL if d.name not in DEFINING])
def test_timing_variables_of_the_guide_are_declared_and_made_in_one_place(d: Dataset) -> None:
    declared = {v.name: v for v in d.main}
    for name, functions in MADE_BY.items():
        full = name if name in GUIDE[d.name] else f"{d.name}{name}"
        if full not in GUIDE[d.name]:
            assert full not in declared
            continue
        assert full in declared, f"{d.name}: the guide has {full}"
        source = declared[full].source
        assert isinstance(source, Call)
        assert source.function in functions
    epochs = declared.get("EPOCH")
    if epochs is not None and isinstance(epochs.source, Call):
        # results have a rule of their own on the day of first treatment, as --LOBXFL has
        finding = d.cls in ("FINDINGS", "FINDINGS ABOUT")
        assert (epochs.source.function is epoch_of_finding) == finding


@pytest.mark.parametrize("d", [pytest.param(d, id=d.name) for d in SUBJECT_LEVEL])
def test_every_date_has_its_study_day(d: Dataset) -> None:
    declared = {v.name: v for v in d.main}
    for name in declared:
        day = f"{name.removesuffix('DTC')}DY"
        if name.endswith("DTC") and day in GUIDE[d.name]:
            assert day in declared, f"{d.name}: {name} without {day}"
            source = declared[day].source
            assert isinstance(source, Call)
            assert source.function is study_day
            assert source.arguments[0] == name
            assert source.arguments[1] in (Ref("DM", "RFSTDTC"), "RFSTDTC")


def test_the_guide_s_table_was_read() -> None:
    assert {"EPOCH", "VISITNUM", "VISIT", "LBLOBXFL", "LBDY"} <= GUIDE["LB"]
    assert "EPOCH" not in GUIDE["SV"]


# --- a function that is given a whole dataset -----------------------------------------------------------------------


def most(usubjid: pd.Series[str], events: pd.DataFrame) -> pd.Series[float]:
    """Number of records of {a1} of the subject."""
    return usubjid.map(events["USUBJID"].value_counts()).fillna(0)


def made_up(name: str, *more: Variable) -> Dataset:
    plain = (
        Variable("STUDYID", "Study Identifier", "Char", path("study"), ASSIGNED),
        Variable("USUBJID", "Unique Subject Identifier", "Char", path("USUBJID"), ASSIGNED),
    )
    return Dataset(
        name, name, "EVENTS", "One record", ("STUDYID", "USUBJID"), plain + more, lambda _: Records(pd.DataFrame())
    )


def test_a_whole_dataset_is_an_argument() -> None:
    counting = Variable("N", "Number", "Num", call(most, "USUBJID", whole("ZZ")), DERIVED)
    a, z = made_up("AA", counting), made_up("ZZ")
    assert references(a) == {("ZZ", "USUBJID")}
    assert [d.name for d in ordered([a, z])] == ["ZZ", "AA"], "what is read is made first"
    source = counting.source
    assert isinstance(source, Call)
    assert source.arguments[1] == Whole("ZZ")
    assert source.method({}) == "Number of records of ZZ of the subject."
    records = pd.DataFrame({"study": "S", "USUBJID": ["B", "A", "C"]})
    others = {"ZZ": pd.DataFrame({"USUBJID": ["A", "B", "B"]})}
    frame, _ = evaluate(a, records, others, None)
    assert frame[["USUBJID", "N"]].to_numpy().tolist() == [["A", 1.0], ["B", 2.0], ["C", 0.0]]

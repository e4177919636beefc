"""Events: what was given (fhir-input point 1), what goes on (point 26), and which product a name means."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from adapter.codes import load_codes
from adapter.site_codes import site_products
from adapter.trial import resolve_trial
from mappings.parts import each_ingredient, not_given, ongoing, open_end, reasons, without_dose, without_end
from mappings.sdtm.ec import product_of
from mappings.sdtm.ts import trial_summary

GIVEN = [
    # status, dose, rate, end, notes, why not
    ("completed", None, None, None, None, ""),
    ("completed", "1.0", None, None, None, ""),
    ("in-progress", None, None, None, None, ""),
    ("not-done", None, None, None, None, "not-done"),
    ("not-done", "1.0", None, "2024-03-09", None, "not-done"),  # the planned dose of what was not done
    ("stopped", "0.4", None, None, None, ""),
    ("stopped", None, "10", None, None, ""),
    ("stopped", None, None, "2024-03-09T10:12:00", None, ""),
    ("stopped", None, None, None, "end-after-cut@end", ""),  # the period elapsed, but past the cut
    ("stopped", None, None, None, None, "not-done"),
    ("stopped", "0", None, None, None, "not-done"),
    ("on-hold", "0.4", None, None, None, ""),
    ("on-hold", None, None, "2024-03-09T10:12:00", None, ""),
    ("on-hold", None, None, None, None, "status-planned"),
    ("completed", "0", None, None, None, "not-done"),  # no dose is never a dose of 0
    ("completed", "0.00", None, "2024-03-09T10:12:00", None, "not-done"),
    ("completed", "0", "10", None, None, ""),
    ("stopped", None, None, None, "dose-not-single@dosage", ""),  # two doses were given: how much is text
]


def test_not_given() -> None:
    columns = ["status", "dose", "rate", "end_dtc", "notes", "expected"]
    events = pd.DataFrame(GIVEN, columns=columns, dtype="str").assign(USUBJID="S", micros=None, end_micros=None)
    why = not_given(events)
    assert list(why) == list(events["expected"])
    # a Procedure has no rate
    procedures = events[events["rate"].isna()].drop(columns="rate")
    assert list(not_given(procedures)) == list(procedures["expected"])
    # what says it began and shows no part is reported, what says it was not done is not
    issues = without_dose(events, why, "m", known=True)
    odd = events[(events["expected"] == "not-done") & (events["status"] != "not-done")]
    assert list(issues["record"]) == list(odd.index)
    assert set(issues["code"]) == {"stopped-without-dose"}
    assert set(without_dose(events, why, "m", known=False)["record"]) == {-1}


def test_a_period_that_ends_when_it_begins_did_not_elapse() -> None:
    """HL7 example medadminexample03: on hold, 14:30 to 14:30, "not done due to a contraindication"."""
    table = [
        # status, end, micros, end_micros, why not
        ("on-hold", "2015-01-15T14:30:00", 5, 5, "status-planned"),
        ("stopped", "2015-01-15T14:30:00", 5, 5, "not-done"),
        ("on-hold", "2015-01-15T14:31:00", 5, 6, ""),
        ("stopped", "2015-01-15", None, None, ""),  # an end without a time includes its day
        ("completed", "2015-01-15T14:30:00", 5, 5, ""),
    ]
    events = pd.DataFrame(table, columns=["status", "end_dtc", "micros", "end_micros", "expected"])
    events = events.assign(dose=None, notes=None).astype({"micros": "Float64", "end_micros": "Float64"})
    assert list(not_given(events)) == list(events["expected"])


def test_reasons_one_or_one_each() -> None:
    rows = pd.Series([4, 7], index=[1, 0])
    assert reasons(rows, "not-done").to_dict() == {4: "not-done", 7: "not-done"}
    assert reasons(rows, pd.Series(["a", "b"], index=[1, 0])).to_dict() == {4: "a", 7: "b"}


def test_ongoing_is_told_at_the_subjects_cut() -> None:
    events = pd.DataFrame(
        {
            "USUBJID": ["S", "T", "S", "T"],
            "open": [True, False, None, False],
            "status": ["in-progress", "in-progress", "completed", "completed"],
            "notes": [None, None, None, "date-in-future@date\nend-after-cut@end"],
        },
        index=[3, 1, 0, 2],
    )
    cuts = pd.Series({"S": "2025-09-30", "T": "2024-06-09"})
    assert list(open_end(events)) == [True, False, False, True]
    assert ongoing(events, cuts).to_numpy().tolist() == [
        ["ONGOING", "2025-09-30"],
        ["", ""],
        ["", ""],
        ["ONGOING", "2024-06-09"],
    ]


def test_the_end_of_an_infusion_that_is_over_may_be_unknown() -> None:
    """mimic-omop #22: an open Period means ongoing (point 26) only while the status says that it goes on."""
    table = [
        # status, open, notes, goes on, its end is missing
        ("in-progress", True, None, True, False),
        ("on-hold", True, None, True, False),
        ("active", True, None, True, False),
        ("completed", True, None, False, True),
        ("stopped", True, None, False, True),
        ("issued", True, None, False, True),
        ("completed", True, "end-after-cut@end", True, False),  # it was over later than the cut
        ("completed", False, None, False, False),
    ]
    events = pd.DataFrame(table, columns=["status", "open", "notes", "goes_on", "missing"]).assign(USUBJID="S")
    assert list(open_end(events)) == list(events["goes_on"])
    issues = without_end(events)
    assert list(issues["record"]) == list(events.index[events["missing"]])
    assert set(issues["code"]) == {"end-unknown"}


def test_what_somebody_states_is_known_to_go_on_until_the_day_it_was_said() -> None:
    events = pd.DataFrame(
        {"USUBJID": "S", "open": True, "status": "active", "notes": None, "until": ["2024-02-01", ""]}, index=[0, 1]
    )
    found = ongoing(events, pd.Series({"S": "2025-09-30"}))
    assert found.to_numpy().tolist() == [["ONGOING", "2024-02-01"], ["ONGOING", "2025-09-30"]]


def test_each_ingredient_of_a_mixture_is_a_record_without_a_dose_of_its_own() -> None:
    events = pd.DataFrame(
        {
            "code": ["a|1", "x|1\nx|2"],
            "code_text": ["A", "Glucose + Filgrastim"],
            "ingredients": [None, '[["x|1", "Glucose"], [null, "Filgrastim"]]'],
            "dose": ["5", "500"],
            "dose_unit": [None, "mL"],
            "dose_unit_text": ["mg", None],
            "dose_text": None,
            "rate": "1",
            "row": [7, 9],
        }
    )
    found = each_ingredient(events)
    assert found[["code", "code_text", "dose", "rate", "row"]].astype(object).to_numpy().tolist() == [
        ["a|1", "A", "5", "1", 7],
        ["x|1", "Glucose", None, None, 9],
        [None, "Filgrastim", None, None, 9],
    ]
    assert found["dose_text"].tolist()[1:] == ["500 mL of Glucose + Filgrastim"] * 2


ATC = "http://www.whocc.no/atc"
NAMES = [
    # codings, text, product
    ("urn:pgf-msc:product|UC-MSC", "whatever", "UC-MSC"),
    (f"{ATC}|H02AB02\nurn:pgf-msc:product|UC-MSC", "", "UC-MSC"),
    ("", "UC-MSC", "UC-MSC"),
    ("urn:local|7711", "脐带间充质干细胞注射液", "UC-MSC"),
    ("", "Umbilical Cord Mesenchymal Stem Cells, 4th passage", "UC-MSC"),
    (f"{ATC}|H02AB02", "Dexamethasone before UC-MSC", ""),  # the code says what it is
    ("", "Dexamethasone before UC-MSC", ""),  # the drug stands first
    ("", "地塞米松（脐带间充质干细胞输注前）", ""),
    ("", "UC-MSC after dexamethasone", "UC-MSC"),
    ("urn:other|UC-MSC", "something", ""),
    ("", "UC-MSCX", ""),
    ("", "", ""),
]


@pytest.fixture(scope="module")
def knowledge() -> SimpleNamespace:
    from importlib.resources import files

    trial = resolve_trial("pgf_msc")
    own = site_products(None, {})
    return SimpleNamespace(trial=trial, codes={"drugs": load_codes("drugs", files("mappings.codes")), "products": own})


def test_product_of(knowledge: SimpleNamespace) -> None:
    frame = pd.DataFrame(NAMES, columns=["code", "code_text", "expected"], dtype="str").assign(lot="")
    found = product_of(frame, knowledge.trial.products, knowledge.codes)
    assert list(found) == list(frame["expected"])


def test_trial_summary_goes_on_in_tsval1() -> None:
    row = SimpleNamespace(
        TSPARMCD="TITLE", TSSEQ=1, TSGRPID="", TSPARM="Trial Title", TSVALNF="", TSVALCD="", TSVCDREF=""
    )
    rows = [
        SimpleNamespace(**vars(row) | {"TSVAL": "a" * 199 + "é" + "b" * 201, "TSVCDVER": ""}),
        SimpleNamespace(**vars(row) | {"TSVAL": "short", "TSVCDVER": "", "TSSEQ": 2}),
    ]
    trial = SimpleNamespace(summary=rows, fill=lambda text, run: text)
    frame = trial_summary(trial, {}).frame
    columns = ["tsval", *(f"tsval{n}" for n in range(1, 6))]
    found = frame.reindex(columns=columns).astype("object").fillna("").to_numpy().tolist()
    assert found == [["a" * 199, "é" + "b" * 198, "bbb", "", "", ""], ["short", "", "", "", "", ""]]

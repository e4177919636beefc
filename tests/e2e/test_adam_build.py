"""The analysis datasets from FHIR lines: what a hospital sends about a subject, and the response that must come out.

One hospital holds a subject per case (tests.own). First treatment is 2024-01-02, study day 1; the transplant 2023-11-20.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyreadstat
import pytest

from adapter import build
from adapter.result import Result
from tests.conftest import make_site
from tests.define_checks import broken_references, unreferenced, xsd_errors
from tests.lines import changed
from tests.own import ATC, COUNT, DONE, DOSE, LAB, LOINC, MINE, PERSON, UCUM, of_subject

CUT = "2024-12-31"
START = date(2024, 1, 2)
GRAFT = changed(
    DONE,
    id="@-graft",
    code={"coding": [{"system": "http://snomed.info/sct", "code": "234336002"}]},
    performedDateTime="2023-11-20T10:00:00+08:00",
)
TESTS = {"PLT": "777-3", "ANC": "751-8", "HGB": "718-7", "WBC": "6690-2", "NEUT%": "770-8"}
UNITS = {"PLT": "10*9/L", "ANC": "10*9/L", "HGB": "g/L", "WBC": "10*9/L", "NEUT%": "%"}
_made = 0


def day(n: int) -> str:
    """Return the date of a study day."""
    return (START + timedelta(days=n - 1 if n > 0 else n)).isoformat()


def lab(test: str, n: int, value: Any, time: str = "T08:00:00+08:00", **more: Any) -> Any:
    """Return a result on a study day, with an id of its own."""
    global _made
    _made += 1
    code = {"coding": [{"system": LOINC, "code": TESTS[test]}]}
    amount = {"value": value, "unit": UNITS[test], "system": UCUM, "code": UNITS[test]}
    made = changed(LAB, id=f"@-{_made}", code=code, effectiveDateTime=day(n) + time, valueQuantity=COUNT | amount)
    return changed(made, **more)


def labs(test: str, first: int, last: int, value: Any, **more: Any) -> list[Any]:
    return [lab(test, n, value, **more) for n in range(first, last + 1) if n]


def platelets(n: int, **more: Any) -> Any:
    """Return a platelet transfusion as an administration."""
    global _made
    _made += 1
    return {
        "resourceType": "MedicationAdministration",
        "id": f"@-{_made}",
        "status": "completed",
        "medicationCodeableConcept": {"coding": [{"system": ATC, "code": "B05AX02"}], "text": "单采血小板"},
        "subject": MINE,
        "effectiveDateTime": day(n) + "T10:00:00+08:00",
        "dosage": {"dose": {"value": 1, "unit": "U"}},
    } | more


def procedure(code: str, n: int, system: str = "http://snomed.info/sct") -> Any:
    global _made
    _made += 1
    return changed(
        DONE,
        id=f"@-{_made}",
        code={"coding": [{"system": system, "code": code}]},
        performedDateTime=day(n) + "T10:00:00+08:00",
    )


PER_UL = {"value": 30_000, "unit": "/uL", "system": UCUM, "code": "/uL"}
MMOL = {"value": 4.35, "unit": "mmol/L", "system": UCUM, "code": "mmol/L"}
WRONG = {"value": 30, "unit": "mmol/L"}


def over_midnight(n: int, start: str, end: str, last: int) -> Any:
    """Return a transfusion that begins on one day and ends on another, or on the same."""
    return platelets(n, effectiveDateTime=..., effectivePeriod={"start": day(n) + start, "end": day(last) + end})


RUN = labs("PLT", 20, 26, 30)
CASES: dict[str, tuple[list[Any], dict[str, tuple[str, int | None]]]] = {
    "a plain run": (RUN, {"PLTRESP": ("PR", 20)}),
    "instants of the evening are the next day at the site": (
        # 18:00 in London is 02:00 in Shanghai: study days 21 to 27
        labs("PLT", 20, 26, 30, time="T18:00:00Z"),
        {"PLTRESP": ("PR", 21)},
    ),
    "two instants of one day in London are two days at the site": (
        [lab("ANC", 10, 0.6, "T08:00:00Z"), lab("ANC", 10, 0.6, "T18:00:00Z"), lab("ANC", 11, 0.6, "T18:00:00Z")],
        {"NEUT": ("Y", 10)},
    ),
    "counts per microlitre": (
        [lab("PLT", n, 30_000, valueQuantity=PER_UL) for n in range(20, 27)],
        {"PLTRESP": ("PR", 20)},
    ),
    "counts in thousands per cubic millimetre, spelled by hand": (
        [lab("PLT", n, 30, valueQuantity={"value": 30, "unit": "10^3/mm3"}) for n in range(20, 27)],
        {"PLTRESP": ("PR", 20)},
    ),
    "neutrophils of 600 per microlitre": (
        [lab("ANC", n, 600, valueQuantity={"value": 600, "unit": "/uL"}) for n in range(10, 13)],
        {"NEUT": ("Y", 10)},
    ),
    "haemoglobin in mmol/L": (
        # 4.35 mmol/L x 16.114 = 70.0959 g/L
        [lab("HGB", n, 4.35, valueQuantity=MMOL) for n in range(20, 27)],
        {"RBC": ("Y", 20)},
    ),
    "an impossible unit is no value": (
        [*labs("PLT", 20, 22, 30), lab("PLT", 23, 30, valueQuantity=WRONG), *labs("PLT", 24, 26, 30)],
        {"PLTRESP": ("NE", None)},
    ),
    "neutrophils from white cells and their share": (
        # 2.0 x 30 % = 0.6; with 25 % it is 0.5, which is not above it
        [x for n in range(10, 13) for x in (lab("WBC", n, 2.0), lab("NEUT%", n, 30))] + labs("ANC", 60, 60, 0.1),
        {"NEUT": ("Y", 10)},
    ),
    "neutrophils from white cells, exactly at the threshold": (
        [x for n in range(10, 13) for x in (lab("WBC", n, 2.0), lab("NEUT%", n, 25))] + labs("ANC", 60, 60, 0.1),
        {"NEUT": ("N", None)},
    ),
    "a result with a comparator": (
        [
            *labs("ANC", 10, 11, 0.6),
            lab("ANC", 12, 0.6, valueQuantity=COUNT | {"value": 0.6, "comparator": "<"}),
            *labs("ANC", 20, 21, 0.6),
            lab("ANC", 22, 0.5, valueQuantity=COUNT | {"value": 0.5, "comparator": ">"}),
        ],
        {"NEUT": ("Y", 20)},
    ),
    "entered in error": (
        [*labs("PLT", 20, 22, 30), lab("PLT", 23, 30, status="entered-in-error"), *labs("PLT", 24, 26, 30)],
        {"PLTRESP": ("NE", None)},
    ),
    "a low result entered in error beside a good one": (
        [*RUN, lab("PLT", 23, 5, "T20:00:00+08:00", status="entered-in-error")],
        {"PLTRESP": ("PR", 20)},
    ),
    "corrected down": (
        [
            *labs("PLT", 20, 22, 30), *labs("PLT", 24, 26, 30),
            lab("PLT", 23, 30, id="@-down", meta={"versionId": "1"}),
            lab("PLT", 23, 12, id="@-down", meta={"versionId": "2"}, status="corrected"),
        ],
        {"PLTRESP": ("NE", None)},
    ),
    "corrected up": (
        [
            *labs("PLT", 20, 22, 30), *labs("PLT", 24, 26, 30),
            lab("PLT", 23, 12, id="@-up", meta={"versionId": "1"}),
            lab("PLT", 23, 30, id="@-up", meta={"versionId": "2"}, status="corrected"),
        ],
        {"PLTRESP": ("PR", 20)},
    ),
    "preliminary only": (
        [*labs("PLT", 20, 22, 30), lab("PLT", 23, 30, status="preliminary"), *labs("PLT", 24, 26, 30)],
        {"PLTRESP": ("NE", None)},
    ),
    "a transfusion as an administration": ([*RUN, platelets(23)], {"PLTRESP": ("NE", None)}),
    "a transfusion as a procedure": ([*RUN, procedure("12719002", 23)], {"PLTRESP": ("NE", None)}),
    "a transfusion that was not given": ([*RUN, platelets(23, status="not-done")], {"PLTRESP": ("PR", 20)}),
    "red cells as a procedure": ([*RUN, procedure("116863004", 23)], {"PLTRESP": ("PR", 20)}),
    "a transfusion over midnight": (
        [
            *labs("PLT", 20, 30, 30),
            over_midnight(22, "T23:30:00+08:00", "T00:40:00+08:00", 23),
        ],
        {"PLTRESP": ("PR", 24)},
    ),
    "a transfusion over midnight in London only": (
        # 15:30 to 16:40 UTC of day 22 is 23:30 of day 22 to 00:40 of day 23
        [
            *labs("PLT", 20, 30, 30),
            over_midnight(22, "T15:30:00Z", "T16:40:00Z", 22),
        ],
        {"PLTRESP": ("PR", 24)},
    ),
    "donor lymphocytes": (
        [*labs("ANC", 20, 22, 1), procedure("38242", 15, "http://www.ama-assn.org/go/cpt"), lab("ANC", 60, 0.1)],
        {"NEUT": ("N", None)},
    ),
    "a boost": (
        [*labs("ANC", 20, 22, 1), procedure("38243", 15, "http://www.ama-assn.org/go/cpt"), lab("ANC", 60, 0.1)],
        {"NEUT": ("N", None)},
    ),
    "two graft infusions on consecutive days": (
        [changed(GRAFT, id="@-second", performedDateTime="2023-11-21T10:00:00+08:00"), *labs("ANC", -30, -28, 1)],
        {"NEUTH": ("Y", -30)},
    ),
    "a value that is physiologically impossible": (
        [*labs("PLT", 20, 22, 30), lab("PLT", 23, 60_000), *labs("PLT", 24, 26, 30)],
        {"PLTRESP": ("NE", None)},
    ),
}  # fmt: skip


def lines_of(own: str, lines: list[Any]) -> bytes:
    return b"".join(of_subject(own, {k: v for k, v in x.items() if v is not ...}) + b"\n" for x in lines)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("analysis")
    fhir = folder / "fhir"
    fhir.mkdir()
    rows = ["patient,subjid,siteid,arm,consent_date,randomisation_date,withdrawal_date,withdrawal_type"]
    for n, (lines, _) in enumerate(CASES.values()):
        (fhir / f"a{n:02d}.ndjson").write_bytes(lines_of(f"a{n:02d}", [PERSON, GRAFT, DOSE, *lines]))
        rows.append(f"a{n:02d},a{n:02d},01,MSC,2024-01-01,2024-01-02,,")
    more = {
        "b01": ([PERSON, DOSE, *RUN], "MSC", "2024-01-02", "", ""),  # no transplant
        "b02": ([PERSON, GRAFT, DOSE], "MSC", "2024-01-02", "", ""),  # no count
        "b03": ([PERSON, GRAFT, *RUN], "", "", "", ""),  # not randomised
        "b04": (
            [PERSON, GRAFT, *labs("ANC", 10, 12, 1), *labs("PLT", 1, 60, 5)],
            "CTRL",
            "2024-01-02",
            "",
            "",
        ),  # never treated
        "b05": (
            [PERSON, GRAFT, DOSE, *labs("ANC", 5, 7, 1), *labs("PLT", 1, 60, 30)],
            "MSC",
            "2024-01-02",
            day(20),
            "consent",
        ),
        "b06": (
            [changed(PERSON, deceasedDateTime="2024-03"), GRAFT, DOSE, *labs("PLT", 1, 70, 5)],
            "MSC",
            "2024-01-02",
            "",
            "",
        ),
        "b07": (
            [changed(PERSON, deceasedBoolean=True), GRAFT, DOSE, *labs("PLT", 1, 20, 5)],
            "MSC",
            "2024-01-02",
            "",
            "",
        ),
    }
    for own, (lines, arm, randomised, left, kind) in more.items():
        (fhir / f"{own}.ndjson").write_bytes(lines_of(own, lines))
        rows.append(f"{own},{own},01,{arm},2024-01-01,{randomised},{left},{kind}")
    (folder / "log.csv").write_text("\n".join(rows) + "\n")
    site = make_site(folder / "site")
    return build(fhir, out=folder / "out", enrolment=folder / "log.csv", site=site, cutoff=CUT, workers=1)


def answers(result: Result, own: str) -> dict[str, tuple[str, int | None]]:
    f = result.adam["ADRS"]
    mine = f[f["USUBJID"] == f"PGFMSC-01-{own}"]
    days = [None if d != d else int(d) for d in mine["ADY"]]
    return dict(zip(mine["PARAMCD"], zip(mine["AVALC"], days, strict=True), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_response(name: str, hospital: Result) -> None:
    found = answers(hospital, f"a{list(CASES).index(name):02d}")
    expected = CASES[name][1]
    assert {code: found[code] for code in expected} == expected


def times(result: Result, own: str, code: str, *columns: str) -> tuple[Any, ...]:
    f = result.adam["ADTTE"]
    mine = f[(f["USUBJID"] == f"PGFMSC-01-{own}") & (f["PARAMCD"] == code)]
    assert len(mine) == 1
    return tuple(mine.iloc[0][c] for c in columns)


def issues(result: Result, own: str) -> set[str]:
    f = result.issues
    return set(f.loc[f["USUBJID"] == f"PGFMSC-01-{own}", "code"])


def test_bad_input_has_its_stated_outcome(hospital: Result) -> None:
    assert answers(hospital, "b01")["NEUTH"] == ("NE", None)
    assert answers(hospital, "b01")["PLTRESP"] == ("PR", 20)
    assert "origin-unknown" in issues(hospital, "b01")
    assert set(answers(hospital, "b02").values()) == {("NE", None)}
    assert times(hospital, "b02", "TTNEUT", "AVAL", "CNSR") == (1.0, 1.0)
    assert answers(hospital, "b03") == {}
    adsl = hospital.adam["ADSL"].set_index("SUBJID")
    assert adsl.loc["b03", ["ITTFL", "FASFL", "SAFFL", "PPROTFL"]].tolist() == ["N"] * 4
    assert answers(hospital, "b04")["NEUT"] == ("Y", 10)
    assert adsl.loc["b04", ["ITTFL", "SAFFL"]].tolist() == ["Y", "N"]
    assert "unit-not-convertible" in set(hospital.rejects["reason"])


def test_consent_withdrawn_on_day_20(hospital: Result) -> None:
    """That day is the subject's own data cut: seven days of platelets are known, day 50 is not."""
    found = answers(hospital, "b05")
    assert (found["NEUT"], found["PLTRESP"], found["RBC"]) == (("Y", 5), ("PR", 1), ("NE", None))
    assert times(hospital, "b05", "OS", "AVAL", "CNSR") == (20.0, 1.0)
    lb = hospital.adam["ADLB"]
    assert lb.loc[lb["USUBJID"] == "PGFMSC-01-b05", "ADY"].max() == 20


def test_dates_of_death_are_completed_and_flagged(hospital: Result) -> None:
    """b06 was last seen on study day 70 (11 March) and died in March: 12 March. b07: the day after day 20."""
    assert day(70) == "2024-03-11"
    assert times(hospital, "b06", "OS", "AVAL", "CNSR", "ADTF") == (71.0, 0.0, "D")
    assert times(hospital, "b07", "OS", "AVAL", "CNSR", "ADTF") == (21.0, 0.0, "Y")
    adsl = hospital.adam["ADSL"].set_index("SUBJID")
    assert adsl.loc[["b06", "b07"], "DTHDTF"].tolist() == ["D", "Y"]
    assert answers(hospital, "b07")["PLTRESP"] == ("NR", None)
    assert "date-imputed" in issues(hospital, "b06") & issues(hospital, "b07")


def test_an_interim_cut(tmp_path: Path) -> None:
    """Day 56 lies after the cut: what is not known yet is not evaluable; a run that was seen counts."""
    (tmp_path / "fhir").mkdir()
    both = [*labs("ANC", 10, 12, 1), *labs("PLT", 1, 70, 5)]
    (tmp_path / "fhir/c.ndjson").write_bytes(lines_of("c01", [PERSON, GRAFT, DOSE, *both]))
    (tmp_path / "log.csv").write_text(
        "patient,subjid,siteid,arm,consent_date,randomisation_date\nc01,c01,01,MSC,2024-01-01,2024-01-02\n"
    )
    site = make_site(tmp_path / "site")
    found = {}
    for cut in (day(30), day(49), day(50)):
        out = tmp_path / cut
        made = build(tmp_path / "fhir", out=out, enrolment=tmp_path / "log.csv", site=site, cutoff=cut, workers=1)
        found[cut] = answers(made, "c01")
        assert made.adam["ADLB"]["ADT"].max() - 3653 <= (date.fromisoformat(cut) - date(1970, 1, 1)).days
    assert [found[c]["NEUT"] for c in found] == [("Y", 10)] * 3
    assert [found[c]["PLTRESP"][0] for c in found] == ["NE", "NE", "NR"]


def test_the_package_is_whole(hospital: Result) -> None:
    # no adverse event, no clinical event, no vital sign: no ADAE, ADCE, ADVS
    assert list(hospital.adam) == ["ADCM", "ADEX", "ADLB", "ADRS", "ADSL", "ADTB", "ADTTE"]
    define = hospital.out / "adam/define.xml"
    assert (xsd_errors(define), broken_references(define), unreferenced(define)) == ([], [], [])
    text = define.read_text("utf-8")
    assert 'Name="ADaMIG" Type="IG" Version="1.3"' in text
    assert 'PublishingSet="ADaM"' in text
    assert 'def:SubClass Name="TIME-TO-EVENT"' in text
    assert "at least 7 consecutive site days, each with a daily value of PLT &gt;= 20 10^9/L" in text
    for name in hospital.adam:
        frame, meta = pyreadstat.read_xport(hospital.out / f"adam/{name.lower()}.xpt")
        assert len(frame) == len(hospital.adam[name])
        if "ADT" in frame:
            assert meta.original_variable_types["ADT"].startswith("DATE")
    keys = {
        "ADSL": ["USUBJID"],
        "ADRS": ["USUBJID", "PARAMCD"],
        "ADTTE": ["USUBJID", "PARAMCD"],
        "ADLB": ["USUBJID", "ASEQ"],
    }
    for name, key in keys.items():
        assert not hospital.adam[name].duplicated(key).any()


def test_baseline_change_windows_and_the_record_of_the_day(tmp_path: Path) -> None:
    (tmp_path / "fhir").mkdir()
    results = [
        lab("PLT", -20, 50),
        lab("PLT", 1, 12, "T06:00:00+08:00"),
        lab("PLT", 1, 15, "T20:00:00+08:00"),
        lab("PLT", 3, 14),
        lab("PLT", 3, 11, "T20:00:00+08:00"),
        lab("WBC", 9, 2.5),
        *labs("PLT", 70, 71, 90),
        changed(
            lab("PLT", 5, 30),
            code={"coding": [{"system": LOINC, "code": "1742-6"}]},
            valueQuantity={"value": 30, "unit": "U/L"},
        ),
    ]
    dose = changed(DOSE, effectiveDateTime="2024-01-02T10:00:00+08:00")
    (tmp_path / "fhir/d.ndjson").write_bytes(lines_of("d01", [PERSON, GRAFT, dose, *results]))
    (tmp_path / "log.csv").write_text(
        "patient,subjid,siteid,arm,consent_date,randomisation_date\nd01,d01,01,MSC,2024-01-01,2024-01-02\n"
    )
    site = make_site(tmp_path / "site")
    made = build(
        tmp_path / "fhir", out=tmp_path / "o", enrolment=tmp_path / "log.csv", site=site, cutoff=CUT, workers=1
    )
    f = made.adam["ADLB"]
    columns = ["PARAMCD", "ADY", "AVAL", "BASE", "CHG", "AVISIT", "AVISITN", "ABLFL", "ANL01FL"]
    rows = [tuple(None if x != x else x for x in r) for r in f[columns].itertuples(index=False)]
    assert rows == [
        ("ALT", 5, 30, None, None, "Week 1", 1, "", "Y"),
        ("PLAT", -20, 50, 12, None, "Day 30 after HSCT", 1030, "", "Y"),
        ("PLAT", 1, 12, 12, None, "Baseline", 0, "Y", "Y"),
        ("PLAT", 1, 15, 12, 3, "Day 1", 1, "", ""),
        ("PLAT", 3, 14, 12, 2, "Day 3", 3, "", ""),
        ("PLAT", 3, 11, 12, -1, "Day 3", 3, "", "Y"),
        ("PLAT", 70, 90, 12, 78, "Day 90 after HSCT", 1090, "", "Y"),
        ("PLAT", 71, 90, 12, 78, "Day 135 after HSCT", 1135, "", "Y"),  # 113 days: the midpoint is 112.5
        ("WBC", 9, 2.5, None, None, "Day 9", 9, "", "Y"),
    ]

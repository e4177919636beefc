"""Every oddity of docs/hospital-reality.md from end to end: the 29 points, and what others have published as breakages.

One hospital holds a subject per case; a test says what comes in about its subject (`@`, tests.own) and what must come
out. What stands in detail elsewhere is told here once, as a hospital meets it.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter import build
from adapter.result import Result
from tests.conftest import make_site
from tests.lines import changed
from tests.own import ATC, COUNT, DONE, DOSE, DRUG, LAB, LOINC, MINE, PERSON, PLATELETS, UCUM, bundle, of_subject

CUT = "2024-12-31"
HGB = {"coding": [{"system": LOINC, "code": "718-7"}]}
FREE = {"coding": [{"system": "urn:lab", "code": "FREE"}]}  # a laboratory test of the site, without a standard unit
ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
SITE = {
    "observations.csv": "system,code,like,domain,testcd,test,cat,specimen,result_type\n"
    f"urn:lab,PLT,{LOINC}|777-3,,,,,,\n"
    "urn:lab,FREE,,LB,FREE,Free,SEROLOGY,SERUM,numeric\n",
    "site.toml": 'server.base = ["https://here.example/fhir"]\n',
}
CASES: dict[str, dict[str, Any]] = {}


def comes_in(*lines: Any, **files: Callable[[str], bytes]) -> Callable[[Any], Any]:
    """Put lines about a subject of its own into the hospital of this module.

    files: suffix (`_` for a dot) -> what makes a further file for the subject's id.

    The subject's Patient is PERSON, unless the lines hold one.
    """

    def register(test: Any) -> Any:
        CASES[test.__name__] = {"lines": lines, "files": {k.replace("_", "."): v for k, v in files.items()}}
        return test

    return register


def own_id(test: str) -> str:
    return f"n{list(CASES).index(test):02d}"


class Met:
    """What the build made of one case."""

    def __init__(self, result: Result, test: str) -> None:
        self.result = result
        self.id = own_id(test)
        self.usubjid = f"PGFMSC-01-{self.id}"

    def of(self, dataset: str, *columns: str) -> list[Any]:
        """Return the subject's records: one value each for one column, else tuples; numbers as numbers."""
        frame = self.result.sdtm[dataset]
        mine = frame[frame["USUBJID"] == self.usubjid]
        found = [tuple(r) for r in mine.reindex(columns=list(columns), fill_value="").itertuples(index=False)]
        return [r[0] for r in found] if len(columns) == 1 else found

    def lb(self, *columns: str) -> list[Any]:
        return self.of("LB", *columns)

    @property
    def rejects(self) -> list[str]:
        r = self.result.rejects
        return sorted(r.loc[r["file"].str.startswith(f"fhir/{self.id}."), "reason"])

    @property
    def issues(self) -> set[str]:
        return set(self.result.issues.loc[self.result.issues["USUBJID"] == self.usubjid, "code"])


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("reality")
    fhir = folder / "fhir"
    fhir.mkdir()
    rows = ["patient,subjid,siteid,arm,consent_date,randomisation_date"]
    for test, case in CASES.items():
        own = own_id(test)
        lines = [of_subject(own, x) for x in case["lines"]]
        if not any(b'"id":"%b"' % own.encode() in x and b'"Patient"' in x[:30] for x in lines):
            lines.insert(0, of_subject(own, PERSON))
        (fhir / f"{own}.ndjson").write_bytes(b"".join(x + b"\n" for x in lines))
        for suffix, made in case["files"].items():
            (fhir / f"{own}.{suffix}").write_bytes(made(own))
        rows.append(f"{own},{own},01,MSC,2024-01-01,2024-01-02")
    (folder / "log.csv").write_text("\n".join(rows) + "\n")
    site = make_site(folder / "site")
    for name, text in SITE.items():
        (site / name).write_text(text)
    return build(fhir, out=folder / "out", enrolment=folder / "log.csv", site=site, cutoff=CUT, workers=1)


@pytest.fixture
def met(request: pytest.FixtureRequest, hospital: Result) -> Met:
    return Met(hospital, request.function.__name__)


def lab(number: Any = 1, value: Any = 20, **more: Any) -> Any:
    """Return a platelet count with an id and, unless told otherwise, a day of its own."""
    day = {"effectiveDateTime": f"2024-01-{number + 4:02d}T08:00:00+08:00"}
    return changed(LAB, id=f"@-{number}", **{"valueQuantity": COUNT | {"value": value}} | day | more)


def text(number: int, value: str, **more: Any) -> Any:
    return lab(number, valueQuantity=..., valueString=value, **more)


def drug(number: int, **more: Any) -> Any:
    return changed(DRUG, id=f"@-{number}", **more)


def named(name: str) -> Any:
    return {"medicationCodeableConcept": {"text": name}}


# --- the points --------------------------------------------------------------------------------------------------------


@comes_in(
    lab(1, status="entered-in-error"),
    lab(2, status="cancelled"),
    lab(3, status="unknown"),
    drug(4, status="not-done"),
    changed(DOSE, id="@-5", status="not-done", statusReason=[{"text": "fever"}], dosage=...),
    changed(DOSE, id="@-6", status="stopped", effectiveDateTime="2024-01-09"),
    changed(DOSE, id="@-7", status="stopped", effectiveDateTime="2024-01-16", dosage=...),
)
def test_point_01_statuses(met: Met) -> None:
    assert met.lb("LBORRES") == []
    assert met.of("CM", "CMTRT") == []
    assert met.of("EC", "ECOCCUR", "ECREASOC", "ECSTDTC") == [
        ("N", "fever", "2024-01-02"),
        ("Y", "", "2024-01-09"),
        ("N", "", "2024-01-16"),
    ]
    assert met.of("EX", "EXDOSE", "EXSTDTC") == [(1, "2024-01-09")]
    assert "stopped-without-dose" in met.issues


def version(number: str, value: int, **more: Any) -> Any:
    return lab(1, value, meta={"versionId": number, "lastUpdated": f"2024-02-{int(number):02d}T00:00:00Z"}, **more)


@comes_in(version("2", 22), version("10", 30), version("10", 30), version("9", 29))
def test_point_02_the_same_resource_several_times(met: Met) -> None:
    assert met.lb("LBORRES") == ["30"]


@comes_in(lab(1, 20), changed(lab(1, 20), id="@-2"), changed(lab(1, 21), id="@-3"))
def test_point_03_the_same_result_under_two_ids(met: Met) -> None:
    assert sorted(met.lb("LBORRES")) == ["20", "21"]


@comes_in(
    version("1", 21, status="preliminary"), version("3", 23, status="corrected"), version("2", 22, status="final")
)
def test_point_04_preliminary_final_corrected(met: Met) -> None:
    assert met.lb("LBORRES") == ["23"]


@comes_in(
    lab(
        1,
        code={"coding": [{"system": LOINC, "code": "58410-2"}]},
        valueQuantity=...,
        component=[{"code": PLATELETS, "valueQuantity": COUNT}, {"code": HGB, "valueString": "9.5 g/dL"}],
    ),
    lab(2, code={"coding": [{"system": LOINC, "code": "58410-2"}]}, valueQuantity=..., hasMember=[MINE]),
)
def test_point_05_panels(met: Met) -> None:
    assert met.lb("LBTESTCD", "LBORRES", "LBSTRESC") == [("HGB", "9.5", "95"), ("PLAT", "20", "20")]


@comes_in(
    lab(1, code={"coding": [{"system": "urn:lab", "code": "PLT", "display": "血小板"}]}),
    lab(2, code={"coding": [{"system": "urn:lab", "code": "@"}], "text": "@"}),
    lab(3, code={"coding": [{"system": "urn:lab", "code": "@"}], "text": "@"}),
)
def test_point_06_local_codes(met: Met) -> None:
    assert met.lb("LBTESTCD") == ["PLAT"]
    listed = met.result.unmapped
    assert listed.loc[listed["text"] == met.id, ["code", "used", "count"]].values.tolist() == [
        [f"urn:lab|{met.id}", "N", 2]
    ]


LOOK_ALIKES = ("10*9/L", "x10^9/L", "10^9/L", "K/uL", "10*3/uL", "G/L", "×10⁹/L", "10⁹/L", "x10E9/L")


@comes_in(
    *(lab(i, 20, valueQuantity={"value": 20, "unit": u}) for i, u in enumerate(LOOK_ALIKES, 1)),
    lab(20, 20000, valueQuantity={"value": 20000, "unit": "/mm3"}),
    lab(21, 20, valueQuantity={"value": 20}),
    lab(22, 20, valueQuantity={"value": 20, "unit": "furlong"}),
)
def test_point_07_units(met: Met) -> None:
    rows = met.lb("LBORRES", "LBSTRESC", "LBSTRESU")
    assert rows == [*[("20", "20", "10^9/L")] * len(LOOK_ALIKES), ("20000", "20.000", "10^9/L"), ("20", "", "")]
    assert "unit-missing" in met.issues
    assert met.rejects == ["unit-unknown"]


@comes_in(
    text(1, "0.9 10*9/L"),
    text(2, "0.9x10^9/L"),
    text(3, "<0.5 x10^9/L"),
    text(4, "＞１０００ ×10^9/L"),
    lab(5, 3, valueQuantity=COUNT | {"value": 3, "comparator": "<="}),
    lab(6, valueQuantity=..., dataAbsentReason={"coding": [{"code": "error"}]}),
)
def test_point_08_numbers_inside_texts(met: Met) -> None:
    assert met.lb("LBORRES", "LBSTRESC", "LBSTAT", "LBREASND") == [
        ("0.9", "0.9", "", ""),
        ("0.9", "0.9", "", ""),
        ("<0.5", "<0.5", "", ""),
        (">1000", ">1000", "", ""),
        ("<=3", "<=3", "", ""),
        ("", "", "NOT DONE", "error"),
    ]


@comes_in(
    lab(1, effectiveDateTime="2024-01-05T16:00:00Z"),
    lab(2, effectiveDateTime="2024-01-06T23:59:59"),
    lab(3, effectiveDateTime="2024-02"),
    lab(4, effectiveDateTime="2024-02-29"),
    lab(5, effectiveDateTime=..., effectivePeriod={"start": "2024-03-01T10:00:00+08:00", "end": "2024-03-01"}),
    lab(6, effectiveDateTime=..., issued="2024-03-02T00:00:00+08:00"),
    lab(7, effectiveDateTime="2024-05-01", meta={"lastUpdated": "2024-03-01T00:00:00Z"}),
)
def test_point_09_instants(met: Met) -> None:
    assert sorted(met.lb("LBDTC")) == [
        "2024-01-06T00:00:00",
        "2024-01-06T23:59:59",
        "2024-02",
        "2024-02-29",
        "2024-03-01T10:00:00",
        "2024-03-02T00:00:00",
        "2024-05-01",
    ]
    assert {"date-from-issued", "date-in-future"} <= met.issues
    assert met.of("DM", "RFENDTC") == ["2024-03-02"], "a date in the future is no proof of life"


def of(number: int, reference: str) -> Any:
    return lab(number, 20 + number, subject={"reference": reference})


@comes_in(
    changed(PERSON, identifier=[{"system": "urn:mrn", "value": "@"}]),
    of(1, "Patient/@"),
    of(2, "https://here.example/fhir/Patient/@"),
    of(3, "Patient/@/_history/7"),
    of(4, "Patient?identifier=urn:mrn|@"),
    lab(5, 25, subject={"identifier": {"system": "urn:mrn", "value": "@"}}),
    of(6, "#p"),
    of(7, "Patient/dangling-@"),
    of(8, "https://there.example/fhir/Patient/@"),
    bundle(
        "collection",
        {"fullUrl": "urn:uuid:0c1b2a", "resource": changed(PERSON, id="@")},
        {"resource": of(9, "urn:uuid:0c1b2a")},
    ),
)
def test_point_10_references(met: Met) -> None:
    assert sorted(met.lb("LBORRES")) == ["21", "22", "23", "24", "25", "29"]
    assert met.rejects == ["no-subject"]


@comes_in(
    changed(PERSON, id="@old", link=[{"type": "replaced-by", "other": MINE}], gender="male"),
    changed(PERSON, id="@", birthDate="1981"),
    lab(1, 21, subject={"reference": "Patient/@old"}),
    lab(2, 22),
)
def test_point_11_merged_patients(met: Met) -> None:
    assert met.lb("LBORRES") == ["21", "22"]
    assert met.of("DM", "SEX") == ["F"]


@comes_in(
    {"resourceType": "Medication", "id": "@m", "code": {"text": "Some drug"}, "batch": {"lotNumber": "L7"}},
    drug(1, medicationCodeableConcept=..., medicationReference={"reference": "Medication/@m"}),
    changed(
        LAB,
        id="@-2",
        code={"coding": [{"system": LOINC, "code": "29463-7"}]},
        effectiveDateTime="2024-01-01",
        valueQuantity={"value": 60, "unit": "kg", "code": "kg", "system": UCUM},
    ),
    changed(DOSE, id="@-3", dosage={"dose": {"value": 60, "unit": "10*6", "code": "10*6"}}),
    changed(DOSE, id="@-4", effectiveDateTime="2024-01-09"),
)
def test_point_12_doses(met: Met) -> None:
    assert met.of("CM", "CMTRT") == ["Some drug"]
    assert met.of("EX", "EXDOSE", "EXDOSU") == [(1, "10^6/kg"), (1, "10^6/kg")]


def in_gb18030(own: str) -> bytes:
    return b"".join(of_subject(own, drug(i, **named("测试药品"))) + b"\n" for i in (3, 4)).decode().encode("gb18030")


@comes_in(
    lab(1, code={"coding": [{"system": LOINC, "code": "777-3", "display": "血小板计数"}], "text": "血小板"}),
    drug(2, **named("粒细胞集落刺激因子")),
    changed(PERSON, name=[{"text": "王小明"}]),
    chinese_ndjson=in_gb18030,
)
def test_point_13_chinese(met: Met) -> None:
    assert met.lb("LBTESTCD") == ["PLAT"]
    assert sorted(met.of("CM", "CMTRT")) == ["测试药品", "测试药品", "粒细胞集落刺激因子"]
    for path in met.result.out.rglob("*"):
        assert not path.is_file() or "王小明".encode() not in path.read_bytes(), path


def cut_short(own: str) -> bytes:
    return of_subject(own, bundle("collection", {"resource": lab(7, 27)}, {"resource": lab(8, 28)}))[:-60]


@comes_in(
    lab(1, 21),
    b'{"resourceType":"Observation","id":',
    lab(2, "22"),
    {"resourceType": "Procedure", "id": "@-3", "status": "completed", "code": {"text": "x"}, "subject": MINE},
    b'{"resourceType":"Observation","id":"@-9","status":"final","status":"amended"',
    bundle_json=cut_short,
    empty_ndjson=lambda own: b"",
)
def test_point_14_broken_files(met: Met) -> None:
    assert {"21", "27"} <= set(met.lb("LBORRES"))
    assert met.of("PR", "PRTRT") == ["x"]
    assert set(met.rejects) >= {"json-broken", "file-cut-short"}


@comes_in(
    {"resourceType": "NutritionOrder", "id": "@-1", "patient": MINE},
    lab(2, extension=[{"url": "urn:unknown", "valueString": "a"}]),
    lab(3, modifierExtension=[{"url": "urn:not", "valueBoolean": True}]),
)
def test_point_15_unknown_types_and_modifiers(met: Met) -> None:
    assert len(met.lb("LBORRES")) == 1
    assert met.rejects == ["held-back-modifier"]


@comes_in(
    lab(1, focus=[{"reference": "Patient/donor"}]),
    {"resourceType": "Specimen", "id": "@s", "subject": {"reference": "Patient/donor"}},
    lab(2, specimen={"reference": "Specimen/@s"}),
    {
        "resourceType": "MedicationRequest",
        "id": "@-3",
        "status": "active",
        "intent": "order",
        "subject": MINE,
        "authoredOn": "2024-01-05",
        **named("Filgrastim"),
    },
)
def test_point_16_about_somebody_else_or_not_taken(met: Met) -> None:
    assert met.lb("LBORRES") == []
    assert met.of("CM", "CMTRT") == []


@comes_in(
    changed(PERSON, birthDate=..., _birthDate=ABSENT, name=[{"given": [None, "B"], "_given": [ABSENT, None]}]),
    lab(1, effectiveDateTime=..., _effectiveDateTime=ABSENT),
)
def test_point_17_primitive_siblings(met: Met) -> None:
    assert met.lb("LBORRES", "LBDTC") == [("20", "")]
    assert met.of("DM", "BRTHDTC") == [""]


@comes_in(lab(1, implicitRules="urn:rules"))
def test_point_18_implicit_rules(met: Met) -> None:
    assert met.lb("LBORRES") == []
    assert met.rejects == ["held-back-modifier"]


@comes_in(
    lab(1, 21, meta={"versionId": "1", "lastUpdated": "2024-01-06T00:00:00Z"}),
    lab(1, 99, meta={"versionId": "2", "lastUpdated": "2024-02-06T00:00:00Z", "tag": [{"code": "SUBSETTED"}]}),
)
def test_point_19_a_part_never_replaces_the_whole(met: Met) -> None:
    assert met.lb("LBORRES") == ["21"]


@comes_in(
    bundle(
        "collection",
        {"fullUrl": "https://there.example/fhir/Patient/@", "resource": changed(PERSON, gender="male")},
        {"fullUrl": "https://there.example/fhir/Observation/@-1", "resource": lab(1, 99)},
        {"fullUrl": "https://here.example/fhir/Observation/@-2", "resource": lab(2, 22)},
    ),
)
def test_point_20_identity_is_the_server_too(met: Met) -> None:
    assert met.lb("LBORRES") == ["22"]
    assert met.of("DM", "SEX") == ["F"]


@comes_in(
    lab(1, 21, meta={"lastUpdated": "2024-01-06T00:00:00Z"}),
    lab(2, 22),
    bundle(
        "history",
        {
            "request": {"method": "DELETE", "url": "Observation/@-1"},
            "response": {"lastModified": "2024-02-01T00:00:00Z"},
        },
        {"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome", "id": "@o"}},
        {"response": {"status": "201 Created"}},
    ),
)
def test_point_21_bundle_entries(met: Met) -> None:
    assert met.lb("LBORRES") == ["22"]
    assert met.rejects == []


def two_members(own: str) -> bytes:
    """Return gzip of two members: a decimal with an exponent, CRLF, and separators that are no line ends."""
    found = b""
    for number, value in ((2, b"1.0E3"), (3, b"4.10")):
        line = of_subject(own, lab(number, 7)).replace(b'"value":7,', b'"value":%b,' % value)
        found += gzip.compress(line.replace(b'"unit"', '"id":"a\u2028b\u0085c","unit"'.encode()) + b"\r\n")
    return found


@comes_in(lab(1, 21), packed_ndjson_gz=two_members)
def test_point_22_bytes(met: Met) -> None:
    assert met.lb("LBORRES", "LBSTRESC") == [("21", "21"), ("1.0E3", "1000"), ("4.10", "4.10")]


@comes_in(
    lab(1, valueQuantity=..., valueSampledData={"origin": {"value": 0}, "period": 1, "dimensions": 1, "data": "1"}),
    lab(
        2,
        valueQuantity=...,
        component=[
            {"code": PLATELETS, "dataAbsentReason": {"coding": [{"code": "error"}]}},
            {"code": HGB, "dataAbsentReason": {"coding": [{"code": "not-performed"}]}},
        ],
    ),
)
def test_point_23_other_values(met: Met) -> None:
    assert sorted(met.lb("LBTESTCD", "LBREASND")) == [("HGB", "not-performed"), ("PLAT", "error")]
    assert met.rejects == ["value-type-not-read"]


@comes_in(
    lab(1, 100, referenceRange=[{"low": COUNT | {"value": 125}, "high": COUNT | {"value": 350}}]),
    lab(2, 100, referenceRange=[{"text": "125-350"}]),
)
def test_point_24_reference_ranges(met: Met) -> None:
    assert met.lb("LBORNRLO", "LBORNRHI", "LBSTNRC", "LBNRIND") == [("125", "350", "", "LOW"), ("", "", "125-350", "")]


@comes_in(
    lab(1, effectiveDateTime=..., effectiveTiming={"event": ["2024-01-05"], "code": {"text": "daily"}}),
    changed(DONE, performedDateTime=..., performedString="last spring"),
    changed(DONE, id="@-2", performedDateTime=..., performedAge={"value": 40, "unit": "a"}),
)
def test_point_25_times_that_are_no_dates(met: Met) -> None:
    assert met.lb("LBDTC") == [""]
    assert met.of("PR", "PRSTDTC") == ["", ""]


@comes_in(
    drug(1, effectiveDateTime=..., effectivePeriod={"start": "2024-01-05"}, status="in-progress"),
    drug(2, effectiveDateTime=..., effectivePeriod={"start": "2024-01-05", "end": CUT}, **named("Until the cut")),
)
def test_point_26_open_ends(met: Met) -> None:
    assert met.of("CM", "CMTRT", "CMENDTC", "CMENRTPT", "CMENTPT") == [
        ("Until the cut", CUT, "", ""),
        ("G-CSF", "", "ONGOING", CUT),
    ]


@comes_in(drug(1, dosage={"rateQuantity": {"value": 2, "unit": "mL/h", "code": "mL/h", "system": UCUM}}))
def test_point_27_a_rate_alone_is_no_dose(met: Met) -> None:
    ((dose, unit),) = met.of("CM", "CMDOSE", "CMDOSU")
    assert (dose == dose and dose != "", unit) == (False, "")


@comes_in(
    {
        "resourceType": "Encounter",
        "id": "@-1",
        "status": "planned",
        "class": {"code": "IMP"},
        "subject": MINE,
        "period": {"start": "2024-01-05"},
    },
)
def test_point_28_stays(met: Met) -> None:
    """HO is not built yet: stays are counted, and none makes a record or a day of contact."""
    assert met.result.counts["resources"]["Encounter"]["used"] == 0
    assert met.of("DM", "RFENDTC") == ["2024-01-02"]


@comes_in(changed(PERSON, active=False), lab(1))
def test_point_29_an_inactive_patient_is_still_the_subject(met: Met) -> None:
    assert met.of("DM", "SEX") == ["F"]
    assert len(met.lb("LBORRES")) == 1


# --- published breakages -----------------------------------------------------------------------------------------------


@comes_in(text(1, "<10 IntlUnit/mL", code=FREE))
def test_fasten_onprem_441_less_than_ten_is_not_zero(met: Met) -> None:
    ((result, standard, number),) = met.lb("LBORRES", "LBSTRESC", "LBSTRESN")
    assert (result, standard, number != number) == ("<10", "<10", True)


@comes_in(lab(1, code=FREE, valueQuantity=..., valueCodeableConcept={"text": "GT 45"}))
def test_ecrnow_625_gt_45_is_a_comparator(met: Met) -> None:
    assert met.lb("LBORRES", "LBSTRESC") == [(">45", ">45")]


@comes_in(
    lab(1, valueQuantity=COUNT | {"comparator": "="}),
    lab(2, valueQuantity=COUNT | {"comparator": "<>"}),
    lab(3, 23),
)
def test_fhir_converter_504_comparators_of_hl7_v2(met: Met) -> None:
    """`=` says nothing; `<>` says that it is another number, so 20 is no result."""
    assert met.lb("LBORRES", "LBSTRESC")[0] == ("20", "20")
    assert ("20", "20") not in met.lb("LBORRES", "LBSTRESC")[1:]


@comes_in(lab(1, code={"text": "血小板计数"}), lab(2, code={"text": "@ of nobody knows"}))
def test_ecrnow_392_a_code_that_is_only_a_text(met: Met) -> None:
    """Known by its name or not: it is a result, or it is listed."""
    listed = met.result.unmapped
    assert "@ of nobody knows".replace("@", met.id) in listed["text"].tolist()
    assert met.lb("LBTESTCD") == ["PLAT"] or "血小板计数" in listed["text"].tolist()


def report(number: int, *contained: Any, result: Any = (), **more: Any) -> Any:
    return {
        "resourceType": "DiagnosticReport",
        "id": f"@-r{number}",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "58410-2"}]},
        "subject": MINE,
        "effectiveDateTime": "2024-01-05",
        "contained": list(contained),
        "result": [{"reference": r} for r in result],
    } | more


@comes_in(
    lab(1, status="cancelled"),
    report(1, result=["Observation/@-1"]),
    report(2, changed(LAB, id="c", status="cancelled"), result=["#c"]),
)
def test_ecrnow_646_cancelled_results_stay_cancelled(met: Met) -> None:
    assert met.lb("LBORRES") == []


@comes_in(
    {
        "resourceType": "Condition",
        "id": "@-1",
        "subject": MINE,
        "code": {"text": "relapse"},
        "verificationStatus": {"coding": [{"code": "entered-in-error"}]},
    },
)
def test_ecrnow_577_a_voided_condition_is_none(met: Met) -> None:
    """Conditions make no record yet; a voided one never will."""
    assert met.result.counts["resources"]["Condition"]["used"] == 0


@comes_in(lab(1, 20), report(1, result=["Observation/@-1"], code={"coding": [{"system": LOINC, "code": "24317-0"}]}))
def test_ecrnow_645_a_result_and_its_report_are_one_result(met: Met) -> None:
    """The report bears the order's LOINC, the result its own: the result's counts."""
    assert met.lb("LBTESTCD", "LBORRES", "LBLOINC") == [("PLAT", "20", "777-3")]


@comes_in(
    drug(1, status="not-done"),
    drug(2, status="stopped", **named("Shown as stopped")),
    drug(3, **named("Given")),
)
def test_ecrnow_688_not_done_is_never_completed(met: Met) -> None:
    """Also as fhir.cerner.com (PR 169) shows it: stopped, with nothing given."""
    assert met.of("CM", "CMTRT") == ["Given"]


@comes_in(
    drug(
        1,
        medicationCodeableConcept=...,
        medicationReference={"reference": "#m"},
        contained=[
            {
                "resourceType": "Medication",
                "id": "m",
                "code": {"text": "Infusion bag"},
                "ingredient": [
                    {"itemCodeableConcept": {"text": "5% glucose"}},
                    {"itemCodeableConcept": {"coding": [{"system": ATC, "code": "L03AA02"}], "text": "Filgrastim"}},
                ],
            }
        ],
    )
)
def test_contained_medication_mixtures(met: Met) -> None:
    assert met.of("CM", "CMTRT")
    assert met.rejects == []


@comes_in(drug(1, effectiveDateTime=..., effectivePeriod={"start": "2024-01-05T10:00:00+08:00"}))
def test_mimic_omop_22_an_end_that_nobody_knows_stays_unknown(met: Met) -> None:
    assert met.of("CM", "CMSTDTC", "CMENDTC") == [("2024-01-05T10:00:00", "")]


@comes_in(
    lab(1, meta={"lastUpdated": "2024-01-06T00:00:00Z"}),
    bundle("transaction", {"request": {"method": "DELETE", "url": "Observation/@-1"}}),
    bundle("transaction"),
    lab(2, 22),
)
def test_bulk_data_69_deletions_and_an_empty_list_of_them(met: Met) -> None:
    assert met.lb("LBORRES") == ["22"]


@comes_in(
    changed(PERSON, link=[{"type": "replaces", "other": {"reference": "Patient/@old"}}]),
    changed(PERSON, id="@old", active=False),
    lab(1, 21, subject={"reference": "Patient/@old"}),
)
def test_interpolar_919_the_survivor_owns_both_histories(met: Met) -> None:
    assert met.lb("LBORRES") == ["21"]
    assert len(met.of("DM", "USUBJID")) == 1


@comes_in(lab(1, effectiveDateTime="2024-01-05T00:30:00+08:00"), lab(2, effectiveDateTime="2024-01-05T16:30:00Z"))
def test_fts_next_1690_the_day_is_the_site_s(met: Met) -> None:
    assert met.lb("LBDTC") == ["2024-01-05T00:30:00", "2024-01-06T00:30:00"]


@comes_in(
    lab(
        1,
        code={"coding": [{"system": LOINC, "code": "85354-9"}]},
        valueQuantity=...,
        component=[{"code": {"coding": [{"system": LOINC, "code": "8480-6"}]}}, {"code": PLATELETS}],
    ),
    lab(2, code={"coding": [{"system": LOINC, "code": "58410-2"}]}, valueQuantity=...),
)
def test_mimic_fhir_105_panels_that_lack_their_components(met: Met) -> None:
    assert met.lb("LBORRES") == []


ANNOTATED = {"value": 20000, "unit": "{cells}/uL", "code": "{cells}/uL", "system": UCUM}


@comes_in(
    lab(1, valueQuantity=ANNOTATED),
    lab(2, valueQuantity=ANNOTATED | {"unit": "cells/uL", "code": "cells/uL"}),
    lab(3, valueQuantity=ANNOTATED | {"unit": "copies/uL", "code": "copies/uL"}),
)
def test_ucum_90_and_122_counts_with_annotations(met: Met) -> None:
    assert met.lb("LBORRES", "LBSTRESC", "LBSTRESU")[:2] == [("20000", "20.000", "10^9/L")] * 2


@comes_in(lab(1, 21, status="final "), lab(2, 22, status="entered-in-error "))
def test_a_status_with_a_trailing_space(met: Met) -> None:
    assert met.lb("LBORRES") == ["21"]
    assert met.rejects == []


# --- all together ------------------------------------------------------------------------------------------------------


def test_every_resource_is_accounted_for(hospital: Result) -> None:
    for kind, c in hospital.counts["resources"].items():
        assert c["read"] == c["used"] + sum(c["dropped"].values()), kind


def test_folders_without_a_resource_are_refused(tmp_path: Path) -> None:
    """Point 14: an empty file, a folder without any resource."""
    from adapter.errors import InputError

    (tmp_path / "a.ndjson").write_bytes(b"")
    (tmp_path / "log.csv").write_text("patient,subjid,siteid,arm,consent_date,randomisation_date\ns,1,01,,,\n")
    with pytest.raises(InputError, match="no resource in the input"):
        build(tmp_path, out=tmp_path / "out", enrolment=tmp_path / "log.csv", workers=1)

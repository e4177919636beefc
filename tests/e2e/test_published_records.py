"""Published examples, record by record: what HL7's R4 examples and CIBMTR's transplantation guide become in the datasets.

Expected values are written by hand from the published resources; times are those of Shanghai, where the trial's site is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adapter import build
from adapter.errors import EnrolmentError
from adapter.result import Result
from adapter.site import Keyer
from tests.conftest import KEY, make_site
from tests.lines import changed, row

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "fhir"
HL7 = SHARED / "hl7-r4-examples"
CIBMTR = SHARED / "cibmtr-ig"
OBSERVATIONS = CIBMTR / "build" / "fsh-generated" / "resources"
HEADER = "patient,subjid,siteid,arm,consent_date,randomisation_date\n"

pytestmark = pytest.mark.skipif(not HL7.is_dir(), reason="the shared data are not beside this folder")


@pytest.fixture(scope="module")
def hl7(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """All of HL7's examples; Patient/example (001) and Patient/pat1 (002) are in the log, with made-up dates."""
    folder = tmp_path_factory.mktemp("hl7")
    log = HEADER + "example,001,01,CTRL,2012-01-01,2012-01-02\npat1,002,01,MSC,2015-01-01,2015-01-02\n"
    (folder / "log.csv").write_text(log)
    return build(
        HL7,
        out=folder / "out",
        enrolment=folder / "log.csv",
        site=make_site(folder / "site"),
        workers=1,
        cutoff="2018-06-30",
    )


@pytest.fixture(scope="module")
def cibmtr(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """CIBMTR's examples; the patient whose counts they are is in the log, with made-up dates."""
    folder = tmp_path_factory.mktemp("cibmtr")
    (folder / "log.csv").write_text(HEADER + "PatientExample6,001,01,CTRL,2020-07-01,2020-07-02\n")
    return build(
        CIBMTR,
        out=folder / "out",
        enrolment=folder / "log.csv",
        site=make_site(folder / "site"),
        workers=1,
        cutoff="2020-12-31",
    )


def resource(name: str, folder: Path = HL7) -> Any:
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


def keyed(name: str) -> str:
    return Keyer(bytes.fromhex(KEY)).keyed(name).hex()


def records_of(result: Result, dataset: str, name: str) -> pd.DataFrame:
    """Return the records of a dataset that its trace leads back to one resource (`Type/id`); in their order."""
    trace = pd.read_parquet(result.out / "trace" / f"{dataset.lower()}.parquet")
    own = trace[trace["KEYED_ID"] == keyed(name)][["USUBJID", "SEQ"]].drop_duplicates()
    frame = result.sdtm[dataset]
    return frame.merge(own, left_on=["USUBJID", f"{dataset}SEQ"], right_on=["USUBJID", "SEQ"])


def cells(frame: pd.DataFrame, columns: str) -> list[list[Any]]:
    """Return the named variables; no number as None, and so a permissible variable without a value, which is left out."""
    picked = frame.reindex(columns=columns.split())
    return [[None if isinstance(x, float) and x != x else x for x in r] for r in picked.to_numpy(dtype=object).tolist()]


# --- HL7's examples: the adverse event --------------------------------------------------------------------------------


def test_the_adverse_event(hl7: Result) -> None:
    """Mild and not serious; its suspect is a Medication that is nowhere, without a judgement: no relationship."""
    found = records_of(hl7, "AE", "AdverseEvent/example")
    columns = "USUBJID AETERM AEDECOD AESEV AESER AEREL AETOXGR AEOUT AESTDTC AEENDTC AESTDY AESHOSP"
    assert cells(found, columns) == [
        [
            "PGFMSC-01-001", "This was a mild rash on the left forearm", "", "MILD", "N", "", None, None,
            "2017-01-29T20:34:56", "", 1855, None,
        ]
    ]  # fmt: skip
    assert len(hl7.sdtm["AE"]) == 1
    assert hl7.counts["resources"]["AdverseEvent"] == {"read": 1, "used": 1, "dropped": {}}
    unmapped = hl7.unmapped[hl7.unmapped["resource_type"] == "AdverseEvent"]
    assert unmapped[["code", "used", "count"]].to_numpy().tolist() == [["http://snomed.info/sct|304386008", "Y", 1]]
    assert hl7.issues[hl7.issues["dataset"] == "AE"].empty


# --- the 14 administrations -------------------------------------------------------------------------------------------

DAY = ("2015-01-15T11:30:00", "2015-01-15T21:30:00")  # 04:30 and 14:30 at +01:00
NIGHT = ("2015-01-16T05:03:00", "2015-01-16T09:03:00")  # 22:03 and 02:03 at +01:00
SALT = "20 meq of Potassium Chloride + Sodium Chloride 0.9% injectable solution"
CLINIMIX = "Clinimix 4.25/10 sulfite-free (4.25% Amino Acid in 10% Dextrose) Injection, 1000ml"
TPN = (
    "TPN Electrolytes SODIUM CHLORIDE, CALCIUM CHLORIDE, POTASSIUM CHLORIDE, MAGNESIUM CHLORIDE, and SODIUM ACETATE "
    "ANHYDROUS | INJECTION, SOLUTION, CONCENTRATE | 321 mg/20mL, 331 mg/20mL, 1491 mg/20mL, 508 mg/20mL, 2420 mg/20mL"
)
BAG = f"1000 mL of {CLINIMIX} + {TPN} + Intralipid 20% IV Fat Emulsion"
IV, PO = "INTRAVENOUS", "ORAL"
GIVEN: dict[str, list[tuple[Any, ...]]] = {
    # CMTRT, CMDECOD, CMDOSE, CMDOSU, CMDOSTXT, CMROUTE, CMSTDTC, CMENDTC, CMENRTPT
    "0301": [
        ("Vancomycin Hydrochloride (VANCOMYCIN HYDROCHLORIDE)", "VANCOMYCIN", 500, "mg", "", IV, DAY[1], "", "ONGOING")
    ],
    "0302": [
        ("Potassium Chloride", "", None, "", SALT, IV, *DAY, ""),
        ("Sodium Chloride 0.9% injectable solution", "", None, "", SALT, IV, *DAY, ""),
    ],
    "0303": [],
    "0304": [("Alemtuzumab 10mg/ml (Lemtrada)", "", 3, "mg", "", IV, *DAY, "")],
    "0305": [("Adcetris", "", 1.8, "mg/kg", "", IV, *DAY, "")],
    "0306": [("Azithromycin 250mg capsule (product)", "", 2, "TABLET", "", PO, *DAY, "")],
    "0307": [("Lorazepam 2mg/ml injection solution 1ml vial (product)", "", 7, "mg", "", IV, *DAY, "")],
    "0308": [("Lantus 100 unit/ml injectable solution", "", 20, "U", "", "SUBCUTANEOUS", *DAY, "")],
    "0309": [
        (CLINIMIX, "", None, "", BAG, IV, *NIGHT, ""),
        ("Intralipid 20% IV Fat Emulsion", "", None, "", BAG, IV, *NIGHT, ""),
        (TPN, "", None, "", BAG, IV, *NIGHT, ""),
    ],
    "0310": [("Myleran 2mg tablet, film coated", "", 6, "mg", "", PO, *NIGHT, "")],
    "0311": [("Alprazolam 0.25mg Oral Tablet", "", 1, "TABLET", "", PO, *NIGHT, "")],
    "0312": [("Fentanyl 25micrograms/hour patch (product)", "", 1, "PATCH", "", "", *NIGHT, "")],
    "0313": [("Paracetamol 240mg suppository (product)", "", 240, "mg", "", "", *NIGHT, "")],
    "example03": [],
}
WHY_NOT = {"0303": "status-entered-in-error", "example03": "status-planned"}
RATES = {
    # dosage.rate[x]: value, unit, per, unit of that
    "0302": ("100", "mL", "1", "h"),
    "0303": ("8", "ml", "1", "min"),
    "0305": ("20", "min", None, None),
    "0307": ("4", "min", None, None),
    "0309": ("50", "mL", "1", "h"),
}


def whole_texts(result: Result, frame: pd.DataFrame) -> pd.DataFrame:
    """Return CM with the rest of long texts, which stands in SUPPCM."""
    supp, frame = result.sdtm["SUPPCM"], frame.copy()
    for qnam, variable in (("CMTRT1", "CMTRT"), ("CMDOSTX1", "CMDOSTXT")):
        mine = supp[supp["QNAM"] == qnam]
        rest = {(u, float(n)): q for u, n, q in zip(mine["USUBJID"], mine["IDVARVAL"], mine["QVAL"], strict=True)}
        keys = zip(frame["USUBJID"], frame["CMSEQ"], strict=True)
        frame[variable] = [t + rest.get(k, "") for t, k in zip(frame[variable], keys, strict=True)]
    return frame


def test_the_examples_are_what_the_tables_are_about() -> None:
    every = {n: resource(f"MedicationAdministration-medadmin{n}") for n in GIVEN}
    with_rate = [n for n, r in every.items() if {"rateRatio", "rateQuantity"} & set(r.get("dosage", {}))]
    assert sorted(with_rate) == sorted(RATES)
    assert (
        sum("medicationReference" in r and r["medicationReference"]["reference"][0] == "#" for r in every.values())
        == 11
    )
    assert [every[n]["status"] for n in WHY_NOT] == ["entered-in-error", "on-hold"]
    assert len(list(HL7.glob("MedicationAdministration-*.json"))) == len(every)


@pytest.mark.parametrize("name", GIVEN)
def test_the_administrations(name: str, hl7: Result) -> None:
    found = whole_texts(hl7, records_of(hl7, "CM", f"MedicationAdministration/medadmin{name}"))
    columns = "CMTRT CMDECOD CMDOSE CMDOSU CMDOSTXT CMROUTE CMSTDTC CMENDTC CMENRTPT"
    assert sorted(map(tuple, cells(found, columns)), key=str) == sorted(GIVEN[name], key=str)
    assert set(found["USUBJID"]) <= {"PGFMSC-01-002"}
    assert "EC" not in hl7.sdtm, "none of them is the trial's product"


def test_every_administration_is_accounted_for(hl7: Result) -> None:
    assert hl7.counts["resources"]["MedicationAdministration"] == {
        "read": 14, "used": 12, "dropped": dict.fromkeys(WHY_NOT.values(), 1),
    }  # fmt: skip
    assert not (hl7.rejects["resource_type"] == "MedicationAdministration").any()


@pytest.mark.parametrize("name", [*RATES, "example03"])
def test_rates_and_statuses_as_intake_reads_them(name: str) -> None:
    line = changed(resource(f"MedicationAdministration-medadmin{name}"), subject={"reference": "Patient/s"})
    found = row(line)
    rate = tuple(found[c] for c in ("rate", "rate_unit", "rate_per", "rate_per_unit"))
    assert rate == RATES.get(name, (None, None, None, None))
    assert found["status"] == resource(f"MedicationAdministration-medadmin{name}")["status"]


# --- a product and a candidate ----------------------------------------------------------------------------------------


def test_the_product_says_nothing_and_becomes_nothing(hl7: Result) -> None:
    """BiologicallyDerivedProduct/example has an id and no more: kept for those who refer to it, source of no value."""
    assert set(resource("BiologicallyDerivedProduct-example")) - {"text"} == {"resourceType", "id"}
    assert hl7.counts["resources"]["BiologicallyDerivedProduct"] == {"read": 1, "used": 1, "dropped": {}}
    assert sources(hl7, "BiologicallyDerivedProduct/example") == set()


def test_the_research_subject_is_a_candidate(hl7: Result) -> None:
    """The log enrols the patient all the same; a candidate alone is nobody's subject."""
    assert resource("ResearchSubject-example")["status"] == "candidate"
    assert hl7.counts["resources"]["ResearchSubject"] == {"read": 1, "used": 0, "dropped": {"not-needed": 1}}
    assert sources(hl7, "ResearchSubject/example") == set()
    assert hl7.sdtm["DM"]["SUBJID"].tolist() == ["001", "002"], "123 is the code of another study"


def test_without_a_log_a_candidate_is_no_subject_and_a_participant_is(tmp_path: Path) -> None:
    (tmp_path / "fhir").mkdir()
    for name in ("Patient-example", "ResearchStudy-example", "ResearchSubject-example", "AdverseEvent-example"):
        (tmp_path / "fhir" / f"{name}.json").write_text(json.dumps(resource(name)))
    site = make_site(tmp_path / "site")
    with pytest.raises(EnrolmentError, match="nobody is a subject"):
        build(tmp_path / "fhir", out=tmp_path / "out", site=site, workers=1)
    study = changed(resource("ResearchStudy-example"), identifier=[{"system": "urn:pgf-msc:study", "value": "PGF-MSC"}])
    (tmp_path / "fhir" / "ResearchStudy-example.json").write_text(json.dumps(study))
    with pytest.raises(EnrolmentError, match="nobody is a subject"):
        build(tmp_path / "fhir", out=tmp_path / "out", site=site, workers=1)
    took_part = changed(resource("ResearchSubject-example"), status="on-study", actualArm="CTRL")
    (tmp_path / "fhir" / "ResearchSubject-example.json").write_text(json.dumps(took_part))
    result = build(tmp_path / "fhir", out=tmp_path / "out", site=site, workers=1)
    assert cells(result.sdtm["DM"], "SUBJID ARMCD SEX") == [["123", "CTRL", "M"]]
    assert cells(result.sdtm["AE"], "USUBJID AESEV") == [["PGFMSC-01-123", "MILD"]]


def sources(result: Result, name: str) -> set[str]:
    """Return the datasets in which a value comes from the resource."""
    found = set()
    for path in sorted((result.out / "trace").glob("*.parquet")):
        if path.stem.startswith("ad"):  # analysis values lead to records, not to resources
            continue
        if (pd.read_parquet(path, columns=["KEYED_ID"])["KEYED_ID"] == keyed(name)).any():
            found.add(path.stem.upper())
    return found


# --- CIBMTR: blood count and viral load -------------------------------------------------------------------------------

COUNTS = {
    # LBTESTCD, LBORRES, LBORRESU, LBSTRESC, LBSTRESN, LBSTRESU: the unit as CDISC spells that of the source
    "HemoglobinObservation": ("HGB", "15", "g/dL", "150", 150, "g/L"),
    "LeukocytesObservation": ("WBC", "5.2", "10^9/L", "5.2", 5.2, "10^9/L"),
    "EosinophilsObservation": ("EOS", "0.5", "10^9/L", "0.5", 0.5, "10^9/L"),
    "BasophilsObservation": ("BASOLE", "1", "%", "1", 1, "%"),
    "AlbuminObservation": ("ALB", "5", "g/dL", "50", 50, "g/L"),
}
LOADS = {
    "CMVDNAViralLoadIUmL": ["CMVDNA", "VIRAL LOAD", "<13700", "IU/mL", "<13700", None, "IU/mL", "SERUM OR PLASMA"],
    "CMVDNAViralLoadCopiesmL": [
        *("CMVDNA", "VIRAL LOAD", "6000000", "copies/mL", "6000000", 6000000, "copies/mL", "LAVAGE FLUID"),
    ],
}


@pytest.mark.parametrize("name", COUNTS)
def test_results_come_through_digit_by_digit(name: str, cibmtr: Result) -> None:
    found = records_of(cibmtr, "LB", f"Observation/{name}")
    columns = "LBTESTCD LBORRES LBORRESU LBSTRESC LBSTRESN LBSTRESU"
    assert cells(found, columns) == [list(COUNTS[name])]
    assert cells(found, "USUBJID LBDTC LBDY LBLOBXFL") == [["PGFMSC-01-001", "2020-07-21T22:17:00", 20, ""]]


@pytest.mark.parametrize("name", LOADS)
def test_viral_loads_keep_comparator_and_unit(name: str, cibmtr: Result) -> None:
    found = records_of(cibmtr, "MB", f"Observation/{name}")
    columns = "MBTESTCD MBTSTDTL MBORRES MBORRESU MBSTRESC MBSTRESN MBSTRESU MBSPEC"
    assert cells(found, columns) == [LOADS[name]]
    assert cells(found, "USUBJID MBDTC MBDY") == [["PGFMSC-01-001", "2020-07-21T22:17:00", 20]]


@pytest.mark.parametrize(
    ("name", "code"), [("NeutrophilsObservation", "74398-9"), ("MetamyelocytesObservation", "40651-2")]
)
def test_what_the_table_does_not_know_is_listed(name: str, code: str, cibmtr: Result) -> None:
    """Neutrophils of cord blood are not the patient's; a presence of metamyelocytes is in no table."""
    assert resource(f"Observation-{name}", OBSERVATIONS)["code"]["coding"][0]["code"] == code
    assert sources(cibmtr, f"Observation/{name}") == set()
    unmapped = cibmtr.unmapped
    assert unmapped.loc[unmapped["code"] == f"http://loinc.org|{code}", ["used", "count"]].to_numpy().tolist() == [
        ["N", 1]
    ]


def test_every_observation_is_accounted_for(cibmtr: Result) -> None:
    counted = cibmtr.counts["resources"]["Observation"]
    assert counted["read"] == 20 == len(list(OBSERVATIONS.glob("Observation-*.json")))
    assert counted["read"] == counted["used"] + sum(counted["dropped"].values())
    assert counted["dropped"]["unmapped-code"] == 2
    assert counted["dropped"]["not-a-subject"] == 1, "the variant assessment is of another patient"
    assert cibmtr.rejects.empty


def test_drugs_by_reference_and_by_code_are_one_drug(cibmtr: Result) -> None:
    cm = cibmtr.sdtm["CM"]
    columns = "CMTRT CMDECOD CMDOSE CMDOSU CMROUTE CMSTDTC"
    expected = ["ETOPOSIDE 20 MG/ML IV SOLN", "ETOPOSIDE", 73, "mg", IV, "2020-07-23T00:58:05"]
    assert cells(cm, columns) == [expected, expected]
    issues = cibmtr.issues[cibmtr.issues["dataset"] == "CM"]
    assert issues["code"].tolist() == ["duplicate-key"], "two bags, or one told twice: a human should look"


def test_body_measurements(cibmtr: Result) -> None:
    """65.899... inches: the digits as sent, the standard result in whole centimetres (167.386)."""
    assert cells(cibmtr.sdtm["VS"], "VSTESTCD VSORRES VSORRESU VSSTRESC VSSTRESU") == [
        ["HEIGHT", "65.89999999999999", "in", "167", "cm"],
        ["WEIGHT", "50.09414", "kg", "50.09414", "kg"],
    ]

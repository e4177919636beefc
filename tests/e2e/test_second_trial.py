"""A second trial proves that nothing is hard-wired; and one threshold changed in trial.toml changes its texts only.

The hospital here is written by hand: three patients in Vienna, another product, other arms. Every expected value below
was worked out on paper from tests/trials/mini/trial.toml.
"""

from __future__ import annotations

import difflib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from lxml import etree

from adapter import build
from adapter.result import Result
from adapter.trial import find_trials, load_trial
from tests.conftest import Cohort, make_site
from tests.define_checks import broken_references, unreferenced, xsd_errors
from tests.e2e import test_package as package_checks

MINI = Path(__file__).parents[1] / "trials/mini"
LOINC = "http://loinc.org"
TS = """TSSEQ,TSPARMCD,TSPARM,TSVAL,TSVALCD,TSVCDREF,TSVCDVER
1,TITLE,Trial Title,@study.title,,,
1,PLANSUB,Planned Number of Subjects,@study.planned_subjects,,,
1,AGEMAX,Planned Maximum Age of Subjects,P{eligibility.age_max}Y,,ISO 8601,
1,DCUTDTC,Data Cutoff Date,@run.data_cut,,ISO 8601,
"""

Resource = dict[str, Any]


def meta(day: str) -> dict[str, str]:
    return {"versionId": "1", "lastUpdated": f"{day}T23:00:00Z"}


def patient(pid: str, gender: str, birth: str) -> Resource:
    return {"resourceType": "Patient", "id": pid, "meta": meta("2024-06-01"), "gender": gender, "birthDate": birth}


def observation(oid: str, pid: str, system: str, code: str, when: str, value: str, unit: str) -> Resource:
    return {
        "resourceType": "Observation",
        "id": oid,
        "meta": meta("2024-05-01"),
        "status": "final",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": f"Patient/{pid}"},
        "effectiveDateTime": when,
        "valueQuantity": {"value": float(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    }


def drug(mid: str, pid: str, coding: dict[str, str], when: str, dose: float, unit: str) -> Resource:
    return {
        "resourceType": "MedicationAdministration",
        "id": mid,
        "meta": meta("2024-05-01"),
        "status": "completed",
        "medicationCodeableConcept": {"coding": [coding]},
        "subject": {"reference": f"Patient/{pid}"},
        "effectiveDateTime": when,
        "dosage": {"dose": {"value": dose, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}},
    }


EXA = {"system": "urn:mini:drug", "code": "EXA-1", "display": "Examplumab"}
DANAZOL = {"system": "http://www.whocc.no/atc", "code": "G03XA01", "display": "Danazol"}
HOSPITAL: list[Resource] = [
    patient("anna", "female", "1980"),
    patient("bert", "male", "1951-07-02"),
    patient("cleo", "female", "2001-11-30"),
    # 23:30 UTC on 30 March is 00:30 on 31 March in Vienna; that night the clocks go forward
    drug("d1", "anna", EXA, "2024-03-30T23:30:00Z", 200, "mg"),
    # 22:30 UTC on 31 March is 00:30 on 1 April by then: study day 2
    drug("d2", "anna", EXA, "2024-03-31T22:30:00Z", 2.5, "mg/kg"),
    drug("d3", "bert", DANAZOL, "2024-03-10", 400, "mg"),
    observation("w1", "anna", LOINC, "29463-7", "2024-03-20", "80", "kg"),
    observation("h1", "anna", LOINC, "718-7", "2024-03-29T09:00:00Z", "9.5", "g/dL"),
    observation("h2", "anna", LOINC, "718-7", "2024-03-31", "9.6", "g/dL"),
    observation("r1", "anna", LOINC, "60474-4", "2024-04-10T10:00:00Z", "61", "10*9/L"),
    observation("r2", "anna", "urn:mini:lab", "RT-LOCAL", "2024-04-11T10:00:00Z", "62", "10*9/L"),
    observation("h3", "bert", "urn:site:lab", "HB-SITE", "2024-03-11T10:00:00Z", "101", "g/L"),
    observation("h4", "cleo", LOINC, "718-7", "2024-03-02T10:00:00Z", "88", "g/L"),
]
LOG = """Patient,Screening-Nr,siteid,Gruppe,Einwilligung,randomisation_date,screen_failure_reason
anna,101,W1,A,2024-03-18,2024-03-19,
bert,102,W1,B,2024-03-05,2024-03-15,
cleo,103,W1,,2024-03-01,,Constitutional disease
"""


def hospital(folder: Path) -> Path:
    """Write the hospital and the log into a folder; return it."""
    (folder / "fhir").mkdir(parents=True)
    by_type: dict[str, list[Resource]] = {}
    for r in HOSPITAL:
        by_type.setdefault(r["resourceType"], []).append(r)
    for kind, resources in by_type.items():
        lines = [json.dumps(r, ensure_ascii=False) + "\n" for r in resources]
        (folder / "fhir" / f"{kind}.ndjson").write_text("".join(lines), "utf-8")
    (folder / "log.csv").write_text(LOG, "utf-8")
    make_site(folder / "site")
    return folder


def mini(folder: Path) -> Path:
    """Copy the trial and give it a ts.csv and a code map of its own."""
    shutil.copytree(MINI, folder)
    (folder / "ts.csv").write_text(TS, "utf-8")
    (folder / "observations.csv").write_text("system,code,like\nurn:mini:lab,RT-LOCAL,RETI\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def vienna(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = hospital(tmp_path_factory.mktemp("vienna"))
    (folder / "site/observations.csv").write_text(
        "system,code,display,like\nurn:site:lab,HB-SITE,Hämoglobin,http://loinc.org|718-7\n", "utf-8"
    )
    return build(
        folder / "fhir", out=folder / "out", enrolment=folder / "log.csv", trial=mini(folder / "mini"),
        site=folder / "site", cutoff="2024-05-31", workers=1,
    )  # fmt: skip


def by_subject(frame: pd.DataFrame, *columns: str) -> dict[str, tuple[Any, ...]]:
    return {u.rsplit("-", 1)[1]: row for u, *row in frame[["USUBJID", *columns]].itertuples(index=False)}  # type: ignore[misc]


def test_arms_and_reference_dates_are_the_trial_s_own(vienna: Result) -> None:
    found = by_subject(vienna.sdtm["DM"], "ARMCD", "ARM", "ACTARMCD", "ARMNRS", "RFSTDTC", "RFICDTC")
    assert found == {
        "101": ["A", "Examplumab", "A", "", "2024-03-31T00:30:00", "2024-03-18"],
        # not_before = consent: danazol after consent counts, before randomisation or not
        "102": ["B", "Best supportive care", "B", "", "2024-03-10", "2024-03-05"],
        "103": ["", "", "", "SCREEN FAILURE", "", "2024-03-01"],
    }
    assert set(vienna.sdtm["DM"]["STUDYID"]) == {"MINI01"}


def test_defaults_are_the_trial_s_own(vienna: Result) -> None:
    found = by_subject(vienna.sdtm["DM"], "COUNTRY", "RACE", "ETHNIC", "AGE", "SEX")
    # partial_birth_date = middle: 1980 stands for 1980-07-01
    assert found["101"] == ["AUT", "WHITE", "NOT HISPANIC OR LATINO", 43.0, "F"]
    assert found["102"] == ["AUT", "WHITE", "NOT HISPANIC OR LATINO", 72.0, "M"]


def test_exposure_is_of_its_own_product_in_its_own_zone(vienna: Result) -> None:
    ex = vienna.sdtm["EX"]
    assert set(ex["USUBJID"]) == {"MINI01-W1-101"}
    columns = ["EXTRT", "EXDOSE", "EXDOSU", "EXDOSFRM", "EXROUTE", "EXSTDTC", "EXSTDY"]
    assert ex[columns].to_numpy().tolist() == [
        # 200 mg / 80 kg
        ["EXAMPLUMAB", 2.5, "mg/kg", "INJECTION",
         "SUBCUTANEOUS", "2024-03-31T00:30:00", 1.0],
        ["EXAMPLUMAB", 2.5, "mg/kg", "INJECTION",
         "SUBCUTANEOUS", "2024-04-01T00:30:00", 2.0],
    ]  # fmt: skip
    ec = vienna.sdtm["EC"]
    assert ec[["ECDOSE", "ECDOSU"]].to_numpy().tolist() == [[200.0, "mg"], [2.5, "mg/kg"]]
    assert vienna.sdtm["CM"][["CMDECOD", "CMCAT", "CMDOSE"]].to_numpy().tolist() == [["DANAZOL", "ANDROGEN", 400.0]]


def test_untimed_results_of_the_first_day_count_as_the_trial_says(vienna: Result) -> None:
    """untimed_at_baseline = after: the untimed result of 31 March is not before the first dose at 00:30 that day."""
    lb = vienna.sdtm["LB"]
    flagged = lb[(lb["LBLOBXFL"] == "Y") & lb["USUBJID"].str.endswith("101")]
    assert flagged[["LBTESTCD", "LBDTC"]].to_numpy().tolist() == [["HGB", "2024-03-29T10:00:00"]]
    define = (vienna.out / "sdtm/define.xml").read_text("utf-8")
    assert "counts as after the first treatment" in define


def test_trial_summary_is_of_its_own_study(vienna: Result) -> None:
    ts = vienna.sdtm["TS"].set_index("TSPARMCD")["TSVAL"]
    assert ts.to_dict() == {
        "TITLE": "Examplumab in Aplastic Anaemia",
        "PLANSUB": "12",
        "AGEMAX": "P75Y",
        "DCUTDTC": "2024-05-31",
    }


def test_local_codes_of_trial_and_site_reach_lb(vienna: Result) -> None:
    """A row in the trial's folder and one in the site's map local codes (fhir-input point 6)."""
    lb = vienna.sdtm["LB"]
    columns = ["LBTESTCD", "LBTEST", "LBCAT", "LBORRES", "LBSTRESC", "LBSTRESU", "LBLOINC", "LBDTC"]
    found = lb[columns].to_numpy().tolist()
    # a bare --TESTCD in `like` says nothing of the LOINC code; system|code gives the whole row
    assert ["RETI", "Reticulocytes", "HEMATOLOGY", "62", "62", "10^9/L", "", "2024-04-11T12:00:00"] in [
        [c.removesuffix(".0") for c in row] for row in found
    ]
    assert ["HGB", "Hemoglobin", "HEMATOLOGY", "101", "101", "g/L", "718-7", "2024-03-11T11:00:00"] in [
        [c.removesuffix(".0") for c in row] for row in found
    ]
    assert len(vienna.unmapped) == 0
    assert vienna.counts["rejects"] == 0


def test_define_of_the_second_trial_is_whole(vienna: Result) -> None:
    define = vienna.out / "sdtm/define.xml"
    assert xsd_errors(define) + broken_references(define) + unreferenced(define) == []


def test_the_log_is_read_as_the_trial_spells_it(tmp_path: Path) -> None:
    """log.criterion_prefix, log.withdrawal_types and log.columns of trial.toml decide how the log is read."""
    folder = hospital(tmp_path / "h")
    (folder / "log.csv").write_text(
        "Patient,Screening-Nr,siteid,Gruppe,Einwilligung,randomisation_date,crit_EX01,withdrawal_type,withdrawal_date\n"
        "anna,101,W1,A,2024-03-18,2024-03-19,N,Therapie,2024-04-20\n",
        "utf-8",
    )
    result = build(
        folder / "fhir", out=tmp_path / "out", enrolment=folder / "log.csv", trial=mini(tmp_path / "mini"),
        site=folder / "site", cutoff="2024-05-31", workers=1,
    )  # fmt: skip
    assert result.sdtm["DM"]["USUBJID"].tolist() == ["MINI01-W1-101"]
    # withdrawal from treatment alone ends no participation (protocol §2)
    assert result.sdtm["DM"]["RFPENDTC"].tolist() == [""]


def words_of_the_first_trial() -> set[str]:
    t = load_trial(find_trials()["pgf_msc"])
    words = {
        t.study.id,
        t.study.sponsor,
        t.study.title,
        t.study.time_zone,
        "UC-MSC",
        "PGF",
        "Poor Graft",
        "CTRL",
        "MSC",
    }
    words |= {a.label for a in t.arms.values()} | {d.text for d in t.decisions}
    return {w for w in words if w}


def texts_in(path: Path) -> str:
    """Return every text of an output file; Parquet is unpacked."""
    if path.suffix == ".parquet":
        table = pq.read_table(path).to_pandas()
        return "\n".join(str(v) for c in table for v in table[c].unique())
    return path.read_bytes().decode("utf-8", errors="replace")


def test_nothing_of_the_first_trial_is_in_any_output(vienna: Result) -> None:
    outputs = [p for p in vienna.out.rglob("*") if p.is_file()]
    assert len(outputs) > 12
    for path in outputs:
        text = texts_in(path)
        # MSC and PGF stand as words of their own, never inside keyed ids or hashes
        assert [w for w in words_of_the_first_trial() if re.search(rf"(?<!\w){re.escape(w)}(?!\w)", text)] == [], path


def test_a_trial_without_ts_builds(tmp_path: Path) -> None:
    """ts.csv may be left out (docs/trial-definition.md); then TS is listed without data and has no file."""
    folder = hospital(tmp_path / "h")
    result = build(
        folder / "fhir", out=tmp_path / "out", enrolment=folder / "log.csv", trial=MINI, site=folder / "site",
        cutoff="2024-05-31", workers=1,
    )  # fmt: skip
    assert "TS" not in result.sdtm
    assert len(result.sdtm["DM"]) == 3
    define = result.out / "sdtm/define.xml"
    assert xsd_errors(define) + broken_references(define) + unreferenced(define) == []


def test_datasets_without_records_are_listed_without_a_file(tmp_path: Path) -> None:
    """Only one patient of arm B: no EC, EX, PR record. define.xml says so; there is no empty XPT (sdtm-conventions)."""
    folder = hospital(tmp_path / "h")
    (folder / "log.csv").write_text("\n".join(LOG.splitlines()[i] for i in (0, 2)) + "\n", "utf-8")
    result = build(
        folder / "fhir", out=tmp_path / "out", enrolment=folder / "log.csv", trial=mini(tmp_path / "mini"),
        site=folder / "site", cutoff="2024-05-31", workers=1,
    )  # fmt: skip
    assert sorted(result.sdtm) == ["CM", "DM", "DS", "SE", "SV", "TA", "TE", "TI", "TS", "TV"]
    define = result.out / "sdtm/define.xml"
    assert xsd_errors(define) + broken_references(define) + unreferenced(define) == []
    ns = {"o": "http://www.cdisc.org/ns/odm/v1.3", "d": "http://www.cdisc.org/ns/def/v2.1"}
    empty = [
        g.get("Name")
        for g in etree.parse(str(define)).iterfind(".//o:ItemGroupDef", ns)
        if g.get(f"{{{ns['d']}}}HasNoData") == "Yes"
    ]
    events, findings = ["AE", "CE", "MH", "HO"], ["LB", "MB", "VS", "RS", "FA", "DD", "IE"]
    assert sorted(map(str, empty)) == sorted(["DV", "EC", "EX", "PR", *events, *findings, "CO", "RELREC"])
    assert result.counts["unmapped"] == 1, "the site's own code is not mapped here"


# --- a hospital that fills the corners of define.xml ----------------------------------------------------------------

LONG_NAME = "成分输血科辐照去白细胞单采血小板" * 8  # 384 bytes
OMB = "urn:oid:2.16.840.1.113883.6.238"


def races(*codes: str) -> list[Resource]:
    """Return a us-core-race extension (its URL is the one US Core gives it)."""
    parts = [{"url": "ombCategory", "valueCoding": {"system": OMB, "code": c}} for c in codes]
    return [{"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", "extension": parts}]


@pytest.fixture(scope="module")
def corners(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Two races, a name of 384 bytes, a dose without unit, partial dates, a negative result, no exposure."""
    folder = hospital(tmp_path_factory.mktemp("corners"))
    bert = patient("bert", "male", "1951-07-02") | {"extension": races("2028-9", "2054-5")}
    long = drug("d4", "bert", {"system": "urn:x", "code": "long"}, "2024-03", 5, "mg")
    long["medicationCodeableConcept"]["text"] = LONG_NAME
    del long["dosage"]["dose"]["unit"], long["dosage"]["dose"]["code"], long["dosage"]["dose"]["system"]
    other = drug("d5", "bert", DANAZOL, "2024-04-02T08:30:00+02:00", 0.125, "g")
    (folder / "fhir/Patient.ndjson").write_text(json.dumps(bert) + "\n", "utf-8")
    (folder / "fhir/MedicationAdministration.ndjson").write_text(
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in (HOSPITAL[5], long, other)), "utf-8"
    )
    results = [
        observation("b1", "bert", "urn:site:lab", "BE", "2024-03-11T10:00:00Z", "-12.5", "mmol/L"),
        observation("b2", "bert", "urn:site:lab", "BE", "2024-03-12", "3", "mmol/L"),
    ]
    (folder / "fhir/Observation.ndjson").write_text("".join(json.dumps(r) + "\n" for r in results), "utf-8")
    (folder / "site/observations.csv").write_text(
        "system,code,display,domain,testcd,test,cat,specimen,standard_unit,standard_ucum,decimals,result_type\n"
        "urn:site:lab,BE,BE,LB,BASEEXCS,Base Excess,CHEMISTRY,BLOOD,mmol/L,mmol/L,1,numeric\n",
        "utf-8",
    )
    (folder / "log.csv").write_text("\n".join(LOG.splitlines()[i] for i in (0, 2)) + "\n", "utf-8")
    return build(
        folder / "fhir", out=folder / "out", enrolment=folder / "log.csv", trial=mini(folder / "mini"),
        site=folder / "site", cutoff="2024-05-31", workers=1,
    )  # fmt: skip


def test_supplements_hold_what_does_not_fit(corners: Result) -> None:
    """384 bytes: 198 (66 characters of three) and 186; several races are MULTIPLE, each in SUPPDM."""
    cm, supp = corners.sdtm["CM"], corners.sdtm["SUPPCM"]
    first = cm.loc[cm["CMTRT"].str.startswith("成分"), "CMTRT"].item()
    assert (first + supp["QVAL"].item(), len(first)) == (LONG_NAME, 66)
    seq = cm.loc[cm["CMTRT"] == first, "CMSEQ"].item()
    assert supp[["RDOMAIN", "IDVAR", "IDVARVAL", "QNAM", "QLABEL", "QORIG"]].to_numpy().tolist() == [
        ["CM", "CMSEQ", str(int(seq)), "CMTRT1", "Reported Name of Drug, Med, or Therapy", "Collected"]
    ]
    assert corners.sdtm["DM"]["RACE"].tolist() == ["MULTIPLE"]
    assert corners.sdtm["SUPPDM"][["IDVAR", "IDVARVAL", "QNAM", "QVAL"]].to_numpy().tolist() == [
        ["", "", "RACE1", "ASIAN"],
        ["", "", "RACE2", "BLACK OR AFRICAN AMERICAN"],
    ]


def test_corners_are_described_as_they_are(corners: Result) -> None:
    """The checks of the demo's package hold here too."""
    found = package_checks.Package(corners.out / "sdtm")
    package_checks.test_define_is_valid_and_every_reference_leads_somewhere(found)
    package_checks.test_every_dataset_with_records_has_its_file(found)
    package_checks.test_variables_are_the_columns_in_order_with_their_labels_and_types(found)
    package_checks.test_lengths_are_those_of_the_longest_value(found)
    package_checks.test_has_no_data_marks_exactly_the_empty_variables(found)
    package_checks.test_mandatory_variables_have_no_blanks(found)
    package_checks.test_records_are_sorted_by_their_keys(found)
    package_checks.test_codelists_list_exactly_the_terms_in_use(found)
    package_checks.test_every_variable_says_where_it_comes_from(found)
    package_checks.test_our_reader_agrees_with_pyreadstat_cell_for_cell(found, corners)
    levels = package_checks.described_value_levels(found)
    assert {("SUPPCM", "QVAL", "QNAM"), ("SUPPDM", "QVAL", "QNAM"), ("CM", "CMDOSE", "CMDOSU")} <= levels


def items(result: Result) -> dict[str, etree._Element]:
    tree = etree.parse(str(result.out / "sdtm/define.xml"))
    return {str(i.get("OID")): i for i in tree.iter("{*}ItemDef")}


def test_shapes_of_the_corners(corners: Result) -> None:
    found = items(corners)
    # partial: 2024-03, a day, and an instant, cut at the right only
    assert found["IT.CM.CMSTDTC"].get("DataType") == "partialDatetime"
    negative = found["IT.LB.LBSTRESN.BASEEXCS"]
    assert [negative.get(k) for k in ("DataType", "Length", "SignificantDigits")] == ["float", "5", "1"]
    # 5 without a unit is no level of CMDOSU, it is described by CMDOSE
    assert sorted(k for k in found if k.startswith("IT.CM.CMDOSE.")) == ["IT.CM.CMDOSE.g", "IT.CM.CMDOSE.mg"]


def test_values_of_supp_have_the_origin_of_their_variable(corners: Result) -> None:
    found = items(corners)
    for name in ("IT.SUPPCM.QVAL.CMTRT1", "IT.SUPPDM.QVAL.RACE1"):
        origin = found[name].find("{*}Origin")
        assert origin is not None
        assert (origin.get("Type"), origin.get("Source")) == ("Collected", "Investigator")
    assert found["IT.SUPPCM.QVAL"].find("{*}Origin") is None


def test_supp_names_its_domain(corners: Result) -> None:
    tree = etree.parse(str(corners.out / "sdtm/define.xml"))
    group = next(g for g in tree.iter("{*}ItemGroupDef") if g.get("Name") == "SUPPCM")
    assert group.get("Domain") == "CM"
    aliases = [(a.get("Context"), a.get("Name")) for a in group.iterfind("{*}Alias")]
    assert aliases == [("DomainDescription", "Concomitant/Prior Medications")]


# --- one threshold, one text ----------------------------------------------------------------------------------------


def changed_lines(a: Path, b: Path) -> list[tuple[str, str]]:
    """Return pairs of differing pieces of two XML files, cut at tags."""
    one, two = (re.split(r"(?<=>)", p.read_text("utf-8")) for p in (a, b))
    matcher = difflib.SequenceMatcher(None, one, two, autojunk=False)
    return [("".join(one[i:j]), "".join(two[k:m])) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal"]


def with_change(folder: Path, old: str, new: str) -> Path:
    """Copy the first trial and change one line of its trial.toml."""
    shutil.copytree(find_trials()["pgf_msc"], folder, ignore=shutil.ignore_patterns("demo", "*.py", "__pycache__"))
    toml = folder / "trial.toml"
    text = toml.read_text("utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in trial.toml"
    toml.write_text(text.replace(old, new), "utf-8")
    return folder


def package(cohort: Cohort, trial: Path, out: Path) -> Path:
    build(cohort.fhir, out=out, enrolment=cohort.log, site=cohort.site, trial=trial, workers=1)
    return out


def differing(a: Path, b: Path) -> set[str]:
    """Return the names of files that differ; run.json (times and paths) is outside the promise."""
    names = {p.relative_to(x).as_posix() for x in (a, b) for p in x.rglob("*") if p.is_file()} - {"run.json"}
    return {n for n in names if (a / n).read_bytes() != (b / n).read_bytes()}


def test_a_copy_of_the_trial_gives_the_same_bytes(demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    copy = with_change(tmp_path / "copy", "[study]\n", "[study]\n# a comment changes nothing\n")
    assert differing(demo10_build.out, package(demo10, copy, tmp_path / "out")) == set()


def test_a_setting_that_a_method_names_changes_that_method_and_its_data(
    demo10: Cohort, demo10_build: Result, tmp_path: Path
) -> None:
    changed = with_change(tmp_path / "t", 'untimed_at_baseline = "before"', 'untimed_at_baseline = "after"')
    out = package(demo10, changed, tmp_path / "out")
    # the Methods of LBLOBXFL and of EPOCH of findings, and both where there is an untimed result of the first day
    # (ADaM rests on them: baseline is the same rule)
    names = {n for n in differing(demo10_build.out, out) if not n.startswith(("adam/", "trace/ad"))}
    findings = {
        f"{folder}.{kind}"
        for d in ("lb", "mb", "vs", "rs")
        for folder, kind in ((f"sdtm/{d}", "xpt"), (f"trace/{d}", "parquet"))
    }
    assert names - findings == {"sdtm/define.xml", "sdtm/define.html", "manifest.json"}
    lines = changed_lines(demo10_build.out / "sdtm/define.xml", out / "sdtm/define.xml")
    assert len(lines) == 10  # EPOCH of FA and IE; EPOCH and --LOBXFL of LB, MB, RS and VS
    for before, after in lines:
        assert "counts as before the first treatment" in before
        assert before.replace("counts as before", "counts as after") == after
    a, b = demo10_build.sdtm["LB"], Result(out, demo10_build.counts).sdtm["LB"]
    both = ["LBLOBXFL", "EPOCH"]
    pd.testing.assert_frame_equal(a.drop(columns=both), b.drop(columns=both))


def test_a_limit_that_ts_names_changes_that_record_only(demo10: Cohort, demo10_build: Result, tmp_path: Path) -> None:
    # the youngest age: nobody in the demo is that young, so that no criterion is decided otherwise
    age = load_trial(find_trials()["pgf_msc"]).setting("eligibility.age_min")
    changed = with_change(tmp_path / "t", f"age_min = {age}", f"age_min = {age - 1}")
    out = package(demo10, changed, tmp_path / "out")
    assert differing(demo10_build.out, out) == {"sdtm/ts.xpt", "manifest.json"}
    before, after = demo10_build.sdtm["TS"], Result(out, demo10_build.counts).sdtm["TS"]
    rows = (before != after) & ~(before.isna() & after.isna())
    assert before.loc[rows.any(axis=1), "TSPARMCD"].tolist() == ["AGEMIN"]
    assert (before.loc[rows.any(axis=1), "TSVAL"].item(), after.loc[rows.any(axis=1), "TSVAL"].item()) == (
        f"P{age}Y", f"P{age - 1}Y",
    )  # fmt: skip
    # the one record has the same length, so that nothing else of the file moves
    raw = [(x / "sdtm/ts.xpt").read_bytes() for x in (demo10_build.out, out)]
    assert sum(x != y for x, y in zip(*raw, strict=True)) == 1


def test_a_partial_birth_date_setting_changes_ages_and_the_method_of_age(
    demo10: Cohort, demo10_build: Result, tmp_path: Path
) -> None:
    changed = with_change(tmp_path / "t", 'partial_birth_date = "empty"', 'partial_birth_date = "earliest"')
    out = package(demo10, changed, tmp_path / "out")
    names = differing(demo10_build.out, out)
    # the demo's birth dates are complete or not: the data may change in DM only, the text changes in any case
    assert names - {"sdtm/dm.xpt", "trace/dm.parquet", "data-issues.csv"} == {
        "sdtm/define.xml",
        "sdtm/define.html",
        "manifest.json",
    }
    lines = changed_lines(demo10_build.out / "sdtm/define.xml", out / "sdtm/define.xml")
    assert [("`empty`" in x, "`earliest`" in y) for x, y in lines] == [(True, True)]

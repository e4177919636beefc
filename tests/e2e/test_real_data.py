"""Data that nobody here wrote: a Synthea bulk export through the whole build, and published examples through intake."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from importlib.resources import files as resources_of
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapter import build
from adapter.codes import load_codes
from adapter.codes_check import check_codes
from adapter.intake.readers import NO_INTAKE, READERS
from adapter.reasons import REASONS
from adapter.result import Result
from tests.lines import balanced, line_of, rows, take

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "fhir"
SYNTHEA = SHARED / "synthea-bulk-r4"
CONSENT = date(2015, 1, 1)
EXAMPLES = ("hl7-r4-examples", "au-fhir-test-data", "cibmtr-ig")

needs_data = pytest.mark.skipif(not SYNTHEA.is_dir(), reason="the shared data are not beside this folder")


class Export(NamedTuple):
    """The export as plain JSON (numbers as text), the 20 patients in the log, and what the build made of it."""

    resources: list[Any]
    subjects: dict[str, str]
    result: Result


def resources() -> Iterator[Any]:
    for path in sorted(SYNTHEA.glob("*.ndjson")):
        for line in path.read_bytes().split(b"\n"):
            if line.strip():
                yield json.loads(line, parse_float=str)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Every fifth patient is enrolled; arms and dates are made up. Every third subject is named by an identifier."""
    folder = tmp_path_factory.mktemp("synthea")
    every = list(resources())
    chosen = sorted(r["id"] for r in every if r["resourceType"] == "Patient")[::5]
    lines = ["patient,subjid,siteid,arm,consent_date,randomisation_date"]
    for i, pid in enumerate(chosen, 1):
        name = f"http://hospital.smarthealthit.org|{pid}" if i % 3 == 0 else pid
        arm = ("MSC", "CTRL", "")[i % 3]
        lines.append(f"{name},{i:03d},01,{arm},{CONSENT},{'2015-01-05' if arm else ''}")
    (folder / "enrolment.csv").write_text("\n".join(lines) + "\n")
    result = build(SYNTHEA, out=folder / "out", enrolment=folder / "enrolment.csv", workers=1)
    return Export(every, {pid: f"PGFMSC-01-{i:03d}" for i, pid in enumerate(chosen, 1)}, result)


def subject_of(resource: Any) -> str:
    if resource["resourceType"] == "Patient":
        return str(resource["id"])
    return str(resource.get("subject", {}).get("reference", "/")).rpartition("/")[2]


@needs_data
def test_the_accounts_balance(export: Export) -> None:
    counted = export.result.manifest["resources"]
    read = Counter(r["resourceType"] for r in export.resources)
    assert {kind: c["read"] for kind, c in counted.items()} == {**read, "(none)": 1}
    assert counted["(none)"]["dropped"] == {"no-fhir-file": 1}  # the manifest of the export
    for kind, c in counted.items():
        if kind == "(none)":
            continue
        assert c["read"] == c["used"] + sum(c["dropped"].values()), kind
        assert set(c["dropped"]) <= set(REASONS), kind
        strangers = sum(r["resourceType"] == kind and subject_of(r) not in export.subjects for r in export.resources)
        if kind in READERS:
            assert c["dropped"]["not-a-subject"] == strangers, kind
        else:
            reason = "no-proof-of-intake" if kind in NO_INTAKE else "type-not-read"
            assert c["dropped"] == {reason: c["read"]}, kind


@needs_data
def test_every_reason_in_the_reports_is_in_the_list(export: Export) -> None:
    r = export.result
    assert set(r.rejects["reason"]) <= {code for code, x in REASONS.items() if x.kind == "reject"}
    assert set(r.issues["code"]) <= {code for code, x in REASONS.items() if x.kind == "issue"}
    assert set(r.rejects["message"]) <= {x.meaning for x in REASONS.values()}


@needs_data
def test_subjects_are_the_people_of_the_log(export: Export) -> None:
    dm = export.result.sdtm["DM"]
    assert dm["USUBJID"].tolist() == sorted(export.subjects.values())
    patients = {r["id"]: r for r in export.resources if r["resourceType"] == "Patient"}
    for usubjid, age in zip(dm["USUBJID"], dm["AGE"], strict=True):
        (born,) = (date.fromisoformat(patients[p]["birthDate"]) for p, u in export.subjects.items() if u == usubjid)
        years = CONSENT.year - born.year - ((CONSENT.month, CONSENT.day) < (born.month, born.day))
        assert age == years if born <= CONSENT else age != age
    sex = {"male": "M", "female": "F"}
    expected = {export.subjects[pid]: sex[patients[pid]["gender"]] for pid in export.subjects}
    assert dict(zip(dm["USUBJID"], dm["SEX"], strict=True)) == expected


@needs_data
@pytest.mark.parametrize(("loinc", "testcd"), [("777-3", "PLAT"), ("6690-2", "WBC"), ("718-7", "HGB")])
def test_blood_counts_come_through_digit_by_digit(export: Export, loinc: str, testcd: str) -> None:
    expected = Counter[tuple[str, str]]()
    for r in export.resources:
        owner = export.subjects.get(subject_of(r))
        if r["resourceType"] == "Observation" and owner and loinc in {c["code"] for c in r["code"]["coding"]}:
            expected[owner, str(r["valueQuantity"]["value"])] += 1
    lb = export.result.sdtm["LB"]
    lb = lb[lb["LBTESTCD"] == testcd]
    assert Counter(zip(lb["USUBJID"], lb["LBORRES"], strict=True)) == expected
    assert expected
    # Synthea reports 10*3/uL and g/dL: thousands per microlitre are 10^9/L, grams per decilitre a tenth of g/L
    factor = Decimal(10) if testcd == "HGB" else Decimal(1)
    for sent, standard in zip(lb["LBORRES"], lb["LBSTRESC"], strict=True):
        assert Decimal(standard) == Decimal(sent) * factor


@needs_data
def test_no_hospital_id_is_in_any_output_outside_the_site(export: Export) -> None:
    ids = {r["id"].encode() for r in export.resources if r["resourceType"] in ("Patient", "Observation", "Procedure")}
    names = {n["family"].encode() for r in export.resources if r["resourceType"] == "Patient" for n in r["name"]}
    terms = (Path(__file__).parents[2] / "mappings/codes/toxicity.csv").read_bytes().replace(b",", b" ")
    names -= set(terms.split())  # "White blood cell decreased" is no patient
    for path in sorted(export.result.out.rglob("*")):
        if path.is_file() and path.suffix != ".parquet":
            text = path.read_bytes()
            words = set(text.replace(b'"', b" ").replace(b",", b" ").replace(b"/", b" ").split())
            assert not words & ids, path.name
            assert not words & names, path.name


@needs_data
def test_what_no_map_knows_is_listed(export: Export) -> None:
    unmapped = export.result.unmapped
    assert len(unmapped)
    lab = unmapped[unmapped["resource_type"] == "Observation"]
    known = {"777-3", "6690-2", "718-7"}
    assert not {code.rpartition("|")[2] for text in lab["code"] for code in text.split()} & known


@needs_data
def test_nine_of_ten_laboratory_results_and_vital_signs_are_mapped(export: Export) -> None:
    """By the table, counted on the plain JSON: an Observation is mapped if its code, or that of one of its components, is."""
    table = load_codes("observations", resources_of("mappings.codes"))
    mapped, missed = Counter[str](), Counter[str]()
    for r in export.resources:
        if r["resourceType"] != "Observation" or subject_of(r) not in export.subjects:
            continue
        categories = {c["code"] for x in r.get("category", []) for c in x.get("coding", [])}
        for kind in categories & {"laboratory", "vital-signs"}:
            codes = [c for part in (r, *r.get("component", [])) for c in part["code"]["coding"]]
            row = table.find([(c["system"], c["code"]) for c in codes])
            if row is None:
                missed[kind, codes[0]["display"]] += 1
            else:
                assert row["domain"] == ("LB" if kind == "laboratory" else "VS"), codes
                mapped[kind] += 1
    assert mapped["laboratory"] > 1000
    assert mapped["vital-signs"] > 1000
    for kind in ("laboratory", "vital-signs"):
        assert mapped[kind] >= 0.9 * (mapped[kind] + sum(n for (k, _), n in missed.items() if k == kind))
    assert {name for (_, name), _ in missed.items() if "IgE Ab in Serum" not in name} == set()


@needs_data
def test_the_build_keeps_them_or_says_why_not(export: Export) -> None:
    """Laboratory results stand in LB; of the rest each has a reason, and only allergies have codes that no table knows."""
    observations = export.result.manifest["resources"]["Observation"]
    assert set(observations["dropped"]) <= {
        "not-a-subject", "unmapped-code", "domain-not-built", "panel-without-value", "unit-not-convertible", "duplicate-result",
        "value-type-not-read", "after-data-cut",
    }  # fmt: skip
    own = sum(observations["dropped"][r] for r in observations["dropped"] if r != "not-a-subject")
    assert observations["read"] == observations["used"] + own + observations["dropped"]["not-a-subject"]
    of_subjects = [
        r for r in export.resources if r["resourceType"] == "Observation" and subject_of(r) in export.subjects
    ]
    laboratory = [r for r in of_subjects if r["category"][0]["coding"][0]["code"] == "laboratory"]
    assert len(export.result.sdtm["LB"]) >= 0.9 * len(laboratory)
    # an eGFR in mL/min is no eGFR for 1.73 m2
    rejects = export.result.rejects
    assert set(rejects.loc[rejects["resource_type"] == "Observation", "reason"]) <= {"unit-not-convertible"}


@needs_data
def test_codes_check_says_the_same_as_the_build(export: Export, tmp_path: Path) -> None:
    lines = ["patient,subjid,siteid,arm,consent_date,randomisation_date"]
    lines += [f"{pid},{i:03d},01,MSC,{CONSENT},2015-01-05" for i, pid in enumerate(sorted(export.subjects), 1)]
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    found = check_codes([str(SYNTHEA)], "pgf_msc", str(tmp_path / "log.csv"))
    built = export.result.unmapped
    listed = {f"{c.system}|{c.code}": c.records for c in found.codes if c.resource == "Observation"}
    of_build = built[built["resource_type"] == "Observation"]
    assert listed == dict(zip(of_build["code"], of_build["count"], strict=True))
    assert found.subjects == 20


@needs_data
@pytest.mark.parametrize("name", EXAMPLES)
def test_codes_check_reads_every_set(name: str) -> None:
    found = check_codes([str(SHARED / name)], "pgf_msc")
    assert found.resources["Observation"].mapped > 0
    assert sum(r.mapped for r in found.resources.values()) + sum(c.records for c in found.codes) + found.hidden >= sum(
        r.records for r in found.resources.values()
    )


# --- published examples ----------------------------------------------------------------------------------------------


def examples() -> Iterator[Any]:
    """Yield every example of a type that is read, single or inside a Bundle."""
    for name in EXAMPLES:
        for path in sorted((SHARED / name).rglob("*.json")):
            try:
                found = json.loads(path.read_bytes())
            except ValueError:
                continue
            if not isinstance(found, dict):
                continue
            inside = (
                [e.get("resource") for e in found.get("entry", [])] if found.get("resourceType") == "Bundle" else []
            )
            yield from (r for r in (found, *inside) if isinstance(r, dict) and r.get("resourceType") in READERS)


ELEMENTS = {
    "Patient": "id",
    "Consent": "patient",
    "SupplyDelivery": "patient",
    "BiologicallyDerivedProductDispense": "patient",
    "ResearchSubject": "individual",
}
"""Where a resource names its patient, if not in `subject`."""


@needs_data
def test_published_examples_pass_intake() -> None:
    """Each example as if about our subject: read or rejected for a stated reason, and never an exception."""
    mine = {"reference": "Patient/s"}
    number, kept, reasons = 0, 0, Counter[tuple[str, str]]()
    for r in examples():
        kind = r["resourceType"]
        subject = ELEMENTS.get(kind, "subject")
        line = line_of(r | {subject: "s" if kind == "Patient" else mine})
        taken = take(line)
        balanced(taken)
        number += 1
        kept += len(taken.links)
        reasons.update((kind, x.reason) for x in taken.rejects if not x.where.startswith("component["))
        assert not taken.links or rows(taken, kind)
        # of a Specimen of somebody else the keyed id is kept
        assert not take(line_of(r)).tables.keys() - {"Specimen"} or subject_of(r) == "s"
    assert number > 100
    assert kept + sum(reasons.values()) == number
    assert {reason for _, reason in reasons} <= {
        "no-code",  # a narrative only, a code that says it is unknown
        "medication-not-found",  # a medication that is elsewhere
        "no-id",  # resources in a document Bundle are known by their fullUrl
        "decimal-malformed",  # 1.0e+245
    }
    assert sum(n for (_, reason), n in reasons.items() if reason != "no-id") <= 5

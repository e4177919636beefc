"""From a value back to the hospital's line: the trace of the demo build, followed by hand.

The resources are read again with `json`, keyed ids computed again with `hmac`, times with `zoneinfo`, codes looked up
in the CSV files; nothing here calls the program that made the trace.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow.parquet as pq
import pytest

from adapter.result import Result
from tests.conftest import KEY, Cohort, carried_by

ZONE = ZoneInfo("Asia/Shanghai")
CELLS = 600
IDENTIFIERS = {"STUDYID", "DOMAIN", "USUBJID"}
# constants, settings of the trial, and what the enrolment log or products.csv says: no FHIR resource stands behind them
NOT_TRACED = {
    "DM": {"COUNTRY", "AGEU", "SUBJID", "SITEID", "RFICDTC", "ARMCD", "ARM", "DMDTC"},
    "EC": {"ECMOOD", "ECPRESP", "ECDOSFRM", "ECDOSFRQ"},
    "EX": {"EXDOSFRM", "EXDOSFRQ"},
    "CM": {"CMENTPT"},
    "PR": {"PRENTPT"},
    "AE": {"AEENTPT"},
    "CE": {"CEENTPT"},
    "MH": {"MHENTPT"},
    "HO": {"HOENTPT", "HOGRPID"},
    "LB": {"LBDRVFL"},
}
COURSE = {"DS", "DV", "IE", "SE", "SV", "RELREC"}
"""Made of the log, of the course of the subject or of other records; a resource stands behind some of their records only."""


class Cell(NamedTuple):
    """One traced cell: dataset, subject, --SEQ (0 = DM), variable, its value and its trace rows."""

    dataset: str
    usubjid: str
    seq: int
    variable: str
    value: Any
    rows: list[dict[str, Any]]


class Hospital:
    """The FHIR files again: line by line, numbers kept as the text they are."""

    def __init__(self, cohort: Cohort, build: Result) -> None:
        self.labels = {i["number"]: i["label"] for i in build.manifest["inputs"]}
        self.cohort = cohort
        self._lines: dict[str, list[bytes]] = {}
        self._read: dict[tuple[int, int], dict[str, Any]] = {}
        self._products: dict[str, dict[str, Any]] = {}

    def resource(self, file: int, line: int) -> dict[str, Any]:
        label = self.labels[file]
        if label not in self._lines:
            self._lines[label] = carried_by(self.cohort.folder / label)
        if (file, line) not in self._read:
            self._read[file, line] = json.loads(self._lines[label][line - 1], parse_float=str, parse_int=str)
        return self._read[file, line]

    def medication(self, name: str) -> dict[str, Any]:
        if not self._products:
            for line in (self.cohort.fhir / "Medication.ndjson").read_text("utf-8").splitlines():
                r = json.loads(line)
                self._products[f"Medication/{r['id']}"] = r
        return self._products[name]


@pytest.fixture(scope="module")
def hospital(demo10: Cohort, demo10_build: Result) -> Hospital:
    return Hospital(demo10, demo10_build)


@pytest.fixture(scope="module")
def traces(demo10_build: Result) -> dict[str, dict[tuple[str, int, str], list[dict[str, Any]]]]:
    """Dataset -> (USUBJID, --SEQ, variable) -> trace rows."""
    made = {}
    # the analysis datasets point to SDTM records, not to resources (test_adam_build.py)
    for path in sorted(p for p in (demo10_build.out / "trace").glob("*.parquet") if not p.name.startswith("ad")):
        rows = pq.read_table(path).to_pandas()
        found: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
        for row in rows.to_dict("records"):
            seq = 0 if pd.isna(row["SEQ"]) else int(row["SEQ"])
            found.setdefault((row["USUBJID"], seq, row["VARIABLE"]), []).append(row)
        made[path.stem.upper()] = found
    return made


def filled(build: Result, dataset: str) -> Iterator[tuple[str, int, str, Any]]:
    """Yield every non-empty cell of a dataset that must have a trace."""
    frame = build.sdtm[dataset]
    sequence = f"{dataset}SEQ"
    skip = IDENTIFIERS | {sequence} | NOT_TRACED.get(dataset, set())
    numbers = frame[sequence].astype(int) if sequence in frame else pd.Series(0, index=frame.index)
    for v in [v for v in frame if v not in skip]:
        there = frame[v].notna() & (frame[v].astype("str") != "")
        for usubjid, seq, value in zip(frame["USUBJID"][there], numbers[there], frame[v][there], strict=True):
            yield usubjid, int(seq), v, value


@pytest.fixture(scope="module")
def sample(demo10_build: Result, traces: dict[str, Any]) -> list[Cell]:
    """600 cells, drawn evenly over datasets and variables, so that no variable is missed; derived counts stand below."""
    random = Random(20250929)
    lb = demo10_build.sdtm["LB"]
    derived = set(lb.loc[lb["LBDRVFL"] == "Y", ["USUBJID", "LBSEQ"]].itertuples(index=False, name=None))
    by_variable: dict[tuple[str, str], list[Cell]] = {}
    for dataset, found in ((d, f) for d, f in traces.items() if d not in COURSE):
        for usubjid, seq, v, value in filled(demo10_build, dataset):
            if dataset == "LB" and (usubjid, seq) in derived:
                continue
            cell = Cell(dataset, usubjid, seq, v, value, found.get((usubjid, seq, v), []))
            by_variable.setdefault((dataset, v), []).append(cell)
    each = CELLS // len(by_variable) + 1
    chosen = [c for cells in by_variable.values() for c in random.sample(cells, min(each, len(cells)))]
    everything = [c for cells in by_variable.values() for c in cells]
    return chosen + random.sample(everything, max(0, CELLS - len(chosen)))


def test_every_value_has_a_trace(demo10_build: Result, traces: dict[str, Any]) -> None:
    events, findings = {"AE", "CE", "MH", "HO"}, {"LB", "MB", "VS", "RS", "FA", "DD"}
    assert set(traces) - COURSE == {"DM", "EC", "EX", "CM", "PR", *events, *findings}
    for dataset, found in ((d, f) for d, f in traces.items() if d not in COURSE):
        missing = [(u, s, v) for u, s, v, _ in filled(demo10_build, dataset) if (u, s, v) not in found]
        assert missing == [], f"{dataset}: {len(missing)} cells without a source"


def test_of_the_course_of_a_subject_what_a_resource_tells_has_a_trace(
    demo10_build: Result, traces: dict[str, Any]
) -> None:
    """DS: deaths by the Patient. SE is made of rules, and a visit has no --SEQ that a trace could name."""
    ds = demo10_build.sdtm["DS"]
    deaths = {(r.USUBJID, int(r.DSSEQ)) for r in ds[ds["DSTERM"] == "DEATH"].itertuples()}
    traced = {(u, s) for (u, s, v), rows in traces["DS"].items() if rows[0]["RESOURCE"] == "Patient" and v == "DSTERM"}
    assert deaths == traced
    assert traces["SE"] == traces["SV"] == {}


def test_no_trace_without_a_value(demo10_build: Result, traces: dict[str, Any]) -> None:
    for dataset, found in traces.items():
        there = {(u, s, v) for u, s, v, _ in filled(demo10_build, dataset)}
        assert {k for k in found if k not in there} == set()


def test_rows_lead_to_the_resource_with_that_id(sample: list[Cell], hospital: Hospital) -> None:
    """File number (manifest), line, resource type, version, and HMAC-SHA-256(key, Type/id) cut to 16 bytes."""
    assert len(sample) >= CELLS
    key = bytes.fromhex(KEY)
    followed = 0
    for cell in sample:
        for row in cell.rows:
            if not row["RESOURCE"]:
                continue
            r = hospital.resource(row["FILE"], row["LINE"])
            assert r["resourceType"] == row["RESOURCE"]
            identity = f"{r['resourceType']}/{r['id']}".encode()
            assert row["KEYED_ID"] == hmac.new(key, identity, hashlib.sha256).digest()[:16].hex()
            assert row["VERSION"] == r.get("meta", {}).get("versionId")
            followed += 1
    assert followed >= CELLS


def test_no_real_id_is_in_the_trace(demo10_build: Result, hospital: Hospital) -> None:
    ids = {
        json.loads(line)["id"] for p in hospital.cohort.fhir.glob("Patient*") for line in p.read_bytes().splitlines()
    }
    for path in (demo10_build.out / "trace").glob("*.parquet"):
        table = pq.read_table(path).to_pandas()
        for column in table.select_dtypes(exclude="number"):
            assert not set(map(str, table[column].unique())) & ids
        if path.name.startswith("ad"):
            continue  # analysis datasets name SDTM records only
        assert table["KEYED_ID"].dropna().str.fullmatch(r"[0-9a-f]{32}").all()


def test_every_row_names_an_element_or_a_rule(traces: dict[str, Any]) -> None:
    """A value is read from an element, or computed by a rule of define.xml; a row with neither explains nothing."""
    silent = {
        (dataset, variable, row["RESOURCE"])
        for dataset, found in traces.items()
        for (_, _, variable), rows in found.items()
        if not any(row["RULE"] for row in rows)
        for row in rows
        if not row["ELEMENT"]
    }
    assert silent == set()


def test_what_the_log_says_is_not_traced_to_a_patient(traces: dict[str, Any]) -> None:
    """The enrolment log is no FHIR resource: its values must not name a Patient they do not come from."""
    wrong = {v for _, _, v in traces["DM"]} & NOT_TRACED["DM"]
    assert wrong == set()


def test_rules_are_methods_of_define_xml(demo10_build: Result, traces: dict[str, Any]) -> None:
    define = (demo10_build.out / "sdtm/define.xml").read_text("utf-8")
    methods = set(re.findall(r'<MethodDef OID="([^"]+)"', define))
    rules = {row["RULE"] for found in traces.values() for rows in found.values() for row in rows if row["RULE"]}
    assert rules
    assert rules <= methods


# --- the element leads to the value ---------------------------------------------------------------------------------


def at(resource: Any, path: str) -> list[Any]:
    """Follow `Type.a.b[1].c[x]` through JSON and return what stands there; a list without an index means each of it."""
    places = [resource]
    for step in path.split(".")[1:]:
        name, _, rest = step.partition("[")
        index = rest.rstrip("]")
        following: list[Any] = []
        for place in places:
            for p in place if isinstance(place, list) else [place]:
                if not isinstance(p, dict):
                    continue
                if index == "x":
                    following += [v for k, v in p.items() if re.fullmatch(rf"{name}[A-Z]\w*", k)]
                elif name in p:
                    following.append(p[name][int(index)] if index else p[name])
        places = following
    return places


def site_time(text: str) -> str:
    """Return a FHIR date or instant as the site's clock shows it, as precise as it was."""
    if "T" not in text:
        return text
    wall = datetime.fromisoformat(text)
    if wall.tzinfo is not None:
        wall = wall.astimezone(ZONE)
    return wall.strftime("%Y-%m-%dT%H:%M" + (":%S" if text.count(":") - text[19:].count(":") >= 2 else ""))


def starts(r: Any, *names: str) -> str | None:
    """Return the start that the resource gives: effective[x], performed[x], a Specimen's collection, else issued."""
    for name in names:
        for kind in ("DateTime", "Instant"):
            if f"{name}{kind}" in r:
                return site_time(r[f"{name}{kind}"])
        if f"{name}Period" in r and "start" in r[f"{name}Period"]:
            return site_time(r[f"{name}Period"]["start"])
    if "collection" in r:
        return site_time(r["collection"]["collectedDateTime"])
    return site_time(r["issued"]) if "issued" in r else None


def name_in(concept: Any) -> str:
    """Return text, else the first display, else the first code of a CodeableConcept."""
    codings = concept.get("coding", [])
    named = [concept.get("text"), *(c.get("display") for c in codings), *(c.get("code") for c in codings)]
    return str(next(n for n in named if n)).strip()


def drug(r: Any, hospital: Hospital) -> Any:
    if "medicationCodeableConcept" in r:
        return r["medicationCodeableConcept"]
    name = r["medicationReference"]["reference"]
    if name.startswith("#"):
        return next(c for c in r["contained"] if c["id"] == name[1:])["code"]
    if name == "Medication/med-nowhere":  # a wart: it did not come in, and the reference's display names the drug
        return {"text": r["medicationReference"]["display"]}
    return hospital.medication(name)["code"]


def column(name: str, key: str, value: str) -> dict[str, str]:
    with open(str(files("mappings.codes") / f"{name}.csv"), encoding="utf-8", newline="") as f:
        return {r[key]: r[value] for r in csv.DictReader(f) if r[key]}


UNITS = column("units", "spelling", "ct")
TESTS = {v: column("observations", "code", v.lower()) for v in ("TESTCD", "TEST", "CAT", "LOINC")}
ROUTES = column("routes", "code", "ct")
DECODED = column("procedures", "code", "decod")
ATC_NAMES = column("drugs", "code", "cmdecod")


def part(r: Any, element: str) -> Any:
    """Return the contained result, and its component, that an element path goes through, else the resource."""
    for name, n in re.findall(r"(contained|component)\[(\d+)\]", element):
        r = r[name][int(n)]
    return r


def number_and_unit(value: str) -> tuple[str, str, str]:
    """Take apart a result written as text: comparator, number, unit; `12,500` may mean twelve and a half."""
    plain = unicodedata.normalize("NFKC", value).replace("GT ", ">").strip()
    if re.match(r"\d{1,3},\d{3}(?![,.\d])", plain):
        return "", "", ""
    found = re.fullmatch(r"([<>]=?|≥|≤)?\s*(-?\d+(?:\.\d+)?)\s*(.*)", plain.replace(",", ""))
    return ("", "", "") if found is None else ((found[1] or ""), found[2], found[3].lstrip("x×").strip())


def result_of(o: Any) -> str:
    if "valueQuantity" in o:
        q = o["valueQuantity"]
        whole = f" {q['unit']}" if q.get("comparator") == "<>" else ""  # bounds nothing: the result stays a text
        return q.get("comparator", "") + str(q["value"]) + whole
    if "valueRatio" in o:
        return ":".join(str(o["valueRatio"][k]["value"]) for k in ("numerator", "denominator"))
    if "valueRange" in o:
        return "-".join(str(o["valueRange"][k]["value"]) for k in ("low", "high"))
    if "valueInteger" in o:
        return str(o["valueInteger"])
    said = o["valueString"] if "valueString" in o else name_in(o["valueCodeableConcept"])
    comparator, number, _ = number_and_unit(said)
    return comparator + number if number else str(said).strip()


def codes_of(concept: Any) -> list[str]:
    return [c["code"] for c in concept.get("coding", []) if "code" in c]


def unit_of(o: Any) -> str | None:
    q = o.get("valueQuantity", {})
    spellings = [q.get("code"), q.get("unit")]
    if "valueString" in o:
        spellings = [number_and_unit(o["valueString"])[2]]
    return next((UNITS[s] for s in spellings if s in UNITS), None)  # a unit of the site's own table is in no other


def stated(cell: Cell, r: Any, element: str, hospital: Hospital) -> Any:
    """Return what the variable must hold, read from the resource by hand; None where this test does not know how."""
    v, kind = cell.variable, r["resourceType"]
    o = part(r, element)
    if v in ("LBTESTCD", "LBTEST", "LBCAT", "LBLOINC"):
        known = TESTS[v.removeprefix("LB")]
        return next((known[c] for c in codes_of(o["code"]) if c in known), None)
    if v == "LBORRES":
        return result_of(o)
    if v == "LBORRESU":
        return unit_of(o)
    if v in ("LBORNRLO", "LBORNRHI"):
        return o["referenceRange"][0]["low" if v.endswith("LO") else "high"]["value"]
    if v in ("LBDTC", "CMSTDTC", "ECSTDTC", "EXSTDTC", "PRSTDTC"):
        return starts(r, "effective", "performed")
    if v in ("CMENDTC", "ECENDTC", "EXENDTC", "PRENDTC", "LBENDTC"):
        return site_time((r.get("effectivePeriod") or r["performedPeriod"])["end"])
    if v in ("CMTRT", "PRTRT"):
        return name_in(r["code"] if kind == "Procedure" else drug(r, hospital))
    if v in ("CMDECOD", "PRDECOD"):
        known = DECODED if kind == "Procedure" else ATC_NAMES
        concept = r["code"] if kind == "Procedure" else drug(r, hospital)
        return next((known[c] for c in codes_of(concept) if c in known), None)
    if v == "CMDOSE":
        q = r["dosage"]["dose"] if kind == "MedicationAdministration" else r["extension"][0]["valueQuantity"]
        return float(q["value"])
    if v == "ECDOSE":
        q = r["dosage"]["dose"]
        return float(Decimal(q["value"]) / (1_000_000 if q.get("code") == "{cells}" else 1))
    if v in ("CMROUTE", "ECROUTE", "EXROUTE"):
        return next((ROUTES[c] for c in codes_of(r.get("dosage", {}).get("route", {})) if c in ROUTES), None)
    if v == "ECOCCUR":
        return "N" if r["status"] == "not-done" else "Y"
    if v == "ECREASOC":
        return name_in(r["statusReason"][0])
    if v == "SEX":
        return {"male": "M", "female": "F"}.get(r["gender"], "U")
    if v == "DTHDTC":
        return site_time(r["deceasedDateTime"])
    return None


def test_elements_lead_to_the_value(sample: list[Cell], hospital: Hospital, demo10_build: Result) -> None:
    checked: dict[str, int] = {}
    lb = demo10_build.sdtm["LB"]
    # a derived count's own test is not that of its parents
    derived = {(u, int(n)) for u, n, y in zip(lb["USUBJID"], lb["LBSEQ"], lb["LBDRVFL"], strict=True) if y == "Y"}
    for cell in sample:
        if cell.dataset == "LB" and (cell.usubjid, cell.seq) in derived:
            continue
        for row in cell.rows:
            if not row["ELEMENT"] or row["RULE"]:
                continue
            r = hospital.resource(row["FILE"], row["LINE"])
            expected = stated(cell, r, row["ELEMENT"], hospital)
            if expected is not None:
                where = f"{cell.dataset}.{cell.variable} {row['ELEMENT']} of {row['FILE']}:{row['LINE']}"
                assert cell.value == expected, where
                checked[cell.variable] = checked.get(cell.variable, 0) + 1
    wanted = (
        "LBORRES LBORRESU LBDTC LBTESTCD LBLOINC LBORNRLO CMTRT CMDECOD CMDOSE CMSTDTC CMENDTC ECDOSE ECSTDTC ECOCCUR"
    )
    wanted += " EXSTDTC PRTRT PRSTDTC PRENDTC SEX"
    assert set(wanted.split()) <= set(checked)
    assert sum(checked.values()) >= 80


def test_every_result_in_original_units_is_the_hospital_s_text(
    demo10_build: Result, traces: dict[str, Any], hospital: Hospital
) -> None:
    """All LBORRES, not a sample: digit for digit what the line says (numbers are text until they are numbers)."""
    compared = 0
    for usubjid, seq, v, value in filled(demo10_build, "LB"):
        if v == "LBORRES":
            row = traces["LB"][usubjid, seq, v][0]
            o = part(hospital.resource(row["FILE"], row["LINE"]), row["ELEMENT"])
            assert value == result_of(o)
            compared += 1
    assert compared > 4000


# Paths that say where an answer was looked for, not where it stands.
ABSENT = {"CMENRTPT", "PRENRTPT", "LBSTAT"}
# What stands where the hospital says nothing: the trial's default, the product's route, the specimen the code implies.
DEFAULTS = {
    "RACE": {"UNKNOWN"},
    "ECROUTE": {"INTRAVENOUS"},
    "EXROUTE": {"INTRAVENOUS"},
    # the last two by the site's own table
    "LBSPEC": {*column("observations", "code", "specimen").values(), "URINE", "SERUM"},
    "MBSPEC": {*column("observations", "code", "specimen").values()},
    # a stage of GVHD without a type is its overall grade
    "RSTESTCD": {"GVHDGRD"},
    "RSTEST": {"GVHD Overall Grade"},
}


# R5 has the elements under other names; what a mixture is made of stands where its dose would
RENAMED = {"wart-release-five", "wart-mixture-of-two"}


def test_named_elements_exist(demo10_build: Result, traces: dict[str, Any], hospital: Hospital) -> None:
    """All rows: the path is there in the resource, or the value is the default of its variable."""
    missing: dict[str, set[tuple[str, Any]]] = {}
    looked: dict[tuple[int, int, str], bool] = {}
    for dataset, found in traces.items():
        for usubjid, seq, v, value in filled(demo10_build, dataset):
            for row in found.get((usubjid, seq, v), []):
                path, place = row["ELEMENT"], (row["FILE"], row["LINE"], row["ELEMENT"])
                if not path.startswith(f"{row['RESOURCE']}.") or v in ABSENT:
                    continue
                if hospital.resource(*place[:2])["id"] in RENAMED:
                    continue
                if place not in looked:
                    r = hospital.resource(row["FILE"], row["LINE"])
                    # a unit inside a text or a Range has no element of its own; limits in odd units become a text
                    inside = {"valueString", "valueCodeableConcept", "valueRange"} & part(r, path).keys()
                    there = path.removesuffix(".unit") if inside else path.replace("Range.text", "Range.low")
                    looked[place] = bool(at(r, there) or at(r, path))
                # where `issued` stood in for effective[x], this names what it stood in for
                instead = v == "LBDTC" and "issued" in hospital.resource(*place[:2])
                if not looked[place] and not instead and value not in DEFAULTS.get(v, set()):
                    missing.setdefault(f"{dataset}.{v}", set()).add((path, value))
    assert len(looked) > 10_000
    assert missing == {}


# --- values of several resources ------------------------------------------------------------------------------------


def test_a_derived_count_lists_all_its_parents(
    demo10_build: Result, traces: dict[str, Any], hospital: Hospital
) -> None:
    """NEUT = WBC x sum of percentages / 100 (protocol §3), recomputed from the resources that the trace lists."""
    lb = demo10_build.sdtm["LB"]
    derived = lb[lb["LBDRVFL"] == "Y"]
    assert len(derived) > 50
    for one in derived.itertuples():
        rows = traces["LB"][one.USUBJID, int(one.LBSEQ), "LBSTRESC"]
        places = {(r["FILE"], r["LINE"], r["ELEMENT"]) for r in rows}
        resources = {}
        for file, line, _ in places:
            resources[file, line] = hospital.resource(file, line)
        tests: dict[str, Decimal] = {}
        for r in resources.values():
            for o in r.get("component", [r]):
                code = next((TESTS["TESTCD"][c] for c in codes_of(o["code"]) if c in TESTS["TESTCD"]), "")
                if code in ("WBC", "NEUTLE", "NEUTSGLE", "NEUTBLE") and "valueQuantity" in o:
                    tests[code] = Decimal(o["valueQuantity"]["value"])
        assert "WBC" in tests, one.LBSEQ
        assert {"NEUTLE"} <= set(tests) or {"NEUTSGLE", "NEUTBLE"} <= set(tests)
        shares = [tests[t] for t in ("NEUTSGLE", "NEUTBLE") if t in tests] or [tests["NEUTLE"]]
        assert Decimal(one.LBSTRESC) == tests["WBC"] * sum(shares) / 100


def test_a_dose_per_kilogram_lists_the_weight(demo10_build: Result, traces: dict[str, Any], hospital: Hospital) -> None:
    """EXDOSE of a total = cells / 10^6 / kg, half up to two decimals; the weight is one of the listed resources."""
    ex = demo10_build.sdtm["EX"]
    totals = 0
    for one in ex.itertuples():
        rows = traces["EX"][one.USUBJID, int(one.EXSEQ), "EXDOSE"]
        found = {r["RESOURCE"]: hospital.resource(r["FILE"], r["LINE"]) for r in rows}
        dose = found["MedicationAdministration"]["dosage"]["dose"]
        if "kg" in dose["code"]:
            continue
        totals += 1
        weight = Decimal(found["Observation"]["valueQuantity"]["value"])
        cells = Decimal(dose["value"]) / (1 if dose["code"] == "10*6" else 1_000_000)
        cents = (cells / weight).quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert float(cents) == one.EXDOSE
    assert totals > 5


@pytest.mark.parametrize("variable", ["RFSTDTC", "RFXSTDTC", "RFXENDTC"])
def test_reference_dates_list_the_administration(
    variable: str, demo10_build: Result, traces: dict[str, Any], hospital: Hospital
) -> None:
    dm = demo10_build.sdtm["DM"]
    ex = set(demo10_build.sdtm["EX"]["USUBJID"])
    checked = 0
    for one in dm[dm["USUBJID"].isin(ex)].itertuples():
        rows = [r for r in traces["DM"][one.USUBJID, 0, variable] if r["RESOURCE"] == "MedicationAdministration"]
        assert rows, f"{one.USUBJID}: {variable} names no administration"
        times = set()
        for row in rows:
            r = hospital.resource(row["FILE"], row["LINE"])
            times |= {starts(r, "effective"), site_time(r.get("effectivePeriod", {}).get("end", "0001"))}
        assert getattr(one, variable) in times
        checked += 1
    assert checked >= 4

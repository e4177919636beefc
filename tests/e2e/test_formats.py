"""A build in all formats: the same cells in each, read by others' readers, and metadata that is define.xml's.

Nothing here is read by the program's own readers unless the test says so: XPT by ReadStat, JSON by Python's json, CSV by
Python's csv, Parquet by pyarrow, define.xml by lxml.
"""

from __future__ import annotations

import csv
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pyarrow.parquet as pq
import pyreadstat
import pytest
from lxml import etree

from adapter import build, cli
from adapter.result import Result
from adapter.writers.formats import SUFFIXES
from adapter.writers.read import read_dataset
from tests.conftest import DATASETS, Cohort, hashes, make_site
from tests.define_checks import broken_references, unreferenced, xsd_errors

REPO = Path(__file__).parents[2]
NAMES = ["CM", "DM", "EC", "EX", "LB", "PR", "TS"]
ODM, DEF = "{http://www.cdisc.org/ns/odm/v1.3}", "{http://www.cdisc.org/ns/def/v2.1}"
HREF = "{http://www.w3.org/1999/xlink}href"
SMALL_RANGE = 120_000
DATA_TYPES = {k: k for k in ("integer", "float", "date", "datetime")} | {"text": "string"}


@pytest.fixture(scope="module")
def every(demo10: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The demo's package in all formats, named in no particular order."""
    out = tmp_path_factory.mktemp("every") / "out"
    told = "csv,ndjson,xpt,parquet,dataset-json"
    return build(demo10.fhir, out=out, enrolment=demo10.log, site=demo10.site, workers=1, format=told)


def cells_of(path: Path) -> list[list[Any]]:
    """Return the rows of a dataset file: texts, numbers as float, missing numbers None. CSV: all as text."""
    if path.suffix == ".xpt":
        frame, _ = pyreadstat.read_xport(str(path))
        rows = frame.to_numpy(dtype=object).tolist()
        return [[None if isinstance(x, float) and pd.isna(x) else x for x in r] for r in rows]
    if path.suffix == ".json":
        return [list(r) for r in json.loads(path.read_bytes())["rows"]]
    if path.suffix == ".ndjson":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()[1:]]
    if path.suffix == ".parquet":
        return [list(r) for r in zip(*pq.read_table(path).to_pydict().values(), strict=True)]
    with path.open(encoding="utf-8", newline="") as f:
        return [list(r) for r in csv.reader(f, strict=True)][1:]


def same_in_every_format(xpt: Path) -> None:
    """The file of a dataset in each other format has the cells of its transport file."""
    expected = cells_of(xpt)
    assert expected
    for suffix in (".json", ".ndjson", ".parquet"):
        assert cells_of(xpt.with_suffix(suffix)) == expected, suffix
    typed = []
    for row, values in zip(cells_of(xpt.with_suffix(".csv")), expected, strict=True):
        pairs = zip(row, values, strict=True)
        typed.append([c if isinstance(v, str) else float(c) if c else None for c, v in pairs])
    assert typed == expected


class Defined:
    """What define.xml says of one dataset."""

    def __init__(self, define: Path, name: str) -> None:
        tree = etree.parse(str(define))
        items = {i.get("OID"): i for i in tree.iter(f"{ODM}ItemDef")}
        self.study, self.version = next(tree.iter(f"{ODM}Study")), next(tree.iter(f"{ODM}MetaDataVersion"))
        self.root = tree.getroot()
        self.group = next(g for g in tree.iter(f"{ODM}ItemGroupDef") if g.get("Name") == name)
        self.refs = list(self.group.iterfind(f"{ODM}ItemRef"))
        self.items = [items[r.get("ItemOID")] for r in self.refs]

    @staticmethod
    def label(e: etree._Element) -> str:
        return str(e.findtext(f"{ODM}Description/{ODM}TranslatedText"))


@pytest.mark.parametrize("name", NAMES)
def test_all_formats_carry_the_same_cells(name: str, every: Result) -> None:
    same_in_every_format(every.out / "sdtm" / f"{name.lower()}.xpt")


@pytest.mark.parametrize("name", NAMES)
def test_the_program_reads_every_format_to_the_same_frame(name: str, every: Result) -> None:
    file = every.out / "sdtm" / name.lower()
    frame, label, labels = read_dataset(file.with_suffix(".xpt"))
    for suffix in (".json", ".ndjson", ".parquet", ".csv"):
        other, other_label, other_labels = read_dataset(file.with_suffix(suffix))
        pd.testing.assert_frame_equal(other, frame, check_exact=True)
        assert (other_label, other_labels) == (label, labels)


@cache
def validator() -> jsonschema.Draft201909Validator:
    schema = files("schemas").joinpath("dataset-json-1.1.schema.json").read_text("utf-8")
    return jsonschema.Draft201909Validator(json.loads(schema))


@pytest.mark.parametrize("name", NAMES)
def test_dataset_json_is_valid_and_says_what_define_xml_says(name: str, every: Result) -> None:
    folder = every.out / "sdtm"
    found = json.loads((folder / f"{name.lower()}.json").read_bytes())
    assert list(validator().iter_errors(found)) == []
    defined = Defined(folder / "define.xml", name)
    columns = []
    for ref, item in zip(defined.refs, defined.items, strict=True):
        data_type = DATA_TYPES.get(str(item.get("DataType")), "string")
        column = {"itemOID": item.get("OID"), "name": item.get("Name"), "label": Defined.label(item)}
        column |= {"dataType": data_type}
        more = {
            "length": item.get("Length"),
            "displayFormat": item.get(f"{DEF}DisplayFormat"),
            "keySequence": ref.get("KeySequence"),
        }
        columns.append(column | {k: int(v) if v.isdecimal() else v for k, v in more.items() if v is not None})
    cut = every.counts["data_cut"]
    assert {k: v for k, v in found.items() if k != "rows"} == {
        "datasetJSONCreationDateTime": f"{cut}T00:00:00",
        "datasetJSONVersion": "1.1.0",
        "fileOID": f"PGFMSC.SDTM.{cut}T00:00:00.{name}",
        "originator": defined.root.get("Originator"),
        "sourceSystem": {"name": "fhir2cdisc", "version": defined.root.get("SourceSystemVersion")},
        "studyOID": defined.study.get("OID"),
        "metaDataVersionOID": defined.version.get("OID"),
        "metaDataRef": "define.xml",
        "itemGroupOID": defined.group.get("OID"),
        "records": every.counts["records"][name],
        "name": name,
        "label": Defined.label(defined.group),
        "columns": columns,
    }
    assert defined.root.get("CreationDateTime") == f"{cut}T00:00:00"
    # the specification's order of attributes, so that a streaming reader meets the columns before the rows
    order = list(validator().schema["properties"])
    assert set(found) <= set(order)
    assert list(found)[-2:] == ["columns", "rows"]
    first = (folder / f"{name.lower()}.ndjson").read_text("utf-8").splitlines()[0]
    assert json.loads(first) == {k: v for k, v in found.items() if k != "rows"}


@pytest.mark.parametrize("name", NAMES)
def test_cells_have_the_json_type_of_their_column(name: str, every: Result) -> None:
    """Dataset-JSON 1.1, "Supported Column Data Type Combinations"; missing numbers null, missing texts empty."""
    found = json.loads((every.out / "sdtm" / f"{name.lower()}.json").read_bytes())
    allowed: dict[str, tuple[type, ...]] = {
        "string": (str,), "date": (str,), "datetime": (str,), "integer": (int, type(None)),
        "float": (int, float, type(None)),
    }  # fmt: skip
    for at, column in enumerate(found["columns"]):
        for row in found["rows"]:
            value = row[at]
            assert type(value) in allowed[column["dataType"]], column["name"]
            if column["dataType"] == "date" and value:
                assert re.fullmatch(r"\d{4}-\d\d-\d\d", value), column["name"]
            if column["dataType"] == "datetime" and value:
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", value), column["name"]


@pytest.mark.parametrize("name", NAMES)
def test_parquet_describes_itself(name: str, every: Result) -> None:
    folder = every.out / "sdtm"
    found, defined = pq.read_schema(folder / f"{name.lower()}.parquet"), Defined(folder / "define.xml", name)
    kinds = {"integer": "int64", "float": "double"}
    assert [(f.name, str(f.type), f.metadata) for f in found] == [
        (i.get("Name"), kinds.get(str(i.get("DataType")), "string"), {b"label": Defined.label(i).encode()})
        for i in defined.items
    ]
    assert found.metadata == {b"name": name.encode(), b"label": Defined.label(defined.group).encode()}


def test_csv_is_rfc_4180_in_utf_8(every: Result) -> None:
    """RFC 4180 §2: lines end with CR LF, the last one too; the first names the fields; all have as many fields."""
    raw = (every.out / "sdtm" / "cm.csv").read_bytes()
    assert raw.startswith(b"STUDYID,DOMAIN,USUBJID,")
    assert raw.endswith(b"\r\n")
    assert raw.count(b"\n") == raw.count(b"\r\n") == every.counts["records"]["CM"] + 1
    assert not raw.decode().isascii(), "the demo has Chinese texts"


def test_more_formats_change_nothing_of_the_others(every: Result, demo10_build: Result) -> None:
    assert hashes(every.out, DATASETS) == hashes(demo10_build.out, DATASETS)
    for what in ("trace/*.parquet", "data-issues.csv", "rejects.ndjson", "unmapped.csv"):
        assert hashes(every.out, [what]) == hashes(demo10_build.out, [what])
    assert every.counts == demo10_build.counts


def test_the_manifest_lists_every_file(every: Result) -> None:
    told = {o["file"]: o["sha256"] for o in every.manifest["outputs"]}
    datasets = {p.stem for p in (every.out / "sdtm").glob("*.xpt")}
    assert datasets >= {n.lower() for n in NAMES}
    wanted = {f"sdtm/{n}{s}" for n in datasets for s in SUFFIXES.values()}
    assert wanted == {n for n in told if n.startswith("sdtm/") and not n.startswith("sdtm/define")}
    assert {n: told[n] for n in wanted} == hashes(every.out, wanted)


@pytest.mark.long  # of XPT it is shown by test_determinism.py
def test_bytes_are_the_same_for_any_number_of_workers(
    demo10: Cohort, every: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.subject_tasks.GROUP_ROWS", 1500)
    out = tmp_path / "out"
    build(
        demo10.fhir, out=out, enrolment=demo10.log, site=demo10.site, workers=3, range_bytes=SMALL_RANGE,
        format=list(SUFFIXES),
    )  # fmt: skip
    assert hashes(out, ["sdtm/*", "trace/*", "manifest.json"]) == hashes(
        every.out, ["sdtm/*", "trace/*", "manifest.json"]
    )


# --- without XPT, and texts of every kind ----------------------------------------------------------------------------

ODD = [
    'he said "阳性", twice', "a,b;c", "C:\\temp\\u0041", "one\u2028two\u2029three\u0085four", "=HYPERLINK(1)", "弱阳性🩸",
    "NA", "first\nsecond\r\nthird", "<b>&amp;</b>", "'single'",
]  # fmt: skip
LONG_NAME = "成分输血科辐照去白细胞单采血小板" * 8  # 384 bytes: 198 of them in CMTRT, the rest in SUPPCM
NAMES_OF_ODD = ["CM", "DM", "LB", "SUPPCM", "TS"]
DECIMALS = ["0.30000000000000004", "123456.789012345", "1E-7", "4.10", "33.333333333333336"]


def hospital(folder: Path) -> Path:
    """One subject with text results of every kind and numbers of many digits; a site's own codes name the tests."""
    make_site(folder / "site")
    (folder / "fhir").mkdir()
    people = '{"resourceType":"Patient","id":"p1","gender":"female","birthDate":"1980-05-01"}\n'
    (folder / "fhir" / "Patient.ndjson").write_text(people, "utf-8")
    lines = []
    for i, (code, value) in enumerate([("TXT", t) for t in ODD] + [("NUM", n) for n in DECIMALS]):
        made: dict[str, Any] = {"resourceType": "Observation", "id": f"o{i}", "status": "final"}
        made |= {"subject": {"reference": "Patient/p1"}, "effectiveDateTime": f"2024-01-{i + 2:02d}"}
        made |= {"code": {"coding": [{"system": "urn:lab", "code": code}]}}
        line = json.dumps(made | ({"valueString": value} if code == "TXT" else {}), ensure_ascii=False)
        if code == "NUM":
            line = f'{line[:-1]},"valueQuantity":{{"value":{value},"unit":"mg/L"}}}}'
        lines.append(line + "\n")
    (folder / "fhir" / "Observation.ndjson").write_text("".join(lines), "utf-8")
    drug = {"resourceType": "MedicationAdministration", "id": "d1", "status": "completed"}
    drug |= {"subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2024-01-05"}
    drug |= {"medicationCodeableConcept": {"coding": [{"system": "urn:x", "code": "long"}], "text": LONG_NAME}}
    (folder / "fhir" / "MedicationAdministration.ndjson").write_text(json.dumps(drug) + "\n", "utf-8")
    (folder / "site" / "observations.csv").write_text(
        "system,code,display,domain,testcd,test,cat,specimen,standard_unit,standard_ucum,result_type\n"
        "urn:lab,TXT,T,LB,HBSAG,Hepatitis B Surface Antigen,SEROLOGY,SERUM,,,text\n"
        "urn:lab,NUM,N,LB,CRP,C Reactive Protein,CHEMISTRY,SERUM,mg/L,mg/L,numeric\n",
        "utf-8",
    )
    header = "patient,subjid,siteid,arm,consent_date,randomisation_date\n"
    (folder / "log.csv").write_text(f"{header}p1,001,01,MSC,2024-01-01,2024-01-02\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = hospital(tmp_path_factory.mktemp("odd"))
    return build(
        folder / "fhir", out=folder / "out", enrolment=folder / "log.csv", site=folder / "site", workers=1,
        format=["xpt", "dataset-json", "ndjson", "parquet", "csv"],
    )  # fmt: skip


def test_odd_texts_and_long_numbers_are_the_same_in_every_format(odd: Result) -> None:
    file = odd.out / "sdtm" / "lb.xpt"
    xpt = cells_of(file)
    header = [str(f.name) for f in pq.read_schema(file.with_suffix(".parquet"))]
    orres, stresn = header.index("LBORRES"), header.index("LBSTRESN")
    given = {r[orres] for r in xpt}
    # what the hospital wrote, up to line ends in a text
    assert {t for t in ODD if "\n" not in t} | set(DECIMALS) <= given
    assert {float(n) for n in DECIMALS} == {r[stresn] for r in xpt} - {None}
    raw = file.with_suffix(".json").read_text("utf-8")
    assert ",0.30000000000000004," in raw, "the shortest text of that number"
    assert "33.333333333333336" in raw
    assert not re.search("[\u0085\u2028\u2029]", raw), "no reader may take them for line ends"


@pytest.mark.parametrize("name", NAMES_OF_ODD)
def test_small_datasets_and_supplemental_qualifiers_too(name: str, odd: Result) -> None:
    file = odd.out / "sdtm" / f"{name.lower()}.xpt"
    same_in_every_format(file)
    found = json.loads(file.with_suffix(".json").read_bytes())
    assert list(validator().iter_errors(found)) == []
    assert [c["itemOID"] for c in found["columns"]] == [
        i.get("OID") for i in Defined(odd.out / "sdtm" / "define.xml", name).items
    ]


def test_the_rest_of_a_long_text_is_in_supp_in_every_format(odd: Result) -> None:
    for suffix in SUFFIXES.values():
        cm, _, _ = read_dataset(odd.out / "sdtm" / f"cm{suffix}")
        supp, label, _ = read_dataset(odd.out / "sdtm" / f"suppcm{suffix}")
        assert cm["CMTRT"].item() + supp["QVAL"].item() == LONG_NAME
        assert (supp["IDVARVAL"].item(), label) == ("1", "Supplemental Qualifiers for CM")


def test_lines_of_ndjson_are_records(odd: Result) -> None:
    raw = (odd.out / "sdtm" / "lb.ndjson").read_text("utf-8")
    assert len(raw.splitlines()) == raw.count("\n") == 1 + odd.counts["records"]["LB"]


WITHOUT_XPT = [
    ("csv,ndjson,parquet,dataset-json", ".json", [".json", ".ndjson", ".parquet", ".csv"]),
    ("csv,parquet,ndjson", ".ndjson", [".ndjson", ".parquet", ".csv"]),
    ("csv,parquet", ".parquet", [".parquet", ".csv"]),
    (["csv"], ".csv", [".csv"]),
]


@pytest.mark.parametrize(("told", "first", "endings"), WITHOUT_XPT)
def test_define_xml_points_to_the_preferred_format(
    told: Any, first: str, endings: list[str], odd: Result, tmp_path: Path
) -> None:
    """Define-XML 2.1 gives a dataset one def:leaf; it must lead to a file that is there."""
    folder = hospital(tmp_path)
    result = build(
        folder / "fhir", out=tmp_path / "out", enrolment=folder / "log.csv", site=folder / "site", workers=1,
        format=told,
    )  # fmt: skip
    sdtm = result.out / "sdtm"
    found = {p.suffix for p in sdtm.iterdir() if not p.name.startswith("define")}
    assert found == set(endings)
    define = sdtm / "define.xml"
    assert xsd_errors(define) + broken_references(define) + unreferenced(define) == []
    leaves = {}
    for group in etree.parse(str(define)).iter(f"{ODM}ItemGroupDef"):
        for leaf in group.iterfind(f"{DEF}leaf"):
            leaves[group.get("Name")] = leaf.get(HREF)
            assert leaf.get("ID") == group.get(f"{DEF}ArchiveLocationID")
            assert leaf.findtext(f"{DEF}title") == leaf.get(HREF)
    assert leaves == {n: f"{n.lower()}{first}" for n in leaves}
    assert set(NAMES_OF_ODD) <= set(leaves)
    assert all((sdtm / str(href)).is_file() for href in leaves.values())
    # but for the names of the files define.xml is the same as that of the transport files
    assert define.read_text("utf-8").replace(f"{first}<", ".xpt<").replace(f'{first}"', '.xpt"') == (
        odd.out / "sdtm" / "define.xml"
    ).read_text("utf-8")
    # a file does not depend on what else is asked for
    datasets = [*(f"sdtm/*{e}" for e in endings), "trace/*"]
    assert hashes(result.out, datasets) == hashes(odd.out, datasets)
    assert set(NAMES_OF_ODD) <= set(result.sdtm)
    for name in result.sdtm:
        pd.testing.assert_frame_equal(result.sdtm[name], odd.sdtm[name], check_exact=True)
        assert result.sdtm[name].attrs == odd.sdtm[name].attrs


def test_another_format_replaces_the_files_of_the_earlier_build(tmp_path: Path) -> None:
    folder = hospital(tmp_path)
    command = ["build", str(folder / "fhir"), "--enrolment", str(folder / "log.csv"), "--workers", "1", "--overwrite"]
    for told, endings in (("xpt,csv", {".xpt", ".csv"}), ("parquet", {".parquet"})):
        assert cli.main([*command, "--out", str(tmp_path / "out"), "--format", told]) == 0
        found = {p.suffix for p in (tmp_path / "out" / "sdtm").iterdir() if not p.name.startswith("define")}
        assert found == endings
    request = json.loads((tmp_path / "out" / "run.json").read_bytes())["request"]
    assert request["format"] == ["parquet"]


# --- documentation ---------------------------------------------------------------------------------------------------


def test_help_readme_and_the_page_of_formats_name_all_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["build", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert ", ".join(SUFFIXES) in shown
    readme = (REPO / "README.md").read_text("utf-8")
    page = (REPO / "docs" / "formats.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| `[a-z]+(\.[a-z]+)` \|", page, re.M))
    assert rows == SUFFIXES
    assert list(rows) == list(SUFFIXES), "in order of preference"
    for name, suffix in SUFFIXES.items():
        assert re.search(rf"`{name}`", readme), name
        assert f"`lb{suffix}`" in readme, suffix


def test_the_page_of_formats_reads_what_is_there(every: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (REPO / "docs" / "formats.md").read_text("utf-8")
    (python,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    monkeypatch.chdir(every.out.parent)
    names: dict[str, Any] = {}
    exec(python, names)
    lb = every.sdtm["LB"]
    pd.testing.assert_frame_equal(names["lb"], lb)
    assert names["lb"].attrs["labels"]["LBORRES"] == "Result or Finding in Original Units"
    assert {k: v for k, v in names["first"].items() if v is not None} == lb.iloc[0].dropna().to_dict()
    for kind in ("sql", "sas", "r"):
        (block,) = re.findall(rf"^```{kind}\n(.*?)^```$", page, re.M | re.S)
        named = re.findall(r"['\"](out/[\w./]+)['\"]", block)
        assert named
        assert all(Path(n).is_file() for n in named)


def test_the_query_of_the_page_of_formats_runs(every: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    page = (REPO / "docs" / "formats.md").read_text("utf-8")
    (query,) = re.findall(r"^```sql\n(.*?)^```$", page, re.M | re.S)
    monkeypatch.chdir(every.out.parent)
    found = {code: n for code, n, _ in duckdb.sql(query).fetchall()}
    lb = every.sdtm["LB"]
    assert found == lb[lb["LBSTAT"] == ""]["LBTESTCD"].value_counts().to_dict()

"""A domain that nobody shipped: one new file in the mappings, and dataset, define.xml, docs and trace come by themselves.

The file is written into a copy of the mappings folder; program and copy run in a process of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyreadstat
import pytest
from lxml import etree

from adapter import build
from adapter.result import Result
from adapter.site import Keyer
from tests.conftest import KEY, hashes, make_site, write_lines
from tests.define_checks import broken_references, unreferenced, xsd_errors
from tests.lines import changed
from tests.own import LAB, PERSON, of_subject

REPO = Path(__file__).parents[2]
ODM, DEF = "{http://www.cdisc.org/ns/odm/v1.3}", "{http://www.cdisc.org/ns/def/v2.1}"
FILE = '''"""ZZ, Ward Climate: made up for a test."""

from __future__ import annotations

import pandas as pd

from adapter.spec import ASSIGNED, COLLECTED, DERIVED, Dataset, Inputs, Records, ValueLevel, Variable, call, path, setting
from mappings.findings import result_variables, results
from mappings.parts import identifiers, study_day_of
from mappings.timing import epoch_of, last_before_of, visit_of

LIMIT = setting("safety.modification_grade")


def climate(inputs: Inputs) -> Records:
    """Return one record per measurement."""
    return results(inputs, "ZZ")


def warm(values: pd.Series[float], *, limit: float) -> pd.Series[str]:
    """Y where {a0} is above {limit}."""
    return (values > limit).map({True: "Y", False: ""})


DATASET = Dataset(
    name="ZZ",
    label="Ward Climate",
    cls="FINDINGS",
    structure="One record per measurement per subject",
    keys=("STUDYID", "USUBJID", "ZZTESTCD", "ZZDTC"),
    records=climate,
    value_levels=(ValueLevel("ZZORRES", "ZZTESTCD"),),
    sequence="ZZSEQ",
    variables=(
        *identifiers("ZZ"),
        Variable("ZZTESTCD", "Climate Test Short Name", "Char", path("to_testcd", "Observation.code"), ASSIGNED, "Req", "Topic"),
        Variable("ZZTEST", "Climate Test Name", "Char", path("to_test", "Observation.code"), ASSIGNED, "Req"),
        *result_variables("ZZ"),
        Variable("ZZWARM", "Warm", "Char", call(warm, "ZZSTRESN", limit=LIMIT), DERIVED, codelist="C66742"),
        last_before_of("ZZ", "ZZTESTCD"),
        *visit_of("ZZDTC"),
        epoch_of("ZZDTC", finding=True),
        Variable("ZZDTC", "Date/Time of Measurement", "Char", path("dtc", "Observation.effective[x]"), COLLECTED, "Exp"),
        study_day_of("ZZDY", "Study Day of Measurement", "ZZDTC"),
        Variable("ZZROOM", "Room", "Char", path("code_text", "Observation.code.text"), COLLECTED, supplemental=True),
    ),
)
'''
CODES = (
    "system,code,display,domain,testcd,test,cat,specimen,standard_unit,standard_ucum,decimals,result_type\n"
    "urn:ward,T,T,ZZ,ROOMTEMP,Room Temperature,,,C,Cel,1,numeric\n"
    "urn:ward,V,V,ZZ,VENT,Ventilation,,,,,,text\n"
)
WARM = changed(
    LAB,
    id="@-warm",
    code={"coding": [{"system": "urn:ward", "code": "T"}], "text": "Room 7"},
    valueQuantity={"value": 22.50, "unit": "Cel", "system": "http://unitsofmeasure.org", "code": "Cel"},
    effectiveDateTime="2024-01-06T07:00:00+08:00",
)
AIR = changed(
    LAB,
    id="@-air",
    code={"coding": [{"system": "urn:ward", "code": "V"}], "text": "Room 8"},
    valueQuantity=...,
    valueString="on",
    effectiveDateTime="2024-01-07",
)
ODD = changed(WARM, id="@-odd", valueQuantity={"value": 3, "unit": "furlong"})
LOG = "patient,subjid,siteid,arm,consent_date,randomisation_date\np1,001,01,MSC,2024-01-01,2024-01-05\n"


class MadeUp(NamedTuple):
    """The hospital built with the file and without it, and the docs generated with it."""

    out: Path
    before: Result
    docs: Path
    listed: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    folder = tmp_path_factory.mktemp("made-up")
    shutil.copytree(REPO / "mappings", folder / "mappings", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mappings" / "sdtm" / "zz.py").write_text(FILE, "utf-8")
    lines = [of_subject("p1", x) for x in (LAB, WARM, AIR, ODD)]
    fhir = write_lines(folder / "fhir", {"Patient.ndjson": [of_subject("p1", PERSON)], "Observation.ndjson": lines})
    (folder / "log.csv").write_text(LOG)
    site = make_site(folder / "site")
    (site / "observations.csv").write_text(CODES)
    docs = folder / "docs"
    docs.mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a module of the program with the copied mappings: `-m` looks in the current folder first."""
        paths = os.pathsep.join((str(folder), str(REPO)))
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=folder, env=os.environ | {"PYTHONPATH": paths}, text=True,
            capture_output=True, check=False, timeout=300,
        )  # fmt: skip

    told = run(
        "adapter.cli", "build", "fhir", "--enrolment", "log.csv", "--site", "site", "--workers", "2", "--out", "out"
    )
    assert told.returncode == 3, told.stderr  # the furlong
    assert run("adapter.docs", "docs").returncode == 0
    before = build(fhir, out=folder / "before", enrolment=folder / "log.csv", site=site, workers=1)
    return MadeUp(folder / "out", before, docs, run("adapter.cli", "domains").stdout)


def test_it_is_one_file(made: MadeUp) -> None:
    def files(folder: Path) -> set[str]:
        return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix != ".pyc" and p.is_file()}

    assert files(made.out.parent / "mappings") - files(REPO / "mappings") == {"sdtm/zz.py"}


def test_its_records_are_there(made: MadeUp) -> None:
    zz, meta = pyreadstat.read_xport(str(made.out / "sdtm" / "zz.xpt"))
    columns = [
        "ZZSEQ",
        "ZZTESTCD",
        "ZZORRES",
        "ZZORRESU",
        "ZZSTRESC",
        "ZZSTRESU",
        "ZZWARM",
        "VISIT",
        "EPOCH",
        "ZZDTC",
        "ZZDY",
    ]
    assert zz[columns].to_numpy().tolist() == [
        [1, "ROOMTEMP", "22.5", "C", "22.5", "C", "Y", "UNSCHEDULED 2.01", "TREATMENT", "2024-01-06T07:00:00", 2],
        [2, "VENT", "on", "", "on", "", "", "UNSCHEDULED 2.02", "TREATMENT", "2024-01-07", 3],
    ]
    assert meta.file_label == "Ward Climate"
    supp, meta = pyreadstat.read_xport(str(made.out / "sdtm" / "suppzz.xpt"))
    assert supp.to_numpy().tolist() == [
        ["PGFMSC", "ZZ", "PGFMSC-01-001", "ZZSEQ", "1", "ZZROOM", "Room", "Room 7", "Collected", ""],
        ["PGFMSC", "ZZ", "PGFMSC-01-001", "ZZSEQ", "2", "ZZROOM", "Room", "Room 8", "Collected", ""],
    ]
    assert meta.file_label == "Supplemental Qualifiers for ZZ"


def test_define_xml_describes_it(made: MadeUp) -> None:
    path = made.out / "sdtm" / "define.xml"
    assert xsd_errors(path) + broken_references(path) + unreferenced(path) == []
    tree = etree.parse(str(path))
    groups = {g.get("Name"): g for g in tree.iter(f"{ODM}ItemGroupDef")}
    zz = groups["ZZ"]
    assert [c.get("Name") for c in zz.iterfind(f"{DEF}Class")] == ["FINDINGS"]
    assert zz.findtext(f"{ODM}Description/{ODM}TranslatedText") == "Ward Climate"
    frame, _ = pyreadstat.read_xport(str(made.out / "sdtm" / "zz.xpt"))
    items = {i.get("OID"): i for i in tree.iter(f"{ODM}ItemDef")}
    refs = list(zz.iterfind(f"{ODM}ItemRef"))
    assert [items[r.get("ItemOID")].get("Name") for r in refs] == list(frame.columns)
    (warm,) = [r for r in refs if r.get("ItemOID") == "IT.ZZ.ZZWARM"]
    methods = {m.get("OID"): m for m in tree.iter(f"{ODM}MethodDef")}
    text = methods[warm.get("MethodOID")].findtext(f"{ODM}Description/{ODM}TranslatedText")
    assert text == "Y where ZZSTRESN is above 3."
    values = {
        v.get("OID"): [r.get("ItemOID") for r in v.iterfind(f"{ODM}ItemRef")] for v in tree.iter(f"{DEF}ValueListDef")
    }
    assert values["VL.ZZ.ZZORRES"] == ["IT.ZZ.ZZORRES.ROOMTEMP", "IT.ZZ.ZZORRES.VENT"]
    assert values["VL.SUPPZZ.QVAL"] == ["IT.SUPPZZ.QVAL.ZZROOM"]


def test_the_docs_have_its_table(made: MadeUp) -> None:
    text = (made.docs / "datasets.md").read_text("utf-8")
    assert "| [ZZ](#zz) | Ward Climate | FINDINGS | measurement per subject |" in text
    table = text.partition("## ZZ")[2].partition("\n## ")[0]
    assert "Keys: STUDYID, USUBJID, ZZTESTCD, ZZDTC." in table
    assert "| ZZWARM | Warm | Char | Perm | C66742 | Derived (Sponsor) | Y where ZZSTRESN is above" in table
    assert "Supplemental qualifiers (SUPPZZ):" in table
    assert "| ZZROOM | Room | Char | Perm |  | Collected (Investigator) | Source: Observation.code.text. |" in table
    assert "Value-level metadata: ZZORRES by ZZTESTCD." in table
    shipped = (REPO / "docs" / "datasets.md").read_text("utf-8")
    assert (
        text.replace(f"## ZZ{table}", "")
        .replace("| [ZZ](#zz) | Ward Climate | FINDINGS | measurement per subject |\n", "")
        .strip()
        == shipped.strip()
    ), "nothing else changes"


def test_the_list_of_domains_has_it(made: MadeUp) -> None:
    assert "Ward Climate" in made.listed


def test_every_value_is_traced(made: MadeUp) -> None:
    trace = pd.read_parquet(made.out / "trace" / "zz.parquet")
    own = {str(r["VARIABLE"]): r for r in trace[trace["SEQ"] == 1].to_dict("records")}
    keyed = Keyer(bytes.fromhex(KEY)).keyed("Observation/p1-warm").hex()
    source = own["ZZORRES"]
    assert [source[c] for c in ("RESOURCE", "KEYED_ID", "ELEMENT", "LINE")] == [
        "Observation", keyed, "Observation.value[x]", 2,
    ]  # fmt: skip
    assert own["ZZWARM"]["RULE"] == "MT.ZZ.ZZWARM"
    zz, _ = pyreadstat.read_xport(str(made.out / "sdtm" / "zz.xpt"))
    filled = {str(v) for v, x in zz.iloc[0].items() if x and x == x}
    assert set(own) >= filled - {"STUDYID", "DOMAIN", "USUBJID", "ZZSEQ"}  # by the last two a record is found


def test_its_resources_are_accounted_for(made: MadeUp) -> None:
    """Without the file its codes belong to a domain that is not built; with it they are records, or rejected by reason."""
    manifest = json.loads((made.out / "manifest.json").read_bytes())
    assert made.before.counts["resources"]["Observation"]["dropped"] == {"domain-not-built": 3}
    assert manifest["resources"]["Observation"] == {"read": 4, "used": 3, "dropped": {"unit-unknown": 1}}
    assert manifest["records"]["ZZ"] == 2
    (reject,) = [json.loads(x) for x in (made.out / "rejects.ndjson").read_text("utf-8").splitlines()]
    assert (reject["line"], reject["reason"]) == (4, "unit-unknown")


def test_the_other_results_are_as_before(made: MadeUp) -> None:
    for name in ("lb", "dm", "ta", "tv", "ts"):
        what = [f"sdtm/{name}.xpt"]
        assert hashes(made.out, what) == hashes(made.before.out, what), name

"""define.xml describes what is in the package and nothing else, down to the value levels; each format has the same cells.

define.xml is read by lxml, the transport files by ReadStat, Dataset-JSON by Python's json: nothing here asks the program.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pandas as pd
import pyreadstat
import pytest
from lxml import etree

from adapter import build
from adapter.result import Result
from tests.conftest import Cohort, make_site
from tests.define_checks import broken_references, unreferenced, xsd_errors
from tests.e2e.test_formats import cells_of, validator
from tests.golden.cases import build_case

ODM, DEF = "{http://www.cdisc.org/ns/odm/v1.3}", "{http://www.cdisc.org/ns/def/v2.1}"
HREF = "{http://www.w3.org/1999/xlink}href"
BY_CASE = ("ae", "ce", "co", "dd", "ds", "fa", "ho", "ie", "lb", "mh", "relrec", "rs", "supp", "vs")
OFTEN = ("co", "dd", "fa", "relrec", "supp")
"""Golden cases with what the demo has not: FA, DD, CO, SUPP-- of every kind; the others run with the long tests."""


class Described(NamedTuple):
    """A package: define.xml as a tree, its ItemDefs, and dataset -> frame (missing text empty)."""

    folder: Path
    define: etree._ElementTree
    items: dict[str, etree._Element]
    data: dict[str, pd.DataFrame]

    def group(self, name: str) -> etree._Element:
        (found,) = [g for g in self.define.iter(f"{ODM}ItemGroupDef") if g.get("Name") == name]
        return found

    def variables(self, name: str) -> dict[str, etree._Element]:
        """Return variable -> ItemDef of a dataset, in order."""
        refs = self.group(name).iterfind(f"{ODM}ItemRef")
        made = [self.items[str(r.get("ItemOID"))] for r in refs]
        return {str(i.get("Name")): i for i in made}

    def levels(self, item: etree._Element) -> dict[tuple[str, str], etree._Element]:
        """Return (variable, value) of each where clause -> ItemDef of a variable's value list; empty without one."""
        ref = item.find(f"{DEF}ValueListRef")
        if ref is None:
            return {}
        clauses = {w.get("OID"): w for w in self.define.iter(f"{DEF}WhereClauseDef")}
        (made,) = [v for v in self.define.iter(f"{DEF}ValueListDef") if v.get("OID") == ref.get("ValueListOID")]
        found = {}
        for row in made.iterfind(f"{ODM}ItemRef"):
            (where,) = row.iterfind(f"{DEF}WhereClauseRef")
            (check,) = clauses[where.get("WhereClauseOID")].iterfind(f"{ODM}RangeCheck")
            assert (check.get("Comparator"), check.get("SoftHard")) == ("EQ", "Soft")
            by = str(self.items[str(check.get(f"{DEF}ItemOID"))].get("Name"))
            found[by, str(check.findtext(f"{ODM}CheckValue"))] = self.items[str(row.get("ItemOID"))]
        return found


def described(result: Result) -> Described:
    folder = result.out / "sdtm"
    tree = etree.parse(str(folder / "define.xml"))
    items = {str(i.get("OID")): i for i in tree.iter(f"{ODM}ItemDef")}
    data = {p.stem.upper(): pyreadstat.read_xport(str(p))[0] for p in sorted(folder.glob("*.xpt"))}
    return Described(folder, tree, items, data)


@pytest.fixture(scope="module")
def demo(demo10: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Described:
    folder = tmp_path_factory.mktemp("demo")
    site = make_site(folder / "site")
    return described(
        build(demo10.fhir, out=folder / "out", enrolment=demo10.log, site=site, workers=1, format="xpt,dataset-json")
    )


@pytest.fixture(
    scope="module", params=["demo", *(c if c in OFTEN else pytest.param(c, marks=pytest.mark.long) for c in BY_CASE)]
)
def package(request: pytest.FixtureRequest, demo: Described, tmp_path_factory: pytest.TempPathFactory) -> Described:
    if request.param == "demo":
        return demo
    return described(build_case(request.param, tmp_path_factory.mktemp(request.param)))


def filled(column: pd.Series[Any]) -> pd.Series[bool]:
    return column.notna() & (column.astype("str") != "")


def has_values(found: pd.DataFrame, by: str, value: str) -> set[str]:
    return set(found.loc[filled(found[value]) & filled(found[by]), by])


def test_it_is_valid_and_nothing_in_it_is_left_over(package: Described) -> None:
    path = package.folder / "define.xml"
    assert xsd_errors(path) + broken_references(path) + unreferenced(path) == []


def test_datasets_and_variables_are_those_of_the_files(package: Described) -> None:
    """A dataset or variable that is described exists, and one that exists is described (both ways)."""
    described_data = {}
    for group in package.define.iter(f"{ODM}ItemGroupDef"):
        name = str(group.get("Name"))
        if group.get(f"{DEF}HasNoData") == "Yes":
            assert group.find(f"{DEF}leaf") is None
            assert name not in package.data
            continue
        assert [leaf.get(HREF) for leaf in group.iterfind(f"{DEF}leaf")] == [f"{name.lower()}.xpt"]
        described_data[name] = list(package.variables(name))
    assert described_data == {n: list(f.columns) for n, f in package.data.items()}
    for name in package.data:
        assert len(package.data[name]) > 0


CLASSES = ["TRIAL DESIGN", "SPECIAL PURPOSE", "INTERVENTIONS", "EVENTS", "FINDINGS", "FINDINGS ABOUT", "RELATIONSHIP"]


def test_datasets_stand_by_class_and_name(package: Described) -> None:
    """Define-XML 2.1 section 4.1.1.4; findings about events stand after the other findings."""
    found = []
    for group in package.define.iter(f"{ODM}ItemGroupDef"):
        (of,) = group.iterfind(f"{DEF}Class")
        found.append((CLASSES.index(str(of.get("Name"))), str(group.get("Name")).removeprefix("SUPP")))
    rank = [(c, "" if c == len(CLASSES) - 1 else n) for c, n in found]
    assert rank == sorted(rank)


def test_every_test_has_its_value_level(package: Described) -> None:
    """--ORRES, and --STRESC where the domain has one, of every dataset with a --TESTCD, by --TESTCD; TSVAL by TSPARMCD."""
    seen = set()
    for name, frame in package.data.items():
        by = "TSPARMCD" if name == "TS" else f"{name}TESTCD"
        results = [v for v in (f"{name}ORRES", f"{name}STRESC", "TSVAL") if v in frame]
        if by not in frame or not results:
            continue
        for v in results:
            found = package.levels(package.variables(name)[v])
            expected = {(by, t) for t in has_values(frame, by, v)}
            if name == "IE" and v == "IESTRESC":  # always equal to IEORRES
                continue
            assert set(found) == expected, f"{name}.{v}"
            assert all(i.get("Name") == v for i in found.values())
        seen.add(name)
    assert {"TS"} <= seen


def test_every_qualifier_has_its_value_level(package: Described) -> None:
    """QVAL by QNAM in every SUPP--: named by QNAM, labelled by QLABEL, with an origin of its own."""
    for name, frame in package.data.items():
        if not name.startswith("SUPP"):
            continue
        item = package.variables(name)["QVAL"]
        found = package.levels(item)
        assert set(found) == {("QNAM", q) for q in frame["QNAM"]}, name
        assert item.find(f"{DEF}Origin") is None, "each value level has its own"
        for (_, qnam), level in found.items():
            own = frame[frame["QNAM"] == qnam]
            assert level.get("Name") == qnam
            (label,) = own["QLABEL"].unique()
            assert level.findtext(f"{ODM}Description/{ODM}TranslatedText") == label
            (origin,) = own["QORIG"].unique()
            assert [o.get("Type") for o in level.iterfind(f"{DEF}Origin")] == [origin]
            if level.get("Length") is not None:
                assert int(str(level.get("Length"))) >= own["QVAL"].map(lambda t: len(t.encode())).max()


def test_other_value_levels_are_of_values_that_are_there(package: Described) -> None:
    for name, frame in package.data.items():
        for v, item in package.variables(name).items():
            found = package.levels(item)
            assert set(found) <= {(by, t) for by, _ in found for t in has_values(frame, by, v)}, f"{name}.{v}"


def test_codelists_hold_the_terms_that_are_there_and_no_others(package: Described) -> None:
    used: dict[str, set[str]] = defaultdict(set)
    for name, frame in package.data.items():
        for v, item in package.variables(name).items():
            ref = item.find(f"{ODM}CodeListRef")
            if ref is not None:
                used[str(ref.get("CodeListOID"))] |= set(frame.loc[filled(frame[v]), v].astype("str"))
    listed = {}
    for codelist in package.define.iter(f"{ODM}CodeList"):
        oid = str(codelist.get("OID"))
        terms = [str(t.get("CodedValue")) for t in codelist if t.tag in (f"{ODM}EnumeratedItem", f"{ODM}CodeListItem")]
        if codelist.find(f"{ODM}ExternalCodeList") is not None:
            assert terms == []
            assert used[oid], f"{oid} is of no value"
            used.pop(oid)
            continue
        assert len(terms) == len(set(terms))
        listed[oid] = set(terms)
    assert listed == used


def test_the_demo_has_all_kinds(demo: Described) -> None:
    """Of what this file is about; FA, DD, CO come with the golden cases."""
    names = {
        "AE",
        "CE",
        "DS",
        "HO",
        "IE",
        "MH",
        "RELREC",
        "RS",
        "SE",
        "SUPPRS",
        "SUPPVS",
        "SV",
        "TA",
        "TE",
        "TI",
        "TV",
        "VS",
    }
    assert names <= set(demo.data)
    levels = {n: package_levels(demo, n) for n in ("IE", "LB", "RS", "SUPPRS", "SUPPVS", "VS")}
    assert all(levels.values())


def package_levels(package: Described, name: str) -> int:
    return sum(len(package.levels(i)) for i in package.variables(name).values())


def test_dataset_json_and_transport_files_carry_the_same_cells(demo: Described) -> None:
    """Of every dataset, SUPP-- and RELREC too; and Dataset-JSON is valid, with the itemOIDs of define.xml."""
    assert sorted(p.stem.upper() for p in demo.folder.glob("*.json")) == sorted(demo.data)
    for name in demo.data:
        file = demo.folder / f"{name.lower()}.xpt"
        expected = cells_of(file)
        assert expected
        assert cells_of(file.with_suffix(".json")) == expected, name
        found = json.loads(file.with_suffix(".json").read_bytes())
        errors: list[jsonschema.ValidationError] = list(validator().iter_errors(found))
        assert errors == [], name
        refs = demo.group(name).iterfind(f"{ODM}ItemRef")
        assert [c["itemOID"] for c in found["columns"]] == [r.get("ItemOID") for r in refs]
        assert found["records"] == len(expected)

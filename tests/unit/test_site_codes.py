"""SITE/codes.csv and SITE/products.csv: what a data manager writes, and what it means."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pandas as pd
import pytest

from adapter.codes import CodeTable, load_codes
from adapter.derive.coding import coded
from adapter.errors import InputError
from adapter.site_codes import site_products, with_site_codes

FOLDER = resources.files("mappings.codes")
TABLES = {name: load_codes(name, FOLDER) for name in ("observations", "drugs", "procedures", "specimens", "routes")}
LOCAL = "urn:oid:2.16.156.999999.4"


def site(folder: Path, rows: str, header: str = "system,code,display,map_to", name: str = "codes.csv") -> Path:
    (folder / name).write_text(f"{header}\n{rows}\n", encoding="utf-8")
    return folder


def mapped(folder: Path, rows: str, header: str = "system,code,display,map_to") -> dict[str, CodeTable]:
    return with_site_codes(TABLES, site(folder, rows, header))


@pytest.mark.parametrize(
    ("map_to", "testcd", "loinc", "specimen"),
    [
        ("777-3", "PLAT", "777-3", "BLOOD"),
        ("http://loinc.org|777-3", "PLAT", "777-3", "BLOOD"),
        ("urn:oid:2.16.840.1.113883.6.1|777-3", "PLAT", "777-3", "BLOOD"),
        # the name of a test says nothing of specimen and LOINC
        ("PLAT", "PLAT", "", ""),
        ("plat", "PLAT", "", ""),
        ("LB.PLAT", "PLAT", "", ""),
        ("VS.WEIGHT", "WEIGHT", "", ""),
    ],
)
def test_a_test_is_named_by_code_or_by_testcd(
    tmp_path: Path, map_to: str, testcd: str, loinc: str, specimen: str
) -> None:
    row = mapped(tmp_path, f"{LOCAL},P1,血小板,{map_to}")["observations"].get("2.16.156.999999.4", "P1")
    assert row is not None
    assert (row["testcd"], row["loinc"], row["specimen"], row["display"]) == (testcd, loinc, specimen, "血小板")


@pytest.mark.parametrize(
    ("table", "map_to", "column", "value"),
    [
        ("drugs", "L04AD02", "cmdecod", "TACROLIMUS"), ("drugs", "tacrolimus", "cmdecod", "TACROLIMUS"),
        ("drugs", "http://www.whocc.no/atc|L03AA02", "cmcat", "G-CSF"),
        ("procedures", "12719002", "product", "PLATELETS"), ("procedures", "Bone Marrow Aspiration", "cat", "MARROW"),
        ("specimens", "BONE MARROW", "ct", "BONE MARROW"),
    ],
)  # fmt: skip
def test_drugs_procedures_and_specimens_too(tmp_path: Path, table: str, map_to: str, column: str, value: str) -> None:
    row = mapped(tmp_path, f"{LOCAL},X,,{map_to}")[table].get(LOCAL, "X")
    assert row is not None
    assert row[column] == value


def test_a_text_is_mapped_where_there_is_no_code(tmp_path: Path) -> None:
    table = mapped(tmp_path, ",,血小板计数（手工）,PLAT\n,PLT,,PLAT")["observations"]
    row = table.by_text(" 血小板计数(手工) ")  # width and blanks do not matter
    assert row is not None
    assert row["testcd"] == "PLAT"
    assert table.by_text("血小板计数") is None  # the whole text, never a part of it
    without_system = table.get("", "PLT")
    assert without_system is not None
    assert table.get(LOCAL, "PLT") is None


def test_a_line_that_is_not_filled_in_waits(tmp_path: Path) -> None:
    found = mapped(tmp_path, f"{LOCAL},A,,\nhttp://loinc.org,Jul-45,,\n,,,")
    assert found["observations"].rows == TABLES["observations"].rows


def test_the_skeleton_can_be_put_in_as_it_is(tmp_path: Path) -> None:
    header = "resource,system,code,display,map_to,suggestion,because,records,share,usual_unit,note"
    found = mapped(tmp_path, f"Observation,{LOCAL},A,甲,NEUT,x,y,7,0.1,g/L,asked", header)
    row = found["observations"].get(LOCAL, "A")
    assert row is not None
    assert row["testcd"] == "NEUT"


def test_ignore_is_for_what_no_table_knows(tmp_path: Path) -> None:
    found = mapped(tmp_path, f"{LOCAL},A,外观,ignore\n,,备注,IGNORE")
    row = found["observations"].get(LOCAL, "A")
    assert row is not None
    assert (row["domain"], row["testcd"]) == ("IGNORE", "")
    text = found["observations"].by_text("备注")
    assert text is not None
    # an unknown drug stays in CM under its own name, an unknown procedure in PR: ignoring changes no data
    assert [found[n].get(LOCAL, "A") and dict(found[n].get(LOCAL, "A") or {})[c] for n, c in (
        ("drugs", "cmdecod"), ("procedures", "domain"), ("specimens", "ct"),
    )] == ["", "PR", ""]  # fmt: skip


def test_a_row_of_the_site_replaces_a_shipped_one_and_is_listed(tmp_path: Path) -> None:
    table = mapped(tmp_path, "http://loinc.org,777-3,,NEUT")["observations"]
    row = table.get("http://loinc.org", "777-3")
    assert row is not None
    assert row["testcd"] == "NEUT"
    (override,) = table.overrides
    assert override.later.endswith("codes.csv:2")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (f"{LOCAL},A,,PLATT", r"codes\.csv:2: map_to unknown code 'PLATT'.*did you mean 'PLAT'"),
        (f"{LOCAL},A,,PLAT\n{LOCAL},A,,PLAT", r"codes\.csv:3: .*\|A stands in .*codes\.csv:2 already"),
        (",,甲,PLAT\n,, 甲 ,NEUT", r"codes\.csv:3: 甲 stands in .*codes\.csv:2 already"),
        (",,,PLAT", r"codes\.csv:2: found neither a code nor a display"),
        (f"{LOCAL},,甲,PLAT", r"codes\.csv:2: found a system without a code"),
        (f"{LOCAL},A,,Jul-45", r"codes\.csv:2: map_to 'Jul-45' is no LOINC code.*format the column as text"),
        ("http://loinc.org,Jul-45,,PLAT", r"codes\.csv:2: code 'Jul-45' is no LOINC code"),
        (f"{LOCAL},A,,777-4", r"codes\.csv:2: map_to '777-4' is no LOINC code"),
        (f"{LOCAL},A,,PLATELETS", r"codes\.csv:2: 'PLATELETS' stands in several tables; .*resource.*Procedure"),
        ("http://loinc.org,777-3,,ignore", r"codes\.csv:2: http://loinc.org\|777-3 is known \(testcd PLAT\)"),
        (f"{LOCAL},A,,http://loinc.org|0-0", r"codes\.csv:2: map_to 'http://loinc.org\|0-0' is no LOINC code"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_file_and_line(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mapped(tmp_path, rows)


def test_the_column_resource_tells_tables_apart(tmp_path: Path) -> None:
    header = "resource,system,code,map_to"
    found = mapped(tmp_path, f"Procedure,{LOCAL},A,PLATELETS", header)
    row = found["procedures"].get(LOCAL, "A")
    assert row is not None
    assert found["drugs"].get(LOCAL, "A") is None
    with pytest.raises(InputError, match=r"codes\.csv:2: unknown resource 'Lab'"):
        mapped(tmp_path, f"Lab,{LOCAL},A,PLAT", header)


def test_without_the_file_nothing_changes(tmp_path: Path) -> None:
    assert with_site_codes(TABLES, tmp_path) == TABLES


def test_only_code_text_and_no_loinc_is_mapped_by_the_site_ecrnow_392(tmp_path: Path) -> None:
    """Published breakage: a result with nothing but code.text. Without the site's word it is unmapped, never guessed."""
    code, text = pd.Series([None, None, f"{LOCAL}|X"]), pd.Series(["Platelets, manual", "血小板", "Platelets,  MANUAL"])
    before = coded(TABLES["observations"], code, text)
    assert before["known"].tolist() == [False, False, False]
    after = coded(mapped(tmp_path, ',,"Platelets, manual",PLAT')["observations"], code, text)
    assert after["testcd"].tolist() == ["PLAT", "", "PLAT"]


def test_a_known_code_outranks_a_mapped_text(tmp_path: Path) -> None:
    code, text = pd.Series(["http://loinc.org|718-7"]), pd.Series(["Platelets, manual"])
    assert coded(mapped(tmp_path, ',,"Platelets, manual",PLAT')["observations"], code, text)["testcd"].tolist() == [
        "HGB"
    ]


PRODUCTS = {"UC-MSC": object()}
HEADER = "product,system,code,text,lot,passage"


def test_products_by_code_text_and_lot(tmp_path: Path) -> None:
    rows = f"UC-MSC,{LOCAL},MSC01,,,\nUC-MSC,,,间充质干细胞（研究用）,,\nUC-MSC,,,,LOT-7,4"
    table = site_products(site(tmp_path, rows, HEADER, "products.csv"), PRODUCTS)
    lot = table.get("lot", "LOT-7")
    assert lot is not None
    assert (lot["product"], lot["passage"]) == ("UC-MSC", "4")
    assert table.get("2.16.156.999999.4", "MSC01") is not None
    assert table.by_text("间充质干细胞(研究用)") is not None
    assert table.by_text("间充质干细胞") is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("UC-MSX,,,,L,", r"products\.csv:2: unknown product 'UC-MSX'.*did you mean 'UC-MSC'"),
        ("UC-MSC,,,,,4", r"products\.csv:2: found neither code, text nor lot"),
        ("UC-MSC,,,,L,P4", r"products\.csv:2: passage 'P4', expected a whole number"),
        ("UC-MSC,,,,L,\nUC-MSC,,,,L,", r"products\.csv:3: lot\|L stands twice"),
        ("UC-MSC,,,a,,\nUC-MSC,,,A,,", r"products\.csv:3: a stands twice"),
    ],
)
def test_broken_products_are_told(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        site_products(site(tmp_path, rows, HEADER, "products.csv"), PRODUCTS)

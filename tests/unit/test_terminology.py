"""Controlled terminology: the shipped subset against the packages it was taken from, and sponsor extensions."""

from __future__ import annotations

import csv
import re
import shutil
from importlib import resources
from pathlib import Path

import pytest

from adapter.errors import DeclarationError, InputError
from adapter.terminology import Codelist, Term, Terminology

ROOT = Path(__file__).parents[2]
FOLDER = resources.files("mappings.codes")
TERMS = Terminology.load(FOLDER)
REFERENCE = ROOT / "../shared/reference"
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="reference tables are not on this machine")
DOMAINS = (
    "DM EC EX CM PR LB VS TS AE CE DS DD HO IE MB MH RS SE SV TA TE TI TV CP GF IS RELREC SUPPQUAL FA MI MS DV CO "
    "BE BS RELSPEC"
)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


@pytest.mark.parametrize(
    ("name", "value", "ccode", "decode"),
    [
        ("NY", "Y", "C49488", "Yes"), ("C66742", "N", "C49487", "No"), ("SEX", "F", "C16576", "Female"),
        ("LBTESTCD", "NEUT", "C63321", "Neutrophils"), ("UNIT", "10^9/L", "C67255", "10^9/L"),
        ("UNIT", "10^6/kg", "C198380", "10^6/kg"), ("PROCEDUR", "ALLOGENEIC STEM CELL TRANSPLANT", "C201466", None),
        ("VSTESTCD", "BSA", "C25157", "Body Surface Area"),
        ("TSPARMCD", "TPHASE", "C48281", "Trial Phase Classification"),
        ("KPSS01TC", "KPSS0101", "C100417", "KPSS01-Karnofsky Performance Status"),
    ],
)  # fmt: skip
def test_known_terms(name: str, value: str, ccode: str, decode: str | None) -> None:
    term = TERMS.codelist(name).terms[value]
    assert term == Term(value, ccode, decode or value)


def test_extensible_as_published() -> None:
    assert not TERMS.codelist("NY").extensible
    assert TERMS.codelist("UNIT").extensible
    assert TERMS.codelist("NY").title == "No Yes Response"
    assert {c.package for c in TERMS.codelists} == {"SDTM", "ADaM", "DEFINE-XML"}


@needs_reference
def test_every_term_of_every_shipped_codelist_is_the_published_one() -> None:
    published: dict[str, set[tuple[str, str]]] = {}
    for name in ("sdtm_ct_2025-03-28", "adam_ct_2026-03-27"):
        for r in rows(REFERENCE / f"{name}_terms.csv"):
            published.setdefault(r["codelist_ccode"], set()).add((r["submission_value"], r["term_ccode"]))
    for r in rows(REFERENCE / "define_xml_ct_2026-03-27_terms.csv"):
        if r["codelist_ccode"] == TERMS.codelist("ORIGINT").ccode:  # the one list that is taken from this package
            published.setdefault(r["codelist_ccode"], set()).add((r["submission_value"], r["term_ccode"]))
    for c in TERMS.codelists:
        assert {(t.value, t.ccode) for t in c.terms.values()} == published[c.ccode], c.name


@needs_reference
def test_shipped_variable_tables_are_the_published_ones() -> None:
    for name in ("sdtmig_3-4_variables", "sdtmig_3-4_datasets", "adam_variables"):
        assert rows(ROOT / f"schemas/{name}.csv") == rows(REFERENCE / f"{name}.csv")


def test_terminology_csv_says_only_what_the_packages_do_not(tmp_path: Path) -> None:
    """The packages of schemas/ct are the one source: a row here is another text to show, or of a list that they lack."""
    shutil.copy(ROOT / "mappings/codes/codelists.csv", tmp_path)
    (tmp_path / "terminology.csv").write_text(HEADER + ",,OWN,Own,N,A,,\n", encoding="utf-8")
    published = Terminology.load(tmp_path)
    for r in rows(ROOT / "mappings/codes/terminology.csv"):
        if r["package"] == "DEFINE-XML":
            assert r["codelist"] not in published
            assert r["ccode"]
        else:
            assert r["decode"] != published.codelist(r["codelist"]).terms[r["term"]].decode, r
            assert [r[c] for c in ("package", "codelist_ccode", "codelist_name", "extensible", "ccode")] == [""] * 5


def test_a_codelist_that_no_package_has_is_an_error(tmp_path: Path) -> None:
    for row in ("SDTM,NOSUCH,", "NOSUCH,NY,", "SDTM,LBTESTCD,NOSUCH"):
        (tmp_path / "codelists.csv").write_text(f"package,codelist,names\n{row}\n", encoding="utf-8")
        with pytest.raises(InputError, match=f"no package in use has {row.split(',')[1]}"):
            Terminology.load(tmp_path)


def test_codelists_of_all_variables_we_write_are_shipped() -> None:
    missing = {
        (v["dataset"], v["name"], code)
        for v in rows(ROOT / "schemas/sdtmig_3-4_variables.csv")
        if v["dataset"] in DOMAINS.split()
        for code in re.findall(r"C\d+", v["codelist_ccodes"])
        if code not in TERMS
    }
    # AEACNDEV is a device variable; the published package has no codelist for MSRESCAT.
    assert missing == {("AE", "AEACNDEV", "C111110"), ("MS", "MSRESCAT", "C85495")}


def test_names_of_codes_fit_their_variables() -> None:
    for name in ("LBTESTCD", "VSTESTCD", "MBTESTCD", "TSPARMCD"):
        for term in TERMS.codelist(name).terms.values():
            assert len(term.value) <= 8
            assert len(term.decode) <= 40


def test_packages_are_dated() -> None:
    assert rows(ROOT / "schemas/ct.csv")[0] == {"package": "SDTM CT", "date": "2025-03-28", "publishing_set": "SDTM"}


def test_unknown_codelist_says_what_was_meant() -> None:
    with pytest.raises(DeclarationError, match="did you mean 'LBTESTCD'"):
        TERMS.codelist("LBTESTC")
    assert "LBTESTC" not in TERMS


def test_missing_values() -> None:
    assert TERMS.missing("NY", ["Y", "y", "N", "", "y"]) == ["", "y"]
    assert TERMS.is_term("UNIT", "g/L")
    assert not TERMS.is_term("UNIT", "G/L")


def test_sponsor_terms_extend_only_what_may_be_extended() -> None:
    longer = TERMS.codelist("PROCEDUR").extended({"BONE MARROW ASPIRATION": "Bone Marrow Aspiration", "BIOPSY": "x"})
    assert longer.terms["BONE MARROW ASPIRATION"] == Term("BONE MARROW ASPIRATION", "", "Bone Marrow Aspiration", True)
    assert longer.terms["BIOPSY"].ccode
    assert "BONE MARROW ASPIRATION" not in TERMS.codelist("PROCEDUR").terms
    assert TERMS.adding(longer).is_term("C101858", "BONE MARROW ASPIRATION")
    with pytest.raises(DeclarationError, match=r"NY .*not extensible.*MAYBE"):
        TERMS.codelist("NY").extended({"MAYBE": "Maybe"})
    assert TERMS.codelist("NY").extended({"Y": "Yes"}).terms == TERMS.codelist("NY").terms


def test_trial_codelists() -> None:
    own = Codelist("", "ARMCD", "Planned Arm Code", False, {"MSC": Term("MSC", "", "UC-MSC")})
    both = TERMS.adding(own)
    assert both.is_term("ARMCD", "MSC")
    assert "ARMCD" not in TERMS
    with pytest.raises(DeclarationError, match="defined twice"):
        Terminology((own, own))


HEADER = "package,codelist_ccode,codelist,codelist_name,extensible,term,ccode,decode\n"


def test_a_trial_folder_adds_codelists_and_terms(tmp_path: Path) -> None:
    own = ",,GVHDSCL,GVHD Scale,N,MAGIC,,MAGIC 2016\nSDTM,C101858,PROCEDUR,Procedure,Y,BONE MARROW ASPIRATION,,\n"
    (tmp_path / "terminology.csv").write_text(HEADER + own, encoding="utf-8")
    terms = Terminology.load(FOLDER, tmp_path)
    assert terms.codelist("GVHDSCL").terms["MAGIC"] == Term("MAGIC", "", "MAGIC 2016", False)
    assert terms.codelist("PROCEDUR").terms["BONE MARROW ASPIRATION"].extended
    assert terms.codelist("PROCEDUR").terms["BIOPSY"].ccode


def test_a_trial_folder_changes_the_text_of_a_term_and_not_its_code(tmp_path: Path) -> None:
    (tmp_path / "terminology.csv").write_text("codelist,term,decode\nNY,U,Not known\n", encoding="utf-8")
    assert Terminology.load(FOLDER, tmp_path).codelist("NY").terms["U"] == Term("U", "C17998", "Not known")


def test_a_trial_folder_cannot_extend_a_closed_codelist(tmp_path: Path) -> None:
    own = "SDTM,C66742,NY,No Yes Response,N,MAYBE,,\n"
    (tmp_path / "terminology.csv").write_text(HEADER + own, encoding="utf-8")
    with pytest.raises(InputError, match="not extensible"):
        Terminology.load(FOLDER, tmp_path)

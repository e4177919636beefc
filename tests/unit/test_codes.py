"""Code tables: strict loading, merging, look-up by code and by name, and the facts in the shipped tables."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from adapter.codes import ATC, CPT, LOINC, SNOMED, CodeTable, load_codes
from adapter.errors import InputError
from adapter.terminology import Terminology
from adapter.units import UnitTable

FOLDER = resources.files("mappings.codes")
TERMS = Terminology.load(FOLDER)
OBSERVATIONS = load_codes("observations", FOLDER)
DRUGS = load_codes("drugs", FOLDER)
PROCEDURES = load_codes("procedures", FOLDER)
TABLES = ["observations", "drugs", "procedures", "routes", "frequencies", "doseforms", "demographics"]


def write(folder: Path, text: str, name: str = "t") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_later_rows_win_and_are_listed(tmp_path: Path) -> None:
    one = write(tmp_path / "a", "system,code,value\nhttp://loinc.org,1,x\nhttp://loinc.org,2,y\n")
    two = write(tmp_path / "b", "\ufeffcode,system,value\r\n1,urn:oid:2.16.840.1.113883.6.1,z\r\n\r\n3,local,w\r\n")
    table = load_codes("t", one, tmp_path / "empty", two)
    assert [(r["system"], r["code"], r["value"]) for r in table] == [
        (LOINC, "1", "z"), (LOINC, "2", "y"), ("local", "3", "w"),
    ]  # fmt: skip
    (override,) = table.overrides
    assert override.key == (LOINC, "1")
    assert (override.earlier, override.later) == (f"{one / 't.csv'}:2", f"{two / 't.csv'}:2")
    assert table.get("http://loinc.org/", " 2 ") == {"system": LOINC, "code": "2", "value": "y"}
    assert table.get(LOINC, "9") is None
    assert table.find([("x", "1"), (LOINC, "2"), (LOINC, "1")]) == table.get(LOINC, "2")
    assert table.find([]) is None
    assert list(table.frame().columns) == ["system", "code", "value"]
    assert len(table) == len(table.frame()) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("system,code,valeu\na,1,x\n", r"b/t\.csv:1: unknown column 'valeu'.*did you mean 'value'"),
        ("system,value\na,1\n", r"b/t\.csv:1: .*missing: \['code'\]"),
        ("system,code,code\na,1,1\n", r"b/t\.csv:1: columns doubled: \['code'\]"),
        ("system,code\na,1\na\n", r"b/t\.csv:3: found 1 fields, expected 2"),
        ("system,code\na,1\na,2,3\n", r"b/t\.csv:3: found 3 fields"),
        ("system,code\na,\n", r"b/t\.csv:2: system and code must not be empty"),
        ("system,code\na,1\nb,1\na,1\n", r"b/t\.csv:4: a\|1 stands twice"),
        ('system,code,value\na,"1\n', r"b/t\.csv:\d: not readable as CSV"),
        ("", r"b/t\.csv:1: .*missing: \['system', 'code'\]"),
    ],
)
def test_broken_files_are_named_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    one = write(tmp_path / "a", "system,code,value\na,0,x\n")
    with pytest.raises(InputError, match=message):
        load_codes("t", one, write(tmp_path / "b", text))


def test_wrong_encoding_and_missing_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("system,code\na,µg\n".encode("latin-1"))
    with pytest.raises(InputError, match="neither UTF-8"):
        load_codes("t", tmp_path)
    with pytest.raises(InputError, match=r"code table nothing\.csv not found"):
        load_codes("nothing", tmp_path)


def test_site_concept_map_by_like(tmp_path: Path) -> None:
    text = (
        "system,code,display,like\nlocal,NE#,中性粒细胞绝对值,http://loinc.org|751-8\n"
        "local,PLT,血小板,PLAT\nlocal,HB,血红蛋白,urn:oid:2.16.840.1.113883.6.1|718-7\n"
    )
    table = load_codes("observations", FOLDER, write(tmp_path / "site", text, "observations"))
    anc, platelets, hb = (table.get("local", c) for c in ("NE#", "PLT", "HB"))
    assert anc is not None
    assert platelets is not None
    assert hb is not None
    assert (anc["testcd"], anc["loinc"], anc["standard_ucum"], anc["display"]) == (
        "NEUT",
        "751-8",
        "10*9/L",
        "中性粒细胞绝对值",
    )
    assert (platelets["testcd"], platelets["loinc"], platelets["method"]) == ("PLAT", "", "")
    assert (hb["testcd"], hb["molar_mass"]) == ("HGB", "16114")


@pytest.mark.parametrize("like", ["http://loinc.org|0-0", "NOTHING", "|", "local|A"])
def test_like_that_leads_nowhere(tmp_path: Path, like: str) -> None:
    site = write(tmp_path / "s", f"system,code,like\nlocal,A,NEUT\nlocal,B,{like}\n", "observations")
    with pytest.raises(InputError, match=r"observations\.csv:3: like"):
        load_codes("observations", FOLDER, site)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("重组人粒细胞刺激因子注射液 300ug", "L03AA02"),
        ("聚乙二醇化重组人粒细胞刺激因子", "L03AA13"),  # the longer name wins over the one inside it
        ("重组人粒细胞巨噬细胞刺激因子", "L03AA03"),
        ("注射用重组人血小板生成素", "rhtpo"),
        ("海曲泊帕乙醇胺片", "hetrombopag"),
        ("Eltrombopag 25 mg", "B02BX05"),
        ("CYCLOSPORIN A capsule", "L04AD01"),
        ("甲泼尼龙琥珀酸钠", "H02AB04"),
        ("ＭＭＦ　0.5g", "L04AA06"),
        ("rhG-CSF", "L03AA02"),
        ("PEG-rhG-CSF", "L03AA13"),
        ("去白细胞悬浮红细胞 2U", "B05AX01"),
        ("Piperacillin/Tazobactam 4.5 g", "J01CR05"),
        ("prednisolone", "H02AB06"),
    ],
)
def test_drugs_by_name(text: str, code: str) -> None:
    row = DRUGS.match_text(text)
    assert row is not None
    assert row["code"] == code


@pytest.mark.parametrize("text", ["", "aspirin", "batgirl", "sodium chloride 0.9 %", "umbilical", "xmtxx"])
def test_names_inside_other_words_do_not_match(text: str) -> None:
    assert DRUGS.match_text(text) is None


# --- facts --------------------------------------------------------------------------------------------------------


def loinc_check_digit(code: str) -> bool:
    """Mod-10 (Luhn), as LOINC defines it."""
    body, check = code.split("-")
    doubled = [int(d) * (2 if i % 2 == 0 else 1) for i, d in enumerate(reversed(body))]
    return (10 - sum(n // 10 + n % 10 for n in doubled) % 10) % 10 == int(check)


def verhoeff(code: str) -> bool:
    """Verhoeff check of SNOMED CT identifiers, over the dihedral group of order 10."""

    def times(a: int, b: int) -> int:
        if a < 5:
            return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
        return 5 + (a - b) % 5 if b < 5 else (a - b) % 5

    step = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    total = 0
    for position, digit in enumerate(reversed(code)):
        n = int(digit)
        for _ in range(position % 8):
            n = step[n]
        total = times(total, n)
    return total == 0


def test_check_digits() -> None:
    assert loinc_check_digit("751-8")
    assert not loinc_check_digit("751-7")
    assert verhoeff("12719002")
    assert not verhoeff("12719003")
    wrong = [
        (name, r["code"])
        for name in TABLES
        for r in load_codes(name, FOLDER)
        if (r["system"] == LOINC and not loinc_check_digit(r["code"]))
        or (r["system"] == SNOMED and not verhoeff(r["code"]))
    ]
    assert wrong == []


TEST_CODELIST = {
    "LB": "LBTESTCD", "VS": "VSTESTCD", "RS": "ONCRTSCD KPSS01TC", "DD": "DTHDXCD",
    "MB": "MBTESTCD", "IS": "ISTESTCD", "CP": "CPTESTCD",
}  # fmt: skip


def test_tests_are_controlled_terms() -> None:
    for row in OBSERVATIONS:
        if "sponsor term" in row["note"]:
            assert not TERMS.is_term(TEST_CODELIST[row["domain"]], row["testcd"]), row
            continue
        term = TERMS.codelist(TEST_CODELIST[row["domain"]]).terms[row["testcd"]]
        assert (term.decode, len(term.value) <= 8, len(term.decode) <= 40) == (row["test"], True, True)
        where = "LOC" if row["domain"] in ("VS", "FA") else "SPECTYPE"
        for column, codelist in (("specimen", where), ("method", "METHOD")):
            assert not row[column] or TERMS.is_term(codelist, row[column]), row
        assert not row["standard_unit"] or TERMS.is_term(
            "VSRESU" if row["domain"] == "VS" else "UNIT", row["standard_unit"]
        ), row
        if row["domain"] == "VS":
            assert not row["detail"] or TERMS.is_term("POSITION", row["detail"])
        if row["domain"] == "MB":
            assert TERMS.is_term("MBFTSDTL", row["detail"])
        if row["domain"] == "IS":
            assert TERMS.is_term("MICROORG", row["detail"])


def test_units_of_tests() -> None:
    units = UnitTable.load(FOLDER)
    for row in OBSERVATIONS:
        assert row["result_type"] in {"numeric", "text", "either"}
        assert row["like"] == ""
        assert (row["loinc"] == row["code"]) or row["system"] != LOINC
        if row["standard_ucum"] not in ("", "1"):
            unit = units.unit(row["standard_ucum"])
            assert unit is not None, row
            assert unit.ct == row["standard_unit"], row
            assert row["decimals"].isdecimal(), row


TWO_SCALES = {"DDIMER", "HBA1CHGB", "CKMB"}
"""FEU and DDU, NGSP and IFCC, mass and activity: never converted into each other (column note)."""


def test_one_standard_per_test() -> None:
    """A test of a category is reported in one unit; cells in urine are counted per volume or per field of a microscope."""
    seen: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row in OBSERVATIONS:
        if row["testcd"] in TWO_SCALES:
            assert "never converted" in row["note"], row
            continue
        key = (row["domain"], row["testcd"], row["cat"], str(row["method"] == "MICROSCOPY"))
        value = tuple(row[c] for c in ("test", "standard_unit", "standard_ucum", "decimals", "molar_mass", "order"))
        assert seen.setdefault(key, value) == value, row


def test_tests_of_the_endpoints_are_those_of_blood() -> None:
    """NEUT, PLAT and HGB carry the trial's endpoints: no result of another specimen may have their names."""
    found = {r["specimen"] for r in OBSERVATIONS if r["testcd"] in ("NEUT", "PLAT", "HGB")}
    assert found == {"BLOOD", "VENOUS BLOOD", "ARTERIAL BLOOD", "CAPILLARY BLOOD"}


PANELS = {
    "blood count": "WBC RBC HGB HCT MCV MCH MCHC RDW RETI RETIRBC PLAT MPV PDW NEUT NEUTLE NEUTSGLE NEUTBLE LYM LYMLE MONO "
    "MONOLE EOS EOSLE BASO BASOLE BLAST BLASTLE MYCYLE METAMYLE PROMYLE GRANIM GRANIMLE LYMAT LYMATLE RBCNUC PLTIMPLT",
    "chemistry of protocol 7": "ALT AST ALP GGT BILI CREAT SODIUM K CA MG PHOS",
    "chemistry": "BILDIR BILIND ALB PROT GLOBUL PREALB UREA UREAN GFREI CYSTATC CL BICARB CO2 CAION GLUC LDH CK CKMB AMYLASE "
    "LIPASET CRP PCT FERRITIN IRON TFERRIN IBCT URATE CHOL TRIG HDL LDL HBA1CHGB LACTICAC AMMONIA BILEAC IGG IGA IGM C3 C4 "
    "TSH T4FR T3FR BNPPRONT TROPONI TROPONT VITB12 VITB9 EPO INTLK6 HCG",
    "coagulation": "PT PTAC INR APTT FIBRINO DDIMER TT ATHMBAAC FDP",
    "urine": "GLUC PROT KETONES BILI UROBIL NITRITE LEUKASE OCCBLD PH SPGRAV COLOR CLARITY RBC WBC ALBCREAT",
    "blood gas": "PH PCO2 PO2 BICARB BASEEXCS OXYSAT",
    "viruses": "CMVDNA EBDNA", "serology": "MBIGGAB MBIMAB",
    "lymphocyte subsets": "TLYCE TLYLY TLYH TLHLY TLC TLCLY TLYHTLYC BLYCE BLYCELY NKCE NKLY",
    "vital signs": "SYSBP DIABP MAP HR PULSE TEMP RESP OXYSAT WEIGHT HEIGHT BMI BSA HDCIRC PAIN", "performance": "KPSS0101",
}  # fmt: skip


@pytest.mark.parametrize("panel", PANELS)
def test_panels_are_covered(panel: str) -> None:
    missing = set(PANELS[panel].split()) - {r["testcd"] for r in OBSERVATIONS}
    assert missing == set()


def test_names_lead_to_tests_and_stand_once() -> None:
    table = load_codes("names", FOLDER)
    assert [r["code"] for r in table if OBSERVATIONS.get(r["system"], r["code"]) is None] == []
    names = [n for r in table for n in r["names"].split("|")]
    assert sorted({n for n in names if names.count(n) > 1}) == []
    assert [n for n in names if n != n.strip().lower()] == []


@pytest.mark.parametrize(
    ("testcd", "codes"),
    [
        ("NEUT", "751-8 26499-4 753-4"), ("NEUTLE", "770-8 26511-6"), ("NEUTSGLE", "769-0"), ("NEUTBLE", "764-1"),
        ("WBC", "6690-2 26464-8"), ("PLAT", "777-3 26515-7 778-1"), ("HGB", "718-7 59260-0"), ("KPSS0101", "89243-0"),
    ],
)  # fmt: skip
def test_default_codes_of_the_input_document(testcd: str, codes: str) -> None:
    found = [OBSERVATIONS.get(LOINC, c) for c in codes.split()]
    assert [r and r["testcd"] for r in found] == [testcd] * len(found)


def test_observation_count_and_conversions() -> None:
    assert sum(r["domain"] == "LB" for r in OBSERVATIONS) >= 380
    units = UnitTable.load(FOLDER)
    by_hand = [
        ("59260-0", "mmol/L", "5.0", "80.6"), ("718-7", "g/dL", "7.0", "70"), ("1975-2", "mg/dL", "1.0", "17.1"),
        ("2160-0", "mg/dL", "1.0", "88"), ("2345-7", "mg/dL", "100", "5.6"), ("17861-6", "mg/dL", "10.0", "2.50"),
        ("19123-9", "mg/dL", "2.0", "0.82"), ("2777-1", "mg/dL", "3.5", "1.13"), ("3094-0", "mg/dL", "14", "5.0"),
        ("3091-6", "mg/dL", "30", "5.0"), ("3084-1", "mg/dL", "6.0", "357"), ("2951-2", "meq/L", "140", "140"),
        ("17861-6", "meq/L", "5.0", "2.50"), ("2823-3", "meq/L", "4.1", "4.1"), ("2093-3", "mg/dL", "200", "5.17"),
        ("2571-8", "mg/dL", "150", "1.69"), ("4544-3", "%", "41.0", "0.410"), ("1742-6", "[IU]/L", "35", "35"),
        ("3255-7", "mg/dL", "250", "2.50"), ("1988-5", "mg/dL", "0.5", "5"), ("2498-4", "ug/dL", "100", "17.9"),
        # albumin to creatinine: 10 mg/mmol × 1000 / 113.12 = 88.4 mg/g
        ("14959-1", "mg/mmol", "10", "88"), ("14959-1", "mg/g", "30", "30"), ("2085-9", "mg/dL", "50", "1.29"),
        ("3024-7", "ng/dL", "1.2", "15.4"), ("2132-9", "pg/mL", "500", "369"), ("16362-6", "ug/dL", "100", "59"),
        ("2019-8", "kPa", "5.3", "40"), ("5803-2", "[pH]", "6.5", "6.5"), ("3016-3", "m[IU]/L", "2.5", "2.5"),
        ("5804-0", "mg/dL", "30", "0.30"), ("8310-5", "[degF]", "98.6", "37.0"), ("19113-0", "[IU]/mL", "12", "12"),
    ]  # fmt: skip
    for code, ucum, value, expected in by_hand:
        row = OBSERVATIONS.get(LOINC, code)
        assert row is not None
        made = units.standard_result(
            value, ucum, row["standard_ucum"], row["decimals"], row["molar_mass"] or None, row["charge"] or None
        )
        assert made[1] is None, (code, made)
        assert float(made[0] or "nan") == float(expected), (code, made)


def test_default_drug_and_procedure_codes() -> None:
    for category, codes in (
        ("G-CSF", "L03AA02 L03AA10 L03AA13 L03AA14"), ("TPO-RA", "B02BX04 B02BX05 B02BX08"),
        ("TRANSFUSION", "B05AX01 B05AX02 B05AX03"), ("CONDITIONING", "L01AB01 L01AA01 L01BC01 L01AD03 L01AD02 L04AA04"),
    ):  # fmt: skip
        assert [(r := DRUGS.get(ATC, c)) and r["cmcat"] for c in codes.split()] == [category] * len(codes.split())
    for product, codes in (
        ("PLATELETS", "12719002"), ("RED BLOOD CELLS", "116863004 71493000"), ("PLASMA", "13569004 116861002"),
        ("GRAFT", "234336002 23719005"),
    ):  # fmt: skip
        assert [(r := PROCEDURES.get(SNOMED, c)) and r["product"] for c in codes.split()] == [product] * len(
            codes.split()
        )
    for code, category in (("38240", "GRAFT INFUSION"), ("38242", "DLI"), ("38243", "BOOST")):
        row = PROCEDURES.get(CPT, code)
        assert row is not None
        assert (row["domain"], row["cat"]) == ("PR", category)
    assert [(r := DRUGS.get("RxNorm", c)) and r["cmdecod"] for c in ("42316", "68442", "3264")] == [
        "TACROLIMUS", "FILGRASTIM", "DEXAMETHASONE",
    ]  # fmt: skip
    # One product word for one product, whichever resource it comes as.
    assert {r["cmdecod"] for r in DRUGS if r["cmcat"] == "TRANSFUSION"} == {"PLATELETS", "RED BLOOD CELLS", "PLASMA"}


def test_terms_in_the_small_tables() -> None:
    for name, codelist in (("routes", "ROUTE"), ("frequencies", "FREQ"), ("doseforms", "FRM")):
        assert [r["ct"] for r in load_codes(name, FOLDER) if not TERMS.is_term(codelist, r["ct"])] == []
    for row in load_codes("demographics", FOLDER):
        assert TERMS.is_term(row["variable"], row["ct"])
    for row in PROCEDURES:
        assert row["domain"] in {"CM", "PR"}
        sponsor = "sponsor term" in row["note"]
        assert row["domain"] == "CM" or TERMS.is_term("PROCEDUR", row["decod"]) != sponsor, row


@pytest.mark.parametrize("table", [DRUGS, PROCEDURES, *(load_codes(n, FOLDER) for n in ("routes", "frequencies"))])
def test_a_name_stands_in_one_row_only(table: CodeTable) -> None:
    names = [n for r in table for n in r["match"].split("|") if n]
    assert sorted({n for n in names if names.count(n) > 1}) == []
    assert [n for n in names if n != n.strip().lower()] == []


def test_tables_load_from_any_working_directory(tmp_path: Path) -> None:
    program = (
        "from importlib import resources; from adapter.codes import load_codes;"
        "print(len(load_codes('observations', resources.files('mappings.codes'))))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONSAFEPATH": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(out.stdout) == len(OBSERVATIONS)


def test_errors_pickle(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_codes("t", tmp_path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

"""The sponsor's coding (`--coding DIR`): what the files may say, and how terms are found in them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from adapter.derive.terms import english, in_meddra, in_whodrug
from adapter.dictionaries import Dictionaries, load_dictionaries
from adapter.errors import InputError

MEDDRA = (
    "verbatim,llt,llt_code,pt,pt_code,soc,soc_code\n发热,Fever,11,Pyrexia,12,General,15\nRash,Rash,21,Rash,22,Skin,25\n"
)
VERSIONS = "dictionary,version\nMedDRA,28.0\nWHODrug,GLOBALB3 Mar 2025\n"


def coding(folder: Path, **files: str) -> Dictionaries:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return load_dictionaries(folder)


def column(*values: str) -> pd.Series:  # type: ignore[type-arg]
    return pd.Series(values, dtype=object)


def test_without_a_folder_nothing_is_coded() -> None:
    known = load_dictionaries(None)
    assert known.english("发热") == "发热"
    assert in_meddra(known, column("发热"), column("发热"), column(""))["known"].tolist() == [False]


def test_a_term_is_found_as_it_came_in_english_or_by_its_meddra_code(tmp_path: Path) -> None:
    known = coding(tmp_path, meddra=MEDDRA, versions=VERSIONS, translations="term,english\n皮疹,Rash\n")
    came = column("  发热 ", "皮疹", "RASH", "Hautausschlag", "Hautausschlag", "unknown")
    said = english(known, came)
    assert said["text"].tolist() == ["  发热 ", "Rash", "RASH", "Hautausschlag", "Hautausschlag", "unknown"]
    assert said["original"].tolist() == ["", "皮疹", "", "", "", ""]
    codes = column("", "", "", "urn:oid:2.16.840.1.113883.6.163|22", "http://snomed.info/sct|22", "")
    found = in_meddra(known, said["text"], came, codes)
    assert found["pt"].tolist() == ["Pyrexia", "Rash", "Rash", "Rash", "", ""]
    assert found["soc_code"].tolist() == ["15", "25", "25", "25", "", ""]
    assert found["known"].tolist() == [True, True, True, True, False, False]
    assert set(found["hlt"]) == {""}  # a level that the sponsor leaves out stays empty


def test_drugs(tmp_path: Path) -> None:
    known = coding(tmp_path, versions=VERSIONS, whodrug="verbatim,decod,class,class_code\nG-CSF,FILGRASTIM,CSF,L03AA\n")
    found = in_whodrug(known, column("g-csf", "x"), column("", ""))
    assert found[["decod", "class_code", "known"]].to_numpy().tolist() == [
        ["FILGRASTIM", "L03AA", True],
        ["", "", False],
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "found none of meddra.csv, whodrug.csv, translations.csv, ctcae.csv"),
        ({"versions": VERSIONS}, "found none of"),
        ({"meddra": MEDDRA}, "found no version of MedDRA"),
        ({"meddra": MEDDRA, "versions": "dictionary,version\nMedDRA,\n"}, "found no version of MedDRA"),
        (
            {"meddra": MEDDRA + "发热,Fever,11,Pyrexia,12,General,15\n", "versions": VERSIONS},
            r"meddra.csv:4: '发热' stands twice",
        ),
        ({"meddra": "verbatim,pt,ptcd\nx,y,1\n", "versions": VERSIONS}, "unknown column 'ptcd'"),
        ({"meddra": "verbatim,pt,pt_code\nx,y,1a\n", "versions": VERSIONS}, "pt_code '1a' is no MedDRA code"),
        ({"meddra": "verbatim,pt\nx,\n", "versions": VERSIONS}, "'x' has neither llt nor pt"),
        ({"translations": "term,english\n,x\n"}, "term is empty"),
        ({"translations": "english\nx\n"}, r"missing: \['term'\]"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_by_file_and_line(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        coding(tmp_path, **files)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_dictionaries(tmp_path / "nowhere")

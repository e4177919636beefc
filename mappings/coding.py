"""Reported terms in every domain the same way: translated and coded by the sponsor's files (`build --coding DIR`).

Nothing licensed ships and nothing is invented: what the sponsor has not coded stays empty, and is listed in unmapped.csv.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.derive.coding import unmapped
from adapter.derive.terms import english, in_meddra, in_whodrug
from adapter.spec import ASSIGNED, Inputs, Variable, parents_of, path

MEDDRA, WHODRUG = "MedDRA", "WHODrug"


def with_terms(frame: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Add `term` (English, where the sponsor translates it), `original`, and the MedDRA levels of each record's term.

    Needs columns code and code_text.
    """
    known = inputs.knowledge.dictionaries
    said = english(known, frame["code_text"])
    coded = in_meddra(known, said["text"], frame["code_text"], frame["code"])
    return frame.assign(term=said["text"], original=said["original"], **{str(c): coded[c] for c in coded})


def with_drugs(frame: pd.DataFrame, inputs: Inputs) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Add `trt` (English, where the sponsor translates it), `original`, `named`, `clas` and `clas_code` of each drug.

    named: the name of the sponsor's coding, else that of the drug tables, which the rules of the trial go by. Also returns
    the unmapped report of drugs that a given WHODrug coding does not have. Needs columns code, code_text, decod, resource.
    """
    known = inputs.knowledge.dictionaries
    said = english(known, frame["code_text"])
    drug = in_whodrug(known, said["text"], frame["code_text"])
    made = frame.assign(
        trt=said["text"],
        original=said["original"],
        named=drug["decod"].where(drug["known"], frame["decod"]),
        clas=drug["class"],
        clas_code=drug["class_code"],
    )
    left = made[~drug["known"]] if known.whodrug else made.iloc[:0]
    parts = [unmapped(str(k), g["code"], g["code_text"], used=True) for k, g in left.groupby("resource", sort=True)]
    return made, pd.concat(parts, ignore_index=True) if parts else None


def originals(frame: pd.DataFrame, variable: str) -> pd.DataFrame:
    """Return the sources of translated terms, with the text as it came: it is kept in the trace (sdtm-conventions, Events)."""
    changed = frame[frame["original"] != ""]
    parts = [
        parents_of(g.index, variable, str(kind), g["row"].to_numpy()).assign(original=g["original"].to_numpy())
        for kind, g in changed.groupby("resource", sort=True)
    ]
    return pd.concat(parts, ignore_index=True) if parts else parents_of([], variable, "", []).assign(original="")


def uncoded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the unmapped report of terms without a MedDRA coding, each in its records with its own text."""
    left = frame[~frame["known"].astype(bool)]
    parts = [
        unmapped(str(kind), g["code"], g["original"].where(g["original"] != "", g["term"]), used=True)
        for kind, g in left.groupby("resource", sort=True)
    ]
    return pd.concat(parts, ignore_index=True) if parts else unmapped("", left["code"], left["term"], used=True)


def decoded(name: str, label: str, core: Any = "Perm") -> Variable:
    """Return --DECOD: the MedDRA preferred term."""
    return Variable(
        name, label, "Char", path("pt"), ASSIGNED, core, "Synonym Qualifier", dictionary=MEDDRA, comment=CODED
    )


def level(
    name: str, label: str, column: str, core: Any, role: str = "Variable Qualifier", dictionary: bool = True
) -> Variable:
    """Return one level of a term's MedDRA coding; codes are numbers."""
    kind: Any = "Num" if column.endswith("_code") else "Char"
    source = MEDDRA if dictionary else None
    return Variable(name, label, kind, path(column), ASSIGNED, core, role, dictionary=source, comment=CODED)


CODED = "From the sponsor's coding of the reported term; empty where the term is not coded."

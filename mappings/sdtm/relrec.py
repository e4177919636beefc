"""RELREC, Related Records: derived counts with their parents; events with their assessments, causes and stays in hospital."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.spec import ASSIGNED, NOT_AVAILABLE, PROTOCOL, Dataset, Inputs, Records, Variable, path, setting

DOMAIN = "RELREC"


def relations(inputs: Inputs) -> Records:
    """Return one record per member of each relationship; all members of one have the same RELID.

    A relationship stands around one record: what its domain says it belongs with (Records.related), as far as those are
    records of some domain. It can be followed from any member to every other one.
    """
    around = _around(inputs)
    members = around.merge(_places(inputs, around), on=["USUBJID", "resource", "row"])
    members = members.loc[(members["dataset"] == "") | (members["dataset"] == members["domain"]), MEMBER]
    anchors = around.assign(domain=around["anchor"], number=around["seq"])[MEMBER]
    found = pd.concat([anchors, members], ignore_index=True).drop_duplicates()
    found = found[found.duplicated(["USUBJID", "anchor", "seq"], keep=False)].copy()
    found["relid"] = found["anchor"] + _texts(found["seq"])
    found["idvar"] = found["domain"] + "SEQ"
    found["idvarval"] = _texts(found["number"])  # text, though it is a number (SDTMIG 3.4 section 8.2.1)
    return Records(found)


MEMBER = ["USUBJID", "anchor", "seq", "domain", "number"]


def _around(inputs: Inputs) -> pd.DataFrame:
    """Return USUBJID, anchor (dataset), seq, and resource, row and dataset of what the record belongs with."""
    parts = [
        pd.DataFrame({c: [] for c in ("USUBJID", "anchor", "resource", "dataset")}, dtype="str").assign(seq=0.0, row=0)
    ]
    for name, records in inputs.records.items():
        if records.related is not None and len(records.related):
            r = records.related.reset_index(drop=True)
            own = records.frame["USUBJID"].reindex(r["record"]).to_numpy()
            number = inputs.sequences[name].reindex(r["record"]).to_numpy()
            parts.append(
                pd.DataFrame({"USUBJID": own, "anchor": name, "seq": number}).join(r[["resource", "row", "dataset"]])
            )
    return pd.concat(parts, ignore_index=True)


def _places(inputs: Inputs, around: pd.DataFrame) -> pd.DataFrame:
    """Return which records come from the wanted rows: USUBJID, resource, row, domain, number (--SEQ)."""
    wanted = {k: set(g["row"]) for k, g in around.groupby("resource")}
    parts = [pd.DataFrame({c: [] for c in ("USUBJID", "resource", "domain")}, dtype="str").assign(number=0.0, row=0)]
    for name, records in inputs.records.items():
        f, sequence = records.frame, inputs.sequences.get(name)
        if sequence is None or not len(sequence) or "row" not in f:
            continue
        for kind, rows in wanted.items():
            there = f[((f["resource"] == kind) & f["row"].isin(rows)).to_numpy()]
            number = sequence.reindex(there.index).to_numpy()
            parts.append(there[["USUBJID", "resource", "row"]].assign(domain=name, number=number))
    return pd.concat(parts, ignore_index=True)


def _texts(numbers: pd.Series[float]) -> pd.Series[str]:
    return numbers.astype("int64").astype("str")


def _names(name: str, label: str, column: str, core: Any = "Req", codelist: str | None = None) -> Variable:
    note = "Names one member of the relationship."
    return Variable(name, label, "Char", path(column), ASSIGNED, core, "Identifier", codelist=codelist, comment=note)


DATASET = Dataset(
    name=DOMAIN,
    label="Related Records",
    cls="RELATIONSHIP",
    structure="One record per related record, group of records or dataset",
    keys=("STUDYID", "USUBJID", "RELID", "RDOMAIN", "IDVAR", "IDVARVAL"),
    records=relations,
    last=True,
    comment=(
        "RELID is the record that a relationship stands around: a count derived from other results, a clinical event and "
        "its stages, grades and assessments, an adverse event and the clinical event or stay in hospital it led to."
    ),
    variables=(
        Variable("STUDYID", "Study Identifier", "Char", setting("study.id"), PROTOCOL, "Req", "Identifier"),
        _names("RDOMAIN", "Related Domain Abbreviation", "domain", codelist="C66734"),
        _names("USUBJID", "Unique Subject Identifier", "USUBJID", "Exp"),
        _names("IDVAR", "Identifying Variable", "idvar"),
        _names("IDVARVAL", "Identifying Variable Value", "idvarval", "Exp"),
        Variable(
            "RELTYPE",
            "Relationship Type",
            "Char",
            None,
            NOT_AVAILABLE,
            "Exp",
            "Record Qualifier",
            codelist="C78737",
            comment="Only for relations between whole datasets, of which there are none.",
        ),
        Variable(
            "RELID",
            "Relationship Identifier",
            "Char",
            path("relid"),
            ASSIGNED,
            "Req",
            "Record Qualifier",
            comment="Dataset and --SEQ of the record that the relationship stands around.",
        ),
    ),
)

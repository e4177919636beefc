"""CO, Comments: notes of clinical records, only where the trial lets texts out (confidentiality.comments)."""

from __future__ import annotations

import pandas as pd

from adapter.derive.strings import byte_pieces
from adapter.spec import ASSIGNED, COLLECTED, Dataset, Inputs, Records, Variable, path
from mappings.parts import assigned, collected, identifiers, study_day_of, text

DOMAIN = "CO"
MOST_BYTES, PIECES = 200, 9
NOTED = ("AdverseEvent", "Condition")
"""Resource types whose notes intake keeps; where the trial does not let texts out, there are none."""


def comments(inputs: Inputs) -> Records:
    """Return one record per note of a record that some domain has; it names that record by its --SEQ."""
    parts = []
    for kind in NOTED:
        c = inputs.frame(kind)
        c = c[text(c["element"]).str.startswith("note[") & bool(inputs.trial.confidentiality.comments)]
        cut = inputs.subjects["cut"].reindex(c["USUBJID"]).to_numpy(dtype="float64")
        written = c["note_day"].astype("float64").fillna(float("-inf")).to_numpy()
        parts.append(c[written <= cut].merge(_records(inputs, kind), on=["file", "line"]))
    frame = pd.concat(parts, ignore_index=True)
    frame["pieces"] = text(frame["note"]).map(_pieces)
    frame = frame.rename_axis("of").explode("pieces").reset_index()
    parts_of = zip(frame["element"], frame.groupby("of").cumcount(), strict=True)
    named = [f"NOTE {int(e[5:-1]) + 1}" + (f" PART {n + 1}" if n else "") for e, n in parts_of]
    frame["coref"] = pd.Series(named, index=frame.index, dtype="str")
    frame["coval"] = frame["pieces"].str[0].astype("str")
    for n in range(1, PIECES + 1):
        frame[f"coval{n}"] = text(frame["pieces"].str[n])
    frame["idvar"] = frame["domain"].astype("str") + "SEQ"
    frame["idvarval"] = frame["number"].astype("int64").astype("str")
    frame["note_dtc"] = text(frame["note_dtc"])
    return Records(frame)


def _pieces(note: str) -> list[list[str]]:
    """Return a note cut for COVAL to COVAL9; what is longer goes on in a further record."""
    cut = byte_pieces(" ".join(note.split()), MOST_BYTES)
    return [cut[i : i + PIECES + 1] for i in range(0, len(cut), PIECES + 1)]


def _records(inputs: Inputs, kind: str) -> pd.DataFrame:
    """Return the first record, by domain and --SEQ, that comes from each resource: file, line, domain, number."""
    parts = [pd.DataFrame({"file": [], "line": [], "domain": [], "number": []})]
    for name, records in sorted(inputs.records.items()):
        sequence, f = inputs.sequences.get(name), records.frame
        if sequence is None or not len(sequence) or not {"row", "file", "line"} <= set(f):
            continue
        own = f[(f["resource"] == kind).to_numpy()]
        made = own[["file", "line"]].assign(domain=name, number=sequence.reindex(own.index).to_numpy())
        parts.append(made.sort_values("number", kind="stable"))
    return pd.concat(parts, ignore_index=True).drop_duplicates(["file", "line"])


def _names(name: str, label: str, column: str, codelist: str | None = None) -> Variable:
    note = "Names the record that the comment is about."
    source = path(column)
    return Variable(name, label, "Char", source, ASSIGNED, "Perm", "Record Qualifier", codelist=codelist, comment=note)


DATASET = Dataset(
    name=DOMAIN,
    label="Comments",
    cls="SPECIAL PURPOSE",
    structure="One record per comment per subject",
    keys=("STUDYID", "USUBJID", "RDOMAIN", "IDVAR", "IDVARVAL", "COREF", "CODTC", "COVAL"),
    records=comments,
    sequence="COSEQ",
    last=True,
    variables=(
        *identifiers(DOMAIN)[:2],
        _names("RDOMAIN", "Related Domain Abbreviation", "domain", codelist="C66734"),
        *identifiers(DOMAIN)[2:],
        _names("IDVAR", "Identifying Variable", "idvar"),
        _names("IDVARVAL", "Identifying Variable Value", "idvarval"),
        assigned(
            "COREF",
            "Comment Reference",
            "coref",
            "Perm",
            "Record Qualifier",
            comment="Which note of the resource it is, and which part of a note that is too long for one record.",
        ),
        collected("COVAL", "Comment", "coval", "Req", "Topic", "Condition.note", "AdverseEvent.note"),
        *(
            Variable(
                f"COVAL{n}",
                f"Comment {n}",
                "Char",
                path(f"coval{n}", "Condition.note", "AdverseEvent.note"),
                COLLECTED,
                "Perm",
                "Topic",
            )
            for n in range(1, PIECES + 1)
        ),
        collected(
            "CODTC",
            "Date/Time of Comment",
            "note_dtc",
            "Perm",
            "Timing",
            "Condition.note.time",
            "AdverseEvent.note.time",
        ),
        study_day_of("CODY", "Study Day of Comment", "CODTC"),
    ),
)

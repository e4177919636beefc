"""TS, Trial Summary: what the trial definition says of the study (ts.csv), and a few facts of this delivery."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.derive.strings import byte_pieces
from adapter.spec import ASSIGNED, PROTOCOL, Dataset, Records, ValueLevel, Variable, const, path, setting

DOMAIN = "TS"
MOST_BYTES = 200
CODED = ("@run.meddra", "@run.whodrug")
PIECES = 5
"""A value over 200 bytes goes on in TSVAL1 ... TSVAL5, cut by bytes, never inside a character (SDTMIG 3.4 §7.4.2)."""


def trial_summary(trial: Any, run: dict[str, str]) -> Records:
    """Return one record per row of ts.csv; a fact of this delivery that is not known becomes null flavour NI.

    run: the names of adapter.trial_tables.RUN_SOURCES; `NAME.code` is the code of a value that is a term.
    """
    rows = []
    for p in trial.summary:
        value, code, flavour = trial.fill(p.TSVAL, run), p.TSVALCD, p.TSVALNF
        if not value and p.TSVAL in CODED:  # nothing is coded in it
            continue
        if not value and not flavour:
            flavour = "NI"
        code = run.get(f"{p.TSVAL.removeprefix('@')}.code", code)
        version = trial.fill(p.TSVCDVER, run) if code or p.TSVCDREF else ""
        value, *more = byte_pieces(value, MOST_BYTES)
        more = [*more[: PIECES - 1], "".join(more[PIECES - 1 :])]  # what fits nowhere is refused by the XPT writer
        rows.append(
            {
                "tsseq": float(p.TSSEQ),
                "tsgrpid": p.TSGRPID,
                "tsparmcd": p.TSPARMCD,
                "tsparm": p.TSPARM,
                "tsval": value,
                "tsvalnf": flavour,
                "tsvalcd": code,
                "tsvcdref": p.TSVCDREF if code else "",
                "tsvcdver": version if code else "",
            }
            | {f"tsval{n}": piece for n, piece in enumerate(more, 1)}
        )
    frame = pd.DataFrame(rows, columns=None if rows else ["tsparmcd", "tsseq"])
    return Records(frame.sort_values(["tsparmcd", "tsseq"], ignore_index=True))


def _char(name: str, label: str, column: str, core: Any, role: str, codelist: str | None = None) -> Variable:
    return Variable(
        name, label, "Char", path(column, "trial definition: ts.csv"), PROTOCOL, core, role, codelist=codelist
    )


DATASET = Dataset(
    name=DOMAIN,
    label="Trial Summary",
    cls="TRIAL DESIGN",
    structure="One record per trial summary parameter value",
    keys=("STUDYID", "TSPARMCD", "TSSEQ"),
    records=trial_summary,
    reference=True,
    value_levels=(ValueLevel("TSVAL", "TSPARMCD"),),
    variables=(
        Variable("STUDYID", "Study Identifier", "Char", setting("study.id"), PROTOCOL, "Req", "Identifier"),
        Variable("DOMAIN", "Domain Abbreviation", "Char", const(DOMAIN), ASSIGNED, "Req", "Identifier"),
        Variable(
            "TSSEQ", "Sequence Number", "Num", path("tsseq", "trial definition: ts.csv"), ASSIGNED, "Req", "Identifier"
        ),
        _char("TSGRPID", "Group ID", "tsgrpid", "Perm", "Identifier"),
        _char("TSPARMCD", "Trial Summary Parameter Short Name", "tsparmcd", "Req", "Topic", "C66738"),
        _char("TSPARM", "Trial Summary Parameter", "tsparm", "Req", "Synonym Qualifier", "C67152"),
        _char("TSVAL", "Parameter Value", "tsval", "Exp", "Result Qualifier"),
        *(
            _char(f"TSVAL{n}", f"Parameter Value {n}", f"tsval{n}", "Perm", "Result Qualifier")
            for n in range(1, PIECES + 1)
        ),
        _char("TSVALNF", "Parameter Value Null Flavor", "tsvalnf", "Perm", "Result Qualifier"),
        _char("TSVALCD", "Parameter Value Code", "tsvalcd", "Exp", "Result Qualifier"),
        _char("TSVCDREF", "Name of the Reference Terminology", "tsvcdref", "Exp", "Result Qualifier", "C66788"),
        _char("TSVCDVER", "Version of the Reference Terminology", "tsvcdver", "Exp", "Result Qualifier"),
    ),
)

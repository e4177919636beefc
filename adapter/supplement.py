"""Values that do not fit their variable: text over 200 bytes and declared supplemental variables go to SUPP--.

SDTMIG 3.4 §4.5.3.2 and §8.4: the first 200 bytes stay, the rest goes to SUPP-- under QNAM = variable name and a digit.
Splitting counts UTF-8 bytes and never cuts a character.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from adapter.derive.strings import byte_pieces
from adapter.spec import Dataset

MOST_BYTES = 200
COLUMNS = ("STUDYID", "RDOMAIN", "USUBJID", "IDVAR", "IDVARVAL", "QNAM", "QLABEL", "QVAL", "QORIG", "QEVAL")


def pieces(text: str, size: int = MOST_BYTES) -> list[str]:
    """Return the text cut into pieces of at most `size` UTF-8 bytes, at character borders, none ending in a blank."""
    return byte_pieces(text, size)


def qnam(variable: str, number: int) -> str:
    """Return the QNAM of the n-th overflow: the variable's name and the number, cut to 8 characters in all."""
    digits = str(number)
    return variable[: 8 - len(digits)] + digits


def supplement(dataset: Dataset, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (the dataset's own columns, each value within 200 bytes; the rows of SUPP--, sorted by its keys).

    frame: all declared variables, supplemental ones too. Analysis datasets have no SUPP--: the first 200 bytes of a longer
    text stand in them, and all of it in the tabulation dataset that it was copied from and its SUPP--.
    """
    main = frame[[v.name for v in dataset.main]].copy()
    if not len(main):
        return main, pd.DataFrame(columns=list(COLUMNS), dtype="str")
    rows: list[pd.DataFrame] = []
    for v in dataset.main:
        if v.type != "Char":
            continue
        sizes = _sizes(main[v.name])
        if (pc.max(sizes).as_py() or 0) <= MOST_BYTES:
            continue
        long = pd.Series(sizes.to_numpy(zero_copy_only=False) > MOST_BYTES, index=main.index)
        cut = main.loc[long, v.name].map(pieces)
        cut = cut[cut.str.len() > 1]
        main.loc[cut.index, v.name] = cut.str[0]
        if dataset.purpose == "Analysis":
            continue
        for number in range(1, int(cut.str.len().max()) if len(cut) else 0):
            rest = cut[cut.str.len() > number].str[number]
            rows.append(_rows(dataset, main, rest, qnam(v.name, number), v.label, v.origin.type))
    for v in dataset.supplemental:
        values = frame[v.name]
        if v.type == "Char" and not pc.max(_sizes(values)).as_py():
            continue
        kept = values[values.notna() & (values.astype("str") != "")].astype("str").map(pieces)
        for number in range(int(kept.str.len().max()) if len(kept) else 0):
            part = kept[kept.str.len() > number].str[number].astype("str")
            name = v.name if number == 0 else qnam(v.name, number)
            rows.append(_rows(dataset, main, part, name, v.label, v.origin.type))
    kept_rows = [r for r in rows if len(r)]
    if not kept_rows:
        return main, pd.DataFrame({c: pd.Series(dtype="str") for c in COLUMNS})
    supp = pd.concat(kept_rows, ignore_index=True)
    order = supp.assign(_n=pd.to_numeric(supp["IDVARVAL"])).sort_values(
        ["USUBJID", "IDVAR", "_n", "QNAM"], kind="stable"
    )
    return main, order[list(COLUMNS)].reset_index(drop=True)


def _sizes(texts: pd.Series[str]) -> pa.Array:
    """Return the number of bytes of each text."""
    return pc.binary_length(pa.array(texts, pa.large_string(), from_pandas=True))


def _rows(
    dataset: Dataset, main: pd.DataFrame, values: pd.Series[str], name: str, label: str, origin: str
) -> pd.DataFrame:
    parent = main.loc[values.index]
    rows = pd.DataFrame({"USUBJID": parent["USUBJID"], "QVAL": values})
    rows["STUDYID"] = parent["STUDYID"]
    rows["RDOMAIN"], rows["QNAM"], rows["QLABEL"], rows["QORIG"], rows["QEVAL"] = dataset.name, name, label, origin, ""
    # DM has one record per subject and no --SEQ: its supplemental qualifiers need no IDVAR
    rows["IDVAR"] = dataset.sequence or ""
    rows["IDVARVAL"] = parent[dataset.sequence].astype("int64").astype("str") if dataset.sequence else ""
    return rows.reset_index(drop=True)

"""What a result's Specimen tells: its type, and when it was taken where the result does not say it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from adapter.derive.coding import coded
from adapter.spec import Inputs, joined, parents_of
from mappings.parts import text

DATE_NOTES = r"\n?date-(?:missing|from-issued)@[^\n]*"


def specimen_numbers(inputs: Inputs) -> npt.NDArray[np.int64]:
    """Return a small number per row of Observation for the specimen it is of, -1 where none is named."""
    encoded = inputs.facts["Observation"].keyed.column("specimen").combine_chunks().dictionary_encode()
    found: npt.NDArray[np.int64] = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def with_specimen(o: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Add what the Specimen tells: its type, where a table knows it, and when it was taken, where the result does not.

    Columns type_row and time_row: the Specimen's row where its type, or its collection time, was used; else -1.
    """
    o = o.assign(type_row=-1, time_row=-1)
    facts = inputs.facts["Specimen"]
    if not len(facts.frame) or not len(o):
        return o
    wanted = inputs.facts["Observation"].keyed.column("specimen").take(pa.array(o["row"].to_numpy()))
    row = pc.index_in(wanted, facts.keyed.column("rid")).fill_null(-1).to_numpy().astype(np.int64)
    known = row >= 0
    table = inputs.knowledge.codes["specimens"]
    types = coded(table, facts.frame["code"], facts.frame["code_text"], names=True, only=("ct",))["ct"]
    found = pd.Series(types.to_numpy(dtype=object)[np.maximum(row, 0)], index=o.index).where(known, "")
    o["type_row"] = np.where(found != "", row, -1)
    o["to_specimen"] = o["to_specimen"].where(found == "", found)
    undated = o["dtc"].isna() | text(o["notes"]).str.contains("date-from-issued", regex=False)
    taken = facts.frame[["dtc", "day", "micros"]].iloc[np.maximum(row, 0)].set_axis(o.index)
    use = undated & known & taken["dtc"].notna()
    o["time_row"] = np.where(use, row, -1)
    for column in ("dtc", "day", "micros"):
        o[column] = o[column].where(~use, taken[column])
    o["notes"] = o["notes"].where(~use, text(o["notes"]).str.replace(DATE_NOTES, "", regex=True))
    return o


def specimen_parents(o: pd.DataFrame, domain: str) -> pd.DataFrame | None:
    """Return the Specimens as further sources of --SPEC and --DTC of a domain."""
    parts = []
    for column, variable in (("type_row", f"{domain}SPEC"), ("time_row", f"{domain}DTC")):
        used = o[o[column] >= 0]
        # the reference to the specimen stays a source of its type; the time stands in the specimen alone
        instead = column == "time_row"
        parts.append(parents_of(used.index, variable, "Specimen", used[column].to_numpy(), instead))
    return joined(parts)

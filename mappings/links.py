"""Which rows of another resource type a record names: keyed ids, in hex, one per line, as intake keeps references."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from adapter.derive.coding import coded
from adapter.spec import Inputs
from mappings.parts import text


def rows_named(inputs: Inputs, resource: str, ids: pd.Series[Any], whole: bool = False) -> pd.DataFrame:
    """Return columns record (index label of `ids`) and row (in the facts of the resource type), in the order of `ids`.

    ids: keyed ids in hex, one per line, perhaps none. whole: only the rows of resources themselves, not those inside them.
    """
    named = text(ids).str.split().explode().dropna()
    facts = inputs.facts[resource]
    wanted = pa.array([bytes.fromhex(h) for h in named.unique()], pa.binary(16))
    there = pc.is_in(facts.keyed.column("rid"), value_set=wanted).to_numpy(zero_copy_only=False)
    rows = facts.frame.index[there]
    if whole:
        rows = rows[(facts.frame["element"].loc[rows] == "").to_numpy()]
    rids = facts.keyed.column("rid").take(pa.array(rows.to_numpy())).to_pylist()
    found = pd.DataFrame({"id": [r.hex() for r in rids], "row": rows.to_numpy()}, dtype=object)
    asked = pd.DataFrame({"record": named.index, "id": named.to_numpy()})
    return asked.merge(found, on="id")[["record", "row"]].astype({"row": "int64"})


def ids_of(inputs: Inputs, resource: str, rows: pd.Series[Any]) -> pd.Series[str]:
    """Return the keyed ids, in hex, of rows of a resource type."""
    rids = inputs.facts[resource].keyed.column("rid").take(pa.array(rows.to_numpy(dtype="int64"))).to_pylist()
    return pd.Series([r.hex() for r in rids], index=rows.index, dtype="str")


def stages(inputs: Inputs, events: pd.DataFrame) -> pd.DataFrame:
    """Return the stages of Conditions that are clinical events: one row each, with `cat` of the event and what its type is.

    Columns to_…: what the observations table says of Condition.stage.type; empty where it knows none. events: the records
    of CE. Acute on chronic GVHD is two events: a stage of it is of the first.
    """
    c = inputs.frame("Condition")
    c = c[text(c["element"]).str.startswith("stage[")]
    own = events[["file", "line", "cat"]].drop_duplicates(["file", "line"])
    c = c.merge(own, on=["file", "line"]).reset_index(drop=True)
    meaning = coded(inputs.knowledge.codes["observations"], c["stage_type"], c["stage_type_text"], only=STAGE_MEANING)
    return c.join(meaning[list(STAGE_MEANING)].add_prefix("to_"))


STAGE_MEANING = ("domain", "testcd", "test", "cat", "specimen", "detail")

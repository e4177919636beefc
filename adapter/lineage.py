"""The trace of analysis datasets: which SDTM and ADaM records each value was made from.

    OUT/trace/adrs.parquet     USUBJID, SEQ (ASEQ), VARIABLE (empty: the whole record), DATASET, SOURCE, SRCSEQ

From the SDTM records it goes on in their own trace, to FHIR resource, file and line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from adapter.records import Records
from adapter.spec import Dataset

USED_SCHEMA = pa.schema(
    [
        ("USUBJID", pa.dictionary(pa.int32(), pa.string())),
        ("SEQ", pa.int32()),
        ("VARIABLE", pa.dictionary(pa.int32(), pa.string())),
        ("DATASET", pa.dictionary(pa.int32(), pa.string())),
        ("SOURCE", pa.dictionary(pa.int32(), pa.string())),
        ("SRCSEQ", pa.int32()),
    ]
)


def used_table(d: Dataset, frame: pd.DataFrame, records: Records, labels: pd.Series[Any]) -> pa.Table:
    """Return the records that an analysis dataset's values were made from, in the order of its records.

    frame: its variables; labels: the index labels of records.frame in that order. Only of variables the dataset has.
    """
    used = records.used
    if used is None:
        used = pd.DataFrame({"record": [], "variable": [], "dataset": [], "source": [], "seq": []})
    place = pd.Series(np.arange(len(labels)), index=labels.to_numpy())
    at = place.reindex(used["record"].to_numpy()).to_numpy(dtype=np.float64)
    used, at = used[~np.isnan(at)], at[~np.isnan(at)].astype(np.int64)
    names = [used[c].to_numpy(dtype="U") for c in ("variable", "dataset", "source")]
    seq = used["seq"].to_numpy(dtype=np.float64)
    order = np.lexsort((np.nan_to_num(seq, nan=-1), *names[::-1], at))
    own = frame[d.sequence].to_numpy(dtype=np.float64)[at[order]] if d.sequence else np.full(len(order), np.nan)
    texts = {n: pa.array(c[order].astype(object), pa.string()) for n, c in zip(NAMES, names, strict=True)}
    return pa.table(
        {
            "USUBJID": pa.array(frame["USUBJID"].to_numpy(dtype=object)[at[order]], pa.string()),
            "_seq": pa.array(own, pa.float64(), from_pandas=True),
            **texts,
            "_srcseq": pa.array(seq[order], pa.float64(), from_pandas=True),
        }
    )


NAMES = ("_variable", "_dataset", "_source")


def used_trace(chunk: pa.Table) -> pa.Table:
    """Return the rows of the trace file of rows of `used_table`."""
    columns = [chunk.column(n) for n in ("USUBJID", "_seq", *NAMES, "_srcseq")]
    made = [
        c.cast(pa.int32()) if pa.types.is_int32(f.type) else c.combine_chunks().dictionary_encode()
        for c, f in zip(columns, USED_SCHEMA, strict=True)
    ]
    return pa.table(made, schema=USED_SCHEMA)

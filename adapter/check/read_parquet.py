"""Reads Parquet datasets for checking: texts as codes, everything that counts as numbers, labels from the metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapter.check.columns import Column
from adapter.check.dataset import Variable
from adapter.check.read_xpt import Read, Told, coded
from adapter.errors import InputError


def read_parquet(path: Path, told: Told) -> Read:
    """Return a Parquet file of one dataset. Raises InputError for one that cannot be read."""
    try:
        with open(path, "rb") as f:
            table = pq.read_table(f, use_threads=False)
        names = table.schema.names
        if len(set(names)) != len(names):
            raise InputError(f"{path}: a variable stands twice")
        columns = {n: _column(table.column(n)) for n in names}
    except (pa.ArrowException, UnicodeDecodeError) as e:
        raise InputError(f"{path} is no Parquet file that can be read: {e}") from e
    variables = tuple(
        Variable(f.name, _said(f.metadata, b"label"), "Num" if columns[f.name].is_number else "Char", None)
        for f in table.schema
    )
    return (
        _said(table.schema.metadata, b"name"),
        _said(table.schema.metadata, b"label"),
        variables,
        columns,
        table.num_rows,
    )


def _said(metadata: Any, key: bytes) -> str:
    return str((metadata or {}).get(key, b"").decode("utf-8", "replace"))


def _column(given: Any) -> Column:
    kind = given.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        cells = pc.cast(given, pa.float64(), safe=False).to_numpy()
        return Column(numbers=np.array(cells, dtype=np.float64))
    if not pa.types.is_dictionary(kind):
        text = given if pa.types.is_string(kind) or pa.types.is_large_string(kind) else pc.cast(given, pa.string())
        given = pc.dictionary_encode(text)
    whole = given.combine_chunks() if given.num_chunks != 1 else given.chunk(0)
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], pa.string()).dictionary_encode()
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    values = ["" if v is None else str(v).rstrip(" ") for v in whole.dictionary.to_pylist()]
    return _merged(codes, values)


def _merged(codes: Any, values: list[str]) -> Column:
    """Return a column whose values are distinct again after blanks were cut off."""
    index: dict[str, int] = {}
    new = np.array([index.setdefault(v, len(index)) for v in values] + [-1], dtype=np.int64)
    return coded(new[codes], list(index))

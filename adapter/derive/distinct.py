"""Equal rows found once: what costs time per text (a unit, a code, a conversion) is done per distinct combination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

Integers = npt.NDArray[np.int64]


def distinct_rows(columns: Sequence[pd.Series[Any]]) -> tuple[Integers, Integers]:
    """Return (position of the first row of each distinct combination, number of its combination for each row).

    columns: at least one, of equal length; missing values are equal to each other. Combinations are numbered in the
    order in which they come, so that `values[first][number]` is `values` again.
    """
    size = len(columns[0])
    key, kinds = np.zeros(size, dtype=np.int64), 1
    for column in columns:
        array = pa.array(column, from_pandas=True)
        coded = (array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array).dictionary_encode()
        n = len(coded.dictionary) + 1
        if n == 1 or (n == 2 and not coded.null_count):
            continue  # one value throughout
        codes = coded.indices.fill_null(n - 1).to_numpy(zero_copy_only=False)
        if kinds > 2**62 // n:  # renumbered, so that the product does not overflow
            key, used = pd.factorize(key)
            kinds = len(used)
        key, kinds = key * n + codes, kinds * n
    number, unique = pd.factorize(key)
    first = np.zeros(len(unique), dtype=np.int64)
    first[number[::-1]] = np.arange(size)[::-1]
    return first, number

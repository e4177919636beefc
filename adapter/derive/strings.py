"""Results written as text: comparator, number and unit taken apart."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.intake.decimals import numeric_strings


def numeric_parts(texts: pd.Series[Any]) -> pd.DataFrame:
    """Return columns comparator, number, rest (unit text) of each text; number is empty where it cannot be read."""
    return numeric_strings(texts).fillna("").astype("str")

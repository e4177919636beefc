"""All operators of checks, by name."""

from __future__ import annotations

from adapter.check import (  # noqa: F401 - each registers its operators
    operators_dates,
    operators_groups,
    operators_order,
    operators_sets,
    operators_text,
    operators_values,
)
from adapter.check.ask import OPERATORS, OPTIONS

__all__ = ["OPERATORS", "OPTIONS"]

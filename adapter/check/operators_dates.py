"""Operators on dates and durations in ISO 8601."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adapter.check.ask import Ask, operator
from adapter.check.columns import Bools, Column, constant
from adapter.check.dates import compared, complete, duration, moment


def _date(test: Any) -> Callable[[Ask], Bools]:
    def compare(ask: Ask) -> Bools:
        other = ask.other()
        right = other if isinstance(other, Column) else constant(str(other), ask.frame.rows)
        return compared(ask.target, right, test, ask.option("date_component"))

    return compare


for _name, _test in (
    ("date_equal_to", np.equal),
    ("date_not_equal_to", np.not_equal),
    ("date_less_than", np.less),
    ("date_less_than_or_equal_to", np.less_equal),
    ("date_greater_than", np.greater),
    ("date_greater_than_or_equal_to", np.greater_equal),
):
    operator(_name)(_date(_test))


@operator("is_complete_date", complement="is_incomplete_date")
def is_complete_date(ask: Ask) -> Bools:
    """A missing date is not complete."""
    return ask.target.as_text().per_value(complete, False)


@operator("invalid_date")
def invalid_date(ask: Ask) -> Bools:
    """What is no ISO 8601 date; a missing one is none."""
    return ask.target.as_text().per_value(lambda v: moment(v) is None, True)


@operator("invalid_duration")
def invalid_duration(ask: Ask) -> Bools:
    negative = ask.option("negative") is not False
    return ask.target.as_text().per_value(lambda v: not duration(v, negative), True)

"""Turns the records of one dataset into its variables: evaluates every declared source, sorts by the keys, numbers records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from adapter.errors import DeclarationError
from adapter.spec import Call, Const, Dataset, Path, Ref, Setting, Variable

CONTENT = "_content"  # tie-breaker that depends on what a resource says, not on where it stood


def evaluate(
    dataset: Dataset,
    records: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    setting: Any,
) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Return (the variables in declared order, sorted by the keys; the records' index labels in that order).

    records: one row per record with USUBJID where the dataset has it, and `_content`. others: evaluated datasets that
    `ref` reads, one record per subject. setting: dotted name -> value of the trial.
    """
    first = _Evaluation(dataset, records, others, setting)
    if len(records) > 1:
        keys = [first.variable(k).reset_index(drop=True) for k in dataset.keys]
        by = [f"k{i}" for i in range(len(keys))] + ["content"]
        content = records[CONTENT] if CONTENT in records else pd.Series(range(len(records)), index=records.index)
        frame = pd.concat([*keys, content.reset_index(drop=True)], axis=1)
        frame.columns = pd.Index(by)
        order = frame.sort_values(by, kind="stable", na_position="first").index.to_numpy()
        records = records.iloc[order]
    labels = records.index.to_series().reset_index(drop=True)
    last = _Evaluation(dataset, records.reset_index(drop=True), others, setting)
    columns = {v.name: last.variable(v.name) for v in dataset.variables}
    return pd.DataFrame(columns), labels


def resolved_settings(call: Call, setting: Any) -> dict[str, Any]:
    """Return the keyword arguments of a call with every `setting(...)` replaced by the trial's value."""
    return {k: setting(v.name) if isinstance(v, Setting) else v for k, v in call.settings.items()}


class _Evaluation:
    """One pass over the variables; each is computed once, in the order in which they need each other."""

    def __init__(
        self, dataset: Dataset, records: pd.DataFrame, others: Mapping[str, pd.DataFrame], setting: Any
    ) -> None:
        self.dataset = dataset
        self.records = records
        self.others = others
        self.setting = setting
        self.done: dict[str, pd.Series[Any]] = {}
        self.open: list[str] = []

    def variable(self, name: str) -> pd.Series[Any]:
        if name not in self.done:
            if name in self.open:
                raise DeclarationError(f"{self.dataset.name}: variables need each other: {[*self.open, name]}")
            self.open.append(name)
            declared = self.dataset.variable(name)
            self.done[name] = _typed(self._source(declared), declared, self.records.index)
            self.open.pop()
        return self.done[name]

    def _source(self, v: Variable) -> Any:
        s = v.source
        if s is None:
            return None
        if isinstance(s, Path):
            return self.records[s.column] if s.column in self.records else None
        if isinstance(s, Const):
            return s.value
        if isinstance(s, Setting):
            return self.setting(s.name)
        if isinstance(s, Ref):
            return self._ref(s)
        return s.function(*(self._argument(a) for a in s.arguments), **resolved_settings(s, self.setting))

    def _argument(self, argument: str | Ref) -> pd.Series[Any]:
        if isinstance(argument, Ref):
            return self._ref(argument)
        if any(v.name == argument for v in self.dataset.variables):
            return self.variable(argument)
        if argument in self.records:
            return self.records[argument]
        raise DeclarationError(
            f"{self.dataset.name}: {argument} is neither a variable nor a column of its records; "
            f"columns are {sorted(map(str, self.records.columns))}"
        )

    def _ref(self, r: Ref) -> pd.Series[Any]:
        if r.dataset == self.dataset.name:
            return self.variable(r.variable)
        other = self.others[r.dataset]
        by_subject = pd.Series(other[r.variable].to_numpy(), index=other["USUBJID"].to_numpy(), dtype=other[r.variable].dtype)
        if by_subject.index.has_duplicates:
            raise DeclarationError(f"ref({r.dataset}.{r.variable}): {r.dataset} has more than one record per subject")
        return by_subject.reindex(self.records["USUBJID"].to_numpy()).reset_index(drop=True).set_axis(self.records.index)


def _typed(value: Any, v: Variable, index: pd.Index[Any]) -> pd.Series[Any]:
    """Return the value as str without missing values (Char) or float64 (Num)."""
    if v.type == "Num":
        if value is None:
            return pd.Series(np.nan, index=index, dtype="float64")
        found = value if isinstance(value, pd.Series) else pd.Series(value, index=index)
        return pd.to_numeric(found, errors="coerce").astype("float64").set_axis(index)
    if value is None:
        return pd.Series("", index=index, dtype="str")
    found = value if isinstance(value, pd.Series) else pd.Series(value, index=index, dtype="str")
    text = found if found.dtype == "str" else found.astype("str")
    return (text.fillna("") if text.hasnans else text).set_axis(index)

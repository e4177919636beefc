"""Turns the records of one dataset into its variables: evaluates every declared source, sorts by the keys, numbers records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from adapter.errors import DeclarationError, TrialError
from adapter.spec import Call, Const, Dataset, Path, Ref, Setting, Variable, Whole

Content = Callable[[npt.NDArray[np.int64]], list[str]]


def evaluate(
    dataset: Dataset,
    records: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    setting: Any,
    content: Content | None = None,
) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Return (the variables in declared order, sorted by the keys; the records' index labels in that order).

    records: one row per record, with USUBJID where the dataset has it. content: positions of records -> what their
    sources say, for records that have all keys in common; it never depends on keyed ids or places. others: evaluated
    datasets that `ref` (one record per subject) and `whole` read. setting: dotted name -> value of the trial.
    """
    if not len(records):  # most datasets of a few subjects are empty: nothing is asked of their rules
        kinds = {v.name: "float64" if v.type == "Num" else "str" for v in dataset.variables}
        empty = {name: pd.Series(dtype=kind) for name, kind in kinds.items()}
        return pd.DataFrame(empty), pd.Series(records.index[:0].to_numpy(), dtype=records.index.dtype)
    records = records[[c for c in records.columns if c in _needed(dataset)]]
    if len(records) > 1:
        first = _Evaluation(dataset, records, others, setting)
        records = records.iloc[key_order([first.variable(k) for k in dataset.keys], content)]
    labels = records.index.to_series().reset_index(drop=True)
    last = _Evaluation(dataset, records.reset_index(drop=True), others, setting)
    # as arrays: they have one index, and need not be aligned
    columns = {v.name: last.variable(v.name).array for v in dataset.variables}
    return pd.DataFrame(columns, copy=False), labels


def key_order(keys: Sequence[pd.Series[Any]], content: Content | None = None) -> npt.NDArray[np.int64]:
    """Return the positions of records in the order of their keys: texts by code point, missing values first.

    Records whose keys are all equal come in the order of their content, or else stay as they are.
    """
    ranks = []
    for key in keys:
        codes, unique = pd.factorize(key)
        order = np.argsort(unique.to_numpy() if hasattr(unique, "to_numpy") else unique, kind="stable")
        rank = np.empty(len(unique) + 1, dtype=np.int64)
        rank[order] = np.arange(len(unique))
        rank[-1] = -1  # factorize gives missing values the code -1
        ranks.append(rank[codes])
    found: npt.NDArray[np.int64] = np.lexsort(ranks[::-1])
    if content is None:
        return found
    equal = np.ones(len(found) - 1, dtype=bool)
    for rank in ranks:
        equal &= rank[found[1:]] == rank[found[:-1]]
    if equal.any():
        group = np.concatenate(([0], np.cumsum(~equal)))
        tied = np.flatnonzero(np.concatenate((equal, [False])) | np.concatenate(([False], equal)))
        texts = content(found[tied])
        inside = sorted(range(len(tied)), key=lambda i: (group[tied[i]], texts[i]))
        found[tied] = found[tied[inside]]
    return found


def _needed(dataset: Dataset) -> set[str]:
    """Return the columns of the records frame that the declarations read."""
    names = {"USUBJID"}
    for v in dataset.variables:
        if isinstance(v.source, Path):
            names.add(v.source.column)
        elif isinstance(v.source, Call):
            names |= {a for a in v.source.arguments if isinstance(a, str)}
    return names


def resolved_settings(call: Call, setting: Any) -> dict[str, Any]:
    """Return the keyword arguments of a call with every `setting(...)` replaced by the trial's value."""
    return {k: _setting(v, setting) if isinstance(v, Setting) else v for k, v in call.settings.items()}


def _setting(s: Setting, setting: Any) -> Any:
    try:
        return setting(s.name)
    except TrialError:
        if s.missing is None:
            raise
        return s.missing


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
        self.places: dict[str, npt.NDArray[np.intp]] = {}

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
            return self.records.get(s.column)
        if isinstance(s, Const):
            return s.value
        if isinstance(s, Setting):
            return self.setting(s.name)
        if isinstance(s, Ref):
            return self._ref(s)
        return s.function(*(self._argument(a) for a in s.arguments), **resolved_settings(s, self.setting))

    def _argument(self, argument: str | Ref | Whole) -> pd.Series[Any] | pd.DataFrame:
        if isinstance(argument, Whole):
            return self.others[argument.dataset]
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
        places = self._places(r, other["USUBJID"])
        found = other[r.variable].array.take(places, allow_fill=True)
        return pd.Series(found, index=self.records.index)

    def _places(self, r: Ref, subjects: pd.Series[str]) -> npt.NDArray[np.intp]:
        """Return for each record the row of its subject in the other dataset, -1 where it has none."""
        if r.dataset not in self.places:
            if subjects.duplicated().any():
                raise DeclarationError(
                    f"ref({r.dataset}.{r.variable}): {r.dataset} has more than one record per subject"
                )
            self.places[r.dataset] = pd.Index(subjects).get_indexer(pd.Index(self.records["USUBJID"]))
        return self.places[r.dataset]


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

"""Step 3: stored rows of some subjects -> the records of every dataset, their sources, a summary and the accounts.

Pure. Every --SEQ and every derivation lives inside one subject, so any set of subjects gives the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from adapter.accounts import Accounts, Issue, close
from adapter.derive.days import day_texts
from adapter.evaluate import Content, evaluate
from adapter.identify import Subject
from adapter.knowledge import Knowledge
from adapter.lineage import used_table
from adapter.reasons import REASONS
from adapter.records import ELSEWHERE, Facts, Inputs, Records
from adapter.registry import record_order
from adapter.spec import Dataset, ValueLevel
from adapter.summary import DatasetSummary, companions_of, summarise
from adapter.supplement import supplement
from adapter.trial import Trial
from adapter.usable import usable_facts

NEVER = 2_000_000_000
SOURCE_COLUMNS = ("_type", "_rid", "_version", "_element", "_file", "_line")


@dataclass(slots=True)
class MadeDataset:
    """The records of one dataset of some subjects: `table` has its variables and the source columns `_…`.

    extra: further sources of single variables (USUBJID, seq, variable and the source columns); of an analysis dataset
    the records that it was made from (adapter.lineage).
    """

    table: pa.Table
    supplement: pd.DataFrame
    extra: pa.Table
    summary: DatasetSummary
    supplement_summary: DatasetSummary


@dataclass(slots=True)
class Mapped:
    datasets: dict[str, MadeDataset] = field(default_factory=dict)
    accounts: Accounts = field(default_factory=Accounts)


def subject_frame(subjects: Sequence[Subject]) -> pd.DataFrame:
    """Return the enrolment log as a frame indexed by USUBJID; its criteria columns as `ie_<code>`."""
    columns = [c for c in subjects[0].enrolled.__slots__ if c not in ("patient", "criteria")] if subjects else []
    rows = [{c: getattr(s.enrolled, c) for c in columns} | {"survivor": s.survivor} for s in subjects]
    for code in sorted({c for s in subjects for c in s.enrolled.criteria}):
        for row, s in zip(rows, subjects, strict=True):
            row[f"ie_{code}"] = s.enrolled.criteria.get(code, "")
    return pd.DataFrame(rows, index=pd.Index([s.usubjid for s in subjects], name="USUBJID", dtype="str"))


def map_subjects(
    tables: Mapping[str, pa.Table],
    subjects: Sequence[Subject],
    subject_cuts: Sequence[int],
    trial: Trial,
    knowledge: Knowledge,
    cut: int,
    datasets: Sequence[Dataset],
) -> Mapped:
    """Return the datasets of some subjects. `datasets` in the order in which they can be computed (registry)."""
    usable = usable_facts(
        tables,
        subjects,
        subject_cuts,
        cut,
        trial.daily_value.preliminary,
        trial.reference_dates.future_tolerance_days,
    )
    frame = subject_frame(subjects)
    frame["cut"] = np.minimum(np.array(subject_cuts, dtype=np.int64), cut)
    frame["cut_date"] = day_texts(frame["cut"])
    frame["last_seen"] = pd.Series(usable.last_seen, dtype="float64").reindex(frame.index)
    inputs = Inputs(usable.facts, frame, trial, knowledge, cut, frozenset(d.name for d in datasets))
    ours = tuple(d for d in datasets if not d.reference)
    tabulation = tuple(d for d in ours if d.purpose == "Tabulation")
    for d in record_order(tuple(d for d in tabulation if not d.last)):
        inputs.records[d.name] = d.records(inputs)
    mapped = Mapped()
    made: dict[str, pd.DataFrame] = {}
    sequences: dict[str, pd.Series[Any]] = {}
    analysis = record_order(tuple(d for d in ours if d.purpose == "Analysis"))
    for d in (*sorted(tabulation, key=lambda d: d.last), *analysis):
        if d.last or d.purpose == "Analysis":
            inputs.sequences, inputs.made = sequences, made
            inputs.records[d.name] = d.records(inputs)
        records = inputs.records[d.name]
        content = _content_of(records.frame, usable.facts)
        made[d.name], labels = evaluate(d, records.frame, made, trial.setting, content)
        number = made[d.name][d.sequence] if d.sequence else pd.Series(np.nan, index=labels.index)
        sequences[d.name] = (
            pd.Series(number.to_numpy(), index=labels.to_numpy()) if d.sequence else pd.Series(dtype=float)
        )
        mapped.datasets[d.name] = _made(d, made[d.name], records, labels, usable.facts, knowledge)
    mapped.accounts = close(usable.facts, inputs.records, sequences)
    mapped.accounts.dropped += usable.dropped
    for kind, rid in usable.ties:
        message = f"{REASONS['version-tie'].meaning} ({kind})"
        mapped.accounts.issues.append(Issue("", "", "", rid.hex(), "version-tie", message))
    _duplicate_keys(ours, made, mapped.accounts)
    return mapped


def _content_of(frame: pd.DataFrame, facts: Mapping[str, Facts]) -> Content:
    """Return the tie-breaker of sorting: what the source of a record says, never its keyed id or where it stood."""

    def content(positions: npt.NDArray[np.int64]) -> list[str]:
        if "resource" not in frame:
            return [""] * len(positions)
        texts = []
        for kind, row in zip(frame["resource"].iloc[positions], frame["row"].iloc[positions], strict=True):
            f = facts[kind] if row >= 0 else None
            texts.append(
                f"{f.keyed.column('sha')[int(row)].as_py().hex()}{f.frame['element'].iloc[int(row)]}" if f else ""
            )
        return texts

    return content


def _made(
    d: Dataset,
    frame: pd.DataFrame,
    records: Records,
    labels: pd.Series[Any],
    facts: Mapping[str, Facts],
    knowledge: Knowledge,
) -> MadeDataset:
    main, supp = supplement(d, frame)
    types = {v.name: v.type for v in d.main}
    coded = [v.name for v in d.main if v.codelist]
    summary = summarise(main, dict(types), coded, d.value_levels, companions_of(d))
    # the trace names a record by its number: where a subject has several without one (SV), none of them can be named
    named = "resource" in records.frame and (d.sequence or not d.repeating)
    placed = records.frame[["resource", "row"]] if named else records.frame[[]]
    source = _sources(placed.loc[labels] if len(placed) else placed, facts)
    columns: dict[str, Any] = {
        v.name: pa.array(main[v.name], pa.string() if v.type == "Char" else pa.float64(), from_pandas=True)
        for v in d.main
    }
    table = pa.table({**columns, **source, ELSEWHERE: _elsewhere(records, labels)})
    supp_summary = _supplement_summary(supp)
    analysis = d.purpose == "Analysis"
    extra = used_table(d, frame, records, labels) if analysis else _extra(d, frame, records, labels, facts)
    return MadeDataset(table, supp, extra, summary, supp_summary)


def _elsewhere(records: Records, labels: pd.Series[Any]) -> pa.Array:
    """Return for each record the variables whose values came from another resource than its own, one per line."""
    p = records.parents
    if p is None or "instead" not in p or not len(p) or not (there := p["instead"].eq(True)).any():
        return pa.nulls(len(labels), pa.string())
    named = p[there].groupby("record")["variable"].agg(lambda v: "\n".join(sorted(set(v))))
    return pa.array(named.reindex(labels.to_numpy()).to_numpy(dtype=object), pa.string(), from_pandas=True)


def _supplement_summary(supp: pd.DataFrame) -> DatasetSummary:
    types = dict.fromkeys(supp.columns, "Char")
    return summarise(supp, types, ["RDOMAIN", "QORIG"], [ValueLevel("QVAL", "QNAM")], [("QNAM", "QLABEL")])


def _sources(frame: pd.DataFrame, facts: Mapping[str, Facts]) -> dict[str, pa.Array]:
    """Return the source columns of some record rows; empty where a record has no single source (DM)."""
    n = len(frame)
    kinds = frame["resource"].fillna("").to_numpy(dtype=object) if "resource" in frame else np.full(n, "", dtype=object)
    rows = frame["row"].to_numpy(dtype=np.int64) if "resource" in frame else np.full(n, -1)
    parts = []
    order = []
    schema = pa.schema(
        [
            ("_type", pa.string()),
            ("_rid", pa.binary(16)),
            ("_version", pa.string()),
            ("_element", pa.string()),
            ("_file", pa.int32()),
            ("_line", pa.int64()),
        ]
    )
    for kind in sorted(set(kinds[rows >= 0])):
        where = np.flatnonzero((kinds == kind) & (rows >= 0))
        f = facts[kind]
        taken = f.frame[["version", "element", "file", "line"]].iloc[rows[where]]
        parts.append(
            pa.table(
                [
                    pa.array(_came_in(f, kind, rows[where]), pa.string()),
                    f.keyed.column("rid").take(pa.array(rows[where])),
                    pa.array(taken["version"], pa.string(), from_pandas=True),
                    pa.array(taken["element"], pa.string(), from_pandas=True),
                    pa.array(taken["file"], pa.int32()),
                    pa.array(taken["line"], pa.int64()),
                ],
                schema=schema,
            )
        )
        order.append(where)
    none = np.setdiff1d(np.arange(n), np.concatenate(order) if order else np.empty(0, dtype=int))
    if len(none):
        parts.append(pa.table([pa.nulls(len(none), f.type) for f in schema], schema=schema))
        order.append(none)
    if not parts:
        return {name: pa.array([], schema.field(name).type) for name in SOURCE_COLUMNS}
    back = np.argsort(np.concatenate(order), kind="stable")
    table = pa.concat_tables(parts).combine_chunks().take(pa.array(back))
    return {name: table.column(name) for name in SOURCE_COLUMNS}


def _came_in(f: Facts, kind: str, rows: npt.NDArray[np.int64]) -> list[str]:
    """Return the resource type that each fact came in: a result may stand inside a report (Facts.frame `carrier`)."""
    if "carrier" not in f.frame:
        return [kind] * len(rows)
    return [carrier or kind for carrier in f.frame["carrier"].iloc[rows].tolist()]


def _extra(
    d: Dataset, frame: pd.DataFrame, records: Records, labels: pd.Series[Any], facts: Mapping[str, Facts]
) -> pa.Table:
    """Return the further sources: USUBJID, seq, variable, source columns; only of variables the dataset has."""
    parents = records.parents
    if parents is None or not len(parents):
        parents = pd.DataFrame({"record": [], "row": [], "variable": [], "resource": []})
    if "original" not in parents:
        parents = parents.assign(original="")
    place = pd.Series(np.arange(len(labels)), index=labels.to_numpy())
    at = place.reindex(parents["record"].to_numpy()).to_numpy(dtype=np.float64)
    kept = parents[~np.isnan(at)].reset_index(drop=True)
    where = at[~np.isnan(at)].astype(np.int64)
    source = pa.table(_sources(kept, facts))
    # by where the source stood in the input: its position in the facts depends on how the store was filled
    place_in = [source.column(c).to_numpy() for c in ("_line", "_file")]
    order = np.lexsort((*place_in, kept["variable"].to_numpy(dtype="U"), where))
    kept, where, source = kept.iloc[order], where[order], source.take(pa.array(order))
    seq = frame[d.sequence].to_numpy()[where] if d.sequence else np.full(len(where), np.nan)
    subject = frame["USUBJID"].to_numpy(dtype=object)[where] if "USUBJID" in frame else np.full(len(where), "")
    return pa.table(
        {
            "USUBJID": pa.array(subject, pa.string()),
            "_seq": pa.array(seq, pa.float64(), from_pandas=True),
            "_variable": pa.array(kept["variable"].to_numpy(dtype=object), pa.string()),
            "_original": pa.array(kept["original"].fillna("").to_numpy(dtype=object), pa.string()),
            **{name: source.column(name) for name in SOURCE_COLUMNS},
        }
    )


def _duplicate_keys(datasets: Sequence[Dataset], made: Mapping[str, pd.DataFrame], accounts: Accounts) -> None:
    for d in datasets:
        frame = made[d.name]
        double = frame.duplicated(list(d.keys), keep="first")
        for _, row in frame[double].iterrows():
            seq = str(int(row[d.sequence])) if d.sequence else ""
            message = f"{REASONS['duplicate-key'].meaning} ({', '.join(d.keys)})"
            accounts.issues.append(Issue(str(row.get("USUBJID", "")), d.name, seq, "", "duplicate-key", message))

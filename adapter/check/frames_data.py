"""What rows a rule is asked about when it looks at the data alone: records, variables, datasets, cells, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from adapter.check.columns import Column, cells_of, constant, stack, texts
from adapter.check.dataset import Dataset
from adapter.check.frame import Fetch, Frame, made
from adapter.check.world import World

Frames = Iterator[Frame]
STUDY = "STUDY"
"""What stands for the dataset in findings about the whole package."""


def facts_frame(name: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> Frame:
    """Return rows of facts as a frame; a fact that is "" or None is missing."""
    names = columns or (list(rows[0]) if rows else [])
    made_columns = {n: cells_of([cell(r.get(n)) for r in rows]) for n in names}
    return made(name, made_columns, len(rows))


def cell(value: Any) -> Any:
    return None if value is None or value == "" else value


def stacked(frames: Sequence[Frame]) -> Frame:
    """Return frames one below the other."""
    if len(frames) == 1:
        return frames[0]
    names = [n for n in frames[0].names if all(n in f for f in frames)]

    def later(name: str) -> Fetch:
        return lambda: stack([f[name] for f in frames])

    rows = sum(f.rows for f in frames)
    records = np.concatenate([f.records for f in frames])
    return Frame(rows, {n: later(n) for n in names}, records, stack([f.sources for f in frames]))


def parts_of(d: Dataset, world: World) -> list[Dataset]:
    return world.package.parts_of(d.whole) or [d]


def records(d: Dataset, world: World) -> Frames:
    yield world.package.frame_of(d.whole)


def variable_facts(d: Dataset) -> list[dict[str, Any]]:
    return [
        {
            "variable_name": v.name,
            "variable_order_number": i,
            "variable_label": v.label,
            "variable_size": v.length,
            "variable_data_type": v.type,
            "variable_format": v.format,
        }
        for i, v in enumerate(d.variables, 1)
    ]


def longest(d: Dataset) -> list[int | None]:
    """Return the bytes of the longest text of each variable, None for numbers."""
    found: list[int | None] = []
    for v in d.variables:
        column = d.columns[v.name]
        if column.is_number:
            found.append(None)
            continue
        used = np.unique(column.coded)
        found.append(max((len(str(column.distinct[c]).encode()) for c in used if c >= 0), default=0))
    return found


def variables(d: Dataset, world: World) -> Frames:
    """One row per variable of the file."""

    def one(part: Dataset) -> Frame:
        frame = facts_frame(part.name, variable_facts(part))
        return frame.with_columns({"variable_max_size": lambda: cells_of(longest(part))})

    yield stacked([one(p) for p in parts_of(d, world)])


def dataset_facts(d: Dataset, world: World) -> dict[str, Any]:
    return {
        "dataset_name": d.name,
        "dataset_label": d.label,
        "dataset_location": d.path.name,
        "dataset_size": d.size,
        "dataset_domain": d.domain,
        "dataset_columns": [v.name for v in d.variables],
        "dataset_records": d.records,
        "domain": d.domain,
        "is_ap": d.associated,
        "ap_suffix": d.suffix,
        "dataset_class": world.library.class_of(d),
        "dataset_format": d.format,
    }


def datasets(d: Dataset, world: World) -> Frames:
    """One row per dataset file."""
    yield stacked([facts_frame(p.name, [dataset_facts(p, world)]) for p in parts_of(d, world)])


def presence(d: Dataset, world: World) -> Frames:
    """One row for the package, with a column per domain that is there."""
    found = {p.whole: constant(p.path.name, 1) for p in world.package.datasets}
    facts = {"define_exists": constant(world.define is not None, 1)}
    yield made(STUDY, {**facts, **found}, 1)


def cells(d: Dataset, world: World, more: Callable[[Dataset, str], Mapping[str, Any] | None] | None = None) -> Frames:
    """The records once per variable, with that variable's cell as variable_value."""
    for part in parts_of(d, world):
        for facts in variable_facts(part):
            name = facts["variable_name"]
            extra = more(part, name) if more else {}
            if extra is None:
                continue
            column = part.columns[name]
            known = {k: constant(cell(v), part.records) for k, v in {**facts, **extra}.items()}
            frame = part.frame.with_columns(known)
            yield frame.with_columns(
                {"variable_value": column, "variable_value_length": lengths(column), "row_number": _row_numbers(part)}
            )


def _row_numbers(d: Dataset) -> Column:
    return Column(numbers=np.arange(1, d.records + 1, dtype=np.float64))


def lengths(column: Column) -> Fetch:
    def count() -> Column:
        text = column.as_text()
        sizes = np.array([len(str(v)) for v in text.distinct] + [np.nan], dtype=np.float64)
        return Column(numbers=sizes[text.coded])

    return count


def cells_with_dataset(d: Dataset, world: World) -> Frames:
    return cells(d, world, lambda part, name: dataset_facts(part, world))


def problems(d: Dataset | None, world: World) -> Frames:
    """One row per thing that was wrong with a file as it was read."""
    found = world.package.problems
    rows = [
        {"file_problem": p.code, "file_name": p.file, "file_detail": p.detail, "variable_name": p.variable}
        for p in found
    ]
    if rows:
        frame = facts_frame("", rows)
        yield Frame(
            frame.rows, {n: frame[n] for n in frame.names}, frame.records, texts(p.dataset or p.file for p in found)
        )

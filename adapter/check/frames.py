"""What rows a rule is asked about, by its rule type: records, variables, datasets, cells, or lines of define.xml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from adapter.check.columns import Column, cells_of, constant, stack, texts
from adapter.check.dataset import Dataset
from adapter.check.define import Group, Item
from adapter.check.frame import Fetch, Frame, made
from adapter.check.world import Skip, World

Frames = Iterator[Frame]
STUDY = "STUDY"
"""What stands for the dataset in findings about the whole package."""


def _table(name: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> Frame:
    """Return rows of facts as a frame; a fact that is "" or None is missing."""
    names = columns or (list(rows[0]) if rows else [])
    made_columns = {n: cells_of([_cell(r.get(n)) for r in rows]) for n in names}
    return made(name, made_columns, len(rows))


def _cell(value: Any) -> Any:
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


def parts(d: Dataset, world: World) -> list[Dataset]:
    return world.package.parts_of(d.whole) or [d]


def records(d: Dataset, world: World) -> Frames:
    yield world.package.frame_of(d.whole)


def _variables(d: Dataset) -> list[dict[str, Any]]:
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


def _max_size(d: Dataset) -> list[int]:
    found = []
    for v in d.variables:
        text = d.columns[v.name].as_text()
        found.append(max((len(str(text.distinct[c]).encode()) for c in np.unique(text.coded) if c >= 0), default=0))
    return found


def variables(d: Dataset, world: World) -> Frames:
    """One row per variable of the file."""

    def one(part: Dataset) -> Frame:
        frame = _table(part.name, _variables(part))
        return frame.with_columns({"variable_max_size": lambda: cells_of(_max_size(part))})

    yield stacked([one(p) for p in parts(d, world)])


def _dataset(d: Dataset, world: World) -> dict[str, Any]:
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
    yield stacked([_table(p.name, [_dataset(p, world)]) for p in parts(d, world)])


def presence(d: Dataset, world: World) -> Frames:
    """One row for the package, with a column per domain that is there."""
    found = {p.whole: constant(p.path.name, 1) for p in world.package.datasets}
    facts = {"define_exists": constant(world.define is not None, 1)}
    yield made(STUDY, {**facts, **found}, 1)


def cells(d: Dataset, world: World, more: Callable[[Dataset, str], Mapping[str, Any] | None] | None = None) -> Frames:
    """The records once per variable, with that variable's cell as variable_value."""
    for part in parts(d, world):
        for facts in _variables(part):
            name = facts["variable_name"]
            extra = more(part, name) if more else {}
            if extra is None:
                continue
            column = part.columns[name]
            known = {k: constant(_cell(v), part.records) for k, v in {**facts, **extra}.items()}
            lengths: Fetch = _lengths(column)
            frame = part.frame.with_columns(known)
            yield frame.with_columns(
                {"variable_value": column, "variable_value_length": lengths, "row_number": _row_numbers(part)}
            )


def _row_numbers(d: Dataset) -> Column:
    return Column(numbers=np.arange(1, d.records + 1, dtype=np.float64))


def _lengths(column: Column) -> Fetch:
    def count() -> Column:
        text = column.as_text()
        sizes = np.array([len(str(v)) for v in text.distinct] + [np.nan], dtype=np.float64)
        return Column(numbers=sizes[text.coded])

    return count


def cells_with_dataset(d: Dataset, world: World) -> Frames:
    return cells(d, world, lambda part, name: _dataset(part, world))


def _defined_item(i: Item) -> dict[str, Any]:
    c = i.codelist
    return {
        "define_variable_name": i.name,
        "define_variable_label": i.label,
        "define_variable_data_type": i.data_type,
        "define_variable_is_collected": i.origin in ("Collected", "CRF"),
        "define_variable_role": i.role,
        "define_variable_size": i.length,
        "define_variable_length": i.length,
        "define_variable_ccode": c.ccode if c else "",
        "define_variable_format": i.display_format,
        "define_variable_allowed_terms": [t for t in c.decodes if t] if c else [],
        "define_variable_origin_type": i.origin,
        "define_variable_has_no_data": i.has_no_data,
        "define_variable_order_number": i.order,
        "define_variable_has_codelist": c is not None,
        "define_variable_codelist_coded_values": list(c.values) if c else [],
        "define_variable_codelist_coded_codes": list(c.codes) if c else [],
        "define_variable_mandatory": i.mandatory,
        "define_variable_has_comment": i.has_comment,
        "define_variable_has_method": i.has_method,
        "define_variable_dangling": list(i.dangling),
        "define_variable_has_values": bool(i.values),
    }


def _library_row(row: Mapping[str, str]) -> dict[str, Any]:
    codes = " ".join(re.findall(r"C\d+", row.get("codelist_ccodes", "")))
    return {
        "library_variable_name": row["name"],
        "library_variable_label": row["label"],
        "library_variable_data_type": row["type"],
        "library_variable_role": row["role"],
        "library_variable_core": row.get("core", "Perm"),
        "library_variable_order_number": int(row["order"]),
        "library_variable_ordinal": int(row["order"]),
        "library_variable_has_codelist": bool(codes),
        "library_variable_ccode": codes.partition(" ")[0],
        "library_variable_ccodes": codes,
        "library_variable_described_value_domain": row.get("described_value_domain", ""),
    }


def _library(d: Dataset, world: World) -> dict[str, dict[str, Any]]:
    return {r["name"]: _library_row(r) for r in world.library.guide_variables(d)}


_NO_LIBRARY = tuple(_library_row({"name": "", "label": "", "type": "", "role": "", "order": "0"}))


def defined_variables(d: Dataset, world: World) -> Frames:
    """One row per variable of define.xml, with the standard's own metadata of it."""
    table = _library(d, world)
    rows = [{**_defined_item(i), **table.get(i.name, {})} for i in world.defined(d).items]
    if rows:
        yield _table(d.name, rows, [*_defined_item(world.defined(d).items[0]), *_NO_LIBRARY])


def variables_with(d: Dataset, world: World, defined: bool, standard: bool) -> Frames:
    """One row per variable of file or define.xml, with what the other, or the standard, says of it."""
    items = {i.name: _defined_item(i) for i in world.defined(d).items} if defined else {}
    table = _library(d, world) if standard else {}
    own = {v["variable_name"]: v for v in _variables(d)}
    rows = [{**own.get(n, {}), **items.get(n, {}), **table.get(n, {})} for n in dict.fromkeys([*own, *items])]
    columns = [*_variables_keys(), *(_ITEM_KEYS if defined else ()), *(_NO_LIBRARY if standard else ())]
    if rows:
        frame = _table(d.name, rows, columns)
        yield frame.with_columns(
            {"variable_is_empty": lambda: _is_empty(d, rows), "variable_max_size": lambda: _longest(d, rows)}
        )


def _longest(d: Dataset, rows: Sequence[Mapping[str, Any]]) -> Column:
    sizes = dict(zip((v.name for v in d.variables), _max_size(d), strict=True))
    return cells_of([sizes.get(str(r.get("variable_name") or "")) for r in rows])


def _is_empty(d: Dataset, rows: Sequence[Mapping[str, Any]]) -> Column:
    names = [str(r.get("variable_name") or "") for r in rows]
    return cells_of([bool(d.columns[n].null.all()) if n in d.columns else None for n in names])


def _variables_keys() -> tuple[str, ...]:
    return (
        "variable_name",
        "variable_order_number",
        "variable_label",
        "variable_size",
        "variable_data_type",
        "variable_format",
    )


_ITEM_KEYS = tuple(
    _defined_item(Item("", "", "", None, 1, "", "", None, "", "", "", None, False, False, ""))
)  # fmt: skip


def _group(g: Group) -> dict[str, Any]:
    return {
        "define_dataset_name": g.name,
        "define_dataset_label": g.label,
        "define_dataset_location": g.location,
        "define_dataset_domain": g.domain,
        "define_dataset_class": g.cls,
        "define_dataset_structure": g.structure,
        "define_dataset_is_non_standard": g.non_standard,
        "define_dataset_has_no_data": g.has_no_data == "Yes",
        "define_dataset_key_sequence": list(g.keys),
        "define_dataset_variables": [i.name for i in g.items],
        "define_dataset_variable_order": list(g.ordered),
    }


def _all_groups(world: World) -> tuple[Group, ...]:
    if world.define is None:
        raise Skip("there is no define.xml")
    return world.define.groups


_GROUP_KEYS = tuple(_group(Group("", "", "", "", "", "", "", "", "", "", "", ())))


def datasets_with_define(d: Dataset, world: World) -> Frames:
    """One row: the dataset file and what define.xml says of it (missing where it says nothing)."""
    found = {g.name: g for g in _all_groups(world)}.get(d.name)
    own = _dataset(d, world)
    yield _table(d.name, [{**own, **(_group(found) if found else {})}], [*own, *_GROUP_KEYS])


def records_with_define(d: Dataset, world: World) -> Frames:
    """The records, with what dataset file and define.xml say of the dataset."""
    facts = {**_dataset(d, world), **_group(world.defined(d))}
    yield d.frame.with_columns({k: constant(_cell(v), d.records) for k, v in facts.items()})


def presence_with_define(d: Dataset, world: World) -> Frames:
    """One row per dataset of define.xml, with the file's name and domain where there is a file."""
    files = {p.name: p for p in world.package.datasets}
    rows = [
        {
            "domain": files[g.name].domain or g.name if g.name in files else None,
            "filename": files[g.name].path.name if g.name in files else None,
            **_group(g),
        }
        for g in _all_groups(world)
    ]
    if rows:
        yield _table(STUDY, rows)


def cells_with_define(d: Dataset, world: World) -> Frames:
    items = {i.name: _defined_item(i) for i in world.defined(d).items}
    yield from cells(d, world, lambda part, name: items.get(name))


def cells_with_values(d: Dataset, world: World) -> Frames:
    """The cells that value-level metadata of define.xml is about, with that metadata as define_vlm_*."""
    for item in world.defined(d).items:
        if item.name not in d.columns:
            continue
        for value in item.values:
            rows = np.flatnonzero(_selected(d, value))
            if not len(rows):
                continue
            facts = {k.replace("define_variable_", "define_vlm_"): v for k, v in _defined_item(value).items()}
            frame = d.frame.take(rows)
            known = {k: constant(_cell(v), len(rows)) for k, v in facts.items()}
            column = d.columns[item.name].take(rows)
            named = {"variable_name": item.name, "define_variable_name": item.name}
            yield frame.with_columns(
                {
                    **known,
                    **{k: constant(v, len(rows)) for k, v in named.items()},
                    "variable_value": column,
                    "variable_value_length": _lengths(column),
                }
            )


def _selected(d: Dataset, value: Item) -> Any:
    chosen = np.ones(d.records, dtype=bool)
    for name, comparator, wanted in value.where:
        if name not in d.columns:
            return np.zeros(d.records, dtype=bool)
        text = d.columns[name].as_text()
        among = text.per_value(lambda v, w=frozenset(wanted): v in w, "" in wanted)  # type: ignore[misc]
        chosen &= ~among if comparator in ("NE", "NOTIN") else among
    return chosen


def cells_with_library(d: Dataset, world: World) -> Frames:
    """The cells with the standard's metadata of their variable, and the values of its codelist, if it has one."""
    table = {n: {**facts, **_codelist(facts, world)} for n, facts in _library(d, world).items()}
    yield from cells(d, world, lambda part, name: table.get(name))


def _codelist(facts: Mapping[str, Any], world: World) -> dict[str, Any]:
    """Return the published values of a variable's codelists and whether one of them may be extended."""
    known = [c for c in str(facts["library_variable_ccodes"]).split() if c in world.terms.codelists]
    return {
        "library_codelist_values": [v for c in known for v in world.terms.values[c]],
        "library_codelist_extensible": any(world.terms.extensible(c) for c in known),
    }


def problems(d: Dataset | None, world: World) -> Frames:
    """One row per thing that was wrong with a file as it was read."""
    found = world.package.problems
    rows = [
        {"file_problem": p.code, "file_name": p.file, "file_detail": p.detail, "variable_name": p.variable} for p in found
    ]
    if rows:
        frame = _table("", rows)
        yield Frame(frame.rows, {n: frame[n] for n in frame.names}, frame.records, texts(p.dataset or p.file for p in found))


_BY_DATASET: dict[str, Callable[[Dataset, World], Frames]] = {
    "Record Data": records,
    "Variable Metadata Check": variables,
    "Dataset Metadata Check": datasets,
    "Domain Presence Check": presence,
    "Value Check with Dataset Metadata": cells_with_dataset,
    "Value Check with Variable Metadata": cells,
    "Define Item Metadata Check": defined_variables,
    "Define Item Metadata Check against Library Metadata": defined_variables,
    "Variable Metadata Check against Define XML": lambda d, w: variables_with(d, w, True, False),
    "Variable Metadata Check against Library Metadata": lambda d, w: variables_with(d, w, False, True),
    "Variables Metadata Check against Define XML and Library Metadata": lambda d, w: variables_with(d, w, True, True),
    "Dataset Metadata Check against Define XML": datasets_with_define,
    "Dataset Contents Check against Define XML": records_with_define,
    "Domain Presence Check against Define XML": presence_with_define,
    "Value Check against Define XML Variable": cells_with_define,
    "Value Check against Define XML VLM": cells_with_values,
    "Value Check against Library Metadata": cells_with_library,
}
WHOLE_PACKAGE = frozenset({"Domain Presence Check", "Domain Presence Check against Define XML"})
"""Types whose findings are about the package, whichever dataset the rule is run on."""
FILE_CHECK = "File Check"
"""Our own type: rules about files as such, run once for the package."""
RULE_TYPES = frozenset({*_BY_DATASET, FILE_CHECK})


def frames_of(rule_type: str, d: Dataset, world: World) -> Frames:
    """Return the frames that a rule of a type is asked about for a dataset. Raises Skip."""
    return _BY_DATASET[rule_type](d, world)

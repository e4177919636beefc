"""What rows a rule is asked about when it looks at define.xml or the standard's tables, beside or instead of the data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapter.check.columns import Column, cells_of, constant
from adapter.check.dataset import Dataset
from adapter.check.define import Group, Item
from adapter.check.frames_data import (
    STUDY,
    Frames,
    cell,
    cells,
    dataset_facts,
    facts_frame,
    lengths,
    longest,
    variable_facts,
)
from adapter.check.world import Skip, World


def defined_item(i: Item) -> dict[str, Any]:
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
    rows = [{**defined_item(i), **table.get(i.name, {})} for i in world.defined(d).items]
    if rows:
        yield facts_frame(d.name, rows, [*defined_item(world.defined(d).items[0]), *_NO_LIBRARY])


def variables_with(d: Dataset, world: World, defined: bool, standard: bool) -> Frames:
    """One row per variable of file or define.xml, with what the other, or the standard, says of it."""
    items = {i.name: defined_item(i) for i in world.defined(d).items} if defined else {}
    table = _library(d, world) if standard else {}
    own = {v["variable_name"]: v for v in variable_facts(d)}
    rows = [{**own.get(n, {}), **items.get(n, {}), **table.get(n, {})} for n in dict.fromkeys([*own, *items])]
    columns = [*_VARIABLE_KEYS, *(_ITEM_KEYS if defined else ()), *(_NO_LIBRARY if standard else ())]
    if rows:
        frame = facts_frame(d.name, rows, columns)
        yield frame.with_columns(
            {"variable_is_empty": lambda: _is_empty(d, rows), "variable_max_size": lambda: _longest(d, rows)}
        )


def _longest(d: Dataset, rows: Sequence[Mapping[str, Any]]) -> Column:
    sizes = dict(zip((v.name for v in d.variables), longest(d), strict=True))
    return cells_of([sizes.get(str(r.get("variable_name") or "")) for r in rows])


def _is_empty(d: Dataset, rows: Sequence[Mapping[str, Any]]) -> Column:
    names = [str(r.get("variable_name") or "") for r in rows]
    return cells_of([bool(d.columns[n].null.all()) if n in d.columns else None for n in names])


_VARIABLE_KEYS = (
    "variable_name",
    "variable_order_number",
    "variable_label",
    "variable_size",
    "variable_data_type",
    "variable_format",
)


_ITEM_KEYS = tuple(
    defined_item(Item("", "", "", None, 1, "", "", None, "", "", "", None, False, False, ""))
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
    own = dataset_facts(d, world)
    yield facts_frame(d.name, [{**own, **(_group(found) if found else {})}], [*own, *_GROUP_KEYS])


def records_with_define(d: Dataset, world: World) -> Frames:
    """The records, with what dataset file and define.xml say of the dataset."""
    facts = {**dataset_facts(d, world), **_group(world.defined(d))}
    yield d.frame.with_columns({k: constant(cell(v), d.records) for k, v in facts.items()})


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
        yield facts_frame(STUDY, rows)


def cells_with_define(d: Dataset, world: World) -> Frames:
    items = {i.name: defined_item(i) for i in world.defined(d).items}
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
            facts = {k.replace("define_variable_", "define_vlm_"): v for k, v in defined_item(value).items()}
            frame = d.frame.take(rows)
            known = {k: constant(cell(v), len(rows)) for k, v in facts.items()}
            column = d.columns[item.name].take(rows)
            named = {"variable_name": item.name, "define_variable_name": item.name}
            yield frame.with_columns(
                {
                    **known,
                    **{k: constant(v, len(rows)) for k, v in named.items()},
                    "variable_value": column,
                    "variable_value_length": lengths(column),
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

"""Describes the trial definition from its models: the table of every key (docs) and the JSON Schema of trial.toml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from adapter.trial import Definition
from adapter.trial_models import Part
from adapter.trial_tables import TABLES

__all__ = ["trial_reference", "trial_schema"]

INTRODUCTION = """# The trial definition

A trial is a folder with `trial.toml` and CSV files. Nothing else has to be edited to add a trial. This page is made
from the models (`trial_reference()`); a test keeps it in step.

An unknown key or column is an error. `<id>` is a name that the trial chooses. A setting is addressed by its dotted
name, a row of a list or CSV file by its key: `criteria.<id>.threshold`, `visits.<VISITNUM>.VISIT`. Numbers are read
exactly as written. *needed* = there is no default. A section that is not needed may be left out as a whole; what
is *needed* inside it is needed once the section is there.
"""


def trial_schema() -> str:
    """Return the JSON Schema of trial.toml; `x-tables` holds the schema of one row of each CSV file."""
    schema = Definition.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "trial.toml"
    schema["x-tables"] = {file: row.model_json_schema() for file, (_, row, _) in TABLES.items()}
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True, default=str) + "\n"


def trial_reference() -> str:
    """Return docs/trial-definition.md: every key with its type, its meaning and its default."""
    text = [INTRODUCTION, "## trial.toml\n"]
    plain = [(n, f) for n, f in Definition.model_fields.items() if _part(f.annotation) is None]
    text += ["| key | type | meaning | default |", "| --- | --- | --- | --- |"]
    text += [_row(name, field) for name, field in plain]
    for name, field in Definition.model_fields.items():
        if (part := _part(field.annotation)) is not None:
            note = "" if field.is_required() else " (may be left out)"
            text += [f"\n### {name}\n", f"{field.description}{note}.\n"]
            text += ["| key | type | meaning | default |", "| --- | --- | --- | --- |"]
            text += [_row(*row) for row in _keys(_path(name, field.annotation), part)]
    for file, (_, row, needed) in TABLES.items():
        about = " ".join((row.__doc__ or "").split())
        text += [f"\n## {file}\n", f"{about}" + ("" if needed else " May be left out.") + f" Key: `{row.key}`.\n"]
        text += ["| column | type | meaning | default |", "| --- | --- | --- | --- |"]
        text += [_row(name, field) for name, field in row.model_fields.items()]
    return "\n".join(text) + "\n"


def _keys(prefix: str, part: type[Part]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in part.model_fields.items():
        path = f"{prefix}.{name}"
        if (inner := _part(field.annotation)) is None:
            yield path, field
        else:
            yield from _keys(_path(path, field.annotation), inner)


def _path(name: str, annotation: Any) -> str:
    for kind in _plain(annotation):
        if get_origin(kind) is dict:
            return f"{name}.<id>"
        if get_origin(kind) is tuple:
            row = _part(kind)
            return f"{name}.<{row.key}>" if row is not None and row.key else f"{name}[]"
    return name


def _part(annotation: Any) -> type[Part] | None:
    """Return the model inside `Part`, `Part | None`, `dict[…, Part]` or `tuple[Part, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next((p for a in get_args(annotation) if (p := _part(a)) is not None), None)


def _plain(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, UnionType):
        return [a for a in get_args(annotation) if a is not NoneType]
    return [annotation]


def _row(key: str, field: FieldInfo) -> str:
    kind = " or ".join(_kind(a) for a in _plain(field.annotation))
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `{key}` | {kind} | {meaning} | {_default(field.get_default())} |"


def _kind(annotation: Any) -> str:
    names = {Decimal: "number", int: "whole number", str: "text", bool: "true/false"}
    if hasattr(annotation, "__metadata__"):
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return " / ".join(f"`{v}`" if v else "empty" for v in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_kind(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        key, value = get_args(annotation)
        return f"table of {_kind(key)} → {_kind(value)}"
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "*needed*"
    if isinstance(value, BaseModel) or value is None:
        return "absent"
    if value in ("", (), {}):
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"

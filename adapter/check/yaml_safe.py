"""Reads YAML of unknown origin: plain data only, no aliases, bounded size and depth, no key twice."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml: the same, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

MAX_BYTES = 1 << 20
MAX_DEPTH = 60
MAX_NODES = 50_000


class BadYaml(ValueError):
    """A text that is not taken; the message says what and where."""


class _Strict(_Loader):
    """Refuses a key that stands twice, which YAML forbids and PyYAML lets pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            name = getattr(key, "value", None)
            if isinstance(name, str):
                if name in seen:
                    raise BadYaml(f"line {key.start_mark.line + 1}: the key {name!r} stands twice")
                seen.add(name)
        return super().construct_mapping(node, deep)


def parse(raw: bytes) -> Any:
    """Return the data of a YAML text. Raises BadYaml; nothing in the text is ever executed or fetched."""
    if len(raw) > MAX_BYTES:
        raise BadYaml(f"{len(raw):,} bytes, at most {MAX_BYTES:,} are taken")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise BadYaml(f"not UTF-8 at byte {e.start}") from e
    try:
        _bounded(text)
        return yaml.load(text, Loader=_Strict)  # noqa: S506 - a safe loader
    except yaml.YAMLError as e:
        raise BadYaml(" ".join(str(e).split())) from e
    except (RecursionError, ValueError, TypeError) as e:
        raise e if isinstance(e, BadYaml) else BadYaml(f"cannot be read as YAML: {e}") from e


def _bounded(text: str) -> None:
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_Loader):
        nodes += 1
        if isinstance(event, yaml.AliasEvent):
            raise BadYaml(f"line {event.start_mark.line + 1}: aliases are not taken")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise BadYaml(f"line {event.start_mark.line + 1}: more than {MAX_DEPTH} levels or {MAX_NODES:,} nodes")

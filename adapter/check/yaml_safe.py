"""Reads YAML of unknown origin: plain data only, no aliases, no tags, bounded size and depth, no key twice."""

from __future__ import annotations

import re
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml: the same, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

MAX_BYTES = 1 << 20
MAX_DEPTH = 60
MAX_NODES = 50_000
_DEEP = re.compile(r"^[\s?:-]{80}", re.M)
_WORDS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}


class BadYaml(ValueError):
    """A text that is not taken; the message says what and where."""


def parse(raw: bytes) -> Any:
    """Return the data of a YAML text. Raises BadYaml; nothing in the text is ever executed or fetched."""
    if len(raw) > MAX_BYTES:
        raise BadYaml(f"{len(raw):,} bytes, at most {MAX_BYTES:,} are taken")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise BadYaml(f"not UTF-8 at byte {e.start}") from e
    try:
        if text.count("[") + text.count("{") > MAX_DEPTH or _DEEP.search(text):
            _bounded(text)
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _Data().of(node, 0)
    except yaml.YAMLError as e:
        raise BadYaml(" ".join(str(e).split())) from e
    except RecursionError as e:
        raise BadYaml(f"more than {MAX_DEPTH} levels") from e


def _bounded(text: str) -> None:
    """Refuse a text that nests too deep before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise BadYaml(f"more than {MAX_DEPTH} levels")


class _Data:
    """Makes plain data of nodes: mappings, lists, texts, numbers, true and false, null. Dates stay texts."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def of(self, node: Any, depth: int) -> Any:
        if id(node) in self.seen:
            raise self._bad(node, "aliases are not taken")
        self.seen.add(id(node))
        if depth > MAX_DEPTH or len(self.seen) > MAX_NODES:
            raise self._bad(node, f"more than {MAX_DEPTH} levels or {MAX_NODES:,} nodes")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
            raise self._bad(node, f"the tag {node.tag} is not taken")
        if isinstance(node, yaml.SequenceNode):
            return [self.of(n, depth + 1) for n in node.value]
        made: dict[Any, Any] = {}
        for key, value in node.value:
            name = self.of(key, depth + 1)
            if isinstance(name, (dict, list)):
                raise self._bad(key, "a key must be a plain value")
            if name in made:
                raise self._bad(key, f"the key {name!r} stands twice")
            made[name] = self.of(value, depth + 1)
        return made

    def _scalar(self, node: Any) -> Any:
        kind, text = node.tag.rpartition(":")[2], str(node.value)
        if kind in ("str", "timestamp", "value", "merge"):
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return _WORDS[text.lower()]
        if kind in ("int", "float"):
            try:
                return int(text.replace("_", ""), 10) if kind == "int" else float(text.replace("_", ""))
            except ValueError:
                return text  # octal, hexadecimal, sixties, infinities: no rule means them as numbers
        raise self._bad(node, f"the tag {node.tag} is not taken")

    def _bad(self, node: Any, what: str) -> BadYaml:
        return BadYaml(f"line {node.start_mark.line + 1}: {what}")

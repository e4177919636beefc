"""Regular expressions of rules, which are untrusted: RE2, whose time grows with the text only, whatever the pattern."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN = 2_000
"""Characters of a pattern; published ones have at most 200."""


class BadPattern(ValueError):
    """A pattern that RE2 does not take; the text says why."""


@lru_cache(maxsize=2_000)
def compiled(pattern: str) -> Any:
    """Return a compiled pattern. Raises BadPattern."""
    if len(pattern) > MAX_PATTERN:
        raise BadPattern(f"a pattern of {len(pattern):,} characters, at most {MAX_PATTERN:,} are taken")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as e:
        said = e.args[0] if e.args else e
        raise BadPattern(said.decode() if isinstance(said, bytes) else str(said)) from e


def starts(pattern: str) -> Callable[[str], bool]:
    """Return a test whether a text begins with a match (what matches_regex asks for)."""
    match = compiled(pattern).match
    return lambda text: match(text) is not None


def holds(pattern: str) -> Callable[[str], bool]:
    """Return a test whether a text has a match anywhere."""
    search = compiled(pattern).search
    return lambda text: search(text) is not None


def part(pattern: str) -> Callable[[str], str | None]:
    """Return what takes the first match out of a text: its first group if it has groups, else the whole; or None."""
    found = compiled(pattern)
    group = 1 if found.groups else 0

    def taken(text: str) -> str | None:
        match = found.search(text)
        return None if match is None else match.group(group)

    return taken

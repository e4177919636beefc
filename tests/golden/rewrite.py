"""Rewrites the expected files of the golden cases from what the build gives now, for review as a diff.

    python -m tests.golden.rewrite [CASE ...]

Comments and columns of each file stay; only rows change. A change is right only if the specification says so: read
the diff, line by line, before it is committed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.golden.cases import build_case, cases, compared, expected_files, read_expected, write_expected


def rewrite(names: list[str]) -> int:
    """Rewrite the named cases (all without a name) and return how many files changed."""
    unknown = sorted(set(names) - set(cases()))
    if unknown:
        sys.exit(f"no such golden case: {', '.join(unknown)}; there are {', '.join(cases())}")
    changed = 0
    for case in names or cases():
        with tempfile.TemporaryDirectory() as folder:
            result = build_case(case, Path(folder))
            for name in expected_files(case):
                comments, columns, _ = read_expected(case, name)
                rows, found = compared(result, case, name)
                if found != rows:
                    write_expected(case, name, comments, columns, found)
                    print(f"changed {case}/expected/{name}.csv")
                    changed += 1
    print(f"{changed} files changed; review them with: git diff tests/golden")
    return changed


if __name__ == "__main__":
    rewrite(sys.argv[1:])

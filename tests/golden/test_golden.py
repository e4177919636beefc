"""Each golden case is built and compared with what was written by hand from the specification."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from adapter.reasons import REASONS
from adapter.result import Result
from tests.golden.cases import ALWAYS, EVERYWHERE, FOLDER, build_case, cases, compared, expected_files, read_expected


@pytest.fixture(scope="module", params=cases())
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Result]:
    return request.param, build_case(request.param, tmp_path_factory.mktemp(request.param))


def test_case(built: tuple[str, Result]) -> None:
    case, result = built
    wrong = []
    for name in expected_files(case):
        rows, found = compared(result, case, name)
        missing = [r for r in rows if r not in found]
        more = [r for r in found if r not in rows]
        if found != rows:
            wrong.append(f"{case}/{name}: expected, not found {missing}; found, not expected {more}")
            if not missing and not more:
                wrong[-1] = f"{case}/{name}: the order or the number of equal rows differs: {found}"
    assert not wrong, "\n".join(wrong)


def test_case_is_complete(built: tuple[str, Result]) -> None:
    case, result = built
    names = expected_files(case)
    assert set(ALWAYS) <= set(names)
    with open(FOLDER / case / "enrolment.csv", encoding="utf-8", newline="") as f:
        assert len(list(csv.DictReader(f))) >= 3
    assert sum(len(read_expected(case, n)[2]) for n in ("rejects", "drops")) > 0
    for name in ("rejects", "issues", "drops"):
        _, columns, rows = read_expected(case, name)
        at = columns.index("code" if name == "issues" else "reason")
        assert {r[at] for r in rows} <= set(REASONS)
    # a dataset that the build makes and the case does not look at would hide a record in the wrong domain
    made = {d.lower() for d, n in result.counts["records"].items() if n and d not in EVERYWHERE}
    assert made <= set(names)


def test_cases_are_there() -> None:
    assert set(cases()) >= {"dm", "ec_ex", "cm", "pr", "lb", "ts", "statements", "reports"}


def test_every_line_of_input_is_accounted_for(built: tuple[str, Result]) -> None:
    case, result = built
    lines = sum(
        sum(1 for line in path.read_bytes().split(b"\n") if line.strip())
        for path in Path(FOLDER / case / "input").glob("*.ndjson")
    )
    resources = result.counts["resources"].values()
    assert sum(r["read"] for r in resources) == lines
    assert all(r["read"] == r["used"] + sum(r["dropped"].values()) for r in resources)

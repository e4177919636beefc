"""`trace` followed by hand: 1,000 random values of the demo's analysis datasets, each read again from the FHIR line named.

The line is read with `json`, its unit converted with a table of powers of ten written here, its date taken at the site;
nothing here calls what made the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pandas as pd
import pytest

from adapter.cli import main
from adapter.errors import InputError
from adapter.result import Result
from adapter.trace import Line, Traced, Tracer, Used, trace
from tests.conftest import Cohort
from tests.e2e.test_trace import Hospital, codes_of, number_and_unit, part, result_of, starts

TO_GIGA = {
    "10*9/L": 0,
    "10^9/L": 0,
    "×10^9/L": 0,
    "G/L": 0,
    "10*3/uL": 0,
    "10^3/uL": 0,
    "/uL": -3,
    "cells/uL": -3,
    "个/uL": -3,
}
TO_GIGA |= {
    "10*6/L": -3,
    "/mm3": -3,
    "10*3/mm3": 0,
    "10^3/mm3": 0,
    "K/uL": 0,
    "/nL": 0,
    "×10⁹/L": 0,
    "x10^9/L": 0,
    "10e9/L": 0,
}
TO_GRAM = {"g/L": 0, "g/dL": 1, "mg/mL": 0}
COUNTS = {"777-3": "PLT", "751-8": "ANC", "26499-4": "ANC", "718-7": "HGB", "6690-2": "WBC"}


@pytest.fixture(scope="module")
def hospital(demo10: Cohort, demo10_build: Result) -> Hospital:
    return Hospital(demo10, demo10_build)


def iso(value: float) -> str:
    return (date(1960, 1, 1) + timedelta(days=int(value))).isoformat()


def resource(line: Line, hospital: Hospital) -> Any:
    number = next(n for n, label in hospital.labels.items() if label == line.file)
    found = hospital.resource(number, line.line)
    assert found["resourceType"] == line.resource
    return found


def lines_below(used: list[Used]) -> Iterator[Line]:
    for u in used:
        yield from u.lines
        yield from lines_below(u.used)


def standard(o: Any) -> Decimal | None:
    """Return a count in 10^9/L, haemoglobin in g/L; None where this test has no factor for the unit."""
    text = result_of(o).lstrip("<>=")
    q = o.get("valueQuantity", {})
    units = [q.get("code"), q.get("unit"), number_and_unit(o.get("valueString", ""))[2]]
    shift = next((table[u] for u in units for table in (TO_GIGA, TO_GRAM) if u in table), None)
    return None if shift is None else Decimal(text).scaleb(shift)


def one_value(cell: tuple[str, str, str, str, Any], t: Traced, hospital: Hospital) -> bool:
    """Assert that the lines named give the value; return whether this test knows how to read it."""
    dataset, _, _, variable, value = cell
    v = next(x for x in t.values if x.variable == variable)
    assert v.rule or variable == "ANL01FL"
    lines = list(lines_below(v.used)) or list(lines_below(t.used))
    if not lines:
        return False
    read = [(line, part(resource(line, hospital), line.element)) for line in lines]
    whole = [(line, resource(line, hospital)) for line in lines]
    if dataset == "ADLB" and variable in ("AVAL", "BASE"):
        source = list(lines_below(v.used if variable == "BASE" else t.used))
        found = [part(resource(x, hospital), x.element) for x in source]
        if len(found) != 1 or standard(found[0]) is None:
            return False
        assert float(standard(found[0]) or 0) == value
        return True
    if dataset == "ADLB" and variable == "ADT":
        days = {(starts(r, "effective") or "")[:10] for _, r in (*read, *whole)}
        if days <= {""}:  # its Specimen dates it
            return False
        assert iso(value) in days
        return True
    if dataset == "ADRS" and variable == "ADT":
        days = sorted(
            d[:10]
            for d in (
                starts(r, "effective") or starts(w, "effective") for (_, r), (_, w) in zip(read, whole, strict=True)
            )
            if d
        )
        assert iso(value) in days
        assert t.key.startswith("OVRL") or iso(value) == days[0]
        return True
    if dataset == "ADRS" and variable == "AVALC" and value in ("Y", "CR", "PR") and not t.key.startswith("OVRL"):
        limit = {"Y": {"ANC": "0.5", "HGB": "70"}, "CR": {"PLT": "50"}, "PR": {"PLT": "20"}}[value]
        for _, o in read:
            kind = next((COUNTS[c] for c in codes_of(o["code"]) if c in COUNTS), None)
            if kind in limit and standard(o) is not None:
                number = standard(o) or Decimal(0)
                assert (
                    number > Decimal(limit[kind])
                    if kind == "ANC" and "NEUTR" not in t.key
                    else number >= Decimal(limit[kind])
                )
        return True
    if variable in ("ADT", "DTHDT", "HSCTDT", "TRTSDT", "RFSTDT", "TRTEDT", "STARTDT"):
        told = set()
        for _, r in whole:
            told |= {(starts(r, "effective", "performed", "onset") or "")[:10], str(r.get("deceasedDateTime", ""))[:10]}
            told |= {str(r.get(k, {}).get("end", ""))[:10] for k in ("effectivePeriod", "performedPeriod")}
            told |= {str(r.get("recordedDate", ""))[:10]}
        if told <= {""}:
            return False
        if iso(value) not in told:
            # what the log says has no resource; a course under way counts from randomisation
            assert t.dataset in ("ADSL", "ADTTE"), (cell, told)
            return False
        return True
    if variable in ("ANCBL", "PLTBL", "HGBBL"):
        numbers = [standard(o) for _, o in read]
        if len(numbers) != 1 or numbers[0] is None:
            return False
        assert float(numbers[0]) == value
        return True
    return False


READ = {
    "ADLB": ("AVAL", "BASE", "ADT"),
    "ADRS": ("ADT", "AVALC"),
    "ADTTE": ("ADT",),
    "ADSL": ("DTHDT", "HSCTDT", "TRTSDT", "RFSTDT", "ANCBL", "PLTBL", "HGBBL"),
}


@pytest.mark.parametrize("values", [60, pytest.param(1_000, marks=pytest.mark.long)])
def test_random_values_are_read_again_from_the_line_named(
    values: int, demo10_build: Result, hospital: Hospital
) -> None:
    random = Random(20251121)
    cells = []
    for name, variables in READ.items():
        f = demo10_build.adam[name]
        for v in variables:
            there = f[f[v].notna() & (f[v].astype("str") != "")]
            keys = there["ASEQ"].astype(int).astype(str) if "ASEQ" in there else pd.Series("", index=there.index)
            cells.append([(name, u, k, v, x) for u, k, x in zip(there["USUBJID"], keys, there[v], strict=True)])
    each = values // len(cells) + 1
    chosen = [c for some in cells for c in random.sample(some, min(each, len(some)))]
    everything = [c for some in cells for c in some if c not in set(chosen)]
    chosen += random.sample(everything, max(0, values * 3 // 2 - len(chosen)))
    tracer = Tracer(demo10_build.out)
    known: dict[tuple[str, str, str], Traced] = {}
    read = 0
    for cell in chosen:
        name, usubjid, key = cell[:3]
        if cell[:3] not in known:
            (known[cell[:3]],) = tracer.trace(name, usubjid, key or None)
        read += one_value(cell, known[cell[:3]], hospital)
    assert read >= values, f"{read} of {len(chosen)}"


def test_on_the_terminal_and_as_json(demo10: Cohort, demo10_build: Result, capsys: pytest.CaptureFixture[str]) -> None:
    f = demo10_build.adam["ADRS"]
    row = f[(f["PARAMCD"] == "PLTRESP") & (f["AVALC"] == "CR")].iloc[0]
    asked = ["trace", str(demo10_build.out), "adrs", row["USUBJID"], "PLTRESP"]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert f"ADRS {row['USUBJID']} PLTRESP" in shown
    assert "AVALC = CR" in shown
    assert "PLT >= 50 10^9/L" in shown
    assert shown.count("from LB ") == 7
    assert shown.count("Observation.value[x], fhir/") == 7
    assert main([*asked, "--json", "--site", str(demo10.site)]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert [v["value"] for v in told["values"] if v["variable"] == "ADT"] == [iso(row["ADT"])]
    ids = {line["resource_id"] for u in told["used"] for line in u["lines"]}
    assert len(ids) == 7
    assert all(i.startswith("Observation/") for i in ids)
    assert "Observation/" not in shown, "without the link file no real id is shown"


def test_a_record_by_its_number_and_an_sdtm_record(demo10_build: Result) -> None:
    f = demo10_build.adam["ADLB"]
    row = f[f["PARAMCD"] == "PLAT"].iloc[3]
    (made,) = trace(demo10_build.out, "ADLB", row["USUBJID"], str(int(row["ASEQ"])))
    assert made.key == f"PLAT ASEQ {int(row['ASEQ'])}"
    (lb,) = trace(demo10_build.out, "LB", row["USUBJID"], str(int(row["LBSEQ"])))
    result = next(v for v in lb.values if v.variable == "LBORRES")
    assert result.lines[0].element.endswith("value[x]") or "value" in result.lines[0].element
    assert made.used[0].lines[0].line == result.lines[0].line
    assert len(trace(demo10_build.out, "ADSL", row["USUBJID"])) == 1


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("ADXX", "PGFMSC-01-001", None), "unknown dataset 'ADXX'"),
        (("ADRS", "NOBODY", None), "no record of subject NOBODY"),
        (("ADRS", "PGFMSC-01-001", "PLTRESQ"), "did you mean 'PLTRESP'"),
        (("ADRS", "PGFMSC-01-001", "999"), "ASEQ 999; it has 1 to 16"),
        (("ADSL", "PGFMSC-01-001", "X"), "expected a sequence number"),
        (("TS", "PGFMSC-01-001", None), "no subjects"),
    ],
)
def test_what_is_not_there(asked: tuple[str, str, str | None], says: str, demo10_build: Result) -> None:
    with pytest.raises(InputError, match=says):
        trace(demo10_build.out, *asked)


def test_a_folder_that_is_no_build(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(tmp_path), "ADRS", "X"]) == 2
    assert "is no finished build" in capsys.readouterr().err

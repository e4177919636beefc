"""Rows per CPU second of XptWriter and of pyreadstat, for a laboratory dataset of 25 columns.

    python -m tests.bench.bench_xpt [ROWS]

Both write the same rows to a file on disk; CPU time is user plus system time of this process, best of three for ours.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyreadstat

from adapter.writers.xpt import XptVariable, XptWriter

STAMP = datetime.datetime(2025, 6, 30)
TESTS = {
    "NEUT": ("Neutrophils", "HEMATOLOGY", "10^9/L"),
    "PLAT": ("Platelets", "HEMATOLOGY", "10^9/L"),
    "HGB": ("Hemoglobin", "HEMATOLOGY", "g/L"),
    "ALT": ("Alanine Aminotransferase", "CHEMISTRY", "U/L"),
    "CREAT": ("Creatinine", "CHEMISTRY", "umol/L"),
    "CMVDNA": ("Cytomegalovirus DNA", "MICROBIOLOGY", "IU/mL"),
}


def laboratory(rows: int, seed: int = 1) -> pa.Table:
    """Return 17 text and 8 number columns in the shape of SDTM LB: ids and times of many values, codes of few."""
    rng = np.random.default_rng(seed)
    test = rng.integers(0, len(TESTS), rows)
    subject = np.sort(rng.integers(0, max(1, rows // 150), rows))
    minute = np.datetime64("2024-01-01T00:00", "m") + rng.integers(0, 500_000, rows)
    result = np.round(rng.lognormal(2, 1, rows), 2)
    names = np.array([*TESTS])
    detail = np.array([*TESTS.values()])
    unit = pa.array(detail[test, 2])
    text = pa.array(result).cast(pa.string())
    low = np.where(rng.random(rows) < 0.3, np.nan, 4.0)

    def few(*values: str) -> pa.Array:
        return pa.array(np.array(values, dtype=object)[rng.integers(0, len(values), rows)])

    return pa.table(
        {
            "STUDYID": pa.array(["PGF-MSC-01"] * rows),
            "DOMAIN": pa.array(["LB"] * rows),
            "USUBJID": pa.array(
                np.array([f"PGF-MSC-01-{i % 20:02d}-{i:05d}" for i in range(rows // 150 + 1)])[subject]
            ),
            "LBREFID": pa.array([f"S{i:09d}" for i in rng.permutation(rows)]),
            "LBTESTCD": pa.array(names[test]),
            "LBTEST": pa.array(detail[test, 0]),
            "LBCAT": pa.array(detail[test, 1]),
            "LBORRES": text,
            "LBORRESU": unit,
            "LBSTRESC": text,
            "LBSTRESU": unit,
            "LBNRIND": few("NORMAL", "LOW", "HIGH", ""),
            "LBSPEC": few("BLOOD", "SERUM", "PLASMA"),
            "LBLOBXFL": few("Y", *[""] * 9),
            "VISIT": few("SCREENING", "WEEK 1", "WEEK 2", "WEEK 4", "WEEK 8"),
            "EPOCH": few("SCREENING", "TREATMENT", "FOLLOW-UP"),
            "LBDTC": pa.array(np.datetime_as_string(minute)),
            "LBSEQ": pa.array(np.arange(rows) % 150 + 1),
            "LBSTRESN": pa.array(result),
            "LBSTNRLO": pa.array(low, from_pandas=True),
            "LBSTNRHI": pa.array(low * 10, from_pandas=True),
            "VISITNUM": pa.array(rng.integers(1, 9, rows).astype(float)),
            "VISITDY": pa.array(rng.integers(-30, 180, rows)),
            "LBDY": pa.array(rng.integers(-30, 180, rows)),
            "LBTPTNUM": pa.array(np.full(rows, np.nan), from_pandas=True),
        }
    )


def declarations(table: pa.Table) -> list[XptVariable]:
    """Return one variable per column, text as long as its longest value."""
    widths = {
        n: max(map(len, table[n].unique().to_pylist())) if pa.types.is_string(table[n].type) else 0
        for n in table.column_names
    }
    return [XptVariable(n, n.title(), "Char" if w else "Num", w or 8) for n, w in widths.items()]


def run(rows: int = 300_000) -> dict[str, float]:
    """Return rows per CPU second: `arrow` (plain strings), `dictionary`, `pandas`, `pyreadstat`, and `ratio`.

    `ratio` is ours from pandas over pyreadstat from the same pandas frame.
    """
    table = laboratory(rows)
    variables = declarations(table)
    encoded = pa.table(
        {v.name: table[v.name].dictionary_encode() if v.type == "Char" else table[v.name] for v in variables}
    )
    frame = table.to_pandas()
    speeds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lb.xpt"
        for name, batch in (("arrow", table), ("dictionary", encoded), ("pandas", frame)):
            best = min(_ours(path, variables, batch) for _ in range(3))
            speeds[name] = rows / best
        start = time.process_time()
        pyreadstat.write_xport(frame, path, table_name="LB", file_format_version=5)
        speeds["pyreadstat"] = rows / (time.process_time() - start)
    speeds["ratio"] = speeds["pandas"] / speeds["pyreadstat"]
    return speeds


def _ours(path: Path, variables: list[XptVariable], batch: pa.Table | pd.DataFrame) -> float:
    start = time.process_time()
    with path.open("wb") as file, XptWriter(file, "LB", "Laboratory Test Results", variables, STAMP) as writer:
        writer.write(batch)
    return time.process_time() - start


if __name__ == "__main__":
    for key, value in run(*map(int, sys.argv[1:])).items():
        print(f"{key:<12}{value:>14,.1f}")

"""Writes a made-up SDTM package of 22 datasets and any number of records, for measuring `validate`."""

from __future__ import annotations

import csv
import datetime as dt
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adapter.writers.xpt import XptVariable, XptWriter

ROOT = Path(__file__).parents[2]
STUDY = "BENCH01"
SHARES = {
    "LB": 40, "VS": 14, "EX": 6, "CM": 6, "AE": 5, "QS": 8, "EG": 5, "PE": 3, "MH": 2, "PR": 1.5, "FA": 3, "CE": 1, "DS": 1,
    "SV": 2.5, "SE": 1, "SUPPAE": 1.5, "SUPPLB": 2,
}  # fmt: skip
"""Datasets with records per subject, and their share of the records; the other five are DM and trial design."""
DESIGN = {"TA": 9, "TE": 4, "TV": 8, "TS": 60}
WHEN = dt.datetime(2026, 1, 1)


def _table(name: str) -> list[dict[str, str]]:
    with open(ROOT / "schemas" / name, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


VARIABLES = _table("sdtmig_3-4_variables.csv")
LABELS = {r["dataset"]: r["label"] for r in _table("sdtmig_3-4_datasets.csv")}


def write_package(folder: Path, records: int, seed: int = 1) -> dict[str, int]:
    """Write the datasets; return their numbers of records."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    subjects = np.array([f"{STUDY}-{i:05d}" for i in range(max(20, records // 400))], dtype=object)
    counts = {name: int(records * share / sum(SHARES.values())) for name, share in SHARES.items()}
    counts |= {"DM": len(subjects)} | DESIGN
    for name, n in counts.items():
        _write(folder, name, _dataset(name, n, subjects, rng), n)
    return counts


def _variables(name: str) -> list[dict[str, str]]:
    table = "SUPPQUAL" if name.startswith("SUPP") else name
    found = [r for r in VARIABLES if r["dataset"] == table]
    kept = [r for r in found if r["core"] in ("Req", "Exp")]
    return kept + [r for r in found if r["core"] == "Perm"][:8]


def _dataset(name: str, n: int, subjects: Any, rng: Any) -> pd.DataFrame:
    who = subjects if name == "DM" else subjects[np.sort(rng.integers(0, len(subjects), n))]
    made: dict[str, Any] = {}
    for v in _variables(name):
        made[v["name"]] = _cells(name, v, n, who, rng)
    return pd.DataFrame(made)


def _cells(name: str, v: dict[str, str], n: int, who: Any, rng: Any) -> Any:
    variable, stem = v["name"], v["name"].removeprefix(name[:2])
    if variable in ("STUDYID", "DOMAIN", "RDOMAIN"):
        return np.full(n, {"STUDYID": STUDY, "DOMAIN": name, "RDOMAIN": name[4:]}[variable], dtype=object)
    if variable == "USUBJID":
        return who
    if stem == "SEQ":
        return np.arange(1, n + 1, dtype=float)
    if v["type"] == "Num":
        cells = (
            np.round(rng.normal(50, 20, n), 1) if stem in ("STRESN", "DOSE") else rng.integers(1, 9, n).astype(float)
        )
        cells[rng.random(n) < 0.05] = np.nan
        return cells
    if stem.endswith("DTC") or variable.startswith("RF"):
        days = rng.integers(0, 700, n)
        texts = np.array([(WHEN + dt.timedelta(days=int(d))).date().isoformat() for d in range(700)], dtype=object)[
            days
        ]
        return np.where(rng.random(n) < 0.1, "", texts)
    if variable in ("IDVAR", "IDVARVAL"):
        return (
            np.full(n, f"{name[4:]}SEQ", dtype=object)
            if variable == "IDVAR"
            else np.array([str(i) for i in range(1, n + 1)], object)
        )
    if stem in ("ORRES", "STRESC"):
        return np.array([f"{x / 10:.1f}" for x in range(1000)], dtype=object)[rng.integers(0, 1000, n)]
    if stem in ("SER", "PRESP", "OCCUR", "LOBXFL", "BLFL", "FAST") or v["codelist_ccodes"] == "C66742":
        return np.where(rng.random(n) < 0.5, "Y", "")
    terms = np.array([f"{stem[:6]} {i}"[:20] for i in range(40)], dtype=object)
    return np.where(rng.random(n) < 0.2, "", terms[rng.integers(0, 40, n)])


def _write(folder: Path, name: str, frame: pd.DataFrame, n: int) -> None:
    labels = {v["name"]: v["label"][:40] for v in _variables(name)}
    variables = [
        XptVariable(c, labels[c], "Num", 8)
        if frame[c].dtype.kind == "f"
        else XptVariable(c, labels[c], "Char", max(1, int(frame[c].str.len().max() or 1) if n else 1))
        for c in frame
    ]
    for v in variables:
        if v.type == "Char":
            frame[v.name] = frame[v.name].astype("str")
    label = LABELS.get(name, f"Supplemental Qualifiers for {name[4:]}")[:40]
    with open(folder / f"{name.lower()}.xpt", "wb") as f, XptWriter(f, name, label, variables, WHEN) as w:
        w.write(frame)


if __name__ == "__main__":
    counts = write_package(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(f"{len(counts)} datasets, {sum(counts.values()):,} records\n")

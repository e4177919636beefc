"""Reads a folder of datasets in any format into a package; what is wrong with a file is kept as a problem."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from adapter.check.dataset import Dataset
from adapter.check.package import Package
from adapter.check.read_csv import described, read_csv


def read_package(folder: Path, all_files: bool = False, define: Path | None = None) -> Package:
    beside = described(folder)
    datasets = []
    for p in sorted(folder.glob("*.csv")):
        if p.name.startswith("_"): continue
        if beside.labels and p.stem.lower() not in beside.labels: continue
        known = beside.variables.get(p.stem.lower(), {})
        label, variables, columns, n = read_csv(p.read_bytes(), p, known, {})
        st = p.stat()
        datasets.append(Dataset(p.stem.upper(), beside.labels.get(p.stem.lower(), ""), p, st.st_size, datetime.fromtimestamp(st.st_mtime, UTC).isoformat(), variables, columns, n, "csv"))
    from adapter.check.define import read_define
    d=beside.settings.get("DEFINE_XML")
    return Package(folder, tuple(datasets), define=read_define(folder/d) if d else None, settings=dict(beside.settings))

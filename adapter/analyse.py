"""The protocol's tables of a finished build: OUT/analysis, and Analysis Results Metadata in OUT/adam/define.xml.

    done = analyse("out", "NAME")

Written are OUT/analysis/tables.html (all tables), one CSV per table, and results.csv (the analysis-results dataset: one row
per statistic, unrounded, with dataset, population and selection). The same build gives the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from adapter import __version__
from adapter.analysis_plan import plan_of
from adapter.errors import InputError
from adapter.files import json_bytes
from adapter.output import MANIFEST, Addition
from adapter.package import Package
from adapter.results_displays import displays
from adapter.sources.files import sha256_of
from adapter.stats.analysis import MADE, not_built, tables_of
from adapter.stats.html import page
from adapter.stats.plan import Plan
from adapter.stats.results import Table, results_csv
from adapter.stats.table_csv import table_csv
from adapter.writers.define_xml import define_html
from adapter.writers.results_metadata import with_results

FOLDER = "analysis"
PAGE = "tables.html"
RESULTS = "results.csv"
USED = ("ADSL", *MADE)
MAJOR = "DVMAJFL"
DEFINE = "adam/define.xml"


@dataclass(frozen=True, slots=True)
class Analysed:
    """What was made: the folder, the tables, and what was not built, with the reason."""

    folder: Path
    study: str
    data_cut: str
    tables: tuple[Table, ...]
    not_built: tuple[str, ...]

    @property
    def results(self) -> int:
        return sum(len(t.results) for t in self.tables)


def analyse(out: str | os.PathLike[str], trial: str, overwrite: bool = False) -> Analysed:
    """Write the tables of the build in folder `out` beside it.

    Raises InputError where it is no build of that trial or has no ADSL; OutputError where there is an analysis already
    (without `overwrite`) or files of somebody else are in the way.
    """
    package = Package(Path(out), trial)
    if "ADSL" not in package.files:
        there = ", ".join(sorted(n for n, p in package.files.items() if p.parent.name == "adam")) or "no dataset"
        raise InputError(f"{package.out / 'adam'} holds {there}, expected ADSL: nobody to analyse")
    define = package.out / DEFINE
    if not define.is_file():
        raise InputError(f"{define} does not exist; expected the define.xml of the analysis datasets")
    output = Addition(package.out, FOLDER, overwrite)
    try:
        done = _write(package, output, define)
        output.finish()
    except BaseException:
        output.abandon()
        raise
    return done


def _write(package: Package, output: Addition, define: Path) -> Analysed:
    datasets: dict[str, pd.DataFrame] = {n: package.frame(n) for n in USED if n in package.files}
    if "DV" in datasets:
        datasets["DV"] = _deviations(package)
    missing = not_built(datasets)
    datasets = {n: f for n, f in datasets.items() if n not in missing}
    plan, lacking = _in_package(plan_of(package.trial), datasets)
    gaps = (*missing.values(), *lacking)
    tables = tables_of(datasets, plan)
    cut = str(package.manifest.get("data_cut", ""))
    title = f"{package.trial.study.id}: analysis, data cut {cut}"

    def put(name: str, text: str) -> None:
        output.path(name).write_text(text, encoding="utf-8", newline="")

    put(f"{FOLDER}/{PAGE}", page(title, tables, gaps))
    put(f"{FOLDER}/{RESULTS}", results_csv(tables))
    for t in tables:
        put(f"{FOLDER}/{t.id}.csv", table_csv(t))
    command = ("fhir2cdisc " + __version__, "fhir2cdisc analyse OUT")
    document = with_results(define.read_bytes(), displays(tables, plan), f"../{FOLDER}/{PAGE}", title, command)
    output.path(DEFINE).write_bytes(document)
    output.path("adam/define.html").write_bytes(define_html(document))
    output.path(MANIFEST).write_bytes(json_bytes(_manifest(package, output)))
    return Analysed(package.out / FOLDER, package.trial.study.id, cut, tuple(tables), gaps)


def _deviations(package: Package) -> pd.DataFrame:
    """Return DV with DVMAJFL of SUPPDV, empty where that does not say."""
    dv = package.frame("DV")
    supp = package.columns("SUPPDV", ("USUBJID", "IDVAR", "IDVARVAL", "QNAM", "QVAL"))
    supp = supp[(supp["QNAM"] == MAJOR) & (supp["IDVAR"] == "DVSEQ")]
    said = {(u, int(n)): v for u, n, v in zip(supp["USUBJID"], supp["IDVARVAL"], supp["QVAL"], strict=True)}
    found = [said.get((u, int(n)), "") for u, n in zip(dv["USUBJID"], dv["DVSEQ"], strict=True)]
    return dv.assign(**{MAJOR: pd.Series(found, index=dv.index, dtype="str")})


def _in_package(plan: Plan, datasets: Mapping[str, pd.DataFrame]) -> tuple[Plan, list[str]]:
    """Return the plan without the parameters that no subject has a record of, and what is not built therefore.

    Everybody would count as not evaluable otherwise, and a rate of 0 % would stand for a parameter that was never made.
    """
    there = {n: set(datasets[n]["PARAMCD"]) for n in ("ADRS", "ADTTE") if n in datasets}
    gone = [("ADRS", r.paramcd, r.label) for r in plan.responses] + [("ADTTE", t.paramcd, t.label) for t in plan.times]
    gone = [g for g in dict.fromkeys(gone) if g[0] in there and g[1] not in there[g[0]]]
    codes = {code for _, code, _ in gone}
    kept = replace(
        plan,
        responses=tuple(r for r in plan.responses if r.paramcd not in codes),
        times=tuple(t for t in plan.times if t.paramcd not in codes),
    )
    return kept, [f"{label}: not built, {name} has no record of {code}" for name, code, label in gone]


def _manifest(package: Package, output: Addition) -> dict[str, object]:
    """Return the manifest of the build with the files that are added or changed now."""
    outputs = {str(o["file"]): o for o in package.manifest["outputs"] if not output.part_of(str(o["file"]))}
    for name in output.files():
        path = output.staging / name
        outputs[name] = {"file": name, "sha256": sha256_of(path), "bytes": path.stat().st_size}
    return package.manifest | {"outputs": [outputs[n] for n in sorted(outputs)]}

"""From a value of a dataset back to its rule, the records it was made from, and the FHIR resource, file and line of each.

    trace("out", "ADRS", "PGFMSC-01-001", "PLTRESP") -> list[Traced]

Reads a finished build only: its datasets, define.xml, OUT/trace and manifest.json; the site's link files where they are
named, for real resource ids.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapter.defined import Defined, read_define
from adapter.derive.days import day_text
from adapter.derive.imputation import SAS_EPOCH
from adapter.errors import InputError, unknown
from adapter.links import read_links
from adapter.result import read_dataset
from adapter.writers.formats import dataset_files

FOLDERS = ("sdtm", "adam")
IDENTIFIERS = ("STUDYID", "DOMAIN", "USUBJID", "RDOMAIN")
TOLD = ("TESTCD", "TRT", "DECOD", "TERM", "ORRES", "ORRESU", "STDTC", "ENDTC")
"""Ends of the names of variables that tell what a source record is, shown beside the one that was used."""


@dataclass(frozen=True, slots=True)
class Line:
    """One FHIR resource behind a value: keyed_id always; resource_id only where the link file was given."""

    resource: str
    keyed_id: str
    resource_id: str
    version: str
    element: str
    file: str
    line: int


@dataclass(slots=True)
class Used:
    """One record that a value was made from, with what tells it, and the lines or the records (`used`) it came from."""

    dataset: str
    variable: str
    seq: int | None
    values: dict[str, Any] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    used: list[Used] = field(default_factory=list)


@dataclass(slots=True)
class Value:
    """One value of a record: its rule, the records it was made from, and the lines that it was read from itself."""

    variable: str
    label: str
    value: Any
    rule: str = ""
    used: list[Used] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


@dataclass(slots=True)
class Traced:
    """One record of a dataset, value by value; `used` made the record as a whole."""

    dataset: str
    usubjid: str
    key: str
    values: list[Value] = field(default_factory=list)
    used: list[Used] = field(default_factory=list)


def trace(
    out: Path | str, dataset: str, usubjid: str, which: str | None = None, site: Path | str | None = None
) -> list[Traced]:
    """Return the chain of every value of the records that are named.

    which: PARAMCD, or --SEQ (ASEQ) where it is a number; None: every record of the subject. Raises InputError for a
    folder that is no build, and for a dataset, subject or record that it does not have.
    """
    return Tracer(out, site).trace(dataset, usubjid, which)


class Tracer:
    """A finished build, read as far as it is asked for, and once; for many questions to one build."""

    def __init__(self, folder: Path | str, site: Path | str | None = None) -> None:
        self.out, self.site = Path(folder), Path(site) if site else None
        out = self.out
        if not (out / "manifest.json").is_file():
            raise InputError(f"{out} is no finished build: it has no manifest.json")
        self.files = {n: p for f in FOLDERS for n, p in dataset_files(out / f).items()}
        self._frames: dict[str, pd.DataFrame] = {}
        self._traces: dict[tuple[str, str], pd.DataFrame] = {}

    def trace(self, dataset: str, usubjid: str, which: str | None = None) -> list[Traced]:
        return list(self.records(dataset.upper(), usubjid, which))

    def frame(self, name: str) -> pd.DataFrame:
        if name not in self.files:
            raise InputError(unknown("dataset", name, list(self.files)))
        if name not in self._frames:
            self._frames[name] = read_dataset(self.files[name])
        return self._frames[name]

    def of(self, name: str, usubjid: str) -> pd.DataFrame:
        f = self.frame(name)
        if "USUBJID" not in f:
            raise InputError(f"{name} has no subjects, so its values come from the trial definition")
        return f[(f["USUBJID"] == usubjid).to_numpy()]

    def rows(self, name: str, usubjid: str) -> pd.DataFrame:
        """Return the rows of OUT/trace of one dataset and subject."""
        key = name, usubjid
        if key not in self._traces:
            path = self.out / "trace" / f"{name.lower()}.parquet"
            table = pq.read_table(path, filters=pc.field("USUBJID") == usubjid) if path.is_file() else None
            self._traces[key] = pd.DataFrame({"SEQ": []}) if table is None else table.to_pandas()
        return self._traces[key]

    @cached_property
    def inputs(self) -> dict[int, str]:
        found = json.loads((self.out / "manifest.json").read_bytes())
        return {i["number"]: i["label"] for i in found["inputs"]}

    @cached_property
    def links(self) -> Mapping[str, str]:
        if self.site is None:
            return {}
        tables = list(read_links(self.site))
        columns = [[t.column(c).to_pylist() for c in ("keyed_id", "resource")] for t in tables]
        return {k: v for keys, names in columns for k, v in zip(keys, names, strict=True)}

    @cached_property
    def defined(self) -> dict[str, Defined]:
        paths = [(f, self.out / f / "define.xml") for f in FOLDERS]
        return {f: read_define(p) for f, p in paths if p.is_file()}

    def records(self, name: str, usubjid: str, which: str | None) -> Iterator[Traced]:
        mine = self.of(name, usubjid)
        if not len(mine):
            raise InputError(f"{name} has no record of subject {usubjid}")
        sequence = sequence_of(name, mine)
        if which is not None:
            mine = self._chosen(name, mine, which, sequence)
        for _, row in mine.iterrows():
            seq = int(row[sequence]) if sequence else None
            made = Traced(
                name, usubjid, " ".join(filter(None, (row.get("PARAMCD", ""), f"{sequence} {seq}" if seq else "")))
            )
            if self.files[name].parent.name == "adam":
                self._analysis(made, name, row, seq)
            else:
                self._tabulation(made, name, row, seq)
            yield made

    def _chosen(self, name: str, mine: pd.DataFrame, which: str, sequence: str) -> pd.DataFrame:
        if which.isdecimal() and sequence:
            found = mine[(mine[sequence] == int(which)).to_numpy()]
            told = f"{sequence} {which}; it has 1 to {int(mine[sequence].max())}"
        elif "PARAMCD" in mine:
            found = mine[(mine["PARAMCD"] == which.upper()).to_numpy()]
            told = f"PARAMCD {which}; {unknown('parameter', which, sorted(set(mine['PARAMCD'])))}"
        else:
            raise InputError(f"{name}: expected a sequence number, found {which!r}")
        if not len(found):
            raise InputError(f"{name} has no record of this subject with {told}")
        return found

    def _tabulation(self, made: Traced, name: str, row: pd.Series[Any], seq: int | None) -> None:
        rows = self.rows(name, made.usubjid)
        rows = rows[(rows["SEQ"] == seq).to_numpy()] if seq is not None else rows
        for variable, value in _filled(row):
            mine = rows[(rows["VARIABLE"] == variable).to_numpy()] if len(rows) else rows
            lines = [self._line(r) for r in mine.to_dict("records")]
            told = Value(variable, self._label(name, variable), self.value(name, variable, value))
            told.rule, told.lines = self.rule(name, variable, ""), lines
            made.values.append(told)

    def _analysis(self, made: Traced, name: str, row: pd.Series[Any], seq: int | None) -> None:
        rows = self.rows(name, made.usubjid)
        rows = rows[(rows["SEQ"] == seq).to_numpy()] if seq is not None else rows
        parameter = str(row.get("PARAMCD", ""))
        for variable, value in _filled(row):
            told = Value(variable, self._label(name, variable), self.value(name, variable, value))
            told.rule = self.rule(name, variable, parameter)
            if copied := self.predecessor(name, variable):
                told.rule = f"Copied from {copied}."
            told.used = self._sources(name, variable, row, rows, made.usubjid)
            made.values.append(told)
        mine = rows[(rows["VARIABLE"] == "").to_numpy()] if len(rows) else rows
        made.used = [self._used(r, made.usubjid) for r in mine.to_dict("records")]

    def _sources(self, name: str, variable: str, row: pd.Series[Any], rows: pd.DataFrame, usubjid: str) -> list[Used]:
        """Return the records that one value of an analysis dataset was copied or made from."""
        dataset, _, source = self.predecessor(name, variable).partition(".")
        if dataset:
            own = row.get(sequence_of(dataset, self.frame(dataset)) or "") if dataset in self.files else None
            return (
                [self.used(dataset, source, None if own is None else int(own), usubjid)]
                if dataset in self.files
                else []
            )
        mine = rows[(rows["VARIABLE"] == variable).to_numpy()] if len(rows) else rows
        return [self._used(r, usubjid) for r in mine.to_dict("records")]

    def _used(self, r: Mapping[Hashable, Any], usubjid: str) -> Used:
        seq = None if pd.isna(r["SRCSEQ"]) else int(r["SRCSEQ"])
        return self.used(str(r["DATASET"]), str(r["SOURCE"]), seq, usubjid)

    def used(self, name: str, variable: str, seq: int | None, usubjid: str) -> Used:
        """Return a record that a value was made from, and the lines that its variable came from."""
        made = Used(name, variable, seq)
        mine = self.of(name, usubjid)
        sequence = sequence_of(name, mine)
        if seq is not None and sequence:
            mine = mine[(mine[sequence] == seq).to_numpy()]
        if len(mine) == 1:
            row = dict(_filled(mine.iloc[0]))
            told = (*TOLD, f"{name}DTC")
            made.values = {v: self.value(name, v, row[v]) for v in row if v == variable or v.endswith(told)}
        rows = self.rows(name, usubjid)
        rows = rows[(rows["SEQ"] == seq).to_numpy()] if seq is not None else rows
        if self.files[name].parent.name == "adam":
            made.used = self._sources(name, variable, mine.iloc[0], rows, usubjid) if len(mine) == 1 else []
        elif len(rows):
            own = rows[(rows["VARIABLE"] == variable).to_numpy()].to_dict("records")
            made.lines = [self._line(r | {"ELEMENT": r["ELEMENT"] or _element(rows, r)}) for r in own]
        return made

    def _line(self, r: Mapping[Hashable, Any]) -> Line:
        return Line(
            str(r["RESOURCE"]),
            str(r["KEYED_ID"]),
            self.links.get(str(r["KEYED_ID"]), ""),
            "" if r["VERSION"] is None or pd.isna(r["VERSION"]) else str(r["VERSION"]),
            str(r["ELEMENT"]),
            self.inputs.get(int(r["FILE"]), str(r["FILE"])),
            int(r["LINE"]),
        )

    def _told(self, name: str) -> Defined:
        return self.defined.get(self.files[name].parent.name, Defined({}, {}, {}, set()))

    def _label(self, name: str, variable: str) -> str:
        labels: dict[str, str] = self.frame(name).attrs.get("labels", {})
        return labels.get(variable, "")

    def value(self, name: str, variable: str, value: Any) -> Any:
        """Return a value as a person reads it: whole numbers without a point, numeric dates as ISO days."""
        if not isinstance(value, float):
            return value
        if f"IT.{name}.{variable}" in self._told(name).dates:
            return day_text(value - SAS_EPOCH)
        return int(value) if value.is_integer() else value

    def rule(self, name: str, variable: str, parameter: str) -> str:
        """Return the Method of a variable, of its value level where it has one, else its comment."""
        told = self._told(name)
        of_level, own = f"MT.{name}.{variable}.{parameter}", f"MT.{name}.{variable}"
        return told.methods.get(of_level) or told.methods.get(own) or told.comments.get(f"COM.{name}.{variable}", "")

    def predecessor(self, name: str, variable: str) -> str:
        return self._told(name).copied.get(f"IT.{name}.{variable}", "")


def sequence_of(name: str, frame: pd.DataFrame) -> str:
    """Return the variable that numbers the records of a subject, empty where there is none."""
    return next((n for n in ("ASEQ", f"{name}SEQ") if n in frame), "")


def _filled(row: pd.Series[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the variables of a record that have a value; numeric dates as ISO days."""
    for name, value in row.items():
        text = str(name)
        if text in IDENTIFIERS or text.endswith("SEQ") or (isinstance(value, str) and not value) or pd.isna(value):
            continue
        yield text, value


def _element(rows: pd.DataFrame, r: Mapping[Hashable, Any]) -> str:
    """Return the element that the result of a record was read from: what a value computed from it rests on."""
    same = (rows["FILE"] == r["FILE"]) & (rows["LINE"] == r["LINE"]) & (rows["ELEMENT"].astype("str") != "")
    result = rows[(same & rows["VARIABLE"].astype("str").str.endswith("ORRES")).to_numpy()]
    return str(result["ELEMENT"].iloc[0]) if len(result) else ""

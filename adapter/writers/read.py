"""Reads the datasets that this program writes, in any of its formats, as pandas frames with their labels.

What comes back is the same for all formats: Char columns of dtype str with empty text for missing, Num columns of float64
with NaN for missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from lxml import etree

from adapter.errors import InputError, unknown
from adapter.writers.dataset_json import DEFINE
from adapter.writers.formats import SUFFIXES
from adapter.writers.xpt_read import read_xpt

Read = tuple[pd.DataFrame, str, dict[str, str]]
NUMERIC = ("integer", "float", "double", "decimal")
"""Types of numbers in Dataset-JSON and in Define-XML (decimal: Dataset-JSON's numbers in quotes)."""
_ODM = "{http://www.cdisc.org/ns/odm/v1.3}"


def read_dataset(path: Path) -> Read:
    """Return (frame, dataset label, variable labels) of a file. Raises InputError for one that cannot be read."""
    readers: dict[str, Callable[[Path], Read]] = {
        SUFFIXES["xpt"]: read_xpt,
        SUFFIXES["dataset-json"]: read_dataset_json,
        SUFFIXES["ndjson"]: read_ndjson,
        SUFFIXES["parquet"]: read_parquet,
        SUFFIXES["csv"]: read_csv,
    }
    if path.suffix not in readers:
        raise InputError(f"{path}: {unknown('ending of a dataset file', path.suffix, list(readers))}")
    try:
        return readers[path.suffix](path)
    except OSError as e:
        raise InputError(f"cannot read {path}: {e.strerror or e}") from e


def read_dataset_json(path: Path) -> Read:
    """Read Dataset-JSON 1.1."""
    try:
        found = json.loads(path.read_bytes())
        return _from_json(found, found.get("rows", []), path)
    except (ValueError, AttributeError) as e:
        raise InputError(f"{path} is no Dataset-JSON: {e}") from e


def read_ndjson(path: Path) -> Read:
    """Read the NDJSON form of Dataset-JSON 1.1: a line of metadata, then a line per row."""
    try:
        # not splitlines: it would cut at characters that JSON allows inside a text
        head, *rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
        return _from_json(head, rows, path)
    except (ValueError, AttributeError) as e:
        raise InputError(f"{path} is no Dataset-JSON in NDJSON form: {e}") from e


def _from_json(head: Mapping[str, Any], rows: Sequence[Sequence[Any]], path: Path) -> Read:
    try:
        columns = [(str(c["name"]), str(c["label"]), c["dataType"] in NUMERIC) for c in head["columns"]]
        label, records = str(head["label"]), int(head["records"])
    except (KeyError, TypeError) as e:
        raise InputError(f"{path} is no Dataset-JSON: {e} is missing or of another type") from e
    if len(rows) != records or any(len(r) != len(columns) for r in rows):
        raise InputError(f"{path}: expected {records} rows of {len(columns)} cells, as it says itself; found others")
    by_column = zip(*rows, strict=True) if rows else ([] for _ in columns)
    cells = {name: (numeric, values) for (name, _, numeric), values in zip(columns, by_column, strict=True)}
    return _frame(cells), label, {name: text for name, text, _ in columns}


def _frame(columns: Mapping[str, tuple[bool, Any]]) -> pd.DataFrame:
    made: dict[str, pd.Series[Any]] = {}
    for name, (numeric, values) in columns.items():
        if numeric:
            made[name] = pd.to_numeric(pd.Series(values, dtype=object)).astype("float64")
        else:
            made[name] = pd.Series(["" if v is None else v for v in values], dtype="str")
    return pd.DataFrame(made)


def read_parquet(path: Path) -> Read:
    """Read Parquet as this program writes it: labels in the metadata of schema and fields."""
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as e:
        raise InputError(f"{path} is no Parquet file: {e}") from e
    labels = {f.name: _label(f.metadata) for f in table.schema}
    frame = pd.DataFrame(
        {
            f.name: table.column(f.name).to_pandas().astype("str" if pa.types.is_string(f.type) else "float64")
            for f in table.schema
        }
    )
    return frame, _label(table.schema.metadata), labels


def _label(metadata: Mapping[bytes, bytes] | None) -> str:
    return (metadata or {}).get(b"label", b"").decode()


def read_csv(path: Path) -> Read:
    """Read CSV; which columns are numbers, and all labels, stand in the define.xml beside it."""
    kinds, label, labels = _defined(path)
    try:
        frame = pd.read_csv(path, dtype="str", keep_default_na=False, na_filter=False, encoding="utf-8")
    except ValueError as e:
        raise InputError(f"{path} is no CSV file in UTF-8: {e}") from e
    if list(frame.columns) != list(kinds):
        raise InputError(f"{path} has other columns than {DEFINE} beside it: {list(frame.columns)} for {list(kinds)}")
    for name, kind in kinds.items():
        if kind in NUMERIC:
            try:
                numbers = [float(t) if t else float("nan") for t in frame[name]]
            except ValueError:
                raise InputError(f"{path}: {name} holds what is no number") from None
            frame[name] = pd.Series(numbers, dtype="float64")
    return frame, label, labels


def _defined(path: Path) -> tuple[dict[str, str], str, dict[str, str]]:
    """Return variable -> DataType, the label, and variable -> label of the dataset whose file this is."""
    define = path.with_name(DEFINE)
    try:
        tree = etree.parse(str(define), etree.XMLParser(resolve_entities=False, no_network=True))
    except (OSError, etree.XMLSyntaxError) as e:
        raise InputError(f"{path} needs {define}, which cannot be read: {e}") from e
    items = {i.get("OID"): i for i in tree.iter(f"{_ODM}ItemDef")}
    for group in tree.iter(f"{_ODM}ItemGroupDef"):
        if group.get("Name", "").upper() == path.stem.upper():
            named = [items[r.get("ItemOID")] for r in group.iterfind(f"{_ODM}ItemRef")]
            kinds = {i.get("Name", ""): i.get("DataType", "") for i in named}
            return kinds, _described(group), {i.get("Name", ""): _described(i) for i in named}
    raise InputError(f"{define} describes no dataset {path.stem.upper()}")


def _described(e: etree._Element) -> str:
    return e.findtext(f"{_ODM}Description/{_ODM}TranslatedText") or ""

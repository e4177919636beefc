"""Writes CDISC Dataset-JSON 1.1, as one JSON document or as NDJSON, in a stream of Arrow tables.

Source: CDISC Dataset-JSON Specification 1.1 (2024-12-05). Attributes stand in the order the specification recommends.
Of a missing value it says null, of an empty text "". A Char variable of SDTM knows no difference between the two, so it
is "" there, as in CDISC's own SDTM examples; a missing number is null. Numbers are JSON numbers, the shortest that read
back as the same float64. Dates are ISO 8601 texts; partial ones are of dataType "string", since ODM's "date" and
"datetime" are complete.

Text is UTF-8 with the least escapes, except that U+0085, U+2028 and U+2029 are escaped too: some readers take them for
line ends, and a line of NDJSON must not be cut.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files
from types import TracebackType
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from adapter.errors import WriteError
from adapter.writers.cells import number_texts, numbers, texts, used_bytes
from adapter.writers.description import Column, Description

VERSION = "1.1.0"
DEFINE = "define.xml"
SCHEMA = "dataset-json-1.1.schema.json"
# Define-XML's other types (partialDate, durationDatetime …) are no data types of Dataset-JSON
DATA_TYPES = {
    "text": "string",
    "integer": "integer",
    "float": "float",
    "date": "date",
    "datetime": "datetime",
    "time": "time",
}
_NEEDLESS = bytes(b for b in range(256) if b >= 32 and chr(b) not in '"\\')
_LINE_ENDS = re.compile("[\u0085\u2028\u2029]")
_LINE_END_BYTES = tuple(c.encode() for c in "\u0085\u2028\u2029")


def metadata(d: Description) -> dict[str, Any]:
    """Return everything of a Dataset-JSON file but its rows."""
    found = {
        "datasetJSONCreationDateTime": d.created.isoformat(timespec="seconds"),
        "datasetJSONVersion": VERSION,
        "fileOID": d.file_oid,
        "originator": d.originator,
        "sourceSystem": {"name": d.system, "version": d.system_version} if d.system and d.system_version else None,
        "studyOID": d.study_oid,
        "metaDataVersionOID": d.version_oid,
        "metaDataRef": DEFINE,
        "itemGroupOID": d.oid,
        "records": d.records,
        "name": d.name,
        "label": d.label,
        "columns": [_column(c) for c in d.columns],
    }
    return {k: v for k, v in found.items() if v is not None}


def _column(c: Column) -> dict[str, Any]:
    found = {
        "itemOID": c.oid,
        "name": c.name,
        "label": c.label,
        "dataType": DATA_TYPES.get(c.data_type, "string"),
        "length": c.length,
        "displayFormat": c.display_format,
        "keySequence": c.key_sequence,
    }
    return {k: v for k, v in found.items() if v is not None}


@lru_cache(maxsize=1)
def _validator() -> Any:
    import jsonschema  # here: a build without these formats does not wait for it

    schema = json.loads(files("schemas").joinpath(SCHEMA).read_bytes())
    return jsonschema.Draft201909Validator(schema)


def check_metadata(d: Description) -> None:
    """Hold what a file says of its dataset against CDISC's JSON schema. Raises WriteError with the first violation."""
    for problem in _validator().iter_errors(metadata(d)):
        raise WriteError(f"Dataset-JSON {d.name}: {problem.json_path} {problem.message}")


class DatasetJsonWriter:
    """Write one dataset to `file`, which stays the caller's to close: a JSON document, or NDJSON with `lines`.

    The number of records stands before the rows, so `close` refuses another number of rows than was announced.
    """

    def __init__(self, file: BinaryIO, d: Description, lines: bool = False) -> None:
        self._file, self._d, self._lines, self._rows = file, d, lines, 0
        head = _LINE_ENDS.sub(_escape, json.dumps(metadata(d), ensure_ascii=False, separators=(",", ":")))
        self._file.write(f"{head}\n".encode() if lines else f'{head[:-1]},"rows":['.encode())

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table; columns are found by name. Raises WriteError for a value JSON must not hold."""
        if not table.num_rows:
            return
        # a row of the document brings the comma of the row before it, and the first of all has none before it
        parts: list[Any] = []
        before = "[" if self._lines else ",\n["
        for c in self._d.columns:
            where = f"Dataset-JSON {self._d.name}.{c.name}"
            if c.numeric:
                found = numbers(table, c.name, where, self._rows + 1, c.whole)
                parts += [before, number_texts(found).fill_null("null")]
                before = ","
            else:
                parts += [f'{before}"', _escaped(texts(table, c.name, where, self._rows + 1))]
                before = '",'
        end = ('"]' if before.startswith('"') else "]") + ("\n" if self._lines else "")
        rows = pc.binary_join_element_wise(*(pa.scalar(p) if isinstance(p, str) else p for p in [*parts, end]), "")
        first = 0 if self._lines or self._rows else 1
        self._file.write(used_bytes(rows)[first:])
        self._rows += table.num_rows

    def close(self) -> None:
        """End the document."""
        if self._rows != self._d.records:
            told = f"{self._d.records} records are announced, {self._rows} were written"
            raise WriteError(f"Dataset-JSON {self._d.name}: {told}")
        if not self._lines:
            self._file.write(b"\n]}\n")

    def __enter__(self) -> DatasetJsonWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()


def _escaped(cells: pa.StringArray) -> pa.StringArray:
    """Return the cells as they stand between quotes in JSON; each distinct text with something to escape is done once."""
    raw = used_bytes(cells)
    if not raw.translate(None, _NEEDLESS) and (raw.isascii() or not any(end in raw for end in _LINE_END_BYTES)):
        return cells
    coded = cells.dictionary_encode()
    entries = [_LINE_ENDS.sub(_escape, json.dumps(t, ensure_ascii=False)[1:-1]) for t in coded.dictionary.to_pylist()]
    return pa.array(entries, pa.string()).take(coded.indices)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"

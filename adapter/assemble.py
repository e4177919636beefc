"""Step 4: summaries and parts -> files. Streams the records of all parts in USUBJID order, never a whole dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapter.define import present
from adapter.intake.tables import CARRIED
from adapter.records import ELSEWHERE
from adapter.spec import Call, Dataset, Path, Variable
from adapter.summary import DatasetSummary
from adapter.writers.xpt import XptVariable

CHUNK_ROWS = 16_384
BATCH_ROWS = 4_096
COMPONENT_ELEMENTS = ("code", "value[x]", "interpretation", "referenceRange", "dataAbsentReason")
FHIR_PATH = re.compile(r"[A-Z][A-Za-z]+\.")
TRACE_SCHEMA = pa.schema(
    [
        ("USUBJID", pa.dictionary(pa.int32(), pa.string())),
        ("SEQ", pa.int32()),
        ("VARIABLE", pa.dictionary(pa.int32(), pa.string())),
        ("RESOURCE", pa.dictionary(pa.int32(), pa.string())),
        ("KEYED_ID", pa.dictionary(pa.int32(), pa.string())),
        ("VERSION", pa.dictionary(pa.int32(), pa.string())),
        ("ELEMENT", pa.dictionary(pa.int32(), pa.string())),
        ("FILE", pa.int32()),
        ("LINE", pa.int64()),
        ("RULE", pa.dictionary(pa.int32(), pa.string())),
        ("ORIGINAL", pa.dictionary(pa.int32(), pa.string())),
    ]
)


def subject_order(parts: Sequence[Mapping[str, int]]) -> list[tuple[int, int]]:
    """Return (part, records) in USUBJID order; each part maps its subjects, in its own order, to their records."""
    found = sorted((usubjid, i, n) for i, part in enumerate(parts) for usubjid, n in part.items())
    merged: list[tuple[int, int]] = []
    for _, i, n in found:
        if merged and merged[-1][0] == i:
            merged[-1] = i, merged[-1][1] + n
        else:
            merged.append((i, n))
    return merged


class PartReader:
    """Reads a part (Arrow IPC file, small record batches) from the front, so many rows at a time."""

    def __init__(self, path: str) -> None:
        self._file = pa.OSFile(path, "rb")
        self._reader = pa.ipc.open_file(self._file)
        self._next = 0
        self._held: pa.Table | None = None
        self._at = 0

    @property
    def schema(self) -> pa.Schema:
        return self._reader.schema

    def take(self, rows: int) -> Iterator[pa.Table]:
        """Yield the next `rows` rows as slices."""
        while rows:
            if self._held is None or self._at == self._held.num_rows:
                self._held = pa.Table.from_batches([self._reader.get_batch(self._next)])
                self._next, self._at = self._next + 1, 0
            step = min(rows, self._held.num_rows - self._at)
            yield self._held.slice(self._at, step)
            self._at += step
            rows -= step

    def rest(self) -> Iterator[pa.Table]:
        """Yield what is left, batch by batch."""
        while self._next < self._reader.num_record_batches:
            yield pa.Table.from_batches([self._reader.get_batch(self._next)])
            self._next += 1

    def close(self) -> None:
        self._held = None
        self._file.close()


def write_part(path: FilePath, table: pa.Table) -> None:
    """Write a part in batches small enough that many parts can be open at once."""
    with pa.OSFile(str(path), "wb") as f, pa.ipc.new_file(f, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=BATCH_ROWS)


def in_order(paths: Sequence[str], order: Sequence[tuple[int, int]], chunk: int = CHUNK_ROWS) -> Iterator[pa.Table]:
    """Yield the rows of all parts in USUBJID order, in tables of `chunk` rows (the last may have fewer).

    Where a table ends depends on the data alone, never on how they were cut into parts: files written from it must not.
    """
    readers = [PartReader(p) for p in paths]
    try:
        held: list[pa.Table] = []
        rows = 0
        for part, n in order:
            for piece in readers[part].take(n):
                held.append(piece)
                rows += piece.num_rows
                while rows >= chunk:
                    whole = pa.concat_tables(held)
                    yield whole.slice(0, chunk)
                    held, rows = [whole.slice(chunk)], rows - chunk
        if rows:
            yield pa.concat_tables(held)
    finally:
        for r in readers:
            r.close()


def xpt_variables(d: Dataset, s: DatasetSummary) -> list[XptVariable]:
    """Return the XPT attributes of a dataset's variables; character lengths are those the data need."""
    return [
        XptVariable(
            v.name, v.label, v.type, 8 if v.type == "Num" else max(1, s.lengths.get(v.name, 0)), v.display or ""
        )
        for v in present(d, s)
    ]


def traced(d: Dataset, s: DatasetSummary) -> list[Variable]:
    """Return the variables whose values come from a resource: read from it, or computed from what was read."""
    skip = {d.sequence, "USUBJID", "STUDYID", "DOMAIN"}
    return [v for v in present(d, s) if v.name not in skip and s.filled.get(v.name) and _from_resource(v)]


def _from_resource(v: Variable) -> bool:
    """Return whether a variable comes from FHIR: a value of the enrolment log or the trial has no resource."""
    if isinstance(v.source, Path):
        return any(FHIR_PATH.match(p) for p in v.source.fhir)
    return isinstance(v.source, Call)


def _read_from(v: Variable, resource: str) -> bool:
    """Return whether a variable is computed, or read from this resource type or from what it contains."""
    if not isinstance(v.source, Path):
        return True
    return any(element_of(v, k) for k in (resource, CARRIED.get(resource)) if k)


def element_of(v: Variable, resource: str, element: str = "") -> str:
    """Return the FHIR path of a variable in a resource type; empty where it is not read from that type.

    element: what inside the resource the record stands for; a path into it goes before others.
    """
    if not isinstance(v.source, Path):
        return ""
    part = (element or "").partition("[")[0]
    paths = [p for p in v.source.fhir if p.startswith(f"{resource}.")]
    return next((p for p in paths if part and p.startswith(f"{resource}.{part}.")), paths[0] if paths else "")


def expand_trace(d: Dataset, s: DatasetSummary, chunk: pa.Table) -> pa.Table:
    """Return one trace row per record with a source and traced variable that has a value, in record order."""
    variables = traced(d, s)
    if chunk.column("_rid").null_count:
        chunk = chunk.filter(chunk.column("_rid").is_valid())
    if not variables or not chunk.num_rows:
        return TRACE_SCHEMA.empty_table()
    filled = np.column_stack([_filled(chunk.column(v.name)) for v in variables])
    kinds = chunk.column("_type").combine_chunks().dictionary_encode()
    # what was read from another resource than the record's own has its trace among the further sources
    own = np.array([[_read_from(v, k) for v in variables] for k in kinds.dictionary.to_pylist()], dtype=bool)
    read_here = filled & own[kinds.indices.to_numpy()]
    column = {v.name: i for i, v in enumerate(variables)}
    told = chunk.column(ELSEWHERE)
    for i in np.flatnonzero(told.is_valid().to_numpy()):
        read_here[i, [column[n] for n in told[int(i)].as_py().split("\n") if n in column]] = False
    record, which = np.nonzero(read_here)
    if not len(record):
        return TRACE_SCHEMA.empty_table()
    elements = chunk.column("_element").combine_chunks().dictionary_encode()
    return _trace_rows(d, variables, chunk, record, which, kinds, elements)


def _trace_rows(
    d: Dataset,
    variables: Sequence[Variable],
    chunk: pa.Table,
    record: np.ndarray[tuple[int], np.dtype[np.intp]],
    which: np.ndarray[tuple[int], np.dtype[np.intp]],
    kinds: pa.DictionaryArray,
    elements: pa.DictionaryArray,
) -> pa.Table:
    kind_names, element_names = kinds.dictionary.to_pylist(), elements.dictionary.to_pylist()
    kind = kinds.indices.fill_null(0).to_numpy(zero_copy_only=False)[record]
    element = elements.indices.fill_null(0).to_numpy(zero_copy_only=False)[record]
    # one path per (variable, resource type, element); few of them, so they are made once and numbered
    code = (which * len(kind_names) + kind) * max(1, len(element_names)) + element
    used = np.flatnonzero(np.bincount(code))
    paths = []
    for c in used:
        rest, e = divmod(int(c), max(1, len(element_names)))
        v, k = divmod(rest, len(kind_names))
        paths.append(path_of(variables[v], kind_names[k], element_names[e] if element_names else ""))
    path_names = sorted(set(paths))
    place = {p: i for i, p in enumerate(path_names)}
    path_of_code = np.zeros(used[-1] + 1, dtype=np.int32)
    path_of_code[used] = [place[p] for p in paths]
    rules = [_rule_of(d, v) for v in variables]
    rule_names = sorted(set(rules))
    rule_index = np.array([rule_names.index(r) for r in rules], dtype=np.int32)[which]
    take = pa.array(record)
    seq = (
        chunk.column(d.sequence).combine_chunks().cast(pa.int32())
        if d.sequence
        else pa.nulls(chunk.num_rows, pa.int32())
    )
    # encoded before it is repeated, so that no text is hashed twice and the dictionary names each id once
    ids = _encoded(chunk.column("_rid"))
    hexed = pa.DictionaryArray.from_arrays(ids.indices.take(take), hex_texts(ids.dictionary))
    return pa.table(
        [
            _encoded(chunk.column("USUBJID")).take(take),
            seq.take(take),
            _coded(which, [v.name for v in variables]),
            _coded(kind, kind_names),
            hexed,
            _encoded(chunk.column("_version")).take(take),
            _coded(path_of_code[code], path_names),
            chunk.column("_file").combine_chunks().take(take),
            chunk.column("_line").combine_chunks().take(take),
            _coded(rule_index, rule_names),
            _coded(np.zeros(len(record), dtype=np.int32), [""]),
        ],
        schema=TRACE_SCHEMA,
    )


def _rule_of(d: Dataset, v: Variable) -> str:
    """Return the OID of the method that computes a variable, as in define.xml; empty where it is read."""
    return f"MT.{d.name}.{v.name}" if isinstance(v.source, Call) else ""


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    return column.combine_chunks().dictionary_encode()


def hex_texts(column: pa.ChunkedArray | pa.Array) -> pa.StringArray:
    """Return keyed ids (binary(16)) as 32 hexadecimal digits; the text of all of them is made at once."""
    whole = column if isinstance(column, pa.Array) else column.combine_chunks()
    n = len(whole)
    raw = whole.buffers()[1][whole.offset * 16 : (whole.offset + n) * 16] if n else b""
    text = pa.py_buffer(bytes(raw).hex().encode())
    offsets = pa.py_buffer(np.arange(0, 32 * (n + 1), 32, dtype=np.int32))
    made = pa.StringArray.from_buffers(n, offsets, text)
    return made if not whole.null_count else pc.if_else(whole.is_valid(), made, None)


def _coded(index: npt.NDArray[Any], names: Sequence[str]) -> pa.DictionaryArray:
    """Return names by their numbers; the dictionary holds the names in use, no others."""
    there = np.bincount(index, minlength=len(names)) > 0
    if not there.all():
        index, names = (np.cumsum(there) - 1)[index], [n for n, t in zip(names, there, strict=True) if t]
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(list(names), pa.string()))


def path_of(v: Variable, kind: str, element: str) -> str:
    """Return the FHIR path that a variable was read from: in a resource, in a component, or in what a resource contains."""
    held = CARRIED.get(kind)
    if held is None or not (element or "").startswith("contained["):
        return _inside(element_of(v, kind, element), kind, element)
    where, _, inner = element.partition(".")
    path = _inside(element_of(v, held, inner), held, inner)
    return path.replace(f"{held}.", f"{kind}.{where}.", 1)


def _inside(path: str, kind: str, element: str) -> str:
    """Return the path inside a component: `Observation.value[x]` of `component[1]` is `Observation.component[1].value[x]`."""
    if not element or not path:
        return path
    rest = path[len(kind) + 1 :]
    part = element.partition("[")[0]
    if rest == part or rest.startswith(f"{part}."):  # `Condition.stage.summary` of `stage[1]`
        return f"{kind}.{element}{rest[len(part) :]}"
    repeated = part == "component" and rest.startswith(COMPONENT_ELEMENTS)
    return f"{kind}.{element}.{rest}" if repeated else path


def _filled(column: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if pa.types.is_string(column.type):
        return pc.greater(pc.binary_length(column), 0).fill_null(False).to_numpy()  # type: ignore[no-any-return]
    return column.is_valid().to_numpy()  # type: ignore[no-any-return]


def extra_trace(d: Dataset, chunk: pa.Table) -> pa.Table:
    """Return the trace rows of further sources (Records.parents); they follow the rows of the records themselves."""
    names, kinds, elements = (chunk.column(c).to_pylist() for c in ("_variable", "_type", "_element"))
    paths = [path_of(d.variable(v), k, e) for v, k, e in zip(names, kinds, elements, strict=True)]
    rules = [_rule_of(d, d.variable(v)) for v in names]
    return pa.table(
        [
            _encoded(chunk.column("USUBJID")),
            chunk.column("_seq").cast(pa.int32()),
            _encoded(chunk.column("_variable")),
            _encoded(chunk.column("_type")),
            hex_texts(chunk.column("_rid")).dictionary_encode(),
            _encoded(chunk.column("_version")),
            pa.array(paths, pa.string()).dictionary_encode(),
            chunk.column("_file"),
            chunk.column("_line"),
            pa.array(rules, pa.string()).dictionary_encode(),
            _encoded(chunk.column("_original")),
        ],
        schema=TRACE_SCHEMA,
    )

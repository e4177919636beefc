"""Reads a folder of datasets in any format into a package; what is wrong with a file is kept as a problem.

Each file is opened once. A file that cannot be read is a problem, and the others are read all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from adapter.check.dataset import Dataset, Variable
from adapter.check.define import Definition, read_define
from adapter.check.library import library
from adapter.check.package import Package, Problem
from adapter.check.read_csv import Described, described, read_csv
from adapter.check.read_json import read_json, read_ndjson
from adapter.check.read_parquet import read_parquet
from adapter.check.read_xpt import Read, Told, read_xpt
from adapter.check.text import decoded
from adapter.errors import InputError

DEFINE = "define.xml"
FORMATS = {".xpt": "xpt", ".json": "dataset-json", ".ndjson": "ndjson", ".parquet": "parquet", ".csv": "csv"}
"""Endings in order of preference: of a dataset in several formats the first is checked."""


def read_package(folder: Path, all_files: bool = False, define: Path | None = None) -> Package:
    """Return the datasets of a folder. Raises InputError where there is none and nothing that looks like one.

    `define` is a define.xml to use instead of the folder's. With `all_files` an empty folder is a package, too (cases).
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    try:
        beside = described(folder)
    except OSError as e:
        raise InputError(f"cannot read {folder}: {e.strerror or e}") from e
    problems: list[Problem] = []
    definition = _definition(folder, define, beside, problems)
    files = _files(folder, beside, problems)
    if not files and not all_files:
        raise InputError(f"{folder} holds no dataset ({', '.join(FORMATS)}){_hint(folder)}")
    datasets: dict[str, Dataset] = {}
    for path in files:
        found = _dataset(path, beside, definition, problems)
        if found is None:
            continue
        if found.name in datasets:
            detail = f"{datasets[found.name].path.name} holds a dataset of the same name and is checked instead"
            problems.append(Problem("duplicate", path.name, found.name, detail))
        else:
            datasets[found.name] = found
    ordered = tuple(datasets[n] for n in sorted(datasets))
    return Package(folder, ordered, tuple(problems), definition, dict(beside.settings))


def _hint(folder: Path) -> str:
    below = sorted({p.parent.name for s in FORMATS for p in folder.glob(f"*/*{s}")})
    return f"; did you mean {folder / below[0]}?" if below else ""


def _definition(folder: Path, define: Path | None, beside: Described, problems: list[Problem]) -> Definition | None:
    named = beside.settings.get("DEFINE_XML")
    path = define or folder / Path(named or DEFINE).name
    if define is None and not path.is_file():
        if named:
            problems.append(Problem("define_unreadable", path.name, "", "is named in .env and is not there"))
        return None
    try:
        return read_define(path)
    except InputError as e:
        problems.append(Problem("define_unreadable", path.name, "", _said(e, path)))
        return None


def _files(folder: Path, beside: Described, problems: list[Problem]) -> list[Path]:
    """Return the dataset files in order: of one in several formats the preferred; of a described folder the listed."""
    found: dict[tuple[str, str], Path] = {}
    best: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if suffix not in FORMATS or path.name.startswith(("_", ".")) or not path.is_file():
            continue
        if beside.labels and path.stem.lower() not in beside.labels:
            problems.append(Problem("unlisted", path.name, "", "is not in _datasets.csv and is not checked"))
            continue
        found[path.name, suffix] = path
        order = list(FORMATS)
        name = path.stem.upper()
        if name not in best or order.index(suffix) < order.index(best[name]):
            best[name] = suffix
    return [p for (_, suffix), p in found.items() if best[p.stem.upper()] == suffix]


def _said(e: InputError, path: Path) -> str:
    """Return an error's text without the path in front, which stands beside it."""
    return e.message.replace(f"{path}: ", "").replace(f"{path} ", "").replace(str(path), path.name)


def _dataset(path: Path, beside: Described, definition: Definition | None, problems: list[Problem]) -> Dataset | None:
    name = path.stem.upper()
    told: list[tuple[str, str, str]] = []
    try:
        status = path.stat()
        found, label, variables, columns, records = _reader(path, beside, definition)(
            path, lambda code, variable, detail: told.append((code, variable, detail))
        )
    except InputError as e:
        problems.append(Problem("unreadable", path.name, name, _said(e, path)))
        return None
    except (OSError, ValueError, OverflowError, MemoryError) as e:
        problems.append(Problem("unreadable", path.name, name, f"{type(e).__name__}: {e}"))
        return None
    if found and found.upper() != name:
        detail = f"the file says its dataset is {found}, its name says {name}"
        problems.append(Problem("name_differs", path.name, found.upper(), detail))
    shown = found.upper() if found else name
    problems += [Problem(code, path.name, shown, detail, variable) for code, variable, detail in told]
    if not columns:
        problems.append(Problem("no_variables", path.name, shown, "has no variables"))
        return None
    return Dataset(
        name=shown,
        label=label,
        path=path,
        size=status.st_size,
        modified=datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds"),
        variables=variables,
        columns=columns,
        records=records,
        format=FORMATS[path.suffix.lower()],
    )


def _reader(path: Path, beside: Described, definition: Definition | None) -> Callable[[Path, Told], Read]:
    readers: Mapping[str, Callable[[Path, Told], Read]] = {
        ".xpt": read_xpt,
        ".json": read_json,
        ".ndjson": read_ndjson,
        ".parquet": read_parquet,
    }
    return readers.get(path.suffix.lower()) or (lambda p, told: _csv(p, beside, definition, told))


def _csv(path: Path, beside: Described, definition: Definition | None, told: Told) -> Read:
    """Read a CSV dataset, with what `_variables.csv`, or else define.xml, or else the standard, says of its variables."""
    stem = path.stem.lower()
    known = dict(beside.variables.get(stem, {}))
    label = beside.labels.get(stem, "")
    group = definition.group(path.stem.upper()) if definition is not None and not known else None
    if group is not None:
        numeric = ("integer", "float")
        known = {
            i.name: Variable(i.name, i.label, "Num" if i.data_type in numeric else "Char", i.length)
            for i in group.items
        }
        label = label or group.label
    raw = path.read_bytes()
    if (encoding := decoded(raw)[1]) != "utf-8":
        told("encoding", "", f"not UTF-8; read as {encoding}")
    kinds = (
        {r["name"]: r["type"] for r in library().variables.get(path.stem.upper(), [])} if not beside.variables else {}
    )
    _, variables, columns, records = read_csv(raw, path, known, kinds)
    for v in variables:
        if v.type == "Num" and not columns[v.name].is_number:
            told("not_numeric", v.name, "declared a number; some cells are none")
    return "", label, variables, columns, records

"""What a build gives back to Python: its datasets as lazy pandas frames, its counts, rejects and data issues."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from adapter.errors import InputError, unknown
from adapter.registry import shipped
from adapter.writers.formats import dataset_files

REJECT_COLUMNS = ("file", "line", "offset", "resource_type", "keyed_id", "reason", "element", "message")
STRICT_TEXTS = ("file", "resource_type", "keyed_id", "fhir", "element", "kind")


class Datasets(Mapping[str, pd.DataFrame]):
    """The datasets of a folder, in any format of ours; each is read when it is first asked for.

    Of several formats the first of xpt, dataset-json, ndjson, parquet, csv is read: they hold the same cells. A frame
    has the variables as columns, empty text for missing characters, and the variables' labels in
    `frame.attrs["labels"]` (dataset label in `frame.attrs["label"]`).
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._files = dataset_files(Path(folder))
        self._read: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._files:
            raise KeyError(unknown("dataset", name, list(self._files)))
        if name not in self._read:
            self._read[name] = read_dataset(self._files[name])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def read_dataset(path: Path) -> pd.DataFrame:
    """Return one of our dataset files (.xpt, .json, .ndjson, .parquet, .csv) as a frame with labels."""
    from adapter.writers import read

    frame, label, labels = read.read_dataset(path)
    frame.attrs.update(label=label, labels=labels)
    return frame


class Result:
    """The outcome of a build in folder `out`.

    sdtm, adam: dataset name -> frame, lazily. counts: what the closing table shows. exit_code: 0; 3 with rejects; 5 with
    findings.
    """

    def __init__(self, out: Path, counts: dict[str, Any]) -> None:
        self.out = out
        self.counts = counts
        self.sdtm = Datasets(out / "sdtm")
        self.adam = Datasets(out / "adam")

    @property
    def exit_code(self) -> int:
        if any(self.counts.get("findings", {}).values()):
            return 5
        return 3 if self.counts["rejects"] else 0

    @property
    def manifest(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.out / "manifest.json").read_bytes())
        return loaded

    @property
    def rejects(self) -> pd.DataFrame:
        """The rejects as a frame: file, line, offset, resource_type, keyed_id, reason, element, message."""
        with open(self.out / "rejects.ndjson", encoding="utf-8") as f:
            return pd.DataFrame([json.loads(line) for line in f], columns=list(REJECT_COLUMNS))

    @property
    def issues(self) -> pd.DataFrame:
        return pd.read_csv(self.out / "data-issues.csv", dtype="str", keep_default_na=False)

    @property
    def strict(self) -> pd.DataFrame:
        """What --strict found: file, line, resource_type, keyed_id, fhir, element, kind. Raises InputError without it."""
        path = self.out / "strict.csv"
        if not path.is_file():
            raise InputError(f"{path} does not exist; expected a build with strict=True (--strict)")
        return pd.read_csv(path, dtype={"line": "int64"} | dict.fromkeys(STRICT_TEXTS, "str"), keep_default_na=False)

    @property
    def unmapped(self) -> pd.DataFrame:
        return pd.read_csv(self.out / "unmapped.csv", dtype={"code": "str", "text": "str"}, keep_default_na=False)

    def label(self, dataset: str, variable: str) -> str:
        """Return the declared label of a variable."""
        for d in shipped():
            if d.name == dataset:
                return d.variable(variable).label
        raise InputError(unknown("dataset", dataset, [d.name for d in shipped()]))

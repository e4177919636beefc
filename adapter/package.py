"""A finished build with the trial that it was made for: what the commands that read a package begin with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from adapter.errors import InputError
from adapter.output import MANIFEST
from adapter.trace import Tracer
from adapter.trial import Trial, resolve_trial


class Package(Tracer):
    """A finished build in a folder. Raises InputError where the folder is none, or was built for another trial."""

    def __init__(self, folder: Path | str, trial: str) -> None:
        super().__init__(folder)
        self.trial: Trial = resolve_trial(trial)
        try:
            self.manifest: dict[str, Any] = json.loads((self.out / MANIFEST).read_bytes())
            study = self.manifest["trial"]
        except (ValueError, KeyError, TypeError, OSError) as e:
            raise InputError(f"{self.out / MANIFEST} is no manifest of a build: {e}") from e
        if study != self.trial.study.id:
            raise InputError(
                f"{self.out} is a package of study {study}, but trial {trial} is {self.trial.study.id}; name its trial: --trial"
            )

    def columns(self, name: str, text: Sequence[str], numeric: Sequence[str] = ()) -> pd.DataFrame:
        """Return some variables of a dataset; what the dataset does not have is empty, and so is a missing dataset.

        text: without missing values; numeric: float. Permissible variables without a value are not in a package.
        """
        if name not in self.files:
            return pd.DataFrame(
                {c: pd.Series(dtype="str") for c in text} | {c: pd.Series(dtype=float) for c in numeric}
            )
        f = self.frame(name)
        made: dict[str, pd.Series[Any]] = {}
        for c in text:
            given = f[c].astype(object) if c in f else pd.Series("", index=f.index, dtype=object)
            made[c] = given.where(given.notna(), "").astype("str")
        for c in numeric:
            made[c] = pd.to_numeric(f[c]).astype("float64") if c in f else pd.Series(float("nan"), index=f.index)
        return pd.DataFrame(made, index=f.index).reset_index(drop=True)

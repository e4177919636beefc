"""The rule types, and what rows a rule of each is asked about."""

from __future__ import annotations

from collections.abc import Callable

from adapter.check import frames_data as data
from adapter.check import frames_define as define
from adapter.check.dataset import Dataset
from adapter.check.frames_data import STUDY, Frames, problems
from adapter.check.world import World

_BY_DATASET: dict[str, Callable[[Dataset, World], Frames]] = {
    "Record Data": data.records,
    "Variable Metadata Check": data.variables,
    "Dataset Metadata Check": data.datasets,
    "Domain Presence Check": data.presence,
    "Value Check with Dataset Metadata": data.cells_with_dataset,
    "Value Check with Variable Metadata": data.cells,
    "Define Item Metadata Check": define.defined_variables,
    "Define Item Metadata Check against Library Metadata": define.defined_variables,
    "Variable Metadata Check against Define XML": lambda d, w: define.variables_with(d, w, True, False),
    "Variable Metadata Check against Library Metadata": lambda d, w: define.variables_with(d, w, False, True),
    "Variables Metadata Check against Define XML and Library Metadata": lambda d, w: define.variables_with(
        d, w, True, True
    ),
    "Variable Metadata Check against Define XML and Library Metadata": lambda d, w: define.variables_with(
        d, w, True, True
    ),
    "Dataset Metadata Check against Define XML": define.datasets_with_define,
    "Dataset Contents Check against Define XML": define.records_with_define,
    "Domain Presence Check against Define XML": define.presence_with_define,
    "Value Check against Define XML Variable": define.cells_with_define,
    "Value Check against Define XML VLM": define.cells_with_values,
    "Value Check against Library Metadata": define.cells_with_library,
}
WHOLE_PACKAGE = frozenset({"Domain Presence Check", "Domain Presence Check against Define XML"})
"""Types whose findings are about the package, whichever dataset the rule is run on."""
FILE_CHECK = "File Check"
"""Our own type: rules about files as such, run once for the package."""
RULE_TYPES = frozenset({*_BY_DATASET, FILE_CHECK})


def frames_of(rule_type: str, d: Dataset, world: World) -> Frames:
    """Return the frames that a rule of a type is asked about for a dataset. Raises Skip."""
    return _BY_DATASET[rule_type](d, world)


__all__ = ["FILE_CHECK", "RULE_TYPES", "STUDY", "WHOLE_PACKAGE", "frames_of", "problems"]

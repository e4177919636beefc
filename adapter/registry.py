"""Finds the datasets: every module of mappings.sdtm and mappings.adam exports DATASET; refuses what cannot be built."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import lru_cache

from adapter.errors import DeclarationError, unknown
from adapter.spec import Call, Dataset, Ref, Whole

PACKAGES = ("mappings.sdtm", "mappings.adam")


@lru_cache(maxsize=1)
def shipped() -> tuple[Dataset, ...]:
    """Return the datasets of the mapping packages, in the order in which they can be computed."""
    found = []
    for package in PACKAGES:
        root = importlib.import_module(package)
        for module in sorted(m.name for m in pkgutil.iter_modules(root.__path__)):
            made = getattr(importlib.import_module(f"{package}.{module}"), "DATASET", None)
            if made is None:
                raise DeclarationError(f"{package}.{module} exports no DATASET; a mapping file declares one dataset")
            if not isinstance(made, Dataset):
                raise DeclarationError(f"{package}.{module}.DATASET is a {type(made).__name__}; expected a Dataset")
            found.append(made)
    return ordered(found)


def ordered(datasets: list[Dataset]) -> tuple[Dataset, ...]:
    """Return the datasets so that each comes after those it refers to; refuse duplicates, dangling refs and circles."""
    by_name: dict[str, Dataset] = {}
    for d in datasets:
        if d.name in by_name:
            raise DeclarationError(f"dataset {d.name} is declared twice")
        by_name[d.name] = d
    done: dict[str, Dataset] = {}
    path: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in path:
            raise DeclarationError(f"datasets refer to each other in a circle: {' -> '.join([*path, name])}")
        path.append(name)
        for other, variable in sorted(references(by_name[name])):
            if other not in by_name:
                raise DeclarationError(f"{name}: {unknown('dataset', other, sorted(by_name))}")
            if all(v.name != variable for v in by_name[other].variables):
                known = [v.name for v in by_name[other].variables]
                raise DeclarationError(f"{name}: {unknown(f'variable of {other}', variable, known)}")
            visit(other)
        path.pop()
        done[name] = by_name[name]

    for name in sorted(by_name):
        visit(name)
    return tuple(done.values())


def references(d: Dataset) -> set[tuple[str, str]]:
    """Return the (dataset, variable) pairs that a dataset's variables read from other datasets.

    A whole dataset stands as its USUBJID, by which it is read.
    """
    found = set()
    for v in d.variables:
        sources = [v.source, *(v.source.arguments if isinstance(v.source, Call) else ())]
        found |= {(s.dataset, s.variable) for s in sources if isinstance(s, Ref) and s.dataset != d.name}
        found |= {(s.dataset, "USUBJID") for s in sources if isinstance(s, Whole)}
    return found


def record_order(datasets: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """Return the datasets so that each one's records come after those it `needs`."""
    by_name = {d.name: d for d in datasets}
    done: dict[str, Dataset] = {}

    def visit(d: Dataset, path: tuple[str, ...]) -> None:
        if d.name in path:
            raise DeclarationError(f"records need each other in a circle: {' -> '.join([*path, d.name])}")
        for other in d.needs:
            if other not in by_name:
                raise DeclarationError(f"{d.name} needs {unknown('dataset', other, sorted(by_name))}")
            visit(by_name[other], (*path, d.name))
        done.setdefault(d.name, d)

    for d in datasets:
        visit(d, ())
    return tuple(done.values())


def in_document_order(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Return the datasets as define.xml lists them: trial design, special purpose, then by class and name."""
    classes = [
        "TRIAL DESIGN",
        "SPECIAL PURPOSE",
        "INTERVENTIONS",
        "EVENTS",
        "FINDINGS",
        "FINDINGS ABOUT",
        "RELATIONSHIP",
    ]
    classes += ["SUBJECT LEVEL ANALYSIS DATASET", "OCCURRENCE DATA STRUCTURE", "BASIC DATA STRUCTURE"]
    return sorted(datasets, key=lambda d: (classes.index(d.cls) if d.cls in classes else len(classes), d.name))

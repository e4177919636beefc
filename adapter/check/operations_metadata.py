"""Operations that look at metadata: the package's datasets and variables, the standard's tables, terminology, define."""

from __future__ import annotations

from typing import Any

import numpy as np

from adapter.check.columns import Column, cells_of
from adapter.check.frames_data import dataset_facts
from adapter.check.frames_define import defined_item
from adapter.check.operations import Task, operation
from adapter.check.world import Skip
from adapter.ct_packages import packages


@operation("dataset_names")
def dataset_names(task: Task) -> list[str]:
    return task.world.package.names


@operation("study_domains")
def study_domains(task: Task) -> list[str]:
    return task.world.package.domains


@operation("variable_exists")
def variable_exists(task: Task) -> bool:
    whole = task.world.package.find(task.domain)
    return whole is not None and task.name in task.world.package.frame_of(whole)


@operation("variable_is_null")
def variable_is_null(task: Task) -> bool:
    frame = task.frame
    if task.option("source") == "submission":
        frame = task.world.package.frame_of(task.dataset.whole)
    column = frame.get(task.name)
    return column is None or bool(column.null.all())


@operation("variable_count")
def variable_count(task: Task) -> int:
    """In how many domains of the package a variable is, `--` standing for each one's own prefix."""
    firsts = {d.whole: d for d in reversed(task.world.package.datasets)}
    return sum(d.expand(task.operation.name) in task.world.package.frame_of(w) for w, d in firsts.items())


@operation("extract_metadata")
def extract_metadata(task: Task) -> Any:
    facts = dataset_facts(task.dataset, task.world)
    if task.operation.name not in facts:
        raise Skip(f"there is no metadata {task.operation.name}")
    return facts[task.operation.name]


@operation("get_column_order_from_dataset")
def columns_ofdataset_facts(task: Task) -> list[str]:
    return [v.name for v in task.dataset.variables]


@operation("domain_label")
def domain_label(task: Task) -> str:
    return task.world.library.label(task.domain)


@operation("domain_is_custom")
def domain_is_custom(task: Task) -> bool:
    return not task.world.library.known(task.domain)


@operation("related_domain_is_custom")
def related_domain_is_custom(task: Task) -> bool:
    related = task.dataset.parent or task.dataset.suffix
    return bool(related) and not task.world.library.known(related.removeprefix("AP") if len(related) == 4 else related)


@operation("standard_domains")
def standard_domains(task: Task) -> list[str]:
    return sorted(task.world.library.datasets)


@operation("get_library_class_domains")
def class_domains(task: Task) -> list[str]:
    wanted = str(task.option("domain_class") or "").upper().replace("-", " ")
    table = task.world.library.datasets
    return sorted(n for n, r in table.items() if not wanted or r["class"].upper().replace("-", " ") == wanted)


@operation("required_variables")
def required_variables(task: Task) -> list[str]:
    return task.world.library.core(task.dataset, "Req")


@operation("expected_variables")
def expected_variables(task: Task) -> list[str]:
    return task.world.library.core(task.dataset, "Exp")


@operation("permissible_variables")
def permissible_variables(task: Task) -> list[str]:
    return task.world.library.core(task.dataset, "Perm")


@operation("variable_names")
def variable_names(task: Task) -> list[str]:
    return sorted({r["name"] for table in task.world.library.variables.values() for r in table})


@operation("get_model_column_order")
def model_columns(task: Task) -> list[str]:
    return _names(task.world.library.model_variables(task.dataset))


@operation("get_column_order_from_library")
def guide_columns(task: Task) -> list[str]:
    return _names(_filtered(task, task.world.library.guide_variables(task.dataset)))


@operation("get_model_filtered_variables")
def model_columns_filtered(task: Task) -> list[str]:
    return _names(_filtered(task, task.world.library.model_variables(task.dataset)))


@operation("get_dataset_filtered_variables")
def dataset_columns_filtered(task: Task) -> list[str]:
    found = _names(_filtered(task, task.world.library.guide_variables(task.dataset)))
    return [n for n in found if n in task.dataset.columns]


def _names(table: list[dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(r["name"] for r in table))


def _filtered(task: Task, table: list[dict[str, str]]) -> list[dict[str, str]]:
    name, value = task.option("key_name"), task.option("key_value")
    return [r for r in table if r.get(str(name)) == value] if name else table


@operation("get_parent_model_column_order")
def parent_model_columns(task: Task) -> Column:
    """Per record of a Supplemental Qualifier dataset: the variables the model has for the domain of RDOMAIN."""
    parents = task.column(task.frame, "RDOMAIN").as_text()
    found = np.empty(len(parents.distinct), dtype=object)
    for i, name in enumerate(parents.distinct):
        whole = task.world.package.find(str(name))
        if whole is None:
            raise Skip(f"there is no dataset {name}")
        found[i] = tuple(_names(task.world.library.model_variables(task.world.package.parts_of(whole)[0])))
    return Column(parents.coded, found, lists=True)


def _referenced(task: Task, key: str) -> dict[str, Column]:
    """Return, as one column per fact, the guide's metadata of the variable that each record names or labels."""
    given = task.column(task.frame, task.name).as_text()
    whole = task.world.package.find(task.dataset.parent) if task.dataset.supplemental else task.dataset.whole
    d = task.world.package.parts_of(whole)[0] if whole else task.dataset
    table = {r[key]: r for r in task.world.library.guide_variables(d)}
    made = {}
    for fact, column in (("name",) * 2, ("role",) * 2, ("order", "ordinal"), ("core",) * 2, ("label",) * 2):
        cells = [table.get(str(v), {}).get(fact) for v in given.distinct]
        found = cells_of([*cells, None])
        made[f"{task.operation.id}_{column}"] = found.take(np.where(given.coded < 0, len(cells), given.coded))
    return made


@operation("name_referenced_variable_metadata")
def name_referenced(task: Task) -> dict[str, Column]:
    return _referenced(task, "name")


@operation("label_referenced_variable_metadata")
def label_referenced(task: Task) -> dict[str, Column]:
    return _referenced(task, "label")


def _codelists(task: Task) -> list[str]:
    given = task.option("codelists") or task.option("codelist") or []
    return [str(c) for c in (given if isinstance(given, list) else [given])]


@operation("codelist_terms")
def codelist_terms(task: Task) -> list[str]:
    """Submission values or C-codes of codelists, or of their terms, in the package of terminology in use."""
    names, returned = _codelists(task), str(task.option("returntype") or "value")
    if not names or returned not in ("code", "value"):
        raise Skip("codelist_terms is supported with codelists and the return types code and value")
    table, found = task.world.terms, []
    for name in names:
        ccode = table.code(name)
        if ccode is None:
            raise Skip(f"{table.package} has no codelist {name}")
        if task.option("level") == "codelist":
            found.append(ccode if returned == "code" else table.codelists[ccode]["submission_value"])
        else:
            found += list(table.values[ccode].values() if returned == "code" else table.values[ccode])
    return list(dict.fromkeys(found))


@operation("codelist_extensible")
def codelist_extensible(task: Task) -> bool:
    """Whether a codelist may be extended by the sponsor."""
    (name, *_) = _codelists(task) or [""]
    ccode = task.world.terms.code(name)
    if ccode is None:
        raise Skip(f"{task.world.terms.package} has no codelist {name}")
    return task.world.terms.extensible(ccode)


@operation("define_extensible_codelists")
def define_extensible_codelists(task: Task) -> list[str]:
    """Terms that define.xml marks as added by the sponsor, of named codelists or of all."""
    if task.world.define is None:
        raise Skip("there is no define.xml")
    wanted = {c.upper() for c in _codelists(task)}
    lists = task.world.define.codelists
    return sorted({v for c in lists if wanted & {"ALL", c.name.upper(), c.ccode.upper()} for v in c.extended})


@operation("valid_codelist_dates")
def valid_codelist_dates(task: Task) -> list[str]:
    """The dates of the packages of terminology that this program holds for the standard."""
    kinds = [str(k).lower() for k in task.option("ct_package_types") or [task.world.standard[0][:4]]]
    return [p.partition("_")[2] for p in packages() if p.partition("_")[0] in kinds]


@operation("define_variable_metadata")
def define_variable_metadata(task: Task) -> Any:
    """What define.xml says of one variable, or pairs of a variable and what it says of it."""
    attribute = str(task.option("attribute_name") or "")
    items = {i.name: defined_item(i) for i in task.world.defined(task.dataset).items}
    if task.operation.name:
        return items.get(task.name, {}).get(attribute)
    return [(n, facts.get(attribute)) for n, facts in items.items()]

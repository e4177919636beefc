"""Reads rule files of the CDISC Open Rules format, from any origin, into rules that can be run or reasons why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from adapter.check import operations_metadata, operations_records, operators, patterns, yaml_safe  # noqa: F401
from adapter.check.frames import RULE_TYPES
from adapter.check.operations import OPERATIONS
from adapter.check.rule_model import Branch, Check, Leaf, Match, Operation, Rule, Scope, Unusable
from adapter.errors import InputError, unknown

SENSITIVITIES = ("Record", "Dataset", "Group", "Study")
SEVERITIES = ("reject", "error", "warning", "notice")
_CASES = {"positive", "negative"}
_MATCHED = ("matches_regex", "prefix_matches_regex", "suffix_matches_regex")
_NOT_HELD = frozenset(
    "additional_columns_empty additional_columns_not_empty get_codelist_attributes get_xhtml_errors "
    "valid_define_external_dictionary_version valid_external_dictionary_code valid_external_dictionary_value "
    "valid_external_dictionary_code_term_pair valid_meddra_code_references valid_meddra_code_term_pairs "
    "valid_meddra_term_references valid_whodrug_references whodrug_code_hierarchy".split()
) | {"JSONata", "JSON Schema Check"}
"""Words of the published format that this engine has not: dictionaries that need a licence, USDM, two old operators."""
_KNOWN_LEAF = {"name", "operator", "value", *operators.OPTIONS}


class _Wrong(ValueError):
    """The file is not a rule as the format has it."""


class _Beyond(ValueError):
    """A rule as the format has it that this engine does not know how to run."""


def rule_files(folder: Path) -> list[Path]:
    """Return the rule files below a folder in order; the cases beside rules are not looked into.

    Raises InputError for a folder that is none or holds no rule.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of rules")
    found = [p for s in ("*.yml", "*.yaml") for p in folder.rglob(s) if not _CASES & set(p.relative_to(folder).parts)]
    if not found:
        raise InputError(f"{folder} holds no rule (*.yml)")
    return sorted(found)


def load_rules(files: Iterable[Path]) -> tuple[list[Rule], list[Unusable]]:
    """Return the rules of files, sorted by id, and those that cannot be run. An id that stands twice is unusable."""
    rules: dict[str, Rule] = {}
    unusable: list[Unusable] = []
    for path in files:
        found = load_rule(path)
        if isinstance(found, Unusable):
            unusable.append(found)
        elif found.id in rules:
            unusable.append(Unusable(found.id, str(path), f"the id stands already in {rules[found.id].file}", True))
        else:
            rules[found.id] = found
    return [rules[k] for k in sorted(rules)], sorted(unusable, key=lambda u: (u.id, u.file))


def load_rule(path: Path) -> Rule | Unusable:
    """Return the rule of one file, or why it cannot be run."""
    ident = path.parent.name if path.stem == "rule" else path.stem
    try:
        data = yaml_safe.parse(path.read_bytes())
        if isinstance(data, Mapping) and isinstance(data.get("Core"), Mapping):
            ident = str(data["Core"].get("Id") or ident)
        return _rule(_mapping(data, "the file"), ident, str(path))
    except OSError as e:
        return Unusable(ident, str(path), f"cannot be read: {e.strerror or e}", True)
    except (_Wrong, yaml_safe.BadYaml, RecursionError) as e:
        return Unusable(ident, str(path), str(e), True)
    except (_Beyond, patterns.BadPattern) as e:
        return Unusable(ident, str(path), str(e))


def _strange(what: str, name: str, known: Iterable[str]) -> ValueError:
    """Return the error for a word that is not known: of the published format it is beyond us, else it is wrong."""
    if name in _NOT_HELD:
        return _Beyond(f"the {what} {name} is not supported")
    return _Wrong(unknown(what, name, sorted(known)))


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Wrong(f"{what} is no mapping but {type(value).__name__}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _Wrong(f"{what} is no list but {type(value).__name__}")
    return value


def _rule(data: Mapping[str, Any], ident: str, file: str) -> Rule:
    for key in ("Check", "Outcome", "Rule Type", "Sensitivity"):
        if key not in data:
            raise _Wrong(f"the key {key!r} is missing")
    sensitivity = data["Sensitivity"]
    if sensitivity not in SENSITIVITIES:
        raise _Wrong(unknown("Sensitivity", str(sensitivity), list(SENSITIVITIES)))
    kind = str(data["Rule Type"])
    if kind not in RULE_TYPES:
        raise _strange("Rule Type", kind, RULE_TYPES)
    outcome, scope = _mapping(data["Outcome"], "Outcome"), _mapping(data.get("Scope") or {}, "Scope")
    severity = str(data.get("Severity", "error"))
    if severity not in SEVERITIES:
        raise _Wrong(unknown("Severity", severity, list(SEVERITIES)))
    if scope.get("Entities"):
        raise _Beyond("rules about entities (USDM) are not supported")
    core = _mapping(data.get("Core") or {}, "Core")
    check = _check(data["Check"])
    authorities = tuple(_authorities(data.get("Authorities")))
    return Rule(
        id=ident,
        rule_type=kind,
        sensitivity=sensitivity,
        check=check,
        message=str(outcome.get("Message") or data.get("Description") or ""),
        outputs=tuple(str(v) for v in _list(outcome.get("Output Variables"), "Output Variables")),
        classes=_scope(scope.get("Classes"), "Classes"),
        domains=_scope(scope.get("Domains"), "Domains"),
        structures=_scope(scope.get("Data Structures"), "Data Structures"),
        operations=tuple(_operation(o) for o in _list(data.get("Operations"), "Operations")),
        matches=tuple(_match(m) for m in _list(data.get("Match Datasets"), "Match Datasets")),
        grouping=tuple(str(v) for v in _list(data.get("Grouping Variables"), "Grouping Variables")),
        description=str(data.get("Description") or ""),
        executability=str(data.get("Executability") or ""),
        severity=severity,  # type: ignore[arg-type]
        authorities=authorities,
        standards=tuple(
            dict.fromkeys((standard.upper(), version) for _, standard, version, _ in authorities if standard)
        ),
        file=file,
        version=str(core.get("Version") or "1"),
    )


def _authorities(given: Any) -> Iterable[tuple[str, str, str, str]]:
    for authority in _list(given, "Authorities"):
        organisation = str(_mapping(authority, "an authority").get("Organization") or "")
        for standard in _list(authority.get("Standards"), "Standards"):
            s = _mapping(standard, "a standard")
            ids = [
                str(_mapping(r.get("Rule Identifier") or {}, "Rule Identifier").get("Id") or "")
                for r in (_mapping(r, "a reference") for r in _list(s.get("References"), "References"))
            ]
            for ident in ids or [""]:
                yield organisation, str(s.get("Name") or ""), str(s.get("Version") or ""), ident


def _scope(given: Any, what: str) -> Scope:
    found = _mapping(given or {}, what)
    split = found.get("include_split_datasets")
    include, exclude = (tuple(str(v) for v in _list(found.get(k), f"{what}: {k}")) for k in ("Include", "Exclude"))
    return Scope(include, exclude, None if split is None else bool(split))


def _check(given: Any, depth: int = 0) -> Check:
    node = _mapping(given, "a part of Check")
    kinds = [k for k in ("all", "any", "not") if k in node]
    if kinds and "operator" not in node:
        made = tuple(_branch(k, node[k]) for k in kinds)
        return made[0] if len(made) == 1 else Branch("all", made)
    for key in ("operator", "name"):
        if not isinstance(node.get(key), str):
            raise _Wrong(f"a part of Check has no {key}: {sorted(map(str, node))}")
    name = str(node["operator"])
    if name not in operators.OPERATORS:
        raise _strange("operator", name, operators.OPERATORS)
    if strange := set(map(str, node)) - _KNOWN_LEAF:
        raise _Wrong(f"{name} has settings that are not known: {', '.join(sorted(strange))}")
    if name.removeprefix("not_") in _MATCHED:
        patterns.compiled(str(node.get("value", "")))
    regex = node.get("regex")
    for pattern in regex if isinstance(regex, list) else [regex] if regex else []:
        patterns.compiled(str(pattern))
    options = {k: v for k, v in node.items() if k not in ("name", "operator", "value")}
    return Leaf(str(node["name"]), name, node.get("value"), options)


def _branch(kind: str, given: Any) -> Branch:
    if kind == "not":
        return Branch("not", (_check(given),))
    parts = _list(given, kind)
    if not parts:
        raise _Wrong(f"{kind} of Check is empty")
    return Branch("all" if kind == "all" else "any", tuple(_check(p) for p in parts))


def _operation(given: Any) -> Operation:
    data = _mapping(given, "an operation")
    ident, name = data.get("id"), data.get("operator")
    if not isinstance(ident, str) or not isinstance(name, str):
        raise _Wrong("an operation has no id or operator")
    if name not in OPERATIONS:
        raise _strange("operation", name, OPERATIONS)
    if data.get("regex"):
        patterns.compiled(str(data["regex"]))
    rest = {str(k): v for k, v in data.items() if k not in ("id", "operator", "name", "domain")}
    return Operation(ident, name, str(data.get("name") or ""), str(data.get("domain") or ""), rest)


def _match(given: Any) -> Match:
    data = _mapping(given, "one of Match Datasets")
    if not isinstance(data.get("Name"), str):
        raise _Wrong("one of Match Datasets has no Name")
    keys = []
    for key in _list(data.get("Keys"), "Keys"):
        if isinstance(key, Mapping):
            sides = {str(k).lower(): str(v) for k, v in key.items()}
            if set(sides) != {"left", "right"}:
                raise _Wrong(f"a key of Match Datasets has {sorted(sides)}, expected left and right")
            keys.append((sides["left"], sides["right"]))
        else:
            keys.append((str(key), str(key)))
    how = str(data.get("Join Type") or "inner").lower()
    if how not in ("inner", "left"):
        raise _Beyond(unknown("Join Type", how, ["inner", "left"]))
    return Match(data["Name"], tuple(keys), bool(data.get("Child")), str(data.get("Wildcard") or "**"), how)  # type: ignore[arg-type]

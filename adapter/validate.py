"""Validation as a whole: reads a package, runs our rules and others over it, writes the reports that are asked for.

validate(folder, rules=[…]) -> Validation
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from adapter.check.engine import Checked, Progress, check
from adapter.check.evaluate import DEFAULT_LIMIT
from adapter.check.library import standard_of
from adapter.check.package import Package
from adapter.check.readers import read_package
from adapter.check.rule_model import Rule, Unusable
from adapter.check.rules import load_rules, rule_files
from adapter.check.world import World
from adapter.ct_packages import packages, terms
from adapter.errors import InputError, OutputError, unknown
from adapter.report.as_html import page
from adapter.report.as_sarif import sarif
from adapter.report.as_xlsx import write_xlsx
from adapter.report.compare import compare, read_report
from adapter.report.findings import by_severity, tables

CT = {"SDTMIG": "sdtm", "ADAMIG": "adam"}


@dataclass(frozen=True)
class Validation:
    """What a validation found: the run, and its report as tables with the field names of CORE."""

    checked: Checked
    report: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """0 clean, 1 any finding or anything that failed, 2 nothing could be checked."""
        if not self.checked.world.package.datasets:
            return 2
        return 0 if self.checked.clean and not self.serious else 1

    @property
    def serious(self) -> bool:
        """Whether a file could not be read as it should be, whichever rules were asked for."""
        return any(p.code not in QUIET for p in self.checked.world.package.problems)


QUIET = frozenset({"unlisted"})
"""Problems with files that are no finding by themselves."""


def our_rules() -> tuple[list[Rule], list[Unusable]]:
    """Return the rules that ship with this program."""
    with as_file(files("schemas").joinpath("rules")) as folder:
        return load_rules(rule_files(folder))


def chosen_rules(
    folders: Iterable[str | os.PathLike[str]], only: bool, idents: Iterable[str] = ()
) -> tuple[list[Rule], list[Unusable]]:
    """Return our rules (unless `only`) and those of folders, of which `idents`, where given, are kept.

    Raises InputError for a folder without rules, and for an id that no rule has.
    """
    given = [p for f in folders for p in rule_files(Path(f))]
    if only and not given:
        raise InputError("--only-rules needs --rules: without it there is no rule to run")
    rules, unusable = load_rules(given)
    if not only:
        own, broken = our_rules()
        taken = {r.id for r in own}
        unusable += [
            Unusable(r.id, r.file, "the id is one of this program's own rules", True) for r in rules if r.id in taken
        ]
        rules, unusable = [*own, *(r for r in rules if r.id not in taken)], [*broken, *unusable]
    wanted = set(idents)
    if wanted:
        known = {r.id for r in rules} | {u.id for u in unusable}
        for ident in sorted(wanted - known):
            raise InputError(unknown("rule", ident, sorted(known)))
        rules = [r for r in rules if r.id in wanted]
        unusable = [u for u in unusable if u.id in wanted]
    return rules, unusable


def validate(
    folder: str | os.PathLike[str],
    rules: Iterable[str | os.PathLike[str]] = (),
    only_rules: bool = False,
    rule: Iterable[str] = (),
    standard: str | None = None,
    standard_version: str | None = None,
    ct: str | None = None,
    define: str | os.PathLike[str] | None = None,
    compare_with: str | os.PathLike[str] | None = None,
    limit: int = DEFAULT_LIMIT,
    workers: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Validation:
    """Check a folder of datasets and return what was found. Nothing is written.

    rules: folders of further rules; only_rules: run these alone. rule: ids to run. standard, standard_version: sdtmig 3.4
    or adamig 1.3 (default: what the datasets look like). ct: package of controlled terminology. define: a define.xml
    other than the folder's. compare_with: a JSON report of CORE. limit: findings kept per rule.

    Raises InputError for what cannot be read at all.
    """
    theirs = read_report(Path(compare_with)) if compare_with else None
    named = standard_of(standard or "", standard_version or "") if standard or standard_version else None
    run, unusable = chosen_rules(rules, only_rules, rule)
    if ct:
        terms(ct)
    if define is not None and not Path(define).is_file():
        raise InputError(f"{define}: no such file")
    package = read_package(Path(folder), define=None if define is None else Path(define))
    chosen = named or _looks_like(package)
    world = World(package, chosen, terms(ct or newest(CT[chosen[0]])).package)
    checked = check(world, run, unusable, limit, workers, progress)
    found = tables(checked)
    if theirs is not None:
        found["Comparison"] = compare(found, theirs, str(compare_with))
    return Validation(checked, found)


def newest(kind: str) -> str:
    """Return the newest package of terminology of a standard that ships."""
    return max(p for p in packages() if p.startswith(f"{kind}_"))


def _looks_like(package: Package) -> tuple[str, str]:
    """Return the standard of a package: ADaM if its datasets are named so, else SDTM."""
    analysis = sum(d.name.startswith("AD") and "DOMAIN" not in d.columns for d in package.datasets)
    return ("ADAMIG", "1.3") if analysis * 2 > len(package.datasets) else ("SDTMIG", "3.4")


def write_reports(
    found: Validation,
    json_file: str | None = None,
    html: str | None = None,
    xlsx: str | None = None,
    sarif_file: str | None = None,
) -> list[Path]:
    """Write the reports that have a name and return their files. Raises OutputError for one that cannot be written."""
    written = []
    if json_file:
        written.append(_write(json_file, _json(found.report)))
    if html:
        written.append(_write(html, page(found.report, by_severity(found.checked))))
    if sarif_file:
        written.append(_write(sarif_file, _json(sarif(found.checked))))
    if xlsx:
        try:
            write_xlsx(Path(xlsx), found.report)
        except OSError as e:
            raise OutputError(f"cannot write {xlsx}: {e.strerror or e}") from e
        written.append(Path(xlsx))
    return written


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1, default=str) + "\n"


def _write(name: str, text: str) -> Path:
    path = Path(name)
    try:
        path.write_text(text.encode("utf-8", "replace").decode("utf-8"), encoding="utf-8")
    except OSError as e:
        raise OutputError(f"cannot write {name}: {e.strerror or e}") from e
    return path

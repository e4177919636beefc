"""Reads a trial definition (a folder of trial.toml and CSV files) into a frozen, checked `Trial`.

    trial = load_trial(Path("mappings/trials/NAME"))
    trial.setting("criteria.PLT20.threshold")      # a value by its dotted name

Adding a trial = adding such a folder; docs/trial-definition.md lists every key. Any mistake in it is a TrialError that
names the file, the key, what was found and what was expected.
"""

from __future__ import annotations

import csv
import tomllib
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from importlib.resources import files
from itertools import islice
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adapter import trial_events as events
from adapter import trial_models as models
from adapter import trial_rules as rules
from adapter import trial_tables as tables
from adapter.errors import TrialError, unknown
from adapter.trial_checks import check_trial
from adapter.trial_models import ArmCode, Code8, Id, Part, Words, about

__all__ = ["Definition", "Trial", "find_trials", "load_trial", "resolve_trial"]

P = TypeVar("P", bound=Part)
TOML = "trial.toml"
SHOWN = 10


class Definition(Part):
    """trial.toml: everything of a trial that is not a long list."""

    study: models.Study = about("The study (protocol §1)")
    standards: models.Standards = about("Standards and terminology")
    defaults: models.Defaults = about("Values of DM where the source has none")
    log: models.Log = about("The enrolment log")
    extensions: models.Extensions = about("FHIR extension URLs", models.Extensions())
    confidentiality: models.Confidentiality = about("What of a person may be written (§10)")
    medications: dict[Id, models.Medication] = about("Groups of CM records")
    arms: dict[ArmCode, models.Arm] = about("ARMCD → arm (§1)")
    epochs: Words = about("EPOCH values in order")
    elements: dict[Id, models.Element] = about("ETCD → element (TE)")
    dosing: dict[Id, models.Dosing] = about("Product → planned dosing (§1)")
    conditioning: dict[Id, models.Conditioning] = about("Conditioning regimens (§1)", {})
    growth_factors: dict[Id, models.GrowthFactor] = about("Dose ranges of supporting drugs (§1)", {})
    step_rules: dict[Id, models.StepRule] = about("Drugs stepped by a daily count (§1)", {})
    reference_dates: models.ReferenceDates = about("Reference dates (§2)")
    transplant: models.Transplant | None = about("Transplants (§2)", None)
    daily_value: rules.DailyValue = about("The daily value (§3)")
    analytes: dict[Id, rules.Analyte] = about("Analytes (§3)")
    criteria: dict[Id, rules.Criterion] = about("PARAMCD stem → sustained run (§4)")
    presets: dict[Id, rules.Preset] = about("Named changes to the criteria (§4)", {})
    windows: dict[Id, rules.Window] = about("Where the search for a run begins (§4)")
    response: rules.Response = about("Response at the horizon (§5)")
    after_transplant: rules.AfterTransplant | None = about("Response after transplant (§5)", None)
    populations: dict[Code8, rules.Population] = about("Population flags (§5)")
    analysis: rules.Analysis = about("Primary analysis (§5)")
    sensitivity: dict[Id, rules.Sensitivity] = about("Sensitivity analyses (§4, §5)", {})
    clinical_events: dict[Id, events.ClinicalEvent] = about("Clinical events (§6)", {})
    time_to_event: dict[Code8, events.TimeToEvent] = about("PARAMCD → time-to-event parameter (§6)")
    intercurrent: dict[Id, events.Intercurrent] = about("What ends a lineage's answer to treatment (§6)", {})
    censoring: events.Censoring = about("Censoring and death dates (§6)")
    safety: events.Safety = about("Safety rules (§7)")
    eligibility: events.Eligibility = about("Limits of the eligibility criteria (§8)")
    deviations: dict[Id, events.Deviation] = about("Protocol deviations looked for (§8)", {})
    daily_phase: events.DailyPhase | None = about("The phase in which counts are due daily (§9)", None)
    analysis_visits: events.AnalysisVisits = about("Analysis visits (§9)")
    lot_reaction: models.LotReaction | None = about("Mixed lymphocyte reaction of product lots (§11)", None)


class Trial(Definition):
    """A whole trial definition. Frozen; equal definitions compare equal; survives pickling."""

    folder: Path = about("Folder it was read from")
    extra_files: tuple[Path, ...] = about("Further CSV files of the folder: codes, units, drugs … of this trial", ())
    visits: tuple[tables.Visit, ...] = about("visits.csv")
    entry_criteria: tuple[tables.EntryCriterion, ...] = about("criteria.csv")
    products: tuple[tables.Product, ...] = about("products.csv")
    dispositions: tuple[tables.Disposition, ...] = about("dispositions.csv", ())
    summary: tuple[tables.SummaryParameter, ...] = about("ts.csv", ())
    schedule: tuple[tables.ScheduleRow, ...] = about("schedule.csv", ())
    decisions: tuple[tables.Decision, ...] = about("decisions.csv", ())

    def setting(self, name: str) -> Any:
        """Return the value with this dotted name; rows of a list are addressed by their key (`visits.10.VISIT`).

        Raises TrialError for a name that does not exist, with the names that do.
        """
        value: Any = self
        done: list[str] = []
        for step in name.split("."):
            known = _children(value)
            if step not in known:
                where = f" in {'.'.join(done)}" if done else ""
                raise TrialError(f"setting {name!r}: {unknown('name', step, list(known))}{where}")
            value = known[step]
            done.append(step)
        return value

    def by_key(self, table: str) -> dict[str, Any]:
        """Return the rows of a CSV table (its name in the Trial) by their key, in file order."""
        return {row.row_id: row for row in getattr(self, table)}

    def criteria_of(self, preset: str | None = None) -> dict[str, rules.Criterion]:
        """Return the criteria as they are, or as the named preset changes them."""
        if preset is None:
            return dict(self.criteria)
        if preset not in self.presets:
            raise TrialError(f"{TOML} presets: {unknown('preset', preset, list(self.presets))}")
        changes = self.presets[preset].criteria
        return {
            name: c.model_copy(update=changes[name].model_dump(exclude_unset=True)) if name in changes else c
            for name, c in self.criteria.items()
        }

    def arm_spellings(self) -> dict[str, str]:
        """Return every spelling of an arm, its code included → ARMCD."""
        return {text: code for code, arm in self.arms.items() for text in (code, *arm.spellings)}

    def fill(self, text: str, run: Mapping[str, str]) -> str:
        """Return a ts.csv text with its sources filled in: `@name` stands alone, `{name}` inside a text.

        run: what the data say, keyed by the names of RUN_SOURCES; every other name is a setting.
        """
        for source in tables.sources(text):
            value = run[source] if source in tables.RUN_SOURCES else str(self.setting(source))
            text = value if text.startswith("@") else text.replace(f"{{{source}}}", value)
        return text

    def analysis_visit_targets(self) -> dict[str, tables.Visit]:
        """Return AVISIT → the planned visit whose day is its target."""
        return {v.AVISIT: v for v in self.visits if v.AVISIT}


def _children(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Part):
        return {n: getattr(value, n) for n in type(value).model_fields if n not in ("folder", "extra_files")}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and value and isinstance(value[0], Part) and value[0].key:
        return {row.row_id: row for row in value}
    return {}


def load_trial(folder: Path) -> Trial:
    """Read and check the trial definition in `folder`. Raises TrialError with every mistake found (the first ten)."""
    if not (folder / TOML).is_file():
        raise TrialError(f"{folder}: found no {TOML}, expected a trial definition folder")
    try:
        raw = tomllib.loads((folder / TOML).read_text("utf-8"), parse_float=_decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise TrialError(f"{folder / TOML}: not valid TOML in UTF-8: {e}") from e
    content = {name: _frozen(value) for name, value in raw.items()}
    definition = _valid(Definition, content, folder / TOML)
    parts: dict[str, Any] = {name: getattr(definition, name) for name in Definition.model_fields}
    for file, (name, row, needed) in tables.TABLES.items():
        if (folder / file).is_file():
            parts[name] = _read_table(folder / file, row)
        elif needed:
            raise TrialError(f"{folder}: found no {file}, which every trial needs")
    extra = tuple(sorted(p for p in folder.glob("*.csv") if p.name not in tables.TABLES))
    trial = Trial(folder=folder, extra_files=extra, **parts)
    _raise(folder, check_trial(trial))
    return trial


def find_trials() -> dict[str, Path]:
    """Return the trials that are installed with the program: name → folder, sorted by name."""
    shipped = [Path(str(entry)) for entry in files("mappings.trials").iterdir() if entry.is_dir()]
    return {folder.name: folder for folder in sorted(shipped) if (folder / TOML).is_file()}


def resolve_trial(name_or_dir: str) -> Trial:
    """Return the shipped trial of this name, else the trial in this folder. Raises TrialError where neither exists."""
    shipped = find_trials()
    if name_or_dir in shipped:
        return load_trial(shipped[name_or_dir])
    if Path(name_or_dir).is_dir():
        return load_trial(Path(name_or_dir))
    raise TrialError(f"{unknown('trial', name_or_dir, list(shipped))}; and there is no such folder")


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace("_", ""))


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(v) for v in value)
    return {k: _frozen(v) for k, v in value.items()} if isinstance(value, dict) else value


def _read_table(path: Path, row_model: type[Part]) -> tuple[Part, ...]:
    columns = list(row_model.model_fields)
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            lines = list(csv.reader(f, strict=True))
    except (UnicodeDecodeError, csv.Error) as e:
        raise TrialError(f"{path}: not a CSV file in UTF-8: {e}") from e
    if not lines:
        raise TrialError(f"{path}: the file is empty, expected the columns {', '.join(columns)}")
    heading = lines[0]
    problems = [f"{path.name} heading: {unknown('column', c, columns)}" for c in heading if c not in columns]
    problems += [f"{path.name} heading: column {c!r} found {n} times" for c, n in Counter(heading).items() if n > 1]
    _raise(path.parent, problems)
    rows: list[Part] = []
    first: dict[str, int] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if not cells:
            continue
        if len(cells) != len(heading):
            raise TrialError(f"{path} record {number}: {len(cells)} cells found, {len(heading)} columns expected")
        given = {c: v.strip() for c, v in zip(heading, cells, strict=True) if v.strip()}
        row = _valid(row_model, given, path, f"record {number}")
        if row.row_id in first:
            raise TrialError(
                f"{path} record {number}: {row.key} {row.row_id!r} is already in record {first[row.row_id]}"
            )
        first[row.row_id] = number
        rows.append(row)
    return tuple(rows)


def _valid(model: type[P], content: dict[str, Any], path: Path, where: str = "") -> P:
    try:
        return model.model_validate(content)
    except ValidationError as e:
        _raise(path.parent, [_told(model, error, path, where) for error in e.errors(include_url=False)])
        raise


def _told(model: type[Part], error: ErrorDetails, path: Path, where: str) -> str:
    steps = [str(step) for step in error["loc"] if step != "[key]"]
    at = " ".join(filter(None, (path.name, where, ".".join(steps))))
    if error["type"] == "extra_forbidden":
        owner = _model_at(model, steps[:-1])
        return f"{at}: {unknown('key', steps[-1], list(owner.model_fields) if owner else [])}"
    if error["type"] == "missing":
        return f"{at}: nothing found; this key is needed"
    return f"{at}: found {error['input']!r}; {error['msg'][0].lower()}{error['msg'][1:]}"


def _model_at(model: type[Part], steps: list[str]) -> type[Part] | None:
    """Follow a key path through the models; None where it leaves them."""
    kind: Any = model
    for step in steps:
        if _is_part(kind):
            kind = kind.model_fields[step].annotation if step in kind.model_fields else None
        else:  # a step into dict[Id, Part] or tuple[Part, ...]
            kind = next((a for a in get_args(kind) if _is_part(a)), None)
        if get_origin(kind) in (Union, UnionType):
            kind = next((a for a in get_args(kind) if a is not NoneType), None)
    return kind if _is_part(kind) else None


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Part)


def _raise(folder: Path, problems: list[str]) -> None:
    if problems:
        more = f"\n… and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise TrialError(f"trial definition in {folder}:\n" + "\n".join(islice(problems, SHOWN)) + more)

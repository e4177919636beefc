"""The driver: the four steps over files, byte ranges and buckets, on any executor. The only place that does I/O.

build(inputs, out=…, enrolment=…) -> Result
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from adapter.deliver import Delivery
from adapter.derive.days import EPOCH
from adapter.enrolment import Enrolled, read_enrolment
from adapter.errors import InputError, RunError
from adapter.executors import TaskRunner, local_executor
from adapter.ingest import Ingest, Ingested, Progress, buckets_for
from adapter.map import NEVER
from adapter.output import OutputFolder
from adapter.result import Result
from adapter.self_check import check_built
from adapter.site import KEY_FILE, open_site, own_servers
from adapter.sources.files import RANGE_BYTES, Found, find_files
from adapter.store.store import Store, StoreFacts
from adapter.strict_task import check_files
from adapter.subject_tasks import MapReceipt, SubjectsTask, map_task, subject_groups, survey_task
from adapter.tasks import Context, Setting, knowledge_of, write_context
from adapter.trial import Trial, resolve_trial
from adapter.writers.formats import chosen


def _silent(stage: str, done: int, total: int) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Request:
    """Everything a build is told. Paths as given; None where the default applies."""

    inputs: tuple[str, ...]
    out: str
    enrolment: str | None = None
    trial: str = "pgf_msc"
    site: str | None = None
    store: str | None = None
    coding: str | None = None
    cutoff: str | None = None
    timestamp: str | None = None
    format: tuple[str, ...] = ("xpt",)
    workers: int = 1
    overwrite: bool = False
    strict: bool = False
    validate: bool = False
    range_bytes: int = RANGE_BYTES


def build(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    enrolment: str | os.PathLike[str] | None = None,
    trial: str | os.PathLike[str] = "pgf_msc",
    site: str | os.PathLike[str] | None = None,
    store: str | os.PathLike[str] | None = None,
    cutoff: str | None = None,
    timestamp: str | None = None,
    format: str | Iterable[str] = "xpt",
    workers: int | None = None,
    overwrite: bool = False,
    strict: bool = False,
    validate: bool = False,
    progress: Progress = _silent,
    executor: Callable[[], Executor] | None = None,
    range_bytes: int = RANGE_BYTES,
    coding: str | os.PathLike[str] | None = None,
) -> Result:
    """Build the SDTM package of FHIR input and return a Result, whose datasets load lazily.

    inputs: files, folders, or a store. enrolment: the log (CSV); without one, ResearchSubject and Consent decide.
    trial: a shipped trial's name or a folder. site: the private folder with key, link file and the site's own maps
    (default: `site` beside the log). store: keep what was read there and read only what is new. cutoff: data cut, a day.
    format: of the datasets, one or several of xpt, dataset-json, ndjson, parquet, csv ("xpt,csv", or one each).
    workers: processes (default: all processors). executor: makes an Executor to run on instead. coding: the sponsor's
    coding of terms and drugs, a folder of CSV files (adapter.dictionaries). strict: writes strict.csv.
    validate: runs this program's rules over the package: validation.json and .html, of ADaM validation-adam.json and .html.

    Raises InputError (arguments and input), StoreError, WriteError, RunError; all are AdapterError.
    """
    many = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    request = Request(
        inputs=tuple(os.fspath(i) for i in many),
        out=os.fspath(out),
        enrolment=None if enrolment is None else os.fspath(enrolment),
        trial=os.fspath(trial),
        site=None if site is None else os.fspath(site),
        store=None if store is None else os.fspath(store),
        coding=None if coding is None else os.fspath(coding),
        cutoff=cutoff,
        timestamp=timestamp,
        format=chosen(format),
        workers=workers or os.cpu_count() or 1,
        overwrite=overwrite,
        strict=strict,
        validate=validate,
        range_bytes=range_bytes,
    )
    return _Build(request, progress, executor or local_executor(request.workers)).run()


class _Build:
    """One build, from request to result."""

    def __init__(self, request: Request, progress: Progress, executor: Callable[[], Executor]) -> None:
        self.request = request
        self.progress = progress
        self.executor = executor
        self.times: list[tuple[str, float]] = []
        self.started = time.time()

    def run(self) -> Result:
        r = self.request
        trial = resolve_trial(r.trial)
        found, store_folder = self._sources()
        site = self._site()
        log = _log(r.enrolment, trial) if r.enrolment else None
        cut = _day(r.cutoff, "--cutoff") if r.cutoff else None
        keyer = open_site(site)
        output = OutputFolder(Path(r.out), r.overwrite)
        work = _work_folder(output)
        try:
            size = sum(f.size for f in found.files)
            facts = StoreFacts(buckets_for(size), keyer.fingerprint(), trial.study.time_zone)
            store = Store.open(store_folder or work / "store", facts)
            setting = Setting(
                str(work),
                str(site / KEY_FILE),
                trial.study.time_zone,
                str(trial.folder),
                str(site),
                store.facts.buckets,
                own_servers(site),
                str(Path(r.coding).absolute()) if r.coding is not None else "",
            )
            knowledge = knowledge_of(setting)
            with TaskRunner(self.executor, 2 * r.workers) as runner:
                self._mark("prepare")
                ingest = Ingest(store, setting, keyer, trial, runner, self.progress)
                ingested = ingest.run(found.files, log, r.enrolment or "the enrolment log", r.range_bytes)
                self._mark("intake")
                delivery = Delivery(output, setting, trial, knowledge, runner, self.progress)
                if r.strict:
                    delivery.more = check_files(ingest, ingested, found.files, r.range_bytes, output)
                    self._mark("strict")
                context, receipts = self._map(ingested, store, setting, trial, cut, runner)
                self._mark("map")
                counts = delivery.write(context, receipts, ingested, found, _stamp(r.timestamp, context.cut), r.format)
                self._mark("assemble")
            if r.validate:
                counts["findings"] = check_built(output, r.workers, self.progress)
                self._mark("validate")
            delivery.write_run(self._run_facts(store_folder))
            output.finish()
        except OSError as e:
            output.abandon()
            raise RunError(f"{e.filename or r.out}: {e.strerror or e}") from e
        except BaseException:
            output.abandon()
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return Result(Path(r.out), counts)

    def _mark(self, stage: str) -> None:
        self.times.append((stage, time.time()))

    def _run_facts(self, store: Path | None) -> dict[str, Any]:
        """Return what differs from run to run: settings, times and paths. Outside the promise of equal bytes."""
        before, seconds = self.started, {}
        for stage, at in self.times:
            seconds[stage] = round(at - before, 3)
            before = at
        request = {k: getattr(self.request, k) for k in Request.__slots__}
        return {
            "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
            "seconds": seconds,
            "request": request | {"inputs": list(self.request.inputs)},
            "store": str(store) if store else None,
        }

    def _site(self) -> Path:
        r = self.request
        if r.site is not None:
            return Path(r.site).absolute()
        if r.enrolment is None:
            raise InputError("without an enrolment log the site's private folder must be named: --site DIR")
        return Path(r.enrolment).absolute().parent / "site"

    def _sources(self) -> tuple[Found, Path | None]:
        """Return the files to read, and the store where one is named or is the input."""
        r = self.request
        stores = [i for i in r.inputs if os.path.isfile(Path(i) / "store.json")]
        plain = [i for i in r.inputs if i not in stores]
        if len(stores) > 1 or (stores and r.store):
            raise InputError(f"expected one store, found {[*stores, *([r.store] if r.store else [])]}")
        store = stores[0] if stores else r.store
        if stores and not plain:
            return Found((), ()), Path(stores[0])
        return find_files(plain), Path(store) if store else None

    def _map(
        self,
        ingested: Ingested,
        store: Store,
        setting: Setting,
        trial: Trial,
        cut: int | None,
        runner: TaskRunner,
    ) -> tuple[Context, list[MapReceipt]]:
        """Find the data cut and map all subjects, a bucket of them at a time."""
        subjects = ingested.subjects
        withdrawal = trial.reference_dates.withdrawal_of_consent_cuts
        cuts = [_withdrawal(s.enrolled) if withdrawal else NEVER for s in subjects]
        context = Context(
            subjects,
            {},
            subject_cuts=cuts,
            segments=ingested.state.segments,
            segment_folder=str(store.segments),
            files=frozenset(i.number for i in ingested.state.inputs),
        )
        named = subject_groups(subjects, ingested.state.segments, setting.buckets)
        if cut is None:
            path = write_context(setting, "survey", context)
            tasks = [SubjectsTask(n, g, setting, path) for n, g in named]
            self.progress("survey", 0, len(tasks))
            days = runner.run(survey_task, tasks)
            self.progress("survey", len(tasks), len(tasks))
            known = [d for d in days if d is not None] + _log_days(subjects)
            if not known:
                raise InputError("no date came in, so there is no data cut; name one with --cutoff YYYY-MM-DD")
            cut = max(known)
        context.cut = cut
        path = write_context(setting, "map", context)
        tasks = [SubjectsTask(n, g, setting, path) for n, g in named]
        done = Counter[str]()
        self.progress("map", 0, len(tasks))

        def told(_: MapReceipt) -> None:
            done["map"] += 1
            self.progress("map", done["map"], len(tasks))

        return context, runner.run(map_task, tasks, told)


def _work_folder(output: OutputFolder) -> Path:
    """Return a new private folder for what is needed during the build only."""
    try:
        return Path(tempfile.mkdtemp(prefix="fhir2cdisc-"))
    except OSError as e:
        output.abandon()
        raise RunError(f"cannot make a temporary folder in {tempfile.gettempdir()}: {e.strerror or e}") from e


def _log(path: str, trial: Trial) -> list[Enrolled]:
    """Return the enrolment log, read as the trial says that logs are spelled."""
    spelled = trial.log
    return read_enrolment(
        Path(path), trial.arm_spellings(), spelled.columns, spelled.withdrawal_types, spelled.criterion_prefix
    )


def _withdrawal(e: Enrolled) -> int:
    """Return the day consent was withdrawn: that subject's own data cut (protocol §2)."""
    return _day(e.withdrawal_date, e.source) if e.withdrawal_type == "consent" and e.withdrawal_date else NEVER


def _log_days(subjects: Sequence[Any]) -> list[int]:
    names = ("consent_date", "screening_date", "randomisation_date", "withdrawal_date", "pgf_date")
    return [_day(t, n) for s in subjects for n in names if (t := getattr(s.enrolled, n))]


def _day(text: str, what: str) -> int:
    try:
        return (date.fromisoformat(text) - EPOCH).days
    except ValueError as e:
        raise InputError(f"{what} {text!r} is no day; expected YYYY-MM-DD") from e


def _stamp(text: str | None, cut: int) -> datetime:
    """Return the time that outputs carry: the data cut at 00:00:00, or --timestamp."""
    if text is None:
        return datetime(1970, 1, 1) + (date.fromordinal(EPOCH.toordinal() + cut) - EPOCH)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError as e:
        raise InputError(f"--timestamp {text!r} is no time; expected YYYY-MM-DDThh:mm:ss") from e

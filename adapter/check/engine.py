"""Runs rules over a package, in parallel where it pays, and says of every rule what became of it."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from adapter.check.evaluate import DEFAULT_LIMIT, Outcome, datasets_of, evaluate, evaluate_files
from adapter.check.frames import FILE_CHECK
from adapter.check.rule_model import Rule, Unusable
from adapter.check.world import World
from adapter.executors import local_executor

SUCCESS, REPORTED, SKIPPED, FAILED = "SUCCESS", "ISSUE REPORTED", "SKIPPED", "EXECUTION ERROR"
PARALLEL_FROM = 50_000
"""Records from which starting processes costs less than it saves."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What became of one rule. `count` is the true number of findings; outcomes hold at most as many as the limit."""

    rule: Rule
    status: str
    reason: str
    outcomes: tuple[Outcome, ...]

    @property
    def count(self) -> int:
        return sum(o.count for o in self.outcomes)


@dataclass(frozen=True)
class Checked:
    """The result of a run. Rules in order of their ids; `unusable` are files that are no rule this engine can run."""

    world: World
    results: tuple[RuleResult, ...]
    unusable: tuple[Unusable, ...]
    limit: int
    seconds: float
    workers: int = 1

    @property
    def clean(self) -> bool:
        """Whether nothing was found and nothing failed."""
        bad = any(r.status in (REPORTED, FAILED) for r in self.results)
        return not bad and not any(u.broken for u in self.unusable)

    def counts(self) -> dict[str, int]:
        """Return the number of rules by status."""
        found = dict.fromkeys((SUCCESS, REPORTED, SKIPPED, FAILED), 0)
        for r in self.results:
            found[r.status] += 1
        for u in self.unusable:
            found[FAILED if u.broken else SKIPPED] += 1
        return found


def check(
    world: World,
    rules: Sequence[Rule],
    unusable: Sequence[Unusable] = (),
    limit: int = DEFAULT_LIMIT,
    workers: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Checked:
    """Return what the rules find in a package. `limit` caps the findings kept per rule; their number is kept whole."""
    begun = time.monotonic()
    wanted = workers or os.cpu_count() or 1
    rows = sum(d.records for d in world.package.datasets)
    parallel = wanted > 1 and rows >= PARALLEL_FROM and len(rules) > wanted
    run = _pooled if parallel else _inline
    found: dict[str, RuleResult] = {}
    for result in run(world, list(rules), limit, wanted):
        found[result.rule.id] = result
        progress("check", len(found), len(rules))
    results = tuple(found[k] for k in sorted(found))
    seconds = time.monotonic() - begun
    return Checked(world, results, tuple(unusable), limit, seconds, wanted if parallel else 1)


def _inline(world: World, rules: list[Rule], limit: int, workers: int) -> Iterator[RuleResult]:
    for rule in rules:
        yield run_rule(rule, world, limit)


def _pooled(world: World, rules: list[Rule], limit: int, workers: int) -> Iterator[RuleResult]:
    """Run rules in processes, which map the columns of the package from one file instead of reading datasets again."""
    folder = Path(tempfile.mkdtemp(prefix="fhir2cdisc-check-"))
    left = {rule.id: rule for rule in rules}
    pool = local_executor(workers)()
    try:
        spill(world, folder)
        # long ones first would need foresight; small batches even out what is uneven
        batches = [rules[i::CHUNKS] for i in range(min(CHUNKS, len(rules)))]
        for done in as_completed([pool.submit(_batch, str(folder), batch, limit) for batch in batches]):
            for result in done.result():
                del left[result.rule.id]
                yield result
    except BrokenExecutor:  # a worker was killed: what is left runs here
        yield from _inline(world, list(left.values()), limit, 1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(folder, ignore_errors=True)


CHUNKS = 24


def _batch(folder: str, rules: list[Rule], limit: int) -> list[RuleResult]:
    world = unspilled(folder)
    return [run_rule(rule, world, limit) for rule in rules]


def spill(world: World, folder: Path) -> None:
    """Write what workers need into a private folder: arrays back to back in one file, the rest beside it."""
    buffers: list[pickle.PickleBuffer] = []
    bare = replace(world.package, joins={})
    plain = pickle.dumps((bare, world.standard, world.ct), protocol=5, buffer_callback=buffers.append)
    places = []
    with open(folder / "arrays", "wb") as f:
        for b in buffers:
            raw = b.raw()
            f.write(b"\0" * (-f.tell() % 64))
            places.append((f.tell(), raw.nbytes))
            f.write(raw)
            b.release()
    (folder / "package").write_bytes(pickle.dumps((plain, places), protocol=5))


@lru_cache(maxsize=1)
def unspilled(folder: str) -> World:
    """Return the world that `spill` wrote; its arrays are mapped, not copied."""
    import mmap

    plain, places = pickle.loads((Path(folder) / "package").read_bytes())
    path = Path(folder) / "arrays"
    if path.stat().st_size:
        with open(path, "rb") as f:
            whole = memoryview(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))
    else:
        whole = memoryview(b"")
    package, standard, ct = pickle.loads(plain, buffers=[whole[a : a + n] for a, n in places])
    return World(package, standard, ct)


def run_rule(rule: Rule, world: World, limit: int) -> RuleResult:
    """Return what became of one rule on all datasets that it is about."""
    if rule.standards and world.standard not in rule.standards:
        return RuleResult(rule, SKIPPED, f"no rule of {world.standard[0]} {world.standard[1]}", ())
    outcomes = []
    if rule.rule_type == FILE_CHECK:
        outcomes.append(evaluate_files(rule, world, limit))
    else:
        left = limit
        for d in datasets_of(rule, world):
            outcomes.append(evaluate(rule, d, world, left))
            left -= len(outcomes[-1].issues)
    if not outcomes:
        return RuleResult(rule, SKIPPED, "no dataset in the rule's scope", ())
    outcomes = _study(rule, outcomes)
    statuses = {o.status for o in outcomes}
    status = next(s for s in (FAILED, REPORTED, SUCCESS, SKIPPED) if s in statuses)
    reasons = dict.fromkeys(f"{o.dataset}: {o.reason}" if o.dataset else o.reason for o in outcomes if o.reason)
    return RuleResult(rule, status, "; ".join(reasons), tuple(outcomes))


def _study(rule: Rule, outcomes: list[Outcome]) -> list[Outcome]:
    """Return the outcomes with a finding about the package kept once, on whichever datasets the rule was run."""
    seen = set()
    made = []
    for o in outcomes:
        issues = []
        for i in o.issues:
            key = (i.dataset, str(i.values)) if i.record is None and i.dataset == "STUDY" else None
            if key is None or key not in seen:
                issues.append(i)
            seen.add(key)
        gone = len(o.issues) - len(issues)
        if gone and not issues:
            o = Outcome(o.dataset, SUCCESS, o.reason, o.message)
        elif gone:
            o = replace(o, issues=tuple(issues), count=o.count - gone)
        made.append(o)
    return made

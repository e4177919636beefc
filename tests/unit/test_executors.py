"""TaskRunner: order, bounds, retries, broken pools, a task that kills its workers."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapter import errors
from adapter.executors import ATTEMPTS, InlineExecutor, TaskRunner, local_executor, process_pool


@dataclass(frozen=True)
class Job:
    label: str
    number: int = 0
    folder: str = ""


def double(job: Job) -> int:
    return job.number * 2


class Scripted(Executor):
    """Holds what it is given; when the runner waits, everything in flight ends as `script` says: value or exception."""

    def __init__(self, script: Callable[[Job], Any], log: list[list[str]]) -> None:
        self.script, self.log = script, log
        self.flight: list[tuple[Future[Any], Job]] = []
        self.broken = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.broken:
            raise BrokenProcessPool("dead before")
        future = Slow(self)
        self.flight.append((future, args[0]))
        return future

    def land(self) -> None:
        flight, self.flight = self.flight, []
        self.log.append([job.label for _, job in flight])
        outcomes = [self.script(job) for _, job in flight]
        if any(isinstance(o, BrokenProcessPool) for o in outcomes):
            self.broken = True
            outcomes = [BrokenProcessPool("a worker died")] * len(flight)
        for (future, _), outcome in reversed(list(zip(flight, outcomes, strict=True))):
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


class Slow(Future[Any]):
    """A future that is done only when somebody waits for it."""

    def __init__(self, owner: Scripted) -> None:
        super().__init__()
        self._owner = owner

    def landed(self) -> None:
        self._owner.land()


@pytest.fixture(autouse=True)
def _wait_lands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runner's wait() end all that a Scripted executor has in flight."""
    import adapter.executors as module

    original = module.wait

    def landing(futures: Any, **kwargs: Any) -> Any:
        for f in list(futures):
            if isinstance(f, Slow) and not f.done():
                f.landed()
        return original(futures, **kwargs)

    monkeypatch.setattr(module, "wait", landing)


def run(script: Callable[[Job], Any], jobs: list[Job], in_flight: int = 4) -> tuple[list[Any], list[list[str]]]:
    log: list[list[str]] = []
    with TaskRunner(lambda: Scripted(script, log), in_flight) as runner:
        return runner.run(double, jobs), log


JOBS = [Job(f"job {i}", i) for i in range(10)]


def test_results_come_in_task_order_and_done_is_told_once_each() -> None:
    told: list[int] = []
    log: list[list[str]] = []
    with TaskRunner(lambda: Scripted(double, log), 4) as runner:
        assert runner.run(double, JOBS, told.append) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert sorted(told) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]


@pytest.mark.parametrize("bound", [1, 2, 7])
def test_no_more_than_the_bound_is_in_flight(bound: int) -> None:
    _, log = run(double, JOBS, bound)
    assert max(map(len, log)) == bound


@pytest.mark.parametrize("make", [InlineExecutor, lambda: process_pool(2)], ids=["inline", "processes"])
def test_real_executors(make: Callable[[], Executor]) -> None:
    with TaskRunner(make, 3) as runner:
        assert runner.run(double, JOBS) == [job.number * 2 for job in JOBS]
        assert runner.run(double, []) == []
        assert runner.run(double, JOBS[:1]) == [0], "one runner serves many batches"


def test_one_worker_needs_no_pool() -> None:
    assert local_executor(1) is InlineExecutor


def test_a_broken_pool_costs_nothing_but_time() -> None:
    breaks = iter([True, False, True])

    def script(job: Job) -> Any:
        return BrokenProcessPool("x") if job.number == 3 and next(breaks, False) else double(job)

    results, log = run(script, JOBS)
    assert results == [job.number * 2 for job in JOBS]
    assert sum("job 3" in flight for flight in log) == 2, "broken once, then run again"


def test_a_task_that_was_in_flight_at_two_breaks_runs_alone() -> None:
    deaths: list[str] = []

    def script(job: Job) -> Any:
        if job.number == 3 and len(deaths) < 2:
            deaths.append(job.label)
            return BrokenProcessPool("x")
        return double(job)

    results, log = run(script, JOBS)
    assert results == [job.number * 2 for job in JOBS]
    last = max(i for i, flight in enumerate(log) if "job 3" in flight)
    assert log[last] == ["job 3"]


def test_a_killer_is_named_and_the_others_lose_nothing() -> None:
    told: list[int] = []
    log: list[list[str]] = []

    def script(job: Job) -> Any:
        return BrokenProcessPool("x") if job.number in (0, 7) else double(job)

    with (
        TaskRunner(lambda: Scripted(script, log), 4) as runner,
        pytest.raises(errors.RunError, match=r"double job 0, double job 7: killed the worker 3 times") as caught,
    ):
        runner.run(double, JOBS, told.append)
    assert sorted(told) == [job.number * 2 for job in JOBS if job.number not in (0, 7)]
    assert "8 tasks" in caught.value.message
    for label in ("job 0", "job 7"):
        assert sum(label in flight for flight in log) == ATTEMPTS


def suicide(job: Job) -> int:
    if job.label == "bad":
        os._exit(1)
    return job.number


def test_a_killer_in_a_real_pool() -> None:
    told: list[int] = []
    jobs = [Job("good", 1), Job("bad"), Job("good", 2)]
    with (
        TaskRunner(lambda: process_pool(2), 4) as runner,
        pytest.raises(errors.RunError, match=r"^suicide bad: killed the worker"),
    ):
        runner.run(suicide, jobs, told.append)
    assert sorted(told) == [1, 2]


def test_a_pool_that_never_starts_is_an_error_not_a_loop() -> None:
    class Dead(InlineExecutor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            raise BrokenProcessPool("cannot fork")

    with TaskRunner(Dead, 2) as runner, pytest.raises(errors.RunError, match="no worker can be started: cannot fork"):
        runner.run(double, JOBS)


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), CancelledError()], ids=["EIO", "cancelled"])
def test_passing_failures_are_tried_again(failing: int, error: Exception) -> None:
    left = [failing]

    def script(job: Job) -> Any:
        if job.number == 5 and left[0]:
            left[0] -= 1
            return error
        return double(job)

    results, _ = run(script, JOBS)
    assert results == [job.number * 2 for job in JOBS]


@pytest.mark.parametrize(
    ("error", "attempts", "message"),
    [
        (OSError(errno.EIO, "I/O error", "/data/x.ndjson"), 3, "double job 5: I/O error (/data/x.ndjson)"),
        (OSError(errno.ENOSPC, "No space left on device", "/out/lb.xpt"), 1, "No space left on device (/out/lb.xpt)"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 1, "double job 5: Disk quota exceeded"),
        (MemoryError(), 3, "double job 5: out of memory"),
        (CancelledError(), 3, "double job 5: cancelled by the executor"),
    ],
    ids=["EIO", "ENOSPC", "EDQUOT", "memory", "cancelled"],
)
def test_lasting_failures_end_in_a_run_error(error: Exception, attempts: int, message: str) -> None:
    tried = []

    def script(job: Job) -> Any:
        if job.number == 5:
            tried.append(1)
            return error
        return double(job)

    with pytest.raises(errors.RunError) as caught:
        run(script, JOBS)
    assert message in caught.value.message
    assert len(tried) == attempts


def full(job: Job) -> int:
    """Fail with EIO until the third attempt, and with ENOSPC for ever, in a real worker."""
    if job.label == "full":
        raise OSError(errno.ENOSPC, "No space left on device", "/out")
    mark = Path(job.folder) / "tries"
    tries = len(mark.read_text()) if mark.exists() else 0
    mark.write_text("x" * (tries + 1))
    if tries < 2:
        raise OSError(errno.EIO, "I/O error")
    return tries


def test_system_errors_cross_process_borders(tmp_path: Path) -> None:
    with TaskRunner(lambda: process_pool(1), 1) as runner:
        assert runner.run(full, [Job("flaky", folder=str(tmp_path))]) == [2]
        with pytest.raises(errors.RunError, match=r"full full: No space left on device \(/out\)"):
            runner.run(full, [Job("full")])


DRIVER = """
import sys
from tests.unit.test_executors import tell, process_pool
pool = process_pool(2)
pids = {pool.submit(tell).result() for _ in range(8)}
print(*pids, flush=True)
pool.submit(tell, 600).result()
"""


def tell(seconds: float = 0.05) -> int:
    """Return the process id of the worker, after a while."""
    time.sleep(seconds)
    return os.getpid()


def alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and is not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_workers_end_with_a_killed_driver() -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, cwd=root, text=True) as driver:
        assert driver.stdout is not None
        workers = [int(pid) for pid in driver.stdout.readline().split()]
        assert workers
        assert all(map(alive, workers))
        driver.kill()
    for _ in range(200):
        if not any(map(alive, workers)):
            return
        time.sleep(0.05)
    pytest.fail(f"workers {workers} wait for tasks for ever")


TREE = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.AdapterError)]


@pytest.mark.parametrize("error", TREE)
def test_every_error_survives_pickling(error: type[errors.AdapterError]) -> None:
    again = pickle.loads(pickle.dumps(error("found 1, expected 2")))
    assert type(again) is error
    assert (again.message, str(again), again.exit_code) == (
        "found 1, expected 2",
        "found 1, expected 2",
        error.exit_code,
    )


def test_the_tree_is_whole() -> None:
    names = {c.__name__ for c in TREE}
    assert {"AdapterError", "InputError", "EnrolmentError", "TrialError", "SiteError", "OutputError"} <= names
    assert {"DeclarationError", "StoreError", "WriteError", "RunError"} <= names


def refuse(job: Job) -> int:
    raise {c.__name__: c for c in TREE}[job.label]("x.ndjson line 3: found a, expected b")


@pytest.mark.parametrize("make", [InlineExecutor, lambda: process_pool(1)], ids=["inline", "processes"])
def test_an_error_of_ours_comes_out_as_itself(make: Callable[[], Executor]) -> None:
    with TaskRunner(make, 2) as runner:
        for error in (errors.StoreError, errors.WriteError, errors.EnrolmentError):
            with pytest.raises(errors.AdapterError) as caught:
                runner.run(refuse, [Job(error.__name__)])
            assert type(caught.value) is error
            assert caught.value.message == "x.ndjson line 3: found a, expected b"


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda job: ZeroDivisionError("a bug"), JOBS[:1])

"""Runs tasks on anything with the shape of concurrent.futures.Executor, and survives what executors do wrong.

A killed worker breaks a process pool and with it every task in flight; Dask repeats tasks by itself; both may deliver
late or twice. So the retries are ours: bounded submissions in flight, a new pool after a break, a task that was in
flight at two breaks runs alone, and a task that breaks the pool alone is reported by name. Results come in task order.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

from adapter.errors import AdapterError, RunError

T = TypeVar("T")
R = TypeVar("R")
ATTEMPTS = 3


class InlineExecutor(Executor):
    """Runs every task at once in this process: one worker without a pool."""

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        future: Future[R] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except (AdapterError, OSError) as e:
            future.set_exception(e)
        return future


def process_pool(workers: int) -> Executor:
    """Return a pool of fresh processes; never plain fork, which copies the threads of Arrow half."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("forkserver"))


def local_executor(workers: int) -> Callable[[], Executor]:
    return InlineExecutor if workers == 1 else lambda: process_pool(workers)


class TaskRunner:
    """Runs batches of tasks; one runner serves a whole build and keeps its pool between batches."""

    def __init__(self, make: Callable[[], Executor], in_flight: int) -> None:
        self._make = make
        self._in_flight = max(1, in_flight)
        self._executor: Executor | None = None

    def __enter__(self) -> TaskRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _pool(self) -> Executor:
        if self._executor is None:
            self._executor = self._make()
        return self._executor

    def _stop(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def run(
        self,
        function: Callable[[T], R],
        tasks: Sequence[T],
        done: Callable[[R], None] | None = None,
    ) -> list[R]:
        """Return function(task) for every task, in task order. `done` is told of each result as it comes.

        Raises the task's own AdapterError at once, and RunError for a task that fails or kills its worker repeatedly.
        """
        results: dict[int, R] = {}
        strikes = [0] * len(tasks)
        failures = [0] * len(tasks)
        waiting = deque(range(len(tasks)))
        alone: deque[int] = deque()
        running: dict[Future[R], int] = {}
        while waiting or running or alone:
            limit = self._in_flight if waiting or running else 1
            source = waiting or alone
            while source and len(running) < limit:
                i = source.popleft()
                try:
                    running[self._pool().submit(function, tasks[i])] = i
                except BrokenExecutor:
                    source.appendleft(i)
                    self._broken(running, strikes, waiting, alone, tasks)
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                if future not in running:
                    continue
                i = running.pop(future)
                try:
                    result = future.result()
                except BrokenExecutor:
                    running[future] = i
                    self._broken(running, strikes, waiting, alone, tasks)
                    break
                except OSError as e:
                    failures[i] += 1
                    if failures[i] >= ATTEMPTS or e.errno in _FINAL:
                        raise RunError(f"{_name(function, tasks[i])}: {e.strerror or e}") from e
                    waiting.append(i)
                    continue
                if i not in results:
                    results[i] = result
                    if done is not None:
                        done(result)
        return [results[i] for i in range(len(tasks))]

    def _broken(
        self,
        running: dict[Future[R], int],
        strikes: list[int],
        waiting: deque[int],
        alone: deque[int],
        tasks: Sequence[Any],
    ) -> None:
        """Put every task in flight back; which of them killed the worker cannot be told unless it ran alone."""
        self._stop()
        single = len(running) == 1
        for i in sorted(running.values()):
            strikes[i] += 1
            if strikes[i] >= 3 and single:
                running.clear()
                raise RunError(f"{_name(None, tasks[i])} killed its worker {strikes[i]} times, the last time alone")
            (alone if strikes[i] >= 2 else waiting).append(i)
        running.clear()


_FINAL = {28}  # ENOSPC: a full disk does not empty by itself


def _name(function: Callable[..., Any] | None, task: Any) -> str:
    label = getattr(task, "label", None)
    what = getattr(function, "__name__", "task")
    return f"{what} {label}" if label else what

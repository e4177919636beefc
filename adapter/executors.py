"""Runs tasks on anything with the shape of concurrent.futures.Executor, and survives what executors do wrong.

A killed worker breaks a process pool and with it every task in flight; Dask repeats tasks by itself; both may deliver
late or twice. So the retries are ours: bounded submissions in flight, a new pool after a break, a task that was in
flight at two breaks runs alone, and a task that breaks the pool alone is reported by name, after all others have ended.
Results come in task order.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass, field
from multiprocessing import connection
from threading import Thread
from types import ModuleType
from typing import Any, TypeVar

from adapter.errors import AdapterError, RunError

T = TypeVar("T")
R = TypeVar("R")
ATTEMPTS = 3
FINAL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""System errors that do not go away by trying again: a full disk does not empty by itself."""
LONGEST_TEMPORARY = 60


class InlineExecutor(Executor):
    """Runs every task at once in this process: one worker without a pool."""

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        future: Future[R] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except (AdapterError, OSError, MemoryError) as e:
            future.set_exception(e)
        return future


class _Pool(ProcessPoolExecutor):
    """A process pool whose workers never import the caller's main module.

    They do not need it: every task lives in adapter. Importing it would run a plain script (no `if __name__ == ...`)
    again in each worker, and fails where the program came from standard input.
    """

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        # processes are started by submit: what they are told of the main module is read from here, and whether they
        # heed Ctrl-C is inherited; it is for the driver to stop them
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            sys.modules["__main__"] = main
            signal.pthread_sigmask(signal.SIG_SETMASK, before)  # a Ctrl-C that came meanwhile is heeded now


def process_pool(workers: int) -> Executor:
    """Return a pool of fresh processes; never plain fork, which copies the threads of Arrow half."""
    # a fork server listens in the temporary folder; the name of a socket may have about a hundred bytes
    method = "forkserver" if len(os.fsencode(tempfile.gettempdir())) <= LONGEST_TEMPORARY else "spawn"
    return _Pool(workers, mp_context=multiprocessing.get_context(method), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Let a worker end when its driver is killed: it would wait for its next task for ever, memory and all."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def local_executor(workers: int) -> Callable[[], Executor]:
    return InlineExecutor if workers == 1 else lambda: process_pool(workers)


@dataclass(slots=True)
class _Batch:
    """Where the tasks of one batch stand, by number. `waiting` run together, `alone` one at a time after them."""

    waiting: deque[int]
    alone: deque[int]
    strikes: list[int]
    failures: list[int]
    running: dict[Future[Any], int] = field(default_factory=dict)
    killers: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, n: int) -> _Batch:
        return cls(deque(range(n)), deque(), [0] * n, [0] * n)


class TaskRunner:
    """Runs batches of tasks; one runner serves a whole build and keeps its pool between batches."""

    def __init__(self, make: Callable[[], Executor], in_flight: int) -> None:
        self._make = make
        self._in_flight = max(1, in_flight)
        self._executor: Executor | None = None
        self._idle_breaks = 0

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

        Raises the task's own AdapterError at once; RunError for a task that fails again and again, and, when all others
        have ended, for one that kills its worker every time.
        """
        batch = _Batch.of(len(tasks))
        results: dict[int, R] = {}
        while batch.waiting or batch.running or batch.alone:
            self._submit(function, tasks, batch)
            finished, _ = wait(batch.running, return_when=FIRST_COMPLETED)
            for future in finished:
                if future not in batch.running:  # the pool broke on another one of this round
                    continue
                try:
                    result = future.result()
                except BrokenExecutor:
                    self._broken(batch)
                    continue
                except (CancelledError, OSError, MemoryError) as e:
                    i = batch.running.pop(future)
                    batch.failures[i] += 1
                    if batch.failures[i] >= ATTEMPTS or getattr(e, "errno", None) in FINAL:
                        raise RunError(f"{_name(function, tasks[i])}: {_cause(e)}") from e
                    batch.waiting.append(i)
                    continue
                i = batch.running.pop(future)
                self._idle_breaks = 0
                results[i] = result
                if done is not None:
                    done(result)
        if batch.killers:
            names = ", ".join(_name(function, tasks[i]) for i in sorted(batch.killers))
            raise RunError(
                f"{names}: killed the worker {ATTEMPTS} times, the last time running alone (out of memory?); "
                f"expected a result; the other {len(tasks) - len(batch.killers)} tasks of this step ended well"
            )
        return [results[i] for i in range(len(tasks))]

    def _submit(self, function: Callable[[T], R], tasks: Sequence[T], batch: _Batch) -> None:
        """Fill up to the limit; a suspect task only when nothing else is in flight, and nothing beside it."""
        while (batch.waiting and len(batch.running) < self._in_flight) or (batch.alone and not batch.running):
            source = batch.waiting or batch.alone
            i = source.popleft()
            try:
                batch.running[self._pool().submit(function, tasks[i])] = i
            except BrokenExecutor as e:
                source.appendleft(i)
                if not batch.running:  # the pool was dead before this batch gave it anything
                    self._idle_breaks += 1
                    if self._idle_breaks >= ATTEMPTS:
                        raise RunError(f"no worker can be started: {e or type(e).__name__}") from e
                self._broken(batch)

    def _broken(self, batch: _Batch) -> None:
        """Put every task in flight back; which of them killed the worker cannot be told unless it ran alone."""
        self._stop()
        single = len(batch.running) == 1
        for i in sorted(batch.running.values()):
            batch.strikes[i] += 1
            if single and batch.strikes[i] >= ATTEMPTS:
                batch.killers.append(i)
            else:
                (batch.alone if batch.strikes[i] >= ATTEMPTS - 1 else batch.waiting).append(i)
        batch.running.clear()


def _cause(e: BaseException) -> str:
    if isinstance(e, MemoryError):
        return "out of memory; give it fewer workers or a larger machine"
    if isinstance(e, CancelledError):
        return "cancelled by the executor again and again"
    where = f" ({e.filename})" if isinstance(e, OSError) and e.filename else ""
    return f"{getattr(e, 'strerror', None) or e}{where}"


def _name(function: Callable[..., Any], task: Any) -> str:
    label = getattr(task, "label", None)
    what = getattr(function, "__name__", "task")
    return f"{what} {label}" if label else what

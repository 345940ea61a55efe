"""Where trials run: in this process, in others on this machine, or on a Ray cluster. All take tasks and give outcomes back.

A worker is a whole Python of its own that keeps the markets it has read for its next trial.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Protocol

from mmd.backtest.errors import BacktestError
from mmd.backtest.experiment import Experiment, Outcome, outcome

Task = tuple[Experiment, ...]
"""The runs of one trial, one a window."""


class Workers(Protocol):
    """Tasks by their number. `slots`: how many at a time are worth having under way."""

    slots: int

    def submit(self, number: int, task: Task) -> None:
        """Begin."""

    def next_done(self) -> tuple[int, list[Outcome]]:
        """Wait for any. Raises `BacktestError` where a worker died."""

    def close(self) -> None:
        """End what is under way."""


def perform_task(task: Task) -> list[Outcome]:
    """All runs of a trial, in order, until one fails."""
    found: list[Outcome] = []
    for experiment in task:
        found.append(outcome(experiment))
        if found[-1].report is None:
            break
    return found


class LocalWorkers:
    """Processes of this machine, at a lower priority so that whoever sits at it can go on."""

    def __init__(self, jobs: int, perform: Callable[[Task], list[Outcome]] = perform_task) -> None:
        self.slots = jobs
        self._perform = perform
        self._pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_be_nice)
        self._running: dict[Future[list[Outcome]], int] = {}

    def submit(self, number: int, task: Task) -> None:
        """Begin."""
        self._running[self._pool.submit(self._perform, task)] = number

    def next_done(self) -> tuple[int, list[Outcome]]:
        """Wait for any. Raises `BacktestError` where a process died."""
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        future = done.pop()
        number = self._running.pop(future)
        try:
            return number, future.result()
        except BrokenProcessPool as error:
            raise BacktestError("a worker died (killed, or out of memory): give fewer --jobs; the same command goes on") from error

    def close(self) -> None:
        """End what is under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class RayWorkers:
    """A Ray cluster at `address` (`auto`, `HOST:PORT`, `ray://HOST:PORT`; `local` starts one here).

    Its machines need mmd with the extra `ray`, and the data at the same places. Raises `BacktestError` where it cannot be reached.
    """

    def __init__(self, address: str, perform: Callable[[Task], list[Outcome]] = perform_task) -> None:
        try:
            import ray
        except ImportError as error:
            raise BacktestError("ray is not installed: pip install 'mmd[ray]'") from error
        self._ray: Any = ray
        _knock(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", ignore_reinit_error=True)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise BacktestError(f"--ray {address}: no cluster there ({error}); start one with `ray start --head`") from error
        self.slots = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._perform = ray.remote(num_cpus=1, max_retries=2)(perform)
        self._running: dict[Any, int] = {}

    def submit(self, number: int, task: Task) -> None:
        """Begin."""
        self._running[self._perform.remote(task)] = number

    def next_done(self) -> tuple[int, list[Outcome]]:
        """Wait for any. Raises `BacktestError` where a worker died, after Ray has tried again elsewhere."""
        done, _ = self._ray.wait(list(self._running), num_returns=1)
        number = self._running.pop(done[0])
        try:
            found: list[Outcome] = self._ray.get(done[0])
        except self._ray.exceptions.RayError as error:
            raise BacktestError(f"trial {number} failed on the cluster: {error}; the same command goes on") from error
        return number, found

    def close(self) -> None:
        """Leave the cluster."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()


def _knock(address: str) -> None:
    """Ray itself ends the whole program after minutes where nobody answers."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10.0).close()
    except OSError as error:
        raise BacktestError(f"--ray {address}: no cluster there ({error}); start one with `ray start --head`") from error


def _be_nice() -> None:
    os.nice(10)

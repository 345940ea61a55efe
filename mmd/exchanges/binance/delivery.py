"""The way of events to the core, warnings about the wire, and the tasks of an adapter: nothing that goes wrong here is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from mmd.exchanges.adapter import Event, EventSink, FailureHandler
from mmd.types.market import BatchEnd

log = structlog.get_logger(__name__)

_QUIET_NS = 5_000_000_000


class EventOutlet:
    """Hands events to the sink. What the sink raises goes to `on_failure`; it must not tear down the connection it came from."""

    def __init__(self, on_failure: FailureHandler) -> None:
        self._on_failure = on_failure
        self._sink: EventSink | None = None

    def open(self, sink: EventSink) -> None:
        """From here on events go to `sink`."""
        self._sink = sink

    def close(self) -> None:
        """Deliver nothing any more."""
        self._sink = None

    def __call__(self, event: Event) -> None:
        """Deliver now."""
        if self._sink is None:
            return
        try:
            self._sink(event)
        except Exception as error:  # noqa: BLE001 (reported: the daemon halts on it)
            self._on_failure(error, f"the core, on {type(event).__name__}")

    def batch(self, events: list[Event], receive_ns: int) -> None:
        """Deliver events that came by no stream, and the end of their batch."""
        for event in events:
            self(event)
        self(BatchEnd(receive_ns))

    def soon(self, events: list[Event], receive_ns: int) -> None:
        """The same from the event loop's next turn: for `send`, which the core's own shell may be calling right now."""
        asyncio.get_running_loop().call_soon(self.batch, events, receive_ns)


class Complaints:
    """Warnings, at most one every five seconds of each kind and channel; the next one says how many were held back."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._last_ns: dict[str, int] = {}
        self._held_back: dict[str, int] = {}

    def __call__(self, kind: str, **details: object) -> None:
        """Warn. `kind` is one of a handful of fixed texts, and so is the detail `channel`."""
        now_ns = self._clock_ns()
        key = f"{details.get('channel', '')}: {kind}"
        if abs(now_ns - self._last_ns.get(key, -_QUIET_NS)) < _QUIET_NS:
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return
        self._last_ns[key] = now_ns
        log.warning(kind, held_back=self._held_back.pop(key, 0), **details)


class Tasks:
    """The tasks an adapter owns. One that dies by an exception is reported to `on_failure`."""

    def __init__(self, on_failure: FailureHandler) -> None:
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` until it ends or `close` is called."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error, f"task {task.get_name()}")

    async def close(self) -> None:
        """Cancel all and wait for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

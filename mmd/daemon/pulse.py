"""The daemon's heartbeat: a timer on the event loop that gives the core its time, and looks after what hangs on time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from mmd.daemon.collection import CollectionSchedule
from mmd.daemon.dispatcher import Dispatcher
from mmd.daemon.guard_presence import GuardPresence
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.heartbeat import Heartbeat, Life
from mmd.daemon.latency import LatencyHistogram
from mmd.daemon.loop_watch import StallWatchdog
from mmd.types.control import HaltRequest, Timer
from mmd.types.report import TraderReport

SECOND_NS = 1_000_000_000
REPORT_SECONDS = 0.25
RETRY_SECONDS = 0.5
"""Between two tries to write what the disk would not take."""


class PulseParts(msgspec.Struct, frozen=True):
    """What the timer looks after."""

    dispatcher: Dispatcher
    halt_file: HaltFile
    watchdog: StallWatchdog
    collection: CollectionSchedule
    loop_lag: LatencyHistogram
    heartbeat: Heartbeat
    guard: GuardPresence | None
    """Where a guard is required."""


class Pulse:
    """Fires every `interval_seconds` from `start` to `stop`. `on_report` hears the core's report four times a second."""

    def __init__(
        self,
        parts: PulseParts,
        *,
        interval_seconds: float,
        clock_ns: Callable[[], int],
        on_report: Callable[[TraderReport], None] | None = None,
    ) -> None:
        self._parts = parts
        self._interval = interval_seconds
        self._clock_ns = clock_ns
        self._on_report = on_report
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._next_report = 0.0
        self._next_retry = 0.0
        self._file_seen = False

    def start(self) -> None:
        """Begin."""
        self._due = self._loop.time() + self._interval
        self._handle = self._loop.call_at(self._due, self._beat)

    def stop(self) -> None:
        """End."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _beat(self) -> None:
        now = self._loop.time()
        parts = self._parts
        parts.loop_lag.record(round((now - self._due) * SECOND_NS))
        # Armed anew before anything else, so that nothing below can end the pulse. Missed beats are not made up for.
        self._due = max(self._due + self._interval, now)
        self._handle = self._loop.call_at(self._due, self._beat)
        parts.watchdog.beat()
        now_ns = self._clock_ns()
        parts.dispatcher.check_journal()
        # A halt from outside comes first: the timer itself may quote.
        self._watch_for_halts(now_ns)
        self._be_heard(now_ns)
        parts.dispatcher(Timer(now_ns))
        if now >= self._next_retry:
            self._next_retry = now + RETRY_SECONDS
            parts.dispatcher.state.retry()
        parts.collection.on_timer(now_ns, parts.dispatcher.last_batch_ns)
        if self._on_report is not None and now >= self._next_report and not parts.dispatcher.failure:
            self._next_report = now + REPORT_SECONDS
            self._on_report(parts.dispatcher.report())

    def _be_heard(self, now_ns: int) -> None:
        parts = self._parts
        try:
            parts.heartbeat.beat(now_ns, Life.CUT_OFF if parts.dispatcher.core.cut_off else Life.RUNNING)
        except OSError as error:
            # The guard will take us for lost, and be right to.
            parts.dispatcher(HaltRequest(now_ns, f"the heartbeat cannot be written: {error}", "core"))
        if parts.guard is not None and (change := parts.guard.change(now_ns)) is not None:
            parts.dispatcher(change)

    def _watch_for_halts(self, now_ns: int) -> None:
        latched = self._parts.halt_file.latched_by_another(now_ns)
        if latched is not None:
            self._parts.dispatcher(HaltRequest(now_ns, latched.reason, latched.actor))
        stall = self._parts.watchdog.take_report()
        if stall:
            self._parts.dispatcher(HaltRequest(now_ns, stall, "watchdog"))
        requested = self._parts.halt_file.operator_request()
        if requested is None:
            self._file_seen = False
        elif not self._file_seen:
            self._file_seen = True
            self._parts.dispatcher(HaltRequest(now_ns, requested, "file"))

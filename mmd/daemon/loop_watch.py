"""A thread that notices when the event loop does not turn: it latches the halt, and clears the market beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic_ns

import structlog

from mmd.daemon.halt_file import HaltFile
from mmd.types.control import HaltRecord

log = structlog.get_logger(__name__)

SECOND_NS = 1_000_000_000
CHECKS_PER_LIMIT = 10


class StallWatchdog:
    """A thread that latches the halt on disk when `beat` was not called for `limit_seconds`, and then calls `clear_market`.

    It can do so while the loop is stuck in a predictor or a system call that never returns. `clock_ns` gives UTC ns.
    `clear_market` is called in the thread, and asked whether to go on by the function it is given; it must raise nothing.
    """

    def __init__(
        self,
        halt_file: HaltFile,
        *,
        limit_seconds: float,
        clock_ns: Callable[[], int],
        clear_market: Callable[[Callable[[], bool]], None],
    ) -> None:
        self._halt_file = halt_file
        self._limit_ns = round(limit_seconds * SECOND_NS)
        self._check_seconds = limit_seconds / CHECKS_PER_LIMIT
        self._clock_ns = clock_ns
        self._clear_market = clear_market
        self._last_beat_ns = monotonic_ns()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mmd stall watchdog", daemon=True)
        self.stalls = 0
        self.report = ""
        """What the newest stall was, until `take_report`."""

    def start(self) -> None:
        """Begin to watch."""
        self.beat()
        self._thread.start()

    def beat(self) -> None:
        """The loop turns."""
        self._last_beat_ns = monotonic_ns()

    def take_report(self) -> str:
        """The text of a stall that is over now, once; else empty."""
        if not self.report:
            return ""
        text, self.report = self.report, ""
        return text

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        reported_beat_ns = -1
        while not self._over.wait(self._check_seconds):
            last_beat_ns = self._last_beat_ns
            silent_ns = monotonic_ns() - last_beat_ns
            if silent_ns > self._limit_ns and last_beat_ns != reported_beat_ns:
                reported_beat_ns = last_beat_ns
                self._stalled(silent_ns)

    def _stalled(self, silent_ns: int) -> None:
        reason = f"the event loop has not turned for {silent_ns / SECOND_NS:.1f} s"
        self.stalls += 1
        try:
            self._halt_file.latch(HaltRecord(halted=True, reason=reason, actor="watchdog", time_ns=self._clock_ns()))
        except OSError as error:
            log.critical("the watchdog cannot write the halt latch", error=str(error))
        self.report = reason
        log.critical("the event loop stalled; the halt latch is set", silent_seconds=round(silent_ns / SECOND_NS, 1))
        stalled_at_ns = self._last_beat_ns
        # Once the loop turns again the core cancels by itself, and knows its orders better.
        self._clear_market(lambda: self._over.is_set() or self._last_beat_ns != stalled_at_ns)

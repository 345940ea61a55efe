"""Garbage is collected when the market is quiet, never in the middle of a tick."""

from __future__ import annotations

import gc
from time import perf_counter_ns

SECOND_NS = 1_000_000_000
QUIET_NS = 5_000_000
"""A market that has sent nothing for so long counts as quiet."""


class CollectionSchedule:
    """Turns the automatic collector off between `start` and `stop`. Reference counting frees nearly everything without it."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_ns = round(interval_seconds * SECOND_NS)
        self._last_ns = 0
        self.collections = 0
        self.total_ns = 0
        self.longest_ns = 0

    def start(self, now_ns: int) -> None:
        """Everything alive now is taken to stay alive."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._last_ns = now_ns

    def stop(self) -> None:
        """Give the collector back to the interpreter."""
        gc.unfreeze()
        gc.enable()

    def on_timer(self, now_ns: int, last_batch_ns: int) -> None:
        """Collect when it is due and the market is quiet; when it is twice overdue, collect anyway."""
        waited_ns = now_ns - self._last_ns
        quiet = now_ns - last_batch_ns > QUIET_NS
        if waited_ns < self._interval_ns or (not quiet and waited_ns < 2 * self._interval_ns):
            return
        self._last_ns = now_ns
        begun_ns = perf_counter_ns()
        gc.collect()
        taken_ns = perf_counter_ns() - begun_ns
        self.collections += 1
        self.total_ns += taken_ns
        self.longest_ns = max(self.longest_ns, taken_ns)

"""Whether a guard is there: the daemon's look at the guard's heartbeat, where it is required to have one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmd.daemon.heartbeat import GUARD_NAME, HeartbeatError, read_heartbeat
from mmd.daemon.heartbeat_watch import Health, HeartbeatWatch
from mmd.types.control import GuardStatus

LOOK_NS = 250_000_000


class GuardPresence:
    """Looks at the file a few times a second. A heartbeat from before our start counts only once it has changed."""

    def __init__(self, state_dir: Path, timeout_seconds: float, monotonic_ns: Callable[[], int]) -> None:
        self._path = state_dir / GUARD_NAME
        self._watch = HeartbeatWatch(timeout_seconds)
        self._monotonic_ns = monotonic_ns
        self._next_look_ns = 0
        self._said: bool | None = None
        self.alive = False

    def change(self, now_ns: int) -> GuardStatus | None:
        """What the core is to be told now, None while nothing has changed."""
        monotonic_ns = self._monotonic_ns()
        if monotonic_ns < self._next_look_ns:
            return None
        self._next_look_ns = monotonic_ns + LOOK_NS
        try:
            beat = read_heartbeat(self._path)
        except (HeartbeatError, OSError):
            beat = None
        self.alive = self._watch.look(beat, monotonic_ns).health is Health.ALIVE and self._watch.changes > 1
        if self.alive is self._said:
            return None
        self._said = self.alive
        return GuardStatus(now_ns, self.alive)

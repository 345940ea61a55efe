"""Is it alive? The rule by which one process judges another's heartbeat, without I/O and with the time from outside."""

from __future__ import annotations

from enum import Enum

import msgspec

from mmd.daemon.heartbeat import Beat, Life

NS_PER_SECOND = 1_000_000_000


class Health(Enum):
    """What is known of the process that is watched."""

    AWAITED = "awaited"
    """It was never seen."""
    ALIVE = "alive"
    LEFT_CLEAN = "left_clean"
    NEVER_TRADED = "never_traded"
    CUT_OFF = "cut_off"
    """It lives, but has not reached the venue for the time-out, with orders open there."""
    LOST = "lost"


class Judgement(msgspec.Struct, frozen=True):
    """`silent_seconds` is the time since its heartbeat last changed, 0 while it was never seen."""

    health: Health
    silent_seconds: float


class HeartbeatWatch:
    """Shown what the file says (`None`: nothing that makes sense) at a monotonic time, ns.

    A file that stands still from the first look on is a process that died before we came: after the time-out it is lost as well.
    A process that left without knowing that its orders were gone is lost at once.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_ns = round(timeout_seconds * NS_PER_SECOND)
        self._last: Beat | None = None
        self._changed_ns = 0
        self._cut_off_since_ns: int | None = None
        self.changes = 0
        """Different records seen; the first may be one that a dead process has left."""

    def look(self, beat: Beat | None, now_ns: int) -> Judgement:
        """Judge."""
        if beat is not None and (self._last is None or _differs(beat, self._last)):
            self._last, self._changed_ns = beat, now_ns
            self.changes += 1
            if beat.life is not Life.CUT_OFF:
                self._cut_off_since_ns = None
            elif self._cut_off_since_ns is None:
                self._cut_off_since_ns = now_ns
        if self._last is None:
            return Judgement(Health.AWAITED, 0.0)
        silent_ns = now_ns - self._changed_ns
        return Judgement(self._health(self._last.life, silent_ns, now_ns), silent_ns / NS_PER_SECOND)

    def _health(self, life: Life, silent_ns: int, now_ns: int) -> Health:
        if life is Life.LEFT_CLEAN:
            return Health.LEFT_CLEAN
        if life is Life.NEVER_TRADED:
            return Health.NEVER_TRADED
        if life is Life.LEFT or silent_ns > self._timeout_ns:
            return Health.LOST
        if self._cut_off_since_ns is not None and now_ns - self._cut_off_since_ns > self._timeout_ns:
            return Health.CUT_OFF
        return Health.ALIVE


def _differs(beat: Beat, last: Beat) -> bool:
    return (beat.process, beat.count, beat.life) != (last.process, last.count, last.life)

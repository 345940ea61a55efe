"""How far the feed lags: receive time minus the venue's stamp, against its own rolling minimum.

Either clock may be off by seconds, so only the excess over the smallest difference of the last minutes means anything. A replaying
venue announces where in the recording it stands and how fast it plays: stamps are then compared with where it should stand by now,
and the lag is counted in our own time, so that the limit means the same at every speed. It is never switched off.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from mmd.risk.limits import RiskLimits, nanoseconds

_BUCKETS: Final = 64
_TURN_NS: Final = 1_000_000_000
"""A replay that announces a place further back than this (of our time) behind what it already sent has turned back."""


class FeedLag:
    """The lag of one feed. Memory is bounded: the window is kept as the minima of at most 65 slices of it."""

    __slots__ = (
        "_anchor_epoch_ns",
        "_anchor_receive_ns",
        "_bucket_ns",
        "_minima",
        "_newest_stamp_ns",
        "_speed",
        "anchors",
        "lag_ns",
    )

    def __init__(self, limits: RiskLimits) -> None:
        self._bucket_ns = max(1, nanoseconds(limits.feed_lag_window_seconds) // _BUCKETS)
        self._minima: deque[tuple[int, int]] = deque()
        self._anchor_receive_ns = 0
        self._anchor_epoch_ns = 0
        self._newest_stamp_ns = 0
        self._speed = 1.0
        self.lag_ns: int | None = None
        """Lag of the newest stamped event in ns of our time; None before the first."""
        self.anchors = 0
        """Times the measure was begun anew because a replay started, turned back or changed its speed."""

    def on_event(self, receive_ns: int, exchange_ns: int) -> None:
        """A market event. `exchange_ns` 0 (no stamp) leaves the lag as it is."""
        if exchange_ns == 0:
            return
        if self.anchors:
            due = self._anchor_epoch_ns - exchange_ns
            difference = receive_ns - self._anchor_receive_ns + (due if self._speed == 1.0 else round(due / self._speed))
        else:
            difference = receive_ns - exchange_ns
        if exchange_ns > self._newest_stamp_ns:
            self._newest_stamp_ns = exchange_ns
        bucket = receive_ns // self._bucket_ns
        minima = self._minima
        while minima and minima[-1][1] >= difference:
            minima.pop()
        # Within one slice only its smallest difference matters, and that one is in the deque already.
        if not minima or minima[-1][0] != bucket:
            minima.append((bucket, difference))
        while minima[0][0] < bucket - _BUCKETS:
            minima.popleft()
        self.lag_ns = difference - minima[0][1]

    def on_announcement(self, receive_ns: int, epoch_ns: int, speed: float) -> None:
        """A replaying venue stands at `epoch_ns` of its recording and plays `speed` seconds a second. Raises ValueError if not > 0.

        Repeated announcements of the same course move nothing: one that came late would hide the very lag it suffered from.
        """
        if not 0 < speed < float("inf"):
            raise ValueError(f"replay speed {speed} makes no sense: expected a number above zero")
        if self.anchors and speed == self._speed and epoch_ns >= self._newest_stamp_ns - _TURN_NS * speed:
            self._newest_stamp_ns = max(self._newest_stamp_ns, epoch_ns)
            return
        self.anchors += 1
        self._anchor_receive_ns, self._anchor_epoch_ns, self._newest_stamp_ns = receive_ns, epoch_ns, epoch_ns
        self._speed = speed
        self._minima.clear()

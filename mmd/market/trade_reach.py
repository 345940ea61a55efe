"""How far from the mid the market trades now and then: the distance that trades reach in one second of `EVERY_SECONDS`.

Quotes that stand there trade about as often in any instrument, whatever its tick, its spread and how busy it is; a multiple of
volatility does not do that. It is followed as it moves (Robbins and Monro, A stochastic approximation method, 1951, on a log
scale): after each second in which a trade got as far, the distance grows by the share `STEP`, after each other one it shrinks by
`STEP / EVERY_SECONDS`. Where nothing trades publicly it stays unknown. Nothing here reads a clock.
"""

from __future__ import annotations

from math import exp

NS_PER_SECOND = 1_000_000_000
EVERY_SECONDS = 60.0
STEP = 0.05
SHRINKING = STEP / EVERY_SECONDS
LEAST_SECONDS = 60
"""With trades, before the distance is believed."""
MOST_IDLE_SECONDS = 600
"""What a pause counts at most: a night says nothing of the day."""
LEAST_TICKS = 0.25


class TradeReach:
    """One symbol. Ticks."""

    __slots__ = ("_distance", "_furthest", "_mid", "_second", "_seen", "ticks")

    def __init__(self) -> None:
        self._second = -1
        self._mid = 0.0
        self._furthest = 0.0
        self._distance = 0.0
        self._seen = 0
        self.ticks = 0.0
        """The distance; 0 while it is not known."""

    def on_trade(self, receive_ns: int, price_ticks: int, mid_ticks: float) -> None:
        """A public trade, and the mid before it."""
        second = receive_ns // NS_PER_SECOND
        if second != self._second:
            if self._second >= 0:
                self._close(second - self._second - 1)
            self._second, self._mid, self._furthest = second, mid_ticks, 0.0
        distance = price_ticks - self._mid
        if distance < 0.0:
            distance = -distance
        if distance > self._furthest:
            self._furthest = distance

    def _close(self, idle_seconds: int) -> None:
        """The second that had trades, and those after it that had none."""
        furthest, distance = self._furthest, self._distance
        if self._seen == 0:
            distance = furthest
        log_change = STEP - SHRINKING if furthest >= distance else -SHRINKING
        log_change -= SHRINKING * max(0, min(idle_seconds, MOST_IDLE_SECONDS))
        distance *= exp(log_change)
        self._distance = distance if distance > LEAST_TICKS else LEAST_TICKS
        self._seen += 1
        if self._seen >= LEAST_SECONDS:
            self.ticks = self._distance

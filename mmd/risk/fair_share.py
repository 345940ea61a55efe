"""One account's order budget among its symbols: while it is scarce, none uses more than an equal part of it to improve a quote."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from mmd.risk.limits import NS_PER_SECOND

_WINDOW_NS: Final = 10 * NS_PER_SECOND
SCARCE: Final = 0.5
"""Share of the pressure at which orders wait from which on each symbol is held to its part."""


class FairShare:
    """Counts the orders of each symbol in the last 10 s. Bounded by that and by the budget itself."""

    __slots__ = ("_part", "_recent")

    def __init__(self, orders_per_10s: int, symbols: Iterable[str]) -> None:
        self._recent: dict[str, deque[int]] = {symbol: deque(maxlen=orders_per_10s) for symbol in symbols}
        self._part = orders_per_10s / max(1, len(self._recent))

    def record(self, symbol: str, now_ns: int) -> None:
        """An order of the symbol is about to leave."""
        recent, oldest = self._recent[symbol], now_ns - _WINDOW_NS
        # Here too, for while the budget is ample nobody asks.
        while recent and recent[0] <= oldest:
            recent.popleft()
        recent.append(now_ns)

    def waits(self, symbol: str, now_ns: int, pressure: float, threshold: float) -> bool:
        """Whether an order that waits at `threshold` of the whole budget has to wait for the others' sake.

        `pressure` is the share of the whole budget in use. With one symbol it never has to.
        """
        if len(self._recent) < 2 or pressure < SCARCE * threshold:
            return False
        recent, oldest = self._recent[symbol], now_ns - _WINDOW_NS
        while recent and recent[0] <= oldest:
            recent.popleft()
        return len(recent) >= threshold * self._part

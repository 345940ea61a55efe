"""How long our orders have stood on both sides, on one, or on none: what a market maker is measured by.

Looked at by the timer, so to the width of its interval; an order stands from the venue's acknowledgement until it is known to be
over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mmd.execution.order_index import OneSide
from mmd.types.market import Side

SIDES = ("none", "buy", "sell", "both")
LONGEST_NS = 1_000_000_000
"""Of one look; what passed beyond that, while we stood still, is nobody's time."""


class PresenceMeter:
    """Time by symbol, ns. `side` gives the open orders of a symbol and side, as the tracker does."""

    def __init__(self, symbols: Iterable[str], side: Callable[[str, Side], OneSide]) -> None:
        self._side = side
        self._spent_ns = {symbol: [0, 0, 0, 0] for symbol in symbols}
        self._last_ns = 0

    def on_timer(self, now_ns: int) -> None:
        """What stands now has stood since the last look."""
        passed_ns = min(now_ns - self._last_ns, LONGEST_NS) if self._last_ns else 0
        self._last_ns = now_ns
        if passed_ns <= 0:
            return
        for symbol, spent_ns in self._spent_ns.items():
            spent_ns[self._stands(symbol, Side.BUY) + 2 * self._stands(symbol, Side.SELL)] += passed_ns

    def seconds(self, symbol: str) -> dict[str, float]:
        """By `SIDES`."""
        return {name: spent / 1e9 for name, spent in zip(SIDES, self._spent_ns[symbol], strict=True)}

    def _stands(self, symbol: str, side: Side) -> bool:
        return any(order.acknowledged for order in self._side(symbol, side).open.values())

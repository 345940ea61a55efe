"""What quotes that were never sent would have done: filled where somebody traded strictly beyond them, marked at later mids.

No queue is ever passed at a quote's own price, and a quote is filled once at most while it stands: a strict stand-in for orders,
good for comparing two quoters on the same market, not for telling what either would earn.
"""

from __future__ import annotations

from mmd.execution.markout import MarkoutMeter
from mmd.types.market import Side
from mmd.types.orders import Fill


class HypotheticalQuotes:
    """Of one symbol. Prices in ticks, 0 for a side that is not shown."""

    __slots__ = ("_ask_ticks", "_bid_ticks", "_mid_ticks_x2", "_symbol", "fills", "markouts", "quotes")

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._bid_ticks = self._ask_ticks = 0
        self._mid_ticks_x2 = 0
        self.markouts = MarkoutMeter()
        self.quotes = 0
        """Sides shown."""
        self.fills = 0

    def stand(self, bid_ticks: int, ask_ticks: int) -> None:
        """Quotes that stand from now on, in place of those before."""
        self._bid_ticks, self._ask_ticks = bid_ticks, ask_ticks
        self.quotes += (bid_ticks > 0) + (ask_ticks > 0)

    def on_mid(self, now_ns: int, mid_ticks_x2: int) -> None:
        """Twice the mid, from now on."""
        self._mid_ticks_x2 = mid_ticks_x2
        self.markouts.on_mid(now_ns, self._symbol, mid_ticks_x2)

    def on_trade(self, receive_ns: int, price_ticks: int, aggressor: Side) -> None:
        """A public trade."""
        if aggressor is Side.SELL:
            if price_ticks < self._bid_ticks:
                self._fill(receive_ns, Side.BUY, self._bid_ticks)
                self._bid_ticks = 0
        elif 0 < self._ask_ticks < price_ticks:
            self._fill(receive_ns, Side.SELL, self._ask_ticks)
            self._ask_ticks = 0

    def interrupt(self, now_ns: int) -> None:
        """The market is not known: nothing stands, and horizons that pass meanwhile are not measured."""
        self._bid_ticks = self._ask_ticks = 0
        self.markouts.on_invalid(now_ns, self._symbol)

    def markouts_bps(self) -> dict[str, float]:
        """Mean by horizon."""
        return self.markouts.mean_bps(self._symbol)

    def _fill(self, receive_ns: int, side: Side, price_ticks: int) -> None:
        self.fills += 1
        fill = Fill(receive_ns, self._symbol, self.fills, "", 0, side, price_ticks, 1, 0, "", True, receive_ns)
        self.markouts.on_fill(fill, self._mid_ticks_x2)

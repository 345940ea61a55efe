"""Which changes of the market count as a step, and what traded between two of them.

A step is one change of the touch (price or size) or one public trade, conflated by `step_min_interval_ns` of receive time: within
the interval after a step changes only accumulate, and the first change at or after its end makes the next step. Whether there is a
step depends on the sequence of changes alone, never on batches, timers or calls without a change; so it is the same everywhere.
"""

from __future__ import annotations

from typing import Final, Protocol

from mmd.market.feature_settings import FeatureSettings
from mmd.types.market import MarketTrade, Side

NO_STEP_YET: Final = -(1 << 62)
BUY: Final = Side.BUY
"""A look into the enumeration at each trade would cost more than all the rest."""


class Touch(Protocol):
    """What a step builder looks at in an order book: prices in ticks, quantities in lots."""

    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int
    valid: bool


class StepBuilder:
    """Of one symbol. The totals since the last step can be read when a call returned True; the next call begins them anew."""

    __slots__ = (
        "_ask_lots", "_ask_ticks", "_bid_lots", "_bid_ticks", "_due_from_ns", "_interval_ns", "_seen", "_taken",
        "buy_lots", "sell_lots", "steps", "trade_count", "traded_ticks_lots",
    )  # fmt: skip

    def __init__(self, settings: FeatureSettings | None = None) -> None:
        self._interval_ns = (settings if settings is not None else FeatureSettings()).step_min_interval_ns
        self.steps = 0
        """Steps since the start or the last reset."""
        self._seen = False
        self._bid_ticks = self._bid_lots = self._ask_ticks = self._ask_lots = 0
        self._due_from_ns = NO_STEP_YET
        self._taken = False
        self.buy_lots = 0
        """Lots bought by aggressors since the step before."""
        self.sell_lots = 0
        """Lots sold by aggressors since the step before."""
        self.trade_count = 0
        self.traded_ticks_lots = 0
        """Sum of price x quantity of the trades, ticks x lots."""

    def on_touch(self, book: Touch, receive_ns: int) -> bool:
        """After an event of the book; one that left the touch alone changes nothing. True: make a step now.

        An invalid book makes no step; the touch with which it becomes valid again counts as changed.
        """
        if not book.valid:
            self._seen = False
            return False
        bid_ticks, bid_lots, ask_ticks, ask_lots = book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots
        if (
            bid_lots == self._bid_lots
            and ask_lots == self._ask_lots
            and bid_ticks == self._bid_ticks
            and ask_ticks == self._ask_ticks
            and self._seen
        ):
            return False
        self._bid_ticks, self._bid_lots, self._ask_ticks, self._ask_lots = bid_ticks, bid_lots, ask_ticks, ask_lots
        self._seen = True
        if self._taken:
            self._begin()
        return self._step(receive_ns)

    def on_trade(self, trade: MarketTrade) -> bool:
        """After a public trade. True: make a step now. Before the book is valid trades only accumulate."""
        if self._taken:
            self._begin()
        lots = trade.lots
        if trade.aggressor is BUY:
            self.buy_lots += lots
        else:
            self.sell_lots += lots
        self.trade_count += 1
        self.traded_ticks_lots += trade.price_ticks * lots
        return self._seen and self._step(trade.receive_ns)

    def reset(self) -> None:
        """After a resync or a session gap: forget the touch and what has traded since the last step."""
        self._seen = False
        self._bid_ticks = self._bid_lots = self._ask_ticks = self._ask_lots = 0
        self._due_from_ns = NO_STEP_YET
        self.steps = 0
        self._begin()

    def _step(self, receive_ns: int) -> bool:
        if receive_ns < self._due_from_ns:
            return False
        self._due_from_ns = receive_ns + self._interval_ns if self._interval_ns else NO_STEP_YET
        self.steps += 1
        self._taken = True
        return True

    def _begin(self) -> None:
        self._taken = False
        if self.trade_count:
            self.buy_lots = self.sell_lots = self.trade_count = self.traded_ticks_lots = 0

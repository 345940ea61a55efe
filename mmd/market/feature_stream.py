"""From book and trades to feature rows: step builder, features and ring of one symbol tied together, for every shell alike."""

from __future__ import annotations

from typing import Final, Protocol

from mmd.market.feature_settings import FeatureSettings
from mmd.market.features import MarketFeatures
from mmd.market.ring import FeatureRing
from mmd.market.steps import StepBuilder, Touch
from mmd.types.market import MarketTrade

DEPTH_LEVELS: Final = 5


class Depth(Touch, Protocol):
    """What a feature stream looks at: an order book, or what a file says of one."""

    def best_lots(self, count: int) -> tuple[int, int]:
        """Lots of the best `count` bids and asks, of as many as there are."""


class FeatureStream:
    """Feed it every event of the symbol after the book has taken it in; each call that returns True has made one row."""

    __slots__ = ("builder", "features", "ring")

    def __init__(self, settings: FeatureSettings | None = None) -> None:
        settings = settings if settings is not None else FeatureSettings()
        self.builder = StepBuilder(settings)
        self.features = MarketFeatures(settings)
        self.ring = FeatureRing(settings.ring_steps, len(MarketFeatures.NAMES))

    def on_book(self, book: Depth, receive_ns: int) -> bool:
        """After an event of the book, UTC ns. True: `features.values` and `ring` hold a new row."""
        if not self.builder.on_touch(book, receive_ns):
            return False
        self._row(book, receive_ns)
        return True

    def on_trade(self, trade: MarketTrade, book: Depth) -> bool:
        """After a public trade. True: there is a new row."""
        if not self.builder.on_trade(trade):
            return False
        self._row(book, trade.receive_ns)
        return True

    def reset(self) -> None:
        """After a resync or a session gap: everything begins anew."""
        self.builder.reset()
        self.features.reset()
        self.ring.reset()

    def _row(self, book: Depth, receive_ns: int) -> None:
        steps = self.builder
        bid_lots_5, ask_lots_5 = book.best_lots(DEPTH_LEVELS)
        self.ring.push(
            self.features.update(
                receive_ns,
                book.bid_ticks,
                book.bid_lots,
                book.ask_ticks,
                book.ask_lots,
                bid_lots_5,
                ask_lots_5,
                steps.buy_lots,
                steps.sell_lots,
                steps.trade_count,
                steps.traded_ticks_lots,
            )
        )

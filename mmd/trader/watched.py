"""A reference symbol: its market is followed (book, steps, features) as a quoted symbol's is, but it has no orders and no money.

What it tells is an input to the quotes of others; that its book is invalid pauses nobody by itself.
"""

from __future__ import annotations

from mmd.market.book import OrderBook
from mmd.market.feature_stream import FeatureStream
from mmd.market.reference import AssetFeed
from mmd.risk.feed_lag import FeedLag
from mmd.risk.limits import RiskLimits
from mmd.types.instrument import Instrument
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, TouchUpdate


class WatchedSymbol:
    """One reference symbol. Prices in ticks, quantities in lots."""

    __slots__ = ("_gap_ns", "_interrupted", "_last_ns", "book", "feed", "feed_lag", "instrument", "steps", "stream", "ticks")

    def __init__(self, instrument: Instrument, limits: RiskLimits, session_gap_seconds: float) -> None:
        self.instrument = instrument
        self.book = OrderBook(instrument.symbol)
        self.stream = FeatureStream()
        self.feed: AssetFeed | None = None
        """Through which networks look at it; None where nobody does."""
        self.feed_lag = FeedLag(limits)
        self.ticks = 0
        """Market data messages taken in."""
        self.steps = 0
        self._gap_ns = round(session_gap_seconds * 1e9)
        self._last_ns = 0
        self._interrupted = False

    def on_event(self, event: TouchUpdate | DepthUpdate | DepthSnapshot | MarketTrade) -> None:
        """Any event of the symbol's market."""
        if isinstance(event, DepthSnapshot):
            self.book.on_depth_snapshot(event)
            self._seen(event.receive_ns)
            return
        self.ticks += 1
        self.feed_lag.on_event(event.receive_ns, event.exchange_ns)
        if isinstance(event, MarketTrade):
            if self.book.valid and self.stream.on_trade(event, self.book):
                self._stepped(event.receive_ns)
            return
        changed = self.book.on_touch_update(event) if isinstance(event, TouchUpdate) else self.book.on_depth_update(event)
        if changed:
            self._seen(event.receive_ns)

    def invalidate(self, reason: str) -> None:
        """The feed broke: the book begins anew, and after a longer gap the features too."""
        self.book.invalidate(reason)
        self._lost()

    def _seen(self, receive_ns: int) -> None:
        if not self.book.valid:
            self._lost()
            return
        if self._interrupted:
            self._interrupted = False
            if receive_ns - self._last_ns > self._gap_ns:
                self.stream.reset()
        if self.stream.on_book(self.book, receive_ns):
            self._stepped(receive_ns)

    def _lost(self) -> None:
        self._interrupted = True
        if self.feed is not None:
            self.feed.reset()

    def _stepped(self, receive_ns: int) -> None:
        self.steps += 1
        self._last_ns = receive_ns
        feed, features, book = self.feed, self.stream.features, self.book
        if feed is not None and features.warm:
            sigma_ticks = features.sigma_ticks(feed.horizon_seconds)
            feed.on_row(receive_ns, features.values, book.bid_ticks + book.ask_ticks, sigma_ticks)

"""The witness's view of the market: what the process was told, how old and late it is, and what the exchange's book truly was."""

from __future__ import annotations

from typing import Any

from mmd.simulation.exchange import SimulatedExchange
from mmd.simulation.invariants import Violation
from mmd.simulation.process import SimulatedProcess
from mmd.types.market import DepthSnapshot, DepthUpdate, FeedState, FeedStatus, MarketTrade, Side, TouchUpdate


class MarketAudit:
    """Of one run of the process."""

    def __init__(self, exchange: SimulatedExchange, process: SimulatedProcess) -> None:
        self._exchange = exchange
        self._process = process
        limits = process.config.risk
        self._max_age_ns = round(limits.max_data_age_seconds * 1e9)
        self._max_lag_ns = round(limits.max_feed_lag_ms * 1e6)
        self._feed_up = False
        self._newest_ns: dict[str, int] = {}
        self._least_lag_ns: dict[str, int] = {}
        self._lag_ns: dict[str, int] = {}

    def before(self, event: Any) -> None:
        """The process is about to hear this."""
        kind = type(event)
        if kind is FeedStatus:
            self._feed_up = event.state is FeedState.CONNECTED
            return
        if kind in (TouchUpdate, DepthUpdate, DepthSnapshot):
            self._newest_ns[event.symbol] = event.receive_ns
        if kind in (DepthUpdate, MarketTrade):
            late = event.receive_ns - event.exchange_ns
            least = min(late, self._least_lag_ns.get(event.symbol, late))
            self._least_lag_ns[event.symbol] = least
            self._lag_ns[event.symbol] = late - least

    def after(self, event: Any) -> None:
        """A book that claims to be valid is the exchange's own."""
        book = self._process.trader.desks[event.symbol].book
        if not book.valid:
            return
        if not self._feed_up:
            # A snapshot that was under way when the feed broke: true, and of no use while that is down.
            return
        touch = (book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots)
        # A process that stood still hears late of an exchange that has come up anew since.
        lives = range(self._exchange.life, -1, -1)
        truths = {life: self._exchange.touches.get((life, event.symbol, book.touch_update_id)) for life in lives}
        life = next((life for life, truth in truths.items() if truth == touch), None)
        if life is None:
            raise Violation("book", f"{event.symbol} at {book.touch_update_id}: touch {touch}, at the exchange {truths}")
        whole = self._exchange.books.get((life, event.symbol, book.update_id))
        if type(event) is TouchUpdate or whole is None:
            return
        for side, levels in zip((Side.BUY, Side.SELL), whole, strict=True):
            for price, lots in book.levels(side, 5)[1:]:
                if levels.get(price) != lots and self._is_no_newer_than_depth(book):
                    raise Violation(
                        "book", f"{event.symbol} at {book.update_id}: {lots} {side.name} at {price}, truly {levels.get(price)}"
                    )

    @staticmethod
    def _is_no_newer_than_depth(book: Any) -> bool:
        return bool(book.touch_update_id == book.update_id)

    def why_no_quote(self, symbol: str, now_ns: int) -> str:
        """Why none may stand or leave; empty when it may."""
        if not self._feed_up:
            return "the market feed is down"
        if not self._process.trader.desks[symbol].book.valid:
            return "the book is invalid"
        newest_ns = self._newest_ns.get(symbol)
        if newest_ns is None or now_ns - newest_ns > self._max_age_ns:
            return "the market data is too old"
        if self._lag_ns.get(symbol, 0) > self._max_lag_ns:
            return "the feed lags"
        return ""

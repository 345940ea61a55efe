"""Books and trades of a venue through ccxt, as our market events.

ccxt hands over whole books and says nothing of sequence. So each book is compared with the one before, the difference is the diff,
and the diffs are numbered here: a snapshot is this room's own newest book.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from mmd.exchanges.adapter import Event
from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.ccxt.markets import SIDES, whole_id
from mmd.types.instrument import Instrument
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, FeedState, FeedStatus, Level, MarketTrade

_NS_PER_MS = 1_000_000


class MarketFeed:
    """The market of one symbol. `name` is ccxt's; without streams the venue is asked every `poll_seconds`."""

    def __init__(
        self,
        client: Any,
        instrument: Instrument,
        name: str,
        surroundings: Surroundings,
        backoff: Backoff,
        errors: Any,
        *,
        poll_seconds: float,
        depth: int,
    ) -> None:
        self._client = client
        self._instrument = instrument
        self._name = name
        self._surroundings = surroundings
        self._backoff = backoff
        self._errors = errors
        self._poll_seconds = poll_seconds
        self._depth = depth
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._number = 0
        self._up = False
        self._snapshot_wanted = False
        self._last_trade_id = NO_UPDATE_ID

    async def follow_book(self) -> None:
        """Until cancelled."""
        while True:
            try:
                book = await self._next_book()
            except self._errors.BaseError as error:
                self._down(f"{type(error).__name__}: {str(error)[:200]}")
                await asyncio.sleep(self._backoff.next_delay())
                continue
            receive_ns = self._surroundings.clock_ns()
            self._surroundings.counters.frames += 1
            if not self._up:
                self._up = True
                self._backoff.reset()
                status = FeedStatus(receive_ns, FeedState.CONNECTED, (self._instrument.symbol,))
                self._surroundings.outlet.batch([status], receive_ns)
            self._take(book, receive_ns)

    async def follow_trades(self) -> None:
        """Until cancelled. A venue that offers its trades neither way has none here."""
        if not (self._client.has.get("watchTrades") or self._client.has.get("fetchTrades")):
            return
        while True:
            try:
                trades = await self._next_trades()
            except self._errors.BaseError as error:
                self._surroundings.complaints("no trades", channel=self._instrument.symbol, detail=str(error)[:200])
                await asyncio.sleep(self._backoff.next_delay())
                continue
            self._tell_trades(trades, self._surroundings.clock_ns())

    def request_snapshot(self) -> None:
        """The book as it is, from the event loop's next turn; after an outage, once there is one again."""
        if self._up:
            now_ns = self._surroundings.clock_ns()
            self._surroundings.outlet.soon([self._snapshot(now_ns)], now_ns)
        else:
            self._snapshot_wanted = True

    def _snapshot(self, receive_ns: int) -> DepthSnapshot:
        bids, asks = sorted(self._bids.items(), reverse=True), sorted(self._asks.items())
        return DepthSnapshot(self._instrument.symbol, receive_ns, self._number, tuple(bids), tuple(asks))

    async def _next_book(self) -> Mapping[str, Any]:
        if self._client.has.get("watchOrderBook"):
            book: Mapping[str, Any] = await self._client.watch_order_book(self._name)
            return book
        if self._up:
            await asyncio.sleep(self._poll_seconds)
        book = await self._client.fetch_order_book(self._name, self._depth)
        return book

    async def _next_trades(self) -> Sequence[Mapping[str, Any]]:
        if self._client.has.get("watchTrades"):
            trades: Sequence[Mapping[str, Any]] = await self._client.watch_trades(self._name)
            return trades
        await asyncio.sleep(self._poll_seconds)
        trades = await self._client.fetch_trades(self._name)
        return trades

    def _down(self, detail: str) -> None:
        self._surroundings.complaints("market data failed", channel=self._instrument.symbol, detail=detail)
        self._surroundings.counters.connect_failures += 1
        if not self._up:
            return
        self._up = False
        self._bids, self._asks = {}, {}
        self._surroundings.counters.reconnects += 1
        now_ns = self._surroundings.clock_ns()
        status = FeedStatus(now_ns, FeedState.DISCONNECTED, (self._instrument.symbol,), detail)
        self._surroundings.outlet.batch([status], now_ns)

    def _take(self, book: Mapping[str, Any], receive_ns: int) -> None:
        bids, asks = self._levels(book["bids"]), self._levels(book["asks"])
        bid_changes, ask_changes = _difference(self._bids, bids), _difference(self._asks, asks)
        if not (bid_changes or ask_changes):
            return
        self._bids, self._asks = bids, asks
        self._number += 1
        stamp_ns = int(book.get("timestamp") or 0) * _NS_PER_MS
        events: list[Event] = [
            DepthUpdate(
                self._instrument.symbol, receive_ns, stamp_ns, self._number, self._number, NO_UPDATE_ID, bid_changes, ask_changes
            )
        ]
        if self._snapshot_wanted:
            self._snapshot_wanted = False
            events.append(self._snapshot(receive_ns))
        self._surroundings.outlet.batch(events, receive_ns)

    def _levels(self, side: Sequence[Sequence[float]]) -> dict[int, int]:
        ticks, lots = self._instrument.ticks_per_unit, self._instrument.lots_per_unit
        found = {round(level[0] * ticks): round(level[1] * lots) for level in side[: self._depth]}
        return {price: quantity for price, quantity in found.items() if quantity > 0}

    def _tell_trades(self, trades: Sequence[Mapping[str, Any]], receive_ns: int) -> None:
        events: list[Event] = []
        for trade in trades:
            stamp_ms = int(trade["timestamp"] or 0)
            trade_id = whole_id(trade["id"], stamp_ms)
            if trade_id <= self._last_trade_id:
                continue
            self._last_trade_id = trade_id
            events.append(
                MarketTrade(
                    self._instrument.symbol,
                    receive_ns,
                    stamp_ms * _NS_PER_MS,
                    trade_id,
                    round(trade["price"] * self._instrument.ticks_per_unit),
                    round(trade["amount"] * self._instrument.lots_per_unit),
                    SIDES[trade["side"]],
                )
            )
        if events:
            self._surroundings.outlet.batch(events, receive_ns)


def _difference(old: Mapping[int, int], new: Mapping[int, int]) -> tuple[Level, ...]:
    gone = [(price, 0) for price in old if price not in new]
    return (*gone, *[(price, lots) for price, lots in new.items() if old.get(price) != lots])

"""Market events to hftbacktest's: the visible levels of our own book, of two streams one, and the trades, on the exchange's time.

A level that a source stops showing because its window of levels has moved is not gone: it keeps what was last seen of it, since
an empty level would put us first in a queue that is there. Trades come before the book that shows what they left.

Times. A recorder's clock may be off by seconds. Where the least of (receipt minus stamp) is below `floor_ns`, all stamps are moved
so that it is `floor_ns`; then, recorded, an event happens at its stamp. With a constant latency it happens that long before its
receipt, in the order of the stamps. Nothing happens later than `floor_ns` before it is received.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hftbacktest import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, SELL_EVENT, TRADE_EVENT
from hftbacktest.types import event_dtype

from mmd.backtest.errors import BacktestError
from mmd.market.book import OrderBook
from mmd.types.market import DepthSnapshot, DepthUpdate, FeedState, FeedStatus, MarketTrade, Side, TouchUpdate

ALL_LEVELS = 1 << 30
Change = tuple[Side, int, int]
_TAIL_NS = 3_600_000_000_000
"""The exchange goes on so long after the last event, for what is still under way."""
_LATENCY_SAMPLE_NS = 100_000_000
_LATENCY_ROW = np.dtype([("req_ts", "i8"), ("exch_ts", "i8"), ("resp_ts", "i8"), ("_padding", "i8")], align=True)


@dataclass(frozen=True)
class FeedTimes:
    """What the conversion found and did about time, ns. Without any stamp, `stamped` is False and the rest 0."""

    stamped: bool
    clock_offset_ns: int
    """Added to stamps."""
    least_ns: int
    median_ns: int
    """Feed latency afterwards: as recorded, or the constant."""


@dataclass(frozen=True)
class ConvertedMarket:
    """One symbol for the matcher."""

    events: npt.NDArray[Any]
    times: FeedTimes
    order_latency: npt.NDArray[Any] | None
    """Rows for hftbacktest's recorded order latency: as long there and as long back as the feed took; None where it is constant."""
    begin_ns: int
    """Receipt of the first and the last event."""
    end_ns: int
    count: int
    trades: int
    gaps: int


class LevelTracker:
    """Turns each event of the book into the levels that visibly changed. `window`: the source shows so many levels a side."""

    def __init__(self, symbol: str, window: int = ALL_LEVELS) -> None:
        self.book = OrderBook(symbol)
        self._window = window
        self._shown: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self._touch = (0, 0)
        self._synced = False

    def on_event(self, event: DepthUpdate | DepthSnapshot | TouchUpdate) -> list[Change]:
        """Levels that are otherwise than they were, gone ones first. Nothing while the book is invalid."""
        book, before = self.book, self._touch
        if isinstance(event, TouchUpdate):
            book.on_touch_update(event)
        elif isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        else:
            book.on_depth_snapshot(event)
        if not book.valid:
            self._synced = False
            return []
        self._touch = (book.bid_ticks, book.ask_ticks)
        if not self._synced:
            self._synced = True
            return self._everything()
        changes: list[Change] = []
        for side, old, new in ((Side.BUY, before[0], book.bid_ticks), (Side.SELL, before[1], book.ask_ticks)):
            prices = {old, new}
            if old != new:
                prices.update(self._between(side, old, new))
            if isinstance(event, DepthUpdate):
                prices.update([price for price, _ in (event.bids if side is Side.BUY else event.asks)])
            horizon = self._horizon(side)
            for price in prices:
                self._note(side, price, book.lots_at(side, price), horizon, changes)
        changes.sort(key=_gone_first)
        return changes

    def _everything(self) -> list[Change]:
        changes: list[Change] = []
        for side in (Side.BUY, Side.SELL):
            visible = dict(self.book.levels(side, ALL_LEVELS))
            horizon = self._horizon(side)
            for price in {*visible, *self._shown[side]}:
                self._note(side, price, visible.get(price, 0), horizon, changes)
        changes.sort(key=_gone_first)
        return changes

    def _horizon(self, side: Side) -> int | None:
        """Price of the worst level that the source shows, where it shows only so many."""
        if self._window == ALL_LEVELS:
            return None
        levels = self.book.levels(side, self._window)
        return levels[-1][0] if levels else None

    def _between(self, side: Side, old: int, new: int) -> list[int]:
        low, high = min(old, new), max(old, new)
        return [price for price in self._shown[side] if low < price < high] + [
            price for price in range(low + 1, high) if self.book.lots_at(side, price)
        ]

    def _note(self, side: Side, price: int, lots: int, horizon: int | None, changes: list[Change]) -> None:
        shown = self._shown[side]
        if lots == shown.get(price, 0):
            return
        if lots:
            shown[price] = lots
        else:
            if horizon is not None and (price < horizon if side is Side.BUY else price > horizon):
                return
            del shown[price]
        changes.append((side, price, lots))


def convert(
    events: Iterable[Any],
    symbol: str,
    *,
    window: int = ALL_LEVELS,
    stamped: bool = True,
    constant_latency_ns: int | None,
    floor_ns: int,
) -> ConvertedMarket:
    """`constant_latency_ns` None: the feed's latency is the recorded one. `stamped` False: stamps
    are not the venue's own. Raises `BacktestError` for data without events or stamps."""
    tracker = LevelTracker(symbol, window)
    rows = _Rows()
    lag_ns: int | None = None
    for event in events:
        if isinstance(event, FeedStatus):
            if event.state is FeedState.DISCONNECTED:
                tracker.book.invalidate(event.detail)
            continue
        stamp = event.exchange_ns if stamped and not isinstance(event, DepthSnapshot) else 0
        if stamp:
            lag_ns = event.receive_ns - stamp
        rows.saw(event.receive_ns, lag_ns if stamp else None)
        happened = event.receive_ns - (lag_ns or 0)
        if isinstance(event, MarketTrade):
            rows.trade(event, happened)
        else:
            for side, price, lots in tracker.on_event(event):
                rows.level(event.receive_ns, happened, side, price, lots)
    if not rows.count:
        raise BacktestError(f"{symbol}: the data holds no event in the period asked for")
    return rows.market(symbol, tracker.book.gaps, constant_latency_ns, floor_ns)


class _Rows:
    """Columns of the conversion as they grow."""

    def __init__(self) -> None:
        self._kind: list[int] = []
        self._receive: list[int] = []
        self._happened: list[int] = []
        self._price: list[int] = []
        self._lots: list[int] = []
        self._lags: list[tuple[int, int]] = []
        self._booked_ns = 0
        self._traded_ns = 0
        self.count = self.trades = 0
        self.begin_ns = self.end_ns = 0

    def saw(self, receive_ns: int, lag_ns: int | None) -> None:
        self.count += 1
        self.begin_ns = self.begin_ns or receive_ns
        self.end_ns = max(self.end_ns, receive_ns)
        if lag_ns is not None:
            self._lags.append((receive_ns, lag_ns))

    def level(self, receive_ns: int, happened_ns: int, side: Side, price: int, lots: int) -> None:
        # Levels are differences to the ones before: their order is that of receipt, whatever their stamps say.
        self._booked_ns = max(self._booked_ns, happened_ns)
        self._add(DEPTH_EVENT, receive_ns, self._booked_ns, side, price, lots)

    def trade(self, event: MarketTrade, happened_ns: int) -> None:
        self.trades += 1
        self._traded_ns = max(self._traded_ns, happened_ns)
        self._add(TRADE_EVENT, event.receive_ns, self._traded_ns, event.aggressor, event.price_ticks, event.lots)

    def _add(self, kind: int, receive_ns: int, happened_ns: int, side: Side, price: int, lots: int) -> None:
        self._kind.append(kind | EXCH_EVENT | (BUY_EVENT if side is Side.BUY else SELL_EVENT))
        self._receive.append(receive_ns)
        self._happened.append(happened_ns)
        self._price.append(price)
        self._lots.append(lots)

    def market(self, symbol: str, gaps: int, constant_ns: int | None, floor_ns: int) -> ConvertedMarket:
        if not self._kind:
            raise BacktestError(f"{symbol}: no valid book comes of the data: neither a depth snapshot nor levels to begin with")
        lags = np.asarray([lag for _, lag in self._lags], dtype=np.int64)
        if constant_ns is None and not len(lags):
            raise BacktestError(
                f"{symbol}: the data has no exchange stamps, so no recorded latency: give one, such as --latency 1ms"
            )
        receive, happened = np.asarray(self._receive, np.int64), np.asarray(self._happened, np.int64)
        kind = np.asarray(self._kind, np.uint64)
        offset = max(0, floor_ns - int(lags.min())) if len(lags) else 0
        traded = (kind & np.uint64(0xFF)) == TRADE_EVENT
        order = np.lexsort((np.arange(len(kind)), ~traded, happened))
        latest = receive[order] - (floor_ns if constant_ns is None else constant_ns)
        # In the order of the stamps, each as late as it may be without coming after its own receipt or a later event.
        bound = np.minimum.accumulate(latest[::-1])[::-1]
        times = np.minimum(happened[order] - offset, bound) if constant_ns is None else bound
        times = np.maximum.accumulate(times)
        events = np.zeros(len(kind) + 1, dtype=event_dtype)
        events["ev"][:-1] = kind[order]
        events["exch_ts"][:-1] = times
        events["local_ts"][:-1] = receive[order]
        events["px"][:-1] = np.asarray(self._price, np.float64)[order]
        events["qty"][:-1] = np.asarray(self._lots, np.float64)[order]
        events[-1] = events[-2]
        events["exch_ts"][-1] = events["local_ts"][-1] = self.end_ns + _TAIL_NS
        events["ev"][-1] = DEPTH_EVENT | EXCH_EVENT | BUY_EVENT
        events["px"][-1], events["qty"][-1] = 1.0, 0.0
        found = lags + offset if constant_ns is None else np.full(1, constant_ns, np.int64)
        feed = FeedTimes(bool(len(lags)), -offset, int(found.min()), int(np.median(found)))
        latency = self._order_latency(offset, floor_ns) if constant_ns is None else None
        return ConvertedMarket(events, feed, latency, self.begin_ns, self.end_ns, self.count, self.trades, gaps)

    def _order_latency(self, offset_ns: int, floor_ns: int) -> npt.NDArray[Any]:
        """One row every 100 ms: the way there and the way back take what the feed took just then."""
        rows: list[tuple[int, int, int, int]] = []
        last_ns = -_LATENCY_SAMPLE_NS
        for receive_ns, lag_ns in self._lags:
            if receive_ns - last_ns >= _LATENCY_SAMPLE_NS:
                way_ns = max(lag_ns + offset_ns, floor_ns)
                rows.append((receive_ns, receive_ns + way_ns, receive_ns + 2 * way_ns, 0))
                last_ns = receive_ns
        return np.array(rows, dtype=_LATENCY_ROW)


def _gone_first(change: Change) -> bool:
    return change[2] > 0

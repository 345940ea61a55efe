"""What traded in one symbol since the exchange started: tapes, candles, and statistics over a rolling window. All is bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from mmd.mock.engine import TradePrint
from mmd.mock.server.candles import INTERVALS, Candle, CandleSeries

MAX_TRADES = 5_000
_NS_PER_MS = 1_000_000
_SECOND_MS = 1_000
_MINUTE_MS = 60_000
_AVERAGE_SECONDS = 300
_MAX_WINDOWS = 32


class AggregateTrade(msgspec.Struct, frozen=True, gc=False):
    """Trades of one taker order at one price."""

    aggregate_id: int
    price_ticks: int
    lots: int
    first_trade_id: int
    last_trade_id: int
    time_ns: int
    buyer_is_maker: bool


class Window(msgspec.Struct, frozen=True):
    """A rolling window: all its trades as one candle, and the last price before it (0 where there was none)."""

    candle: Candle
    previous_close_ticks: int


class TradeHistory:
    """One symbol. Aggregate trades are numbered on from the last trade id, so that they never go back after a restart."""

    def __init__(self, last_trade_id: int) -> None:
        self.trades: deque[TradePrint] = deque(maxlen=MAX_TRADES)
        self.aggregates: deque[AggregateTrade] = deque(maxlen=MAX_TRADES)
        self._last_aggregate_id = last_trade_id
        self._second: Candle | None = None
        self._series = {name: CandleSeries(interval) for name, interval in INTERVALS.items()}
        self._windows: dict[int, tuple[tuple[int, int], Candle]] = {}

    def add(self, prints: Iterable[TradePrint]) -> list[AggregateTrade]:
        """The trades of one operation. Returns them aggregated."""
        aggregates: list[AggregateTrade] = []
        run: list[TradePrint] = []
        for each in prints:
            self.trades.append(each)
            self._gather(each)
            if run and run[0].price_ticks != each.price_ticks:
                aggregates.append(self._aggregate(run))
                run = []
            run.append(each)
        if run:
            aggregates.append(self._aggregate(run))
        self.aggregates.extend(aggregates)
        return aggregates

    def series(self, interval: str) -> CandleSeries:
        """The candles of one of `INTERVALS`, up to the last trade. Raises KeyError."""
        self._fold()
        return self._series[interval]

    def window(self, length_ms: int, now_ms: int) -> Window | None:
        """The window of that length that ends now, begun on a full minute. None where nothing has traded yet."""
        self._fold()
        minutes = self._series["1m"]
        start_ms = (now_ms - length_ms) // _MINUTE_MS * _MINUTE_MS
        before = minutes.before(start_ms)
        newest = minutes.at(now_ms)
        if newest is None:
            return None
        key = (start_ms, newest.open_ms)
        cached = self._windows.get(length_ms)
        if cached is None or cached[0] != key:
            if len(self._windows) >= _MAX_WINDOWS:
                self._windows.clear()
            whole = Candle.flat(start_ms, before.close_ticks if before else newest.open_ticks)
            for candle in reversed(minutes.since(start_ms)):
                if candle.open_ms < newest.open_ms and candle.trades:
                    whole.absorb(candle)
            cached = self._windows[length_ms] = (key, whole)
        candle = cached[1].opened_at(start_ms)
        if newest.trades:
            candle.absorb(newest)
        return Window(candle, before.close_ticks if before else 0)

    def average_ticks(self, now_ms: int) -> float:
        """Average price by volume of the last five minutes, else the last price; 0 before the first trade."""
        self._fold()
        lots = notional = 0
        for candle in self._series["1s"].since(now_ms - _AVERAGE_SECONDS * _SECOND_MS):
            lots += candle.lots
            notional += candle.notional
        if lots:
            return notional / lots
        return float(self.trades[-1].price_ticks) if self.trades else 0.0

    def _gather(self, each: TradePrint) -> None:
        time_ms = each.time_ns // _NS_PER_MS
        open_ms = time_ms - time_ms % _SECOND_MS
        notional = each.price_ticks * each.lots
        buy_lots, buy_notional = (0, 0) if each.buyer_is_maker else (each.lots, notional)
        price, number = each.price_ticks, each.trade_id
        trade = Candle(open_ms, price, price, price, price, each.lots, notional, 1, buy_lots, buy_notional, number, number)
        if self._second is None:
            self._second = trade
        elif self._second.open_ms == open_ms:
            self._second.absorb(trade)
        else:
            self._fold()
            self._second = trade

    def _fold(self) -> None:
        """Hand the trades of the running second to every interval; what trades in it later is added to the same candles."""
        if self._second is not None:
            for series in self._series.values():
                series.absorb(self._second)
            self._second = None

    def _aggregate(self, run: list[TradePrint]) -> AggregateTrade:
        self._last_aggregate_id += 1
        first = run[0]
        return AggregateTrade(
            self._last_aggregate_id,
            first.price_ticks,
            sum(each.lots for each in run),
            first.trade_id,
            run[-1].trade_id,
            first.time_ns,
            first.buyer_is_maker,
        )

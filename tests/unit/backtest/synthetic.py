"""Small markets made by hand, in ticks and lots, and a session on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mmd.backtest.conversion import convert
from mmd.backtest.funding import FundingPoint
from mmd.backtest.latency import Latency
from mmd.backtest.matching import Matcher, OrderLatency, QueueModel
from mmd.backtest.recorder import Recorder
from mmd.backtest.session import BacktestSession
from mmd.backtest.venue import BacktestVenue
from mmd.learning.sources import simulated_events
from mmd.market.book import OrderBook
from mmd.quoting.settings import QuotingSettings
from mmd.trader import Trader
from mmd.trader.settings import TraderConfig
from mmd.types.instrument import Instrument
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, Side, TouchUpdate

MS = 1_000_000
SECOND = 1_000 * MS
START = 1_700_000_000 * SECOND
COIN = Instrument.create("COINUSD", "COIN", "USD", tick_size="0.01", lot_size="1")


class HandMadeMarket:
    """Events that a feed with a latency of `feed_ns` delivers; times are given in ms after the start, of the exchange."""

    def __init__(self, feed_ns: int = 2 * MS) -> None:
        self.events: list[Any] = []
        self._feed_ns = feed_ns
        self._number = 1

    def snapshot(self, at_ms: float, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]) -> HandMadeMarket:
        self._number += 1
        self.events.append(DepthSnapshot("COINUSD", self._time(at_ms) + self._feed_ns, self._number, tuple(bids), tuple(asks)))
        return self

    def levels(self, at_ms: float, bids: Sequence[tuple[int, int]] = (), asks: Sequence[tuple[int, int]] = ()) -> HandMadeMarket:
        self._number += 1
        at, number = self._time(at_ms), self._number
        self.events.append(DepthUpdate("COINUSD", at + self._feed_ns, at, number, number, -1, tuple(bids), tuple(asks)))
        return self

    def trade(self, at_ms: float, aggressor: Side, price: int, lots: int) -> HandMadeMarket:
        at = self._time(at_ms)
        self.events.append(MarketTrade("COINUSD", at + self._feed_ns, at, 0, price, lots, aggressor))
        return self

    @staticmethod
    def _time(at_ms: float) -> int:
        return START + round(at_ms * MS)


class _Overheard:
    """A trader, and a list of what it is told."""

    def __init__(self, trader: Trader, told: list[Any]) -> None:
        self._trader, self._told = trader, told

    def on_event(self, event: Any) -> Any:
        self._told.append(event)
        return self._trader.on_event(event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trader, name)


class Session:
    """A whole run on a hand-made market; keeps commands and what the trader was told."""

    def __init__(
        self,
        market: HandMadeMarket,
        quoting: dict[str, Any] | None = None,
        latency: Latency | None = None,
        maker_fee: float = 0.0,
        queue: QueueModel = "risk-averse",
        instrument: Instrument = COIN,
        funding: Sequence[FundingPoint] = (),
    ) -> None:
        ways = latency or Latency(None, 3 * MS, 5 * MS, 2 * MS)
        self.market = convert(market.events, "COINUSD", constant_latency_ns=ways.feed_ns, floor_ns=ways.floor_ns)
        self.matcher = Matcher([self.market.events], [OrderLatency(ways.entry_ns, ways.response_ns)], queue)
        settings = QuotingSettings.model_validate({"strategy": "fixed", "fixed_half_spread_bps": 1.0, **(quoting or {})})
        self.trader = Trader(TraderConfig(session="test", quoting=settings), {"COINUSD": instrument})
        self.recorder = Recorder({"COINUSD": instrument}, 100 * MS)
        round_trip = ways.entry_ns + ways.response_ns
        self.venue = BacktestVenue(self.matcher, [instrument], maker_fee, round_trip, self.recorder.on_fill)
        self.recorder.watch(self.trader, self.venue)
        self.venue.settle_funding(funding, self.recorder.mid_x2, self.recorder.on_funding)
        self.commands: list[tuple[int, Any]] = []
        self.told: list[Any] = []
        session = BacktestSession(
            _Overheard(self.trader, self.told),  # type: ignore[arg-type]
            self.matcher,
            self.venue,
            self.recorder,
            on_command=lambda c: self.commands.append((self.matcher.now_ns, c)),
        )
        session.run([market.events])

    @property
    def fills(self) -> list[Any]:
        return self.recorder.tracks["COINUSD"].fills


def write_simulated(folder: Path, seconds: float, seed: int = 11) -> Path:
    """The simulated market of BTCUSDT as a book and a trades file; the book's path."""
    tick = 0.01
    book = OrderBook("BTCUSDT")
    books: list[dict[str, Any]] = []
    trades: list[dict[str, Any]] = []
    for event in simulated_events(seed, seconds, "BTCUSDT"):
        if isinstance(event, MarketTrade):
            trades.append({"ts_ns": event.receive_ns, "symbol": "BTCUSDT", "px": event.price_ticks * tick, "sz": event.lots * 1e-5,
                           "side": event.aggressor.sign})  # fmt: skip
            continue
        if isinstance(event, TouchUpdate):
            book.on_touch_update(event)
        elif isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        else:
            book.on_depth_snapshot(event)
        row: dict[str, Any] = {"ts_ns": event.receive_ns, "symbol": "BTCUSDT", "exch_ts_ns": event.receive_ns - 3 * MS}
        for side, name in ((Side.BUY, "bid"), (Side.SELL, "ask")):
            for level, (price, lots) in enumerate(book.levels(side, 5), 1):
                row |= {f"{name}_px_{level}": price * tick, f"{name}_sz_{level}": lots * 1e-5}
        books.append(row)
    path = folder / "BTCUSDT-spot-20240101.book.parquet"
    pl.DataFrame(books, infer_schema_length=None).write_parquet(path)
    pl.DataFrame(trades).write_parquet(folder / "BTCUSDT-spot-20240101.trades.parquet")
    return path

"""The streams of statistics, once a second: klines, tickers of the last 24 hours and of rolling windows, average prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from mmd.mock.engine import MatchingEngine
from mmd.mock.server.candles import INTERVALS, Candle, Interval
from mmd.mock.server.market_events import SymbolTexts
from mmd.mock.server.stream_names import WINDOWS
from mmd.mock.server.tickers import DayTicker, RollingTicker, average_text, day_ticker, rolling_ticker
from mmd.mock.server.trade_history import TradeHistory
from mmd.types.instrument import atoms_text

_NS_PER_MS = 1_000_000

_encode = msgspec.json.Encoder().encode


class KlineBody(msgspec.Struct, frozen=True):
    """`k` of a kline event."""

    open_time: int = msgspec.field(name="t")
    close_time: int = msgspec.field(name="T")
    symbol: str = msgspec.field(name="s")
    interval: str = msgspec.field(name="i")
    first_trade_id: int = msgspec.field(name="f")
    last_trade_id: int = msgspec.field(name="L")
    open_price: str = msgspec.field(name="o")
    close_price: str = msgspec.field(name="c")
    high_price: str = msgspec.field(name="h")
    low_price: str = msgspec.field(name="l")
    volume: str = msgspec.field(name="v")
    trades: int = msgspec.field(name="n")
    is_closed: bool = msgspec.field(name="x")
    quote_volume: str = msgspec.field(name="q")
    taker_buy_volume: str = msgspec.field(name="V")
    taker_buy_quote_volume: str = msgspec.field(name="Q")
    ignored: str = msgspec.field(name="B", default="0")


class KlineEvent(msgspec.Struct, frozen=True):
    """`<symbol>@kline_<interval>`."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    kline: KlineBody = msgspec.field(name="k")


class MiniTickerEvent(msgspec.Struct, frozen=True):
    """`<symbol>@miniTicker`."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    close_price: str = msgspec.field(name="c")
    open_price: str = msgspec.field(name="o")
    high_price: str = msgspec.field(name="h")
    low_price: str = msgspec.field(name="l")
    volume: str = msgspec.field(name="v")
    quote_volume: str = msgspec.field(name="q")


class RollingTickerEvent(msgspec.Struct, frozen=True):
    """`<symbol>@ticker_<window>`."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    price_change: str = msgspec.field(name="p")
    price_change_percent: str = msgspec.field(name="P")
    open_price: str = msgspec.field(name="o")
    high_price: str = msgspec.field(name="h")
    low_price: str = msgspec.field(name="l")
    last_price: str = msgspec.field(name="c")
    average_price: str = msgspec.field(name="w")
    volume: str = msgspec.field(name="v")
    quote_volume: str = msgspec.field(name="q")
    open_time: int = msgspec.field(name="O")
    close_time: int = msgspec.field(name="C")
    first_trade_id: int = msgspec.field(name="F")
    last_trade_id: int = msgspec.field(name="L")
    trades: int = msgspec.field(name="n")


class DayTickerEvent(RollingTickerEvent, frozen=True):
    """`<symbol>@ticker`."""

    previous_close: str = msgspec.field(name="x")
    last_quantity: str = msgspec.field(name="Q")
    bid_price: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask_price: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")


class AveragePriceEvent(msgspec.Struct, frozen=True):
    """`<symbol>@avgPrice`."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    interval: str = msgspec.field(name="i")
    price: str = msgspec.field(name="w")
    last_trade_time: int = msgspec.field(name="T")


class Publisher(Protocol):
    """Where frames go, and who reads them."""

    def has_readers(self, stream: str) -> bool:
        """Whether anybody reads this stream."""

    def broadcast(self, stream: str, frame: bytes) -> None:
        """Send to all of them."""


class StatisticsStreams:
    """Makes the frames of one beat from the histories, only those that somebody reads."""

    def __init__(
        self, engine: MatchingEngine, texts: Mapping[str, SymbolTexts], histories: Mapping[str, TradeHistory], publisher: Publisher
    ) -> None:
        self._engine = engine
        self._texts = texts
        self._histories = histories
        self._publisher = publisher
        self._told_trades = dict.fromkeys(texts, 0)
        self._stamp_ms = 0

    def beat(self, time_ns: int, stamp_ns: int) -> None:
        """Publish what stands at `time_ns`, a full second, in events that are stamped `stamp_ns`."""
        time_ms, self._stamp_ms = time_ns // _NS_PER_MS, stamp_ns // _NS_PER_MS
        for symbol, text in self._texts.items():
            self._klines(text, self._histories[symbol], time_ms)
            self._tickers(text, self._histories[symbol], time_ms)
        self._market_tickers(time_ms)

    def _klines(self, text: SymbolTexts, history: TradeHistory, time_ms: int) -> None:
        for name, interval in INTERVALS.items():
            stream = f"{text.stream_prefix}@kline_{name}"
            if not self._publisher.has_readers(stream):
                continue
            series = history.series(name)
            # On the second at which an interval ends, what is told is that it is closed.
            is_closed = interval.open_of(time_ms) == time_ms
            candle = series.at(time_ms - 1 if is_closed else time_ms)
            if candle is not None:
                self._publisher.broadcast(stream, _kline_frame(text, interval, candle, self._stamp_ms, is_closed=is_closed))

    def _tickers(self, text: SymbolTexts, history: TradeHistory, time_ms: int) -> None:
        publisher, prefix = self._publisher, text.stream_prefix
        if publisher.has_readers(f"{prefix}@miniTicker"):
            publisher.broadcast(f"{prefix}@miniTicker", _encode(_mini_event(self._day_ticker(text, time_ms), self._stamp_ms)))
        if publisher.has_readers(f"{prefix}@ticker"):
            publisher.broadcast(f"{prefix}@ticker", _encode(_day_event(self._day_ticker(text, time_ms), self._stamp_ms)))
        for name, length_ms in WINDOWS.items():
            if publisher.has_readers(f"{prefix}@ticker_{name}"):
                event = _rolling_event(self._rolling_ticker(text, time_ms, length_ms), self._stamp_ms, name)
                publisher.broadcast(f"{prefix}@ticker_{name}", _encode(event))
        if history.trades and publisher.has_readers(f"{prefix}@avgPrice"):
            price = average_text(text, history, time_ms)
            last_ms = history.trades[-1].time_ns // _NS_PER_MS
            publisher.broadcast(
                f"{prefix}@avgPrice", _encode(AveragePriceEvent("avgPrice", self._stamp_ms, text.symbol, "5m", price, last_ms))
            )

    def _market_tickers(self, time_ms: int) -> None:
        """The arrays, which hold the symbols that traded since the last beat."""
        changed = []
        for symbol, history in self._histories.items():
            last_id = history.trades[-1].trade_id if history.trades else 0
            if last_id != self._told_trades[symbol]:
                self._told_trades[symbol] = last_id
                changed.append(self._texts[symbol])
        if not changed:
            return
        publisher = self._publisher
        if publisher.has_readers("!miniTicker@arr"):
            minis = [_mini_event(self._day_ticker(text, time_ms), self._stamp_ms) for text in changed]
            publisher.broadcast("!miniTicker@arr", _encode(minis))
        if publisher.has_readers("!ticker@arr"):
            days = [_day_event(self._day_ticker(text, time_ms), self._stamp_ms) for text in changed]
            publisher.broadcast("!ticker@arr", _encode(days))
        for name, length_ms in WINDOWS.items():
            if publisher.has_readers(f"!ticker_{name}@arr"):
                rolling = [_rolling_event(self._rolling_ticker(text, time_ms, length_ms), self._stamp_ms, name) for text in changed]
                publisher.broadcast(f"!ticker_{name}@arr", _encode(rolling))

    def _day_ticker(self, text: SymbolTexts, time_ms: int) -> DayTicker:
        symbol = text.symbol
        touch = self._engine.touch(symbol)
        return day_ticker(text, self._histories[symbol], time_ms, self._engine.last_price_ticks(symbol), touch)

    def _rolling_ticker(self, text: SymbolTexts, time_ms: int, length_ms: int) -> RollingTicker:
        last_ticks = self._engine.last_price_ticks(text.symbol)
        return rolling_ticker(text, self._histories[text.symbol], time_ms, length_ms, last_ticks)


def _kline_frame(text: SymbolTexts, interval: Interval, candle: Candle, time_ms: int, *, is_closed: bool) -> bytes:
    unit = text.instrument.notional_atoms
    body = KlineBody(
        candle.open_ms,
        interval.next_open(candle.open_ms) - 1,
        text.symbol,
        interval.name,
        candle.first_trade_id,
        candle.last_trade_id,
        text.price(candle.open_ticks),
        text.price(candle.close_ticks),
        text.price(candle.high_ticks),
        text.price(candle.low_ticks),
        text.quantity(candle.lots),
        candle.trades,
        is_closed,
        atoms_text(candle.notional * unit),
        text.quantity(candle.taker_buy_lots),
        atoms_text(candle.taker_buy_notional * unit),
    )
    return _encode(KlineEvent("kline", time_ms, text.symbol, body))


def _mini_event(ticker: DayTicker, time_ms: int) -> MiniTickerEvent:
    return MiniTickerEvent(
        "24hrMiniTicker",
        time_ms,
        ticker.symbol,
        ticker.lastPrice,
        ticker.openPrice,
        ticker.highPrice,
        ticker.lowPrice,
        ticker.volume,
        ticker.quoteVolume,
    )


def _rolling_event(ticker: RollingTicker | DayTicker, time_ms: int, window: str) -> RollingTickerEvent:
    return RollingTickerEvent(
        f"{window}Ticker",
        time_ms,
        ticker.symbol,
        ticker.priceChange,
        ticker.priceChangePercent,
        ticker.openPrice,
        ticker.highPrice,
        ticker.lowPrice,
        ticker.lastPrice,
        ticker.weightedAvgPrice,
        ticker.volume,
        ticker.quoteVolume,
        ticker.openTime,
        ticker.closeTime,
        ticker.firstId,
        ticker.lastId,
        ticker.count,
    )


def _day_event(ticker: DayTicker, time_ms: int) -> DayTickerEvent:
    return DayTickerEvent(
        **msgspec.structs.asdict(_rolling_event(ticker, time_ms, "24hr")),
        previous_close=ticker.prevClosePrice,
        last_quantity=ticker.lastQty,
        bid_price=ticker.bidPrice,
        bid_quantity=ticker.bidQty,
        ask_price=ticker.askPrice,
        ask_quantity=ticker.askQty,
    )

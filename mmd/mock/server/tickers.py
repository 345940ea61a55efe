"""Statistics of a rolling window in the words of the venue: `ticker/24hr` and `ticker`, and their streams."""

from __future__ import annotations

import msgspec

from mmd.mock.server.candles import Candle
from mmd.mock.server.market_events import SymbolTexts
from mmd.mock.server.trade_history import TradeHistory
from mmd.types.instrument import ATOMS_PER_UNIT, atoms_text

DAY_MS = 86_400_000
MINUTE_MS = 60_000
Touch = tuple[int, int, int, int, int]
"""Update id, best bid in ticks and lots, best ask in ticks and lots."""


class MiniTicker(msgspec.Struct, frozen=True):
    """`type=MINI`."""

    symbol: str
    openPrice: str
    highPrice: str
    lowPrice: str
    lastPrice: str
    volume: str
    quoteVolume: str
    openTime: int
    closeTime: int
    firstId: int
    lastId: int
    count: int


class RollingTicker(msgspec.Struct, frozen=True):
    """`ticker` and `ticker/tradingDay`."""

    symbol: str
    priceChange: str
    priceChangePercent: str
    weightedAvgPrice: str
    openPrice: str
    highPrice: str
    lowPrice: str
    lastPrice: str
    volume: str
    quoteVolume: str
    openTime: int
    closeTime: int
    firstId: int
    lastId: int
    count: int


class DayTicker(msgspec.Struct, frozen=True):
    """`ticker/24hr`."""

    symbol: str
    priceChange: str
    priceChangePercent: str
    weightedAvgPrice: str
    prevClosePrice: str
    lastPrice: str
    lastQty: str
    bidPrice: str
    bidQty: str
    askPrice: str
    askQty: str
    openPrice: str
    highPrice: str
    lowPrice: str
    volume: str
    quoteVolume: str
    openTime: int
    closeTime: int
    firstId: int
    lastId: int
    count: int


def rolling_ticker(text: SymbolTexts, history: TradeHistory, now_ms: int, length_ms: int, last_ticks: int) -> RollingTicker:
    """The window of `length_ms` that ends now and began on a full minute. `last_ticks` stands in before the first trade."""
    window = history.window(length_ms, now_ms)
    candle = window.candle if window else Candle.flat(0, last_ticks)
    base_atoms = candle.lots * text.instrument.lot_atoms
    quote_atoms = candle.notional * text.instrument.notional_atoms
    average_atoms = quote_atoms * ATOMS_PER_UNIT // base_atoms if base_atoms else 0
    change = candle.close_ticks - candle.open_ticks
    percent = 100 * change / candle.open_ticks if candle.open_ticks else 0.0
    return RollingTicker(
        text.symbol,
        text.price(change),
        f"{percent:.3f}",
        atoms_text(average_atoms),
        text.price(candle.open_ticks),
        text.price(candle.high_ticks),
        text.price(candle.low_ticks),
        text.price(candle.close_ticks),
        atoms_text(base_atoms),
        atoms_text(quote_atoms),
        (now_ms - length_ms) // MINUTE_MS * MINUTE_MS,
        now_ms,
        candle.first_trade_id,
        candle.last_trade_id,
        candle.trades,
    )


def day_ticker(text: SymbolTexts, history: TradeHistory, now_ms: int, last_ticks: int, touch: Touch) -> DayTicker:
    """The last 24 hours."""
    rolling = rolling_ticker(text, history, now_ms, DAY_MS, last_ticks)
    window = history.window(DAY_MS, now_ms)
    previous_ticks = window.previous_close_ticks if window else 0
    last = history.trades[-1] if history.trades else None
    _, bid_ticks, bid_lots, ask_ticks, ask_lots = touch
    return DayTicker(
        **msgspec.structs.asdict(rolling) | {"openTime": now_ms - DAY_MS},
        prevClosePrice=text.price(previous_ticks) if previous_ticks else rolling.openPrice,
        lastQty=text.quantity(last.lots if last else 0),
        bidPrice=text.price(bid_ticks),
        bidQty=text.quantity(bid_lots),
        askPrice=text.price(ask_ticks),
        askQty=text.quantity(ask_lots),
    )


def mini(ticker: RollingTicker | DayTicker) -> MiniTicker:
    """The same, shorter."""
    return MiniTicker(**{name: getattr(ticker, name) for name in MiniTicker.__struct_fields__})


def average_text(text: SymbolTexts, history: TradeHistory, now_ms: int) -> str:
    """The five-minute average price."""
    unit = float(text.instrument.tick_size) * ATOMS_PER_UNIT
    return atoms_text(round(history.average_ticks(now_ms) * unit))


def kline_row(text: SymbolTexts, candle: Candle, close_ms: int) -> list[object]:
    """One kline as `klines` lists it."""
    unit = text.instrument.notional_atoms
    return [
        candle.open_ms,
        text.price(candle.open_ticks),
        text.price(candle.high_ticks),
        text.price(candle.low_ticks),
        text.price(candle.close_ticks),
        text.quantity(candle.lots),
        close_ms,
        atoms_text(candle.notional * unit),
        candle.trades,
        text.quantity(candle.taker_buy_lots),
        atoms_text(candle.taker_buy_notional * unit),
        "0",
    ]

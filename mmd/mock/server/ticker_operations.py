"""Operations on the price of symbols: last price, touch, average, 24-hour and rolling statistics. None needs a key."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from mmd.mock.server import errors
from mmd.mock.server.operations import Caller, Operation, names
from mmd.mock.server.order_replies import NS_PER_MS
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.tickers import (
    DAY_MS,
    MINUTE_MS,
    DayTicker,
    MiniTicker,
    RollingTicker,
    average_text,
    day_ticker,
    mini,
    rolling_ticker,
)
from mmd.mock.server.venue import Venue

_WINDOW = re.compile(r"([1-9][0-9]?)([mhd])")
_WINDOW_UNITS = {"m": (MINUTE_MS, 59), "h": (60 * MINUTE_MS, 23), "d": (DAY_MS, 7)}
_MAX_SYMBOLS = 100


class PriceTicker(msgspec.Struct, frozen=True):
    """`ticker/price` of one symbol."""

    symbol: str
    price: str


class BookTicker(msgspec.Struct, frozen=True):
    """`ticker/bookTicker` of one symbol."""

    symbol: str
    bidPrice: str
    bidQty: str
    askPrice: str
    askQty: str


class AveragePrice(msgspec.Struct, frozen=True):
    """`avgPrice`."""

    mins: int
    price: str
    closeTime: int


def _price(venue: Venue, caller: Caller, parameters: Parameters) -> object:
    return _for_each(venue, parameters, lambda symbol: PriceTicker(symbol, venue.texts[symbol].price(venue.last_ticks(symbol))))


def _book(venue: Venue, caller: Caller, parameters: Parameters) -> object:
    def ticker(symbol: str) -> BookTicker:
        _, bid_ticks, bid_lots, ask_ticks, ask_lots = venue.engine.touch(symbol)
        text = venue.texts[symbol]
        return BookTicker(symbol, text.price(bid_ticks), text.quantity(bid_lots), text.price(ask_ticks), text.quantity(ask_lots))

    return _for_each(venue, parameters, ticker)


def _day(venue: Venue, caller: Caller, parameters: Parameters) -> object:
    is_mini = _is_mini(parameters)
    now_ms = venue.market_ns // NS_PER_MS

    def ticker(symbol: str) -> DayTicker | MiniTicker:
        touch = venue.engine.touch(symbol)
        full = day_ticker(venue.texts[symbol], venue.histories[symbol], now_ms, venue.last_ticks(symbol), touch)
        return mini(full) if is_mini else full

    return _for_each(venue, parameters, ticker)


def _rolling(venue: Venue, caller: Caller, parameters: Parameters) -> object:
    match = _WINDOW.fullmatch(parameters.optional("windowSize") or "1d")
    length, most = _WINDOW_UNITS[match[2]] if match else (0, 0)
    if match is None or int(match[1]) > most:
        raise errors.bad_value("windowSize")
    return _statistics(venue, parameters, int(match[1]) * length)


def _trading_day(venue: Venue, caller: Caller, parameters: Parameters) -> object:
    now_ms = venue.market_ns // NS_PER_MS
    return _statistics(venue, parameters, now_ms % DAY_MS)


def _statistics(venue: Venue, parameters: Parameters, length_ms: int) -> object:
    if "symbol" not in parameters and "symbols" not in parameters:
        raise errors.missing_either("symbol", "symbols")
    is_mini = _is_mini(parameters)
    now_ms = venue.market_ns // NS_PER_MS

    def ticker(symbol: str) -> RollingTicker | MiniTicker:
        full = rolling_ticker(venue.texts[symbol], venue.histories[symbol], now_ms, length_ms, venue.last_ticks(symbol))
        return mini(full) if is_mini else full

    return _for_each(venue, parameters, ticker)


def _average(venue: Venue, caller: Caller, parameters: Parameters) -> AveragePrice:
    symbol = venue.symbol(parameters.symbol_text())
    now_ms = venue.market_ns // NS_PER_MS
    history = venue.histories[symbol]
    closed_ms = history.trades[-1].time_ns // NS_PER_MS if history.trades else now_ms
    return AveragePrice(5, average_text(venue.texts[symbol], history, now_ms), closed_ms)


def _for_each(venue: Venue, parameters: Parameters, ticker: Callable[[str], object]) -> object:
    symbols = venue.chosen_symbols(parameters)
    return ticker(symbols[0]) if "symbol" in parameters else [ticker(symbol) for symbol in symbols]


def _is_mini(parameters: Parameters) -> bool:
    kind = parameters.optional("type") or "FULL"
    if kind not in ("FULL", "MINI"):
        raise errors.bad_ticker_type()
    return kind == "MINI"


def _by_count(one: int, every: int) -> Callable[[Parameters], int]:
    return lambda parameters: one if "symbol" in parameters else every


def _day_weight(parameters: Parameters) -> int:
    if "symbol" in parameters:
        return 2
    if "symbols" not in parameters:
        return 80
    count = len(parameters.symbol_list())
    return 2 if count <= 20 else 40 if count <= _MAX_SYMBOLS else 80


def _rolling_weight(parameters: Parameters) -> int:
    count = len(parameters.symbol_list()) if "symbols" in parameters else 1
    return min(4 * count, 200)


_SYMBOLS = names("symbol", "symbols", "symbolStatus")

TICKER_OPERATIONS = (
    Operation(
        handler=_price,
        summary="last price",
        rest=("GET", "ticker/price"),
        websocket="ticker.price",
        parameters=_SYMBOLS,
        weight=_by_count(2, 4),
        weight_note="2; 4 for several symbols",
    ),
    Operation(
        handler=_book,
        summary="best bid and ask",
        rest=("GET", "ticker/bookTicker"),
        websocket="ticker.book",
        parameters=_SYMBOLS,
        weight=_by_count(2, 4),
        weight_note="2; 4 for several symbols",
    ),
    Operation(
        handler=_day,
        summary="statistics of the last 24 hours",
        rest=("GET", "ticker/24hr"),
        websocket="ticker.24hr",
        parameters=_SYMBOLS | {"type"},
        weight=_day_weight,
        weight_note="2 for one symbol or up to 20; 40 up to 100; 80 for all",
    ),
    Operation(
        handler=_rolling,
        summary="statistics of a rolling window",
        rest=("GET", "ticker"),
        websocket="ticker",
        parameters=_SYMBOLS | {"type", "windowSize"},
        weight=_rolling_weight,
        weight_note="4 for each symbol, at most 200",
    ),
    Operation(
        handler=_trading_day,
        summary="statistics of the UTC day",
        rest=("GET", "ticker/tradingDay"),
        websocket="ticker.tradingDay",
        parameters=_SYMBOLS | {"type", "timeZone"},
        weight=_rolling_weight,
        weight_note="4 for each symbol, at most 200",
    ),
    Operation(
        handler=_average,
        summary="average price of five minutes",
        rest=("GET", "avgPrice"),
        websocket="avgPrice",
        parameters=names("symbol"),
        weight=2,
    ),
)

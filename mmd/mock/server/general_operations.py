"""Operations that need no key: time, exchange information, market data."""

from __future__ import annotations

import msgspec

from mmd.mock.server import errors
from mmd.mock.server.exchange_info import ExchangeInfo, exchange_info
from mmd.mock.server.market_events import DepthReply
from mmd.mock.server.operations import Caller, Operation, names
from mmd.mock.server.order_replies import NS_PER_MS
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.venue import Venue

_MAX_DEPTH = 5000


class ServerTime(msgspec.Struct, frozen=True):
    """`time`."""

    serverTime: int


class BookTicker(msgspec.Struct, frozen=True):
    """`ticker/bookTicker` of one symbol."""

    symbol: str
    bidPrice: str
    bidQty: str
    askPrice: str
    askQty: str


class PublicTrade(msgspec.Struct, frozen=True):
    """One of `trades`."""

    id: int
    price: str
    qty: str
    quoteQty: str
    time: int
    isBuyerMaker: bool
    isBestMatch: bool = True


def _ping(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, object]:
    return {}


def _time(venue: Venue, caller: Caller, parameters: Parameters) -> ServerTime:
    return ServerTime(venue.server_ms())


def _exchange_info(venue: Venue, caller: Caller, parameters: Parameters) -> ExchangeInfo:
    return exchange_info(venue, _symbols(venue, parameters))


def _depth(venue: Venue, caller: Caller, parameters: Parameters) -> DepthReply:
    symbol = venue.symbol(parameters.symbol_text())
    update_id, bids, asks = venue.depth(symbol, parameters.limit(100, _MAX_DEPTH))
    return venue.texts[symbol].depth_reply(update_id, bids, asks)


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.limit(100, _MAX_DEPTH)
    for upper, weight in ((100, 5), (500, 25), (1000, 50)):
        if limit <= upper:
            return weight
    return 250


def _trades(venue: Venue, caller: Caller, parameters: Parameters) -> list[PublicTrade]:
    symbol = venue.symbol(parameters.symbol_text())
    limit = parameters.limit(500, 1000)
    text = venue.texts[symbol]
    prints = list(venue.tape[symbol])[-limit:]
    return [
        PublicTrade(
            each.trade_id,
            text.price(each.price_ticks),
            text.quantity(each.lots),
            text.quote_amount(each.price_ticks, each.lots),
            each.time_ns // NS_PER_MS,
            each.buyer_is_maker,
        )
        for each in prints
    ]


def _book_ticker(venue: Venue, caller: Caller, parameters: Parameters) -> BookTicker | list[BookTicker]:
    tickers = [_book_ticker_of(venue, symbol) for symbol in _symbols(venue, parameters)]
    return tickers[0] if "symbol" in parameters else tickers


def _book_ticker_of(venue: Venue, symbol: str) -> BookTicker:
    _, bid_ticks, bid_lots, ask_ticks, ask_lots = venue.engine.touch(symbol)
    text = venue.texts[symbol]
    return BookTicker(symbol, text.price(bid_ticks), text.quantity(bid_lots), text.price(ask_ticks), text.quantity(ask_lots))


def _symbols(venue: Venue, parameters: Parameters) -> list[str]:
    if "symbol" in parameters and "symbols" in parameters:
        raise errors.bad_combination()
    if "symbol" in parameters:
        return [venue.symbol(parameters.symbol_text())]
    if "symbols" in parameters:
        return [venue.symbol(symbol) for symbol in parameters.symbol_list()]
    return list(venue.texts)


GENERAL_OPERATIONS = (
    Operation(handler=_ping, rest=("GET", "ping"), websocket="ping"),
    Operation(handler=_time, rest=("GET", "time"), websocket="time"),
    Operation(
        handler=_exchange_info,
        rest=("GET", "exchangeInfo"),
        websocket="exchangeInfo",
        parameters=names("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"),
        weight=20,
    ),
    Operation(handler=_depth, rest=("GET", "depth"), websocket="depth", parameters=names("symbol", "limit"), weight=_depth_weight),
    Operation(handler=_trades, rest=("GET", "trades"), websocket="trades.recent", parameters=names("symbol", "limit"), weight=25),
    Operation(
        handler=_book_ticker,
        rest=("GET", "ticker/bookTicker"),
        websocket="ticker.book",
        parameters=names("symbol", "symbols"),
        weight=lambda parameters: 2 if "symbol" in parameters else 4,
    ),
)

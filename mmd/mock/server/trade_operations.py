"""Operations on what traded: recent, historical and aggregate trades, and klines. None needs a key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mmd.mock.engine import TradePrint
from mmd.mock.server import errors
from mmd.mock.server.candles import INTERVALS
from mmd.mock.server.market_events import SymbolTexts
from mmd.mock.server.operations import Caller, Operation, names
from mmd.mock.server.order_replies import NS_PER_MS
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.tickers import kline_row
from mmd.mock.server.venue import Venue

_MAX_LIST = 1000
_HOUR_MS = 3_600_000


class PublicTrade(msgspec.Struct, frozen=True):
    """One of `trades`."""

    id: int
    price: str
    qty: str
    quoteQty: str
    time: int
    isBuyerMaker: bool
    isBestMatch: bool = True


class AggregateLine(msgspec.Struct, frozen=True):
    """One of `aggTrades`."""

    aggregate_id: int = msgspec.field(name="a")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    first_trade_id: int = msgspec.field(name="f")
    last_trade_id: int = msgspec.field(name="l")
    time: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    best_match: bool = msgspec.field(name="M", default=True)


def _trades(venue: Venue, caller: Caller, parameters: Parameters) -> list[PublicTrade]:
    symbol = venue.symbol(parameters.symbol_text())
    limit = parameters.limit(500, _MAX_LIST)
    return _public(venue.texts[symbol], list(venue.histories[symbol].trades)[-limit:])


def _historical_trades(venue: Venue, caller: Caller, parameters: Parameters) -> list[PublicTrade]:
    symbol = venue.symbol(parameters.symbol_text())
    limit = parameters.limit(500, _MAX_LIST)
    from_id = parameters.integer("fromId")
    trades = list(venue.histories[symbol].trades)
    chosen = trades[-limit:] if from_id is None else [each for each in trades if each.trade_id >= from_id][:limit]
    return _public(venue.texts[symbol], chosen)


def _aggregate_trades(venue: Venue, caller: Caller, parameters: Parameters) -> list[AggregateLine]:
    symbol = venue.symbol(parameters.symbol_text())
    limit = parameters.limit(500, _MAX_LIST)
    from_id, start, end = (parameters.integer(name) for name in ("fromId", "startTime", "endTime"))
    if from_id is not None and (start is not None or end is not None):
        raise errors.bad_combination()
    text = venue.texts[symbol]
    chosen = [
        each
        for each in venue.histories[symbol].aggregates
        if (from_id is None or each.aggregate_id >= from_id)
        and (start is None or each.time_ns // NS_PER_MS >= start)
        and (end is None or each.time_ns // NS_PER_MS <= end)
    ]
    chosen = chosen[-limit:] if from_id is None and start is None else chosen[:limit]
    return [
        AggregateLine(
            each.aggregate_id,
            text.price(each.price_ticks),
            text.quantity(each.lots),
            each.first_trade_id,
            each.last_trade_id,
            each.time_ns // NS_PER_MS,
            each.buyer_is_maker,
        )
        for each in chosen
    ]


def _klines(venue: Venue, caller: Caller, parameters: Parameters) -> Sequence[list[object]]:
    symbol = venue.symbol(parameters.symbol_text())
    interval = INTERVALS.get(parameters.required("interval"))
    if interval is None:
        raise errors.bad_interval()
    start, end = parameters.integer("startTime"), parameters.integer("endTime")
    limit = parameters.limit(500, _MAX_LIST)
    if parameters.optional("timeZone") not in (None, "0", "+00:00", "-00:00", "0:00", "00:00"):
        raise errors.bad_value("timeZone")
    now_ms = venue.market_ns // NS_PER_MS
    candles = venue.histories[symbol].series(interval.name).listed(start, min(end or now_ms, now_ms), limit)
    text = venue.texts[symbol]
    return [kline_row(text, candle, interval.next_open(candle.open_ms) - 1) for candle in candles]


def _public(text: SymbolTexts, trades: Iterable[TradePrint]) -> list[PublicTrade]:
    return [
        PublicTrade(
            each.trade_id,
            text.price(each.price_ticks),
            text.quantity(each.lots),
            text.quote_amount(each.price_ticks, each.lots),
            each.time_ns // NS_PER_MS,
            each.buyer_is_maker,
        )
        for each in trades
    ]


_KLINES = names("symbol", "interval", "startTime", "endTime", "timeZone", "limit")

TRADE_OPERATIONS = (
    Operation(
        handler=_trades,
        summary="recent trades",
        rest=("GET", "trades"),
        websocket="trades.recent",
        parameters=names("symbol", "limit"),
        weight=25,
    ),
    Operation(
        handler=_historical_trades,
        summary="trades from an id on, as far back as they are kept",
        rest=("GET", "historicalTrades"),
        websocket="trades.historical",
        parameters=names("symbol", "limit", "fromId"),
        weight=25,
    ),
    Operation(
        handler=_aggregate_trades,
        summary="trades of one taker order at one price, as one",
        rest=("GET", "aggTrades"),
        websocket="trades.aggregate",
        parameters=names("symbol", "fromId", "startTime", "endTime", "limit"),
        weight=4,
    ),
    Operation(
        handler=_klines,
        summary="candles since the exchange started (UTC only)",
        rest=("GET", "klines"),
        websocket="klines",
        parameters=_KLINES,
        weight=2,
    ),
    Operation(
        handler=_klines,
        summary="the same as `klines`",
        rest=("GET", "uiKlines"),
        websocket="uiKlines",
        parameters=_KLINES,
        weight=2,
    ),
)

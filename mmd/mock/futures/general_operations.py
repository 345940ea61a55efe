"""Operations of the futures that need no key: time, exchange information, market data."""

from __future__ import annotations

from typing import Any

from mmd.mock.engine_filters import MAX_NUM_ORDERS
from mmd.mock.futures.new_order import futures_of
from mmd.mock.server.operations import Caller, Operation, names
from mmd.mock.server.order_replies import NS_PER_MS
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.rate_limits import limit_lines
from mmd.mock.server.venue import Venue
from mmd.types.instrument import Instrument, atoms_text, units

_MAX_DEPTH = 1000
_NEVER_MS = 4_133_404_800_000
"""Delivery date of a perpetual."""


def _ping(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    return {}


def _time(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, int]:
    return {"serverTime": venue.server_ms()}


def _exchange_info(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "serverTime": venue.server_ms(),
        "futuresType": "U_MARGINED",
        "rateLimits": limit_lines(venue.config.rate_limits),
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "0"}],
        "symbols": [_symbol(venue.engine.instruments[symbol]) for symbol in venue.texts],
    }


def _symbol(instrument: Instrument) -> dict[str, Any]:
    lots = {
        "minQty": instrument.quantity_text(instrument.min_lots),
        "maxQty": instrument.quantity_text(instrument.max_lots),
        "stepSize": instrument.quantity_text(1),
    }
    return {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _NEVER_MS,
        "onboardDate": 0,
        "status": "TRADING",
        "baseAsset": instrument.base_asset,
        "quoteAsset": instrument.quote_asset,
        "marginAsset": instrument.quote_asset,
        "pricePrecision": instrument.price_decimals,
        "quantityPrecision": instrument.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": instrument.price_text(instrument.min_price_ticks),
                "maxPrice": instrument.price_text(instrument.max_price_ticks),
                "tickSize": instrument.price_text(1),
            },
            {"filterType": "LOT_SIZE", **lots},
            {"filterType": "MARKET_LOT_SIZE", **lots},
            {"filterType": "MAX_NUM_ORDERS", "limit": MAX_NUM_ORDERS},
            {"filterType": "MIN_NOTIONAL", "notional": f"{units(instrument.min_notional_atoms):f}"},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "5.0000", "multiplierDown": "0.2000", "multiplierDecimal": "4"},
        ],
    }


def _depth(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    symbol = venue.symbol(parameters.symbol_text())
    update_id, bids, asks = venue.depth(symbol, parameters.limit(500, _MAX_DEPTH))
    text, time_ms = venue.texts[symbol], venue.market_ns // NS_PER_MS
    return {"lastUpdateId": update_id, "E": time_ms, "T": time_ms, "bids": text.levels(bids), "asks": text.levels(asks)}


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.limit(500, _MAX_DEPTH)
    return next((weight for upper, weight in ((50, 2), (100, 5), (500, 10)) if limit <= upper), 20)


def _book_ticker(venue: Venue, caller: Caller, parameters: Parameters) -> Any:
    chosen = [venue.symbol(parameters.symbol_text())] if "symbol" in parameters else list(venue.texts)
    lines = []
    for symbol in chosen:
        update_id, bid_ticks, bid_lots, ask_ticks, ask_lots = venue.engine.touch(symbol)
        text = venue.texts[symbol]
        line: dict[str, Any] = {"symbol": symbol, "bidPrice": text.price(bid_ticks), "bidQty": text.quantity(bid_lots)}
        line |= {"askPrice": text.price(ask_ticks), "askQty": text.quantity(ask_lots)}
        line |= {"time": venue.market_ns // NS_PER_MS, "lastUpdateId": update_id}
        lines.append(line)
    return lines[0] if "symbol" in parameters else lines


def _premium_index(venue: Venue, caller: Caller, parameters: Parameters) -> Any:
    futures = futures_of(venue)
    chosen = [venue.symbol(parameters.symbol_text())] if "symbol" in parameters else list(venue.texts)
    lines = [
        {
            "symbol": symbol,
            "markPrice": venue.texts[symbol].price(futures.contracts.mark_ticks(symbol)),
            "indexPrice": venue.texts[symbol].price(futures.contracts.mark_ticks(symbol)),
            "lastFundingRate": f"{futures.futures.funding_rate:f}",
            "interestRate": atoms_text(0),
            "nextFundingTime": futures.next_funding_ns // NS_PER_MS,
            "time": venue.server_ms(),
        }
        for symbol in chosen
    ]
    return lines[0] if "symbol" in parameters else lines


GENERAL_OPERATIONS = (
    Operation(handler=_ping, summary="whether anybody is there", rest=("GET", "/fapi/v1/ping")),
    Operation(handler=_time, summary="the server's clock", rest=("GET", "/fapi/v1/time")),
    Operation(handler=_exchange_info, summary="symbols, filters, limits", rest=("GET", "/fapi/v1/exchangeInfo")),
    Operation(
        handler=_depth,
        summary="the book",
        rest=("GET", "/fapi/v1/depth"),
        websocket="depth",
        parameters=names("symbol", "limit"),
        weight=_depth_weight,
        weight_note="2, 5, 10, 20 for up to 50, 100, 500, 1000 levels",
    ),
    Operation(
        handler=_book_ticker,
        summary="best bid and ask",
        rest=("GET", "/fapi/v1/ticker/bookTicker"),
        websocket="ticker.book",
        parameters=names("symbol"),
        weight=2,
    ),
    Operation(
        handler=_premium_index,
        summary="mark price and funding rate",
        rest=("GET", "/fapi/v1/premiumIndex"),
        parameters=names("symbol"),
        weight=1,
    ),
)

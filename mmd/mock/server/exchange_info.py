"""`exchangeInfo`: the venue's limits and each symbol's filters."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mmd.mock.engine import SelfTradePrevention
from mmd.mock.engine_filters import MAX_NOTIONAL_ATOMS, MAX_NUM_ORDER_AMENDS, MAX_NUM_ORDERS, PERCENT_PRICE_FACTOR, max_market_lots
from mmd.mock.server.rate_limits import RateLimitLine, limit_lines
from mmd.mock.server.venue import Venue
from mmd.types.instrument import Instrument, atoms_text, fixed_point

_DECIMALS = 8
ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET")


class SymbolInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol."""

    symbol: str
    status: str = "TRADING"
    baseAsset: str
    baseAssetPrecision: int = _DECIMALS
    quoteAsset: str
    quotePrecision: int = _DECIMALS
    quoteAssetPrecision: int = _DECIMALS
    baseCommissionPrecision: int = _DECIMALS
    quoteCommissionPrecision: int = _DECIMALS
    orderTypes: tuple[str, ...] = ORDER_TYPES
    icebergAllowed: bool = False
    ocoAllowed: bool = False
    otoAllowed: bool = False
    opoAllowed: bool = False
    quoteOrderQtyMarketAllowed: bool = True
    allowTrailingStop: bool = False
    cancelReplaceAllowed: bool = True
    amendAllowed: bool = True
    pegInstructionsAllowed: bool = False
    isSpotTradingAllowed: bool = True
    isMarginTradingAllowed: bool = False
    filters: list[dict[str, object]]
    permissions: tuple[str, ...] = ()
    permissionSets: tuple[tuple[str, ...], ...] = (("SPOT",),)
    defaultSelfTradePreventionMode: str
    allowedSelfTradePreventionModes: tuple[str, ...] = tuple(mode.value for mode in SelfTradePrevention)


class ExchangeInfo(msgspec.Struct, frozen=True):
    """The whole reply."""

    timezone: str
    serverTime: int
    rateLimits: list[RateLimitLine]
    exchangeFilters: list[object]
    symbols: list[SymbolInfo]


def exchange_info(venue: Venue, symbols: Iterable[str]) -> ExchangeInfo:
    """Limits, and filters of these symbols."""
    lines = [_symbol_info(venue, venue.engine.instruments[symbol]) for symbol in symbols]
    return ExchangeInfo("UTC", venue.server_ms(), limit_lines(venue.config.rate_limits), [], lines)


def _symbol_info(venue: Venue, instrument: Instrument) -> SymbolInfo:
    return SymbolInfo(
        symbol=instrument.symbol,
        baseAsset=instrument.base_asset,
        quoteAsset=instrument.quote_asset,
        filters=_filters(venue, instrument),
        defaultSelfTradePreventionMode=venue.config.self_trade_prevention.value,
    )


def _filters(venue: Venue, instrument: Instrument) -> list[dict[str, object]]:
    def price(price_ticks: int) -> str:
        return fixed_point(instrument.price(price_ticks), _DECIMALS)

    def quantity(lots: int) -> str:
        return fixed_point(instrument.quantity(lots), _DECIMALS)

    up, down = str(PERCENT_PRICE_FACTOR), f"{1 / PERCENT_PRICE_FACTOR:g}"
    lot_limits = {"minQty": quantity(instrument.min_lots), "maxQty": quantity(instrument.max_lots)}
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": price(instrument.min_price_ticks),
            "maxPrice": price(instrument.max_price_ticks),
            "tickSize": price(1),
        },
        {"filterType": "LOT_SIZE", **lot_limits, "stepSize": quantity(1)},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": quantity(instrument.min_lots),
            "maxQty": quantity(max_market_lots(instrument)),
            "stepSize": quantity(1),
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": atoms_text(instrument.min_notional_atoms),
            "applyMinToMarket": True,
            "maxNotional": atoms_text(MAX_NOTIONAL_ATOMS),
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": up,
            "bidMultiplierDown": down,
            "askMultiplierUp": up,
            "askMultiplierDown": down,
            "avgPriceMins": 0,
        },
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": 10,
            "maxTrailingAboveDelta": 2000,
            "minTrailingBelowDelta": 10,
            "maxTrailingBelowDelta": 2000,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MAX_NUM_ORDERS},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": MAX_NUM_ORDER_AMENDS},
    ]

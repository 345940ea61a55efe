"""The symbols that the mock exchange lists: two whose markets are calibrated, more that are well known, and any other by its name.

Ticks, lots and notional limits of the named ones are those that Binance states; of others they follow from an opening price.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from math import floor, log10

from mmd.types.instrument import Instrument, InstrumentError

INSTRUMENTS: dict[str, Instrument] = {
    instrument.symbol: instrument
    for instrument in (
        Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5"),
        Instrument.create("ETHUSDT", "ETH", "USDT", tick_size="0.01", lot_size="0.0001", min_notional="5"),
    )
}
"""The symbols whose simulated market is calibrated to recordings, by name."""

_STEPS: dict[str, tuple[str, str]] = {
    "SOLUSDT": ("0.01", "0.001"),
    "BNBUSDT": ("0.01", "0.001"),
    "XRPUSDT": ("0.0001", "0.1"),
    "ADAUSDT": ("0.0001", "0.1"),
    "DOGEUSDT": ("0.00001", "1"),
    "LTCUSDT": ("0.01", "0.001"),
    "LINKUSDT": ("0.01", "0.01"),
    "AVAXUSDT": ("0.01", "0.01"),
    "DOTUSDT": ("0.001", "0.01"),
    "TRXUSDT": ("0.0001", "0.1"),
    "BCHUSDT": ("0.1", "0.001"),
    "UNIUSDT": ("0.001", "0.01"),
    "ATOMUSDT": ("0.001", "0.01"),
    "NEARUSDT": ("0.001", "0.1"),
    "ETHBTC": ("0.00001", "0.001"),
    "BNBBTC": ("0.000001", "0.01"),
}
"""Tick and lot of the other symbols that are known by name."""

_DOLLARS: dict[str, float] = {
    "BTC": 60_000,
    "ETH": 3_500,
    "BNB": 580,
    "SOL": 150,
    "XRP": 0.6,
    "ADA": 0.4,
    "DOGE": 0.12,
    "LTC": 70,
    "LINK": 14,
    "AVAX": 27,
    "DOT": 6,
    "TRX": 0.13,
    "BCH": 380,
    "UNI": 8,
    "ATOM": 7,
    "NEAR": 5,
    "EUR": 1.1,
    "USDT": 1,
    "USDC": 1,
    "FDUSD": 1,
    "TUSD": 1,
    "BUSD": 1,
}
_QUOTES = {
    "USDT": "5",
    "FDUSD": "5",
    "USDC": "5",
    "TUSD": "5",
    "BUSD": "5",
    "EUR": "5",
    "BTC": "0.0001",
    "ETH": "0.001",
    "BNB": "0.01",
}
"""Assets that others are quoted in, with the smallest order value."""
_PLAUSIBLE = re.compile(r"[A-Z0-9]{2,20}")
_PRICE_DIGITS = 5
_SMALLEST_LOT_DOLLARS = 0.5


def listed(symbols: Iterable[str]) -> list[Instrument]:
    """The instruments of `symbols`, in their order. Raises `InstrumentError` for a text that cannot be a symbol."""
    return [INSTRUMENTS.get(symbol) or _derived(symbol) for symbol in symbols]


def opening_price(instrument: Instrument) -> float:
    """The price at which the market of a symbol opens, in its quote asset."""
    return dollars(instrument.base_asset) / dollars(instrument.quote_asset)


def dollars(asset: str) -> float:
    """What one unit of an asset is taken to be worth before anything has traded; 1 for an asset that is not known."""
    return _DOLLARS.get(asset, 1.0)


def _derived(symbol: str) -> Instrument:
    base, quote = _split(symbol)
    price = dollars(base) / dollars(quote)
    tick, lot = _STEPS.get(symbol) or _steps_of(price, dollars(base))
    return Instrument.create(
        symbol,
        base,
        quote,
        tick_size=tick,
        lot_size=lot,
        min_notional=_QUOTES[quote],
        max_quantity=str(9_000 * 10 ** max(0, 4 - floor(log10(dollars(base))))),
    )


def _split(symbol: str) -> tuple[str, str]:
    for quote in _QUOTES:
        base = symbol.removesuffix(quote)
        if base and base != symbol and _PLAUSIBLE.fullmatch(symbol):
            return base, quote
    raise InstrumentError(
        f"the mock exchange cannot list {symbol!r}: a symbol is a base asset followed by one of {', '.join(_QUOTES)}, "
        "in capitals, as BTCUSDT"
    )


def _steps_of(price: float, base_dollars: float) -> tuple[str, str]:
    """Tick and lot for a price: five digits of price, lots of at most half a dollar, tick times lot no finer than 1e-8."""
    tick_exponent = max(-8, floor(log10(price)) - _PRICE_DIGITS + 1)
    lot_exponent = max(floor(log10(_SMALLEST_LOT_DOLLARS / base_dollars)), -8 - tick_exponent)
    return _power_of_ten(tick_exponent), _power_of_ten(lot_exponent)


def _power_of_ten(exponent: int) -> str:
    return f"{Decimal(1).scaleb(exponent):f}"

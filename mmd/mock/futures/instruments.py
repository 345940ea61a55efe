"""The perpetuals that are listed. They share their names with the spot symbols, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mmd.mock.instruments import listed
from mmd.types.instrument import Instrument, InstrumentError, Replacement

COLLATERAL = "USDT"

_STATED: dict[str, tuple[str, str, str, str]] = {
    "BTCUSDT": ("BTC", "0.1", "0.001", "50"),
    "ETHUSDT": ("ETH", "0.01", "0.001", "20"),
}
"""Base asset, tick, lot and least notional as Binance states them; of others the spot symbol's are taken."""


def perpetuals(symbols: Iterable[str]) -> list[Instrument]:
    """The perpetuals of these names. Raises `InstrumentError` for one that nothing is known of."""
    return [_perpetual(symbol) for symbol in symbols]


def _perpetual(symbol: str) -> Instrument:
    if symbol in _STATED:
        base, tick, lot, least = _STATED[symbol]
        spot = Instrument.create(symbol, base, "USDT", tick_size=tick, lot_size=lot, min_notional=least, max_quantity="1000")
    else:
        (spot,) = listed([symbol])
        if spot.quote_asset != COLLATERAL:
            raise InstrumentError(f"{symbol} is no USD-M perpetual: collateral is {COLLATERAL}")
    return msgspec.structs.replace(spot, perpetual=True, replacement=Replacement.MODIFY)

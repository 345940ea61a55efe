"""The venue's filters to instruments."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mmd.exchanges.adapter import AdapterError
from mmd.types.decoding import UNREADABLE
from mmd.types.instrument import Instrument, InstrumentError


class _Filter(msgspec.Struct):
    filterType: str
    tickSize: str = ""
    minPrice: str = "0"
    maxPrice: str = "0"
    stepSize: str = ""
    minQty: str = "0"
    maxQty: str = "0"
    minNotional: str = "0"


class _Symbol(msgspec.Struct):
    symbol: str
    status: str
    baseAsset: str
    quoteAsset: str
    filters: list[_Filter]


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


_EXCHANGE_INFO = msgspec.json.Decoder(_ExchangeInfo)
_NO_MAXIMUM_PRICE = "1000000000"


def instruments_of(body: bytes, symbols: Iterable[str]) -> dict[str, Instrument]:
    """The instruments of `symbols`, in that order. Raises `AdapterError` for a symbol that is absent, halted or makes no sense."""
    try:
        listed = {entry.symbol: entry for entry in _EXCHANGE_INFO.decode(body).symbols}
    except UNREADABLE as error:
        raise AdapterError(f"exchangeInfo cannot be read: {error}: {body[:200]!r}") from error
    return {symbol: _instrument(listed.get(symbol), symbol) for symbol in symbols}


def _instrument(entry: _Symbol | None, symbol: str) -> Instrument:
    if entry is None:
        raise AdapterError(f"the venue does not list {symbol}: mend the setting of symbols")
    if entry.status != "TRADING":
        raise AdapterError(f"{symbol} is in status {entry.status} at the venue, not TRADING")
    filters = {line.filterType: line for line in entry.filters}
    try:
        price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    except KeyError as error:
        raise AdapterError(f"{symbol} has no filter {error} at the venue") from error
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")
    try:
        instrument = Instrument.create(
            symbol,
            entry.baseAsset,
            entry.quoteAsset,
            tick_size=price.tickSize,
            lot_size=lot.stepSize,
            min_notional=notional.minNotional if notional is not None else "0",
            min_quantity=lot.minQty,
            max_quantity=lot.maxQty,
            max_price=price.maxPrice if float(price.maxPrice) > 0 else _NO_MAXIMUM_PRICE,
        )
        return msgspec.structs.replace(instrument, min_price_ticks=max(1, instrument.ticks(price.minPrice)))
    except (InstrumentError, ValueError, ArithmeticError) as error:
        raise AdapterError(f"the filters of {symbol} cannot be used: {error}") from error

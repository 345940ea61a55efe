"""The symbols that the mock exchange lists, with the filters that Binance states for them."""

from __future__ import annotations

from collections.abc import Iterable

from mmd.types.instrument import Instrument, InstrumentError

INSTRUMENTS: dict[str, Instrument] = {
    instrument.symbol: instrument
    for instrument in (
        Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5"),
        Instrument.create("ETHUSDT", "ETH", "USDT", tick_size="0.01", lot_size="0.0001", min_notional="5"),
    )
}
"""Every symbol there is, by name, in the order in which the venue lists them."""


def listed(symbols: Iterable[str]) -> list[Instrument]:
    """The instruments of `symbols`, in their order. Raises `InstrumentError` for a symbol that is not in the table."""
    chosen = []
    for symbol in symbols:
        instrument = INSTRUMENTS.get(symbol)
        if instrument is None:
            raise InstrumentError(
                f"the mock exchange lists no {symbol!r}; it has {', '.join(INSTRUMENTS)} (mmd/mock/instruments.py)"
            )
        chosen.append(instrument)
    return chosen

"""Tick and lot sizes of recorded symbols: a table for markets recorded elsewhere, `instruments.json` beside recordings of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from mmd.types.decoding import UNREADABLE
from mmd.types.instrument import Instrument, InstrumentError, units

USD_M, SPOT = "usdm", "spot"
MARKETS = (SPOT, USD_M)
INSTRUMENTS_FILE = "instruments.json"
_MIN_NOTIONAL = "5"

KNOWN_INSTRUMENTS: Mapping[tuple[str, str], Instrument] = {
    (USD_M, "BTCUSDT"): Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.1", lot_size="0.001", min_notional=_MIN_NOTIONAL),
    (USD_M, "ETHUSDT"): Instrument.create("ETHUSDT", "ETH", "USDT", tick_size="0.01", lot_size="0.001", min_notional=_MIN_NOTIONAL),
    (SPOT, "BTCUSDT"): Instrument.create(
        "BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional=_MIN_NOTIONAL
    ),
}
"""Steps that held when the 2023 and 2024 recordings were made, by market and symbol."""


class InstrumentsFileError(ValueError):
    """`instruments.json` cannot be read. The text says where and why."""


class RecordedInstrument(msgspec.Struct, frozen=True):
    """One symbol's filters as decimal texts, in the words of `Instrument.create`."""

    symbol: str
    base_asset: str
    quote_asset: str
    tick_size: str
    lot_size: str
    min_notional: str
    min_quantity: str
    max_quantity: str
    max_price: str


class _Document(msgspec.Struct, frozen=True):
    version: int
    markets: dict[str, list[RecordedInstrument]]


def instrument_of(path: Path, market: str, symbol: str) -> Instrument | None:
    """The instrument of a recording: as `instruments.json` in its folder says, else from the table; None where neither knows it.

    Raises `InstrumentsFileError`.
    """
    beside = read_instruments(path.parent)
    return beside.get((market, symbol)) or KNOWN_INSTRUMENTS.get((market, symbol))


def read_instruments(folder: Path) -> dict[tuple[str, str], Instrument]:
    """What `instruments.json` in the folder says, by market and symbol; nothing where it is not there.

    Raises `InstrumentsFileError`.
    """
    path = folder / INSTRUMENTS_FILE
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
        return {
            (market, each.symbol): _instrument(each) for market, instruments in document.markets.items() for each in instruments
        }
    except FileNotFoundError:
        return {}
    except (OSError, *UNREADABLE, InstrumentError, ArithmeticError) as error:
        raise InstrumentsFileError(f"{path}: cannot be read: {error}; move it away, or mend it") from error


def write_instruments(folder: Path, market: str, instruments: Iterable[Instrument]) -> None:
    """Put the instruments into the folder's `instruments.json`, beside those it has. Raises `OSError`, `InstrumentsFileError`."""
    known = {**read_instruments(folder), **{(market, each.symbol): each for each in instruments}}
    markets: dict[str, list[RecordedInstrument]] = {}
    for (name, _), instrument in sorted(known.items()):
        markets.setdefault(name, []).append(_recorded(instrument))
    path = folder / INSTRUMENTS_FILE
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(_Document(1, markets)), indent=2) + b"\n")
    fresh.replace(path)


def _recorded(instrument: Instrument) -> RecordedInstrument:
    return RecordedInstrument(
        symbol=instrument.symbol,
        base_asset=instrument.base_asset,
        quote_asset=instrument.quote_asset,
        tick_size=f"{instrument.tick_size:f}",
        lot_size=f"{instrument.lot_size:f}",
        min_notional=f"{units(instrument.min_notional_atoms):f}",
        min_quantity=f"{instrument.quantity(instrument.min_lots):f}",
        max_quantity=f"{instrument.quantity(instrument.max_lots):f}",
        max_price=f"{instrument.price(instrument.max_price_ticks):f}",
    )


def _instrument(each: RecordedInstrument) -> Instrument:
    return Instrument.create(
        each.symbol,
        each.base_asset,
        each.quote_asset,
        tick_size=each.tick_size,
        lot_size=each.lot_size,
        min_notional=each.min_notional,
        min_quantity=each.min_quantity,
        max_quantity=each.max_quantity,
        max_price=each.max_price,
    )

"""The tick and lot size that a person states for a source; what nobody states is inferred from the data."""

from __future__ import annotations

from pathlib import Path

from mmd.data.source import ImportFailed, Options, SeriesKey
from mmd.types.instrument import Instrument, InstrumentError

FINEST_PER_UNIT = 1e8
"""Ticks and lots per unit where the steps are not known yet."""


def instrument_for(path: Path, key: SeriesKey, options: Options) -> Instrument | None:
    """None where nothing was stated: then no row is off the grid. Raises `ImportFailed`."""
    if not (options.tick_size or options.lot_size):
        return None
    try:
        return Instrument.create(key.symbol, "BASE", "QUOTE", tick_size=options.tick_size, lot_size=options.lot_size)
    except (InstrumentError, ArithmeticError) as error:
        raise ImportFailed(
            f"{path}: --tick {options.tick_size or '?'} --lot {options.lot_size or '?'}: {error or 'no number'}"
        ) from error

"""Tick and lot size of data whose instrument is not known: the greatest common divisor of what was seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import polars as pl

UNITS = 100_000_000
"""Prices and sizes are looked at as multiples of 1e-8."""


class RunningGrid:
    """Takes columns chunk by chunk."""

    def __init__(self) -> None:
        self._tick = 0
        self._lot = 0
        self._fallback_tick = 0

    def add(self, frame: pl.DataFrame, prices: Sequence[str], sizes: Sequence[str]) -> None:
        """Every price and size of a chunk."""
        for name in prices:
            self._tick = math.gcd(self._tick, _divisor(frame[name]))
        for name in sizes:
            self._lot = math.gcd(self._lot, _divisor(frame[name]))

    def add_fallback(self, prices: pl.Series) -> None:
        """Trade prices, which decide only where no quote was seen: trades may print between the ticks."""
        self._fallback_tick = math.gcd(self._fallback_tick, _divisor(prices))

    @property
    def tick_size(self) -> str:
        """Decimal text."""
        return _text(self._tick or self._fallback_tick or 1)

    @property
    def lot_size(self) -> str:
        """Decimal text; 1 where no size was seen."""
        return _text(self._lot or UNITS)


def _divisor(column: pl.Series) -> int:
    values = np.unique(np.round(column.drop_nulls().to_numpy() * UNITS).astype(np.int64))
    return int(np.gcd.reduce(values)) if len(values) else 0


def _text(units: int) -> str:
    return f"{(Decimal(units) / UNITS).normalize():f}"

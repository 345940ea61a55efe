"""What is told of a distribution of times."""

from __future__ import annotations

import msgspec


class Percentiles(msgspec.Struct, frozen=True):
    """Percentiles of one histogram in microseconds; `n` is the number of samples."""

    p50: float
    p99: float
    p999: float
    n: int


class StagePercentiles(msgspec.Struct, frozen=True):
    """The way of a tick as a whole, and its stages by name."""

    tick_to_quote: Percentiles
    stages: dict[str, Percentiles]

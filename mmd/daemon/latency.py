"""Where the time goes: log-linear histograms of nanoseconds that cost one array increment a sample, and the stage timer on them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mmd.daemon.percentiles import Percentiles
from mmd.types.stages import Stage

__all__ = [
    "BUCKETS",
    "MAX_BITS",
    "MAX_VALUE",
    "RISK",
    "SUB_BUCKETS",
    "SUB_BUCKET_BITS",
    "LatencyHistogram",
    "Percentiles",
    "StageClock",
    "bucket_bounds",
]

SUB_BUCKET_BITS: Final = 5
SUB_BUCKETS: Final = 1 << SUB_BUCKET_BITS
"""Buckets to each doubling: a bucket is at most 1/32 wide, so its middle is within 1.6 % of any value in it."""

MAX_BITS: Final = 40
MAX_VALUE: Final = (1 << MAX_BITS) - 1
"""Longer times (18 minutes) are counted as this."""

BUCKETS: Final = (MAX_BITS - SUB_BUCKET_BITS) * SUB_BUCKETS + SUB_BUCKETS


class LatencyHistogram:
    """Counts of nanosecond durations in buckets of constant relative width. Fixed memory, recording is O(1)."""

    __slots__ = ("_counts", "n", "total_ns")

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * BUCKETS))
        self.n = 0
        self.total_ns = 0

    def record(self, duration_ns: int) -> None:
        """Count one duration in ns. Below zero (a clock stepped back) counts as 0."""
        if duration_ns < SUB_BUCKETS:
            index = duration_ns if duration_ns > 0 else 0
        else:
            shift = duration_ns.bit_length() - SUB_BUCKET_BITS - 1
            index = (shift << SUB_BUCKET_BITS) + (duration_ns >> shift) if duration_ns <= MAX_VALUE else BUCKETS - 1
        self._counts[index] += 1
        self.n += 1
        self.total_ns += duration_ns

    def percentile_ns(self, fraction: float) -> float:
        """The duration in ns that `fraction` (0 to 1) of the samples do not pass, to 1.6 %; 0 when there are none."""
        return self._at((fraction,))[0]

    def cumulative(self, bounds_ns: Sequence[int]) -> list[int]:
        """For each bound in ascending order, how many samples lie below it (to the width of one bucket)."""
        seen = self._seen()
        return [int(seen[below - 1]) if below else 0 for below in np.searchsorted(LOWS, bounds_ns).tolist()]

    def percentiles(self) -> Percentiles:
        """In microseconds."""
        p50, p99, p999 = (round(at_ns / 1000, 3) for at_ns in self._at((0.5, 0.99, 0.999)))
        return Percentiles(p50, p99, p999, self.n)

    def _at(self, fractions: Sequence[float]) -> list[float]:
        if not self.n:
            return [0.0] * len(fractions)
        wanted = [min(self.n, max(1.0, fraction * self.n)) for fraction in fractions]
        bounds = map(bucket_bounds, np.searchsorted(self._seen(), wanted).tolist())
        return [low + 0.5 * (width - 1) for low, width in bounds]

    def _seen(self) -> npt.NDArray[np.uint64]:
        """Samples in each bucket and all below it: in one pass of C, since a scrape asks a dozen histograms on the event loop."""
        return np.cumsum(np.frombuffer(self._counts, dtype=np.uint64))


def bucket_bounds(index: int) -> tuple[int, int]:
    """Lowest value and width of a bucket, ns."""
    if index < 2 * SUB_BUCKETS:
        return index, 1
    shift = (index >> SUB_BUCKET_BITS) - 1
    return (SUB_BUCKETS + (index & (SUB_BUCKETS - 1))) << shift, 1 << shift


LOWS = np.array([bucket_bounds(index)[0] for index in range(BUCKETS)])
"""Lowest value of each bucket, ns."""

RISK: Final = Stage.RISK
INFERENCE: Final = Stage.INFERENCE
COMPANION: Final = Stage.COMPANION
"""A look into an enumeration costs as much as the clock."""


class StageClock:
    """The `StageTimer` of a live process: each lap books the time since the one before to its stage.

    `on_inference` hears what each inference took, ns: whether a prediction came in time hangs on it, and a journal keeps it.
    """

    __slots__ = ("_mark_ns", "_on_inference", "quoted", "stages", "tick_to_order", "tick_to_quote")

    def __init__(self, on_inference: Callable[[int], Any] | None = None) -> None:
        self._on_inference = on_inference
        self.stages = tuple(LatencyHistogram() for _ in Stage)
        self.tick_to_quote = LatencyHistogram()
        self.tick_to_order = LatencyHistogram()
        self.quoted = False
        """Whether a quote was made since somebody last set this to False: its risk stage has ended."""
        self._mark_ns = perf_counter_ns()

    def start(self) -> None:
        """A tick begins."""
        self._mark_ns = perf_counter_ns()

    def lap(self, stage: Stage) -> int:
        """`stage` ends here. The ns it took."""
        now_ns = perf_counter_ns()
        taken_ns = now_ns - self._mark_ns
        self.stages[stage].record(taken_ns)
        self._mark_ns = now_ns
        if stage is RISK:
            self.quoted = True
        elif (stage is INFERENCE or stage is COMPANION) and self._on_inference is not None:
            self._on_inference(taken_ns)
        return taken_ns

    def percentiles(self) -> dict[str, Percentiles]:
        """By stage name, stages that were never timed left out."""
        return {stage.name.lower(): self.stages[stage].percentiles() for stage in Stage if self.stages[stage].n}

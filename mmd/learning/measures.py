"""Plain measures of predictions, and how sure they are: by moments of time blocks, so that resampling whole blocks costs nothing.

Rows of a market share most of their future with their neighbours, so single rows are no independent sample. A bootstrap draws
whole blocks of time with replacement; its interval is the 2.5 to 97.5 percentile over the draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BLOCK_SECONDS = 60.0
LEAST_BLOCKS = 20
"""A shorter market is cut into as many blocks, of `SHORTEST_BLOCK_SECONDS` at least."""
SHORTEST_BLOCK_SECONDS = 5.0
DRAWS = 400
INTERVAL = (2.5, 97.5)
MOMENTS = 6
NS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Blocks:
    """Sums over the rows of each block of time: count, x, y, x², y², xy."""

    sums: Floats
    """[blocks, 6]"""
    start_ns: Integers
    """When each block began."""

    def ic(self) -> float:
        """Pearson correlation over all rows; NaN where either is constant."""
        return float(_ic(self.sums.sum(axis=0)))

    def r2(self, slope: float) -> float:
        """1 - sum (y - slope x)² / sum y²: against predicting no change; NaN without any change."""
        _, _, _, xx, yy, xy = self.sums.sum(axis=0)
        return float((2.0 * slope * xy - slope * slope * xx) / yy) if yy > 0 else float("nan")

    def slope(self) -> float:
        """Least squares of y on x through the origin, never negative: a prediction may be rescaled, not turned around."""
        _, _, _, xx, _, xy = self.sums.sum(axis=0)
        return max(0.0, float(xy / xx)) if xx > 0 else 0.0

    def ic_interval(self, draws: Integers) -> tuple[float, float]:
        """Bootstrap interval; `draws` from `block_draws`, as many blocks each as there are."""
        drawn = self.drawn_ics(draws) if len(self.sums) > 1 else np.zeros(0)
        drawn = drawn[np.isfinite(drawn)]
        if not len(drawn):
            return float("nan"), float("nan")
        low, high = np.percentile(drawn, INTERVAL)
        return float(low), float(high)

    def drawn_ics(self, draws: Integers) -> Floats:
        """The IC of each draw."""
        return np.asarray(_ic(self.sums[draws].sum(axis=1)))


def blocks(x: Floats, y: Floats, time_ns: Integers) -> Blocks:
    """Of rows in order of time. Rows with a prediction or an outcome that is not finite are left out."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y, time_ns = x[known], y[known], time_ns[known]
    if not len(x):
        return Blocks(np.zeros((0, MOMENTS)), np.zeros(0, dtype=np.int64))
    span = float(time_ns[-1] - time_ns[0]) / NS_PER_SECOND
    block_ns = round(min(BLOCK_SECONDS, max(SHORTEST_BLOCK_SECONDS, span / LEAST_BLOCKS)) * NS_PER_SECOND)
    number = time_ns // block_ns
    starts = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y)
    sums = np.stack([np.add.reduceat(column, starts) for column in columns], axis=1)
    return Blocks(sums, np.asarray(number[starts] * block_ns, dtype=np.int64))


def block_draws(count: int, seed: int = 0, draws: int = DRAWS) -> Integers:
    """[draws, count] numbers of blocks. The same for every predictor of the same rows, so that differences are paired."""
    return np.random.default_rng(seed).integers(max(count, 1), size=(draws, count))


def _ic(sums: Floats) -> Floats:
    count, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    scale = (count * xx - x * x) * (count * yy - y * y)
    moved = scale > 1e-12 * (count * xx) * (count * yy)
    return np.where(moved, (count * xy - x * y) / np.sqrt(np.where(moved, scale, 1.0)), np.nan)


# ---- probabilities


def auc(probability: Floats, happened: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often a row where it happened ranks above one where it did not; ties count half."""
    ones = int(happened.sum())
    zeros = len(happened) - ones
    if not ones or not zeros:
        return float("nan")
    _, place, counts = np.unique(probability, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[place]
    return float((ranks[happened].sum() - ones * (ones + 1) / 2.0) / (ones * zeros))

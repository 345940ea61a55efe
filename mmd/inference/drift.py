"""Drift: how far the inputs of today lie from those of the training, feature by feature.

The population stability index of credit scoring, PSI = sum over bins of (p - q)·ln(p / q), with q the training's shares of the
bins and p those of late, over exponentially fading counts of rows. Rule of thumb: below 0.1 nothing happened, above 0.25 the market
is another one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

HALF_LIFE_ROWS = 20_000
LEAST_ROWS = 500
"""Below so many rows nothing is said."""
LEAST_SHARE = 1e-4
"""A bin's share counts as at least this: one empty bin is not endless drift."""
BINS = 10

Floats = NDArray[np.float64]


class Bins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature in the training: inner edges, and the share of rows in each bin, one more than edges. Equal deciles are one."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where edges do not grow or shares are no distribution."""
        if len(self.shares) != len(self.edges) + 1 or any(
            low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)
        ):
            raise ValueError("bins: expected growing edges and one share more than edges")
        if not all(share >= 0 for share in self.shares) or not abs(sum(self.shares) - 1) < 1e-3:
            raise ValueError("bins: shares must not be negative and sum to 1")


def reference_bins(column: NDArray[np.floating]) -> Bins:
    """From every row of one feature in the training part: at most ten bins, each as near a tenth of the rows as ties allow."""
    edges = np.unique(np.percentile(column, np.arange(1, BINS) * (100 / BINS)).astype(np.float32))
    places = np.searchsorted(edges, column, side="right")
    shares = np.bincount(places, minlength=len(edges) + 1) / len(column)
    return Bins(tuple(float(f"{edge:.7g}") for edge in edges), tuple(round(float(share), 6) for share in shares))


class DriftMeter:
    """`observe` some rows now and then; `psi` tells where they lie beside the training."""

    def __init__(self, reference: Sequence[Bins], half_life_rows: float = HALF_LIFE_ROWS) -> None:
        width = max(len(bins.edges) for bins in reference)
        self._edges = np.full((len(reference), width), np.inf, dtype=np.float32)
        self._shares = np.zeros((len(reference), width + 1))
        for row, bins in enumerate(reference):
            self._edges[row, : len(bins.edges)] = bins.edges
            self._shares[row, : len(bins.shares)] = bins.shares
        self._counts = np.zeros_like(self._shares)
        self._first_cells = np.arange(len(reference)) * (width + 1)
        self._per_row = 0.5 ** (1.0 / half_life_rows)
        self.rows = 0
        """Observed since the start."""

    def observe(self, rows: NDArray[np.floating]) -> None:
        """[rows, features], finite; further columns than the reference has are left out."""
        if not len(rows):
            return
        self._counts *= self._per_row ** len(rows)
        places = (rows[:, : len(self._edges), None] >= self._edges[None]).sum(axis=2)
        cells = places + self._first_cells
        self._counts += np.bincount(cells.ravel(), minlength=self._counts.size).reshape(self._counts.shape)
        self.rows += len(rows)

    def psi(self) -> Floats | None:
        """[features], None before `LEAST_ROWS` rows."""
        if self.rows < LEAST_ROWS:
            return None
        now = np.maximum(self._counts / self._counts.sum(axis=1, keepdims=True), LEAST_SHARE)
        then = np.maximum(self._shares, LEAST_SHARE)
        return np.asarray(((now - then) * np.log(now / then)).sum(axis=1))

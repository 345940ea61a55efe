"""Inventory inputs for training: simple simulated trajectories, drawn without looking at what the market does next.

A trajectory is a chain of pieces. At the start of a piece the position is drawn anew from [-1, 1] (with a past of its own: age and
entry), or changed by a fill at the mid, or flat; within a piece it stays, while the market moves under it. Sizes and times of fills
are random and not taken from the trades of the market: else the position would tell of past flow, and the price head would read it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmd.learning.sessions import Floats, Integers, Rows
from mmd.learning.sources import SECOND_NS
from mmd.market.inventory import MAX_LOG_AGE, MAX_OFFSET

MEAN_PIECE_ROWS = 150
REDRAWN_SHARE = 0.4
FLAT_SHARE = 0.05
FILL_SCALE = 0.3
ENTRY_SCALE_SIGMA = 3.0
LONGEST_AGE_SECONDS = 3_600.0
BUDGET_SIGMAS = 100.0
"""A full position loses the loss budget in a move of about so many sigma."""
COLUMNS = 5


def inventory_path(rng: np.random.Generator, receive_ns: Integers, mid_ticks: Floats, sigma_ticks: Floats) -> Rows:
    """[n, 5] float32 in the order of INVENTORY_NAMES, by the formulas of `mmd.market.inventory.inventory_row`."""
    count = len(receive_ns)
    path = np.zeros((count, COLUMNS), dtype=np.float32)
    position, entry, since_ns = 0.0, 0.0, 0
    start = 0
    while start < count:
        stop = min(count, start + 1 + int(rng.exponential(MEAN_PIECE_ROWS)))
        mid, now_ns = float(mid_ticks[start]), int(receive_ns[start])
        kind = rng.random()
        if kind < FLAT_SHARE:
            position = 0.0
        elif kind < FLAT_SHARE + REDRAWN_SHARE:
            position = rng.uniform(-1.0, 1.0)
            entry = mid + rng.normal() * ENTRY_SCALE_SIGMA * float(sigma_ticks[start])
            since_ns = now_ns - round(SECOND_NS * (LONGEST_AGE_SECONDS ** rng.random() - 1.0))
        else:
            position, entry, since_ns = _filled(rng, position, entry, since_ns, mid, now_ns)
        piece = slice(start, stop)
        if position:
            _hold(rng, path[piece], position, entry, since_ns, receive_ns[piece], mid_ticks[piece], sigma_ticks[piece])
        path[piece, 4] = min(1.0, abs(position) * rng.uniform(0.5, 1.0) + rng.uniform(0.0, 0.5))
        start = stop
    return path


def _filled(
    rng: np.random.Generator, position: float, entry: float, since_ns: int, mid: float, now_ns: int
) -> tuple[float, float, int]:
    """Position, average entry and time since flat after a fill at the mid."""
    new = float(np.clip(position + rng.normal() * FILL_SCALE, -1.0, 1.0))
    if new * position <= 0:
        return new, mid, now_ns
    if abs(new) > abs(position):
        entry += (mid - entry) * (abs(new) - abs(position)) / abs(new)
    return new, entry, since_ns


def _hold(
    rng: np.random.Generator,
    rows: npt.NDArray[np.float32],
    position: float,
    entry: float,
    since_ns: int,
    receive_ns: Integers,
    mid_ticks: Floats,
    sigma_ticks: Floats,
) -> None:
    offset = np.sign(position) * (mid_ticks - entry) / sigma_ticks
    budget = BUDGET_SIGMAS * np.exp(rng.normal())
    rows[:, 0] = position
    rows[:, 1] = np.minimum(np.log1p(np.maximum(receive_ns - since_ns, 0) / SECOND_NS), MAX_LOG_AGE)
    rows[:, 2] = np.clip(offset, -MAX_OFFSET, MAX_OFFSET)
    rows[:, 3] = np.clip(abs(position) * offset / budget, -1.0, 1.0)

"""How often the market trades how far from the mid, and how the mid moves: what GLFT and Avellaneda-Stoikov ask for.

As in hftbacktest's tutorial on the GLFT model: in each interval of 100 ms the furthest trade from the mid that began it, in
ticks, tells that an order that near would have been reached. λ(δ) is the rate of intervals that reached δ; log λ = log A - k·δ is
fitted by least squares over the distances that were reached often enough, each weighed by how often. σ is the root mean square
change of the mid an interval.

A and k are then told per τ and per σ_τ, the mid's volatility over the skew's horizon τ, as the quoters count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.backtest.errors import BacktestError
from mmd.market.book import OrderBook
from mmd.types.market import DepthSnapshot, DepthUpdate, FeedState, FeedStatus, MarketTrade, TouchUpdate

INTERVAL_NS = 100_000_000
LEAST_REACHED = 5
"""A distance that fewer intervals reached tells nothing."""
LEAST_DISTANCES = 3
MOST_TICKS = 2_000


@dataclass(frozen=True)
class Calibration:
    """`rate_per_second` A and `decay_per_tick` k as fitted; the others in units of τ and σ_τ."""

    rate_per_second: float
    decay_per_tick: float
    sigma_ticks_per_root_second: float
    arrival_rate: float
    arrival_decay: float
    intervals: int
    distances: int


def calibrate(events: Iterable[Any], symbol: str, begin_ns: int, horizon_seconds: float) -> Calibration:
    """From what was received from `begin_ns` on. Raises `BacktestError` where too little traded to tell."""
    book = OrderBook(symbol)
    reached: list[float] = []
    moves: list[float] = []
    until_ns, mid_x2, furthest = 0, 0, 0
    for event in events:
        if isinstance(event, FeedStatus):
            if event.state is FeedState.DISCONNECTED:
                book.invalidate(event.detail)
                until_ns = 0
            continue
        if event.receive_ns >= max(until_ns, begin_ns) and book.valid:
            now_x2 = book.bid_ticks + book.ask_ticks
            if until_ns:
                idle = (event.receive_ns - until_ns) // INTERVAL_NS
                reached.append(furthest / 2)
                moves.append((now_x2 - mid_x2) / 2)
                reached.extend([0.0] * idle)
                moves.extend([0.0] * idle)
                until_ns += (idle + 1) * INTERVAL_NS
            else:
                until_ns = event.receive_ns + INTERVAL_NS
            mid_x2, furthest = now_x2, 0
        if isinstance(event, MarketTrade):
            if until_ns:
                furthest = max(furthest, event.aggressor.sign * (2 * event.price_ticks - mid_x2))
        elif isinstance(event, TouchUpdate):
            book.on_touch_update(event)
        elif isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        elif isinstance(event, DepthSnapshot):
            book.on_depth_snapshot(event)
    return fit(np.asarray(reached), np.asarray(moves), symbol, horizon_seconds)


def fit(reached: npt.NDArray[np.float64], moves: npt.NDArray[np.float64], symbol: str, horizon_seconds: float) -> Calibration:
    """`reached`: furthest trade from the mid in each interval, ticks, 0 for none; `moves`: the mid's change, ticks."""
    seconds = len(reached) * INTERVAL_NS / 1e9
    distances = np.arange(0.5, MOST_TICKS, 0.5)
    ordered = np.sort(reached)
    counts = len(ordered) - np.searchsorted(ordered, distances - 1e-9)
    # One point for each step of the curve: between two steps nothing was seen.
    steps = np.flatnonzero(np.diff(counts, append=0) != 0)
    used = steps[counts[steps] >= LEAST_REACHED]
    sigma = float(np.sqrt(np.mean(moves**2) / (INTERVAL_NS / 1e9))) if len(moves) else 0.0
    if len(used) < LEAST_DISTANCES or sigma == 0.0:
        raise BacktestError(
            f"{symbol}: too little traded to calibrate on ({len(used)} distances were reached {LEAST_REACHED} times or more in "
            f"{seconds:.0f} s, and {LEAST_DISTANCES} are needed): give more data, or parameters with --no-fit and --set"
        )
    slope, intercept = np.polyfit(distances[used], np.log(counts[used] / seconds), 1, w=np.sqrt(counts[used]))
    if slope >= 0:
        raise BacktestError(f"{symbol}: trades do not become rarer with distance here; give parameters with --no-fit and --set")
    sigma_horizon = sigma * float(np.sqrt(horizon_seconds))
    rate = float(np.exp(intercept))
    return Calibration(rate, -float(slope), sigma, rate * horizon_seconds, -float(slope) * sigma_horizon, len(reached), len(used))

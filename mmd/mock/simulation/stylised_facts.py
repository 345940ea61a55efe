"""What a market looks like in a few numbers, measured alike on a simulation and on a recording.

The facts are those that the literature finds in nearly every market (Cont 2001, "Empirical properties of asset returns: stylized
facts and statistical issues"): heavy tails, volatility that clusters, trade signs that persist, and an imbalance of the queues
that tells of the next move.
"""

from __future__ import annotations

from math import inf

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SECOND_NS = 1_000_000_000
GRID_NS = SECOND_NS // 10
TAIL_SHARE = 0.05
"""Share of the largest absolute returns from which the tail is judged."""
LEAST_TAIL = 10


class Touches(msgspec.Struct, frozen=True):
    """Every change of the best prices, in time order: receive time (UTC ns), prices and sizes in any unit."""

    time_ns: Integers
    bid: Floats
    bid_size: Floats
    ask: Floats
    ask_size: Floats


class Aggressors(msgspec.Struct, frozen=True):
    """Every aggressive order (prints of one instant and side are one), in time order: time (UTC ns), +1 bought, -1 sold."""

    time_ns: Integers
    sign: Floats


class StylisedFacts(msgspec.Struct, frozen=True):
    """One market's facts."""

    seconds: float
    spread_bps: float
    """Median over a grid of 100 ms."""
    trades_per_second: float
    """Aggressive orders."""
    volatility_bps: float
    """Standard deviation of one-second mid returns."""
    hill_exponent: float
    """Tail exponent of absolute one-second returns, by Hill's estimator over the largest 5 %."""
    trade_sign_autocorrelation: float
    """Of the signs of consecutive aggressive orders (lag 1)."""
    absolute_return_autocorrelation: float
    """Of absolute one-second returns ten seconds apart (lag 10)."""
    imbalance_correlation: float
    """Of the touch's imbalance with the mid's move in the second that follows."""


def measure(touches: Touches, aggressors: Aggressors, begin_ns: int, end_ns: int) -> StylisedFacts:
    """The facts of a stretch of a market. Raises `ValueError` for less than a minute, or no trades in it."""
    seconds = (end_ns - begin_ns) / SECOND_NS
    inside = (aggressors.time_ns >= begin_ns) & (aggressors.time_ns < end_ns)
    if seconds < 60 or inside.sum() < 2:
        raise ValueError(f"{seconds:g} s with {int(inside.sum())} trades are too little to tell a market by")
    grid = np.arange(max(begin_ns, int(touches.time_ns[0])), end_ns, GRID_NS)
    at = np.searchsorted(touches.time_ns, grid, "right") - 1
    bid, ask = touches.bid[at], touches.ask[at]
    bid_size, ask_size = touches.bid_size[at], touches.ask_size[at]
    mid = (bid + ask) / 2
    per_second = SECOND_NS // GRID_NS
    returns = np.diff(np.log(mid[::per_second])) * 1e4
    signs = aggressors.sign[inside]
    imbalance = (bid_size - ask_size) / (bid_size + ask_size)
    return StylisedFacts(
        seconds=seconds,
        spread_bps=float(np.median((ask - bid) / mid)) * 1e4,
        trades_per_second=len(signs) / seconds,
        volatility_bps=float(returns.std()),
        hill_exponent=hill_exponent(returns),
        trade_sign_autocorrelation=autocorrelation(signs, 1),
        absolute_return_autocorrelation=autocorrelation(np.abs(returns), 10),
        imbalance_correlation=float(np.corrcoef(imbalance[:-per_second], mid[per_second:] - mid[:-per_second])[0, 1]),
    )


def hill_exponent(returns: Floats) -> float:
    """Hill's estimate of the tail exponent of absolute returns (Hill 1975): 1 / mean of log(largest / threshold).

    Returns of 0 are left out. Infinite where the largest are all alike. Raises `ValueError` for too few returns.
    """
    sizes = np.sort(np.abs(returns[returns != 0]))[::-1]
    count = max(LEAST_TAIL, int(len(sizes) * TAIL_SHARE))
    if len(sizes) <= count:
        raise ValueError(f"{len(sizes)} returns that are not 0 have no tail to speak of")
    excess = float(np.mean(np.log(sizes[:count] / sizes[count])))
    return 1.0 / excess if excess > 0 else inf


def autocorrelation(values: Floats, lag: int) -> float:
    """Autocorrelation about the mean of the whole series."""
    centred = values - values.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / (centred * centred).mean())


def mean_of(many: list[StylisedFacts]) -> StylisedFacts:
    """Fact by fact."""
    return StylisedFacts(
        **{name: float(np.mean([getattr(each, name) for each in many])) for name in StylisedFacts.__struct_fields__}
    )


def shortfalls(simulated: StylisedFacts, reference: StylisedFacts) -> list[str]:
    """In what a simulated market (the mean over seeds) is not like the reference; empty where it is near enough."""
    found = []
    for name in ("spread_bps", "trades_per_second"):
        ratio = getattr(simulated, name) / getattr(reference, name)
        if not 0.5 <= ratio <= 2.0:
            found.append(f"{name} is {ratio:.2f} times the reference's, not within a factor of 2")
    for name in ("trade_sign_autocorrelation", "absolute_return_autocorrelation"):
        off = getattr(simulated, name) - getattr(reference, name)
        if not abs(off) <= 0.1:
            found.append(f"{name} is off the reference by {off:+.2f}, more than 0.1")
    for name, low, high in (("hill_exponent", 2.0, 5.0), ("imbalance_correlation", 0.1, 0.4)):
        value = getattr(simulated, name)
        if not low <= value <= high:
            found.append(f"{name} is {value:.2f}, not within {low:g} to {high:g}")
    return found

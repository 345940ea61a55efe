"""What is usual: how much the mid moves, how often and how much is traded, over half-lives of seconds to minutes.

It is brought up to date at samples, about once a second, and gives the units in which features are measured. A fading sum weighs by
0.5^(age / half-life); divided by the integral of that weight over the time since the start it is a rate, unbiased from the first
moment on. Nothing here reads a clock: time is what the events bring.
"""

from __future__ import annotations

from math import exp, expm1, log, sqrt
from typing import Final

from mmd.market.feature_settings import FeatureSettings

NS_PER_SECOND: Final = 1_000_000_000
SECONDS_PER_NS: Final = 1e-9
NEVER: Final = -(1 << 62)
ENDLESS: Final = float("inf")
"""Stands in for a volatility of 0: whatever is measured in it is 0."""
NOTHING: Final = 1e-100
"""A denominator up to this has faded away."""
LEAST_SPREAD: Final = 0.1
"""Share of the usual spread below which spreads (a locked or crossed market) are not told apart."""


class Usual:
    """As of the last sample. Samples are steps at least `sigma_sample_seconds` apart; the first step is one.

    Volatility comes from the mid's changes between samples, since from step to step a mid moves in unfinished pieces (a sweep is
    several steps, a bounce is none): on recorded markets the sum of squared step-to-step changes was between 1/8 and 1.1 of the
    variance over ten seconds, that of changes over a second between 1/2 and 1.2.
    """

    __slots__ = (
        "_count", "_first_ns", "_last_ns", "_lots", "_mid", "_pending_count", "_pending_lots", "_pending_squared", "_per_baseline",
        "_per_long", "_per_medium", "_per_short", "_per_sigma", "_sample_ns", "_sampled", "_settings", "_squared_baseline",
        "_squared_long", "_trend_seconds", "_weight", "count_short", "due_ns", "known", "least_spread_ticks", "lots_short",
        "per_reference", "per_trend", "sigma_floor_squared", "spread_ticks", "squared_medium", "squared_short", "touch_lots",
        "trade_rate", "variance", "volatility_long",
    )  # fmt: skip

    def __init__(self, settings: FeatureSettings) -> None:
        short, medium, long, baseline = settings.half_lives_seconds
        self._settings = settings
        self._sample_ns = round(settings.sigma_sample_seconds * NS_PER_SECOND)
        self._per_sigma = log(2.0) / settings.sigma_half_life_seconds
        self._per_short, self._per_medium = log(2.0) / short, log(2.0) / medium
        self._per_long, self._per_baseline = log(2.0) / long, log(2.0) / baseline
        self._trend_seconds = 0.5 / self._per_medium
        self._mid = self._first_ns = self._last_ns = 0
        self._sampled = self._squared_long = self._squared_baseline = self._count = self._lots = self._weight = 0.0
        self.due_ns = NEVER
        """The next step at or after this receive time, UTC ns, is a sample."""
        self._pending_squared = self._pending_count = self._pending_lots = 0
        self.variance = 0.0
        """Of the mid, half-ticks squared per second; 0 before the second sample, as the usual sums are."""
        self.spread_ticks = 0.0
        """Average over the samples."""
        self.touch_lots = 0.0
        """Average over the samples of the quantity at one side of the touch."""
        self.least_spread_ticks = self.sigma_floor_squared = self.per_reference = self.per_trend = 0.0
        """Units of features: `per_…` are reciprocals of volatilities in half-ticks."""
        self.squared_short = self.squared_medium = self.count_short = self.lots_short = 0.0
        """What fading sums over the short and the medium half-life are in a market that goes on as it has done over the long
        (trades) and baseline (the mid's squared changes from step to step) half-life."""
        self.known = False
        """Whether these four are all above `NOTHING`."""
        self.trade_rate = 0.0
        """Trades per second, long half-life."""
        self.volatility_long = 0.0
        """Contrast of the mid's squared changes over the long half-life with those over the baseline's."""

    def sample(self, receive_ns: int, mid: int, spread: int, touch_lots: int, squared: int, count: int, lots: int) -> None:
        """A step at or after `due_ns`; mid in half-ticks, spread in ticks, lots of both sides of
        the touch. Of the steps since the last sample, this one included:
        the mid's squared changes, half-ticks squared; trades; lots traded. Those of the first sample count from the second on.
        """
        settings = self._settings
        self._pending_squared += squared
        self._pending_count += count
        self._pending_lots += lots
        if self.due_ns == NEVER:
            self._first_ns = receive_ns
        else:
            since_first = (receive_ns - self._first_ns) * SECONDS_PER_NS
            self._advance((receive_ns - self._last_ns) * SECONDS_PER_NS, since_first, mid - self._mid)
        self._mid, self._last_ns, self.due_ns = mid, receive_ns, receive_ns + self._sample_ns
        self._weight += 1.0
        self.spread_ticks += (spread - self.spread_ticks) / self._weight
        self.touch_lots += (0.5 * touch_lots - self.touch_lots) / self._weight
        self.least_spread_ticks = LEAST_SPREAD * self.spread_ticks
        self.sigma_floor_squared = floor = (2.0 * settings.sigma_floor_spreads * self.spread_ticks) ** 2
        self.per_reference = 1.0 / (sqrt(self.variance * settings.reference_seconds + floor) or ENDLESS)
        self.per_trend = 1.0 / (sqrt(self.variance * self._trend_seconds + floor) or ENDLESS)
        self.known = min(self.count_short, self.lots_short, self.squared_short, self.squared_medium) > NOTHING

    def sigma_ticks(self, horizon_seconds: float) -> float:
        """Volatility of the mid over a horizon, ticks."""
        return 0.5 * sqrt(self.variance * horizon_seconds)

    def _advance(self, seconds: float, since_first: float, change: int) -> None:
        kept = exp(-seconds * self._per_sigma)
        self._weight *= kept
        self._sampled = self._sampled * kept + change * change
        kept = exp(-seconds * self._per_long)
        self._squared_long = self._squared_long * kept + self._pending_squared
        self._count = self._count * kept + self._pending_count
        self._lots = self._lots * kept + self._pending_lots
        self._squared_baseline = self._squared_baseline * exp(-seconds * self._per_baseline) + self._pending_squared
        self._pending_squared = self._pending_count = self._pending_lots = 0
        self.variance = self._sampled / weighted_seconds(since_first, self._per_sigma)
        long = weighted_seconds(since_first, self._per_long)
        short = weighted_seconds(since_first, self._per_short)
        squared_rate = self._squared_baseline / weighted_seconds(since_first, self._per_baseline)
        self.volatility_long = contrast(self._squared_long, squared_rate * long)
        self.squared_short = squared_rate * short
        self.squared_medium = squared_rate * weighted_seconds(since_first, self._per_medium)
        self.trade_rate = self._count / long
        self.count_short = self.trade_rate * short
        self.lots_short = self._lots / long * short


def weighted_seconds(seconds: float, per_second: float) -> float:
    """Integral over the last `seconds` of a weight that fades by exp(-`per_second`) each second."""
    return -expm1(-seconds * per_second) / per_second


def contrast(value: float, usual: float) -> float:
    """(value - usual) / (value + usual) for numbers not below 0: in [-1, 1], the tanh of half the log of their ratio."""
    total = value + usual
    return (value - usual) / total if total > NOTHING else 0.0

"""What fades with receive time: how much the mid moves, how often and how much is traded, over half-lives of seconds to minutes.

A rate is a sum weighted by 0.5^(age / half-life), divided by the integral of that weight over the time since the start: unbiased
from the first moment on. Short and medium rates move with each step; the slow ones are brought up to date at samples, about once a
second. Nothing here reads a clock; time is what the events bring.
"""

from __future__ import annotations

from math import exp, expm1, log, sqrt

from mmd.market.feature_settings import FeatureSettings

NS_PER_SECOND = 1_000_000_000
SECONDS_PER_NS = 1e-9
NEVER = -(1 << 62)
NOTHING = 1e-100
"""A denominator up to this has faded away."""


class SlowRates:
    """As of the last sample: volatility, and what is usual. Samples of the mid are at least `sigma_sample_seconds` apart.

    Volatility comes from changes between samples, since from step to step a mid moves in unfinished pieces (a sweep is several steps,
    a bounce is none): on recorded markets the sum of squared step-to-step changes was between 1/8 and 1.1 of the variance over ten
    seconds, that of changes over a second between 1/2 and 1.2.
    """

    __slots__ = (
        "_count", "_last_ns", "_mid", "_per_baseline",
        "_per_long", "_per_sigma", "_sample_ns", "_sampled", "_squared_baseline", "_squared_long", "_time_baseline", "_time_long",
        "_time_sigma", "_volume", "due_ns", "pending_count", "pending_lots", "pending_squared", "squared_rate", "trade_rate", "variance", "volatility_long", "volume_rate",
    )  # fmt: skip

    def __init__(self, settings: FeatureSettings) -> None:
        self._sample_ns = round(settings.sigma_sample_seconds * NS_PER_SECOND)
        self._per_sigma = log(2.0) / settings.sigma_half_life_seconds
        self._per_long = log(2.0) / settings.half_lives_seconds[2]
        self._per_baseline = log(2.0) / settings.half_lives_seconds[3]
        self._mid = self._last_ns = 0
        self._sampled = self._squared_long = self._squared_baseline = self._count = self._volume = 0.0
        self._time_sigma = self._time_long = self._time_baseline = 0.0
        self.pending_squared = self.pending_count = self.pending_lots = 0
        """Since the last sample: the mid's squared changes from step to step, half-ticks squared; trades; lots traded."""
        self.due_ns = NEVER
        """The next step at or after this receive time, UTC ns, is a sample."""
        self.variance = 0.0
        """Of the mid, half-ticks squared per second; 0 before the second sample, as all that follows."""
        self.squared_rate = 0.0
        """Squared changes from step to step, half-ticks squared per second, baseline half-life."""
        self.volatility_long = 0.0
        """(v - w) / (v + w) with v such a rate of the long half-life and w the baseline's."""
        self.trade_rate = 0.0
        """Trades per second, long half-life."""
        self.volume_rate = 0.0
        """Lots traded per second, long half-life."""

    def sample(self, receive_ns: int, mid: int) -> None:
        """The first step, or one at or after `due_ns` once its change and trades were added; mid in half-ticks."""
        if self.due_ns != NEVER:
            self._advance(receive_ns, mid)
            self.pending_squared = self.pending_count = self.pending_lots = 0
        self._mid, self._last_ns, self.due_ns = mid, receive_ns, receive_ns + self._sample_ns

    def sigma_ticks(self, horizon_seconds: float) -> float:
        """Volatility of the mid over a horizon, ticks."""
        return 0.5 * sqrt(self.variance * horizon_seconds)

    def _advance(self, receive_ns: int, mid: int) -> None:
        seconds = (receive_ns - self._last_ns) * SECONDS_PER_NS
        change = mid - self._mid
        faded = -expm1(-seconds * self._per_sigma)
        self._sampled += change * change - faded * self._sampled
        self._time_sigma += faded * (1.0 / self._per_sigma - self._time_sigma)
        faded = -expm1(-seconds * self._per_long)
        self._squared_long += self.pending_squared - faded * self._squared_long
        self._count += self.pending_count - faded * self._count
        self._volume += self.pending_lots - faded * self._volume
        self._time_long += faded * (1.0 / self._per_long - self._time_long)
        faded = -expm1(-seconds * self._per_baseline)
        self._squared_baseline += self.pending_squared - faded * self._squared_baseline
        self._time_baseline += faded * (1.0 / self._per_baseline - self._time_baseline)
        self.variance = self._sampled / self._time_sigma
        self.squared_rate = self._squared_baseline / self._time_baseline
        self.volatility_long = contrast(self._squared_long / self._time_long, self.squared_rate)
        self.trade_rate = self._count / self._time_long
        self.volume_rate = self._volume / self._time_long


class FastRates:
    """With each step: over the short half-life trades and squared changes, over the medium one changes and their squares."""

    __slots__ = (
        "_count", "_full_medium", "_full_short", "_left_medium", "_left_short", "_per_medium", "_per_short", "_signed", "_squared_medium", "_squared_short",
        "trend",
    )  # fmt: skip

    def __init__(self, settings: FeatureSettings) -> None:
        short, medium, _, _ = settings.half_lives_seconds
        self._full_short, self._full_medium = short / log(2.0), medium / log(2.0)
        self._per_short, self._per_medium = -1.0 / self._full_short, -1.0 / self._full_medium
        self._squared_short = self._squared_medium = self._count = self._signed = 0.0
        self._left_short, self._left_medium = self._full_short, self._full_medium
        self.trend = 0.0
        """The mid less its fading average, half-ticks, medium half-life."""

    def step(self, seconds: float, change: int, count: int, signed_lots: int, slow: SlowRates) -> tuple[float, float, float, float]:
        """One step more, so many seconds (not below 0) after the one before. Gives, each in [-1, 1] and 0 while nothing is known,

        trade intensity, signed volume, short and medium volatility against what `slow` says is usual.
        """
        kept = exp(seconds * self._per_short)
        squared = change * change
        self._left_short = left = self._left_short * kept
        time_short = self._full_short - left
        self._squared_short = squared_short = self._squared_short * kept + squared
        self._count = total_count = self._count * kept + count
        self._signed = signed = self._signed * kept + signed_lots
        kept = exp(seconds * self._per_medium)
        self._left_medium = left = self._left_medium * kept
        self._squared_medium = squared_medium = self._squared_medium * kept + squared
        self.trend = self.trend * kept + change
        usual = slow.squared_rate * time_short
        total = squared_short + usual
        short = (squared_short - usual) / total if total > NOTHING else 0.0
        usual = slow.squared_rate * (self._full_medium - left)
        total = squared_medium + usual
        medium = (squared_medium - usual) / total if total > NOTHING else 0.0
        usual = slow.trade_rate * time_short
        total = total_count + usual
        intensity = (total_count - usual) / total if total > NOTHING else 0.0
        total = (signed if signed > 0.0 else -signed) + slow.volume_rate * time_short
        return intensity, signed / total if total > NOTHING else 0.0, short, medium


def contrast(value: float, usual: float) -> float:
    """(value - usual) / (value + usual) for numbers not below 0: in [-1, 1], the tanh of half the log of their ratio."""
    total = value + usual
    return (value - usual) / total if total > NOTHING else 0.0

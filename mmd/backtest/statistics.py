"""Figures of a PnL series: return, Sharpe, Sortino, Calmar, drawdown, block-bootstrap intervals, deflated Sharpe.

A year has `days` trading days of `hours` hours; ratios of period returns are annualised by the root of the periods in a year. Short
recordings make such numbers large and unsure: the intervals say how unsure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
EULER_MASCHERONI = 0.5772156649015329
CONFIDENCE = 0.95
DRAWS = 2_000


@dataclass(frozen=True)
class Calendar:
    """How many periods of trading a year has."""

    days: float = 365.0
    hours: float = 24.0

    def periods(self, seconds: float) -> float:
        """Periods of that length in a year."""
        return self.days * self.hours * 3_600.0 / seconds


@dataclass(frozen=True)
class Interval:
    """Two-sided interval of `CONFIDENCE`, and how many blocks it rests on."""

    low: float | None
    high: float | None
    blocks: int


def sharpe(returns: Floats, periods_a_year: float) -> float | None:
    """Mean over standard deviation (n - 1) of the period returns, annualised; None where it is not defined."""
    if len(returns) < 2:
        return None
    deviation = float(np.std(returns, ddof=1))
    return float(np.mean(returns)) / deviation * math.sqrt(periods_a_year) if deviation > 0 else None


def sortino(returns: Floats, periods_a_year: float) -> float | None:
    """Mean over the root mean square of the returns below zero, annualised; None where there are none."""
    if len(returns) < 2:
        return None
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(np.mean(returns)) / downside * math.sqrt(periods_a_year) if downside > 0 else None


def max_drawdown(equity: Floats) -> float:
    """Largest fall from an earlier peak, in the units of `equity`; 0 for a series that never falls."""
    return float(np.max(np.maximum.accumulate(equity) - equity)) if len(equity) else 0.0


def calmar(total_return: float, drawdown: float, years: float) -> float | None:
    """Annualised return (simple) over the largest drawdown, both as shares of the capital; None without a drawdown."""
    return total_return / years / drawdown if drawdown > 0 and years > 0 else None


def block_bootstrap(
    numerators: Floats, denominators: Floats, seed: int, draws: int = DRAWS, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of Σ numerators ÷ Σ denominators, whole blocks drawn with replacement: percentiles of `draws` draws.

    Each block's own two sums come in; blocks must be long against what lasts in the series. None where it cannot be told.
    """
    used = np.flatnonzero((numerators != 0) | (denominators != 0))
    blocks = len(used)
    if blocks < 2:
        return Interval(None, None, blocks)
    chosen = np.random.default_rng(seed).integers(0, blocks, size=(draws, blocks))
    top = numerators[used][chosen].sum(axis=1)
    bottom = denominators[used][chosen].sum(axis=1)
    ratios = top[bottom != 0] / bottom[bottom != 0]
    if not len(ratios):
        return Interval(None, None, blocks)
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), blocks)


def paired_bootstrap(
    first: tuple[Floats, Floats], second: tuple[Floats, Floats], seed: int, draws: int = DRAWS, confidence: float = CONFIDENCE
) -> tuple[float | None, Interval]:
    """First ratio minus second, and its interval: each pair is (numerators, denominators) of the same blocks, drawn together.

    What both runs met in a block cancels so. None where either has nothing in its denominators.
    """
    blocks = len(first[0])
    sums = [np.sum(column) for column in (*first, *second)]
    if blocks < 2 or not sums[1] or not sums[3]:
        return None, Interval(None, None, blocks)
    chosen = np.random.default_rng(seed).integers(0, blocks, size=(draws, blocks))
    drawn = [column[chosen].sum(axis=1) for column in (*first, *second)]
    told = (drawn[1] != 0) & (drawn[3] != 0)
    differences = drawn[0][told] / drawn[1][told] - drawn[2][told] / drawn[3][told]
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(sums[0] / sums[1] - sums[2] / sums[3]), Interval(float(low), float(high), blocks)


def block_bootstrap_of(
    series: Floats, block: int, statistic: Callable[[Floats], float | None], seed: int, draws: int = 500
) -> Interval:
    """Interval of any statistic of a series: blocks of `block` neighbours drawn with replacement and put together."""
    blocks = len(series) // block if block else 0
    if blocks < 2:
        return Interval(None, None, blocks)
    cut = series[: blocks * block].reshape(blocks, block)
    random = np.random.default_rng(seed)
    found = [statistic(cut[random.integers(0, blocks, size=blocks)].ravel()) for _ in range(draws)]
    told = [value for value in found if value is not None]
    if not told:
        return Interval(None, None, blocks)
    low, high = np.quantile(told, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high), blocks)


@dataclass(frozen=True)
class Moments:
    """What a Sharpe ratio of a series rests on: the periods, the ratio a period, and the shape of the returns."""

    periods: int
    ratio: float
    skewness: float
    kurtosis: float


def moments(returns: Floats) -> Moments | None:
    """None where no ratio is defined."""
    ratio = sharpe(returns, 1.0)
    if ratio is None or len(returns) < 3:
        return None
    centred = returns - np.mean(returns)
    deviation = float(np.std(returns))
    return Moments(len(returns), ratio, float(np.mean(centred**3)) / deviation**3, float(np.mean(centred**4)) / deviation**4)


def deflated_sharpe(returns: Floats, trials: int) -> float | None:
    """`deflated` of a series, for trials of which nothing else is known."""
    found = moments(returns)
    return None if found is None else deflated(found, trials)


def deflated(found: Moments, trials: int, spread: float | None = None) -> float | None:
    """Probability that the true Sharpe ratio is above the best that `trials` worthless trials would show.

    Source: D. Bailey, M. López de Prado, The deflated Sharpe ratio, Journal of Portfolio Management 40 (2014). `spread` is the
    standard deviation of the trials' ratios a period; where it is not known it is taken as that of estimates of a ratio of 0 on
    as many periods, 1 ÷ √(n - 1). With one trial this is the probabilistic Sharpe ratio against 0.
    """
    count, ratio = found.periods, found.ratio
    normal = NormalDist()
    benchmark = 0.0
    if trials > 1:
        scale = 1.0 / math.sqrt(count - 1) if spread is None else spread
        first, second = normal.inv_cdf(1.0 - 1.0 / trials), normal.inv_cdf(1.0 - 1.0 / (trials * math.e))
        benchmark = scale * ((1.0 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second)
    variance = 1.0 - found.skewness * ratio + (found.kurtosis - 1.0) / 4.0 * ratio * ratio
    if variance <= 0:
        return None
    return normal.cdf((ratio - benchmark) * math.sqrt(count - 1) / math.sqrt(variance))

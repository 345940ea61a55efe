"""Figures against pandas, plain loops and Decimal."""

from __future__ import annotations

import math
import random
from decimal import Decimal, getcontext
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from mmd.backtest.statistics import (
    Calendar,
    block_bootstrap,
    block_bootstrap_of,
    calmar,
    deflated_sharpe,
    max_drawdown,
    sharpe,
    sortino,
)

RETURNS = np.random.default_rng(5).normal(0.0002, 0.01, 600)
YEAR = Calendar(252, 6.5)


def test_a_year_has_as_many_periods_as_its_days_and_hours_say() -> None:
    assert YEAR.periods(60.0) == 252 * 390
    assert Calendar().periods(1.0) == 31_536_000


def test_sharpe_and_sortino_are_those_of_pandas_and_decimal() -> None:
    series = pd.Series(RETURNS)
    assert sharpe(RETURNS, 252.0) == pytest.approx(series.mean() / series.std() * math.sqrt(252), rel=1e-12)
    getcontext().prec = 40
    values = [Decimal(value) for value in RETURNS.tolist()]
    mean = sum(values) / len(values)
    downside = (sum(min(value, Decimal(0)) ** 2 for value in values) / len(values)).sqrt()
    assert sortino(RETURNS, 252.0) == pytest.approx(float(mean / downside * Decimal(252).sqrt()), rel=1e-12)


def test_drawdown_is_that_of_pandas() -> None:
    equity = np.cumsum(RETURNS)
    series = pd.Series(equity)
    assert max_drawdown(equity) == pytest.approx((series.cummax() - series).max(), rel=1e-12)
    assert max_drawdown(np.arange(5.0)) == 0.0


def test_calmar_is_the_return_of_a_year_over_the_fall() -> None:
    assert calmar(0.02, 0.05, 0.5) == pytest.approx(0.8)
    assert calmar(0.02, 0.0, 0.5) is None


@pytest.mark.parametrize("returns", [np.zeros(0), np.ones(1), np.zeros(10)])
def test_what_is_not_defined_is_none(returns: np.ndarray) -> None:
    assert sharpe(returns, 252.0) is None
    assert sortino(returns, 252.0) is None
    assert deflated_sharpe(returns, 10) is None


def test_the_block_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(1)
    inside = 0
    for trial in range(200):
        gains, volumes = drawn.normal(1.0, 2.0, 40), drawn.uniform(1.0, 3.0, 40)
        interval = block_bootstrap(gains, volumes, seed=trial, draws=400)
        assert interval.low is not None
        assert interval.high is not None
        inside += interval.low <= 0.5 <= interval.high
    assert 0.88 <= inside / 200 <= 0.99


def test_the_block_bootstrap_is_what_a_plain_loop_gives() -> None:
    gains, volumes = np.array([1.0, -2.0, 4.0, 0.5]), np.array([2.0, 1.0, 3.0, 1.0])
    interval = block_bootstrap(gains, volumes, seed=1, draws=20_000)
    loop = random.Random(2)
    ratios = []
    for _ in range(20_000):
        chosen = [loop.randrange(4) for _ in range(4)]
        ratios.append(sum(gains[i] for i in chosen) / sum(volumes[i] for i in chosen))
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert interval.low == pytest.approx(low, abs=0.03)
    assert interval.high == pytest.approx(high, abs=0.03)
    assert block_bootstrap(gains[:1], volumes[:1], seed=1).low is None


def test_blocks_keep_what_neighbours_share() -> None:
    # Runs of a hundred equal values: blocks of one see a far too narrow mean.
    series = np.repeat(np.random.default_rng(3).normal(size=30), 100)
    narrow, wide = (block_bootstrap_of(series, block, lambda x: float(np.mean(x)), seed=1) for block in (1, 100))
    assert wide.high is not None
    assert wide.low is not None
    assert narrow.high is not None
    assert narrow.low is not None
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_the_deflated_sharpe_ratio_is_the_papers_formula() -> None:
    series = pd.Series(RETURNS)
    ratio, count, trials = series.mean() / series.std(), len(series), 25
    # pandas' unbiased moments differ from the plain ones by less than the tolerance at this length.
    skewness, kurtosis = series.skew(), series.kurt() + 3
    normal, gamma = NormalDist(), 0.57721566490153286
    best = (1 - gamma) * normal.inv_cdf(1 - 1 / trials) + gamma * normal.inv_cdf(1 - 1 / (trials * math.e))
    benchmark = best / math.sqrt(count - 1)
    expected = normal.cdf(
        (ratio - benchmark) * math.sqrt(count - 1) / math.sqrt(1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2)
    )
    assert deflated_sharpe(RETURNS, trials) == pytest.approx(expected, abs=1e-4)
    few, many = deflated_sharpe(RETURNS, 1), deflated_sharpe(RETURNS, 1_000)
    assert few is not None
    assert many is not None
    assert many < few

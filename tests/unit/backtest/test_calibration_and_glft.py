"""Calibration finds what made the data; GLFT's quotes are the paper's formula."""

from __future__ import annotations

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest

from mmd.backtest.calibration import calibrate, fit
from mmd.backtest.errors import BacktestError
from mmd.quoting.glft import GlftQuoter
from mmd.quoting.quote import QuoteContext
from mmd.quoting.settings import QuotingSettings
from mmd.types.market import Side
from tests.unit.backtest.synthetic import COIN, START, HandMadeMarket


def test_rate_decay_and_volatility_are_found_again() -> None:
    # Orders beyond δ ticks come at the rate 3·exp(-0.05·δ) a second: a tenth of it in each interval of 100 ms.
    drawn = np.random.default_rng(7)
    intervals = 400_000
    arrived = drawn.random(intervals) < 0.3
    reached = np.where(arrived, drawn.exponential(20.0, intervals), 0.0)
    moves = drawn.normal(0.0, 4.0, intervals)
    found = fit(reached, moves, "X", horizon_seconds=2.0)
    assert found.rate_per_second == pytest.approx(3.0, rel=0.03)
    assert found.decay_per_tick == pytest.approx(0.05, rel=0.03)
    assert found.sigma_ticks_per_root_second == pytest.approx(4.0 * math.sqrt(10), rel=0.01)
    assert found.arrival_rate == pytest.approx(6.0, rel=0.03)
    assert found.arrival_decay == pytest.approx(0.05 * 4.0 * math.sqrt(20), rel=0.03)


def test_distances_are_counted_from_the_mid_that_began_the_interval() -> None:
    market = HandMadeMarket().snapshot(0, [(9_990, 5)], [(10_010, 5)])
    at = 100.0
    for round_number in range(300):
        for distance in (10, 14, 18, 22):
            if round_number % (distance // 5) == 0:
                market.trade(at + 1, Side.BUY, 10_000 + distance, 1)
            market.levels(at + 2, bids=[(9_990 + round_number % 2 * 2, 5), (9_992 - round_number % 2 * 2, 0)])
            at += 100.0
    found = calibrate(market.events, "COINUSD", START, 2.0)
    assert found.intervals == pytest.approx(1_200, abs=3)
    assert found.decay_per_tick > 0
    assert 0 < found.sigma_ticks_per_root_second < 10


def test_too_little_trade_is_an_error_that_says_so() -> None:
    market = HandMadeMarket().snapshot(0, [(9_990, 5)], [(10_010, 5)]).levels(1_000, bids=[(9_990, 6)])
    with pytest.raises(BacktestError, match="too little traded to calibrate on"):
        calibrate(market.events, "COINUSD", START, 2.0)


def test_glft_is_the_closed_form() -> None:
    getcontext().prec = 40
    gamma, kappa, rate = Decimal("0.5"), Decimal("1.5"), Decimal("4")
    c1 = (1 + gamma / kappa).ln() / gamma
    c2 = (gamma / (2 * rate * kappa) * (1 + gamma / kappa) ** (1 + kappa / gamma)).sqrt()
    settings = QuotingSettings.model_validate(
        {"risk_aversion": 0.5, "arrival_decay": 1.5, "arrival_rate": 4.0, "order_notional": 1_000, "max_skew_half_spreads": 10}
    )
    # The limit is 50 lots, an order 10: at 20 % of the limit we hold one order.
    context = QuoteContext(
        bid_ticks=9_999,
        bid_lots=1,
        ask_ticks=10_001,
        ask_lots=1,
        inventory=0.2,
        buy_room_lots=40,
        sell_room_lots=60,
        skew_sigma_ticks=20.0,
    )
    quote = GlftQuoter(settings, COIN).quote(context)
    assert quote.half_spread == pytest.approx(float(20 * (c1 + c2 / 2)), rel=1e-12)
    assert quote.skew_shift == pytest.approx(float(-20 * c2), rel=1e-12)
    assert (quote.bid_lots, quote.ask_lots) == (10, 10)


def test_glft_leans_further_where_the_market_trades_more_seldom() -> None:
    context = QuoteContext(
        bid_ticks=9_999,
        bid_lots=1,
        ask_ticks=10_001,
        ask_lots=1,
        inventory=0.2,
        buy_room_lots=40,
        sell_room_lots=60,
        skew_sigma_ticks=20.0,
    )
    often, seldom = (
        GlftQuoter(QuotingSettings.model_validate({"arrival_rate": rate, "order_notional": 1_000}), COIN).quote(context)
        for rate in (20.0, 2.0)
    )
    assert seldom.skew_shift < often.skew_shift < 0
    assert seldom.half_spread > often.half_spread

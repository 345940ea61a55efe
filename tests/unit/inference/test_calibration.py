"""Heads against what then happened, on series made so that the answer is known beforehand."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from mmd.inference.calibration import LEAST_JUDGED, MOST_WAITING, WINDOW, HeadCalibration, Traded, rank_correlation

MS = 1_000_000
SECOND = 1_000 * MS


def meter() -> HeadCalibration:
    return HeadCalibration(SECOND, 10 * SECOND, fees_bps=0.0)


def test_p_up_is_held_to_the_next_move_and_rows_without_one_count_nothing() -> None:
    watched, mid = meter(), 100.0
    for second in range(400):
        now = second * SECOND
        watched.on_time(now, mid)
        rises = second % 4 == 0
        watched.sample(now, mid, 2.0, {"p_up": 0.25})
        if second % 2 == 0:
            mid += 1.0 if rises else -1.0
    found = watched.measures()
    # Of the rows that move, half rise: a probability of a quarter is wrong by a quarter.
    assert found["p_up.judged"] == pytest.approx(200, abs=1)
    assert found["p_up.calibration_error"] == pytest.approx(0.25, abs=0.01)
    assert found["p_up.brier"] == pytest.approx(0.5 * 0.25**2 + 0.5 * 0.75**2, abs=0.01)


def test_p_adverse_and_spread_are_held_to_the_mid_one_horizon_after_the_trade() -> None:
    watched = meter()
    for number in range(120):
        now, falls = number * 2 * SECOND, number % 3 == 0
        # Somebody hits the bid at 99 beneath a mid of 100; where it falls to 97, the maker lost.
        watched.on_trade(Traded(now, 99, 100.0, 1, 0.9 if falls else 0.1, 4.0))
        watched.on_time(now + SECOND - 1, 50.0)
        watched.on_time(now + SECOND, 97.0 if falls else 100.0)
    found = watched.measures()
    assert found["p_adverse.brier"] == pytest.approx(0.01)
    assert found["p_adverse.calibration_error"] == pytest.approx(0.1, abs=0.02)
    # The move against the maker was 3 ticks, twice of which no spread of 4 covers.
    assert found["optimal_spread.coverage"] == pytest.approx(2 / 3, abs=0.01)


def test_the_ask_is_the_mirror_of_the_bid() -> None:
    watched = meter()
    for number in range(LEAST_JUDGED):
        watched.on_trade(Traded(number * 2 * SECOND, 101, 100.0, -1, 1.0, 1.0))
        watched.on_time((number * 2 + 1) * SECOND, 103.0)
    assert watched.measures()["p_adverse.brier"] == 0.0
    assert watched.measures()["optimal_spread.coverage"] == 0.0


def test_the_risk_score_ranks_the_largest_move_of_its_window() -> None:
    rng = np.random.default_rng(1)
    watched, mid = meter(), 1_000.0
    for number in range(80):
        begin = number * 12 * SECOND
        risk = float(rng.uniform())
        watched.on_time(begin, mid)
        watched.sample(begin, mid, 1.0, {"risk": risk})
        watched.on_time(begin + 3 * SECOND, mid + 100.0 * risk)  # there and back again: the largest distance counts
        watched.on_time(begin + 10 * SECOND, mid)
    assert watched.measures()["risk.rank_correlation"] == pytest.approx(1.0)


def test_refused_predictions_are_not_judged_and_gaps_forget_what_waits() -> None:
    watched = meter()
    for number in range(2 * LEAST_JUDGED):
        now = number * 2 * SECOND
        watched.on_trade(Traded(now, 99, 100.0, 1, nan, nan))
        watched.sample(now, 100.0, 1.0, {})
        watched.on_time(now + SECOND, 101.0)
    for number in range(2 * LEAST_JUDGED):
        watched.on_trade(Traded(number * SECOND, 99, 100.0, 1, 0.5, 1.0))
    watched.interrupt()
    watched.on_time(10_000 * SECOND, 90.0)
    assert watched.measures() == {}


def test_memory_is_bounded_and_the_newest_predictions_count() -> None:
    watched = meter()
    for number in range(MOST_WAITING + 3_000):
        watched.on_trade(Traded(0, 99, 100.0, 1, 1.0 if number > MOST_WAITING else 0.0, 1.0))
    watched.on_time(SECOND, 97.0)
    found = watched.measures()
    assert found["p_adverse.judged"] == WINDOW
    assert found["p_adverse.brier"] == 0.0


def test_distributions_are_quantiles_of_what_was_said() -> None:
    watched = meter()
    for number in range(101):
        assert watched.due(number * SECOND)
        watched.sample(number * SECOND, 100.0, 1.0, {"p_up": number / 100})
    assert not watched.due(100 * SECOND + MS)
    low, middle, high = watched.quantiles()["p_up"]
    assert (low, middle, high) == (pytest.approx(0.05), pytest.approx(0.5), pytest.approx(0.95))


def test_rank_correlation_is_spearman_s() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(2)
    pairs = np.round(rng.normal(size=(200, 2)), 1)  # with ties
    assert rank_correlation(pairs) == pytest.approx(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)
    assert rank_correlation(np.ones((5, 2))) == 0.0


def test_what_is_told_is_worked_out_once_a_second() -> None:
    watched = meter()
    for number in range(200):
        watched.sample(number * SECOND, 100.0, 1.0, {"p_up": number / 200})
    watched.on_time(200 * SECOND, 100.0)
    before = watched.quantiles()
    watched.sample(200 * SECOND, 100.0, 1.0, {"p_up": 1.0})
    watched.on_time(201 * SECOND - 1, 100.0)
    assert watched.quantiles() is before
    watched.on_time(201 * SECOND, 100.0)
    assert watched.quantiles() != before

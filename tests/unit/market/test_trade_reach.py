"""How far trades get now and then: examples by hand, and the quantile that it follows on a market of known distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmd.market.trade_reach import EVERY_SECONDS, LEAST_SECONDS, LEAST_TICKS, TradeReach

SECOND = 1_000_000_000


def reach_of(distances: list[float], spacing_seconds: int = 1) -> TradeReach:
    """One trade a second, so far above or below a mid of 1,000 ticks."""
    reach = TradeReach()
    for number, distance in enumerate(distances):
        side = 1 if number % 2 else -1
        reach.on_trade(number * spacing_seconds * SECOND, round(1_000 + side * distance), 1_000.0)
    return reach


def test_it_is_not_known_before_a_minute_of_seconds_with_trades() -> None:
    assert reach_of([3.0] * LEAST_SECONDS).ticks == 0.0
    assert reach_of([3.0] * (LEAST_SECONDS + 1)).ticks > 0.0


def test_it_follows_the_distance_that_is_reached_once_a_minute() -> None:
    random = np.random.default_rng(5)
    distances = random.exponential(20.0, 40_000)
    found = [reach_of(list(map(float, distances[begin : begin + 8_000]))).ticks for begin in range(0, 40_000, 8_000)]
    wanted = float(np.quantile(distances, 1.0 - 1.0 / EVERY_SECONDS))
    assert np.mean(found) == pytest.approx(wanted, rel=0.15)


def test_the_furthest_trade_of_a_second_counts_against_the_mid_before_its_first() -> None:
    reach = TradeReach()
    for second in range(LEAST_SECONDS + 2):
        at = second * SECOND
        reach.on_trade(at, 1_002, 1_000.0)
        reach.on_trade(at + 1, 1_010, 1_009.0)
    assert reach.ticks == pytest.approx(10.0, rel=0.06)


def test_where_nothing_trades_it_shrinks_but_a_night_counts_ten_minutes_at_most() -> None:
    busy, hour, night = (reach_of([8.0] * 100) for _ in range(3))
    busy.on_trade(100 * SECOND, 1_008, 1_000.0)
    for reach, seconds in ((hour, 3_600), (night, 60_000)):
        reach.on_trade((100 + seconds) * SECOND, 1_008, 1_000.0)
    assert LEAST_TICKS < hour.ticks < busy.ticks
    assert night.ticks == hour.ticks


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 2_000)), max_size=300))
def test_it_is_never_below_its_least(trades: list[tuple[int, int]]) -> None:
    reach, now = TradeReach(), 0
    for wait_ms, price in trades:
        now += wait_ms * 1_000_000
        reach.on_trade(now, price, 1_000.0)
        assert reach.ticks == 0.0 or reach.ticks >= LEAST_TICKS

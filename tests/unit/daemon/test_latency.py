from __future__ import annotations

import numpy as np
import pytest

from mmd.daemon.latency import BUCKETS, MAX_VALUE, LatencyHistogram, StageClock, bucket_bounds
from mmd.types.stages import Stage


@pytest.mark.parametrize("fraction", [0.5, 0.9, 0.99, 0.999])
def test_percentiles_agree_with_numpy_to_two_per_cent(fraction: float) -> None:
    draws = np.random.default_rng(7).lognormal(mean=10, sigma=2, size=20_000).astype(int)
    histogram = LatencyHistogram()
    for draw in draws.tolist():
        histogram.record(draw)
    expected = float(np.quantile(draws, fraction, method="inverted_cdf"))
    assert histogram.percentile_ns(fraction) == pytest.approx(expected, rel=0.02)
    assert histogram.n == len(draws)
    assert histogram.total_ns == int(draws.sum())


def test_buckets_cover_every_value_once_and_narrowly() -> None:
    end = 0
    for index in range(BUCKETS):
        low, width = bucket_bounds(index)
        assert low == end
        assert width == 1 or width <= low / 32
        end = low + width
    assert end == MAX_VALUE + 1


@pytest.mark.parametrize("value", [0, 1, 31, 32, 63, 64, 65, 1000, 2**20 - 1, 2**20, MAX_VALUE])
def test_a_value_lands_in_the_bucket_that_holds_it(value: int) -> None:
    histogram = LatencyHistogram()
    histogram.record(value)
    assert histogram.percentile_ns(1.0) == pytest.approx(value, rel=0.016, abs=0.5)


def test_what_lies_outside_is_counted_at_the_edge() -> None:
    histogram = LatencyHistogram()
    histogram.record(-5)
    histogram.record(MAX_VALUE * 1000)
    assert histogram.n == 2
    assert histogram.percentile_ns(0.5) == 0
    assert histogram.percentile_ns(1.0) > MAX_VALUE * 0.98


def test_an_empty_histogram_says_nothing_happened() -> None:
    assert LatencyHistogram().percentiles().n == 0
    assert LatencyHistogram().percentile_ns(0.99) == 0.0


def test_cumulative_counts_grow_to_everything() -> None:
    histogram = LatencyHistogram()
    for value in (500, 1_500, 15_000, 15_000, 2_000_000):
        histogram.record(value)
    assert histogram.cumulative([1_000, 10_000, 100_000, 10_000_000]) == [1, 2, 4, 5]


def test_laps_go_to_their_stage_and_a_quote_is_noticed() -> None:
    clock = StageClock()
    clock.start()
    clock.lap(Stage.BOOK)
    assert not clock.quoted
    clock.lap(Stage.RISK)
    assert clock.quoted
    assert set(clock.percentiles()) == {"book", "risk"}
    assert clock.percentiles()["book"].n == 1

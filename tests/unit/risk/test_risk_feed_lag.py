"""Feed lag against its own rolling minimum: clocks may be off by seconds, a replay may run at any speed."""

from __future__ import annotations

import random

import pytest

from mmd.risk.feed_lag import FeedLag
from mmd.risk.limits import RiskLimits

MS = 1_000_000
S = 1_000 * MS
START = 1_700_000_000 * S
LIMITS = RiskLimits(feed_lag_window_seconds=640)


def test_unknown_before_the_first_stamped_event() -> None:
    lag = FeedLag(LIMITS)
    assert lag.lag_ns is None
    lag.on_event(START, 0)
    assert lag.lag_ns is None
    lag.on_event(START, START)
    assert lag.lag_ns == 0


@pytest.mark.parametrize("offset", [-1_500 * MS, 0, 7 * S])
def test_only_the_excess_over_the_best_counts(offset: int) -> None:
    lag = FeedLag(LIMITS)
    for number, delay in enumerate((30, 20, 45, 800)):
        exchange = START + number * S
        lag.on_event(exchange + delay * MS + offset, exchange)
    assert lag.lag_ns == 780 * MS


def test_a_feed_that_stays_slow_stays_slow_for_the_whole_window() -> None:
    lag = FeedLag(LIMITS)
    lag.on_event(START, START)
    for second in range(1, 640):
        exchange = START + second * S
        lag.on_event(exchange + 2 * S, exchange)
        assert lag.lag_ns == 2 * S
    lag.on_event(START + 653 * S, START + 651 * S)
    assert lag.lag_ns == 0


def test_the_rolling_minimum_is_that_of_the_window_in_bounded_memory() -> None:
    rng = random.Random(7)
    lag = FeedLag(LIMITS)
    slices: dict[int, int] = {}
    receive = START
    for _ in range(20_000):
        receive += rng.randrange(200 * MS)
        difference = rng.randrange(10**9) + (receive - START) // 1_000
        lag.on_event(receive, receive - difference)
        at = receive // (10 * S)
        slices[at] = min(slices.get(at, difference), difference)
        lowest = min(value for place, value in slices.items() if place >= at - 64)
        assert lag.lag_ns == difference - lowest
        assert len(lag._minima) <= 65


@pytest.mark.parametrize("speed", [0.5, 1.0, 10.0, 250.0])
def test_an_announced_replay_is_measured_in_our_own_time(speed: float) -> None:
    lag = FeedLag(LIMITS)
    epoch = 1_600_000_000 * S
    lag.on_announcement(START, epoch, speed)
    for ms in range(0, 5_000, 100):
        delay = 3 * MS if ms < 4_900 else 303 * MS
        lag.on_event(START + ms * MS + delay, epoch + round(ms * MS * speed))
    assert lag.lag_ns is not None
    assert abs(lag.lag_ns - 300 * MS) < 10


def test_late_announcements_of_the_same_course_hide_no_lag() -> None:
    lag = FeedLag(LIMITS)
    epoch = 1_600_000_000 * S
    lag.on_announcement(START, epoch, 10.0)
    lag.on_event(START, epoch)
    # The line has stalled for 2 s; the announcement comes with all the rest.
    lag.on_announcement(START + 3 * S, epoch + 10 * S, 10.0)
    lag.on_event(START + 3 * S, epoch + 10 * S)
    assert lag.lag_ns == 2 * S
    assert lag.anchors == 1


def test_a_replay_that_turns_back_or_changes_speed_is_measured_anew() -> None:
    lag = FeedLag(LIMITS)
    epoch = 1_600_000_000 * S
    lag.on_announcement(START, epoch, 10.0)
    lag.on_event(START + 10 * S, epoch + 100 * S)
    lag.on_announcement(START + 60 * S, epoch, 10.0)
    lag.on_event(START + 60 * S, epoch)
    assert lag.lag_ns == 0
    lag.on_announcement(START + 61 * S, epoch + 10 * S, 1.0)
    lag.on_event(START + 62 * S, epoch + 11 * S)
    assert (lag.lag_ns, lag.anchors) == (0, 3)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_a_speed_that_makes_no_sense_is_an_error(speed: float) -> None:
    with pytest.raises(ValueError, match="replay speed"):
        FeedLag(LIMITS).on_announcement(START, START, speed)

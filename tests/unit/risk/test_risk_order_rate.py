"""Order counts: sliding windows of our own, the venue's count, and what a crash may not refill."""

from __future__ import annotations

import json

import pytest

from mmd.risk.limits import RiskLimits
from mmd.risk.order_rate import OrderRateBudget, OrderRateState
from mmd.types.orders import OrderBudgetReport

S = 1_000_000_000
HOUR = 3_600 * S
START = 470_000 * HOUR
LIMITS = RiskLimits(max_orders_per_10s=5, max_orders_per_day=100, order_count_reserve=2)


def crashed(state: OrderRateState) -> OrderRateBudget:
    again = OrderRateBudget(LIMITS)
    again.restore(json.loads(json.dumps(state)))
    return again


def test_ten_seconds_slide() -> None:
    budget = OrderRateBudget(LIMITS)
    budget.record(START, 3)
    budget.record(START + 5 * S, 2)
    assert not budget.allows(START + 10 * S - 1)
    assert budget.allows(START + 10 * S, 3)
    assert not budget.allows(START + 10 * S, 4)
    assert budget.used(START + 10 * S) == (2, 5)
    assert budget.total == 5


def test_a_day_slides_by_whole_hours() -> None:
    budget = OrderRateBudget(LIMITS)
    for number in range(100):
        budget.record(START + number * 11 * S)
    assert not budget.allows(START + HOUR)
    assert not budget.allows(START + 25 * HOUR - 1)
    assert budget.allows(START + 25 * HOUR)


def test_a_clock_that_steps_back_frees_nothing() -> None:
    budget = OrderRateBudget(LIMITS)
    budget.record(START, 5)
    assert not budget.allows(START - HOUR)


def test_counts_ahead_mean_a_crash_never_refills() -> None:
    budget = OrderRateBudget(LIMITS)
    budget.record(START)
    assert budget.persist_due
    state = budget.state()
    assert not budget.persist_due
    budget.record(START + 1)
    budget.record(START + 2)
    assert not budget.persist_due, "two were counted ahead"
    again = crashed(state)
    now = START + 60 * S
    assert again.used(now) == (3, 3), "counted from the first moment seen after the restart"
    assert again.used(now + 10 * S) == (0, 3)
    budget.record(START + 3)
    assert budget.persist_due


def test_restarts_without_orders_do_not_eat_the_budget() -> None:
    budget = OrderRateBudget(LIMITS)
    budget.record(START)
    state = budget.state()
    for _ in range(5):
        state = crashed(state).state()
    assert crashed(state).used(START + 60 * S)[1] == 3


def test_the_day_survives_a_restart() -> None:
    budget = OrderRateBudget(LIMITS)
    for number in range(97):
        budget.record(START + number * 11 * S)
    again = crashed(budget.state())
    assert again.allows(START + 2 * HOUR, 1)
    assert not again.allows(START + 2 * HOUR, 2)
    assert again.allows(START + 26 * HOUR, 5)


@pytest.mark.parametrize("state", [{"recent": -1, "hours": []}, {"recent": 0, "hours": [[1]]}, {"recent": 0, "hours": [[1, -4]]}])
def test_a_damaged_checkpoint_is_an_error(state: OrderRateState) -> None:
    with pytest.raises(ValueError, match="damaged"):
        OrderRateBudget(LIMITS).restore(state)


def test_the_venues_count_binds_until_its_interval_ends() -> None:
    budget = OrderRateBudget(LIMITS)
    now = START + 2 * S
    budget.on_venue_report(OrderBudgetReport(now, 78, 100, 10 * S))
    assert budget.venue_allows(now, 2)
    assert not budget.venue_allows(now, 3)
    budget.record(now, 2)
    assert not budget.venue_allows(now), "what we sent since counts on top"
    assert not budget.venue_allows(START + 10 * S - 1)
    assert budget.venue_allows(START + 10 * S)


def test_each_interval_of_the_venue_has_its_own_count() -> None:
    budget = OrderRateBudget(LIMITS)
    budget.on_venue_report(OrderBudgetReport(START, 0, 100, 10 * S))
    budget.on_venue_report(OrderBudgetReport(START, 160_000, 200_000, 24 * HOUR))
    assert not budget.venue_allows(START)


@pytest.mark.parametrize(("used", "limit", "interval"), [(1, 0, 10), (1, 10, 0), (-1, 10, 10)])
def test_a_report_that_makes_no_sense_is_an_error(used: int, limit: int, interval: int) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        OrderRateBudget(LIMITS).on_venue_report(OrderBudgetReport(START, used, limit, interval))


def test_reports_are_bounded() -> None:
    budget = OrderRateBudget(LIMITS)
    for interval in range(1, 9):
        budget.on_venue_report(OrderBudgetReport(START, 0, 10, interval * S))
    with pytest.raises(ValueError, match="interval"):
        budget.on_venue_report(OrderBudgetReport(START, 0, 10, 9 * S))

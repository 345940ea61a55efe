"""Unknown is a state, not a failure: time-outs, queries, what a not-found proves, cancels repeated."""

from __future__ import annotations

import pytest

from mmd.execution.order_state import OrderState
from mmd.execution.settings import ExecutionSettings
from mmd.types.orders import CancelOrder, ClockSync, OrderStatus, QueryOrder
from tests.unit.execution.order_desk import MS, SECOND, START, SYMBOL, Desk, unknown_order


def test_network_errors_leave_orders_unknown_and_their_fills_are_ours() -> None:
    """Six "dead" buys of which every one fills (hummingbot #3374)."""
    desk = Desk()
    orders = [unknown_order(desk) for _ in range(6)]
    assert desk.at_risk() == 60
    for order in orders:
        desk.fill(order, 10)
        desk.update(order, OrderStatus.FILLED, 10)
    assert desk.at_risk() == 0
    assert all(order.booked_lots == 10 for order in orders)


def test_a_request_unanswered_in_time_makes_the_order_unknown() -> None:
    desk = Desk()
    order = desk.place(live=False)
    assert desk.wait(1_999) == []
    assert order.state is OrderState.PENDING_NEW
    assert desk.wait(1) == [QueryOrder(desk.now, order.client_order_id, SYMBOL)]
    assert order.state is OrderState.UNKNOWN


def test_queries_back_off_and_nothing_is_asked_while_the_channel_is_down() -> None:
    desk = Desk()
    order = unknown_order(desk)
    asked_ms = []
    for ms in range(0, 60_000, 100):
        desk.now = START + ms * MS
        asked_ms += [ms for _ in desk.due()]
    assert asked_ms == [0, 500, 1_500, 3_500, 7_500, 15_500, 25_500, 35_500, 45_500, 55_500]
    desk.channel(False)
    assert desk.wait(60_000) == []
    desk.channel(True)
    assert desk.due() == [QueryOrder(desk.now, order.client_order_id, SYMBOL)]
    assert desk.wait(500) == [QueryOrder(desk.now, order.client_order_id, SYMBOL)]


def test_what_is_due_and_not_sent_is_offered_again() -> None:
    desk = Desk()
    unknown_order(desk)
    assert desk.tracker.due(desk.now) == desk.tracker.due(desk.now) != []


def test_the_channel_going_down_makes_requests_in_flight_unknown_and_only_them() -> None:
    desk = Desk()
    resting, cancelling, amending, fresh = (desk.place() for _ in range(4))
    desk.cancel(cancelling)
    desk.amend(amending, 5)
    pending = desk.place(live=False)
    desk.channel(False)
    assert [order.state for order in (resting, fresh)] == [OrderState.LIVE] * 2
    assert [order.state for order in (cancelling, amending, pending)] == [OrderState.UNKNOWN] * 3
    assert desk.at_risk() == 50


@pytest.mark.parametrize(("asked_ms", "dies"), [(0, False), (2_000, False), (3_000, False), (3_001, True), (60_000, True)])
def test_it_dies_only_of_a_query_that_the_order_cannot_come_after(asked_ms: int, dies: bool) -> None:
    """Later than the order's timestamp + recvWindow (2 s) + 1 s, on the venue's clock."""
    desk = Desk()
    order = unknown_order(desk)
    desk.not_found(order.client_order_id, asked_ms_after_start=asked_ms)
    assert (order.state is OrderState.NEVER_EXISTED) is dies
    assert desk.at_risk() == (0 if dies else 10)


def test_the_venues_clock_is_the_one_that_counts() -> None:
    desk = Desk()
    desk.tracker.on_event(ClockSync(START, 5 * SECOND, 0))
    order = unknown_order(desk)
    desk.not_found(order.client_order_id, asked_ms_after_start=8_000)
    assert order.state is OrderState.UNKNOWN
    desk.not_found(order.client_order_id, asked_ms_after_start=8_001)
    assert order.state is OrderState.NEVER_EXISTED


def test_a_clock_measured_anew_never_makes_the_proof_easier() -> None:
    desk = Desk()
    order = unknown_order(desk)
    for offset_ms in (700, -5_000):
        desk.tracker.on_event(ClockSync(START, offset_ms * MS, 0))
    desk.not_found(order.client_order_id, asked_ms_after_start=3_700)
    assert order.state is OrderState.UNKNOWN
    desk.not_found(order.client_order_id, asked_ms_after_start=3_701)
    assert order.state is OrderState.NEVER_EXISTED


def test_without_a_measured_clock_no_absence_is_proved() -> None:
    desk = Desk(clock_known=False)
    order = unknown_order(desk)
    desk.not_found(order.client_order_id, asked_ms_after_start=3_600_000)
    assert order.state is OrderState.UNKNOWN
    desk.tracker.on_event(ClockSync(desk.now, 0, 0))
    desk.not_found(order.client_order_id, asked_ms_after_start=3_600_000)
    assert order.state is OrderState.NEVER_EXISTED


def test_the_window_cannot_be_set_beyond_what_the_proof_allows_for() -> None:
    with pytest.raises(ValueError, match="2000"):
        ExecutionSettings(receive_window_ms=2_001)


def test_not_found_never_drops_a_live_order() -> None:
    """hummingbot #601, #493, #7996: "order not found" dropped live orders."""
    desk = Desk()
    order = desk.place()
    for _ in range(2):
        desk.not_found(order.client_order_id, asked_ms_after_start=60_000)
        assert (order.state, desk.at_risk()) == (OrderState.UNKNOWN, 10)
    desk.update(order, OrderStatus.NEW)
    assert (order.state, desk.at_risk()) == (OrderState.LIVE, 10)


def test_an_acknowledged_order_must_be_denied_several_times() -> None:
    desk = Desk()
    order = desk.place()
    desk.cancel(order)
    desk.cancel_rejected(order)
    for _ in range(desk.settings.not_found_confirmations - 1):
        desk.not_found(order.client_order_id, asked_ms_after_start=60_000)
        assert order.state is OrderState.UNKNOWN
    desk.not_found(order.client_order_id, asked_ms_after_start=60_000)
    assert order.state is OrderState.NEVER_EXISTED


def test_an_order_whose_amend_is_in_doubt_is_not_dead_because_one_name_is_unknown() -> None:
    desk = Desk()
    order = desk.place()
    old_name = order.client_order_id
    new_name = desk.amend(order, 5)
    desk.lose(order)
    for _ in range(20):
        desk.not_found(old_name, asked_ms_after_start=60_000)
    assert (order.state, desk.at_risk()) == (OrderState.UNKNOWN, 10)
    desk.update(order, OrderStatus.PARTIALLY_FILLED, 1, name=new_name, lots=5)
    assert (order.state, order.client_order_id, desk.at_risk()) == (OrderState.LIVE, new_name, 5)


def test_a_never_existing_order_that_turns_up_counts_again() -> None:
    desk = Desk()
    order = unknown_order(desk)
    desk.not_found(order.client_order_id, asked_ms_after_start=60_000)
    assert desk.at_risk() == 0
    desk.fill(order, 3)
    assert (order.state, desk.at_risk()) == (OrderState.UNKNOWN, 7)


def test_unknown_order_sent_never_drops_the_order() -> None:
    """-2011 may mean filled, cancelled or never arrived (FIELD: duplicates, locked funds)."""
    desk = Desk()
    order = desk.place()
    desk.cancel(order)
    desk.cancel_rejected(order)
    assert (order.state, desk.at_risk()) == (OrderState.UNKNOWN, 10)
    assert desk.due() == [QueryOrder(desk.now, order.client_order_id, SYMBOL)]
    desk.update(order, OrderStatus.FILLED, 10)
    assert (order.state, desk.at_risk()) == (OrderState.FILLED, 10), "until the fills are seen"


def test_a_cancel_without_an_answer_is_asked_about_and_repeated() -> None:
    desk = Desk()
    order = desk.place()
    desk.cancel(order)
    assert desk.wait(2_000) == [QueryOrder(desk.now, order.client_order_id, SYMBOL)]
    desk.update(order, OrderStatus.NEW)
    assert desk.due() == [CancelOrder(desk.now, order.client_order_id, SYMBOL)]
    assert order.state is OrderState.PENDING_CANCEL
    desk.update(order, OrderStatus.CANCELED)
    assert (desk.at_risk(), desk.wait(60_000)) == (0, [])


def test_a_venue_that_keeps_refusing_a_cancel_is_not_flooded() -> None:
    desk = Desk()
    order = desk.place()
    desk.cancel(order)
    sent = 0
    for _ in range(600):
        for command in desk.wait(100):
            sent += 1
            if isinstance(command, CancelOrder):
                desk.cancel_rejected(order)
            else:
                desk.update(order, OrderStatus.NEW)
    assert order.is_open
    assert 4 <= sent <= 25


def test_an_order_found_open_after_all_is_quoted_on() -> None:
    desk = Desk()
    order = unknown_order(desk)
    desk.due()
    desk.update(order, OrderStatus.NEW)
    assert (order.state, order.is_settled, desk.wait(60_000)) == (OrderState.LIVE, True, [])


# ---- cancel_all


def test_cancel_all_names_every_order_once_and_only_ours() -> None:
    desk = Desk()
    live, cancelling = desk.place(), desk.place()
    desk.cancel(cancelling)
    pending, unknown = desk.place(live=False), unknown_order(desk)
    done = desk.place()
    desk.update(done, OrderStatus.CANCELED)
    commands = desk.tracker.cancel_all(desk.now)
    assert {command.client_order_id for command in commands} == {order.client_order_id for order in (live, pending, unknown)}
    assert desk.tracker.cancel_all(desk.now, "ETHUSDT") == []
    for command in commands:
        desk.tracker.on_sent(command)
    assert desk.tracker.cancel_all(desk.now) == []
    assert desk.at_risk() == 40, "a cancel that is merely sent frees nothing"


def test_a_cancelled_order_that_never_existed_is_confirmed_gone() -> None:
    desk = Desk()
    order = unknown_order(desk)
    desk.cancel(order)
    desk.cancel_rejected(order)
    desk.now += 4 * SECOND
    assert desk.due() == [QueryOrder(desk.now, order.client_order_id, SYMBOL)]
    desk.not_found(order.client_order_id, asked_ms_after_start=4_000)
    assert desk.tracker.all_open() == []

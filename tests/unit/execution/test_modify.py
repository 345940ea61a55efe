"""Orders that the venue can modify: what counts while a modification is in flight, in doubt, refused, and done."""

from __future__ import annotations

import pytest

from mmd.execution.order_state import OrderState, OrderStateError
from mmd.execution.quote_diff import CancelIntent, DesiredQuote, Intent, ModifyIntent, plan
from mmd.execution.tracked_order import TrackedOrder
from mmd.types.instrument import Replacement
from mmd.types.market import Side
from mmd.types.orders import CancelOrder, ModifyOrder, OrderStatus, OrderUpdate, QueryOrder
from tests.unit.execution.order_desk import MS, SYMBOL, Desk


def modify(desk: Desk, order: TrackedOrder, price: int, lots: int) -> None:
    desk.tracker.on_sent(ModifyOrder(desk.now, order.client_order_id, SYMBOL, order.side, price, lots))


def say(desk: Desk, order: TrackedOrder, price: int, lots: int, status: OrderStatus = OrderStatus.NEW, filled: int = 0) -> None:
    update = OrderUpdate(desk.now, SYMBOL, order.client_order_id, 77, order.side, price, lots, filled, status, desk.now)
    desk.tracker.on_event(update)


@pytest.mark.parametrize(("price", "lots", "worst"), [(101, 12, (101, 12)), (99, 6, (100, 10)), (101, 6, (101, 10))])
def test_in_flight_the_worse_of_old_and_new_counts_and_then_the_new(price: int, lots: int, worst: tuple[int, int]) -> None:
    desk = Desk()
    order = desk.place(Side.BUY, 100, 10)
    modify(desk, order, price, lots)
    assert order.state is OrderState.PENDING_AMEND
    assert (order.price_ticks, desk.at_risk()) == worst
    say(desk, order, 100, 10)  # said before the modification came
    assert order.state is OrderState.PENDING_AMEND
    assert (order.price_ticks, desk.at_risk()) == worst
    say(desk, order, price, lots)
    assert order.state is OrderState.LIVE
    assert (order.price_ticks, order.lots, desk.at_risk()) == (price, lots, lots)
    assert order.is_settled


def test_a_list_from_before_a_modification_does_not_prove_it_done() -> None:
    """There and back again: what the order was before the first modification is what the second asks for."""
    desk = Desk()
    order = desk.place(Side.BUY, 100, 10)
    listed = OrderUpdate(desk.now, SYMBOL, order.client_order_id, 77, Side.BUY, 100, 10, 0, OrderStatus.NEW, desk.now)
    requested_ns = desk.now
    desk.now += MS
    modify(desk, order, 101, 14)
    say(desk, order, 101, 14)
    modify(desk, order, 100, 10)
    desk.report(listed, requested_ns=requested_ns)
    assert (order.state, desk.at_risk()) == (OrderState.PENDING_AMEND, 14)
    say(desk, order, 100, 10)
    assert (order.state, desk.at_risk()) == (OrderState.LIVE, 10)


def test_a_sell_counts_at_the_lower_price() -> None:
    desk = Desk()
    order = desk.place(Side.SELL, 100, 10)
    modify(desk, order, 98, 10)
    assert order.price_ticks == 98
    modified_up = desk.place(Side.SELL, 100, 10)
    modify(desk, modified_up, 103, 10)
    assert modified_up.price_ticks == 100


def test_a_refused_modification_leaves_the_order_as_it_was_and_in_question() -> None:
    desk = Desk()
    order = desk.place(Side.BUY, 100, 10)
    modify(desk, order, 102, 14)
    desk.cancel_rejected(order, -2013, "Order does not exist.")
    assert (order.state, order.price_ticks, order.lots) == (OrderState.UNKNOWN, 100, 10)
    assert isinstance(desk.due()[0], QueryOrder)
    say(desk, order, 100, 10)
    assert order.is_settled
    assert order.amend_refused


def test_a_modification_without_an_answer_counts_at_its_worst_until_the_order_is_gone() -> None:
    desk = Desk()
    order = desk.place(Side.BUY, 100, 10)
    modify(desk, order, 102, 14)
    queried = desk.wait(desk.settings.acknowledgement_timeout_ms)
    assert order.state is OrderState.UNKNOWN
    assert [type(command) for command in queried] == [QueryOrder]
    say(desk, order, 100, 10)  # it may still be on its way
    assert (order.price_ticks, desk.at_risk()) == (102, 14)
    assert [type(command) for command in desk.wait(1)] == [CancelOrder]
    say(desk, order, 102, 14)
    assert (order.state, desk.at_risk()) == (OrderState.PENDING_CANCEL, 14)
    say(desk, order, 102, 14, OrderStatus.CANCELED)
    assert desk.at_risk() == 0


def test_fills_while_a_modification_is_in_flight() -> None:
    desk = Desk()
    order = desk.place(Side.BUY, 100, 10)
    modify(desk, order, 101, 6)
    desk.fill(order, 6)
    assert desk.at_risk() == 4
    say(desk, order, 101, 6, OrderStatus.FILLED, filled=6)
    assert (order.state, desk.at_risk()) == (OrderState.FILLED, 0)


def test_a_modification_that_cannot_be_is_a_bug_of_ours() -> None:
    desk = Desk()
    order = desk.place(Side.BUY, 100, 10)
    with pytest.raises(OrderStateError, match="cannot be modified"):
        modify(desk, order, 100, 0)
    desk.cancel(order)
    with pytest.raises(OrderStateError, match="does not allow send_amend"):
        modify(desk, order, 101, 10)


# ---- the plan


def decide(desk: Desk, bid: int, lots: int, replacement: Replacement = Replacement.MODIFY) -> list[Intent]:
    return plan(DesiredQuote(SYMBOL, bid, lots, bid + 200, 0), desk.tracker, desk.settings, desk.now, replacement)


def aged_desk() -> tuple[Desk, TrackedOrder]:
    desk = Desk()
    order = desk.place(Side.BUY, 10_000, 10)
    desk.now += 1_000 * MS
    return desk, order


@pytest.mark.parametrize(
    ("bid", "lots", "reason"),
    [(9_950, 10, "too_aggressive"), (10_050, 10, "too_passive"), (10_000, 5, "too_large"), (10_000, 20, "too_small")],
)
def test_whatever_is_off_is_mended_by_one_modification(bid: int, lots: int, reason: str) -> None:
    desk, order = aged_desk()
    assert decide(desk, bid, lots) == [ModifyIntent(SYMBOL, order.client_order_id, Side.BUY, bid, lots, reason)]
    assert decide(desk, bid, lots, Replacement.CANCEL_FIRST) == [CancelIntent(SYMBOL, order.client_order_id, reason)]


def test_the_new_quantity_counts_what_is_filled() -> None:
    desk, order = aged_desk()
    desk.fill(order, 4)
    assert decide(desk, 9_950, 10) == [ModifyIntent(SYMBOL, order.client_order_id, Side.BUY, 9_950, 14, "too_aggressive")]


def test_after_a_refusal_the_order_is_cancelled_rather_than_asked_again() -> None:
    desk, order = aged_desk()
    modify(desk, order, 10_050, 10)
    desk.cancel_rejected(order, -5027, "No need to modify the order.")
    say(desk, order, 10_000, 10)
    assert decide(desk, 9_950, 10) == [CancelIntent(SYMBOL, order.client_order_id, "too_aggressive")]


def test_a_modification_in_flight_away_from_danger_is_waited_for() -> None:
    desk, order = aged_desk()
    modify(desk, order, 9_950, 10)
    assert order.price_ticks == 10_000
    assert decide(desk, 9_950, 10) == []
    assert decide(desk, 9_800, 10) == [CancelIntent(SYMBOL, order.client_order_id, "too_aggressive")]

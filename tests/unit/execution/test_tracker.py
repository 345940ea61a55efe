"""Lives of orders, with the venue answering late, twice, out of order and not at all."""

from __future__ import annotations

import pytest

from mmd.execution.order_state import OrderState, OrderStateError
from mmd.execution.settings import ExecutionSettings
from mmd.types.market import Side
from mmd.types.orders import AmendOrder, CancelOrder, OrderStatus, OrderUpdate, PlaceOrder, QueryOrder
from tests.unit.execution.order_desk import SYMBOL, Desk

# ---- the plain way


def test_placed_acknowledged_filled_and_booked() -> None:
    desk = Desk()
    order = desk.place(live=False)
    assert (order.state, desk.at_risk()) == (OrderState.PENDING_NEW, 10)
    desk.accept(order.client_order_id)
    assert order.state is OrderState.LIVE
    desk.fill(order, 4)
    desk.update(order, OrderStatus.PARTIALLY_FILLED, 4)
    assert (order.remaining_lots, desk.at_risk()) == (6, 6)
    desk.fill(order, 6)
    desk.update(order, OrderStatus.FILLED, 10)
    assert (order.state, desk.at_risk()) == (OrderState.FILLED, 0)
    assert desk.tracker.all_open() == []


def test_a_refused_order_counts_no_more() -> None:
    desk = Desk()
    order = desk.place(live=False)
    desk.reject(order)
    assert (order.state, desk.at_risk()) == (OrderState.REJECTED, 0)


def test_a_cancelled_order_counts_for_what_was_filled_until_those_fills_were_seen() -> None:
    desk = Desk()
    order = desk.place()
    desk.cancel(order)
    assert desk.at_risk() == 10
    desk.update(order, OrderStatus.CANCELED, 4)
    assert (order.state, desk.at_risk()) == (OrderState.CANCELLED, 4)
    desk.fill(order, 3)
    assert desk.at_risk() == 1
    desk.fill(order, 1)
    assert desk.at_risk() == 0


def test_sides_are_never_netted_and_symbols_never_mixed() -> None:
    desk = Desk()
    desk.place(Side.BUY, lots=10)
    desk.place(Side.SELL, lots=7)
    desk.tracker.on_sent(PlaceOrder(desk.now, desk.tracker.next_client_order_id(), "ETHUSDT", Side.BUY, 5, 3))
    assert (desk.at_risk(Side.BUY), desk.at_risk(Side.SELL)) == (10, 7)
    assert desk.tracker.at_risk_lots("ETHUSDT", Side.BUY) == 3
    assert len(desk.tracker.working(SYMBOL)) == 2
    assert desk.tracker.open_count == 3


# ---- late, doubled, out of order


def test_a_fill_and_its_update_may_overtake_the_acknowledgement() -> None:
    desk = Desk()
    order = desk.place(live=False)
    desk.fill(order, 10)
    assert (order.state, desk.at_risk()) == (OrderState.FILLED, 0)
    desk.update(order, OrderStatus.FILLED, 10)
    desk.accept(order.client_order_id)
    assert (order.state, desk.at_risk()) == (OrderState.FILLED, 0)


def test_a_partial_fill_before_the_acknowledgement_leaves_the_rest_at_risk() -> None:
    desk = Desk()
    order = desk.place(live=False)
    desk.fill(order, 4)
    assert (order.state, order.acknowledged, desk.at_risk()) == (OrderState.PENDING_NEW, True, 6)
    desk.accept(order.client_order_id)
    assert order.state is OrderState.LIVE


def test_a_doubled_fill_counts_once() -> None:
    desk = Desk()
    order = desk.place()
    desk.fill(order, 4, trade_id=9)
    desk.fill(order, 4, trade_id=9)
    assert (order.booked_lots, desk.at_risk()) == (4, 6)


def test_updates_after_the_end_change_nothing() -> None:
    desk = Desk()
    order = desk.place()
    desk.update(order, OrderStatus.CANCELED)
    for status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED):
        desk.update(order, status)
        assert (order.state, desk.at_risk()) == (OrderState.CANCELLED, 0)
    desk.cancel_rejected(order)
    desk.lose(order)
    desk.not_found(order.client_order_id, asked_ms_after_start=60_000)
    assert order.state is OrderState.CANCELLED


def test_a_quantity_shrinks_only_by_an_amend_that_is_confirmed() -> None:
    desk = Desk()
    order = desk.place(lots=10)
    desk.update(order, OrderStatus.NEW, lots=4)
    assert desk.at_risk() == 10
    desk.update(order, OrderStatus.NEW, lots=12)
    assert desk.at_risk() == 12


def test_an_older_update_does_not_take_back_what_is_filled() -> None:
    desk = Desk()
    order = desk.place()
    desk.update(order, OrderStatus.PARTIALLY_FILLED, 6)
    desk.update(order, OrderStatus.PARTIALLY_FILLED, 2)
    assert order.filled_lots == 6


def test_a_cancel_that_lost_against_a_fill() -> None:
    desk = Desk()
    order = desk.place()
    desk.cancel(order)
    desk.fill(order, 10)
    desk.update(order, OrderStatus.FILLED, 10)
    desk.cancel_rejected(order)
    assert (order.state, desk.at_risk(), desk.wait(5_000)) == (OrderState.FILLED, 0, [])


def test_a_rejected_order_that_turns_up_alive_counts_again() -> None:
    desk = Desk()
    order = desk.place(live=False)
    desk.reject(order)
    desk.update(order, OrderStatus.NEW)
    assert (order.state, desk.at_risk()) == (OrderState.UNKNOWN, 10)
    assert desk.due() == [QueryOrder(desk.now, order.client_order_id, SYMBOL)]


def test_a_refusal_as_duplicate_proves_that_the_order_lives() -> None:
    desk = Desk()
    order = desk.place(live=False)
    desk.reject(order, -2010, "Duplicate order sent.")
    assert (order.state, desk.at_risk()) == (OrderState.UNKNOWN, 10)


def test_a_refusal_of_what_was_acknowledged_is_not_believed() -> None:
    desk = Desk()
    order = desk.place()
    desk.cancel(order)
    desk.reject(order, -1015, "Too many new orders.")
    assert (order.state, desk.at_risk()) == (OrderState.UNKNOWN, 10)


def test_messages_about_others_orders_are_counted_and_left_alone() -> None:
    desk = Desk()
    order = desk.place()
    before = desk.tracker.unmatched
    desk.update(order, OrderStatus.NEW, name="web_17", exchange_order_id=4711)
    assert desk.tracker.find("web_17") is None
    desk.fill(order, 1, name="web_17", trade_id=5)
    desk.tracker.on_event(OrderUpdate(desk.now, SYMBOL, "mmd-by-hand-x-1", 9, Side.BUY, 1, 1, 0, OrderStatus.NEW, desk.now))
    assert desk.tracker.unmatched > before
    assert desk.tracker.open_count == 1


def test_other_events_are_ignored() -> None:
    Desk().tracker.on_event(object())


# ---- replace


def test_a_replace_counts_old_and_new_until_answered() -> None:
    desk = Desk()
    old = desk.place(lots=10)
    new = desk.replace(old, lots=8)
    assert (old.state, new.state, desk.at_risk()) == (OrderState.PENDING_CANCEL, OrderState.PENDING_NEW, 18)
    desk.update(old, OrderStatus.CANCELED)
    desk.accept(new.client_order_id)
    assert (old.state, new.state, desk.at_risk()) == (OrderState.CANCELLED, OrderState.LIVE, 8)


def test_a_replace_that_failed_leaves_the_old_order_to_a_query() -> None:
    desk = Desk()
    old = desk.place()
    new = desk.replace(old)
    desk.cancel_rejected(old, -2022, "Order cancel-replace failed.")
    desk.reject(new, -2022, "Order cancel-replace failed.")
    assert (old.state, new.state, desk.at_risk()) == (OrderState.UNKNOWN, OrderState.REJECTED, 10)
    assert desk.due() == [QueryOrder(desk.now, old.client_order_id, SYMBOL)]
    desk.update(old, OrderStatus.NEW)
    # It was to go, and still is.
    assert desk.wait(1_000) == [CancelOrder(desk.now, old.client_order_id, SYMBOL)]


def test_a_replace_half_done() -> None:
    desk = Desk()
    old = desk.place()
    new = desk.replace(old)
    desk.update(old, OrderStatus.CANCELED)
    desk.reject(new)
    assert (old.state, new.state, desk.at_risk()) == (OrderState.CANCELLED, OrderState.REJECTED, 0)


def test_a_replace_without_an_answer_leaves_both_unknown() -> None:
    desk = Desk()
    old = desk.place()
    new = desk.replace(old)
    commands = desk.wait(desk.settings.acknowledgement_timeout_ms)
    assert (old.state, new.state, desk.at_risk()) == (OrderState.UNKNOWN, OrderState.UNKNOWN, 20)
    assert {command.client_order_id for command in commands} == {old.client_order_id, new.client_order_id}


# ---- amend


def test_an_amend_counts_the_larger_quantity_until_it_is_answered() -> None:
    desk = Desk()
    order = desk.place(lots=10)
    old_name = order.client_order_id
    new_name = desk.amend(order, 4)
    assert (order.state, desk.at_risk()) == (OrderState.PENDING_AMEND, 10)
    desk.update(order, OrderStatus.NEW, name=new_name, replaced=old_name, lots=4)
    assert (order.state, order.client_order_id, desk.at_risk()) == (OrderState.LIVE, new_name, 4)
    assert desk.order(old_name) is order is desk.order(new_name)


def test_late_news_under_the_former_name_does_not_undo_an_amend() -> None:
    desk = Desk()
    order = desk.place(lots=10)
    old_name = order.client_order_id
    new_name = desk.amend(order, 4)
    desk.update(order, OrderStatus.NEW, name=new_name, replaced=old_name, lots=4)
    desk.update(order, OrderStatus.NEW, name=old_name, lots=10)
    desk.update(order, OrderStatus.NEW, name=new_name, replaced=old_name, lots=4)
    assert (order.client_order_id, order.lots, desk.at_risk()) == (new_name, 4, 4)
    desk.fill(order, 1, name=old_name)
    assert desk.at_risk() == 3


def test_a_refused_amend_is_asked_about_and_not_tried_again() -> None:
    desk = Desk()
    order = desk.place(lots=10)
    desk.amend(order, 4)
    desk.cancel_rejected(order, -2038, "Order amend rejected.")
    assert (order.state, order.amend_refused, desk.at_risk()) == (OrderState.UNKNOWN, True, 10)
    assert desk.due() == [QueryOrder(desk.now, order.client_order_id, SYMBOL)]
    desk.update(order, OrderStatus.NEW)
    assert (order.state, order.is_settled) == (OrderState.LIVE, True)


def test_an_amend_in_doubt_is_asked_about_by_both_names_and_the_order_goes() -> None:
    desk = Desk()
    order = desk.place(lots=10)
    old_name = order.client_order_id
    new_name = desk.amend(order, 4)
    asked = [command.client_order_id for command in desk.wait(2_000) + desk.wait(500)]
    assert asked == [old_name, new_name]
    desk.update(order, OrderStatus.NEW, name=new_name, lots=4)
    assert (order.state, order.client_order_id, order.lots) == (OrderState.LIVE, new_name, 4)
    assert desk.due() == [CancelOrder(desk.now, new_name, SYMBOL)]


def test_an_acknowledgement_under_the_new_name_confirms_an_amend() -> None:
    desk = Desk()
    order = desk.place(lots=10)
    new_name = desk.amend(order, 4)
    desk.accept(new_name, order.exchange_order_id)
    assert (order.state, order.client_order_id, order.lots) == (OrderState.LIVE, new_name, 4)


def test_an_order_amended_by_somebody_else_is_still_ours() -> None:
    desk = Desk()
    order = desk.place(lots=10)
    desk.update(order, OrderStatus.NEW, name="web_1", replaced=order.client_order_id, lots=6)
    assert (desk.order("web_1"), order.client_order_id, desk.at_risk()) == (order, "web_1", 6)
    assert desk.tracker.cancel_all(desk.now) == [CancelOrder(desk.now, "web_1", SYMBOL)]


# ---- bugs of ours


def test_what_proves_a_bug_of_ours_raises() -> None:
    desk = Desk()
    order = desk.place(lots=10)
    name = order.client_order_id
    send = desk.tracker.on_sent
    with pytest.raises(OrderStateError, match="used before"):
        send(PlaceOrder(desk.now, name, SYMBOL, Side.BUY, 1, 1))
    with pytest.raises(OrderStateError, match="no order"):
        send(CancelOrder(desk.now, "mmd-e1-zzz", SYMBOL))
    for lots in (0, 10, 11):
        with pytest.raises(OrderStateError, match="only reduce"):
            send(AmendOrder(desk.now, name, desk.tracker.next_client_order_id(), SYMBOL, lots))
    with pytest.raises(OrderStateError, match="used before"):
        send(AmendOrder(desk.now, name, name, SYMBOL, 5))
    desk.update(order, OrderStatus.CANCELED)
    with pytest.raises(OrderStateError, match="cancelled"):
        desk.cancel(order)
    with pytest.raises(OrderStateError, match="cancelled"):
        desk.replace(order)
    assert desk.tracker.open_count == 0, "a replace that is refused adds no order"


# ---- ids


def test_ids_name_the_session_and_fit_the_venue() -> None:
    tracker = Desk().tracker
    assert [tracker.next_client_order_id() for _ in range(36)][-1] == "mmd-e1-10"
    assert tracker.is_ours("mmd-e1-1")
    assert tracker.is_ours("mmd-another9-zz")
    for name in ("", "mmd", "mmd-1", "mmdx-e1-1", "web-mmd-e1-1", "mmd-by-hand-1", "mmd-E1-1", "mmd-e1-1\n"):
        assert not tracker.is_ours(name), name


def test_prefixes_and_epochs_that_make_bad_ids_are_refused() -> None:
    from mmd.execution.tracker import OrderTracker

    for prefix, epoch in (("", "e1"), ("a-b", "e1"), ("thirteenchars", "e1"), ("mmd", ""), ("mmd", "E1"), ("mmd", "a-b")):
        with pytest.raises(ValueError, match="use 1 to"):
            OrderTracker(ExecutionSettings(), prefix=prefix, session_epoch=epoch)

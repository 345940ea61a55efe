"""What the list of open orders does to the tracker, and what it forgets."""

from __future__ import annotations

from mmd.execution.order_state import OrderState
from mmd.execution.settings import ExecutionSettings
from mmd.types.market import Side
from mmd.types.orders import CancelOrder, OrderStatus, OrderUpdate, QueryOrder
from tests.unit.execution.order_desk import MS, SYMBOL, Desk


def listed(name: str, *, number: int = 5_000, lots: int = 10, filled: int = 0, time_ns: int = 1) -> OrderUpdate:
    status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW
    return OrderUpdate(2, SYMBOL, name, number, Side.BUY, 100, lots, filled, status, time_ns)


def test_orders_of_an_earlier_session_are_adopted_and_others_left_alone() -> None:
    """Unseen after a restart (hummingbot #3324); others' cancelled (#3387)."""
    desk = Desk()
    desk.report(listed("mmd-old7-3"), listed("web_abc", number=5_001), listed("mmdx-old7-3", number=5_002))
    (order,) = desk.tracker.all_open()
    assert (order.client_order_id, order.state, order.adopted, desk.at_risk()) == ("mmd-old7-3", OrderState.LIVE, True, 10)
    assert desk.tracker.cancel_all(desk.now) == [CancelOrder(desk.now, "mmd-old7-3", SYMBOL)]


def test_what_an_earlier_session_booked_of_an_adopted_order_stops_counting() -> None:
    desk = Desk()
    desk.report(listed("mmd-old7-3", filled=4))
    order = desk.order("mmd-old7-3")
    assert desk.at_risk() == 10, "what of it is booked is not known: all of it counts"
    desk.cancel(order)
    desk.update(order, OrderStatus.CANCELED, 4)
    assert desk.at_risk() == 4
    desk.now += MS
    desk.report(requested_ns=desk.now)
    assert desk.at_risk() == 0


def test_an_adopted_order_seen_first_on_the_stream() -> None:
    desk = Desk()
    desk.tracker.on_event(listed("mmd-old7-3"))
    desk.tracker.on_event(listed("mmd-old7-3"))
    assert (desk.tracker.adopted, desk.at_risk()) == (1, 10)


def test_an_order_that_the_list_lacks_is_asked_about() -> None:
    desk = Desk()
    early = desk.place()
    requested_ns = desk.now + 1
    desk.now += 2
    late = desk.place()
    desk.report(requested_ns=requested_ns)
    assert (early.state, late.state, desk.at_risk()) == (OrderState.UNKNOWN, OrderState.LIVE, 20)
    assert desk.due() == [QueryOrder(desk.now, early.client_order_id, SYMBOL)]


def test_a_listed_order_is_open_even_if_it_was_thought_unknown_or_dead() -> None:
    desk = Desk()
    lost = desk.place(live=False)
    desk.lose(lost)
    refused = desk.place(live=False)
    desk.reject(refused)
    desk.report(listed(lost.client_order_id), listed(refused.client_order_id, number=5_001))
    assert (lost.state, refused.state, desk.at_risk()) == (OrderState.LIVE, OrderState.UNKNOWN, 20)


def test_an_old_list_does_not_bring_a_cancelled_order_back() -> None:
    desk = Desk()
    order = desk.place()
    requested_ns = desk.now
    desk.update(order, OrderStatus.CANCELED)
    desk.report(listed(order.client_order_id, number=order.exchange_order_id), requested_ns=requested_ns)
    assert (order.state, desk.at_risk()) == (OrderState.CANCELLED, 0)


def test_trades_are_matched_by_the_venues_order_id_where_they_name_no_client_id() -> None:
    desk = Desk()
    order = desk.place()
    desk.fill(order, 4, name="")
    assert desk.at_risk() == 6
    assert desk.tracker.find_exchange_order(SYMBOL, order.exchange_order_id) is order


def test_missing_fills_are_named() -> None:
    desk = Desk()
    order = desk.place()
    desk.update(order, OrderStatus.FILLED, 10)
    assert desk.tracker.missing_fills(desk.now) == []
    desk.now += 2_000 * MS
    assert desk.tracker.missing_fills(desk.now) == [order]
    desk.fill(order, 10)
    assert desk.tracker.missing_fills(desk.now) == []


def test_memory_is_bounded_and_what_counts_is_never_forgotten() -> None:
    """Memory that grew for days (hummingbot #7462, ccxt #26753)."""
    desk = Desk(ExecutionSettings(terminal_orders_kept=50))
    unbooked = desk.place()
    desk.update(unbooked, OrderStatus.FILLED, 10)
    amended = desk.place()
    names = [amended.client_order_id]
    for lots in (8, 6):
        names.append(desk.amend(amended, lots))
        desk.update(amended, OrderStatus.NEW, name=names[-1], replaced=names[-2], lots=lots)
    desk.amend(amended, 2)
    desk.cancel_rejected(amended, -2038)
    desk.update(amended, OrderStatus.CANCELED)
    for _ in range(1_000):
        order = desk.place(Side.SELL)
        desk.fill(order, 10)
        desk.update(order, OrderStatus.FILLED, 10)
    assert len(desk.tracker.every_order()) == 51
    assert desk.tracker.find(unbooked.client_order_id) is unbooked
    assert all(desk.tracker.find(name) is None for name in names)
    index = desk.tracker._index
    assert len(index._by_client_id) == len(index._by_exchange_id) == 51
    desk.fill(unbooked, 10)
    assert desk.at_risk() == 0
    desk.place()
    assert len(desk.tracker.every_order()) == 51, "now that it is booked it takes its turn"


def test_a_late_message_about_a_remembered_order_is_taken_in() -> None:
    desk = Desk()
    order = desk.place()
    desk.update(order, OrderStatus.CANCELED, 0)
    desk.update(order, OrderStatus.CANCELED, 2)
    assert desk.at_risk() == 2
    desk.fill(order, 2)
    assert desk.at_risk() == 0

"""What is forgotten is forgotten by every id it ever had: an index of a long session holds no more than one of a short session."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmd.execution.settings import ExecutionSettings
from mmd.execution.tracker import OrderTracker
from mmd.types.market import Side
from mmd.types.orders import OrderAccepted, OrderStatus, OrderUpdate, PlaceOrder

KEPT = 5
SECOND = 1_000_000_000


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=60))
def test_ids_go_with_their_orders_even_where_the_venue_changes_its_own(ids: list[tuple[int, int]]) -> None:
    tracker = OrderTracker(ExecutionSettings(terminal_orders_kept=KEPT), prefix="mmd", session_epoch="s")
    for number, (accepted, cancelled) in enumerate(ids):
        now = (number + 1) * SECOND
        name = tracker.next_client_order_id()
        tracker.on_sent(PlaceOrder(now, name, "BTCUSDT", Side.BUY, 100, 5))
        tracker.on_event(OrderAccepted(now, "BTCUSDT", name, accepted))
        tracker.on_event(OrderUpdate(now, "BTCUSDT", name, cancelled, Side.BUY, 100, 5, 0, OrderStatus.CANCELED, now))
        index = tracker._index
        assert len(index) == len(index._by_client_id) == min(KEPT, number + 1)
        assert len(index._by_exchange_id) <= len(index)
        assert all(order in tracker.every_order() for order in index._by_exchange_id.values())

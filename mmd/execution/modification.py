"""A modification in flight: what an order counts as while its price and quantity are in doubt, and what settles it.

Until the venue shows the new price and quantity, the worse of old and new counts: the keener price, the larger quantity.
"""

from __future__ import annotations

from mmd.execution.order_state import OrderTrigger
from mmd.execution.tracked_order import TrackedOrder
from mmd.types.market import Side
from mmd.types.orders import ModifyOrder, OrderUpdate


def begin(order: TrackedOrder, command: ModifyOrder) -> None:
    """The modification has been sent."""
    order.unmodified = (order.price_ticks, order.lots)
    order.modify_price_ticks, order.modify_lots = command.price_ticks, command.lots
    order.request_ns = command.decided_ns
    keener = max if order.side is Side.BUY else min
    order.price_ticks = keener(order.price_ticks, command.price_ticks)
    order.lots = max(order.lots, command.lots)


def take_back(order: TrackedOrder) -> None:
    """The venue has refused it: the order stands as it was."""
    order.price_ticks, order.lots = order.unmodified
    order.modify_price_ticks = 0


def settle(order: TrackedOrder, event: OrderUpdate) -> OrderTrigger:
    """The venue shows the order open: modified, if with the new price and quantity. Else that may still come."""
    if (event.price_ticks, event.lots) != (order.modify_price_ticks, order.modify_lots):
        return OrderTrigger.OPEN
    order.price_ticks, order.lots = event.price_ticks, event.lots
    order.modify_price_ticks = 0
    return OrderTrigger.AMENDED

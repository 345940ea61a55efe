"""The venue's orders, trades and balances as it writes them in replies, REST and user data, and their way into our events."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from mmd.exchanges.binance.decode import NANOSECONDS_PER_MILLISECOND
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import OrderStatus, OrderUpdate

SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
STATUSES = {status.value: status for status in OrderStatus} | {
    # Legs of order lists, and orders on their way out: either can still trade.
    "PENDING_NEW": OrderStatus.NEW,
    "PENDING_CANCEL": OrderStatus.NEW,
}


class OrderBody(msgspec.Struct, gc=False):
    """One order: in replies to query, cancel and amend (which says `qty` for `origQty`), and in the list of open orders."""

    symbol: str
    orderId: int
    clientOrderId: str
    side: str
    status: str
    price: float
    executedQty: float
    origQty: float = -1.0
    qty: float = -1.0
    origClientOrderId: str = ""
    time: int = 0
    updateTime: int = 0
    transactTime: int = 0


class Acknowledgement(msgspec.Struct, gc=False):
    """The reply to a placed order, of which every response type holds these."""

    symbol: str
    orderId: int
    clientOrderId: str


def order_update(
    order: OrderBody, instrument: Instrument, receive_ns: int, *, client_order_id: str, replaced_client_order_id: str = ""
) -> OrderUpdate:
    """The event of an order body. Raises `ValueError` for a side, status or quantity that makes no sense."""
    quantity = order.origQty if order.origQty >= 0 else order.qty
    if order.side not in SIDES or order.status not in STATUSES or quantity < 0:
        raise ValueError(
            f"order {order.orderId} of {order.symbol}: side {order.side!r}, status {order.status!r}, quantity {quantity}"
        )
    stamp_ms = order.transactTime or order.updateTime or order.time
    return OrderUpdate(
        receive_ns,
        order.symbol,
        client_order_id,
        order.orderId,
        SIDES[order.side],
        round(order.price * instrument.ticks_per_unit),
        round(quantity * instrument.lots_per_unit),
        round(order.executedQty * instrument.lots_per_unit),
        STATUSES[order.status],
        stamp_ms * NANOSECONDS_PER_MILLISECOND,
        replaced_client_order_id,
    )


class OrderNames:
    """Client ids by the venue's order id, the newest `bound` of them: the venue's trade list names orders by its own ids only."""

    def __init__(self, bound: int = 20_000) -> None:
        self._names: OrderedDict[int, str] = OrderedDict()
        self._bound = bound

    def __len__(self) -> int:
        return len(self._names)

    def remember(self, order_id: int, client_order_id: str) -> None:
        """`client_order_id` is what the order is called (now, after an amend)."""
        self._names[order_id] = client_order_id
        if len(self._names) > self._bound:
            self._names.popitem(last=False)

    def name(self, order_id: int) -> str | None:
        """The client id, or None when it was never seen or is forgotten."""
        return self._names.get(order_id)

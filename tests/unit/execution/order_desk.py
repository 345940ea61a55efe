"""A tracker at work: short ways to send commands and to let the venue speak."""

from __future__ import annotations

from mmd.execution.order_state import OrderState
from mmd.execution.settings import ExecutionSettings
from mmd.execution.tracked_order import TrackedOrder
from mmd.execution.tracker import OrderTracker
from mmd.types.market import Side
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    CancelRejected,
    ClockSync,
    Fill,
    OrderAccepted,
    OrderChannelStatus,
    OrderNotFound,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    OutcomeUnknown,
    PlaceOrder,
    QueryOrder,
    ReconciliationReport,
    ReplaceOrder,
)

SYMBOL = "BTCUSDT"
MS = 1_000_000
SECOND = 1_000 * MS
START = 1_700_000_000 * SECOND


class Desk:
    """One tracker, a clock that the test turns, and the venue's mouth."""

    def __init__(self, settings: ExecutionSettings | None = None, *, clock_known: bool = True) -> None:
        self.settings = settings or ExecutionSettings()
        self.tracker = OrderTracker(self.settings, prefix="mmd", session_epoch="e1")
        self.now = START
        self.trade_id = 0
        if clock_known:
            self.tracker.on_event(ClockSync(START, 0, 0))

    # ---- ours

    def place(self, side: Side = Side.BUY, price: int = 100, lots: int = 10, *, live: bool = True) -> TrackedOrder:
        name = self.tracker.next_client_order_id()
        self.tracker.on_sent(PlaceOrder(self.now, name, SYMBOL, side, price, lots))
        order = self.order(name)
        if live:
            self.accept(name)
        return order

    def cancel(self, order: TrackedOrder) -> None:
        self.tracker.on_sent(CancelOrder(self.now, order.client_order_id, SYMBOL))

    def replace(self, old: TrackedOrder, price: int = 101, lots: int = 10) -> TrackedOrder:
        name = self.tracker.next_client_order_id()
        self.tracker.on_sent(ReplaceOrder(self.now, old.client_order_id, name, SYMBOL, old.side, price, lots))
        return self.order(name)

    def amend(self, order: TrackedOrder, lots: int) -> str:
        name = self.tracker.next_client_order_id()
        self.tracker.on_sent(AmendOrder(self.now, order.client_order_id, name, SYMBOL, lots))
        return name

    def due(self) -> list[CancelOrder | QueryOrder]:
        """What is due now, all of it sent."""
        commands = self.tracker.due(self.now)
        for command in commands:
            self.tracker.on_sent(command)
        return commands

    def wait(self, ms: int) -> list[CancelOrder | QueryOrder]:
        self.now += ms * MS
        return self.due()

    # ---- the venue's

    def accept(self, name: str, exchange_order_id: int = 0) -> None:
        number = exchange_order_id or 1_000 + int(name.rsplit("-", 1)[1], 36)
        self.tracker.on_event(OrderAccepted(self.now, SYMBOL, name, number))

    def reject(self, order: TrackedOrder, code: int = -2010, message: str = "Order would immediately match and take.") -> None:
        self.tracker.on_event(OrderRejected(self.now, SYMBOL, order.client_order_id, code, message))

    def cancel_rejected(self, order: TrackedOrder, code: int = -2011, message: str = "Unknown order sent.") -> None:
        self.tracker.on_event(CancelRejected(self.now, SYMBOL, order.client_order_id, code, message))

    def lose(self, order: TrackedOrder) -> None:
        self.tracker.on_event(OutcomeUnknown(self.now, SYMBOL, order.client_order_id, "503"))

    def update(
        self,
        order: TrackedOrder,
        status: OrderStatus,
        filled: int = 0,
        *,
        name: str = "",
        replaced: str = "",
        lots: int = 0,
        exchange_order_id: int = 0,
    ) -> None:
        event = OrderUpdate(
            self.now,
            order.symbol,
            name or order.client_order_id,
            exchange_order_id or order.exchange_order_id or 77,
            order.side,
            order.price_ticks,
            lots or order.lots,
            filled,
            status,
            self.now,
            replaced,
        )
        self.tracker.on_event(event)

    def fill(self, order: TrackedOrder, lots: int, *, trade_id: int = 0, name: str | None = None) -> Fill:
        if trade_id == 0:
            self.trade_id += 1
            trade_id = self.trade_id
        event = Fill(
            self.now,
            order.symbol,
            trade_id,
            order.client_order_id if name is None else name,
            order.exchange_order_id or 77,
            order.side,
            order.price_ticks,
            lots,
            0,
            "USDT",
            True,
            self.now,
        )
        self.tracker.on_event(event)
        return event

    def not_found(self, name: str, *, asked_ms_after_start: int) -> None:
        self.tracker.on_event(OrderNotFound(self.now, SYMBOL, name, START // MS + asked_ms_after_start))

    def channel(self, connected: bool) -> None:
        self.tracker.on_event(OrderChannelStatus(self.now, connected))

    def report(self, *open_orders: OrderUpdate, requested_ns: int | None = None, trades: tuple[Fill, ...] = ()) -> None:
        asked = self.now if requested_ns is None else requested_ns
        self.tracker.on_event(ReconciliationReport(self.now, asked, (), open_orders, trades))

    # ---- what we look at

    def order(self, name: str) -> TrackedOrder:
        order = self.tracker.find(name)
        assert order is not None
        return order

    def at_risk(self, side: Side = Side.BUY) -> int:
        return self.tracker.at_risk_lots(SYMBOL, side)


def unknown_order(desk: Desk) -> TrackedOrder:
    """An order whose placement was never answered."""
    order = desk.place(live=False)
    desk.lose(order)
    assert order.state is OrderState.UNKNOWN
    return order

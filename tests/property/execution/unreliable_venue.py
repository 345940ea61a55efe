"""A venue that is honest about its orders and reached over lines that are not: requests, replies and stream events are delayed,
reordered and lost, and its clock is not the one we think."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmd.types.market import Side
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    CancelRejected,
    Fill,
    ModifyOrder,
    OrderAccepted,
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
RECEIVE_WINDOW_MS = 2_000

Command = PlaceOrder | CancelOrder | ReplaceOrder | AmendOrder | ModifyOrder | QueryOrder


@dataclass
class Resting:
    """An order as the venue holds it."""

    name: str
    number: int
    side: Side
    price: int
    lots: int
    filled: int = 0
    status: OrderStatus = OrderStatus.NEW
    former_names: list[str] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        return self.lots - self.filled if self.status.is_open else 0


class UnreliableVenue:
    """`now_ns` is our clock; the venue's is `offset_ms` ahead of it."""

    def __init__(self, now_ns: int, offset_ms: int) -> None:
        self.now_ns = now_ns
        self.offset_ms = offset_ms
        self.in_flight: list[tuple[int, Command]] = []
        """Requests with their timestamps."""
        self.replies: list[object] = []
        self.stream: list[object] = []
        self.orders: list[Resting] = []
        self.trades: list[Fill] = []

    @property
    def clock_ms(self) -> int:
        return self.now_ns // MS + self.offset_ms

    def can_still_arrive(self, stamp_ms: int) -> bool:
        return self.clock_ms - stamp_ms <= RECEIVE_WINDOW_MS

    def find(self, name: str, *, is_open: bool = False) -> Resting | None:
        for order in reversed(self.orders):
            if order.name == name and (order.status.is_open or not is_open):
                return order
        return None

    # ---- requests

    def process(self, index: int) -> None:
        """One request in flight arrives."""
        stamp_ms, command = self.in_flight.pop(index % len(self.in_flight))
        if not self.can_still_arrive(stamp_ms) or stamp_ms >= self.clock_ms + 1_000:
            self._refuse(command, -1021, "Timestamp for this request is outside of the recvWindow.")
            return
        match command:
            case PlaceOrder():
                self._place(command)
            case CancelOrder():
                self._cancel(command)
            case ReplaceOrder():
                self._replace(command)
            case AmendOrder():
                self._amend(command)
            case ModifyOrder():
                self._modify(command)
            case QueryOrder():
                order = self.find(command.client_order_id)
                if order is None:
                    self.replies.append(OrderNotFound(0, SYMBOL, command.client_order_id, stamp_ms))
                else:
                    self.replies.append(self.update(order))

    def _refuse(self, command: Command, code: int, message: str) -> None:
        if isinstance(command, QueryOrder):
            self.replies.append(OutcomeUnknown(0, SYMBOL, command.client_order_id, message))
        if isinstance(command, ReplaceOrder):
            self.replies.append(CancelRejected(0, SYMBOL, command.cancel_client_order_id, code, message))
        if isinstance(command, CancelOrder | AmendOrder | ModifyOrder):
            self.replies.append(CancelRejected(0, SYMBOL, command.client_order_id, code, message))
        if isinstance(command, PlaceOrder | ReplaceOrder):
            self.replies.append(OrderRejected(0, SYMBOL, command.client_order_id, code, message))

    def _place(self, command: PlaceOrder | ReplaceOrder) -> None:
        order = Resting(command.client_order_id, len(self.orders) + 1, command.side, command.price_ticks, command.lots)
        self.orders.append(order)
        self.stream.append(self.update(order))
        self.replies.append(OrderAccepted(0, SYMBOL, order.name, order.number))

    def _cancel(self, command: CancelOrder) -> None:
        order = self.find(command.client_order_id, is_open=True)
        if order is None:
            self._refuse(command, -2011, "Unknown order sent.")
            return
        order.status = OrderStatus.CANCELED
        self.stream.append(self.update(order))
        self.replies.append(self.update(order))

    def _replace(self, command: ReplaceOrder) -> None:
        old = self.find(command.cancel_client_order_id, is_open=True)
        if old is None:
            self._refuse(command, -2022, "Order cancel-replace failed.")
            return
        old.status = OrderStatus.CANCELED
        self.stream.append(self.update(old))
        self.replies.append(self.update(old))
        self._place(command)

    def _amend(self, command: AmendOrder) -> None:
        order = self.find(command.client_order_id, is_open=True)
        if order is None or not order.filled < command.lots < order.lots:
            self._refuse(command, -2038, "Order amend rejected.")
            return
        order.lots = command.lots
        former, order.name = order.name, command.new_client_order_id
        order.former_names.append(former)
        self.stream.append(self.update(order, replaced=former))
        self.replies.append(self.update(order, replaced=former))

    def _modify(self, command: ModifyOrder) -> None:
        order = self.find(command.client_order_id, is_open=True)
        if order is None or (order.price, order.lots) == (command.price_ticks, command.lots):
            self._refuse(command, -2013 if order is None else -5027, "not modified")
            return
        if command.lots <= order.filled:
            order.status = OrderStatus.CANCELED
        else:
            order.price, order.lots = command.price_ticks, command.lots
        self.stream.append(self.update(order))
        self.replies.append(self.update(order))

    # ---- what it does and says of its own accord

    def match(self, index: int, lots: int) -> None:
        """Somebody trades against an open order."""
        open_orders = [order for order in self.orders if order.status.is_open]
        if not open_orders:
            return
        order = open_orders[index % len(open_orders)]
        lots = min(lots, order.remaining)
        order.filled += lots
        order.status = OrderStatus.FILLED if order.filled == order.lots else OrderStatus.PARTIALLY_FILLED
        trade = Fill(0, SYMBOL, len(self.trades) + 1, order.name, order.number, order.side, order.price, lots, 0, "USDT", True, 0)
        self.trades.append(trade)
        self.stream += [trade, self.update(order)]

    def update(self, order: Resting, replaced: str = "") -> OrderUpdate:
        """The order as it is now."""
        return OrderUpdate(
            self.now_ns,
            SYMBOL,
            order.name,
            order.number,
            order.side,
            order.price,
            order.lots,
            order.filled,
            order.status,
            0,
            replaced,
        )

    def _modifications(self, order: Resting) -> list[ModifyOrder]:
        return [
            command
            for stamp_ms, command in self.in_flight
            if isinstance(command, ModifyOrder) and command.client_order_id == order.name and self.can_still_arrive(stamp_ms)
        ]

    def report(self) -> ReconciliationReport:
        """The account as it is now."""
        listed = tuple(self.update(order) for order in self.orders if order.status.is_open)
        return ReconciliationReport(self.now_ns, self.now_ns, (), listed, tuple(self.trades))

    def true_exposure(self, side: Side, delivered: set[int]) -> int:
        """Lots on a side that may yet change our position, of which the fills in `delivered` are booked."""
        at_risk = 0
        for order in self.orders:
            if order.side is side and order.status.is_open:
                largest = max([order.lots, *(each.lots for each in self._modifications(order))])
                at_risk += largest - order.filled
        at_risk += sum(trade.lots for trade in self.trades if trade.side is side and trade.trade_id not in delivered)
        for stamp_ms, command in self.in_flight:
            places = isinstance(command, PlaceOrder | ReplaceOrder)
            if places and command.side is side and self.can_still_arrive(stamp_ms):
                at_risk += command.lots
        return at_risk

"""Every order of ours from the moment it is sent until nothing can hang on it any more.

The tracker is told what we send (`on_sent`) and what the venue says (`on_event`), and says what is to be asked or repeated
(`due`). It sends nothing itself, reads no clock, and a venue's message never makes it raise.

What it holds to:

- An order counts from `on_sent` until the venue's word ends it *and* every fill of it was seen (`at_risk_lots`).
- UNKNOWN ends by the venue's word alone. That the venue knows no such order is believed only of a query stamped later than the
  order's own timestamp + recvWindow + 1 s, both on the venue's clock: the venue accepts stamps up to 1 s ahead of its clock and
  up to recvWindow behind, so by then the order can no longer arrive. Without a measurement of the venue's clock nothing is
  believed. Of an order that it once acknowledged the venue must say so several times.
- An order that was to be cancelled and turns out to be open is cancelled again, with back-off.
- Orders of earlier sessions of ours found open are adopted; orders of others are never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mmd.execution import modification
from mmd.execution.client_order_ids import ClientOrderIds
from mmd.execution.order_index import OrderIndex
from mmd.execution.order_state import OrderState, OrderStateError, OrderTrigger, transition
from mmd.execution.settings import ExecutionSettings
from mmd.execution.tracked_order import TrackedOrder
from mmd.types.market import Side
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    CancelRejected,
    ClockSync,
    Fill,
    ModifyOrder,
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

OrderCommand = PlaceOrder | CancelOrder | ReplaceOrder | AmendOrder | ModifyOrder | QueryOrder

SEND_CANCEL: Final = OrderTrigger.SEND_CANCEL
LIVE: Final = OrderState.LIVE
UNKNOWN: Final = OrderState.UNKNOWN
"""A look into an enumeration costs as much as a call."""

NS_PER_MS: Final = 1_000_000
CLOCK_LEAD_MS: Final = 1_000
"""How far ahead of its own clock the venue accepts a timestamp."""
DUPLICATE_ORDER: Final = "Duplicate order"

STATUS_TRIGGERS = {
    OrderStatus.NEW: OrderTrigger.OPEN,
    OrderStatus.PARTIALLY_FILLED: OrderTrigger.OPEN,
    OrderStatus.FILLED: OrderTrigger.FILLED,
    OrderStatus.CANCELED: OrderTrigger.CANCELED,
    OrderStatus.REJECTED: OrderTrigger.REJECTED,
    OrderStatus.EXPIRED: OrderTrigger.EXPIRED,
    OrderStatus.EXPIRED_IN_MATCH: OrderTrigger.EXPIRED,
}


class OrderTracker:
    """All orders of one session. Quantities in lots, prices in ticks, times in ns."""

    def __init__(self, settings: ExecutionSettings, *, prefix: str, session_epoch: str) -> None:
        """Raises `ValueError` for a prefix or epoch from which no sound client order id can be made."""
        self._settings = settings
        self._ids = ClientOrderIds(prefix, session_epoch)
        self._index = OrderIndex(settings.terminal_orders_kept)
        self.side = self._index.side
        """Orders of a symbol and side that can still trade, and their lots at risk: an object that stays up to date, to be read."""
        self._first_backoff_ns = settings.backoff_ns(1)
        self._channel_up = True
        self._clock_offset_ns: int | None = None
        self.unmatched = 0
        """Messages about orders that are neither known nor ours to adopt."""
        self.adopted = 0
        """Orders of earlier sessions that were found open."""
        self._senders: dict[type, Callable[[Any], None]] = {
            PlaceOrder: self._place,
            CancelOrder: self._cancel,
            ReplaceOrder: self._replace,
            AmendOrder: self._amend,
            ModifyOrder: self._modify,
            QueryOrder: self._query,
        }
        self._handlers: dict[type, Callable[[Any], Any]] = {
            OrderAccepted: self._on_accepted,
            OrderRejected: self._on_rejected,
            CancelRejected: self._on_cancel_rejected,
            OutcomeUnknown: self._on_outcome_unknown,
            OrderUpdate: self._on_update,
            OrderNotFound: self._on_not_found,
            Fill: self._on_fill,
            OrderChannelStatus: self._on_channel,
            ReconciliationReport: self._on_report,
            ClockSync: self._on_clock,
        }

    # ---- ids and look-up

    def next_client_order_id(self) -> str:
        """A fresh id of this session, at most 36 characters."""
        return self._ids.make()

    def is_ours(self, client_order_id: str) -> bool:
        """Whether this or an earlier session of ours made the id."""
        return self._ids.is_ours(client_order_id)

    def find(self, client_order_id: str) -> TrackedOrder | None:
        """The order that bears, bore or may come to bear (amend in flight) this client id."""
        return self._index.find(client_order_id)

    def find_exchange_order(self, symbol: str, exchange_order_id: int) -> TrackedOrder | None:
        """The order with the venue's own id."""
        return self._index.find_exchange_order(symbol, exchange_order_id)

    def working(self, symbol: str, side: Side | None = None) -> list[TrackedOrder]:
        """Orders that can still trade: pending, live, cancelling and unknown, oldest first by side."""
        if side is not None:
            return self._index.open_on_side(symbol, side)
        return self._index.open_on_side(symbol, Side.BUY) + self._index.open_on_side(symbol, Side.SELL)

    def all_open(self) -> list[TrackedOrder]:
        """Every order that can still trade."""
        return self._index.all_open()

    @property
    def open_count(self) -> int:
        """Number of orders that can still trade."""
        return self._index.open_count

    def at_risk_lots(self, symbol: str, side: Side) -> int:
        """Lots on a side that may yet change our position, kept as a running total: never less than the truth, never negative."""
        return self._index.at_risk_lots(symbol, side)

    def missing_fills(self, now_ns: int) -> list[TrackedOrder]:
        """Orders that ended some time ago with more filled than we have seen as fills: a reconciliation must bring them."""
        timeout = self._settings.acknowledgement_timeout_ns
        return [order for order in self._index.unbooked() if now_ns - order.changed_ns >= timeout]

    def every_order(self) -> list[TrackedOrder]:
        """All that is remembered, the finished ones too."""
        return self._index.every_order()

    # ---- what we send

    def on_sent(self, command: OrderCommand) -> None:
        """`command` is about to be written. Raises `OrderStateError` where that proves a bug of ours."""
        self._senders[type(command)](command)

    def _place(self, command: PlaceOrder) -> None:
        self._add_sent(command)

    def _add_sent(self, command: PlaceOrder | ReplaceOrder) -> None:
        if self._index.find(command.client_order_id) is not None:
            raise OrderStateError(f"client order id {command.client_order_id} was used before")
        now = command.decided_ns
        self._index.add(
            TrackedOrder(
                command.client_order_id,
                command.symbol,
                command.side,
                command.price_ticks,
                command.lots,
                now,
                now,
                now,
                now,
                self._clock_offset_ns,
            )
        )

    def _cancel(self, command: CancelOrder) -> None:
        self._begin_cancel(self._known(command.client_order_id), command.decided_ns)

    def _begin_cancel(self, order: TrackedOrder, now_ns: int) -> None:
        state = transition(order.state, SEND_CANCEL)
        if state is not order.state:
            # It can trade before and after, as much: no total of the index moves.
            order.state = state
            order.changed_ns = now_ns
            order.not_founds = order.amend_not_founds = 0
        order.wants_cancel = True
        order.request_ns = now_ns
        order.cancels_sent = sent = order.cancels_sent + 1
        order.next_cancel_ns = now_ns + (self._first_backoff_ns if sent == 1 else self._settings.backoff_ns(sent))

    def _replace(self, command: ReplaceOrder) -> None:
        old = self._known(command.cancel_client_order_id)
        transition(old.state, SEND_CANCEL)
        self._add_sent(command)
        self._begin_cancel(old, command.decided_ns)

    def _amend(self, command: AmendOrder) -> None:
        order = self._known(command.client_order_id)
        if not 0 < command.lots < order.lots:
            raise OrderStateError(f"{order!r}: an amend may only reduce the quantity, not make it {command.lots} lots")
        if self._index.find(command.new_client_order_id) is not None:
            raise OrderStateError(f"client order id {command.new_client_order_id} was used before")
        self._apply(order, OrderTrigger.SEND_AMEND, command.decided_ns)
        order.request_ns = order.ordered_ns = command.decided_ns
        order.amend_client_order_id = command.new_client_order_id
        order.amend_lots = command.lots
        self._index.add_client_id(order, command.new_client_order_id)

    def _modify(self, command: ModifyOrder) -> None:
        order = self._known(command.client_order_id)
        if command.lots <= 0 or command.price_ticks <= 0 or command.side is not order.side:
            raise OrderStateError(f"{order!r}: cannot be modified by {command}")
        self._apply(order, OrderTrigger.SEND_AMEND, command.decided_ns)
        modification.begin(order, command)
        self._index.refresh(order)

    def _query(self, command: QueryOrder) -> None:
        order = self._known(command.client_order_id)
        order.queries_sent += 1
        order.next_query_ns = command.decided_ns + self._settings.backoff_ns(order.queries_sent)

    def _known(self, client_order_id: str) -> TrackedOrder:
        order = self._index.find(client_order_id)
        if order is None:
            raise OrderStateError(f"there is no order {client_order_id} to ask anything of")
        return order

    # ---- what is due

    def due(self, now_ns: int) -> list[CancelOrder | QueryOrder]:
        """Give up waiting for what is overdue; then queries of unknown orders and cancels to repeat.

        Whatever of it is written must be told to `on_sent`; what is not is offered again. While the order channel is down
        nothing is.
        """
        commands: list[CancelOrder | QueryOrder] = []
        timeout = self._settings.acknowledgement_timeout_ns
        for order in self._index.all_open():
            if order.state.is_pending and now_ns - order.request_ns >= timeout:
                self._apply(order, OrderTrigger.LOSE, now_ns)
            if not self._channel_up:
                continue
            if order.state is OrderState.UNKNOWN and now_ns >= order.next_query_ns:
                # Two ids are in question while an amend is in doubt: they are asked about by turns.
                asks_amended = order.amend_client_order_id and order.queries_sent % 2
                name = order.amend_client_order_id if asks_amended else order.client_order_id
                commands.append(QueryOrder(now_ns, name, order.symbol))
            elif order.state is OrderState.LIVE and order.wants_cancel and now_ns >= order.next_cancel_ns:
                commands.append(CancelOrder(now_ns, order.client_order_id, order.symbol))
        return commands

    def cancel_all(self, now_ns: int, symbol: str | None = None) -> list[CancelOrder]:
        """A cancel for every order that can still trade and is not already being cancelled (`due` repeats those)."""
        return [
            CancelOrder(now_ns, order.client_order_id, order.symbol)
            for order in self._index.all_open()
            if not order.wants_cancel and (symbol is None or order.symbol == symbol)
        ]

    # ---- what the venue says

    def on_event(self, event: Any) -> None:
        """Take in what the venue says about orders; other events are ignored. Never raises for late, doubled or odd messages."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _on_accepted(self, event: OrderAccepted) -> None:
        order = self._index.find(event.client_order_id)
        if order is None:
            self.unmatched += 1
            return
        self._acknowledge(order, event.exchange_order_id)
        if event.client_order_id == order.amend_client_order_id:
            self._rename(order, event.client_order_id, order.amend_lots)
            self._apply(order, OrderTrigger.AMENDED, event.receive_ns)
        else:
            self._apply(order, OrderTrigger.ACCEPTED, event.receive_ns)

    def _on_rejected(self, event: OrderRejected) -> None:
        order = self._index.find(event.client_order_id)
        if order is None:
            self.unmatched += 1
            return
        # "Duplicate order" means that an order with this id lives; and one that was acknowledged was not refused.
        doubtful = DUPLICATE_ORDER in event.message or order.acknowledged
        self._apply(order, OrderTrigger.LOSE if doubtful else OrderTrigger.REJECTED, event.receive_ns)

    def _on_cancel_rejected(self, event: CancelRejected) -> None:
        order = self._index.find(event.client_order_id)
        if order is None:
            self.unmatched += 1
            return
        if order.state is OrderState.PENDING_AMEND:
            order.amend_refused = True
            if order.modify_price_ticks:
                modification.take_back(order)
            else:
                self._drop_amend(order)
        self._apply(order, OrderTrigger.CANCEL_REJECTED, event.receive_ns)

    def _on_outcome_unknown(self, event: OutcomeUnknown) -> None:
        order = self._index.find(event.client_order_id)
        if order is None:
            self.unmatched += 1
            return
        self._apply(order, OrderTrigger.LOSE, event.receive_ns)

    def _on_update(self, event: OrderUpdate) -> TrackedOrder | None:
        order = self._match(event)
        if order is None:
            if event.status.is_open and self.is_ours(event.client_order_id):
                return self._adopt(event)
            self.unmatched += 1
            return None
        trigger = STATUS_TRIGGERS[event.status]
        if trigger is OrderTrigger.REJECTED and order.acknowledged:
            trigger = OrderTrigger.LOSE
        if trigger is not OrderTrigger.REJECTED:
            self._acknowledge(order, event.exchange_order_id)
        if trigger is OrderTrigger.OPEN:
            trigger = self._take_open(order, event)
        order.filled_lots = max(order.filled_lots, event.filled_lots)
        self._apply(order, trigger, event.receive_ns)
        return order

    def _match(self, event: OrderUpdate) -> TrackedOrder | None:
        order = self._index.find(event.client_order_id)
        if order is None and event.replaced_client_order_id:
            order = self._index.find(event.replaced_client_order_id)
        return order or self._index.find_exchange_order(event.symbol, event.exchange_order_id)

    def _take_open(self, order: TrackedOrder, event: OrderUpdate) -> OrderTrigger:
        name = event.client_order_id
        if not name or name == order.client_order_id:
            if order.modify_price_ticks:
                return modification.settle(order, event)
            order.lots = max(order.lots, event.lots)
            return OrderTrigger.OPEN
        renamed = event.replaced_client_order_id == order.client_order_id or self._index.find(name) is None
        if renamed or name == order.amend_client_order_id:
            self._rename(order, name, event.lots)
            return OrderTrigger.AMENDED
        # Said of it under a name that it has laid down since.
        return OrderTrigger.OPEN

    def _on_not_found(self, event: OrderNotFound) -> None:
        order = self._index.find(event.client_order_id)
        if order is None or order.is_terminal or not self._proves_absence(order, event.query_exchange_ms):
            return
        named, in_doubt = event.client_order_id == order.client_order_id, bool(order.amend_client_order_id)
        if order.state is not OrderState.UNKNOWN:
            if named and not in_doubt:
                self._apply(order, OrderTrigger.NOT_FOUND, event.receive_ns)
            return
        if named:
            order.not_founds += 1
        elif event.client_order_id == order.amend_client_order_id:
            order.amend_not_founds += 1
        needed = self._settings.not_found_confirmations if order.acknowledged else 1
        if order.not_founds >= needed and (not in_doubt or order.amend_not_founds >= needed):
            self._apply(order, OrderTrigger.NOT_FOUND, event.receive_ns)

    def _proves_absence(self, order: TrackedOrder, query_exchange_ms: int) -> bool:
        if order.clock_offset_ns is None:
            return False
        order_exchange_ms = -(-(order.ordered_ns + order.clock_offset_ns) // NS_PER_MS)
        return query_exchange_ms > order_exchange_ms + self._settings.receive_window_ms + CLOCK_LEAD_MS

    def _on_fill(self, event: Fill) -> None:
        order = self._index.find(event.client_order_id) if event.client_order_id else None
        order = order or self._index.find_exchange_order(event.symbol, event.exchange_order_id)
        if order is None:
            self.unmatched += 1
            return
        if event.trade_id in order.booked_trade_ids:
            return
        order.booked_trade_ids |= {event.trade_id}
        order.booked_lots += event.lots
        self._acknowledge(order, event.exchange_order_id)
        whole = order.booked_lots >= order.lots
        self._apply(order, OrderTrigger.FILLED if whole else OrderTrigger.TRADED, event.receive_ns)

    def _on_channel(self, event: OrderChannelStatus) -> None:
        self._channel_up = event.connected
        for order in self._index.all_open():
            if not event.connected:
                if order.state.is_pending:
                    self._apply(order, OrderTrigger.LOSE, event.receive_ns)
                continue
            order.queries_sent = order.cancels_sent = 0
            order.next_query_ns = order.next_cancel_ns = event.receive_ns

    def _on_clock(self, event: ClockSync) -> None:
        self._clock_offset_ns = event.offset_ns
        # The stamp that a request really bore may have been made with any offset since: the latest one is assumed.
        for order in self._index.all_open():
            known = order.clock_offset_ns
            order.clock_offset_ns = event.offset_ns if known is None else max(known, event.offset_ns)

    def _on_report(self, event: ReconciliationReport) -> None:
        listed: set[int] = set()
        for update in event.open_orders:
            order = self._match(update)
            # What was asked for before a modification was sent cannot tell whether that arrived.
            if order is None or not order.modify_price_ticks or order.request_ns < event.requested_ns:
                order = self._on_update(update)
            if order is not None:
                listed.add(id(order))
        for order in self._index.all_open():
            if id(order) not in listed and order.sent_ns < event.requested_ns:
                self._apply(order, OrderTrigger.UNLISTED, event.receive_ns)
        for order in self._index.unbooked():
            # What an earlier session booked of an adopted order we never saw; this report holds whatever was still missing.
            if order.adopted and order.changed_ns < event.requested_ns:
                order.booked_lots = max(order.booked_lots, order.filled_lots)
                self._index.refresh(order)

    # ---- changes

    def _adopt(self, event: OrderUpdate) -> TrackedOrder:
        since_ns = event.exchange_ns or event.receive_ns
        order = TrackedOrder(
            event.client_order_id,
            event.symbol,
            event.side,
            event.price_ticks,
            event.lots,
            since_ns,
            since_ns,
            event.receive_ns,
            since_ns,
            self._clock_offset_ns,
            OrderState.LIVE,
            event.exchange_order_id,
            event.filled_lots,
        )
        order.adopted = order.acknowledged = True
        self._index.add(order)
        self.adopted += 1
        return order

    def _acknowledge(self, order: TrackedOrder, exchange_order_id: int) -> None:
        order.acknowledged = True
        self._index.set_exchange_id(order, exchange_order_id)

    def _rename(self, order: TrackedOrder, client_order_id: str, lots: int) -> None:
        if client_order_id == order.amend_client_order_id:
            order.amend_client_order_id = ""
        self._index.rename(order, client_order_id)
        order.lots = lots

    def _drop_amend(self, order: TrackedOrder) -> None:
        order.former_client_order_ids += (order.amend_client_order_id,)
        order.amend_client_order_id = ""

    def _apply(self, order: TrackedOrder, trigger: OrderTrigger, now_ns: int) -> None:
        state = transition(order.state, trigger)
        if state is not order.state:
            order.state = state
            order.changed_ns = now_ns
            order.not_founds = order.amend_not_founds = 0
            if state is UNKNOWN and (order.amend_client_order_id or order.modify_price_ticks):
                # Under which id it stands, at what price, and how large, is in doubt until it is gone.
                order.wants_cancel = True
            elif state is LIVE and not order.wants_cancel:
                order.queries_sent = order.next_query_ns = 0
        self._index.refresh(order)

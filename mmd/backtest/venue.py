"""The core's commands carried out on the matcher, and the matcher's responses as the events that an adapter would have delivered.

What a venue does in one message and hftbacktest does not is done in steps: a cancel-replace is a cancel, then the new order when
the cancel is acknowledged; a cancel of an order that is not yet acknowledged waits for that. Both are later than a venue would
be, never earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from mmd.backtest.account import FillRecord, FundingRecord, Settlement, VenueAccount
from mmd.backtest.errors import BacktestError
from mmd.backtest.funding import REPORT_DELAY_NS, FundingPoint
from mmd.backtest.matching import Matcher, MatchStatus, OrderView
from mmd.types.instrument import Instrument
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
    PlaceOrder,
    QueryOrder,
    ReconciliationReport,
    ReplaceOrder,
    RequestDepthSnapshot,
    RequestReconciliation,
)

UNKNOWN_ORDER, WOULD_TAKE, NOT_ATTEMPTED, NOT_OFFERED = -2011, -2010, -2011, -1013
_FORGET_EVERY = 512
_NS_PER_MS = 1_000_000


@dataclass
class _Order:
    number: int
    market: int
    symbol: str
    name: str
    side: Side
    price_ticks: int
    lots: int
    filled: int = 0
    remaining: int = 0
    acknowledged: bool = False
    cancel_wanted: bool = False
    replaced_by: ReplaceOrder | None = None
    amending: AmendOrder | None = None
    amend_to: int = 0


@dataclass(frozen=True)
class _Cancel:
    """A cancel, in favour of another order or of none."""

    replaced_by: ReplaceOrder | None


class BacktestVenue:
    """`maker_fee` is a share of the notional, below zero for a rebate; fees are booked in the quote asset."""

    def __init__(
        self,
        matcher: Matcher,
        instruments: Sequence[Instrument],
        maker_fee: float,
        round_trip_ns: int,
        on_fill: Callable[[FillRecord], None],
    ) -> None:
        self._matcher = matcher
        self._market_of = {instrument.symbol: number for number, instrument in enumerate(instruments)}
        self._round_trip_ns = round_trip_ns
        self._on_fill = on_fill
        self._open: dict[int, _Order] = {}
        self._names: dict[str, _Order] = {}
        self._waiting: dict[str, _Cancel | None] = {}
        """Replacements that wait until their predecessor is gone, and what was asked of them meanwhile."""
        self._number = 0
        self._account = VenueAccount(instruments, maker_fee)
        self._answers: list[tuple[int, int, Any]] = []
        self._answered = 0
        self.placed = 0
        """Orders that came to rest."""
        self.sent = 0
        """Order messages, cancels not counted."""
        self.refused = 0

    # ---- commands

    def carry_out(self, command: Any, now_ns: int) -> None:
        """Send it at `now_ns`. Raises `BacktestError` for a command that no shell but a live one may get."""
        if isinstance(command, PlaceOrder):
            self._place(command, command.client_order_id)
        elif isinstance(command, ReplaceOrder):
            self._cancel(command.cancel_client_order_id, command, now_ns)
        elif isinstance(command, CancelOrder):
            self._cancel(command.client_order_id, None, now_ns, command.symbol)
        elif isinstance(command, AmendOrder):
            self._amend(command, now_ns)
        elif isinstance(command, QueryOrder | RequestReconciliation):
            self._answer(now_ns + self._round_trip_ns, command)
        elif isinstance(command, ModifyOrder):
            self._answer(
                now_ns + self._round_trip_ns,
                CancelRejected(now_ns, command.symbol, command.client_order_id, NOT_OFFERED, "orders are replaced here"),
            )
        elif not isinstance(command, RequestDepthSnapshot):
            raise BacktestError(f"a backtest cannot carry out {type(command).__name__}")

    def _place(self, command: PlaceOrder | ReplaceOrder, name: str) -> None:
        if isinstance(command, PlaceOrder) and not command.post_only:
            raise BacktestError(f"order {name} would take: a backtest carries out post-only orders alone")
        self._number += 1
        self.sent += 1
        market = self._market_of[command.symbol]
        order = _Order(
            self._number,
            market,
            command.symbol,
            name,
            command.side,
            command.price_ticks,
            command.lots,
            remaining=command.lots,
        )
        self._open[order.number] = self._names[name] = order
        cancel = self._waiting.pop(name, None)
        if cancel is not None:
            order.cancel_wanted, order.replaced_by = True, cancel.replaced_by
            if cancel.replaced_by is not None:
                self._waiting[cancel.replaced_by.client_order_id] = None
        self._matcher.place(market, order.number, order.side, order.price_ticks, order.lots)

    def _cancel(self, name: str, replacement: ReplaceOrder | None, now_ns: int, symbol: str = "") -> None:
        if name in self._waiting and self._waiting[name] is None:
            self._waiting[name] = _Cancel(replacement)
            return
        order = self._names.get(name)
        if order is None or order.number not in self._open or order.cancel_wanted:
            self._refuse_cancel(name, symbol or (replacement.symbol if replacement else ""), replacement, now_ns)
            return
        order.cancel_wanted = True
        order.replaced_by = replacement
        if replacement is not None:
            self._waiting[replacement.client_order_id] = None
        self._send_cancel(order)

    def _send_cancel(self, order: _Order) -> None:
        if order.acknowledged and order.amending is None:
            self._matcher.cancel(order.market, order.number)

    def _refuse_cancel(self, name: str, symbol: str, replacement: ReplaceOrder | None, now_ns: int) -> None:
        due = now_ns + self._round_trip_ns
        self._answer(due, CancelRejected(due, symbol, name, UNKNOWN_ORDER, "Unknown order sent."))
        if replacement is not None:
            new = replacement.client_order_id
            cancel = self._waiting.pop(new, None)
            if cancel is not None:
                self._refuse_cancel(new, symbol, cancel.replaced_by, now_ns)
            self._answer(due, OrderRejected(due, symbol, new, NOT_ATTEMPTED, "not attempted: its predecessor is gone"))

    def _amend(self, command: AmendOrder, now_ns: int) -> None:
        order = self._names.get(command.client_order_id)
        left = 0 if order is None else command.lots - order.filled
        if (
            order is None
            or order.number not in self._open
            or not order.acknowledged
            or order.cancel_wanted
            or order.amending
            or left <= 0
        ):
            self._refuse_cancel(command.client_order_id, command.symbol, None, now_ns)
            return
        order.amending, order.amend_to = command, left
        self._names[command.new_client_order_id] = order
        self._matcher.reduce(order.market, order.number, order.price_ticks, left)

    # ---- what comes back

    @property
    def next_answer_ns(self) -> int | None:
        """When the next answer that is not the matcher's is due."""
        return self._answers[0][0] if self._answers else None

    def take_answers(self, now_ns: int) -> list[Any]:
        """Answers due by now."""
        taken: list[Any] = []
        while self._answers and self._answers[0][0] <= now_ns:
            _, _, answer = heappop(self._answers)
            if isinstance(answer, RequestReconciliation):
                answer = self._report(answer, now_ns)
            elif isinstance(answer, QueryOrder):
                answer = self._queried(answer, now_ns)
            elif isinstance(answer, FundingPoint):
                heard_ns = answer.happens_ns + max(REPORT_DELAY_NS, 2 * self._round_trip_ns)
                self._answer(heard_ns, self._account.settled(answer))
                continue
            elif isinstance(answer, Settlement):
                answer = self._account.pay(answer, now_ns)
                if answer is None:
                    continue
            taken.append(answer)
        return taken

    def take_responses(self, now_ns: int) -> list[Any]:
        """Every order that the matcher has news of, as events received now, fills before what they did to the order."""
        events: list[Any] = []
        for order in list(self._open.values()):
            view = self._matcher.order(order.market, order.number)
            if not order.acknowledged and view.status is not MatchStatus.NONE:
                self._acknowledge(order, view, now_ns, events)
            if order.number not in self._open:
                continue
            if order.amending is not None and not view.busy and view.asked_lots == order.amend_to:
                self._amended(order, view, now_ns, events)
            elif order.acknowledged:
                self._take_fills(order, view, now_ns, events)
            if view.status is MatchStatus.CANCELED and order.number in self._open:
                self._cancelled(order, view, now_ns, events)
        return events

    def _acknowledge(self, order: _Order, view: OrderView, now_ns: int, events: list[Any]) -> None:
        if view.status is MatchStatus.EXPIRED:
            self.refused += 1
            del self._open[order.number]
            text = "Order would immediately match and take."
            events.append(OrderRejected(now_ns, order.symbol, order.name, WOULD_TAKE, text, would_take=True))
            if order.cancel_wanted:
                self._refuse_cancel(order.name, order.symbol, order.replaced_by, now_ns)
            return
        order.acknowledged = True
        self.placed += 1
        events.append(OrderAccepted(now_ns, order.symbol, order.name, order.number))
        events.append(self._update(order, OrderStatus.NEW, view.exchange_ns, now_ns))
        if order.cancel_wanted and view.remaining_lots:
            self._send_cancel(order)

    def _take_fills(self, order: _Order, view: OrderView, now_ns: int, events: list[Any]) -> None:
        lots = order.remaining - view.remaining_lots
        if lots <= 0:
            return
        order.filled += lots
        order.remaining = view.remaining_lots
        events.append(self._book(order, lots, view.exchange_ns, now_ns))
        status = OrderStatus.PARTIALLY_FILLED if order.remaining else OrderStatus.FILLED
        events.append(self._update(order, status, view.exchange_ns, now_ns))
        if not order.remaining:
            del self._open[order.number]
            if order.amending is not None:
                self._refuse_cancel(order.name, order.symbol, None, now_ns)
            if order.cancel_wanted:
                self._refuse_cancel(order.name, order.symbol, order.replaced_by, now_ns)

    def _amended(self, order: _Order, view: OrderView, now_ns: int, events: list[Any]) -> None:
        command, order.amending = order.amending, None
        assert command is not None
        order.remaining = view.remaining_lots
        order.lots = order.filled + order.remaining
        former, order.name = order.name, command.new_client_order_id
        status = OrderStatus.PARTIALLY_FILLED if order.filled else OrderStatus.NEW
        events.append(self._update(order, status, view.exchange_ns, now_ns, former))
        if order.cancel_wanted:
            self._send_cancel(order)

    def _cancelled(self, order: _Order, view: OrderView, now_ns: int, events: list[Any]) -> None:
        del self._open[order.number]
        events.append(self._update(order, OrderStatus.CANCELED, view.exchange_ns, now_ns))
        if order.replaced_by is not None:
            self._place(order.replaced_by, order.replaced_by.client_order_id)

    def _book(self, order: _Order, lots: int, exchange_ns: int, now_ns: int) -> Fill:
        fill = self._account.traded(
            now_ns, order.symbol, order.name, order.number, order.side, order.price_ticks, lots, exchange_ns
        )
        self._on_fill(FillRecord(fill, order.remaining))
        return fill

    @staticmethod
    def _update(order: _Order, status: OrderStatus, exchange_ns: int, now_ns: int, former: str = "") -> OrderUpdate:
        return OrderUpdate(
            now_ns,
            order.symbol,
            order.name,
            order.number,
            order.side,
            order.price_ticks,
            order.lots,
            order.filled,
            status,
            exchange_ns,
            former,
        )

    # ---- the account

    def settle_funding(
        self, points: Sequence[FundingPoint], mid_x2: Callable[[str], int], on_funding: Callable[[FundingRecord], None]
    ) -> None:
        """Let these settlements come, each at its time. Where one has no mark it is `mid_x2(symbol)`, in half ticks, by then."""
        self._account.mid_x2, self._account.on_funding = mid_x2, on_funding
        for point in points:
            self._answer(point.happens_ns, point)

    def _answer(self, due_ns: int, answer: Any) -> None:
        self._answered += 1
        heappush(self._answers, (due_ns, self._answered, answer))

    def _report(self, request: RequestReconciliation, now_ns: int) -> ReconciliationReport:
        updates = [
            self._update(order, OrderStatus.PARTIALLY_FILLED if order.filled else OrderStatus.NEW, now_ns, now_ns)
            for order in self._open.values()
            if order.acknowledged
        ]
        return self._account.report(request, tuple(updates), now_ns)

    def _queried(self, query: QueryOrder, now_ns: int) -> Any:
        order = self._names.get(query.client_order_id)
        if order is None or not order.acknowledged:
            return OrderNotFound(now_ns, query.symbol, query.client_order_id, query.decided_ns // _NS_PER_MS)
        if order.number in self._open:
            status = OrderStatus.PARTIALLY_FILLED if order.filled else OrderStatus.NEW
        else:
            status = OrderStatus.CANCELED if order.remaining else OrderStatus.FILLED
        return self._update(order, status, now_ns, now_ns)

    def standing(self, symbol: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Best acknowledged bid and ask of ours, (ticks, lots) each, as known at our end; zeros where there is none."""
        bid, ask = (0, 0), (0, 0)
        for order in self._open.values():
            if order.symbol != symbol or not order.acknowledged:
                continue
            if order.side is Side.BUY:
                if order.price_ticks > bid[0]:
                    bid = (order.price_ticks, order.remaining)
            elif not ask[0] or order.price_ticks < ask[0]:
                ask = (order.price_ticks, order.remaining)
        return bid, ask

    def forget_finished(self) -> None:
        """Keep what is remembered of finished orders bounded. Call now and then."""
        for market in range(len(self._market_of)):
            self._matcher.forget_finished(market)
        if len(self._names) > _FORGET_EVERY * 20:
            finished = [name for name, order in self._names.items() if order.number not in self._open]
            for name in finished[: len(finished) - _FORGET_EVERY]:
                del self._names[name]

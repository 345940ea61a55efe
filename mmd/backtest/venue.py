"""The core's commands carried out on the matcher, and the matcher's responses as the events that an adapter would have delivered.

What a venue does in one message and hftbacktest does not is done in steps: a cancel-replace is a cancel, then the new order when
the cancel is acknowledged; a cancel of an order that is not yet acknowledged waits for that. Both are later than a venue would
be, never earlier. The account is kept here from the fills, so that a comparison with it is one of two ledgers made from the same
fills.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from mmd.backtest.errors import BacktestError
from mmd.backtest.funding import REPORT_DELAY_NS, FundingPoint, payment_atoms
from mmd.backtest.matching import Matcher, MatchStatus, OrderView
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import (
    AmendOrder,
    Balance,
    CancelOrder,
    CancelRejected,
    Fill,
    FundingPaid,
    Margin,
    ModifyOrder,
    OrderAccepted,
    OrderNotFound,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    Position,
    QueryOrder,
    ReconciliationReport,
    ReplaceOrder,
    RequestDepthSnapshot,
    RequestReconciliation,
)

CASH_ATOMS = 10**18
"""Enough of every asset, and of margin, that no balance ever binds: limits are the core's business."""
LEVERAGE = 20
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


@dataclass(frozen=True)
class FillRecord:
    """A fill with what results need and the core is not told."""

    fill: Fill
    remaining_lots: int


@dataclass(frozen=True)
class FundingRecord:
    """A payment and what it was made of."""

    payment: FundingPaid
    point: FundingPoint
    lots: int
    mark_ticks: float


@dataclass(frozen=True)
class _Settlement:
    """A funding that has happened, and that the account will hear of."""

    point: FundingPoint
    mark_ticks: float


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
        self._instruments: Mapping[str, Instrument] = {instrument.symbol: instrument for instrument in instruments}
        self._market_of = {instrument.symbol: number for number, instrument in enumerate(instruments)}
        self._maker_fee = maker_fee
        self._round_trip_ns = round_trip_ns
        self._on_fill = on_fill
        self._open: dict[int, _Order] = {}
        self._names: dict[str, _Order] = {}
        self._waiting: dict[str, _Cancel | None] = {}
        """Replacements that wait until their predecessor is gone, and what was asked of them meanwhile."""
        self._number = 0
        self._fills: list[Fill] = []
        self._funding: list[FundingPaid] = []
        self._mid_x2: Callable[[str], int] = lambda _symbol: 0
        self._on_funding: Callable[[FundingRecord], None] = lambda _record: None
        self._balances: dict[str, int] = {}
        for instrument in instruments:
            self._balances[instrument.quote_asset] = CASH_ATOMS
            if not instrument.perpetual:
                self._balances[instrument.base_asset] = CASH_ATOMS
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
                self._settle(answer)
                continue
            elif isinstance(answer, _Settlement):
                answer = self._pay(answer, now_ns)
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
        fill = self._fill(order, lots, view.exchange_ns, now_ns)
        events.append(fill)
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

    def _fill(self, order: _Order, lots: int, exchange_ns: int, now_ns: int) -> Fill:
        instrument = self._instruments[order.symbol]
        value = order.price_ticks * lots * instrument.notional_atoms
        fee = round(value * self._maker_fee)
        fill = Fill(
            now_ns,
            order.symbol,
            len(self._fills) + 1,
            order.name,
            order.number,
            order.side,
            order.price_ticks,
            lots,
            fee,
            instrument.quote_asset,
            True,
            exchange_ns,
        )
        self._fills.append(fill)
        if not instrument.perpetual:
            self._balances[instrument.base_asset] += order.side.sign * lots * instrument.lot_atoms
        self._balances[instrument.quote_asset] -= order.side.sign * value + fee
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
        self._mid_x2, self._on_funding = mid_x2, on_funding
        for point in points:
            self._answer(point.happens_ns, point)

    def _settle(self, point: FundingPoint) -> None:
        mark = self._mid_x2(point.symbol) / 2 if point.mark_ticks is None else point.mark_ticks
        self._answer(point.happens_ns + max(REPORT_DELAY_NS, 2 * self._round_trip_ns), _Settlement(point, mark))

    def _pay(self, settlement: _Settlement, now_ns: int) -> FundingPaid | None:
        point = settlement.point
        instrument = self._instruments[point.symbol]
        lots = self._lots_at(point.symbol, point.happens_ns)
        amount = payment_atoms(instrument, lots, settlement.mark_ticks, point.rate)
        if not amount:
            return None
        asset = instrument.quote_asset
        payment = FundingPaid(now_ns, point.symbol, point.exchange_ns // _NS_PER_MS, amount, asset, point.exchange_ns)
        self._funding.append(payment)
        self._balances[asset] += amount
        self._on_funding(FundingRecord(payment, point, lots, settlement.mark_ticks))
        return payment

    def _lots_at(self, symbol: str, exchange_ns: int) -> int:
        """Position at the exchange at that moment, of fills that are known."""
        return sum(fill.side.sign * fill.lots for fill in self._fills if fill.symbol == symbol and fill.exchange_ns <= exchange_ns)

    def _answer(self, due_ns: int, answer: Any) -> None:
        self._answered += 1
        heappush(self._answers, (due_ns, self._answered, answer))

    def _report(self, request: RequestReconciliation, now_ns: int) -> ReconciliationReport:
        after = dict(request.after_trade_ids)
        updates = [
            self._update(order, OrderStatus.PARTIALLY_FILLED if order.filled else OrderStatus.NEW, now_ns, now_ns)
            for order in self._open.values()
            if order.acknowledged
        ]
        trades = [fill for fill in self._fills if fill.symbol in after and fill.trade_id > after[fill.symbol]]
        balances = tuple(Balance(asset, amount, 0) for asset, amount in self._balances.items())
        since = dict(request.funding_since_ns)
        return ReconciliationReport(
            now_ns,
            request.decided_ns,
            balances,
            tuple(updates),
            tuple(trades[-1000:]),
            self._positions(),
            tuple(each for each in self._funding if each.symbol in since and each.exchange_ns > since[each.symbol]),
            Margin(CASH_ATOMS, CASH_ATOMS) if any(each.perpetual for each in self._instruments.values()) else None,
        )

    def _positions(self) -> tuple[Position, ...]:
        """Of perpetuals, as the account has them by now."""
        found = []
        for symbol, instrument in self._instruments.items():
            if instrument.perpetual:
                atoms = self._lots_at(symbol, 1 << 62) * instrument.lot_atoms
                found.append(Position(symbol, atoms, self._mid_x2(symbol) // 2, LEVERAGE))
        return tuple(found)

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

"""Commands of the core carried out on the matching engine without a wire, and what the engine says as events of the core.

Two shells use it: the virtual venue of simulations, and paper trading on a live market. Neither latency nor delivery is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmd.mock.engine import (
    AccountTrade,
    BalancesChanged,
    EngineEvent,
    ExecutionType,
    MatchingEngine,
    NewOrder,
    Order,
    OrderReport,
    OrderType,
    Refusal,
    TimeInForce,
)
from mmd.types.orders import (
    AmendOrder,
    BalanceReport,
    CancelOrder,
    CancelRejected,
    Fill,
    ModifyOrder,
    OrderAccepted,
    OrderNotFound,
    OrderRejected,
    OrderUpdate,
    PlaceOrder,
    QueryOrder,
    ReconciliationReport,
    ReplaceOrder,
    RequestReconciliation,
)

TRADES_PER_REPORT = 1000
NS_PER_MS = 1_000_000

AccountCommand = PlaceOrder | CancelOrder | ReplaceOrder | AmendOrder | ModifyOrder | QueryOrder | RequestReconciliation
AccountEvent = (
    OrderAccepted
    | OrderRejected
    | CancelRejected
    | OrderUpdate
    | OrderNotFound
    | Fill
    | BalanceReport
    | ReconciliationReport
)  # fmt: skip
Outcome = tuple[Sequence[EngineEvent], tuple[AccountEvent, ...]]
"""What happened in the engine, which everybody hears of first, and the answers to the command."""


class EngineCommands:
    """Of one account. `now_ns` is when a command reaches the engine, `receive_ns` when its answer is there."""

    def __init__(self, engine: MatchingEngine, account: str) -> None:
        self._engine = engine
        self._account = account
        self._handlers: dict[type, Callable[[Any, int, int], Outcome]] = {
            PlaceOrder: self._place,
            CancelOrder: self._cancel,
            ReplaceOrder: self._replace,
            AmendOrder: self._amend,
            ModifyOrder: self._modify,
            QueryOrder: self._query,
            RequestReconciliation: self._reconcile,
        }

    def carry_out(self, command: AccountCommand, now_ns: int, receive_ns: int) -> Outcome:
        """Do it. Raises `KeyError` for a command of another kind."""
        return self._handlers[type(command)](command, now_ns, receive_ns)

    def account_events(self, event: EngineEvent, receive_ns: int) -> list[AccountEvent]:
        """What an engine event tells the account about its orders and balances; nothing where it concerns others."""
        if isinstance(event, OrderReport) and event.account == self._account:
            return _report_events(event, receive_ns)
        if isinstance(event, BalancesChanged) and event.account == self._account:
            changed = [balance for balance in self._engine.balances(self._account) if balance.asset in event.assets]
            return [BalanceReport(receive_ns, event.time_ns, tuple(changed))]
        return []

    def _new(self, command: PlaceOrder | ReplaceOrder) -> NewOrder:
        post_only = not isinstance(command, PlaceOrder) or command.post_only
        kind, time_in_force = (OrderType.LIMIT_MAKER, None) if post_only else (OrderType.LIMIT, TimeInForce.IOC)
        return NewOrder(
            self._account,
            command.symbol,
            command.side,
            kind,
            time_in_force,
            command.price_ticks,
            command.lots,
            client_order_id=command.client_order_id,
        )

    def _place(self, command: PlaceOrder, now_ns: int, receive_ns: int) -> Outcome:
        name, symbol = command.client_order_id, command.symbol
        try:
            order, events = self._engine.place(self._new(command), now_ns)
        except Refusal as refusal:
            return (), (OrderRejected(receive_ns, symbol, name, refusal.code, refusal.message),)
        return events, (OrderAccepted(receive_ns, symbol, name, order.order_id),)

    def _cancel(self, command: CancelOrder, now_ns: int, receive_ns: int) -> Outcome:
        name, symbol = command.client_order_id, command.symbol
        try:
            return self._engine.cancel(self._account, symbol, now_ns, client_order_id=name)[1], ()
        except Refusal as refusal:
            return (), (CancelRejected(receive_ns, symbol, name, refusal.code, refusal.message),)

    def _replace(self, command: ReplaceOrder, now_ns: int, receive_ns: int) -> Outcome:
        symbol, old, new = command.symbol, command.cancel_client_order_id, command.client_order_id
        try:
            outcome = self._engine.cancel_replace(
                self._account, symbol, now_ns, cancel_client_order_id=old, new=self._new(command), stop_on_failure=True
            )
        except Refusal as refusal:
            return (), (
                CancelRejected(receive_ns, symbol, old, refusal.code, refusal.message),
                OrderRejected(receive_ns, symbol, new, refusal.code, refusal.message),
            )
        if outcome.cancel_refusal is not None:
            failed = outcome.cancel_refusal
            return outcome.events, (
                CancelRejected(receive_ns, symbol, old, failed.code, failed.message),
                OrderRejected(receive_ns, symbol, new, failed.code, "not attempted"),
            )
        if outcome.new_order_refusal is not None:
            failed = outcome.new_order_refusal
            return outcome.events, (OrderRejected(receive_ns, symbol, new, failed.code, failed.message),)
        assert outcome.placed is not None
        return outcome.events, (OrderAccepted(receive_ns, symbol, new, outcome.placed.order_id),)

    def _amend(self, command: AmendOrder, now_ns: int, receive_ns: int) -> Outcome:
        symbol, name = command.symbol, command.client_order_id
        try:
            _, events = self._engine.amend(
                self._account,
                symbol,
                now_ns,
                client_order_id=name,
                lots=command.lots,
                new_client_order_id=command.new_client_order_id,
            )
        except Refusal as refusal:
            return (), (CancelRejected(receive_ns, symbol, name, refusal.code, refusal.message),)
        return events, ()

    def _modify(self, command: ModifyOrder, now_ns: int, receive_ns: int) -> Outcome:
        return (), (CancelRejected(receive_ns, command.symbol, command.client_order_id, 0, "Spot changes no order in place"),)

    def _query(self, command: QueryOrder, now_ns: int, receive_ns: int) -> Outcome:
        symbol, name = command.symbol, command.client_order_id
        try:
            order = self._engine.find_order(self._account, symbol, client_order_id=name)
        except Refusal:
            return (), (OrderNotFound(receive_ns, symbol, name, command.decided_ns // NS_PER_MS),)
        return (), (order_update(order, receive_ns),)

    def _reconcile(self, command: RequestReconciliation, now_ns: int, receive_ns: int) -> Outcome:
        engine, account = self._engine, self._account
        orders = [order for symbol, _ in command.after_trade_ids for order in engine.open_orders(account, symbol)]
        trades = [
            trade
            for symbol, last in command.after_trade_ids
            for trade in engine.trades(account, symbol, from_id=last + 1, limit=TRADES_PER_REPORT)
        ]
        report = ReconciliationReport(
            receive_ns,
            command.decided_ns,
            tuple(engine.balances(account)),
            tuple(order_update(order, receive_ns) for order in orders),
            tuple(fill_of(trade, receive_ns) for trade in trades),
        )
        return (), (report,)


def _report_events(event: OrderReport, receive_ns: int) -> list[AccountEvent]:
    cancelled = event.execution_type in (ExecutionType.CANCELED, ExecutionType.EXPIRED) and event.original_client_order_id
    name = event.original_client_order_id if cancelled else event.client_order_id
    events: list[AccountEvent] = []
    if event.trade is not None:
        events.append(fill_of(event.trade, receive_ns))
    if event.execution_type != ExecutionType.REJECTED:
        events.append(
            OrderUpdate(
                receive_ns,
                event.symbol,
                name,
                event.order_id,
                event.side,
                event.price_ticks,
                event.lots,
                event.executed_lots,
                event.status,
                event.time_ns,
                event.original_client_order_id,
            )
        )
    return events


def fill_of(trade: AccountTrade, receive_ns: int) -> Fill:
    """One trade of an account as the core hears of it."""
    return Fill(
        receive_ns,
        trade.symbol,
        trade.trade_id,
        trade.client_order_id,
        trade.order_id,
        trade.side,
        trade.price_ticks,
        trade.lots,
        trade.fee_atoms,
        trade.fee_asset,
        trade.is_maker,
        trade.time_ns,
    )


def order_update(order: Order, receive_ns: int) -> OrderUpdate:
    """An order's present state as the core hears of it."""
    return OrderUpdate(
        receive_ns,
        order.symbol,
        order.client_order_id,
        order.order_id,
        order.side,
        order.price_ticks,
        order.lots,
        order.executed_lots,
        order.status,
        order.updated_ns,
    )

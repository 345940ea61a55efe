"""User data: the engine's reports as `executionReport` and `outboundAccountPosition`, sent to whoever subscribed to the account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from mmd.mock.engine import BalancesChanged, BalanceTransferred, EngineEvent, MatchingEngine, OrderReport
from mmd.mock.server.market_events import SymbolTexts
from mmd.mock.server.order_replies import NS_PER_MS
from mmd.types.instrument import atoms_text

_ZERO = "0.00000000"

_encode = msgspec.json.Encoder().encode


class ExecutionReportEvent(msgspec.Struct, frozen=True):
    """`executionReport`, field by field in Binance's order."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    client_order_id: str = msgspec.field(name="c")
    side: str = msgspec.field(name="S")
    order_type: str = msgspec.field(name="o")
    time_in_force: str = msgspec.field(name="f")
    quantity: str = msgspec.field(name="q")
    price: str = msgspec.field(name="p")
    stop_price: str = msgspec.field(name="P")
    iceberg_quantity: str = msgspec.field(name="F")
    order_list_id: int = msgspec.field(name="g")
    original_client_order_id: str = msgspec.field(name="C")
    execution_type: str = msgspec.field(name="x")
    order_status: str = msgspec.field(name="X")
    reject_reason: str = msgspec.field(name="r")
    order_id: int = msgspec.field(name="i")
    last_quantity: str = msgspec.field(name="l")
    filled_quantity: str = msgspec.field(name="z")
    last_price: str = msgspec.field(name="L")
    commission: str = msgspec.field(name="n")
    commission_asset: str | None = msgspec.field(name="N")
    transaction_time: int = msgspec.field(name="T")
    trade_id: int = msgspec.field(name="t")
    execution_id: int = msgspec.field(name="I")
    is_on_book: bool = msgspec.field(name="w")
    is_maker: bool = msgspec.field(name="m")
    ignored: bool = msgspec.field(name="M")
    created: int = msgspec.field(name="O")
    filled_quote: str = msgspec.field(name="Z")
    last_quote: str = msgspec.field(name="Y")
    quote_order_quantity: str = msgspec.field(name="Q")
    working_time: int = msgspec.field(name="W")
    self_trade_prevention: str = msgspec.field(name="V")
    prevented_match_id: int | msgspec.UnsetType = msgspec.field(name="v", default=msgspec.UNSET)
    prevented_quantity: str | msgspec.UnsetType = msgspec.field(name="A", default=msgspec.UNSET)
    last_prevented_quantity: str | msgspec.UnsetType = msgspec.field(name="B", default=msgspec.UNSET)
    trade_group_id: int | msgspec.UnsetType = msgspec.field(name="u", default=msgspec.UNSET)
    counter_order_id: int | msgspec.UnsetType = msgspec.field(name="U", default=msgspec.UNSET)
    counter_symbol: str | msgspec.UnsetType = msgspec.field(name="Cs", default=msgspec.UNSET)
    prevented_execution_quantity: str | msgspec.UnsetType = msgspec.field(name="pl", default=msgspec.UNSET)
    prevented_execution_price: str | msgspec.UnsetType = msgspec.field(name="pL", default=msgspec.UNSET)
    prevented_execution_quote: str | msgspec.UnsetType = msgspec.field(name="pY", default=msgspec.UNSET)


class BalanceLine(msgspec.Struct, frozen=True):
    """One asset in `outboundAccountPosition`."""

    asset: str = msgspec.field(name="a")
    free: str = msgspec.field(name="f")
    locked: str = msgspec.field(name="l")


class AccountPositionEvent(msgspec.Struct, frozen=True):
    """`outboundAccountPosition`: the assets that may have changed."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    updated: int = msgspec.field(name="u")
    balances: list[BalanceLine] = msgspec.field(name="B")


class BalanceUpdateEvent(msgspec.Struct, frozen=True):
    """`balanceUpdate`: a balance moved that was no trade."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    asset: str = msgspec.field(name="a")
    delta: str = msgspec.field(name="d")
    cleared: int = msgspec.field(name="T")


class StreamTerminatedEvent(msgspec.Struct, frozen=True):
    """`eventStreamTerminated`: this subscription brings nothing more."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")


class UserDataReader(Protocol):
    """Someone who subscribed."""

    def send(self, frame: bytes) -> None:
        """Take one frame, at once."""


class UserDataHub:
    """Subscriptions to accounts, and the events they bring."""

    def __init__(self, engine: MatchingEngine, texts: Mapping[str, SymbolTexts]) -> None:
        self._engine = engine
        self._texts = texts
        self.last_execution_id = 0
        self._readers: dict[str, dict[tuple[UserDataReader, int | None], None]] = {}

    def subscribe(self, account: str, reader: UserDataReader, subscription_id: int | None) -> None:
        """From now on `reader` hears of `account`, under its own `subscription_id`; with None the events come bare."""
        self._readers.setdefault(account, {})[reader, subscription_id] = None

    def unsubscribe(
        self, account: str, reader: UserDataReader, subscription_id: int | None, time_ns: int, *, announce: bool
    ) -> None:
        """No more; with `announce` the reader is sent `eventStreamTerminated`."""
        readers = self._readers.get(account, {})
        readers.pop((reader, subscription_id), None)
        if not readers:
            self._readers.pop(account, None)
        if announce:
            event = _encode(StreamTerminatedEvent("eventStreamTerminated", time_ns // NS_PER_MS))
            reader.send(_wrap(subscription_id, event))

    def on_operation(self, events: Sequence[EngineEvent]) -> None:
        """Send what one operation of the engine means to the accounts."""
        for event in events:
            if isinstance(event, OrderReport):
                self.last_execution_id += 1
                if event.account in self._readers:
                    self._send(event.account, self._execution_report(event))
            elif isinstance(event, BalancesChanged) and event.account in self._readers:
                self._send(event.account, self._account_position(event))
            elif isinstance(event, BalanceTransferred) and event.account in self._readers:
                time_ms = event.time_ns // NS_PER_MS
                delta = atoms_text(event.delta_atoms)
                self._send(event.account, _encode(BalanceUpdateEvent("balanceUpdate", time_ms, event.asset, delta, time_ms)))

    def _send(self, account: str, event: bytes) -> None:
        for reader, subscription_id in self._readers[account]:
            reader.send(_wrap(subscription_id, event))

    def _account_position(self, event: BalancesChanged) -> bytes:
        time_ms = event.time_ns // NS_PER_MS
        lines = [
            BalanceLine(balance.asset, atoms_text(balance.free_atoms), atoms_text(balance.locked_atoms))
            for balance in self._engine.balances(event.account)
            if balance.asset in event.assets
        ]
        return _encode(AccountPositionEvent("outboundAccountPosition", time_ms, time_ms, lines))

    def _execution_report(self, report: OrderReport) -> bytes:
        text = self._texts[report.symbol]
        trade = report.trade
        time_ms = report.time_ns // NS_PER_MS
        return _encode(
            ExecutionReportEvent(
                event_type="executionReport",
                event_time=time_ms,
                symbol=report.symbol,
                client_order_id=report.client_order_id,
                side=report.side.name,
                order_type=report.order_type.value,
                time_in_force=report.time_in_force.value,
                quantity=text.quantity(report.lots),
                price=text.price(report.price_ticks),
                stop_price=_ZERO,
                iceberg_quantity=_ZERO,
                order_list_id=-1,
                original_client_order_id=report.original_client_order_id,
                execution_type=report.execution_type,
                order_status=report.status.value,
                reject_reason=report.reject_reason,
                order_id=report.order_id,
                last_quantity=text.quantity(trade.lots) if trade else _ZERO,
                filled_quantity=text.quantity(report.executed_lots),
                last_price=text.price(trade.price_ticks) if trade else _ZERO,
                commission=atoms_text(trade.fee_atoms) if trade else "0",
                commission_asset=trade.fee_asset if trade else None,
                transaction_time=time_ms,
                trade_id=trade.trade_id if trade else -1,
                execution_id=self.last_execution_id,
                is_on_book=report.status.is_open,
                is_maker=trade.is_maker if trade else False,
                ignored=trade is not None,
                created=report.created_ns // NS_PER_MS,
                filled_quote=atoms_text(report.quote_executed_atoms),
                last_quote=text.quote_amount(trade.price_ticks, trade.lots) if trade else _ZERO,
                quote_order_quantity=atoms_text(report.quote_atoms),
                working_time=report.created_ns // NS_PER_MS,
                self_trade_prevention=report.self_trade_prevention.value,
                **_prevention_fields(text, report),
            )
        )


def _prevention_fields(text: SymbolTexts, report: OrderReport) -> dict[str, Any]:
    """What only a TRADE_PREVENTION report tells."""
    prevention = report.prevention
    if prevention is None:
        return {}
    lots = min(prevention.prevented_lots, prevention.counter_lots)
    return {
        "prevented_match_id": prevention.match_id,
        "prevented_quantity": text.quantity(prevention.prevented_lots),
        "last_prevented_quantity": text.quantity(prevention.prevented_lots),
        "trade_group_id": -1,
        "counter_order_id": prevention.counter_order_id,
        "counter_symbol": report.symbol,
        "prevented_execution_quantity": text.quantity(lots),
        "prevented_execution_price": text.price(prevention.price_ticks),
        "prevented_execution_quote": text.quote_amount(prevention.price_ticks, lots),
    }


def _wrap(subscription_id: int | None, event: bytes) -> bytes:
    return event if subscription_id is None else b'{"subscriptionId":%d,"event":%b}' % (subscription_id, event)

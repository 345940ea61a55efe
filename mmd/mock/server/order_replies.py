"""Orders and trades of an account as the replies write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mmd.mock.engine import AccountTrade, EngineEvent, Order, OrderReport
from mmd.mock.server.market_events import SymbolTexts
from mmd.types.instrument import atoms_text
from mmd.types.market import Side

NS_PER_MS = 1_000_000
_NO_LIST = -1
_ZERO = "0.00000000"


class OrderAck(msgspec.Struct, frozen=True):
    """newOrderRespType=ACK."""

    symbol: str
    orderId: int
    orderListId: int
    clientOrderId: str
    transactTime: int


class OrderResult(OrderAck, frozen=True):
    """newOrderRespType=RESULT."""

    price: str
    origQty: str
    executedQty: str
    origQuoteOrderQty: str
    cummulativeQuoteQty: str
    status: str
    timeInForce: str
    type: str
    side: str
    workingTime: int
    selfTradePreventionMode: str
    preventedMatchId: int | msgspec.UnsetType = msgspec.UNSET
    preventedQuantity: str | msgspec.UnsetType = msgspec.UNSET


class FillLine(msgspec.Struct, frozen=True):
    """One trade of an order just placed."""

    price: str
    qty: str
    commission: str
    commissionAsset: str
    tradeId: int


class OrderFull(OrderResult, frozen=True, kw_only=True):
    """newOrderRespType=FULL."""

    fills: list[FillLine]


class CancelReply(msgspec.Struct, frozen=True):
    """A cancelled order: `clientOrderId` is the cancel's own."""

    symbol: str
    origClientOrderId: str
    orderId: int
    orderListId: int
    clientOrderId: str
    transactTime: int
    price: str
    origQty: str
    executedQty: str
    origQuoteOrderQty: str
    cummulativeQuoteQty: str
    status: str
    timeInForce: str
    type: str
    side: str
    selfTradePreventionMode: str


class OrderLine(msgspec.Struct, frozen=True):
    """An order that was asked for."""

    symbol: str
    orderId: int
    orderListId: int
    clientOrderId: str
    price: str
    origQty: str
    executedQty: str
    cummulativeQuoteQty: str
    status: str
    timeInForce: str
    type: str
    side: str
    stopPrice: str
    icebergQty: str
    time: int
    updateTime: int
    isWorking: bool
    workingTime: int
    origQuoteOrderQty: str
    selfTradePreventionMode: str
    preventedMatchId: int | msgspec.UnsetType = msgspec.UNSET
    preventedQuantity: str | msgspec.UnsetType = msgspec.UNSET


class AmendedOrder(msgspec.Struct, frozen=True):
    """An order whose quantity was reduced."""

    symbol: str
    orderId: int
    orderListId: int
    origClientOrderId: str
    clientOrderId: str
    price: str
    qty: str
    executedQty: str
    preventedQty: str
    quoteOrderQty: str
    cumulativeQuoteQty: str
    status: str
    timeInForce: str
    type: str
    side: str
    workingTime: int
    selfTradePreventionMode: str


class AmendReply(msgspec.Struct, frozen=True):
    """The reply to `order/amend/keepPriority`."""

    transactTime: int
    executionId: int
    amendedOrder: AmendedOrder


class AmendmentLine(msgspec.Struct, frozen=True):
    """One of `order/amendments`."""

    symbol: str
    orderId: int
    executionId: int
    origClientOrderId: str
    newClientOrderId: str
    origQty: str
    newQty: str
    time: int


class TradeLine(msgspec.Struct, frozen=True):
    """One of `myTrades`."""

    symbol: str
    id: int
    orderId: int
    orderListId: int
    price: str
    qty: str
    quoteQty: str
    commission: str
    commissionAsset: str
    time: int
    isBuyer: bool
    isMaker: bool
    isBestMatch: bool


def placed_reply(text: SymbolTexts, order: Order, events: Iterable[EngineEvent], response_type: str) -> OrderAck:
    """The reply to a placed order, as ACK, RESULT or FULL. `events` are what placing it caused."""
    transact_time = order.updated_ns // NS_PER_MS
    if response_type == "ACK":
        return OrderAck(order.symbol, order.order_id, _NO_LIST, order.client_order_id, transact_time)
    result = OrderResult(
        order.symbol,
        order.order_id,
        _NO_LIST,
        order.client_order_id,
        transact_time,
        text.price(order.price_ticks),
        text.quantity(order.lots),
        text.quantity(order.executed_lots),
        atoms_text(order.quote_atoms),
        atoms_text(order.quote_executed_atoms),
        order.status.value,
        order.time_in_force.value,
        order.order_type.value,
        order.side.name,
        order.created_ns // NS_PER_MS,
        order.self_trade_prevention.value,
        *_prevented(text, order),
    )
    if response_type == "RESULT":
        return result
    fills = [
        FillLine(
            text.price(trade.price_ticks), text.quantity(trade.lots), atoms_text(trade.fee_atoms), trade.fee_asset, trade.trade_id
        )
        for trade in _trades_of(order, events)
    ]
    return OrderFull(**msgspec.structs.asdict(result), fills=fills)


def cancel_reply(text: SymbolTexts, order: Order, cancel_id: str) -> CancelReply:
    """The reply to a cancel that bore the client id `cancel_id`."""
    return CancelReply(
        order.symbol,
        order.client_order_id,
        order.order_id,
        _NO_LIST,
        cancel_id,
        order.updated_ns // NS_PER_MS,
        text.price(order.price_ticks),
        text.quantity(order.lots),
        text.quantity(order.executed_lots),
        atoms_text(order.quote_atoms),
        atoms_text(order.quote_executed_atoms),
        order.status.value,
        order.time_in_force.value,
        order.order_type.value,
        order.side.name,
        order.self_trade_prevention.value,
    )


def order_line(text: SymbolTexts, order: Order) -> OrderLine:
    """An order as queries give it."""
    created = order.created_ns // NS_PER_MS
    return OrderLine(
        order.symbol,
        order.order_id,
        _NO_LIST,
        order.client_order_id,
        text.price(order.price_ticks),
        text.quantity(order.lots),
        text.quantity(order.executed_lots),
        atoms_text(order.quote_executed_atoms),
        order.status.value,
        order.time_in_force.value,
        order.order_type.value,
        order.side.name,
        _ZERO,
        _ZERO,
        created,
        order.updated_ns // NS_PER_MS,
        True,
        created,
        atoms_text(order.quote_atoms),
        order.self_trade_prevention.value,
        *_prevented(text, order),
    )


def amend_reply(text: SymbolTexts, order: Order, original_client_order_id: str, execution_id: int) -> AmendReply:
    """The reply to an amend of the order that was called `original_client_order_id` before it."""
    amended = AmendedOrder(
        order.symbol,
        order.order_id,
        _NO_LIST,
        original_client_order_id,
        order.client_order_id,
        text.price(order.price_ticks),
        text.quantity(order.lots),
        text.quantity(order.executed_lots),
        _ZERO,
        atoms_text(order.quote_atoms),
        atoms_text(order.quote_executed_atoms),
        order.status.value,
        order.time_in_force.value,
        order.order_type.value,
        order.side.name,
        order.created_ns // NS_PER_MS,
        order.self_trade_prevention.value,
    )
    return AmendReply(order.updated_ns // NS_PER_MS, execution_id, amended)


def amendment_line(
    text: SymbolTexts, order: Order, original_client_order_id: str, original_lots: int, execution_id: int
) -> AmendmentLine:
    """The amend that an order has just gone through."""
    return AmendmentLine(
        order.symbol,
        order.order_id,
        execution_id,
        original_client_order_id,
        order.client_order_id,
        text.quantity(original_lots),
        text.quantity(order.lots),
        order.updated_ns // NS_PER_MS,
    )


def trade_line(text: SymbolTexts, trade: AccountTrade) -> TradeLine:
    """A trade as `myTrades` gives it."""
    return TradeLine(
        trade.symbol,
        trade.trade_id,
        trade.order_id,
        _NO_LIST,
        text.price(trade.price_ticks),
        text.quantity(trade.lots),
        text.quote_amount(trade.price_ticks, trade.lots),
        atoms_text(trade.fee_atoms),
        trade.fee_asset,
        trade.time_ns // NS_PER_MS,
        trade.side is Side.BUY,
        trade.is_maker,
        True,
    )


def _prevented(text: SymbolTexts, order: Order) -> tuple[int, str] | tuple[()]:
    """The two fields that only an order has that expired so as not to trade with its own account."""
    return (order.prevented_match_id, text.quantity(order.prevented_lots)) if order.prevented_lots else ()


def _trades_of(order: Order, events: Iterable[EngineEvent]) -> Sequence[AccountTrade]:
    return [
        event.trade
        for event in events
        if isinstance(event, OrderReport) and event.order_id == order.order_id and event.trade is not None
    ]

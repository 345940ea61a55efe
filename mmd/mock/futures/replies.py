"""Orders and trades of a futures account as the replies write them, and the refusals in the futures' own codes."""

from __future__ import annotations

from typing import Any

from mmd.mock.engine import AccountTrade, Order, OrderType, Refusal, TimeInForce
from mmd.mock.engine_filters import DUPLICATE_ORDER, WOULD_MATCH
from mmd.mock.server.errors import WireError
from mmd.mock.server.market_events import SymbolTexts
from mmd.mock.server.order_replies import NS_PER_MS
from mmd.types.instrument import Instrument, atoms_text, units
from mmd.types.market import Side

POST_ONLY_REJECTED = (
    "Due to the order could not be executed as maker, the Post Only order will be rejected. "
    "The order will not be recorded in the order history"
)


def kind_and_time_in_force(order_type: OrderType, time_in_force: TimeInForce) -> tuple[str, str]:
    """The engine's LIMIT_MAKER is a LIMIT with time in force GTX here."""
    if order_type is OrderType.LIMIT_MAKER:
        return "LIMIT", "GTX"
    return order_type.value, time_in_force.value


def order_body(text: SymbolTexts, order: Order) -> dict[str, Any]:
    """An order as placing, querying, modifying and cancelling give it."""
    kind, time_in_force = kind_and_time_in_force(order.order_type, order.time_in_force)
    unit = text.instrument.notional_atoms * order.executed_lots
    average = order.quote_executed_atoms / unit * float(text.instrument.tick_size) if unit else 0.0
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status.value,
        "clientOrderId": order.client_order_id,
        "price": text.price(order.price_ticks),
        "avgPrice": f"{average:.8f}",
        "origQty": text.quantity(order.lots),
        "executedQty": text.quantity(order.executed_lots),
        "cumQty": text.quantity(order.executed_lots),
        "cumQuote": atoms_text(order.quote_executed_atoms),
        "timeInForce": time_in_force,
        "type": kind,
        "reduceOnly": False,
        "closePosition": False,
        "side": order.side.name,
        "positionSide": "BOTH",
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": kind,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_TAKER",
        "goodTillDate": 0,
        "time": order.created_ns // NS_PER_MS,
        "updateTime": order.updated_ns // NS_PER_MS,
    }


def trade_body(text: SymbolTexts, trade: AccountTrade, realised_atoms: int) -> dict[str, Any]:
    """One of `userTrades`."""
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "side": trade.side.name,
        "price": text.price(trade.price_ticks),
        "qty": text.quantity(trade.lots),
        "quoteQty": text.quote_amount(trade.price_ticks, trade.lots),
        "realizedPnl": atoms_text(realised_atoms),
        "commission": atoms_text(trade.fee_atoms),
        "commissionAsset": trade.fee_asset,
        "time": trade.time_ns // NS_PER_MS,
        "positionSide": "BOTH",
        "buyer": trade.side is Side.BUY,
        "maker": trade.is_maker,
    }


def futures_error(refusal: Refusal, instrument: Instrument) -> WireError:
    """The engine speaks in spot codes: what differs on futures is said here."""
    if refusal.message == WOULD_MATCH:
        return WireError(-5022, POST_ONLY_REJECTED)
    if refusal.message == DUPLICATE_ORDER:
        return WireError(-4116, "ClientOrderId is duplicated.")
    least = f"{units(instrument.min_notional_atoms):f}"
    filters = {
        "PRICE_FILTER": (-4014, "Price not increased by tick size."),
        "LOT_SIZE": (-4003, "Quantity less than or equal to zero."),
        "MARKET_LOT_SIZE": (-4003, "Quantity less than or equal to zero."),
        "NOTIONAL": (-4164, f"Order's notional must be no smaller than {least} (unless you choose reduce only)."),
        "PERCENT_PRICE_BY_SIDE": (-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit."),
        "MAX_NUM_ORDERS": (-2025, "Reach max open order limit."),
    }
    name = refusal.message.removeprefix("Filter failure: ")
    code, message = filters.get(name, (refusal.code, refusal.message))
    return WireError(code, message)

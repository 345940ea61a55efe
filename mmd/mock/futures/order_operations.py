"""Operations that change futures orders: place, modify, cancel, cancel all, and the countdown that cancels all by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmd.mock.engine import EngineEvent, Order, Refusal
from mmd.mock.futures.new_order import (
    NEW_ORDER_PARAMETERS,
    futures_of,
    parse_new_order,
    parse_price,
    parse_quantity,
    parse_side,
)
from mmd.mock.futures.replies import futures_error, order_body
from mmd.mock.futures.venue import FuturesVenue
from mmd.mock.server.errors import WireError
from mmd.mock.server.operations import Caller, Operation, Security, names
from mmd.mock.server.order_operations import order_reference
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.venue import Venue

REFERENCE = names("symbol", "orderId", "origClientOrderId")


def carry_out(venue: FuturesVenue, symbol: str, now_ns: int, operation: Callable[[], tuple[Order, list[EngineEvent]]]) -> Order:
    """Do something to an order and publish it; refusals in the futures' codes."""
    try:
        order, events = operation()
    except Refusal as refusal:
        raise futures_error(refusal, venue.engine.instruments[symbol]) from refusal
    venue.publish(now_ns, symbol, events)
    return order


def _place(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    futures = futures_of(venue)
    new, reduce_only = parse_new_order(futures, caller, parameters)
    venue.limiter.check_order(caller.account, venue.server_ms())
    now_ns = venue.catch_up()

    def place() -> tuple[Order, list[EngineEvent]]:
        order, events = venue.engine.place(new, now_ns)
        venue.limiter.count_order(caller.account, venue.server_ms())
        if reduce_only and order.status.is_open:
            futures.reduce_only[order.order_id] = (caller.account, new.symbol)
        return order, events

    return order_body(venue.texts[new.symbol], carry_out(futures, new.symbol, now_ns, place))


def _modify(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    futures = futures_of(venue)
    symbol = venue.symbol(parameters.symbol_text())
    instrument = venue.engine.instruments[symbol]
    order_id, client_order_id = order_reference(parameters)
    side = parse_side(parameters)
    price_ticks, lots = parse_price(instrument, parameters), parse_quantity(instrument, parameters)
    venue.limiter.check_order(caller.account, venue.server_ms())
    now_ns = venue.catch_up()

    def modify() -> tuple[Order, list[EngineEvent]]:
        order = venue.engine.find_order(caller.account, symbol, order_id=order_id, client_order_id=client_order_id)
        if order.side is not side:
            raise Refusal(-1117, "Invalid side.")
        done = futures.contracts.modify(
            caller.account,
            symbol,
            now_ns,
            order_id=order_id,
            client_order_id=client_order_id,
            price_ticks=price_ticks,
            lots=lots,
        )
        venue.limiter.count_order(caller.account, venue.server_ms())
        return done

    return order_body(venue.texts[symbol], carry_out(futures, symbol, now_ns, modify))


def _cancel(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    symbol = venue.symbol(parameters.symbol_text())
    order_id, client_order_id = order_reference(parameters)
    now_ns = venue.catch_up()

    def cancel() -> tuple[Order, list[EngineEvent]]:
        return venue.engine.cancel(caller.account, symbol, now_ns, order_id=order_id, client_order_id=client_order_id)

    return order_body(venue.texts[symbol], carry_out(futures_of(venue), symbol, now_ns, cancel))


def _cancel_all(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    symbol = venue.symbol(parameters.symbol_text())
    futures_of(venue).cancel_everything(caller.account, symbol, venue.catch_up())
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def _count_down(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    symbol = venue.symbol(parameters.symbol_text())
    milliseconds = parameters.integer("countdownTime")
    if milliseconds is None:
        raise WireError(-1102, "Mandatory parameter 'countdownTime' was not sent, was empty/null, or malformed.")
    futures_of(venue).count_down(caller.account, symbol, milliseconds)
    return {"symbol": symbol, "countdownTime": str(milliseconds)}


ORDER_OPERATIONS = (
    Operation(
        handler=_place,
        summary="place an order",
        rest=("POST", "/fapi/v1/order"),
        websocket="order.place",
        security=Security.SIGNED,
        parameters=NEW_ORDER_PARAMETERS,
        free_on_success=True,
        counts_orders=True,
    ),
    Operation(
        handler=_modify,
        summary="give an order another price and quantity",
        rest=("PUT", "/fapi/v1/order"),
        websocket="order.modify",
        security=Security.SIGNED,
        parameters=REFERENCE | names("side", "price", "quantity", "priceMatch"),
        free_on_success=True,
        counts_orders=True,
    ),
    Operation(
        handler=_cancel,
        summary="cancel an order",
        rest=("DELETE", "/fapi/v1/order"),
        websocket="order.cancel",
        security=Security.SIGNED,
        parameters=REFERENCE,
    ),
    Operation(
        handler=_cancel_all,
        summary="cancel every order of a symbol",
        rest=("DELETE", "/fapi/v1/allOpenOrders"),
        security=Security.SIGNED,
        parameters=names("symbol"),
    ),
    Operation(
        handler=_count_down,
        summary="cancel every order of a symbol after a while, unless told again",
        rest=("POST", "/fapi/v1/countdownCancelAll"),
        security=Security.SIGNED,
        parameters=names("symbol", "countdownTime"),
        weight=10,
    ),
)

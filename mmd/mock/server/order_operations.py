"""Operations that change orders: place, test, cancel, cancel and replace, amend, cancel all of a symbol."""

from __future__ import annotations

import msgspec

from mmd.mock.engine import (
    CancelReplaceOutcome,
    Order,
    Refusal,
    ReplaceResult,
)
from mmd.mock.server import errors
from mmd.mock.server.errors import ErrorBody, WireError
from mmd.mock.server.new_order import NEW_ORDER_PARAMETERS, generated_id, parse_lots, parse_new_order, response_type
from mmd.mock.server.operations import Caller, Operation, Security, names
from mmd.mock.server.order_replies import (
    AmendmentLine,
    AmendReply,
    CancelReply,
    OrderAck,
    amend_reply,
    amendment_line,
    cancel_reply,
    placed_reply,
)
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.venue import Venue
from mmd.types.orders import OrderStatus


class CancelReplaceReply(msgspec.Struct, frozen=True):
    """Both halves of a cancelReplace: the reply where both succeeded, `data` of the error where one did not."""

    cancelResult: str
    newOrderResult: str
    cancelResponse: CancelReply | ErrorBody | None
    newOrderResponse: OrderAck | ErrorBody | None


def _place(venue: Venue, caller: Caller, parameters: Parameters) -> OrderAck:
    new = parse_new_order(venue, caller, parameters)
    reply_type = response_type(parameters, new.order_type)
    venue.limiter.check_order(caller.account, venue.server_ms())
    now_ns = venue.catch_up()
    order, events = venue.engine.place(new, now_ns)
    venue.limiter.count_order(caller.account, venue.server_ms())
    venue.publish(now_ns, new.symbol, events)
    return placed_reply(venue.texts[new.symbol], order, events, reply_type)


def _test(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, object]:
    new = parse_new_order(venue, caller, parameters)
    response_type(parameters, new.order_type)
    venue.engine.check(new)
    if not parameters.flag("computeCommissionRates", False):
        return {}
    return {
        "standardCommissionForOrder": venue.commission_rates(),
        "specialCommissionForOrder": {"maker": "0.00000000", "taker": "0.00000000"},
        "taxCommissionForOrder": {"maker": "0.00000000", "taker": "0.00000000"},
        "discount": {"enabledForAccount": False, "enabledForSymbol": False, "discountAsset": "BNB", "discount": "0.00000000"},
    }


def _cancel(venue: Venue, caller: Caller, parameters: Parameters) -> CancelReply:
    symbol = venue.symbol(parameters.symbol_text())
    order_id, client_order_id = order_reference(parameters)
    cancel_id = parameters.client_order_id("newClientOrderId") or generated_id()
    now_ns = venue.catch_up()
    _check_restrictions(venue, caller, parameters, symbol, order_id, client_order_id)
    order, events = venue.engine.cancel(
        caller.account, symbol, now_ns, order_id=order_id, client_order_id=client_order_id, new_client_order_id=cancel_id
    )
    reply = cancel_reply(venue.texts[symbol], order, cancel_id)
    venue.publish(now_ns, symbol, events)
    return reply


def _cancel_all(venue: Venue, caller: Caller, parameters: Parameters) -> list[CancelReply]:
    symbol = venue.symbol(parameters.symbol_text())
    now_ns = venue.catch_up()
    orders = list(venue.engine.open_orders(caller.account, symbol))
    if not orders:
        raise WireError(-2011, "Unknown order sent.")
    cancel_id = generated_id()
    replies: list[CancelReply] = []
    for open_order in orders:
        order, events = venue.engine.cancel(
            caller.account, symbol, now_ns, order_id=open_order.order_id, client_order_id=None, new_client_order_id=cancel_id
        )
        replies.append(cancel_reply(venue.texts[symbol], order, cancel_id))
        venue.publish(now_ns, symbol, events)
    return replies


def _cancel_replace(venue: Venue, caller: Caller, parameters: Parameters) -> CancelReplaceReply:
    mode = parameters.required("cancelReplaceMode")
    if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        raise errors.bad_value("cancelReplaceMode")
    new = parse_new_order(venue, caller, parameters)
    reply_type = response_type(parameters, new.order_type)
    order_id = parameters.integer("cancelOrderId")
    client_order_id = parameters.client_order_id("cancelOrigClientOrderId")
    if order_id is None and client_order_id is None:
        raise errors.missing_either("cancelOrigClientOrderId", "cancelOrderId")
    cancel_id = parameters.client_order_id("cancelNewClientOrderId") or generated_id()
    now_ns = venue.catch_up()
    try:
        venue.limiter.check_order(caller.account, venue.server_ms())
    except WireError as refusal:
        if parameters.optional("orderRateLimitExceededMode") != "CANCEL_ONLY":
            raise
        cancelled, events = venue.engine.cancel(
            caller.account, new.symbol, now_ns, order_id=order_id, client_order_id=client_order_id, new_client_order_id=cancel_id
        )
        reply = cancel_reply(venue.texts[new.symbol], cancelled, cancel_id)
        venue.publish(now_ns, new.symbol, events)
        raise _half_done(CancelReplaceReply("SUCCESS", "FAILURE", reply, refusal.body())) from refusal
    _check_restrictions(venue, caller, parameters, new.symbol, order_id, client_order_id)
    outcome = venue.engine.cancel_replace(
        caller.account,
        new.symbol,
        now_ns,
        cancel_order_id=order_id,
        cancel_client_order_id=client_order_id,
        new=new,
        stop_on_failure=mode == "STOP_ON_FAILURE",
        cancel_new_client_order_id=cancel_id,
    )
    return _replaced(venue, caller, outcome, new.symbol, cancel_id, reply_type, now_ns)


def _replaced(
    venue: Venue, caller: Caller, outcome: CancelReplaceOutcome, symbol: str, cancel_id: str, reply_type: str, now_ns: int
) -> CancelReplaceReply:
    text = venue.texts[symbol]
    cancel_part: CancelReply | ErrorBody | None = _refusal_body(outcome.cancel_refusal)
    new_part: OrderAck | ErrorBody | None = _refusal_body(outcome.new_order_refusal)
    if outcome.cancelled is not None:
        cancel_part = cancel_reply(text, outcome.cancelled, cancel_id)
    if outcome.placed is not None and outcome.new_order_result is ReplaceResult.SUCCESS:
        new_part = placed_reply(text, outcome.placed, outcome.events, reply_type)
        venue.limiter.count_order(caller.account, venue.server_ms())
    venue.publish(now_ns, symbol, outcome.events)
    reply = CancelReplaceReply(outcome.cancel_result.value, outcome.new_order_result.value, cancel_part, new_part)
    if outcome.code == 0:
        return reply
    if outcome.code == -2021:
        raise _half_done(reply)
    raise WireError(-2022, "Order cancel-replace failed.", data=reply)


def _amend(venue: Venue, caller: Caller, parameters: Parameters) -> AmendReply:
    symbol = venue.symbol(parameters.symbol_text())
    order_id, client_order_id = order_reference(parameters)
    lots = parse_lots(venue.engine.instruments[symbol], parameters.required_decimal("newQty"), "LOT_SIZE")
    new_client_order_id = parameters.client_order_id("newClientOrderId") or generated_id()
    now_ns = venue.catch_up()
    # The engine writes the new id and quantity into the order itself, so the old ones are read before.
    original, original_lots = _before_amend(venue, caller, symbol, order_id, client_order_id)
    order, events = venue.engine.amend(
        caller.account,
        symbol,
        now_ns,
        order_id=order_id,
        client_order_id=client_order_id,
        lots=lots,
        new_client_order_id=new_client_order_id,
    )
    venue.publish(now_ns, symbol, events)
    text, execution_id = venue.texts[symbol], venue.user_data.last_execution_id
    venue.amendments(caller.account, symbol).append(amendment_line(text, order, original, original_lots, execution_id))
    return amend_reply(text, order, original, execution_id)


def _before_amend(venue: Venue, caller: Caller, symbol: str, order_id: int | None, client_order_id: str | None) -> tuple[str, int]:
    try:
        order = venue.engine.find_order(caller.account, symbol, order_id=order_id, client_order_id=client_order_id)
    except Refusal:
        # Amending will be refused too, with the code that belongs to an amend.
        return "", 0
    return order.client_order_id, order.lots


def _amendments(venue: Venue, caller: Caller, parameters: Parameters) -> list[AmendmentLine]:
    symbol = venue.symbol(parameters.symbol_text())
    parameters.required("orderId")
    order_id, from_id = parameters.integer("orderId"), parameters.integer("fromExecutionId") or 0
    chosen = [line for line in venue.amendments(caller.account, symbol) if line.orderId == order_id and line.executionId >= from_id]
    return chosen[: parameters.limit(500, 1000)]


def order_reference(parameters: Parameters) -> tuple[int | None, str | None]:
    """Which order is meant: by id, client id, or both. Raises -1102 where by none."""
    order_id = parameters.integer("orderId")
    client_order_id = parameters.optional("origClientOrderId")
    if order_id is None and client_order_id is None:
        raise errors.missing_either("origClientOrderId", "orderId")
    return order_id, client_order_id


def _check_restrictions(
    venue: Venue, caller: Caller, parameters: Parameters, symbol: str, order_id: int | None, client_order_id: str | None
) -> None:
    restriction = parameters.optional("cancelRestrictions")
    if restriction is None:
        return
    allowed = {"ONLY_NEW": OrderStatus.NEW, "ONLY_PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED}.get(restriction)
    if allowed is None:
        raise WireError(-1145, "Invalid cancelRestrictions")
    order = _open_order(venue, caller, symbol, order_id, client_order_id)
    if order is not None and order.status is not allowed:
        raise WireError(-2011, "Order was not canceled due to cancel restrictions.")


def _open_order(venue: Venue, caller: Caller, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
    for order in venue.engine.open_orders(caller.account, symbol):
        if order.order_id == order_id or (order_id is None and order.client_order_id == client_order_id):
            return order
    return None


def _half_done(reply: CancelReplaceReply) -> WireError:
    return WireError(-2021, "Order cancel-replace partially failed.", status=409, data=reply)


def _refusal_body(refusal: Refusal | None) -> ErrorBody | None:
    return None if refusal is None else ErrorBody(refusal.code, refusal.message)


_REFERENCE = names("symbol", "orderId", "origClientOrderId", "newClientOrderId")
_CANCEL_REPLACE = names(
    "cancelReplaceMode",
    "cancelOrderId",
    "cancelOrigClientOrderId",
    "cancelNewClientOrderId",
    "cancelRestrictions",
    "orderRateLimitExceededMode",
)

ORDER_OPERATIONS = (
    Operation(
        handler=_place,
        summary="place an order",
        rest=("POST", "order"),
        websocket="order.place",
        security=Security.SIGNED,
        parameters=NEW_ORDER_PARAMETERS,
        free_on_success=True,
        counts_orders=True,
    ),
    Operation(
        handler=_test,
        summary="check an order without placing it",
        rest=("POST", "order/test"),
        websocket="order.test",
        security=Security.SIGNED,
        parameters=NEW_ORDER_PARAMETERS | {"computeCommissionRates"},
        weight=lambda parameters: 20 if parameters.flag("computeCommissionRates", False) else 1,
        weight_note="1; 20 with computeCommissionRates",
    ),
    Operation(
        handler=_cancel,
        summary="cancel an order",
        rest=("DELETE", "order"),
        websocket="order.cancel",
        security=Security.SIGNED,
        parameters=_REFERENCE | {"cancelRestrictions"},
        free_on_success=True,
    ),
    Operation(
        handler=_cancel_replace,
        summary="cancel one order and place another",
        rest=("POST", "order/cancelReplace"),
        websocket="order.cancelReplace",
        security=Security.SIGNED,
        parameters=NEW_ORDER_PARAMETERS | _CANCEL_REPLACE,
        free_on_success=True,
        counts_orders=True,
    ),
    Operation(
        handler=_amend,
        summary="reduce an order's quantity; it keeps its place in the queue",
        rest=("PUT", "order/amend/keepPriority"),
        websocket="order.amend.keepPriority",
        security=Security.SIGNED,
        parameters=_REFERENCE | {"newQty"},
        weight=4,
    ),
    Operation(
        handler=_amendments,
        summary="how an order's quantity was reduced, since the exchange started",
        rest=("GET", "order/amendments"),
        websocket="order.amendments",
        security=Security.SIGNED,
        parameters=names("symbol", "orderId", "fromExecutionId", "limit"),
        weight=4,
    ),
    Operation(
        handler=_cancel_all,
        summary="cancel every open order of a symbol",
        rest=("DELETE", "openOrders"),
        websocket="openOrders.cancelAll",
        security=Security.SIGNED,
        parameters=names("symbol"),
        free_on_success=True,
    ),
)

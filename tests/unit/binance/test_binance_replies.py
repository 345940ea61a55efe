"""Replies and user data events, letter by letter, and what each says about an order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmd.exchanges.adapter import Event, OrderCommand
from mmd.exchanges.binance.decode import MalformedFrame
from mmd.exchanges.binance.order_messages import OrderNames
from mmd.exchanges.binance.replies import ReplyDecoder, decode_envelope, order_budgets, outcome_unknown, retry_after_ms
from mmd.exchanges.binance.user_data import UserDataDecoder
from mmd.exchanges.binance.verdicts import Verdict, verdict
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import (
    AmendOrder,
    Balance,
    BalanceReport,
    CancelOrder,
    CancelRejected,
    ExternalBalanceChange,
    Fill,
    OrderAccepted,
    OrderBudgetReport,
    OrderNotFound,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    OutcomeUnknown,
    PlaceOrder,
    QueryOrder,
    ReplaceOrder,
)

PLACE = PlaceOrder(1, "m-1", "BTCUSDT", Side.BUY, 2816547, 100)
CANCEL = CancelOrder(1, "m-1", "BTCUSDT")
QUERY = QueryOrder(1, "m-1", "BTCUSDT")
REPLACE = ReplaceOrder(1, "m-1", "m-2", "BTCUSDT", Side.BUY, 2816500, 100)
AMEND = AmendOrder(1, "m-1", "m-2", "BTCUSDT", 50)
COMMANDS: tuple[OrderCommand, ...] = (PLACE, CANCEL, QUERY, REPLACE, AMEND)

CANCELLED_BODY: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "origClientOrderId": "m-1",
    "orderId": 12,
    "orderListId": -1,
    "clientOrderId": "cancel-of-m-1",
    "transactTime": 1684804350068,
    "price": "28165.47000000",
    "origQty": "0.00100000",
    "executedQty": "0.00040000",
    "status": "CANCELED",
    "timeInForce": "GTC",
    "type": "LIMIT_MAKER",
    "side": "BUY",
}
CANCELLED = OrderUpdate(9, "BTCUSDT", "m-1", 12, Side.BUY, 2816547, 100, 40, OrderStatus.CANCELED, 1684804350068_000000)
ACKNOWLEDGED_BODY = {"symbol": "BTCUSDT", "orderId": 13, "orderListId": -1, "clientOrderId": "m-2", "transactTime": 1684804350069}


def outcome(instruments: dict[str, Instrument], command: OrderCommand, reply: dict[str, Any]) -> list[Event]:
    decoder = ReplyDecoder(instruments, OrderNames())
    return decoder.outcome(command, decode_envelope(json.dumps({"id": 1, **reply}).encode()), 1684804350000, 9)


def refused(status: int, code: int, message: str, **more: Any) -> dict[str, Any]:
    return {"status": status, "error": {"code": code, "msg": message, **more}}


def test_place_acknowledged(instruments: dict[str, Instrument]) -> None:
    reply = {"status": 200, "result": {**ACKNOWLEDGED_BODY, "orderId": 12, "clientOrderId": "m-1"}}
    assert outcome(instruments, PLACE, reply) == [OrderAccepted(9, "BTCUSDT", "m-1", 12)]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-2010, "Order would immediately match and take."),
        (-2010, "Account has insufficient balance for requested action."),
        (-1013, "Filter failure: NOTIONAL"),
        (-1021, "Timestamp for this request is outside of the recvWindow."),
        (-9999, "A code nobody has heard of."),
    ],
)
def test_place_refused(instruments: dict[str, Instrument], code: int, message: str) -> None:
    assert outcome(instruments, PLACE, refused(400, code, message)) == [OrderRejected(9, "BTCUSDT", "m-1", code, message)]


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, -1006, "An unexpected response was received from the message bus."),
        (408, -1007, "Timeout waiting for response from backend server."),
        (500, -1000, "An unknown error occurred while processing the request."),
        (503, -2010, "whatever the code"),
        (400, -2010, "Duplicate order sent."),
    ],
)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_outcomes_nobody_knows(
    instruments: dict[str, Instrument], command: OrderCommand, status: int, code: int, message: str
) -> None:
    events = outcome(instruments, command, refused(status, code, message))
    assert events == outcome_unknown(command, 9, f"{status} {code} {message}")


def test_unknown_names_every_order_of_the_request() -> None:
    def names(command: OrderCommand) -> list[str]:
        return [event.client_order_id for event in outcome_unknown(command, 1, "") if isinstance(event, OutcomeUnknown)]

    assert [names(command) for command in COMMANDS] == [["m-1"], ["m-1"], ["m-1"], ["m-1", "m-2"], ["m-1", "m-2"]]


def test_cancel(instruments: dict[str, Instrument]) -> None:
    assert outcome(instruments, CANCEL, {"status": 200, "result": CANCELLED_BODY}) == [CANCELLED]
    events = outcome(instruments, CANCEL, refused(400, -2011, "Unknown order sent."))
    assert events == [CancelRejected(9, "BTCUSDT", "m-1", -2011, "Unknown order sent.")]


def test_query(instruments: dict[str, Instrument]) -> None:
    body = {**CANCELLED_BODY, "clientOrderId": "m-1", "time": 1684804350001, "updateTime": 1684804350068}
    del body["transactTime"]
    assert outcome(instruments, QUERY, {"status": 200, "result": body}) == [CANCELLED]
    events = outcome(instruments, QUERY, refused(400, -2013, "Order does not exist."))
    assert events == [OrderNotFound(9, "BTCUSDT", "m-1", 1684804350000)]
    # A query that was itself refused says nothing about the order.
    events = outcome(instruments, QUERY, refused(429, -1003, "Too much request weight used."))
    assert events == [OutcomeUnknown(9, "BTCUSDT", "m-1", "429 -1003 Too much request weight used.")]


def test_amend(instruments: dict[str, Instrument]) -> None:
    body = {
        "transactTime": 1741924229819,
        "executionId": 60,
        "amendedOrder": {
            "symbol": "BTCUSDT",
            "orderId": 12,
            "origClientOrderId": "m-1",
            "clientOrderId": "m-2",
            "price": "28165.47000000",
            "qty": "0.00050000",
            "executedQty": "0.00000000",
            "status": "NEW",
            "type": "LIMIT_MAKER",
            "side": "BUY",
        },
    }
    assert outcome(instruments, AMEND, {"status": 200, "result": body}) == [
        OrderUpdate(9, "BTCUSDT", "m-2", 12, Side.BUY, 2816547, 50, 0, OrderStatus.NEW, 1741924229819_000000, "m-1")
    ]
    message = "The requested action would change no state; rejecting."
    assert outcome(instruments, AMEND, refused(400, -2038, message)) == [CancelRejected(9, "BTCUSDT", "m-1", -2038, message)]


def test_replace_done(instruments: dict[str, Instrument]) -> None:
    result = {
        "cancelResult": "SUCCESS",
        "newOrderResult": "SUCCESS",
        "cancelResponse": CANCELLED_BODY,
        "newOrderResponse": ACKNOWLEDGED_BODY,
    }
    assert outcome(instruments, REPLACE, {"status": 200, "result": result}) == [CANCELLED, OrderAccepted(9, "BTCUSDT", "m-2", 13)]


def test_replace_where_the_cancel_failed(instruments: dict[str, Instrument]) -> None:
    data = {
        "cancelResult": "FAILURE",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": {"code": -2011, "msg": "Unknown order sent."},
        "newOrderResponse": None,
    }
    events = outcome(instruments, REPLACE, refused(400, -2022, "Order cancel-replace failed.", data=data))
    assert events == [
        CancelRejected(9, "BTCUSDT", "m-1", -2011, "Unknown order sent."),
        OrderRejected(9, "BTCUSDT", "m-2", -2022, "not attempted: the cancel failed"),
    ]


@pytest.mark.parametrize(("code", "known"), [(-2010, True), (-1007, False)])
def test_replace_where_the_new_order_failed(instruments: dict[str, Instrument], code: int, known: bool) -> None:
    data = {
        "cancelResult": "SUCCESS",
        "newOrderResult": "FAILURE",
        "cancelResponse": CANCELLED_BODY,
        "newOrderResponse": {"code": code, "msg": "why"},
    }
    events = outcome(instruments, REPLACE, refused(409, -2021, "Order cancel-replace partially failed.", data=data))
    new = OrderRejected(9, "BTCUSDT", "m-2", code, "why") if known else OutcomeUnknown(9, "BTCUSDT", "m-2", "why")
    assert events == [CANCELLED, new]


def test_replace_refused_before_anything_was_done(instruments: dict[str, Instrument]) -> None:
    events = outcome(instruments, REPLACE, refused(400, -1013, "Filter failure: PRICE_FILTER"))
    assert events == [
        CancelRejected(9, "BTCUSDT", "m-1", -1013, "Filter failure: PRICE_FILTER"),
        OrderRejected(9, "BTCUSDT", "m-2", -1013, "Filter failure: PRICE_FILTER"),
    ]


def test_replies_that_make_no_sense_are_malformed(instruments: dict[str, Instrument]) -> None:
    for result in ({}, {**CANCELLED_BODY, "status": "LOST"}, {**CANCELLED_BODY, "side": "?"}, {**CANCELLED_BODY, "symbol": "X"}):
        with pytest.raises(MalformedFrame, match="reply to CancelOrder"):
            outcome(instruments, CANCEL, {"status": 200, "result": result})
    with pytest.raises(MalformedFrame, match="WebSocket API"):
        decode_envelope(b"[]")


def test_budgets_and_waits() -> None:
    frame = (
        b'{"id":1,"status":429,"error":{"code":-1015,"msg":"Too many orders.","data":{"serverTime":1,"retryAfter":1684804360000}},'
        b'"rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50,"count":12},'
        b'{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":160000,"count":4043},'
        b'{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":321}]}'
    )
    reply = decode_envelope(frame)
    assert order_budgets(reply, 9) == [
        OrderBudgetReport(9, 12, 50, 10_000_000_000),
        OrderBudgetReport(9, 4043, 160000, 86_400_000_000_000),
    ]
    assert reply.error is not None
    assert retry_after_ms(reply.error) == 1684804360000


def test_verdicts() -> None:
    assert verdict(403, 0, "blocked by the firewall") is Verdict.REFUSED
    assert verdict(0, -777, "nested, and nobody has heard of it") is Verdict.UNKNOWN
    assert verdict(0, -2011, "Unknown order sent.") is Verdict.REFUSED


EXECUTION: dict[str, Any] = {
    "e": "executionReport",
    "E": 1499405658658,
    "s": "BTCUSDT",
    "c": "m-1",
    "S": "SELL",
    "o": "LIMIT_MAKER",
    "f": "GTC",
    "q": "0.00100000",
    "p": "28165.47000000",
    "P": "0.00000000",
    "F": "0.00000000",
    "g": -1,
    "C": "",
    "x": "NEW",
    "X": "NEW",
    "r": "NONE",
    "i": 4293153,
    "l": "0.00000000",
    "z": "0.00000000",
    "L": "0.00000000",
    "n": "0",
    "N": None,
    "T": 1499405658657,
    "t": -1,
    "I": 8641984,
    "w": True,
    "m": False,
    "M": False,
}


def user_events(instruments: dict[str, Instrument], event: dict[str, Any]) -> tuple[Event, ...]:
    envelope = decode_envelope(json.dumps({"subscriptionId": 0, "event": event}).encode())
    return UserDataDecoder(instruments, OrderNames()).decode(envelope.event, 9)[1]


def updated(client_order_id: str, status: OrderStatus, filled: int = 0, replaced: str = "") -> OrderUpdate:
    time_ns = 1499405658657_000000
    return OrderUpdate(9, "BTCUSDT", client_order_id, 4293153, Side.SELL, 2816547, 100, filled, status, time_ns, replaced)


def test_new_order_event(instruments: dict[str, Instrument]) -> None:
    assert user_events(instruments, EXECUTION) == (updated("m-1", OrderStatus.NEW),)


def test_trade_event_is_a_fill_and_then_the_state(instruments: dict[str, Instrument]) -> None:
    trade = {"x": "TRADE", "X": "PARTIALLY_FILLED", "l": "0.00040000", "z": "0.00060000", "L": "28165.50000000", "t": 77, "m": True}
    events = user_events(instruments, {**EXECUTION, **trade, "n": "-0.00112662", "N": "USDT"})
    assert events == (
        Fill(9, "BTCUSDT", 77, "m-1", 4293153, Side.SELL, 2816550, 40, -112662, "USDT", True, 1499405658657_000000),
        updated("m-1", OrderStatus.PARTIALLY_FILLED, 60),
    )


def test_cancelled_and_amended_orders_go_by_the_right_name(instruments: dict[str, Instrument]) -> None:
    cancelled = {**EXECUTION, "x": "CANCELED", "X": "CANCELED", "c": "cancel-of-m-1", "C": "m-1"}
    assert user_events(instruments, cancelled) == (updated("m-1", OrderStatus.CANCELED),)
    amended = {**EXECUTION, "x": "REPLACED", "X": "NEW", "c": "m-2", "C": "m-1"}
    assert user_events(instruments, amended) == (updated("m-2", OrderStatus.NEW, replaced="m-1"),)
    expired = {**EXECUTION, "x": "EXPIRED", "X": "EXPIRED"}
    assert user_events(instruments, expired) == (updated("m-1", OrderStatus.EXPIRED),)
    prevented = {**EXECUTION, "x": "TRADE_PREVENTION", "X": "EXPIRED_IN_MATCH"}
    assert user_events(instruments, prevented) == (updated("m-1", OrderStatus.EXPIRED_IN_MATCH),)
    rejected = {**EXECUTION, "x": "REJECTED", "X": "REJECTED"}
    assert user_events(instruments, rejected) == (updated("m-1", OrderStatus.REJECTED),)


def test_balances(instruments: dict[str, Instrument]) -> None:
    position = {
        "e": "outboundAccountPosition",
        "E": 1564034571105,
        "u": 1564034571073,
        "B": [{"a": "ETH", "f": "10000.000000", "l": "0.00000001"}],
    }
    balance = Balance("ETH", 1_000_000_000_000, 1)
    assert user_events(instruments, position) == (BalanceReport(9, 1564034571105_000000, (balance,)),)
    update = {"e": "balanceUpdate", "E": 1573200697110, "a": "BTC", "d": "-100.00000000", "T": 1573200697068}
    assert user_events(instruments, update) == (ExternalBalanceChange(9, "BTC", -10_000_000_000),)


def test_events_that_do_not_concern_us(instruments: dict[str, Instrument]) -> None:
    decoder = UserDataDecoder(instruments, OrderNames())
    assert decoder.decode(json.dumps({**EXECUTION, "s": "BNBUSDT"}).encode(), 9) == ("executionReport", ())
    assert decoder.foreign == 1
    for kind in ("eventStreamTerminated", "serverShutdown", "listStatus", "externalLockUpdate"):
        assert decoder.decode(json.dumps({"e": kind, "E": 1}).encode(), 9) == (kind, ())


@pytest.mark.parametrize(
    "change", [{"S": "?"}, {"X": "?"}, {"p": "x"}, {"q": "inf"}, {"n": "0.000000001"}, {"n": "x"}, {"i": "x"}, {"e": 5}]
)
def test_malformed_events(instruments: dict[str, Instrument], change: dict[str, Any]) -> None:
    with pytest.raises(MalformedFrame, match="user data event"):
        user_events(instruments, {**EXECUTION, "x": "TRADE", **change})


def test_order_names_are_bounded() -> None:
    names = OrderNames(bound=3)
    for order_id in range(10):
        names.remember(order_id, f"m-{order_id}")
    assert len(names) == 3
    assert (names.name(9), names.name(0)) == ("m-9", None)

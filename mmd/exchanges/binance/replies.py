"""Replies of the WebSocket API to what they mean for the orders they were asked about."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mmd.exchanges.adapter import Event, OrderCommand
from mmd.exchanges.binance.decode import WIRE_ERRORS, MalformedFrame
from mmd.exchanges.binance.order_messages import Acknowledgement, OrderBody, OrderNames, order_update
from mmd.exchanges.binance.verdicts import NO_SUCH_ORDER, Verdict, verdict
from mmd.types.instrument import Instrument
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    CancelRejected,
    OrderAccepted,
    OrderBudgetReport,
    OrderNotFound,
    OrderRejected,
    OutcomeUnknown,
    PlaceOrder,
    QueryOrder,
    ReplaceOrder,
)

_INTERVAL_NS = {"SECOND": 10**9, "MINUTE": 60 * 10**9, "HOUR": 3600 * 10**9, "DAY": 86_400 * 10**9}


class ReplyError(msgspec.Struct, gc=False):
    """The `error` of a reply."""

    code: int
    msg: str
    data: msgspec.Raw = msgspec.Raw()


class _RateLimitLine(msgspec.Struct, gc=False):
    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int
    count: int


class Envelope(msgspec.Struct, gc=False):
    """Anything the WebSocket API sends: a reply (`id`, `status`, `result` or `error`) or an `event`."""

    id: int | str | None = None
    status: int = 0
    result: msgspec.Raw = msgspec.Raw()
    error: ReplyError | None = None
    rateLimits: list[_RateLimitLine] = []
    event: msgspec.Raw = msgspec.Raw()


class _ReplaceReport(msgspec.Struct, gc=False):
    cancelResult: str
    newOrderResult: str
    cancelResponse: msgspec.Raw = msgspec.Raw()
    newOrderResponse: msgspec.Raw = msgspec.Raw()


class _Amended(msgspec.Struct, gc=False):
    amendedOrder: OrderBody
    transactTime: int = 0


class _RetryAfter(msgspec.Struct, gc=False):
    retryAfter: int = 0


_ENVELOPE = msgspec.json.Decoder(Envelope)
_ACKNOWLEDGEMENT = msgspec.json.Decoder(Acknowledgement)
_ORDER = msgspec.json.Decoder(OrderBody, strict=False)
_AMENDED = msgspec.json.Decoder(_Amended, strict=False)
_REPLACE_REPORT = msgspec.json.Decoder(_ReplaceReport)
_ERROR = msgspec.json.Decoder(ReplyError)
_RETRY_AFTER = msgspec.json.Decoder(_RetryAfter)


def decode_envelope(frame: bytes) -> Envelope:
    """Raises `MalformedFrame`."""
    try:
        return _ENVELOPE.decode(frame)
    except WIRE_ERRORS as error:
        raise MalformedFrame("message of the WebSocket API", frame, error) from error


def retry_after_ms(error: ReplyError) -> int:
    """Until when the venue bids us wait, ms of its clock; 0 where it does not say. Raises `MalformedFrame`."""
    try:
        return _RETRY_AFTER.decode(error.data).retryAfter if bytes(error.data) else 0
    except WIRE_ERRORS as problem:
        raise MalformedFrame("data of a rate limit error", bytes(error.data), problem) from problem


def order_budgets(reply: Envelope, receive_ns: int) -> list[Event]:
    """The venue's own count of our orders, one report for each interval it limits."""
    return [
        OrderBudgetReport(receive_ns, line.count, line.limit, line.intervalNum * _INTERVAL_NS[line.interval])
        for line in reply.rateLimits
        if line.rateLimitType == "ORDERS" and line.interval in _INTERVAL_NS
    ]


def outcome_unknown(command: OrderCommand, receive_ns: int, detail: str) -> list[Event]:
    """What is to be said of a request without a usable reply: every order it names is unknown now."""
    names = [command.client_order_id]
    if isinstance(command, ReplaceOrder):
        names.insert(0, command.cancel_client_order_id)
    elif isinstance(command, AmendOrder) and command.new_client_order_id != command.client_order_id:
        names.append(command.new_client_order_id)
    return [OutcomeUnknown(receive_ns, command.symbol, name, detail) for name in names]


class ReplyDecoder:
    """Turns a reply into events, knowing the command that it answers."""

    def __init__(self, instruments: Mapping[str, Instrument], names: OrderNames) -> None:
        self._instruments = instruments
        self._names = names

    def outcome(self, command: OrderCommand, reply: Envelope, timestamp_ms: int, receive_ns: int) -> list[Event]:
        """The events of a reply. `timestamp_ms` is the request's, on the venue's clock. Raises `MalformedFrame`."""
        try:
            if reply.error is not None:
                return self._failure(command, reply.status, reply.error, timestamp_ms, receive_ns)
            if reply.status == 200:
                return self._success(command, reply.result, receive_ns)
        except WIRE_ERRORS as error:
            raise MalformedFrame(f"reply to {type(command).__name__}", bytes(reply.result), error) from error
        return outcome_unknown(command, receive_ns, f"status {reply.status} without error")

    def _success(self, command: OrderCommand, result: msgspec.Raw, receive_ns: int) -> list[Event]:
        if isinstance(command, PlaceOrder):
            return [self._accepted(command.client_order_id, result, receive_ns)]
        if isinstance(command, ReplaceOrder):
            return self._replaced(command, 200, result, receive_ns)
        if isinstance(command, AmendOrder):
            amended = _AMENDED.decode(result)
            order = amended.amendedOrder
            order.transactTime = order.transactTime or amended.transactTime
            self._names.remember(order.orderId, order.clientOrderId)
            return [self._update(order, order.clientOrderId, receive_ns, replaced=command.client_order_id)]
        # The reply to a cancel calls the order by the id of the cancel: what counts is what we asked about.
        order = _ORDER.decode(result)
        self._names.remember(order.orderId, command.client_order_id)
        return [self._update(order, command.client_order_id, receive_ns)]

    def _failure(self, command: OrderCommand, status: int, error: ReplyError, timestamp_ms: int, receive_ns: int) -> list[Event]:
        if isinstance(command, ReplaceOrder) and error.code in (-2021, -2022) and bytes(error.data):
            return self._replaced(command, status, error.data, receive_ns)
        if isinstance(command, QueryOrder) and error.code == NO_SUCH_ORDER:
            return [OrderNotFound(receive_ns, command.symbol, command.client_order_id, timestamp_ms)]
        if isinstance(command, QueryOrder) or verdict(status, error.code, error.msg) is Verdict.UNKNOWN:
            return outcome_unknown(command, receive_ns, f"{status} {error.code} {error.msg}")
        events: list[Event] = []
        if isinstance(command, ReplaceOrder):
            events.append(CancelRejected(receive_ns, command.symbol, command.cancel_client_order_id, error.code, error.msg))
        if isinstance(command, CancelOrder | AmendOrder):
            events.append(CancelRejected(receive_ns, command.symbol, command.client_order_id, error.code, error.msg))
        else:
            events.append(OrderRejected(receive_ns, command.symbol, command.client_order_id, error.code, error.msg))
        return events

    def _replaced(self, command: ReplaceOrder, status: int, body: msgspec.Raw, receive_ns: int) -> list[Event]:
        """Both legs of a cancelReplace, each judged by its own result."""
        report = _REPLACE_REPORT.decode(body)
        events: list[Event] = []
        if report.cancelResult == "SUCCESS":
            order = _ORDER.decode(report.cancelResponse)
            events.append(self._update(order, command.cancel_client_order_id, receive_ns))
        else:
            error = _ERROR.decode(report.cancelResponse)
            if verdict(status, error.code, error.msg) is Verdict.UNKNOWN:
                events.append(OutcomeUnknown(receive_ns, command.symbol, command.cancel_client_order_id, error.msg))
            else:
                events.append(CancelRejected(receive_ns, command.symbol, command.cancel_client_order_id, error.code, error.msg))
        if report.newOrderResult == "SUCCESS":
            events.append(self._accepted(command.client_order_id, report.newOrderResponse, receive_ns))
        elif report.newOrderResult == "NOT_ATTEMPTED":
            events.append(
                OrderRejected(receive_ns, command.symbol, command.client_order_id, -2022, "not attempted: the cancel failed")
            )
        else:
            error = _ERROR.decode(report.newOrderResponse)
            if verdict(status, error.code, error.msg) is Verdict.UNKNOWN:
                events.append(OutcomeUnknown(receive_ns, command.symbol, command.client_order_id, error.msg))
            else:
                events.append(OrderRejected(receive_ns, command.symbol, command.client_order_id, error.code, error.msg))
        return events

    def _accepted(self, client_order_id: str, body: msgspec.Raw, receive_ns: int) -> OrderAccepted:
        acknowledgement = _ACKNOWLEDGEMENT.decode(body)
        self._names.remember(acknowledgement.orderId, client_order_id)
        return OrderAccepted(receive_ns, acknowledgement.symbol, client_order_id, acknowledgement.orderId)

    def _update(self, order: OrderBody, client_order_id: str, receive_ns: int, *, replaced: str = "") -> Event:
        instrument = self._instruments.get(order.symbol)
        if instrument is None:
            raise ValueError(f"an order of {order.symbol}, which we do not trade")
        return order_update(order, instrument, receive_ns, client_order_id=client_order_id, replaced_client_order_id=replaced)

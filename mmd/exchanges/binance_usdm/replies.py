"""Replies of the futures' WebSocket API to what they mean for the orders they were asked about."""

from __future__ import annotations

import msgspec

from mmd.exchanges.adapter import Event, OrderCommand
from mmd.exchanges.binance.order_messages import OrderBody
from mmd.exchanges.binance.replies import ReplyDecoder, ReplyError, outcome_unknown
from mmd.exchanges.binance.verdicts import NO_SUCH_ORDER, Verdict
from mmd.exchanges.binance_usdm.verdicts import POST_ONLY_WOULD_TAKE, verdict
from mmd.types.orders import (
    CancelOrder,
    CancelRejected,
    ModifyOrder,
    OrderNotFound,
    OrderRejected,
    PlaceOrder,
    QueryOrder,
)

_ORDER = msgspec.json.Decoder(OrderBody, strict=False)


class UsdmReplyDecoder(ReplyDecoder):
    """See `ReplyDecoder`."""

    def _success(self, command: OrderCommand, result: msgspec.Raw, receive_ns: int) -> list[Event]:
        if isinstance(command, PlaceOrder):
            return [self._accepted(command.client_order_id, result, receive_ns)]
        order = _ORDER.decode(result)
        self._names.remember(order.orderId, command.client_order_id)
        return [self._update(order, command.client_order_id, receive_ns)]

    def _failure(self, command: OrderCommand, status: int, error: ReplyError, timestamp_ms: int, receive_ns: int) -> list[Event]:
        symbol, code, message = command.symbol, error.code, error.msg
        if isinstance(command, QueryOrder) and code == NO_SUCH_ORDER:
            return [OrderNotFound(receive_ns, symbol, command.client_order_id, timestamp_ms)]
        if isinstance(command, QueryOrder) or verdict(status, code, message) is Verdict.UNKNOWN:
            return outcome_unknown(command, receive_ns, f"{status} {code} {message}")
        if isinstance(command, CancelOrder | ModifyOrder):
            return [CancelRejected(receive_ns, symbol, command.client_order_id, code, message)]
        would_take = code == POST_ONLY_WOULD_TAKE
        return [OrderRejected(receive_ns, symbol, command.client_order_id, code, message, would_take)]

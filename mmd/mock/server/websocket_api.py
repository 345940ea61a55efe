"""The WebSocket API shell: requests in text frames to operations and back, sessions, and user data subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from mmd.mock.server import errors
from mmd.mock.server.connection import SocketConnection
from mmd.mock.server.errors import ErrorBody, WireError
from mmd.mock.server.execution import Request, authenticate, execute
from mmd.mock.server.fault_rim import FaultRim, wire_error
from mmd.mock.server.operations import Operation, OperationTable, Security
from mmd.mock.server.parameters import Parameters, parse_json_object
from mmd.mock.server.rate_limits import RateLimitLine
from mmd.mock.server.signatures import ApiKey, websocket_payload
from mmd.mock.server.venue import Venue
from mmd.types.decoding import UNREADABLE

_NULL = msgspec.Raw(b"null")
_RequestId = int | Annotated[str, msgspec.Meta(max_length=36)] | None
SESSION_WEIGHT = 2
SESSION_METHODS = {
    "session.logon": "log the connection on with an Ed25519 key; requests then need no signature",
    "session.status": "who is logged on, since when",
    "session.logout": "forget the key, and end the user data subscription that came with it",
    "session.subscriptions": "the user data subscriptions of this connection",
    "userDataStream.subscribe": "user data of the key that is logged on",
    "userDataStream.subscribe.signature": "user data of the key that signs this request",
    "userDataStream.unsubscribe": "end one subscription, or all without `subscriptionId`",
}
"""What the methods of a connection do, for the reference."""


class _ApiRequest(msgspec.Struct, frozen=True):
    method: str
    id: msgspec.Raw = _NULL
    params: dict[str, msgspec.Raw] = {}


class _ApiReply(msgspec.Struct, frozen=True):
    id: msgspec.Raw
    status: int
    result: object = msgspec.UNSET
    error: ErrorBody | msgspec.UnsetType = msgspec.UNSET
    rateLimits: list[RateLimitLine] | msgspec.UnsetType = msgspec.UNSET


class SessionStatus(msgspec.Struct, frozen=True):
    """`session.status`, `session.logon`, `session.logout`."""

    apiKey: str | None
    authorizedSince: int | None
    connectedSince: int
    returnRateLimits: bool
    serverTime: int
    userDataStream: bool


_decode_request = msgspec.json.Decoder(_ApiRequest).decode


def _check_id(raw: msgspec.Raw) -> None:
    """An id is a whole number, a text of up to 36 characters, or null. Raises `msgspec.ValidationError`."""
    msgspec.json.decode(raw, type=_RequestId)


class ApiSession:
    """One connection to the WebSocket API."""

    def __init__(
        self, socket: SocketConnection, venue: Venue, table: OperationTable, rim: FaultRim, *, return_rate_limits: bool
    ) -> None:
        self.socket = socket
        self._rim = rim
        self._venue = venue
        self._table = table
        self._return_rate_limits = return_rate_limits
        self._connected_ms = venue.server_ms()
        self._key: ApiKey | None = None
        self._authorized_ms: int | None = None
        self._subscriptions: dict[int, tuple[str, bool]] = {}
        self._next_subscription = 0
        self._session_methods: dict[str, Callable[[Parameters, Request], object]] = {
            "session.logon": self._logon,
            "session.status": self._status,
            "session.logout": self._logout,
            "session.subscriptions": self._list_subscriptions,
            "userDataStream.subscribe": self._subscribe,
            "userDataStream.subscribe.signature": self._subscribe_signed,
            "userDataStream.unsubscribe": self._unsubscribe,
        }

    def send(self, frame: bytes) -> None:
        """Send one user data event."""
        self.socket.send(frame)

    def close(self) -> None:
        """The websocket has ended."""
        self._drop_subscriptions(list(self._subscriptions), announce=False)

    def on_text(self, text: str) -> None:
        """Answer one request."""
        try:
            request = _decode_request(text)
            _check_id(request.id)
        except UNREADABLE:
            self._reply(_ApiReply(_NULL, 400, error=ErrorBody(-1135, "Invalid JSON Request")))
            return
        show_limits = self._return_rate_limits
        method = request.method.removeprefix("v3/")
        operation = self._table.by_method.get(method)
        changes_orders = operation is not None and operation.changes_orders
        plan = self._rim.plan("order_entry", self.socket.rim.number, method, changes_orders=changes_orders)
        try:
            if plan.refusal is not None:
                raise wire_error(plan.refusal, self._venue.server_ms())
            parameters = parse_json_object(request.params)
            show_limits = parameters.flag("returnRateLimits", show_limits)
            result, account = self._run(method, operation, parameters)
            if plan.error is not None:
                raise wire_error(plan.error, self._venue.server_ms())
            reply = _ApiReply(request.id, 200, result=result, rateLimits=self._limits(operation, account, show_limits))
        except WireError as error:
            limits = self._limits(operation if error.account else None, error.account, show_limits)
            reply = _ApiReply(request.id, error.status, error=self._error_body(error), rateLimits=limits)
        if plan.is_lost:
            return
        if plan.delay_ns:
            self.socket.send_later(msgspec.json.encode(reply), plan.delay_ns)
        else:
            self._reply(reply)

    def _run(self, method: str, operation: Operation | None, parameters: Parameters) -> tuple[object, str]:
        request = Request(
            self.socket.address,
            parameters,
            parameters.values.get("apiKey"),
            lambda: websocket_payload(parameters.values),
            self._key,
        )
        if operation is not None:
            return execute(self._venue, operation, request)
        handler = self._session_methods.get(method)
        if handler is None:
            raise errors.unsupported_operation()
        self._venue.limiter.charge(self.socket.address, SESSION_WEIGHT, self._venue.server_ms())
        return handler(parameters, request), ""

    def _limits(self, operation: Operation | None, account: str, show: bool) -> list[RateLimitLine] | msgspec.UnsetType:
        if not show:
            return msgspec.UNSET
        now_ms = self._venue.server_ms()
        lines = self._venue.limiter.order_lines(account, now_ms) if operation is not None and operation.counts_orders else []
        return [*lines, self._venue.limiter.weight_line(self.socket.address, now_ms)]

    def _error_body(self, error: WireError) -> ErrorBody:
        if error.retry_at_ms is None:
            return error.body()
        return ErrorBody(error.code, error.message, {"serverTime": self._venue.server_ms(), "retryAfter": error.retry_at_ms})

    def _reply(self, reply: _ApiReply) -> None:
        self.socket.send(msgspec.json.encode(reply))

    def _logon(self, parameters: Parameters, request: Request) -> SessionStatus:
        key = authenticate(self._venue, Security.SIGNED, request._replace(session_key=None))
        if not key.is_ed25519:
            raise WireError(-4056, f"{key.kind} API key is not supported.")
        self._key = key
        self._authorized_ms = self._venue.server_ms()
        return self._session_status()

    def _status(self, parameters: Parameters, request: Request) -> SessionStatus:
        return self._session_status()

    def _logout(self, parameters: Parameters, request: Request) -> SessionStatus:
        self._key = None
        self._authorized_ms = None
        self._drop_subscriptions([number for number, (_, by_session) in self._subscriptions.items() if by_session], announce=True)
        return self._session_status()

    def _session_status(self) -> SessionStatus:
        return SessionStatus(
            None if self._key is None else self._key.name,
            self._authorized_ms,
            self._connected_ms,
            self._return_rate_limits,
            self._venue.server_ms(),
            bool(self._subscriptions),
        )

    def _subscribe(self, parameters: Parameters, request: Request) -> dict[str, int]:
        if self._key is None:
            raise errors.bad_key()
        return self._open_subscription(self._key.account, by_session=True)

    def _subscribe_signed(self, parameters: Parameters, request: Request) -> dict[str, int]:
        key = authenticate(self._venue, Security.SIGNED, request._replace(session_key=None))
        return self._open_subscription(key.account, by_session=False)

    def _open_subscription(self, account: str, *, by_session: bool) -> dict[str, int]:
        if any(subscribed == account for subscribed, _ in self._subscriptions.values()):
            raise WireError(-2035, "User Data Stream subscription already active.")
        number = self._next_subscription
        self._next_subscription += 1
        self._subscriptions[number] = (account, by_session)
        self._venue.user_data.subscribe(account, self, number)
        return {"subscriptionId": number}

    def _unsubscribe(self, parameters: Parameters, request: Request) -> dict[str, object]:
        number = parameters.integer("subscriptionId")
        chosen = list(self._subscriptions) if number is None else [number]
        if not chosen or not all(each in self._subscriptions for each in chosen):
            raise WireError(-2036, "User Data Stream subscription not active.")
        self._drop_subscriptions(chosen, announce=True)
        return {}

    def _list_subscriptions(self, parameters: Parameters, request: Request) -> list[dict[str, int]]:
        return [{"subscriptionId": number} for number in self._subscriptions]

    def _drop_subscriptions(self, numbers: list[int], *, announce: bool) -> None:
        for number in numbers:
            account, _ = self._subscriptions.pop(number)
            self._venue.user_data.unsubscribe(account, self, number, self._venue.clock_ns(), announce=announce)

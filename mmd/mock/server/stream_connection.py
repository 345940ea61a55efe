"""One client of the market streams: its subscriptions and the requests it may send (SUBSCRIBE and its kin)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import structlog
from aiohttp import WSCloseCode

from mmd.mock.server.config import RateLimits
from mmd.mock.server.connection import SocketConnection
from mmd.types.decoding import UNREADABLE

_MAX_ID_LENGTH = 36
_SECOND_NS = 1_000_000_000
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

logger = structlog.get_logger(__name__)


class StreamRegistry(Protocol):
    """Where subscriptions are kept."""

    def subscribe(self, connection: StreamConnection, stream: str) -> None:
        """Begin."""

    def unsubscribe(self, connection: StreamConnection, stream: str) -> None:
        """End."""

    def is_known(self, stream: str) -> bool:
        """Whether the stream exists."""


class StreamRefusal(Exception):
    """A request on a stream connection is refused."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class StreamConnection:
    """Subscriptions of one websocket. `combined` wraps every frame as {"stream":…,"data":…}."""

    def __init__(
        self, socket: SocketConnection, registry: StreamRegistry, limits: RateLimits, clock: Callable[[], int], *, combined: bool
    ) -> None:
        self.combined = combined
        self.socket = socket
        self._registry = registry
        self._limits = limits
        self._clock = clock
        self._streams: dict[str, None] = {}
        self._incoming: deque[int] = deque()

    def send(self, frame: bytes) -> None:
        """Send one frame as it is."""
        self.socket.send(frame)

    def subscribe(self, streams: list[str]) -> None:
        """Read these streams too. Names that nothing will come on are accepted, as Binance does, and logged."""
        new = [stream for stream in dict.fromkeys(streams) if stream not in self._streams]
        if len(self._streams) + len(new) > self._limits.streams_per_connection:
            raise StreamRefusal(2, f"Invalid request: too many streams; the limit is {self._limits.streams_per_connection}")
        for stream in new:
            if not self._registry.is_known(stream):
                logger.warning("subscription to a stream that does not exist", stream=stream, peer=self.socket.address)
            self._streams[stream] = None
            self._registry.subscribe(self, stream)

    def close(self) -> None:
        """The websocket has ended."""
        for stream in self._streams:
            self._registry.unsubscribe(self, stream)
        self._streams.clear()

    def on_incoming(self) -> None:
        """Count a frame of the client; one that sends too many in a second is disconnected."""
        now_ns = self._clock()
        self._incoming.append(now_ns)
        while now_ns - self._incoming[0] >= _SECOND_NS:
            self._incoming.popleft()
        if len(self._incoming) > self._limits.stream_messages_per_second:
            self.socket.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")

    def on_text(self, text: str) -> None:
        """Answer one request."""
        request_id: object = None
        try:
            request = self._decode(text)
            request_id = self._request_id(request)
            reply: dict[str, object] = {"result": self._answer(request), "id": request_id}
        except StreamRefusal as refusal:
            reply = {"code": refusal.code, "msg": refusal.message, "id": request_id}
        self.socket.send(msgspec.json.encode(reply))

    def _decode(self, text: str) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(text)
        except UNREADABLE as error:
            raise StreamRefusal(3, f"Invalid JSON: {error}") from error
        if not isinstance(request, dict):
            raise StreamRefusal(2, "Invalid request: expected a JSON object")
        return request

    def _request_id(self, request: dict[str, Any]) -> object:
        request_id = request.get("id")
        is_integer = isinstance(request_id, int) and not isinstance(request_id, bool)
        is_text = isinstance(request_id, str) and len(request_id) <= _MAX_ID_LENGTH
        if request_id is not None and not is_integer and not is_text:
            raise StreamRefusal(2, "Invalid request: request ID must be an unsigned integer")
        return request_id

    def _answer(self, request: dict[str, Any]) -> object:
        method = request.get("method")
        params = request.get("params", [])
        if method is None:
            raise StreamRefusal(2, "Invalid request: missing field `method`")
        if not isinstance(params, list):
            raise StreamRefusal(2, "Invalid request: params must be an array")
        match method:
            case "SUBSCRIBE":
                self.subscribe(_stream_names(params))
            case "UNSUBSCRIBE":
                for stream in _stream_names(params):
                    self._streams.pop(stream, None)
                    self._registry.unsubscribe(self, stream)
            case "LIST_SUBSCRIPTIONS":
                return list(self._streams)
            case "SET_PROPERTY":
                self._set_property(params)
            case "GET_PROPERTY":
                self._check_property(params)
                return self.combined
            case _:
                variants = ", ".join(f"`{name}`" for name in _METHODS)
                raise StreamRefusal(2, f"Invalid request: unknown variant `{method}`, expected one of {variants}")
        return None

    def _set_property(self, params: list[object]) -> None:
        self._check_property(params)
        if len(params) != 2 or not isinstance(params[1], bool):
            raise StreamRefusal(1, "Invalid value type: expected Boolean")
        self.combined = params[1]

    def _check_property(self, params: list[object]) -> None:
        if not params or not isinstance(params[0], str):
            raise StreamRefusal(2, "Invalid request: property name must be a string")
        if params[0] != "combined":
            raise StreamRefusal(0, "Unknown property")


def _stream_names(params: list[object]) -> list[str]:
    names = [name for name in params if isinstance(name, str)]
    if len(names) != len(params) or not names:
        raise StreamRefusal(2, "Invalid request: params must be an array of stream names")
    return names

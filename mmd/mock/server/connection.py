"""One websocket of a client: a bounded send buffer, the server's pings, and an end with a reason.

`send` never waits. What the peer does not take in time is dropped together with the connection, so that a slow reader costs at most
`max_send_buffer` bytes and delays nobody else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from mmd.mock.server.config import MockConfig
from mmd.mock.server.connection_rim import ConnectionRim, break_off
from mmd.mock.server.time_unit import in_microseconds, wants_microseconds

_MAX_OUTSTANDING_PINGS = 16

logger = structlog.get_logger(__name__)


class SocketConnection:
    """A client's websocket. Create it inside the request handler, then await `serve`. Raises `WireError` for a bad `timeUnit`."""

    def __init__(self, request: web.Request, config: MockConfig, kind: str, rim: ConnectionRim) -> None:
        self.address = request.remote or "unknown"
        self.path = request.path_qs
        self.rim = rim
        self.close_reason = ""
        self.closed_for_slowness = False
        self._request = request
        self._config = config
        self._kind = kind
        self._microseconds = wants_microseconds(request.query.get("timeUnit"))
        self._socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=config.max_incoming_bytes)
        self._queue: deque[tuple[WSMsgType, bytes]] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._pinger: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None
        self._unanswered: deque[tuple[bytes, float]] = deque(maxlen=_MAX_OUTSTANDING_PINGS)

    @property
    def is_closing(self) -> bool:
        """Whether the end of this connection has begun."""
        return self._closer is not None

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the peer, the transport's own buffer apart."""
        return self._queued_bytes

    def send(self, payload: bytes) -> None:
        """Queue one text frame, or what a fault makes of it; a peer that is too slow for it is disconnected."""
        if self._microseconds:
            payload = in_microseconds(payload)
        if self.rim.clear:
            self._enqueue(WSMsgType.TEXT, payload)
        elif not self.is_closing:
            self.rim.pass_on(payload, self._enqueue_text)

    def send_later(self, payload: bytes, delay_ns: int) -> None:
        """Queue one text frame after so long, whatever has been sent by then."""
        self.rim.later(payload, delay_ns, self.send)

    def break_off(self, *, reset: bool) -> None:
        """End the connection at once, without a close frame."""
        break_off(self._request, reset=reset)

    def close(self, code: int, reason: str) -> None:
        """Send what is queued, then close. Returns at once; further calls change nothing."""
        self._begin_close(code, reason, flush=True)

    async def wait_closed(self) -> None:
        """Until a close that was begun is done."""
        if self._closer is not None:
            await asyncio.shield(self._closer)

    async def serve(self, on_text: Callable[[str], None], on_incoming: Callable[[], None] = lambda: None) -> web.WebSocketResponse:
        """Read until the connection ends. `on_incoming` hears of every frame (pings and pongs too), `on_text` gets the texts."""
        await self._socket.prepare(self._request)
        loop = asyncio.get_running_loop()
        self._sender = loop.create_task(self._send_queue())
        self._pinger = loop.create_task(self._ping())
        try:
            async for message in self._socket:
                on_incoming()
                if not self.rim.thawed.is_set():
                    await self.rim.thawed.wait()
                if self.is_closing:
                    continue
                if message.type is WSMsgType.TEXT:
                    on_text(message.data)
                elif message.type is WSMsgType.PING:
                    self._enqueue(WSMsgType.PONG, bytes(message.data))
                elif message.type is WSMsgType.PONG:
                    self._ponged(bytes(message.data))
                elif message.type is WSMsgType.BINARY:
                    self.close(WSCloseCode.UNSUPPORTED_DATA, "requests are JSON in text frames")
        finally:
            self._sender.cancel()
            self._pinger.cancel()
            await asyncio.gather(self._sender, self._pinger, return_exceptions=True)
            await self.wait_closed()
            self.rim.close()
            self._queue.clear()
            self._queued_bytes = 0
        return self._socket

    def _enqueue_text(self, payload: bytes) -> None:
        self._enqueue(WSMsgType.TEXT, payload)

    def _enqueue(self, kind: WSMsgType, payload: bytes) -> None:
        if self.is_closing:
            return
        if self._queued_bytes + self.rim.waiting_bytes + len(payload) > self._config.max_send_buffer:
            self.closed_for_slowness = True
            self._begin_close(WSCloseCode.POLICY_VIOLATION, "too slow a consumer: the send buffer is full", flush=False)
            return
        self._queue.append((kind, payload))
        self._queued_bytes += len(payload)
        self._wake.set()

    async def _send_queue(self) -> None:
        try:
            while True:
                self._idle.clear()
                while self._queue:
                    if not self.rim.thawed.is_set():
                        await self.rim.thawed.wait()
                        continue
                    kind, payload = self._queue.popleft()
                    self._queued_bytes -= len(payload)
                    await self._socket.send_frame(payload, kind)
                self._idle.set()
                self._wake.clear()
                await self._wake.wait()
        except ConnectionError:
            self._idle.set()
            self._begin_close(WSCloseCode.GOING_AWAY, "the peer is gone", flush=False)

    async def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        opened = loop.time()
        ends = opened + self._config.max_connection_age
        while True:
            await asyncio.sleep(max(0.0, min(self._config.ping_interval, ends - loop.time())))
            now = loop.time()
            if self._unanswered and now - self._unanswered[0][1] >= self._config.pong_timeout:
                self.close(WSCloseCode.POLICY_VIOLATION, "no pong in time")
                return
            if now >= ends:
                self.close(WSCloseCode.GOING_AWAY, "the connection is a day old")
                return
            payload = str(int(now * 1000)).encode()
            self._unanswered.append((payload, now))
            self._enqueue(WSMsgType.PING, payload)

    def _ponged(self, payload: bytes) -> None:
        if any(payload == sent for sent, _ in self._unanswered):
            while self._unanswered.popleft()[0] != payload:
                continue

    def _begin_close(self, code: int, reason: str, *, flush: bool) -> None:
        if self._closer is not None:
            return
        self.close_reason = reason
        logger.info(
            "connection closed", kind=self._kind, peer=self.address, code=int(code), reason=reason, queued_bytes=self._queued_bytes
        )
        self._closer = asyncio.get_running_loop().create_task(self._end(code, reason, flush))

    async def _end(self, code: int, reason: str, flush: bool) -> None:
        transport = self._request.transport
        try:
            async with asyncio.timeout(self._config.close_grace):
                if flush and self._queue:
                    self._idle.clear()
                    await self._idle.wait()
                if self._sender is not None:
                    self._sender.cancel()
                self._queue.clear()
                self._queued_bytes = 0
                await self._socket.close(code=code, message=reason.encode())
        except (TimeoutError, ConnectionError):
            logger.debug("peer did not take the close frame", kind=self._kind, peer=self.address)
        finally:
            if transport is not None:
                transport.abort()

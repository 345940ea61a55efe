"""The stream behind the operator's page and `mmd top`: snapshots of the daemon over websockets, a few a second.

A timer of the rim makes them, and only while somebody is connected, one for all who look. Nothing on the way of a tick knows of it.
Whoever reads too slowly is cut off: what waits for a connection is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from aiohttp import WSCloseCode, web

from mmd.daemon.event_tail import EVENTS, Event
from mmd.daemon.metrics import ProcessSources
from mmd.daemon.page.history import ChartHistory, Point
from mmd.daemon.state_document import Latencies, StateDocument, latencies, state_document

log = structlog.get_logger(__name__)

FRAME_SECONDS = 0.25
LATENCY_SECONDS = 2.0
"""Walking the histograms costs more than all the rest of a snapshot."""
MOST_CLIENTS = 8
MOST_WAITING = 16
"""Messages that may wait for one connection, beyond what the system's buffers hold: four seconds."""
LONGEST_MESSAGE = 1_024
"""Of what a client sends; there is nothing to say."""
HEARTBEAT_SECONDS = 20.0
CLOSE_SECONDS = 0.5
"""A daemon that leaves waits no longer for a browser's good-bye."""


class HistoryMessage(msgspec.Struct, frozen=True, tag_field="kind", tag="history"):
    """The first message: points of the charts by symbol, as `ChartHistory` has them."""

    points: dict[str, list[Point]]


class EventsMessage(msgspec.Struct, frozen=True, tag_field="kind", tag="events"):
    """The last events, all of them, whenever there is a new one."""

    events: list[Event]


class StateMessage(msgspec.Struct, frozen=True, tag_field="kind", tag="state"):
    """A snapshot: what /state answers, its latencies a little older."""

    state: StateDocument


class FailedMessage(msgspec.Struct, frozen=True, tag_field="kind", tag="failed"):
    """The core failed and the process is leaving: there is no more to come."""

    failure: str


class _Client:
    """One connection: what waits for it, and the way to cut it off."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, allowed: Callable[[], bool]) -> None:
        self.remote = request.remote
        self.allowed = allowed
        self._socket = socket
        self._transport = request.transport
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)

    def offer(self, message: str) -> bool:
        """False where too much waits already."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            return False
        return True

    async def write(self) -> None:
        """Until cancelled, or until the other side is gone."""
        try:
            while True:
                await self._socket.send_str(await self._waiting.get())
        except ConnectionError:
            # The reader of this connection sees it end.
            return

    def cut_off(self) -> None:
        """At once: a polite end would wait behind what is not read."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self, code: int, why: str) -> None:
        """Politely."""
        await self._socket.close(code=code, message=why.encode())


class StateFeed:
    """Serves websockets. Make it on a running event loop."""

    def __init__(self, sources: ProcessSources) -> None:
        self._sources = sources
        self._loop = asyncio.get_running_loop()
        self._history = ChartHistory()
        self._clients: set[_Client] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._measured: Latencies | None = None
        self._measure_due = 0.0
        self._events_told = 0
        self._pauses: tuple[str, ...] = ()
        self.counters = sources.page

    async def serve(self, request: web.Request, allowed: Callable[[], bool]) -> web.StreamResponse:
        """One connection, to its end. `allowed` is asked before each snapshot. 503 where too many are connected."""
        if len(self._clients) >= MOST_CLIENTS:
            text = f"{MOST_CLIENTS} are connected already: close another page or `mmd top`"
            return web.json_response({"error": text}, status=503)
        if not web.WebSocketResponse().can_prepare(request):
            return web.json_response({"error": "ask for a websocket: this is no document"}, status=400)
        socket = web.WebSocketResponse(
            timeout=CLOSE_SECONDS, heartbeat=HEARTBEAT_SECONDS, max_msg_size=LONGEST_MESSAGE, compress=False
        )
        await socket.prepare(request)
        client = _Client(request, socket, allowed)
        client.offer(_text(HistoryMessage(self._history.points())))
        client.offer(self._events_message())
        self._clients.add(client)
        self.counters.clients = len(self._clients)
        writing = self._loop.create_task(client.write(), name="operator's page")
        if self._timer is None:
            self._timer = self._loop.call_soon(self._beat)  # type: ignore[assignment]
        try:
            async for _ in socket:
                # Nothing is asked over this connection.
                continue
        finally:
            writing.cancel()
            self._forget(client)
        return socket

    async def close(self) -> None:
        """End every connection."""
        clients = tuple(self._clients)
        for client in clients:
            self._forget(client)
        await asyncio.gather(*(client.close(WSCloseCode.GOING_AWAY, "the daemon leaves") for client in clients))

    # ---- snapshots

    def _beat(self) -> None:
        self._timer = None
        if not self._clients:
            return
        self._timer = self._loop.call_later(FRAME_SECONDS, self._beat)
        for client in [client for client in self._clients if not client.allowed()]:
            self._forget(client)
            self._close_later(client, WSCloseCode.POLICY_VIOLATION, "the session has ended")
        failure = self._sources.dispatcher.failure
        if failure:
            self._send(_text(FailedMessage(failure)))
            return
        self._send(self._snapshot())
        if EVENTS.newest != self._events_told:
            self._events_told = EVENTS.newest
            self._send(self._events_message())

    def _snapshot(self) -> str:
        now = self._loop.time()
        if self._measured is None or now >= self._measure_due:
            self._measured, self._measure_due = latencies(self._sources), now + LATENCY_SECONDS
        state = state_document(self._sources, self._measured)
        self._history.add(state.trader)
        self._note_pauses(state.trader.pauses)
        return _text(StateMessage(state))

    def _note_pauses(self, pauses: tuple[str, ...]) -> None:
        before, self._pauses = self._pauses, pauses
        for pause in pauses:
            if pause not in before:
                EVENTS.add("warning", "paused", pause)
        for pause in before:
            if pause not in pauses:
                EVENTS.add("info", "pause over", pause)

    @staticmethod
    def _events_message() -> str:
        return _text(EventsMessage(list(EVENTS)))

    def _send(self, message: str) -> None:
        for client in [client for client in self._clients if not client.offer(message)]:
            self.counters.dropped += 1
            log.warning("a reader of the operator's page is too slow and was cut off", remote=client.remote)
            self._forget(client)
            client.cut_off()

    def _forget(self, client: _Client) -> None:
        self._clients.discard(client)
        self.counters.clients = len(self._clients)

    def _close_later(self, client: _Client, code: int, why: str) -> None:
        closing: asyncio.Task[Any] = self._loop.create_task(client.close(code, why), name="end of an operator's page")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _text(message: msgspec.Struct) -> str:
    return msgspec.json.encode(message).decode()

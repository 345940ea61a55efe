"""Websockets that stay up: connect, watch, renew before the venue's 24 hours are over, and connect again with back-off.

A `Link` is one websocket. A `Channel` keeps one link alive at a time (two for a moment while it renews) and tells its subclass
what arrived and when it went up or down.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from mmd.exchanges.adapter import AdapterCounters
from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.delivery import Complaints, EventOutlet, Tasks

log = structlog.get_logger(__name__)

_TEXT, _PING, _PONG = WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG
_IDLE_CHECKS = 4
_CLOSE_SECONDS = 1.0


class HandshakeRefused(ConnectionError):
    """The websocket stands but the venue did not let us in (subscription or logon failed)."""


CONNECT_ERRORS = (OSError, WSError, TimeoutError, ConnectionError)


@dataclass(slots=True)
class Surroundings:
    """What every part of the adapter shares."""

    clock_ns: Callable[[], int]
    outlet: EventOutlet
    complaints: Complaints
    counters: AdapterCounters
    tasks: Tasks


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a channel waits for what. Seconds."""

    connect: float
    idle: float | None
    ping_idle: float | None
    max_age: float
    overlap: float


class Link(WSListener):
    """One websocket. `ended` resolves to the reason once it is gone, `leaving` once it should be replaced."""

    def __init__(self, channel: Channel) -> None:
        loop = asyncio.get_running_loop()
        self._channel = channel
        self._reason = ""
        self.transport: WSTransport | None = None
        self.ended: asyncio.Future[str] = loop.create_future()
        self.leaving: asyncio.Future[str] = loop.create_future()
        self.messages = 0
        self.held = False
        """Whether nothing more is read until what was read is dealt with: then silence is our own."""

    @property
    def writable(self) -> bool:
        """Whether what is sent now can still reach the venue."""
        transport = self.transport
        return transport is not None and not (transport.is_disconnected or transport.is_close_frame_sent)

    @property
    def given_up(self) -> bool:
        """Whether this link failed or is being closed; what still arrives on it may have gaps."""
        return bool(self._reason)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Called by picows when the upgrade is done."""
        self.transport = transport
        if self._reason:
            # Given up while it was still connecting.
            transport.disconnect(graceful=False)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Called by picows for each frame, inside the read callback."""
        kind = frame.msg_type
        if kind is _TEXT and frame.fin:
            self.messages += 1
            self._channel.receive(self, frame.get_payload_as_bytes())
        else:
            self._on_unusual_frame(transport, frame, kind)
        if frame.last_in_buffer:
            self._channel.read_ended()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Called by picows when the socket is gone."""
        if not self.ended.done():
            self.ended.set_result(self._reason or "connection lost")

    def is_user_specific_pong(self, frame: WSFrame) -> bool:
        """Called by picows while it awaits a pong, which it then keeps to itself: the end of a read must not get lost with it."""
        is_pong = frame.msg_type is _PONG
        if is_pong and frame.last_in_buffer:
            self._channel.read_ended()
        return is_pong

    def send(self, message: bytes) -> None:
        """Write one text message. Raises `ConnectionError` when the link is gone."""
        if self.transport is None or not self.writable:
            raise ConnectionError("the link is gone")
        self.transport.send(_TEXT, message)

    @property
    def raw_socket(self) -> socket.socket | None:
        """The socket below, once connected."""
        found: socket.socket | None = (
            None if self.transport is None else self.transport.underlying_transport.get_extra_info("socket")
        )
        return found

    def hold(self) -> None:
        """Read nothing more until `go_on`."""
        self.held = True
        if self.transport is not None:
            self.transport.underlying_transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        self.held = False
        if self.transport is not None:
            self.transport.underlying_transport.resume_reading()

    def leave(self, reason: str) -> None:
        """Ask for a successor; this link stays up until that stands."""
        if not self.leaving.done():
            self.leaving.set_result(reason)

    def fail(self, reason: str) -> None:
        """Give this link up at once."""
        self._reason = self._reason or reason
        if self.transport is not None:
            self.transport.disconnect(graceful=False)

    async def close(self, reason: str) -> None:
        """Say good-bye, and wait a moment for the socket to be gone."""
        self._reason = self._reason or reason
        if self.transport is None:
            return
        if self.writable:
            self.transport.send_close(WSCloseCode.OK)
        self.transport.disconnect()
        await asyncio.wait({self.ended}, timeout=_CLOSE_SECONDS)
        if not self.ended.done():
            self.transport.disconnect(graceful=False)

    def _on_unusual_frame(self, transport: WSTransport, frame: WSFrame, kind: WSMsgType) -> None:
        # Pings are answered here, not by picows, which would swallow a read's last frame and with it the end of the batch.
        if kind is _PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            self._reason = (
                self._reason or f"closed by the venue: {frame.get_close_code()} {frame.get_close_reason() or ''}".rstrip()
            )
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind is not _PONG:
            self._channel.malformed(self, f"a frame of type {kind.name}, fin={frame.fin}, which this venue never sends")


class Channel:
    """Keeps a link alive. Subclasses say what the messages mean; nothing here knows the venue."""

    def __init__(self, name: str, url: str, surroundings: Surroundings, backoff: Backoff, patience: Patience) -> None:
        self.name = name
        self.url = url
        self.current: Link | None = None
        self.surroundings = surroundings
        self._backoff = backoff
        self._patience = patience
        self._links: set[Link] = set()

    async def prepare(self, link: Link) -> None:
        """After the websocket stands and before the channel counts as up. Raises one of `CONNECT_ERRORS` to refuse."""

    def receive(self, link: Link, message: bytes) -> None:
        """A text message arrived."""
        raise NotImplementedError

    def read_ended(self) -> None:
        """The last frame of one read of the socket was handed over."""
        raise NotImplementedError

    def on_up(self) -> None:
        """The channel is up."""
        raise NotImplementedError

    def on_unreachable(self, detail: str) -> None:
        """An attempt to connect failed."""

    def on_link_lost(self, link: Link, detail: str) -> None:
        """A link is gone, though its successor may stand."""

    def on_down(self, detail: str) -> None:
        """The channel is down."""
        raise NotImplementedError

    @property
    def overlapping(self) -> bool:
        """Whether an old link is still open beside its successor."""
        return len(self._links) > 1

    def malformed(self, link: Link, detail: str) -> None:
        """A message made no sense: count, warn, and begin anew on a fresh connection."""
        self.surroundings.counters.malformed += 1
        self.surroundings.complaints("malformed message, reconnecting", channel=self.name, detail=detail)
        link.fail("malformed message")

    async def run(self) -> None:
        """Keep the channel up until cancelled."""
        loop = asyncio.get_running_loop()
        counters = self.surroundings.counters
        while True:
            try:
                link = await self._open()
            except CONNECT_ERRORS as error:
                counters.connect_failures += 1
                detail = f"{type(error).__name__}: {error}"
                self.surroundings.complaints("cannot connect", channel=self.name, url=self.url, detail=detail)
                self.on_unreachable(detail)
                await asyncio.sleep(self._backoff.next_delay())
                continue
            began = loop.time()
            self.current = link
            log.info("connected", channel=self.name, url=self.url)
            self.on_up()
            detail = await self._attend(link)
            self.current = None
            counters.reconnects += 1
            self._backoff.record_uptime(loop.time() - began)
            log.info("disconnected", channel=self.name, detail=detail)
            self.on_down(detail)
            await asyncio.sleep(self._backoff.next_delay())

    async def close(self) -> None:
        """Close every link, once `run` was cancelled."""
        self.current = None
        await asyncio.gather(*[link.close("closing") for link in self._links])
        self._links.clear()

    async def _open(self) -> Link:
        link = Link(self)
        try:
            async with asyncio.timeout(self._patience.connect):
                await self._connect(link)
                if link.transport is None:
                    raise ConnectionError("the connection was lost during its handshake")
                await self.prepare(link)
        except BaseException:
            link.fail("not admitted")
            raise
        self._links.add(link)
        return link

    async def _connect(self, link: Link) -> None:
        ping_idle = self._patience.ping_idle
        await ws_connect(
            lambda *_: link,
            self.url,
            enable_auto_pong=False,
            enable_auto_ping=ping_idle is not None,
            auto_ping_idle_timeout=ping_idle or 10.0,
            auto_ping_reply_timeout=ping_idle or 10.0,
            websocket_handshake_timeout=self._patience.connect,
            logger_name=self.name,
        )

    async def _attend(self, link: Link) -> str:
        """Watch the link and its successors until none is left; returns why."""
        loop = asyncio.get_running_loop()
        idle = self._patience.idle
        began, seen, quiet_checks = loop.time(), -1, 0
        while True:
            age_left = max(0.0, began + self._patience.max_age - loop.time())
            wait = min(age_left, idle / _IDLE_CHECKS) if idle is not None else age_left
            await asyncio.wait({link.ended, link.leaving}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if link.ended.done():
                detail = await self._forget(link)
                return detail
            if link.leaving.done() or loop.time() - began >= self._patience.max_age:
                successor = await self._renew(link)
                if successor is not None:
                    link, began, seen, quiet_checks = successor, loop.time(), -1, 0
            elif idle is not None:
                quiet_checks = quiet_checks + 1 if link.messages == seen and not link.held else 0
                seen = link.messages
                if quiet_checks >= _IDLE_CHECKS:
                    link.fail(f"no message for {idle:g} s")
                    await link.ended

    async def _renew(self, old: Link) -> Link | None:
        """Open the successor first, then let the old link go. None, after a wait, if it could not be opened."""
        reason = old.leaving.result() if old.leaving.done() else "connection grown old"
        log.info("renewing", channel=self.name, reason=reason)
        try:
            successor = await self._open()
        except CONNECT_ERRORS as error:
            self.surroundings.counters.connect_failures += 1
            self.surroundings.complaints("cannot renew", channel=self.name, detail=f"{type(error).__name__}: {error}")
            await asyncio.wait({old.ended}, timeout=self._backoff.next_delay())
            return None
        self.current = successor
        self.surroundings.counters.reconnects += 1
        self.surroundings.tasks.start(self._retire(old), f"{self.name}: retire a link")
        return successor

    async def _retire(self, old: Link) -> None:
        await asyncio.wait({old.ended}, timeout=self._patience.overlap)
        if not old.ended.done():
            await old.close("renewed")
        await self._forget(old)

    async def _forget(self, link: Link) -> str:
        self._links.discard(link)
        detail = link.ended.result() if link.ended.done() else "renewed"
        if link.transport is not None and link.transport.is_disconnected:
            try:
                await link.transport.wait_disconnected()
            except WSError as error:
                detail = f"{detail} ({error})"
        self.on_link_lost(link, detail)
        return detail

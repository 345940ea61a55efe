"""What the adapter's tests play with: the mock exchange, wires with faults in front of it, and a sink that can be waited on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from mmd.exchanges.adapter import Event
from mmd.exchanges.binance.adapter import BinanceSpotAdapter
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.mock.server import MockExchange
from mmd.types.market import FeedState, FeedStatus, Side
from mmd.types.orders import OrderChannelStatus

PATIENCE_SECONDS = 10.0
BID_TICKS, ASK_TICKS = 2_816_500, 2_816_600

E = TypeVar("E")


class Recorder:
    """A sink that keeps every event, and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.failures: list[tuple[BaseException, str]] = []
        self.reactions: list[Callable[[Event], None]] = []
        self._arrived = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._arrived.set()
        for react in self.reactions:
            react(event)

    def on_failure(self, error: BaseException, where: str) -> None:
        self.failures.append((error, where))
        self._arrived.set()

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def mark(self) -> int:
        return len(self.events)

    async def wait_for(self, kind: type[E], matches: Callable[[E], bool] = lambda _: True, *, since: int = 0) -> E:
        """The first event of a kind that fits, from position `since` on."""
        position = since
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for event in self.events[position:]:
                    if isinstance(event, kind) and matches(event):
                        return event
                position = len(self.events)
                assert not self.failures, self.failures
                self._arrived.clear()
                await self._arrived.wait()


class Wire:
    """A TCP proxy in front of the mock. What the venue answers can be held back, and everything can be cut."""

    def __init__(self, upstream_url: str) -> None:
        parts = urlsplit(upstream_url)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._server: asyncio.Server | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self._connected = asyncio.Event()
        self._changed = asyncio.Event()
        self._pongs: asyncio.Queue[bytes] = asyncio.Queue()
        self.refusing = False
        self.refused = asyncio.Event()
        self.holding = False
        self.held = asyncio.Event()
        self._held: list[tuple[asyncio.StreamWriter, bytes]] = []
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def inject(self, data: bytes) -> None:
        """Write to every client as if the venue had."""
        for client, _ in self._pairs:
            client.write(data)

    async def wait_for_connections(self, count: int) -> None:
        """Until so many connections were opened, all in all."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.connections < count:
                self._connected.clear()
                await self._connected.wait()

    async def wait_for_open(self, count: int) -> None:
        """Until so many connections are open at once."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self._pairs) != count:
                self._changed.clear()
                await self._changed.wait()

    async def next_pong(self) -> bytes:
        """The payload of the next pong a client sends."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._pongs.get()

    def release(self) -> None:
        self.holding = False
        self.held.clear()
        held, self._held = self._held, []
        for writer, data in held:
            writer.write(data)

    def cut(self) -> None:
        """Cut every connection, with what was held back on it."""
        self._held.clear()
        self.held.clear()
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()

    async def stop(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            self.refused.set()
            writer.transport.abort()
            return
        self.connections += 1
        self._connected.set()
        up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        pair = (writer, up_writer)
        self._pairs.add(pair)
        loop = asyncio.get_running_loop()
        for work in (self._copy(reader, up_writer, pair, held=False), self._copy(up_reader, writer, pair, held=True)):
            task = loop.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        *,
        held: bool,
    ) -> None:
        try:
            while data := await reader.read(65536):
                if held and self.holding:
                    self._held.append((writer, data))
                    self.held.set()
                else:
                    if not held and data[0] == 0x8A:
                        self._pongs.put_nowait(unmasked(data))
                    writer.write(data)
        except ConnectionError:
            pass
        finally:
            self._pairs.discard(pair)
            self._changed.set()
            for end in pair:
                end.close()


def unmasked(frame: bytes) -> bytes:
    """The payload of a short frame as a client sends it."""
    mask, payload = frame[2:6], frame[6 : 6 + (frame[1] & 0x7F)]
    return bytes(byte ^ mask[position % 4] for position, byte in enumerate(payload))


def text_frame(payload: bytes) -> bytes:
    """A whole unmasked websocket text message, as a server writes it."""
    size = len(payload)
    header = bytes([0x81, size]) if size < 126 else bytes([0x81, 126]) + size.to_bytes(2, "big")
    return header + payload


class Room:
    """Mock, wires and adapter of one test."""

    def __init__(self, exchange: MockExchange, market_wire: Wire, order_wire: Wire, recorder: Recorder) -> None:
        self.exchange = exchange
        self.market_wire = market_wire
        self.order_wire = order_wire
        self.recorder = recorder
        self.adapter: BinanceSpotAdapter
        self._adapters: list[BinanceSpotAdapter] = []

    def settings(self, **changes: Any) -> BinanceSettings:
        values: dict[str, Any] = {
            "rest_url": self.exchange.rest_url,
            "stream_url": f"ws://127.0.0.1:{self.market_wire.port}",
            "websocket_api_url": f"ws://127.0.0.1:{self.order_wire.port}/ws-api/v3",
            "api_key": "K1",
            "api_secret": SecretStr("S1"),
            "backoff_first_seconds": 0.02,
            "announcements": False,
            "renewal_overlap_seconds": 0.3,
        }
        return BinanceSettings.model_validate(values | changes)

    async def open(
        self,
        *symbols: str,
        clock_ns: Callable[[], int] = time.time_ns,
        wait: bool = True,
        on_market_frame: Callable[[int, bytes], None] | None = None,
        **changes: Any,
    ) -> BinanceSpotAdapter:
        """Start an adapter, and wait until both channels are up."""
        self.adapter = BinanceSpotAdapter(
            self.settings(**changes),
            symbols or ("BTCUSDT",),
            clock_ns=clock_ns,
            on_failure=self.recorder.on_failure,
            random=Random(1),
            on_market_frame=on_market_frame,
        )
        self._adapters.append(self.adapter)
        await self.adapter.start(self.recorder)
        if wait:
            await self.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.CONNECTED)
            await self.recorder.wait_for(OrderChannelStatus, lambda event: event.connected)
        return self.adapter

    def background(self, side: Side, price_ticks: int, lots: int, symbol: str = "BTCUSDT") -> None:
        """Somebody else's limit order."""
        now_ns = time.time_ns()
        _, events = self.exchange.engine.background_limit(symbol, side, price_ticks, lots, now_ns)
        self.exchange.venue.publish(now_ns, symbol, events)

    def background_trade(self, side: Side, lots: int, symbol: str = "BTCUSDT") -> None:
        """Somebody else's market order."""
        now_ns = time.time_ns()
        events = self.exchange.engine.background_market(symbol, side, lots, now_ns)
        self.exchange.venue.publish(now_ns, symbol, events)

    async def close(self) -> None:
        for adapter in self._adapters:
            await adapter.close()
        await self.market_wire.stop()
        await self.order_wire.stop()


async def make_room(exchange: MockExchange) -> Room:
    market_wire, order_wire = Wire(exchange.stream_url), Wire(exchange.websocket_api_url)
    await market_wire.start()
    await order_wire.start()
    return Room(exchange, market_wire, order_wire, Recorder())

"""A TCP proxy in front of a venue: what the venue answers can be held back, and every connection can be cut."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from mmd.testing.recorder import PATIENCE_SECONDS


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

    def on_sent(self, data: bytes) -> None:
        """What a client sends, before it goes on to the venue."""
        if data[0] == 0x8A:
            self._pongs.put_nowait(unmasked(data))

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
                    if not held:
                        self.on_sent(data)
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

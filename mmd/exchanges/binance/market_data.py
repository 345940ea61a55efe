"""The market stream: one combined-stream connection for all symbols, decoded and handed on inside the read callback.

A read is as large as what has piled up since the one before, so under overload it may hold seconds of work. It is handled in slices
of time: between two of them the event loop turns, a halt is heard and cancels leave. Nothing more is read meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable

from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.connection import Channel, Link, Patience, Surroundings
from mmd.exchanges.binance.decode import ANNOUNCEMENT_STREAM, FrameDecoder, MalformedFrame, announces_shutdown
from mmd.exchanges.settings import ExchangeSettings
from mmd.types.market import BatchEnd, FeedState, FeedStatus, MarketTrade

STREAMS = ("bookTicker", "trade", "depth@100ms")

SLICE_NS = 1_000_000
"""After so long in one turn of the event loop the frames left of a read wait for the next turn. A frame takes 10 to 100 µs."""

SLICE_FRAMES = 8
"""So many are handled in a turn however long it takes: a processor that others took away must not make every frame cost a turn."""

RECEIVE_BUFFER_BYTES = 1 << 20
"""What the kernel may keep for us: left alone, it lets tens of megabytes grow old before the venue notices that we are too slow."""

_IDLE_NS = 0
_OVER_NS = 1
_ENDLESS_NS = 1 << 63


def stream_address(settings: ExchangeSettings, symbols: Iterable[str]) -> str:
    """The address of the combined stream."""
    names = [f"{symbol.lower()}@{stream}" for symbol in symbols for stream in STREAMS]
    if settings.subscribes_announcements:
        names.append(ANNOUNCEMENT_STREAM)
    return f"{settings.stream_url.rstrip('/')}/stream?streams={'/'.join(names)}"


class MarketData(Channel):
    """Delivers market events, `FeedStatus` when the stream comes up or goes down, and `BatchEnd` after each read."""

    def __init__(
        self,
        settings: ExchangeSettings,
        symbols: tuple[str, ...],
        decoder: FrameDecoder,
        surroundings: Surroundings,
        backoff: Backoff,
        on_frame: Callable[[int, bytes], None] | None = None,
    ) -> None:
        patience = Patience(
            connect=settings.connect_timeout_seconds,
            idle=settings.market_data_idle_seconds,
            ping_idle=None,
            max_age=settings.max_connection_age_seconds,
            overlap=settings.renewal_overlap_seconds,
        )
        super().__init__("market data", stream_address(settings, symbols), surroundings, backoff, patience)
        self._symbols = symbols
        self._decoder = decoder
        self._decode = decoder.decode
        self._clock_ns = surroundings.clock_ns
        self._outlet = surroundings.outlet
        self._counters = surroundings.counters
        self._newest_trade_ids = dict.fromkeys(symbols, -1)
        self._batch_ns = 0
        self._on_frame = on_frame
        self._slice_end_ns = _IDLE_NS
        self._slice_begun = 0
        """Frames that had been handled when it began."""
        self._waiting: deque[tuple[Link, bytes]] = deque()
        """The rest of a read. Bounded by it: the links that brought it are held until it is handled."""
        self._held: set[Link] = set()

    async def prepare(self, link: Link) -> None:
        """Bound what may pile up before us."""
        if (raw := link.raw_socket) is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)

    def receive(self, link: Link, message: bytes) -> None:
        """Decode one frame and hand the event over, or put it off to the next turn of the event loop."""
        if link.given_up:
            return
        receive_ns = self._clock_ns()
        if receive_ns >= self._slice_end_ns:
            if self._slice_end_ns == _IDLE_NS:
                self._slice_end_ns = receive_ns + SLICE_NS
                self._slice_begun = self._counters.frames
            elif self._waiting or self._counters.frames - self._slice_begun >= SLICE_FRAMES:
                self._put_off(link, message)
                return
        counters = self._counters
        counters.frames += 1
        counters.bytes_received += len(message)
        if self._on_frame is not None:
            self._on_frame(receive_ns, message)
        try:
            event = self._decode(message, receive_ns)
        except MalformedFrame as error:
            self.malformed(link, str(error))
            return
        if event is None:
            counters.ignored += 1
            if announces_shutdown(message):
                link.leave("the venue announced a shutdown")
            return
        if type(event) is MarketTrade and self._is_repeated(event):
            return
        self._batch_ns = receive_ns
        self._outlet(event)

    def read_ended(self) -> None:
        """Close the batch, if this read brought anything and nothing of it waits."""
        if self._waiting:
            return
        self._slice_end_ns = _IDLE_NS
        if self._batch_ns:
            batch_ns, self._batch_ns = self._batch_ns, 0
            self._outlet(BatchEnd(batch_ns))

    def on_up(self) -> None:
        """Tell the core that data will come."""
        now_ns = self._clock_ns()
        self._outlet.batch([FeedStatus(now_ns, FeedState.CONNECTED, self._symbols)], now_ns)

    def on_down(self, detail: str) -> None:
        """Tell the core that every book is invalid."""
        # What was read of a line that is gone says nothing about the books of the next one.
        self._waiting.clear()
        self._batch_ns = 0
        now_ns = self._clock_ns()
        self._outlet.batch([FeedStatus(now_ns, FeedState.DISCONNECTED, self._symbols, detail)], now_ns)

    def _put_off(self, link: Link, message: bytes) -> None:
        if not self._waiting and not self._held:
            asyncio.get_running_loop().call_soon(self._handle_waiting)
        if link not in self._held:
            self._held.add(link)
            link.hold()
        self._waiting.append((link, message))
        self._counters.frames_put_off += 1

    def _handle_waiting(self) -> None:
        """One slice of what waits; at its end, the batch's and the read's as well."""
        waiting = self._waiting
        slice_end_ns = self._clock_ns() + SLICE_NS
        self._slice_end_ns = _ENDLESS_NS
        handled = 0
        while waiting:
            link, message = waiting.popleft()
            self.receive(link, message)
            handled += 1
            if handled >= SLICE_FRAMES and self._clock_ns() >= slice_end_ns:
                break
        if waiting:
            self._slice_end_ns = _OVER_NS
            asyncio.get_running_loop().call_soon(self._handle_waiting)
            return
        self.read_ended()
        while self._held:
            self._held.pop().go_on()

    def _is_repeated(self, trade: MarketTrade) -> bool:
        """Two links at once bring each trade twice (books ignore what they have seen, volumes would not)."""
        if self.overlapping and trade.trade_id <= self._newest_trade_ids[trade.symbol]:
            return True
        self._newest_trade_ids[trade.symbol] = trade.trade_id
        return False

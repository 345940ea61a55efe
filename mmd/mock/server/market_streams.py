"""The market streams: who reads what, and the frames that the engine's events turn into.

For every operation, in this order: its trade prints go to `@trade`, then the touch to `@bookTicker` if it changed. Depth goes out
on its own beat: the diffs of consecutive frames are contiguous, because everything the engine changed since the last beat is taken
out of it on each beat, whether somebody reads or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmd.exchanges.binance.decode import ANNOUNCEMENT_STREAM
from mmd.mock.engine import EngineEvent, MatchingEngine, TradePrint
from mmd.mock.server.market_events import SymbolTexts
from mmd.mock.server.stream_connection import StreamConnection

PARTIAL_DEPTHS = (5, 10, 20)
_NS_PER_MS = 1_000_000


class _PendingDepth:
    """Depth changes gathered for the slow beat."""

    __slots__ = ("asks", "bids", "final_id", "first_id")

    def __init__(self) -> None:
        self.first_id = 0
        self.final_id = 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}


class MarketStreams:
    """Publishes the market to its readers."""

    def __init__(self, engine: MatchingEngine, texts: Mapping[str, SymbolTexts]) -> None:
        self._engine = engine
        self._texts = texts
        self._readers: dict[str, dict[StreamConnection, None]] = {}
        self._subscriptions: dict[str, int] = {}
        self._touches = {symbol: engine.touch(symbol)[1:] for symbol in texts}
        self._pending = {symbol: _PendingDepth() for symbol in texts}
        self._trade_streams = {symbol: f"{text.stream_prefix}@trade" for symbol, text in texts.items()}
        self._touch_streams = {symbol: f"{text.stream_prefix}@bookTicker" for symbol, text in texts.items()}

    def subscribe(self, connection: StreamConnection, stream: str) -> None:
        """From now on `connection` reads `stream`."""
        self._readers.setdefault(stream, {})[connection] = None
        if self.is_known(stream):
            self._subscriptions[stream] = self._subscriptions.get(stream, 0) + 1

    def unsubscribe(self, connection: StreamConnection, stream: str) -> None:
        """`connection` reads `stream` no more."""
        readers = self._readers.get(stream)
        if readers is not None:
            readers.pop(connection, None)
            if not readers:
                del self._readers[stream]

    def is_known(self, stream: str) -> bool:
        """Whether anything will ever come on a stream of that name."""
        if stream == ANNOUNCEMENT_STREAM:
            return True
        prefix, _, kind = stream.partition("@")
        if all(prefix != text.stream_prefix for text in self._texts.values()):
            return False
        kinds = {"trade", "bookTicker", "depth", "depth@0ms", "depth@100ms", "depth@250ms", "depth@500ms"}
        for depth in PARTIAL_DEPTHS:
            kinds |= {f"depth{depth}", f"depth{depth}@100ms"}
        return kind.removesuffix("@1000ms") in kinds

    def broadcast(self, stream: str, frame: bytes) -> None:
        """Send one raw frame to every reader of `stream`."""
        readers = self._readers.get(stream)
        if not readers:
            return
        wrapped: bytes | None = None
        for connection in readers:
            if connection.combined:
                if wrapped is None:
                    wrapped = b'{"stream":"%b","data":%b}' % (stream.encode(), frame)
                connection.send(wrapped)
            else:
                connection.send(frame)

    def reader_count(self, stream: str) -> int:
        """How many subscriptions to a known stream there ever were."""
        return self._subscriptions.get(stream, 0)

    def broadcast_as_is(self, streams: Sequence[str], combined: bytes, raw: bytes) -> None:
        """Send a recorded frame once to every reader of any of `streams`, in the form that the connection has."""
        readers: dict[StreamConnection, None] = {}
        for stream in streams:
            found = self._readers.get(stream)
            if found:
                readers.update(found)
        for connection in readers:
            connection.send(combined if connection.combined else raw)

    def on_operation(self, time_ns: int, symbol: str, events: Sequence[EngineEvent]) -> None:
        """Publish what one operation did to trades and touch."""
        trade_stream = self._trade_streams[symbol]
        if trade_stream in self._readers:
            text = self._texts[symbol]
            for event in events:
                if isinstance(event, TradePrint):
                    frame = text.trade_frame(
                        event.trade_id, event.price_ticks, event.lots, event.buyer_is_maker, event.time_ns // _NS_PER_MS
                    )
                    self.broadcast(trade_stream, frame)
        touch = self._engine.touch(symbol)
        if touch[1:] != self._touches[symbol]:
            self._touches[symbol] = touch[1:]
            touch_stream = self._touch_streams[symbol]
            if touch_stream in self._readers:
                self.broadcast(touch_stream, self._texts[symbol].book_ticker_frame(touch))

    def fast_beat(self, time_ns: int) -> None:
        """Publish the `@100ms` depth streams."""
        for symbol, text in self._texts.items():
            changes = self._engine.take_depth_changes(symbol)
            if changes is not None:
                self._gather(symbol, changes.first_update_id, changes.final_update_id, changes.bids, changes.asks)
                stream = f"{text.stream_prefix}@depth@100ms"
                if stream in self._readers:
                    frame = text.depth_frame(
                        changes.first_update_id, changes.final_update_id, changes.bids, changes.asks, time_ns // _NS_PER_MS
                    )
                    self.broadcast(stream, frame)
            self._partial_depth(symbol, text, "@100ms")

    def slow_beat(self, time_ns: int) -> None:
        """Publish the other depth streams: what the fast beats since the last slow one gathered."""
        for symbol, text in self._texts.items():
            pending = self._pending[symbol]
            if pending.final_id:
                self._pending[symbol] = _PendingDepth()
                for stream in (f"{text.stream_prefix}@depth", f"{text.stream_prefix}@depth@1000ms"):
                    if stream in self._readers:
                        bids = sorted(pending.bids.items(), reverse=True)
                        asks = sorted(pending.asks.items())
                        self.broadcast(
                            stream, text.depth_frame(pending.first_id, pending.final_id, bids, asks, time_ns // _NS_PER_MS)
                        )
            self._partial_depth(symbol, text, "")

    def _gather(
        self, symbol: str, first_id: int, final_id: int, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]
    ) -> None:
        pending = self._pending[symbol]
        if not pending.final_id:
            pending.first_id = first_id
        pending.final_id = final_id
        pending.bids.update(bids)
        pending.asks.update(asks)

    def _partial_depth(self, symbol: str, text: SymbolTexts, suffix: str) -> None:
        for depth in PARTIAL_DEPTHS:
            stream = f"{text.stream_prefix}@depth{depth}{suffix}"
            if stream in self._readers:
                update_id, bids, asks = self._engine.depth(symbol, depth)
                self.broadcast(stream, text.partial_depth_frame(update_id, bids, asks))

"""The market streams: who reads what, and the frames that the engine's events turn into.

For every operation, in this order: its trade prints go to `@trade`, aggregated to `@aggTrade`, then the touch to `@bookTicker` if
it changed. Depth goes out on its own beat: the diffs of consecutive frames are contiguous, because everything the engine changed
since the last beat is taken out of it on each beat, whether somebody reads or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmd.exchanges.binance.decode import ANNOUNCEMENT_STREAM
from mmd.mock.engine import MatchingEngine, TradePrint
from mmd.mock.server.market_events import SymbolTexts
from mmd.mock.server.statistics_streams import StatisticsStreams
from mmd.mock.server.stream_connection import StreamConnection
from mmd.mock.server.stream_names import EVERY_TOUCH_STREAM, MARKET_STREAMS, PARTIAL_DEPTHS, RECORDED_STREAMS, SYMBOL_STREAMS
from mmd.mock.server.trade_history import AggregateTrade, TradeHistory

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

    def __init__(self, engine: MatchingEngine, texts: Mapping[str, SymbolTexts], histories: Mapping[str, TradeHistory]) -> None:
        self._engine = engine
        self._texts = texts
        self._readers: dict[str, dict[StreamConnection, None]] = {}
        self._subscriptions: dict[str, int] = {}
        self._touches = {symbol: engine.touch(symbol)[1:] for symbol in texts}
        self._pending = {symbol: _PendingDepth() for symbol in texts}
        self._trade_streams = {symbol: f"{text.stream_prefix}@trade" for symbol, text in texts.items()}
        self._aggregate_streams = {symbol: f"{text.stream_prefix}@aggTrade" for symbol, text in texts.items()}
        self._statistics = StatisticsStreams(engine, texts, histories, self)
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
        if stream == ANNOUNCEMENT_STREAM or stream in MARKET_STREAMS:
            return True
        prefix, _, kind = stream.partition("@")
        if all(prefix != text.stream_prefix for text in self._texts.values()):
            return False
        kind = kind.removesuffix("@1000ms")
        return kind in SYMBOL_STREAMS or kind in RECORDED_STREAMS

    def has_readers(self, stream: str) -> bool:
        """Whether anybody reads `stream`."""
        return stream in self._readers

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

    def on_operation(self, time_ns: int, symbol: str, prints: Sequence[TradePrint], aggregates: Sequence[AggregateTrade]) -> None:
        """Publish what one operation did to trades and touch."""
        if prints:
            self._publish_trades(symbol, prints, aggregates)
        touch = self._engine.touch(symbol)
        shown = touch[1:]
        if shown != self._touches[symbol]:
            self._touches[symbol] = shown
            touch_stream = self._touch_streams[symbol]
            if touch_stream in self._readers or EVERY_TOUCH_STREAM in self._readers:
                frame = self._texts[symbol].book_ticker_frame(touch)
                self.broadcast(touch_stream, frame)
                self.broadcast(EVERY_TOUCH_STREAM, frame)

    def _publish_trades(self, symbol: str, prints: Sequence[TradePrint], aggregates: Sequence[AggregateTrade]) -> None:
        text = self._texts[symbol]
        stream = self._trade_streams[symbol]
        if stream in self._readers:
            for each in prints:
                time_ms = each.time_ns // _NS_PER_MS
                self.broadcast(stream, text.trade_frame(each.trade_id, each.price_ticks, each.lots, each.buyer_is_maker, time_ms))
        stream = self._aggregate_streams[symbol]
        if stream in self._readers:
            for aggregate in aggregates:
                self.broadcast(stream, text.aggregate_frame(aggregate))

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

    def statistics_beat(self, time_ns: int, stamp_ns: int) -> None:
        """Publish klines, tickers and averages of `time_ns`, a full second, in events that are stamped `stamp_ns`."""
        self._statistics.beat(time_ns, stamp_ns)

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

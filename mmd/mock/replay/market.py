"""A recording as the market of the mock exchange: its frames go out as they were, and accounts trade in its queues.

The replay begins with the first reader of a recorded stream and stands at `epoch + elapsed * speed`; requests are still checked
against the wall clock. A hole in the recording longer than a few seconds is skipped. Where it stands is announced on the stream
`mmd@announcement`, in the venue's own time (its stamps, not the recorder's receive times: stamps are what a reader can compare).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec
import structlog

from mmd.exchanges.binance.decode import ANNOUNCEMENT_STREAM, FrameDecoder, MalformedFrame
from mmd.mock.engine import EngineEvent, MatchingEngine, TradePrint
from mmd.mock.replay.book import RecordedBook, RecordedEvent
from mmd.mock.replay.matcher import QueueMatcher
from mmd.recording.recording import RecordedLine, Recording, RecordingError, inner_data
from mmd.types.market import DepthSnapshot, DepthUpdate, FeedAnnouncement, Level, MarketTrade, Side, TouchUpdate

MarketSink = Callable[[int, str, Sequence[EngineEvent]], None]

LONGEST_GAP_NS = 5_000_000_000
GAP_LEFT_NS = 1_000_000_000
"""What is played of a gap that is skipped."""
ANNOUNCEMENT_INTERVAL_NS = 1_000_000_000
_DEPTH_KINDS = ("depth", "depth@0ms", "depth@100ms", "depth@250ms", "depth@500ms", "depth@1000ms")

logger = structlog.get_logger(__name__)


class Wire(Protocol):
    """The streams of the server, as far as a replay needs them."""

    def reader_count(self, stream: str) -> int:
        """How many connections ever subscribed to `stream`."""

    def broadcast_as_is(self, streams: Sequence[str], combined: bytes, raw: bytes) -> None:
        """Send a frame once to every reader of any of these streams, in the form that each connection has."""


class _Announced(msgspec.Struct, frozen=True):
    event: str = msgspec.field(name="e")
    epoch: int
    speed: float
    ended: bool
    frames: int


class ReplayMarket:
    """Plays `recording` into `engine` and onto `wire()`, and tells `on_trade` of every recorded trade.

    Raises `RecordingError` where a frame cannot be read.
    """

    def __init__(
        self,
        engine: MatchingEngine,
        recording: Recording,
        speed: float,
        wire: Callable[[], Wire],
        on_trade: Callable[[TradePrint], None] = lambda trade: None,
    ) -> None:
        self._engine = engine
        self._recording = recording
        self._speed = speed
        self._wire = wire
        self._on_trade = on_trade
        self._decoder = FrameDecoder(recording.instruments)
        self._books = {symbol: RecordedBook(symbol) for symbol in recording.instruments}
        self._matchers = {symbol: QueueMatcher(engine, symbol, self._traded) for symbol in recording.instruments}
        self._streams: dict[tuple[str, str], tuple[str, ...]] = {}
        self._lines = recording.lines()
        self._next = next(self._lines, None)
        self._sink: MarketSink | None = None
        self._now_ns = 0
        self._started_ns = 0
        self._epoch_ns = recording.begin_ns
        self._stamp_offset_ns: int | None = None
        self._next_announcement_ns = 0
        self._listeners = 0
        self.frames = 0
        """Recorded frames played, the depth snapshots apart."""
        self.skipped_ns = 0
        self.ended = False
        self._end_ns = 0
        for symbol in self._books:
            self._seed(symbol)

    def depth(self, symbol: str, limit: int) -> tuple[int, list[Level], list[Level]]:
        """The recorded book where the replay stands, without our orders: id of the last diff sent, bids, asks."""
        return self._books[symbol].depth(limit)

    def position_ns(self, now_ns: int) -> int:
        """Where the replay should stand by now, in recorded receive time."""
        return self._epoch_ns + round((now_ns - self._started_ns) * self._speed)

    def advance(self, until_ns: int, sink: MarketSink) -> None:
        """Play everything due by `until_ns` of the wall clock."""
        self._sink = sink
        self._now_ns = until_ns
        if not self._started_ns:
            if not self._has_readers():
                return
            self._started_ns = until_ns
            logger.info("replay begins", files=[str(file.path) for file in self._recording.files], speed=self._speed)
            self._find_stamp_offset()
        self._announce_if_due()
        while self._next is not None:
            position_ns = self.position_ns(until_ns)
            due_ns = self._next.receive_ns
            if due_ns > position_ns:
                if due_ns - position_ns > LONGEST_GAP_NS:
                    self._skip(due_ns - GAP_LEFT_NS - position_ns)
                return
            line = self._next
            self._play(line)
            self._next = next(self._lines, None)
        if not self.ended:
            self.ended = True
            self._end_ns = self.position_ns(until_ns)
            logger.info("replay ended", frames=self.frames, breaks={symbol: book.breaks for symbol, book in self._books.items()})
            self._announce()

    # ---- playing

    def _play(self, line: RecordedLine) -> None:
        event = self._decode(line)
        if line.kind:
            self.frames += 1
            self._wire().broadcast_as_is(self._streams_of(line), line.frame, inner_data(line.frame))
        book, matcher = self._books[line.symbol], self._matchers[line.symbol]
        if isinstance(event, TouchUpdate):
            book.on_touch_update(event)
            matcher.on_touch_update(event, self._now_ns)
        elif isinstance(event, DepthUpdate):
            breaks = book.breaks
            if book.on_depth_update(event):
                if book.breaks > breaks:
                    self._begin_anew(line.symbol)
                matcher.on_depth_update(event, self._now_ns)
        elif isinstance(event, DepthSnapshot):
            if book.on_depth_snapshot(event):
                self._begin_anew(line.symbol)
        elif isinstance(event, MarketTrade):
            self._on_trade(self._print_of(event))
            matcher.on_trade(event, self._now_ns)
        # Nobody takes the engine's own diffs while a recording is shown.
        if self.frames % 1000 == 0:
            self._engine.take_depth_changes(line.symbol)

    def _begin_anew(self, symbol: str) -> None:
        """The levels are others than a diff made of them: after a hole, or mended by a snapshot."""
        _, bids, asks = self._books[symbol].depth(1 << 30)
        self._matchers[symbol].reload(bids, asks, self._now_ns)

    def _print_of(self, trade: MarketTrade) -> TradePrint:
        """A recorded trade as the public is told of it, at the wall clock's time; its orders are nobody's here."""
        return TradePrint(
            trade.symbol, trade.trade_id, trade.price_ticks, trade.lots, trade.aggressor is Side.SELL, 0, 0, self._now_ns
        )

    def _decode(self, line: RecordedLine) -> RecordedEvent | MarketTrade | FeedAnnouncement | None:
        try:
            if not line.kind:
                return self._decoder.decode_snapshot(line.symbol, line.frame, line.receive_ns)
            return self._decoder.decode(line.frame, line.receive_ns)
        except MalformedFrame as error:
            raise RecordingError(f"recording of {line.symbol} at {line.receive_ns}: {error}") from error

    def _streams_of(self, line: RecordedLine) -> tuple[str, ...]:
        key = (line.symbol, line.kind)
        streams = self._streams.get(key)
        if streams is None:
            kinds = dict.fromkeys((line.kind, *_DEPTH_KINDS)) if line.kind in _DEPTH_KINDS else (line.kind,)
            streams = self._streams[key] = tuple(f"{line.symbol.lower()}@{kind}" for kind in kinds)
        return streams

    def _traded(self, symbol: str, events: Sequence[EngineEvent]) -> None:
        assert self._sink is not None
        self._sink(self._now_ns, symbol, events)

    def _skip(self, gap_ns: int) -> None:
        self._epoch_ns += gap_ns
        self.skipped_ns += gap_ns
        logger.warning("a gap of the recording is skipped", seconds=round(gap_ns / 1e9, 3), frames=self.frames)
        self._announce()

    def _has_readers(self) -> bool:
        kinds = (*_DEPTH_KINDS, "bookTicker", "trade")
        wire = self._wire()
        return any(wire.reader_count(f"{symbol.lower()}@{kind}") for symbol in self._books for kind in kinds)

    # ---- the beginning

    def _seed(self, symbol: str) -> None:
        def ahead() -> Iterator[RecordedEvent]:
            for line in self._recording.lines_of(symbol):
                event = self._decode(line)
                if isinstance(event, DepthUpdate | DepthSnapshot | TouchUpdate):
                    yield event

        book = self._books[symbol]
        book.seed(ahead())
        _, bids, asks = book.depth(1 << 30)
        self._matchers[symbol].load(bids, asks, 0)
        if book.from_snapshot:
            logger.info("book begins with the recorded snapshot", symbol=symbol, bids=len(bids), asks=len(asks))
        else:
            logger.warning(
                "the recording has no depth snapshot at its beginning: levels are learned as they are seen",
                symbol=symbol,
                bids=len(bids),
                asks=len(asks),
            )

    def _find_stamp_offset(self) -> None:
        """The recorder's clock may be seconds off the venue's: the first stamped frame tells by how much."""
        for line in self._recording.lines():
            event = self._decode(line)
            stamp_ns = 0 if event is None or isinstance(event, DepthSnapshot | FeedAnnouncement) else event.exchange_ns
            if stamp_ns:
                self._stamp_offset_ns = stamp_ns - line.receive_ns
                return

    # ---- announcements

    def _announce_if_due(self) -> None:
        listeners = self._wire().reader_count(ANNOUNCEMENT_STREAM)
        if listeners != self._listeners or self._now_ns >= self._next_announcement_ns:
            self._listeners = listeners
            self._announce()

    def _announce(self) -> None:
        self._next_announcement_ns = self._now_ns + ANNOUNCEMENT_INTERVAL_NS
        position_ns = self._end_ns if self.ended else self.position_ns(self._now_ns)
        epoch_ns = position_ns + (self._stamp_offset_ns or 0)
        raw = msgspec.json.encode(_Announced("announcement", epoch_ns, self._speed, self.ended, self.frames))
        combined = b'{"stream":"%b","data":%b}' % (ANNOUNCEMENT_STREAM.encode(), raw)
        self._wire().broadcast_as_is((ANNOUNCEMENT_STREAM,), combined, raw)

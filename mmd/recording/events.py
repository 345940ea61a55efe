"""The market events of recorded files, in the order of their lines: what a live adapter would have delivered.

What a recording lacks is never invented: without a depth snapshot, the levels that moved in its first seconds stand for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mmd.exchanges.binance.decode import FrameDecoder, MalformedFrame, is_depth_snapshot
from mmd.recording.recording import LineError, RecordingError, parse_line, raw_lines, read_lines
from mmd.types.instrument import Instrument
from mmd.types.market import (
    NO_UPDATE_ID,
    DepthSnapshot,
    DepthUpdate,
    FeedAnnouncement,
    Level,
    MarketTrade,
    TouchUpdate,
)

MarketEvent = DepthUpdate | DepthSnapshot | TouchUpdate | MarketTrade
RejectedLine = Callable[[Path, int, bytes, str], None]
"""Hears of a line that cannot be used: file, line number, the line, and why."""

SNAPSHOT_SECONDS = 30.0
"""A recording without a snapshot spends so many seconds on learning its levels from diffs."""
_SECOND_NS = 1_000_000_000


def recorded_events(
    paths: Sequence[Path], instrument: Instrument, on_rejected: RejectedLine | None = None
) -> Iterator[MarketEvent]:
    """Decode the frames of files that follow each other. A recording without a depth snapshot gets one made of its first diffs.

    A line that makes no sense is told to `on_rejected`; without it, it raises `RecordingError` or `MalformedFrame`.
    """
    events = (event for path in paths for event in _decoded(path, FrameDecoder([instrument]), instrument.symbol, on_rejected))
    if has_snapshot(paths):
        return events
    return _with_learned_snapshot(events, instrument.symbol)


def has_snapshot(paths: Sequence[Path]) -> bool:
    """Whether any line of the files is a depth snapshot."""
    return any(is_depth_snapshot(line.partition(b" ")[2]) for path in paths for _, line in raw_lines(path, _told_elsewhere))


def _decoded(path: Path, decoder: FrameDecoder, symbol: str, on_rejected: RejectedLine | None) -> Iterator[MarketEvent]:
    if on_rejected is None:
        for line in read_lines(path, symbol):
            event = _event(decoder, line.symbol, line.kind, line.frame, line.receive_ns)
            if event is not None:
                yield event
        return
    reached = 0
    faults: list[str] = []
    try:
        for number, raw in raw_lines(path, faults.append):
            reached = number
            try:
                line = parse_line(raw, symbol)
                event = _event(decoder, line.symbol, line.kind, line.frame, line.receive_ns)
            except (LineError, MalformedFrame) as error:
                on_rejected(path, number, raw, str(error))
                continue
            if event is not None:
                yield event
    except RecordingError as error:
        faults.append(str(error))
    for fault in faults:
        on_rejected(path, reached + 1, b"", fault)


def _event(decoder: FrameDecoder, symbol: str, kind: str, frame: bytes, receive_ns: int) -> MarketEvent | None:
    if not kind:
        return decoder.decode_snapshot(symbol, frame, receive_ns)
    event = decoder.decode(frame, receive_ns)
    return None if isinstance(event, FeedAnnouncement) else event


def _with_learned_snapshot(events: Iterator[MarketEvent], symbol: str) -> Iterator[MarketEvent]:
    """Put a snapshot of the levels that moved in the first seconds where those end. Levels that never moved stay unknown."""
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    last_id, begin_ns = NO_UPDATE_ID, 0
    for event in events:
        begin_ns = begin_ns or event.receive_ns
        if last_id != NO_UPDATE_ID and event.receive_ns - begin_ns >= SNAPSHOT_SECONDS * _SECOND_NS:
            bids, asks = (_levels(side) for side in sides)
            yield DepthSnapshot(symbol, event.receive_ns, last_id, tuple(reversed(bids)), tuple(asks))
            yield event
            break
        if isinstance(event, DepthUpdate):
            last_id = event.final_update_id
            for side, levels in zip(sides, (event.bids, event.asks), strict=True):
                side.update(levels)
        yield event
    else:
        raise RecordingError(f"{symbol}: the recording has no depth snapshot and is too short to learn the levels from its diffs")
    yield from events


def _levels(side: dict[int, int]) -> list[Level]:
    return sorted((price, lots) for price, lots in side.items() if lots)


def _told_elsewhere(_text: str) -> None:
    """Whoever reads the events hears of the tear."""

"""The recorded order book of one symbol at the place where the replay stands: what `depth` is answered from.

A recorded REST snapshot is dated back to the beginning: every level that no diff touched up to the snapshot already stood as it
shows it. So a client that asks early gets fewer levels, never a wrong one, and has all of them once it has applied the diffs
up to it.
Without a snapshot the levels are learned: from the diffs, and from touches that no diff has contradicted. So they are after a hole
in the recording, since what stood before it may be gone, until a snapshot recorded later shows what stands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from mmd.market.book_sync import follows, follows_snapshot
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, Level, Side, TouchUpdate

RecordedEvent = DepthUpdate | DepthSnapshot | TouchUpdate
LevelKey = tuple[Side, int]

LEARNING_SECONDS = 10
_NS_PER_SECOND = 1_000_000_000
_LONGEST_SEARCH_NS = 60 * _NS_PER_SECOND
_MOST_TOUCHES_WAITING = 10_000
_MOST_DIFFS_WAITING = 10_000


class RecordedBook:
    """Bids and asks in ticks and lots, and `update_id`, the last diff applied (NO_UPDATE_ID before the first)."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.levels: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self.update_id = NO_UPDATE_ID
        self.breaks = 0
        """Diffs that did not follow the one before: holes of the recording itself."""
        self.from_snapshot = False
        self._touches: deque[TouchUpdate] = deque(maxlen=_MOST_TOUCHES_WAITING)
        self._since_break: deque[DepthUpdate] | None = None
        """Diffs since a hole, until a snapshot mends the book."""

    def seed(self, events: Iterable[RecordedEvent]) -> None:
        """Look ahead (at most a minute) for what already stood at the beginning. Call once, before the first event."""
        touched: set[LevelKey] = set()
        learned: dict[LevelKey, int] = {}
        touches: deque[TouchUpdate] = deque()
        snapshot: DepthSnapshot | None = None
        begin_ns = 0
        for event in events:
            begin_ns = begin_ns or event.receive_ns
            if event.receive_ns - begin_ns > _LONGEST_SEARCH_NS:
                break
            if isinstance(event, DepthSnapshot):
                snapshot = event
            elif isinstance(event, TouchUpdate):
                if event.receive_ns - begin_ns < LEARNING_SECONDS * _NS_PER_SECOND:
                    touches.append(event)
            else:
                if snapshot is not None and event.first_update_id > snapshot.last_update_id:
                    break
                touched.update(_changes(event))
                while touches and touches[0].update_id <= event.final_update_id:
                    for key, lots in _touch_levels(touches.popleft()):
                        if key not in touched:
                            learned.setdefault(key, lots)
        if snapshot is not None:
            self.from_snapshot = True
            learned = {
                (side, ticks): lots
                for side, levels in ((Side.BUY, snapshot.bids), (Side.SELL, snapshot.asks))
                for ticks, lots in levels
                if (side, ticks) not in touched
            }
        for (side, ticks), lots in learned.items():
            self.levels[side][ticks] = lots

    def on_touch_update(self, event: TouchUpdate) -> None:
        """Remember a touch until the diffs reach it: it may show a level that no diff has spoken of."""
        if not self.from_snapshot:
            self._touches.append(event)

    def on_depth_update(self, event: DepthUpdate) -> bool:
        """Apply a diff. False where it is older than the book."""
        if self.update_id != NO_UPDATE_ID:
            if event.final_update_id <= self.update_id:
                return False
            if not (follows(self.update_id, event) or follows_snapshot(self.update_id, event)):
                self._break()
        while self._touches and self._touches[0].update_id <= event.final_update_id:
            for (side, ticks), lots in _touch_levels(self._touches.popleft()):
                self.levels[side].setdefault(ticks, lots)
        self._apply(event)
        self.update_id = event.final_update_id
        if self._since_break is not None:
            self._since_break.append(event)
        return True

    def on_depth_snapshot(self, event: DepthSnapshot) -> bool:
        """A snapshot of the recording. True where it mended a book that had a hole: the levels are others now."""
        diffs = self._since_break
        if diffs is None or not diffs or diffs[0].first_update_id > event.last_update_id + 1:
            return False
        later = [diff for diff in diffs if diff.final_update_id > event.last_update_id]
        self._since_break = None
        self.levels = {Side.BUY: dict(event.bids), Side.SELL: dict(event.asks)}
        self.update_id = event.last_update_id
        for diff in later:
            self._apply(diff)
            self.update_id = diff.final_update_id
        self.from_snapshot = True
        self._touches.clear()
        return True

    def depth(self, limit: int) -> tuple[int, list[Level], list[Level]]:
        """Update id, and up to `limit` bids and asks, best first. The id is 0 before the first diff."""
        bids = sorted(self.levels[Side.BUY].items(), reverse=True)[:limit]
        asks = sorted(self.levels[Side.SELL].items())[:limit]
        return max(0, self.update_id), bids, asks

    def _break(self) -> None:
        """A hole of the recording: nothing that stood before it is known to stand."""
        self.breaks += 1
        self.levels = {Side.BUY: {}, Side.SELL: {}}
        self.from_snapshot = False
        self._touches.clear()
        self._since_break = deque(maxlen=_MOST_DIFFS_WAITING)

    def _apply(self, event: DepthUpdate) -> None:
        for side, levels in ((Side.BUY, event.bids), (Side.SELL, event.asks)):
            known = self.levels[side]
            for ticks, lots in levels:
                if lots:
                    known[ticks] = lots
                else:
                    known.pop(ticks, None)


def _changes(event: DepthUpdate) -> list[LevelKey]:
    return [(Side.BUY, ticks) for ticks, _ in event.bids] + [(Side.SELL, ticks) for ticks, _ in event.asks]


def _touch_levels(event: TouchUpdate) -> list[tuple[LevelKey, int]]:
    both = (((Side.BUY, event.bid_ticks), event.bid_lots), ((Side.SELL, event.ask_ticks), event.ask_lots))
    return [(key, lots) for key, lots in both if lots]

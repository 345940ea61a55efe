"""The recorded order book of one symbol at the place where the replay stands: what `depth` is answered from.

A recorded REST snapshot is dated back to the beginning: every level that no diff touched up to the snapshot already stood as it
shows it. So a client that asks early gets fewer levels, never a wrong one, and has all of them once it has applied the diffs
up to it.
Without a snapshot the levels are learned: from the diffs, and from touches that no diff has contradicted.
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
                self.breaks += 1
        while self._touches and self._touches[0].update_id <= event.final_update_id:
            for (side, ticks), lots in _touch_levels(self._touches.popleft()):
                self.levels[side].setdefault(ticks, lots)
        for side, levels in ((Side.BUY, event.bids), (Side.SELL, event.asks)):
            known = self.levels[side]
            for ticks, lots in levels:
                if lots:
                    known[ticks] = lots
                else:
                    known.pop(ticks, None)
        self.update_id = event.final_update_id
        return True

    def depth(self, limit: int) -> tuple[int, list[Level], list[Level]]:
        """Update id, and up to `limit` bids and asks, best first. The id is 0 before the first diff."""
        bids = sorted(self.levels[Side.BUY].items(), reverse=True)[:limit]
        asks = sorted(self.levels[Side.SELL].items())[:limit]
        return max(0, self.update_id), bids, asks


def _changes(event: DepthUpdate) -> list[LevelKey]:
    return [(Side.BUY, ticks) for ticks, _ in event.bids] + [(Side.SELL, ticks) for ticks, _ in event.asks]


def _touch_levels(event: TouchUpdate) -> list[tuple[LevelKey, int]]:
    both = (((Side.BUY, event.bid_ticks), event.bid_lots), ((Side.SELL, event.ask_ticks), event.ask_lots))
    return [(key, lots) for key, lots in both if lots]

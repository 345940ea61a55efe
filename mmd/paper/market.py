"""One symbol's live market inside the engine: diffs in sequence, touches and trades to the queue matcher, begun anew after a hole.

What happened to a resting order while the market was not seen is not known. When it is seen again, an order that the market has run
past trades at its own price; of every other the queue ahead is, in doubt, as long as before.
"""

from __future__ import annotations

from mmd.market.book_sync import SnapshotWait, follows, follows_snapshot
from mmd.mock.replay.matcher import QueueMatcher
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, MarketTrade, TouchUpdate

MAX_BUFFERED_UPDATES = 1_000


class FollowedMarket:
    """`synced` says whether the engine holds this market as it is now. Feed it every event; ask for a snapshot when `due`."""

    def __init__(self, matcher: QueueMatcher) -> None:
        self._matcher = matcher
        self._wait = SnapshotWait(MAX_BUFFERED_UPDATES)
        self._update_id = NO_UPDATE_ID
        self._chained = False
        self._wanted = False
        self.synced = False
        self.resyncs = 0
        """Times the market was lost, by a hole or a disconnect."""

    def on_connected(self) -> None:
        """The stream has begun: a snapshot is of use from now on, however quiet the market."""
        self._wanted = not self.synced

    def on_lost(self) -> None:
        """The stream broke, or left something out."""
        self.resyncs += self.synced
        self.synced = self._chained = self._wanted = False
        self._wait.clear()

    def on_touch_update(self, event: TouchUpdate, now_ns: int) -> None:
        """The best prices."""
        if self.synced:
            self._matcher.on_touch_update(event, now_ns)

    def on_trade(self, event: MarketTrade, now_ns: int) -> None:
        """A public trade: it fills what stands in line."""
        if self.synced:
            self._matcher.on_trade(event, now_ns)

    def on_depth_update(self, event: DepthUpdate, now_ns: int) -> None:
        """A diff: applied if it follows the last one, the beginning of a new wait if it does not."""
        if not self.synced:
            self._wait.add(event)
        elif event.final_update_id > self._update_id:
            if not (follows(self._update_id, event) if self._chained else follows_snapshot(self._update_id, event)):
                self.on_lost()
                self._wait.add(event)
                return
            self._apply(event, now_ns)

    def on_depth_snapshot(self, event: DepthSnapshot, now_ns: int) -> bool:
        """Begin anew with a snapshot, if one is awaited and fits the diffs since. True when the market is known with it."""
        if self.synced:
            return False
        newer = self._wait.take_after(event.last_update_id)
        if newer is None:
            return False
        self._matcher.reload(event.bids, event.asks, now_ns)
        self._update_id = event.last_update_id
        self.synced, self._chained, self._wanted = True, False, False
        for update in newer:
            self._apply(update, now_ns)
        return True

    def due(self, now_ns: int) -> bool:
        """Whether a snapshot should be asked for now; having asked is remembered."""
        if self.synced or not (self._wait.due(now_ns) or self._wanted):
            return False
        self._wanted = False
        self._wait.requested(now_ns)
        return True

    def _apply(self, event: DepthUpdate, now_ns: int) -> None:
        self._matcher.on_depth_update(event, now_ns)
        self._update_id = event.final_update_id
        self._chained = True

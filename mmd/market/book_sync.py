"""Which diff may follow which: both sequencing rules, the bounded buffer before a snapshot, and when to ask for one.

Spot numbers each diff by its first and final update id (U, u): the next one must hold `U <= id + 1`. USD-M futures add the previous
diff's final id (pu): the first diff after a snapshot holds `U <= id <= u` or `pu == id`, every later one `pu == id`.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from mmd.types.market import NO_UPDATE_ID, DepthUpdate

_FIRST_RETRY_NS: Final = 1_000_000_000
_LONGEST_RETRY_NS: Final = 16_000_000_000
_FORGET_RETRIES_NS: Final = 60_000_000_000
_MOST_DOUBLINGS: Final = 4


def follows(update_id: int, update: DepthUpdate) -> bool:
    """Whether `update`, newer than `update_id`, leaves nothing out after the diff that ended at `update_id`."""
    if update.previous_final_update_id == NO_UPDATE_ID:
        return update.first_update_id <= update_id + 1
    return update.previous_final_update_id == update_id


def follows_snapshot(update_id: int, update: DepthUpdate) -> bool:
    """Whether `update`, newer than `update_id`, may be the first one applied to a snapshot taken at `update_id`."""
    return follows(update_id, update) or (
        update.previous_final_update_id != NO_UPDATE_ID and update.first_update_id <= update_id <= update.final_update_id
    )


class SnapshotWait:
    """What is kept while a book waits for its snapshot: the diffs so far (without a hole), and when the snapshot was asked for."""

    __slots__ = ("_attempts", "_requested_ns", "ignored", "needed", "overflowed", "updates")

    def __init__(self, max_updates: int) -> None:
        self.updates: deque[DepthUpdate] = deque(maxlen=max_updates)
        self.needed = False
        """Set with the first diff: a snapshot from before the stream was open would be of no use."""
        self.overflowed = 0
        """Diffs that fell out of the full buffer, oldest first."""
        self.ignored = 0
        """Diffs no newer than the newest one kept."""
        self._attempts = 0
        self._requested_ns = 0

    def add(self, update: DepthUpdate) -> bool:
        """Keep a diff. False when it left a hole: the ones before it were of no use any more and are gone."""
        updates = self.updates
        whole = True
        if updates:
            newest = updates[-1].final_update_id
            if update.final_update_id <= newest:
                self.ignored += 1
                return True
            if not follows(newest, update):
                updates.clear()
                whole = False
            elif len(updates) == updates.maxlen:
                self.overflowed += 1
        updates.append(update)
        self.needed = True
        return whole

    def take_after(self, last_update_id: int) -> list[DepthUpdate] | None:
        """The diffs to apply to a snapshot of this id, or None when it is too old and another is needed."""
        newer = [update for update in self.updates if update.final_update_id > last_update_id]
        if newer and not follows_snapshot(last_update_id, newer[0]):
            return None
        self.clear()
        return newer

    def clear(self) -> None:
        """Nothing is waited for."""
        self.updates.clear()
        self.needed = False

    def due(self, now_ns: int) -> bool:
        """Whether to ask for a snapshot now: at once, then again after 1, 2, 4, 8 and at most 16 s without a usable answer."""
        if not self.needed:
            return False
        if self._attempts == 0:
            return True
        waited = now_ns - self._requested_ns
        return waited >= min(_FIRST_RETRY_NS << min(self._attempts - 1, _MOST_DOUBLINGS), _LONGEST_RETRY_NS)

    def requested(self, now_ns: int) -> None:
        """A snapshot was asked for. Only a quiet minute forgets earlier requests: a book that keeps gapping backs off too."""
        if now_ns - self._requested_ns >= _FORGET_RETRIES_NS:
            self._attempts = 0
        self._attempts += 1
        self._requested_ns = now_ns

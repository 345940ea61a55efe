"""The order book of one symbol, kept from two streams: diffs (every level, somewhat late) and the touch (best prices, at once).

A touch newer than the diffs overrides the visible best prices; diff levels at or before it are hidden, not deleted, until the diff
stream reaches that update id. So the visible touch always stands for one update id, and a crossed book means the data is wrong.
A book with a hole is thrown away whole and begun anew from a snapshot, never patched: merged into old levels it leaves ghosts.
"""

from __future__ import annotations

from typing import Final

from mmd.market.book_settings import BookSettings
from mmd.market.book_side import BookSide
from mmd.market.book_sync import SnapshotWait, follows, follows_snapshot
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, Level, Side, TouchUpdate

__all__ = ["NO_PRICE", "NS_PER_SECOND", "BookSettings", "OrderBook"]

NS_PER_SECOND: Final = 1_000_000_000
NO_PRICE: Final = -1


class OrderBook:
    """Prices in ticks, quantities in lots. While `valid` is False the touch is the last one known and no quote may stand on it."""

    __slots__ = (
        "_ahead_id", "_ahead_since_ns",
        "_ask_behind_lots", "_ask_behind_ticks", "_asks", "_behind_count", "_bid_behind_lots", "_bid_behind_ticks", "_bids",
        "_built", "_chained", "_max_silence_ns", "_override_since_ns", "_overriding", "_synced", "_touch", "_wait", "ask_lots",
        "ask_ticks", "bid_lots", "bid_ticks", "exchange_ns", "gaps", "ignored", "invalid_reason", "receive_ns", "resyncs",
        "settings", "snapshots_refused", "symbol", "touch_update_id", "update_id", "valid",
    )  # fmt: skip

    def __init__(self, symbol: str, settings: BookSettings | None = None) -> None:
        self.settings = settings if settings is not None else BookSettings()
        self.symbol = symbol
        self.bid_ticks = self.bid_lots = self.ask_ticks = self.ask_lots = 0
        self.receive_ns = 0
        """Receive time of the newest event that was applied; 0 before the first."""
        self.exchange_ns = 0
        """The newest venue stamp among them; 0 before the first stamped one."""
        self.update_id = NO_UPDATE_ID
        """Where the diff stream stands."""
        self.touch_update_id = NO_UPDATE_ID
        """The update id for which the visible touch holds; never behind `update_id`."""
        self.valid = False
        self.invalid_reason = "no snapshot yet"
        self.gaps = 0
        """Holes in the sequence of diffs, also while a snapshot was awaited."""
        self.resyncs = 0
        """Times the book was built anew from a snapshot, after the first time."""
        self.ignored = 0
        """Events no newer than the book, and snapshots that came unneeded."""
        self.snapshots_refused = 0
        """Snapshots older than the diffs at hand."""
        self._max_silence_ns = round(self.settings.max_depth_silence_seconds * NS_PER_SECOND)
        self._bids = BookSide(1, self.settings.max_levels_per_side)
        self._asks = BookSide(-1, self.settings.max_levels_per_side)
        self._wait = SnapshotWait(self.settings.max_buffered_updates)
        self._touch: TouchUpdate | None = None
        self._built = self._synced = self._chained = self._overriding = False
        self._override_since_ns = 0
        self._ahead_id = NO_UPDATE_ID
        self._ahead_since_ns = 0
        self._behind_count = self._bid_behind_lots = self._ask_behind_lots = 0
        self._bid_behind_ticks = self._ask_behind_ticks = NO_PRICE

    # ---- events

    def on_touch_update(self, e: TouchUpdate) -> bool:
        """Take in a bookTicker. True when the visible touch (price or size) or the validity changed."""
        if e.update_id <= self.touch_update_id:
            return self._on_old_event(e.receive_ns)
        if not self._synced:
            self._touch = e
            self.touch_update_id = e.update_id
            return False
        bid_ticks, bid_lots, ask_ticks, ask_lots = e.bid_ticks, e.bid_lots, e.ask_ticks, e.ask_lots
        if not (0 < bid_ticks < ask_ticks and bid_lots > 0 and ask_lots > 0 and self.valid):
            return self._on_odd_touch(e)
        if not self._overriding:
            self._overriding = True
            self._override_since_ns = e.receive_ns
        elif e.receive_ns - self._override_since_ns > self._max_silence_ns:
            return self._on_dead_depth_stream()
        self.touch_update_id = e.update_id
        self.receive_ns = e.receive_ns
        if e.exchange_ns:
            self.exchange_ns = e.exchange_ns
        if bid_ticks == self.bid_ticks and ask_ticks == self.ask_ticks and bid_lots == self.bid_lots and ask_lots == self.ask_lots:
            return False
        self.bid_ticks = bid_ticks
        self.bid_lots = bid_lots
        self.ask_ticks = ask_ticks
        self.ask_lots = ask_lots
        return True

    def on_depth_update(self, e: DepthUpdate) -> bool:
        """Take in a diff. True when the visible touch (price or size) or the validity changed."""
        if not self._synced:
            if not self._wait.add(e):
                self.gaps += 1
            return False
        if e.final_update_id <= self.update_id:
            return self._on_old_event(e.receive_ns)
        if not (follows(self.update_id, e) if self._chained else follows_snapshot(self.update_id, e)):
            self.gaps += 1
            return self._restart(f"gap: diff after update {self.update_id} begins at {e.first_update_id}", e)
        self._chained = True
        self._book_diff(e)
        return self._settle(e)

    def on_depth_snapshot(self, e: DepthSnapshot) -> bool:
        """Take in a snapshot, if one is awaited and it is not too old. True when the book became valid with it."""
        if self._synced:
            self.ignored += 1
            return False
        newer = self._wait.take_after(e.last_update_id)
        if newer is None:
            self.snapshots_refused += 1
            return False
        self._bids.load(e.bids, self.settings.snapshot_cut_off)
        self._asks.load(e.asks, self.settings.snapshot_cut_off)
        self._forget_behind()
        self.resyncs += self._built
        self._built = self._synced = True
        self._chained = bool(newer)
        self.update_id = e.last_update_id
        self.receive_ns = max(self.receive_ns, e.receive_ns)
        self._override_since_ns = e.receive_ns
        for update in newer:
            self._book_diff(update)
        touch, self._touch = self._touch, None
        self.touch_update_id = NO_UPDATE_ID
        changed = self._settle(newer[-1] if newer else None)
        if touch is not None and self._synced:
            changed |= self.on_touch_update(touch)
        return changed

    def invalidate(self, reason: str) -> None:
        """The streams broke (a disconnect): discard everything that came over them and begin with the next diff and a snapshot."""
        self._discard(reason)

    # ---- snapshots to ask for

    @property
    def needs_snapshot(self) -> bool:
        """Whether the book waits for a snapshot. It does from the first diff on; an earlier one would be of no use."""
        return self._wait.needed

    def snapshot_due(self, now_ns: int) -> bool:
        """Whether to ask for one now: at once, then again after 1, 2, 4, 8, 16 s."""
        return self._wait.due(now_ns)

    def snapshot_requested(self, now_ns: int) -> None:
        """It was asked for."""
        self._wait.requested(now_ns)

    # ---- what is visible

    def levels(self, side: Side, count: int) -> list[Level]:
        """At most `count` visible levels, best first; none while the book is out of sync. Behind the touch they may be unknown."""
        if not self._synced or count <= 0:
            return []
        book_side = self._bids if side is Side.BUY else self._asks
        if not self._overriding:
            return book_side.best(count)
        ticks, lots = (self.bid_ticks, self.bid_lots) if side is Side.BUY else (self.ask_ticks, self.ask_lots)
        if lots == 0:
            return []
        return [(ticks, lots), *book_side.best(count - 1, below=ticks * book_side.sign)]

    def lots_at(self, side: Side, ticks: int) -> int:
        """Visible lots at one price; 0 where there is no such level, before the touch, or while the book is out of sync."""
        if not self._synced:
            return 0
        book_side = self._bids if side is Side.BUY else self._asks
        if self._overriding:
            best, lots = (self.bid_ticks, self.bid_lots) if side is Side.BUY else (self.ask_ticks, self.ask_lots)
            if ticks == best:
                return lots
            if not lots or (ticks - best) * book_side.sign > 0:
                return 0
        return book_side.lots_at.get(ticks, 0)

    def best_lots(self, count: int) -> tuple[int, int]:
        """Lots of the best `count` visible bids and asks: the sums over `levels`.

        Between two diffs the levels behind a touch stay as they are while its price does, so their sum is kept.
        """
        if not self._synced or count <= 0:
            return 0, 0
        if count != self._behind_count:
            self._behind_count = count
            self._forget_behind()
        bid_ticks, bid_lots, ask_ticks, ask_lots = self.bid_ticks, self.bid_lots, self.ask_ticks, self.ask_lots
        if bid_ticks != self._bid_behind_ticks:
            self._bid_behind_ticks = bid_ticks
            self._bid_behind_lots = self._bids.lots_behind(bid_ticks, count - 1)
        if ask_ticks != self._ask_behind_ticks:
            self._ask_behind_ticks = ask_ticks
            self._ask_behind_lots = self._asks.lots_behind(ask_ticks, count - 1)
        return (
            bid_lots + self._bid_behind_lots if bid_lots else 0,
            ask_lots + self._ask_behind_lots if ask_lots else 0,
        )

    @property
    def dropped_levels(self) -> int:
        """Levels dropped because a side held more than `max_levels_per_side`."""
        return self._bids.dropped_levels + self._asks.dropped_levels

    @property
    def overflowed_updates(self) -> int:
        """Diffs that fell out of the full buffer while a snapshot was awaited."""
        return self._wait.overflowed

    # ---- inside

    def _forget_behind(self) -> None:
        self._bid_behind_ticks = self._ask_behind_ticks = NO_PRICE

    def _book_diff(self, e: DepthUpdate) -> None:
        self._forget_behind()
        self._bids.apply(e.bids)
        self._asks.apply(e.asks)
        self.update_id = e.final_update_id
        self.receive_ns = self._override_since_ns = e.receive_ns
        if e.exchange_ns:
            self.exchange_ns = e.exchange_ns

    def _settle(self, newest: DepthUpdate | None) -> bool:
        """After the levels moved: is the book sane, and which touch is visible now?"""
        bid_keys, ask_keys = self._bids.keys, self._asks.keys
        if bid_keys and ask_keys and bid_keys[-1] + ask_keys[-1] >= 0:
            return self._restart(f"crossed: bid {bid_keys[-1]} against ask {-ask_keys[-1]} at update {self.update_id}", newest)
        if self._bids.beyond_horizon() or self._asks.beyond_horizon():
            return self._restart(f"the market left the known levels at update {self.update_id}", newest)
        if self._overriding and self.update_id < self.touch_update_id:
            return newest is not None and self._on_touch_ahead(newest)
        self._overriding = False
        self.touch_update_id = self.update_id
        bid_ticks, ask_ticks = (bid_keys[-1] if bid_keys else 0), (-ask_keys[-1] if ask_keys else 0)
        return self._show(
            bid_ticks,
            self._bids.lots_at[bid_ticks] if bid_keys else 0,
            ask_ticks,
            self._asks.lots_at[ask_ticks] if ask_keys else 0,
        )

    def _show(self, bid_ticks: int, bid_lots: int, ask_ticks: int, ask_lots: int) -> bool:
        """Make this the visible touch. A side without lots makes the book invalid until it has some again; no resync is needed."""
        missing = "" if bid_lots and ask_lots else "no bids" if ask_lots else "no asks" if bid_lots else "no bids and no asks"
        valid = not missing
        changed = (
            valid is not self.valid
            or bid_ticks != self.bid_ticks
            or ask_ticks != self.ask_ticks
            or bid_lots != self.bid_lots
            or ask_lots != self.ask_lots
        )
        self.bid_ticks, self.bid_lots, self.ask_ticks, self.ask_lots = bid_ticks, bid_lots, ask_ticks, ask_lots
        self.valid, self.invalid_reason = valid, missing
        return changed

    def _on_odd_touch(self, e: TouchUpdate) -> bool:
        """A touch that is crossed or lacks a side, or the first good one after such a one."""
        bid_ticks, bid_lots = (e.bid_ticks, e.bid_lots) if e.bid_lots > 0 and e.bid_ticks > 0 else (0, 0)
        ask_ticks, ask_lots = (e.ask_ticks, e.ask_lots) if e.ask_lots > 0 and e.ask_ticks > 0 else (0, 0)
        if bid_lots and ask_lots and bid_ticks >= ask_ticks:
            return self._discard(f"crossed: touch {bid_ticks} against {ask_ticks} at update {e.update_id}")
        if not self._overriding:
            self._overriding = True
            self._override_since_ns = e.receive_ns
        elif e.receive_ns - self._override_since_ns > self._max_silence_ns:
            return self._on_dead_depth_stream()
        self.touch_update_id = e.update_id
        self.receive_ns = e.receive_ns
        if e.exchange_ns:
            self.exchange_ns = e.exchange_ns
        return self._show(bid_ticks, bid_lots, ask_ticks, ask_lots)

    def _on_old_event(self, receive_ns: int) -> bool:
        """An event no newer than the book. If nothing else comes any more, it is the book's id that cannot be right."""
        self.ignored += 1
        if not self._synced or receive_ns - self.receive_ns <= self._max_silence_ns:
            return False
        seconds = self.settings.max_depth_silence_seconds
        return self._discard(f"for more than max_depth_silence_seconds ({seconds:g}) nothing came that is newer than the book")

    def _on_touch_ahead(self, newest: DepthUpdate) -> bool:
        """The diffs have not reached the touch yet, which they do within one of their beats; one they never reach is wrong."""
        if self._ahead_id != self.touch_update_id:
            self._ahead_id = self.touch_update_id
            self._ahead_since_ns = newest.receive_ns
        elif newest.receive_ns - self._ahead_since_ns > self._max_silence_ns:
            seconds = self.settings.max_depth_silence_seconds
            touch_id = self.touch_update_id
            return self._restart(f"touch {touch_id} was not reached in max_depth_silence_seconds ({seconds:g})", newest)
        return False

    def _on_dead_depth_stream(self) -> bool:
        seconds = self.settings.max_depth_silence_seconds
        return self._discard(f"the touch moved for more than max_depth_silence_seconds ({seconds:g}) without any diff")

    def _restart(self, reason: str, newest: DepthUpdate | None) -> bool:
        """Discard, and begin at once with the diff at hand as the first one buffered."""
        changed = self._discard(reason)
        if newest is not None:
            self._wait.add(newest)
        return changed

    def _discard(self, reason: str) -> bool:
        """Throw everything away but the numbers of the last touch, which may still value a position roughly."""
        was_valid = self.valid
        self._bids.clear()
        self._asks.clear()
        self._wait.clear()
        self._touch = None
        self._synced = self._chained = self._overriding = False
        self.update_id = self.touch_update_id = NO_UPDATE_ID
        self.valid, self.invalid_reason = False, reason
        return was_valid

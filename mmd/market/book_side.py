"""One side of a book: quantity by price, and the prices kept sorted so that the best is at the end of a list.

In that list stands a price's *key*: the price for bids and its negative for asks. On either side a better price has a higher key,
and what changes near the touch moves only the few list entries behind it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Final

from mmd.types.market import Level

EVERYTHING_KNOWN: Final = -(1 << 62)


class BookSide:
    """`sign` is +1 for bids and -1 for asks. At most `max_levels` are kept; the farthest go first and are counted."""

    __slots__ = ("dropped_levels", "horizon", "keys", "lots_at", "max_levels", "sign")

    def __init__(self, sign: int, max_levels: int) -> None:
        self.sign = sign
        self.max_levels = max_levels
        self.lots_at: dict[int, int] = {}
        self.keys: list[int] = []
        self.horizon = EVERYTHING_KNOWN
        """Key of the farthest price up to which every level is known; beyond it a level is unknown until it changes."""
        self.dropped_levels = 0

    def clear(self) -> None:
        """Forget every level (the count of dropped ones stays)."""
        self.lots_at.clear()
        self.keys.clear()
        self.horizon = EVERYTHING_KNOWN

    def load(self, levels: Sequence[Level], cut_off: int) -> None:
        """Start anew from a snapshot. With `cut_off` levels or more it may have been cut off there: what lies beyond is unknown."""
        self.clear()
        self.apply(levels)
        if len(self.keys) >= cut_off:
            self.horizon = max(self.horizon, self.keys[0])

    def apply(self, levels: Sequence[Level]) -> None:
        """Book the levels of one diff; 0 lots remove a level, and removing an unknown one is no fault."""
        sign, lots_at, keys = self.sign, self.lots_at, self.keys
        for price, lots in levels:
            if price in lots_at:
                if lots:
                    lots_at[price] = lots
                    continue
                del lots_at[price]
                key = price * sign
                if keys[-1] == key:
                    keys.pop()
                else:
                    del keys[bisect_left(keys, key)]
            elif lots:
                lots_at[price] = lots
                key = price * sign
                if not keys or key > keys[-1]:
                    keys.append(key)
                else:
                    insort(keys, key)
        if len(keys) > self.max_levels:
            self._drop_farthest()

    def beyond_horizon(self) -> bool:
        """Whether the best known level lies where unknown ones may be better (or nothing is left of what was known)."""
        return self.horizon != EVERYTHING_KNOWN and (not self.keys or self.keys[-1] < self.horizon)

    def best(self, count: int, below: int | None = None) -> list[Level]:
        """The best `count` levels, best first; with `below` only those whose key is lower (behind that price)."""
        keys, lots_at, sign = self.keys, self.lots_at, self.sign
        end = len(keys)
        if below is not None:
            while end and keys[end - 1] >= below:
                end -= 1
        return [(key * sign, lots_at[key * sign]) for key in reversed(keys[max(0, end - count) : end])]

    def lots_behind(self, price: int, count: int) -> int:
        """Lots of the best `count` levels behind that price, together."""
        keys, lots_at, sign = self.keys, self.lots_at, self.sign
        place, below, total = len(keys), price * sign, 0
        while place and count:
            place -= 1
            key = keys[place]
            if key < below:
                total += lots_at[key * sign]
                count -= 1
        return total

    def _drop_farthest(self) -> None:
        excess = len(self.keys) - self.max_levels
        for key in self.keys[:excess]:
            del self.lots_at[key * self.sign]
        del self.keys[:excess]
        self.dropped_levels += excess
        self.horizon = max(self.horizon, self.keys[0])

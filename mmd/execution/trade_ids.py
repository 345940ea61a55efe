"""Which trades were booked, in bounded memory: trade ids of a symbol only grow."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from typing import Any

NO_TRADE = -1


class TradeIds:
    """The newest `bound` ids, and a floor: everything at or below it counts as seen."""

    def __init__(self, bound: int) -> None:
        """Raises `ValueError` for a bound below 1."""
        if bound < 1:
            raise ValueError(f"at least one trade id must be remembered, not {bound}")
        self._bound = bound
        self._recent: list[int] = []
        self._floor = NO_TRADE
        self.last = NO_TRADE
        """The newest id."""
        self.complete_to = NO_TRADE
        """No id up to this one is missing, by the venue's own list."""

    def __len__(self) -> int:
        return len(self._recent)

    def seen(self, trade_id: int) -> bool:
        """Whether the id was added, skipped, or is below what is remembered."""
        if trade_id <= self._floor:
            return True
        at = bisect_left(self._recent, trade_id)
        return at < len(self._recent) and self._recent[at] == trade_id

    def add(self, trade_id: int) -> bool:
        """Remember an id; False when it was seen before."""
        if self.seen(trade_id):
            return False
        insort(self._recent, trade_id)
        self.last = max(self.last, trade_id)
        if len(self._recent) > self._bound:
            self._floor = self._recent.pop(0)
        return True

    def completed(self, trade_id: int) -> None:
        """Nothing up to this id is missing. Never goes back."""
        self.complete_to = max(self.complete_to, trade_id)

    def skip_to(self, trade_id: int) -> None:
        """Count everything up to this id as seen. Never goes back."""
        self._floor = max(self._floor, trade_id)
        self.last = max(self.last, trade_id)
        self.completed(trade_id)
        del self._recent[: bisect_right(self._recent, self._floor)]

    def state(self) -> dict[str, Any]:
        """JSON-able. Up to `complete_to` all is seen, so that only the ids after it are listed."""
        floor = max(self._floor, self.complete_to)
        return {
            "floor": floor,
            "last": self.last,
            "complete_to": self.complete_to,
            "recent": self._recent[bisect_right(self._recent, floor) :],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` left off."""
        self._floor, self.last, self.complete_to = int(state["floor"]), int(state["last"]), int(state["complete_to"])
        recent = sorted(int(trade_id) for trade_id in state["recent"])
        forgotten = recent[: -self._bound]
        if forgotten:
            self._floor = max(self._floor, forgotten[-1])
        self._recent = recent[-self._bound :]

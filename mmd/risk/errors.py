"""Errors in a row: one good answer ends the row, too many become a halt."""

from __future__ import annotations

from mmd.risk.limits import RiskLimits


class ErrorStreak:
    """Rejections, failed requests and unknown outcomes that were not followed by a success."""

    __slots__ = ("_limit", "length", "newest")

    def __init__(self, limits: RiskLimits) -> None:
        self._limit = limits.max_consecutive_errors
        self.length = 0
        self.newest = ""

    def failed(self, detail: str) -> None:
        """One more error."""
        self.length += 1
        self.newest = detail

    def succeeded(self) -> None:
        """The row is over."""
        self.length = 0

    def breach(self) -> str | None:
        """Text for the halt when `max_consecutive_errors` is reached."""
        if self.length < self._limit:
            return None
        return f"{self.length} errors in a row, the newest: {self.newest}"

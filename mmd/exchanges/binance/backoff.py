"""How long to wait before a connection is tried again."""

from __future__ import annotations

from random import Random


class Backoff:
    """Exponential waits with jitter: each lies between half and the whole of a bound that doubles up to a cap. Seconds."""

    def __init__(self, random: Random, *, first: float, cap: float, reset_after: float) -> None:
        self._random = random
        self._first = first
        self._cap = cap
        self._reset_after = reset_after
        self._bound = first

    def next_delay(self) -> float:
        """The next wait."""
        bound = min(self._bound, self._cap)
        self._bound = min(self._bound * 2, self._cap)
        return bound * self._random.uniform(0.5, 1.0)

    def record_uptime(self, seconds: float) -> None:
        """A connection stood this long: long enough, and the waits begin anew."""
        if seconds >= self._reset_after:
            self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._bound = self._first

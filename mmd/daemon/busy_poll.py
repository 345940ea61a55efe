"""Keeps the event loop from ever sleeping: it asks the kernel for news again and again instead of waiting to be woken.

A process that sleeps a millisecond between two ticks pays for it at the next one: the core has gone idle or to somebody else, and
caches with it. This costs a whole core, so it is for machines that have one to spare.
"""

from __future__ import annotations

import asyncio


class BusyPoll:
    """Busy between `start` and `stop`. Everything else on the loop runs as it would, only sooner."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None
        self.turns = 0
        """Turns of the loop since the start."""

    def start(self) -> None:
        """Begin."""
        if self._handle is None:
            self._handle = self._loop.call_soon(self._turn)

    def stop(self) -> None:
        """Let the loop sleep again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self) -> None:
        self.turns += 1
        self._handle = self._loop.call_soon(self._turn)

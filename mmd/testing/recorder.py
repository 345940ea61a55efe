"""A sink that keeps every event, and lets a test wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from mmd.exchanges.adapter import Event

PATIENCE_SECONDS = 10.0

E = TypeVar("E")


class Recorder:
    """A sink that keeps every event, and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.failures: list[tuple[BaseException, str]] = []
        self.reactions: list[Callable[[Event], None]] = []
        self._arrived = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._arrived.set()
        for react in self.reactions:
            react(event)

    def on_failure(self, error: BaseException, where: str) -> None:
        self.failures.append((error, where))
        self._arrived.set()

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def mark(self) -> int:
        return len(self.events)

    async def wait_for(self, kind: type[E], matches: Callable[[E], bool] = lambda _: True, *, since: int = 0) -> E:
        """The first event of a kind that fits, from position `since` on."""
        position = since
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for event in self.events[position:]:
                    if isinstance(event, kind) and matches(event):
                        return event
                position = len(self.events)
                assert not self.failures, self.failures
                self._arrived.clear()
                await self._arrived.wait()
